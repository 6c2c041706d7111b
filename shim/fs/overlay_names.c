/*
 * overlay_names.c: names of the overlay over a directory. Each change becomes visible by one rename on the host.
 */
#include <linux/fs.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/fs/hostfs_names.h"
#include "shim/fs/namei.h"
#include "shim/fs/overlay.h"

/* What comes to bear a name. */
struct making {
    uint32_t mode; /* S_IFLNK: a link to `text` */
    uint64_t rdev;
    uint32_t uid, gid;
    const char *text;
    struct inode *existing; /* an upper inode that gets one name more */
};

static struct inode *make_at(const struct making *m, struct inode *dir, const char *name, int *err)
{
    if (m->existing) {
        *err = hostfs_link(dir, name, m->existing);
        if (*err)
            return NULL;
        inode_get(m->existing);
        return m->existing;
    }
    if (S_ISLNK(m->mode))
        return hostfs_symlink(dir, name, m->text, m->uid, m->gid, err);
    return hostfs_create(dir, name, m->mode, m->rdev, m->uid, m->gid, err);
}

/* Remove what `name` in the work directory is: a directory has nothing but removed names in it. */
static int clear(struct inode *work, const char *name, struct inode *victim)
{
    int err = 0;
    struct dir_list *list = S_ISDIR(victim->mode) ? dir_list_create() : NULL;
    if (list)
        err = hostfs_list(victim, list, NULL, NULL);
    for (size_t i = 0; err == 0 && list && i < list->count; i++) {
        const char *inner = list->names + list->entries[i].name;
        struct inode *found = hostfs_lookup(victim, inner, NULL, &err);
        if (found) {
            err = S_ISDIR(found->mode) ? -ENOTEMPTY : hostfs_unlink(victim, inner, found);
            inode_put(found);
        }
    }
    dir_list_free(list);
    return err ? err : hostfs_unlink(work, name, victim);
}

void over_clear_work(struct inode *work)
{
    struct dir_list *list = dir_list_create();
    if (list && hostfs_list(work, list, NULL, NULL) == 0) {
        for (size_t i = 0; i < list->count; i++) {
            const char *name = list->names + list->entries[i].name;
            int err = 0;
            struct inode *found = hostfs_lookup(work, name, NULL, &err);
            if (found) {
                (void)!clear(work, name, found); /* what stays there is in nobody's way */
                inode_put(found);
            }
        }
    }
    dir_list_free(list);
}

/* Make it in the work directory, under a name that goes to `name`. */
static struct inode *make_in_work(struct over_fs *fs, const struct making *m, char name[32],
                                  int *err)
{
    struct inode *made;
    do {
        over_work_name(fs, name);
        made = make_at(m, fs->work, name, err);
    } while (!made && *err == -EEXIST); /* left there by an earlier run */
    return made;
}

static bool covered(struct inode *dir, const char *name)
{
    struct inode *lower = over_node(dir)->lower;
    int err = 0;
    struct inode *below = lower ? lower->ops->lookup(lower, name, NULL, &err) : NULL;
    if (below)
        inode_put(below);
    return below != NULL || (err && err != -ENOENT);
}

/* Under fs->lock: `name` is removed in the upper directory, whatever it was there (`victim`: NULL for nothing). */
static int put_whiteout(struct over_fs *fs, struct inode *above, const char *name,
                        struct inode *victim)
{
    static const struct making whiteout = {.mode = S_IFCHR};
    char work_name[32];
    int err = 0;
    struct inode *made = make_in_work(fs, &whiteout, work_name, &err);
    if (!made)
        return err;
    bool directory = victim && S_ISDIR(victim->mode);
    err = hostfs_rename(fs->work, work_name, above, name, directory ? RENAME_EXCHANGE : 0);
    if (err)
        (void)!hostfs_unlink(fs->work, work_name, made);
    else if (directory)
        (void)!clear(fs->work, work_name, victim);
    inode_put(made);
    return err;
}

/* Under fs->lock: the upper directory has nothing under this name any more. */
static int take_away(struct over_fs *fs, struct inode *above, const char *name,
                     struct inode *victim)
{
    char work_name[32];
    if (!S_ISDIR(victim->mode))
        return hostfs_unlink(above, name, victim);
    over_work_name(fs, work_name);
    int err = hostfs_rename(above, name, fs->work, work_name, RENAME_NOREPLACE);
    return err ? err : clear(fs->work, work_name, victim);
}

/* Under fs->lock: a name that is free in the overlay. Result: the upper inode, owner: caller. */
static struct inode *make_name(struct inode *dir, const char *name, const struct making *m,
                               int *err)
{
    struct over_fs *fs = over_node(dir)->fs;
    struct inode *above = over_upper(dir);
    bool whiteout;
    struct inode *there = over_upper_name(dir, name, &whiteout, err);
    if (*err)
        return NULL;
    if (!there)
        return make_at(m, above, name, err);
    char work_name[32];
    struct inode *made = whiteout ? make_in_work(fs, m, work_name, err) : NULL;
    if (!whiteout)
        *err = -EEXIST;
    if (made && S_ISDIR(m->mode) && !m->existing)
        *err = over_set_opaque(made);
    if (made && *err == 0)
        *err = hostfs_rename(fs->work, work_name, above, name,
                             S_ISDIR(made->mode) ? RENAME_EXCHANGE : 0);
    if (made && (*err || S_ISDIR(made->mode)))
        (void)!hostfs_unlink(fs->work, work_name, *err ? made : there);
    inode_put(there);
    if (made && *err) {
        inode_put(made);
        made = NULL;
    }
    return made;
}

static struct inode *make_node(struct inode *dir, const char *name, const struct making *m,
                               int *err)
{
    struct over_node *d = over_node(dir);
    *err = over_copy_up(dir);
    if (*err)
        return NULL;
    mutex_lock(&d->fs->lock);
    struct inode *upper = make_name(dir, name, m, err);
    mutex_unlock(&d->fs->lock);
    return upper ? over_node_create(dir->sb, upper, NULL, dir, name, err) : NULL;
}

struct inode *over_create(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev,
                          uint32_t uid, uint32_t gid, int *err)
{
    if (S_ISCHR(mode) && rdev == 0) { /* it would be a removed name */
        *err = -EPERM;
        return NULL;
    }
    struct making m = {.mode = mode, .rdev = rdev, .uid = uid, .gid = gid};
    return make_node(dir, name, &m, err);
}

struct inode *over_symlink(struct inode *dir, const char *name, const char *target, uint32_t uid,
                           uint32_t gid, int *err)
{
    struct making m = {.mode = S_IFLNK, .text = target, .uid = uid, .gid = gid};
    return make_node(dir, name, &m, err);
}

struct inode *over_tmpfile(struct inode *dir, uint32_t mode, uint32_t uid, uint32_t gid, int *err)
{
    *err = over_copy_up(dir);
    struct inode *upper = *err ? NULL : hostfs_tmpfile(over_upper(dir), mode, uid, gid, err);
    return upper ? over_node_create(dir->sb, upper, NULL, dir, "", err) : NULL;
}

int over_link(struct inode *dir, const char *name, struct inode *target)
{
    struct over_node *d = over_node(dir);
    int err = over_copy_up(target);
    if (err == 0)
        err = over_copy_up(dir);
    if (err)
        return err;
    struct making m = {.mode = target->mode, .existing = over_upper(target)};
    mutex_lock(&d->fs->lock);
    struct inode *upper = make_name(dir, name, &m, &err);
    mutex_unlock(&d->fs->lock);
    if (upper)
        inode_put(upper);
    return err;
}

static int must_be_empty(struct inode *dir)
{
    struct dir_list *list = dir_list_create();
    int err = list ? over_list(dir, list) : -ENOMEM;
    if (err == 0 && list->count)
        err = -ENOTEMPTY;
    dir_list_free(list);
    return err;
}

int over_unlink(struct inode *dir, const char *name, struct inode *victim)
{
    struct over_node *d = over_node(dir), *v = over_node(victim);
    /* The VFS holds this directory's lock only: nobody may fill the victim while it goes. */
    bool directory = S_ISDIR(victim->mode);
    if (directory)
        mutex_lock(&victim->lock);
    int err = directory ? must_be_empty(victim) : 0;
    if (err == 0)
        err = over_copy_up(dir);
    if (err == 0) {
        mutex_lock(&d->fs->lock);
        struct inode *upper = over_upper(victim), *above = over_upper(dir);
        err = !upper || covered(dir, name) ? put_whiteout(d->fs, above, name, upper)
                                           : take_away(d->fs, above, name, upper);
        if (err == 0 && (directory || !upper))
            v->unlinked = true;
        mutex_unlock(&d->fs->lock);
    }
    if (directory)
        mutex_unlock(&victim->lock);
    return err;
}

/* One end of a rename, under fs->lock. */
struct over_end {
    struct inode *dir; /* of the overlay */
    const char *name;
    struct inode *inode; /* of the overlay; NULL: nothing */
    bool covered;        /* the directory below has the name */
};

/* Two upper names change places. */
static int exchange(const struct over_end *from, const struct over_end *to)
{
    return hostfs_rename(over_upper(from->dir), from->name, over_upper(to->dir), to->name,
                         RENAME_EXCHANGE);
}

/* What is where `from` was after an exchange goes: a removed name may stay if there is one to be hidden. */
static int leave(struct over_fs *fs, const struct over_end *from, struct inode *left, bool whiteout)
{
    struct inode *above = over_upper(from->dir);
    if (!from->covered)
        return take_away(fs, above, from->name, left);
    return whiteout ? 0 : put_whiteout(fs, above, from->name, left);
}

static int move(struct over_fs *fs, const struct over_end *from, const struct over_end *to)
{
    int err = 0;
    bool whiteout = false;
    if (S_ISDIR(from->inode->mode) && to->covered)
        err = over_set_opaque(over_upper(from->inode));
    struct inode *there = err ? NULL : over_upper_name(to->dir, to->name, &whiteout, &err);
    if (err == 0 && !there && from->covered) {
        /* A place to exchange with, which looks like the nothing that was there. */
        err = put_whiteout(fs, over_upper(to->dir), to->name, NULL);
        if (err == 0)
            there = over_upper_name(to->dir, to->name, &whiteout, &err);
    }
    if (err)
        return err;
    if (!there || (!from->covered && !S_ISDIR(from->inode->mode))) {
        err = hostfs_rename(over_upper(from->dir), from->name, over_upper(to->dir), to->name, 0);
    } else {
        err = exchange(from, to);
        if (err == 0)
            err = leave(fs, from, there, whiteout);
    }
    if (there)
        inode_put(there);
    return err;
}

static int swap(const struct over_end *from, const struct over_end *to)
{
    int err = 0;
    if (S_ISDIR(from->inode->mode) && to->covered)
        err = over_set_opaque(over_upper(from->inode));
    if (err == 0 && S_ISDIR(to->inode->mode) && from->covered)
        err = over_set_opaque(over_upper(to->inode));
    return err ? err : exchange(from, to);
}

static bool shows_lower(const struct inode *inode)
{
    return S_ISDIR(inode->mode) && ((const struct over_node *)inode->data)->lower;
}

/* Everything that is to be renamed becomes upper. */
static int prepare(const struct over_end *from, const struct over_end *to, unsigned flags)
{
    bool swaps = (flags & RENAME_EXCHANGE) && to->inode;
    if (shows_lower(from->inode) || (swaps && shows_lower(to->inode)))
        return -EXDEV;
    int err = over_copy_up(from->inode);
    if (err == 0 && swaps)
        err = over_copy_up(to->inode);
    if (err == 0)
        err = over_copy_up(from->dir);
    if (err == 0)
        err = over_copy_up(to->dir);
    return err;
}

int over_rename(struct inode *from_dir, const char *from_name, struct inode *moved,
                struct inode *to_dir, const char *to_name, struct inode *target, unsigned flags)
{
    struct over_fs *fs = over_node(from_dir)->fs;
    struct over_end from = {.dir = from_dir, .name = from_name, .inode = moved},
                    to = {.dir = to_dir, .name = to_name, .inode = target};
    bool swaps = target && flags & RENAME_EXCHANGE,
         replaces = target && S_ISDIR(target->mode) && !swaps;
    if (replaces)
        mutex_lock(&target->lock);
    int err = prepare(&from, &to, flags);
    if (err == 0 && replaces)
        err = must_be_empty(target);
    if (err == 0) {
        mutex_lock(&fs->lock);
        from.covered = covered(from_dir, from_name);
        to.covered = covered(to_dir, to_name);
        err = swaps ? swap(&from, &to) : move(fs, &from, &to);
        if (err == 0 && target && !swaps && (replaces || !over_upper(target)))
            over_node(target)->unlinked = true;
        mutex_unlock(&fs->lock);
    }
    if (replaces)
        mutex_unlock(&target->lock);
    return err;
}
