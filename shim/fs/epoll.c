/*
 * An item hangs on the wait queues of the file it watches; a wake puts it on the ready list, and epoll_wait asks the items on that
 * list only. Files of the host have no queue here: items over them, and over timers, are asked each time. For EPOLLET such an item
 * remembers what it told, until that holds no more or the file says that somebody has read
 * (by its first queue) or wanted to write more than it took (by its second).
 *
 * Lock order: g_epoll_lock (which items exist), epoll.lock (one instance), queue locks of files, epoll.ready_lock, epoll.wait.
 */
#include "shim/fs/epoll.h"

#include <asm/fcntl.h>
#include <asm/poll.h>

#include "platform/errno.h"
#include "platform/host_file.h"
#include "shim/base/alloc.h"
#include "shim/base/hash.h"
#include "shim/base/string.h"
#include "shim/fs/vfs.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/syscall.h"

#define ITEM_HOOKS 2 /* a file registers with at most this many queues */
#define PRIVATE_BITS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)

/* What a read may change. */
#define READ_BITS (POLLIN | POLLRDNORM | POLLPRI | POLLRDHUP)

/* What may stand beside EPOLLEXCLUSIVE: epoll_ctl(2). */
#define EXCLUSIVE_BITS                                                                             \
    ((uint32_t)(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE))

struct epoll_hook {
    struct waiter waiter;
    struct epoll_item *item;
};

struct epoll_item {
    /* fixed */
    struct file *file; /* not owned: goes by epoll_file_gone() */
    int fd;
    struct epoll *ep;
    /* under ep->lock */
    struct epoll_item *prev, *next; /* ep->items */
    uint32_t events;                /* only PRIVATE_BITS: disabled by EPOLLONESHOT */
    uint64_t data;
    struct epoll_hook hooks[ITEM_HOOKS];
    unsigned hook_count;
    struct host_file *host; /* owned; NULL: none */
    uint32_t host_events;
    uint32_t told; /* EPOLLET over what is asked each time; atomic */
    bool polled;   /* on ep->polled */
    struct epoll_item *polled_prev, *polled_next;
    /* under ep->ready_lock */
    bool on_ready;
    struct epoll_item *ready_prev, *ready_next;
    /* under g_epoll_lock */
    struct epoll_item *file_next;
};

struct epoll {
    struct mutex lock;
    struct epoll_item *items, *polled;
    struct mutex ready_lock;
    struct epoll_item *ready;
    struct wait_queue wait;
    unsigned nested;         /* items that watch epoll files; under lock */
    const struct file *file; /* the one that has this instance */
};
#define EVENTS_MAX (0x7fffffff / (int)sizeof(struct epoll_event)) /* of one wait, as in Linux */
#define NESTING_MAX 5 /* epoll instances one in the other, as in Linux */

static struct mutex g_epoll_lock;
static const struct file_ops epoll_ops;

static void item_make_ready(struct epoll_item *item)
{
    struct epoll *ep = item->ep;

    mutex_lock(&ep->ready_lock);
    if (!item->on_ready) {
        item->on_ready = true;
        DL_APPEND2(ep->ready, item, ready_prev, ready_next);
    }
    mutex_unlock(&ep->ready_lock);
}

static void item_woken(struct waiter *w, struct wake_list *list)
{
    struct epoll_item *item = ((struct epoll_hook *)w)->item;

    __atomic_fetch_and(&item->told, w == &item->hooks[0].waiter ? ~(uint32_t)READ_BITS : READ_BITS,
                       __ATOMIC_ACQ_REL);
    item_make_ready(item);
    wait_queue_collect(&item->ep->wait, list);
}

/* ---- asking files ----------------------------------------------------------------------------------------------- */

struct item_table {
    struct poll_table base;
    struct epoll_item *item;
};

static void item_add_queue(struct poll_table *table, struct wait_queue *q)
{
    struct epoll_item *item = ((struct item_table *)table)->item;

    if (item->hook_count == ITEM_HOOKS) {
        table->failed = true;
        return;
    }
    struct epoll_hook *hook = &item->hooks[item->hook_count++];
    hook->item = item;
    hook->waiter.woken = item_woken;
    wait_queue_add(q, &hook->waiter);
}

static void item_add_host(struct poll_table *table, struct host_file *file, uint32_t events)
{
    struct epoll_item *item = ((struct item_table *)table)->item;

    if (item->host) {
        table->failed = true;
        return;
    }
    host_file_get(g_platform, file);
    item->host = file;
    item->host_events = events;
}

static uint32_t item_ask(struct task *task, struct epoll_item *item, struct poll_table *table)
{
    uint32_t mask;

    if (table)
        table->wanted = ~0u;
    mask = file_poll(task, item->file, table);
    if (mask & POLLIN)
        mask |= POLLRDNORM;
    if (mask & POLLOUT)
        mask |= POLLWRNORM;
    return mask & item->events & ~(uint32_t)PRIVATE_BITS;
}

/* Put on the file's queues. -ENOMEM when it needs more than an item has. */
static int item_register(struct task *task, struct epoll_item *item)
{
    struct item_table table = {.item = item};

    poll_table_init(&table.base);
    table.base.add = item_add_queue;
    table.base.add_host = item_add_host;
    if (item_ask(task, item, &table.base))
        item_make_ready(item);
    if (item->host || table.base.timed) {
        item->polled = true;
        DL_APPEND2(item->ep->polled, item, polled_prev, polled_next);
    }
    return table.base.failed ? -ENOMEM : 0;
}

/* Under g_epoll_lock and ep->lock. */
static void item_free(struct epoll_item *item)
{
    struct epoll *ep = item->ep;
    struct epoll_item **link = &item->file->epolls;

    for (unsigned i = 0; i < item->hook_count; i++)
        wait_queue_remove(&item->hooks[i].waiter);
    while (*link != item)
        link = &(*link)->file_next;
    *link = item->file_next;
    if (item->polled)
        DL_DELETE2(ep->polled, item, polled_prev, polled_next);
    mutex_lock(&ep->ready_lock);
    if (item->on_ready)
        DL_DELETE2(ep->ready, item, ready_prev, ready_next);
    mutex_unlock(&ep->ready_lock);
    if (item->file->ops == &epoll_ops)
        ep->nested--;
    DL_DELETE(ep->items, item);
    if (item->host)
        host_file_close(g_platform, item->host);
    shim_free(item);
}

void epoll_file_gone(struct file *f)
{
    mutex_lock(&g_epoll_lock);
    while (f->epolls) {
        struct epoll *ep = f->epolls->ep;
        mutex_lock(&ep->lock);
        item_free(f->epolls);
        mutex_unlock(&ep->lock);
    }
    mutex_unlock(&g_epoll_lock);
}

/* ---- epoll_ctl -------------------------------------------------------------------------------------------------- */

/* Under g_epoll_lock. By the file: few instances watch the same one. */
static struct epoll_item *item_find(struct epoll *ep, struct file *file, int fd)
{
    struct epoll_item *item = file->epolls;

    while (item && (item->ep != ep || item->fd != fd))
        item = item->file_next;
    return item;
}

/* Steps of one search; more than this are taken for too deep. Under g_epoll_lock. */
static unsigned g_search_steps;
#define SEARCH_STEPS_MAX 10000u

/* Under g_epoll_lock, which keeps items where they are: levels of instances that `f` watches, itself counted; over the limit when
 * `stop` is among them. */
static int levels_below(const struct file *f, const struct file *stop)
{
    const struct epoll *ep = f->data;
    struct epoll_item *item;
    int most = 0;

    if (f == stop || ++g_search_steps > SEARCH_STEPS_MAX)
        return NESTING_MAX + 1;
    for (item = ep->items; item && ep->nested && most <= NESTING_MAX;
         item = item->next, g_search_steps++) {
        int levels = item->file->ops == &epoll_ops ? levels_below(item->file, stop) : 0;
        most = levels > most ? levels : most;
    }
    return most + 1;
}

static int levels_above(const struct file *f)
{
    int most = 0;

    if (++g_search_steps > SEARCH_STEPS_MAX)
        return NESTING_MAX + 1;
    for (const struct epoll_item *item = f->epolls; item && most <= NESTING_MAX;
         item = item->file_next) {
        int levels = levels_above(item->ep->file);
        most = levels > most ? levels : most;
    }
    return most + 1;
}

static bool nests_too_deep(const struct file *outer, const struct file *inner)
{
    g_search_steps = 0;
    return levels_above(outer) + levels_below(inner, outer) > NESTING_MAX;
}

/* Under both locks. */
static int item_add(struct task *task, struct file *epf, int fd, struct file *file,
                    const struct epoll_event *event)
{
    struct epoll *ep = epf->data;
    struct epoll_item *item;

    if (file->ops == &epoll_ops && nests_too_deep(epf, file))
        return -ELOOP;
    item = shim_zalloc(sizeof(*item));
    if (!item)
        return -ENOMEM;
    item->file = file;
    item->fd = fd;
    item->ep = ep;
    item->events = event->events | EPOLLERR | EPOLLHUP;
    item->data = event->data;
    DL_APPEND(ep->items, item);
    if (file->ops == &epoll_ops)
        ep->nested++;
    item->file_next = file->epolls;
    file->epolls = item;
    int r = item_register(task, item);
    if (r)
        item_free(item);
    return r;
}

static void item_change(struct task *task, struct epoll_item *item, const struct epoll_event *event)
{
    item->events = event->events | EPOLLERR | EPOLLHUP;
    item->data = event->data;
    __atomic_store_n(&item->told, 0, __ATOMIC_RELEASE);
    if (item_ask(task, item, NULL))
        item_make_ready(item);
}

int epoll_control(struct task *task, struct file *epf, int op, int fd, struct file *file,
                  const struct epoll_event *event)
{
    struct epoll *ep = epf->data;
    struct epoll_item *item;
    int r = 0;

    if (epf->ops != &epoll_ops || epf == file)
        return -EINVAL;
    if (!file->ops->poll)
        return -EPERM;
    if (op != EPOLL_CTL_DEL && (event->events & EPOLLEXCLUSIVE) &&
        (op == EPOLL_CTL_MOD || file->ops == &epoll_ops || (event->events & ~EXCLUSIVE_BITS)))
        return -EINVAL;
    mutex_lock(&g_epoll_lock);
    mutex_lock(&ep->lock);
    item = item_find(ep, file, fd);
    switch (op) {
    case EPOLL_CTL_ADD:
        r = item ? -EEXIST : item_add(task, epf, fd, file, event);
        break;
    case EPOLL_CTL_MOD:
        if (!item)
            r = -ENOENT;
        else if (item->events & EPOLLEXCLUSIVE)
            r = -EINVAL;
        else
            item_change(task, item, event);
        break;
    case EPOLL_CTL_DEL:
        if (item)
            item_free(item);
        else
            r = -ENOENT;
        break;
    default:
        r = -EINVAL;
    }
    mutex_unlock(&ep->lock);
    mutex_unlock(&g_epoll_lock);
    if (!r && op != EPOLL_CTL_DEL)
        wait_queue_wake_all(&ep->wait);
    return r;
}

/* ---- epoll_wait ------------------------------------------------------------------------------------------------- */

static struct epoll_item *pop_ready(struct epoll *ep)
{
    struct epoll_item *item;

    mutex_lock(&ep->ready_lock);
    item = ep->ready;
    if (item) {
        DL_DELETE2(ep->ready, item, ready_prev, ready_next);
        item->on_ready = false;
    }
    mutex_unlock(&ep->ready_lock);
    return item;
}

/* Under ep->lock. What is news: for an edge-triggered item that is asked each time, what was not told since somebody used the file;
 * of others everything is. */
static uint32_t item_news(struct task *task, struct epoll_item *item)
{
    uint32_t told, mask;

    if (!(item->events & EPOLLET) || (item->host ? item->hook_count < ITEM_HOOKS : !item->polled))
        return item_ask(task, item, NULL);
    told = __atomic_exchange_n(&item->told, ~0u, __ATOMIC_ACQ_REL);
    mask = item_ask(task, item, NULL);
    /* What somebody used while we asked is news the next time, too. */
    __atomic_fetch_and(&item->told, mask, __ATOMIC_ACQ_REL);
    return mask & ~told ? mask : 0;
}

/* Under ep->lock. Level-triggered items go back to the end of the list: all get their turn. */
static int collect(struct task *task, struct epoll *ep, uint64_t addr, int max)
{
    struct epoll_item *item, *last = NULL;
    int count = 0, r = 0;

    DL_FOREACH2(ep->polled, item, polled_next)
    item_make_ready(item);
    mutex_lock(&ep->ready_lock);
    if (ep->ready)
        last = ep->ready->ready_prev;
    mutex_unlock(&ep->ready_lock);
    while (last && count < max && (item = pop_ready(ep))) {
        uint32_t mask = item_news(task, item);
        if (mask) {
            struct epoll_event event = {.events = mask, .data = item->data};
            r = user_write(addr + (uint64_t)count * sizeof(event), &event, sizeof(event));
            if (r) {
                item_make_ready(item);
                break;
            }
            count++;
            if (item->events & EPOLLONESHOT)
                item->events &= PRIVATE_BITS;
            else if (!(item->events & EPOLLET))
                item_make_ready(item);
        }
        if (item == last)
            break;
    }
    return count ? count : r;
}

static void ask_deadline(struct task *task, struct epoll_item *item, struct poll_table *table)
{
    struct poll_table only = {.registered = true, .deadline_ns = THREAD_WAIT_FOREVER};

    item_ask(task, item, &only);
    poll_table_add_deadline(table, only.deadline_ns);
}

/* What the instance itself cannot be woken for. Host files are held until the sleep is over: their owner may close them. */
static void add_polled(struct task *task, struct epoll *ep, struct poll_table *table)
{
    struct epoll_item *item;

    DL_FOREACH2(ep->polled, item, polled_next)
    {
        if (!(item->events & ~(uint32_t)PRIVATE_BITS))
            continue;
        uint32_t told = __atomic_load_n(&item->told, __ATOMIC_ACQUIRE);
        table->wanted = item->events & ~told;
        if (item->host && (told & (POLLERR | POLLHUP)))
            continue; /* these always end a wait, and are no news */
        if (item->host) {
            host_file_get(g_platform, item->host);
            poll_table_add_host(table, item->host, item->host_events);
        } else {
            ask_deadline(task, item, table);
        }
    }
}

static void drop_hosts(struct poll_table *table)
{
    for (size_t i = 0; i < table->file_count; i++)
        host_file_close(g_platform, table->files[i].file);
    table->file_count = 0;
    table->registered = false;
}

int epoll_wait_events(struct task *task, struct file *epf, uint64_t addr, int max,
                      uint64_t deadline_ns)
{
    struct epoll *ep = epf->data;
    struct poll_table table;
    int n, r = 0;

    if (epf->ops != &epoll_ops || max <= 0 || max > EVENTS_MAX)
        return -EINVAL;
    poll_table_init(&table);
    if (deadline_ns)
        poll_table_add(&table, &ep->wait);
    for (;;) {
        mutex_lock(&ep->lock);
        n = collect(task, ep, addr, max);
        if (!n && deadline_ns && !r)
            add_polled(task, ep, &table);
        mutex_unlock(&ep->lock);
        if (n || r || !deadline_ns)
            break;
        r = table.failed ? -ENOMEM : poll_table_sleep(task, &table, deadline_ns);
        drop_hosts(&table);
    }
    poll_table_end(&table);
    return n || r == -ETIMEDOUT ? n : r;
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

/* An epoll file is readable when epoll_wait would return something. Items stay where they are. */
static uint32_t epoll_poll(struct task *task, struct file *f, struct poll_table *table)
{
    struct epoll *ep = f->data;
    struct epoll_item *item;
    uint32_t mask = 0;

    if (table)
        poll_table_add(table, &ep->wait);
    mutex_lock(&ep->lock);
    for (item = ep->items; item && !mask; item = item->next)
        if ((item->polled || __atomic_load_n(&item->on_ready, __ATOMIC_RELAXED)) &&
            (item_ask(task, item, NULL) & ~__atomic_load_n(&item->told, __ATOMIC_ACQUIRE)))
            mask = POLLIN;
    if (table) {
        DL_FOREACH2(ep->polled, item, polled_next)
        {
            if (item->host)
                poll_table_add_host(table, item->host, item->host_events & item->events);
            else
                ask_deadline(task, item, table);
        }
    }
    mutex_unlock(&ep->lock);
    return mask;
}

static void epoll_release(struct file *f)
{
    struct epoll *ep = f->data;

    mutex_lock(&g_epoll_lock);
    mutex_lock(&ep->lock);
    while (ep->items)
        item_free(ep->items);
    mutex_unlock(&ep->lock);
    mutex_unlock(&g_epoll_lock);
    shim_free(ep);
}

static void epoll_print_info(struct file *f, struct str_buf *out)
{
    struct epoll *ep = f->data;
    const struct epoll_item *item;

    mutex_lock(&ep->lock);
    for (item = ep->items; item; item = item->next) {
        const struct inode *inode = item->file->inode;
        str_buf_printf(out, "tfd: %8d events: %8x data: %16llx  pos:%llu ino:%llx sdev:%x\n",
                       item->fd, item->events, (unsigned long long)item->data,
                       (unsigned long long)item->file->pos,
                       (unsigned long long)(inode ? inode->ino : item->file->id),
                       inode ? (unsigned)inode->sb->dev : 0);
    }
    mutex_unlock(&ep->lock);
}

static const struct file_ops epoll_ops = {
    .kind = "eventpoll",
    .print_info = epoll_print_info,
    .ignores_seek = true,
    .poll = epoll_poll,
    .release = epoll_release,
};

struct file *epoll_create_file(int *err)
{
    struct epoll *ep = shim_zalloc(sizeof(*ep));
    struct file *f;

    if (!ep) {
        *err = -ENOMEM;
        return NULL;
    }
    f = file_create(&epoll_ops, O_RDWR, ep, err);
    if (f)
        ep->file = f;
    else
        shim_free(ep);
    return f;
}
