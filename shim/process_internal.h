/*
 * process_internal.h: what the files of processes, tasks and signals share among themselves. Everything here runs under
 * g_process_lock unless said.
 */
#ifndef PALIMPSEST_SHIM_PROCESS_INTERNAL_H
#define PALIMPSEST_SHIM_PROCESS_INTERNAL_H

#include "shim/process.h"

#define INIT_PID 1
#define FIRST_PID 2

/* A number that names no process, task, group or session. */
int process_new_id(void);
/* The same for a wanted number, clone3(2). Errors: -EINVAL (beyond pid_max), -EEXIST. */
int process_claim_id(int id);
/* One more task may be made (`pal run --pids`). Zombies count, as they do on Linux. */
bool process_room_for_task(void);
/* The same as RLIMIT_NPROC says of the real user: root and the capable are free. */
bool process_room_for_user(const struct process *process);
/* Its real user is another one now; whether that is one too many is for execve to say: process_may_exec(). */
void process_changed_user(struct process *process);
void process_counts_as_zombie(void);
/* Under g_process_lock, or before the process is known to anybody. */
void process_set_parent(struct process *process, struct process *parent);
void process_insert(struct process *process, struct process *parent);
void task_insert(struct task *task, struct process *process);
void task_remove(struct task *task);
/* Out of the tree, its times added to the parent's; process_free follows, without the lock. */
void process_reap(struct process *process);
void process_free(struct process *process);

struct sighand *sighand_create(int *err); /* any thread, no lock */
void sighand_put(struct sighand *sighand);

/* A task without process, mm, files. No lock. */
struct task *task_create(int *err);
void task_free(struct task *task);
/* Make `task` look at what happened to it: it leaves guest code or its sleep. */
void task_kick(struct task *task);
void task_register_thread(struct task *task);                            /* no lock */
void task_forget_thread(struct task *task, const struct thread *thread); /* no lock */

/* capability.c: what a fresh instance's processes have; what execve leaves of it, and of being dumpable. */
#define CAPABILITIES_ALL ((1ull << 41) - 1)
void capabilities_did_exec(struct process *process);
/* creds.c: execve's last word on ids and capabilities. */
void creds_did_exec(struct process *process, const struct exec_ids *ids);
/* The options of prctl(2) about them. No lock. */
long prctl_capabilities(struct task *task, const struct syscall_args *args);

/* kill(2): may `from` signal `to`? */
bool process_may_signal(const struct process *from, const struct process *to, int sig);
/* Start the death of all tasks; the caller's own task too, if it is one of them. */
void process_start_exit(struct process *process, int code);
/* sequence.c. A new task's first act, in its own space; false: the area it inherited is bad. */
bool sequence_begin(struct task *task);
/* The task has no sequences any more. */
void sequence_end(struct task *task);
/* A space is gone, and not by us: its processes die of the signal. No lock. */
void process_space_lost(uint64_t aspace, int sig);
/* The vfork parent, if any, may go on. */
void process_release_vfork(struct process *process);
/* All tasks that remain have stopped: the parent hears of it. */
void process_check_stopped(struct process *process);

enum child_change { CHILD_EXITED, CHILD_STOPPED, CHILD_CONTINUED };
/* SIGCHLD (or the exit signal) as dispositions allow; wait4 callers join `wakes`, or are woken at once when that is NULL. true:
 * the parent does not want zombies. */
bool process_notify_parent(struct process *process, enum child_change change,
                           struct wake_list *wakes);

void signal_queue_flush(struct signal_queue *queue);
void signal_queue_drop(struct signal_queue *queue, struct sigset which);
/* A task that may have been chosen for process-wide signals goes away or blocks them: others look. */
void signal_retarget(struct process *process, struct task *except, struct sigset which);

/*
 * Signals of timers, which can be sent whatever memory and limits say: an entry counts from the birth of its timer, and is queued at
 * most once. Sent while queued: nothing. Under g_process_lock.
 */
bool signal_entry_reserve(const struct process *process); /* false: RLIMIT_SIGPENDING */
void signal_entry_release(void);
void signal_send_entry(struct process *process, struct task *task, struct signal_entry *entry);
void signal_entry_cancel(struct signal_entry *entry);
/* Its entry is about to be copied and leave its queue; left it unseen */
void timer_signal_taken(struct posix_timer *timer);
void timer_signal_gone(struct posix_timer *timer);
/* Under g_process_lock: a SIGALRM of the process was. */
void timers_alarm_taken(struct process *process);

/* Frames: signal_frame.c; no lock. 0, or -EFAULT: the stack is unusable. */
int signal_frame_push(struct task *task, const struct abi_sigaction *action,
                      const struct abi_siginfo *info, struct sigset saved);

/* Timers: timer.c. All of a process; those that execve deletes. */
void timers_process_exit(struct process *process);
void timers_did_exec(struct process *process);
/* RLIMIT_CPU was set or inherited; timer_poke() afterwards. 0, -ENOMEM. */
MUST_USE int timers_limit_cpu(struct process *process);

static inline struct sigset sigset_of(int sig)
{
    return (struct sigset){1ull << (sig - 1)};
}

#endif
