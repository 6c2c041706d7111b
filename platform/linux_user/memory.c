/*
 * memory.c: guest mappings as host mappings of the carrier the calling thread is in; memory objects as memfds or host files.
 */
#include "platform/linux_user/lu.h"

#include <asm/stat.h>
#include <linux/falloc.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <linux/uio.h>

#include "platform/linux_user/host_file.h"

#define PAGE 4096ull
/*
 * From this size on a private anonymous region asks for huge pages. Smaller ones would be rounded up to 2 MiB of memory at their
 * first touch for little gain; docs/design/0003 has the measurement.
 */
#define HUGE_FROM (4ull << 20)

struct memory_object {
    uint32_t refs;
    int fd;
    struct host_file *file;            /* NULL: a memfd of our own */
    bool shared;                       /* a memfd that was mapped shared; never cleared */
    struct memory_object *prev, *next; /* g_memfds; under its lock */
};
static struct lu_pool g_objects = {.size = sizeof(struct memory_object)};
static struct {
    struct lu_lock lock;
    struct memory_object *first;
} g_memfds;

static int prot_of(unsigned prot)
{
    return (prot & MEMORY_READ ? PROT_READ : 0) | (prot & MEMORY_WRITE ? PROT_WRITE : 0) |
           (prot & MEMORY_EXEC ? PROT_EXEC : 0);
}

static bool inside(const struct aspace *as)
{
    struct thread *t = lu_current();
    return t->aspace && &t->aspace->base == as;
}

/* Nothing of it is left, and where the calling thread is nothing of it may come to be. */
static bool gone(const struct aspace *as)
{
    PLATFORM_REQUIRE(inside(as));
    return lu_is_stranded(lu_current());
}

static int lu_memory_map(struct platform *p UNUSED, const struct aspace *as,
                         const struct memory_map_request *req)
{
    if (gone(as))
        return -ENOMEM;
    int flags =
        MAP_FIXED | MAP_NORESERVE | (req->sharing == MEMORY_SHARED ? MAP_SHARED : MAP_PRIVATE);
    if (!req->object)
        flags |= MAP_ANONYMOUS;
    struct lu_aspace *space = lu_current()->aspace;
    lu_lock(&space->area_lock);
    bool own = lu_sequence_forget(space->carrier, req->addr.raw, req->size);
    struct lu_patch *patch = lu_patch_change_begin(space);
    lu_patch_forget(patch, space->carrier, req->addr.raw, req->size);
    if (req->object && !req->object->file && req->sharing == MEMORY_SHARED) {
        __atomic_store_n(&req->object->shared, true, __ATOMIC_RELAXED);
        lu_patch_forget_object(patch, space->carrier, req->object);
    }
    long at = lu_host(__NR_mmap, req->addr.raw, req->size, prot_of(req->prot), flags,
                      req->object ? req->object->fd : -1, req->object ? req->offset : 0);
    lu_patch_change_end(patch);
    lu_unlock(&space->area_lock);
    if (own)
        lu_sequence_sync(lu_current());
    if (at < 0)
        return (int)at;
    if (!req->object && req->size >= HUGE_FROM && !req->no_huge)
        host_call(__NR_madvise, req->addr.raw, req->size,
                  MADV_HUGEPAGE); /* a wish: may be refused */
    /* What is written through a shared mapping of memory may be code that is to appear in this one. */
    if (req->object && req->sharing == MEMORY_PRIVATE && (req->prot & MEMORY_EXEC) &&
        !(req->prot & MEMORY_WRITE) &&
        (req->object->file || !__atomic_load_n(&req->object->shared, __ATOMIC_RELAXED)))
        lu_patch_text_mapped(space, req);
    return 0;
}

static int lu_memory_unmap(struct platform *p UNUSED, const struct aspace *as,
                           struct guest_addr addr, uint64_t size)
{
    if (gone(as))
        return 0;
    struct lu_aspace *space = lu_current()->aspace;
    lu_lock(&space->area_lock);
    bool own = lu_sequence_forget(space->carrier, addr.raw, size);
    struct lu_patch *patch = lu_patch_change_begin(space);
    lu_patch_forget(patch, space->carrier, addr.raw, size);
    int err = (int)lu_host(__NR_munmap, addr.raw, size);
    lu_patch_change_end(patch);
    lu_unlock(&space->area_lock);
    if (own)
        lu_sequence_sync(lu_current());
    return err;
}

static int lu_memory_protect(struct platform *p UNUSED, const struct aspace *as,
                             struct guest_addr addr, uint64_t size, unsigned prot)
{
    if (gone(as))
        return -ENOMEM;
    struct lu_aspace *space = lu_current()->aspace;
    lu_lock(&space->area_lock);
    bool own = (~prot & (MEMORY_READ | MEMORY_WRITE)) &&
               lu_sequence_forget(space->carrier, addr.raw, size);
    struct lu_patch *patch = lu_patch_change_begin(space);
    /* What stays known as text is readable, executable and not writable. */
    if (prot != (MEMORY_READ | MEMORY_EXEC))
        lu_patch_forget(patch, space->carrier, addr.raw, size);
    int err = (int)lu_host(__NR_mprotect, addr.raw, size, prot_of(prot));
    lu_patch_change_end(patch);
    lu_unlock(&space->area_lock);
    if (own)
        lu_sequence_sync(lu_current());
    return err;
}

static int lu_memory_move(struct platform *p UNUSED, const struct aspace *as,
                          struct guest_addr from, uint64_t old_size, struct guest_addr to,
                          uint64_t new_size)
{
    if (gone(as))
        return -ENOMEM;
    struct lu_aspace *space = lu_current()->aspace;
    lu_lock(&space->area_lock);
    bool own = lu_sequence_forget(space->carrier, from.raw, old_size);
    own |= lu_sequence_forget(space->carrier, to.raw, new_size);
    struct lu_patch *patch = lu_patch_change_begin(space);
    lu_patch_forget(patch, space->carrier, from.raw, old_size);
    lu_patch_forget(patch, space->carrier, to.raw, new_size);
    int flags = from.raw == to.raw ? 0 : MREMAP_MAYMOVE | MREMAP_FIXED;
    long at = lu_host(__NR_mremap, from.raw, old_size, new_size, flags, to.raw);
    lu_patch_change_end(patch);
    lu_unlock(&space->area_lock);
    if (own)
        lu_sequence_sync(lu_current());
    return at < 0 ? (int)at : 0;
}

/* A host before Linux 5.14, or a page that it does not like to populate. */
static int populate_by_touch(uint64_t addr, uint64_t size, enum memory_advice advice)
{
    for (uint64_t at = addr; at < addr + size; at += PAGE) {
        uint32_t value, old;
        int err = lu_load32_fallible(&value, (const void *)at);
        /* Writing what is there: if somebody else writes meanwhile, the page is present as well. */
        if (err == 0 && advice == MEMORY_ADVICE_POPULATE_WRITE)
            err = lu_cmpxchg32_fallible((void *)at, value, value, &old);
        if (err < 0)
            return err;
    }
    return 0;
}

static int lu_memory_advise(struct platform *p UNUSED, const struct aspace *as,
                            struct guest_addr addr, uint64_t size, enum memory_advice advice)
{
    static const int host_advice[] = {
        [MEMORY_ADVICE_DONTNEED] = MADV_DONTNEED,
        [MEMORY_ADVICE_FREE] = MADV_FREE,
        [MEMORY_ADVICE_DONTFORK] = MADV_DONTFORK,
        [MEMORY_ADVICE_DOFORK] = MADV_DOFORK,
        [MEMORY_ADVICE_WIPEONFORK] = MADV_WIPEONFORK,
        [MEMORY_ADVICE_KEEPONFORK] = MADV_KEEPONFORK,
        [MEMORY_ADVICE_HUGEPAGE] = MADV_HUGEPAGE,
        [MEMORY_ADVICE_NOHUGEPAGE] = MADV_NOHUGEPAGE,
        [MEMORY_ADVICE_WILLNEED] = MADV_WILLNEED,
        [MEMORY_ADVICE_POPULATE_READ] = MADV_POPULATE_READ,
        [MEMORY_ADVICE_POPULATE_WRITE] = MADV_POPULATE_WRITE,
    };
    if (gone(as))
        return -ENOMEM;
    struct lu_aspace *space = lu_current()->aspace;
    if (advice == MEMORY_ADVICE_DONTFORK && lu_sequence_inside(space->carrier, addr.raw, size))
        space->sequence_left_out = true;
    struct lu_patch *patch = lu_patch_change_begin(space);
    /* Part of a patch could vanish, here or in a child */
    if (advice <= MEMORY_ADVICE_KEEPONFORK)
        lu_patch_forget(patch, space->carrier, addr.raw, size);
    lu_patch_change_end(patch);
    long err = lu_host(__NR_madvise, addr.raw, size, host_advice[advice]);
    if (err == -EINVAL && advice >= MEMORY_ADVICE_POPULATE_READ)
        return populate_by_touch(addr.raw, size, advice);
    return (int)err;
}

static int lu_memory_resident(struct platform *p UNUSED, const struct aspace *as,
                              struct guest_addr addr, uint64_t size, unsigned char *vec)
{
    if (gone(as))
        return -ENOMEM;
    return (int)lu_host(__NR_mincore, addr.raw, size, vec);
}

/* The part of [addr, addr+size) that lies in the guest's range, as a prefix. */
static size_t reachable(struct guest_addr addr, size_t size)
{
    if (addr.raw < LU_GUEST_MIN || addr.raw >= LU_GUEST_END || !lu_current()->aspace)
        return 0;
    return size < LU_GUEST_END - addr.raw ? size : LU_GUEST_END - addr.raw;
}

static size_t lu_copy_in(struct platform *p UNUSED, void *dst, struct guest_addr src, size_t size)
{
    size_t take = reachable(src, size);
    return size - take + (take ? lu_copy_fallible(dst, (const void *)src.raw, take) : 0);
}

static size_t lu_copy_out(struct platform *p UNUSED, struct guest_addr dst, const void *src,
                          size_t size)
{
    size_t take = reachable(dst, size);
    return size - take + (take ? lu_copy_fallible((void *)dst.raw, src, take) : 0);
}

static size_t lu_zero(struct platform *p UNUSED, struct guest_addr dst, size_t size)
{
    size_t take = reachable(dst, size);
    return size - take + (take ? lu_zero_fallible((void *)dst.raw, take) : 0);
}

static int64_t lu_string_in(struct platform *p UNUSED, char *dst, struct guest_addr src,
                            size_t size)
{
    size_t take = reachable(src, size);
    if (take == 0)
        return size == 0 ? 0 : -EFAULT;
    int64_t length = lu_string_fallible(dst, (const char *)src.raw, take);
    return length == (int64_t)take && take < size ? -EFAULT : length;
}

static int lu_load32(struct platform *p UNUSED, struct guest_addr addr, uint32_t *value)
{
    return reachable(addr, 4) == 4 ? lu_load32_fallible(value, (const void *)addr.raw) : -EFAULT;
}

static int lu_cmpxchg32(struct platform *p UNUSED, struct guest_addr addr, uint32_t expected,
                        uint32_t desired, uint32_t *old)
{
    return reachable(addr, 4) == 4 ? lu_cmpxchg32_fallible((void *)addr.raw, expected, desired, old)
                                   : -EFAULT;
}

/* process_vm_readv and _writev stop at a page that cannot be reached, but only between pages they have pinned: go page by page
 * past the first short answer so that the prefix is exact. */
static size_t cross_copy(long nr, const struct aspace *as, char *local, uint64_t remote,
                         size_t size)
{
    const struct lu_carrier *c = ((const struct lu_aspace *)as)->carrier;
    while (size > 0 && remote >= LU_GUEST_MIN && remote < LU_GUEST_END) {
        size_t step = size < (1u << 20) ? size : (1u << 20);
        if (step > LU_GUEST_END - remote)
            step = LU_GUEST_END - remote;
        struct iovec mine = {.iov_base = local, .iov_len = step};
        struct iovec theirs = {.iov_base = (void *)remote, .iov_len = step};
        long done = host_call(nr, c->tgid, &mine, 1, &theirs, 1, 0);
        if (done <= 0)
            break;
        local += done;
        remote += (uint64_t)done;
        size -= (size_t)done;
    }
    return size;
}

static size_t lu_peek(struct platform *p UNUSED, const struct aspace *as, void *dst,
                      struct guest_addr src, size_t size)
{
    return cross_copy(__NR_process_vm_readv, as, dst, src.raw, size);
}

static size_t lu_poke(struct platform *p UNUSED, const struct aspace *as, struct guest_addr dst,
                      const void *src, size_t size)
{
    return cross_copy(__NR_process_vm_writev, as, (char *)(uintptr_t)src, dst.raw, size);
}

static struct memory_object *object_make(int fd, struct host_file *file, int *err)
{
    struct memory_object *obj = lu_pool_get(&g_objects);
    if (!obj) {
        *err = -ENOMEM;
        return NULL;
    }
    *obj = (struct memory_object){.refs = 1, .fd = fd, .file = file};
    if (!file) {
        lu_lock(&g_memfds.lock);
        obj->next = g_memfds.first;
        if (obj->next)
            obj->next->prev = obj;
        g_memfds.first = obj;
        lu_unlock(&g_memfds.lock);
    }
    return obj;
}

static struct memory_object *lu_object_create(struct platform *p UNUSED, uint64_t size, int *err)
{
    long fd = lu_host(__NR_memfd_create, "guest", MFD_CLOEXEC);
    if (fd < 0) {
        *err = (int)fd;
        return NULL;
    }
    long resized = size > INT64_MAX ? -EFBIG : lu_host(__NR_ftruncate, fd, size);
    struct memory_object *obj = NULL;
    if (resized < 0)
        *err = (int)resized;
    else
        obj = object_make((int)fd, NULL, err);
    if (!obj)
        host_call(__NR_close, fd);
    return obj;
}

static struct memory_object *lu_object_from_file(struct platform *p, struct host_file *file,
                                                 int *err)
{
    struct memory_object *obj = object_make(file->fd, file, err);
    if (obj)
        lu_host_file_ops.get(p, file);
    return obj;
}

int lu_object_fd(const struct memory_object *obj)
{
    return obj->fd;
}

uint64_t lu_object_identity(const struct memory_object *obj)
{
    struct stat st;
    if (host_call(__NR_fstat, obj->fd, &st) < 0)
        return 1;
    return (st.st_dev << 48 ^ st.st_ino) | 1ull << 63;
}

bool lu_object_stamp(const struct memory_object *obj, struct lu_file_stamp *out)
{
    struct stat st;
    /* A memfd is written by mapping, too, without a new time each time. */
    if (!obj->file || host_call(__NR_fstat, obj->fd, &st) < 0)
        return false;
    *out = (struct lu_file_stamp){.device = st.st_dev,
                                  .inode = st.st_ino,
                                  .size = (uint64_t)st.st_size,
                                  .changed_s = (uint64_t)st.st_ctime,
                                  .changed_ns = (uint64_t)st.st_ctime_nsec};
    return true;
}

static void lu_object_get(struct platform *p UNUSED, struct memory_object *obj)
{
    __atomic_add_fetch(&obj->refs, 1, __ATOMIC_RELAXED);
}

static void lu_object_put(struct platform *p, struct memory_object *obj)
{
    if (__atomic_sub_fetch(&obj->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (obj->file) {
        lu_host_file_ops.close(p, obj->file);
    } else {
        lu_lock(&g_memfds.lock);
        *(obj->prev ? &obj->prev->next : &g_memfds.first) = obj->next;
        if (obj->next)
            obj->next->prev = obj->prev;
        lu_unlock(&g_memfds.lock);
        host_call(__NR_close, obj->fd);
    }
    lu_pool_put(&g_objects, obj);
}

uint64_t lu_objects_used(void)
{
    uint64_t blocks = 0;
    /* The lock keeps the descriptors open; fstat of a memfd waits for nothing. */
    lu_lock(&g_memfds.lock);
    for (const struct memory_object *obj = g_memfds.first; obj; obj = obj->next) {
        struct stat st;
        if (host_call(__NR_fstat, obj->fd, &st) == 0)
            blocks += (uint64_t)st.st_blocks;
    }
    lu_unlock(&g_memfds.lock);
    return blocks * 512;
}

static uint64_t lu_object_size(struct platform *p UNUSED, struct memory_object *obj)
{
    long end = host_call(__NR_lseek, obj->fd, 0, 2 /* SEEK_END */);
    return end < 0 ? 0 : (uint64_t)end;
}

static int lu_object_resize(struct platform *p UNUSED, struct memory_object *obj, uint64_t size)
{
    if (size > INT64_MAX)
        return -EFBIG;
    return (int)lu_host(__NR_ftruncate, obj->fd, size);
}

static int lu_object_punch(struct platform *p UNUSED, struct memory_object *obj, uint64_t offset,
                           uint64_t size)
{
    return (int)lu_host(__NR_fallocate, obj->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                        size);
}

static int64_t lu_object_seek(struct platform *p UNUSED, struct memory_object *obj, uint64_t offset,
                              enum memory_seek what)
{
    if (offset > INT64_MAX)
        return -ENXIO;
    return lu_host(__NR_lseek, obj->fd, offset,
                   what == MEMORY_SEEK_DATA ? 3 /* SEEK_DATA */ : 4 /* SEEK_HOLE */);
}

static int64_t lu_object_read(struct platform *p UNUSED, struct memory_object *obj, uint64_t offset,
                              struct mem_ref into)
{
    return lu_transfer(__NR_pread64, obj->fd, into, offset);
}

static int64_t lu_object_write(struct platform *p, struct memory_object *obj, uint64_t offset,
                               struct mem_ref from)
{
    uint64_t size = lu_object_size(p, obj);
    if (offset >= size)
        return 0;
    return lu_transfer(__NR_pwrite64, obj->fd, mem_first(from, size - offset), offset);
}

static void *lu_shim_alloc(struct platform *p UNUSED, size_t size)
{
    return lu_shared_pages_alloc(size);
}

static void lu_shim_free(struct platform *p UNUSED, void *ptr, size_t size)
{
    lu_shared_pages_free(ptr, size);
}

/* Copies touch the host's memory: its kernel finds some, or kills. */
static int lu_on_shortage(struct platform *p UNUSED, memory_shortage ask UNUSED)
{
    return -EOPNOTSUPP;
}

const struct memory_ops lu_memory_ops = {
    .on_shortage = lu_on_shortage,
    .map = lu_memory_map,
    .unmap = lu_memory_unmap,
    .protect = lu_memory_protect,
    .move = lu_memory_move,
    .advise = lu_memory_advise,
    .resident = lu_memory_resident,
    .copy_in = lu_copy_in,
    .copy_out = lu_copy_out,
    .zero = lu_zero,
    .string_in = lu_string_in,
    .load32 = lu_load32,
    .cmpxchg32 = lu_cmpxchg32,
    .peek = lu_peek,
    .poke = lu_poke,
    .object_create = lu_object_create,
    .object_from_file = lu_object_from_file,
    .object_get = lu_object_get,
    .object_put = lu_object_put,
    .object_size = lu_object_size,
    .object_resize = lu_object_resize,
    .object_punch = lu_object_punch,
    .object_seek = lu_object_seek,
    .object_read = lu_object_read,
    .object_write = lu_object_write,
    .shim_alloc = lu_shim_alloc,
    .shim_free = lu_shim_free,
};
