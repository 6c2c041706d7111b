/*
 * exit.c: how tasks and processes end. What a dying task owns goes in Linux's order: robust futexes, memory, files, then its place in
 * the tree (the parent hears of it).
 */
#include <linux/futex.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include "platform/errno.h"
#include "platform/instance.h"
#include "shim/fs/event_files.h"
#include "shim/fs/file.h"
#include "shim/fs/pidfd.h"
#include "shim/fs/tty.h"
#include "shim/fs/vfs.h"
#include "shim/futex.h"
#include "shim/ipc.h"
#include "shim/mm.h"
#include "shim/net/publish.h"
#include "shim/process.h"
#include "shim/process_internal.h"
#include "shim/process_tree.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/syscall.h"
#include "shim/trace.h"

#define ROBUST_LIST_LIMIT 2048 /* as the kernel: the list may be a ring */

/* One robust futex of a dead owner: marked, and one waiter woken. See the kernel's robust-futex-ABI document. */
static void robust_futex_death(struct task *task, uint64_t addr, bool pi, bool pending)
{
    uint32_t value;
    if ((addr & 3) || guest_load32(g_platform, guest_addr(addr), &value))
        return;
    if (pending && !pi && !value) {
        futex_wake_word(task, addr, 1);
        return;
    }
    for (;;) {
        uint32_t old;
        if ((value & FUTEX_TID_MASK) != (uint32_t)task->tid)
            return;
        uint32_t dead = (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
        if (guest_cmpxchg32(g_platform, guest_addr(addr), value, dead, &old))
            return;
        if (old == value)
            break;
        value = old;
    }
    if (!pi && (value & FUTEX_WAITERS))
        futex_wake_word(task, addr, 1);
}

static void walk_robust_list(struct task *task)
{
    struct {
        uint64_t next;
        int64_t offset;
        uint64_t pending;
    } head;
    uint64_t start = task->robust_list;

    task->robust_list = 0;
    if (!start || user_read(&head, start, sizeof(head)))
        return;
    uint64_t entry = head.next & ~1ull, pending = head.pending & ~1ull;
    bool pi = head.next & 1;
    for (int i = 0; i < ROBUST_LIST_LIMIT && entry != start; i++) {
        uint64_t next;
        bool unreadable = user_read(&next, entry, sizeof(next)) != 0;
        if (entry != pending)
            robust_futex_death(task, entry + (uint64_t)head.offset, pi, false);
        if (unreadable)
            break;
        entry = next & ~1ull;
        pi = next & 1;
    }
    if (pending)
        robust_futex_death(task, pending + (uint64_t)head.offset, head.pending & 1, true);
}

bool task_must_release_mm(struct task *task)
{
    /* Next, offset, pending: empty when next is the head itself and nothing is pending */
    uint64_t head[3];
    if (__atomic_load_n(&task->pi_waited, __ATOMIC_RELAXED) ||
        (task->clear_child_tid && __atomic_load_n(&task->mm->users, __ATOMIC_RELAXED) > 1))
        return true;
    if (!task->robust_list ||
        aspace_peek(g_platform, task->mm->as, head, guest_addr(task->robust_list), sizeof(head)))
        return false;
    return (head[0] & ~1ull) != task->robust_list || head[2];
}

void task_release_mm(struct task *task)
{
    walk_robust_list(task);
    futex_owner_exits(task);
    /* Before a joiner may take the memory */
    if (task->sequence.area && __atomic_load_n(&task->mm->users, __ATOMIC_RELAXED) > 1)
        sequence_end(task);
    uint64_t clear = task->clear_child_tid;
    task->clear_child_tid = 0;
    /* Nobody is left to look when the space goes as well. */
    if (clear && __atomic_load_n(&task->mm->users, __ATOMIC_RELAXED) > 1) {
        uint32_t zero = 0;
        if (!user_write(clear, &zero, sizeof(zero)))
            futex_wake_word(task, clear, 1);
    }
}

void process_start_exit(struct process *process, int code)
{
    struct task *t;
    if (process->group_exiting || process->state >= PROCESS_ZOMBIE)
        return;
    process->group_exiting = true;
    process->stop_requested = false;
    process->exit_code = code;
    if (process->state == PROCESS_STOPPED)
        process->state = PROCESS_ALIVE;
    DL_FOREACH(process->tasks, t)
    {
        __atomic_store_n(&t->exiting, 1, __ATOMIC_SEQ_CST);
        task_kick(t);
    }
}

void process_exit_group(struct process *process, int code)
{
    mutex_lock(&g_process_lock);
    process_start_exit(process, code);
    mutex_unlock(&g_process_lock);
}

int process_kill_other_tasks(struct task *task)
{
    struct process *process = task->process;
    struct task *t;

    mutex_lock(&g_process_lock);
    if (process->group_exiting || process->exec_task) {
        mutex_unlock(&g_process_lock);
        return -ERESTARTNOINTR;
    }
    process->exec_task = task;
    DL_FOREACH(process->tasks, t)
    {
        if (t == task)
            continue;
        __atomic_store_n(&t->exiting, 1, __ATOMIC_SEQ_CST);
        task_kick(t);
    }
    while (process->task_count > 1 && !task->exiting) {
        mutex_unlock(&g_process_lock);
        thread_park(g_platform, THREAD_WAIT_FOREVER, NULL, 0);
        mutex_lock(&g_process_lock);
    }
    process->exec_task = NULL;
    if (task->exiting) {
        mutex_unlock(&g_process_lock);
        return -ERESTARTNOINTR;
    }
    if (task->tid != process->pid) { /* the survivor takes over the leader's number */
        task_remove(task);
        task->tid = process->pid;
        task_insert(task, process);
    }
    mutex_unlock(&g_process_lock);
    return 0;
}

void process_did_exec(struct task *task, const char *comm, const struct exec_ids *ids)
{
    struct process *process = task->process;
    int err = 0;
    struct sighand *own = NULL;

    /* No other task can change the reference count downwards to 1 behind our back; sharing with another process is rare. */
    if (process->sighand->refs > 1)
        own = sighand_create(&err);
    mutex_lock(&g_process_lock);
    if (own) {
        memcpy(own->action, process->sighand->action, sizeof(own->action));
        sighand_put(process->sighand);
        process->sighand = own;
    }
    for (int i = 0; i < 64; i++) {
        struct abi_sigaction *a = &process->sighand->action[i];
        uint64_t keep = a->handler == (uint64_t)(uintptr_t)SIG_IGN ? a->handler : 0;
        *a = (struct abi_sigaction){.handler = keep};
    }
    process->did_exec = true;
    creds_did_exec(process, ids);
    process->exit_signal = SIGCHLD;
    process_release_vfork(process);
    timers_did_exec(process);
    str_copy(task->comm, comm, sizeof(task->comm));
    mutex_unlock(&g_process_lock);
    task->altstack = (struct signal_altstack){.flags = SS_DISABLE};
    task->robust_list = 0;
    task->clear_child_tid = 0;
    sequence_end(task);
    task->pi_waited = task->pi_exited = false;
    stats_count(&g_stats.execs);
}

static struct process *new_parent_for(struct process *orphan)
{
    for (struct process *p = orphan->parent->parent; p; p = p->parent)
        if (p->child_subreaper && p->state < PROCESS_ZOMBIE && !p->group_exiting)
            return p;
    return process_find(INIT_PID);
}

static bool has_stopped_member(int pgid)
{
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p))
        if (p->pgid == pgid && p->state == PROCESS_STOPPED)
            return true;
    return false;
}

/* POSIX: a group that becomes orphaned while a member is stopped gets SIGHUP, then SIGCONT. */
static void wake_orphaned_group(int pgid)
{
    if (!has_stopped_member(pgid) || !process_group_orphaned(pgid))
        return;
    struct abi_siginfo hup = signal_info_kernel(SIGHUP), cont = signal_info_kernel(SIGCONT);
    signal_send_pgrp(pgid, &hup);
    signal_send_pgrp(pgid, &cont);
}

/* Zombies that nobody will wait for collect in *dead, linked by sibling_next, to be freed without the lock. */
static void bury(struct process *process, struct process **dead)
{
    process_reap(process);
    process->sibling_next = *dead;
    *dead = process;
}

static void hand_over_children(struct process *process, struct process **dead)
{
    struct process *child, *tmp;
    DL_FOREACH_SAFE2(process->children, child, tmp, sibling_next)
    {
        struct process *heir = new_parent_for(child);
        int old_pgid = child->pgid;
        DL_DELETE2(process->children, child, sibling_prev, sibling_next);
        process_set_parent(child, heir);
        child->exit_signal = SIGCHLD;
        DL_APPEND2(heir->children, child, sibling_prev, sibling_next);
        if (child->pdeath_signal && child->state < PROCESS_ZOMBIE) {
            struct abi_siginfo info = signal_info_user(child->pdeath_signal, process);
            signal_send_process(child, &info);
        }
        if (child->state == PROCESS_ZOMBIE) {
            if (process_notify_parent(child, CHILD_EXITED, NULL))
                bury(child, dead);
        } else if (old_pgid != process->pgid && child->sid == process->sid) {
            wake_orphaned_group(old_pgid);
        }
    }
}

bool process_notify_parent(struct process *process, enum child_change change,
                           struct wake_list *wakes)
{
    struct process *parent = process->parent;
    if (parent->pid == INIT_PID)
        return change == CHILD_EXITED;

    const struct abi_sigaction *action = &parent->sighand->action[SIGCHLD - 1];
    int sig = change == CHILD_EXITED ? process->exit_signal : SIGCHLD;
    bool ignored = action->handler == (uint64_t)(uintptr_t)SIG_IGN;
    bool unwanted =
        change == CHILD_EXITED && sig == SIGCHLD && (ignored || (action->flags & SA_NOCLDWAIT));

    if (sig == SIGCHLD && (ignored || (change != CHILD_EXITED && (action->flags & SA_NOCLDSTOP))))
        sig = 0;
    if (sig) {
        struct abi_siginfo info = {.si_signo = sig};
        info.chld.pid = process->pid;
        info.chld.uid = process->uid;
        info.chld.utime = (int64_t)(process->utime_ns / 10000000);
        info.chld.stime = (int64_t)(process->stime_ns / 10000000);
        switch (change) {
        case CHILD_EXITED:
            info.si_code = (process->exit_code & 0x7f) ? CLD_KILLED : CLD_EXITED;
            info.chld.status = (process->exit_code & 0x7f) ? process->exit_code & 0x7f
                                                           : (process->exit_code >> 8) & 0xff;
            break;
        case CHILD_STOPPED:
            info.si_code = CLD_STOPPED;
            info.chld.status = process->stop_signal;
            break;
        case CHILD_CONTINUED:
            info.si_code = CLD_CONTINUED;
            info.chld.status = SIGCONT;
            break;
        }
        signal_send_process(parent, &info);
    }
    if (wakes)
        wait_queue_collect(&parent->child_wait, wakes);
    else
        wait_queue_wake_all(&parent->child_wait);
    return unwanted;
}

/* The last task left: what others may still see is a zombie, until the parent waits for it. */
static void become_zombie(struct process *process, struct process **dead, struct wake_list *wakes)
{
    int pgid = process->pgid;
    bool parent_in_session = process->parent->sid == process->sid && process->parent->pgid != pgid;

    process->state = PROCESS_ZOMBIE;
    process_counts_as_zombie();
    process->stop_requested = false;
    process_release_vfork(process);
    timers_process_exit(process);
    signal_queue_flush(&process->pending);
    sighand_put(process->sighand);
    process->sighand = NULL;
    if (process->sid == process->pid)
        tty_disassociate(process);
    hand_over_children(process, dead);
    if (parent_in_session)
        wake_orphaned_group(pgid);
    wait_queue_wake_all(&g_signal_wait);
    pid_ref_changed(process->pid_ref);
    if (process_notify_parent(process, CHILD_EXITED, wakes))
        bury(process, dead);
}

/* Spaces whose processes the end of the instance will cut off: they count as well. */
static void count_living_spaces(void)
{
    int pid = 0;
    for (;;) {
        struct mm *mm = NULL;
        char comm[sizeof(((struct task *)NULL)->comm)];
        /* One at a time, by rising number: a space is asked for its counters without the lock. */
        mutex_lock(&g_process_lock);
        struct process *next = NULL;
        for (struct process *p = process_tree_first(); p; p = process_tree_next(p))
            if (p->pid > pid && p->tasks && p->tasks->mm && !p->vfork_waiter &&
                (!next || p->pid < next->pid))
                next = p;
        if (next) {
            pid = next->pid;
            mm = next->tasks->mm;
            mm_get(mm);
            memcpy(comm, next->tasks->comm, sizeof(comm));
        }
        mutex_unlock(&g_process_lock);
        if (!mm)
            return;
        stats_space_ends(mm->as, pid, comm);
        (void)mm_put(mm, MM_DROP_OUTSIDE);
    }
}

static void end_instance(const struct task *task, int code)
{
    if (g_config->stats) {
        if (task->mm && task->mm->as)
            stats_space_ends(task->mm->as, FIRST_PID, task->comm);
        count_living_spaces();
        stats_print();
    }
    publish_drain();
    instance_finish(g_platform, code);
}

/*
 * Memory and files, in that order. Cleared under the lock: /proc takes references to what it finds there. Result: the token of
 * the space if it was the task's alone, for thread_exit.
 *
 * The memory is free before the parent hears of the end, which may count on it: so of several threads each leaves before the last
 * one tells. Not that of the first process, whose end is that of all; nor does a parent in vfork(2), whose memory it is, wait.
 */
static struct aspace *drop_memory_and_files(struct task *task)
{
    struct fd_table *files = task->files;
    struct fs_state *fs = task->fs;
    struct mm *mm = NULL;
    struct aspace *token = NULL;

    mutex_lock(&g_process_lock);
    task->files = NULL;
    task->fs = NULL;
    if (task->process->pid != FIRST_PID && !task->process->vfork_waiter) {
        mm = task->mm;
        task->mm = NULL;
    }
    mutex_unlock(&g_process_lock);
    if (mm && __atomic_load_n(&mm->users, __ATOMIC_ACQUIRE) == 1)
        stats_space_ends(mm->as, task->process->pid, task->comm);
    if (mm)
        token = mm_put(mm, MM_DROP_LEAVING);
    if (token)
        aspace_vacate(g_platform, token);
    fd_table_put(task, files);
    fs_state_put(fs);
    return token;
}

/* Out of the tree. The end of the first process is the end of everything. */
static void leave_process(struct task *task, int code, uint64_t user_ns, uint64_t system_ns)
{
    struct process *process = task->process;
    struct process *dead = NULL;
    struct wake_list wakes;

    wakes.count = 0;
    mutex_lock(&g_process_lock);
    if (!process->group_exiting && task->tid == process->pid)
        process->exit_code = code;
    task_remove(task);
    memcpy(process->exit_comm, task->comm, sizeof(task->comm));
    task->state = TASK_DEAD;
    process->utime_ns += user_ns;
    process->stime_ns += system_ns;
    signal_queue_flush(&task->pending);
    bool last = process->task_count == 0, first_process = process->pid == FIRST_PID;
    if (last) {
        code = process->exit_code;
        become_zombie(process, &dead, &wakes);
    } else {
        signal_retarget(process, task, (struct sigset){~task->blocked.bits});
        if (process->exec_task && process->exec_task->thread)
            thread_unpark(g_platform, process->exec_task->thread);
        process_check_stopped(process);
    }
    mutex_unlock(&g_process_lock);
    wake_list_run(&wakes);

    if (last) {
        stats_count(&g_stats.exits);
        if (first_process)
            end_instance(task, code);
    }
    while (dead) {
        struct process *next = dead->sibling_next;
        process_free(dead);
        dead = next;
    }
}

void task_exit(struct task *task, int code)
{
    struct mm *mm = task->mm;
    uint64_t user_ns, system_ns;

    trace_end(task, code);
    if (mm)
        task_release_mm(task);
    sem_undo_drop(task);
    if (mm && __atomic_load_n(&mm->users, __ATOMIC_ACQUIRE) == 1)
        mm_detach_all(mm);
    struct aspace *token = drop_memory_and_files(task);
    thread_cpu_time(g_platform, task->thread, &user_ns, &system_ns);
    task_forget_thread(task, task->thread);
    leave_process(task, code, user_ns, system_ns);
    if (task->mm)
        token = mm_put(task->mm, MM_DROP_LEAVING);
    task_free(task);
    thread_exit(g_platform, token);
}

static bool has_task_in(const struct process *p, uint64_t aspace)
{
    const struct task *t;
    DL_FOREACH(p->tasks, t)
    {
        if (t->mm && t->mm->as && aspace_id(t->mm->as) == aspace)
            return true;
    }
    return false;
}

void process_space_lost(uint64_t aspace, int sig)
{
    mutex_lock(&g_process_lock);
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p))
        if (has_task_in(p, aspace))
            process_start_exit(p, sig);
    mutex_unlock(&g_process_lock);
}
