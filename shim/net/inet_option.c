/*
 * Options of levels SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP: ip(7), ipv6(7), tcp(7).
 */
#include <asm/socket.h>
#include <linux/capability.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/tcp.h>

#include "platform/errno.h"
#include "shim/net/device.h"
#include "shim/net/inet.h"
#include "shim/process.h"
#include "shim/stats.h"

#define LOOPBACK_MTU DEVICE_MTU

void inet_options_init(struct inet_options *o)
{
    *o = (struct inet_options){
        .ttl = -1,
        .hops = -1,
        .multicast_ttl = 1,
        .multicast_hops = 1,
        .multicast_loop = 1,
        .mtu_discover = IP_PMTUDISC_WANT,
        .keep_idle = 7200,
        .keep_interval = 75,
        .keep_count = 9,
        .syn_count = 6,
        .linger2 = 60,
        .quick_ack = true,
        .congestion = "cubic",
    };
}

/* ---- one table for what is only remembered ---------------------------------------------------------------------- */

enum value_kind { KIND_INT, KIND_BOOL, KIND_FACT };
struct option_row {
    int level, option;
    enum value_kind kind;
    unsigned offset; /* of the member; the bit for KIND_FACT */
    int min, max;
};
#define ROW(level, option, kind, member, ...)                                                      \
    {                                                                                              \
        level, option, kind, offsetof(struct inet_options, member), __VA_ARGS__                    \
    }
#define FACT(level, option, bit)                                                                   \
    {                                                                                              \
        level, option, KIND_FACT, bit, INT32_MIN, INT32_MAX                                        \
    }
#define ANY INT32_MIN, INT32_MAX

static const struct option_row k_rows[] = {
    ROW(IPPROTO_IP, IP_TOS, KIND_INT, tos, 0, 255),
    ROW(IPPROTO_IP, IP_TTL, KIND_INT, ttl, -1, 255),
    ROW(IPPROTO_IP, IP_MTU_DISCOVER, KIND_INT, mtu_discover, 0, 5),
    ROW(IPPROTO_IP, IP_RECVERR, KIND_BOOL, receive_errors4, ANY),
    ROW(IPPROTO_IP, IP_FREEBIND, KIND_BOOL, free_bind, ANY),
    ROW(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, KIND_BOOL, bind_no_port, ANY),
    ROW(IPPROTO_IP, IP_MULTICAST_TTL, KIND_INT, multicast_ttl, -1, 255),
    ROW(IPPROTO_IP, IP_MULTICAST_LOOP, KIND_INT, multicast_loop, 0, 1),
    ROW(IPPROTO_IP, IP_LOCAL_PORT_RANGE, KIND_INT, port_range, ANY),
    FACT(IPPROTO_IP, IP_PKTINFO, FACT_TO_V4),
    FACT(IPPROTO_IP, IP_RECVTTL, FACT_TTL),
    FACT(IPPROTO_IP, IP_RECVTOS, FACT_TOS),
    ROW(IPPROTO_IPV6, IPV6_UNICAST_HOPS, KIND_INT, hops, -1, 255),
    ROW(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, KIND_INT, multicast_hops, -1, 255),
    ROW(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, KIND_INT, multicast_loop, 0, 1),
    ROW(IPPROTO_IPV6, IPV6_TCLASS, KIND_INT, traffic_class, -1, 255),
    ROW(IPPROTO_IPV6, IPV6_MTU_DISCOVER, KIND_INT, mtu_discover, 0, 5),
    ROW(IPPROTO_IPV6, IPV6_RECVERR, KIND_BOOL, receive_errors6, ANY),
    ROW(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, KIND_BOOL, auto_label, ANY),
    FACT(IPPROTO_IPV6, IPV6_RECVPKTINFO, FACT_TO_V6),
    FACT(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, FACT_HOP_LIMIT),
    FACT(IPPROTO_IPV6, IPV6_RECVTCLASS, FACT_CLASS),
    ROW(IPPROTO_TCP, TCP_NODELAY, KIND_BOOL, no_delay, ANY),
    ROW(IPPROTO_TCP, TCP_CORK, KIND_BOOL, cork, ANY),
    ROW(IPPROTO_TCP, TCP_QUICKACK, KIND_BOOL, quick_ack, ANY),
    ROW(IPPROTO_TCP, TCP_KEEPIDLE, KIND_INT, keep_idle, 1, 32767),
    ROW(IPPROTO_TCP, TCP_KEEPINTVL, KIND_INT, keep_interval, 1, 32767),
    ROW(IPPROTO_TCP, TCP_KEEPCNT, KIND_INT, keep_count, 1, 127),
    ROW(IPPROTO_TCP, TCP_SYNCNT, KIND_INT, syn_count, 1, 127),
    ROW(IPPROTO_TCP, TCP_DEFER_ACCEPT, KIND_INT, defer_accept, ANY),
    ROW(IPPROTO_TCP, TCP_USER_TIMEOUT, KIND_INT, user_timeout, 0, INT32_MAX),
    ROW(IPPROTO_TCP, TCP_WINDOW_CLAMP, KIND_INT, window_clamp, 0, INT32_MAX),
    ROW(IPPROTO_TCP, TCP_LINGER2, KIND_INT, linger2, -1, INT32_MAX),
    ROW(IPPROTO_TCP, TCP_FASTOPEN, KIND_INT, fast_open, 0, INT32_MAX),
    ROW(IPPROTO_TCP, TCP_NOTSENT_LOWAT, KIND_INT, not_sent_low, ANY),
};

static const struct option_row *find_row(const struct inet_socket *s, int level, int option)
{
    if (level == IPPROTO_TCP && s->type != SOCK_STREAM)
        return NULL;
    if (level == IPPROTO_IPV6 && s->family != AF_INET6)
        return NULL;
    for (unsigned i = 0; i < sizeof(k_rows) / sizeof(k_rows[0]); i++)
        if (k_rows[i].level == level && k_rows[i].option == option)
            return &k_rows[i];
    return NULL;
}

bool inet_option_known(int level, int option)
{
    for (unsigned i = 0; i < sizeof(k_rows) / sizeof(k_rows[0]); i++)
        if (k_rows[i].level == level && k_rows[i].option == option)
            return true;
    return false;
}

static int row_get(const struct inet_socket *s, const struct option_row *row)
{
    const char *member = (const char *)&s->options + row->offset;

    switch (row->kind) {
    case KIND_FACT:
        return (s->options.facts & row->offset) != 0;
    case KIND_BOOL:
        return *(const bool *)member;
    default:
        return *(const int *)(const void *)member;
    }
}

static int row_set(struct inet_socket *s, const struct option_row *row, int number)
{
    char *member = (char *)&s->options + row->offset;

    if (number < row->min || number > row->max)
        return -EINVAL;
    switch (row->kind) {
    case KIND_FACT:
        s->options.facts =
            number ? s->options.facts | row->offset : s->options.facts & ~row->offset;
        break;
    case KIND_BOOL:
        *(bool *)member = number != 0;
        break;
    default:
        *(int *)(void *)member = number;
    }
    return 0;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static int get_socket_level(struct inet_socket *s, int option, void *value, unsigned *size)
{
    struct socket_credentials nobody = {0, UINT32_MAX, UINT32_MAX};

    switch (option) {
    case SO_TYPE:
        return socket_give_int(value, size, s->type);
    case SO_DOMAIN:
        return socket_give_int(value, size, s->family);
    case SO_PROTOCOL:
        return socket_give_int(value, size, s->protocol);
    case SO_ERROR:
        return socket_give_int(value, size, -inet_take_error(s));
    case SO_ACCEPTCONN:
        return socket_give_int(value, size, s->state == STATE_LISTEN);
    case SO_PEERCRED:
        return socket_give(value, size, &nobody, sizeof(nobody));
    case SO_INCOMING_CPU:
        return socket_give_int(value, size, 0);
    default:
        return socket_settings_get(&s->set, option, value, size);
    }
}

static int give_info(struct inet_socket *s, void *value, unsigned *size)
{
    struct tcp_info info = {
        .tcpi_state = (unsigned char)s->state,
        .tcpi_options = TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE,
        .tcpi_snd_wscale = 7,
        .tcpi_rcv_wscale = 7,
        .tcpi_rto = 201000,
        .tcpi_ato = 40000,
        .tcpi_snd_mss = 32768,
        .tcpi_rcv_mss = 536,
        .tcpi_pmtu = LOOPBACK_MTU,
        .tcpi_rtt = 20,
        .tcpi_rttvar = 10,
        .tcpi_snd_ssthresh = INT32_MAX,
        .tcpi_snd_cwnd = 10,
        .tcpi_advmss = 65483,
        .tcpi_reordering = 3,
        .tcpi_rcv_space = 65495,
        .tcpi_bytes_acked = s->sent,
        .tcpi_bytes_sent = s->sent,
        .tcpi_bytes_received = s->received,
    };

    if (s->state == STATE_LISTEN) {
        info.tcpi_unacked = s->queue_count;
        info.tcpi_sacked = s->backlog;
    }
    return socket_give(value, size, &info, sizeof(info));
}

static int get_other(struct inet_socket *s, int level, int option, void *value, unsigned *size)
{
    if (level == IPPROTO_TCP && s->type == SOCK_STREAM) {
        switch (option) {
        case TCP_INFO:
            return give_info(s, value, size);
        case TCP_MAXSEG:
            return socket_give_int(value, size,
                                   s->state == STATE_ESTABLISHED ? 32768
                                   : s->options.max_segment      ? s->options.max_segment
                                                                 : 536);
        case TCP_CONGESTION:
            return socket_give(value, size, s->options.congestion, sizeof(s->options.congestion));
        case TCP_ULP:
            *size = 0;
            return 0;
        default:
            return -ENOPROTOOPT;
        }
    }
    if (level == IPPROTO_IPV6 && s->family == AF_INET6) {
        switch (option) {
        case IPV6_V6ONLY:
            return socket_give_int(value, size, s->v6_only);
        case IPV6_MTU:
            return s->peer || s->has_remote ? socket_give_int(value, size, LOOPBACK_MTU)
                                            : -ENOTCONN;
        case IPV6_MULTICAST_IF:
            return socket_give_int(value, size, 0);
        default:
            return -ENOPROTOOPT;
        }
    }
    if (level == IPPROTO_IP) {
        uint32_t no_address = 0;
        switch (option) {
        case IP_MTU:
            return s->peer || s->has_remote ? socket_give_int(value, size, LOOPBACK_MTU)
                                            : -ENOTCONN;
        case IP_OPTIONS:
            *size = 0;
            return 0;
        case IP_MULTICAST_IF:
            return socket_give(value, size, &no_address, sizeof(no_address));
        case IP_MULTICAST_ALL:
            return socket_give_int(value, size, 1);
        case IP_TRANSPARENT:
            return socket_give_int(value, size, s->options.transparent);
        default:
            return -ENOPROTOOPT;
        }
    }
    return level == IPPROTO_IPV6 ? -ENOPROTOOPT : level == IPPROTO_TCP ? -ENOPROTOOPT : -EOPNOTSUPP;
}

/* Linux gives one byte when an option of IPPROTO_IP is asked for with less room than an int: ip(7) is silent about it. */
static int give_ip_int(void *value, unsigned *size, int level, int number)
{
    unsigned char byte = (unsigned char)number;

    if (level == IPPROTO_IP && *size > 0 && *size < sizeof(int) && number >= 0 && number <= 255)
        return socket_give(value, size, &byte, 1);
    return socket_give_int(value, size, number);
}

int inet_get_option(struct file *f, int level, int option, void *value, unsigned *size)
{
    struct inet_socket *s = inet_of(f);
    const struct option_row *row;
    int r;

    mutex_lock(&s->lock);
    if (level == SOL_SOCKET) {
        r = get_socket_level(s, option, value, size);
    } else if ((row = find_row(s, level, option)) != NULL) {
        int number = row_get(s, row);
        if (option == IP_TTL && level == IPPROTO_IP && number < 0)
            number = 64;
        if (option == IPV6_UNICAST_HOPS && level == IPPROTO_IPV6 && number < 0)
            number = 64;
        if (option == IPV6_TCLASS && level == IPPROTO_IPV6 && number < 0)
            number = 0;
        r = give_ip_int(value, size, level, number);
    } else {
        r = get_other(s, level, option, value, size);
    }
    mutex_unlock(&s->lock);
    if (r == -ENOPROTOOPT)
        stats_unsupported("getsockopt: option");
    return r;
}

/* ---- setting ---------------------------------------------------------------------------------------------------- */

static int set_congestion(struct inet_socket *s, const char *name, unsigned size)
{
    static const char *const known[] = {"cubic", "reno"};
    char text[16] = "";

    memcpy(text, name, size < sizeof(text) - 1 ? size : sizeof(text) - 1);
    for (unsigned i = 0; i < 2; i++) {
        if (str_equal(text, known[i])) {
            memcpy(s->options.congestion, text, sizeof(text));
            return 0;
        }
    }
    return -ENOENT;
}

static int set_other(struct task *task, struct inet_socket *s, int level, int option,
                     const void *value, unsigned size)
{
    int number = 0;
    bool have = size >= sizeof(number);

    if (have)
        memcpy(&number, value, sizeof(number));
    if (level == IPPROTO_TCP && s->type == SOCK_STREAM) {
        switch (option) {
        case TCP_CONGESTION:
            return size ? set_congestion(s, value, size) : -EINVAL;
        case TCP_MAXSEG:
            if (!have || (number && (number < 88 || number > 32767)))
                return -EINVAL;
            s->options.max_segment = number;
            return 0;
        case TCP_ULP: /* no kernel TLS: libraries fall back to their own */
            return -ENOENT;
        case TCP_REPAIR:
            return -EPERM;
        default:
            return -ENOPROTOOPT;
        }
    }
    if (level == IPPROTO_IPV6 && s->family == AF_INET6) {
        switch (option) {
        case IPV6_V6ONLY:
            if (!have || s->port)
                return -EINVAL;
            s->v6_only = number != 0;
            return 0;
        case IPV6_MULTICAST_IF:
            return !have ? -EINVAL : number == 0 || number == DEVICE_INDEX ? 0 : -ENODEV;
        case IPV6_ADD_MEMBERSHIP: /* the loopback has no groups */
        case IPV6_DROP_MEMBERSHIP:
            return size < sizeof(struct ipv6_mreq) ? -EINVAL
                   : option == IPV6_ADD_MEMBERSHIP ? -ENODEV
                                                   : -EADDRNOTAVAIL;
        default:
            return -ENOPROTOOPT;
        }
    }
    if (level == IPPROTO_IP) {
        switch (option) {
        case IP_ADD_MEMBERSHIP:
        case IP_DROP_MEMBERSHIP:
            return size < sizeof(struct ip_mreq) ? -EINVAL
                   : option == IP_ADD_MEMBERSHIP ? -ENODEV
                                                 : -EADDRNOTAVAIL;
        case IP_MULTICAST_IF:
            return size < sizeof(number) ? -EINVAL : 0;
        case IP_TRANSPARENT:
            if (!process_capable(task->process, CAP_NET_ADMIN))
                return -EPERM;
            s->options.transparent = number != 0;
            return 0;
        case IP_OPTIONS:
            return size ? -EINVAL : 0;
        default:
            return -ENOPROTOOPT;
        }
    }
    return -ENOPROTOOPT;
}

static int set_row(struct inet_socket *s, const struct option_row *row, const void *value,
                   unsigned size)
{
    int number = 0;

    if (row->level == IPPROTO_IP && size >= 1 && size < sizeof(number))
        number = *(const unsigned char *)value; /* Linux takes a byte at this level */
    else if (size < sizeof(number))
        return -EINVAL;
    else
        memcpy(&number, value, sizeof(number));
    if (row->level == IPPROTO_IP && row->option == IP_TTL && number == 0)
        return -EINVAL;
    if (row->level == IPPROTO_IP && row->option == IP_TOS)
        number &= 0xff;
    return row_set(s, row, number);
}

int inet_set_option(struct task *task, struct file *f, int level, int option, const void *value,
                    unsigned size)
{
    struct inet_socket *s = inet_of(f);
    const struct option_row *row;
    int r;

    mutex_lock(&s->lock);
    if (level == SOL_SOCKET) {
        r = socket_settings_set(task, &s->set, option, value, size);
        if (!r && (option == SO_SNDBUF || option == SO_SNDBUFFORCE))
            s->send_buffer_given = true;
        if (!r && (option == SO_RCVBUF || option == SO_RCVBUFFORCE))
            s->receive_buffer_given = true;
    } else if ((row = find_row(s, level, option)) != NULL) {
        r = set_row(s, row, value, size);
    } else {
        r = set_other(task, s, level, option, value, size);
    }
    mutex_unlock(&s->lock);
    if (r == -ENOPROTOOPT)
        stats_unsupported("setsockopt: option");
    return r;
}
