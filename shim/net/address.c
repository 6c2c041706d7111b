/*
 * Internet addresses: ip(7), ipv6(7).
 */
#include <linux/in.h>
#include <linux/in6.h>

#include "platform/errno.h"
#include "shim/net/inet.h"

#define V6_MIN 24 /* a sockaddr_in6 without scope, as old programs pass it */

static const unsigned char k_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
const struct ip_address g_ip_any4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
const struct ip_address g_ip_any6;
const struct ip_address g_ip_loopback4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}};
const struct ip_address g_ip_loopback6 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

bool ip_equal(const struct ip_address *a, const struct ip_address *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

bool ip_is_v4(const struct ip_address *ip)
{
    return memcmp(ip->b, k_mapped, sizeof(k_mapped)) == 0;
}

bool ip_is_any(const struct ip_address *ip)
{
    return ip_equal(ip, &g_ip_any4) || ip_equal(ip, &g_ip_any6);
}

bool ip_is_multicast(const struct ip_address *ip)
{
    return ip_is_v4(ip) ? (ip->b[12] & 0xf0) == 0xe0 : ip->b[0] == 0xff;
}

bool ip_is_broadcast(const struct ip_address *ip)
{
    uint32_t v4 = ip_v4(ip);

    return ip_is_v4(ip) && (v4 == 0xffffffffu || v4 == 0xffffff7fu /* 127.255.255.255 */);
}

bool ip_is_local(const struct ip_address *ip)
{
    return ip_is_v4(ip) ? ip->b[12] == 127 : ip_equal(ip, &g_ip_loopback6);
}

uint32_t ip_v4(const struct ip_address *ip)
{
    uint32_t v4;

    memcpy(&v4, ip->b + 12, sizeof(v4));
    return v4;
}

struct ip_address ip_from_v4(uint32_t network_order)
{
    struct ip_address ip = g_ip_any4;

    memcpy(ip.b + 12, &network_order, sizeof(network_order));
    return ip;
}

int inet_name_read(int family, const struct socket_address *a, struct inet_name *out)
{
    union {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } raw = {0};

    memcpy((char *)&raw + sizeof(a->family), a->path, sizeof(raw) - sizeof(a->family));
    if (a->size < (family == AF_INET ? sizeof(raw.v4) : V6_MIN))
        return -EINVAL;
    if (a->family != family)
        return -EAFNOSUPPORT;
    out->port = __builtin_bswap16(raw.v4.sin_port); /* at the same place in both */
    out->scope = 0;
    if (family == AF_INET) {
        out->ip = ip_from_v4(raw.v4.sin_addr.s_addr);
    } else {
        memcpy(&out->ip, &raw.v6.sin6_addr, sizeof(out->ip));
        if (a->size >= sizeof(raw.v6))
            out->scope = raw.v6.sin6_scope_id;
    }
    return 0;
}

void inet_name_write(int family, const struct inet_name *name, struct socket_address *out)
{
    union {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } raw = {0};

    *out = (struct socket_address){.family = (uint16_t)family};
    raw.v4.sin_port = __builtin_bswap16(name->port);
    if (family == AF_INET) {
        raw.v4.sin_addr.s_addr = ip_v4(&name->ip);
        out->size = sizeof(raw.v4);
    } else {
        memcpy(&raw.v6.sin6_addr, &name->ip, sizeof(name->ip));
        if (name->ip.b[0] == 0xfe && (name->ip.b[1] & 0xc0) == 0x80)
            raw.v6.sin6_scope_id = name->scope;
        out->size = sizeof(raw.v6);
    }
    memcpy(out->path, (char *)&raw + sizeof(out->family), out->size - sizeof(out->family));
}
