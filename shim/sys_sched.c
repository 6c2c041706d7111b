/*
 * sys_sched.c: scheduling calls of the process family. The host schedules; what a guest sets is remembered and told back.
 */
#include <asm/resource.h>
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

struct sched_choice {
    int policy, priority, nice;
    bool sets_nice, reset_on_fork;
};

static bool is_realtime(int policy)
{
    return policy == SCHED_FIFO || policy == SCHED_RR;
}

static long check_choice(const struct sched_choice *c)
{
    if (c->policy != SCHED_NORMAL && c->policy != SCHED_BATCH && c->policy != SCHED_IDLE &&
        !is_realtime(c->policy))
        return -EINVAL;
    if (is_realtime(c->policy))
        return c->priority >= 1 && c->priority <= 99 ? 0 : -EINVAL;
    return c->priority == 0 ? 0 : -EINVAL;
}

static long sched_read(struct task *task, int tid, struct sched_choice *out)
{
    long r = 0;
    *out = (struct sched_choice){0};
    if (tid < 0)
        return -EINVAL;
    mutex_lock(&g_process_lock);
    const struct task *t = find_scheduled(task, tid);
    if (t)
        *out = (struct sched_choice){.policy = t->sched_policy,
                                     .priority = t->sched_priority,
                                     .nice = t->process->nice,
                                     .reset_on_fork = t->sched_reset_on_fork};
    else if (!is_there(task, tid))
        r = -ESRCH;
    mutex_unlock(&g_process_lock);
    return r;
}

/* RLIMIT_NICE counts from 1 (nice 19) to 40 (nice -20). */
static bool may_have_nice(const struct process *self, const struct process *target, int nice)
{
    return nice >= target->nice || (uint64_t)(20 - nice) <= target->rlimits[RLIMIT_NICE].cur ||
           process_capable(self, CAP_SYS_NICE);
}

/* sched(7), "Privileges and resource limits". */
static long may_choose(const struct process *self, const struct task *t,
                       const struct sched_choice *c)
{
    uint64_t limit = t->process->rlimits[RLIMIT_RTPRIO].cur;
    if (process_capable(self, CAP_SYS_NICE))
        return 0;
    if (is_realtime(c->policy) &&
        ((c->policy != t->sched_policy && !limit) ||
         (c->priority > t->sched_priority && (uint64_t)c->priority > limit)))
        return -EPERM;
    if (c->sets_nice && !may_have_nice(self, t->process, c->nice))
        return -EPERM;
    if (self->euid != t->process->euid && self->euid != t->process->uid)
        return -EPERM;
    return t->sched_reset_on_fork && !c->reset_on_fork ? -EPERM : 0;
}

static long sched_write(struct task *task, int tid, const struct sched_choice *c)
{
    long r = check_choice(c);
    if (tid < 0)
        r = -EINVAL;
    if (r)
        return r;
    mutex_lock(&g_process_lock);
    struct task *t = find_scheduled(task, tid);
    r = t ? may_choose(task->process, t, c) : -ESRCH;
    if (!r) {
        t->sched_policy = c->policy;
        t->sched_priority = c->priority;
        t->sched_reset_on_fork = c->reset_on_fork;
        if (c->sets_nice)
            t->process->nice = c->nice;
    }
    mutex_unlock(&g_process_lock);
    return r;
}

/* sched_getscheduler(2) */
long sys_sched_getscheduler(struct task *task, const struct syscall_args *args)
{
    struct sched_choice c;
    long r = sched_read(task, (int)args->a[0], &c);
    return r ? r : c.policy | (c.reset_on_fork ? SCHED_RESET_ON_FORK : 0);
}

/* sched_setscheduler(2) */
long sys_sched_setscheduler(struct task *task, const struct syscall_args *args)
{
    int policy = (int)args->a[1];
    struct sched_choice c = {.policy = policy & ~SCHED_RESET_ON_FORK,
                             .reset_on_fork = policy & SCHED_RESET_ON_FORK};
    if (policy < 0)
        return -EINVAL;
    if (user_read(&c.priority, args->a[2], sizeof(c.priority)))
        return -EFAULT;
    return sched_write(task, (int)args->a[0], &c);
}

/* sched_getparam(2) */
long sys_sched_getparam(struct task *task, const struct syscall_args *args)
{
    struct sched_choice c;
    long r = sched_read(task, (int)args->a[0], &c);
    return r ? r : user_write(args->a[1], &c.priority, sizeof(c.priority));
}

/* sched_setparam(2) */
long sys_sched_setparam(struct task *task, const struct syscall_args *args)
{
    struct sched_choice c;
    int priority;
    if (user_read(&priority, args->a[1], sizeof(priority)))
        return -EFAULT;
    long r = sched_read(task, (int)args->a[0], &c);
    c.priority = priority;
    return r ? r : sched_write(task, (int)args->a[0], &c);
}

/* struct sched_attr, whose header cannot be included beside linux/sched.h's. A later kernel's has more; its first was 48 bytes. */
struct sched_attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t clamp_min, clamp_max;
};
#define ATTRIBUTES_FIRST 48u
_Static_assert(sizeof(struct sched_attributes) == 56, "struct sched_attr");

static long read_attributes(uint64_t addr, struct sched_attributes *out)
{
    uint32_t size;
    const uint32_t mine = sizeof(*out);
    *out = (struct sched_attributes){0};
    if (user_read(&size, addr, sizeof(size)))
        return -EFAULT;
    if (!size)
        size = ATTRIBUTES_FIRST;
    bool known = size >= ATTRIBUTES_FIRST && size <= 4096;
    for (uint32_t at = mine; known && at < size; at++) {
        unsigned char byte;
        if (user_read(&byte, addr + at, 1))
            return -EFAULT;
        known = !byte;
    }
    if (!known)
        return user_write(addr, &mine, sizeof(mine)) ? -EFAULT : -E2BIG;
    return user_read(out, addr, size < mine ? size : mine) ? -EFAULT : 0;
}

/* sched_setattr(2) */
long sys_sched_setattr(struct task *task, const struct syscall_args *args)
{
    struct sched_attributes a;
    struct sched_choice c;
    int tid = (int)args->a[0];
    if (!args->a[1] || tid < 0 || args->a[2])
        return -EINVAL;
    long r = read_attributes(args->a[1], &a);
    if (!r && ((int32_t)a.policy < 0 || a.flags & ~(uint64_t)SCHED_FLAG_ALL))
        r = -EINVAL;
    if (!r)
        r = sched_read(task, tid, &c);
    if (r)
        return r;
    c.reset_on_fork = a.flags & SCHED_FLAG_RESET_ON_FORK;
    if (!(a.flags & (SCHED_FLAG_KEEP_POLICY | SCHED_FLAG_KEEP_PARAMS)))
        c.policy = (int)a.policy;
    if (c.policy == SCHED_DEADLINE)
        return -EBUSY; /* its bandwidth is not to be had */
    if (!(a.flags & SCHED_FLAG_KEEP_PARAMS)) {
        c.priority = (int)a.priority;
        c.sets_nice = c.policy == SCHED_NORMAL || c.policy == SCHED_BATCH;
        c.nice = a.nice < -20 ? -20 : a.nice > 19 ? 19 : a.nice;
    }
    return sched_write(task, tid, &c);
}

/* sched_getattr(2) */
long sys_sched_getattr(struct task *task, const struct syscall_args *args)
{
    struct sched_choice c;
    uint32_t size = (uint32_t)args->a[2];
    int tid = (int)args->a[0];
    if (!args->a[1] || tid < 0 || size > 4096 || size < ATTRIBUTES_FIRST || args->a[3])
        return -EINVAL;
    long r = sched_read(task, tid, &c);
    if (r)
        return r;
    struct sched_attributes a = {.policy = (uint32_t)c.policy, .clamp_max = 1024};
    a.size = size < sizeof(a) ? size : (uint32_t)sizeof(a);
    a.flags = c.reset_on_fork ? SCHED_FLAG_RESET_ON_FORK : 0;
    if (is_realtime(c.policy))
        a.priority = (uint32_t)c.priority;
    else
        a.nice = c.nice;
    return user_write(args->a[1], &a, a.size);
}

static long priority_limit(int policy, int realtime)
{
    if (is_realtime(policy))
        return realtime;
    return policy >= 0 && policy <= SCHED_DEADLINE && policy != 4 ? 0 : -EINVAL;
}

/* sched_get_priority_max(2) */
long sys_sched_get_priority_max(struct task *task, const struct syscall_args *args)
{
    (void)task;
    return priority_limit((int)args->a[0], 99);
}

/* sched_get_priority_min(2) */
long sys_sched_get_priority_min(struct task *task, const struct syscall_args *args)
{
    (void)task;
    return priority_limit((int)args->a[0], 1);
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
        const struct process *self = task->process;
        if (self->euid != p->uid && self->euid != p->euid && !process_capable(self, CAP_SYS_NICE)) {
            r = -EPERM;
            break;
        }
        if (!may_have_nice(self, p, nice)) {
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
