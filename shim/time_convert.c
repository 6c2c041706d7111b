#include "shim/time_convert.h"

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/shim.h"
#include "shim/syscall.h"

#define NEVER (UINT64_MAX - 1)

struct abi_timespec timespec_from_ns(uint64_t ns)
{
    return (struct abi_timespec){(int64_t)(ns / NS_PER_SEC), (int64_t)(ns % NS_PER_SEC)};
}

struct abi_timeval timeval_from_ns(uint64_t ns)
{
    return (struct abi_timeval){(int64_t)(ns / NS_PER_SEC), (int64_t)(ns % NS_PER_SEC / 1000)};
}

int timespec_to_ns(const struct abi_timespec *ts, uint64_t *ns)
{
    if (ts->sec < 0 || ts->nsec < 0 || ts->nsec >= (int64_t)NS_PER_SEC)
        return -EINVAL;
    if (__builtin_mul_overflow((uint64_t)ts->sec, NS_PER_SEC, ns) ||
        __builtin_add_overflow(*ns, (uint64_t)ts->nsec, ns))
        *ns = NEVER;
    return 0;
}

int timeval_to_ns(const struct abi_timeval *tv, uint64_t *ns)
{
    if (tv->usec < 0 || tv->usec >= 1000000)
        return -EINVAL;
    struct abi_timespec ts = {tv->sec, tv->usec * 1000};
    return timespec_to_ns(&ts, ns);
}

int user_read_timespec(uint64_t addr, uint64_t *ns)
{
    struct abi_timespec ts;
    if (user_read(&ts, addr, sizeof(ts)))
        return -EFAULT;
    return timespec_to_ns(&ts, ns);
}

int user_write_timespec(uint64_t addr, uint64_t ns)
{
    struct abi_timespec ts = timespec_from_ns(ns);
    return user_write(addr, &ts, sizeof(ts));
}

uint64_t deadline_after(uint64_t ns)
{
    uint64_t at;
    if (__builtin_add_overflow(clock_now(g_platform, CLOCK_KIND_MONOTONIC), ns, &at) || at > NEVER)
        return NEVER;
    return at;
}

uint64_t deadline_at_realtime(uint64_t ns)
{
    uint64_t now = clock_now(g_platform, CLOCK_KIND_REALTIME);
    return deadline_after(ns > now ? ns - now : 0);
}
