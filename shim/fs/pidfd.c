/*
 * pidfd.c: see pidfd.h. Reading is refused; poll(2) tells of the end.
 */
#include "shim/fs/pidfd.h"

#include <asm/fcntl.h>
#include <asm/poll.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/file.h"
#include "shim/process_internal.h"
#include "shim/shim.h"

struct pid_ref {
    /* under g_process_lock */
    unsigned refs;           /* descriptions, and the process */
    struct process *process; /* NULL once waited for */
    struct wait_queue wait;  /* pollers */
};

static const struct file_ops pidfd_ops;

/* Under g_process_lock. */
static void put(struct pid_ref *ref)
{
    if (--ref->refs == 0)
        shim_free(ref);
}

void pid_ref_changed(struct pid_ref *ref)
{
    if (ref)
        wait_queue_wake_all(&ref->wait);
}

void pid_ref_detach(struct pid_ref *ref)
{
    if (!ref)
        return;
    ref->process = NULL;
    wait_queue_wake_all(&ref->wait);
    put(ref);
}

static uint32_t pidfd_poll(struct task *task, struct file *f, struct poll_table *table)
{
    struct pid_ref *ref = f->data;
    uint32_t events = 0;

    (void)task;
    if (table)
        poll_table_add(table, &ref->wait);
    mutex_lock(&g_process_lock);
    if (!ref->process)
        events = POLLIN | POLLRDNORM | POLLHUP;
    else if (ref->process->state >= PROCESS_ZOMBIE)
        events = POLLIN | POLLRDNORM;
    mutex_unlock(&g_process_lock);
    return events;
}

static void pidfd_release(struct file *f)
{
    mutex_lock(&g_process_lock);
    put(f->data);
    mutex_unlock(&g_process_lock);
}

static void pidfd_print_info(struct file *f, struct str_buf *out)
{
    mutex_lock(&g_process_lock);
    const struct process *p = pidfd_process(f);
    int pid = p ? p->pid : -1;
    mutex_unlock(&g_process_lock);
    str_buf_printf(out, "Pid:\t%d\nNSpid:\t%d\n", pid, pid);
}

static const struct file_ops pidfd_ops = {
    .kind = "pidfd",
    .print_info = pidfd_print_info,
    .poll = pidfd_poll,
    .release = pidfd_release,
};

int pidfd_check(const struct file *f)
{
    return f->ops == &pidfd_ops ? 0 : -EBADF;
}

struct process *pidfd_process(const struct file *f)
{
    return ((const struct pid_ref *)f->data)->process;
}

/* Under g_process_lock. The spare one is consumed if there is none yet. */
static struct pid_ref *ref_of(struct process *process, struct pid_ref **spare)
{
    if (!process->pid_ref) {
        process->pid_ref = *spare;
        process->pid_ref->process = process;
        process->pid_ref->refs = 1;
        *spare = NULL;
    }
    process->pid_ref->refs++;
    return process->pid_ref;
}

static struct process *find_leader(int pid, int *err)
{
    struct process *p = process_find(pid);
    if (!p)
        *err = task_find(pid) ? -EINVAL : -ESRCH;
    return p;
}

static struct file *create(struct process *process, int pid, uint32_t flags, int *err)
{
    struct pid_ref *spare = shim_zalloc(sizeof(*spare)), *ref = NULL;
    struct file *f = NULL;

    if (!spare) {
        *err = -ENOMEM;
        return NULL;
    }
    mutex_lock(&g_process_lock);
    if (!process)
        process = find_leader(pid, err);
    if (process)
        ref = ref_of(process, &spare);
    mutex_unlock(&g_process_lock);
    if (ref)
        f = file_create(&pidfd_ops, O_RDWR | flags, ref, err);
    if (ref && !f) {
        mutex_lock(&g_process_lock);
        put(ref);
        mutex_unlock(&g_process_lock);
    }
    shim_free(spare);
    return f;
}

struct file *pidfd_create(struct process *process, uint32_t flags, int *err)
{
    return create(process, 0, flags, err);
}

struct file *pidfd_create_for(int pid, uint32_t flags, int *err)
{
    return create(NULL, pid, flags, err);
}
