/*
 * sys_socket.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_SOCKET_H
#define PALIMPSEST_SHIM_SYS_SOCKET_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_SOCKET(X)                                                                    \
    X(socket, 3, PARTIAL, "AF_UNIX only; other families are EAFNOSUPPORT")                         \
    X(socketpair, 4, PARTIAL, "AF_UNIX only")                                                      \
    X(bind, 3, FULL, "")                                                                           \
    X(listen, 2, FULL, "")                                                                         \
    X(accept, 3, FULL, "")                                                                         \
    X(accept4, 4, FULL, "")                                                                        \
    X(connect, 3, FULL, "")                                                                        \
    X(getsockname, 3, FULL, "")                                                                    \
    X(getpeername, 3, FULL, "")                                                                    \
    X(sendto, 6, PARTIAL, "MSG_OOB is EOPNOTSUPP")                                                 \
    X(recvfrom, 6, PARTIAL, "MSG_OOB is EOPNOTSUPP")                                               \
    X(sendmsg, 3, PARTIAL, "control: SCM_RIGHTS and SCM_CREDENTIALS")                              \
    X(recvmsg, 3, FULL, "")                                                                        \
    X(sendmmsg, 4, PARTIAL, "as sendmsg")                                                          \
    X(recvmmsg, 5, FULL, "")                                                                       \
    X(shutdown, 2, FULL, "")                                                                       \
    X(setsockopt, 5, PARTIAL, "level SOL_SOCKET; unknown options are ENOPROTOOPT")                 \
    X(getsockopt, 5, PARTIAL, "level SOL_SOCKET; unknown options are ENOPROTOOPT")

SHIM_SYSCALLS_SOCKET(SYSCALL_PROTOTYPE)

#endif
