/*
 * mm.c: mmap, munmap, mprotect, brk, fork and the end of an mm. In each operation everything that
 * can fail in the shim comes first, then the platform call, then the change to the VMAs, which
 * cannot fail.
 */
#include "shim/mm.h"

#include <asm/resource.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "platform/contract.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/budget.h"
#include "shim/fs/file.h"
#include "shim/fs/memfs.h"
#include "shim/fs/vfs.h"
#include "shim/ipc.h"
#include "shim/mm_private.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/vma.h"

#define HUGE_PAGE (2ull << 20)
#define LOW_2G_START 0x40000000ull /* where Linux starts and ends the search for MAP_32BIT */
#define LOW_2G_END 0x80000000ull

uint64_t mm_limit(unsigned which)
{
    const struct task *task = task_current();
    return task ? __atomic_load_n(&task->process->rlimits[which].cur, __ATOMIC_RELAXED)
                : UINT64_MAX;
}

bool mm_may_grow(const struct mm *mm, const struct vma *v, uint64_t size)
{
    uint64_t pages = size / VMA_PAGE;
    if (mm->total.pages + pages > mm_limit(RLIMIT_AS) / VMA_PAGE)
        return false;
    if (vma_is_data(v) && mm->total.data + pages > mm_limit(RLIMIT_DATA) / VMA_PAGE)
        return false;
    return !vma_is_promised(v) || v->flags & VMA_NORESERVE || budget_allows(size);
}

int mm_may_lock(const struct mm *mm, uint64_t size)
{
    const struct task *task = task_current();
    uint64_t limit = mm_limit(RLIMIT_MEMLOCK);
    if (!task || process_capable(task->process, CAP_IPC_LOCK))
        return 0;
    if (limit == 0)
        return -EPERM;
    return mm->total.locked + size / VMA_PAGE <= limit / VMA_PAGE ? 0 : -EAGAIN;
}

unsigned mm_prot_of_linux(unsigned linux_prot)
{
    return (linux_prot & PROT_READ ? MEMORY_READ : 0) |
           (linux_prot & PROT_WRITE ? MEMORY_WRITE : 0) |
           (linux_prot & PROT_EXEC ? MEMORY_EXEC : 0);
}

/* ---- birth and end ---- */

struct mm *mm_create(int *err)
{
    struct mm *mm = shim_zalloc(sizeof(*mm));
    if (!mm) {
        *err = -ENOMEM;
        return NULL;
    }
    mm->users = 1;
    mm->mmap_top = g_platform->guest_end;
    mm->as = aspace_create(g_platform, err);
    if (!mm->as) {
        shim_free(mm);
        return NULL;
    }
    return mm;
}

struct mm *mm_fork(struct mm *parent, int *err)
{
    struct mm *child = shim_alloc(sizeof(*child));
    if (!child) {
        *err = -ENOMEM;
        return NULL;
    }
    mutex_lock(&parent->lock);
    *child = *parent;
    child->users = 1;
    child->lock = (struct mutex){0};
    child->as = NULL;
    child->vmas = child->root = child->spare = child->removed = NULL;
    child->blocks = NULL;
    child->vma_count = child->spare_count = 0;
    child->total = (struct vma_totals){0};
    child->lock_future = child->lock_on_fault = false;
    *err = vma_copy_all(child, parent);
    if (*err == 0) {
        child->as = aspace_fork(g_platform, parent->as, err);
        if (!child->as)
            vma_clear(child);
    }
    mutex_unlock(&parent->lock);
    if (!child->as) {
        shim_free(child);
        return NULL;
    }
    child->exe = NULL;
    if (parent->exe)
        *err = mm_set_exe(child, parent->exe); /* the parent's turn lasts: it is granted */
    return child;
}

void mm_get(struct mm *mm)
{
    __atomic_fetch_add(&mm->users, 1, __ATOMIC_RELAXED);
}

static void drop_exe(struct mm *mm)
{
    if (!mm->exe)
        return;
    inode_end_execute(mm->exe->inode);
    file_put(mm->exe);
}

int mm_set_exe(struct mm *mm, struct file *file)
{
    int err = inode_want_execute(file->inode);
    if (err == 0) {
        file_get(file);
        mm->exe = file;
    }
    return err;
}

/* The last user's: nobody else can reach `mm` any more. */
static struct aspace *tear_down(struct mm *mm)
{
    struct aspace *as = mm->as;
    mm->as = NULL;
    vma_clear(mm);
    drop_exe(mm);
    shim_free(mm);
    return as;
}

/* Out of every space; the thread can't go on otherwise, so a host that is short of threads is
 * waited for. */
static void leave_space(void)
{
    while (aspace_activate(g_platform, NULL) < 0)
        thread_yield(g_platform);
}

struct aspace *mm_put(struct mm *mm, enum mm_drop_mode mode)
{
    if (mode == MM_DROP_LEAVING) {
        if (__atomic_load_n(&mm->users, __ATOMIC_ACQUIRE) == 1)
            return tear_down(mm);
        leave_space(); /* before the drop: the next to drop may destroy the space at once */
    }
    if (__atomic_sub_fetch(&mm->users, 1, __ATOMIC_ACQ_REL) == 0)
        aspace_destroy(g_platform, tear_down(mm));
    return NULL;
}

/* ---- placing ---- */

static uint64_t place_between(const struct mm *mm, uint64_t size, uint64_t align, uint64_t low,
                              uint64_t high)
{
    if (low >= high || size > high - low)
        return VMA_NO_PLACE;
    if (align > VMA_PAGE) {
        uint64_t slack = align - VMA_PAGE, place = VMA_NO_PLACE;
        if (size + slack > size)
            place = vma_place_high(mm, size + slack, low, high);
        if (place != VMA_NO_PLACE)
            return (place + slack) & ~(align - 1);
    }
    return vma_place_high(mm, size, low, high);
}

/* Top-down below mmap_top as Linux does; anywhere when that is full. */
static uint64_t place(const struct mm *mm, uint64_t size, uint64_t align)
{
    uint64_t addr = place_between(mm, size, align, g_platform->guest_min, mm->mmap_top);
    if (addr == VMA_NO_PLACE)
        addr = place_between(mm, size, align, g_platform->guest_min, g_platform->guest_end);
    return addr;
}

uint64_t mm_choose(const struct mm *mm, uint64_t size)
{
    return place(mm, size, VMA_PAGE);
}

uint64_t mm_place(struct mm *mm, uint64_t size, uint64_t align)
{
    mutex_lock(&mm->lock);
    uint64_t addr = place_between(mm, size, align, g_platform->guest_min, mm->mmap_top);
    mutex_unlock(&mm->lock);
    return addr & (align - 1) ? VMA_NO_PLACE : addr;
}

/* mmap(2): where `model` goes. Sets model->start and end. */
static int choose_place(const struct mm *mm, struct vma *model, uint64_t addr, uint64_t size,
                        unsigned flags)
{
    if (size > g_platform->guest_end - g_platform->guest_min)
        return -ENOMEM;
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        if (addr % VMA_PAGE)
            return -EINVAL;
        if (addr < g_platform->guest_min)
            return -EPERM;
        if (!guest_range_ok(g_platform, guest_addr(addr), size))
            return -ENOMEM;
        if (flags & MAP_FIXED_NOREPLACE && !vma_range_free(mm, addr, addr + size))
            return -EEXIST;
    } else {
        uint64_t hint = page_down(addr);
        if (flags & MAP_32BIT)
            addr = place_between(mm, size, VMA_PAGE, LOW_2G_START, LOW_2G_END);
        else if (hint >= g_platform->guest_min &&
                 guest_range_ok(g_platform, guest_addr(hint), size) &&
                 vma_range_free(mm, hint, hint + size))
            addr = hint;
        else
            addr =
                place(mm, size,
                      !model->object && !(model->flags & VMA_SMALL_PAGES) && size % HUGE_PAGE == 0
                          ? HUGE_PAGE
                          : VMA_PAGE);
        if (addr == VMA_NO_PLACE)
            return -ENOMEM;
    }
    model->start = addr;
    model->end = addr + size;
    return 0;
}

/* ---- mapping ---- */

int mm_map_pages(struct mm *mm, const struct vma *model)
{
    struct memory_map_request req = {
        .addr = guest_addr(model->start),
        .size = model->end - model->start,
        .sharing = model->sharing,
        .prot = model->prot,
        .object = model->object,
        .offset = model->offset,
        .no_huge = mm->thp_disable || model->flags & VMA_SMALL_PAGES,
    };
    return memory_map(g_platform, mm->as, &req);
}

/* A platform call over [start, end) failed half-way: nothing of it is left, in the space or in the
 * VMAs. */
void mm_forget_range(struct mm *mm, uint64_t start, uint64_t end)
{
    if (vma_range_free(mm, start, end))
        return;
    if (memory_unmap(g_platform, mm->as, guest_addr(start), end - start) == 0)
        vma_remove_range(mm, start, end);
}

static uint64_t pages_within(const struct mm *mm, uint64_t start, uint64_t end)
{
    uint64_t pages = 0;
    for (const struct vma *v = vma_above(mm, start); v && v->start < end; v = v->next)
        pages += ((v->end < end ? v->end : end) - (v->start > start ? v->start : start)) / VMA_PAGE;
    return pages;
}

/* Under mm->lock. `model` says all but the place. */
static int64_t map_model(struct mm *mm, struct vma *model, uint64_t addr, uint64_t size,
                         unsigned flags)
{
    int err = choose_place(mm, model, addr, size, flags);
    if (err < 0)
        return err;
    uint64_t replaced = pages_within(mm, model->start, model->end) * VMA_PAGE;
    if (!mm_may_grow(mm, model, size - replaced))
        return -ENOMEM;
    if (mm->lock_future)
        model->flags |= VMA_LOCKED;
    if (model->flags & VMA_LOCKED)
        err = mm_may_lock(mm, size);
    if (err == 0)
        err = vma_reserve(mm, 3);
    if (err < 0)
        return err;
    err = mm_map_pages(mm, model);
    if (err < 0) {
        mm_forget_range(mm, model->start, model->end);
        return err;
    }
    vma_remove_range(mm, model->start, model->end);
    vma_add(mm, model);
    if (model->flags & VMA_SHM)
        mm->has_segments = true;
    if ((flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE ||
        (model->flags & VMA_LOCKED && !mm->lock_on_fault))
        (void)mm_populate(mm, model->start, model->end); /* mmap(2): failures are not reported */
    return (int64_t)model->start;
}

static int64_t map_prepared(struct mm *mm, struct vma *model, uint64_t addr, uint64_t size,
                            unsigned flags)
{
    if (flags & MAP_GROWSDOWN)
        model->flags |= VMA_GROWSDOWN;
    if (flags & MAP_NORESERVE)
        model->flags |= VMA_NORESERVE;
    if (flags & MAP_LOCKED)
        model->flags |= VMA_LOCKED;
    if (flags & (MAP_STACK | MAP_GROWSDOWN))
        model->flags |= VMA_SMALL_PAGES;
    mutex_lock(&mm->lock);
    int64_t result = map_model(mm, model, addr, size, flags);
    vma_unlock(mm);
    return result;
}

/* Sharing and size of a request, checked as do_mmap does. */
static int check_request(uint64_t *size, unsigned flags, uint64_t offset,
                         enum memory_sharing *sharing)
{
    if (*size == 0)
        return -EINVAL;
    uint64_t rounded = page_up(*size);
    if (rounded == 0)
        return -ENOMEM;
    if (offset + rounded < offset || (offset && (int64_t)(offset + rounded) < 0))
        return -EOVERFLOW;
    *size = rounded;
    switch (flags & MAP_TYPE) {
    case MAP_PRIVATE:
        *sharing = MEMORY_PRIVATE;
        return 0;
    case MAP_SHARED:
    case MAP_SHARED_VALIDATE:
        *sharing = MEMORY_SHARED;
        return 0;
    default:
        return -EINVAL;
    }
}

/* The object that backs a request, referenced; NULL with *err 0 for private anonymous memory. */
static struct memory_object *backing(struct vma *model, uint64_t size, int *err)
{
    struct file *f = model->file;
    *err = 0;
    if (!f) {
        model->offset = 0;
        return model->sharing == MEMORY_SHARED ? memory_object_create(g_platform, size, err) : NULL;
    }
    unsigned access = f->flags & O_ACCMODE;
    if (f->flags & O_PATH)
        *err = -EBADF;
    else if (access == O_WRONLY ||
             (model->sharing == MEMORY_SHARED && model->prot & MEMORY_WRITE && access != O_RDWR))
        *err = -EACCES;
    else if (!f->ops->map)
        *err = -ENODEV;
    else if (model->prot & MEMORY_EXEC && mount_forbids_execution(f))
        *err = -EPERM;
    if (*err < 0)
        return NULL;
    return f->ops->map(task_current(), f, model->sharing, model->prot, &model->offset, err);
}

int64_t mm_map(struct mm *mm, uint64_t addr, uint64_t size, unsigned linux_prot,
               unsigned linux_flags, struct file *file, uint64_t offset, uint32_t vma_flags)
{
    struct vma model = {
        .prot = mm_prot_of_linux(linux_prot), .offset = offset, .file = file, .flags = vma_flags};
    int err = check_request(&size, linux_flags, offset, &model.sharing);
    if (err < 0)
        return err;
    /* Counts as a writable mapping from before the look at the seals until the VMA counts itself. */
    vma_count_writable(&model, 1);
    model.object = backing(&model, size, &err);
    if (err < 0) {
        vma_count_writable(&model, -1);
        return err;
    }
    struct vma counted = model;
    if (model.sharing == MEMORY_SHARED && file && memfs_write_sealed(file))
        model.flags |= VMA_SEALED;
    int64_t result = map_prepared(mm, &model, addr, size, linux_flags);
    vma_count_writable(&counted, -1);
    if (model.object)
        memory_object_put(g_platform, model.object);
    return result;
}

int64_t mm_map_object(struct mm *mm, uint64_t addr, uint64_t size, unsigned linux_prot,
                      unsigned linux_flags, struct memory_object *object, uint64_t offset,
                      uint32_t vma_flags)
{
    struct vma model = {.prot = mm_prot_of_linux(linux_prot),
                        .object = object,
                        .offset = offset,
                        .flags = vma_flags};
    int err = check_request(&size, linux_flags, offset, &model.sharing);
    return err < 0 ? err : map_prepared(mm, &model, addr, size, linux_flags);
}

int mm_unmap(struct mm *mm, uint64_t addr, uint64_t size)
{
    uint64_t end = addr + page_up(size);
    if (addr % VMA_PAGE || size == 0 || end <= addr || end > g_platform->guest_end)
        return -EINVAL;
    mutex_lock(&mm->lock);
    int err = 0;
    const struct vma *first = vma_above(mm, addr);
    if (first && first->start < end) {
        uint64_t from = first->start > addr ? first->start : addr;
        err = vma_reserve(mm, 2);
        if (err == 0)
            err = memory_unmap(g_platform, mm->as, guest_addr(from), end - from);
        if (err == 0)
            vma_remove_range(mm, from, end);
    }
    vma_unlock(mm);
    return err;
}

int mm_detach(struct mm *mm, uint64_t addr)
{
    const struct file *segment = NULL; /* one open file a shmat(2) */
    int err = 0;
    mutex_lock(&mm->lock);
    for (struct vma *v = vma_above(mm, addr), *next; v && err == 0; v = next) {
        next = v->next;
        if (!(v->flags & VMA_SHM) || v->start - v->offset != addr ||
            (segment && v->file != segment))
            continue;
        segment = v->file;
        err = memory_unmap(g_platform, mm->as, guest_addr(v->start), v->end - v->start);
        if (err == 0)
            vma_remove_range(mm, v->start, v->end);
    }
    vma_unlock(mm);
    return segment ? err : -EINVAL;
}

void mm_detach_all(struct mm *mm)
{
    if (!mm->has_segments)
        return;
    mutex_lock(&mm->lock);
    for (struct vma *v = mm->vmas; v; v = v->next) {
        if (v->flags & VMA_SHM)
            shm_detached(v->file);
        v->flags &= ~VMA_SHM;
    }
    mutex_unlock(&mm->lock);
}

/* A shared mapping of a file that was not opened for writing may never become writable. */
static bool prot_allowed(const struct vma *v, unsigned prot)
{
    if (prot & MEMORY_EXEC && v->file && mount_forbids_execution(v->file))
        return false;
    return !(prot & MEMORY_WRITE) || v->sharing == MEMORY_PRIVATE || !v->file || vma_may_write(v);
}

/* RLIMIT_DATA when memory of a VMA becomes data. */
static bool may_become(const struct mm *mm, const struct vma *v, unsigned prot, uint64_t start,
                       uint64_t end)
{
    struct vma model = *v;
    model.prot = prot;
    return vma_is_data(v) || !vma_is_data(&model) ||
           mm_may_grow(mm, &model, (v->end < end ? v->end : end) - start);
}

static int protect_locked(struct mm *mm, uint64_t start, uint64_t end, unsigned linux_prot)
{
    unsigned prot = mm_prot_of_linux(linux_prot);
    const struct vma *v = vma_above(mm, start);
    if (!v || v->start >= end)
        return -ENOMEM;
    if (linux_prot & PROT_GROWSDOWN) {
        if (!(v->flags & VMA_GROWSDOWN))
            return -EINVAL;
        start = v->start;
    } else if (v->start > start) {
        return -ENOMEM;
    } else if (linux_prot & PROT_GROWSUP) {
        return -EINVAL;
    }
    /* As Linux: what lies before the first hole or refusal is changed all the same. */
    int refused = 0;
    uint64_t stop = start;
    for (; stop < end && refused == 0; v = v->next) {
        if (!v || v->start > stop)
            refused = -ENOMEM;
        else if (!prot_allowed(v, prot))
            refused = -EACCES;
        else if (!may_become(mm, v, prot, stop, end))
            refused = -ENOMEM;
        else
            stop = v->end < end ? v->end : end;
        if (refused)
            break;
    }
    if (stop > start) {
        int err = vma_reserve(mm, 2);
        if (err == 0)
            err = memory_protect(g_platform, mm->as, guest_addr(start), stop - start, prot);
        if (err < 0)
            return err;
        vma_change_range(mm, start, stop, prot, 0, 0);
    }
    return refused;
}

int mm_protect(struct mm *mm, uint64_t addr, uint64_t size, unsigned linux_prot)
{
    unsigned grows = linux_prot & (PROT_GROWSDOWN | PROT_GROWSUP);
    if (grows == (PROT_GROWSDOWN | PROT_GROWSUP) || addr % VMA_PAGE)
        return -EINVAL;
    if (size == 0)
        return 0;
    uint64_t end = addr + page_up(size);
    if (end <= addr)
        return -ENOMEM;
    if (linux_prot &
        ~(unsigned)(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM | PROT_GROWSDOWN | PROT_GROWSUP))
        return -EINVAL;
    mutex_lock(&mm->lock);
    int err = protect_locked(mm, addr, end, linux_prot);
    vma_unlock(mm);
    return err;
}

/* ---- the heap ---- */

static bool grow_heap(struct mm *mm, uint64_t from, uint64_t to)
{
    struct vma model = {
        .start = from,
        .end = to,
        .prot = MEMORY_READ | MEMORY_WRITE,
        .sharing = MEMORY_PRIVATE,
        .flags = VMA_HEAP | (mm->lock_future ? VMA_LOCKED : 0),
    };
    if (to > g_platform->guest_end || !vma_range_free(mm, from, to) ||
        !mm_may_grow(mm, &model, to - from) || (mm->lock_future && mm_may_lock(mm, to - from) < 0))
        return false;
    const struct vma *next = vma_above(mm, from);
    uint64_t guard = next && next->flags & VMA_GROWSDOWN ? VMA_GUARD_GAP : 0;
    if (next && next->start < to + guard)
        return false;
    if (vma_reserve(mm, 1) < 0 || mm_map_pages(mm, &model) < 0)
        return false;
    vma_add(mm, &model);
    if (model.flags & VMA_LOCKED && !mm->lock_on_fault)
        (void)mm_populate(mm, from, to);
    return true;
}

uint64_t mm_brk(struct mm *mm, uint64_t addr)
{
    mutex_lock(&mm->lock);
    uint64_t old_end = page_up(mm->brk_end), new_end = page_up(addr);
    bool ok = addr >= mm->brk_start && new_end >= mm->brk_start;
    uint64_t data = addr - mm->brk_start + (mm->data_end - mm->data_start);
    if (ok && addr > mm->brk_end && data > mm_limit(RLIMIT_DATA))
        ok = false;
    if (ok && new_end > old_end) {
        ok = grow_heap(mm, old_end, new_end);
    } else if (ok && new_end < old_end) {
        ok = vma_reserve(mm, 2) == 0 &&
             memory_unmap(g_platform, mm->as, guest_addr(new_end), old_end - new_end) == 0;
        if (ok)
            vma_remove_range(mm, new_end, old_end);
    }
    if (ok)
        mm->brk_end = addr;
    uint64_t result = mm->brk_end;
    vma_unlock(mm);
    return result;
}

/* ---- faults and futexes ---- */

struct vma *mm_find(struct mm *mm, uint64_t addr)
{
    struct vma *v = vma_above(mm, addr);
    return v && v->start <= addr ? v : NULL;
}

/* Growing page by page would cost a fault each; Linux's guests can't tell, but by looking at
 * /proc/PID/maps. */
#define GROW_STEP (64 * 1024ull)

static bool grow_stack(struct mm *mm, struct vma *v, uint64_t addr)
{
    uint64_t limit = mm_limit(RLIMIT_STACK), floor = g_platform->guest_min;
    if (v->prev) {
        bool guarded = v->prev->prot != MEMORY_NONE && !(v->prev->flags & VMA_GROWSDOWN);
        floor = v->prev->end + (guarded ? VMA_GUARD_GAP : 0);
    }
    if (limit < v->end && floor < v->end - limit)
        floor = page_up(v->end - limit);
    uint64_t start = addr & ~(GROW_STEP - 1);
    if (start < floor)
        start = floor;
    if (start > page_down(addr) || !mm_may_grow(mm, v, v->start - start) ||
        (v->flags & VMA_LOCKED && mm_may_lock(mm, v->start - start) < 0))
        return false;
    struct vma below = *v;
    below.start = start;
    below.end = v->start;
    if (v->object || mm_map_pages(mm, &below) < 0)
        return false;
    vma_grow_down(mm, v, start);
    if (v->flags & VMA_STACK)
        __atomic_store_n(&mm->stack_low, start, __ATOMIC_RELAXED);
    return true;
}

bool mm_fault(struct mm *mm, uint64_t addr, bool write)
{
    bool retry = false;
    mutex_lock(&mm->lock);
    struct vma *v = vma_above(mm, addr);
    if (v && v->flags & VMA_GROWSDOWN && v->prot & (write ? MEMORY_WRITE : MEMORY_READ)) {
        /* Inside already: another thread grew it meanwhile. */
        retry = v->start <= addr || grow_stack(mm, v, addr);
    }
    mutex_unlock(&mm->lock);
    return retry;
}

bool mm_grow_stack(struct mm *mm, uint64_t addr, bool write)
{
    bool grew = false;
    mutex_lock(&mm->lock);
    struct vma *v = vma_above(mm, addr);
    if (v && v->start > addr && v->flags & VMA_GROWSDOWN &&
        v->prot & (write ? MEMORY_WRITE : MEMORY_READ))
        grew = grow_stack(mm, v, addr);
    mutex_unlock(&mm->lock);
    return grew;
}

int mm_futex_key(struct mm *mm, uint64_t addr, bool known_private, struct futex_key *key)
{
    if (addr % 4)
        return -EINVAL;
    if (addr >= g_platform->guest_end) /* what is below, mapped or not, may be woken */
        return -EFAULT;
    *key = (struct futex_key){.space = aspace_id(mm->as), .offset = addr};
    if (known_private)
        return 0;
    int err = -EFAULT;
    mutex_lock(&mm->lock);
    const struct vma *v = mm_find(mm, addr);
    if (v) {
        err = 0;
        if (v->object && v->sharing == MEMORY_SHARED)
            *key = (struct futex_key){.object = (uintptr_t)v->object,
                                      .offset = v->offset + addr - v->start};
        else
            key->offset |= FUTEX_KEY_NOT_DECLARED;
    }
    mutex_unlock(&mm->lock);
    return err;
}
