/*
 * single_thread.h: threads for a platform that has only the one that runs platform_main. spawn is
 * -ENOTSUP. Waiting for something that only another thread could bring returns at once, which the
 * contract calls spurious. Processor time is not counted: 0.
 */
#ifndef PALIMPSEST_PLATFORM_STOCK_SINGLE_THREAD_H
#define PALIMPSEST_PLATFORM_STOCK_SINGLE_THREAD_H

#include "platform/thread.h"

extern const struct thread_ops stock_single_thread_ops;

#endif
