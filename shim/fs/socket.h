/*
 * socket.h: what sockets of every family have in common. Semantics: socket(7) and the manual of the family. Results as the system
 * calls of the same names, negative errno on failure; sleeping calls end by -ERESTARTSYS.
 */
#ifndef PALIMPSEST_SHIM_FS_SOCKET_H
#define PALIMPSEST_SHIM_FS_SOCKET_H

#include <stdint.h>

#include "shim/fs/file.h"

/* The kernel's socket.h keeps these to itself; values of the x86-64 ABI. */
#define AF_UNSPEC 0
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define SOCK_SEQPACKET 5
#define SHUT_RD 0
#define SHUT_WR 1
#define SHUT_RDWR 2
#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_CTRUNC 0x8
#define MSG_TRUNC 0x20
#define MSG_DONTWAIT 0x40
#define MSG_EOR 0x80
#define MSG_WAITALL 0x100
#define MSG_ERRQUEUE 0x2000
#define MSG_NOSIGNAL 0x4000
#define MSG_MORE 0x8000
#define MSG_WAITFORONE 0x10000
#define MSG_FASTOPEN 0x20000000
#define MSG_CMSG_CLOEXEC 0x40000000
#define SCM_MAX_FILES 253

/*
 * A struct sockaddr of any family as the guest gave it: `path` is what follows the family (a path or abstract name of AF_UNIX,
 * port and address of others). `size` counts the bytes with the family. size <= 2: no name.
 */
#define SOCKET_ADDRESS_MAX 110u /* sizeof(struct sockaddr_un), the largest */
struct socket_address {
    uint16_t family;
    char path[SOCKET_ADDRESS_MAX]; /* always terminated */
    unsigned size;
};

struct socket_credentials {
    int32_t pid;
    uint32_t uid, gid;
};

/* Files on their way (SCM_RIGHTS). Owned references. */
struct socket_files {
    unsigned count;
    uint32_t uid; /* unix_gc.c: whose they are on their way */
    struct file *file[];
};
void socket_files_put(struct socket_files *files); /* NULL is fine */
/* Somebody is at it, and will call unix_collect() when it is done. */
bool socket_files_being_put(void);

/* Where message bytes come from or go to, in order. Advanced by the transfer. */
struct socket_io {
    const struct mem_ref *parts;
    unsigned count;
    unsigned index; /* current part */
    size_t skip;    /* bytes of it done */
    size_t left;    /* bytes in all that remain */
};
struct socket_io socket_io_make(const struct mem_ref *parts, unsigned count);
enum io_direction { IO_FROM_GUEST, IO_TO_GUEST };
/* Move up to `size` bytes and advance. Result: bytes moved; fewer only when the guest side ends or cannot be reached. */
size_t socket_io_move(struct socket_io *io, char *shim, size_t size, enum io_direction direction);

struct socket_send {
    const struct socket_address *to;              /* NULL: the peer */
    struct socket_files *files;                   /* consumed on success; NULL: none */
    const struct socket_credentials *credentials; /* NULL: the sender's */
    int flags;                                    /* MSG_* */
    const char *control;                          /* all control messages as they came */
    size_t control_size;
};

/* struct cmsghdr of the x86-64 ABI. */
struct control_header {
    uint64_t size; /* with this header */
    int32_t level, type;
};
static inline uint64_t control_align(uint64_t n)
{
    return (n + 7) & ~7ull;
}
struct control_message {
    int level, type;
    const char *data; /* not aligned */
    size_t size;
};
/* The message at *at, 0 first, of all those in `control`; *at advances. Result: 1, 0 when there is none more, -EINVAL. */
int control_next(const char *control, size_t size, size_t *at, struct control_message *out);

/* What a receiver asked to be told about a packet, as bits; fs/socket.h's users turn them into control messages. */
enum socket_fact {
    FACT_CREDENTIALS = 1,
    FACT_TIME_US = 2,     /* SO_TIMESTAMP */
    FACT_TIME_NS = 4,     /* SO_TIMESTAMPNS */
    FACT_TO_V4 = 8,       /* IP_PKTINFO */
    FACT_TO_V6 = 16,      /* IPV6_RECVPKTINFO */
    FACT_TTL = 32,        /* IP_RECVTTL */
    FACT_TOS = 64,        /* IP_RECVTOS */
    FACT_HOP_LIMIT = 128, /* IPV6_RECVHOPLIMIT */
    FACT_CLASS = 256,     /* IPV6_RECVTCLASS */
    FACT_PORT = 512,      /* NETLINK_PKTINFO */
};
struct socket_receive {
    int flags; /* in: MSG_*; out: MSG_TRUNC, MSG_EOR */
    struct socket_address from;
    struct socket_files *files; /* caller owns; NULL: none */
    struct socket_credentials credentials;
    unsigned facts;       /* enum socket_fact bits */
    uint64_t time_ns;     /* realtime, when it arrived */
    unsigned char to[16]; /* FACT_TO_*: the address it was sent to, IPv4 mapped */
    int ttl, tos;
    /* Of the host: control messages ready to be given, up to control_room bytes. Caller frees; NULL: none. */
    char *control;
    unsigned control_room, control_size;
};

/* SOL_SOCKET options that every family keeps for its sockets. Guarded by the socket's lock. */
struct socket_settings {
    bool pass_credentials, pass_security, reuse, reuse_port, keepalive, broadcast, oob_inline,
        linger, timestamp, timestamp_ns, dont_route;
    int linger_seconds, priority, mark, receive_low;
    unsigned send_buffer, receive_buffer;         /* bytes, as getsockopt tells */
    uint64_t receive_timeout_ns, send_timeout_ns; /* 0: none */
};
#define SOCKET_BUFFER 212992u /* net.core.wmem_default */
void socket_settings_init(struct socket_settings *s);
/* -ENOPROTOOPT: not one of these. value: *size bytes of room in, used out. */
int socket_settings_get(const struct socket_settings *s, int option, void *value, unsigned *size);
int socket_settings_set(struct task *task, struct socket_settings *s, int option, const void *value,
                        unsigned size);
/* Fill `value` as getsockopt(2) does: cut to the room there is. */
int socket_give(void *value, unsigned *size, const void *from, unsigned from_size);
int socket_give_int(void *value, unsigned *size, int number);

/* A family's calls; a file is a socket when its operations name one of these. All slots are filled. */
struct socket_ops {
    int family;
    int (*bind)(struct task *task, struct file *f, const struct socket_address *address);
    int (*listen)(struct task *task, struct file *f, int backlog);
    int (*connect)(struct task *task, struct file *f, const struct socket_address *address);
    struct file *(*accept)(struct task *task, struct file *f, uint32_t flags,
                           struct socket_address *from, int *err);
    int64_t (*send)(struct task *task, struct file *f, struct socket_io *io,
                    struct socket_send *send);
    int64_t (*receive)(struct task *task, struct file *f, struct socket_io *io,
                       struct socket_receive *receive);
    int (*shutdown)(struct file *f, int how);
    int (*name)(struct file *f, struct socket_address *out);
    int (*peer_name)(struct file *f, struct socket_address *out);
    /* value: *size bytes of room in, used out. -ENOPROTOOPT: unknown, counted. */
    int (*get_option)(struct file *f, int level, int option, void *value, unsigned *size);
    int (*set_option)(struct task *task, struct file *f, int level, int option, const void *value,
                      unsigned size);
};
static inline const struct socket_ops *socket_ops_of(const struct file *f)
{
    return f->ops->socket;
}

/* Owner: caller. flags: O_NONBLOCK or 0. *err: -EAFNOSUPPORT, -EPROTONOSUPPORT, -ESOCKTNOSUPPORT, -ENOMEM, ... */
struct file *socket_create(struct task *task, int family, int type, int protocol, uint32_t flags,
                           int *err);
int socket_pair(struct task *task, int family, int type, int protocol, uint32_t flags,
                struct file *out[2]);

/* ---- for the families ------------------------------------------------------------------------------------------- */

/* Sleep until `q` is woken: joins it the first time, sleeps the next. Called without locks. 0: look again; -EAGAIN when the
 * deadline passed. */
int socket_wait(struct task *task, struct wait_queue *q, struct waiter *w, uint64_t deadline_ns);
uint64_t socket_deadline(uint64_t timeout_ns); /* 0: for ever */
/*
 * What `take` has of a socket, asked again each time `q` is woken if the socket blocks and the answer was NULL with -EAGAIN.
 * NULL: *err is what take said last, or why the sleep ended. Called without locks, as is take.
 */
void *socket_await(struct task *task, struct file *f, struct wait_queue *q, uint64_t timeout_ns,
                   void *(*take)(struct file *f, int *err), int *err);
bool socket_blocks(const struct file *f, int flags);
struct socket_credentials socket_credentials_of(const struct task *task);
int socket_file_stat(struct file *f, struct file_stat *out);
/* read(2), write(2) by way of the family's receive and send. */
int64_t socket_file_read(struct task *task, struct file *f, struct mem_ref into, uint64_t *offset);
int64_t socket_file_write(struct task *task, struct file *f, struct mem_ref from, uint64_t *offset);

/* socket(2) of each family. */
struct file *netlink_create(int type, int protocol, uint32_t flags, int *err);
MUST_USE int netlink_check(const struct file *f); /* -EINVAL: something else is open there */
/*
 * A datagram from the kernel to an open one, for which there will be room: prepared, which may fail (-EAGAIN: the receive buffer is
 * full), it is sent or dropped, which may not. size: at most a page. They take the lock of the socket.
 */
struct netlink_note *netlink_note_prepare(struct file *f, int *err);
void netlink_note_send(struct file *f, struct netlink_note *note, const void *data, size_t size);
void netlink_note_drop(struct file *f, struct netlink_note *note);
struct file *unix_create(struct task *task, int type, int protocol, uint32_t flags, int *err);
int unix_pair(struct task *task, int type, int protocol, uint32_t flags, struct file *out[2]);
struct file *inet_create(struct task *task, int family, int type, int protocol, uint32_t flags,
                         int *err);

#endif
