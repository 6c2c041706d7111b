/*
 * null_selectors.c: loading a null selector into FS or GS clears the segment's base, and that of nobody else: neither of a process with
 * the same base that runs on the same processor next, nor for longer than until the base is set again. And flags: a guest may set AC,
 * keeps it over calls and faults, and gets SIGBUS for what it then misaligns.
 */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define ARCH_SET_GS 0x1001 /* arch_prctl(2); musl has no asm/prctl.h */
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define FLAG_AC 0x40000ul

enum { TURNS = 200, SIBLINGS = 3 };

static uint64_t g_words[2] = {0, 0x5555};
static __thread uint64_t t_word = 0x7777;

/* Without the C library's help: it looks for errno by FS. */
static inline long raw(long number, long a, long b)
{
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b)
                     : "rcx", "r11", "memory");
    return result;
}

static uint64_t gs_word(void)
{
    uint64_t value;
    __asm__ volatile("movq %%gs:8, %0" : "=r"(value));
    return value;
}

/* No stack protector may look by FS meanwhile: all of it is in one function without arrays. */
static long clear_bases(uint64_t fs)
{
    long wrong = 0;
    __asm__ volatile("mov %0, %%fs; mov %0, %%gs" : : "r"(0) : "memory");
    wrong |= raw(SYS_sched_yield, 0, 0);
    wrong |= raw(SYS_arch_prctl, ARCH_SET_FS, (long)fs);
    wrong |= raw(SYS_arch_prctl, ARCH_SET_GS, (long)g_words);
    return wrong;
}

static int clears(uint64_t fs)
{
    for (int i = 0; i < TURNS; i++)
        if (clear_bases(fs) || t_word != 0x7777 || gs_word() != 0x5555)
            return 1;
    return 0;
}

static int keeps(void)
{
    for (int i = 0; i < TURNS; i++) {
        if (t_word != 0x7777 || gs_word() != 0x5555)
            return 1;
        sched_yield();
    }
    return 0;
}

static void bases(void)
{
    uint64_t fs = 0;
    int failed = 0;
    CHECK(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs) == 0);
    CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, g_words) == 0);
    fflush(stdout);
    for (int i = 0; i < SIBLINGS; i++) {
        if (fork() == 0)
            _exit(i == 0 ? clears(fs) : keeps());
    }
    for (int i = 0; i < SIBLINGS; i++) {
        int status = 0;
        CHECK(wait(&status) > 0);
        failed += status != 0;
    }
    printf("processes that lost a base: %d\n", failed);
    CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, 0) == 0);
}

static unsigned long flags(void)
{
    unsigned long value;
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; pop %0; lea 128(%%rsp), %%rsp" /* red zone */
                     : "=r"(value)
                     :
                     : "memory");
    return value;
}

static void set_flags(unsigned long value)
{
    __asm__ volatile("lea -128(%%rsp), %%rsp; push %0; popfq; lea 128(%%rsp), %%rsp"
                     :
                     : "r"(value)
                     : "memory", "cc");
}

static sigjmp_buf g_back;

static void on_bus(int signo, siginfo_t *info, void *context)
{
    (void)context;
    set_flags(flags() & ~FLAG_AC);
    siglongjmp(g_back, signo == SIGBUS ? info->si_code : -1);
}

static void alignment(void)
{
    static _Alignas(8) char bytes[16];
    struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    char *page = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED && sigaction(SIGBUS, &action, NULL) == 0);
    const unsigned long before = flags();
    unsigned long kept[2];
    set_flags(before | FLAG_AC);
    long got = raw(SYS_getppid, 0, 0);
    kept[0] = flags();
    for (int i = 0; i < 4; i++)
        *(volatile char *)(page + i * 4096) = 1; /* a fault each */
    kept[1] = flags();
    set_flags(before);
    printf("AC after a call: %d, after faults: %d\n", (kept[0] & FLAG_AC) != 0 && got > 0,
           (kept[1] & FLAG_AC) != 0);
    int code = sigsetjmp(g_back, 1);
    if (code == 0) {
        set_flags(before | FLAG_AC);
        __asm__ volatile("movl $1, (%0)" : : "r"(bytes + 1) : "memory");
        set_flags(before);
    }
    printf("misaligned: %d, BUS_ADRALN is %d\n", code, BUS_ADRALN);
    munmap(page, 4 * 4096);
}

int main(void)
{
    bases();
    alignment();
    return 0;
}
