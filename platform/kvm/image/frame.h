/*
 * frame.h: physical memory in frames of 4 KiB with reference counts, and in blocks of 512 of them (2 MiB).
 *
 * A frame is one of: free; counted (frame_alloc: `refs` holders); part of a block that was handed out whole (frame_alloc_huge). Of a
 * whole block, references count on the block (`huge_refs`: entries that map all of it) and on single frames (`refs`: entries that
 * map one, after some space has split its mapping). A frame of such a block is free when both are zero.
 *
 * All functions: any thread, any lock held but the allocator's own. Allocations fail with FRAME_NONE and never sleep but for
 * zeroing.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_FRAME_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/annotations.h"
#include "platform/kvm/image/mm.h"

enum { FRAME_SHIFT = 12, FRAME_SIZE = 1 << FRAME_SHIFT, BLOCK_FRAMES = 512 };
#define BLOCK_SIZE ((uint64_t)FRAME_SIZE * BLOCK_FRAMES)
#define FRAME_NONE UINT64_MAX

enum frame_kind {
    FRAME_FREE,
    FRAME_DATA,  /* what guests see */
    FRAME_FILE,  /* the same, of a host file: could be read again */
    FRAME_TABLE, /* a page of page tables */
    FRAME_LIST,  /* of mappings */
    FRAME_INDEX, /* of a memory object */
    FRAME_POOL,  /* tokens, objects: kept */
    FRAME_RUN,   /* the shim's own memory */
    FRAME_KINDS,
};

struct frame {
    uint32_t refs; /* atomic */
    uint32_t kind; /* enum frame_kind; fixed while refs > 0 */
    uint32_t
        pages; /* TABLE of the lowest level: private pages in it. DATA, FILE: puts that wait for a flush (frame_put_later) */
    uint32_t link; /* DATA, FILE: next frame of that list */
};

enum frame_fill { FRAME_ANY, FRAME_ZEROED };

void frame_init(const struct mm_range *ranges, unsigned count, bool zeroed);
struct frame *frame_of(uint64_t phys);

/* A frame with one reference. */
MUST_USE uint64_t frame_alloc(enum frame_kind kind, enum frame_fill fill);
/* 2 MiB of zeros, aligned, with one reference as a whole. */
MUST_USE uint64_t frame_alloc_huge(void);
/* Requires: the caller holds, or is lent, a reference. */
void frame_get(uint64_t phys);
void frame_put(uint64_t phys);
void frame_get_huge(uint64_t phys);
void frame_put_huge(uint64_t phys);
/* One reference to the whole block becomes one to each of its frames. */
void frame_split_huge(uint64_t phys);
/*
 * Does the caller hold the only reference? An answer of true stays true; false may be out of date at once.
 */
bool frame_is_sole(uint64_t phys);
bool frame_huge_is_sole(uint64_t phys);

/* Physically contiguous, zeroed frames without counts, for the shim. */
MUST_USE uint64_t frame_alloc_run(size_t count);
void frame_free_run(uint64_t phys, size_t count);

/*
 * References that are dropped only after a flush, any number, without memory of its own. One list at a time: the caller serialises.
 */
struct frame_later {
    uint32_t first; /* frame number, 0: none */
};
void frame_put_later(struct frame_later *later, uint64_t phys);
void frame_put_now(struct frame_later *later);

uint64_t frame_count(enum frame_kind kind); /* frames of that kind now */
uint64_t frame_total(void);

#endif
