/*
 * signal.h: signal sets, queues, dispositions, delivery. Semantics: signal(7).
 */
#ifndef PALIMPSEST_SHIM_SIGNAL_H
#define PALIMPSEST_SHIM_SIGNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/annotations.h"
#include "shim/linux_abi/signal.h"

struct task;
struct process;
struct guest_exit;

struct sigset {
    uint64_t bits; /* bit n-1 is signal n */
};
static inline bool sigset_has(struct sigset s, int sig)
{
    return (s.bits >> (sig - 1)) & 1;
}
static inline void sigset_add(struct sigset *s, int sig)
{
    s->bits |= 1ull << (sig - 1);
}
static inline void sigset_remove(struct sigset *s, int sig)
{
    s->bits &= ~(1ull << (sig - 1));
}

struct signal_entry {
    struct signal_entry *prev, *next;
    struct abi_siginfo info;    /* info.si_signo says which */
    struct signal_queue *queue; /* that holds it; NULL: none */
    struct posix_timer *timer;  /* whose own it is, made with it; NULL: from the heap */
};
struct signal_queue {
    struct sigset set; /* at least one is queued */
    /* Standard signals at most once each (timers' apart), real-time in order */
    struct signal_entry *entries;
};
struct signal_altstack {
    uint64_t sp, size;
    uint32_t flags; /* SS_DISABLE, SS_AUTODISARM */
};
struct sighand { /* shared by CLONE_SIGHAND; under g_process_lock */
    unsigned refs;
    struct abi_sigaction action[64];
};

/* Queue a signal. Caller holds g_process_lock. 0, or -EAGAIN (RLIMIT_SIGPENDING, real-time only). */
int signal_send_task(struct task *task, const struct abi_siginfo *info);
int signal_send_process(struct process *process, const struct abi_siginfo *info);
/* All processes of a group; 0 or -ESRCH. Caller holds g_process_lock. */
int signal_send_pgrp(int pgid, const struct abi_siginfo *info);
/* Kernel-made info with si_code SI_KERNEL, or SI_USER from `sender`. */
struct abi_siginfo signal_info_kernel(int sig);
struct abi_siginfo signal_info_user(int sig, const struct process *sender);
/* A fault of the task's own: forced, kills when blocked or ignored. */
void signal_force_fault(struct task *task, const struct guest_exit *exit);
void signal_force(struct task *task, int sig); /* e.g. SIGSEGV for a bad frame */
/* SIGPIPE to the caller, as write(2) does. */
void signal_sigpipe(struct task *task);

/* What waits for the task, blocked or not. Under g_process_lock. */
struct sigset signal_pending_set(const struct task *task);
/* Take the first waiting signal of `wanted` off its queue, blocked or not (signalfd, sigtimedwait). false: none. Takes
 * g_process_lock. */
bool signal_take(struct task *task, struct sigset wanted, struct abi_siginfo *out);
/* Change the calling task's mask; SIGKILL and SIGSTOP stay unblocked. May take g_process_lock. */
void signal_set_blocked(struct task *task, struct sigset blocked);
/* A mask for the rest of this system call (ppoll, sigsuspend): the old one returns when the call is over, after delivery if
 * the call ends by -ERESTARTNOHAND or -EINTR. */
void signal_set_temporary_mask(struct task *task, struct sigset blocked);

/* Before going back to guest code: deliver, stop, die, restart the call. Called by task_loop only. */
void signal_work(struct task *task);
/* A deliverable (unblocked, not ignored) signal waits. */
bool signal_pending(struct task *task);

#endif
