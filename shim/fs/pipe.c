/*
 * A pipe is one ring of bytes under one lock. What was written with O_DIRECT is a packet: its place in the stream is remembered, and a
 * read neither joins it with others nor leaves a rest of it. Writes of up to PIPE_BUF bytes go in whole or wait; writers are woken once
 * PIPE_BUF bytes are free, as Linux does when a page is: so a reader of single bytes does not wake them each time.
 */
#include "shim/fs/pipe.h"

#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <linux/limits.h>
#include <linux/stat.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/fs/ring.h"
#include "shim/fs/vfs.h"
#include "shim/process.h"
#include "shim/signal.h"
#include "shim/syscall.h"

#define PIPE_SIZE_DEFAULT 65536u

#define PAGE 4096u
/* [start, end) in bytes since the pipe was made. */
struct packet {
    uint64_t start, end;
};

struct pipe {
    /* under lock */
    size_t size; /* what writers may fill */
    /* A ring of packet_capacity: one for each page of the pipe at most. NULL: none was ever
     * written */
    struct packet *packets;
    unsigned packet_capacity, packet_first, packet_count;
    unsigned readers, writers; /* open files that may read, write */
    uint64_t readers_ever;     /* opens so far: what a fifo's open waits for */
    /* Has room for `size` at least: what a splice gives back or could not place comes on top */
    struct ring ring;
    /* From ring.head on what both ends write for each byte, in one cache line. */
    struct mutex lock;
    uint64_t taken; /* bytes read so far */
    struct wait_queue read_wait;
    uint64_t writers_ever; /* as readers_ever */
    /* The rest, as what comes before, is seldom written */
    struct wait_queue write_wait;
    struct async_list async_readers, async_writers;
    /* fixed */
    struct inode *inode; /* a fifo's; kept alive by the open files. NULL: a pipe */
    int64_t born_ns;
    /* under g_fifo_lock, fifos only */
    unsigned files;
};
_Static_assert(offsetof(struct pipe, ring.head) == CACHE_LINE &&
                   offsetof(struct pipe, write_wait) == 2 * CACHE_LINE,
               "what both ends write lies in one line");

static struct mutex g_fifo_lock; /* inode->fifo, and the moment of a fifo's last close */

static struct pipe *pipe_alloc(struct inode *inode)
{
    struct pipe *p = shim_zalloc_line(sizeof(*p));

    if (!p)
        return NULL;
    p->ring.data = shim_alloc(PIPE_SIZE_DEFAULT);
    if (!p->ring.data) {
        shim_free_line(p);
        return NULL;
    }
    p->size = p->ring.capacity = PIPE_SIZE_DEFAULT;
    p->inode = inode;
    p->born_ns = (int64_t)clock_now(g_platform, CLOCK_KIND_REALTIME);
    return p;
}

static void pipe_free(struct pipe *p)
{
    shim_free(p->packets);
    shim_free(p->ring.data);
    shim_free_line(p);
}

/* ---- all under the lock ------------------------------------------------------------------------------------------- */

static size_t room(const struct pipe *p)
{
    return p->size > p->ring.used ? p->size - p->ring.used : 0;
}

/* Room in the ring for `more` bytes, which may be more than writers may fill. -ENOMEM */
static int make_room(struct pipe *p, size_t more)
{
    size_t capacity = p->ring.capacity, used = p->ring.used;
    while (capacity - used < more)
        capacity *= 2;
    if (capacity == p->ring.capacity)
        return 0;
    char *bigger = shim_alloc(capacity);
    if (!bigger)
        return -ENOMEM;
    (void)!ring_peek(&p->ring, 0, mem_shim(bigger, used), used);
    shim_free(p->ring.data);
    p->ring = (struct ring){.data = bigger, .capacity = capacity, .used = used};
    return 0;
}

static struct packet *first_packet(struct pipe *p)
{
    return p->packet_count ? &p->packets[p->packet_first] : NULL;
}

static bool packet_room(const struct pipe *p, size_t size)
{
    return room(p) >= size && p->packet_count < p->size / PAGE;
}

/* Remember that the next `size` bytes are one. -ENOMEM */
static int packet_add(struct pipe *p, size_t size)
{
    if (p->packet_count == p->packet_capacity) {
        unsigned capacity = p->packet_capacity ? p->packet_capacity * 2 : 16;
        struct packet *bigger = shim_alloc(capacity * sizeof(*bigger));
        if (!bigger)
            return -ENOMEM;
        for (unsigned i = 0; i < p->packet_count; i++)
            bigger[i] = p->packets[(p->packet_first + i) % p->packet_capacity];
        shim_free(p->packets);
        p->packets = bigger;
        p->packet_capacity = capacity;
        p->packet_first = 0;
    }
    uint64_t start = p->taken + p->ring.used;
    p->packets[(p->packet_first + p->packet_count++) % p->packet_capacity] =
        (struct packet){start, start + size};
    return 0;
}

/* How much one read may take: *packet is what must go as a whole, NULL: plain bytes. */
static size_t readable(struct pipe *p, struct packet **packet)
{
    struct packet *first = first_packet(p);

    *packet = first && first->start == p->taken ? first : NULL;
    if (*packet)
        return first->end - first->start;
    return first ? first->start - p->taken : p->ring.used;
}

static void consume(struct pipe *p, size_t size, struct packet *packet)
{
    if (packet) {
        size = packet->end - packet->start;
        p->packet_first = (p->packet_first + 1) % p->packet_capacity;
        p->packet_count--;
    }
    ring_drop(&p->ring, size);
    p->taken += size;
}

static bool nonblocking(const struct file *f)
{
    return __atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_NONBLOCK;
}

/*
 * The caller's condition does not hold: join the queue the first time, sleep the next. Called and left with the pipe locked.
 * 0: look again.
 */
static int pipe_wait(struct task *task, struct pipe *p, struct wait_queue *q, struct waiter *w)
{
    int r = 0;

    mutex_unlock(&p->lock);
    if (w->queue) {
        r = task_sleep(task, THREAD_WAIT_FOREVER);
        /* What was written into an empty pipe is at the front */
        __builtin_prefetch(__atomic_load_n(&p->ring.data, __ATOMIC_RELAXED));
    } else {
        wait_queue_add(q, w);
    }
    mutex_lock(&p->lock);
    return r;
}

static bool is_full(const struct pipe *p)
{
    return room(p) < PIPE_BUF || (p->packet_count && !packet_room(p, 1));
}

static int64_t read_waiting(struct task *task, struct file *f, struct mem_ref into,
                            enum pipe_wait how)
{
    struct pipe *p = f->data;
    struct waiter w = {0};
    int64_t result = 0;
    bool wake = false;

    if (!into.size)
        return 0;
    mutex_lock(&p->lock);
    while (!p->ring.used) {
        if (!p->writers)
            goto out;
        result = how == PIPE_TRY ? -EAGAIN : pipe_wait(task, p, &p->read_wait, &w);
        if (result)
            goto out;
    }
    bool was_full = is_full(p);
    int64_t done = 0;
    struct packet *packet = NULL;
    while (into.size && p->ring.used && !packet) {
        size_t there = readable(p, &packet);
        if (packet && done) /* comes with the next read */
            break;
        size_t size = into.size < there ? into.size : there;
        size_t moved = ring_peek(&p->ring, 0, into, size);
        if (moved || !size)
            consume(p, moved, packet);
        done += (int64_t)moved;
        into = mem_skip(into, moved);
        if (moved < size)
            break;
    }
    result = done ? done : -EFAULT;
    wake = was_full && !is_full(p);
out:
    mutex_unlock(&p->lock);
    if (w.queue)
        wait_queue_remove(&w);
    if (wake)
        wait_queue_wake_all(&p->write_wait);
    if (result > 0)
        async_notify(&p->async_writers, ASYNC_OUT);
    return result;
}

static int64_t pipe_read(struct task *task, struct file *f, struct mem_ref into, uint64_t *offset)
{
    (void)offset;
    return read_waiting(task, f, into, nonblocking(f) ? PIPE_TRY : PIPE_SLEEP);
}

/* One packet, for which there is room in the ring. Result: bytes; -EFAULT, -ENOMEM. */
static int64_t put_packet(struct pipe *p, struct mem_ref from, size_t size)
{
    int err = packet_add(p, size);
    if (err)
        return err;
    size_t moved = ring_put(&p->ring, from, size);
    struct packet *last = &p->packets[(p->packet_first + p->packet_count - 1) % p->packet_capacity];
    last->end = last->start + moved;
    if (!moved)
        p->packet_count--;
    return moved ? (int64_t)moved : -EFAULT;
}

static size_t packet_size(struct mem_ref from)
{
    return from.size < PAGE ? from.size : PAGE;
}

/* As much of `from` as the pipe takes now; `whole`: all or nothing. Result: bytes; less than there was room for is -EFAULT's doing. */
static int64_t put_now(struct pipe *p, struct mem_ref from, bool whole, bool packets)
{
    if (packets)
        return packet_room(p, packet_size(from)) ? put_packet(p, from, packet_size(from)) : 0;
    size_t free = room(p);
    if (free < (whole ? from.size : 1))
        return 0;
    size_t size = from.size < free ? from.size : free;
    size_t moved = ring_put(&p->ring, from, size);
    return moved ? (int64_t)moved : -EFAULT;
}

static int64_t write_waiting(struct task *task, struct file *f, struct mem_ref from,
                             enum pipe_wait how)
{
    struct pipe *p = f->data;
    struct waiter w = {0};
    bool whole = from.size <= PIPE_BUF,
         packets = __atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_DIRECT;
    int64_t done = 0, error = 0;

    if (!from.size)
        return 0;
    mutex_lock(&p->lock);
    while (from.size) {
        if (!p->readers) {
            error = -EPIPE;
            break;
        }
        wait_queue_prepare_wake(&p->read_wait);
        int64_t moved = put_now(p, from, whole, packets);
        if (moved > 0) {
            done += moved;
            from = mem_skip(from, (size_t)moved);
            continue;
        }
        if (moved < 0) {
            error = moved;
            break;
        }
        if (how == PIPE_TRY) {
            error = -EAGAIN;
            break;
        }
        if (p->ring.used) {
            wait_queue_wake_all(&p->read_wait);
            async_notify(&p->async_readers, ASYNC_IN);
        }
        error = pipe_wait(task, p, &p->write_wait, &w);
        if (error)
            break;
    }
    mutex_unlock(&p->lock);
    if (w.queue)
        wait_queue_remove(&w);
    if (done) {
        wait_queue_wake_all(&p->read_wait);
        async_notify(&p->async_readers, ASYNC_IN);
    }
    if (error == -EPIPE)
        signal_sigpipe(task);
    return done ? done : error;
}

static int64_t pipe_write(struct task *task, struct file *f, struct mem_ref from, uint64_t *offset)
{
    (void)offset;
    return write_waiting(task, f, from, nonblocking(f) ? PIPE_TRY : PIPE_SLEEP);
}

static uint32_t pipe_poll(struct task *task, struct file *f, struct poll_table *table)
{
    struct pipe *p = f->data;
    unsigned mode = f->flags & O_ACCMODE;
    uint32_t mask = 0;

    (void)task;
    if (table && mode != O_WRONLY)
        poll_table_add(table, &p->read_wait);
    if (table && mode != O_RDONLY)
        poll_table_add(table, &p->write_wait);
    mutex_lock(&p->lock);
    if (mode != O_WRONLY) {
        if (p->ring.used)
            mask |= POLLIN;
        /* A fifo's reader sees no hang-up before the first writer since its own open. */
        if (!p->writers && (!p->inode || p->writers_ever != f->pos))
            mask |= POLLHUP;
    }
    if (mode != O_RDONLY) {
        if (!is_full(p))
            mask |= POLLOUT;
        if (!p->readers)
            mask |= POLLERR;
    }
    mutex_unlock(&p->lock);
    return mask;
}

static int64_t pipe_ioctl(struct task *task, struct file *f, unsigned request, uint64_t arg)
{
    struct pipe *p = f->data;
    int count;

    (void)task;
    if (request != FIONREAD)
        return -ENOTTY;
    mutex_lock(&p->lock);
    count = (int)p->ring.used;
    mutex_unlock(&p->lock);
    return user_write(arg, &count, sizeof(count));
}

static int pipe_stat(struct file *f, struct file_stat *out)
{
    struct pipe *p = f->data;

    *out = (struct file_stat){
        .dev = 13, /* of an unnamed device, as Linux's pipefs */
        .ino = f->id,
        .nlink = 1,
        .mode = S_IFIFO | 0600,
        .block_size = 4096,
        .atime_ns = p->born_ns,
        .mtime_ns = p->born_ns,
        .ctime_ns = p->born_ns,
        .btime_ns = p->born_ns,
    };
    return 0;
}

/* One open file goes. Result: true when neither end is open any more. */
static bool pipe_drop_end(struct pipe *p, uint32_t flags)
{
    unsigned mode = flags & O_ACCMODE;
    bool last;

    mutex_lock(&p->lock);
    if (mode != O_WRONLY)
        p->readers--;
    if (mode != O_RDONLY)
        p->writers--;
    last = !p->readers && !p->writers;
    if (!last) { /* under the lock: whoever drops the other end may free the pipe at once */
        wait_queue_wake_all(&p->read_wait);
        wait_queue_wake_all(&p->write_wait);
    }
    if (!p->readers != !p->writers) {
        async_notify(&p->async_readers, ASYNC_IN);
        async_notify(&p->async_writers, ASYNC_OUT);
    }
    mutex_unlock(&p->lock);
    return last;
}

static void pipe_async_lists(struct file *f, struct async_list *lists[ASYNC_LISTS_MAX])
{
    struct pipe *p = f->data;
    unsigned mode = f->flags & O_ACCMODE, n = 0;

    if (mode != O_WRONLY)
        lists[n++] = &p->async_readers;
    if (mode != O_RDONLY)
        lists[n] = &p->async_writers;
}

static void pipe_release(struct file *f)
{
    if (pipe_drop_end(f->data, f->flags))
        pipe_free(f->data);
}

static const struct file_ops pipe_ops = {
    .kind = "pipe",
    .read = pipe_read,
    .write = pipe_write,
    .poll = pipe_poll,
    .ioctl = pipe_ioctl,
    .async_lists = pipe_async_lists,
    .stat = pipe_stat,
    .release = pipe_release,
};

int pipe_create(uint32_t flags, struct file *ends[2])
{
    struct pipe *p = pipe_alloc(NULL);
    int err = -ENOMEM;

    if (!p)
        return err;
    p->readers = 1;
    p->writers = 1;
    ends[0] = file_create(&pipe_ops, O_RDONLY | (flags & O_NONBLOCK), p, &err);
    if (!ends[0])
        goto undo_pipe;
    ends[1] = file_create(&pipe_ops, O_WRONLY | flags, p, &err);
    if (!ends[1])
        goto undo_reader;
    ends[1]->id = ends[0]->id; /* one inode number for both ends */
    return 0;

undo_reader:
    p->writers = 0; /* so that the reader's release frees the pipe */
    file_put(ends[0]);
    return err;
undo_pipe:
    pipe_free(p);
    return err;
}

/* ---- fifos ------------------------------------------------------------------------------------------------------ */

static void fifo_drop(struct pipe *p)
{
    bool last;

    mutex_lock(&g_fifo_lock);
    last = --p->files == 0;
    if (last)
        p->inode->fifo = NULL; /* data nobody read is lost, as fifo(7) says */
    mutex_unlock(&g_fifo_lock);
    if (last)
        pipe_free(p);
}

static void fifo_file_release(struct file *f)
{
    pipe_drop_end(f->data, f->flags);
    fifo_drop(f->data);
}

static const struct file_ops fifo_ops = {
    .kind = "fifo",
    .read = pipe_read,
    .write = pipe_write,
    .poll = pipe_poll,
    .ioctl = pipe_ioctl,
    .async_lists = pipe_async_lists,
    .release = fifo_file_release,
};

/* open(2) of one end sleeps until the other was opened since, even if it is closed again by then. */
static int fifo_wait_peer(struct task *task, struct pipe *p, const unsigned *peers,
                          const uint64_t *ever, struct wait_queue *q)
{
    struct waiter w = {0};
    uint64_t before = *ever;
    int r = 0;

    while (!r && !*peers && *ever == before)
        r = pipe_wait(task, p, q, &w);
    if (w.queue)
        wait_queue_remove(&w);
    return r;
}

int fifo_open(struct task *task, struct inode *inode, struct file *f)
{
    unsigned mode = f->flags & O_ACCMODE;
    struct pipe *p;
    int r = 0;

    mutex_lock(&g_fifo_lock);
    p = inode->fifo;
    if (!p)
        p = inode->fifo = pipe_alloc(inode);
    if (p)
        p->files++;
    mutex_unlock(&g_fifo_lock);
    if (!p)
        return -ENOMEM;

    mutex_lock(&p->lock);
    if (mode == O_WRONLY && !p->readers && nonblocking(f)) {
        mutex_unlock(&p->lock);
        fifo_drop(p);
        return -ENXIO;
    }
    f->pos = p->writers_ever; /* pos means nothing else for a stream; see pipe_poll */
    if (mode != O_WRONLY) {
        p->readers++;
        p->readers_ever++;
    }
    if (mode != O_RDONLY) {
        p->writers++;
        p->writers_ever++;
    }
    wait_queue_wake_all(&p->read_wait);
    wait_queue_wake_all(&p->write_wait);
    if (mode == O_RDONLY && !nonblocking(f))
        r = fifo_wait_peer(task, p, &p->writers, &p->writers_ever, &p->read_wait);
    else if (mode == O_WRONLY)
        r = fifo_wait_peer(task, p, &p->readers, &p->readers_ever, &p->write_wait);
    mutex_unlock(&p->lock);
    if (r) {
        pipe_drop_end(p, f->flags);
        fifo_drop(p);
        return r;
    }
    f->ops = &fifo_ops;
    f->data = p;
    return 0;
}

void fifo_release(struct inode *inode)
{
    (void)inode; /* the last open file dropped the pipe, and open files hold the inode */
}

/* ---- size ------------------------------------------------------------------------------------------------------- */

static struct pipe *pipe_of(struct file *f)
{
    return f->ops == &pipe_ops || f->ops == &fifo_ops ? f->data : NULL;
}

int64_t pipe_get_size(struct file *f)
{
    struct pipe *p = pipe_of(f);
    int64_t size;

    if (!p)
        return -EBADF;
    mutex_lock(&p->lock);
    size = (int64_t)p->size;
    mutex_unlock(&p->lock);
    return size;
}

int64_t pipe_set_size(struct file *f, uint64_t size)
{
    struct pipe *p = pipe_of(f);
    size_t capacity = 4096;
    char *data, *old;
    int64_t r;

    if (!p)
        return -EBADF;
    if (size > 1u << 31)
        return -EINVAL;
    while (capacity < size)
        capacity *= 2;
    if (capacity > PIPE_SIZE_MAX)
        return -EPERM;
    old = data = shim_alloc(capacity);
    if (!data)
        return -ENOMEM;
    mutex_lock(&p->lock);
    if (p->ring.used > capacity) {
        r = -EBUSY;
    } else {
        size_t used = p->ring.used;
        ring_peek(&p->ring, 0, mem_shim(data, used), used);
        old = p->ring.data;
        p->ring = (struct ring){.data = data, .capacity = capacity, .used = used};
        p->size = capacity;
        r = (int64_t)capacity;
    }
    mutex_unlock(&p->lock);
    shim_free(old);
    wait_queue_wake_all(&p->write_wait);
    return r;
}

/* ---- splice(2), tee(2) -------------------------------------------------------------------------------------------- */

bool pipe_is(const struct file *f)
{
    return f->ops == &pipe_ops || f->ops == &fifo_ops;
}

bool pipe_same(const struct file *a, const struct file *b)
{
    return pipe_is(a) && pipe_is(b) && a->data == b->data;
}

int64_t pipe_take(struct task *task, struct file *f, struct mem_ref into, enum pipe_wait how)
{
    return read_waiting(task, f, into, nonblocking(f) ? PIPE_TRY : how);
}

int64_t pipe_give(struct task *task, struct file *f, struct mem_ref from, enum pipe_wait how)
{
    return write_waiting(task, f, from, nonblocking(f) ? PIPE_TRY : how);
}

int pipe_put_back(struct file *f, const char *data, size_t size)
{
    struct pipe *p = f->data;

    mutex_lock(&p->lock);
    int r = make_room(p, size);
    if (!r) {
        size_t mask = p->ring.capacity - 1;
        p->ring.head = (p->ring.head - size) & mask;
        p->ring.used += size;
        p->taken -= size;
        for (size_t i = 0; i < size; i++)
            p->ring.data[(p->ring.head + i) & mask] = data[i];
    }
    mutex_unlock(&p->lock);
    wait_queue_wake_all(&p->read_wait);
    async_notify(&p->async_readers, ASYNC_IN);
    return r;
}

int pipe_append(struct file *f, const char *data, size_t size)
{
    struct pipe *p = f->data;
    bool packets = __atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_DIRECT;
    struct mem_ref from = mem_shim((char *)(uintptr_t)data, size);

    mutex_lock(&p->lock);
    int64_t r = p->readers ? make_room(p, size) : -EPIPE;
    while (from.size && r >= 0) {
        r = packets ? put_packet(p, from, packet_size(from))
                    : (int64_t)ring_put(&p->ring, from, from.size);
        from = mem_skip(from, r > 0 ? (size_t)r : 0);
    }
    mutex_unlock(&p->lock);
    wait_queue_wake_all(&p->read_wait);
    async_notify(&p->async_readers, ASYNC_IN);
    return r < 0 ? (int)r : 0;
}

/* Wait for `condition` of the pipe: something to read, or room. Result: how much; 0: there will never be (no writer); -EPIPE. */
int64_t pipe_await(struct task *task, struct file *f, enum pipe_want want, enum pipe_wait how)
{
    struct pipe *p = f->data;
    struct waiter w = {0};
    struct packet *packet;
    int64_t r = 0;

    if (nonblocking(f))
        how = PIPE_TRY;
    mutex_lock(&p->lock);
    for (;;) {
        if (want == PIPE_WANT_DATA)
            r = p->ring.used ? (int64_t)readable(p, &packet) : 0;
        else
            r = !p->readers ? -EPIPE : is_full(p) ? 0 : (int64_t)room(p);
        if (r || (want == PIPE_WANT_DATA && !p->writers))
            break;
        r = how == PIPE_TRY
                ? -EAGAIN
                : pipe_wait(task, p, want == PIPE_WANT_DATA ? &p->read_wait : &p->write_wait, &w);
        if (r)
            break;
    }
    mutex_unlock(&p->lock);
    if (w.queue)
        wait_queue_remove(&w);
    if (r == -EPIPE)
        signal_sigpipe(task);
    return r;
}

int64_t pipe_look(struct file *f, char *into, size_t size)
{
    struct pipe *p = f->data;
    struct packet *packet;

    mutex_lock(&p->lock);
    size_t there = p->ring.used ? readable(p, &packet) : 0;
    if (size > there)
        size = there;
    (void)!ring_peek(&p->ring, 0, mem_shim(into, size), size);
    mutex_unlock(&p->lock);
    return (int64_t)size;
}
