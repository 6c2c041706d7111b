/*
 * futex.c: waiting on guest words, waking, moving waiters. Locks that are passed on: futex_pi.c; several words at once:
 * futex_waitv.c.
 */
#include "shim/futex.h"

#include <linux/futex.h>
#include <linux/sched.h>

#include "platform/errno.h"
#include "shim/futex_internal.h"
#include "shim/mm.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/sys_futex.h"
#include "shim/time_convert.h"

struct futex_bucket g_futex_buckets[FUTEX_BUCKET_COUNT];

struct futex_bucket *futex_bucket_of(const struct futex_key *key)
{
    uint64_t h = key->object * 0x9e3779b97f4a7c15ull ^ key->space * 0xc2b2ae3d27d4eb4full ^
                 (key->offset >> 2) * 0x165667b19e3779f9ull;
    return &g_futex_buckets[(h ^ h >> 32) % FUTEX_BUCKET_COUNT];
}

bool futex_same_key(const struct futex_key *a, const struct futex_key *b)
{
    return a->object == b->object && a->space == b->space && a->offset == b->offset;
}

int futex_priority(const struct task *task)
{
    return task->sched_policy == SCHED_FIFO || task->sched_policy == SCHED_RR ? task->sched_priority
                                                                              : 0;
}

void futex_enqueue(struct futex_bucket *b, struct futex_waiter *w)
{
    struct futex_waiter *before = NULL;
    if (w->priority > 0)
        DL_FOREACH(b->head, before)
    if (before->priority < w->priority)
        break;
    __atomic_store_n(&w->bucket, b, __ATOMIC_SEQ_CST);
    if (before)
        DL_PREPEND_ELEM(b->head, before, w);
    else
        DL_APPEND(b->head, w);
}

void futex_dequeue(struct futex_waiter *w)
{
    DL_DELETE(w->bucket->head, w);
}

int futex_join(struct futex_waiter *w, uint64_t addr, uint32_t expected)
{
    struct futex_bucket *b = futex_bucket_of(&w->key);
    uint32_t value;
    mutex_lock(&b->lock);
    futex_enqueue(b, w);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    int err = guest_load32(g_platform, guest_addr(addr), &value);
    if (!err && value != expected)
        err = -EAGAIN;
    if (err)
        futex_dequeue(w);
    mutex_unlock(&b->lock);
    return err;
}

void futex_wake_waiter(struct futex_waiter *w, struct wake_list *wakes)
{
    struct thread *thread = w->thread;
    futex_dequeue(w);
    __atomic_store_n(&w->bucket, NULL, __ATOMIC_SEQ_CST);
    /* A full list wakes at once, and who finds himself in a bucket sleeps on. */
    wake_list_add(wakes, thread);
}

static int wake_in(struct futex_bucket *b, const struct futex_key *key, int count, uint32_t bitset,
                   struct wake_list *wakes)
{
    struct futex_waiter *w, *tmp;
    int woken = 0;
    DL_FOREACH_SAFE(b->head, w, tmp)
    {
        if (!futex_same_key(&w->key, key))
            continue;
        if (w->how != FUTEX_WAITS_PLAINLY)
            return -EINVAL;
        if (!(w->bitset & bitset))
            continue;
        futex_wake_waiter(w, wakes);
        if (++woken >= count) /* as Linux: a count of 0 wakes one */
            break;
    }
    return woken;
}

static long futex_wake(struct task *task, uint64_t addr, bool is_private, int count,
                       uint32_t bitset)
{
    struct futex_key key;
    struct wake_list wakes;
    if (!bitset)
        return -EINVAL;
    int err = mm_futex_key(task->mm, addr, is_private, &key);
    if (err)
        return err;
    struct futex_bucket *b = futex_bucket_of(&key);
    /* The word was changed before this: who is not seen here sees that (futex_join). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&b->head, __ATOMIC_RELAXED))
        return 0;
    wakes.count = 0;
    mutex_lock(&b->lock);
    long woken = wake_in(b, &key, count, bitset, &wakes);
    mutex_unlock(&b->lock);
    wake_list_run(&wakes);
    return woken;
}

long futex_wake_word(struct task *task, uint64_t addr, int count)
{
    return futex_wake(task, addr, false, count, FUTEX_BITSET_MATCH_ANY);
}

bool futex_leave(struct futex_waiter *w)
{
    struct futex_bucket *b;
    while ((b = __atomic_load_n(&w->bucket, __ATOMIC_SEQ_CST))) {
        mutex_lock(&b->lock);
        if (w->bucket == b) {
            DL_DELETE(b->head, w);
            w->bucket = NULL;
            mutex_unlock(&b->lock);
            return false;
        }
        mutex_unlock(&b->lock);
    }
    return true;
}

static long futex_wait(struct task *task, uint64_t addr, bool is_private, uint32_t expected,
                       uint32_t bitset, uint64_t deadline);

static long resume_wait(struct task *task)
{
    const uint64_t *arg = task->restart.arg;
    return futex_wait(task, arg[0], arg[3] & 1, (uint32_t)arg[1], (uint32_t)arg[2],
                      task->restart.deadline_ns);
}

static long futex_wait(struct task *task, uint64_t addr, bool is_private, uint32_t expected,
                       uint32_t bitset, uint64_t deadline)
{
    struct futex_waiter w = {
        .bitset = bitset, .thread = task->thread, .priority = futex_priority(task)};

    if (!bitset)
        return -EINVAL;
    int err = mm_futex_key(task->mm, addr, is_private, &w.key);
    if (!err)
        err = futex_join(&w, addr, expected);
    if (err)
        return err;

    int slept = 0;
    while (__atomic_load_n(&w.bucket, __ATOMIC_SEQ_CST) && !slept)
        slept = task_sleep(task, deadline);
    if (futex_leave(&w))
        return 0;
    if (slept == -ETIMEDOUT || deadline == THREAD_WAIT_FOREVER)
        return slept;
    task->restart.resume = resume_wait;
    task->restart.deadline_ns = deadline;
    task->restart.arg[0] = addr;
    task->restart.arg[1] = expected;
    task->restart.arg[2] = bitset;
    task->restart.arg[3] = is_private;
    return -ERESTART_RESTARTBLOCK;
}

/* FUTEX_REQUEUE, FUTEX_CMP_REQUEUE: wake some, move the others to the second word. */
static long futex_requeue(struct task *task, uint64_t from, uint64_t to, bool is_private, int wake,
                          int move, const uint32_t *expected)
{
    struct futex_key key_from, key_to;
    struct futex_waiter *w, *tmp;
    struct wake_list wakes;
    uint32_t value;
    long result = 0;

    wakes.count = 0;
    if (wake < 0 || move < 0)
        return -EINVAL;
    int err = mm_futex_key(task->mm, from, is_private, &key_from);
    if (!err)
        err = mm_futex_key(task->mm, to, is_private, &key_to);
    if (err)
        return err;
    struct futex_bucket *a = futex_bucket_of(&key_from), *b = futex_bucket_of(&key_to);
    mutex_lock_two(&a->lock, &b->lock);
    if (expected) {
        err = guest_load32(g_platform, guest_addr(from), &value);
        if (err || value != *expected) {
            mutex_unlock_two(&a->lock, &b->lock);
            return err ? err : -EAGAIN;
        }
    }
    if (futex_same_key(&key_from, &key_to))
        move = 0;
    DL_FOREACH_SAFE(a->head, w, tmp)
    {
        if (!futex_same_key(&w->key, &key_from))
            continue;
        if (w->how != FUTEX_WAITS_PLAINLY) {
            result = -EINVAL;
            break;
        }
        if (wake > 0) {
            wake--;
            futex_wake_waiter(w, &wakes);
        } else if (move > 0) {
            move--;
            futex_dequeue(w);
            w->key = key_to;
            futex_enqueue(b, w);
        } else {
            break;
        }
        result++;
    }
    mutex_unlock_two(&a->lock, &b->lock);
    wake_list_run(&wakes);
    return result;
}

static int apply_op(uint32_t encoded, uint64_t addr, bool *condition)
{
    unsigned op = encoded >> 28 & 7, compare = encoded >> 24 & 15;
    int32_t arg = (int32_t)(encoded << 8) >> 20, against = (int32_t)(encoded << 20) >> 20;
    uint32_t old, seen, fresh;

    if (encoded >> 28 & FUTEX_OP_OPARG_SHIFT)
        arg = (int32_t)(1u << (arg & 31));
    int err = guest_load32(g_platform, guest_addr(addr), &old);
    if (err)
        return err;
    for (;;) {
        switch (op) {
        case FUTEX_OP_SET:
            fresh = (uint32_t)arg;
            break;
        case FUTEX_OP_ADD:
            fresh = old + (uint32_t)arg;
            break;
        case FUTEX_OP_OR:
            fresh = old | (uint32_t)arg;
            break;
        case FUTEX_OP_ANDN:
            fresh = old & ~(uint32_t)arg;
            break;
        case FUTEX_OP_XOR:
            fresh = old ^ (uint32_t)arg;
            break;
        default:
            return -ENOSYS;
        }
        err = guest_cmpxchg32(g_platform, guest_addr(addr), old, fresh, &seen);
        if (err)
            return err;
        if (seen == old)
            break;
        old = seen;
    }
    int32_t value = (int32_t)old;
    switch (compare) {
    case FUTEX_OP_CMP_EQ:
        *condition = value == against;
        break;
    case FUTEX_OP_CMP_NE:
        *condition = value != against;
        break;
    case FUTEX_OP_CMP_LT:
        *condition = value < against;
        break;
    case FUTEX_OP_CMP_GE:
        *condition = value >= against;
        break;
    case FUTEX_OP_CMP_LE:
        *condition = value <= against;
        break;
    case FUTEX_OP_CMP_GT:
        *condition = value > against;
        break;
    default:
        return -ENOSYS;
    }
    return 0;
}

static long futex_wake_op(struct task *task, uint64_t first, uint64_t second, bool is_private,
                          int wake_first, int wake_second, uint32_t op)
{
    struct futex_key key_a, key_b;
    struct wake_list wakes;
    bool condition = false;
    wakes.count = 0;
    int err = mm_futex_key(task->mm, first, is_private, &key_a);
    if (!err)
        err = mm_futex_key(task->mm, second, is_private, &key_b);
    if (err)
        return err;
    struct futex_bucket *a = futex_bucket_of(&key_a), *b = futex_bucket_of(&key_b);
    mutex_lock_two(&a->lock, &b->lock);
    err = apply_op(op, second, &condition);
    long woken = err;
    if (!err) {
        woken = wake_in(a, &key_a, wake_first, FUTEX_BITSET_MATCH_ANY, &wakes);
        if (woken >= 0 && condition) {
            int more = wake_in(b, &key_b, wake_second, FUTEX_BITSET_MATCH_ANY, &wakes);
            woken = more < 0 ? more : woken + more;
        }
    }
    mutex_unlock_two(&a->lock, &b->lock);
    wake_list_run(&wakes);
    return woken;
}

/* The time limit of a waiting operation as a monotonic deadline. */
static int read_deadline(uint64_t addr, int op, uint64_t *deadline)
{
    uint64_t ns;
    int command = op & FUTEX_CMD_MASK;
    *deadline = THREAD_WAIT_FOREVER;
    if (!addr)
        return 0;
    int err = user_read_timespec(addr, &ns);
    if (err)
        return err;
    if (command == FUTEX_WAIT)
        *deadline = deadline_after(ns); /* the only operation with a relative time */
    else
        *deadline =
            op & FUTEX_CLOCK_REALTIME || command == FUTEX_LOCK_PI ? deadline_at_realtime(ns) : ns;
    return 0;
}

static bool takes_deadline(int command)
{
    return command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET ||
           command == FUTEX_WAIT_REQUEUE_PI || command == FUTEX_LOCK_PI ||
           command == FUTEX_LOCK_PI2;
}

static bool takes_clock(int command)
{
    return command == FUTEX_WAIT_BITSET || command == FUTEX_WAIT_REQUEUE_PI ||
           command == FUTEX_LOCK_PI2;
}

/* futex(2) */
long sys_futex(struct task *task, const struct syscall_args *args)
{
    uint64_t addr = args->a[0], second = args->a[4], deadline = THREAD_WAIT_FOREVER;
    int op = (int)args->a[1], command = op & FUTEX_CMD_MASK;
    uint32_t value = (uint32_t)args->a[2], value3 = (uint32_t)args->a[5];
    bool is_private = op & FUTEX_PRIVATE_FLAG;
    int limit = (int)args->a[3];

    if (takes_deadline(command)) {
        int err = read_deadline(args->a[3], op, &deadline);
        if (err)
            return err;
    }
    if ((op & FUTEX_CLOCK_REALTIME) && !takes_clock(command))
        return -ENOSYS;
    struct futex_move move = {
        .from = addr, .to = second, .is_private = is_private, .deadline = deadline};
    switch (command) {
    case FUTEX_WAIT:
        return futex_wait(task, addr, is_private, value, FUTEX_BITSET_MATCH_ANY, deadline);
    case FUTEX_WAIT_BITSET:
        return futex_wait(task, addr, is_private, value, value3, deadline);
    case FUTEX_WAKE:
        return futex_wake(task, addr, is_private, (int)value, FUTEX_BITSET_MATCH_ANY);
    case FUTEX_WAKE_BITSET:
        return futex_wake(task, addr, is_private, (int)value, value3);
    case FUTEX_REQUEUE:
        return futex_requeue(task, addr, second, is_private, (int)value, limit, NULL);
    case FUTEX_CMP_REQUEUE:
        return futex_requeue(task, addr, second, is_private, (int)value, limit, &value3);
    case FUTEX_WAKE_OP:
        return futex_wake_op(task, addr, second, is_private, (int)value, limit, value3);
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
        return futex_lock_pi(task, addr, is_private, FUTEX_LOCK_WAITS, deadline);
    case FUTEX_TRYLOCK_PI:
        return futex_lock_pi(task, addr, is_private, FUTEX_LOCK_TRIES, THREAD_WAIT_FOREVER);
    case FUTEX_UNLOCK_PI:
        return futex_unlock_pi(task, addr, is_private);
    case FUTEX_WAIT_REQUEUE_PI:
        move.expected = value;
        return futex_wait_requeue_pi(task, &move);
    case FUTEX_CMP_REQUEUE_PI:
        move.expected = value3;
        move.wake = (int)value;
        move.limit = limit;
        return futex_cmp_requeue_pi(task, &move);
    default:
        return -ENOSYS; /* FUTEX_FD too, as Linux since 2.6.26 */
    }
}

/* set_robust_list(2) */
long sys_set_robust_list(struct task *task, const struct syscall_args *args)
{
    if (args->a[1] != 24) /* sizeof(struct robust_list_head) */
        return -EINVAL;
    task->robust_list = args->a[0];
    return 0;
}

/* get_robust_list(2) */
long sys_get_robust_list(struct task *task, const struct syscall_args *args)
{
    int tid = (int)args->a[0];
    uint64_t size = 24, head = task->robust_list;
    long r = 0;
    mutex_lock(&g_process_lock);
    const struct task *t = tid ? task_find(tid) : task;
    if (!t)
        r = -ESRCH;
    else if (!process_may_look_into(task->process, t->process))
        r = -EPERM;
    else
        head = t->robust_list;
    mutex_unlock(&g_process_lock);
    if (r)
        return r;
    /* The size first, as the kernel stores them. */
    return user_write(args->a[2], &size, sizeof(size)) ||
                   user_write(args->a[1], &head, sizeof(head))
               ? -EFAULT
               : 0;
}
