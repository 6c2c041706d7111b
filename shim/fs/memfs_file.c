/*
 * memfs_file.c: data of regular files in memory, copy-up of host files.
 *
 * Small files live in the heap; one that grows or is mapped moves to a memory object, so that
 * mappings and read(2) see the same bytes. Bytes of either beyond the size are zero.
 */
#include <asm/fcntl.h>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/fs.h>

#include "platform/errno.h"
#include "platform/host_file.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/budget.h"
#include "shim/fs/hostfs.h"
#include "shim/fs/memfs.h"
#include "shim/fs/namei.h"
#include "shim/fs/transfer.h"
#include "shim/shim.h"

#define INLINE_MAX (64u * 1024u)
#define SIZE_MAX_FILE (1ull << 46)
#define COPY_CHUNK (128u * 1024u)
/* Open files that keep the host from closing what they read; more open it again where it was closed. */
#define LOWER_KEPT_MAX 256u
#define SHORT_READ 256u /* so much is cheaper to copy twice than to lock */

/* Around all that changes a regular file's data, or where it lies. */
static void change_begin(struct mem_node *n)
{
    mutex_lock(&n->inode->lock);
    __atomic_store_n(&n->version, n->version + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static void change_end(struct mem_node *n)
{
    __atomic_store_n(&n->version, n->version + 1, __ATOMIC_RELEASE);
    mutex_unlock(&n->inode->lock);
}

static uint64_t pages_of(uint64_t size)
{
    return size / 4096 + (size % 4096 != 0);
}

static void set_object_size(struct mem_node *n, uint64_t size)
{
    budget_promise((int64_t)pages_of(size) - (int64_t)pages_of(n->object_size));
    n->object_size = size;
}

/* What one call took of the file system's room. */
struct charge {
    uint64_t first, count; /* pages of the file */
};

/* Of a file that grows to `end`, written from `from` on: how far there is room for. Pages that are skipped cost nothing, as on
 * Linux; that a hole is filled later is not counted. */
static uint64_t charge(struct mem_node *n, uint64_t from, uint64_t end, struct charge *taken)
{
    struct mem_fs *fs = n->fs;
    *taken = (struct charge){0};
    uint64_t limit = fs->limit_pages, had = pages_of(n->size);
    uint64_t start = had > from / 4096 ? had : from / 4096, stop = pages_of(end);
    if (stop <= start)
        return end;
    uint64_t want = stop - start, used = __atomic_load_n(&fs->used_pages, __ATOMIC_RELAXED), get;
    do {
        uint64_t room = !limit ? want : used < limit ? limit - used : 0;
        get = want < room ? want : room;
    } while (!__atomic_compare_exchange_n(&fs->used_pages, &used, used + get, false,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    n->charged += get;
    *taken = (struct charge){start, get};
    uint64_t reached = (start + get) * 4096;
    return reached < end ? reached : end;
}

/* What was taken is needed up to `size`, that the file grew to; 0: it did not. */
static void charge_settle(struct mem_node *n, const struct charge *taken, uint64_t size)
{
    uint64_t used = pages_of(size) > taken->first ? pages_of(size) - taken->first : 0;
    if (used >= taken->count)
        return;
    __atomic_fetch_sub(&n->fs->used_pages, taken->count - used, __ATOMIC_RELAXED);
    n->charged -= taken->count - used;
}

/* The file has `size` bytes now. */
static void uncharge(struct mem_node *n, uint64_t size)
{
    uint64_t keep = pages_of(size);
    if (n->charged <= keep)
        return;
    __atomic_fetch_sub(&n->fs->used_pages, n->charged - keep, __ATOMIC_RELAXED);
    n->charged = keep;
}

void mem_data_free(struct mem_node *n)
{
    uncharge(n, 0);
    shim_free(n->bytes);
    if (!n->object)
        return;
    set_object_size(n, 0);
    memory_object_put(g_platform, n->object);
}

static int inline_reserve(struct mem_node *n, uint64_t size)
{
    if (size <= n->capacity)
        return 0;
    size_t capacity = n->capacity ? n->capacity : 256;
    while (capacity < size)
        capacity *= 2;
    char *bytes = shim_realloc(n->bytes, capacity);
    if (!bytes)
        return -ENOMEM;
    memset(bytes + n->capacity, 0, capacity - n->capacity);
    n->bytes = bytes;
    n->capacity = capacity;
    return 0;
}

/* The object holds `size` bytes at least; exactly the file's size once somebody maps it, for SIGBUS
 * to be where Linux has it. */
static int object_reserve(struct mem_node *n, uint64_t size)
{
    if (size <= n->object_size)
        return 0;
    if (!n->mapped) {
        uint64_t bigger = n->object_size + n->object_size / 2;
        size = size > bigger ? size : bigger;
        size = (size + 4095) & ~4095ull;
    }
    int err = memory_object_resize(g_platform, n->object, size);
    if (err == 0)
        set_object_size(n, size);
    return err;
}

static bool is_zero(const char *bytes, size_t size)
{
    static const char zeros[4096];
    return memcmp(bytes, zeros, size) == 0;
}

/* What is zero stays a hole. */
static int fill_object(const struct mem_node *n, struct memory_object *object)
{
    for (uint64_t at = 0; at < n->size; at += 4096) {
        size_t size = n->size - at < 4096 ? n->size - at : 4096;
        if (is_zero(n->bytes + at, size))
            continue;
        int64_t done = memory_object_write(g_platform, object, at, mem_shim(n->bytes + at, size));
        if (done != (int64_t)size)
            return done < 0 ? (int)done : -ENOMEM;
    }
    return 0;
}

/* Under the inode's lock: from here on the data is in an object. */
static int to_object(struct mem_node *n)
{
    int err = 0;
    struct memory_object *object = memory_object_create(g_platform, n->size, &err);
    if (!object)
        return err;
    err = fill_object(n, object);
    if (err) {
        memory_object_put(g_platform, object);
        return err;
    }
    n->object = object;
    set_object_size(n, n->size);
    char *bytes = n->bytes;
    n->bytes = NULL;
    n->capacity = 0;
    __atomic_store_n(&n->kind, MEM_DATA_OBJECT, __ATOMIC_RELEASE);
    shim_free(bytes);
    return 0;
}

static int copy_lower(struct mem_node *n, struct memory_object *object, uint64_t size)
{
    int err = 0;
    if (size == 0)
        return 0;
    struct host_file *file = hostfs_data(n->lower, HOSTFS_READ, &err);
    if (!file)
        return err;
    char *chunk = object ? shim_alloc(COPY_CHUNK) : n->bytes;
    uint64_t done = 0, data_end = 0;
    if (!chunk)
        err = -ENOMEM;
    while (err == 0 && done < size) {
        if (object && done >= data_end) { /* what the host does not store stays a hole here */
            int64_t data = host_file_seek(g_platform, file, (int64_t)done, SEEK_DATA);
            if (data == -ENXIO || data > (int64_t)size)
                data = (int64_t)size;
            int64_t hole = data < 0 ? data : host_file_seek(g_platform, file, data, SEEK_HOLE);
            data_end = hole > data ? (uint64_t)hole : size;
            n->sparse |= data > (int64_t)done;
            done = data > (int64_t)done ? (uint64_t)data : done;
            continue;
        }
        char *to = object ? chunk : chunk + done;
        uint64_t want = object && size - done > COPY_CHUNK ? COPY_CHUNK : size - done;
        int64_t got = host_file_pread(g_platform, file, done, mem_shim(to, want));
        if (got > 0 && object)
            got = memory_object_write(g_platform, object, done, mem_shim(to, (size_t)got));
        if (got <= 0) {
            err = (int)got;
            break;
        }
        done += (uint64_t)got;
    }
    if (object)
        shim_free(chunk);
    host_file_close(g_platform, file);
    return err;
}

/* Under the inode's lock: the data becomes our own, of which the first `keep` bytes matter. */
static int copy_up(struct mem_node *n, uint64_t keep)
{
    if (n->kind != MEM_DATA_LOWER)
        return 0;
    uint64_t size = n->size < keep ? n->size : keep;
    int err = 0;
    if (size <= INLINE_MAX) {
        err = inline_reserve(n, size);
        if (err == 0)
            err = copy_lower(n, NULL, size);
        if (err)
            return err;
        n->size = size;
        __atomic_store_n(&n->kind, MEM_DATA_INLINE, __ATOMIC_RELEASE);
        return 0;
    }
    struct memory_object *object = memory_object_create(g_platform, size, &err);
    if (!object)
        return err;
    err = copy_lower(n, object, size);
    if (err) {
        memory_object_put(g_platform, object);
        return err;
    }
    n->object = object;
    set_object_size(n, size);
    n->size = size;
    __atomic_store_n(&n->kind, MEM_DATA_OBJECT, __ATOMIC_RELEASE);
    return 0;
}

static bool unchanged(const struct mem_node *n, uint32_t version)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&n->version, __ATOMIC_RELAXED) == version;
}

/* -EAGAIN: the data is not here, or was being changed, or it is too much. */
static int64_t read_short(const struct mem_node *n, struct mem_ref into, uint64_t offset)
{
    char copy[SHORT_READ];
    uint32_t version = __atomic_load_n(&n->version, __ATOMIC_ACQUIRE);
    const char *bytes = __atomic_load_n(&n->bytes, __ATOMIC_RELAXED);
    uint64_t capacity = __atomic_load_n(&n->capacity, __ATOMIC_RELAXED),
             size = __atomic_load_n(&n->size, __ATOMIC_RELAXED);
    bool here = __atomic_load_n(&n->kind, __ATOMIC_RELAXED) == MEM_DATA_INLINE;
    if (version & 1 || !here || capacity > SHIM_ALLOC_STAYS || !unchanged(n, version))
        return -EAGAIN;
    if (offset >= size || into.size == 0)
        return 0;
    size_t want = into.size < size - offset ? into.size : size - offset;
    if (want > sizeof(copy))
        return -EAGAIN;
    memcpy(copy, bytes + offset, want);
    if (!unchanged(n, version))
        return -EAGAIN;
    size_t done = transfer_out(into, copy, want);
    return done ? (int64_t)done : -EFAULT;
}

static int64_t read_inline(struct mem_node *n, struct mem_ref into, uint64_t offset)
{
    int64_t done = read_short(n, into, offset);
    if (done != -EAGAIN)
        return done;
    done = 0;
    mutex_lock(&n->inode->lock);
    if (n->kind != MEM_DATA_INLINE) {
        mutex_unlock(&n->inode->lock);
        return -EAGAIN; /* it moved just now */
    }
    if (offset < n->size && into.size) {
        uint64_t left = n->size - offset;
        size_t want = into.size < left ? into.size : left;
        done = (int64_t)transfer_out(into, n->bytes + offset, want);
        if (done == 0)
            done = -EFAULT;
    }
    mutex_unlock(&n->inode->lock);
    return done;
}

static int64_t read_object(struct mem_node *n, struct mem_ref into, uint64_t offset)
{
    uint64_t size = __atomic_load_n(&n->size, __ATOMIC_ACQUIRE);
    if (offset >= size || into.size == 0)
        return 0;
    return memory_object_read(g_platform, n->object, offset, mem_first(into, size - offset));
}

static unsigned g_lower_kept; /* atomic */

/* f->data: the host's file while that is what the open file reads; owned. */
static void keep_lower(struct file *f, struct host_file *file)
{
    if (__atomic_fetch_add(&g_lower_kept, 1, __ATOMIC_RELAXED) < LOWER_KEPT_MAX) {
        f->data = file;
        return;
    }
    __atomic_fetch_sub(&g_lower_kept, 1, __ATOMIC_RELAXED);
    host_file_close(g_platform, file);
}

static void regular_release(struct file *f)
{
    if (!f->data)
        return;
    __atomic_fetch_sub(&g_lower_kept, 1, __ATOMIC_RELAXED);
    host_file_close(g_platform, f->data);
}

static int64_t read_lower(struct file *f, struct mem_node *n, struct mem_ref into, uint64_t offset)
{
    if (f->data)
        return host_file_pread(g_platform, f->data, offset, into);
    int err = 0;
    struct host_file *file = hostfs_data(n->lower, HOSTFS_READ, &err);
    if (!file)
        return err;
    int64_t done = host_file_pread(g_platform, file, offset, into);
    host_file_close(g_platform, file);
    return done;
}

static int64_t regular_read(struct task *task UNUSED, struct file *f, struct mem_ref into,
                            uint64_t *offset)
{
    struct mem_node *n = mem_node(f->inode);
    int64_t done = -EAGAIN;
    while (done == -EAGAIN) {
        switch (__atomic_load_n(&n->kind, __ATOMIC_ACQUIRE)) {
        case MEM_DATA_INLINE:
            done = read_inline(n, into, *offset);
            break;
        case MEM_DATA_OBJECT:
            done = read_object(n, into, *offset);
            break;
        case MEM_DATA_LOWER:
            done = read_lower(f, n, into, *offset);
            break;
        }
    }
    if (done > 0)
        *offset += (uint64_t)done;
    return done;
}

/* Our own data, charged for. */
static int64_t write_own(struct mem_node *n, struct mem_ref from, uint64_t offset)
{
    uint64_t end = offset + from.size;
    int64_t done;
    int err = n->kind == MEM_DATA_INLINE && end > INLINE_MAX ? to_object(n) : 0;
    if (err)
        return err;
    if (n->kind == MEM_DATA_INLINE) {
        err = inline_reserve(n, end);
        if (err)
            return err;
        done = (int64_t)transfer_in(n->bytes + offset, from, from.size);
        if (done == 0)
            done = -EFAULT;
        uint64_t reached = offset + (done > 0 ? (uint64_t)done : 0);
        uint64_t kept = reached > n->size ? reached : n->size;
        if (end > kept)
            memset(n->bytes + kept, 0, end - kept);
    } else {
        uint64_t old = n->object_size;
        err = budget_allows_file(from.size) ? object_reserve(n, end) : -ENOSPC;
        if (err)
            return err;
        done = memory_object_write(g_platform, n->object, offset, from);
        if (done < 0 && n->object_size != old && n->mapped &&
            memory_object_resize(g_platform, n->object, old) == 0)
            set_object_size(n, old);
    }
    return done;
}

static int64_t write_locked(struct mem_node *n, struct mem_ref from, uint64_t offset)
{
    struct charge taken;
    uint64_t end = offset + from.size;
    if (end > SIZE_MAX_FILE || end < offset)
        return -EFBIG;
    if (n->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
        return -EPERM;
    if ((n->seals & F_SEAL_GROW) &&
        end > n->size) { /* Linux writes page by page, up to the one that would grow */
        end = n->size & ~4095ull;
        if (offset >= end)
            return -EPERM;
        from = mem_first(from, end - offset);
    }
    int err = copy_up(n, UINT64_MAX);
    if (err)
        return err;
    uint64_t reach = charge(n, offset, end, &taken);
    if (reach <= offset)
        return -ENOSPC;
    int64_t done = write_own(n, mem_first(from, reach - offset), offset);
    charge_settle(n, &taken, done > 0 ? offset + (uint64_t)done : 0);
    n->sparse |= done > 0 && offset > n->size;
    if (done > 0 && offset + (uint64_t)done > n->size)
        __atomic_store_n(&n->size, offset + (uint64_t)done, __ATOMIC_RELEASE);
    return done;
}

/* More extents than this are taken for full: stat(2) is not to count for long. */
#define EXTENTS_COUNTED 64

uint64_t mem_stored(const struct mem_node *n)
{
    uint64_t size = __atomic_load_n(&n->size, __ATOMIC_RELAXED), stored = 0, at = 0;
    if (__atomic_load_n(&n->kind, __ATOMIC_ACQUIRE) != MEM_DATA_OBJECT || !n->sparse)
        return size;
    for (int i = 0; at < size; i++) {
        int64_t data = i < EXTENTS_COUNTED
                           ? memory_object_seek(g_platform, n->object, at, MEMORY_SEEK_DATA)
                           : (int64_t)at;
        if (data < 0 || (uint64_t)data >= size)
            break;
        int64_t hole = i < EXTENTS_COUNTED ? memory_object_seek(g_platform, n->object,
                                                                (uint64_t)data, MEMORY_SEEK_HOLE)
                                           : (int64_t)size;
        at = hole > data && (uint64_t)hole < size ? (uint64_t)hole : size;
        stored += at - (uint64_t)data;
    }
    return stored;
}

static int64_t regular_write(struct task *task UNUSED, struct file *f, struct mem_ref from,
                             uint64_t *offset)
{
    struct mem_node *n = mem_node(f->inode);
    if (from.size == 0)
        return 0;
    mem_pin(n);
    change_begin(n);
    if (f->flags & O_APPEND || *offset == FILE_AT_END)
        *offset = n->size;
    int64_t done = write_locked(n, from, *offset);
    change_end(n);
    if (done > 0) {
        *offset += (uint64_t)done;
        n->mtime_ns = n->ctime_ns = (int64_t)fs_now_ns();
    }
    return done;
}

static int truncate_locked(struct mem_node *n, uint64_t size)
{
    if (size > SIZE_MAX_FILE)
        return -EFBIG;
    if (((n->seals & F_SEAL_SHRINK) && size < n->size) ||
        ((n->seals & F_SEAL_GROW) && size > n->size))
        return -EPERM;
    int err = copy_up(n, size);
    if (err == 0 && n->kind == MEM_DATA_INLINE && size > INLINE_MAX)
        err = to_object(n);
    if (err)
        return err;
    if (n->kind == MEM_DATA_INLINE) {
        err = inline_reserve(n, size);
        if (err == 0 && size < n->size)
            memset(n->bytes + size, 0, n->size - size);
    } else if (size < n->size || n->mapped) {
        err = memory_object_resize(g_platform, n->object, size);
        if (err == 0)
            set_object_size(n, size);
    } else {
        err = object_reserve(n, size);
    }
    if (err == 0) {
        __atomic_store_n(&n->size, size, __ATOMIC_RELEASE);
        uncharge(n, size);
    }
    return err;
}

int mem_truncate(struct inode *inode, uint64_t size)
{
    struct mem_node *n = mem_node(inode);
    if (!S_ISREG(inode->mode))
        return -EINVAL;
    change_begin(n);
    n->sparse |= size > n->size;
    int err = truncate_locked(n, size);
    change_end(n);
    if (err == 0)
        n->mtime_ns = n->ctime_ns = (int64_t)fs_now_ns();
    return err;
}

/* Zero [offset, end) as far as the file reaches. */
static int punch_locked(struct mem_node *n, uint64_t offset, uint64_t end)
{
    if (end > n->size)
        end = n->size;
    if (offset >= end)
        return 0;
    n->sparse = true;
    if (n->kind == MEM_DATA_OBJECT)
        return memory_object_punch(g_platform, n->object, offset, end - offset);
    memset(n->bytes + offset, 0, end - offset);
    return 0;
}

static int regular_fallocate(struct task *task UNUSED, struct file *f, int mode, uint64_t offset,
                             uint64_t size)
{
    struct mem_node *n = mem_node(f->inode);
    bool keep = mode & FALLOC_FL_KEEP_SIZE;
    int what = mode & ~FALLOC_FL_KEEP_SIZE;
    if ((what != 0 && what != FALLOC_FL_PUNCH_HOLE && what != FALLOC_FL_ZERO_RANGE) ||
        (what == FALLOC_FL_PUNCH_HOLE && !keep))
        return -EOPNOTSUPP;
    uint64_t end = offset + size;
    if (end > SIZE_MAX_FILE || end < offset)
        return -EFBIG;
    mem_pin(n);
    change_begin(n);
    int err =
        n->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) && what ? -EPERM : copy_up(n, UINT64_MAX);
    if (err == 0 && what)
        err = punch_locked(n, offset, end);
    if (err == 0 && !keep && end > n->size) {
        struct charge taken;
        err = charge(n, offset, end, &taken) < end ? -ENOSPC : truncate_locked(n, end);
        charge_settle(n, &taken, err ? 0 : end);
    }
    change_end(n);
    return err;
}

/* What is zero, page by page, may as well be a hole. Under the inode's lock. */
static int64_t seek_inline(const struct mem_node *n, uint64_t offset, enum memory_seek what)
{
    while (offset < n->size) {
        uint64_t end = (offset | 4095) + 1 < n->size ? (offset | 4095) + 1 : n->size,
                 start = offset & ~4095ull;
        if (is_zero(n->bytes + start, end - start) == (what == MEMORY_SEEK_HOLE))
            return (int64_t)offset;
        offset = end;
    }
    return what == MEMORY_SEEK_HOLE ? (int64_t)n->size : -ENXIO;
}

static int64_t seek_lower(struct mem_node *n, uint64_t offset, int whence)
{
    int err = 0;
    struct host_file *file = hostfs_data(n->lower, HOSTFS_READ, &err);
    if (!file)
        return err;
    int64_t to = host_file_seek(g_platform, file, (int64_t)offset, whence);
    host_file_close(g_platform, file);
    return to;
}

static int64_t seek_data(struct mem_node *n, int64_t offset, int whence)
{
    enum memory_seek what = whence == SEEK_DATA ? MEMORY_SEEK_DATA : MEMORY_SEEK_HOLE;
    if (offset < 0 || (uint64_t)offset >= __atomic_load_n(&n->size, __ATOMIC_ACQUIRE))
        return -ENXIO;
    mutex_lock(&n->inode->lock);
    int64_t to = n->kind == MEM_DATA_INLINE ? seek_inline(n, (uint64_t)offset, what)
                 : n->kind == MEM_DATA_LOWER
                     ? seek_lower(n, (uint64_t)offset, whence)
                     : memory_object_seek(g_platform, n->object, (uint64_t)offset, what);
    if (to > (int64_t)n->size) /* the object may be larger than the file */
        to = what == MEMORY_SEEK_HOLE ? (int64_t)n->size : -ENXIO;
    mutex_unlock(&n->inode->lock);
    return to;
}

static int64_t regular_seek(struct task *task UNUSED, struct file *f, int64_t offset, int whence)
{
    if (whence == SEEK_DATA || whence == SEEK_HOLE) {
        int64_t to = seek_data(mem_node(f->inode), offset, whence);
        if (to >= 0)
            f->pos = (uint64_t)to;
        return to;
    }
    return file_seek_in(f, offset, whence,
                        __atomic_load_n(&mem_node(f->inode)->size, __ATOMIC_ACQUIRE));
}

static struct memory_object *regular_map(struct task *task UNUSED, struct file *f,
                                         enum memory_sharing sharing, unsigned prot,
                                         uint64_t *offset UNUSED, int *err)
{
    struct mem_node *n = mem_node(f->inode);
    bool shared = sharing == MEMORY_SHARED;
    bool writes = shared && (f->flags & O_ACCMODE) == O_RDWR;
    struct memory_object *object = NULL;
    if (writes)
        mem_pin(n);
    change_begin(n);
    *err = 0;
    if (shared && (prot & MEMORY_WRITE) && (n->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
        *err = -EPERM;
    if (*err == 0 && n->kind == MEM_DATA_LOWER) {
        if (!writes) {
            change_end(n);
            return hostfs_object(n->lower, HOSTFS_READ, err);
        }
        *err = copy_up(n, UINT64_MAX);
    }
    if (*err == 0 && n->kind == MEM_DATA_INLINE)
        *err = to_object(n);
    if (*err == 0 && n->object_size != n->size) {
        *err = memory_object_resize(g_platform, n->object, n->size);
        if (*err == 0)
            set_object_size(n, n->size);
    }
    if (*err == 0) {
        n->mapped = true;
        object = n->object;
        memory_object_get(g_platform, object);
    }
    change_end(n);
    return object;
}

const struct file_ops g_memfs_regular_ops = {
    .kind = "regular",
    .read = regular_read,
    .write = regular_write,
    .seek = regular_seek,
    .keeps_position_only = true,
    .map = regular_map,
    .fallocate = regular_fallocate,
    .release = regular_release,
};

static int directory_readdir(struct task *task UNUSED, struct file *f, uint64_t *offset,
                             dir_emit emit, void *arg)
{
    return dir_snapshot_read(f, mem_list, offset, emit, arg);
}

const struct file_ops g_memfs_directory_ops = {
    .kind = "directory",
    .seek = dir_snapshot_seek,
    .readdir = directory_readdir,
    .release = dir_snapshot_release,
};

int mem_open(struct task *task, struct inode *inode, struct file *f)
{
    struct mem_node *n = mem_node(inode);
    if (S_ISCHR(inode->mode))
        return chrdev_open(task, n->rdev, f);
    if (S_ISFIFO(inode->mode))
        return fifo_open(task, inode, f);
    if (S_ISBLK(inode->mode) || S_ISSOCK(inode->mode))
        return -ENXIO;
    if (!S_ISREG(inode->mode) || n->kind != MEM_DATA_LOWER || (f->flags & O_ACCMODE) == O_WRONLY)
        return 0;
    /* What the host refuses to read is found out now rather than by read(2). */
    int err = 0;
    struct host_file *file = hostfs_data(n->lower, HOSTFS_READ, &err);
    if (file)
        keep_lower(f, file);
    return err;
}
