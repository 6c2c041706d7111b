/*
 * hostfs.h: a granted directory of the host as a file system. Every step goes one component at a
 * time from a directory handle, so nothing outside the grant can be named.
 */
#ifndef PALIMPSEST_SHIM_FS_HOSTFS_H
#define PALIMPSEST_SHIM_FS_HOSTFS_H

#include "platform/annotations.h"
#include "shim/fs/dir_list.h"
#include "shim/fs/vfs.h"

struct host_file;
struct memory_object;

enum hostfs_mode {
    HOSTFS_FIXED,     /* the host does not change it meanwhile: names and attributes are remembered
                         (overlay's lower) */
    HOSTFS_READ_ONLY, /* as the host has it now, never written */
    HOSTFS_WRITABLE,
};
MUST_USE struct inode *hostfs_root(const char *grant, enum hostfs_mode mode, int *err);
bool hostfs_owns(const struct inode *inode);

/* For the overlay, on HOSTFS_FIXED inodes. */
enum hostfs_access { HOSTFS_READ, HOSTFS_READ_WRITE };
/* Data handle of a regular file; owner: caller. */
MUST_USE struct host_file *hostfs_data(struct inode *inode, enum hostfs_access access, int *err);
/* View to map; owner: caller. The same object for the same inode while it is remembered. */
MUST_USE struct memory_object *hostfs_object(struct inode *inode, enum hostfs_access access,
                                             int *err);
/* All entries of a directory, in addition to what `list` has; entries for which skip() is true are
 * left out. */
MUST_USE int hostfs_list(struct inode *dir, struct dir_list *list,
                         bool (*skip)(void *arg, const char *name), void *arg);

/* Shared with hostfs_file.c and hostfs_xattr.c. hostfs_handle: to look; owner: caller. */
extern const struct file_ops g_hostfs_regular_ops, g_hostfs_directory_ops;
MUST_USE struct host_file *hostfs_handle(struct inode *inode, int *err);
int64_t hostfs_get_xattr(struct inode *inode, const char *name, void *value, size_t size);
int64_t hostfs_list_xattr(struct inode *inode, char *names, size_t size);
int hostfs_set_xattr(struct inode *inode, const char *name, const void *value, size_t size,
                     unsigned flags);
MUST_USE int hostfs_statfs(struct host_file *file, void *abi_statfs);
MUST_USE int hostfs_open(struct task *task, struct inode *inode, struct file *f);

#endif
