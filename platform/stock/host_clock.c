/*
 * host_clock.c: see host_clock.h.
 */
#include "platform/stock/host_clock.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "platform/contract.h"
#include "platform/stock/no_guest_clock.h"

static uint64_t host_clock_now(struct platform *p UNUSED, enum clock_kind kind)
{
    static const clockid_t ids[] = {
        [CLOCK_KIND_MONOTONIC] = CLOCK_MONOTONIC,
        [CLOCK_KIND_REALTIME] = CLOCK_REALTIME,
        [CLOCK_KIND_BOOTTIME] = CLOCK_BOOTTIME,
        [CLOCK_KIND_REALTIME_COARSE] = CLOCK_REALTIME_COARSE,
        [CLOCK_KIND_MONOTONIC_COARSE] = CLOCK_MONOTONIC_COARSE,
        [CLOCK_KIND_MONOTONIC_RAW] = CLOCK_MONOTONIC_RAW,
        [CLOCK_KIND_TAI] = CLOCK_TAI,
    };
    struct timespec now;
    PLATFORM_REQUIRE(clock_gettime(ids[kind], &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void host_clock_entropy(struct platform *p UNUSED, void *out, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = getrandom((char *)out + done, size - done, 0);
        PLATFORM_REQUIRE(got > 0 || errno == EINTR);
        if (got > 0)
            done += (size_t)got;
    }
}

const struct clock_ops stock_host_clock_ops = {
    .now = host_clock_now,
    .entropy = host_clock_entropy,
    .guest_entry = stock_no_guest_clock,
};
