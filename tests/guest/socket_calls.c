/* Socket calls that other programs here leave out: out-of-band bytes, several messages at once, peeking, waking one of many. */
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "inet.h"

static void pair(int s[2], int type)
{
    CHECK(socketpair(AF_UNIX, type, 0, s) == 0);
}

static void close_pair(int s[2])
{
    close(s[0]);
    close(s[1]);
}

static int ready_bits(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};
    poll(&p, 1, 0);
    return p.revents;
}

static void many_messages(int type)
{
    char data[4][8] = {"one", "two!", "three", ""};
    struct iovec io[4];
    struct mmsghdr m[4];
    struct timespec none = {0, 0};
    int s[2];

    pair(s, type);
    memset(m, 0, sizeof(m));
    for (int i = 0; i < 4; i++) {
        io[i] = (struct iovec){data[i], strlen(data[i])};
        m[i].msg_hdr.msg_iov = &io[i];
        m[i].msg_hdr.msg_iovlen = 1;
    }
    SHOW(sendmmsg(s[0], m, 3, 0));
    printf("lengths %u %u %u\n", m[0].msg_len, m[1].msg_len, m[2].msg_len);
    SHOW(sendmmsg(s[0], m, 0, 0));
    /* musl's function looks into the messages itself */
    SHOW(syscall(SYS_sendmmsg, s[0], (struct mmsghdr *)16, 1, 0));
    SHOW(sendmmsg(-1, m, 1, 0));
    for (int i = 0; i < 4; i++)
        io[i].iov_len = 4;
    memset(data, 'x', sizeof(data));
    SHOW(recvmmsg(s[1], m, 4, MSG_DONTWAIT, NULL));
    for (int i = 0; i < 3; i++)
        printf("%u %.4s %x\n", m[i].msg_len, data[i], m[i].msg_hdr.msg_flags & ~MSG_DONTWAIT);
    SHOW(recvmmsg(s[1], m, 4, MSG_DONTWAIT, NULL));
    CHECK(write(s[0], "last", 4) == 4);
    SHOW(recvmmsg(s[1], m, 4, MSG_WAITFORONE, NULL));
    CHECK(write(s[0], "1234", 4) == 4);
    SHOW(recvmmsg(s[1], m, 1, 0, &none));
    SHOW(recvmmsg(s[1], m, 1, MSG_DONTWAIT, &(struct timespec){0, 2000000000}));
    close_pair(s);
}

static void looks(int type)
{
    char b[64];
    int s[2];

    pair(s, type);
    CHECK(write(s[0], "abcdef", 6) == 6 && write(s[0], "ghij", 4) == 4);
    SHOW(recv(s[1], b, 3, MSG_PEEK));
    SHOW(recv(s[1], b, 3, MSG_PEEK | MSG_TRUNC));
    SHOW(recv(s[1], b, 64, MSG_PEEK));
    SHOW(recv(s[1], b, 2, MSG_TRUNC));
    SHOW(recv(s[1], b, 0, MSG_PEEK));
    SHOW(recv(s[1], b, 64, MSG_WAITALL | MSG_DONTWAIT));
    SHOW(recv(s[1], b, 64, MSG_DONTWAIT));
    SHOW(ready_bits(s[1]));
    close(s[0]);
    SHOW(recv(s[1], b, 64, MSG_PEEK));
    SHOW(recv(s[1], b, 64, MSG_WAITALL));
    SHOW(ready_bits(s[1]));
    close(s[1]);
}

static void whole_or_nothing(void)
{
    char b[16] = "";
    int s[2];

    pair(s, SOCK_STREAM);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 8; i++) {
            usleep(2000);
            CHECK(write(s[0], "x", 1) == 1);
        }
        _exit(0);
    }
    SHOW(recv(s[1], b, 8, MSG_WAITALL));
    waitpid(child, NULL, 0);
    CHECK(setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0, 30000},
                     sizeof(struct timeval)) == 0);
    CHECK(write(s[0], "part", 4) == 4);
    SHOW(recv(s[1], b, 8, MSG_WAITALL));
    SHOW(recv(s[1], b, 8, MSG_WAITALL));
    close_pair(s);
}

static void timeouts(void)
{
    struct timeval t = {0, 20000}, got;
    socklen_t size = sizeof(got);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    static char block[65536];
    int s[2], l = socket(AF_UNIX, SOCK_STREAM, 0);

    pair(s, SOCK_STREAM);
    SHOW(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)));
    SHOW(getsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &got, &size));
    printf("%ld %u\n", (long)got.tv_usec / 4000 * 4000, size);
    SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0, 1000000}, sizeof(t)));
    SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){-1, 0}, sizeof(t)));
    SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, 4));
    while (send(s[0], block, sizeof(block), 0) > 0)
        continue;
    printf("full: %s\n", strerror(errno));
    CHECK(bind(l, (void *)&a, sizeof(a.sun_family)) == 0 && listen(l, 1) == 0);
    SHOW(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
    SHOW(accept(l, NULL, NULL));
    close(l);
    close_pair(s);
}

static void who_is_there(void)
{
    struct ucred u;
    socklen_t size = sizeof(u);
    int s[2], on = 1, t = socket(AF_INET, SOCK_STREAM, 0);

    pair(s, SOCK_STREAM);
    SHOW(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &u, &size));
    printf("%d %d %d %u\n", u.pid == getpid(), u.uid == getuid(), u.gid == getgid(), size);
    SHOW(getsockopt(t, SOL_SOCKET, SO_PEERCRED, &u, &size));
    printf("%d %d %d\n", u.pid, (int)u.uid, (int)u.gid);
    SHOW(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    SHOW(write(s[0], "who", 3));
    char control[64], b[8];
    struct iovec io = {b, sizeof(b)};
    struct msghdr m = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = 64};
    SHOW(recvmsg(s[1], &m, 0));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    CHECK(c && c->cmsg_type == SCM_CREDENTIALS);
    memcpy(&u, CMSG_DATA(c), sizeof(u));
    printf("%d %d %d %zu\n", u.pid == getpid(), u.uid == getuid(), u.gid == getgid(),
           (size_t)m.msg_controllen);
    close(t);
    close_pair(s);
}

static void options(void)
{
    static const struct {
        int level, option, value;
    } set[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},      {IPPROTO_TCP, TCP_KEEPIDLE, 30},
        {IPPROTO_TCP, TCP_KEEPINTVL, 5},    {IPPROTO_TCP, TCP_KEEPCNT, 3},
        {IPPROTO_TCP, TCP_KEEPIDLE, 0},     {IPPROTO_TCP, TCP_KEEPCNT, 128},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 9}, {IPPROTO_TCP, TCP_USER_TIMEOUT, -1},
        {SOL_SOCKET, SO_REUSEPORT, 1},      {SOL_SOCKET, SO_OOBINLINE, 1},
        {SOL_SOCKET, SO_PRIORITY, 3},       {SOL_SOCKET, SO_RCVLOWAT, 10},
    };
    struct linger l = {1, 7};
    socklen_t size = sizeof(l);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++) {
        int got = -1;
        socklen_t room = sizeof(got);
        SHOW(setsockopt(fd, set[i].level, set[i].option, &set[i].value, sizeof(int)));
        SHOW(getsockopt(fd, set[i].level, set[i].option, &got, &room));
        printf("%d\n", got);
    }
    SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
    SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, 4));
    memset(&l, 0, sizeof(l));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &size));
    printf("%d %d %u\n", l.l_onoff, l.l_linger, size);
    close(fd);
}

/* Several instances watch one pipe: of exclusive ones at least one is woken, and the rules for the flag. */
static void exclusive(void)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE}, got;
    int p[2], outer = epoll_create1(0), inner = epoll_create1(0), woken = 0;

    CHECK(pipe(p) == 0);
    SHOW(epoll_ctl(outer, EPOLL_CTL_ADD, p[0], &e));
    e.events = EPOLLIN;
    SHOW(epoll_ctl(outer, EPOLL_CTL_MOD, p[0], &e));
    e.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT;
    SHOW(epoll_ctl(inner, EPOLL_CTL_ADD, p[0], &e));
    e.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLPRI;
    SHOW(epoll_ctl(inner, EPOLL_CTL_ADD, p[0], &e));
    e.events = EPOLLIN | EPOLLEXCLUSIVE;
    SHOW(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &e));
    SHOW(epoll_ctl(inner, EPOLL_CTL_ADD, p[0], &(struct epoll_event){.events = EPOLLIN}));
    SHOW(epoll_ctl(inner, EPOLL_CTL_MOD, p[0], &e));
    close(inner);
    pid_t child[3];
    int answers[2];
    CHECK(pipe(answers) == 0);
    for (int i = 0; i < 3; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            int ep = epoll_create1(0);
            CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e) == 0);
            CHECK(write(answers[1], "r", 1) == 1);
            CHECK(epoll_wait(ep, &got, 1, -1) == 1);
            CHECK(write(answers[1], "w", 1) == 1);
            _exit(0);
        }
    }
    char b[3];
    for (int i = 0; i < 3; i++)
        CHECK(read(answers[0], b, 1) == 1 && b[0] == 'r');
    CHECK(write(p[1], "x", 1) == 1);
    CHECK(read(answers[0], b, 1) == 1 && b[0] == 'w');
    CHECK(write(p[1], "y", 1) == 1 && write(p[1], "z", 1) == 1);
    for (int i = 0; i < 3; i++) {
        while (waitpid(child[i], NULL, WNOHANG) == 0) {
            CHECK(write(p[1], "z", 1) == 1);
            usleep(1000);
        }
        woken++;
    }
    printf("woken %d\n", woken);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (int i = 0; i < 3; i++) {
        printf("type %d\n", types[i]);
        many_messages(types[i]);
        if (types[i] != SOCK_DGRAM)
            looks(types[i]);
    }
    whole_or_nothing();
    timeouts();
    who_is_there();
    options();
    exclusive();
    return 0;
}
