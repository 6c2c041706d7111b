/*
 * mm_advice.c: madvise(2), the mlock(2) family, msync(2) and mincore(2).
 */
#include <linux/mman.h>

#include "platform/errno.h"
#include "shim/fs/file.h"
#include "shim/fs/memfs.h"
#include "shim/mm_private.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/vma.h"

int mm_populate(struct mm *mm, uint64_t start, uint64_t end)
{
    int result = 0;
    for (const struct vma *v = vma_above(mm, start); v && v->start < end; v = v->next) {
        bool own = v->sharing == MEMORY_PRIVATE && v->prot & MEMORY_WRITE;
        uint64_t from = v->start > start ? v->start : start, to = v->end < end ? v->end : end;
        int err = -EFAULT;
        if (v->prot)
            err = memory_advise(g_platform, mm->as, guest_addr(from), to - from,
                                own ? MEMORY_ADVICE_POPULATE_WRITE : MEMORY_ADVICE_POPULATE_READ);
        if (err < 0 && result == 0)
            result = err;
    }
    return result;
}

enum advice_effect {
    ADVICE_UNKNOWN,
    ADVICE_IGNORED, /* changes only speed on Linux, or nothing that a guest sees here */
    ADVICE_PLATFORM,
    ADVICE_FLAG, /* the platform acts at the next fork, and so do the VMAs */
    ADVICE_PUNCH,
    ADVICE_POPULATE,
};
struct advice {
    enum advice_effect effect;
    enum memory_advice platform;
    uint32_t set, clear;
};

static struct advice decode(int linux_advice)
{
    switch (linux_advice) {
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_COLD:
    case MADV_PAGEOUT:
        return (struct advice){.effect = ADVICE_IGNORED};
    case MADV_WILLNEED:
        return (struct advice){.effect = ADVICE_PLATFORM, .platform = MEMORY_ADVICE_WILLNEED};
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
        return (struct advice){.effect = ADVICE_PLATFORM, .platform = MEMORY_ADVICE_DONTNEED};
    case MADV_FREE:
        return (struct advice){.effect = ADVICE_PLATFORM, .platform = MEMORY_ADVICE_FREE};
    case MADV_HUGEPAGE:
        return (struct advice){.effect = ADVICE_PLATFORM, .platform = MEMORY_ADVICE_HUGEPAGE};
    case MADV_NOHUGEPAGE:
        return (struct advice){.effect = ADVICE_PLATFORM, .platform = MEMORY_ADVICE_NOHUGEPAGE};
    case MADV_DONTFORK:
        return (struct advice){ADVICE_FLAG, MEMORY_ADVICE_DONTFORK, .set = VMA_DONTFORK};
    case MADV_DOFORK:
        return (struct advice){ADVICE_FLAG, MEMORY_ADVICE_DOFORK, .clear = VMA_DONTFORK};
    case MADV_WIPEONFORK:
        return (struct advice){ADVICE_FLAG, MEMORY_ADVICE_WIPEONFORK, .set = VMA_WIPEONFORK};
    case MADV_KEEPONFORK:
        return (struct advice){ADVICE_FLAG, MEMORY_ADVICE_KEEPONFORK, .clear = VMA_WIPEONFORK};
    case MADV_REMOVE:
        return (struct advice){.effect = ADVICE_PUNCH};
    case MADV_POPULATE_READ:
        return (struct advice){.effect = ADVICE_POPULATE, .platform = MEMORY_ADVICE_POPULATE_READ};
    case MADV_POPULATE_WRITE:
        return (struct advice){.effect = ADVICE_POPULATE, .platform = MEMORY_ADVICE_POPULATE_WRITE};
    default:
        return (struct advice){.effect = ADVICE_UNKNOWN};
    }
}

/* madvise(2), EINVAL: the advice does not fit this kind of mapping. */
static int check_fit(const struct vma *v, int linux_advice)
{
    bool anonymous = v->sharing == MEMORY_PRIVATE && !v->object;
    switch (linux_advice) {
    case MADV_DONTNEED:
        return v->flags & VMA_LOCKED ? -EINVAL : 0;
    case MADV_FREE:
    case MADV_WIPEONFORK:
        return anonymous ? 0 : -EINVAL;
    case MADV_REMOVE:
        if (v->flags & VMA_LOCKED || !v->object)
            return -EINVAL;
        if (v->file && memfs_write_sealed(v->file))
            return -EPERM;
        return v->sharing == MEMORY_SHARED && (!v->file || vma_may_write(v)) ? 0 : -EACCES;
    case MADV_POPULATE_READ:
        return v->prot & MEMORY_READ ? 0 : -EINVAL;
    case MADV_POPULATE_WRITE:
        return v->prot & MEMORY_WRITE ? 0 : -EINVAL;
    default:
        return 0;
    }
}

/* One VMA's part of the range. */
static int advise_part(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end,
                       int linux_advice)
{
    struct advice advice = decode(linux_advice);
    int err = check_fit(v, linux_advice);
    if (err < 0)
        return err;
    switch (advice.effect) {
    case ADVICE_PUNCH:
        return memory_object_punch(g_platform, v->object, v->offset + (start - v->start),
                                   end - start);
    case ADVICE_POPULATE:
        return memory_advise(g_platform, mm->as, guest_addr(start), end - start, advice.platform);
    case ADVICE_FLAG:
        err = vma_reserve(mm, 2);
        if (err == 0)
            err =
                memory_advise(g_platform, mm->as, guest_addr(start), end - start, advice.platform);
        if (err == 0)
            vma_change_range(mm, start, end, VMA_KEEP_PROT, advice.set, advice.clear);
        return err;
    case ADVICE_PLATFORM:
        err = memory_advise(g_platform, mm->as, guest_addr(start), end - start, advice.platform);
        return advice.platform == MEMORY_ADVICE_WILLNEED ? 0 : err;
    default:
        return 0;
    }
}

int mm_advise(struct mm *mm, uint64_t addr, uint64_t size, int linux_advice)
{
    if (decode(linux_advice).effect == ADVICE_UNKNOWN)
        return -EINVAL;
    uint64_t end = addr + page_up(size);
    if (addr % VMA_PAGE || end < addr || page_up(size) < size)
        return -EINVAL;
    if (end == addr)
        return 0;
    /* A hole is reported, but what is mapped around it is advised all the same; the populating
     * kinds stop at it. */
    int result = 0;
    mutex_lock(&mm->lock);
    for (uint64_t at = addr; at < end;) {
        const struct vma *v = vma_above(mm, at);
        if (!v || v->start > at) {
            result = -ENOMEM;
            if (!v || v->start >= end || decode(linux_advice).effect == ADVICE_POPULATE)
                break;
            at = v->start;
        }
        uint64_t stop = v->end < end ? v->end : end;
        int err = advise_part(mm, v, at, stop, linux_advice);
        if (err < 0) {
            result = err;
            break;
        }
        at = stop;
    }
    vma_unlock(mm);
    return result;
}

/* The part of [start, end) before the first hole. */
static uint64_t mapped_until(const struct mm *mm, uint64_t start, uint64_t end)
{
    for (const struct vma *v = vma_above(mm, start); v && v->start <= start; v = v->next) {
        start = v->end;
        if (start >= end)
            return end;
    }
    return start;
}

/* Bytes that are locked already. */
static uint64_t locked_within(const struct mm *mm, uint64_t start, uint64_t end)
{
    uint64_t bytes = 0;
    for (const struct vma *v = vma_above(mm, start); v && v->start < end; v = v->next)
        if (v->flags & VMA_LOCKED)
            bytes += (v->end < end ? v->end : end) - (v->start > start ? v->start : start);
    return bytes;
}

int mm_lock(struct mm *mm, uint64_t addr, uint64_t size, enum mm_lock_mode mode)
{
    uint64_t start = page_down(addr), end = page_up(addr + size);
    if (addr + size < addr || end < start)
        return -EINVAL;
    if (start == end)
        return 0;
    mutex_lock(&mm->lock);
    uint64_t stop = mapped_until(mm, start, end);
    int err = mode == MM_UNLOCK ? 0 : mm_may_lock(mm, end - start - locked_within(mm, start, end));
    if (err == -EAGAIN) /* mlock(2) calls it ENOMEM, mmap(2) EAGAIN */
        err = -ENOMEM;
    if (err == 0)
        err = vma_reserve(mm, 2);
    if (err == 0 && stop > start) {
        vma_change_range(mm, start, stop, VMA_KEEP_PROT, mode == MM_UNLOCK ? 0 : VMA_LOCKED,
                         mode == MM_UNLOCK ? VMA_LOCKED : 0);
        if (mode == MM_LOCK && mm_populate(mm, start, stop) < 0)
            err = -ENOMEM;
    }
    if (err == 0 && stop < end)
        err = -ENOMEM;
    vma_unlock(mm);
    return err;
}

int mm_lock_all(struct mm *mm, unsigned flags)
{
    uint64_t low = g_platform->guest_min, high = g_platform->guest_end;
    mutex_lock(&mm->lock);
    int err = flags ? mm_may_lock(mm, 0) : 0;
    if (err == 0 && flags & MCL_CURRENT &&
        mm_may_lock(mm, (mm->total.pages - mm->total.locked) * VMA_PAGE) < 0)
        err = -ENOMEM;
    if (err == 0)
        err = vma_reserve(mm, 2);
    if (err == 0) {
        mm->lock_future = flags & MCL_FUTURE;
        mm->lock_on_fault = flags & MCL_ONFAULT;
        if (flags == 0)
            vma_change_range(mm, low, high, VMA_KEEP_PROT, 0, VMA_LOCKED);
        else if (flags & MCL_CURRENT)
            vma_change_range(mm, low, high, VMA_KEEP_PROT, VMA_LOCKED, 0);
        if (flags & MCL_CURRENT && !(flags & MCL_ONFAULT))
            (void)mm_populate(mm, low, high); /* mlockall(2): as far as it goes */
    }
    vma_unlock(mm);
    return err;
}

int mm_sync(struct task *task, uint64_t addr, uint64_t size, unsigned flags)
{
    struct mm *mm = task->mm;
    if (flags & ~(unsigned)(MS_ASYNC | MS_INVALIDATE | MS_SYNC) || addr % VMA_PAGE ||
        (flags & MS_ASYNC && flags & MS_SYNC))
        return -EINVAL;
    uint64_t end = addr + page_up(size);
    if (end < addr)
        return -ENOMEM;
    /* Shared mappings are coherent with their files as they are; MS_SYNC makes the file safe,
     * without the lock. */
    int result = 0;
    for (uint64_t at = addr; at < end;) {
        struct file *sync = NULL;
        mutex_lock(&mm->lock);
        const struct vma *v = vma_above(mm, at);
        if (!v || v->start > at)
            result = -ENOMEM;
        else if (flags & MS_INVALIDATE && v->flags & VMA_LOCKED)
            result = -EBUSY;
        if (!v || v->start >= end || result == -EBUSY) {
            mutex_unlock(&mm->lock);
            break;
        }
        at = v->end;
        if (flags & MS_SYNC && v->sharing == MEMORY_SHARED && v->file && v->file->ops->sync) {
            sync = v->file;
            file_get(sync);
        }
        mutex_unlock(&mm->lock);
        if (sync) {
            int err = sync->ops->sync(task, sync);
            file_put(sync);
            if (err < 0)
                return err;
        }
    }
    return result;
}

int mm_resident(struct mm *mm, uint64_t addr, uint64_t size, unsigned char *vec)
{
    mutex_lock(&mm->lock);
    int err = -ENOMEM;
    if (mapped_until(mm, addr, addr + size) == addr + size)
        err = memory_resident(g_platform, mm->as, guest_addr(addr), size, vec);
    mutex_unlock(&mm->lock);
    return err;
}

/* Whether any page of a mapped range is there. -ENOMEM. */
static int any_resident(const struct mm *mm, uint64_t start, uint64_t end)
{
    unsigned char vec[512];
    for (uint64_t part; start < end; start += part) {
        part = end - start < sizeof(vec) * VMA_PAGE ? end - start : sizeof(vec) * VMA_PAGE;
        int err = memory_resident(g_platform, mm->as, guest_addr(start), part, vec);
        if (err < 0)
            return err;
        for (uint64_t i = 0; i < part / VMA_PAGE; i++)
            if (vec[i] & 1)
                return 1;
    }
    return 0;
}

int mm_set_policy(struct mm *mm, uint64_t start, uint64_t end, uint32_t policy, bool none_there)
{
    mutex_lock(&mm->lock);
    const struct vma *first = vma_above(mm, start);
    /* Taking policies away may go over holes: only something must be there. */
    bool fits = policy == 0 ? first && first->start < end : mapped_until(mm, start, end) == end;
    int err = fits ? 0 : -EFAULT;
    if (err == 0 && none_there) {
        err = any_resident(mm, start, end);
        err = err > 0 ? -EIO : err;
    }
    if (err == 0)
        err = vma_reserve(mm, 2);
    if (err == 0)
        vma_change_range(mm, start, end, VMA_KEEP_PROT, policy << VMA_POLICY_SHIFT,
                         MM_POLICY << VMA_POLICY_SHIFT);
    vma_unlock(mm);
    return err;
}

int mm_policy_at(struct mm *mm, uint64_t addr, uint32_t *policy)
{
    mutex_lock(&mm->lock);
    const struct vma *v = mm_find(mm, addr);
    *policy = v ? mm_policy_of(v) : 0;
    mutex_unlock(&mm->lock);
    return v ? 0 : -EFAULT;
}

int mm_page_present(struct mm *mm, uint64_t page)
{
    unsigned char present = 0;
    mutex_lock(&mm->lock);
    int err = mm_find(mm, page) ? 0 : -EFAULT;
    if (err == 0)
        err = memory_resident(g_platform, mm->as, guest_addr(page), VMA_PAGE, &present);
    mutex_unlock(&mm->lock);
    return err == 0 && !(present & 1) ? -ENOENT : err;
}
