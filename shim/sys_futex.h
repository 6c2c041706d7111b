/*
 * sys_futex.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_FUTEX_H
#define PALIMPSEST_SHIM_SYS_FUTEX_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_FUTEX(X)                                                                     \
    X(futex, 6, PARTIAL, "priority-inheriting operations answer ENOSYS")                           \
    X(set_robust_list, 2, FULL, "")                                                                \
    X(get_robust_list, 3, PARTIAL, "for the calling thread only")

SHIM_SYSCALLS_FUTEX(SYSCALL_PROTOTYPE)

#endif
