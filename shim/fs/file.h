/*
 * file.h: open files, descriptor tables and what every kind of file offers. Path names and inodes:
 * vfs.h.
 */
#ifndef PALIMPSEST_SHIM_FS_FILE_H
#define PALIMPSEST_SHIM_FS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/guest_memory.h"
#include "platform/thread.h"
#include "shim/fs/async.h"
#include "shim/sync.h"

struct task;
struct inode;
struct file;
struct dentry;
struct mount;

/* struct stat of the x86-64 ABI plus what statx adds. */
struct file_stat {
    uint64_t dev, ino, nlink, rdev, size, blocks; /* blocks of 512 bytes */
    uint32_t mode, uid, gid, block_size;
    int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
};

/*
 * One poll(2), select(2) or epoll registration in progress: file->ops->poll registers with it. Made
 * and ended by poll_table_init() and poll_table_end().
 */
#define POLL_TABLE_NEAR 4
struct poll_far_waiter {
    struct waiter waiter;
    struct poll_far_waiter *next;
};
struct poll_table {
    uint32_t wanted; /* POLL* bits the caller waits for; set before each file_poll() */
    bool failed;     /* out of memory: something is not registered */
    unsigned near_count;
    struct waiter near[POLL_TABLE_NEAR]; /* the first ones, without an allocation */
    struct poll_far_waiter *far;
    struct thread_wait_file near_files[POLL_TABLE_NEAR];
    /* host files to wait for as well: near_files, or from shim_alloc */
    struct thread_wait_file *files;
    size_t file_count, file_capacity;
    uint64_t deadline_ns; /* look again then (timerfd); THREAD_WAIT_FOREVER: no need */
    bool timed;           /* some file changes by itself, now or after its next setting */
    bool registered;      /* queues and host files are known: only deadlines are of interest */
    /* epoll's own way to register; NULL: the calling thread is to be woken */
    void (*add)(struct poll_table *table, struct wait_queue *q);
    void (*add_host)(struct poll_table *table, struct host_file *file, uint32_t events);
};
void poll_table_init(struct poll_table *table);
void poll_table_end(struct poll_table *table);
/* task_sleep() until something registered is woken or ready. 0: look again, with this table. */
MUST_USE int poll_table_sleep(struct task *task, struct poll_table *table, uint64_t deadline_ns);
/* Called by file_ops.poll when table != NULL, before it looks: be woken when `q` is, or when the
 * host file has one of `events`. */
void poll_table_add(struct poll_table *table, struct wait_queue *q);
void poll_table_add_host(struct poll_table *table, struct host_file *file, uint32_t events);
/* The answer changes by itself at this time; THREAD_WAIT_FOREVER: not as things are. */
void poll_table_add_deadline(struct poll_table *table, uint64_t deadline_ns);

typedef int (*dir_emit)(void *arg, const char *name, size_t length, uint64_t ino, unsigned type,
                        uint64_t next_offset); /* non-zero: the buffer is full */

/*
 * What a kind of file does. NULL slots answer with the errno in the comment. `task` is the caller.
 * A kind without seek is a stream: reads and writes are not serialised, offset points to a dummy,
 * readv and writev move everything in one call.
 */
#define FILE_AT_END UINT64_MAX
struct str_buf;

struct file_ops {
    const char *kind;                /* "pipe", "regular", "tty"... for /proc/PID/fd and traces */
    const struct socket_ops *socket; /* fs/socket.h; NULL: not a socket */
    /* Data at *offset (advanced by the callee; &f->pos: at the file's own position), or a stream (offset ignored). write:
     * FILE_AT_END as with O_APPEND. Result: bytes or -errno. NULL: -EINVAL. */
    int64_t (*read)(struct task *task, struct file *f, struct mem_ref into, uint64_t *offset);
    int64_t (*write)(struct task *task, struct file *f, struct mem_ref from, uint64_t *offset);
    /* POLL* bits that hold. NULL: always readable and writable. */
    uint32_t (*poll)(struct task *task, struct file *f, struct poll_table *table);
    /* NULL: -ENOTTY */
    int64_t (*ioctl)(struct task *task, struct file *f, unsigned request, uint64_t arg);
    /*
     * read, write and seek take the position as a value and keep nothing else in the file: they may run without pos_lock while nobody shares it,
     * even if somebody comes to meanwhile (pidfd_getfd).
     */
    bool keeps_position_only;
    /* FS_IOC_FIEMAP is answered, by SEEK_DATA and SEEK_HOLE; else -EOPNOTSUPP */
    bool tells_extents;
    bool ignores_seek; /* without seek: lseek answers 0 instead of -ESPIPE */
    /* New offset, or -ESPIPE (NULL). */
    int64_t (*seek)(struct task *task, struct file *f, int64_t offset, int whence);
    /* The object to map, referenced for the caller. *offset may be changed. NULL: -ENODEV. */
    struct memory_object *(*map)(struct task *task, struct file *f, enum memory_sharing sharing,
                                 unsigned prot, uint64_t *offset, int *err);
    /*
     * Emit entries from *offset (0: start) and advance it. next_offset is what *offset becomes once
     * the entry was taken; > 0, <= INT64_MAX - 2. "." and ".." are left out: getdents adds them.
     * emit non-zero: stop, entry not taken. NULL: -ENOTDIR.
     */
    int (*readdir)(struct task *task, struct file *f, uint64_t *offset, dir_emit emit, void *arg);
    /* NULL: the inode's, else -EINVAL */
    int (*truncate)(struct task *task, struct file *f, uint64_t size);
    /* NULL: -EOPNOTSUPP */
    int (*fallocate)(struct task *task, struct file *f, int mode, uint64_t offset, uint64_t size);
    int (*sync)(struct task *task, struct file *f);     /* NULL: 0 */
    int (*stat)(struct file *f, struct file_stat *out); /* NULL: the inode's */
    void (*flags_changed)(struct file *f);              /* after F_SETFL; may be NULL */
    /* O_ASYNC: what tells of this file's events, filled from the front. May set an owner. NULL: no signals. */
    void (*async_lists)(struct file *f, struct async_list *lists[ASYNC_LISTS_MAX]);
    /* Its own lines of /proc/PID/fdinfo; only descriptors of events have some. May be NULL. */
    void (*print_info)(struct file *f, struct str_buf *out);
    /* A descriptor (not the last reference) was closed by `task`: POSIX locks. May be NULL. */
    void (*flush)(struct task *task, struct file *f);
    void (*release)(struct file *f); /* last reference gone */
};

struct file {
    uint32_t refs; /* atomic */
    const struct file_ops *ops;
    uint32_t flags;        /* O_* status and access mode; changed atomically by F_SETFL */
    struct dentry *dentry; /* owned; NULL for pipes, sockets, ... */
    struct mount *mount;   /* of dentry; mounts live for ever */
    struct inode *inode;   /* owned; NULL likewise */
    void *data;            /* the kind's own */
    struct mutex pos_lock; /* guards pos for regular files and directories */
    uint64_t pos;
    struct file_owner owner;
    struct async_watch *async; /* under g_process_lock; NULL: not O_ASYNC, or of no effect */
    uint64_t id;               /* unique; inode number of anonymous kinds */
    bool opened;               /* by a name: inotify hears of its close */
    bool counted_writer;       /* inode_want_write() was granted: file_put gives it back */
    struct epoll_item *epolls; /* epoll.c's: who watches this file */
};

/* A file without a name. Owner: caller. `flags`: O_*. */
struct file *file_create(const struct file_ops *ops, uint32_t flags, void *data, int *err);
void file_get(struct file *f);
void file_put(struct file *f); /* last: ops->release; may sleep */

/* Checked entry points: access mode, NULL slots, O_APPEND, RLIMIT_FSIZE. offset NULL: the file's
 * own position. */
int64_t file_read(struct task *task, struct file *f, struct mem_ref into, uint64_t *offset);
int64_t file_write(struct task *task, struct file *f, struct mem_ref from, uint64_t *offset);
uint32_t file_poll(struct task *task, struct file *f, struct poll_table *table);
int file_stat(struct file *f, struct file_stat *out);
/* Truncation to a larger size: 0, or -EFBIG and SIGXFSZ (RLIMIT_FSIZE). */
MUST_USE int file_may_grow(struct task *task, uint64_t from, uint64_t to);
/* For who holds or uses `f`. true: f->pos_lock was taken; false: there is nobody to keep off. */
MUST_USE bool file_lock_position(struct file *f);
/* lseek(2) over an object of `size` bytes for ops->seek: SEEK_SET, CUR, END, DATA, HOLE (data
 * everywhere). Sets f->pos. */
int64_t file_seek_in(struct file *f, int64_t offset, int whence, uint64_t size);
/* Text that /proc/PID/fd/N links to: a path, "pipe:[12]", ... Into out; result: length. */
int file_describe(struct task *task, struct file *f, char *out, size_t size);

/* Descriptor tables. */
struct fd_table;
struct fd_table *fd_table_create(int *err);
struct fd_table *fd_table_copy(struct fd_table *from, int *err);
void fd_table_get(struct fd_table *t);
void fd_table_put(struct task *task, struct fd_table *t); /* last: closes everything */
/* Owner: caller gets a reference. NULL: no such descriptor (-EBADF). */
struct file *fd_get(struct task *task, int fd);
/*
 * A file for the length of a call. Not counted where only the calling task uses the table: nobody else can take the file out of it.
 * So a file whose only reference is the table's has no other user: file_lock_position().
 */
struct file_use {
    struct file *file; /* NULL: no such descriptor */
    bool counted;
};
MUST_USE struct file_use fd_use(struct task *task, int fd);
void fd_end_use(struct file_use use);
/* Numbers the caller's table has places for: 64, then powers of two, as Linux's has. */
unsigned fd_table_size(struct task *task);
/* The same in a table that may be another process's. */
struct file *fd_table_file(struct fd_table *t, int fd);
/* Install and consume the reference. Lowest free >= min. Result: fd, -EMFILE, -ENOMEM (reference
 * still consumed). */
enum fd_flags { FD_KEEP = 0, FD_CLOSE_ON_EXEC = 1 };
int fd_install(struct task *task, struct file *f, int min, enum fd_flags flags);
/* Put it at `fd`, closing what is there. Result: fd, -EBADF (beyond RLIMIT_NOFILE), -ENOMEM;
 * reference consumed. */
int fd_install_at(struct task *task, struct file *f, int fd, enum fd_flags flags);
/* The same before the first task runs. */
int fd_install_in(struct fd_table *t, struct file *f, int fd, enum fd_flags flags);
int fd_close(struct task *task, int fd);     /* -EBADF */
int fd_get_flags(struct task *task, int fd); /* enum fd_flags or -EBADF */
int fd_set_flags(struct task *task, int fd, enum fd_flags flags);
/* close_range(2): close, or mark close-on-exec, all of [first, last]. */
enum fd_range_action { FD_RANGE_CLOSE, FD_RANGE_CLOEXEC };
void fd_range(struct task *task, unsigned first, unsigned last, enum fd_range_action action);
/* The caller gets a table of its own if it shares one. 0, -ENOMEM. */
MUST_USE int fd_unshare(struct task *task);
/* execve: close what is marked; unshare first if shared */
void fd_close_on_exec(struct task *task);
/* Calls fn for each open descriptor in order while it returns 0. The table may belong to another
 * process. */
int fd_table_walk(struct fd_table *t,
                  int (*fn)(void *arg, int fd, struct file *f, enum fd_flags flags), void *arg);

#endif
