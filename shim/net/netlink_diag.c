/*
 * NETLINK_SOCK_DIAG: the sockets there are, for ss: sock_diag(7).
 */
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>

#include "platform/errno.h"
#include "shim/fs/unix_internal.h"
#include "shim/net/inet.h"
#include "shim/net/netlink.h"
#include "shim/stats.h"

#define TCP_NUMBER 6
#define UDP_NUMBER 17
#define ANY_STATE 0xffffffffu

struct question {
    struct reply *reply;
    union {
        struct inet_diag_req_v2 inet;
        struct unix_diag_req unix_;
    };
    bool one;   /* by name or number; not a dump */
    bool found; /* that one */
};

static bool asks_for(const struct question *q, unsigned extension)
{
    return q->inet.idiag_ext & (1u << (extension - 1));
}

/* ---- the Internet families ---------------------------------------------------------------------------------------- */

static uint32_t cookie_half(uint64_t id, unsigned half)
{
    return (uint32_t)(id >> (32 * half));
}

static void fill_address(int family, const struct ip_address *ip, uint32_t out[4])
{
    memset(out, 0, 16);
    if (family == AF_INET)
        memcpy(out, ip->b + 12, 4);
    else
        memcpy(out, ip->b, 16);
}

static struct inet_diag_sockid id_of(const struct inet_socket *s)
{
    struct inet_diag_sockid id = {
        .idiag_sport = __builtin_bswap16(s->local.port),
        .idiag_dport = __builtin_bswap16(s->remote.port),
        .idiag_cookie = {cookie_half(s->id, 0), cookie_half(s->id, 1)},
    };

    fill_address(s->family, &s->local.ip, id.idiag_src);
    fill_address(s->family, &s->remote.ip, id.idiag_dst);
    return id;
}

/* The one that was asked for; zero cookies would match none, as in Linux only INET_DIAG_NOCOOKIE does. */
static bool is_wanted(const struct question *q, const struct inet_socket *s,
                      const struct inet_diag_sockid *id)
{
    const struct inet_diag_sockid *w = &q->inet.id;
    bool any = w->idiag_cookie[0] == INET_DIAG_NOCOOKIE && w->idiag_cookie[1] == INET_DIAG_NOCOOKIE;

    bool to = s->state == STATE_LISTEN || /* has connections from anywhere */
              (w->idiag_dport == id->idiag_dport &&
               !memcmp(w->idiag_dst, id->idiag_dst, sizeof(id->idiag_dst)));

    return to && w->idiag_sport == id->idiag_sport &&
           !memcmp(w->idiag_src, id->idiag_src, sizeof(id->idiag_src)) &&
           (any || !memcmp(w->idiag_cookie, id->idiag_cookie, sizeof(id->idiag_cookie)));
}

/* Who is bound to an address of IPv6 hears nothing of IPv4, whatever was asked for. */
static bool is_v6_alone(const struct ip_address *ip)
{
    return !ip_is_any(ip) && !ip_is_v4(ip);
}

static void put_inet(struct question *q, const struct inet_socket *s,
                     const struct inet_diag_sockid *id)
{
    struct reply *r = q->reply;
    bool listens = s->state == STATE_LISTEN, v6 = s->family == AF_INET6;
    struct inet_diag_msg m = {
        .idiag_family = (uint8_t)s->family,
        .idiag_state = (uint8_t)s->state,
        .id = *id,
        .idiag_rqueue = (uint32_t)(s->type == SOCK_DGRAM ? s->packet_bytes
                                   : listens             ? s->queue_count
                                                         : s->ring.used),
        .idiag_wqueue = listens ? s->backlog : 0,
        .idiag_uid = s->uid,
        .idiag_inode = (uint32_t)s->id,
    };
    struct inet_diag_meminfo memory = {.idiag_rmem = m.idiag_rqueue};
    uint32_t sizes[SK_MEMINFO_VARS] = {[SK_MEMINFO_RMEM_ALLOC] = m.idiag_rqueue,
                                       [SK_MEMINFO_RCVBUF] = s->set.receive_buffer,
                                       [SK_MEMINFO_SNDBUF] = s->set.send_buffer};

    netlink_reply_begin(r, SOCK_DIAG_BY_FAMILY, &m, sizeof(m));
    netlink_put_byte(r, INET_DIAG_SHUTDOWN, (uint8_t)s->shut);
    if (asks_for(q, INET_DIAG_TOS) && !v6)
        netlink_put_byte(r, INET_DIAG_TOS, (uint8_t)s->options.tos);
    if (v6 && asks_for(q, INET_DIAG_TCLASS))
        netlink_put_byte(r, INET_DIAG_TCLASS,
                         (uint8_t)(s->options.traffic_class < 0 ? 0 : s->options.traffic_class));
    if (v6 && (listens || s->state == STATE_CLOSE))
        netlink_put_byte(r, INET_DIAG_SKV6ONLY, s->v6_only || is_v6_alone(&s->local.ip));
    if (asks_for(q, INET_DIAG_MEMINFO))
        netlink_put(r, INET_DIAG_MEMINFO, &memory, sizeof(memory));
    if (asks_for(q, INET_DIAG_SKMEMINFO))
        netlink_put(r, INET_DIAG_SKMEMINFO, sizes, sizeof(sizes));
    if (s->type == SOCK_STREAM && asks_for(q, INET_DIAG_CONG))
        netlink_put_text(r, INET_DIAG_CONG, s->options.congestion);
    netlink_reply_end(r);
}

static void walk_inet(void *arg, struct inet_socket *s)
{
    struct question *q = arg;
    struct inet_diag_sockid id;

    if (s->family != q->inet.sdiag_family || q->found)
        return;
    if (!q->one && !(q->inet.idiag_states & (1u << s->state)))
        return;
    id = id_of(s);
    if (q->one && !is_wanted(q, s, &id))
        return;
    if (!netlink_reply_next(q->reply))
        return;
    q->found = q->one;
    put_inet(q, s, &id);
}

static int answer_inet(struct question *q)
{
    if (q->inet.sdiag_protocol != TCP_NUMBER && q->inet.sdiag_protocol != UDP_NUMBER)
        return q->one ? -ENOENT : 0;
    port_walk(q->inet.sdiag_protocol == TCP_NUMBER ? SOCK_STREAM : SOCK_DGRAM, walk_inet, q);
    return q->one && !q->found ? -ENOENT : 0;
}

/* ---- AF_UNIX ------------------------------------------------------------------------------------------------------ */

static unsigned unix_state(const struct unix_socket *s)
{
    return s->state == SOCKET_LISTENING   ? STATE_LISTEN
           : s->state == SOCKET_CONNECTED ? STATE_ESTABLISHED
                                          : STATE_CLOSE;
}

/* Under s->lock. */
static void put_unix(struct question *q, struct unix_socket *s)
{
    struct reply *r = q->reply;
    uint32_t show = q->unix_.udiag_show, inodes[16], count = 0;
    bool listens = s->state == SOCKET_LISTENING;
    struct unix_diag_msg m = {.udiag_family = AF_UNIX,
                              .udiag_type = (uint8_t)s->type,
                              .udiag_state = (uint8_t)unix_state(s),
                              .udiag_ino = (uint32_t)s->id,
                              .udiag_cookie = {cookie_half(s->id, 0), cookie_half(s->id, 1)}};
    struct unix_diag_rqlen length = {.udiag_rqueue =
                                         listens ? s->pending_count : (uint32_t)s->queued,
                                     .udiag_wqueue = listens ? s->backlog : 0};
    struct unix_socket *end;

    netlink_reply_begin(r, SOCK_DIAG_BY_FAMILY, &m, sizeof(m));
    if ((show & UDIAG_SHOW_NAME) && s->name.size > 2)
        netlink_put(r, UNIX_DIAG_NAME, s->name.path, s->name.size - 2);
    if ((show & UDIAG_SHOW_PEER) && s->peer)
        netlink_put_number(r, UNIX_DIAG_PEER, (uint32_t)s->peer->id);
    if ((show & UDIAG_SHOW_ICONS) && listens) {
        for (end = s->pending; end && count < sizeof(inodes) / sizeof(inodes[0]);
             end = end->pending_next) {
            if (!mutex_trylock(&end->lock))
                continue; /* as in walk_unix */
            inodes[count++] = end->peer ? (uint32_t)end->peer->id : 0;
            mutex_unlock(&end->lock);
        }
        netlink_put(r, UNIX_DIAG_ICONS, inodes, count * sizeof(inodes[0]));
    }
    if (show & UDIAG_SHOW_RQLEN)
        netlink_put(r, UNIX_DIAG_RQLEN, &length, sizeof(length));
    netlink_put_byte(r, UNIX_DIAG_SHUTDOWN, (uint8_t)s->shut);
    netlink_reply_end(r);
}

static void walk_unix(void *arg, struct unix_socket *s)
{
    struct question *q = arg;

    if (!s->id || q->found || (q->one && q->unix_.udiag_ino != (uint32_t)s->id) ||
        !mutex_trylock(&s->lock))
        return; /* somebody is at work with it: then as if a moment earlier or later */
    if ((q->one || q->unix_.udiag_states & (1u << unix_state(s))) && s->state != SOCKET_DEAD &&
        netlink_reply_next(q->reply)) {
        q->found = q->one;
        put_unix(q, s);
    }
    mutex_unlock(&s->lock);
}

/* ---- requests ----------------------------------------------------------------------------------------------------- */

int netlink_diag_answer(const struct nlmsghdr *h, struct reply *r)
{
    struct question q = {.reply = r, .one = (h->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP};
    const char *body = (const char *)h + sizeof(*h);
    size_t size = h->nlmsg_len - sizeof(*h);

    if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY) {
        stats_unsupported("sock_diag: request");
        return h->nlmsg_type == SOCK_DESTROY ? -EOPNOTSUPP : -EINVAL;
    }
    if (size < sizeof(struct sock_diag_req))
        return -EINVAL;
    switch (((const struct sock_diag_req *)(const void *)body)->sdiag_family) {
    case AF_INET:
    case AF_INET6:
        if (size < sizeof(q.inet))
            return -EINVAL;
        memcpy(&q.inet, body, sizeof(q.inet));
        return answer_inet(&q);
    case AF_UNIX:
        if (size < sizeof(q.unix_))
            return -EINVAL;
        memcpy(&q.unix_, body, sizeof(q.unix_));
        if (q.one && !q.unix_.udiag_ino)
            return -EINVAL;
        unix_walk(walk_unix, &q);
        return q.one && !q.found ? -ENOENT : 0;
    default: /* as a kernel without a module for the family */
        stats_unsupported("sock_diag: family");
        return -ENOENT;
    }
}
