/*
 * transfer.h: move bytes between shim memory and a mem_ref of either kind. Result: bytes moved; fewer than asked when the guest
 * side cannot be reached from there on.
 */
#ifndef PALIMPSEST_SHIM_FS_TRANSFER_H
#define PALIMPSEST_SHIM_FS_TRANSFER_H

#include "platform/guest_memory.h"
#include "shim/base/string.h"
#include "shim/shim.h"
#include "shim/syscall.h"

static inline size_t transfer_in(void *dst, struct mem_ref from, size_t size)
{
    if (!from.shim)
        return size - user_copy_in(dst, from.guest, size);
    memcpy(dst, from.shim, size);
    return size;
}

static inline size_t transfer_out(struct mem_ref into, const void *src, size_t size)
{
    if (!into.shim)
        return size - user_copy_out(into.guest, src, size);
    memcpy(into.shim, src, size);
    return size;
}

#endif
