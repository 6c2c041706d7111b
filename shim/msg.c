/*
 * msg.c: System V message queues. See msgop(2), msgctl(2).
 */
#include <asm/msgbuf.h>
#include <linux/capability.h>
#include <linux/msg.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/hash.h"
#include "shim/base/string.h"
#include "shim/ipc.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/sys_ipc.h"

struct message {
    struct message *prev, *next;
    int64_t type;
    size_t size;
    char data[];
};

struct msg_queue {
    struct ipc_entry ipc;
    struct message *messages;
    uint64_t count, bytes, max_bytes;
    int64_t send_s, receive_s, change_s;
    int send_pid, receive_pid;
    /* Of tasks that found no room, or no message. They hold a reference: the queue may be removed meanwhile. */
    struct wait_queue senders, receivers;
    unsigned refs;
    bool removed;
};

static struct ipc_table g_queues = {.max = MSG_MAX_QUEUES};

static struct msg_queue *queue_of(struct ipc_entry *entry)
{
    return (struct msg_queue *)entry;
}

static void put_queue(struct msg_queue *q)
{
    if (--q->refs == 0)
        shim_free(q);
}

static struct ipc_entry *make_queue(struct task *task UNUSED, const struct ipc_request *req UNUSED,
                                    int *err)
{
    struct msg_queue *q = shim_zalloc(sizeof(*q));
    if (!q) {
        *err = -ENOMEM;
        return NULL;
    }
    q->refs = 1;
    q->max_bytes = MSG_MAX_QUEUE_BYTES;
    q->change_s = ipc_now_s();
    return &q->ipc;
}

/* msgget(2) */
long sys_msgget(struct task *task, const struct syscall_args *args)
{
    struct ipc_request req = {
        .key = (int32_t)args->a[0], .flags = (unsigned)args->a[1], .make = make_queue};
    mutex_lock(&g_queues.lock);
    int id = ipc_get(task, &g_queues, &req);
    mutex_unlock(&g_queues.lock);
    return id;
}

/* Sleep on one of the queue's wait queues, the table unlocked meanwhile. -EIDRM: the queue went away. */
static int wait_on(struct task *task, struct msg_queue *q, struct wait_queue *waiters)
{
    struct waiter w = {0};
    q->refs++;
    wait_queue_add(waiters, &w);
    mutex_unlock(&g_queues.lock);
    int slept = task_sleep(task, THREAD_WAIT_FOREVER);
    wait_queue_remove(&w);
    mutex_lock(&g_queues.lock);
    int err = q->removed ? -EIDRM : slept < 0 ? -ERESTARTNOHAND : 0;
    put_queue(q);
    return err;
}

static int send_locked(struct task *task, int id, struct message *m, unsigned flags)
{
    int err = 0;
    struct msg_queue *q = queue_of(ipc_find(&g_queues, id, &err));
    while (q && err == 0) {
        err = ipc_permission(task, &q->ipc, 0222);
        if (err)
            break;
        if (q->bytes + m->size <= q->max_bytes && q->count + 1 <= q->max_bytes) {
            DL_APPEND(q->messages, m);
            q->count++;
            q->bytes += m->size;
            q->send_s = ipc_now_s();
            q->send_pid = task->process->pid;
            wait_queue_wake_all(&q->receivers);
            return 0;
        }
        err = flags & IPC_NOWAIT ? -EAGAIN : wait_on(task, q, &q->senders);
    }
    return err;
}

/* msgsnd(2) */
long sys_msgsnd(struct task *task, const struct syscall_args *args)
{
    int64_t type;
    uint64_t size = args->a[2];
    if (user_read(&type, args->a[1], sizeof(type)))
        return -EFAULT;
    if ((int64_t)size < 0 || size > MSG_MAX_SIZE || (int)args->a[0] < 0 || type < 1)
        return -EINVAL;
    struct message *m = shim_alloc(sizeof(*m) + size);
    if (!m)
        return -ENOMEM;
    *m = (struct message){.type = type, .size = size};
    int err = user_read(m->data, args->a[1] + sizeof(type), size);
    if (err == 0) {
        mutex_lock(&g_queues.lock);
        err = send_locked(task, (int)args->a[0], m, (unsigned)args->a[3]);
        mutex_unlock(&g_queues.lock);
    }
    if (err)
        shim_free(m);
    return err;
}

/* msgop(2): the first message, the first of a type (or of none but it), or the first of the lowest type up to -type. */
static struct message *choose(const struct msg_queue *q, int64_t type, unsigned flags)
{
    struct message *m, *best = NULL;
    int64_t limit = type == INT64_MIN ? INT64_MAX : -type;
    int64_t index = 0;
    DL_FOREACH(q->messages, m)
    {
        if (flags & MSG_COPY) {
            if (index++ == type)
                return m;
        } else if (type == 0 || (type > 0 && (m->type == type) == !(flags & MSG_EXCEPT))) {
            return m;
        } else if (type < 0 && m->type <= limit && (!best || m->type < best->type)) {
            best = m;
        }
    }
    return best;
}

static struct message *copy_of(const struct message *m, int *err)
{
    struct message *copy = shim_alloc(sizeof(*copy) + m->size);
    if (copy)
        memcpy(copy, m, sizeof(*m) + m->size);
    else
        *err = -ENOMEM;
    return copy;
}

static struct message *receive_locked(struct task *task, int id, uint64_t room, int64_t type,
                                      unsigned flags, int *err)
{
    *err = 0;
    struct msg_queue *q = queue_of(ipc_find(&g_queues, id, err));
    while (q && *err == 0) {
        *err = ipc_permission(task, &q->ipc, 0444);
        if (*err)
            break;
        struct message *m = choose(q, type, flags);
        if (m && room < m->size && !(flags & MSG_NOERROR)) {
            *err = -E2BIG;
        } else if (m && flags & MSG_COPY) {
            return copy_of(m, err);
        } else if (m) {
            DL_DELETE(q->messages, m);
            q->count--;
            q->bytes -= m->size;
            q->receive_s = ipc_now_s();
            q->receive_pid = task->process->pid;
            wait_queue_wake_all(&q->senders);
            return m;
        } else {
            *err = flags & IPC_NOWAIT ? -ENOMSG : wait_on(task, q, &q->receivers);
        }
    }
    return NULL;
}

/* msgrcv(2) */
long sys_msgrcv(struct task *task, const struct syscall_args *args)
{
    uint64_t room = args->a[2];
    unsigned flags = (unsigned)args->a[4];
    int err = 0;
    if ((int)args->a[0] < 0 || (int64_t)room < 0)
        return -EINVAL;
    if (flags & MSG_COPY && (flags & MSG_EXCEPT || !(flags & IPC_NOWAIT)))
        return -EINVAL;
    mutex_lock(&g_queues.lock);
    struct message *m =
        receive_locked(task, (int)args->a[0], room, (int64_t)args->a[3], flags, &err);
    mutex_unlock(&g_queues.lock);
    if (!m)
        return err;
    size_t size = m->size < room ? m->size : room;
    if (user_write(args->a[1], &m->type, sizeof(m->type)) ||
        user_write(args->a[1] + sizeof(m->type), m->data, size))
        err = -EFAULT; /* the message is lost, as on Linux */
    shim_free(m);
    return err ? err : (long)size;
}

static void remove_queue(struct msg_queue *q)
{
    ipc_remove(&g_queues, &q->ipc);
    q->removed = true;
    while (q->messages) {
        struct message *m = q->messages;
        DL_DELETE(q->messages, m);
        shim_free(m);
    }
    wait_queue_wake_all(&q->senders);
    wait_queue_wake_all(&q->receivers);
    put_queue(q);
}

static long info(int command, uint64_t out)
{
    struct msginfo mi = {.msgpool = (int)(MSG_MAX_QUEUES * MSG_MAX_QUEUE_BYTES / 1024),
                         .msgmap = MSG_MAX_QUEUE_BYTES,
                         .msgmax = MSG_MAX_SIZE,
                         .msgmnb = MSG_MAX_QUEUE_BYTES,
                         .msgmni = MSG_MAX_QUEUES,
                         .msgssz = 16,
                         .msgtql = MSG_MAX_QUEUE_BYTES,
                         .msgseg = 0xffff};
    mutex_lock(&g_queues.lock);
    if (command == MSG_INFO) {
        uint64_t count = 0, bytes = 0;
        for (unsigned i = 0; i < g_queues.slot_count; i++) {
            const struct msg_queue *q = queue_of(g_queues.slots[i]);
            count += q ? q->count : 0;
            bytes += q ? q->bytes : 0;
        }
        mi.msgpool = (int)g_queues.used;
        mi.msgmap = (int)count;
        mi.msgtql = (int)bytes;
    }
    int highest = ipc_highest(&g_queues);
    mutex_unlock(&g_queues.lock);
    return user_write(out, &mi, sizeof(mi)) ? -EFAULT : highest;
}

static long stat(struct task *task, int id, int command, uint64_t out)
{
    struct msqid64_ds ds;
    int err;
    mutex_lock(&g_queues.lock);
    struct msg_queue *q = queue_of(ipc_for_stat(task, &g_queues, id,
                                                command == IPC_STAT   ? IPC_BY_ID
                                                : command == MSG_STAT ? IPC_BY_SLOT
                                                                      : IPC_BY_SLOT_ANY,
                                                &err));
    if (q) {
        ds = (struct msqid64_ds){.msg_stime = q->send_s,
                                 .msg_rtime = q->receive_s,
                                 .msg_ctime = q->change_s,
                                 .msg_cbytes = q->bytes,
                                 .msg_qnum = q->count,
                                 .msg_qbytes = q->max_bytes,
                                 .msg_lspid = q->send_pid,
                                 .msg_lrpid = q->receive_pid};
        ipc_fill_perm(&q->ipc, &ds.msg_perm);
        id = command == IPC_STAT ? 0 : q->ipc.id;
    }
    mutex_unlock(&g_queues.lock);
    if (err)
        return err;
    return user_write(out, &ds, sizeof(ds)) ? -EFAULT : id;
}

static int set_locked(struct task *task, struct msg_queue *q, const struct msqid64_ds *ds)
{
    if (ds->msg_qbytes > MSG_MAX_QUEUE_BYTES && !process_capable(task->process, CAP_SYS_RESOURCE))
        return -EPERM;
    int err = ipc_set_perm(&q->ipc, &ds->msg_perm);
    if (err)
        return err;
    q->max_bytes = ds->msg_qbytes;
    q->change_s = ipc_now_s();
    /* Who waits looks again: it may have lost its permission, or gained room. */
    wait_queue_wake_all(&q->receivers);
    wait_queue_wake_all(&q->senders);
    return 0;
}

static long change(struct task *task, int id, int command, uint64_t in)
{
    struct msqid64_ds ds;
    int err = command == IPC_SET ? user_read(&ds, in, sizeof(ds)) : 0;
    if (err)
        return err;
    mutex_lock(&g_queues.lock);
    struct msg_queue *q = queue_of(ipc_find(&g_queues, id, &err));
    if (q)
        err = ipc_owner(task, &q->ipc);
    if (q && err == 0) {
        if (command == IPC_RMID)
            remove_queue(q);
        else
            err = set_locked(task, q, &ds);
    }
    mutex_unlock(&g_queues.lock);
    return err;
}

/* msgctl(2) */
long sys_msgctl(struct task *task, const struct syscall_args *args)
{
    int id = (int)args->a[0], command = (int)args->a[1];
    if (id < 0 || command < 0)
        return -EINVAL;
    switch (command) {
    case IPC_INFO:
    case MSG_INFO:
        return info(command, args->a[2]);
    case IPC_STAT:
    case MSG_STAT:
    case MSG_STAT_ANY:
        return stat(task, id, command, args->a[2]);
    case IPC_SET:
    case IPC_RMID:
        return change(task, id, command, args->a[2]);
    default:
        return -EINVAL;
    }
}

void msg_print(struct str_buf *out)
{
    str_buf_printf(
        out,
        "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid"
        "      stime      rtime      ctime\n");
    mutex_lock(&g_queues.lock);
    for (unsigned i = 0; i < g_queues.slot_count; i++) {
        const struct msg_queue *q = queue_of(g_queues.slots[i]);
        if (!q)
            continue;
        const struct ipc_entry *e = &q->ipc;
        str_buf_printf(
            out, "%10d %10d  %4o  %10llu %10llu %5d %5d %5u %5u %5u %5u %10llu %10llu %10llu\n",
            e->key, e->id, e->mode, (unsigned long long)q->bytes, (unsigned long long)q->count,
            q->send_pid, q->receive_pid, e->uid, e->gid, e->cuid, e->cgid,
            (unsigned long long)q->send_s, (unsigned long long)q->receive_s,
            (unsigned long long)q->change_s);
    }
    mutex_unlock(&g_queues.lock);
}
