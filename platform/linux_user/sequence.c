/*
 * sequence.c: restartable sequences and barriers of guest threads are the host kernel's own. Guest code runs at its own addresses on a
 * host thread, so the host is given the guest's area by the thread that carries it: it then writes the processor's number there,
 * and aborts sequences on preemption, on migration and before our handlers see where they interrupted.
 *
 * The host looks at the area while the shim runs, too, and kills the carrier when it cannot: the area is given back before the
 * memory goes, before the thread leaves the space, and before a host thread parks. docs/design/0011
 */
#include "platform/linux_user/lu.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/rseq.h>
#include <linux/time.h>

#define AREA_SIZE 32u
_Static_assert(sizeof(struct rseq) >= AREA_SIZE, "struct rseq as first published");

#define PROBE_SIGNATURE 0x53053053u

static long host_rseq(uint64_t area, int flags, uint32_t signature)
{
    return host_call(__NR_rseq, area, AREA_SIZE, flags, signature);
}

static const struct {
    int command, registration;
} g_barriers[GUEST_BARRIER_KINDS] = {
    [GUEST_BARRIER_MEMORY] = {MEMBARRIER_CMD_PRIVATE_EXPEDITED,
                              MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED},
    [GUEST_BARRIER_CODE] = {MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE,
                            MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE},
    [GUEST_BARRIER_SEQUENCES] = {MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
                                 MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ},
    [GUEST_BARRIER_EVERYWHERE] = {MEMBARRIER_CMD_GLOBAL_EXPEDITED,
                                  MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED},
};

void lu_sequence_probe(void)
{
    static struct rseq area __attribute__((aligned(64)));
    for (unsigned kind = 0; kind < GUEST_BARRIER_KINDS; kind++)
        if (host_call(__NR_membarrier, g_barriers[kind].registration, 0, 0) == 0)
            g_lu.barriers |= 1u << kind;
    /* Guests must not see numbers of processors that they do not know */
    g_lu.sequences = g_lu.cpus_are_numbered_through &&
                     host_rseq((uint64_t)&area, 0, PROBE_SIGNATURE) == 0 &&
                     host_rseq((uint64_t)&area, RSEQ_FLAG_UNREGISTER, PROBE_SIGNATURE) == 0;
}

static bool writable(uint64_t area)
{
    uint32_t value, old;
    return lu_load32_fallible(&value, (const void *)area) == 0 &&
           lu_cmpxchg32_fallible((void *)area, value, value, &old) == 0;
}

void lu_sequence_give_back(struct lu_worker *w)
{
    uint64_t area = __atomic_load_n(&w->sequence, __ATOMIC_SEQ_CST);
    if (!area)
        return;
    /* In this order: who finds 0 may unmap. A kick in between does the same once more, which is refused. */
    host_rseq(area, RSEQ_FLAG_UNREGISTER, w->sequence_signature);
    __atomic_store_n(&w->sequence, 0, __ATOMIC_SEQ_CST);
}

/* false: not to be had; the host thread has none. */
static bool take(struct thread *t, uint64_t area, uint32_t signature)
{
    struct lu_worker *w = t->worker;
    /* What can be written now is there until the host has it, and who takes it away then finds us */
    lu_lock(&t->aspace->area_lock);
    /* Hosts that do not look when they are given it would kill us when they do */
    bool taken = writable(area);
    if (taken) {
        w->sequence_signature = signature;
        __atomic_store_n(&w->sequence, area, __ATOMIC_SEQ_CST);
        taken = host_rseq(area, 0, signature) == 0;
        if (!taken)
            __atomic_store_n(&w->sequence, 0, __ATOMIC_SEQ_CST);
    }
    lu_unlock(&t->aspace->area_lock);
    return taken && __atomic_load_n(&w->sequence, __ATOMIC_SEQ_CST) == area;
}

int lu_guest_sequence(struct platform *p UNUSED, struct guest_addr area, uint32_t signature)
{
    struct thread *t = lu_current();
    struct lu_worker *w = t->worker;
    if (area.raw && !g_lu.sequences)
        return -ENOTSUP;
    t->sequence = area.raw;
    t->sequence_away = 0;
    t->sequence_home = t->aspace;
    t->sequence_signature = signature;
    t->sequence_lost = false;
    if (w->sequence == area.raw && (!area.raw || w->sequence_signature == signature))
        return 0;
    lu_sequence_give_back(w);
    if (area.raw && !take(t, area.raw, signature)) {
        t->sequence = 0;
        return -EFAULT;
    }
    return 0;
}

void lu_sequence_move(struct thread *t, const struct lu_aspace *to)
{
    if (to == t->sequence_home && t->sequence_away) {
        t->sequence = t->sequence_away;
        t->sequence_away = 0;
    } else if (to != t->sequence_home && t->sequence) {
        t->sequence_away = t->sequence;
        t->sequence = 0;
    }
}

void lu_sequence_sync(struct thread *t)
{
    lu_sequence_give_back(t->worker);
    if (t->sequence && !take(t, t->sequence, t->sequence_signature)) {
        t->sequence = 0;
        t->sequence_lost = true;
    }
}

/* Its area lies in the range. Lock held. */
static struct lu_worker *worker_with_area(struct lu_carrier *c, uint64_t start, uint64_t size)
{
    struct lu_worker *w = c->workers;
    while (w && __atomic_load_n(&w->sequence, __ATOMIC_SEQ_CST) - start >= size)
        w = w->next_of_carrier;
    return w;
}

/* As the kernel judges it, rseq(2). */
bool lu_sequence_went_bad(struct lu_worker *w)
{
    struct rseq area;
    struct rseq_cs cs;
    uint32_t signature;
    uint64_t at = __atomic_load_n(&w->sequence, __ATOMIC_SEQ_CST);
    if (!at)
        return false;
    if (lu_copy_fallible(&area, (const void *)at, AREA_SIZE) || !writable(at))
        return true;
    if (!area.rseq_cs)
        return false;
    if (area.rseq_cs >= LU_GUEST_END ||
        lu_copy_fallible(&cs, (const void *)area.rseq_cs, sizeof(cs)))
        return true;
    return cs.version || cs.start_ip >= LU_GUEST_END ||
           cs.start_ip + cs.post_commit_offset >= LU_GUEST_END ||
           cs.start_ip + cs.post_commit_offset < cs.start_ip || cs.abort_ip >= LU_GUEST_END ||
           cs.abort_ip - cs.start_ip < cs.post_commit_offset ||
           lu_load32_fallible(&signature, (const void *)(cs.abort_ip - sizeof(signature))) ||
           signature != w->sequence_signature;
}

bool lu_sequence_inside(struct lu_carrier *c, uint64_t start, uint64_t size)
{
    lu_lock(&c->lock);
    bool found = worker_with_area(c, start, size) != NULL;
    lu_unlock(&c->lock);
    return found;
}

bool lu_sequence_forget(struct lu_carrier *c, uint64_t start, uint64_t size)
{
    bool own = false;
    static const struct timespec again = {.tv_nsec = 1000000};
    while (g_lu.sequences) {
        lu_lock(&c->lock);
        struct lu_worker *w = worker_with_area(c, start, size);
        if (w)
            __atomic_store_n(&w->sequence_unwanted, 1, __ATOMIC_SEQ_CST);
        lu_unlock(&c->lock);
        if (!w)
            break;
        if (w == lu_current()->worker) {
            lu_sequence_answer(w);
            own = true;
        } else {
            lu_kick(w);
            host_call(__NR_futex, &w->sequence_unwanted, FUTEX_WAIT, 1, &again);
        }
    }
    return own;
}

void lu_sequence_answer(struct lu_worker *w)
{
    lu_sequence_give_back(w);
    __atomic_store_n(&w->sequence_unwanted, 0, __ATOMIC_SEQ_CST);
    host_call(__NR_futex, &w->sequence_unwanted, FUTEX_WAKE, INT32_MAX);
}

int lu_guest_barrier(struct platform *p UNUSED, enum guest_barrier_kind kind, int cpu)
{
    if (!(g_lu.barriers >> kind & 1))
        return -ENOTSUP;
    bool one = kind == GUEST_BARRIER_SEQUENCES && cpu >= 0;
    return (int)host_call(__NR_membarrier, g_barriers[kind].command,
                          one ? MEMBARRIER_CMD_FLAG_CPU : 0, one ? cpu : 0);
}
