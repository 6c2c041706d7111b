/*
 * Threads that make random calls on the same few objects: whatever comes between two steps of a call, nobody may be hurt. Nothing blocks,
 * and what single calls answer is chance. `races [SECONDS [FAMILY [SEED]]]`.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#include "guest.h"

/* linux/futex.h, which musl lacks */
enum { WAIT, WAKE, REQUEUE = 3, CMP_REQUEUE };
enum { THREADS = 6, SLOTS = 12, FIRST = 100, NAMES = 6, PAGES = 64 };
#define PAGE 4096ul

struct die {
    unsigned seed, slots;
};
static volatile bool g_over;
static struct sockaddr_in g_ports[3];
static char g_place[64];
static char *g_arena;
static uint32_t g_words[4];
static pid_t g_pid;

static unsigned throw(struct die * d, unsigned sides)
{
    d->seed = d->seed * 1103515245u + 12345u;
    return (d->seed >> 8) % sides;
}

/* One of the descriptors that all threads use. */
static int slot(struct die *d)
{
    return FIRST + (int) throw(d, d->slots);
}

/* What fd was goes into a slot. */
static void keep(struct die *d, int fd)
{
    if (fd < 0)
        return;
    dup3(fd, slot(d), O_CLOEXEC);
    close(fd);
}

static void keep_two(struct die *d, int failed, const int fds[2])
{
    if (failed)
        return;
    keep(d, fds[0]);
    keep(d, fds[1]);
}

/* ---- sockets ------------------------------------------------------------------------------------------------------ */

static void pass_descriptors(struct die *d)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(3 * sizeof(int))];
    } control;
    char byte = 'x';
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control};
    unsigned count = 1 + throw(d, 3);
    int fds[3] = {slot(d), slot(d), slot(d)};

    m.msg_controllen = CMSG_SPACE(count * sizeof(int));
    control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof(int)),
                                    .cmsg_level = SOL_SOCKET,
                                    .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.head), fds, count * sizeof(int));
    sendmsg(slot(d), &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void take_descriptors(struct die *d)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(3 * sizeof(int))];
    } control;
    char data[64];
    struct iovec v = {data, sizeof(data)};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};

    if (recvmsg(slot(d), &m, MSG_DONTWAIT | (throw(d, 4) ? 0 : MSG_PEEK)) < 0)
        return;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        int count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)), fds[3];
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof(int));
        for (int i = 0; i < count; i++)
            keep(d, fds[i]);
    }
}

static void socket_turn(struct die *d)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const struct sockaddr *port = (struct sockaddr *)&g_ports[throw(d, 3)];
    socklen_t size = sizeof(g_ports[0]), name_size = offsetof(struct sockaddr_un, sun_path) + 16;
    char data[4096] = "";
    int pair[2], on = (int) throw(d, 2), n = 0;

    snprintf(name.sun_path + 1, 16, "races%d.%u", (int)g_pid % 100000, throw(d, 3));
    switch (throw(d, 22)) {
    case 0:
        keep(d, socket(AF_INET, types[throw(d, 2)] | SOCK_NONBLOCK, 0));
        break;
    case 1:
        keep(d, socket(AF_UNIX, types[throw(d, 3)] | SOCK_NONBLOCK, 0));
        break;
    case 2:
        keep_two(d, socketpair(AF_UNIX, types[throw(d, 3)] | SOCK_NONBLOCK, 0, pair), pair);
        break;
    case 3:
        bind(slot(d), port, size);
        break;
    case 4:
        bind(slot(d), (struct sockaddr *)&name, name_size);
        break;
    case 5:
    case 6:
        listen(slot(d), (int) throw(d, 4));
        break;
    case 7:
    case 8:
        connect(slot(d), port, size);
        break;
    case 9:
        connect(slot(d), (struct sockaddr *)&name, name_size);
        break;
    case 10:
        connect(slot(d), &none, sizeof(none));
        break;
    case 11:
    case 12:
        keep(d, accept4(slot(d), NULL, NULL, SOCK_NONBLOCK));
        break;
    case 13:
        send(slot(d), data, throw(d, sizeof(data)),
             MSG_NOSIGNAL | MSG_DONTWAIT | (throw(d, 5) ? 0 : MSG_OOB));
        break;
    case 14:
        sendto(slot(d), data, throw(d, 100), MSG_NOSIGNAL | MSG_DONTWAIT, port, size);
        break;
    case 15:
        recv(slot(d), data, sizeof(data), MSG_DONTWAIT | (throw(d, 5) ? 0 : MSG_OOB));
        break;
    case 16:
        shutdown(slot(d), (int) throw(d, 3));
        break;
    case 17:
        setsockopt(slot(d), SOL_SOCKET, throw(d, 2) ? SO_REUSEPORT : SO_REUSEADDR, &on, sizeof(on));
        break;
    case 18:
        pass_descriptors(d);
        break;
    case 19:
        take_descriptors(d);
        break;
    case 20:
        ioctl(slot(d), throw(d, 2) ? FIONREAD : TIOCOUTQ, &n);
        size = sizeof(n);
        getsockopt(slot(d), SOL_SOCKET, SO_ERROR, &n, &size);
        break;
    default:
        close(slot(d));
    }
}

/* Ports of their own, to which the sockets come back from wherever they are. */
static void port_turn(struct die *d)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    const struct sockaddr *port = (struct sockaddr *)&g_ports[throw(d, 3)];
    const socklen_t size = sizeof(g_ports[0]);

    switch (throw(d, 5)) {
    case 0:
        listen(slot(d), 3);
        break;
    case 1:
        connect(slot(d), port, size);
        break;
    case 2:
        connect(slot(d), &none, sizeof(none));
        break;
    case 3:
        close(accept4(slot(d), NULL, NULL, SOCK_NONBLOCK));
        break;
    default:
        if (throw(d, 1000))
            break;
        keep(d, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        bind(slot(d), port, size);
    }
}

/* ---- pipes, events ------------------------------------------------------------------------------------------------ */

static void watch(struct die *d)
{
    static const int how[] = {EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
    struct epoll_event e = {.events = EPOLLIN | (throw(d, 2) ? EPOLLOUT : 0) |
                                      (throw(d, 2) ? EPOLLET : 0) |
                                      (throw(d, 3) ? 0 : EPOLLONESHOT)};
    epoll_ctl(slot(d), how[throw(d, 4)], slot(d), &e);
}

static void event_turn(struct die *d)
{
    const struct itimerspec soon = {{0, throw(d, 2) ? 100000 : 0}, {0, 1 + throw(d, 100000)}};
    struct epoll_event events[4];
    struct pollfd polled[3] = {
        {slot(d), POLLIN | POLLOUT, 0}, {slot(d), POLLIN, 0}, {slot(d), POLLOUT, 0}};
    uint64_t data[64] = {1};
    sigset_t none;
    int pair[2];

    sigemptyset(&none);
    switch (throw(d, 20)) {
    case 0:
        keep_two(d, pipe2(pair, O_NONBLOCK | (throw(d, 3) ? 0 : O_DIRECT)), pair);
        break;
    case 1:
        keep(d, eventfd(throw(d, 2), EFD_NONBLOCK | (throw(d, 2) ? EFD_SEMAPHORE : 0)));
        break;
    case 2:
        keep(d, timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
        break;
    case 3:
        keep(d, epoll_create1(0));
        break;
    case 4:
        keep(d, signalfd(-1, &none, SFD_NONBLOCK));
        break;
    case 5:
        keep(d, inotify_init1(IN_NONBLOCK));
        break;
    case 6:
    case 7:
    case 8:
        watch(d);
        break;
    case 9:
    case 10:
        epoll_wait(slot(d), events, 4, 0);
        break;
    case 11:
        timerfd_settime(slot(d), 0, &soon, NULL);
        break;
    case 12:
        inotify_add_watch(slot(d), g_place, IN_ALL_EVENTS);
        break;
    case 13:
        read(slot(d), data, sizeof(data));
        break;
    case 14:
        write(slot(d), data, 8 * (1 + throw(d, 8)));
        break;
    case 15:
        poll(polled, 3, 0);
        break;
    case 16:
        splice(slot(d), NULL, slot(d), NULL, 1 + throw(d, 8192), SPLICE_F_NONBLOCK);
        break;
    case 17:
        tee(slot(d), slot(d), 1 + throw(d, 8192), SPLICE_F_NONBLOCK);
        break;
    case 18:
        fcntl(slot(d), throw(d, 2) ? F_SETPIPE_SZ : F_GETPIPE_SZ, 4096 << throw(d, 6));
        break;
    default:
        if (throw(d, 3))
            close(slot(d));
        else
            dup2(slot(d), slot(d));
    }
}

/* ---- names and files ---------------------------------------------------------------------------------------------- */

static const char *some_name(struct die *d, char out[128])
{
    unsigned depth = throw(d, 3), length = (unsigned)snprintf(out, 128, "%s", g_place);
    for (unsigned i = 0; i <= depth; i++)
        length += (unsigned)snprintf(out + length, 128 - length, "/%c", 'a' + throw(d, NAMES));
    return out;
}

static void name_turn(struct die *d)
{
    char a[128], b[128], data[512];
    struct stat st;

    some_name(d, a);
    some_name(d, b);
    switch (throw(d, 19)) {
    case 0:
    case 1:
        keep(d, open(a, O_RDWR | O_CREAT | O_NONBLOCK | (throw(d, 4) ? 0 : O_TRUNC), 0600));
        break;
    case 2:
    case 3:
        mkdir(a, 0700);
        break;
    case 4:
        unlink(a);
        break;
    case 5:
        rmdir(a);
        break;
    case 6:
    case 7:
        rename(a, b);
        break;
    case 8:
        syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b,
                1 + throw(d, 2)); /* no replacing; exchanging */
        break;
    case 9:
        link(a, b);
        break;
    case 10:
        symlink(b, a);
        break;
    case 11:
        stat(a, &st);
        break;
    case 12:
        keep(d, open(a, O_RDONLY | O_DIRECTORY));
        break;
    case 13:
        syscall(SYS_getdents64, slot(d), data, sizeof(data));
        break;
    case 14:
        truncate(a, throw(d, 20000));
        break;
    case 15:
        setxattr(a, "user.one", data, throw(d, 100), 0);
        break;
    case 16:
        keep(d, open(g_place, O_RDWR | O_TMPFILE, 0600));
        break;
    case 17:
        mkfifo(a, 0600);
        break;
    default:
        linkat(slot(d), "", AT_FDCWD, b, AT_EMPTY_PATH);
    }
}

static void file_turn(struct die *d)
{
    char data[8192] = "";
    struct flock lock = {
        .l_type = (short) throw(d, 3), .l_start = throw(d, 100), .l_len = throw(d, 100)};
    struct stat st;
    char name[128];
    void *p;

    switch (throw(d, 15)) {
    case 0:
        keep(d, memfd_create("races", MFD_ALLOW_SEALING));
        break;
    case 1:
        keep(d, open(some_name(d, name), O_RDWR | O_CREAT | O_NONBLOCK, 0600));
        break;
    case 2:
        pwrite(slot(d), data, throw(d, sizeof(data)), throw(d, 100000));
        break;
    case 3:
        pread(slot(d), data, throw(d, sizeof(data)), throw(d, 100000));
        break;
    case 4:
        ftruncate(slot(d), throw(d, 100000));
        break;
    case 5:
        fallocate(slot(d), (int) throw(d, 4), throw(d, 100000), 1 + throw(d, 100000));
        break;
    case 6: /* written by the kernel, which minds no truncation */
        p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, throw(d, 2) ? MAP_SHARED : MAP_PRIVATE,
                 slot(d), 0);
        if (p == MAP_FAILED)
            break;
        pread(slot(d), p, 2 * PAGE, 0);
        pwrite(slot(d), p, 3 * PAGE, throw(d, 1000));
        msync(p, 4 * PAGE, MS_SYNC);
        munmap(p, 4 * PAGE);
        break;
    case 7:
        flock(slot(d), LOCK_NB | (throw(d, 2) ? LOCK_EX : throw(d, 2) ? LOCK_SH : LOCK_UN));
        break;
    case 8:
        fcntl(slot(d), throw(d, 2) ? F_SETLK : F_OFD_SETLK, &lock);
        break;
    case 9:
        copy_file_range(slot(d), NULL, slot(d), NULL, throw(d, 20000), 0);
        break;
    case 10:
        sendfile(slot(d), slot(d), NULL, throw(d, 20000));
        break;
    case 11:
        lseek(slot(d), throw(d, 100000), (int) throw(d, 5));
        break;
    case 12:
        fstat(slot(d), &st);
        break;
    case 13:
        fsync(slot(d));
        break;
    default:
        close(slot(d));
    }
}

/* ---- memory ------------------------------------------------------------------------------------------------------- */

/* All of the arena may be gone at any time: only the kernel touches it. */
static void memory_turn(struct die *d)
{
    char *p = g_arena + throw(d, PAGES) * PAGE;
    size_t size = (1 + throw(d, PAGES / 4)) * PAGE;
    char *to = g_arena + throw(d, PAGES) * PAGE;
    static const int advice[] = {MADV_DONTNEED, MADV_WILLNEED, MADV_FREE, MADV_DONTFORK,
                                 MADV_DOFORK,   MADV_HUGEPAGE, 23 /* MADV_POPULATE_WRITE */};
    unsigned char resident[PAGES / 4];
    int prot = (int) throw(d, 4);
    struct iovec here = {p, size}, there = {to, size};

    if (p + size > g_arena + PAGES * PAGE || to + size > g_arena + PAGES * PAGE)
        return;
    switch (throw(d, 14)) {
    case 0:
    case 1:
        mmap(p, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        break;
    case 2:
        mmap(p, size, prot, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        break;
    case 3:
        mmap(p, size, prot, MAP_SHARED | MAP_FIXED, slot(d), 0);
        break;
    case 4:
        munmap(p, size);
        break;
    case 5:
    case 6:
        mprotect(p, size, prot);
        break;
    case 7:
        mremap(p, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to);
        break;
    case 8:
        madvise(p, size, advice[throw(d, sizeof(advice) / sizeof(advice[0]))]);
        break;
    case 9:
        mincore(p, size, resident);
        break;
    case 10:
        process_vm_readv(g_pid, &here, 1, &there, 1, 0);
        break;
    case 11:
        if (throw(d, 2))
            mlock(p, size);
        else
            munlock(p, size);
        break;
    case 12:
        pread(slot(d), p, size, 0);
        break;
    default:
        if (throw(d, 10) == 0)
            keep(d, memfd_create("races", 0));
        else
            ftruncate(slot(d), (off_t)(throw(d, 20) * PAGE));
    }
}

/* ---- processes, signals, futexes ---------------------------------------------------------------------------------- */

static void child_turn(struct die *d)
{
    pid_t pid = (pid_t)syscall(
        SYS_clone, SIGCHLD | (throw(d, 3) ? 0 : CLONE_FILES) | (throw(d, 3) ? 0 : CLONE_FS), 0, 0,
        0, 0);
    if (pid == 0) {
        if (throw(d, 2))
            kill(getpid(), SIGKILL);
        syscall(SYS_exit_group, 3);
    }
    if (pid < 0)
        return;
    if (throw(d, 2))
        kill(pid, SIGTERM);
    if (throw(d, 2))
        keep(d, (int)syscall(SYS_pidfd_open, pid, 0));
    if (throw(d, 3) == 0)
        setpgid(pid, pid);
    waitpid(pid, NULL, 0);
}

static void process_turn(struct die *d)
{
    const struct timespec soon = {0, throw(d, 100000)};
    const struct itimerspec setting = {{0, throw(d, 2) ? 50000 : 0}, {0, 1 + throw(d, 100000)}};
    struct sigevent event = {.sigev_notify = throw(d, 2) ? SIGEV_SIGNAL : SIGEV_NONE,
                             .sigev_signo = SIGRTMIN};
    uint32_t *word = &g_words[throw(d, 4)], *other = &g_words[throw(d, 4)];
    static timer_t timers[4];
    unsigned i = throw(d, 4);

    switch (throw(d, 12)) {
    case 0:
        child_turn(d);
        break;
    case 1:
        syscall(SYS_futex, word, WAIT, *word, &soon, NULL, 0);
        break;
    case 2:
        __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
        syscall(SYS_futex, word, WAKE, 2, NULL, NULL, 0);
        break;
    case 3:
        syscall(SYS_futex, word, REQUEUE, 1, 3, other, 0);
        break;
    case 4:
        syscall(SYS_futex, word, CMP_REQUEUE, 1, 3, other, *word);
        break;
    case 5:
        timer_create(CLOCK_MONOTONIC, &event, &timers[i]);
        break;
    case 6:
        timer_settime(timers[i], 0, &setting, NULL);
        break;
    case 7:
        timer_delete(timers[i]);
        break;
    case 8:
        kill(g_pid, SIGUSR1);
        break;
    case 9:
        syscall(SYS_tgkill, g_pid, (pid_t)syscall(SYS_gettid), SIGUSR2);
        break;
    case 10:
        sched_yield();
        break;
    default:
        close(slot(d));
    }
}

/* ------------------------------------------------------------------------------------------------------------------- */

static const struct family {
    const char *name;
    unsigned slots;
    void (*turn[3])(struct die *);
} g_families[] = {
    {"ports", 2, {port_turn}},
    {"sockets", SLOTS, {socket_turn}},
    {"events", SLOTS, {event_turn, event_turn, socket_turn}},
    {"names", SLOTS, {name_turn}},
    {"files", SLOTS, {file_turn, file_turn, name_turn}},
    {"memory", SLOTS, {memory_turn}},
    {"processes", SLOTS, {process_turn, event_turn}},
};

struct thrower {
    const struct family *family;
    struct die die;
};

static void *run(void *arg)
{
    struct thrower *t = arg;
    while (!g_over)
        for (unsigned i = 0; i < 3 && t->family->turn[i]; i++)
            t->family->turn[i](&t->die);
    return NULL;
}

static void ignore(int sig)
{
    (void)sig;
}

static void race(const struct family *family, unsigned milliseconds, unsigned seed)
{
    struct thrower throwers[THREADS];
    pthread_t threads[THREADS];

    g_over = false;
    for (unsigned i = 0; i < THREADS; i++) {
        throwers[i] = (struct thrower){family, {seed * THREADS + i, family->slots}};
        CHECK(pthread_create(&threads[i], NULL, run, &throwers[i]) == 0);
    }
    usleep(milliseconds * 1000);
    g_over = true;
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < SLOTS; i++)
        close(FIRST + i);
    printf("%s\n", family->name);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 0.25;
    unsigned seed = argc > 3 ? (unsigned)atoi(argv[3]) : 1;

    setvbuf(stdout, NULL, _IOLBF, 0);
    g_pid = getpid();
    snprintf(g_place, sizeof(g_place), "/var/tmp/races.XXXXXX");
    CHECK(mkdtemp(g_place));
    /* A page on either side stays, or what a thread unmaps could become part of another's new stack. */
    g_arena = mmap(NULL, (PAGES + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(g_arena != MAP_FAILED);
    g_arena += PAGE;
    signal(SIGUSR1, ignore);
    signal(SIGUSR2, ignore);
    signal(SIGRTMIN, ignore);
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < 3; i++) {
        socklen_t size = sizeof(g_ports[i]);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        g_ports[i] =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        CHECK(bind(fd, (struct sockaddr *)&g_ports[i], size) == 0);
        CHECK(getsockname(fd, (struct sockaddr *)&g_ports[i], &size) == 0);
        close(fd);
    }
    for (unsigned i = 0; i < sizeof(g_families) / sizeof(g_families[0]); i++)
        if (argc < 3 || !strcmp(argv[2], "all") || !strcmp(argv[2], g_families[i].name))
            race(&g_families[i], (unsigned)(seconds * 1000), seed);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", g_place);
    CHECK(system(command) == 0);
    return 0;
}
