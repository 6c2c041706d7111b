/*
 * publish.h: ports of the guest that the host's loopback reaches (pal run --publish).
 */
#ifndef PALIMPSEST_SHIM_NET_PUBLISH_H
#define PALIMPSEST_SHIM_NET_PUBLISH_H

#include "platform/annotations.h"

/* Start to serve what g_config names; nothing if it names none. Once, by shim_main. Errors: -ENOENT (the platform has no such
 * sockets), -ENOMEM, -EAGAIN. */
MUST_USE int publish_start(void);
/* The instance is about to end: wait until what guests have sent is the host's, at most a second. */
void publish_drain(void);

#endif
