/*
 * files.c: see files.h. One component at a time below granted directories, never through a symbolic link.
 */
#include "platform/kvm/vmm/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

#include "platform/host_file.h"
#include "platform/stock/linux_open.h"
#include "platform/stock/linux_stat.h"

#define NAME_SIZE_MAX 256u /* a component with its NUL */
#define TARGET_SIZE_MAX 4096u
#define TERMIOS_SIZE 36u    /* the kernel's struct termios, which is what the image has */
#define WRITE_AT_ONCE 4096u /* what a terminal or pipe that is ready takes without blocking */
#define HANDLES_MAX (1u << 20)

/* What its grant, or whoever opened it for us, leaves out. What is opened from a file has its limits, too. */
enum {
    LIMIT_READ_ONLY = 1,
    LIMIT_WRITE_ONLY = 2,
    LIMIT_APPEND = 4,    /* what is there stays as it is */
    LIMIT_UNGRANTED = 8, /* gets no name: under one it could be opened for more */
};

struct vm_file {
    unsigned refs; /* atomic */
    int fd;
    unsigned limits;
    bool borrowed; /* not ours to close */
    bool is_regular, is_tty, is_socket;
    pthread_mutex_t position; /* of a directory: seek and read are one */
};

int vm_file_fd(const struct vm_file *file)
{
    return file->fd;
}

void vm_file_put(struct vm_file *file)
{
    if (__atomic_sub_fetch(&file->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (!file->borrowed)
        close(file->fd);
    pthread_mutex_destroy(&file->position);
    free(file);
}

struct vm_file *vm_file_get(struct vm_files *files, uint64_t handle)
{
    pthread_mutex_lock(&files->lock);
    struct vm_file *file = handle < files->slot_count ? files->slot[handle] : NULL;
    if (file)
        __atomic_add_fetch(&file->refs, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&files->lock);
    return file;
}

/* Its number; the table owns it from now on, and drops it when there is no room. */
static int64_t add_file(struct vm_files *files, struct vm_file *file)
{
    pthread_mutex_lock(&files->lock);
    size_t at = 0;
    while (at < files->slot_count && files->slot[at])
        at++;
    int64_t result = (int64_t)at;
    if (at == files->slot_count) {
        size_t count = at ? at * 2 : 64;
        struct vm_file **bigger =
            count <= HANDLES_MAX ? realloc(files->slot, count * sizeof(*bigger)) : NULL;
        if (bigger) {
            memset(bigger + at, 0, (count - at) * sizeof(*bigger));
            files->slot = bigger;
            files->slot_count = count;
        } else {
            result = -ENFILE;
        }
    }
    if (result >= 0)
        files->slot[at] = file;
    pthread_mutex_unlock(&files->lock);
    if (result < 0)
        vm_file_put(file);
    return result;
}

static struct vm_file *new_file(int fd)
{
    struct vm_file *file = calloc(1, sizeof(*file));
    if (!file) {
        close(fd);
        return NULL;
    }
    file->refs = 1;
    file->fd = fd;
    pthread_mutex_init(&file->position, NULL);
    return file;
}

static int64_t wrap(struct vm_files *files, int fd, unsigned limits)
{
    if (fd < 0)
        return -errno;
    struct vm_file *file = new_file(fd);
    if (!file)
        return -ENOMEM;
    file->limits = limits;
    return add_file(files, file);
}

int64_t vm_files_add_socket(struct vm_files *files, int fd)
{
    if (fd < 0)
        return -errno;
    struct vm_file *file = new_file(fd);
    if (!file)
        return -ENOMEM;
    file->is_socket = true;
    return add_file(files, file);
}

bool vm_file_is_socket(const struct vm_file *file)
{
    return file->is_socket;
}

static int64_t close_handle(struct vm_files *files, uint64_t handle)
{
    pthread_mutex_lock(&files->lock);
    struct vm_file *file = handle < files->slot_count ? files->slot[handle] : NULL;
    if (file)
        files->slot[handle] = NULL;
    pthread_mutex_unlock(&files->lock);
    if (!file)
        return -EBADF;
    vm_file_put(file);
    return 0;
}

int vm_files_open(struct vm_files *files, const struct platform_options *options, char *why,
                  size_t size)
{
    *files = (struct vm_files){.grants = options->grants, .grant_count = options->grant_count};
    pthread_mutex_init(&files->lock, NULL);
    files->grant_fd = calloc(options->grant_count + 1, sizeof(int));
    if (!files->grant_fd)
        return -ENOMEM;
    for (size_t i = 0; i < options->grant_count; i++)
        files->grant_fd[i] = -1;
    for (size_t i = 0; i < options->grant_count; i++) {
        int fd = open(options->grants[i].path, O_PATH | O_CLOEXEC);
        /* Never among the standard streams */
        files->grant_fd[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
        int err = errno;
        if (fd >= 0)
            close(fd);
        if (files->grant_fd[i] < 0) {
            snprintf(why, size, "%s: %s", options->grants[i].path, strerror(err));
            return -err;
        }
    }
    return 0;
}

void vm_files_close(struct vm_files *files)
{
    for (size_t i = 0; i < files->slot_count; i++)
        if (files->slot[i])
            vm_file_put(files->slot[i]);
    free(files->slot);
    for (size_t i = 0; files->grant_fd && i < files->grant_count; i++)
        if (files->grant_fd[i] >= 0)
            close(files->grant_fd[i]);
    free(files->grant_fd);
    pthread_mutex_destroy(&files->lock);
}

/* Up to the first NUL or the end; the rest of the buffer (behind the NUL) in *second, if wanted. -errno. */
static int take_text(const char *buffer, size_t size, char *out, size_t out_size,
                     const char **second, size_t *second_size)
{
    size_t length = 0;
    while (length < size && buffer[length] && length < out_size - 1) {
        out[length] = buffer[length];
        length++;
    }
    out[length] = '\0';
    if (length < size && buffer[length])
        return -ENAMETOOLONG;
    if (!second)
        return length < size ? -EINVAL : 0; /* a NUL where none belongs */
    if (length == size)
        return -EINVAL;
    *second = buffer + length + 1;
    *second_size = size - length - 1;
    return 0;
}

static int check_component(const char *name)
{
    if (name[0] == '\0' || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -EINVAL;
    return 0;
}

static int take_name(const void *buffer, size_t size, char out[NAME_SIZE_MAX])
{
    if (!buffer)
        return -EINVAL;
    int err = take_text(buffer, size, out, NAME_SIZE_MAX, NULL, NULL);
    return err ? err : check_component(out);
}

static int64_t serve_granted(struct vm_files *files, const void *buffer, size_t size)
{
    char name[NAME_SIZE_MAX];
    int err = buffer ? take_text(buffer, size, name, sizeof(name), NULL, NULL) : -EINVAL;
    if (err)
        return err;
    for (size_t i = 0; i < files->grant_count; i++)
        if (strcmp(files->grants[i].name, name) == 0)
            return wrap(files, fcntl(files->grant_fd[i], F_DUPFD_CLOEXEC, 3),
                        files->grants[i].writable ? 0 : LIMIT_READ_ONLY);
    return -ENOENT;
}

/* /proc/self/fd/N names exactly the file the handle names, so no lookup can be diverted. */
static void fd_path(char out[32], int fd)
{
    snprintf(out, 32, "/proc/self/fd/%d", fd);
}

/* The one who opened it chose. */
static unsigned limits_of_standard(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    unsigned limits = LIMIT_UNGRANTED;
    if (flags < 0 || (flags & O_PATH))
        return limits | LIMIT_READ_ONLY | LIMIT_WRITE_ONLY;
    if ((flags & O_ACCMODE) == O_RDONLY)
        limits |= LIMIT_READ_ONLY;
    if ((flags & O_ACCMODE) == O_WRONLY)
        limits |= LIMIT_WRITE_ONLY;
    return flags & O_APPEND ? limits | LIMIT_APPEND : limits;
}

/*
 * The terminal behind a standard stream by an open description of our own, on which a call never waits: others may read what poll()
 * promised us, or it may take less than we have. -1: there is none to be had; the other end of a pseudo-terminal would be another one.
 */
static int open_terminal_again(int fd, dev_t device)
{
    const dev_t master = makedev(5, 2);
    const int flags = fcntl(fd, F_GETFL);
    char path[32];
    if (device == master || flags < 0 || (flags & O_PATH))
        return -1;
    fd_path(path, fd);
    return open(path, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int64_t serve_standard(struct vm_files *files, uint64_t which)
{
    struct stat st;
    if (which > 2)
        return -EINVAL;
    if (fstat((int)which, &st) < 0)
        return -errno;
    struct vm_file *file = calloc(1, sizeof(*file));
    if (!file)
        return -ENOMEM;
    file->refs = 1;
    file->limits = limits_of_standard((int)which);
    file->is_regular = S_ISREG(st.st_mode);
    file->is_tty = isatty((int)which);
    file->fd = file->is_tty ? open_terminal_again((int)which, st.st_rdev) : -1;
    file->borrowed = file->fd < 0;
    if (file->borrowed)
        file->fd = (int)which;
    pthread_mutex_init(&file->position, NULL);
    return add_file(files, file);
}

static int64_t serve_open(struct vm_files *files, struct vm_file *dir, const struct kvm_request *r,
                          const void *buffer)
{
    char name[NAME_SIZE_MAX];
    bool nameless = r->a1 & HOST_OPEN_NAMELESS;
    int err = nameless ? 0 : take_name(buffer, r->size, name);
    if (nameless)
        strcpy(name, ".");
    if (err == 0 && (dir->limits & LIMIT_READ_ONLY) && linux_open_writes(r->a1))
        err = -EROFS;
    return err ? err
               : wrap(files, openat(dir->fd, name, linux_open_flags(r->a1), (mode_t)r->a2 & 07777),
                      dir->limits);
}

/* What was opened for us for one thing is not opened again for another. */
static int check_reopen(unsigned limits, uint64_t flags)
{
    if ((limits & LIMIT_READ_ONLY) && linux_open_writes(flags))
        return -EROFS;
    if ((limits & LIMIT_WRITE_ONLY) &&
        ((flags & HOST_OPEN_READ) || !(flags & (HOST_OPEN_WRITE | HOST_OPEN_PATH))))
        return -EACCES; /* no flag at all is Linux' O_RDONLY */
    if ((limits & LIMIT_APPEND) && (flags & HOST_OPEN_TRUNCATE))
        return -EACCES;
    return 0;
}

static int64_t serve_reopen(struct vm_files *files, struct vm_file *file, uint64_t flags)
{
    struct stat st;
    char path[32];
    int err = check_reopen(file->limits, flags);
    if (err)
        return err;
    if (fstat(file->fd, &st) < 0)
        return -errno;
    if (S_ISLNK(st.st_mode))
        return -ELOOP;
    fd_path(path, file->fd);
    int host = linux_open_flags(flags & ~(uint64_t)HOST_OPEN_CREATE) & ~O_NOFOLLOW;
    if (file->limits & LIMIT_APPEND)
        host |= O_APPEND;
    return wrap(files, open(path, host), file->limits);
}

static int64_t stat_below(int fd, const char *name, int flags, struct host_stat *out)
{
    struct stat st;
    if (fstatat(fd, name, &st, flags) < 0)
        return -errno;
    *out = linux_host_stat(&st);
    return 0;
}

static int64_t serve_stat_at(struct vm_file *dir, const struct kvm_request *r, const void *buffer,
                             struct host_stat *out)
{
    char name[NAME_SIZE_MAX];
    int err = take_name(buffer, r->size, name);
    return err ? err : stat_below(dir->fd, name, AT_SYMLINK_NOFOLLOW, out);
}

/* Components with one slash between. */
static int check_path(char *path)
{
    for (char *name = path;;) {
        size_t length = strcspn(name, "/");
        char end = name[length];
        name[length] = '\0';
        int err = check_component(name);
        name[length] = end;
        if (err || !end)
            return err;
        name += length + 1;
    }
}

static int64_t serve_stat_path(struct vm_file *dir, const struct kvm_request *r, const void *buffer,
                               struct host_stat *out)
{
    char path[HOST_PATH_MAX];
    int err = buffer ? take_text(buffer, r->size, path, sizeof(path), NULL, NULL) : -EINVAL;
    if (err == 0)
        err = check_path(path);
    if (err)
        return err;
    struct open_how how = linux_look_below();
    int fd = (int)syscall(SYS_openat2, dir->fd, path, &how, sizeof(how));
    if (fd < 0)
        return linux_look_below_error(-errno);
    err = (int)stat_below(fd, "", AT_EMPTY_PATH, out);
    close(fd);
    return err;
}

static int64_t result_of(ssize_t done)
{
    return done < 0 ? -errno : done;
}

/* With KVM_NOWAIT only what needs no wait; where the file knows no such thing, the worker does it all. */
static int64_t serve_at(struct vm_file *file, const struct kvm_request *r, void *buffer)
{
    bool out = r->op == KVM_OP_FILE_PWRITE;
    struct iovec iov = {.iov_base = buffer, .iov_len = r->size};
    if (r->a1 > INT64_MAX)
        return -EINVAL;
    if (out && (file->limits & LIMIT_READ_ONLY))
        return -EROFS;
    int flags = r->a2 & KVM_NOWAIT ? RWF_NOWAIT : 0;
    int64_t done = out ? result_of(pwritev2(file->fd, &iov, 1, (off_t)r->a1, flags))
                       : result_of(preadv2(file->fd, &iov, 1, (off_t)r->a1, flags));
    return done == -EOPNOTSUPP && flags ? -EAGAIN : done;
}

static uint32_t ready_now(const struct vm_file *file, uint32_t events)
{
    struct pollfd pfd = {.fd = file->fd, .events = (short)events};
    return poll(&pfd, 1, 0) > 0 ? (uint32_t)(uint16_t)pfd.revents : 0;
}

/*
 * A stream is shared with other host processes, so its O_NONBLOCK is not ours to set. RWF_NOWAIT asks for one call; where the
 * file has no such thing (terminals), readiness is asked for first, and open_terminal_again() sees to the rest.
 */
static int64_t serve_stream(struct vm_file *file, const struct kvm_request *r, void *buffer)
{
    bool out = r->op == KVM_OP_FILE_WRITE;
    size_t size = r->size;
    if (!file->is_regular && !file->is_tty) {
        struct iovec iov = {.iov_base = buffer, .iov_len = size};
        int64_t done = out ? result_of(pwritev2(file->fd, &iov, 1, -1, RWF_NOWAIT))
                           : result_of(preadv2(file->fd, &iov, 1, -1, RWF_NOWAIT));
        if (done != -EOPNOTSUPP)
            return done;
    }
    uint32_t event = out ? POLLOUT : POLLIN;
    if (!file->is_regular && !(ready_now(file, event) & (event | POLLERR | POLLHUP)))
        return -EAGAIN;
    if (out && !file->is_regular && size > WRITE_AT_ONCE)
        size = WRITE_AT_ONCE;
    return out ? result_of(write(file->fd, buffer, size)) : result_of(read(file->fd, buffer, size));
}

/* "." and ".." are squeezed out in place; getdents64 fills host_dirent's layout. */
static size_t without_dots(char *base, size_t size)
{
    size_t kept = 0;
    for (size_t at = 0; at + sizeof(struct host_dirent) <= size;) {
        struct host_dirent *entry = (struct host_dirent *)(base + at);
        uint16_t length = entry->record_size;
        if (length == 0 || length > size - at)
            break; /* the image writes here too: believe nothing */
        bool dot = entry->name[0] == '.' &&
                   (!entry->name[1] || (entry->name[1] == '.' && !entry->name[2]));
        if (!dot) {
            memmove(base + kept, entry, length);
            kept += length;
        }
        at += length;
    }
    return kept;
}

static int64_t serve_readdir(struct vm_file *dir, const struct kvm_request *r, void *buffer)
{
    int64_t kept = 0;
    pthread_mutex_lock(&dir->position);
    if (lseek(dir->fd, (off_t)r->a1, SEEK_SET) < 0)
        kept = -errno;
    while (kept == 0) {
        ssize_t got = getdents64(dir->fd, buffer, r->size);
        if (got <= 0) {
            kept = result_of(got);
            break;
        }
        kept = (int64_t)without_dots(buffer, (size_t)got);
    }
    pthread_mutex_unlock(&dir->position);
    return kept;
}

static int set_times(const char *path, const struct host_stat *attr)
{
    struct linux_time a = linux_time_of(attr->atime_ns), m = linux_time_of(attr->mtime_ns);
    const struct timespec times[2] = {{a.sec, a.nsec}, {m.sec, m.nsec}};
    return utimensat(AT_FDCWD, path, times, 0) < 0 ? -errno : 0;
}

static int64_t serve_setattr(struct vm_file *file, uint64_t mask, const struct host_stat *shared)
{
    const struct host_stat attr = *(const volatile struct host_stat *)shared;
    if (file->limits & LIMIT_READ_ONLY)
        return -EROFS;
    if ((file->limits & LIMIT_APPEND) && (mask & HOST_SET_SIZE))
        return -EPERM;
    char path[32]; /* works for HOST_OPEN_PATH handles too, where the f-calls do not */
    fd_path(path, file->fd);
    int err = 0;
    if (err == 0 && (mask & HOST_SET_SIZE))
        err = truncate(path, (off_t)attr.size) < 0 ? -errno : 0;
    if (err == 0 && (mask & HOST_SET_OWNER))
        err = fchownat(file->fd, "", attr.uid, attr.gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
    if (err == 0 && (mask & HOST_SET_MODE))
        err = chmod(path, attr.mode & 07777) < 0 ? -errno : 0;
    if (err == 0 && (mask & HOST_SET_TIMES))
        err = set_times(path, &attr);
    return err;
}

static int64_t serve_statfs(struct vm_file *file, struct host_statfs *out)
{
    struct statfs sf;
    if (fstatfs(file->fd, &sf) < 0)
        return -errno;
    *out = linux_host_statfs(&sf);
    return 0;
}

static int64_t serve_symlink(struct vm_file *dir, const struct kvm_request *r, const void *buffer)
{
    char name[NAME_SIZE_MAX], target[TARGET_SIZE_MAX];
    const char *second = NULL;
    size_t second_size = 0;
    if (!buffer)
        return -EINVAL;
    int err = take_text(buffer, r->size, name, sizeof(name), &second, &second_size);
    if (err == 0)
        err = check_component(name);
    if (err == 0)
        err = take_text(second, second_size, target, sizeof(target), NULL, NULL);
    if (err)
        return err;
    return symlinkat(target, dir->fd, name) < 0 ? -errno : 0;
}

static int64_t serve_rename(struct vm_file *from, struct vm_file *to, const struct kvm_request *r,
                            const void *buffer)
{
    char names[2][NAME_SIZE_MAX];
    const char *second = NULL;
    size_t second_size = 0;
    if (!buffer)
        return -EINVAL;
    int err = take_text(buffer, r->size, names[0], NAME_SIZE_MAX, &second, &second_size);
    if (err == 0)
        err = take_text(second, second_size, names[1], NAME_SIZE_MAX, NULL, NULL);
    if (err == 0)
        err = check_component(names[0]);
    if (err == 0)
        err = check_component(names[1]);
    if (err)
        return err;
    return renameat2(from->fd, names[0], to->fd, names[1], (unsigned)r->a2) < 0 ? -errno : 0;
}

/* A name in a directory, to be changed. */
static int64_t serve_name(struct vm_file *dir, struct vm_file *other, const struct kvm_request *r,
                          const void *buffer)
{
    char name[NAME_SIZE_MAX], path[32];
    int err = take_name(buffer, r->size, name);
    if (err)
        return err;
    switch (r->op) {
    case KVM_OP_FILE_MKDIR:
        return mkdirat(dir->fd, name, (mode_t)r->a1 & 07777) < 0 ? -errno : 0;
    case KVM_OP_FILE_UNLINK:
        return unlinkat(dir->fd, name, r->a1 ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
    case KVM_OP_FILE_MKNOD:
        return mknodat(dir->fd, name, (mode_t)r->a1, (dev_t)r->a2) < 0 ? -errno : 0;
    default: /* KVM_OP_FILE_LINK: `dir` is the file, `other` the directory */
        if (dir->limits & LIMIT_UNGRANTED)
            return -EPERM;
        fd_path(path, dir->fd);
        return linkat(AT_FDCWD, path, other->fd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
    }
}

static int64_t serve_xattr(struct vm_file *file, const struct kvm_request *r, const void *buffer,
                           void *value)
{
    char path[32], name[NAME_SIZE_MAX];
    if (r->op == KVM_OP_FILE_SET_XATTR && (file->limits & LIMIT_READ_ONLY))
        return -EROFS;
    int err = buffer ? take_text(buffer, r->size, name, sizeof(name), NULL, NULL) : -EINVAL;
    if (err)
        return err;
    fd_path(path, file->fd); /* the f-calls refuse handles to look at */
    if (r->op == KVM_OP_FILE_GET_XATTR)
        return result_of(getxattr(path, name, value, r->a2));
    if (r->a3 & KVM_XATTR_REMOVE)
        return result_of(removexattr(path, name));
    return result_of(setxattr(path, name, value, r->a2, (int)r->a3));
}

static int64_t serve_tty(struct vm_file *file, const struct kvm_request *r, void *buffer)
{
    static const struct {
        unsigned long request;
        size_t size;
        bool in, by_value;
    } table[] = {
        [HOST_TTY_GET_ATTR] = {TCGETS, TERMIOS_SIZE, false, false},
        [HOST_TTY_SET_ATTR] = {TCSETS, TERMIOS_SIZE, true, false},
        [HOST_TTY_SET_ATTR_DRAIN] = {TCSETSW, TERMIOS_SIZE, true, false},
        [HOST_TTY_SET_ATTR_FLUSH] = {TCSETSF, TERMIOS_SIZE, true, false},
        [HOST_TTY_GET_WINSIZE] = {TIOCGWINSZ, 8, false, false},
        [HOST_TTY_SET_WINSIZE] = {TIOCSWINSZ, 8, true, false},
        [HOST_TTY_FLUSH] = {TCFLSH, 4, true, true},
        [HOST_TTY_INPUT_BYTES] = {FIONREAD, 4, false, false},
    };
    char argument[64] = {0};
    if (r->a1 >= sizeof(table) / sizeof(table[0]) || !buffer || r->size != table[r->a1].size)
        return -EINVAL;
    if (table[r->a1].in)
        memcpy(argument, buffer, r->size);
    int number;
    memcpy(&number, argument, sizeof(number));
    int done = table[r->a1].by_value ? ioctl(file->fd, table[r->a1].request, number)
                                     : ioctl(file->fd, table[r->a1].request, argument);
    if (done < 0)
        return -errno;
    if (!table[r->a1].in)
        memcpy(buffer, argument, r->size);
    return 0;
}

static bool changes_directory(uint32_t op)
{
    return op == KVM_OP_FILE_MKDIR || op == KVM_OP_FILE_SYMLINK || op == KVM_OP_FILE_UNLINK ||
           op == KVM_OP_FILE_MKNOD || op == KVM_OP_FILE_LINK || op == KVM_OP_FILE_RENAME;
}

static int64_t serve_one(struct vm_files *files, struct vm_file *file, struct vm_file *other,
                         const struct kvm_request *r, void *buffer, void *second)
{
    char path[32];
    /* Data of sockets goes through sockets.c, where no SIGPIPE comes of it. */
    if ((file->is_socket || (other && other->is_socket)) && r->op != KVM_OP_FILE_POLL &&
        r->op != KVM_OP_FILE_STAT)
        return -EINVAL;
    if (changes_directory(r->op) &&
        ((file->limits | (other ? other->limits : 0)) & LIMIT_READ_ONLY))
        return -EROFS;
    switch (r->op) {
    case KVM_OP_FILE_OPEN:
        return serve_open(files, file, r, buffer);
    case KVM_OP_FILE_REOPEN:
        return serve_reopen(files, file, r->a1);
    case KVM_OP_FILE_STAT:
        return r->size == sizeof(struct host_stat) ? stat_below(file->fd, "", AT_EMPTY_PATH, buffer)
                                                   : -EINVAL;
    case KVM_OP_FILE_STAT_AT:
        return second ? serve_stat_at(file, r, buffer, second) : -EFAULT;
    case KVM_OP_FILE_STAT_PATH:
        return second ? serve_stat_path(file, r, buffer, second) : -EFAULT;
    case KVM_OP_FILE_PREAD:
    case KVM_OP_FILE_PWRITE:
        return buffer ? serve_at(file, r, buffer) : 0;
    case KVM_OP_FILE_READ:
    case KVM_OP_FILE_WRITE:
        return buffer ? serve_stream(file, r, buffer) : 0;
    case KVM_OP_FILE_POLL:
        return ready_now(file, (uint32_t)r->a1);
    case KVM_OP_FILE_READDIR:
        return buffer ? serve_readdir(file, r, buffer) : -EINVAL;
    case KVM_OP_FILE_READLINK:
        return buffer ? result_of(readlinkat(file->fd, "", buffer, r->size)) : -EINVAL;
    case KVM_OP_FILE_SETATTR:
        return r->size == sizeof(struct host_stat) ? serve_setattr(file, r->a1, buffer) : -EINVAL;
    case KVM_OP_FILE_SYNC:
        return fsync(file->fd) < 0 ? -errno : 0;
    case KVM_OP_FILE_STATFS:
        return r->size == sizeof(struct host_statfs) ? serve_statfs(file, buffer) : -EINVAL;
    case KVM_OP_FILE_SEEK:
        return result_of(lseek(file->fd, (off_t)r->a1, (int)r->a2));
    case KVM_OP_FILE_ALLOCATE:
        if (file->limits & LIMIT_READ_ONLY)
            return -EROFS;
        if ((file->limits & LIMIT_APPEND) && (r->a3 & ~(uint64_t)FALLOC_FL_KEEP_SIZE))
            return -EPERM;
        return result_of(fallocate(file->fd, (int)r->a3, (off_t)r->a1, (off_t)r->a2));
    case KVM_OP_FILE_LIST_XATTR:
        fd_path(path, file->fd);
        return result_of(listxattr(path, buffer, buffer ? r->size : 0));
    case KVM_OP_FILE_GET_XATTR:
    case KVM_OP_FILE_SET_XATTR:
        return serve_xattr(file, r, buffer, second);
    case KVM_OP_FILE_SYMLINK:
        return serve_symlink(file, r, buffer);
    case KVM_OP_FILE_RENAME:
        return serve_rename(file, other, r, buffer);
    case KVM_OP_FILE_MKDIR:
    case KVM_OP_FILE_UNLINK:
    case KVM_OP_FILE_MKNOD:
    case KVM_OP_FILE_LINK:
        return serve_name(file, other, r, buffer);
    case KVM_OP_FILE_TTY:
        return serve_tty(file, r, buffer);
    default:
        return -ENOSYS;
    }
}

int64_t vm_files_serve(struct vm_files *files, const struct kvm_request *r, void *buffer,
                       void *second)
{
    if (r->op == KVM_OP_FILE_GRANTED)
        return serve_granted(files, buffer, r->size);
    if (r->op == KVM_OP_FILE_STANDARD)
        return serve_standard(files, r->a0);
    if (r->op == KVM_OP_FILE_CLOSE)
        return close_handle(files, r->a0);
    struct vm_file *file = vm_file_get(files, r->a0), *other = NULL;
    if (!file)
        return -EBADF;
    bool two = r->op == KVM_OP_FILE_LINK || r->op == KVM_OP_FILE_RENAME;
    if (two)
        other = vm_file_get(files, r->a1);
    int64_t result = two && !other ? -EBADF : serve_one(files, file, other, r, buffer, second);
    if (other)
        vm_file_put(other);
    vm_file_put(file);
    return result;
}
