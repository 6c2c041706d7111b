/*
 * pagetable.h: 4-level page tables whose pages are shared copy-on-write between spaces.
 *
 * fork shares whatever hangs below the root: entries of both roots lose their write bit, and every page they point to counts one
 * more holder. A page of tables with several holders is never changed (but for what pt_drop_object does to all of them at once);
 * who wants to change it takes a copy first, whose entries hold what the original's entries hold. So the first write in a region copies
 * one path of at most three tables, and whoever is left alone with a table takes it back as it is.
 *
 * An entry that is not zero holds a reference to its table or frame, present or not. Bits of ours:
 *    PTE_COW      its write bit was taken because of sharing
 *    PTE_LIMITED  of an upper entry: rights were taken by pt_limit() and are still to be taken from each entry below
 *    PTE_OBJECT   of a leaf: the frame belongs to a memory object
 *    PTE_DOOMED   of any: unmapped, waiting for the flush
 * Rights of a leaf never exceed those of its mapping; the fault handler raises them.
 * Intel SDM vol. 3, 4.5 for formats (bits 9-11 and 52-58 are ignored by processors), 4.10 for what must be flushed when.
 *
 * All functions: under the space's mutex.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_PAGETABLE_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_PAGETABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/annotations.h"
#include "platform/guest_memory.h"
#include "platform/kvm/image/frame.h"

struct kvm_aspace;

#define PTE_PRESENT UINT64_C(1)
#define PTE_WRITE UINT64_C(2)
#define PTE_USER UINT64_C(4)
#define PTE_HUGE UINT64_C(0x80)
#define PTE_OBJECT UINT64_C(0x200)
#define PTE_LIMITED UINT64_C(0x400)
#define PTE_DOOMED UINT64_C(0x800)
#define PTE_COW (UINT64_C(1) << 52)
#define PTE_NX (UINT64_C(1) << 63)
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)

enum { PT_LEVELS = 4, PT_ENTRIES = 512, PT_USER_ENTRIES = 256 };
#define PT_USER_END (UINT64_C(1) << 47)

static inline uint64_t
pt_span(int level) /* bytes under one entry of a table of that level, 1 to 4 */
{
    return UINT64_C(1) << (FRAME_SHIFT + 9 * (level - 1));
}

struct page_tables {
    uint64_t root;          /* physical */
    uint64_t pages;         /* the space's own: private and of no object; 4 KiB each */
    uint64_t tables;        /* in the tree, shared or not, with the root */
    uint64_t tables_copied; /* ever, because somebody else held them too */
    uint64_t
        touched; /* entries looked at by copies and walks of ranges, ever: what operations cost */
    struct kvm_aspace *space; /* whom to flush */
};

enum { PT_BATCH_MAX = 8 };
/* What a change left to be flushed, and then dropped. Starts as {0}; ends in pt_finish(). */
struct pt_batch {
    uint64_t start, end; /* to flush; empty: nothing */
    unsigned count;
    uint64_t dead[PT_BATCH_MAX]; /* frames, a table's with its level in the low bits */
    bool taken_back; /* a table or page became writable again because nobody else was left */
};

/* The frame of zeros that reads of untouched memory show. Not counted. */
extern uint64_t g_zero_frame;

void pt_init(const uint64_t kernel_half[MM_KERNEL_ENTRIES]);

/* 0 or -ENOMEM. */
MUST_USE int pt_create(struct page_tables *pt, struct kvm_aspace *space);
/*
 * `child` was created and is empty; afterwards it shares everything with the parent. Cannot fail. The caller flushes the parent.
 */
void pt_fork(struct page_tables *parent, struct page_tables *child);
/* All of it, the root too. No processor uses it any more, and none will. */
void pt_destroy(struct page_tables *pt);

/* MEMORY_* that an entry grants. */
static inline unsigned pt_rights(uint64_t e)
{
    if (!(e & PTE_PRESENT))
        return 0;
    return MEMORY_READ | (e & PTE_WRITE ? MEMORY_WRITE : 0) | (e & PTE_NX ? 0 : MEMORY_EXEC);
}

/* What is at an address, for looking only. level 0: nothing, and `entry` is 0. */
struct pt_leaf {
    uint64_t entry;
    int level;       /* 1, or 2 for a huge page */
    unsigned rights; /* MEMORY_* that every level grants */
    uint64_t phys;   /* of the byte asked for */
};
struct pt_leaf pt_find(const struct page_tables *pt, uint64_t addr);

/*
 * The slot for addr in a table of `level` (1 or 2) which is this space's alone, with all tables above it. Makes, copies, takes back and
 * splits what is in the way. NULL: no memory, nothing a guest could see was changed.
 */
MUST_USE uint64_t *pt_own(struct page_tables *pt, uint64_t addr, int level, struct pt_batch *batch);
/* The slot for addr in a table of the lowest level, if all on the way is there and this space's alone already; else NULL. */
MUST_USE uint64_t *pt_owned(const struct page_tables *pt, uint64_t addr);
/* Write a leaf into a slot that pt_own gave; keeps counts. References are the caller's affair. */
void pt_set(struct page_tables *pt, uint64_t *slot, int level, uint64_t entry);

void pt_batch_flush(struct pt_batch *batch, uint64_t start, uint64_t end);
static inline void
pt_batch_init(struct pt_batch *batch) /* as {0}; most faults never look at `dead` */
{
    batch->start = batch->end = 0;
    batch->count = 0;
    batch->taken_back = false;
}
void pt_batch_put(struct pt_batch *batch, uint64_t phys);
void pt_finish(struct page_tables *pt, struct pt_batch *batch);

/*
 * Prepare so that pt_unmap, pt_limit and pt_move up to this edge need no memory. -ENOMEM: nothing a guest could see was changed.
 */
MUST_USE int pt_prepare(struct page_tables *pt, uint64_t edge, struct pt_batch *batch);
/* Both edges of the range are prepared. One flush at most. */
void pt_unmap(struct page_tables *pt, uint64_t start, uint64_t end, struct pt_batch *batch);
/* Take away the rights that are not in `prot` (MEMORY_*). As pt_unmap. */
void pt_limit(struct page_tables *pt, uint64_t start, uint64_t end, unsigned prot,
              struct pt_batch *batch);
/*
 * Move what is mapped in [from, from + size) to `to`, where nothing is mapped. pt_prepare_move came before, and both edges of
 * both ranges are prepared. `prot`: rights of the mapping.
 */
MUST_USE int pt_prepare_move(struct page_tables *pt, uint64_t from, uint64_t to, uint64_t size,
                             struct pt_batch *batch);
void pt_move(struct page_tables *pt, uint64_t from, uint64_t to, uint64_t size, unsigned prot,
             struct pt_batch *batch);

/*
 * An object lost pages which are mapped here: entries in the range that show it, or all entries (PT_DROP_ALL) are cleared, in shared
 * tables too, for all who share them. Needs no memory. The frames join `later`; the caller flushes every space, then drops them. True: own pages
 * went out of tables that others share, so `pages` of every space that maps the object must be counted again.
 */
enum pt_drop { PT_DROP_OBJECT, PT_DROP_ALL };
bool pt_drop_object(struct page_tables *pt, uint64_t start, uint64_t end, enum pt_drop what,
                    struct frame_later *later);
void pt_recount(struct page_tables *pt);

/* Tables below the root that another space also has in its tree. Quick right after pt_fork. */
uint64_t pt_tables_shared(struct page_tables *pt);

#endif
