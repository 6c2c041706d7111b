/*
 * overlay.c: nodes, lookup and attributes of the overlay over a directory.
 */
#include "shim/fs/overlay.h"

#include <asm/statfs.h>
#include <linux/limits.h>
#include <linux/magic.h>

#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/host_file.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/hostfs_names.h"
#include "shim/fs/namei.h"

/* Numbers of upper files, apart from those of the directory below. */
#define UPPER_INO (1ull << 47)

static const struct inode_ops g_overlay_ops;

/* The host lets root write the first kind, everybody the second (overlayfs: userxattr). */
static const char *const k_prefixes[] = {"trusted.overlay.", "user.overlay."};

bool over_is_marker(const char *attribute)
{
    for (unsigned i = 0; i < 2; i++)
        if (str_starts_with(attribute, k_prefixes[i]))
            return true;
    return false;
}

/* The first byte of a marker; 0: it is not there. */
static char marker(struct inode *upper, const char *what)
{
    char name[40], value[4];
    for (unsigned i = 0; i < 2; i++) {
        shim_snprintf(name, sizeof(name), "%s%s", k_prefixes[i], what);
        int64_t size = hostfs_get_xattr(upper, name, value, sizeof(value));
        if (size >= 0)
            return size > 0 ? value[0] : 'y';
    }
    return 0;
}

int over_set_opaque(struct inode *upper)
{
    char name[40];
    int err = 0;
    for (unsigned i = 0; i < 2; i++) {
        shim_snprintf(name, sizeof(name), "%sopaque", k_prefixes[i]);
        err = hostfs_set_xattr(upper, name, "y", 1, 0);
        if (err == 0)
            break;
    }
    return err;
}

void over_set_upper(struct over_node *n, struct inode *upper)
{
    __atomic_store_n(&n->upper, upper, __ATOMIC_RELEASE);
    if (S_ISDIR(n->inode->mode))
        return;
    HASH_ADD(hh, n->fs->by_upper, upper, sizeof(n->upper), n);
    n->in_table = n->hh.tbl != NULL;
}

struct inode *over_node_create(struct superblock *sb, struct inode *upper, struct inode *lower,
                               struct inode *parent, const char *name, int *err)
{
    struct inode *real = upper ? upper : lower;
    struct over_node *n = shim_zalloc(sizeof(*n));
    char *copy = shim_strdup(name);
    struct inode *inode = n && copy ? inode_create(sb, &g_overlay_ops, real->mode, n, err) : NULL;
    if (!inode) {
        *err = -ENOMEM;
        shim_free(n);
        shim_free(copy);
        if (upper)
            inode_put(upper);
        if (lower)
            inode_put(lower);
        return NULL;
    }
    n->inode = inode;
    n->fs = sb->data;
    n->lower = lower;
    n->parent = parent;
    n->name = copy;
    if (parent)
        inode_get(parent);
    inode->ino = lower ? lower->ino : upper->ino ^ UPPER_INO;
    if (S_ISDIR(inode->mode))
        inode->file_ops = &g_overlay_directory_ops;
    else if (S_ISREG(inode->mode))
        inode->file_ops = &g_overlay_regular_ops;
    if (upper) {
        mutex_lock(&n->fs->lock);
        over_set_upper(n, upper);
        mutex_unlock(&n->fs->lock);
    }
    return inode;
}

static void over_release(struct inode *inode)
{
    struct over_node *n = over_node(inode);
    mutex_lock(&n->fs->lock);
    if (n->in_table)
        HASH_DEL(n->fs->by_upper, n);
    mutex_unlock(&n->fs->lock);
    if (n->upper)
        inode_put(n->upper);
    if (n->lower)
        inode_put(n->lower);
    if (n->parent)
        inode_put(n->parent);
    shim_free(n->name);
    shim_free(n);
}

struct inode *over_upper_name(struct inode *dir, const char *name, bool *whiteout, int *err)
{
    struct file_stat st = {0};
    struct inode *above = over_upper(dir);
    *err = 0;
    *whiteout = false;
    struct inode *upper = above ? hostfs_lookup(above, name, &st, err) : NULL;
    if (!upper) {
        *err = *err == -ENOENT ? 0 : *err;
        return NULL;
    }
    *whiteout = S_ISCHR(st.mode) ? st.rdev == 0
                                 : over_node(dir)->attribute_whiteouts && S_ISREG(st.mode) &&
                                       st.size == 0 && marker(upper, "whiteout");
    return upper;
}

/* The node of an upper file that is in use. */
static struct inode *known_node(struct over_fs *fs, struct inode *upper)
{
    struct over_node *n;
    mutex_lock(&fs->lock);
    HASH_FIND(hh, fs->by_upper, &upper, sizeof(upper), n);
    if (n && !inode_get_unless_gone(n->inode))
        n = NULL;
    mutex_unlock(&fs->lock);
    return n ? n->inode : NULL;
}

/* A directory's marker says what it hides, 'y', or how names are removed from it, 'x'. */
static struct inode *directory_node(struct inode *dir, const char *name, struct inode *upper,
                                    struct inode *lower, int *err)
{
    char opaque = upper ? marker(upper, "opaque") : 0;
    if (opaque == 'y' && lower) {
        inode_put(lower);
        lower = NULL;
    }
    struct inode *inode = over_node_create(dir->sb, upper, lower, dir, name, err);
    if (inode)
        over_node(inode)->attribute_whiteouts = opaque == 'x';
    return inode;
}

static struct inode *over_lookup(struct inode *dir, const char *name, struct file_stat *seen UNUSED,
                                 int *err)
{
    struct over_node *d = over_node(dir);
    bool whiteout;
    struct inode *lower = NULL, *upper = over_upper_name(dir, name, &whiteout, err);
    if (*err)
        return NULL;
    if (whiteout) {
        inode_put(upper);
        *err = -ENOENT;
        return NULL;
    }
    if (upper && !S_ISDIR(upper->mode)) {
        struct inode *known = known_node(d->fs, upper);
        if (!known)
            return over_node_create(dir->sb, upper, NULL, dir, name, err);
        inode_put(upper);
        return known;
    }
    if (d->lower) {
        lower = d->lower->ops->lookup(d->lower, name, NULL, err);
        if (!lower && *err != -ENOENT) {
            if (upper)
                inode_put(upper);
            return NULL;
        }
        *err = 0;
    }
    if (lower && upper && !S_ISDIR(lower->mode)) {
        inode_put(lower);
        lower = NULL;
    }
    if (!lower && !upper) {
        *err = -ENOENT;
        return NULL;
    }
    if (S_ISDIR((upper ? upper : lower)->mode))
        return directory_node(dir, name, upper, lower, err);
    return over_node_create(dir->sb, NULL, lower, dir, name, err);
}

static int over_getattr(struct inode *inode, struct file_stat *out)
{
    struct over_node *n = over_node(inode);
    struct inode *real = over_real(inode);
    uint64_t dev = out->dev;
    int err = real->ops->getattr(real, out);
    out->dev = dev;
    out->ino = inode->ino;
    inode->mode = real->mode;
    if (S_ISDIR(inode->mode) && n->lower)
        out->nlink = 1; /* nobody counts the directories of both: as overlayfs */
    else if (n->unlinked && real == n->lower)
        out->nlink = 0;
    return err;
}

static int over_setattr(struct inode *inode, unsigned mask, const struct file_stat *attr)
{
    int err = over_copy_up(inode);
    if (err)
        return err;
    struct inode *upper = over_upper(inode);
    err = hostfs_setattr(upper, mask, attr);
    inode->mode = upper->mode;
    return err;
}

static int over_readlink(struct inode *inode, char *out, size_t size)
{
    struct inode *real = over_real(inode);
    return real->ops->readlink(real, out, size);
}

static int64_t over_get_xattr(struct inode *inode, const char *name, void *value, size_t size)
{
    return over_is_marker(name) ? -EOPNOTSUPP
                                : hostfs_get_xattr(over_real(inode), name, value, size);
}

static int64_t over_list_xattr(struct inode *inode, char *names, size_t size)
{
    char *all = shim_alloc(XATTR_LIST_MAX);
    if (!all)
        return -ENOMEM;
    int64_t found = hostfs_list_xattr(over_real(inode), all, XATTR_LIST_MAX), kept = 0;
    for (int64_t at = 0; at < found;) {
        size_t length = str_length(all + at) + 1;
        if (!over_is_marker(all + at)) {
            memmove(all + kept, all + at, length);
            kept += (int64_t)length;
        }
        at += (int64_t)length;
    }
    if (found < 0)
        kept = found;
    else if (size && (uint64_t)kept > size)
        kept = -ERANGE;
    else if (size)
        memcpy(names, all, (size_t)kept);
    shim_free(all);
    return kept;
}

static int over_set_xattr(struct inode *inode, const char *name, const void *value, size_t size,
                          unsigned flags)
{
    if (over_is_marker(name))
        return -EOPNOTSUPP;
    int err = over_copy_up(inode);
    return err ? err : hostfs_set_xattr(over_upper(inode), name, value, size, flags);
}

static const struct inode_ops g_overlay_ops = {
    .lookup = over_lookup,
    .getattr = over_getattr,
    .setattr = over_setattr,
    .create = over_create,
    .symlink = over_symlink,
    .tmpfile = over_tmpfile,
    .link = over_link,
    .unlink = over_unlink,
    .rename = over_rename,
    .readlink = over_readlink,
    .open = over_open,
    .get_xattr = over_get_xattr,
    .list_xattr = over_list_xattr,
    .set_xattr = over_set_xattr,
    .release = over_release,
};

/* Names of the upper directory, for those of the lower one to be left out. */
struct name_set {
    UT_hash_handle hh;
    char text[];
};

static int name_set_add(struct name_set **set, const char *name)
{
    size_t length = str_length(name);
    struct name_set *e = shim_alloc(sizeof(*e) + length + 1);
    if (!e)
        return -ENOMEM;
    memcpy(e->text, name, length + 1);
    HASH_ADD_KEYPTR(hh, *set, e->text, length, e);
    if (e->hh.tbl)
        return 0;
    shim_free(e);
    return -ENOMEM;
}

static bool in_set(void *arg, const char *name)
{
    struct name_set *found, *set = arg;
    HASH_FIND_STR(set, name, found);
    return found != NULL;
}

static void name_set_free(struct name_set *set)
{
    struct name_set *e, *next;
    HASH_ITER(hh, set, e, next)
    {
        HASH_DEL(set, e);
        shim_free(e);
    }
}

static int is_removed(struct inode *dir, const char *name, bool *removed)
{
    int err = 0;
    struct inode *there = over_upper_name(dir, name, removed, &err);
    if (there)
        inode_put(there);
    return err;
}

int over_list(struct inode *dir, struct dir_list *list)
{
    struct over_node *d = over_node(dir);
    struct name_set *hidden = NULL;
    struct inode *above = over_upper(dir);
    struct dir_list *upper = above ? dir_list_create() : NULL;
    int err = above && !upper ? -ENOMEM : 0;
    if (err == 0 && above)
        err = hostfs_list(above, upper, NULL, NULL);
    for (size_t i = 0; err == 0 && upper && i < upper->count; i++) {
        const struct dir_list_entry *e = &upper->entries[i];
        const char *name = upper->names + e->name;
        bool removed = false;
        if (e->type == dir_type(S_IFCHR) ||
            (d->attribute_whiteouts && e->type != dir_type(S_IFDIR)))
            err = is_removed(dir, name, &removed);
        if (err == 0 && !removed)
            err = dir_list_add(list, name, e->length, e->ino ^ UPPER_INO, e->type);
        if (err == 0 && d->lower)
            err = name_set_add(&hidden, name);
    }
    if (err == 0 && d->lower)
        err = hostfs_list(d->lower, list, in_set, hidden);
    name_set_free(hidden);
    dir_list_free(upper);
    return err;
}

static int over_statfs(struct superblock *sb, void *abi_statfs)
{
    struct superblock *host = ((struct over_fs *)sb->data)->work->sb;
    int err = host->statfs(host, abi_statfs);
    ((struct statfs *)abi_statfs)->f_type = OVERLAYFS_SUPER_MAGIC;
    return err;
}

/* DIR/name, made with the attributes of `like` if it is not there. */
static struct inode *part(struct inode *top, const char *name, struct inode *like, int *err)
{
    *err = 0;
    struct inode *found = hostfs_lookup(top, name, NULL, err);
    if (!found && *err == -ENOENT) {
        struct file_stat st;
        memset(&st, 0, sizeof(st));
        *err = like->ops->getattr(like, &st);
        if (*err == 0)
            found = hostfs_create(top, name, S_IFDIR | (st.mode & 07777), 0, st.uid, st.gid, err);
    }
    if (found && !S_ISDIR(found->mode)) {
        inode_put(found);
        found = NULL;
        *err = -ENOTDIR;
    }
    return found;
}

struct inode *overlay_on_directory(struct inode *lower, const char *grant, int *err)
{
    struct inode *upper = NULL, *work = NULL, *top = hostfs_root(grant, HOSTFS_WRITABLE, err);
    if (top)
        upper = part(top, "upper", lower, err);
    if (upper)
        work = part(top, "work", top, err);
    struct superblock *sb = work ? superblock_create("overlay", OVERLAYFS_SUPER_MAGIC, err) : NULL;
    struct over_fs *fs = sb ? shim_zalloc(sizeof(*fs)) : NULL;
    if (!fs) {
        if (sb)
            *err = -ENOMEM;
        shim_free(sb);
        if (work)
            inode_put(work);
        if (upper)
            inode_put(upper);
        inode_put(lower);
        return NULL;
    }
    fs->work = work;
    sb->data = fs;
    sb->statfs = over_statfs;
    over_clear_work(work);
    return over_node_create(sb, upper, lower, NULL, "", err);
}
