/*
 * /dev: a tmpfs that starts with the usual nodes, and the memory devices (null(4), full(4), random(4)).
 */
#include "shim/fs/devfs.h"

#include <asm/fcntl.h>
#include <linux/magic.h>
#include <linux/stat.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/base/string.h"
#include "shim/fs/pty.h"
#include "shim/fs/transfer.h"
#include "shim/fs/tty.h"
#include "shim/fs/vfs.h"
#include "shim/process.h"
#include "shim/shim.h"

enum memory_device {
    DEVICE_NULL = 3,
    DEVICE_ZERO = 5,
    DEVICE_FULL = 7,
    DEVICE_RANDOM = 8,
    DEVICE_URANDOM = 9
};
#define MEM_MAJOR 1
#define TTY_MAJOR 5 /* 5:0 tty, 5:1 console, 5:2 ptmx */
#define TTY_GID 5   /* Debian's group tty, owner of terminals */

/* ---- memory devices --------------------------------------------------------------------------------------------- */

static int64_t null_read(struct task *task, struct file *f, struct mem_ref into, uint64_t *offset)
{
    (void)task, (void)f, (void)into, (void)offset;
    return 0;
}

static int64_t null_write(struct task *task, struct file *f, struct mem_ref from, uint64_t *offset)
{
    (void)task, (void)f, (void)offset;
    return (int64_t)from.size;
}

static int64_t full_write(struct task *task, struct file *f, struct mem_ref from, uint64_t *offset)
{
    (void)task, (void)f, (void)offset;
    return from.size ? -ENOSPC : 0;
}

static int64_t zero_read(struct task *task, struct file *f, struct mem_ref into, uint64_t *offset)
{
    const size_t step = 1 << 20; /* so that a signal ends a huge read soon */
    size_t done = 0;

    (void)f, (void)offset;
    while (done < into.size) {
        struct mem_ref part = mem_first(mem_skip(into, done), step);
        size_t left = 0;
        if (part.shim)
            memset(part.shim, 0, part.size);
        else
            left = user_zero(part.guest, part.size);
        done += part.size - left;
        if (left)
            return done ? (int64_t)done : -EFAULT;
        if (task_interrupted(task))
            break;
    }
    return (int64_t)done;
}

static int64_t random_read(struct task *task, struct file *f, struct mem_ref into, uint64_t *offset)
{
    unsigned char bytes[512];
    size_t done = 0;

    (void)f, (void)offset;
    while (done < into.size) {
        size_t part = into.size - done < sizeof(bytes) ? into.size - done : sizeof(bytes);
        clock_entropy(g_platform, bytes, part);
        size_t moved = transfer_out(mem_skip(into, done), bytes, part);
        done += moved;
        if (moved < part)
            return done ? (int64_t)done : -EFAULT;
        if (task_interrupted(task))
            break;
    }
    return (int64_t)done;
}

/* Seeking succeeds and means nothing: lseek(2) on these devices gives 0. */
static int64_t null_seek(struct task *task, struct file *f, int64_t offset, int whence)
{
    (void)task, (void)f, (void)offset, (void)whence;
    return 0;
}

/* Mapping /dev/zero is the old way to ask for anonymous memory: any size, from any offset. */
static struct memory_object *zero_map(struct task *task, struct file *f,
                                      enum memory_sharing sharing, unsigned prot, uint64_t *offset,
                                      int *err)
{
    (void)task, (void)f, (void)sharing, (void)prot;
    *offset = 0;
    return memory_object_create(g_platform, 1ull << 40, err);
}

static const struct file_ops null_ops = {.kind = "null",
                                         .read = null_read,
                                         .write = null_write,
                                         .seek = null_seek,
                                         .keeps_position_only = true};
static const struct file_ops zero_ops = {.kind = "zero",
                                         .read = zero_read,
                                         .write = null_write,
                                         .seek = null_seek,
                                         .keeps_position_only = true,
                                         .map = zero_map};
static const struct file_ops full_ops = {.kind = "full",
                                         .read = zero_read,
                                         .write = full_write,
                                         .seek = null_seek,
                                         .keeps_position_only = true};
static const struct file_ops random_ops = {.kind = "random",
                                           .read = random_read,
                                           .write = null_write,
                                           .seek = null_seek,
                                           .keeps_position_only = true};

static int memory_device_open(unsigned minor, struct file *f)
{
    switch (minor) {
    case DEVICE_NULL:
        f->ops = &null_ops;
        return 0;
    case DEVICE_ZERO:
        f->ops = &zero_ops;
        return 0;
    case DEVICE_FULL:
        f->ops = &full_ops;
        return 0;
    case DEVICE_RANDOM:
    case DEVICE_URANDOM:
        f->ops = &random_ops;
        return 0;
    }
    return -ENXIO;
}

int chrdev_open(struct task *task, uint64_t rdev, struct file *f)
{
    unsigned major = (unsigned)(rdev >> 8) & 0xfff, minor = (unsigned)(rdev & 0xff);
    struct tty_session *tty;

    switch (major) {
    case MEM_MAJOR:
        return memory_device_open(minor, f);
    case TTY_MAJOR:
        if (minor == 0)
            return tty_open_controlling(task, f);
        if (minor == 1)
            return console_open(task, f);
        return minor == 2 ? pty_open_master(task, f) : -ENXIO;
    case DEVFS_PTS_MAJOR:
        tty = pty_find(minor);
        return tty ? pty_open_slave(task, tty, f) : -EIO;
    }
    return -ENXIO;
}

/* ---- the tree --------------------------------------------------------------------------------------------------- */

static const struct device_node {
    const char *name;
    uint64_t rdev;
    uint32_t mode, gid;
} g_nodes[] = {
    {"null", DEVFS_RDEV(MEM_MAJOR, DEVICE_NULL), S_IFCHR | 0666, 0},
    {"zero", DEVFS_RDEV(MEM_MAJOR, DEVICE_ZERO), S_IFCHR | 0666, 0},
    {"full", DEVFS_RDEV(MEM_MAJOR, DEVICE_FULL), S_IFCHR | 0666, 0},
    {"random", DEVFS_RDEV(MEM_MAJOR, DEVICE_RANDOM), S_IFCHR | 0666, 0},
    {"urandom", DEVFS_RDEV(MEM_MAJOR, DEVICE_URANDOM), S_IFCHR | 0666, 0},
    {"tty", DEVFS_RDEV(TTY_MAJOR, 0), S_IFCHR | 0666, TTY_GID},
    {"console", DEVFS_RDEV(TTY_MAJOR, 1), S_IFCHR | 0666, TTY_GID},
    {"ptmx", DEVFS_RDEV(TTY_MAJOR, 2), S_IFCHR | 0666, TTY_GID},
    {"pts", 0, S_IFDIR | 0755, 0},
    {"shm", 0, S_IFDIR | 01777, 0}, /* vfs_init mounts a tmpfs there */
};

static const char *const g_links[][2] = {
    {"fd", "/proc/self/fd"},
    {"stdin", "/proc/self/fd/0"},
    {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"},
};

static struct inode *g_pts; /* borrowed: the root directory holds it for good */

struct inode *devfs_root(int *err)
{
    struct inode *root = tmpfs_root(0755, err), *made;

    if (!root)
        return NULL;
    root->sb->type = "devtmpfs";
    root->sb->volatile_names = true; /* terminals come and go in pts */
    for (size_t i = 0; i < sizeof(g_nodes) / sizeof(g_nodes[0]); i++) {
        const struct device_node *n = &g_nodes[i];
        made = root->ops->create(root, n->name, n->mode, n->rdev, 0, n->gid, err);
        if (!made)
            goto undo_root;
        if (str_equal(n->name, "pts"))
            g_pts = made;
        inode_put(made);
    }
    for (size_t i = 0; i < sizeof(g_links) / sizeof(g_links[0]); i++) {
        made = root->ops->symlink(root, g_links[i][0], g_links[i][1], 0, 0, err);
        if (!made)
            goto undo_root;
        inode_put(made);
    }
    return root;

undo_root:
    g_pts = NULL;
    inode_put(root);
    return NULL;
}

static void pty_name(unsigned index, char name[8])
{
    shim_snprintf(name, 8, "%u", index);
}

int devfs_add_pty(unsigned index, uint32_t uid)
{
    char name[8];
    struct inode *made;
    int err = 0;

    if (!g_pts)
        return 0;
    pty_name(index, name);
    mutex_lock(&g_pts->lock);
    made = g_pts->ops->create(g_pts, name, S_IFCHR | 0620, DEVFS_RDEV(DEVFS_PTS_MAJOR, index), uid,
                              TTY_GID, &err);
    mutex_unlock(&g_pts->lock);
    if (!made)
        return err;
    inode_put(made);
    return 0;
}

void devfs_remove_pty(unsigned index)
{
    char name[8];
    struct inode *node;
    int err;

    if (!g_pts)
        return;
    pty_name(index, name);
    mutex_lock(&g_pts->lock);
    node = g_pts->ops->lookup(g_pts, name, NULL, &err);
    if (node) /* the guest's root may have unlinked it */
        g_pts->ops->unlink(g_pts, name, node);
    mutex_unlock(&g_pts->lock);
    if (node)
        inode_put(node);
}
