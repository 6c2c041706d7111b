/*
 * device.h: the network as programs look at it: one device, lo, up unless --net=none.
 */
#ifndef PALIMPSEST_SHIM_NET_DEVICE_H
#define PALIMPSEST_SHIM_NET_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#define DEVICE_NAME "lo"
#define DEVICE_INDEX 1
#define DEVICE_MTU 65536u
#define DEVICE_QUEUE 1000u /* txqlen */

/* IFF_* of lo. */
unsigned device_flags(void);
/* SIOCGIF*, SIOCSIF* on a socket of `family`: netdevice(7). -ENOTTY: none of these. */
int64_t device_ioctl(int family, unsigned request, uint64_t arg);

#endif
