/*
 * sys_socket.c: decode and check; the sockets are in fs/socket*.c, control messages in sys_socket_control.c.
 */
#include "shim/sys_socket.h"

#include <asm/fcntl.h>
#include <asm/socket.h>
#include <linux/uio.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/socket.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/sys_socket_control.h"
#include "shim/wait_time.h"

#define TYPE_MASK 0xf
#define SOCKADDR_MAX 128u /* sizeof(struct sockaddr_storage) */
#define OPTION_MAX 512u
#define CONTROL_ROOM 4096u /* more than a packet of the host ever brings along */

/* Owner: caller. *err: 0, or -EBADF, -ENOTSOCK with NULL. */
static struct file *get_socket(struct task *task, uint64_t fd, long *err)
{
    struct file *f = fd_get(task, (int)fd);

    if (!f) {
        *err = -EBADF;
        return NULL;
    }
    if (!f->ops->socket || (f->flags & O_PATH)) {
        file_put(f);
        *err = -ENOTSOCK;
        return NULL;
    }
    *err = 0;
    return f;
}

/* ---- addresses -------------------------------------------------------------------------------------------------- */

static int read_address(uint64_t addr, uint64_t size, struct socket_address *out)
{
    struct {
        uint16_t family;
        char path[SOCKADDR_MAX];
    } raw = {0};
    int r;

    memset(out, 0, sizeof(*out));
    if ((int)size < 0 || (uint32_t)size > SOCKADDR_MAX || (uint32_t)size < sizeof(raw.family))
        return -EINVAL;
    r = user_read(&raw, addr, (uint32_t)size);
    if (r)
        return r;
    out->family = raw.family;
    out->size = (unsigned)size; /* may say more than there is room for: families look at it */
    memcpy(out->path, raw.path, sizeof(out->path) - 2);
    return 0;
}

/* value-result argument: the room in, the true size out. */
static int write_address(const struct socket_address *a, unsigned size, uint64_t addr,
                         uint64_t size_addr)
{
    struct {
        uint16_t family;
        char path[108];
    } raw = {.family = a->family};
    int room, r;

    r = user_read(&room, size_addr, sizeof(room));
    if (r)
        return r;
    if (room < 0)
        return -EINVAL;
    memcpy(raw.path, a->path, sizeof(raw.path));
    if (size) {
        r = user_write(addr, &raw, (unsigned)room < size ? (unsigned)room : size);
        if (r)
            return r;
    }
    return user_write(size_addr, &size, sizeof(size));
}

/* ---- making and connecting -------------------------------------------------------------------------------------- */

static int check_kind(const struct syscall_args *args, int *type, uint32_t *flags)
{
    *type = (int)args->a[1] & TYPE_MASK;
    *flags = (uint32_t)args->a[1] & ~(uint32_t)TYPE_MASK;
    return *flags & ~(uint32_t)(O_NONBLOCK | O_CLOEXEC) ? -EINVAL : 0;
}

static enum fd_flags fd_flags_of(uint32_t flags)
{
    return flags & O_CLOEXEC ? FD_CLOSE_ON_EXEC : FD_KEEP;
}

long sys_socket(struct task *task, const struct syscall_args *args)
{
    uint32_t flags;
    int type, err = check_kind(args, &type, &flags);
    struct file *f;

    if (err)
        return err;
    f = socket_create(task, (int)args->a[0], type, (int)args->a[2], flags & O_NONBLOCK, &err);
    return f ? fd_install(task, f, 0, fd_flags_of(flags)) : err;
}

long sys_socketpair(struct task *task, const struct syscall_args *args)
{
    struct file *ends[2];
    uint32_t flags;
    int fds[2], type, r = check_kind(args, &type, &flags);

    if (!r)
        r = socket_pair(task, (int)args->a[0], type, (int)args->a[2], flags & O_NONBLOCK, ends);
    if (r)
        return r;
    fds[0] = fd_install(task, ends[0], 0, fd_flags_of(flags));
    if (fds[0] < 0) {
        file_put(ends[1]);
        return fds[0];
    }
    fds[1] = fd_install(task, ends[1], 0, fd_flags_of(flags));
    if (fds[1] >= 0) {
        r = user_write(args->a[3], fds, sizeof(fds));
        if (!r)
            return 0;
        fd_close(task, fds[1]);
    } else {
        r = fds[1];
    }
    fd_close(task, fds[0]);
    return r;
}

/* bind and connect: what takes an address. */
static long with_address(struct task *task, const struct syscall_args *args,
                         int (*act)(struct task *, struct file *, const struct socket_address *),
                         struct file *f)
{
    struct socket_address address;
    long r = read_address(args->a[1], args->a[2], &address);
    if (!r)
        r = act(task, f, &address);
    file_put(f);
    return r;
}

long sys_bind(struct task *task, const struct syscall_args *args)
{
    long r;
    struct file *f = get_socket(task, args->a[0], &r);
    return f ? with_address(task, args, socket_ops_of(f)->bind, f) : r;
}

long sys_listen(struct task *task, const struct syscall_args *args)
{
    long r;
    struct file *f = get_socket(task, args->a[0], &r);

    if (!f)
        return r;
    r = socket_ops_of(f)->listen(task, f, (int)args->a[1]);
    file_put(f);
    return r;
}

static long do_accept(struct task *task, const struct syscall_args *args, uint32_t flags)
{
    struct socket_address from;
    struct file *f, *made;
    int err = 0;
    long r;

    if (flags & ~(uint32_t)(O_NONBLOCK | O_CLOEXEC))
        return -EINVAL;
    f = get_socket(task, args->a[0], &r);
    if (!f)
        return r;
    made = socket_ops_of(f)->accept(task, f, flags & O_NONBLOCK, &from, &err);
    file_put(f);
    if (!made)
        return err;
    if (args->a[1]) {
        r = write_address(&from, from.size, args->a[1], args->a[2]);
        if (r) {
            file_put(made);
            return r;
        }
    }
    return fd_install(task, made, 0, fd_flags_of(flags));
}

long sys_accept(struct task *task, const struct syscall_args *args)
{
    return do_accept(task, args, 0);
}

long sys_accept4(struct task *task, const struct syscall_args *args)
{
    return do_accept(task, args, (uint32_t)args->a[3]);
}

long sys_connect(struct task *task, const struct syscall_args *args)
{
    long r;
    struct file *f = get_socket(task, args->a[0], &r);
    return f ? with_address(task, args, socket_ops_of(f)->connect, f) : r;
}

/* getsockname and getpeername: what gives one. */
static long give_address(const struct syscall_args *args,
                         int (*ask)(struct file *, struct socket_address *), struct file *f)
{
    struct socket_address name;
    long r = ask(f, &name);
    file_put(f);
    return r ? r : write_address(&name, name.size, args->a[1], args->a[2]);
}

long sys_getsockname(struct task *task, const struct syscall_args *args)
{
    long r;
    struct file *f = get_socket(task, args->a[0], &r);
    return f ? give_address(args, socket_ops_of(f)->name, f) : r;
}

long sys_getpeername(struct task *task, const struct syscall_args *args)
{
    long r;
    struct file *f = get_socket(task, args->a[0], &r);
    return f ? give_address(args, socket_ops_of(f)->peer_name, f) : r;
}

long sys_shutdown(struct task *task, const struct syscall_args *args)
{
    long r;
    struct file *f = get_socket(task, args->a[0], &r);

    if (!f)
        return r;
    r = socket_ops_of(f)->shutdown(f, (int)args->a[1]);
    file_put(f);
    return r;
}

/* ---- options ---------------------------------------------------------------------------------------------------- */

long sys_setsockopt(struct task *task, const struct syscall_args *args)
{
    char value[OPTION_MAX];
    unsigned size = (unsigned)args->a[4];
    long r;
    struct file *f = get_socket(task, args->a[0], &r);

    if (!f)
        return r;
    if ((int)size < 0)
        r = -EINVAL;
    else {
        if (size > sizeof(value))
            size = sizeof(value);
        r = user_read(value, args->a[3], size);
        if (!r)
            r = socket_ops_of(f)->set_option(task, f, (int)args->a[1], (int)args->a[2], value,
                                             size);
    }
    file_put(f);
    return r;
}

long sys_getsockopt(struct task *task, const struct syscall_args *args)
{
    char value[OPTION_MAX];
    unsigned size;
    long r;
    struct file *f = get_socket(task, args->a[0], &r);

    if (!f)
        return r;
    r = user_read(&size, args->a[4], sizeof(size));
    if (!r && (int)size < 0)
        r = -EINVAL;
    if (!r) {
        if (size > sizeof(value))
            size = sizeof(value);
        r = socket_ops_of(f)->get_option(f, (int)args->a[1], (int)args->a[2], value, &size);
    }
    file_put(f);
    if (!r)
        r = user_write(args->a[3], value, size);
    if (!r || r == -ERANGE) { /* -ERANGE: it says how much room there should be */
        int w = user_write(args->a[4], &size, sizeof(size));
        r = w ? w : r;
    }
    return r;
}

/* ---- data ------------------------------------------------------------------------------------------------------- */

long sys_sendto(struct task *task, const struct syscall_args *args)
{
    struct mem_ref part = mem_guest(guest_addr(args->a[1]), args->a[2] & INT64_MAX);
    struct socket_io io = socket_io_make(&part, 1);
    struct socket_send send = {.flags = (int)args->a[3]};
    struct socket_address to;
    long r;
    struct file *f;

    f = get_socket(task, args->a[0], &r);
    if (!f)
        return r;
    if (args->a[4] && args->a[5]) {
        r = read_address(args->a[4], args->a[5], &to);
        send.to = &to;
    }
    if (!r)
        r = socket_ops_of(f)->send(task, f, &io, &send);
    file_put(f);
    return r;
}

static unsigned sender_size(const struct socket_address *from)
{
    return from->size > 2 ? from->size : 0;
}

long sys_recvfrom(struct task *task, const struct syscall_args *args)
{
    struct mem_ref part = mem_guest(guest_addr(args->a[1]), args->a[2] & INT64_MAX);
    struct socket_io io = socket_io_make(&part, 1);
    struct socket_receive receive = {.flags = (int)args->a[3]};
    long r, w;
    struct file *f;

    f = get_socket(task, args->a[0], &r);
    if (!f)
        return r;
    r = socket_ops_of(f)->receive(task, f, &io, &receive);
    file_put(f);
    socket_files_put(receive.files);
    if (r >= 0 && args->a[4]) {
        w = write_address(&receive.from, sender_size(&receive.from), args->a[4], args->a[5]);
        if (w)
            return w;
    }
    return r;
}

/* A struct msghdr and its vector. */
#define NEAR_PARTS 8
struct message_args {
    struct user_msghdr_abi header;
    struct mem_ref near[NEAR_PARTS], *parts; /* from shim_alloc when not near */
    unsigned count;
};

static int read_vector(struct message_args *m)
{
    struct iovec v;
    uint64_t total = 0;
    int r;

    m->count = (unsigned)m->header.iov_count;
    m->parts = m->near;
    if (m->count > NEAR_PARTS) {
        m->parts = shim_alloc(m->count * sizeof(m->parts[0]));
        if (!m->parts)
            return -ENOMEM;
    }
    for (unsigned i = 0; i < m->count; i++) {
        r = user_read(&v, m->header.iov + i * sizeof(v), sizeof(v));
        if (!r && v.iov_len > INT64_MAX - total)
            r = -EINVAL;
        if (r) {
            if (m->parts != m->near)
                shim_free(m->parts);
            return r;
        }
        total += v.iov_len;
        m->parts[i] = mem_guest(guest_addr((uint64_t)(uintptr_t)v.iov_base), v.iov_len);
    }
    return 0;
}

static int read_message(uint64_t addr, struct message_args *m)
{
    int r = user_read(&m->header, addr, sizeof(m->header));

    if (r)
        return r;
    if (m->header.name_size < 0)
        return -EINVAL;
    if (m->header.iov_count > UIO_MAXIOV)
        return -EMSGSIZE;
    return read_vector(m);
}

static void free_message(struct message_args *m)
{
    if (m->parts != m->near)
        shim_free(m->parts);
}

static long send_message(struct task *task, struct file *f, uint64_t addr, int flags)
{
    struct message_args m;
    struct socket_address to;
    struct socket_credentials credentials;
    struct socket_send send = {.flags = flags};
    long r = read_message(addr, &m);

    if (r)
        return r;
    if (m.header.name && m.header.name_size) {
        r = read_address(m.header.name, (uint64_t)m.header.name_size, &to);
        send.to = &to;
    }
    if (!r && m.header.control_size)
        r = control_read(task, socket_ops_of(f)->family, &m.header, &send, &credentials);
    if (!r) {
        struct socket_io io = socket_io_make(m.parts, m.count);
        r = socket_ops_of(f)->send(task, f, &io, &send);
    }
    socket_files_put(send.files);
    shim_free((void *)(uintptr_t)send.control);
    free_message(&m);
    return r;
}

static long receive_message(struct task *task, struct file *f, uint64_t addr, int flags)
{
    struct message_args m;
    struct socket_receive receive = {.flags = flags};
    long r = read_message(addr, &m), w = 0;

    if (r)
        return r;
    struct socket_io io = socket_io_make(m.parts, m.count);
    if (m.header.control)
        receive.control_room =
            m.header.control_size < CONTROL_ROOM ? (unsigned)m.header.control_size : CONTROL_ROOM;
    r = socket_ops_of(f)->receive(task, f, &io, &receive);
    free_message(&m);
    if (r < 0) {
        socket_files_put(receive.files);
        shim_free(receive.control);
        return r;
    }
    if (m.header.name)
        w = write_address(&receive.from, sender_size(&receive.from), m.header.name,
                          addr + offsetof(struct user_msghdr_abi, name_size));
    if (!w)
        w = control_write(task, &m.header, &receive, flags, addr);
    socket_files_put(receive.files);
    shim_free(receive.control);
    return w ? w : r;
}

long sys_sendmsg(struct task *task, const struct syscall_args *args)
{
    long r;
    struct file *f = get_socket(task, args->a[0], &r);

    if (!f)
        return r;
    r = send_message(task, f, args->a[1], (int)args->a[2]);
    file_put(f);
    return r;
}

long sys_recvmsg(struct task *task, const struct syscall_args *args)
{
    long r;
    struct file *f = get_socket(task, args->a[0], &r);

    if (!f)
        return r;
    r = receive_message(task, f, args->a[1], (int)args->a[2]);
    file_put(f);
    return r;
}

#define MMSG_SIZE 64 /* struct mmsghdr: a msghdr of 56 bytes, the length, padding */
#define MMSG_LENGTH 56

long sys_sendmmsg(struct task *task, const struct syscall_args *args)
{
    unsigned count = (unsigned)args->a[2], i;
    long r;
    struct file *f = get_socket(task, args->a[0], &r);

    if (!f)
        return r;
    if (count > UIO_MAXIOV)
        count = UIO_MAXIOV;
    for (i = 0, r = 0; i < count; i++) {
        uint64_t at = args->a[1] + (uint64_t)i * MMSG_SIZE;
        r = send_message(task, f, at, (int)args->a[3]);
        if (r < 0)
            break;
        uint32_t sent = (uint32_t)r;
        r = user_write(at + MMSG_LENGTH, &sent, sizeof(sent));
        if (r)
            break;
    }
    file_put(f);
    return i ? (long)i : r;
}

/* recvmmsg(2). The timeout is looked at after each message only, as the manual's BUGS section says. */
long sys_recvmmsg(struct task *task, const struct syscall_args *args)
{
    unsigned count = (unsigned)args->a[2], i;
    int flags = (int)args->a[3];
    uint64_t deadline;
    long r = wait_deadline_user(args->a[4], &deadline);
    struct file *f = r ? NULL : get_socket(task, args->a[0], &r);

    if (!f)
        return r;
    if (count > UIO_MAXIOV)
        count = UIO_MAXIOV;
    for (i = 0, r = 0; i < count; i++) {
        uint64_t at = args->a[1] + (uint64_t)i * MMSG_SIZE;
        r = receive_message(task, f, at, flags & ~MSG_WAITFORONE);
        if (r < 0)
            break;
        uint32_t got = (uint32_t)r;
        r = user_write(at + MMSG_LENGTH, &got, sizeof(got));
        if (r)
            break;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        if (deadline != THREAD_WAIT_FOREVER && !wait_left(deadline)) {
            i++;
            break;
        }
    }
    file_put(f);
    wait_time_left(args->a[4], deadline);
    return i ? (long)i : r;
}
