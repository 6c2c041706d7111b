/*
 * A process with a big heap forks while its threads write. Each child must see one instant: a pair of counters that a thread writes in
 * order may differ by one in the right direction only, and must not move afterwards. argv[1]: MiB.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

static volatile unsigned long *g_memory;
static size_t g_words;
static volatile int g_stop;

/* Writes `first` then `second`, far apart; so at any instant first is second or second + 1. */
struct pair {
    size_t first, second;
};
static void *writer(void *arg)
{
    const struct pair *pair = arg;
    for (unsigned long n = 1; !g_stop; n++) {
        __atomic_store_n(&g_memory[pair->first], n, __ATOMIC_SEQ_CST);
        __atomic_store_n(&g_memory[pair->second], n, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    size_t size = (size_t)(argc > 1 ? atoi(argv[1]) : 16) << 20;
    g_words = size / sizeof(*g_memory);
    g_memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(g_memory != MAP_FAILED);
    for (size_t i = 0; i < g_words; i += 512)
        g_memory[i] = i;
    pthread_t threads[3];
    struct pair pairs[3];
    for (unsigned t = 0; t < 3; t++) {
        pairs[t] = (struct pair){8 + t, g_words - 8 - t};
        CHECK(pthread_create(&threads[t], NULL, writer, &pairs[t]) == 0);
    }
    for (int round = 0; round < 10; round++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            unsigned long seen[3][2];
            for (unsigned t = 0; t < 3; t++) {
                seen[t][0] = g_memory[pairs[t].first];
                seen[t][1] = g_memory[pairs[t].second];
                CHECK(seen[t][0] == seen[t][1] || seen[t][0] == seen[t][1] + 1);
            }
            usleep(2000);
            for (unsigned t = 0; t < 3; t++) {
                CHECK(g_memory[pairs[t].first] == seen[t][0]);
                CHECK(g_memory[pairs[t].second] == seen[t][1]);
            }
            for (size_t i = 512; i < g_words; i += 512) {
                CHECK(g_memory[i] == i);
                if (i % (512 * 64) == 0)
                    g_memory[i] = 0;
            }
            _exit(0);
        }
        int status;
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(status == 0);
    }
    g_stop = 1;
    for (unsigned t = 0; t < 3; t++)
        CHECK(pthread_join(threads[t], NULL) == 0);
    for (size_t i = 512; i < g_words; i += 512)
        CHECK(g_memory[i] == i);
    printf("ten children saw one instant each\n");
    return 0;
}
