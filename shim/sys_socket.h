/*
 * sys_socket.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_SOCKET_H
#define PALIMPSEST_SHIM_SYS_SOCKET_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_SOCKET(X)

SHIM_SYSCALLS_SOCKET(SYSCALL_PROTOTYPE)

#endif
