/*
 * host_file.c: the host's files, one component at a time below granted directories; never through a symbolic link.
 */
#include "platform/linux_user/host_file.h"

#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/stat.h>
#include <linux/uio.h>
#include <asm/termios.h>

#include "platform/front.h"
#include "platform/linux_user/lu.h"
#include "platform/linux_user/route.h"
#include "platform/stock/linux_open.h"
#include "platform/stock/linux_stat.h"

#define AT_EMPTY_PATH_FLAG 0x1000
#define AT_SYMLINK_NOFOLLOW_FLAG 0x100
#define MAX_GRANTS 64

static struct lu_pool g_files = {.size = sizeof(struct host_file)};
static struct {
    char name[32];
    int fd;
    bool writable;
} g_grants[MAX_GRANTS];
static uint32_t g_grant_count;

static bool same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* Host side, before carriers exist. */
int lu_host_files_grant(const char *name, int fd, bool writable)
{
    if (g_grant_count == MAX_GRANTS)
        return -EMFILE;
    size_t length = 0;
    while (name[length] && length < sizeof(g_grants[0].name) - 1) {
        g_grants[g_grant_count].name[length] = name[length];
        length++;
    }
    g_grants[g_grant_count].fd = fd;
    g_grants[g_grant_count].writable = writable;
    g_grant_count++;
    return 0;
}

static struct host_file *wrap(long fd, bool read_only, int *err)
{
    if (fd < 0) {
        *err = (int)fd;
        return NULL;
    }
    struct host_file *file = lu_pool_get(&g_files);
    if (!file) {
        host_call(__NR_close, fd);
        *err = -ENOMEM;
        return NULL;
    }
    *file = (struct host_file){.refs = 1, .fd = (int)fd, .read_only = read_only};
    return file;
}

struct host_file *lu_file_wrap(long fd, int *err)
{
    return wrap(fd, false, err);
}

static struct host_file *lu_file_granted(struct platform *p UNUSED, const char *name, int *err)
{
    for (uint32_t i = 0; i < g_grant_count; i++)
        if (same(g_grants[i].name, name))
            return wrap(lu_host(__NR_fcntl, g_grants[i].fd, F_DUPFD_CLOEXEC, 3),
                        !g_grants[i].writable, err);
    *err = -ENOENT;
    return NULL;
}

static struct host_file *lu_file_standard(struct platform *p UNUSED,
                                          enum host_standard_stream which, int *err)
{
    struct stat st;
    long found = lu_host(__NR_fstat, which, &st);
    if (found < 0) {
        *err = (int)found;
        return NULL;
    }
    struct host_file *file = lu_pool_get(&g_files);
    if (!file) {
        *err = -ENOMEM;
        return NULL;
    }
    struct termios attr;
    *file = (struct host_file){.refs = 1, .fd = (int)which, .standard = true};
    file->is_regular = (st.st_mode & S_IFMT) == S_IFREG;
    file->is_tty =
        (st.st_mode & S_IFMT) == S_IFCHR && host_call(__NR_ioctl, which, TCGETS, &attr) == 0;
    return file;
}

static struct host_file *lu_file_open(struct platform *p UNUSED, struct host_file *dir,
                                      const char *name, unsigned flags, uint32_t mode, int *err)
{
    if (dir->read_only && linux_open_writes(flags)) {
        *err = -EROFS;
        return NULL;
    }
    if (flags & HOST_OPEN_NAMELESS)
        name = ".";
    return wrap(lu_host(__NR_openat, dir->fd, name, linux_open_flags(flags), mode & 07777),
                dir->read_only, err);
}

/* /proc/self/fd/N names exactly the file the handle names, so no lookup can be diverted. */
void lu_fd_path(char out[LU_FD_PATH], int fd)
{
    static const char prefix[] = "/proc/self/fd/";
    char digits[12];
    size_t at = 0, count = 0;
    do {
        digits[count++] = (char)('0' + fd % 10);
        fd /= 10;
    } while (fd > 0);
    for (; prefix[at]; at++)
        out[at] = prefix[at];
    while (count > 0)
        out[at++] = digits[--count];
    out[at] = '\0';
}

static struct host_file *lu_file_reopen(struct platform *p UNUSED, struct host_file *file,
                                        unsigned flags, int *err)
{
    if (file->read_only && linux_open_writes(flags)) {
        *err = -EROFS;
        return NULL;
    }
    struct stat st;
    long found = lu_host(__NR_fstat, file->fd, &st);
    if (found == 0 && (st.st_mode & S_IFMT) == S_IFLNK)
        found = -ELOOP;
    if (found < 0) {
        *err = (int)found;
        return NULL;
    }
    char path[LU_FD_PATH];
    lu_fd_path(path, file->fd);
    return wrap(lu_host(__NR_openat, AT_FDCWD, path, linux_open_flags(flags) & ~O_NOFOLLOW, 0),
                file->read_only, err);
}

static void lu_file_get(struct platform *p UNUSED, struct host_file *file)
{
    __atomic_add_fetch(&file->refs, 1, __ATOMIC_RELAXED);
}

static void lu_file_close(struct platform *p UNUSED, struct host_file *file)
{
    if (__atomic_sub_fetch(&file->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (!file->standard)
        host_call(__NR_close, file->fd);
    lu_pool_put(&g_files, file);
}

static int stat_below(int fd, const char *name, int flags, struct host_stat *out)
{
    struct stat st;
    long err = lu_host(__NR_newfstatat, fd, name, &st, flags);
    if (err < 0)
        return (int)err;
    *out = linux_host_stat(&st);
    return 0;
}

static int lu_file_stat(struct platform *p UNUSED, struct host_file *file, struct host_stat *out)
{
    return stat_below(file->fd, "", AT_EMPTY_PATH_FLAG, out);
}

static int lu_file_stat_at(struct platform *p UNUSED, struct host_file *dir, const char *name,
                           struct host_stat *out)
{
    return stat_below(dir->fd, name, AT_SYMLINK_NOFOLLOW_FLAG, out);
}

static bool has_two_names(const char *path)
{
    unsigned slashes = 0;
    for (; *path; path++)
        slashes += *path == '/';
    return slashes == 1;
}

static int lu_file_stat_path(struct platform *p UNUSED, struct host_file *dir, const char *path,
                             struct host_stat *out)
{
    struct open_how how = linux_look_below();
    struct stat st;
    if (lu_route_stat(dir, path, &st)) {
        *out = linux_host_stat(&st);
        return 0;
    }
    if (has_two_names(path)) /* the caller's two looks cost less than what follows */
        return -EOPNOTSUPP;
    long fd = lu_host(__NR_openat2, dir->fd, path, &how, sizeof(how));
    if (fd < 0)
        return linux_look_below_error((int)fd);
    long err = lu_host(__NR_fstat, fd, &st);
    host_call(__NR_close, fd);
    if (err == 0)
        *out = linux_host_stat(&st);
    return (int)err;
}

int64_t lu_transfer(long nr, int fd, struct mem_ref m, uint64_t offset)
{
    uint64_t address = m.shim ? (uint64_t)m.shim : m.guest.raw;
    if (!m.shim && m.size > 0 &&
        (address < LU_GUEST_MIN || address >= LU_GUEST_END || m.size > LU_GUEST_END - address))
        return -EFAULT;
    return lu_host(nr, fd, address, m.size, offset);
}

static int64_t lu_file_pread(struct platform *p UNUSED, struct host_file *file, uint64_t offset,
                             struct mem_ref into)
{
    return lu_transfer(__NR_pread64, file->fd, into, offset);
}

static int64_t lu_file_pwrite(struct platform *p UNUSED, struct host_file *file, uint64_t offset,
                              struct mem_ref from)
{
    return file->read_only ? -EROFS : lu_transfer(__NR_pwrite64, file->fd, from, offset);
}

static uint32_t ready_now(const struct host_file *file, uint32_t events)
{
    struct pollfd pfd = {.fd = file->fd, .events = (short)events};
    long count = host_call(__NR_poll, &pfd, 1, 0);
    return count > 0 ? (uint32_t)(uint16_t)pfd.revents : 0;
}

/*
 * A stream is shared with other host processes, so its O_NONBLOCK is not ours to set. RWF_NOWAIT asks for one call; where the file has
 * no such thing (terminals), readiness is asked for first, and a write stays within what a ready pipe or terminal takes at once.
 */
static int64_t stream_transfer(long nowait_nr, long plain_nr, struct host_file *file,
                               uint32_t event, struct mem_ref m)
{
    if (file->is_regular)
        return lu_transfer(plain_nr, file->fd, m, 0);
    uint64_t address = m.shim ? (uint64_t)m.shim : m.guest.raw;
    if (!m.shim && m.size > 0 &&
        (address < LU_GUEST_MIN || address >= LU_GUEST_END || m.size > LU_GUEST_END - address))
        return -EFAULT;
    if (!file->is_tty) {
        struct iovec iov = {.iov_base = (void *)address, .iov_len = m.size};
        int64_t done = host_call(nowait_nr, file->fd, &iov, 1, -1L, -1L, RWF_NOWAIT);
        if (done != -EOPNOTSUPP)
            return done;
    }
    if (!(ready_now(file, event) & (event | POLLERR | POLLHUP)))
        return -EAGAIN;
    return lu_transfer(plain_nr, file->fd, event == POLLOUT ? mem_first(m, 4096) : m, 0);
}

static int64_t lu_file_read(struct platform *p UNUSED, struct host_file *file, struct mem_ref into)
{
    return stream_transfer(__NR_preadv2, __NR_read, file, POLLIN, into);
}

static int64_t lu_file_write(struct platform *p UNUSED, struct host_file *file, struct mem_ref from)
{
    return stream_transfer(__NR_pwritev2, __NR_write, file, POLLOUT, from);
}

static uint32_t lu_file_poll(struct platform *p UNUSED, struct host_file *file, uint32_t events)
{
    return ready_now(file, events);
}

struct linux_dirent64 {
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};

static int64_t lu_file_readdir(struct platform *p UNUSED, struct host_file *dir, uint64_t offset,
                               void *out, size_t size)
{
    /* One reader at a time: the offset belongs to the open directory. The shim holds the directory's lock. */
    long err = lu_host(__NR_lseek, dir->fd, offset, 0);
    if (err < 0)
        return err;
    /* linux_dirent64 has host_dirent's layout; "." and ".." are squeezed out in place. */
    long got = lu_host(__NR_getdents64, dir->fd, out, size);
    if (got <= 0)
        return got;
    size_t kept = 0;
    char *base = out;
    for (size_t at = 0; at < (size_t)got;) {
        struct linux_dirent64 *entry = (struct linux_dirent64 *)(base + at);
        uint16_t length = entry->reclen;
        if (!same(entry->name, ".") && !same(entry->name, "..")) {
            __builtin_memmove(base + kept, entry, length);
            kept += length;
        }
        at += length;
        if (at >= (size_t)got && kept == 0)
            return lu_file_readdir(p, dir, (uint64_t)host_call(__NR_lseek, dir->fd, 0, 1), out,
                                   size);
    }
    return (int64_t)kept;
}
_Static_assert(offsetof(struct linux_dirent64, off) == offsetof(struct host_dirent, next_offset) &&
                   offsetof(struct linux_dirent64, reclen) ==
                       offsetof(struct host_dirent, record_size) &&
                   offsetof(struct linux_dirent64, name) == offsetof(struct host_dirent, name),
               "getdents64 fills host_dirent records");

static int64_t lu_file_readlink(struct platform *p UNUSED, struct host_file *link, char *out,
                                size_t size)
{
    return lu_host(__NR_readlinkat, link->fd, "", out, size);
}

static int set_times(const char *path, const struct host_stat *attr)
{
    const struct linux_time times[2] = {linux_time_of(attr->atime_ns),
                                        linux_time_of(attr->mtime_ns)};
    return (int)lu_host(__NR_utimensat, AT_FDCWD, path, times, 0);
}

static int lu_file_setattr(struct platform *p UNUSED, struct host_file *file, unsigned mask,
                           const struct host_stat *attr)
{
    if (file->read_only)
        return -EROFS;
    char path[LU_FD_PATH]; /* works for HOST_OPEN_PATH handles too, where the f-calls do not */
    lu_fd_path(path, file->fd);
    long err = 0;
    if (err == 0 && (mask & HOST_SET_SIZE))
        err = lu_host(__NR_truncate, path, attr->size);
    if (err == 0 && (mask & HOST_SET_OWNER))
        err = lu_host(__NR_fchownat, file->fd, "", attr->uid, attr->gid, AT_EMPTY_PATH_FLAG);
    if (err == 0 && (mask & HOST_SET_MODE))
        err = lu_host(__NR_chmod, path, attr->mode & 07777);
    if (err == 0 && (mask & HOST_SET_TIMES))
        err = set_times(path, attr);
    return (int)err;
}

static int lu_file_sync(struct platform *p UNUSED, struct host_file *file)
{
    return (int)lu_host(__NR_fsync, file->fd);
}

static int64_t lu_file_seek(struct platform *p UNUSED, struct host_file *file, int64_t offset,
                            int whence)
{
    return lu_host(__NR_lseek, file->fd, offset, whence);
}

static int lu_file_allocate(struct platform *p UNUSED, struct host_file *file, unsigned mode,
                            uint64_t offset, uint64_t size)
{
    return file->read_only ? -EROFS : (int)lu_host(__NR_fallocate, file->fd, mode, offset, size);
}

/* By /proc/self/fd: handles to look at are refused by the f-calls. */
static int64_t lu_file_get_xattr(struct platform *p UNUSED, struct host_file *file,
                                 const char *name, void *value, size_t size)
{
    char path[LU_FD_PATH];
    lu_fd_path(path, file->fd);
    return lu_host(__NR_getxattr, path, name, value, size);
}

static int64_t lu_file_list_xattr(struct platform *p UNUSED, struct host_file *file, char *names,
                                  size_t size)
{
    char path[LU_FD_PATH];
    lu_fd_path(path, file->fd);
    return lu_host(__NR_listxattr, path, names, size);
}

static int lu_file_set_xattr(struct platform *p UNUSED, struct host_file *file, const char *name,
                             const void *value, size_t size, unsigned flags)
{
    char path[LU_FD_PATH];
    if (file->read_only)
        return -EROFS;
    lu_fd_path(path, file->fd);
    return (int)(value ? lu_host(__NR_setxattr, path, name, value, size, flags)
                       : lu_host(__NR_removexattr, path, name));
}

static int lu_file_statfs(struct platform *p UNUSED, struct host_file *file,
                          struct host_statfs *out)
{
    struct statfs sf;
    long err = lu_host(__NR_fstatfs, file->fd, &sf);
    if (err < 0)
        return (int)err;
    *out = linux_host_statfs(&sf);
    return 0;
}

static int lu_file_mkdir(struct platform *p UNUSED, struct host_file *dir, const char *name,
                         uint32_t mode)
{
    return dir->read_only ? -EROFS : (int)lu_host(__NR_mkdirat, dir->fd, name, mode & 07777);
}

static int lu_file_symlink(struct platform *p UNUSED, struct host_file *dir, const char *name,
                           const char *target)
{
    return dir->read_only ? -EROFS : (int)lu_host(__NR_symlinkat, target, dir->fd, name);
}

static int lu_file_link(struct platform *p UNUSED, struct host_file *file, struct host_file *dir,
                        const char *name)
{
    if (dir->read_only || file->read_only)
        return -EROFS;
    char path[LU_FD_PATH];
    lu_fd_path(path, file->fd);
    return (int)lu_host(__NR_linkat, AT_FDCWD, path, dir->fd, name,
                        0x400 /* AT_SYMLINK_FOLLOW: the /proc link itself */);
}

static int lu_file_unlink(struct platform *p UNUSED, struct host_file *dir, const char *name,
                          bool directory)
{
    return dir->read_only ? -EROFS
                          : (int)lu_host(__NR_unlinkat, dir->fd, name,
                                         directory ? 0x200 /* AT_REMOVEDIR */ : 0);
}

static int lu_file_rename(struct platform *p UNUSED, struct host_file *from_dir, const char *from,
                          struct host_file *to_dir, const char *to, unsigned flags)
{
    if (from_dir->read_only || to_dir->read_only)
        return -EROFS;
    return (int)lu_host(__NR_renameat2, from_dir->fd, from, to_dir->fd, to, flags);
}

static int lu_file_mknod(struct platform *p UNUSED, struct host_file *dir, const char *name,
                         uint32_t mode, uint64_t rdev)
{
    return dir->read_only ? -EROFS : (int)lu_host(__NR_mknodat, dir->fd, name, mode, rdev);
}

static int lu_file_tty(struct platform *p UNUSED, struct host_file *file,
                       enum host_tty_request request, void *arg)
{
    switch (request) {
    case HOST_TTY_GET_ATTR:
        return (int)lu_host(__NR_ioctl, file->fd, TCGETS, arg);
    case HOST_TTY_SET_ATTR:
        return (int)lu_host(__NR_ioctl, file->fd, TCSETS, arg);
    case HOST_TTY_SET_ATTR_DRAIN:
        return (int)lu_host(__NR_ioctl, file->fd, TCSETSW, arg);
    case HOST_TTY_SET_ATTR_FLUSH:
        return (int)lu_host(__NR_ioctl, file->fd, TCSETSF, arg);
    case HOST_TTY_GET_WINSIZE:
        return (int)lu_host(__NR_ioctl, file->fd, TIOCGWINSZ, arg);
    case HOST_TTY_SET_WINSIZE:
        return (int)lu_host(__NR_ioctl, file->fd, TIOCSWINSZ, arg);
    case HOST_TTY_FLUSH:
        return (int)lu_host(__NR_ioctl, file->fd, TCFLSH, (long)*(int *)arg);
    case HOST_TTY_INPUT_BYTES:
        return (int)lu_host(__NR_ioctl, file->fd, FIONREAD, arg);
    }
    return -EINVAL;
}

const struct host_file_ops lu_host_file_ops = {
    .granted = lu_file_granted,
    .standard = lu_file_standard,
    .open = lu_file_open,
    .reopen = lu_file_reopen,
    .get = lu_file_get,
    .close = lu_file_close,
    .stat = lu_file_stat,
    .stat_at = lu_file_stat_at,
    .stat_path = lu_file_stat_path,
    .pread = lu_file_pread,
    .pwrite = lu_file_pwrite,
    .read = lu_file_read,
    .write = lu_file_write,
    .poll = lu_file_poll,
    .readdir = lu_file_readdir,
    .readlink = lu_file_readlink,
    .setattr = lu_file_setattr,
    .sync = lu_file_sync,
    .seek = lu_file_seek,
    .allocate = lu_file_allocate,
    .get_xattr = lu_file_get_xattr,
    .list_xattr = lu_file_list_xattr,
    .set_xattr = lu_file_set_xattr,
    .statfs = lu_file_statfs,
    .mkdir = lu_file_mkdir,
    .symlink = lu_file_symlink,
    .link = lu_file_link,
    .unlink = lu_file_unlink,
    .rename = lu_file_rename,
    .mknod = lu_file_mknod,
    .tty = lu_file_tty,
};
