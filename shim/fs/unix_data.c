/*
 * AF_UNIX sockets: messages. A stream is a queue of messages too, read without regard to their borders but where files travel:
 * these come with the first byte of their message, and a read does not run past it.
 */
#include <asm/fcntl.h>
#include <asm/poll.h>
#include <asm/socket.h>
#include <linux/signal.h>

#include "platform/errno.h"
#include "shim/fs/unix_internal.h"
#include "shim/fs/transfer.h"
#include "shim/process.h"
#include "shim/signal.h"
#include "shim/stats.h"

#define STREAM_CHUNK 32768u
#define NOBODY 65534u /* the overflow uid and gid */

/* `keeper`: of the caller; may keep it for its next send, unless NULL. */
static void message_free(struct message *m, struct unix_socket *keeper)
{
    if (m->files) {
        unix_land(m->files);
        socket_files_put(m->files);
    }
    if (!m->small)
        shim_free(m);
    else if (keeper)
        shim_free_line(__atomic_exchange_n(&keeper->spare, m, __ATOMIC_ACQ_REL));
    else
        shim_free_line(m);
}

static void messages_free_by(struct message *list, struct unix_socket *keeper)
{
    struct message *m, *tmp;

    LL_FOREACH_SAFE(list, m, tmp)
    message_free(m, keeper);
}

void messages_free(struct message *list)
{
    messages_free_by(list, NULL);
}

void message_unlink(struct unix_socket *s, struct message *m)
{
    DL_DELETE(s->queue, m);
    s->queued -= m->size - m->done;
    if (s->urgent == m)
        s->urgent = NULL;
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

/* Of a stream's bytes: what was read last may be written anew, and is in this processor's cache. */
static struct message *message_alloc(struct unix_socket *s, size_t size)
{
    bool datagram = s->type == SOCK_DGRAM, small = !datagram && size <= MESSAGE_SMALL;
    size_t room = small ? MESSAGE_SMALL : (size + 7) & ~(size_t)7;
    struct message *m = NULL;

    if (small && __atomic_load_n(&s->spare, __ATOMIC_RELAXED))
        m = __atomic_exchange_n(&s->spare, NULL, __ATOMIC_ACQ_REL);
    if (!m)
        m = small ? shim_zalloc_line(sizeof(*m) + room)
                  : shim_alloc(sizeof(*m) + room + (datagram ? sizeof(*m->from) : 0));
    if (!m)
        return NULL;
    memset(m, 0, sizeof(*m));
    m->small = small;
    if (datagram)
        m->from = (struct socket_address *)(void *)((char *)(m + 1) + room);
    return m;
}

static struct message *message_make(struct unix_socket *s, struct socket_io *io, size_t size,
                                    int *err)
{
    struct message *m = message_alloc(s, size);
    size_t moved;

    if (!m) {
        *err = -ENOMEM;
        return NULL;
    }
    moved = socket_io_move(io, m->data, size, IO_FROM_GUEST);
    m->size = moved;
    if (moved < size) {
        message_free(m, s);
        *err = -EFAULT;
        return NULL;
    }
    return m;
}

/*
 * Under the receiver's lock: does `size` more fit? An empty queue takes anything. What a connection carries counts against its sender's
 * buffer, as on Linux, and there a message may go beyond: else a sender of big ones got -EAGAIN from a socket that poll calls writable.
 */
static bool has_room(const struct unix_socket *from, const struct unix_socket *to, size_t size)
{
    if (from->type == SOCK_DGRAM)
        return !to->queue || to->queued + size <= to->set.receive_buffer;
    return to->queued < from->set.send_buffer;
}

/* Under the receiver's lock: poll's answer for the sender of a connection, which is not woken for every few bytes. unix_writable(). */
static bool is_writable(const struct unix_socket *from, const struct unix_socket *to)
{
    return to->queued * 4 <= from->set.send_buffer;
}

struct delivery {
    bool urgent;             /* in: MSG_OOB */
    struct file_owner owner; /* out: whom to tell of it; F_SETOWN of the receiver */
};

/* 0: queued, m is the receiver's. -EAGAIN: full. */
static int try_deliver(struct unix_socket *from, struct unix_socket *to, struct message *m,
                       struct delivery *d)
{
    bool stream = from->type != SOCK_DGRAM;
    int r = 0;

    mutex_lock(&to->lock);
    if (to->state == SOCKET_DEAD)
        r = stream ? -EPIPE : -ECONNREFUSED;
    else if (to->shut & SHUT_IN)
        r = -EPIPE;
    else if (!has_room(from, to, m->size)) {
        __atomic_store_n(&from->wants_room, true, __ATOMIC_RELAXED);
        __atomic_store_n(&from->room_wanted, m->size, __ATOMIC_RELAXED);
        r = -EAGAIN;
    } else {
        __atomic_store_n(&from->room_wanted, 0, __ATOMIC_RELAXED);
        wait_queue_prepare_wake(&to->wait);
        DL_APPEND(to->queue, m);
        to->queued += m->size;
        if (d->urgent) {
            to->urgent = m; /* an older one becomes a byte as any */
            if (to->file)
                d->owner = async_owner(to->file);
        }
    }
    mutex_unlock(&to->lock);
    if (!r) {
        wait_queue_wake_all(&to->wait);
        async_notify(&to->async, ASYNC_IN);
    }
    return r;
}

/* Deliver, waiting for room. */
static int deliver(struct task *task, struct file *f, struct unix_socket *s, struct unix_socket *to,
                   struct message *m, int flags, struct delivery *d)
{
    bool block = socket_blocks(f, flags);
    uint64_t deadline = socket_deadline(s->set.send_timeout_ns);
    struct waiter w = {0};
    int r = try_deliver(s, to, m, d);

    /* The receiver wakes its own queue when it drains. */
    while (r == -EAGAIN && block) {
        int wait = socket_wait(task, &to->wait, &w, deadline);
        r = try_deliver(s, to, m, d);
        if (r == -EAGAIN && wait) {
            r = wait;
            break;
        }
    }
    wait_queue_remove(&w);
    return r;
}

/* The receiver of a send with a reference, or why there is none. */
static struct unix_socket *send_target(struct task *task, struct unix_socket *s,
                                       const struct socket_send *send, int *err)
{
    struct unix_socket *to;

    if (send->to) {
        if (s->type != SOCK_DGRAM) {
            *err = s->state == SOCKET_CONNECTED ? -EISCONN : -EOPNOTSUPP;
            return NULL;
        }
        to = unix_name_find(task, send->to, err);
        if (to && to->type != s->type) {
            unix_put(to);
            *err = -EPROTOTYPE;
            return NULL;
        }
        return to;
    }
    to = unix_peer(s);
    if (!to)
        *err = -ENOTCONN;
    return to;
}

static int take_error(struct unix_socket *s)
{
    int r;

    if (!__atomic_load_n(&s->error, __ATOMIC_RELAXED))
        return 0;
    mutex_lock(&s->lock);
    r = s->error;
    s->error = 0;
    mutex_unlock(&s->lock);
    return r;
}

/* What a receiver that asked for credentials will see; nothing of who did not know that anybody would. */
static struct socket_credentials credentials_for(struct task *task, const struct unix_socket *s,
                                                 const struct unix_socket *to,
                                                 const struct socket_send *send)
{
    const struct process *p = task->process;

    if (send->credentials)
        return *send->credentials;
    if (s->set.pass_credentials || to->set.pass_credentials || !to->file)
        return (struct socket_credentials){p->pid, p->uid, p->gid};
    return (struct socket_credentials){0, NOBODY, NOBODY};
}

/* One message of `size` bytes. send->files go with it. */
static int send_piece(struct task *task, struct file *f, struct unix_socket *to,
                      struct socket_io *io, size_t size, struct socket_send *send,
                      struct delivery *d)
{
    struct unix_socket *s = f->data;
    int r = 0;
    struct message *m = message_make(s, io, size, &r);

    if (!m)
        return r;
    m->credentials = credentials_for(task, s, to, send);
    if (s->type == SOCK_DGRAM) {
        mutex_lock(&s->lock);
        *m->from = s->name;
        mutex_unlock(&s->lock);
    }
    if (send->files)
        r = unix_fly(task, send->files);
    if (!r) {
        m->files = send->files;
        r = deliver(task, f, s, to, m, send->flags, d);
        if (!r) {
            send->files = NULL;
            return 0;
        }
    }
    if (m->files)
        unix_land(m->files);
    m->files = NULL; /* the caller's again */
    message_free(m, s);
    return r;
}

int64_t unix_send(struct task *task, struct file *f, struct socket_io *io, struct socket_send *send)
{
    struct unix_socket *s = f->data, *to;
    bool stream = s->type == SOCK_STREAM, urgent = send->flags & MSG_OOB;
    struct delivery plain = {0}, last = {.urgent = true};
    int64_t done = 0;
    int r = urgent && (!stream || !io->left) ? -EOPNOTSUPP : take_error(s);

    if (!r && send->to && (send->to->family != AF_UNIX || send->to->size > SOCKET_ADDRESS_MAX))
        r = -EINVAL;
    if (!r && s->type == SOCK_DGRAM)
        r = unix_name_wanted(task, s);
    if (r)
        return r;
    if (!stream && io->left > s->set.send_buffer)
        return -EMSGSIZE;
    to = send_target(task, s, send, &r);
    if (!to)
        return r;
    if (s->shut & SHUT_OUT)
        r = -EPIPE;
    while (!r && (io->left > urgent || (!done && !stream))) {
        size_t size = io->left - urgent;
        if (stream && size > STREAM_CHUNK)
            size = STREAM_CHUNK;
        r = send_piece(task, f, to, io, size, send, &plain);
        if (!r)
            done += (int64_t)size;
        if (!stream)
            break;
    }
    if (!r && urgent) {
        r = send_piece(task, f, to, io, 1, send, &last);
        if (!r)
            done++;
        async_signal_owner(&last.owner, SIGURG);
    }
    unix_put(to);
    if (r == -EPIPE && !done && stream && !(send->flags & MSG_NOSIGNAL))
        signal_sigpipe(task);
    return done ? done : r;
}

/* ---- receiving -------------------------------------------------------------------------------------------------- */

static bool same_sender(const struct message *a, const struct socket_credentials *b)
{
    return a->credentials.pid == b->pid && a->credentials.uid == b->uid &&
           a->credentials.gid == b->gid;
}

/* What a peeking receiver gets: references of its own. NULL also when memory is short. */
static struct socket_files *files_copy(const struct socket_files *files)
{
    struct socket_files *copy;

    if (!files)
        return NULL;
    copy = shim_alloc(sizeof(*copy) + files->count * sizeof(struct file *));
    if (!copy)
        return NULL;
    copy->count = files->count;
    for (unsigned i = 0; i < files->count; i++) {
        copy->file[i] = files->file[i];
        file_get(copy->file[i]);
    }
    return copy;
}

/* Under s->lock: what comes along with message m. */
static void take_extras(struct unix_socket *s, struct message *m, struct socket_receive *receive)
{
    receive->from = m->from ? *m->from : (struct socket_address){0};
    receive->from.family = AF_UNIX;
    receive->credentials = m->credentials;
    receive->facts = s->set.pass_credentials ? FACT_CREDENTIALS : 0;
    if (receive->flags & MSG_PEEK) {
        receive->files = files_copy(m->files);
    } else {
        receive->files = m->files;
        m->files = NULL;
    }
}

static void unlink_message(struct unix_socket *s, struct message *m, struct message **dead)
{
    message_unlink(s, m);
    LL_PREPEND(*dead, m);
}

/* Under s->lock, something queued. Result: bytes or -EFAULT. */
static int64_t receive_packet(struct unix_socket *s, struct socket_io *io,
                              struct socket_receive *receive, struct message **dead)
{
    struct message *m = s->queue;
    size_t wanted = m->size < io->left ? m->size : io->left;
    bool cut = m->size > io->left;
    int flags = receive->flags;
    size_t moved = socket_io_move(io, m->data, wanted, IO_TO_GUEST);

    take_extras(s, m, receive);
    receive->flags = cut ? MSG_TRUNC : 0;
    int64_t result = moved < wanted        ? -EFAULT
                     : (flags & MSG_TRUNC) ? (int64_t)m->size
                                           : (int64_t)moved;
    if (!(flags & MSG_PEEK))
        unlink_message(s, m, dead);
    return result;
}

/*
 * Under s->lock: the message a read goes on with instead of `m`. An urgent byte ends a read that has got something; the next one
 * starts behind it, unless it asked for such bytes among the others. Where one was taken by MSG_OOB, an empty message stands.
 * NULL: none, or here it ends.
 */
static struct message *pass_urgent(struct unix_socket *s, struct message *m, int flags, size_t done,
                                   struct message **dead)
{
    bool keep = flags & MSG_PEEK;
    struct message *next;

    if (m->done == m->size) {
        if (done && !s->urgent)
            return NULL;
        next = m->next;
        if (!keep)
            unlink_message(s, m, dead);
        m = next;
    }
    if (!m || m != s->urgent)
        return m;
    if (done)
        return NULL;
    if (!keep)
        s->urgent = NULL;
    if (s->set.oob_inline)
        return m;
    next = m->next;
    if (!keep)
        unlink_message(s, m, dead);
    return next;
}

/* The same for a stream: as many messages as belong together. *done counts over several calls (MSG_WAITALL). 1: they end here. */
static int64_t receive_stream(struct unix_socket *s, struct socket_io *io,
                              struct socket_receive *receive, size_t *done, struct message **dead)
{
    struct message *m = s->queue, *next;

    for (; m && io->left; m = next) {
        m = pass_urgent(s, m, receive->flags, *done, dead);
        if (!m)
            return *done != 0;
        next = m->next;
        if (*done &&
            (m->files || (s->set.pass_credentials && !same_sender(m, &receive->credentials))))
            return 1; /* starts another group */
        if (!*done)
            take_extras(s, m, receive);
        size_t rest = m->size - m->done, wanted = rest < io->left ? rest : io->left;
        size_t moved = socket_io_move(io, m->data + m->done, wanted, IO_TO_GUEST);
        *done += moved;
        if (!(receive->flags & MSG_PEEK)) {
            m->done += moved;
            s->queued -= moved;
            if (m->done == m->size)
                unlink_message(s, m, dead);
        }
        if (moved < wanted)
            return -EFAULT;
        if (receive->files)
            return 1;
    }
    return 0;
}

/* MSG_OOB: the urgent byte itself. It never waits. */
static int64_t receive_urgent(struct unix_socket *s, struct socket_io *io,
                              struct socket_receive *receive)
{
    bool peek = receive->flags & MSG_PEEK;
    struct message *m, *dead = NULL;
    int64_t r = -EINVAL;

    if (s->type != SOCK_STREAM)
        return -EOPNOTSUPP;
    mutex_lock(&s->lock);
    m = s->urgent;
    if (m && io->left && !s->set.oob_inline) {
        r = socket_io_move(io, m->data, 1, IO_TO_GUEST) ? 1 : -EFAULT;
        if (!peek) {
            s->urgent = NULL;
            m->done = 1;
            s->queued--;
            if (m != s->queue && m->prev->done == m->prev->size) /* one mark is enough */
                unlink_message(s, m->prev, &dead);
        }
        receive->flags = MSG_OOB;
    }
    mutex_unlock(&s->lock);
    messages_free(dead);
    return r;
}

static bool roomy(const struct unix_socket *from, struct unix_socket *to)
{
    mutex_lock(&to->lock);
    bool r = is_writable(from, to);
    mutex_unlock(&to->lock);
    return r;
}

void unix_crowd_wake(struct unix_socket *s)
{
    const struct unix_socket *c;
    struct unix_socket *first;
    unsigned count = 0;

    if (s->type != SOCK_DGRAM)
        return;
    mutex_lock(&s->lock);
    DL_FOREACH2(s->crowd, c, crowd_next)
    count++;
    /* No more than those: who finds no room again joins again */
    for (; count && (first = s->crowd); count--) {
        DL_DELETE2(s->crowd, first, crowd_prev, crowd_next);
        __atomic_store_n(&first->crowded_at, NULL, __ATOMIC_RELEASE);
        unix_get(first);
        mutex_unlock(&s->lock);
        wait_queue_wake_for_room(&first->wait);
        async_notify(&first->async, ASYNC_OUT);
        unix_put(first);
        mutex_lock(&s->lock);
    }
    mutex_unlock(&s->lock);
}

void unix_crowd_leave(struct unix_socket *s, struct unix_socket *to)
{
    if (s->type != SOCK_DGRAM)
        return;
    mutex_lock(&to->lock);
    if (__atomic_load_n(&s->crowded_at, __ATOMIC_ACQUIRE) == to) {
        DL_DELETE2(to->crowd, s, crowd_prev, crowd_next);
        __atomic_store_n(&s->crowded_at, NULL, __ATOMIC_RELEASE);
    }
    mutex_unlock(&to->lock);
}

/*
 * poll's answer for a sender of datagrams that is connected to `to`, and a wake when it changes. A pair's has its sender's buffer to fill, as a
 * connection. s->peer is looked at without its lock: who changes it calls unix_crowd_leave() after.
 */
static bool datagram_room(struct unix_socket *s, struct unix_socket *to)
{
    size_t wanted = __atomic_load_n(&s->room_wanted, __ATOMIC_RELAXED);

    mutex_lock(&to->lock);
    bool r = to->state == SOCKET_DEAD || has_room(s, to, wanted ? wanted : 1);
    if (__atomic_load_n(&to->peer, __ATOMIC_RELAXED) == s) {
        r = r && (to->state == SOCKET_DEAD || is_writable(s, to));
    } else if (!r && __atomic_load_n(&s->peer, __ATOMIC_RELAXED) == to) {
        const struct unix_socket *at = __atomic_load_n(&s->crowded_at, __ATOMIC_ACQUIRE);
        if (!at) {
            DL_APPEND2(to->crowd, s, crowd_prev, crowd_next);
            __atomic_store_n(&s->crowded_at, to, __ATOMIC_RELEASE);
        }
        r = at && at != to; /* about to leave it, by another thread's connect(2): look again */
    }
    mutex_unlock(&to->lock);
    return r;
}

/* Under s->lock, which those who wait for room take for a look after they came to wait: are there any? */
static bool room_is_wanted(const struct unix_socket *s)
{
    const struct unix_socket *peer = s->peer;

    return wait_queue_wants_room(&s->wait) || s->crowd ||
           (peer && (wait_queue_wants_room(&peer->wait) ||
                     __atomic_load_n(&peer->wants_room, __ATOMIC_RELAXED)));
}

/* After reading: whoever waits for room looks again, here (blocked senders) and at the peer (its poll). */
static void wake_senders(struct unix_socket *s)
{
    struct unix_socket *peer = unix_peer(s);

    wait_queue_wake_for_room(&s->wait);
    unix_crowd_wake(s);
    if (peer) {
        wait_queue_wake_for_room(&peer->wait);
        if (__atomic_load_n(&peer->wants_room, __ATOMIC_RELAXED) && roomy(peer, s) &&
            __atomic_exchange_n(&peer->wants_room, false, __ATOMIC_RELAXED))
            async_notify(&peer->async, ASYNC_OUT);
        unix_put(peer);
    }
}

/* Under s->lock, nothing to read: why not. -EAGAIN: wait; else *end. */
static int64_t receive_nothing(struct unix_socket *s, bool *end)
{
    int64_t r = -EAGAIN;

    *end = true;
    if (s->error) {
        r = s->error;
        s->error = 0;
    } else if (s->shut & SHUT_IN) {
        r = 0;
    } else if (s->type != SOCK_DGRAM && s->state != SOCKET_CONNECTED) {
        r = s->type == SOCK_STREAM ? -EINVAL : -ENOTCONN; /* as Linux answers for each */
    } else {
        *end = false;
    }
    return r;
}

/* One look at the queue. -EAGAIN: wait; 0 with *end: nothing will come. */
static int64_t try_receive(struct unix_socket *s, struct socket_io *io,
                           struct socket_receive *receive, size_t *done, bool *end)
{
    struct message *dead = NULL;
    size_t before = *done;
    bool wanted = false;
    int64_t r;

    mutex_lock(&s->lock);
    if (s->queue && s->type == SOCK_STREAM) {
        r = receive_stream(s, io, receive, done, &dead);
        *end = r != 0 || !io->left || (*done && (receive->flags & MSG_PEEK));
        if (!r && !*done && io->left)
            r = receive_nothing(s, end);
        else if (r >= 0 || *done)
            r = *end || !(receive->flags & MSG_WAITALL) ? (int64_t)*done : -EAGAIN;
    } else if (s->queue) {
        r = receive_packet(s, io, receive, &dead);
        *end = true;
    } else {
        r = receive_nothing(s, end);
    }
    if (dead ||
        (*done > before && !(receive->flags & MSG_PEEK))) /* else a wait would wake itself */
        wanted = room_is_wanted(s);
    mutex_unlock(&s->lock);
    if (wanted)
        wake_senders(s);
    messages_free_by(dead, s);
    return r;
}

int64_t unix_receive(struct task *task, struct file *f, struct socket_io *io,
                     struct socket_receive *receive)
{
    struct unix_socket *s = f->data;
    bool block = socket_blocks(f, receive->flags);
    uint64_t deadline = socket_deadline(s->set.receive_timeout_ns);
    struct waiter w = {.wants_data = true};
    size_t done = 0;
    bool end = false;
    const struct unix_socket *peer;
    int64_t r;

    if (receive->flags & MSG_OOB)
        return receive_urgent(s, io, receive);
    if (s->type == SOCK_STREAM && !io->left && !s->queue)
        return 0;
    r = try_receive(s, io, receive, &done, &end);
    while (r == -EAGAIN && !end && block) {
        /* For the cache alone, it may be gone: a read asks it who waits for room */
        peer = __atomic_load_n(&s->peer, __ATOMIC_RELAXED);
        int wait = socket_wait(task, &s->wait, &w, deadline);
        __builtin_prefetch(peer);
        r = try_receive(s, io, receive, &done, &end);
        if (r == -EAGAIN && wait) {
            r = wait;
            break;
        }
    }
    wait_queue_remove(&w);
    if (receive->files && (receive->flags & MSG_PEEK))
        unix_flight_settle();
    else if (receive->files)
        unix_land(receive->files);
    if (s->type == SOCK_STREAM && done)
        r = (int64_t)done;
    if (s->type == SOCK_STREAM)
        receive->flags = 0;
    return r;
}

uint32_t unix_file_poll(struct task *task, struct file *f, struct poll_table *table)
{
    struct unix_socket *s = f->data, *peer;
    uint32_t mask = 0;
    bool writable = true;

    (void)task;
    if (table)
        poll_table_add(table, &s->wait);
    peer = unix_peer(s);
    if (peer)
        writable = s->type == SOCK_DGRAM ? datagram_room(s, peer) : roomy(s, peer);
    mutex_lock(&s->lock);
    if (s->queue || s->pending || (s->shut & SHUT_IN))
        mask |= POLLIN;
    if (s->shut & SHUT_IN)
        mask |= POLLRDHUP;
    if (s->shut == (SHUT_IN | SHUT_OUT) || (s->type != SOCK_DGRAM && s->state == SOCKET_OPEN))
        mask |= POLLHUP;
    if (s->error)
        mask |= POLLERR;
    if (s->urgent)
        mask |= POLLPRI;
    if (writable && s->state != SOCKET_LISTENING)
        mask |= POLLOUT;
    mutex_unlock(&s->lock);
    if (peer)
        unix_put(peer);
    return mask;
}
