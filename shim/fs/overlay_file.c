/*
 * overlay_file.c: open files of the overlay over a directory. Each call goes to where the file is now: one that was opened to be read
 * follows it up.
 */
#include <asm/fcntl.h>
#include <linux/fs.h>

#include "platform/errno.h"
#include "platform/host_file.h"
#include "shim/fs/hostfs.h"
#include "shim/fs/overlay.h"
#include "shim/shim.h"

static struct host_file *data_of(struct file *f, int *err)
{
    bool writes = (f->flags & O_ACCMODE) != O_RDONLY;
    return hostfs_data(over_real(f->inode), writes ? HOSTFS_READ_WRITE : HOSTFS_READ, err);
}

static int64_t regular_read(struct task *task UNUSED, struct file *f, struct mem_ref into,
                            uint64_t *offset)
{
    int err = 0;
    struct host_file *file = data_of(f, &err);
    if (!file)
        return err;
    int64_t n = host_file_pread(g_platform, file, *offset, into);
    host_file_close(g_platform, file);
    if (n > 0)
        *offset += (uint64_t)n;
    return n;
}

static int64_t regular_write(struct task *task UNUSED, struct file *f, struct mem_ref from,
                             uint64_t *offset)
{
    int err = 0;
    struct host_file *file = data_of(f, &err);
    if (!file)
        return err;
    bool append = f->flags & O_APPEND || *offset == FILE_AT_END;
    int64_t n = 0;
    if (append) {
        struct host_stat st;
        mutex_lock(&f->inode->lock);
        n = host_file_stat(g_platform, file, &st);
        *offset = st.size;
    }
    if (n == 0)
        n = host_file_pwrite(g_platform, file, *offset, from);
    if (append)
        mutex_unlock(&f->inode->lock);
    host_file_close(g_platform, file);
    if (n > 0)
        *offset += (uint64_t)n;
    return n;
}

static int64_t regular_seek(struct task *task UNUSED, struct file *f, int64_t offset, int whence)
{
    struct file_stat st = {0};
    int err = 0;
    if (whence == SEEK_DATA || whence == SEEK_HOLE) {
        struct host_file *file = offset < 0 ? NULL : data_of(f, &err);
        if (!file)
            return err ? err : -ENXIO;
        int64_t to = host_file_seek(g_platform, file, offset, whence);
        host_file_close(g_platform, file);
        if (to >= 0)
            f->pos = (uint64_t)to;
        return to;
    }
    if (whence == SEEK_END)
        err = inode_getattr(f->inode, &st);
    return err ? err : file_seek_in(f, offset, whence, st.size);
}

static struct memory_object *regular_map(struct task *task UNUSED, struct file *f,
                                         enum memory_sharing sharing, unsigned prot UNUSED,
                                         uint64_t *offset UNUSED, int *err)
{
    bool writes = sharing == MEMORY_SHARED && (f->flags & O_ACCMODE) == O_RDWR;
    return hostfs_object(over_real(f->inode), writes ? HOSTFS_READ_WRITE : HOSTFS_READ, err);
}

static int regular_allocate(struct task *task UNUSED, struct file *f, int mode, uint64_t offset,
                            uint64_t size)
{
    int err = 0;
    struct host_file *file = data_of(f, &err);
    if (!file)
        return err;
    err = host_file_allocate(g_platform, file, (unsigned)mode, offset, size);
    host_file_close(g_platform, file);
    return err;
}

static int regular_sync(struct task *task UNUSED, struct file *f)
{
    int err = 0;
    if (!over_upper(f->inode))
        return 0;
    struct host_file *file = data_of(f, &err);
    if (!file)
        return err;
    err = host_file_sync(g_platform, file);
    host_file_close(g_platform, file);
    return err;
}

const struct file_ops g_overlay_regular_ops = {
    .kind = "regular",
    .read = regular_read,
    .write = regular_write,
    .seek = regular_seek,
    .keeps_position_only = true,
    .tells_extents = true,
    .map = regular_map,
    .fallocate = regular_allocate,
    .sync = regular_sync,
};

static int directory_readdir(struct task *task UNUSED, struct file *f, uint64_t *offset,
                             dir_emit emit, void *arg)
{
    return dir_snapshot_read(f, over_list, offset, emit, arg);
}

const struct file_ops g_overlay_directory_ops = {
    .kind = "directory",
    .seek = dir_snapshot_seek,
    .readdir = directory_readdir,
    .release = dir_snapshot_release,
};

int over_open(struct task *task, struct inode *inode, struct file *f)
{
    struct file_stat st;
    int err = 0;
    switch (inode->mode & S_IFMT) {
    case S_IFREG:
        break;
    case S_IFDIR:
        return 0;
    case S_IFIFO:
        return fifo_open(task, inode, f);
    case S_IFCHR:
        err = inode_getattr(inode, &st);
        return err ? err : chrdev_open(task, st.rdev, f);
    default:
        return -ENXIO;
    }
    if ((f->flags & O_ACCMODE) != O_RDONLY)
        err = over_copy_up(inode);
    /* What the host refuses is found out now rather than by read(2). */
    struct host_file *file = err ? NULL : data_of(f, &err);
    if (file)
        host_file_close(g_platform, file);
    return err;
}
