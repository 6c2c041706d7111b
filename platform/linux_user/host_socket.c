/*
 * host_socket.c: sockets of the host. Ours alone, so O_NONBLOCK is set on each; descriptors are of the table that all carriers share.
 */
#include "platform/host_socket.h"

#include <linux/fcntl.h>
#include <linux/uio.h>

#include "platform/linux_user/host_file.h"
#include "platform/linux_user/lu.h"
#include "platform/stock/linux_device.h"

/* The kernel's socket.h keeps these to itself; values of the x86-64 ABI. */
#define SOCK_NONBLOCK_FLAG 04000
#define SOCK_CLOEXEC_FLAG 02000000
#define MSG_DONTWAIT_FLAG 0x40u
#define MSG_NOSIGNAL_FLAG 0x4000u
#define MAX_LISTENERS 64

struct lu_msghdr {
    void *name;
    uint32_t name_size, padding;
    struct iovec *parts;
    uint64_t count;
    void *control;
    uint64_t control_size;
    uint32_t flags, padding2;
};

static struct {
    char name[32];
    int fd;
} g_listeners[MAX_LISTENERS];
static uint32_t g_listener_count;
static bool g_host_network;

/* Host side, before carriers exist. */
int lu_host_sockets_grant(const char *name, int fd)
{
    size_t length = 0;

    if (g_listener_count == MAX_LISTENERS)
        return -EMFILE;
    for (; name[length] && length < sizeof(g_listeners[0].name) - 1; length++)
        g_listeners[g_listener_count].name[length] = name[length];
    g_listeners[g_listener_count++].fd = fd;
    return 0;
}

void lu_host_network_grant(void)
{
    g_host_network = true;
}

static struct host_file *lu_socket_published(struct platform *p UNUSED, const char *name, int *err)
{
    for (uint32_t i = 0; i < g_listener_count; i++) {
        size_t at = 0;
        while (name[at] && name[at] == g_listeners[i].name[at])
            at++;
        if (name[at] == g_listeners[i].name[at])
            return lu_file_wrap(lu_host(__NR_fcntl, g_listeners[i].fd, F_DUPFD_CLOEXEC, 3), err);
    }
    *err = -ENOENT;
    return NULL;
}

static struct host_file *lu_socket_open(struct platform *p UNUSED, int family, int type,
                                        int protocol, int *err)
{
    if (!g_host_network) {
        *err = -EACCES;
        return NULL;
    }
    return lu_file_wrap(
        lu_host(__NR_socket, family, type | SOCK_NONBLOCK_FLAG | SOCK_CLOEXEC_FLAG, protocol), err);
}

static struct host_file *lu_socket_accept(struct platform *p UNUSED, struct host_file *listener,
                                          struct host_address *from, int *err)
{
    from->size = sizeof(from->bytes);
    return lu_file_wrap(lu_host(__NR_accept4, listener->fd, from->bytes, &from->size,
                                SOCK_NONBLOCK_FLAG | SOCK_CLOEXEC_FLAG),
                        err);
}

static int lu_socket_bind(struct platform *p UNUSED, struct host_file *file,
                          const struct host_address *to)
{
    return (int)lu_host(__NR_bind, file->fd, to->bytes, to->size);
}

static int lu_socket_listen(struct platform *p UNUSED, struct host_file *file, int backlog)
{
    return (int)lu_host(__NR_listen, file->fd, backlog);
}

static int lu_socket_connect(struct platform *p UNUSED, struct host_file *file,
                             const struct host_address *to)
{
    return (int)lu_host(__NR_connect, file->fd, to->bytes, to->size);
}

static int lu_socket_shutdown(struct platform *p UNUSED, struct host_file *file, int how)
{
    return (int)lu_host(__NR_shutdown, file->fd, how);
}

static int lu_socket_name(struct platform *p UNUSED, struct host_file *file,
                          enum host_socket_name which, struct host_address *out)
{
    out->size = sizeof(out->bytes);
    return (int)lu_host(which == HOST_SOCKET_PEER ? __NR_getpeername : __NR_getsockname, file->fd,
                        out->bytes, &out->size);
}

static int fill_parts(struct iovec *into, const struct mem_ref *parts, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct mem_ref *m = &parts[i];
        uint64_t address = m->shim ? (uint64_t)m->shim : m->guest.raw;
        if (!m->shim && m->size > 0 &&
            (address < LU_GUEST_MIN || address >= LU_GUEST_END || m->size > LU_GUEST_END - address))
            return -EFAULT;
        into[i] = (struct iovec){.iov_base = (void *)address, .iov_len = m->size};
    }
    return 0;
}

static int64_t lu_socket_send(struct platform *p UNUSED, struct host_file *file,
                              const struct host_message *m)
{
    struct iovec vector[HOST_SOCKET_PARTS];
    struct lu_msghdr h = {
        .parts = vector, .count = m->count, .control = m->control, .control_size = m->control_size};
    int err = fill_parts(vector, m->parts, m->count);

    if (err < 0)
        return err;
    if (m->address) {
        h.name = m->address->bytes;
        h.name_size = m->address->size;
    }
    return lu_host(__NR_sendmsg, file->fd, &h, m->flags | MSG_DONTWAIT_FLAG | MSG_NOSIGNAL_FLAG);
}

static int64_t lu_socket_receive(struct platform *p UNUSED, struct host_file *file,
                                 struct host_message *m)
{
    struct iovec vector[HOST_SOCKET_PARTS];
    struct lu_msghdr h = {
        .parts = vector, .count = m->count, .control = m->control, .control_size = m->control_size};
    int64_t result = fill_parts(vector, m->parts, m->count);

    if (result < 0)
        return result;
    if (m->address) {
        h.name = m->address->bytes;
        h.name_size = sizeof(m->address->bytes);
    }
    result = lu_host(__NR_recvmsg, file->fd, &h, m->flags | MSG_DONTWAIT_FLAG);
    m->flags = h.flags;
    m->control_size = result < 0 ? 0 : (uint32_t)h.control_size;
    if (m->address)
        m->address->size = result < 0 ? 0 : h.name_size;
    return result;
}

static int lu_socket_get_option(struct platform *p UNUSED, struct host_file *file, int level,
                                int option, void *value, uint32_t *size)
{
    return (int)lu_host(__NR_getsockopt, file->fd, level, option, value, size);
}

static int lu_socket_set_option(struct platform *p UNUSED, struct host_file *file, int level,
                                int option, const void *value, uint32_t size)
{
    return (int)lu_host(__NR_setsockopt, file->fd, level, option, value, size);
}

static int lu_socket_count(struct platform *p UNUSED, struct host_file *file, unsigned request,
                           int *out)
{
    if (!linux_counts(request))
        return -EINVAL;
    return (int)lu_host(__NR_ioctl, file->fd, request, out);
}

#define DEVICE_REQUEST_SIZE 40 /* struct ifreq */

static int lu_socket_device(struct platform *p UNUSED, struct host_file *file, unsigned request,
                            void *value, uint32_t *size)
{
    struct {
        int32_t size, padding;
        void *buffer;
    } list = {.size = (int32_t)*size, .buffer = value};
    int r;

    if (request == SIOCGIFCONF) {
        r = (int)lu_host(__NR_ioctl, file->fd, request, &list);
        *size = r < 0 ? 0 : (uint32_t)list.size;
        return r;
    }
    if (!linux_asks_of_device(request) || *size < DEVICE_REQUEST_SIZE)
        return -EINVAL;
    *size = DEVICE_REQUEST_SIZE;
    return (int)lu_host(__NR_ioctl, file->fd, request, value);
}

const struct host_socket_ops lu_host_socket_ops = {
    .published = lu_socket_published,
    .open = lu_socket_open,
    .accept = lu_socket_accept,
    .bind = lu_socket_bind,
    .listen = lu_socket_listen,
    .connect = lu_socket_connect,
    .shutdown = lu_socket_shutdown,
    .name = lu_socket_name,
    .send = lu_socket_send,
    .receive = lu_socket_receive,
    .get_option = lu_socket_get_option,
    .set_option = lu_socket_set_option,
    .count = lu_socket_count,
    .device = lu_socket_device,
};
