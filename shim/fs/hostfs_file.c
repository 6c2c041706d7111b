/*
 * hostfs_file.c: open files and directories of the host.
 */
#include <asm/fcntl.h>
#include <asm/statfs.h>
#include <linux/fs.h>

#include "platform/errno.h"
#include "platform/host_file.h"
#include "shim/fs/hostfs.h"
#include "shim/shim.h"

static int64_t regular_read(struct task *task UNUSED, struct file *f, struct mem_ref into,
                            uint64_t *offset)
{
    int64_t n = host_file_pread(g_platform, f->data, *offset, into);
    if (n > 0)
        *offset += (uint64_t)n;
    return n;
}

static int64_t regular_write(struct task *task UNUSED, struct file *f, struct mem_ref from,
                             uint64_t *offset)
{
    bool append = f->flags & O_APPEND || *offset == FILE_AT_END;
    int64_t n = 0;
    if (append) {
        struct host_stat st;
        mutex_lock(&f->inode->lock);
        n = host_file_stat(g_platform, f->data, &st);
        *offset = st.size;
    }
    if (n == 0)
        n = host_file_pwrite(g_platform, f->data, *offset, from);
    if (append)
        mutex_unlock(&f->inode->lock);
    if (n > 0)
        *offset += (uint64_t)n;
    return n;
}

static int64_t regular_seek(struct task *task UNUSED, struct file *f, int64_t offset, int whence)
{
    struct file_stat st = {0};
    if (whence == SEEK_DATA || whence == SEEK_HOLE) {
        int64_t to = offset < 0 ? -ENXIO : host_file_seek(g_platform, f->data, offset, whence);
        if (to >= 0)
            f->pos = (uint64_t)to;
        return to;
    }
    int err = whence == SEEK_SET || whence == SEEK_CUR ? 0 : inode_getattr(f->inode, &st);
    return err ? err : file_seek_in(f, offset, whence, st.size);
}

static struct memory_object *regular_map(struct task *task UNUSED, struct file *f,
                                         enum memory_sharing sharing, unsigned prot UNUSED,
                                         uint64_t *offset UNUSED, int *err)
{
    bool writes = sharing == MEMORY_SHARED && (f->flags & O_ACCMODE) == O_RDWR;
    return hostfs_object(f->inode, writes ? HOSTFS_READ_WRITE : HOSTFS_READ, err);
}

static int regular_allocate(struct task *task UNUSED, struct file *f, int mode, uint64_t offset,
                            uint64_t size)
{
    return host_file_allocate(g_platform, f->data, (unsigned)mode, offset, size);
}

static int regular_sync(struct task *task UNUSED, struct file *f)
{
    return host_file_sync(g_platform, f->data);
}

static void regular_release(struct file *f)
{
    host_file_close(g_platform, f->data);
}

const struct file_ops g_hostfs_regular_ops = {
    .kind = "regular",
    .read = regular_read,
    .write = regular_write,
    .seek = regular_seek,
    .keeps_position_only = true,
    .tells_extents = true,
    .map = regular_map,
    .fallocate = regular_allocate,
    .sync = regular_sync,
    .release = regular_release,
};

static int list_directory(struct inode *dir, struct dir_list *list)
{
    return hostfs_list(dir, list, NULL, NULL);
}

static int directory_readdir(struct task *task UNUSED, struct file *f, uint64_t *offset,
                             dir_emit emit, void *arg)
{
    return dir_snapshot_read(f, list_directory, offset, emit, arg);
}

const struct file_ops g_hostfs_directory_ops = {
    .kind = "directory",
    .seek = dir_snapshot_seek,
    .readdir = directory_readdir,
    .release = dir_snapshot_release,
};

/* Fifos and devices of the host are names only: what is behind them is the guest's own. */
int hostfs_open(struct task *task, struct inode *inode, struct file *f)
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
    bool writes = (f->flags & O_ACCMODE) != O_RDONLY;
    f->data = hostfs_data(inode, writes ? HOSTFS_READ_WRITE : HOSTFS_READ, &err);
    /* The host may have given it another name since, which looking at each step of the way finds. */
    return err == -ENOENT ? -ESTALE : err;
}

int hostfs_statfs(struct host_file *file, void *abi_statfs)
{
    struct statfs *out = abi_statfs;
    struct host_statfs st;
    int err = host_file_statfs(g_platform, file, &st);
    if (err)
        return err;
    out->f_type = (long)st.type;
    out->f_bsize = (long)st.block_size;
    out->f_frsize = (long)st.block_size;
    out->f_blocks = (long)st.blocks;
    out->f_bfree = (long)st.blocks_free;
    out->f_bavail = (long)st.blocks_available;
    out->f_files = (long)st.files;
    out->f_ffree = (long)st.files_free;
    out->f_namelen = (long)st.name_max;
    return 0;
}
