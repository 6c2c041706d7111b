/*
 * timer.h: what interval timers (timer.c) and POSIX timers (posix_timer.c) share. All under g_process_lock.
 */
#ifndef PALIMPSEST_SHIM_TIMER_H
#define PALIMPSEST_SHIM_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/annotations.h"

struct process;

/* The kernel's numbers for the three readings of a processor-time clock (posix-timers.h). */
enum cpu_reading { CPU_USER_AND_SYSTEM, CPU_USER, CPU_SCHEDULED };

/* A processor-time clock. */
struct cpu_clock {
    bool per_thread;
    int id; /* of the process or thread */
    enum cpu_reading reading;
};

/*
 * A timer counts on the monotonic clock, or on a processor-time clock: then its deadline says when to look at that clock again.
 */
struct timer {
    struct timer *prev, *next; /* g_armed, while armed */
    bool armed, on_cpu;
    uint64_t deadline_ns; /* monotonic */
    uint64_t interval_ns; /* 0: once */
    struct cpu_clock cpu; /* and, if on_cpu: */
    uint64_t cpu_limit_ns;
    /* It expired, and `missed` times more since anybody looked. May disarm it. false: nobody heard of it, nor will soon. */
    bool (*fire)(struct timer *t, uint64_t missed);
};

/* 0, or -EINVAL: whoever it belonged to is gone. */
MUST_USE int cpu_clock_read(const struct cpu_clock *clock, uint64_t *ns);
/* From a clockid_t of clock_gettime(2) that stands for one. -EINVAL: none does, or it is not this process's to use. */
MUST_USE int cpu_clock_of_id(struct process *process, int tid, int clockid, struct cpu_clock *out);

/* Start at an absolute time of its clock; on_cpu and cpu are set. timer_poke() afterwards, without the lock. */
void timer_arm(struct timer *t, uint64_t at_ns, uint64_t interval_ns);
void timer_disarm(struct timer *t);
/* Until it expires; 0: not armed. Never 0 while it is. */
uint64_t timer_left(const struct timer *t);
/* When it will or would expire next, whether it is armed or not: on its clock, at `now` or later. *passed: how often it would have by then. */
uint64_t timer_forward(const struct timer *t, uint64_t now, uint64_t *passed);
/* The time on its clock. */
uint64_t timer_now(const struct timer *t);
/* Without the lock: the thread that waits for timers exists / looks again. */
MUST_USE int timer_thread_start(void);
void timer_poke(void);

struct posix_timer;
struct itimer_state {
    struct interval_timer {
        struct timer timer; /* first */
        struct process *process;
        int signal;
        bool waits;                  /* to be armed again, until its signal is taken */
    } interval[3];                   /* by ITIMER_* */
    struct interval_timer cpu_limit; /* RLIMIT_CPU: SIGXCPU each second from the soft limit on */
    struct posix_timer *posix;
    int next_id;
};
/* The process's; made when missing. On success g_process_lock is held. -ENOMEM, or as timer_thread_start. */
MUST_USE int timers_lock(struct process *process, struct itimer_state **out);
void posix_timers_delete(struct itimer_state *s);

#endif
