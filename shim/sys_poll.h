/*
 * sys_poll.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_POLL_H
#define PALIMPSEST_SHIM_SYS_POLL_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_POLL(X)

SHIM_SYSCALLS_POLL(SYSCALL_PROTOTYPE)

#endif
