/*
 * sequence.c: rseq(2) and membarrier(2): the shim keeps who registered what and checks; platforms do the work, since they alone see
 * threads preempted (docs/design/0011).
 */
#include <linux/membarrier.h>
#include <linux/rseq.h>

#include "platform/errno.h"
#include "platform/guest_context.h"
#include "shim/mm.h"
#include "shim/process.h"
#include "shim/process_internal.h"
#include "shim/shim.h"
#include "shim/sys_proc.h"
#include "shim/syscall.h"

#define AREA_SIZE                                                                                  \
    32u /* of struct rseq as first published: what AT_RSEQ_FEATURE_SIZE may add is not there */

bool sequence_begin(struct task *task)
{
    if (!task->sequence.area)
        return true;
    int err = guest_sequence(g_platform, guest_addr(task->sequence.area), task->sequence.signature);
    if (err)
        task->sequence.area = 0;
    return err == 0;
}

void sequence_end(struct task *task)
{
    if (task->sequence.area && guest_sequence(g_platform, guest_addr(0), 0) == 0)
        task->sequence.area = 0;
}

static long unregister(struct task *task, uint64_t area, uint32_t size, uint32_t flags,
                       uint32_t signature)
{
    uint32_t cpu_unknown[2] = {0, (uint32_t)RSEQ_CPU_ID_UNINITIALIZED};
    if (flags != RSEQ_FLAG_UNREGISTER || !task->sequence.area || task->sequence.area != area ||
        size != AREA_SIZE)
        return -EINVAL;
    if (task->sequence.signature != signature)
        return -EPERM;
    if (user_write(area, cpu_unknown, sizeof(cpu_unknown)))
        return -EFAULT;
    sequence_end(task);
    return 0;
}

/* rseq(2) */
long sys_rseq(struct task *task, const struct syscall_args *args)
{
    uint64_t area = args->a[0];
    uint32_t size = (uint32_t)args->a[1], flags = (uint32_t)args->a[2],
             signature = (uint32_t)args->a[3];
    if (flags & RSEQ_FLAG_UNREGISTER)
        return unregister(task, area, size, flags, signature);
    if (flags)
        return -EINVAL;
    if (task->sequence.area) {
        if (task->sequence.area != area || size != AREA_SIZE)
            return -EINVAL;
        return task->sequence.signature != signature ? -EPERM : -EBUSY;
    }
    if (area % AREA_SIZE != 0 || size != AREA_SIZE)
        return -EINVAL;
    if (!area || !guest_range_ok(g_platform, guest_addr(area), AREA_SIZE))
        return -EFAULT;
    int err = guest_sequence(g_platform, guest_addr(area), signature);
    if (err == -ENOTSUP)
        return -ENOSYS;
    if (err)
        return err;
    task->sequence.area = area;
    task->sequence.signature = signature;
    return 0;
}

/* ---- membarrier(2) ---- */

static const struct {
    int command, registration;
    bool needs_registration;
} g_kinds[GUEST_BARRIER_KINDS] = {
    [GUEST_BARRIER_MEMORY] = {MEMBARRIER_CMD_PRIVATE_EXPEDITED,
                              MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, true},
    [GUEST_BARRIER_CODE] = {MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE,
                            MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, true},
    [GUEST_BARRIER_SEQUENCES] = {MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
                                 MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, true},
    [GUEST_BARRIER_EVERYWHERE] = {MEMBARRIER_CMD_GLOBAL_EXPEDITED,
                                  MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, false},
};

/* Which there are, each tried once: a barrier more does no harm. */
static long query(void)
{
    long commands = 0;
    for (unsigned kind = 0; kind < GUEST_BARRIER_KINDS; kind++)
        if (guest_barrier(g_platform, (enum guest_barrier_kind)kind, -1) == 0)
            commands |= g_kinds[kind].command | g_kinds[kind].registration;
    /* The expedited one serves those who did not register as well */
    if (commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED)
        commands |= MEMBARRIER_CMD_GLOBAL;
    return commands;
}

static long barrier(struct task *task, enum guest_barrier_kind kind, int cpu)
{
    bool registered = __atomic_load_n(&task->mm->barriers, __ATOMIC_SEQ_CST) >> kind & 1;
    if (g_kinds[kind].needs_registration && !registered)
        return -EPERM;
    int err = guest_barrier(g_platform, kind, cpu);
    return err == -ENOTSUP ? -EINVAL : err;
}

static long register_kind(struct task *task, enum guest_barrier_kind kind)
{
    /* Tried, so that none is promised that is not there; it also orders what came before against what comes */
    if (guest_barrier(g_platform, kind, -1) < 0)
        return -EINVAL;
    __atomic_fetch_or(&task->mm->barriers, 1u << kind, __ATOMIC_SEQ_CST);
    return 0;
}

/* membarrier(2) */
long sys_membarrier(struct task *task, const struct syscall_args *args)
{
    int command = (int)args->a[0], cpu = -1;
    uint32_t flags = (uint32_t)args->a[1];
    if (command == MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ && flags == MEMBARRIER_CMD_FLAG_CPU)
        cpu = (int)args->a[2];
    else if (flags)
        return -EINVAL;
    if (command == MEMBARRIER_CMD_QUERY)
        return query();
    if (command == MEMBARRIER_CMD_GLOBAL)
        return barrier(task, GUEST_BARRIER_EVERYWHERE, -1);
    for (unsigned kind = 0; kind < GUEST_BARRIER_KINDS; kind++) {
        if (command == g_kinds[kind].command)
            return barrier(task, (enum guest_barrier_kind)kind, cpu);
        if (command == g_kinds[kind].registration)
            return register_kind(task, (enum guest_barrier_kind)kind);
    }
    return -EINVAL;
}
