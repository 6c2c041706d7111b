/*
 * sys_sched.c: scheduling calls of the process family. The host schedules; what a guest sets is remembered and told back.
 */
#include <linux/capability.h>
#include <linux/resource.h>
#include <linux/sched.h>

#include "platform/errno.h"
#include "shim/process.h"
#include "shim/process_internal.h"
#include "shim/process_tree.h"
#include "shim/shim.h"
#include "shim/sys_proc.h"
#include "shim/time_convert.h"

/* sched_yield(2) */
long sys_sched_yield(struct task *task, const struct syscall_args *args)
{
    (void)task;
    (void)args;
    thread_yield(g_platform);
    return 0;
}

/* Found by number, 0 being the caller; a process stands for its first thread. NULL: -ESRCH. Under g_process_lock. */
static struct task *find_scheduled(struct task *task, int id)
{
    struct task *t = id ? task_find(id) : task;
    struct process *p = t || id <= 0 ? NULL : process_find(id);
    return t ? t : p ? p->tasks : NULL;
}

/* Init and zombies have no task, but they are there. */
static bool is_there(struct task *task, int id)
{
    return find_scheduled(task, id) || (id > 0 && process_find(id));
}

static uint64_t all_processors(void)
{
    unsigned count = thread_cpu_count(g_platform);
    return count >= 64 ? UINT64_MAX : (1ull << count) - 1;
}

/* sched_getaffinity(2): the result is the size of the mask. */
long sys_sched_getaffinity(struct task *task, const struct syscall_args *args)
{
    unsigned count = thread_cpu_count(g_platform);
    uint64_t mask[16] = {0};
    size_t words = (count + 63) / 64;
    int id = (int)args->a[0];

    if (words > 16)
        words = 16;
    if (args->a[1] < words * 8 || (args->a[1] & 7))
        return -EINVAL;
    for (unsigned i = 0; i < count && i < 1024; i++)
        mask[i / 64] |= 1ull << (i % 64);
    mutex_lock(&g_process_lock);
    bool there = is_there(task, id);
    const struct task *t = find_scheduled(task, id);
    if (t && t->affinity)
        mask[0] = t->affinity;
    mutex_unlock(&g_process_lock);
    if (!there)
        return -ESRCH;
    return user_write(args->a[2], mask, words * 8) ? -EFAULT : (long)(words * 8);
}

/* sched_setaffinity(2) */
long sys_sched_setaffinity(struct task *task, const struct syscall_args *args)
{
    uint64_t mask = 0;
    int id = (int)args->a[0];
    long r = 0;
    if (user_read(&mask, args->a[2], args->a[1] < 8 ? args->a[1] : 8))
        return -EFAULT;
    mutex_lock(&g_process_lock);
    struct task *t = find_scheduled(task, id);
    if (!is_there(task, id))
        r = -ESRCH;
    else if (!(mask & all_processors()))
        r = thread_cpu_count(g_platform) > 64 ? 0 : -EINVAL;
    else if (t)
        t->affinity = mask & all_processors();
    mutex_unlock(&g_process_lock);
    return r;
}

enum sched_access { SCHED_READ, SCHED_WRITE };

static long sched_of(struct task *task, int tid, enum sched_access access, int *policy,
                     int *priority)
{
    long r = 0;
    if (tid < 0)
        return -EINVAL;
    mutex_lock(&g_process_lock);
    struct task *t = find_scheduled(task, tid);
    if (!t && access == SCHED_READ && is_there(task, tid)) {
        *policy = *priority = 0;
    } else if (!t) {
        r = -ESRCH;
    } else if (access == SCHED_WRITE) {
        if (*policy >= 0)
            t->sched_policy = *policy;
        t->sched_priority = *priority;
    } else {
        *policy = t->sched_policy;
        *priority = t->sched_priority;
    }
    mutex_unlock(&g_process_lock);
    return r;
}

static bool is_realtime(int policy)
{
    return policy == SCHED_FIFO || policy == SCHED_RR;
}

static long check_priority(int policy, int priority)
{
    if (is_realtime(policy))
        return priority >= 1 && priority <= 99 ? 0 : -EINVAL;
    return priority == 0 ? 0 : -EINVAL;
}

/* sched_getscheduler(2) */
long sys_sched_getscheduler(struct task *task, const struct syscall_args *args)
{
    int policy, priority;
    long r = sched_of(task, (int)args->a[0], SCHED_READ, &policy, &priority);
    return r ? r : policy;
}

/* sched_setscheduler(2) */
long sys_sched_setscheduler(struct task *task, const struct syscall_args *args)
{
    int policy = (int)args->a[1] & ~SCHED_RESET_ON_FORK, priority;
    if (policy != SCHED_NORMAL && policy != SCHED_BATCH && policy != SCHED_IDLE &&
        !is_realtime(policy))
        return -EINVAL;
    if (user_read(&priority, args->a[2], sizeof(priority)))
        return -EFAULT;
    long r = check_priority(policy, priority);
    return r ? r : sched_of(task, (int)args->a[0], SCHED_WRITE, &policy, &priority);
}

/* sched_getparam(2) */
long sys_sched_getparam(struct task *task, const struct syscall_args *args)
{
    int policy, priority;
    long r = sched_of(task, (int)args->a[0], SCHED_READ, &policy, &priority);
    return r ? r : user_write(args->a[1], &priority, sizeof(priority));
}

/* sched_setparam(2) */
long sys_sched_setparam(struct task *task, const struct syscall_args *args)
{
    int policy, priority, old;
    if (user_read(&priority, args->a[1], sizeof(priority)))
        return -EFAULT;
    long r = sched_of(task, (int)args->a[0], SCHED_READ, &policy, &old);
    if (!r)
        r = check_priority(policy, priority);
    return r ? r : sched_of(task, (int)args->a[0], SCHED_WRITE, &policy, &priority);
}

/* sched_get_priority_max(2) */
long sys_sched_get_priority_max(struct task *task, const struct syscall_args *args)
{
    int policy = (int)args->a[0];
    (void)task;
    return is_realtime(policy)                                      ? 99
           : policy >= 0 && policy <= SCHED_DEADLINE && policy != 4 ? 0
                                                                    : -EINVAL;
}

/* sched_get_priority_min(2) */
long sys_sched_get_priority_min(struct task *task, const struct syscall_args *args)
{
    int policy = (int)args->a[0];
    (void)task;
    return is_realtime(policy)                                      ? 1
           : policy >= 0 && policy <= SCHED_DEADLINE && policy != 4 ? 0
                                                                    : -EINVAL;
}

/* sched_rr_get_interval(2) */
long sys_sched_rr_get_interval(struct task *task, const struct syscall_args *args)
{
    if ((int)args->a[0] < 0)
        return -EINVAL;
    mutex_lock(&g_process_lock);
    bool there = is_there(task, (int)args->a[0]);
    mutex_unlock(&g_process_lock);
    return there ? user_write_timespec(args->a[1], 100000000) : -ESRCH;
}

static bool nice_target(const struct task *task, const struct process *p, int which, int who)
{
    switch (which) {
    case PRIO_PROCESS:
        return p->pid == (who ? who : task->process->pid);
    case PRIO_PGRP:
        return p->pgid == (who ? who : task->process->pgid);
    default:
        return p->uid == (who ? (uint32_t)who : task->process->uid);
    }
}

/* getpriority(2): 20 - nice, so that errors can be told apart. */
long sys_getpriority(struct task *task, const struct syscall_args *args)
{
    int which = (int)args->a[0], who = (int)args->a[1];
    long best = -ESRCH;
    if (which < PRIO_PROCESS || which > PRIO_USER)
        return -EINVAL;
    mutex_lock(&g_process_lock);
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p))
        if (nice_target(task, p, which, who) && 20 - p->nice > best)
            best = 20 - p->nice;
    mutex_unlock(&g_process_lock);
    return best;
}

/* setpriority(2) */
long sys_setpriority(struct task *task, const struct syscall_args *args)
{
    int which = (int)args->a[0], who = (int)args->a[1], nice = (int)args->a[2];
    long r = -ESRCH;
    if (which < PRIO_PROCESS || which > PRIO_USER)
        return -EINVAL;
    nice = nice < -20 ? -20 : nice > 19 ? 19 : nice;
    mutex_lock(&g_process_lock);
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p)) {
        if (!nice_target(task, p, which, who))
            continue;
        if (nice < p->nice && !process_capable(task->process, CAP_SYS_NICE)) {
            r = -EACCES;
            break;
        }
        p->nice = nice;
        r = 0;
    }
    mutex_unlock(&g_process_lock);
    return r;
}

#define IOPRIO_WHO_PROCESS 1

/* ioprio_get(2) */
long sys_ioprio_get(struct task *task, const struct syscall_args *args)
{
    int who = (int)args->a[1];
    long r = -ESRCH;
    if ((int)args->a[0] != IOPRIO_WHO_PROCESS)
        return -EINVAL;
    mutex_lock(&g_process_lock);
    struct task *t = who ? task_find(who) : task;
    if (t)
        r = t->ioprio;
    mutex_unlock(&g_process_lock);
    return r;
}

/* ioprio_set(2) */
long sys_ioprio_set(struct task *task, const struct syscall_args *args)
{
    int who = (int)args->a[1];
    long r = -ESRCH;
    if ((int)args->a[0] != IOPRIO_WHO_PROCESS)
        return -EINVAL;
    mutex_lock(&g_process_lock);
    struct task *t = who ? task_find(who) : task;
    if (t) {
        t->ioprio = (int)args->a[2];
        r = 0;
    }
    mutex_unlock(&g_process_lock);
    return r;
}

/* getcpu(2) */
long sys_getcpu(struct task *task, const struct syscall_args *args)
{
    uint32_t cpu = thread_cpu_current(g_platform), node = 0;
    (void)task;
    if (args->a[0] && user_write(args->a[0], &cpu, sizeof(cpu)))
        return -EFAULT;
    return args->a[1] && user_write(args->a[1], &node, sizeof(node)) ? -EFAULT : 0;
}
