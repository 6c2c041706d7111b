/* TCP over the loopback: connecting, data, ends, errors. */
#include "inet.h"

static void kinds(void)
{
    int fd, v;
    socklen_t size = sizeof(v);

    SHOW(socket(AF_INET, 77, 0));
    SHOW(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    SHOW(socket(AF_INET, SOCK_SEQPACKET, 0));
    SHOW(socketpair(AF_INET, SOCK_STREAM, 0, &v));
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    SHOW(ready(fd));
    show_names(fd);
    SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &size));
    printf("type %d\n", v);
    SHOW(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &v, &size));
    printf("domain %d\n", v);
    SHOW(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &v, &size));
    printf("protocol %d\n", v);
    SHOW(recv(fd, &v, 1, 0));
    SHOW(send(fd, &v, 1, MSG_NOSIGNAL));
    SHOW(shutdown(fd, SHUT_RDWR));
    SHOW(shutdown(fd, 9));
    SHOW(accept(fd, NULL, NULL));
    SHOW(lseek(fd, 0, SEEK_CUR));
    close(fd);
}

static void binding(void)
{
    int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0), v = 1;
    union any_address address;
    socklen_t size = make_address(&address, "127.0.0.1", 0);

    SHOW(bind(a, &address.any, 4));
    SHOW(bind(a, &address.any, 15));
    address.any.sa_family = AF_UNIX;
    SHOW(bind(a, &address.any, size));
    SHOW(bind_to(a, "192.0.2.1", 0));
    SHOW(bind_to(a, "8.8.8.8", 0));
    SHOW(bind_to(a, "127.0.0.1", 0));
    SHOW(bind_to(a, "127.0.0.1", 0));
    SHOW(bind_to(b, "127.0.0.1", port_of(a)));
    SHOW(bind_to(b, "0.0.0.0", port_of(a)));
    SHOW(bind_to(b, "127.0.0.2", port_of(a)));
    show_names(b);
    close(b);
    b = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(setsockopt(a, SOL_SOCKET, SO_REUSEADDR, &v, sizeof(v)));
    SHOW(bind_to(b, "127.0.0.1", port_of(a)));
    SHOW(setsockopt(b, SOL_SOCKET, SO_REUSEADDR, &v, sizeof(v)));
    SHOW(bind_to(b, "127.0.0.1", port_of(a)));
    SHOW(listen(a, 5));
    SHOW(listen(b, 5));
    close(b);
    b = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(setsockopt(b, SOL_SOCKET, SO_REUSEADDR, &v, sizeof(v)));
    SHOW(bind_to(b, "0.0.0.0", port_of(a)));
    SHOW(bind_to(b, "127.0.0.9", port_of(a)));
    SHOW(listen(b, 5));
    close(a);
    close(b);
    a = socket(AF_INET, SOCK_STREAM, 0);
    b = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(setsockopt(a, SOL_SOCKET, SO_REUSEPORT, &v, sizeof(v)));
    SHOW(bind_to(a, "127.0.0.1", 0));
    SHOW(bind_to(b, "127.0.0.1", port_of(a)));
    SHOW(setsockopt(b, SOL_SOCKET, SO_REUSEPORT, &v, sizeof(v)));
    SHOW(bind_to(b, "127.0.0.1", port_of(a)));
    SHOW(listen(a, 5));
    SHOW(listen(b, 5));
    close(a);
    close(b);
    a = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(listen(a, 5)); /* binds by itself */
    printf("has a port %d\n", port_of(a) != 0);
    close(a);
}

static void v6(void)
{
    int a = socket(AF_INET6, SOCK_STREAM, 0), b, c, v = 0, v4;
    socklen_t size = sizeof(v);
    union any_address address;

    SHOW(getsockopt(a, IPPROTO_IPV6, IPV6_V6ONLY, &v, &size));
    printf("v6only %d\n", v);
    show_names(a);
    SHOW(bind(a, &address.any, make_address(&address, "127.0.0.1", 0)));
    SHOW(bind_to(a, "2001:db8::1", 0));
    SHOW(bind_to(a, "::", 0));
    v = 1;
    SHOW(setsockopt(a, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof(v)));
    v4 = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(bind_to(v4, "0.0.0.0", port_of(a)));
    SHOW(listen(a, 5));
    c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect_to(c, "127.0.0.1", port_of(a)));
    size = sizeof(address);
    b = accept(a, &address.any, &size);
    printf("from %s size %u\n", text_of(&address), size);
    show_names(b);
    show_names(c);
    SHOW(send(c, "four", 4, 0));
    char data[16] = "";
    SHOW(recv(b, data, sizeof(data), 0));
    close(b);
    close(c);
    c = socket(AF_INET6, SOCK_STREAM, 0);
    SHOW(connect_to(c, "::1", port_of(a)));
    b = accept(a, NULL, NULL);
    show_names(b);
    close(b);
    close(c);
    c = socket(AF_INET6, SOCK_STREAM, 0);
    SHOW(connect_to(c, "::ffff:127.0.0.1", port_of(a)));
    b = accept(a, NULL, NULL);
    show_names(c);
    close(b);
    close(c);
    c = socket(AF_INET6, SOCK_STREAM, 0);
    SHOW(connect_to(c, "::", port_of(a)));
    show_names(c);
    close(c);
    close(a);
    close(v4);

    a = socket(AF_INET6, SOCK_STREAM, 0);
    v = 1;
    SHOW(setsockopt(a, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof(v)));
    SHOW(bind_to(a, "::ffff:127.0.0.1", 0));
    SHOW(bind_to(a, "::", 0));
    v4 = socket(AF_INET, SOCK_STREAM, 0);
    for (int i = 0; i < 1000 && bind_to(v4, "0.0.0.0", port_of(a)) < 0; i++) {
        close(a); /* somebody else's port of IPv4: another */
        a = socket(AF_INET6, SOCK_STREAM, 0);
        CHECK(setsockopt(a, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof(v)) == 0);
        CHECK(bind_to(a, "::", 0) == 0);
    }
    show_names(v4);
    SHOW(listen(a, 5));
    c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect_to(c, "127.0.0.1", port_of(a)));
    SHOW(listen(v4, 5));
    SHOW(connect_to(c, "127.0.0.1", port_of(a)));
    close(c);
    c = socket(AF_INET6, SOCK_STREAM, 0);
    SHOW(setsockopt(c, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof(v)));
    SHOW(connect_to(c, "::ffff:127.0.0.1", port_of(a)));
    close(c);
    close(a);
    close(v4);
}

static void connecting(void)
{
    int l = listener_at("127.0.0.1", 5), c, s, port = port_of(l);
    union any_address a;
    socklen_t size;

    SHOW(ready(l));
    SHOW(connect_to(l, "127.0.0.1", port));
    c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    SHOW(connect(c, &a.any, 1));
    make_address(&a, "127.0.0.1", port);
    SHOW(connect(c, &a.any, 8));
    a.any.sa_family = AF_INET6;
    SHOW(connect(c, &a.any, sizeof(a)));
    SHOW(connect_to(c, "127.0.0.1", port));
    SHOW(ready_soon(c, POLLOUT));
    SHOW(error_of(c));
    SHOW(connect_to(c, "127.0.0.1", port));
    SHOW(connect_to(c, "127.0.0.1", port));
    SHOW(ready_soon(l, POLLIN));
    size = sizeof(a);
    s = accept4(l, &a.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    printf("accepted from %s, port matches %d\n", text_of(&a), ntohs(a.v4.sin_port) == port_of(c));
    SHOW(fcntl(s, F_GETFL) & O_NONBLOCK);
    SHOW(fcntl(s, F_GETFD));
    show_names(s);
    show_names(c);
    SHOW(ready(l));
    SHOW(fcntl(l, F_SETFL, O_NONBLOCK));
    SHOW(accept(l, NULL, NULL));
    SHOW(listen(s, 5));
    SHOW(recv(s, &a, 1, 0));
    SHOW(bind_to(c, "127.0.0.1", 0));
    close(s);
    close(c);

    /* refused */
    c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(bind_to(c, "127.0.0.1", 0));
    s = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect_to(s, "127.0.0.1", port_of(c)));
    SHOW(error_of(s));
    SHOW(ready(s));
    SHOW(connect_to(s, "127.0.0.1", port_of(c)));
    SHOW(connect_to(s, "127.0.0.1", port));
    close(s);
    s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    SHOW(connect_to(s, "127.0.0.1", port_of(c)));
    SHOW(ready_soon(s, POLLOUT));
    SHOW(error_of(s));
    SHOW(error_of(s));
    close(s);
    s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    SHOW(connect_to(s, "127.0.0.1", port_of(c)));
    ready_soon(s, POLLOUT);
    SHOW(connect_to(s, "127.0.0.1", port));
    SHOW(connect_to(s, "127.0.0.1", port));
    ready_soon(s, POLLOUT);
    SHOW(connect_to(s, "127.0.0.1", port));
    close(s);
    close(c);
    close(accept(l, NULL, NULL));
    close(accept(l, NULL, NULL));

    /* the wildcard leads to the loopback */
    c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect_to(c, "0.0.0.0", port));
    show_names(c);
    close(c);
    c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect_to(c, "127.255.255.255", port));
    SHOW(connect_to(c, "224.0.0.1", port));
    SHOW(connect_to(c, "127.0.0.77", port)); /* the listener has 127.0.0.1 only */
    close(c);
    /* a source of one's own */
    c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(bind_to(c, "127.0.0.5", 0));
    SHOW(connect_to(c, "127.0.0.1", port));
    show_names(c);
    close(c);
    close(l);
}

static void unspecified(void)
{
    int s[2], l = listener_at("127.0.0.1", 5);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    char c;

    tcp_pair(s);
    SHOW(connect(s[0], &none, sizeof(none)));
    show_names(s[0]);
    SHOW(ready_soon(s[1], POLLIN));
    SHOW(recv(s[1], &c, 1, 0));
    SHOW(recv(s[1], &c, 1, 0));
    error_of(s[0]);
    SHOW(connect_to(s[0], "127.0.0.1", port_of(l)));
    show_names(s[0]);
    close(s[1]); /* of the former connection: the new one does not notice */
    usleep(20000);
    SHOW(ready(s[0]));
    SHOW(recv(s[0], &c, 1, MSG_DONTWAIT));
    close(s[0]);
    close(l);
}

static void data(void)
{
    int s[2], n = -1;
    char buffer[64] = "";
    struct iovec parts[3] = {{"one", 3}, {"", 0}, {"three", 5}};

    tcp_pair(s);
    SHOW(ready(s[0]));
    SHOW(recv(s[1], buffer, 4, MSG_DONTWAIT));
    SHOW(writev(s[0], parts, 3));
    SHOW(ready_soon(s[1], POLLIN));
    SHOW(ioctl(s[1], FIONREAD, &n));
    printf("waiting %d\n", n);
    SHOW(until_count(s[0], TIOCOUTQ, 0));
    SHOW(recv(s[1], buffer, 3, MSG_PEEK));
    SHOW(recv(s[1], buffer, 64, MSG_PEEK));
    printf("%.8s\n", buffer);
    SHOW(recv(s[1], buffer, 2, MSG_TRUNC));
    SHOW(recv(s[1], buffer, 64, 0));
    printf("%.6s\n", buffer);
    SHOW(send(s[1], "back", 4, 0));
    SHOW(recv(s[0], buffer, 64, 0));
    SHOW(send(s[0], "", 0, 0));
    SHOW(recv(s[1], buffer, 0, MSG_DONTWAIT));
    SHOW(recv(s[1], buffer, 5, MSG_DONTWAIT | MSG_WAITALL));
    SHOW(send(s[0], "abc", 3, 0));
    ready_soon(s[1], POLLIN);
    SHOW(recv(s[1], buffer, 5, MSG_DONTWAIT | MSG_WAITALL));
    SHOW(send(s[0], (char *)8, 3, 0));
    SHOW(send(s[0], "abc", 3, 0));
    SHOW(recv(s[1], (char *)8, 3, 0));
    SHOW(recv(s[1], buffer, 3, 0));
    union any_address a;
    socklen_t size = sizeof(a);
    SHOW(send(s[0], "name", 4, 0));
    SHOW(recvfrom(s[1], buffer, 64, 0, &a.any, &size));
    printf("no name: %u\n", size);
    make_address(&a, "127.0.0.1", 1);
    SHOW(sendto(s[0], "to", 2, 0, &a.any, sizeof(a.v4)));
    SHOW(recv(s[1], buffer, 64, 0));

    /* MSG_WAITALL gathers what comes in pieces */
    if (fork() == 0) {
        for (int i = 0; i < 10; i++) {
            usleep(3000);
            CHECK(send(s[0], "0123456789", 10, 0) == 10);
        }
        _exit(0);
    }
    char all[100];
    SHOW(recv(s[1], all, 100, MSG_WAITALL));
    wait(NULL);
    /* a low-water mark */
    n = 4;
    SHOW(setsockopt(s[1], SOL_SOCKET, SO_RCVLOWAT, &n, sizeof(n)));
    SHOW(send(s[0], "ab", 2, 0));
    usleep(20000);
    SHOW(ready(s[1]));
    SHOW(send(s[0], "cd", 2, 0));
    SHOW(ready_soon(s[1], POLLIN));
    SHOW(recv(s[1], buffer, 64, 0));
    close(s[0]);
    close(s[1]);
}

static void ends(void)
{
    int s[2];
    char buffer[16];
    struct linger hard = {1, 0};

    /* half-closed */
    tcp_pair(s);
    SHOW(send(s[0], "last", 4, 0));
    SHOW(shutdown(s[0], SHUT_WR));
    SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
    SHOW(ready(s[0]));
    SHOW(ready_soon(s[1], POLLRDHUP));
    SHOW(recv(s[1], buffer, 16, 0));
    SHOW(recv(s[1], buffer, 16, 0));
    SHOW(send(s[1], "still", 5, 0));
    SHOW(recv(s[0], buffer, 16, 0));
    SHOW(shutdown(s[1], SHUT_WR));
    SHOW(ready_soon(s[0], POLLRDHUP));
    SHOW(ready(s[1]));
    SHOW(recv(s[0], buffer, 16, 0));
    SHOW(shutdown(s[0], SHUT_RDWR));
    close(s[0]);
    close(s[1]);

    /* SHUT_RD alone tells the other side nothing */
    tcp_pair(s);
    SHOW(shutdown(s[0], SHUT_RD));
    SHOW(recv(s[0], buffer, 16, 0));
    SHOW(ready(s[1]));
    SHOW(send(s[1], "in", 2, 0));
    SHOW(until_count(s[0], FIONREAD, 2));
    SHOW(recv(s[0], buffer, 16, 0));
    SHOW(recv(s[0], buffer, 16, 0));
    close(s[0]);
    close(s[1]);

    /* closed: the first write goes through, the next does not */
    tcp_pair(s);
    close(s[1]);
    SHOW(ready_soon(s[0], POLLIN));
    SHOW(recv(s[0], buffer, 16, 0));
    SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
    SHOW(ready_soon(s[0], POLLERR));
    SHOW(recv(s[0], buffer, 16, 0));
    SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
    SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
    SHOW(recv(s[0], buffer, 16, 0));
    SHOW(error_of(s[0]));
    show_names(s[0]);
    close(s[0]);

    /* closed with unread data: a reset */
    tcp_pair(s);
    SHOW(send(s[0], "unread", 6, 0));
    SHOW(send(s[1], "kept", 4, 0));
    ready_soon(s[1], POLLIN);
    close(s[1]);
    SHOW(ready_soon(s[0], POLLERR));
    SHOW(recv(s[0], buffer, 16, 0));
    SHOW(recv(s[0], buffer, 16, 0));
    SHOW(recv(s[0], buffer, 16, 0));
    SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
    close(s[0]);

    /* no linger: a reset too */
    tcp_pair(s);
    SHOW(setsockopt(s[1], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)));
    close(s[1]);
    SHOW(ready_soon(s[0], POLLERR));
    SHOW(error_of(s[0]));
    SHOW(recv(s[0], buffer, 16, 0));
    SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
    close(s[0]);

    /* without MSG_NOSIGNAL */
    tcp_pair(s);
    close(s[1]);
    ready_soon(s[0], POLLIN);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(write(s[0], "x", 1) == 1);
        ready_soon(s[0], POLLERR);
        write(s[0], "x", 1);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    printf("signal %d\n", WTERMSIG(status));
    close(s[0]);
}

static void listening(void)
{
    int l = listener_at("127.0.0.1", 1), c[3], s;
    char b;

    for (int i = 0; i < 3; i++)
        c[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    SHOW(connect_to(c[0], "127.0.0.1", port_of(l)));
    SHOW(connect_to(c[1], "127.0.0.1", port_of(l)));
    ready_soon(c[1], POLLOUT);
    usleep(20000);
    SHOW(connect_to(c[2], "127.0.0.1", port_of(l))); /* the queue is full: no answer */
    usleep(20000);
    SHOW(ready(c[2]));
    SHOW(connect_to(c[2], "127.0.0.1", port_of(l)));
    SHOW(send(c[2], "x", 1, 0));
    SHOW(recv(c[2], &b, 1, 0));
    SHOW(send(c[0], "first", 5, 0));
    s = accept(l, NULL, NULL);
    char buffer[8];
    SHOW(recv(s, buffer, 8, 0));
    close(s);
    close(l); /* one is accepted by nobody */
    SHOW(ready_soon(c[1], POLLERR));
    SHOW(recv(c[1], buffer, 8, 0));
    for (int i = 0; i < 3; i++)
        close(c[i]);

    /* accept sleeps */
    l = listener_at("127.0.0.1", 5);
    if (fork() == 0) {
        usleep(20000);
        s = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(connect_to(s, "127.0.0.1", port_of(l)) == 0);
        CHECK(write(s, "hello", 5) == 5);
        _exit(0);
    }
    s = accept(l, NULL, NULL);
    SHOW(recv(s, buffer, 8, 0));
    SHOW(recv(s, buffer, 8, 0));
    wait(NULL);
    close(s);
    struct timeval tv = {0, 30000};
    SHOW(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    SHOW(accept(l, NULL, NULL));
    SHOW(shutdown(l, SHUT_WR));
    SHOW(shutdown(l, SHUT_RD));
    SHOW(accept(l, NULL, NULL));
    SHOW(recv(l, buffer, 1, 0));
    close(l);
}

static void timeouts(void)
{
    int s[2], size = 4096;
    struct timeval tv = {0, 30000};
    char block[4096] = "";
    long total = 0, n;

    tcp_pair(s);
    SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    SHOW(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
    SHOW(recv(s[0], block, 1, 0));
    SHOW(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
    SHOW(setsockopt(s[1], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
    while ((n = send(s[0], block, sizeof(block), 0)) > 0)
        total += n;
    printf("full: %s\n", strerror(errno));
    SHOW(ready(s[0]) & POLLOUT);
    SHOW(send(s[0], block, 4096, MSG_DONTWAIT));
    long got = 0;
    struct pollfd p = {.fd = s[1], .events = POLLIN};
    while (got < total && poll(&p, 1, 60000) == 1 &&
           (n = recv(s[1], block, sizeof(block), MSG_DONTWAIT)) > 0)
        got += n;
    printf("all came %d\n", got == total);
    SHOW(ready_soon(s[0], POLLOUT) & POLLOUT);
    close(s[0]);
    close(s[1]);
}

static volatile sig_atomic_t g_urgent;

static void on_urgent(int sig)
{
    (void)sig;
    g_urgent++;
}

/* The urgent byte is there, and the signal came with it. */
static void urgent_soon(int fd)
{
    printf("urgent %x\n", ready_soon(fd, POLLPRI));
    printf("signals %d\n", (int)g_urgent);
    g_urgent = 0;
}

static void urgent(void)
{
    int s[2], mark = -1, n = -1, on = 1;
    char b[16];

    tcp_pair(s);
    signal(SIGURG, on_urgent);
    SHOW(fcntl(s[1], F_SETOWN, getpid()));
    SHOW(recv(s[1], b, 1, MSG_OOB));
    SHOW(send(s[0], "abc", 3, 0));
    SHOW(send(s[0], "def", 3, MSG_OOB));
    urgent_soon(s[1]);
    SHOW(send(s[0], "ghi", 3, 0));
    SHOW(ioctl(s[1], SIOCATMARK, &mark));
    printf("at mark %d\n", mark);
    SHOW(ioctl(s[1], FIONREAD, &n));
    printf("waiting %d\n", n);
    SHOW(recv(s[1], b, 16, 0));
    printf("%.5s\n", b);
    SHOW(ioctl(s[1], SIOCATMARK, &mark));
    printf("at mark %d\n", mark);
    SHOW(recv(s[1], b, 16, MSG_OOB | MSG_PEEK));
    SHOW(recv(s[1], b, 16, MSG_OOB));
    printf("%.1s\n", b);
    SHOW(recv(s[1], b, 16, MSG_OOB));
    SHOW(recv(s[1], b, 16, 0));
    printf("%.3s\n", b);
    SHOW(ioctl(s[1], SIOCATMARK, &mark));
    printf("at mark %d\n", mark);
    SHOW(setsockopt(s[1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)));
    SHOW(send(s[0], "xy", 2, MSG_OOB));
    urgent_soon(s[1]);
    SHOW(recv(s[1], b, 16, MSG_OOB));
    SHOW(recv(s[1], b, 16, 0));
    SHOW(ready(s[1]));
    SHOW(recv(s[1], b, 16, 0));
    printf("%.1s\n", b);
    close(s[0]);
    close(s[1]);
}

/* Much data in odd pieces through small buffers, both ways at once. */
static void bulk(void)
{
    enum { TOTAL = 4000000 };
    int s[2], status;
    static unsigned char block[70000];

    tcp_pair(s);
    pid_t echo = fork();
    if (echo == 0) {
        ssize_t n;
        close(s[0]);
        while ((n = read(s[1], block, 30011)) > 0)
            for (ssize_t done = 0, m; done < n; done += m)
                CHECK((m = write(s[1], block + done, (size_t)(n - done))) > 0);
        _exit(n < 0);
    }
    close(s[1]);
    pid_t sender = fork();
    if (sender == 0) {
        unsigned x = 1;
        for (int sent = 0; sent < TOTAL;) {
            int n = 1 + (int)(x % 69999);
            if (n > TOTAL - sent)
                n = TOTAL - sent;
            for (int i = 0; i < n; i++)
                block[i] = (unsigned char)((sent + i) * 7 + (sent + i) / 251);
            CHECK(send(s[0], block, (size_t)n, 0) == n);
            sent += n;
            x = x * 1103515245 + 12345;
        }
        CHECK(shutdown(s[0], SHUT_WR) == 0);
        _exit(0);
    }
    int got = 0, wrong = 0;
    ssize_t n;
    while ((n = recv(s[0], block, sizeof(block), 0)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            wrong += block[i] != (unsigned char)((got + i) * 7 + (got + i) / 251);
        got += (int)n;
    }
    printf("echoed %d wrong %d\n", got, wrong);
    waitpid(echo, &status, 0);
    printf("echo %d\n", status);
    waitpid(sender, &status, 0);
    printf("sender %d\n", status);
    close(s[0]);
}

/* A server that resets each connection as soon as it has it: the connection was there, and connect says so. */
static void reset_at_once(int count)
{
    enum { CONNECTIONS = 1000 };
    int listener = socket(AF_INET, SOCK_STREAM, 0), failed = 0, other = 0;
    struct sockaddr off = {.sa_family = AF_UNSPEC};

    CHECK(bind_to(listener, "127.0.0.1", 0) == 0 && listen(listener, 5) == 0);
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        for (int i = 0; i < CONNECTIONS; i++) {
            int fd = accept(listener, NULL, NULL);
            CHECK(fd >= 0);
            connect(fd, &off, sizeof(off));
            close(fd);
        }
        _exit(0);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        char c;
        if (connect_to(fd, "127.0.0.1", port_of(listener)) < 0)
            failed++;
        else if (recv(fd, &c, 1, 0) != -1 || errno != ECONNRESET)
            other++;
        close(fd);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("not reset: %d, server %x\n", other, status);
    if (count) /* Linux itself hears of some resets before connect has looked: of most where it is emulated */
        printf("failed: %d\n", failed);
    close(listener);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && !strcmp(argv[1], "resets")) {
        reset_at_once(1);
        return 0;
    }
    kinds();
    binding();
    v6();
    connecting();
    unspecified();
    data();
    ends();
    listening();
    timeouts();
    urgent();
    bulk();
    reset_at_once(0);
    return 0;
}
