/*
 * sys_futex.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_FUTEX_H
#define PALIMPSEST_SHIM_SYS_FUTEX_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_FUTEX(X)

SHIM_SYSCALLS_FUTEX(SYSCALL_PROTOTYPE)

#endif
