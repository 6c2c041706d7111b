/*
 * pagetable_inside.h: shared by pagetable.c and pagetable_range.c.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_PAGETABLE_INSIDE_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_PAGETABLE_INSIDE_H

#include "platform/kvm/image/mm_env.h"
#include "platform/kvm/image/pagetable.h"

static inline uint64_t *pt_entries(uint64_t table)
{
    return phys_to_virt(table & PTE_ADDRESS);
}
static inline unsigned pt_index(uint64_t addr, int level)
{
    return addr >> (FRAME_SHIFT + 9 * (level - 1)) & (PT_ENTRIES - 1);
}
/* Processors read and mark entries at any time: one access each. */
static inline uint64_t pt_load(const uint64_t *slot)
{
    return __atomic_load_n(slot, __ATOMIC_RELAXED);
}
static inline void pt_store(uint64_t *slot, uint64_t entry)
{
    __atomic_store_n(slot, entry, __ATOMIC_RELEASE);
}
/* The next entry from `i` on that is not zero; PT_ENTRIES: none. Most tables are nearly empty. */
static inline int pt_next(const uint64_t *entries, int i)
{
    for (; i < PT_ENTRIES; i++) {
        while (i % 8 == 0 && i < PT_ENTRIES &&
               !(entries[i] | entries[i + 1] | entries[i + 2] | entries[i + 3] | entries[i + 4] |
                 entries[i + 5] | entries[i + 6] | entries[i + 7]))
            i += 8;
        if (i < PT_ENTRIES && entries[i])
            break;
    }
    return i < PT_ENTRIES ? i : PT_ENTRIES;
}
/* Of a leaf: does it count as the space's own page? */
static inline bool pt_is_own(uint64_t e)
{
    return e && !(e & PTE_OBJECT) && (e & PTE_ADDRESS) != g_zero_frame;
}

struct mm_spinlock *pt_table_lock(uint64_t table);
/* An entry of a table of `level` with no more rights than `limit`, as bits of an entry, grants. */
uint64_t pt_limited(uint64_t e, uint64_t limit, int level);
/*
 * Makes the table below *slot, which is in a table of `level`, this space's alone / turns the huge page there into a table of 512 entries for
 * the same frames. -ENOMEM: nothing was changed.
 */
MUST_USE int pt_own_below(struct page_tables *pt, uint64_t *slot, uint64_t addr, int level,
                          struct pt_batch *batch);
MUST_USE int pt_split(struct page_tables *pt, uint64_t *slot, uint64_t addr,
                      struct pt_batch *batch);
/* Drop what an entry of a table of `level` holds. */
void pt_put_entry(uint64_t e, int level, uint64_t *touched);

#endif
