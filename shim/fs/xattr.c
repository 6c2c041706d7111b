/*
 * xattr.c: permission follows the name's prefix: user. goes by the file's mode, trusted. is root's, security. root's to write. system.
 * (access control lists) is offered by no file system here.
 */
#include "shim/fs/xattr.h"

#include <linux/capability.h>
#include <linux/limits.h>
#include <linux/xattr.h>

#include "platform/errno.h"
#include "platform/host_file.h"
#include "shim/base/alloc.h"
#include "shim/base/hash.h"
#include "shim/base/string.h"
#include "shim/fs/inotify.h"
#include "shim/fs/namei.h"
#include "shim/process.h"

#include <linux/inotify.h>

enum xattr_use { XATTR_READ, XATTR_WRITE };

/* Also of the prefix alone, which names nothing. */
static bool has_prefix(const char *name, const char *prefix)
{
    size_t length = str_length(prefix);
    return str_nlength(name, length) == length && memcmp(name, prefix, length) == 0;
}

static int user_attribute_check(const struct credentials *who, struct inode *inode,
                                enum xattr_use use)
{
    struct file_stat st;
    if (!S_ISREG(inode->mode) && !S_ISDIR(inode->mode))
        return use == XATTR_READ ? -ENODATA : -EPERM;
    if (use == XATTR_WRITE && S_ISDIR(inode->mode) && inode->mode & S_ISVTX &&
        !credentials_capable(who, CAP_FOWNER)) {
        int err = inode_getattr(inode, &st);
        if (err || st.uid != who->uid)
            return err ? err : -EPERM;
    }
    return inode_permission(who, inode, use == XATTR_READ ? INODE_READ : INODE_WRITE);
}

static int check(struct task *task, const struct path *path, const char *name, enum xattr_use use)
{
    struct credentials who = task_credentials(task);
    if (use == XATTR_WRITE) {
        int err = path_want_write(path);
        if (err)
            return err;
    }
    if (str_equal(name, XATTR_USER_PREFIX) || str_equal(name, XATTR_TRUSTED_PREFIX) ||
        str_equal(name, XATTR_SECURITY_PREFIX))
        return -EINVAL;
    if (has_prefix(name, XATTR_USER_PREFIX))
        return user_attribute_check(&who, path->dentry->inode, use);
    if (has_prefix(name, XATTR_TRUSTED_PREFIX))
        return credentials_capable(&who, CAP_SYS_ADMIN) ? 0 : use == XATTR_READ ? -ENODATA : -EPERM;
    if (has_prefix(name, XATTR_SECURITY_PREFIX))
        return credentials_capable(&who, CAP_SYS_ADMIN) || use == XATTR_READ ? 0 : -EPERM;
    return -EOPNOTSUPP;
}

int64_t xattr_get(struct task *task, const struct path *path, const char *name, void *value,
                  size_t size)
{
    struct inode *inode = path->dentry->inode;
    int err = check(task, path, name, XATTR_READ);
    if (err)
        return err;
    return inode->ops->get_xattr ? inode->ops->get_xattr(inode, name, value, size) : -EOPNOTSUPP;
}

/* Names that the caller may not use stay away. In place; result: bytes left. */
static int64_t drop_foreign(char *names, int64_t size, bool root)
{
    int64_t kept = 0;
    for (int64_t at = 0; at < size;) {
        size_t length = str_length(names + at) + 1;
        if (!has_prefix(names + at, XATTR_SYSTEM_PREFIX) &&
            (root || !has_prefix(names + at, XATTR_TRUSTED_PREFIX))) {
            memmove(names + kept, names + at, length);
            kept += (int64_t)length;
        }
        at += (int64_t)length;
    }
    return kept;
}

int64_t xattr_list(struct task *task, const struct path *path, char *names, size_t size)
{
    struct inode *inode = path->dentry->inode;
    struct credentials who = task_credentials(task);
    if (!inode->ops->list_xattr)
        return 0;
    char *all = shim_alloc(XATTR_LIST_MAX);
    if (!all)
        return -ENOMEM;
    int64_t n = inode->ops->list_xattr(inode, all, XATTR_LIST_MAX);
    if (n > 0)
        n = drop_foreign(all, n, credentials_capable(&who, CAP_SYS_ADMIN));
    if (n > 0 && size && (uint64_t)n > size)
        n = -ERANGE;
    if (n > 0 && size)
        memcpy(names, all, (size_t)n);
    shim_free(all);
    return n;
}

int xattr_set(struct task *task, const struct path *path, const char *name, const void *value,
              size_t size, unsigned flags)
{
    struct inode *inode = path->dentry->inode;
    int err = check(task, path, name, XATTR_WRITE);
    if (err)
        return err;
    err = inode->ops->set_xattr ? inode->ops->set_xattr(inode, name, value, size, flags)
                                : -EOPNOTSUPP;
    if (err == 0)
        notify_dentry(path->dentry, IN_ATTRIB);
    return err;
}

/* ---- in memory -------------------------------------------------------------------------------------------------- */

struct xattr {
    struct xattr *next;     /* by name */
    size_t size, name_size; /* name_size: with its NUL */
    char bytes[];           /* the name, then the value */
};

void xattr_list_free(struct xattr *head)
{
    while (head) {
        struct xattr *next = head->next;
        shim_free(head);
        head = next;
    }
}

int64_t xattr_list_get(const struct xattr *head, const char *name, void *value, size_t size)
{
    while (head && !str_equal(head->bytes, name))
        head = head->next;
    if (!head)
        return -ENODATA;
    if (size && size < head->size)
        return -ERANGE;
    if (size)
        memcpy(value, head->bytes + head->name_size, head->size);
    return (int64_t)head->size;
}

int64_t xattr_list_names(const struct xattr *head, char *names, size_t size)
{
    size_t need = 0;
    for (const struct xattr *x = head; x; x = x->next) {
        if (size && need + x->name_size > size)
            return -ERANGE;
        if (size)
            memcpy(names + need, x->bytes, x->name_size);
        need += x->name_size;
    }
    return (int64_t)need;
}

static int compare(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

int xattr_list_set(struct xattr **head, const char *name, const void *value, size_t size,
                   unsigned flags)
{
    struct xattr **at = head;
    while (*at && compare((*at)->bytes, name) < 0)
        at = &(*at)->next;
    struct xattr *old = *at && str_equal((*at)->bytes, name) ? *at : NULL, *fresh = NULL;
    if (old && flags & XATTR_CREATE)
        return -EEXIST;
    if (!old && (flags & XATTR_REPLACE || !value))
        return -ENODATA;
    if (value) {
        size_t name_size = str_length(name) + 1;
        fresh = shim_alloc(sizeof(*fresh) + name_size + size);
        if (!fresh)
            return -ENOMEM;
        fresh->size = size;
        fresh->name_size = name_size;
        memcpy(fresh->bytes, name, name_size);
        memcpy(fresh->bytes + name_size, value, size);
        fresh->next = old ? old->next : *at;
        *at = fresh;
    } else {
        *at = old->next;
    }
    shim_free(old);
    return 0;
}
