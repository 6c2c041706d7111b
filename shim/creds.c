/*
 * creds.c: user and group ids. Process-wide (Linux has them per thread, but libc sets them for all threads alike). See
 * credentials(7). All under g_process_lock.
 */
#include <linux/capability.h>

#include "platform/errno.h"
#include "shim/process.h"
#include "shim/process_internal.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/sys_proc.h"

#define KEEP UINT32_MAX
#define ALL_CAPABILITIES ((1ull << (CAP_LAST_CAP + 1)) - 1)

/* Real, effective, saved and file system id, of a user or of a group. */
struct ids {
    uint32_t *real, *effective, *saved, *fs;
};

static struct ids user_ids(struct process *p)
{
    return (struct ids){&p->uid, &p->euid, &p->suid, &p->fsuid};
}

static struct ids group_ids(struct process *p)
{
    return (struct ids){&p->gid, &p->egid, &p->sgid, &p->fsgid};
}

static bool is_one_of(const struct ids *ids, uint32_t id)
{
    return id == *ids->real || id == *ids->effective || id == *ids->saved;
}

static long set_three(const struct process *p, struct ids ids, uint32_t real, uint32_t effective,
                      uint32_t saved)
{
    if (p->euid != 0 && ((real != KEEP && !is_one_of(&ids, real)) ||
                         (effective != KEEP && !is_one_of(&ids, effective)) ||
                         (saved != KEEP && !is_one_of(&ids, saved))))
        return -EPERM;
    if (real != KEEP)
        *ids.real = real;
    if (effective != KEEP)
        *ids.effective = effective;
    if (saved != KEEP)
        *ids.saved = saved;
    *ids.fs = *ids.effective;
    return 0;
}

static long set_one(const struct process *p, struct ids ids, uint32_t id)
{
    if (id == KEEP)
        return -EINVAL;
    if (p->euid == 0) {
        *ids.real = *ids.saved = id;
    } else if (id != *ids.real && id != *ids.saved) {
        return -EPERM;
    }
    *ids.effective = *ids.fs = id;
    return 0;
}

/* setreuid(2): the saved id follows the effective one when the real id is set, or the effective one is not the real one. */
static long set_two(const struct process *p, struct ids ids, uint32_t real, uint32_t effective)
{
    uint32_t old_real = *ids.real;
    bool root = p->euid == 0;
    if (!root && real != KEEP && real != *ids.real && real != *ids.effective)
        return -EPERM;
    if (!root && effective != KEEP && !is_one_of(&ids, effective))
        return -EPERM;
    if (real != KEEP)
        *ids.real = real;
    if (effective != KEEP)
        *ids.effective = effective;
    if (real != KEEP || (effective != KEEP && effective != old_real))
        *ids.saved = *ids.effective;
    *ids.fs = *ids.effective;
    return 0;
}

#define LOCKED(expression)                                                                         \
    mutex_lock(&g_process_lock);                                                                   \
    long r = (expression);                                                                         \
    mutex_unlock(&g_process_lock);                                                                 \
    return r

long sys_getuid(struct task *task, const struct syscall_args *args)
{
    (void)args;
    return task->process->uid;
}

long sys_geteuid(struct task *task, const struct syscall_args *args)
{
    (void)args;
    return task->process->euid;
}

long sys_getgid(struct task *task, const struct syscall_args *args)
{
    (void)args;
    return task->process->gid;
}

long sys_getegid(struct task *task, const struct syscall_args *args)
{
    (void)args;
    return task->process->egid;
}

long sys_setuid(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    LOCKED(set_one(p, user_ids(p), (uint32_t)args->a[0]));
}

long sys_setgid(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    LOCKED(set_one(p, group_ids(p), (uint32_t)args->a[0]));
}

long sys_setreuid(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    LOCKED(set_two(p, user_ids(p), (uint32_t)args->a[0], (uint32_t)args->a[1]));
}

long sys_setregid(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    LOCKED(set_two(p, group_ids(p), (uint32_t)args->a[0], (uint32_t)args->a[1]));
}

long sys_setresuid(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    LOCKED(set_three(p, user_ids(p), (uint32_t)args->a[0], (uint32_t)args->a[1],
                     (uint32_t)args->a[2]));
}

long sys_setresgid(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    LOCKED(set_three(p, group_ids(p), (uint32_t)args->a[0], (uint32_t)args->a[1],
                     (uint32_t)args->a[2]));
}

static long get_three(struct ids ids, const struct syscall_args *args)
{
    if (user_write(args->a[0], ids.real, 4) || user_write(args->a[1], ids.effective, 4) ||
        user_write(args->a[2], ids.saved, 4))
        return -EFAULT;
    return 0;
}

long sys_getresuid(struct task *task, const struct syscall_args *args)
{
    return get_three(user_ids(task->process), args);
}

long sys_getresgid(struct task *task, const struct syscall_args *args)
{
    return get_three(group_ids(task->process), args);
}

/* setfsuid(2) answers with the old id, whether or not it did anything. */
static long set_fs_id(const struct process *p, struct ids ids, uint32_t id)
{
    uint32_t old = *ids.fs;
    if (id != KEEP && (p->euid == 0 || is_one_of(&ids, id) || id == old))
        *ids.fs = id;
    return old;
}

long sys_setfsuid(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    LOCKED(set_fs_id(p, user_ids(p), (uint32_t)args->a[0]));
}

long sys_setfsgid(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    LOCKED(set_fs_id(p, group_ids(p), (uint32_t)args->a[0]));
}

long sys_getgroups(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    int size = (int)args->a[0];
    int count = (int)p->group_count;
    if (size < 0 || (size && size < count))
        return -EINVAL;
    if (size && user_write(args->a[1], p->groups, (size_t)count * sizeof(p->groups[0])))
        return -EFAULT;
    return count;
}

long sys_setgroups(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    uint32_t groups[32];
    uint64_t count = args->a[0];
    if (p->euid)
        return -EPERM;
    if (count > 32) {
        stats_unsupported("setgroups: more than 32");
        return -EINVAL;
    }
    if (user_read(groups, args->a[1], count * sizeof(groups[0])))
        return -EFAULT;
    mutex_lock(&g_process_lock);
    memcpy(p->groups, groups, count * sizeof(groups[0]));
    p->group_count = (unsigned)count;
    mutex_unlock(&g_process_lock);
    return 0;
}

/* The version in the header says how many words follow; an unknown one is answered with the one we prefer. */
static long check_cap_header(uint64_t addr, struct __user_cap_header_struct *header,
                             unsigned *words)
{
    if (user_read(header, addr, sizeof(*header)))
        return -EFAULT;
    switch (header->version) {
    case _LINUX_CAPABILITY_VERSION_1:
        *words = _LINUX_CAPABILITY_U32S_1;
        return 0;
    case _LINUX_CAPABILITY_VERSION_2:
    case _LINUX_CAPABILITY_VERSION_3:
        *words = _LINUX_CAPABILITY_U32S_3;
        return 0;
    default:
        header->version = _LINUX_CAPABILITY_VERSION_3;
        return user_write(addr, header, sizeof(*header)) ? -EFAULT : -EINVAL;
    }
}

/* capget(2) */
long sys_capget(struct task *task, const struct syscall_args *args)
{
    struct __user_cap_header_struct header;
    struct __user_cap_data_struct data[2] = {{0}};
    unsigned words;
    long r = check_cap_header(args->a[0], &header, &words);
    if (r)
        return r == -EINVAL && !args->a[1] ? 0 : r; /* a probe for the version */
    if (header.pid < 0)
        return -EINVAL;
    mutex_lock(&g_process_lock);
    struct process *p = header.pid ? process_find(header.pid) : task->process;
    uint64_t caps = p && p->euid == 0 ? ALL_CAPABILITIES : 0;
    mutex_unlock(&g_process_lock);
    if (!p)
        return -ESRCH;
    for (unsigned i = 0; i < 2; i++)
        data[i].effective = data[i].permitted = (uint32_t)(caps >> (32 * i));
    if (!args->a[1])
        return 0;
    return user_write(args->a[1], data, words * sizeof(data[0]));
}

/* capset(2) */
long sys_capset(struct task *task, const struct syscall_args *args)
{
    struct __user_cap_header_struct header;
    struct __user_cap_data_struct data[2] = {{0}};
    unsigned words;
    long r = check_cap_header(args->a[0], &header, &words);
    if (r)
        return r;
    if (header.pid && header.pid != task->process->pid)
        return -EPERM;
    if (user_read(data, args->a[1], words * sizeof(data[0])))
        return -EFAULT;
    if (task->process->euid != 0 && (data[0].permitted || data[1].permitted))
        return -EPERM;
    return 0;
}
