#include "shim/wait_time.h"

#include <linux/time_types.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "platform/thread.h"
#include "shim/shim.h"
#include "shim/signal.h"
#include "shim/syscall.h"

#define NS_PER_SEC 1000000000

uint64_t wait_deadline(int64_t sec, int64_t nsec)
{
    if (!sec && !nsec)
        return 0;
    if (sec >= INT64_MAX / NS_PER_SEC)
        return THREAD_WAIT_FOREVER;
    return clock_now(g_platform, CLOCK_KIND_MONOTONIC) + (uint64_t)sec * NS_PER_SEC +
           (uint64_t)nsec;
}

uint64_t wait_deadline_ms(int timeout_ms)
{
    if (timeout_ms < 0)
        return THREAD_WAIT_FOREVER;
    return wait_deadline(timeout_ms / 1000, (int64_t)(timeout_ms % 1000) * 1000000);
}

int wait_deadline_user(uint64_t addr, uint64_t *deadline_ns)
{
    struct __kernel_timespec ts;
    int r;

    *deadline_ns = THREAD_WAIT_FOREVER;
    if (!addr)
        return 0;
    r = user_read(&ts, addr, sizeof(ts));
    if (r)
        return r;
    if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= NS_PER_SEC)
        return -EINVAL;
    *deadline_ns = wait_deadline(ts.tv_sec, ts.tv_nsec);
    return 0;
}

uint64_t wait_left(uint64_t deadline_ns)
{
    uint64_t now = clock_now(g_platform, CLOCK_KIND_MONOTONIC);

    return deadline_ns > now ? deadline_ns - now : 0;
}

void wait_time_left(uint64_t addr, uint64_t deadline_ns)
{
    uint64_t left;
    struct __kernel_timespec ts;

    if (!addr || deadline_ns == THREAD_WAIT_FOREVER)
        return;
    left = wait_left(deadline_ns);
    ts = (struct __kernel_timespec){(int64_t)(left / NS_PER_SEC), (int64_t)(left % NS_PER_SEC)};
    if (user_write(addr, &ts, sizeof(ts)))
        return; /* the call itself succeeded: Linux says nothing either */
}

int wait_mask_user(struct task *task, uint64_t addr, uint64_t size)
{
    struct sigset mask;
    int r;

    if (!addr)
        return 0;
    if (size != sizeof(mask))
        return -EINVAL;
    r = user_read(&mask, addr, sizeof(mask));
    if (!r)
        signal_set_temporary_mask(task, mask);
    return r;
}
