/* AF_UNIX sockets: urgent bytes, who the other end is, sockets sent over each other in cycles. */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "passed_fds.h"
#include "show.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#define SIOCATMARK_NUMBER 0x8905 /* musl and glibc name it in different headers */

static int s[2];

static void fresh(void)
{
    if (s[0])
        close(s[0]);
    if (s[1])
        close(s[1]);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
}

/* ---- urgent bytes ------------------------------------------------------------------------------------------------- */

static void state(const char *when)
{
    struct pollfd p = {.fd = s[1], .events = POLLIN | POLLPRI | POLLOUT | POLLRDHUP};
    int mark = -1;

    poll(&p, 1, 0);
    CHECK(ioctl(s[1], SIOCATMARK_NUMBER, &mark) == 0);
    printf("  %s: poll %x, at mark %d\n", when, p.revents, mark);
}

static void get(const char *what, size_t size, int flags)
{
    char data[64];
    struct iovec v = {data, size};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    ssize_t n = recvmsg(s[1], &m, flags | MSG_DONTWAIT);

    printf("%s: %zd %s '%.*s' flags %x\n", what, n, n < 0 ? strerror(errno) : "",
           n > 0 ? (int)n : 0, data, (unsigned)m.msg_flags);
    state("then");
}

static volatile sig_atomic_t g_urgent;
static void on_urgent(int sig)
{
    (void)sig;
    g_urgent++;
}

static void urgent(void)
{
    int on = 1, waiting;

    fresh();
    SHOW(send(s[0], "abc", 3, MSG_OOB));
    state("sent");
    SHOW(ioctl(s[1], FIONREAD, &waiting));
    printf("waiting %d\n", waiting);
    get("peek", 4, MSG_OOB | MSG_PEEK);
    get("urgent", 4, MSG_OOB);
    get("again", 4, MSG_OOB);
    get("read", 8, 0);
    get("read", 8, 0);
    fresh();
    puts("skipped by a read");
    SHOW(send(s[0], "abc", 3, MSG_OOB));
    SHOW(send(s[0], "def", 3, 0));
    get("peek", 8, MSG_PEEK);
    get("read", 8, 0);
    get("peek", 8, MSG_PEEK);
    get("read", 8, 0);
    get("urgent", 1, MSG_OOB);
    fresh();
    puts("read before the others");
    SHOW(send(s[0], "c", 1, MSG_OOB));
    get("urgent", 1, MSG_OOB);
    get("read", 8, 0);
    SHOW(send(s[0], "d", 1, 0));
    get("read", 8, 0);
    fresh();
    puts("two of them");
    SHOW(send(s[0], "ab", 2, MSG_OOB));
    SHOW(send(s[0], "cd", 2, MSG_OOB));
    get("read", 8, 0);
    get("urgent", 1, MSG_OOB);
    fresh();
    puts("inline");
    SHOW(setsockopt(s[1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)));
    SHOW(send(s[0], "abc", 3, MSG_OOB));
    SHOW(send(s[0], "def", 3, 0));
    get("urgent", 1, MSG_OOB);
    get("read", 8, 0);
    get("read", 8, 0);
    fresh();
    puts("the end");
    SHOW(send(s[0], "abc", 3, MSG_OOB));
    shutdown(s[0], SHUT_WR);
    get("read", 8, 0);
    get("read", 8, 0);
    get("read", 8, 0);
    fresh();
    puts("refused");
    SHOW(send(s[0], "", 0, MSG_OOB));
    shutdown(s[1], SHUT_RD);
    SHOW(send(s[0], "x", 1, MSG_OOB | MSG_NOSIGNAL));
    for (int type = SOCK_DGRAM; type <= SOCK_SEQPACKET; type += SOCK_SEQPACKET - SOCK_DGRAM) {
        int other[2];
        CHECK(socketpair(AF_UNIX, type, 0, other) == 0);
        SHOW(send(other[0], "x", 1, MSG_OOB));
        SHOW(recv(other[1], &on, 1, MSG_OOB));
        close(other[0]);
        close(other[1]);
    }
    fresh();
    signal(SIGURG, on_urgent);
    SHOW(fcntl(s[1], F_SETOWN, getpid()));
    SHOW(send(s[0], "x", 1, MSG_OOB));
    printf("signals %d\n", (int)g_urgent);
}

/* ---- who ---------------------------------------------------------------------------------------------------------- */

static void show_credentials(void)
{
    char control[CMSG_SPACE(sizeof(struct ucred))], c;
    struct iovec v = {&c, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct ucred cred;

    CHECK(recvmsg(s[1], &m, 0) == 1);
    printf("'%c', control %zu", c, (size_t)m.msg_controllen);
    if (m.msg_controllen) {
        memcpy(&cred, CMSG_DATA((struct cmsghdr *)control), sizeof(cred));
        printf(": pid %s uid %s gid %s",
               cred.pid == getpid() ? "mine"
               : cred.pid           ? "other"
                                    : "none",
               cred.uid == 65534      ? "nobody"
               : cred.uid == getuid() ? "mine"
                                      : "other",
               cred.gid == 65534      ? "nobody"
               : cred.gid == getgid() ? "mine"
                                      : "other");
    }
    printf("\n");
}

static void send_credentials(pid_t pid, uid_t uid)
{
    char control[CMSG_SPACE(sizeof(struct ucred))] = {0};
    struct iovec v = {"e", 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    struct ucred cred = {pid, uid, getgid()};

    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_CREDENTIALS;
    h->cmsg_len = CMSG_LEN(sizeof(cred));
    memcpy(CMSG_DATA(h), &cred, sizeof(cred));
    errno = 0;
    ssize_t n = sendmsg(s[0], &m, 0);
    printf("send credentials = %zd %s\n", n, n < 0 ? strerror(errno) : "");
}

static void groups_of(int fd, const char *whose)
{
    gid_t list[64];
    socklen_t size = sizeof(list);
    int r;

    errno = 0;
    r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list, &size);
    printf("%s: %d %s", whose, r, r ? strerror(errno) : "");
    for (socklen_t i = 0; !r && i < size / sizeof(list[0]); i++)
        printf(" %u", list[i]);
    size = 2;
    r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list, &size);
    printf("; with little room %d, size %u\n", r, size);
}

static void who(void)
{
    int on = 1, off = 0, alone = socket(AF_UNIX, SOCK_STREAM, 0), status;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t size = sizeof(a);
    gid_t groups[] = {3, 5, 7};

    fresh();
    CHECK(write(s[0], "1", 1) == 1);
    SHOW(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    show_credentials();
    CHECK(write(s[0], "2", 1) == 1);
    show_credentials();
    SHOW(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &off, sizeof(off)));
    SHOW(setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    CHECK(write(s[0], "3", 1) == 1);
    SHOW(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    show_credentials();
    send_credentials(getpid(), getuid());
    show_credentials();
    if (fork() == 0) {
        if (setresuid(1000, 1000, 1000) == 0)
            send_credentials(1, 1000);
        send_credentials(getpid(), 0);
        _exit(0);
    }
    wait(&status);
    size = sizeof(int);
    SHOW(getsockopt(s[0], SOL_SOCKET, SO_PASSSEC, &off, &size));
    printf("%d\n", off);
    /* Names by themselves. */
    int d = socket(AF_UNIX, SOCK_DGRAM, 0), to = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK(bind(to, (struct sockaddr *)&a, sizeof(a.sun_family)) == 0);
    size = sizeof(a);
    CHECK(getsockname(to, (struct sockaddr *)&a, &size) == 0);
    setsockopt(d, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
    SHOW(sendto(d, "x", 1, 0, (struct sockaddr *)&a, size));
    size = sizeof(a);
    SHOW(getsockname(d, (struct sockaddr *)&a, &size));
    printf("name of %u\n", size);
    close(d);
    close(to);
    /* Groups, as they were when the sockets met. */
    groups_of(alone, "alone");
    if (getuid() == 0) {
        CHECK(setgroups(3, groups) == 0);
        fresh();
        CHECK(setgroups(1, groups) == 0);
        groups_of(s[0], "pair");
    }
    close(alone);
}

/* ---- cycles ------------------------------------------------------------------------------------------------------- */

static int take(int over, int flags)
{
    char control[CMSG_SPACE(8 * sizeof(int))] = {0}, c;
    struct iovec v = {&c, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    int fd;

    CHECK(recvmsg(over, &m, flags) == 1);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
    return fd;
}

/* The other end of a pipe that nothing but garbage holds sees its end; Linux collects when a socket is closed, maybe later. */
static int collected(int pipe_end, int timeout_ms)
{
    struct pollfd p = {.fd = pipe_end, .events = POLLIN};
    int other[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, other) == 0);
    close(other[0]);
    close(other[1]);
    return poll(&p, 1, timeout_ms) == 1 && (p.revents & POLLHUP);
}
#define PATIENCE_MS 60000

static void cycle_of_two(void)
{
    int p[2];

    CHECK(pipe(p) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    pass(s[0], (int[]){s[0], p[1]}, 2);
    pass(s[1], (int[]){s[1], s[0]}, 2);
    close(p[1]);
    close(s[0]);
    close(s[1]);
    printf("two: %d\n", collected(p[0], PATIENCE_MS));
    close(p[0]);
}

/* A long ring of sockets, each in the queue of the next. */
static void ring(int type, int count)
{
    int(*pair)[2] = calloc((size_t)count, sizeof(*pair)), p[2];

    CHECK(pipe(p) == 0);
    for (int i = 0; i < count; i++)
        CHECK(socketpair(AF_UNIX, type, 0, pair[i]) == 0);
    for (int i = 0; i < count; i++) {
        pass(pair[i][0], pair[(i + 1) % count], 2);
        pass(pair[i][1], (int[]){p[1]}, 1);
    }
    close(p[1]);
    for (int i = 0; i < count - 1; i++) {
        close(pair[i][0]);
        close(pair[i][1]);
    }
    close(pair[count - 1][0]);
    printf("ring held by one: %d\n", collected(p[0], 0));
    close(pair[count - 1][1]);
    printf("ring: %d\n", collected(p[0], PATIENCE_MS));
    close(p[0]);
    free(pair);
}

/* A listener in the queue of a connection that it did not accept, with an epoll instance that watches both. */
static void listener_in_its_own_queue(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t size = sizeof(a);
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
    int e = epoll_create1(0), p[2];
    struct epoll_event event = {.events = EPOLLIN};

    CHECK(pipe(p) == 0);
    CHECK(bind(l, (struct sockaddr *)&a, sizeof(a.sun_family)) == 0 && listen(l, 4) == 0);
    CHECK(getsockname(l, (struct sockaddr *)&a, &size) == 0);
    CHECK(connect(c, (struct sockaddr *)&a, size) == 0);
    CHECK(epoll_ctl(e, EPOLL_CTL_ADD, l, &event) == 0);
    CHECK(epoll_ctl(e, EPOLL_CTL_ADD, c, &event) == 0);
    pass(c, (int[]){l, e, p[1]}, 3);
    close(e);
    close(p[1]);
    close(c);
    printf("listener open: %d\n", collected(p[0], 0));
    close(l);
    printf("listener: %d\n", collected(p[0], PATIENCE_MS));
    close(p[0]);
    c = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(connect(c, (struct sockaddr *)&a, size));
    close(c);
}

/* What can still be received is no garbage, however deep it lies, nor what was only peeked at. */
static void reachable(void)
{
    int outer[2], inner[2], p[2], got, again;

    CHECK(pipe(p) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, outer) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, inner) == 0);
    pass(inner[0], (int[]){p[1]}, 1);
    pass(outer[0], (int[]){inner[1], inner[0], outer[0]}, 3);
    close(p[1]);
    close(inner[0]);
    close(inner[1]);
    close(outer[0]);
    printf("to be received: %d\n", collected(p[0], 0));
    got = take(outer[1], MSG_PEEK);
    close(outer[1]);
    printf("peeked: %d\n", collected(p[0], 0));
    again = take(got, 0);
    CHECK(write(again, "ok", 2) == 2);
    close(again);
    close(got);
    char text[3] = {0};
    CHECK(read(p[0], text, 2) == 2);
    printf("%s: %d\n", text, collected(p[0], PATIENCE_MS));
    close(p[0]);
}

/*
 * Each in the queue of the next, the last one held. When that goes all go, at once; nobody who sends or closes meanwhile waits for a look
 * at the rest of them for each.
 */
#define LINKS 3000
#define AT_ONCE_MS 200

/* Of the processor: other work on the machine does not count. */
static int64_t used_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Whether it went at once. */
static bool chain_of(int links)
{
    int p[2], pair[2], held;
    int64_t begun = used_ms();

    CHECK(pipe(p) == 0);
    held = p[1];
    for (int i = 0; i < links; i++) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        pass(pair[0], &held, 1);
        close(held);
        close(pair[0]);
        held = pair[1];
    }
    int64_t made = used_ms();
    close(held);
    int gone = collected(p[0], PATIENCE_MS);
    int64_t ended = used_ms();
    close(p[0]);
    /* Making it takes a look at what is on its way for each link, here and on older kernels. */
    bool at_once = ended - made < AT_ONCE_MS || (ended - made) * 4 < made - begun;
    CHECK(gone);
    if (getenv("SHOW_TIMES"))
        fprintf(stderr, "made in %d ms, gone in %d ms\n", (int)(made - begun), (int)(ended - made));
    return at_once;
}

static void chain(void)
{
    struct rlimit files;
    bool at_once = false;

    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
    int links = files.rlim_max < LINKS + 64 ? (int)files.rlim_max - 64 : LINKS;
    if (getuid()) /* other processes of the user count for the limit */
        links = 300;
    for (int i = 0; i < 5 && !at_once;
         i++) /* where a host takes a processor away, its time runs on */
        at_once = chain_of(links);
    printf("chain: %s\n", at_once ? "at once" : "slowly");
}

/* More on the way than the limit on descriptors, for who may not have more. */
static void too_many(void)
{
    struct rlimit limit = {40, 40};
    int status, p[2];

    if (fork() == 0) {
        /* They are counted by user, over all processes: another run must not count */
        uid_t own = 100000 + (uid_t)getpid();
        CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0 && pipe(p) == 0);
        CHECK(getuid() || setresuid(own, own, own) == 0);
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        int many[8] = {p[0], p[0], p[0], p[0], p[0], p[0], p[0], p[0]}, sent = 0;
        while (sent < 8 && try_pass(s[0], many, 8, MSG_DONTWAIT) == 1)
            sent++;
        printf("sent %d: %s\n", sent, strerror(errno));
        _exit(0);
    }
    wait(&status);
    if (getuid())
        return;
}

/* ---- who sends more than there is room for ------------------------------------------------------------------------ */

static bool can_write(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    CHECK(poll(&p, 1, 0) >= 0);
    return p.revents & POLLOUT;
}

static size_t fill(int fd, char *data, size_t piece)
{
    size_t sent = 0;
    ssize_t n;

    while ((n = send(fd, data, piece, MSG_DONTWAIT)) > 0)
        sent += (size_t)n;
    CHECK(errno == EAGAIN);
    return sent;
}

/* A loop of events must not turn on a socket that says it can be written to and then takes nothing. */
static void full(int type, size_t piece, int buffer)
{
    static char data[1 << 20];
    size_t left;

    if (s[0])
        close(s[0]);
    if (s[1])
        close(s[1]);
    CHECK(socketpair(AF_UNIX, type, 0, s) == 0);
    if (buffer)
        CHECK(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)) == 0);
    bool before = can_write(s[0]);
    left = fill(s[0], data, piece);
    /* All of a big piece is let in when there is room for its beginning. */
    printf("type %d, pieces of %zu, buffer %d: %d, at most two buffers %d, then %d,", type, piece,
           buffer, before, left <= (buffer ? (size_t)buffer : 212992) * 4, can_write(s[0]));
    ssize_t n = recv(s[1], data, 100, 0);
    CHECK(n > 0);
    left -= type == SOCK_STREAM ? (size_t)n : piece;
    printf(" %d after the first 100,", can_write(s[0]));
    while (left) {
        n = recv(s[1], data, sizeof(data), 0);
        CHECK(n > 0);
        left -= (size_t)n;
    }
    printf(" %d when all is read\n", can_write(s[0]));
}

static void backpressure(void)
{
    static const size_t pieces[] = {200, 1000, 10000, 65536, 100000, 1 << 20};

    for (unsigned i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        full(SOCK_STREAM, pieces[i], 0);
        full(SOCK_STREAM, pieces[i], 20000);
        if (pieces[i] <= 100000)
            full(SOCK_SEQPACKET, pieces[i], 0);
    }
}

/* A datagram socket with a name that the system chose; *name, for others to connect to. */
static int datagrams(struct sockaddr_un *name, socklen_t *size)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&(struct sockaddr_un){.sun_family = AF_UNIX},
                          sizeof(sa_family_t)) == 0);
    *size = sizeof(*name);
    CHECK(getsockname(fd, (struct sockaddr *)name, size) == 0);
    return fd;
}

static void drain(int fd)
{
    static char data[1000];
    while (recv(fd, data, sizeof(data), MSG_DONTWAIT) >= 0)
        ;
    CHECK(errno == EAGAIN);
}

/* Waits for room in a process of its own, by poll or epoll, while `room` makes some. */
static void told_of_room(int fd, bool by_epoll, void (*room)(int), int receiver, const char *how)
{
    int ready[2];
    char byte;

    CHECK(pipe(ready) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        struct epoll_event event = {.events = EPOLLOUT};
        int set = epoll_create1(0);
        close(receiver);
        CHECK(set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
        CHECK(epoll_wait(set, &event, 1, 0) == 0);
        CHECK(write(ready[1], "x", 1) == 1);
        _exit(by_epoll ? epoll_wait(set, &event, 1, 60000) : poll(&p, 1, 60000));
    }
    int status;
    CHECK(read(ready[0], &byte, 1) == 1);
    usleep(20000);
    room(receiver);
    CHECK(waitpid(child, &status, 0) == child);
    printf("%s, by %s: %d\n", how, by_epoll ? "epoll" : "poll",
           WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    close(ready[0]);
    close(ready[1]);
}

static void close_it(int fd)
{
    close(fd);
}

static void room_for_datagrams(void)
{
    static char data[1000];
    struct sockaddr_un name, other;
    socklen_t size, other_size;
    int receiver = datagrams(&name, &size), empty = datagrams(&other, &other_size);
    int sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    int second = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    CHECK(connect(sender, (struct sockaddr *)&name, size) == 0);
    CHECK(connect(second, (struct sockaddr *)&name, size) == 0);
    printf("datagrams: %d,", can_write(sender));
    fill(sender, data, sizeof(data));
    fill(second, data,
         sizeof(data)); /* its own buffer may be what is full, as the host is set up */
    printf(" %d and %d when full,", can_write(sender), can_write(second));
    CHECK(connect(second, (struct sockaddr *)&other, other_size) == 0);
    printf(" %d elsewhere,", can_write(second));
    CHECK(connect(second, (struct sockaddr *)&name, size) == 0);
    drain(receiver);
    printf(" %d when all are\n", can_write(sender));
    for (int by_epoll = 0; by_epoll < 2; by_epoll++) {
        fill(sender, data, sizeof(data));
        told_of_room(sender, by_epoll, drain, receiver, "room for datagrams");
    }
    fill(sender, data, sizeof(data));
    fill(second, data, sizeof(data));
    CHECK(!can_write(second));
    close(second); /* while it waits for room */
    told_of_room(sender, true, close_it, receiver, "the receiver is gone");
    close(sender);
    close(empty);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    signal(SIGPIPE, SIG_IGN);
    backpressure();
    room_for_datagrams();
    urgent();
    who();
    cycle_of_two();
    ring(SOCK_STREAM, 20);
    ring(SOCK_DGRAM, 60);
    listener_in_its_own_queue();
    reachable();
    chain();
    too_many();
    return 0;
}
