/*
 * carrier.c: host processes that hold one guest address space each, and the warm pool of empty ones.
 */
#include "platform/linux_user/lu.h"

#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <asm/signal.h>

static struct lu_lock g_table_lock;
/* Every record ever made, by next_made: reaping and ending walk it */
static struct lu_carrier *g_carriers;
static struct lu_carrier *g_carrier_free;
static struct lu_worker *g_worker_free;

/* A carrier and its leader share one block for good. */
struct leader_block {
    struct lu_worker leader; /* offset 0, asserted: the block's top is its park stack's */
    struct lu_carrier carrier;
};
_Static_assert(offsetof(struct leader_block, leader) == 0, "lu_park_stack_top");
_Static_assert(sizeof(struct leader_block) < 512,
               "leaves seven eighths of the block to the park stack");

#define POOL_WARM 3u

char *lu_park_stack_top(const struct lu_worker *w)
{
    return (char *)(uintptr_t)w + LU_WORKER_BLOCK;
}

struct lu_carrier *lu_carrier_alloc(void)
{
    lu_lock(&g_table_lock);
    struct lu_carrier *c = g_carrier_free;
    if (c)
        g_carrier_free = c->next_free;
    lu_unlock(&g_table_lock);
    struct leader_block *block = NULL;
    if (c)
        block = (struct leader_block *)((char *)c - offsetof(struct leader_block, carrier));
    else if (!(block = lu_shared_pages_alloc(LU_WORKER_BLOCK)))
        return NULL;
    struct lu_carrier *made = block->carrier.next_made;
    block->leader = (struct lu_worker){.carrier = &block->carrier};
    block->carrier = (struct lu_carrier){.state = LU_CARRIER_LIVE,
                                         .next_made = made,
                                         .leader = &block->leader,
                                         .workers = &block->leader,
                                         .slot_count = 1};
    if (!c) {
        lu_lock(&g_table_lock);
        block->carrier.next_made = g_carriers;
        __atomic_store_n(&g_carriers, &block->carrier, __ATOMIC_RELEASE);
        lu_unlock(&g_table_lock);
    }
    return &block->carrier;
}

struct lu_carrier *lu_carrier_first(void)
{
    return __atomic_load_n(&g_carriers, __ATOMIC_ACQUIRE);
}

static void worker_record_free(struct lu_worker *w)
{
    lu_lock(&g_table_lock);
    w->next_of_carrier = g_worker_free;
    g_worker_free = w;
    lu_unlock(&g_table_lock);
}

struct lu_worker *lu_worker_alloc(struct lu_carrier *c)
{
    lu_lock(&g_table_lock);
    struct lu_worker *w = g_worker_free;
    if (w)
        g_worker_free = w->next_of_carrier;
    lu_unlock(&g_table_lock);
    if (!w)
        w = lu_shared_pages_alloc(LU_WORKER_BLOCK);
    if (!w)
        return NULL;
    lu_lock(&c->lock);
    bool room = c->slot_count < LU_ALTSTACK_SLOTS &&
                __atomic_load_n(&c->state, __ATOMIC_ACQUIRE) == LU_CARRIER_LIVE;
    if (room) {
        *w = (struct lu_worker){
            .carrier = c, .slot = c->slot_count++, .next_of_carrier = c->workers};
        c->workers = w;
    }
    lu_unlock(&c->lock);
    if (room)
        return w;
    worker_record_free(w);
    return NULL;
}

/* Takes back a worker that never became a host thread. */
void lu_worker_unalloc(struct lu_worker *w)
{
    struct lu_carrier *c = w->carrier;
    lu_lock(&c->lock);
    struct lu_worker **at = &c->workers;
    while (*at != w)
        at = &(*at)->next_of_carrier;
    *at = w->next_of_carrier;
    if (w->slot + 1 == c->slot_count)
        c->slot_count--;
    lu_unlock(&c->lock);
    worker_record_free(w);
}

void lu_carrier_free(struct lu_carrier *c)
{
    lu_lock(&g_table_lock);
    while (c->workers) {
        struct lu_worker *w = c->workers;
        c->workers = w->next_of_carrier;
        if (w == c->leader)
            continue;
        w->next_of_carrier = g_worker_free;
        g_worker_free = w;
    }
    c->state = LU_CARRIER_FREE;
    c->tgid = 0;
    c->next_free = g_carrier_free;
    g_carrier_free = c;
    lu_unlock(&g_table_lock);
}

static void leader_start(void *arg)
{
    struct lu_worker *w = arg;
    w->tid = w->carrier->tgid;
    host_call(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
    if ((uint32_t)host_call(__NR_getppid) != g_lu.supervisor_pid)
        host_call(__NR_exit_group, 0); /* the supervisor died before the death signal was set */
    if (g_lu.siblings_may_not_trace)
        host_call(__NR_prctl, PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    lu_worker_start(w);
}

struct lu_carrier *lu_carrier_clone(const struct lu_worker *self, int *err)
{
    *err = -EAGAIN;
    struct lu_carrier *c = lu_carrier_alloc();
    if (!c)
        return NULL;
    struct lu_worker *leader = c->leader;
    /* The leader counts as parked before it runs: a job posted meanwhile is found when it gets there. */
    c->idle = leader;
    /* The host's copy of this thread has its area, as a child of fork has it natively */
    leader->sequence = self->sequence;
    leader->sequence_signature = self->sequence_signature;
    unsigned long flags =
        CLONE_FILES | CLONE_FS | CLONE_SYSVSEM | CLONE_PARENT | CLONE_PARENT_SETTID;
    long pid = lu_fault_hit() ? -EAGAIN
                              : lu_clone_call(flags | SIGCHLD, lu_park_stack_top(leader), &c->tgid,
                                              NULL, leader_start, leader);
    if (pid < 0) {
        *err = (int)pid;
        lu_carrier_free(c);
        return NULL;
    }
    return c;
}

void lu_carrier_kill(struct lu_carrier *c)
{
    /* Once it is dying, its record may be free at any moment. */
    uint32_t tgid = __atomic_load_n(&c->tgid, __ATOMIC_ACQUIRE);
    if (__atomic_exchange_n(&c->state, LU_CARRIER_DYING, __ATOMIC_ACQ_REL) == LU_CARRIER_LOST)
        lu_carrier_free(c); /* reaped before */
    else if (tgid)
        host_call(__NR_kill, tgid, SIGKILL);
}

struct lu_carrier *lu_pool_take(int *err)
{
    if (lu_fault_hit()) {
        *err = -EAGAIN;
        return NULL;
    }
    for (;;) {
        lu_lock(&g_lu.pool_lock);
        struct lu_carrier *c = g_lu.pool;
        uint32_t request = 0;
        if (c) {
            g_lu.pool = c->next_free;
            __atomic_sub_fetch(&g_lu.pool_count, 1, __ATOMIC_RELAXED);
        }
        request = __atomic_add_fetch(&g_lu.pool_request, 1, __ATOMIC_RELEASE);
        lu_unlock(&g_lu.pool_lock);
        if (__atomic_load_n(&g_lu.pool_sleeping, __ATOMIC_SEQ_CST))
            host_call(__NR_futex, &g_lu.pool_request, FUTEX_WAKE, 1);
        if (c)
            return c;
        /* The zygote answers every request, with a carrier or an error. */
        uint32_t answered;
        while ((int32_t)((answered = __atomic_load_n(&g_lu.pool_answered, __ATOMIC_ACQUIRE)) -
                         request) < 0)
            host_call(__NR_futex, &g_lu.pool_answered, FUTEX_WAIT, answered, 0);
        int failed = __atomic_load_n(&g_lu.pool_error, __ATOMIC_RELAXED);
        if (failed && !__atomic_load_n(&g_lu.pool, __ATOMIC_RELAXED)) {
            *err = failed;
            return NULL;
        }
    }
}

/* The zygote's leader: keeps the pool warm. Never carries a thread. */
void lu_zygote_main(struct lu_worker *w)
{
    for (;;) {
        uint32_t request = __atomic_load_n(&g_lu.pool_request, __ATOMIC_ACQUIRE);
        __atomic_store_n(&g_lu.pool_error, 0, __ATOMIC_RELAXED);
        while (__atomic_load_n(&g_lu.pool_count, __ATOMIC_RELAXED) < POOL_WARM) {
            int err = 0;
            struct lu_carrier *c = lu_carrier_clone(w, &err);
            if (!c) {
                __atomic_store_n(&g_lu.pool_error, err, __ATOMIC_RELAXED);
                break;
            }
            lu_lock(&g_lu.pool_lock);
            c->next_free = g_lu.pool;
            g_lu.pool = c;
            __atomic_add_fetch(&g_lu.pool_count, 1, __ATOMIC_RELAXED);
            lu_unlock(&g_lu.pool_lock);
        }
        __atomic_store_n(&g_lu.pool_answered, request, __ATOMIC_RELEASE);
        host_call(__NR_futex, &g_lu.pool_answered, FUTEX_WAKE, INT32_MAX);
        __atomic_store_n(&g_lu.pool_sleeping, 1, __ATOMIC_SEQ_CST);
        host_call(__NR_futex, &g_lu.pool_request, FUTEX_WAIT, request, 0);
        __atomic_store_n(&g_lu.pool_sleeping, 0, __ATOMIC_SEQ_CST);
    }
}
