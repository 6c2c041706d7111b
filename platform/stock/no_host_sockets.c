/*
 * no_host_sockets.c: see no_host_sockets.h.
 */
#include "platform/stock/no_host_sockets.h"

#include "platform/contract.h"
#include "platform/errno.h"

#define NEEDS_A_HANDLE(type, slot, ...)                                                            \
    static NO_RETURN type no_host_sockets_##slot(__VA_ARGS__)                                      \
    {                                                                                              \
        platform_panic("host_socket_" #slot ": no handle exists on this platform");                \
    }

static struct host_file *no_host_sockets_published(struct platform *p UNUSED,
                                                   const char *name UNUSED, int *err)
{
    *err = -ENOENT;
    return NULL;
}

static struct host_file *no_host_sockets_open(struct platform *p UNUSED, int family UNUSED,
                                              int type UNUSED, int protocol UNUSED, int *err)
{
    *err = -EACCES;
    return NULL;
}

/* The parameters are named for the reader; none is looked at. */
#pragma GCC diagnostic ignored "-Wunused-parameter"
NEEDS_A_HANDLE(struct host_file *, accept, struct platform *p, struct host_file *listener,
               struct host_address *from, int *err)
NEEDS_A_HANDLE(int, bind, struct platform *p, struct host_file *file, const struct host_address *to)
NEEDS_A_HANDLE(int, listen, struct platform *p, struct host_file *file, int backlog)
NEEDS_A_HANDLE(int, connect, struct platform *p, struct host_file *file,
               const struct host_address *to)
NEEDS_A_HANDLE(int, shutdown, struct platform *p, struct host_file *file, int how)
NEEDS_A_HANDLE(int, name, struct platform *p, struct host_file *file, enum host_socket_name which,
               struct host_address *out)
NEEDS_A_HANDLE(int64_t, send, struct platform *p, struct host_file *file,
               const struct host_message *m)
NEEDS_A_HANDLE(int64_t, receive, struct platform *p, struct host_file *file, struct host_message *m)
NEEDS_A_HANDLE(int, get_option, struct platform *p, struct host_file *file, int level, int option,
               void *value, uint32_t *size)
NEEDS_A_HANDLE(int, set_option, struct platform *p, struct host_file *file, int level, int option,
               const void *value, uint32_t size)
NEEDS_A_HANDLE(int, count, struct platform *p, struct host_file *file, unsigned request, int *out)
NEEDS_A_HANDLE(int, device, struct platform *p, struct host_file *file, unsigned request,
               void *value, uint32_t *size)

const struct host_socket_ops stock_no_host_sockets_ops = {
    .published = no_host_sockets_published,
    .open = no_host_sockets_open,
    .accept = no_host_sockets_accept,
    .bind = no_host_sockets_bind,
    .listen = no_host_sockets_listen,
    .connect = no_host_sockets_connect,
    .shutdown = no_host_sockets_shutdown,
    .name = no_host_sockets_name,
    .send = no_host_sockets_send,
    .receive = no_host_sockets_receive,
    .get_option = no_host_sockets_get_option,
    .set_option = no_host_sockets_set_option,
    .count = no_host_sockets_count,
    .device = no_host_sockets_device,
};
