/*
 * sys_file.c: calls on descriptors as such: open, close, dup, fcntl, ioctl, locks.
 */
#include "shim/sys_file.h"

#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/memfd.h>
#include <linux/openat2.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/file_ioctl.h"
#include "shim/fs/locks.h"
#include "shim/fs/memfs.h"
#include "shim/fs/namei.h"
#include "shim/fs/pipe.h"
#include "shim/stats.h"

int user_path(struct task *task, int dirfd, uint64_t name, unsigned flags, struct path *out)
{
    struct user_name n;
    int err = user_name_read(&n, name);
    if (err)
        return err;
    err = path_lookup(task, dirfd, n.text, flags, out);
    user_name_end(&n);
    return err;
}

int lookup_flags_from_at(uint64_t at_flags, unsigned allowed)
{
    if (at_flags & ~(uint64_t)allowed)
        return -EINVAL;
    int flags = 0;
    if (at_flags & AT_EMPTY_PATH)
        flags |= LOOKUP_EMPTY;
    bool follows = allowed & AT_SYMLINK_NOFOLLOW ? !(at_flags & AT_SYMLINK_NOFOLLOW)
                                                 : !!(at_flags & AT_SYMLINK_FOLLOW);
    if (follows)
        flags |= LOOKUP_FOLLOW;
    return flags;
}

static enum fd_flags fd_flags_from_open(uint32_t flags)
{
    return flags & O_CLOEXEC ? FD_CLOSE_ON_EXEC : FD_KEEP;
}

/* open(2): flags nobody knows are ignored. */
#define OPEN_KNOWN                                                                                 \
    (O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_DSYNC |         \
     FASYNC | O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC |          \
     __O_SYNC | O_PATH | __O_TMPFILE)

static long do_open(struct task *task, int dirfd, uint64_t name, uint64_t flags, uint64_t mode,
                    unsigned resolve)
{
    struct user_name n;
    int err = user_name_read(&n, name);
    if (err)
        return err;
    uint32_t known = (uint32_t)flags & OPEN_KNOWN;
    struct file *f = vfs_open_how(task, dirfd, n.text, known, (uint32_t)mode, resolve, &err);
    user_name_end(&n);
    if (!f)
        return err;
    return fd_install(task, f, 0, fd_flags_from_open(known));
}

long sys_open(struct task *task, const struct syscall_args *args)
{
    return do_open(task, AT_FDCWD, args->a[0], args->a[1], args->a[2], 0);
}

long sys_openat(struct task *task, const struct syscall_args *args)
{
    return do_open(task, (int)args->a[0], args->a[1], args->a[2], args->a[3], 0);
}

/* Bytes beyond what we know of a structure that grows must be zero. 0, -E2BIG, -EFAULT. */
static int check_tail(uint64_t addr, uint64_t size)
{
    char chunk[64];
    while (size) {
        size_t part = size < sizeof(chunk) ? size : sizeof(chunk);
        int err = user_read(chunk, addr, part);
        if (err)
            return err;
        for (size_t i = 0; i < part; i++)
            if (chunk[i])
                return -E2BIG;
        addr += part;
        size -= part;
    }
    return 0;
}

static unsigned lookup_flags_from_resolve(uint64_t resolve)
{
    return (resolve & RESOLVE_BENEATH ? LOOKUP_BENEATH : 0u) |
           (resolve & RESOLVE_IN_ROOT ? LOOKUP_IN_ROOT : 0u) |
           (resolve & RESOLVE_NO_SYMLINKS ? LOOKUP_NO_SYMLINKS : 0u) |
           (resolve & RESOLVE_NO_MAGICLINKS ? LOOKUP_NO_MAGICLINKS : 0u) |
           (resolve & RESOLVE_NO_XDEV ? LOOKUP_NO_XDEV : 0u);
}

#define RESOLVE_KNOWN                                                                              \
    (RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |             \
     RESOLVE_NO_XDEV | RESOLVE_CACHED)

/* openat2(2): unlike open, refuses what it doesn't know. */
long sys_openat2(struct task *task, const struct syscall_args *args)
{
    struct open_how how;
    if (args->a[3] < sizeof(how))
        return -EINVAL;
    if (args->a[3] > 4096)
        return -E2BIG;
    int err = user_read(&how, args->a[2], sizeof(how));
    if (err == 0)
        err = check_tail(args->a[2] + sizeof(how), args->a[3] - sizeof(how));
    if (err)
        return err;
    bool creates = how.flags & O_CREAT || (how.flags & __O_TMPFILE);
    if (how.flags & ~(uint64_t)OPEN_KNOWN || how.resolve & ~(uint64_t)RESOLVE_KNOWN ||
        (creates && how.mode & ~07777ull) || (!creates && how.mode) ||
        (how.resolve & RESOLVE_BENEATH && how.resolve & RESOLVE_IN_ROOT) ||
        (how.flags & O_PATH &&
         how.flags & ~(uint64_t)(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)))
        return -EINVAL;
    /* Whether everything is in memory is nobody's to say here: the caller asks again without, as it must expect. */
    if (how.resolve & RESOLVE_CACHED)
        return -EAGAIN;
    return do_open(task, (int)args->a[0], args->a[1], how.flags, how.mode,
                   lookup_flags_from_resolve(how.resolve));
}

long sys_creat(struct task *task, const struct syscall_args *args)
{
    return do_open(task, AT_FDCWD, args->a[0], O_CREAT | O_WRONLY | O_TRUNC, args->a[1], 0);
}

long sys_close(struct task *task, const struct syscall_args *args)
{
    return fd_close(task, (int)args->a[0]);
}

long sys_close_range(struct task *task, const struct syscall_args *args)
{
    unsigned first = (unsigned)args->a[0], last = (unsigned)args->a[1],
             flags = (unsigned)args->a[2];
    if (first > last || (flags & ~(unsigned)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)))
        return -EINVAL;
    int err = flags & CLOSE_RANGE_UNSHARE ? fd_unshare(task) : 0;
    if (err == 0)
        fd_range(task, first, last,
                 flags & CLOSE_RANGE_CLOEXEC ? FD_RANGE_CLOEXEC : FD_RANGE_CLOSE);
    return err;
}

long sys_dup(struct task *task, const struct syscall_args *args)
{
    struct file *f = fd_get(task, (int)args->a[0]);
    return f ? fd_install(task, f, 0, FD_KEEP) : -EBADF;
}

static long dup_at(struct task *task, int from, int to, enum fd_flags flags)
{
    struct file *f = fd_get(task, from);
    return f ? fd_install_at(task, f, to, flags) : -EBADF;
}

long sys_dup2(struct task *task, const struct syscall_args *args)
{
    int from = (int)args->a[0], to = (int)args->a[1];
    if (from == to) {
        int flags = fd_get_flags(task, from);
        return flags < 0 ? flags : from;
    }
    return dup_at(task, from, to, FD_KEEP);
}

long sys_dup3(struct task *task, const struct syscall_args *args)
{
    int from = (int)args->a[0], to = (int)args->a[1];
    if (from == to || (args->a[2] & ~(uint64_t)O_CLOEXEC))
        return -EINVAL;
    return dup_at(task, from, to, fd_flags_from_open((uint32_t)args->a[2]));
}

static long dup_above(struct task *task, struct file *f, uint64_t min, enum fd_flags flags)
{
    if (min >= task->process->rlimits[7 /* RLIMIT_NOFILE */].cur || min > INT32_MAX)
        return -EINVAL;
    file_get(f);
    return fd_install(task, f, (int)min, flags);
}

#define SETFL_MASK (O_APPEND | O_NONBLOCK | FASYNC | O_DIRECT | O_NOATIME)

/* Kinds without signals do not take O_ASYNC. */
static long set_status_flags(struct file *f, int fd, uint32_t flags)
{
    if (!f->ops->async_lists)
        flags &= ~(uint32_t)FASYNC;
    uint32_t old = __atomic_load_n(&f->flags, __ATOMIC_RELAXED), changed;
    int err = (old ^ flags) & FASYNC ? async_set(f, fd, flags & FASYNC) : 0;
    if (err)
        return err;
    do
        changed = (old & ~(uint32_t)SETFL_MASK) | (flags & SETFL_MASK);
    while (!__atomic_compare_exchange_n(&f->flags, &old, changed, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
    if (f->ops->flags_changed)
        f->ops->flags_changed(f);
    return 0;
}

/* A group's number as a negative one. */
static long told_owner(struct file *f)
{
    struct file_owner owner = async_owner(f);
    return owner.type == F_OWNER_PGRP ? -owner.id : owner.id;
}

static long owner_ex(struct task *task, struct file *f, int cmd, uint64_t arg)
{
    struct file_owner now = async_owner(f);
    struct f_owner_ex owner = {.type = now.type, .pid = now.id};
    if (cmd == F_GETOWN_EX)
        return user_write(arg, &owner, sizeof(owner));
    int err = user_read(&owner, arg, sizeof(owner));
    if (err)
        return err;
    if (owner.type < F_OWNER_TID || owner.type > F_OWNER_PGRP)
        return -EINVAL;
    return owner.pid < 0 ? -ESRCH : async_set_owner(task, f, owner.type, owner.pid);
}

static long do_fcntl(struct task *task, int fd, struct file *f, int cmd, uint64_t arg)
{
    switch (cmd) {
    case F_DUPFD:
        return dup_above(task, f, (uint32_t)arg, FD_KEEP);
    case F_DUPFD_CLOEXEC:
        return dup_above(task, f, (uint32_t)arg, FD_CLOSE_ON_EXEC);
    case F_GETFD:
        return fd_get_flags(task, fd);
    case F_SETFD:
        return fd_set_flags(task, fd, arg & FD_CLOEXEC ? FD_CLOSE_ON_EXEC : FD_KEEP);
    case F_GETFL:
        return (long)f->flags;
    default:
        break;
    }
    if (f->flags & O_PATH)
        return -EBADF;
    switch (cmd) {
    case F_SETFL:
        return set_status_flags(f, fd, (uint32_t)arg);
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return locks_fcntl(task, f, cmd, arg);
    case F_GETOWN:
        return told_owner(f);
    case F_SETOWN:
        return (int)arg == INT32_MIN ? -EINVAL
               : (int)arg < 0        ? async_set_owner(task, f, F_OWNER_PGRP, -(int)arg)
                                     : async_set_owner(task, f, F_OWNER_PID, (int)arg);
    case F_GETOWN_EX:
    case F_SETOWN_EX:
        return owner_ex(task, f, cmd, arg);
    case F_GETSIG:
        return __atomic_load_n(&f->owner.signal, __ATOMIC_RELAXED);
    case F_SETSIG:
        if (arg > 64)
            return -EINVAL;
        __atomic_store_n(&f->owner.signal, (int)arg, __ATOMIC_RELAXED);
        return 0;
    case F_GETPIPE_SZ:
        return pipe_get_size(f);
    case F_SETPIPE_SZ:
        return pipe_set_size(f, (uint32_t)arg);
    case F_ADD_SEALS:
        return memfs_add_seals(f, (unsigned)arg);
    case F_GET_SEALS:
        return memfs_get_seals(f);
    case F_GETLEASE:
        return F_UNLCK;
    default:
        stats_unsupported("fcntl: command");
        return -EINVAL;
    }
}

long sys_fcntl(struct task *task, const struct syscall_args *args)
{
    struct file *f = fd_get(task, (int)args->a[0]);
    if (!f)
        return -EBADF;
    long result = do_fcntl(task, (int)args->a[0], f, (int)args->a[1], args->a[2]);
    file_put(f);
    return result;
}

long sys_flock(struct task *task, const struct syscall_args *args)
{
    struct file *f = fd_get(task, (int)args->a[0]);
    if (!f)
        return -EBADF;
    long result = f->flags & O_PATH ? -EBADF : locks_flock(task, f, (int)args->a[1]);
    file_put(f);
    return result;
}

static long set_flag_from_user(struct file *f, int fd, uint64_t arg, uint32_t flag)
{
    int on;
    int err = user_read(&on, arg, sizeof(on));
    if (err)
        return err;
    if (flag == FASYNC && ((f->flags ^ (on ? flag : 0)) & flag) && !f->ops->async_lists)
        return -ENOTTY;
    return set_status_flags(f, fd, on ? f->flags | flag : f->flags & ~flag);
}

static long regular_bytes_left(struct file *f, uint64_t arg)
{
    struct file_stat st;
    int err = file_stat(f, &st);
    if (err)
        return err;
    int left = st.size > f->pos ? (int)(st.size - f->pos) : 0;
    return user_write(arg, &left, sizeof(left));
}

static long do_ioctl(struct task *task, int fd, struct file *f, unsigned request, uint64_t arg)
{
    switch (request) {
    case FIOCLEX:
        return fd_set_flags(task, fd, FD_CLOSE_ON_EXEC);
    case FIONCLEX:
        return fd_set_flags(task, fd, FD_KEEP);
    case FIONBIO:
        return set_flag_from_user(f, fd, arg, O_NONBLOCK);
    case FIOASYNC:
        return set_flag_from_user(f, fd, arg, FASYNC);
    case FIONREAD:
        if (f->inode && S_ISREG(f->inode->mode))
            return regular_bytes_left(f, arg);
        break;
    default:
        break;
    }
    long common = file_ioctl(task, f, request, arg);
    if (common != FILE_IOCTL_OTHER)
        return common;
    if (f->ops->ioctl)
        return (long)f->ops->ioctl(task, f, request, arg);
    /* Every program asks its files whether they are terminals: not worth counting. */
    if (request != TCGETS && request != TIOCGWINSZ && request != TIOCGPGRP)
        stats_unsupported("ioctl: request");
    return -ENOTTY;
}

long sys_ioctl(struct task *task, const struct syscall_args *args)
{
    struct file *f = fd_get(task, (int)args->a[0]);
    if (!f)
        return -EBADF;
    long result = f->flags & O_PATH
                      ? -EBADF
                      : do_ioctl(task, (int)args->a[0], f, (unsigned)args->a[1], args->a[2]);
    file_put(f);
    return result;
}

#ifndef MFD_NOEXEC_SEAL /* since Linux 6.3 */
#define MFD_NOEXEC_SEAL 8u
#define MFD_EXEC 16u
#endif
#define MFD_HUGE_SIZES (63u << 26)

long sys_memfd_create(struct task *task, const struct syscall_args *args)
{
    unsigned flags = (unsigned)args->a[1];
    if (flags & MFD_HUGETLB) /* with a size or without: as on a kernel without hugetlbfs */
        return flags & ~(unsigned)(MFD_HUGETLB | MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGE_SIZES)
                   ? -EINVAL
                   : -ENOSYS;
    if (flags & ~(unsigned)(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC) ||
        (flags & MFD_EXEC && flags & MFD_NOEXEC_SEAL))
        return -EINVAL;
    int err = 0;
    /* memfd_create(2): a name of at most 249 bytes. */
    char *name = user_string(args->a[0], 250, &err);
    if (!name)
        return err == -ENAMETOOLONG ? -EINVAL : err;
    struct file *f = memfd_file(name, flags, &err);
    shim_free(name);
    return f ? fd_install(task, f, 0, flags & MFD_CLOEXEC ? FD_CLOSE_ON_EXEC : FD_KEEP) : err;
}
