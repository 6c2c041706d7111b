/*
 * pool.c: see pool.h.
 */
#include "platform/kvm/image/pool.h"

#include "platform/kvm/image/frame.h"

static void append(struct pool *pool, struct pool_link *link)
{
    link->next = NULL;
    if (pool->last)
        pool->last->next = link;
    else
        pool->first = link;
    pool->last = link;
}

static void *take(struct pool *pool)
{
    mm_spin_lock(&pool->lock);
    struct pool_link *link = pool->first;
    if (link) {
        pool->first = link->next;
        if (!pool->first)
            pool->last = NULL;
    }
    mm_spin_unlock(&pool->lock);
    return link;
}

void *pool_take(struct pool *pool)
{
    void *slot = take(pool);
    if (slot)
        return slot;
    uint64_t frame = frame_alloc(FRAME_POOL, FRAME_ZEROED);
    if (frame == FRAME_NONE)
        return NULL;
    char *slots = phys_to_virt(frame);
    /* The first one is ours: others may take the rest before we come to it. */
    mm_spin_lock(&pool->lock);
    for (uint32_t at = pool->slot_size; at + pool->slot_size <= FRAME_SIZE; at += pool->slot_size)
        append(pool, (struct pool_link *)(void *)(slots + at));
    mm_spin_unlock(&pool->lock);
    return slots;
}

void pool_give(struct pool *pool, void *slot)
{
    mm_spin_lock(&pool->lock);
    append(pool, slot);
    mm_spin_unlock(&pool->lock);
}
