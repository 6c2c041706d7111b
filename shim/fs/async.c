/*
 * Kinds of files that send such signals have a list for each direction and say what happens to it, as they wake its waiters. It is
 * not derived from those wakes, since they come for other reasons as well.
 */
#include "shim/fs/async.h"

#include <asm/poll.h>
#include <linux/fcntl.h>
#include <linux/signal.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/hash.h"
#include "shim/fs/file.h"
#include "shim/process.h"
#include "shim/process_tree.h"
#include "shim/signal.h"

#define BIT(sig) (1ull << ((sig)-1))
/* Their codes mean something else. */
#define OWN_CODES                                                                                  \
    (BIT(SIGILL) | BIT(SIGFPE) | BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGTRAP) | BIT(SIGCHLD) |        \
     BIT(SIGSYS))

struct async_watch {
    struct async_watch *prev, *next;
    struct async_list *list; /* NULL: on none */
    struct file *file;
    int fd; /* the descriptor by which O_ASYNC was set: si_fd */
};

/* ---- all under g_process_lock ------------------------------------------------------------------------------------- */

static bool may_signal(const struct file_owner *owner, const struct process *to)
{
    return owner->euid == 0 || owner->euid == to->suid || owner->euid == to->uid ||
           owner->uid == to->suid || owner->uid == to->uid;
}

static struct process *group_next(struct process *p, int pgid)
{
    p = p ? process_tree_next(p) : process_tree_first();
    while (p && p->pgid != pgid)
        p = process_tree_next(p);
    return p;
}

static bool exists(int type, int id)
{
    if (type == F_OWNER_PGRP)
        return group_next(NULL, id) != NULL;
    return type == F_OWNER_TID ? task_find(id) != NULL : process_find(id) != NULL;
}

/* 0, or why somebody's queue took no more. */
static int send(const struct file_owner *owner, const struct abi_siginfo *info)
{
    int r = 0;

    if (owner->type == F_OWNER_TID) {
        struct task *t = task_find(owner->id);
        if (t && may_signal(owner, t->process))
            r = signal_send_task(t, info);
    } else if (owner->type == F_OWNER_PID) {
        struct process *p = process_find(owner->id);
        if (p && may_signal(owner, p))
            r = signal_send_process(p, info);
    } else {
        for (struct process *p = group_next(NULL, owner->id); p; p = group_next(p, owner->id)) {
            int one = may_signal(owner, p) ? signal_send_process(p, info) : 0;
            r = r ? r : one;
        }
    }
    return r;
}

static void tell(const struct async_watch *w, enum async_event event)
{
    static const int64_t bands[] = {
        [ASYNC_IN] = POLLIN | POLLRDNORM,
        [ASYNC_OUT] = POLLOUT | POLLWRNORM | POLLWRBAND,
        [ASYNC_ERROR] = POLLERR,
        [ASYNC_HANG_UP] = POLLHUP | POLLERR,
    };
    const struct file_owner *owner = &w->file->owner;
    struct abi_siginfo info = signal_info_kernel(SIGIO);
    int sig = __atomic_load_n(&owner->signal, __ATOMIC_RELAXED);

    if (!owner->id)
        return;
    if (sig) {
        struct abi_siginfo full = {
            .si_signo = sig,
            .si_code = BIT(sig) & OWN_CODES ? SI_SIGIO : (int)event,
            .poll = {.band = bands[event], .fd = w->fd},
        };
        if (!send(owner, &full))
            return; /* else the plain signal says that something was lost */
    }
    (void)send(owner, &info);
}

static void take_off(struct async_watch *w)
{
    for (unsigned i = 0; w && i < ASYNC_LISTS_MAX; i++)
        if (w[i].list)
            DL_DELETE(w[i].list->head, &w[i]);
}

/* ------------------------------------------------------------------------------------------------------------------- */

void async_notify(struct async_list *list, enum async_event event)
{
    struct async_watch *w;

    if (!__atomic_load_n(&list->head, __ATOMIC_RELAXED))
        return;
    mutex_lock(&g_process_lock);
    DL_FOREACH(list->head, w)
    {
        tell(w, event);
    }
    mutex_unlock(&g_process_lock);
}

void async_signal_owner(const struct file_owner *owner, int sig)
{
    struct abi_siginfo info = signal_info_kernel(sig);

    if (!owner->id)
        return;
    mutex_lock(&g_process_lock);
    (void)send(owner, &info);
    mutex_unlock(&g_process_lock);
}

int async_set(struct file *f, int fd, bool on)
{
    struct async_list *lists[ASYNC_LISTS_MAX] = {NULL};
    struct async_watch *spare = NULL;

    if (!f->ops->async_lists)
        return 0;
    if (on) {
        spare = shim_zalloc(ASYNC_LISTS_MAX * sizeof(*spare));
        if (!spare)
            return -ENOMEM;
        f->ops->async_lists(f, lists);
    }
    mutex_lock(&g_process_lock);
    if (on && !f->async) {
        f->async = spare;
        spare = NULL;
        for (unsigned i = 0; i < ASYNC_LISTS_MAX && lists[i]; i++) {
            f->async[i].file = f;
            f->async[i].list = lists[i];
            DL_APPEND(lists[i]->head, &f->async[i]);
        }
    } else if (!on) {
        spare = f->async;
        f->async = NULL;
        take_off(spare);
    }
    for (unsigned i = 0; on && i < ASYNC_LISTS_MAX; i++)
        f->async[i].fd = fd;
    mutex_unlock(&g_process_lock);
    shim_free(spare);
    return 0;
}

void async_file_gone(struct file *f)
{
    (void)!async_set(f, -1, false); /* taking it off needs no memory */
}

static void own(struct task *task, struct file *f, int type, int id)
{
    const struct process *p = task->process;

    f->owner.type = type;
    f->owner.id = id;
    f->owner.uid = p->uid;
    f->owner.euid = p->euid;
}

int async_set_owner(struct task *task, struct file *f, int type, int id)
{
    int r = 0;

    if (id < 0)
        return -EINVAL;
    mutex_lock(&g_process_lock);
    if (id && !exists(type, id) && !exists(F_OWNER_TID, id) && !exists(F_OWNER_PGRP, id))
        r = -ESRCH;
    else
        own(task, f, type, id);
    mutex_unlock(&g_process_lock);
    return r;
}

void async_default_owner(struct task *task, struct file *f, int type, int id)
{
    mutex_lock(&g_process_lock);
    if (!f->owner.id)
        own(task, f, type, id);
    mutex_unlock(&g_process_lock);
}

struct file_owner async_owner(struct file *f)
{
    mutex_lock(&g_process_lock);
    struct file_owner owner = f->owner;
    if (owner.id && !exists(owner.type, owner.id))
        owner.id = 0;
    mutex_unlock(&g_process_lock);
    return owner;
}
