/*
 * sys_proc.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_PROC_H
#define PALIMPSEST_SHIM_SYS_PROC_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_PROC(X)

SHIM_SYSCALLS_PROC(SYSCALL_PROTOTYPE)

#endif
