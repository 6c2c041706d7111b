/*
 * dentry.h: the name cache, private to the VFS. A dentry is a name in a directory and the inode it
 * leads to, or none: a negative entry. Its inode never changes: creating and unlinking replace the
 * dentry.
 *
 * A dentry is hashed (found by lookups) or not (unlinked, replaced, or of a superblock that keeps
 * none). Every dentry holds its parent, so only leaves are unused. A hashed one joins the LRU list when
 * it is first unused and stays there while it is hashed, used or not, so that a use of it begins and ends
 * without the list; only as many as the list may hold are kept beyond those in use.
 */
#ifndef PALIMPSEST_SHIM_FS_DENTRY_H
#define PALIMPSEST_SHIM_FS_DENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/sync.h"

struct inode;
struct mount;

#define DENTRY_INLINE_NAME 40
#define DENTRY_UNHASHED 0x80000000u

struct dentry {
    /*
     * Atomic: references, and DENTRY_UNHASHED. From 0 only under g_dcache_lock; to 0 there, or for a hashed one that is on
     * the list already, which leaves nothing to do.
     */
    uint32_t refs;
    uint32_t hash;
    struct inode *inode; /* owned; NULL: negative */
    /* What is mounted here, through one mount or another (mount_on()); changed under g_dcache_lock. */
    struct mount *mounted;
    /* under g_dcache_lock */
    struct dentry *parent; /* owned; NULL: root of its file system */
    char *name;            /* inline_name or from shim_alloc */
    uint32_t name_length;
    bool hashed, deleted;
    bool on_lru;          /* changed under the lock, read without */
    bool recent;          /* atomic: used since the list's end came by */
    struct dentry *chain; /* hash bucket */
    struct dentry *lru_prev, *lru_next;
    struct dentry *dead_next; /* on the way to being freed */
    char inline_name[DENTRY_INLINE_NAME];
};

/* Guards the tree above. Innermost but for the heap's lock; never held across a file system's
 * operation. */
extern struct mutex g_dcache_lock;

/* Consumes nothing but takes over `inode` (may be NULL). One reference for the caller; not hashed.
 * NULL: no memory, inode kept. */
struct dentry *dentry_create(struct dentry *parent, const char *name, size_t length,
                             struct inode *inode);
void dentry_get(struct dentry *d);
void dentry_put(struct dentry *d);
/* Under g_dcache_lock: hashed child, not referenced; NULL. */
struct dentry *dentry_find_locked(struct dentry *parent, const char *name, size_t length,
                                  uint32_t hash);
/* The same with a reference. */
struct dentry *dentry_find(struct dentry *parent, const char *name, size_t length);
uint32_t dentry_hash(const struct dentry *parent, const char *name, size_t length);
/* Under g_dcache_lock: reference count up, from 0 too. */
void dentry_get_locked(struct dentry *d);
/* Make it found by lookups, in place of one of the same name. */
void dentry_add(struct dentry *d);
/* Not found any more; `deleted` also marks it so for path_to_string. */
enum dentry_drop_why { DENTRY_STALE, DENTRY_DELETED };
void dentry_drop(struct dentry *d, enum dentry_drop_why why);
/* The name moved: target's dentry (NULL: none) is dropped, d takes its place. -ENOMEM: nothing
 * changed. */
int dentry_move(struct dentry *d, struct dentry *parent, const char *name, size_t length);
/* Whatever is cached below and in use by nobody goes. */
void dentry_forget_below(struct dentry *top);
/* Two names changed places. */
void dentry_exchange(struct dentry *a, struct dentry *b);
/* `ancestor` is d or above it, in one file system. */
bool dentry_is_below(struct dentry *d, struct dentry *ancestor);

#endif
