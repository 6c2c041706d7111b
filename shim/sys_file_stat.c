/*
 * sys_file_stat.c: what a file is: stat and its relatives, access, modes, owners, times.
 */
#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/mount.h>
#include <linux/time_types.h>

#include "platform/errno.h"
#include "platform/host_file.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/namei.h"
#include "shim/sys_file.h"

#define NS_PER_S 1000000000ll
/* utimensat(2) */
#define UTIME_NOW_NS 0x3fffffffll
#define UTIME_OMIT_NS 0x3ffffffell

static int64_t seconds_of(int64_t ns)
{
    return ns / NS_PER_S - (ns % NS_PER_S < 0);
}

static uint32_t rest_of(int64_t ns)
{
    return (uint32_t)(ns - seconds_of(ns) * NS_PER_S);
}

static int write_stat(uint64_t addr, const struct file_stat *st)
{
    struct stat out = {
        .st_dev = st->dev,
        .st_ino = st->ino,
        .st_nlink = st->nlink,
        .st_mode = st->mode,
        .st_uid = st->uid,
        .st_gid = st->gid,
        .st_rdev = st->rdev,
        .st_size = (long)st->size,
        .st_blksize = st->block_size,
        .st_blocks = (long)st->blocks,
        .st_atime = (unsigned long)seconds_of(st->atime_ns),
        .st_atime_nsec = rest_of(st->atime_ns),
        .st_mtime = (unsigned long)seconds_of(st->mtime_ns),
        .st_mtime_nsec = rest_of(st->mtime_ns),
        .st_ctime = (unsigned long)seconds_of(st->ctime_ns),
        .st_ctime_nsec = rest_of(st->ctime_ns),
    };
    return user_write(addr, &out, sizeof(out));
}

static int stat_descriptor(struct task *task, int fd, struct file_stat *st)
{
    struct file *f = fd_get(task, fd);
    if (!f)
        return -EBADF;
    int err = file_stat(f, st);
    file_put(f);
    return err;
}

/* flags: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_NO_AUTOMOUNT and statx's AT_STATX_SYNC_TYPE */
static int stat_name(struct task *task, int dirfd, uint64_t name, uint64_t at_flags,
                     struct file_stat *st)
{
    int flags = lookup_flags_from_at(at_flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH |
                                                   AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE);
    if (flags < 0)
        return flags;
    struct user_name n;
    int err = user_name_read(&n, name);
    if (err)
        return err;
    /* fstat(2) of glibc: the open file knows more than its inode (pipes, sockets). */
    if (!n.text[0] && (at_flags & AT_EMPTY_PATH) && dirfd != AT_FDCWD)
        err = stat_descriptor(task, dirfd, st);
    else
        err = path_stat(task, dirfd, n.text, (unsigned)flags, st);
    user_name_end(&n);
    return err;
}

static long stat_to_user(struct task *task, int dirfd, uint64_t name, uint64_t at_flags,
                         uint64_t out)
{
    struct file_stat st = {0};
    int err = stat_name(task, dirfd, name, at_flags, &st);
    return err ? err : write_stat(out, &st);
}

long sys_stat(struct task *task, const struct syscall_args *args)
{
    return stat_to_user(task, AT_FDCWD, args->a[0], 0, args->a[1]);
}

long sys_lstat(struct task *task, const struct syscall_args *args)
{
    return stat_to_user(task, AT_FDCWD, args->a[0], AT_SYMLINK_NOFOLLOW, args->a[1]);
}

long sys_fstat(struct task *task, const struct syscall_args *args)
{
    struct file_stat st = {0};
    int err = stat_descriptor(task, (int)args->a[0], &st);
    return err ? err : write_stat(args->a[1], &st);
}

long sys_newfstatat(struct task *task, const struct syscall_args *args)
{
    return stat_to_user(task, (int)args->a[0], args->a[1], (uint32_t)args->a[3], args->a[2]);
}

static struct statx_timestamp statx_time(int64_t ns)
{
    return (struct statx_timestamp){.tv_sec = seconds_of(ns), .tv_nsec = rest_of(ns)};
}

/* dev_t as the kernel encodes it for user space */
static uint32_t dev_major(uint64_t dev)
{
    return (uint32_t)(dev >> 8) & 0xfff;
}

static uint32_t dev_minor(uint64_t dev)
{
    return (uint32_t)((dev & 0xff) | ((dev >> 12) & 0xfff00));
}

long sys_statx(struct task *task, const struct syscall_args *args)
{
    if ((args->a[3] & STATX__RESERVED) || (args->a[2] & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
        return -EINVAL;
    struct file_stat st = {0};
    int err = stat_name(task, (int)args->a[0], args->a[1], (uint32_t)args->a[2], &st);
    if (err)
        return err;
    struct statx out = {
        .stx_mask = STATX_BASIC_STATS | (st.btime_ns ? STATX_BTIME : 0),
        .stx_blksize = st.block_size,
        .stx_nlink = (uint32_t)st.nlink,
        .stx_uid = st.uid,
        .stx_gid = st.gid,
        .stx_mode = (uint16_t)st.mode,
        .stx_ino = st.ino,
        .stx_size = st.size,
        .stx_blocks = st.blocks,
        .stx_atime = statx_time(st.atime_ns),
        .stx_btime = statx_time(st.btime_ns),
        .stx_ctime = statx_time(st.ctime_ns),
        .stx_mtime = statx_time(st.mtime_ns),
        .stx_rdev_major = dev_major(st.rdev),
        .stx_rdev_minor = dev_minor(st.rdev),
        .stx_dev_major = dev_major(st.dev),
        .stx_dev_minor = dev_minor(st.dev),
    };
    return user_write(args->a[4], &out, sizeof(out));
}

static long do_access(struct task *task, int dirfd, uint64_t name, uint64_t mode, uint64_t at_flags)
{
    if (mode & ~7ull)
        return -EINVAL;
    int flags = lookup_flags_from_at(at_flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_EACCESS);
    if (flags < 0)
        return flags;
    struct path path;
    int err = user_path(task, dirfd, name, (unsigned)flags, &path);
    if (err)
        return err;
    struct credentials who =
        at_flags & AT_EACCESS ? task_credentials(task) : task_real_credentials(task);
    if (mode)
        err = path_permission(&who, &path, (unsigned)mode);
    if (err == 0 && mode & INODE_EXEC && S_ISREG(path.dentry->inode->mode) &&
        mount_flags(path.mount) & MS_NOEXEC)
        err = -EACCES;
    path_put(&path);
    return err;
}

long sys_access(struct task *task, const struct syscall_args *args)
{
    return do_access(task, AT_FDCWD, args->a[0], (uint32_t)args->a[1], 0);
}

long sys_faccessat(struct task *task, const struct syscall_args *args)
{
    return do_access(task, (int)args->a[0], args->a[1], (uint32_t)args->a[2], 0);
}

long sys_faccessat2(struct task *task, const struct syscall_args *args)
{
    return do_access(task, (int)args->a[0], args->a[1], (uint32_t)args->a[2], (uint32_t)args->a[3]);
}

#define ST_RDONLY_FLAG 1
#define ST_VALID_FLAG 0x20
#define ST_RELATIME_FLAG 0x1000

static int statfs_of(struct superblock *sb, const struct mount *mount, uint64_t addr)
{
    struct statfs out;
    memset(&out, 0, sizeof(out));
    out.f_type = (long)sb->magic;
    out.f_bsize = out.f_frsize = 4096;
    out.f_namelen = NAME_MAX;
    int err = sb->statfs ? sb->statfs(sb, &out) : 0;
    if (err)
        return err;
    /* ST_RDONLY, ST_NOSUID, ST_NODEV and ST_NOEXEC are numbered as their MS_ */
    unsigned flags = mount ? mount_flags(mount) & 15 : 0;
    out.f_flags = ST_VALID_FLAG | ST_RELATIME_FLAG | flags | (sb->read_only ? ST_RDONLY_FLAG : 0);
    return user_write(addr, &out, sizeof(out));
}

long sys_statfs(struct task *task, const struct syscall_args *args)
{
    struct path path;
    int err = user_path(task, AT_FDCWD, args->a[0], LOOKUP_FOLLOW, &path);
    if (err)
        return err;
    err = statfs_of(path.dentry->inode->sb, path.mount, args->a[1]);
    path_put(&path);
    return err;
}

long sys_fstatfs(struct task *task, const struct syscall_args *args)
{
    static struct superblock pipefs = {.magic = 0x50495045}; /* PIPEFS_MAGIC, linux/magic.h */
    struct file *f = fd_get(task, (int)args->a[0]);
    if (!f)
        return -EBADF;
    int err = statfs_of(f->inode ? f->inode->sb : &pipefs, f->mount, args->a[1]);
    file_put(f);
    return err;
}

/* A change to what a name leads to. */
static long change_name(struct task *task, int dirfd, uint64_t name, int flags, unsigned mask,
                        const struct file_stat *attr, enum setattr_origin origin)
{
    if (flags < 0)
        return flags;
    struct path path;
    int err = user_path(task, dirfd, name, (unsigned)flags, &path);
    if (err)
        return err;
    if ((mask & HOST_SET_MODE) && S_ISLNK(path.dentry->inode->mode))
        err = -EOPNOTSUPP;
    else
        err = vfs_setattr(task, &path, mask, attr, origin);
    path_put(&path);
    return err;
}

static long change_descriptor(struct task *task, int fd, unsigned mask,
                              const struct file_stat *attr, enum setattr_origin origin)
{
    struct file *f = fd_get(task, fd);
    if (!f)
        return -EBADF;
    struct path path;
    int err = f->flags & O_PATH ? -EBADF : path_from_file(f, &path);
    if (err == 0) {
        err = vfs_setattr(task, &path, mask, attr, origin);
        path_put(&path);
    }
    file_put(f);
    return err;
}

long sys_chmod(struct task *task, const struct syscall_args *args)
{
    struct file_stat attr = {.mode = (uint32_t)args->a[1] & 07777};
    return change_name(task, AT_FDCWD, args->a[0], LOOKUP_FOLLOW, HOST_SET_MODE, &attr,
                       SETATTR_EXPLICIT);
}

long sys_fchmod(struct task *task, const struct syscall_args *args)
{
    struct file_stat attr = {.mode = (uint32_t)args->a[1] & 07777};
    return change_descriptor(task, (int)args->a[0], HOST_SET_MODE, &attr, SETATTR_EXPLICIT);
}

long sys_fchmodat(struct task *task, const struct syscall_args *args)
{
    struct file_stat attr = {.mode = (uint32_t)args->a[2] & 07777};
    return change_name(task, (int)args->a[0], args->a[1], LOOKUP_FOLLOW, HOST_SET_MODE, &attr,
                       SETATTR_EXPLICIT);
}

long sys_fchmodat2(struct task *task, const struct syscall_args *args)
{
    struct file_stat attr = {.mode = (uint32_t)args->a[2] & 07777};
    int flags = lookup_flags_from_at((uint32_t)args->a[3], AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
    return change_name(task, (int)args->a[0], args->a[1], flags, HOST_SET_MODE, &attr,
                       SETATTR_EXPLICIT);
}

static long do_chown(struct task *task, int dirfd, uint64_t name, int flags, uint64_t uid,
                     uint64_t gid)
{
    struct file_stat attr = {.uid = (uint32_t)uid, .gid = (uint32_t)gid};
    return change_name(task, dirfd, name, flags, HOST_SET_OWNER, &attr, SETATTR_EXPLICIT);
}

long sys_chown(struct task *task, const struct syscall_args *args)
{
    return do_chown(task, AT_FDCWD, args->a[0], LOOKUP_FOLLOW, args->a[1], args->a[2]);
}

long sys_lchown(struct task *task, const struct syscall_args *args)
{
    return do_chown(task, AT_FDCWD, args->a[0], 0, args->a[1], args->a[2]);
}

long sys_fchown(struct task *task, const struct syscall_args *args)
{
    struct file_stat attr = {.uid = (uint32_t)args->a[1], .gid = (uint32_t)args->a[2]};
    return change_descriptor(task, (int)args->a[0], HOST_SET_OWNER, &attr, SETATTR_EXPLICIT);
}

long sys_fchownat(struct task *task, const struct syscall_args *args)
{
    int flags = lookup_flags_from_at((uint32_t)args->a[4], AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
    return do_chown(task, (int)args->a[0], args->a[1], flags, args->a[2], args->a[3]);
}

/* Two moments, in ns since 1970; NULL for now. name 0: the descriptor itself. */
static long set_times(struct task *task, int dirfd, uint64_t name, int flags, const int64_t *times)
{
    struct file_stat attr;
    memset(&attr, 0, sizeof(attr));
    int64_t now = (int64_t)fs_now_ns();
    attr.atime_ns = times ? times[0] : now;
    attr.mtime_ns = times ? times[1] : now;
    enum setattr_origin origin = times ? SETATTR_EXPLICIT : SETATTR_NOW;
    if (flags < 0)
        return flags;
    if (!name)
        return dirfd == AT_FDCWD ? -EFAULT
                                 : change_descriptor(task, dirfd, HOST_SET_TIMES, &attr, origin);
    return change_name(task, dirfd, name, flags, HOST_SET_TIMES, &attr, origin);
}

long sys_utime(struct task *task, const struct syscall_args *args)
{
    int64_t seconds[2];
    if (!args->a[0])
        return -EFAULT;
    if (!args->a[1])
        return set_times(task, AT_FDCWD, args->a[0], LOOKUP_FOLLOW, NULL);
    int err = user_read(seconds, args->a[1], sizeof(seconds));
    if (err)
        return err;
    int64_t times[2] = {seconds[0] * NS_PER_S, seconds[1] * NS_PER_S};
    return set_times(task, AT_FDCWD, args->a[0], LOOKUP_FOLLOW, times);
}

/* struct timeval[2] at addr, 0: now */
static long do_utimes(struct task *task, int dirfd, uint64_t name, uint64_t addr)
{
    int64_t tv[4], times[2];
    if (!addr)
        return set_times(task, dirfd, name, LOOKUP_FOLLOW, NULL);
    int err = user_read(tv, addr, sizeof(tv));
    if (err)
        return err;
    for (int i = 0; i < 2; i++) {
        if (tv[2 * i + 1] < 0 || tv[2 * i + 1] >= 1000000)
            return -EINVAL;
        times[i] = tv[2 * i] * NS_PER_S + tv[2 * i + 1] * 1000;
    }
    return set_times(task, dirfd, name, LOOKUP_FOLLOW, times);
}

long sys_utimes(struct task *task, const struct syscall_args *args)
{
    return args->a[0] ? do_utimes(task, AT_FDCWD, args->a[0], args->a[1]) : -EFAULT;
}

long sys_futimesat(struct task *task, const struct syscall_args *args)
{
    return do_utimes(task, (int)args->a[0], args->a[1], args->a[2]);
}

long sys_utimensat(struct task *task, const struct syscall_args *args)
{
    int flags = lookup_flags_from_at((uint32_t)args->a[3], AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
    if (!args->a[2])
        return set_times(task, (int)args->a[0], args->a[1], flags, NULL);
    struct __kernel_timespec ts[2];
    int err = user_read(ts, args->a[2], sizeof(ts));
    if (err)
        return err;
    if (ts[0].tv_nsec == UTIME_OMIT_NS && ts[1].tv_nsec == UTIME_OMIT_NS)
        return 0;
    if (ts[0].tv_nsec == UTIME_NOW_NS && ts[1].tv_nsec == UTIME_NOW_NS)
        return set_times(task, (int)args->a[0], args->a[1], flags, NULL);
    int64_t times[2];
    for (int i = 0; i < 2; i++) {
        if (ts[i].tv_nsec == UTIME_OMIT_NS)
            times[i] = INT64_MIN;
        else if (ts[i].tv_nsec == UTIME_NOW_NS)
            times[i] = (int64_t)fs_now_ns();
        else if (ts[i].tv_nsec < 0 || ts[i].tv_nsec >= NS_PER_S)
            return -EINVAL;
        else
            times[i] = ts[i].tv_sec * NS_PER_S + ts[i].tv_nsec;
    }
    return set_times(task, (int)args->a[0], args->a[1], flags, times);
}
