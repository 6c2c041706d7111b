/*
 * AF_INET, AF_INET6 by sockets of the host (pal run --net=host). Host sockets never block: what waits, waits here. Options are let
 * through by a list, since some name memory or descriptors of the caller.
 */
#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <asm/socket.h>
#include <asm/sockios.h>
#include <linux/capability.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "platform/errno.h"
#include "platform/host_socket.h"
#include "shim/base/alloc.h"
#include "shim/net/inet.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/signal.h"
#include "shim/stats.h"
#include "shim/syscall.h"

#define SOL_NETLINK 270
#define SOL_RAW 255
#define ICMP_FILTER 1
#define SCM_RIGHTS 1
#define SCM_CREDENTIALS 2
#define DATAGRAM_MAX                                                                               \
    65536u /* bytes that come through a buffer when a message lies in too many places */

struct host_inet {
    int family, type, protocol;
    struct host_file *host;
    struct mutex lock;
    struct socket_settings set; /* under lock: the two timeouts; the rest is the host's */
    bool connecting;            /* a connect(2) has not told its result yet */
    /* Woken when somebody has read, or could not write more: what edge-triggered watchers were told holds no more. */
    struct wait_queue read, full;
};

static const struct file_ops host_inet_file_ops;

static struct host_inet *host_of(struct file *f)
{
    return f->data;
}

/* Takes `host` over. */
static struct file *make_file(int family, int type, int protocol, struct host_file *host,
                              uint32_t flags, int *err)
{
    struct host_inet *s = shim_zalloc(sizeof(*s));
    struct file *f = NULL;

    if (s) {
        *s = (struct host_inet){.family = family, .type = type, .protocol = protocol, .host = host};
        socket_settings_init(&s->set);
        f = file_create(&host_inet_file_ops, O_RDWR | flags, s, err);
    } else {
        *err = -ENOMEM;
    }
    if (!f) {
        host_file_close(g_platform, host);
        shim_free(s);
    }
    return f;
}

struct file *host_inet_create(int family, int type, int protocol, uint32_t flags, int *err)
{
    struct host_file *host = host_socket_open(g_platform, family, type, protocol, err);

    return host ? make_file(family, type, protocol, host, flags, err) : NULL;
}

static void host_inet_release(struct file *f)
{
    struct host_inet *s = host_of(f);

    host_file_close(g_platform, s->host);
    shim_free(s);
}

/* 0: look again. */
static int wait_for(struct task *task, struct host_inet *s, uint32_t events, uint64_t deadline)
{
    struct thread_wait_file wait = {.file = s->host, .events = events};
    int r = task_sleep_files(task, deadline, &wait, 1);

    if (r == -ERESTARTSYS && deadline != THREAD_WAIT_FOREVER)
        return -EINTR;
    return r == -ETIMEDOUT ? -EAGAIN : r < 0 ? r : 0;
}

/* ---- addresses -------------------------------------------------------------------------------------------------- */

static int to_host(const struct socket_address *a, struct host_address *out)
{
    if (a->size < sizeof(a->family) || a->size > SOCKET_ADDRESS_MAX)
        return -EINVAL;
    out->size = a->size;
    memcpy(out->bytes, &a->family, sizeof(a->family));
    memcpy(out->bytes + sizeof(a->family), a->path, a->size - sizeof(a->family));
    return 0;
}

static void from_host(const struct host_address *a, struct socket_address *out)
{
    unsigned size = a->size < SOCKET_ADDRESS_MAX ? a->size : SOCKET_ADDRESS_MAX;

    *out = (struct socket_address){.size = size};
    if (size < sizeof(out->family))
        return;
    memcpy(&out->family, a->bytes, sizeof(out->family));
    memcpy(out->path, a->bytes + sizeof(out->family), size - sizeof(out->family));
}

static int host_inet_bind(struct task *task, struct file *f, const struct socket_address *address)
{
    struct host_inet *s = host_of(f);
    struct host_address to;
    uint16_t port;
    int r = to_host(address, &to);

    if (r)
        return r;
    memcpy(&port, address->path, sizeof(port));
    port = __builtin_bswap16(port);
    if (s->family != AF_NETLINK && port && port < INET_PRIVILEGED_PORTS &&
        !process_capable(task->process, CAP_NET_BIND_SERVICE))
        return -EACCES; /* whatever the host lets its user do */
    return host_socket_bind(g_platform, s->host, &to);
}

static int host_inet_listen(struct task *task, struct file *f, int backlog)
{
    (void)task;
    return host_socket_listen(g_platform, host_of(f)->host, backlog);
}

static int host_inet_connect(struct task *task, struct file *f,
                             const struct socket_address *address)
{
    struct host_inet *s = host_of(f);
    uint64_t deadline = socket_deadline(s->set.send_timeout_ns);
    struct host_address to;
    int r = to_host(address, &to);

    if (r)
        return r;
    r = host_socket_connect(g_platform, s->host, &to);
    if (r == -EISCONN && s->connecting)
        r = 0; /* the call that began it was interrupted */
    if (!socket_blocks(f, 0) || (r != -EINPROGRESS && r != -EALREADY)) {
        s->connecting = r == -EINPROGRESS || r == -EALREADY;
        return r;
    }
    s->connecting = true;
    while (!(host_file_poll(g_platform, s->host, POLLOUT) & (POLLOUT | POLLERR | POLLHUP))) {
        r = wait_for(task, s, POLLOUT, deadline);
        if (r)
            return r == -EAGAIN ? -EINPROGRESS : r;
    }
    s->connecting = false;
    r = host_socket_connect(g_platform, s->host, &to); /* tells the result, and forgets a failure */
    return r == -EISCONN ? 0 : r;
}

static struct file *host_inet_accept(struct task *task, struct file *f, uint32_t flags,
                                     struct socket_address *from, int *err)
{
    struct host_inet *s = host_of(f);
    uint64_t deadline = socket_deadline(s->set.receive_timeout_ns);
    struct host_address who;
    struct host_file *made;

    for (;;) {
        made = host_socket_accept(g_platform, s->host, &who, err);
        wait_queue_wake_all(&s->read);
        if (made)
            break;
        if (*err != -EAGAIN || !socket_blocks(f, 0))
            return NULL;
        *err = wait_for(task, s, POLLIN, deadline);
        if (*err)
            return NULL;
    }
    from_host(&who, from);
    return make_file(s->family, s->type, s->protocol, made, flags, err);
}

static int host_inet_shutdown(struct file *f, int how)
{
    return host_socket_shutdown(g_platform, host_of(f)->host, how);
}

static int tell_name(struct file *f, enum host_socket_name which, struct socket_address *out)
{
    struct host_address name;
    int r = host_socket_name(g_platform, host_of(f)->host, which, &name);

    if (!r)
        from_host(&name, out);
    return r;
}

static int host_inet_name(struct file *f, struct socket_address *out)
{
    return tell_name(f, HOST_SOCKET_LOCAL, out);
}

static int host_inet_peer_name(struct file *f, struct socket_address *out)
{
    return tell_name(f, HOST_SOCKET_PEER, out);
}

/* ---- data ------------------------------------------------------------------------------------------------------- */

/* What comes next of `io`, in as many parts as go at once. Result: how many. */
static unsigned next_parts(const struct socket_io *io, struct mem_ref parts[HOST_SOCKET_PARTS])
{
    unsigned count = 0;

    for (unsigned i = io->index; i < io->count && count < HOST_SOCKET_PARTS; i++)
        parts[count++] = i == io->index ? mem_skip(io->parts[i], io->skip) : io->parts[i];
    return count;
}

static void advance(struct socket_io *io, size_t size)
{
    io->left -= size;
    while (size) {
        size_t rest = io->parts[io->index].size - io->skip;
        if (size < rest) {
            io->skip += size;
            return;
        }
        size -= rest;
        io->index++;
        io->skip = 0;
    }
}

/* A message in more parts than the host takes goes through one buffer. Owner: caller; NULL: no need, or *err. */
static char *gather(const struct host_inet *s, struct socket_io *io, struct mem_ref *part, int *err)
{
    size_t size = io->left < DATAGRAM_MAX ? io->left : DATAGRAM_MAX;
    char *buffer;

    *err = 0;
    if (s->type == SOCK_STREAM || io->count - io->index <= HOST_SOCKET_PARTS)
        return NULL;
    buffer = shim_alloc(size + 1);
    if (!buffer)
        *err = -ENOBUFS;
    else
        *part = mem_shim(buffer, size);
    return buffer;
}

/* Requests to the host's routing tables: a guest may ask and not change. */
static int check_request(int protocol, struct mem_ref part)
{
    struct {
        uint32_t size;
        uint16_t type, flags;
        uint32_t sequence, port;
    } header;

    for (size_t at = 0; at + sizeof(header) <= part.size;) {
        memcpy(&header, part.shim + at, sizeof(header));
        if (header.size < sizeof(header) || header.size > part.size - at)
            return 0; /* the host reads no further either */
        if (header.type >= 16 && (protocol == NETLINK_SOCK_DIAG ? header.type != SOCK_DIAG_BY_FAMILY
                                                                : (header.type - 16) % 4 != 2))
            return -EPERM;
        at += ((size_t)header.size + 3) & ~(size_t)3;
    }
    return 0;
}

/*
 * Control messages for the host: without those that would name its descriptors and users; sys_socket_control.c has looked at the others.
 * Owner: caller; NULL: nothing is left, or *err.
 */
static char *clean_control(const struct socket_send *send, uint32_t *size, int *err)
{
    struct {
        uint64_t size;
        int32_t level, type;
    } h;
    char *out;

    *size = 0;
    if (!send->control_size)
        return NULL;
    out = shim_zalloc(send->control_size + 8);
    if (!out) {
        *err = -ENOBUFS;
        return NULL;
    }
    for (size_t at = 0; send->control_size - at >= sizeof(h);) {
        memcpy(&h, send->control + at, sizeof(h));
        if (h.size < sizeof(h) || h.size > send->control_size - at)
            break; /* cannot be: it was parsed */
        if (h.level != SOL_SOCKET || (h.type != SCM_RIGHTS && h.type != SCM_CREDENTIALS)) {
            memcpy(out + *size, send->control + at, h.size);
            *size += (uint32_t)((h.size + 7) & ~7ull);
        }
        if (((h.size + 7) & ~7ull) >= send->control_size - at)
            break;
        at += (h.size + 7) & ~7ull;
    }
    return out;
}

static int64_t send_once(struct host_inet *s, struct socket_io *io, const struct socket_send *send,
                         struct host_address *to)
{
    struct mem_ref parts[HOST_SOCKET_PARTS];
    int err = 0;
    char *buffer = gather(s, io, parts, &err), *control = NULL;
    struct host_message m = {
        .parts = parts, .flags = (unsigned)send->flags & HOST_SOCKET_SEND_FLAGS, .address = to};
    struct socket_io copy = *io;
    int64_t n;

    if (!err && s->family == AF_NETLINK && io->left > DATAGRAM_MAX)
        err = -EMSGSIZE;
    if (!err)
        control = clean_control(send, &m.control_size, &err);
    m.control = control;
    if (s->family == AF_NETLINK && !buffer && !err) {
        buffer = shim_alloc(io->left + 1);
        err = buffer ? 0 : -ENOBUFS;
        if (buffer)
            parts[0] = mem_shim(buffer, io->left);
    }
    m.count = buffer ? 1 : next_parts(io, parts);
    if (err)
        n = err;
    else if (buffer && io->left > parts[0].size)
        n = -EMSGSIZE;
    else if (buffer && socket_io_move(&copy, buffer, parts[0].size, IO_FROM_GUEST) != parts[0].size)
        n = -EFAULT;
    else if (s->family == AF_NETLINK && (err = check_request(s->protocol, parts[0])) != 0)
        n = err;
    else
        n = host_socket_send(g_platform, s->host, &m);
    shim_free(control);
    shim_free(buffer);
    return n;
}

static int64_t host_inet_send(struct task *task, struct file *f, struct socket_io *io,
                              struct socket_send *send)
{
    struct host_inet *s = host_of(f);
    bool block = socket_blocks(f, send->flags);
    uint64_t deadline = block ? socket_deadline(s->set.send_timeout_ns) : 0;
    struct host_address to;
    bool waited; /* and nothing is sent yet: an empty datagram counts as well */
    int64_t done = 0, n = send->to ? to_host(send->to, &to) : 0;

    if (n)
        return n;
    if (send->flags & MSG_FASTOPEN)
        return -EOPNOTSUPP;
    do {
        waited = false;
        n = send_once(s, io, send, send->to ? &to : NULL);
        if (n >= 0) {
            done += n;
            advance(io, (size_t)n);
            if (io->left && !block)
                wait_queue_wake_all(&s->full);
        } else if (n == -EAGAIN) {
            wait_queue_wake_all(&s->full);
            n = block ? wait_for(task, s, POLLOUT, deadline) : -EAGAIN;
            waited = true;
        }
    } while (n >= 0 && (waited || (io->left && s->type == SOCK_STREAM)));
    if (n == -EPIPE && !done && s->type == SOCK_STREAM && !(send->flags & MSG_NOSIGNAL))
        signal_sigpipe(task);
    return done || n >= 0 ? done : n;
}

static int64_t receive_once(struct host_inet *s, struct socket_io *io, struct host_message *m)
{
    struct mem_ref parts[HOST_SOCKET_PARTS];
    int err = 0;
    char *buffer = gather(s, io, parts, &err);
    int64_t n;

    if (err)
        return err;
    m->parts = parts;
    m->count = buffer ? 1 : next_parts(io, parts);
    n = host_socket_receive(g_platform, s->host, m);
    m->parts = NULL;
    if (n > 0 && buffer) {
        size_t got = (size_t)n < parts[0].size ? (size_t)n : parts[0].size;
        struct socket_io copy = *io;
        if (socket_io_move(&copy, buffer, got, IO_TO_GUEST) != got)
            n = -EFAULT;
    }
    shim_free(buffer);
    return n;
}

static int64_t host_inet_receive(struct task *task, struct file *f, struct socket_io *io,
                                 struct socket_receive *receive)
{
    struct host_inet *s = host_of(f);
    bool block = socket_blocks(f, receive->flags);
    bool whole = s->type == SOCK_STREAM && (receive->flags & MSG_WAITALL) &&
                 !(receive->flags & (MSG_PEEK | MSG_OOB));
    unsigned asked = (unsigned)receive->flags & HOST_SOCKET_RECEIVE_FLAGS;
    uint64_t deadline = block ? socket_deadline(s->set.receive_timeout_ns) : 0;
    struct host_address from = {0};
    struct host_message m = {.address = &from};
    int64_t done = 0, n;

    if (asked & MSG_ERRQUEUE) /* never waits */
        block = false;
    if (receive->control_room) {
        m.control = receive->control = shim_zalloc(receive->control_room);
        if (!m.control)
            return -ENOBUFS;
    }
    do {
        m.flags = asked;
        m.control_size = receive->control_room;
        n = receive_once(s, io, &m);
        if (n)
            wait_queue_wake_all(&s->read);
        if (n > 0) {
            done += n;
            if (whole)
                advance(io, (size_t)n);
        } else if (n == -EAGAIN && block) {
            n = wait_for(task, s, asked & MSG_OOB ? POLLPRI : POLLIN, deadline);
            if (!n)
                continue;
        }
        if (n <= 0)
            break;
    } while (!done || (whole && io->left));
    receive->flags = (int)m.flags & (MSG_TRUNC | MSG_CTRUNC | MSG_OOB | MSG_EOR | MSG_ERRQUEUE);
    receive->control_size = m.control_size;
    from_host(&from, &receive->from);
    return done ? done : n;
}

/* ---- options ---------------------------------------------------------------------------------------------------- */

struct known_option {
    int level, option;
};
/* Values without addresses of memory or descriptors, beyond those that inet_option_known() knows. */
static const struct known_option k_known[] = {
    {SOL_SOCKET, SO_REUSEADDR},
    {SOL_SOCKET, SO_REUSEPORT},
    {SOL_SOCKET, SO_KEEPALIVE},
    {SOL_SOCKET, SO_BROADCAST},
    {SOL_SOCKET, SO_OOBINLINE},
    {SOL_SOCKET, SO_LINGER},
    {SOL_SOCKET, SO_SNDBUF},
    {SOL_SOCKET, SO_RCVBUF},
    {SOL_SOCKET, SO_PRIORITY},
    {SOL_SOCKET, SO_RCVLOWAT},
    {SOL_SOCKET, SO_DONTROUTE},
    {SOL_SOCKET, SO_TYPE},
    {SOL_SOCKET, SO_DOMAIN},
    {SOL_SOCKET, SO_PROTOCOL},
    {SOL_SOCKET, SO_ERROR},
    {SOL_SOCKET, SO_ACCEPTCONN},
    {SOL_SOCKET, SO_INCOMING_CPU},
    {SOL_SOCKET, SO_SNDLOWAT},
    {SOL_SOCKET, SO_TIMESTAMP_OLD},
    {SOL_SOCKET, SO_TIMESTAMPNS_OLD},
    {SOL_SOCKET, SO_TIMESTAMPING_OLD},
    {SOL_SOCKET, SO_TIMESTAMP_NEW},
    {SOL_SOCKET, SO_TIMESTAMPNS_NEW},
    {SOL_SOCKET, SO_TIMESTAMPING_NEW},
    {SOL_SOCKET, SO_RXQ_OVFL},
    {SOL_SOCKET, SO_NO_CHECK},
    {SOL_SOCKET, SO_PEEK_OFF},
    {SOL_SOCKET, SO_BINDTODEVICE},
    {SOL_SOCKET, SO_COOKIE},
    {SOL_SOCKET, SO_MARK},
    {IPPROTO_UDP, UDP_CORK},
    {IPPROTO_UDP, UDP_SEGMENT},
    {IPPROTO_UDP, UDP_GRO},
    {IPPROTO_IP, IP_HDRINCL},
    {IPPROTO_IP, IP_RECVORIGDSTADDR},
    {IPPROTO_IP, IP_MINTTL},
    {IPPROTO_IP, IP_UNICAST_IF},
    {IPPROTO_IP, IP_MULTICAST_ALL},
    {IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP},
    {IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP},
    {IPPROTO_IP, MCAST_JOIN_GROUP},
    {IPPROTO_IP, MCAST_LEAVE_GROUP},
    {IPPROTO_IPV6, MCAST_JOIN_GROUP},
    {IPPROTO_IPV6, MCAST_LEAVE_GROUP},
    {IPPROTO_IPV6, IPV6_CHECKSUM},
    {SOL_RAW, ICMP_FILTER},
    {IPPROTO_IP, IP_ADD_MEMBERSHIP},
    {IPPROTO_IP, IP_DROP_MEMBERSHIP},
    {IPPROTO_IP, IP_MULTICAST_IF},
    {IPPROTO_IP, IP_MTU},
    {IPPROTO_IPV6, IPV6_V6ONLY},
    {IPPROTO_IPV6, IPV6_MTU},
    {IPPROTO_IPV6, IPV6_MULTICAST_IF},
    {IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP},
    {IPPROTO_TCP, TCP_INFO},
    {IPPROTO_TCP, TCP_MAXSEG},
    {IPPROTO_TCP, TCP_CONGESTION},
    {IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP},
};

static bool passes(int level, int option)
{
    for (size_t i = 0; i < sizeof(k_known) / sizeof(k_known[0]); i++)
        if (k_known[i].level == level && k_known[i].option == option)
            return true;
    return inet_option_known(level, option) || level == SOL_NETLINK;
}

static bool is_timeout(int level, int option)
{
    return level == SOL_SOCKET && (option == SO_RCVTIMEO_OLD || option == SO_SNDTIMEO_OLD ||
                                   option == SO_RCVTIMEO_NEW || option == SO_SNDTIMEO_NEW);
}

static int host_inet_get_option(struct file *f, int level, int option, void *value, unsigned *size)
{
    struct host_inet *s = host_of(f);
    struct socket_credentials nobody = {0, UINT32_MAX, UINT32_MAX};
    int r;

    if (level == SOL_SOCKET && option == SO_PEERCRED)
        return socket_give(value, size, &nobody, sizeof(nobody));
    if (is_timeout(level, option)) {
        mutex_lock(&s->lock);
        r = socket_settings_get(&s->set, option, value, size);
        mutex_unlock(&s->lock);
        return r;
    }
    if (!passes(level, option)) {
        stats_unsupported("getsockopt: option");
        return -ENOPROTOOPT;
    }
    return host_socket_get_option(g_platform, s->host, level, option, value, size);
}

static int host_inet_set_option(struct task *task, struct file *f, int level, int option,
                                const void *value, unsigned size)
{
    struct host_inet *s = host_of(f);
    int r;

    if (is_timeout(level, option)) {
        mutex_lock(&s->lock);
        r = socket_settings_set(task, &s->set, option, value, size);
        mutex_unlock(&s->lock);
        return r;
    }
    if (!passes(level, option)) {
        stats_unsupported("setsockopt: option");
        return -ENOPROTOOPT;
    }
    if (level == SOL_SOCKET && option == SO_MARK && !process_capable(task->process, CAP_NET_ADMIN))
        return -EPERM; /* whatever the host lets its user do */
    return host_socket_set_option(g_platform, s->host, level, option, value, size);
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

static uint32_t host_inet_poll(struct task *task, struct file *f, struct poll_table *table)
{
    const uint32_t events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP;
    struct host_inet *s = host_of(f);

    (void)task;
    if (table) {
        poll_table_add_host(table, s->host, events);
        if (table->add) { /* epoll: it may have to be told again */
            poll_table_add(table, &s->read);
            poll_table_add(table, &s->full);
        }
    }
    return host_file_poll(g_platform, s->host, events);
}

/* Where what is read or written goes through shim memory: a struct ifreq. */
#define DEVICE_REQUEST 40
#define DEVICE_LIST_MAX 16384

static int64_t device_list(struct host_inet *s, uint64_t arg)
{
    struct {
        int32_t size, padding;
        uint64_t buffer;
    } list;
    uint32_t size;
    char *all;
    int r = user_read(&list, arg, sizeof(list));

    if (r)
        return r;
    if (list.size < 0 && list.buffer)
        return -EINVAL;
    all = shim_zalloc(DEVICE_LIST_MAX);
    if (!all)
        return -ENOMEM;
    size = list.buffer && list.size < DEVICE_LIST_MAX ? (uint32_t)list.size : DEVICE_LIST_MAX;
    r = host_socket_device(g_platform, s->host, SIOCGIFCONF, all, &size);
    if (!r && list.buffer)
        r = user_write(list.buffer, all, size);
    shim_free(all);
    list.size = (int32_t)size;
    return r ? r : user_write(arg, &list, sizeof(list));
}

static int64_t device_question(struct host_inet *s, unsigned request, uint64_t arg)
{
    char value[DEVICE_REQUEST];
    uint32_t size = sizeof(value);
    int r = user_read(value, arg, sizeof(value));

    if (!r)
        r = host_socket_device(g_platform, s->host, request, value, &size);
    if (r == -EINVAL)
        stats_unsupported("ioctl of a socket of the host");
    return r == -EINVAL ? -ENOTTY : r ? r : user_write(arg, value, size);
}

static int64_t host_inet_ioctl(struct task *task, struct file *f, unsigned request, uint64_t arg)
{
    int n = 0, r;

    (void)task;
    if (request == SIOCGIFCONF)
        return device_list(host_of(f), arg);
    if (request != FIONREAD && request != TIOCOUTQ && request != SIOCATMARK)
        return request >= SIOCGIFNAME && request <= SIOCSIFMAP + 1
                   ? device_question(host_of(f), request, arg)
                   : -ENOTTY;
    r = host_socket_count(g_platform, host_of(f)->host, request, &n);
    return r ? r : user_write(arg, &n, sizeof(n));
}

static const struct socket_ops host_inet_ops = {
    .family = AF_INET,
    .bind = host_inet_bind,
    .listen = host_inet_listen,
    .connect = host_inet_connect,
    .accept = host_inet_accept,
    .send = host_inet_send,
    .receive = host_inet_receive,
    .shutdown = host_inet_shutdown,
    .name = host_inet_name,
    .peer_name = host_inet_peer_name,
    .get_option = host_inet_get_option,
    .set_option = host_inet_set_option,
};

/* O_ASYNC is told back, but nobody is told of what the host has. */
static void host_async_lists(struct file *f, struct async_list *lists[ASYNC_LISTS_MAX])
{
    (void)f;
    (void)lists;
    stats_unsupported("O_ASYNC: a socket of the host");
}

static const struct file_ops host_inet_file_ops = {
    .kind = "socket",
    .socket = &host_inet_ops,
    .read = socket_file_read,
    .write = socket_file_write,
    .poll = host_inet_poll,
    .ioctl = host_inet_ioctl,
    .stat = socket_file_stat,
    .async_lists = host_async_lists,
    .release = host_inet_release,
};
