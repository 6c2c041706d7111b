/*
 * sys_time.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_TIME_H
#define PALIMPSEST_SHIM_SYS_TIME_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_TIME(X)                                                                      \
    X(clock_gettime, 2, FULL, "")                                                                  \
    X(clock_getres, 2, FULL, "")                                                                   \
    X(clock_nanosleep, 4, PARTIAL, "on a processor-time clock: looked at every millisecond or so") \
    X(nanosleep, 2, FULL, "")                                                                      \
    X(gettimeofday, 2, FULL, "")                                                                   \
    X(time, 1, FULL, "")                                                                           \
    X(times, 1, FULL, "")                                                                          \
    X(alarm, 1, FULL, "")                                                                          \
    X(getitimer, 2, FULL, "")                                                                      \
    X(setitimer, 3, PARTIAL, "processor-time timers are looked at every millisecond or so")        \
    X(timer_create, 3, PARTIAL,                                                                    \
      "processor-time clocks are looked at every millisecond or so; alarm clocks: EOPNOTSUPP")     \
    X(timer_settime, 4, FULL, "")                                                                  \
    X(timer_gettime, 2, FULL, "")                                                                  \
    X(timer_getoverrun, 1, FULL, "")                                                               \
    X(timer_delete, 1, FULL, "")                                                                   \
    X(clock_settime, 2, PARTIAL, "EPERM: the clock is the host's")                                 \
    X(settimeofday, 2, PARTIAL, "EPERM: the clock is the host's")

SHIM_SYSCALLS_TIME(SYSCALL_PROTOTYPE)

#endif
