/*
 * hypercall_host.c: see hypercall_host.h. A name must be one component, or /proc/self/fd/N; what violates that ends the fuzzer before the
 * host is asked. Nothing here makes a device node, whoever runs this.
 */
#define HYPERCALL_HOST_ITSELF
#include "fuzz/hypercall_host.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "fuzz/hypercall_fail.h"

static void check_name(const char *name)
{
    if (name[0] == '\0' || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        hypercall_fail("a name that is no component reached the host", name);
}

static void check_path(const char *path)
{
    static const char prefix[] = "/proc/self/fd/";
    const size_t length = sizeof(prefix) - 1;
    if (strncmp(path, prefix, length) != 0 || path[length] == '\0' ||
        path[length + strspn(path + length, "0123456789")] != '\0')
        hypercall_fail("a path reached the host", path);
}

static mode_t third_argument(int flags, va_list args)
{
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

int checked_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = third_argument(flags, args);
    va_end(args);
    if (!hypercall_is_grant(path))
        check_path(path);
    return open(path, flags, mode);
}

int checked_openat(int dir, const char *name, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = third_argument(flags, args);
    va_end(args);
    if ((flags & O_TMPFILE) != O_TMPFILE || strcmp(name, ".") != 0)
        check_name(name);
    return openat(dir, name, flags, mode);
}

int checked_fstatat(int dir, const char *name, struct stat *st, int flags)
{
    if (!(flags & AT_EMPTY_PATH) || name[0])
        check_name(name);
    return fstatat(dir, name, st, flags);
}

int checked_mkdirat(int dir, const char *name, mode_t mode)
{
    check_name(name);
    return mkdirat(dir, name, mode);
}

int checked_mknodat(int dir, const char *name, mode_t mode, dev_t dev)
{
    check_name(name);
    if (S_ISCHR(mode) || S_ISBLK(mode)) {
        errno = EPERM;
        return -1;
    }
    return mknodat(dir, name, mode, dev);
}

int checked_symlinkat(const char *target, int dir, const char *name)
{
    check_name(name);
    return symlinkat(target, dir, name);
}

int checked_linkat(int from, const char *path, int dir, const char *name, int flags)
{
    check_path(path);
    check_name(name);
    return linkat(from, path, dir, name, flags);
}

int checked_unlinkat(int dir, const char *name, int flags)
{
    check_name(name);
    return unlinkat(dir, name, flags);
}

int checked_renameat2(int from, const char *old_name, int to, const char *name, unsigned flags)
{
    check_name(old_name);
    check_name(name);
    return renameat2(from, old_name, to, name, flags);
}

int checked_truncate(const char *path, off_t size)
{
    check_path(path);
    return truncate(path, size);
}

int checked_chmod(const char *path, mode_t mode)
{
    check_path(path);
    return chmod(path, mode);
}

int checked_fchownat(int dir, const char *name, uid_t uid, gid_t gid, int flags)
{
    if (!(flags & AT_EMPTY_PATH) || name[0])
        hypercall_fail("fchownat of a name", name);
    return fchownat(dir, name, uid, gid, flags);
}

int checked_utimensat(int dir, const char *name, const struct timespec times[2], int flags)
{
    check_path(name);
    return utimensat(dir, name, times, flags);
}

int checked_kill(pid_t pid, int sig)
{
    if (pid != getpid())
        hypercall_fail("a signal to somebody else", "");
    return sig == SIGURG ? 0 : kill(pid, sig);
}
