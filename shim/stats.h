/*
 * stats.h: what happened, counted; printed by `pal run --stats`. Counters are relaxed atomics.
 */
#ifndef PALIMPSEST_SHIM_STATS_H
#define PALIMPSEST_SHIM_STATS_H

#include <stdbool.h>
#include <stdint.h>

struct aspace;

#define STATS_SYSCALL_MAX 512
struct shim_stats {
    uint64_t calls[STATS_SYSCALL_MAX];       /* by number */
    uint64_t unsupported[STATS_SYSCALL_MAX]; /* answered ENOSYS */
    uint64_t calls_out_of_range;
    uint64_t calls_prompt; /* of `calls`: run inside guest_run */
    uint64_t faults_delivered, interrupts, signals_delivered;
    uint64_t forks, vforks, threads, execs, exits;
};
extern struct shim_stats g_stats;
static inline void stats_count(uint64_t *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}
/* A feature of a supported call that is not there (an ioctl, a flag): counted by a short constant name. */
void stats_unsupported(const char *what);
/* A space is about to be destroyed: its counters join the totals and the per-space table. */
void stats_space_ends(const struct aspace *as, int pid, const char *comm);
void stats_print(void);

#endif
