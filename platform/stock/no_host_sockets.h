/*
 * no_host_sockets.h: host sockets for a platform that has no way to the host's network. Nothing is published and none can be
 * opened, so no handle ever exists; a call with one is a bug of the caller.
 */
#ifndef PALIMPSEST_PLATFORM_STOCK_NO_HOST_SOCKETS_H
#define PALIMPSEST_PLATFORM_STOCK_NO_HOST_SOCKETS_H

#include "platform/host_socket.h"

extern const struct host_socket_ops stock_no_host_sockets_ops;

#endif
