/*
 * sys_socket.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_SOCKET_H
#define PALIMPSEST_SHIM_SYS_SOCKET_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_SOCKET(X)                                                                    \
    X(socket, 3, PARTIAL,                                                                          \
      "AF_UNIX, and AF_INET, AF_INET6 with TCP and UDP; raw ones with --net=host only")            \
    X(socketpair, 4, FULL, "")                                                                     \
    X(bind, 3, FULL, "")                                                                           \
    X(listen, 2, FULL, "")                                                                         \
    X(accept, 3, FULL, "")                                                                         \
    X(accept4, 4, FULL, "")                                                                        \
    X(connect, 3, PARTIAL, "Internet addresses beyond the loopback are ENETUNREACH")               \
    X(getsockname, 3, FULL, "")                                                                    \
    X(getpeername, 3, FULL, "")                                                                    \
    X(sendto, 6, PARTIAL, "MSG_OOB of AF_UNIX and MSG_FASTOPEN are EOPNOTSUPP")                    \
    X(recvfrom, 6, PARTIAL, "MSG_OOB of AF_UNIX is EOPNOTSUPP; MSG_ERRQUEUE has nothing")          \
    X(sendmsg, 3, PARTIAL,                                                                         \
      "control: SCM_RIGHTS, SCM_CREDENTIALS; of UDP the source, hops, class, UDP_SEGMENT")         \
    X(recvmsg, 3, FULL, "")                                                                        \
    X(sendmmsg, 4, PARTIAL, "as sendmsg")                                                          \
    X(recvmmsg, 5, FULL, "")                                                                       \
    X(shutdown, 2, FULL, "")                                                                       \
    X(setsockopt, 5, PARTIAL, "unknown options are ENOPROTOOPT; groups of multicast ENODEV")       \
    X(getsockopt, 5, PARTIAL, "unknown options are ENOPROTOOPT")

SHIM_SYSCALLS_SOCKET(SYSCALL_PROTOTYPE)

#endif
