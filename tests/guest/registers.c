/* Registers and vector state survive system calls, fork, thread switches and signal handlers. */
#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

static volatile sig_atomic_t g_signals;
static void clobber(int sig)
{
    (void)sig;
    g_signals++;
    __asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm7, %%xmm7; pxor %%xmm15, %%xmm15; fninit; mov "
                     "$-1, %%r8; mov $-1, %%r11"
                     :
                     :
                     : "xmm0", "xmm7", "xmm15", "r8", "r11");
}

/* One system call with known values in every register it must keep. Result: 0, or a number for the register that changed. */
static long call_keeps(long number)
{
    long bad;
    __asm__ volatile(
        "mov $0x1111, %%rbx; mov $0x2222, %%r12; mov $0x3333, %%r13; mov $0x4444, %%r14; mov "
        "$0x5555, %%r15\n"
        "mov $0x66, %%r8; mov $0x77, %%r9; mov $0x88, %%r10; xor %%edi, %%edi; xor %%esi, %%esi; "
        "xor %%edx, %%edx\n"
        "movq %%rbx, %%xmm0; movq %%r12, %%xmm7; movq %%r15, %%xmm15\n"
        "syscall\n"
        "mov $1, %%eax; cmp $0x1111, %%rbx; jne 1f; mov $2, %%eax; cmp $0x2222, %%r12; jne 1f\n"
        "mov $3, %%eax; cmp $0x3333, %%r13; jne 1f; mov $4, %%eax; cmp $0x4444, %%r14; jne 1f\n"
        "mov $5, %%eax; cmp $0x5555, %%r15; jne 1f; mov $6, %%eax; cmp $0x66, %%r8; jne 1f\n"
        "mov $7, %%eax; cmp $0x77, %%r9; jne 1f; mov $8, %%eax; cmp $0x88, %%r10; jne 1f\n"
        "mov $9, %%eax; test %%rdi, %%rdi; jne 1f; mov $10, %%eax; movq %%xmm0, %%rdi; cmp %%rdi, "
        "%%rbx; jne 1f\n"
        "mov $11, %%eax; movq %%xmm7, %%rdi; cmp %%rdi, %%r12; jne 1f\n"
        "mov $12, %%eax; movq %%xmm15, %%rdi; cmp %%rdi, %%r15; jne 1f\n"
        "xor %%eax, %%eax\n1:"
        : "=a"(bad)
        : "a"(number)
        : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
          "xmm0", "xmm7", "xmm15", "memory", "cc");
    return bad;
}

__attribute__((target("avx"))) static int avx_survives(long number)
{
    __m256i in = _mm256_set_epi64x(1, 2, 3, 4), out;
    long result;
    __asm__ volatile("vmovdqa %2, %%ymm9; syscall; vmovdqa %%ymm9, %0"
                     : "=m"(out), "=a"(result)
                     : "m"(in), "a"(number), "D"(0), "S"(0), "d"(0)
                     : "rcx", "r11", "xmm9", "memory");
    return memcmp(&in, &out, sizeof(in)) == 0;
}

static void *spin(void *arg)
{
    double x = 1.0;
    long n = (long)arg;
    for (int i = 0; i < 3000000; i++)
        x = x * 1.0000001 + (double)n * 1e-9;
    double *result = malloc(sizeof(double));
    CHECK(result);
    *result = x;
    return result;
}

int main(void)
{
    const long calls[] = {SYS_getpid, SYS_sched_yield, SYS_gettid, 400 /* none */,
                          SYS_sync + 100000};
    struct sigaction action = {.sa_handler = clobber, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    unsigned a, b, c = 0, d;
    int avx = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_AVX) && (c & bit_OSXSAVE);
    struct itimerval timer = {{0, 1000}, {0, 1000}};
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    for (int i = 0; i < 20000; i++) {
        long bad = call_keeps(calls[i % 5]);
        if (bad) {
            printf("register %ld changed over call %ld\n", bad, calls[i % 5]);
            return 1;
        }
        CHECK(!avx || avx_survives(SYS_getpid));
    }
    pthread_t threads[4];
    double expected[4], *result;
    for (long t = 0; t < 4; t++)
        CHECK(pthread_create(&threads[t], NULL, spin, (void *)t) == 0);
    for (long t = 0; t < 4; t++) {
        CHECK(pthread_join(threads[t], (void **)&result) == 0);
        expected[t] = *result;
    }
    struct itimerval off = {{0, 0}, {0, 0}};
    CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
    for (long t = 0; t < 4; t++)
        CHECK(*(double *)spin((void *)t) == expected[t]);
    CHECK(g_signals > 0);
    for (int i = 0; i < 50; i++) {
        double x = 1.5 + i;
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            _exit(x * 2 == 3.0 + 2 * i && call_keeps(SYS_getpid) == 0 ? 0 : 1);
        int status;
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
    printf("all registers kept\n");
    return 0;
}
