/*
 * sync.h: locks and wait queues. All live in shim memory; none has an owner, so a thread may move between host threads.
 * Lock order is written in docs/locking.md.
 */
#ifndef PALIMPSEST_SHIM_SYNC_H
#define PALIMPSEST_SHIM_SYNC_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/annotations.h"
#include "platform/thread.h"

/* Sleeping lock; zero-initialised is unlocked. 0 free, 1 held, 2 held and waited for. */
struct mutex {
    uint32_t state;
};
void mutex_lock(struct mutex *m);
MUST_USE bool mutex_trylock(struct mutex *m);
void mutex_unlock(struct mutex *m);
/* Two of one kind, in the order of their addresses, which all who hold two of that kind keep to; they may be the same. */
void mutex_lock_two(struct mutex *a, struct mutex *b);
void mutex_unlock_two(struct mutex *a, struct mutex *b);

/*
 * Threads that wait for a condition. A waiter is on the waiting thread's stack; between wait_queue_add and wait_queue_remove any
 * wake unparks that thread. Pattern:
 *     struct waiter w = {0}; wait_queue_add(&q, &w);
 *     while (!condition) { if (task_sleep(task, deadline) ...) break; }
 *     wait_queue_remove(&w);
 * A wake that comes after add is never lost: the unpark token is kept.
 */
struct wake_list;
struct waiter {
    struct waiter *prev, *next; /* utlist DL */
    struct wait_queue *queue;   /* NULL: on none */
    struct thread *thread;
    /*
     * Called instead of an unpark, under queue->lock: must not sleep or touch this queue; whom it wakes joins the list, since that thread may
     * run straight into queue->lock. NULL: unpark thread.
     */
    void (*woken)(struct waiter *w, struct wake_list *list);
    bool exclusive;  /* wake_one stops after this one */
    bool wants_data; /* fixed while queued: wait_queue_wake_for_room() passes it by */
};
struct wait_queue {
    struct mutex lock;
    /* written under lock */
    uint32_t want_room; /* waiters but those that want data only */
    struct waiter *head;
    /*
     * Of the one waiter there is, if it is to be unparked, else NULL. So who wakes it need not look at the waiter: it lies on a stack that
     * another processor has in its cache, and would have to get back.
     */
    struct thread *only;
};
/* w->thread = the caller; not exclusive. w->woken is set before: zero-initialise a waiter. */
void wait_queue_add(struct wait_queue *q, struct waiter *w);
void wait_queue_add_exclusive(struct wait_queue *q, struct waiter *w);
void wait_queue_remove(struct waiter *w); /* fine when on no queue */
void wait_queue_wake_all(struct wait_queue *q);
/*
 * The same in two steps, for callers that hold a lock the woken thread will want: collect under it, run after it. What does not
 * fit in the list is woken at once.
 */
struct wake_list {
    unsigned count;
    struct thread *threads[14];
};
void wake_list_add(struct wake_list *list, struct thread *thread);
void wake_list_run(struct wake_list *list);
void wait_queue_collect(struct wait_queue *q, struct wake_list *list);
/* The caller is about to wake who waits there: worth it where that is one thread on another processor. */
static inline void wait_queue_prepare_wake(const struct wait_queue *q)
{
    __builtin_prefetch(__atomic_load_n(&q->only, __ATOMIC_RELAXED), 1);
}
/* Where those who wait for data and those who wait for room share a queue: there is room. All but the waiters that want data only. */
void wait_queue_wake_for_room(struct wait_queue *q);
/* Would that wake anybody? A waiter that adds itself later looks at its condition after that. Costs no lock. */
bool wait_queue_wants_room(const struct wait_queue *q);
void wait_queue_wake_one(struct wait_queue *q); /* all non-exclusive waiters and one exclusive */

#endif
