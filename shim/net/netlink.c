/*
 * AF_NETLINK: what programs ask a kernel about its devices, addresses, routes and sockets (netlink(7)). All of it can be read and
 * nothing changed, so nothing ever happens that a member of a group would be told.
 */
#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <asm/socket.h>
#include <linux/netlink.h>

#include "platform/contract.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/net/device.h"
#include "shim/net/inet.h"
#include "shim/net/netlink.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/syscall.h"

#define REQUEST_MAX 32768u
#define SOL_NETLINK 270
#define GROUP_MAX 64
#define ANSWER_COST                                                                                \
    (sizeof(struct answer) + ANSWER_MAX) /* in the receive buffer: what it takes up */

struct netlink {
    struct file *
        host; /* owned; with --net=host: who answers. Only what the shim itself tells is queued here then */
    struct mutex lock;
    struct socket_settings set;
    struct answer *answers;
    size_t queued;
    bool tells_port;  /* NETLINK_PKTINFO */
    unsigned options; /* others that were set: bit by number */
    int protocol;     /* fixed */
    uint32_t groups;  /* the first 32 of those it listens to; nothing is ever told there */
    struct wait_queue wait;
    /* under g_ports_lock */
    uint32_t port;
    struct netlink *prev, *next;
};

static struct mutex g_ports_lock;
static struct netlink *g_sockets; /* those with a port */
static const struct file_ops netlink_file_ops;

static struct netlink *netlink_of(struct file *f)
{
    return f->data;
}

struct file *netlink_create(int type, int protocol, uint32_t flags, int *err)
{
    struct netlink *n;
    struct file *f;

    if (type != SOCK_RAW && type != SOCK_DGRAM) {
        *err = -ESOCKTNOSUPPORT;
        return NULL;
    }
    if (protocol != NETLINK_ROUTE && protocol != NETLINK_SOCK_DIAG &&
        protocol != NETLINK_KOBJECT_UEVENT) {
        stats_unsupported("socket: netlink protocol");
        *err = -EPROTONOSUPPORT;
        return NULL;
    }
    n = shim_zalloc(sizeof(*n));
    if (!n) {
        *err = -ENOMEM;
        return NULL;
    }
    if (g_config->net == SHIM_NET_HOST) {
        n->host = host_inet_create(AF_NETLINK, type, protocol, flags, err);
        if (!n->host) {
            shim_free(n);
            return NULL;
        }
    }
    n->protocol = protocol;
    socket_settings_init(&n->set);
    f = file_create(&netlink_file_ops, O_RDWR | flags, n, err);
    if (!f && n->host)
        file_put(n->host);
    if (!f)
        shim_free(n);
    return f;
}

static void netlink_release(struct file *f)
{
    struct netlink *n = netlink_of(f);
    struct answer *a, *next;

    mutex_lock(&g_ports_lock);
    if (n->port)
        DL_DELETE(g_sockets, n);
    mutex_unlock(&g_ports_lock);
    DL_FOREACH_SAFE(n->answers, a, next)
    shim_free(a);
    if (n->host)
        file_put(n->host);
    shim_free(n);
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static bool port_taken(uint32_t port)
{
    const struct netlink *other;

    DL_FOREACH(g_sockets, other)
    if (other->port == port)
        return true;
    return false;
}

/* wanted 0: the process's number, or a high one when it has another socket. */
static int take_port(struct task *task, struct netlink *n, uint32_t wanted)
{
    int r = 0;

    mutex_lock(&g_ports_lock);
    if (n->port) {
        r = wanted && wanted != n->port ? -EINVAL : 0;
    } else if (wanted && port_taken(wanted)) {
        r = -EADDRINUSE;
    } else {
        uint32_t port = wanted ? wanted : (uint32_t)task->process->pid;
        while (port_taken(port))
            port = port < 0x80000000u ? 0xffffefffu : port - 1;
        n->port = port;
        DL_APPEND(g_sockets, n);
    }
    mutex_unlock(&g_ports_lock);
    return r;
}

static int read_name(const struct socket_address *a, struct sockaddr_nl *out)
{
    if (a->size < sizeof(*out) || a->family != AF_NETLINK)
        return -EINVAL;
    memcpy((char *)out + sizeof(a->family), a->path, sizeof(*out) - sizeof(a->family));
    return 0;
}

static void write_name(uint32_t port, uint32_t groups, struct socket_address *out)
{
    struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_pid = port, .nl_groups = groups};

    *out = (struct socket_address){.family = AF_NETLINK, .size = sizeof(name)};
    memcpy(out->path, (char *)&name + sizeof(out->family), sizeof(name) - sizeof(out->family));
}

static int netlink_bind(struct task *task, struct file *f, const struct socket_address *address)
{
    struct netlink *n = netlink_of(f);
    struct sockaddr_nl name;
    int r = read_name(address, &name);

    if (netlink_of(f)->host)
        return socket_ops_of(netlink_of(f)->host)->bind(task, netlink_of(f)->host, address);
    if (!r)
        r = take_port(task, n, name.nl_pid);
    if (!r)
        n->groups = name.nl_groups;
    return r;
}

static int netlink_connect(struct task *task, struct file *f, const struct socket_address *address)
{
    struct sockaddr_nl name;
    int r = address->family == AF_UNSPEC ? 0 : read_name(address, &name);

    if (netlink_of(f)->host)
        return socket_ops_of(netlink_of(f)->host)->connect(task, netlink_of(f)->host, address);
    if (!r && address->family != AF_UNSPEC && name.nl_pid)
        r = -ECONNREFUSED; /* only the kernel answers here */
    return r ? r : take_port(task, netlink_of(f), 0);
}

static int netlink_name(struct file *f, struct socket_address *out)
{
    if (netlink_of(f)->host)
        return socket_ops_of(netlink_of(f)->host)->name(netlink_of(f)->host, out);
    write_name(netlink_of(f)->port, netlink_of(f)->groups, out);
    return 0;
}

static int netlink_peer_name(struct file *f, struct socket_address *out)
{
    if (netlink_of(f)->host)
        return socket_ops_of(netlink_of(f)->host)->peer_name(netlink_of(f)->host, out);
    write_name(0, 0, out);
    return 0;
}

static int netlink_listen(struct task *task, struct file *f, int backlog)
{
    (void)task, (void)f, (void)backlog;
    return -EOPNOTSUPP;
}

static struct file *netlink_accept(struct task *task, struct file *f, uint32_t flags,
                                   struct socket_address *from, int *err)
{
    (void)task, (void)f, (void)flags, (void)from;
    *err = -EOPNOTSUPP;
    return NULL;
}

static int netlink_shutdown(struct file *f, int how)
{
    (void)f, (void)how;
    return -EOPNOTSUPP;
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static void *reply_room(struct reply *r, size_t size)
{
    struct answer *a = r->answer;
    size_t padded = (size + 3) & ~(size_t)3;
    void *room = a->data + a->size;

    PLATFORM_REQUIRE(a->size + padded <= ANSWER_MAX); /* our own tables: their size is known */
    memset(room, 0, padded);
    a->size += padded;
    return room;
}

void netlink_reply_end(struct reply *r)
{
    struct nlmsghdr *h = (struct nlmsghdr *)(void *)(r->answer->data + r->at);

    h->nlmsg_len = (uint32_t)(r->answer->size - r->at);
}

void netlink_reply_begin(struct reply *r, uint16_t type, const void *fixed, size_t size)
{
    struct nlmsghdr *h;

    r->at = r->answer->size;
    h = reply_room(r, sizeof(*h));
    *h = (struct nlmsghdr){.nlmsg_type = type,
                           .nlmsg_flags = r->flags,
                           .nlmsg_seq = r->request->nlmsg_seq,
                           .nlmsg_pid = r->port};
    memcpy(reply_room(r, size), fixed, size);
}

void netlink_put(struct reply *r, uint16_t type, const void *data, size_t size)
{
    struct nlattr head = {.nla_len = (uint16_t)(sizeof(head) + size), .nla_type = type};
    char *room = reply_room(r, sizeof(head) + size);

    memcpy(room, &head, sizeof(head));
    memcpy(room + sizeof(head), data, size);
}

void netlink_put_number(struct reply *r, uint16_t type, uint32_t number)
{
    netlink_put(r, type, &number, sizeof(number));
}

void netlink_put_byte(struct reply *r, uint16_t type, uint8_t byte)
{
    netlink_put(r, type, &byte, sizeof(byte));
}

void netlink_put_text(struct reply *r, uint16_t type, const char *text)
{
    netlink_put(r, type, text, str_length(text) + 1);
}

/* The attribute `type` of a request whose fixed part has `fixed` bytes; NULL: not there. */
const void *netlink_find(const struct nlmsghdr *h, size_t fixed, uint16_t type, size_t *size)
{
    const char *data = (const char *)h;

    for (size_t at = (sizeof(*h) + fixed + 3) & ~(size_t)3;
         at + sizeof(struct nlattr) <= h->nlmsg_len;) {
        struct nlattr a;
        memcpy(&a, data + at, sizeof(a));
        if (a.nla_len < sizeof(a) || a.nla_len > h->nlmsg_len - at)
            return NULL;
        if ((a.nla_type & NLA_TYPE_MASK) == type) {
            *size = a.nla_len - sizeof(a);
            return data + at + sizeof(a);
        }
        at += (a.nla_len + 3u) & ~3u;
    }
    return NULL;
}

static struct answer *answer_alloc(void)
{
    struct answer *a = shim_alloc(sizeof(*a) + ANSWER_MAX);

    if (a)
        a->size = 0;
    return a;
}

bool netlink_reply_next(struct reply *r)
{
    struct answer *next;

    if (r->answer->size + ANSWER_ITEM_MAX <= ANSWER_MAX)
        return true;
    next = answer_alloc();
    if (!next) {
        r->failed = true;
        return false;
    }
    DL_APPEND(r->full, r->answer);
    r->answer = next;
    return true;
}

static void queue_answer(struct netlink *n, struct answer *a)
{
    mutex_lock(&n->lock);
    DL_APPEND(n->answers, a);
    n->queued += ANSWER_COST;
    mutex_unlock(&n->lock);
    wait_queue_wake_all(&n->wait);
}

static bool is_full(struct netlink *n)
{
    mutex_lock(&n->lock);
    bool full = n->queued > n->set.receive_buffer;
    mutex_unlock(&n->lock);
    return full;
}

int netlink_check(const struct file *f)
{
    return f->ops == &netlink_file_ops ? 0 : -EINVAL;
}

struct netlink_note *netlink_note_prepare(struct file *f, int *err)
{
    struct netlink *n = netlink_of(f);
    struct answer *a = is_full(n) ? NULL : answer_alloc();
    *err = a ? 0 : -EAGAIN;
    if (a) {
        mutex_lock(&n->lock);
        n->queued += ANSWER_COST;
        mutex_unlock(&n->lock);
    }
    return (struct netlink_note *)a;
}

void netlink_note_drop(struct file *f, struct netlink_note *note)
{
    struct netlink *n = netlink_of(f);
    mutex_lock(&n->lock);
    n->queued -= ANSWER_COST;
    mutex_unlock(&n->lock);
    shim_free(note);
}

void netlink_note_send(struct file *f, struct netlink_note *note, const void *data, size_t size)
{
    struct netlink *n = netlink_of(f);
    struct answer *a = (struct answer *)note;
    PLATFORM_REQUIRE(size <= ANSWER_MAX);
    memcpy(a->data, data, size);
    a->size = size;
    mutex_lock(&n->lock);
    DL_APPEND(n->answers, a); /* counted when it was prepared */
    mutex_unlock(&n->lock);
    wait_queue_wake_all(&n->wait);
}

/* An acknowledgement (error 0), an error, or the end of a dump. */
static void put_end(struct reply *r, uint16_t type, int error)
{
    struct nlmsgerr body = {.error = error, .msg = *r->request};

    r->flags = type == NLMSG_DONE ? NLM_F_MULTI : error ? 0 : NLM_F_CAPPED;
    netlink_reply_begin(r, type, &body, type == NLMSG_DONE ? sizeof(int32_t) : sizeof(body));
    if (type == NLMSG_ERROR && error && r->request->nlmsg_len > sizeof(*r->request)) {
        size_t rest = r->request->nlmsg_len - sizeof(*r->request);
        if (rest > ANSWER_MAX / 2)
            rest = ANSWER_MAX / 2;
        memcpy(reply_room(r, rest), r->request + 1, rest);
    }
    netlink_reply_end(r);
}

static void queue_answers(struct netlink *n, struct reply *r)
{
    struct answer *a, *tmp;

    if (r->answer && r->answer->size)
        DL_APPEND(r->full, r->answer);
    else
        shim_free(r->answer);
    r->answer = NULL;
    DL_FOREACH_SAFE(r->full, a, tmp)
    {
        DL_DELETE(r->full, a);
        queue_answer(n, a);
    }
}

static int answer_request(const struct netlink *n, const struct nlmsghdr *h, struct reply *r)
{
    if (h->nlmsg_type < NLMSG_MIN_TYPE)
        return 0;
    switch (n->protocol) {
    case NETLINK_ROUTE:
        return netlink_route_answer(h, r);
    case NETLINK_SOCK_DIAG:
        return netlink_diag_answer(h, r);
    default:
        return -EOPNOTSUPP;
    }
}

static int serve_request(struct task *task, struct netlink *n, const struct nlmsghdr *h)
{
    struct reply r = {.request = h, .port = n->port, .uid = task->process->euid};
    bool dump = (h->nlmsg_flags & NLM_F_DUMP) && h->nlmsg_type >= NLMSG_MIN_TYPE;
    int err;

    if (!(h->nlmsg_flags & NLM_F_REQUEST))
        return 0;
    r.answer = is_full(n) ? NULL : answer_alloc();
    if (!r.answer)
        return -ENOBUFS;
    r.flags = dump ? NLM_F_MULTI : 0;
    err = answer_request(n, h, &r);
    queue_answers(n, &r);
    if (r.failed)
        return -ENOBUFS;
    if (!err && !dump && !(h->nlmsg_flags & NLM_F_ACK))
        return 0;
    r.answer = answer_alloc(); /* the end in a datagram of its own, as Linux has it */
    if (!r.answer)
        return -ENOBUFS;
    put_end(&r, err || !dump ? NLMSG_ERROR : NLMSG_DONE, err);
    queue_answers(n, &r);
    return 0;
}

static int64_t netlink_send(struct task *task, struct file *f, struct socket_io *io,
                            struct socket_send *send)
{
    struct netlink *n = netlink_of(f);
    size_t size = io->left, at = 0;
    struct sockaddr_nl name;
    char *data;
    int r = send->to ? read_name(send->to, &name) : 0;

    if (netlink_of(f)->host)
        return socket_ops_of(netlink_of(f)->host)->send(task, netlink_of(f)->host, io, send);
    if (send->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (!r && send->to && (name.nl_pid || name.nl_groups))
        r = name.nl_groups ? -EPERM : -ECONNREFUSED;
    if (!r && size > REQUEST_MAX)
        r = -EMSGSIZE;
    if (!r)
        r = take_port(task, n, 0);
    if (r)
        return r;
    data = shim_alloc(size + 1);
    if (!data)
        return -ENOBUFS;
    if (socket_io_move(io, data, size, IO_FROM_GUEST) != size)
        r = -EFAULT;
    while (!r && size - at >= sizeof(struct nlmsghdr)) {
        const struct nlmsghdr *h = (const void *)(data + at);
        if (h->nlmsg_len < sizeof(*h) || h->nlmsg_len > size - at)
            break;
        r = serve_request(task, n, h);
        at += (h->nlmsg_len + 3u) & ~3u;
        if (at > size)
            break;
    }
    shim_free(data);
    return r ? r : (int64_t)size;
}

static int64_t take_answer(struct netlink *n, struct socket_io *io, struct socket_receive *receive)
{
    struct answer *a;
    int64_t r = -EAGAIN;
    int asked = receive->flags;

    mutex_lock(&n->lock);
    a = n->answers;
    if (a) {
        size_t wanted = a->size < io->left ? a->size : io->left;
        size_t moved = socket_io_move(io, a->data, wanted, IO_TO_GUEST);
        r = moved < wanted ? -EFAULT : (int64_t)(asked & MSG_TRUNC ? a->size : wanted);
        receive->flags = a->size > wanted ? MSG_TRUNC : 0;
        receive->facts =
            (n->tells_port ? FACT_PORT : 0) | (n->set.pass_credentials ? FACT_CREDENTIALS : 0);
        if (!(asked & MSG_PEEK)) {
            DL_DELETE(n->answers, a);
            n->queued -= ANSWER_COST;
        } else {
            a = NULL;
        }
    }
    mutex_unlock(&n->lock);
    shim_free(a);
    write_name(0, 0, &receive->from);
    return r;
}

/* What the shim tells comes before what the host answers. */
static int64_t receive_either(struct task *task, struct netlink *n, struct socket_io *io,
                              struct socket_receive *receive)
{
    const struct socket_receive asked = *receive;
    int64_t r = take_answer(n, io, receive);

    if (r != -EAGAIN)
        return r;
    *receive = asked;
    receive->flags |= MSG_DONTWAIT;
    r = socket_ops_of(n->host)->receive(task, n->host, io, receive);
    if (r != -EAGAIN)
        return r;
    shim_free(receive->control);
    *receive = asked;
    return r;
}

static int64_t receive_with_host(struct task *task, struct file *f, struct socket_io *io,
                                 struct socket_receive *receive)
{
    struct netlink *n = netlink_of(f);
    bool block = socket_blocks(f, receive->flags) && !(receive->flags & MSG_ERRQUEUE);
    uint64_t deadline = block ? socket_deadline(n->set.receive_timeout_ns) : 0;
    struct poll_table table;
    int64_t r;

    poll_table_init(&table);
    table.wanted = POLLIN;
    if (block) {
        poll_table_add(&table, &n->wait);
        (void)file_poll(task, n->host, &table);
    }
    r = receive_either(task, n, io, receive);
    while (r == -EAGAIN && block) {
        int wait = table.failed ? -ENOMEM : poll_table_sleep(task, &table, deadline);
        r = receive_either(task, n, io, receive);
        if (r == -EAGAIN && wait) {
            r = wait == -ETIMEDOUT ? -EAGAIN : wait;
            break;
        }
    }
    poll_table_end(&table);
    return r;
}

static int64_t netlink_receive(struct task *task, struct file *f, struct socket_io *io,
                               struct socket_receive *receive)
{
    struct netlink *n = netlink_of(f);
    bool block = socket_blocks(f, receive->flags);
    uint64_t deadline = block ? socket_deadline(n->set.receive_timeout_ns) : 0;
    struct waiter w = {0};
    int64_t r;

    if (receive->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (n->host)
        return receive_with_host(task, f, io, receive);
    r = take_answer(n, io, receive);
    while (r == -EAGAIN && block) {
        int wait = socket_wait(task, &n->wait, &w, deadline);
        r = take_answer(n, io, receive);
        if (r == -EAGAIN && wait) {
            r = wait;
            break;
        }
    }
    wait_queue_remove(&w);
    return r;
}

/* ---- options, the file ------------------------------------------------------------------------------------------ */

static int netlink_get_option(struct file *f, int level, int option, void *value, unsigned *size)
{
    struct netlink *n = netlink_of(f);
    int r;

    if (netlink_of(f)->host)
        return socket_ops_of(netlink_of(f)->host)
            ->get_option(netlink_of(f)->host, level, option, value, size);
    if (level == SOL_NETLINK) {
        if (option < 1 || option > NETLINK_GET_STRICT_CHK)
            return -ENOPROTOOPT;
        return socket_give_int(value, size,
                               option == NETLINK_PKTINFO ? n->tells_port
                                                         : (int)(n->options >> option & 1));
    }
    if (level != SOL_SOCKET)
        return -ENOPROTOOPT;
    switch (option) {
    case SO_TYPE:
        return socket_give_int(value, size, SOCK_RAW);
    case SO_DOMAIN:
        return socket_give_int(value, size, AF_NETLINK);
    case SO_PROTOCOL:
        return socket_give_int(value, size, n->protocol);
    case SO_ERROR:
    case SO_ACCEPTCONN:
        return socket_give_int(value, size, 0);
    default:
        mutex_lock(&n->lock);
        r = socket_settings_get(&n->set, option, value, size);
        mutex_unlock(&n->lock);
        return r;
    }
}

/* Under n->lock. */
static int set_member(struct netlink *n, int group, bool member)
{
    if (group < 1 || group > GROUP_MAX)
        return -EINVAL;
    if (group <= 32)
        n->groups = member ? n->groups | 1u << (group - 1) : n->groups & ~(1u << (group - 1));
    return 0;
}

static int netlink_set_option(struct task *task, struct file *f, int level, int option,
                              const void *value, unsigned size)
{
    struct netlink *n = netlink_of(f);
    int number = 0, r = 0;

    if (n->host)
        r = socket_ops_of(n->host)->set_option(task, n->host, level, option, value, size);
    if (n->host && !r && level == SOL_SOCKET) { /* how long to wait is the shim's */
        mutex_lock(&n->lock);
        (void)socket_settings_set(task, &n->set, option, value, size);
        mutex_unlock(&n->lock);
    }
    if (n->host)
        return r;
    if (level != SOL_SOCKET && level != SOL_NETLINK)
        return -ENOPROTOOPT;
    if (level == SOL_NETLINK && size < sizeof(number))
        return -EINVAL;
    if (level == SOL_NETLINK)
        memcpy(&number, value, sizeof(number));
    mutex_lock(&n->lock);
    if (level == SOL_SOCKET)
        r = socket_settings_set(task, &n->set, option, value, size);
    else if (option == NETLINK_PKTINFO)
        n->tells_port = number != 0;
    else if (option < 1 || option > NETLINK_GET_STRICT_CHK)
        r = -ENOPROTOOPT;
    else if (option <= NETLINK_DROP_MEMBERSHIP)
        r = set_member(n, number, option == NETLINK_ADD_MEMBERSHIP);
    else
        n->options = number ? n->options | 1u << option : n->options & ~(1u << option);
    mutex_unlock(&n->lock);
    return r;
}

static uint32_t netlink_poll(struct task *task, struct file *f, struct poll_table *table)
{
    struct netlink *n = netlink_of(f);
    uint32_t mask = POLLOUT;

    if (n->host)
        mask = file_poll(task, n->host, table);
    if (table && !(n->host && table->add)) /* epoll has no room for one more queue */
        poll_table_add(table, &n->wait);
    mutex_lock(&n->lock);
    if (n->answers)
        mask |= POLLIN;
    mutex_unlock(&n->lock);
    return mask;
}

static int64_t netlink_ioctl(struct task *task, struct file *f, unsigned request, uint64_t arg)
{
    const struct netlink *n = netlink_of(f);

    if (n->host)
        return n->host->ops->ioctl(task, n->host, request, arg);
    return device_ioctl(AF_NETLINK, request, arg);
}

static const struct socket_ops netlink_ops = {
    .family = AF_NETLINK,
    .bind = netlink_bind,
    .listen = netlink_listen,
    .connect = netlink_connect,
    .accept = netlink_accept,
    .send = netlink_send,
    .receive = netlink_receive,
    .shutdown = netlink_shutdown,
    .name = netlink_name,
    .peer_name = netlink_peer_name,
    .get_option = netlink_get_option,
    .set_option = netlink_set_option,
};

/* O_ASYNC is told back, without effect. */
static void netlink_async_lists(struct file *f, struct async_list *lists[ASYNC_LISTS_MAX])
{
    (void)f;
    (void)lists;
    stats_unsupported("O_ASYNC: a netlink socket");
}

static const struct file_ops netlink_file_ops = {
    .kind = "socket",
    .socket = &netlink_ops,
    .read = socket_file_read,
    .write = socket_file_write,
    .poll = netlink_poll,
    .ioctl = netlink_ioctl,
    .stat = socket_file_stat,
    .async_lists = netlink_async_lists,
    .release = netlink_release,
};
