/*
 * jumps.c: setjmp and longjmp out of signal handlers that interrupted anything, while system calls come often: what is kept in registers
 * across the jump is right, the mask is as sigsetjmp saved it, and no signal is lost or handled on the wrong stack.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "guest.h"

#define JUMPS 1500

static sigjmp_buf g_back;
static volatile sig_atomic_t g_armed;
static volatile int g_jumps;

static void on_alarm(int signo)
{
    (void)signo;
    if (!g_armed)
        return;
    g_armed = 0;
    g_jumps++;
    siglongjmp(g_back, g_jumps);
}

static uint64_t mix(uint64_t x)
{
    return (x ^ x >> 31) * 0x9e3779b97f4a7c15u;
}

static void block(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    CHECK(sigprocmask(how, &set, NULL) == 0);
}

static int blocked(void)
{
    sigset_t set;
    CHECK(sigprocmask(SIG_BLOCK, NULL, &set) == 0);
    return sigismember(&set, SIGALRM);
}

/* Calls and arithmetic until a signal takes us out. */
static void busy(long parent)
{
    uint64_t seed = 1;
    double sum = 0;
    for (;;) {
        CHECK(getppid() == parent && syscall(SYS_getppid) == parent);
        for (int i = 0; i < 20; i++) {
            seed = mix(seed + 1);
            sum += 0.5;
        }
        CHECK(sum >= 10);
    }
}

int main(void)
{
    struct sigaction act;
    long parent = getppid();
    memset(&act, 0, sizeof(act));
    act.sa_handler = on_alarm;
    stack_t alternate = {.ss_sp = malloc(65536), .ss_size = 65536};
    CHECK(alternate.ss_sp && sigaltstack(&alternate, NULL) == 0);
    for (int variant = 0; variant < 3; variant++) {
        act.sa_flags = variant == 1 ? SA_ONSTACK : variant == 2 ? SA_NODEFER : 0;
        CHECK(sigaction(SIGALRM, &act, NULL) == 0);
        struct itimerval often = {{0, 200}, {0, 200}}, off = {{0, 0}, {0, 0}};
        g_jumps = 0;
        CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
        while (g_jumps < JUMPS / 3) {
            int before = g_jumps;
            if (sigsetjmp(g_back, 1) == 0) {
                g_armed = 1;
                busy(parent);
            }
            CHECK(g_jumps == before + 1 && !blocked());
        }
        CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
        printf("variant %d: %d jumps, blocked %d\n", variant, g_jumps, blocked());
    }
    /* Without the mask: a handler left by longjmp leaves its signal blocked. */
    jmp_buf plain;
    volatile int turn = 0;
    int back = setjmp(plain);
    if (back == 0) {
        block(SIG_BLOCK);
        raise(SIGALRM);
        turn++;
        CHECK(turn == 1);
        longjmp(plain, 5);
    }
    printf("back with %d, blocked %d\n", back, blocked());
    block(SIG_UNBLOCK);
    printf("and let through: blocked %d\n", blocked());
    return 0;
}
