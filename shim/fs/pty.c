/*
 * Pseudo-terminals. A pair lives in a slot that is never freed, because processes point to its tty_session; it is free for reuse
 * when neither side is open.
 *
 * The slave hangs up when its master closes: files opened before then read nothing and write -EIO. A file remembers in `pos` how
 * often the slave had hung up when it was opened.
 *
 * Lock order: line_lock and count_lock are taken alone; no signal is sent under them.
 */
#include "shim/fs/pty.h"

#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <linux/fcntl.h>
#include <linux/signal.h>
#include <linux/stat.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/fs/devfs.h"
#include "shim/fs/tty_line.h"
#include "shim/fs/vfs.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/signal.h"
#include "shim/syscall.h"

#define PTY_BUFFER 16384u
#define WRITE_STEP 256u
#define NOT_ABOUT_PAIR (-515) /* no errno: ask the terminal */

struct pty {
    struct tty_session tty; /* first: the driver's calls get it */
    unsigned index;
    struct mutex line_lock;
    struct tty_line line; /* under line_lock */
    struct winsize size;  /* under line_lock */
    unsigned events;      /* under line_lock: TIOCPKT_* bits for a master in packet mode */
    struct mutex count_lock;
    /* under count_lock */
    bool master_open, locked, packets;
    unsigned slaves;   /* open files of this life of the slot, hung up or not */
    bool slave_seen;   /* since the master opened: its reads end when the last slave closes */
    uint64_t hang_ups; /* atomic: files opened at another count are dead */
    uint64_t born;     /* that count when the master opened */
    struct wait_queue master_wait, slave_wait;
    struct async_list async_master, async_slave;
};

static struct mutex g_pty_lock; /* slots */
static struct pty *g_ptys[PTY_MAX];

static const struct file_ops master_ops, slave_ops;
static const struct tty_driver pty_driver;

static bool nonblocking(const struct file *f)
{
    return __atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_NONBLOCK;
}

static bool hung_up(struct pty *p, const struct file *f)
{
    return f->pos != __atomic_load_n(&p->hang_ups, __ATOMIC_ACQUIRE);
}

/* Both sides look again. */
static void wake_both(struct pty *p)
{
    wait_queue_wake_all(&p->master_wait);
    wait_queue_wake_all(&p->slave_wait);
}

static int pty_wait(struct task *task, struct file *f, struct wait_queue *q, struct waiter *w,
                    uint64_t deadline)
{
    if (nonblocking(f))
        return -EAGAIN;
    if (w->queue)
        return task_sleep(task, deadline);
    wait_queue_add(q, w);
    return 0;
}

/* Under line_lock: something for a master in packet mode: TIOCPKT(2const). */
static void packet_event(struct pty *p, unsigned clear, unsigned set)
{
    if (__atomic_load_n(&p->packets, __ATOMIC_RELAXED))
        p->events = (p->events & ~clear) | set;
}

/* Under line_lock, after something that may have stopped or started output. */
static void tell_flow(struct pty *p, bool was_stopped)
{
    if (p->line.stopped && !was_stopped)
        packet_event(p, TIOCPKT_START, TIOCPKT_STOP);
    else if (!p->line.stopped && was_stopped)
        packet_event(p, TIOCPKT_STOP, TIOCPKT_START);
}

/* ---- the driver's calls ----------------------------------------------------------------------------------------- */

static int pty_get_attr(struct tty_session *tty, struct termios *out)
{
    struct pty *p = (struct pty *)tty;

    mutex_lock(&p->line_lock);
    *out = p->line.attr;
    mutex_unlock(&p->line_lock);
    return 0;
}

/* Under line_lock. */
static void flush_input(struct pty *p)
{
    tty_line_flush_input(&p->line);
    packet_event(p, 0, TIOCPKT_FLUSHREAD);
}

/* A master may handle these by itself. */
static bool has_usual_flow_keys(const struct termios *a)
{
    return (a->c_iflag & IXON) && a->c_cc[VSTOP] == 19 && a->c_cc[VSTART] == 17;
}

static int pty_set_attr(struct task *task, struct tty_session *tty, enum host_tty_request how,
                        const struct termios *attr)
{
    struct pty *p = (struct pty *)tty;
    struct termios wire = *attr;
    bool stopped, before, after;

    (void)task; /* nothing to drain: output is with the master already */
    wire.c_cflag = (wire.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8 | CREAD;
    mutex_lock(&p->line_lock);
    if (how == HOST_TTY_SET_ATTR_FLUSH)
        flush_input(p);
    stopped = p->line.stopped;
    before = has_usual_flow_keys(&p->line.attr);
    after = has_usual_flow_keys(&wire);
    tty_line_set_attr(&p->line, &wire);
    tell_flow(p, stopped);
    if (before != after)
        packet_event(p, TIOCPKT_DOSTOP | TIOCPKT_NOSTOP, after ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP);
    mutex_unlock(&p->line_lock);
    wake_both(p);
    return 0;
}

static int pty_get_winsize(struct tty_session *tty, struct winsize *out)
{
    struct pty *p = (struct pty *)tty;

    mutex_lock(&p->line_lock);
    *out = p->size;
    mutex_unlock(&p->line_lock);
    return 0;
}

static int pty_set_winsize(struct tty_session *tty, const struct winsize *size)
{
    struct pty *p = (struct pty *)tty;

    mutex_lock(&p->line_lock);
    p->size = *size;
    mutex_unlock(&p->line_lock);
    return 0;
}

static int pty_flush(struct tty_session *tty, int queue)
{
    struct pty *p = (struct pty *)tty;

    if (queue < TCIFLUSH || queue > TCIOFLUSH)
        return -EINVAL;
    mutex_lock(&p->line_lock);
    if (queue != TCOFLUSH)
        flush_input(p);
    if (queue != TCIFLUSH) /* output is with the master already */
        packet_event(p, 0, TIOCPKT_FLUSHWRITE);
    mutex_unlock(&p->line_lock);
    wake_both(p);
    return 0;
}

static int pty_flow(struct tty_session *tty, int what)
{
    struct pty *p = (struct pty *)tty;
    unsigned char key = p->line.attr.c_cc[what == TCIOFF ? VSTOP : VSTART];
    bool stopped;

    mutex_lock(&p->line_lock);
    stopped = p->line.stopped;
    if (what == TCOOFF || what == TCOON)
        p->line.stopped = p->line.held = what == TCOOFF;
    else if (key && ring_free(&p->line.output)) /* a word to who types, as it is */
        ring_put(&p->line.output, mem_shim(&key, 1), 1);
    tell_flow(p, stopped);
    mutex_unlock(&p->line_lock);
    wake_both(p);
    return 0;
}

static size_t type_some(struct pty *p, const char *data, size_t size);

static int pty_type(struct tty_session *tty, char key)
{
    struct pty *p = (struct pty *)tty;

    type_some(p, &key, 1); /* lost when there is no room, as a key */
    wake_both(p);
    return 0;
}

static int pty_input_bytes(struct tty_session *tty, int *out)
{
    struct pty *p = (struct pty *)tty;

    mutex_lock(&p->line_lock);
    *out = (int)p->line.input.used;
    mutex_unlock(&p->line_lock);
    return 0;
}

static int pty_output_bytes(struct tty_session *tty, int *out)
{
    (void)tty;
    *out = 0;
    return 0;
}

static void pty_hang_up(struct tty_session *tty)
{
    struct pty *p = (struct pty *)tty;

    __atomic_fetch_add(&p->hang_ups, 1, __ATOMIC_ACQ_REL);
    mutex_lock(&p->line_lock);
    tty_line_reset(&p->line);
    packet_event(p, 0, TIOCPKT_FLUSHREAD);
    mutex_unlock(&p->line_lock);
    wake_both(p);
}

static const struct tty_driver pty_driver = {
    .get_attr = pty_get_attr,
    .set_attr = pty_set_attr,
    .get_winsize = pty_get_winsize,
    .set_winsize = pty_set_winsize,
    .flush = pty_flush,
    .flow = pty_flow,
    .type = pty_type,
    .input_bytes = pty_input_bytes,
    .output_bytes = pty_output_bytes,
    .hang_up = pty_hang_up,
};

/* ---- the slave -------------------------------------------------------------------------------------------------- */

/* VMIN and VTIME: how many bytes make a read, and until when it waits for them (termios(3), non-canonical mode). */
struct read_rule {
    bool canonical;
    size_t min;
    uint64_t time_ns;
};

static struct read_rule read_rule(const struct pty *p, size_t size)
{
    const struct termios *a = &p->line.attr;
    struct read_rule r = {.canonical = a->c_lflag & ICANON, .min = a->c_cc[VMIN]};

    r.time_ns = (uint64_t)a->c_cc[VTIME] * 100000000u;
    if (r.min > size)
        r.min = size;
    return r;
}

static int64_t slave_read(struct task *task, struct file *f, struct mem_ref into, uint64_t *offset)
{
    struct pty *p = f->data;
    uint64_t deadline = THREAD_WAIT_FOREVER;
    struct waiter w = {0};
    size_t seen = 0;
    int64_t r = 0;

    (void)offset;
    if (!into.size)
        return 0;
    for (;;) {
        r = 0;
        if (hung_up(p, f))
            break;
        r = tty_check_read(task, &p->tty);
        if (r)
            break;
        mutex_lock(&p->line_lock);
        struct read_rule rule = read_rule(p, into.size);
        bool at_once = !rule.canonical && !rule.min && !rule.time_ns;
        if (tty_line_readable(&p->line, rule.min)) {
            r = tty_line_take(&p->line, into);
            mutex_unlock(&p->line_lock);
            break;
        }
        /* The clock of VTIME starts at once without VMIN, else with the first byte and anew with each. */
        if (!rule.canonical && rule.time_ns && (!rule.min || p->line.input.used != seen)) {
            if (rule.min || deadline == THREAD_WAIT_FOREVER)
                deadline = clock_now(g_platform, CLOCK_KIND_MONOTONIC) + rule.time_ns;
            seen = p->line.input.used;
        }
        mutex_unlock(&p->line_lock);
        if (at_once)
            break;
        r = pty_wait(task, f, &p->slave_wait, &w, deadline);
        if (r == -ETIMEDOUT) { /* what there is, be it nothing */
            mutex_lock(&p->line_lock);
            r = tty_line_readable(&p->line, 1) ? tty_line_take(&p->line, into) : 0;
            mutex_unlock(&p->line_lock);
            break;
        }
        if (r)
            break;
    }
    wait_queue_remove(&w);
    if (r > 0)
        wait_queue_wake_all(&p->master_wait);
    return r;
}

/* Move bytes through the line discipline until something does not fit. Result: bytes of `data` taken. */
static size_t put_some(struct pty *p, const char *data, size_t size)
{
    size_t done = 0;

    mutex_lock(&p->line_lock);
    while (done < size && !p->line.stopped && tty_line_put(&p->line, (unsigned char)data[done]))
        done++;
    mutex_unlock(&p->line_lock);
    return done;
}

static int64_t slave_write(struct task *task, struct file *f, struct mem_ref from, uint64_t *offset)
{
    struct pty *p = f->data;
    char data[WRITE_STEP];
    struct waiter w = {0};
    int64_t done = 0;
    int r = tty_check_write(task, &p->tty);

    (void)offset;
    while (!r && from.size) {
        size_t step = from.size < sizeof(data) ? from.size : sizeof(data);
        size_t got = transfer_in(data, from, step);
        if (!got) {
            r = -EFAULT;
            break;
        }
        if (hung_up(p, f)) {
            r = -EIO;
            break;
        }
        size_t put = put_some(p, data, got);
        done += (int64_t)put;
        from = mem_skip(from, put);
        if (put) {
            wait_queue_wake_all(&p->master_wait);
            async_notify(&p->async_master, ASYNC_IN);
        } else {
            r = pty_wait(task, f, &p->slave_wait, &w, THREAD_WAIT_FOREVER);
        }
    }
    wait_queue_remove(&w);
    return done ? done : r;
}

static uint32_t slave_poll(struct task *task, struct file *f, struct poll_table *table)
{
    struct pty *p = f->data;
    uint32_t mask = 0;

    (void)task;
    if (table)
        poll_table_add(table, &p->slave_wait);
    if (hung_up(p, f))
        return POLLIN | POLLOUT | POLLERR | POLLHUP;
    mutex_lock(&p->line_lock);
    if (tty_line_readable(&p->line, p->line.attr.c_cc[VTIME] ? 1 : p->line.attr.c_cc[VMIN]))
        mask |= POLLIN;
    if (!p->line.stopped && ring_free(&p->line.output) >= WRITE_STEP)
        mask |= POLLOUT;
    mutex_unlock(&p->line_lock);
    return mask;
}

static int64_t slave_ioctl(struct task *task, struct file *f, unsigned request, uint64_t arg)
{
    struct pty *p = f->data;

    if (hung_up(p, f))
        return request == TIOCSPGRP ? -ENOTTY : -EIO;
    return tty_ioctl(task, &p->tty, request, arg);
}

static void slave_release(struct file *f)
{
    struct pty *p = f->data;

    mutex_lock(&p->count_lock);
    if (f->pos >= p->born)
        p->slaves--;
    mutex_unlock(&p->count_lock);
    wait_queue_wake_all(&p->master_wait);
}

/* Nobody was named: the foreground group, or who asks. */
static void default_owner(struct file *f, int pgid)
{
    struct task *task = task_current();

    async_default_owner(task, f, pgid ? F_OWNER_PGRP : F_OWNER_PID,
                        pgid ? pgid : task->process->pid);
}

static void slave_async_lists(struct file *f, struct async_list *lists[ASYNC_LISTS_MAX])
{
    struct pty *p = f->data;

    default_owner(f, __atomic_load_n(&p->tty.pgid, __ATOMIC_RELAXED));
    lists[0] = &p->async_slave;
}

static const struct file_ops slave_ops = {
    .kind = "tty",
    .read = slave_read,
    .write = slave_write,
    .poll = slave_poll,
    .ioctl = slave_ioctl,
    .async_lists = slave_async_lists,
    .release = slave_release,
};

int pty_open_slave(struct task *task, struct tty_session *tty, struct file *f)
{
    struct pty *p = (struct pty *)tty;
    int r = tty_check_open(task, tty);

    mutex_lock(&p->count_lock);
    if (!p->master_open || p->locked) {
        r = -EIO;
    } else if (!r) {
        p->slaves++;
        p->slave_seen = true;
        f->pos = p->hang_ups;
    }
    mutex_unlock(&p->count_lock);
    if (r)
        return r;
    f->ops = &slave_ops;
    f->data = p;
    tty_opened(task, tty, f->flags);
    return 0;
}

/* ---- the master ------------------------------------------------------------------------------------------------- */

/* The other side closed: nothing more will come. */
static bool slaves_gone(struct pty *p)
{
    bool gone;

    mutex_lock(&p->count_lock);
    gone = p->slave_seen && !p->slaves;
    mutex_unlock(&p->count_lock);
    return gone;
}

static int64_t master_read(struct task *task, struct file *f, struct mem_ref into, uint64_t *offset)
{
    char kind = TIOCPKT_DATA; /* of a packet */
    struct pty *p = f->data;
    struct waiter w = {0};
    int64_t r = 0;
    size_t head = __atomic_load_n(&p->packets, __ATOMIC_RELAXED) ? 1 : 0;

    (void)offset;
    if (!into.size)
        return 0;
    for (;;) {
        /* Asked before looking: what was written before the close is seen */
        bool gone = slaves_gone(p);
        mutex_lock(&p->line_lock);
        if (head && p->events) {
            kind = (char)p->events;
            p->events = 0;
            mutex_unlock(&p->line_lock);
            r = transfer_out(into, &kind, 1) ? 1 : -EFAULT;
            break;
        }
        size_t there = p->line.output.used,
               size = into.size - head < there ? into.size - head : there;
        size_t moved = ring_get(&p->line.output, mem_skip(into, head), size);
        mutex_unlock(&p->line_lock);
        if (moved || (there && head && into.size == head)) {
            r = head && !transfer_out(into, &kind, 1) ? -EFAULT : (int64_t)(moved + head);
            break;
        }
        r = size   ? -EFAULT
            : gone ? -EIO
                   : pty_wait(task, f, &p->master_wait, &w, THREAD_WAIT_FOREVER);
        if (r)
            break;
    }
    wait_queue_remove(&w);
    if (r > 0)
        wait_queue_wake_all(&p->slave_wait);
    return r;
}

/* Bytes typed. Stops after a key that makes a signal, which is sent without the lock. */
static size_t type_some(struct pty *p, const char *data, size_t size)
{
    size_t done = 0;
    int sig = 0;

    mutex_lock(&p->line_lock);
    unsigned lines = p->line.line_count;
    size_t shown = p->line.output.used;
    tty_line_begin_batch(&p->line);
    while (done < size && !sig && tty_line_accepts(&p->line)) {
        bool stopped = p->line.stopped;
        sig = tty_line_key(&p->line, (unsigned char)data[done++]);
        tell_flow(p, stopped);
        if (sig && !(p->line.attr.c_lflag & NOFLSH))
            packet_event(p, 0, TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE);
    }
    bool canonical = p->line.attr.c_lflag & ICANON;
    bool input = canonical ? p->line.line_count > lines : p->line.input.used > 0;
    bool echo = p->line.output.used > shown;
    mutex_unlock(&p->line_lock);
    if (sig)
        tty_signal_foreground(&p->tty, sig);
    if (input)
        async_notify(&p->async_slave, ASYNC_IN);
    if (echo)
        async_notify(&p->async_master, ASYNC_IN);
    return done;
}

static int64_t master_write(struct task *task, struct file *f, struct mem_ref from,
                            uint64_t *offset)
{
    struct pty *p = f->data;
    char data[WRITE_STEP];
    struct waiter w = {0};
    int64_t done = 0;
    int r = 0;

    (void)offset;
    while (!r && from.size) {
        size_t step = from.size < sizeof(data) ? from.size : sizeof(data);
        size_t got = transfer_in(data, from, step);
        if (!got) {
            r = -EFAULT;
            break;
        }
        size_t typed = type_some(p, data, got);
        done += (int64_t)typed;
        from = mem_skip(from, typed);
        if (typed)
            wake_both(p); /* the slave has input, the master echo */
        else
            r = pty_wait(task, f, &p->master_wait, &w, THREAD_WAIT_FOREVER);
    }
    wait_queue_remove(&w);
    return done ? done : r;
}

static uint32_t master_poll(struct task *task, struct file *f, struct poll_table *table)
{
    struct pty *p = f->data;
    uint32_t mask = 0;

    (void)task;
    if (table)
        poll_table_add(table, &p->master_wait);
    if (slaves_gone(p))
        mask |= POLLHUP;
    mutex_lock(&p->line_lock);
    if (p->line.output.used)
        mask |= POLLIN;
    if (p->events && __atomic_load_n(&p->packets, __ATOMIC_RELAXED))
        mask |= POLLIN | POLLPRI;
    if (tty_line_accepts(&p->line))
        mask |= POLLOUT;
    mutex_unlock(&p->line_lock);
    return mask;
}

/* Requests about the pair itself. */
static int64_t pair_ioctl(struct task *task, struct pty *p, unsigned request, uint64_t arg)
{
    int number = 0, r = 0;

    switch (request) {
    case TIOCGPTN:
        number = (int)p->index;
        return user_write(arg, &number, sizeof(number));
    case TIOCSPTLCK:
    case TIOCPKT:
        r = user_read(&number, arg, sizeof(number));
        if (r)
            return r;
        mutex_lock(&p->line_lock);
        if (request == TIOCPKT && number && !__atomic_load_n(&p->packets, __ATOMIC_RELAXED))
            p->events = 0;
        mutex_unlock(&p->line_lock);
        mutex_lock(&p->count_lock);
        if (request == TIOCSPTLCK)
            p->locked = number != 0;
        else
            __atomic_store_n(&p->packets, number != 0, __ATOMIC_RELAXED);
        mutex_unlock(&p->count_lock);
        return 0;
    case TIOCGPTLCK:
    case TIOCGPKT:
        mutex_lock(&p->count_lock);
        number = request == TIOCGPTLCK ? p->locked : p->packets;
        mutex_unlock(&p->count_lock);
        return user_write(arg, &number, sizeof(number));
    case TIOCGPTPEER: {
        char name[24];
        shim_snprintf(name, sizeof(name), "/dev/pts/%u", p->index);
        struct file *f = vfs_open(task, -1, name, (uint32_t)arg, 0, &r);
        return f ? fd_install(task, f, 0, arg & O_CLOEXEC ? FD_CLOSE_ON_EXEC : FD_KEEP) : r;
    }
    case TIOCSIG:
        if (arg != SIGINT && arg != SIGQUIT && arg != SIGTSTP)
            return -EINVAL;
        tty_signal_foreground(&p->tty, (int)arg);
        return 0;
    default:
        return NOT_ABOUT_PAIR;
    }
}

/* The master answers for its slave, whose terminal it is; also about its foreground group, without being controlled by it. */
static int64_t master_ioctl(struct task *task, struct file *f, unsigned request, uint64_t arg)
{
    struct pty *p = f->data;
    int64_t r = pair_ioctl(task, p, request, arg);
    int number;

    if (r != NOT_ABOUT_PAIR)
        return r;
    switch (request) {
    case FIONREAD:
        mutex_lock(&p->line_lock);
        number = (int)p->line.output.used;
        mutex_unlock(&p->line_lock);
        return user_write(arg, &number, sizeof(number));
    case TIOCGPGRP:
    case TIOCGSID:
        mutex_lock(&g_process_lock);
        number = request == TIOCGSID ? p->tty.sid : p->tty.pgid;
        mutex_unlock(&g_process_lock);
        if (request == TIOCGSID && !number)
            return -ENOTTY;
        return user_write(arg, &number, sizeof(number));
    case TIOCVHANGUP: /* the master's own end */
        stats_unsupported("ioctl: TIOCVHANGUP of a master");
        return -ENOTTY;
    case TIOCSCTTY:
    case TIOCNOTTY:
        return -ENOTTY;
    default:
        return tty_ioctl(task, &p->tty, request, arg);
    }
}

static void master_release(struct file *f)
{
    struct pty *p = f->data;

    devfs_remove_pty(p->index);
    __atomic_fetch_add(&p->hang_ups, 1, __ATOMIC_ACQ_REL); /* before the session is told */
    mutex_lock(&g_process_lock);
    tty_hang_up(&p->tty);
    mutex_unlock(&g_process_lock);
    mutex_lock(&p->count_lock);
    __atomic_fetch_add(&p->hang_ups, 1, __ATOMIC_ACQ_REL); /* those opened since */
    p->master_open = false;
    mutex_unlock(&p->count_lock);
    wake_both(p);
}

static void master_async_lists(struct file *f, struct async_list *lists[ASYNC_LISTS_MAX])
{
    default_owner(f, 0);
    lists[0] = &((struct pty *)f->data)->async_master;
}

static const struct file_ops master_ops = {
    .kind = "ptmx",
    .read = master_read,
    .write = master_write,
    .poll = master_poll,
    .ioctl = master_ioctl,
    .async_lists = master_async_lists,
    .release = master_release,
};

/* ---- slots ------------------------------------------------------------------------------------------------------ */

static struct pty *slot_alloc(unsigned index)
{
    struct pty *p = shim_zalloc(sizeof(*p));
    char *buffers = p ? shim_alloc(2 * PTY_BUFFER) : NULL;

    if (!buffers) {
        shim_free(p);
        return NULL;
    }
    p->index = index;
    p->tty.driver = &pty_driver;
    p->tty.rdev = DEVFS_RDEV(DEVFS_PTS_MAJOR, index);
    p->line.input.data = buffers;
    p->line.output.data = buffers + PTY_BUFFER;
    return p;
}

/* Under g_pty_lock. Files of an earlier life may still be open: they hung up and know it. */
static struct pty *slot_take(int *err)
{
    *err = -ENOSPC;
    for (unsigned i = 0; i < PTY_MAX; i++) {
        if (!g_ptys[i])
            g_ptys[i] = slot_alloc(i);
        struct pty *p = g_ptys[i];
        if (!p) {
            *err = -ENOMEM;
            return NULL;
        }
        mutex_lock(&p->count_lock);
        bool taken = p->master_open;
        if (!taken) {
            p->master_open = p->locked = true;
            p->packets = p->slave_seen = false;
            p->slaves = 0;
            p->born = p->hang_ups;
        }
        mutex_unlock(&p->count_lock);
        if (!taken)
            return p;
    }
    return NULL;
}

int pty_open_master(struct task *task, struct file *f)
{
    struct pty *p;
    int err;

    mutex_lock(&g_pty_lock);
    p = slot_take(&err);
    mutex_unlock(&g_pty_lock);
    if (!p)
        return err;
    mutex_lock(&p->line_lock);
    tty_line_init(&p->line, p->line.input.data, p->line.output.data, PTY_BUFFER);
    p->size = (struct winsize){0};
    p->events = 0;
    __atomic_store_n(&p->tty.exclusive, false, __ATOMIC_RELAXED);
    mutex_unlock(&p->line_lock);
    mutex_lock(&g_process_lock);
    p->tty.locked_attr = (struct termios){0};
    mutex_unlock(&g_process_lock);
    err = devfs_add_pty(p->index, task->process->fsuid);
    if (err) {
        mutex_lock(&p->count_lock);
        p->master_open = false;
        mutex_unlock(&p->count_lock);
        return err;
    }
    f->ops = &master_ops;
    f->data = p;
    return 0;
}

struct tty_session *pty_find(unsigned index)
{
    struct pty *p;

    if (index >= PTY_MAX)
        return NULL;
    mutex_lock(&g_pty_lock);
    p = g_ptys[index];
    mutex_unlock(&g_pty_lock);
    return p ? &p->tty : NULL;
}
