/*
 * pool.h: slots of one size, taken from frames that are kept. The slot that has been free for longest is used first. A slot is zero
 * when it is first taken, and as it was left when it is taken again.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_POOL_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_POOL_H

#include "platform/annotations.h"
#include "platform/kvm/image/mm_env.h"

struct pool_link { /* first member of every slot */
    struct pool_link *next;
};

struct pool {
    uint32_t slot_size; /* a multiple of 16, at most a frame */
    struct mm_spinlock lock;
    struct pool_link *first, *last;
};

MUST_USE void *pool_take(struct pool *pool); /* NULL: no memory */
void pool_give(struct pool *pool, void *slot);

#endif
