/*
 * UDP: packets. udp(7). What finds no room at its receiver is lost; what finds no receiver is reported to a connected sender.
 */
#include <asm/ioctls.h>
#include <asm/poll.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/net/inet.h"
#include "shim/process.h"
#include "shim/signal.h"
#include "shim/syscall.h"

#define PACKET_MAX4 65507u
#define PACKET_MAX6 65527u
#define PACKET_COST                                                                                \
    512u /* of the receiver's buffer, beside its bytes: Linux counts its records too */

#define SEGMENTS_MAX 64 /* of one call, UDP_SEGMENT; 128 from Linux 6.9 on */

int udp_connect(struct inet_socket *s, const struct inet_name *to)
{
    const struct ip_address *any = s->family == AF_INET ? &g_ip_any4 : &g_ip_any6;
    struct inet_name target;
    int r = 0;

    mutex_lock(&s->lock);
    if (to) {
        target = *to;
        r = inet_route(s, &target);
        if (!r) {
            inet_choose_source(s, &target);
            if (!s->port)
                r = port_bind(s);
        }
        if (!r) {
            s->remote = target;
            s->has_remote = true;
            s->state = STATE_ESTABLISHED;
        }
    } else {
        s->remote = (struct inet_name){.ip = *any};
        s->has_remote = false;
        s->state = STATE_CLOSE;
        if (!s->address_given)
            s->local.ip = *any;
        if (!s->port_given) {
            s->local.port = 0;
            port_drop(s);
        }
    }
    mutex_unlock(&s->lock);
    return r;
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

/* Whom to send to, and from where; binds the sender at need. */
static int prepare(struct inet_socket *s, const struct socket_send *send, struct inet_name *from,
                   struct inet_name *to, struct udp_wishes *wishes, bool *connected)
{
    int r;

    mutex_lock(&s->lock);
    *connected = !send->to;
    r = s->port ? 0 : port_bind(s); /* first of all, even if nothing can be sent */
    if (r) {
        mutex_unlock(&s->lock);
        return r;
    }
    if (send->to) {
        struct socket_address given = *send->to;
        if (s->family == AF_INET && given.family == AF_UNSPEC)
            given.family = AF_INET;
        r = inet_name_read(s->family == AF_INET6 && given.family == AF_INET ? AF_INET : s->family,
                           &given, to);
        if (r == -EAFNOSUPPORT && s->family == AF_INET6)
            r = -EINVAL;
        if (!r && !to->port)
            r = -EINVAL;
    } else if (s->has_remote) {
        *to = s->remote;
    } else {
        r = -EDESTADDRREQ;
    }
    if (!r && s->error)
        r = inet_take_error(s);
    if (!r && (s->shut & INET_SHUT_OUT))
        r = -EPIPE;
    if (!r)
        r = udp_wishes_read(s, ip_is_v4(&to->ip), send, wishes);
    /* A datagram to nowhere in particular goes into a loopback that is down, and is lost there. */
    if (!r && !(inet_is_down() && ip_equal(&to->ip, &g_ip_any4)))
        r = inet_route(s, to);
    if (!r) {
        *from = s->local;
        if (wishes->has_source)
            from->ip = wishes->source;
        if (ip_is_any(&from->ip))
            from->ip = ip_is_v4(&to->ip) ? g_ip_loopback4 : g_ip_loopback6;
    }
    mutex_unlock(&s->lock);
    return r;
}

static void refused(struct inet_socket *s)
{
    mutex_lock(&s->lock);
    s->error = -ECONNREFUSED;
    mutex_unlock(&s->lock);
    wait_queue_wake_all(&s->wait);
    async_notify(&s->async, ASYNC_ERROR);
}

static void deliver(struct inet_socket *to, struct packet *p)
{
    bool lost;

    mutex_lock(&to->lock);
    lost = to->closed || to->packet_bytes + p->size + PACKET_COST > to->set.receive_buffer;
    if (!lost) {
        DL_APPEND(to->packets, p);
        to->packet_bytes += p->size + PACKET_COST;
    }
    mutex_unlock(&to->lock);
    if (lost) {
        shim_free(p);
        return;
    }
    wait_queue_wake_all(&to->wait);
    async_notify(&to->async, ASYNC_IN);
}

/* One packet of the next `size` bytes. A receiver that is not there is reported to who asks for such reports. */
static int send_packet(struct inet_socket *s, struct socket_io *io, size_t size,
                       const struct inet_name *from, const struct inet_name *to,
                       const struct udp_wishes *wishes, bool connected)
{
    bool v4 = ip_is_v4(&to->ip);
    int ttl = wishes->ttl >= 0 ? wishes->ttl : v4 ? s->options.ttl : s->options.hops;
    int tos = wishes->tos >= 0 ? wishes->tos : v4 ? s->options.tos : s->options.traffic_class;
    struct packet *p = shim_alloc(sizeof(*p) + size);
    struct inet_socket *receiver;

    if (!p)
        return -ENOBUFS;
    *p = (struct packet){.from = *from, .to = to->ip, .size = size};
    p->ttl = (uint16_t)(ttl >= 0 ? ttl : 64);
    p->tos = (uint16_t)(tos > 0 ? tos : 0);
    if (socket_io_move(io, p->data, size, IO_FROM_GUEST) != size) {
        shim_free(p);
        return -EFAULT;
    }
    receiver = port_find_receiver(from, to);
    if (!receiver) {
        shim_free(p);
        if (connected || s->options.receive_errors4 || s->options.receive_errors6)
            refused(s);
        return 0;
    }
    if (receiver->set.timestamp || receiver->set.timestamp_ns)
        p->time_ns = clock_now(g_platform, CLOCK_KIND_REALTIME);
    deliver(receiver, p);
    inet_put(receiver);
    return 0;
}

int64_t udp_send(struct task *task, struct file *f, struct socket_io *io, struct socket_send *send)
{
    struct inet_socket *s = inet_of(f);
    size_t size = io->left, piece;
    struct inet_name from, to;
    struct udp_wishes wishes;
    bool connected;
    int r;

    if (send->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (size > (s->family == AF_INET ? PACKET_MAX4 : PACKET_MAX6))
        return -EMSGSIZE;
    r = prepare(s, send, &from, &to, &wishes, &connected);
    if (r == -EPIPE && !(send->flags & MSG_NOSIGNAL))
        signal_sigpipe(task);
    if (r)
        return r;
    if (ip_is_v4(&to.ip) && size > PACKET_MAX4)
        return -EMSGSIZE;
    piece = wishes.segment && size > wishes.segment ? wishes.segment : size;
    if (piece && (size + piece - 1) / piece > SEGMENTS_MAX)
        return -EINVAL;
    do
        r = send_packet(s, io, io->left < piece ? io->left : piece, &from, &to, &wishes, connected);
    while (!r && io->left);
    return r ? r : (int64_t)size;
}

/* ---- receiving -------------------------------------------------------------------------------------------------- */

static void tell_facts(struct inet_socket *s, const struct packet *p,
                       struct socket_receive *receive)
{
    inet_name_write(s->family, &p->from, &receive->from);
    receive->facts = s->options.facts | (s->set.timestamp ? FACT_TIME_US : 0) |
                     (s->set.timestamp_ns ? FACT_TIME_NS : 0);
    receive->time_ns = p->time_ns;
    memcpy(receive->to, p->to.b, sizeof(receive->to));
    receive->ttl = p->ttl;
    receive->tos = p->tos;
    if (ip_is_v4(&p->to))
        receive->facts &= ~(unsigned)(FACT_HOP_LIMIT | FACT_CLASS);
    else
        receive->facts &= ~(unsigned)(FACT_TO_V4 | FACT_TTL | FACT_TOS);
}

/* Under s->lock, with a packet there. */
static int64_t take_packet(struct inet_socket *s, struct socket_io *io,
                           struct socket_receive *receive, struct packet **dead)
{
    struct packet *p = s->packets;
    size_t wanted = p->size < io->left ? p->size : io->left;
    size_t moved = socket_io_move(io, p->data, wanted, IO_TO_GUEST);
    int asked = receive->flags;

    receive->flags = p->size > wanted ? MSG_TRUNC : 0;
    tell_facts(s, p, receive);
    if (!(asked & MSG_PEEK)) {
        DL_DELETE(s->packets, p);
        s->packet_bytes -= p->size + PACKET_COST;
        *dead = p;
    }
    if (moved < wanted)
        return -EFAULT;
    return (int64_t)(asked & MSG_TRUNC ? p->size : wanted);
}

static int64_t try_receive(struct inet_socket *s, struct socket_io *io,
                           struct socket_receive *receive, bool block)
{
    struct packet *dead = NULL;
    int64_t r;

    mutex_lock(&s->lock);
    if (s->error)
        r = inet_take_error(s);
    else if (s->packets)
        r = take_packet(s, io, receive, &dead);
    else if ((s->shut & INET_SHUT_IN) && block) /* who does not wait is not told */
        r = 0;
    else
        r = -EAGAIN;
    mutex_unlock(&s->lock);
    shim_free(dead);
    return r;
}

int64_t udp_receive(struct task *task, struct file *f, struct socket_io *io,
                    struct socket_receive *receive)
{
    struct inet_socket *s = inet_of(f);
    bool block = socket_blocks(f, receive->flags);
    uint64_t deadline = block ? socket_deadline(s->set.receive_timeout_ns) : 0;
    struct waiter w = {0};
    int64_t r;

    if (receive->flags & MSG_ERRQUEUE)
        return -EAGAIN;
    r = try_receive(s, io, receive, block);
    while (r == -EAGAIN && block) {
        int wait = socket_wait(task, &s->wait, &w, deadline);
        r = try_receive(s, io, receive, block);
        if (r == -EAGAIN && wait) {
            r = wait;
            break;
        }
    }
    wait_queue_remove(&w);
    return r;
}

uint32_t udp_poll(struct inet_socket *s)
{
    uint32_t mask = POLLOUT;

    mutex_lock(&s->lock);
    if (s->packets)
        mask |= POLLIN;
    if (s->shut & INET_SHUT_IN)
        mask |= POLLIN | POLLRDHUP;
    if (s->shut == (INET_SHUT_IN | INET_SHUT_OUT))
        mask |= POLLHUP;
    if (s->error)
        mask |= POLLERR;
    mutex_unlock(&s->lock);
    return mask;
}

int64_t udp_ioctl(struct inet_socket *s, unsigned request, uint64_t arg)
{
    int n = 0;

    if (request != FIONREAD && request != TIOCOUTQ)
        return -ENOTTY;
    mutex_lock(&s->lock);
    if (request == FIONREAD && s->packets)
        n = (int)s->packets->size;
    mutex_unlock(&s->lock);
    return user_write(arg, &n, sizeof(n));
}

void udp_close(struct inet_socket *s)
{
    struct packet *queue, *p, *tmp;

    port_drop(s);
    mutex_lock(&s->lock);
    queue = s->packets;
    s->packets = NULL;
    s->closed = true;
    s->shut = INET_SHUT_IN | INET_SHUT_OUT;
    mutex_unlock(&s->lock);
    DL_FOREACH_SAFE(queue, p, tmp)
    shim_free(p);
}
