/*
 * Ports of the guest that the host's loopback reaches. One thread of the shim takes the connections that arrive there, connects to
 * the guest's server as a client of the loopback would, and moves the bytes of all connections both ways.
 */
#include "shim/net/publish.h"

#include <asm/fcntl.h>
#include <asm/poll.h>
#include <asm/socket.h>

#include "platform/clock.h"
#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/host_socket.h"
#include "shim/base/alloc.h"
#include "shim/net/inet.h"
#include "shim/shim.h"

#define RELAYS_MAX 1000u     /* connections beyond wait in the host's queue */
#define BUFFER 32768u        /* bytes on their way, each way of a connection */
#define ROUNDS 4             /* pieces one connection may move before the others get their turn */
#define RETRY_NS 50000000ull /* after a shortage of descriptors or memory */
#define DRAIN_NS 1000000000ull

/* Bytes from one side to the other. */
struct way {
    size_t at, used;
    bool ended;  /* the source sends no more */
    bool closed; /* and the other side knows */
    char data[BUFFER];
};
struct relay {
    struct relay *prev, *next;
    struct host_file *host;
    struct file *guest;
    struct waiter waiter;
    bool failed, busy; /* busy: there may be more to move at once */
    struct way in, out;
};
struct published {
    struct host_file *listener;
    uint16_t port;
};

static struct published *g_published;
static unsigned g_published_count;
static struct thread *g_thread;
static struct relay *g_relays;
static unsigned g_relay_count;
/* Of the thread alone but for these. 0: not asked, 1: asked, 2: all is out */
static uint32_t g_drain;

/* ---- one connection --------------------------------------------------------------------------------------------- */

static int64_t from_host(struct relay *r)
{
    struct mem_ref part = mem_shim(r->in.data, BUFFER);
    struct host_message m = {.parts = &part, .count = 1};

    return host_socket_receive(g_platform, r->host, &m);
}

static int64_t to_host(struct relay *r)
{
    struct mem_ref part = mem_shim(r->out.data + r->out.at, r->out.used);
    struct host_message m = {.parts = &part, .count = 1};

    return host_socket_send(g_platform, r->host, &m);
}

static int64_t from_guest(struct relay *r)
{
    struct mem_ref part = mem_shim(r->out.data, BUFFER);
    struct socket_io io = socket_io_make(&part, 1);
    struct socket_receive receive = {.flags = MSG_DONTWAIT};

    return tcp_receive(NULL, r->guest, &io, &receive);
}

static int64_t to_guest(struct relay *r)
{
    struct mem_ref part = mem_shim(r->in.data + r->in.at, r->in.used);
    struct socket_io io = socket_io_make(&part, 1);
    struct socket_send send = {.flags = MSG_DONTWAIT | MSG_NOSIGNAL};

    return tcp_send(NULL, r->guest, &io, &send);
}

static void close_guest_way(struct relay *r)
{
    (void)tcp_shutdown(inet_of(r->guest), INET_SHUT_OUT);
}

static void close_host_way(struct relay *r)
{
    (void)host_socket_shutdown(g_platform, r->host, SHUT_WR);
}

/* As far as it goes without waiting. */
static void move(struct relay *r, struct way *w, int64_t (*get)(struct relay *),
                 int64_t (*put)(struct relay *), void (*close)(struct relay *))
{
    for (int i = 0; i < ROUNDS; i++) {
        int64_t n;
        if (!w->used && !w->ended) {
            n = get(r);
            if (n == -EAGAIN)
                return;
            if (n < 0) {
                r->failed = true;
                return;
            }
            w->ended = n == 0;
            w->at = 0;
            w->used = (size_t)n;
        }
        if (w->used) {
            n = put(r);
            if (n == -EAGAIN)
                return;
            if (n <= 0) {
                r->failed = true;
                return;
            }
            w->at += (size_t)n;
            w->used -= (size_t)n;
        }
        if (!w->used && w->ended) {
            if (!w->closed)
                close(r);
            w->closed = true;
            return;
        }
    }
    r->busy = true;
}

static void relay_move(struct relay *r)
{
    r->busy = false;
    move(r, &r->in, from_host, to_guest, close_guest_way);
    if (!r->failed)
        move(r, &r->out, from_guest, to_host, close_host_way);
}

/* A connection that broke on one side breaks on the other: closed with nothing to linger for, both send a reset. */
static void relay_end(struct relay *r)
{
    static const struct {
        int on, seconds;
    } at_once = {1, 0};

    wait_queue_remove(&r->waiter);
    if (r->failed) {
        struct inet_socket *s = inet_of(r->guest);
        mutex_lock(&s->lock);
        s->set.linger = true;
        s->set.linger_seconds = 0;
        mutex_unlock(&s->lock);
        if (host_socket_set_option(g_platform, r->host, SOL_SOCKET, SO_LINGER, &at_once,
                                   sizeof(at_once)))
            r->failed = false; /* then it ends without a reset */
    }
    file_put(r->guest);
    host_file_close(g_platform, r->host);
    DL_DELETE(g_relays, r);
    g_relay_count--;
    shim_free(r);
}

/* ---- new connections -------------------------------------------------------------------------------------------- */

/* A connection to the guest's server by one of the two loopbacks. NULL: nobody listens, or *err. */
static struct file *connect_inside(int family, uint16_t port, int *err)
{
    struct inet_name to = {.ip = family == AF_INET ? g_ip_loopback4 : g_ip_loopback6, .port = port};
    struct file *f = inet_create(NULL, family, SOCK_STREAM, 0, O_NONBLOCK, err);
    struct inet_socket *s;
    bool refused;
    int r;

    if (!f)
        return NULL;
    s = inet_of(f);
    r = tcp_connect(NULL, f, &to);
    mutex_lock(&s->lock);
    refused = s->state == STATE_CLOSE;
    mutex_unlock(&s->lock);
    if ((r && r != -EINPROGRESS) || refused) {
        *err = refused ? -ECONNREFUSED : r;
        file_put(f);
        return NULL;
    }
    return f;
}

/* Takes `host` over. */
static void relay_begin(struct host_file *host, uint16_t port)
{
    struct relay *r = shim_zalloc(sizeof(*r));
    int err = 0;

    if (!r) {
        host_file_close(g_platform, host);
        return;
    }
    r->host = host;
    r->guest = connect_inside(AF_INET, port, &err);
    if (!r->guest && err == -ECONNREFUSED)
        r->guest = connect_inside(AF_INET6, port, &err);
    if (!r->guest) {
        host_file_close(g_platform, host);
        shim_free(r);
        return;
    }
    wait_queue_add(&inet_of(r->guest)->wait, &r->waiter);
    r->busy = true;
    DL_APPEND(g_relays, r);
    g_relay_count++;
}

/* Result: false when the host is short of something and has to be left alone for a while. */
static bool take_connections(struct published *from)
{
    struct host_address who;
    int err = 0;

    while (g_relay_count < RELAYS_MAX) {
        struct host_file *host = host_socket_accept(g_platform, from->listener, &who, &err);
        if (host)
            relay_begin(host, from->port);
        else if (err == -EAGAIN)
            return true;
        else if (err != -ECONNABORTED && err != -EINTR)
            return false;
    }
    return true;
}

/* ---- the thread ------------------------------------------------------------------------------------------------- */

static void move_all(void)
{
    struct relay *r, *next;
    bool waits_for_host = false;

    DL_FOREACH_SAFE(g_relays, r, next)
    {
        relay_move(r);
        if ((r->out.used || r->busy) && !r->failed)
            waits_for_host = true;
        if (r->failed || (r->in.closed && r->out.closed))
            relay_end(r);
    }
    if (!waits_for_host && __atomic_load_n(&g_drain, __ATOMIC_ACQUIRE) == 1) {
        __atomic_store_n(&g_drain, 2, __ATOMIC_RELEASE);
        thread_wake(g_platform, &g_drain, 1);
    }
}

static bool anything_busy(void)
{
    const struct relay *r;

    DL_FOREACH(g_relays, r)
    if (r->busy)
        return true;
    return false;
}

/* A host that will neither be written to nor read from now would only wake us for having hung up, again and again. */
static bool is_watched(const struct relay *r)
{
    return !(r->out.closed && r->in.used);
}

static size_t list_files(struct thread_wait_file *files, bool listen)
{
    struct relay *r;
    size_t n = 0;

    for (unsigned i = 0; listen && i < g_published_count; i++)
        files[n++] = (struct thread_wait_file){.file = g_published[i].listener, .events = POLLIN};
    DL_FOREACH(g_relays, r)
    {
        if (!is_watched(r))
            continue;
        uint32_t events = (!r->in.used && !r->in.ended ? POLLIN : 0) | (r->out.used ? POLLOUT : 0);
        files[n++] = (struct thread_wait_file){.file = r->host, .events = events};
    }
    return n;
}

/* What nobody reads from is still looked at for errors. */
static void note_errors(const struct thread_wait_file *files, bool listen)
{
    size_t n = listen ? g_published_count : 0;
    struct relay *r;

    DL_FOREACH(g_relays, r)
    {
        if (!is_watched(r))
            continue;
        if (files[n].ready & POLLERR)
            r->failed = true;
        n++;
    }
}

static void serve(void *arg)
{
    struct thread_wait_file *files = arg;
    uint64_t retry = 0;

    for (;;) {
        bool listen = clock_now(g_platform, CLOCK_KIND_MONOTONIC) >= retry, taken = true;
        for (unsigned i = 0; listen && i < g_published_count; i++)
            taken = take_connections(&g_published[i]) && taken;
        if (!taken) {
            retry = clock_now(g_platform, CLOCK_KIND_MONOTONIC) + RETRY_NS;
            listen = false;
        }
        move_all();
        if (anything_busy())
            continue;
        bool open = listen && g_relay_count < RELAYS_MAX;
        size_t count = list_files(files, open);
        if (thread_park(g_platform, listen ? THREAD_WAIT_FOREVER : retry, files, count) > 0)
            note_errors(files, open);
    }
}

int publish_start(void)
{
    const struct shim_config_publish *asked =
        (const void *)shim_config_string(g_config, g_config->publishes);
    unsigned count = g_config->publish_count;
    struct thread_wait_file *files;
    int err = 0;

    if (!count)
        return 0;
    PLATFORM_REQUIRE(asked != NULL);
    g_published = shim_zalloc(count * sizeof(*g_published));
    files = shim_zalloc((RELAYS_MAX + count) * sizeof(*files));
    if (!g_published || !files)
        return -ENOMEM; /* the instance ends with this: nothing to undo */
    for (unsigned i = 0; i < count; i++) {
        g_published[i].port = (uint16_t)asked[i].guest_port;
        g_published[i].listener =
            host_socket_published(g_platform, shim_config_string(g_config, asked[i].grant), &err);
        if (!g_published[i].listener)
            return err;
    }
    g_published_count = count;
    return thread_spawn(g_platform, NULL, serve, files, &g_thread);
}

void publish_drain(void)
{
    uint64_t deadline = clock_now(g_platform, CLOCK_KIND_MONOTONIC) + DRAIN_NS;
    uint32_t asked = 1;

    if (!g_thread)
        return;
    __atomic_store_n(&g_drain, asked, __ATOMIC_RELEASE);
    thread_unpark(g_platform, g_thread);
    while (__atomic_load_n(&g_drain, __ATOMIC_ACQUIRE) == asked &&
           thread_wait(g_platform, &g_drain, asked, deadline) != -ETIMEDOUT)
        continue;
}
