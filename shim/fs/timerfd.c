/*
 * A timerfd has no timer: expiries are counted when somebody asks, and those who wait know when to ask.
 */
#include <asm/fcntl.h>
#include <asm/poll.h>
#include <linux/time.h>
#include <linux/timerfd.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/event_files.h"
#include "shim/fs/transfer.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/time_convert.h"

struct timerfd {
    struct mutex lock;
    /* under lock */
    uint64_t expiry;        /* in `clock`; 0: disarmed */
    uint64_t interval;      /* 0: once */
    uint64_t ticks;         /* expiries not read yet */
    enum timerfd_mode mode; /* of the last setting */
    struct wait_queue wait; /* woken by a new setting and by a read */
    enum clock_kind clock;
};

static const struct file_ops timerfd_ops;

/* Under lock: count what has expired. */
static void timerfd_catch_up(struct timerfd *t)
{
    uint64_t now = clock_now(g_platform, t->clock), missed;

    if (!t->expiry || now < t->expiry)
        return;
    if (!t->interval) {
        t->ticks++;
        t->expiry = 0;
        return;
    }
    missed = (now - t->expiry) / t->interval + 1;
    t->ticks += missed;
    t->expiry += missed * t->interval;
}

/* Under lock: when thread_park should end for the next expiry. */
static uint64_t timerfd_deadline(const struct timerfd *t)
{
    uint64_t now;

    if (!t->expiry)
        return THREAD_WAIT_FOREVER;
    if (t->clock == CLOCK_KIND_MONOTONIC)
        return t->expiry;
    now = clock_now(g_platform, t->clock);
    return clock_now(g_platform, CLOCK_KIND_MONOTONIC) + (t->expiry > now ? t->expiry - now : 0);
}

static int64_t timerfd_read(struct task *task, struct file *f, struct mem_ref into,
                            uint64_t *offset)
{
    struct timerfd *t = f->data;
    struct waiter w = {0};
    uint64_t ticks;
    int r = 0;

    (void)offset;
    if (into.size < sizeof(ticks))
        return -EINVAL;
    mutex_lock(&t->lock);
    timerfd_catch_up(t);
    while (!t->ticks && !r) {
        uint64_t deadline = timerfd_deadline(t);
        if (__atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_NONBLOCK) {
            r = -EAGAIN;
            break;
        }
        mutex_unlock(&t->lock);
        if (w.queue)
            r = task_sleep(task, deadline);
        else
            wait_queue_add(&t->wait, &w);
        if (r == -ETIMEDOUT)
            r = 0;
        mutex_lock(&t->lock);
        timerfd_catch_up(t);
    }
    ticks = t->ticks;
    if (!r)
        t->ticks = 0;
    mutex_unlock(&t->lock);
    wait_queue_remove(&w);
    if (r)
        return r;
    wait_queue_wake_all(&t->wait); /* what an epoll set told of the ticks is over */
    return transfer_out(into, &ticks, sizeof(ticks)) == sizeof(ticks) ? (int64_t)sizeof(ticks)
                                                                      : -EFAULT;
}

static uint32_t timerfd_poll(struct task *task, struct file *f, struct poll_table *table)
{
    struct timerfd *t = f->data;
    uint32_t mask;

    (void)task;
    if (table)
        poll_table_add(table, &t->wait);
    mutex_lock(&t->lock);
    timerfd_catch_up(t);
    mask = t->ticks ? POLLIN : 0;
    if (table)
        poll_table_add_deadline(table, timerfd_deadline(t));
    mutex_unlock(&t->lock);
    return mask;
}

static void timerfd_release(struct file *f)
{
    shim_free(f->data);
}

/* Under lock. timerfd_create(2): the value is always relative, also of an absolute timer. */
static struct timerfd_setting setting_now(const struct timerfd *t)
{
    uint64_t now = clock_now(g_platform, t->clock);
    struct timerfd_setting s = {.interval = t->interval};

    if (t->expiry)
        s.value = t->expiry > now ? t->expiry - now : 1;
    return s;
}

static int clock_number(enum clock_kind clock)
{
    switch (clock) {
    case CLOCK_KIND_MONOTONIC:
        return CLOCK_MONOTONIC;
    case CLOCK_KIND_BOOTTIME:
        return CLOCK_BOOTTIME;
    default:
        return CLOCK_REALTIME;
    }
}

static void timerfd_print_info(struct file *f, struct str_buf *out)
{
    struct timerfd *t = f->data;

    mutex_lock(&t->lock);
    timerfd_catch_up(t);
    struct timerfd_setting now = setting_now(t);
    uint64_t ticks = t->ticks;
    enum timerfd_mode mode = t->mode;
    mutex_unlock(&t->lock);
    str_buf_printf(out,
                   "clockid: %d\nticks: %llu\nsettime flags: 0%o\nit_value: (%llu, %llu)\n"
                   "it_interval: (%llu, %llu)\n",
                   clock_number(t->clock), (unsigned long long)ticks,
                   mode == TIMERFD_ABSOLUTE ? TFD_TIMER_ABSTIME : 0,
                   (unsigned long long)(now.value / NS_PER_SEC),
                   (unsigned long long)(now.value % NS_PER_SEC),
                   (unsigned long long)(now.interval / NS_PER_SEC),
                   (unsigned long long)(now.interval % NS_PER_SEC));
}

static const struct file_ops timerfd_ops = {
    .kind = "timerfd",
    .print_info = timerfd_print_info,
    .ignores_seek = true,
    .read = timerfd_read,
    .poll = timerfd_poll,
    .release = timerfd_release,
};

struct file *timerfd_create_file(enum clock_kind clock, uint32_t flags, int *err)
{
    struct timerfd *t = shim_zalloc(sizeof(*t));
    struct file *f;

    if (!t) {
        *err = -ENOMEM;
        return NULL;
    }
    t->clock = clock;
    f = file_create(&timerfd_ops, O_RDWR | flags, t, err);
    if (!f)
        shim_free(t);
    return f;
}

int timerfd_set(struct file *f, enum timerfd_mode mode, const struct timerfd_setting *set,
                struct timerfd_setting *old)
{
    struct timerfd *t = f->data;

    if (f->ops != &timerfd_ops)
        return -EINVAL;
    mutex_lock(&t->lock);
    timerfd_catch_up(t);
    *old = setting_now(t);
    t->ticks = 0;
    t->mode = mode;
    t->interval = set->interval;
    t->expiry = set->value;
    if (set->value && mode == TIMERFD_RELATIVE &&
        __builtin_add_overflow(clock_now(g_platform, t->clock), set->value, &t->expiry))
        t->expiry = UINT64_MAX;
    mutex_unlock(&t->lock);
    wait_queue_wake_all(&t->wait);
    return 0;
}

int timerfd_get(struct file *f, struct timerfd_setting *out)
{
    struct timerfd *t = f->data;

    if (f->ops != &timerfd_ops)
        return -EINVAL;
    mutex_lock(&t->lock);
    timerfd_catch_up(t);
    *out = setting_now(t);
    mutex_unlock(&t->lock);
    return 0;
}
