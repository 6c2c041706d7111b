/*
 * sys_file_name.c: names: directories, links, removal, renaming, where a task is; and what is
 * refused as a whole.
 */
#include <linux/capability.h>
#include <linux/inotify.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/inotify.h"
#include "shim/fs/namei.h"
#include "shim/sys_file.h"

/* struct linux_dirent of getdents(2) and linux_dirent64 of getdents64: the same head, the type at
 * different places. */
struct dirent_head {
    uint64_t ino;
    int64_t offset;
    uint16_t length;
} __attribute__((packed));
_Static_assert(sizeof(struct dirent_head) == 18, "getdents(2)");

enum dirent_format { DIRENT_OLD, DIRENT_64 };

struct dirent_buffer {
    uint64_t at;
    uint64_t left;
    enum dirent_format format;
    int error; /* why nothing more fits */
    bool any;
};

static int emit_dirent(void *arg, const char *name, size_t length, uint64_t ino, unsigned type,
                       uint64_t next_offset)
{
    struct dirent_buffer *b = arg;
    char record[sizeof(struct dirent_head) + NAME_MAX + 10];
    size_t name_at = sizeof(struct dirent_head) + (b->format == DIRENT_64);
    size_t used = name_at + length + 1 + (b->format == DIRENT_OLD);
    size_t size = (used + 7) & ~7ul;
    if (length > NAME_MAX)
        return 0;
    if (size > b->left) {
        b->error = -EINVAL;
        return 1;
    }
    struct dirent_head head = {
        .ino = ino, .offset = (int64_t)next_offset, .length = (uint16_t)size};
    memset(record, 0, size);
    memcpy(record, &head, sizeof(head));
    memcpy(record + name_at, name, length);
    record[b->format == DIRENT_64 ? sizeof(head) : size - 1] = (char)type;
    if (user_write(b->at, record, size)) {
        b->error = -EFAULT;
        return 1;
    }
    b->at += size;
    b->left -= size;
    b->any = true;
    return 0;
}

/* The file system's own entries come after two for "." and "..". */
struct shifted {
    struct dirent_buffer *buffer;
};
static int emit_shifted(void *arg, const char *name, size_t length, uint64_t ino, unsigned type,
                        uint64_t next_offset)
{
    return emit_dirent(((struct shifted *)arg)->buffer, name, length, ino, type, next_offset + 2);
}

static uint64_t parent_ino(struct file *f)
{
    struct path path = {f->mount, f->dentry};
    mutex_lock(&g_dcache_lock);
    while (path.dentry == path.mount->root && path.mount->parent) {
        path.dentry = path.mount->mountpoint;
        path.mount = path.mount->parent;
    }
    struct dentry *parent = path.dentry->parent ? path.dentry->parent : path.dentry;
    uint64_t ino = parent->inode->ino;
    mutex_unlock(&g_dcache_lock);
    return ino;
}

static long read_directory(struct task *task, struct file *f, struct dirent_buffer *b)
{
    if (!f->ops->readdir)
        return -ENOTDIR;
    if (f->dentry->deleted)
        return -ENOENT;
    uint64_t start = b->at;
    long err = 0;
    mutex_lock(&f->pos_lock);
    if (f->pos == 0 && emit_dirent(b, ".", 1, f->inode->ino, 4, 1) == 0)
        f->pos = 1;
    if (f->pos == 1 && emit_dirent(b, "..", 2, parent_ino(f), 4, 2) == 0)
        f->pos = 2;
    if (f->pos >= 2) {
        struct shifted shifted = {b};
        uint64_t offset = f->pos - 2;
        err = f->ops->readdir(task, f, &offset, emit_shifted, &shifted);
        f->pos = offset + 2;
    }
    mutex_unlock(&f->pos_lock);
    if (b->any)
        return (long)(b->at - start);
    return err ? err : b->error;
}

static long do_getdents(struct task *task, const struct syscall_args *args,
                        enum dirent_format format)
{
    struct file *f = fd_get(task, (int)args->a[0]);
    if (!f)
        return -EBADF;
    struct dirent_buffer b = {.at = args->a[1], .left = (uint32_t)args->a[2], .format = format};
    long n = f->flags & O_PATH ? -EBADF : read_directory(task, f, &b);
    if (n >= 0 && f->opened)
        notify_dentry(f->dentry, IN_ACCESS);
    file_put(f);
    return n;
}

long sys_getdents(struct task *task, const struct syscall_args *args)
{
    return do_getdents(task, args, DIRENT_OLD);
}

long sys_getdents64(struct task *task, const struct syscall_args *args)
{
    return do_getdents(task, args, DIRENT_64);
}

long sys_getcwd(struct task *task, const struct syscall_args *args)
{
    char *text = shim_alloc(PATH_MAX);
    if (!text)
        return -ENOMEM;
    struct path cwd;
    fs_get_cwd(task->fs, &cwd);
    long n = path_to_string(task, &cwd, text, PATH_MAX);
    path_put(&cwd);
    if (n >= 0 && (uint64_t)n + 1 > args->a[1])
        n = -ERANGE;
    if (n >= 0)
        n = user_write(args->a[0], text, (size_t)n + 1) ? -EFAULT : n + 1;
    shim_free(text);
    return n;
}

static int may_enter(struct task *task, const struct path *path)
{
    if (!S_ISDIR(path->dentry->inode->mode))
        return -ENOTDIR;
    struct credentials who = task_credentials(task);
    return path_permission(&who, path, INODE_EXEC);
}

long sys_chdir(struct task *task, const struct syscall_args *args)
{
    struct path path;
    int err = user_path(task, AT_FDCWD, args->a[0], LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &path);
    if (err)
        return err;
    err = may_enter(task, &path);
    if (err == 0)
        fs_set_cwd(task->fs, &path);
    path_put(&path);
    return err;
}

long sys_fchdir(struct task *task, const struct syscall_args *args)
{
    struct file *f = fd_get(task, (int)args->a[0]);
    if (!f)
        return -EBADF;
    struct path path = {f->mount, f->dentry};
    int err = f->dentry ? may_enter(task, &path) : -ENOTDIR;
    if (err == 0)
        fs_set_cwd(task->fs, &path);
    file_put(f);
    return err;
}

long sys_chroot(struct task *task, const struct syscall_args *args)
{
    struct path path;
    int err = user_path(task, AT_FDCWD, args->a[0], LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &path);
    if (err)
        return err;
    err = may_enter(task, &path);
    if (err == 0 && !process_capable(task->process, CAP_SYS_CHROOT))
        err = -EPERM;
    if (err == 0)
        fs_set_root(task->fs, &path);
    path_put(&path);
    return err;
}

long sys_umask(struct task *task, const struct syscall_args *args)
{
    return fs_set_umask(task->fs, (uint32_t)args->a[0]);
}

static long do_mkdir(struct task *task, int dirfd, uint64_t name, uint64_t mode)
{
    int err = 0;
    char *text = user_string(name, PATH_MAX, &err);
    if (!text)
        return err;
    err = vfs_mkdir(task, dirfd, text, (uint32_t)mode);
    shim_free(text);
    return err;
}

long sys_mkdir(struct task *task, const struct syscall_args *args)
{
    return do_mkdir(task, AT_FDCWD, args->a[0], args->a[1]);
}

long sys_mkdirat(struct task *task, const struct syscall_args *args)
{
    return do_mkdir(task, (int)args->a[0], args->a[1], args->a[2]);
}

static long do_mknod(struct task *task, int dirfd, uint64_t name, uint64_t mode_arg, uint64_t rdev)
{
    uint32_t mode = (uint32_t)mode_arg;
    switch (mode & S_IFMT) {
    case 0:
        mode |= S_IFREG;
        break;
    case S_IFREG:
    case S_IFIFO:
    case S_IFSOCK:
        break;
    case S_IFCHR:
    case S_IFBLK:
        if (!process_capable(task->process, CAP_MKNOD))
            return -EPERM;
        break;
    case S_IFDIR:
        return -EPERM;
    default:
        return -EINVAL;
    }
    int err = 0;
    char *text = user_string(name, PATH_MAX, &err);
    if (!text)
        return err;
    err = vfs_mknod(task, dirfd, text, mode, (uint32_t)rdev);
    shim_free(text);
    return err;
}

long sys_mknod(struct task *task, const struct syscall_args *args)
{
    return do_mknod(task, AT_FDCWD, args->a[0], args->a[1], args->a[2]);
}

long sys_mknodat(struct task *task, const struct syscall_args *args)
{
    return do_mknod(task, (int)args->a[0], args->a[1], args->a[2], args->a[3]);
}

static long do_remove(struct task *task, int dirfd, uint64_t name,
                      int (*removal)(struct task *, int, const char *))
{
    int err = 0;
    char *text = user_string(name, PATH_MAX, &err);
    if (!text)
        return err;
    err = removal(task, dirfd, text);
    shim_free(text);
    return err;
}

long sys_rmdir(struct task *task, const struct syscall_args *args)
{
    return do_remove(task, AT_FDCWD, args->a[0], vfs_rmdir);
}

long sys_unlink(struct task *task, const struct syscall_args *args)
{
    return do_remove(task, AT_FDCWD, args->a[0], vfs_unlink);
}

long sys_unlinkat(struct task *task, const struct syscall_args *args)
{
    uint32_t flags = (uint32_t)args->a[2];
    if (flags & ~(uint32_t)AT_REMOVEDIR)
        return -EINVAL;
    return do_remove(task, (int)args->a[0], args->a[1], flags ? vfs_rmdir : vfs_unlink);
}

static long do_rename(struct task *task, int from_fd, uint64_t from, int to_fd, uint64_t to,
                      uint64_t flags)
{
    int err = 0;
    char *from_text = user_string(from, PATH_MAX, &err);
    char *to_text = from_text ? user_string(to, PATH_MAX, &err) : NULL;
    if (to_text)
        err = vfs_rename(task, from_fd, from_text, to_fd, to_text, (unsigned)flags);
    shim_free(from_text);
    shim_free(to_text);
    return err;
}

long sys_rename(struct task *task, const struct syscall_args *args)
{
    return do_rename(task, AT_FDCWD, args->a[0], AT_FDCWD, args->a[1], 0);
}

long sys_renameat(struct task *task, const struct syscall_args *args)
{
    return do_rename(task, (int)args->a[0], args->a[1], (int)args->a[2], args->a[3], 0);
}

long sys_renameat2(struct task *task, const struct syscall_args *args)
{
    return do_rename(task, (int)args->a[0], args->a[1], (int)args->a[2], args->a[3], args->a[4]);
}

static long do_link(struct task *task, int from_fd, uint64_t from, int to_fd, uint64_t to,
                    uint64_t at_flags)
{
    int flags = lookup_flags_from_at(at_flags, AT_SYMLINK_FOLLOW | AT_EMPTY_PATH);
    if (flags < 0)
        return flags;
    struct path target;
    int err = user_path(task, from_fd, from, (unsigned)flags, &target);
    if (err)
        return err;
    char *text = user_string(to, PATH_MAX, &err);
    if (text)
        err = vfs_link(task, &target, to_fd, text);
    shim_free(text);
    path_put(&target);
    return err;
}

long sys_link(struct task *task, const struct syscall_args *args)
{
    return do_link(task, AT_FDCWD, args->a[0], AT_FDCWD, args->a[1], 0);
}

long sys_linkat(struct task *task, const struct syscall_args *args)
{
    return do_link(task, (int)args->a[0], args->a[1], (int)args->a[2], args->a[3],
                   (uint32_t)args->a[4]);
}

static long do_symlink(struct task *task, uint64_t target, int dirfd, uint64_t name)
{
    int err = 0;
    char *target_text = user_string(target, PATH_MAX, &err);
    char *text = target_text ? user_string(name, PATH_MAX, &err) : NULL;
    if (text)
        err = target_text[0] ? vfs_symlink(task, target_text, dirfd, text) : -ENOENT;
    shim_free(target_text);
    shim_free(text);
    return err;
}

long sys_symlink(struct task *task, const struct syscall_args *args)
{
    return do_symlink(task, args->a[0], AT_FDCWD, args->a[1]);
}

long sys_symlinkat(struct task *task, const struct syscall_args *args)
{
    return do_symlink(task, args->a[0], (int)args->a[1], args->a[2]);
}

static long do_readlink(struct task *task, int dirfd, uint64_t name, uint64_t out, int64_t size)
{
    if (size <= 0)
        return -EINVAL;
    struct path path;
    /* readlinkat(2): an empty name means the link that dirfd, opened with O_PATH, is. */
    unsigned flags = dirfd == AT_FDCWD ? 0 : LOOKUP_EMPTY;
    long n = user_path(task, dirfd, name, flags, &path);
    if (n)
        return n;
    struct inode *inode = path.dentry->inode;
    char *text = NULL;
    if (!S_ISLNK(inode->mode) || !inode->ops->readlink)
        n = -EINVAL;
    else if (!(text = shim_alloc(PATH_MAX)))
        n = -ENOMEM;
    else
        n = inode->ops->readlink(inode, text, PATH_MAX);
    if (n > size)
        n = size;
    if (n > 0 && user_write(out, text, (size_t)n))
        n = -EFAULT;
    shim_free(text);
    path_put(&path);
    return n;
}

long sys_readlink(struct task *task, const struct syscall_args *args)
{
    return do_readlink(task, AT_FDCWD, args->a[0], args->a[1], (int32_t)args->a[2]);
}

long sys_readlinkat(struct task *task, const struct syscall_args *args)
{
    return do_readlink(task, (int)args->a[0], args->a[1], args->a[2], (int32_t)args->a[3]);
}

/* What no file system here has, and what nobody may do. */
#define REFUSED(call, error)                                                                       \
    long sys_##call(struct task *task UNUSED, const struct syscall_args *args UNUSED)              \
    {                                                                                              \
        return -(error);                                                                           \
    }
REFUSED(name_to_handle_at, EOPNOTSUPP)
REFUSED(pivot_root, EPERM)
