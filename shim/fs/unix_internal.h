/*
 * unix_internal.h: what unix_socket.c, unix_data.c and unix_name.c share: AF_UNIX stream, datagram, sequenced packets.
 *
 * A socket is referenced by its open file, by its peer and by those on their way to talk to it. Locks of two sockets are never held
 * together, but a listener's and one of its queue's: a sender takes a reference to its peer under its own lock, then locks the peer.
 */
#ifndef PALIMPSEST_SHIM_FS_UNIX_INTERNAL_H
#define PALIMPSEST_SHIM_FS_UNIX_INTERNAL_H

#include "shim/base/hash.h"
#include "shim/fs/socket.h"

enum socket_state { SOCKET_OPEN, SOCKET_LISTENING, SOCKET_CONNECTED, SOCKET_DEAD };
enum socket_shut { SHUT_IN = 1, SHUT_OUT = 2 }; /* bits */

struct message {
    struct message *prev, *next;
    size_t size, done;           /* done: bytes of a stream that were read */
    struct socket_files *files;  /* on their way: unix_fly() */
    struct socket_address *from; /* of a datagram: behind the data. NULL: nobody with a name */
    struct socket_credentials credentials;
    bool small; /* has room for MESSAGE_SMALL bytes and no more */
    char data[];
};
/* A socket keeps one such for its next send. */
#define MESSAGE_SMALL 60u

/* Who listened, connected or made a pair: SO_PEERCRED, SO_PEERGROUPS. */
struct unix_identity {
    struct socket_credentials id;
    unsigned group_count;
    uint32_t groups[32];
};

struct unix_socket {
    /* What both ends write for each message, in one cache line */
    uint32_t refs; /* atomic */
    struct mutex lock;
    /* under lock */
    enum socket_state state;
    unsigned shut;            /* SHUT_* bits */
    struct unix_socket *peer; /* owned reference; NULL: none */
    struct message *queue;    /* received */
    size_t queued;            /* bytes in it */
    /* woken by everything that happens to the socket: data, room at its peer, connections, hang-up */
    struct wait_queue wait;
    /* The rest is seldom written by the other end */
    struct message *spare; /* atomic: an empty small one, NULL: none */
    int type;              /* SOCK_*; fixed */
    int error;             /* under lock; reported once: SO_ERROR */
    uint64_t id;           /* inode number */
    /* under lock */
    struct message
        *urgent; /* one byte of the queue that MSG_OOB sent and nobody read; NULL: none */
    struct unix_socket *pending; /* of a listener: owned references, not accepted yet */
    struct unix_socket *pending_prev, *pending_next;
    unsigned pending_count, backlog;
    struct socket_address name;
    struct unix_identity self, other; /* the other end's as it was when they met */
    struct socket_settings set;
    struct file
        *file; /* not owned; NULL: not accepted yet, or closed. Fixed while it is in flight */
    /* under g_flight_lock (unix_gc.c) */
    uint32_t in_flight; /* references that messages own to `file` */
    struct unix_socket *flight_prev, *flight_next;
    /* while garbage is looked for: how many of them no suspect's queue owns */
    uint32_t gc_outside;
    bool gc_suspect;
    struct unix_socket *gc_next;
    /* under g_all_lock (unix_socket.c) */
    struct unix_socket *all_prev, *all_next;
    /* under g_socket_names_lock (unix_name.c) */
    struct socket_binding *binding;
    struct async_list async;
    bool wants_room; /* atomic: a send found none, so its end tells of some (ASYNC_OUT) */
    size_t
        room_wanted; /* atomic: of a datagram that found no room, the last time one was sent; 0: it found some */
    /*
     * Under lock: senders connected here that poll told of no room, and whom a read wakes. Under the lock of the socket that crowded_at
     * names, which is atomic: NULL: on no such list.
     */
    struct unix_socket *crowd, *crowd_prev, *crowd_next, *crowded_at;
};

_Static_assert(offsetof(struct unix_socket, spare) == CACHE_LINE,
               "what both write lies in one line");

static inline void unix_get(struct unix_socket *s)
{
    __atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
}
void unix_put(struct unix_socket *s);
/* Every socket there is, with a reference while fn has it. Takes no lock around fn. */
void unix_walk(void (*fn)(void *arg, struct unix_socket *s), void *arg);
/* The peer with a reference; NULL: none. */
struct unix_socket *unix_peer(struct unix_socket *s);
void messages_free(struct message *list); /* linked by ->next */
/* There is room in s, or never will be: senders of datagrams look again. Without locks. */
void unix_crowd_wake(struct unix_socket *s);
/* s no longer has `to` for its peer, which the caller keeps alive. Without locks. */
void unix_crowd_leave(struct unix_socket *s, struct unix_socket *to);
/* Under s->lock: m is the caller's. */
void message_unlink(struct unix_socket *s, struct message *m);

/* Files become part of a message. -ETOOMANYREFS: the user has too many on their way; -ENOMEM. */
int unix_fly(struct task *task, struct socket_files *files);
/* They no longer are; still the caller's. */
void unix_land(struct socket_files *files);
/* Before references that were copied out of a queue are used. Without locks. */
void unix_flight_settle(void);
/* End sockets that only their own and each other's queues hold. Without locks. */
void unix_collect(void);

/* Names. Errors: -EADDRINUSE, -EINVAL, -ECONNREFUSED, and those of path lookup. */
int unix_name_bind(struct task *task, struct unix_socket *s, const struct socket_address *address);
/* Who is to tell its credentials gets a name as well, unless it has one: SO_PASSCRED, unix(7). */
int unix_name_wanted(struct task *task, struct unix_socket *s);
struct unix_socket *unix_name_find(struct task *task, const struct socket_address *address,
                                   int *err);
void unix_name_drop(struct unix_socket *s);

uint32_t unix_file_poll(struct task *task, struct file *f, struct poll_table *table);
int64_t unix_send(struct task *task, struct file *f, struct socket_io *io,
                  struct socket_send *send);
int64_t unix_receive(struct task *task, struct file *f, struct socket_io *io,
                     struct socket_receive *receive);

#endif
