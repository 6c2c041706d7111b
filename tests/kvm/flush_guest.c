/*
 * flush_guest.c: what one thread takes away, another one on another processor must not use any more: rights (mprotect), pages
 * (MADV_DONTNEED, munmap) and private pages before a fork. A write that comes late is seen in the page, or in the one that got its frame.
 * Argument: how often.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SPIN = 3000, PAGE = 4096, SPARES = 8 };

static volatile unsigned long *g_page;
static volatile int g_end;

/* The page comes back soon: try again. */
static void on_fault(int sig)
{
    (void)sig;
    sched_yield();
}

static void *keep_writing(void *arg)
{
    while (!g_end)
        for (int i = 0; i < 100; i++)
            g_page[0]++;
    return arg;
}

static void fail(const char *what, int round)
{
    printf("%s, round %d\n", what, round);
    exit(1);
}

/* Nothing is written to it for a while. */
static void must_rest(const volatile unsigned long *word, const char *what, int round)
{
    const unsigned long before = *word;
    for (volatile int i = 0; i < SPIN; i++)
        continue;
    if (*word != before)
        fail(what, round);
}

static void *new_pages(size_t count)
{
    void *at = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        fail("mmap", 0);
    return at;
}

/* The frames that were let go now belong to these pages. */
static void spares_stay_empty(const char *what, int round)
{
    volatile unsigned long *spare = new_pages(SPARES);
    for (int i = 0; i < SPARES; i++)
        spare[i * (PAGE / 8) + 1] = 1; /* the frame is taken; its first word stays zero */
    for (int i = 0; i < SPARES; i++) {
        if (spare[i * (PAGE / 8)] != 0)
            fail(what, round);
        must_rest(&spare[i * (PAGE / 8)], what, round);
    }
    munmap((void *)spare, SPARES * PAGE);
}

static void one_round(int round)
{
    void *page = (void *)g_page;
    if (mprotect(page, PAGE, PROT_READ))
        fail("mprotect", round);
    must_rest(g_page, "a page was written after its write right went", round);
    if (mprotect(page, PAGE, PROT_READ | PROT_WRITE) || madvise(page, PAGE, MADV_DONTNEED))
        fail("mprotect or madvise", round);
    spares_stay_empty("a page was written after it was given up", round);
    if (munmap(page, PAGE))
        fail("munmap", round);
    spares_stay_empty("a page was written after it was unmapped", round);
    if (mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
             -1, 0) != page)
        fail("mmap at the same place", round);
}

/* From the fork on the parent writes to a copy. */
static void fork_round(int round)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        const unsigned long before = g_page[0];
        for (volatile int i = 0; i < SPIN; i++)
            continue;
        _exit(g_page[0] != before);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        fail("fork", round);
    if (status)
        fail("a child's page was written by its parent", round);
}

int main(int argc, char **argv)
{
    const int rounds = argc > 1 ? atoi(argv[1]) : 100;
    const struct sigaction again = {.sa_handler = on_fault};
    pthread_t writer;
    /* Between pages that stay, so that nothing else is mapped where it was. */
    char *room = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_page = (void *)(room + PAGE);
    if (room == MAP_FAILED || mprotect(room + PAGE, PAGE, PROT_READ | PROT_WRITE))
        fail("mmap", 0);
    if (sigaction(SIGSEGV, &again, NULL) || pthread_create(&writer, NULL, keep_writing, NULL))
        fail("a thread", 0);
    for (int round = 0; round < rounds; round++) {
        one_round(round);
        if (round % 10 == 0)
            fork_round(round);
    }
    g_end = 1;
    pthread_join(writer, NULL);
    puts("nothing was written late");
    return 0;
}
