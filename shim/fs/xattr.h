/*
 * xattr.h: extended attributes, xattr(7): who may, and where file systems in memory keep them.
 */
#ifndef PALIMPSEST_SHIM_FS_XATTR_H
#define PALIMPSEST_SHIM_FS_XATTR_H

#include <stddef.h>
#include <stdint.h>

#include "platform/annotations.h"
#include "shim/fs/vfs.h"

/* As getxattr(2), listxattr(2), setxattr(2) on what `path` is; value NULL: removexattr(2). */
MUST_USE int64_t xattr_get(struct task *task, const struct path *path, const char *name,
                           void *value, size_t size);
MUST_USE int64_t xattr_list(struct task *task, const struct path *path, char *names, size_t size);
MUST_USE int xattr_set(struct task *task, const struct path *path, const char *name,
                       const void *value, size_t size, unsigned flags);

/* A list in memory; NULL is an empty one. The owner locks. */
struct xattr;
void xattr_list_free(struct xattr *head);
MUST_USE int64_t xattr_list_get(const struct xattr *head, const char *name, void *value,
                                size_t size);
MUST_USE int64_t xattr_list_names(const struct xattr *head, char *names, size_t size);
MUST_USE int xattr_list_set(struct xattr **head, const char *name, const void *value, size_t size,
                            unsigned flags);

#endif
