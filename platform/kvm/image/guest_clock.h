/*
 * guest_clock.h: clocks that guest code reads without a system call: code and numbers in pages of the image that ring 3 may execute and
 * read (image.ld), and nothing else of the image.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_GUEST_CLOCK_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_GUEST_CLOCK_H

#include <stdint.h>

#include "platform/clock.h"

/* Guests read them, nobody writes them after boot. */
struct guest_clock {
    uint64_t tsc, ns_per_tick;                       /* 32.32 */
    uint64_t monotonic_ns, realtime_ns, boottime_ns; /* at `tsc` */
};
extern struct guest_clock g_guest_clock;

/* Where they lie: what the kernel's map shows to guests. */
extern char g_guest_text[], g_guest_data[], g_guest_data_end[];

/* clock_ops.guest_entry. 0 where this machine shows guests no page of the image. */
uint64_t guest_clock_entry(struct platform *p, enum clock_guest_call call);

#endif
