#include <asm/fcntl.h>
#include <asm/poll.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/event_files.h"
#include "shim/fs/transfer.h"
#include "shim/process.h"

#define EVENTFD_MAX (UINT64_MAX - 1)

struct eventfd {
    struct mutex lock;
    uint64_t count; /* under lock; <= EVENTFD_MAX */
    struct wait_queue wait;
    enum eventfd_kind kind;
};

static int64_t eventfd_read(struct task *task, struct file *f, struct mem_ref into,
                            uint64_t *offset)
{
    struct eventfd *e = f->data;
    struct waiter w = {0};
    uint64_t value = 0;
    int r = 0;

    (void)offset;
    if (into.size < sizeof(value))
        return -EINVAL;
    mutex_lock(&e->lock);
    while (!e->count && !r) {
        if (__atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_NONBLOCK) {
            r = -EAGAIN;
            break;
        }
        mutex_unlock(&e->lock);
        if (w.queue)
            r = task_sleep(task, THREAD_WAIT_FOREVER);
        else
            wait_queue_add(&e->wait, &w);
        mutex_lock(&e->lock);
    }
    if (e->count && r != -EAGAIN) {
        r = 0;
        value = e->kind == EVENTFD_SEMAPHORE ? 1 : e->count;
        e->count -= value;
    }
    mutex_unlock(&e->lock);
    wait_queue_remove(&w);
    if (r)
        return r;
    wait_queue_wake_all(&e->wait);
    return transfer_out(into, &value, sizeof(value)) == sizeof(value) ? (int64_t)sizeof(value)
                                                                      : -EFAULT;
}

static int64_t eventfd_write(struct task *task, struct file *f, struct mem_ref from,
                             uint64_t *offset)
{
    struct eventfd *e = f->data;
    struct waiter w = {0};
    uint64_t value;
    int r = 0;

    (void)offset;
    if (from.size < sizeof(value))
        return -EINVAL;
    if (transfer_in(&value, from, sizeof(value)) != sizeof(value))
        return -EFAULT;
    if (value == UINT64_MAX)
        return -EINVAL;
    mutex_lock(&e->lock);
    while (value > EVENTFD_MAX - e->count && !r) {
        if (__atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_NONBLOCK) {
            r = -EAGAIN;
            break;
        }
        mutex_unlock(&e->lock);
        if (w.queue)
            r = task_sleep(task, THREAD_WAIT_FOREVER);
        else
            wait_queue_add(&e->wait, &w);
        mutex_lock(&e->lock);
    }
    if (!r)
        e->count += value;
    mutex_unlock(&e->lock);
    wait_queue_remove(&w);
    if (r)
        return r;
    wait_queue_wake_all(&e->wait);
    return sizeof(value);
}

static uint32_t eventfd_poll(struct task *task, struct file *f, struct poll_table *table)
{
    struct eventfd *e = f->data;
    uint32_t mask = 0;

    (void)task;
    if (table)
        poll_table_add(table, &e->wait);
    mutex_lock(&e->lock);
    if (e->count)
        mask |= POLLIN;
    if (e->count < EVENTFD_MAX)
        mask |= POLLOUT;
    mutex_unlock(&e->lock);
    return mask;
}

static void eventfd_release(struct file *f)
{
    shim_free(f->data);
}

static void eventfd_print_info(struct file *f, struct str_buf *out)
{
    struct eventfd *e = f->data;

    mutex_lock(&e->lock);
    uint64_t count = e->count;
    mutex_unlock(&e->lock);
    str_buf_printf(out, "eventfd-count: %16llx\neventfd-id: %llu\neventfd-semaphore: %d\n",
                   (unsigned long long)count, (unsigned long long)f->id,
                   e->kind == EVENTFD_SEMAPHORE);
}

static const struct file_ops eventfd_ops = {
    .kind = "eventfd",
    .print_info = eventfd_print_info,
    .ignores_seek = true,
    .read = eventfd_read,
    .write = eventfd_write,
    .poll = eventfd_poll,
    .release = eventfd_release,
};

struct file *eventfd_create_file(uint64_t value, enum eventfd_kind kind, uint32_t flags, int *err)
{
    struct eventfd *e = shim_zalloc(sizeof(*e));
    struct file *f;

    if (!e) {
        *err = -ENOMEM;
        return NULL;
    }
    e->count = value;
    e->kind = kind;
    f = file_create(&eventfd_ops, O_RDWR | flags, e, err);
    if (!f)
        shim_free(e);
    return f;
}
