/*
 * contract_cases_sequence.c: guest_context.h: restartable sequences, barriers.
 */
#include "tests/contract/contract.h"
#include "tests/contract/contract_prototypes.h"

#define CODE_AT (AREA + 0x100000)

/* A space with code at CODE_AT and a page of data at AREA. */
struct scene {
    struct aspace *as;
    struct guest_context *ctx;
};

static struct scene open_scene(struct contract *c, struct guest_code code)
{
    struct scene s = {.as = contract_space(c)};
    contract_map(c, s.as, AREA, 1, MEMORY_READ | MEMORY_WRITE);
    s.ctx = contract_load(c, s.as, CODE_AT, code);
    return s;
}

static void close_scene(struct contract *c, struct scene *s)
{
    guest_context_destroy(c->p, s->ctx);
    contract_leave_and_destroy(c, s->as);
}

static void expect_syscall(struct contract *c, struct guest_context *ctx)
{
    struct guest_exit exit;
    guest_run(c->p, ctx, &exit);
    MUST(exit.reason == GUEST_SYSCALL);
}

enum { SEQUENCE_SIGNATURE = 0x53053053, SEQUENCE_ABORT = 13, SEQUENCE_START = 4 };
#define SEQUENCE_AREA AREA
#define SEQUENCE_DESCRIPTOR (AREA + 64)

void GuestContract_AnAreaOfSequencesTellsTheProcessor(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(syscalls));
    contract_put(c, SEQUENCE_AREA, UINT64_MAX);
    int err = guest_sequence(c->p, guest_addr(SEQUENCE_AREA), SEQUENCE_SIGNATURE);
    CHECK(err == 0 || err == -ENOTSUP);
    expect_syscall(c, s.ctx);
    uint64_t told = contract_get(c, SEQUENCE_AREA), cpus = thread_cpu_count(c->p);
    CHECK(err ? told == UINT64_MAX : (uint32_t)told < cpus && told >> 32 < cpus);
    CHECK_EQUAL(guest_sequence(c->p, guest_addr(0), 0), 0);
    CHECK_EQUAL(guest_sequence(c->p, guest_addr(0), 0), 0);
    expect_syscall(c, s.ctx);
    close_scene(c, &s);
}

void GuestContract_AnAreaThatCannotBeWrittenIsRefused(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(syscalls));
    struct guest_addr nowhere = guest_addr(c->p->guest_end - PAGE);
    int err = guest_sequence(c->p, nowhere, SEQUENCE_SIGNATURE);
    CHECK(err == -EFAULT || err == -ENOTSUP);
    CHECK_EQUAL(memory_protect(c->p, s.as, guest_addr(AREA), PAGE, MEMORY_READ), 0);
    CHECK_EQUAL(guest_sequence(c->p, guest_addr(SEQUENCE_AREA), SEQUENCE_SIGNATURE), err);
    expect_syscall(c, s.ctx);
    close_scene(c, &s);
}

/* What has the same address there is no area. */
void GuestContract_AnAreaIsLeftAloneInAnotherSpace(struct contract *c)
{
    struct scene first = open_scene(c, GUEST_CODE(syscalls));
    contract_put(c, SEQUENCE_AREA, UINT64_MAX);
    int err = guest_sequence(c->p, guest_addr(SEQUENCE_AREA), SEQUENCE_SIGNATURE);
    struct scene second = open_scene(c, GUEST_CODE(syscalls));
    contract_put(c, SEQUENCE_AREA, UINT64_MAX);
    struct guest_exit exit;
    guest_interrupt(c->p, thread_current(c->p));
    guest_run(c->p, second.ctx, &exit);
    CHECK_EQUAL(exit.reason, GUEST_INTERRUPT);
    expect_syscall(c, second.ctx);
    CHECK_EQUAL(contract_get(c, SEQUENCE_AREA), UINT64_MAX);
    contract_activate(c, first.as);
    expect_syscall(c, first.ctx);
    CHECK(err || contract_get(c, SEQUENCE_AREA) != UINT64_MAX);
    CHECK_EQUAL(guest_sequence(c->p, guest_addr(0), 0), 0);
    guest_context_destroy(c->p, second.ctx);
    aspace_destroy(c->p, second.as);
    close_scene(c, &first);
}

struct sequence_run {
    struct guest_context *ctx;
    struct guest_exit exit;
    uint32_t ready, done, leave;
};

static void run_sequence(struct contract *c, void *arg)
{
    struct sequence_run *r = arg;
    int err = guest_sequence(c->p, guest_addr(SEQUENCE_AREA), SEQUENCE_SIGNATURE);
    __atomic_store_n(&r->ready, err ? 2 : 1, __ATOMIC_RELEASE);
    if (err)
        return;
    guest_run(c->p, r->ctx, &r->exit);
    __atomic_store_n(&r->done, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&r->leave, __ATOMIC_ACQUIRE)) /* who lives can be interrupted */
        thread_yield(c->p);
}

static void name_sequence(struct contract *c, uint64_t start, uint64_t size, uint64_t abort)
{
    contract_put(c, SEQUENCE_AREA, 0);
    contract_put(c, SEQUENCE_AREA + 8, 0);
    contract_put(c, SEQUENCE_DESCRIPTOR, 0); /* version, flags; start, size, abort */
    contract_put(c, SEQUENCE_DESCRIPTOR + 8, CODE_AT + start);
    contract_put(c, SEQUENCE_DESCRIPTOR + 16, size);
    contract_put(c, SEQUENCE_DESCRIPTOR + 24, CODE_AT + abort);
}

/* Puts a thread into the sequence. false: there are none here; nothing is left to do. */
static bool start_sequence(struct contract *c, struct scene *s, struct sequence_run *r,
                           struct contract_worker *w)
{
    *s = open_scene(c, GUEST_CODE(sequence));
    *r = (struct sequence_run){.ctx = s->ctx};
    name_sequence(c, SEQUENCE_START, 2, SEQUENCE_ABORT);
    s->ctx->regs.rdi = SEQUENCE_AREA;
    s->ctx->regs.rsi = SEQUENCE_DESCRIPTOR;
    contract_start(c, w, s->as, run_sequence, r);
    while (!__atomic_load_n(&r->ready, __ATOMIC_ACQUIRE))
        thread_yield(c->p);
    if (r->ready == 2) {
        contract_join(c, w);
        close_scene(c, s);
        return false;
    }
    /* The guest names its sequence just before it begins; what ends it clears the name. */
    while (contract_get(c, SEQUENCE_AREA + 8) == 0 && !__atomic_load_n(&r->done, __ATOMIC_ACQUIRE))
        thread_yield(c->p);
    return true;
}

void GuestContract_AnInterruptedSequenceGoesOnAtItsAbortAddress(struct contract *c)
{
    for (int round = 0; round < 20; round++) {
        struct scene s;
        struct sequence_run r;
        struct contract_worker w;
        if (!start_sequence(c, &s, &r, &w))
            return;
        guest_interrupt(c->p, w.thread);
        __atomic_store_n(&r.leave, 1, __ATOMIC_RELEASE);
        contract_join(c, &w);
        /* It came out there, or was preempted before, and made the call. */
        CHECK(r.exit.reason == GUEST_INTERRUPT || r.exit.reason == GUEST_SYSCALL);
        if (r.exit.reason == GUEST_INTERRUPT)
            CHECK(s.ctx->regs.rip - CODE_AT >= SEQUENCE_ABORT);
        else
            CHECK_EQUAL(s.ctx->regs.rax, 77);
        close_scene(c, &s);
    }
}

static const enum guest_barrier_kind g_barrier_kinds[] = {
    GUEST_BARRIER_MEMORY, GUEST_BARRIER_CODE, GUEST_BARRIER_SEQUENCES, GUEST_BARRIER_EVERYWHERE};

void GuestContract_BarriersAreThereOrRefused(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(syscalls));
    for (size_t i = 0; i < sizeof(g_barrier_kinds) / sizeof(g_barrier_kinds[0]); i++) {
        int err = guest_barrier(c->p, g_barrier_kinds[i], -1);
        CHECK(err == 0 || err == -ENOTSUP);
        CHECK_EQUAL(guest_barrier(c->p, g_barrier_kinds[i], -1), err);
    }
    expect_syscall(c, s.ctx);
    close_scene(c, &s);
}

void GuestContract_ABarrierEndsASequence(struct contract *c)
{
    struct scene s;
    struct sequence_run r;
    struct contract_worker w;
    if (!start_sequence(c, &s, &r, &w))
        return;
    while (!__atomic_load_n(&r.done, __ATOMIC_ACQUIRE)) {
        int err = guest_barrier(c->p, GUEST_BARRIER_SEQUENCES, -1);
        MUST(err == 0 || err == -ENOTSUP);
        if (err)
            guest_interrupt(c->p, w.thread);
        thread_yield(c->p);
    }
    __atomic_store_n(&r.leave, 1, __ATOMIC_RELEASE);
    contract_join(c, &w);
    CHECK(r.exit.reason == GUEST_INTERRUPT || s.ctx->regs.rax == 77);
    close_scene(c, &s);
}

#define HUGE_PAGE (UINT64_C(2) << 20)
#define SLOW_AREA                                                                                  \
    UINT64_C(0x40000000) /* where a first touch may bring a huge page, and take its time */
#define WATCH_AT (CODE_AT + PAGE)
#define CALL_AFTER_ALL 55

/*
 * A page fault of the guest's is the platform's affair, and a barrier comes while it is being resolved: the sequence must not go on as if it
 * had not been. Who watches is guest code as well: a copy of ours could wait until the fault is over.
 */
void GuestContract_ABarrierEndsASequenceInAFault(struct contract *c)
{
    extern const char contract_guest_faulting_sequence[], contract_guest_faulting_sequence_start[],
        contract_guest_faulting_sequence_end_at[], contract_guest_faulting_sequence_abort[];
    const uint64_t start =
        (uint64_t)(contract_guest_faulting_sequence_start - contract_guest_faulting_sequence);
    for (unsigned round = 0; round < 10; round++) {
        struct scene s = open_scene(c, GUEST_CODE(faulting_sequence));
        struct guest_context *watch = contract_load(c, s.as, WATCH_AT, GUEST_CODE(watch_sequence));
        struct sequence_run r = {.ctx = s.ctx};
        struct contract_worker w;
        struct guest_exit exit;
        name_sequence(
            c, start,
            (uint64_t)(contract_guest_faulting_sequence_end_at -
                       contract_guest_faulting_sequence_start),
            (uint64_t)(contract_guest_faulting_sequence_abort - contract_guest_faulting_sequence));
        contract_map(c, s.as, SLOW_AREA, 2 * HUGE_PAGE / PAGE, MEMORY_READ | MEMORY_WRITE);
        s.ctx->regs.rdi = watch->regs.rdi = SEQUENCE_AREA;
        s.ctx->regs.rsi = SEQUENCE_DESCRIPTOR;
        s.ctx->regs.rdx = SLOW_AREA + PAGE;
        contract_start(c, &w, s.as, run_sequence, &r);
        while (!__atomic_load_n(&r.ready, __ATOMIC_ACQUIRE))
            thread_yield(c->p);
        int err = r.ready == 2 ? -ENOTSUP : 0;
        if (!err) {
            guest_run(c->p, watch, &exit);
            MUST(exit.reason == GUEST_SYSCALL);
            err = guest_barrier(c->p, GUEST_BARRIER_SEQUENCES, -1);
            guest_run(c->p, watch, &exit);
            MUST(exit.reason == GUEST_SYSCALL);
            __atomic_store_n(&r.leave, 1, __ATOMIC_RELEASE);
        }
        contract_join(c, &w);
        if (!err && watch->regs.rax == 0)
            CHECK(s.ctx->regs.rax != CALL_AFTER_ALL);
        guest_context_destroy(c->p, watch);
        close_scene(c, &s);
        if (err)
            return;
    }
}
