/*
 * ring.h: a byte queue of fixed capacity. The owner locks.
 */
#ifndef PALIMPSEST_SHIM_FS_RING_H
#define PALIMPSEST_SHIM_FS_RING_H

#include "shim/fs/transfer.h"

struct ring {
    char *data;      /* capacity bytes, from shim_alloc */
    size_t capacity; /* a power of two */
    size_t head, used;
};

static inline size_t ring_free(const struct ring *r)
{
    return r->capacity - r->used;
}

/* Append up to `size` bytes of `from`. Requires: size <= ring_free(), size <= from.size. Result: bytes moved. */
static inline size_t ring_put(struct ring *r, struct mem_ref from, size_t size)
{
    size_t done = 0;

    while (done < size) {
        size_t tail = (r->head + r->used) & (r->capacity - 1);
        size_t part = size - done < r->capacity - tail ? size - done : r->capacity - tail;
        size_t moved = transfer_in(r->data + tail, mem_skip(from, done), part);
        r->used += moved;
        done += moved;
        if (moved < part)
            break;
    }
    return done;
}

/* Copy out up to `size` bytes that start `skip` bytes in, without consuming. Requires: skip + size <= used. */
static inline size_t ring_peek(const struct ring *r, size_t skip, struct mem_ref into, size_t size)
{
    size_t done = 0;

    while (done < size) {
        size_t at = (r->head + skip + done) & (r->capacity - 1);
        size_t part = size - done < r->capacity - at ? size - done : r->capacity - at;
        size_t moved = transfer_out(mem_skip(into, done), r->data + at, part);
        done += moved;
        if (moved < part)
            break;
    }
    return done;
}

static inline void ring_drop(struct ring *r, size_t size)
{
    r->head = (r->head + size) & (r->capacity - 1);
    r->used -= size;
    if (!r->used)
        r->head = 0; /* stay in the part that is in the cache */
}

static inline size_t ring_get(struct ring *r, struct mem_ref into, size_t size)
{
    size_t moved = ring_peek(r, 0, into, size);

    ring_drop(r, moved);
    return moved;
}

#endif
