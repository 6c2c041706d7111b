/*
 * posix_timer.c: timer_create(2) and its relatives. All under g_process_lock.
 */
#include <linux/signal.h>
#include <linux/time.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/process.h"
#include "shim/process_internal.h"
#include "shim/shim.h"
#include "shim/sys_time.h"
#include "shim/time_convert.h"
#include "shim/timer.h"

struct posix_timer {
    struct timer timer; /* first */
    struct posix_timer *next;
    struct process *process;
    struct signal_entry entry; /* si_signo 0: SIGEV_NONE */
    int id, clock;
    int tid;          /* the thread to signal; 0: the process */
    uint64_t overrun; /* expirations since the one that `entry` reports */
    /* counts on without being armed: until its signal is taken; for ever if nobody is told */
    bool waits;
    int last_overrun; /* as the last signal taken said */
};

static int clamp(uint64_t overrun)
{
    return overrun > INT32_MAX ? INT32_MAX : (int)overrun;
}

static void count_unarmed(struct posix_timer *t)
{
    t->waits = t->timer.armed;
    timer_disarm(&t->timer);
}

static bool fire(struct timer *timer, uint64_t missed)
{
    struct posix_timer *t = (struct posix_timer *)timer;
    /* Not taken yet: one more that it stands for, and the rest is counted then. */
    if (t->entry.queue) {
        t->overrun += missed + 1;
        count_unarmed(t);
        return true;
    }
    t->overrun = missed;
    struct task *target = t->tid ? task_find(t->tid) : NULL;
    if (!t->tid || (target && target->process == t->process))
        signal_send_entry(t->process, target, &t->entry);
    return t->entry.queue;
}

void timer_signal_gone(struct posix_timer *t)
{
    uint64_t passed;
    if (!t->waits && !t->timer.armed)
        return;
    /* Up to now, also what the thread of timers, when it is late, did not see yet. */
    uint64_t at = timer_forward(&t->timer, timer_now(&t->timer), &passed);
    t->overrun += passed;
    timer_arm(&t->timer, at, t->timer.interval_ns);
    if (t->waits)
        timer_poke();
    t->waits = false;
}

void timer_signal_taken(struct posix_timer *t)
{
    timer_signal_gone(t);
    t->last_overrun = clamp(t->overrun);
    t->entry.info.timer.overrun = t->last_overrun;
    t->overrun = 0;
}

static void destroy(struct posix_timer *t)
{
    timer_disarm(&t->timer);
    signal_entry_cancel(&t->entry);
    signal_entry_release();
    shim_free(t);
}

void posix_timers_delete(struct itimer_state *s)
{
    while (s->posix) {
        struct posix_timer *t = s->posix;
        s->posix = t->next;
        destroy(t);
    }
}

static struct posix_timer *find(struct process *process, int id)
{
    struct posix_timer *t = process->itimers ? process->itimers->posix : NULL;
    while (t && t->id != id)
        t = t->next;
    return t;
}

struct abi_sigevent {
    uint64_t value;
    int32_t signo, notify, tid, pad[11];
};
_Static_assert(sizeof(struct abi_sigevent) == 64, "struct sigevent");

static int read_sigevent(uint64_t addr, struct abi_sigevent *ev)
{
    if (user_read(ev, addr, sizeof(*ev)))
        return -EFAULT;
    bool by_thread = ev->notify == (SIGEV_SIGNAL | SIGEV_THREAD_ID);
    if (ev->notify != SIGEV_NONE && ev->notify != SIGEV_SIGNAL && ev->notify != SIGEV_THREAD &&
        !by_thread)
        return -EINVAL;
    if (ev->notify != SIGEV_NONE && (ev->signo < 1 || ev->signo > 64))
        return -EINVAL;
    if (by_thread && ev->tid <= 0)
        return -EINVAL;
    if (!by_thread)
        ev->tid = 0;
    return 0;
}

/* Under the lock. */
static int set_clock(struct posix_timer *t, const struct task *task, int clock)
{
    t->clock = clock;
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    case CLOCK_TAI:
        return 0;
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_REALTIME_ALARM: /* as on a machine without a clock that wakes it */
    case CLOCK_BOOTTIME_ALARM:
        return -EOPNOTSUPP;
    default:
        t->timer.on_cpu = true;
        return cpu_clock_of_id(task->process, task->tid, clock, &t->timer.cpu);
    }
}

static int create(struct task *task, int clock, const struct abi_sigevent *ev, bool defaults,
                  struct posix_timer *t)
{
    struct itimer_state *s;
    int err = timers_lock(task->process, &s);
    if (err)
        return err;
    const struct task *target = ev->tid ? task_find(ev->tid) : NULL;
    err = set_clock(t, task, clock);
    if (err == 0 && ev->tid && (!target || target->process != task->process))
        err = -EINVAL;
    if (err == 0 && !signal_entry_reserve(task->process))
        err = -EAGAIN;
    if (err == 0) {
        t->timer.fire = fire;
        t->process = task->process;
        t->tid = ev->tid;
        t->id = s->next_id++;
        t->entry.timer = t;
        t->entry.info.si_signo = ev->notify == SIGEV_NONE ? 0 : ev->signo;
        t->entry.info.si_code = SI_TIMER;
        t->entry.info.timer.tid = t->id;
        t->entry.info.timer.value = defaults ? (uint64_t)t->id : ev->value;
        t->next = s->posix;
        s->posix = t;
    }
    mutex_unlock(&g_process_lock);
    return err;
}

/* timer_create(2) */
long sys_timer_create(struct task *task, const struct syscall_args *args)
{
    struct abi_sigevent ev = {.signo = SIGALRM, .notify = SIGEV_SIGNAL};
    int err = args->a[1] ? read_sigevent(args->a[1], &ev) : 0;
    if (err)
        return err;
    struct posix_timer *t = shim_zalloc(sizeof(*t));
    if (!t)
        return -EAGAIN;
    err = create(task, (int)args->a[0], &ev, !args->a[1], t);
    if (err) {
        shim_free(t);
        return err;
    }
    int id = t->entry.info.timer.tid;
    if (user_write(args->a[2], &id, sizeof(id))) {
        struct syscall_args undo = {{(uint64_t)id}};
        (void)sys_timer_delete(task, &undo);
        return -EFAULT;
    }
    return 0;
}

/* `value` of timer_settime(2) on the clock that the timer counts on. */
static uint64_t start_time(const struct posix_timer *t, uint64_t value, bool absolute)
{
    uint64_t now = timer_now(&t->timer), at = now + value;
    if (!absolute)
        return at > now ? at : UINT64_MAX - 1;
    if (t->timer.on_cpu || t->clock == CLOCK_MONOTONIC)
        return value;
    if (t->clock != CLOCK_BOOTTIME)
        return deadline_at_realtime(value);
    now = clock_now(g_platform, CLOCK_KIND_BOOTTIME);
    return deadline_after(value > now ? value - now : 0);
}

static struct abi_itimerspec setting(const struct posix_timer *t)
{
    uint64_t left = timer_left(&t->timer), passed;
    if (t->waits) {
        uint64_t now = timer_now(&t->timer), at = timer_forward(&t->timer, now, &passed);
        left = at > now ? at - now : 0;
    }
    return (struct abi_itimerspec){timespec_from_ns(t->timer.interval_ns), timespec_from_ns(left)};
}

/* timer_settime(2) */
long sys_timer_settime(struct task *task, const struct syscall_args *args)
{
    struct abi_itimerspec spec, old;
    uint64_t interval, value;

    if (!args->a[2])
        return -EINVAL;
    if (user_read(&spec, args->a[2], sizeof(spec)))
        return -EFAULT;
    if (timespec_to_ns(&spec.interval, &interval) || timespec_to_ns(&spec.value, &value))
        return -EINVAL;
    mutex_lock(&g_process_lock);
    struct posix_timer *t = find(task->process, (int)args->a[0]);
    if (!t) {
        mutex_unlock(&g_process_lock);
        return -EINVAL;
    }
    old = setting(t);
    timer_disarm(&t->timer);
    t->waits = false;
    signal_entry_cancel(&t->entry); /* of the old setting: Linux forgets it as well */
    t->overrun = 0;
    t->last_overrun = 0;
    t->timer.interval_ns = interval;
    if (value)
        timer_arm(&t->timer, start_time(t, value, args->a[1] & TIMER_ABSTIME), interval);
    if (!t->entry.info.si_signo)
        count_unarmed(t);
    mutex_unlock(&g_process_lock);
    if (value)
        timer_poke();
    return args->a[3] && user_write(args->a[3], &old, sizeof(old)) ? -EFAULT : 0;
}

/* timer_gettime(2) */
long sys_timer_gettime(struct task *task, const struct syscall_args *args)
{
    struct abi_itimerspec now = {0};
    mutex_lock(&g_process_lock);
    const struct posix_timer *t = find(task->process, (int)args->a[0]);
    if (t)
        now = setting(t);
    mutex_unlock(&g_process_lock);
    return t ? user_write(args->a[1], &now, sizeof(now)) : -EINVAL;
}

/* timer_getoverrun(2) */
long sys_timer_getoverrun(struct task *task, const struct syscall_args *args)
{
    mutex_lock(&g_process_lock);
    const struct posix_timer *t = find(task->process, (int)args->a[0]);
    long r = t ? t->last_overrun : -EINVAL;
    mutex_unlock(&g_process_lock);
    return r;
}

/* timer_delete(2) */
long sys_timer_delete(struct task *task, const struct syscall_args *args)
{
    long r = -EINVAL;
    mutex_lock(&g_process_lock);
    struct itimer_state *s = task->process->itimers;
    for (struct posix_timer **link = s ? &s->posix : NULL; link && *link; link = &(*link)->next) {
        struct posix_timer *t = *link;
        if (t->id != (int)args->a[0])
            continue;
        *link = t->next;
        destroy(t);
        r = 0;
        break;
    }
    mutex_unlock(&g_process_lock);
    return r;
}
