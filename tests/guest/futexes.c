/* futex(2), operation by operation: results and errnos, words afterwards, across processes, robust lists, waits for several words. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"

/* musl's compiler sees no headers of the kernel's. */
enum {
    FUTEX_WAIT,
    FUTEX_WAKE,
    FUTEX_FD,
    FUTEX_REQUEUE,
    FUTEX_CMP_REQUEUE,
    FUTEX_WAKE_OP,
    FUTEX_LOCK_PI,
    FUTEX_UNLOCK_PI,
    FUTEX_TRYLOCK_PI,
    FUTEX_WAIT_BITSET,
    FUTEX_WAKE_BITSET,
    FUTEX_WAIT_REQUEUE_PI,
    FUTEX_CMP_REQUEUE_PI,
    FUTEX_LOCK_PI2,
    FUTEX_CMD_MASK = 127,
    FUTEX_PRIVATE_FLAG = 128,
    FUTEX_CLOCK_REALTIME = 256,
};
#define FUTEX_WAIT_PRIVATE (FUTEX_WAIT | FUTEX_PRIVATE_FLAG)
#define FUTEX_WAKE_PRIVATE (FUTEX_WAKE | FUTEX_PRIVATE_FLAG)
#define FUTEX_REQUEUE_PRIVATE (FUTEX_REQUEUE | FUTEX_PRIVATE_FLAG)
#define FUTEX_CMP_REQUEUE_PRIVATE (FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG)
#define FUTEX_WAKE_OP_PRIVATE (FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG)
#define FUTEX_WAIT_BITSET_PRIVATE (FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG)
#define FUTEX_WAKE_BITSET_PRIVATE (FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG)
#define FUTEX_WAITERS 0x80000000u
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_TID_MASK 0x3fffffffu
enum { OP_SET, OP_ADD, OP_OR, OP_ANDN, OP_XOR, OP_SHIFT = 8 };
enum { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE };
#define WAKE_OP(op, arg, compare, against)                                                         \
    ((uint32_t)(op) << 28 | (uint32_t)(compare) << 24 | ((arg)&0xfffu) << 12 | ((against)&0xfffu))
#define FUTEX_32 2
struct waitv_word {
    uint64_t value, address;
    uint32_t flags, reserved;
};
struct robust_node {
    struct robust_node *next;
};
struct robust_head {
    struct robust_node list;
    long futex_offset;
    struct robust_node *list_op_pending;
};
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

static uint32_t word, second, third;
static const struct timespec brief = {.tv_nsec = 20000000}, bad_time = {.tv_nsec = 1000000000};

static long futex(uint32_t *addr, int op, uint32_t value, const void *timeout, uint32_t *addr2,
                  uint32_t value3)
{
    long r = syscall(SYS_futex, addr, op, value, timeout, addr2, value3);
    return r < 0 ? -errno : r;
}

static void show(const char *what, long result)
{
    printf("%s: %ld\n", what, result);
}

/* The word with thread numbers made comparable. */
static const char *owner(uint32_t value)
{
    static char text[4][48];
    static int next;
    char *out = text[next++ % 4];
    uint32_t tid = value & FUTEX_TID_MASK;
    snprintf(out, sizeof(text[0]), "%s%s%s",
             tid == 0               ? "nobody"
             : (int)tid == gettid() ? "me"
                                    : "another",
             value & FUTEX_WAITERS ? " waiters" : "", value & FUTEX_OWNER_DIED ? " died" : "");
    return out;
}

struct job {
    pthread_t thread;
    volatile pid_t tid;
    uint32_t *addr, *addr2;
    int op;
    uint32_t value, value3;
    const struct timespec *timeout;
    int hold_us; /* how long to keep a lock that was granted; then it is given back */
    long result;
    const char *word; /* as the waiter saw it when it came back */
    volatile int done;
};

static void *run_job(void *arg)
{
    struct job *j = arg;
    j->tid = gettid();
    j->result = futex(j->addr, j->op, j->value, j->timeout, j->addr2, j->value3);
    uint32_t *lock = (j->op & FUTEX_CMD_MASK) == FUTEX_WAIT_REQUEUE_PI ? j->addr2 : j->addr;
    j->word = owner(*lock);
    j->done = 1;
    if (j->hold_us) {
        usleep((useconds_t)j->hold_us);
        if (j->hold_us > 1 && j->result == 0)
            CHECK(futex(lock, FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0) == 0);
    }
    return NULL;
}

static void start(struct job *j)
{
    j->tid = 0;
    j->done = 0;
    CHECK(pthread_create(&j->thread, NULL, run_job, j) == 0);
    while (!j->tid)
        usleep(100);
    until_asleep(getpid(), j->tid);
}

static void end(const char *what, struct job *j)
{
    CHECK(pthread_join(j->thread, NULL) == 0);
    printf("%s: waiter %ld\n", what, j->result);
}

static void waits_and_wakes(void)
{
    struct job a = {.addr = &word, .op = FUTEX_WAIT}, b = a, c = a;
    show("another value", futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0));
    show("timeout", futex(&word, FUTEX_WAIT_PRIVATE, 0, &brief, NULL, 0));
    show("bad timeout", futex(&word, FUTEX_WAIT, 0, &bad_time, NULL, 0));
    show("unaligned", futex((uint32_t *)((char *)&word + 1), FUTEX_WAIT, 0, NULL, NULL, 0));
    show("unmapped", futex((uint32_t *)4096, FUTEX_WAIT, 0, NULL, NULL, 0));
    show("unmapped wake", futex((uint32_t *)4096, FUTEX_WAKE, 1, NULL, NULL, 0));
    show("unmapped private wake", futex((uint32_t *)4096, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    show("kernel address", futex((uint32_t *)0xffff800000000000ul, FUTEX_WAKE, 1, NULL, NULL, 0));
    show("no bits to wait for", futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0));
    show("no bits to wake", futex(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
    show("realtime with a wake", futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0));
    show("realtime with a plain wait",
         futex(&word, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 0, &brief, NULL, 0));
    show("unknown operation", futex(&word, 99, 0, NULL, NULL, 0));
    show("FUTEX_FD", futex(&word, FUTEX_FD, 0, NULL, NULL, 0));
    show("absolute time in the past", futex(&word, FUTEX_WAIT_BITSET, 0, &brief, NULL, 1));
    show("realtime in the past",
         futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &brief, NULL, 1));
    show("nobody to wake", futex(&word, FUTEX_WAKE, 5, NULL, NULL, 0));

    a.op = FUTEX_WAIT_PRIVATE;
    start(&a);
    show("a private wait, a wake that is not", futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
    show("a private wake", futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    end("private", &a);
    a.op = FUTEX_WAIT;
    start(&a), start(&b), start(&c);
    show("wake one of three", futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
    show("wake none of two", futex(&word, FUTEX_WAKE, 0, NULL, NULL, 0));
    show("wake the rest", futex(&word, FUTEX_WAKE, 9, NULL, NULL, 0));
    end("a", &a), end("b", &b), end("c", &c);

    a.op = b.op = FUTEX_WAIT_BITSET_PRIVATE;
    a.value3 = 6, b.value3 = 1;
    start(&a), start(&b);
    show("other bits", futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 8));
    show("bits of the second", futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 1));
    end("second", &b);
    show("a common bit", futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 12));
    end("first", &a);

    a.op = b.op = c.op = FUTEX_WAIT_PRIVATE;
    start(&a), start(&b), start(&c);
    show("requeue of another value",
         futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1, &second, 7));
    show("requeue two of three", futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1, &second, 0));
    show("left on the first", futex(&word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
    show("moved to the second", futex(&second, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
    end("a", &a), end("b", &b), end("c", &c);
    start(&a), start(&b);
    show("requeue all, wake none", futex(&word, FUTEX_REQUEUE_PRIVATE, 0, (void *)9, &second, 0));
    show("wake moved ones", futex(&second, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
    end("a", &a), end("b", &b);
    show("negative requeue",
         futex(&word, FUTEX_REQUEUE_PRIVATE, (uint32_t)-1, (void *)1, &second, 0));

    b.addr = &second;
    for (int op = 0; op < 5; op++) {
        second = 5;
        b.value = 5;
        start(&a), start(&b);
        uint32_t code = WAKE_OP(op, 3, CMP_GE, 5);
        show("wake-op", futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &second, code));
        show("  word", second);
        end("  a", &a), end("  b", &b);
    }
    second = 5;
    start(&a);
    show("wake-op with a shift, condition false",
         futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &second,
               WAKE_OP(OP_OR | OP_SHIFT, 4, CMP_LT, 5)));
    show("  word", second);
    end("  a", &a);
    show("unknown wake-op", futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &second, 7u << 28));
    show("wake-op, unmapped",
         futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, (uint32_t *)4096, 0));
}

static volatile sig_atomic_t handled;

static void on_signal(int sig)
{
    (void)sig;
    handled++;
}

/* Until the handler ran, however slow the machine, and the thread either waits again or came back for good. */
static void interrupt(struct job *j)
{
    int before = handled;
    char state = 0;
    CHECK(pthread_kill(j->thread, SIGUSR1) == 0);
    while (handled == before)
        usleep(1000);
    for (int i = 0; i < 30000 && !j->done && state != 'S'; i++) {
        char path[64], line[512];
        snprintf(path, sizeof(path), "/proc/self/task/%d/stat", j->tid);
        FILE *f = fopen(path, "r");
        if (f && fgets(line, sizeof(line), f) && strrchr(line, ')'))
            state = strrchr(line, ')')[2];
        if (f)
            fclose(f);
        usleep(1000);
    }
    CHECK(j->done || state == 'S');
}

static void interrupted(void)
{
    struct sigaction act = {.sa_handler = on_signal};
    struct timespec later = {.tv_sec = 30};
    struct job a = {.addr = &word, .op = FUTEX_WAIT_PRIVATE};
    word = second = 0;
    for (int restart = 0; restart < 2; restart++) {
        for (int timed = 0; timed < 2; timed++) {
            act.sa_flags = restart ? SA_RESTART : 0;
            a.timeout = timed ? &later : NULL;
            CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
            start(&a);
            interrupt(&a);
            long woken = futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
            printf("restart %d, time limit %d: woken %ld\n", restart, timed, woken);
            end("interrupted", &a);
        }
    }
}

#define PI(op) (FUTEX_##op | FUTEX_PRIVATE_FLAG)

static void inheritance(void)
{
    struct timespec soon, *past = (struct timespec *)&brief;
    word = 0;
    show("lock", futex(&word, PI(LOCK_PI), 0, NULL, NULL, 0));
    printf("word: %s\n", owner(word));
    show("lock again", futex(&word, PI(LOCK_PI), 0, NULL, NULL, 0));
    show("try again", futex(&word, PI(TRYLOCK_PI), 0, NULL, NULL, 0));
    show("unlock", futex(&word, PI(UNLOCK_PI), 0, NULL, NULL, 0));
    printf("word: %s\n", owner(word));
    show("unlock again", futex(&word, PI(UNLOCK_PI), 0, NULL, NULL, 0));
    show("try", futex(&word, PI(TRYLOCK_PI), 0, NULL, NULL, 0));
    word |= FUTEX_OWNER_DIED;
    show("unlock", futex(&word, PI(UNLOCK_PI), 0, NULL, NULL, 0));
    printf("word: %s\n", owner(word));
    word = FUTEX_OWNER_DIED;
    show("lock of the dead", futex(&word, PI(LOCK_PI), 0, NULL, NULL, 0));
    printf("word: %s\n", owner(word));
    word = 0x3ffffff0;
    show("lock of nobody", futex(&word, PI(LOCK_PI), 0, NULL, NULL, 0));
    show("unlock of another's", futex(&word, PI(UNLOCK_PI), 0, NULL, NULL, 0));
    show("lock of a bad address", futex((uint32_t *)8, PI(LOCK_PI), 0, NULL, NULL, 0));
    show("unaligned", futex((uint32_t *)((char *)&word + 2), PI(LOCK_PI), 0, NULL, NULL, 0));
    show("bad time", futex(&word, PI(LOCK_PI), 0, &bad_time, NULL, 0));
    show("realtime flag", futex(&word, PI(LOCK_PI) | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0));
    show("wait on oneself for moving", futex(&word, PI(WAIT_REQUEUE_PI), word, NULL, &word, 0));

    word = (uint32_t)gettid();
    struct job a = {.addr = &word, .op = PI(LOCK_PI), .hold_us = 1}, b = a;
    start(&a);
    printf("one waits: %s\n", owner(word));
    show("plain wake", futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    show("plain requeue", futex(&word, FUTEX_REQUEUE_PRIVATE, 1, (void *)1, &second, 0));
    show("hand over", futex(&word, PI(UNLOCK_PI), 0, NULL, NULL, 0));
    end("first", &a);
    printf("it saw: %s; now %s\n", a.word, owner(word));
    show("left by a dead thread", futex(&word, PI(LOCK_PI), 0, NULL, NULL, 0));

    word = (uint32_t)gettid();
    a.hold_us = b.hold_us = 20000;
    start(&a), start(&b);
    show("hand over to the first of two", futex(&word, PI(UNLOCK_PI), 0, NULL, NULL, 0));
    end("first", &a), end("second", &b);
    printf("they saw: %s, %s; now %s\n", a.word, b.word, owner(word));

    word = (uint32_t)gettid();
    a.timeout = past;
    a.hold_us = 0;
    CHECK(pthread_create(&a.thread, NULL, run_job, &a) == 0);
    end("a time long gone", &a);
    printf("then: %s\n", owner(word));
    clock_gettime(CLOCK_MONOTONIC, &soon);
    soon.tv_sec += 60;
    a.timeout = &soon;
    a.op = PI(LOCK_PI2);
    a.hold_us = 2;
    start(&a);
    show("hand over to a monotonic wait", futex(&word, PI(UNLOCK_PI), 0, NULL, NULL, 0));
    end("monotonic", &a);

    /* Interrupted, it goes on waiting. */
    word = (uint32_t)gettid();
    a.op = PI(LOCK_PI);
    a.timeout = NULL;
    start(&a);
    struct sigaction act = {.sa_handler = on_signal};
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    interrupt(&a);
    show("hand over after a signal", futex(&word, PI(UNLOCK_PI), 0, NULL, NULL, 0));
    end("signalled", &a);
}

static volatile int may_die;

static void *own_and_die(void *arg)
{
    CHECK(futex(arg, PI(LOCK_PI), 0, NULL, NULL, 0) == 0);
    while (!may_die)
        usleep(1000);
    return NULL;
}

static void owner_dies(void)
{
    pthread_t t;
    word = 0;
    CHECK(pthread_create(&t, NULL, own_and_die, &word) == 0);
    while (!(*(volatile uint32_t *)&word & FUTEX_TID_MASK))
        usleep(1000);
    struct job a = {.addr = &word, .op = PI(LOCK_PI), .hold_us = 20000}, b = a;
    start(&a), start(&b);
    may_die = 1;
    CHECK(pthread_join(t, NULL) == 0);
    end("after its owner", &a), end("and the next", &b);
    printf("finally: %s\n", owner(word));

    pthread_mutexattr_t attr;
    static pthread_mutex_t m;
    CHECK(pthread_mutexattr_init(&attr) == 0 &&
          pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT) == 0);
    CHECK(pthread_mutex_init(&m, &attr) == 0);
    show("a mutex that inherits", pthread_mutex_lock(&m));
    show("try", pthread_mutex_trylock(&m));
    show("unlock", pthread_mutex_unlock(&m));
}

static void moved_waiters(void)
{
    word = 0;
    second = (uint32_t)gettid();
    struct job a = {.addr = &word, .addr2 = &second, .op = PI(WAIT_REQUEUE_PI), .hold_us = 10000},
               b = a, c = a;
    start(&a), start(&b), start(&c);
    show("wake of those to be moved", futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    show("plain requeue", futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1, &second, 0));
    show("wake two", futex(&word, PI(CMP_REQUEUE_PI), 2, (void *)1, &second, 0));
    show("another value", futex(&word, PI(CMP_REQUEUE_PI), 1, (void *)1, &second, 5));
    show("to itself", futex(&word, PI(CMP_REQUEUE_PI), 1, (void *)1, &word, 0));
    show("to another word", futex(&word, PI(CMP_REQUEUE_PI), 1, (void *)1, &third, 0));
    show("negative", futex(&word, PI(CMP_REQUEUE_PI), 1, (void *)-1L, &second, 0));
    show("move two of three", futex(&word, PI(CMP_REQUEUE_PI), 1, (void *)1, &second, 0));
    printf("second: %s\n", owner(second));
    show("move the last", futex(&word, PI(CMP_REQUEUE_PI), 1, (void *)9, &second, 0));
    show("hand over", futex(&second, PI(UNLOCK_PI), 0, NULL, NULL, 0));
    end("a", &a), end("b", &b), end("c", &c);
    printf("second: %s\n", owner(second));

    second = 0;
    start(&a);
    show("a free lock passes at once", futex(&word, PI(CMP_REQUEUE_PI), 1, (void *)0, &second, 0));
    end("a", &a);
    printf("it saw: %s\n", a.word);
    second = 0;
    a.timeout = &brief;
    a.hold_us = 0;
    CHECK(pthread_create(&a.thread, NULL, run_job, &a) == 0);
    end("time over before the move", &a);
    show("another value in the first", futex(&word, PI(WAIT_REQUEUE_PI), 4, NULL, &second, 0));

    /* A signal before the move: it waits on. */
    struct timespec later;
    clock_gettime(CLOCK_MONOTONIC, &later);
    later.tv_sec += 60;
    a.timeout = &later;
    a.hold_us = 2;
    start(&a);
    interrupt(&a);
    show("move after a signal", futex(&word, PI(CMP_REQUEUE_PI), 1, (void *)0, &second, 0));
    end("a", &a);
    /* A signal after the move: it may not go back. */
    second = (uint32_t)gettid();
    start(&a);
    show("move", futex(&word, PI(CMP_REQUEUE_PI), 1, (void *)0, &second, 0));
    CHECK(pthread_kill(a.thread, SIGUSR1) == 0);
    end("signalled after the move", &a);
}

struct waker {
    pid_t main;
    uint32_t *target;
    int op;
};

static void *wake_main(void *arg)
{
    struct waker *w = arg;
    until_asleep(getpid(), w->main);
    CHECK(futex(w->target, w->op, 1, NULL, NULL, 0) == 1);
    return NULL;
}

static void several(void)
{
    struct waitv_word v[3] = {
        {.address = (uintptr_t)&word, .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG},
        {.address = (uintptr_t)&second, .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG},
        {.address = (uintptr_t)&third, .flags = FUTEX_32}};
    static struct waitv_word many[129];
    struct timespec at;
#define WAITV(...) (syscall(SYS_futex_waitv, __VA_ARGS__) < 0 ? -errno : 0)
    word = second = third = 0;
    show("no words", WAITV(v, 0, 0, NULL, CLOCK_MONOTONIC));
    show("flags", WAITV(v, 3, 1, NULL, CLOCK_MONOTONIC));
    for (int i = 0; i < 129; i++)
        many[i] = v[0];
    show("too many", WAITV(many, 129, 0, NULL, CLOCK_MONOTONIC));
    show("no list", WAITV(NULL, 1, 0, NULL, CLOCK_MONOTONIC));
    show("a bad list", WAITV((void *)8, 1, 0, NULL, CLOCK_MONOTONIC));
    at = bad_time;
    show("bad time", WAITV(v, 3, 0, &at, CLOCK_MONOTONIC));
    clock_gettime(CLOCK_MONOTONIC, &at);
    show("bad clock", WAITV(v, 3, 0, &at, CLOCK_BOOTTIME));
    show("time over", WAITV(v, 3, 0, &at, CLOCK_MONOTONIC));
    clock_gettime(CLOCK_REALTIME, &at);
    show("time over, realtime", WAITV(v, 3, 0, &at, CLOCK_REALTIME));
    v[1].value = 9;
    show("another value", WAITV(v, 3, 0, NULL, CLOCK_MONOTONIC));
    v[1].value = 0;
    v[1].reserved = 1;
    show("reserved", WAITV(v, 3, 0, NULL, CLOCK_MONOTONIC));
    v[1].reserved = 0;
    v[2].flags = 0;
    show("no size", WAITV(v, 3, 0, NULL, CLOCK_MONOTONIC));
    v[2].flags = FUTEX_32;
    v[2].address = 4096;
    show("unmapped word", WAITV(v, 3, 0, NULL, CLOCK_MONOTONIC));
    v[2].address = (uintptr_t)&third;
    for (int i = 0; i < 3; i++) {
        uint32_t *target = i == 0 ? &word : i == 1 ? &second : &third;
        pthread_t t;
        struct waker waker = {gettid(), target, i == 2 ? FUTEX_WAKE : FUTEX_WAKE_PRIVATE};
        CHECK(pthread_create(&t, NULL, wake_main, &waker) == 0);
        printf("woken through word %ld\n",
               syscall(SYS_futex_waitv, v, 3, 0, NULL, CLOCK_MONOTONIC));
        CHECK(pthread_join(t, NULL) == 0);
        show("nobody is left", futex(&word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
    }
}

/* The same page at two addresses, in two processes, through files and anonymous memory. */
static void shared(void)
{
    char name[] = "/tmp/guest-futex-XXXXXX";
    int file = mkstemp(name), memory = (int)syscall(SYS_memfd_create, "f", 0);
    CHECK(file >= 0 && ftruncate(file, 8192) == 0 && memory >= 0 && ftruncate(memory, 8192) == 0);
    for (int kind = 0; kind < 3; kind++) {
        int fd = kind == 0 ? -1 : kind == 1 ? file : memory;
        uint32_t *one = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
                             MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
        CHECK(one != MAP_FAILED);
        fflush(stdout);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            uint32_t *two = one + 1024;
            if (fd >= 0) { /* opened once more, mapped from its second page on */
                int again = kind == 1 ? open(name, O_RDWR) : fd;
                two = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again, 4096);
                CHECK(two != MAP_FAILED);
            }
            one[0] = 1;
            _exit(futex(two, FUTEX_WAIT, 0, NULL, NULL, 0) == 0 ? 0 : 1);
        }
        while (!((volatile uint32_t *)one)[0])
            usleep(1000);
        until_asleep(pid, pid);
        printf("shared %d: by the private key %ld", kind,
               futex(one + 1024, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
        printf(", another page %ld", futex(one, FUTEX_WAKE, 1, NULL, NULL, 0));
        printf(", the page %ld\n", futex(one + 1024, FUTEX_WAKE, 1, NULL, NULL, 0));
        int status;
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        CHECK(munmap(one, 8192) == 0);
    }
    /* A private mapping of a file is private, whatever the flag says. */
    uint32_t *mine = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    uint32_t *theirs = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    *theirs = 0;
    struct job a = {.addr = mine, .op = FUTEX_WAIT};
    start(&a);
    show("the shared side", futex(theirs, FUTEX_WAKE, 1, NULL, NULL, 0));
    show("the private side", futex(mine, FUTEX_WAKE, 1, NULL, NULL, 0));
    end("private mapping", &a);
    unlink(name);

    /* A lock handed over between processes. */
    uint32_t *lock = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(futex(lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0) == 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        long r = futex(lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
        printf("child: %ld, %s\n", r, owner(*lock & ~FUTEX_WAITERS));
        fflush(stdout);
        _exit(0); /* with the lock */
    }
    until_asleep(pid, pid);
    long passed = futex(lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
    usleep(1000);
    long r = futex(lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
    CHECK(r == 0 || r == -ESRCH); /* whether it died before or after */
    CHECK(waitpid(pid, NULL, 0) == pid);
    show("to the child", passed);
}

struct node {
    struct robust_node list;
    uint32_t lock;
};

static void *die_with(void *arg)
{
    struct node *nodes = arg;
    static __thread struct robust_head head;
    head = (struct robust_head){.list = {&nodes[0].list},
                                .futex_offset = offsetof(struct node, lock),
                                .list_op_pending = &nodes[3].list};
    nodes[0].list.next = &nodes[1].list;
    nodes[1].list.next = &nodes[2].list;
    nodes[2].list.next = &head.list;
    nodes[0].lock = nodes[2].lock = nodes[3].lock = (uint32_t)gettid() | FUTEX_WAITERS;
    nodes[1].lock = 12345; /* somebody else's */
    CHECK(syscall(SYS_set_robust_list, &head, sizeof(head)) == 0);
    struct robust_head *back;
    size_t size;
    CHECK(syscall(SYS_get_robust_list, 0, &back, &size) == 0 && back == &head &&
          size == sizeof(head));
    while (!may_die)
        usleep(1000);
    return NULL;
}

static void robust(void)
{
    static struct node nodes[4];
    struct robust_head *head;
    size_t size = 0;
    show("bad size", syscall(SYS_set_robust_list, NULL, 23) < 0 ? -errno : 0);
    show("of a missing thread",
         syscall(SYS_get_robust_list, 0x3fffffff, &head, &size) < 0 ? -errno : 0);
    show("of the first thread",
         syscall(SYS_get_robust_list, getpid(), &head, &size) < 0 ? -errno : (long)size);
    pthread_t t;
    struct job a = {.addr = &nodes[0].lock, .op = FUTEX_WAIT},
               b = {.addr = &nodes[3].lock, .op = FUTEX_WAIT};
    may_die = 0;
    CHECK(pthread_create(&t, NULL, die_with, nodes) == 0);
    while (!((volatile struct node *)nodes)[3].lock)
        usleep(1000);
    a.value = nodes[0].lock, b.value = nodes[3].lock;
    start(&a), start(&b);
    may_die = 1;
    CHECK(pthread_join(t, NULL) == 0);
    end("in the list", &a), end("pending", &b);
    for (int i = 0; i < 4; i++)
        printf("lock %d: %s\n", i, owner(nodes[i].lock));

    pthread_mutexattr_t attr;
    pthread_mutex_t *m =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int protocol = 0; protocol < 2; protocol++) {
        CHECK(pthread_mutexattr_init(&attr) == 0 &&
              pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) == 0);
        CHECK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) == 0);
        CHECK(pthread_mutexattr_setprotocol(&attr, protocol ? PTHREAD_PRIO_INHERIT
                                                            : PTHREAD_PRIO_NONE) == 0);
        CHECK(pthread_mutex_init(m, &attr) == 0);
        for (int how = 0; how < 3; how++) {
            fflush(stdout);
            pid_t pid = fork();
            if (pid == 0) {
                CHECK(pthread_mutex_lock(m) == 0);
                usleep(30000);
                if (how == 0)
                    _exit(0);
                if (how == 1)
                    kill(getpid(), SIGKILL);
                execl("/bin/true", "true", (char *)NULL);
                _exit(1);
            }
            /* Its lock may be seen while it lives or after its death: then the attempt takes it over. */
            int r;
            while ((r = pthread_mutex_trylock(m)) == 0) {
                pthread_mutex_unlock(m);
                usleep(1000);
            }
            if (r == EBUSY)
                r = pthread_mutex_lock(m);
            printf("protocol %d, end %d: %s", protocol, how, r == EOWNERDEAD ? "owner died" : "?");
            printf(", consistent %d", pthread_mutex_consistent(m));
            printf(", unlock %d\n", pthread_mutex_unlock(m));
            CHECK(waitpid(pid, NULL, 0) == pid);
        }
    }
}

static struct crowd {
    uint32_t lock, count;
} * g_crowd;

static void *take_turns(void *arg)
{
    for (int k = 0; k < 500; k++) {
        uint32_t none = 0;
        if (!__atomic_compare_exchange_n(&g_crowd->lock, &none, (uint32_t)gettid(), 0,
                                         __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            CHECK(futex(&g_crowd->lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0) == 0);
        CHECK((int)(g_crowd->lock & FUTEX_TID_MASK) == gettid());
        g_crowd->count++;
        uint32_t self = (uint32_t)gettid();
        if (!__atomic_compare_exchange_n(&g_crowd->lock, &self, 0, 0, __ATOMIC_SEQ_CST,
                                         __ATOMIC_SEQ_CST))
            CHECK(futex(&g_crowd->lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) == 0);
    }
    return arg;
}

/* Turns of many threads and processes at one lock. */
static void crowd(void)
{
    g_crowd = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[4];
    fflush(stdout);
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        CHECK(pids[i] >= 0);
        if (pids[i])
            continue;
        pthread_t t[3];
        for (int k = 0; k < 3; k++)
            CHECK(pthread_create(&t[k], NULL, take_turns, NULL) == 0);
        take_turns(NULL);
        for (int k = 0; k < 3; k++)
            CHECK(pthread_join(t[k], NULL) == 0);
        _exit(0);
    }
    for (int i = 0; i < 4; i++) {
        int status;
        CHECK(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
    }
    printf("crowd: %u turns\n", g_crowd->count);
}

#define SLEEPERS 40
static uint32_t g_round, g_asleep, g_awake;

static void *sleep_each_round(void *arg)
{
    for (uint32_t k = 0; k < 50; k++) {
        __atomic_add_fetch(&g_asleep, 1, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&g_round, __ATOMIC_SEQ_CST) == k)
            futex(&g_round, FUTEX_WAIT_PRIVATE, k, NULL, NULL, 0);
        __atomic_add_fetch(&g_awake, 1, __ATOMIC_SEQ_CST);
    }
    return arg;
}

static bool becomes(uint32_t *count, uint32_t value)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    for (int i = 0; i < 60000 && __atomic_load_n(count, __ATOMIC_SEQ_CST) != value; i++)
        nanosleep(&moment, NULL);
    return __atomic_load_n(count, __ATOMIC_SEQ_CST) == value;
}

/* One wake for many threads at once wakes each of them. */
static void woken_together(void)
{
    pthread_t t[SLEEPERS];
    for (int i = 0; i < SLEEPERS; i++)
        CHECK(pthread_create(&t[i], NULL, sleep_each_round, NULL) == 0);
    for (uint32_t k = 0; k < 50; k++) {
        CHECK(becomes(&g_asleep, (k + 1) * SLEEPERS));
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); /* almost all do sleep by now */
        __atomic_add_fetch(&g_round, 1, __ATOMIC_SEQ_CST);
        CHECK(futex(&g_round, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0) >= 0);
        CHECK(becomes(&g_awake, (k + 1) * SLEEPERS));
    }
    for (int i = 0; i < SLEEPERS; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    printf("woken together: %u times\n", g_awake);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    waits_and_wakes();
    interrupted();
    inheritance();
    owner_dies();
    moved_waiters();
    several();
    shared();
    robust();
    crowd();
    woken_together();
    return 0;
}
