/* Handlers, masks, pending signals, EINTR and restarts, alternate stacks, faults, ignored signals. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "child.h"

static volatile sig_atomic_t g_seen[65], g_code, g_on_altstack;
static volatile void *g_address;
static char *g_page, *g_altstack;
static sigjmp_buf g_jump;

static void count(int sig)
{
    g_seen[sig]++;
}

static void fault(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    char here;
    g_seen[sig]++;
    g_code = info->si_code;
    g_address = info->si_addr;
    g_on_altstack = &here >= g_altstack && &here < g_altstack + 65536;
    CHECK(uc->uc_mcontext.gregs[REG_RIP] != 0);
    if (g_page && info->si_addr == g_page)
        mprotect(g_page, 4096, PROT_READ | PROT_WRITE); /* and the instruction is done again */
    else
        siglongjmp(g_jump, 1);
}

static void handle(int sig, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    CHECK(sigaction(sig, &action, NULL) == 0);
}

static void masks(void)
{
    sigset_t set, old, pending;
    handle(SIGUSR1, count, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0);
    CHECK(kill(getpid(), SIGUSR1) == 0 && kill(getpid(), SIGUSR1) == 0);
    CHECK(g_seen[SIGUSR1] == 0);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
    CHECK(sigsuspend(&old) == -1 && errno == EINTR && g_seen[SIGUSR1] == 1);
    CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
    CHECK(raise(SIGUSR1) == 0 && g_seen[SIGUSR1] == 2);
    printf("masks\n");
}

static void interrupted_reads(void)
{
    int fds[2], seen[2];
    char byte;
    CHECK(pipe(fds) == 0 && pipe(seen) == 0);
    for (int restart = 0; restart < 2; restart++) {
        handle(SIGUSR2, count, restart ? SA_RESTART : 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            until_asleep(getppid(), getppid());
            kill(getppid(), SIGUSR2);
            if (restart)
                usleep(100000);
            else
                CHECK(read(seen[0], &byte, 1) == 1);
            CHECK(write(fds[1], "x", 1) == 1);
            _exit(0);
        }
        ssize_t n = read(fds[0], &byte, 1);
        int error = errno;
        CHECK(restart ? n == 1 : n == -1 && error == EINTR);
        if (!restart)
            CHECK(write(seen[1], "x", 1) == 1 && read(fds[0], &byte, 1) == 1);
        CHECK(g_seen[SIGUSR2] == restart + 1);
        CHECK(waitpid(pid, NULL, 0) == pid);
    }
    printf("interrupted reads\n");
}

static void children(void)
{
    handle(SIGCHLD, count, SA_RESTART);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        _exit(3);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
    CHECK(g_seen[SIGCHLD] == 1);
    handle(SIGCHLD, SIG_DFL, 0);
    const int deaths[] = {SIGTERM, SIGKILL, SIGSEGV, SIGINT, SIGALRM};
    for (unsigned i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            signal(deaths[i], SIG_DFL);
            raise(deaths[i]);
            _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
              WTERMSIG(status) == deaths[i]);
    }
    handle(SIGPIPE, count, 0);
    int fds[2];
    CHECK(pipe(fds) == 0 && close(fds[0]) == 0);
    CHECK(write(fds[1], "x", 1) == -1 && errno == EPIPE && g_seen[SIGPIPE] == 1);
    printf("children\n");
}

static void stop_and_continue(void)
{
    int hold[2], status;
    char byte;
    CHECK(pipe(hold) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(hold[1]);
        raise(SIGSTOP);
        CHECK(read(hold[0], &byte, 1) == 0); /* its end would hide that it continued */
        _exit(4);
    }
    close(hold[0]);
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) &&
          WSTOPSIG(status) == SIGSTOP);
    CHECK(waitpid(pid, &status, WNOHANG) == 0);
    CHECK(kill(pid, SIGCONT) == 0);
    CHECK(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
    close(hold[1]);
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 4);
    printf("stop and continue\n");
}

static void faults(void)
{
    g_altstack = malloc(65536);
    stack_t stack = {.ss_sp = g_altstack, .ss_size = 65536};
    CHECK(sigaltstack(&stack, NULL) == 0);
    struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0 && sigaction(SIGFPE, &action, NULL) == 0);
    CHECK(sigaction(SIGILL, &action, NULL) == 0);
    g_page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(g_page != MAP_FAILED);
    *(volatile char *)g_page = 5;
    CHECK(g_seen[SIGSEGV] == 1 && g_code == SEGV_ACCERR && g_address == g_page && g_on_altstack &&
          *g_page == 5);
    if (sigsetjmp(g_jump, 1) == 0)
        *(volatile char *)0x10 = 1;
    CHECK(g_seen[SIGSEGV] == 2 && g_code == SEGV_MAPERR && g_address == (void *)0x10);
    if (sigsetjmp(g_jump, 1) == 0)
        __asm__ volatile("ud2");
    CHECK(g_seen[SIGILL] == 1 && g_code == ILL_ILLOPN);
    volatile int zero = 0, one = 1;
    if (sigsetjmp(g_jump, 1) == 0)
        __asm__ volatile("cltd; idivl %1" : "+a"(one) : "r"(zero) : "edx");
    CHECK(g_seen[SIGFPE] == 1 && g_code == FPE_INTDIV);
    if (sigsetjmp(g_jump, 1) == 0)
        *(volatile char *)0xdead000000000000 = 1; /* non-canonical */
    CHECK(g_seen[SIGSEGV] == 3 && g_code == SI_KERNEL);
    pid_t pid = fork(); /* the first fault in a child finds its handler */
    CHECK(pid >= 0);
    if (pid == 0) {
        mprotect(g_page, 4096, PROT_READ);
        *(volatile char *)g_page = 6;
        _exit(g_seen[SIGSEGV] == 4 && *g_page == 6 ? 0 : 1);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0 && *g_page == 5);
    printf("faults\n");
}

int main(void)
{
    masks();
    interrupted_reads();
    children();
    stop_and_continue();
    faults();
    fflush(stdout);
    signal(SIGTERM, SIG_DFL);
    kill(getpid(), SIGTERM);
    return 1;
}
