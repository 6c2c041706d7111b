/*
 * host_socket.c: checked entry points of host_socket.h.
 */
#include "platform/host_socket.h"

#include "platform/contract.h"
#include "platform/platform.h"

static bool address_ok(const struct host_address *a)
{
    return a && a->size <= HOST_ADDRESS_MAX;
}

struct host_file *host_socket_published(struct platform *p, const char *name, int *err)
{
    PLATFORM_REQUIRE(name != NULL && err != NULL);
    return p->host_socket->published(p, name, err);
}

struct host_file *host_socket_open(struct platform *p, int family, int type, int protocol, int *err)
{
    PLATFORM_REQUIRE(err != NULL);
    return p->host_socket->open(p, family, type, protocol, err);
}

struct host_file *host_socket_accept(struct platform *p, struct host_file *listener,
                                     struct host_address *from, int *err)
{
    PLATFORM_REQUIRE(listener != NULL && from != NULL && err != NULL);
    return p->host_socket->accept(p, listener, from, err);
}

int host_socket_bind(struct platform *p, struct host_file *file, const struct host_address *to)
{
    PLATFORM_REQUIRE(file != NULL && address_ok(to));
    return p->host_socket->bind(p, file, to);
}

int host_socket_listen(struct platform *p, struct host_file *file, int backlog)
{
    PLATFORM_REQUIRE(file != NULL);
    return p->host_socket->listen(p, file, backlog);
}

int host_socket_connect(struct platform *p, struct host_file *file, const struct host_address *to)
{
    PLATFORM_REQUIRE(file != NULL && address_ok(to));
    return p->host_socket->connect(p, file, to);
}

int host_socket_shutdown(struct platform *p, struct host_file *file, int how)
{
    PLATFORM_REQUIRE(file != NULL);
    return p->host_socket->shutdown(p, file, how);
}

int host_socket_name(struct platform *p, struct host_file *file, enum host_socket_name which,
                     struct host_address *out)
{
    PLATFORM_REQUIRE(file != NULL && which <= HOST_SOCKET_PEER && out != NULL);
    return p->host_socket->name(p, file, which, out);
}

static bool message_ok(const struct host_message *m, unsigned flags)
{
    return m && m->count <= HOST_SOCKET_PARTS && (m->parts || !m->count) && !(m->flags & ~flags) &&
           (m->control || !m->control_size);
}

int64_t host_socket_send(struct platform *p, struct host_file *file, const struct host_message *m)
{
    PLATFORM_REQUIRE(file != NULL && message_ok(m, HOST_SOCKET_SEND_FLAGS));
    PLATFORM_REQUIRE(m->address == NULL || address_ok(m->address));
    return p->host_socket->send(p, file, m);
}

int64_t host_socket_receive(struct platform *p, struct host_file *file, struct host_message *m)
{
    PLATFORM_REQUIRE(file != NULL && message_ok(m, HOST_SOCKET_RECEIVE_FLAGS));
    return p->host_socket->receive(p, file, m);
}

int host_socket_get_option(struct platform *p, struct host_file *file, int level, int option,
                           void *value, uint32_t *size)
{
    PLATFORM_REQUIRE(file != NULL && value != NULL && size != NULL);
    return p->host_socket->get_option(p, file, level, option, value, size);
}

int host_socket_set_option(struct platform *p, struct host_file *file, int level, int option,
                           const void *value, uint32_t size)
{
    PLATFORM_REQUIRE(file != NULL && (value != NULL || size == 0));
    return p->host_socket->set_option(p, file, level, option, value, size);
}

int host_socket_count(struct platform *p, struct host_file *file, unsigned request, int *out)
{
    PLATFORM_REQUIRE(file != NULL && out != NULL);
    return p->host_socket->count(p, file, request, out);
}

int host_socket_device(struct platform *p, struct host_file *file, unsigned request, void *value,
                       uint32_t *size)
{
    PLATFORM_REQUIRE(file != NULL && value != NULL && size != NULL);
    return p->host_socket->device(p, file, request, value, size);
}
