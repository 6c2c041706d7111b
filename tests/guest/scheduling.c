/* sched_setattr(2), setpriority(2) and who may use them; kcmp(2). */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t clamp_min, clamp_max;
};
enum { NORMAL, FIFO, ROUND_ROBIN, BATCH, IDLE = 5, DEADLINE };
enum { RESET = 1, KEEP_POLICY = 8, KEEP_PARAMS = 16 };
#ifndef SCHED_RESET_ON_FORK
#define SCHED_RESET_ON_FORK 0x40000000
#endif

static long result(long r)
{
    return r < 0 ? -errno : r;
}

static long set(int tid, uint32_t policy, uint64_t flags, int nice, uint32_t priority)
{
    struct attributes a = {48, policy, flags, nice, priority, 0, 0, 0, 0, 0};
    return result(syscall(SYS_sched_setattr, tid, &a, 0));
}

static void show(const char *what)
{
    struct attributes a = {0};
    CHECK(syscall(SYS_sched_getattr, 0, &a, 48, 0) == 0);
    printf("%s: size %u policy %u flags %llu nice %d priority %u; getscheduler %x getpriority %d\n",
           what, a.size, a.policy, (unsigned long long)a.flags, a.nice, a.priority,
           (unsigned)syscall(SYS_sched_getscheduler, 0), getpriority(PRIO_PROCESS, 0));
}

static void inherits(void)
{
    show("child");
}

static void attributes(void)
{
    struct {
        struct attributes a;
        char more[16];
    } big = {.a = {.size = 72}};
    show("at first");
    printf("batch %ld\n", set(0, BATCH, 0, 5, 0));
    show("batch");
    CHECK(in_child(inherits) == 0);
    printf("idle %ld\n", set(0, IDLE, RESET, 7, 0));
    show("idle");
    printf("back %ld\n", set(0, NORMAL, 0, 3, 0));
    show("back");
    printf("keep policy %ld\n", set(0, DEADLINE, KEEP_POLICY, 9, 0));
    show("nice alone");
    printf("keep parameters %ld\n", set(0, BATCH, KEEP_PARAMS, 15, 0));
    show("policy alone");
    printf("far %ld\n", set(0, NORMAL, 0, 100, 0));
    show("clamped");
    printf(
        "bad: priority %ld, realtime without %ld, policy %ld, flag %ld, thread %ld, negative %ld\n",
        set(0, NORMAL, 0, 0, 1), set(0, FIFO, 0, 0, 0), set(0, 4, 0, 0, 0),
        set(0, NORMAL, 1ull << 40, 0, 0), set(0x3fffffff, NORMAL, 0, 0, 0),
        set(-1, NORMAL, 0, 0, 0));
    printf("null %ld, flags %ld\n", result(syscall(SYS_sched_setattr, 0, NULL, 0)),
           result(syscall(SYS_sched_setattr, 0, &big.a, 1)));
    printf("bigger, zero %ld", result(syscall(SYS_sched_setattr, 0, &big.a, 0)));
    big.more[0] = 1;
    long r = result(syscall(SYS_sched_setattr, 0, &big.a, 0));
    printf(", not zero %ld\n", r);
    big.a.size = 20;
    r = result(syscall(SYS_sched_setattr, 0, &big.a, 0));
    printf("small %ld\n", r);
    printf("get: small %ld, flags %ld, null %ld, memory %ld\n",
           result(syscall(SYS_sched_getattr, 0, &big.a, 40, 0)),
           result(syscall(SYS_sched_getattr, 0, &big.a, 48, 1)),
           result(syscall(SYS_sched_getattr, 0, NULL, 48, 0)),
           result(syscall(SYS_sched_getattr, 0, 8, 48, 0)));
}

static void resets(void)
{
    CHECK(setpriority(PRIO_PROCESS, 0, -5) == 0);
    struct sched_param none = {0};
    printf("reset %ld\n",
           result(syscall(SYS_sched_setscheduler, 0, BATCH | SCHED_RESET_ON_FORK, &none)));
    show("parent");
    CHECK(in_child(inherits) == 0);
}

static void not_root(void)
{
    CHECK(setpriority(PRIO_PROCESS, 0, 2) == 0);
    CHECK(setresuid(54322, 54322, 54322) == 0);
    struct sched_param one = {.sched_priority = 1};
    long r[6];
    r[0] = result(setpriority(PRIO_PROCESS, 0, 4));
    r[1] = result(setpriority(PRIO_PROCESS, 0, 3));
    r[2] = set(0, NORMAL, 0, 1, 0);
    r[3] = result(syscall(SYS_sched_setscheduler, 0, FIFO, &one));
    r[4] = result(setpriority(PRIO_PROCESS, getppid(), 10));
    r[5] = set(getppid(), NORMAL, 0, 10, 0);
    printf("nicer %ld, less %ld, by attribute %ld, realtime %ld, another's %ld %ld\n", r[0], r[1],
           r[2], r[3], r[4], r[5]);
    CHECK(set(0, NORMAL, RESET, 4, 0) == 0);
    printf("reset cannot be taken back %ld\n", set(0, NORMAL, 0, 4, 0));
}

/* Order is the kernel's secret: the same or not. */
static long same(pid_t a, pid_t b, int type, long x, long y)
{
    long r = result(syscall(SYS_kcmp, a, b, type, x, y));
    return r > 0 ? 1 : r;
}

static volatile pid_t g_thread;
static volatile int g_end;

static void *wait_for_end(void *arg)
{
    g_thread = gettid();
    while (!g_end)
        usleep(1000);
    return arg;
}

static void compared(void)
{
    static const char *const names[] = {"file",    "memory", "descriptors", "directories",
                                        "signals", "io",     "semaphores"};
    int me = getpid(), fd = open("/dev/null", O_RDONLY), twin = dup(fd);
    int second = open("/dev/null", O_RDONLY), gate[2];
    pthread_t t;
    CHECK(fd >= 0 && twin >= 0 && second >= 0 && pipe(gate) == 0);
    CHECK(pthread_create(&t, NULL, wait_for_end, NULL) == 0);
    while (!g_thread)
        usleep(1000);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        close(gate[1]);
        _exit(read(gate[0], &byte, 1) != 0);
    }
    for (int type = 1; type < 7; type++)
        printf("%s: with a thread %ld, with a child %ld\n", names[type],
               same(me, g_thread, type, 0, 0), same(me, pid, type, 0, 0));
    printf("dup %ld, opened twice %ld, the child's %ld, not open %ld %ld\n",
           same(me, me, 0, fd, twin), same(me, me, 0, fd, second), same(me, pid, 0, fd, twin),
           same(me, me, 0, fd, 99), same(me, me, 0, -1, fd));
    printf("nobody %ld %ld, bad type %ld\n", same(me, 0x3fffffff, 1, 0, 0),
           same(0x3fffffff, me, 1, 0, 0), same(me, me, 99, 0, 0));
    fflush(stdout);
    pid_t other = fork();
    if (other == 0) {
        CHECK(setresuid(54322, 54322, 54322) == 0);
        printf("not allowed %ld\n", same(getpid(), me, 1, 0, 0));
        fflush(stdout);
        _exit(0);
    }
    CHECK(waitpid(other, NULL, 0) == other);
    close(gate[1]);
    g_end = 1;
    CHECK(waitpid(pid, NULL, 0) == pid && pthread_join(t, NULL) == 0);
}

int main(void)
{
    CHECK(setpriority(PRIO_PROCESS, 0, 0) ==
          0); /* natively it is what the tests were started with */
    CHECK(in_child(attributes) == 0);
    CHECK(in_child(resets) == 0);
    CHECK(in_child(not_root) == 0);
    CHECK(in_child(compared) == 0);
    return 0;
}
