/*
 * single_aspace.h: address spaces for a platform that has only one.
 *
 * create gives the one space, or -ENOTSUP while it is alive; fork is always -ENOTSUP; the other
 * slots work. Memory is the platform's: one that must release it on destroy wraps destroy in a
 * function of its own (noop does).
 */
#ifndef PALIMPSEST_PLATFORM_STOCK_SINGLE_ASPACE_H
#define PALIMPSEST_PLATFORM_STOCK_SINGLE_ASPACE_H

#include "platform/address_space.h"

struct aspace *stock_single_aspace_create(struct platform *p, int *err);
struct aspace *stock_single_aspace_fork(struct platform *p, const struct aspace *parent, int *err);
int stock_single_aspace_activate(struct platform *p, const struct aspace *as);
void stock_single_aspace_vacate(struct platform *p, const struct aspace *as); /* does nothing */
void stock_single_aspace_destroy(struct platform *p, struct aspace *as);
void stock_single_aspace_stats(struct platform *p, const struct aspace *as,
                               struct aspace_stats *out);

/* Is the space active? There is one, and with stock/single_thread.h one thread to be in it. */
int stock_single_aspace_is_active(void);

extern const struct aspace_ops stock_single_aspace_ops;

#endif
