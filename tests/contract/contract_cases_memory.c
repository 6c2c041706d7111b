/*
 * contract_cases_memory.c: guest_memory.h: mapping, protection, copies.
 */
#include "tests/contract/contract.h"
#include "tests/contract/contract_prototypes.h"

static const unsigned g_rw = MEMORY_READ | MEMORY_WRITE;

void MemoryContract_FreshMemoryReadsZero(struct contract *c)
{
    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, 16, g_rw);
    for (uint64_t at = AREA; at < AREA + 16 * PAGE; at += 512)
        CHECK_EQUAL(contract_get(c, at), 0);
    contract_map(c, as, c->p->guest_min, 1, g_rw); /* the ends of the range */
    contract_map(c, as, c->p->guest_end - PAGE, 1, g_rw);
    CHECK_EQUAL(contract_get(c, c->p->guest_end - 8), 0);
    contract_put(c, c->p->guest_min, 1);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_MapReplacesWhatWasThere(struct contract *c)
{
    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, 3, g_rw);
    for (uint64_t i = 0; i < 3; i++)
        contract_put(c, AREA + i * PAGE, 1 + i);
    contract_map(c, as, AREA + PAGE, 1, MEMORY_READ);
    CHECK_EQUAL(contract_get(c, AREA), 1);
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 0);
    CHECK(!contract_writable(c, AREA + PAGE));
    CHECK_EQUAL(contract_get(c, AREA + 2 * PAGE), 3);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_UnmapLeavesAHoleAndMayMeetOne(struct contract *c)
{
    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, 3, g_rw);
    CHECK_EQUAL(memory_unmap(c->p, as, guest_addr(AREA + PAGE), PAGE), 0);
    CHECK(contract_readable(c, AREA + PAGE - 1));
    CHECK(!contract_readable(c, AREA + PAGE));
    CHECK(!contract_readable(c, AREA + 2 * PAGE - 1));
    CHECK(contract_readable(c, AREA + 2 * PAGE));
    CHECK_EQUAL(memory_unmap(c->p, as, guest_addr(AREA - PAGE), 8 * PAGE), 0);
    CHECK_EQUAL(memory_unmap(c->p, as, guest_addr(AREA - PAGE), 8 * PAGE), 0);
    CHECK(!contract_readable(c, AREA));
    contract_leave_and_destroy(c, as);
}

void MemoryContract_MapFailingAtAnyHostCallIsAllOrNothing(struct contract *c)
{
    struct aspace *as = contract_space(c);
    unsigned nth = 1;
    for (bool fired = true; fired && nth < 500; nth++) {
        struct memory_map_request req = {
            .addr = guest_addr(AREA), .size = 4 * PAGE, .sharing = MEMORY_PRIVATE, .prot = g_rw};
        contract_map(c, as, AREA, 4, g_rw);
        contract_put(c, AREA, 1);
        contract_put(c, AREA + 3 * PAGE, 1);
        c->front->fault_arm(nth);
        int ret = memory_map(c->p, as, &req);
        fired = c->front->fault_arm(0);
        if (ret == 0) {
            CHECK_EQUAL(contract_get(c, AREA), 0);
            CHECK_EQUAL(contract_get(c, AREA + 3 * PAGE), 0);
            continue;
        }
        CHECK(fired);
        CHECK_EQUAL(ret, -ENOMEM);
        bool first = contract_readable(c, AREA), last = contract_readable(c, AREA + 3 * PAGE);
        CHECK_EQUAL(first, last);
        if (first && last) {
            CHECK_EQUAL(contract_get(c, AREA), 1);
            CHECK_EQUAL(contract_get(c, AREA + 3 * PAGE), 1);
        }
    }
    CHECK(nth < 500);
    contract_leave_and_destroy(c, as);
}

/* Every distance to the edge, at every alignment within a word. */
void MemoryContract_CopyInStopsAtTheFirstUnreachableByte(struct contract *c)
{
    struct aspace *as = contract_space(c);
    unsigned char bytes[80];
    contract_map(c, as, AREA, 1, g_rw);
    for (uint64_t i = 0; i < PAGE; i += 8)
        contract_put(c, AREA + i,
                     UINT64_C(0x0706050403020100) + (i & 0xff) * UINT64_C(0x0101010101010101));
    for (size_t reachable = 0; reachable <= 72; reachable++) {
        __builtin_memset(bytes, 0xee, sizeof(bytes));
        size_t left = guest_copy_in(c->p, bytes, guest_addr(AREA + PAGE - reachable), 72);
        CHECK_EQUAL(left, 72 - reachable);
        for (size_t i = 0; i < reachable; i++)
            CHECK(bytes[i] == (unsigned char)((PAGE - reachable + i) & 0xff));
        for (size_t i = 72; i < sizeof(bytes); i++)
            CHECK_EQUAL(bytes[i], 0xee);
    }
    /* A hole before the first byte: nothing at all. */
    CHECK_EQUAL(guest_copy_in(c->p, bytes, guest_addr(AREA - 1), 72), 72);
    CHECK_EQUAL(guest_copy_in(c->p, bytes, guest_addr(AREA), 0), 0);
    CHECK_EQUAL(guest_copy_in(c->p, bytes, guest_addr(0), 0), 0);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_CopyOutStopsAtTheFirstUnreachableByte(struct contract *c)
{
    struct aspace *as = contract_space(c);
    unsigned char bytes[72], back[72];
    contract_map(c, as, AREA, 1, g_rw);
    contract_map(c, as, AREA + PAGE, 1, MEMORY_READ);
    for (size_t reachable = 0; reachable <= 72; reachable++) {
        __builtin_memset(bytes, (int)reachable + 1, sizeof(bytes));
        CHECK_EQUAL(guest_zero(c->p, guest_addr(AREA + PAGE - 72), 72), 0);
        size_t left = guest_copy_out(c->p, guest_addr(AREA + PAGE - reachable), bytes, 72);
        CHECK_EQUAL(left, 72 - reachable);
        CHECK_EQUAL(guest_copy_in(c->p, back, guest_addr(AREA + PAGE - 72), 72), 0);
        for (size_t i = 0; i < 72; i++)
            CHECK_EQUAL(back[i], i < 72 - reachable ? 0 : reachable + 1);
    }
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 0);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_ZeroStopsAtTheFirstUnreachableByte(struct contract *c)
{
    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, 2, g_rw);
    contract_put(c, AREA + 2 * PAGE - 16, UINT64_MAX);
    contract_put(c, AREA + 2 * PAGE - 8, UINT64_MAX);
    CHECK_EQUAL(guest_zero(c->p, guest_addr(AREA + 2 * PAGE - 12), PAGE), PAGE - 12);
    CHECK_EQUAL(contract_get(c, AREA + 2 * PAGE - 16), UINT32_MAX);
    CHECK_EQUAL(contract_get(c, AREA + 2 * PAGE - 8), 0);
    CHECK_EQUAL(guest_zero(c->p, guest_addr(AREA + 2 * PAGE), 5), 5);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_CopiesAcceptAnyAddress(struct contract *c)
{
    static const uint64_t bad[] = {0,
                                   1,
                                   0xffff,
                                   UINT64_C(0x7fffffffefff),
                                   UINT64_C(0x800000000000),
                                   UINT64_C(0x8000000000000000),
                                   UINT64_C(0xffffffff80000000),
                                   UINT64_MAX - 4,
                                   UINT64_MAX};
    struct aspace *as = contract_space(c);
    char bytes[16] = "x";
    uint32_t word;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct guest_addr at = guest_addr(bad[i]);
        CHECK_EQUAL(guest_copy_in(c->p, bytes, at, sizeof(bytes)), sizeof(bytes));
        CHECK_EQUAL(guest_copy_out(c->p, at, bytes, sizeof(bytes)), sizeof(bytes));
        CHECK_EQUAL(guest_zero(c->p, at, sizeof(bytes)), sizeof(bytes));
        CHECK_EQUAL(guest_string_in(c->p, bytes, at, sizeof(bytes)), -EFAULT);
        CHECK_EQUAL(aspace_peek(c->p, as, bytes, at, sizeof(bytes)), sizeof(bytes));
        CHECK_EQUAL(aspace_poke(c->p, as, at, bytes, sizeof(bytes)), sizeof(bytes));
        CHECK_EQUAL(guest_load32(c->p, guest_addr(bad[i] & ~UINT64_C(3)), &word), -EFAULT);
    }
    /* Across the end of the guest's range, and a size that wraps around. */
    contract_map(c, as, c->p->guest_end - PAGE, 1, g_rw);
    struct guest_addr last = guest_addr(c->p->guest_end - 5);
    CHECK_EQUAL(guest_copy_in(c->p, bytes, last, sizeof(bytes)), sizeof(bytes) - 5);
    CHECK_EQUAL(guest_copy_out(c->p, last, bytes, sizeof(bytes)), sizeof(bytes) - 5);
    CHECK_EQUAL(guest_zero(c->p, last, sizeof(bytes)), sizeof(bytes) - 5);
    CHECK_EQUAL(aspace_peek(c->p, as, bytes, last, sizeof(bytes)), sizeof(bytes) - 5);
    CHECK_EQUAL(aspace_poke(c->p, as, last, bytes, sizeof(bytes)), sizeof(bytes) - 5);
    contract_map(c, as, AREA, 1, MEMORY_READ);
    CHECK_EQUAL(guest_zero(c->p, guest_addr(AREA), SIZE_MAX), SIZE_MAX);
    /* Memory of the shim is no guest memory, wherever it lies. */
    CHECK_EQUAL(guest_copy_in(c->p, bytes, guest_addr((uintptr_t)&word), 4), 4);
    CHECK_EQUAL(guest_zero(c->p, guest_addr((uintptr_t)&word), 4), 4);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_LargeCopiesArriveWhole(struct contract *c)
{
    enum { SIZE = 1 << 20 };
    struct aspace *as = contract_space(c);
    uint32_t *from = shim_memory_alloc(c->p, SIZE), *to = shim_memory_alloc(c->p, SIZE);
    MUST(from != NULL && to != NULL);
    for (uint32_t i = 0; i < SIZE / 4; i++)
        from[i] = i * 2654435761u;
    contract_map(c, as, AREA, SIZE / PAGE + 1, g_rw);
    CHECK_EQUAL(guest_copy_out(c->p, guest_addr(AREA + 123), from, SIZE), 0);
    CHECK_EQUAL(guest_copy_in(c->p, to, guest_addr(AREA + 123), SIZE), 0);
    CHECK(__builtin_memcmp(from, to, SIZE) == 0);
    __builtin_memset(to, 0, SIZE);
    CHECK_EQUAL(aspace_peek(c->p, as, to, guest_addr(AREA + 123), SIZE), 0);
    CHECK(__builtin_memcmp(from, to, SIZE) == 0);
    CHECK_EQUAL(guest_copy_in(c->p, to, guest_addr(AREA + 123 + PAGE), SIZE), 123);
    shim_memory_free(c->p, from, SIZE);
    shim_memory_free(c->p, to, SIZE);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_ReadOnlyPagesStopWrites(struct contract *c)
{
    struct aspace *as = contract_space(c);
    uint32_t old = 0;
    contract_map(c, as, AREA, 1, MEMORY_READ);
    CHECK(contract_readable(c, AREA) && !contract_writable(c, AREA));
    CHECK_EQUAL(guest_zero(c->p, guest_addr(AREA), 8), 8);
    CHECK_EQUAL(guest_cmpxchg32(c->p, guest_addr(AREA), 0, 1, &old), -EFAULT);
    CHECK_EQUAL(contract_get(c, AREA), 0);
    CHECK_EQUAL(memory_protect(c->p, as, guest_addr(AREA), PAGE, g_rw), 0);
    CHECK(contract_writable(c, AREA));
    contract_leave_and_destroy(c, as);
}

void MemoryContract_PagesWithoutAccessStopReads(struct contract *c)
{
    struct aspace *as = contract_space(c);
    uint32_t word;
    contract_map(c, as, AREA, 1, MEMORY_NONE);
    CHECK(!contract_readable(c, AREA) && !contract_writable(c, AREA));
    CHECK_EQUAL(guest_load32(c->p, guest_addr(AREA), &word), -EFAULT);
    CHECK_EQUAL(aspace_peek(c->p, as, &word, guest_addr(AREA), 4), 4);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_ProtectKeepsContents(struct contract *c)
{
    static const unsigned prots[] = {MEMORY_READ, MEMORY_NONE, MEMORY_READ | MEMORY_EXEC,
                                     MEMORY_READ | MEMORY_WRITE | MEMORY_EXEC};
    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, 3, g_rw);
    for (uint64_t i = 0; i < 3; i++)
        contract_put(c, AREA + i * PAGE, 7 + i);
    for (size_t i = 0; i < sizeof(prots) / sizeof(*prots); i++) {
        CHECK_EQUAL(memory_protect(c->p, as, guest_addr(AREA + PAGE), PAGE, prots[i]), 0);
        CHECK_EQUAL(contract_readable(c, AREA + PAGE), (prots[i] & MEMORY_READ) != 0);
        CHECK_EQUAL(contract_get(c, AREA), 7);
        CHECK_EQUAL(contract_get(c, AREA + 2 * PAGE), 9);
        CHECK(contract_writable(c, AREA + 2 * PAGE + 8));
    }
    CHECK_EQUAL(memory_protect(c->p, as, guest_addr(AREA), 3 * PAGE, g_rw), 0);
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 8);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_StringsEndAtTheirNulOrAtTheLimit(struct contract *c)
{
    struct aspace *as = contract_space(c);
    char text[32];
    contract_map(c, as, AREA, 2, g_rw);
    CHECK_EQUAL(guest_copy_out(c->p, guest_addr(AREA + PAGE - 3), "abcdef", 7), 0);
    CHECK_EQUAL(guest_string_in(c->p, text, guest_addr(AREA + PAGE - 3), sizeof(text)), 6);
    CHECK(__builtin_memcmp(text, "abcdef", 7) == 0);
    CHECK_EQUAL(guest_string_in(c->p, text, guest_addr(AREA + PAGE - 3), 7), 6);
    __builtin_memset(text, 'z', sizeof(text));
    CHECK_EQUAL(guest_string_in(c->p, text, guest_addr(AREA + PAGE - 3), 6), 6);
    CHECK(__builtin_memcmp(text, "abcdefz", 7) == 0);
    CHECK_EQUAL(guest_string_in(c->p, text, guest_addr(AREA), 1), 0);
    CHECK_EQUAL(guest_string_in(c->p, text, guest_addr(AREA), 0), 0);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_StringRunningIntoAHoleFails(struct contract *c)
{
    struct aspace *as = contract_space(c);
    char text[32];
    contract_map(c, as, AREA, 1, g_rw);
    CHECK_EQUAL(guest_copy_out(c->p, guest_addr(AREA + PAGE - 4), "abcd", 4), 0);
    CHECK_EQUAL(guest_string_in(c->p, text, guest_addr(AREA + PAGE - 4), sizeof(text)), -EFAULT);
    CHECK_EQUAL(guest_string_in(c->p, text, guest_addr(AREA + PAGE - 4), 4), 4);
    CHECK_EQUAL(guest_copy_out(c->p, guest_addr(AREA + PAGE - 4), "abc", 4), 0);
    CHECK_EQUAL(guest_string_in(c->p, text, guest_addr(AREA + PAGE - 4), sizeof(text)), 3);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_CompareAndExchangeActsOnceAndReportsTheValueSeen(struct contract *c)
{
    struct aspace *as = contract_space(c);
    uint32_t old = 99, value = 0;
    contract_map(c, as, AREA, 1, g_rw);
    CHECK_EQUAL(guest_cmpxchg32(c->p, guest_addr(AREA + 4), 0, 5, &old), 0);
    CHECK_EQUAL(old, 0);
    CHECK_EQUAL(guest_cmpxchg32(c->p, guest_addr(AREA + 4), 0, 6, &old), 0);
    CHECK_EQUAL(old, 5);
    CHECK_EQUAL(guest_load32(c->p, guest_addr(AREA + 4), &value), 0);
    CHECK_EQUAL(value, 5);
    CHECK_EQUAL(contract_get(c, AREA), UINT64_C(5) << 32);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_AtomicsOnUnreachableWordsFail(struct contract *c)
{
    struct aspace *as = contract_space(c);
    uint32_t old = 1;
    CHECK_EQUAL(guest_load32(c->p, guest_addr(AREA), &old), -EFAULT);
    CHECK_EQUAL(guest_cmpxchg32(c->p, guest_addr(AREA), 0, 1, &old), -EFAULT);
    CHECK_EQUAL(guest_cmpxchg32(c->p, guest_addr(0), 0, 1, &old), -EFAULT);
    CHECK_EQUAL(guest_cmpxchg32(c->p, guest_addr(UINT64_MAX - 3), 0, 1, &old), -EFAULT);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_MoveCarriesContentsAndGrowsByZeros(struct contract *c)
{
    const uint64_t target = AREA + 0x100000;
    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, 2, g_rw);
    contract_put(c, AREA, 11);
    contract_put(c, AREA + PAGE, 12);
    contract_map(c, as, target + PAGE, 1, g_rw); /* in the way: replaced */
    contract_put(c, target + PAGE, 13);
    CHECK_EQUAL(memory_move(c->p, as, guest_addr(AREA), 2 * PAGE, guest_addr(target), 4 * PAGE), 0);
    CHECK(!contract_readable(c, AREA) && !contract_readable(c, AREA + PAGE));
    CHECK_EQUAL(contract_get(c, target), 11);
    CHECK_EQUAL(contract_get(c, target + PAGE), 12);
    CHECK_EQUAL(contract_get(c, target + 2 * PAGE), 0);
    contract_put(c, target + 3 * PAGE, 14);
    CHECK(!contract_readable(c, target + 4 * PAGE));
    contract_leave_and_destroy(c, as);
}

void MemoryContract_MoveOfAnObjectGrowsByTheObject(struct contract *c)
{
    const uint64_t target = AREA + 0x100000;
    int err = 0;
    struct memory_object *obj = memory_object_create(c->p, 3 * PAGE, &err);
    MUST(obj != NULL);
    struct aspace *as = contract_space(c);
    contract_map_object(c, as, AREA, 1, MEMORY_SHARED, obj, PAGE);
    contract_put(c, AREA, 21);
    uint64_t value = 22;
    CHECK_EQUAL(memory_object_write(c->p, obj, 2 * PAGE, mem_shim(&value, 8)), 8);
    CHECK_EQUAL(memory_move(c->p, as, guest_addr(AREA), PAGE, guest_addr(target), 2 * PAGE), 0);
    CHECK_EQUAL(contract_get(c, target), 21);
    CHECK_EQUAL(contract_get(c, target + PAGE), 22);
    contract_put(c, target + PAGE, 23);
    CHECK_EQUAL(memory_object_read(c->p, obj, 2 * PAGE, mem_shim(&value, 8)), 8);
    CHECK_EQUAL(value, 23);
    memory_object_put(c->p, obj);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_DontneedBringsZerosOrTheObjectBack(struct contract *c)
{
    int err = 0;
    uint64_t value = 31;
    struct memory_object *obj = memory_object_create(c->p, PAGE, &err);
    MUST(obj != NULL);
    CHECK_EQUAL(memory_object_write(c->p, obj, 0, mem_shim(&value, 8)), 8);
    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, 1, g_rw);
    contract_map_object(c, as, AREA + PAGE, 1, MEMORY_PRIVATE, obj, 0);
    contract_map_object(c, as, AREA + 2 * PAGE, 1, MEMORY_SHARED, obj, 0);
    contract_put(c, AREA, 1);
    contract_put(c, AREA + PAGE, 2);
    contract_put(c, AREA + 2 * PAGE + 8, 3);
    CHECK_EQUAL(memory_advise(c->p, as, guest_addr(AREA), 3 * PAGE, MEMORY_ADVICE_DONTNEED), 0);
    CHECK_EQUAL(contract_get(c, AREA), 0);
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 31);
    CHECK_EQUAL(contract_get(c, AREA + 2 * PAGE), 31);
    CHECK_EQUAL(contract_get(c, AREA + 2 * PAGE + 8), 3);
    memory_object_put(c->p, obj);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_AdviceThatDoesNotFitIsRefused(struct contract *c)
{
    int err = 0;
    struct memory_object *obj = memory_object_create(c->p, PAGE, &err);
    MUST(obj != NULL);
    struct aspace *as = contract_space(c);
    contract_map_object(c, as, AREA, 1, MEMORY_SHARED, obj, 0);
    CHECK_EQUAL(memory_advise(c->p, as, guest_addr(AREA), PAGE, MEMORY_ADVICE_WIPEONFORK), -EINVAL);
    CHECK_EQUAL(memory_advise(c->p, as, guest_addr(AREA), PAGE, MEMORY_ADVICE_FREE), -EINVAL);
    CHECK_EQUAL(memory_advise(c->p, as, guest_addr(AREA + PAGE), PAGE, MEMORY_ADVICE_DONTNEED),
                -ENOMEM);
    contract_map(c, as, AREA, 1, g_rw);
    for (int advice = MEMORY_ADVICE_DONTNEED; advice <= MEMORY_ADVICE_POPULATE_WRITE; advice++)
        CHECK_EQUAL(memory_advise(c->p, as, guest_addr(AREA), PAGE, (enum memory_advice)advice), 0);
    memory_object_put(c->p, obj);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_PopulatedPagesArePresent(struct contract *c)
{
    int err = 0;
    unsigned char vec[4] = {0, 0, 0, 0};
    struct memory_object *obj = memory_object_create(c->p, PAGE, &err);
    MUST(obj != NULL);
    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, 4, g_rw);
    CHECK_EQUAL(memory_advise(c->p, as, guest_addr(AREA), 4 * PAGE, MEMORY_ADVICE_POPULATE_WRITE),
                0);
    CHECK_EQUAL(memory_resident(c->p, as, guest_addr(AREA), 4 * PAGE, vec), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(vec[i] & 1, 1);
    contract_map_object(c, as, AREA, 2, MEMORY_SHARED, obj, 0);
    CHECK_EQUAL(memory_advise(c->p, as, guest_addr(AREA), PAGE, MEMORY_ADVICE_POPULATE_WRITE), 0);
    CHECK_EQUAL(memory_advise(c->p, as, guest_addr(AREA), 2 * PAGE, MEMORY_ADVICE_POPULATE_READ),
                -EFAULT);
    memory_object_put(c->p, obj);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_ResidentTellsWrittenPages(struct contract *c)
{
    struct aspace *as = contract_space(c);
    unsigned char vec[4] = {9, 9, 9, 9};
    contract_map(c, as, AREA, 4, g_rw);
    CHECK_EQUAL(memory_advise(c->p, as, guest_addr(AREA), 4 * PAGE, MEMORY_ADVICE_NOHUGEPAGE), 0);
    contract_put(c, AREA + PAGE, 1);
    contract_put(c, AREA + 3 * PAGE, 1);
    CHECK_EQUAL(memory_resident(c->p, as, guest_addr(AREA), 4 * PAGE, vec), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(vec[i] & 1, i % 2);
    CHECK_EQUAL(memory_resident(c->p, as, guest_addr(AREA + 4 * PAGE), PAGE, vec), -ENOMEM);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_PeekAndPokeActAsCopies(struct contract *c)
{
    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, 1, g_rw);
    contract_poke(c, as, AREA, 41);
    CHECK_EQUAL(contract_get(c, AREA), 41);
    CHECK_EQUAL(contract_peek(c, as, AREA), 41);
    contract_activate(c, NULL);
    contract_poke(c, as, AREA, 42);
    CHECK_EQUAL(contract_peek(c, as, AREA), 42);
    uint64_t value;
    CHECK_EQUAL(aspace_peek(c->p, as, &value, guest_addr(AREA + PAGE - 3), 8), 5);
    aspace_destroy(c->p, as);
}

static struct {
    unsigned count, last;
    bool answer;
} g_asked;

static bool no_memory(unsigned asked)
{
    g_asked.count++;
    g_asked.last = asked;
    return g_asked.answer;
}

/* One access to the page at `at`, by each call that can find no memory. Did it succeed? */
enum {
    TOUCH_IN,
    TOUCH_STRING,
    TOUCH_LOAD,
    TOUCH_OUT,
    TOUCH_ZERO,
    TOUCH_EXCHANGE,
    TOUCH_POKE,
    TOUCH_OBJECT,
    TOUCHES
};
static bool touch(struct contract *c, const struct aspace *as, struct memory_object *obj, int how,
                  uint64_t at)
{
    uint64_t value = 7;
    uint32_t word = 0;
    switch (how) {
    case TOUCH_IN:
        return guest_copy_in(c->p, &value, guest_addr(at), 8) == 0;
    case TOUCH_STRING:
        return guest_string_in(c->p, (char *)&value, guest_addr(at), 8) == 0;
    case TOUCH_LOAD:
        return guest_load32(c->p, guest_addr(at), &word) == 0;
    case TOUCH_OUT:
        return guest_copy_out(c->p, guest_addr(at), &value, 8) == 0;
    case TOUCH_ZERO:
        return guest_zero(c->p, guest_addr(at), 8) == 0;
    case TOUCH_EXCHANGE:
        return guest_cmpxchg32(c->p, guest_addr(at), 0, 7, &word) == 0;
    case TOUCH_POKE:
        return aspace_poke(c->p, as, guest_addr(at), &value, 8) == 0;
    default:
        return memory_object_read(c->p, obj, 0, mem_guest(guest_addr(at), 8)) == 8;
    }
}

void MemoryContract_CopiesThatFindNoMemoryAskAndTryAgain(struct contract *c)
{
    struct aspace *as = contract_space(c);
    int err = memory_on_shortage(c->p, no_memory);
    CHECK(err == 0 || err == -EOPNOTSUPP);
    struct memory_object *obj = memory_object_create(c->p, PAGE, &(int){0});
    MUST(obj != NULL);
    CHECK_EQUAL(memory_object_write(c->p, obj, 0, mem_shim(&(uint64_t){7}, 8)), 8);
    for (int how = 0; how < TOUCHES; how++) {
        unsigned asked = 0, nth = 1;
        for (bool fired = true; fired && nth < 100; nth++)
            for (int answer = 0; answer < 2; answer++) {
                /* A table of its own has to be made for it. */
                const uint64_t at = AREA + (uint64_t)(nth + 1) * 0x200000;
                contract_map(c, as, at, 1, g_rw);
                g_asked.count = 0;
                g_asked.answer = answer;
                c->front->fault_arm(nth);
                bool done = touch(c, as, obj, how, at);
                fired = c->front->fault_arm(0);
                if (err == 0)
                    CHECK_EQUAL(done, answer || g_asked.count == 0);
                else
                    CHECK(done || fired);
                CHECK(g_asked.count <= (fired && err == 0));
                CHECK(g_asked.count == 0 || g_asked.last == 0);
                asked += g_asked.count;
                if (done && how >= TOUCH_OUT)
                    CHECK_EQUAL(contract_get(c, at), how == TOUCH_ZERO ? 0 : 7);
                CHECK_EQUAL(memory_unmap(c->p, as, guest_addr(at), PAGE), 0);
            }
        CHECK(nth < 100);
        /* Where there is no memory of the platform's own to find, nothing can be asked for. */
        if (how == TOUCH_OUT || how == TOUCH_OBJECT)
            CHECK((asked > 0) == (err == 0));
    }
    if (err == 0)
        CHECK_EQUAL(memory_on_shortage(c->p, NULL), 0);
    memory_object_put(c->p, obj);
    contract_leave_and_destroy(c, as);
}

void MemoryContract_ShimMemoryComesZeroedAndAligned(struct contract *c)
{
    for (size_t pages = 1; pages <= 64; pages *= 2) {
        unsigned char *memory = shim_memory_alloc(c->p, pages * PAGE);
        MUST(memory != NULL);
        CHECK((uintptr_t)memory % PAGE == 0);
        for (size_t i = 0; i < pages * PAGE; i += 64)
            CHECK_EQUAL(memory[i], 0);
        __builtin_memset(memory, 0x5a, pages * PAGE);
        shim_memory_free(c->p, memory, pages * PAGE);
    }
}
