/*
 * TCP: bytes. A sender copies from its guest straight into the receiver's ring.
 */
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <asm/sockios.h>
#include <linux/signal.h>
#include <linux/sockios.h>

#include "platform/errno.h"
#include "shim/net/inet.h"
#include "shim/process.h"
#include "shim/signal.h"
#include "shim/syscall.h"

#define CHUNK 65536u /* moved under one hold of the lock: the other side works meanwhile */
#define LIMIT_MAX (1u << 20)

/* ---- buffers ---------------------------------------------------------------------------------------------------- */

static const size_t k_ring_sizes[] = {4096, 65536, LIMIT_MAX};
#define RING_KEEP 16u

/* Big rings come from the host by a call of their own: a few are kept. */
static struct mutex g_ring_lock;
static char *g_rings[RING_KEEP];
static unsigned g_ring_count;

static char *ring_alloc(size_t size)
{
    char *data = NULL;

    if (size != k_ring_sizes[1])
        return shim_alloc(size);
    mutex_lock(&g_ring_lock);
    if (g_ring_count)
        data = g_rings[--g_ring_count];
    mutex_unlock(&g_ring_lock);
    return data ? data : shim_alloc(size);
}

void tcp_free_ring(struct ring *ring)
{
    bool kept = false;

    if (ring->capacity == k_ring_sizes[1]) {
        mutex_lock(&g_ring_lock);
        kept = g_ring_count < RING_KEEP;
        if (kept)
            g_rings[g_ring_count++] = ring->data;
        mutex_unlock(&g_ring_lock);
    }
    if (!kept)
        shim_free(ring->data);
    *ring = (struct ring){0};
}

/* Room for `size` more bytes, or as many as can be had. */
static void ring_grow(struct ring *ring, size_t size)
{
    size_t capacity = 0;

    for (unsigned i = 0;
         i < sizeof(k_ring_sizes) / sizeof(k_ring_sizes[0]) && capacity < ring->used + size; i++)
        capacity = k_ring_sizes[i];
    if (capacity <= ring->capacity)
        return;
    struct ring bigger = {.data = ring_alloc(capacity), .capacity = capacity, .used = ring->used};
    if (!bigger.data)
        return;
    if (ring->used)
        ring_peek(ring, 0, mem_shim(bigger.data, ring->used), ring->used);
    tcp_free_ring(ring);
    *ring = bigger;
}

size_t tcp_limit(const struct inet_socket *s)
{
    size_t limit = s->set.receive_buffer + (s->peer ? s->peer->set.send_buffer : 0);

    return limit > LIMIT_MAX ? LIMIT_MAX : limit;
}

static size_t room(const struct inet_socket *s)
{
    size_t limit = tcp_limit(s);

    return s->ring.used < limit ? limit - s->ring.used : 0;
}

/* Enough room that a sender who waits is told; Linux's third. */
static bool roomy(const struct inet_socket *s)
{
    return room(s) >= tcp_limit(s) / 3;
}

/* Under s->lock: an urgent byte still to come that ordinary reads stop at and jump over. Result: its place behind the head. */
static bool urgent_ahead(const struct inet_socket *s, size_t *place)
{
    if (s->urgent == URGENT_NONE || s->urgent_at < s->consumed ||
        s->urgent_at >= s->consumed + s->ring.used)
        return false;
    *place = s->urgent_at - s->consumed;
    return true;
}

static void consume(struct inet_socket *s, size_t size)
{
    ring_drop(&s->ring, size);
    s->consumed += size;
    if (s->urgent != URGENT_NONE && s->consumed > s->urgent_at)
        s->urgent = URGENT_NONE;
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

/* Why nothing can be sent, or 0 and the receiver; -EAGAIN: not connected yet. */
static int send_target(struct inet_socket *s, struct inet_socket **peer)
{
    int r = 0;

    mutex_lock(&s->lock);
    *peer = s->peer;
    if (s->error)
        r = inet_take_error(s);
    else if (s->shut & INET_SHUT_OUT)
        r = -EPIPE;
    else if (s->state == STATE_SYN_SENT)
        r = -EAGAIN;
    else if (s->state != STATE_ESTABLISHED && s->state != STATE_CLOSE_WAIT)
        r = -EPIPE;
    mutex_unlock(&s->lock);
    return r;
}

/* From the guest to the end of the ring; a short count: -EFAULT. */
static size_t fill(struct ring *ring, struct socket_io *io, size_t size)
{
    size_t done = 0;

    while (done < size) {
        size_t tail = (ring->head + ring->used) & (ring->capacity - 1);
        size_t part = size - done < ring->capacity - tail ? size - done : ring->capacity - tail;
        size_t moved = socket_io_move(io, ring->data + tail, part, IO_FROM_GUEST);
        ring->used += moved;
        done += moved;
        if (moved < part)
            break;
    }
    return done;
}

enum put_result { PUT_SOME, PUT_FULL, PUT_GONE, PUT_FAULT, PUT_NO_MEMORY };

struct tcp_write {
    struct socket_io *io;
    size_t done;
    bool urgent;             /* the last byte is */
    struct file_owner owner; /* out: whom to tell of it; F_SETOWN of the receiver */
};

/* Under to->lock: the last byte of the ring is urgent. An older one that was next and not read is lost, as in Linux. */
static void mark_urgent(struct inet_socket *to, struct tcp_write *wr)
{
    to->urgent = URGENT_VALID;
    to->urgent_at = to->consumed + to->ring.used - 1;
    if (to->file)
        wr->owner = async_owner(to->file);
}

static enum put_result put_some(struct inet_socket *to, struct tcp_write *wr)
{
    enum put_result result = PUT_SOME;
    struct socket_io *io = wr->io;
    size_t size, moved;

    mutex_lock(&to->lock);
    if (wr->urgent && to->urgent != URGENT_NONE && to->urgent_at == to->consumed &&
        to->ring.used > 1 && !to->set.oob_inline)
        consume(to, 1);
    size = room(to);
    if (to->closed) {
        result = PUT_GONE;
    } else if (!size) {
        to->no_space = true;
        result = PUT_FULL;
    } else {
        if (size > CHUNK)
            size = CHUNK;
        if (size > io->left)
            size = io->left;
        if (ring_free(&to->ring) < size)
            ring_grow(&to->ring, size);
        if (ring_free(&to->ring) < size)
            size = ring_free(&to->ring);
        moved = fill(&to->ring, io, size);
        to->received += moved;
        wr->done += moved;
        if (wr->urgent && moved && !io->left)
            mark_urgent(to, wr);
        if (moved < size)
            result = PUT_FAULT;
        else if (!size)
            result = PUT_NO_MEMORY;
    }
    mutex_unlock(&to->lock);
    if (result != PUT_FULL && result != PUT_GONE) {
        wait_queue_wake_all(&to->wait);
        async_notify(&to->async, ASYNC_IN);
    }
    return result;
}

/* The other side's socket is gone: its host answers data by a RST, which the next call sees. */
static void answer_reset(struct inet_socket *s, const struct inet_socket *to)
{
    tcp_reset(s, to, -EPIPE);
}

int64_t tcp_send(struct task *task, struct file *f, struct socket_io *io, struct socket_send *send)
{
    struct inet_socket *s = inet_of(f), *to;
    bool block = socket_blocks(f, send->flags), any = io->left != 0;
    uint64_t deadline = block ? socket_deadline(s->set.send_timeout_ns) : 0;
    struct tcp_write wr = {.io = io, .urgent = send->flags & MSG_OOB};
    struct waiter w = {0};
    int r;

    if (send->flags & MSG_FASTOPEN)
        return -EOPNOTSUPP;
    for (;;) {
        r = send_target(s, &to);
        if (!r && any) {
            enum put_result put = put_some(to, &wr);
            if (put == PUT_GONE) {
                wr.done += io->left;
                answer_reset(s, to);
                break;
            }
            if (put == PUT_FAULT)
                r = -EFAULT;
            else if (put == PUT_NO_MEMORY)
                r = -ENOMEM;
            else if (put == PUT_FULL)
                r = -EAGAIN;
        }
        if (!r && io->left)
            continue;
        if (!r)
            break;
        if (r != -EAGAIN || !block)
            break;
        r = socket_wait(task, &s->wait, &w, deadline);
        if (r)
            break;
    }
    wait_queue_remove(&w);
    async_signal_owner(&wr.owner, SIGURG);
    if (wr.done || !r) {
        __atomic_fetch_add(&s->sent, wr.done, __ATOMIC_RELAXED);
        return (int64_t)wr.done;
    }
    if (r == -EPIPE && !(send->flags & MSG_NOSIGNAL))
        signal_sigpipe(task);
    return r;
}

/* ---- receiving -------------------------------------------------------------------------------------------------- */

/* Bytes an ordinary read could get. */
static size_t readable(const struct inet_socket *s)
{
    size_t place, n = s->ring.used;

    return urgent_ahead(s, &place) && place == 0 && !s->set.oob_inline ? n - 1 : n;
}

struct tcp_read {
    struct socket_io *io;
    int flags;
    size_t done, skip; /* skip: bytes a peek has seen */
    bool stop, fault;
};

/* Under s->lock: up to the urgent mark. */
static void read_ring(struct inet_socket *s, struct tcp_read *rd)
{
    size_t place, size, moved = 0;
    bool peek = rd->flags & MSG_PEEK, mark;

    mark = urgent_ahead(s, &place) && place >= rd->skip;
    if (mark && place == rd->skip && rd->done) {
        rd->stop = true; /* the next read starts at the mark */
        return;
    }
    if (mark && place == rd->skip && !s->set.oob_inline) {
        if (peek)
            rd->skip++;
        else
            consume(s, 1);
        mark = urgent_ahead(s, &place) && place > rd->skip;
    } else if (mark && place == rd->skip) {
        mark = false;
    }
    size = s->ring.used - rd->skip;
    if (mark && place - rd->skip < size)
        size = place - rd->skip;
    if (size > rd->io->left)
        size = rd->io->left;
    if (size > CHUNK)
        size = CHUNK;
    while (moved < size) {
        size_t at = (s->ring.head + rd->skip + moved) & (s->ring.capacity - 1);
        size_t part = size - moved < s->ring.capacity - at ? size - moved : s->ring.capacity - at;
        size_t n = rd->flags & MSG_TRUNC
                       ? part
                       : socket_io_move(rd->io, s->ring.data + at, part, IO_TO_GUEST);
        if (rd->flags & MSG_TRUNC)
            rd->io->left -= n;
        moved += n;
        if (n < part) {
            rd->fault = true;
            break;
        }
    }
    rd->done += moved;
    if (peek)
        rd->skip += moved;
    else
        consume(s, moved);
}

/* One look. -EAGAIN: wait. */
static int try_read(struct inet_socket *s, struct tcp_read *rd, size_t target)
{
    struct inet_socket *wake = NULL;
    int r = 0;

    mutex_lock(&s->lock);
    while (!rd->stop && !rd->fault && rd->io->left && s->ring.used > rd->skip)
        read_ring(s, rd);
    if (s->no_space && s->peer && !(rd->flags & MSG_PEEK) && roomy(s)) {
        s->no_space = false;
        wake = s->peer;
    }
    if (rd->done >= target || rd->stop || rd->fault || (!rd->io->left && s->ring.used))
        r = rd->fault && !rd->done ? -EFAULT : 0;
    else if (rd->done && (s->error || s->state == STATE_CLOSE || (s->shut & INET_SHUT_IN)))
        r = 0;
    else if (s->finished)
        r = 0;
    else if (s->error)
        r = inet_take_error(s);
    else if (s->shut & INET_SHUT_IN)
        r = 0;
    else if (s->state == STATE_CLOSE || s->state == STATE_LISTEN)
        r = -ENOTCONN;
    else
        r = -EAGAIN;
    mutex_unlock(&s->lock);
    if (wake) {
        wait_queue_wake_all(&wake->wait);
        async_notify(&wake->async, ASYNC_OUT);
    }
    return r;
}

static int64_t receive_urgent(struct inet_socket *s, struct socket_io *io,
                              struct socket_receive *receive)
{
    int64_t r = -EINVAL;

    mutex_lock(&s->lock);
    if (s->set.oob_inline || s->urgent != URGENT_VALID) {
        r = -EINVAL;
    } else {
        size_t place = s->urgent_at - s->consumed;
        char byte = s->ring.data[(s->ring.head + place) & (s->ring.capacity - 1)];
        if (!io->left) {
            receive->flags = MSG_OOB | MSG_TRUNC;
            r = 0;
        } else {
            r = socket_io_move(io, &byte, 1, IO_TO_GUEST) ? 1 : -EFAULT;
        }
        if (!(receive->flags & MSG_PEEK) && r >= 0)
            s->urgent = URGENT_READ;
    }
    mutex_unlock(&s->lock);
    receive->flags = r > 0 ? MSG_OOB : receive->flags & (MSG_OOB | MSG_TRUNC);
    return r;
}

int64_t tcp_receive(struct task *task, struct file *f, struct socket_io *io,
                    struct socket_receive *receive)
{
    struct inet_socket *s = inet_of(f);
    bool block = socket_blocks(f, receive->flags);
    uint64_t deadline = block ? socket_deadline(s->set.receive_timeout_ns) : 0;
    struct tcp_read rd = {.io = io, .flags = receive->flags};
    struct waiter w = {0};
    size_t target = (size_t)s->set.receive_low;
    int r;

    if (receive->flags & MSG_ERRQUEUE)
        return -EAGAIN;
    if (receive->flags & MSG_OOB)
        return receive_urgent(s, io, receive);
    if ((receive->flags & MSG_WAITALL) || target > io->left)
        target = io->left ? io->left : 1;
    receive->flags = 0;
    r = try_read(s, &rd, target);
    while (r == -EAGAIN && block) {
        int wait = socket_wait(task, &s->wait, &w, deadline);
        r = try_read(s, &rd, target);
        if (r == -EAGAIN && wait) {
            r = wait;
            break;
        }
    }
    wait_queue_remove(&w);
    return rd.done ? (int64_t)rd.done : r;
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */

uint32_t tcp_poll(struct inet_socket *s)
{
    struct inet_socket *peer;
    bool writable = true, connected;
    uint32_t mask = 0;

    mutex_lock(&s->lock);
    connected = s->state != STATE_SYN_SENT && s->state != STATE_LISTEN;
    if (s->state == STATE_LISTEN) {
        if (s->queue)
            mask |= POLLIN;
    } else {
        if (s->shut == (INET_SHUT_IN | INET_SHUT_OUT) || s->state == STATE_CLOSE)
            mask |= POLLHUP;
        if (s->shut & INET_SHUT_IN)
            mask |= POLLIN | POLLRDHUP;
    }
    if (connected && readable(s) && readable(s) >= (size_t)s->set.receive_low)
        mask |= POLLIN;
    if (connected && s->urgent == URGENT_VALID)
        mask |= POLLPRI;
    if (s->error)
        mask |= POLLERR;
    peer = s->shut & INET_SHUT_OUT || s->state == STATE_CLOSE ? NULL : s->peer;
    mutex_unlock(&s->lock);
    if (peer) {
        mutex_lock(&peer->lock);
        writable = peer->closed || roomy(peer);
        if (!writable)
            peer->no_space = true;
        mutex_unlock(&peer->lock);
    }
    if (connected && writable)
        mask |= POLLOUT;
    return mask;
}

int64_t tcp_ioctl(struct inet_socket *s, unsigned request, uint64_t arg)
{
    struct inet_socket *peer;
    int n = 0;
    size_t place;

    mutex_lock(&s->lock);
    bool listens = s->state == STATE_LISTEN;
    switch (request) {
    case FIONREAD:
        n = (int)s->ring.used;
        if (!s->set.oob_inline && urgent_ahead(s, &place))
            n = place ? (int)place : n - 1;
        break;
    case SIOCATMARK:
        n = s->urgent != URGENT_NONE && s->urgent_at == s->consumed;
        listens = false;
        break;
    default: /* TIOCOUTQ, SIOCOUTQNSD: what the other side's buffer alone would not hold */
        peer = request == TIOCOUTQ ? s->peer : NULL;
        if (peer && peer->ring.used > peer->set.receive_buffer)
            n = (int)(peer->ring.used - peer->set.receive_buffer);
    }
    mutex_unlock(&s->lock);
    return listens ? -EINVAL : user_write(arg, &n, sizeof(n));
}
