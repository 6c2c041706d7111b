/*
 * sys_signal.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_SIGNAL_H
#define PALIMPSEST_SHIM_SYS_SIGNAL_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_SIGNAL(X)

SHIM_SYSCALLS_SIGNAL(SYSCALL_PROTOTYPE)

#endif
