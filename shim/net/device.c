/*
 * Requests about network devices: netdevice(7).
 */
#include "shim/net/device.h"

#include <linux/in.h>
#include <linux/sockios.h>

#include "platform/errno.h"
#include "shim/net/inet.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/syscall.h"

#define NAME_SIZE 16
#define FLAG_UP 1u
#define FLAG_LOOPBACK 8u
#define FLAG_RUNNING 64u
#define HARDWARE_LOOPBACK 772 /* ARPHRD_LOOPBACK */

/* struct ifreq of the x86-64 ABI. */
struct request {
    char name[NAME_SIZE];
    union {
        int32_t number;
        int16_t flags;
        uint16_t family;
        struct sockaddr_in address;
        char all[24];
    };
};
_Static_assert(sizeof(struct request) == 40, "struct ifreq");
struct request_list { /* struct ifconf */
    int32_t size, padding;
    uint64_t buffer;
};

unsigned device_flags(void)
{
    return FLAG_LOOPBACK | (inet_is_down() ? 0 : FLAG_UP | FLAG_RUNNING);
}

static struct sockaddr_in address_of(uint32_t host_order)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {__builtin_bswap32(host_order)}};
}

static int64_t list(uint64_t arg)
{
    struct request lo = {.name = DEVICE_NAME, .address = address_of(INADDR_LOOPBACK)};
    struct request_list l;
    int size = inet_is_down() ? 0 : (int)sizeof(lo);
    int r = user_read(&l, arg, sizeof(l));

    if (r)
        return r;
    if (l.buffer && l.size < size)
        size = 0;
    if (l.buffer && size)
        r = user_write(l.buffer, &lo, sizeof(lo));
    l.size = size;
    return r ? r : user_write(arg, &l, sizeof(l));
}

static int fill_address(struct request *q, unsigned request)
{
    if (inet_is_down())
        return -EADDRNOTAVAIL;
    q->address = address_of(request == SIOCGIFNETMASK   ? 0xff000000u
                            : request == SIOCGIFBRDADDR ? 0
                                                        : INADDR_LOOPBACK);
    return 0;
}

static bool is_address(unsigned request)
{
    return request == SIOCGIFADDR || request == SIOCGIFNETMASK || request == SIOCGIFBRDADDR ||
           request == SIOCGIFDSTADDR;
}

static int fill(struct request *q, unsigned request)
{
    switch (request) {
    case SIOCGIFFLAGS:
        q->flags = (int16_t)device_flags();
        return 0;
    case SIOCGIFINDEX:
        q->number = DEVICE_INDEX;
        return 0;
    case SIOCGIFMTU:
        q->number = DEVICE_MTU;
        return 0;
    case SIOCGIFTXQLEN:
        q->number = DEVICE_QUEUE;
        return 0;
    case SIOCGIFMETRIC:
        q->number = 0;
        return 0;
    case SIOCGIFMAP:
        memset(q->all, 0, sizeof(q->all));
        return 0;
    case SIOCGIFHWADDR:
        memset(q->all, 0, 16);
        q->family = HARDWARE_LOOPBACK;
        return 0;
    default: /* the addresses */
        return fill_address(q, request);
    }
}

int64_t device_ioctl(int family, unsigned request, uint64_t arg)
{
    struct request q;
    int r;

    if (request == SIOCGIFCONF)
        return list(arg);
    if (request < SIOCGIFNAME || request > SIOCSIFMAP + 1)
        return -ENOTTY;
    r = user_read(&q, arg, sizeof(q));
    if (r)
        return r;
    if (request == SIOCGIFNAME) {
        if (q.number != DEVICE_INDEX)
            return -ENODEV;
        memset(q.name, 0, sizeof(q.name));
        memcpy(q.name, DEVICE_NAME, sizeof(DEVICE_NAME));
        return user_write(arg, &q, sizeof(q));
    }
    q.name[NAME_SIZE - 1] = '\0';
    switch (request) {
    case SIOCGIFFLAGS:
    case SIOCGIFINDEX:
    case SIOCGIFMTU:
    case SIOCGIFTXQLEN:
    case SIOCGIFMETRIC:
    case SIOCGIFMAP:
    case SIOCGIFHWADDR:
    case SIOCGIFADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFBRDADDR:
    case SIOCGIFDSTADDR:
        break;
    case SIOCSIFFLAGS:
    case SIOCSIFADDR:
    case SIOCSIFNETMASK:
    case SIOCSIFBRDADDR:
    case SIOCSIFDSTADDR:
    case SIOCSIFMTU:
    case SIOCSIFNAME:
    case SIOCSIFHWADDR:
    case SIOCSIFTXQLEN:
        return -EPERM;
    default:
        return -ENOTTY;
    }
    if (family != AF_INET && is_address(request))
        return -ENOTTY;
    if (!str_equal(q.name, DEVICE_NAME))
        return -ENODEV;
    r = fill(&q, request);
    return r ? r : user_write(arg, &q, sizeof(q));
}
