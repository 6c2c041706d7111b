/*
 * contract_cases_aspace.c: address_space.h without fork.
 */
#include "platform/contract.h"
#include "tests/contract/contract.h"
#include "tests/contract/contract_prototypes.h"

void InterfaceContract_GuestRangeChecksKnowTheirLimits(struct contract *c)
{
    const struct platform *p = c->p;
    CHECK(p->page_size == PAGE);
    CHECK(guest_range_ok(p, guest_addr(p->guest_min), 0));
    CHECK(guest_range_ok(p, guest_addr(p->guest_min), p->guest_end - p->guest_min));
    CHECK(!guest_range_ok(p, guest_addr(p->guest_min), p->guest_end - p->guest_min + 1));
    CHECK(!guest_range_ok(p, guest_addr(p->guest_min - 1), 1));
    CHECK(guest_range_ok(p, guest_addr(p->guest_end), 0));
    CHECK(!guest_range_ok(p, guest_addr(p->guest_end), 1));
    CHECK(!guest_range_ok(p, guest_addr(p->guest_end - 1), UINT64_MAX));
    CHECK(!guest_range_ok(p, guest_addr(UINT64_MAX), 1));
}

void AspaceContract_NewSpaceIsEmpty(struct contract *c)
{
    struct aspace *as = contract_space(c);
    const uint64_t probes[] = {c->p->guest_min, 0x400000, AREA, c->p->guest_end - PAGE};
    for (size_t i = 0; i < sizeof(probes) / sizeof(*probes); i++) {
        CHECK(!contract_readable(c, probes[i]));
        CHECK(!contract_writable(c, probes[i]));
    }
    contract_leave_and_destroy(c, as);
}

void AspaceContract_NumbersAreNeverUsedTwice(struct contract *c)
{
    uint64_t last = 0;
    for (int i = 0; i < 200; i++) {
        int err = 0;
        struct aspace *as = aspace_create(c->p, &err);
        MUST(as != NULL);
        CHECK(aspace_id(as) > last);
        last = aspace_id(as);
        aspace_destroy(c->p, as);
    }
}

void AspaceContract_ActivateKeepsTheStackAndLocals(struct contract *c)
{
    volatile uint64_t pattern[256];
    volatile uint64_t *const address = pattern;
    struct thread *const self = thread_current(c->p);
    int err = 0;

    struct aspace *as = aspace_create(c->p, &err);
    MUST(as != NULL);
    for (unsigned i = 0; i < 256; i++)
        pattern[i] = i * UINT64_C(0x9e3779b97f4a7c15);
    for (int round = 0; round < 100; round++) {
        contract_activate(c, round % 2 ? NULL : as);
        CHECK(address == pattern && thread_current(c->p) == self);
        for (unsigned i = 0; i < 256; i++)
            CHECK(pattern[i] == i * UINT64_C(0x9e3779b97f4a7c15));
    }
    contract_leave_and_destroy(c, as);
}

void AspaceContract_LeavingTheSpaceTakesItsMemoryOutOfReach(struct contract *c)
{
    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, 1, MEMORY_READ | MEMORY_WRITE);
    contract_put(c, AREA, 77);
    contract_activate(c, NULL);
    CHECK(!contract_readable(c, AREA));
    CHECK(!contract_writable(c, AREA));
    contract_activate(c, as);
    CHECK_EQUAL(contract_get(c, AREA), 77);
    contract_leave_and_destroy(c, as);
}

void AspaceContract_CreateFailingAtAnyHostCallLeavesNothing(struct contract *c)
{
    unsigned nth = 1;
    for (bool fired = true; fired && nth < 500; nth++) {
        int err = 0;
        c->front->fault_arm(nth);
        struct aspace *as = aspace_create(c->p, &err);
        fired = c->front->fault_arm(0);
        CHECK(as != NULL || fired);
        CHECK(as != NULL || err == -ENOMEM || err == -EAGAIN);
        if (as) {
            contract_activate(c, as);
            contract_map(c, as, AREA, 1, MEMORY_READ | MEMORY_WRITE);
            contract_put(c, AREA, nth);
            contract_leave_and_destroy(c, as);
        }
    }
    CHECK(nth < 500);
}

/* 64 MiB are written; the host must see them come and go. */
void AspaceContract_DestroyReleasesMemory(struct contract *c)
{
    enum { PAGES = 16384 };
    const uint64_t size = (uint64_t)PAGES * PAGE;

    struct aspace *warm = contract_space(c); /* what a first space costs once is not a leak */
    contract_leave_and_destroy(c, warm);
    uint64_t before = contract_measure(c).memory_bytes;

    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, PAGES, MEMORY_READ | MEMORY_WRITE);
    for (uint64_t i = 0; i < PAGES; i++)
        contract_put(c, AREA + i * PAGE, i);
    uint64_t during = contract_measure(c).memory_bytes;
    CHECK(during > before + size - size / 8);

    contract_leave_and_destroy(c, as);
    uint64_t after = during;
    for (int i = 0; i < 100 && after > before + size / 8; i++) {
        contract_sleep_ms(c, 200); /* release may happen in the background */
        after = contract_measure(c).memory_bytes;
    }
    CHECK(after <= before + size / 8);
}

void AspaceContract_StatsNameOnlyCountersTheyKnow(struct contract *c)
{
    struct aspace *as = contract_space(c);
    struct aspace_stats stats;
    contract_map(c, as, AREA, 8, MEMORY_READ | MEMORY_WRITE);
    for (int i = 0; i < 8; i++)
        contract_put(c, AREA + (uint64_t)i * PAGE, 1);
    __builtin_memset(&stats, 0xff, sizeof(stats));
    aspace_stats(c->p, as, &stats);
    CHECK(stats.known < ASPACE_STAT_RESIDENT * 2);
    const struct {
        uint64_t bit, value;
    } counters[] = {
        {ASPACE_STAT_FORKS, stats.forks},
        {ASPACE_STAT_FAULTS, stats.faults},
        {ASPACE_STAT_SHARED_AT_FORK, stats.pages_shared_at_fork},
        {ASPACE_STAT_COPIED_EAGERLY, stats.pages_copied_eagerly},
        {ASPACE_STAT_COPIED_BY_WRITE, stats.pages_copied_by_write},
        {ASPACE_STAT_RECLAIMED, stats.pages_reclaimed},
        {ASPACE_STAT_TABLES_SHARED, stats.table_pages_shared},
        {ASPACE_STAT_RESIDENT, stats.pages_resident},
    };
    for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
        CHECK((stats.known & counters[i].bit) || counters[i].value == 0);
    if (stats.known & ASPACE_STAT_RESIDENT)
        CHECK(stats.pages_resident >= 8);
    if (stats.known & ASPACE_STAT_FORKS)
        CHECK_EQUAL(stats.forks, 0);
    contract_leave_and_destroy(c, as);
}

/* What must be stopped. The tokens are hidden from the compiler, which would rightly warn. */

static struct aspace *launder(struct aspace *as)
{
    __asm__ volatile("" : "+r"(as));
    return as;
}

static struct aspace *stale_token(struct contract *c)
{
    struct aspace *as = contract_space(c);
    struct aspace *stale = launder(as);
    contract_leave_and_destroy(c, as);
    return stale;
}

void AspaceContractDeath_DestroyTwiceAborts(struct contract *c)
{
    aspace_destroy(c->p, stale_token(c));
}

void AspaceContractDeath_ActivatingADestroyedSpaceAborts(struct contract *c)
{
    contract_activate(c, stale_token(c));
}

void AspaceContractDeath_ForkingADestroyedSpaceAborts(struct contract *c)
{
    contract_fork(c, stale_token(c));
}

void AspaceContractDeath_StaleTokenAbortsThoughANewSpaceWasMade(struct contract *c)
{
    struct aspace *stale = stale_token(c);
    struct aspace *fresh = contract_space(c);
    CHECK(fresh != stale);
    contract_activate(c, NULL);
    aspace_destroy(c->p, stale);
}

void AspaceContractDeath_TokenOfZerosAborts(struct contract *c)
{
    struct aspace forged = {0};
    contract_activate(c, launder(&forged));
}

void AspaceContractDeath_TokenWithoutOwnerAborts(struct contract *c)
{
    struct aspace forged = {.magic = ASPACE_MAGIC, .generation = 1, .id = 1};
    contract_activate(c, launder(&forged));
}

void AspaceContractDeath_DestroyWhileActiveAborts(struct contract *c)
{
    aspace_destroy(c->p, contract_space(c));
}

void AspaceContractDeath_MappingAnUnalignedRangeAborts(struct contract *c)
{
    contract_map(c, contract_space(c), AREA + 1, 1, MEMORY_READ);
}

void AspaceContractDeath_MappingBelowTheGuestRangeAborts(struct contract *c)
{
    contract_map(c, contract_space(c), c->p->guest_min - PAGE, 1, MEMORY_READ);
}

void AspaceContractDeath_UnmappingPastTheGuestRangeAborts(struct contract *c)
{
    struct aspace *as = contract_space(c);
    CHECK_EQUAL(memory_unmap(c->p, as, guest_addr(c->p->guest_end - PAGE), 2 * PAGE), 0);
}

void AspaceContractDeath_MovingOntoItselfAborts(struct contract *c)
{
    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, 4, MEMORY_READ);
    CHECK_EQUAL(
        memory_move(c->p, as, guest_addr(AREA), 2 * PAGE, guest_addr(AREA + PAGE), 2 * PAGE), 0);
}

void AspaceContractDeath_UnwrittenSlotAborts(struct contract *c UNUSED)
{
    platform_unimplemented("example: slot");
}

void InstanceContractDeath_PanicEndsEverythingWithItsWords(struct contract *c UNUSED)
{
    platform_panic("these are the last words");
}

/* Several spaces at once */

void ManySpacesContract_CopiesActOnTheActiveSpace(struct contract *c)
{
    struct aspace *spaces[3];
    for (uint64_t i = 0; i < 3; i++) {
        spaces[i] = contract_space(c);
        contract_map(c, spaces[i], AREA, 1, MEMORY_READ | MEMORY_WRITE);
        contract_put(c, AREA, 100 + i);
    }
    for (uint64_t i = 0; i < 9; i++) {
        contract_activate(c, spaces[i % 3]);
        CHECK_EQUAL(contract_get(c, AREA), 100 + i % 3);
    }
    contract_activate(c, NULL);
    for (int i = 0; i < 3; i++)
        aspace_destroy(c->p, spaces[i]);
}

void ManySpacesContract_SixtyFourSpacesLiveAtOnce(struct contract *c)
{
    enum { COUNT = 64 };
    struct aspace *spaces[COUNT];
    for (uint64_t i = 0; i < COUNT; i++) {
        spaces[i] = contract_space(c);
        contract_map(c, spaces[i], AREA, 2, MEMORY_READ | MEMORY_WRITE);
        contract_put(c, AREA, i);
    }
    for (uint64_t i = COUNT; i-- > 0;) {
        contract_activate(c, spaces[i]);
        CHECK_EQUAL(contract_get(c, AREA), i);
        CHECK_EQUAL(contract_get(c, AREA + PAGE), 0);
    }
    contract_activate(c, NULL);
    for (int i = 0; i < COUNT; i++)
        aspace_destroy(c->p, spaces[i]);
}

void ManySpacesContract_ActivateFailingAtAnyHostCallStaysPut(struct contract *c)
{
    struct aspace *home = contract_space(c);
    contract_map(c, home, AREA, 1, MEMORY_READ | MEMORY_WRITE);
    contract_put(c, AREA, 1);
    unsigned nth = 1;
    for (bool fired = true; fired && nth < 500; nth++) {
        int err = 0;
        struct aspace *other = aspace_create(c->p, &err);
        MUST(other != NULL);
        c->front->fault_arm(nth);
        int ret = aspace_activate(c->p, other);
        fired = c->front->fault_arm(0);
        CHECK(ret == 0 || ret == -EAGAIN || ret == -ENOMEM);
        CHECK(ret == 0 || fired);
        if (ret) {
            CHECK_EQUAL(contract_get(c, AREA), 1);
        } else {
            CHECK(!contract_readable(c, AREA));
            contract_activate(c, home);
        }
        aspace_destroy(c->p, other);
    }
    CHECK(nth < 500);
    contract_leave_and_destroy(c, home);
}

void ManySpacesContract_PeekAndPokeReachAnInactiveSpace(struct contract *c)
{
    struct aspace *far = contract_space(c);
    contract_map(c, far, AREA, 2, MEMORY_READ | MEMORY_WRITE);
    contract_map(c, far, AREA + 2 * PAGE, 1, MEMORY_READ);
    struct aspace *near = contract_space(c);
    unsigned char bytes[64];

    contract_poke(c, far, AREA + PAGE - 4, UINT64_C(0x1122334455667788));
    CHECK_EQUAL(contract_peek(c, far, AREA + PAGE - 4), UINT64_C(0x1122334455667788));
    CHECK(!contract_readable(c, AREA));
    /* A read-only page stops a write, and a hole stops both, at the exact byte. */
    __builtin_memset(bytes, 7, sizeof(bytes));
    CHECK_EQUAL(aspace_poke(c->p, far, guest_addr(AREA + 2 * PAGE - 10), bytes, 64), 54);
    CHECK_EQUAL(aspace_peek(c->p, far, bytes, guest_addr(AREA + 3 * PAGE - 20), 64), 44);
    CHECK_EQUAL(aspace_peek(c->p, near, bytes, guest_addr(AREA), 64), 64);
    contract_activate(c, NULL);
    CHECK_EQUAL(contract_peek(c, far, AREA + PAGE - 4), UINT64_C(0x1122334455667788));
    aspace_destroy(c->p, near);
    aspace_destroy(c->p, far);
}

void ManySpacesContract_SpacesCanBeMadeAndDestroyedAThousandTimes(struct contract *c)
{
    for (uint64_t i = 0; i < 1000; i++) {
        struct aspace *as = contract_space(c);
        contract_map(c, as, AREA, 1, MEMORY_READ | MEMORY_WRITE);
        CHECK_EQUAL(contract_get(c, AREA), 0);
        contract_put(c, AREA, i);
        contract_leave_and_destroy(c, as);
    }
}

static void stay_inside(struct contract *c, void *arg)
{
    __atomic_store_n((uint32_t *)arg, 1, __ATOMIC_RELEASE);
    for (;;)
        contract_sleep_ms(c, 1000);
}

void ManySpacesContractDeath_DestroyWhileAnotherThreadIsInsideAborts(struct contract *c)
{
    struct contract_worker w;
    uint32_t inside = 0;
    struct aspace *as = contract_space(c);
    contract_activate(c, NULL);
    contract_start(c, &w, as, stay_inside, &inside);
    while (!__atomic_load_n(&inside, __ATOMIC_ACQUIRE))
        contract_sleep_ms(c, 1);
    aspace_destroy(c->p, as);
}

/* How a platform without fork says so. */
void SingleSpaceContract_SecondSpaceIsNotSupported(struct contract *c)
{
    int err = 0;
    struct aspace *as = contract_space(c);
    CHECK(aspace_create(c->p, &err) == NULL);
    CHECK_EQUAL(err, -ENOTSUP);
    err = 0;
    CHECK(aspace_fork(c->p, as, &err) == NULL);
    CHECK_EQUAL(err, -ENOTSUP);
    contract_leave_and_destroy(c, as);
    as = contract_space(c);
    contract_leave_and_destroy(c, as);
}
