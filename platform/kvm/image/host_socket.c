/*
 * host_socket.c: sockets of the host by hypercalls. They never block there, so the VMM answers at once; only a close that lingers
 * is waited for. Data goes through a buffer of the kernel's own: the parts of one message one after the other.
 */
#include "platform/host_socket.h"

#include <asm/socket.h>

#include "platform/errno.h"
#include "platform/kvm/image/host_inside.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/kvm_image.h"

static struct host_file *kvm_socket_published(struct platform *p UNUSED, const char *name, int *err)
{
    if (!name[0]) {
        *err = -ENOENT;
        return NULL;
    }
    return host_file_wrap(
        host_call_with_names((struct kvm_request){.op = KVM_OP_SOCKET_PUBLISHED}, name, NULL), 0,
        err);
}

static struct host_file *kvm_socket_open(struct platform *p UNUSED, int family, int type,
                                         int protocol, int *err)
{
    return host_file_wrap(host_call((struct kvm_request){.op = KVM_OP_SOCKET_OPEN,
                                                         .a0 = (uint32_t)family,
                                                         .a1 = (uint32_t)type,
                                                         .a2 = (uint32_t)protocol}),
                          0, err);
}

static int64_t with_address(uint32_t op, struct host_file *file, uint64_t a1,
                            const struct host_address *address)
{
    return host_call((struct kvm_request){.op = op,
                                          .a0 = kvm_file_handle(file),
                                          .a1 = a1,
                                          .buffer = image_physical(address),
                                          .size = sizeof(*address)});
}

static struct host_file *kvm_socket_accept(struct platform *p UNUSED, struct host_file *listener,
                                           struct host_address *from, int *err)
{
    struct host_address shared = {0};
    struct host_file *file =
        host_file_wrap(with_address(KVM_OP_SOCKET_ACCEPT, listener, 0, &shared), 0, err);
    *from = shared;
    return file;
}

static int kvm_socket_bind(struct platform *p UNUSED, struct host_file *file,
                           const struct host_address *to)
{
    const struct host_address shared = *to;
    return (int)with_address(KVM_OP_SOCKET_BIND, file, 0, &shared);
}

static int kvm_socket_listen(struct platform *p UNUSED, struct host_file *file, int backlog)
{
    return (int)host_call((struct kvm_request){
        .op = KVM_OP_SOCKET_LISTEN, .a0 = kvm_file_handle(file), .a1 = (uint32_t)backlog});
}

static int kvm_socket_connect(struct platform *p UNUSED, struct host_file *file,
                              const struct host_address *to)
{
    const struct host_address shared = *to;
    return (int)with_address(KVM_OP_SOCKET_CONNECT, file, 0, &shared);
}

static int kvm_socket_shutdown(struct platform *p UNUSED, struct host_file *file, int how)
{
    return (int)host_call((struct kvm_request){
        .op = KVM_OP_SOCKET_SHUTDOWN, .a0 = kvm_file_handle(file), .a1 = (uint32_t)how});
}

static int kvm_socket_name(struct platform *p UNUSED, struct host_file *file,
                           enum host_socket_name which, struct host_address *out)
{
    struct host_address shared = {0};
    int err = (int)with_address(KVM_OP_SOCKET_NAME, file, which, &shared);
    if (err == 0)
        *out = shared;
    return err;
}

static size_t size_of_parts(const struct mem_ref *parts, unsigned count)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++)
        if (__builtin_add_overflow(size, parts[i].size, &size) || size > HOST_BOUNCE_SIZE)
            return HOST_BOUNCE_SIZE;
    return size;
}

/* The first `size` bytes of the parts, to or from the buffer. 0 or -EFAULT. */
static int move_parts(struct platform *p, const struct mem_ref *parts, char *bounce, size_t size,
                      enum kvm_operation op)
{
    for (; size > 0; parts++) {
        struct mem_ref m = mem_first(*parts, size);
        size_t left = 0;
        if (op == KVM_OP_SOCKET_SEND && m.shim)
            __builtin_memcpy(bounce, m.shim, m.size);
        else if (op == KVM_OP_SOCKET_SEND)
            left = guest_copy_in(p, bounce, m.guest, m.size);
        else if (m.shim)
            __builtin_memcpy(m.shim, bounce, m.size);
        else
            left = guest_copy_out(p, m.guest, bounce, m.size);
        if (left > 0)
            return -EFAULT;
        bounce += m.size;
        size -= m.size;
    }
    return 0;
}

static int64_t kvm_socket_send(struct platform *p, struct host_file *file,
                               const struct host_message *m)
{
    struct kvm_socket_message message = {.flags = m->flags, .control_size = m->control_size};
    char *bounce;
    if (m->control_size > sizeof(message.control))
        return -ENOBUFS;
    bounce = host_bounce_get();
    if (!bounce)
        return -ENOMEM;
    if (m->address)
        message.address = *m->address;
    if (m->control_size)
        __builtin_memcpy(message.control, m->control, m->control_size);
    struct kvm_request request = {.op = KVM_OP_SOCKET_SEND,
                                  .a0 = kvm_file_handle(file),
                                  .a1 = image_physical(&message),
                                  .buffer = image_physical(bounce),
                                  .size = size_of_parts(m->parts, m->count)};
    int64_t result = move_parts(p, m->parts, bounce, request.size, KVM_OP_SOCKET_SEND);
    if (result == 0)
        result = host_call(request);
    host_bounce_put(bounce);
    return result;
}

/* A stream's bytes are lost when the guest's memory refuses them: look first. */
static bool can_take(struct platform *p, const struct mem_ref *parts, size_t size)
{
    for (; size > 0; parts++) {
        struct mem_ref m = mem_first(*parts, size);
        if (!m.shim && host_reachable(p, m.guest, m.size) < m.size)
            return false;
        size -= m.size;
    }
    return true;
}

static int64_t kvm_socket_receive(struct platform *p, struct host_file *file,
                                  struct host_message *m)
{
    struct kvm_socket_message message = {.flags = m->flags};
    const size_t size = size_of_parts(m->parts, m->count);
    message.control_size =
        m->control_size < sizeof(message.control) ? m->control_size : sizeof(message.control);
    if (!can_take(p, m->parts, size))
        return -EFAULT;
    char *bounce = host_bounce_get();
    if (!bounce)
        return -ENOMEM;
    int64_t result = host_call((struct kvm_request){.op = KVM_OP_SOCKET_RECEIVE,
                                                    .a0 = kvm_file_handle(file),
                                                    .a1 = image_physical(&message),
                                                    .buffer = image_physical(bounce),
                                                    .size = size});
    m->flags = message.flags;
    if (m->address)
        *m->address = message.address;
    if (result < 0 || message.control_size > m->control_size)
        message.control_size = 0;
    m->control_size = message.control_size;
    if (m->control_size)
        __builtin_memcpy(m->control, message.control, m->control_size);
    if (result >= 0) { /* with MSG_TRUNC it is what the message had */
        size_t got = (size_t)result < size ? (size_t)result : size;
        int err = move_parts(p, m->parts, bounce, got, KVM_OP_SOCKET_RECEIVE);
        if (err)
            result = err;
    }
    host_bounce_put(bounce);
    return result;
}

static uint64_t level_and_option(int level, int option)
{
    return (uint64_t)(uint32_t)level << 32 | (uint32_t)option;
}

static int kvm_socket_get_option(struct platform *p UNUSED, struct host_file *file, int level,
                                 int option, void *value, uint32_t *size)
{
    char shared[KVM_SOCKET_OPTION_MAX] = {0};
    const uint32_t room = *size < sizeof(shared) ? *size : (uint32_t)sizeof(shared);
    int64_t result = host_call((struct kvm_request){.op = KVM_OP_SOCKET_GET_OPTION,
                                                    .a0 = kvm_file_handle(file),
                                                    .a1 = level_and_option(level, option),
                                                    .buffer = image_physical(shared),
                                                    .size = room});
    if (result < 0)
        return (int)result;
    *size = (uint32_t)result < room ? (uint32_t)result : room;
    __builtin_memcpy(value, shared, *size);
    return 0;
}

static int kvm_socket_set_option(struct platform *p UNUSED, struct host_file *file, int level,
                                 int option, const void *value, uint32_t size)
{
    char shared[KVM_SOCKET_OPTION_MAX];
    if (size > sizeof(shared))
        return -EINVAL;
    __builtin_memcpy(shared, value, size);
    if (level == SOL_SOCKET && option == SO_LINGER)
        kvm_file_set_lingers(file);
    return (int)host_call((struct kvm_request){.op = KVM_OP_SOCKET_SET_OPTION,
                                               .a0 = kvm_file_handle(file),
                                               .a1 = level_and_option(level, option),
                                               .buffer = image_physical(shared),
                                               .size = size});
}

static int kvm_socket_count(struct platform *p UNUSED, struct host_file *file, unsigned request,
                            int *out)
{
    int64_t result = host_call((struct kvm_request){
        .op = KVM_OP_SOCKET_COUNT, .a0 = kvm_file_handle(file), .a1 = request});
    if (result < 0)
        return (int)result;
    *out = (int)result;
    return 0;
}

static int kvm_socket_device(struct platform *p UNUSED, struct host_file *file, unsigned request,
                             void *value, uint32_t *size)
{
    char shared[KVM_SOCKET_OPTION_MAX];
    const uint32_t room = *size < sizeof(shared) ? *size : (uint32_t)sizeof(shared);
    __builtin_memcpy(shared, value, room);
    int64_t result = host_call((struct kvm_request){.op = KVM_OP_SOCKET_DEVICE,
                                                    .a0 = kvm_file_handle(file),
                                                    .a1 = request,
                                                    .buffer = image_physical(shared),
                                                    .size = room});
    if (result < 0)
        return (int)result;
    *size = (uint32_t)result < room ? (uint32_t)result : room;
    __builtin_memcpy(value, shared, *size);
    return 0;
}

const struct host_socket_ops kvm_host_socket_ops = {
    .published = kvm_socket_published,
    .open = kvm_socket_open,
    .accept = kvm_socket_accept,
    .bind = kvm_socket_bind,
    .listen = kvm_socket_listen,
    .connect = kvm_socket_connect,
    .shutdown = kvm_socket_shutdown,
    .name = kvm_socket_name,
    .send = kvm_socket_send,
    .receive = kvm_socket_receive,
    .get_option = kvm_socket_get_option,
    .set_option = kvm_socket_set_option,
    .count = kvm_socket_count,
    .device = kvm_socket_device,
};
