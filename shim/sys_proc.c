#include "shim/sys_proc.h"

#include <asm/prctl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/random.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/sysinfo.h>
#include <linux/utsname.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/fs/file.h"
#include "shim/fs/tty.h"
#include "shim/fs/vfs.h"
#include "shim/mm.h"
#include "shim/process_internal.h"
#include "shim/process_tree.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/system_info.h"
#include "shim/time_convert.h"
#include "shim/timer.h"

/* fork(2) */
long sys_fork(struct task *task, const struct syscall_args *args)
{
    struct clone_request req = {.exit_signal = SIGCHLD};
    (void)args;
    return process_clone(task, &req);
}

/* vfork(2) */
long sys_vfork(struct task *task, const struct syscall_args *args)
{
    struct clone_request req = {.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};
    (void)args;
    return process_clone(task, &req);
}

/* clone(2): flags, stack, parent_tid, child_tid, tls; the low byte of flags is the exit signal. */
long sys_clone(struct task *task, const struct syscall_args *args)
{
    struct clone_request req = {.flags = args->a[0] & 0xffffff00u,
                                .exit_signal = (int)(args->a[0] & CSIGNAL),
                                .stack = args->a[1],
                                .parent_tid = args->a[2],
                                .pidfd = args->a[2],
                                .child_tid = args->a[3],
                                .tls = args->a[4]};
    if (req.exit_signal > 64)
        return -EINVAL;
    if ((req.flags & CLONE_PIDFD) && (req.flags & (CLONE_PARENT_SETTID | CLONE_DETACHED)))
        return -EINVAL; /* both results would go to the same place */
    return process_clone(task, &req);
}

/* One level of process numbers: one number may be asked for. */
static long read_set_tid(const struct task *task, const struct clone_args *ca, int *set_tid)
{
    if (!ca->set_tid != !ca->set_tid_size || ca->set_tid_size > 1)
        return -EINVAL;
    if (!ca->set_tid_size)
        return 0;
    if (user_read(set_tid, ca->set_tid, sizeof(*set_tid)))
        return -EFAULT;
    if (*set_tid < 1)
        return -EINVAL;
    return process_capable(task->process, CAP_SYS_ADMIN) ? 0 : -EPERM;
}

/* clone3(2); a larger struct than we know must be zero in its tail. */
long sys_clone3(struct task *task, const struct syscall_args *args)
{
    struct clone_args ca = {0};
    uint64_t size = args->a[1];

    if (size < CLONE_ARGS_SIZE_VER0)
        return -EINVAL;
    if (size > 4096)
        return -E2BIG;
    if (user_read(&ca, args->a[0], size < sizeof(ca) ? size : sizeof(ca)))
        return -EFAULT;
    for (uint64_t i = sizeof(ca); i < size; i++) {
        unsigned char byte;
        if (user_read(&byte, args->a[0] + i, 1))
            return -EFAULT;
        if (byte)
            return -E2BIG;
    }
    if (ca.flags & CLONE_INTO_CGROUP) {
        stats_unsupported("clone3: cgroup");
        return -EINVAL;
    }
    int set_tid = 0;
    long err = read_set_tid(task, &ca, &set_tid);
    if (err)
        return err;
    if ((ca.flags & (CSIGNAL | CLONE_DETACHED)) || ca.exit_signal > 64)
        return -EINVAL;
    if ((ca.flags & (CLONE_THREAD | CLONE_PARENT)) && ca.exit_signal)
        return -EINVAL;
    if ((ca.stack == 0) != (ca.stack_size == 0))
        return -EINVAL;
    struct clone_request req = {.flags = ca.flags,
                                .exit_signal = (int)ca.exit_signal,
                                .stack = ca.stack ? ca.stack + ca.stack_size : 0,
                                .parent_tid = ca.parent_tid,
                                .child_tid = ca.child_tid,
                                .pidfd = ca.pidfd,
                                .set_tid = set_tid,
                                .tls = ca.tls};
    return process_clone(task, &req);
}

/* exit(2) */
long sys_exit(struct task *task, const struct syscall_args *args)
{
    task_exit(task, (int)(args->a[0] & 0xff) << 8);
}

/* exit_group(2) */
long sys_exit_group(struct task *task, const struct syscall_args *args)
{
    int code = (int)(args->a[0] & 0xff) << 8;
    process_exit_group(task->process, code);
    task_exit(task, code);
}

/* getpid(2) */
long sys_getpid(struct task *task, const struct syscall_args *args)
{
    (void)args;
    return task->process->pid;
}

/* gettid(2) */
long sys_gettid(struct task *task, const struct syscall_args *args)
{
    (void)args;
    return task->tid;
}

/* getppid(2) */
long sys_getppid(struct task *task, const struct syscall_args *args)
{
    (void)args;
    return __atomic_load_n(&task->process->ppid, __ATOMIC_RELAXED);
}

enum group_field { GET_PGID, GET_SID };

static long group_of(struct task *task, int pid, enum group_field field)
{
    long r = -ESRCH;
    mutex_lock(&g_process_lock);
    struct process *p = pid ? process_find(pid) : task->process;
    if (p)
        r = field == GET_PGID ? p->pgid : p->sid;
    mutex_unlock(&g_process_lock);
    return r;
}

/* getpgid(2) */
long sys_getpgid(struct task *task, const struct syscall_args *args)
{
    return group_of(task, (int)args->a[0], GET_PGID);
}

/* getpgrp(2) */
long sys_getpgrp(struct task *task, const struct syscall_args *args)
{
    (void)args;
    return group_of(task, 0, GET_PGID);
}

/* getsid(2) */
long sys_getsid(struct task *task, const struct syscall_args *args)
{
    return group_of(task, (int)args->a[0], GET_SID);
}

static bool group_exists_in(int pgid, int sid)
{
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p))
        if (p->pgid == pgid && p->sid == sid)
            return true;
    return false;
}

/* setpgid(2) */
long sys_setpgid(struct task *task, const struct syscall_args *args)
{
    int pid = (int)args->a[0], pgid = (int)args->a[1];
    struct process *self = task->process;
    long r = 0;

    if (pgid < 0)
        return -EINVAL;
    mutex_lock(&g_process_lock);
    struct process *p = pid ? process_find(pid) : self;
    if (!p || (p != self && p->parent != self)) {
        r = -ESRCH;
    } else {
        if (!pgid)
            pgid = p->pid;
        if (p != self && p->sid != self->sid)
            r = -EPERM;
        else if (p != self && p->did_exec)
            r = -EACCES;
        else if (p->sid == p->pid)
            r = -EPERM; /* a session leader stays in its group */
        else if (pgid != p->pid && !group_exists_in(pgid, self->sid))
            r = -EPERM;
        else
            p->pgid = pgid;
    }
    mutex_unlock(&g_process_lock);
    return r;
}

/* setsid(2) */
long sys_setsid(struct task *task, const struct syscall_args *args)
{
    struct process *self = task->process;
    long r;
    (void)args;
    mutex_lock(&g_process_lock);
    bool leader = false;
    for (struct process *p = process_tree_first(); p && !leader; p = process_tree_next(p))
        leader = p->pgid == self->pid;
    if (leader) {
        r = -EPERM;
    } else {
        self->sid = self->pgid = self->pid;
        self->tty = NULL;
        r = self->pid;
    }
    mutex_unlock(&g_process_lock);
    return r;
}

/* vhangup(2) */
long sys_vhangup(struct task *task, const struct syscall_args *args)
{
    (void)args;
    return tty_vhangup(task);
}

/* set_tid_address(2) */
long sys_set_tid_address(struct task *task, const struct syscall_args *args)
{
    task->clear_child_tid = args->a[0];
    return task->tid;
}

static long set_name(struct task *task, uint64_t addr)
{
    char name[16] = "";
    /* As the kernel's strncpy_from_user: up to 15 bytes, short of a fault. */
    int64_t length = guest_string_in(g_platform, name, guest_addr(addr), sizeof(name));
    if (length < 0)
        return length;
    name[15] = '\0';
    mutex_lock(&g_process_lock);
    memcpy(task->comm, name, sizeof(name));
    mutex_unlock(&g_process_lock);
    return 0;
}

/* prctl(2) */
long sys_prctl(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    uint64_t arg = args->a[1];
    int value;

    switch ((int)args->a[0]) {
    case PR_SET_NAME:
        return set_name(task, arg);
    case PR_GET_NAME:
        return user_write(arg, task->comm, sizeof(task->comm));
    case PR_SET_PDEATHSIG:
        if (arg > 64)
            return -EINVAL;
        p->pdeath_signal = (int)arg;
        return 0;
    case PR_GET_PDEATHSIG:
        return user_write(arg, &p->pdeath_signal, sizeof(int));
    case PR_SET_CHILD_SUBREAPER:
        p->child_subreaper = arg != 0;
        return 0;
    case PR_GET_CHILD_SUBREAPER:
        value = p->child_subreaper;
        return user_write(arg, &value, sizeof(value));
    case PR_SET_DUMPABLE:
        if (arg > 1)
            return -EINVAL;
        p->dumpable = arg;
        return 0;
    case PR_GET_DUMPABLE:
        return p->dumpable;
    case PR_SET_NO_NEW_PRIVS:
        if (arg != 1 || args->a[2] || args->a[3] || args->a[4])
            return -EINVAL;
        p->no_new_privs = true;
        return 0;
    case PR_GET_NO_NEW_PRIVS:
        return p->no_new_privs;
    case PR_SET_THP_DISABLE:
        p->thp_disable = arg != 0;
        mutex_lock(&task->mm->lock);
        task->mm->thp_disable = p->thp_disable;
        mutex_unlock(&task->mm->lock);
        return 0;
    case PR_GET_THP_DISABLE:
        return p->thp_disable;
    case PR_SET_TIMERSLACK:
        task->timer_slack_ns = arg ? arg : 50000;
        return 0;
    case PR_GET_TIMERSLACK:
        return (long)task->timer_slack_ns;
    case PR_GET_KEEPCAPS:
    case PR_SET_KEEPCAPS:
    case PR_GET_SECUREBITS:
    case PR_SET_SECUREBITS:
    case PR_CAPBSET_READ:
    case PR_CAPBSET_DROP:
    case PR_CAP_AMBIENT:
        return prctl_capabilities(task, args);
    case PR_GET_SECCOMP:
        return 0;
    case PR_SET_PTRACER:
        return 0; /* nobody may trace anybody */
    case PR_GET_TIMING:
        return PR_TIMING_STATISTICAL;
    case PR_SET_TIMING:
        return arg == PR_TIMING_STATISTICAL ? 0 : -EINVAL;
    case PR_TASK_PERF_EVENTS_DISABLE:
    case PR_TASK_PERF_EVENTS_ENABLE:
        return 0; /* there are none */
    case PR_MCE_KILL_GET:
        return args->a[1] | args->a[2] | args->a[3] | args->a[4] ? -EINVAL : PR_MCE_KILL_DEFAULT;
    case PR_GET_TSC:
        value = PR_TSC_ENABLE;
        return user_write(arg, &value, sizeof(value));
    case PR_SET_TSC:
        if (arg == PR_TSC_ENABLE)
            return 0;
        stats_unsupported("prctl: PR_SET_TSC");
        return -EINVAL;
    case PR_GET_TID_ADDRESS:
        return user_write(arg, &task->clear_child_tid, sizeof(uint64_t));
    default:
        stats_unsupported("prctl: option");
        return -EINVAL;
    }
}

/* arch_prctl(2) */
long sys_arch_prctl(struct task *task, const struct syscall_args *args)
{
    struct guest_regs *regs = &task->ctx->regs;
    uint64_t value = args->a[1];
    switch ((int)args->a[0]) {
    case ARCH_SET_FS:
    case ARCH_SET_GS:
        if (value >= 0x7ffffffff000ull)
            return -EPERM;
        *((int)args->a[0] == ARCH_SET_FS ? &regs->fs_base : &regs->gs_base) = value;
        return 0;
    case ARCH_GET_FS:
        return user_write(value, &regs->fs_base, sizeof(uint64_t));
    case ARCH_GET_GS:
        return user_write(value, &regs->gs_base, sizeof(uint64_t));
    case ARCH_GET_CPUID:
        return 1;
    default:
        return -EINVAL;
    }
}

/* uname(2) */
long sys_uname(struct task *task, const struct syscall_args *args)
{
    struct new_utsname u = {.sysname = "Linux",
                            .release = SYSTEM_RELEASE,
                            .version = SYSTEM_VERSION,
                            .machine = "x86_64",
                            .domainname = "(none)"};
    (void)task;
    system_hostname(u.nodename);
    return user_write(args->a[0], &u, sizeof(u));
}

/* sethostname(2) */
long sys_sethostname(struct task *task, const struct syscall_args *args)
{
    char name[SYSTEM_NAME_SIZE] = "";
    if (!process_capable(task->process, CAP_SYS_ADMIN))
        return -EPERM;
    if (args->a[1] >= SYSTEM_NAME_SIZE)
        return -EINVAL;
    if (user_read(name, args->a[0], args->a[1]))
        return -EFAULT;
    return system_set_hostname(name);
}

/* sysinfo(2) */
long sys_sysinfo(struct task *task, const struct syscall_args *args)
{
    struct system_memory memory = system_memory();
    struct sysinfo info = {.mem_unit = 1, .totalram = memory.total, .freeram = memory.free};
    unsigned count = 0;
    (void)task;
    info.uptime = (long)(system_uptime_ns() / NS_PER_SEC);
    mutex_lock(&g_process_lock);
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p))
        count += p->task_count;
    mutex_unlock(&g_process_lock);
    info.procs = (uint16_t)(count > 65535 ? 65535 : count);
    return user_write(args->a[0], &info, sizeof(info));
}

/* getrusage(2) */
long sys_getrusage(struct task *task, const struct syscall_args *args)
{
    struct rusage usage = {0};
    struct process *p = task->process;
    uint64_t user = 0, system = 0;
    long r = 0;

    mutex_lock(&g_process_lock);
    switch ((int)args->a[0]) {
    case RUSAGE_SELF:
        process_cpu_time(p, &user, &system);
        break;
    case RUSAGE_CHILDREN:
        user = p->children_utime_ns;
        system = p->children_stime_ns;
        break;
    case RUSAGE_THREAD:
        thread_cpu_time(g_platform, task->thread, &user, &system);
        break;
    default:
        r = -EINVAL;
    }
    mutex_unlock(&g_process_lock);
    if (r)
        return r;
    struct abi_timeval u = timeval_from_ns(user), s = timeval_from_ns(system);
    if ((int)args->a[0] != RUSAGE_CHILDREN)
        usage.ru_maxrss =
            (long)(mm_resident_pages(task->mm) * 4); /* KiB; the present stands in for the most */
    usage.ru_utime.tv_sec = u.sec;
    usage.ru_utime.tv_usec = u.usec;
    usage.ru_stime.tv_sec = s.sec;
    usage.ru_stime.tv_usec = s.usec;
    return user_write(args->a[1], &usage, sizeof(usage));
}

/* Both pointers may be NULL: shim memory. */
static long change_limit(struct task *task, struct process *p, unsigned which,
                         const struct shim_rlimit *fresh, struct shim_rlimit *old)
{
    if (which >= 16)
        return -EINVAL;
    if (fresh && fresh->cur > fresh->max)
        return -EINVAL;
    struct shim_rlimit *slot = &p->rlimits[which];
    *old = *slot;
    if (!fresh)
        return 0;
    if (fresh->max > slot->max && !process_capable(task->process, CAP_SYS_RESOURCE))
        return -EPERM;
    if (which == RLIMIT_NOFILE && fresh->max > 1048576)
        return -EPERM;
    *slot = *fresh;
    return which == RLIMIT_CPU && p->state < PROCESS_ZOMBIE ? timers_limit_cpu(p) : 0;
}

/* Before and after a limit is changed, without the lock: that of processor time needs a thread that looks at it. */
static int begin_change(unsigned which)
{
    return which == RLIMIT_CPU ? timer_thread_start() : 0;
}

static void end_change(unsigned which)
{
    if (which == RLIMIT_CPU)
        timer_poke();
}

/* getrlimit(2) */
long sys_getrlimit(struct task *task, const struct syscall_args *args)
{
    struct shim_rlimit old;
    mutex_lock(&g_process_lock);
    long r = change_limit(task, task->process, (unsigned)args->a[0], NULL, &old);
    mutex_unlock(&g_process_lock);
    return r ? r : user_write(args->a[1], &old, sizeof(old));
}

/* setrlimit(2) */
long sys_setrlimit(struct task *task, const struct syscall_args *args)
{
    struct shim_rlimit fresh, old;
    unsigned which = (unsigned)args->a[0];
    if (user_read(&fresh, args->a[1], sizeof(fresh)))
        return -EFAULT;
    long r = begin_change(which);
    if (r)
        return r;
    mutex_lock(&g_process_lock);
    r = change_limit(task, task->process, which, &fresh, &old);
    mutex_unlock(&g_process_lock);
    end_change(which);
    return r;
}

/* prlimit(2): without the capability, all ids must be one's own real ones. */
static bool may_limit(const struct process *self, const struct process *p)
{
    return process_capable(self, CAP_SYS_RESOURCE) ||
           (self->uid == p->uid && self->uid == p->euid && self->uid == p->suid &&
            self->gid == p->gid && self->gid == p->egid && self->gid == p->sgid);
}

/* prlimit(2) */
long sys_prlimit64(struct task *task, const struct syscall_args *args)
{
    int pid = (int)args->a[0];
    struct shim_rlimit fresh, old;
    unsigned which = (unsigned)args->a[1];
    if (args->a[2] && user_read(&fresh, args->a[2], sizeof(fresh)))
        return -EFAULT;
    int err = args->a[2] ? begin_change(which) : 0;
    if (err)
        return err;
    mutex_lock(&g_process_lock);
    struct process *p = pid ? process_find(pid) : task->process;
    long r = -ESRCH;
    if (p && p != task->process && !may_limit(task->process, p))
        r = -EPERM;
    else if (p)
        r = change_limit(task, p, which, args->a[2] ? &fresh : NULL, &old);
    mutex_unlock(&g_process_lock);
    if (args->a[2])
        end_change(which);
    if (r)
        return r;
    return args->a[3] ? user_write(args->a[3], &old, sizeof(old)) : 0;
}

/* personality(2) */
long sys_personality(struct task *task, const struct syscall_args *args)
{
    uint32_t old = task->process->personality;
    if ((uint32_t)args->a[0] != UINT32_MAX)
        task->process->personality = (uint32_t)args->a[0];
    return old;
}

/* getrandom(2) */
long sys_getrandom(struct task *task, const struct syscall_args *args)
{
    uint64_t size = args->a[1], done = 0;
    unsigned char chunk[512];

    if (args->a[2] & ~(uint64_t)(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE))
        return -EINVAL;
    if ((args->a[2] & GRND_RANDOM) && (args->a[2] & GRND_INSECURE))
        return -EINVAL;
    if (size > INT32_MAX)
        size = INT32_MAX;
    while (done < size) {
        size_t n = size - done < sizeof(chunk) ? size - done : sizeof(chunk);
        if (done && task_interrupted(task))
            break;
        clock_entropy(g_platform, chunk, n);
        if (user_write(args->a[0] + done, chunk, n))
            return done ? (long)done : -EFAULT;
        done += n;
    }
    return (long)done;
}

/* unshare(2) */
long sys_unshare(struct task *task, const struct syscall_args *args)
{
    uint64_t flags = args->a[0];
    int err = 0;
    if (flags & ~(uint64_t)(CLONE_FILES | CLONE_FS | CLONE_SYSVSEM)) {
        stats_unsupported("unshare: namespaces");
        return -EINVAL;
    }
    struct fs_state *fs = NULL;
    if (flags & CLONE_FS) {
        fs = fs_state_copy(task->fs, &err);
        if (!fs)
            return err;
    }
    if (flags & CLONE_FILES)
        err = fd_unshare(task);
    if (fs && !err) {
        struct fs_state *shared = task->fs;
        mutex_lock(&g_process_lock); /* /proc takes references to what it finds there */
        task->fs = fs;
        mutex_unlock(&g_process_lock);
        fs = shared;
    }
    if (fs)
        fs_state_put(fs);
    return err;
}
