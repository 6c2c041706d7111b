/*
 * protection_keys.c: a program that denies itself the default protection key, and then makes a system call, gets its answer and its
 * registers; hot sites and new ones. What it sees of PKRU afterwards is not looked at (docs/caveats.md).
 *
 * Linux writes a task's restartable-sequences area whenever it comes back from a preemption, by the PKRU of the moment: with key 0
 * denied that write fails, and the task gets a SIGSEGV. So the area that glibc registered is taken back first.
 */
#include <cpuid.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

#define ALLOWED 0x55555554u /* what Linux starts programs with */

/* glibc 2.35 and later register an area beside the thread pointer, of the size that Linux first had; other libraries none. */
#define RSEQ_AREA_SIZE 32
#define RSEQ_SIGNATURE 0x53053053
extern const ptrdiff_t __rseq_offset __attribute__((weak));

static long wrong;

static void unregister_rseq(void)
{
    if (&__rseq_offset)
        syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, RSEQ_AREA_SIZE,
                1 /* RSEQ_FLAG_UNREGISTER */, RSEQ_SIGNATURE);
}

/* One call with key 0 denied as `denied` says; all in registers, since nothing else can be reached. */
static long call_denied(long number, uint32_t denied)
{
    long result, kept = 0;
    __asm__ volatile("mov %[denied], %%eax\n\t"
                     "xor %%ecx, %%ecx\n\t"
                     "xor %%edx, %%edx\n\t"
                     "mov $0x1234, %%r12d\n\t"
                     "mov $0x5678, %%r8d\n\t"
                     "movq %%r12, %%xmm9\n\t"
                     "wrpkru\n\t"
                     "mov %[number], %%rax\n\t"
                     "syscall\n\t"
                     "mov %%rax, %%r13\n\t"
                     "mov %[allowed], %%eax\n\t"
                     "xor %%ecx, %%ecx\n\t"
                     "xor %%edx, %%edx\n\t"
                     "wrpkru\n\t"
                     "mov %%r13, %[result]\n\t"
                     "movq %%xmm9, %%rcx\n\t"
                     "sub %%r12, %%rcx\n\t"
                     "sub $0x5678, %%r8\n\t"
                     "or %%rcx, %%r8\n\t"
                     "sub $0x1234, %%r12\n\t"
                     "or %%r12, %%r8\n\t"
                     "mov %%r8, %[kept]\n\t"
                     : [result] "=&r"(result), [kept] "=&r"(kept)
                     : [denied] "r"(denied), [number] "r"(number), [allowed] "i"(ALLOWED)
                     : "rax", "rcx", "rdx", "r8", "r11", "r12", "r13", "xmm9", "memory", "cc");
    wrong += kept != 0;
    return result;
}

/* The same with an instruction before the call that can make room for a jump. */
static long getppid_denied(uint32_t denied)
{
    long result;
    __asm__ volatile("mov %[denied], %%eax\n\t"
                     "xor %%ecx, %%ecx\n\t"
                     "xor %%edx, %%edx\n\t"
                     "wrpkru\n\t"
                     "mov %[number], %%eax\n\t"
                     "syscall\n\t"
                     "mov %%rax, %%r13\n\t"
                     "mov %[allowed], %%eax\n\t"
                     "xor %%ecx, %%ecx\n\t"
                     "xor %%edx, %%edx\n\t"
                     "wrpkru\n\t"
                     "mov %%r13, %[result]\n\t"
                     : [result] "=&r"(result)
                     : [denied] "r"(denied), [number] "i"(SYS_getppid), [allowed] "i"(ALLOWED)
                     : "rax", "rcx", "rdx", "r11", "r13", "memory", "cc");
    return result;
}

static void on_signal(int signo)
{
    (void)signo;
}

int main(void)
{
    unsigned a, b = 0, c = 0, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(c & (1u << 4) /* OSPKE */)) {
        printf("no protection keys\n");
        return 0;
    }
    unregister_rseq();
    long parent = getppid();
    signal(SIGUSR1, on_signal);
    for (uint32_t bits = 0; bits < 4; bits++) {
        for (int i = 0; i < 100; i++) {
            wrong += call_denied(SYS_getppid, ALLOWED | bits) != parent;
            wrong += getppid_denied(ALLOWED | bits) != parent;
            wrong += call_denied(1000, ALLOWED | bits) != -ENOSYS;
        }
        raise(SIGUSR1);
        printf("bits %u: wrong: %ld\n", bits, wrong);
    }
    return 0;
}
