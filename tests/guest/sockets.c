/* AF_UNIX sockets: streams, datagrams, packets, names, descriptors on their way, errors. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "show.h"

static char g_name[64];

static socklen_t address(struct sockaddr_un *a, const char *suffix)
{
    memset(a, 0, sizeof(*a));
    a->sun_family = AF_UNIX;
    snprintf(a->sun_path, sizeof(a->sun_path), "%s%s", g_name, suffix);
    return sizeof(*a);
}

static int ready(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
    poll(&p, 1, 0);
    return p.revents;
}

static void kinds(void)
{
    int s[2], v;
    socklen_t size = sizeof(v);
    struct stat st;

    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 99, s));
    SHOW(socketpair(AF_UNIX, 77, 0, s));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, (int *)8));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s));
    SHOW(fcntl(s[0], F_GETFD));
    SHOW(fcntl(s[0], F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    CHECK(fstat(s[0], &st) == 0);
    printf("socket %d mode %o\n", S_ISSOCK(st.st_mode), st.st_mode);
    SHOW(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &v, &size));
    printf("type %d\n", v);
    SHOW(getsockopt(s[0], SOL_SOCKET, SO_DOMAIN, &v, &size));
    printf("domain %d\n", v);
    SHOW(getsockopt(s[0], SOL_SOCKET, 9999, &v, &size));
    SHOW(getsockopt(0, SOL_SOCKET, SO_TYPE, &v, &size));
    SHOW(lseek(s[0], 0, SEEK_CUR));
    SHOW(ready(s[0]));
    SHOW(read(s[0], &v, 1));
    SHOW(send(s[1], "abc", 3, 0));
    SHOW(ready(s[0]));
    int waiting = 0;
    SHOW(ioctl(s[0], FIONREAD, &waiting));
    printf("waiting %d\n", waiting);
    SHOW(recv(s[0], &v, 2, MSG_PEEK));
    SHOW(recv(s[0], &v, 2, 0));
    SHOW(read(s[0], &v, 4));
    SHOW(shutdown(s[1], SHUT_WR));
    SHOW(ready(s[0]));
    SHOW(read(s[0], &v, 4));
    SHOW(send(s[1], "x", 1, MSG_NOSIGNAL));
    SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
    SHOW(shutdown(s[0], 7));
    close(s[0]);
    SHOW(ready(s[1]));
    SHOW(read(s[1], &v, 1));
    SHOW(read(s[1], &v, 1));
    SHOW(send(s[1], "x", 1, MSG_NOSIGNAL));
    close(s[1]);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    SHOW(write(s[0], "unread", 6));
    close(s[1]);
    SHOW(read(s[0], &v, 1));
    SHOW(read(s[0], &v, 1));
    close(s[0]);
}

static void streams(void)
{
    struct sockaddr_un a, b;
    socklen_t size = address(&a, ""), got;
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), s, status;
    struct ucred cred;
    char data[64];

    SHOW(ready(c));
    SHOW(connect(c, (struct sockaddr *)&a, size));
    SHOW(listen(l, 5));
    SHOW(bind(l, (struct sockaddr *)&a, size));
    SHOW(bind(c, (struct sockaddr *)&a, size));
    SHOW(connect(c, (struct sockaddr *)&a, size));
    SHOW(accept(l, NULL, NULL));
    SHOW(listen(l, 5));
    SHOW(ready(l));
    SHOW(connect(c, (struct sockaddr *)&a, size));
    SHOW(connect(c, (struct sockaddr *)&a, size));
    SHOW(ready(l));
    got = sizeof(b);
    s = accept(l, (struct sockaddr *)&b, &got);
    printf("accept %d, name %u\n", s >= 0, got);
    got = sizeof(b);
    SHOW(getsockname(s, (struct sockaddr *)&b, &got));
    printf("size ok %d\n", got == offsetof(struct sockaddr_un, sun_path) + strlen(a.sun_path) + 1);
    got = sizeof(b);
    SHOW(getpeername(c, (struct sockaddr *)&b, &got));
    printf("same name %d\n", strcmp(a.sun_path, b.sun_path) == 0);
    got = sizeof(cred);
    SHOW(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &cred, &got));
    printf("peer is me %d\n", cred.pid == getpid() && cred.uid == geteuid());
    SHOW(sendto(c, "to", 2, 0, (struct sockaddr *)&a, size));
    if (fork() == 0) {
        usleep(20000);
        for (int i = 0; i < 100; i++)
            CHECK(write(c, "0123456789", 10) == 10);
        _exit(0);
    }
    char big[1000];
    SHOW(recv(s, big, sizeof(big), MSG_WAITALL));
    wait(&status);
    close(c);
    SHOW(read(s, data, 1));
    close(s);
    close(l);
    c = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(connect(c, (struct sockaddr *)&a, size));
    SHOW(read(c, data, 1));
    SHOW(write(c, data, 1));
    close(c);
    unlink(a.sun_path);
    SHOW(socket(AF_UNIX, SOCK_STREAM, 5));
}

static void abstract(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX}, b;
    socklen_t size, got = sizeof(b);
    int l = socket(AF_UNIX, SOCK_SEQPACKET, 0), c = socket(AF_UNIX, SOCK_SEQPACKET, 0), s;
    char data[8];

    size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                       (size_t)snprintf(a.sun_path + 1, 60, "guest-%d", (int)getpid()));
    SHOW(bind(l, (struct sockaddr *)&a, size));
    SHOW(listen(l, 0));
    SHOW(connect(c, (struct sockaddr *)&a, size));
    s = accept(l, NULL, NULL);
    SHOW(send(c, "packet one", 10, 0));
    SHOW(send(c, "two", 3, 0));
    SHOW(recv(s, data, 6, MSG_TRUNC));
    SHOW(recv(s, data, 6, 0));
    SHOW(getsockname(l, (struct sockaddr *)&b, &got));
    printf("same %d\n", got == size && memcmp(&a, &b, size) == 0);
    close(s);
    close(c);
    close(l);
    l = socket(AF_UNIX, SOCK_DGRAM, 0);
    SHOW(bind(l, (struct sockaddr *)&a, sizeof(a.sun_family)));
    got = sizeof(b);
    SHOW(getsockname(l, (struct sockaddr *)&b, &got));
    printf("autobind size %u\n", got);
    close(l);
}

static void datagrams(void)
{
    struct sockaddr_un a, b, from;
    socklen_t size = address(&a, "-a"), got = sizeof(from);
    int x = socket(AF_UNIX, SOCK_DGRAM, 0), y = socket(AF_UNIX, SOCK_DGRAM, 0);
    char data[16] = {0};

    SHOW(send(x, "q", 1, 0));
    SHOW(bind(x, (struct sockaddr *)&a, size));
    address(&b, "-b");
    SHOW(bind(y, (struct sockaddr *)&b, size));
    SHOW(sendto(y, "first", 5, 0, (struct sockaddr *)&a, size));
    SHOW(sendto(y, "", 0, 0, (struct sockaddr *)&a, size));
    SHOW(connect(y, (struct sockaddr *)&a, size));
    SHOW(send(y, "third", 5, 0));
    SHOW(recvfrom(x, data, 3, 0, (struct sockaddr *)&from, &got));
    printf("from b %d, data %s\n", strcmp(from.sun_path, b.sun_path) == 0, data);
    SHOW(recv(x, data, sizeof(data), 0));
    SHOW(recv(x, data, sizeof(data), 0));
    struct timeval tv = {0, 20000};
    SHOW(setsockopt(x, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    SHOW(recv(x, data, sizeof(data), 0));
    SHOW(recv(x, data, sizeof(data), MSG_DONTWAIT));
    close(x);
    SHOW(send(y, "gone", 4, 0));
    SHOW(sendto(y, "gone", 4, 0, (struct sockaddr *)&a, size));
    unlink(a.sun_path);
    SHOW(sendto(y, "gone", 4, 0, (struct sockaddr *)&a, size));
    unlink(b.sun_path);
    close(y);
}

static void descriptors(void)
{
    int s[2], p[2], said[2], status;
    char control[CMSG_SPACE(2 * sizeof(int))] = {0}, c = 'm';
    struct iovec v = {&c, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 && pipe(p) == 0 && pipe(said) == 0);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(h), p, sizeof(p));
    if (fork() == 0) {
        int got[2];
        close(s[0]);
        close(p[0]);
        close(p[1]);
        memset(control, 0, sizeof(control));
        CHECK(read(said[0], &c, 1) == 1); /* the line of who sent comes first */
        SHOW(recvmsg(s[1], &m, MSG_CMSG_CLOEXEC));
        h = CMSG_FIRSTHDR(&m);
        printf("control %zu type %d len %zu\n", (size_t)m.msg_controllen, h->cmsg_type,
               (size_t)h->cmsg_len);
        memcpy(got, CMSG_DATA(h), sizeof(got));
        SHOW(fcntl(got[1], F_GETFD));
        CHECK(write(got[1], "through", 7) == 7);
        _exit(3);
    }
    SHOW(sendmsg(s[0], &m, 0));
    CHECK(write(said[1], &c, 1) == 1);
    close(said[0]);
    close(said[1]);
    close(p[1]);
    char text[8] = {0};
    SHOW(read(p[0], text, 7));
    printf("%s\n", text);
    wait(&status);
    printf("status %d\n", WEXITSTATUS(status));
    SHOW(read(p[0], text, 1)); /* the child was the last to hold the other end */
    memcpy(CMSG_DATA(h), (int[]){999, 0}, sizeof(p));
    m.msg_controllen = sizeof(control);
    SHOW(sendmsg(s[0], &m, 0));
    /* Sent, never received: closing the sockets drops what is on its way. */
    CHECK(pipe(p) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0);
    memcpy(CMSG_DATA(h), (int[]){p[1], p[1]}, sizeof(p));
    SHOW(sendmsg(s[0], &m, 0));
    close(p[1]);
    struct pollfd pf = {.fd = p[0], .events = POLLIN};
    SHOW(poll(&pf, 1, 0));
    close(s[1]);
    SHOW(poll(&pf, 1, 0));
    close(s[0]);
    close(p[0]);
}

static void credentials(void)
{
    int s[2], on = 1;
    char control[CMSG_SPACE(sizeof(struct ucred))] = {0}, c = 'm';
    struct iovec v = {&c, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct ucred cred;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    SHOW(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    SHOW(write(s[0], "c", 1));
    SHOW(recvmsg(s[1], &m, 0));
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    memcpy(&cred, CMSG_DATA(h), sizeof(cred));
    printf("type %d mine %d\n", h->cmsg_type, cred.pid == getpid() && cred.uid == getuid());
    close(s[0]);
    close(s[1]);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    signal(SIGPIPE, SIG_IGN);
    snprintf(g_name, sizeof(g_name), "/tmp/guest-socket-%d", (int)getpid());
    kinds();
    streams();
    abstract();
    datagrams();
    descriptors();
    credentials();
    return 0;
}
