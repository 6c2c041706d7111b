/*
 * TCP: connecting and ending. States and errors: tcp(7), connect(2), accept(2).
 *
 * connect(2) makes the server's side of the connection at once and puts it into the listener's queue. The first backlog + 1 there are
 * established; those behind them wait, as a SYN does that gets no answer, until accept(2) makes room.
 */
#include <asm/fcntl.h>

#include "platform/errno.h"
#include "shim/net/inet.h"
#include "shim/process.h"

#define BACKLOG_MAX 4096               /* net.core.somaxconn */
#define SEND_BUFFER_CONNECTED 2626560u /* what Linux's tuning makes of it on a loopback */

/* ---- ends ------------------------------------------------------------------------------------------------------- */

void tcp_reset(struct inet_socket *s, const struct inet_socket *from, int error)
{
    bool mine;

    mutex_lock(&s->lock);
    mine = s->state != STATE_CLOSE && !s->closed && s->peer == from;
    if (mine) {
        s->error = s->state == STATE_SYN_SENT     ? -ECONNREFUSED
                   : s->state == STATE_CLOSE_WAIT ? -EPIPE
                                                  : error;
        s->state = STATE_CLOSE;
        s->shut = INET_SHUT_IN | INET_SHUT_OUT;
    }
    mutex_unlock(&s->lock);
    wait_queue_wake_all(&s->wait);
    if (mine)
        async_notify(&s->async, ASYNC_ERROR);
}

/* The other side, `from`, sends no more. */
static void tcp_finish(struct inet_socket *s, const struct inet_socket *from)
{
    bool mine, both = false;

    mutex_lock(&s->lock);
    mine = s->state != STATE_CLOSE && !s->closed && s->peer == from;
    if (mine) {
        s->finished = true;
        s->shut |= INET_SHUT_IN;
        if (s->state == STATE_ESTABLISHED)
            s->state = STATE_CLOSE_WAIT;
        else if (s->state == STATE_FIN_WAIT2)
            s->state = STATE_CLOSE;
        both = s->shut & INET_SHUT_OUT;
    }
    mutex_unlock(&s->lock);
    wait_queue_wake_all(&s->wait);
    if (mine)
        async_notify(&s->async, both ? ASYNC_HANG_UP : ASYNC_IN);
}

/* Under s->lock: everybody off the listener's queue. */
static struct inet_socket *take_queue(struct inet_socket *s)
{
    struct inet_socket *queue = s->queue, *end;

    DL_FOREACH2(queue, end, queue_next)
    end->queued = false;
    s->queue = NULL;
    s->queue_count = 0;
    return queue;
}

static void refuse_queue(struct inet_socket *queue)
{
    struct inet_socket *end, *next;

    for (end = queue; end; end = next) {
        next = end->queue_next;
        tcp_close(end); /* has no queue of its own: no deeper */
        inet_put(end);
    }
}

/*
 * A connection that is given up before the listener answered leaves the queue; an established one stays, and accept gives it. `end` is
 * the server's side.
 */
static void leave_queue(struct inet_socket *end, struct inet_socket *listener)
{
    struct inet_socket *it;
    unsigned position = 0;
    bool left = false;

    mutex_lock(&listener->lock);
    if (end->queued) {
        for (it = listener->queue; it != end; it = it->queue_next)
            position++;
        left = position > listener->backlog;
    }
    if (left) {
        DL_DELETE2(listener->queue, end, queue_prev, queue_next);
        listener->queue_count--;
        end->queued = false;
    }
    mutex_unlock(&listener->lock);
    if (left) {
        tcp_close(end);
        inet_put(end);
    }
}

static void put_retired(struct inet_socket *list)
{
    struct inet_socket *next;

    for (; list; list = next) {
        next = list->retired_next;
        inet_put(list);
    }
}

void tcp_close(struct inet_socket *s)
{
    struct inet_socket *queue, *peer, *retired, *listener;
    bool reset, waiting;

    port_drop(s);
    mutex_lock(&s->lock);
    waiting = s->state == STATE_SYN_SENT;
    /* unread data, no linger, or nobody accepted it */
    reset = s->ring.used != 0 || (s->set.linger && !s->set.linger_seconds) || !s->id;
    queue = take_queue(s);
    peer = s->peer;
    retired = s->retired;
    listener = s->listener;
    s->retired = s->listener = NULL;
    s->state = STATE_CLOSE;
    s->shut = INET_SHUT_IN | INET_SHUT_OUT;
    s->closed = true;
    tcp_free_ring(&s->ring);
    mutex_unlock(&s->lock);
    refuse_queue(queue);
    if (peer && waiting && listener)
        leave_queue(peer, listener);
    if (peer) {
        if (reset)
            tcp_reset(peer, s, -ECONNRESET);
        else
            tcp_finish(peer, s);
        inet_put(peer);
    }
    if (listener)
        inet_put(listener);
    put_retired(retired);
}

int tcp_disconnect(struct inet_socket *s)
{
    struct inet_socket *queue, *peer, *listener;
    enum tcp_state_number was;

    mutex_lock(&s->lock);
    port_unlisten(s);
    was = s->state;
    queue = take_queue(s);
    peer = s->peer;
    listener = s->listener;
    s->peer = s->listener = NULL;
    if (peer) { /* other threads may be using it */
        peer->retired_next = s->retired;
        s->retired = peer;
    }
    s->state = STATE_CLOSE;
    s->shut = 0;
    s->error = was == STATE_CLOSE || was == STATE_LISTEN ? 0 : -ECONNRESET;
    s->connecting = s->finished = s->no_space = false;
    s->urgent = URGENT_NONE;
    tcp_free_ring(&s->ring);
    s->remote = (struct inet_name){.ip = s->family == AF_INET ? g_ip_any4 : g_ip_any6};
    if (!s->address_given)
        s->local.ip = s->family == AF_INET ? g_ip_any4 : g_ip_any6;
    if (!s->port_given)
        port_drop(s); /* but getsockname still tells it, as in Linux */
    mutex_unlock(&s->lock);
    refuse_queue(queue);
    if (peer && listener && was == STATE_SYN_SENT)
        leave_queue(peer, listener);
    if (peer)
        tcp_reset(peer, s, -ECONNRESET);
    if (listener)
        inet_put(listener);
    wait_queue_wake_all(&s->wait);
    return 0;
}

int tcp_shutdown(struct inet_socket *s, unsigned bits)
{
    struct inet_socket *peer = NULL;
    bool disconnect = false;
    int r = 0;

    mutex_lock(&s->lock);
    switch (s->state) {
    case STATE_LISTEN:
        disconnect = bits & INET_SHUT_IN;
        break;
    case STATE_SYN_SENT:
        disconnect = true;
        break;
    case STATE_CLOSE:
        s->shut |= bits;
        r = -ENOTCONN;
        break;
    default:
        if ((bits & INET_SHUT_OUT) && !(s->shut & INET_SHUT_OUT)) {
            s->state = s->state == STATE_CLOSE_WAIT ? STATE_CLOSE : STATE_FIN_WAIT2;
            peer = s->peer;
        }
        s->shut |= bits;
    }
    mutex_unlock(&s->lock);
    if (disconnect)
        return tcp_disconnect(s);
    wait_queue_wake_all(&s->wait);
    if (peer)
        tcp_finish(peer, s);
    return r;
}

/* ---- listening -------------------------------------------------------------------------------------------------- */

int tcp_listen(struct inet_socket *s, int backlog)
{
    int r = 0;

    mutex_lock(&s->lock);
    if (s->state != STATE_CLOSE && s->state != STATE_LISTEN)
        r = -EINVAL;
    if (!r && s->state == STATE_CLOSE && (s->peer || s->closed))
        r = -EINVAL;
    if (!r && !s->port) {
        s->local.port = 0;
        r = port_bind(s);
    }
    if (!r)
        r = port_listen(s);
    if (!r) {
        s->state = STATE_LISTEN;
        s->shut = 0;
        s->backlog = backlog < 0 || backlog > BACKLOG_MAX ? BACKLOG_MAX : (unsigned)backlog;
    }
    mutex_unlock(&s->lock);
    if (!r)
        wait_queue_wake_all(&s->wait);
    return r;
}

/*
 * The handshake is over for the client's side of `end`. Result: it waited for that; the caller tells it, without locks. Under the
 * client's lock.
 */
static bool establish(struct inet_socket *client, const struct inet_socket *end)
{
    if (client->state != STATE_SYN_SENT || client->peer != end)
        return false;
    client->state = client->finished ? STATE_CLOSE_WAIT : STATE_ESTABLISHED;
    if (!client->send_buffer_given)
        client->set.send_buffer = SEND_BUFFER_CONNECTED;
    return true;
}

static void tell_established(struct inet_socket *client)
{
    wait_queue_wake_all(&client->wait);
    async_notify(&client->async, ASYNC_OUT);
}

static void *take_pending(struct file *f, int *err)
{
    struct inet_socket *listener = inet_of(f), *end = NULL, *next = NULL;

    mutex_lock(&listener->lock);
    if (listener->state != STATE_LISTEN) {
        *err = -EINVAL;
    } else if (!listener->queue) {
        *err = -EAGAIN;
    } else {
        end = listener->queue;
        DL_DELETE2(listener->queue, end, queue_prev, queue_next);
        end->queued = false;
        if (--listener->queue_count > listener->backlog) { /* one more is answered now */
            next = listener->queue;
            for (unsigned i = 0; next && i < listener->backlog; i++)
                next = next->queue_next;
            if (next)
                inet_get(next);
        }
    }
    mutex_unlock(&listener->lock);
    if (next) {
        struct inet_socket *client = next->peer;
        mutex_lock(&client->lock);
        bool established = establish(client, next);
        mutex_unlock(&client->lock);
        if (established)
            tell_established(client);
        inet_put(next);
    }
    return end;
}

struct file *tcp_accept(struct task *task, struct file *f, uint32_t flags,
                        struct socket_address *from, int *err)
{
    struct inet_socket *listener = inet_of(f), *end;
    struct file *made;

    end =
        socket_await(task, f, &listener->wait, listener->set.receive_timeout_ns, take_pending, err);
    if (!end)
        return NULL;
    made = inet_file(end, flags, err);
    if (!made) {
        tcp_close(end);
        inet_put(end);
        return NULL;
    }
    inet_name_write(end->family, &end->remote, from);
    return made;
}

/* ---- connecting ------------------------------------------------------------------------------------------------- */

/* What a connection has from its listener. */
static void inherit(struct inet_socket *end, struct inet_socket *listener,
                    const struct inet_socket *s)
{
    end->family = listener->family;
    end->v6_only = listener->v6_only;
    end->uid = listener->uid;
    end->set = listener->set;
    end->options = listener->options;
    end->send_buffer_given = listener->send_buffer_given;
    end->receive_buffer_given = listener->receive_buffer_given;
    if (!end->send_buffer_given)
        end->set.send_buffer = SEND_BUFFER_CONNECTED;
    end->local = s->remote;
    end->remote = s->local;
    end->state = STATE_ESTABLISHED;
}

/* Under s->lock: everything up to the SYN. *end: the other side, referenced by s and itself. */
static int begin_connect(struct task *task, struct inet_socket *s, struct inet_name to,
                         struct inet_socket **out)
{
    struct inet_socket *end;
    int r = inet_route(s, &to);

    if (r)
        return r;
    inet_choose_source(s, &to);
    if (port_connected_twice(s, &to))
        return -EADDRNOTAVAIL;
    if (!s->port) {
        s->local.port = 0;
        r = port_bind(s);
        if (r)
            return r == -EADDRINUSE ? -EADDRNOTAVAIL : r;
    }
    end = inet_alloc(task, s->family, SOCK_STREAM, s->protocol);
    if (!end)
        return -ENOMEM;
    s->remote = to;
    s->state = STATE_SYN_SENT;
    s->shut = 0;
    s->error = 0;
    s->connecting = true;
    inet_get(s);
    end->peer = s;
    s->peer = end;
    inet_get(end); /* the caller's */
    *out = end;
    return 0;
}

/*
 * Offer `end` to whoever listens at s->remote. Without locks; consumes the caller's reference to `end`. Result: there was an answer,
 * so that connect(2) succeeds, whatever the other side does next.
 */
static bool offer(struct inet_socket *s, struct inet_socket *end)
{
    struct inet_socket *listener = port_find_listener(&s->local, &s->remote);
    bool queued = false, answered = false, established = false;

    if (listener) {
        mutex_lock(&listener->lock);
        bool listens = listener->state == STATE_LISTEN;
        if (listens)
            inherit(end, listener, s);
        mutex_unlock(&listener->lock);
        if (listens)
            port_share(end, listener);
        mutex_lock_two(&listener->lock, &s->lock);
        queued = listener->state == STATE_LISTEN;
        if (queued) {
            inet_get(end);
            answered = listener->queue_count++ <= listener->backlog;
            if (answered) /* before accept(2) can give it */
                established = establish(s, end);
            DL_APPEND2(listener->queue, end, queue_prev, queue_next);
            end->queued = true;
        }
        mutex_unlock_two(&listener->lock, &s->lock);
    }
    if (!queued) {
        tcp_close(end); /* resets s */
        if (listener)
            inet_put(listener);
        inet_put(end);
        return false;
    }
    mutex_lock(&s->lock);
    struct inet_socket *spare = s->listener;
    if (s->peer == end && !s->closed) {
        s->listener = listener;
    } else { /* it has been disconnected meanwhile */
        spare = listener;
    }
    mutex_unlock(&s->lock);
    if (established)
        tell_established(s);
    if (answered) {
        wait_queue_wake_all(&listener->wait);
        async_notify(&listener->async, ASYNC_IN);
    }
    if (spare)
        inet_put(spare);
    inet_put(end);
    return established;
}

/* What became of it. -EINPROGRESS: nothing yet. */
static int connect_result(struct inet_socket *s)
{
    bool failed = false;
    int r = 0;

    mutex_lock(&s->lock);
    if (s->state == STATE_SYN_SENT) {
        r = -EINPROGRESS;
    } else if (s->connecting) {
        s->connecting = false;
        failed = s->state == STATE_CLOSE;
        if (failed)
            r = inet_take_error(s);
        if (failed && !r)
            r = -ECONNABORTED;
    }
    mutex_unlock(&s->lock);
    if (failed)
        tcp_disconnect(s);
    return r;
}

int tcp_connect(struct task *task, struct file *f, const struct inet_name *to)
{
    struct inet_socket *s = inet_of(f), *end = NULL;
    uint64_t deadline = socket_deadline(s->set.send_timeout_ns);
    struct waiter w = {0};
    int r = 0;

    mutex_lock(&s->lock);
    bool pending = s->connecting;
    if (!pending && (s->peer || s->state != STATE_CLOSE))
        r = -EISCONN;
    else if (!pending)
        r = begin_connect(task, s, *to, &end);
    mutex_unlock(&s->lock);
    if (r)
        return r;
    bool established = end && offer(s, end);
    if (established && socket_blocks(f, 0)) {
        mutex_lock(&s->lock);
        if (s->peer == end)
            s->connecting = false;
        mutex_unlock(&s->lock);
        return 0;
    }
    if (!socket_blocks(f, 0)) {
        if (!pending)
            return -EINPROGRESS; /* as Linux says even when the answer came at once */
        r = connect_result(s);
        return r == -EINPROGRESS ? -EALREADY : r;
    }
    r = connect_result(s);
    while (r == -EINPROGRESS) {
        int wait = socket_wait(task, &s->wait, &w, deadline);
        r = connect_result(s);
        if (r == -EINPROGRESS && wait) {
            r = wait == -EAGAIN ? -EINPROGRESS : wait;
            break;
        }
    }
    wait_queue_remove(&w);
    return r;
}
