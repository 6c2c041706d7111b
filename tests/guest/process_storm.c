/*
 * Processes whose threads fork, vfork, exec, map and exit while others signal, stop and kill them: nothing may hang, be lost or be
 * left over.
 */
#include "guest.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 10
#define ROUNDS 150

static void on_signal(int sig)
{
    (void)sig;
}

static void spawn(void)
{
    pid_t pid = vfork();
    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
}

static void fork_once(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid(pid, NULL, 0);
}

static void map_and_touch(void)
{
    char *m = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED)
        return;
    memset(m, 1, 65536);
    munmap(m, 65536);
}

static void *busy(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    for (int i = 0; i < 40; i++) {
        switch (rand_r(&seed) % 5) {
        case 0:
            fork_once();
            break;
        case 1:
            spawn();
            break;
        case 2:
            map_and_touch();
            break;
        case 3:
            usleep((useconds_t)rand_r(&seed) % 500);
            break;
        default:
            sched_yield();
        }
    }
    if (rand_r(&seed) % 6 == 0)
        execl("/bin/true", "true", (char *)NULL);
    if (rand_r(&seed) % 6 == 0)
        _exit(3);
    return NULL;
}

static void worker(unsigned seed)
{
    pthread_t threads[6];
    int count = 1 + rand_r(&seed) % 6;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR2, &action, NULL);
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, busy, (void *)(uintptr_t)rand_r(&seed));
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    _exit(0);
}

int main(void)
{
    static const int signals[] = {SIGUSR1, SIGUSR2, SIGSTOP, SIGCONT,
                                  SIGKILL, SIGUSR1, SIGTERM, SIGCONT};
    pid_t workers[WORKERS];
    int count = 0, started = 0, ended = 0, status;
    unsigned seed = 42;
    pid_t pid;

    for (int round = 0; round < ROUNDS; round++) {
        while (count < WORKERS) {
            pid = fork();
            CHECK(pid >= 0);
            if (pid == 0)
                worker((unsigned)(round * WORKERS + count));
            workers[count++] = pid;
            started++;
        }
        for (int i = 0; i < 6; i++) {
            kill(workers[rand_r(&seed) % (unsigned)count], signals[rand_r(&seed) % 8]);
            usleep((useconds_t)rand_r(&seed) % 300);
        }
        while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
            if (WIFSTOPPED(status)) {
                kill(pid, SIGCONT);
                continue;
            }
            ended++;
            for (int i = 0; i < count; i++)
                if (workers[i] == pid)
                    workers[i] = workers[--count];
        }
    }
    for (int i = 0; i < count; i++)
        kill(workers[i], SIGKILL);
    while (wait(&status) > 0)
        ended++;
    CHECK(errno == ECHILD);
    CHECK(started == ended);
    puts("every worker came to an end");
    return 0;
}
