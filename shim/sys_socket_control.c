#include "shim/sys_socket_control.h"

#include <asm/socket.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/file.h"
#include "shim/syscall.h"

#define SCM_RIGHTS 1
#define SCM_CREDENTIALS 2
#define CONTROL_MAX 20480 /* net.core.optmem_max */

struct control_header {
    uint64_t size; /* with this header */
    int32_t level, type;
};

static uint64_t control_align(uint64_t n)
{
    return (n + 7) & ~7ull;
}

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

/* unix(7): root may claim anything, others only what they are. */
static int take_credentials(struct task *task, const char *data, size_t size, struct socket_credentials *out)
{
    const struct process *p = task->process;

    if (size < sizeof(*out))
        return -EINVAL;
    memcpy(out, data, sizeof(*out));
    if (p->euid == 0)
        return 0;
    bool mine = out->pid == p->pid && (out->uid == p->uid || out->uid == p->euid || out->uid == p->suid) &&
                (out->gid == p->gid || out->gid == p->egid || out->gid == p->sgid);
    return mine ? 0 : -EPERM;
}

static int parse(struct task *task, const char *data, uint64_t size, struct socket_send *send,
                 struct socket_credentials *credentials)
{
    struct control_header h;
    int r = 0;

    for (uint64_t at = 0; !r && size - at >= sizeof(h); at += control_align(h.size)) {
        memcpy(&h, data + at, sizeof(h));
        if (h.size < sizeof(h) || h.size > size - at)
            return -EINVAL;
        const char *body = data + at + sizeof(h);
        if (h.level == SOL_SOCKET && h.type == SCM_RIGHTS) {
            r = take_files(task, body, h.size - sizeof(h), send);
        } else if (h.level == SOL_SOCKET && h.type == SCM_CREDENTIALS) {
            r = take_credentials(task, body, h.size - sizeof(h), credentials);
            send->credentials = credentials;
        } else if (h.level == SOL_SOCKET) {
            return -EINVAL;
        }
        if (control_align(h.size) > size - at)
            break;
    }
    return r;
}

int control_read(struct task *task, const struct user_msghdr_abi *header, struct socket_send *send,
                 struct socket_credentials *credentials)
{
    char *data;
    int r;

    if (header->control_size > CONTROL_MAX)
        return -ENOBUFS;
    data = shim_alloc(header->control_size);
    if (!data)
        return -ENOMEM;
    r = user_read(data, header->control, header->control_size);
    if (!r)
        r = parse(task, data, header->control_size, send, credentials);
    shim_free(data);
    return r;
}

struct control_out {
    uint64_t addr, room, used;
    bool cut;
};

static int put_credentials(struct control_out *out, const struct socket_credentials *c)
{
    struct {
        struct control_header h;
        struct socket_credentials c;
    } m = {{sizeof(m.h) + sizeof(*c), SOL_SOCKET, SCM_CREDENTIALS}, *c};
    int r;

    if (out->room - out->used < m.h.size) {
        out->cut = true;
        return 0;
    }
    r = user_write(out->addr + out->used, &m, m.h.size);
    out->used += control_align(m.h.size);
    if (out->used > out->room)
        out->used = out->room;
    return r;
}

/* As many descriptors as there is room and table for; MSG_CTRUNC tells of the rest. */
static int put_files(struct task *task, struct control_out *out, struct socket_files *files, enum fd_flags fd_flags)
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

int control_write(struct task *task, const struct user_msghdr_abi *header, struct socket_receive *receive, int flags,
                  uint64_t addr)
{
    struct control_out out = {header->control, header->control ? header->control_size : 0, 0, false};
    int32_t told = receive->flags;
    int r = 0;

    if (receive->has_credentials)
        r = put_credentials(&out, &receive->credentials);
    if (!r && receive->files)
        r = put_files(task, &out, receive->files, flags & MSG_CMSG_CLOEXEC ? FD_CLOSE_ON_EXEC : FD_KEEP);
    if (r)
        return r;
    if (out.cut)
        told |= MSG_CTRUNC;
    if (flags & MSG_CMSG_CLOEXEC)
        told |= MSG_CMSG_CLOEXEC;
    r = user_write(addr + offsetof(struct user_msghdr_abi, control_size), &out.used, sizeof(out.used));
    return r ? r : user_write(addr + offsetof(struct user_msghdr_abi, flags), &told, sizeof(told));
}
