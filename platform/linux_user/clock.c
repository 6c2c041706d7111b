/*
 * clock.c: the host's clocks and entropy.
 */
#include "platform/clock.h"

#include <linux/time.h>

#include "platform/linux_user/lu.h"

static uint64_t lu_clock_now(struct platform *p UNUSED, enum clock_kind kind)
{
    static const int host_clock[] = {
        [CLOCK_KIND_MONOTONIC] = CLOCK_MONOTONIC,
        [CLOCK_KIND_REALTIME] = CLOCK_REALTIME,
        [CLOCK_KIND_BOOTTIME] = CLOCK_BOOTTIME,
        [CLOCK_KIND_REALTIME_COARSE] = CLOCK_REALTIME_COARSE,
        [CLOCK_KIND_MONOTONIC_COARSE] = CLOCK_MONOTONIC_COARSE,
        [CLOCK_KIND_MONOTONIC_RAW] = CLOCK_MONOTONIC_RAW,
        [CLOCK_KIND_TAI] = CLOCK_TAI,
    };
    struct {
        int64_t sec, nsec;
    } now = {0, 0};
    long (*in_user_mode)(long, void *) =
        (long (*)(long, void *))g_lu.vdso_entry[CLOCK_GUEST_GETTIME];
    if (!in_user_mode || in_user_mode(host_clock[kind], &now) != 0)
        host_call(__NR_clock_gettime, host_clock[kind], &now);
    return (uint64_t)now.sec * 1000000000u + (uint64_t)now.nsec;
}

static void lu_clock_entropy(struct platform *p UNUSED, void *out, size_t size)
{
    char *at = out;
    while (size > 0) {
        long got = host_call(__NR_getrandom, at, size, 0);
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        } else if (got != -EINTR) {
            platform_panic("the host has no entropy: getrandom failed");
        }
    }
}

static uint64_t lu_clock_guest_entry(struct platform *p UNUSED, enum clock_guest_call call)
{
    return g_lu.vdso_entry[call];
}

const struct clock_ops lu_clock_ops = {
    .now = lu_clock_now,
    .entropy = lu_clock_entropy,
    .guest_entry = lu_clock_guest_entry,
};
