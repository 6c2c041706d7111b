/*
 * What comes along with packets of the Internet families: where they went, when they came, how they travelled. With an argument also what
 * only a network of the host has: errors that come back, raw sockets, devices.
 */
#include <net/if.h>
#include <netinet/ip_icmp.h>
#include <sys/ioctl.h>
#include <time.h>

#include "inet.h"

/* linux/errqueue.h, which musl's compiler does not find. */
struct extended_error {
    uint32_t number;
    uint8_t origin, type, code, pad;
    uint32_t info, data;
};

static int opened(int family, struct sockaddr_storage *at)
{
    int s = socket(family, SOCK_DGRAM, 0);
    socklen_t size = sizeof(*at);

    memset(at, 0, sizeof(*at));
    at->ss_family = (sa_family_t)family;
    if (family == AF_INET)
        ((struct sockaddr_in *)at)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        ((struct sockaddr_in6 *)at)->sin6_addr = in6addr_loopback;
    CHECK(s >= 0);
    CHECK(bind(s, (struct sockaddr *)at,
               family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) == 0);
    CHECK(getsockname(s, (struct sockaddr *)at, &size) == 0);
    return s;
}

static void show_control(struct msghdr *m)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    printf("  flags %x%s\n", (unsigned)m->msg_flags, m->msg_controllen ? "" : ", no control");
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        printf("  level %d type %d size %zu", h->cmsg_level, h->cmsg_type, (size_t)h->cmsg_len);
        if (h->cmsg_level == SOL_SOCKET) {
            long t[2];
            memcpy(t, CMSG_DATA(h), sizeof(t));
            printf(" now %d", now.tv_sec - t[0] >= 0 && now.tv_sec - t[0] < 1000);
        } else if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo to;
            memcpy(&to, CMSG_DATA(h), sizeof(to));
            printf(" to %x by %x device %d", ntohl(to.ipi_addr.s_addr),
                   ntohl(to.ipi_spec_dst.s_addr), to.ipi_ifindex == (int)if_nametoindex("lo"));
        } else if (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo to;
            memcpy(&to, CMSG_DATA(h), sizeof(to));
            printf(" to ::1 %d", !memcmp(&to.ipi6_addr, &in6addr_loopback, 16));
        } else if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_RECVERR) {
            struct extended_error e;
            memcpy(&e, CMSG_DATA(h), sizeof(e));
            printf(" %s origin %d type %d code %d", strerror((int)e.number), e.origin, e.type,
                   e.code);
        } else if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_TOS) {
            printf(" %d", *CMSG_DATA(h));
        } else {
            int n;
            memcpy(&n, CMSG_DATA(h), sizeof(n));
            printf(" %d", n);
        }
        printf("\n");
    }
}

static void get(int s, size_t room, int flags)
{
    char data[64], control[512] = {0};
    struct iovec v = {data, sizeof(data)};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
    struct pollfd p = {.fd = s, .events = flags & MSG_ERRQUEUE ? 0 : POLLIN};

    CHECK(poll(&p, 1, 60000) == 1);
    errno = 0;
    ssize_t n = recvmsg(s, &m, flags);
    printf("got %zd %s '%.*s'\n", n, n < 0 ? strerror(errno) : "", n > 0 ? (int)n : 0, data);
    if (n >= 0)
        show_control(&m);
}

static void put(int s, const struct sockaddr_storage *to, int level, int type, const void *data,
                size_t size)
{
    char control[128] = {0};
    struct iovec v = {"packet", 6};
    struct msghdr m = {.msg_name = (void *)(uintptr_t)to,
                       .msg_namelen = to->ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                                               : sizeof(struct sockaddr_in6),
                       .msg_iov = &v,
                       .msg_iovlen = 1};

    if (data) {
        m.msg_control = control;
        m.msg_controllen = CMSG_SPACE(size);
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = level;
        h->cmsg_type = type;
        h->cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(h), data, size);
    }
    errno = 0;
    ssize_t n = sendmsg(s, &m, 0);
    printf("put %zd %s\n", n, n < 0 ? strerror(errno) : "");
}

static void set(int s, int level, int option, int value)
{
    int now = -1;
    socklen_t size = sizeof(now);
    int r = setsockopt(s, level, option, &value, sizeof(value));

    printf("option %d.%d: %d %s", level, option, r, r ? strerror(errno) : "");
    getsockopt(s, level, option, &now, &size);
    printf(" is %d\n", now);
}

static void along(int family)
{
    struct sockaddr_storage at, from;
    int s = opened(family, &at), c = opened(family, &from);
    int v4 = family == AF_INET;

    put(c, &at, 0, 0, NULL, 0);
    get(s, 512, 0);
    set(s, SOL_SOCKET, SO_TIMESTAMP, 1);
    set(s, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_PKTINFO : IPV6_RECVPKTINFO, 1);
    set(s, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 1);
    set(s, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVTOS : IPV6_RECVTCLASS, 1);
    put(c, &at, 0, 0, NULL, 0);
    get(s, 512, 0);
    set(c, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, 16);
    set(c, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TTL : IPV6_UNICAST_HOPS, 7);
    put(c, &at, 0, 0, NULL, 0);
    get(s, 512, MSG_PEEK);
    get(s, 40, 0);
    put(c, &at, 0, 0, NULL, 0);
    get(s, 0, 0);
    set(s, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    put(c, &at, 0, 0, NULL, 0);
    get(s, 512, 0);
    close(s);
    close(c);
}

static void chosen(void)
{
    struct sockaddr_storage at, from;
    int s = opened(AF_INET, &at), c = opened(AF_INET, &from), ttl = 9, tos = 8, bad = 999;
    struct in_pktinfo by = {.ipi_spec_dst = {htonl(0x7f000009)}};
    int any = socket(AF_INET, SOCK_DGRAM, 0);

    set(s, IPPROTO_IP, IP_RECVTTL, 1);
    set(s, IPPROTO_IP, IP_RECVTOS, 1);
    put(c, &at, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
    get(s, 512, 0);
    put(c, &at, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
    get(s, 512, 0);
    put(c, &at, IPPROTO_IP, IP_TTL, &bad, sizeof(bad));
    put(any, &at, IPPROTO_IP, IP_PKTINFO, &by, sizeof(by));
    struct sockaddr_in who;
    socklen_t size = sizeof(who);
    char data[8];
    SHOW(recvfrom(s, data, sizeof(data), 0, (struct sockaddr *)&who, &size));
    printf("from %x\n", ntohl(who.sin_addr.s_addr));
    put(c, &at, SOL_SOCKET, SCM_RIGHTS, &(int){0}, sizeof(int));
    get(s, 512, 0);
    put(c, &at, SOL_SOCKET, 77, &bad, sizeof(bad));
    close(any);
    close(s);
    close(c);
}

/* What a closed port answers, told with the packet that met it. */
static void errors(void)
{
    struct sockaddr_storage at, from;
    int s = opened(AF_INET, &at), c = opened(AF_INET, &from), error = 0;
    socklen_t size = sizeof(error);

    close(s);
    set(c, IPPROTO_IP, IP_RECVERR, 1);
    put(c, &at, 0, 0, NULL, 0);
    get(c, 512, MSG_ERRQUEUE);
    SHOW(recv(c, &error, sizeof(error), MSG_ERRQUEUE));
    SHOW(recv(c, &error, sizeof(error), MSG_DONTWAIT));
    SHOW(getsockopt(c, SOL_SOCKET, SO_ERROR, &error, &size));
    printf("%d\n", error);
    close(c);
}

static uint16_t sum(const void *data, size_t size)
{
    const unsigned char *b = data;
    uint32_t all = 0;

    for (size_t i = 0; i + 1 < size; i += 2)
        all += (uint32_t)(b[i] << 8 | b[i + 1]);
    while (all >> 16)
        all = (all & 0xffff) + (all >> 16);
    return htons((uint16_t)~all);
}

/* An echo by hand, for who may; and who may not. */
static void raw(void)
{
    struct {
        struct icmphdr h;
        char data[8];
    } echo = {.h = {.type = ICMP_ECHO, .un.echo = {htons((uint16_t)getpid()), htons(1)}}};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char packet[256];
    int s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), status;

    printf("raw %d %s\n", s >= 0, s < 0 ? strerror(errno) : "");
    if (s >= 0) {
        echo.h.checksum = sum(&echo, sizeof(echo));
        SHOW(sendto(s, &echo, sizeof(echo), 0, (struct sockaddr *)&to, sizeof(to)));
        for (;;) { /* the question is heard as well, and what others ask */
            struct pollfd p = {.fd = s, .events = POLLIN};
            CHECK(poll(&p, 1, 60000) == 1);
            ssize_t n = recv(s, packet, sizeof(packet), 0);
            struct icmphdr h;
            CHECK(n >= 28);
            memcpy(&h, packet + 20, sizeof(h));
            if (h.type != ICMP_ECHOREPLY || h.un.echo.id != echo.h.un.echo.id)
                continue;
            printf("echo of %zd bytes\n", n);
            break;
        }
        close(s);
    }
    if (fork() == 0) {
        if (getuid() == 0)
            CHECK(setresuid(12345, 12345, 12345) == 0);
        SHOW(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
        SHOW(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
        _exit(0);
    }
    wait(&status);
}

static void devices(void)
{
    struct ifreq q = {.ifr_name = "lo"}, all[16];
    struct ifconf list = {.ifc_len = sizeof(all), .ifc_req = all};
    int s = socket(AF_INET, SOCK_DGRAM, 0), found = 0;

    SHOW(ioctl(s, SIOCGIFCONF, &list));
    for (int i = 0; i < list.ifc_len / (int)sizeof(all[0]); i++)
        found |= !strcmp(all[i].ifr_name, "lo");
    printf("lo %d\n", found);
    list.ifc_req = NULL;
    int size = list.ifc_len;
    SHOW(ioctl(s, SIOCGIFCONF, &list));
    printf("same size %d\n", list.ifc_len == size);
    SHOW(ioctl(s, SIOCGIFFLAGS, &q));
    printf("%x\n", (unsigned)q.ifr_flags & 0xff);
    SHOW(ioctl(s, SIOCGIFADDR, &q));
    printf("%x\n", ntohl(((struct sockaddr_in *)&q.ifr_addr)->sin_addr.s_addr));
    SHOW(ioctl(s, SIOCGIFNETMASK, &q));
    printf("%x\n", ntohl(((struct sockaddr_in *)&q.ifr_addr)->sin_addr.s_addr));
    SHOW(ioctl(s, SIOCGIFMTU, &q));
    printf("%d\n", q.ifr_mtu);
    SHOW(ioctl(s, SIOCGIFHWADDR, &q));
    SHOW(ioctl(s, SIOCGIFINDEX, &q));
    printf("%d\n", q.ifr_ifindex);
    SHOW(ioctl(s, SIOCGIFTXQLEN, &q));
    SHOW(ioctl(s, SIOCGIFNAME, &q));
    printf("%s\n", q.ifr_name);
    q.ifr_ifindex = 1234567;
    SHOW(ioctl(s, SIOCGIFNAME, &q));
    strcpy(q.ifr_name, "nosuch");
    SHOW(ioctl(s, SIOCGIFFLAGS, &q));
    SHOW(ioctl(s, SIOCGIFFLAGS, (void *)16));
    close(s);
}

int main(int argc, char **argv)
{
    (void)argv;
    setvbuf(stdout, NULL, _IONBF, 0);
    along(AF_INET);
    along(AF_INET6);
    if (argc < 2)
        return 0;
    chosen();
    errors();
    raw();
    devices();
    return 0;
}
