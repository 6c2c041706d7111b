/*
 * errno.h: the Linux error numbers that cross the interface, negative as return values. Source:
 * errno(3) and the kernel's asm-generic/errno.h; guest-visible numbers are the same on every
 * platform.
 */
#ifndef PALIMPSEST_PLATFORM_ERRNO_H
#define PALIMPSEST_PLATFORM_ERRNO_H
#include <asm/errno.h>
#ifndef ENOTSUP
#define ENOTSUP EOPNOTSUPP
#endif
#endif
