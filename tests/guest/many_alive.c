/*
 * argv[1] processes alive at once, each with a second thread, then argv[2] threads alive at once in one process. Each answers while all
 * of them live; each end is seen once.
 */
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

static int g_gate[2], g_up[2];

static void *second_thread(void *arg)
{
    char byte = 1;
    CHECK(write(g_up[1], &byte, 1) == 1);
    CHECK(read(g_gate[0], &byte, 1) == 0);
    return arg;
}

static void start_thread(pthread_t *thread, void *arg)
{
    pthread_attr_t attr;
    CHECK(pthread_attr_init(&attr) == 0);
    CHECK(pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN + 32768) == 0);
    CHECK(pthread_create(thread, &attr, second_thread, arg) == 0);
    CHECK(pthread_attr_destroy(&attr) == 0);
}

static void open_pipes(void)
{
    CHECK(pipe(g_gate) == 0 && pipe(g_up) == 0);
}

static void await(int count)
{
    char bytes[256];
    while (count > 0) {
        ssize_t n = read(g_up[0], bytes, sizeof(bytes));
        CHECK(n > 0);
        count -= (int)n;
    }
    CHECK(count == 0);
}

static void processes(int count)
{
    volatile unsigned char *seen =
        mmap(NULL, (size_t)count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t *pids = calloc((size_t)count, sizeof(*pids));
    CHECK(seen != MAP_FAILED && pids);
    open_pipes();
    for (int i = 0; i < count; i++) {
        pids[i] = fork();
        CHECK(pids[i] >= 0);
        if (pids[i] == 0) {
            pthread_t thread;
            void *result;
            close(g_gate[1]);
            start_thread(&thread, pids);
            seen[i]++;
            CHECK(pthread_join(thread, &result) == 0 && result == pids);
            _exit(i & 0x7f);
        }
    }
    await(count);
    int alive = 0, present = 0, sum = 0;
    for (int i = 0; i < count; i++) {
        alive += kill(pids[i], 0) == 0;
        present += getpgid(pids[i]) == getpgrp();
    }
    printf("%d processes alive, %d in the group\n", alive, present);
    close(g_gate[1]);
    for (int i = 0; i < count; i++) {
        int status;
        CHECK(waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == (i & 0x7f) && kill(pids[i], 0) == -1 && errno == ESRCH);
        sum += seen[i];
    }
    CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
    printf("%d ended\n", sum);
    close(g_gate[0]), close(g_up[0]), close(g_up[1]);
    free(pids);
}

static void threads(int count)
{
    pthread_t *thread = calloc((size_t)count, sizeof(*thread));
    CHECK(thread);
    open_pipes();
    for (int i = 0; i < count; i++)
        start_thread(&thread[i], &thread[i]);
    await(count);
    printf("%d threads alive\n", count);
    close(g_gate[1]);
    for (int i = 0; i < count; i++) {
        void *result;
        CHECK(pthread_join(thread[i], &result) == 0 && result == &thread[i]);
    }
    printf("all joined\n");
    free(thread);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    setvbuf(stdout, NULL, _IOLBF, 0);
    processes(atoi(argv[1]));
    threads(atoi(argv[2]));
    return 0;
}
