/* Mutexes, conditions, thread-local storage, joins, detached threads, cancellation, exit of the main thread, exec from a thread. */
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t g_cond = PTHREAD_COND_INITIALIZER;
static long g_counter, g_turn;
static __thread long t_mine;

static void *add(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        pthread_mutex_lock(&g_lock);
        g_counter++;
        pthread_mutex_unlock(&g_lock);
        t_mine += (long)arg;
    }
    return (void *)t_mine;
}

static void *take_turns(void *arg)
{
    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&g_lock);
        while (g_turn % 2 != (long)arg)
            pthread_cond_wait(&g_cond, &g_lock);
        g_turn++;
        pthread_cond_broadcast(&g_cond);
        pthread_mutex_unlock(&g_lock);
    }
    return NULL;
}

static void *wait_forever(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void *leave(void *arg)
{
    usleep(20000);
    CHECK(pthread_join(*(pthread_t *)arg, NULL) == 0);
    printf("the main thread has left, the process lives on\n");
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        execl("/bin/echo", "echo", "exec from a child of a thread", (char *)NULL);
        _exit(98);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    exit(6);
}

int main(void)
{
    pthread_t threads[8];
    for (long t = 0; t < 8; t++)
        CHECK(pthread_create(&threads[t], NULL, add, (void *)t) == 0);
    for (long t = 0; t < 8; t++) {
        void *result;
        CHECK(pthread_join(threads[t], &result) == 0 && result == (void *)(t * 20000));
    }
    CHECK(g_counter == 160000 && t_mine == 0);
    printf("counter %ld\n", g_counter);
    for (long t = 0; t < 2; t++)
        CHECK(pthread_create(&threads[t], NULL, take_turns, (void *)t) == 0);
    for (long t = 0; t < 2; t++)
        CHECK(pthread_join(threads[t], NULL) == 0);
    printf("turns %ld\n", g_turn);

    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 20000000;
    if (soon.tv_nsec >= 1000000000) {
        soon.tv_nsec -= 1000000000;
        soon.tv_sec++;
    }
    pthread_mutex_lock(&g_lock);
    CHECK(pthread_cond_timedwait(&g_cond, &g_lock, &soon) == ETIMEDOUT);
    pthread_mutex_unlock(&g_lock);
    for (int i = 0; i < 200; i++) {
        CHECK(pthread_create(&threads[0], NULL, add, NULL) == 0);
        if (i % 2)
            CHECK(pthread_detach(threads[0]) == 0);
        else
            CHECK(pthread_join(threads[0], NULL) == 0);
        if (i == 20)
            break;
    }
    CHECK(pthread_create(&threads[0], NULL, wait_forever, NULL) == 0);
    usleep(10000);
    void *result;
    CHECK(pthread_cancel(threads[0]) == 0 && pthread_join(threads[0], &result) == 0 &&
          result == PTHREAD_CANCELED);
    printf("cancelled\n");
    static pthread_t main_thread;
    main_thread = pthread_self();
    CHECK(pthread_create(&threads[1], NULL, leave, &main_thread) == 0);
    pthread_exit(NULL);
}
