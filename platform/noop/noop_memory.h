/*
 * noop_memory.h: simulated guest memory: a table of pages and bytes that no processor ever maps.
 * One space, one thread.
 */
#ifndef PALIMPSEST_PLATFORM_NOOP_MEMORY_H
#define PALIMPSEST_PLATFORM_NOOP_MEMORY_H

#include <stdbool.h>

#include "platform/guest_memory.h"

extern const struct memory_ops noop_memory_ops;

/* Forget every mapping of the space. Objects live on while referenced. */
void noop_memory_clear(void);

/* Pages now held by the space itself; see aspace_stats.pages_resident. */
uint64_t noop_memory_resident_pages(void);

/* front.h, fault_arm: the host call that can fail here is the allocation of memory. */
bool noop_memory_fault_arm(unsigned nth);

#endif
