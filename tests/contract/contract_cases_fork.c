/*
 * contract_cases_fork.c: aspace_fork. What copy-on-write must look like from above: as if
 * everything had been copied at once.
 */
#include "tests/contract/contract.h"
#include "tests/contract/contract_prototypes.h"

static const unsigned g_rw = MEMORY_READ | MEMORY_WRITE;

/* A space, active, with `pages` at AREA; the first word of page i is 1000 + i. */
static struct aspace *filled_space(struct contract *c, uint64_t pages)
{
    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, pages, g_rw);
    for (uint64_t i = 0; i < pages; i++)
        contract_put(c, AREA + i * PAGE, 1000 + i);
    return as;
}

static void destroy_both(struct contract *c, struct aspace *a, struct aspace *b)
{
    contract_activate(c, NULL);
    aspace_destroy(c->p, a);
    aspace_destroy(c->p, b);
}

void AspaceForkContract_ChildSeesMemoryAsItWasAtFork(struct contract *c)
{
    enum { PAGES = 64 };
    struct aspace *parent = filled_space(c, PAGES);
    struct aspace *child = contract_fork(c, parent);
    contract_activate(c, child);
    for (uint64_t i = 0; i < PAGES; i++)
        CHECK_EQUAL(contract_get(c, AREA + i * PAGE), 1000 + i);
    CHECK(!contract_readable(c, AREA - PAGE));
    CHECK(!contract_readable(c, AREA + PAGES * PAGE));
    destroy_both(c, parent, child);
}

void AspaceForkContract_ChildWriteAfterForkIsInvisibleToParent(struct contract *c)
{
    struct aspace *parent = filled_space(c, 4);
    struct aspace *child = contract_fork(c, parent);
    contract_activate(c, child);
    for (uint64_t i = 0; i < 4; i++)
        contract_put(c, AREA + i * PAGE, 5);
    contract_activate(c, parent);
    for (uint64_t i = 0; i < 4; i++)
        CHECK_EQUAL(contract_get(c, AREA + i * PAGE), 1000 + i);
    destroy_both(c, child, parent);
}

void AspaceForkContract_ParentWriteAfterForkIsInvisibleToChild(struct contract *c)
{
    struct aspace *parent = filled_space(c, 4);
    struct aspace *child = contract_fork(c, parent);
    for (uint64_t i = 0; i < 4; i++)
        contract_put(c, AREA + i * PAGE, 5);
    contract_activate(c, child);
    for (uint64_t i = 0; i < 4; i++)
        CHECK_EQUAL(contract_get(c, AREA + i * PAGE), 1000 + i);
    destroy_both(c, child, parent);
}

void AspaceForkContract_SiblingsAreIsolated(struct contract *c)
{
    enum { COUNT = 8 };
    struct aspace *children[COUNT], *parent = filled_space(c, 2);
    for (int i = 0; i < COUNT; i++)
        children[i] = contract_fork(c, parent);
    for (uint64_t i = 0; i < COUNT; i++) {
        contract_activate(c, children[i]);
        CHECK_EQUAL(contract_get(c, AREA), 1000);
        contract_put(c, AREA, i);
    }
    for (uint64_t i = 0; i < COUNT; i++)
        CHECK_EQUAL(contract_peek(c, children[i], AREA), i);
    CHECK_EQUAL(contract_peek(c, parent, AREA), 1000);
    contract_activate(c, NULL);
    for (int i = 0; i < COUNT; i++)
        aspace_destroy(c->p, children[i]);
    aspace_destroy(c->p, parent);
}

/* A chain: each generation writes one page and forks; all are looked at in the end. */
void AspaceForkContract_GrandchildrenAreIsolated(struct contract *c)
{
    enum { DEPTH = 12 };
    struct aspace *chain[DEPTH];
    chain[0] = filled_space(c, DEPTH);
    for (uint64_t i = 1; i < DEPTH; i++) {
        chain[i] = contract_fork(c, chain[i - 1]);
        contract_activate(c, chain[i]);
        contract_put(c, AREA + i * PAGE, i);
    }
    for (uint64_t i = 0; i < DEPTH; i++)
        for (uint64_t page = 0; page < DEPTH; page++) {
            uint64_t expected = page > 0 && page <= i ? page : 1000 + page;
            CHECK_EQUAL(contract_peek(c, chain[i], AREA + page * PAGE), expected);
        }
    contract_activate(c, NULL);
    for (int i = 0; i < DEPTH; i++)
        aspace_destroy(c->p, chain[i]);
}

void AspaceForkContract_ChildOutlivesItsParent(struct contract *c)
{
    struct aspace *parent = filled_space(c, 8);
    struct aspace *child = contract_fork(c, parent);
    contract_leave_and_destroy(c, parent);
    contract_activate(c, child);
    for (uint64_t i = 0; i < 8; i++)
        CHECK_EQUAL(contract_get(c, AREA + i * PAGE), 1000 + i);
    contract_put(c, AREA, 1);
    struct aspace *grandchild = contract_fork(c, child);
    contract_activate(c, grandchild);
    CHECK_EQUAL(contract_get(c, AREA), 1);
    destroy_both(c, child, grandchild);
}

void AspaceForkContract_InactiveSpaceCanBeForked(struct contract *c)
{
    struct aspace *parent = filled_space(c, 2);
    contract_activate(c, NULL);
    struct aspace *child = contract_fork(c, parent);
    contract_poke(c, child, AREA, 3);
    CHECK_EQUAL(contract_peek(c, parent, AREA), 1000);
    CHECK_EQUAL(contract_peek(c, child, AREA), 3);
    struct aspace *elsewhere = contract_space(c);
    struct aspace *second = contract_fork(c, parent);
    CHECK_EQUAL(contract_peek(c, second, AREA), 1000);
    destroy_both(c, child, second);
    destroy_both(c, elsewhere, parent);
}

void AspaceForkContract_ForkDoesNotActivateTheChild(struct contract *c)
{
    struct aspace *parent = filled_space(c, 1);
    struct aspace *child = contract_fork(c, parent);
    contract_put(c, AREA, 2);
    CHECK_EQUAL(contract_peek(c, parent, AREA), 2);
    CHECK_EQUAL(contract_peek(c, child, AREA), 1000);
    CHECK(aspace_id(child) > aspace_id(parent));
    aspace_destroy(c->p, child); /* nobody was ever inside */
    contract_leave_and_destroy(c, parent);
}

/*
 * A writer counts in the first page and then in the last of an area. At any instant the first is
 * equal to the last or one ahead, and so it must be in every child; and what a child saw must stay.
 */
enum { COUNTED_PAGES = 32 };
#define FIRST AREA
#define LAST (AREA + (COUNTED_PAGES - 1) * (uint64_t)PAGE)

static void check_children_of_a_counting_parent(struct contract *c, const struct aspace *parent)
{
    uint64_t last_seen = 0;
    for (int i = 0; i < 100; i++) {
        struct aspace *child = contract_fork(c, parent);
        uint64_t last = contract_peek(c, child, LAST), first = contract_peek(c, child, FIRST);
        CHECK(first == last || first == last + 1);
        CHECK(last >= last_seen);
        last_seen = last;
        if (i % 10 == 0)
            contract_sleep_ms(c, 1);
        CHECK_EQUAL(contract_peek(c, child, FIRST), first);
        CHECK_EQUAL(contract_peek(c, child, LAST), last);
        aspace_destroy(c->p, child);
    }
    CHECK(last_seen > 0);
}

static void count_by_copies(struct contract *c, void *arg)
{
    uint32_t *stop = arg;
    for (uint64_t i = 1; !__atomic_load_n(stop, __ATOMIC_ACQUIRE); i++) {
        contract_put(c, FIRST, i);
        contract_put(c, LAST, i);
    }
}

void AspaceForkContract_ForkWhileAnotherThreadWritesIsOneInstant(struct contract *c)
{
    struct contract_worker w;
    uint32_t stop = 0;
    struct aspace *parent = contract_space(c);
    contract_map(c, parent, AREA, COUNTED_PAGES, g_rw);
    contract_start(c, &w, parent, count_by_copies, &stop);
    while (contract_get(c, LAST) == 0)
        contract_sleep_ms(c, 1);
    check_children_of_a_counting_parent(c, parent);
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    contract_join(c, &w);
    contract_leave_and_destroy(c, parent);
}

static void run_until_interrupted(struct contract *c, void *arg)
{
    struct guest_context *ctx = arg;
    struct guest_exit exit;
    guest_run(c->p, ctx, &exit);
    CHECK_EQUAL(exit.reason, GUEST_INTERRUPT);
}

static void fork_while_guest_code_counts(struct contract *c, bool from_outside)
{
    struct contract_worker w;
    struct aspace *parent = contract_space(c);
    contract_map(c, parent, AREA, COUNTED_PAGES, g_rw);
    struct guest_context *ctx =
        contract_load(c, parent, AREA + 0x100000, GUEST_CODE(count_in_two_pages));
    ctx->regs.rdi = FIRST;
    ctx->regs.rsi = LAST;
    contract_start(c, &w, parent, run_until_interrupted, ctx);
    while (contract_get(c, LAST) == 0)
        contract_sleep_ms(c, 1);
    if (from_outside)
        contract_activate(c, NULL);
    check_children_of_a_counting_parent(c, parent);
    contract_activate(c, parent);
    guest_interrupt(c->p, w.thread);
    contract_join(c, &w);
    CHECK(ctx->regs.rcx - contract_get(c, LAST) <= 1);
    guest_context_destroy(c->p, ctx);
    contract_leave_and_destroy(c, parent);
}

void AspaceForkContract_ForkWhileGuestCodeWritesIsOneInstant(struct contract *c)
{
    fork_while_guest_code_counts(c, false);
}

void AspaceForkContract_ForkOfARunningSpaceFromOutsideIsOneInstant(struct contract *c)
{
    fork_while_guest_code_counts(c, true);
}

static void fork_and_check(struct contract *c, void *arg)
{
    const struct aspace *parent = arg;
    for (uint64_t i = 0; i < 25; i++) {
        struct aspace *child = contract_fork(c, parent);
        CHECK_EQUAL(contract_peek(c, child, AREA), 1000);
        contract_poke(c, child, AREA, i);
        CHECK_EQUAL(contract_peek(c, child, AREA), i);
        CHECK_EQUAL(contract_peek(c, child, AREA + PAGE), 1001);
        aspace_destroy(c->p, child);
    }
}

void AspaceForkContract_ThreadsForkOneParentAtTheSameTime(struct contract *c)
{
    enum { THREADS = 4 };
    struct contract_worker workers[THREADS];
    struct aspace *parent = filled_space(c, 8);
    for (int i = 0; i < THREADS; i++)
        contract_start(c, &workers[i], i % 2 ? parent : NULL, fork_and_check, parent);
    for (int i = 0; i < THREADS; i++)
        contract_join(c, &workers[i]);
    CHECK_EQUAL(contract_get(c, AREA), 1000);
    contract_leave_and_destroy(c, parent);
}

void AspaceForkContract_SharedMappingStaysShared(struct contract *c)
{
    int err = 0;
    struct memory_object *obj = memory_object_create(c->p, 2 * PAGE, &err);
    MUST(obj != NULL);
    struct aspace *parent = contract_space(c);
    contract_map_object(c, parent, AREA, 2, MEMORY_SHARED, obj, 0);
    contract_put(c, AREA, 1);
    struct aspace *child = contract_fork(c, parent);
    contract_put(c, AREA, 2);
    contract_activate(c, child);
    CHECK_EQUAL(contract_get(c, AREA), 2);
    contract_put(c, AREA + PAGE, 3); /* first touched by the child */
    struct aspace *grandchild = contract_fork(c, child);
    contract_activate(c, grandchild);
    contract_put(c, AREA + 8, 4);
    contract_activate(c, parent);
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 3);
    CHECK_EQUAL(contract_get(c, AREA + 8), 4);
    uint64_t value = 0;
    CHECK_EQUAL(memory_object_read(c->p, obj, PAGE, mem_shim(&value, sizeof(value))), 8);
    CHECK_EQUAL(value, 3);
    memory_object_put(c->p, obj);
    destroy_both(c, parent, child);
    aspace_destroy(c->p, grandchild);
}

void AspaceForkContract_PrivateMappingOfAnObjectBecomesPrivateToEach(struct contract *c)
{
    int err = 0;
    uint64_t value = 9;
    struct memory_object *obj = memory_object_create(c->p, PAGE, &err);
    MUST(obj != NULL);
    CHECK_EQUAL(memory_object_write(c->p, obj, 0, mem_shim(&value, sizeof(value))), 8);
    struct aspace *parent = contract_space(c);
    contract_map_object(c, parent, AREA, 1, MEMORY_PRIVATE, obj, 0);
    struct aspace *child = contract_fork(c, parent);
    contract_put(c, AREA, 10);
    CHECK_EQUAL(contract_peek(c, child, AREA), 9);
    contract_poke(c, child, AREA, 11);
    CHECK_EQUAL(contract_get(c, AREA), 10);
    CHECK_EQUAL(memory_object_read(c->p, obj, 0, mem_shim(&value, sizeof(value))), 8);
    CHECK_EQUAL(value, 9);
    memory_object_put(c->p, obj);
    destroy_both(c, parent, child);
}

void AspaceForkContract_ProtectionsAreInherited(struct contract *c)
{
    struct aspace *parent = filled_space(c, 3);
    CHECK_EQUAL(memory_protect(c->p, parent, guest_addr(AREA), PAGE, MEMORY_READ), 0);
    CHECK_EQUAL(memory_protect(c->p, parent, guest_addr(AREA + PAGE), PAGE, MEMORY_NONE), 0);
    struct aspace *child = contract_fork(c, parent);
    contract_activate(c, child);
    CHECK(contract_readable(c, AREA) && !contract_writable(c, AREA));
    CHECK(!contract_readable(c, AREA + PAGE));
    CHECK(contract_writable(c, AREA + 2 * PAGE));
    CHECK_EQUAL(memory_protect(c->p, child, guest_addr(AREA), 2 * PAGE, g_rw), 0);
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 1001);
    contract_put(c, AREA + PAGE, 1);
    contract_activate(c, parent);
    CHECK(!contract_writable(c, AREA) && !contract_readable(c, AREA + PAGE));
    CHECK_EQUAL(memory_protect(c->p, parent, guest_addr(AREA), 2 * PAGE, g_rw), 0);
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 1001);
    destroy_both(c, parent, child);
}

void AspaceForkContract_MappingsChangedAfterForkStayApart(struct contract *c)
{
    struct aspace *parent = filled_space(c, 4);
    struct aspace *child = contract_fork(c, parent);
    CHECK_EQUAL(memory_unmap(c->p, parent, guest_addr(AREA), PAGE), 0);
    contract_map(c, parent, AREA + 64 * PAGE, 1, g_rw);
    contract_activate(c, child);
    CHECK_EQUAL(contract_get(c, AREA), 1000);
    CHECK(!contract_readable(c, AREA + 64 * PAGE));
    CHECK_EQUAL(memory_unmap(c->p, child, guest_addr(AREA + PAGE), PAGE), 0);
    CHECK_EQUAL(
        memory_advise(c->p, child, guest_addr(AREA + 2 * PAGE), PAGE, MEMORY_ADVICE_DONTNEED), 0);
    CHECK_EQUAL(contract_get(c, AREA + 2 * PAGE), 0);
    contract_activate(c, parent);
    CHECK(!contract_readable(c, AREA));
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 1001);
    CHECK_EQUAL(contract_get(c, AREA + 2 * PAGE), 1002);
    destroy_both(c, parent, child);
}

void AspaceForkContract_DontforkRangeIsAbsentInTheChild(struct contract *c)
{
    struct aspace *parent = filled_space(c, 4);
    CHECK_EQUAL(
        memory_advise(c->p, parent, guest_addr(AREA + PAGE), 2 * PAGE, MEMORY_ADVICE_DONTFORK), 0);
    CHECK_EQUAL(
        memory_advise(c->p, parent, guest_addr(AREA + 2 * PAGE), PAGE, MEMORY_ADVICE_DOFORK), 0);
    struct aspace *child = contract_fork(c, parent);
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 1001);
    contract_activate(c, child);
    CHECK_EQUAL(contract_get(c, AREA), 1000);
    CHECK(!contract_readable(c, AREA + PAGE));
    CHECK_EQUAL(contract_get(c, AREA + 2 * PAGE), 1002);
    CHECK_EQUAL(contract_get(c, AREA + 3 * PAGE), 1003);
    destroy_both(c, parent, child);
}

void AspaceForkContract_WipeonforkRangeIsZeroInTheChild(struct contract *c)
{
    struct aspace *parent = filled_space(c, 3);
    CHECK_EQUAL(
        memory_advise(c->p, parent, guest_addr(AREA + PAGE), 2 * PAGE, MEMORY_ADVICE_WIPEONFORK),
        0);
    CHECK_EQUAL(
        memory_advise(c->p, parent, guest_addr(AREA + 2 * PAGE), PAGE, MEMORY_ADVICE_KEEPONFORK),
        0);
    struct aspace *child = contract_fork(c, parent);
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 1001);
    contract_activate(c, child);
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 0);
    CHECK_EQUAL(contract_get(c, AREA + 2 * PAGE), 1002);
    contract_put(c, AREA + PAGE, 5);
    struct aspace *grandchild = contract_fork(c, child);
    contract_activate(c, grandchild);
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 0); /* the advice is inherited */
    destroy_both(c, parent, child);
    aspace_destroy(c->p, grandchild);
}

/* Fails host call 1, 2, 3, ... of a fork, until one runs through. Result: how many failed. */
static unsigned fail_every_host_call(struct contract *c, const struct aspace *parent)
{
    unsigned nth = 1, failed = 0;
    for (bool fired = true; fired && nth < 1000; nth++) {
        int err = 0;
        c->front->fault_arm(nth);
        struct aspace *child = aspace_fork(c->p, parent, &err);
        fired = c->front->fault_arm(0);
        if (!child) {
            failed++;
            CHECK(fired);
            CHECK(err == -ENOMEM || err == -EAGAIN);
        } else {
            CHECK_EQUAL(err, 0);
            CHECK_EQUAL(contract_peek(c, child, AREA), 1000);
            contract_poke(c, child, AREA, nth);
            aspace_destroy(c->p, child);
        }
        /* Unchanged, and as usable as before. */
        CHECK_EQUAL(contract_get(c, AREA), 1000);
        contract_put(c, AREA + PAGE, nth);
        CHECK_EQUAL(contract_get(c, AREA + PAGE), nth);
    }
    CHECK(nth < 1000);
    return failed;
}

void AspaceForkContract_ForkFailingAtAnyHostCallLeavesParentRunnable(struct contract *c)
{
    struct aspace *parent = filled_space(c, 8);
    CHECK(fail_every_host_call(c, parent) > 0);
    struct aspace *child = contract_fork(c, parent);
    contract_activate(c, child);
    CHECK_EQUAL(contract_get(c, AREA + 2 * PAGE), 1002);
    destroy_both(c, parent, child);
}

void AspaceForkContract_FailedForksLeakNothing(struct contract *c)
{
    struct aspace *parent = filled_space(c, 8);
    fail_every_host_call(c, parent); /* fills what pools the platform has */
    contract_sleep_ms(c, 100);
    struct contract_gauge before = contract_measure(c);
    for (int i = 0; i < 10; i++)
        fail_every_host_call(c, parent);
    struct contract_gauge after = before;
    for (int i = 0; i < 100; i++) {
        contract_sleep_ms(c, 200);
        after = contract_measure(c);
        if (after.processes <= before.processes && after.files <= before.files &&
            after.memory_bytes < before.memory_bytes + (4 << 20))
            break;
    }
    CHECK(after.processes <= before.processes);
    CHECK(after.files <= before.files);
    CHECK(after.memory_bytes < before.memory_bytes + (4 << 20));
    contract_leave_and_destroy(c, parent);
}

/* What is copied at once does not grow with what there is to copy, and is small. */
void AspaceForkContract_EagerCopiesAreTheFaultHandlerSetOnly(struct contract *c)
{
    static const uint64_t sizes[] = {4, 256, 4096};
    uint64_t eager[3] = {0};
    for (int i = 0; i < 3; i++) {
        struct aspace_stats stats;
        struct aspace *parent = filled_space(c, sizes[i]);
        struct aspace *child = contract_fork(c, parent);
        aspace_stats(c->p, child, &stats);
        CHECK(stats.known & ASPACE_STAT_COPIED_EAGERLY);
        eager[i] = stats.pages_copied_eagerly;
        if (stats.known & ASPACE_STAT_SHARED_AT_FORK)
            CHECK(stats.pages_shared_at_fork >= sizes[i]);
        if (stats.known & ASPACE_STAT_COPIED_BY_WRITE)
            CHECK_EQUAL(stats.pages_copied_by_write, 0);
        destroy_both(c, parent, child);
    }
    CHECK_EQUAL(eager[0], eager[1]);
    CHECK_EQUAL(eager[1], eager[2]);
    CHECK(eager[0] <= 64); /* at most some 256 KiB: signal stack and control blocks */

    /*
     * The host must agree: eight children of 16 MiB take no more than that each, and some for the
     * process that may hold them.
     */
    enum { CHILDREN = 8 };
    struct aspace *children[CHILDREN], *parent = filled_space(c, 4096);
    uint64_t before = contract_measure(c).memory_bytes;
    for (int i = 0; i < CHILDREN; i++)
        children[i] = contract_fork(c, parent);
    contract_sleep_ms(c, 50);
    uint64_t grown = contract_measure(c).memory_bytes - before;
    CHECK((int64_t)grown < CHILDREN * (int64_t)(eager[0] * PAGE + (256 << 10)));
    contract_activate(c, NULL);
    for (int i = 0; i < CHILDREN; i++)
        aspace_destroy(c->p, children[i]);
    aspace_destroy(c->p, parent);
}

void AspaceForkContract_CopiesAreCountedWhenSomebodyWrites(struct contract *c)
{
    enum { PAGES = 64, WRITTEN = 20 };
    struct aspace_stats fresh, written;
    struct aspace *parent = contract_space(c);
    contract_map(c, parent, AREA, PAGES, g_rw);
    CHECK_EQUAL(
        memory_advise(c->p, parent, guest_addr(AREA), PAGES * PAGE, MEMORY_ADVICE_NOHUGEPAGE), 0);
    for (uint64_t i = 0; i < PAGES; i++)
        contract_put(c, AREA + i * PAGE, 1);
    struct aspace *child = contract_fork(c, parent);
    contract_activate(c, child);
    aspace_stats(c->p, child, &fresh);
    for (uint64_t i = 0; i < WRITTEN; i++)
        contract_put(c, AREA + i * PAGE, 2);
    aspace_stats(c->p, child, &written);
    if (fresh.known & ASPACE_STAT_COPIED_BY_WRITE)
        CHECK_EQUAL(written.pages_copied_by_write - fresh.pages_copied_by_write, WRITTEN);
    if (fresh.known & ASPACE_STAT_SHARED_AT_FORK)
        CHECK_EQUAL(written.pages_shared_at_fork, fresh.pages_shared_at_fork);
    if (fresh.known & ASPACE_STAT_FAULTS)
        CHECK(written.faults >= fresh.faults + WRITTEN);
    destroy_both(c, parent, child);
}

struct child_run {
    struct guest_context *ctx;
    struct guest_exit exit;
};

static void run_once(struct contract *c, void *arg)
{
    struct child_run *run = arg;
    guest_run(c->p, run->ctx, &run->exit);
}

/*
 * The very first thing a child does is fault. The parent keeps its threads busy with faults of its
 * own.
 */
void AspaceForkContract_FirstFaultInTheChildFindsItsHandler(struct contract *c)
{
    const uint64_t code = AREA + 0x100000;
    struct aspace *parent = filled_space(c, 4);
    struct guest_context *ctx = contract_load(c, parent, code, GUEST_CODE(read_memory));
    struct child_run in_parent = {.ctx = ctx};

    for (int i = 0; i < 50; i++) {
        struct aspace *child = contract_fork(c, parent);
        struct contract_worker w;
        int err = 0;
        struct child_run in_child = {.ctx = guest_context_create(c->p, &err)};
        MUST(in_child.ctx != NULL);
        in_child.ctx->regs.rip = code;
        in_child.ctx->regs.rdi = AREA - PAGE;
        contract_start(c, &w, child, run_once, &in_child);

        ctx->regs.rip = code;
        ctx->regs.rdi = AREA - 2 * PAGE;
        run_once(c, &in_parent);
        CHECK_EQUAL(in_parent.exit.reason, GUEST_FAULT);
        CHECK_EQUAL(in_parent.exit.addr.raw, AREA - 2 * PAGE);

        contract_join(c, &w);
        CHECK_EQUAL(in_child.exit.reason, GUEST_FAULT);
        CHECK_EQUAL(in_child.exit.fault, GUEST_FAULT_UNMAPPED);
        CHECK_EQUAL(in_child.exit.addr.raw, AREA - PAGE);
        CHECK_EQUAL(in_child.ctx->regs.rip, code);
        guest_context_destroy(c->p, in_child.ctx);
        aspace_destroy(c->p, child);
    }
    guest_context_destroy(c->p, ctx);
    contract_leave_and_destroy(c, parent);
}

void AspaceForkContract_FirstInterruptInTheChildFindsItsHandler(struct contract *c)
{
    const uint64_t code = AREA + 0x100000;
    struct aspace *parent = filled_space(c, 4);
    struct guest_context *fresh = contract_load(c, parent, code, GUEST_CODE(spin));

    for (int i = 0; i < 50; i++) {
        struct aspace *child = contract_fork(c, parent);
        struct contract_worker w;
        int err = 0;
        struct guest_context *ctx = guest_context_create(c->p, &err);
        MUST(ctx != NULL);
        guest_context_copy(c->p, ctx, fresh);
        contract_start(c, &w, child, run_until_interrupted, ctx);
        if (i % 2)
            contract_sleep_ms(c, 1);
        guest_interrupt(c->p, w.thread);
        contract_join(c, &w);
        aspace_destroy(c->p, child);
        guest_context_destroy(c->p, ctx);
    }
    guest_context_destroy(c->p, fresh);
    contract_leave_and_destroy(c, parent);
}

void AspaceForkContract_GuestCodeWritesApartAfterFork(struct contract *c)
{
    const uint64_t code = AREA + 0x100000;
    struct aspace *parent = filled_space(c, 4);
    struct guest_context *ctx = contract_load(c, parent, code, GUEST_CODE(write_memory));
    int err = 0;
    struct child_run run = {.ctx = guest_context_create(c->p, &err)};
    MUST(run.ctx != NULL);
    struct aspace *child = contract_fork(c, parent);
    struct contract_worker w;

    run.ctx->regs.rip = code;
    run.ctx->regs.rdi = AREA;
    run.ctx->regs.rsi = 1;
    contract_start(c, &w, child, run_once, &run);
    contract_join(c, &w);
    CHECK_EQUAL(run.exit.reason, GUEST_SYSCALL);
    CHECK_EQUAL(contract_get(c, AREA), 1000);
    CHECK_EQUAL(contract_peek(c, child, AREA), 1);

    guest_context_destroy(c->p, run.ctx);
    run.ctx = ctx;
    ctx->regs.rdi = AREA + PAGE;
    ctx->regs.rsi = 2;
    run_once(c, &run);
    CHECK_EQUAL(run.exit.reason, GUEST_SYSCALL);
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 2);
    CHECK_EQUAL(contract_peek(c, child, AREA + PAGE), 1001);
    guest_context_destroy(c->p, ctx);
    destroy_both(c, parent, child);
}

void AspaceForkContract_DestroyReleasesWhatTheChildWrote(struct contract *c)
{
    enum { PAGES = 8192 };
    const uint64_t size = (uint64_t)PAGES * PAGE;
    struct aspace *parent = filled_space(c, PAGES);
    uint64_t before = contract_measure(c).memory_bytes;

    struct aspace *child = contract_fork(c, parent);
    contract_activate(c, child);
    uint64_t forked = contract_measure(c).memory_bytes;
    CHECK(forked < before + size / 4); /* nothing was copied yet */
    for (uint64_t i = 0; i < PAGES; i++)
        contract_put(c, AREA + i * PAGE, i);
    uint64_t written = contract_measure(c).memory_bytes;
    CHECK(written > before + size - size / 4);

    contract_activate(c, parent);
    aspace_destroy(c->p, child);
    uint64_t after = written;
    for (int i = 0; i < 100 && after > before + size / 4; i++) {
        contract_sleep_ms(c, 200);
        after = contract_measure(c).memory_bytes;
    }
    CHECK(after <= before + size / 4);
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 1001);
    contract_leave_and_destroy(c, parent);
}

void AspaceForkContract_StatsCountForks(struct contract *c)
{
    struct aspace_stats stats;
    struct aspace *parent = filled_space(c, 1);
    for (uint64_t i = 1; i <= 3; i++) {
        struct aspace *child = contract_fork(c, parent);
        aspace_stats(c->p, parent, &stats);
        CHECK(stats.known & ASPACE_STAT_FORKS);
        CHECK_EQUAL(stats.forks, i);
        aspace_stats(c->p, child, &stats);
        CHECK_EQUAL(stats.forks, 0);
        aspace_destroy(c->p, child);
    }
    contract_leave_and_destroy(c, parent);
}
