/*
 * contract_cases_socket.c: host_socket.h. All traffic stays on the host's loopback.
 */
#include <asm/ioctls.h>
#include <asm/socket.h>

#include "platform/host_socket.h"
#include "tests/contract/contract.h"
#include "tests/contract/contract_prototypes.h"

enum { WAIT_IN = 1, WAIT_OUT = 4 }; /* POLLIN, POLLOUT */
enum { INET = 2, STREAM = 1, DATAGRAM = 2 };
enum { PEEK = 2, CONTROL_TRUNCATED = 8, TRUNCATED = 0x20 };
enum { LEVEL_IP = 0, OPTION_TTL = 2, OPTION_RECVTTL = 12 };
#define DEVICE_FLAGS 0x8913 /* SIOCGIFFLAGS */
#define DEVICE_LIST 0x8912  /* SIOCGIFCONF */

/* 127.0.0.1:0 as a struct sockaddr_in. */
static struct host_address loopback(void)
{
    return (struct host_address){.size = 16, .bytes = {INET, 0, 0, 0, 127, 0, 0, 1}};
}

static struct host_file *opened(struct contract *c, int type)
{
    int err = 0;
    struct host_file *s = host_socket_open(c->p, INET, type, 0, &err);
    CHECK_EQUAL(err, 0);
    MUST(s != NULL);
    return s;
}

static struct host_address name_of(struct contract *c, struct host_file *s,
                                   enum host_socket_name which)
{
    struct host_address a = {0};
    CHECK_EQUAL(host_socket_name(c->p, s, which, &a), 0);
    CHECK_EQUAL(a.size, 16);
    return a;
}

static bool same_port(const struct host_address *a, const struct host_address *b)
{
    return a->bytes[2] == b->bytes[2] && a->bytes[3] == b->bytes[3];
}

static void wait_for(struct contract *c, struct host_file *s, uint32_t events)
{
    struct thread_wait_file wait = {.file = s, .events = events};
    uint64_t end = clock_now(c->p, CLOCK_KIND_MONOTONIC) + UINT64_C(100000000000);
    int ret;
    while ((ret = thread_park(c->p, end, &wait, 1)) == 0)
        continue;
    CHECK_EQUAL(ret, 1);
}

static int64_t send_parts(struct contract *c, struct host_file *s, const struct mem_ref *parts,
                          unsigned count, struct host_address *to)
{
    struct host_message m = {.parts = parts, .count = count, .address = to};
    return host_socket_send(c->p, s, &m);
}

static int64_t receive_parts(struct contract *c, struct host_file *s, const struct mem_ref *parts,
                             unsigned count, unsigned *flags, struct host_address *from)
{
    struct host_message m = {.parts = parts, .count = count, .flags = *flags, .address = from};
    int64_t n = host_socket_receive(c->p, s, &m);
    *flags = m.flags;
    return n;
}

static int64_t sent(struct contract *c, struct host_file *s, const char *words)
{
    struct mem_ref part = mem_shim((void *)(uintptr_t)words, __builtin_strlen(words));
    return send_parts(c, s, &part, 1, NULL);
}

static int64_t received(struct contract *c, struct host_file *s, char *into, size_t size,
                        unsigned *flags)
{
    struct mem_ref part = mem_shim(into, size);
    return receive_parts(c, s, &part, 1, flags, NULL);
}

struct pair {
    struct host_file *listener, *client, *server;
};

static struct pair connected(struct contract *c)
{
    struct pair p = {opened(c, STREAM), opened(c, STREAM), NULL};
    struct host_address at = loopback(), from;
    int err = 0, r;
    CHECK_EQUAL(host_socket_bind(c->p, p.listener, &at), 0);
    CHECK_EQUAL(host_socket_listen(c->p, p.listener, 5), 0);
    CHECK(host_socket_accept(c->p, p.listener, &from, &err) == NULL);
    CHECK_EQUAL(err, -EAGAIN);
    at = name_of(c, p.listener, HOST_SOCKET_LOCAL);
    r = host_socket_connect(c->p, p.client, &at);
    CHECK(r == 0 || r == -EINPROGRESS);
    wait_for(c, p.client, WAIT_OUT);
    int error = -1;
    uint32_t size = sizeof(error);
    CHECK_EQUAL(host_socket_get_option(c->p, p.client, SOL_SOCKET, SO_ERROR, &error, &size), 0);
    CHECK_EQUAL(error, 0);
    wait_for(c, p.listener, WAIT_IN);
    p.server = host_socket_accept(c->p, p.listener, &from, &err);
    MUST(p.server != NULL);
    struct host_address mine = name_of(c, p.client, HOST_SOCKET_LOCAL);
    CHECK(same_port(&mine, &from));
    mine = name_of(c, p.client, HOST_SOCKET_PEER);
    CHECK(same_port(&mine, &at));
    return p;
}

static void close_pair(struct contract *c, struct pair *p)
{
    host_file_close(c->p, p->listener);
    host_file_close(c->p, p->client);
    host_file_close(c->p, p->server);
}

void HostSocketContract_UnknownPublishedPortIsNotThere(struct contract *c)
{
    int err = 0;
    CHECK(host_socket_published(c->p, "nosuchport", &err) == NULL);
    CHECK_EQUAL(err, -ENOENT);
    err = 0;
    CHECK(host_socket_published(c->p, "", &err) == NULL);
    CHECK_EQUAL(err, -ENOENT);
}

void HostSocketContract_PublishedPortTakesConnections(struct contract *c)
{
    struct host_address from;
    int err = 0;
    struct host_file *listener = host_socket_published(c->p, "port", &err);
    MUST(listener != NULL);
    CHECK(host_socket_accept(c->p, listener, &from, &err) == NULL);
    CHECK_EQUAL(err, -EAGAIN);
    struct host_address at = name_of(c, listener, HOST_SOCKET_LOCAL);
    struct host_file *client = opened(c, STREAM);
    int r = host_socket_connect(c->p, client, &at);
    CHECK(r == 0 || r == -EINPROGRESS);
    wait_for(c, listener, WAIT_IN);
    struct host_file *server = host_socket_accept(c->p, listener, &from, &err);
    MUST(server != NULL);
    CHECK_EQUAL(sent(c, server, "hello"), 5);
    wait_for(c, client, WAIT_IN);
    host_file_close(c->p, server);
    host_file_close(c->p, client);
    host_file_close(c->p, listener);
}

void HostSocketContract_StreamsCarryBytesAndTheirEnd(struct contract *c)
{
    char text[32] = {0};
    unsigned flags = 0;
    int waiting = -1;
    struct pair p = connected(c);
    CHECK_EQUAL(received(c, p.server, text, sizeof(text), &flags), -EAGAIN);
    CHECK_EQUAL(sent(c, p.client, "hello"), 5);
    wait_for(c, p.server, WAIT_IN);
    CHECK_EQUAL(host_socket_count(c->p, p.server, FIONREAD, &waiting), 0);
    CHECK_EQUAL(waiting, 5);
    flags = PEEK;
    CHECK_EQUAL(received(c, p.server, text, 2, &flags), 2);
    flags = 0;
    CHECK_EQUAL(received(c, p.server, text, sizeof(text), &flags), 5);
    CHECK(__builtin_memcmp(text, "hello", 5) == 0);
    CHECK_EQUAL(host_socket_shutdown(c->p, p.client, 1), 0);
    wait_for(c, p.server, WAIT_IN);
    CHECK_EQUAL(received(c, p.server, text, sizeof(text), &flags), 0);
    CHECK_EQUAL(sent(c, p.client, "late"), -EPIPE); /* and no signal */
    CHECK_EQUAL(sent(c, p.server, "still"), 5);
    close_pair(c, &p);
}

/* As much as both buffers take, then -EAGAIN. */
void HostSocketContract_SendingNeverBlocks(struct contract *c)
{
    static char block[65536];
    struct mem_ref part = mem_shim(block, sizeof(block));
    struct pair p = connected(c);
    int64_t n = 0, total = 0;
    /* What a busy host moves to the other side in the background makes room once more. */
    for (int turn = 0; turn == 0 || (turn < 100 && host_file_poll(c->p, p.client, WAIT_OUT));
         turn++)
        for (int i = 0; i < 4096 && (n = send_parts(c, p.client, &part, 1, NULL)) > 0; i++)
            total += n;
    CHECK_EQUAL(n, -EAGAIN);
    CHECK(total > 0);
    CHECK_EQUAL(host_file_poll(c->p, p.client, WAIT_OUT), 0);
    close_pair(c, &p);
}

void HostSocketContract_DatagramsKeepTheirBordersAndSender(struct contract *c)
{
    char a[4], b[4];
    struct mem_ref in[2] = {mem_shim(a, 3), mem_shim(b, 4)};
    struct mem_ref out[2] = {mem_shim((void *)(uintptr_t) "one", 3),
                             mem_shim((void *)(uintptr_t) "two", 3)};
    struct host_file *s = opened(c, DATAGRAM), *to = opened(c, DATAGRAM);
    struct host_address at = loopback(), from;
    unsigned flags = 0;
    CHECK_EQUAL(host_socket_bind(c->p, to, &at), 0);
    CHECK_EQUAL(host_socket_bind(c->p, s, &at), 0);
    at = name_of(c, to, HOST_SOCKET_LOCAL);
    CHECK_EQUAL(send_parts(c, s, out, 2, &at), 6);
    CHECK_EQUAL(send_parts(c, s, out, 2, &at), 6);
    wait_for(c, to, WAIT_IN);
    CHECK_EQUAL(receive_parts(c, to, in, 2, &flags, &from), 6);
    CHECK(__builtin_memcmp(a, "one", 3) == 0 && __builtin_memcmp(b, "two", 3) == 0);
    struct host_address mine = name_of(c, s, HOST_SOCKET_LOCAL);
    CHECK(same_port(&mine, &from));
    wait_for(c, to, WAIT_IN);
    flags = 0;
    CHECK_EQUAL(receive_parts(c, to, in, 1, &flags, NULL), 3);
    CHECK_EQUAL(flags & TRUNCATED, TRUNCATED);
    CHECK_EQUAL(receive_parts(c, to, in, 1, &(unsigned){0}, NULL), -EAGAIN);
    host_file_close(c->p, s);
    host_file_close(c->p, to);
}

/* IP_TTL in, IP_RECVTTL out, with no more than there is room for. */
void HostSocketContract_ControlDataGoesAndComes(struct contract *c)
{
    struct {
        uint64_t size;
        int32_t level, type, value, padding;
    } ttl = {20, LEVEL_IP, OPTION_TTL, 33, 0}, got = {0};
    int on = 1;
    char byte = 'x';
    struct mem_ref part = mem_shim(&byte, 1);
    struct host_file *s = opened(c, DATAGRAM), *to = opened(c, DATAGRAM);
    struct host_address at = loopback();
    CHECK_EQUAL(host_socket_bind(c->p, to, &at), 0);
    at = name_of(c, to, HOST_SOCKET_LOCAL);
    CHECK_EQUAL(host_socket_set_option(c->p, to, LEVEL_IP, OPTION_RECVTTL, &on, sizeof(on)), 0);
    struct host_message m = {
        .parts = &part, .count = 1, .address = &at, .control = &ttl, .control_size = sizeof(ttl)};
    CHECK_EQUAL(host_socket_send(c->p, s, &m), 1);
    CHECK_EQUAL(host_socket_send(c->p, s, &m), 1);
    wait_for(c, to, WAIT_IN);
    m = (struct host_message){
        .parts = &part, .count = 1, .control = &got, .control_size = sizeof(got)};
    CHECK_EQUAL(host_socket_receive(c->p, to, &m), 1);
    CHECK_EQUAL(got.type, OPTION_TTL);
    CHECK_EQUAL(got.value, 33);
    CHECK_EQUAL(m.control_size, sizeof(got));
    wait_for(c, to, WAIT_IN);
    m = (struct host_message){.parts = &part, .count = 1, .control = &got, .control_size = 8};
    CHECK_EQUAL(host_socket_receive(c->p, to, &m), 1);
    CHECK_EQUAL(m.flags & CONTROL_TRUNCATED, CONTROL_TRUNCATED);
    CHECK(m.control_size <= 8);
    host_file_close(c->p, s);
    host_file_close(c->p, to);
}

void HostSocketContract_DevicesCanBeLookedAt(struct contract *c)
{
    struct {
        char name[16];
        union {
            int16_t flags;
            char room[24];
        };
    } all[8] = {{.name = "lo"}};
    struct host_file *s = opened(c, DATAGRAM);
    uint32_t size = sizeof(all[0]);
    CHECK_EQUAL(host_socket_device(c->p, s, DEVICE_FLAGS, all, &size), 0);
    CHECK_EQUAL(all[0].flags & 8, 8); /* it is the loopback */
    all[0].name[0] = '?';
    CHECK_EQUAL(host_socket_device(c->p, s, DEVICE_FLAGS, all, &size), -ENODEV);
    size = sizeof(all);
    CHECK_EQUAL(host_socket_device(c->p, s, DEVICE_LIST, all, &size), 0);
    CHECK(size % sizeof(all[0]) == 0 && size <= sizeof(all));
    CHECK_EQUAL(host_socket_device(c->p, s, FIONREAD, all, &size), -EINVAL);
    host_file_close(c->p, s);
}

void HostSocketContract_DataMovesStraightToAndFromGuestMemory(struct contract *c)
{
    unsigned flags = 0;
    struct pair p = connected(c);
    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, 1, MEMORY_READ | MEMORY_WRITE);
    contract_put(c, AREA, 95);
    struct mem_ref number = mem_guest(guest_addr(AREA), 8),
                   hole = mem_guest(guest_addr(AREA + PAGE), 8);
    struct mem_ref shims = mem_guest(guest_addr((uint64_t)(uintptr_t)c), 8);
    CHECK_EQUAL(send_parts(c, p.client, &hole, 1, NULL), -EFAULT);
    CHECK_EQUAL(send_parts(c, p.client, &shims, 1, NULL), -EFAULT);
    CHECK_EQUAL(send_parts(c, p.client, &number, 1, NULL), 8);
    contract_put(c, AREA, 0);
    wait_for(c, p.server, WAIT_IN);
    CHECK_EQUAL(receive_parts(c, p.server, &hole, 1, &flags, NULL), -EFAULT);
    flags = 0;
    CHECK_EQUAL(receive_parts(c, p.server, &number, 1, &flags, NULL), 8);
    CHECK_EQUAL(contract_get(c, AREA), 95);
    contract_leave_and_destroy(c, as);
    close_pair(c, &p);
}

void HostSocketContract_OpenFailingAtAnyHostCallLeaksNothing(struct contract *c)
{
    host_file_close(c->p, opened(c, STREAM));
    uint64_t files = contract_measure(c).files;
    unsigned nth = 1;
    for (bool fired = true; fired && nth < 500; nth++) {
        int err = 0;
        c->front->fault_arm(nth);
        struct host_file *s = host_socket_open(c->p, INET, STREAM, 0, &err);
        fired = c->front->fault_arm(0);
        CHECK(s != NULL || (fired && err < 0));
        if (s)
            host_file_close(c->p, s);
    }
    CHECK(nth < 500);
    CHECK_EQUAL(contract_measure(c).files, files);
}

void HostSocketContractDeath_UnknownSendFlagAborts(struct contract *c)
{
    struct host_file *s = opened(c, STREAM);
    struct host_message m = {.flags = 0x4000};
    CHECK(host_socket_send(c->p, s, &m) < 0);
}
