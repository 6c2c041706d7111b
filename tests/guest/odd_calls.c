/*
 * odd_calls.c: a system call reached in other ways than by running into it: jumped to directly, from two places, in the middle of a loop;
 * the three entries of the vsyscall page; numbers with junk in their upper half. With an argument, no bad pointers for the vsyscall page:
 * where seccomp intercepts, they give EFAULT instead of SIGSEGV.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

__asm__(
    ".text\n.type usual, @function\nusual:\n mov $110, %eax\nthe_call:\n syscall\n ret\n"
    ".size usual, . - usual\n .balign 32\n"
    /* rax = number: straight to the instruction */
    ".type direct, @function\ndirect:\n mov %rdi, %rax\n jmp the_call\n .balign 32\n"
    /* by a computed jump */
    ".type computed, @function\ncomputed:\n mov %rdi, %rax\n lea the_call(%rip), %rdx\n jmp *%rdx\n"
    " .balign 32\n"
    /* a conditional jump skips the instruction before it */
    ".type skipping, @function\nskipping:\n mov %rdi, %rax\n test %esi, %esi\n jz 1f\n"
    " mov $110, %eax\n1: syscall\n ret\n .balign 32\n"
    /* a loop whose head is the call */
    ".type looping, @function\nlooping:\n mov $20, %ebx\n mov $110, %eax\n1: syscall\n"
    " mov %rdi, %rax\n dec %ebx\n jnz 1b\n ret\n .balign 32\n"
    ".type short_call, @function\nshort_call:\n mov %rdi, %rax\n syscall\n ret\n .balign 32\n");
long usual(void);
long direct(long number);
long computed(long number);
long skipping(long number, int usual);
long short_call(long number);

static long loop(long number)
{
    long result;
    __asm__ volatile("call looping"
                     : "=a"(result)
                     : "D"(number)
                     : "rbx", "rcx", "r11", "rdx", "memory", "cc");
    return result;
}

static sigjmp_buf g_back;
static uint64_t g_fault;
static void on_fault(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    g_fault = (uint64_t)(uintptr_t)info->si_addr;
    siglongjmp(g_back, 1);
}

/* -1: there is no such page on this machine */
static long vsyscall(uint64_t entry, long a, long b)
{
    long (*call)(long, long, long) = (long (*)(long, long, long))entry;
    if (sigsetjmp(g_back, 1)) {
        printf("vsyscall %#lx: fault at %#lx\n", (unsigned long)entry, (unsigned long)g_fault);
        return -1;
    }
    return call(a, b, 0);
}

static void vsyscalls(int bad_pointers)
{
    struct timeval tv = {0, 0};
    time_t now = time(NULL), stored = 0;
    unsigned cpu = 12345, node = 12345;
    struct sigaction act;
    memset(&act, 0, sizeof(act));
    act.sa_sigaction = on_fault;
    act.sa_flags = SA_SIGINFO;
    CHECK(sigaction(SIGSEGV, &act, NULL) == 0);
    for (int i = 0; i < 100; i++) {
        long result = vsyscall(0xffffffffff600000u, (long)&tv, 0);
        if (result < 0)
            return;
        CHECK(result == 0 && tv.tv_sec >= now && tv.tv_sec < now + 1000);
        result = vsyscall(0xffffffffff600400u, (long)&stored, 0);
        CHECK(result >= now && result == stored);
        CHECK(vsyscall(0xffffffffff600800u, (long)&cpu, (long)&node) == 0 && cpu < 12345);
    }
    printf("vsyscall page: all three answer\n");
    vsyscall(0xffffffffff600010u, 0, 0); /* no entry */
    if (bad_pointers)
        vsyscall(0xffffffffff600000u, 8, 0); /* nothing is mapped there */
}

int main(int argc, char **argv)
{
    long parent = getppid(), user = (long)getuid();
    int wrong = 0;
    (void)argv;
    for (int i = 0; i < 400; i++) {
        wrong += usual() != parent;
        if (i > 50) {
            wrong += direct(SYS_getuid) != user;
            wrong += computed(SYS_getppid) != parent;
        }
        wrong += skipping(SYS_getuid, i % 2) != (i % 2 ? parent : user);
        wrong += loop(SYS_getppid) != SYS_getppid;
        wrong += short_call(SYS_getppid) != parent;
        wrong += short_call((long)(0xabcdef0000000000u | SYS_getppid)) != parent;
        wrong += short_call((long)(0x7fffffff00000000u | 1000)) != -ENOSYS;
        wrong += short_call(-1) != -ENOSYS;
    }
    printf("wrong: %d\n", wrong);
    vsyscalls(argc == 1);
    return 0;
}
