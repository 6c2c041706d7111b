#include "tests/c_shims/mm_world.h"

#include <asm/resource.h>
#include <errno.h>
#include <linux/mman.h>
#include <stdlib.h>
#include <string.h>

#include "platform/guest_memory.h"
#include "platform/platform.h"
#include "shim/budget.h"
#include "shim/fs/memfs.h"
#include "shim/fs/vfs.h"
#include "shim/ipc.h"
#include "shim/mm.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/vma.h"

struct memory_object {
    long refs;
};
struct told {
    unsigned char mapped, prot, sharing;
    struct memory_object *object;
    uint64_t offset;
};
struct mm_world {
    struct mm *mm;
    struct told pages[WORLD_END_PAGE];
    unsigned fail_call;
};
static struct mm_world *g_world;
static long g_object_references;
static struct platform g_world_platform = {.page_size = 4096,
                                           .guest_min = WORLD_FIRST_PAGE * 4096ull,
                                           .guest_end = WORLD_END_PAGE * 4096ull};
static struct process g_world_process;
static struct task g_world_task = {.process = &g_world_process};

/* ---- what mm.c asks of others ---- */

bool process_capable(const struct process *process, int cap)
{
    (void)process, (void)cap;
    return true;
}

struct task *task_current(void)
{
    return &g_world_task;
}

void file_get(struct file *f UNUSED)
{
}

int inode_want_execute(struct inode *inode)
{
    (void)inode;
    return 0;
}

void inode_end_execute(struct inode *inode)
{
    (void)inode;
}

bool mount_forbids_execution(const struct file *f UNUSED)
{
    return false;
}

bool memfs_write_sealed(struct file *f)
{
    (void)f;
    return false;
}

void budget_promise(int64_t pages)
{
    (void)pages;
}

bool budget_allows(uint64_t size)
{
    (void)size;
    return true;
}

void shm_attached(struct file *f)
{
    (void)f;
}

void shm_detached(struct file *f)
{
    (void)f;
}

void file_put(struct file *f UNUSED)
{
}

int file_stat(struct file *f UNUSED, struct file_stat *out UNUSED)
{
    return -EIO;
}

int file_describe(struct task *task UNUSED, struct file *f UNUSED, char *out UNUSED,
                  size_t size UNUSED)
{
    return -EIO;
}

void stats_space_ends(const struct aspace *as, int pid, const char *comm);
void stats_space_ends(const struct aspace *as UNUSED, int pid UNUSED, const char *comm UNUSED)
{
}

void thread_yield(struct platform *p UNUSED)
{
}

static int call_fails(void)
{
    return g_world && g_world->fail_call && --g_world->fail_call == 0;
}

struct aspace *aspace_create(struct platform *p UNUSED, int *err)
{
    struct aspace *as = calloc(1, sizeof(*as));
    if (!as)
        *err = -ENOMEM;
    return as;
}

struct aspace *aspace_fork(struct platform *p, const struct aspace *parent UNUSED, int *err)
{
    if (call_fails()) {
        *err = -EAGAIN;
        return NULL;
    }
    return aspace_create(p, err);
}

int aspace_activate(struct platform *p UNUSED, const struct aspace *as UNUSED)
{
    return 0;
}

void aspace_destroy(struct platform *p UNUSED, struct aspace *as)
{
    free(as);
}

void aspace_stats(struct platform *p UNUSED, const struct aspace *as UNUSED,
                  struct aspace_stats *out)
{
    memset(out, 0, sizeof(*out));
}

uint64_t aspace_id(const struct aspace *as UNUSED)
{
    return 1;
}

bool guest_range_ok(const struct platform *p, struct guest_addr addr, uint64_t size)
{
    return addr.raw >= p->guest_min && addr.raw <= p->guest_end && size <= p->guest_end - addr.raw;
}

static uint64_t first_page(struct guest_addr addr, uint64_t size)
{
    if (addr.raw % 4096 || size % 4096 || size == 0 || !guest_range_ok(g_platform, addr, size))
        abort(); /* the platform's entry points would */
    return addr.raw / 4096;
}

int memory_map(struct platform *p UNUSED, const struct aspace *as UNUSED,
               const struct memory_map_request *req)
{
    uint64_t first = first_page(req->addr, req->size);
    if (call_fails()) { /* the contract allows "unmapped": the worse of the two */
        memset(&g_world->pages[first], 0, req->size / 4096 * sizeof(struct told));
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < req->size / 4096; i++)
        g_world->pages[first + i] =
            (struct told){.mapped = 1,
                          .prot = (unsigned char)req->prot,
                          .sharing = req->sharing,
                          .object = req->object,
                          .offset = req->object ? req->offset + i * 4096 : 0};
    return 0;
}

int memory_unmap(struct platform *p UNUSED, const struct aspace *as UNUSED, struct guest_addr addr,
                 uint64_t size)
{
    uint64_t first = first_page(addr, size);
    if (call_fails())
        return -ENOMEM;
    memset(&g_world->pages[first], 0, size / 4096 * sizeof(struct told));
    return 0;
}

int memory_protect(struct platform *p UNUSED, const struct aspace *as UNUSED,
                   struct guest_addr addr, uint64_t size, unsigned prot)
{
    uint64_t first = first_page(addr, size);
    for (uint64_t i = 0; i < size / 4096; i++)
        if (!g_world->pages[first + i].mapped)
            abort();
    if (call_fails())
        return -ENOMEM;
    for (uint64_t i = 0; i < size / 4096; i++)
        g_world->pages[first + i].prot = (unsigned char)prot;
    return 0;
}

int memory_move(struct platform *p UNUSED, const struct aspace *as UNUSED, struct guest_addr from,
                uint64_t old_size, struct guest_addr to, uint64_t new_size)
{
    uint64_t source = first_page(from, old_size), target = first_page(to, new_size),
             old = old_size / 4096;
    if (new_size < old_size ||
        !(from.raw + old_size <= to.raw || to.raw + new_size <= from.raw || from.raw == to.raw))
        abort();
    if (call_fails())
        return -ENOMEM;
    struct told *moved = calloc(new_size / 4096, sizeof(*moved));
    if (!moved)
        abort();
    memcpy(moved, &g_world->pages[source], old * sizeof(*moved));
    for (uint64_t i = old; i < new_size / 4096; i++) {
        moved[i] = moved[i - 1];
        moved[i].offset += moved[i].object ? 4096 : 0;
    }
    memset(&g_world->pages[source], 0, old * sizeof(*moved));
    memcpy(&g_world->pages[target], moved, new_size / 4096 * sizeof(*moved));
    free(moved);
    return 0;
}

int memory_advise(struct platform *p UNUSED, const struct aspace *as UNUSED, struct guest_addr addr,
                  uint64_t size, enum memory_advice advice UNUSED)
{
    first_page(addr, size);
    return call_fails() ? -ENOMEM : 0;
}

int memory_resident(struct platform *p UNUSED, const struct aspace *as UNUSED,
                    struct guest_addr addr UNUSED, uint64_t size, unsigned char *vec)
{
    memset(vec, 1, size / 4096);
    return 0;
}

struct memory_object *memory_object_create(struct platform *p UNUSED, uint64_t size UNUSED,
                                           int *err)
{
    struct memory_object *object = call_fails() ? NULL : calloc(1, sizeof(*object));
    if (!object) {
        *err = -ENOMEM;
        return NULL;
    }
    object->refs = 1;
    g_object_references++;
    return object;
}

void memory_object_get(struct platform *p UNUSED, struct memory_object *object)
{
    object->refs++;
    g_object_references++;
}

void memory_object_put(struct platform *p UNUSED, struct memory_object *object)
{
    g_object_references--;
    if (--object->refs == 0)
        free(object);
}

int memory_object_punch(struct platform *p UNUSED, struct memory_object *object UNUSED,
                        uint64_t offset UNUSED, uint64_t size UNUSED)
{
    return 0;
}

/* ---- the world ---- */

struct mm_world *mm_world_create(void)
{
    struct mm_world *w = calloc(1, sizeof(*w));
    int err = 0;
    g_platform = &g_world_platform;
    g_world = w;
    for (int i = 0; i < 16; i++)
        g_world_process.rlimits[i].cur = UINT64_MAX;
    w->mm = mm_create(&err);
    return w;
}

long mm_world_destroy(struct mm_world *w)
{
    mm_put(w->mm, MM_DROP_OUTSIDE);
    free(w);
    g_world = NULL;
    return g_object_references;
}

void mm_world_fail_call(struct mm_world *w, unsigned nth)
{
    w->fail_call = nth;
}

void mm_world_set_stack_limit(uint64_t bytes)
{
    g_world_process.rlimits[RLIMIT_STACK].cur = bytes;
}

int64_t mm_world_map(struct mm_world *w, uint64_t page, uint64_t pages, unsigned prot,
                     unsigned flags)
{
    return mm_map(w->mm, page * 4096, pages * 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, NULL,
                  0, 0);
}

int64_t mm_world_map_shared(struct mm_world *w, uint64_t page, uint64_t pages, unsigned prot)
{
    return mm_map(w->mm, page * 4096, pages * 4096, prot, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
                  NULL, 0, 0);
}

int mm_world_unmap(struct mm_world *w, uint64_t page, uint64_t pages)
{
    return mm_unmap(w->mm, page * 4096, pages * 4096);
}

int mm_world_protect(struct mm_world *w, uint64_t page, uint64_t pages, unsigned prot)
{
    return mm_protect(w->mm, page * 4096, pages * 4096, prot);
}

int64_t mm_world_remap(struct mm_world *w, uint64_t page, uint64_t pages, uint64_t new_pages,
                       unsigned flags, uint64_t to)
{
    return mm_remap(w->mm, page * 4096, pages * 4096, new_pages * 4096, flags, to * 4096);
}

int mm_world_advise(struct mm_world *w, uint64_t page, uint64_t pages, int advice)
{
    return mm_advise(w->mm, page * 4096, pages * 4096, advice);
}

void mm_world_set_brk_start(struct mm_world *w, uint64_t page)
{
    w->mm->brk_start = w->mm->brk_end = page * 4096;
}

uint64_t mm_world_brk(struct mm_world *w, uint64_t addr)
{
    return mm_brk(w->mm, addr);
}

int mm_world_fault(struct mm_world *w, uint64_t page, int write)
{
    return mm_fault(w->mm, page * 4096, write != 0);
}

unsigned mm_world_vma_count(const struct mm_world *w)
{
    return w->mm->vma_count;
}

const char *mm_world_check(struct mm_world *w)
{
    if (!vma_check(w->mm))
        return "tree, list or counters disagree";
    const struct vma *v = w->mm->vmas;
    for (uint64_t page = 0; page < WORLD_END_PAGE; page++) {
        const struct told *t = &w->pages[page];
        uint64_t addr = page * 4096;
        while (v && v->end <= addr)
            v = v->next;
        const struct vma *here = v && v->start <= addr ? v : NULL;
        if (mm_find(w->mm, addr) != here)
            return "lookup disagrees with the list";
        if ((here != NULL) != t->mapped)
            return here ? "a VMA without a mapping" : "a mapping without a VMA";
        if (!here)
            continue;
        if (here->prot != t->prot || here->sharing != t->sharing || here->object != t->object)
            return "a VMA says something else than the platform was told";
        if (here->object && here->offset + (addr - here->start) != t->offset)
            return "an offset is wrong";
    }
    return NULL;
}

int mm_world_fork(struct mm_world *w)
{
    int err = 0;
    struct mm *child = mm_fork(w->mm, &err);
    if (!child)
        return err;
    int same = vma_check(child);
    const struct vma *a = w->mm->vmas, *b = child->vmas;
    while (same && a) {
        if (a->flags & VMA_DONTFORK) {
            a = a->next;
            continue;
        }
        same = b && a->start == b->start && a->end == b->end && a->prot == b->prot &&
               a->object == b->object && a->offset == b->offset;
        a = a->next;
        b = b ? b->next : NULL;
    }
    same = same && !b;
    mm_put(child, MM_DROP_OUTSIDE);
    return same;
}
