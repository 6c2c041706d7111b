/*
 * signalfd(2): a read takes signals of the reader, not of who made the descriptor.
 */
#include <asm/fcntl.h>
#include <asm/poll.h>
#include <linux/signal.h>
#include <linux/signalfd.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/event_files.h"
#include "shim/fs/transfer.h"
#include "shim/process.h"

struct signalfd {
    uint64_t mask; /* atomically */
};

struct wait_queue g_signal_wait;
static const struct file_ops signalfd_ops;

static struct sigset signalfd_mask(const struct signalfd *s)
{
    return (struct sigset){__atomic_load_n(&s->mask, __ATOMIC_RELAXED)};
}

static void fill(struct signalfd_siginfo *out, const struct abi_siginfo *info)
{
    memset(out, 0, sizeof(*out));
    out->ssi_signo = (uint32_t)info->si_signo;
    out->ssi_errno = info->si_errno;
    out->ssi_code = info->si_code;
    /* pid and uid stand at the same place in every kind that has them; the value follows in those of sigqueue. */
    out->ssi_pid = (uint32_t)info->rt.pid;
    out->ssi_uid = info->rt.uid;
    if (info->si_signo == SIGCHLD) {
        out->ssi_status = info->chld.status;
        out->ssi_utime = (uint64_t)info->chld.utime;
        out->ssi_stime = (uint64_t)info->chld.stime;
    } else {
        out->ssi_int = (int32_t)info->rt.value;
        out->ssi_ptr = info->rt.value;
    }
}

static int64_t signalfd_read(struct task *task, struct file *f, struct mem_ref into,
                             uint64_t *offset)
{
    struct signalfd *s = f->data;
    struct signalfd_siginfo out;
    struct abi_siginfo info;
    struct waiter w = {0};
    size_t done = 0;
    int64_t r = 0;

    (void)offset;
    if (into.size < sizeof(out))
        return -EINVAL;
    while (into.size - done >= sizeof(out)) {
        if (signal_take(task, signalfd_mask(s), &info)) {
            fill(&out, &info);
            if (transfer_out(mem_skip(into, done), &out, sizeof(out)) != sizeof(out)) {
                r = -EFAULT;
                break;
            }
            done += sizeof(out);
            continue;
        }
        if (done)
            break;
        if (__atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_NONBLOCK) {
            r = -EAGAIN;
            break;
        }
        if (w.queue)
            r = task_sleep(task, THREAD_WAIT_FOREVER);
        else
            wait_queue_add(&g_signal_wait, &w);
        if (r)
            break;
    }
    wait_queue_remove(&w);
    return done ? (int64_t)done : r;
}

static uint32_t signalfd_poll(struct task *task, struct file *f, struct poll_table *table)
{
    struct signalfd *s = f->data;
    uint64_t pending;

    if (table)
        poll_table_add(table, &g_signal_wait);
    mutex_lock(&g_process_lock);
    pending = signal_pending_set(task).bits;
    mutex_unlock(&g_process_lock);
    return pending & signalfd_mask(s).bits ? POLLIN : 0;
}

static void signalfd_release(struct file *f)
{
    shim_free(f->data);
}

static void signalfd_print_info(struct file *f, struct str_buf *out)
{
    str_buf_printf(out, "sigmask:\t%016llx\n", (unsigned long long)signalfd_mask(f->data).bits);
}

static const struct file_ops signalfd_ops = {
    .kind = "signalfd",
    .print_info = signalfd_print_info,
    .ignores_seek = true,
    .read = signalfd_read,
    .poll = signalfd_poll,
    .release = signalfd_release,
};

struct file *signalfd_create_file(struct sigset mask, uint32_t flags, int *err)
{
    struct signalfd *s = shim_zalloc(sizeof(*s));
    struct file *f;

    if (!s) {
        *err = -ENOMEM;
        return NULL;
    }
    s->mask = mask.bits;
    f = file_create(&signalfd_ops, O_RDWR | flags, s, err);
    if (!f)
        shim_free(s);
    return f;
}

int signalfd_set_mask(struct file *f, struct sigset mask)
{
    if (f->ops != &signalfd_ops)
        return -EINVAL;
    __atomic_store_n(&((struct signalfd *)f->data)->mask, mask.bits, __ATOMIC_RELAXED);
    wait_queue_wake_all(&g_signal_wait);
    return 0;
}
