/*
 * lookup.c: from a directory and a name in it to a dentry; what the cache knows of several names at once.
 */
#include "platform/errno.h"
#include "shim/base/string.h"
#include "shim/fs/namei.h"

#define AHEAD_MIN 2

static int lookup_locked(struct dentry *dir, const char *name, size_t length,
                         struct file_stat *seen, struct dentry **out)
{
    const struct superblock *sb = dir->inode->sb;
    struct dentry *known = dentry_find(dir, name, length);
    if (known && !sb->volatile_names) {
        *out = known;
        return 0;
    }
    if (!dir->inode->ops->lookup) {
        if (known)
            dentry_put(known);
        return -ENOTDIR;
    }
    char text[NAME_MAX + 1];
    memcpy(text, name, length);
    text[length] = '\0';
    int err = 0;
    struct inode *inode = dir->inode->ops->lookup(dir->inode, text, seen, &err);
    if (!inode && err != -ENOENT) {
        if (known)
            dentry_put(known);
        return err;
    }
    if (known) {
        if (inode && inode == known->inode) {
            inode_put(inode);
            *out = known;
            return 0;
        }
        dentry_drop(known, inode ? DENTRY_STALE : DENTRY_DELETED);
        dentry_put(known);
    }
    struct dentry *d = dentry_create(dir, name, length, inode);
    if (!d) {
        if (inode)
            inode_put(inode);
        return -ENOMEM;
    }
    if (inode || !sb->volatile_names)
        dentry_add(d);
    *out = d;
    return 0;
}

int dentry_lookup_locked(struct dentry *dir, const char *name, size_t length, struct dentry **out)
{
    return lookup_locked(dir, name, length, NULL, out);
}

/* The name leads to `known` now as it did before. */
static bool is_still(struct inode *dir, const char *name, size_t length, struct inode *known,
                     struct file_stat *seen)
{
    struct file_stat st;
    char text[NAME_MAX + 1];
    memcpy(text, name, length);
    text[length] = '\0';
    return known && dir->ops->look(dir, text, known, seen ? seen : &st) == 0;
}

int dentry_lookup(struct dentry *dir, const char *name, size_t length, struct file_stat *seen,
                  struct dentry **out)
{
    bool is_volatile = dir->inode->sb->volatile_names;
    *out = !is_volatile || dir->inode->ops->look ? dentry_find(dir, name, length) : NULL;
    if (*out && (!is_volatile || is_still(dir->inode, name, length, (*out)->inode, seen)))
        return 0;
    if (*out)
        dentry_put(*out);
    mutex_lock(&dir->inode->lock);
    int err = lookup_locked(dir, name, length, seen, out);
    mutex_unlock(&dir->inode->lock);
    return err;
}

int dentry_instantiate(struct dentry *dir, const char *name, size_t length, struct inode *inode,
                       struct dentry **out)
{
    struct dentry *d = dentry_create(dir, name, length, inode);
    if (!d) {
        inode_put(inode);
        return -ENOMEM;
    }
    dentry_add(d);
    if (out)
        *out = d;
    else
        dentry_put(d);
    return 0;
}

bool name_has_mount(struct dentry *dir, const char *name, size_t length)
{
    if (!__atomic_load_n(&dir->inode->sb->carries_mounts, __ATOMIC_ACQUIRE))
        return false;
    uint32_t hash = dentry_hash(dir, name, length);
    mutex_lock(&g_dcache_lock);
    /* who carries a mount is found */
    struct dentry *d = dentry_find_locked(dir, name, length, hash);
    bool found = d && d->mounted;
    mutex_unlock(&g_dcache_lock);
    return found;
}

/* The names that are wanted as one text, with one slash between; 0: they cannot be. Result: how many. */
static unsigned join_names(const char *name, unsigned flags, struct names_ahead *out)
{
    const char *start = name;
    unsigned count = 0;
    size_t used = 0;
    for (;;) {
        size_t length = name_length(name);
        const char *rest = name + length;
        while (*rest == '/')
            rest++;
        bool last = !*rest;
        if (name_is_dots(name, length) && (!(flags & LOOKUP_PARENT) || !last))
            return 0;
        if (last && flags & LOOKUP_PARENT)
            break;
        if (used + length + 2 > sizeof(out->own) || (last && name[length]))
            return 0;
        count++;
        used += length + 1;
        name = rest;
        if (last)
            break;
    }
    out->rest = name;
    out->text = start;
    /* As a rule the path itself is that text. */
    if (!*name && used == (size_t)(name - start) + 1)
        return count;
    char *to = out->own;
    for (unsigned i = 0; i < count; i++) {
        size_t length = name_length(start);
        memcpy(to, start, length);
        to[length] = i + 1 < count ? '/' : '\0';
        to += length + 1;
        start += length;
        while (*start == '/')
            start++;
    }
    out->text = out->own;
    return count;
}

bool names_joined(const char *name, unsigned flags, struct names_ahead *out)
{
    out->end = NULL;
    out->above = NULL;
    return join_names(name, flags, out) >= AHEAD_MIN;
}

bool names_ahead(struct dentry *dir, const char *name, unsigned flags, struct names_ahead *out)
{
    if (!names_joined(name, flags, out))
        return false;
    struct dentry *d = dir;
    bool plain = true;
    mutex_lock(&g_dcache_lock);
    for (const char *at = out->text; d && *at && plain;) {
        size_t length = name_length(at);
        d = dentry_find_locked(d, at, length, dentry_hash(d, at, length));
        at += length;
        if (d)
            plain =
                !d->mounted && d->inode &&
                (S_ISDIR(d->inode->mode) || (!*at && !(flags & LOOKUP_PARENT) &&
                                             !(S_ISLNK(d->inode->mode) && flags & LOOKUP_FOLLOW)));
        at += *at == '/';
    }
    out->above = d && plain && d->parent ? d->parent->inode : NULL;
    if (d && plain)
        dentry_get_locked(d);
    mutex_unlock(&g_dcache_lock);
    out->end = plain ? d : NULL;
    return plain;
}
