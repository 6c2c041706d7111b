/* epoll, eventfd, timerfd, signalfd: results, errnos, level and edge. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "show.h"

static int add(int ep, int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event e = {.events = events, .data.u64 = data};
    return epoll_ctl(ep, op, fd, &e);
}

static void look(int ep, int timeout)
{
    struct epoll_event e[8];
    int n = epoll_wait(ep, e, 8, timeout);

    printf("  epoll_wait %d", n);
    uint64_t data = 0;
    uint32_t events = 0;
    for (int i = 0; i < n; i++) {
        data += e[i].data.u64; /* the order of several is not fixed */
        events |= e[i].events;
    }
    printf(" events %x data %llu\n", events, (unsigned long long)data);
}

static void epoll_basics(void)
{
    char c = 'x';
    int p[2], ep = epoll_create1(EPOLL_CLOEXEC), file;

    CHECK(pipe(p) == 0);
    SHOW(epoll_create(0));
    SHOW(epoll_create1(1));
    SHOW(add(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
    SHOW(add(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
    SHOW(add(ep, EPOLL_CTL_MOD, p[1], EPOLLIN, 1));
    SHOW(add(ep, EPOLL_CTL_DEL, p[1], 0, 0));
    SHOW(add(ep, EPOLL_CTL_ADD, ep, EPOLLIN, 1));
    SHOW(add(ep, EPOLL_CTL_ADD, 999, EPOLLIN, 1));
    SHOW(add(p[0], EPOLL_CTL_ADD, p[1], EPOLLIN, 1));
    SHOW(add(ep, 77, p[0], EPOLLIN, 1));
    file = open("/tmp", O_RDONLY);
    SHOW(add(ep, EPOLL_CTL_ADD, file, EPOLLIN, 1));
    close(file);
    SHOW(epoll_wait(ep, NULL, 0, 0));
    SHOW(epoll_wait(p[0], (struct epoll_event *)&c, 1, 0));
    look(ep, 0);
    SHOW(write(p[1], &c, 1));
    look(ep, 0);
    look(ep, 0);
    SHOW(epoll_wait(ep, (struct epoll_event *)8, 1, 0));
    SHOW(read(p[0], &c, 1));
    look(ep, 0);
    printf("edge\n");
    SHOW(add(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 2));
    SHOW(write(p[1], &c, 1));
    look(ep, 0);
    look(ep, 0);
    SHOW(write(p[1], &c, 1));
    look(ep, 0);
    SHOW(read(p[0], &c, 1));
    look(ep, 0);
    printf("once\n");
    SHOW(add(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 3));
    look(ep, 0);
    look(ep, 0);
    SHOW(write(p[1], &c, 1));
    look(ep, 0);
    SHOW(add(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 4));
    look(ep, 0);
    SHOW(add(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 5));
    SHOW(add(ep, EPOLL_CTL_ADD, p[1], EPOLLOUT, 6));
    look(ep, 0);
    printf("nested\n");
    int outer = epoll_create1(0);
    SHOW(add(outer, EPOLL_CTL_ADD, ep, EPOLLIN, 100));
    look(outer, 0);
    struct pollfd pf = {.fd = ep, .events = POLLIN};
    SHOW(poll(&pf, 1, 0));
    close(outer);
    printf("hang-up\n");
    close(p[1]);
    look(ep, 0);
    close(p[0]);
    look(ep, 0);
    close(ep);
}

static void *writer(void *arg)
{
    usleep(30000);
    CHECK(write(*(int *)arg, "x", 1) == 1);
    return NULL;
}

static void epoll_sleeps(void)
{
    int p[2], ep = epoll_create1(0), dup_fd;
    pthread_t t;

    CHECK(pipe(p) == 0);
    add(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 7);
    look(ep, 20);
    pthread_create(&t, NULL, writer, &p[1]);
    look(ep, 60000);
    pthread_join(t, NULL);
    dup_fd = dup(p[0]);
    close(p[0]); /* the open file lives on, and so does the registration */
    look(ep, 0);
    close(dup_fd);
    look(ep, 0);
    close(p[1]);
    close(ep);
}

static void eventfds(void)
{
    uint64_t v = 5;
    int e = eventfd(3, EFD_NONBLOCK), s = eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE);
    struct pollfd p = {.fd = e, .events = POLLIN | POLLOUT};

    SHOW(write(e, &v, 8));
    SHOW(read(e, &v, 8));
    printf("value %llu\n", (unsigned long long)v);
    SHOW(read(e, &v, 8));
    SHOW(read(e, &v, 7));
    v = UINT64_MAX;
    SHOW(write(e, &v, 8));
    v = UINT64_MAX - 1;
    SHOW(write(e, &v, 8));
    v = 1;
    SHOW(write(e, &v, 8));
    SHOW(poll(&p, 1, 0));
    printf("revents %x\n", p.revents);
    SHOW(read(s, &v, 8));
    printf("value %llu\n", (unsigned long long)v);
    SHOW(read(s, &v, 8));
    SHOW(read(s, &v, 8));
    SHOW(eventfd(0, 0x10));
    close(e);
    close(s);
}

/* A clock that wakes the machine needs CAP_WAKE_ALARM. */
static void alarm_clocks(void)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (getuid() == 0)
            CHECK(setuid(1000) == 0);
        CHECK(timerfd_create(CLOCK_REALTIME_ALARM, 0) == -1 && errno == EPERM);
        CHECK(timerfd_create(CLOCK_BOOTTIME_ALARM, 0) == -1 && errno == EPERM);
        CHECK(timerfd_create(CLOCK_REALTIME_ALARM, 1) == -1 && errno == EINVAL);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("clocks that wake the machine: %d\n", status);
}

static void timers(void)
{
    struct itimerspec t = {.it_value = {0, 20000000}}, late = {.it_value = {1000, 0}}, old;
    uint64_t ticks;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), ep = epoll_create1(0);
    struct pollfd p = {.fd = fd, .events = POLLIN};

    SHOW(timerfd_create(12345, 0));
    SHOW(timerfd_settime(0, 0, &t, NULL) < 0 ? -1 : 0);
    SHOW(read(fd, &ticks, 8));
    SHOW(timerfd_settime(fd, 0, &late, &old));
    printf("old %ld %ld\n", (long)old.it_value.tv_sec, old.it_value.tv_nsec);
    SHOW(poll(&p, 1, 0));
    SHOW(timerfd_settime(fd, 0, &t, NULL));
    SHOW(poll(&p, 1, 60000));
    SHOW(read(fd, &ticks, 8));
    printf("ticks %llu\n", (unsigned long long)ticks);
    SHOW(timerfd_gettime(fd, &old));
    printf("left %ld %ld\n", (long)old.it_value.tv_sec, old.it_value.tv_nsec);
    add(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 9);
    look(ep, 0);
    SHOW(timerfd_settime(fd, 0, &t, NULL));
    look(ep, 60000);
    SHOW(read(fd, &ticks, 8));
    t.it_interval.tv_nsec = 5000000;
    SHOW(timerfd_settime(fd, 0, &t, NULL));
    fcntl(fd, F_SETFL, 0);
    SHOW(read(fd, &ticks, 8));
    usleep(30000);
    SHOW(read(fd, &ticks, 8));
    printf("several %d\n", ticks > 2);
    t.it_value.tv_nsec = 1000000000;
    SHOW(timerfd_settime(fd, 0, &t, NULL));
    close(ep);
    close(fd);
}

static void signals(void)
{
    struct signalfd_siginfo info;
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigaddset(&mask, SIGCHLD);
    sigaddset(&mask, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    int fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC), ep = epoll_create1(0);
    add(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 11);
    SHOW(read(fd, &info, sizeof(info)));
    look(ep, 0);
    kill(getpid(), SIGUSR1);
    look(ep, 0);
    SHOW(read(fd, &info, 10));
    SHOW(read(fd, &info, sizeof(info)));
    printf("signal %u code %d mine %d\n", info.ssi_signo, info.ssi_code,
           info.ssi_pid == (uint32_t)getpid());
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 42});
    SHOW(read(fd, &info, sizeof(info)));
    printf("code %d value %d\n", info.ssi_code, info.ssi_int);
    pid_t child = fork();
    if (child == 0)
        _exit(5);
    look(ep, 60000);
    SHOW(read(fd, &info, sizeof(info)));
    printf("signal %u child %d status %d code %d\n", info.ssi_signo,
           info.ssi_pid == (uint32_t)child, info.ssi_status, info.ssi_code);
    waitpid(child, NULL, 0);
    look(ep, 0);
    close(ep);
    close(fd);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    epoll_basics();
    epoll_sleeps();
    eventfds();
    timers();
    alarm_clocks();
    signals();
    return 0;
}
