/* Corners of epoll, eventfd, timerfd, signalfd, poll and select, one at a time. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "show.h"

#define SECOND 1000000000L
#ifndef EPOLLEXCLUSIVE
#define EPOLLEXCLUSIVE (1U << 28)
#endif

static long long nanoseconds(clockid_t clock)
{
    struct timespec t;
    CHECK(clock_gettime(clock, &t) == 0);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int control(int ep, int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event e = {.events = events, .data.u64 = data};
    return epoll_ctl(ep, op, fd, &e);
}

static int add(int ep, int fd, uint32_t events, uint64_t data)
{
    return control(ep, EPOLL_CTL_ADD, fd, events, data);
}

static int compare(const void *a, const void *b)
{
    const struct epoll_event *x = a, *y = b;
    return (x->data.u64 > y->data.u64) - (x->data.u64 < y->data.u64);
}

/* The order of several is not fixed. */
static void look(const char *what, int ep, int timeout)
{
    struct epoll_event e[8];
    int n = epoll_wait(ep, e, 8, timeout);

    printf("  %s: %d", what, n);
    if (n > 0)
        qsort(e, (size_t)n, sizeof(*e), compare);
    for (int i = 0; i < n; i++)
        printf(" %llu:%x", (unsigned long long)e[i].data.u64, e[i].events);
    printf("\n");
}

static short revents(int fd, short events, int timeout)
{
    struct pollfd p = {.fd = fd, .events = events};
    CHECK(poll(&p, 1, timeout) >= 0);
    return p.revents;
}

static void edges_of_pipes(void)
{
    int p[2], ep = epoll_create1(0);
    char data[8];

    CHECK(pipe2(p, O_NONBLOCK) == 0);
    SHOW(add(ep, p[0], EPOLLIN | EPOLLET, 1));
    SHOW(add(ep, p[1], EPOLLOUT | EPOLLET, 2));
    look("fresh", ep, 0);
    look("again", ep, 0);
    CHECK(write(p[1], "abc", 3) == 3);
    look("written", ep, 0);
    CHECK(read(p[0], data, 1) == 1);
    look("partly read", ep, 0);
    CHECK(read(p[0], data, 8) == 2);
    CHECK(write(p[1], "d", 1) == 1);
    CHECK(write(p[1], "e", 1) == 1);
    look("written twice", ep, 0);
    look("once told", ep, 0);
    SHOW(control(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 3));
    look("modified", ep, 0);
    close(p[1]);
    look("closed", ep, 0);
    look("closed, again", ep, 0);
    close(p[0]);
    close(ep);
}

static void edges_of_sockets(void)
{
    int s[2], ep = epoll_create1(0);
    char data[8];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
    SHOW(add(ep, s[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 1));
    look("fresh", ep, 0);
    look("again", ep, 0);
    CHECK(send(s[1], "ab", 2, 0) == 2);
    look("sent", ep, 0);
    CHECK(recv(s[0], data, 1, MSG_PEEK) == 1);
    look("peeked", ep, 0);
    CHECK(recv(s[0], data, 8, 0) == 2);
    SHOW(shutdown(s[1], SHUT_WR));
    look("shut", ep, 0);
    look("shut, again", ep, 0);
    SHOW(control(ep, EPOLL_CTL_MOD, s[0], EPOLLIN | EPOLLRDHUP, 2));
    look("level", ep, 0);
    close(s[1]);
    look("hung up", ep, 0);
    SHOW(control(ep, EPOLL_CTL_MOD, s[0], 0, 3));
    look("errors only", ep, 0);
    close(s[0]);
    close(ep);
}

static void edges_of_counters(void)
{
    int fd = eventfd(0, EFD_NONBLOCK), ep = epoll_create1(0);
    uint64_t v = 1;

    SHOW(add(ep, fd, EPOLLIN | EPOLLET, 1));
    look("zero", ep, 0);
    CHECK(write(fd, &v, 8) == 8);
    look("one", ep, 0);
    look("again", ep, 0);
    CHECK(write(fd, &v, 8) == 8);
    look("two", ep, 0);
    CHECK(read(fd, &v, 8) == 8);
    printf("  read %llu\n", (unsigned long long)v);
    look("read", ep, 0);
    v = 0;
    SHOW(write(fd, &v, 8));
    look("zero written", ep, 0);
    close(fd);
    close(ep);
}

static void one_shots(void)
{
    int p[2], ep = epoll_create1(0);

    CHECK(pipe(p) == 0 && write(p[1], "x", 1) == 1);
    SHOW(add(ep, p[0], EPOLLIN | EPOLLONESHOT | EPOLLET, 1));
    look("armed", ep, 0);
    CHECK(write(p[1], "y", 1) == 1);
    look("spent", ep, 0);
    close(p[1]);
    look("spent, hung up", ep, 0);
    SHOW(add(ep, p[0], EPOLLIN, 2));
    SHOW(control(ep, EPOLL_CTL_MOD, p[0], EPOLLONESHOT, 3));
    look("hung up", ep, 0);
    look("spent", ep, 0);
    SHOW(control(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 4));
    look("armed again", ep, 0);
    SHOW(control(ep, EPOLL_CTL_DEL, p[0], 0, 0));
    SHOW(control(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 5));
    close(p[0]);
    close(ep);
}

static void exclusive_entries(void)
{
    int p[2], ep = epoll_create1(0), other = epoll_create1(0);

    CHECK(pipe(p) == 0);
    SHOW(add(ep, p[0], EPOLLIN | EPOLLEXCLUSIVE, 1));
    SHOW(add(other, p[0], EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, 2));
    SHOW(control(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 1));
    SHOW(control(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLEXCLUSIVE, 1));
    SHOW(add(ep, p[1], EPOLLOUT | EPOLLEXCLUSIVE | EPOLLONESHOT, 3));
    SHOW(add(ep, p[1], EPOLLOUT | EPOLLEXCLUSIVE | EPOLLRDHUP, 3));
    SHOW(add(ep, other, EPOLLIN | EPOLLEXCLUSIVE, 4));
    SHOW(add(ep, p[1], EPOLLOUT | EPOLLWAKEUP | EPOLLEXCLUSIVE, 5));
    CHECK(write(p[1], "x", 1) == 1);
    look("one", ep, 0);
    look("other", other, 0);
    SHOW(control(ep, EPOLL_CTL_DEL, p[0], 0, 0));
    close(p[0]);
    close(p[1]);
    close(other);
    close(ep);
}

static void entries_and_duplicates(void)
{
    int p[2], ep = epoll_create1(0);

    CHECK(pipe(p) == 0 && write(p[1], "x", 1) == 1);
    int copy = dup(p[0]);
    SHOW(add(ep, p[0], EPOLLIN, 1));
    SHOW(add(ep, copy, EPOLLIN, 2));
    look("both", ep, 0);
    close(copy);
    look("copy closed", ep, 0);
    SHOW(control(ep, EPOLL_CTL_DEL, copy, 0, 0));
    CHECK(dup2(p[0], copy) == copy);
    SHOW(control(ep, EPOLL_CTL_MOD, copy, EPOLLIN, 3));
    look("same number again", ep, 0);
    SHOW(control(ep, EPOLL_CTL_DEL, p[0], 0, 0));
    SHOW(control(ep, EPOLL_CTL_DEL, copy, 0, 0));
    look("none", ep, 0);
    int twin = dup(ep);
    SHOW(add(twin, p[0], EPOLLIN, 4));
    SHOW(add(ep, p[0], EPOLLIN, 4));
    SHOW(add(ep, twin, EPOLLIN, 5));
    look("by the twin", twin, 0);
    close(p[0]);
    close(p[1]);
    close(copy);
    close(twin);
    close(ep);
}

/* Only so many may stand in one another: five on the longest way. */
static void nested_sets(void)
{
    int ep[8], p[2], i;

    CHECK(pipe(p) == 0);
    for (i = 0; i < 8; i++)
        ep[i] = epoll_create1(0);
    SHOW(add(ep[0], p[0], EPOLLIN, 7));
    for (i = 1; i < 8; i++) {
        printf("depth %d: ", i);
        SHOW(add(ep[i], ep[i - 1], EPOLLIN, (uint64_t)i));
    }
    SHOW(add(ep[0], ep[3], EPOLLIN, 1));
    SHOW(add(ep[0], ep[1], EPOLLIN, 1));
    look("empty", ep[3], 0);
    CHECK(write(p[1], "x", 1) == 1);
    for (i = 0; i < 4; i++)
        look("ready", ep[i], 0);
    SHOW(revents(ep[3], POLLIN | POLLOUT, 0));
    SHOW(control(ep[2], EPOLL_CTL_DEL, ep[1], 0, 0));
    look("cut", ep[3], 0);
    SHOW(add(ep[0], ep[3], EPOLLIN, 9));
    for (i = 0; i < 8; i++)
        close(ep[i]);
    close(p[0]);
    close(p[1]);
}

static void sizes_of_waits(void)
{
    int p[2], copies[3], ep = epoll_create1(0), i;
    struct epoll_event e[4];
    struct timespec none = {0, 0}, bad = {0, SECOND}, negative = {-1, 0};

    CHECK(pipe(p) == 0 && write(p[1], "x", 1) == 1);
    for (i = 0; i < 3; i++) {
        copies[i] = dup(p[0]);
        CHECK(add(ep, copies[i], EPOLLIN, (uint64_t)i) == 0);
    }
    uint64_t seen = 0;
    for (i = 0; i < 6; i++) { /* in turn: none is left out */
        CHECK(epoll_wait(ep, e, 1, 0) == 1);
        seen |= 1ULL << e[0].data.u64;
    }
    printf("seen %llx\n", (unsigned long long)seen);
    SHOW(epoll_wait(ep, e, 4, -1));
    SHOW(epoll_wait(ep, e, 0, 0));
    SHOW(epoll_wait(ep, e, -1, 0));
    SHOW(epoll_wait(ep, e, INT_MAX / (int)sizeof(*e) + 1, 0));
    SHOW(epoll_wait(-1, e, 1, 0));
    SHOW(epoll_pwait(ep, e, 4, 0, NULL));
    SHOW(syscall(SYS_epoll_pwait, ep, e, 4, 0, &(sigset_t){0}, 7));
#ifdef SYS_epoll_pwait2
    SHOW(syscall(SYS_epoll_pwait2, ep, e, 4, &none, NULL, 0));
    SHOW(syscall(SYS_epoll_pwait2, ep, e, 4, &bad, NULL, 0));
    SHOW(syscall(SYS_epoll_pwait2, ep, e, 4, &negative, NULL, 0));
    SHOW(syscall(SYS_epoll_pwait2, ep, e, 4, NULL, NULL, 0));
#endif
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], NULL));
    SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL));
    SHOW(epoll_ctl(ep, 0, p[0], NULL));
    SHOW(read(ep, e, sizeof(*e)));
    SHOW(write(ep, e, sizeof(*e)));
    SHOW(lseek(ep, 0, SEEK_SET));
    for (i = 0; i < 3; i++)
        close(copies[i]);
    close(p[0]);
    close(p[1]);
    close(ep);
}

struct waiter {
    int ep;
    int told;
};

static void *wait_once(void *arg)
{
    struct waiter *w = arg;
    struct epoll_event e;
    w->told = epoll_wait(w->ep, &e, 1, 60000);
    return NULL;
}

/* An edge wakes one of those that wait on one set; every one of several sets is told. */
static void several_waiters(void)
{
    int fd = eventfd(0, EFD_NONBLOCK), sets[3];
    uint64_t one = 1;
    struct waiter w[3];
    pthread_t t[3];

    for (int i = 0; i < 3; i++) {
        sets[i] = epoll_create1(0);
        CHECK(add(sets[i], fd, EPOLLIN, 1) == 0);
        w[i].ep = sets[i];
        CHECK(pthread_create(&t[i], NULL, wait_once, &w[i]) == 0);
    }
    usleep(20000);
    CHECK(write(fd, &one, 8) == 8);
    for (int i = 0; i < 3; i++) {
        CHECK(pthread_join(t[i], NULL) == 0);
        printf("set %d told %d\n", i, w[i].told);
    }
    CHECK(read(fd, &one, 8) == 8);
    CHECK(control(sets[0], EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET, 1) == 0);
    for (int i = 0; i < 3; i++) {
        w[i].ep = sets[0];
        CHECK(pthread_create(&t[i], NULL, wait_once, &w[i]) == 0);
    }
    int told = 0;
    for (int i = 0; i < 3; i++) { /* one edge each */
        usleep(20000);
        CHECK(write(fd, &one, 8) == 8);
    }
    for (int i = 0; i < 3; i++) {
        while (pthread_tryjoin_np(t[i], NULL) != 0) {
            CHECK(write(fd, &one, 8) == 8); /* two edges may meet before a waiter looks */
            usleep(20000);
        }
        told += w[i].told;
    }
    printf("told %d\n", told);
    for (int i = 0; i < 3; i++)
        close(sets[i]);
    close(fd);
}

static void *drain(void *arg)
{
    uint64_t v;
    usleep(30000);
    CHECK(read(*(int *)arg, &v, 8) == 8);
    return NULL;
}

static void full_counters(void)
{
    uint64_t v = UINT64_MAX - 1;
    int fd = eventfd(0, 0);
    pthread_t t;

    SHOW(revents(fd, POLLIN | POLLOUT, 0));
    SHOW(write(fd, &v, 8));
    SHOW(revents(fd, POLLIN | POLLOUT, 0));
    CHECK(pthread_create(&t, NULL, drain, &fd) == 0);
    v = 2;
    SHOW(write(fd, &v, 8)); /* waits until there is room */
    pthread_join(t, NULL);
    SHOW(read(fd, &v, 8));
    printf("value %llu\n", (unsigned long long)v);
    v = UINT64_MAX;
    SHOW(write(fd, &v, 8));
    SHOW(write(fd, &v, 4));
    SHOW(read(fd, &v, 4));
    SHOW(pread(fd, &v, 8, 0));
    SHOW(lseek(fd, 0, SEEK_SET));
    v = 7;
    SHOW(write(fd, &v, 16 - 8));
    uint64_t two[2] = {0, 9};
    SHOW(read(fd, two, 16));
    printf("values %llu %llu\n", (unsigned long long)two[0], (unsigned long long)two[1]);
    SHOW(write(fd, (void *)8, 8));
    SHOW(ftruncate(fd, 0));
    close(fd);
}

static void semaphores(void)
{
    uint64_t v = 3;
    int fd = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK), got = 0;

    CHECK(write(fd, &v, 8) == 8);
    for (int i = 0; i < 4; i++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0)
            _exit(read(fd, &v, 8) == 8 && v == 1 ? 0 : errno == EAGAIN ? 1 : 2);
        int status;
        CHECK(waitpid(pid, &status, 0) == pid);
        got += WEXITSTATUS(status) == 0;
        printf("child %d: %d\n", i, WEXITSTATUS(status));
    }
    printf("got %d\n", got);
    SHOW(revents(fd, POLLIN | POLLOUT, 0));
    close(fd);
}

static void alarms_by_the_clock(void)
{
    uint64_t ticks = 0;
    struct itimerspec t = {.it_value = {1, 0}}, left;
    int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);

    SHOW(timerfd_settime(fd, TFD_TIMER_ABSTIME, &t, NULL)); /* long past */
    SHOW(revents(fd, POLLIN, 10000));
    SHOW(read(fd, &ticks, 8));
    printf("ticks %llu\n", (unsigned long long)ticks);
    SHOW(read(fd, &ticks, 8));
    SHOW(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &t, NULL));
    SHOW(revents(fd, POLLIN, 10000));
    SHOW(timerfd_settime(fd, TFD_TIMER_CANCEL_ON_SET, &t, NULL));
    SHOW(timerfd_settime(fd, 4, &t, NULL));
    t.it_value.tv_nsec = SECOND;
    SHOW(timerfd_settime(fd, 0, &t, NULL));
    t.it_value.tv_nsec = -1;
    SHOW(timerfd_settime(fd, 0, &t, NULL));
    t.it_value = (struct timespec){-1, 0};
    SHOW(timerfd_settime(fd, 0, &t, NULL));
    t.it_value = (struct timespec){1000, 0};
    t.it_interval.tv_nsec = SECOND;
    SHOW(timerfd_settime(fd, 0, &t, NULL));
    t.it_interval = (struct timespec){7, 5};
    long long until = nanoseconds(CLOCK_REALTIME) / SECOND + 2000;
    t.it_value = (struct timespec){until, 0};
    SHOW(timerfd_settime(fd, TFD_TIMER_ABSTIME, &t, NULL));
    SHOW(timerfd_gettime(fd, &left));
    printf("left %d, interval %ld.%ld\n",
           left.it_value.tv_sec > 1800 && left.it_value.tv_sec <= 2000,
           (long)left.it_interval.tv_sec, left.it_interval.tv_nsec);
    t = (struct itimerspec){0};
    SHOW(timerfd_settime(fd, 0, &t, &left));
    printf("old %d, interval %ld.%ld\n", left.it_value.tv_sec > 1800, (long)left.it_interval.tv_sec,
           left.it_interval.tv_nsec);
    SHOW(timerfd_gettime(fd, &left));
    printf("disarmed %ld %ld, interval %ld\n", (long)left.it_value.tv_sec, left.it_value.tv_nsec,
           (long)left.it_interval.tv_sec);
    SHOW(revents(fd, POLLIN, 0));
    SHOW(timerfd_settime(fd, 0, NULL, NULL));
    SHOW(timerfd_gettime(fd, NULL));
    SHOW(timerfd_create(CLOCK_MONOTONIC, 1));
    SHOW(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
    SHOW(timerfd_gettime(STDOUT_FILENO, &left));
    SHOW(timerfd_gettime(-1, &left));
    close(fd);
}

static void ticks_that_gather(void)
{
    uint64_t ticks = 0, more = 0;
    struct itimerspec t = {.it_value = {0, 1}, .it_interval = {0, 10000000}}, left;
    int fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK);

    long long start = nanoseconds(CLOCK_BOOTTIME);
    CHECK(timerfd_settime(fd, 0, &t, NULL) == 0);
    usleep(55000);
    SHOW(read(fd, &ticks, 8));
    long long most = (nanoseconds(CLOCK_BOOTTIME) - start) / 10000000 + 1;
    printf("as many as passed %d\n", ticks >= 6 && (long long)ticks <= most);
    CHECK(timerfd_gettime(fd, &left) == 0);
    printf("the next within %d\n", left.it_value.tv_sec == 0 && left.it_value.tv_nsec >= 0 &&
                                       left.it_value.tv_nsec <= 10000000);
    SHOW(read(fd, &ticks, 7));
    SHOW(revents(fd, POLLIN, 10000));
    SHOW(read(fd, (void *)8, 8));
    t.it_interval.tv_nsec = 0;
    t.it_value.tv_nsec = 1;
    CHECK(timerfd_settime(fd, 0, &t, NULL) == 0);
    SHOW(revents(fd, POLLIN, 10000));
    int copy = dup(fd);
    SHOW(read(copy, &more, 8));
    printf("ticks %llu\n", (unsigned long long)more);
    SHOW(read(fd, &more, 8));
    SHOW(write(fd, &more, 8));
    close(copy);
    close(fd);
}

/* Set anew while it is due: what was due is forgotten. */
static void timers_set_anew(void)
{
    uint64_t ticks;
    struct itimerspec soon = {.it_value = {0, 1}}, late = {.it_value = {1000, 0}};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), ep = epoll_create1(0);

    CHECK(add(ep, fd, EPOLLIN | EPOLLET, 1) == 0);
    CHECK(timerfd_settime(fd, 0, &soon, NULL) == 0);
    look("due", ep, 10000);
    look("told", ep, 0);
    SHOW(timerfd_settime(fd, 0, &late, NULL));
    SHOW(revents(fd, POLLIN, 0));
    SHOW(read(fd, &ticks, 8));
    CHECK(timerfd_settime(fd, 0, &soon, NULL) == 0);
    look("due again", ep, 10000);
    SHOW(timerfd_settime(fd, 0, &(struct itimerspec){0}, NULL));
    SHOW(read(fd, &ticks, 8));
    look("never", ep, 0);
    fflush(stdout);
    CHECK(timerfd_settime(fd, 0, &soon, NULL) == 0 && revents(fd, POLLIN, 10000) == POLLIN);
    if (fork() == 0) /* it is one timer for both */
        _exit(read(fd, &ticks, 8) == 8 ? 0 : 1);
    int status;
    wait(&status);
    printf("child %d\n", status);
    SHOW(read(fd, &ticks, 8));
    close(fd);
    close(ep);
}

static void signals_read(void)
{
    sigset_t set, other;
    struct signalfd_siginfo info[4];
    int fd, second, ep = epoll_create1(0);

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_NONBLOCK);
    sigemptyset(&other);
    sigaddset(&other, SIGUSR2);
    second = signalfd(-1, &other, SFD_NONBLOCK);
    sigprocmask(SIG_BLOCK, &other, NULL);
    CHECK(fd >= 0 && second >= 0 && add(ep, fd, EPOLLIN, 1) == 0 &&
          add(ep, second, EPOLLIN, 2) == 0);
    SHOW(read(fd, info, sizeof(*info)));
    SHOW(read(fd, info, sizeof(*info) - 1));
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 11});
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 22});
    look("pending", ep, 0);
    SHOW(read(second, info, sizeof(info)));
    SHOW(read(fd, info, sizeof(info) - 1) / (long)sizeof(*info));
    for (int i = 0; i < 3; i++)
        printf("signal %d code %d value %d mine %d\n", (int)info[i].ssi_signo, info[i].ssi_code,
               info[i].ssi_int, (pid_t)info[i].ssi_pid == getpid());
    look("read", ep, 0);
    raise(SIGUSR2);
    look("other", ep, 0);
    SHOW(signalfd(fd, &other, 0)); /* the same descriptor, another set */
    SHOW(read(fd, info, sizeof(info)) / (long)sizeof(*info));
    printf("signal %d code %d\n", (int)info[0].ssi_signo, info[0].ssi_code);
    SHOW(read(second, info, sizeof(info)));
    SHOW(signalfd(ep, &other, 0));
    SHOW(signalfd(-1, &other, 1));
    SHOW(syscall(SYS_signalfd4, -1, &other, 4, 0));
    SHOW(signalfd(999, &other, 0));
    SHOW(write(fd, info, sizeof(*info)));
    close(fd);
    close(second);
    close(ep);
}

static void *read_signal(void *arg)
{
    struct signalfd_siginfo info;
    CHECK(read(*(int *)arg, &info, sizeof(info)) == sizeof(info));
    return (void *)(uintptr_t)info.ssi_signo;
}

/* What is sent to one thread is for that thread's reads; a child reads its own signals. */
static void signals_of_threads(void)
{
    struct signalfd_siginfo info;
    sigset_t set;
    pthread_t t[2];
    void *sig[2];

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&t[i], NULL, read_signal, &fd) == 0);
    usleep(20000);
    CHECK(pthread_kill(t[0], SIGUSR1) == 0 && pthread_kill(t[1], SIGUSR2) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_join(t[i], &sig[i]) == 0);
        printf("thread %d: signal %d\n", i, (int)(uintptr_t)sig[i]);
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    raise(SIGUSR1);
    fflush(stdout);
    if (fork() == 0) {
        CHECK(read(fd, &info, sizeof(info)) == -1 && errno == EAGAIN);
        raise(SIGUSR2);
        CHECK(read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR2);
        _exit(0);
    }
    int status;
    wait(&status);
    printf("child %d\n", status);
    SHOW(read(fd, &info, sizeof(info)));
    printf("signal %d\n", (int)info.ssi_signo);
    close(fd);
}

static void limits_of_poll(void)
{
    struct pollfd p[4] = {{.fd = -1, .events = POLLIN, .revents = 77},
                          {.fd = -5, .revents = 77},
                          {.fd = 999, .events = 0},
                          {.fd = STDOUT_FILENO, .events = 0}};
    struct timespec bad = {0, SECOND}, negative = {-1, 0}, none = {0, 0};
    struct rlimit old, few;
    int null = open("/dev/null", O_RDWR), dir = open("/", O_RDONLY);

    SHOW(poll(p, 2, 0));
    printf("revents %d %d\n", p[0].revents, p[1].revents);
    SHOW(poll(p, 3, -1));
    printf("revents %d %d %d\n", p[0].revents, p[1].revents, p[2].revents);
    SHOW(poll(NULL, 0, 0));
    SHOW(poll((struct pollfd *)8, 1, 0));
    SHOW(ppoll(p, 1, &bad, NULL));
    SHOW(ppoll(p, 1, &negative, NULL));
    SHOW(ppoll(p, 1, &none, NULL));
    SHOW(syscall(SYS_ppoll, p, 1, &none, &(sigset_t){0}, 7));
    SHOW(revents(null, POLLIN | POLLOUT | POLLPRI, 0));
    SHOW(revents(null, POLLRDNORM | POLLWRNORM | POLLRDBAND, 0));
    SHOW(revents(dir, POLLIN | POLLOUT, 0));
    SHOW(revents(open("/", O_PATH), POLLIN | POLLOUT, 0));
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    few = old;
    few.rlim_cur = 3;
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    SHOW(poll(p, 3, 0));
    SHOW(poll(p, 4, 0));
    SHOW(epoll_create1(0));
    SHOW(eventfd(0, 0));
    SHOW(timerfd_create(CLOCK_MONOTONIC, 0));
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    close(null);
    close(dir);
}

static void limits_of_select(void)
{
    fd_set in, out, err;
    struct timeval tv = {0, 0}, bad = {0, -1};
    int p[2], s[2];

    CHECK(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&err);
    SHOW(select(0, NULL, NULL, NULL, &tv));
    SHOW(select(-1, NULL, NULL, NULL, &tv));
    SHOW(select(0, NULL, NULL, NULL, &bad));
    FD_SET(p[0], &in), FD_SET(p[1], &out), FD_SET(s[0], &in), FD_SET(s[0], &out);
    SHOW(select(s[1] + 1, &in, &out, &err, &tv));
    printf("in %d %d out %d %d\n", !!FD_ISSET(p[0], &in), !!FD_ISSET(s[0], &in),
           !!FD_ISSET(p[1], &out), !!FD_ISSET(s[0], &out));
    CHECK(write(p[1], "x", 1) == 1 && write(s[1], "y", 1) == 1);
    FD_SET(p[0], &in), FD_SET(s[0], &in), FD_SET(p[0], &err);
    SHOW(select(s[1] + 1, &in, &out, &err, NULL));
    printf("in %d %d err %d\n", !!FD_ISSET(p[0], &in), !!FD_ISSET(s[0], &in),
           !!FD_ISSET(p[0], &err));
    int gone = dup(p[0]);
    close(gone);
    FD_ZERO(&in);
    FD_SET(gone, &in);
    SHOW(select(gone + 1, &in, NULL, NULL, &tv));
    printf("kept %d\n", !!FD_ISSET(gone, &in));
    FD_ZERO(&in);
    FD_SET(p[0], &in); /* below the highest to look at */
    SHOW(select(p[0], &in, NULL, NULL, &tv));
    SHOW(select(p[0] + 1, (fd_set *)8, NULL, NULL, &tv));
    tv = (struct timeval){1000, 0};
    FD_SET(p[0], &in);
    SHOW(select(p[0] + 1, &in, NULL, NULL, &tv));
    printf("time left %d\n", tv.tv_sec >= 900 && tv.tv_sec <= 1000);
    close(p[1]);
    CHECK(read(p[0], &(char){0}, 1) == 1);
    FD_SET(p[0], &in), FD_SET(p[0], &err);
    SHOW(select(p[0] + 1, &in, NULL, &err, NULL));
    printf("at the end: in %d err %d\n", !!FD_ISSET(p[0], &in), !!FD_ISSET(p[0], &err));
    struct timespec late = {0, SECOND};
    SHOW(pselect(0, NULL, NULL, NULL, &late, NULL));
    close(p[0]);
    close(s[0]);
    close(s[1]);
}

static volatile sig_atomic_t g_handled;

static void on_signal(int sig)
{
    g_handled = sig;
}

/* A mask for the wait alone: what is pending and let through comes first, and the old mask is back. */
static void masks_of_waits(void)
{
    sigset_t set, none, now;
    struct timespec long_time = {20, 0};
    struct epoll_event e;
    struct pollfd p = {.fd = -1};
    int ep = epoll_create1(0), fd = eventfd(1, 0);

    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    SHOW(ppoll(&p, 1, &long_time, &none));
    printf("handled %d\n", (int)g_handled);
    g_handled = 0;
    raise(SIGUSR1);
    SHOW(pselect(0, NULL, NULL, NULL, &long_time, &none));
    printf("handled %d\n", (int)g_handled);
    g_handled = 0;
    raise(SIGUSR1);
    SHOW(epoll_pwait(ep, &e, 1, 20000, &none));
    printf("handled %d\n", (int)g_handled);
    g_handled = 0;
    raise(SIGUSR1);
    CHECK(add(ep, fd, EPOLLIN, 1) == 0);
    SHOW(epoll_pwait(ep, &e, 1, 20000, &set));
    printf("handled %d\n", (int)g_handled);
    sigprocmask(SIG_SETMASK, NULL, &now);
    printf("blocked %d\n", sigismember(&now, SIGUSR1));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    printf("handled %d\n", (int)g_handled);
    signal(SIGUSR1, SIG_DFL);
    close(ep);
    close(fd);
}

static void processes_polled(void)
{
    int go[2], ep = epoll_create1(0), status;

    CHECK(pipe(go) == 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        close(go[1]);
        CHECK(read(go[0], &(char){0}, 1) == 0);
        _exit(3);
    }
    close(go[0]);
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    CHECK(fd >= 0);
    SHOW(add(ep, fd, EPOLLIN | EPOLLET, 1));
    look("alive", ep, 0);
    SHOW(revents(fd, POLLIN | POLLOUT, 0));
    close(go[1]);
    look("over", ep, 60000);
    look("told", ep, 0);
    SHOW(revents(fd, POLLIN, 20000) & POLLIN);
    SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    SHOW(waitpid(pid, &status, 0) == pid);
    SHOW(revents(fd, POLLIN, 0) & POLLIN);
    SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    SHOW(syscall(SYS_pidfd_open, getpid(), 1));
    SHOW(syscall(SYS_pidfd_open, -1, 0));
    SHOW(read(fd, &status, 4));
    close(fd);
    close(ep);
}

static void run(void)
{
    static void (*const cases[])(void) = {
        edges_of_pipes,    edges_of_sockets,       edges_of_counters, one_shots,
        exclusive_entries, entries_and_duplicates, nested_sets,       sizes_of_waits,
        several_waiters,   full_counters,          semaphores,        alarms_by_the_clock,
        ticks_that_gather, timers_set_anew,        signals_read,      signals_of_threads,
        limits_of_poll,    limits_of_select,       masks_of_waits,    processes_polled};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        printf("case %d\n", (int)i);
        cases[i]();
        fflush(stdout);
    }
}

int main(void)
{
    run();
    return 0;
}
