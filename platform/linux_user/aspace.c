/*
 * aspace.c: address-space tokens over carriers. fork is one clone of the parent's carrier: the host kernel shares its private
 * pages copy-on-write, and the child's leader makes the fault-handler set its own before its first instruction.
 */
#include "platform/linux_user/lu.h"

/* Slots are used in turn, so a stale token meets a dead slot for the next ASPACE_SLOTS spaces. */
#define ASPACE_SLOTS 8192u
static struct lu_aspace *g_slots; /* [ASPACE_SLOTS] */
static struct lu_lock g_slots_lock;
static uint32_t g_slots_next;

int lu_aspace_init(void)
{
    g_slots = lu_shared_pages_alloc((ASPACE_SLOTS * sizeof(struct lu_aspace) + 4095) & ~4095ull);
    return g_slots ? 0 : -ENOMEM;
}

static struct lu_aspace *mutable_of(const struct aspace *as)
{
    uint32_t slot = (uint32_t)((const struct lu_aspace *)as - g_slots);
    PLATFORM_REQUIRE(slot < ASPACE_SLOTS && as == &g_slots[slot].base);
    return &g_slots[slot];
}

static struct lu_aspace *slot_take(struct platform *p, struct lu_carrier *c)
{
    struct lu_aspace *as = NULL;
    if (lu_fault_hit())
        return NULL;
    lu_lock(&g_slots_lock);
    for (uint32_t tried = 0; tried < ASPACE_SLOTS && !as; tried++) {
        struct lu_aspace *candidate = &g_slots[g_slots_next++ % ASPACE_SLOTS];
        if (!candidate->carrier && candidate->base.magic == 0)
            as = candidate;
    }
    if (as) {
        as->carrier = c;
        as->inside = 0;
        as->sequence_left_out = false;
        as->stats = (struct aspace_stats){
            .known = ASPACE_STAT_FORKS | ASPACE_STAT_FAULTS | ASPACE_STAT_COPIED_EAGERLY |
                     ASPACE_STAT_RESIDENT,
        };
    }
    lu_unlock(&g_slots_lock);
    if (as)
        aspace_stamp(p, &as->base);
    return as;
}

static struct aspace *lu_aspace_create(struct platform *p, int *err)
{
    struct lu_carrier *c = lu_pool_take(err);
    if (!c)
        return NULL;
    struct lu_aspace *as = slot_take(p, c);
    if (!as) {
        lu_carrier_kill(c);
        *err = -ENOMEM;
        return NULL;
    }
    c->aspace = as;
    return (struct aspace *)as;
}

static int lu_aspace_activate(struct platform *p UNUSED, const struct aspace *base)
{
    struct thread *t = lu_current();
    struct lu_aspace *target = base ? mutable_of(base) : NULL;
    struct lu_aspace *old = t->aspace;
    if (target == old)
        return 0;
    if (target)
        __atomic_add_fetch(&target->inside, 1, __ATOMIC_SEQ_CST);
    int err = lu_thread_move(target ? target->carrier : g_lu.zygote);
    if (err < 0) {
        if (target)
            __atomic_sub_fetch(&target->inside, 1, __ATOMIC_SEQ_CST);
        return err;
    }
    t->aspace = target;
    lu_sequence_move(t, target);
    if (old)
        __atomic_sub_fetch(&old->inside, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static struct aspace *lu_aspace_fork(struct platform *p, const struct aspace *base, int *err)
{
    struct lu_aspace *parent = mutable_of(base);
    /* Only a thread of the parent's carrier can clone it. The visit counts as nobody inside: the caller lends the token. */
    struct lu_worker *home;
    int failure = lu_thread_visit(parent->carrier, &home);
    if (failure < 0) {
        *err = failure;
        return NULL;
    }
    struct lu_aspace *child = NULL;
    uint64_t shared = g_lu.detailed_stats ? lu_count_private_pages(parent->carrier) : 0;
    struct lu_patch *patch;
    failure = lu_patch_fork_begin(parent, &patch);
    bool begun = failure == 0;
    struct lu_worker *self = lu_current()->worker;
    if (parent->sequence_left_out)
        lu_sequence_give_back(self);
    struct lu_carrier *c = begun ? lu_carrier_clone(self, &failure) : NULL;
    if (c) {
        child = slot_take(p, c);
        if (child) {
            c->aspace = child;
            child->stats.pages_copied_eagerly = g_lu.eager_pages;
            if (g_lu.detailed_stats) {
                child->stats.pages_shared_at_fork = shared;
                child->stats.known |= ASPACE_STAT_SHARED_AT_FORK | ASPACE_STAT_COPIED_BY_WRITE;
            }
            __atomic_add_fetch(&parent->stats.forks, 1, __ATOMIC_RELAXED);
        } else {
            lu_carrier_kill(c);
            failure = -ENOMEM;
        }
    }
    if (begun)
        lu_patch_fork_end(parent, child, patch);
    lu_thread_go_home(home);
    if (!child)
        *err = failure;
    return (struct aspace *)child;
}

/* Of a carrier that is dying: its death must find no space that is another's by now. */
static void slot_release(struct lu_aspace *as)
{
    aspace_unstamp(&as->base);
    lu_patch_destroy(as);
    __atomic_store_n(&as->carrier, NULL, __ATOMIC_RELEASE);
}

static struct lu_aspace *empty_space(const struct aspace *base)
{
    struct lu_aspace *as = mutable_of(base);
    PLATFORM_REQUIRE(__atomic_load_n(&as->inside, __ATOMIC_SEQ_CST) == 0);
    return as;
}

/* The host has the memory back when the process ends, while others already go on: emptying it first would make them wait. */
static void lu_aspace_vacate(struct platform *p UNUSED, const struct aspace *as UNUSED)
{
}

static void lu_aspace_destroy(struct platform *p UNUSED, struct aspace *base)
{
    struct lu_aspace *as = empty_space(base);
    lu_carrier_kill(as->carrier);
    slot_release(as);
}

/* thread_exit: the calling thread, on its park stack, was the last one inside. True: its own carrier ends with it. */
bool lu_aspace_destroy_by(struct aspace *base, const struct lu_worker *w)
{
    struct lu_aspace *as = empty_space(base);
    bool own = as->carrier == w->carrier;
    if (own)
        __atomic_store_n(&as->carrier->state, LU_CARRIER_DYING, __ATOMIC_RELEASE);
    else
        lu_carrier_kill(as->carrier);
    slot_release(as);
    return own;
}

static void lu_aspace_stats(struct platform *p UNUSED, const struct aspace *base,
                            struct aspace_stats *out)
{
    struct lu_aspace *as = mutable_of(base);
    *out = as->stats;
    out->forks = __atomic_load_n(&as->stats.forks, __ATOMIC_RELAXED);
    lu_carrier_counters(as->carrier, out);
}

const struct aspace_ops lu_aspace_ops = ASPACE_OPS(lu_aspace);
