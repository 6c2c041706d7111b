/* Every flag of sigaction(2), masks of handlers, alternate stacks with SS_AUTODISARM, what SIGCHLD rules say, core bits. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "guest.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif
#define FAILS(call, number) CHECK((errno = 0, (long)(call) == -1) && errno == (number))

struct kernel_sigaction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

static volatile sig_atomic_t g_depth, g_deepest, g_count, g_order[8];
static volatile int g_flags, g_inside;
static siginfo_t g_info;
static sigset_t g_mask;

static void note(int sig, siginfo_t *info, void *context)
{
    (void)context;
    if (g_count < 8)
        g_order[g_count] = sig;
    g_count++;
    g_info = *info;
    sigprocmask(SIG_BLOCK, NULL, &g_mask);
}

/* musl's own sigaltstack reads the stack, and refuses SS_ONSTACK. */
static int alt_stack(const stack_t *stack, stack_t *old)
{
    return (int)syscall(SYS_sigaltstack, stack, old);
}

/* Frame upon frame: the second or third is too much for a stack of 2048 bytes, how small a frame the processor may have. */
static void pile_up(int sig)
{
    if (++g_depth < 4)
        syscall(SYS_kill, getpid(), sig);
}

static void recurse(int sig)
{
    if (++g_depth > g_deepest)
        g_deepest = g_depth;
    if (++g_count < 4)
        raise(sig);
    g_depth--;
}

static void install(int sig, void *handler, int flags, int also)
{
    struct sigaction action = {.sa_flags = flags};
    sigemptyset(&action.sa_mask);
    if (also)
        sigaddset(&action.sa_mask, also);
    action.sa_sigaction = (void (*)(int, siginfo_t *, void *))handler;
    CHECK(sigaction(sig, &action, NULL) == 0);
    g_count = g_depth = g_deepest = 0;
}

static void flags(void)
{
    struct sigaction old;
    install(SIGUSR1, recurse, 0, 0);
    raise(SIGUSR1);
    printf("blocked in its handler: %d deep, %d times\n", g_deepest, g_count);
    install(SIGUSR1, recurse, SA_NODEFER, 0);
    raise(SIGUSR1);
    printf("SA_NODEFER: %d deep, %d times\n", g_deepest, g_count);
    install(SIGUSR1, note, SA_RESETHAND | SA_SIGINFO, 0);
    raise(SIGUSR1);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0);
    /* Linux blocks it in its handler all the same; POSIX would not. */
    printf("SA_RESETHAND: once %d, then default %d, blocked inside %d, flags kept %d\n", g_count,
           old.sa_handler == SIG_DFL, sigismember(&g_mask, SIGUSR1),
           (old.sa_flags & (SA_RESETHAND | SA_SIGINFO)) != 0);
    install(SIGUSR1, note, SA_SIGINFO, SIGUSR2);
    raise(SIGUSR1);
    printf("sa_mask: %d %d %d\n", sigismember(&g_mask, SIGUSR1), sigismember(&g_mask, SIGUSR2),
           sigismember(&g_mask, SIGHUP));
    sigprocmask(SIG_BLOCK, NULL, &g_mask);
    printf("and after: %d %d\n", sigismember(&g_mask, SIGUSR1), sigismember(&g_mask, SIGUSR2));

    /* The kernel clears flags it does not know, so that programs can ask. */
    struct kernel_sigaction k = {.handler = SIG_IGN, .flags = ~0ul, .mask = ~0ul}, back;
    CHECK(syscall(SYS_rt_sigaction, SIGUSR2, &k, NULL, 8) == 0 &&
          syscall(SYS_rt_sigaction, SIGUSR2, NULL, &back, 8) == 0);
    printf("flags kept %lx, mask without SIGKILL and SIGSTOP %lx\n", back.flags & ~0x04000000ul,
           back.mask);
    FAILS(syscall(SYS_rt_sigaction, SIGKILL, &k, NULL, 8), EINVAL);
    FAILS(syscall(SYS_rt_sigaction, SIGSTOP, &k, NULL, 8), EINVAL);
    CHECK(syscall(SYS_rt_sigaction, SIGKILL, NULL, &back, 8) == 0 && back.handler == SIG_DFL);
    FAILS(syscall(SYS_rt_sigaction, 0, NULL, &back, 8), EINVAL);
    FAILS(syscall(SYS_rt_sigaction, 65, NULL, &back, 8), EINVAL);
    FAILS(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &back, 4), EINVAL);
    FAILS(syscall(SYS_rt_sigaction, SIGUSR1, (void *)8, NULL, 8), EFAULT);
    FAILS(syscall(SYS_rt_sigaction, SIGUSR1, NULL, (void *)8, 8), EFAULT);
    signal(SIGUSR2, SIG_DFL);
}

static void masks(void)
{
    unsigned long set = 1ul << (SIGUSR1 - 1), all = ~0ul, old = 0;
    install(SIGUSR1, note, SA_SIGINFO, 0);
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8) == 0);
    CHECK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &old, 8) == 0);
    printf("all that can be blocked: %lx\n", old);
    raise(SIGUSR1);
    unsigned long pending = 0;
    CHECK(syscall(SYS_rt_sigpending, &pending, 8) == 0);
    printf("pending %lx\n", pending);
    FAILS(syscall(SYS_rt_sigpending, &pending, 9), EINVAL);
    FAILS(syscall(SYS_rt_sigpending, (void *)8, 8), EFAULT);
    CHECK(g_count == 0);
    CHECK(syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &set, NULL, 8) == 0 && g_count == 1);
    set = 0;
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, 8) == 0);
    FAILS(syscall(SYS_rt_sigprocmask, 7, &set, NULL, 8), EINVAL);
    CHECK(syscall(SYS_rt_sigprocmask, 7, NULL, &old, 8) == 0); /* how is not looked at */
    FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 16), EINVAL);
    FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, (void *)8, NULL, 8), EFAULT);
    /* Both directions at once: the mask changes though the old one cannot be stored. */
    set = 1ul << (SIGUSR2 - 1);
    FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, (void *)8, 8), EFAULT);
    CHECK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &old, 8) == 0);
    printf("mask after EFAULT %lx\n", old);
    set = 0;
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, 8) == 0);
    /* A handler may change what is blocked after it. */
    printf("masks\n");
}

static void change_context(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    ucontext_t *uc = context;
    sigaddset(&uc->uc_sigmask, SIGHUP);
    uc->uc_mcontext.gregs[REG_RBX] = 0x1234;
}

static void contexts(void)
{
    install(SIGUSR1, change_context, SA_SIGINFO, 0);
    long rbx;
    __asm__ volatile("mov $1, %%ebx; syscall; mov %%rbx, %0"
                     : "=r"(rbx)
                     : "a"(SYS_tgkill), "D"(getpid()), "S"(getpid()), "d"(SIGUSR1)
                     : "rbx", "rcx", "r11", "memory");
    sigprocmask(SIG_BLOCK, NULL, &g_mask);
    printf("a handler's context counts: rbx %lx, SIGHUP blocked %d\n", rbx,
           sigismember(&g_mask, SIGHUP));
    sigemptyset(&g_mask);
    sigprocmask(SIG_SETMASK, &g_mask, NULL);
}

/* ---- alternate stacks ---- */

static char *g_alt;
#define ALT_SIZE 65536

static void look_at_stack(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    ucontext_t *uc = context;
    char here;
    stack_t now;
    g_inside = &here > g_alt && &here < g_alt + ALT_SIZE;
    CHECK(alt_stack(NULL, &now) == 0);
    g_flags = now.ss_flags;
    stack_t other = {.ss_sp = g_alt, .ss_size = ALT_SIZE, .ss_flags = SS_DISABLE};
    errno = 0;
    int r = alt_stack(&other, NULL);
    printf("  inside %d, flags %x, in the context %x, sp same %d; changing it: %d %s\n", g_inside,
           now.ss_flags, uc->uc_stack.ss_flags,
           uc->uc_stack.ss_sp == (now.ss_flags & SS_DISABLE ? uc->uc_stack.ss_sp : now.ss_sp), r,
           r ? strerror(errno) : "");
}

static void alternate_stacks(void)
{
    stack_t s = {.ss_sp = g_alt = malloc(ALT_SIZE), .ss_size = ALT_SIZE}, now;
    CHECK(alt_stack(NULL, &now) == 0 && now.ss_flags == SS_DISABLE);
    FAILS(alt_stack(&(stack_t){.ss_sp = g_alt, .ss_size = 100}, NULL), ENOMEM);
    FAILS(alt_stack(&(stack_t){.ss_sp = g_alt, .ss_size = ALT_SIZE, .ss_flags = 7}, NULL), EINVAL);
    FAILS(alt_stack((void *)8, NULL), EFAULT);
    CHECK(alt_stack(&s, NULL) == 0 && alt_stack(NULL, &now) == 0 && now.ss_flags == 0 &&
          now.ss_sp == g_alt);
    install(SIGUSR1, look_at_stack, SA_SIGINFO, 0);
    printf("without SA_ONSTACK\n");
    raise(SIGUSR1);
    CHECK(alt_stack(&s, NULL) == 0);
    install(SIGUSR1, look_at_stack, SA_SIGINFO | SA_ONSTACK, 0);
    printf("with SA_ONSTACK\n");
    raise(SIGUSR1);
    CHECK(alt_stack(NULL, &now) == 0 && now.ss_flags == 0 && now.ss_sp == g_alt &&
          now.ss_size == ALT_SIZE);
    s.ss_flags = (int)SS_AUTODISARM;
    CHECK(alt_stack(&s, NULL) == 0 && alt_stack(NULL, &now) == 0);
    printf("with SS_AUTODISARM, flags %x\n", now.ss_flags);
    raise(SIGUSR1);
    CHECK(alt_stack(NULL, &now) == 0);
    printf("armed again: flags %x, same %d\n", now.ss_flags,
           now.ss_sp == g_alt && now.ss_size == ALT_SIZE);
    s.ss_flags = SS_ONSTACK; /* accepted as 0 */
    CHECK(alt_stack(&s, NULL) == 0 && alt_stack(NULL, &now) == 0 && now.ss_flags == 0);
    s.ss_flags = SS_DISABLE;
    CHECK(alt_stack(&s, &now) == 0 && alt_stack(NULL, &now) == 0);
    printf("disabled: flags %x sp %p size %zu\n", now.ss_flags, now.ss_sp, now.ss_size);
    raise(SIGUSR1); /* SA_ONSTACK without a stack: the ordinary one */
    free(g_alt);
}

static void *thread_has_no_stack(void *arg)
{
    stack_t now;
    CHECK(alt_stack(NULL, &now) == 0);
    *(int *)arg = now.ss_flags;
    return NULL;
}

static void inheritance(void)
{
    char *stack = malloc(ALT_SIZE);
    CHECK(alt_stack(&(stack_t){.ss_sp = stack, .ss_size = ALT_SIZE}, NULL) == 0);
    pthread_t t;
    int seen = -1, status;
    CHECK(pthread_create(&t, NULL, thread_has_no_stack, &seen) == 0 && pthread_join(t, NULL) == 0);
    printf("a thread's stack: %d\n", seen);
    pid_t pid = fork();
    if (pid == 0) {
        stack_t now;
        sigset_t pending;
        sigpending(&pending);
        _exit(alt_stack(NULL, &now) == 0 && now.ss_sp == stack && !sigismember(&pending, SIGTERM)
                  ? 0
                  : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(alt_stack(&(stack_t){.ss_flags = SS_DISABLE}, NULL) == 0);
    free(stack);
}

/* The stack overflows: the frame finds no room, or an alternate one. */
static sigjmp_buf g_back;
static void leave(int sig, siginfo_t *info, void *context)
{
    (void)context;
    g_info = *info;
    siglongjmp(g_back, sig);
}
static int overflow(int n)
{
    volatile char pad[4096];
    pad[0] = (char)n;
    return n == -1 ? 0 : overflow(n + 1) + pad[0];
}
static void overflows(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) { /* no room for a frame: killed by SIGSEGV */
        struct rlimit r = {256 << 10, 256 << 10};
        setrlimit(RLIMIT_STACK, &r);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        install(SIGSEGV, note, SA_SIGINFO, 0);
        overflow(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("overflow without an alternate stack: %d\n", WTERMSIG(status));
    pid = fork();
    if (pid == 0) {
        struct rlimit r = {256 << 10, 256 << 10};
        setrlimit(RLIMIT_STACK, &r);
        CHECK(alt_stack(&(stack_t){.ss_sp = malloc(ALT_SIZE), .ss_size = ALT_SIZE}, NULL) == 0);
        install(SIGSEGV, leave, SA_SIGINFO | SA_ONSTACK, 0);
        int sig = sigsetjmp(g_back, 1);
        if (sig == 0)
            overflow(0);
        _exit(sig == SIGSEGV ? g_info.si_code : 99);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("with one: code %d\n", WEXITSTATUS(status));
    pid = fork();
    if (pid == 0) { /* an alternate stack too small for a frame */
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        char *page = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (alt_stack(&(stack_t){.ss_sp = page + 8192, .ss_size = 2048}, NULL))
            raise(SIGSEGV); /* refused already where frames are big */
        struct sigaction act = {.sa_handler = pile_up, .sa_flags = SA_ONSTACK | SA_NODEFER};
        CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
        g_depth = 0;
        raise(SIGUSR1);
        _exit(1);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("too small a stack: %s\n", WIFSIGNALED(status) ? "killed" : "ran");
}

/* ---- SIGCHLD ---- */

static void child_with(int code)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        _exit(code);
}

static void wait_for_count(int count)
{
    for (int i = 0; i < 60000 && g_count < count; i++)
        usleep(1000);
}

static void about_children(void)
{
    int status;
    install(SIGCHLD, note, SA_SIGINFO, 0);
    child_with(7);
    wait_for_count(1);
    printf("exit: code %d status %d pid right %d uid %d\n", g_info.si_code, g_info.si_status,
           g_info.si_pid == waitpid(-1, &status, 0), (int)(g_info.si_uid - getuid()));
    g_count = 0;
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    kill(pid, SIGSTOP);
    wait_for_count(1);
    printf("stop: code %d status %d\n", g_info.si_code, g_info.si_status);
    kill(pid, SIGCONT);
    wait_for_count(2);
    printf("continue: code %d status %d\n", g_info.si_code, g_info.si_status);
    kill(pid, SIGTERM);
    wait_for_count(3);
    printf("killed: code %d status %d, count %d\n", g_info.si_code, g_info.si_status, g_count);
    CHECK(waitpid(pid, &status, 0) == pid);
    install(SIGCHLD, note, SA_SIGINFO | SA_NOCLDSTOP, 0);
    pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    kill(pid, SIGSTOP);
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    kill(pid, SIGCONT);
    CHECK(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
    usleep(20000);
    printf("SA_NOCLDSTOP: %d\n", g_count);
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, &status, 0) == pid);
    wait_for_count(1);
    printf("but the end: %d\n", g_count);
    install(SIGCHLD, note, SA_SIGINFO | SA_NOCLDWAIT, 0);
    child_with(1);
    wait_for_count(1);
    FAILS(waitpid(-1, &status, 0), ECHILD);
    printf("SA_NOCLDWAIT: told %d, no zombie\n", g_count);
    signal(SIGCHLD, SIG_IGN);
    child_with(1);
    FAILS(waitpid(-1, &status, 0), ECHILD);
    signal(SIGCHLD, SIG_DFL);
    child_with(2);
    CHECK(waitpid(-1, &status, 0) > 0 && WEXITSTATUS(status) == 2);
    printf("SIG_IGN: no zombie; SIG_DFL: one\n");
    /* A blocked SIGCHLD waits; the child may be waited for meanwhile. */
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    install(SIGCHLD, note, SA_SIGINFO, 0);
    sigprocmask(SIG_BLOCK, &set, &old);
    child_with(3);
    child_with(4);
    CHECK(waitpid(-1, &status, 0) > 0 && waitpid(-1, &status, 0) > 0);
    sigprocmask(SIG_SETMASK, &old, NULL);
    printf("two ends while blocked: %d signal\n", g_count);
    signal(SIGCHLD, SIG_DFL);
}

static void core_bits(void)
{
    for (int sig = 1; sig < 32; sig++) {
        if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)
            continue;
        int status;
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
            signal(sig, SIG_DFL);
            raise(sig);
            _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        printf("%d: %s %d%s\n", sig, WIFSIGNALED(status) ? "killed" : "exit",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
               WIFSIGNALED(status) && WCOREDUMP(status) ? " core" : "");
    }
    int status;
    pid_t pid = fork();
    if (pid == 0)
        kill(getpid(), SIGRTMIN + 3);
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("a real-time signal: %d\n", WTERMSIG(status) - SIGRTMIN);
}

static void sending(void)
{
    install(SIGUSR1, note, SA_SIGINFO, 0);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    printf("kill: code %d pid %d uid %d\n", g_info.si_code, g_info.si_pid == getpid(),
           g_info.si_uid == getuid());
    CHECK(raise(SIGUSR1) == 0);
    printf("tgkill: code %d pid %d\n", g_info.si_code, g_info.si_pid == getpid());
    CHECK(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 42}) == 0);
    printf("sigqueue: code %d value %d\n", g_info.si_code, g_info.si_value.sival_int);
    FAILS(kill(getpid(), 65), EINVAL);
    FAILS(kill(getpid(), -1), EINVAL);
    FAILS(kill(999999, 0), ESRCH);
    FAILS(kill(-999999, 0), ESRCH);
    CHECK(kill(getpid(), 0) == 0 && kill(0, 0) == 0);
    FAILS(syscall(SYS_tgkill, getpid(), 999999, 0), ESRCH);
    FAILS(syscall(SYS_tgkill, 0, getpid(), 0), EINVAL);
    FAILS(syscall(SYS_tgkill, getppid(), getpid(), 0), ESRCH);
    FAILS(syscall(SYS_tkill, 0, 0), EINVAL);
    siginfo_t info = {.si_code = SI_USER};
    FAILS(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &info), EPERM);
    info.si_code = SI_TKILL;
    FAILS(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &info), EPERM);
    info.si_code = 55; /* to oneself, anything */
    CHECK(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info) == 0 && g_info.si_code == 55);
    FAILS(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, (void *)8), EFAULT);
    FAILS(syscall(SYS_rt_sigqueueinfo, getpid(), 65, &info), EINVAL);
    info.si_code = SI_QUEUE;
    FAILS(syscall(SYS_rt_sigqueueinfo, 999999, SIGUSR1, &info), ESRCH);
    g_info.si_code = 0;
    CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, &info) == 0);
    printf("to a thread: code %d\n", g_info.si_code);
    FAILS(syscall(SYS_rt_tgsigqueueinfo, 0, getpid(), SIGUSR1, &info), EINVAL);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    flags();
    masks();
    contexts();
    alternate_stacks();
    inheritance();
    overflows();
    about_children();
    core_bits();
    sending();
    return 0;
}
