/*
 * call_storm.c: system calls from several threads under a storm of signals keep every register, the flags, the red zone and the vector
 * state; the sites become hot enough to be rewritten while they run.
 *
 *     call_storm [SIGNALS SECONDS]     so many signals, or as many as there is time for
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"
#include "vectors.h"

#define THREADS 4
#define ROUNDS 30000 /* calls of each thread at least */
#define SIGNALS 5000 /* handled by all of them together, unless the arguments say more */

static pthread_t g_threads[THREADS];
static volatile int g_stop;
static uint64_t g_handled, g_wrong;
static int g_level;

/* Registers that the compiler does not use, and the C library not in between. */
static void wide_load(uint64_t value)
{
    if (g_level == AVX512)
        __asm__ volatile("vpbroadcastq %0, %%zmm17\n\tvpbroadcastq %0, %%zmm31\n\tkmovq %0, %%k5"
                         :
                         : "r"(value));
}

static uint64_t wide_differ(uint64_t value)
{
    uint64_t found[17], wrong = 0;
    if (g_level != AVX512)
        return 0;
    __asm__ volatile("vmovdqu64 %%zmm17, (%0)\n\tvmovdqu64 %%zmm31, 64(%0)\n\tkmovq %%k5, 128(%0)"
                     :
                     : "r"(found)
                     : "memory");
    for (size_t i = 0; i < sizeof(found) / sizeof(found[0]); i++)
        wrong |= found[i] ^ value;
    return wrong;
}

static void on_signal(int signo)
{
    (void)signo;
    wide_load(~0ull);
    __atomic_fetch_add(&g_handled, 1, __ATOMIC_RELAXED);
}

/* One getppid with known values everywhere; the number of things that changed. */
static uint64_t call_once(uint64_t value)
{
    register uint64_t seed __asm__("r12") = value; /* not rbp, which is changed */
    uint64_t wrong = 0;
    __asm__ volatile(
        "sub $256, %%rsp\n\t"          /* out of the compiler's own red zone */
        "movq %[seed], -64(%%rsp)\n\t" /* ours */
        "movq %[seed], -128(%%rsp)\n\t"
        "movq %[seed], %%xmm7\n\t"
        "movq %[seed], %%xmm15\n\t"
        "push %%rbp\n\t"
        "lea 1(%[seed]), %%rdi\n\t"
        "lea 2(%[seed]), %%rsi\n\t"
        "lea 3(%[seed]), %%rdx\n\t"
        "lea 4(%[seed]), %%r10\n\t"
        "lea 5(%[seed]), %%r8\n\t"
        "lea 6(%[seed]), %%r9\n\t"
        "lea 7(%[seed]), %%r13\n\t"
        "lea 8(%[seed]), %%r14\n\t"
        "lea 9(%[seed]), %%r15\n\t"
        "lea 10(%[seed]), %%rbp\n\t"
        "movq %[seed], -72(%%rsp)\n\t"
        "xor %%ecx, %%ecx\n\t"
        "stc\n\t"
        "mov %[nr], %%eax\n\t"
        "syscall\n\t"
        "adc $0, %[wrong]\n\t" /* the carry flag survives */
        "dec %[wrong]\n\t"
        "sub $1, %%rdi\n\t sub $2, %%rsi\n\t sub $3, %%rdx\n\t sub $4, %%r10\n\t sub $5, %%r8\n\t"
        "sub $6, %%r9\n\t sub $7, %%r13\n\t sub $8, %%r14\n\t sub $9, %%r15\n\t sub $10, %%rbp\n\t"
        "xor %[seed], %%rdi\n\t or %%rdi, %[wrong]\n\t"
        "xor %[seed], %%rsi\n\t or %%rsi, %[wrong]\n\t"
        "xor %[seed], %%rdx\n\t or %%rdx, %[wrong]\n\t"
        "xor %[seed], %%r10\n\t or %%r10, %[wrong]\n\t"
        "xor %[seed], %%r8\n\t or %%r8, %[wrong]\n\t"
        "xor %[seed], %%r9\n\t or %%r9, %[wrong]\n\t"
        "xor %[seed], %%r13\n\t or %%r13, %[wrong]\n\t"
        "xor %[seed], %%r14\n\t or %%r14, %[wrong]\n\t"
        "xor %[seed], %%r15\n\t or %%r15, %[wrong]\n\t"
        "xor %[seed], %%rbp\n\t or %%rbp, %[wrong]\n\t"
        "movq -72(%%rsp), %%rcx\n\t xor %[seed], %%rcx\n\t or %%rcx, %[wrong]\n\t"
        "pop %%rbp\n\t"
        "movq -128(%%rsp), %%rcx\n\t xor %[seed], %%rcx\n\t or %%rcx, %[wrong]\n\t"
        "movq %%xmm7, %%rcx\n\t xor %[seed], %%rcx\n\t or %%rcx, %[wrong]\n\t"
        "movq %%xmm15, %%rcx\n\t xor %[seed], %%rcx\n\t or %%rcx, %[wrong]\n\t"
        "add $256, %%rsp\n\t"
        : [wrong] "+b"(wrong)
        : [seed] "r"(seed), [nr] "i"(SYS_getppid)
        : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r13", "r14", "r15", "xmm7",
          "xmm15", "memory", "cc");
    return wrong;
}

/* The page of the call above, writable for a moment. */
static void touch_text(void)
{
    char *page = (char *)((uintptr_t)call_once & ~4095ul);
    CHECK(mprotect(page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
    CHECK(mprotect(page, 8192, PROT_READ | PROT_EXEC) == 0);
}

static void *caller(void *arg)
{
    uint64_t seed = 0x1234567 * (1 + (uint64_t)(uintptr_t)arg), wrong = 0;
    for (int i = 0; i < ROUNDS || !g_stop; i++, seed = seed * 6364136223846793005u + 1) {
        wide_load(seed);
        wrong += call_once(seed >> 8) != 0;
        wrong += wide_differ(seed) != 0;
    }
    __atomic_fetch_add(&g_wrong, wrong, __ATOMIC_RELAXED);
    return NULL;
}

/* Cancelled in a blocking call whose site is hot. */
static void *sleeper(void *arg)
{
    int *pipe_end = arg;
    char byte;
    for (;;)
        if (read(*pipe_end, &byte, 1) < 0)
            return NULL;
}

int main(int argc, char **argv)
{
    uint64_t signals = argc > 2 ? strtoull(argv[1], NULL, 10) : SIGNALS;
    time_t end = argc > 2 ? time(NULL) + atoi(argv[2]) : INT32_MAX;
    struct sigaction act;
    g_level = vector_level();
    memset(&act, 0, sizeof(act));
    act.sa_handler = on_signal;
    act.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &act, NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&g_threads[i], NULL, caller, (void *)i);
    for (unsigned turn = 0; __atomic_load_n(&g_handled, __ATOMIC_RELAXED) < signals; turn++) {
        pthread_kill(g_threads[turn % THREADS], SIGUSR1);
        if (turn % 1024 != 0)
            continue;
        if (time(NULL) >= end)
            break;
        /* Sites that were rewritten become as they were, under those who call, and hot again */
        if (argc > 2)
            touch_text();
    }
    g_stop = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(g_threads[i], NULL);
    if (argc > 2)
        fprintf(stderr, "%lu signals handled, vector registers of kind %d\n",
                (unsigned long)g_handled, g_level);
    printf("registers wrong: %d\n", (int)g_wrong);

    int ends[2], cancelled = 0;
    if (pipe(ends) != 0)
        return 1;
    for (int i = 0; i < 200; i++) {
        pthread_t t;
        void *result;
        pthread_create(&t, NULL, sleeper, &ends[0]);
        if (i % 2)
            sched_yield();
        pthread_cancel(t);
        pthread_join(t, &result);
        cancelled += result == PTHREAD_CANCELED;
    }
    printf("cancelled: %d\n", cancelled);
    return g_wrong != 0 || cancelled != 200;
}
