/*
 * AF_UNIX sockets: messages. A stream is a queue of messages too, read without regard to their borders but where files travel:
 * these come with the first byte of their message, and a read does not run past it.
 */
#include <asm/fcntl.h>
#include <asm/poll.h>
#include <asm/socket.h>

#include "platform/errno.h"
#include "shim/fs/unix_internal.h"
#include "shim/fs/transfer.h"
#include "shim/process.h"
#include "shim/signal.h"
#include "shim/stats.h"

#define STREAM_CHUNK 32768u

void message_free(struct message *m)
{
    socket_files_put(m->files);
    shim_free(m);
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

static struct message *message_make(struct socket_io *io, size_t size, int *err)
{
    struct message *m = shim_alloc(sizeof(*m) + size);
    size_t moved;

    if (!m) {
        *err = -ENOMEM;
        return NULL;
    }
    memset(m, 0, sizeof(*m));
    moved = socket_io_move(io, m->data, size, IO_FROM_GUEST);
    m->size = moved;
    if (moved < size) {
        shim_free(m);
        *err = -EFAULT;
        return NULL;
    }
    return m;
}

/* Under the receiver's lock: does `size` more fit? An empty queue takes anything. */
static bool has_room(const struct unix_socket *to, size_t size)
{
    return !to->queue || to->queued + size <= to->set.receive_buffer;
}

/* 0: queued, m is the receiver's. -EAGAIN: full. */
static int try_deliver(struct unix_socket *to, struct message *m, bool stream)
{
    int r = 0;

    mutex_lock(&to->lock);
    if (to->state == SOCKET_DEAD)
        r = stream ? -EPIPE : -ECONNREFUSED;
    else if (to->shut & SHUT_IN)
        r = -EPIPE;
    else if (!has_room(to, m->size))
        r = -EAGAIN;
    else {
        DL_APPEND(to->queue, m);
        to->queued += m->size;
    }
    mutex_unlock(&to->lock);
    if (!r)
        wait_queue_wake_all(&to->wait);
    return r;
}

/* Deliver, waiting for room. */
static int deliver(struct task *task, struct file *f, struct unix_socket *s, struct unix_socket *to,
                   struct message *m, int flags)
{
    bool block = socket_blocks(f, flags);
    bool stream = s->type != SOCK_DGRAM;
    uint64_t deadline = socket_deadline(s->set.send_timeout_ns);
    struct waiter w = {0};
    int r = try_deliver(to, m, stream);

    /* The receiver wakes its own queue when it drains. */
    while (r == -EAGAIN && block) {
        int wait = socket_wait(task, &to->wait, &w, deadline);
        r = try_deliver(to, m, stream);
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

    mutex_lock(&s->lock);
    r = s->error;
    s->error = 0;
    mutex_unlock(&s->lock);
    return r;
}

int64_t unix_send(struct task *task, struct file *f, struct socket_io *io, struct socket_send *send)
{
    struct unix_socket *s = f->data, *to;
    int64_t done = 0;
    int r = send->flags & MSG_OOB ? -EOPNOTSUPP : take_error(s);

    if (!r && send->to && (send->to->family != AF_UNIX || send->to->size > SOCKET_ADDRESS_MAX))
        r = -EINVAL;
    if (r)
        return r;
    if (s->type != SOCK_STREAM && io->left > s->set.send_buffer)
        return -EMSGSIZE;
    to = send_target(task, s, send, &r);
    if (!to)
        return r;
    if (s->shut & SHUT_OUT)
        r = -EPIPE;
    while (!r && (io->left || (!done && s->type != SOCK_STREAM))) {
        size_t size = s->type == SOCK_STREAM && io->left > STREAM_CHUNK ? STREAM_CHUNK : io->left;
        struct message *m = message_make(io, size, &r);
        if (!m)
            break;
        m->credentials = send->credentials ? *send->credentials : socket_credentials_of(task);
        m->files = send->files;
        if (s->type == SOCK_DGRAM) {
            mutex_lock(&s->lock);
            m->from = s->name;
            mutex_unlock(&s->lock);
        }
        r = deliver(task, f, s, to, m, send->flags);
        if (r) {
            m->files = NULL;
            message_free(m);
            break;
        }
        send->files = NULL; /* they went with the first piece */
        done += (int64_t)size;
        if (s->type != SOCK_STREAM)
            break;
    }
    unix_put(to);
    if (r == -EPIPE && !done && s->type == SOCK_STREAM && !(send->flags & MSG_NOSIGNAL))
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
    receive->from = m->from;
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
    DL_DELETE(s->queue, m);
    s->queued -= m->size - m->done;
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

/* The same for a stream: as many messages as belong together. *done counts over several calls (MSG_WAITALL). */
static int64_t receive_stream(struct unix_socket *s, struct socket_io *io,
                              struct socket_receive *receive, size_t *done, struct message **dead)
{
    struct message *m = s->queue, *next;

    for (; m && io->left; m = next) {
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

static void free_dead(struct message *dead)
{
    struct message *m, *tmp;

    LL_FOREACH_SAFE(dead, m, tmp)
    message_free(m);
}

/* After reading: whoever waits for room looks again, here (blocked senders) and at the peer (its poll). */
static void wake_senders(struct unix_socket *s)
{
    struct unix_socket *peer = unix_peer(s);

    wait_queue_wake_all(&s->wait);
    if (peer) {
        wait_queue_wake_all(&peer->wait);
        unix_put(peer);
    }
}

/* One look at the queue. -EAGAIN: wait; 0 with *end: nothing will come. */
static int64_t try_receive(struct unix_socket *s, struct socket_io *io,
                           struct socket_receive *receive, size_t *done, bool *end)
{
    struct message *dead = NULL;
    size_t before = *done;
    int64_t r;

    mutex_lock(&s->lock);
    if (s->queue && s->type == SOCK_STREAM) {
        r = receive_stream(s, io, receive, done, &dead);
        *end = r != 0 || !io->left || (receive->flags & MSG_PEEK);
        if (r >= 0 || *done)
            r = *end || !(receive->flags & MSG_WAITALL) ? (int64_t)*done : -EAGAIN;
    } else if (s->queue) {
        r = receive_packet(s, io, receive, &dead);
        *end = true;
    } else if (s->error) {
        r = s->error;
        s->error = 0;
        *end = true;
    } else if (s->shut & SHUT_IN) {
        r = 0;
        *end = true;
    } else if (s->type != SOCK_DGRAM && s->state != SOCKET_CONNECTED) {
        r = s->type == SOCK_STREAM ? -EINVAL : -ENOTCONN; /* as Linux answers for each */
        *end = true;
    } else {
        r = -EAGAIN;
    }
    mutex_unlock(&s->lock);
    if (dead ||
        (*done > before && !(receive->flags & MSG_PEEK))) /* else a wait would wake itself */
        wake_senders(s);
    free_dead(dead);
    return r;
}

int64_t unix_receive(struct task *task, struct file *f, struct socket_io *io,
                     struct socket_receive *receive)
{
    struct unix_socket *s = f->data;
    bool block = socket_blocks(f, receive->flags);
    uint64_t deadline = socket_deadline(s->set.receive_timeout_ns);
    struct waiter w = {0};
    size_t done = 0;
    bool end = false;
    int64_t r;

    if (receive->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (s->type == SOCK_STREAM && !io->left && !s->queue)
        return 0;
    r = try_receive(s, io, receive, &done, &end);
    while (r == -EAGAIN && !end && block) {
        int wait = socket_wait(task, &s->wait, &w, deadline);
        r = try_receive(s, io, receive, &done, &end);
        if (r == -EAGAIN && wait) {
            r = wait;
            break;
        }
    }
    wait_queue_remove(&w);
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
    if (peer && s->type != SOCK_DGRAM) {
        mutex_lock(&peer->lock);
        writable = has_room(peer, 1);
        mutex_unlock(&peer->lock);
    }
    mutex_lock(&s->lock);
    if (s->queue || s->pending || (s->shut & SHUT_IN))
        mask |= POLLIN;
    if (s->shut & SHUT_IN)
        mask |= POLLRDHUP;
    if (s->shut == (SHUT_IN | SHUT_OUT) || (s->type != SOCK_DGRAM && s->state == SOCKET_OPEN))
        mask |= POLLHUP;
    if (s->error)
        mask |= POLLERR;
    if (writable && s->state != SOCKET_LISTENING)
        mask |= POLLOUT;
    mutex_unlock(&s->lock);
    if (peer)
        unix_put(peer);
    return mask;
}
