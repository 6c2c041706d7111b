/* System V semaphores: values, atomic groups, waiting, undo, time-outs, removal, counts of waiters. */
#include <pthread.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define FAILS(call, number) CHECK((errno = 0, (call) == -1) && errno == (number))

union argument {
    int value;
    unsigned short *array;
    struct semid_ds *ds;
    struct seminfo *info;
};

static int op(int id, int number, int change, int flags)
{
    struct sembuf b = {
        .sem_num = (unsigned short)number, .sem_op = (short)change, .sem_flg = (short)flags};
    return semop(id, &b, 1);
}
static int value_of(int id, int number)
{
    return semctl(id, number, GETVAL);
}
static void set(int id, int number, int value)
{
    CHECK(semctl(id, number, SETVAL, (union argument){.value = value}) == 0);
}

static pid_t start(void (*what)(int), int id)
{
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        what(id);
        _exit(0);
    }
    return pid;
}
static int status_of(pid_t pid)
{
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}
static void await(int id, int number, int command, int count)
{
    for (int i = 0; i < 60000 && semctl(id, number, command) != count; i++)
        usleep(1000);
    CHECK(semctl(id, number, command) == count);
}

static void ids(key_t key)
{
    FAILS(semget(key, 2, 0600), ENOENT);
    FAILS(semget(IPC_PRIVATE, 0, 0600), EINVAL);
    FAILS(semget(IPC_PRIVATE, -1, 0600), EINVAL);
    FAILS(semget(IPC_PRIVATE, 40000, 0600), EINVAL);
    int id = semget(key, 3, IPC_CREAT | 0600);
    CHECK(id >= 0 && semget(key, 0, 0) == id && semget(key, 3, 0600) == id);
    FAILS(semget(key, 4, 0600), EINVAL);
    FAILS(semget(key, 3, IPC_CREAT | IPC_EXCL), EEXIST);
    struct semid_ds ds;
    CHECK(semctl(id, 0, IPC_STAT, (union argument){.ds = &ds}) == 0);
    CHECK(ds.sem_nsems == 3 && ds.sem_otime == 0 && ds.sem_ctime != 0 &&
          (ds.sem_perm.mode & 0777) == 0600);
    CHECK(semctl(id, 0, IPC_RMID) == 0);
    FAILS(semctl(id, 0, GETVAL), EINVAL);
    FAILS(op(id, 0, 1, 0), EINVAL);
    printf("ids\n");
}

static void values(int id)
{
    unsigned short all[3] = {4, 5, 6}, back[3];
    CHECK(semctl(id, 0, SETALL, (union argument){.array = all}) == 0);
    CHECK(semctl(id, 0, GETALL, (union argument){.array = back}) == 0 &&
          memcmp(all, back, sizeof(all)) == 0);
    CHECK(value_of(id, 2) == 6 && semctl(id, 2, GETPID) == getpid());
    FAILS(semctl(id, 3, GETVAL), EINVAL);
    FAILS(semctl(id, 0, SETVAL, (union argument){.value = 32768}), ERANGE);
    FAILS(semctl(id, 0, SETVAL, (union argument){.value = -1}), ERANGE);
    FAILS(op(id, 0, 32767, 0), ERANGE);
    FAILS(op(id, 3, 1, 0), EFBIG);
    FAILS(op(id, 0, -5, IPC_NOWAIT), EAGAIN);
    FAILS(op(id, 0, 0, IPC_NOWAIT), EAGAIN);
    FAILS(semop(id, NULL, 1), EFAULT);
    FAILS(semop(id, (struct sembuf[1]){{0}}, 0), EINVAL);
    struct sembuf many[501] = {{0}};
    FAILS(semop(id, many, 501), E2BIG);
    /* All or nothing: the second one can't proceed. */
    struct sembuf both[2] = {{0, -4, 0}, {1, -9, IPC_NOWAIT}};
    FAILS(semop(id, both, 2), EAGAIN);
    CHECK(value_of(id, 0) == 4 && value_of(id, 1) == 5);
    both[1].sem_op = -5;
    CHECK(semop(id, both, 2) == 0 && value_of(id, 0) == 0 && value_of(id, 1) == 0 &&
          op(id, 0, 0, 0) == 0);
    printf("values\n");
}

static void child_takes(int id)
{
    CHECK(op(id, 0, -2, 0) == 0);
}
static void child_awaits_zero(int id)
{
    CHECK(op(id, 1, 0, 0) == 0);
}
static void child_is_told(int id)
{
    FAILS(op(id, 0, -9, 0), EIDRM);
}
static void waiting(int id)
{
    set(id, 0, 0);
    set(id, 1, 1);
    pid_t taker = start(child_takes, id), zero = start(child_awaits_zero, id);
    await(id, 0, GETNCNT, 1);
    await(id, 1, GETZCNT, 1);
    CHECK(op(id, 0, 1, 0) == 0 && semctl(id, 0, GETNCNT) == 1);
    CHECK(op(id, 0, 1, 0) == 0 && status_of(taker) == 0 && value_of(id, 0) == 0);
    CHECK(op(id, 1, -1, 0) == 0 && status_of(zero) == 0);
    printf("waiting\n");

    /* What a waiter was waiting for is the waiter's, even if the giver asks for it again at once. */
    taker = start(child_takes, id);
    await(id, 0, GETNCNT, 1);
    CHECK(op(id, 0, 2, 0) == 0);
    FAILS(op(id, 0, -2, IPC_NOWAIT), EAGAIN);
    CHECK(status_of(taker) == 0);
    printf("handing over\n");
}

static void ignore(int sig)
{
    (void)sig;
}
static void timeouts(int id)
{
    struct timespec soon = {0, 30000000}, bad = {0, 1000000000}, none = {0, 0};
    struct sembuf down = {0, -1, 0};
    set(id, 0, 0);
    FAILS(semtimedop(id, &down, 1, &soon), EAGAIN);
    FAILS(semtimedop(id, &down, 1, &none), EAGAIN);
    FAILS(semtimedop(id, &down, 1, &bad), EINVAL);
    set(id, 0, 1);
    CHECK(semtimedop(id, &down, 1, &soon) == 0);
    struct sigaction act = {.sa_handler = ignore, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGALRM, &act, NULL) == 0);
    ualarm(30000, 30000);
    FAILS(op(id, 0, -1, 0), EINTR); /* never restarted */
    ualarm(0, 0);
    CHECK(semctl(id, 0, GETNCNT) == 0);
    printf("time-outs, signals\n");
}

static void child_undoes(int id)
{
    CHECK(op(id, 0, -3, SEM_UNDO) == 0 && op(id, 1, 2, SEM_UNDO) == 0);
    CHECK(value_of(id, 0) == 2 && value_of(id, 1) == 2);
}
static void child_is_killed(int id)
{
    CHECK(op(id, 0, -1, SEM_UNDO) == 0);
    raise(SIGKILL);
}
static void *thread_undoes(void *id)
{
    CHECK(op((int)(long)id, 0, -1, SEM_UNDO) == 0);
    return NULL;
}
static void child_with_thread(int id)
{
    pthread_t t;
    CHECK(pthread_create(&t, NULL, thread_undoes, (void *)(long)id) == 0 &&
          pthread_join(t, NULL) == 0);
    CHECK(value_of(id, 0) == 4); /* threads share their adjustments: the process still lives */
    CHECK(op(id, 0, -1, SEM_UNDO) == 0);
}
static void child_is_reset(int id)
{
    CHECK(op(id, 0, -1, SEM_UNDO) == 0);
    set(id, 0, 7); /* forgets adjustments */
}
static void child_forks(int id)
{
    CHECK(op(id, 0, -1, SEM_UNDO) == 0);
    pid_t pid = fork(); /* not inherited */
    if (pid == 0)
        _exit(0);
    CHECK(status_of(pid) == 0 && value_of(id, 0) == 4);
}
static void undo(int id)
{
    set(id, 0, 5);
    set(id, 1, 0);
    CHECK(status_of(start(child_undoes, id)) == 0 && value_of(id, 0) == 5 && value_of(id, 1) == 0);
    CHECK(WTERMSIG(status_of(start(child_is_killed, id))) == SIGKILL && value_of(id, 0) == 5);
    printf("undo\n");
    CHECK(status_of(start(child_with_thread, id)) == 0 && value_of(id, 0) == 5);
    CHECK(status_of(start(child_forks, id)) == 0 && value_of(id, 0) == 5);
    CHECK(status_of(start(child_is_reset, id)) == 0 && value_of(id, 0) == 7);
    printf("undo: threads, fork, SETVAL\n");
    /* The adjustment at exit wakes who waits. */
    set(id, 0, 2);
    CHECK(op(id, 0, -2, 0) == 0);
    pid_t taker = start(child_takes, id);
    await(id, 0, GETNCNT, 1);
    int fds[2];
    CHECK(pipe(fds) == 0);
    pid_t giver = fork();
    if (giver == 0) {
        CHECK(op(id, 1, 1, SEM_UNDO) == 0 && op(id, 0, 0, 0) == 0);
        struct sembuf give[2] = {{0, 2, SEM_UNDO}, {0, -2, SEM_UNDO}};
        CHECK(semop(id, give, 2) == 0);
        _exit(0);
    }
    CHECK(status_of(giver) == 0 && value_of(id, 1) == 0 && semctl(id, 0, GETNCNT) == 1);
    CHECK(op(id, 0, 2, 0) == 0 && status_of(taker) == 0);
    printf("undo: nothing left behind\n");
}

static void information(int id)
{
    struct seminfo info;
    int highest, found = 0;
    do { /* others make and remove sets meanwhile */
        highest = semctl(0, 0, SEM_INFO, (union argument){.info = &info});
        CHECK(highest >= 0 && info.semusz >= 1 && info.semaem >= 3 && info.semopm == 500 &&
              info.semmsl == 32000);
    } while (semctl(0, 0, IPC_INFO, (union argument){.info = &info}) != highest);
    CHECK(info.semvmx == 32767);
    for (int i = 0; i <= highest; i++) {
        struct semid_ds ds;
        found += semctl(i, 0, SEM_STAT, (union argument){.ds = &ds}) == id && ds.sem_nsems == 3;
    }
    CHECK(found == 1);
    FAILS(semctl(id, 0, 999), EINVAL);
    printf("information\n");
}

static void removal(int id)
{
    set(id, 0, 0);
    pid_t told = start(child_is_told, id);
    await(id, 0, GETNCNT, 1);
    CHECK(semctl(id, 0, IPC_RMID) == 0 && status_of(told) == 0);
    FAILS(semctl(id, 0, IPC_RMID), EINVAL);
    printf("removal\n");
}

int main(void)
{
    ids(0x51000000 + getpid());
    int id = semget(IPC_PRIVATE, 3, 0600);
    CHECK(id >= 0);
    values(id);
    waiting(id);
    timeouts(id);
    undo(id);
    information(id);
    removal(id);
    return 0;
}
