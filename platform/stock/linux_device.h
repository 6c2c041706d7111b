/*
 * linux_device.h: the ioctls of sockets that platform/host_socket.h lets through to a Linux host; all others may change it, or hold
 * addresses of the caller's memory. Threads: any.
 */
#ifndef PLATFORM_STOCK_LINUX_DEVICE_H
#define PLATFORM_STOCK_LINUX_DEVICE_H

#include <asm/ioctls.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <stdint.h>

/* Answered with an int. */
static inline bool linux_counts(uint64_t request)
{
    return request == FIONREAD || request == TIOCOUTQ || request == SIOCATMARK;
}

/* Answered in the struct ifreq that asks. SIOCGIFCONF is none of these: its answer lies behind a pointer. */
static inline bool linux_asks_of_device(uint64_t request)
{
    switch (request) {
    case SIOCGIFNAME:
    case SIOCGIFFLAGS:
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFMETRIC:
    case SIOCGIFMTU:
    case SIOCGIFHWADDR:
    case SIOCGIFINDEX:
    case SIOCGIFTXQLEN:
    case SIOCGIFMAP:
        return true;
    default:
        return false;
    }
}

#endif
