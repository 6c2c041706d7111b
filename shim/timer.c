/*
 * timer.c: the thread that waits for all timers, processor-time clocks, and interval timers. All under g_process_lock.
 */
#include "shim/timer.h"

#include <asm/resource.h>
#include <linux/signal.h>
#include <linux/time.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/process.h"
#include "shim/process_internal.h"
#include "shim/shim.h"
#include "shim/sys_time.h"
#include "shim/time_convert.h"

#define CPU_CHECK_NS 1000000u
#define UNHEARD_NS 1000000u /* what nobody hears expires no more often than this */
#define AT_MAX (UINT64_MAX - 1)

static struct timer *g_armed;
static struct thread *g_timer_thread;
static bool g_timer_thread_started; /* not reset: one try */

/* Processor-time clocks. */

int cpu_clock_read(const struct cpu_clock *clock, uint64_t *ns)
{
    uint64_t user = 0, system = 0;
    if (clock->per_thread) {
        const struct task *t = task_find(clock->id);
        if (!t)
            return -EINVAL;
        if (t->thread)
            thread_cpu_time(g_platform, t->thread, &user, &system);
    } else {
        struct process *p = process_find(clock->id);
        if (!p)
            return -EINVAL;
        process_cpu_time(p, &user, &system);
    }
    *ns = clock->reading == CPU_USER ? user : user + system;
    return 0;
}

/* Those of others carry a number: clock_getcpuclockid(3) and the kernel's posix-timers.h. */
int cpu_clock_of_id(struct process *process, int tid, int clockid, struct cpu_clock *out)
{
    *out = (struct cpu_clock){.id = process->pid, .reading = CPU_SCHEDULED};
    if (clockid == CLOCK_PROCESS_CPUTIME_ID)
        return 0;
    if (clockid == CLOCK_THREAD_CPUTIME_ID) {
        out->per_thread = true;
        out->id = tid;
        return 0;
    }
    int id = ~(clockid >> 3), reading = clockid & 3;
    if (clockid >= 0 || reading == 3)
        return -EINVAL;
    out->per_thread = clockid & 4;
    out->reading = (enum cpu_reading)reading;
    if (!out->per_thread) {
        out->id = id ? id : process->pid;
        return process_find(out->id) ? 0 : -EINVAL;
    }
    out->id = id ? id : tid;
    const struct task *t = task_find(out->id);
    return t && t->process == process ? 0 : -EINVAL;
}

static uint64_t cpu_now(const struct timer *t)
{
    uint64_t now;
    return cpu_clock_read(&t->cpu, &now) ? 0 : now; /* the dead use no time: it never expires */
}

static void set_cpu_deadline(struct timer *t)
{
    uint64_t used = cpu_now(t);
    uint64_t left = t->cpu_limit_ns > used ? t->cpu_limit_ns - used : 0;
    if (!t->cpu.per_thread)
        left /= thread_cpu_count(g_platform); /* all processors may work for it */
    t->deadline_ns = deadline_after(left > CPU_CHECK_NS ? left : CPU_CHECK_NS);
}

/* Timers of any kind. */

void timer_disarm(struct timer *t)
{
    if (!t->armed)
        return;
    DL_DELETE(g_armed, t);
    t->armed = false;
}

void timer_arm(struct timer *t, uint64_t at_ns, uint64_t interval_ns)
{
    if (!t->armed)
        DL_APPEND(g_armed, t);
    t->armed = true;
    t->interval_ns = interval_ns;
    if (t->on_cpu) {
        t->cpu_limit_ns = at_ns;
        set_cpu_deadline(t);
    } else {
        t->deadline_ns = at_ns;
    }
}

uint64_t timer_now(const struct timer *t)
{
    return t->on_cpu ? cpu_now(t) : clock_now(g_platform, CLOCK_KIND_MONOTONIC);
}

static uint64_t after_periods(uint64_t at, uint64_t interval, uint64_t count)
{
    uint64_t step;
    bool beyond =
        __builtin_mul_overflow(interval, count, &step) || __builtin_add_overflow(at, step, &at);
    return beyond || at > AT_MAX ? AT_MAX : at;
}

uint64_t timer_forward(const struct timer *t, uint64_t now, uint64_t *passed)
{
    uint64_t at = t->on_cpu ? t->cpu_limit_ns : t->deadline_ns;
    *passed = t->interval_ns && now >= at ? (now - at) / t->interval_ns + 1 : 0;
    return after_periods(at, t->interval_ns, *passed);
}

uint64_t timer_left(const struct timer *t)
{
    if (!t->armed)
        return 0;
    uint64_t now = timer_now(t), passed, at = timer_forward(t, now, &passed);
    return at > now ? at - now : 1;
}

/* Its deadline has come. */
static void expire(struct timer *t, uint64_t now)
{
    uint64_t *at = t->on_cpu ? &t->cpu_limit_ns : &t->deadline_ns;
    uint64_t passed = 1;
    if (t->on_cpu)
        now = cpu_now(t);
    if (now >= *at) {
        if (t->interval_ns)
            *at = timer_forward(t, now, &passed);
        else
            timer_disarm(t);
        if (!t->fire(t, passed - 1) && *at < now + UNHEARD_NS)
            *at = now + UNHEARD_NS;
    }
    if (t->on_cpu && t->armed)
        set_cpu_deadline(t);
}

static void timer_thread(void *arg)
{
    (void)arg;
    for (;;) {
        uint64_t earliest = THREAD_WAIT_FOREVER;
        struct timer *t, *tmp;
        mutex_lock(&g_process_lock);
        uint64_t now = clock_now(g_platform, CLOCK_KIND_MONOTONIC);
        DL_FOREACH_SAFE(g_armed, t, tmp)
        if (t->deadline_ns <= now)
            expire(t, now);
        DL_FOREACH(g_armed, t)
        if (t->deadline_ns < earliest)
            earliest = t->deadline_ns;
        mutex_unlock(&g_process_lock);
        thread_park(g_platform, earliest, NULL, 0);
    }
}

int timer_thread_start(void)
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

void timer_poke(void)
{
    thread_unpark(g_platform, __atomic_load_n(&g_timer_thread, __ATOMIC_ACQUIRE));
}

/* Life of a process's timers. */

void timers_did_exec(struct process *process)
{
    if (process->itimers)
        posix_timers_delete(process->itimers);
}

void timers_process_exit(struct process *process)
{
    struct itimer_state *s = process->itimers;
    if (!s)
        return;
    posix_timers_delete(s);
    for (int i = 0; i < 3; i++)
        timer_disarm(&s->interval[i].timer);
    timer_disarm(&s->cpu_limit.timer);
    process->itimers = NULL;
    shim_free(s);
}

static bool fire_interval(struct timer *t, uint64_t missed)
{
    struct interval_timer *it = (struct interval_timer *)t;
    struct abi_siginfo info = signal_info_kernel(it->signal);
    (void)missed;
    if (it->signal == SIGALRM && sigset_has(it->process->pending.set, SIGALRM)) {
        it->waits = t->armed;
        timer_disarm(t);
        return true;
    }
    (void)signal_send_process(it->process, &info);
    return sigset_has(it->process->pending.set, it->signal);
}

void timers_alarm_taken(struct process *process)
{
    struct interval_timer *it = process->itimers ? &process->itimers->interval[ITIMER_REAL] : NULL;
    uint64_t passed;
    if (!it || (!it->waits && !it->timer.armed))
        return;
    timer_arm(&it->timer, timer_forward(&it->timer, timer_now(&it->timer), &passed),
              it->timer.interval_ns);
    if (it->waits)
        timer_poke();
    it->waits = false;
}

static void arm_cpu_limit(struct interval_timer *it)
{
    uint64_t seconds = it->process->rlimits[RLIMIT_CPU].cur;
    seconds = seconds ? seconds : 1; /* as Linux: 0 would mean that none was ever set */
    timer_arm(&it->timer, seconds < AT_MAX / NS_PER_SEC ? seconds * NS_PER_SEC : AT_MAX, 0);
}

static bool fire_cpu_limit(struct timer *t, uint64_t missed)
{
    struct interval_timer *it = (struct interval_timer *)t;
    struct shim_rlimit *limit = &it->process->rlimits[RLIMIT_CPU];
    (void)missed;
    bool over = timer_now(t) / NS_PER_SEC >= limit->max;
    struct abi_siginfo info = signal_info_kernel(over ? SIGKILL : SIGXCPU);
    (void)signal_send_process(it->process, &info);
    if (over)
        return true;
    if (limit->cur < limit->max)
        limit->cur++;
    arm_cpu_limit(it);
    return true;
}

static void set_up(struct itimer_state *s, struct process *process)
{
    static const int signals[3] = {SIGALRM, SIGVTALRM, SIGPROF};
    for (int i = 0; i < 3; i++) {
        struct interval_timer *it = &s->interval[i];
        it->process = process;
        it->signal = signals[i];
        it->timer.fire = fire_interval;
        it->timer.on_cpu = i != ITIMER_REAL;
        it->timer.cpu.id = process->pid;
        it->timer.cpu.reading = i == ITIMER_VIRTUAL ? CPU_USER : CPU_USER_AND_SYSTEM;
    }
    s->cpu_limit = (struct interval_timer){.process = process};
    s->cpu_limit.timer.fire = fire_cpu_limit;
    s->cpu_limit.timer.on_cpu = true;
    s->cpu_limit.timer.cpu.id = process->pid;
    s->cpu_limit.timer.cpu.reading = CPU_USER_AND_SYSTEM;
    process->itimers = s;
}

int timers_limit_cpu(struct process *process)
{
    bool limited = process->rlimits[RLIMIT_CPU].cur != RLIM_INFINITY;
    if (limited && !process->itimers) {
        struct itimer_state *fresh = shim_zalloc(sizeof(*fresh));
        if (!fresh)
            return -ENOMEM;
        set_up(fresh, process);
    }
    if (limited)
        arm_cpu_limit(&process->itimers->cpu_limit);
    else if (process->itimers)
        timer_disarm(&process->itimers->cpu_limit.timer);
    return 0;
}

int timers_lock(struct process *process, struct itimer_state **out)
{
    struct itimer_state *fresh = NULL;
    int err = timer_thread_start();
    if (err)
        return err;
    if (!process->itimers) {
        fresh = shim_zalloc(sizeof(*fresh));
        if (!fresh)
            return -ENOMEM;
    }
    mutex_lock(&g_process_lock);
    if (fresh && !process->itimers) {
        set_up(fresh, process);
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

static struct interval interval_of(const struct interval_timer *it)
{
    uint64_t left = timer_left(&it->timer), passed;
    if (it->waits) {
        uint64_t now = timer_now(&it->timer);
        left = timer_forward(&it->timer, now, &passed) - now;
    }
    return (struct interval){it->timer.interval_ns, left};
}

static int set_interval(struct process *process, int which, const struct interval *fresh,
                        struct interval *old)
{
    struct itimer_state *s;
    int err = timers_lock(process, &s);
    if (err)
        return err;
    struct timer *t = &s->interval[which].timer;
    *old = interval_of(&s->interval[which]);
    timer_disarm(t);
    s->interval[which].waits = false;
    t->interval_ns = fresh->interval_ns;
    if (fresh->value_ns) {
        uint64_t now = timer_now(t);
        timer_arm(t, now + fresh->value_ns > now ? now + fresh->value_ns : AT_MAX,
                  fresh->interval_ns);
    }
    mutex_unlock(&g_process_lock);
    if (fresh->value_ns)
        timer_poke();
    return 0;
}

static void interval_now(struct process *process, int which, struct interval *out)
{
    *out = (struct interval){0};
    mutex_lock(&g_process_lock);
    if (process->itimers)
        *out = interval_of(&process->itimers->interval[which]);
    mutex_unlock(&g_process_lock);
}

static int write_interval(uint64_t addr, const struct interval *i)
{
    struct abi_timeval tv[2] = {timeval_from_ns(i->interval_ns),
                                timeval_from_ns(i->value_ns + 999)};
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
