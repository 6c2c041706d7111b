/*
 * guest_bench.c: the measurements, as an ordinary program: the same binary runs natively and under pal. One measurement a process, so
 * that nothing is resident but what it asks for. Prints the median in nanoseconds.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void report(uint64_t *samples, int count)
{
    qsort(samples, (size_t)count, sizeof(*samples), compare);
    printf("%llu\n", (unsigned long long)samples[count / 2]);
}

/* Memory as malloc or a runtime would get it: one aligned anonymous mapping, every page written. */
static char *resident(size_t size, int advice)
{
    if (size == 0)
        return NULL;
    const size_t huge = 2u << 20;
    char *p = mmap(NULL, size + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(p != MAP_FAILED, "mmap");
    p = (char *)(((uintptr_t)p + huge - 1) & ~(huge - 1));
    if (advice >= 0)
        check(madvise(p, size, advice) == 0, "madvise");
    memset(p, 1, size);
    return p;
}

static void wait_for(pid_t pid)
{
    int status;
    check(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "waitpid");
}

static void bench_fork(size_t mib, int rounds)
{
    uint64_t samples[1000];
    resident(mib << 20, -1);
    for (int i = -3; i < rounds; i++) {
        uint64_t start = now_ns();
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        wait_for(pid);
        if (i >= 0)
            samples[i] = now_ns() - start;
    }
    report(samples, rounds);
}

static void bench_fork_exec(const char *self, int rounds)
{
    uint64_t samples[1000];
    for (int i = -3; i < rounds; i++) {
        uint64_t start = now_ns();
        pid_t pid = fork();
        if (pid == 0) {
            execl(self, self, "nothing", (char *)NULL);
            _exit(1);
        }
        wait_for(pid);
        if (i >= 0)
            samples[i] = now_ns() - start;
    }
    report(samples, rounds);
}

/* The child's first write to each of many pages, far apart and in no order; per write. */
static void bench_cow(int advice, int rounds)
{
    enum { WRITES = 512 };
    const size_t size = 256u << 20, stride = size / WRITES;
    uint64_t samples[1000];
    char *memory = resident(size, advice);
    uint64_t *result = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(result != MAP_FAILED, "mmap");
    for (int i = -1; i < rounds; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            uint64_t start = now_ns();
            for (unsigned w = 0; w < WRITES; w++) {
                size_t index = (w * 197u) % WRITES; /* 197 and 512 have no common factor */
                *(volatile char *)(memory + index * stride + (index % 128) * 4096) = 2;
            }
            *result = (now_ns() - start) / WRITES;
            _exit(0);
        }
        wait_for(pid);
        if (i >= 0)
            samples[i] = *result;
    }
    report(samples, rounds);
}

static void *sleep_in_thread(void *gate)
{
    char byte;
    check(read(*(int *)gate, &byte, 1) == 0, "read");
    return NULL;
}

/* `count` that do nothing but wait, until standard input ends; says so when all do. What they cost is to be seen from outside. */
static void sleepers(const char *self, const char *kind, int count)
{
    int gate[2], up[2];
    char byte = 0;
    check(pipe(gate) == 0 && pipe2(up, O_CLOEXEC) == 0 && dup2(gate[0], 9) == 9, "pipe");
    check(fcntl(gate[1], F_SETFD, FD_CLOEXEC) == 0, "fcntl");
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        if (strcmp(kind, "threads") == 0) {
            check(pthread_create(&thread, NULL, sleep_in_thread, gate) == 0, "pthread_create");
            continue;
        }
        pid_t pid = fork();
        check(pid >= 0, "fork");
        if (pid == 0) {
            close(gate[1]);
            if (strcmp(kind, "execs") == 0)
                execl(self, self, "sleeper", (char *)NULL);
            sleep_in_thread(gate);
            _exit(0);
        }
    }
    close(up[1]);
    if (strcmp(kind, "execs") == 0) /* each has closed its end by execve */
        check(read(up[0], &byte, 1) == 0, "read");
    usleep(100000);
    puts("asleep");
    fflush(stdout);
    check(read(0, &byte, 1) == 0, "read");
    close(gate[1]);
    while (wait(NULL) > 0)
        continue;
    exit(0);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    int rounds = argc > 2 ? atoi(argv[2]) : 100;
    if (rounds < 1 || rounds > 1000)
        rounds = 100;
    if (strcmp(name, "nothing") == 0)
        return 0;
    if (strcmp(name, "sleeper") == 0)
        sleep_in_thread(&(int){9});
    else if (strncmp(name, "sleepers-", 9) == 0)
        sleepers(argv[0], name + 9, argc > 2 ? atoi(argv[2]) : 0);
    else if (strcmp(name, "fork-0") == 0)
        bench_fork(0, rounds);
    else if (strcmp(name, "fork-64") == 0)
        bench_fork(64, rounds);
    else if (strcmp(name, "fork-512") == 0)
        bench_fork(512, rounds);
    else if (strcmp(name, "fork-exec") == 0)
        bench_fork_exec(argv[0], rounds);
    else if (strcmp(name, "cow-huge") == 0)
        bench_cow(-1, rounds);
    else if (strcmp(name, "cow-small") == 0)
        bench_cow(MADV_NOHUGEPAGE, rounds);
    else {
        fprintf(stderr, "usage: guest_bench NAME [ROUNDS]\n");
        return 2;
    }
    return 0;
}
