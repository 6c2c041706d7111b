/*
 * names.c: the calls that change names: mkdir, mknod, symlink, link, unlink, rmdir, rename.
 */
#include "platform/errno.h"

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/inotify.h>

#include "shim/fs/inotify.h"
#include "shim/fs/namei.h"
#include "shim/process.h"

#define S_ISVTX_BIT 01000u

/* Renames that cross directories: the tree above both must hold still while it is searched for
 * loops. */
static struct mutex g_rename_lock;

/* Whose a new file is: in a set-group-ID directory, of the directory's group. */
static int owner_in(struct inode *dir, struct credentials *who)
{
    struct file_stat st;
    if (!(dir->mode & S_ISGID))
        return 0;
    int err = inode_getattr(dir, &st);
    if (err == 0)
        who->gid = st.gid;
    return err;
}

int vfs_create_locked(struct task *task, const struct path *dir, const char *name, size_t length,
                      uint32_t mode, uint64_t rdev, struct dentry **out)
{
    struct inode *inode = dir->dentry->inode;
    if (!inode->ops->create)
        return -EPERM;
    struct credentials who = task_credentials(task);
    int err = owner_in(inode, &who);
    if (err)
        return err;
    if (inode->mode & S_ISGID && S_ISDIR(mode))
        mode |= S_ISGID;
    struct inode *made = inode->ops->create(inode, name, mode, rdev, who.uid, who.gid, &err);
    if (!made)
        return err;
    err = dentry_instantiate(dir->dentry, name, length, made, out);
    notify_name(inode, name, length, S_ISDIR(mode) ? IN_CREATE | IN_ISDIR : IN_CREATE);
    return err;
}

/*
 * For calls that make a name: the directory locked, the name known to be free, writing allowed. On
 * success the caller calls end_new. `want` says whether a trailing slash is welcome.
 */
enum new_kind { NEW_DIRECTORY, NEW_OTHER };
static int begin_new(struct task *task, int dirfd, const char *name, enum new_kind kind,
                     struct path *dir, struct last_name *last)
{
    int err = path_parent(task, dirfd, name, dir, last);
    if (err)
        return err;
    if (last->kind != LAST_NORMAL) {
        path_put(dir);
        return -EEXIST;
    }
    struct inode *inode = dir->dentry->inode;
    struct dentry *d = NULL;
    mutex_lock(&inode->lock);
    err = dentry_lookup_locked(dir->dentry, last->text, last->length, &d);
    if (err == 0 && d->inode)
        err = -EEXIST;
    else if (err == 0 && last->ending == LAST_SLASH && kind == NEW_OTHER)
        err = -ENOENT;
    if (d)
        dentry_put(d);
    if (err == 0) {
        struct credentials who = task_credentials(task);
        err = path_permission(&who, dir, INODE_WRITE | INODE_EXEC);
    }
    if (err) {
        mutex_unlock(&inode->lock);
        path_put(dir);
    }
    return err;
}

static int end_new(struct path *dir, int result)
{
    mutex_unlock(&dir->dentry->inode->lock);
    path_put(dir);
    return result;
}

int vfs_mkdir(struct task *task, int dirfd, const char *name, uint32_t mode)
{
    struct path dir;
    struct last_name last;
    int err = begin_new(task, dirfd, name, NEW_DIRECTORY, &dir, &last);
    if (err)
        return err;
    mode = S_IFDIR | (mode & 01777 & ~fs_umask(task->fs));
    return end_new(&dir, vfs_create_locked(task, &dir, last.text, last.length, mode, 0, NULL));
}

int vfs_mknod(struct task *task, int dirfd, const char *name, uint32_t mode, uint64_t rdev)
{
    struct path dir;
    struct last_name last;
    int err = begin_new(task, dirfd, name, NEW_OTHER, &dir, &last);
    if (err)
        return err;
    mode = (mode & S_IFMT) | (mode & 07777 & ~fs_umask(task->fs));
    return end_new(&dir, vfs_create_locked(task, &dir, last.text, last.length, mode, rdev, NULL));
}

int vfs_symlink(struct task *task, const char *target, int dirfd, const char *name)
{
    struct path dir;
    struct last_name last;
    int err = begin_new(task, dirfd, name, NEW_OTHER, &dir, &last);
    if (err)
        return err;
    struct inode *inode = dir.dentry->inode;
    struct credentials who = task_credentials(task);
    if (!inode->ops->symlink)
        return end_new(&dir, -EPERM);
    err = owner_in(inode, &who);
    if (err)
        return end_new(&dir, err);
    struct inode *made = inode->ops->symlink(inode, last.text, target, who.uid, who.gid, &err);
    if (!made)
        return end_new(&dir, err);
    err = dentry_instantiate(dir.dentry, last.text, last.length, made, NULL);
    notify_name(inode, last.text, last.length, IN_CREATE);
    return end_new(&dir, err);
}

int vfs_link(struct task *task, const struct path *target, int dirfd, const char *name)
{
    struct inode *inode = target->dentry->inode;
    struct path dir;
    struct last_name last;
    int err = begin_new(task, dirfd, name, NEW_OTHER, &dir, &last);
    if (err)
        return err;
    struct inode *at = dir.dentry->inode;
    if (dir.mount != target->mount)
        err = -EXDEV;
    else if (S_ISDIR(inode->mode) || !at->ops->link)
        err = -EPERM;
    else if (inode->never_named)
        err = -ENOENT;
    else
        err = at->ops->link(at, last.text, inode);
    if (err == 0) {
        inode_get(inode);
        err = dentry_instantiate(dir.dentry, last.text, last.length, inode, NULL);
        notify_inode(inode, IN_ATTRIB);
        notify_name(at, last.text, last.length, IN_CREATE);
    }
    return end_new(&dir, err);
}

/* unlink(2), rename(2): in a sticky directory only the owners of file and directory and
 * CAP_FOWNER may remove. */
static int sticky_check(const struct credentials *who, struct inode *dir, struct inode *victim)
{
    if (credentials_capable(who, CAP_FOWNER) || !(dir->mode & S_ISVTX_BIT))
        return 0;
    struct file_stat d, v;
    int err = inode_getattr(dir, &d);
    if (err == 0)
        err = inode_getattr(victim, &v);
    if (err)
        return err;
    return d.uid == who->uid || v.uid == who->uid ? 0 : -EPERM;
}

enum removal { REMOVE_FILE, REMOVE_DIRECTORY };

static int remove_checks(struct task *task, const struct path *dir, struct dentry *d,
                         enum removal what)
{
    if (!d->inode)
        return -ENOENT;
    struct credentials who = task_credentials(task);
    int err = path_permission(&who, dir, INODE_WRITE | INODE_EXEC);
    if (err == 0)
        err = sticky_check(&who, dir->dentry->inode, d->inode);
    if (err)
        return err;
    if (what == REMOVE_FILE && S_ISDIR(d->inode->mode))
        return -EISDIR;
    if (what == REMOVE_DIRECTORY && !S_ISDIR(d->inode->mode))
        return -ENOTDIR;
    if (d->mounted)
        return -EBUSY;
    return dir->dentry->inode->ops->unlink ? 0 : -EPERM;
}

static int remove_name(struct task *task, int dirfd, const char *name, enum removal what)
{
    struct path dir;
    struct last_name last;
    int err = path_parent(task, dirfd, name, &dir, &last);
    if (err)
        return err;
    if (last.kind != LAST_NORMAL) {
        path_put(&dir);
        if (what == REMOVE_FILE)
            return -EISDIR;
        return last.kind == LAST_DOT ? -EINVAL : last.kind == LAST_DOTDOT ? -ENOTEMPTY : -EBUSY;
    }
    struct inode *inode = dir.dentry->inode;
    struct dentry *d = NULL;
    mutex_lock(&inode->lock);
    err = dentry_lookup_locked(dir.dentry, last.text, last.length, &d);
    if (err == 0 && what == REMOVE_FILE && last.ending == LAST_SLASH)
        err = !d->inode ? -ENOENT : S_ISDIR(d->inode->mode) ? -EISDIR : -ENOTDIR;
    if (err == 0)
        err = remove_checks(task, &dir, d, what);
    if (err == 0)
        err = inode->ops->unlink(inode, last.text, d->inode);
    if (err == 0) {
        if (what == REMOVE_FILE)
            notify_inode(d->inode, IN_ATTRIB);
        dentry_drop(d, DENTRY_DELETED);
        /* Where nobody has it open, inotify hears of the file's end before the name's */
        dentry_put(d);
        d = NULL;
        notify_name(inode, last.text, last.length,
                    what == REMOVE_FILE ? IN_DELETE : IN_DELETE | IN_ISDIR);
    }
    mutex_unlock(&inode->lock);
    if (d)
        dentry_put(d);
    path_put(&dir);
    return err;
}

int vfs_unlink(struct task *task, int dirfd, const char *name)
{
    return remove_name(task, dirfd, name, REMOVE_FILE);
}

int vfs_rmdir(struct task *task, int dirfd, const char *name)
{
    return remove_name(task, dirfd, name, REMOVE_DIRECTORY);
}

/* One end of a rename. */
struct rename_end {
    struct path dir;
    struct last_name last;
    struct dentry *d; /* positive or negative */
};

/* rename(2): what forbids it, both directories locked and both names looked up. 1: nothing to do.
 */
static int rename_checks(struct task *task, struct rename_end *from, struct rename_end *to,
                         unsigned flags)
{
    struct dentry *f = from->d, *t = to->d;
    if (!f->inode)
        return -ENOENT;
    if ((flags & RENAME_EXCHANGE) && !t->inode)
        return -ENOENT;
    if ((flags & RENAME_NOREPLACE) && t->inode)
        return -EEXIST;
    bool f_dir = S_ISDIR(f->inode->mode);
    bool t_dir = t->inode && S_ISDIR(t->inode->mode);
    if (!f_dir && from->last.ending == LAST_SLASH)
        return -ENOTDIR;
    if (to->last.ending == LAST_SLASH && !((flags & RENAME_EXCHANGE) ? t_dir : f_dir))
        return -ENOTDIR;
    struct credentials who = task_credentials(task);
    int err = path_permission(&who, &from->dir, INODE_WRITE | INODE_EXEC);
    if (err == 0)
        err = path_permission(&who, &to->dir, INODE_WRITE | INODE_EXEC);
    if (err == 0)
        err = sticky_check(&who, from->dir.dentry->inode, f->inode);
    if (err == 0 && t->inode)
        err = sticky_check(&who, to->dir.dentry->inode, t->inode);
    if (err)
        return err;
    if (f_dir && dentry_is_below(to->dir.dentry, f))
        return -EINVAL;
    if (t_dir && dentry_is_below(from->dir.dentry, t))
        return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
    if (f->mounted || t->mounted)
        return -EBUSY;
    if (f->inode == t->inode)
        return 1;
    if (t->inode && !(flags & RENAME_EXCHANGE)) {
        if (f_dir && !t_dir)
            return -ENOTDIR;
        if (!f_dir && t_dir)
            return -EISDIR;
    }
    return from->dir.dentry->inode->ops->rename ? 0 : -EPERM;
}

/* Linux's order, fsnotify_move() */
static void tell_renamed(const struct rename_end *from, const struct rename_end *to,
                         struct inode *moved, struct inode *replaced)
{
    uint32_t directory = S_ISDIR(moved->mode) ? IN_ISDIR : 0, cookie = inotify_new_cookie();
    inotify_tell_name(from->dir.dentry->inode, from->last.text, from->last.length,
                      IN_MOVED_FROM | directory, cookie);
    inotify_tell_name(to->dir.dentry->inode, to->last.text, to->last.length,
                      IN_MOVED_TO | directory, cookie);
    if (replaced)
        inotify_tell_inode(replaced, IN_ATTRIB);
    inotify_tell_inode(moved, IN_MOVE_SELF);
}

static int rename_locked(struct task *task, struct rename_end *from, struct rename_end *to,
                         unsigned flags)
{
    struct inode *a = from->dir.dentry->inode, *b = to->dir.dentry->inode;
    int err = dentry_lookup_locked(from->dir.dentry, from->last.text, from->last.length, &from->d);
    if (err == 0)
        err = dentry_lookup_locked(to->dir.dentry, to->last.text, to->last.length, &to->d);
    if (err == 0)
        err = rename_checks(task, from, to, flags);
    if (err)
        return err == 1 ? 0 : err;
    err = a->ops->rename(a, from->last.text, from->d->inode, b, to->last.text, to->d->inode, flags);
    if (err)
        return err;
    if (flags & RENAME_EXCHANGE) {
        dentry_exchange(from->d, to->d);
    } else if (dentry_move(from->d, to->dir.dentry, to->last.text, to->last.length) != 0) {
        /* No memory for the name: the next lookup makes both anew. */
        dentry_drop(from->d, DENTRY_STALE);
        dentry_drop(to->d, DENTRY_DELETED);
    }
    if (inotify_wanted()) {
        tell_renamed(from, to, from->d->inode, flags & RENAME_EXCHANGE ? NULL : to->d->inode);
        if (flags & RENAME_EXCHANGE)
            tell_renamed(to, from, to->d->inode, NULL);
    }
    return 0;
}

int vfs_rename(struct task *task, int from_fd, const char *from_name, int to_fd,
               const char *to_name, unsigned flags)
{
    if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) ||
        (flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)) == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    struct rename_end from = {0}, to = {0};
    int err = path_parent(task, from_fd, from_name, &from.dir, &from.last);
    if (err)
        return err;
    err = path_parent(task, to_fd, to_name, &to.dir, &to.last);
    if (err) {
        path_put(&from.dir);
        return err;
    }
    if (from.dir.mount != to.dir.mount) {
        err = -EXDEV;
    } else if (from.last.kind != LAST_NORMAL || to.last.kind != LAST_NORMAL) {
        err = flags & RENAME_NOREPLACE && from.last.kind == LAST_NORMAL ? -EEXIST : -EBUSY;
    } else {
        struct inode *a = from.dir.dentry->inode, *b = to.dir.dentry->inode;
        if (a != b)
            mutex_lock(&g_rename_lock);
        mutex_lock_two(&a->lock, &b->lock);
        err = rename_locked(task, &from, &to, flags);
        mutex_unlock_two(&a->lock, &b->lock);
        if (a != b)
            mutex_unlock(&g_rename_lock);
    }
    if (from.d)
        dentry_put(from.d);
    if (to.d)
        dentry_put(to.d);
    path_put(&from.dir);
    path_put(&to.dir);
    return err;
}
