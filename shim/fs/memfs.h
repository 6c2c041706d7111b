/*
 * memfs.h: file systems whose changes live in memory: tmpfs, and the overlay, which is a tmpfs that
 * shows a read-only host directory wherever nothing was changed.
 *
 * A node of the overlay is born from its lower inode with a copy of the attributes and reads data,
 * link text and entries from it; the first change pins the node and the directories above it in
 * memory. What is pinned belongs to its directory's entry; what is not is only known there, and
 * forgotten with its last user. A directory made by mkdir has no lower: it is opaque.
 */
#ifndef PALIMPSEST_SHIM_FS_MEMFS_H
#define PALIMPSEST_SHIM_FS_MEMFS_H

#include "shim/base/hash.h"
#include "shim/fs/dir_list.h"
#include "shim/fs/vfs.h"

struct shm_segment;

/* Consumes `lower`, a HOSTFS_FIXED directory. tmpfs_root() is in vfs.h. */
MUST_USE struct inode *overlay_root(struct inode *lower, int *err);
/* memfd_create(2). Owner: caller. */
MUST_USE struct file *memfd_file(const char *name, uint32_t flags, int *err);
/*
 * A file without a name in any directory, of `size` bytes: a System V segment's. Owner: caller. The inode leads back to `segment`, from
 * whatever file of it.
 */
MUST_USE struct file *memfs_segment(const char *name, uint64_t size, struct shm_segment *segment,
                                    int *err);
struct shm_segment *memfs_segment_of(const struct file *f);
/* New shared mappings of it may not be written (F_SEAL_WRITE, F_SEAL_FUTURE_WRITE). */
bool memfs_write_sealed(struct file *f);
/* F_ADD_SEALS, F_GET_SEALS. -EINVAL: no such file. */
MUST_USE int memfs_add_seals(struct file *f, unsigned seals);
MUST_USE int memfs_get_seals(struct file *f);

/* memfs_mount.c. A tmpfs that mount(2) may make and change. */
bool memfs_owns(const struct superblock *sb);
/* The root of a new one, tmpfs or ramfs. data: options as mount(2) has them; NULL: none. Owner: caller. -EINVAL. */
MUST_USE struct inode *memfs_fresh(const char *type, const char *data, int *err);
/* Under g_mount_lock, that guards sb->options: other limits. Owner and mode of the root stay. -EINVAL. */
MUST_USE int memfs_reconfigure(struct inode *root, const char *data);
/* Nobody has seen it yet, and the last reference to its root is gone: it ends. */
void memfs_discard(struct superblock *sb);
/* Nobody uses it any more: all its files go. */
void memfs_empty(struct inode *root);

/* The rest is shared by the files of memfs only. */
struct mem_fs {
    struct mutex lock; /* entries, pins, parents; short, no call of another file system under it */
    /* tmpfs(5): size, nr_inodes; 0: no limit. What is used is counted for a limit only, atomically. */
    uint64_t limit_pages, used_pages, limit_inodes, used_inodes;
};

enum mem_data_kind {
    MEM_DATA_INLINE, /* small: in the shim's heap */
    MEM_DATA_OBJECT, /* a memory object; never goes back */
    MEM_DATA_LOWER,  /* not written yet */
};

enum mem_entry_kind {
    MEM_ENTRY_PINNED,   /* owns its inode */
    MEM_ENTRY_KNOWN,    /* weak: an unchanged lower file somebody uses */
    MEM_ENTRY_WHITEOUT, /* hides a lower name; no inode */
};

struct mem_entry {
    UT_hash_handle hh;
    enum mem_entry_kind kind;
    bool covers_lower; /* the lower directory has this name */
    struct inode *inode;
    char name[];
};

struct mem_node {
    struct inode *inode;
    struct mem_fs *fs;
    struct inode *lower; /* owned; NULL: none */
    /* attributes: single words, written by setattr and by whoever changes data or entries */
    uint32_t uid, gid, nlink;
    uint64_t rdev;
    int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
    /* under fs->lock */
    struct inode *parent; /* owned; set while not pinned */
    char *name;           /* owned; likewise */
    bool pinned;
    bool linkable; /* O_TMPFILE: link may raise nlink from 0 */
    struct mem_entry *entries;
    unsigned pinned_entries;
    /* under inode->lock; size and kind are read without it */
    enum mem_data_kind kind;
    uint64_t size, lower_blocks;
    char *bytes; /* MEM_DATA_INLINE, and the text of symbolic links */
    size_t capacity;
    /* odd while the data or where it lies is being changed: short reads take no lock */
    uint32_t version;
    struct memory_object *object; /* owned; set before kind says so */
    uint64_t object_size;         /* >= size; larger only while nobody mapped it */
    bool mapped;
    bool sparse;          /* data may have holes */
    uint64_t charged;     /* pages of fs->used_pages */
    unsigned seals;       /* F_SEAL_*; memfd only */
    struct xattr *xattrs; /* owned; once xattrs_own, else the lower inode's count */
    bool xattrs_own;
    struct shm_segment *segment; /* whose file this is; fixed; NULL: nobody's */
};

static inline struct mem_node *mem_node(struct inode *inode)
{
    return inode->data;
}

extern const struct file_ops g_memfs_regular_ops, g_memfs_directory_ops;
MUST_USE struct inode *mem_node_create(struct superblock *sb, uint32_t mode, uint64_t rdev,
                                       uint32_t uid, uint32_t gid, int *err);
MUST_USE int mem_open(struct task *task, struct inode *inode, struct file *f);
MUST_USE int mem_truncate(struct inode *inode, uint64_t size);
/* Bytes that a regular file of our own keeps; holes are not counted. */
uint64_t mem_stored(const struct mem_node *n);
MUST_USE int mem_list(struct inode *dir, struct dir_list *list);
void mem_data_free(struct mem_node *n);
/* Make a change of this node last: it and all above it. */
void mem_pin(struct mem_node *n);

#endif
