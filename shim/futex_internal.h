/*
 * futex_internal.h: what plain and priority-inheriting futexes share: waiters in buckets by key.
 *
 * A waiter is on its task's stack; others touch it only under the lock of the bucket it hangs in, and not after they cleared
 * `bucket`.
 */
#ifndef PALIMPSEST_SHIM_FUTEX_INTERNAL_H
#define PALIMPSEST_SHIM_FUTEX_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "shim/mm.h"
#include "shim/sync.h"

struct task;
struct futex_bucket;

enum futex_waits {
    FUTEX_WAITS_PLAINLY,
    /* FUTEX_WAIT_REQUEUE_PI: on the first word, for FUTEX_CMP_REQUEUE_PI to move it */
    FUTEX_WAITS_TO_MOVE,
    FUTEX_WAITS_TO_OWN, /* for a lock that passes from owner to waiter */
};

struct futex_waiter {
    struct futex_waiter *prev, *next;
    struct futex_key key;
    struct futex_bucket *bucket; /* changed by requeue, under both locks; NULL: woken */
    struct thread *thread;
    uint32_t bitset;
    int priority; /* real-time; 0: none. Higher ones stand before lower ones */
    enum futex_waits how;
    /* the remaining fields for those that do not wait plainly */
    struct task *task;
    struct futex_key target; /* of FUTEX_WAITS_TO_MOVE */
    int owner_tid;           /* of FUTEX_WAITS_TO_OWN */
    bool granted; /* set before `bucket` is cleared: the word holds the waiter's number now */
};

struct futex_bucket {
    struct mutex lock;
    struct futex_waiter *head;
};
#define FUTEX_BUCKET_COUNT 256u
extern struct futex_bucket g_futex_buckets[FUTEX_BUCKET_COUNT];

/*
 * Hang `w` (key, bitset and the like are set) in its bucket if the word at addr holds `expected`: 0, -EAGAIN, -EFAULT. A plain wake that finds
 * an empty bucket takes no lock: so the waiter is to be seen before the word is looked at.
 */
MUST_USE int futex_join(struct futex_waiter *w, uint64_t addr, uint32_t expected);
struct futex_bucket *futex_bucket_of(const struct futex_key *key);
bool futex_same_key(const struct futex_key *a, const struct futex_key *b);
/* Under the bucket's lock. w->key says where. */
void futex_enqueue(struct futex_bucket *b, struct futex_waiter *w);
void futex_dequeue(struct futex_waiter *w);
/* The waiter may return, and its memory be used again, from now on. */
void futex_wake_waiter(struct futex_waiter *w, struct wake_list *wakes);
/* Off its bucket, wherever it hangs now. true: somebody had woken it before. */
bool futex_leave(struct futex_waiter *w);
int futex_priority(const struct task *task);

/* futex_pi.c. Deadlines are monotonic. */
enum futex_lock_mode { FUTEX_LOCK_WAITS, FUTEX_LOCK_TRIES };
long futex_lock_pi(struct task *task, uint64_t addr, bool is_private, enum futex_lock_mode mode,
                   uint64_t deadline);
long futex_unlock_pi(struct task *task, uint64_t addr, bool is_private);
struct futex_move {
    uint64_t from, to;
    bool is_private;
    uint32_t expected; /* of the first word */
    uint64_t deadline; /* of the waiter */
    int wake, limit;   /* of the mover */
};
long futex_wait_requeue_pi(struct task *task, const struct futex_move *move);
long futex_cmp_requeue_pi(struct task *task, const struct futex_move *move);

#endif
