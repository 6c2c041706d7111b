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
    /* Variants: a platform without one of its own answers as clock_kind_basic() says. */
    CLOCK_KIND_REALTIME_COARSE,  /* never ahead of REALTIME; cheaper, some milliseconds behind */
    CLOCK_KIND_MONOTONIC_COARSE, /* likewise */
    CLOCK_KIND_MONOTONIC_RAW,    /* without adjustments of its rate */
    CLOCK_KIND_TAI,              /* REALTIME without leap seconds */
};

static inline enum clock_kind clock_kind_basic(enum clock_kind kind)
{
    switch (kind) {
    case CLOCK_KIND_REALTIME_COARSE:
    case CLOCK_KIND_TAI:
        return CLOCK_KIND_REALTIME;
    case CLOCK_KIND_MONOTONIC_COARSE:
    case CLOCK_KIND_MONOTONIC_RAW:
        return CLOCK_KIND_MONOTONIC;
    default:
        return kind;
    }
}

/* What guest code may do without a system call; each like Linux's function of that name in its vDSO, vdso(7). */
enum clock_guest_call {
    /* clock_gettime: the clocks of clock_kind, by their Linux numbers; nothing else is asked */
    CLOCK_GUEST_GETTIME,
    CLOCK_GUEST_GETTIMEOFDAY, /* gettimeofday; the zone is always NULL */
    CLOCK_GUEST_TIME,         /* time: REALTIME_COARSE in seconds */
    CLOCK_GUEST_GETCPU,       /* getcpu: as thread_cpu_current; the node is always NULL */
};

struct clock_ops {
    /* Nanoseconds. Cannot fail. Threads: any. */
    uint64_t (*now)(struct platform *p, enum clock_kind kind);
    /*
     * Fill `out` with cryptographically strong bytes. Cannot fail; may block only before the host
     * has its first entropy.
     */
    void (*entropy)(struct platform *p, void *out, size_t size);
    /*
     * Where such a function lies: code outside the guest's range, readable and executable in every space, that guest code may
     * call (System V ABI, on the guest's stack, no vector registers but those a call may change). It tells what now() and
     * thread_cpu_current() tell, and where it can't, it makes the system call. 0: none; the shim's image makes the system call.
     * Constant once shim control has begun. Threads: any.
     */
    uint64_t (*guest_entry)(struct platform *p, enum clock_guest_call call);
};

uint64_t clock_now(struct platform *p, enum clock_kind kind);
void clock_entropy(struct platform *p, void *out, size_t size);
uint64_t clock_guest_entry(struct platform *p, enum clock_guest_call call);

#endif
