/*
 * mm_private.h: what mm.c shares with the other files of the memory code. Everything under
 * mm->lock, the space active.
 */
#ifndef PALIMPSEST_SHIM_MM_PRIVATE_H
#define PALIMPSEST_SHIM_MM_PRIVATE_H

#include "shim/mm.h"

/* RLIMIT_* of the calling task's process; no limit outside of any task. */
uint64_t mm_limit(unsigned which);
/* RLIMIT_AS, RLIMIT_DATA and the instance's memory allow `size` more bytes of the kind that `v` is. */
bool mm_may_grow(const struct mm *mm, const struct vma *v, uint64_t size);
/* RLIMIT_MEMLOCK: 0; -EPERM nothing may be locked at all; -EAGAIN not `size` bytes more. */
MUST_USE int mm_may_lock(const struct mm *mm, uint64_t size);
unsigned mm_prot_of_linux(unsigned linux_prot);
/* A free place as mmap(2) chooses it; VMA_NO_PLACE. */
uint64_t mm_choose(const struct mm *mm, uint64_t size);
/* Map what `model` describes; the VMAs are the caller's affair. */
MUST_USE int mm_map_pages(struct mm *mm, const struct vma *model);
/* After a failed platform call left [start, end) in doubt: unmap it and forget its VMAs. Requires:
 * two spares. */
void mm_forget_range(struct mm *mm, uint64_t start, uint64_t end);
/* Bring pages in, to be written where they may be: failures are -EFAULT
 * or -ENOMEM, and what can be had is there all the same. The range is mapped. */
int mm_populate(struct mm *mm, uint64_t start, uint64_t end);

#endif
