/*
 * sys_splice.c: splice, tee, vmsplice: data moves through a buffer; what a target does not take stays in the source.
 */
#include <asm/fcntl.h>
#include <linux/fs.h>
#include <linux/uio.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/fs/file.h"
#include "shim/fs/pipe.h"
#include "shim/fs/vfs.h"
#include "shim/sys_file.h"

#define RW_MAX 0x7ffff000u
#define CHUNK (64u * 1024u)
/* splice(2); no UAPI header has them. */
#define SPLICE_F_NONBLOCK 2u
#define SPLICE_F_ALL 15u

struct splice {
    struct task *task;
    struct file *in, *out;
    uint64_t in_offset, out_offset;
    uint64_t *in_at, *out_at; /* at those; NULL: the file's own position, or a pipe */
    size_t size;
    enum pipe_wait how;
    char *buffer; /* CHUNK bytes */
};

static size_t at_most(const struct splice *s, int64_t limit)
{
    size_t size = s->size < CHUNK ? s->size : CHUNK;
    return (uint64_t)limit < size ? (size_t)limit : size;
}

/* The whole chunk, or as much as the target takes. Result: bytes, or why not even one. */
static int64_t write_chunk(struct splice *s, size_t size)
{
    size_t done = 0;
    while (done < size) {
        struct mem_ref rest = mem_shim(s->buffer + done, size - done);
        int64_t n = pipe_is(s->out) ? pipe_give(s->task, s->out, rest, s->how)
                                    : file_write(s->task, s->out, rest, s->out_at);
        if (n <= 0)
            return done ? (int64_t)done : n;
        done += (size_t)n;
    }
    return (int64_t)done;
}

static int64_t from_pipe(struct splice *s)
{
    int64_t n = pipe_await(s->task, s->in, PIPE_WANT_DATA, s->how);
    if (n <= 0)
        return n;
    if (pipe_is(s->out)) { /* no more than fits, so that nothing has to go back as a rule */
        int64_t room = pipe_await(s->task, s->out, PIPE_WANT_ROOM, s->how);
        if (room < 0)
            return room;
        n = n < room ? n : room;
    }
    n = pipe_take(s->task, s->in, mem_shim(s->buffer, at_most(s, n)), s->how);
    if (n <= 0)
        return n;
    int64_t written = write_chunk(s, (size_t)n);
    size_t kept = written > 0 ? (size_t)written : 0;
    if (kept < (size_t)n) {
        int err = pipe_put_back(s->in, s->buffer + kept, (size_t)n - kept);
        if (err)
            return err;
    }
    return written;
}

static int64_t to_pipe(struct splice *s)
{
    int64_t room = pipe_await(s->task, s->out, PIPE_WANT_ROOM, s->how);
    if (room < 0)
        return room;
    bool seekable = s->in->ops->seek != NULL;
    uint64_t at = s->in_at ? *s->in_at : s->in->pos;
    int64_t n =
        file_read(s->task, s->in, mem_shim(s->buffer, at_most(s, room)), seekable ? &at : NULL);
    if (n <= 0)
        return n;
    int64_t written = write_chunk(s, (size_t)n);
    if (!seekable && written < n && written != -EPIPE) { /* nobody could read it from there again */
        size_t kept = written > 0 ? (size_t)written : 0;
        int err = pipe_append(s->out, s->buffer + kept, (size_t)n - kept);
        written = err && !kept ? err : err ? written : n;
    }
    if (written > 0 && s->in_at) {
        *s->in_at += (uint64_t)written;
    } else if (written > 0 && seekable) {
        mutex_lock(&s->in->pos_lock);
        s->in->pos += (uint64_t)written;
        mutex_unlock(&s->in->pos_lock);
    }
    return written;
}

/* Until the size is reached; waits for the first bytes only. */
static int64_t splice_loop(struct splice *s)
{
    int64_t done = 0;
    while (s->size) {
        int64_t n = pipe_is(s->in) ? from_pipe(s) : to_pipe(s);
        if (n <= 0)
            return done ? done : n;
        done += n;
        s->size -= (size_t)n;
        s->how = PIPE_TRY;
        if (!pipe_is(s->in) && !s->in->ops->seek)
            break; /* to read a stream again might wait */
    }
    return done;
}

static int splice_checks(const struct splice *s)
{
    if ((s->in->flags | s->out->flags) & O_PATH || (s->in->flags & O_ACCMODE) == O_WRONLY ||
        (s->out->flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (!pipe_is(s->in) && !pipe_is(s->out))
        return -EINVAL;
    if ((pipe_is(s->in) && s->in_at) || (pipe_is(s->out) && s->out_at))
        return -ESPIPE;
    if ((s->in_at && !s->in->ops->seek) || (s->out_at && !s->out->ops->seek) ||
        pipe_same(s->in, s->out))
        return -EINVAL;
    if (!pipe_is(s->out) && s->out->flags & O_APPEND)
        return -EINVAL;
    if (!s->in->ops->read || !s->out->ops->write || (s->in->inode && S_ISDIR(s->in->inode->mode)))
        return -EINVAL;
    return 0;
}

static int read_offset(uint64_t addr, uint64_t *value, uint64_t **out)
{
    *out = NULL;
    if (!addr)
        return 0;
    int err = user_read(value, addr, sizeof(*value));
    *out = value;
    return err ? err : (int64_t)*value < 0 ? -EINVAL : 0;
}

static long do_splice(struct splice *s, uint64_t in_addr, uint64_t out_addr)
{
    /* An offset for a pipe is an error of its own, whatever it points to. */
    if ((in_addr && pipe_is(s->in)) || (out_addr && pipe_is(s->out)))
        return -ESPIPE;
    int err = read_offset(out_addr, &s->out_offset, &s->out_at);
    if (err == 0)
        err = read_offset(in_addr, &s->in_offset, &s->in_at);
    if (err == 0)
        err = splice_checks(s);
    if (err)
        return err;
    s->buffer = shim_alloc(CHUNK);
    if (!s->buffer)
        return -ENOMEM;
    int64_t n = splice_loop(s);
    shim_free(s->buffer);
    if (n >= 0 && in_addr && user_write(in_addr, &s->in_offset, sizeof(s->in_offset)))
        n = -EFAULT;
    if (n >= 0 && out_addr && user_write(out_addr, &s->out_offset, sizeof(s->out_offset)))
        n = -EFAULT;
    return n;
}

long sys_splice(struct task *task, const struct syscall_args *args)
{
    if (!args->a[4])
        return 0;
    if ((uint32_t)args->a[5] & ~SPLICE_F_ALL)
        return -EINVAL;
    struct file *in = fd_get(task, (int)args->a[0]), *out = fd_get(task, (int)args->a[2]);
    struct splice s = {
        .task = task, .in = in, .out = out, .size = args->a[4] < RW_MAX ? args->a[4] : RW_MAX};
    s.how = args->a[5] & SPLICE_F_NONBLOCK ? PIPE_TRY : PIPE_SLEEP;
    long n = in && out ? do_splice(&s, args->a[1], args->a[3]) : -EBADF;
    if (in)
        file_put(in);
    if (out)
        file_put(out);
    return n;
}

/* What is in one pipe goes into the other as well. */
static long do_tee(struct task *task, struct file *in, struct file *out, size_t size,
                   enum pipe_wait how)
{
    if ((in->flags & O_ACCMODE) == O_WRONLY || (out->flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (!pipe_is(in) || !pipe_is(out) || pipe_same(in, out))
        return -EINVAL;
    int64_t n = pipe_await(task, in, PIPE_WANT_DATA, how);
    int64_t room = n > 0 ? pipe_await(task, out, PIPE_WANT_ROOM, how) : n;
    if (n <= 0 || room < 0)
        return n <= 0 ? n : room;
    size = (uint64_t)n < size ? (size_t)n : size;
    size = (uint64_t)room < size ? (size_t)room : size;
    char *buffer = shim_alloc(size);
    if (!buffer)
        return -ENOMEM;
    n = pipe_look(in, buffer, size);
    if (n > 0)
        n = pipe_give(task, out, mem_shim(buffer, (size_t)n), how);
    shim_free(buffer);
    return n;
}

long sys_tee(struct task *task, const struct syscall_args *args)
{
    if ((uint32_t)args->a[3] & ~SPLICE_F_ALL)
        return -EINVAL;
    if (!args->a[2])
        return 0;
    struct file *in = fd_get(task, (int)args->a[0]), *out = fd_get(task, (int)args->a[1]);
    size_t size = args->a[2] < RW_MAX ? args->a[2] : RW_MAX;
    long n = in && out ? do_tee(task, in, out, size,
                                args->a[3] & SPLICE_F_NONBLOCK ? PIPE_TRY : PIPE_SLEEP)
                       : -EBADF;
    if (in)
        file_put(in);
    if (out)
        file_put(out);
    return n;
}

/* vmsplice(2): the pages are copied in both directions. */
long sys_vmsplice(struct task *task, const struct syscall_args *args)
{
    if ((uint32_t)args->a[3] & ~SPLICE_F_ALL)
        return -EINVAL;
    struct file *f = fd_get(task, (int)args->a[0]);
    if (!f)
        return -EBADF;
    bool writes = (f->flags & O_ACCMODE) == O_WRONLY;
    long n = f->flags & O_PATH ? -EBADF : pipe_is(f) ? 0 : -EBADF;
    if (n == 0 && args->a[2] && args->a[3] & SPLICE_F_NONBLOCK) {
        int64_t ready = pipe_await(task, f, writes ? PIPE_WANT_ROOM : PIPE_WANT_DATA, PIPE_TRY);
        n = ready < 0 ? ready : 0;
    }
    if (n == 0)
        n = args->a[2] ? file_vectors(task, (int)args->a[0], args->a[1], args->a[2],
                                      writes ? DIRECTION_WRITE : DIRECTION_READ)
                       : 0;
    file_put(f);
    return n;
}
