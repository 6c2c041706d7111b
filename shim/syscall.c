#include "shim/syscall.h"

#include "platform/errno.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/sys_exec.h"
#include "shim/sys_file.h"
#include "shim/sys_futex.h"
#include "shim/sys_ipc.h"
#include "shim/sys_mm.h"
#include "shim/sys_poll.h"
#include "shim/sys_proc.h"
#include "shim/sys_signal.h"
#include "shim/sys_socket.h"
#include "shim/sys_time.h"
#include "shim/trace.h"

#define ENTRY(call, arg_count, how, remark)                                                        \
    [__NR_##call] = {#call, sys_##call, arg_count, how, remark},

const struct syscall_entry g_syscalls[SYSCALL_COUNT] = {
    SHIM_SYSCALLS_MM(ENTRY)
    SHIM_SYSCALLS_IPC(ENTRY)
    SHIM_SYSCALLS_EXEC(ENTRY)
    SHIM_SYSCALLS_PROC(ENTRY)
    SHIM_SYSCALLS_SIGNAL(ENTRY)
    SHIM_SYSCALLS_TIME(ENTRY)
    SHIM_SYSCALLS_FUTEX(ENTRY)
    SHIM_SYSCALLS_FILE(ENTRY)
    SHIM_SYSCALLS_POLL(ENTRY)
    SHIM_SYSCALLS_SOCKET(ENTRY)
};
_Static_assert(SYSCALL_COUNT <= STATS_SYSCALL_MAX, "every call has a counter");

static long run_handler(struct task *task, uint64_t number, const struct syscall_args *args)
{
    if (number >= SYSCALL_COUNT) {
        stats_count(&g_stats.calls_out_of_range);
        return -ENOSYS;
    }
    stats_count(&g_stats.calls[number]);
    const struct syscall_entry *entry = &g_syscalls[number];
    if (!entry->handler) {
        stats_count(&g_stats.unsupported[number]);
        return -ENOSYS;
    }
    return entry->handler(task, args);
}

void syscall_dispatch(struct task *task)
{
    struct guest_regs *regs = &task->ctx->regs;
    struct syscall_args args = {{regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9}};
    uint64_t number = (uint32_t)regs->rax; /* Linux looks at eax only */

    task->syscall_number = regs->rax;
    task->in_syscall = true;
    if (g_config->trace)
        trace_enter(task, number, &args);
    long result = run_handler(task, number, &args);
    if (g_config->trace)
        trace_exit(task, number, &args, result);
    if (result == SYSCALL_KEEP_REGS)
        task->in_syscall = false;
    else
        regs->rax = (uint64_t)result;
}
