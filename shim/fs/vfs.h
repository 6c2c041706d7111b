/*
 * vfs.h: names, inodes, mounts. A dentry is a name in a directory with its inode (or none: a
 * negative entry); dentries form the tree in which paths are resolved. File systems fill struct
 * inode_ops.
 */
#ifndef PALIMPSEST_SHIM_FS_VFS_H
#define PALIMPSEST_SHIM_FS_VFS_H

#include <stdbool.h>
#include <stdint.h>

#include "shim/fs/file.h"
#include "shim/linux_abi/mode.h"

struct task;
struct process;

/* Place in the tree: owned references inside; released by path_put. */
struct mount;
struct path {
    struct mount *mount;
    struct dentry *dentry;
};
void path_get(const struct path *path);
void path_put(struct path *path);

/* Root, working directory, umask of a task; shared by CLONE_FS. */
struct fs_state;
struct fs_state *fs_state_create(int *err); /* root and cwd "/", umask 022 */
struct fs_state *fs_state_copy(struct fs_state *from, int *err);
void fs_state_get(struct fs_state *fs);
void fs_state_put(struct fs_state *fs);
uint32_t fs_umask(struct fs_state *fs);
uint32_t fs_set_umask(struct fs_state *fs, uint32_t mask); /* result: the old one */
void fs_get_root(struct fs_state *fs, struct path *out);   /* owner: caller */
void fs_get_cwd(struct fs_state *fs, struct path *out);
/*
 * The same for the length of a call of the task whose `fs` it is. false: not counted, since that task alone uses `fs`, so that nobody
 * can change it meanwhile; not the caller's to put.
 */
MUST_USE bool fs_use_root(struct fs_state *fs, struct path *out);
MUST_USE bool fs_use_cwd(struct fs_state *fs, struct path *out);
void fs_set_root(struct fs_state *fs, const struct path *path);
void fs_set_cwd(struct fs_state *fs, const struct path *path);

/* Bits. */
enum lookup_flags {
    LOOKUP_FOLLOW = 1,    /* the last component too */
    LOOKUP_PARENT = 2,    /* stop at the directory that holds the last component */
    LOOKUP_DIRECTORY = 4, /* -ENOTDIR otherwise */
    LOOKUP_EMPTY = 8,     /* AT_EMPTY_PATH */
    /* openat2(2): RESOLVE_ of the same name */
    LOOKUP_BENEATH = 16, /* -EXDEV on any step out of the directory where the walk begins */
    LOOKUP_IN_ROOT = 32, /* that directory is the root */
    LOOKUP_NO_SYMLINKS = 64,
    LOOKUP_NO_MAGICLINKS = 128,
    LOOKUP_NO_XDEV = 256,
    LOOKUP_STEPWISE = 512, /* each name is looked at */
};
/* dirfd: AT_FDCWD or a descriptor. Errors: -ENOENT, -ENOTDIR, -ELOOP, -ENAMETOOLONG, -EACCES,
 * -EBADF. */
MUST_USE int path_lookup(struct task *task, int dirfd, const char *name, unsigned flags,
                         struct path *out);
/* What is there, at the cost of one look at the host where the last step is one. */
MUST_USE int path_stat(struct task *task, int dirfd, const char *name, unsigned flags,
                       struct file_stat *st);
/* open(2). Owner: caller. flags: O_*. Errors: NULL, *err. */
MUST_USE struct file *vfs_open(struct task *task, int dirfd, const char *name, uint32_t flags,
                               uint32_t mode, int *err);
/* openat2(2): `resolve` are LOOKUP_ bits from LOOKUP_BENEATH on. */
MUST_USE struct file *vfs_open_how(struct task *task, int dirfd, const char *name, uint32_t flags,
                                   uint32_t mode, unsigned resolve, int *err);
MUST_USE struct file *vfs_open_path(struct task *task, const struct path *path, uint32_t flags,
                                    int *err);
/* Absolute path seen from the task's root, into out. Result: length, -ENAMETOOLONG, -ENOENT
 * (deleted: " (deleted)" is appended). */
int path_to_string(struct task *task, const struct path *path, char *out, size_t size);
/* Where an open file is; for one without a name (pipe, socket) a place made for it: opening that
 * gives the same open file. Owner: caller. */
MUST_USE int path_from_file(struct file *f, struct path *out);
/* mknod(2) with any type but directory and link; bind(2) of an AF_UNIX socket uses it with
 * S_IFSOCK. */
MUST_USE int vfs_mknod(struct task *task, int dirfd, const char *name, uint32_t mode,
                       uint64_t rdev);
/* What /proc/mounts says, oldest first; stops when fn returns non-zero. Only what lies below the
 * task's root. */
struct mount_line {
    const char *source, *target, *type, *options, *super_options;
    const char *root; /* what of the file system is mounted */
    unsigned id, parent;
    uint64_t dev;
};
int mount_walk(int (*fn)(void *arg, const struct mount_line *line), struct task *task, void *arg);

/* Of the mount an open file was reached through: MS_NOSUID, MS_NOEXEC. */
bool mount_ignores_set_id(const struct file *f);
bool mount_forbids_execution(const struct file *f);

/* Execute permission, regular file, readable; used by execve. Owner: caller. */
MUST_USE struct file *vfs_open_exec(struct task *task, int dirfd, const char *name,
                                    unsigned at_flags, int *err);

/*
 * For file systems. Inodes are reference-counted; ops run without any lock of the caller but the
 * directory's lock, which the VFS holds for lookup, create, link, unlink, rename (both directories,
 * in address order).
 */
struct inode_ops;
struct inode {
    uint32_t refs; /* atomic */
    const struct inode_ops *ops;
    const struct file_ops *file_ops; /* what open gives; may be changed by ops->open */
    struct superblock *sb;
    uint64_t ino;
    uint32_t mode; /* with type bits; permission bits may be stale for host inodes until getattr */
    struct mutex lock; /* directory: entries; regular: size and data */
    void *data;
    struct flock_list *locks; /* fs/locks.c */
    struct pipe *fifo;
    struct watch *watches;  /* inotify.c's */
    bool never_named;       /* O_TMPFILE with O_EXCL: link(2) says -ENOENT */
    uint32_t writable_maps; /* atomic: shared mappings that may be written (F_SEAL_WRITE) */
    /* Atomic: > 0 open for writing so often; < 0 being executed so often (ETXTBSY) */
    int32_t writers;
};
struct superblock {
    const char *type; /* "tmpfs", "proc", "host", "overlay", "devtmpfs" */
    uint64_t dev, magic, next_ino;
    bool read_only;
    /* Names come and go without the VFS (proc, a host directory): every step asks ops->lookup again
     * and no absence is kept. A lookup that returns the same inode keeps the dentry. */
    bool volatile_names;
    bool carries_mounts; /* atomic: something is or was mounted on a name of it; stays */
    bool has_links;      /* atomic: look_path met one; stays */
    char *options; /* owned; of tmpfs, as /proc/mounts shows them, a comma first; NULL: none */
    void *data;
    int (*statfs)(struct superblock *sb, void *abi_statfs);
};
struct inode_ops {
    /* Owner: caller. NULL and *err -ENOENT when not there. seen, unless NULL: all of what getattr would
     * say, where finding the name told it anyway; else seen->nlink stays 0. */
    struct inode *(*lookup)(struct inode *dir, const char *name, struct file_stat *seen, int *err);
    /* With volatile names: all of what getattr would say of what has this name now, a link itself, without making its inode. Runs
     * without the directory's lock. known, unless NULL: only if it is that one, else -ESTALE. NULL: by lookup. */
    int (*look)(struct inode *dir, const char *name, struct inode *known, struct file_stat *out);
    /*
     * The same of a path shorter than HOST_PATH_MAX: plain names with one slash between, no link on the way, as if each had been looked
     * at. known was found in `above`, which is only compared. Any error but -ENOENT: go step by step. NULL: always.
     */
    int (*look_path)(struct inode *dir, const char *path, struct inode *known,
                     const struct inode *above, struct file_stat *out);
    int (*getattr)(struct inode *inode, struct file_stat *out);
    /* mask: HOST_SET_* bits */
    int (*setattr)(struct inode *inode, unsigned mask, const struct file_stat *attr);
    /* Any type but symlink; also mkdir. */
    struct inode *(*create)(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev,
                            uint32_t uid, uint32_t gid, int *err);
    struct inode *(*symlink)(struct inode *dir, const char *name, const char *target, uint32_t uid,
                             uint32_t gid, int *err);
    /* O_TMPFILE: a regular file without a name; link may give it one. NULL: -EOPNOTSUPP. */
    struct inode *(*tmpfile)(struct inode *dir, uint32_t mode, uint32_t uid, uint32_t gid,
                             int *err);
    int (*link)(struct inode *dir, const char *name, struct inode *target);
    /* Also rmdir: -ENOTEMPTY. */
    int (*unlink)(struct inode *dir, const char *name, struct inode *victim);
    /* moved and target (NULL: none) are what the names lead to. */
    int (*rename)(struct inode *from_dir, const char *from, struct inode *moved,
                  struct inode *to_dir, const char *to, struct inode *target, unsigned flags);
    int (*readlink)(struct inode *inode, char *out, size_t size); /* bytes */
    /* A magic link (/proc/self/exe, /proc/PID/fd/N): where it really leads. NULL: an ordinary link.
     */
    int (*follow)(struct task *task, struct inode *inode, struct path *out);
    /* Prepare an open file (set f->data, f->ops); NULL: nothing to do, except that the VFS itself
     * opens devices (chrdev_open) and fifos (fifo_open). */
    int (*open)(struct task *task, struct inode *inode, struct file *f);
    /* Extended attributes, permission checked (xattr.c). size 0: how large. NULL: -EOPNOTSUPP, all three. */
    int64_t (*get_xattr)(struct inode *inode, const char *name, void *value, size_t size);
    int64_t (*list_xattr)(struct inode *inode, char *names, size_t size);
    /* value NULL: remove. flags: XATTR_CREATE, XATTR_REPLACE */
    int (*set_xattr)(struct inode *inode, const char *name, const void *value, size_t size,
                     unsigned flags);
    void (*release)(struct inode *inode); /* last reference gone */
};
/* Takes the next number of sb->next_ino (atomically), one reference. data is not freed by inode_put
 * but by ops->release. */
struct inode *inode_create(struct superblock *sb, const struct inode_ops *ops, uint32_t mode,
                           void *data, int *err);
void inode_get(struct inode *inode);
void inode_put(struct inode *inode);
/* For tables that do not own; false: its release is under way. */
MUST_USE bool inode_get_unless_gone(struct inode *inode);
/*
 * Who writes a file and who executes it exclude each other: -ETXTBSY while the other is there. Each success is given back by the call
 * below it.
 */
MUST_USE int inode_want_write(struct inode *inode);
void inode_end_write(struct inode *inode);
MUST_USE int inode_want_execute(struct inode *inode);
void inode_end_execute(struct inode *inode);
/* Fills what every inode has, then ops->getattr. */
MUST_USE int inode_getattr(struct inode *inode, struct file_stat *out);

/* Called once by shim_main: mounts from the configuration, /proc, /dev, /tmp, /dev/shm. 0 or -errno
 * with a sentence in why. */
struct shim_config;
MUST_USE int vfs_init(const struct shim_config *config, char *why, size_t why_size);
/* Roots of the file systems that other modules provide. Owner: caller. */
struct inode *procfs_root(int *err);
struct inode *devfs_root(int *err);
struct inode *sysfs_root(int *err);
struct inode *tmpfs_root(uint32_t mode, int *err);
/* Character devices by number, for device inodes: fills f->ops, f->data. -ENXIO when there is none.
 */
int chrdev_open(struct task *task, uint64_t rdev, struct file *f);
/* Opens inode->fifo, making it at need: fills f->ops, f->data; waits for the other end as open(2)
 * says. fifo_release: inode gone. */
int fifo_open(struct task *task, struct inode *inode, struct file *f);
void fifo_release(struct inode *inode);

#endif
