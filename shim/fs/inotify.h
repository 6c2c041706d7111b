/*
 * inotify.h: what happens to files and directories, told to those who watch them (inotify(7)).
 *
 * The notify_ calls are for whoever changes files: cheap while nobody watches anything, callable with a directory's lock held, never
 * with g_dcache_lock or below. `mask`: IN_* of linux/inotify.h; IN_ISDIR is added where the inode is known.
 */
#ifndef PALIMPSEST_SHIM_FS_INOTIFY_H
#define PALIMPSEST_SHIM_FS_INOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/annotations.h"

struct dentry;
struct file;
struct inode;

extern uint32_t g_inotify_watches; /* how many there are */
static inline bool inotify_wanted(void)
{
    return __atomic_load_n(&g_inotify_watches, __ATOMIC_RELAXED) != 0;
}

void inotify_tell_inode(struct inode *inode, uint32_t mask);
void inotify_tell_dentry(struct dentry *d, uint32_t mask);
void inotify_tell_name(struct inode *dir, const char *name, size_t length, uint32_t mask,
                       uint32_t cookie);
uint32_t inotify_new_cookie(void);
void inotify_tell_gone(struct inode *inode);

/* Of the inode itself. */
static inline void notify_inode(struct inode *inode, uint32_t mask)
{
    if (inotify_wanted())
        inotify_tell_inode(inode, mask);
}
/* Of what has this name, and of it in its directory. */
static inline void notify_dentry(struct dentry *d, uint32_t mask)
{
    if (inotify_wanted())
        inotify_tell_dentry(d, mask);
}
/* Of a name in `dir`. */
static inline void notify_name(struct inode *dir, const char *name, size_t length, uint32_t mask)
{
    if (inotify_wanted())
        inotify_tell_name(dir, name, length, mask, 0);
}
/* A name of the inode is no longer used by anybody: if it was the last, its watches end. */
static inline void notify_gone(struct inode *inode)
{
    if (inotify_wanted())
        inotify_tell_gone(inode);
}

/* inotify_init1(2); flags: O_NONBLOCK or 0. Owner: caller. Errors: NULL, *err: -EMFILE, -ENOMEM. */
MUST_USE struct file *inotify_create_file(uint32_t flags, int *err);
/* Result: the watch's number, -EINVAL (not an inotify file), -EEXIST (IN_MASK_CREATE), -ENOSPC, -ENOMEM. */
MUST_USE int inotify_add(struct file *f, struct inode *inode, uint32_t mask);
MUST_USE int inotify_remove(struct file *f, int wd); /* 0 or -EINVAL */

#define INOTIFY_MAX_QUEUED 16384u
#define INOTIFY_MAX_INSTANCES 128u
#define INOTIFY_MAX_WATCHES 65536u

#endif
