/*
 * sys_event.c: epoll and the descriptors that stand for events. Listed in sys_poll.h.
 */
#include <linux/capability.h>
#include <asm/fcntl.h>
#include <linux/inotify.h>
#include <linux/signal.h>
#include <linux/signalfd.h>
#include <linux/time.h>
#include <linux/timerfd.h>

#include "platform/errno.h"
#include "shim/fs/epoll.h"
#include "shim/fs/event_files.h"
#include "shim/fs/file.h"
#include "shim/fs/inotify.h"
#include "shim/fs/namei.h"
#include "shim/sys_file.h"
#include "shim/sys_poll.h"
#include "shim/wait_time.h"

#define NS_PER_SEC 1000000000
/* eventfd(2); no UAPI header has them here. */
#define EFD_SEMAPHORE 1u
#define EFD_CLOEXEC O_CLOEXEC
#define EFD_NONBLOCK O_NONBLOCK

/* Gives the reference away. */
static long install(struct task *task, struct file *f, int err, uint32_t flags)
{
    return f ? fd_install(task, f, 0, flags & O_CLOEXEC ? FD_CLOSE_ON_EXEC : FD_KEEP) : err;
}

/* ---- epoll ------------------------------------------------------------------------------------------------------ */

static long make_epoll(struct task *task, uint32_t flags)
{
    int err = 0;
    struct file *f = epoll_create_file(&err);

    return install(task, f, err, flags);
}

long sys_epoll_create(struct task *task, const struct syscall_args *args)
{
    return (int)args->a[0] > 0 ? make_epoll(task, 0) : -EINVAL;
}

long sys_epoll_create1(struct task *task, const struct syscall_args *args)
{
    return args->a[0] & ~(uint64_t)EPOLL_CLOEXEC ? -EINVAL : make_epoll(task, (uint32_t)args->a[0]);
}

/* epoll_ctl(2). The event is not looked at for EPOLL_CTL_DEL: it may be NULL. */
long sys_epoll_ctl(struct task *task, const struct syscall_args *args)
{
    int op = (int)args->a[1], fd = (int)args->a[2], r = 0;
    struct epoll_event event = {0};
    struct file *ep, *file;

    if (op != EPOLL_CTL_DEL)
        r = user_read(&event, args->a[3], sizeof(event));
    if (r)
        return r;
    ep = fd_get(task, (int)args->a[0]);
    if (!ep)
        return -EBADF;
    file = fd_get(task, fd);
    if (file) {
        r = epoll_control(task, ep, op, fd, file, &event);
        file_put(file);
    } else {
        r = -EBADF;
    }
    file_put(ep);
    return r;
}

static long do_epoll_wait(struct task *task, const struct syscall_args *args, uint64_t deadline_ns)
{
    struct file *ep = fd_get(task, (int)args->a[0]);
    long r;

    if (!ep)
        return -EBADF;
    r = epoll_wait_events(task, ep, args->a[1], (int)args->a[2], deadline_ns);
    file_put(ep);
    return r == -ERESTARTSYS ? -EINTR : r; /* never restarted: signal(7) */
}

long sys_epoll_wait(struct task *task, const struct syscall_args *args)
{
    return do_epoll_wait(task, args, wait_deadline_ms((int)args->a[3]));
}

long sys_epoll_pwait(struct task *task, const struct syscall_args *args)
{
    int r = wait_mask_user(task, args->a[4], args->a[5]);

    return r ? r : do_epoll_wait(task, args, wait_deadline_ms((int)args->a[3]));
}

long sys_epoll_pwait2(struct task *task, const struct syscall_args *args)
{
    uint64_t deadline;
    int r = wait_deadline_user(args->a[3], &deadline);

    if (!r)
        r = wait_mask_user(task, args->a[4], args->a[5]);
    return r ? r : do_epoll_wait(task, args, deadline);
}

/* ---- eventfd ---------------------------------------------------------------------------------------------------- */

static long make_eventfd(struct task *task, uint64_t value, uint32_t flags)
{
    int err = 0;
    struct file *f;

    if (flags & ~(uint32_t)(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE))
        return -EINVAL;
    f = eventfd_create_file((uint32_t)value,
                            flags & EFD_SEMAPHORE ? EVENTFD_SEMAPHORE : EVENTFD_COUNTER,
                            flags & O_NONBLOCK, &err);
    return install(task, f, err, flags);
}

long sys_eventfd(struct task *task, const struct syscall_args *args)
{
    return make_eventfd(task, args->a[0], 0);
}

long sys_eventfd2(struct task *task, const struct syscall_args *args)
{
    return make_eventfd(task, args->a[0], (uint32_t)args->a[1]);
}

/* ---- signalfd --------------------------------------------------------------------------------------------------- */

static long make_signalfd(struct task *task, const struct syscall_args *args, uint32_t flags)
{
    struct sigset mask;
    struct file *f;
    int err = 0, fd = (int)args->a[0];

    if (args->a[2] != sizeof(mask) || (flags & ~(uint32_t)(SFD_CLOEXEC | SFD_NONBLOCK)))
        return -EINVAL;
    err = user_read(&mask, args->a[1], sizeof(mask));
    if (err)
        return err;
    sigset_remove(&mask, SIGKILL);
    sigset_remove(&mask, SIGSTOP);
    if (fd == -1) {
        f = signalfd_create_file(mask, flags & O_NONBLOCK, &err);
        return install(task, f, err, flags);
    }
    f = fd_get(task, fd);
    if (!f)
        return -EBADF;
    err = signalfd_set_mask(f, mask);
    file_put(f);
    return err ? err : fd;
}

long sys_signalfd(struct task *task, const struct syscall_args *args)
{
    return make_signalfd(task, args, 0);
}

long sys_signalfd4(struct task *task, const struct syscall_args *args)
{
    return make_signalfd(task, args, (uint32_t)args->a[3]);
}

/* ---- timerfd ---------------------------------------------------------------------------------------------------- */

long sys_timerfd_create(struct task *task, const struct syscall_args *args)
{
    uint32_t flags = (uint32_t)args->a[1];
    enum clock_kind clock;
    int err = 0;

    switch ((int)args->a[0]) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_ALARM:
        clock = CLOCK_KIND_REALTIME;
        break;
    case CLOCK_MONOTONIC:
        clock = CLOCK_KIND_MONOTONIC;
        break;
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM:
        clock = CLOCK_KIND_BOOTTIME;
        break;
    default:
        return -EINVAL;
    }
    if (flags & ~(uint32_t)(TFD_CLOEXEC | TFD_NONBLOCK))
        return -EINVAL;
    if ((args->a[0] == CLOCK_REALTIME_ALARM || args->a[0] == CLOCK_BOOTTIME_ALARM) &&
        !process_capable(task->process, CAP_WAKE_ALARM))
        return -EPERM;
    struct file *f = timerfd_create_file(clock, flags & O_NONBLOCK, &err);
    return install(task, f, err, flags);
}

static bool timespec_ns(const struct __kernel_timespec *ts, uint64_t *ns)
{
    if (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec >= NS_PER_SEC)
        return false;
    *ns = ts->tv_sec >= INT64_MAX / NS_PER_SEC ? INT64_MAX
                                               : (uint64_t)(ts->tv_sec * NS_PER_SEC + ts->tv_nsec);
    return true;
}

static int write_setting(uint64_t addr, const struct timerfd_setting *s)
{
    struct __kernel_itimerspec its = {
        .it_interval = {(int64_t)(s->interval / NS_PER_SEC), (int64_t)(s->interval % NS_PER_SEC)},
        .it_value = {(int64_t)(s->value / NS_PER_SEC), (int64_t)(s->value % NS_PER_SEC)},
    };

    return user_write(addr, &its, sizeof(its));
}

long sys_timerfd_settime(struct task *task, const struct syscall_args *args)
{
    int flags = (int)args->a[1], r;
    struct __kernel_itimerspec its;
    struct timerfd_setting set, old;
    struct file *f;

    if (flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
        return -EINVAL;
    r = user_read(&its, args->a[2], sizeof(its));
    if (r)
        return r;
    if (!timespec_ns(&its.it_value, &set.value) || !timespec_ns(&its.it_interval, &set.interval))
        return -EINVAL;
    f = fd_get(task, (int)args->a[0]);
    if (!f)
        return -EBADF;
    r = timerfd_set(f, flags & TFD_TIMER_ABSTIME ? TIMERFD_ABSOLUTE : TIMERFD_RELATIVE, &set, &old);
    file_put(f);
    if (!r && args->a[3])
        r = write_setting(args->a[3], &old);
    return r;
}

long sys_timerfd_gettime(struct task *task, const struct syscall_args *args)
{
    struct file *f = fd_get(task, (int)args->a[0]);
    struct timerfd_setting now;
    int r;

    if (!f)
        return -EBADF;
    r = timerfd_get(f, &now);
    file_put(f);
    return r ? r : write_setting(args->a[1], &now);
}

/* ---- inotify ---------------------------------------------------------------------------------------------------- */

static long make_inotify(struct task *task, uint32_t flags)
{
    int err = 0;

    if (flags & ~(uint32_t)(IN_CLOEXEC | IN_NONBLOCK))
        return -EINVAL;
    struct file *f = inotify_create_file(flags & O_NONBLOCK, &err);
    return install(task, f, err, flags);
}

long sys_inotify_init(struct task *task, const struct syscall_args *args)
{
    (void)args;
    return make_inotify(task, 0);
}

long sys_inotify_init1(struct task *task, const struct syscall_args *args)
{
    return make_inotify(task, (uint32_t)args->a[0]);
}

/* inotify_add_watch(2): the file must be readable. */
long sys_inotify_add_watch(struct task *task, const struct syscall_args *args)
{
    uint32_t mask = (uint32_t)args->a[2];
    unsigned flags =
        (mask & IN_DONT_FOLLOW ? 0 : LOOKUP_FOLLOW) | (mask & IN_ONLYDIR ? LOOKUP_DIRECTORY : 0);
    struct file *f = mask ? fd_get(task, (int)args->a[0]) : NULL;
    struct path path;

    if (!f)
        return mask ? -EBADF : -EINVAL;
    long r = f->ops->kind && str_equal(f->ops->kind, "inotify") ? 0 : -EINVAL;
    if (r == 0)
        r = user_path(task, AT_FDCWD, args->a[1], flags, &path);
    if (r == 0) {
        struct credentials who = task_credentials(task);
        r = path_permission(&who, &path, INODE_READ);
        if (r == 0)
            r = inotify_add(f, path.dentry->inode, mask);
        path_put(&path);
    }
    file_put(f);
    return r;
}

long sys_inotify_rm_watch(struct task *task, const struct syscall_args *args)
{
    struct file *f = fd_get(task, (int)args->a[0]);

    if (!f)
        return -EBADF;
    long r = inotify_remove(f, (int)args->a[1]);
    file_put(f);
    return r;
}
