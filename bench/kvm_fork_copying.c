/*
 * kvm_fork_copying.c: the page tables of platform/kvm, but for a fork that copies every table, as kernels commonly do. For comparison in
 * kvm_fork_bench alone; all else is the same code.
 */
#include "platform/kvm/image/pagetable.h"

void pt_fork_sharing(struct page_tables *parent, struct page_tables *child);
#define pt_fork pt_fork_sharing
#include "platform/kvm/image/pagetable.c"
#undef pt_fork

/* A table of the child's own, with a copy of all tables below. The parent stays the sole holder of its tables. */
static uint64_t copy_tree(struct page_tables *parent, uint64_t table, int level)
{
    const uint64_t whole = PTE_PRESENT | PTE_WRITE | PTE_USER;
    uint64_t copy = frame_alloc(FRAME_TABLE, FRAME_ZEROED);
    PLATFORM_REQUIRE(copy != FRAME_NONE); /* a benchmark has enough */
    parent->touched += PT_ENTRIES;
    if (level == 1) {
        copy_table(table, copy, whole, level);
        return copy;
    }
    uint64_t *from = pt_entries(table), *to = pt_entries(copy);
    for (int i = 0; i < PT_ENTRIES; i++) {
        PLATFORM_REQUIRE(!(from[i] & (PTE_HUGE | PTE_COW | PTE_LIMITED)));
        if (from[i])
            to[i] = copy_tree(parent, from[i] & PTE_ADDRESS, level - 1) | whole;
    }
    return copy;
}

void pt_fork(struct page_tables *parent, struct page_tables *child)
{
    const uint64_t *from = pt_entries(parent->root);
    uint64_t *to = pt_entries(child->root);
    for (int i = 0; i < PT_USER_ENTRIES; i++)
        if (from[i])
            to[i] = copy_tree(parent, from[i] & PTE_ADDRESS, PT_LEVELS - 1) | PTE_PRESENT |
                    PTE_WRITE | PTE_USER;
    child->pages = parent->pages;
    child->tables = parent->tables;
}
