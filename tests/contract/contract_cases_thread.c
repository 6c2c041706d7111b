/*
 * contract_cases_thread.c: thread.h and clock.h.
 */
#include "tests/contract/contract.h"
#include "tests/contract/contract_prototypes.h"

static const uint64_t g_ms = 1000000;

static uint64_t now(struct contract *c)
{
    return clock_now(c->p, CLOCK_KIND_MONOTONIC);
}

void ThreadContract_UnparkBeforeParkCounts(struct contract *c)
{
    struct thread *self = thread_current(c->p);
    CHECK(self != NULL);
    thread_unpark(c->p, self);
    thread_unpark(c->p, self);
    CHECK_EQUAL(thread_park(c->p, now(c) + 10000 * g_ms, NULL, 0), 0);
    /* One token, not two: this one ends by its deadline (or early, for no reason). */
    uint64_t end = now(c) + 20 * g_ms;
    while (thread_park(c->p, end, NULL, 0) != -ETIMEDOUT)
        continue;
    CHECK(now(c) >= end);
}

void ThreadContract_ParkEndsAtItsDeadline(struct contract *c)
{
    for (uint64_t ms = 0; ms < 30; ms += 10) {
        uint64_t end = now(c) + ms * g_ms;
        while (thread_park(c->p, end, NULL, 0) == 0)
            CHECK(now(c) < end + 100000 * g_ms);
        CHECK(now(c) >= end);
    }
    CHECK_EQUAL(thread_park(c->p, 0, NULL, 0), -ETIMEDOUT);
}

void ThreadContract_WaitEndsAtItsDeadline(struct contract *c)
{
    uint32_t word = 5;
    uint64_t end = now(c) + 20 * g_ms;
    int ret;
    while ((ret = thread_wait(c->p, &word, 5, end)) == 0)
        continue;
    CHECK_EQUAL(ret, -ETIMEDOUT);
    CHECK(now(c) >= end);
}

void ThreadContract_WaitRefusesAnotherValue(struct contract *c)
{
    uint32_t word = 5;
    CHECK_EQUAL(thread_wait(c->p, &word, 6, THREAD_WAIT_FOREVER), -EAGAIN);
    CHECK_EQUAL(thread_wake(c->p, &word, 10), 0);
}

void ThreadContract_ProcessorNumbersAreInRange(struct contract *c)
{
    unsigned count = thread_cpu_count(c->p);
    CHECK(count >= 1);
    for (int i = 0; i < 100; i++) {
        CHECK(thread_cpu_current(c->p) < count);
        thread_yield(c->p);
    }
    CHECK_EQUAL(thread_cpu_count(c->p), count);
}

static void read_first_word(struct contract *c, void *arg)
{
    uint64_t *out = arg;
    *out = contract_get(c, AREA);
}

void ThreadContract_SpawnedThreadStartsInItsSpace(struct contract *c)
{
    struct contract_worker w;
    uint64_t seen = 0;
    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, 1, MEMORY_READ | MEMORY_WRITE);
    contract_put(c, AREA, 91);
    contract_start(c, &w, as, read_first_word, &seen);
    contract_join(c, &w);
    CHECK_EQUAL(seen, 91);
    contract_activate(c, NULL);
    seen = 0;
    contract_start(c, &w, as, read_first_word, &seen); /* while nobody is inside */
    contract_join(c, &w);
    CHECK_EQUAL(seen, 91);
    aspace_destroy(c->p, as);
}

/*
 * Sleeps until told, and tells when it does; leaves only when `word` is set, so that it may be
 * unparked until then.
 */
struct sleeper {
    uint32_t ready, told, slept, woken;
    uint32_t word;
};

static void park_until_told(struct contract *c, void *arg)
{
    struct sleeper *s = arg;
    __atomic_store_n(&s->ready, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&s->told, __ATOMIC_ACQUIRE)) {
        CHECK_EQUAL(thread_park(c->p, THREAD_WAIT_FOREVER, NULL, 0), 0);
        __atomic_add_fetch(&s->woken, 1, __ATOMIC_RELEASE);
    }
    while (!__atomic_load_n(&s->word, __ATOMIC_ACQUIRE))
        thread_wait(c->p, &s->word, 0, THREAD_WAIT_FOREVER);
}

static void tell_and_join(struct contract *c, struct sleeper *s, struct contract_worker *w)
{
    __atomic_store_n(&s->told, 1, __ATOMIC_RELEASE);
    thread_unpark(c->p, w->thread);
    __atomic_store_n(&s->word, 1, __ATOMIC_RELEASE);
    thread_wake(c->p, &s->word, 1);
    contract_join(c, w);
}

static void wait_for(uint32_t *word, struct contract *c)
{
    while (!__atomic_load_n(word, __ATOMIC_ACQUIRE))
        contract_sleep_ms(c, 1);
}

void ThreadContract_UnparkWakesASleeper(struct contract *c)
{
    for (unsigned i = 0; i < 200; i++) {
        struct sleeper s = {0};
        struct contract_worker w;
        contract_start(c, &w, NULL, park_until_told, &s);
        if (i % 4 == 0)
            contract_sleep_ms(c, 1);
        if (i % 2)
            wait_for(&s.ready, c);
        tell_and_join(c, &s, &w);
    }
}

void ThreadContract_InterruptWakesASleeper(struct contract *c)
{
    struct sleeper s = {0};
    struct contract_worker w;
    contract_start(c, &w, NULL, park_until_told, &s);
    wait_for(&s.ready, c);
    contract_sleep_ms(c, 10);
    uint32_t before = __atomic_load_n(&s.woken, __ATOMIC_ACQUIRE);
    guest_interrupt(c->p, w.thread);
    for (int i = 0; i < 60000 && __atomic_load_n(&s.woken, __ATOMIC_ACQUIRE) == before; i++)
        contract_sleep_ms(c, 1);
    CHECK(__atomic_load_n(&s.woken, __ATOMIC_ACQUIRE) > before);
    tell_and_join(c, &s, &w);
}

static void wait_for_change(struct contract *c, void *arg)
{
    struct sleeper *s = arg;
    __atomic_add_fetch(&s->ready, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&s->word, __ATOMIC_ACQUIRE) == 0) {
        int ret = thread_wait(c->p, &s->word, 0, THREAD_WAIT_FOREVER);
        CHECK(ret == 0 || ret == -EAGAIN);
        __atomic_add_fetch(&s->woken, 1, __ATOMIC_RELEASE);
    }
}

void ThreadContract_WakeWakesWaiters(struct contract *c)
{
    enum { THREADS = 4 };
    struct sleeper s = {0};
    struct contract_worker workers[THREADS];
    for (int i = 0; i < THREADS; i++)
        contract_start(c, &workers[i], NULL, wait_for_change, &s);
    while (__atomic_load_n(&s.ready, __ATOMIC_ACQUIRE) < THREADS)
        contract_sleep_ms(c, 1);
    contract_sleep_ms(c, 20);
    CHECK(thread_wake(c->p, &s.word, 1) <= 1);
    __atomic_store_n(&s.word, 1, __ATOMIC_RELEASE);
    int woken = thread_wake(c->p, &s.word, UINT32_MAX);
    CHECK(woken >= 0 && woken <= THREADS);
    for (int i = 0; i < THREADS; i++)
        contract_join(c, &workers[i]);
    CHECK_EQUAL(thread_wake(c->p, &s.word, 1), 0);
}

void ThreadContract_WaitIsNotEndedByAnInterrupt(struct contract *c)
{
    struct sleeper s = {0};
    struct contract_worker w;
    contract_start(c, &w, NULL, wait_for_change, &s);
    wait_for(&s.ready, c);
    for (int i = 0; i < 20; i++) {
        contract_sleep_ms(c, 1);
        guest_interrupt(c->p, w.thread);
    }
    contract_sleep_ms(c, 20);
    CHECK_EQUAL(__atomic_load_n(&s.woken, __ATOMIC_ACQUIRE), 0);
    __atomic_store_n(&s.word, 1, __ATOMIC_RELEASE);
    thread_wake(c->p, &s.word, 1);
    contract_join(c, &w);
}

struct leaver {
    struct contract *c;
    struct aspace *last;
    uint32_t leaving;
};

static void leave_for_good(void *arg)
{
    struct leaver *l = arg;
    struct contract *c = l->c;
    struct aspace *last = l->last;
    contract_put(c, AREA, 1);
    __atomic_store_n(&l->leaving, 1, __ATOMIC_RELEASE);
    thread_exit(c->p, last);
}

/*
 * The token is given to the thread; that it is consumed shows in the host's count of processes and
 * memory.
 */
void ThreadContract_ExitDestroysTheSpaceItIsGiven(struct contract *c)
{
    struct contract_gauge before = {0};
    for (int i = 0; i < 100; i++) {
        struct thread *thread;
        struct leaver l = {.c = c, .last = contract_space(c)};
        contract_map(c, l.last, AREA, 1, MEMORY_READ | MEMORY_WRITE);
        contract_activate(c, NULL);
        CHECK_EQUAL(thread_spawn(c->p, l.last, leave_for_good, &l, &thread), 0);
        wait_for(&l.leaving, c);
        if (i == 49) {
            contract_sleep_ms(c, 200);
            before = contract_measure(c);
        }
    }
    struct contract_gauge after;
    for (int i = 0; i < 100; i++) {
        contract_sleep_ms(c, 200);
        after = contract_measure(c);
        if (after.processes <= before.processes + 2 &&
            after.memory_bytes < before.memory_bytes + (4 << 20))
            break;
    }
    CHECK(after.processes <= before.processes + 2);
    CHECK(after.memory_bytes < before.memory_bytes + (4 << 20));
}

enum { VACATED_PAGES = 512 };
struct vacater {
    struct contract *c;
    struct aspace *last;
    uint64_t before, after; /* bytes that guests hold */
    uint32_t emptied, go;
};

static void fill_and_vacate(void *arg)
{
    struct vacater *v = arg;
    struct contract *c = v->c;
    struct aspace *last = v->last;
    for (uint64_t i = 0; i < VACATED_PAGES; i++)
        contract_put(c, AREA + i * PAGE, i + 1);
    v->before = instance_memory_used(c->p, 0);
    aspace_vacate(c->p, last);
    v->after = instance_memory_used(c->p, 0);
    __atomic_store_n(&v->emptied, 1, __ATOMIC_RELEASE);
    wait_for(&v->go, c);
    thread_exit(c->p, last);
}

/* Its thread still lives, and so does the token, which the exit consumes. A fork shared pages with it: those are not lost. */
void ThreadContract_VacatedSpaceIsFreeBeforeItsThreadEnds(struct contract *c)
{
    const bool own_memory = memory_on_shortage(c->p, NULL) == 0;
    struct vacater v = {.c = c, .last = contract_space(c)};
    struct thread *thread;
    struct aspace *child = NULL;
    contract_map(c, v.last, AREA, VACATED_PAGES, MEMORY_READ | MEMORY_WRITE);
    contract_put(c, AREA, 7);
    if (c->p->features & PLATFORM_FEATURE_FORK)
        child = contract_fork(c, v.last);
    contract_activate(c, NULL);
    CHECK_EQUAL(thread_spawn(c->p, v.last, fill_and_vacate, &v, &thread), 0);
    wait_for(&v.emptied, c);
    if (own_memory)
        CHECK(v.after + VACATED_PAGES * (uint64_t)PAGE <= v.before);
    if (child) {
        CHECK_EQUAL(contract_peek(c, child, AREA), 7);
        aspace_destroy(c->p, child);
    }
    struct aspace *next = contract_space(c);
    contract_map(c, next, AREA, 1, MEMORY_READ | MEMORY_WRITE);
    CHECK_EQUAL(contract_get(c, AREA), 0);
    __atomic_store_n(&v.go, 1, __ATOMIC_RELEASE);
    contract_sleep_ms(c, 50);
    contract_put(c, AREA, 5);
    CHECK_EQUAL(contract_get(c, AREA), 5);
    contract_leave_and_destroy(c, next);
}

static void nothing(struct contract *c UNUSED, void *arg)
{
    __atomic_add_fetch((uint32_t *)arg, 1, __ATOMIC_RELEASE);
}

struct spawn_probe {
    struct contract *c;
    uint32_t ran;
};

static void run_and_leave(void *arg)
{
    struct spawn_probe *probe = arg;
    struct platform *p = probe->c->p;
    /* Out of the space first: who waits for `ran` may destroy it at once. The call that is to fail may be of this. */
    while (aspace_activate(p, NULL) != 0)
        continue;
    __atomic_store_n(&probe->ran, 1, __ATOMIC_RELEASE);
    thread_exit(p, NULL);
}

void ThreadContract_SpawnFailingAtAnyHostCallStartsNothing(struct contract *c)
{
    /* Static: a thread that ran although spawn failed must not meet a dead stack frame. */
    static struct spawn_probe probes[500];
    struct aspace *as = contract_space(c);
    unsigned nth = 1;
    for (bool fired = true; fired && nth < 500; nth++) {
        struct spawn_probe *probe = &probes[nth];
        struct thread *thread;
        probe->c = c;
        c->front->fault_arm(nth);
        int ret = thread_spawn(c->p, as, run_and_leave, probe, &thread);
        if (ret == 0)
            wait_for(&probe->ran, c);
        else
            contract_sleep_ms(c, 5);
        fired = c->front->fault_arm(0);
        CHECK(ret == 0 || (fired && (ret == -EAGAIN || ret == -ENOMEM)));
        CHECK_EQUAL(probe->ran, ret == 0);
    }
    CHECK(nth < 500);
    struct contract_worker w;
    uint32_t count = 0;
    contract_start(c, &w, as, nothing, &count);
    contract_join(c, &w);
    CHECK_EQUAL(count, 1);
    contract_leave_and_destroy(c, as);
}

void ThreadContract_SpawnFailingAgainAndAgainTakesNothing(struct contract *c)
{
    enum { AGAIN = 5000 }; /* more than any table for threads of a space has places */
    static struct spawn_probe probe;
    struct aspace *as = contract_space(c);
    contract_activate(c, as); /* whatever stands ready for a first thread is in use */
    probe.c = c;
    bool fired = true;
    for (unsigned nth = 1; fired && nth < 500; nth++) {
        int ret = -EAGAIN;
        for (int i = 0; i < AGAIN && ret != 0 && fired; i++) {
            struct thread *thread;
            probe.ran = 0;
            c->front->fault_arm(nth);
            ret = thread_spawn(c->p, as, run_and_leave, &probe, &thread);
            if (ret == 0)
                wait_for(&probe.ran, c);
            fired = c->front->fault_arm(0);
            MUST(ret == 0 || fired);
        }
    }
    contract_leave_and_destroy(c, as);
}

void ThreadContract_FiveHundredThreadsComeAndGo(struct contract *c)
{
    enum { AT_ONCE = 10 };
    struct contract_worker workers[AT_ONCE];
    uint32_t count = 0;
    struct aspace *as = contract_space(c);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < AT_ONCE; i++)
            contract_start(c, &workers[i], i % 2 ? as : NULL, nothing, &count);
        for (int i = 0; i < AT_ONCE; i++)
            contract_join(c, &workers[i]);
    }
    CHECK_EQUAL(count, 500);
    contract_leave_and_destroy(c, as);
}

void AspaceForkContract_ThreadsAreSpawnedIntoANewForkFromOutside(struct contract *c)
{
    enum { ROUNDS = 60, THREADS = 3 };
    static struct contract_worker workers[THREADS];
    struct aspace *parent = contract_space(c);
    contract_map(c, parent, AREA, 1, MEMORY_READ | MEMORY_WRITE);
    contract_activate(c, NULL);
    uint32_t count = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int err = 0;
        struct aspace *child = aspace_fork(c->p, parent, &err);
        MUST(child != NULL);
        for (int i = 0; i < THREADS; i++)
            contract_start(c, &workers[i], child, nothing, &count);
        for (int i = 0; i < THREADS; i++)
            contract_join(c, &workers[i]);
        aspace_destroy(c->p, child);
    }
    CHECK_EQUAL(count, ROUNDS * THREADS);
    aspace_destroy(c->p, parent);
}

static void spin_in_guest(struct contract *c, void *arg)
{
    struct guest_exit exit;
    guest_run(c->p, arg, &exit);
    CHECK_EQUAL(exit.reason, GUEST_INTERRUPT);
}

void ThreadContract_SpawnFromOutsideIntoABusySpace(struct contract *c)
{
    struct contract_worker busy, w;
    uint32_t count = 0;
    struct aspace *as = contract_space(c);
    struct guest_context *ctx = contract_load(c, as, AREA, GUEST_CODE(spin));
    contract_start(c, &busy, as, spin_in_guest, ctx);
    contract_activate(c, NULL);
    for (int i = 0; i < 200; i++) {
        contract_start(c, &w, as, nothing, &count);
        contract_join(c, &w);
    }
    CHECK_EQUAL(count, 200);
    guest_interrupt(c->p, busy.thread);
    contract_join(c, &busy);
    guest_context_destroy(c->p, ctx);
    aspace_destroy(c->p, as);
}

static void burn(struct contract *c, void *arg)
{
    const uint64_t start = now(c);
    uint64_t user = 0, system = 0;
    /* The machine may be busy with others, or its processors taken away. */
    while (now(c) < start + 100 * g_ms ||
           (user + system <= 5 * g_ms && now(c) < start + 60000 * g_ms))
        thread_cpu_time(c->p, thread_current(c->p), &user, &system);
    *(uint64_t *)arg = user + system;
}

void ThreadContract_ProcessorTimeGrowsWithWork(struct contract *c)
{
    uint64_t used = 0, user = 0, system = 0, before;
    struct contract_worker w;
    thread_cpu_time(c->p, NULL, &user, &system);
    before = user + system;
    contract_start(c, &w, NULL, burn, &used);
    contract_join(c, &w);
    CHECK(used > 5 * g_ms);
    thread_cpu_time(c->p, NULL, &user, &system);
    CHECK(user + system >= before + 5 * g_ms);
}

struct spinner {
    struct thread *thread;
    uint32_t stop;
};

/* Calls nothing, so nobody switches to another thread on its processor. */
static void spin(struct contract *c, void *arg)
{
    struct spinner *s = arg;
    __atomic_store_n(&s->thread, thread_current(c->p), __ATOMIC_RELEASE);
    while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED))
        ;
}

void ThreadContract_ProcessorTimeOfAThreadThatNeverStopsIsSeen(struct contract *c)
{
    struct spinner s = {0};
    struct contract_worker w;
    struct thread *spinner;
    uint64_t user = 0, system = 0, start = now(c);
    contract_start(c, &w, NULL, spin, &s);
    while (!(spinner = __atomic_load_n(&s.thread, __ATOMIC_ACQUIRE)))
        thread_yield(c->p);
    while (user + system <= 50 * g_ms && now(c) < start + 60000 * g_ms)
        thread_cpu_time(c->p, spinner, &user, &system);
    CHECK(user + system > 50 * g_ms);
    __atomic_store_n(&s.stop, 1, __ATOMIC_RELAXED);
    contract_join(c, &w);
}

struct migration {
    struct aspace *spaces[4];
    uint64_t offset;
};

static void wander(struct contract *c, void *arg)
{
    struct migration *m = arg;
    uint64_t local[16];
    for (uint64_t i = 0; i < 16; i++)
        local[i] = m->offset + i;
    for (uint64_t i = 1; i <= 200; i++) {
        uint64_t space = (i * 7 + m->offset) % 4;
        contract_activate(c, m->spaces[space]);
        CHECK_EQUAL(contract_get(c, AREA), space);
        contract_put(c, AREA + m->offset, i);
        CHECK_EQUAL(contract_get(c, AREA + m->offset), i);
        CHECK_EQUAL(local[i % 16], m->offset + i % 16);
    }
}

void ThreadContract_ThreadsMigrateBetweenSpaces(struct contract *c)
{
    enum { THREADS = 3 };
    struct migration m[THREADS];
    struct contract_worker workers[THREADS];
    struct aspace *spaces[4];
    for (uint64_t i = 0; i < 4; i++) {
        spaces[i] = contract_space(c);
        contract_map(c, spaces[i], AREA, 1, MEMORY_READ | MEMORY_WRITE);
        contract_put(c, AREA, i);
    }
    for (uint64_t i = 0; i < THREADS; i++) {
        __builtin_memcpy(m[i].spaces, spaces, sizeof(spaces));
        m[i].offset = 64 * (i + 1);
        contract_start(c, &workers[i], NULL, wander, &m[i]);
    }
    for (int i = 0; i < THREADS; i++)
        contract_join(c, &workers[i]);
    contract_activate(c, NULL);
    for (int i = 0; i < 4; i++)
        aspace_destroy(c->p, spaces[i]);
}

void ClockContract_MonotonicTimeNeverGoesBack(struct contract *c)
{
    uint64_t last = now(c), start = last;
    for (int i = 0; i < 10000; i++) {
        uint64_t next = now(c);
        CHECK(next >= last);
        last = next;
    }
    CHECK(last > start);
    CHECK(clock_now(c->p, CLOCK_KIND_BOOTTIME) > 0);
}

void ClockContract_RealTimeIsOfThisCentury(struct contract *c)
{
    const uint64_t year = UINT64_C(31556952) * 1000000000;
    uint64_t real = clock_now(c->p, CLOCK_KIND_REALTIME);
    CHECK(real > 50 * year && real < 130 * year);
}

void ClockContract_EntropyDoesNotRepeat(struct contract *c)
{
    uint64_t a[8] = {0}, b[8] = {0};
    unsigned char few[5] = {0, 0, 0, 0, 0xaa};
    clock_entropy(c->p, a, sizeof(a));
    clock_entropy(c->p, b, sizeof(b));
    for (int i = 0; i < 8; i++)
        CHECK(a[i] != b[i] && a[i] != 0);
    clock_entropy(c->p, few, 4);
    CHECK_EQUAL(few[4], 0xaa);
}
