/*
 * namei.c: from names to places: path resolution (path_resolution(7)), open.
 */
#include "shim/fs/namei.h"

#include <linux/capability.h>
#include <linux/inotify.h>
#include <linux/mount.h>

#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/host_file.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/inotify.h"
#include "shim/process.h"

#define MAX_LINKS 40 /* path_resolution(7) */
/* A name of the host may come to lead elsewhere between two looks at it (-ESTALE): then the walk begins anew, so often. */
#define STALE_TRIES 100
static unsigned again(int tries)
{
    return tries ? LOOKUP_STEPWISE : 0;
}

/* What stays stale has no name any more. */
static int settled(int err)
{
    return err == -ESTALE ? -ENOENT : err;
}

struct walk {
    struct task *task;
    struct credentials who;
    struct path root, cur;
    bool owns_root, owns_cur; /* else the task's own, or cur is root */
    bool step_by_step;        /* once looking ahead did not help */
    bool told;  /* seen says all of the last component; cur is the directory above it */
    char *text; /* owned: what is left of the name once a link was followed */
    unsigned links;
    unsigned resolve; /* LOOKUP_BENEATH and following */
    /* Where the walk was before it looked ahead, and what was left. Owned; no dentry: it did not. */
    struct path before;
    const char *before_name;
    struct file_stat *seen; /* wanted of the last component; NULL: not wanted */
};
#define LOOKUP_SCOPED (LOOKUP_BENEATH | LOOKUP_IN_ROOT)

/* Take the place of w->cur. Consumes the reference to d. */
static void step_to(struct walk *w, struct mount *mount, struct dentry *d)
{
    struct dentry *old = w->owns_cur ? w->cur.dentry : NULL;
    w->cur = (struct path){mount, d};
    w->owns_cur = true;
    if (old)
        dentry_put(old);
}

/* The place where the walk ended, with a reference. */
static struct path take_end(struct walk *w)
{
    if (!w->owns_cur)
        path_get(&w->cur);
    w->owns_cur = false;
    return w->cur;
}

static void cover_locked(struct path *at)
{
    struct mount *over;
    while ((over = mount_on_locked(at->mount, at->dentry)) != NULL)
        *at = (struct path){over, over->root};
}

/*
 * Go down through what the cache knows, under one hold of its lock; stops before anything that
 * needs more: the last component of which the parent is wanted, dots, links, unknown or volatile
 * names. Result: what is left.
 */
static const char *walk_cached(struct walk *w, const char *name, unsigned flags)
{
    if (!credentials_capable(&w->who, CAP_DAC_OVERRIDE) || w->resolve)
        return name; /* search permission may need attributes; mounts are looked at one by one */
    mutex_lock(&g_dcache_lock);
    struct path at = w->cur;
    while (!at.dentry->inode->sb->volatile_names) {
        size_t length = name_length(name);
        const char *rest = name + length;
        while (*rest == '/')
            rest++;
        bool is_last = !*rest;
        if ((is_last && (flags & LOOKUP_PARENT || !length)) || length > NAME_MAX ||
            name_is_dots(name, length))
            break;
        struct dentry *d =
            dentry_find_locked(at.dentry, name, length, dentry_hash(at.dentry, name, length));
        if (!d || !d->inode)
            break;
        bool directory = S_ISDIR(d->inode->mode);
        if (!directory && (!is_last || rest != name + length || S_ISLNK(d->inode->mode)))
            break;
        at.dentry = d;
        cover_locked(&at);
        name = rest;
    }
    bool moved = at.dentry != w->cur.dentry;
    bool kept = at.dentry == at.mount->root; /* by the mount, for good */
    if (moved && !kept)
        dentry_get_locked(at.dentry);
    mutex_unlock(&g_dcache_lock);
    if (moved) {
        step_to(w, at.mount, at.dentry);
        w->owns_cur = !kept;
    }
    return name;
}

/* 0 or -EXDEV. */
static int walk_up(struct walk *w)
{
    struct mount *mount = w->cur.mount;
    mutex_lock(&g_dcache_lock);
    struct path at = w->cur;
    while (at.dentry == at.mount->root && at.mount->parent &&
           !(at.dentry == w->root.dentry && at.mount == w->root.mount)) {
        at.dentry = at.mount->mountpoint;
        at.mount = at.mount->parent;
    }
    bool at_root = at.dentry == w->root.dentry && at.mount == w->root.mount;
    if (!at_root && at.dentry->parent)
        at.dentry = at.dentry->parent;
    cover_locked(&at);
    dentry_get_locked(at.dentry);
    mutex_unlock(&g_dcache_lock);
    step_to(w, at.mount, at.dentry);
    if (at_root && w->resolve & LOOKUP_BENEATH)
        return -EXDEV;
    return at.mount != mount && w->resolve & LOOKUP_NO_XDEV ? -EXDEV : 0;
}

/* Continue at what the link in w->cur's directory says, then `rest`. *name: what is to be walked
 * now. */
static int walk_link(struct walk *w, struct inode *link, const char *rest, const char **name)
{
    if (++w->links > MAX_LINKS || w->resolve & LOOKUP_NO_SYMLINKS)
        return -ELOOP;
    if (link->ops->follow) {
        struct path to = {0};
        if (w->resolve & LOOKUP_NO_MAGICLINKS)
            return -ELOOP;
        int err = link->ops->follow(w->task, link, &to);
        if (err)
            return err;
        if ((w->resolve & LOOKUP_NO_XDEV && to.mount != w->cur.mount) ||
            w->resolve & LOOKUP_SCOPED) {
            path_put(&to);
            return -EXDEV;
        }
        step_to(w, to.mount, to.dentry);
        *name = rest;
        return 0;
    }
    if (!link->ops->readlink)
        return -EINVAL;
    size_t rest_length = str_length(rest);
    char *text = shim_alloc(PATH_MAX + rest_length + 2);
    if (!text)
        return -ENOMEM;
    int n = link->ops->readlink(link, text, PATH_MAX);
    if (n <= 0 || n >= PATH_MAX) {
        shim_free(text);
        return n < 0 ? n : n == 0 ? -ENOENT : -ENAMETOOLONG;
    }
    if (rest_length)
        text[n++] = '/';
    memcpy(text + n, rest, rest_length + 1);
    shim_free(w->text);
    w->text = text;
    *name = text;
    if (text[0] == '/') {
        if (w->resolve & LOOKUP_BENEATH ||
            (w->resolve & LOOKUP_NO_XDEV && w->root.mount != w->cur.mount))
            return -EXDEV;
        dentry_get(w->root.dentry);
        step_to(w, w->root.mount, w->root.dentry);
    }
    return 0;
}

static int walk_begin(struct walk *w, struct task *task, int dirfd, const char *name,
                      unsigned resolve)
{
    w->task = task;
    w->resolve = resolve;
    w->who = task_credentials(task);
    w->owns_root = fs_use_root(task->fs, &w->root);
    w->cur = w->before = (struct path){0};
    w->owns_cur = w->step_by_step = w->told = false;
    w->text = NULL;
    w->links = 0;
    w->before_name = NULL;
    w->seen = NULL;
    int err = 0;
    if (name[0] == '/' && resolve & LOOKUP_BENEATH) {
        err = -EXDEV;
    } else if (name[0] == '/' && !(resolve & LOOKUP_IN_ROOT)) {
        w->cur = w->root;
    } else if (dirfd == AT_FDCWD) {
        w->owns_cur = fs_use_cwd(task->fs, &w->cur);
    } else {
        struct file *f = fd_get(task, dirfd);
        if (!f)
            err = -EBADF;
        else if (f->dentry) {
            w->cur = (struct path){f->mount, f->dentry};
            path_get(&w->cur);
        } else {
            err = path_from_file(f, &w->cur);
        }
        w->owns_cur = err == 0;
        if (f)
            file_put(f);
    }
    if (err == 0 && resolve & LOOKUP_SCOPED) {
        if (w->owns_root)
            path_put(&w->root);
        w->root = w->cur;
        path_get(&w->root);
        w->owns_root = true;
    }
    if (err && w->owns_root)
        path_put(&w->root);
    return err;
}

static void walk_end(struct walk *w)
{
    if (w->owns_root)
        path_put(&w->root);
    if (w->owns_cur)
        path_put(&w->cur);
    if (w->before.dentry)
        path_put(&w->before);
    shim_free(w->text);
}

/* For who wants to know what has this name and nothing else: true: *err is the result. */
static bool just_look(struct walk *w, const char *name, size_t length, unsigned flags, int *err)
{
    struct inode *dir = w->cur.dentry->inode;
    if (!dir->sb->volatile_names || !dir->ops->look || flags & LOOKUP_DIRECTORY ||
        name_has_mount(w->cur.dentry, name, length))
        return false;
    *err = dir->ops->look(dir, name, NULL, w->seen);
    w->told = *err == 0 && !(S_ISLNK(w->seen->mode) && flags & LOOKUP_FOLLOW);
    return w->told || *err;
}

/*
 * Ask about several names at once, where neither links, dots, permissions nor mounts want each of them looked at. *name: what is
 * left. true: *err is the result.
 */
static bool walk_ahead(struct walk *w, const char **name, unsigned flags, int *err)
{
    struct inode *top = w->cur.dentry->inode;
    struct names_ahead ahead;
    if (w->step_by_step || w->resolve || !top->ops->look_path || !top->sb->volatile_names ||
        !credentials_capable(&w->who, CAP_DAC_OVERRIDE) || !S_ISDIR(top->mode))
        return false;
    struct file_stat st;
    bool tells = w->seen && !(flags & (LOOKUP_PARENT | LOOKUP_DIRECTORY)), done = false;
    bool blind = tells && !__atomic_load_n(&top->sb->carries_mounts, __ATOMIC_ACQUIRE) &&
                 !__atomic_load_n(&top->sb->has_links, __ATOMIC_RELAXED);
    if (!(blind ? names_joined(*name, flags, &ahead)
                : names_ahead(w->cur.dentry, *name, flags, &ahead)))
        return false;
    w->step_by_step = true;
    /* a last name that is new */
    if (!tells && !ahead.end && !names_ahead(w->cur.dentry, *name, flags | LOOKUP_PARENT, &ahead))
        return false;
    int r = -ESTALE;
    if (tells) {
        r = top->ops->look_path(top, ahead.text, NULL, NULL, w->seen);
        if (r == -ELOOP)
            __atomic_store_n(&top->sb->has_links, true, __ATOMIC_RELAXED);
        done = w->told = r == 0 && !(S_ISLNK(w->seen->mode) && flags & LOOKUP_FOLLOW);
        w->seen->nlink = done ? w->seen->nlink : 0;
    } else if (ahead.end) {
        r = top->ops->look_path(top, ahead.text, ahead.end->inode, ahead.above, &st);
    }
    done |= r == -ENOENT;
    if (!done && !tells && r == 0) {
        w->before = w->cur;
        path_get(&w->before);
        w->before_name = *name;
        dentry_get(ahead.end);
        step_to(w, w->cur.mount, ahead.end);
        *name = ahead.rest;
    }
    if (ahead.end)
        dentry_put(ahead.end);
    if (done)
        *err = r;
    return done;
}

/* A link follows what was looked at in one: the directories before it may be others by now, and its text may go up to them. */
static bool walk_back(struct walk *w, const char **name)
{
    if (!w->before.dentry)
        return false;
    step_to(w, w->before.mount, w->before.dentry);
    w->before.dentry = NULL;
    *name = w->before_name;
    return true;
}

/* Resolve `name` from w->cur. With LOOKUP_PARENT stops at the directory of the last component,
 * which goes to *last. */
static int walk(struct walk *w, const char *name, unsigned flags, struct last_name *last)
{
    bool want_directory = flags & LOOKUP_DIRECTORY;
    if (last) {
        last->kind = LAST_ROOT;
        last->ending = LAST_PLAIN;
        last->length = 0;
        last->text[0] = '\0';
    }
    if (!*name && !(flags & LOOKUP_EMPTY))
        return -ENOENT;
    for (;;) {
        while (*name == '/')
            name++;
        if (!*name)
            break;
        int err = 0;
        name = walk_cached(w, name, flags);
        if (!*name)
            break;
        size_t length = name_length(name);
        if (name[length]) {
            const char *next = name;
            if (walk_ahead(w, &next, flags, &err))
                return err;
            if (next != name) {
                name = next;
                continue;
            }
        }
        if (!S_ISDIR(w->cur.dentry->inode->mode))
            return -ENOTDIR;
        if (!credentials_capable(&w->who, CAP_DAC_OVERRIDE))
            err = inode_permission(&w->who, w->cur.dentry->inode, INODE_EXEC);
        if (err)
            return err;
        if (length > NAME_MAX)
            return -ENAMETOOLONG;
        const char *rest = name + length;
        while (*rest == '/')
            rest++;
        bool is_last = !*rest;
        bool slash = is_last && name[length] == '/';
        if (is_last && (flags & LOOKUP_PARENT)) {
            memcpy(last->text, name, length);
            last->text[length] = '\0';
            last->length = length;
            last->ending = slash ? LAST_SLASH : LAST_PLAIN;
            last->kind = !name_is_dots(name, length) ? LAST_NORMAL
                         : length == 1               ? LAST_DOT
                                                     : LAST_DOTDOT;
            return 0;
        }
        want_directory |= slash;
        if (name_is_dots(name, length)) {
            err = length == 2 ? walk_up(w) : 0;
            if (err)
                return err;
            name = rest;
            continue;
        }
        struct dentry *d = NULL;
        struct file_stat *seen = is_last ? w->seen : NULL;
        if (seen && !want_directory && just_look(w, name, length, flags, &err))
            return err;
        if (seen)
            seen->nlink = 0;
        err = dentry_lookup(w->cur.dentry, name, length, seen, &d);
        if (err || !d)
            return err;
        PLATFORM_REQUIRE(d);
        if (!d->inode) {
            dentry_put(d);
            return -ENOENT;
        }
        if (S_ISLNK(d->inode->mode) && (!is_last || slash || (flags & LOOKUP_FOLLOW))) {
            if (walk_back(w, &name)) {
                dentry_put(d);
                if (seen)
                    seen->nlink = 0;
                continue;
            }
            err = walk_link(w, d->inode, rest, &name);
            dentry_put(d);
            if (seen)
                seen->nlink = 0; /* the link's, not what it leads to */
            if (err)
                return err;
            continue;
        }
        struct path to = {w->cur.mount, d};
        bool crossed = mount_cross(&to);
        if (crossed && seen)
            seen->nlink = 0;
        step_to(w, to.mount, to.dentry);
        if (crossed && w->resolve & LOOKUP_NO_XDEV)
            return -EXDEV;
        name = rest;
    }
    return want_directory && !S_ISDIR(w->cur.dentry->inode->mode) ? -ENOTDIR : 0;
}

static int lookup_once(struct task *task, int dirfd, const char *name, unsigned flags,
                       struct path *out)
{
    struct walk w;
    int err = walk_begin(&w, task, dirfd, name, flags & ~(LOOKUP_BENEATH - 1u));
    if (err)
        return err;
    err = walk(&w, name, flags & ~(unsigned)LOOKUP_PARENT, NULL);
    if (err == 0)
        *out = take_end(&w);
    walk_end(&w);
    return err;
}

int path_lookup(struct task *task, int dirfd, const char *name, unsigned flags, struct path *out)
{
    int err = -ESTALE;
    for (int i = 0; err == -ESTALE && i < STALE_TRIES; i++)
        err = lookup_once(task, dirfd, name, flags | again(i), out);
    return settled(err);
}

static int stat_once(struct task *task, int dirfd, const char *name, unsigned flags,
                     struct file_stat *st)
{
    struct walk w;
    int err = walk_begin(&w, task, dirfd, name, flags & ~(LOOKUP_BENEATH - 1u));
    if (err)
        return err;
    st->nlink = 0;
    w.seen = st;
    err = walk(&w, name, flags & ~(unsigned)LOOKUP_PARENT, NULL);
    if (err == 0 && !w.told && !st->nlink)
        err = inode_getattr(w.cur.dentry->inode, st);
    walk_end(&w);
    return err;
}

int path_stat(struct task *task, int dirfd, const char *name, unsigned flags, struct file_stat *st)
{
    int err = -ESTALE;
    for (int i = 0; err == -ESTALE && i < STALE_TRIES; i++)
        err = stat_once(task, dirfd, name, flags | again(i), st);
    return settled(err);
}

static int parent_once(struct task *task, int dirfd, const char *name, unsigned resolve,
                       struct path *dir, struct last_name *last)
{
    struct walk w;
    int err = walk_begin(&w, task, dirfd, name, resolve);
    if (err)
        return err;
    err = walk(&w, name, LOOKUP_PARENT, last);
    if (err == 0)
        *dir = take_end(&w);
    walk_end(&w);
    return err;
}

int path_parent(struct task *task, int dirfd, const char *name, struct path *dir,
                struct last_name *last)
{
    int err = -ESTALE;
    for (int i = 0; err == -ESTALE && i < STALE_TRIES; i++)
        err = parent_once(task, dirfd, name, again(i), dir, last);
    return settled(err);
}

const struct file_ops g_path_file_ops = {.kind = "path"};

static int open_access(uint32_t flags)
{
    switch (flags & O_ACCMODE) {
    case O_RDONLY:
        return INODE_READ;
    case O_WRONLY:
        return INODE_WRITE;
    default:
        return INODE_READ | INODE_WRITE;
    }
}

/* A file over `path` without any check. */
static struct file *open_file(struct task *task, const struct path *path, uint32_t flags, int *err)
{
    struct inode *inode = path->dentry->inode;
    /* On x86-64 every open file has O_LARGEFILE (open(2), NOTES). */
    uint32_t kept = (flags & ~(uint32_t)(O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC)) | 00100000;
    if (flags & O_PATH)
        kept = flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW);
    struct file *f =
        file_create(flags & O_PATH ? &g_path_file_ops : inode->file_ops, kept, NULL, err);
    if (!f)
        return NULL;
    f->inode = inode;
    inode_get(inode);
    f->dentry = path->dentry;
    dentry_get(f->dentry);
    f->mount = path->mount;
    if (flags & O_PATH)
        return f;
    int result = 0;
    if (S_ISREG(inode->mode) && open_access(flags) & INODE_WRITE) {
        result = inode_want_write(inode);
        f->counted_writer = result == 0;
    }
    if (result)
        ;
    else if ((S_ISCHR(inode->mode) || S_ISBLK(inode->mode)) && mount_flags(path->mount) & MS_NODEV)
        result = -EACCES;
    else if (inode->ops->open)
        result = inode->ops->open(task, inode, f);
    else if (S_ISCHR(inode->mode)) {
        struct file_stat st;
        result = inode_getattr(inode, &st);
        if (result == 0)
            result = chrdev_open(task, st.rdev, f);
    } else if (S_ISFIFO(inode->mode))
        result = fifo_open(task, inode, f);
    else if (S_ISBLK(inode->mode) || S_ISSOCK(inode->mode))
        result = -ENXIO;
    f->flags &= ~(uint32_t)O_NOCTTY; /* terminals looked at it when they were opened */
    if (result == 0 && !f->ops)
        result = -ENXIO;
    if (result) {
        f->ops = &g_path_file_ops; /* nothing to release */
        file_put(f);
        *err = result;
        return NULL;
    }
    f->opened = true;
    return f;
}

/* Result: f, of whose opening inotify has heard. */
static struct file *tell_opened(struct file *f)
{
    if (f && f->opened)
        notify_dentry(f->dentry, IN_OPEN);
    return f;
}

static int truncate_opened(struct inode *inode)
{
    struct file_stat attr = {.size = 0};
    return inode->ops->setattr ? inode->ops->setattr(inode, HOST_SET_SIZE, &attr) : 0;
}

struct file *vfs_open_path(struct task *task, const struct path *path, uint32_t flags, int *err)
{
    struct inode *inode = path->dentry->inode;
    if (path->mount == &g_anon_mount && !(flags & O_PATH)) {
        struct file *f = inode->data;
        struct file_stat attr;
        *err = file_stat(f, &attr);
        /* sockets, and descriptors of events, which have no type: made, not opened */
        if (!*err && (!(attr.mode & S_IFMT) || S_ISSOCK(attr.mode)))
            *err = -ENXIO;
        if (*err)
            return NULL;
        file_get(f);
        return f;
    }
    int result = 0;
    bool writes = open_access(flags) & INODE_WRITE;
    if ((flags & O_DIRECTORY) && !S_ISDIR(inode->mode))
        result = -ENOTDIR;
    else if (flags & O_PATH)
        result = 0;
    else if (S_ISLNK(inode->mode))
        result = -ELOOP;
    else if (S_ISDIR(inode->mode) && (writes || (flags & O_CREAT)))
        result = -EISDIR;
    else {
        struct credentials who = task_credentials(task);
        unsigned access = (unsigned)open_access(flags) | (flags & O_TRUNC ? INODE_WRITE : 0);
        result = path_permission(&who, path, access);
    }
    if (result) {
        *err = result;
        return NULL;
    }
    struct file *f = tell_opened(open_file(task, path, flags, err));
    if (f && (flags & O_TRUNC) && !(flags & O_PATH) && S_ISREG(inode->mode)) {
        result = inode_want_write(inode);
        if (result == 0) {
            result = truncate_opened(inode);
            inode_end_write(inode);
        }
        if (result == 0)
            notify_dentry(path->dentry, IN_MODIFY);
        if (result) {
            file_put(f);
            *err = result;
            return NULL;
        }
    }
    return f;
}

static int open_tmpfile(struct task *task, const struct path *dir, uint32_t flags, uint32_t mode,
                        struct file **out)
{
    struct inode *at = dir->dentry->inode;
    if (!S_ISDIR(at->mode))
        return -ENOTDIR;
    if (!(open_access(flags) & INODE_WRITE))
        return -EINVAL;
    if (!at->ops->tmpfile)
        return -EOPNOTSUPP;
    struct credentials who = task_credentials(task);
    int err = path_permission(&who, dir, INODE_WRITE | INODE_EXEC);
    if (err)
        return err;
    struct inode *inode = at->ops->tmpfile(at, S_IFREG | (mode & 07777 & ~fs_umask(task->fs)),
                                           who.uid, who.gid, &err);
    if (!inode)
        return err;
    char name[24];
    int length = shim_snprintf(name, sizeof(name), "#%llu", (unsigned long long)inode->ino);
    struct dentry *d = dentry_create(dir->dentry, name, (size_t)length, inode);
    if (!d) {
        inode_put(inode);
        return -ENOMEM;
    }
    d->deleted = true;
    inode->never_named = flags & O_EXCL;
    struct path path = {dir->mount, d};
    *out = open_file(task, &path, flags & ~(uint32_t)O_TMPFILE, &err);
    dentry_put(d);
    return *out ? 0 : err;
}

/* open(2) with O_CREAT: one step at w->cur; `again`: the name was a link that leads on to *name. */
enum create_step { CREATE_DONE, CREATE_AGAIN };
static int open_create(struct walk *w, const struct last_name *last, uint32_t flags, uint32_t mode,
                       struct file **out, const char **name, enum create_step *step)
{
    *step = CREATE_DONE;
    if (last->kind != LAST_NORMAL)
        return flags & O_EXCL ? -EEXIST : -EISDIR;
    if (last->ending == LAST_SLASH)
        return -EISDIR;
    struct inode *dir = w->cur.dentry->inode;
    struct dentry *d = NULL;
    mutex_lock(&dir->lock);
    int err = dentry_lookup_locked(w->cur.dentry, last->text, last->length, &d);
    bool created = false;
    if (err == 0 && !d->inode) {
        dentry_put(d);
        d = NULL;
        err = path_permission(&w->who, &w->cur, INODE_WRITE | INODE_EXEC);
        if (err == 0)
            err = vfs_create_locked(w->task, &w->cur, last->text, last->length,
                                    S_IFREG | (mode & 07777 & ~fs_umask(w->task->fs)), 0, &d);
        created = err == 0;
    }
    mutex_unlock(&dir->lock);
    if (err)
        return err;
    struct path path = {w->cur.mount, d};
    if (created) {
        *out = tell_opened(open_file(w->task, &path, flags, &err));
    } else if (flags & O_EXCL) {
        err = -EEXIST;
    } else if (S_ISLNK(d->inode->mode) && !(flags & O_NOFOLLOW)) {
        err = walk_link(w, d->inode, "", name);
        *step = CREATE_AGAIN;
    } else {
        mount_cross(&path);
        d = path.dentry;
        *out = vfs_open_path(w->task, &path, flags, &err);
    }
    dentry_put(d);
    return err;
}

static struct file *open_once(struct task *task, int dirfd, const char *name, uint32_t flags,
                              uint32_t mode, unsigned resolve, int *err)
{
    struct file *f = NULL;
    bool tmpfile = (flags & O_TMPFILE) == O_TMPFILE;
    if (!(flags & O_CREAT) || tmpfile) {
        struct path path;
        *err = path_lookup(task, dirfd, name, resolve | (flags & O_NOFOLLOW ? 0 : LOOKUP_FOLLOW),
                           &path);
        if (*err)
            return NULL;
        if (tmpfile)
            *err = open_tmpfile(task, &path, flags, mode, &f);
        else
            f = vfs_open_path(task, &path, flags, err);
        path_put(&path);
        return f;
    }
    if (flags & O_DIRECTORY) {
        *err = -EINVAL;
        return NULL;
    }
    struct walk w;
    *err = walk_begin(&w, task, dirfd, name, resolve);
    if (*err)
        return NULL;
    struct last_name *last = shim_alloc(sizeof(*last));
    *err = last ? 0 : -ENOMEM;
    enum create_step step = CREATE_AGAIN;
    while (*err == 0 && step == CREATE_AGAIN) {
        bool at_place = !*name; /* walk() may free what name points to: a link's text gives way to
                                   the next link's */
        *err = walk(&w, name, LOOKUP_PARENT | (w.links ? LOOKUP_EMPTY : 0), last);
        if (*err == 0 && at_place) {
            /* A magic link led straight to a place. */
            f = vfs_open_path(task, &w.cur, flags, err);
            break;
        }
        if (*err == 0)
            *err = open_create(&w, last, flags, mode, &f, &name, &step);
    }
    shim_free(last);
    walk_end(&w);
    return f;
}

struct file *vfs_open_how(struct task *task, int dirfd, const char *name, uint32_t flags,
                          uint32_t mode, unsigned resolve, int *err)
{
    struct file *f = NULL;
    if (flags & O_PATH)
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    *err = -ESTALE;
    for (int i = 0; *err == -ESTALE && i < STALE_TRIES; i++)
        f = open_once(task, dirfd, name, flags, mode, resolve | again(i), err);
    *err = settled(*err);
    return f;
}

struct file *vfs_open(struct task *task, int dirfd, const char *name, uint32_t flags, uint32_t mode,
                      int *err)
{
    return vfs_open_how(task, dirfd, name, flags, mode, 0, err);
}

static struct file *open_exec_once(struct task *task, int dirfd, const char *name, unsigned flags,
                                   int *err)
{
    struct path path;
    *err = path_lookup(task, dirfd, name, flags, &path);
    if (*err)
        return NULL;
    struct file *f = NULL;
    struct credentials who = task_credentials(task);
    /* execve(2): links under AT_SYMLINK_NOFOLLOW are ELOOP; anything but a regular file EACCES. */
    if (S_ISLNK(path.dentry->inode->mode))
        *err = -ELOOP;
    else if (!S_ISREG(path.dentry->inode->mode) || mount_flags(path.mount) & MS_NOEXEC)
        *err = -EACCES;
    else
        *err = path_permission(&who, &path, INODE_EXEC);
    if (*err == 0)
        f = tell_opened(open_file(task, &path, O_RDONLY, err));
    path_put(&path);
    return f;
}

struct file *vfs_open_exec(struct task *task, int dirfd, const char *name, unsigned at_flags,
                           int *err)
{
    unsigned flags = (at_flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) |
                     (at_flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
    struct file *f = NULL;
    /* not every name comes from the guest's memory */
    *err = str_nlength(name, PATH_MAX) >= PATH_MAX ? -ENAMETOOLONG : -ESTALE;
    for (int i = 0; *err == -ESTALE && i < STALE_TRIES; i++)
        f = open_exec_once(task, dirfd, name, flags | again(i), err);
    *err = settled(*err);
    return f;
}
