/*
 * mq.c: POSIX message queues, mq_overview(7). A queue lives while it has a name or a descriptor. One lock guards names and queues;
 * messages are copied from and to the guest without it.
 */
#include <asm/fcntl.h>
#include <asm/poll.h>
#include <linux/capability.h>
#include <linux/limits.h>
#include <linux/mqueue.h>
#include <linux/signal.h>
#include <linux/stat.h>

#include <utlist.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/file.h"
#include "shim/fs/namei.h"
#include "shim/fs/socket.h"
#include "shim/fs/transfer.h"
#include "shim/fs/vfs.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/sys_ipc.h"
#include "shim/time_convert.h"

#include <asm/resource.h>

/* Limits and defaults of mq_overview(7). */
#define QUEUES_MAX 256u
#define MESSAGES_DEFAULT 10
#define MESSAGES_HARD_MAX 65536
#define SIZE_DEFAULT 8192
#define SIZE_HARD_MAX 16777216
#define PRIORITIES 32768u
#define STAT_SIZE 80

struct mq_message {
    struct mq_message *prev, *next;
    uint32_t priority;
    size_t size;
    char text[];
};

struct mq {
    struct mq *prev, *next; /* g_queues */
    uint32_t refs;          /* descriptors, and one for the name */
    bool named; /* else it lives, and counts for the limits, until its last descriptor is closed */
    char name[NAME_MAX + 1];
    uint32_t mode, uid, gid;
    uint64_t ino, cost; /* cost: counts for RLIMIT_MSGQUEUE of `uid` */
    int64_t max_messages, max_size, count, bytes;
    struct mq_message *messages; /* highest priority first, older before newer */
    unsigned receivers;          /* asleep for a message */
    struct wait_queue wait;
    /* who is told when a message comes to the empty queue; pid 0: nobody */
    int notify_pid, notify_how, notify_signal;
    uint64_t notify_value;
    struct file *notify_socket; /* owned; SIGEV_THREAD: gets the cookie */
    struct netlink_note *notify_note;
    char notify_cookie[NOTIFY_COOKIE_LEN];
};

static struct mutex g_mq_lock;
static struct mq *g_queues; /* all that live */
static unsigned g_queue_count;
static uint64_t g_next_ino = 2;

/* The last reference takes the queue along; by whoever dropped it, without the lock. */
static struct mq *drop(struct mq *q)
{
    if (--q->refs)
        return NULL;
    DL_DELETE(g_queues, q);
    g_queue_count--;
    return q;
}

static void destroy(struct mq *q)
{
    struct mq_message *m, *tmp;
    if (!q)
        return;
    DL_FOREACH_SAFE(q->messages, m, tmp)
    shim_free(m);
    if (q->notify_socket) {
        netlink_note_drop(q->notify_socket, q->notify_note);
        file_put(q->notify_socket);
    }
    shim_free(q);
}

/* ---- descriptors ------------------------------------------------------------------------------------------------ */

static int64_t mq_read(struct task *task, struct file *f, struct mem_ref into, uint64_t *offset)
{
    struct mq *q = f->data;
    struct str_buf text = {0};
    (void)task;
    mutex_lock(&g_mq_lock);
    str_buf_printf(&text, "QSIZE:%-10lu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n",
                   (unsigned long)q->bytes, q->notify_pid ? q->notify_how : 0,
                   q->notify_pid && q->notify_how == SIGEV_SIGNAL ? q->notify_signal : 0,
                   q->notify_pid);
    mutex_unlock(&g_mq_lock);
    int64_t r = text.failed ? -ENOMEM : 0;
    if (!r && *offset < text.length) {
        size_t left = text.length - *offset;
        size_t wanted = left < into.size ? left : into.size;
        size_t moved = transfer_out(into, text.data + *offset, wanted);
        *offset += moved;
        r = moved || !wanted ? (int64_t)moved : -EFAULT;
    }
    str_buf_free(&text);
    return r;
}

static int64_t mq_seek(struct task *task, struct file *f, int64_t offset, int whence)
{
    (void)task;
    return file_seek_in(f, offset, whence, STAT_SIZE);
}

static uint32_t mq_poll(struct task *task, struct file *f, struct poll_table *table)
{
    struct mq *q = f->data;
    (void)task;
    if (table)
        poll_table_add(table, &q->wait);
    mutex_lock(&g_mq_lock);
    uint32_t mask = (q->count ? POLLIN | POLLRDNORM : 0u) |
                    (q->count < q->max_messages ? POLLOUT | POLLWRNORM : 0u);
    mutex_unlock(&g_mq_lock);
    return mask;
}

static int mq_stat(struct file *f, struct file_stat *out)
{
    const struct mq *q = f->data;
    *out = (struct file_stat){.ino = q->ino,
                              .nlink = q->named,
                              .size = STAT_SIZE,
                              .mode = S_IFREG | q->mode,
                              .uid = q->uid,
                              .gid = q->gid,
                              .block_size = 4096};
    return 0;
}

/* Nobody is told any more; `why` is NOTIFY_WOKENUP or NOTIFY_REMOVED. Result: to be put without the lock; or NULL. */
static struct file *end_notify(struct mq *q, char why)
{
    struct file *socket = q->notify_socket;
    q->notify_pid = 0;
    q->notify_socket = NULL;
    if (socket) {
        q->notify_cookie[NOTIFY_COOKIE_LEN - 1] = why;
        netlink_note_send(socket, q->notify_note, q->notify_cookie, NOTIFY_COOKIE_LEN);
    }
    return socket;
}

static void put_socket(struct file *socket)
{
    if (socket)
        file_put(socket);
}

/* A close by the process that would be told ends that, whichever descriptor it is. */
static void mq_flush(struct task *task, struct file *f)
{
    struct mq *q = f->data;
    struct file *socket = NULL;
    mutex_lock(&g_mq_lock);
    if (q->notify_pid == task->process->pid)
        socket = end_notify(q, NOTIFY_REMOVED);
    mutex_unlock(&g_mq_lock);
    put_socket(socket);
}

static void put_queue(struct mq *q)
{
    mutex_lock(&g_mq_lock);
    struct mq *last = drop(q);
    mutex_unlock(&g_mq_lock);
    destroy(last);
}

static void mq_release(struct file *f)
{
    put_queue(f->data);
}

static const struct file_ops mq_ops = {
    .kind = "mqueue",
    .read = mq_read,
    .seek = mq_seek,
    .poll = mq_poll,
    .stat = mq_stat,
    .flush = mq_flush,
    .release = mq_release,
};

/* ---- names ------------------------------------------------------------------------------------------------------ */

static struct mq *find(const char *name)
{
    struct mq *q;
    DL_FOREACH(g_queues, q)
    if (q->named && str_equal(q->name, name))
        return q;
    return NULL;
}

static int may_open(const struct task *task, const struct mq *q, unsigned flags)
{
    struct credentials who = task_credentials(task);
    unsigned access = flags & O_ACCMODE;
    unsigned wanted = access == O_RDONLY   ? INODE_READ
                      : access == O_WRONLY ? INODE_WRITE
                                           : INODE_READ | INODE_WRITE;
    if (access == O_ACCMODE)
        return -EINVAL;
    if (credentials_capable(&who, CAP_DAC_OVERRIDE))
        return 0;
    return wanted & ~credentials_granted(&who, q->mode, q->uid, q->gid) ? -EACCES : 0;
}

static int check_attributes(const struct process *p, const struct mq_attr *attr)
{
    bool free = process_capable(p, CAP_SYS_RESOURCE);
    int64_t messages = free ? MESSAGES_HARD_MAX : MESSAGES_DEFAULT;
    int64_t size = free ? SIZE_HARD_MAX : SIZE_DEFAULT;
    return attr->mq_maxmsg <= 0 || attr->mq_msgsize <= 0 || attr->mq_maxmsg > messages ||
                   attr->mq_msgsize > size
               ? -EINVAL
               : 0;
}

/* What the kernel would keep for it: messages, their heads, a tree by priority. getrlimit(2), RLIMIT_MSGQUEUE. */
static uint64_t cost_of(const struct mq_attr *attr)
{
    uint64_t n = (uint64_t)attr->mq_maxmsg, levels = n < PRIORITIES ? n : PRIORITIES;
    return n * (uint64_t)attr->mq_msgsize + n * 48 + levels * 48;
}

static uint64_t cost_of_user(uint32_t uid)
{
    uint64_t sum = 0;
    const struct mq *q;
    DL_FOREACH(g_queues, q)
    if (q->uid == uid)
        sum += q->cost;
    return sum;
}

/* Under the lock; name is not taken. Its only reference is the name's. */
static struct mq *create(struct task *task, const char *name, uint32_t mode,
                         const struct mq_attr *attr, int *err)
{
    const struct process *p = task->process;
    struct credentials who = task_credentials(task);
    *err = check_attributes(p, attr);
    if (*err)
        return NULL;
    if (g_queue_count >= QUEUES_MAX && !process_capable(p, CAP_SYS_RESOURCE)) {
        *err = -ENOSPC;
        return NULL;
    }
    uint64_t limit = __atomic_load_n(&p->rlimits[RLIMIT_MSGQUEUE].cur, __ATOMIC_RELAXED);
    if (cost_of_user(who.uid) + cost_of(attr) > limit) {
        *err = -EMFILE;
        return NULL;
    }
    struct mq *q = shim_zalloc(sizeof(*q));
    if (!q) {
        *err = -ENOMEM;
        return NULL;
    }
    str_copy(q->name, name, sizeof(q->name));
    q->refs = 1;
    q->named = true;
    q->mode = mode & 0777;
    q->uid = who.uid;
    q->gid = who.gid;
    q->ino = g_next_ino++;
    q->cost = cost_of(attr);
    q->max_messages = attr->mq_maxmsg;
    q->max_size = attr->mq_msgsize;
    DL_APPEND(g_queues, q);
    g_queue_count++;
    return q;
}

/* One component. Owner: caller. */
static char *read_name(uint64_t addr, int *err)
{
    char *name = user_string(addr, PATH_MAX, err);
    if (!name)
        return NULL;
    size_t length = str_length(name);
    *err = length == 0 ? -ENOENT : 0;
    if (str_find_last(name, '/') || str_equal(name, ".") || str_equal(name, ".."))
        *err = -EACCES;
    else if (length > NAME_MAX)
        *err = -ENAMETOOLONG;
    if (!*err)
        return name;
    shim_free(name);
    return NULL;
}

/* With one more reference; *made: it is new. NULL: *err. Under the lock. */
static struct mq *open_queue(struct task *task, const char *name, const struct syscall_args *args,
                             const struct mq_attr *attr, bool *made, int *err)
{
    unsigned flags = (unsigned)args->a[1];
    struct mq *q = find(name);
    if (q) {
        *err = (flags & O_CREAT) && (flags & O_EXCL) ? -EEXIST : may_open(task, q, flags);
    } else if (!(flags & O_CREAT)) {
        *err = -ENOENT;
    } else if ((flags & O_ACCMODE) == O_ACCMODE) {
        *err = -EINVAL;
    } else {
        q = create(task, name, (uint32_t)args->a[2] & ~fs_umask(task->fs), attr, err);
        *made = q;
    }
    if (*err || !q)
        return NULL;
    q->refs++;
    return q;
}

/* What mq_open made and cannot hand out. Somebody else may have unlinked it since. */
static void remove_name(struct mq *q)
{
    mutex_lock(&g_mq_lock);
    bool named = q->named;
    q->named = false;
    mutex_unlock(&g_mq_lock);
    if (named)
        put_queue(q);
}

/* mq_open(2): the name comes without its slash. */
long sys_mq_open(struct task *task, const struct syscall_args *args)
{
    struct mq_attr attr = {.mq_maxmsg = MESSAGES_DEFAULT, .mq_msgsize = SIZE_DEFAULT};
    unsigned flags = (unsigned)args->a[1];
    int err = 0;
    if (args->a[3] && user_read(&attr, args->a[3], sizeof(attr)))
        return -EFAULT;
    char *name = read_name(args->a[0], &err);
    if (!name)
        return err;
    bool made = false;
    mutex_lock(&g_mq_lock);
    struct mq *q = open_queue(task, name, args, &attr, &made, &err);
    if (made)
        q->refs++; /* so that it can be taken back */
    mutex_unlock(&g_mq_lock);
    shim_free(name);
    if (!q)
        return err;
    struct file *f = file_create(&mq_ops, flags & (O_ACCMODE | O_NONBLOCK), q, &err);
    if (!f)
        put_queue(q);
    int fd = f ? fd_install(task, f, 0, FD_CLOSE_ON_EXEC) : err;
    if (made) {
        if (fd < 0)
            remove_name(q);
        put_queue(q);
    }
    return fd;
}

/* mq_unlink(2) */
long sys_mq_unlink(struct task *task, const struct syscall_args *args)
{
    struct mq *last = NULL;
    struct credentials who = task_credentials(task);
    int err = 0;
    char *name = read_name(args->a[0], &err);
    if (!name)
        return err;
    mutex_lock(&g_mq_lock);
    struct mq *q = find(name);
    if (!q) {
        err = -ENOENT;
    } else if (q->uid != who.uid && !credentials_capable(&who, CAP_FOWNER)) {
        err = -EACCES;
    } else {
        q->named = false;
        last = drop(q);
    }
    mutex_unlock(&g_mq_lock);
    shim_free(name);
    destroy(last);
    return err;
}

/* ---- messages --------------------------------------------------------------------------------------------------- */

/* The open queue, for what `access` names. Owner: caller. NULL: -EBADF. */
static struct file *get_queue(struct task *task, uint64_t fd, unsigned access)
{
    struct file *f = fd_get(task, (int)fd);
    if (f && f->ops == &mq_ops && (f->flags & O_ACCMODE) != access)
        return f;
    if (f)
        file_put(f);
    return NULL;
}

static int read_deadline(uint64_t addr, uint64_t *deadline)
{
    uint64_t ns;
    *deadline = THREAD_WAIT_FOREVER;
    if (!addr)
        return 0;
    int err = user_read_timespec(addr, &ns);
    if (!err)
        *deadline = deadline_at_realtime(ns);
    return err;
}

/* A message came to the empty queue, and nobody waits for it: once, somebody is told. Result: as end_notify. */
static struct file *notify(struct mq *q, const struct process *sender)
{
    if (!q->notify_pid || q->receivers)
        return NULL;
    if (q->notify_how == SIGEV_SIGNAL && q->notify_signal) {
        struct abi_siginfo info = {.si_signo = q->notify_signal, .si_code = SI_MESGQ};
        info.rt.pid = sender->pid;
        info.rt.uid = sender->uid;
        info.rt.value = q->notify_value;
        mutex_lock(&g_process_lock);
        struct process *p = process_find(q->notify_pid);
        if (p && p->state < PROCESS_ZOMBIE)
            (void)signal_send_process(p, &info);
        mutex_unlock(&g_process_lock);
    }
    return end_notify(q, NOTIFY_WOKENUP);
}

enum mq_need { MQ_NEEDS_ROOM, MQ_NEEDS_MESSAGE };

static bool is_there(const struct mq *q, enum mq_need need)
{
    return need == MQ_NEEDS_ROOM ? q->count < q->max_messages : q->count > 0;
}

/* Under the lock, left while it sleeps. 0; -EAGAIN, -ETIMEDOUT, -ERESTARTSYS. */
static int wait_for(struct task *task, const struct file *f, enum mq_need need, uint64_t deadline)
{
    struct mq *q = f->data;
    struct waiter w = {0};
    int r = 0;
    while (!is_there(q, need) && !r) {
        if (__atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_NONBLOCK) {
            r = -EAGAIN;
            break;
        }
        if (!w.queue) {
            mutex_unlock(&g_mq_lock);
            wait_queue_add(&q->wait, &w);
            mutex_lock(&g_mq_lock);
            continue;
        }
        q->receivers += need == MQ_NEEDS_MESSAGE;
        mutex_unlock(&g_mq_lock);
        r = task_sleep(task, deadline);
        mutex_lock(&g_mq_lock);
        q->receivers -= need == MQ_NEEDS_MESSAGE;
    }
    wait_queue_remove(&w);
    return is_there(q, need) ? 0 : r;
}

static void insert(struct mq *q, struct mq_message *m)
{
    struct mq_message *at;
    DL_FOREACH(q->messages, at)
    if (at->priority < m->priority)
        break;
    if (at)
        DL_PREPEND_ELEM(q->messages, at, m);
    else
        DL_APPEND(q->messages, m);
    q->count++;
    q->bytes += (int64_t)m->size;
}

static struct mq_message *read_message(uint64_t addr, uint64_t size, int *err)
{
    struct mq_message *m = shim_alloc(sizeof(*m) + size);
    if (!m) {
        *err = -ENOMEM;
    } else if (user_read(m->text, addr, size)) {
        *err = -EFAULT;
        shim_free(m);
        m = NULL;
    }
    return m;
}

/* mq_timedsend(2) */
long sys_mq_timedsend(struct task *task, const struct syscall_args *args)
{
    uint64_t deadline;
    int err = read_deadline(args->a[4], &deadline);
    if (err)
        return err;
    if ((uint32_t)args->a[3] >= PRIORITIES)
        return -EINVAL;
    struct file *f = get_queue(task, args->a[0], O_RDONLY);
    if (!f)
        return -EBADF;
    struct mq *q = f->data;
    struct mq_message *m = NULL;
    struct file *socket = NULL;
    if (args->a[2] > (uint64_t)q->max_size)
        err = -EMSGSIZE;
    else
        m = read_message(args->a[1], args->a[2], &err);
    if (m) {
        m->size = args->a[2];
        m->priority = (uint32_t)args->a[3];
        mutex_lock(&g_mq_lock);
        err = wait_for(task, f, MQ_NEEDS_ROOM, deadline);
        if (!err) {
            insert(q, m);
            if (q->count == 1)
                socket = notify(q, task->process);
        }
        mutex_unlock(&g_mq_lock);
        put_socket(socket);
        if (err)
            shim_free(m);
        else
            wait_queue_wake_all(&q->wait);
    }
    file_put(f);
    return err;
}

/* mq_timedreceive(2) */
long sys_mq_timedreceive(struct task *task, const struct syscall_args *args)
{
    uint64_t deadline;
    struct mq_message *m = NULL;
    int err = read_deadline(args->a[4], &deadline);
    if (err)
        return err;
    struct file *f = get_queue(task, args->a[0], O_WRONLY);
    if (!f)
        return -EBADF;
    struct mq *q = f->data;
    if (args->a[2] < (uint64_t)q->max_size) {
        err = -EMSGSIZE;
    } else {
        mutex_lock(&g_mq_lock);
        err = wait_for(task, f, MQ_NEEDS_MESSAGE, deadline);
        if (!err) {
            m = q->messages;
            DL_DELETE(q->messages, m);
            q->count--;
            q->bytes -= (int64_t)m->size;
        }
        mutex_unlock(&g_mq_lock);
    }
    if (m)
        wait_queue_wake_all(&q->wait);
    file_put(f);
    if (!m)
        return err;
    long r = (long)m->size;
    if (user_write(args->a[1], m->text, m->size) ||
        (args->a[3] && user_write(args->a[3], &m->priority, sizeof(m->priority))))
        r = -EFAULT;
    shim_free(m);
    return r;
}

/* The netlink socket through which libc wants to hear of SIGEV_THREAD. Owner: caller. NULL, *err. */
static struct file *get_socket(struct task *task, int fd, int *err)
{
    struct file *f = fd_get(task, fd);
    *err = f ? netlink_check(f) : -EBADF;
    if (!f || !*err)
        return f;
    file_put(f);
    return NULL;
}

static void put_unused(struct file *socket, struct netlink_note *note)
{
    if (!socket)
        return;
    netlink_note_drop(socket, note);
    file_put(socket);
}

/* mq_notify(2) */
long sys_mq_notify(struct task *task, const struct syscall_args *args)
{
    struct {
        uint64_t value;
        int32_t signo, how;
        uint64_t rest[6];
    } event;
    char cookie[NOTIFY_COOKIE_LEN];
    struct file *socket = NULL, *old = NULL;
    struct netlink_note *note = NULL;
    int pid = task->process->pid, err;
    long r = 0;
    if (args->a[1]) {
        if (user_read(&event, args->a[1], sizeof(event)))
            return -EFAULT;
        if (event.how != SIGEV_NONE && event.how != SIGEV_SIGNAL && event.how != SIGEV_THREAD)
            return -EINVAL;
        if (event.how == SIGEV_SIGNAL && (uint32_t)event.signo > 64)
            return -EINVAL;
        if (event.how == SIGEV_THREAD) {
            if (user_read(cookie, event.value, sizeof(cookie)))
                return -EFAULT;
            socket = get_socket(task, event.signo, &err);
            if (!socket)
                return err;
            note = netlink_note_prepare(socket, &err);
            if (!note) {
                file_put(socket);
                return err;
            }
        }
    }
    struct file *f = get_queue(task, args->a[0], O_ACCMODE);
    if (!f) {
        put_unused(socket, note);
        return -EBADF;
    }
    struct mq *q = f->data;
    mutex_lock(&g_mq_lock);
    if (!args->a[1]) {
        if (q->notify_pid == pid)
            old = end_notify(q, NOTIFY_REMOVED);
    } else if (q->notify_pid) {
        r = -EBUSY;
    } else {
        q->notify_pid = pid;
        q->notify_how = event.how;
        q->notify_signal = event.signo;
        q->notify_value = event.value;
        q->notify_socket = socket;
        q->notify_note = note;
        if (socket)
            memcpy(q->notify_cookie, cookie, sizeof(cookie));
        socket = NULL;
    }
    mutex_unlock(&g_mq_lock);
    put_unused(socket, note);
    put_socket(old);
    file_put(f);
    return r;
}

/* mq_getsetattr(2) */
long sys_mq_getsetattr(struct task *task, const struct syscall_args *args)
{
    struct mq_attr fresh, old = {0};
    if (args->a[1]) {
        if (user_read(&fresh, args->a[1], sizeof(fresh)))
            return -EFAULT;
        if (fresh.mq_flags & ~(long)O_NONBLOCK)
            return -EINVAL;
    }
    struct file *f = get_queue(task, args->a[0], O_ACCMODE);
    if (!f)
        return -EBADF;
    struct mq *q = f->data;
    mutex_lock(&g_mq_lock);
    old.mq_flags = f->flags & O_NONBLOCK;
    old.mq_maxmsg = q->max_messages;
    old.mq_msgsize = q->max_size;
    old.mq_curmsgs = q->count;
    if (args->a[1]) {
        __atomic_fetch_and(&f->flags, ~(uint32_t)O_NONBLOCK, __ATOMIC_RELAXED);
        __atomic_fetch_or(&f->flags, (uint32_t)fresh.mq_flags, __ATOMIC_RELAXED);
    }
    mutex_unlock(&g_mq_lock);
    file_put(f);
    return args->a[2] && user_write(args->a[2], &old, sizeof(old)) ? -EFAULT : 0;
}
