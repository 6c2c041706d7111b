/*
 * sys_socket_control.h: ancillary data of sendmsg and recvmsg: cmsg(3), unix(7).
 */
#ifndef PALIMPSEST_SHIM_SYS_SOCKET_CONTROL_H
#define PALIMPSEST_SHIM_SYS_SOCKET_CONTROL_H

#include <stdint.h>

#include "shim/fs/socket.h"

struct task;

/* struct msghdr of the x86-64 ABI with integers for pointers. */
struct user_msghdr_abi {
    uint64_t name;
    int32_t name_size, pad0;
    uint64_t iov, iov_count;
    uint64_t control, control_size;
    int32_t flags, pad1;
};
_Static_assert(sizeof(struct user_msghdr_abi) == 56, "struct msghdr");

/* What the guest attached, for a socket of `family`. send->files is the caller's to put, send->control to free, on failure too. */
int control_read(struct task *task, int family, const struct user_msghdr_abi *header,
                 struct socket_send *send, struct socket_credentials *credentials);
/* Hand out what came: installs descriptors, writes control data, its size and the flags into the msghdr at `addr`. */
int control_write(struct task *task, const struct user_msghdr_abi *header,
                  struct socket_receive *receive, int flags, uint64_t addr);

#endif
