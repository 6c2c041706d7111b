/*
 * sem.c: System V semaphores. Whoever changes a value also completes the operations that became possible, in the order in which
 * they came: a waiter that is woken has what it waited for, and nobody overtakes it. See semop(2).
 */
#include <asm/sembuf.h>
#include <linux/sem.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/hash.h"
#include "shim/base/string.h"
#include "shim/ipc.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/sys_ipc.h"
#include "shim/time_convert.h"

struct sem {
    uint16_t value;
    int32_t pid; /* of the last operation */
};

struct sem_array {
    struct ipc_entry ipc;
    int64_t operation_s, change_s;
    unsigned count;
    struct sem_wait *waits; /* in order */
    struct sem_undo *undos; /* by next_in_array */
    struct sem sems[];
};

/* What a group of tasks owes to one array. */
struct sem_undo {
    struct sem_undo *next_in_list;
    struct sem_undo *prev, *next; /* of the array */
    struct sem_array *array;      /* NULL: removed */
    int16_t adjust[];
};

struct sem_undo_list {
    unsigned refs;
    struct sem_undo *undos;
};

/* An operation that sleeps; on the heap of its task. */
struct sem_wait {
    struct sem_wait *prev, *next;
    struct thread *thread;
    struct sem_array *array;
    const struct sembuf *ops;
    unsigned count, blocking; /* index of the operation that can't proceed */
    int pid;
    struct sem_undo *undo; /* NULL: none asked for */
    int result;            /* WAITING, 0 or -errno */
};
#define WAITING 1

static struct ipc_table g_sems = {.max = SEM_MAX_ARRAYS};
static unsigned g_sem_total;

static struct sem_array *array_of(struct ipc_entry *entry)
{
    return (struct sem_array *)entry;
}

/* ---- operations ---- */

static int try_one(struct sem_array *a, const struct sembuf *op, struct sem_undo *undo)
{
    struct sem *sem = &a->sems[op->sem_num];
    int value = sem->value + op->sem_op;
    if ((op->sem_op == 0 && sem->value != 0) || value < 0)
        return op->sem_flg & IPC_NOWAIT ? -EAGAIN : WAITING;
    if (value > SEMVMX)
        return -ERANGE;
    if (op->sem_flg & SEM_UNDO) {
        int adjust = undo->adjust[op->sem_num] - op->sem_op;
        if (adjust < -SEMAEM - 1 || adjust > SEMAEM)
            return -ERANGE;
        undo->adjust[op->sem_num] = (int16_t)adjust;
    }
    sem->value = (uint16_t)value;
    return 0;
}

/* All or nothing. 0, WAITING (and w->blocking) or -errno. */
static int try_operations(struct sem_array *a, struct sem_wait *w)
{
    int result = 0;
    unsigned done = 0;
    for (; done < w->count && result == 0; done++)
        result = try_one(a, &w->ops[done], w->undo);
    if (result == 0) {
        for (unsigned i = 0; i < w->count; i++)
            a->sems[w->ops[i].sem_num].pid = w->pid;
        a->operation_s = ipc_now_s();
        return 0;
    }
    w->blocking = --done;
    while (done-- > 0) {
        const struct sembuf *op = &w->ops[done];
        a->sems[op->sem_num].value = (uint16_t)(a->sems[op->sem_num].value - op->sem_op);
        if (op->sem_flg & SEM_UNDO)
            w->undo->adjust[op->sem_num] = (int16_t)(w->undo->adjust[op->sem_num] + op->sem_op);
    }
    return result;
}

static bool alters(const struct sem_wait *w)
{
    for (unsigned i = 0; i < w->count; i++)
        if (w->ops[i].sem_op != 0)
            return true;
    return false;
}

static void finish_wait(struct sem_array *a, struct sem_wait *w, int result)
{
    DL_DELETE(a->waits, w);
    w->result = result;
    thread_unpark(g_platform, w->thread);
}

/* A value changed: complete what can be completed now. */
static void values_changed(struct sem_array *a)
{
    struct sem_wait *w, *tmp;
    bool again;
    do {
        again = false;
        DL_FOREACH_SAFE(a->waits, w, tmp)
        {
            int result = try_operations(a, w);
            if (result == WAITING)
                continue;
            again = result == 0 && alters(w);
            finish_wait(a, w, result);
            if (again)
                break;
        }
    } while (again);
}

/* ---- adjustments at exit ---- */

static int undo_list(struct task *task)
{
    if (!task->sem_undo) {
        task->sem_undo = shim_zalloc(sizeof(*task->sem_undo));
        if (!task->sem_undo)
            return -ENOMEM;
        task->sem_undo->refs = 1;
    }
    return 0;
}

static struct sem_undo *undo_for(struct task *task, struct sem_array *a, int *err)
{
    *err = undo_list(task);
    if (*err)
        return NULL;
    struct sem_undo **link = &task->sem_undo->undos;
    while (*link) {
        struct sem_undo *u = *link;
        if (u->array == a)
            return u;
        if (u->array) {
            link = &u->next_in_list;
            continue;
        }
        *link = u->next_in_list;
        shim_free(u);
    }
    struct sem_undo *u = shim_zalloc(sizeof(*u) + a->count * sizeof(u->adjust[0]));
    if (!u) {
        *err = -ENOMEM;
        return NULL;
    }
    u->array = a;
    u->next_in_list = task->sem_undo->undos;
    task->sem_undo->undos = u;
    DL_APPEND(a->undos, u);
    return u;
}

static void apply_undo(struct sem_undo *u, int pid)
{
    struct sem_array *a = u->array;
    DL_DELETE(a->undos, u);
    bool changed = false;
    for (unsigned i = 0; i < a->count; i++) {
        if (!u->adjust[i])
            continue;
        int value = a->sems[i].value + u->adjust[i];
        a->sems[i].value = (uint16_t)(value < 0 ? 0 : value > SEMVMX ? SEMVMX : value);
        a->sems[i].pid = pid;
        changed = true;
    }
    if (changed) {
        a->operation_s = ipc_now_s();
        values_changed(a);
    }
}

int sem_undo_share(struct task *parent, struct task *child)
{
    mutex_lock(&g_sems.lock);
    int err = undo_list(parent);
    if (err == 0) {
        child->sem_undo = parent->sem_undo;
        child->sem_undo->refs++;
    }
    mutex_unlock(&g_sems.lock);
    return err;
}

void sem_undo_drop(struct task *task)
{
    struct sem_undo_list *list = task->sem_undo;
    if (!list)
        return;
    task->sem_undo = NULL;
    mutex_lock(&g_sems.lock);
    bool last = --list->refs == 0;
    while (last && list->undos) {
        struct sem_undo *u = list->undos;
        list->undos = u->next_in_list;
        if (u->array)
            apply_undo(u, task->process->pid);
        shim_free(u);
    }
    mutex_unlock(&g_sems.lock);
    if (last)
        shim_free(list);
}

/* SETVAL and SETALL: nobody owes anything for these semaphores any more. */
static void forget_adjustments(struct sem_array *a, unsigned first, unsigned count)
{
    struct sem_undo *u;
    DL_FOREACH(a->undos, u)
    memset(&u->adjust[first], 0, count * sizeof(u->adjust[0]));
}

/* ---- semget ---- */

static struct ipc_entry *make_array(struct task *task UNUSED, const struct ipc_request *req,
                                    int *err)
{
    struct sem_array *a = NULL;
    *err = -EINVAL;
    if (req->size > 0) {
        a = shim_zalloc(sizeof(*a) + req->size * sizeof(a->sems[0]));
        *err = -ENOMEM;
    }
    if (!a)
        return NULL;
    a->count = (unsigned)req->size;
    a->change_s = ipc_now_s();
    g_sem_total += a->count;
    return &a->ipc;
}

static int check_array(const struct ipc_entry *entry, const struct ipc_request *req)
{
    return req->size > ((const struct sem_array *)entry)->count ? -EINVAL : 0;
}

/* semget(2) */
long sys_semget(struct task *task, const struct syscall_args *args)
{
    int count = (int)args->a[1];
    if (count < 0 || count > (int)SEM_MAX_PER_ARRAY)
        return -EINVAL;
    struct ipc_request req = {.key = (int32_t)args->a[0],
                              .flags = (unsigned)args->a[2],
                              .size = (uint64_t)count,
                              .make = make_array,
                              .check = check_array};
    mutex_lock(&g_sems.lock);
    int id = ipc_get(task, &g_sems, &req);
    mutex_unlock(&g_sems.lock);
    return id;
}

/* ---- semop ---- */

/* Under the lock: look the array up and check the operations against it. */
static struct sem_array *operable(struct task *task, int id, const struct sem_wait *w, int *err)
{
    struct sem_array *a = array_of(ipc_find(&g_sems, id, err));
    if (!a)
        return NULL;
    *err = 0;
    for (unsigned i = 0; i < w->count; i++)
        if (w->ops[i].sem_num >= a->count)
            *err = -EFBIG;
    if (*err == 0)
        *err = ipc_permission(task, &a->ipc, alters(w) ? 0222 : 0444);
    return *err ? NULL : a;
}

static int start_operations(struct task *task, int id, struct sem_wait *w)
{
    int err = 0;
    struct sem_array *a = operable(task, id, w, &err);
    if (!a)
        return err;
    for (unsigned i = 0; i < w->count && !w->undo; i++) {
        if (w->ops[i].sem_flg & SEM_UNDO) {
            w->undo = undo_for(task, a, &err);
            if (!w->undo)
                return err;
        }
    }
    int result = try_operations(a, w);
    if (result == 0 && alters(w))
        values_changed(a);
    if (result == WAITING) {
        w->thread = task->thread;
        w->array = a;
        DL_APPEND(a->waits, w);
    }
    return result;
}

static int wait_for_operations(struct task *task, struct sem_wait *w, uint64_t deadline_ns)
{
    for (;;) {
        int slept = task_sleep(task, deadline_ns);
        mutex_lock(&g_sems.lock);
        int result = w->result;
        if (result == WAITING && slept < 0) { /* so the array is still there */
            /* The analyzer takes the links for those of a list of one. */
            DL_DELETE(w->array->waits, w); /* NOLINT(clang-analyzer-core.NullDereference) */
            result = slept == -ETIMEDOUT ? -EAGAIN : -EINTR; /* semop(2) is never restarted */
        }
        mutex_unlock(&g_sems.lock);
        if (result != WAITING)
            return result;
    }
}

static long operate(struct task *task, const struct syscall_args *args, uint64_t deadline_ns)
{
    int id = (int)args->a[0];
    uint64_t count = (unsigned)args->a[2];
    if (count < 1 || id < 0)
        return -EINVAL;
    if (count > SEM_MAX_OPERATIONS)
        return -E2BIG;
    size_t size = count * sizeof(struct sembuf);
    struct sem_wait *w = shim_zalloc(sizeof(*w) + size);
    if (!w)
        return -ENOMEM;
    struct sembuf *ops = (struct sembuf *)(w + 1);
    w->ops = ops;
    w->count = (unsigned)count;
    w->pid = task->process->pid;
    w->result = WAITING;
    int result = user_read(ops, args->a[1], size);
    if (result == 0) {
        mutex_lock(&g_sems.lock);
        result = start_operations(task, id, w);
        mutex_unlock(&g_sems.lock);
    }
    if (result == WAITING)
        result = wait_for_operations(task, w, deadline_ns);
    shim_free(w);
    return result;
}

long sys_semop(struct task *task, const struct syscall_args *args)
{
    return operate(task, args, THREAD_WAIT_FOREVER);
}

long sys_semtimedop(struct task *task, const struct syscall_args *args)
{
    uint64_t timeout_ns, deadline_ns = THREAD_WAIT_FOREVER;
    if (args->a[3]) {
        int err = user_read_timespec(args->a[3], &timeout_ns);
        if (err)
            return err;
        uint64_t now = clock_now(g_platform, CLOCK_KIND_MONOTONIC);
        if (timeout_ns < THREAD_WAIT_FOREVER - now)
            deadline_ns = now + timeout_ns;
    }
    return operate(task, args, deadline_ns);
}

/* ---- semctl ---- */

static void remove_array(struct sem_array *a)
{
    while (a->waits)
        finish_wait(a, a->waits, -EIDRM);
    while (a->undos) {
        struct sem_undo *u = a->undos;
        DL_DELETE(a->undos, u);
        u->array = NULL; /* freed with its list */
    }
    g_sem_total -= a->count;
    ipc_remove(&g_sems, &a->ipc);
    shim_free(a);
}

static void fill_ds(const struct sem_array *a, struct semid64_ds *ds)
{
    *ds = (struct semid64_ds){
        .sem_otime = a->operation_s, .sem_ctime = a->change_s, .sem_nsems = a->count};
    ipc_fill_perm(&a->ipc, &ds->sem_perm);
}

static long info(int command, uint64_t out)
{
    struct seminfo si = {.semmni = SEM_MAX_ARRAYS,
                         .semmns = SEM_MAX_ARRAYS * SEM_MAX_PER_ARRAY,
                         .semmsl = SEM_MAX_PER_ARRAY,
                         .semopm = SEM_MAX_OPERATIONS,
                         .semvmx = SEMVMX,
                         .semmnu = SEM_MAX_ARRAYS * SEM_MAX_PER_ARRAY,
                         .semmap = SEM_MAX_ARRAYS * SEM_MAX_PER_ARRAY,
                         .semume = SEM_MAX_OPERATIONS,
                         .semusz = 20,
                         .semaem = SEMAEM};
    mutex_lock(&g_sems.lock);
    if (command == SEM_INFO) {
        si.semusz = (int)g_sems.used;
        si.semaem = (int)g_sem_total;
    }
    int highest = ipc_highest(&g_sems);
    mutex_unlock(&g_sems.lock);
    return user_write(out, &si, sizeof(si)) ? -EFAULT : highest;
}

static long stat(struct task *task, int id, int command, uint64_t out)
{
    struct semid64_ds ds;
    int err;
    mutex_lock(&g_sems.lock);
    struct sem_array *a = array_of(ipc_for_stat(task, &g_sems, id,
                                                command == IPC_STAT   ? IPC_BY_ID
                                                : command == SEM_STAT ? IPC_BY_SLOT
                                                                      : IPC_BY_SLOT_ANY,
                                                &err));
    if (a) {
        fill_ds(a, &ds);
        id = command == IPC_STAT ? 0 : a->ipc.id;
    }
    mutex_unlock(&g_sems.lock);
    if (err)
        return err;
    return user_write(out, &ds, sizeof(ds)) ? -EFAULT : id;
}

static long change(struct task *task, int id, int command, uint64_t in)
{
    struct semid64_ds ds;
    int err = command == IPC_SET ? user_read(&ds, in, sizeof(ds)) : 0;
    if (err)
        return err;
    mutex_lock(&g_sems.lock);
    struct sem_array *a = array_of(ipc_find(&g_sems, id, &err));
    if (a)
        err = ipc_owner(task, &a->ipc);
    if (a && err == 0 && command == IPC_RMID) {
        remove_array(a);
    } else if (a && err == 0) {
        err = ipc_set_perm(&a->ipc, &ds.sem_perm);
        if (err == 0)
            a->change_s = ipc_now_s();
    }
    mutex_unlock(&g_sems.lock);
    return err;
}

static int count_waiting(const struct sem_array *a, unsigned number, bool for_zero)
{
    const struct sem_wait *w;
    int count = 0;
    DL_FOREACH(a->waits, w)
    {
        const struct sembuf *op = &w->ops[w->blocking];
        count += op->sem_num == number && (op->sem_op == 0) == for_zero;
    }
    return count;
}

static long one_value(struct task *task, int id, unsigned number, int command, int value)
{
    int err = 0;
    if (command == SETVAL && (value < 0 || value > SEMVMX))
        return -ERANGE;
    mutex_lock(&g_sems.lock);
    struct sem_array *a = array_of(ipc_find(&g_sems, id, &err));
    if (a)
        err = command == SETVAL && number >= a->count
                  ? -EINVAL
                  : ipc_permission(task, &a->ipc, command == SETVAL ? 0222 : 0444);
    if (a && err == 0 && number >= a->count)
        err = -EINVAL;
    if (a && err == 0) {
        struct sem *sem = &a->sems[number];
        switch (command) {
        case GETVAL:
            err = sem->value;
            break;
        case GETPID:
            err = sem->pid;
            break;
        case GETNCNT:
        case GETZCNT:
            err = count_waiting(a, number, command == GETZCNT);
            break;
        default:
            forget_adjustments(a, number, 1);
            sem->value = (uint16_t)value;
            sem->pid = task->process->pid;
            a->change_s = ipc_now_s();
            values_changed(a);
            break;
        }
    }
    mutex_unlock(&g_sems.lock);
    return err;
}

/* Copies go outside the lock, so the array may have been replaced meanwhile: its size is checked again. */
static long all_values(struct task *task, int id, int command, uint64_t addr)
{
    int err = 0;
    unsigned count = 0;
    mutex_lock(&g_sems.lock);
    struct sem_array *a = array_of(ipc_find(&g_sems, id, &err));
    if (a) {
        err = ipc_permission(task, &a->ipc, command == SETALL ? 0222 : 0444);
        count = a->count;
    }
    mutex_unlock(&g_sems.lock);
    if (err)
        return err;
    size_t size = count * sizeof(uint16_t);
    uint16_t *values = shim_alloc(size);
    if (!values)
        return -ENOMEM;
    if (command == SETALL)
        err = user_read(values, addr, size);
    for (unsigned i = 0; command == SETALL && err == 0 && i < count; i++)
        if (values[i] > SEMVMX)
            err = -ERANGE;
    if (err == 0) {
        mutex_lock(&g_sems.lock);
        a = array_of(ipc_find(&g_sems, id, &err));
        if (!a || a->count != count) {
            err = -EIDRM;
        } else if (command == GETALL) {
            for (unsigned i = 0; i < count; i++)
                values[i] = a->sems[i].value;
        } else {
            for (unsigned i = 0; i < count; i++) {
                a->sems[i].value = values[i];
                a->sems[i].pid = task->process->pid;
            }
            forget_adjustments(a, 0, count);
            a->change_s = ipc_now_s();
            values_changed(a);
        }
        mutex_unlock(&g_sems.lock);
    }
    if (err == 0 && command == GETALL)
        err = user_write(addr, values, size);
    shim_free(values);
    return err;
}

/* semctl(2) */
long sys_semctl(struct task *task, const struct syscall_args *args)
{
    int id = (int)args->a[0], command = (int)args->a[2];
    if (id < 0)
        return -EINVAL;
    switch (command) {
    case IPC_INFO:
    case SEM_INFO:
        return info(command, args->a[3]);
    case IPC_STAT:
    case SEM_STAT:
    case SEM_STAT_ANY:
        return stat(task, id, command, args->a[3]);
    case GETALL:
    case SETALL:
        return all_values(task, id, command, args->a[3]);
    case GETVAL:
    case GETPID:
    case GETNCNT:
    case GETZCNT:
    case SETVAL:
        return one_value(task, id, (unsigned)args->a[1], command, (int)args->a[3]);
    case IPC_RMID:
    case IPC_SET:
        return change(task, id, command, args->a[3]);
    default:
        return -EINVAL;
    }
}

void sem_print(struct str_buf *out)
{
    str_buf_printf(
        out,
        "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n");
    mutex_lock(&g_sems.lock);
    for (unsigned i = 0; i < g_sems.slot_count; i++) {
        const struct sem_array *a = array_of(g_sems.slots[i]);
        if (!a)
            continue;
        const struct ipc_entry *e = &a->ipc;
        str_buf_printf(out, "%10d %10d  %4o %10u %5u %5u %5u %5u %10llu %10llu\n", e->key, e->id,
                       e->mode, a->count, e->uid, e->gid, e->cuid, e->cgid,
                       (unsigned long long)a->operation_s, (unsigned long long)a->change_s);
    }
    mutex_unlock(&g_sems.lock);
}
