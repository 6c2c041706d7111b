/*
 * inet.h: AF_INET and AF_INET6 over a loopback that consists of shim memory alone: private to shim/net/.
 *
 * There is one device, `lo` with 127.0.0.0/8 and ::1; everything else is unreachable. No packets are made: a sender puts its bytes
 * into the receiver's buffer. So what a wire would delay has happened when a call returns, and there is no TIME_WAIT.
 *
 * Two TCP sockets of a connection hold a reference to each other from its start until each is closed; a thread inside a call on one
 * of them may use the other without one of its own. Locks of two sockets are held together only where a
 * listener answers a client (tcp.c, offer), in the order of their addresses; g_port_lock is taken under one.
 */
#ifndef PALIMPSEST_SHIM_NET_INET_H
#define PALIMPSEST_SHIM_NET_INET_H

#include "shim/base/hash.h"
#include "shim/fs/ring.h"
#include "shim/fs/socket.h"

/* ---- addresses -------------------------------------------------------------------------------------------------- */

/* Network order; IPv4 as ::ffff:a.b.c.d. */
struct ip_address {
    unsigned char b[16];
};
struct inet_name {
    struct ip_address ip;
    uint16_t port; /* host order */
    uint32_t scope;
};
extern const struct ip_address g_ip_any4, g_ip_any6, g_ip_loopback4, g_ip_loopback6;

bool ip_equal(const struct ip_address *a, const struct ip_address *b);
bool ip_is_v4(const struct ip_address *ip);
bool ip_is_any(const struct ip_address *ip);
bool ip_is_multicast(const struct ip_address *ip);
bool ip_is_broadcast(const struct ip_address *ip);
bool ip_is_local(const struct ip_address *ip); /* 127.0.0.0/8, ::1 */
uint32_t ip_v4(const struct ip_address *ip);   /* network order, as in memory */
struct ip_address ip_from_v4(uint32_t network_order);
/* A sockaddr of the socket's family. Errors: -EINVAL too short, -EAFNOSUPPORT. */
int inet_name_read(int family, const struct socket_address *a, struct inet_name *out);
void inet_name_write(int family, const struct inet_name *name, struct socket_address *out);

/* ---- sockets ---------------------------------------------------------------------------------------------------- */

#define INET_PRIVILEGED_PORTS 1024

/* Numbers as in TCP_INFO and /proc/net/tcp. */
enum tcp_state_number {
    STATE_ESTABLISHED = 1,
    STATE_SYN_SENT = 2,
    STATE_FIN_WAIT2 = 5,
    STATE_CLOSE = 7, /* also: UDP, no peer */
    STATE_CLOSE_WAIT = 8,
    STATE_LISTEN = 10,
};
enum inet_shut {
    INET_SHUT_IN = 1,
    INET_SHUT_OUT = 2
}; /* bits; SHUT_RD + 1, SHUT_WR + 1, SHUT_RDWR + 1 */
enum urgent_state { URGENT_NONE, URGENT_VALID, URGENT_READ };

struct packet {
    struct packet *prev, *next;
    struct inet_name from;
    struct ip_address to;
    uint64_t time_ns;
    uint16_t tos, ttl;
    size_t size;
    char data[];
};

/* Options that are remembered and told back; what they ask for happens anyway or has no meaning without a wire. */
struct inet_options {
    int tos, ttl, mtu_discover, multicast_ttl, multicast_loop, multicast_hops, hops, traffic_class,
        port_range;
    int keep_idle, keep_interval, keep_count, syn_count, defer_accept, user_timeout, max_segment,
        window_clamp, linger2, fast_open, not_sent_low;
    bool no_delay, cork, quick_ack, receive_errors4, receive_errors6, free_bind, transparent,
        bind_no_port, auto_label;
    unsigned facts; /* enum socket_fact bits asked for by IP_*, IPV6_* options */
    char congestion[16];
};

struct port;
struct inet_socket {
    uint32_t refs; /* atomic */
    int family, type, protocol;
    uint64_t id; /* inode number */
    struct mutex lock;
    /* under lock; state, error and shut also read without it where a stale answer does no harm */
    enum tcp_state_number state;
    unsigned shut; /* enum inet_shut bits */
    int error;     /* reported once: SO_ERROR */
    struct inet_name local, remote;
    bool has_remote;                /* UDP: connected */
    bool address_given, port_given; /* by bind(2): kept when the connection goes */
    bool v6_only;
    bool closed; /* its last descriptor went: memory only for the peer's sake */
    bool send_buffer_given, receive_buffer_given;
    uint32_t uid;
    struct socket_settings set;
    struct inet_options options;
    struct file *file; /* not owned; NULL: not accepted yet, or closed */

    /* TCP, a connection */
    struct inet_socket *peer; /* owned; NULL until connect, or accepted */
    struct inet_socket *
        retired; /* owned: peers of former connections, until this is closed; linked by ->retired_next */
    struct inet_socket *retired_next;
    struct ring ring; /* received; capacity 0: nothing was yet */
    bool connecting;  /* connect(2) began and its result was not fetched */
    bool finished;    /* the other side's FIN came */
    bool no_space;    /* the other side waits for room here */
    enum urgent_state urgent;
    uint64_t consumed, urgent_at; /* stream positions: of ring.head, of the urgent byte */
    uint64_t sent, received;      /* bytes in all, for TCP_INFO */

    /* TCP, a listener, or a connection in its queue */
    struct inet_socket *
        queue; /* owned references; beyond `backlog` + 1 they still wait, SYN_SENT at their peers */
    struct inet_socket *queue_prev, *queue_next;
    unsigned queue_count, backlog;
    bool queued; /* under the listener's lock */
    struct inet_socket
        *listener; /* owned; of the connecting side: whose queue its peer was put into */

    /* UDP */
    struct packet *packets;
    size_t packet_bytes;

    /* under g_port_lock */
    struct port *port;
    struct inet_socket *port_prev, *port_next;
    bool port_listens; /* on the port's list of listeners */

    /* woken by everything that happens to the socket */
    struct wait_queue wait;
    struct async_list async;
};

static inline void inet_get(struct inet_socket *s)
{
    __atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
}
void inet_put(struct inet_socket *s);
/* task NULL: of the shim itself. */
struct inet_socket *inet_alloc(struct task *task, int family, int type, int protocol);
struct file *inet_file(struct inet_socket *s, uint32_t flags, int *err);
static inline struct inet_socket *inet_of(struct file *f)
{
    return f->data;
}
/* SO_ERROR and what every call looks at first: the pending error, which is gone then. Under s->lock. */
int inet_take_error(struct inet_socket *s);
/* The loopback is down (--net=none): addresses can be named, nothing can be reached. */
bool inet_is_down(void);
/* Where a call to `to` leads: the unspecified address means the loopback. Errors: -ENETUNREACH,
 * -EADDRNOTAVAIL (IPv6 with the loopback down), -EACCES (broadcast). */
int inet_route(const struct inet_socket *s, struct inet_name *to);
/* The local address that goes with `to`, unless bound to one. */
void inet_choose_source(struct inet_socket *s, const struct inet_name *to);

/* ---- ports (port.c) --------------------------------------------------------------------------------------------- */

extern struct mutex g_port_lock;
/* Take s->local's port, 0: any free one. Under s->lock. Errors: -EADDRINUSE, -EAGAIN (connect: none free), -ENOMEM. */
int port_bind(struct inet_socket *s);
/* An accepted connection shares its listener's port. Under neither's lock. */
void port_share(struct inet_socket *child, struct inet_socket *listener);
void port_drop(struct inet_socket *s);
/* From now on connections find it. -EADDRINUSE: another listener is there. */
int port_listen(struct inet_socket *s);
void port_unlisten(struct inet_socket *s);
/* A connection from s->local to `to` exists already. */
bool port_connected_twice(const struct inet_socket *s, const struct inet_name *to);
/* Who gets what goes from `from` to `to`. Owner: caller. NULL: nobody. */
struct inet_socket *port_find_listener(const struct inet_name *from, const struct inet_name *to);
struct inet_socket *port_find_receiver(const struct inet_name *from, const struct inet_name *to);
/* Every bound socket of a type, under g_port_lock: fn takes no lock and does not sleep. */
void port_walk(int type, void (*fn)(void *arg, struct inet_socket *s), void *arg);

/* ---- TCP (tcp.c, tcp_data.c), UDP (udp.c), options (inet_option.c) ------------------------------------------------ */

int tcp_listen(struct inet_socket *s, int backlog);
int tcp_connect(struct task *task, struct file *f, const struct inet_name *to);
int tcp_disconnect(struct inet_socket *s);
struct file *tcp_accept(struct task *task, struct file *f, uint32_t flags,
                        struct socket_address *from, int *err);
int tcp_shutdown(struct inet_socket *s, unsigned bits);
void tcp_close(struct inet_socket *s);
/* `s` gets a RST from the other side of its connection: ends with `error`. Nothing if that is another's by now. Without locks. */
void tcp_reset(struct inet_socket *s, const struct inet_socket *from, int error);
int64_t tcp_send(struct task *task, struct file *f, struct socket_io *io, struct socket_send *send);
int64_t tcp_receive(struct task *task, struct file *f, struct socket_io *io,
                    struct socket_receive *receive);
uint32_t tcp_poll(struct inet_socket *s);
int64_t tcp_ioctl(struct inet_socket *s, unsigned request, uint64_t arg);
void tcp_free_ring(struct ring *ring);
/* What may wait in s's buffer, by both sides' settings. */
size_t tcp_limit(const struct inet_socket *s);

/* What control messages ask for the packets of one call. */
struct udp_wishes {
    bool has_source;
    struct ip_address source; /* unspecified: what goes with the destination */
    int ttl, tos;             /* -1: as the socket says */
    uint16_t segment;         /* bytes a packet, UDP_SEGMENT; 0: one packet */
};
/* v4: of the destination. Errors: -EINVAL, -ENODEV (udp_control.c). */
int udp_wishes_read(const struct inet_socket *s, bool v4, const struct socket_send *send,
                    struct udp_wishes *out);
int udp_connect(struct inet_socket *s, const struct inet_name *to); /* NULL: forget the peer */
int64_t udp_send(struct task *task, struct file *f, struct socket_io *io, struct socket_send *send);
int64_t udp_receive(struct task *task, struct file *f, struct socket_io *io,
                    struct socket_receive *receive);
uint32_t udp_poll(struct inet_socket *s);
int64_t udp_ioctl(struct inet_socket *s, unsigned request, uint64_t arg);
void udp_close(struct inet_socket *s);

/* A socket of the host (host.c). Errors: -EACCES (the platform gives none), and what the host says. */
struct file *host_inet_create(int family, int type, int protocol, uint32_t flags, int *err);
/* An option whose value is a number, of those that inet_option.c keeps or acts by. */
bool inet_option_known(int level, int option);
void inet_options_init(struct inet_options *o);
int inet_get_option(struct file *f, int level, int option, void *value, unsigned *size);
int inet_set_option(struct task *task, struct file *f, int level, int option, const void *value,
                    unsigned size);

#endif
