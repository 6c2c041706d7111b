/*
 * memfd.c: files in memory without a name: memfd_create(2) with its seals, segments.
 */
#include <asm/fcntl.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/memfd.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/memfs.h"
#include "shim/fs/namei.h"

/* Since Linux 6.3; the headers of older systems lack them. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif

static struct mount *g_memfd_mount;
static struct mutex g_memfd_lock;

/* Where memfds live: a tmpfs that no path leads to. */
static struct mount *memfd_mount(int *err)
{
    mutex_lock(&g_memfd_lock);
    if (!g_memfd_mount) {
        struct inode *root = tmpfs_root(0700, err);
        struct dentry *d = root ? dentry_create(NULL, "", 0, root) : NULL;
        struct mount *m = d ? shim_zalloc(sizeof(*m)) : NULL;
        if (m) {
            m->root = d;
            m->sb = root->sb;
            m->source = "memfd";
            g_memfd_mount = m;
        } else {
            *err = -ENOMEM;
        }
    }
    mutex_unlock(&g_memfd_lock);
    return g_memfd_mount;
}

/* An open file that only this reference keeps. `text`: what /proc shows as its name. */
static struct file *nameless_file(const char *text, uint32_t mode, int *err)
{
    struct mount *m = memfd_mount(err);
    if (!m)
        return NULL;
    struct inode *inode = mem_node_create(m->sb, S_IFREG | mode, 0, 0, 0, err);
    struct dentry *d = inode ? dentry_create(m->root, text, str_length(text), inode) : NULL;
    struct file *f = d ? file_create(&g_memfs_regular_ops, O_RDWR | 00100000, NULL, err) : NULL;
    if (!f) {
        *err = -ENOMEM;
        if (d)
            dentry_put(d);
        else if (inode)
            inode_put(inode);
        return NULL;
    }
    mem_node(inode)->nlink = 0;
    mem_node(inode)->seals = F_SEAL_SEAL;
    d->deleted = true;
    inode_get(inode);
    f->inode = inode;
    f->dentry = d;
    f->mount = m;
    return f;
}

struct file *memfd_file(const char *name, uint32_t flags, int *err)
{
    char text[NAME_MAX + 8];
    shim_snprintf(text, sizeof(text), "memfd:%s", name);
    bool no_exec = flags & MFD_NOEXEC_SEAL;
    struct file *f = nameless_file(text, no_exec ? 0666 : 0777, err);
    if (f && no_exec)
        mem_node(f->inode)->seals = F_SEAL_EXEC;
    else if (f && flags & MFD_ALLOW_SEALING)
        mem_node(f->inode)->seals = 0;
    return f;
}

struct file *memfs_segment(const char *name, uint64_t size, struct shm_segment *segment, int *err)
{
    struct file *f = nameless_file(name, 0600, err);
    if (!f)
        return NULL;
    mem_node(f->inode)->segment = segment;
    *err = mem_truncate(f->inode, size);
    if (*err) {
        file_put(f);
        return NULL;
    }
    return f;
}

struct shm_segment *memfs_segment_of(const struct file *f)
{
    return mem_node(f->inode)->segment;
}

static bool can_be_sealed(const struct file *f)
{
    return f->inode && f->mount == g_memfd_mount && f->ops == &g_memfs_regular_ops;
}

bool memfs_write_sealed(struct file *f)
{
    return can_be_sealed(f) && mem_node(f->inode)->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
}

#define ALL_SEALS                                                                                  \
    (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_EXEC)

int memfs_add_seals(struct file *f, unsigned seals)
{
    if (!can_be_sealed(f))
        return -EINVAL;
    if (!(f->flags & O_ACCMODE))
        return -EPERM;
    if (seals & ~(unsigned)ALL_SEALS)
        return -EINVAL;
    struct mem_node *n = mem_node(f->inode);
    mutex_lock(&f->inode->lock);
    int err = 0;
    if (n->seals & F_SEAL_SEAL)
        err = -EPERM;
    else if (seals & F_SEAL_WRITE && !(n->seals & F_SEAL_WRITE) &&
             __atomic_load_n(&f->inode->writable_maps, __ATOMIC_SEQ_CST) > 0)
        err = -EBUSY;
    /* What may be executed and not be changed in that may not be written either. */
    if (seals & F_SEAL_EXEC && f->inode->mode & 0111)
        seals |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
    if (err == 0)
        n->seals |= seals;
    mutex_unlock(&f->inode->lock);
    return err;
}

int memfs_get_seals(struct file *f)
{
    return can_be_sealed(f) ? (int)mem_node(f->inode)->seals : -EINVAL;
}
