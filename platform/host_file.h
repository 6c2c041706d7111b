/*
 * host_file.h: files and streams of the host, as far as an embedder granted them.
 *
 * A struct host_file is an open file, directory, terminal, pipe or path handle. Names are single
 * components relative to a directory handle: no slash, not "", "." or ".."; a path is several of
 * them with one slash between. Symbolic links are never followed by the platform. So whoever holds a root handle can reach what is below it and
 * nothing else. Reference-counted; owner: the caller of open, until close. All slots: any thread;
 * may block unless said; take no shim lock.
 */
#ifndef PALIMPSEST_PLATFORM_HOST_FILE_H
#define PALIMPSEST_PLATFORM_HOST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/annotations.h"
#include "platform/guest_memory.h"

struct platform;
struct host_file;

/* Bits. PATH: a handle to look at (stat, lookup below it), no data; works on any kind of file. */
enum host_open_flags {
    HOST_OPEN_READ = 1,
    HOST_OPEN_WRITE = 2,
    HOST_OPEN_CREATE = 4,
    HOST_OPEN_EXCLUSIVE = 8, /* with CREATE: -EEXIST when it is there */
    HOST_OPEN_TRUNCATE = 16,
    HOST_OPEN_DIRECTORY = 32, /* -ENOTDIR otherwise */
    HOST_OPEN_PATH = 64,
    /* A new regular file in `dir` without a name; `name` is not looked at. -EOPNOTSUPP */
    HOST_OPEN_NAMELESS = 128,
};

/* What the instance was started with. */
enum host_standard_stream { HOST_STDIN = 0, HOST_STDOUT = 1, HOST_STDERR = 2 };

struct host_stat {
    uint64_t dev, ino, size, blocks; /* blocks of 512 bytes */
    uint32_t mode, nlink, uid, gid;  /* mode with the S_IFMT type bits */
    uint64_t rdev;
    uint32_t block_size;
    int64_t atime_ns, mtime_ns, ctime_ns; /* since 1970 */
};

#define HOST_PATH_MAX 512 /* of stat_path, with its end */

/*
 * A directory entry as host_file_readdir packs them: records of `record_size` bytes, 8-byte
 * aligned.
 */
struct host_dirent {
    uint64_t ino;
    uint64_t next_offset; /* pass it to continue after this entry */
    uint16_t record_size;
    uint8_t type; /* DT_* */
    char name[];  /* NUL-terminated */
};

/* Bits. */
enum host_setattr_mask {
    HOST_SET_MODE = 1,
    HOST_SET_OWNER = 2, /* uid, gid; UINT32_MAX keeps one */
    HOST_SET_SIZE = 4,
    HOST_SET_TIMES = 8, /* atime_ns, mtime_ns; INT64_MIN keeps one */
};

struct host_statfs {
    uint64_t type, block_size, blocks, blocks_free, blocks_available, files, files_free, name_max;
};

/*
 * Terminal requests; `arg` is the struct the Linux ABI names (kernel struct termios: 36 bytes;
 * struct winsize: 8 bytes).
 */
enum host_tty_request {
    HOST_TTY_GET_ATTR,       /* TCGETS */
    HOST_TTY_SET_ATTR,       /* TCSETS */
    HOST_TTY_SET_ATTR_DRAIN, /* TCSETSW */
    HOST_TTY_SET_ATTR_FLUSH, /* TCSETSF */
    HOST_TTY_GET_WINSIZE,    /* TIOCGWINSZ */
    HOST_TTY_SET_WINSIZE,    /* TIOCSWINSZ */
    HOST_TTY_FLUSH,          /* TCFLSH, arg: int * */
    HOST_TTY_INPUT_BYTES,    /* FIONREAD, arg: int * */
};

struct host_file_ops {
    /*
     * The directory granted as NAME when the instance was configured ("root", or a mount's source).
     * Errors: NULL, *err: -ENOENT.
     */
    struct host_file *(*granted)(struct platform *p, const char *name, int *err);
    /* Standard stream; a new reference each call. Errors: NULL, *err: -EBADF when it was closed. */
    struct host_file *(*standard)(struct platform *p, enum host_standard_stream which, int *err);
    /*
     * Open `name` in `dir`; mode for HOST_OPEN_CREATE, as it stands (no umask; mkdir and mknod
     * likewise). Never blocks (fifos are opened non-blocking).
     * Errors: NULL, *err: -ENOENT, -EACCES, -ELOOP (a symbolic link, unless HOST_OPEN_PATH),
     * -EEXIST, -EISDIR, -ENOTDIR, -EROFS, -ENFILE, -ENOMEM...
     */
    struct host_file *(*open)(struct platform *p, struct host_file *dir, const char *name,
                              unsigned flags, uint32_t mode, int *err);
    /* Open what a HOST_OPEN_PATH handle names again, for data. Errors as open. */
    struct host_file *(*reopen)(struct platform *p, struct host_file *file, unsigned flags,
                                int *err);
    void (*get)(struct platform *p, struct host_file *file);
    void (*close)(struct platform *p, struct host_file *file); /* drops one reference */
    int (*stat)(struct platform *p, struct host_file *file, struct host_stat *out);
    /* What `name` in `dir` is, without a handle; a symbolic link is itself. Errors: as open. */
    int (*stat_at)(struct platform *p, struct host_file *dir, const char *name,
                   struct host_stat *out);
    /*
     * The same at the end of a path shorter than HOST_PATH_MAX, however directories are renamed meanwhile.
     * Errors: as open; -ELOOP: a symbolic link on the way; -EOPNOTSUPP: go step by step, as for every path on this host, or here because it
     * is no slower.
     */
    int (*stat_path)(struct platform *p, struct host_file *dir, const char *path,
                     struct host_stat *out);
    /* Data at an offset. Result: bytes, 0 at the end, -EFAULT, -EIO, -EISDIR... */
    int64_t (*pread)(struct platform *p, struct host_file *file, uint64_t offset,
                     struct mem_ref into);
    int64_t (*pwrite)(struct platform *p, struct host_file *file, uint64_t offset,
                      struct mem_ref from);
    /*
     * Data of a stream (pipe, terminal, socket). Never blocks: -EAGAIN when nothing is there; wait
     * with thread_park.
     */
    int64_t (*read)(struct platform *p, struct host_file *file, struct mem_ref into);
    int64_t (*write)(struct platform *p, struct host_file *file, struct mem_ref from);
    /* POLL* bits that hold now, of those asked and POLLERR, POLLHUP. Never blocks. */
    uint32_t (*poll)(struct platform *p, struct host_file *file, uint32_t events);
    /*
     * Fill `out` with struct host_dirent records from `offset` (0: start), "." and ".." left out.
     * Result: bytes, 0 at the end.
     */
    int64_t (*readdir)(struct platform *p, struct host_file *dir, uint64_t offset, void *out,
                       size_t size);
    /* Link text, not NUL-terminated. `link` is a HOST_OPEN_PATH handle. Result: bytes. */
    int64_t (*readlink)(struct platform *p, struct host_file *link, char *out, size_t size);
    int (*setattr)(struct platform *p, struct host_file *file, unsigned mask,
                   const struct host_stat *attr);
    int (*sync)(struct platform *p, struct host_file *file);
    /*
     * lseek(2) on a regular file. SEEK_SET, SEEK_CUR, SEEK_END: of a standard stream, whose position others may share. SEEK_DATA,
     * SEEK_HOLE: of any; its position means nothing afterwards. Result: the offset; -ESPIPE: no regular file; -ENXIO, -EINVAL.
     */
    int64_t (*seek)(struct platform *p, struct host_file *file, int64_t offset, int whence);
    /* fallocate(2) with its FALLOC_FL_ modes. Errors: -EOPNOTSUPP, -ENOSPC, -EFBIG... */
    int (*allocate)(struct platform *p, struct host_file *file, unsigned mode, uint64_t offset,
                    uint64_t size);
    /*
     * Extended attributes as xattr(7) has them; on any handle. size 0 asks for the size. value NULL removes; flags: XATTR_CREATE,
     * XATTR_REPLACE. Results: bytes, or 0; -ENODATA, -ERANGE, -EOPNOTSUPP, -EPERM...
     */
    int64_t (*get_xattr)(struct platform *p, struct host_file *file, const char *name, void *value,
                         size_t size);
    int64_t (*list_xattr)(struct platform *p, struct host_file *file, char *names, size_t size);
    int (*set_xattr)(struct platform *p, struct host_file *file, const char *name,
                     const void *value, size_t size, unsigned flags);
    int (*statfs)(struct platform *p, struct host_file *file, struct host_statfs *out);
    int (*mkdir)(struct platform *p, struct host_file *dir, const char *name, uint32_t mode);
    int (*symlink)(struct platform *p, struct host_file *dir, const char *name, const char *target);
    int (*link)(struct platform *p, struct host_file *file, struct host_file *dir,
                const char *name);
    int (*unlink)(struct platform *p, struct host_file *dir, const char *name, bool directory);
    /* flags: RENAME_NOREPLACE, RENAME_EXCHANGE of rename(2). */
    int (*rename)(struct platform *p, struct host_file *from_dir, const char *from,
                  struct host_file *to_dir, const char *to, unsigned flags);
    /* mknod(2): fifos, sockets, devices as the host allows. */
    int (*mknod)(struct platform *p, struct host_file *dir, const char *name, uint32_t mode,
                 uint64_t rdev);
    /* Errors: -ENOTTY. */
    int (*tty)(struct platform *p, struct host_file *file, enum host_tty_request request,
               void *arg);
};

MUST_USE struct host_file *host_file_granted(struct platform *p, const char *name, int *err);
MUST_USE struct host_file *host_file_standard(struct platform *p, enum host_standard_stream which,
                                              int *err);
MUST_USE struct host_file *host_file_open(struct platform *p, struct host_file *dir,
                                          const char *name, unsigned flags, uint32_t mode,
                                          int *err);
MUST_USE struct host_file *host_file_reopen(struct platform *p, struct host_file *file,
                                            unsigned flags, int *err);
void host_file_get(struct platform *p, struct host_file *file);
void host_file_close(struct platform *p, struct host_file *file);
MUST_USE int host_file_stat(struct platform *p, struct host_file *file, struct host_stat *out);
MUST_USE int host_file_stat_at(struct platform *p, struct host_file *dir, const char *name,
                               struct host_stat *out);
MUST_USE int host_file_stat_path(struct platform *p, struct host_file *dir, const char *path,
                                 struct host_stat *out);
MUST_USE int64_t host_file_pread(struct platform *p, struct host_file *file, uint64_t offset,
                                 struct mem_ref into);
MUST_USE int64_t host_file_pwrite(struct platform *p, struct host_file *file, uint64_t offset,
                                  struct mem_ref from);
MUST_USE int64_t host_file_read(struct platform *p, struct host_file *file, struct mem_ref into);
MUST_USE int64_t host_file_write(struct platform *p, struct host_file *file, struct mem_ref from);
uint32_t host_file_poll(struct platform *p, struct host_file *file, uint32_t events);
MUST_USE int64_t host_file_readdir(struct platform *p, struct host_file *dir, uint64_t offset,
                                   void *out, size_t size);
MUST_USE int64_t host_file_readlink(struct platform *p, struct host_file *link, char *out,
                                    size_t size);
MUST_USE int host_file_setattr(struct platform *p, struct host_file *file, unsigned mask,
                               const struct host_stat *attr);
MUST_USE int host_file_sync(struct platform *p, struct host_file *file);
MUST_USE int64_t host_file_seek(struct platform *p, struct host_file *file, int64_t offset,
                                int whence);
MUST_USE int host_file_allocate(struct platform *p, struct host_file *file, unsigned mode,
                                uint64_t offset, uint64_t size);
MUST_USE int64_t host_file_get_xattr(struct platform *p, struct host_file *file, const char *name,
                                     void *value, size_t size);
MUST_USE int64_t host_file_list_xattr(struct platform *p, struct host_file *file, char *names,
                                      size_t size);
MUST_USE int host_file_set_xattr(struct platform *p, struct host_file *file, const char *name,
                                 const void *value, size_t size, unsigned flags);
MUST_USE int host_file_statfs(struct platform *p, struct host_file *file, struct host_statfs *out);
MUST_USE int host_file_mkdir(struct platform *p, struct host_file *dir, const char *name,
                             uint32_t mode);
MUST_USE int host_file_symlink(struct platform *p, struct host_file *dir, const char *name,
                               const char *target);
MUST_USE int host_file_link(struct platform *p, struct host_file *file, struct host_file *dir,
                            const char *name);
MUST_USE int host_file_unlink(struct platform *p, struct host_file *dir, const char *name,
                              bool directory);
MUST_USE int host_file_rename(struct platform *p, struct host_file *from_dir, const char *from,
                              struct host_file *to_dir, const char *to, unsigned flags);
MUST_USE int host_file_mknod(struct platform *p, struct host_file *dir, const char *name,
                             uint32_t mode, uint64_t rdev);
MUST_USE int host_file_tty(struct platform *p, struct host_file *file,
                           enum host_tty_request request, void *arg);

#endif
