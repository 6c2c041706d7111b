/*
 * netlink.h: how the answers to netlink requests are written: netlink(7). Private to shim/net/. A request is in shim memory and has the
 * size it says.
 */
#ifndef PALIMPSEST_SHIM_NET_NETLINK_H
#define PALIMPSEST_SHIM_NET_NETLINK_H

#include <linux/netlink.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

struct task;

/* A datagram for a socket. */
#define ANSWER_MAX 4096u
#define ANSWER_ITEM_MAX 512u /* netlink_reply_next() leaves at least so much room */
struct answer {
    struct answer *prev, *next;
    size_t size;
    char data[];
};

/* Messages while they are written; the last one begins at `at`. */
struct reply {
    struct answer *answer;
    struct answer *full; /* list of those before; owned */
    bool failed;         /* memory was short: something is left out */
    size_t at;
    const struct nlmsghdr *request;
    uint32_t port, uid;
    uint16_t flags;
};

/* A message: its fixed part, then attributes, then its end. */
void netlink_reply_begin(struct reply *r, uint16_t type, const void *fixed, size_t size);
void netlink_put(struct reply *r, uint16_t type, const void *data, size_t size);
void netlink_put_number(struct reply *r, uint16_t type, uint32_t number);
void netlink_put_byte(struct reply *r, uint16_t type, uint8_t byte);
void netlink_put_text(struct reply *r, uint16_t type, const char *text);
void netlink_reply_end(struct reply *r);
/* Before a message of up to ANSWER_ITEM_MAX bytes: goes on in another datagram when this one is full. false: memory is short. Any lock
 * may be held. */
bool netlink_reply_next(struct reply *r);

/* The attribute `type` of a request whose fixed part has `fixed` bytes; NULL: not there. */
const void *netlink_find(const struct nlmsghdr *h, size_t fixed, uint16_t type, size_t *size);

/* Answer a request of a protocol. 0 with the answer in *r; an error is the answer otherwise. */
int netlink_route_answer(const struct nlmsghdr *h, struct reply *r);
int netlink_diag_answer(const struct nlmsghdr *h, struct reply *r);

#endif
