/*
 * wait.c: wait4(2), waitid(2) and what they tell of a child.
 */
#include <asm/fcntl.h>
#include <linux/resource.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include "platform/errno.h"
#include "shim/fs/file.h"
#include "shim/fs/pidfd.h"
#include "shim/process.h"
#include "shim/process_internal.h"
#include "shim/shim.h"
#include "shim/sys_proc.h"
#include "shim/syscall.h"

enum wait_which { WAIT_ANY, WAIT_PID, WAIT_GROUP, WAIT_PIDFD };
struct wait_request {
    enum wait_which which;
    int id;
    struct file *pidfd; /* owned; WAIT_PIDFD */
    unsigned options;
};
/* What was learned of one child. */
struct wait_result {
    int pid;
    uint32_t uid;
    int cause;  /* CLD_* */
    int status; /* wait4's format */
    uint64_t utime_ns, stime_ns;
};

static bool matches(const struct wait_request *req, const struct process *child)
{
    if (req->which == WAIT_PID && child->pid != req->id)
        return false;
    if (req->which == WAIT_GROUP && child->pgid != req->id)
        return false;
    if (req->which == WAIT_PIDFD && pidfd_process(req->pidfd) != child)
        return false;
    if (req->options & __WALL)
        return true;
    /* A "clone" child is one whose end is told by another signal than SIGCHLD. */
    return (child->exit_signal != SIGCHLD) == ((req->options & __WCLONE) != 0);
}

static bool has_news(const struct wait_request *req, struct process *child, struct wait_result *out)
{
    bool keep = req->options & WNOWAIT;
    *out = (struct wait_result){.pid = child->pid, .uid = child->uid};
    if (child->state == PROCESS_ZOMBIE) {
        if (!(req->options & WEXITED))
            return false;
        out->cause = (child->exit_code & 0x7f) ? CLD_KILLED : CLD_EXITED;
        out->status = child->exit_code;
        out->utime_ns = child->utime_ns + child->children_utime_ns;
        out->stime_ns = child->stime_ns + child->children_stime_ns;
        return true;
    }
    if ((req->options & WSTOPPED) && child->state == PROCESS_STOPPED && child->stop_signal) {
        out->cause = CLD_STOPPED;
        out->status = child->stop_signal << 8 | 0x7f;
        if (!keep)
            child->stop_signal = 0;
        return true;
    }
    if ((req->options & WCONTINUED) && child->continued_unreported) {
        out->cause = CLD_CONTINUED;
        out->status = 0xffff;
        if (!keep)
            child->continued_unreported = false;
        return true;
    }
    return false;
}

/* Under g_process_lock. 1: *out is filled, and *dead is set if the child is to be freed; 0: nothing yet; -ECHILD. */
static int look(struct process *self, const struct wait_request *req, struct wait_result *out,
                struct process **dead)
{
    struct process *child;
    bool any = false;
    DL_FOREACH2(self->children, child, sibling_next)
    {
        if (!matches(req, child))
            continue;
        any = true;
        if (!has_news(req, child, out))
            continue;
        if (child->state == PROCESS_ZOMBIE && !(req->options & WNOWAIT)) {
            process_reap(child);
            *dead = child;
        }
        return 1;
    }
    return any ? 0 : -ECHILD;
}

/* 1: a child was found; 0: none yet and WNOHANG; -ECHILD; -ERESTARTSYS. */
static int process_wait(struct task *task, const struct wait_request *req, struct wait_result *out)
{
    struct process *self = task->process, *dead = NULL;
    struct waiter waiter = {0};
    int r, slept = 0;
    for (;;) {
        mutex_lock(&g_process_lock);
        r = look(self, req, out, &dead);
        /* Joining the queue under the lock that every change is made under: none is missed. */
        if (r == 0 && !(req->options & WNOHANG) && !waiter.queue)
            wait_queue_add(&self->child_wait, &waiter);
        mutex_unlock(&g_process_lock);
        if (r == 0)
            r = slept; /* the news that woke us go before the signal that came with them */
        if (r != 0 || (req->options & WNOHANG))
            break;
        slept = task_sleep(task, THREAD_WAIT_FOREVER);
    }
    wait_queue_remove(&waiter);
    if (dead)
        process_free(dead);
    return r;
}

static int write_usage(uint64_t addr, const struct wait_result *result)
{
    struct rusage usage = {0};
    if (!addr)
        return 0;
    usage.ru_utime.tv_sec = (long)(result->utime_ns / 1000000000);
    usage.ru_utime.tv_usec = (long)(result->utime_ns / 1000 % 1000000);
    usage.ru_stime.tv_sec = (long)(result->stime_ns / 1000000000);
    usage.ru_stime.tv_usec = (long)(result->stime_ns / 1000 % 1000000);
    return user_write(addr, &usage, sizeof(usage));
}

/* wait4(2) */
long sys_wait4(struct task *task, const struct syscall_args *args)
{
    int pid = (int)args->a[0];
    unsigned options = (unsigned)args->a[2];
    struct wait_request req = {.which = WAIT_ANY};
    struct wait_result result;

    if (options & ~(unsigned)(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WALL | __WCLONE))
        return -EINVAL;
    if (pid == INT32_MIN)
        return -ESRCH;
    if (pid > 0) {
        req.which = WAIT_PID;
        req.id = pid;
    } else if (pid != -1) {
        req.which = WAIT_GROUP;
        req.id = pid ? -pid : task->process->pgid;
    }
    req.options = options | WEXITED;
    int r = process_wait(task, &req, &result);
    if (r <= 0)
        return r;
    if (args->a[1] && user_write(args->a[1], &result.status, sizeof(result.status)))
        return -EFAULT;
    return write_usage(args->a[3], &result) ? -EFAULT : result.pid;
}

/* The process a descriptor names becomes the one to wait for. *nonblocking: the descriptor says so. */
static long wait_for_pidfd(struct task *task, int fd, struct wait_request *req, bool *nonblocking)
{
    if (fd < 0)
        return -EINVAL;
    struct file *f = fd_get(task, fd);
    if (!f)
        return -EBADF;
    long r = pidfd_check(f);
    if (r) {
        file_put(f);
        return r;
    }
    req->which = WAIT_PIDFD;
    req->pidfd = f;
    *nonblocking = __atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_NONBLOCK;
    return 0;
}

/* waitid(2) */
long sys_waitid(struct task *task, const struct syscall_args *args)
{
    int which = (int)args->a[0], id = (int)args->a[1];
    unsigned options = (unsigned)args->a[3];
    struct wait_request req = {.options = options};
    struct wait_result result = {0};
    bool nonblocking = false;

    if (options & ~(unsigned)(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD |
                              __WALL | __WCLONE))
        return -EINVAL;
    if (!(options & (WEXITED | WSTOPPED | WCONTINUED)))
        return -EINVAL;
    switch (which) {
    case P_ALL:
        req.which = WAIT_ANY;
        break;
    case P_PID:
        if (id <= 0)
            return -EINVAL;
        req.which = WAIT_PID;
        req.id = id;
        break;
    case P_PGID:
        if (id < 0)
            return -EINVAL;
        req.which = WAIT_GROUP;
        req.id = id ? id : task->process->pgid;
        break;
    case P_PIDFD: {
        long err = wait_for_pidfd(task, id, &req, &nonblocking);
        if (err)
            return err;
        break;
    }
    default:
        return -EINVAL;
    }
    if (nonblocking)
        req.options |= WNOHANG;
    int r = process_wait(task, &req, &result);
    if (req.pidfd)
        file_put(req.pidfd);
    if (r == 0 && nonblocking && !(options & WNOHANG))
        return -EAGAIN;
    if (r < 0)
        return r;
    struct abi_siginfo info = {0};
    if (r) {
        info.si_signo = SIGCHLD;
        info.si_code = result.cause;
        info.chld.pid = result.pid;
        info.chld.uid = result.uid;
        info.chld.status = result.cause == CLD_CONTINUED ? SIGCONT
                           : result.cause == CLD_EXITED  ? (result.status >> 8) & 0xff
                           : result.cause == CLD_STOPPED ? (result.status >> 8) & 0xff
                                                         : result.status & 0x7f;
    }
    /* The kernel stores six fields and leaves the rest of the caller's siginfo alone; so do we up to the last of them. */
    if (args->a[2] &&
        user_write(args->a[2], &info, offsetof(struct abi_siginfo, chld.status) + sizeof(int32_t)))
        return -EFAULT;
    return r && args->a[4] ? write_usage(args->a[4], &result) : 0;
}
