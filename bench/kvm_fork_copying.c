/*
 * kvm_fork_copying.c: the page tables of platform/kvm, but for a fork that copies every table, as kernels commonly do. For comparison in
 * bench/kvm_fork alone; all else is the same code.
 */
#include "platform/kvm/image/pagetable.h"

void pt_fork_sharing(struct page_tables *parent, struct page_tables *child);
#define pt_fork pt_fork_sharing
#include "platform/kvm/image/pagetable.c"
#undef pt_fork

/* What a first write would do to one path, for all of them: each table becomes the space's own. */
static void own_all(struct page_tables *pt, uint64_t table, uint64_t start, int level,
                    struct pt_batch *batch)
{
    uint64_t *entries = pt_entries(table);
    const int count = level == PT_LEVELS ? PT_USER_ENTRIES : PT_ENTRIES;
    for (int i = 0; i < count; i++) {
        const uint64_t addr = start + (uint64_t)i * pt_span(level);
        if (!entries[i] || (entries[i] & PTE_HUGE))
            continue;
        if (batch->count > PT_BATCH_MAX - PT_LEVELS)
            pt_finish(pt, batch);
        /* A benchmark has enough memory. */
        PLATFORM_REQUIRE(pt_own_below(pt, &entries[i], addr, level, batch) == 0);
        if (level > 2)
            own_all(pt, entries[i] & PTE_ADDRESS, addr, level - 1, batch);
    }
}

void pt_fork(struct page_tables *parent, struct page_tables *child)
{
    struct pt_batch batch;
    pt_fork_sharing(parent, child);
    pt_batch_init(&batch);
    own_all(child, child->root, 0, PT_LEVELS, &batch);
    pt_finish(child, &batch);
}
