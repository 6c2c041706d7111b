/*
 * aspace_exec.h: the part of the runner that is inside the instance. Freestanding.
 */
#ifndef PALIMPSEST_FUZZ_ASPACE_EXEC_H
#define PALIMPSEST_FUZZ_ASPACE_EXEC_H

#include "fuzz/aspace_channel.h"
#include "platform/front.h"

struct aspace_exec_blob {
    const struct platform_front *front;
    struct aspace_channel *channel;
};

void aspace_exec_main(struct platform *p, void *blob, size_t size);

#endif
