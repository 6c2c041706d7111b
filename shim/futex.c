/*
 * futex.c: waiters hang in buckets by key. A waiter is on its task's stack; others touch it only under the lock of the bucket it
 * hangs in, and not after they cleared `bucket`.
 */
#include "shim/futex.h"

#include <linux/futex.h>

#include "platform/errno.h"
#include "shim/mm.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/sys_futex.h"
#include "shim/time_convert.h"

#define BUCKET_COUNT 256u

struct futex_waiter {
    struct futex_waiter *prev, *next;
    struct futex_key key;
    struct futex_bucket *bucket; /* changed by requeue, under both locks; NULL: woken */
    struct thread *thread;
    uint32_t bitset;
};
static struct futex_bucket {
    struct mutex lock;
    struct futex_waiter *head;
} g_buckets[BUCKET_COUNT];

static struct futex_bucket *bucket_of(const struct futex_key *key)
{
    uint64_t h = key->object * 0x9e3779b97f4a7c15ull ^ key->space * 0xc2b2ae3d27d4eb4full ^
                 (key->offset >> 2) * 0x165667b19e3779f9ull;
    return &g_buckets[(h ^ h >> 32) % BUCKET_COUNT];
}

static bool same_key(const struct futex_key *a, const struct futex_key *b)
{
    return a->object == b->object && a->space == b->space && a->offset == b->offset;
}

static void lock_two(struct futex_bucket *a, struct futex_bucket *b)
{
    if (a == b) {
        mutex_lock(&a->lock);
        return;
    }
    mutex_lock(a < b ? &a->lock : &b->lock);
    mutex_lock(a < b ? &b->lock : &a->lock);
}

static void unlock_two(struct futex_bucket *a, struct futex_bucket *b)
{
    mutex_unlock(&a->lock);
    if (a != b)
        mutex_unlock(&b->lock);
}

/* The waiter may return, and its memory be used again, as soon as `bucket` is cleared. */
static void wake_waiter(struct futex_waiter *w, struct wake_list *wakes)
{
    DL_DELETE(w->bucket->head, w);
    wake_list_add(wakes, w->thread);
    __atomic_store_n(&w->bucket, NULL, __ATOMIC_SEQ_CST);
}

static int wake_in(struct futex_bucket *b, const struct futex_key *key, int count, uint32_t bitset,
                   struct wake_list *wakes)
{
    struct futex_waiter *w, *tmp;
    int woken = 0;
    DL_FOREACH_SAFE (b->head, w, tmp) {
        if (woken >= count)
            break;
        if (!same_key(&w->key, key) || !(w->bitset & bitset))
            continue;
        wake_waiter(w, wakes);
        woken++;
    }
    return woken;
}

static long futex_wake(struct task *task, uint64_t addr, bool is_private, int count, uint32_t bitset)
{
    struct futex_key key;
    struct wake_list wakes;
    if (!bitset)
        return -EINVAL;
    int err = mm_futex_key(task->mm, addr, is_private, &key);
    if (err)
        return err;
    struct futex_bucket *b = bucket_of(&key);
    wakes.count = 0;
    mutex_lock(&b->lock);
    int woken = wake_in(b, &key, count, bitset, &wakes);
    mutex_unlock(&b->lock);
    wake_list_run(&wakes);
    return woken;
}

long futex_wake_word(struct task *task, uint64_t addr, int count)
{
    /* Both kinds of key may be in use on the word of a shared mapping. On a private one they are the same. */
    long woken = futex_wake(task, addr, true, count, FUTEX_BITSET_MATCH_ANY);
    if (woken >= 0 && woken < count) {
        long more = futex_wake(task, addr, false, count - (int)woken, FUTEX_BITSET_MATCH_ANY);
        woken += more > 0 ? more : 0;
    }
    return woken;
}

/* Off its bucket, wherever it hangs now. true: somebody had woken it before. */
static bool waiter_leave(struct futex_waiter *w)
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

static long futex_wait(struct task *task, uint64_t addr, bool is_private, uint32_t expected, uint32_t bitset,
                       uint64_t deadline);

static long resume_wait(struct task *task)
{
    const uint64_t *arg = task->restart.arg;
    return futex_wait(task, arg[0], arg[3] & 1, (uint32_t)arg[1], (uint32_t)arg[2], task->restart.deadline_ns);
}

static long futex_wait(struct task *task, uint64_t addr, bool is_private, uint32_t expected, uint32_t bitset,
                       uint64_t deadline)
{
    struct futex_waiter w = {.bitset = bitset, .thread = task->thread};
    uint32_t value;

    if (!bitset)
        return -EINVAL;
    int err = mm_futex_key(task->mm, addr, is_private, &w.key);
    if (err)
        return err;
    struct futex_bucket *b = bucket_of(&w.key);
    /* Comparing under the bucket's lock orders us against a waker that changed the word before it takes the lock. */
    mutex_lock(&b->lock);
    err = guest_load32(g_platform, guest_addr(addr), &value);
    if (err || value != expected) {
        mutex_unlock(&b->lock);
        return err ? err : -EAGAIN;
    }
    w.bucket = b;
    DL_APPEND(b->head, &w);
    mutex_unlock(&b->lock);

    int slept = 0;
    while (__atomic_load_n(&w.bucket, __ATOMIC_SEQ_CST) && !slept)
        slept = task_sleep(task, deadline);
    if (waiter_leave(&w))
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
static long futex_requeue(struct task *task, uint64_t from, uint64_t to, bool is_private, int wake, int move,
                          const uint32_t *expected)
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
    struct futex_bucket *a = bucket_of(&key_from), *b = bucket_of(&key_to);
    lock_two(a, b);
    if (expected) {
        err = guest_load32(g_platform, guest_addr(from), &value);
        if (err || value != *expected) {
            unlock_two(a, b);
            return err ? err : -EAGAIN;
        }
    }
    if (same_key(&key_from, &key_to))
        move = 0;
    DL_FOREACH_SAFE (a->head, w, tmp) {
        if (!same_key(&w->key, &key_from))
            continue;
        if (wake > 0) {
            wake--;
            wake_waiter(w, &wakes);
        } else if (move > 0) {
            move--;
            DL_DELETE(a->head, w);
            w->key = key_to;
            DL_APPEND(b->head, w);
            __atomic_store_n(&w->bucket, b, __ATOMIC_SEQ_CST);
        } else {
            break;
        }
        result++;
    }
    unlock_two(a, b);
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

static long futex_wake_op(struct task *task, uint64_t first, uint64_t second, bool is_private, int wake_first,
                          int wake_second, uint32_t op)
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
    struct futex_bucket *a = bucket_of(&key_a), *b = bucket_of(&key_b);
    lock_two(a, b);
    err = apply_op(op, second, &condition);
    long woken = err;
    if (!err) {
        woken = wake_in(a, &key_a, wake_first, FUTEX_BITSET_MATCH_ANY, &wakes);
        if (condition)
            woken += wake_in(b, &key_b, wake_second, FUTEX_BITSET_MATCH_ANY, &wakes);
    }
    unlock_two(a, b);
    wake_list_run(&wakes);
    return woken;
}

/* The time limit of a waiting operation as a monotonic deadline. */
static int read_deadline(uint64_t addr, int op, uint64_t *deadline)
{
    uint64_t ns;
    *deadline = THREAD_WAIT_FOREVER;
    if (!addr)
        return 0;
    int err = user_read_timespec(addr, &ns);
    if (err)
        return err;
    if ((op & FUTEX_CMD_MASK) == FUTEX_WAIT)
        *deadline = deadline_after(ns); /* the only operation with a relative time */
    else
        *deadline = op & FUTEX_CLOCK_REALTIME ? deadline_at_realtime(ns) : ns;
    return 0;
}

/* futex(2) */
long sys_futex(struct task *task, const struct syscall_args *args)
{
    uint64_t addr = args->a[0], second = args->a[4];
    int op = (int)args->a[1];
    uint32_t value = (uint32_t)args->a[2], value3 = (uint32_t)args->a[5];
    bool is_private = op & FUTEX_PRIVATE_FLAG;
    int limit = (int)args->a[3];
    uint64_t deadline;

    switch (op & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET: {
        int err = read_deadline(args->a[3], op, &deadline);
        if (err)
            return err;
        bool by_bits = (op & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
        return futex_wait(task, addr, is_private, value, by_bits ? value3 : FUTEX_BITSET_MATCH_ANY, deadline);
    }
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
    default:
        stats_unsupported("futex: priority inheritance");
        return -ENOSYS;
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
    uint64_t size = 24;
    if (args->a[0] && (int)args->a[0] != task->tid)
        return -EPERM;
    if (user_write(args->a[1], &task->robust_list, 8) || user_write(args->a[2], &size, sizeof(size)))
        return -EFAULT;
    return 0;
}
