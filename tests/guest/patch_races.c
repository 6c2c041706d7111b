/*
 * patch_races.c: many threads meet the same system-call sites for the first times at once, while the program forks, and while the text they
 * ran a moment ago is unmapped and mapped again: whoever rewrites sites under them has to do it without one of them noticing.
 *
 *     patch_races [ROUNDS]
 */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "mapped_text.h"

#define THREADS 3
#define SITES 96 /* functions of SITE_SIZE bytes in one copy of the text */
#define CALLS 14 /* of each thread at each site in a row */
#define SITE_SIZE 64
#define COPIES 2

/* Three kinds in turn: rdi = number, rsi = another value that comes back when all is well. */
__asm__(".text\n.balign 4096\n.globl sites\n.type sites, @function\nsites:\n"
        ".rept 32\n"
        " mov $110, %eax\n syscall\n add %rsi, %rax\n ret\n .balign 64\n"
        " lea 16(%rsi,%rdi,1), %rdx\n mov %rdi, %rax\n lea -16(%rdx), %rdx\n"
        " mov $110, %eax\n syscall\n sub %rdi, %rdx\n lea (%rax,%rdx,1), %rax\n ret\n .balign 64\n"
        " mov %rdi, %rax\n syscall\n add %rsi, %rax\n ret\n .balign 64\n"
        ".endr\n.size sites, . - sites\n.balign 4096\n");
extern uint8_t sites[];

static uint8_t *volatile g_copy;
static long g_parent, g_wrong;
static volatile int g_round, g_rounds;
static unsigned g_arrived;

static uint8_t *map_copy(void *at)
{
    return map_text(sites, SITES * SITE_SIZE + 4096, at);
}

static long call_site(const uint8_t *copy, int i, long salt)
{
    long (*site)(long, long) = (long (*)(long, long))(uintptr_t)(copy + i * SITE_SIZE);
    return site(SYS_getppid, salt) - salt;
}

/* Returns when all threads are here; they go on within some hundred cycles of one another if there are processors for them. */
static void together(unsigned *count, unsigned target)
{
    __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; (int)(__atomic_load_n(count, __ATOMIC_SEQ_CST) - target) < 0; i++)
        if (i > 200)
            sched_yield();
}

static void *worker(void *arg)
{
    long salt = 1000 * (1 + (long)(uintptr_t)arg), wrong = 0;
    unsigned meetings = 0;
    for (int round = 0; round < g_rounds; round++) {
        together(&g_arrived, ++meetings * (THREADS + 1));
        const uint8_t *copy = g_copy;
        for (int i = 0; i < SITES; i++) {
            together(&g_arrived, ++meetings * (THREADS + 1));
            for (int n = 0; n < CALLS; n++)
                wrong += call_site(copy, i, salt + n) != g_parent;
        }
    }
    __atomic_fetch_add(&g_wrong, wrong, __ATOMIC_RELAXED);
    return NULL;
}

static void child(const uint8_t *copy, int at)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        long wrong = 0, parent = getppid();
        for (int i = 0; i < SITES; i++)
            wrong += call_site(copy, (at + i) % SITES, 5) != parent;
        _exit(wrong != 0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    g_wrong += status != 0;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    uint8_t *copies[COPIES];
    unsigned meetings = 0;
    g_rounds = argc > 1 ? atoi(argv[1]) : 12;
    g_parent = getppid();
    for (int i = 0; i < COPIES; i++)
        copies[i] = map_copy(NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, worker, (void *)i) == 0);
    for (int round = 0; round < g_rounds; round++) {
        int now = round % COPIES;
        g_copy = copies[now];
        together(&g_arrived, ++meetings * (THREADS + 1));
        for (int i = 0; i < SITES; i++) {
            together(&g_arrived, ++meetings * (THREADS + 1));
            if (i % 32 == 7)
                child(copies[now], i);
            if (i % 32 != 20)
                continue;
            /* The other copy, whose sites were hot in the round before, and where nobody is now. */
            uint8_t *other = copies[(now + 1) % COPIES];
            if (round % 3)
                CHECK(munmap(other, SITES * SITE_SIZE + 4096) == 0);
            copies[(now + 1) % COPIES] = map_copy(round % 3 == 1 ? NULL : other);
        }
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    printf("wrong: %ld\n", g_wrong);
    return g_wrong != 0;
}
