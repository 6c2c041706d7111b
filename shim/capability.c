/*
 * capability.c: capabilities of processes, capabilities(7). Process-wide, as ids are (creds.c). Files carry none here, so execve knows
 * only the rules for root and for ambient ones.
 */
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>

#include "platform/errno.h"
#include "shim/process.h"
#include "shim/process_internal.h"
#include "shim/shim.h"
#include "shim/sys_proc.h"

_Static_assert(CAPABILITIES_ALL == (1ull << (CAP_LAST_CAP + 1)) - 1, "as the headers count them");

bool process_capable(const struct process *process, int cap)
{
    return __atomic_load_n(&process->caps.effective, __ATOMIC_RELAXED) >> cap & 1;
}

bool process_may_look_into(const struct process *self, const struct process *other)
{
    if (self == other || process_capable(self, CAP_SYS_PTRACE))
        return true;
    return other->dumpable && self->uid == other->uid && self->uid == other->euid &&
           self->uid == other->suid && self->gid == other->gid && self->gid == other->egid &&
           self->gid == other->sgid && !(other->caps.permitted & ~self->caps.permitted);
}

void capabilities_did_exec(struct process *process)
{
    struct capabilities *c = &process->caps;
    bool root_counts = !(c->securebits & SECBIT_NOROOT);
    uint64_t permitted = 0;
    if (root_counts && (!process->euid || !process->uid))
        permitted = c->bounding | c->inheritable;
    permitted |= c->ambient;
    process->dumpable = process->uid == process->euid && process->gid == process->egid &&
                        !(permitted & ~c->permitted); /* nobody looks into what gained rights */
    c->permitted = permitted;
    c->effective = root_counts && !process->euid ? c->permitted : c->ambient;
    c->securebits &= ~(uint32_t)SECBIT_KEEP_CAPS;
    process->suid = process->fsuid = process->euid;
    process->sgid = process->fsgid = process->egid;
}

/* The version in the header says how many words follow; an unknown one is answered with the one we prefer. */
static long check_header(uint64_t addr, struct __user_cap_header_struct *header, unsigned *words)
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
    struct __user_cap_data_struct data[2];
    struct capabilities caps = {0};
    unsigned words;
    long r = check_header(args->a[0], &header, &words);
    if (r)
        return r == -EINVAL && !args->a[1] ? 0 : r; /* a probe for the version */
    if (header.pid < 0)
        return -EINVAL;
    mutex_lock(&g_process_lock);
    const struct task *t = header.pid ? task_find(header.pid) : task;
    const struct process *p = t ? t->process : process_find(header.pid);
    if (p)
        caps = p->caps;
    mutex_unlock(&g_process_lock);
    if (!p)
        return -ESRCH;
    for (unsigned i = 0; i < 2; i++) {
        data[i].effective = (uint32_t)(caps.effective >> (32 * i));
        data[i].permitted = (uint32_t)(caps.permitted >> (32 * i));
        data[i].inheritable = (uint32_t)(caps.inheritable >> (32 * i));
    }
    if (!args->a[1])
        return 0;
    return user_write(args->a[1], data, words * sizeof(data[0]));
}

static long set_capabilities(struct process *p, struct capabilities wanted)
{
    struct capabilities *c = &p->caps;
    if (wanted.inheritable & ~(c->inheritable | c->permitted) && !process_capable(p, CAP_SETPCAP))
        return -EPERM;
    if (wanted.inheritable & ~(c->inheritable | c->bounding) || wanted.permitted & ~c->permitted ||
        wanted.effective & ~wanted.permitted)
        return -EPERM;
    c->effective = wanted.effective;
    c->permitted = wanted.permitted;
    c->inheritable = wanted.inheritable;
    c->ambient &= wanted.permitted & wanted.inheritable;
    return 0;
}

/* capset(2) */
long sys_capset(struct task *task, const struct syscall_args *args)
{
    struct __user_cap_header_struct header;
    struct __user_cap_data_struct data[2] = {{0}};
    unsigned words;
    long r = check_header(args->a[0], &header, &words);
    if (r)
        return r;
    if (header.pid && header.pid != task->tid)
        return -EPERM;
    if (user_read(data, args->a[1], words * sizeof(data[0])))
        return -EFAULT;
    struct capabilities wanted = {
        .effective = (data[0].effective | (uint64_t)data[1].effective << 32) & CAPABILITIES_ALL,
        .permitted = (data[0].permitted | (uint64_t)data[1].permitted << 32) & CAPABILITIES_ALL,
        .inheritable =
            (data[0].inheritable | (uint64_t)data[1].inheritable << 32) & CAPABILITIES_ALL,
    };
    mutex_lock(&g_process_lock);
    r = set_capabilities(task->process, wanted);
    mutex_unlock(&g_process_lock);
    return r;
}

static long change_ambient(struct process *p, uint64_t how, uint64_t cap)
{
    struct capabilities *c = &p->caps;
    if (how == PR_CAP_AMBIENT_CLEAR_ALL) {
        if (cap)
            return -EINVAL;
        c->ambient = 0;
        return 0;
    }
    if (cap > CAP_LAST_CAP)
        return -EINVAL;
    uint64_t bit = 1ull << cap;
    switch (how) {
    case PR_CAP_AMBIENT_IS_SET:
        return (c->ambient & bit) != 0;
    case PR_CAP_AMBIENT_RAISE:
        if (!(c->permitted & c->inheritable & bit) || (c->securebits & SECBIT_NO_CAP_AMBIENT_RAISE))
            return -EPERM;
        c->ambient |= bit;
        return 0;
    case PR_CAP_AMBIENT_LOWER:
        c->ambient &= ~bit;
        return 0;
    default:
        return -EINVAL;
    }
}

static long set_securebits(struct process *p, uint64_t bits)
{
    uint32_t old = p->caps.securebits;
    if ((SECURE_ALL_LOCKS & old) >> 1 & (old ^ bits) || SECURE_ALL_LOCKS & old & ~bits ||
        bits & ~(uint64_t)(SECURE_ALL_LOCKS | SECURE_ALL_BITS) || !process_capable(p, CAP_SETPCAP))
        return -EPERM;
    p->caps.securebits = (uint32_t)bits;
    return 0;
}

static long change_keep(struct process *p, uint64_t keep)
{
    if (keep > 1)
        return -EINVAL;
    if (p->caps.securebits & SECBIT_KEEP_CAPS_LOCKED)
        return -EPERM;
    p->caps.securebits &= ~(uint32_t)SECBIT_KEEP_CAPS;
    if (keep)
        p->caps.securebits |= SECBIT_KEEP_CAPS;
    return 0;
}

static long drop_bounding(struct process *p, uint64_t cap)
{
    if (!process_capable(p, CAP_SETPCAP))
        return -EPERM;
    if (cap > CAP_LAST_CAP)
        return -EINVAL;
    p->caps.bounding &= ~(1ull << cap);
    return 0;
}

static long change(struct process *p, const struct syscall_args *args)
{
    uint64_t arg = args->a[1];
    switch ((int)args->a[0]) {
    case PR_GET_KEEPCAPS:
        return (p->caps.securebits & SECBIT_KEEP_CAPS) != 0;
    case PR_SET_KEEPCAPS:
        return change_keep(p, arg);
    case PR_GET_SECUREBITS:
        return p->caps.securebits;
    case PR_SET_SECUREBITS:
        return set_securebits(p, arg);
    case PR_CAPBSET_READ:
        return arg > CAP_LAST_CAP ? -EINVAL : (long)(p->caps.bounding >> arg & 1);
    case PR_CAPBSET_DROP:
        return drop_bounding(p, arg);
    default:
        return args->a[3] | args->a[4] ? -EINVAL : change_ambient(p, arg, args->a[2]);
    }
}

long prctl_capabilities(struct task *task, const struct syscall_args *args)
{
    mutex_lock(&g_process_lock);
    long r = change(task->process, args);
    mutex_unlock(&g_process_lock);
    return r;
}
