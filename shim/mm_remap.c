/*
 * mm_remap.c: mremap(2).
 */
#include <linux/mman.h>

#include "platform/errno.h"
#include "shim/mm_private.h"
#include "shim/shim.h"
#include "shim/vma.h"

static struct vma part_of(const struct vma *v, uint64_t addr, uint64_t start, uint64_t size)
{
    struct vma model = *v;
    model.start = start;
    model.end = start + size;
    if (v->object)
        model.offset = v->offset + (addr - v->start);
    if (addr != start)
        model.flags &= ~(uint32_t)(VMA_HEAP | VMA_STACK);
    return model;
}

/* What the platform knows of the mapping (advice, large pages) reaches the tail because its last
 * page is what grows. */
static int64_t grow_in_place(struct mm *mm, const struct vma *v, uint64_t old_end, uint64_t new_end)
{
    struct guest_addr last = guest_addr(old_end - VMA_PAGE);
    struct vma tail = part_of(v, old_end, old_end, new_end - old_end);
    int err = vma_reserve(mm, 3);
    if (err == 0)
        err = memory_move(g_platform, mm->as, last, VMA_PAGE, last, VMA_PAGE + (new_end - old_end));
    if (err < 0)
        return err;
    vma_add(mm, &tail);
    if (tail.flags & VMA_LOCKED)
        (void)mm_populate(mm, old_end, new_end);
    return 0;
}

/* `to` is free or to be replaced; the ranges do not overlap. new_size >= old_size. */
static int64_t move(struct mm *mm, const struct vma *v, uint64_t addr, uint64_t old_size,
                    uint64_t to, uint64_t new_size)
{
    struct vma model = part_of(v, addr, to, new_size);
    int err = vma_reserve(mm, 5);
    if (err == 0)
        err = memory_move(g_platform, mm->as, guest_addr(addr), old_size, guest_addr(to), new_size);
    if (err < 0) {
        mm_forget_range(mm, to, to + new_size);
        return err;
    }
    vma_remove_range(mm, to, to + new_size);
    vma_add(mm, &model); /* holds its references before the old range drops them */
    vma_remove_range(mm, addr, addr + old_size);
    if (model.flags & VMA_LOCKED && new_size > old_size)
        (void)mm_populate(mm, to + old_size, to + new_size);
    return (int64_t)to;
}

/* MREMAP_DONTUNMAP: the old range stays mapped; private pages are gone from it, so it reads as its object or zeros. */
static int64_t move_and_keep(struct mm *mm, const struct vma *v, uint64_t addr, uint64_t size,
                             uint64_t to)
{
    struct vma old = part_of(v, addr, addr, size);
    old.flags &= ~(uint32_t)VMA_LOCKED;
    vma_get_references(&old);
    int64_t result = move(mm, v, addr, size, to, size);
    int err = result < 0 ? (int)result : vma_reserve(mm, 1);
    if (err == 0)
        err = mm_map_pages(mm, &old);
    if (err == 0)
        vma_add(mm, &old);
    vma_put_references(&old);
    return err < 0 ? err : result;
}

/* old_size 0: a second view of a shared mapping. */
static int64_t duplicate(struct mm *mm, const struct vma *v, uint64_t addr, uint64_t to,
                         uint64_t size)
{
    struct vma model = part_of(v, addr, to, size);
    int err = vma_reserve(mm, 3);
    if (err == 0)
        err = mm_map_pages(mm, &model);
    if (err < 0) {
        mm_forget_range(mm, to, to + size);
        return err;
    }
    vma_get_references(&model); /* the range replaced may be the last to hold them */
    vma_remove_range(mm, to, to + size);
    vma_add(mm, &model);
    vma_put_references(&model);
    return (int64_t)to;
}

static int64_t remap_locked(struct mm *mm, uint64_t addr, uint64_t old_size, uint64_t new_size,
                            unsigned flags, uint64_t new_addr)
{
    struct vma *v = mm_find(mm, addr);
    if (!v)
        return -EFAULT;
    if (old_size == 0 && (v->sharing != MEMORY_SHARED || !(flags & MREMAP_MAYMOVE)))
        return -EINVAL;
    if (old_size >= new_size) {
        uint64_t cut = old_size - new_size;
        if (cut > 0) {
            int err = vma_reserve(mm, 2);
            if (err == 0)
                err = memory_unmap(g_platform, mm->as, guest_addr(addr + new_size), cut);
            if (err < 0)
                return err;
            vma_remove_range(mm, addr + new_size, addr + old_size);
        }
        if (!(flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)))
            return (int64_t)addr;
        old_size = new_size;
        v = mm_find(mm, addr);
    }
    if (!v || old_size > v->end - addr)
        return -EFAULT;
    if (v->object && v->offset + (addr - v->start) + new_size < new_size)
        return -EINVAL;
    uint64_t more = flags & MREMAP_DONTUNMAP ? new_size : new_size - old_size;
    if (!mm_may_grow(mm, v, more))
        return -ENOMEM;
    int refused = v->flags & VMA_LOCKED ? mm_may_lock(mm, new_size - old_size) : 0;
    if (refused)
        return -EAGAIN;
    if (!(flags & MREMAP_FIXED)) {
        uint64_t end = addr + new_size;
        if (!(flags & MREMAP_DONTUNMAP) && old_size > 0 && addr + old_size == v->end &&
            end > addr && end <= g_platform->guest_end && vma_range_free(mm, v->end, end)) {
            int64_t err = grow_in_place(mm, v, addr + old_size, end);
            return err < 0 ? err : (int64_t)addr;
        }
        if (!(flags & MREMAP_MAYMOVE))
            return -ENOMEM;
        bool wish = flags & MREMAP_DONTUNMAP && new_addr >= g_platform->guest_min &&
                    guest_range_ok(g_platform, guest_addr(new_addr), new_size) &&
                    vma_range_free(mm, new_addr, new_addr + new_size);
        if (!wish)
            new_addr = mm_choose(mm, new_size);
        if (new_addr == VMA_NO_PLACE)
            return -ENOMEM;
    }
    if (flags & MREMAP_DONTUNMAP)
        return move_and_keep(mm, v, addr, old_size, new_addr);
    if (old_size == 0)
        return duplicate(mm, v, addr, new_addr, new_size);
    return move(mm, v, addr, old_size, new_addr, new_size);
}

int64_t mm_remap(struct mm *mm, uint64_t addr, uint64_t old_size, uint64_t new_size, unsigned flags,
                 uint64_t new_addr)
{
    if (flags & ~(unsigned)(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) || addr % VMA_PAGE)
        return -EINVAL;
    if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) && !(flags & MREMAP_MAYMOVE))
        return -EINVAL;
    if (flags & MREMAP_DONTUNMAP && page_up(old_size) != page_up(new_size))
        return -EINVAL;
    uint64_t room = g_platform->guest_end - g_platform->guest_min;
    if (new_size == 0 || new_size > room || old_size > room ||
        addr > g_platform->guest_end - page_up(old_size))
        return -EINVAL;
    old_size = page_up(old_size);
    new_size = page_up(new_size);
    if (flags & MREMAP_DONTUNMAP && new_addr % VMA_PAGE)
        return -EINVAL; /* a wish where to */
    if (flags & MREMAP_FIXED) {
        if (new_addr % VMA_PAGE || !guest_range_ok(g_platform, guest_addr(new_addr), new_size))
            return -EINVAL;
        if (addr + old_size > new_addr && new_addr + new_size > addr)
            return -EINVAL;
    }
    mutex_lock(&mm->lock);
    int64_t result = remap_locked(mm, addr, old_size, new_size, flags, new_addr);
    vma_unlock(mm);
    return result;
}
