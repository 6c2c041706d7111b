/* What the guest programs about Internet sockets share. */
#ifndef PALIMPSEST_TESTS_GUEST_INET_H
#define PALIMPSEST_TESTS_GUEST_INET_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "show.h"

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static inline socklen_t make_address(union any_address *a, const char *text, int port)
{
    memset(a, 0, sizeof(*a));
    if (strchr(text, ':')) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_port = htons((uint16_t)port);
        CHECK(inet_pton(AF_INET6, text, &a->v6.sin6_addr) == 1);
        return sizeof(a->v6);
    }
    a->v4.sin_family = AF_INET;
    a->v4.sin_port = htons((uint16_t)port);
    CHECK(inet_pton(AF_INET, text, &a->v4.sin_addr) == 1);
    return sizeof(a->v4);
}

static inline int bind_to(int fd, const char *text, int port)
{
    union any_address a;
    return bind(fd, &a.any, make_address(&a, text, port));
}

static inline int connect_to(int fd, const char *text, int port)
{
    union any_address a;
    return connect(fd, &a.any, make_address(&a, text, port));
}

static inline int port_of(int fd)
{
    union any_address a;
    socklen_t size = sizeof(a);
    CHECK(getsockname(fd, &a.any, &size) == 0);
    return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

/* Address without the port, which differs from run to run. */
static inline const char *text_of(const union any_address *a)
{
    static char text[4][64];
    static int next;
    char *out = text[next++ % 4];
    if (a->any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &a->v6.sin6_addr, out, 64);
    else
        inet_ntop(AF_INET, &a->v4.sin_addr, out, 64);
    return out;
}

static inline void show_names(int fd)
{
    union any_address a;
    socklen_t size = sizeof(a);
    memset(&a, 0, sizeof(a));
    int r = getsockname(fd, &a.any, &size);
    printf("name %d: family %d size %u %s port %d\n", r, a.any.sa_family, size, text_of(&a),
           a.v4.sin_port != 0);
    size = sizeof(a);
    memset(&a, 0, sizeof(a));
    r = getpeername(fd, &a.any, &size);
    if (r)
        printf("peer: %s\n", strerror(errno));
    else
        printf("peer: family %d size %u %s port %d\n", a.any.sa_family, size, text_of(&a),
               a.v4.sin_port != 0);
}

static inline int ready(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};
    poll(&p, 1, 0);
    return p.revents;
}

/* The host's network takes a moment where the shim's does not: a busy host hands packets on in the background. */
static inline int ready_soon(int fd, int events)
{
    struct pollfd p = {.fd = fd, .events = (short)events};
    poll(&p, 1, 60000);
    return ready(fd);
}

/* Until an ioctl that counts bytes says so many. */
static inline int until_count(int fd, unsigned long request, int wanted)
{
    int n = -1;
    for (int i = 0; i < 60000 && ioctl(fd, request, &n) == 0 && n != wanted; i++)
        usleep(1000);
    return n;
}

static inline int listener_at(const char *text, int backlog)
{
    int fd = socket(strchr(text, ':') ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && bind_to(fd, text, 0) == 0 && listen(fd, backlog) == 0);
    return fd;
}

/* A connection: s[0] connected, s[1] accepted. */
static inline void tcp_pair(int s[2])
{
    int l = listener_at("127.0.0.1", 5);
    s[0] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect_to(s[0], "127.0.0.1", port_of(l)) == 0);
    s[1] = accept(l, NULL, NULL);
    CHECK(s[1] >= 0);
    close(l);
}

static inline int error_of(int fd)
{
    int v = -1;
    socklen_t size = sizeof(v);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &size) == 0);
    return v;
}

#endif
