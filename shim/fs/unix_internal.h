/*
 * unix_internal.h: what unix_socket.c, unix_data.c and unix_name.c share: AF_UNIX stream, datagram, sequenced packets.
 *
 * A socket is referenced by its open file, by its peer and by those on their way to talk to it. Locks of two sockets are never held
 * together: a sender takes a reference to its peer under its own lock, then locks the peer.
 */
#ifndef PALIMPSEST_SHIM_FS_UNIX_INTERNAL_H
#define PALIMPSEST_SHIM_FS_UNIX_INTERNAL_H

#include "shim/base/hash.h"
#include "shim/fs/socket.h"

enum socket_state { SOCKET_OPEN, SOCKET_LISTENING, SOCKET_CONNECTED, SOCKET_DEAD };
enum socket_shut { SHUT_IN = 1, SHUT_OUT = 2 }; /* bits */

struct message {
    struct message *prev, *next;
    size_t size, done; /* done: bytes of a stream that were read */
    struct socket_files *files;
    struct socket_credentials credentials;
    struct socket_address from;
    char data[];
};

struct unix_socket {
    uint32_t refs; /* atomic */
    int type;      /* SOCK_*; fixed */
    uint64_t id;   /* inode number */
    struct mutex lock;
    /* under lock */
    enum socket_state state;
    struct unix_socket *peer;    /* owned reference; NULL: none */
    unsigned shut;               /* SHUT_* bits */
    int error;                   /* reported once: SO_ERROR */
    struct message *queue;       /* received */
    size_t queued;               /* bytes in it */
    struct unix_socket *pending; /* of a listener: owned references, not accepted yet */
    struct unix_socket *pending_prev, *pending_next;
    unsigned pending_count, backlog;
    struct socket_address name;
    struct socket_credentials self, peer_credentials; /* of who connected or listened */
    struct socket_settings set;
    /* under g_all_lock (unix_socket.c) */
    struct unix_socket *all_prev, *all_next;
    /* under g_socket_names_lock (unix_name.c) */
    struct socket_binding *binding;
    /* woken by everything that happens to the socket: data, room at its peer, connections, hang-up */
    struct wait_queue wait;
};

static inline void unix_get(struct unix_socket *s)
{
    __atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
}
void unix_put(struct unix_socket *s);
/* Every socket there is. fn may try the lock of the socket, and sleeps for nothing. */
void unix_walk(void (*fn)(void *arg, struct unix_socket *s), void *arg);
/* The peer with a reference; NULL: none. */
struct unix_socket *unix_peer(struct unix_socket *s);
void message_free(struct message *m);

/* Names. Errors: -EADDRINUSE, -EINVAL, -ECONNREFUSED, and those of path lookup. */
int unix_name_bind(struct task *task, struct unix_socket *s, const struct socket_address *address);
struct unix_socket *unix_name_find(struct task *task, const struct socket_address *address,
                                   int *err);
void unix_name_drop(struct unix_socket *s);

uint32_t unix_file_poll(struct task *task, struct file *f, struct poll_table *table);
int64_t unix_send(struct task *task, struct file *f, struct socket_io *io,
                  struct socket_send *send);
int64_t unix_receive(struct task *task, struct file *f, struct socket_io *io,
                     struct socket_receive *receive);

#endif
