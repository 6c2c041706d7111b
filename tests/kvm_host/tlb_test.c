/*
 * tlb_test.c [SEED]: processes are made, forked and destroyed, map, unmap, protect and touch memory on three processors, each of which caches what
 * it translates, with PCIDs and without. No processor may ever use what the tables do not say any more. Last, how many of the changes of
 * space between two processes keep what was cached.
 */
#include <stdio.h>
#include <stdlib.h>

#include "platform/address_space.h"
#include "platform/errno.h"
#include "platform/guest_memory.h"
#include "platform/kvm/image/kvm_aspace.h"
#include "platform/kvm/image/mm.h"
#include "platform/kvm/image/tlb.h"
#include "platform/platform.h"
#include "tests/kvm_host/kvm_host.h"

enum { CPUS = 3, SPACES = 10, PAGES = 24, STEPS = 300000, PAGE = 4096, TURNS = 1000 };
#define SMALL UINT64_C(0x10000000)
#define BIG UINT64_C(0x40000000) /* a huge page's place */

static struct platform
    g_platform; /* the library's, without the checks of its own: they would take most of the time */
static struct platform *const g_p = &g_platform;
static struct aspace *g_space[SPACES];
static struct aspace *g_on[CPUS]; /* what each processor runs */
static struct memory_object *g_object;
static uint64_t g_seed;
static unsigned long g_touches, g_refused;

static unsigned draw(unsigned below)
{
    g_seed = g_seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(g_seed >> 33) % below;
}

static void fail(const char *what, unsigned step)
{
    printf("step %u: %s\n", step, what);
    exit(1);
}

/* This thread is on that processor now, in the space that runs there. */
static void go_to(unsigned cpu)
{
    kvm_host_processor_set(cpu);
    *kvm_host_active() = g_on[cpu] ? kvm_aspace_of(g_on[cpu]) : NULL;
}

static void run_on(unsigned cpu, struct aspace *as)
{
    go_to(cpu);
    if (aspace_activate(g_p, as))
        fail("activate", 0);
    g_on[cpu] = as;
}

static struct aspace **free_slot(void)
{
    struct aspace **slot = &g_space[draw(SPACES)];
    return *slot ? NULL : slot;
}

static void destroy(struct aspace **slot)
{
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        if (g_on[cpu] == *slot)
            run_on(cpu, NULL);
    go_to(draw(CPUS));
    aspace_destroy(g_p, *slot);
    *slot = NULL;
}

static void make(struct aspace *parent)
{
    int err = 0;
    struct aspace **slot = free_slot();
    if (!slot)
        return;
    *slot = parent ? aspace_fork(g_p, parent, &err) : aspace_create(g_p, &err);
    if (!*slot)
        fail("no space", 0);
}

static void map(const struct aspace *as, uint64_t addr, uint64_t size)
{
    const bool shared = addr < BIG && draw(4) == 0;
    const struct memory_map_request req = {.addr = guest_addr(addr),
                                           .size = size,
                                           .object = shared ? g_object : NULL,
                                           .sharing = shared ? MEMORY_SHARED : MEMORY_PRIVATE,
                                           .prot = MEMORY_READ | MEMORY_WRITE};
    if (memory_map(g_p, as, &req))
        fail("map", 0);
}

static void change(const struct aspace *as)
{
    const uint64_t first = draw(PAGES), count = 1 + draw(PAGES - (unsigned)first);
    const bool big = draw(6) == 0;
    const uint64_t addr = (big ? BIG : SMALL) + first * PAGE, size = count * PAGE;
    int err = 0;
    switch (draw(7)) {
    case 0:
    case 1:
    case 2:
    case 3:
        map(as, big ? BIG : addr, big ? 2u << 20 : size);
        break;
    case 4:
        err = memory_unmap(g_p, as, guest_addr(addr), size);
        break;
    case 5:
        err = memory_protect(g_p, as, guest_addr(SMALL), PAGE,
                             draw(2) ? MEMORY_READ : MEMORY_READ | MEMORY_WRITE);
        break;
    default:
        err = memory_object_punch(g_p, g_object, first * PAGE, size);
    }
    if (err && err != -ENOMEM)
        fail("change", 0);
}

static void step(void)
{
    struct aspace **slot = &g_space[draw(SPACES)];
    go_to(draw(CPUS));
    switch (draw(20)) {
    case 0:
        make(NULL);
        break;
    case 1:
    case 2:
        make(*slot);
        break;
    case 3:
        if (*slot)
            destroy(slot);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
    case 8:
        run_on(draw(CPUS), *slot);
        break;
    case 9:
    case 10:
        if (*slot)
            change(*slot);
        break;
    default:
        if (*kvm_host_active()) {
            const uint64_t page = (uint64_t)draw(PAGES) * PAGE;
            const bool done = kvm_host_processor_touch((draw(6) ? SMALL : BIG) + page, draw(2));
            g_touches += done;
            g_refused += !done;
        }
    }
}

static uint64_t count_loads(uint64_t *kept)
{
    uint64_t loads = 0;
    *kept = 0;
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        loads += g_tlb[cpu].loads;
        *kept += g_tlb[cpu].loads_kept;
    }
    return loads;
}

static void all_gone(void)
{
    for (unsigned i = 0; i < SPACES; i++)
        if (g_space[i])
            destroy(&g_space[i]);
}

static void many_steps(bool pcids)
{
    uint64_t kept, before;
    const uint64_t loads_before = count_loads(&before);
    kvm_host_processors_start(CPUS, pcids);
    g_touches = g_refused = 0;
    for (unsigned i = 0; i < STEPS; i++) {
        step();
        const char *what = kvm_host_processors_check();
        if (what)
            fail(what, i);
    }
    all_gone();
    const uint64_t loads = count_loads(&kept) - loads_before;
    kept -= before;
    printf("%s PCIDs: %lu touches, %lu faults of guests; %llu loads of tables, %llu kept what was "
           "cached\n",
           pcids ? "with" : "without", g_touches, g_refused, (unsigned long long)loads,
           (unsigned long long)kept);
    if (g_touches < STEPS / 20 || (kept > 0) != pcids)
        fail("too little was tried", STEPS);
}

/* Two processes take turns and touch four pages each. */
static void ping_pong(void)
{
    int err = 0;
    uint64_t before, kept;
    for (unsigned i = 0; i < 2; i++) {
        g_space[i] = aspace_create(g_p, &err);
        if (!g_space[i])
            fail("no space", 0);
        map(g_space[i], BIG, 4u * PAGE);
    }
    const uint64_t loads_before = count_loads(&before);
    for (unsigned i = 0; i < TURNS; i++) {
        run_on(0, g_space[i % 2]);
        for (unsigned page = 0; page < 4; page++)
            if (!kvm_host_processor_touch(BIG + (uint64_t)page * PAGE, true))
                fail("a touch", i);
    }
    const uint64_t loads = count_loads(&kept) - loads_before;
    kept -= before;
    printf("%llu turns of two processes: %llu of them dropped what was cached\n",
           (unsigned long long)loads, (unsigned long long)(loads - kept));
    if (loads != TURNS || loads - kept != (g_tlb_pcids ? 2 : TURNS))
        fail("not 2 with PCIDs, all without", 0);
    all_gone();
}

int main(int argc, char **argv)
{
    int err = 0;
    kvm_host_init(UINT64_C(64) << 20);
    kvm_host_thread_start();
    g_platform = g_kvm_host;
    g_platform.aspace = &kvm_aspace_ops;
    g_platform.memory = &kvm_memory_ops;
    g_seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    g_object = memory_object_create(g_p, (uint64_t)PAGES * 2 * PAGE, &err);
    if (!g_object)
        fail("no object", 0);
    for (int pcids = 0; pcids < 2; pcids++) {
        many_steps(pcids);
        ping_pong();
    }
    memory_object_put(g_p, g_object);
    return 0;
}
