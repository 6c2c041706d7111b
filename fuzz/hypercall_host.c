/*
 * hypercall_host.c: see hypercall_host.h. A name must be one component, or /proc/self/fd/N; what violates that ends the fuzzer before the
 * host is asked. Nothing here makes a device node, whoever runs this.
 */
#define HYPERCALL_HOST_ITSELF
#include "fuzz/hypercall_host.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

int checked_socket(int family, int type, int protocol)
{
    if (family != AF_INET && family != AF_INET6 && family != AF_NETLINK)
        hypercall_fail("a socket of a family that the sandbox kills", "");
    if (!(type & SOCK_NONBLOCK))
        hypercall_fail("a socket that blocks", "");
    return socket(family, type, protocol);
}

/* Values that name memory or descriptors of this process. */
static void check_option(int level, int option)
{
    static const int names_memory[] = {SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF,
                                       SO_ATTACH_REUSEPORT_EBPF};
    for (size_t i = 0; i < sizeof(names_memory) / sizeof(names_memory[0]); i++)
        if (level == SOL_SOCKET && option == names_memory[i])
            hypercall_fail("an option of a socket that names memory", "");
    if (level == IPPROTO_TCP && option == TCP_ZEROCOPY_RECEIVE)
        hypercall_fail("an option of a socket that names memory", "TCP_ZEROCOPY_RECEIVE");
    if ((level == IPPROTO_IP || level == IPPROTO_IPV6) && (option == 64 || option == 65))
        hypercall_fail("an option of packet filters", "");
}

int checked_getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
    check_option(level, option);
    return getsockopt(fd, level, option, value, size);
}

int checked_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    check_option(level, option);
    return setsockopt(fd, level, option, value, size);
}
