/*
 * sockets.c: see sockets.h.
 */
#include "platform/kvm/vmm/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "platform/stock/linux_device.h"

#define NAME_SIZE_MAX 64u
#define LEVEL_NETLINK 270

/* Options whose values hold addresses of memory, or descriptors: they would be this process's. include/uapi of Linux 6.1. */
#define OPTION_ATTACH_FILTER 26
#define OPTION_DETACH_FILTER 27
#define OPTION_ATTACH_BPF 50
#define OPTION_ATTACH_REUSEPORT_CBPF 51
#define OPTION_ATTACH_REUSEPORT_EBPF 52
#define OPTION_TCP_ZEROCOPY_RECEIVE 35
/* From here on packet filters have theirs; of IPv6, between its own. */
#define OPTION_LIMIT 64
#define OPTION_IPV6_LIMIT 80

int vm_sockets_open(struct vm_sockets *sockets, const struct platform_options *options)
{
    *sockets =
        (struct vm_sockets){.listeners = options->listeners, .host_network = options->host_network};
    sockets->listener_fd = calloc(options->listener_count + 1, sizeof(int));
    if (!sockets->listener_fd)
        return -ENOMEM;
    for (size_t i = 0; i < options->listener_count; i++) {
        /* Never among the standard streams */
        int fd = fcntl(options->listeners[i].fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return -errno;
        sockets->listener_fd[sockets->listener_count++] = fd;
    }
    return 0;
}

void vm_sockets_close(struct vm_sockets *sockets)
{
    for (size_t i = 0; i < sockets->listener_count; i++)
        close(sockets->listener_fd[i]);
    free(sockets->listener_fd);
    *sockets = (struct vm_sockets){0};
}

static int64_t serve_published(const struct vm_sockets *sockets, struct vm_files *files,
                               const char *buffer, size_t size)
{
    char name[NAME_SIZE_MAX];
    if (!buffer || size >= sizeof(name))
        return -ENOENT;
    memcpy(name, buffer, size);
    name[size] = '\0';
    for (size_t i = 0; i < sockets->listener_count; i++)
        if (strcmp(sockets->listeners[i].name, name) == 0)
            return vm_files_add_socket(files, fcntl(sockets->listener_fd[i], F_DUPFD_CLOEXEC, 3));
    return -ENOENT;
}

static int64_t serve_open(const struct vm_sockets *sockets, struct vm_files *files,
                          const struct kvm_request *r)
{
    if (!sockets->host_network)
        return -EACCES;
    if (r->a0 != AF_INET && r->a0 != AF_INET6 && r->a0 != AF_NETLINK)
        return -EAFNOSUPPORT; /* the sandbox knows no other */
    const int type = (int)r->a1 & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    return vm_files_add_socket(files,
                               socket((int)r->a0, type | SOCK_NONBLOCK | SOCK_CLOEXEC, (int)r->a2));
}

/* The image's address as it is at one moment. */
static int take_address(const void *buffer, size_t size, struct host_address *out)
{
    if (!buffer || size != sizeof(*out))
        return -EINVAL;
    memcpy(out, buffer, sizeof(*out));
    return out->size > sizeof(out->bytes) ? -EINVAL : 0;
}

static void give_address(void *buffer, const struct sockaddr_storage *from, socklen_t size)
{
    struct host_address address = {0};
    address.size = size < sizeof(address.bytes) ? size : (uint32_t)sizeof(address.bytes);
    memcpy(address.bytes, from, address.size);
    memcpy(buffer, &address, sizeof(address));
}

static int64_t serve_accept(struct vm_files *files, int fd, const struct kvm_request *r,
                            void *buffer)
{
    struct sockaddr_storage from;
    socklen_t size = sizeof(from);
    if (!buffer || r->size != sizeof(struct host_address))
        return -EINVAL;
    int connection = accept4(fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection < 0)
        return -errno;
    give_address(buffer, &from, size);
    return vm_files_add_socket(files, connection);
}

static int64_t serve_name(int fd, const struct kvm_request *r, void *buffer)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    if (!buffer || r->size != sizeof(struct host_address))
        return -EINVAL;
    int done = r->a1 == HOST_SOCKET_PEER ? getpeername(fd, (struct sockaddr *)&address, &size)
                                         : getsockname(fd, (struct sockaddr *)&address, &size);
    if (done < 0)
        return -errno;
    give_address(buffer, &address, size);
    return 0;
}

/* Descriptors and identities would be this process's. */
static bool control_ok(const struct kvm_socket_message *message)
{
    struct cmsghdr h;
    for (size_t at = 0; message->control_size - at >= sizeof(h);) {
        memcpy(&h, message->control + at, sizeof(h));
        if (h.cmsg_len < sizeof(h) || h.cmsg_len > message->control_size - at)
            return false;
        if (h.cmsg_level == SOL_SOCKET &&
            (h.cmsg_type == SCM_RIGHTS || h.cmsg_type == SCM_CREDENTIALS))
            return false;
        if (CMSG_ALIGN(h.cmsg_len) >= message->control_size - at)
            break;
        at += CMSG_ALIGN(h.cmsg_len);
    }
    return true;
}

static int64_t serve_send(int fd, const struct kvm_request *r, void *buffer,
                          const struct kvm_socket_message *shared)
{
    struct kvm_socket_message message;
    memcpy(&message, shared, sizeof(message));
    if ((message.flags & ~HOST_SOCKET_SEND_FLAGS) ||
        message.address.size > sizeof(message.address.bytes) ||
        message.control_size > sizeof(message.control) || !control_ok(&message))
        return -EINVAL;
    struct iovec part = {.iov_base = buffer, .iov_len = r->size};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    if (message.address.size > 0) {
        header.msg_name = message.address.bytes;
        header.msg_namelen = message.address.size;
    }
    if (message.control_size > 0) {
        header.msg_control = message.control;
        header.msg_controllen = message.control_size;
    }
    ssize_t done = sendmsg(fd, &header, (int)message.flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    return done < 0 ? -errno : done;
}

static int64_t serve_receive(int fd, const struct kvm_request *r, void *buffer,
                             struct kvm_socket_message *shared)
{
    struct kvm_socket_message message;
    struct sockaddr_storage from;
    memcpy(&message, shared, sizeof(message));
    if ((message.flags & ~HOST_SOCKET_RECEIVE_FLAGS) ||
        message.control_size > sizeof(message.control))
        return -EINVAL;
    struct iovec part = {.iov_base = buffer, .iov_len = r->size};
    struct msghdr header = {
        .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &part, .msg_iovlen = 1};
    if (message.control_size > 0) {
        header.msg_control = message.control;
        header.msg_controllen = message.control_size;
    }
    ssize_t done = recvmsg(fd, &header, (int)message.flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (done < 0)
        return -errno;
    message.control_size = (uint32_t)header.msg_controllen;
    message.flags = (uint32_t)header.msg_flags & ~(uint32_t)MSG_CMSG_CLOEXEC;
    give_address(&message.address, &from, header.msg_namelen);
    memcpy(shared, &message, sizeof(message));
    return done;
}

/* Values that are values only. */
static bool option_passes(int level, int option)
{
    switch (level) {
    case SOL_SOCKET:
        return option < OPTION_LIMIT && option != OPTION_ATTACH_FILTER &&
               option != OPTION_DETACH_FILTER && option != OPTION_ATTACH_BPF &&
               option != OPTION_ATTACH_REUSEPORT_CBPF && option != OPTION_ATTACH_REUSEPORT_EBPF;
    case IPPROTO_TCP:
        return option < OPTION_LIMIT && option != OPTION_TCP_ZEROCOPY_RECEIVE;
    case IPPROTO_IPV6:
        return option < OPTION_LIMIT || (option < OPTION_IPV6_LIMIT && option != 64 &&
                                         option != 65 && option != 68 && option != 69);
    case IPPROTO_IP:
    case IPPROTO_UDP:
    case LEVEL_NETLINK:
        return option < OPTION_LIMIT;
    default:
        return false;
    }
}

static int64_t serve_option(int fd, const struct kvm_request *r, void *buffer)
{
    const int level = (int)(r->a1 >> 32), option = (int)(uint32_t)r->a1;
    char value[KVM_SOCKET_OPTION_MAX];
    socklen_t size = (socklen_t)r->size;
    if (option < 0 || !option_passes(level, option))
        return -ENOPROTOOPT;
    if (r->size > sizeof(value))
        return -EINVAL;
    if (r->op == KVM_OP_SOCKET_SET_OPTION) {
        if (buffer)
            memcpy(value, buffer, size);
        return setsockopt(fd, level, option, value, size) < 0 ? -errno : 0;
    }
    memset(value, 0, sizeof(value));
    if (getsockopt(fd, level, option, value, &size) < 0)
        return -errno;
    if (buffer)
        memcpy(buffer, value, size < r->size ? size : r->size);
    return size;
}

static int64_t serve_count(int fd, uint64_t request)
{
    int count = 0;
    if (!linux_counts(request))
        return -EINVAL;
    return ioctl(fd, request, &count) < 0 ? -errno : count;
}

static int64_t serve_device(int fd, const struct kvm_request *r, void *buffer)
{
    char value[KVM_SOCKET_OPTION_MAX];
    struct ifconf list = {.ifc_len = (int)r->size, .ifc_buf = value};
    size_t size = sizeof(struct ifreq);
    if (!buffer || r->size > sizeof(value))
        return -EINVAL;
    memcpy(value, buffer, r->size);
    if (r->a1 == SIOCGIFCONF) {
        if (ioctl(fd, SIOCGIFCONF, &list) < 0)
            return -errno;
        size = (size_t)list.ifc_len;
    } else if (!linux_asks_of_device(r->a1) || r->size < size) {
        return -EINVAL;
    } else if (ioctl(fd, r->a1, value) < 0) {
        return -errno;
    }
    memcpy(buffer, value, size < r->size ? size : r->size);
    return (int64_t)size;
}

static int64_t serve_one(struct vm_files *files, int fd, const struct kvm_request *r, void *buffer,
                         struct kvm_socket_message *message)
{
    struct host_address to;
    int err;
    switch (r->op) {
    case KVM_OP_SOCKET_ACCEPT:
        return serve_accept(files, fd, r, buffer);
    case KVM_OP_SOCKET_BIND:
        err = take_address(buffer, r->size, &to);
        return err ? err : bind(fd, (struct sockaddr *)to.bytes, to.size) < 0 ? -errno : 0;
    case KVM_OP_SOCKET_CONNECT:
        err = take_address(buffer, r->size, &to);
        return err ? err : connect(fd, (struct sockaddr *)to.bytes, to.size) < 0 ? -errno : 0;
    case KVM_OP_SOCKET_LISTEN:
        return listen(fd, (int)r->a1) < 0 ? -errno : 0;
    case KVM_OP_SOCKET_SHUTDOWN:
        return shutdown(fd, (int)r->a1) < 0 ? -errno : 0;
    case KVM_OP_SOCKET_NAME:
        return serve_name(fd, r, buffer);
    case KVM_OP_SOCKET_SEND:
        return serve_send(fd, r, buffer, message);
    case KVM_OP_SOCKET_RECEIVE:
        return serve_receive(fd, r, buffer, message);
    case KVM_OP_SOCKET_GET_OPTION:
    case KVM_OP_SOCKET_SET_OPTION:
        return serve_option(fd, r, buffer);
    case KVM_OP_SOCKET_COUNT:
        return serve_count(fd, r->a1);
    case KVM_OP_SOCKET_DEVICE:
        return serve_device(fd, r, buffer);
    default:
        return -ENOSYS;
    }
}

/* Of a listener nothing but connections is to be had: the calls that make sockets of one's own are not in the sandbox. */
static bool needs_network(uint32_t op)
{
    return op == KVM_OP_SOCKET_BIND || op == KVM_OP_SOCKET_LISTEN || op == KVM_OP_SOCKET_CONNECT ||
           op == KVM_OP_SOCKET_DEVICE;
}

int64_t vm_sockets_serve(const struct vm_sockets *sockets, struct vm_files *files,
                         const struct kvm_request *r, void *buffer,
                         struct kvm_socket_message *message)
{
    if (r->op == KVM_OP_SOCKET_PUBLISHED)
        return serve_published(sockets, files, buffer, r->size);
    if (r->op == KVM_OP_SOCKET_OPEN)
        return serve_open(sockets, files, r);
    if (needs_network(r->op) && !sockets->host_network)
        return -EACCES;
    struct vm_file *file = vm_file_get(files, r->a0);
    if (!file)
        return -EBADF;
    int64_t result = vm_file_is_socket(file)
                         ? serve_one(files, vm_file_fd(file), r, buffer, message)
                         : -ENOTSOCK;
    vm_file_put(file);
    return result;
}
