/*
 * clock_guest.c: clocks by the vDSO, between two readings by the system call: in order, and without a call of their own: pal --stats shows
 * that only the calls made here were made.
 */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 200 };

static int64_t in_ns(const struct timespec *at)
{
    return at->tv_sec * INT64_C(1000000000) + at->tv_nsec;
}

static int64_t by_call(clockid_t clock)
{
    struct timespec at = {0, -1};
    return syscall(SYS_clock_gettime, clock, &at) == 0 ? in_ns(&at) : -1;
}

static int64_t by_vdso(clockid_t clock)
{
    struct timespec at = {0, -1};
    return clock_gettime(clock, &at) == 0 ? in_ns(&at) : -1;
}

static int wrong(clockid_t clock)
{
    int64_t before = by_call(clock), last = before;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t now = by_vdso(clock);
        if (now < last)
            return 1;
        last = now;
    }
    return before <= 0 || last == before || by_call(clock) < last;
}

int main(void)
{
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};
    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
        if (wrong(clocks[i])) {
            printf("clock %d is out of order\n", (int)clocks[i]);
            return 1;
        }
    }
    struct timeval day;
    int64_t before = by_vdso(CLOCK_REALTIME) / 1000000000;
    if (gettimeofday(&day, NULL) != 0 || day.tv_sec < before || time(NULL) < day.tv_sec ||
        day.tv_usec < 0 || day.tv_usec > 999999 || sched_getcpu() < 0) {
        printf("gettimeofday, time or getcpu is wrong\n");
        return 1;
    }
    return 0;
}
