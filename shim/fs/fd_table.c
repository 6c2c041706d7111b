/*
 * fd_table.c: descriptor numbers. A table is shared by CLONE_FILES tasks; one that a single task
 * holds is read without its lock, since only that task changes it; every change takes the lock, so
 * that others may walk the table (/proc/PID/fd).
 */
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/fs/file.h"
#include "shim/fs/locks.h"
#include "shim/process.h"

#define RLIMIT_NOFILE_INDEX 7 /* asm-generic/resource.h */
#define FD_LIMIT_MAX (1u << 20)
#define FD_INITIAL 64u

struct fd_table {
    uint32_t refs; /* atomic: tasks and walkers */
    struct mutex lock;
    /* under lock (see above for readers) */
    unsigned capacity; /* multiple of 64 */
    struct file **files;
    uint64_t *used, *cloexec; /* bitmaps */
    unsigned first_free;      /* no free number is lower */
};

static bool bit_get(const uint64_t *map, unsigned i)
{
    return (map[i / 64] >> (i % 64)) & 1;
}
static void bit_set(uint64_t *map, unsigned i)
{
    map[i / 64] |= 1ull << (i % 64);
}
static void bit_clear(uint64_t *map, unsigned i)
{
    map[i / 64] &= ~(1ull << (i % 64));
}

static size_t bytes_for(unsigned capacity)
{
    return (size_t)capacity * sizeof(struct file *) + 2 * (capacity / 64) * sizeof(uint64_t);
}

static int grow(struct fd_table *t, unsigned need)
{
    unsigned capacity = t->capacity ? t->capacity : FD_INITIAL;
    while (capacity < need)
        capacity *= 2;
    if (capacity == t->capacity)
        return 0;
    struct file **files = shim_zalloc(bytes_for(capacity));
    if (!files)
        return -ENOMEM;
    uint64_t *used = (uint64_t *)(files + capacity);
    uint64_t *cloexec = used + capacity / 64;
    if (t->capacity) {
        memcpy(files, t->files, t->capacity * sizeof(*files));
        memcpy(used, t->used, t->capacity / 8);
        memcpy(cloexec, t->cloexec, t->capacity / 8);
        shim_free(t->files);
    }
    t->files = files;
    t->used = used;
    t->cloexec = cloexec;
    t->capacity = capacity;
    return 0;
}

struct fd_table *fd_table_create(int *err)
{
    struct fd_table *t = shim_zalloc(sizeof(*t));
    if (!t || grow(t, FD_INITIAL) != 0) {
        shim_free(t);
        *err = -ENOMEM;
        return NULL;
    }
    t->refs = 1;
    return t;
}

static unsigned highest_used(const struct fd_table *t)
{
    for (unsigned w = t->capacity / 64; w-- > 0;)
        if (t->used[w])
            return w * 64 + 64 - (unsigned)__builtin_clzll(t->used[w]);
    return 0;
}

struct fd_table *fd_table_copy(struct fd_table *from, int *err)
{
    struct fd_table *t = fd_table_create(err);
    if (!t)
        return NULL;
    mutex_lock(&from->lock);
    unsigned count = highest_used(from);
    if (grow(t, count) != 0) {
        mutex_unlock(&from->lock);
        shim_free(t->files);
        shim_free(t);
        *err = -ENOMEM;
        return NULL;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!bit_get(from->used, i) || !from->files[i])
            continue;
        file_get(from->files[i]);
        t->files[i] = from->files[i];
        bit_set(t->used, i);
        if (bit_get(from->cloexec, i))
            bit_set(t->cloexec, i);
    }
    t->first_free = from->first_free;
    mutex_unlock(&from->lock);
    return t;
}

void fd_table_get(struct fd_table *t)
{
    __atomic_fetch_add(&t->refs, 1, __ATOMIC_RELAXED);
}

/* What close(2) does to a file whose descriptor is already gone. Consumes the reference. */
static void close_file(struct task *task, const struct fd_table *t, struct file *f)
{
    if (f->inode)
        locks_close_posix(t, f);
    if (f->ops->flush && task)
        f->ops->flush(task, f);
    file_put(f);
}

void fd_table_put(struct task *task, struct fd_table *t)
{
    if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    for (unsigned i = 0; i < t->capacity; i++)
        if (t->files[i])
            close_file(task, t, t->files[i]);
    shim_free(t->files);
    shim_free(t);
}

struct file *fd_get(struct task *task, int fd)
{
    struct fd_table *t = task->files;
    struct file *f = NULL;
    if (__atomic_load_n(&t->refs, __ATOMIC_ACQUIRE) == 1) {
        if ((unsigned)fd < t->capacity && (f = t->files[fd]) != NULL)
            file_get(f);
        return f;
    }
    mutex_lock(&t->lock);
    if ((unsigned)fd < t->capacity && (f = t->files[fd]) != NULL)
        file_get(f);
    mutex_unlock(&t->lock);
    return f;
}

unsigned fd_table_size(struct task *task)
{
    return __atomic_load_n(&task->files->capacity, __ATOMIC_RELAXED);
}

struct file_use fd_use(struct task *task, int fd)
{
    const struct fd_table *t = task->files;
    if (__atomic_load_n(&t->refs, __ATOMIC_ACQUIRE) == 1)
        return (struct file_use){.file = (unsigned)fd < t->capacity ? t->files[fd] : NULL};
    return (struct file_use){.file = fd_get(task, fd), .counted = true};
}

void fd_end_use(struct file_use use)
{
    if (use.counted && use.file)
        file_put(use.file);
}

static unsigned fd_limit(struct task *task)
{
    uint64_t limit = task->process->rlimits[RLIMIT_NOFILE_INDEX].cur;
    return limit < FD_LIMIT_MAX ? (unsigned)limit : FD_LIMIT_MAX;
}

static int find_free(const struct fd_table *t, unsigned min)
{
    unsigned i = min > t->first_free ? min : t->first_free;
    while (i < t->capacity) {
        uint64_t free = ~t->used[i / 64] & (~0ull << (i % 64));
        if (free)
            return (int)(i / 64 * 64 + (unsigned)__builtin_ctzll(free));
        i = (i / 64 + 1) * 64;
    }
    return (int)(i > min ? i : min);
}

static void put_in(struct fd_table *t, unsigned fd, struct file *f, enum fd_flags flags)
{
    t->files[fd] = f;
    bit_set(t->used, fd);
    if (flags & FD_CLOSE_ON_EXEC)
        bit_set(t->cloexec, fd);
    else
        bit_clear(t->cloexec, fd);
    if (fd == t->first_free)
        t->first_free = fd + 1;
}

static struct file *take_out(struct fd_table *t, unsigned fd)
{
    struct file *f = fd < t->capacity ? t->files[fd] : NULL;
    if (!f)
        return NULL;
    t->files[fd] = NULL;
    bit_clear(t->used, fd);
    bit_clear(t->cloexec, fd);
    if (fd < t->first_free)
        t->first_free = fd;
    return f;
}

int fd_install(struct task *task, struct file *f, int min, enum fd_flags flags)
{
    struct fd_table *t = task->files;
    mutex_lock(&t->lock);
    int fd = find_free(t, (unsigned)min);
    int result;
    if ((unsigned)fd >= fd_limit(task))
        result = -EMFILE;
    else
        result = grow(t, (unsigned)fd + 1);
    if (result >= 0) {
        put_in(t, (unsigned)fd, f, flags);
        result = fd;
    }
    mutex_unlock(&t->lock);
    if (result < 0)
        file_put(f);
    return result;
}

int fd_install_in(struct fd_table *t, struct file *f, int fd, enum fd_flags flags)
{
    if (fd < 0 || (unsigned)fd >= FD_LIMIT_MAX) {
        file_put(f);
        return -EBADF;
    }
    mutex_lock(&t->lock);
    struct file *old = NULL;
    int err = grow(t, (unsigned)fd + 1);
    if (err == 0) {
        old = take_out(t, (unsigned)fd);
        put_in(t, (unsigned)fd, f, flags);
    }
    mutex_unlock(&t->lock);
    if (err) {
        file_put(f);
        return err;
    }
    if (old)
        close_file(task_current(), t, old);
    return fd;
}

int fd_install_at(struct task *task, struct file *f, int fd, enum fd_flags flags)
{
    if (fd < 0 || (unsigned)fd >= fd_limit(task)) {
        file_put(f);
        return -EBADF;
    }
    return fd_install_in(task->files, f, fd, flags);
}

int fd_close(struct task *task, int fd)
{
    struct fd_table *t = task->files;
    mutex_lock(&t->lock);
    struct file *f = take_out(t, (unsigned)fd);
    mutex_unlock(&t->lock);
    if (!f)
        return -EBADF;
    close_file(task, t, f);
    return 0;
}

int fd_get_flags(struct task *task, int fd)
{
    struct fd_table *t = task->files;
    int result = -EBADF;
    mutex_lock(&t->lock);
    if ((unsigned)fd < t->capacity && t->files[fd])
        result = bit_get(t->cloexec, (unsigned)fd) ? FD_CLOSE_ON_EXEC : FD_KEEP;
    mutex_unlock(&t->lock);
    return result;
}

int fd_set_flags(struct task *task, int fd, enum fd_flags flags)
{
    struct fd_table *t = task->files;
    int result = -EBADF;
    mutex_lock(&t->lock);
    if ((unsigned)fd < t->capacity && t->files[fd]) {
        if (flags & FD_CLOSE_ON_EXEC)
            bit_set(t->cloexec, (unsigned)fd);
        else
            bit_clear(t->cloexec, (unsigned)fd);
        result = 0;
    }
    mutex_unlock(&t->lock);
    return result;
}

void fd_range(struct task *task, unsigned first, unsigned last, enum fd_range_action action)
{
    struct fd_table *t = task->files;
    for (uint64_t fd = first; fd <= last; fd++) {
        mutex_lock(&t->lock);
        unsigned capacity = t->capacity;
        struct file *f = NULL;
        if (fd < capacity && t->files[fd]) {
            if (action == FD_RANGE_CLOEXEC)
                bit_set(t->cloexec, (unsigned)fd);
            else
                f = take_out(t, (unsigned)fd);
        }
        mutex_unlock(&t->lock);
        if (f)
            close_file(task, t, f);
        if (fd >= capacity)
            break;
    }
}

int fd_unshare(struct task *task)
{
    struct fd_table *old = task->files;
    if (__atomic_load_n(&old->refs, __ATOMIC_ACQUIRE) == 1)
        return 0;
    int err = 0;
    struct fd_table *own = fd_table_copy(old, &err);
    if (!own)
        return err;
    mutex_lock(&g_process_lock); /* /proc takes references to what it finds there */
    task->files = own;
    mutex_unlock(&g_process_lock);
    fd_table_put(task, old);
    return 0;
}

void fd_close_on_exec(struct task *task)
{
    /* Without memory for a copy the sharers lose their marked descriptors too: better than leaking
     * them into the new program. */
    (void)!fd_unshare(task);
    struct fd_table *t = task->files;
    for (unsigned w = 0;; w++) {
        mutex_lock(&t->lock);
        if (w >= t->capacity / 64) {
            mutex_unlock(&t->lock);
            return;
        }
        uint64_t marked = t->cloexec[w] & t->used[w];
        mutex_unlock(&t->lock);
        while (marked) {
            unsigned fd = w * 64 + (unsigned)__builtin_ctzll(marked);
            marked &= marked - 1;
            (void)!fd_close(task, (int)fd);
        }
    }
}

struct file *fd_table_file(struct fd_table *t, int fd)
{
    struct file *f = NULL;
    mutex_lock(&t->lock);
    if (fd >= 0 && (unsigned)fd < t->capacity)
        f = t->files[fd];
    if (f)
        file_get(f);
    mutex_unlock(&t->lock);
    return f;
}

int fd_table_walk(struct fd_table *t,
                  int (*fn)(void *arg, int fd, struct file *f, enum fd_flags flags), void *arg)
{
    int result = 0;
    for (unsigned fd = 0; result == 0; fd++) {
        mutex_lock(&t->lock);
        if (fd >= t->capacity) {
            mutex_unlock(&t->lock);
            break;
        }
        struct file *f = t->files[fd];
        enum fd_flags flags = f && bit_get(t->cloexec, fd) ? FD_CLOSE_ON_EXEC : FD_KEEP;
        if (f)
            file_get(f);
        mutex_unlock(&t->lock);
        if (!f)
            continue;
        result = fn(arg, (int)fd, f, flags);
        file_put(f);
    }
    return result;
}
