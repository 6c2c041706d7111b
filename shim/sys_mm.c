/*
 * sys_mm.c: system calls on memory: they decode and check, mm does the work.
 */
#include "shim/sys_mm.h"

#include <linux/mman.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/fs/file.h"
#include "shim/mm.h"
#include "shim/shim.h"
#include "shim/vma.h"

/* What MAP_SHARED_VALIDATE accepts; other unknown bits are ignored by the older types (mmap(2)). */
#define MAP_KNOWN                                                                                  \
    (MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | MAP_32BIT | MAP_GROWSDOWN | MAP_DENYWRITE |            \
     MAP_EXECUTABLE | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK |       \
     MAP_HUGETLB | MAP_FIXED_NOREPLACE | MAP_HUGE_2MB | MAP_HUGE_1GB)

long sys_mmap(struct task *task, const struct syscall_args *args)
{
    uint64_t addr = args->a[0], size = args->a[1], offset = args->a[5];
    unsigned prot = (unsigned)args->a[2], flags = (unsigned)args->a[3];
    if (offset % VMA_PAGE)
        return -EINVAL;
    struct file *file = NULL;
    if (!(flags & MAP_ANONYMOUS)) {
        file = fd_get(task, (int)args->a[4]);
        if (!file)
            return -EBADF;
    }
    int64_t result;
    if ((flags & MAP_TYPE) == MAP_SHARED_VALIDATE && (!file || flags & ~(unsigned)MAP_KNOWN))
        result = file ? -EOPNOTSUPP : -EINVAL;
    else if (flags & MAP_HUGETLB)
        result = file ? -EINVAL : -ENOMEM;
    else if (file && flags & MAP_GROWSDOWN)
        result = -EINVAL;
    else
        result = mm_map(task->mm, addr, size, prot, flags, file, file ? offset : 0, 0);
    if (file)
        file_put(file);
    return result;
}

long sys_munmap(struct task *task, const struct syscall_args *args)
{
    return mm_unmap(task->mm, args->a[0], args->a[1]);
}

long sys_mprotect(struct task *task, const struct syscall_args *args)
{
    return mm_protect(task->mm, args->a[0], args->a[1], (unsigned)args->a[2]);
}

long sys_pkey_mprotect(struct task *task, const struct syscall_args *args)
{
    if ((int)args->a[3] != -1)
        return -EINVAL;
    return mm_protect(task->mm, args->a[0], args->a[1], (unsigned)args->a[2]);
}

long sys_pkey_alloc(struct task *task, const struct syscall_args *args)
{
    (void)task;
    return args->a[0] != 0 || args->a[1] & ~3ull ? -EINVAL : -ENOSPC;
}

long sys_pkey_free(struct task *task, const struct syscall_args *args)
{
    (void)task;
    (void)args;
    return -EINVAL;
}

long sys_brk(struct task *task, const struct syscall_args *args)
{
    return (long)mm_brk(task->mm, args->a[0]);
}

long sys_mremap(struct task *task, const struct syscall_args *args)
{
    return mm_remap(task->mm, args->a[0], args->a[1], args->a[2], (unsigned)args->a[3], args->a[4]);
}

long sys_madvise(struct task *task, const struct syscall_args *args)
{
    return mm_advise(task->mm, args->a[0], args->a[1], (int)args->a[2]);
}

long sys_msync(struct task *task, const struct syscall_args *args)
{
    return mm_sync(task, args->a[0], args->a[1], (unsigned)args->a[2]);
}

long sys_mincore(struct task *task, const struct syscall_args *args)
{
    uint64_t addr = args->a[0], size = args->a[1], out = args->a[2];
    if (addr % VMA_PAGE)
        return -EINVAL;
    if (size == 0)
        return 0;
    if (page_up(size) < size || !guest_range_ok(g_platform, guest_addr(addr), page_up(size)))
        return -ENOMEM;
    size = page_up(size);
    unsigned char vec[512];
    while (size > 0) {
        uint64_t part = size < sizeof(vec) * VMA_PAGE ? size : sizeof(vec) * VMA_PAGE;
        int err = mm_resident(task->mm, addr, part, vec);
        if (err == 0)
            err = user_write(out, vec, part / VMA_PAGE);
        if (err < 0)
            return err;
        addr += part;
        size -= part;
        out += part / VMA_PAGE;
    }
    return 0;
}

/* From `v` on to `end` there is no hole and nothing else: pieces of one mapping. Under mm->lock. */
static bool is_one_mapping(const struct vma *v, uint64_t end)
{
    for (const struct vma *next = v->next; v->end < end; v = next, next = v->next)
        if (!next || next->start != v->end || next->object != v->object || next->file != v->file ||
            next->prot != v->prot || next->sharing != v->sharing || next->flags != v->flags)
            return false;
    return true;
}

/* remap_file_pages(2): since Linux 4.0 a mapping like any other. */
long sys_remap_file_pages(struct task *task, const struct syscall_args *args)
{
    uint64_t start = page_down(args->a[0]), size = page_down(args->a[1]), page = args->a[3];
    if (args->a[2] != 0 || start + size <= start || page + size / VMA_PAGE < page ||
        page > UINT64_MAX / VMA_PAGE)
        return -EINVAL;
    struct mm *mm = task->mm;
    mutex_lock(&mm->lock);
    const struct vma *v = mm_find(mm, start);
    bool found = v && v->sharing == MEMORY_SHARED && v->object && is_one_mapping(v, start + size);
    struct vma was = found ? *v : (struct vma){0};
    if (was.file)
        file_get(was.file);
    if (was.object)
        memory_object_get(g_platform, was.object);
    mutex_unlock(&mm->lock);
    if (!found)
        return -EINVAL;
    unsigned flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE | ((unsigned)args->a[4] & MAP_NONBLOCK) |
                     (was.flags & VMA_LOCKED ? MAP_LOCKED : 0);
    uint64_t offset = page * VMA_PAGE;
    int64_t at = was.file ? mm_map(mm, start, size, was.prot, flags, was.file, offset, 0)
                          : mm_map_object(mm, start, size, was.prot, flags, was.object, offset, 0);
    memory_object_put(g_platform, was.object);
    if (was.file)
        file_put(was.file);
    return at < 0 ? at : 0;
}

long sys_mlock(struct task *task, const struct syscall_args *args)
{
    return mm_lock(task->mm, args->a[0], args->a[1], MM_LOCK);
}

long sys_mlock2(struct task *task, const struct syscall_args *args)
{
    if (args->a[2] & ~(uint64_t)MLOCK_ONFAULT)
        return -EINVAL;
    return mm_lock(task->mm, args->a[0], args->a[1], args->a[2] ? MM_LOCK_ON_FAULT : MM_LOCK);
}

long sys_munlock(struct task *task, const struct syscall_args *args)
{
    return mm_lock(task->mm, args->a[0], args->a[1], MM_UNLOCK);
}

long sys_mlockall(struct task *task, const struct syscall_args *args)
{
    uint64_t flags = args->a[0];
    if (flags == 0 || flags & ~(uint64_t)(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) ||
        flags == MCL_ONFAULT)
        return -EINVAL;
    return mm_lock_all(task->mm, (unsigned)flags);
}

long sys_munlockall(struct task *task, const struct syscall_args *args)
{
    (void)args;
    return mm_lock_all(task->mm, 0);
}
