/*
 * time_convert.h: between the guest's time structs and nanoseconds; saturating, validated.
 */
#ifndef PALIMPSEST_SHIM_TIME_CONVERT_H
#define PALIMPSEST_SHIM_TIME_CONVERT_H

#include <stdint.h>

#include "platform/annotations.h"

#define NS_PER_SEC 1000000000ull

struct abi_timespec {
    int64_t sec, nsec;
};
struct abi_timeval {
    int64_t sec, usec;
};
struct abi_itimerspec {
    struct abi_timespec interval, value;
};

struct abi_timespec timespec_from_ns(uint64_t ns);
struct abi_timeval timeval_from_ns(uint64_t ns);
/* 0, or -EINVAL: negative, or nanoseconds out of range. Too large: UINT64_MAX - 1, which no clock reaches. */
MUST_USE int timespec_to_ns(const struct abi_timespec *ts, uint64_t *ns);
MUST_USE int timeval_to_ns(const struct abi_timeval *tv, uint64_t *ns);

/* From and to the calling task's memory: -EFAULT, -EINVAL. */
MUST_USE int user_read_timespec(uint64_t addr, uint64_t *ns);
MUST_USE int user_write_timespec(uint64_t addr, uint64_t ns);

/* Monotonic deadline for thread_park: now + ns. */
uint64_t deadline_after(uint64_t ns);
/* Monotonic deadline for an absolute CLOCK_REALTIME time. The host's clock may be set meanwhile; we don't follow. */
uint64_t deadline_at_realtime(uint64_t ns);

#endif
