/*
 * signal.c: from sending to the decision what a task does about it. See signal(7).
 */
#include "shim/signal.h"

#include <asm/unistd_64.h>
#include <linux/resource.h>
#include <linux/signal.h>

#include "platform/errno.h"
#include "platform/guest_context.h"
#include "platform/instance.h"
#include "shim/fs/event_files.h"
#include "shim/process.h"
#include "shim/process_internal.h"
#include "shim/process_tree.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/trace.h"

#define BIT(sig) (1ull << ((sig)-1))
#define STOP_SIGNALS (BIT(SIGSTOP) | BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU))
#define IGNORED_BY_DEFAULT (BIT(SIGCHLD) | BIT(SIGCONT) | BIT(SIGWINCH) | BIT(SIGURG))
#define SYNCHRONOUS                                                                                \
    (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGILL) | BIT(SIGTRAP) | BIT(SIGFPE) | BIT(SIGSYS))
#define UNBLOCKABLE (BIT(SIGKILL) | BIT(SIGSTOP))
#define HANDLER_DEFAULT 0ull
#define HANDLER_IGNORE 1ull

struct abi_siginfo signal_info_kernel(int sig)
{
    return (struct abi_siginfo){.si_signo = sig, .si_code = SI_KERNEL};
}

struct abi_siginfo signal_info_user(int sig, const struct process *sender)
{
    struct abi_siginfo info = {.si_signo = sig, .si_code = SI_USER};
    info.rt.pid = sender->pid;
    info.rt.uid = sender->uid;
    return info;
}

struct sigset signal_pending_set(const struct task *task)
{
    return (struct sigset){task->pending.set.bits | task->process->pending.set.bits};
}

bool signal_pending(struct task *task)
{
    if (!__atomic_load_n(&task->interrupted, __ATOMIC_SEQ_CST))
        return false;
    mutex_lock(&g_process_lock);
    bool pending = signal_pending_set(task).bits & ~task->blocked.bits;
    mutex_unlock(&g_process_lock);
    return pending;
}

/* Queues. */

/* Of all queues and timers; what RLIMIT_SIGPENDING limits (there per user) */
static uint64_t g_entry_count;

bool signal_entry_reserve(const struct process *process)
{
    if (g_entry_count >= process->rlimits[RLIMIT_SIGPENDING].cur)
        return false;
    g_entry_count++;
    return true;
}

void signal_entry_release(void)
{
    g_entry_count--;
}

/* Off its queue already, or the queue forgets all. */
static void entry_free(struct signal_entry *e)
{
    e->queue = NULL;
    if (e->timer) {
        timer_signal_gone(e->timer);
        return;
    }
    signal_entry_release();
    shim_free(e);
}

void signal_queue_flush(struct signal_queue *queue)
{
    struct signal_entry *e, *tmp;
    DL_FOREACH_SAFE(queue->entries, e, tmp)
    entry_free(e);
    *queue = (struct signal_queue){0};
}

void signal_queue_drop(struct signal_queue *queue, struct sigset set)
{
    uint64_t which = set.bits;
    struct signal_entry *e, *tmp;
    if (!(queue->set.bits & which))
        return;
    queue->set.bits &= ~which;
    DL_FOREACH_SAFE(queue->entries, e, tmp)
    {
        if (which & BIT(e->info.si_signo)) {
            DL_DELETE(queue->entries, e);
            entry_free(e);
        }
    }
}

static void drop_everywhere(struct process *process, uint64_t which)
{
    struct task *t;
    signal_queue_drop(&process->pending, (struct sigset){which});
    DL_FOREACH(process->tasks, t)
    signal_queue_drop(&t->pending, (struct sigset){which});
}

static void append(struct signal_queue *queue, struct signal_entry *e)
{
    e->queue = queue;
    DL_APPEND(queue->entries, e);
    sigset_add(&queue->set, e->info.si_signo);
}

static int queue_add(struct signal_queue *queue, const struct abi_siginfo *info, uint64_t limit)
{
    int sig = info->si_signo;
    if (sig < SIGRTMIN && sigset_has(queue->set, sig))
        return 0; /* standard signals don't queue up */
    /* What the kernel or kill(2) sends arrives beyond the limit as well, at worst without its details. */
    bool unlimited = sig < SIGRTMIN && info->si_code >= 0;
    struct signal_entry *e = unlimited || g_entry_count < limit ? shim_zalloc(sizeof(*e)) : NULL;
    if (!e && sig >= SIGRTMIN && info->si_code != SI_USER)
        return -EAGAIN;
    if (e) {
        e->info = *info;
        g_entry_count++;
        append(queue, e);
    }
    sigset_add(&queue->set, sig);
    return 0;
}

void signal_entry_cancel(struct signal_entry *e)
{
    struct signal_queue *queue = e->queue;
    struct signal_entry *other;
    if (!queue)
        return;
    DL_DELETE(queue->entries, e);
    e->queue = NULL;
    DL_FOREACH(queue->entries, other)
    if (other->info.si_signo == e->info.si_signo)
        return;
    sigset_remove(&queue->set, e->info.si_signo);
}

/* Take one of `wanted` off: faults first, then the lowest number. */
static bool queue_take(struct signal_queue *queue, struct sigset wanted, struct abi_siginfo *out)
{
    uint64_t ready = queue->set.bits & wanted.bits;
    if (!ready)
        return false;
    if (ready & SYNCHRONOUS)
        ready &= SYNCHRONOUS;
    int sig = __builtin_ctzll(ready) + 1;
    struct signal_entry *e, *found = NULL;
    bool more = false;
    DL_FOREACH(queue->entries, e)
    {
        if (e->info.si_signo != sig)
            continue;
        if (found) {
            more = true;
            break;
        }
        found = e;
    }
    if (found) {
        if (found->timer)
            timer_signal_taken(found->timer);
        *out = found->info;
        DL_DELETE(queue->entries, found);
        entry_free(found);
    } else {
        *out = (struct abi_siginfo){.si_signo = sig, .si_code = SI_USER};
    }
    if (!more)
        sigset_remove(&queue->set, sig);
    return true;
}

static bool take_for_task(struct task *task, struct sigset wanted, struct abi_siginfo *out)
{
    if (queue_take(&task->pending, wanted, out))
        return true;
    if (!queue_take(&task->process->pending, wanted, out))
        return false;
    if (out->si_signo == SIGALRM)
        timers_alarm_taken(task->process);
    return true;
}

bool signal_take(struct task *task, struct sigset wanted, struct abi_siginfo *out)
{
    mutex_lock(&g_process_lock);
    bool found = take_for_task(task, wanted, out);
    mutex_unlock(&g_process_lock);
    return found;
}

/* Sending. */

static bool is_ignored(struct process *process, const struct task *task, int sig)
{
    uint64_t handler = process->sighand->action[sig - 1].handler;
    if (BIT(sig) & UNBLOCKABLE)
        return false;
    /* Blocked signals wait, whatever the disposition says now: it may change. */
    if (task && sigset_has(task->blocked, sig))
        return false;
    return handler == HANDLER_IGNORE ||
           (handler == HANDLER_DEFAULT && (BIT(sig) & IGNORED_BY_DEFAULT));
}

static bool wants(const struct task *task, int sig)
{
    return !task->exiting && (!sigset_has(task->blocked, sig) || sigset_has(task->sigwait, sig));
}

void signal_retarget(struct process *process, struct task *except, struct sigset which)
{
    uint64_t left = process->pending.set.bits & which.bits;
    struct task *t;
    if (!left)
        return;
    DL_FOREACH(process->tasks, t)
    {
        if (t == except || t->exiting || !(left & ~t->blocked.bits))
            continue;
        left &= t->blocked.bits;
        task_kick(t);
        if (!left)
            return;
    }
}

static void continue_process(struct process *process)
{
    struct task *t;
    if (!process->stop_requested)
        return;
    process->stop_requested = false;
    process->stop_signal = 0;
    DL_FOREACH(process->tasks, t)
    task_kick(t);
    if (process->state == PROCESS_STOPPED) {
        process->state = PROCESS_ALIVE;
        process->continued_unreported = true;
        process_notify_parent(process, CHILD_CONTINUED, NULL);
    }
}

/* Who used most processor time since it was last chosen: a profiler is to see who works, not who sleeps in main(). */
static struct task *busiest(struct process *process, int sig)
{
    struct task *t, *found = NULL;
    uint64_t most = 0, its_time = 0;
    DL_FOREACH(process->tasks, t)
    {
        uint64_t user = 0, system = 0;
        if (t->state != TASK_RUNNING || !t->thread || !wants(t, sig))
            continue;
        thread_cpu_time(g_platform, t->thread, &user, &system);
        if (user + system < t->profiled_ns + most)
            continue;
        found = t;
        its_time = user + system;
        most = its_time - t->profiled_ns;
    }
    if (found)
        found->profiled_ns = its_time;
    return found;
}

/* Who is to take a signal of the whole process. NULL: nobody wants it now. */
static struct task *taker(struct process *process, const struct abi_siginfo *info)
{
    int sig = info->si_signo;
    struct task *t = NULL;
    if (info->si_code == SI_KERNEL && (sig == SIGPROF || sig == SIGVTALRM))
        t = busiest(process, sig);
    if (t)
        return t;
    DL_FOREACH(process->tasks, t)
    if (wants(t, sig))
        break;
    return t;
}

/* `entry`: a timer's, to be queued itself; NULL: a copy of `info` is. */
static int send(struct process *process, struct task *task, const struct abi_siginfo *info,
                struct signal_entry *entry)
{
    int sig = info->si_signo;
    struct task *t = task;

    /* Nothing reaches init, the dead and the dying. */
    if (process->pid == INIT_PID || process->state >= PROCESS_ZOMBIE || process->group_exiting)
        return 0;
    if (sig == SIGKILL) {
        process_start_exit(process, SIGKILL);
        return 0;
    }
    if (BIT(sig) & STOP_SIGNALS) {
        drop_everywhere(process, BIT(SIGCONT));
    } else if (sig == SIGCONT) {
        drop_everywhere(process, STOP_SIGNALS);
        continue_process(process);
    }
    if (is_ignored(process, task ? task : process->tasks, sig))
        return 0;
    struct signal_queue *queue = task ? &task->pending : &process->pending;
    int err = 0;
    if (entry)
        append(queue, entry);
    else
        err = queue_add(queue, info, process->rlimits[RLIMIT_SIGPENDING].cur);
    if (err)
        return err;
    wait_queue_wake_all(&g_signal_wait);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* as in signal_set_blocked */
    if (!task)
        t = taker(process, info);
    if (t && wants(t, sig))
        task_kick(t);
    return 0;
}

int signal_send_task(struct task *task, const struct abi_siginfo *info)
{
    return send(task->process, task, info, NULL);
}

int signal_send_process(struct process *process, const struct abi_siginfo *info)
{
    return send(process, NULL, info, NULL);
}

void signal_send_entry(struct process *process, struct task *task, struct signal_entry *entry)
{
    if (!entry->queue)
        (void)send(process, task, &entry->info, entry);
}

int signal_send_pgrp(int pgid, const struct abi_siginfo *info)
{
    int r = -ESRCH;
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p)) {
        if (p->pgid != pgid)
            continue;
        int one = send(p, NULL, info, NULL);
        if (r)
            r = one;
    }
    return r;
}

/* Forced: a blocked or ignored one gets its default action back, so that the task can't run on. */
/* TO_DIE: its handler is not asked, as Linux does where no frame could be made. */
enum force_mode { FORCE_TO_TAKE, FORCE_TO_DIE };

static void force(struct task *task, const struct abi_siginfo *info, enum force_mode mode)
{
    int sig = info->si_signo;
    mutex_lock(&g_process_lock);
    struct abi_sigaction *action = &task->process->sighand->action[sig - 1];
    if (mode == FORCE_TO_DIE || action->handler == HANDLER_IGNORE ||
        sigset_has(task->blocked, sig)) {
        action->handler = HANDLER_DEFAULT;
        sigset_remove(&task->blocked, sig);
    }
    signal_queue_drop(&task->pending, sigset_of(sig));
    if (queue_add(&task->pending, info, UINT64_MAX) == 0)
        __atomic_store_n(&task->interrupted, 1, __ATOMIC_SEQ_CST);
    mutex_unlock(&g_process_lock);
}

void signal_force(struct task *task, int sig)
{
    struct abi_siginfo info = signal_info_kernel(sig);
    force(task, &info, FORCE_TO_TAKE);
}

void signal_force_fault(struct task *task, const struct guest_exit *exit)
{
    static const struct {
        int sig, code;
    } table[] = {
        [GUEST_FAULT_UNMAPPED] = {SIGSEGV, SEGV_MAPERR},
        [GUEST_FAULT_PROTECTION] = {SIGSEGV, SEGV_ACCERR},
        [GUEST_FAULT_GENERAL] = {SIGSEGV, SI_KERNEL},
        [GUEST_FAULT_BUS] = {SIGBUS, BUS_ADRERR},
        [GUEST_FAULT_ALIGNMENT] = {SIGBUS, BUS_ADRALN},
        [GUEST_FAULT_ILLEGAL] = {SIGILL, ILL_ILLOPN},
        [GUEST_FAULT_DIVIDE] = {SIGFPE, FPE_INTDIV},
        [GUEST_FAULT_OVERFLOW] = {SIGSEGV, SI_KERNEL},
        [GUEST_FAULT_FP] = {SIGFPE, 0},
        [GUEST_FAULT_BREAKPOINT] = {SIGTRAP, SI_KERNEL},
        [GUEST_FAULT_STEP] = {SIGTRAP, TRAP_TRACE},
        [GUEST_FAULT_COMPAT] = {SIGSEGV, SI_KERNEL},
        [GUEST_FAULT_SEQUENCE] = {SIGSEGV, SI_KERNEL},
    };
    struct abi_siginfo info = {.si_signo = table[exit->fault].sig,
                               .si_code = table[exit->fault].code};
    switch (exit->fault) {
    case GUEST_FAULT_FP:
        info.si_code = exit->code;
        info.fault.addr = task->ctx->regs.rip;
        break;
    case GUEST_FAULT_DIVIDE:
    case GUEST_FAULT_ILLEGAL:
    case GUEST_FAULT_STEP:
        info.fault.addr = task->ctx->regs.rip;
        break;
    case GUEST_FAULT_COMPAT:
        stats_unsupported("32-bit system call (int 0x80)");
        break;
    default:
        info.fault.addr = exit->addr.raw;
        break;
    }
    task->fault_address = exit->addr.raw;
    task->fault_error = exit->error_code;
    task->fault_trap = exit->trap_number;
    force(task, &info, exit->fault == GUEST_FAULT_SEQUENCE ? FORCE_TO_DIE : FORCE_TO_TAKE);
}

void signal_sigpipe(struct task *task)
{
    struct abi_siginfo info = signal_info_user(SIGPIPE, task->process);
    mutex_lock(&g_process_lock);
    (void)signal_send_task(task, &info);
    mutex_unlock(&g_process_lock);
}

/* Masks. */

void signal_set_blocked(struct task *task, struct sigset blocked)
{
    blocked.bits &= ~UNBLOCKABLE;
    struct sigset newly = {blocked.bits & ~task->blocked.bits};
    __atomic_store_n(&task->blocked.bits, blocked.bits, __ATOMIC_RELAXED);
    /* Who sends queues the signal and then looks at masks: one of us sees the other. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint64_t process_wide = __atomic_load_n(&task->process->pending.set.bits, __ATOMIC_RELAXED);
    if ((__atomic_load_n(&task->pending.set.bits, __ATOMIC_RELAXED) | process_wide) & ~blocked.bits)
        __atomic_store_n(&task->interrupted, 1, __ATOMIC_SEQ_CST);
    if (!(process_wide & newly.bits))
        return;
    mutex_lock(&g_process_lock);
    signal_retarget(task->process, task, newly);
    mutex_unlock(&g_process_lock);
}

void signal_set_temporary_mask(struct task *task, struct sigset blocked)
{
    task->saved_blocked = task->blocked;
    task->restore_blocked = true;
    signal_set_blocked(task, blocked);
}

/* Stops. */

void process_check_stopped(struct process *process)
{
    struct task *t;
    if (!process->stop_requested || process->state != PROCESS_ALIVE || !process->tasks)
        return;
    DL_FOREACH(process->tasks, t)
    if (t->state != TASK_STOPPED && !t->exiting)
        return;
    process->state = PROCESS_STOPPED;
    process_notify_parent(process, CHILD_STOPPED, NULL);
}

static void request_stop(struct process *process, int sig)
{
    struct task *t;
    process->stop_requested = true;
    process->stop_signal = sig;
    process->continued_unreported = false;
    DL_FOREACH(process->tasks, t)
    task_kick(t);
}

/* Called and returns with g_process_lock held. */
static void stay_stopped(struct task *task)
{
    struct process *process = task->process;
    task->state = TASK_STOPPED;
    process_check_stopped(process);
    bool whole_job = process->pid == FIRST_PID && process->state == PROCESS_STOPPED;
    while (process->stop_requested && !task->exiting) {
        mutex_unlock(&g_process_lock);
        if (whole_job)
            instance_suspend(g_platform);
        whole_job = false;
        thread_park(g_platform, THREAD_WAIT_FOREVER, NULL, 0);
        mutex_lock(&g_process_lock);
    }
    task->state = TASK_RUNNING;
}

/* Delivery. */

enum verdict { RUN_HANDLER, TAKE_NEXT, DIE };

/* Under g_process_lock: what the disposition says. */
static enum verdict judge(struct task *task, int sig, struct abi_sigaction *action)
{
    struct process *process = task->process;
    struct abi_sigaction *current = &process->sighand->action[sig - 1];
    *action = *current;
    if (action->handler == HANDLER_IGNORE)
        return TAKE_NEXT;
    if (action->handler != HANDLER_DEFAULT) {
        if (action->flags & SA_RESETHAND)
            current->handler = HANDLER_DEFAULT;
        return RUN_HANDLER;
    }
    if (BIT(sig) & IGNORED_BY_DEFAULT)
        return TAKE_NEXT;
    if (BIT(sig) & STOP_SIGNALS) {
        if (sig == SIGSTOP || !process_group_orphaned(process->pgid))
            request_stop(process, sig);
        return TAKE_NEXT;
    }
    process_start_exit(process, sig);
    return DIE;
}

/* The interrupted call starts again: rip goes back over its two bytes. */
static void restart_call(struct task *task, uint64_t number)
{
    task->ctx->regs.rax = number;
    task->ctx->regs.rip -= 2;
}

static void settle_call(struct task *task, const struct abi_sigaction *action)
{
    if (!task->in_syscall)
        return;
    task->in_syscall = false;
    int64_t result = (int64_t)task->ctx->regs.rax;
    switch (-result) {
    case ERESTARTNOINTR:
        restart_call(task, task->syscall_number);
        break;
    case ERESTARTSYS:
        if (action && !(action->flags & SA_RESTART))
            task->ctx->regs.rax = (uint64_t)-EINTR;
        else
            restart_call(task, task->syscall_number);
        break;
    case ERESTARTNOHAND:
        if (action)
            task->ctx->regs.rax = (uint64_t)-EINTR;
        else
            restart_call(task, task->syscall_number);
        break;
    case ERESTART_RESTARTBLOCK:
        if (action)
            task->ctx->regs.rax = (uint64_t)-EINTR;
        else
            restart_call(task, __NR_restart_syscall);
        break;
    default:
        break;
    }
}

static void run_handler(struct task *task, const struct abi_sigaction *action,
                        const struct abi_siginfo *info)
{
    int sig = info->si_signo;
    struct sigset saved = task->restore_blocked ? task->saved_blocked : task->blocked;

    settle_call(task, action);
    task->restart.resume = NULL;
    if (signal_frame_push(task, action, info, saved)) {
        /* Its own handler can't be entered: nothing is left but the default */
        if (sig == SIGSEGV) {
            mutex_lock(&g_process_lock);
            task->process->sighand->action[SIGSEGV - 1].handler = HANDLER_DEFAULT;
            mutex_unlock(&g_process_lock);
        }
        signal_force(task, SIGSEGV);
        return;
    }
    task->restore_blocked = false;
    struct sigset blocked = {task->blocked.bits | action->mask};
    if (!(action->flags & SA_NODEFER))
        sigset_add(&blocked, sig);
    signal_set_blocked(task, blocked);
    stats_count(&g_stats.signals_delivered);
}

void signal_work(struct task *task)
{
    struct process *process = task->process;
    struct abi_siginfo info;
    struct abi_sigaction action;

    mutex_lock(&g_process_lock);
    for (;;) {
        /* Cleared first, under the lock that senders hold: whatever comes later sets it again. */
        __atomic_store_n(&task->interrupted, 0, __ATOMIC_SEQ_CST);
        if (task->exiting) {
            int code = process->exit_code;
            mutex_unlock(&g_process_lock);
            task_exit(task, code);
        }
        if (process->stop_requested) {
            stay_stopped(task);
            continue;
        }
        if (!take_for_task(task, (struct sigset){~task->blocked.bits}, &info))
            break;
        enum verdict verdict = judge(task, info.si_signo, &action);
        mutex_unlock(&g_process_lock);
        trace_signal(task, &info);
        if (verdict == RUN_HANDLER)
            run_handler(task, &action, &info);
        mutex_lock(&g_process_lock);
    }
    mutex_unlock(&g_process_lock);
    settle_call(task, NULL);
    if (task->restore_blocked) {
        task->restore_blocked = false;
        signal_set_blocked(task, task->saved_blocked);
        if (__atomic_load_n(&task->interrupted, __ATOMIC_SEQ_CST))
            signal_work(task); /* once: nothing is left to restore */
    }
}
