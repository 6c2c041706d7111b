#include "shim/fs/file_ioctl.h"

#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/stat.h>

#include "platform/errno.h"
#include "shim/fs/file.h"
#include "shim/fs/vfs.h"
#include "shim/process.h"
#include "shim/syscall.h"

#define BLOCK 4096u
#define EXTENTS_MAX                                                                                \
    ((UINT32_MAX - sizeof(struct fiemap)) / sizeof(struct fiemap_extent)) /* as in Linux */

/* ---- where the data is -------------------------------------------------------------------------------------------- */

/* A walk over the extents of a range. */
struct extents {
    uint64_t at, end; /* what is left of the range */
    uint64_t array;   /* the guest's struct fiemap_extent[room] */
    uint32_t room;    /* 0: only counted */
    uint32_t count;
};

/* The next piece with data, in whole blocks. 1; 0: none; or -errno. Under f->pos_lock. */
static int next_extent(struct task *task, struct file *f, struct extents *e,
                       struct fiemap_extent *out)
{
    int64_t data, hole;

    if (e->at >= e->end)
        return 0;
    data = f->ops->seek(task, f, (int64_t)e->at, SEEK_DATA);
    if (data == -ENXIO || (data >= 0 && (uint64_t)data >= e->end))
        return 0;
    hole = data < 0 ? data : f->ops->seek(task, f, data, SEEK_HOLE);
    if (hole < 0)
        return hole == -ENXIO ? 0 : (int)hole; /* cut off meanwhile */
    if (hole <= data)
        return 0;
    uint64_t start = (uint64_t)data & ~(uint64_t)(BLOCK - 1);
    uint64_t stop = ((uint64_t)hole < e->end ? (uint64_t)hole : e->end) + BLOCK - 1;
    stop &= ~(uint64_t)(BLOCK - 1);
    e->at = stop;
    *out = (struct fiemap_extent){
        .fe_logical = start, .fe_length = stop - start, .fe_flags = FIEMAP_EXTENT_UNKNOWN};
    return 1;
}

/* 1: no room for more. */
static int put_extent(struct extents *e, const struct fiemap_extent *extent)
{
    if (e->room) {
        int r =
            user_write(e->array + (uint64_t)e->count * sizeof(*extent), extent, sizeof(*extent));
        if (r)
            return r;
    }
    e->count++;
    return e->room && e->count == e->room;
}

static int walk_extents(struct task *task, struct file *f, struct extents *e)
{
    struct fiemap_extent last, next;
    int have = next_extent(task, f, e, &last);

    while (have == 1) {
        have = next_extent(task, f, e, &next);
        if (have == 0)
            last.fe_flags |= FIEMAP_EXTENT_LAST;
        int r = have < 0 ? have : put_extent(e, &last);
        if (r)
            return r < 0 ? r : 0;
        last = next;
    }
    return have;
}

/* As Linux's generic part checks; only FIEMAP_FLAG_SYNC is known. */
static int check_range(struct fiemap *map)
{
    uint32_t unknown = map->fm_flags & ~(uint32_t)FIEMAP_FLAG_SYNC;

    if (!map->fm_length)
        return -EINVAL;
    if (map->fm_start >= INT64_MAX)
        return -EFBIG;
    if (map->fm_length > INT64_MAX - map->fm_start)
        map->fm_length = INT64_MAX - map->fm_start;
    if (!unknown)
        return 0;
    map->fm_flags = unknown;
    return -EBADR;
}

static int fiemap(struct task *task, struct file *f, uint64_t arg)
{
    struct extents e = {.array = arg + sizeof(struct fiemap)};
    struct fiemap map;
    int r;

    if (!f->ops->tells_extents)
        return -EOPNOTSUPP;
    r = user_read(&map, arg, sizeof(map));
    if (r)
        return r;
    if (map.fm_extent_count > EXTENTS_MAX)
        return -EINVAL;
    r = check_range(&map);
    if (!r && map.fm_flags & FIEMAP_FLAG_SYNC && f->ops->sync)
        r = f->ops->sync(task, f);
    if (!r) {
        e.at = map.fm_start & ~(uint64_t)(BLOCK - 1);
        e.end = map.fm_start + map.fm_length;
        e.room = map.fm_extent_count;
        mutex_lock(&f->pos_lock);
        uint64_t pos = f->pos; /* which seeking moves */
        r = walk_extents(task, f, &e);
        f->pos = pos;
        mutex_unlock(&f->pos_lock);
    }
    map.fm_mapped_extents = e.count;
    int written = user_write(arg, &map, sizeof(map));
    return written ? written : r;
}

/* ---- shared data -------------------------------------------------------------------------------------------------- */

/* No file system here shares data among files: what is said is why not. */
static int clone_from(struct task *task, struct file *f, int64_t fd)
{
    struct file *from = fd_get(task, (int)fd);
    int r = -EOPNOTSUPP;

    if (!from)
        return -EBADF;
    bool regular = f->inode && from->inode && S_ISREG(f->inode->mode) && S_ISREG(from->inode->mode);
    bool directory =
        (f->inode && S_ISDIR(f->inode->mode)) || (from->inode && S_ISDIR(from->inode->mode));
    if (from->flags & O_PATH)
        r = -EBADF;
    else if ((f->inode ? f->inode->sb : NULL) != (from->inode ? from->inode->sb : NULL))
        r = -EXDEV;
    else if (directory)
        r = -EISDIR;
    else if (!regular)
        r = -EINVAL;
    else if ((from->flags & O_ACCMODE) == O_WRONLY || (f->flags & O_ACCMODE) == O_RDONLY ||
             f->flags & O_APPEND)
        r = -EBADF;
    file_put(from);
    return r;
}

static int clone_range(struct task *task, struct file *f, uint64_t arg)
{
    struct file_clone_range range;
    int r = user_read(&range, arg, sizeof(range));

    return r ? r : clone_from(task, f, range.src_fd);
}

/* ---- sizes -------------------------------------------------------------------------------------------------------- */

static int block_size(struct file *f, uint64_t arg)
{
    struct file_stat st;
    int r = file_stat(f, &st), size;

    if (r)
        return r;
    size = (int)st.block_size;
    return user_write(arg, &size, sizeof(size));
}

static int bytes_used(struct file *f, uint64_t arg)
{
    struct file_stat st;
    int64_t bytes;

    if (!f->inode || !(S_ISREG(f->inode->mode) || S_ISDIR(f->inode->mode)))
        return -ENOTTY;
    int r = file_stat(f, &st);
    bytes = (int64_t)st.blocks * 512;
    return r ? r : user_write(arg, &bytes, sizeof(bytes));
}

long file_ioctl(struct task *task, struct file *f, unsigned request, uint64_t arg)
{
    switch (request) {
    case FS_IOC_FIEMAP:
        return fiemap(task, f, arg);
    case FICLONE:
        return clone_from(task, f, (int)arg);
    case FICLONERANGE:
        return clone_range(task, f, arg);
    case FIGETBSZ:
        return block_size(f, arg);
    case FIOQSIZE:
        return bytes_used(f, arg);
    default:
        return FILE_IOCTL_OTHER;
    }
}
