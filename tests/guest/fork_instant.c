/*
 * A process of argv[1] MiB forks argv[2] times while 8 threads write all over it and take signals. What a child finds is one instant:
 *  - each thread writes a counter at one end and then at the other, so the first is equal or one ahead;
 *  - thread n + 1 copies what it read of thread n, so it is never ahead of it;
 *  - each handler counts what it enters and what it leaves, so the two differ by one at most;
 * and nothing of it moves afterwards. The parent's signals and the children's ends are all seen.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define THREADS 8
#define PAGE_WORDS 512u

struct counters {
    volatile unsigned long first, entered;
    char other_pages[8192];
    volatile unsigned long second, followed, left;
};
static volatile unsigned long *g_memory;
static size_t g_words;
static volatile int g_stop;
static struct counters *g_counters[THREADS];
static __thread struct counters *g_mine;

static void on_signal(int sig)
{
    (void)sig;
    g_mine->entered++;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    g_mine->left++;
}

static void *writer(void *arg)
{
    size_t n = (size_t)arg;
    struct counters *before = g_counters[n ? n - 1 : 0];
    size_t at = n * (g_words / THREADS);
    g_mine = g_counters[n];
    for (unsigned long i = 1; !g_stop; i++) {
        __atomic_store_n(&g_mine->first, i, __ATOMIC_SEQ_CST);
        __atomic_store_n(&g_mine->second, i, __ATOMIC_SEQ_CST);
        if (n)
            __atomic_store_n(&g_mine->followed, __atomic_load_n(&before->second, __ATOMIC_SEQ_CST),
                             __ATOMIC_SEQ_CST);
        /* In each page the word tells its page: 8 threads dirty different pages all the time. */
        at = (at + PAGE_WORDS * 7) % g_words;
        g_memory[at] = at;
        if (i % 64 == 0)
            syscall(SYS_getppid);
    }
    return NULL;
}

static void check_child(void)
{
    unsigned long seen[THREADS][5];
    for (int again = 0; again < 2; again++) {
        for (size_t n = THREADS; n-- > 0;) {
            const struct counters *c = g_counters[n];
            unsigned long now[5] = {c->first, c->second, c->followed, c->entered, c->left};
            CHECK(!again || memcmp(now, seen[n], sizeof(now)) == 0);
            memcpy(seen[n], now, sizeof(now));
            CHECK(now[0] == now[1] || now[0] == now[1] + 1);
            CHECK(now[3] == now[4] || now[3] == now[4] + 1);
        }
        for (size_t n = 1; n < THREADS; n++)
            CHECK(seen[n][2] <= seen[n - 1][1]);
    }
    for (size_t i = 0; i < g_words; i += PAGE_WORDS * 61)
        CHECK(g_memory[i] == i);
    g_memory[0] = 77;
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    int forks = atoi(argv[2]);
    size_t size = (size_t)atoi(argv[1]) << 20;
    g_words = size / sizeof(*g_memory);
    g_memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(g_memory != MAP_FAILED);
    for (size_t i = 0; i < g_words; i += PAGE_WORDS)
        g_memory[i] = i;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pthread_t threads[THREADS];
    for (size_t n = 0; n < THREADS; n++)
        CHECK((g_counters[n] = calloc(1, sizeof(struct counters))) != NULL);
    sigset_t none, all;
    sigfillset(&all);
    for (size_t n = 0; n < THREADS; n++)
        CHECK(pthread_create(&threads[n], NULL, writer, (void *)n) == 0);
    for (size_t n = 0; n < THREADS; n++)
        while (g_counters[n]->first < 2)
            usleep(100);
    CHECK(sigprocmask(SIG_BLOCK, &all, &none) == 0);
    for (int i = 0; i < forks; i++) {
        for (size_t n = 0; n < THREADS; n++)
            CHECK(pthread_kill(threads[n], SIGUSR1) == 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            check_child();
            _exit(i & 0x3f);
        }
        for (size_t n = 0; n < THREADS; n++)
            CHECK(pthread_kill(threads[n], SIGUSR1) == 0);
        int status;
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == (i & 0x3f));
        CHECK(g_memory[0] == 0);
    }
    g_stop = 1;
    for (size_t n = 0; n < THREADS; n++) {
        CHECK(pthread_join(threads[n], NULL) == 0);
        CHECK(g_counters[n]->entered > 0 && g_counters[n]->entered == g_counters[n]->left);
    }
    printf("%d children saw one instant each\n", forks);
    return 0;
}
