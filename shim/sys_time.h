/*
 * sys_time.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_TIME_H
#define PALIMPSEST_SHIM_SYS_TIME_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_TIME(X)

SHIM_SYSCALLS_TIME(SYSCALL_PROTOTYPE)

#endif
