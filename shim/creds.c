/*
 * creds.c: user and group ids. Process-wide (Linux has them per thread, but libc sets them for all threads alike). See
 * credentials(7). All under g_process_lock.
 */
#include <linux/capability.h>
#include <linux/personality.h>
#include <linux/securebits.h>
#include <linux/stat.h>

#include "platform/errno.h"
#include "shim/fs/file.h"
#include "shim/process.h"
#include "shim/process_internal.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/sys_proc.h"

#define KEEP UINT32_MAX

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

static bool may_choose(const struct process *p, const struct ids *ids)
{
    return process_capable(p, ids->real == &p->uid ? CAP_SETUID : CAP_SETGID);
}

static long set_three(const struct process *p, struct ids ids, uint32_t real, uint32_t effective,
                      uint32_t saved)
{
    if (!may_choose(p, &ids) && ((real != KEEP && !is_one_of(&ids, real)) ||
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
    if (may_choose(p, &ids)) {
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
    bool root = may_choose(p, &ids);
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

/* Whoever may look into the process, or kill it when its parent dies, may no more: it is somebody else now. */
static void became_another(struct process *p)
{
    p->dumpable = false;
    p->pdeath_signal = 0;
}

struct exec_ids process_exec_ids(const struct process *process, const struct file_stat *program)
{
    mutex_lock(&g_process_lock);
    struct exec_ids ids = {.euid = process->euid, .egid = process->egid};
    if (!process->no_new_privs) {
        if (program->mode & S_ISUID)
            ids.euid = program->uid;
        if ((program->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
            ids.egid = program->gid;
    }
    ids.by_file = ids.euid != process->euid || ids.egid != process->egid;
    ids.secure = ids.euid != process->uid || ids.egid != process->gid;
    mutex_unlock(&g_process_lock);
    return ids;
}

/* What other tasks of the process changed since the ids were worked out counts: all but this one are gone now. */
void creds_did_exec(struct process *p, const struct exec_ids *ids)
{
    uint64_t permitted = p->caps.permitted;
    bool by_file = ids->by_file && !p->no_new_privs;
    if (by_file) {
        p->euid = ids->euid;
        p->egid = ids->egid;
        p->personality &= ~(uint32_t)PER_CLEAR_ON_SETID;
    }
    if (p->euid != p->uid || p->egid != p->gid)
        p->caps.ambient = 0; /* capabilities(7): not for a program that is run as another user */
    capabilities_did_exec(p);
    if (by_file || p->caps.permitted & ~permitted)
        became_another(p);
}

/* credentials(7), "Effect of user ID changes on capabilities". before: real, effective, saved, file system id. */
static void capabilities_follow_ids(struct process *p, const uint32_t before[4])
{
    const uint64_t of_files = 1ull << CAP_CHOWN | 1ull << CAP_MKNOD | 1ull << CAP_DAC_OVERRIDE |
                              1ull << CAP_DAC_READ_SEARCH | 1ull << CAP_FOWNER |
                              1ull << CAP_FSETID | 1ull << CAP_LINUX_IMMUTABLE |
                              1ull << CAP_MAC_OVERRIDE;
    struct capabilities *c = &p->caps;
    if (c->securebits & SECBIT_NO_SETUID_FIXUP)
        return;
    if (before[0] == p->uid && before[1] == p->euid && before[2] == p->suid) {
        if (!before[3] && p->fsuid)
            c->effective &= ~of_files;
        else if (before[3] && !p->fsuid)
            c->effective |= c->permitted & of_files;
        return;
    }
    if ((!before[0] || !before[1] || !before[2]) && p->uid && p->euid && p->suid) {
        if (!(c->securebits & SECBIT_KEEP_CAPS))
            c->permitted = c->effective = 0;
        c->ambient = 0;
    }
    if (!before[1] && p->euid)
        c->effective = 0;
    else if (before[1] && !p->euid)
        c->effective = c->permitted;
}

#define LOCKED(expression)                                                                         \
    mutex_lock(&g_process_lock);                                                                   \
    const uint32_t group = p->egid, fs_group = p->fsgid;                                           \
    long r = (expression);                                                                         \
    if (group != p->egid || fs_group != p->fsgid)                                                  \
        became_another(p);                                                                         \
    mutex_unlock(&g_process_lock);                                                                 \
    return r

/* The same for user ids: what they were says what becomes of the capabilities. */
#define LOCKED_USER(expression)                                                                    \
    mutex_lock(&g_process_lock);                                                                   \
    const uint32_t before[4] = {p->uid, p->euid, p->suid, p->fsuid};                               \
    long r = (expression);                                                                         \
    capabilities_follow_ids(p, before);                                                            \
    if (before[0] != p->uid)                                                                       \
        process_changed_user(p);                                                                   \
    if (before[1] != p->euid || before[3] != p->fsuid)                                             \
        became_another(p);                                                                         \
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
    LOCKED_USER(set_one(p, user_ids(p), (uint32_t)args->a[0]));
}

long sys_setgid(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    LOCKED(set_one(p, group_ids(p), (uint32_t)args->a[0]));
}

long sys_setreuid(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    LOCKED_USER(set_two(p, user_ids(p), (uint32_t)args->a[0], (uint32_t)args->a[1]));
}

long sys_setregid(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    LOCKED(set_two(p, group_ids(p), (uint32_t)args->a[0], (uint32_t)args->a[1]));
}

long sys_setresuid(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    LOCKED_USER(set_three(p, user_ids(p), (uint32_t)args->a[0], (uint32_t)args->a[1],
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
    if (id != KEEP && (may_choose(p, &ids) || is_one_of(&ids, id) || id == old))
        *ids.fs = id;
    return old;
}

long sys_setfsuid(struct task *task, const struct syscall_args *args)
{
    struct process *p = task->process;
    LOCKED_USER(set_fs_id(p, user_ids(p), (uint32_t)args->a[0]));
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
    if (!process_capable(p, CAP_SETGID))
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
