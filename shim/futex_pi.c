/*
 * futex_pi.c: locks whose word holds the owner's thread number, as the kernel's "pi-futex" document and futex(2) describe them.
 * Ownership is handed over under the bucket's lock: to the waiter of the highest real-time priority, the longest waiting one among
 * equals. Nobody's priority is raised: the host schedules.
 *
 * When an owner dies with waiters, all of them are woken and look again; whoever is first takes the word over with
 * FUTEX_OWNER_DIED. A waiter notes itself with its owner (task.pi_waited) and then looks whether that one is dying; the dying one
 * sets task.pi_exited and then looks for waiters; so one of the two sees the other.
 */
#include <linux/futex.h>

#include "platform/errno.h"
#include "shim/futex.h"
#include "shim/futex_internal.h"
#include "shim/process.h"
#include "shim/shim.h"

#define TID(word) ((int)((word)&FUTEX_TID_MASK))

enum { MUST_WAIT = 1 };

static struct futex_waiter *first_waiter(struct futex_bucket *b, const struct futex_key *key)
{
    struct futex_waiter *w;
    DL_FOREACH(b->head, w)
    if (futex_same_key(&w->key, key))
        return w;
    return NULL;
}

/* `owner` has the word now: whoever still waits, waits for it. */
static void set_owner(struct futex_bucket *b, const struct futex_key *key, struct task *owner)
{
    struct futex_waiter *w;
    DL_FOREACH(b->head, w)
    {
        if (w->how != FUTEX_WAITS_TO_OWN || !futex_same_key(&w->key, key))
            continue;
        w->owner_tid = owner->tid;
        __atomic_store_n(&owner->pi_waited, true, __ATOMIC_SEQ_CST);
    }
}

/* A waiter is about to join those of `tid`. false: nobody has that number any more. */
static bool note_waiter(int tid)
{
    mutex_lock(&g_process_lock);
    struct task *owner = task_find(tid);
    bool alive = false;
    if (owner) {
        __atomic_store_n(&owner->pi_waited, true, __ATOMIC_SEQ_CST);
        alive = !__atomic_load_n(&owner->pi_exited, __ATOMIC_SEQ_CST);
    }
    mutex_unlock(&g_process_lock);
    return alive;
}

/*
 * Take the word for `who`, or find out whom it has to wait for; the bucket is locked. `addr` is the caller's. dead_tid: an owner
 * known to be gone, 0: none. `others`: more than those in the queue are going to wait.
 * 0, MUST_WAIT (*owner is set, FUTEX_WAITERS too), -EDEADLK, -ESRCH, -EFAULT.
 */
struct take {
    struct futex_bucket *bucket;
    const struct futex_key *key;
    struct task *who;
    uint64_t addr;
    int dead_tid;
    bool others;
};
static int take(const struct take *t, int *owner)
{
    uint32_t value, seen, fresh;
    int err = guest_load32(g_platform, guest_addr(t->addr), &value);
    while (!err) {
        int tid = TID(value);
        bool dead = t->dead_tid && tid == t->dead_tid;
        if (tid == t->who->tid)
            return -EDEADLK;
        if (tid == 0 || dead) {
            fresh = (value & FUTEX_OWNER_DIED) | (uint32_t)t->who->tid;
            if (dead)
                fresh |= FUTEX_OWNER_DIED;
            if (t->others || first_waiter(t->bucket, t->key))
                fresh |= FUTEX_WAITERS;
        } else {
            fresh = value | FUTEX_WAITERS;
        }
        err = guest_cmpxchg32(g_platform, guest_addr(t->addr), value, fresh, &seen);
        if (err)
            break;
        if (seen != value) {
            value = seen;
            continue;
        }
        if (TID(fresh) == t->who->tid) {
            set_owner(t->bucket, t->key, t->who);
            return 0;
        }
        if (note_waiter(tid)) {
            *owner = tid;
            return MUST_WAIT;
        }
        err = guest_load32(g_platform, guest_addr(t->addr), &value);
        if (!err && value == fresh)
            return -ESRCH;
    }
    return err;
}

static long lock_again(struct task *task, uint64_t addr, const struct futex_key *key,
                       enum futex_lock_mode mode, uint64_t deadline, int dead_tid)
{
    struct futex_bucket *b = futex_bucket_of(key);
    for (;;) {
        struct futex_waiter w = {.key = *key,
                                 .thread = task->thread,
                                 .bitset = FUTEX_BITSET_MATCH_ANY,
                                 .priority = futex_priority(task),
                                 .how = FUTEX_WAITS_TO_OWN,
                                 .task = task};
        struct take t = {.bucket = b, .key = key, .who = task, .addr = addr, .dead_tid = dead_tid};
        mutex_lock(&b->lock);
        int r = take(&t, &w.owner_tid);
        if (r == MUST_WAIT && mode == FUTEX_LOCK_WAITS)
            futex_enqueue(b, &w);
        mutex_unlock(&b->lock);
        if (r != MUST_WAIT)
            return r;
        if (mode == FUTEX_LOCK_TRIES)
            return -EAGAIN;
        int slept = 0;
        while (__atomic_load_n(&w.bucket, __ATOMIC_SEQ_CST) && !slept)
            slept = task_sleep(task, deadline);
        if (!futex_leave(&w))
            return slept == -ETIMEDOUT ? slept : -ERESTARTNOINTR;
        if (w.granted)
            return 0;
        dead_tid = w.owner_tid;
    }
}

long futex_lock_pi(struct task *task, uint64_t addr, bool is_private, enum futex_lock_mode mode,
                   uint64_t deadline)
{
    struct futex_key key;
    int err = mm_futex_key(task->mm, addr, is_private, &key);
    return err ? err : lock_again(task, addr, &key, mode, deadline, 0);
}

long futex_unlock_pi(struct task *task, uint64_t addr, bool is_private)
{
    struct futex_key key;
    struct wake_list wakes;
    uint32_t value, seen;
    wakes.count = 0;
    int err = mm_futex_key(task->mm, addr, is_private, &key);
    if (err)
        return err;
    struct futex_bucket *b = futex_bucket_of(&key);
    mutex_lock(&b->lock);
    struct futex_waiter *next = first_waiter(b, &key);
    err = guest_load32(g_platform, guest_addr(addr), &value);
    while (!err) {
        if (TID(value) != task->tid)
            err = -EPERM;
        else if (next && next->how != FUTEX_WAITS_TO_OWN)
            err = -EINVAL;
        if (err)
            break;
        uint32_t fresh = next ? FUTEX_WAITERS | (uint32_t)next->task->tid : 0;
        err = guest_cmpxchg32(g_platform, guest_addr(addr), value, fresh, &seen);
        if (err || seen == value)
            break;
        value = seen;
    }
    if (!err && next) {
        struct task *owner = next->task;
        next->granted = true;
        futex_wake_waiter(next, &wakes);
        set_owner(b, &key, owner);
    }
    mutex_unlock(&b->lock);
    wake_list_run(&wakes);
    return err;
}

static int move_keys(struct task *task, const struct futex_move *move, struct futex_key *from,
                     struct futex_key *to)
{
    int err = mm_futex_key(task->mm, move->from, move->is_private, from);
    if (!err)
        err = mm_futex_key(task->mm, move->to, move->is_private, to);
    return err ? err : futex_same_key(from, to) ? -EINVAL : 0;
}

long futex_wait_requeue_pi(struct task *task, const struct futex_move *move)
{
    struct futex_waiter w = {.thread = task->thread,
                             .bitset = FUTEX_BITSET_MATCH_ANY,
                             .priority = futex_priority(task),
                             .how = FUTEX_WAITS_TO_MOVE,
                             .task = task};
    int err = move_keys(task, move, &w.key, &w.target);
    struct futex_key lock = w.target;
    if (!err)
        err = futex_join(&w, move->from, move->expected);
    if (err)
        return err;
    int slept = 0;
    while (__atomic_load_n(&w.bucket, __ATOMIC_SEQ_CST) && !slept)
        slept = task_sleep(task, move->deadline);
    if (!futex_leave(&w)) {
        if (slept == -ETIMEDOUT)
            return slept;
        /* Once moved, the call can't start over: the first word is not what it waits for. */
        return w.how == FUTEX_WAITS_TO_MOVE ? -ERESTARTNOINTR : -EAGAIN;
    }
    if (w.granted)
        return 0;
    long r = lock_again(task, move->to, &lock, FUTEX_LOCK_WAITS, move->deadline, w.owner_tid);
    return r == -ERESTARTNOINTR ? -EAGAIN : r;
}

/* The first of those that move may have the lock at once. 0: it has; MUST_WAIT, *owner; -errno. */
static int pass_or_queue(struct futex_waiter *w, struct futex_bucket *to,
                         const struct futex_move *move, int *owner)
{
    struct take t = {.bucket = to,
                     .key = &w->target,
                     .who = w->task,
                     .addr = move->to,
                     .others = move->limit > 0};
    return take(&t, owner);
}

long futex_cmp_requeue_pi(struct task *task, const struct futex_move *move)
{
    struct futex_key from, to;
    struct futex_waiter *w, *tmp;
    struct wake_list wakes;
    uint32_t value;
    long moved = 0, most = (long)move->wake + move->limit;

    wakes.count = 0;
    if (move->wake < 0 || move->limit < 0 || move->wake != 1)
        return -EINVAL;
    int err = move_keys(task, move, &from, &to);
    if (err)
        return err;
    struct futex_bucket *a = futex_bucket_of(&from), *b = futex_bucket_of(&to);
    mutex_lock_two(&a->lock, &b->lock);
    err = guest_load32(g_platform, guest_addr(move->from), &value);
    if (!err && value != move->expected)
        err = -EAGAIN;
    DL_FOREACH_SAFE(a->head, w, tmp)
    {
        int owner, r;
        if (err || moved >= most)
            break;
        if (!futex_same_key(&w->key, &from))
            continue;
        if (w->how != FUTEX_WAITS_TO_MOVE || !futex_same_key(&w->target, &to)) {
            err = -EINVAL;
            break;
        }
        r = pass_or_queue(w, b, move, &owner);
        if (r < 0) {
            err = r;
            break;
        }
        moved++;
        if (r == 0) {
            w->granted = true;
            futex_wake_waiter(w, &wakes);
            continue;
        }
        futex_dequeue(w);
        w->key = to;
        w->how = FUTEX_WAITS_TO_OWN;
        w->owner_tid = owner;
        futex_enqueue(b, w);
    }
    mutex_unlock_two(&a->lock, &b->lock);
    wake_list_run(&wakes);
    return moved ? moved : err;
}

void futex_owner_exits(struct task *task)
{
    __atomic_store_n(&task->pi_exited, true, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&task->pi_waited, __ATOMIC_SEQ_CST))
        return;
    for (unsigned i = 0; i < FUTEX_BUCKET_COUNT; i++) {
        struct futex_bucket *b = &g_futex_buckets[i];
        struct futex_waiter *w, *tmp;
        struct wake_list wakes;
        wakes.count = 0;
        mutex_lock(&b->lock);
        DL_FOREACH_SAFE(b->head, w, tmp)
        if (w->how == FUTEX_WAITS_TO_OWN && w->owner_tid == task->tid)
            futex_wake_waiter(w, &wakes);
        mutex_unlock(&b->lock);
        wake_list_run(&wakes);
    }
}
