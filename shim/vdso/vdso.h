/*
 * vdso.h: the shared object that every program finds by AT_SYSINFO_EHDR, vdso(7): clocks without a system call, where the platform
 * has code for that (clock.h, guest_entry).
 */
#ifndef PALIMPSEST_SHIM_VDSO_H
#define PALIMPSEST_SHIM_VDSO_H

#include <stdint.h>

#include "platform/annotations.h"

struct mm;

/* Once, before the first program. -ENOMEM: programs do without. */
MUST_USE int vdso_init(void);
/* Map it into mm, which is active. Its address; 0: there is none; -errno. */
MUST_USE int64_t vdso_map(struct mm *mm);

#endif
