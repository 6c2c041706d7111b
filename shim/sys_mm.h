/*
 * sys_mm.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_MM_H
#define PALIMPSEST_SHIM_SYS_MM_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_MM(X)

SHIM_SYSCALLS_MM(SYSCALL_PROTOTYPE)

#endif
