#include "shim/syscall.h"

#include "platform/errno.h"
#include "shim/mm.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/sys_absent.h"
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

#define ABSENT_ENTRY(call, reason) [__NR_##call] = {#call, NULL, 0, ABSENT, reason},
#define ENTRY(call, arg_count, how, remark)                                                        \
    [__NR_##call] = {#call, sys_##call, arg_count, how, remark},

const struct syscall_entry g_syscalls[SYSCALL_COUNT] = {
    SHIM_SYSCALLS_MM(ENTRY) SHIM_SYSCALLS_IPC(ENTRY) SHIM_SYSCALLS_EXEC(ENTRY)
        SHIM_SYSCALLS_PROC(ENTRY) SHIM_SYSCALLS_SIGNAL(ENTRY) SHIM_SYSCALLS_TIME(ENTRY)
            SHIM_SYSCALLS_FUTEX(ENTRY) SHIM_SYSCALLS_FILE(ENTRY) SHIM_SYSCALLS_POLL(ENTRY)
                SHIM_SYSCALLS_SOCKET(ENTRY) SHIM_SYSCALLS_ABSENT(ABSENT_ENTRY)};
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

#define RED_ZONE 128u

/*
 * Host calls that fill a buffer on the guest's stack cannot make it grow: it has to be there already, down to the stack pointer. Other
 * stacks than the first are all below mmap_top.
 */
static void cover_stack(const struct task *task)
{
    struct mm *mm = task->mm;
    uint64_t deepest = task->ctx->regs.rsp - RED_ZONE;
    if (deepest < __atomic_load_n(&mm->stack_low, __ATOMIC_RELAXED) && deepest >= mm->mmap_top)
        (void)mm_grow_stack(mm, deepest, true);
}

static struct syscall_args args_of(const struct guest_regs *regs)
{
    return (struct syscall_args){{regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9}};
}

void syscall_dispatch(struct task *task)
{
    struct guest_regs *regs = &task->ctx->regs;
    if (task->answered) {
        task->answered = false;
        regs->rax = (uint64_t)task->answer;
        return;
    }
    struct syscall_args args = args_of(regs);
    uint64_t number = (uint32_t)regs->rax; /* Linux looks at eax only */

    cover_stack(task);
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

/* Calls that run inside guest_run. */

static guest_prompt_call g_prompt[GUEST_PROMPT_CALLS], g_prompt_counted[GUEST_PROMPT_CALLS];
_Static_assert(GUEST_PROMPT_CALLS == SYSCALL_COUNT, "one for each call");

/* They read or write registers that are not stored, or leave the space. */
static const uint16_t g_leaving[] = {__NR_fork,       __NR_vfork,       __NR_clone, __NR_clone3,
                                     __NR_execve,     __NR_execveat,    __NR_exit,  __NR_exit_group,
                                     __NR_arch_prctl, __NR_rt_sigreturn};

static long prompt_leave(void *owner, const struct guest_regs *regs)
{
    (void)owner;
    (void)regs;
    return GUEST_CALL_LEAVE;
}

static long prompt_handler(void *owner, const struct guest_regs *regs)
{
    struct task *task = owner;
    struct syscall_args args = args_of(regs);
    const struct syscall_entry *entry = &g_syscalls[(uint32_t)regs->rax];
    cover_stack(task);
    task->syscall_number = regs->rax;
    task->in_syscall = true;
    long result = entry->handler(task, &args);
    if (!syscall_wants_restart(result) && !task->restore_blocked &&
        !__atomic_load_n(&task->interrupted, __ATOMIC_SEQ_CST)) {
        task->in_syscall = false;
        return result;
    }
    task->answered = true; /* the task's loop does the rest */
    task->answer = result;
    return GUEST_CALL_LEAVE;
}

static long prompt_unknown(void *owner, const struct guest_regs *regs)
{
    (void)owner;
    (void)regs;
    return -ENOSYS;
}

static long prompt_getpid(void *owner, const struct guest_regs *regs)
{
    const struct task *task = owner;
    (void)regs;
    return task->process->pid;
}

static long prompt_gettid(void *owner, const struct guest_regs *regs)
{
    const struct task *task = owner;
    (void)regs;
    return task->tid;
}

static long prompt_getppid(void *owner, const struct guest_regs *regs)
{
    const struct task *task = owner;
    (void)regs;
    return __atomic_load_n(&task->process->ppid, __ATOMIC_RELAXED);
}

/* With --stats: counting costs more than the short calls themselves. */
static long prompt_counted(void *owner, const struct guest_regs *regs)
{
    uint32_t number = (uint32_t)regs->rax;
    stats_count(&g_stats.calls[number]);
    stats_count(&g_stats.calls_prompt);
    if (!g_syscalls[number].handler)
        stats_count(&g_stats.unsupported[number]);
    return g_prompt[number](owner, regs);
}

void syscall_init(void)
{
    for (unsigned i = 0; i < GUEST_PROMPT_CALLS; i++)
        g_prompt[i] = g_syscalls[i].handler ? prompt_handler : prompt_unknown;
    for (unsigned i = 0; i < sizeof(g_leaving) / sizeof(g_leaving[0]); i++)
        g_prompt[g_leaving[i]] = prompt_leave;
    g_prompt[__NR_getpid] = prompt_getpid;
    g_prompt[__NR_gettid] = prompt_gettid;
    g_prompt[__NR_getppid] = prompt_getppid;
    for (unsigned i = 0; i < GUEST_PROMPT_CALLS; i++)
        g_prompt_counted[i] = g_prompt[i] == prompt_leave ? prompt_leave : prompt_counted;
}

const guest_prompt_call *syscall_prompt_table(void)
{
    if (g_config->trace)
        return NULL; /* wants registers */
    return g_config->stats ? g_prompt_counted : g_prompt;
}
