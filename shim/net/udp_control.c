/*
 * Control messages of UDP's sendmsg: ip(7), ipv6(7), udp(7). A server of several addresses answers from the one it was asked at by IP_PKTINFO.
 */
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "platform/errno.h"
#include "shim/net/inet.h"

#define DEVICE_LOOPBACK 1

static int read_number(const struct control_message *m, int min, int max, int *out)
{
    int32_t n;

    if (m->size != sizeof(n))
        return -EINVAL;
    memcpy(&n, m->data, sizeof(n));
    if (n < min || n > max)
        return -EINVAL;
    *out = n;
    return 0;
}

static int check_device(uint64_t index)
{
    return index && index != DEVICE_LOOPBACK ? -ENODEV : 0;
}

/* On the way to an IPv4 address: the source first, then the device. */
static int take_v4_source(const struct ip_address *ip, uint64_t device, struct udp_wishes *out)
{
    out->has_source = true;
    out->source = *ip;
    if (!ip_is_any(ip)) {
        if (ip_is_multicast(ip) || ip_v4(ip) == 0xffffffffu)
            return -EINVAL;
        if (!ip_is_local(ip) || ip_is_broadcast(ip))
            return -ENETUNREACH;
    }
    return check_device(device);
}

static int read_v4_source(const struct control_message *m, struct udp_wishes *out)
{
    struct in_pktinfo info;

    if (m->size != sizeof(info))
        return -EINVAL;
    memcpy(&info, m->data, sizeof(info));
    struct ip_address source = ip_from_v4(info.ipi_spec_dst.s_addr);
    return take_v4_source(&source, (uint64_t)info.ipi_ifindex, out);
}

/* IPV6_PKTINFO; v4: on the way to an IPv4 address. */
static int read_v6_source(const struct control_message *m, bool v4, struct udp_wishes *out)
{
    struct in6_pktinfo info;
    struct ip_address source;

    if (m->size < sizeof(info))
        return -EINVAL;
    memcpy(&info, m->data, sizeof(info));
    memcpy(&source, &info.ipi6_addr, sizeof(source));
    if (v4)
        return ip_is_v4(&source) ? take_v4_source(&source, (uint64_t)info.ipi6_ifindex, out)
                                 : -EINVAL;
    int r = check_device((uint64_t)info.ipi6_ifindex);
    if (r)
        return r;
    out->source = source;
    out->has_source = !ip_equal(&source, &g_ip_any6);
    return !out->has_source || ip_equal(&source, &g_ip_loopback6) ? 0 : -EINVAL;
}

static int read_ip(const struct control_message *m, struct udp_wishes *out)
{
    switch (m->type) {
    case IP_PKTINFO:
        return read_v4_source(m, out);
    case IP_TTL:
        return read_number(m, 1, 255, &out->ttl);
    case IP_TOS:
        if (m->size != 1)
            return read_number(m, 0, 255, &out->tos);
        out->tos = (unsigned char)*m->data;
        return 0;
    case IP_RETOPTS: /* nobody here looks at options of a packet */
        return 0;
    default:
        return -EINVAL;
    }
}

static int read_ipv6(const struct control_message *m, struct udp_wishes *out)
{
    int ignored;

    switch (m->type) {
    case IPV6_PKTINFO:
    case IPV6_2292PKTINFO:
        return read_v6_source(m, false, out);
    case IPV6_HOPLIMIT:
    case IPV6_2292HOPLIMIT:
        return read_number(m, -1, 255, &out->ttl);
    case IPV6_TCLASS:
        return read_number(m, -1, 255, &out->tos);
    case IPV6_DONTFRAG:
        return read_number(m, 0, 1, &ignored);
    case IPV6_FLOWINFO: /* nobody here looks at labels and extension headers */
    case IPV6_HOPOPTS:
    case IPV6_2292HOPOPTS:
    case IPV6_RTHDRDSTOPTS:
    case IPV6_DSTOPTS:
    case IPV6_2292DSTOPTS:
    case IPV6_RTHDR:
    case IPV6_2292RTHDR:
        return 0;
    default:
        return -EINVAL;
    }
}

static int read_udp(const struct control_message *m, struct udp_wishes *out)
{
    if (m->type != UDP_SEGMENT || m->size != sizeof(out->segment))
        return -EINVAL;
    memcpy(&out->segment, m->data, sizeof(out->segment));
    return 0;
}

int udp_wishes_read(const struct inet_socket *s, bool v4, const struct socket_send *send,
                    struct udp_wishes *out)
{
    struct control_message m;
    size_t at = 0;
    int r;

    *out = (struct udp_wishes){.ttl = -1, .tos = -1};
    while ((r = control_next(send->control, send->control_size, &at, &m)) > 0) {
        r = 0;
        if (m.level == IPPROTO_UDP)
            r = read_udp(&m, out);
        else if (m.level == IPPROTO_IP && v4)
            r = read_ip(&m, out);
        else if (m.level == IPPROTO_IPV6 && !v4)
            r = read_ipv6(&m, out);
        else if (m.level == IPPROTO_IPV6 && s->family == AF_INET6 && m.type == IPV6_PKTINFO)
            r = read_v6_source(&m, true, out);
        if (r)
            break;
    }
    return r;
}
