/*
 * sys_file_io.c: moving data: read, write and their vectors, positions, sizes, copies between
 * files.
 */
#include <asm/fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/inotify.h>
#include <linux/uio.h>

#include "platform/errno.h"
#include "platform/host_file.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/inotify.h"
#include "shim/fs/namei.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/sys_file.h"

#define RW_MAX 0x7ffff000u /* read(2), NOTES */
#define STREAM_GATHER_MAX                                                                          \
    (1u << 20) /* vectors over streams go through one buffer of at most this */
#define COPY_BUFFER (64u * 1024u)
#define NEAR_VECTORS 8u

/* Linux looks whether the whole range can be user memory before it looks at anything else. */
#define USER_END 0x7ffffffff000ull
static int user_range(uint64_t addr, uint64_t size, struct mem_ref *out)
{
    if (size > USER_END || addr > USER_END - size)
        return -EFAULT;
    *out = mem_guest(guest_addr(addr), size < RW_MAX ? size : RW_MAX);
    return 0;
}

static bool seekable(const struct file *f)
{
    return f->ops->seek != NULL;
}

static long transfer(struct task *task, const struct syscall_args *args, enum direction direction)
{
    struct file_use use = fd_use(task, (int)args->a[0]);
    if (!use.file)
        return -EBADF;
    struct mem_ref m;
    long n = user_range(args->a[1], args->a[2], &m);
    if (n == 0)
        n = direction == DIRECTION_READ ? file_read(task, use.file, m, NULL)
                                        : file_write(task, use.file, m, NULL);
    fd_end_use(use);
    return n;
}

long sys_read(struct task *task, const struct syscall_args *args)
{
    return transfer(task, args, DIRECTION_READ);
}

long sys_write(struct task *task, const struct syscall_args *args)
{
    return transfer(task, args, DIRECTION_WRITE);
}

static long transfer_at(struct task *task, const struct syscall_args *args,
                        enum direction direction)
{
    uint64_t at = args->a[3];
    if ((int64_t)at < 0)
        return -EINVAL;
    struct file_use use = fd_use(task, (int)args->a[0]);
    struct file *f = use.file;
    if (!f)
        return -EBADF;
    struct mem_ref m;
    long n =
        !seekable(f) && !(f->flags & O_PATH) ? -ESPIPE : user_range(args->a[1], args->a[2], &m);
    if (n == 0)
        n = direction == DIRECTION_READ ? file_read(task, f, m, &at) : file_write(task, f, m, &at);
    fd_end_use(use);
    return n;
}

long sys_pread64(struct task *task, const struct syscall_args *args)
{
    return transfer_at(task, args, DIRECTION_READ);
}

long sys_pwrite64(struct task *task, const struct syscall_args *args)
{
    return transfer_at(task, args, DIRECTION_WRITE);
}

/* A guest's struct iovec array, checked and cut as readv(2) says. */
struct vectors {
    struct iovec *v;
    size_t count;
    uint64_t total;
    struct iovec near[NEAR_VECTORS];
};

static int vectors_read(struct vectors *vs, uint64_t addr, uint64_t count)
{
    vs->v = vs->near;
    vs->count = count;
    vs->total = 0;
    if (count > UIO_MAXIOV)
        return -EINVAL;
    if (count > NEAR_VECTORS && !(vs->v = shim_alloc(count * sizeof(*vs->v))))
        return -ENOMEM;
    int err = user_read(vs->v, addr, count * sizeof(*vs->v));
    for (size_t i = 0; err == 0 && i < count; i++) {
        if ((int64_t)vs->v[i].iov_len < 0)
            err = -EINVAL;
        else if (vs->v[i].iov_len > RW_MAX - vs->total)
            vs->v[i].iov_len = RW_MAX - vs->total;
        vs->total += vs->v[i].iov_len;
    }
    if (err && vs->v != vs->near)
        shim_free(vs->v);
    return err;
}

static void vectors_free(struct vectors *vs)
{
    if (vs->v != vs->near)
        shim_free(vs->v);
}

static struct mem_ref vector_range(const struct iovec *v)
{
    return mem_guest(guest_addr((uint64_t)(uintptr_t)v->iov_base), v->iov_len);
}

/* One after the other; for what keeps a position. */
static int64_t transfer_each(struct task *task, struct file *f, struct vectors *vs,
                             uint64_t *offset, enum direction direction)
{
    int64_t done = 0;
    for (size_t i = 0; i < vs->count; i++) {
        struct mem_ref m = vector_range(&vs->v[i]);
        if (m.size == 0 && vs->total)
            continue;
        int64_t n = direction == DIRECTION_READ ? file_read(task, f, m, offset)
                                                : file_write(task, f, m, offset);
        if (n < 0)
            return done ? done : n;
        done += n;
        if ((uint64_t)n < m.size)
            break;
    }
    return done;
}

/* Streams: one call, so that a message stays one, a pipe write atomic, and a read doesn't block
 * once it has data. */
static int64_t transfer_gathered(struct task *task, struct file *f, struct vectors *vs,
                                 enum direction direction)
{
    size_t size = vs->total < STREAM_GATHER_MAX ? vs->total : STREAM_GATHER_MAX;
    char *buffer = shim_alloc(size);
    if (!buffer)
        return -ENOMEM;
    int64_t n;
    size_t at = 0;
    if (direction == DIRECTION_WRITE) {
        for (size_t i = 0; i < vs->count && at < size; i++) {
            struct mem_ref m = mem_first(vector_range(&vs->v[i]), size - at);
            size_t missed = user_copy_in(buffer + at, m.guest, m.size);
            at += m.size - missed;
            if (missed)
                break;
        }
        n = at || size == 0 ? file_write(task, f, mem_shim(buffer, at), NULL) : -EFAULT;
    } else {
        n = file_read(task, f, mem_shim(buffer, size), NULL);
        for (size_t i = 0; i < vs->count && (int64_t)at < n; i++) {
            struct mem_ref m = mem_first(vector_range(&vs->v[i]), (size_t)n - at);
            size_t missed = user_copy_out(m.guest, buffer + at, m.size);
            at += m.size - missed;
            if (missed) {
                n = at ? (int64_t)at : -EFAULT;
                break;
            }
        }
    }
    shim_free(buffer);
    return n;
}

static long transfer_vectors(struct task *task, int fd, uint64_t addr, uint64_t count,
                             const int64_t *offset, enum direction direction)
{
    struct file_use use = fd_use(task, fd);
    struct file *f = use.file;
    if (!f)
        return -EBADF;
    struct vectors vs;
    long n = vectors_read(&vs, addr, (uint32_t)count);
    if (n) {
        fd_end_use(use);
        return n;
    }
    uint64_t at = offset ? (uint64_t)*offset : 0;
    if (f->flags & O_PATH)
        n = -EBADF;
    else if (offset && !seekable(f))
        n = -ESPIPE;
    else if (seekable(f) || vs.count == 1)
        n = transfer_each(task, f, &vs, offset ? &at : NULL, direction);
    else
        n = transfer_gathered(task, f, &vs, direction);
    vectors_free(&vs);
    fd_end_use(use);
    return n;
}

long file_vectors(struct task *task, int fd, uint64_t addr, uint64_t count,
                  enum direction direction)
{
    return transfer_vectors(task, fd, addr, count, NULL, direction);
}

long sys_readv(struct task *task, const struct syscall_args *args)
{
    return transfer_vectors(task, (int)args->a[0], args->a[1], args->a[2], NULL, DIRECTION_READ);
}

long sys_writev(struct task *task, const struct syscall_args *args)
{
    return transfer_vectors(task, (int)args->a[0], args->a[1], args->a[2], NULL, DIRECTION_WRITE);
}

static long vectors_at(struct task *task, const struct syscall_args *args, enum direction direction)
{
    int64_t offset = (int64_t)args->a[3];
    if (offset < 0)
        return -EINVAL;
    return transfer_vectors(task, (int)args->a[0], args->a[1], args->a[2], &offset, direction);
}

long sys_preadv(struct task *task, const struct syscall_args *args)
{
    return vectors_at(task, args, DIRECTION_READ);
}

long sys_pwritev(struct task *task, const struct syscall_args *args)
{
    return vectors_at(task, args, DIRECTION_WRITE);
}

/* RWF_APPEND, pwritev2(2). With the file's own position, that is behind the data afterwards. */
static long append_vectors(struct task *task, const struct syscall_args *args, bool own_position)
{
    int64_t at_end = (int64_t)FILE_AT_END;
    struct file *f = fd_get(task, (int)args->a[0]);
    if (!f)
        return -EBADF;
    bool regular = f->inode && S_ISREG(f->inode->mode);
    long n = transfer_vectors(task, (int)args->a[0], args->a[1], args->a[2],
                              regular || !own_position ? &at_end : NULL, DIRECTION_WRITE);
    struct file_stat st;
    if (n > 0 && own_position && regular && file_stat(f, &st) == 0) {
        mutex_lock(&f->pos_lock);
        f->pos = st.size;
        mutex_unlock(&f->pos_lock);
    }
    file_put(f);
    return n;
}

/* RWF_NOWAIT: what is in memory never waits; others do not offer it here. */
static int nowait_check(struct task *task, int fd)
{
    struct file *f = fd_get(task, fd);
    if (!f)
        return -EBADF;
    int err = f->inode && S_ISREG(f->inode->mode) ? 0 : -EOPNOTSUPP;
    file_put(f);
    return err;
}

/* preadv2(2): offset -1 means the file's own position. */
static long vectors_at2(struct task *task, const struct syscall_args *args,
                        enum direction direction)
{
    uint32_t flags = (uint32_t)args->a[5];
    bool append = flags & RWF_APPEND;
    if (flags & ~(uint32_t)(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND) ||
        (append && direction == DIRECTION_READ))
        return -EOPNOTSUPP;
    int err = flags & RWF_NOWAIT ? nowait_check(task, (int)args->a[0]) : 0;
    if (err)
        return err;
    bool own_position = (int64_t)args->a[3] == -1;
    if (append && (own_position || (int64_t)args->a[3] >= 0))
        return append_vectors(task, args, own_position);
    if (own_position)
        return transfer_vectors(task, (int)args->a[0], args->a[1], args->a[2], NULL, direction);
    return vectors_at(task, args, direction);
}

long sys_preadv2(struct task *task, const struct syscall_args *args)
{
    return vectors_at2(task, args, DIRECTION_READ);
}

long sys_pwritev2(struct task *task, const struct syscall_args *args)
{
    return vectors_at2(task, args, DIRECTION_WRITE);
}

long sys_lseek(struct task *task, const struct syscall_args *args)
{
    struct file_use use = fd_use(task, (int)args->a[0]);
    struct file *f = use.file;
    if (!f)
        return -EBADF;
    long result = f->flags & O_PATH ? -EBADF : -ESPIPE;
    if (!(f->flags & O_PATH) && f->ops->seek) {
        bool locked = file_lock_position(f);
        result = f->ops->seek(task, f, (int64_t)args->a[1], (int)args->a[2]);
        if (locked)
            mutex_unlock(&f->pos_lock);
    } else if (!(f->flags & O_PATH) && f->ops->ignores_seek) {
        result = (uint32_t)args->a[2] > SEEK_HOLE ? -EINVAL : 0;
    }
    fd_end_use(use);
    return result;
}

/* Copy up to `size` bytes; offsets NULL: the files' own positions. The source keeps what the target
 * did not take. */
static int64_t copy_between(struct task *task, struct file *in, uint64_t *in_offset,
                            struct file *out, uint64_t *out_offset, uint64_t size)
{
    char *buffer = shim_alloc(COPY_BUFFER);
    if (!buffer)
        return -ENOMEM;
    uint64_t at = in_offset ? *in_offset : in->pos;
    int64_t done = 0, n = 0;
    while ((uint64_t)done < size) {
        uint64_t want = size - (uint64_t)done < COPY_BUFFER ? size - (uint64_t)done : COPY_BUFFER;
        uint64_t from = at;
        n = file_read(task, in, mem_shim(buffer, want), &from);
        if (n <= 0)
            break;
        int64_t got = n;
        n = file_write(task, out, mem_shim(buffer, (size_t)got), out_offset);
        if (n <= 0)
            break;
        at += (uint64_t)n;
        done += n;
        if (n < got || task_interrupted(task))
            break;
    }
    shim_free(buffer);
    if (in_offset) {
        *in_offset = at;
    } else {
        mutex_lock(&in->pos_lock);
        in->pos = at;
        mutex_unlock(&in->pos_lock);
    }
    return done ? done : n;
}

static int read_offset(uint64_t addr, int64_t *out)
{
    int err = user_read(out, addr, sizeof(*out));
    return err ? err : *out < 0 ? -EINVAL : 0;
}

long sys_sendfile(struct task *task, const struct syscall_args *args)
{
    struct file *out = fd_get(task, (int)args->a[0]), *in = fd_get(task, (int)args->a[1]);
    int64_t offset = 0, result = !in || !out ? -EBADF : 0;
    uint64_t size = args->a[3] < RW_MAX ? args->a[3] : RW_MAX;
    if (result == 0 && args->a[2])
        result = read_offset(args->a[2], &offset);
    if (result == 0 && ((in->flags | out->flags) & O_PATH || (in->flags & O_ACCMODE) == O_WRONLY ||
                        (out->flags & O_ACCMODE) == O_RDONLY))
        result = -EBADF;
    if (result == 0 && (!seekable(in) || (out->flags & O_APPEND)))
        result = -EINVAL;
    if (result == 0) {
        uint64_t at = (uint64_t)offset;
        result = copy_between(task, in, args->a[2] ? &at : NULL, out, NULL, size);
        if (args->a[2] && result >= 0 && user_write(args->a[2], &at, sizeof(at)))
            result = -EFAULT;
    }
    if (in)
        file_put(in);
    if (out)
        file_put(out);
    return result;
}

static int copy_range_checks(struct file *in, struct file *out)
{
    if ((in->flags | out->flags) & O_PATH || (in->flags & O_ACCMODE) == O_WRONLY ||
        (out->flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (!in->inode || !out->inode)
        return -EINVAL;
    if (S_ISDIR(in->inode->mode) || S_ISDIR(out->inode->mode))
        return -EISDIR;
    if (!S_ISREG(in->inode->mode) || !S_ISREG(out->inode->mode))
        return -EINVAL;
    return out->flags & O_APPEND ? -EBADF : 0;
}

long sys_copy_file_range(struct task *task, const struct syscall_args *args)
{
    if (args->a[5])
        return -EINVAL;
    struct file *in = fd_get(task, (int)args->a[0]), *out = fd_get(task, (int)args->a[2]);
    int64_t from = 0, to = 0, result = !in || !out ? -EBADF : copy_range_checks(in, out);
    uint64_t size = args->a[4] < RW_MAX ? args->a[4] : RW_MAX;
    if (result == 0 && args->a[1])
        result = read_offset(args->a[1], &from);
    if (result == 0 && args->a[3])
        result = read_offset(args->a[3], &to);
    if (result == 0) {
        uint64_t in_at = args->a[1] ? (uint64_t)from : in->pos,
                 out_at = args->a[3] ? (uint64_t)to : out->pos;
        struct file_stat st;
        if (file_stat(in, &st) == 0) /* what is behind the end cannot overlap */
            size = in_at >= st.size ? 0 : size < st.size - in_at ? size : st.size - in_at;
        bool overlap = in->inode == out->inode && in_at < out_at + size && out_at < in_at + size;
        result = overlap ? -EINVAL
                         : copy_between(task, in, args->a[1] ? &in_at : NULL, out,
                                        args->a[3] ? &out_at : NULL, size);
        if (args->a[1] && result >= 0 && user_write(args->a[1], &in_at, sizeof(in_at)))
            result = -EFAULT;
        if (args->a[3] && result >= 0 && user_write(args->a[3], &out_at, sizeof(out_at)))
            result = -EFAULT;
    }
    if (in)
        file_put(in);
    if (out)
        file_put(out);
    return result;
}

long sys_truncate(struct task *task, const struct syscall_args *args)
{
    struct path path;
    if ((int64_t)args->a[1] < 0)
        return -EINVAL;
    int err = user_path(task, AT_FDCWD, args->a[0], LOOKUP_FOLLOW, &path);
    if (err)
        return err;
    uint32_t mode = path.dentry->inode->mode;
    struct credentials who = task_credentials(task);
    struct file_stat attr = {.size = args->a[1]};
    if (S_ISDIR(mode))
        err = -EISDIR;
    else if (!S_ISREG(mode))
        err = -EINVAL;
    else
        err = path_permission(&who, &path, INODE_WRITE);
    if (err == 0)
        err = inode_want_write(path.dentry->inode);
    struct file_stat now;
    if (err == 0) {
        err = inode_getattr(path.dentry->inode, &now);
        if (!err)
            err = file_may_grow(task, now.size, attr.size);
        if (!err)
            err = vfs_setattr(task, &path, HOST_SET_SIZE, &attr, SETATTR_EXPLICIT);
        inode_end_write(path.dentry->inode);
    }
    path_put(&path);
    return err;
}

static int set_size(struct task *task, struct inode *inode, const struct file_stat *attr)
{
    struct file_stat now;
    int err = inode_getattr(inode, &now);
    if (!err)
        err = file_may_grow(task, now.size, attr->size);
    return err ? err : inode->ops->setattr(inode, HOST_SET_SIZE, attr);
}

long sys_ftruncate(struct task *task, const struct syscall_args *args)
{
    if ((int64_t)args->a[1] < 0)
        return -EINVAL;
    struct file *f = fd_get(task, (int)args->a[0]);
    if (!f)
        return -EBADF;
    struct file_stat attr = {.size = args->a[1]};
    long err;
    if (f->flags & O_PATH)
        err = -EBADF;
    else if ((f->flags & O_ACCMODE) == O_RDONLY)
        err = -EINVAL;
    else if (f->ops->truncate)
        err = f->ops->truncate(task, f, args->a[1]);
    else if (f->inode && S_ISREG(f->inode->mode) && f->inode->ops->setattr)
        err = set_size(task, f->inode, &attr);
    else
        err = -EINVAL;
    if (err == 0 && f->opened)
        notify_dentry(f->dentry, IN_MODIFY);
    file_put(f);
    return err;
}

/* RLIMIT_FSIZE holds for what makes the file longer: not with FALLOC_FL_KEEP_SIZE, nor for what makes it shorter. */
static int may_allocate(struct task *task, struct file *f, int mode, uint64_t end)
{
    struct file_stat now;
    if (mode != 0 && mode != FALLOC_FL_ZERO_RANGE)
        return 0;
    int err = file_stat(f, &now);
    return err ? err : file_may_grow(task, now.size, end);
}

long sys_fallocate(struct task *task, const struct syscall_args *args)
{
    int64_t offset = (int64_t)args->a[2], size = (int64_t)args->a[3], end;
    if (offset < 0 || size <= 0)
        return -EINVAL;
    if (__builtin_add_overflow(offset, size, &end))
        return -EFBIG;
    struct file *f = fd_get(task, (int)args->a[0]);
    if (!f)
        return -EBADF;
    long err;
    if ((f->flags & O_PATH) || (f->flags & O_ACCMODE) == O_RDONLY)
        err = -EBADF;
    else if (f->ops->fallocate) {
        err = may_allocate(task, f, (int)args->a[1], (uint64_t)end);
        if (err == 0)
            err = f->ops->fallocate(task, f, (int)args->a[1], (uint64_t)offset, (uint64_t)size);
    } else if (!f->inode || S_ISFIFO(f->inode->mode))
        err = -ESPIPE;
    else
        err = S_ISREG(f->inode->mode) ? -EOPNOTSUPP : -ENODEV;
    if (err == 0 && f->opened)
        notify_dentry(f->dentry, IN_MODIFY);
    file_put(f);
    return err;
}

static long advise(struct task *task, int fd)
{
    struct file *f = fd_get(task, fd);
    if (!f)
        return -EBADF;
    long err = f->flags & O_PATH ? -EBADF : seekable(f) ? 0 : -ESPIPE;
    file_put(f);
    return err;
}

long sys_fadvise64(struct task *task, const struct syscall_args *args)
{
    return (int)args->a[3] < 0 || (int)args->a[3] > 5 ? -EINVAL : advise(task, (int)args->a[0]);
}

long sys_readahead(struct task *task, const struct syscall_args *args)
{
    long err = advise(task, (int)args->a[0]);
    return err == -ESPIPE ? -EINVAL : err;
}

long sys_fsync(struct task *task, const struct syscall_args *args)
{
    struct file *f = fd_get(task, (int)args->a[0]);
    if (!f)
        return -EBADF;
    long err;
    if (f->flags & O_PATH)
        err = -EBADF;
    else if (f->ops->sync)
        err = f->ops->sync(task, f);
    else
        err = f->inode && (S_ISREG(f->inode->mode) || S_ISDIR(f->inode->mode)) ? 0 : -EINVAL;
    file_put(f);
    return err;
}

long sys_fdatasync(struct task *task, const struct syscall_args *args)
{
    return sys_fsync(task, args);
}

long sys_sync(struct task *task UNUSED, const struct syscall_args *args UNUSED)
{
    return 0;
}

static long check_descriptor(struct task *task, int fd)
{
    int flags = fd_get_flags(task, fd);
    return flags < 0 ? flags : 0;
}

long sys_syncfs(struct task *task, const struct syscall_args *args)
{
    return check_descriptor(task, (int)args->a[0]);
}

long sys_sync_file_range(struct task *task, const struct syscall_args *args)
{
    return check_descriptor(task, (int)args->a[0]);
}
