/*
 * socket_internal.h: what socket.c, socket_data.c and socket_name.c share.
 *
 * A socket is referenced by its open file, by its peer and by those on their way to talk to it. Locks of two sockets are never held
 * together: a sender takes a reference to its peer under its own lock, then locks the peer.
 */
#ifndef PALIMPSEST_SHIM_FS_SOCKET_INTERNAL_H
#define PALIMPSEST_SHIM_FS_SOCKET_INTERNAL_H

#include "shim/base/hash.h"
#include "shim/fs/socket.h"

#define SOCKET_BUFFER 212992u /* net.core.wmem_default */

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
    struct unix_socket *peer; /* owned reference; NULL: none */
    unsigned shut;            /* SHUT_* bits */
    int error;                /* reported once: SO_ERROR */
    struct message *queue;    /* received */
    size_t queued;            /* bytes in it */
    struct unix_socket *pending; /* of a listener: owned references, not accepted yet */
    struct unix_socket *pending_prev, *pending_next;
    unsigned pending_count, backlog;
    struct socket_address name;
    struct socket_credentials self, peer_credentials; /* of who connected or listened */
    bool pass_credentials, pass_type, reuse, keepalive;
    unsigned send_buffer, receive_buffer;
    uint64_t receive_timeout_ns, send_timeout_ns; /* 0: none */
    /* under g_socket_names_lock (socket_name.c) */
    struct socket_binding *binding;
    /* woken by everything that happens to the socket: data, room at its peer, connections, hang-up */
    struct wait_queue wait;
};

static inline void socket_get(struct unix_socket *s)
{
    __atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
}
void socket_put(struct unix_socket *s);
/* The peer with a reference; NULL: none. */
struct unix_socket *socket_peer(struct unix_socket *s);
void message_free(struct message *m);

/* Names. Errors: -EADDRINUSE, -EINVAL, -ECONNREFUSED, and those of path lookup. */
int socket_name_bind(struct task *task, struct unix_socket *s, const struct socket_address *address);
struct unix_socket *socket_name_find(struct task *task, const struct socket_address *address, int *err);
void socket_name_drop(struct unix_socket *s);

int64_t socket_file_read(struct task *task, struct file *f, struct mem_ref into, uint64_t *offset);
int64_t socket_file_write(struct task *task, struct file *f, struct mem_ref from, uint64_t *offset);
uint32_t socket_file_poll(struct task *task, struct file *f, struct poll_table *table);

/* Sleep until `q` is woken: joins it the first time, sleeps the next. Called without locks. 0: look again; -EAGAIN when the
 * deadline passed. */
int socket_wait(struct task *task, struct wait_queue *q, struct waiter *w, uint64_t deadline_ns);
uint64_t socket_deadline(uint64_t timeout_ns); /* 0: for ever */
struct socket_credentials socket_credentials_of(const struct task *task);

#endif
