#include "shim/sys_socket_control.h"

#include <asm/socket.h>
#include <linux/capability.h>
#include <linux/in.h>
#include <linux/ipv6.h>
#include <linux/netlink.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/file.h"
#include "shim/syscall.h"

#define SOL_NETLINK 270
#define SCM_TIMESTAMP SO_TIMESTAMP
#define SCM_TIMESTAMPNS SO_TIMESTAMPNS
#define SCM_RIGHTS 1
#define SCM_CREDENTIALS 2
#define CONTROL_MAX 20480 /* net.core.optmem_max */

static int take_files(struct task *task, const char *data, size_t size, struct socket_send *send)
{
    size_t count = size / sizeof(int32_t);
    unsigned have = send->files ? send->files->count : 0;
    struct socket_files *files;

    if (count + have > SCM_MAX_FILES)
        return -EINVAL;
    files = shim_realloc(send->files, sizeof(*files) + (count + have) * sizeof(struct file *));
    if (!files)
        return -ENOMEM;
    files->count = have;
    send->files = files;
    for (size_t i = 0; i < count; i++) {
        int32_t fd;
        memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
        struct file *f = fd_get(task, fd);
        if (!f)
            return -EBADF;
        files->file[files->count++] = f;
    }
    return 0;
}

/* unix(7): with capabilities anything may be claimed, else only what one is. */
static int take_credentials(struct task *task, const char *data, size_t size,
                            struct socket_credentials *out)
{
    const struct process *p = task->process;

    if (size < sizeof(*out))
        return -EINVAL;
    memcpy(out, data, sizeof(*out));
    bool mine = (out->pid == p->pid || process_capable(p, CAP_SYS_ADMIN)) &&
                (out->uid == p->uid || out->uid == p->euid || out->uid == p->suid ||
                 process_capable(p, CAP_SETUID)) &&
                (out->gid == p->gid || out->gid == p->egid || out->gid == p->sgid ||
                 process_capable(p, CAP_SETGID));
    return mine ? 0 : -EPERM;
}

/* Others of SOL_SOCKET: about packets, which AF_UNIX has none of. */
static int check_other(const struct task *task, int family, int type)
{
    if (family == AF_UNIX)
        return -EINVAL;
    switch (type) {
    case SO_MARK:
        return process_capable(task->process, CAP_NET_ADMIN) ? 0 : -EPERM;
    case SO_TIMESTAMPING_OLD:
    case SO_TIMESTAMPING_NEW:
    case SO_TXTIME:
        return 0;
    default:
        return -EINVAL;
    }
}

static int parse(struct task *task, int family, const char *data, size_t size,
                 struct socket_send *send, struct socket_credentials *credentials)
{
    struct control_message m;
    size_t at = 0;
    int r;

    while ((r = control_next(data, size, &at, &m)) > 0) {
        r = 0;
        if (m.level == SOL_SOCKET && m.type == SCM_RIGHTS) {
            r = take_files(task, m.data, m.size, send);
        } else if (m.level == SOL_SOCKET && m.type == SCM_CREDENTIALS) {
            r = take_credentials(task, m.data, m.size, credentials);
            send->credentials = credentials;
        } else if (m.level == SOL_SOCKET) {
            r = check_other(task, family, m.type);
        }
        if (r)
            break;
    }
    return r;
}

int control_read(struct task *task, int family, const struct user_msghdr_abi *header,
                 struct socket_send *send, struct socket_credentials *credentials)
{
    char *data;
    int r;

    if (header->control_size > CONTROL_MAX)
        return -ENOBUFS;
    data = shim_alloc(header->control_size);
    if (!data)
        return -ENOMEM;
    send->control = data;
    send->control_size = header->control_size;
    r = user_read(data, header->control, header->control_size);
    return r ? r : parse(task, family, data, header->control_size, send, credentials);
}

struct control_out {
    uint64_t addr, room, used;
    bool cut;
};

/* One message of up to 64 bytes; what does not fit is cut, and MSG_CTRUNC tells of it. */
static int put(struct control_out *out, int level, int type, const void *data, size_t size)
{
    struct {
        struct control_header h;
        char data[64];
    } m = {.h = {sizeof(m.h) + size, level, type}};
    uint64_t room = out->room - out->used;
    int r;

    memcpy(m.data, data, size);
    if (room < sizeof(m.h)) {
        out->cut = true;
        return 0;
    }
    if (room < m.h.size) {
        out->cut = true;
        m.h.size = room;
    }
    r = user_write(out->addr + out->used, &m, m.h.size);
    out->used += control_align(m.h.size);
    if (out->used > out->room)
        out->used = out->room;
    return r;
}

static int put_time(struct control_out *out, const struct socket_receive *receive)
{
    int64_t ns = (int64_t)receive->time_ns, t[2] = {ns / 1000000000, ns % 1000000000};

    if (receive->facts & FACT_TIME_NS)
        return put(out, SOL_SOCKET, SCM_TIMESTAMPNS, t, sizeof(t));
    t[1] /= 1000;
    return put(out, SOL_SOCKET, SCM_TIMESTAMP, t, sizeof(t));
}

static int put_facts(struct control_out *out, const struct socket_receive *receive)
{
    struct in_pktinfo to4 = {.ipi_ifindex = 1};
    struct in6_pktinfo to6 = {.ipi6_ifindex = 1};
    unsigned facts = receive->facts;
    uint8_t tos = (uint8_t)receive->tos;
    uint32_t group = 0;
    int r = 0;

    memcpy(&to4.ipi_addr, receive->to + 12, sizeof(to4.ipi_addr));
    to4.ipi_spec_dst = to4.ipi_addr;
    memcpy(&to6.ipi6_addr, receive->to, sizeof(to6.ipi6_addr));
    if (facts & (FACT_TIME_US | FACT_TIME_NS))
        r = put_time(out, receive);
    if (!r && (facts & FACT_CREDENTIALS))
        r = put(out, SOL_SOCKET, SCM_CREDENTIALS, &receive->credentials,
                sizeof(receive->credentials));
    if (!r && (facts & FACT_TO_V4))
        r = put(out, IPPROTO_IP, IP_PKTINFO, &to4, sizeof(to4));
    if (!r && (facts & FACT_TTL))
        r = put(out, IPPROTO_IP, IP_TTL, &receive->ttl, sizeof(receive->ttl));
    if (!r && (facts & FACT_TOS))
        r = put(out, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
    if (!r && (facts & FACT_TO_V6))
        r = put(out, IPPROTO_IPV6, IPV6_PKTINFO, &to6, sizeof(to6));
    if (!r && (facts & FACT_HOP_LIMIT))
        r = put(out, IPPROTO_IPV6, IPV6_HOPLIMIT, &receive->ttl, sizeof(receive->ttl));
    if (!r && (facts & FACT_CLASS))
        r = put(out, IPPROTO_IPV6, IPV6_TCLASS, &receive->tos, sizeof(receive->tos));
    if (!r && (facts & FACT_PORT))
        r = put(out, SOL_NETLINK, NETLINK_PKTINFO, &group, sizeof(group));
    return r;
}

/* As many descriptors as there is room and table for; MSG_CTRUNC tells of the rest. */
static int put_files(struct task *task, struct control_out *out, struct socket_files *files,
                     enum fd_flags fd_flags)
{
    struct control_header h = {.level = SOL_SOCKET, .type = SCM_RIGHTS};
    uint64_t room = out->room - out->used, count = 0;
    int r;

    while (count < files->count && sizeof(h) + (count + 1) * sizeof(int32_t) <= room) {
        file_get(files->file[count]);
        int32_t fd = fd_install(task, files->file[count], 0, fd_flags);
        if (fd < 0)
            break;
        r = user_write(out->addr + out->used + sizeof(h) + count * sizeof(fd), &fd, sizeof(fd));
        if (r) {
            fd_close(task, fd);
            return r;
        }
        count++;
    }
    out->cut |= count < files->count;
    if (!count)
        return 0;
    h.size = sizeof(h) + count * sizeof(int32_t);
    r = user_write(out->addr + out->used, &h, sizeof(h));
    out->used += control_align(h.size);
    if (out->used > out->room)
        out->used = out->room;
    return r;
}

int control_write(struct task *task, const struct user_msghdr_abi *header,
                  struct socket_receive *receive, int flags, uint64_t addr)
{
    struct control_out out = {header->control, header->control ? header->control_size : 0, 0,
                              false};
    int32_t told = receive->flags;
    int r = 0;

    if (receive->control) {
        out.used = receive->control_size < out.room ? receive->control_size : out.room;
        r = user_write(out.addr, receive->control, out.used);
    }
    if (!r && receive->facts)
        r = put_facts(&out, receive);
    if (!r && receive->files)
        r = put_files(task, &out, receive->files,
                      flags & MSG_CMSG_CLOEXEC ? FD_CLOSE_ON_EXEC : FD_KEEP);
    if (r)
        return r;
    if (out.cut)
        told |= MSG_CTRUNC;
    if (flags & MSG_CMSG_CLOEXEC)
        told |= MSG_CMSG_CLOEXEC;
    r = user_write(addr + offsetof(struct user_msghdr_abi, control_size), &out.used,
                   sizeof(out.used));
    return r ? r : user_write(addr + offsetof(struct user_msghdr_abi, flags), &told, sizeof(told));
}
