/*
 * process.h: tasks (threads), processes (thread groups), process groups, sessions.
 *
 * One lock, g_process_lock, guards the process tree: ids, parents, children, groups, sessions, task lists, states, exit
 * codes, signal queues and dispositions. It is never held across a call that sleeps, a platform call other than
 * unpark/interrupt/wake and cpu_time, or a guest copy. Lock order: docs/locking.md.
 */
#ifndef PALIMPSEST_SHIM_PROCESS_H
#define PALIMPSEST_SHIM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/base/hash.h"

#include "platform/guest_context.h"
#include "platform/thread.h"
#include "shim/signal.h"
#include "shim/sync.h"

struct mm;
struct fd_table;
struct fs_state;
struct tty_session;
struct pid_ref;
struct process;
struct syscall_args;

extern struct mutex g_process_lock;

/* Results below -511 never reach a guest: syscall exit turns them into -EINTR or a restart, as Linux does. */
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ERESTART_RESTARTBLOCK 516

enum task_state {
    TASK_RUNNING,  /* in guest or shim code */
    TASK_SLEEPING, /* interruptible, in a wait queue or with a deadline */
    TASK_STOPPED,  /* job control */
    TASK_DEAD,
};

struct task {
    /* fixed at birth */
    int tid;
    struct thread *thread;
    struct guest_context *ctx;

    /* changed only by the task itself (or before it runs); NULL once dropped in its own exit. Owned references. */
    struct process *process;
    struct mm *mm;
    struct fd_table *files;
    struct fs_state *fs;

    /* under g_process_lock */
    enum task_state state;
    struct task *prev, *next;    /* process->tasks */
    UT_hash_handle hh;           /* by tid */
    struct sigset sigwait;       /* what rt_sigtimedwait sleeps for, though blocked */
    struct signal_queue pending; /* directed at this task */
    uint64_t profiled_ns;        /* its processor time when SIGPROF or SIGVTALRM last chose it */
    bool vfork_waiting;          /* until the child of vfork execs or exits */

    /* Written only by the task itself, without a lock: signal_set_blocked. Senders read it under g_process_lock */
    struct sigset blocked;

    /* private to the task */
    struct sigset saved_blocked; /* to restore after sigsuspend, ppoll, ... */
    bool restore_blocked;
    struct signal_altstack altstack;
    uint64_t clear_child_tid; /* guest address; 0: none */
    uint64_t set_child_tid;
    uint64_t robust_list; /* guest address of the head; 0: none */
    struct {              /* sequence.c */
        uint64_t area;    /* guest address; 0: none */
        uint32_t signature;
    } sequence;
    struct sem_undo_list *sem_undo; /* shared reference; NULL: none; ipc.h */
    char comm[16];
    uint64_t fault_address, fault_error, fault_trap; /* of the last fault, for signal frames */
    struct restart_block {
        long (*resume)(struct task *task); /* restart_syscall(2); NULL: none */
        uint64_t deadline_ns, arg[4];
    } restart;
    bool in_syscall;         /* registers hold a call that may be restarted */
    uint64_t syscall_number; /* original rax */
    /* syscall.c: the call that guest_run reports has run; its result is `answer` */
    bool answered;
    long answer;
    uint64_t start_ns;
    /* trace.c: the line of the current call so far; owned; NULL: none */
    char *trace_line;
    unsigned trace_next;              /* trace.c: first argument not yet in it */
    struct task *thread_next;         /* task.c: found by thread, for task_current */
    int sched_policy, sched_priority; /* told back, without effect */
    bool sched_reset_on_fork;         /* children are ordinary again */
    uint64_t affinity;                /* of the first 64 processors, told back; 0: all */
    uint32_t memory_policy;           /* MM_POLICY_*, told back */
    int ioprio;
    uint64_t timer_slack_ns;

    /* any thread, atomically */
    /* 1: signal or stop or exit work is waiting; set with guest_interrupt */
    uint32_t interrupted;
    uint32_t exiting; /* 1: group is dying: leave as soon as possible */
    /* futex_pi.c: somebody waited for a lock of its own; it is beyond giving them up */
    bool pi_waited, pi_exited;
};

enum process_state {
    PROCESS_ALIVE,
    PROCESS_STOPPED,
    PROCESS_ZOMBIE, /* exited, not yet waited for */
    PROCESS_REAPED,
};

struct process {
    int pid;
    UT_hash_handle hh;
    /* under g_process_lock */
    struct process *parent; /* changed by process_set_parent() */
    int ppid;               /* its pid, for getppid: read without the lock */
    struct process *children, *sibling_prev, *sibling_next;
    struct task *tasks;
    unsigned task_count;
    int pgid, sid;
    struct tty_session *tty; /* controlling terminal; shim/tty.h */
    int tty_old_pgid;        /* leader: what was in the foreground when its terminal hung up; 0 */
    enum process_state state;
    bool group_exiting;
    /* Name of the last task to end, for those who look at a zombie */
    char exit_comm[16];
    int exit_code;   /* wait status format */
    int exit_signal; /* SIGCHLD unless clone asked otherwise */
    int stop_signal; /* last stop, for WUNTRACED; 0: none to report */
    bool continued_unreported;
    bool did_exec;
    struct sighand *sighand;      /* owned reference */
    struct signal_queue pending;  /* directed at the process */
    struct wait_queue child_wait; /* this process's wait4 callers */
    struct pid_ref *pid_ref;      /* owned reference; NULL: no descriptor was made; fs/pidfd.h */
    struct task *vfork_waiter;    /* parent task that sleeps until exec or exit; NULL: none */
    struct task *exec_task;       /* waits for all others to end; NULL: none */
    /* Tasks stop at their next look; cleared by SIGCONT and SIGKILL */
    bool stop_requested;
    int pdeath_signal;
    int16_t oom_score_adj, oom_score_adj_min; /* proc(5) */
    bool child_subreaper, dumpable, no_new_privs, thp_disable;
    bool became_one_too_many; /* of its user's processes, by a change of ids; execve asks again */
    struct shim_rlimit {
        uint64_t cur, max;
    } rlimits[16];
    uint32_t uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
    uint32_t groups[32];
    unsigned group_count;
    struct capabilities {
        uint64_t effective, permitted, inheritable, bounding, ambient; /* bit n: CAP_* n */
        uint32_t securebits;
    } caps;
    int nice;
    uint32_t personality;
    struct itimer_state *itimers; /* sys_time.c */
    uint64_t start_ns;
    /* Of ended tasks and reaped children */
    uint64_t utime_ns, stime_ns, children_utime_ns, children_stime_ns;
    /* guarded by its own lock (exec writes, /proc reads) */
    struct mutex info_lock;
    char *exe_path; /* absolute guest path; owned */
};

/* The task of the calling thread. */
struct task *task_current(void);

/* Sleep until woken, interrupted or `deadline_ns`. 0 woken (recheck), -ERESTARTSYS when a signal, stop or exit waits for this
 * task, -ETIMEDOUT. Use inside a wait_queue add/remove pair. */
MUST_USE int task_sleep(struct task *task, uint64_t deadline_ns);
/* The same, also ended by host files becoming ready (result 1). */
MUST_USE int task_sleep_files(struct task *task, uint64_t deadline_ns,
                              struct thread_wait_file *files, size_t count);
/* A signal, stop or exit waits for this task. Cheap: one atomic load and, when set, a check under the lock. */
bool task_interrupted(struct task *task);

struct process *process_find(int pid); /* under g_process_lock; zombies too; NULL */
struct task *task_find(int tid);       /* under g_process_lock; NULL */

/* May it do what capability `cap` (CAP_*, capabilities(7)) allows? Under g_process_lock or by a task of the process. */
bool process_capable(const struct process *process, int cap);
/* ptrace(2), access mode checking: may `self` look into `other`? By its real ids (ATTACH_REALCREDS). Under g_process_lock. */
bool process_may_look_into(const struct process *self, const struct process *other);

/* Processor time of all its tasks, ended ones too. Under g_process_lock. */
void process_cpu_time(struct process *process, uint64_t *user_ns, uint64_t *system_ns);
/* No member has a parent in the same session but another group: nobody could continue it. Under g_process_lock. */
bool process_group_orphaned(int pgid);

/* clone(2) in all its forms; see sys_proc.c. Result: tid of the child or -errno. */
struct clone_request {
    uint64_t flags; /* CLONE_* without the exit signal */
    int exit_signal;
    uint64_t stack; /* new rsp; 0: the caller's */
    uint64_t tls;
    uint64_t parent_tid, child_tid, pidfd; /* guest addresses */
    int set_tid;                           /* the number the child is to have; 0: any */
};
long process_clone(struct task *task, const struct clone_request *req);

/* The calling task ends; the last one ends its process. code: wait status format. Do not return. */
NO_RETURN void task_exit(struct task *task, int code);
/* All tasks of the process end with `code`; the caller ends through task_exit on its way out. */
void process_exit_group(struct process *process, int code);
/* Every other task of the process ends before this returns (execve). 0 or -ERESTARTNOINTR when this task is dying itself. */
MUST_USE int process_kill_other_tasks(struct task *task);
/* The task is about to leave its space for good (exit, execve), which is still active: robust futexes, clear_child_tid. */
void task_release_mm(struct task *task);
/* Whether that would do anything; its space need not be active. */
bool task_must_release_mm(struct task *task);
/* false: a change of ids made it one too many of its user's processes (RLIMIT_NPROC), and it still is: EAGAIN. No lock. */
bool process_may_exec(struct process *process);
/* What the program's set-user-ID and set-group-ID bits make of a process, execve(2). */
struct exec_ids {
    uint32_t euid, egid;
    bool by_file; /* the bits decided */
    bool secure;  /* AT_SECURE: the program is not the caller's own */
};
struct file_stat;
/* No lock. */
struct exec_ids process_exec_ids(const struct process *process, const struct file_stat *program);
/* execve succeeded: signal handlers reset, CLOEXEC done by the caller, vfork parent released, comm set. */
void process_did_exec(struct task *task, const char *comm, const struct exec_ids *ids);

/* The first process (pid 2) with its only task, not yet running; and the loop every task runs. */
MUST_USE struct task *process_create_first(int *err);
NO_RETURN void task_loop(struct task *task);
/* Start `task` as a thread in its mm's space (the thread's entry is task_loop). */
MUST_USE int task_start(struct task *task);

#endif
