/*
 * The instance's standard streams. A terminal goes to tty.c, which adds job control.
 */
#include "shim/fs/stream.h"

#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <linux/fs.h>
#include <linux/stat.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/fs/tty.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/signal.h"
#include "shim/stats.h"
#include "shim/syscall.h"

void host_stat_to_file(const struct host_stat *host, struct file_stat *out)
{
    *out = (struct file_stat){
        .dev = host->dev,
        .ino = host->ino,
        .nlink = host->nlink,
        .rdev = host->rdev,
        .size = host->size,
        .blocks = host->blocks,
        .mode = host->mode,
        .uid = host->uid,
        .gid = host->gid,
        .block_size = host->block_size,
        .atime_ns = host->atime_ns,
        .mtime_ns = host->mtime_ns,
        .ctime_ns = host->ctime_ns,
        .btime_ns = host->ctime_ns,
    };
}

/* After a host call that could not go on: 0 try again, or the result for the guest. */
static int stream_wait(struct task *task, struct file *f, struct host_file *host, uint32_t events,
                       int64_t result)
{
    struct thread_wait_file wait = {.file = host, .events = events};
    int r;

    if (result == -EINTR)
        return task_interrupted(task) ? -ERESTARTSYS : 0;
    if (__atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_NONBLOCK)
        return -EAGAIN;
    r = task_sleep_files(task, THREAD_WAIT_FOREVER, &wait, 1);
    return r < 0 ? r : 0;
}

int64_t host_stream_read(struct task *task, struct file *f, struct host_file *host,
                         struct mem_ref into)
{
    for (;;) {
        int64_t n = host_file_read(g_platform, host, into);
        if (n != -EAGAIN && n != -EINTR)
            return n;
        int r = stream_wait(task, f, host, POLLIN, n);
        if (r)
            return r;
    }
}

int64_t host_stream_write(struct task *task, struct file *f, struct host_file *host,
                          struct mem_ref from)
{
    int64_t done = 0;

    do {
        int64_t n = host_file_write(g_platform, host, from);
        if (n >= 0) {
            done += n;
            from = mem_skip(from, (size_t)n);
            continue;
        }
        if (n == -EAGAIN || n == -EINTR)
            n = stream_wait(task, f, host, POLLOUT, n);
        else if (n == -EPIPE && !done)
            signal_sigpipe(task);
        if (n)
            return done ? done : n;
    } while (from.size);
    return done;
}

static int64_t stream_read(struct task *task, struct file *f, struct mem_ref into, uint64_t *offset)
{
    (void)offset;
    return host_stream_read(task, f, f->data, into);
}

static int64_t stream_write(struct task *task, struct file *f, struct mem_ref from,
                            uint64_t *offset)
{
    (void)offset;
    return host_stream_write(task, f, f->data, from);
}

static uint32_t stream_poll(struct task *task, struct file *f, struct poll_table *table)
{
    (void)task;
    if (table)
        poll_table_add_host(table, f->data, POLLIN | POLLOUT | POLLPRI);
    return host_file_poll(g_platform, f->data, POLLIN | POLLOUT | POLLPRI);
}

static int64_t stream_ioctl(struct task *task, struct file *f, unsigned request, uint64_t arg)
{
    int count, r;

    (void)task;
    if (request != FIONREAD)
        return -ENOTTY;
    r = host_file_tty(g_platform, f->data, HOST_TTY_INPUT_BYTES, &count);
    return r ? r : user_write(arg, &count, sizeof(count));
}

static int stream_stat(struct file *f, struct file_stat *out)
{
    struct host_stat host;
    int r = host_file_stat(g_platform, f->data, &host);

    if (!r)
        host_stat_to_file(&host, out);
    return r;
}

static int stream_sync(struct task *task, struct file *f)
{
    (void)task;
    return host_file_sync(g_platform, f->data);
}

static void stream_release(struct file *f)
{
    host_file_close(g_platform, f->data);
}

static const struct file_ops stream_ops = {
    .kind = "stream",
    .read = stream_read,
    .write = stream_write,
    .poll = stream_poll,
    .ioctl = stream_ioctl,
    .sync = stream_sync,
    .stat = stream_stat,
    .release = stream_release,
};

/* ---- a regular file: it has a position, which belongs to whoever else holds the host's open file, too -------------------- */

static int64_t regular_read(struct task *task, struct file *f, struct mem_ref into,
                            uint64_t *offset)
{
    (void)task;
    if (offset == &f->pos)
        return host_file_read(g_platform, f->data, into);
    int64_t n = host_file_pread(g_platform, f->data, *offset, into);
    *offset += n > 0 ? (uint64_t)n : 0;
    return n;
}

static int64_t regular_write(struct task *task, struct file *f, struct mem_ref from,
                             uint64_t *offset)
{
    (void)task;
    if (offset == &f->pos || *offset == FILE_AT_END)
        return host_file_write(g_platform, f->data, from);
    int64_t n = host_file_pwrite(g_platform, f->data, *offset, from);
    *offset += n > 0 ? (uint64_t)n : 0;
    return n;
}

static int64_t regular_seek(struct task *task, struct file *f, int64_t offset, int whence)
{
    (void)task;
    int64_t to = host_file_seek(g_platform, f->data, offset, whence);
    /* The platform leaves the position open */
    if (to >= 0 && (whence == SEEK_DATA || whence == SEEK_HOLE))
        to = host_file_seek(g_platform, f->data, to, SEEK_SET);
    return to;
}

static struct memory_object *regular_map(struct task *task, struct file *f,
                                         enum memory_sharing sharing, unsigned prot,
                                         uint64_t *offset, int *err)
{
    (void)task, (void)sharing, (void)prot, (void)offset;
    return memory_object_from_file(g_platform, f->data, err);
}

static int regular_truncate(struct task *task, struct file *f, uint64_t size)
{
    struct host_stat attr = {.size = size};

    (void)task;
    return host_file_setattr(g_platform, f->data, HOST_SET_SIZE, &attr);
}

static int regular_allocate(struct task *task, struct file *f, int mode, uint64_t offset,
                            uint64_t size)
{
    (void)task;
    return host_file_allocate(g_platform, f->data, (unsigned)mode, offset, size);
}

static const struct file_ops regular_ops = {
    .kind = "stream",
    .read = regular_read,
    .write = regular_write,
    .seek = regular_seek,
    .map = regular_map,
    .truncate = regular_truncate,
    .fallocate = regular_allocate,
    .sync = stream_sync,
    .stat = stream_stat,
    .release = stream_release,
};

static const struct file_ops *ops_for(struct host_file *host)
{
    struct host_stat st;

    return host_file_stat(g_platform, host, &st) == 0 && S_ISREG(st.mode) ? &regular_ops
                                                                          : &stream_ops;
}

struct file *host_stream_file(enum host_standard_stream which, int *err)
{
    struct host_file *host = host_file_standard(g_platform, which, err);
    struct file *f;

    if (!host)
        return NULL;
    f = tty_adopt_host(host, err);
    if (f || *err != -ENOTTY)
        return f;
    f = file_create(ops_for(host), which == HOST_STDIN ? O_RDONLY : O_WRONLY, host, err);
    if (!f)
        host_file_close(g_platform, host);
    return f;
}
