/*
 * memfs.c: nodes and directories of tmpfs and overlay.
 */
#include "shim/fs/memfs.h"

#include <asm/statfs.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <linux/magic.h>

#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/host_file.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/hostfs.h"
#include "shim/fs/namei.h"
#include "shim/fs/xattr.h"
#include "shim/shim.h"

#define SEAL_EXEC 0x20u /* F_SEAL_EXEC */
/* Inode numbers of the overlay's own files, apart from the host's. */
#define UPPER_INO (1ull << 47)

static const struct inode_ops g_memfs_ops;

static struct mem_entry *find_entry(struct mem_node *dir, const char *name)
{
    struct mem_entry *e;
    HASH_FIND_STR(dir->entries, name, e);
    return e;
}

/* Under fs->lock. NULL: no memory. */
static struct mem_entry *add_entry(struct mem_node *dir, const char *name)
{
    size_t length = str_length(name);
    struct mem_entry *e = shim_zalloc(sizeof(*e) + length + 1);
    if (!e)
        return NULL;
    memcpy(e->name, name, length + 1);
    HASH_ADD_KEYPTR(hh, dir->entries, e->name, length, e);
    if (!e->hh.tbl) {
        shim_free(e);
        return NULL;
    }
    return e;
}

static void remove_entry(struct mem_node *dir, struct mem_entry *e)
{
    HASH_DEL(dir->entries, e);
    shim_free(e);
}

/* Under fs->lock: the name holds nothing any more. The entry's own reference is the caller's now.
 */
static void vacate_entry(struct mem_node *dir, struct mem_entry *e)
{
    if (e->kind == MEM_ENTRY_PINNED)
        dir->pinned_entries--;
    if (e->covers_lower) {
        e->kind = MEM_ENTRY_WHITEOUT;
        e->inode = NULL;
    } else {
        remove_entry(dir, e);
    }
}

/* Under fs->lock: the entry owns `inode` from now on; the reference is the caller's gift. */
static void occupy_entry(struct mem_node *dir, struct mem_entry *e, struct inode *inode)
{
    PLATFORM_REQUIRE(e->kind != MEM_ENTRY_PINNED || !e->inode);
    e->kind = MEM_ENTRY_PINNED;
    e->inode = inode;
    dir->pinned_entries++;
}

static struct inode *timeless_node(struct superblock *sb, uint32_t mode, uint64_t rdev,
                                   uint32_t uid, uint32_t gid, int *err)
{
    struct mem_fs *fs = sb->data;
    uint64_t limit = fs->limit_inodes,
             used = __atomic_fetch_add(&fs->used_inodes, 1, __ATOMIC_RELAXED);
    bool full = limit && used >= limit;
    struct mem_node *n = full ? NULL : shim_zalloc(sizeof(*n));
    struct inode *inode = n ? inode_create(sb, &g_memfs_ops, mode, n, err) : NULL;
    if (!inode) {
        __atomic_fetch_sub(&fs->used_inodes, 1, __ATOMIC_RELAXED);
        shim_free(n);
        *err = full ? -ENOSPC : -ENOMEM;
        return NULL;
    }
    n->inode = inode;
    n->fs = fs;
    n->uid = uid;
    n->gid = gid;
    n->rdev = rdev;
    n->nlink = S_ISDIR(mode) ? 2 : 1;
    n->pinned = true;
    if (S_ISDIR(mode))
        inode->file_ops = &g_memfs_directory_ops;
    else if (S_ISREG(mode))
        inode->file_ops = &g_memfs_regular_ops;
    return inode;
}

struct inode *mem_node_create(struct superblock *sb, uint32_t mode, uint64_t rdev, uint32_t uid,
                              uint32_t gid, int *err)
{
    struct inode *inode = timeless_node(sb, mode, rdev, uid, gid, err);
    if (inode) {
        struct mem_node *n = mem_node(inode);
        n->atime_ns = n->mtime_ns = n->ctime_ns = n->btime_ns = (int64_t)fs_now_ns();
    }
    return inode;
}

/* A node that shows `lower` (consumed, also on failure). */
static struct inode *node_from_lower(struct superblock *sb, struct inode *lower, int *err)
{
    struct file_stat st;
    *err = inode_getattr(lower, &st);
    struct inode *inode = *err ? NULL : timeless_node(sb, st.mode, st.rdev, st.uid, st.gid, err);
    if (!inode) {
        inode_put(lower);
        return NULL;
    }
    struct mem_node *n = mem_node(inode);
    inode->ino = st.ino;
    n->lower = lower;
    n->nlink = (uint32_t)st.nlink;
    n->atime_ns = st.atime_ns;
    n->mtime_ns = st.mtime_ns;
    n->ctime_ns = st.ctime_ns;
    n->btime_ns = st.btime_ns;
    n->size = st.size;
    n->lower_blocks = st.blocks;
    n->kind = MEM_DATA_LOWER;
    return inode;
}

static struct inode *memfs_lookup(struct inode *dir, const char *name,
                                  struct file_stat *seen UNUSED, int *err)
{
    struct mem_node *d = mem_node(dir);
    struct inode *inode = NULL;
    mutex_lock(&d->fs->lock);
    struct mem_entry *e = find_entry(d, name);
    bool look_below = d->lower && (!e || e->kind == MEM_ENTRY_KNOWN);
    if (e && e->kind == MEM_ENTRY_PINNED) {
        inode = e->inode;
        inode_get(inode);
    } else if (e && e->kind == MEM_ENTRY_KNOWN && inode_get_unless_gone(e->inode)) {
        inode = e->inode;
    }
    mutex_unlock(&d->fs->lock);
    if (inode)
        return inode;
    *err = -ENOENT;
    if (!look_below)
        return NULL;
    struct inode *lower = d->lower->ops->lookup(d->lower, name, NULL, err);
    if (!lower)
        return NULL;
    inode = node_from_lower(dir->sb, lower, err);
    if (!inode)
        return NULL;
    struct mem_node *n = mem_node(inode);
    char *copy = shim_strdup(name);
    mutex_lock(&d->fs->lock);
    e = copy ? find_entry(d, name) : NULL;
    if (!e && copy)
        e = add_entry(d, name);
    if (e) {
        e->kind = MEM_ENTRY_KNOWN;
        e->covers_lower = true;
        e->inode = inode;
        n->pinned = false;
        n->name = copy;
        n->parent = dir;
        inode_get(dir);
    }
    mutex_unlock(&d->fs->lock);
    if (!e) {
        shim_free(copy);
        inode_put(inode);
        *err = -ENOMEM;
        return NULL;
    }
    return inode;
}

void mem_pin(struct mem_node *n)
{
    struct inode *up =
        NULL; /* reference of the node below to n; not the last one once n is pinned */
    mutex_lock(&n->fs->lock);
    while (!n->pinned) {
        struct inode *parent = n->parent;
        struct mem_node *p = mem_node(parent);
        struct mem_entry *e = find_entry(p, n->name);
        PLATFORM_REQUIRE(e && e->inode == n->inode);
        inode_get(n->inode);
        occupy_entry(p, e, n->inode);
        shim_free(n->name);
        n->name = NULL;
        n->parent = NULL;
        n->pinned = true;
        if (up)
            inode_put(up);
        up = parent;
        n = p;
    }
    mutex_unlock(&n->fs->lock);
    if (up)
        inode_put(up);
}

static void memfs_release(struct inode *inode)
{
    struct mem_node *n = mem_node(inode);
    mutex_lock(&n->fs->lock);
    if (!n->pinned) {
        struct mem_node *parent = mem_node(n->parent);
        struct mem_entry *e = find_entry(parent, n->name);
        if (e && e->inode == inode)
            remove_entry(parent, e);
    }
    mutex_unlock(&n->fs->lock);
    struct mem_entry *e, *tmp;
    HASH_ITER(hh, n->entries, e, tmp)
    {
        PLATFORM_REQUIRE(e->kind == MEM_ENTRY_WHITEOUT);
        remove_entry(n, e);
    }
    mem_data_free(n);
    __atomic_fetch_sub(&n->fs->used_inodes, 1, __ATOMIC_RELAXED);
    xattr_list_free(n->xattrs);
    if (n->lower)
        inode_put(n->lower);
    if (n->parent)
        inode_put(n->parent);
    shim_free(n->name);
    shim_free(n);
}

static void touch_directory(struct mem_node *dir)
{
    dir->mtime_ns = dir->ctime_ns = (int64_t)fs_now_ns();
}

/* Give `inode` (one reference consumed on success) the name. Under dir's lock; the directory is
 * pinned here. */
static int put_name(struct mem_node *dir, const char *name, struct inode *inode)
{
    mem_pin(dir);
    int err = 0;
    mutex_lock(&dir->fs->lock);
    struct mem_entry *e = find_entry(dir, name);
    if (dir->nlink == 0)
        err = -ENOENT;
    else if (e && e->kind != MEM_ENTRY_WHITEOUT)
        err = -EEXIST;
    else if (!e && !(e = add_entry(dir, name)))
        err = -ENOMEM;
    if (err == 0) {
        occupy_entry(dir, e, inode);
        if (S_ISDIR(inode->mode))
            dir->nlink++;
    }
    mutex_unlock(&dir->fs->lock);
    if (err == 0)
        touch_directory(dir);
    return err;
}

static struct inode *name_fresh(struct inode *dir, const char *name, struct inode *inode, int *err)
{
    if (!inode)
        return NULL;
    inode_get(inode);
    *err = put_name(mem_node(dir), name, inode);
    if (*err == 0)
        return inode;
    inode_put(inode);
    inode_put(inode);
    return NULL;
}

static struct inode *memfs_create(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev,
                                  uint32_t uid, uint32_t gid, int *err)
{
    return name_fresh(dir, name, mem_node_create(dir->sb, mode, rdev, uid, gid, err), err);
}

static struct inode *memfs_symlink(struct inode *dir, const char *name, const char *target,
                                   uint32_t uid, uint32_t gid, int *err)
{
    struct inode *inode = mem_node_create(dir->sb, S_IFLNK | 0777, 0, uid, gid, err);
    if (!inode)
        return NULL;
    struct mem_node *n = mem_node(inode);
    n->size = str_length(target);
    n->bytes = shim_strdup(target);
    if (!n->bytes) {
        inode_put(inode);
        *err = -ENOMEM;
        return NULL;
    }
    return name_fresh(dir, name, inode, err);
}

static struct inode *memfs_tmpfile(struct inode *dir, uint32_t mode, uint32_t uid, uint32_t gid,
                                   int *err)
{
    struct inode *inode = mem_node_create(dir->sb, mode, 0, uid, gid, err);
    if (inode) {
        mem_node(inode)->nlink = 0;
        mem_node(inode)->linkable = true;
    }
    return inode;
}

static int memfs_link(struct inode *dir, const char *name, struct inode *target)
{
    struct mem_node *n = mem_node(target);
    mem_pin(n);
    mutex_lock(&n->fs->lock);
    bool gone = n->nlink == 0 && !n->linkable;
    if (!gone) {
        n->nlink++;
        n->linkable = false;
    }
    mutex_unlock(&n->fs->lock);
    if (gone)
        return -ENOENT;
    inode_get(target);
    int err = put_name(mem_node(dir), name, target);
    if (err) {
        __atomic_fetch_sub(&n->nlink, 1, __ATOMIC_RELAXED);
        inode_put(target);
    } else {
        n->ctime_ns = (int64_t)fs_now_ns();
    }
    return err;
}

static bool hidden_below(void *arg, const char *name)
{
    struct mem_node *dir = arg;
    mutex_lock(&dir->fs->lock);
    struct mem_entry *e = find_entry(dir, name);
    bool hidden = e && e->kind != MEM_ENTRY_KNOWN;
    mutex_unlock(&dir->fs->lock);
    return hidden;
}

int mem_list(struct inode *dir, struct dir_list *list)
{
    struct mem_node *d = mem_node(dir);
    int err = d->lower ? hostfs_list(d->lower, list, hidden_below, d) : 0;
    mutex_lock(&d->fs->lock);
    for (struct mem_entry *e = d->entries; e && err == 0; e = e->hh.next)
        if (e->kind == MEM_ENTRY_PINNED)
            err =
                dir_list_add(list, e->name, e->hh.keylen, e->inode->ino, dir_type(e->inode->mode));
    mutex_unlock(&d->fs->lock);
    return err;
}

/* Nothing visible comes from the lower directory. Names there only ever get hidden more, so the
 * answer stays true. */
static int lower_is_hidden(struct mem_node *dir)
{
    if (!dir->lower)
        return 0;
    struct dir_list *list = dir_list_create();
    int err = list ? hostfs_list(dir->lower, list, hidden_below, dir) : -ENOMEM;
    if (err == 0 && list->count)
        err = -ENOTEMPTY;
    dir_list_free(list);
    return err;
}

/* Under fs->lock: a directory that is about to lose its name must be empty; nothing can be put into
 * it afterwards. */
static int bury_directory(struct mem_node *n)
{
    if (n->pinned_entries)
        return -ENOTEMPTY;
    n->nlink = 0;
    return 0;
}

static int memfs_unlink(struct inode *dir, const char *name, struct inode *victim)
{
    struct mem_node *d = mem_node(dir), *v = mem_node(victim);
    bool directory = S_ISDIR(victim->mode);
    int err = directory ? lower_is_hidden(v) : 0;
    if (err)
        return err;
    mem_pin(v);
    mutex_lock(&d->fs->lock);
    struct mem_entry *e = find_entry(d, name);
    if (!e || e->inode != victim)
        err = -ENOENT;
    else if (directory)
        err = bury_directory(v);
    if (err == 0) {
        vacate_entry(d, e);
        if (directory)
            d->nlink -= d->nlink > 2;
        else
            v->nlink -= v->nlink > 0;
    }
    mutex_unlock(&d->fs->lock);
    if (err)
        return err;
    v->ctime_ns = (int64_t)fs_now_ns();
    touch_directory(d);
    inode_put(victim); /* the entry's */
    return 0;
}

static void move_link_count(struct mem_node *from, struct mem_node *to)
{
    if (from == to)
        return;
    from->nlink -= from->nlink > 2;
    to->nlink++;
}

/* Under fs->lock, everything pinned; moved and target are the names' inodes. Result: what `to`
 * held, its reference ours. */
static int rename_entries(struct mem_node *a, const char *from, struct mem_node *b, const char *to,
                          unsigned flags, struct inode **replaced)
{
    struct mem_entry *f = find_entry(a, from), *t = find_entry(b, to);
    if (!f || f->kind != MEM_ENTRY_PINNED || b->nlink == 0)
        return -ENOENT;
    bool f_dir = S_ISDIR(f->inode->mode);
    bool has_target = t && t->kind == MEM_ENTRY_PINNED;
    bool t_dir = has_target && S_ISDIR(t->inode->mode);
    if (flags & RENAME_EXCHANGE) {
        if (!has_target)
            return -ENOENT;
        struct inode *swap = f->inode;
        f->inode = t->inode;
        t->inode = swap;
        if (f_dir)
            move_link_count(a, b);
        if (t_dir)
            move_link_count(b, a);
        return 0;
    }
    if (!t && !(t = add_entry(b, to)))
        return -ENOMEM;
    if (t_dir) {
        int err = bury_directory(mem_node(t->inode));
        if (err)
            return err;
        b->nlink -= b->nlink > 2;
    }
    if (has_target) {
        *replaced = t->inode;
        if (!t_dir)
            mem_node(t->inode)->nlink--;
        b->pinned_entries--;
        t->kind = MEM_ENTRY_WHITEOUT;
        t->inode = NULL;
    }
    struct inode *moved = f->inode;
    vacate_entry(a, f);
    occupy_entry(b, t, moved);
    if (f_dir)
        move_link_count(a, b);
    return 0;
}

static int memfs_rename(struct inode *from_dir, const char *from, struct inode *moved,
                        struct inode *to_dir, const char *to, struct inode *target, unsigned flags)
{
    struct mem_node *a = mem_node(from_dir), *b = mem_node(to_dir);
    struct inode *replaced = NULL;
    int err = 0;
    if (target && S_ISDIR(target->mode) && !(flags & RENAME_EXCHANGE))
        err = lower_is_hidden(mem_node(target));
    if (err == 0) {
        mem_pin(mem_node(moved));
        if (target)
            mem_pin(mem_node(target));
        mem_pin(b);
        mutex_lock(&a->fs->lock);
        err = rename_entries(a, from, b, to, flags, &replaced);
        mutex_unlock(&a->fs->lock);
    }
    if (err == 0) {
        touch_directory(a);
        touch_directory(b);
        mem_node(moved)->ctime_ns = a->ctime_ns;
    }
    if (replaced)
        inode_put(replaced);
    return err;
}

static int memfs_getattr(struct inode *inode, struct file_stat *out)
{
    struct mem_node *n = mem_node(inode);
    out->mode = inode->mode;
    out->nlink = n->nlink;
    out->uid = n->uid;
    out->gid = n->gid;
    out->rdev = n->rdev;
    out->size = __atomic_load_n(&n->size, __ATOMIC_RELAXED);
    out->blocks = n->kind == MEM_DATA_LOWER ? n->lower_blocks
                  : S_ISREG(inode->mode)    ? (mem_stored(n) + 4095) / 4096 * 8
                                            : 0;
    if (S_ISDIR(inode->mode) && !n->lower)
        out->size = 40 + 20ull * n->pinned_entries;
    out->atime_ns = n->atime_ns;
    out->mtime_ns = n->mtime_ns;
    out->ctime_ns = n->ctime_ns;
    out->btime_ns = n->btime_ns;
    return 0;
}

static int memfs_setattr(struct inode *inode, unsigned mask, const struct file_stat *attr)
{
    struct mem_node *n = mem_node(inode);
    mem_pin(n);
    if (mask & HOST_SET_SIZE) {
        int err = mem_truncate(inode, attr->size);
        if (err)
            return err;
    }
    if (mask & HOST_SET_MODE && n->seals & SEAL_EXEC && (inode->mode ^ attr->mode) & 0111)
        return -EPERM;
    if (mask & HOST_SET_MODE)
        inode->mode = (inode->mode & S_IFMT) | (attr->mode & 07777);
    if (mask & HOST_SET_OWNER) {
        if (attr->uid != UINT32_MAX)
            n->uid = attr->uid;
        if (attr->gid != UINT32_MAX)
            n->gid = attr->gid;
    }
    if (mask & HOST_SET_TIMES) {
        if (attr->atime_ns != INT64_MIN)
            n->atime_ns = attr->atime_ns;
        if (attr->mtime_ns != INT64_MIN)
            n->mtime_ns = attr->mtime_ns;
    }
    n->ctime_ns = (int64_t)fs_now_ns();
    return 0;
}

static int memfs_readlink(struct inode *inode, char *out, size_t size)
{
    struct mem_node *n = mem_node(inode);
    if (n->lower)
        return n->lower->ops->readlink(n->lower, out, size);
    size_t length = n->size < size ? n->size : size;
    memcpy(out, n->bytes, length);
    return (int)length;
}

static int64_t memfs_get_xattr(struct inode *inode, const char *name, void *value, size_t size)
{
    struct mem_node *n = mem_node(inode);
    mutex_lock(&inode->lock);
    bool below = n->lower && !n->xattrs_own;
    int64_t result = below ? 0 : xattr_list_get(n->xattrs, name, value, size);
    mutex_unlock(&inode->lock);
    return below ? n->lower->ops->get_xattr(n->lower, name, value, size) : result;
}

static int64_t memfs_list_xattr(struct inode *inode, char *names, size_t size)
{
    struct mem_node *n = mem_node(inode);
    mutex_lock(&inode->lock);
    bool below = n->lower && !n->xattrs_own;
    int64_t result = below ? 0 : xattr_list_names(n->xattrs, names, size);
    mutex_unlock(&inode->lock);
    return below ? n->lower->ops->list_xattr(n->lower, names, size) : result;
}

/* Under the inode's lock. What cannot be read down there is left behind. */
static int copy_up_xattrs(struct mem_node *n)
{
    if (!n->lower || n->xattrs_own)
        return 0;
    char *names = shim_alloc(XATTR_LIST_MAX), *value = shim_alloc(XATTR_SIZE_MAX);
    int err = names && value ? 0 : -ENOMEM;
    int64_t size = err ? 0 : n->lower->ops->list_xattr(n->lower, names, XATTR_LIST_MAX);
    for (int64_t at = 0; at < size && err == 0; at += (int64_t)str_length(names + at) + 1) {
        int64_t got = n->lower->ops->get_xattr(n->lower, names + at, value, XATTR_SIZE_MAX);
        if (got >= 0)
            err = xattr_list_set(&n->xattrs, names + at, value, (size_t)got, 0);
    }
    shim_free(names);
    shim_free(value);
    if (err) {
        xattr_list_free(n->xattrs);
        n->xattrs = NULL;
        return err;
    }
    n->xattrs_own = true;
    return 0;
}

static int memfs_set_xattr(struct inode *inode, const char *name, const void *value, size_t size,
                           unsigned flags)
{
    struct mem_node *n = mem_node(inode);
    mem_pin(n);
    mutex_lock(&inode->lock);
    int err = copy_up_xattrs(n);
    if (err == 0)
        err = xattr_list_set(&n->xattrs, name, value, size, flags);
    mutex_unlock(&inode->lock);
    if (err == 0)
        n->ctime_ns = (int64_t)fs_now_ns();
    return err;
}

static const struct inode_ops g_memfs_ops = {
    .get_xattr = memfs_get_xattr,
    .list_xattr = memfs_list_xattr,
    .set_xattr = memfs_set_xattr,
    .lookup = memfs_lookup,
    .getattr = memfs_getattr,
    .setattr = memfs_setattr,
    .create = memfs_create,
    .symlink = memfs_symlink,
    .tmpfile = memfs_tmpfile,
    .link = memfs_link,
    .unlink = memfs_unlink,
    .rename = memfs_rename,
    .readlink = memfs_readlink,
    .open = mem_open,
    .release = memfs_release,
};

static long left(uint64_t limit, const uint64_t *used)
{
    uint64_t now = __atomic_load_n(used, __ATOMIC_RELAXED);
    return now < limit ? (long)(limit - now) : 0;
}

/* Without a limit room is what the host gives; the figures only keep df and installers content. */
static int memfs_statfs(struct superblock *sb, void *abi_statfs)
{
    struct statfs *out = abi_statfs;
    out->f_type = (long)sb->magic;
    out->f_bsize = out->f_frsize = 4096;
    const struct mem_fs *fs = sb->data;
    out->f_blocks = fs->limit_pages ? (long)fs->limit_pages : 1l << 20;
    out->f_bfree = out->f_bavail =
        fs->limit_pages ? left(fs->limit_pages, &fs->used_pages) : 1l << 19;
    out->f_files = fs->limit_inodes ? (long)fs->limit_inodes : 1l << 20;
    out->f_ffree = fs->limit_inodes ? left(fs->limit_inodes, &fs->used_inodes) : 1l << 19;
    out->f_namelen = NAME_MAX;
    return 0;
}

static struct superblock *memfs_superblock(const char *type, uint64_t magic, int *err)
{
    struct superblock *sb = superblock_create(type, magic, err);
    struct mem_fs *fs = sb ? shim_zalloc(sizeof(*fs)) : NULL;
    if (!fs) {
        shim_free(sb);
        *err = -ENOMEM;
        return NULL;
    }
    sb->data = fs;
    sb->statfs = memfs_statfs;
    return sb;
}

void memfs_discard(struct superblock *sb)
{
    shim_free(sb->options);
    shim_free(sb->data);
    shim_free(sb);
}

struct inode *tmpfs_root(uint32_t mode, int *err)
{
    struct superblock *sb = memfs_superblock("tmpfs", TMPFS_MAGIC, err);
    struct inode *root = sb ? mem_node_create(sb, S_IFDIR | mode, 0, 0, 0, err) : NULL;
    if (sb && !root)
        memfs_discard(sb);
    return root;
}

struct inode *overlay_root(struct inode *lower, int *err)
{
    struct superblock *sb = memfs_superblock("overlay", OVERLAYFS_SUPER_MAGIC, err);
    if (!sb) {
        inode_put(lower);
        return NULL;
    }
    sb->next_ino = UPPER_INO;
    struct inode *root = node_from_lower(sb, lower, err);
    if (!root)
        memfs_discard(sb);
    return root;
}
