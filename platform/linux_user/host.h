/*
 * host.h: host calls that tests can make fail. lu_host() is for calls whose failure a platform operation reports; once armed, the
 * Nth of them fails without being made. host_call() (x86_64/host_call.h) is for calls that cannot fail or are not reported.
 */
#ifndef PALIMPSEST_LINUX_USER_HOST_H
#define PALIMPSEST_LINUX_USER_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/linux_user/x86_64/host_call.h"

struct lu_fault_injection {
    uint32_t fail_at; /* 0: disarmed */
    uint32_t count;
    uint32_t fired;
};
extern struct lu_fault_injection g_lu_fault;

/* The Nth call from now on fails with -ENOMEM; 0 disarms. Result: whether the call armed before came. */
bool lu_fault_arm(unsigned nth);
/* Counts one call; true: it must fail. */
bool lu_fault_now(void);

/* For failures of our own pools: counts like a host call. */
#define lu_fault_hit() (__builtin_expect(g_lu_fault.fail_at != 0, 0) && lu_fault_now())
#define lu_host(...) (lu_fault_hit() ? -12L : host_call(__VA_ARGS__))

#endif
