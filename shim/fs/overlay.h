/*
 * overlay.h: a read-only host directory under a writable one of the host, in the format of Linux's
 * overlayfs: what is changed lies in DIR/upper as the directory it would be, a removed name is a
 * character device 0:0, a directory that hides the one below has the attribute overlay.opaque.
 * DIR/work holds what is being made until one rename puts it in its place.
 *
 * A node has an upper inode, a lower one, or, a directory, both. One without an upper inode gets it
 * when it is first changed (copy-up), and keeps it. Directories that show a lower one are not
 * renamed: -EXDEV, as overlayfs says without redirect_dir.
 */
#ifndef PALIMPSEST_SHIM_FS_OVERLAY_H
#define PALIMPSEST_SHIM_FS_OVERLAY_H

#include "shim/base/hash.h"
#include "shim/fs/dir_list.h"
#include "shim/fs/vfs.h"

/* Consumes `lower`, a HOSTFS_FIXED directory. `grant`: DIR; upper and work are made at need. */
MUST_USE struct inode *overlay_on_directory(struct inode *lower, const char *grant, int *err);

/* The rest is shared by overlay.c, overlay_copy.c, overlay_names.c and overlay_file.c. */
struct over_fs {
    /* Names in the upper tree, and who has which upper inode. Held over calls of the host. */
    struct mutex lock;
    struct inode *work;
    struct over_node *by_upper; /* weak: the nodes of upper files */
    uint64_t next_work;         /* atomic */
};

struct over_node {
    struct inode *inode;
    struct over_fs *fs;
    struct inode *lower;      /* owned; NULL: none, or hidden */
    struct inode *upper;      /* owned; set once, read by over_upper() */
    struct inode *parent;     /* owned, with name: where a node without upper inode belongs */
    char *name;               /* owned */
    struct mutex copy_lock;   /* one copy-up at a time */
    bool unlinked;            /* under fs->lock: a lower file whose name is gone */
    bool attribute_whiteouts; /* of a directory: removed names may be empty files so marked */
    bool in_table;
    UT_hash_handle hh;
};

static inline struct over_node *over_node(struct inode *inode)
{
    return inode->data;
}

static inline struct inode *over_upper(struct inode *inode)
{
    return __atomic_load_n(&over_node(inode)->upper, __ATOMIC_ACQUIRE);
}

/* What it is on the host. */
static inline struct inode *over_real(struct inode *inode)
{
    struct inode *upper = over_upper(inode);
    return upper ? upper : over_node(inode)->lower;
}

extern const struct file_ops g_overlay_regular_ops, g_overlay_directory_ops;

/* overlay.c. Consumes both (either may be NULL), also on failure. */
MUST_USE struct inode *over_node_create(struct superblock *sb, struct inode *upper,
                                        struct inode *lower, struct inode *parent, const char *name,
                                        int *err);
/* Under fs->lock: from now on this is where the node's changes go. Consumes upper. */
void over_set_upper(struct over_node *n, struct inode *upper);
/* What the upper directory of `dir` has under that name, removed names included; owner: caller.
 * NULL, *err 0: nothing. */
MUST_USE struct inode *over_upper_name(struct inode *dir, const char *name, bool *whiteout,
                                       int *err);
MUST_USE int over_set_opaque(struct inode *upper);
MUST_USE int over_list(struct inode *dir, struct dir_list *list);
/* A marker of the overlay itself: no attribute for programs. */
bool over_is_marker(const char *attribute);

/* overlay_copy.c: the inode and all directories above it have upper inodes afterwards. */
MUST_USE int over_copy_up(struct inode *inode);
/* A name in the work directory that nothing has yet. */
void over_work_name(struct over_fs *fs, char name[32]);

/* overlay_names.c: as in struct inode_ops */
struct inode *over_create(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev,
                          uint32_t uid, uint32_t gid, int *err);
struct inode *over_symlink(struct inode *dir, const char *name, const char *target, uint32_t uid,
                           uint32_t gid, int *err);
struct inode *over_tmpfile(struct inode *dir, uint32_t mode, uint32_t uid, uint32_t gid, int *err);
int over_link(struct inode *dir, const char *name, struct inode *target);
int over_unlink(struct inode *dir, const char *name, struct inode *victim);
int over_rename(struct inode *from_dir, const char *from_name, struct inode *moved,
                struct inode *to_dir, const char *to_name, struct inode *target, unsigned flags);
/* What an earlier run left in the work directory. */
void over_clear_work(struct inode *work);

/* overlay_file.c */
int over_open(struct task *task, struct inode *inode, struct file *f);

#endif
