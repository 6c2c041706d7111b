/*
 * socket.h: AF_UNIX sockets: stream, datagram, sequenced packets. Semantics: unix(7), socket(7). Results as the system calls of
 * the same names, negative errno on failure; sleeping calls end by -ERESTARTSYS.
 */
#ifndef PALIMPSEST_SHIM_FS_SOCKET_H
#define PALIMPSEST_SHIM_FS_SOCKET_H

#include <stdint.h>

#include "shim/fs/file.h"

struct inode;

/* The kernel's socket.h keeps these to itself; values of the x86-64 ABI. */
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_SEQPACKET 5
#define SHUT_RD 0
#define SHUT_WR 1
#define SHUT_RDWR 2
#define MSG_PEEK 0x2
#define MSG_CTRUNC 0x8
#define MSG_TRUNC 0x20
#define MSG_DONTWAIT 0x40
#define MSG_EOR 0x80
#define MSG_WAITALL 0x100
#define MSG_NOSIGNAL 0x4000
#define MSG_CMSG_CLOEXEC 0x40000000
#define SCM_MAX_FILES 253

/* sockaddr_un as the guest gave it: path or abstract name, `size` bytes with the family. size <= 2: no name. */
struct socket_address {
    uint16_t family;
    char path[110]; /* always terminated */
    unsigned size;
};

struct socket_credentials {
    int32_t pid;
    uint32_t uid, gid;
};

/* Files on their way (SCM_RIGHTS). Owned references. */
struct socket_files {
    unsigned count;
    struct file *file[];
};
void socket_files_put(struct socket_files *files); /* NULL is fine */

/* Where message bytes come from or go to, in order. Advanced by the transfer. */
struct socket_io {
    const struct mem_ref *parts;
    unsigned count;
    unsigned index; /* current part */
    size_t skip;    /* bytes of it done */
    size_t left;    /* bytes in all that remain */
};
struct socket_io socket_io_make(const struct mem_ref *parts, unsigned count);

struct socket_send {
    const struct socket_address *to; /* NULL: the peer */
    struct socket_files *files;      /* consumed on success; NULL: none */
    const struct socket_credentials *credentials; /* NULL: the sender's */
    int flags;                       /* MSG_* */
};
struct socket_receive {
    int flags; /* in: MSG_*; out: MSG_TRUNC, MSG_EOR */
    struct socket_address from;
    struct socket_files *files; /* caller owns; NULL: none */
    struct socket_credentials credentials;
    bool has_credentials; /* the receiver asked for them */
};

/* Owner: caller. flags: O_NONBLOCK or 0. */
struct file *socket_create(struct task *task, int type, uint32_t flags, int *err);
int socket_pair(struct task *task, int type, uint32_t flags, struct file *out[2]);
bool socket_is(const struct file *f);

int socket_bind(struct task *task, struct file *f, const struct socket_address *address);
int socket_listen(struct task *task, struct file *f, int backlog);
int socket_connect(struct task *task, struct file *f, const struct socket_address *address);
struct file *socket_accept(struct task *task, struct file *f, uint32_t flags, struct socket_address *from, int *err);
int64_t socket_send(struct task *task, struct file *f, struct socket_io *io, struct socket_send *send);
int64_t socket_receive(struct task *task, struct file *f, struct socket_io *io, struct socket_receive *receive);
int socket_shutdown(struct file *f, int how);
int socket_name(struct file *f, struct socket_address *out);
int socket_peer_name(struct file *f, struct socket_address *out);
/* value: *size bytes of room in, used out. -ENOPROTOOPT: unknown, counted. */
int socket_get_option(struct file *f, int option, void *value, unsigned *size);
int socket_set_option(struct file *f, int option, const void *value, unsigned size);

#endif
