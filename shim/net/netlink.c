/*
 * AF_NETLINK: what programs ask a kernel about its devices, addresses and routes (netlink(7), rtnetlink(7)). All of it can be read
 * and nothing changed, so nothing ever happens that a member of a group would be told.
 */
#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <asm/socket.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "platform/contract.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/net/device.h"
#include "shim/net/inet.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/syscall.h"

#define REQUEST_MAX 32768u
#define ANSWER_MAX 4096u /* of one request */
#define HARDWARE_LOOPBACK 772
#define OPERATIONAL_UNKNOWN 0
#define OPERATIONAL_DOWN 2
#define FLAG_LOWER_UP 0x10000u
#define FOREVER 0xffffffffu
#define SOL_NETLINK 270
#define ROUTE_LOCAL 0x80000000u /* RTCF_LOCAL */

#define ANSWER_COST                                                                                \
    (sizeof(struct answer) + ANSWER_MAX) /* in the receive buffer: what it takes up */

struct answer {
    struct answer *prev, *next;
    size_t size;
    char data[];
};

struct netlink {
    struct mutex lock;
    struct socket_settings set;
    struct answer *answers;
    size_t queued;
    bool tells_port;  /* NETLINK_PKTINFO */
    unsigned options; /* others that were set: bit by number */
    uint32_t groups;
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
    if (protocol != NETLINK_ROUTE) {
        stats_unsupported("socket: netlink protocol");
        *err = -EPROTONOSUPPORT;
        return NULL;
    }
    if (g_config->net == SHIM_NET_HOST)
        return host_inet_create(AF_NETLINK, type, protocol, flags, err);
    n = shim_zalloc(sizeof(*n));
    if (!n) {
        *err = -ENOMEM;
        return NULL;
    }
    socket_settings_init(&n->set);
    f = file_create(&netlink_file_ops, O_RDWR | flags, n, err);
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

    if (!r && address->family != AF_UNSPEC && name.nl_pid)
        r = -ECONNREFUSED; /* only the kernel answers here */
    return r ? r : take_port(task, netlink_of(f), 0);
}

static int netlink_name(struct file *f, struct socket_address *out)
{
    write_name(netlink_of(f)->port, netlink_of(f)->groups, out);
    return 0;
}

static int netlink_peer_name(struct file *f, struct socket_address *out)
{
    (void)f;
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

/* Messages while they are written; the last one begins at `at`. */
struct reply {
    struct answer *answer;
    size_t at;
    const struct nlmsghdr *request;
    uint32_t port, uid;
    uint16_t flags;
};

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

static void reply_end(struct reply *r)
{
    struct nlmsghdr *h = (struct nlmsghdr *)(void *)(r->answer->data + r->at);

    h->nlmsg_len = (uint32_t)(r->answer->size - r->at);
}

static void reply_begin(struct reply *r, uint16_t type, const void *fixed, size_t size)
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

static void put(struct reply *r, uint16_t type, const void *data, size_t size)
{
    struct nlattr head = {.nla_len = (uint16_t)(sizeof(head) + size), .nla_type = type};
    char *room = reply_room(r, sizeof(head) + size);

    memcpy(room, &head, sizeof(head));
    memcpy(room + sizeof(head), data, size);
}

static void put_number(struct reply *r, uint16_t type, uint32_t number)
{
    put(r, type, &number, sizeof(number));
}

static void put_byte(struct reply *r, uint16_t type, uint8_t byte)
{
    put(r, type, &byte, sizeof(byte));
}

static void put_text(struct reply *r, uint16_t type, const char *text)
{
    put(r, type, text, str_length(text) + 1);
}

static void link_put(struct reply *r)
{
    static const struct rtnl_link_stats64 no_traffic64;
    static const struct rtnl_link_stats no_traffic;
    static const struct rtnl_link_ifmap no_map;
    static const unsigned char no_address[6];
    bool down = inet_is_down();
    struct ifinfomsg info = {.ifi_type = HARDWARE_LOOPBACK,
                             .ifi_index = DEVICE_INDEX,
                             .ifi_flags = device_flags() | (down ? 0 : FLAG_LOWER_UP)};

    reply_begin(r, RTM_NEWLINK, &info, sizeof(info));
    put_text(r, IFLA_IFNAME, DEVICE_NAME);
    put_number(r, IFLA_TXQLEN, DEVICE_QUEUE);
    put_byte(r, IFLA_OPERSTATE, down ? OPERATIONAL_DOWN : OPERATIONAL_UNKNOWN);
    put_byte(r, IFLA_LINKMODE, 0);
    put_number(r, IFLA_MTU, DEVICE_MTU);
    put_number(r, IFLA_MIN_MTU, 0);
    put_number(r, IFLA_MAX_MTU, 0);
    put_number(r, IFLA_GROUP, 0);
    put_number(r, IFLA_PROMISCUITY, 0);
    put_number(r, IFLA_NUM_TX_QUEUES, 1);
    put_number(r, IFLA_NUM_RX_QUEUES, 1);
    put_byte(r, IFLA_CARRIER, 1);
    put_text(r, IFLA_QDISC, down ? "noop" : "noqueue");
    put(r, IFLA_MAP, &no_map, sizeof(no_map));
    put(r, IFLA_ADDRESS, no_address, sizeof(no_address));
    put(r, IFLA_BROADCAST, no_address, sizeof(no_address));
    put(r, IFLA_STATS64, &no_traffic64, sizeof(no_traffic64));
    put(r, IFLA_STATS, &no_traffic, sizeof(no_traffic));
    reply_end(r);
}

static void address_put(struct reply *r, uint8_t family)
{
    static const struct ifa_cacheinfo for_ever = {.ifa_prefered = FOREVER, .ifa_valid = FOREVER};
    bool v4 = family == AF_INET;
    const void *ip = v4 ? g_ip_loopback4.b + 12 : g_ip_loopback6.b;
    size_t size = v4 ? 4 : 16;
    struct ifaddrmsg info = {.ifa_family = family,
                             .ifa_prefixlen = v4 ? 8 : 128,
                             .ifa_flags = IFA_F_PERMANENT,
                             .ifa_scope = RT_SCOPE_HOST,
                             .ifa_index = DEVICE_INDEX};

    reply_begin(r, RTM_NEWADDR, &info, sizeof(info));
    put(r, IFA_ADDRESS, ip, size);
    if (v4) {
        put(r, IFA_LOCAL, ip, size);
        put_text(r, IFA_LABEL, DEVICE_NAME);
    }
    put_number(r, IFA_FLAGS, IFA_F_PERMANENT);
    put(r, IFA_CACHEINFO, &for_ever, sizeof(for_ever));
    reply_end(r);
}

struct route {
    uint8_t family, bits, type, scope;
    unsigned char to[16];
};
static const struct route k_routes[] = {
    {AF_INET, 8, RTN_LOCAL, RT_SCOPE_HOST, {127}},
    {AF_INET, 32, RTN_LOCAL, RT_SCOPE_HOST, {127, 0, 0, 1}},
    {AF_INET, 32, RTN_BROADCAST, RT_SCOPE_LINK, {127, 255, 255, 255}},
    {AF_INET6, 128, RTN_LOCAL, RT_SCOPE_UNIVERSE, {[15] = 1}},
};

/* `cloned`: as the answer to who asks for one address, which Linux makes from no table. */
enum route_kind { ROUTE_OF_TABLE, ROUTE_CLONED };
static void route_put(struct reply *r, const struct route *route, enum route_kind kind)
{
    bool v4 = route->family == AF_INET;
    struct rta_cacheinfo cache = {0};
    struct rtmsg info = {.rtm_family = route->family,
                         .rtm_dst_len = route->bits,
                         .rtm_table = kind == ROUTE_CLONED ? RT_TABLE_MAIN : RT_TABLE_LOCAL,
                         .rtm_protocol = kind == ROUTE_CLONED ? RTPROT_UNSPEC : RTPROT_KERNEL,
                         .rtm_flags = kind == ROUTE_CLONED ? RTM_F_CLONED | ROUTE_LOCAL : 0,
                         .rtm_scope = route->scope,
                         .rtm_type = route->type};

    reply_begin(r, RTM_NEWROUTE, &info, sizeof(info));
    put_number(r, RTA_TABLE, info.rtm_table);
    put(r, RTA_DST, route->to, v4 ? 4 : 16);
    if (v4)
        put(r, RTA_PREFSRC, g_ip_loopback4.b + 12, 4);
    else
        put_number(r, RTA_PRIORITY, 0);
    put_number(r, RTA_OIF, DEVICE_INDEX);
    if (kind == ROUTE_CLONED && v4)
        put_number(r, RTA_UID, r->uid);
    if (!v4 || kind == ROUTE_CLONED)
        put(r, RTA_CACHEINFO, &cache, sizeof(cache));
    if (!v4)
        put_byte(r, RTA_PREF, 0);
    reply_end(r);
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

/* The attribute `type` of a request whose fixed part has `fixed` bytes; NULL: not there. */
static const void *find_attribute(const struct nlmsghdr *h, size_t fixed, uint16_t type,
                                  size_t *size)
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

/* Is the device that one asks for ours? 0, -ENODEV, -EINVAL. */
static int check_link(const struct nlmsghdr *h)
{
    struct ifinfomsg info;
    const char *name;
    size_t size;

    if (h->nlmsg_len < sizeof(*h) + sizeof(info))
        return -EINVAL;
    memcpy(&info, (const char *)h + sizeof(*h), sizeof(info));
    if (info.ifi_index)
        return info.ifi_index == DEVICE_INDEX ? 0 : -ENODEV;
    name = find_attribute(h, sizeof(info), IFLA_IFNAME, &size);
    if (!name)
        return -EINVAL;
    return size >= sizeof(DEVICE_NAME) && !memcmp(name, DEVICE_NAME, sizeof(DEVICE_NAME)) ? 0
                                                                                          : -ENODEV;
}

/* Which route leads to an address: ours, or none. */
static int find_route(const struct nlmsghdr *h, struct reply *r)
{
    struct rtmsg info;
    struct route route = {0};
    struct ip_address ip;
    const void *to;
    size_t size;

    if (h->nlmsg_len < sizeof(*h) + sizeof(info))
        return -EINVAL;
    memcpy(&info, (const char *)h + sizeof(*h), sizeof(info));
    to = find_attribute(h, sizeof(info), RTA_DST, &size);
    if (info.rtm_family != AF_INET && info.rtm_family != AF_INET6)
        return -EOPNOTSUPP;
    if (!to || size != (info.rtm_family == AF_INET ? 4 : 16))
        return -EINVAL;
    ip = g_ip_any4;
    memcpy(info.rtm_family == AF_INET ? ip.b + 12 : ip.b, to, size);
    if (inet_is_down() || !ip_is_local(&ip))
        return -ENETUNREACH;
    route = (struct route){info.rtm_family, (uint8_t)(size * 8), RTN_LOCAL, RT_SCOPE_UNIVERSE, {0}};
    memcpy(route.to, to, size);
    route_put(r, &route, ROUTE_CLONED);
    return 0;
}

static void dump_routes(const struct nlmsghdr *h, struct reply *r, uint8_t family)
{
    struct rtmsg info = {0};
    uint32_t table = 0;
    const void *given;
    size_t size;

    if (h->nlmsg_len >= sizeof(*h) + sizeof(info)) {
        memcpy(&info, (const char *)h + sizeof(*h), sizeof(info));
        table = info.rtm_table;
        given = find_attribute(h, sizeof(info), RTA_TABLE, &size);
        if (given && size == sizeof(table))
            memcpy(&table, given, sizeof(table));
    }
    if (inet_is_down() || (table && table != RT_TABLE_LOCAL) || (info.rtm_flags & RTM_F_CLONED))
        return;
    for (size_t i = 0; i < sizeof(k_routes) / sizeof(k_routes[0]); i++)
        if (!family || family == k_routes[i].family)
            route_put(r, &k_routes[i], ROUTE_OF_TABLE);
}

/* 0 with the answer in *r; an error is the answer otherwise. */
static int answer_request(const struct nlmsghdr *h, struct reply *r)
{
    bool dump = h->nlmsg_flags & NLM_F_DUMP;
    uint8_t family = h->nlmsg_len > sizeof(*h) ? *((const uint8_t *)h + sizeof(*h)) : 0;
    int err;

    if ((h->nlmsg_type & 3) != 2) /* all but RTM_GET* change something */
        return -EPERM;
    switch (h->nlmsg_type) {
    case RTM_GETLINK:
        err = dump ? 0 : check_link(h);
        if (!err)
            link_put(r);
        return err;
    case RTM_GETADDR:
        if (!dump)
            return -EOPNOTSUPP;
        if (!inet_is_down() && (!family || family == AF_INET))
            address_put(r, AF_INET);
        if (!inet_is_down() && (!family || family == AF_INET6))
            address_put(r, AF_INET6);
        return 0;
    case RTM_GETROUTE:
        if (!dump)
            return find_route(h, r);
        dump_routes(h, r, family);
        return 0;
    case RTM_GETNEIGH: /* nobody lives at a loopback */
        return dump ? 0 : -ENOENT;
    default:
        stats_unsupported("netlink: request");
        return -EOPNOTSUPP;
    }
}

static struct answer *answer_alloc(void)
{
    struct answer *a = shim_alloc(sizeof(*a) + ANSWER_MAX);

    if (a)
        a->size = 0;
    return a;
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
    reply_begin(r, type, &body, type == NLMSG_DONE ? sizeof(int32_t) : sizeof(body));
    if (type == NLMSG_ERROR && error && r->request->nlmsg_len > sizeof(*r->request)) {
        size_t rest = r->request->nlmsg_len - sizeof(*r->request);
        if (rest > ANSWER_MAX / 2)
            rest = ANSWER_MAX / 2;
        memcpy(reply_room(r, rest), r->request + 1, rest);
    }
    reply_end(r);
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
    err = h->nlmsg_type < NLMSG_MIN_TYPE ? 0 : answer_request(h, &r);
    if (r.answer->size) {
        queue_answer(n, r.answer);
        r.answer = answer_alloc();
        if (!r.answer)
            return -ENOBUFS;
    }
    /* Each in a datagram of its own, as Linux has it. */
    if (err || (!dump && (h->nlmsg_flags & NLM_F_ACK)))
        put_end(&r, NLMSG_ERROR, err);
    else if (dump)
        put_end(&r, NLMSG_DONE, 0);
    if (r.answer->size)
        queue_answer(n, r.answer);
    else
        shim_free(r.answer);
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
        return socket_give_int(value, size, NETLINK_ROUTE);
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

static int netlink_set_option(struct task *task, struct file *f, int level, int option,
                              const void *value, unsigned size)
{
    struct netlink *n = netlink_of(f);
    int number = 0, r = 0;

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
    else if (option > NETLINK_DROP_MEMBERSHIP)
        n->options = number ? n->options | 1u << option : n->options & ~(1u << option);
    mutex_unlock(&n->lock);
    return r;
}

static uint32_t netlink_poll(struct task *task, struct file *f, struct poll_table *table)
{
    struct netlink *n = netlink_of(f);
    uint32_t mask = POLLOUT;

    (void)task;
    if (table)
        poll_table_add(table, &n->wait);
    mutex_lock(&n->lock);
    if (n->answers)
        mask |= POLLIN;
    mutex_unlock(&n->lock);
    return mask;
}

static int64_t netlink_ioctl(struct task *task, struct file *f, unsigned request, uint64_t arg)
{
    (void)task, (void)f;
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

static const struct file_ops netlink_file_ops = {
    .kind = "socket",
    .socket = &netlink_ops,
    .read = socket_file_read,
    .write = socket_file_write,
    .poll = netlink_poll,
    .ioctl = netlink_ioctl,
    .stat = socket_file_stat,
    .release = netlink_release,
};
