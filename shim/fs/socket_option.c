/*
 * getsockopt(2), setsockopt(2) at level SOL_SOCKET, as far as families have it in common: socket(7).
 */
#include <asm/socket.h>
#include <linux/capability.h>

#include "platform/errno.h"
#include "shim/base/string.h"
#include "shim/fs/socket.h"
#include "shim/process.h"

#define NS_PER_SEC 1000000000ull
#define BUFFER_MAX 4194304u /* after doubling; net.core.wmem_max and rmem_max are half of it */

struct option_time {
    int64_t sec, usec;
};
struct option_linger {
    int on, seconds;
};

int socket_give(void *value, unsigned *size, const void *from, unsigned from_size)
{
    if (*size > from_size)
        *size = from_size;
    memcpy(value, from, *size);
    return 0;
}

int socket_give_int(void *value, unsigned *size, int number)
{
    return socket_give(value, size, &number, sizeof(number));
}

static int give_time(void *value, unsigned *size, uint64_t ns)
{
    struct option_time t = {(int64_t)(ns / NS_PER_SEC), (int64_t)(ns % NS_PER_SEC / 1000)};

    return socket_give(value, size, &t, sizeof(t));
}

void socket_settings_init(struct socket_settings *s)
{
    s->send_buffer = s->receive_buffer = SOCKET_BUFFER;
    s->receive_low = 1;
}

int socket_settings_get(const struct socket_settings *s, int option, void *value, unsigned *size)
{
    struct option_linger linger = {s->linger, s->linger_seconds};

    switch (option) {
    case SO_SNDBUF:
        return socket_give_int(value, size, (int)s->send_buffer);
    case SO_RCVBUF:
        return socket_give_int(value, size, (int)s->receive_buffer);
    case SO_PASSCRED:
        return socket_give_int(value, size, s->pass_credentials);
    case SO_PASSSEC:
        return socket_give_int(value, size, s->pass_security);
    case SO_REUSEADDR:
        return socket_give_int(value, size, s->reuse);
    case SO_REUSEPORT:
        return socket_give_int(value, size, s->reuse_port);
    case SO_KEEPALIVE:
        return socket_give_int(value, size, s->keepalive);
    case SO_BROADCAST:
        return socket_give_int(value, size, s->broadcast);
    case SO_OOBINLINE:
        return socket_give_int(value, size, s->oob_inline);
    case SO_DONTROUTE:
        return socket_give_int(value, size, s->dont_route);
    case SO_PRIORITY:
        return socket_give_int(value, size, s->priority);
    case SO_MARK:
        return socket_give_int(value, size, s->mark);
    case SO_RCVLOWAT:
        return socket_give_int(value, size, s->receive_low);
    case SO_SNDLOWAT:
        return socket_give_int(value, size, 1);
    case SO_TIMESTAMP:
        return socket_give_int(value, size, s->timestamp);
    case SO_TIMESTAMPNS:
        return socket_give_int(value, size, s->timestamp_ns);
    case SO_NO_CHECK:
    case SO_RXQ_OVFL:
    case SO_BUSY_POLL:
    case SO_PEEK_OFF:
    case SO_TIMESTAMPING:
        return socket_give_int(value, size, option == SO_PEEK_OFF ? -1 : 0);
    case SO_BINDTODEVICE:
        *size = 0;
        return 0;
    case SO_LINGER:
        return socket_give(value, size, &linger, sizeof(linger));
    case SO_RCVTIMEO:
        return give_time(value, size, s->receive_timeout_ns);
    case SO_SNDTIMEO:
        return give_time(value, size, s->send_timeout_ns);
    default:
        return -ENOPROTOOPT;
    }
}

static int time_of(const void *value, unsigned size, uint64_t *ns)
{
    struct option_time t;

    if (size < sizeof(t))
        return -EINVAL;
    memcpy(&t, value, sizeof(t));
    if (t.usec < 0 || t.usec >= 1000000)
        return -EDOM;
    if (t.sec < 0 || t.sec > INT32_MAX)
        *ns =
            t.sec < 0 ? 1 : 0; /* Linux: a negative time does not wait, a huge one waits for ever */
    else
        *ns = (uint64_t)t.sec * NS_PER_SEC + (uint64_t)t.usec * 1000;
    return 0;
}

/* The kernel doubles what is asked, within limits, to leave room for its own records: programs see that in getsockopt. */
static unsigned buffer_size(int asked, unsigned limit)
{
    unsigned size = asked < 0 || (unsigned)asked > limit ? limit : (unsigned)asked;

    return size * 2;
}

static unsigned at_least(unsigned size, unsigned min)
{
    return size < min ? min : size;
}

int socket_settings_set(struct task *task, struct socket_settings *s, int option, const void *value,
                        unsigned size)
{
    struct option_linger linger;
    int number = 0;
    bool root = process_capable(task->process, CAP_NET_ADMIN);

    switch (option) {
    case SO_RCVTIMEO:
        return time_of(value, size, &s->receive_timeout_ns);
    case SO_SNDTIMEO:
        return time_of(value, size, &s->send_timeout_ns);
    case SO_BINDTODEVICE:
        if (size && str_nlength(value, size) &&
            !(size >= 2 && memcmp(value, "lo", size > 2 ? 3 : 2) == 0))
            return -ENODEV;
        return 0; /* there is only one device */
    default:
        break;
    }
    if (size < sizeof(number))
        return -EINVAL;
    memcpy(&number, value, sizeof(number));
    switch (option) {
    case SO_PASSCRED:
        s->pass_credentials = number != 0;
        break;
    case SO_PASSSEC: /* no security module ever has something to pass */
        s->pass_security = number != 0;
        break;
    case SO_REUSEADDR:
        s->reuse = number != 0;
        break;
    case SO_REUSEPORT:
        s->reuse_port = number != 0;
        break;
    case SO_KEEPALIVE:
        s->keepalive = number != 0;
        break;
    case SO_BROADCAST:
        s->broadcast = number != 0;
        break;
    case SO_OOBINLINE:
        s->oob_inline = number != 0;
        break;
    case SO_DONTROUTE:
        s->dont_route = number != 0;
        break;
    case SO_PRIORITY:
        if ((number < 0 || number > 6) && !root)
            return -EPERM;
        s->priority = number;
        break;
    case SO_MARK:
        if (!root)
            return -EPERM;
        s->mark = number;
        break;
    case SO_RCVLOWAT:
        s->receive_low = number < 0 ? INT32_MAX : number ? number : 1;
        break;
    case SO_SNDBUFFORCE:
        if (!root)
            return -EPERM;
        s->send_buffer = at_least(buffer_size(number, BUFFER_MAX / 2), 4608);
        break;
    case SO_RCVBUFFORCE:
        if (!root)
            return -EPERM;
        s->receive_buffer = at_least(buffer_size(number, BUFFER_MAX / 2), 2304);
        break;
    case SO_SNDBUF:
        s->send_buffer = at_least(buffer_size(number, SOCKET_BUFFER), 4608);
        break;
    case SO_RCVBUF:
        s->receive_buffer = at_least(buffer_size(number, SOCKET_BUFFER), 2304);
        break;
    case SO_LINGER:
        if (size < sizeof(linger))
            return -EINVAL;
        memcpy(&linger, value, sizeof(linger));
        s->linger = linger.on != 0;
        s->linger_seconds = linger.seconds;
        break;
    case SO_TIMESTAMP:
        s->timestamp = number != 0;
        s->timestamp_ns = false;
        break;
    case SO_TIMESTAMPNS:
        s->timestamp_ns = number != 0;
        s->timestamp = false;
        break;
    case SO_NO_CHECK: /* mean nothing without a wire */
    case SO_RXQ_OVFL:
    case SO_BUSY_POLL:
        break;
    default:
        return -ENOPROTOOPT;
    }
    return 0;
}
