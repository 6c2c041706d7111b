/*
 * sys_futex.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_FUTEX_H
#define PALIMPSEST_SHIM_SYS_FUTEX_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_FUTEX(X)                                                                     \
    X(futex, 6, PARTIAL,                                                                           \
      "PI operations hand locks over; no priority is inherited: the host schedules")               \
    X(futex_waitv, 5, FULL, "")                                                                    \
    X(set_robust_list, 2, FULL, "")                                                                \
    X(get_robust_list, 3, FULL, "")

SHIM_SYSCALLS_FUTEX(SYSCALL_PROTOTYPE)

#endif
