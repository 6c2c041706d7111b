/*
 * NETLINK_ROUTE: devices, addresses, routes, rules: rtnetlink(7). All of it can be read and nothing changed.
 */
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "platform/errno.h"
#include "shim/net/device.h"
#include "shim/net/inet.h"
#include "shim/net/netlink.h"
#include "shim/stats.h"

#define HARDWARE_LOOPBACK 772
#define OPERATIONAL_UNKNOWN 0
#define OPERATIONAL_DOWN 2
#define FLAG_LOWER_UP 0x10000u
#define FOREVER 0xffffffffu
#define ROUTE_LOCAL 0x80000000u /* RTCF_LOCAL */

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

    netlink_reply_begin(r, RTM_NEWLINK, &info, sizeof(info));
    netlink_put_text(r, IFLA_IFNAME, DEVICE_NAME);
    netlink_put_number(r, IFLA_TXQLEN, DEVICE_QUEUE);
    netlink_put_byte(r, IFLA_OPERSTATE, down ? OPERATIONAL_DOWN : OPERATIONAL_UNKNOWN);
    netlink_put_byte(r, IFLA_LINKMODE, 0);
    netlink_put_number(r, IFLA_MTU, DEVICE_MTU);
    netlink_put_number(r, IFLA_MIN_MTU, 0);
    netlink_put_number(r, IFLA_MAX_MTU, 0);
    netlink_put_number(r, IFLA_GROUP, 0);
    netlink_put_number(r, IFLA_PROMISCUITY, 0);
    netlink_put_number(r, IFLA_NUM_TX_QUEUES, 1);
    netlink_put_number(r, IFLA_NUM_RX_QUEUES, 1);
    netlink_put_byte(r, IFLA_CARRIER, 1);
    netlink_put_text(r, IFLA_QDISC, down ? "noop" : "noqueue");
    netlink_put(r, IFLA_MAP, &no_map, sizeof(no_map));
    netlink_put(r, IFLA_ADDRESS, no_address, sizeof(no_address));
    netlink_put(r, IFLA_BROADCAST, no_address, sizeof(no_address));
    netlink_put(r, IFLA_STATS64, &no_traffic64, sizeof(no_traffic64));
    netlink_put(r, IFLA_STATS, &no_traffic, sizeof(no_traffic));
    netlink_reply_end(r);
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

    netlink_reply_begin(r, RTM_NEWADDR, &info, sizeof(info));
    netlink_put(r, IFA_ADDRESS, ip, size);
    if (v4) {
        netlink_put(r, IFA_LOCAL, ip, size);
        netlink_put_text(r, IFA_LABEL, DEVICE_NAME);
    }
    netlink_put_number(r, IFA_FLAGS, IFA_F_PERMANENT);
    netlink_put(r, IFA_CACHEINFO, &for_ever, sizeof(for_ever));
    netlink_reply_end(r);
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

    netlink_reply_begin(r, RTM_NEWROUTE, &info, sizeof(info));
    netlink_put_number(r, RTA_TABLE, info.rtm_table);
    netlink_put(r, RTA_DST, route->to, v4 ? 4 : 16);
    if (v4)
        netlink_put(r, RTA_PREFSRC, g_ip_loopback4.b + 12, 4);
    else
        netlink_put_number(r, RTA_PRIORITY, 0);
    netlink_put_number(r, RTA_OIF, DEVICE_INDEX);
    if (kind == ROUTE_CLONED && v4)
        netlink_put_number(r, RTA_UID, r->uid);
    if (!v4 || kind == ROUTE_CLONED)
        netlink_put(r, RTA_CACHEINFO, &cache, sizeof(cache));
    if (!v4)
        netlink_put_byte(r, RTA_PREF, 0);
    netlink_reply_end(r);
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

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
    name = netlink_find(h, sizeof(info), IFLA_IFNAME, &size);
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
    to = netlink_find(h, sizeof(info), RTA_DST, &size);
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
        given = netlink_find(h, sizeof(info), RTA_TABLE, &size);
        if (given && size == sizeof(table))
            memcpy(&table, given, sizeof(table));
    }
    if (inet_is_down() || (table && table != RT_TABLE_LOCAL) || (info.rtm_flags & RTM_F_CLONED))
        return;
    for (size_t i = 0; i < sizeof(k_routes) / sizeof(k_routes[0]); i++)
        if (!family || family == k_routes[i].family)
            route_put(r, &k_routes[i], ROUTE_OF_TABLE);
}

/* What every kernel begins with: first the local table, then the main one, and for IPv4 the default one. */
static void dump_rules(struct reply *r, uint8_t family)
{
    static const struct {
        uint32_t priority;
        uint8_t table;
    } k_rules[] = {{0, RT_TABLE_LOCAL}, {32766, RT_TABLE_MAIN}, {32767, RT_TABLE_DEFAULT}};

    for (unsigned i = 0; i < (family == AF_INET ? 3 : 2); i++) {
        struct fib_rule_hdr rule = {
            .family = family, .table = k_rules[i].table, .action = FR_ACT_TO_TBL};
        netlink_reply_begin(r, RTM_NEWRULE, &rule, sizeof(rule));
        netlink_put_number(r, FRA_TABLE, rule.table);
        netlink_put_number(r, FRA_SUPPRESS_PREFIXLEN, UINT32_MAX);
        netlink_put_byte(r, FRA_PROTOCOL, RTPROT_KERNEL);
        if (k_rules[i].priority)
            netlink_put_number(r, FRA_PRIORITY, k_rules[i].priority);
        netlink_reply_end(r);
    }
}

int netlink_route_answer(const struct nlmsghdr *h, struct reply *r)
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
    case RTM_GETRULE:
        if (!dump)
            return -EOPNOTSUPP;
        if (!family || family == AF_INET)
            dump_rules(r, AF_INET);
        if (!family || family == AF_INET6)
            dump_rules(r, AF_INET6);
        return 0;
    default:
        stats_unsupported("netlink: request");
        return -EOPNOTSUPP;
    }
}
