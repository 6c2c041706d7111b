#include "shim/sys_signal.h"

#include <linux/capability.h>
#include <linux/signal.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/process_internal.h"
#include "shim/process_tree.h"
#include "shim/shim.h"
#include "shim/time_convert.h"

#define SIGSET_SIZE 8u
#define MINIMUM_ALTSTACK 2048u

static bool valid_signal(int sig)
{
    return sig >= 1 && sig <= 64;
}

/* rt_sigaction(2) */
long sys_rt_sigaction(struct task *task, const struct syscall_args *args)
{
    int sig = (int)args->a[0];
    struct abi_sigaction fresh, old;
    const uint64_t known = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART |
                           SA_NODEFER | SA_RESETHAND | SA_RESTORER | SA_EXPOSE_TAGBITS;

    if (args->a[3] != SIGSET_SIZE || !valid_signal(sig))
        return -EINVAL;
    if (args->a[1]) {
        if (sig == SIGKILL || sig == SIGSTOP)
            return -EINVAL;
        if (user_read(&fresh, args->a[1], sizeof(fresh)))
            return -EFAULT;
        fresh.flags &= known; /* programs probe by setting a flag and reading it back */
        fresh.mask &= ~(sigset_of(SIGKILL).bits | sigset_of(SIGSTOP).bits);
    }
    mutex_lock(&g_process_lock);
    struct abi_sigaction *slot = &task->process->sighand->action[sig - 1];
    old = *slot;
    if (args->a[1]) {
        *slot = fresh;
        bool by_default = fresh.handler == 0 &&
                          (sig == SIGCHLD || sig == SIGCONT || sig == SIGWINCH || sig == SIGURG);
        if (fresh.handler == 1 || by_default) { /* POSIX: what now would be ignored is forgotten */
            struct task *t;
            signal_queue_drop(&task->process->pending, sigset_of(sig));
            DL_FOREACH(task->process->tasks, t)
            signal_queue_drop(&t->pending, sigset_of(sig));
        }
    }
    mutex_unlock(&g_process_lock);
    return args->a[2] && user_write(args->a[2], &old, sizeof(old)) ? -EFAULT : 0;
}

/* rt_sigprocmask(2) */
long sys_rt_sigprocmask(struct task *task, const struct syscall_args *args)
{
    struct sigset old = task->blocked, set;
    if (args->a[3] != SIGSET_SIZE)
        return -EINVAL;
    if (args->a[1]) {
        if (user_read(&set, args->a[1], sizeof(set)))
            return -EFAULT;
        switch ((int)args->a[0]) {
        case SIG_BLOCK:
            set.bits |= old.bits;
            break;
        case SIG_UNBLOCK:
            set.bits = old.bits & ~set.bits;
            break;
        case SIG_SETMASK:
            break;
        default:
            return -EINVAL;
        }
        if (set.bits != old.bits)
            signal_set_blocked(task, set);
    }
    return args->a[2] && user_write(args->a[2], &old, sizeof(old)) ? -EFAULT : 0;
}

/* rt_sigpending(2) */
long sys_rt_sigpending(struct task *task, const struct syscall_args *args)
{
    if (args->a[1] > SIGSET_SIZE)
        return -EINVAL;
    mutex_lock(&g_process_lock);
    struct sigset set = {signal_pending_set(task).bits & task->blocked.bits};
    mutex_unlock(&g_process_lock);
    return user_write(args->a[0], &set, args->a[1]) ? -EFAULT : 0;
}

static void set_sigwait(struct task *task, struct sigset set)
{
    mutex_lock(&g_process_lock);
    task->sigwait = set;
    mutex_unlock(&g_process_lock);
}

/* rt_sigtimedwait(2) */
long sys_rt_sigtimedwait(struct task *task, const struct syscall_args *args)
{
    struct sigset set;
    struct abi_siginfo info;
    uint64_t deadline = THREAD_WAIT_FOREVER, timeout;
    long r;

    if (args->a[3] != SIGSET_SIZE)
        return -EINVAL;
    if (user_read(&set, args->a[0], sizeof(set)))
        return -EFAULT;
    set.bits &= ~(sigset_of(SIGKILL).bits | sigset_of(SIGSTOP).bits);
    if (args->a[2]) {
        int err = user_read_timespec(args->a[2], &timeout);
        if (err)
            return err;
        deadline = deadline_after(timeout);
    }
    set_sigwait(task, set);
    for (;;) {
        if (signal_take(task, set, &info)) {
            r = info.si_signo;
            break;
        }
        int slept = task_sleep(task, deadline);
        if (slept) {
            /* One last look: what woke us may be what we wait for. */
            if (signal_take(task, set, &info))
                r = info.si_signo;
            else
                r = slept == -ETIMEDOUT ? -EAGAIN : -EINTR;
            break;
        }
    }
    set_sigwait(task, (struct sigset){0});
    if (r > 0 && args->a[1] && user_write(args->a[1], &info, sizeof(info)))
        return -EFAULT;
    return r;
}

bool process_may_signal(const struct process *from, const struct process *to, int sig)
{
    if (from == to || process_capable(from, CAP_KILL))
        return true;
    if (from->euid == to->uid || from->euid == to->suid || from->uid == to->uid ||
        from->uid == to->suid)
        return true;
    return sig == SIGCONT && from->sid == to->sid;
}

static long kill_many(struct process *self, int pgid, const struct abi_siginfo *info)
{
    long r = -ESRCH;
    int sig = info->si_signo;
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p)) {
        if (pgid ? p->pgid != pgid : p->pid == INIT_PID || p == self)
            continue;
        if (!process_may_signal(self, p, sig)) {
            if (r == -ESRCH)
                r = -EPERM;
            continue;
        }
        r = sig ? signal_send_process(p, info) : 0;
    }
    return r;
}

/* kill(2) */
long sys_kill(struct task *task, const struct syscall_args *args)
{
    int pid = (int)args->a[0], sig = (int)args->a[1];
    struct process *self = task->process;
    long r = 0;

    if (sig < 0 || sig > 64)
        return -EINVAL;
    struct abi_siginfo info = signal_info_user(sig, self);
    mutex_lock(&g_process_lock);
    if (pid > 0) {
        struct process *target = process_find(pid);
        if (!target) { /* a thread's number stands for its process */
            struct task *t = task_find(pid);
            target = t ? t->process : NULL;
        }
        if (!target)
            r = -ESRCH;
        else if (!process_may_signal(self, target, sig))
            r = -EPERM;
        else if (sig)
            r = signal_send_process(target, &info);
    } else if (pid == INT32_MIN) {
        r = -ESRCH;
    } else {
        r = kill_many(self, pid == -1 ? 0 : pid ? -pid : self->pgid, &info);
    }
    mutex_unlock(&g_process_lock);
    return r;
}

static long send_to_thread(struct task *task, int tgid, int tid, const struct abi_siginfo *info)
{
    long r = 0;
    mutex_lock(&g_process_lock);
    struct task *target = task_find(tid);
    if (!target || (tgid && target->process->pid != tgid)) {
        struct process *zombie = process_find(tid); /* dead, but its number is still taken */
        r = zombie && zombie->state == PROCESS_ZOMBIE && (!tgid || tgid == tid) ? 0 : -ESRCH;
    } else if (!process_may_signal(task->process, target->process, info->si_signo)) {
        r = -EPERM;
    } else if (info->si_signo) {
        r = signal_send_task(target, info);
    }
    mutex_unlock(&g_process_lock);
    return r;
}

/* tgkill(2) */
long sys_tgkill(struct task *task, const struct syscall_args *args)
{
    int tgid = (int)args->a[0], tid = (int)args->a[1], sig = (int)args->a[2];
    if (tgid <= 0 || tid <= 0 || sig < 0 || sig > 64)
        return -EINVAL;
    struct abi_siginfo info = signal_info_user(sig, task->process);
    info.si_code = SI_TKILL;
    return send_to_thread(task, tgid, tid, &info);
}

/* tkill(2) */
long sys_tkill(struct task *task, const struct syscall_args *args)
{
    int tid = (int)args->a[0], sig = (int)args->a[1];
    if (tid <= 0 || sig < 0 || sig > 64)
        return -EINVAL;
    struct abi_siginfo info = signal_info_user(sig, task->process);
    info.si_code = SI_TKILL;
    return send_to_thread(task, 0, tid, &info);
}

static int read_queued_info(struct task *task, uint64_t addr, int sig, int target_pid,
                            struct abi_siginfo *info)
{
    if (user_read(info, addr, sizeof(*info)))
        return -EFAULT;
    /* Only oneself may be lied to about where a signal comes from. */
    if ((info->si_code >= 0 || info->si_code == SI_TKILL) && target_pid != task->process->pid)
        return -EPERM;
    if (sig < 0 || sig > 64)
        return -EINVAL;
    info->si_signo = sig;
    return 0;
}

/* rt_sigqueueinfo(2) */
long sys_rt_sigqueueinfo(struct task *task, const struct syscall_args *args)
{
    int pid = (int)args->a[0], sig = (int)args->a[1];
    struct abi_siginfo info;
    long r = read_queued_info(task, args->a[2], sig, pid, &info);
    if (r)
        return r;
    mutex_lock(&g_process_lock);
    struct process *target = process_find(pid);
    if (!target)
        r = -ESRCH;
    else if (!process_may_signal(task->process, target, sig))
        r = -EPERM;
    else if (sig)
        r = signal_send_process(target, &info);
    mutex_unlock(&g_process_lock);
    return r;
}

/* rt_tgsigqueueinfo(2) */
long sys_rt_tgsigqueueinfo(struct task *task, const struct syscall_args *args)
{
    int tgid = (int)args->a[0], tid = (int)args->a[1], sig = (int)args->a[2];
    struct abi_siginfo info;
    if (tgid <= 0 || tid <= 0)
        return -EINVAL;
    int err = read_queued_info(task, args->a[3], sig, tgid, &info);
    return err ? err : send_to_thread(task, tgid, tid, &info);
}

static long sleep_until_signal(struct task *task)
{
    while (task_sleep(task, THREAD_WAIT_FOREVER) == 0)
        continue;
    return -ERESTARTNOHAND;
}

/* rt_sigsuspend(2) */
long sys_rt_sigsuspend(struct task *task, const struct syscall_args *args)
{
    struct sigset set;
    if (args->a[1] != SIGSET_SIZE)
        return -EINVAL;
    if (user_read(&set, args->a[0], sizeof(set)))
        return -EFAULT;
    signal_set_temporary_mask(task, set);
    return sleep_until_signal(task);
}

/* pause(2) */
long sys_pause(struct task *task, const struct syscall_args *args)
{
    (void)args;
    return sleep_until_signal(task);
}

int signal_altstack_set(struct task *task, const struct abi_stack *stack, uint64_t sp)
{
    struct signal_altstack *a = &task->altstack;
    uint32_t mode = (uint32_t)stack->flags & ~SS_AUTODISARM;

    if (a->size && !(a->flags & SS_AUTODISARM) && sp > a->sp && sp - a->sp <= a->size)
        return -EPERM;
    if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
        return -EINVAL;
    if (mode == SS_DISABLE) {
        *a = (struct signal_altstack){.flags = SS_DISABLE};
        return 0;
    }
    if (stack->size < MINIMUM_ALTSTACK)
        return -ENOMEM;
    *a = (struct signal_altstack){
        .sp = stack->sp, .size = stack->size, .flags = (uint32_t)stack->flags};
    return 0;
}

/* sigaltstack(2) */
long sys_sigaltstack(struct task *task, const struct syscall_args *args)
{
    struct abi_stack fresh, old = {.sp = task->altstack.sp, .size = task->altstack.size};
    old.flags = (int32_t)signal_altstack_flags(task);
    if (args->a[0]) {
        if (user_read(&fresh, args->a[0], sizeof(fresh)))
            return -EFAULT;
        int err = signal_altstack_set(task, &fresh, task->ctx->regs.rsp);
        if (err)
            return err;
    }
    return args->a[1] && user_write(args->a[1], &old, sizeof(old)) ? -EFAULT : 0;
}

/* restart_syscall(2): the kernel's own; a guest that calls it by itself gets -EINTR. */
long sys_restart_syscall(struct task *task, const struct syscall_args *args)
{
    (void)args;
    long (*resume)(struct task *) = task->restart.resume;
    task->restart.resume = NULL;
    return resume ? resume(task) : -EINTR;
}
