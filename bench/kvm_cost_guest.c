/*
 * kvm_cost_guest.c: a guest program that reads what calls, faults and switches cost from the processor's counter, which counts instructions
 * under QEMU with "-icount shift=0". Each line: a name and the best of many rounds, the reading of the counter itself subtracted.
 *
 * kvm_cost_guest --launch COMMAND... kvm_cost_guest --launched: the time from before COMMAND to the guest's first instructions, by the clock,
 * which shows a nanosecond an instruction there.
 */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

enum { ROUNDS = 400, PAGES = 256, PAGE = 4096 };

static uint64_t g_reading = UINT64_MAX; /* of the counter, twice */

static inline uint64_t ticks(void)
{
    uint64_t now;
    __asm__ volatile("lfence; rdtsc; shl $32, %%rdx; or %%rdx, %%rax"
                     : "=a"(now)
                     :
                     : "rdx", "memory");
    return now;
}

static void keep(uint64_t *best, uint64_t from, uint64_t to)
{
    if (to - from < *best)
        *best = to - from;
}

static void say(const char *name, uint64_t best)
{
    printf("%s %lu\n", name, best - g_reading);
    fflush(stdout);
}

static void require(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static void loop(void)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t count = 500, start = ticks();
        __asm__ volatile("1: dec %0; jnz 1b" : "+r"(count) : : "cc");
        keep(&best, start, ticks());
    }
    say("loop", best);
}

static void null_call(void)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        long result;
        uint64_t start = ticks();
        __asm__ volatile("syscall"
                         : "=a"(result)
                         : "0"((long)SYS_getppid)
                         : "rcx", "r11", "memory");
        keep(&best, start, ticks());
    }
    say("null-call", best);
}

/* A child writes one page after the other of what it shares with its parent; its parent looks on. */
static void write_faults(void)
{
    char *region =
        mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(region != MAP_FAILED && madvise(region, PAGES * PAGE, MADV_NOHUGEPAGE) == 0, "mmap");
    /* Memory that the machine has used before: what the host does when it gives some for the first time is no cost of the guest's kernel. */
    for (int i = 0; i < PAGES; i++)
        *(volatile char *)(region + i * PAGE) = 1;
    require(madvise(region, PAGES * PAGE, MADV_DONTNEED) == 0, "madvise");
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < PAGES; i++) {
        uint64_t start = ticks();
        *(volatile char *)(region + i * PAGE) = 1;
        keep(&best, start, ticks());
    }
    say("zero-fault", best);
    pid_t pid = fork();
    if (pid == 0) {
        best = UINT64_MAX;
        for (int i = 0; i < PAGES; i++) {
            uint64_t start = ticks();
            *(volatile char *)(region + i * PAGE) = 2;
            keep(&best, start, ticks());
        }
        say("cow-fault", best);
        _exit(0);
    }
    int status;
    require(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "fork");
}

/* Two processes that give way to each other: two switches and two calls a round. */
static void switches(void)
{
    volatile uint32_t *shared =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(shared != MAP_FAILED, "mmap");
    pid_t pid = fork();
    if (pid == 0) {
        while (!shared[0]) {
            shared[1]++;
            sched_yield();
        }
        _exit(0);
    }
    uint64_t best = UINT64_MAX;
    int there = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t seen = shared[1];
        uint64_t start = ticks();
        sched_yield();
        uint64_t end = ticks();
        if (shared[1] == seen + 1) { /* it ran, once */
            keep(&best, start, end);
            there++;
        }
    }
    shared[0] = 1;
    int status;
    require(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "fork");
    if (there)
        say("two-switches", best);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    require(clock_gettime(CLOCK_MONOTONIC, &now) == 0, "clock_gettime");
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Become `command` with the time of now as one more argument. */
static void launch(int count, char **command)
{
    char text[24];
    char **argv = calloc((size_t)count + 2, sizeof(*argv));
    require(argv != NULL, "calloc");
    memcpy(argv, command, (size_t)count * sizeof(*argv));
    snprintf(text, sizeof(text), "%lu", now_ns());
    argv[count] = text;
    execv(argv[0], argv);
    require(0, argv[0]);
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--launch") == 0)
        launch(argc - 2, argv + 2);
    if (argc == 3 && strcmp(argv[1], "--launched") == 0) {
        printf("start %lu\n", now_ns() - strtoul(argv[2], NULL, 10));
        return 0;
    }
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = ticks();
        keep(&g_reading, start, ticks());
    }
    loop();
    null_call();
    write_faults();
    switches();
    return 0;
}
