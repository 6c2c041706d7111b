/*
 * timer.c: interval timers and POSIX timers. All under g_process_lock. One thread, started with the first timer, is parked until
 * the earliest of them is due.
 */
#include <linux/signal.h>
#include <linux/time.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/process.h"
#include "shim/process_internal.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/sys_time.h"
#include "shim/time_convert.h"

#define MAX_POSIX_TIMERS 1024
#define CPU_CHECK_NS 1000000u

/* A processor-time timer has its limit in process time; its deadline says when to look again. */
struct timer {
    struct timer *prev, *next; /* g_armed, while armed */
    struct process *process;
    bool armed;
    uint64_t deadline_ns; /* monotonic */
    uint64_t interval_ns; /* 0: once */
    uint64_t cpu_limit_ns;
    int signal;           /* 0: none (SIGEV_NONE) */
    enum timer_kind { TIMER_REAL, TIMER_VIRTUAL, TIMER_PROF, TIMER_POSIX } kind;
    /* TIMER_POSIX */
    struct timer *next_posix;
    int id, tid, clock; /* tid: thread to signal, 0: the process */
    uint64_t value;
    int overrun;
};

struct itimer_state {
    struct timer interval[3]; /* by ITIMER_* */
    struct timer *posix;
    int posix_count, last_id;
};

static struct timer *g_armed;
static struct thread *g_timer_thread;
static bool g_timer_thread_started; /* not reset: one try */

static uint64_t cpu_time_for(const struct timer *t)
{
    uint64_t user, system;
    process_cpu_time(t->process, &user, &system);
    return t->kind == TIMER_VIRTUAL ? user : user + system;
}

static void set_cpu_deadline(struct timer *t)
{
    uint64_t used = cpu_time_for(t);
    uint64_t left = t->cpu_limit_ns > used ? t->cpu_limit_ns - used : 0;
    left /= thread_cpu_count(g_platform); /* all processors may work for it */
    t->deadline_ns = deadline_after(left > CPU_CHECK_NS ? left : CPU_CHECK_NS);
}

static void disarm(struct timer *t)
{
    if (!t->armed)
        return;
    DL_DELETE(g_armed, t);
    t->armed = false;
}

static void arm(struct timer *t)
{
    if (!t->armed)
        DL_APPEND(g_armed, t);
    t->armed = true;
}

static void fire(struct timer *t)
{
    struct abi_siginfo info = signal_info_kernel(t->signal);
    if (!t->signal)
        return;
    if (t->kind != TIMER_POSIX) {
        (void)signal_send_process(t->process, &info);
        return;
    }
    info.si_code = SI_TIMER;
    info.timer.tid = t->id;
    info.timer.overrun = t->overrun;
    info.timer.value = t->value;
    struct task *target = t->tid ? task_find(t->tid) : NULL;
    if (target && target->process == t->process)
        (void)signal_send_task(target, &info);
    else if (!t->tid)
        (void)signal_send_process(t->process, &info);
}

static void expire(struct timer *t, uint64_t now)
{
    if (t->kind == TIMER_VIRTUAL || t->kind == TIMER_PROF) {
        if (cpu_time_for(t) < t->cpu_limit_ns) {
            set_cpu_deadline(t);
            return;
        }
        fire(t);
        if (t->interval_ns) {
            t->cpu_limit_ns = cpu_time_for(t) + t->interval_ns;
            set_cpu_deadline(t);
        } else {
            disarm(t);
        }
        return;
    }
    if (t->interval_ns) {
        uint64_t missed = (now - t->deadline_ns) / t->interval_ns;
        t->overrun = missed > INT32_MAX ? INT32_MAX : (int)missed;
        t->deadline_ns += (missed + 1) * t->interval_ns;
    } else {
        t->overrun = 0;
        disarm(t);
    }
    fire(t);
}

static void timer_thread(void *arg)
{
    (void)arg;
    for (;;) {
        uint64_t earliest = THREAD_WAIT_FOREVER;
        struct timer *t, *tmp;
        mutex_lock(&g_process_lock);
        uint64_t now = clock_now(g_platform, CLOCK_KIND_MONOTONIC);
        DL_FOREACH_SAFE (g_armed, t, tmp)
            if (t->deadline_ns <= now)
                expire(t, now);
        DL_FOREACH (g_armed, t)
            if (t->deadline_ns < earliest)
                earliest = t->deadline_ns;
        mutex_unlock(&g_process_lock);
        thread_park(g_platform, earliest, NULL, 0);
    }
}

/* No lock. 0, or why no timer can be had. */
static int start_timer_thread(void)
{
    static struct mutex lock;
    int err = 0;
    mutex_lock(&lock);
    if (!g_timer_thread_started) {
        struct thread *thread;
        err = thread_spawn(g_platform, NULL, timer_thread, NULL, &thread);
        if (!err) {
            __atomic_store_n(&g_timer_thread, thread, __ATOMIC_RELEASE);
            g_timer_thread_started = true;
        }
    }
    mutex_unlock(&lock);
    return err;
}

static void poke_timer_thread(void)
{
    thread_unpark(g_platform, __atomic_load_n(&g_timer_thread, __ATOMIC_ACQUIRE));
}

static uint64_t time_left(const struct timer *t)
{
    if (!t->armed)
        return 0;
    bool cpu = t->kind == TIMER_VIRTUAL || t->kind == TIMER_PROF;
    uint64_t now = cpu ? cpu_time_for(t) : clock_now(g_platform, CLOCK_KIND_MONOTONIC);
    uint64_t at = cpu ? t->cpu_limit_ns : t->deadline_ns;
    return at > now ? at - now : 1;
}

/* Life of a process's timers. Under g_process_lock. */

static void delete_posix(struct itimer_state *s)
{
    while (s->posix) {
        struct timer *t = s->posix;
        s->posix = t->next_posix;
        disarm(t);
        shim_free(t);
    }
    s->posix_count = 0;
}

void timers_did_exec(struct process *process)
{
    if (process->itimers)
        delete_posix(process->itimers);
}

void timers_process_exit(struct process *process)
{
    struct itimer_state *s = process->itimers;
    if (!s)
        return;
    delete_posix(s);
    for (int i = 0; i < 3; i++)
        disarm(&s->interval[i]);
    process->itimers = NULL;
    shim_free(s);
}

/* Takes and leaves g_process_lock held on success. */
static int lock_timers(struct process *process, struct itimer_state **out)
{
    struct itimer_state *fresh = NULL;
    int err = start_timer_thread();
    if (err)
        return err;
    if (!process->itimers) {
        fresh = shim_zalloc(sizeof(*fresh));
        if (!fresh)
            return -ENOMEM;
    }
    mutex_lock(&g_process_lock);
    if (!process->itimers) {
        static const int signals[3] = {SIGALRM, SIGVTALRM, SIGPROF};
        for (int i = 0; i < 3; i++) {
            fresh->interval[i].process = process;
            fresh->interval[i].kind = (enum timer_kind)i;
            fresh->interval[i].signal = signals[i];
        }
        process->itimers = fresh;
    } else {
        shim_free(fresh);
    }
    *out = process->itimers;
    return 0;
}

/* Interval timers: setitimer(2), getitimer(2), alarm(2). */

struct interval {
    uint64_t interval_ns, value_ns;
};

static int set_interval(struct process *process, int which, const struct interval *fresh, struct interval *old)
{
    struct itimer_state *s;
    int err = lock_timers(process, &s);
    if (err)
        return err;
    struct timer *t = &s->interval[which];
    *old = (struct interval){t->interval_ns, time_left(t)};
    disarm(t);
    t->interval_ns = fresh->interval_ns;
    if (fresh->value_ns) {
        if (t->kind == TIMER_REAL) {
            t->deadline_ns = deadline_after(fresh->value_ns);
        } else {
            t->cpu_limit_ns = cpu_time_for(t) + fresh->value_ns;
            set_cpu_deadline(t);
        }
        arm(t);
    }
    mutex_unlock(&g_process_lock);
    if (fresh->value_ns)
        poke_timer_thread();
    return 0;
}

static void interval_now(struct process *process, int which, struct interval *out)
{
    *out = (struct interval){0};
    mutex_lock(&g_process_lock);
    if (process->itimers) {
        const struct timer *t = &process->itimers->interval[which];
        *out = (struct interval){t->interval_ns, time_left(t)};
    }
    mutex_unlock(&g_process_lock);
}

static int write_interval(uint64_t addr, const struct interval *i)
{
    struct abi_timeval tv[2] = {timeval_from_ns(i->interval_ns), timeval_from_ns(i->value_ns + 999)};
    return user_write(addr, tv, sizeof(tv));
}

/* setitimer(2) */
long sys_setitimer(struct task *task, const struct syscall_args *args)
{
    struct interval fresh = {0}, old;
    struct abi_timeval tv[2];
    if (args->a[0] > 2)
        return -EINVAL;
    if (args->a[1]) {
        if (user_read(tv, args->a[1], sizeof(tv)))
            return -EFAULT;
        if (timeval_to_ns(&tv[0], &fresh.interval_ns) || timeval_to_ns(&tv[1], &fresh.value_ns))
            return -EINVAL;
    }
    int err = set_interval(task->process, (int)args->a[0], &fresh, &old);
    if (err)
        return err;
    return args->a[2] ? write_interval(args->a[2], &old) : 0;
}

/* getitimer(2) */
long sys_getitimer(struct task *task, const struct syscall_args *args)
{
    struct interval now;
    if (args->a[0] > 2)
        return -EINVAL;
    interval_now(task->process, (int)args->a[0], &now);
    return write_interval(args->a[1], &now);
}

/* alarm(2) */
long sys_alarm(struct task *task, const struct syscall_args *args)
{
    struct interval fresh = {.value_ns = (uint32_t)args->a[0] * NS_PER_SEC}, old;
    if (!fresh.value_ns && !task->process->itimers)
        return 0;
    int err = set_interval(task->process, 0, &fresh, &old);
    if (err)
        return err;
    /* Rounded to the nearest second, but never to 0 while one was pending. */
    uint64_t seconds = (old.value_ns + NS_PER_SEC / 2) / NS_PER_SEC;
    return (long)(old.value_ns && !seconds ? 1 : seconds);
}

/* POSIX timers. */

struct abi_sigevent {
    uint64_t value;
    int32_t signo, notify, tid, pad[11];
};
_Static_assert(sizeof(struct abi_sigevent) == 64, "struct sigevent");

static struct timer *find_posix(struct itimer_state *s, int id)
{
    struct timer *t = s ? s->posix : NULL;
    while (t && t->id != id)
        t = t->next_posix;
    return t;
}

/* timer_create(2) */
long sys_timer_create(struct task *task, const struct syscall_args *args)
{
    int clock = (int)args->a[0];
    struct abi_sigevent ev = {.signo = SIGALRM, .notify = SIGEV_SIGNAL};
    struct itimer_state *s;

    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME) {
        stats_unsupported("timer_create: clock");
        return -EINVAL;
    }
    if (args->a[1]) {
        if (user_read(&ev, args->a[1], sizeof(ev)))
            return -EFAULT;
        bool by_thread = ev.notify == (SIGEV_SIGNAL | SIGEV_THREAD_ID);
        if (ev.notify != SIGEV_NONE && ev.notify != SIGEV_SIGNAL && ev.notify != SIGEV_THREAD && !by_thread)
            return -EINVAL;
        if (ev.notify != SIGEV_NONE && (ev.signo < 1 || ev.signo > 64))
            return -EINVAL;
        if (!by_thread)
            ev.tid = 0;
    }
    struct timer *t = shim_zalloc(sizeof(*t));
    if (!t)
        return -EAGAIN;
    int err = lock_timers(task->process, &s);
    if (err) {
        shim_free(t);
        return err;
    }
    struct task *target = ev.tid ? task_find(ev.tid) : NULL;
    if (s->posix_count >= MAX_POSIX_TIMERS || (ev.tid && (!target || target->process != task->process))) {
        mutex_unlock(&g_process_lock);
        shim_free(t);
        return ev.tid ? -EINVAL : -EAGAIN;
    }
    t->kind = TIMER_POSIX;
    t->process = task->process;
    t->clock = clock;
    t->signal = ev.notify == SIGEV_NONE ? 0 : ev.signo;
    t->tid = ev.tid;
    int id = t->id = s->last_id++;
    t->value = args->a[1] ? ev.value : (uint64_t)id;
    t->next_posix = s->posix;
    s->posix = t;
    s->posix_count++;
    mutex_unlock(&g_process_lock);
    if (user_write(args->a[2], &id, sizeof(id))) {
        struct syscall_args undo = {{(uint64_t)id}};
        (void)sys_timer_delete(task, &undo);
        return -EFAULT;
    }
    return 0;
}

static uint64_t absolute_deadline(int clock, uint64_t ns)
{
    if (clock == CLOCK_MONOTONIC)
        return ns;
    if (clock == CLOCK_REALTIME)
        return deadline_at_realtime(ns);
    uint64_t now = clock_now(g_platform, CLOCK_KIND_BOOTTIME);
    return deadline_after(ns > now ? ns - now : 0);
}

/* timer_settime(2) */
long sys_timer_settime(struct task *task, const struct syscall_args *args)
{
    struct abi_itimerspec spec, old;
    uint64_t interval, value;

    if (user_read(&spec, args->a[2], sizeof(spec)))
        return -EFAULT;
    if (timespec_to_ns(&spec.interval, &interval) || timespec_to_ns(&spec.value, &value))
        return -EINVAL;
    mutex_lock(&g_process_lock);
    struct timer *t = find_posix(task->process->itimers, (int)args->a[0]);
    if (!t) {
        mutex_unlock(&g_process_lock);
        return -EINVAL;
    }
    old.interval = timespec_from_ns(t->interval_ns);
    old.value = timespec_from_ns(time_left(t));
    disarm(t);
    t->interval_ns = interval;
    t->overrun = 0;
    if (value) {
        t->deadline_ns = (args->a[1] & TIMER_ABSTIME) ? absolute_deadline(t->clock, value) : deadline_after(value);
        arm(t);
    }
    mutex_unlock(&g_process_lock);
    if (value)
        poke_timer_thread();
    return args->a[3] && user_write(args->a[3], &old, sizeof(old)) ? -EFAULT : 0;
}

/* timer_gettime(2) */
long sys_timer_gettime(struct task *task, const struct syscall_args *args)
{
    struct abi_itimerspec now = {0};
    mutex_lock(&g_process_lock);
    struct timer *t = find_posix(task->process->itimers, (int)args->a[0]);
    if (t) {
        now.interval = timespec_from_ns(t->interval_ns);
        now.value = timespec_from_ns(time_left(t));
    }
    mutex_unlock(&g_process_lock);
    if (!t)
        return -EINVAL;
    return user_write(args->a[1], &now, sizeof(now));
}

/* timer_getoverrun(2) */
long sys_timer_getoverrun(struct task *task, const struct syscall_args *args)
{
    mutex_lock(&g_process_lock);
    struct timer *t = find_posix(task->process->itimers, (int)args->a[0]);
    long r = t ? t->overrun : -EINVAL;
    mutex_unlock(&g_process_lock);
    return r;
}

/* timer_delete(2) */
long sys_timer_delete(struct task *task, const struct syscall_args *args)
{
    struct itimer_state *s;
    struct timer **link, *t = NULL;
    mutex_lock(&g_process_lock);
    s = task->process->itimers;
    for (link = s ? &s->posix : NULL; link && *link; link = &(*link)->next_posix) {
        if ((*link)->id != (int)args->a[0])
            continue;
        t = *link;
        *link = t->next_posix;
        s->posix_count--;
        disarm(t);
        break;
    }
    mutex_unlock(&g_process_lock);
    shim_free(t);
    return t ? 0 : -EINVAL;
}
