/* Stops and continues, what they interrupt and restart, the order of queued signals, timers, and who hears of a child. */
#include "child.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t g_got;
static siginfo_t g_info;
static sigjmp_buf g_back;

static void note(int sig, siginfo_t *info, void *context)
{
    (void)context;
    g_got = sig;
    g_info = *info;
}

static void leave(int sig, siginfo_t *info, void *context)
{
    note(sig, info, context);
    siglongjmp(g_back, 1);
}

static void handle(int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    sigaction(sig, &action, NULL);
}

static long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static pid_t signal_parent_soon(int sig)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        until_asleep(parent, parent);
        kill(parent, sig);
        _exit(0);
    }
    return pid;
}

static void sleep_outlasts_a_stop(void)
{
    int status, hold[2];
    CHECK(pipe(hold) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        long long start = now_ms();
        struct timespec t = {1, 0};
        char byte;
        close(hold[1]);
        int whole = nanosleep(&t, NULL) == 0 && now_ms() - start >= 995;
        CHECK(read(hold[0], &byte, 1) == 0); /* however late the stop is: it lives */
        _exit(whole ? 0 : 1);
    }
    close(hold[0]);
    until_asleep(pid, pid);
    kill(pid, SIGSTOP);
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) &&
          WSTOPSIG(status) == SIGSTOP);
    CHECK(waitpid(pid, &status, WUNTRACED | WNOHANG) == 0);
    kill(pid, SIGCONT);
    CHECK(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
    close(hold[1]);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    puts("a stop does not cut a sleep short");
}

static void kill_reaches_the_stopped(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    puts("SIGKILL reaches a stopped process");
}

static void calls_restart_as_flags_say(void)
{
    int ends[2];
    char c = 0;
    CHECK(pipe(ends) == 0);
    handle(SIGUSR1, note, 0);
    pid_t pid = signal_parent_soon(SIGUSR1);
    CHECK(read(ends[0], &c, 1) == -1 && errno == EINTR && g_got == SIGUSR1);
    waitpid(pid, NULL, 0);

    handle(SIGUSR1, note, SA_RESTART);
    g_got = 0;
    pid = fork();
    if (pid == 0) {
        until_asleep(getppid(), getppid());
        kill(getppid(), SIGUSR1);
        usleep(50000);
        _exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
    }
    CHECK(read(ends[0], &c, 1) == 1 && c == 'x' && g_got == SIGUSR1);
    waitpid(pid, NULL, 0);

    struct timespec rest, t = {1000, 0};
    pid = signal_parent_soon(SIGUSR1);
    CHECK(nanosleep(&t, &rest) == -1 && errno == EINTR && rest.tv_sec >= 500);
    waitpid(pid, NULL, 0);
    puts("reads restart with SA_RESTART only; sleeps tell what is left");
}

static void queued_signals_keep_their_order(void)
{
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGRTMIN + 1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < 3; i++) {
        CHECK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 10 + i}) == 0);
        CHECK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}) == 0);
        kill(getpid(), SIGUSR2);
    }
    CHECK(sigwaitinfo(&set, &info) == SIGUSR2);
    for (int i = 0; i < 6; i++) {
        CHECK(sigwaitinfo(&set, &info) == SIGRTMIN + i / 3);
        CHECK(info.si_code == SI_QUEUE && info.si_value.sival_int == i / 3 * 10 + i % 3);
    }
    struct timespec t = {0, 1000000};
    CHECK(sigtimedwait(&set, &info, &t) == -1 && errno == EAGAIN);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    puts("real-time signals queue in order, standard ones once");
}

static void faults_name_their_address(void)
{
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static unsigned char code[16] = {0xc3}; /* data, not to be run */
    handle(SIGSEGV, leave, SA_NODEFER);
    handle(SIGILL, leave, SA_NODEFER);
    if (!sigsetjmp(g_back, 1))
        *(volatile char *)0x123 = 1;
    CHECK(g_info.si_code == SEGV_MAPERR && g_info.si_addr == (void *)0x123);
    if (!sigsetjmp(g_back, 1))
        ((volatile char *)page)[5] = 1;
    CHECK(g_info.si_code == SEGV_ACCERR && g_info.si_addr == page + 5);
    if (!sigsetjmp(g_back, 1))
        ((void (*)(void))(void *)code)();
    CHECK(g_info.si_code == SEGV_ACCERR && g_info.si_addr == (void *)code);
    if (!sigsetjmp(g_back, 1))
        __asm__ volatile("ud2");
    CHECK(g_got == SIGILL);
    signal(SIGSEGV, SIG_DFL);
    puts("faults name their address");
}

static void timers_tick(void)
{
    struct itimerval tick = {{0, 5000}, {0, 5000}}, off = {{0, 0}, {0, 0}};
    handle(SIGALRM, note, 0);
    long long start = now_ms();
    setitimer(ITIMER_REAL, &tick, NULL);
    for (int i = 0; i < 5; i++)
        pause();
    setitimer(ITIMER_REAL, &off, NULL);
    CHECK(g_got == SIGALRM && now_ms() - start >= 20);

    timer_t timer;
    struct sigevent event = {
        .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 77};
    struct itimerspec once = {.it_value.tv_nsec = 10000000};
    handle(SIGUSR2, note, 0);
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    g_got = 0;
    CHECK(timer_settime(timer, 0, &once, NULL) == 0);
    while (g_got != SIGUSR2)
        usleep(1000);
    CHECK(g_info.si_code == SI_TIMER && g_info.si_value.sival_int == 77);
    CHECK(timer_delete(timer) == 0);
    puts("timers tick");
}

static void parents_hear_what_they_want(void)
{
    int status;
    siginfo_t info = {0};
    handle(SIGCHLD, note, 0);
    g_got = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(9);
    while (!g_got)
        usleep(1000);
    CHECK(g_info.si_pid == pid && g_info.si_code == CLD_EXITED && g_info.si_status == 9);
    CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0 && info.si_status == 9);
    CHECK(waitpid(pid, &status, 0) == pid);

    signal(SIGCHLD, SIG_IGN);
    pid = fork();
    if (pid == 0)
        _exit(9);
    CHECK(waitpid(pid, &status, 0) == -1 && errno == ECHILD);
    signal(SIGCHLD, SIG_DFL);
    puts("SIGCHLD tells of an end, or nobody has to wait");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    sleep_outlasts_a_stop();
    kill_reaches_the_stopped();
    calls_restart_as_flags_say();
    queued_signals_keep_their_order();
    faults_name_their_address();
    timers_tick();
    parents_hear_what_they_want();
    return 0;
}
