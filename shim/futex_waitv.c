/*
 * futex_waitv.c: wait for the first of several words.
 */
#include <linux/futex.h>
#include <linux/time.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/futex_internal.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/sys_futex.h"
#include "shim/time_convert.h"

struct wait_set {
    unsigned count;
    struct futex_waitv words[FUTEX_WAITV_MAX];
    struct futex_waiter waiters[FUTEX_WAITV_MAX];
};

static int check_words(const struct wait_set *set)
{
    for (unsigned i = 0; i < set->count; i++) {
        const struct futex_waitv *word = &set->words[i];
        if (word->__reserved || (word->flags & ~(FUTEX_32 | FUTEX_PRIVATE_FLAG)) ||
            !(word->flags & FUTEX_32))
            return -EINVAL;
        if (word->val > UINT32_MAX)
            return -EINVAL;
    }
    return 0;
}

/* Whoever was woken first counts, as if the others had never waited. -1: none was. */
static long leave_all(struct wait_set *set, unsigned joined)
{
    long woken = -1;
    for (unsigned i = 0; i < joined; i++)
        if (futex_leave(&set->waiters[i]) && woken < 0)
            woken = i;
    return woken;
}

static bool any_woken(const struct wait_set *set)
{
    for (unsigned i = 0; i < set->count; i++)
        if (!__atomic_load_n(&set->waiters[i].bucket, __ATOMIC_SEQ_CST))
            return true;
    return false;
}

static int join(struct task *task, struct wait_set *set, unsigned i)
{
    const struct futex_waitv *word = &set->words[i];
    struct futex_waiter *w = &set->waiters[i];
    *w = (struct futex_waiter){
        .thread = task->thread, .bitset = FUTEX_BITSET_MATCH_ANY, .priority = futex_priority(task)};
    int err = mm_futex_key(task->mm, word->uaddr, word->flags & FUTEX_PRIVATE_FLAG, &w->key);
    return err ? err : futex_join(w, word->uaddr, (uint32_t)word->val);
}

static long wait_for_words(struct task *task, struct wait_set *set, uint64_t deadline)
{
    int err = check_words(set);
    unsigned joined = 0;
    while (!err && joined < set->count) {
        err = join(task, set, joined);
        joined += !err;
    }
    while (!err && !any_woken(set))
        err = task_sleep(task, deadline);
    long woken = leave_all(set, joined);
    return woken >= 0 ? woken : err;
}

/* futex_waitv(2): the result is the index of the word that was woken. */
long sys_futex_waitv(struct task *task, const struct syscall_args *args)
{
    unsigned count = (unsigned)args->a[1];
    uint64_t deadline = THREAD_WAIT_FOREVER, ns;

    if (args->a[2] || !count || count > FUTEX_WAITV_MAX || !args->a[0])
        return -EINVAL;
    if (args->a[3]) {
        int clock = (int)args->a[4];
        if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
            return -EINVAL;
        int err = user_read_timespec(args->a[3], &ns);
        if (err)
            return err;
        deadline = clock == CLOCK_REALTIME ? deadline_at_realtime(ns) : ns;
    }
    struct wait_set *set = shim_alloc(sizeof(*set));
    if (!set)
        return -ENOMEM;
    set->count = count;
    long r = -EFAULT;
    if (!user_read(set->words, args->a[0], count * sizeof(set->words[0])))
        r = wait_for_words(task, set, deadline);
    shim_free(set);
    return r;
}
