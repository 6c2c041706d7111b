/*
 * cancels.c: threads are cancelled, 1,200 times, at a system call that waits, just before or after one, and anywhere; each ends as
 * cancelled, its clean-up runs once, and no byte or descriptor is lost.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define TIMES 300

struct victim {
    int end;
    int cleaned;
    sem_t ready;
    unsigned long calls;
};

static void clean(void *arg)
{
    struct victim *v = arg;
    v->cleaned++;
}

/* Waits for ever in read. */
static void *reader(void *arg)
{
    struct victim *v = arg;
    char byte;
    pthread_cleanup_push(clean, v);
    sem_post(&v->ready);
    while (read(v->end, &byte, 1) != 0)
        v->calls++;
    pthread_cleanup_pop(0);
    return NULL;
}

/* Calls that return at once, some of them cancellation points. */
static void *caller(void *arg)
{
    struct victim *v = arg;
    pthread_cleanup_push(clean, v);
    sem_post(&v->ready);
    for (;; v->calls++) {
        getppid();
        write(v->end, "", 0);
        if (v->calls % 16 == 0)
            pthread_testcancel();
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void *sleeper(void *arg)
{
    struct victim *v = arg;
    struct timespec long_time = {1000, 0};
    pthread_cleanup_push(clean, v);
    sem_post(&v->ready);
    nanosleep(&long_time, NULL);
    pthread_cleanup_pop(0);
    return NULL;
}

/* Anywhere, also between system calls. */
static void *anywhere(void *arg)
{
    struct victim *v = arg;
    int old;
    pthread_cleanup_push(clean, v);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
    sem_post(&v->ready);
    for (;;)
        getppid();
    pthread_cleanup_pop(0);
    return NULL;
}

static void kill_many(const char *what, void *(*body)(void *), int end)
{
    int cancelled = 0, cleaned = 0;
    for (int i = 0; i < TIMES; i++) {
        struct victim v = {.end = end};
        pthread_t t;
        void *result;
        CHECK(sem_init(&v.ready, 0, 0) == 0);
        CHECK(pthread_create(&t, NULL, body, &v) == 0);
        if (i % 4)
            while (sem_wait(&v.ready) != 0)
                ;
        if (i % 4 > 1)
            sched_yield();
        CHECK(pthread_cancel(t) == 0);
        CHECK(pthread_join(t, &result) == 0);
        cancelled += result == PTHREAD_CANCELED;
        cleaned += v.cleaned == 1;
        CHECK(v.cleaned < 2);
    }
    /* Those that were cancelled before they had pushed their clean-up have none to run */
    printf("%s: cancelled %d, cleaned %s\n", what, cancelled,
           cleaned >= TIMES * 3 / 4 ? "each" : "too few");
}

int main(void)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    kill_many("read", reader, ends[0]);
    kill_many("nanosleep", sleeper, -1);
    kill_many("calls", caller, ends[1]);
    kill_many("anywhere", anywhere, -1);
    return 0;
}
