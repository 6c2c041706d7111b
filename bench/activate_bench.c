/*
 * activate_bench.c: what a change of space costs. `activate`: this thread of control goes from one space to another and back.
 * `switch`: its native counterpart, a change between two host processes on one core through a futex, both ways. Prints the median of
 * one change in nanoseconds.
 */
#include <linux/futex.h>
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

#include "platform/front.h"

void activate_main(struct platform *p, void *blob, size_t size);

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void hand_over(uint32_t *word, uint32_t mine, uint32_t other)
{
    __atomic_store_n(word, other, __ATOMIC_RELEASE);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != mine)
        syscall(SYS_futex, word, FUTEX_WAIT, other, NULL, NULL, 0);
}

static int bench_switch(void)
{
    enum { ROUNDS = 100, TRIPS = 200 };
    uint64_t samples[ROUNDS];
    uint32_t *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (word == MAP_FAILED)
        return 1;
    pid_t pid = fork();
    if (pid == 0) {
        for (;;) {
            while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != 1)
                syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
            hand_over(word, 1, 0);
        }
    }
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = now_ns();
        for (int t = 0; t < TRIPS; t++)
            hand_over(word, 0, 1);
        samples[i] = (now_ns() - start) / TRIPS / 2;
    }
    kill(pid, 9);
    waitpid(pid, NULL, 0);
    qsort(samples, ROUNDS, sizeof(*samples), compare);
    printf("%llu\n", (unsigned long long)samples[ROUNDS / 2]);
    return 0;
}

int main(int argc, char **argv)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof(one), &one);
    if (argc == 2 && strcmp(argv[1], "switch") == 0)
        return bench_switch();
    if (argc != 2 || strcmp(argv[1], "activate") != 0) {
        fprintf(stderr, "usage: activate_bench activate|switch\n");
        return 2;
    }
    struct platform_options options = {.trace_fd = dup(STDOUT_FILENO)};
    char why[256] = "";
    int status = 0;
    int err = g_platform_fronts[0]->run(&options, activate_main, "", 1, &status, why, sizeof(why));
    if (err)
        fprintf(stderr, "activate_bench: %s\n", why);
    return err || status ? 1 : 0;
}
