#include "shim/sys_time.h"

#include <linux/time.h>
#include <linux/times.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/process_internal.h"
#include "shim/shim.h"
#include "shim/time_convert.h"
#include "shim/timer.h"

#define NS_PER_TICK 10000000u /* USER_HZ is 100 */

static int cpu_clock_now(struct task *task, int clockid, uint64_t *ns)
{
    struct cpu_clock clock;
    mutex_lock(&g_process_lock);
    int err = cpu_clock_of_id(task->process, task->tid, clockid, &clock);
    if (err == 0)
        err = cpu_clock_read(&clock, ns);
    mutex_unlock(&g_process_lock);
    return err;
}

static int clock_read(struct task *task, int clock, uint64_t *ns)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_ALARM:
        *ns = clock_now(g_platform, CLOCK_KIND_REALTIME);
        return 0;
    case CLOCK_MONOTONIC:
        *ns = clock_now(g_platform, CLOCK_KIND_MONOTONIC);
        return 0;
    case CLOCK_REALTIME_COARSE:
        *ns = clock_now(g_platform, CLOCK_KIND_REALTIME_COARSE);
        return 0;
    case CLOCK_MONOTONIC_COARSE:
        *ns = clock_now(g_platform, CLOCK_KIND_MONOTONIC_COARSE);
        return 0;
    case CLOCK_MONOTONIC_RAW:
        *ns = clock_now(g_platform, CLOCK_KIND_MONOTONIC_RAW);
        return 0;
    case CLOCK_TAI:
        *ns = clock_now(g_platform, CLOCK_KIND_TAI);
        return 0;
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM:
        *ns = clock_now(g_platform, CLOCK_KIND_BOOTTIME);
        return 0;
    default:
        return cpu_clock_now(task, clock, ns);
    }
}

/* clock_gettime(2) */
long sys_clock_gettime(struct task *task, const struct syscall_args *args)
{
    uint64_t ns;
    int err = clock_read(task, (int)args->a[0], &ns);
    return err ? err : user_write_timespec(args->a[1], ns);
}

/* clock_getres(2) */
long sys_clock_getres(struct task *task, const struct syscall_args *args)
{
    uint64_t ns;
    int clock = (int)args->a[0];
    int err = clock_read(task, clock, &ns);
    if (err || !args->a[1])
        return err;
    bool coarse = clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE;
    return user_write_timespec(args->a[1], coarse ? 4000000 : 1);
}

/* clock_settime(2) */
long sys_clock_settime(struct task *task, const struct syscall_args *args)
{
    (void)task;
    return args->a[0] == CLOCK_REALTIME ? -EPERM : -EINVAL;
}

/* settimeofday(2) */
long sys_settimeofday(struct task *task, const struct syscall_args *args)
{
    (void)task;
    (void)args;
    return -EPERM;
}

/* gettimeofday(2) */
long sys_gettimeofday(struct task *task, const struct syscall_args *args)
{
    struct abi_timeval tv = timeval_from_ns(clock_now(g_platform, CLOCK_KIND_REALTIME));
    const int32_t zone[2] = {0, 0};
    (void)task;
    if (args->a[0] && user_write(args->a[0], &tv, sizeof(tv)))
        return -EFAULT;
    return args->a[1] && user_write(args->a[1], zone, sizeof(zone)) ? -EFAULT : 0;
}

/* time(2) */
long sys_time(struct task *task, const struct syscall_args *args)
{
    int64_t now = (int64_t)(clock_now(g_platform, CLOCK_KIND_REALTIME_COARSE) / NS_PER_SEC);
    (void)task;
    if (args->a[0] && user_write(args->a[0], &now, sizeof(now)))
        return -EFAULT;
    return now;
}

/* times(2) */
long sys_times(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    uint64_t user, system;
    mutex_lock(&g_process_lock);
    process_cpu_time(p, &user, &system);
    struct tms tms = {.tms_utime = (long)(user / NS_PER_TICK),
                      .tms_stime = (long)(system / NS_PER_TICK),
                      .tms_cutime = (long)(p->children_utime_ns / NS_PER_TICK),
                      .tms_cstime = (long)(p->children_stime_ns / NS_PER_TICK)};
    mutex_unlock(&g_process_lock);
    if (args->a[0] && user_write(args->a[0], &tms, sizeof(tms)))
        return -EFAULT;
    return (long)(clock_now(g_platform, CLOCK_KIND_BOOTTIME) / NS_PER_TICK);
}

static int sleep_until(struct task *task, uint64_t deadline)
{
    int r;
    do
        r = task_sleep(task, deadline);
    while (r == 0);
    return r;
}

/* arg[0]: where the remaining time goes, or 0. */
static long relative_sleep(struct task *task, uint64_t deadline, uint64_t remaining_addr)
{
    if (sleep_until(task, deadline) == -ETIMEDOUT)
        return 0;
    uint64_t now = clock_now(g_platform, CLOCK_KIND_MONOTONIC);
    if (now >= deadline)
        return 0;
    if (remaining_addr && user_write_timespec(remaining_addr, deadline - now))
        return -EFAULT;
    task->restart.deadline_ns = deadline;
    task->restart.arg[0] = remaining_addr;
    return -ERESTART_RESTARTBLOCK;
}

static long resume_sleep(struct task *task)
{
    long r = relative_sleep(task, task->restart.deadline_ns, task->restart.arg[0]);
    if (r == -ERESTART_RESTARTBLOCK)
        task->restart.resume = resume_sleep;
    return r;
}

static long start_relative_sleep(struct task *task, uint64_t ns, uint64_t remaining_addr)
{
    task->restart.deadline_ns = deadline_after(ns);
    task->restart.arg[0] = remaining_addr;
    return resume_sleep(task);
}

/* nanosleep(2) */
long sys_nanosleep(struct task *task, const struct syscall_args *args)
{
    uint64_t ns;
    int err = user_read_timespec(args->a[0], &ns);
    return err ? err : start_relative_sleep(task, ns, args->a[1]);
}

/* Processor time passes unseen: how long it can take at least, but no longer than this, until the next look. */
#define CPU_LOOK_NS 1000000u

/* args: limit, where the remaining time goes, the clock. */
static long resume_cpu_sleep(struct task *task)
{
    uint64_t limit = task->restart.arg[0], addr = task->restart.arg[1], now;
    for (;;) {
        if (cpu_clock_now(task, (int)task->restart.arg[2], &now))
            return -EINVAL;
        if (now >= limit)
            return 0;
        uint64_t pause = (limit - now) / thread_cpu_count(g_platform);
        if (task_sleep(task, deadline_after(pause > CPU_LOOK_NS ? pause : CPU_LOOK_NS)) ==
            -ERESTARTSYS)
            break;
    }
    if (addr && user_write_timespec(addr, limit - now))
        return -EFAULT;
    task->restart.resume = resume_cpu_sleep;
    return -ERESTART_RESTARTBLOCK;
}

static long cpu_sleep(struct task *task, int clockid, uint64_t ns, bool absolute,
                      uint64_t remaining_addr)
{
    struct cpu_clock clock;
    uint64_t now = 0;
    mutex_lock(&g_process_lock);
    int err = cpu_clock_of_id(task->process, task->tid, clockid, &clock);
    if (err == 0)
        err = cpu_clock_read(&clock, &now);
    mutex_unlock(&g_process_lock);
    if (err || (clock.per_thread && clock.id == task->tid)) /* a thread that sleeps uses no time */
        return -EINVAL;
    uint64_t limit = absolute || now + ns < now ? ns : now + ns;
    task->restart.arg[0] = limit;
    task->restart.arg[1] = absolute ? 0 : remaining_addr;
    task->restart.arg[2] = (uint32_t)clockid;
    long r = resume_cpu_sleep(task);
    return absolute && r == -ERESTART_RESTARTBLOCK ? -ERESTARTNOHAND : r;
}

/* clock_nanosleep(2) */
long sys_clock_nanosleep(struct task *task, const struct syscall_args *args)
{
    int clock = (int)args->a[0];
    bool absolute = args->a[1] & TIMER_ABSTIME, on_cpu = false;
    uint64_t ns, deadline, now;

    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    case CLOCK_TAI:
        break;
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_BOOTTIME_ALARM:
    case CLOCK_THREAD_CPUTIME_ID:
        return -EOPNOTSUPP;
    case CLOCK_PROCESS_CPUTIME_ID:
        on_cpu = true;
        break;
    default:
        if (clock >= 0)
            return -EINVAL;
        on_cpu = true;
        break;
    }
    int err = user_read_timespec(args->a[2], &ns);
    if (err)
        return err;
    if (on_cpu)
        return cpu_sleep(task, clock, ns, absolute, args->a[3]);
    if (!absolute)
        return start_relative_sleep(task, ns, args->a[3]);
    if (clock == CLOCK_MONOTONIC) {
        deadline = ns;
    } else if (clock == CLOCK_BOOTTIME) {
        now = clock_now(g_platform, CLOCK_KIND_BOOTTIME);
        deadline = deadline_after(ns > now ? ns - now : 0);
    } else {
        deadline = deadline_at_realtime(ns);
    }
    return sleep_until(task, deadline) == -ETIMEDOUT ? 0 : -ERESTARTNOHAND;
}
