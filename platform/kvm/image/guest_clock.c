/*
 * guest_clock.c: see guest_clock.h. What is marked FOR_GUEST runs in ring 3: it may use nothing of the image but g_guest_clock, so no
 * function that is not inlined and no constant in memory (it is compiled without jump tables).
 */
#include "platform/kvm/image/guest_clock.h"

#include <linux/time.h>
#include <linux/time_types.h>

#include "platform/kvm/image/cpu.h"
#include "platform/kvm/image/machine.h"

#define FOR_GUEST __attribute__((section(".guest_text"), used, noinline))
#define NS_PER_SECOND 1000000000u

struct guest_clock g_guest_clock __attribute__((section(".guest_data")));

static inline __attribute__((always_inline)) uint64_t since_start(void)
{
    __asm__ volatile("lfence" : : : "memory");
    uint64_t now = read_tsc(), start = g_guest_clock.tsc;
    if (now <= start)
        return 0;
    return (uint64_t)((unsigned __int128)(now - start) * g_guest_clock.ns_per_tick >> 32);
}

FOR_GUEST static int guest_clock_gettime(int clock, struct __kernel_timespec *out)
{
    uint64_t ns = since_start();
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI)
        ns += g_guest_clock.realtime_ns;
    else if (clock == CLOCK_BOOTTIME)
        ns += g_guest_clock.boottime_ns;
    else
        ns += g_guest_clock.monotonic_ns;
    out->tv_sec = (int64_t)(ns / NS_PER_SECOND);
    out->tv_nsec = (int64_t)(ns % NS_PER_SECOND);
    return 0;
}

FOR_GUEST static int guest_gettimeofday(struct __kernel_old_timeval *out)
{
    uint64_t ns = since_start() + g_guest_clock.realtime_ns;
    if (out) {
        out->tv_sec = (long)(ns / NS_PER_SECOND);
        out->tv_usec = (long)(ns % NS_PER_SECOND / 1000);
    }
    return 0;
}

FOR_GUEST static long guest_time(long *out)
{
    long seconds = (long)((since_start() + g_guest_clock.realtime_ns) / NS_PER_SECOND);
    if (out)
        *out = seconds;
    return seconds;
}

/* The number is the limit of a segment that each processor's own table describes. */
FOR_GUEST static int guest_getcpu(unsigned *cpu)
{
    unsigned index;
    __asm__ volatile("lsl %1, %0" : "=r"(index) : "r"(SELECTOR_CPU_NUMBER) : "cc");
    if (cpu)
        *cpu = index;
    return 0;
}

uint64_t guest_clock_entry(struct platform *p UNUSED, enum clock_guest_call call)
{
    if (!g_features.guest_pages)
        return 0;
    switch (call) {
    case CLOCK_GUEST_GETTIME:
        return (uint64_t)guest_clock_gettime;
    case CLOCK_GUEST_GETTIMEOFDAY:
        return (uint64_t)guest_gettimeofday;
    case CLOCK_GUEST_TIME:
        return (uint64_t)guest_time;
    case CLOCK_GUEST_GETCPU: /* descriptor tables are the host's on software KVM */
        return g_features.syscall_by_fault ? 0 : (uint64_t)guest_getcpu;
    }
    return 0;
}
