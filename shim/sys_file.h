/*
 * sys_file.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_FILE_H
#define PALIMPSEST_SHIM_SYS_FILE_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_FILE(X)

SHIM_SYSCALLS_FILE(SYSCALL_PROTOTYPE)

#endif
