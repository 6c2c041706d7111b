/*
 * no_guest_clock.h: guest_entry for platforms whose guests read clocks by system call alone.
 */
#ifndef PALIMPSEST_PLATFORM_STOCK_NO_GUEST_CLOCK_H
#define PALIMPSEST_PLATFORM_STOCK_NO_GUEST_CLOCK_H

#include "platform/clock.h"

uint64_t stock_no_guest_clock(struct platform *p, enum clock_guest_call call);

#endif
