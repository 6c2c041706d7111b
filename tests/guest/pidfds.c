/* Descriptors of processes: made by pidfd_open and clone, waited for, polled, signalled, looked into. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#define FLAG_PIDFD 0x1000ul
#define FLAG_PARENT_SETTID 0x100000ul
#define FLAG_DETACHED 0x400000ul
#define BY_PIDFD 3

struct clone3_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        set_tid_size, cgroup;
};

static long call(long number, long a, long b, long c, long d)
{
    long r = syscall(number, a, b, c, d);
    return r < 0 ? -errno : r;
}

static int pidfd_open_(pid_t pid, unsigned flags)
{
    return (int)call(SYS_pidfd_open, pid, flags, 0, 0);
}

static void show(const char *what, long result)
{
    printf("%s: %ld\n", what, result);
}

/* A child that stops at a pipe until the parent closes it, then exits so. */
static pid_t child(int *hold, int code)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char c;
        close(ends[1]);
        (void)!read(ends[0], &c, 1);
        _exit(code);
    }
    close(ends[0]);
    *hold = ends[1];
    return pid;
}

static short poll_now(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int r = poll(&p, 1, ms);
    CHECK(r >= 0);
    return r ? p.revents : 0;
}

static long wait_fd(int fd, int options, siginfo_t *info)
{
    memset(info, 0, sizeof(*info));
    return waitid((idtype_t)BY_PIDFD, (id_t)fd, info, options) < 0 ? -errno : 0;
}

static void opening(void)
{
    char byte;
    show("of nobody", pidfd_open_(0x3ffffff, 0));
    show("of zero", pidfd_open_(0, 0));
    show("of a negative number", pidfd_open_(-1, 0));
    show("with flags", pidfd_open_(getpid(), 0x10000000));
    int fd = pidfd_open_(getpid(), 0);
    CHECK(fd >= 0);
    show("close on exec", fcntl(fd, F_GETFD));
    show("status", fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    show("read", read(fd, &byte, 1) < 0 ? -errno : 0);
    show("write", write(fd, &byte, 1) < 0 ? -errno : 0);
    show("seek", lseek(fd, 0, SEEK_SET) < 0 ? errno == ESPIPE || errno == EINVAL : 1);
    show("ready", poll_now(fd, 0));
    int other = pidfd_open_(getpid(), O_NONBLOCK);
    show("non-blocking", fcntl(other, F_GETFL) & O_NONBLOCK ? 1 : 0);
    char path[64], line[1024];
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    int info = open(path, O_RDONLY);
    ssize_t n = read(info, line, sizeof(line) - 1);
    CHECK(n > 0);
    line[n] = '\0';
    char *pid = strstr(line, "\nPid:\t");
    CHECK(pid && atoi(pid + 6) == getpid());
    close(info);
    close(other);
    close(fd);
}

static void waiting(void)
{
    siginfo_t info;
    int hold, plain = open("/dev/null", O_RDONLY);
    pid_t pid = child(&hold, 7);
    int fd = pidfd_open_(pid, 0), soft = pidfd_open_(pid, O_NONBLOCK);
    CHECK(fd >= 0 && soft >= 0);
    show("running", poll_now(fd, 0));
    show("WNOHANG", wait_fd(fd, WEXITED | WNOHANG, &info));
    show("nothing said", info.si_pid);
    show("non-blocking", wait_fd(soft, WEXITED, &info));
    show("both", wait_fd(soft, WEXITED | WNOHANG, &info));
    show("not a pidfd", wait_fd(plain, WEXITED, &info));
    show("no descriptor", wait_fd(900, WEXITED, &info));
    show("negative", wait_fd(-1, WEXITED, &info));
    close(hold);
    show("at the end", poll_now(fd, 60000));
    show("signal 0 to a zombie", call(SYS_pidfd_send_signal, fd, 0, 0, 0));
    show("open a zombie", close(pidfd_open_(pid, 0)));
    show("look", wait_fd(fd, WEXITED | WNOWAIT, &info));
    CHECK(info.si_pid == pid);
    printf("code %d status %d signal %d\n", info.si_code, info.si_status, info.si_signo);
    show("wait", wait_fd(soft, WEXITED, &info));
    CHECK(info.si_pid == pid);
    show("wait again", wait_fd(fd, WEXITED, &info));
    show("a signal to the gone", call(SYS_pidfd_send_signal, fd, 0, 0, 0));
    show("getfd of the gone", call(SYS_pidfd_getfd, fd, 0, 0, 0));
    show("still ready", poll_now(fd, 0) & POLLIN);
    close(fd);
    close(soft);
    close(plain);
    fd = pidfd_open_(getppid(), 0);
    show("not a child", wait_fd(fd, WEXITED, &info));
    close(fd);
}

static void stops(void)
{
    siginfo_t info;
    int hold;
    pid_t pid = child(&hold, 0);
    int fd = pidfd_open_(pid, 0);
    show("stop", call(SYS_pidfd_send_signal, fd, SIGSTOP, 0, 0));
    show("stopped", wait_fd(fd, WSTOPPED, &info));
    printf("code %d status %d\n", info.si_code, info.si_status);
    show("not ready", poll_now(fd, 0));
    show("continue", call(SYS_pidfd_send_signal, fd, SIGCONT, 0, 0));
    show("continued", wait_fd(fd, WCONTINUED, &info));
    printf("code %d status %d\n", info.si_code, info.si_status);
    show("kill", call(SYS_pidfd_send_signal, fd, SIGKILL, 0, 0));
    show("killed", wait_fd(fd, WEXITED, &info));
    printf("code %d status %d\n", info.si_code, info.si_status);
    close(fd);
    close(hold);
}

static volatile int got_signal, got_code, got_value;

static void on_signal(int sig, siginfo_t *info, void *context)
{
    (void)context;
    got_signal = sig, got_code = info->si_code, got_value = info->si_value.sival_int;
}

static void signals(void)
{
    struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    int hold, fd = pidfd_open_(getpid(), 0), other, plain = open("/dev/null", O_RDONLY);
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    info.si_value.sival_int = 42;
    show("plain", call(SYS_pidfd_send_signal, fd, SIGUSR1, 0, 0));
    printf("got %d code %d\n", got_signal == SIGUSR1, got_code);
    show("queued", call(SYS_pidfd_send_signal, fd, SIGUSR1, (long)&info, 0));
    printf("got %d code %d value %d\n", got_signal == SIGUSR1, got_code, got_value);
    show("another number", call(SYS_pidfd_send_signal, fd, SIGUSR2, (long)&info, 0));
    show("flags", call(SYS_pidfd_send_signal, fd, SIGUSR1, 0, 128));
    show("a bad number", call(SYS_pidfd_send_signal, fd, 65, 0, 0));
    show("bad memory", call(SYS_pidfd_send_signal, fd, SIGUSR1, 8, 0));
    show("not a pidfd", call(SYS_pidfd_send_signal, plain, SIGUSR1, 0, 0));
    show("no descriptor", call(SYS_pidfd_send_signal, 900, SIGUSR1, 0, 0));
    info.si_code = SI_USER;
    show("as the kernel, to oneself", call(SYS_pidfd_send_signal, fd, SIGUSR1, (long)&info, 0));
    pid_t pid = child(&hold, 0);
    other = pidfd_open_(pid, 0);
    show("as the kernel, to another", call(SYS_pidfd_send_signal, other, SIGUSR1, (long)&info, 0));
    close(hold);
    CHECK(waitpid(pid, NULL, 0) == pid);
    close(other), close(plain), close(fd);
}

static void borrowing(void)
{
    int ends[2], hold;
    char text[8] = "";
    fflush(stdout);
    pid_t pid = child(&hold, 0); /* has no `ends` */
    CHECK(pipe(ends) == 0);
    int fd = pidfd_open_(pid, 0), mine = pidfd_open_(getpid(), 0);
    int copy = (int)call(SYS_pidfd_getfd, mine, ends[1], 0, 0);
    CHECK(copy >= 0);
    show("close on exec", fcntl(copy, F_GETFD));
    CHECK(write(copy, "hello", 5) == 5);
    show("through the copy", read(ends[0], text, sizeof(text)));
    show("not open there", call(SYS_pidfd_getfd, fd, ends[1] + 20, 0, 0));
    show("flags", call(SYS_pidfd_getfd, fd, 0, 1, 0));
    show("not a pidfd", call(SYS_pidfd_getfd, ends[0], 0, 0, 0));
    show("no descriptor", call(SYS_pidfd_getfd, 900, 0, 0, 0));
    int out = (int)call(SYS_pidfd_getfd, fd, 1, 0, 0);
    show("a child's standard output", out >= 0);
    close(out), close(copy), close(ends[0]), close(ends[1]), close(mine);
    close(hold);
    CHECK(waitpid(pid, NULL, 0) == pid);
    close(fd);
}

static void cloning(void)
{
    siginfo_t info;
    int fd = -1;
    fflush(stdout);
    long pid = syscall(SYS_clone, FLAG_PIDFD | SIGCHLD, 0, &fd, 0, 0);
    CHECK(pid >= 0);
    if (pid == 0)
        _exit(3);
    show("clone", fd >= 0);
    show("close on exec", fcntl(fd, F_GETFD));
    show("wait", wait_fd(fd, WEXITED, &info));
    CHECK(info.si_pid == pid);
    show("status", info.si_status);
    close(fd);
    show("with PARENT_SETTID",
         call(SYS_clone, (long)(FLAG_PIDFD | FLAG_PARENT_SETTID | SIGCHLD), 0, (long)&fd, 0));
    show("with DETACHED",
         call(SYS_clone, (long)(FLAG_PIDFD | FLAG_DETACHED | SIGCHLD), 0, (long)&fd, 0));
    show("nowhere to store it", call(SYS_clone, (long)(FLAG_PIDFD | SIGCHLD), 0, 8, 0));
    show("no child was left", waitpid(-1, NULL, WNOHANG) < 0 ? -errno : 0);

    pid_t tid = 0;
    struct clone3_args args = {.flags = FLAG_PIDFD | FLAG_PARENT_SETTID,
                               .pidfd = (uintptr_t)&fd,
                               .parent_tid = (uintptr_t)&tid,
                               .exit_signal = SIGCHLD};
    pid = syscall(SYS_clone3, &args, sizeof(args));
    CHECK(pid >= 0);
    if (pid == 0) {
        int own = fcntl(fd, F_GETFD); /* the child does not have it */
        _exit(own < 0 && errno == EBADF ? 4 : 5);
    }
    show("clone3", fd >= 0 && tid == pid);
    show("wait", wait_fd(fd, WEXITED, &info));
    show("status", info.si_status);
    close(fd);

    /* A wanted number: one that nobody has, below any limit on numbers, wherever the counter stands. */
    pid_t wanted = 300;
    do {
        while (kill(++wanted, 0) == 0 || errno != ESRCH)
            ;
        args = (struct clone3_args){
            .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&wanted, .set_tid_size = 1};
        pid = syscall(SYS_clone3, &args, sizeof(args));
    } while (pid < 0 && errno == EEXIST); /* taken meanwhile */
    if (pid == 0)
        _exit(getpid() == wanted ? 0 : 1);
    int status = -1;
    if (pid > 0)
        CHECK(waitpid((pid_t)pid, &status, 0) == pid);
    printf("a wanted number: %s, status %x\n", pid == wanted ? "given" : "not given", status);
    pid_t taken = getpid(), impossible = 0;
    args.set_tid = (uintptr_t)&taken;
    show("a taken one", call(SYS_clone3, (long)&args, sizeof(args), 0, 0));
    args.set_tid = (uintptr_t)&impossible;
    show("zero", call(SYS_clone3, (long)&args, sizeof(args), 0, 0));
    impossible = 0x7fffffff;
    show("too large", call(SYS_clone3, (long)&args, sizeof(args), 0, 0));
    args.set_tid_size = 40;
    show("too many levels", call(SYS_clone3, (long)&args, sizeof(args), 0, 0));
    args.set_tid_size = 0;
    show("no levels", call(SYS_clone3, (long)&args, sizeof(args), 0, 0));
    args = (struct clone3_args){.exit_signal = SIGCHLD};
    show("short", call(SYS_clone3, (long)&args, 63, 0, 0));
    show("long", call(SYS_clone3, (long)&args, 5000, 0, 0));
    show("unmapped", call(SYS_clone3, 8, sizeof(args), 0, 0));
    args.exit_signal = 65;
    show("a bad signal", call(SYS_clone3, (long)&args, sizeof(args), 0, 0));
    args.exit_signal = 0;
    args.flags = 17;
    show("a signal among the flags", call(SYS_clone3, (long)&args, sizeof(args), 0, 0));
    args.flags = 0;
    args.stack_size = 4096;
    show("a size without a stack", call(SYS_clone3, (long)&args, sizeof(args), 0, 0));
    uint64_t bigger[20] = {0};
    bigger[15] = 1;
    bigger[4] = SIGCHLD;
    show("unknown fields", call(SYS_clone3, (long)bigger, sizeof(bigger), 0, 0));
}

static void *poll_main(void *arg)
{
    return (void *)(long)poll_now(*(int *)arg, 60000);
}

static void watching(void)
{
    int hold[3], epoll = epoll_create1(0);
    pid_t pids[3];
    int fds[3];
    struct epoll_event event;
    for (int i = 0; i < 3; i++) {
        pids[i] = child(&hold[i], 0);
        fcntl(hold[i], F_SETFD, FD_CLOEXEC);
        fds[i] = pidfd_open_(pids[i], 0);
        event = (struct epoll_event){.events = EPOLLIN, .data.u32 = (uint32_t)i};
        CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) == 0);
    }
    show("nobody yet", epoll_wait(epoll, &event, 1, 0));
    pthread_t t;
    CHECK(pthread_create(&t, NULL, poll_main, &fds[2]) == 0);
    for (int i = 2; i >= 0; i--) {
        /* Later children hold copies of the pipes of earlier ones: signals end them one by one. */
        CHECK(call(SYS_pidfd_send_signal, fds[i], SIGTERM, 0, 0) == 0);
        show("how many", epoll_wait(epoll, &event, 1, 60000));
        show("who", event.data.u32);
        CHECK(epoll_ctl(epoll, EPOLL_CTL_DEL, fds[i], NULL) == 0);
        CHECK(waitpid(pids[i], NULL, 0) == pids[i]);
        close(hold[i]);
    }
    void *seen;
    CHECK(pthread_join(t, &seen) == 0);
    show("a thread saw it", (long)seen & POLLIN);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    close(epoll);
}

/* A directory of a process in /proc goes on to name it when another has its number. */
static void number_again(void)
{
    if (geteuid() != 0) { /* nobody else may choose numbers */
        printf("root only\n");
        return;
    }
    char name[64];
    int hold;
    pid_t pid = child(&hold, 0);
    snprintf(name, sizeof(name), "/proc/%d", pid);
    int dir = open(name, O_RDONLY | O_DIRECTORY);
    CHECK(dir >= 0);
    show("signal 0 by the directory", call(SYS_pidfd_send_signal, dir, 0, 0, 0));
    close(hold);
    CHECK(waitpid(pid, NULL, 0) == pid);
    struct clone3_args args = {
        .exit_signal = SIGCHLD, .set_tid = (uint64_t)&pid, .set_tid_size = 1};
    fflush(stdout);
    long again = call(SYS_clone3, (long)&args, sizeof(args), 0, 0);
    if (again == 0) {
        pause();
        _exit(1);
    }
    CHECK(again == pid);
    show("another has the number", call(SYS_pidfd_send_signal, dir, SIGKILL, 0, 0));
    show("its state is gone", openat(dir, "stat", O_RDONLY) < 0);
    CHECK(waitpid(pid, NULL, WNOHANG) == 0);
    CHECK(kill(pid, SIGTERM) == 0 && waitpid(pid, NULL, 0) == pid);
    close(dir);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    opening();
    waiting();
    stops();
    signals();
    borrowing();
    cloning();
    watching();
    number_again();
    return 0;
}
