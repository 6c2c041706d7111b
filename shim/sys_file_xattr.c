/*
 * sys_file_xattr.c: the calls on extended attributes. Three ways to name the file: by name, the link itself, by descriptor.
 */
#include <linux/limits.h>
#include <linux/xattr.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/namei.h"
#include "shim/fs/xattr.h"
#include "shim/sys_file.h"

enum naming { BY_NAME, BY_LINK, BY_DESCRIPTOR };

static int find(struct task *task, uint64_t what, enum naming naming, struct path *out)
{
    if (naming != BY_DESCRIPTOR)
        return user_path(task, AT_FDCWD, what, naming == BY_NAME ? LOOKUP_FOLLOW : 0, out);
    struct file *f = fd_get(task, (int)what);
    if (!f)
        return -EBADF;
    int err = f->flags & O_PATH ? -EBADF : path_from_file(f, out);
    file_put(f);
    return err;
}

/* xattr(7): a name has 1 to 255 bytes. NULL, *err. */
static char *read_name(uint64_t addr, int *err)
{
    char *name = user_string(addr, XATTR_NAME_MAX + 1, err);
    if (!name && *err == -ENAMETOOLONG)
        *err = -ERANGE;
    if (name && !name[0]) {
        shim_free(name);
        name = NULL;
        *err = -ERANGE;
    }
    return name;
}

static long set_value(struct task *task, const struct path *path, const char *name, uint64_t addr,
                      size_t size, unsigned flags)
{
    char *value = shim_alloc(size ? size : 1);
    long err = !value ? -ENOMEM : size ? user_read(value, addr, size) : 0;
    if (err == 0)
        err = xattr_set(task, path, name, value, size, flags);
    shim_free(value);
    return err;
}

static long do_set(struct task *task, const struct syscall_args *args, enum naming naming)
{
    struct path path;
    unsigned flags = (unsigned)args->a[4];
    int err = 0;
    if (flags & ~(unsigned)(XATTR_CREATE | XATTR_REPLACE))
        return -EINVAL;
    char *name = read_name(args->a[1], &err);
    if (!name)
        return err;
    long result = args->a[3] > XATTR_SIZE_MAX ? -E2BIG : find(task, args->a[0], naming, &path);
    if (result == 0) {
        result = set_value(task, &path, name, args->a[2], args->a[3], flags);
        path_put(&path);
    }
    shim_free(name);
    return result;
}

static long do_remove(struct task *task, const struct syscall_args *args, enum naming naming)
{
    struct path path;
    int err = 0;
    char *name = read_name(args->a[1], &err);
    if (!name)
        return err;
    err = find(task, args->a[0], naming, &path);
    if (err == 0) {
        err = xattr_set(task, &path, name, NULL, 0, 0);
        path_put(&path);
    }
    shim_free(name);
    return err;
}

static long get_value(struct task *task, const struct path *path, const char *name, uint64_t out,
                      size_t size)
{
    if (size > XATTR_SIZE_MAX)
        size = XATTR_SIZE_MAX;
    char *value = size ? shim_alloc(size) : NULL;
    if (size && !value)
        return -ENOMEM;
    int64_t n = xattr_get(task, path, name, value, size);
    if (n > 0 && size && user_write(out, value, (size_t)n))
        n = -EFAULT;
    shim_free(value);
    return n;
}

static long do_get(struct task *task, const struct syscall_args *args, enum naming naming)
{
    struct path path;
    int err = 0;
    char *name = read_name(args->a[1], &err);
    if (!name)
        return err;
    long n = find(task, args->a[0], naming, &path);
    if (n == 0) {
        n = get_value(task, &path, name, args->a[2], args->a[3]);
        path_put(&path);
    }
    shim_free(name);
    return n;
}

static long do_list(struct task *task, const struct syscall_args *args, enum naming naming)
{
    struct path path;
    size_t size = args->a[2] < XATTR_LIST_MAX ? args->a[2] : XATTR_LIST_MAX;
    long n = find(task, args->a[0], naming, &path);
    if (n)
        return n;
    char *names = size ? shim_alloc(size) : NULL;
    n = size && !names ? -ENOMEM : xattr_list(task, &path, names, size);
    if (n > 0 && size && user_write(args->a[1], names, (size_t)n))
        n = -EFAULT;
    shim_free(names);
    path_put(&path);
    return n;
}

#define THREE_WAYS(verb, handler)                                                                  \
    long sys_##verb(struct task *task, const struct syscall_args *args)                            \
    {                                                                                              \
        return handler(task, args, BY_NAME);                                                       \
    }                                                                                              \
    long sys_l##verb(struct task *task, const struct syscall_args *args)                           \
    {                                                                                              \
        return handler(task, args, BY_LINK);                                                       \
    }                                                                                              \
    long sys_f##verb(struct task *task, const struct syscall_args *args)                           \
    {                                                                                              \
        return handler(task, args, BY_DESCRIPTOR);                                                 \
    }
THREE_WAYS(setxattr, do_set)
THREE_WAYS(getxattr, do_get)
THREE_WAYS(listxattr, do_list)
THREE_WAYS(removexattr, do_remove)
