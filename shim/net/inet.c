/*
 * AF_INET, AF_INET6: what TCP and UDP share, and the way from the calls to either.
 */
#include "shim/net/inet.h"

#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/sockios.h>
#include <linux/capability.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/sockios.h>

#include "platform/errno.h"
#include "shim/net/device.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/stats.h"

static const struct file_ops inet_file_ops;

/* ---- life ------------------------------------------------------------------------------------------------------- */

struct inet_socket *inet_alloc(struct task *task, int family, int type, int protocol)
{
    struct inet_socket *s = shim_zalloc(sizeof(*s));

    if (!s)
        return NULL;
    s->refs = 1;
    s->family = family;
    s->type = type;
    s->protocol = protocol;
    s->state = STATE_CLOSE;
    s->uid = task ? task->process->euid : 0;
    s->local.ip = s->remote.ip = family == AF_INET ? g_ip_any4 : g_ip_any6;
    socket_settings_init(&s->set);
    if (type == SOCK_STREAM) {
        s->set.send_buffer = 16384; /* net.ipv4.tcp_wmem, tcp_rmem */
        s->set.receive_buffer = 131072;
    }
    inet_options_init(&s->options);
    return s;
}

void inet_put(struct inet_socket *s)
{
    if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0)
        shim_free(s);
}

struct file *inet_file(struct inet_socket *s, uint32_t flags, int *err)
{
    struct file *f = file_create(&inet_file_ops, O_RDWR | flags, s, err);

    if (f) {
        mutex_lock(&s->lock);
        s->id = f->id;
        s->file = f;
        mutex_unlock(&s->lock);
    }
    return f;
}

static void inet_release(struct file *f)
{
    struct inet_socket *s = inet_of(f);

    mutex_lock(&s->lock);
    s->file = NULL;
    mutex_unlock(&s->lock);
    if (s->type == SOCK_STREAM)
        tcp_close(s);
    else
        udp_close(s);
    inet_put(s);
}

struct file *inet_create(struct task *task, int family, int type, int protocol, uint32_t flags,
                         int *err)
{
    static const int protocol_of[] = {[SOCK_STREAM] = IPPROTO_TCP, [SOCK_DGRAM] = IPPROTO_UDP};
    struct inet_socket *s;
    struct file *f;

    if (g_config->net == SHIM_NET_HOST && type >= SOCK_STREAM && type <= SOCK_RAW) {
        if (type != SOCK_RAW || process_capable(task->process, CAP_NET_RAW))
            return host_inet_create(family, type, protocol, flags, err);
        *err = -EPERM;
        return NULL;
    }
    if (type == SOCK_RAW) { /* what a process without CAP_NET_RAW hears */
        *err = -EPERM;
        return NULL;
    }
    if (type != SOCK_STREAM && type != SOCK_DGRAM) {
        *err = -ESOCKTNOSUPPORT;
        return NULL;
    }
    if (protocol && protocol != protocol_of[type]) {
        stats_unsupported("socket: protocol");
        *err = type == SOCK_DGRAM && (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
                   ? -EACCES
                   : -EPROTONOSUPPORT;
        return NULL;
    }
    s = inet_alloc(task, family, type, protocol_of[type]);
    if (!s) {
        *err = -ENOMEM;
        return NULL;
    }
    f = inet_file(s, flags, err);
    if (!f)
        inet_put(s);
    return f;
}

int inet_take_error(struct inet_socket *s)
{
    int r = s->error;

    s->error = 0;
    return r;
}

/* ---- addresses -------------------------------------------------------------------------------------------------- */

bool inet_is_down(void)
{
    return g_config->net == SHIM_NET_NONE;
}

int inet_route(const struct inet_socket *s, struct inet_name *to)
{
    bool v4 = ip_is_v4(&to->ip);

    if (v4 && s->v6_only)
        return -ENETUNREACH;
    if (inet_is_down())
        return v4 ? -ENETUNREACH : -EADDRNOTAVAIL;
    if (ip_is_any(&to->ip)) {
        bool bound4 = !ip_is_any(&s->local.ip) && ip_is_v4(&s->local.ip);
        to->ip = v4 || bound4 ? g_ip_loopback4 : g_ip_loopback6;
        return 0;
    }
    if (ip_is_broadcast(&to->ip)) {
        if (s->type == SOCK_STREAM || ip_v4(&to->ip) == 0xffffffffu)
            return -ENETUNREACH;
        return s->set.broadcast ? 0 : -EACCES;
    }
    if (!ip_is_local(&to->ip))
        return -ENETUNREACH;
    if (!ip_is_any(&s->local.ip) && ip_is_v4(&s->local.ip) != v4)
        return v4 ? -ENETUNREACH : -EINVAL;
    return 0;
}

void inet_choose_source(struct inet_socket *s, const struct inet_name *to)
{
    if (ip_is_any(&s->local.ip))
        s->local.ip = ip_is_v4(&to->ip) ? g_ip_loopback4 : g_ip_loopback6;
}

static int check_local(const struct inet_socket *s, const struct inet_name *name)
{
    bool v4 = ip_is_v4(&name->ip);

    if (s->family == AF_INET6 && v4 && s->v6_only)
        return -EINVAL;
    if (ip_is_multicast(&name->ip) && s->family == AF_INET6 && s->type == SOCK_STREAM)
        return -EINVAL;
    if (inet_is_down() &&
        !ip_is_any(&name->ip)) /* Linux has no table of IPv4 addresses then to look into */
        return v4 ? 0 : -EADDRNOTAVAIL;
    if (ip_is_any(&name->ip) || ip_is_local(&name->ip) || s->options.free_bind ||
        s->options.transparent)
        return 0;
    if (ip_is_multicast(&name->ip) || ip_is_broadcast(&name->ip))
        return 0;
    return -EADDRNOTAVAIL;
}

static int inet_bind(struct task *task, struct file *f, const struct socket_address *address)
{
    struct inet_socket *s = inet_of(f);
    struct socket_address given = *address;
    struct inet_name name;
    int r;

    if (s->family == AF_INET && given.family == AF_UNSPEC && !memcmp(given.path + 2, "\0\0\0\0", 4))
        given.family = AF_INET; /* ip(7) does not say so, but Linux takes it for the wildcard */
    r = inet_name_read(s->family, &given, &name);
    if (!r)
        r = check_local(s, &name);
    if (!r && name.port && name.port < INET_PRIVILEGED_PORTS &&
        !process_capable(task->process, CAP_NET_BIND_SERVICE))
        r = -EACCES;
    if (r)
        return r;
    mutex_lock(&s->lock);
    if (s->port || s->state != STATE_CLOSE || s->closed) {
        r = -EINVAL;
    } else {
        struct inet_name before = s->local;
        s->local = name;
        r = port_bind(s);
        if (r) {
            s->local = before;
        } else {
            s->address_given = !ip_is_any(&name.ip);
            s->port_given = name.port != 0;
        }
    }
    mutex_unlock(&s->lock);
    return r;
}

static int inet_listen(struct task *task, struct file *f, int backlog)
{
    struct inet_socket *s = inet_of(f);

    (void)task;
    return s->type == SOCK_STREAM ? tcp_listen(s, backlog) : -EOPNOTSUPP;
}

static int inet_connect(struct task *task, struct file *f, const struct socket_address *address)
{
    struct inet_socket *s = inet_of(f);
    struct inet_name to;
    int r;

    if (address->family == AF_UNSPEC)
        return s->type == SOCK_STREAM ? tcp_disconnect(s) : udp_connect(s, NULL);
    if (s->type == SOCK_STREAM && (s->peer || s->state != STATE_CLOSE))
        return tcp_connect(task, f, &s->remote); /* the address is not looked at */
    r = inet_name_read(s->family == AF_INET6 && s->type == SOCK_DGRAM && address->family == AF_INET
                           ? AF_INET
                           : s->family,
                       address, &to);
    if (r)
        return r;
    return s->type == SOCK_STREAM ? tcp_connect(task, f, &to) : udp_connect(s, &to);
}

static struct file *inet_accept(struct task *task, struct file *f, uint32_t flags,
                                struct socket_address *from, int *err)
{
    if (inet_of(f)->type == SOCK_STREAM)
        return tcp_accept(task, f, flags, from, err);
    *err = -EOPNOTSUPP;
    return NULL;
}

static int64_t inet_send(struct task *task, struct file *f, struct socket_io *io,
                         struct socket_send *send)
{
    return inet_of(f)->type == SOCK_STREAM ? tcp_send(task, f, io, send)
                                           : udp_send(task, f, io, send);
}

static int64_t inet_receive(struct task *task, struct file *f, struct socket_io *io,
                            struct socket_receive *receive)
{
    return inet_of(f)->type == SOCK_STREAM ? tcp_receive(task, f, io, receive)
                                           : udp_receive(task, f, io, receive);
}

static int inet_shutdown(struct file *f, int how)
{
    struct inet_socket *s = inet_of(f);
    unsigned bits = (unsigned)how + 1;
    int r = 0;

    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    if (s->type == SOCK_STREAM)
        return tcp_shutdown(s, bits);
    mutex_lock(&s->lock);
    s->shut |= bits;
    if (!s->has_remote)
        r = -ENOTCONN;
    mutex_unlock(&s->lock);
    wait_queue_wake_all(&s->wait);
    return r;
}

static int inet_name(struct file *f, struct socket_address *out)
{
    struct inet_socket *s = inet_of(f);

    mutex_lock(&s->lock);
    inet_name_write(s->family, &s->local, out);
    mutex_unlock(&s->lock);
    return 0;
}

static int inet_peer_name(struct file *f, struct socket_address *out)
{
    struct inet_socket *s = inet_of(f);
    bool connected;

    mutex_lock(&s->lock);
    if (s->type == SOCK_STREAM)
        connected = s->peer && s->state != STATE_CLOSE && s->state != STATE_SYN_SENT;
    else
        connected = s->has_remote;
    inet_name_write(s->family, &s->remote, out);
    mutex_unlock(&s->lock);
    return connected ? 0 : -ENOTCONN;
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

static uint32_t inet_poll(struct task *task, struct file *f, struct poll_table *table)
{
    struct inet_socket *s = inet_of(f);

    (void)task;
    if (table)
        poll_table_add(table, &s->wait);
    return s->type == SOCK_STREAM ? tcp_poll(s) : udp_poll(s);
}

static int64_t inet_ioctl(struct task *task, struct file *f, unsigned request, uint64_t arg)
{
    struct inet_socket *s = inet_of(f);

    (void)task;
    switch (request) {
    case FIONREAD:
    case TIOCOUTQ:
    case SIOCOUTQNSD:
    case SIOCATMARK:
        return s->type == SOCK_STREAM ? tcp_ioctl(s, request, arg) : udp_ioctl(s, request, arg);
    default:
        return device_ioctl(s->family, request, arg);
    }
}

static const struct socket_ops inet_ops = {
    .family = AF_INET,
    .bind = inet_bind,
    .listen = inet_listen,
    .connect = inet_connect,
    .accept = inet_accept,
    .send = inet_send,
    .receive = inet_receive,
    .shutdown = inet_shutdown,
    .name = inet_name,
    .peer_name = inet_peer_name,
    .get_option = inet_get_option,
    .set_option = inet_set_option,
};

static void inet_async_lists(struct file *f, struct async_list *lists[ASYNC_LISTS_MAX])
{
    lists[0] = &inet_of(f)->async;
}

static const struct file_ops inet_file_ops = {
    .kind = "socket",
    .socket = &inet_ops,
    .read = socket_file_read,
    .write = socket_file_write,
    .poll = inet_poll,
    .ioctl = inet_ioctl,
    .stat = socket_file_stat,
    .async_lists = inet_async_lists,
    .release = inet_release,
};
