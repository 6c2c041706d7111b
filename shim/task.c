/*
 * task.c: a thread of a guest process: its sleep, its loop, and how others make it look up.
 */
#include <linux/signal.h>

#include "platform/contract.h"
#include "platform/errno.h"
#include "shim/budget.h"
#include "shim/mm.h"
#include "shim/process.h"
#include "shim/process_internal.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/syscall.h"

/* Page-fault error code, SDM vol. 3, 4.7. */
#define FAULT_WRITE 2u
#define FAULT_FETCH 16u

/* Tasks by thread. Not a uthash: that links all elements in one list, and a fork would touch its neighbours' pages. */
#define THREAD_BUCKETS 256u
static struct thread_bucket {
    struct mutex lock;
    struct task *head;
} g_threads[THREAD_BUCKETS];

static struct thread_bucket *thread_bucket(const struct thread *thread)
{
    return &g_threads[((uintptr_t)thread / THREAD_STACK_SIZE) % THREAD_BUCKETS];
}

void task_register_thread(struct task *task)
{
    struct thread_bucket *b = thread_bucket(task->thread);
    mutex_lock(&b->lock);
    task->thread_next = b->head;
    b->head = task;
    mutex_unlock(&b->lock);
}

void task_forget_thread(struct task *task, const struct thread *thread)
{
    struct thread_bucket *b = thread_bucket(thread);
    mutex_lock(&b->lock);
    for (struct task **link = &b->head; *link; link = &(*link)->thread_next) {
        if (*link == task) {
            *link = task->thread_next;
            break;
        }
    }
    mutex_unlock(&b->lock);
}

struct task *task_current(void)
{
    struct thread *thread = thread_current(g_platform);
    struct thread_bucket *b = thread_bucket(thread);
    mutex_lock(&b->lock);
    struct task *task = b->head;
    while (task && task->thread != thread)
        task = task->thread_next;
    mutex_unlock(&b->lock);
    return task;
}

struct task *task_create(int *err)
{
    struct task *t = shim_zalloc(sizeof(*t));
    if (!t) {
        *err = -ENOMEM;
        return NULL;
    }
    t->ctx = guest_context_create(g_platform, err);
    if (!t->ctx) {
        shim_free(t);
        return NULL;
    }
    t->ctx->prompt = syscall_prompt_table();
    t->ctx->owner = t;
    t->altstack.flags = SS_DISABLE;
    t->timer_slack_ns = 50000;
    return t;
}

void task_free(struct task *task)
{
    guest_context_destroy(g_platform, task->ctx);
    shim_free(task);
}

void task_kick(struct task *task)
{
    __atomic_store_n(&task->interrupted, 1, __ATOMIC_SEQ_CST);
    /* A task looks at `interrupted` before each entry to guest code: no need to interrupt oneself. */
    if (task->thread && task->thread != thread_current(g_platform))
        guest_interrupt(g_platform, task->thread);
}

bool task_interrupted(struct task *task)
{
    if (!__atomic_load_n(&task->interrupted, __ATOMIC_SEQ_CST))
        return false;
    mutex_lock(&g_process_lock);
    bool due = task->exiting || task->process->stop_requested ||
               (signal_pending_set(task).bits & ~task->blocked.bits);
    if (!due)
        __atomic_store_n(&task->interrupted, 0, __ATOMIC_SEQ_CST);
    mutex_unlock(&g_process_lock);
    return due;
}

int task_sleep_files(struct task *task, uint64_t deadline_ns, struct thread_wait_file *files,
                     size_t count)
{
    if (task_interrupted(task))
        return -ERESTARTSYS;
    /* Only for people who look: /proc shows it. */
    __atomic_store_n(&task->state, TASK_SLEEPING, __ATOMIC_RELAXED);
    int r = thread_park(g_platform, deadline_ns, files, count);
    __atomic_store_n(&task->state, TASK_RUNNING, __ATOMIC_RELAXED);
    if (r == 0 && task_interrupted(task))
        return -ERESTARTSYS;
    return r;
}

int task_sleep(struct task *task, uint64_t deadline_ns)
{
    return task_sleep_files(task, deadline_ns, NULL, 0);
}

static void task_entry(void *arg)
{
    task_loop(arg);
}

int task_start(struct task *task)
{
    return thread_spawn(g_platform, task->mm->as, task_entry, task, &task->thread);
}

static void handle_syscall(struct task *task)
{
    syscall_dispatch(task);
    uint64_t rax = task->ctx->regs.rax;
    if (!syscall_wants_restart((long)rax))
        task->in_syscall = false;
    /* A temporary mask outlives the call only until the signal it let through is delivered. */
    if (task->restore_blocked && rax != (uint64_t)-ERESTARTNOHAND && rax != (uint64_t)-EINTR) {
        task->restore_blocked = false;
        signal_set_blocked(task, task->saved_blocked);
    }
}

void task_loop(struct task *task)
{
    task_register_thread(task);
    if (task->set_child_tid) {
        int tid = task->tid;
        if (user_write(task->set_child_tid, &tid, sizeof(tid)))
            task->set_child_tid = 0; /* Linux ignores this as well */
    }
    if (!sequence_begin(task))
        signal_force_fault(task, &(struct guest_exit){.fault = GUEST_FAULT_SEQUENCE});
    for (;;) {
        struct guest_exit exit;
        if (task->in_syscall || task->restore_blocked ||
            __atomic_load_n(&task->interrupted, __ATOMIC_SEQ_CST))
            signal_work(task);
        guest_run(g_platform, task->ctx, &exit);
        switch (exit.reason) {
        case GUEST_SYSCALL:
            handle_syscall(task);
            break;
        case GUEST_FAULT:
            if (exit.fault == GUEST_FAULT_NO_MEMORY) {
                budget_exhausted(task);
                break;
            }
            /* A stack grows where nothing is mapped yet, and never by running what is below it. */
            if (exit.fault == GUEST_FAULT_UNMAPPED && !(exit.error_code & FAULT_FETCH) &&
                mm_fault(task->mm, exit.addr.raw, (exit.error_code & FAULT_WRITE) != 0))
                break;
            stats_count(&g_stats.faults_delivered);
            signal_force_fault(task, &exit);
            break;
        case GUEST_INTERRUPT:
            stats_count(&g_stats.interrupts);
            break;
        case GUEST_END:
            platform_unimplemented("shim: this platform runs no guest code");
        }
    }
}
