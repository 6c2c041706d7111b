/*
 * rseq.c: restartable sequences: what a signal, preemption or migration disturbs starts again, so that counters of each processor are
 * exact; who has an area after fork, clone and exec; wrong arguments; and that a bad descriptor or area ends the process by SIGSEGV.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <stdbool.h>

#include "guest.h"
#include "sequence.h"

#define CPUS 4096
#define COUNTERS 4
#define ADDITIONS 20000

static struct area g_area;

static void errnos(void)
{
    static struct area other;
    CHECK(rseq(&g_area, AREA_SIZE, UNREGISTER, SIGNATURE) == -1 && errno == EINVAL);
    CHECK(rseq((char *)&g_area + 8, AREA_SIZE, 0, SIGNATURE) == -1 && errno == EINVAL);
    CHECK(rseq(&g_area, 16, 0, SIGNATURE) == -1 && errno == EINVAL);
    CHECK(rseq(&g_area, AREA_SIZE, 4, SIGNATURE) == -1 && errno == EINVAL);
    CHECK(rseq((void *)-32L, AREA_SIZE, 0, SIGNATURE) == -1 && errno == EFAULT);
    CHECK(rseq(&g_area, AREA_SIZE, 0, SIGNATURE) == 0);
    CHECK(rseq(&g_area, AREA_SIZE, 0, SIGNATURE) == -1 && errno == EBUSY);
    CHECK(rseq(&g_area, AREA_SIZE, 0, 1) == -1 && errno == EPERM);
    CHECK(rseq(&other, AREA_SIZE, 0, SIGNATURE) == -1 && errno == EINVAL);
    CHECK(rseq(&other, AREA_SIZE, UNREGISTER, SIGNATURE) == -1 && errno == EINVAL);
    CHECK(rseq(&g_area, 16, UNREGISTER, SIGNATURE) == -1 && errno == EINVAL);
    CHECK(rseq(&g_area, AREA_SIZE, UNREGISTER | 2, SIGNATURE) == -1 && errno == EINVAL);
    CHECK(rseq(&g_area, AREA_SIZE, UNREGISTER, 1) == -1 && errno == EPERM);
    CHECK(rseq(&g_area, AREA_SIZE, UNREGISTER, SIGNATURE) == 0);
    CHECK(g_area.cpu_id_start == 0 && g_area.cpu_id == (uint32_t)-1);
    printf("errnos as they should be\n");
}

static void processor(void)
{
    CHECK(rseq(&g_area, AREA_SIZE, 0, SIGNATURE) == 0);
    int same = 0;
    for (int i = 0; i < 10000 && !same; i++) {
        unsigned cpu;
        syscall(SYS_getcpu, &cpu, NULL, NULL);
        CHECK(g_area.cpu_id < CPUS && g_area.cpu_id_start < CPUS);
        same = g_area.cpu_id == cpu;
    }
    CHECK(same);
    printf("the area names the processor\n");
}

static volatile int g_handled, g_begun;

static void on_alarm(int sig)
{
    (void)sig;
    g_handled++;
}

static void start_ticks(void (*handler)(int), int sig, long usec)
{
    struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct itimerval ticks = {{0, usec}, {0, usec}};
    CHECK(sigaction(sig, &act, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &ticks, NULL) == 0);
}

static void stop_ticks(void)
{
    CHECK(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL) == 0);
}

static void signals(void)
{
    start_ticks(on_alarm, SIGALRM, 2000);
    int through = 0;
    for (int i = 0; i < 20; i++)
        through += sequence_spin(&g_area, &g_begun);
    stop_ticks();
    CHECK(through == 0);
    printf("20 sequences ended by signals or preemption\n");
}

/* ---- per-processor counters ---- */

static struct {
    volatile uint64_t value;
    char apart[56];
} g_counters[CPUS];

static void *count(void *unused)
{
    struct area *area = aligned_alloc(32, sizeof(*area));
    memset(area, 0, sizeof(*area));
    give_back_area_of_libc();
    CHECK(rseq(area, AREA_SIZE, 0, SIGNATURE) == 0);
    for (int done = 0; done < ADDITIONS;) {
        uint32_t cpu = area->cpu_id_start;
        CHECK(cpu < CPUS);
        done += sequence_add(area, cpu, &g_counters[cpu].value);
    }
    CHECK(rseq(area, AREA_SIZE, UNREGISTER, SIGNATURE) == 0);
    free(area);
    return unused;
}

static void counters(void)
{
    pthread_t threads[COUNTERS];
    uint64_t sum = 0;
    start_ticks(on_alarm, SIGALRM, 1000);
    for (int i = 0; i < COUNTERS; i++)
        CHECK(pthread_create(&threads[i], NULL, count, NULL) == 0);
    for (int i = 0; i < COUNTERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    stop_ticks();
    for (int i = 0; i < CPUS; i++)
        sum += g_counters[i].value;
    printf("%d threads added %d each: %s\n", COUNTERS, ADDITIONS,
           sum == COUNTERS * ADDITIONS ? "exact" : "some got lost");
}

/* ---- preemption alone ---- */

static int g_waiting;

static void *be_preempted(void *through)
{
    struct area area = {0};
    volatile int begun = 0;
    give_back_area_of_libc();
    CHECK(rseq(&area, AREA_SIZE, 0, SIGNATURE) == 0);
    *(int *)through = sequence_spin(&area, &begun);
    __atomic_sub_fetch(&g_waiting, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&g_waiting, __ATOMIC_SEQ_CST) > 0)
        ; /* so that the others are preempted, too */
    CHECK(rseq(&area, AREA_SIZE, UNREGISTER, SIGNATURE) == 0);
    return NULL;
}

static void preemption(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN) + 2;
    pthread_t *threads = calloc((size_t)count, sizeof(*threads));
    int *through = calloc((size_t)count, sizeof(*through)), sum = 0;
    CHECK(threads && through);
    g_waiting = (int)count;
    for (long i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, be_preempted, &through[i]) == 0);
    for (long i = 0; i < count; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        sum += through[i];
    }
    CHECK(sum == 0);
    free(threads);
    free(through);
    printf("more threads than processors: each was preempted, and started again\n");
}

/* ---- who has an area ---- */

static int other_child(void *unused)
{
    (void)unused;
    static struct area area;
    return rseq(&area, AREA_SIZE, 0, SIGNATURE) == 0 &&
           rseq(&area, AREA_SIZE, UNREGISTER, SIGNATURE) == 0;
}

static int status_of(pid_t pid)
{
    int status = -1;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

static void inheritance(char *self)
{
    static char stack[65536] __attribute__((aligned(16)));
    pid_t pid = fork();
    if (pid == 0) {
        bool had = rseq(&g_area, AREA_SIZE, 0, SIGNATURE) == -1 && errno == EBUSY;
        start_ticks(on_alarm, SIGALRM, 2000);
        bool through = sequence_spin(&g_area, &g_begun);
        _exit(had && !through && g_area.cpu_id < CPUS);
    }
    printf("child of fork: %d\n", WEXITSTATUS(status_of(pid)));
    pid = clone(other_child, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
    printf("child in the same memory: %d\n", WEXITSTATUS(status_of(pid)));
    pid = vfork();
    if (pid == 0) {
        execl(self, self, "after exec", (char *)NULL);
        _exit(98);
    }
    printf("child after exec: %d\n", WEXITSTATUS(status_of(pid)));
    CHECK(rseq(&g_area, AREA_SIZE, 0, SIGNATURE) == -1 && errno == EBUSY);
}

/* ---- what ends a process; whether a handler would have a say differs between kernels ---- */

extern char right_start[], right_end[], wrong_abort[], right_abort[];

/* A sequence with this descriptor, endless, and a signal. */
static void run_bad(const struct descriptor *d)
{
    static struct area area;
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    rseq(&g_area, AREA_SIZE, UNREGISTER, SIGNATURE);
    CHECK(rseq(&area, AREA_SIZE, 0, SIGNATURE) == 0);
    start_ticks(on_alarm, SIGALRM, 2000);
    __asm__ volatile("mov %[d], 8(%[area])\n"
                     ".globl right_start, right_end, wrong_abort, right_abort\n"
                     "right_start:\n"
                     "1:\tjmp 1b\n"
                     "right_end:\n\t"
                     ".byte 0x0f, 0xb9, 0x3d\n\t"
                     ".long 0x53053054\n"
                     "wrong_abort:\n\t"
                     "ud2\n\t"
                     ".byte 0x0f, 0xb9, 0x3d\n\t"
                     ".long 0x53053053\n"
                     "right_abort:\n"
                     :
                     : [d] "r"(d), [area] "r"(&area)
                     : "memory");
    _exit(0);
}

static void bad_descriptors(void)
{
    uint64_t start = (uint64_t)right_start, size = (uint64_t)(right_end - right_start);
    const struct {
        const char *name;
        struct descriptor d;
    } cases[] = {
        {"a good descriptor", {0, 0, start, size, (uint64_t)right_abort}},
        {"a wrong signature", {0, 0, start, size, (uint64_t)wrong_abort}},
        {"an unknown version", {7, 0, start, size, (uint64_t)right_abort}},
        {"an abort address inside", {0, 0, start, size, start}},
        {"an abort address of the kernel", {0, 0, start, size, 0xffff800000000000}},
        {"a start in the kernel", {0, 0, 0xffff800000000000, size, (uint64_t)right_abort}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static struct descriptor d;
        d = cases[i].d;
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0)
            run_bad(&d);
        printf("%s: status %#x\n", cases[i].name, status_of(pid) & ~0x80);
    }
    pid_t pid = fork();
    if (pid == 0)
        run_bad((const struct descriptor *)32);
    printf("no descriptor there: status %#x\n", status_of(pid) & ~0x80);
}

static void *map_page(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    return page;
}

static void *g_page;

static void *own_the_page(void *unused)
{
    give_back_area_of_libc();
    CHECK(rseq(g_page, AREA_SIZE, 0, SIGNATURE) == 0);
    __atomic_store_n(&g_begun, 2, __ATOMIC_SEQ_CST);
    for (;;)
        ;
    return unused;
}

/* The area goes, by its thread's own hand or by another's; then a signal comes. */
static void lose_area(int how)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    rseq(&g_area, AREA_SIZE, UNREGISTER, SIGNATURE);
    g_page = map_page();
    if (how == 3) {
        pthread_t thread;
        sigset_t ticks;
        pthread_create(&thread, NULL, own_the_page, NULL);
        while (__atomic_load_n(&g_begun, __ATOMIC_SEQ_CST) != 2)
            sched_yield();
        sigemptyset(&ticks);
        sigaddset(&ticks, SIGALRM);
        sigprocmask(SIG_BLOCK, &ticks, NULL); /* they come to the other */
        munmap(g_page, 4096);
    } else {
        CHECK(rseq(g_page, AREA_SIZE, 0, SIGNATURE) == 0);
        if (how == 0)
            munmap(g_page, 4096);
        else if (how == 1)
            mprotect(g_page, 4096, PROT_READ);
        else
            mmap(g_page, 4096, PROT_NONE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    start_ticks(on_alarm, SIGALRM, 2000);
    for (;;)
        ;
}

static void bad_areas(void)
{
    static const char *const names[] = {"unmapped", "read-only", "mapped over",
                                        "unmapped by another thread"};
    for (int how = 0; how < 4; how++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0)
            lose_area(how);
        printf("an area %s: status %#x\n", names[how], status_of(pid) & ~0x80);
    }
    /* Mapped again before anybody looked */
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        rseq(&g_area, AREA_SIZE, UNREGISTER, SIGNATURE);
        struct area *area = map_page();
        CHECK(rseq(area, AREA_SIZE, 0, SIGNATURE) == 0);
        mmap(area, 4096, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        start_ticks(on_alarm, SIGALRM, 2000);
        _exit(sequence_spin(area, &g_begun));
    }
    printf("an area with a new page: status %#x\n", status_of(pid) & ~0x80);
    /* A child that does not get the page */
    pid = fork();
    if (pid == 0) {
        rseq(&g_area, AREA_SIZE, UNREGISTER, SIGNATURE);
        struct area *area = map_page();
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        CHECK(rseq(area, AREA_SIZE, 0, SIGNATURE) == 0);
        CHECK(madvise(area, 4096, MADV_DONTFORK) == 0);
        pid_t child = fork();
        if (child == 0)
            for (;;)
                sched_yield();
        int status = status_of(child) & ~0x80;
        start_ticks(on_alarm, SIGALRM, 2000);
        _exit(sequence_spin(area, &g_begun) ? 77 : status);
    }
    printf("a child without the area's page: %d\n", WEXITSTATUS(status_of(pid)));
}

int main(int argc, char **argv)
{
    give_back_area_of_libc();
    if (argc > 1)
        return rseq(&g_area, AREA_SIZE, 0, SIGNATURE) == 0 ? 1 : 2;
    errnos();
    processor();
    signals();
    counters();
    preemption();
    inheritance(argv[0]);
    bad_descriptors();
    bad_areas();
    return 0;
}
