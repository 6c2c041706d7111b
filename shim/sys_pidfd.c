/*
 * sys_pidfd.c: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2).
 */
#include <linux/pidfd.h>
#include <linux/signal.h>

#include "platform/errno.h"
#include "shim/fs/file.h"
#include "shim/fs/pidfd.h"
#include "shim/fs/procfs.h"
#include "shim/process_internal.h"
#include "shim/shim.h"
#include "shim/sys_proc.h"

/* pidfd_open(2) */
long sys_pidfd_open(struct task *task, const struct syscall_args *args)
{
    int pid = (int)args->a[0], err = 0;
    uint32_t flags = (uint32_t)args->a[1];

    if (flags & ~(uint32_t)PIDFD_NONBLOCK || pid <= 0)
        return -EINVAL;
    struct file *f = pidfd_create_for(pid, flags, &err);
    return f ? fd_install(task, f, 0, FD_CLOSE_ON_EXEC) : err;
}

/* Owner: caller. NULL, *err: no descriptor, or not of a process. */
static struct file *get_pidfd(struct task *task, int fd, int *err)
{
    struct file *f = fd_get(task, fd);
    *err = f ? pidfd_check(f) : -EBADF;
    if (f && *err) {
        file_put(f);
        return NULL;
    }
    return f;
}

static long send_to(struct task *task, const struct file *f, int sig,
                    const struct abi_siginfo *info, bool own_words)
{
    long r = 0;
    mutex_lock(&g_process_lock);
    struct process *target = proc_is_process(f) ? proc_file_process(f) : pidfd_process(f);
    if (!target)
        r = -ESRCH;
    else if (!process_may_signal(task->process, target, sig) ||
             (own_words && target != task->process))
        r = -EPERM;
    else if (sig)
        r = signal_send_process(target, info);
    mutex_unlock(&g_process_lock);
    return r;
}

/* pidfd_send_signal(2) */
long sys_pidfd_send_signal(struct task *task, const struct syscall_args *args)
{
    int sig = (int)args->a[1];
    struct abi_siginfo info;
    bool own_words = false; /* a siginfo that only the kernel, or oneself to oneself, may send */

    if (args->a[3])
        return -EINVAL;
    struct file *f = fd_get(task, (int)args->a[0]);
    if (!f)
        return -EBADF;
    /* The directory of a process in /proc names it as well. */
    long r = proc_is_process(f) ? 0 : pidfd_check(f);
    if (r) {
        file_put(f);
        return r;
    }
    if (!args->a[2]) {
        info = signal_info_user(sig, task->process);
    } else if (user_read(&info, args->a[2], sizeof(info))) {
        r = -EFAULT;
    } else {
        own_words = info.si_code >= 0 || info.si_code == SI_TKILL;
        r = info.si_signo == sig ? 0 : -EINVAL;
    }
    if (!r && (sig < 0 || sig > 64))
        r = -EINVAL;
    if (!r)
        r = send_to(task, f, sig, &info, own_words);
    file_put(f);
    return r;
}

/* The descriptor table of a live process. Owner: caller. NULL, *err. */
static struct fd_table *files_of(struct task *task, const struct file *f, int *err)
{
    const struct process *self = task->process;
    struct fd_table *files = NULL;
    *err = -ESRCH;
    mutex_lock(&g_process_lock);
    const struct process *target = pidfd_process(f);
    if (target && !process_may_look_into(self, target)) {
        *err = -EPERM;
    } else if (target && target->tasks && target->tasks->files) {
        files = target->tasks->files;
        fd_table_get(files);
    }
    mutex_unlock(&g_process_lock);
    return files;
}

/* pidfd_getfd(2): the right to trace the process is asked for; nobody can trace here, so ids decide. */
long sys_pidfd_getfd(struct task *task, const struct syscall_args *args)
{
    int err;
    struct file *wanted = NULL;

    if (args->a[2])
        return -EINVAL;
    struct file *f = get_pidfd(task, (int)args->a[0], &err);
    if (!f)
        return err;
    struct fd_table *files = files_of(task, f, &err);
    if (files) {
        wanted = fd_table_file(files, (int)args->a[1]);
        fd_table_put(task, files);
        err = -EBADF;
    }
    file_put(f);
    return wanted ? fd_install(task, wanted, 0, FD_CLOSE_ON_EXEC) : err;
}
