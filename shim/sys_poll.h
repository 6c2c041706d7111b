/*
 * sys_poll.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_POLL_H
#define PALIMPSEST_SHIM_SYS_POLL_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_POLL(X)                                                                      \
    X(pipe, 1, FULL, "")                                                                           \
    X(pipe2, 2, PARTIAL, "O_DIRECT (packets) is refused with EINVAL")                              \
    X(poll, 3, FULL, "")                                                                           \
    X(ppoll, 5, FULL, "")                                                                          \
    X(select, 5, FULL, "")                                                                         \
    X(pselect6, 6, FULL, "")

SHIM_SYSCALLS_POLL(SYSCALL_PROTOTYPE)

#endif
