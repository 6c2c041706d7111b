/*
 * getsockopt(2), setsockopt(2) at level SOL_SOCKET: socket(7).
 */
#include <asm/socket.h>

#include "platform/errno.h"
#include "shim/fs/socket_internal.h"
#include "shim/stats.h"

#define NS_PER_SEC 1000000000ull

struct option_time {
    int64_t sec, usec;
};
struct option_linger {
    int on, seconds;
};

static int give(void *value, unsigned *size, const void *from, unsigned from_size)
{
    if (*size > from_size)
        *size = from_size;
    memcpy(value, from, *size);
    return 0;
}

static int give_int(void *value, unsigned *size, int number)
{
    return give(value, size, &number, sizeof(number));
}

static int give_time(void *value, unsigned *size, uint64_t ns)
{
    struct option_time t = {(int64_t)(ns / NS_PER_SEC), (int64_t)(ns % NS_PER_SEC / 1000)};

    return give(value, size, &t, sizeof(t));
}

int socket_get_option(struct file *f, int option, void *value, unsigned *size)
{
    struct unix_socket *s = f->data;
    struct option_linger no_linger = {0, 0};
    int r = 0, number;

    mutex_lock(&s->lock);
    switch (option) {
    case SO_TYPE:
        r = give_int(value, size, s->type);
        break;
    case SO_DOMAIN:
        r = give_int(value, size, 1);
        break;
    case SO_ERROR:
        number = -s->error;
        s->error = 0;
        r = give_int(value, size, number);
        break;
    case SO_ACCEPTCONN:
        r = give_int(value, size, s->state == SOCKET_LISTENING);
        break;
    case SO_SNDBUF:
        r = give_int(value, size, (int)s->send_buffer);
        break;
    case SO_RCVBUF:
        r = give_int(value, size, (int)s->receive_buffer);
        break;
    case SO_PASSCRED:
        r = give_int(value, size, s->pass_credentials);
        break;
    case SO_REUSEADDR:
        r = give_int(value, size, s->reuse);
        break;
    case SO_KEEPALIVE:
        r = give_int(value, size, s->keepalive);
        break;
    case SO_PROTOCOL:
    case SO_BROADCAST:
    case SO_REUSEPORT:
    case SO_PRIORITY:
        r = give_int(value, size, 0);
        break;
    case SO_LINGER:
        r = give(value, size, &no_linger, sizeof(no_linger));
        break;
    case SO_PEERCRED:
        r = give(value, size, &s->peer_credentials, sizeof(s->peer_credentials));
        break;
    case SO_RCVTIMEO:
        r = give_time(value, size, s->receive_timeout_ns);
        break;
    case SO_SNDTIMEO:
        r = give_time(value, size, s->send_timeout_ns);
        break;
    default:
        r = -ENOPROTOOPT;
    }
    mutex_unlock(&s->lock);
    if (r)
        stats_unsupported("getsockopt: option");
    return r;
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
        *ns = t.sec < 0 ? 1 : 0; /* Linux: a negative time does not wait, a huge one waits for ever */
    else
        *ns = (uint64_t)t.sec * NS_PER_SEC + (uint64_t)t.usec * 1000;
    return 0;
}

/* The kernel doubles what is asked, within limits, to leave room for its own records: programs see that in getsockopt. */
static unsigned buffer_size(int asked)
{
    unsigned limit = SOCKET_BUFFER, size = asked < 0 || (unsigned)asked > limit ? limit : (unsigned)asked;

    return size * 2 < 4608 ? 4608 : size * 2;
}

int socket_set_option(struct file *f, int option, const void *value, unsigned size)
{
    struct unix_socket *s = f->data;
    int number = 0, r = 0;

    if (option == SO_RCVTIMEO)
        return time_of(value, size, &s->receive_timeout_ns);
    if (option == SO_SNDTIMEO)
        return time_of(value, size, &s->send_timeout_ns);
    if (size < sizeof(number))
        return -EINVAL;
    memcpy(&number, value, sizeof(number));
    mutex_lock(&s->lock);
    switch (option) {
    case SO_PASSCRED:
        s->pass_credentials = number != 0;
        break;
    case SO_REUSEADDR:
        s->reuse = number != 0;
        break;
    case SO_KEEPALIVE:
        s->keepalive = number != 0;
        break;
    case SO_SNDBUF:
        s->send_buffer = buffer_size(number);
        break;
    case SO_RCVBUF:
        s->receive_buffer = buffer_size(number);
        break;
    case SO_BROADCAST: /* mean nothing to sockets of this family */
    case SO_REUSEPORT:
    case SO_PRIORITY:
    case SO_LINGER:
    case SO_OOBINLINE:
        break;
    default:
        r = -ENOPROTOOPT;
    }
    mutex_unlock(&s->lock);
    if (r)
        stats_unsupported("setsockopt: option");
    return r;
}
