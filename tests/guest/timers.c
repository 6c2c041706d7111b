/* alarm, setitimer, timer_create with every notification, overruns, processor-time clocks, sleeps and what they leave. */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define FAILS(call, number) CHECK((errno = 0, (long)(call) == -1) && errno == (number))
#define MS 1000000l

static volatile int g_count, g_code, g_value, g_overrun, g_id;
static volatile pid_t g_tid;

static void note(int sig, siginfo_t *info, void *context)
{
    (void)context, (void)sig;
    g_code = info->si_code;
    g_value = info->si_value.sival_int;
    g_overrun = info->si_overrun;
    g_id = info->si_timerid;
    g_tid = (pid_t)syscall(SYS_gettid);
    g_count++;
}

static void install(int sig, int flags)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | flags};
    CHECK(sigaction(sig, &action, NULL) == 0);
    g_count = 0;
}

static long now_ns(clockid_t clock)
{
    struct timespec t;
    CHECK(clock_gettime(clock, &t) == 0);
    return t.tv_sec * 1000000000l + t.tv_nsec;
}

static struct timespec ts(long ns)
{
    return (struct timespec){ns / 1000000000, ns % 1000000000};
}

static void burn(long ns)
{
    long end = now_ns(CLOCK_PROCESS_CPUTIME_ID) + ns;
    while (now_ns(CLOCK_PROCESS_CPUTIME_ID) < end)
        for (volatile int i = 0; i < 20000; i++)
            continue;
}

static void wait_count(int count)
{
    for (int i = 0; i < 3000 && g_count < count; i++)
        usleep(1000);
}

static void wait_pending(int sig)
{
    sigset_t pending;
    do
        CHECK(usleep(1000) == 0 && sigpending(&pending) == 0);
    while (!sigismember(&pending, sig));
}

static void alarms(void)
{
    install(SIGALRM, 0);
    printf("alarm: %u", alarm(100));
    usleep(1000);
    printf(" %d", alarm(0) >= 90);
    printf(" %u\n", alarm(0));
    struct itimerval old, t = {.it_value = {50, 500000}};
    CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
    printf("alarm and setitimer are one: %d\n", alarm(0) >= 40);
    alarm(70);
    CHECK(setitimer(ITIMER_REAL, NULL, &old) == 0); /* as a zero one */
    printf("replaced: %d %d, now %u\n", old.it_value.tv_sec >= 60, (int)old.it_interval.tv_sec,
           alarm(0));
    FAILS(setitimer(3, &t, NULL), EINVAL);
    FAILS(getitimer(-1, &t), EINVAL);
    t.it_value.tv_usec = 1000000;
    FAILS(setitimer(ITIMER_REAL, &t, NULL), EINVAL);
    t.it_value = (struct timeval){-1, 0};
    FAILS(setitimer(ITIMER_REAL, &t, NULL), EINVAL);
    FAILS(syscall(SYS_setitimer, ITIMER_REAL, (void *)8, NULL), EFAULT);
    FAILS(syscall(SYS_getitimer, ITIMER_REAL, (void *)8), EFAULT);
    t = (struct itimerval){.it_value = {0, 20000}, .it_interval = {0, 20000}};
    CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
    for (int i = 0; i < 3; i++)
        FAILS(pause(), EINTR);
    CHECK(getitimer(ITIMER_REAL, &old) == 0);
    printf("interval: %d, %ld, code %d\n", g_count >= 3, (long)old.it_interval.tv_usec, g_code);
    t = (struct itimerval){0};
    CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
}

static void processor_time(void)
{
    static const struct {
        int which, sig;
    } kinds[] = {{ITIMER_VIRTUAL, SIGVTALRM}, {ITIMER_PROF, SIGPROF}};
    for (int i = 0; i < 2; i++) {
        install(kinds[i].sig, SA_RESTART);
        struct itimerval left, t = {.it_value = {0, 30000}, .it_interval = {0, 30000}};
        CHECK(setitimer(kinds[i].which, &t, NULL) == 0);
        usleep(100000); /* sleeping uses none */
        CHECK(g_count == 0 && getitimer(kinds[i].which, &left) == 0 && left.it_value.tv_usec > 0);
        long start = now_ns(CLOCK_PROCESS_CPUTIME_ID);
        while (g_count < 3)
            burn(MS);
        long used = now_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
        /* A kernel that counts ticks, in a machine that is robbed of time, is far off: 30 of 90 ms were seen. */
        printf("%s three times after %s\n", i ? "profiling" : "virtual",
               used > 10 * MS ? "90 ms of it" : "too little");
        t = (struct itimerval){0};
        CHECK(setitimer(kinds[i].which, &t, NULL) == 0);
    }
}

static timer_t make(clockid_t clock, int notify, int sig, int value)
{
    timer_t t;
    struct sigevent ev = {
        .sigev_notify = notify, .sigev_signo = sig, .sigev_value.sival_int = value};
    CHECK(timer_create(clock, &ev, &t) == 0);
    return t;
}

static void set(timer_t t, int flags, long value, long interval)
{
    struct itimerspec spec = {.it_value = ts(value), .it_interval = ts(interval)};
    CHECK(timer_settime(t, flags, &spec, NULL) == 0);
}

/* musl 1.2.3 gives the number of the error, negated, instead of -1. */
static int deleted_twice(timer_t t)
{
    int r = timer_delete(t);
    if (r < -1)
        errno = -r;
    return r < 0 ? -1 : r;
}

static void posix_timers(void)
{
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI};
    install(SIGRTMIN, 0);
    for (int i = 0; i < 4; i++) {
        timer_t t = make(clocks[i], SIGEV_SIGNAL, SIGRTMIN, 40 + i);
        g_count = 0;
        set(t, 0, 10 * MS, 0);
        wait_count(1);
        printf("clock %d: %d code %d value %d overrun %d", clocks[i], g_count, g_code, g_value,
               g_overrun);
        struct itimerspec now;
        CHECK(timer_gettime(t, &now) == 0);
        printf(", left %ld\n", now.it_value.tv_sec + now.it_value.tv_nsec);
        g_count = 0;
        set(t, TIMER_ABSTIME, now_ns(clocks[i]) + 10 * MS, 0);
        wait_count(1);
        printf("  absolute %d", g_count);
        set(t, TIMER_ABSTIME, 1, 0); /* long past */
        wait_count(2);
        printf(", past %d\n", g_count);
        CHECK(timer_delete(t) == 0);
        struct itimerspec spec = {0};
        FAILS(timer_settime(t, 0, &spec, NULL), EINVAL);
        FAILS(timer_gettime(t, &spec), EINVAL);
        FAILS(timer_getoverrun(t), EINVAL);
        FAILS(deleted_twice(t), EINVAL);
    }
    timer_t t;
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 0};
    FAILS(timer_create(CLOCK_MONOTONIC, &ev, &t), EINVAL);
    ev.sigev_signo = 65;
    FAILS(timer_create(CLOCK_MONOTONIC, &ev, &t), EINVAL);
    ev = (struct sigevent){.sigev_notify = 77, .sigev_signo = SIGRTMIN};
    FAILS(timer_create(CLOCK_MONOTONIC, &ev, &t), EINVAL);
    ev.sigev_notify = SIGEV_SIGNAL;
    FAILS(timer_create(99, &ev, &t), EINVAL);
    FAILS(syscall(SYS_timer_create, CLOCK_MONOTONIC_RAW, &ev, &t), EOPNOTSUPP);
    FAILS(syscall(SYS_timer_create, CLOCK_MONOTONIC, (void *)8, &t), EFAULT);
    FAILS(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, (void *)8), EFAULT);
    t = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 0);
    struct itimerspec bad = {.it_value = {0, 1000000000}};
    FAILS(timer_settime(t, 0, &bad, NULL), EINVAL);
    FAILS(syscall(SYS_timer_settime, t, 0, NULL, NULL), EINVAL);
    struct itimerspec spec = {.it_value = {100, 0}, .it_interval = {7, 0}}, old;
    CHECK(timer_settime(t, 0, &spec, NULL) == 0);
    spec = (struct itimerspec){0};
    CHECK(timer_settime(t, 0, &spec, &old) == 0);
    printf("old: %d %ld\n", old.it_value.tv_sec >= 60, (long)old.it_interval.tv_sec);
    CHECK(timer_gettime(t, &old) == 0);
    printf("disarmed: %ld %ld\n", (long)old.it_value.tv_sec, (long)old.it_interval.tv_sec);
    CHECK(timer_delete(t) == 0);
    /* Without an event: SIGALRM with the timer's number. */
    install(SIGALRM, 0);
    int id = -1;
    CHECK(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id) == 0);
    spec = (struct itimerspec){.it_value = {0, 1}};
    CHECK(syscall(SYS_timer_settime, id, 0, &spec, NULL) == 0);
    wait_count(1);
    printf("by default: %d code %d value is the number %d, so is the id %d\n", g_count, g_code,
           g_value == id, g_id == id);
    CHECK(syscall(SYS_timer_delete, id) == 0);
    /* Nobody is told. */
    t = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
    set(t, 0, 9000 * MS, 0);
    CHECK(timer_gettime(t, &old) == 0 && old.it_value.tv_nsec > 0);
    set(t, 0, 5 * MS, 0);
    usleep(10000);
    CHECK(timer_gettime(t, &old) == 0);
    printf("SIGEV_NONE: left %ld\n", old.it_value.tv_nsec);
    set(t, 0, 5 * MS, 1000000 * MS);
    usleep(10000);
    CHECK(timer_gettime(t, &old) == 0);
    printf("again: %d\n", old.it_value.tv_sec >= 900);
    CHECK(timer_delete(t) == 0);
}

static void overruns(void)
{
    sigset_t s, old;
    sigemptyset(&s);
    sigaddset(&s, SIGRTMIN + 1);
    install(SIGRTMIN + 1, 0);
    sigprocmask(SIG_BLOCK, &s, &old);
    timer_t t = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 1, 1);
    set(t, 0, 10 * MS, 10 * MS);
    usleep(105000);
    printf("before delivery: %d\n", timer_getoverrun(t));
    siginfo_t info;
    CHECK(sigwaitinfo(&s, &info) == SIGRTMIN + 1);
    int over = timer_getoverrun(t);
    printf("ten expirations, one signal: overrun %s, told so: %d\n",
           over >= 8 && over < 40000 ? "9 or more" : "odd", info.si_overrun == over);
    usleep(55000);
    set(t, 0, 0, 0); /* the signal of the old setting goes */
    struct timespec none = {0, 0};
    int r = sigtimedwait(&s, &info, &none);
    printf("after disarming: %s\n", r == -1 ? "nothing waits" : "one waits");
    /* Two timers of one signal queue it each once. */
    timer_t u = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 1, 2);
    set(t, 0, MS, MS);
    wait_pending(SIGRTMIN + 1);
    set(u, 0, MS, MS);
    usleep(20000);
    CHECK(timer_delete(u) == 0); /* and its signal goes with it */
    CHECK(sigwaitinfo(&s, &info) == SIGRTMIN + 1);
    printf("of two timers: %d\n", info.si_value.sival_int);
    set(t, 0, 0, 0);
    while (sigtimedwait(&s, &info, &none) > 0)
        continue;
    CHECK(timer_delete(t) == 0);
    /* Standard signals: two timers, two signals all the same. */
    sigaddset(&s, SIGUSR1);
    sigprocmask(SIG_BLOCK, &s, NULL);
    t = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 1);
    u = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 2);
    set(t, 0, MS, 0);
    wait_pending(SIGUSR1);
    set(u, 0, MS, 0);
    usleep(200000);
    int n = 0;
    while (sigtimedwait(&s, &info, &none) > 0)
        printf("USR1 of timer %d, overrun %d\n", info.si_value.sival_int, info.si_overrun), n++;
    CHECK(timer_delete(t) == 0 && timer_delete(u) == 0);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void busy_until(long ns)
{
    while (now_ns(CLOCK_MONOTONIC) <= ns)
        continue;
}

/* What a timer tells is as of now, however late its expiry is noticed otherwise. */
static void told_as_of_now(void)
{
    struct itimerspec left;
    siginfo_t info;
    sigset_t s, old;
    int late[3] = {0};

    sigemptyset(&s);
    sigaddset(&s, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &s, &old);
    timer_t none = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
    timer_t t = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 1, 1);
    for (int i = 0; i < 200; i++) {
        set(none, 0, MS / 50, 1000000 * MS);
        busy_until(now_ns(CLOCK_MONOTONIC) + MS / 50);
        CHECK(timer_gettime(none, &left) == 0);
        late[0] += left.it_value.tv_sec < 900;
        set(none, 0, MS / 50, 0);
        busy_until(now_ns(CLOCK_MONOTONIC) + MS / 50);
        CHECK(timer_gettime(none, &left) == 0);
        late[1] += left.it_value.tv_sec || left.it_value.tv_nsec;
        set(t, 0, 1, 1000);
        long start = now_ns(CLOCK_MONOTONIC);
        busy_until(start + MS / 10);
        CHECK(sigwaitinfo(&s, &info) == SIGRTMIN + 1);
        late[2] += info.si_overrun < 98;
        set(t, 0, 0, 0);
    }
    printf("expired unnoticed: %d %d, uncounted: %d\n", late[0], late[1], late[2]);
    CHECK(timer_delete(t) == 0 && timer_delete(none) == 0);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static pthread_barrier_t g_barrier;
static pid_t g_thread_id;
static void *other(void *arg)
{
    (void)arg;
    g_thread_id = (pid_t)syscall(SYS_gettid);
    pthread_barrier_wait(&g_barrier);
    for (int i = 0; i < 2000 && g_tid == 0; i++)
        usleep(1000);
    return NULL;
}

static volatile int g_notified;
static void notified(union sigval v)
{
    g_notified = v.sival_int;
}

static void to_threads(void)
{
    pthread_t thread;
    pthread_barrier_init(&g_barrier, NULL, 2);
    g_tid = 0;
    CHECK(pthread_create(&thread, NULL, other, NULL) == 0);
    pthread_barrier_wait(&g_barrier);
    install(SIGRTMIN + 2, 0);
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 2};
    timer_t t;
    /* sigev_notify_thread_id, which not every C library names */
    *(int *)((char *)&ev + 16) = g_thread_id;
    CHECK(timer_create(CLOCK_MONOTONIC, &ev, &t) == 0);
    set(t, 0, 5 * MS, 0);
    CHECK(pthread_join(thread, NULL) == 0);
    printf("SIGEV_THREAD_ID: to that thread %d\n", g_tid == g_thread_id);
    set(t, 0, MS, 0); /* which has ended */
    usleep(10000);
    printf("to a dead one: %d\n", g_count);
    CHECK(timer_delete(t) == 0);
    *(int *)((char *)&ev + 16) = getppid();
    FAILS(timer_create(CLOCK_MONOTONIC, &ev, &t), EINVAL);
    *(int *)((char *)&ev + 16) = 0;
    FAILS(timer_create(CLOCK_MONOTONIC, &ev, &t), EINVAL);
    ev = (struct sigevent){.sigev_notify = SIGEV_THREAD,
                           .sigev_notify_function = notified,
                           .sigev_value.sival_int = 31};
    CHECK(timer_create(CLOCK_MONOTONIC, &ev, &t) == 0);
    set(t, 0, 5 * MS, 0);
    for (int i = 0; i < 2000 && !g_notified; i++)
        usleep(1000);
    printf("SIGEV_THREAD: %d\n", g_notified);
    CHECK(timer_delete(t) == 0);
}

static void *burner(void *arg)
{
    burn(*(long *)arg);
    return NULL;
}

static void cpu_clocks(void)
{
    install(SIGRTMIN + 3, SA_RESTART);
    clockid_t own, thread;
    CHECK(clock_getcpuclockid(0, &own) == 0 && pthread_getcpuclockid(pthread_self(), &thread) == 0);
    clockid_t clocks[] = {CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, own, thread};
    for (int i = 0; i < 4; i++) {
        timer_t t = make(clocks[i], SIGEV_SIGNAL, SIGRTMIN + 3, i);
        g_count = 0;
        set(t, 0, 20 * MS, 0);
        usleep(50000);
        CHECK(g_count == 0);
        struct itimerspec left;
        CHECK(timer_gettime(t, &left) == 0 && left.it_value.tv_nsec > 0 &&
              left.it_value.tv_nsec <= 20 * MS);
        long start = now_ns(clocks[i]);
        while (g_count == 0)
            burn(MS);
        long used = now_ns(clocks[i]) - start;
        printf("processor time %d: %d after %s\n", i, g_value,
               used > 10 * MS ? "20 ms" : "too little");
        set(t, TIMER_ABSTIME, now_ns(clocks[i]) + 10 * MS, 0);
        while (g_count == 1)
            burn(MS);
        CHECK(timer_delete(t) == 0);
    }
    /* Another thread's work is the process's, not this thread's. */
    long work = 60 * MS, mine = now_ns(CLOCK_THREAD_CPUTIME_ID),
         all = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    pthread_t t;
    CHECK(pthread_create(&t, NULL, burner, &work) == 0);
    struct timespec long_time = ts(40 * MS);
    int r = clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &long_time, NULL);
    long slept = now_ns(CLOCK_PROCESS_CPUTIME_ID) - all;
    CHECK(pthread_join(t, NULL) == 0);
    printf("asleep while another works: %d, %s\n", r,
           slept >= 39 * MS ? "long enough" : "too short");
    printf("mine %d, all %d\n", now_ns(CLOCK_THREAD_CPUTIME_ID) - mine < 40 * MS,
           now_ns(CLOCK_PROCESS_CPUTIME_ID) - all >= 59 * MS);
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    clockid_t child;
    struct timespec c;
    CHECK(clock_getcpuclockid(pid, &child) == 0 && clock_gettime(child, &c) == 0);
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, NULL, 0) == pid);
    FAILS(clock_gettime(child, &c), EINVAL);
    FAILS(syscall(SYS_clock_gettime, 99, &c), EINVAL);
    FAILS(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, (void *)8), EFAULT);
    struct timespec res;
    for (int i = 0; i < 4; i++)
        CHECK(clock_getres(clocks[i], &res) == 0 && res.tv_nsec == 1);
    CHECK(clock_getres(CLOCK_MONOTONIC, &res) == 0 && res.tv_nsec == 1 &&
          clock_getres(CLOCK_MONOTONIC, NULL) == 0);
}

static void sleeps(void)
{
    struct timespec t = ts(20000 * MS), left = {9, 9}, bad = {0, 1000000000}, none = {0, 0},
                    minus = {-1, 0};
    FAILS(nanosleep(&bad, NULL), EINVAL);
    FAILS(nanosleep(&minus, NULL), EINVAL);
    FAILS(syscall(SYS_nanosleep, (void *)8, NULL), EFAULT);
    CHECK(nanosleep(&none, NULL) == 0);
    printf("clock_nanosleep: %ld", syscall(SYS_clock_nanosleep, 99, 0, &t, NULL) ? (long)errno : 0);
    printf(" %ld",
           syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC_RAW, 0, &t, NULL) ? (long)errno : 0);
    printf(" %ld",
           syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL) ? (long)errno : 0);
    printf(" %ld\n",
           syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &bad, NULL) ? (long)errno : 0);
    for (int restart = 0; restart < 2; restart++) {
        install(SIGALRM, restart ? SA_RESTART : 0); /* a sleep is not restarted in any case */
        struct itimerval timer = {.it_value = {0, 50000}};
        CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
        FAILS(nanosleep(&t, &left), EINTR);
        printf("nanosleep: left %s\n",
               left.tv_sec >= 10 && left.tv_sec <= 19 ? "what was left" : "odd");
        CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
        printf("clock_nanosleep: %d", clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &left));
        printf(" left %s\n", left.tv_sec >= 10 && left.tv_sec <= 19 ? "what was left" : "odd");
        struct timespec at = ts(now_ns(CLOCK_REALTIME) + 20000 * MS);
        left = (struct timespec){9, 9};
        CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
        printf("absolute: %d", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, &left));
        printf(" left untouched %d\n", left.tv_sec == 9 && left.tv_nsec == 9);
    }
    struct timespec at = ts(1);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == 0);
    CHECK(clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &at, NULL) == 0);
    long start = now_ns(CLOCK_MONOTONIC);
    at = ts(start + 30 * MS);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == 0 &&
          now_ns(CLOCK_MONOTONIC) >= start + 30 * MS);
    /* restart_syscall by hand: nothing to restart. */
    FAILS(syscall(SYS_restart_syscall), EINTR);
    /* An ignored signal and a stop leave the sleep as it was. */
    signal(SIGALRM, SIG_IGN);
    struct itimerval timer = {.it_value = {0, 20000}};
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    t = ts(60 * MS);
    start = now_ns(CLOCK_MONOTONIC);
    CHECK(nanosleep(&t, NULL) == 0);
    printf("ignored signals don't shorten: %d\n", now_ns(CLOCK_MONOTONIC) - start >= 60 * MS);
}

/* Periods so long that they mean "once", and so short that nobody can take each signal. */
static void extremes(void)
{
    const struct itimerval far_off = {.it_value = {0, 1000}, .it_interval = {LONG_MAX, 0}};
    struct timespec t;
    install(SIGALRM, 0);
    install(SIGUSR1, 0);
    CHECK(setitimer(ITIMER_REAL, &far_off, NULL) == 0);
    wait_count(1);
    t = ts(20 * MS);
    nanosleep(&t, NULL);
    printf("alarms: %d\n", g_count);
    CHECK(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL) == 0);

    timer_t timer = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0);
    struct itimerspec spec = {.it_value = {0, 1}, .it_interval = {LONG_MAX, 0}};
    g_count = 0;
    CHECK(timer_settime(timer, 0, &spec, NULL) == 0);
    wait_count(1);
    t = ts(20 * MS);
    nanosleep(&t, NULL);
    printf("expirations: %d\n", g_count);

    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    spec.it_interval = (struct timespec){0, 1000};
    CHECK(timer_settime(timer, 0, &spec, NULL) == 0);
    for (int i = 0; i < 3; i++) {
        t = ts(10 * MS);
        nanosleep(&t, NULL);
        CHECK(timer_gettime(timer, &spec) == 0 && sigwaitinfo(&set, &info) == SIGUSR1);
        printf("a period of %ld, %s overruns\n", spec.it_interval.tv_nsec,
               info.si_overrun > 5000 ? "many" : "few");
    }
    CHECK(timer_delete(timer) == 0);
    timer = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
    spec = (struct itimerspec){.it_value = {0, 1}, .it_interval = {0, 1000}};
    CHECK(timer_settime(timer, 0, &spec, NULL) == 0);
    t = ts(5 * MS);
    nanosleep(&t, NULL);
    CHECK(timer_gettime(timer, &spec) == 0);
    printf("told to nobody: %d\n", spec.it_value.tv_nsec > 0 && spec.it_value.tv_nsec <= 1000);
    CHECK(timer_delete(timer) == 0);
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
}

static void life(void)
{
    /* Timers are not inherited by fork; alarms survive exec, POSIX timers do not. */
    int status;
    install(SIGALRM, 0);
    timer_t t = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGALRM, 0);
    set(t, 0, 60000 * MS, 0);
    alarm(100);
    pid_t pid = fork();
    if (pid == 0) {
        struct itimerspec spec;
        _exit(alarm(0) == 0 && timer_gettime(t, &spec) == -1 && errno == EINVAL ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("a child has none: %d\n", status);
    CHECK(timer_delete(t) == 0);
    alarm(0);
    pid = fork();
    if (pid == 0) {
        timer_t mine = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGTERM, 0);
        set(mine, 0, 700 * MS, 0);
        struct itimerval timer = {.it_value = {1, 0}};
        setitimer(ITIMER_REAL, &timer, NULL);
        execl("/bin/sleep", "sleep", "60", NULL);
        _exit(9);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("after exec: %s\n",
           WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "the alarm alone" : "odd");
}

/* ---- who is told: the thread that works, as profilers count on ---------------------------------------------------- */

static pthread_t g_worker;
static volatile int g_to_worker, g_to_others;

static void on_profile(int sig)
{
    (void)sig;
    if (pthread_equal(pthread_self(), g_worker))
        g_to_worker++;
    else
        g_to_others++;
}

static void *work(void *arg)
{
    const struct itimerval every = {{0, 10000}, {0, 10000}};
    struct timespec used;

    (void)arg;
    g_worker = pthread_self();
    CHECK(setitimer(ITIMER_PROF, &every, NULL) == 0);
    do
        CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
    while (used.tv_sec < 30 && g_to_worker + g_to_others < 20);
    return NULL;
}

static void profile(void)
{
    const struct sigaction act = {.sa_handler = on_profile, .sa_flags = SA_RESTART};
    const struct itimerval never = {{0, 0}, {0, 0}};
    pthread_t thread;

    CHECK(sigaction(SIGPROF, &act, NULL) == 0);
    CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(setitimer(ITIMER_PROF, &never, NULL) == 0);
    printf("profile: most to who works %d\n", g_to_worker > 2 * g_to_others);
}

/* `timers wall`: without what counts on processor time */
int main(int argc, char **argv)
{
    const bool wall = argc > 1 && !strcmp(argv[1], "wall");

    setvbuf(stdout, NULL, _IOLBF, 0);
    alarms();
    if (!wall)
        processor_time();
    posix_timers();
    overruns();
    told_as_of_now();
    to_threads();
    if (!wall)
        cpu_clocks();
    sleeps();
    extremes();
    life();
    if (!wall)
        profile();
    return 0;
}
