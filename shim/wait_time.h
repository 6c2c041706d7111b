/*
 * wait_time.h: timeouts and temporary signal masks as poll(2) and its relatives take them. Deadlines are monotonic nanoseconds
 * as thread_park() wants them; 0: do not wait at all.
 */
#ifndef PALIMPSEST_SHIM_WAIT_TIME_H
#define PALIMPSEST_SHIM_WAIT_TIME_H

#include <stdint.h>

#include "platform/annotations.h"

struct task;

/* 0, 0: do not wait; beyond the end of time: forever */
uint64_t wait_deadline(int64_t sec, int64_t nsec);
uint64_t wait_deadline_ms(int timeout_ms); /* negative: forever */
/* From a struct timespec; addr 0: forever. Errors: -EFAULT, -EINVAL. */
MUST_USE int wait_deadline_user(uint64_t addr, uint64_t *deadline_ns);
uint64_t wait_left(uint64_t deadline_ns); /* nanoseconds */
/* Write what is left back to the struct timespec. addr 0, or a fault: nothing happens. */
void wait_time_left(uint64_t addr, uint64_t deadline_ns);
/* Install the mask at addr for the rest of the call; addr 0: none. Errors: -EFAULT, -EINVAL (size). */
MUST_USE int wait_mask_user(struct task *task, uint64_t addr, uint64_t size);

#endif
