/*
 * rseq_deaths.c: a thread whose rseq_cs or area is bad ends its own process by SIGSEGV and nobody else's, whatever the other threads of that
 * process are doing; and what these had open is closed.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#include "child.h"
#include "sequence.h"

#define SLEEPERS 4
#define ROUNDS 12

static struct area g_area;
static volatile int g_begun;
static pid_t g_sleepers[SLEEPERS];
static uint32_t g_word;
static int g_pipe[2];

static void on_tick(int sig)
{
    (void)sig;
}

static void no_ticks_here(void)
{
    sigset_t ticks;
    sigemptyset(&ticks);
    sigaddset(&ticks, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &ticks, NULL);
}

static void *sleeper(void *number)
{
    long which = (long)number;
    char byte;
    no_ticks_here();
    __atomic_store_n(&g_sleepers[which], (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
    switch (which) {
    case 0:
        (void)!read(g_pipe[0], &byte, 1);
        break;
    case 1:
        syscall(SYS_futex, &g_word, 0 /* FUTEX_WAIT */, 0, NULL, NULL, 0);
        break;
    case 2:
        nanosleep(&(struct timespec){3600, 0}, NULL);
        break;
    default:
        poll(&(struct pollfd){g_pipe[0], POLLIN, 0}, 1, -1);
        break;
    }
    _exit(97);
}

static void start_sleepers(void)
{
    for (long i = 0; i < SLEEPERS; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, sleeper, (void *)i) == 0);
        while (!__atomic_load_n(&g_sleepers[i], __ATOMIC_SEQ_CST))
            sched_yield();
    }
    for (int i = 0; i < SLEEPERS; i++)
        until_asleep(getpid(), g_sleepers[i]);
    usleep(10000); /* who says so is about to */
}

/* A descriptor that is none, in code that somebody disturbs. */
static void go_bad(void)
{
    struct itimerval ticks = {{0, 2000}, {0, 2000}};
    struct sigaction act = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    give_back_area_of_libc();
    CHECK(rseq(&g_area, AREA_SIZE, 0, SIGNATURE) == 0);
    CHECK(sigaction(SIGALRM, &act, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &ticks, NULL) == 0);
    __atomic_store_n(&g_area.rseq_cs, 32, __ATOMIC_SEQ_CST);
    for (;;)
        g_begun++;
}

static void no_core(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

static void main_thread_goes_bad(void)
{
    no_core();
    start_sleepers();
    go_bad();
}

static void *bad_thread(void *unused)
{
    until_asleep(getpid(), getpid());
    usleep(10000);
    go_bad();
    return unused;
}

static void other_thread_goes_bad(void)
{
    pthread_t thread;
    no_core();
    start_sleepers();
    CHECK(pthread_create(&thread, NULL, bad_thread, NULL) == 0);
    no_ticks_here();
    pthread_join(thread, NULL);
}

/* The process waits for a child that goes on, as it does natively, and is somebody else's then. */
static void waits_for_its_child(void)
{
    pthread_t thread;
    no_core();
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(g_pipe[1]);
        _exit(read(g_pipe[0], &byte, 1) == 0 ? 0 : 1); /* until all who may write are gone */
    }
    CHECK(pthread_create(&thread, NULL, bad_thread, NULL) == 0);
    no_ticks_here();
    waitpid(child, NULL, 0);
    _exit(96);
}

static void several_times(const char *name, void (*run)(void), int rounds)
{
    int right = 0, open = 0;
    for (int i = 0; i < rounds; i++) {
        struct pollfd end;
        CHECK(pipe(g_pipe) == 0);
        fflush(stdout);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            run();
            _exit(95);
        }
        close(g_pipe[1]);
        int status;
        CHECK(waitpid(pid, &status, 0) == pid);
        right += WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
        end = (struct pollfd){g_pipe[0], POLLIN, 0};
        CHECK(poll(&end, 1, 60000) == 1);
        open += !(end.revents & POLLHUP);
        close(g_pipe[0]);
    }
    printf("%s: died of SIGSEGV %d, left open %d\n", name, right, open);
}

/* ---- memory that goes while another thread registers an area in it ---- */

static char *g_page;
static volatile int g_stop;

static void *register_again_and_again(void *unused)
{
    give_back_area_of_libc();
    while (!g_stop)
        if (rseq(g_page, AREA_SIZE, 0, SIGNATURE) == 0)
            rseq(g_page, AREA_SIZE, UNREGISTER, SIGNATURE);
    return unused;
}

static void unmap_again_and_again(void)
{
    pthread_t thread;
    no_core();
    int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
    g_page = mmap(NULL, 4096, prot, flags, -1, 0);
    CHECK(g_page != MAP_FAILED);
    CHECK(pthread_create(&thread, NULL, register_again_and_again, NULL) == 0);
    for (int i = 0; i < 3000; i++) {
        munmap(g_page, 4096);
        if (mmap(g_page, 4096, prot, flags | MAP_FIXED, -1, 0) != g_page)
            break;
    }
    g_stop = 1;
    pthread_join(thread, NULL);
    _exit(0);
}

/* How often it dies is the scheduler's affair. */
static void areas_in_going_memory(void)
{
    int ended = 0;
    for (int i = 0; i < 20; i++) {
        int status = in_child(unmap_again_and_again);
        ended += status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    }
    printf("areas in memory that goes: %d ended\n", ended);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
    several_times("the first thread", main_thread_goes_bad, rounds);
    several_times("another thread", other_thread_goes_bad, rounds);
    several_times("with a child", waits_for_its_child, rounds);
    areas_in_going_memory();
    return 0;
}
