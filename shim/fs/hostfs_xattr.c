/*
 * hostfs_xattr.c: extended attributes of host files: the host keeps and checks them.
 */
#include "platform/errno.h"
#include "platform/host_file.h"
#include "shim/fs/hostfs.h"
#include "shim/shim.h"

int64_t hostfs_get_xattr(struct inode *inode, const char *name, void *value, size_t size)
{
    int err = 0;
    struct host_file *file = hostfs_handle(inode, &err);
    if (!file)
        return err;
    int64_t n = host_file_get_xattr(g_platform, file, name, value, size);
    host_file_close(g_platform, file);
    return n;
}

int64_t hostfs_list_xattr(struct inode *inode, char *names, size_t size)
{
    int err = 0;
    struct host_file *file = hostfs_handle(inode, &err);
    if (!file)
        return err;
    int64_t n = host_file_list_xattr(g_platform, file, names, size);
    host_file_close(g_platform, file);
    return n == -EOPNOTSUPP ? 0 : n;
}

int hostfs_set_xattr(struct inode *inode, const char *name, const void *value, size_t size,
                     unsigned flags)
{
    int err = 0;
    struct host_file *file = hostfs_handle(inode, &err);
    if (!file)
        return err;
    err = host_file_set_xattr(g_platform, file, name, value, size, flags);
    host_file_close(g_platform, file);
    return err;
}
