/*
 * inotify.c: watches hang on inodes, and hold them; events queue in the instance that made the watch. One lock for all: changes of
 * watched files are rare next to everything else.
 */
#include "shim/fs/inotify.h"

#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <linux/inotify.h>
#include <linux/limits.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/hash.h"
#include "shim/base/string.h"
#include "shim/fs/dentry.h"
#include "shim/fs/transfer.h"
#include "shim/fs/vfs.h"
#include "shim/process.h"

#define KNOWN                                                                                      \
    (IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR | IN_DONT_FOLLOW |       \
     IN_EXCL_UNLINK | IN_MASK_CREATE | IN_MASK_ADD | IN_ONESHOT | IN_ISDIR)
#define KEPT (IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT)

/* struct inotify_event without its name, which C forbids in the middle of another struct. */
struct event_head {
    int32_t wd;
    uint32_t mask, cookie, len;
};
_Static_assert(sizeof(struct event_head) == sizeof(struct inotify_event), "inotify(7)");

struct event {
    struct event *prev, *next;
    struct event_head head; /* len: of the name with its padding, as read(2) gives it */
    char name[];
};

struct watch {
    struct watch *inode_next;  /* inode->watches */
    struct watch *prev, *next; /* instance->watches */
    struct inode *inode;       /* owned */
    struct instance *instance;
    uint32_t mask;
    int wd;
};

struct instance {
    /* under g_lock */
    struct event *events;
    unsigned event_count;
    uint64_t bytes; /* that read(2) would give */
    struct watch *watches;
    int last_wd;
    struct wait_queue wait;
    struct async_list async;
};

uint32_t g_inotify_watches;
static struct mutex g_lock; /* all of the above, and inode->watches */
static uint32_t g_instances, g_cookie;
static const struct file_ops inotify_ops;

/* ---- events ----------------------------------------------------------------------------------------------------- */

static size_t padded(size_t length)
{
    return length ? (length + 1 + 15) & ~15ul : 0;
}

static bool same_event(const struct event *e, int wd, uint32_t mask, uint32_t cookie,
                       const char *name, size_t length)
{
    return e->head.wd == wd && e->head.mask == mask && e->head.cookie == cookie &&
           e->head.len == padded(length) &&
           (!length || (memcmp(e->name, name, length) == 0 && !e->name[length]));
}

/* Under the lock. An event that repeats the last one is left out; without memory, as when the queue is full, the reader is told. */
static void queue_event(struct instance *in, int wd, uint32_t mask, uint32_t cookie,
                        const char *name, size_t length)
{
    if (in->events && same_event(in->events->prev, wd, mask, cookie, name, length))
        return;
    if (in->events && in->event_count >= INOTIFY_MAX_QUEUED) {
        if (in->events->prev->head.mask == IN_Q_OVERFLOW)
            return;
        wd = -1;
        mask = IN_Q_OVERFLOW;
        cookie = 0;
        length = 0;
    }
    struct event *e = shim_zalloc(sizeof(*e) + padded(length));
    if (!e)
        return;
    e->head = (struct event_head){
        .wd = wd, .mask = mask, .cookie = cookie, .len = (uint32_t)padded(length)};
    if (length)
        memcpy(e->name, name, length);
    DL_APPEND(in->events, e);
    in->event_count++;
    in->bytes += sizeof(e->head) + e->head.len;
    wait_queue_wake_all(&in->wait);
    async_notify(&in->async, ASYNC_IN);
}

static struct event *pop_event(struct instance *in)
{
    struct event *e = in->events;

    DL_DELETE(in->events, e);
    in->event_count--;
    in->bytes -= sizeof(e->head) + e->head.len;
    return e;
}

/* Under the lock: the watch is gone; its inode's reference is the caller's to drop without the lock. */
static struct inode *take_watch(struct watch *w)
{
    struct watch **link = &w->inode->watches;
    struct inode *inode = w->inode;

    while (*link != w)
        link = &(*link)->inode_next;
    *link = w->inode_next;
    DL_DELETE(w->instance->watches, w);
    __atomic_fetch_sub(&g_inotify_watches, 1, __ATOMIC_RELAXED);
    shim_free(w);
    return inode;
}

static struct inode *end_watch(struct watch *w)
{
    queue_event(w->instance, w->wd, IN_IGNORED, 0, NULL, 0);
    return take_watch(w);
}

enum name_state { NAME_IN_USE, NAME_UNLINKED };

/* To those who watch `inode`, which stays alive without their reference. */
static void tell(struct inode *inode, uint32_t mask, uint32_t cookie, const char *name,
                 size_t length, enum name_state state)
{
    uint32_t put = 0;

    mutex_lock(&g_lock);
    for (struct watch *w = inode->watches, *next; w; w = next) {
        next = w->inode_next;
        if (!(w->mask & mask & IN_ALL_EVENTS) ||
            (state == NAME_UNLINKED && w->mask & IN_EXCL_UNLINK))
            continue;
        queue_event(w->instance, w->wd, mask, cookie, name, length);
        if (w->mask & IN_ONESHOT) {
            end_watch(w);
            put++;
        }
    }
    mutex_unlock(&g_lock);
    while (put--)
        inode_put(inode);
}

static uint32_t with_type(const struct inode *inode, uint32_t mask)
{
    /* Linux never says it of these two. */
    bool silent = mask & (IN_MOVE_SELF | IN_DELETE_SELF);
    return S_ISDIR(inode->mode) && !silent ? mask | IN_ISDIR : mask;
}

void inotify_tell_inode(struct inode *inode, uint32_t mask)
{
    tell(inode, with_type(inode, mask), 0, NULL, 0, NAME_IN_USE);
}

void inotify_tell_name(struct inode *dir, const char *name, size_t length, uint32_t mask,
                       uint32_t cookie)
{
    tell(dir, mask, cookie, name, length, NAME_IN_USE);
}

void inotify_tell_dentry(struct dentry *d, uint32_t mask)
{
    char name[NAME_MAX + 1];
    size_t length = 0;

    mutex_lock(&g_dcache_lock);
    struct dentry *parent = d->parent;
    bool gone = d->deleted;
    if (parent && parent->inode && parent->inode->watches) {
        length = d->name_length;
        memcpy(name, d->name, length);
        dentry_get_locked(parent);
    } else {
        parent = NULL;
    }
    mutex_unlock(&g_dcache_lock);
    if (parent) {
        tell(parent->inode, with_type(d->inode, mask), 0, name, length,
             gone ? NAME_UNLINKED : NAME_IN_USE);
        dentry_put(parent);
    }
    inotify_tell_inode(d->inode, mask);
}

uint32_t inotify_new_cookie(void)
{
    return __atomic_add_fetch(&g_cookie, 1, __ATOMIC_RELAXED);
}

void inotify_tell_gone(struct inode *inode)
{
    struct file_stat st;
    uint32_t put = 0;

    if (!__atomic_load_n(&inode->watches, __ATOMIC_RELAXED) || inode_getattr(inode, &st) ||
        st.nlink)
        return;
    tell(inode, IN_DELETE_SELF, 0, NULL, 0, NAME_IN_USE);
    mutex_lock(&g_lock);
    for (; inode->watches; put++)
        end_watch(inode->watches);
    mutex_unlock(&g_lock);
    while (put--)
        inode_put(inode);
}

/* ---- watches ---------------------------------------------------------------------------------------------------- */

static void change_mask(struct watch *w, uint32_t mask)
{
    w->mask = mask & IN_MASK_ADD ? w->mask | (mask & KEPT) : mask & KEPT;
}

/* Under the lock. Numbers are not used again soon, so that an old event cannot be taken for one of a new watch. */
static int add_locked(struct instance *in, struct inode *inode, uint32_t mask)
{
    if (g_inotify_watches >= INOTIFY_MAX_WATCHES)
        return -ENOSPC;
    struct watch *w = shim_zalloc(sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->inode = inode;
    inode_get(inode);
    w->instance = in;
    w->wd = ++in->last_wd;
    w->mask = mask & KEPT;
    w->inode_next = inode->watches;
    inode->watches = w;
    DL_APPEND(in->watches, w);
    __atomic_fetch_add(&g_inotify_watches, 1, __ATOMIC_RELAXED);
    return w->wd;
}

int inotify_add(struct file *f, struct inode *inode, uint32_t mask)
{
    struct instance *in = f->data;
    int result;

    if (f->ops != &inotify_ops || !mask || mask & ~(uint32_t)KNOWN ||
        (mask & IN_MASK_ADD && mask & IN_MASK_CREATE))
        return -EINVAL;
    mutex_lock(&g_lock);
    struct watch *w = inode->watches;
    while (w && w->instance != in)
        w = w->inode_next;
    if (!w) {
        result = add_locked(in, inode, mask);
    } else if (mask & IN_MASK_CREATE) {
        result = -EEXIST;
    } else {
        change_mask(w, mask);
        result = w->wd;
    }
    mutex_unlock(&g_lock);
    return result;
}

int inotify_remove(struct file *f, int wd)
{
    struct instance *in = f->data;
    struct inode *inode = NULL;
    struct watch *w;

    if (f->ops != &inotify_ops)
        return -EINVAL;
    mutex_lock(&g_lock);
    DL_FOREACH(in->watches, w)
    if (w->wd == wd)
        break;
    if (w)
        inode = end_watch(w);
    mutex_unlock(&g_lock);
    if (!inode)
        return -EINVAL;
    inode_put(inode);
    return 0;
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

/* Whole events only. -EINVAL: not even the first fits. */
static int64_t read_events(struct instance *in, struct mem_ref into)
{
    int64_t done = 0;

    mutex_lock(&g_lock);
    while (in->events) {
        size_t size = sizeof(struct event_head) + in->events->head.len;
        if (size > into.size) {
            done = done ? done : -EINVAL;
            break;
        }
        struct event *e = pop_event(in);
        mutex_unlock(&g_lock);
        size_t moved = transfer_out(into, &e->head, size);
        shim_free(e);
        if (moved != size)
            return done ? done : -EFAULT;
        done += (int64_t)size;
        into = mem_skip(into, size);
        mutex_lock(&g_lock);
    }
    mutex_unlock(&g_lock);
    return done;
}

static int64_t inotify_read(struct task *task, struct file *f, struct mem_ref into,
                            uint64_t *offset)
{
    struct instance *in = f->data;
    struct waiter w = {0};
    int64_t n;

    (void)offset;
    while ((n = read_events(in, into)) == 0) {
        if (__atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_NONBLOCK)
            n = -EAGAIN;
        else if (w.queue)
            n = task_sleep(task, THREAD_WAIT_FOREVER);
        else
            wait_queue_add(&in->wait, &w);
        if (n)
            break;
    }
    wait_queue_remove(&w);
    return n;
}

static uint32_t inotify_poll(struct task *task, struct file *f, struct poll_table *table)
{
    struct instance *in = f->data;

    (void)task;
    if (table)
        poll_table_add(table, &in->wait);
    return __atomic_load_n(&in->event_count, __ATOMIC_ACQUIRE) ? POLLIN : 0;
}

static int64_t inotify_ioctl(struct task *task, struct file *f, unsigned request, uint64_t arg)
{
    struct instance *in = f->data;
    int bytes;

    (void)task;
    if (request != FIONREAD)
        return -ENOTTY;
    mutex_lock(&g_lock);
    bytes = (int)in->bytes;
    mutex_unlock(&g_lock);
    return user_write(arg, &bytes, sizeof(bytes));
}

static void inotify_release(struct file *f)
{
    struct instance *in = f->data;
    struct inode *inode;

    do {
        mutex_lock(&g_lock);
        inode = in->watches ? take_watch(in->watches) : NULL;
        mutex_unlock(&g_lock);
        if (inode)
            inode_put(inode);
    } while (inode);
    while (in->events)
        shim_free(pop_event(in));
    __atomic_fetch_sub(&g_instances, 1, __ATOMIC_RELAXED);
    shim_free(in);
}

static void inotify_print_info(struct file *f, struct str_buf *out)
{
    const struct instance *in = f->data;
    const struct watch *w;

    mutex_lock(&g_lock);
    for (w = in->watches; w; w = w->next)
        str_buf_printf(out, "inotify wd:%x ino:%llx sdev:%x mask:%x ignored_mask:0\n",
                       (unsigned)w->wd, (unsigned long long)w->inode->ino,
                       (unsigned)w->inode->sb->dev, w->mask);
    mutex_unlock(&g_lock);
}

static void inotify_async_lists(struct file *f, struct async_list *lists[ASYNC_LISTS_MAX])
{
    lists[0] = &((struct instance *)f->data)->async;
}

static const struct file_ops inotify_ops = {
    .kind = "inotify",
    .print_info = inotify_print_info,
    .ignores_seek = true,
    .read = inotify_read,
    .poll = inotify_poll,
    .ioctl = inotify_ioctl,
    .async_lists = inotify_async_lists,
    .release = inotify_release,
};

struct file *inotify_create_file(uint32_t flags, int *err)
{
    if (__atomic_add_fetch(&g_instances, 1, __ATOMIC_RELAXED) > INOTIFY_MAX_INSTANCES) {
        __atomic_fetch_sub(&g_instances, 1, __ATOMIC_RELAXED);
        *err = -EMFILE;
        return NULL;
    }
    struct instance *in = shim_zalloc(sizeof(*in));
    struct file *f = in ? file_create(&inotify_ops, O_RDONLY | flags, in, err) : NULL;
    if (!f) {
        __atomic_fetch_sub(&g_instances, 1, __ATOMIC_RELAXED);
        shim_free(in);
        *err = -ENOMEM;
    }
    return f;
}
