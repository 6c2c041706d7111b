/*
 * single_step.c: a program that sets its own trap flag sees the same steps as on Linux, through system calls whose sites are new and hot,
 * and whether or not there is an instruction before them that can make room for a jump.
 */
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "guest.h"

#define STEPS_MAX 64
static uint64_t g_rip[STEPS_MAX];
static volatile int g_steps, g_codes_wrong;

static void on_step(int signo, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    (void)signo;
    g_codes_wrong += info->si_code != 2 /* TRAP_TRACE */;
    if (g_steps < STEPS_MAX)
        g_rip[g_steps] = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    g_steps++;
}

/* Two functions that step through one call: (number, out of the way) -> result. */
__asm__(".text\n.type long_site, @function\nlong_site:\n"
        "push %rbx\n mov %rdi, %rbx\n test %esi, %esi\n jz 1f\n"
        "pushfq\n orl $0x100, (%rsp)\n popfq\n"
        "1: mov $110, %eax\n syscall\n mov %rax, %rbx\n nop\n"
        "test %esi, %esi\n jz 2f\n"
        "pushfq\n andl $~0x100, (%rsp)\n popfq\n"
        "2: mov %rbx, %rax\n pop %rbx\n ret\n"
        ".size long_site, . - long_site\n .balign 32\n"
        ".type short_site, @function\nshort_site:\n"
        "push %rbx\n mov %rdi, %rbx\n test %esi, %esi\n jz 1f\n"
        "pushfq\n orl $0x100, (%rsp)\n popfq\n"
        "1: mov %rbx, %rax\n syscall\n mov %rax, %rbx\n nop\n"
        "test %esi, %esi\n jz 2f\n"
        "pushfq\n andl $~0x100, (%rsp)\n popfq\n"
        "2: mov %rbx, %rax\n pop %rbx\n ret\n"
        ".size short_site, . - short_site\n .balign 64\n");
long long_site(long number, int step);
long short_site(long number, int step);

static void show(const char *what, long (*site)(long, int))
{
    long parent = getppid();
    g_steps = 0;
    long result = site(SYS_getppid, 1);
    printf("%s: %s, %d steps:", what, result == parent ? "right" : "wrong", g_steps);
    for (int i = 0; i < g_steps && i < STEPS_MAX; i++)
        printf(" %lx", (unsigned long)(g_rip[i] - (uint64_t)site));
    printf("; codes wrong: %d\n", g_codes_wrong);
}

int main(void)
{
    struct sigaction act;
    memset(&act, 0, sizeof(act));
    act.sa_sigaction = on_step;
    act.sa_flags = SA_SIGINFO;
    CHECK(sigaction(SIGTRAP, &act, NULL) == 0);
    show("long, new", long_site);
    show("short, new", short_site);
    for (int i = 0; i < 200; i++) {
        long_site(SYS_getppid, 0);
        short_site(SYS_getppid, 0);
    }
    show("long, hot", long_site);
    show("short, hot", short_site);
    /* Unwinding from within a stepped call's signal: a breakpoint and a step are told apart. */
    __asm__ volatile("int3");
    printf("after a breakpoint: %d\n", g_codes_wrong);
    for (int i = 0; i < 100; i++) {
        show("again", i % 2 ? long_site : short_site);
    }
    return 0;
}
