/*
 * mount_calls.c: mount(2), umount2(2): bind mounts, moves, flags, and the file systems a guest can ask for by name. There is one
 * namespace; what propagates between copies of a mount elsewhere has nowhere to go.
 */
#include <linux/capability.h>
#include <linux/limits.h>
#include <linux/mount.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/memfs.h"
#include "shim/fs/namei.h"
#include "shim/mm.h"
#include "shim/process_tree.h"
#include "shim/sys_file.h"

/* umount2(2); the kernel keeps them out of its user headers */
#define MNT_FORCE 1
#define MNT_DETACH 2
#define MNT_EXPIRE 4
#define UMOUNT_NOFOLLOW 8

#define MS_KEPT (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME)
#define MS_PROPAGATION (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE)

/* A copy of each of a call's strings. */
struct request {
    char *source, *type, *data; /* owned; may be NULL */
    unsigned long flags;
};

static void request_free(struct request *r)
{
    shim_free(r->source);
    shim_free(r->type);
    shim_free(r->data);
}

static int read_text(uint64_t addr, size_t max, char **out)
{
    int err = 0;
    *out = addr ? user_string(addr, max, &err) : NULL;
    return addr && !*out ? err : 0;
}

static int request_read(const struct syscall_args *args, struct request *r)
{
    memset(r, 0, sizeof(*r));
    r->flags = args->a[3];
    if ((r->flags & MS_MGC_MSK) == MS_MGC_VAL)
        r->flags &= ~(unsigned long)MS_MGC_MSK;
    int err = read_text(args->a[2], PATH_MAX, &r->type);
    if (err == 0)
        err = read_text(args->a[0], PATH_MAX, &r->source);
    if (err == 0)
        err = read_text(args->a[4], 4096, &r->data);
    if (err)
        request_free(r);
    return err;
}

static bool is_mount_root(const struct path *path)
{
    return path->dentry == path->mount->root;
}

/* What a mount of its own may hang on. */
static int check_place(const struct path *at, const struct dentry *root)
{
    if (at->mount == &g_anon_mount || (at->mount != g_root_mount && !at->mount->parent))
        return -EINVAL;
    if (at->dentry->deleted)
        return -ENOENT;
    return S_ISDIR(root->inode->mode) == S_ISDIR(at->dentry->inode->mode) ? 0 : -ENOTDIR;
}

/* Under g_mount_lock: one more mount; its source as of `like`. */
static int attach(const char *source, const struct path *at, struct dentry *root,
                  struct superblock *sb, unsigned flags, struct mount **out)
{
    char *copy = shim_strdup(source);
    int err = copy ? mount_attach(copy, at, root, sb, flags, out) : -ENOMEM;
    if (err)
        shim_free(copy);
    return err;
}

static bool is_mounted_elsewhere(const struct superblock *sb)
{
    for (struct mount *m = g_root_mount; m; m = m->next)
        if (m->sb == sb)
            return true;
    return false;
}

/* Under g_mount_lock. */
static void let_go(struct mount *m, bool unused)
{
    mount_detach(m);
    if (unused && memfs_owns(m->sb) && !is_mounted_elsewhere(m->sb)) {
        dentry_forget_below(m->root);
        memfs_empty(m->root->inode);
    }
}

/* And all that hangs below it. */
static void let_go_tree(struct mount *m, bool unused)
{
    struct mount *below;
    while ((below = mount_next_below(m, m)) != NULL) {
        struct mount *lower;
        while ((lower = mount_next_below(below, below)) != NULL)
            below = lower;
        let_go(below, false); /* who knows */
    }
    let_go(m, unused);
}

static int bind_one(const struct path *from, const struct path *at, struct mount **copy)
{
    return attach(from->mount->source, at, from->dentry, from->mount->sb, mount_flags(from->mount),
                  copy);
}

/* Copies of what was mounted below `from`, in the copy of it. Pairs of old and new, each after the one it hangs on. */
struct pair {
    struct mount *old, *copy;
};

/* Before there is any copy, which may come to lie below `from` itself. Owner: caller. NULL: no memory. */
static struct pair *list_below(const struct path *from, size_t *count)
{
    size_t room = 1;
    for (struct mount *m = g_root_mount; m; m = m->next)
        room++;
    struct pair *pairs = shim_alloc(room * sizeof(*pairs));
    if (!pairs)
        return NULL;
    *count = 1;
    pairs[0].old = from->mount;
    struct mount *m = from->mount;
    while ((m = mount_next_below(from->mount, m)) != NULL) {
        struct path place = {m, m->root};
        if (path_is_below(&place, from))
            pairs[(*count)++].old = m;
    }
    return pairs;
}

static int copy_below(struct pair *pairs, size_t count)
{
    int err = 0;
    for (size_t i = 1; i < count && err == 0; i++) {
        struct mount *m = pairs[i].old;
        size_t up = i - 1;
        while (up > 0 && pairs[up].old != m->parent)
            up--;
        struct path at = {pairs[up].copy, m->mountpoint};
        err = attach(m->source, &at, m->root, m->sb, mount_flags(m), &pairs[i].copy);
    }
    return err;
}

/* Under g_mount_lock, checked. */
static int bind_tree(const struct path *from, const struct path *at)
{
    size_t count;
    struct pair *pairs = list_below(from, &count);
    if (!pairs)
        return -ENOMEM;
    int err = bind_one(from, at, &pairs[0].copy);
    if (err == 0) {
        err = copy_below(pairs, count);
        if (err)
            let_go_tree(pairs[0].copy, false);
    }
    shim_free(pairs);
    return err;
}

static int do_bind(struct task *task, const struct request *r, const struct path *at)
{
    struct path from;
    if (!r->source || !r->source[0])
        return -EINVAL;
    int err = path_lookup(task, AT_FDCWD, r->source, LOOKUP_FOLLOW, &from);
    if (err)
        return err;
    mutex_lock(&g_mount_lock);
    err = from.mount == &g_anon_mount || (from.mount != g_root_mount && !from.mount->parent)
              ? -EINVAL
              : check_place(at, from.dentry);
    if (err == 0 && from.dentry->deleted)
        err = -ENOENT;
    if (err == 0)
        err = r->flags & MS_REC ? bind_tree(&from, at) : bind_one(&from, at, NULL);
    mutex_unlock(&g_mount_lock);
    path_put(&from);
    return err;
}

static int do_move(struct task *task, const struct request *r, const struct path *at)
{
    struct path from;
    if (!r->source || !r->source[0])
        return -EINVAL;
    int err = path_lookup(task, AT_FDCWD, r->source, LOOKUP_FOLLOW, &from);
    if (err)
        return err;
    mutex_lock(&g_mount_lock);
    if (!is_mount_root(&from) || !from.mount->parent)
        err = -EINVAL;
    else
        err = check_place(at, from.dentry);
    if (err == 0 && path_is_below(at, &from))
        err = -ELOOP;
    if (err == 0)
        mount_move(from.mount, at);
    mutex_unlock(&g_mount_lock);
    path_put(&from);
    return err;
}

/* ---- who is on a mount ---- */

struct use {
    const struct mount *mount;
    enum { USE_ANY, USE_WRITING } kind;
};

static bool is_use(const struct file *f, const void *arg)
{
    const struct use *use = arg;
    return f->mount == use->mount && (use->kind == USE_ANY || (S_ISREG(f->inode->mode) &&
                                                               (f->flags & O_ACCMODE) != O_RDONLY));
}

static int is_open_use(void *arg, int fd UNUSED, struct file *f, enum fd_flags flags UNUSED)
{
    return is_use(f, arg);
}

static bool fs_state_uses(struct fs_state *fs, const struct mount *m)
{
    struct path root, cwd;
    fs_get_root(fs, &root);
    fs_get_cwd(fs, &cwd);
    bool uses = root.mount == m || cwd.mount == m;
    path_put(&root);
    path_put(&cwd);
    return uses;
}

/* What a task has, with references. */
struct user {
    struct fs_state *fs;
    struct fd_table *files;
    struct mm *mm;
};

/* Under g_process_lock. Result: how many tasks there are, of which the first `room` go to the list. */
static size_t collect(struct user *list, size_t room)
{
    size_t seen = 0;
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p)) {
        for (struct task *t = p->tasks; t; t = t->next, seen++) {
            if (seen >= room)
                continue;
            list[seen] = (struct user){t->fs, t->files, t->mm};
            if (t->fs)
                fs_state_get(t->fs);
            if (t->files)
                fd_table_get(t->files);
            if (t->mm)
                mm_get(t->mm);
        }
    }
    return seen;
}

/* Under no lock of a mount: what is looked at has locks of its own. */
static bool is_used(struct task *task, struct use use)
{
    mutex_lock(&g_process_lock);
    size_t room = collect(NULL, 0) + 16; /* some may be born meanwhile */
    mutex_unlock(&g_process_lock);
    struct user *list = shim_alloc(room * sizeof(*list));
    if (!list)
        return true; /* nobody knows */
    mutex_lock(&g_process_lock);
    size_t count = collect(list, room);
    mutex_unlock(&g_process_lock);
    bool used = count > room;
    for (size_t i = 0; i < count && i < room; i++) {
        if (list[i].fs) {
            used |= use.kind == USE_ANY && fs_state_uses(list[i].fs, use.mount);
            fs_state_put(list[i].fs);
        }
        if (list[i].files) {
            used |= fd_table_walk(list[i].files, is_open_use, &use) != 0;
            fd_table_put(task, list[i].files);
        }
        if (list[i].mm) {
            used = used || mm_any_file(list[i].mm, is_use, &use);
            (void)mm_put(list[i].mm, MM_DROP_OUTSIDE);
        }
    }
    shim_free(list);
    return used;
}

/* Under g_mount_lock. */
static int remount_locked(const struct request *r, const struct path *at)
{
    struct superblock *sb = at->mount->sb;
    int err = 0;
    if (!(r->flags & MS_BIND)) {
        if (memfs_owns(sb) && at->dentry->parent == NULL) {
            err = memfs_reconfigure(at->dentry->inode, r->data);
            if (err == 0)
                sb->read_only = r->flags & MS_RDONLY;
        } else if (sb->read_only && !(r->flags & MS_RDONLY)) {
            err = -EROFS; /* as by a device that cannot be written */
        }
    }
    if (err == 0)
        __atomic_store_n(&at->mount->flags, (unsigned)r->flags & MS_KEPT, __ATOMIC_RELAXED);
    return err;
}

static int do_remount(struct task *task, const struct request *r, const struct path *at)
{
    if (!is_mount_root(at))
        return -EINVAL;
    if (r->flags & MS_RDONLY && is_used(task, (struct use){at->mount, USE_WRITING}))
        return -EBUSY;
    mutex_lock(&g_mount_lock);
    int err = remount_locked(r, at);
    mutex_unlock(&g_mount_lock);
    return err;
}

/* The root of a new instance, or of the only one there is. Owner: caller. */
static struct dentry *root_of_type(const struct request *r, struct superblock **sb, int *err)
{
    struct dentry *only = mount_system_root(r->type, sb);
    if (only)
        return only;
    if (!str_equal(r->type, "tmpfs") && !str_equal(r->type, "ramfs")) {
        *err = -ENODEV;
        return NULL;
    }
    struct inode *root = memfs_fresh(r->type, r->data, err);
    if (!root)
        return NULL;
    *sb = root->sb;
    struct dentry *d = dentry_create(NULL, "", 0, root);
    if (!d) {
        inode_put(root);
        memfs_discard(*sb);
        *err = -ENOMEM;
    }
    return d;
}

static int do_new(const struct request *r, const struct path *at)
{
    struct superblock *sb = NULL;
    int err = 0;
    if (!r->type)
        return -EINVAL;
    struct dentry *root = root_of_type(r, &sb, &err);
    if (!root)
        return err;
    mutex_lock(&g_mount_lock);
    err = check_place(at, root);
    if (err == 0)
        err = attach(r->source ? r->source : "none", at, root, sb, (unsigned)r->flags & MS_KEPT,
                     NULL);
    mutex_unlock(&g_mount_lock);
    dentry_put(root);
    if (err && memfs_owns(sb))
        memfs_discard(sb);
    return err;
}

/* In path_mount()'s order. */
static int do_mount(struct task *task, const struct request *r, const struct path *at)
{
    if (!process_capable(task->process, CAP_SYS_ADMIN))
        return -EPERM;
    if (r->flags & MS_REMOUNT)
        return do_remount(task, r, at);
    if (r->flags & MS_BIND)
        return do_bind(task, r, at);
    if (r->flags & MS_PROPAGATION) {
        unsigned long wanted = r->flags & MS_PROPAGATION;
        bool one = (wanted & (wanted - 1)) == 0 && !(r->flags & ~(wanted | MS_REC | MS_SILENT));
        /* Nothing propagates, which is what all but MS_SHARED ask for. */
        return one && is_mount_root(at) && wanted != MS_SHARED ? 0 : -EINVAL;
    }
    return r->flags & MS_MOVE ? do_move(task, r, at) : do_new(r, at);
}

long sys_mount(struct task *task, const struct syscall_args *args)
{
    struct request r;
    struct path at;
    int err = request_read(args, &r);
    if (err)
        return err;
    err = user_path(task, AT_FDCWD, args->a[1], LOOKUP_FOLLOW, &at);
    if (err == 0) {
        err = do_mount(task, &r, &at);
        path_put(&at);
    }
    request_free(&r);
    return err;
}

/* ---- umount2(2) ---- */

/* Under g_mount_lock. used: a task is in it, or has something of it open. */
static int do_umount(const struct path *at, unsigned flags, bool used)
{
    struct mount *m = at->mount;
    bool lazy = flags & MNT_DETACH;
    if (!is_mount_root(at) || !m->parent)
        return -EINVAL;
    if (mount_next_below(m, m) && !lazy)
        return -EBUSY;
    if (used && !lazy)
        return -EBUSY;
    if (flags & MNT_EXPIRE && !m->expiring) {
        m->expiring = true;
        return -EAGAIN;
    }
    let_go_tree(m, !used);
    return 0;
}

long sys_umount2(struct task *task, const struct syscall_args *args)
{
    unsigned flags = (unsigned)args->a[1];
    struct path at;
    if (args->a[1] & ~(uint64_t)(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW) ||
        (flags & MNT_EXPIRE && flags & (MNT_FORCE | MNT_DETACH)))
        return -EINVAL;
    int err =
        user_path(task, AT_FDCWD, args->a[0], flags & UMOUNT_NOFOLLOW ? 0 : LOOKUP_FOLLOW, &at);
    if (err)
        return err;
    if (!process_capable(task->process, CAP_SYS_ADMIN)) {
        err = -EPERM;
    } else {
        bool used = is_used(task, (struct use){at.mount, USE_ANY});
        mutex_lock(&g_mount_lock);
        err = do_umount(&at, flags, used);
        mutex_unlock(&g_mount_lock);
    }
    path_put(&at);
    return err;
}
