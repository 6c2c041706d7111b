/*
 * hostfs_names.c: the calls that make, remove and move names of host files. Under the directory's lock, as the VFS calls them.
 */
#include "shim/fs/hostfs_names.h"

#include <linux/fs.h>

#include "platform/errno.h"
#include "platform/host_file.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/shim.h"

struct inode *hostfs_create(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev,
                            uint32_t uid, uint32_t gid, int *err)
{
    struct host_file *above = hostfs_handle(dir, err);
    if (!above)
        return NULL;
    int made = 0;
    if (S_ISDIR(mode)) {
        made = host_file_mkdir(g_platform, above, name, mode & 07777);
    } else if (S_ISREG(mode)) {
        unsigned flags = HOST_OPEN_READ | HOST_OPEN_WRITE | HOST_OPEN_CREATE | HOST_OPEN_EXCLUSIVE;
        struct host_file *file =
            host_file_open(g_platform, above, name, flags, mode & 07777, &made);
        if (file) {
            struct host_stat st;
            struct inode *inode = NULL;
            made = host_file_stat(g_platform, file, &st);
            if (made == 0)
                inode = hostfs_seen(dir->sb, dir, name, &st, &made);
            /* The mode may forbid opening it a second time. */
            if (inode)
                hostfs_offer_data(inode, file);
            else
                host_file_close(g_platform, file);
            host_file_close(g_platform, above);
            *err = made;
            return hostfs_give_to(inode, uid, gid);
        }
    } else {
        made = host_file_mknod(g_platform, above, name, mode, rdev);
    }
    host_file_close(g_platform, above);
    *err = made;
    return made ? NULL : hostfs_give_to(hostfs_lookup(dir, name, NULL, err), uid, gid);
}

/* Pinned by its one handle from the start: no name leads to it. */
struct inode *hostfs_tmpfile(struct inode *dir, uint32_t mode, uint32_t uid, uint32_t gid, int *err)
{
    struct host_file *above = hostfs_handle(dir, err);
    if (!above)
        return NULL;
    struct host_file *file =
        host_file_open(g_platform, above, "", HOST_OPEN_READ | HOST_OPEN_WRITE | HOST_OPEN_NAMELESS,
                       mode & 07777, err);
    host_file_close(g_platform, above);
    if (!file)
        return NULL;
    struct host_stat st;
    *err = host_file_stat(g_platform, file, &st);
    struct inode *inode = *err ? NULL : hostfs_seen(dir->sb, dir, "", &st, err);
    if (!inode) {
        host_file_close(g_platform, file);
        return NULL;
    }
    hostfs_pin_nameless(inode, file);
    return hostfs_give_to(inode, uid, gid);
}

struct inode *hostfs_symlink(struct inode *dir, const char *name, const char *target, uint32_t uid,
                             uint32_t gid, int *err)
{
    struct host_file *above = hostfs_handle(dir, err);
    if (!above)
        return NULL;
    int made = host_file_symlink(g_platform, above, name, target);
    host_file_close(g_platform, above);
    *err = made;
    return made ? NULL : hostfs_give_to(hostfs_lookup(dir, name, NULL, err), uid, gid);
}

int hostfs_link(struct inode *dir, const char *name, struct inode *target)
{
    int err = 0;
    struct host_file *above = hostfs_handle(dir, &err);
    if (!above)
        return err;
    struct host_file *file = hostfs_handle(target, &err);
    if (file) {
        err = host_file_link(g_platform, file, above, name);
        if (err == 0)
            hostfs_now_named(target, dir, name);
        host_file_close(g_platform, file);
    }
    host_file_close(g_platform, above);
    return err;
}

int hostfs_unlink(struct inode *dir, const char *name, struct inode *victim)
{
    int err = 0;
    struct host_file *above = hostfs_handle(dir, &err);
    if (!above)
        return err;
    hostfs_pin(victim);
    err = host_file_unlink(g_platform, above, name, S_ISDIR(victim->mode));
    host_file_close(g_platform, above);
    return err;
}

int hostfs_rename(struct inode *from_dir, const char *from, struct inode *to_dir, const char *to,
                  unsigned flags)
{
    int err = 0;
    struct inode *moved = hostfs_lookup(from_dir, from, NULL, &err);
    if (!moved)
        return err;
    struct inode *other = hostfs_lookup(to_dir, to, NULL, &err);
    char *to_name = shim_strdup(to), *from_name = shim_strdup(from);
    struct host_file *a = NULL, *b = NULL;
    err = to_name && from_name ? 0 : -ENOMEM;
    if (err == 0)
        a = hostfs_handle(from_dir, &err);
    if (err == 0)
        b = hostfs_handle(to_dir, &err);
    if (err == 0 && other && !(flags & RENAME_EXCHANGE))
        hostfs_pin(other);
    if (err == 0)
        err = host_file_rename(g_platform, a, from, b, to, flags);
    if (err == 0) {
        hostfs_renamed(moved, to_dir, to_name);
        to_name = NULL;
        if (other && (flags & RENAME_EXCHANGE)) {
            hostfs_renamed(other, from_dir, from_name);
            from_name = NULL;
        }
    }
    if (a)
        host_file_close(g_platform, a);
    if (b)
        host_file_close(g_platform, b);
    shim_free(to_name);
    shim_free(from_name);
    inode_put(moved);
    if (other)
        inode_put(other);
    return err;
}
