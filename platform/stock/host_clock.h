/*
 * host_clock.h: time and entropy from a hosted libc.
 */
#ifndef PALIMPSEST_PLATFORM_STOCK_HOST_CLOCK_H
#define PALIMPSEST_PLATFORM_STOCK_HOST_CLOCK_H

#include "platform/clock.h"

extern const struct clock_ops stock_host_clock_ops;

#endif
