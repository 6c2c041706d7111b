/*
 * file.c: open files: reference counts and the checks that every kind of file shares.
 */
#include "shim/fs/file.h"

#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/inotify.h>
#include <linux/poll.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/dentry.h"
#include "shim/fs/epoll.h"
#include "shim/fs/inotify.h"
#include "shim/fs/locks.h"
#include "shim/fs/vfs.h"
#include "shim/process.h"

#define RLIMIT_FSIZE_INDEX 1 /* asm-generic/resource.h */
#define SIGXFSZ_NUMBER 25

static uint64_t g_next_file_id = 1;

struct file *file_create(const struct file_ops *ops, uint32_t flags, void *data, int *err)
{
    struct file *f = shim_zalloc(sizeof(*f));
    if (!f) {
        *err = -ENOMEM;
        return NULL;
    }
    f->refs = 1;
    f->ops = ops;
    f->flags = flags;
    f->data = data;
    f->id = __atomic_fetch_add(&g_next_file_id, 1, __ATOMIC_RELAXED);
    return f;
}

void file_get(struct file *f)
{
    __atomic_fetch_add(&f->refs, 1, __ATOMIC_RELAXED);
}

void file_put(struct file *f)
{
    if (__atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    if (f->opened)
        notify_dentry(f->dentry,
                      (f->flags & O_ACCMODE) == O_RDONLY ? IN_CLOSE_NOWRITE : IN_CLOSE_WRITE);
    if (f->epolls)
        epoll_file_gone(f);
    if (f->async)
        async_file_gone(f);
    if (f->inode)
        locks_release_file(f);
    if (f->ops && f->ops->release)
        f->ops->release(f);
    if (f->counted_writer)
        inode_end_write(f->inode);
    if (f->inode)
        inode_put(f->inode);
    if (f->dentry)
        dentry_put(f->dentry);
    shim_free(f);
}

bool file_lock_position(struct file *f)
{
    if (f->ops->keeps_position_only && __atomic_load_n(&f->refs, __ATOMIC_ACQUIRE) == 1)
        return false;
    mutex_lock(&f->pos_lock);
    return true;
}

static void unlock_position(struct file *f, bool locked)
{
    if (locked)
        mutex_unlock(&f->pos_lock);
}

static bool is_stream(const struct file *f)
{
    return f->ops->seek == NULL;
}

/* Result: n. */
static int64_t tell_moved(struct file *f, int64_t n, uint32_t event)
{
    if (n > 0 && f->opened)
        notify_dentry(f->dentry, event);
    return n;
}

int64_t file_read(struct task *task, struct file *f, struct mem_ref into, uint64_t *offset)
{
    uint32_t flags = __atomic_load_n(&f->flags, __ATOMIC_RELAXED);
    if ((flags & O_PATH) || (flags & O_ACCMODE) == O_WRONLY)
        return -EBADF;
    if (f->inode && S_ISDIR(f->inode->mode))
        return -EISDIR;
    if (!f->ops->read)
        return -EINVAL;
    if (into.size > INT64_MAX / 2)
        return -EINVAL;
    if (offset)
        return tell_moved(f, f->ops->read(task, f, into, offset), IN_ACCESS);
    if (is_stream(f)) {
        uint64_t none = 0;
        return tell_moved(f, f->ops->read(task, f, into, &none), IN_ACCESS);
    }
    bool locked = file_lock_position(f);
    int64_t n = f->ops->read(task, f, into, &f->pos);
    unlock_position(f, locked);
    return tell_moved(f, n, IN_ACCESS);
}

static int refuse_size(struct task *task)
{
    struct abi_siginfo info = signal_info_kernel(SIGXFSZ_NUMBER);
    mutex_lock(&g_process_lock);
    (void)!signal_send_task(task, &info);
    mutex_unlock(&g_process_lock);
    return -EFBIG;
}

int file_may_grow(struct task *task, uint64_t from, uint64_t to)
{
    uint64_t limit = task->process->rlimits[RLIMIT_FSIZE_INDEX].cur;
    return to > from && to > limit ? refuse_size(task) : 0;
}

/* RLIMIT_FSIZE, setrlimit(2): cut the write at the limit; SIGXFSZ when nothing may be written. */
static int limit_size(struct task *task, struct file *f, uint64_t offset, struct mem_ref *from)
{
    if (!task || !f->inode || !S_ISREG(f->inode->mode))
        return 0;
    uint64_t limit = task->process->rlimits[RLIMIT_FSIZE_INDEX].cur;
    if (limit >= INT64_MAX)
        return 0;
    if (offset >= limit)
        return refuse_size(task);
    *from = mem_first(*from, limit - offset);
    return 0;
}

static int64_t write_at(struct task *task, struct file *f, struct mem_ref from, uint64_t *offset)
{
    uint64_t start = *offset;
    if ((f->flags & O_APPEND || start == FILE_AT_END) && f->inode && S_ISREG(f->inode->mode)) {
        struct file_stat st;
        int err = file_stat(f, &st);
        if (err)
            return err;
        start = st.size;
    }
    int err = from.size ? limit_size(task, f, start, &from) : 0;
    return err ? err : f->ops->write(task, f, from, offset);
}

int64_t file_write(struct task *task, struct file *f, struct mem_ref from, uint64_t *offset)
{
    uint32_t flags = __atomic_load_n(&f->flags, __ATOMIC_RELAXED);
    if ((flags & O_PATH) || (flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (!f->ops->write)
        return -EINVAL;
    if (from.size > INT64_MAX / 2)
        return -EINVAL;
    int64_t n;
    if (is_stream(f)) {
        uint64_t none = 0;
        n = f->ops->write(task, f, from, offset ? offset : &none);
    } else if (offset) {
        n = write_at(task, f, from, offset);
    } else {
        bool locked = file_lock_position(f);
        n = write_at(task, f, from, &f->pos);
        unlock_position(f, locked);
    }
    return tell_moved(f, n, IN_MODIFY);
}

uint32_t file_poll(struct task *task, struct file *f, struct poll_table *table)
{
    if (f->flags & O_PATH)
        return POLLNVAL;
    if (!f->ops->poll)
        return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
    return f->ops->poll(task, f, table);
}

int file_stat(struct file *f, struct file_stat *out)
{
    memset(out, 0, sizeof(*out));
    if (!(f->flags & O_PATH) && f->ops->stat)
        return f->ops->stat(f, out);
    if (f->inode)
        return inode_getattr(f->inode, out);
    out->ino = f->id;
    out->mode = 0600;
    out->nlink = 1;
    out->block_size = 4096;
    return 0;
}

int64_t file_seek_in(struct file *f, int64_t offset, int whence, uint64_t size)
{
    int64_t base;
    switch (whence) {
    case SEEK_SET:
        base = 0;
        break;
    case SEEK_CUR:
        base = (int64_t)f->pos;
        break;
    case SEEK_END:
        base = (int64_t)size;
        break;
    case SEEK_DATA:
    case SEEK_HOLE:
        if (offset < 0 || (uint64_t)offset >= size)
            return -ENXIO;
        base = 0;
        if (whence == SEEK_HOLE)
            offset = (int64_t)size;
        break;
    default:
        return -EINVAL;
    }
    int64_t result;
    if (__builtin_add_overflow(base, offset, &result))
        return -EOVERFLOW;
    if (result < 0)
        return -EINVAL;
    f->pos = (uint64_t)result;
    return result;
}

int file_describe(struct task *task, struct file *f, char *out, size_t size)
{
    if (f->dentry) {
        struct path path = {f->mount, f->dentry};
        int n = path_to_string(task, &path, out, size);
        return n == -ENOENT ? (int)str_length(out) : n;
    }
    const char *kind = f->ops->kind ? f->ops->kind : "file";
    struct file_stat st;
    uint64_t ino = file_stat(f, &st) == 0 ? st.ino : f->id;
    int n;
    if (str_equal(kind, "pipe") || str_equal(kind, "socket"))
        n = shim_snprintf(out, size, "%s:[%llu]", kind, (unsigned long long)ino);
    else if (str_equal(kind, "inotify")) /* the one without brackets, in Linux as well */
        n = shim_snprintf(out, size, "anon_inode:%s", kind);
    else
        n = shim_snprintf(out, size, "anon_inode:[%s]", kind);
    return (size_t)n < size ? n : -ENAMETOOLONG;
}
