/*
 * budget.h: the memory that all guests of the instance may use together (`pal run --memory`); docs/design/0010 has the reasoning.
 *
 * What guests were *promised* is an upper bound of what they use: pages of private memory that was ever writable, shared memory, files in
 * memory. While it is within the limit nothing is measured. Beyond it the platform measures: requests for more than what is left are
 * refused, and when use itself is beyond the limit, because promises were kept, the biggest process is killed.
 */
#ifndef PALIMPSEST_SHIM_BUDGET_H
#define PALIMPSEST_SHIM_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/annotations.h"

struct task;

/* Enforce the limit of the configuration, if it has one, and make room where the platform has none. Once, before guests run. Errors: those of thread_spawn. */
MUST_USE int budget_start(void);
/* Pages (negative: fewer). Any lock may be held. */
void budget_promise(int64_t pages);
/* There is room for `size` bytes more. Any lock may be held; may be slow beyond the limit. */
bool budget_allows(uint64_t size);
/* The same for data of a file in memory: the last eighth is for processes. */
bool budget_allows_file(uint64_t size);
/*
 * The platform had no memory left for what the calling task touched: the biggest process is killed, which is said once. The task tries
 * again, if it lives, until what that one had is back. No lock is held.
 */
void budget_exhausted(struct task *task);
/*
 * The same for what a system call copies (guest_memory.h, memory_shortage): another thread kills, since the caller may hold locks. false: the
 * task is dying, or nothing helped for long: an exiting process may be waiting for such a lock.
 */
bool budget_wait(unsigned asked);

#endif
