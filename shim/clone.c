/*
 * clone.c: new tasks and processes. Everything that can fail is done before the child becomes visible; then it gets its
 * number, joins the tree, and starts.
 */
#include <asm/resource.h>
#include <linux/sched.h>
#include <linux/signal.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/fs/file.h"
#include "shim/fs/pidfd.h"
#include "shim/fs/vfs.h"
#include "shim/ipc.h"
#include "shim/mm.h"
#include "shim/process.h"
#include "shim/process_internal.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/syscall.h"
#include "shim/timer.h"

/* Accepted and without meaning here: tracing, I/O contexts. */
#define CLONE_HARMLESS (CLONE_PTRACE | CLONE_UNTRACED | CLONE_DETACHED | CLONE_IO)
#define CLONE_KNOWN                                                                                \
    (CLONE_HARMLESS | CLONE_SYSVSEM | CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |          \
     CLONE_VFORK | CLONE_PARENT | CLONE_THREAD | CLONE_SETTLS | CLONE_PARENT_SETTID |              \
     CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | CLONE_CLEAR_SIGHAND | CLONE_PIDFD)

static int check_flags(const struct clone_request *req)
{
    uint64_t f = req->flags;
    if (f & ~(uint64_t)CLONE_KNOWN) {
        stats_unsupported("clone: namespaces");
        return -EINVAL;
    }
    if ((f & CLONE_PIDFD) && (f & CLONE_THREAD))
        return -EINVAL; /* as before Linux 6.9 */
    if ((f & CLONE_THREAD) && !(f & CLONE_SIGHAND))
        return -EINVAL;
    if ((f & CLONE_SIGHAND) && (!(f & CLONE_VM) || (f & CLONE_CLEAR_SIGHAND)))
        return -EINVAL;
    return 0;
}

static struct sighand *sighand_for_child(struct process *parent, uint64_t flags, int *err)
{
    struct sighand *s = NULL;
    if (!(flags & CLONE_SIGHAND)) {
        s = sighand_create(err);
        if (!s)
            return NULL;
    }
    mutex_lock(&g_process_lock);
    if (!s) {
        s = parent->sighand;
        s->refs++;
    } else {
        memcpy(s->action, parent->sighand->action, sizeof(s->action));
    }
    mutex_unlock(&g_process_lock);
    if (flags & CLONE_CLEAR_SIGHAND)
        for (int i = 0; i < 64; i++)
            if (s->action[i].handler != (uint64_t)(uintptr_t)SIG_IGN)
                s->action[i] = (struct abi_sigaction){0};
    return s;
}

static struct process *child_process(struct process *parent, const struct clone_request *req,
                                     int *err)
{
    struct process *p = shim_zalloc(sizeof(*p));
    if (!p) {
        *err = -ENOMEM;
        return NULL;
    }
    p->sighand = sighand_for_child(parent, req->flags, err);
    if (!p->sighand) {
        shim_free(p);
        return NULL;
    }
    mutex_lock(&parent->info_lock);
    if (parent->exe_path)
        p->exe_path = shim_strdup(parent->exe_path); /* a missing name shows as such in /proc */
    mutex_unlock(&parent->info_lock);
    p->exit_signal = req->exit_signal;
    p->dumpable = parent->dumpable;
    p->oom_score_adj = parent->oom_score_adj;
    p->oom_score_adj_min = parent->oom_score_adj_min;
    p->no_new_privs = parent->no_new_privs;
    p->became_one_too_many = parent->became_one_too_many;
    p->thp_disable = parent->thp_disable;
    memcpy(p->rlimits, parent->rlimits, sizeof(p->rlimits));
    p->uid = parent->uid;
    p->euid = parent->euid;
    p->suid = parent->suid;
    p->fsuid = parent->fsuid;
    p->gid = parent->gid;
    p->egid = parent->egid;
    p->sgid = parent->sgid;
    p->fsgid = parent->fsgid;
    memcpy(p->groups, parent->groups, sizeof(p->groups));
    p->group_count = parent->group_count;
    p->caps = parent->caps;
    p->nice = parent->nice < 0 && task_current()->sched_reset_on_fork ? 0 : parent->nice;
    p->personality = parent->personality;
    return p;
}

/* What the child's task inherits, all but its number and its place in the tree. */
static int fill_task(struct task *child, struct task *parent, const struct clone_request *req)
{
    int err = 0;
    uint64_t flags = req->flags;

    guest_context_copy(g_platform, child->ctx, parent->ctx);
    struct guest_regs *regs = &child->ctx->regs;
    regs->rax = 0;
    if (req->stack)
        regs->rsp = req->stack;
    if (flags & CLONE_SETTLS)
        regs->fs_base = req->tls;
    memcpy(child->comm, parent->comm, sizeof(child->comm));
    if (!(flags & CLONE_VM))
        child->sequence = parent->sequence;
    child->blocked = parent->blocked;
    if ((flags & (CLONE_VM | CLONE_VFORK)) != CLONE_VM)
        child->altstack = parent->altstack;
    if (flags & CLONE_CHILD_SETTID)
        child->set_child_tid = req->child_tid;
    if (flags & CLONE_CHILD_CLEARTID)
        child->clear_child_tid = req->child_tid;
    bool realtime = parent->sched_policy == SCHED_FIFO || parent->sched_policy == SCHED_RR;
    if (!parent->sched_reset_on_fork || !realtime) {
        child->sched_policy = parent->sched_policy;
        child->sched_priority = parent->sched_priority;
    }
    child->affinity = parent->affinity;
    child->memory_policy = parent->memory_policy;
    child->ioprio = parent->ioprio;
    child->timer_slack_ns = parent->timer_slack_ns;

    if (flags & CLONE_SYSVSEM) {
        err = sem_undo_share(parent, child);
        if (err)
            return err;
    }

    if (flags & CLONE_FILES) {
        fd_table_get(parent->files);
        child->files = parent->files;
    } else {
        child->files = fd_table_copy(parent->files, &err);
        if (!child->files)
            return err;
    }
    if (flags & CLONE_FS) {
        fs_state_get(parent->fs);
        child->fs = parent->fs;
    } else {
        child->fs = fs_state_copy(parent->fs, &err);
        if (!child->fs)
            return err;
    }
    if (flags & CLONE_VM) {
        mm_get(parent->mm);
        child->mm = parent->mm;
    } else {
        child->mm = mm_fork(parent->mm, &err);
        if (!child->mm)
            return err;
    }
    return 0;
}

/* The child never ran and is in no list. */
static void discard(struct task *parent, struct task *child, struct process *process)
{
    sem_undo_drop(child);
    if (child->mm)
        (void)mm_put(child->mm, MM_DROP_OUTSIDE);
    if (child->fs)
        fs_state_put(child->fs);
    if (child->files)
        fd_table_put(parent, child->files);
    task_free(child);
    if (process) {
        mutex_lock(&g_process_lock);
        sighand_put(process->sighand);
        mutex_unlock(&g_process_lock);
        process_free(process);
    }
}

/* Give the child its number and make it visible. -ERESTARTNOINTR: the caller is dying, or must see to a signal first. */
static int join_tree(struct task *parent, struct task *child, struct process *process,
                     const struct clone_request *req)
{
    struct process *self = parent->process;
    mutex_lock(&g_process_lock);
    if (parent->exiting || self->stop_requested) {
        mutex_unlock(&g_process_lock);
        return -ERESTARTNOINTR;
    }
    if (!process_room_for_task() || !process_room_for_user(self)) {
        mutex_unlock(&g_process_lock);
        return -EAGAIN;
    }
    self->became_one_too_many = false; /* there was room for one more */
    int id = req->set_tid ? process_claim_id(req->set_tid) : process_new_id();
    if (id < 0) {
        mutex_unlock(&g_process_lock);
        return id;
    }
    child->tid = id;
    if (process) {
        process->pid = child->tid;
        process->pgid = self->pgid;
        process->sid = self->sid;
        process->tty = self->tty;
        process_insert(process, req->flags & CLONE_PARENT ? self->parent : self);
        if (req->flags & CLONE_PARENT)
            process->exit_signal = self->exit_signal;
        task_insert(child, process);
        if (timers_limit_cpu(process))
            process->rlimits[RLIMIT_CPU].cur = RLIM_INFINITY; /* no memory: it runs without */
        if (req->flags & CLONE_VFORK)
            process->vfork_waiter = parent;
    } else {
        task_insert(child, self);
    }
    if (req->flags & CLONE_VFORK && process)
        parent->vfork_waiting = true;
    mutex_unlock(&g_process_lock);
    return 0;
}

static void leave_tree(struct task *parent, struct task *child, struct process *process)
{
    mutex_lock(&g_process_lock);
    task_remove(child);
    signal_queue_flush(&child->pending);
    if (process) {
        signal_queue_flush(&process->pending);
        timers_process_exit(process);
        process_reap(process);
    }
    parent->vfork_waiting = false;
    mutex_unlock(&g_process_lock);
}

/* Until the child execs or exits; only death ends it sooner. */
static void wait_for_vfork(struct task *task, int child_tid)
{
    mutex_lock(&g_process_lock);
    while (task->vfork_waiting && !task->exiting) {
        mutex_unlock(&g_process_lock);
        thread_park(g_platform, THREAD_WAIT_FOREVER, NULL, 0);
        mutex_lock(&g_process_lock);
    }
    if (task->vfork_waiting) {
        struct process *child = process_find(child_tid);
        if (child && child->vfork_waiter == task)
            child->vfork_waiter = NULL;
        task->vfork_waiting = false;
    }
    mutex_unlock(&g_process_lock);
}

void process_release_vfork(struct process *process)
{
    struct task *waiter = process->vfork_waiter;
    if (!waiter)
        return;
    process->vfork_waiter = NULL;
    waiter->vfork_waiting = false;
    thread_unpark(g_platform, waiter->thread);
}

/* CLONE_PIDFD: the parent's descriptor of its child; the child has none. Result: the descriptor or -errno. */
static int install_pidfd(struct task *parent, struct process *child, uint64_t addr)
{
    int err = 0;
    struct file *f = pidfd_create(child, 0, &err);
    int fd = f ? fd_install(parent, f, 0, FD_CLOSE_ON_EXEC) : err;
    if (fd >= 0 && user_write(addr, &fd, sizeof(fd))) {
        (void)fd_close(parent, fd);
        fd = -EFAULT;
    }
    return fd;
}

long process_clone(struct task *task, const struct clone_request *req)
{
    uint64_t flags = req->flags;
    int err = check_flags(req);
    if (err)
        return err;
    if (task_interrupted(task))
        return -ERESTARTNOINTR;

    /* Looked at once more when the child joins: here it saves a refused caller the copy of its memory. */
    mutex_lock(&g_process_lock);
    bool room = process_room_for_task() && process_room_for_user(task->process);
    mutex_unlock(&g_process_lock);
    if (!room)
        return -EAGAIN;
    struct task *child = task_create(&err);
    if (!child)
        return err;
    child->start_ns = clock_now(g_platform, CLOCK_KIND_BOOTTIME);
    struct process *process = NULL;
    if (!(flags & CLONE_THREAD)) {
        process = child_process(task->process, req, &err);
        if (!process) {
            task_free(child);
            return err;
        }
        process->start_ns = child->start_ns;
    }
    err = fill_task(child, task, req);
    if (!err)
        err = join_tree(task, child, process, req);
    if (err) {
        discard(task, child, process);
        return err;
    }

    int tid = child->tid, pidfd = -1;
    if (flags & CLONE_PIDFD)
        pidfd = install_pidfd(task, process, req->pidfd);
    if (pidfd < 0 && (flags & CLONE_PIDFD))
        err = pidfd;
    if (process && process->rlimits[RLIMIT_CPU].cur != RLIM_INFINITY)
        timer_poke();
    if (!err && (flags & CLONE_PARENT_SETTID) && user_write(req->parent_tid, &tid, sizeof(tid)))
        err = 0; /* Linux ignores this, too */
    if (!err)
        err = task_start(child);
    if (err) {
        if (pidfd >= 0)
            (void)fd_close(task, pidfd);
        leave_tree(task, child, process);
        discard(task, child, process);
        return err;
    }
    stats_count(flags & CLONE_THREAD  ? &g_stats.threads
                : flags & CLONE_VFORK ? &g_stats.vforks
                                      : &g_stats.forks);
    if (flags & CLONE_VFORK && process)
        wait_for_vfork(task, tid);
    return tid;
}
