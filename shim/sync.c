#include "shim/sync.h"

#include <stddef.h>

#include <utlist.h>

#include "shim/shim.h"

/* Critical sections are short: a holder on another processor is usually done within this many looks. */
#define SPIN_COUNT 100

static bool mutex_try_from_free(struct mutex *m, uint32_t to)
{
    uint32_t expected = 0;
    return __atomic_compare_exchange_n(&m->state, &expected, to, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

void mutex_lock(struct mutex *m)
{
    if (mutex_try_from_free(m, 1))
        return;
    for (int i = 0; i < SPIN_COUNT; i++) {
        __builtin_ia32_pause();
        if (!__atomic_load_n(&m->state, __ATOMIC_RELAXED) && mutex_try_from_free(m, 1))
            return;
    }
    while (__atomic_exchange_n(&m->state, 2, __ATOMIC_ACQUIRE) != 0)
        thread_wait(g_platform, &m->state, 2, THREAD_WAIT_FOREVER);
}

bool mutex_trylock(struct mutex *m)
{
    return mutex_try_from_free(m, 1);
}

void mutex_unlock(struct mutex *m)
{
    if (__atomic_exchange_n(&m->state, 0, __ATOMIC_RELEASE) == 2)
        thread_wake(g_platform, &m->state, 1);
}

void mutex_lock_two(struct mutex *a, struct mutex *b)
{
    mutex_lock((uintptr_t)a < (uintptr_t)b ? a : b);
    if (a != b)
        mutex_lock((uintptr_t)a < (uintptr_t)b ? b : a);
}

void mutex_unlock_two(struct mutex *a, struct mutex *b)
{
    mutex_unlock(a);
    if (a != b)
        mutex_unlock(b);
}

/* Under the queue's lock: w came (1) or went (-1). */
static void note_change(struct wait_queue *q, const struct waiter *w, int change)
{
    const struct waiter *head = q->head;
    bool alone = head && !head->next && !head->woken;
    __atomic_store_n(&q->only, alone ? head->thread : NULL, __ATOMIC_RELAXED);
    if (!w->wants_data)
        __atomic_store_n(&q->want_room, q->want_room + (uint32_t)change, __ATOMIC_RELAXED);
}

static void queue_add(struct wait_queue *q, struct waiter *w, bool exclusive)
{
    w->thread = thread_current(g_platform);
    w->exclusive = exclusive;
    w->queue = q;
    mutex_lock(&q->lock);
    DL_APPEND(q->head, w);
    note_change(q, w, 1);
    mutex_unlock(&q->lock);
}

void wait_queue_add(struct wait_queue *q, struct waiter *w)
{
    queue_add(q, w, false);
}

void wait_queue_add_exclusive(struct wait_queue *q, struct waiter *w)
{
    queue_add(q, w, true);
}

void wait_queue_remove(struct waiter *w)
{
    struct wait_queue *q = w->queue;
    if (!q)
        return;
    mutex_lock(&q->lock);
    DL_DELETE(q->head, w);
    note_change(q, w, -1);
    w->queue = NULL;
    mutex_unlock(&q->lock);
}

void wake_list_add(struct wake_list *list, struct thread *thread)
{
    if (list->count < sizeof(list->threads) / sizeof(list->threads[0]))
        list->threads[list->count++] = thread;
    else
        thread_unpark(g_platform, thread);
}

void wake_list_run(struct wake_list *list)
{
    for (unsigned i = 0; i < list->count; i++)
        thread_unpark(g_platform, list->threads[i]);
    list->count = 0;
}

/* Under the queue's lock. */
static void waiter_wake(struct waiter *w, struct wake_list *list)
{
    if (w->woken)
        w->woken(w, list);
    else
        wake_list_add(list, w->thread);
}

/* Cheap when nobody waits: a waiter adds itself before it checks its condition, the waker changes that first. */
static bool somebody_waits(struct wait_queue *q)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(&q->head, __ATOMIC_RELAXED) != NULL;
}

bool wait_queue_wants_room(const struct wait_queue *q)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(&q->want_room, __ATOMIC_RELAXED) != 0;
}

void wait_queue_collect(struct wait_queue *q, struct wake_list *list)
{
    struct waiter *w;
    if (!somebody_waits(q))
        return;
    mutex_lock(&q->lock);
    if (q->only) {
        wake_list_add(list, q->only);
    } else {
        DL_FOREACH(q->head, w)
        waiter_wake(w, list);
    }
    mutex_unlock(&q->lock);
}

void wait_queue_wake_all(struct wait_queue *q)
{
    struct wake_list list;
    list.count = 0;
    wait_queue_collect(q, &list);
    wake_list_run(&list);
}

void wait_queue_wake_for_room(struct wait_queue *q)
{
    struct wake_list list;
    struct waiter *w;
    list.count = 0;
    if (!wait_queue_wants_room(q))
        return;
    mutex_lock(&q->lock);
    DL_FOREACH(q->head, w)
    {
        if (!w->wants_data)
            waiter_wake(w, &list);
    }
    mutex_unlock(&q->lock);
    wake_list_run(&list);
}

void wait_queue_wake_one(struct wait_queue *q)
{
    struct wake_list list;
    struct waiter *w, *chosen = NULL;
    list.count = 0;
    if (!somebody_waits(q))
        return;
    mutex_lock(&q->lock);
    DL_FOREACH(q->head, w)
    {
        if (w->exclusive && chosen)
            continue;
        if (w->exclusive)
            chosen = w;
        waiter_wake(w, &list);
    }
    if (chosen) { /* the next wake is for somebody else, even if this one did not run yet */
        DL_DELETE(q->head, chosen);
        DL_APPEND(q->head, chosen);
    }
    mutex_unlock(&q->lock);
    wake_list_run(&list);
}
