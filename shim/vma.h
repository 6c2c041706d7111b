/*
 * vma.h: the set of VMAs of one mm: lookup, holes, cutting and joining. Knows no platform call:
 * callers change the space first and the set afterwards. Private to the shim's memory code.
 * Everything under mm->lock.
 *
 * VMAs live in blocks that belong to the mm, so a fork copies them into one block and an exit frees
 * a few blocks. Changing the set takes spare VMAs that were reserved before: after vma_reserve()
 * nothing here can fail.
 */
#ifndef PALIMPSEST_SHIM_VMA_H
#define PALIMPSEST_SHIM_VMA_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/annotations.h"
#include "shim/mm.h"

#define VMA_PAGE 4096ull
#define VMA_GUARD_GAP (256 * VMA_PAGE) /* below a growing stack, as Linux's stack_guard_gap */
#define VMA_MAX_COUNT 65530u           /* Linux's vm.max_map_count */
#define VMA_NO_PLACE UINT64_MAX

static inline uint64_t page_down(uint64_t value)
{
    return value & ~(VMA_PAGE - 1);
}
/* Wraps to 0 for values in the last page: check the range first. */
static inline uint64_t page_up(uint64_t value)
{
    return page_down(value + VMA_PAGE - 1);
}

/* RLIMIT_DATA counts it; it may come to hold pages that nobody else has. */
bool vma_is_data(const struct vma *v);
bool vma_is_promised(const struct vma *v);

/* A shared mapping of a file that is open for writing, not sealed against it: it may be written, now or after mprotect(2). */
bool vma_may_write(const struct vma *v);
/* The file of such a mapping has `change` more of them. */
void vma_count_writable(const struct vma *v, int change);

/* One more, or one less, holder of what `v` refers to. */
void vma_get_references(const struct vma *v);
void vma_put_references(const struct vma *v);

/*
 * Release mm->lock, then drop the files of VMAs that were removed under it: a last file_put may
 * take any lock. Whoever may have removed or joined VMAs unlocks by this.
 */
void vma_unlock(struct mm *mm);

/* Make at least `count` spare VMAs. 0 or -ENOMEM (also when the mm has too many VMAs). */
MUST_USE int vma_reserve(struct mm *mm, unsigned count);

/* The first VMA that ends above addr, or NULL; it holds addr if it starts at or below it. */
struct vma *vma_above(const struct mm *mm, uint64_t addr);
struct vma *vma_last(const struct mm *mm);
/* [start, end) holds no VMA. */
bool vma_range_free(const struct mm *mm, uint64_t start, uint64_t end);

/* A free place of `size` bytes within [low, high), as high (or low) as possible; VMA_NO_PLACE. */
uint64_t vma_place_high(const struct mm *mm, uint64_t size, uint64_t low, uint64_t high);

/*
 * Add what `model` describes (start to flags), joined with its neighbours where Linux would.
 * References to object and file are taken. Requires: the range is free; one spare. Result: the VMA
 * that now holds it.
 */
struct vma *vma_add(struct mm *mm, const struct vma *model);

/* Forget [start, end), cutting VMAs at its ends. Requires: two spares (one more than it may keep).
 * References are dropped. */
void vma_remove_range(struct mm *mm, uint64_t start, uint64_t end);

/*
 * Within [start, end): prot becomes `prot` where it is not VMA_KEEP_PROT, flags become (flags &
 * ~clear) | set. Cuts and joins as needed. Requires: two spares.
 */
#define VMA_KEEP_PROT UINT32_MAX
void vma_change_range(struct mm *mm, uint64_t start, uint64_t end, unsigned prot, uint32_t set,
                      uint32_t clear);

/* Move the start of `v` down to `start`. Requires: the room is free. */
void vma_grow_down(struct mm *mm, struct vma *v, uint64_t start);

/* Fill the empty `child` with copies, VMA_DONTFORK left out. Errors: -ENOMEM, child empty. Undo:
 * vma_clear. */
MUST_USE int vma_copy_all(struct mm *child, const struct mm *parent);
/* Drop every VMA and give back all memory. */
void vma_clear(struct mm *mm);

/* The tree is a balanced search tree with right gaps, the list agrees with it, the totals are
 * right. For tests. */
bool vma_check(const struct mm *mm);

#endif
