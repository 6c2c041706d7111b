/*
 * /proc/net: proc(5). What a socket is, as it is found: no lock of its own is taken for looking.
 */
#include "shim/fs/procfs.h"
#include "shim/fs/unix_internal.h"
#include "shim/net/device.h"
#include "shim/net/inet.h"

struct lines {
    struct str_buf *out;
    int family, type;
    unsigned count;
};

/* Addresses are printed as numbers of the machine's order, 32 bits at a time. */
static void print_name(struct str_buf *out, int family, const struct inet_name *name)
{
    uint32_t part;

    for (unsigned at = family == AF_INET ? 12 : 0; at < 16; at += sizeof(part)) {
        memcpy(&part, name->ip.b + at, sizeof(part));
        str_buf_printf(out, "%08X", part);
    }
    str_buf_printf(out, ":%04X ", name->port);
}

/* Lines of IPv4 have one length. */
static void end_line(struct str_buf *out, size_t start, int family, int type)
{
    size_t width = family != AF_INET ? 0 : type == SOCK_STREAM ? 149 : 127;

    while (out->length - start < width && !out->failed)
        str_buf_printf(out, " ");
    str_buf_printf(out, "\n");
}

static void print_socket(void *arg, struct inet_socket *s)
{
    struct lines *l = arg;
    size_t waiting = s->type == SOCK_DGRAM      ? s->packet_bytes
                     : s->state == STATE_LISTEN ? s->queue_count
                                                : s->ring.used;
    size_t start;

    if (s->family != l->family)
        return;
    start = l->out->length;
    str_buf_printf(l->out, l->type == SOCK_STREAM ? "%4u: " : "%5u: ", l->count++);
    print_name(l->out, l->family, &s->local);
    print_name(l->out, l->family, &s->remote);
    str_buf_printf(l->out, "%02X 00000000:%08X 00:00000000 00000000 %5u        0 %llu", s->state,
                   (unsigned)waiting, s->uid, (unsigned long long)s->id);
    if (l->type == SOCK_STREAM)
        str_buf_printf(l->out, " 1 0000000000000000 100 0 0 10 0");
    else
        str_buf_printf(l->out, " 2 0000000000000000 0");
    end_line(l->out, start, l->family, l->type);
}

static int print_sockets(struct str_buf *out, int family, int type)
{
    struct lines l = {out, family, type, 0};
    bool tcp = type == SOCK_STREAM;

    if (family == AF_INET)
        str_buf_printf(out,
                       "%s local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   "
                       "uid  timeout inode%s",
                       tcp ? "  sl " : "   sl ", tcp ? "" : " ref pointer drops");
    else
        str_buf_printf(out,
                       "  sl  local_address                         remote_address                 "
                       "       st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode%s",
                       tcp ? "" : " ref pointer drops");
    end_line(out, 0, family, type);
    port_walk(type, print_socket, &l);
    return 0;
}

static int print_tcp(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task, (void)t;
    return print_sockets(out, AF_INET, SOCK_STREAM);
}

static int print_tcp6(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task, (void)t;
    return print_sockets(out, AF_INET6, SOCK_STREAM);
}

static int print_udp(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task, (void)t;
    return print_sockets(out, AF_INET, SOCK_DGRAM);
}

static int print_udp6(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task, (void)t;
    return print_sockets(out, AF_INET6, SOCK_DGRAM);
}

static void print_unix_socket(void *arg, struct unix_socket *s)
{
    static const unsigned listening = 0x10000; /* __SO_ACCEPTCON */
    struct lines *l = arg;
    bool connected = s->state == SOCKET_CONNECTED;

    str_buf_printf(l->out, "0000000000000000: %08X 00000000 %08X %04X %02X %5llu", s->refs,
                   s->state == SOCKET_LISTENING ? listening : 0, (unsigned)s->type,
                   connected ? 3 : 1, (unsigned long long)s->id);
    if (mutex_trylock(&s->lock)) { /* a name is being given, or somebody is at work: then without */
        struct socket_address name = s->name;
        mutex_unlock(&s->lock);
        if (name.size > 2 && name.path[0]) {
            str_buf_printf(l->out, " %s", name.path);
        } else if (name.size > 2) {
            str_buf_printf(l->out, " ");
            for (unsigned i = 0; i < name.size - 2; i++)
                str_buf_printf(l->out, "%c", name.path[i] ? name.path[i] : '@');
        }
    }
    str_buf_printf(l->out, "\n");
}

static int print_unix(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    struct lines l = {.out = out};

    (void)task, (void)t;
    str_buf_printf(out, "Num       RefCount Protocol Flags    Type St Inode Path\n");
    unix_walk(print_unix_socket, &l);
    return 0;
}

static int print_dev(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task, (void)t;
    str_buf_printf(
        out, "Inter-|   Receive                                                |  Transmit\n"
             " face |bytes    packets errs drop fifo frame compressed multicast|bytes    "
             "packets errs drop fifo colls carrier compressed\n"
             "    " DEVICE_NAME
             ":       0       0    0    0    0     0          0         0        0       0    "
             "0    0    0     0       0          0\n");
    return 0;
}

static int print_route(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task, (void)t;
    if (inet_is_down())
        return 0; /* a kernel without a table */
    str_buf_printf(
        out, "%-127s\n",
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
    return 0;
}

static int print_if_inet6(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task, (void)t;
    if (!inet_is_down())
        str_buf_printf(out, "00000000000000000000000000000001 %02x 80 10 80 %8s\n", DEVICE_INDEX,
                       DEVICE_NAME);
    return 0;
}

const struct proc_entry g_proc_net_children[] = {
    PROC_TEXT("dev", print_dev),
    PROC_TEXT("if_inet6", print_if_inet6),
    PROC_TEXT("route", print_route),
    PROC_TEXT("tcp", print_tcp),
    PROC_TEXT("tcp6", print_tcp6),
    PROC_TEXT("udp", print_udp),
    PROC_TEXT("udp6", print_udp6),
    PROC_TEXT("unix", print_unix),
    {0},
};
