/*
 * contexts.c: swapcontext between stacks of the program's own, from ordinary code and from signal handlers, with system calls on each and
 * a timer that interrupts them. (musl has no such functions: there the program does the same by sigaltstack and setjmp... nothing.)
 */
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "guest.h"

#ifdef __GLIBC__
#define FIBRES 5
#define SWITCHES 4000
#define STACK 65536

static ucontext_t g_main, g_fibre[FIBRES];
static volatile int g_at, g_switches, g_ticks;
static volatile long g_wrong;
static long g_parent;

static void next(int from)
{
    int to = (from + 1) % FIBRES;
    g_at = to;
    CHECK(swapcontext(&g_fibre[from], &g_fibre[to]) == 0);
}

static void body(int me)
{
    double kept = me + 0.25;
    uint64_t rounds = 0;
    while (g_switches < SWITCHES) {
        g_switches++;
        for (int i = 0; i < 5; i++)
            g_wrong += getppid() != g_parent;
        next(me);
        rounds++;
        g_wrong += kept != me + 0.25 || g_at != me;
        __asm__ volatile("" : "+x"(kept));
    }
    CHECK(rounds > 0);
    setcontext(&g_main);
}

static void on_tick(int signo)
{
    (void)signo;
    g_ticks++;
    g_wrong += getppid() != g_parent;
}

/* Preemption: the handler itself switches, and is gone on with later. */
static ucontext_t g_a, g_b;
static volatile int g_in_b, g_preempted;
static void on_preempt(int signo)
{
    (void)signo;
    if (g_preempted >= 500)
        return;
    g_preempted++;
    g_in_b = !g_in_b;
    CHECK(swapcontext(g_in_b ? &g_a : &g_b, g_in_b ? &g_b : &g_a) == 0);
}

static void second(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    for (;;)
        g_wrong += getppid() != g_parent;
}

static void timer(int us)
{
    struct itimerval it = {{0, us}, {0, us}};
    CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
}

int main(void)
{
    struct sigaction act;
    memset(&act, 0, sizeof(act));
    act.sa_handler = on_tick;
    act.sa_flags = SA_RESTART;
    g_parent = getppid();
    CHECK(sigaction(SIGALRM, &act, NULL) == 0);
    for (int i = 0; i < FIBRES; i++) {
        CHECK(getcontext(&g_fibre[i]) == 0);
        g_fibre[i].uc_stack.ss_sp = malloc(STACK);
        g_fibre[i].uc_stack.ss_size = STACK;
        g_fibre[i].uc_link = &g_main;
        makecontext(&g_fibre[i], (void (*)(void))(uintptr_t)body, 1, i);
    }
    timer(300);
    CHECK(swapcontext(&g_main, &g_fibre[0]) == 0);
    while (g_ticks < 20)
        g_wrong += getppid() != g_parent;
    timer(0);
    printf("switched; wrong %ld\n", g_wrong);

    act.sa_handler = on_preempt;
    CHECK(sigaction(SIGALRM, &act, NULL) == 0);
    CHECK(getcontext(&g_b) == 0);
    g_b.uc_stack.ss_sp = malloc(STACK);
    g_b.uc_stack.ss_size = STACK;
    makecontext(&g_b, second, 0);
    timer(500);
    while (g_preempted < 500)
        g_wrong += getppid() != g_parent;
    timer(0);
    printf("preempted %d; wrong %ld\n", g_preempted, g_wrong);
    return 0;
}
#else
int main(void)
{
    printf("musl has no contexts\n");
    return 0;
}
#endif
