/*
 * sys_numa.c: set_mempolicy(2), mbind(2) and their relatives, on a machine with one memory node. Policies are checked and told back;
 * where pages lie is no choice.
 */
#include <linux/capability.h>
#include <linux/mempolicy.h>

#include "platform/errno.h"
#include "shim/mm.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/sys_mm.h"
#include "shim/vma.h"

#define NODES_MAX 1024u              /* bits beyond must be 0: Debian's kernel has so many */
#define MASK_BITS_MAX (VMA_PAGE * 8) /* longer masks are EINVAL */
#define FLAGS_SHIFT 10u              /* MPOL_F_STATIC_NODES and the like, within a policy */
#define PAGES_AT_ONCE 65536u

/* A guest's mask of nodes: there is node 0, and those that are not there. */
struct node_set {
    bool first, others;
};

struct choice {
    uint32_t mode, flags;
    struct node_set nodes;
};

/* As get_mempolicy(2) and others count: `maxnode` is one more than the bits of the mask. */
static int read_nodes(struct node_set *out, uint64_t mask, uint64_t maxnode)
{
    uint64_t bits = maxnode - 1;
    *out = (struct node_set){0};
    if (bits == 0 || !mask)
        return 0;
    if (bits > MASK_BITS_MAX)
        return -EINVAL;
    for (uint64_t at = 0; at < bits; at += 64) {
        uint64_t word;
        if (user_read(&word, mask + at / 8, sizeof(word)))
            return -EFAULT;
        if (bits - at < 64)
            word &= (1ull << (bits - at)) - 1;
        if (word && at >= NODES_MAX)
            return -EINVAL;
        if (at == 0)
            out->first = word & 1;
        if (at == 0 ? word & ~1ull : word)
            out->others = true;
    }
    return 0;
}

static int write_nodes(uint64_t mask, uint64_t maxnode, uint64_t nodes)
{
    uint64_t size = (maxnode - 1 + 63) / 64 * 8;
    if (size > VMA_PAGE)
        return -EINVAL;
    if (size > sizeof(nodes) &&
        user_zero(guest_addr(mask + sizeof(nodes)), size - sizeof(nodes)) != 0)
        return -EFAULT;
    return size > 0 && user_write(mask, &nodes, sizeof(nodes)) ? -EFAULT : 0;
}

static int read_choice(struct choice *out, uint32_t mode, uint64_t mask, uint64_t maxnode)
{
    out->flags = mode & MPOL_MODE_FLAGS;
    out->mode = mode & ~(uint32_t)MPOL_MODE_FLAGS;
    if (out->mode > MPOL_PREFERRED_MANY ||
        (out->flags & MPOL_F_STATIC_NODES && out->flags & MPOL_F_RELATIVE_NODES) ||
        (out->flags & MPOL_F_NUMA_BALANCING && out->mode != MPOL_BIND))
        return -EINVAL;
    return read_nodes(&out->nodes, mask, maxnode);
}

/* Does the mask fit the mode? set_mempolicy(2). */
static int policy_of(const struct choice *c, uint32_t *policy)
{
    bool empty = !c->nodes.first && !c->nodes.others;
    bool by_mask = c->flags & (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES);
    *policy = 0;
    if (c->mode == MPOL_DEFAULT)
        return empty ? 0 : -EINVAL;
    if (c->mode == MPOL_LOCAL || (c->mode == MPOL_PREFERRED && empty)) {
        *policy = MPOL_LOCAL;
        return empty && !by_mask ? 0 : -EINVAL;
    }
    /* Relative nodes are folded onto those that are there. */
    if (empty || (!c->nodes.first && !(c->flags & MPOL_F_RELATIVE_NODES)))
        return -EINVAL;
    *policy = c->mode | c->flags >> FLAGS_SHIFT | MM_POLICY_NODE;
    return 0;
}

static uint32_t mode_of(uint32_t policy)
{
    return policy & MM_POLICY_MODE;
}

long sys_set_mempolicy(struct task *task, const struct syscall_args *args)
{
    struct choice choice;
    uint32_t policy;
    int err = read_choice(&choice, (uint32_t)args->a[0], args->a[1], args->a[2]);
    if (err == 0)
        err = policy_of(&choice, &policy);
    if (err == 0)
        task->memory_policy = policy;
    return err;
}

/* MPOL_F_NODE: where the page lies, which brings it in, or where the next one would. */
static int node_asked(uint64_t addr, uint64_t flags, uint32_t policy)
{
    char byte;
    if (flags & MPOL_F_ADDR)
        return user_read(&byte, addr, 1) ? -EFAULT : 0;
    return mode_of(policy) == MPOL_INTERLEAVE ? 0 : -EINVAL;
}

long sys_get_mempolicy(struct task *task, const struct syscall_args *args)
{
    uint64_t mask = args->a[1], maxnode = args->a[2], addr = args->a[3], flags = args->a[4];
    uint32_t policy = task->memory_policy, mode = 0;
    uint64_t nodes = 1;
    if ((mask && maxnode == 0) ||
        flags & ~(uint64_t)(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED) ||
        (flags & MPOL_F_MEMS_ALLOWED && flags != MPOL_F_MEMS_ALLOWED))
        return -EINVAL;
    if (!(flags & MPOL_F_MEMS_ALLOWED)) {
        int err = 0;
        if (flags & MPOL_F_ADDR)
            err = mm_policy_at(task->mm, addr, &policy);
        else if (addr)
            err = -EINVAL;
        if (err == 0 && flags & MPOL_F_NODE)
            err = node_asked(addr, flags, policy);
        if (err < 0)
            return err;
        if (!(flags & MPOL_F_NODE))
            mode = mode_of(policy) | (policy & MM_POLICY_FLAGS) << FLAGS_SHIFT;
        nodes = policy & MM_POLICY_NODE ? 1 : 0;
    }
    if (args->a[0] && user_write(args->a[0], &mode, sizeof(mode)))
        return -EFAULT;
    return mask ? write_nodes(mask, maxnode, nodes) : 0;
}

/* The end of a range that starts at a page; -EINVAL: it has none. */
static int range_end(uint64_t start, uint64_t size, uint64_t *end)
{
    *end = start + page_up(size);
    return start % VMA_PAGE || *end < start ? -EINVAL : 0;
}

long sys_mbind(struct task *task, const struct syscall_args *args)
{
    uint64_t start = args->a[0], flags = (uint32_t)args->a[5], end;
    struct choice choice;
    uint32_t policy;
    int err = read_choice(&choice, (uint32_t)args->a[2], args->a[3], args->a[4]);
    if (err < 0)
        return err;
    if (flags & ~(uint64_t)MPOL_MF_VALID)
        return -EINVAL;
    if (flags & MPOL_MF_MOVE_ALL && !process_capable(task->process, CAP_SYS_NICE))
        return -EPERM;
    err = range_end(start, args->a[1], &end);
    if (err < 0 || end == start)
        return err;
    err = policy_of(&choice, &policy);
    if (err < 0)
        return err;
    /* A page that is there lies on node 0: in the wrong place, if the mask does not have it. */
    bool none_there = (flags & MPOL_MF_VALID) == MPOL_MF_STRICT && choice.mode != MPOL_DEFAULT &&
                      !choice.nodes.first;
    return mm_set_policy(task->mm, start, end, policy, none_there);
}

long sys_set_mempolicy_home_node(struct task *task, const struct syscall_args *args)
{
    uint64_t start = args->a[0], end;
    if (args->a[3] != 0 || args->a[2] != 0)
        return -EINVAL;
    int err = range_end(start, args->a[1], &end);
    if (err < 0 || end == start)
        return err;
    err = -ENOENT;
    mutex_lock(&task->mm->lock);
    for (const struct vma *v = vma_above(task->mm, start);
         v && v->start < end && err != -EOPNOTSUPP; v = v->next) {
        uint32_t mode = mode_of(mm_policy_of(v));
        if (mode == MPOL_BIND || mode == MPOL_PREFERRED_MANY)
            err = 0;
        else if (mode != MPOL_DEFAULT)
            err = -EOPNOTSUPP;
    }
    mutex_unlock(&task->mm->lock);
    return err;
}

/* Whose pages are to move; no task: init or a zombie, without memory. */
static int find_target(struct task *task, int pid, const struct mm **mm)
{
    int err = 0;
    mutex_lock(&g_process_lock);
    struct task *t = task;
    struct process *p = task->process;
    if (pid) {
        t = task_find(pid);
        p = t ? t->process : process_find(pid);
    }
    if (!p)
        err = -ESRCH;
    else if (!process_may_look_into(task->process, p))
        err = -EPERM;
    *mm = t ? t->mm : NULL;
    mutex_unlock(&g_process_lock);
    return err;
}

long sys_migrate_pages(struct task *task, const struct syscall_args *args)
{
    struct node_set from, to;
    const struct mm *mm;
    int err = read_nodes(&from, args->a[2], args->a[1]);
    if (err == 0)
        err = read_nodes(&to, args->a[3], args->a[1]);
    if (err == 0)
        err = find_target(task, (int)args->a[0], &mm);
    if (err < 0)
        return err;
    if (to.others && !process_capable(task->process, CAP_SYS_NICE))
        return -EPERM;
    return to.first && mm ? 0 : -EINVAL;
}

/* One page of move_pages(2): node 0 or an errno, for `status`. Error: that of the call. */
static int page_status(struct task *task, const struct syscall_args *args, uint64_t i, int *status)
{
    uint64_t page;
    int node = 0;
    if (user_read(&page, args->a[2] + i * sizeof(page), sizeof(page)) ||
        (args->a[3] && user_read(&node, args->a[3] + i * sizeof(node), sizeof(node))))
        return -EFAULT;
    if (node != 0)
        return -ENODEV;
    *status = mm_page_present(task->mm, page_down(page));
    return 0;
}

long sys_move_pages(struct task *task, const struct syscall_args *args)
{
    const struct mm *mm;
    uint64_t flags = (uint32_t)args->a[5];
    if (flags & ~(uint64_t)(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL))
        return -EINVAL;
    if (flags & MPOL_MF_MOVE_ALL && !process_capable(task->process, CAP_SYS_NICE))
        return -EPERM;
    int err = find_target(task, (int)args->a[0], &mm);
    if (err == 0 && !mm)
        err = -EINVAL;
    if (err == 0 && mm != task->mm) {
        stats_unsupported("move_pages: of another process");
        err = -ENOSYS;
    }
    for (uint64_t i = 0; err == 0 && i < args->a[1]; i++) {
        int status;
        if (i % PAGES_AT_ONCE == PAGES_AT_ONCE - 1 && task_interrupted(task))
            return -ERESTARTNOINTR;
        err = page_status(task, args, i, &status);
        if (err == 0 && user_write(args->a[4] + i * sizeof(status), &status, sizeof(status)))
            err = -EFAULT;
    }
    return err;
}
