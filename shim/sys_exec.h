/*
 * sys_exec.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_EXEC_H
#define PALIMPSEST_SHIM_SYS_EXEC_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_EXEC(X)

SHIM_SYSCALLS_EXEC(SYSCALL_PROTOTYPE)

#endif
