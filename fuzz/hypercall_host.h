/*
 * hypercall_host.h: put before each source of the VMM in fuzz_hypercall: the host calls that name files pass through the harness, which
 * knows what may be named.
 */
#ifndef PALIMPSEST_FUZZ_HYPERCALL_HOST_H
#define PALIMPSEST_FUZZ_HYPERCALL_HOST_H

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

int checked_open(const char *path, int flags, ...);
int checked_openat(int dir, const char *name, int flags, ...);
int checked_fstatat(int dir, const char *name, struct stat *st, int flags);
int checked_mkdirat(int dir, const char *name, mode_t mode);
int checked_mknodat(int dir, const char *name, mode_t mode, dev_t dev);
int checked_symlinkat(const char *target, int dir, const char *name);
int checked_linkat(int from, const char *path, int dir, const char *name, int flags);
int checked_unlinkat(int dir, const char *name, int flags);
int checked_renameat2(int from, const char *old_name, int to, const char *name, unsigned flags);
int checked_truncate(const char *path, off_t size);
int checked_chmod(const char *path, mode_t mode);
int checked_fchownat(int dir, const char *name, uid_t uid, gid_t gid, int flags);
int checked_utimensat(int dir, const char *name, const struct timespec times[2], int flags);
int checked_kill(pid_t pid, int sig);
int checked_socket(int family, int type, int protocol);
int checked_getsockopt(int fd, int level, int option, void *value, socklen_t *size);
int checked_setsockopt(int fd, int level, int option, const void *value, socklen_t size);

#ifndef HYPERCALL_HOST_ITSELF
#define open checked_open
#define openat checked_openat
#define fstatat checked_fstatat
#define mkdirat checked_mkdirat
#define mknodat checked_mknodat
#define symlinkat checked_symlinkat
#define linkat checked_linkat
#define unlinkat checked_unlinkat
#define renameat2 checked_renameat2
#define truncate checked_truncate
#define chmod checked_chmod
#define fchownat checked_fchownat
#define utimensat checked_utimensat
#define kill checked_kill
#define socket checked_socket
#define getsockopt checked_getsockopt
#define setsockopt checked_setsockopt
#endif

#endif
