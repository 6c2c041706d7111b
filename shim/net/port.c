/*
 * Who has which port. Rules of sharing: socket(7) under SO_REUSEADDR and SO_REUSEPORT.
 */
#include "platform/errno.h"
#include "shim/net/inet.h"

#define EPHEMERAL_FIRST 32768u
#define EPHEMERAL_COUNT 28232u /* net.ipv4.ip_local_port_range */

struct port_key {
    int type;
    unsigned number;
};
struct port {
    UT_hash_handle hh;
    struct port_key key;
    struct inet_socket *listeners, *others;
};

struct mutex g_port_lock;
static struct port *g_ports;
static unsigned g_next_ephemeral;

/* Does what is bound to `a` get packets to `b`, which may be a wildcard itself? */
static bool covers(const struct inet_socket *a, const struct inet_socket *b)
{
    if (ip_equal(&a->local.ip, &b->local.ip))
        return true;
    if (ip_equal(&a->local.ip, &g_ip_any4))
        return ip_is_v4(&b->local.ip);
    if (ip_equal(&a->local.ip, &g_ip_any6))
        return !a->v6_only || !ip_is_v4(&b->local.ip);
    return false;
}

static bool overlap(const struct inet_socket *a, const struct inet_socket *b)
{
    return covers(a, b) || covers(b, a);
}

static bool may_share(const struct inet_socket *a, const struct inet_socket *b)
{
    if (!overlap(a, b))
        return true;
    if (a->set.reuse_port && b->set.reuse_port && a->uid == b->uid)
        return true;
    return a->set.reuse && b->set.reuse && (a->type == SOCK_DGRAM || b->state != STATE_LISTEN);
}

static bool conflicts(const struct port *port, const struct inet_socket *s)
{
    const struct inet_socket *other;

    DL_FOREACH2(port->listeners, other, port_next)
    if (other != s && !may_share(s, other))
        return true;
    DL_FOREACH2(port->others, other, port_next)
    if (other != s && !may_share(s, other))
        return true;
    return false;
}

static struct port *find(int type, unsigned number)
{
    struct port_key key = {type, number};
    struct port *port;

    HASH_FIND(hh, g_ports, &key, sizeof(key), port);
    return port;
}

static struct port *make(int type, unsigned number)
{
    struct port *port = shim_zalloc(sizeof(*port));

    if (!port)
        return NULL;
    port->key = (struct port_key){type, number};
    HASH_ADD(hh, g_ports, key, sizeof(port->key), port);
    if (!port->hh.tbl) {
        shim_free(port);
        return NULL;
    }
    return port;
}

static int take(struct inet_socket *s, unsigned number)
{
    struct port *port = find(s->type, number);

    if (port && conflicts(port, s))
        return -EADDRINUSE;
    if (!port)
        port = make(s->type, number);
    if (!port)
        return -ENOMEM;
    s->port = port;
    s->local.port = (uint16_t)number;
    DL_APPEND2(port->others, s, port_prev, port_next);
    return 0;
}

int port_bind(struct inet_socket *s)
{
    int r = -EADDRINUSE;

    mutex_lock(&g_port_lock);
    if (s->local.port) {
        r = take(s, s->local.port);
    } else {
        for (unsigned i = 0; r == -EADDRINUSE && i < EPHEMERAL_COUNT; i++) {
            unsigned number = EPHEMERAL_FIRST + g_next_ephemeral++ % EPHEMERAL_COUNT;
            if (!find(s->type, number))
                r = take(s, number);
        }
    }
    mutex_unlock(&g_port_lock);
    return r;
}

void port_share(struct inet_socket *child, struct inet_socket *listener)
{
    mutex_lock(&g_port_lock);
    if (listener->port) {
        child->port = listener->port;
        DL_APPEND2(child->port->others, child, port_prev, port_next);
    }
    mutex_unlock(&g_port_lock);
}

static void leave_list(struct inet_socket *s)
{
    struct port *port = s->port;

    if (s->port_listens)
        DL_DELETE2(port->listeners, s, port_prev, port_next);
    else
        DL_DELETE2(port->others, s, port_prev, port_next);
    s->port_listens = false;
}

void port_drop(struct inet_socket *s)
{
    struct port *port, *gone = NULL;

    mutex_lock(&g_port_lock);
    port = s->port;
    if (port) {
        leave_list(s);
        s->port = NULL;
        if (!port->listeners && !port->others) {
            HASH_DEL(g_ports, port);
            gone = port;
        }
    }
    mutex_unlock(&g_port_lock);
    shim_free(gone);
}

int port_listen(struct inet_socket *s)
{
    struct inet_socket *other;
    int r = 0;

    mutex_lock(&g_port_lock);
    DL_FOREACH2(s->port->listeners, other, port_next)
    {
        bool both = other->set.reuse_port && s->set.reuse_port && other->uid == s->uid;
        if (other != s && overlap(s, other) && !both)
            r = -EADDRINUSE;
    }
    if (!r && !s->port_listens) {
        leave_list(s);
        s->port_listens = true;
        DL_APPEND2(s->port->listeners, s, port_prev, port_next);
    }
    mutex_unlock(&g_port_lock);
    return r;
}

void port_unlisten(struct inet_socket *s)
{
    mutex_lock(&g_port_lock);
    if (s->port_listens) {
        leave_list(s);
        DL_APPEND2(s->port->others, s, port_prev, port_next);
    }
    mutex_unlock(&g_port_lock);
}

bool port_connected_twice(const struct inet_socket *s, const struct inet_name *to)
{
    const struct inet_socket *other;
    bool found = false;

    if (!s->port_given)
        return false; /* the port is its own */
    mutex_lock(&g_port_lock);
    if (s->port) {
        DL_FOREACH2(s->port->others, other, port_next)
        if (other != s && other->state == STATE_ESTABLISHED &&
            ip_equal(&other->local.ip, &s->local.ip) && ip_equal(&other->remote.ip, &to->ip) &&
            other->remote.port == to->port)
            found = true;
    }
    mutex_unlock(&g_port_lock);
    return found;
}

/* How well `s` fits; 0: not at all. An address of its own beats the wildcard, IPv4 proper beats IPv4 by way of IPv6. */
static int score(const struct inet_socket *s, const struct inet_name *from,
                 const struct inet_name *to)
{
    int n = 1;

    if (ip_equal(&s->local.ip, &to->ip))
        n += 4;
    else if (ip_equal(&s->local.ip, &g_ip_any4)
                 ? !ip_is_v4(&to->ip)
                 : !ip_equal(&s->local.ip, &g_ip_any6) || (s->v6_only && ip_is_v4(&to->ip)))
        return 0;
    if (s->has_remote) {
        if (!ip_equal(&s->remote.ip, &from->ip) || s->remote.port != from->port)
            return 0;
        n += 8;
    }
    if ((s->family == AF_INET) == ip_is_v4(&to->ip))
        n += 1;
    return n;
}

/* Among equals that share by SO_REUSEPORT, the sender decides; without it, the last that came (as Linux's lists are). */
static struct inet_socket *best(struct inet_socket *list, const struct inet_name *from,
                                const struct inet_name *to)
{
    struct inet_socket *s, *found = NULL;
    unsigned same = 0, chosen;
    int top = 0;

    DL_FOREACH2(list, s, port_next)
    {
        int n = score(s, from, to);
        if (n > top || (n == top && n && !s->set.reuse_port)) {
            top = n;
            found = s;
            same = 0;
        }
        if (n == top && n)
            same++;
    }
    if (same > 1 && found->set.reuse_port) {
        chosen = (from->port * 2654435761u >> 8) % same;
        DL_FOREACH2(list, s, port_next)
        if (score(s, from, to) == top && chosen-- == 0)
            return s;
    }
    return found;
}

struct inet_socket *port_find_listener(const struct inet_name *from, const struct inet_name *to)
{
    struct inet_socket *s = NULL;
    struct port *port;

    mutex_lock(&g_port_lock);
    port = find(SOCK_STREAM, to->port);
    if (port)
        s = best(port->listeners, from, to);
    if (s)
        inet_get(s);
    mutex_unlock(&g_port_lock);
    return s;
}

struct inet_socket *port_find_receiver(const struct inet_name *from, const struct inet_name *to)
{
    struct inet_socket *s = NULL;
    struct port *port;

    mutex_lock(&g_port_lock);
    port = find(SOCK_DGRAM, to->port);
    if (port)
        s = best(port->others, from, to);
    if (s)
        inet_get(s);
    mutex_unlock(&g_port_lock);
    return s;
}

void port_walk(int type, void (*fn)(void *arg, struct inet_socket *s), void *arg)
{
    struct inet_socket *s;

    mutex_lock(&g_port_lock);
    for (struct port *port = g_ports; port; port = port->hh.next) {
        if (port->key.type != type)
            continue;
        DL_FOREACH2(port->listeners, s, port_next)
        fn(arg, s);
        DL_FOREACH2(port->others, s, port_next)
        fn(arg, s);
    }
    mutex_unlock(&g_port_lock);
}
