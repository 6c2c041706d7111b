/*
 * overlay_copy.c: copy-up. The copy is finished in the work directory and then renamed to its place: whoever looks, also after the
 * end of a run at any moment, finds the file as it was below or the whole copy.
 */
#include <linux/fs.h>
#include <linux/limits.h>

#include "platform/errno.h"
#include "platform/host_file.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/hostfs_names.h"
#include "shim/fs/namei.h"
#include "shim/fs/overlay.h"
#include "shim/shim.h"

#define COPY_CHUNK (128u * 1024u)

void over_work_name(struct over_fs *fs, char name[32])
{
    uint64_t number = __atomic_fetch_add(&fs->next_work, 1, __ATOMIC_RELAXED);
    shim_snprintf(name, 32, "#%llu", (unsigned long long)number);
}

/* What the host does not store below stays a hole above. */
static int copy_bytes(struct host_file *from, struct host_file *to, uint64_t size)
{
    char *chunk = shim_alloc(COPY_CHUNK);
    int err = chunk ? 0 : -ENOMEM;
    uint64_t at = 0, data_end = 0;
    while (err == 0 && at < size) {
        if (at >= data_end) {
            int64_t data = host_file_seek(g_platform, from, (int64_t)at, SEEK_DATA);
            if (data == -ENXIO || data >= (int64_t)size)
                break;
            int64_t hole = data < 0 ? data : host_file_seek(g_platform, from, data, SEEK_HOLE);
            at = data > (int64_t)at ? (uint64_t)data : at;
            data_end = hole > data ? (uint64_t)hole : size;
        }
        uint64_t want = data_end - at < COPY_CHUNK ? data_end - at : COPY_CHUNK;
        int64_t got = host_file_pread(g_platform, from, at, mem_shim(chunk, want));
        if (got == 0)
            break; /* it became shorter */
        for (int64_t done = 0; err == 0 && done < got;) {
            int64_t put = host_file_pwrite(g_platform, to, at + (uint64_t)done,
                                           mem_shim(chunk + done, (size_t)(got - done)));
            if (put <= 0)
                err = put ? (int)put : -EIO;
            done += put;
        }
        if (got < 0)
            err = (int)got;
        else
            at += (uint64_t)got;
    }
    shim_free(chunk);
    return err;
}

static int copy_data(struct inode *lower, struct inode *upper, uint64_t size)
{
    int err = 0;
    if (size == 0)
        return 0;
    struct host_file *from = hostfs_data(lower, HOSTFS_READ, &err);
    struct host_file *to = from ? hostfs_data(upper, HOSTFS_READ_WRITE, &err) : NULL;
    struct file_stat attr = {.size = size};
    if (to)
        err = copy_bytes(from, to, size);
    if (to && err == 0)
        err = hostfs_setattr(upper, HOST_SET_SIZE, &attr);
    if (to && err == 0)
        err = host_file_sync(g_platform, to); /* the name must not last where the data does not */
    if (to)
        host_file_close(g_platform, to);
    if (from)
        host_file_close(g_platform, from);
    return err;
}

/* What cannot be read below, or the host does not let us write, is left behind. */
static int copy_attributes(struct inode *lower, struct inode *upper)
{
    char *names = shim_alloc(XATTR_LIST_MAX), *value = shim_alloc(XATTR_SIZE_MAX);
    int64_t size = names && value ? hostfs_list_xattr(lower, names, XATTR_LIST_MAX) : 0;
    for (int64_t at = 0; at < size; at += (int64_t)str_length(names + at) + 1) {
        if (over_is_marker(names + at))
            continue;
        int64_t got = hostfs_get_xattr(lower, names + at, value, XATTR_SIZE_MAX);
        if (got >= 0)
            (void)!hostfs_set_xattr(upper, names + at, value, (size_t)got, 0);
    }
    int err = names && value ? 0 : -ENOMEM;
    shim_free(names);
    shim_free(value);
    return err;
}

/* A finished copy of `lower` in the work directory. Owner: caller. */
static struct inode *make_copy(struct over_fs *fs, struct inode *lower, const char *name, int *err)
{
    struct file_stat st;
    memset(&st, 0, sizeof(st));
    *err = lower->ops->getattr(lower, &st);
    if (*err)
        return NULL;
    struct inode *upper = NULL;
    if (S_ISLNK(st.mode)) {
        char *text = shim_zalloc(PATH_MAX);
        int length = text ? lower->ops->readlink(lower, text, PATH_MAX - 1) : -ENOMEM;
        *err = length < 0 ? length : 0;
        if (length >= 0)
            upper = hostfs_symlink(fs->work, name, text, st.uid, st.gid, err);
        shim_free(text);
    } else {
        upper =
            hostfs_create(fs->work, name, (st.mode & S_IFMT) | 0700, st.rdev, st.uid, st.gid, err);
    }
    if (!upper)
        return NULL;
    if (S_ISREG(st.mode))
        *err = copy_data(lower, upper, st.size);
    if (*err == 0 && !S_ISLNK(st.mode))
        *err = copy_attributes(lower, upper);
    unsigned mask = S_ISLNK(st.mode) ? HOST_SET_TIMES : HOST_SET_MODE | HOST_SET_TIMES;
    if (*err == 0)
        *err = hostfs_setattr(upper, mask, &st);
    if (*err) {
        (void)!hostfs_unlink(fs->work, name, upper);
        inode_put(upper);
        return NULL;
    }
    return upper;
}

/* Under fs->lock. The directory above gets a name that was there already: its times stay. */
static int put_in_place(struct over_node *n, const char *work_name, struct inode *upper)
{
    if (n->unlinked)
        return hostfs_unlink(n->fs->work, work_name, upper);
    struct inode *above = over_upper(n->parent);
    struct file_stat st;
    memset(&st, 0, sizeof(st));
    int timed = above->ops->getattr(above, &st);
    int err = hostfs_rename(n->fs->work, work_name, above, n->name, 0);
    if (err == 0 && timed == 0)
        (void)!hostfs_setattr(above, HOST_SET_TIMES, &st);
    return err;
}

static int copy_one(struct inode *inode)
{
    struct over_node *n = over_node(inode);
    char name[32];
    int err = 0;
    mutex_lock(&n->copy_lock);
    if (!n->upper) {
        over_work_name(n->fs, name);
        struct inode *upper = make_copy(n->fs, n->lower, name, &err);
        if (upper) {
            mutex_lock(&n->fs->lock);
            err = put_in_place(n, name, upper);
            if (err == 0)
                over_set_upper(n, upper);
            mutex_unlock(&n->fs->lock);
            if (err) {
                (void)!hostfs_unlink(n->fs->work, name, upper);
                inode_put(upper);
            }
        }
    }
    mutex_unlock(&n->copy_lock);
    return err;
}

int over_copy_up(struct inode *inode)
{
    int err = 0;
    while (err == 0 && !over_upper(inode)) {
        struct inode *top = inode; /* the root has its upper inode from the start */
        while (!over_upper(over_node(top)->parent))
            top = over_node(top)->parent;
        err = copy_one(top);
    }
    return err;
}
