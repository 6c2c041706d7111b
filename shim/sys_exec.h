/*
 * sys_exec.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_EXEC_H
#define PALIMPSEST_SHIM_SYS_EXEC_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_EXEC(X)                                                                      \
    X(execve, 3, PARTIAL, "set-user-ID and set-group-ID bits are ignored; no binfmt_misc")         \
    X(execveat, 5, PARTIAL,                                                                        \
      "as execve; a script on a close-on-exec descriptor fails when its "                          \
      "interpreter opens it, not at once")

SHIM_SYSCALLS_EXEC(SYSCALL_PROTOTYPE)

#endif
