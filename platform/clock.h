/*
 * clock.h: time and entropy.
 */
#ifndef PALIMPSEST_PLATFORM_CLOCK_H
#define PALIMPSEST_PLATFORM_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "platform/annotations.h"

struct platform;

enum clock_kind {
    CLOCK_KIND_MONOTONIC, /* never goes back; thread_park deadlines are in it */
    CLOCK_KIND_REALTIME,  /* since 1970-01-01 00:00 UTC */
    CLOCK_KIND_BOOTTIME,  /* monotonic, with time suspended */
};

struct clock_ops {
    /* Nanoseconds. Cannot fail. Threads: any. */
    uint64_t (*now)(struct platform *p, enum clock_kind kind);
    /*
     * Fill `out` with cryptographically strong bytes. Cannot fail; may block only before the host
     * has its first entropy.
     */
    void (*entropy)(struct platform *p, void *out, size_t size);
};

uint64_t clock_now(struct platform *p, enum clock_kind kind);
void clock_entropy(struct platform *p, void *out, size_t size);

#endif
