/*
 * sys_file.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_FILE_H
#define PALIMPSEST_SHIM_SYS_FILE_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_FILE(X)                                                                      \
    X(open, 3, FULL, "")                                                                           \
    X(openat, 4, FULL, "")                                                                         \
    X(openat2, 4, PARTIAL, "RESOLVE_CACHED always says EAGAIN")                                    \
    X(creat, 2, FULL, "")                                                                          \
    X(close, 1, FULL, "")                                                                          \
    X(close_range, 3, FULL, "")                                                                    \
    X(dup, 1, FULL, "")                                                                            \
    X(dup2, 2, FULL, "")                                                                           \
    X(dup3, 3, FULL, "")                                                                           \
    X(fcntl, 3, PARTIAL,                                                                           \
      "no leases, no F_NOTIFY; O_ASYNC on sockets of --net=host and on pal's own terminal is "     \
      "without effect")                                                                            \
    X(flock, 2, FULL, "")                                                                          \
    X(ioctl, 3, PARTIAL, "what each kind of file knows; else ENOTTY, counted")                     \
    X(read, 3, FULL, "")                                                                           \
    X(write, 3, FULL, "")                                                                          \
    X(pread64, 4, FULL, "")                                                                        \
    X(pwrite64, 4, FULL, "")                                                                       \
    X(readv, 3, FULL, "")                                                                          \
    X(writev, 3, FULL, "")                                                                         \
    X(preadv, 5, FULL, "")                                                                         \
    X(pwritev, 5, FULL, "")                                                                        \
    X(preadv2, 6, PARTIAL, "RWF_NOWAIT on regular files only, else EOPNOTSUPP")                    \
    X(pwritev2, 6, PARTIAL,                                                                        \
      "RWF_NOWAIT on regular files only; RWF_ flags since Linux 6.9 are EOPNOTSUPP")               \
    X(lseek, 3, FULL, "")                                                                          \
    X(sendfile, 4, FULL, "")                                                                       \
    X(splice, 6, FULL, "")                                                                         \
    X(tee, 4, FULL, "")                                                                            \
    X(vmsplice, 4, FULL, "")                                                                       \
    X(copy_file_range, 6, FULL, "")                                                                \
    X(truncate, 2, FULL, "")                                                                       \
    X(ftruncate, 2, FULL, "")                                                                      \
    X(fallocate, 4, PARTIAL,                                                                       \
      "in memory: allocate, punch, zero; on a host mount what the host has")                       \
    X(fadvise64, 4, NOOP, "advice")                                                                \
    X(readahead, 3, NOOP, "advice")                                                                \
    X(fsync, 1, FULL, "")                                                                          \
    X(fdatasync, 1, FULL, "")                                                                      \
    X(sync, 0, NOOP, "what is in memory has no disk; host files are as the host has them")         \
    X(syncfs, 1, NOOP, "as sync")                                                                  \
    X(sync_file_range, 4, NOOP, "as sync")                                                         \
    X(memfd_create, 2, PARTIAL, "no huge pages, no F_SEAL_EXEC")                                   \
    X(stat, 2, FULL, "")                                                                           \
    X(lstat, 2, FULL, "")                                                                          \
    X(fstat, 2, FULL, "")                                                                          \
    X(newfstatat, 4, FULL, "")                                                                     \
    X(statx, 5, PARTIAL, "basic fields and birth time")                                            \
    X(access, 2, FULL, "")                                                                         \
    X(faccessat, 3, FULL, "")                                                                      \
    X(faccessat2, 4, FULL, "")                                                                     \
    X(statfs, 2, PARTIAL, "room of memory file systems is invented")                               \
    X(fstatfs, 2, PARTIAL, "as statfs")                                                            \
    X(chmod, 2, FULL, "")                                                                          \
    X(fchmod, 2, FULL, "")                                                                         \
    X(fchmodat, 3, FULL, "")                                                                       \
    X(fchmodat2, 4, FULL, "")                                                                      \
    X(chown, 3, FULL, "")                                                                          \
    X(lchown, 3, FULL, "")                                                                         \
    X(fchown, 3, FULL, "")                                                                         \
    X(fchownat, 5, FULL, "")                                                                       \
    X(utime, 2, FULL, "")                                                                          \
    X(utimes, 2, FULL, "")                                                                         \
    X(futimesat, 3, FULL, "")                                                                      \
    X(utimensat, 4, FULL, "")                                                                      \
    X(getdents, 3, FULL, "")                                                                       \
    X(getdents64, 3, FULL, "")                                                                     \
    X(getcwd, 2, FULL, "")                                                                         \
    X(chdir, 1, FULL, "")                                                                          \
    X(fchdir, 1, FULL, "")                                                                         \
    X(chroot, 1, FULL, "")                                                                         \
    X(umask, 1, FULL, "")                                                                          \
    X(mkdir, 2, FULL, "")                                                                          \
    X(mkdirat, 3, FULL, "")                                                                        \
    X(mknod, 3, FULL, "")                                                                          \
    X(mknodat, 4, FULL, "")                                                                        \
    X(rmdir, 1, FULL, "")                                                                          \
    X(unlink, 1, FULL, "")                                                                         \
    X(unlinkat, 3, FULL, "")                                                                       \
    X(rename, 2, FULL, "")                                                                         \
    X(renameat, 4, FULL, "")                                                                       \
    X(renameat2, 5, PARTIAL, "RENAME_WHITEOUT is refused with EINVAL")                             \
    X(link, 2, FULL, "")                                                                           \
    X(linkat, 5, FULL, "")                                                                         \
    X(symlink, 2, FULL, "")                                                                        \
    X(symlinkat, 3, FULL, "")                                                                      \
    X(readlink, 3, FULL, "")                                                                       \
    X(readlinkat, 4, FULL, "")                                                                     \
    X(name_to_handle_at, 5, PARTIAL, "EOPNOTSUPP")                                                 \
    X(mount, 5, PARTIAL,                                                                           \
      "tmpfs, proc, sysfs, devtmpfs, devpts; bind mounts, moves, flags; nothing propagates")       \
    X(umount2, 2, FULL, "")                                                                        \
    X(pivot_root, 2, PARTIAL, "EPERM")                                                             \
    X(setxattr, 5, PARTIAL, "no access control lists")                                             \
    X(lsetxattr, 5, PARTIAL, "no access control lists")                                            \
    X(fsetxattr, 5, PARTIAL, "no access control lists")                                            \
    X(getxattr, 4, PARTIAL, "no access control lists")                                             \
    X(lgetxattr, 4, PARTIAL, "no access control lists")                                            \
    X(fgetxattr, 4, PARTIAL, "no access control lists")                                            \
    X(listxattr, 3, PARTIAL, "no access control lists")                                            \
    X(llistxattr, 3, PARTIAL, "no access control lists")                                           \
    X(flistxattr, 3, PARTIAL, "no access control lists")                                           \
    X(removexattr, 2, PARTIAL, "no access control lists")                                          \
    X(lremovexattr, 2, PARTIAL, "no access control lists")                                         \
    X(fremovexattr, 2, PARTIAL, "EOPNOTSUPP")

SHIM_SYSCALLS_FILE(SYSCALL_PROTOTYPE)

/* readv(2), writev(2) on one descriptor. */
enum direction { DIRECTION_READ, DIRECTION_WRITE };
MUST_USE long file_vectors(struct task *task, int fd, uint64_t addr, uint64_t count,
                           enum direction direction);

struct path;
/* A name of the guest's, resolved. flags: enum lookup_flags. Owner: caller. */
MUST_USE int user_path(struct task *task, int dirfd, uint64_t name, unsigned flags,
                       struct path *out);
/* AT_* of the at-family to enum lookup_flags. -EINVAL: others than `allowed` are set. */
MUST_USE int lookup_flags_from_at(uint64_t at_flags, unsigned allowed);

#endif
