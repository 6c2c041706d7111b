/* Queued real-time signals, their order and limit; sigtimedwait, sigwaitinfo, signalfd, sigsuspend, pause: what each takes. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"

#define FAILS(call, number) CHECK((errno = 0, (long)(call) == -1) && errno == (number))

static struct {
    int sig, code, value;
} g_log[64];
static volatile int g_count;

static void note(int sig, siginfo_t *info, void *context)
{
    (void)context;
    if (g_count < 64) {
        g_log[g_count].sig = sig;
        g_log[g_count].code = info->si_code;
        g_log[g_count].value = info->si_value.sival_int;
    }
    g_count++;
}

static void show_log(const char *what)
{
    printf("%s:", what);
    for (int i = 0; i < g_count && i < 64; i++)
        printf(" %s%d/%d/%d", g_log[i].sig >= SIGRTMIN ? "rt" : "",
               g_log[i].sig >= SIGRTMIN ? g_log[i].sig - SIGRTMIN : g_log[i].sig, g_log[i].code,
               g_log[i].code == SI_QUEUE ? g_log[i].value : 0);
    printf("\n");
    g_count = 0;
}

static void install(int sig, int flags)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | flags};
    sigfillset(&action.sa_mask);
    CHECK(sigaction(sig, &action, NULL) == 0);
}

static sigset_t set_of(int a, int b, int c)
{
    sigset_t s;
    sigemptyset(&s);
    if (a)
        sigaddset(&s, a);
    if (b)
        sigaddset(&s, b);
    if (c)
        sigaddset(&s, c);
    return s;
}

static void queue(int sig, int value)
{
    CHECK(sigqueue(getpid(), sig, (union sigval){.sival_int = value}) == 0);
}

static void order(void)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    for (int i = 0; i < 4; i++)
        install(SIGRTMIN + i, 0);
    install(SIGUSR1, 0);
    install(SIGHUP, 0);
    sigprocmask(SIG_BLOCK, &all, NULL);
    queue(SIGRTMIN + 2, 1);
    queue(SIGRTMIN, 2);
    queue(SIGUSR1, 3);
    queue(SIGRTMIN + 2, 4);
    queue(SIGUSR1, 5); /* standard: only the first stays */
    queue(SIGRTMIN, 6);
    kill(getpid(), SIGHUP);
    kill(getpid(), SIGRTMIN + 1);
    kill(getpid(), SIGRTMIN + 1);
    sigprocmask(SIG_SETMASK, &none, NULL);
    show_log("in order of numbers, then of sending");
    /* To the thread goes before to the process. */
    sigprocmask(SIG_BLOCK, &all, NULL);
    queue(SIGRTMIN, 1);
    siginfo_t info = {.si_code = SI_QUEUE, .si_value.sival_int = 2};
    CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGRTMIN + 1, &info) == 0);
    sigprocmask(SIG_SETMASK, &none, NULL);
    show_log("its own first");
    /* Ignoring forgets what waits. */
    sigprocmask(SIG_BLOCK, &all, NULL);
    queue(SIGRTMIN, 1);
    queue(SIGRTMIN, 2);
    signal(SIGRTMIN, SIG_IGN);
    install(SIGRTMIN, 0);
    queue(SIGRTMIN, 3);
    sigprocmask(SIG_SETMASK, &none, NULL);
    show_log("forgotten when ignored");
}

static void limit(void)
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t all, none;
        sigfillset(&all);
        sigemptyset(&none);
        struct rlimit r;
        CHECK(getrlimit(RLIMIT_SIGPENDING, &r) == 0);
        r.rlim_cur = 5;
        CHECK(setrlimit(RLIMIT_SIGPENDING, &r) == 0);
        sigprocmask(SIG_BLOCK, &all, NULL);
        /* What others of this user have queued counts as well, so only the end is certain. */
        int sent = 0;
        while (sent < 10 && sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = sent}) == 0)
            sent++;
        printf("queued %d, then %s\n", sent <= 5, strerror(errno));
        CHECK(kill(getpid(), SIGUSR1) == 0);
        /* kill(2) never fails by this limit; its details may be lost */
        CHECK(kill(getpid(), SIGRTMIN + 3) == 0);
        sigprocmask(SIG_SETMASK, &none, NULL);
        printf("got %d\n", g_count == sent + 2);
        fflush(stdout);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* A child that sends SIGALRM once the caller sleeps. */
static pid_t alarm_me_asleep(void)
{
    pid_t parent = getpid(), pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        until_asleep(parent, parent);
        kill(parent, SIGALRM);
        _exit(0);
    }
    return pid;
}

static void waiting(void)
{
    sigset_t s = set_of(SIGRTMIN, SIGUSR1, 0), old;
    siginfo_t info;
    struct timespec none = {0, 0}, bad = {0, 1000000000}, soon = {0, 30000000};
    CHECK(sigprocmask(SIG_BLOCK, &s, &old) == 0);
    FAILS(sigtimedwait(&s, &info, &none), EAGAIN);
    FAILS(sigtimedwait(&s, &info, &soon), EAGAIN);
    FAILS(sigtimedwait(&s, &info, &bad), EINVAL);
    FAILS(syscall(SYS_rt_sigtimedwait, &s, &info, (void *)8, 8), EFAULT);
    FAILS(syscall(SYS_rt_sigtimedwait, (void *)8, &info, &none, 8), EFAULT);
    FAILS(syscall(SYS_rt_sigtimedwait, &s, &info, &none, 4), EINVAL);
    queue(SIGRTMIN, 7);
    queue(SIGRTMIN, 8);
    kill(getpid(), SIGUSR1);
    for (int i = 0; i < 3; i++) {
        int sig = sigwaitinfo(&s, &info);
        printf("sigwaitinfo: %s code %d value %d\n",
               sig == SIGUSR1    ? "USR1"
               : sig == SIGRTMIN ? "RTMIN"
                                 : "?",
               info.si_code, info.si_code == SI_QUEUE ? info.si_value.sival_int : -1);
    }
    queue(SIGRTMIN, 9);
    FAILS(syscall(SYS_rt_sigtimedwait, &s, (void *)8, &none, 8), EFAULT);
    FAILS(sigtimedwait(&s, NULL, &none), EAGAIN); /* taken all the same */
    /* Another signal's handler interrupts. */
    install(SIGALRM, SA_RESTART);
    pid_t pid = alarm_me_asleep();
    /* SA_RESTART does not help; musl's function tries again */
    FAILS(syscall(SYS_rt_sigtimedwait, &s, &info, NULL, 8), EINTR);
    show_log("interrupted by");
    CHECK(waitpid(pid, NULL, 0) == pid);
    /* One that comes while it waits. */
    pid = fork();
    if (pid == 0) {
        until_asleep(getppid(), getppid());
        sigqueue(getppid(), SIGRTMIN, (union sigval){.sival_int = 10});
        _exit(0);
    }
    int sig = sigwaitinfo(&s, &info);
    printf("sent meanwhile: %d value %d from the child %d\n", sig == SIGRTMIN,
           info.si_value.sival_int, info.si_pid == pid);
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
}

static void unblocked_wait(void)
{
    /* Ignored while waited for, and blocked: it waits. */
    sigset_t s = set_of(SIGUSR2, 0, 0), old;
    struct timespec none = {0, 0};
    signal(SIGUSR2, SIG_IGN);
    sigprocmask(SIG_BLOCK, &s, &old);
    kill(getpid(), SIGUSR2);
    printf("ignored and blocked: %d\n", sigtimedwait(&s, NULL, &none) == SIGUSR2);
    signal(SIGUSR2, SIG_DFL);
    s = set_of(SIGKILL, SIGSTOP, 0);
    FAILS(sigtimedwait(&s, NULL, &none), EAGAIN);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void suspended(void)
{
    sigset_t s = set_of(SIGUSR1, SIGRTMIN, 0), old, rest, now;
    install(SIGUSR1, SA_RESTART);
    sigprocmask(SIG_BLOCK, &s, &old);
    kill(getpid(), SIGUSR1);
    queue(SIGRTMIN, 1);
    rest = old;
    sigaddset(&rest, SIGRTMIN);
    FAILS(sigsuspend(&rest), EINTR);
    show_log("sigsuspend let through");
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("mask is back: %d %d\n", sigismember(&now, SIGUSR1), sigismember(&now, SIGRTMIN));
    FAILS(sigsuspend(&old), EINTR);
    show_log("then");
    sigprocmask(SIG_SETMASK, &old, NULL);
    FAILS(syscall(SYS_rt_sigsuspend, &old, 4), EINVAL);
    FAILS(syscall(SYS_rt_sigsuspend, (void *)8, 8), EFAULT);
    install(SIGALRM, SA_RESTART);
    pid_t pid = alarm_me_asleep();
    FAILS(pause(), EINTR);
    show_log("pause ended by");
    CHECK(waitpid(pid, NULL, 0) == pid);
    /* An ignored signal does not end it. */
    pid = fork();
    if (pid == 0) {
        until_asleep(getppid(), getppid());
        kill(getppid(), SIGURG);
        usleep(100000);
        kill(getppid(), SIGALRM);
        _exit(0);
    }
    FAILS(pause(), EINTR);
    show_log("pause ended by");
    CHECK(waitpid(pid, NULL, 0) == pid);
}

static void by_descriptor(void)
{
    sigset_t s = set_of(SIGRTMIN, SIGUSR1, SIGCHLD), old;
    struct signalfd_siginfo got[4];
    sigprocmask(SIG_BLOCK, &s, &old);
    int fd = signalfd(-1, &s, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(fd >= 0);
    FAILS(signalfd(-1, &s, 1), EINVAL);
    FAILS(signalfd(0, &s, 0), EINVAL);
    FAILS(signalfd(999, &s, 0), EBADF);
    FAILS(read(fd, got, sizeof(got)), EAGAIN);
    FAILS(read(fd, got, 16), EINVAL);
    queue(SIGRTMIN, 5);
    queue(SIGRTMIN, 6);
    kill(getpid(), SIGUSR1);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLIN);
    ssize_t n = read(fd, got, sizeof(got));
    for (ssize_t i = 0; i < n / (ssize_t)sizeof(got[0]); i++)
        printf("signalfd: %d code %d int %d pid %d uid %d\n",
               got[i].ssi_signo == (unsigned)SIGRTMIN ? 0 : (int)got[i].ssi_signo, got[i].ssi_code,
               got[i].ssi_code == SI_QUEUE ? got[i].ssi_int : 0,
               got[i].ssi_pid == (unsigned)getpid(), got[i].ssi_uid == getuid());
    pid_t pid = fork();
    if (pid == 0)
        _exit(9);
    while (poll(&p, 1, -1) != 1)
        continue;
    CHECK(read(fd, got, sizeof(got[0])) == sizeof(got[0]));
    printf("a child's end: code %d status %d pid %d\n", got[0].ssi_code, got[0].ssi_status,
           got[0].ssi_pid == (unsigned)pid);
    CHECK(waitpid(pid, NULL, 0) == pid);
    /* The reader's signals, not the maker's. */
    pid = fork();
    if (pid == 0) {
        CHECK(read(fd, got, sizeof(got)) == -1 && errno == EAGAIN);
        raise(SIGUSR1);
        _exit(read(fd, got, sizeof(got)) == sizeof(got[0]) ? 0 : 1);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("a child reads its own: %d\n", status);
    CHECK(read(fd, got, sizeof(got)) == sizeof(got[0]) && got[0].ssi_signo == SIGCHLD);
    /* Change what it takes. */
    sigset_t only = set_of(SIGUSR1, 0, 0);
    CHECK(signalfd(fd, &only, 0) == fd);
    queue(SIGRTMIN, 7);
    FAILS(read(fd, got, sizeof(got)), EAGAIN);
    sigprocmask(SIG_SETMASK, &old, NULL);
    show_log("left for the handler");
    close(fd);
}

/* ---- threads ---- */

static volatile pthread_t g_by;
static void note_thread(int sig)
{
    (void)sig;
    g_by = pthread_self();
    g_count++;
}

static void *sleeps(void *arg)
{
    sigset_t *s = arg;
    pthread_sigmask(SIG_SETMASK, s, NULL);
    while (!g_by)
        usleep(1000);
    return NULL;
}

static void *waits(void *arg)
{
    siginfo_t info;
    int sig = sigwaitinfo(arg, &info);
    return (void *)(intptr_t)(sig == SIGRTMIN + 1 ? info.si_value.sival_int : -1);
}

static void threads(void)
{
    sigset_t all, s = set_of(SIGRTMIN + 1, SIGUSR1, 0), open;
    pthread_t t;
    void *result;
    struct sigaction action = {.sa_handler = note_thread};
    sigfillset(&all);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pthread_sigmask(SIG_BLOCK, &s, NULL);
    /* Only the other thread has it unblocked. */
    sigemptyset(&open);
    g_by = 0;
    CHECK(pthread_create(&t, NULL, sleeps, &open) == 0);
    usleep(10000);
    kill(getpid(), SIGUSR1);
    CHECK(pthread_join(t, NULL) == 0);
    printf("taken by the thread that has it unblocked: %d\n",
           g_by != pthread_self() && g_count == 1);
    /* One that waits for it. */
    CHECK(pthread_create(&t, NULL, waits, &s) == 0);
    usleep(10000);
    queue(SIGRTMIN + 1, 77);
    CHECK(pthread_join(t, &result) == 0);
    printf("taken by the thread that waits: %d\n", (int)(intptr_t)result);
    /* Pending for a thread dies with it; for the process stays. */
    CHECK(pthread_create(&t, NULL, sleeps, &all) == 0);
    g_by = 0;
    CHECK(pthread_kill(t, SIGRTMIN + 1) == 0);
    kill(getpid(), SIGUSR1);
    g_by = pthread_self();
    CHECK(pthread_join(t, NULL) == 0);
    sigset_t pending;
    sigpending(&pending);
    printf("left: %d %d\n", sigismember(&pending, SIGRTMIN + 1), sigismember(&pending, SIGUSR1));
    g_count = 0;
    pthread_sigmask(SIG_UNBLOCK, &s, NULL);
    printf("delivered %d\n", g_count);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    order();
    limit();
    waiting();
    unblocked_wait();
    suspended();
    by_descriptor();
    threads();
    return 0;
}
