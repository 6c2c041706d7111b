/*
 * stub_places.c: threads make system calls while another maps over, and frees again, all of the address space a GiB or so below and above
 * their text. A platform that keeps something of its own in such holes has to get it, and the threads, out of the way.
 */
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

#define THREADS 3
#define TURNS 120
#define HALF (1ull << 29)

static volatile int g_stop;
static long g_parent, g_wrong;

__asm__(".text\n.type sites, @function\nsites:\n"
        ".rept 8\n mov $110, %eax\n syscall\n cmp %rdi, %rax\n jne 1f\n .endr\n"
        "xor %eax, %eax\n ret\n1: mov $1, %eax\n ret\n .size sites, . - sites\n .balign 64\n");
long sites(long expected);

static void *caller(void *arg)
{
    long wrong = 0;
    (void)arg;
    while (!g_stop)
        wrong += sites(g_parent);
    __atomic_fetch_add(&g_wrong, wrong, __ATOMIC_RELAXED);
    return NULL;
}

/* Only what is free: the program's own mappings are not in the way there, but a heap may be. */
static int take(uint64_t text, int64_t distance, int turn)
{
    uint64_t at = (text + (uint64_t)distance) & ~0xffffffull;
    char *got = mmap((void *)at, 1 << 20, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == MAP_FAILED)
        return 0;
    CHECK(got == (char *)at && got[0] == 0 && got[65535] == 0);
    memset(got, 0xcc, 65536);
    if (turn % 3)
        CHECK(munmap(got, 1 << 20) == 0);
    else
        CHECK(mmap(got, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == got);
    if (turn % 3 == 0)
        CHECK(munmap(got, 1 << 20) == 0);
    return 1;
}

int main(void)
{
    pthread_t threads[THREADS];
    g_parent = getppid();
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, caller, NULL) == 0);
    for (int turn = 0; turn < TURNS; turn++) {
        usleep(3000);
        for (int64_t step = -3; step <= 3; step++)
            take((uint64_t)(uintptr_t)sites, step * (int64_t)HALF, turn);
    }
    g_stop = 1;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    printf("wrong answers: %ld\n", g_wrong);
    return 0;
}
