/* UDP over the loopback. */
#include <stdbool.h>

#include "inet.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static int bound(const char *text)
{
    int fd = socket(strchr(text, ':') ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    CHECK(fd >= 0 && bind_to(fd, text, 0) == 0);
    return fd;
}

static long send_to(int fd, const char *text, int port, const char *data)
{
    union any_address a;
    socklen_t size = make_address(&a, text, port);
    return sendto(fd, data, strlen(data), MSG_NOSIGNAL, &a.any, size);
}

/* What has come or comes. */
static void show_receive(int fd, int flags)
{
    ready_soon(fd, POLLIN);
    char data[16] = "";
    union any_address a;
    socklen_t size = sizeof(a);
    memset(&a, 0, sizeof(a));
    long n = recvfrom(fd, data, sizeof(data), flags | MSG_DONTWAIT, &a.any, &size);
    if (n < 0)
        printf("received: %s\n", strerror(errno));
    else
        printf("received %ld '%.16s' from family %d %s size %u\n", n, data, a.any.sa_family,
               text_of(&a), size);
}

/* Nothing has come and nothing comes. */
static void show_nothing(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char c;
    int polled = poll(&p, 1, 20);
    SHOW(recv(fd, &c, 1, MSG_DONTWAIT));
    printf("polled %d\n", polled);
}

static void basics(void)
{
    int a = bound("127.0.0.1"), b = socket(AF_INET, SOCK_DGRAM, 0), n = -1;
    socklen_t size = sizeof(n);
    char c;

    show_names(b);
    SHOW(ready(b));
    SHOW(getsockopt(b, SOL_SOCKET, SO_PROTOCOL, &n, &size));
    printf("protocol %d\n", n);
    SHOW(send(b, "x", 1, 0));
    SHOW(recv(b, &c, 1, MSG_DONTWAIT));
    SHOW(listen(b, 1));
    SHOW(accept(b, NULL, NULL));
    SHOW(shutdown(b, SHUT_RDWR));
    close(b);
    b = socket(AF_INET, SOCK_DGRAM, 0);
    SHOW(send_to(b, "127.0.0.1", 0, "x"));
    SHOW(send_to(b, "127.0.0.1", port_of(a), "first"));
    SHOW(send_to(b, "127.0.0.1", port_of(a), ""));
    SHOW(send_to(b, "0.0.0.0", port_of(a), "a longer one than fits"));
    show_names(b);
    SHOW(ready_soon(a, POLLIN));
    SHOW(ioctl(a, FIONREAD, &n));
    printf("waiting %d\n", n);
    show_receive(a, MSG_PEEK);
    show_receive(a, 0);
    show_receive(a, 0);
    SHOW(recv(a, &c, 1, MSG_PEEK | MSG_TRUNC));
    show_receive(a, 0);
    show_nothing(a);
    SHOW(send_to(b, "127.255.255.255", port_of(a), "x"));
    SHOW(bind_to(b, "127.0.0.1", 0));
    SHOW(send(b, "x", 1, MSG_OOB));
    SHOW(recv(a, &c, 1, MSG_OOB | MSG_DONTWAIT));
    static char big[65508];
    union any_address to;
    make_address(&to, "127.0.0.1", port_of(a));
    SHOW(sendto(b, big, sizeof(big), 0, &to.any, sizeof(to.v4)));
    SHOW(sendto(b, big, sizeof(big) - 1, 0, &to.any, sizeof(to.v4)));
    SHOW(recv(a, big, sizeof(big), 0));
    SHOW(sendto(b, "x", 1, 0, &to.any, 15));
    to.any.sa_family = AF_INET6;
    SHOW(sendto(b, "x", 1, 0, &to.any, sizeof(to)));
    to.any.sa_family = AF_UNSPEC;
    SHOW(sendto(b, "unspec", 6, 0, &to.any, sizeof(to.v4)));
    show_receive(a, 0);
    close(a);
    close(b);
}

static void connected(void)
{
    int a = bound("127.0.0.1"), b = bound("127.0.0.1"), c = bound("127.0.0.1");
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    int nobody = bound("127.0.0.1"), port = port_of(nobody);

    SHOW(connect_to(a, "127.0.0.1", port_of(b)));
    show_names(a);
    SHOW(send(a, "to the peer", 11, 0));
    show_receive(b, 0);
    SHOW(send_to(c, "127.0.0.1", port_of(a), "from a stranger"));
    show_nothing(a);
    SHOW(send_to(b, "127.0.0.1", port_of(a), "from the peer"));
    show_receive(a, 0);
    SHOW(send_to(a, "127.0.0.1", port_of(c), "to another"));
    show_receive(c, 0);
    SHOW(connect(a, &none, sizeof(none)));
    show_names(a);
    SHOW(send(a, "x", 1, 0));
    SHOW(send_to(c, "127.0.0.1", port_of(a), "again"));
    show_receive(a, 0);

    /* nobody there */
    close(nobody);
    SHOW(send_to(a, "127.0.0.1", port, "unanswered"));
    SHOW(error_of(a));
    SHOW(connect_to(a, "127.0.0.1", port));
    SHOW(send(a, "x", 1, 0));
    SHOW(ready_soon(a, POLLERR));
    SHOW(error_of(a));
    SHOW(error_of(a));
    SHOW(send(a, "x", 1, 0));
    SHOW(ready_soon(a, POLLERR));
    SHOW(send(a, "x", 1, 0));
    SHOW(send(a, "x", 1, 0));
    SHOW(ready_soon(a, POLLERR));
    show_receive(a, 0);
    show_nothing(a);
    SHOW(shutdown(a, SHUT_RD));
    SHOW(ready(a));
    show_receive(a, 0);
    SHOW(shutdown(a, SHUT_WR));
    SHOW(ready(a));
    SHOW(send(a, "x", 1, MSG_NOSIGNAL));
    close(a);
    a = socket(AF_INET, SOCK_DGRAM, 0);
    SHOW(connect_to(a, "127.0.0.1", port_of(b)));
    show_names(a);
    SHOW(connect(a, &none, sizeof(none)));
    show_names(a);
    close(a);
    close(b);
    close(c);
}

static void sharing(void)
{
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0), c, v = 1;

    SHOW(bind_to(a, "127.0.0.1", 0));
    SHOW(bind_to(b, "127.0.0.1", port_of(a)));
    SHOW(bind_to(b, "127.0.0.2", port_of(a)));
    c = socket(AF_INET, SOCK_DGRAM, 0);
    SHOW(bind_to(c, "0.0.0.0", port_of(a)));
    SHOW(setsockopt(c, SOL_SOCKET, SO_REUSEADDR, &v, sizeof(v)));
    SHOW(bind_to(c, "0.0.0.0", port_of(a)));
    SHOW(setsockopt(a, SOL_SOCKET, SO_REUSEADDR, &v, sizeof(v)));
    SHOW(setsockopt(b, SOL_SOCKET, SO_REUSEADDR, &v, sizeof(v)));
    SHOW(bind_to(c, "0.0.0.0", port_of(a)));
    SHOW(send_to(c, "127.0.0.1", port_of(a), "one"));
    SHOW(send_to(c, "127.0.0.2", port_of(a), "two"));
    SHOW(send_to(c, "127.0.0.3", port_of(a), "three"));
    show_receive(a, 0);
    show_receive(b, 0);
    show_receive(c, 0);
    close(a);
    close(b);
    close(c);
}

static void v6(void)
{
    int a = bound("::"), b = bound("::1"), c = bound("127.0.0.1"), v = 1;
    int d = socket(AF_INET6, SOCK_DGRAM, 0);

    SHOW(send_to(b, "::1", port_of(a), "six"));
    ready_soon(a, POLLIN); /* in this order */
    SHOW(send_to(c, "127.0.0.1", port_of(a), "four"));
    SHOW(send_to(a, "::ffff:127.0.0.1", port_of(c), "mapped"));
    show_receive(a, 0);
    show_receive(a, 0);
    show_receive(c, 0);
    SHOW(setsockopt(d, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof(v)));
    SHOW(send_to(d, "::ffff:127.0.0.1", port_of(c), "no"));
    SHOW(send_to(d, "127.0.0.1", port_of(c), "no"));
    SHOW(send_to(a, "127.0.0.1", port_of(c), "with an IPv4 address"));
    show_receive(c, 0);
    SHOW(connect_to(a, "::1", port_of(b)));
    show_names(a);
    SHOW(send(a, "to six", 6, 0));
    show_receive(b, 0);
    close(a);
    close(b);
    close(c);
    close(d);
}

static void show_control(struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        char text[64];
        printf("control %d %d size %u", c->cmsg_level, c->cmsg_type, (unsigned)c->cmsg_len);
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(c);
            printf(" device %d to %s", info->ipi_ifindex,
                   inet_ntop(AF_INET, &info->ipi_addr, text, sizeof(text)));
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);
            printf(" device %u to %s", info->ipi6_ifindex,
                   inet_ntop(AF_INET6, &info->ipi6_addr, text, sizeof(text)));
        } else if (c->cmsg_level == SOL_SOCKET) {
            struct timespec now, *then = (struct timespec *)CMSG_DATA(c);
            clock_gettime(CLOCK_REALTIME, &now);
            printf(" recent %d", now.tv_sec - then->tv_sec < 1000);
        } else {
            printf(" value %d", c->cmsg_type == IP_TOS && c->cmsg_level == IPPROTO_IP
                                    ? *CMSG_DATA(c)
                                    : *(int *)CMSG_DATA(c));
        }
        printf("\n");
    }
}

static void controls(void)
{
    int a = bound("0.0.0.0"), b = bound("::"), c = bound("127.0.0.1"), v = 1;
    char data[16], room[256];
    struct iovec part = {data, 4};
    struct msghdr m = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};

    SHOW(setsockopt(a, IPPROTO_IP, IP_PKTINFO, &v, sizeof(v)));
    SHOW(setsockopt(a, IPPROTO_IP, IP_RECVTTL, &v, sizeof(v)));
    SHOW(setsockopt(a, IPPROTO_IP, IP_RECVTOS, &v, sizeof(v)));
    SHOW(setsockopt(a, SOL_SOCKET, SO_TIMESTAMP, &v, sizeof(v)));
    SHOW(send_to(c, "127.0.0.7", port_of(a), "told all"));
    SHOW(recvmsg(a, &m, 0));
    printf("flags %x\n", m.msg_flags);
    show_control(&m);
    SHOW(setsockopt(b, IPPROTO_IPV6, IPV6_RECVPKTINFO, &v, sizeof(v)));
    SHOW(setsockopt(b, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &v, sizeof(v)));
    SHOW(setsockopt(b, SOL_SOCKET, SO_TIMESTAMPNS, &v, sizeof(v)));
    SHOW(send_to(b, "::1", port_of(b), "six"));
    m.msg_controllen = sizeof(room);
    SHOW(recvmsg(b, &m, 0));
    show_control(&m);
    SHOW(send_to(c, "127.0.0.1", port_of(b), "cut"));
    m.msg_controllen = 20;
    SHOW(recvmsg(b, &m, 0));
    printf("flags %x\n", m.msg_flags);
    close(a);
    close(b);
    close(c);
}

/* ---- control messages of a sender --------------------------------------------------------------------------------- */

/* Sends "abcdefghij" with one control message, and shows what came of it. `by`: from where; `at`: where it arrives. */
static void wish(const char *what, int by, int at, const char *to, int level, int type,
                 const void *value, size_t size)
{
    char room[128] = {0}, text[64], data[] = "abcdefghij";
    struct iovec part = {data, 10};
    struct sockaddr_in6 name6 = {.sin6_family = AF_INET6,
                                 .sin6_port = htons((uint16_t)port_of(at))};
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port_of(at))};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room};
    bool six = inet_pton(AF_INET6, to, &name6.sin6_addr) == 1;
    struct cmsghdr *c = (struct cmsghdr *)room;

    if (!six)
        CHECK(inet_pton(AF_INET, to, &name.sin_addr) == 1);
    m.msg_name = six ? (void *)&name6 : (void *)&name;
    m.msg_namelen = six ? sizeof(name6) : sizeof(name);
    m.msg_controllen = CMSG_SPACE(size);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(size), .cmsg_level = level, .cmsg_type = type};
    memcpy(CMSG_DATA(c), value, size);
    ssize_t n = sendmsg(by, &m, 0);
    printf("%s: sent %zd %s\n", what, n, n < 0 ? strerror(errno) : "");
    for (;;) {
        memset(&name6, 0, sizeof(name6));
        m = (struct msghdr){.msg_name = &name6,
                            .msg_namelen = sizeof(name6),
                            .msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = room,
                            .msg_controllen = sizeof(room)};
        part = (struct iovec){data, 10};
        n = recvmsg(at, &m, MSG_DONTWAIT);
        if (n < 0)
            break;
        const void *address = name6.sin6_family == AF_INET6
                                  ? (const void *)&name6.sin6_addr
                                  : (const void *)&((struct sockaddr_in *)&name6)->sin_addr;
        printf("  '%.*s' from %s\n", (int)n, data,
               inet_ntop(name6.sin6_family, address, text, sizeof(text)));
        show_control(&m);
    }
}

static void wishes4(void)
{
    int a = bound("0.0.0.0"), b = bound("0.0.0.0"), v = 1;
    struct in_pktinfo info = {0};
    const uint16_t four = 4, none = 0;
    const unsigned char byte = 0x2e;

    CHECK(setsockopt(a, IPPROTO_IP, IP_RECVTTL, &v, sizeof(v)) == 0);
    CHECK(setsockopt(a, IPPROTO_IP, IP_RECVTOS, &v, sizeof(v)) == 0);
    v = 7;
    wish("ttl", b, a, "127.0.0.1", IPPROTO_IP, IP_TTL, &v, sizeof(v));
    wish("tos", b, a, "127.0.0.1", IPPROTO_IP, IP_TOS, &v, sizeof(v));
    wish("tos, a byte", b, a, "127.0.0.1", IPPROTO_IP, IP_TOS, &byte, 1);
    wish("ttl, a byte", b, a, "127.0.0.1", IPPROTO_IP, IP_TTL, &byte, 1);
    v = 0;
    wish("ttl 0", b, a, "127.0.0.1", IPPROTO_IP, IP_TTL, &v, sizeof(v));
    v = 256;
    wish("tos 256", b, a, "127.0.0.1", IPPROTO_IP, IP_TOS, &v, sizeof(v));
    wish("no such", b, a, "127.0.0.1", IPPROTO_IP, 49, &v, sizeof(v));
    wish("of the other family", b, a, "127.0.0.1", IPPROTO_IPV6, IPV6_HOPLIMIT, &v, sizeof(v));
    wish("source 0", b, a, "127.0.0.1", IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    CHECK(inet_pton(AF_INET, "127.0.0.9", &info.ipi_spec_dst) == 1);
    wish("source", b, a, "127.0.0.1", IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    info.ipi_ifindex = 1;
    wish("source and device", b, a, "127.0.0.3", IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    info.ipi_ifindex = 99999;
    wish("no such device", b, a, "127.0.0.1", IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    info.ipi_ifindex = 0;
    CHECK(inet_pton(AF_INET, "192.0.2.1", &info.ipi_spec_dst) == 1);
    wish("not one's own", b, a, "127.0.0.1", IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    wish("cut", b, a, "127.0.0.1", IPPROTO_IP, IP_PKTINFO, &info, 8);
    wish("pieces", b, a, "127.0.0.1", IPPROTO_UDP, UDP_SEGMENT, &four, sizeof(four));
    wish("pieces of 0", b, a, "127.0.0.1", IPPROTO_UDP, UDP_SEGMENT, &none, sizeof(none));
    wish("pieces, an int", b, a, "127.0.0.1", IPPROTO_UDP, UDP_SEGMENT, &v, sizeof(v));
    close(a);
    close(b);
}

static void wishes6(void)
{
    int a = bound("::"), b = bound("::"), v = 1;
    struct in6_pktinfo info = {0};

    CHECK(setsockopt(a, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &v, sizeof(v)) == 0);
    CHECK(setsockopt(a, IPPROTO_IPV6, IPV6_RECVTCLASS, &v, sizeof(v)) == 0);
    v = 7;
    wish("hops", b, a, "::1", IPPROTO_IPV6, IPV6_HOPLIMIT, &v, sizeof(v));
    wish("class", b, a, "::1", IPPROTO_IPV6, IPV6_TCLASS, &v, sizeof(v));
    wish("hops, mapped", b, a, "::ffff:127.0.0.1", IPPROTO_IPV6, IPV6_HOPLIMIT, &v, sizeof(v));
    v = -1;
    wish("hops as ever", b, a, "::1", IPPROTO_IPV6, IPV6_HOPLIMIT, &v, sizeof(v));
    v = 256;
    wish("hops 256", b, a, "::1", IPPROTO_IPV6, IPV6_HOPLIMIT, &v, sizeof(v));
    wish("no such", b, a, "::1", IPPROTO_IPV6, 1000, &v, sizeof(v));
    wish("source 0", b, a, "::1", IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    wish("source 0, mapped", b, a, "::ffff:127.0.0.1", IPPROTO_IPV6, IPV6_PKTINFO, &info,
         sizeof(info));
    info.ipi6_addr = in6addr_loopback;
    wish("source", b, a, "::1", IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    info.ipi6_ifindex = 99999;
    wish("no such device", b, a, "::1", IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    info.ipi6_ifindex = 0;
    CHECK(inet_pton(AF_INET6, "2001:db8::1", &info.ipi6_addr) == 1);
    wish("not one's own", b, a, "::1", IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    wish("cut", b, a, "::1", IPPROTO_IPV6, IPV6_PKTINFO, &info, 8);
    CHECK(inet_pton(AF_INET6, "::ffff:127.0.0.9", &info.ipi6_addr) == 1);
    wish("source mapped", b, a, "::ffff:127.0.0.1", IPPROTO_IPV6, IPV6_PKTINFO, &info,
         sizeof(info));
    wish("source mapped, to none such", b, a, "::1", IPPROTO_IPV6, IPV6_PKTINFO, &info,
         sizeof(info));
    close(a);
    close(b);
}

static void many(void)
{
    int a = bound("127.0.0.1"), b = bound("127.0.0.1");
    struct mmsghdr m[4];
    struct iovec parts[4];
    char data[4][8];
    struct timespec wait = {0, 20000000};
    union any_address to;
    socklen_t size = make_address(&to, "127.0.0.1", port_of(a));

    memset(m, 0, sizeof(m));
    for (int i = 0; i < 4; i++) {
        snprintf(data[i], 8, "msg %d", i);
        parts[i] = (struct iovec){data[i], (size_t)i + 3};
        m[i].msg_hdr = (struct msghdr){
            .msg_iov = &parts[i], .msg_iovlen = 1, .msg_name = &to, .msg_namelen = size};
    }
    SHOW(sendmmsg(b, m, 3, 0));
    for (int i = 0; i < 4; i++) {
        parts[i].iov_len = 8;
        m[i].msg_hdr.msg_name = NULL;
        m[i].msg_hdr.msg_namelen = 0;
    }
    SHOW(recvmmsg(a, m, 3, 0, NULL));
    for (int i = 0; i < 3; i++)
        printf("%u %.3s\n", m[i].msg_len, data[i]);
    SHOW(recvmmsg(a, m, 4, MSG_DONTWAIT, &wait));
    SHOW(sendmmsg(b, m, 0, 0));
    SHOW(send_to(b, "127.0.0.1", port_of(a), "one"));
    SHOW(recvmmsg(a, m, 4, MSG_WAITFORONE, NULL));
    /* a sleeper is woken */
    if (fork() == 0) {
        usleep(20000);
        send_to(b, "127.0.0.1", port_of(a), "late");
        _exit(0);
    }
    SHOW(recv(a, data[0], 8, 0));
    wait3(NULL, 0, NULL);
    struct timeval tv = {0, 20000};
    SHOW(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    SHOW(recv(a, data[0], 8, 0));
    close(a);
    close(b);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    basics();
    connected();
    sharing();
    v6();
    controls();
    wishes4();
    wishes6();
    many();
    return 0;
}
