/*
 * What sockets of all families share: moving bytes, files on their way, sleeping.
 */
#include "shim/fs/socket.h"

#include <asm/fcntl.h>
#include <linux/stat.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/fs/transfer.h"
#include "shim/fs/unix_internal.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/stats.h"

struct file *socket_create(struct task *task, int family, int type, int protocol, uint32_t flags,
                           int *err)
{
    switch (family) {
    case AF_UNIX:
        return unix_create(task, type, protocol, flags, err);
    case AF_INET:
    case AF_INET6:
        return inet_create(task, family, type, protocol, flags, err);
    case AF_NETLINK:
        return netlink_create(type, protocol, flags, err);
    default:
        stats_unsupported("socket: address family");
        *err = -EAFNOSUPPORT;
        return NULL;
    }
}

int socket_pair(struct task *task, int family, int type, int protocol, uint32_t flags,
                struct file *out[2])
{
    switch (family) {
    case AF_UNIX:
        return unix_pair(task, type, protocol, flags, out);
    case AF_INET:
    case AF_INET6:
    case AF_NETLINK:
        return -EOPNOTSUPP;
    default:
        return -EAFNOSUPPORT;
    }
}

/* ---- bytes ------------------------------------------------------------------------------------------------------ */

struct socket_io socket_io_make(const struct mem_ref *parts, unsigned count)
{
    struct socket_io io = {.parts = parts, .count = count};

    for (unsigned i = 0; i < count; i++)
        io.left += parts[i].size;
    return io;
}

size_t socket_io_move(struct socket_io *io, char *shim, size_t size, enum io_direction direction)
{
    size_t done = 0;

    while (done < size && io->index < io->count) {
        struct mem_ref part = mem_skip(io->parts[io->index], io->skip);
        size_t n = size - done < part.size ? size - done : part.size;
        size_t moved = direction == IO_FROM_GUEST ? transfer_in(shim + done, part, n)
                                                  : transfer_out(part, shim + done, n);
        done += moved;
        io->skip += moved;
        io->left -= moved;
        if (moved < n)
            break;
        if (n == part.size) {
            io->index++;
            io->skip = 0;
        }
    }
    return done;
}

/* ---- files on their way ----------------------------------------------------------------------------------------- */

struct files_to_put {
    struct files_to_put *next;
    struct socket_files *files;
};

static struct mutex g_put_lock;
static struct files_to_put *g_to_put;
static bool g_putting;

bool socket_files_being_put(void)
{
    bool putting;

    mutex_lock(&g_put_lock);
    putting = g_putting;
    mutex_unlock(&g_put_lock);
    return putting;
}

/*
 * Putting a file may free a socket whose queue holds files again, to any depth a guest likes to build. So only one thread puts
 * at a time, and what comes up meanwhile waits on a list. Garbage is looked for once, when the list is empty.
 */
void socket_files_put(struct socket_files *files)
{
    struct files_to_put *node;

    if (!files)
        return;
    if (!files->count) {
        shim_free(files);
        return;
    }
    node = shim_alloc(sizeof(*node));
    if (!node)
        return; /* better leaked than a stack run over */
    mutex_lock(&g_put_lock);
    *node = (struct files_to_put){g_to_put, files};
    g_to_put = node;
    if (g_putting) {
        mutex_unlock(&g_put_lock);
        return;
    }
    g_putting = true;
    while (g_to_put) {
        node = g_to_put;
        g_to_put = node->next;
        mutex_unlock(&g_put_lock);
        for (unsigned i = 0; i < node->files->count; i++)
            file_put(node->files->file[i]);
        shim_free(node->files);
        shim_free(node);
        mutex_lock(&g_put_lock);
    }
    g_putting = false;
    mutex_unlock(&g_put_lock);
    unix_collect();
}

/* ---- sleeping --------------------------------------------------------------------------------------------------- */

uint64_t socket_deadline(uint64_t timeout_ns)
{
    return timeout_ns ? clock_now(g_platform, CLOCK_KIND_MONOTONIC) + timeout_ns
                      : THREAD_WAIT_FOREVER;
}

int socket_wait(struct task *task, struct wait_queue *q, struct waiter *w, uint64_t deadline_ns)
{
    int r;

    if (!w->queue) {
        wait_queue_add(q, w);
        return 0;
    }
    r = task_sleep(task, deadline_ns);
    if (r == -ERESTARTSYS && deadline_ns != THREAD_WAIT_FOREVER)
        return -EINTR; /* signal(7): with a timeout, no restart even under SA_RESTART */
    return r == -ETIMEDOUT ? -EAGAIN : r;
}

void *socket_await(struct task *task, struct file *f, struct wait_queue *q, uint64_t timeout_ns,
                   void *(*take)(struct file *f, int *err), int *err)
{
    uint64_t deadline = socket_deadline(timeout_ns);
    struct waiter w = {0};
    void *taken = take(f, err);

    while (!taken && *err == -EAGAIN && socket_blocks(f, 0)) {
        int wait = socket_wait(task, q, &w, deadline);
        taken = take(f, err);
        if (!taken && *err == -EAGAIN && wait) {
            *err = wait;
            break;
        }
    }
    wait_queue_remove(&w);
    return taken;
}

bool socket_blocks(const struct file *f, int flags)
{
    return !(flags & MSG_DONTWAIT) && !(__atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_NONBLOCK);
}

/* ---- as a file -------------------------------------------------------------------------------------------------- */

struct socket_credentials socket_credentials_of(const struct task *task)
{
    const struct process *p = task->process;

    return (struct socket_credentials){.pid = p->pid, .uid = p->euid, .gid = p->egid};
}

int socket_file_stat(struct file *f, struct file_stat *out)
{
    *out = (struct file_stat){
        .dev = 8, .ino = f->id, .nlink = 1, .mode = S_IFSOCK | 0777, .block_size = 4096};
    return 0;
}

int64_t socket_file_read(struct task *task, struct file *f, struct mem_ref into, uint64_t *offset)
{
    struct socket_io io = socket_io_make(&into, 1);
    struct socket_receive receive = {0};
    int64_t r = socket_ops_of(f)->receive(task, f, &io, &receive);

    (void)offset;
    socket_files_put(receive.files); /* read(2) has no place for them */
    return r;
}

int64_t socket_file_write(struct task *task, struct file *f, struct mem_ref from, uint64_t *offset)
{
    struct socket_io io = socket_io_make(&from, 1);
    struct socket_send send = {0};

    (void)offset;
    return socket_ops_of(f)->send(task, f, &io, &send);
}

int control_next(const char *control, size_t size, size_t *at, struct control_message *out)
{
    struct control_header h;

    if (*at >= size || size - *at < sizeof(h))
        return 0;
    memcpy(&h, control + *at, sizeof(h));
    if (h.size < sizeof(h) || h.size > size - *at)
        return -EINVAL;
    *out = (struct control_message){h.level, h.type, control + *at + sizeof(h), h.size - sizeof(h)};
    *at += control_align(h.size); /* may go beyond the end: that is one */
    return 1;
}
