/*
 * linux_open.h: what an open of platform/host_file.h is to a Linux host. Code with a C library includes
 * <fcntl.h> before it. Threads: any.
 */
#ifndef PLATFORM_STOCK_LINUX_OPEN_H
#define PLATFORM_STOCK_LINUX_OPEN_H

#include <stdbool.h>

#ifndef O_CLOEXEC
#include <linux/fcntl.h>
#endif
#include <linux/openat2.h>

#include "platform/errno.h"
#include "platform/host_file.h"

/* Whether an open with these HOST_OPEN flags may change what it opens, or its directory. */
static inline bool linux_open_writes(uint64_t flags)
{
    return flags & (HOST_OPEN_WRITE | HOST_OPEN_CREATE | HOST_OPEN_TRUNCATE | HOST_OPEN_NAMELESS);
}

/* HOST_OPEN flags as those of openat(2): never through a symbolic link, never waiting, never a controlling terminal. */
static inline int linux_open_flags(uint64_t flags)
{
    int host = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    if (flags & HOST_OPEN_PATH)
        host |= O_PATH;
    else if ((flags & HOST_OPEN_READ) && (flags & HOST_OPEN_WRITE))
        host |= O_RDWR;
    else if (flags & HOST_OPEN_WRITE)
        host |= O_WRONLY;
    if (flags & HOST_OPEN_CREATE)
        host |= O_CREAT;
    if (flags & HOST_OPEN_EXCLUSIVE)
        host |= O_EXCL;
    if (flags & HOST_OPEN_TRUNCATE)
        host |= O_TRUNC;
    if (flags & HOST_OPEN_DIRECTORY)
        host |= O_DIRECTORY;
    if (flags & HOST_OPEN_NAMELESS)
        host = (host & ~O_CREAT) | O_TMPFILE;
    return host;
}

/* openat2(2) of a path to look at: below the directory, through no link. */
static inline struct open_how linux_look_below(void)
{
    return (struct open_how){.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
                             .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
}

/* What the host's answer means: before Linux 5.6, or forbidden to this process, there is no such call. */
static inline int linux_look_below_error(int err)
{
    return err == -ENOSYS || err == -EPERM || err == -EAGAIN ? -EOPNOTSUPP : err;
}

#endif
