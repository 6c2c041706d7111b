/*
 * no_guest.h: guest execution for a platform that has none, or none yet. Contexts keep what is put
 * into them; guest_run reports GUEST_END at once. Goes with stock/single_thread.h: one interrupt
 * can be pending, for the one thread.
 */
#ifndef PALIMPSEST_PLATFORM_STOCK_NO_GUEST_H
#define PALIMPSEST_PLATFORM_STOCK_NO_GUEST_H

#include "platform/guest_context.h"

extern const struct guest_ops stock_no_guest_ops;

/* For platforms with a guest and without these: -ENOTSUP, and guests see a kernel without rseq(2) or membarrier(2). */
int stock_no_sequence(struct platform *p, struct guest_addr area, uint32_t signature);
int stock_no_barrier(struct platform *p, enum guest_barrier_kind kind, int cpu);

#endif
