/*
 * namei.h: what the VFS's own files and the file system calls share: inode helpers, parents of
 * names, operations on names.
 */
#ifndef PALIMPSEST_SHIM_FS_NAMEI_H
#define PALIMPSEST_SHIM_FS_NAMEI_H

#include <linux/fcntl.h>
#include <linux/limits.h>

#include "platform/host_file.h"
#include "shim/fs/dentry.h"
#include "shim/fs/vfs.h"

/*
 * A tree, or a part of one, at a place of another. The memory of a mount is never used for anything
 * else: whoever found one may go on with it though it was unmounted meanwhile, as with MNT_DETACH.
 */
struct mount {
    struct mount *next; /* of all that are mounted, oldest first; under g_mount_lock */
    /* under g_dcache_lock */
    struct mount *parent;      /* NULL: the root, or not mounted any more */
    struct dentry *mountpoint; /* owned; in parent */
    struct mount *beside;      /* others at that dentry */
    struct dentry *root;       /* owned */
    struct superblock *sb;
    const char *source; /* for /proc/mounts */
    unsigned id;
    unsigned flags; /* atomic: MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOATIME... */
    bool expiring;  /* MNT_EXPIRE was here */
};
extern struct mount g_anon_mount; /* of places made for files without a name */
extern struct mount *g_root_mount;

static inline unsigned mount_flags(const struct mount *m)
{
    return __atomic_load_n(&m->flags, __ATOMIC_RELAXED);
}
/* What covers this place; NULL: nothing. mount_on_locked: under g_dcache_lock. */
struct mount *mount_on_locked(const struct mount *mount, const struct dentry *d);
static inline bool mount_may_be_on(const struct dentry *d)
{
    return __atomic_load_n(&d->mounted, __ATOMIC_ACQUIRE) != NULL;
}
/* From a place to the top of what covers it. Reference to *path moves along. Result: whether. */
bool mount_cross(struct path *path);

/* Who asks. */
struct credentials {
    uint32_t uid, gid;
    uint64_t caps;                 /* effective ones */
    const struct process *process; /* supplementary groups */
};
static inline bool credentials_capable(const struct credentials *who, int cap)
{
    return who->caps >> cap & 1;
}
struct credentials task_credentials(const struct task *task);      /* file system ids */
struct credentials task_real_credentials(const struct task *task); /* access(2) */

enum inode_access { INODE_EXEC = 1, INODE_WRITE = 2, INODE_READ = 4 }; /* bits; as access(2) */
/* The bits of `mode` that count for `who`, whatever capabilities say: of owner, group or others. */
unsigned credentials_granted(const struct credentials *who, uint32_t mode, uint32_t uid,
                             uint32_t gid);
/* 0 or -EACCES (or an error of getattr). */
MUST_USE int inode_permission(const struct credentials *who, struct inode *inode, unsigned access);
/* Also -EROFS for what cannot be written through this mount. */
MUST_USE int path_permission(const struct credentials *who, const struct path *path,
                             unsigned access);
MUST_USE int path_want_write(const struct path *path); /* 0 or -EROFS */
/* `top` is reached from path by going up, over mounts. */
bool path_is_below(const struct path *path, const struct path *top);

struct superblock *superblock_create(const char *type, uint64_t magic, int *err);
uint64_t fs_now_ns(void); /* realtime */

/* What open(2) of a device, fifo or plain inode does after the permission checks. */
extern const struct file_ops g_path_file_ops; /* O_PATH: nothing works */

/* The directory that holds the last component of `name`, and that component ("" for "/"; may be "."
 * or ".."). */
struct last_name {
    char text[NAME_MAX + 1];
    size_t length;
    enum { LAST_PLAIN, LAST_SLASH } ending; /* LAST_SLASH: a slash followed */
    enum { LAST_NORMAL, LAST_ROOT, LAST_DOT, LAST_DOTDOT } kind;
};
MUST_USE int path_parent(struct task *task, int dirfd, const char *name, struct path *dir,
                         struct last_name *last);
/* Child dentry, positive or negative. `_locked`: the directory inode's lock is held. Owner: caller.
 * seen: as inode_ops.lookup. */
MUST_USE int dentry_lookup(struct dentry *dir, const char *name, size_t length,
                           struct file_stat *seen, struct dentry **out);
MUST_USE int dentry_lookup_locked(struct dentry *dir, const char *name, size_t length,
                                  struct dentry **out);
/* Up to a slash or the end; "." or "..". */
static inline size_t name_length(const char *name)
{
    size_t n = 0;
    while (name[n] && name[n] != '/')
        n++;
    return n;
}
static inline bool name_is_dots(const char *name, size_t length)
{
    return name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.'));
}
/* Something is mounted there. */
bool name_has_mount(struct dentry *dir, const char *name, size_t length);
/*
 * The names of a path up to its end, or with LOOKUP_PARENT up to its last name, for inode_ops.look_path. What the cache does not hold
 * carries no mount. Result: false: each is to be looked at, since they are few, too long, or have dots, a link or a mount among them.
 */
struct names_ahead {
    const char *text; /* the path itself, or `own` */
    const char *rest; /* of the path, behind them */
    char own[HOST_PATH_MAX];
    struct dentry *end;        /* what they led to; owner: caller. NULL: the cache does not say */
    const struct inode *above; /* where that was found: only to compare with */
};
/* The text alone, whatever the cache says; no end. */
MUST_USE bool names_joined(const char *name, unsigned flags, struct names_ahead *out);
MUST_USE bool names_ahead(struct dentry *dir, const char *name, unsigned flags,
                          struct names_ahead *out);
/* Under the directory's lock: `inode` (consumed) got this name. *out may be NULL. */
MUST_USE int dentry_instantiate(struct dentry *dir, const char *name, size_t length,
                                struct inode *inode, struct dentry **out);

/* names.c: the calls that change names. dirfd and name as in path_lookup; modes before umask. */
MUST_USE int vfs_mkdir(struct task *task, int dirfd, const char *name, uint32_t mode);
MUST_USE int vfs_symlink(struct task *task, const char *target, int dirfd, const char *name);
MUST_USE int vfs_link(struct task *task, const struct path *target, int dirfd, const char *name);
MUST_USE int vfs_unlink(struct task *task, int dirfd, const char *name);
MUST_USE int vfs_rmdir(struct task *task, int dirfd, const char *name);
MUST_USE int vfs_rename(struct task *task, int from_fd, const char *from, int to_fd, const char *to,
                        unsigned flags);
/* Under dir's lock, permission checked. Makes the inode and its dentry. */
MUST_USE int vfs_create_locked(struct task *task, const struct path *dir, const char *name,
                               size_t length, uint32_t mode, uint64_t rdev, struct dentry **out);
/* Checks ownership, then changes. mask: HOST_SET_*. `now`: times come from utimes(NULL), for which
 * write permission suffices. */
enum setattr_origin { SETATTR_EXPLICIT, SETATTR_NOW };
MUST_USE int vfs_setattr(struct task *task, const struct path *path, unsigned mask,
                         const struct file_stat *attr, enum setattr_origin origin);

/* mount.c. Requires: before the first task runs. Owner: root consumed. source: lives for ever. */
MUST_USE int mount_add(const char *source, const char *target, struct inode *root, bool read_only);
/* mount.c, for mount_calls.c. source: consumed on success; parts of a tree by a root dentry, which gets
 * a reference. Errors: -ENOMEM, -ENOSPC (too many). */
extern struct mutex g_mount_lock;
MUST_USE int mount_attach(char *source, const struct path *at, struct dentry *root,
                          struct superblock *sb, unsigned flags, struct mount **out);
/* Under g_mount_lock. */
void mount_detach(struct mount *m);
void mount_move(struct mount *m, const struct path *at);
/* The root of a file system of which there is one: proc, sysfs, devtmpfs, devpts. Owner: caller. NULL: of none. */
struct dentry *mount_system_root(const char *type, struct superblock **sb);
/* Under g_mount_lock: what hangs below `top`, each before what hangs on it, siblings oldest first. after: the one before; `top`: the
 * first. NULL: no more. */
struct mount *mount_next_below(const struct mount *top, const struct mount *after);

#endif
