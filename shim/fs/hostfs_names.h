/*
 * hostfs_names.h: between hostfs.c, which has the inodes and their handles, and hostfs_names.c, which
 * changes names.
 */
#ifndef PALIMPSEST_SHIM_FS_HOSTFS_NAMES_H
#define PALIMPSEST_SHIM_FS_HOSTFS_NAMES_H

#include "shim/fs/hostfs.h"

struct host_stat;

/* hostfs.c */
struct inode *hostfs_lookup(struct inode *dir, const char *name, struct file_stat *seen, int *err);
int hostfs_setattr(struct inode *inode, unsigned mask, const struct file_stat *attr);
/* The inode for a host file that was just seen; the known one if there is. Owner: caller. */
struct inode *hostfs_seen(struct superblock *sb, struct inode *parent, const char *name,
                          const struct host_stat *st, int *err);
/* The host made it for whoever runs the instance. A guest's other user owns it as far as the host
 * lets us say so. inode may be NULL; result: inode. */
struct inode *hostfs_give_to(struct inode *inode, uint32_t uid, uint32_t gid);
/* A handle to read and write it; consumed. */
void hostfs_offer_data(struct inode *inode, struct host_file *file);
/* A file that loses its last name stays reachable for those who have it open: keep a handle for
 * good. */
void hostfs_pin(struct inode *inode);
/* One that never had a name; file is consumed. */
void hostfs_pin_nameless(struct inode *inode, struct host_file *file);
/* And now it got one. */
void hostfs_now_named(struct inode *inode, struct inode *parent, const char *name);
/* name: consumed. */
void hostfs_renamed(struct inode *inode, struct inode *parent, char *name);

/* hostfs_names.c: as in struct inode_ops, but that rename looks at the host itself */
struct inode *hostfs_create(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev,
                            uint32_t uid, uint32_t gid, int *err);
struct inode *hostfs_symlink(struct inode *dir, const char *name, const char *target, uint32_t uid,
                             uint32_t gid, int *err);
struct inode *hostfs_tmpfile(struct inode *dir, uint32_t mode, uint32_t uid, uint32_t gid,
                             int *err);
int hostfs_link(struct inode *dir, const char *name, struct inode *target);
int hostfs_unlink(struct inode *dir, const char *name, struct inode *victim);
int hostfs_rename(struct inode *from_dir, const char *from, struct inode *to_dir, const char *to,
                  unsigned flags);

#endif
