/*
 * flush_test.c: tlb.c with processors that are threads of the host, and interrupts that are flags.
 *
 * 1. A processor is asked to drop its translations while it does so for somebody else. Who asked last may not go on before it has done it
 *    again: the tables were changed after the first time.
 * 2. One that is about to leave a space is asked all the same.
 * 3. All at once: each thread changes tables, flushes, loads spaces, and uses what it has cached: nothing older than a flush that was over
 *    before. A space's tables are one number here.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/kvm/image/tlb.h"

enum { CPUS = 4, SPACES = 9, ROUNDS = 5000, PAGE = 4096 };

static struct tlb_space g_space[SPACES];
static unsigned g_sent;            /* interrupts to processor 1; atomic */
static unsigned g_drops;           /* by processor 1; atomic */
static unsigned g_drops_when_over; /* when the second flush returned */
static bool g_over;                /* atomic */
static pthread_t g_asker;
static enum { DROPPING, LEAVING, ALL_AT_ONCE } g_doing;

/* Of ALL_AT_ONCE. The root of space i is i. */
static uint64_t g_table[SPACES],
    g_flushed[SPACES];     /* atomic: the number; which of its changes every processor has seen */
static bool g_asked[CPUS]; /* atomic: the interrupt */
static uint64_t g_cached[CPUS][TLB_KEPT + 1]; /* by PCID, of the owner; 0: nothing */
static unsigned g_finished;                   /* atomic: threads */
static __thread struct tlb_cpu *t_cpu;
static __thread uint64_t t_cr3;

static void serve_nobody(void)
{
}

static void serve_self(void)
{
    const size_t i = (size_t)(t_cpu - g_tlb);
    if (__atomic_exchange_n(&g_asked[i], false, __ATOMIC_SEQ_CST))
        tlb_cpu_serve(t_cpu);
}

static void wait_for_others(void)
{
    serve_self();
    sched_yield(); /* there may be fewer processors than threads */
}

static void wait_for(const unsigned *what, unsigned value)
{
    while (__atomic_load_n(what, __ATOMIC_ACQUIRE) < value)
        sched_yield();
}

static void *second_asker(void *unused)
{
    tlb_flush(&g_tlb[0], &g_space[0], 0, PAGE, serve_nobody);
    g_drops_when_over = __atomic_load_n(&g_drops, __ATOMIC_ACQUIRE);
    __atomic_store_n(&g_over, true, __ATOMIC_RELEASE);
    return unused;
}

/* Others go on in the middle of what this one does. */
static void stumble(void)
{
    static __thread unsigned count;
    if (++count % 5 == 0)
        sched_yield();
}

void tlb_machine_interrupt(struct tlb_cpu *cpu)
{
    if (g_doing == ALL_AT_ONCE)
        __atomic_store_n(&g_asked[cpu - g_tlb], true, __ATOMIC_SEQ_CST);
    else if (cpu == &g_tlb[1])
        __atomic_add_fetch(&g_sent, 1, __ATOMIC_RELEASE);
}

void tlb_machine_drop(struct tlb_cpu *cpu, uint64_t addr)
{
    (void)addr;
    stumble();
    g_cached[cpu - g_tlb][t_cr3 & TLB_PCID_MASK] = 0;
}

/*
 * Dropping: processor 1 has dropped its translations and has not said so yet: the second one asks. Leaving: the old tables are still
 * in use.
 */
void tlb_machine_load(struct tlb_cpu *cpu, uint64_t cr3)
{
    t_cr3 = cr3;
    if (g_doing == ALL_AT_ONCE) {
        stumble();
        if (!(cr3 & TLB_KEEP))
            g_cached[cpu - g_tlb][cr3 & TLB_PCID_MASK] = 0;
        stumble();
        return;
    }
    if (__atomic_add_fetch(&g_drops, 1, __ATOMIC_RELEASE) > 1)
        return;
    if (pthread_create(&g_asker, NULL, second_asker, NULL))
        abort();
    if (g_doing == DROPPING)
        wait_for(&g_sent, 2);
    while (g_doing == LEAVING && !__atomic_load_n(&g_over, __ATOMIC_ACQUIRE) &&
           !__atomic_load_n(&g_sent, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void *first_asker(void *unused)
{
    tlb_flush(&g_tlb[0], &g_space[0], 0, PAGE, serve_nobody);
    return unused;
}

static void serve_until_over(void)
{
    while (!__atomic_load_n(&g_over, __ATOMIC_ACQUIRE)) {
        tlb_cpu_serve(&g_tlb[1]); /* the interrupt */
        sched_yield();
    }
    pthread_join(g_asker, NULL);
}

static int asked_twice(void)
{
    pthread_t first;
    g_tlb[1].loaded = g_tlb[1].loading = &g_space[0];
    if (pthread_create(&first, NULL, first_asker, NULL))
        return 2;
    wait_for(&g_sent, 1);
    tlb_cpu_serve(&g_tlb[1]);
    pthread_join(first, NULL);
    serve_until_over();
    printf("translations were dropped %u times before the second flush was over\n",
           g_drops_when_over);
    return g_drops_when_over != 2;
}

static int asked_while_leaving(void)
{
    g_doing = LEAVING;
    g_drops = g_sent = 0;
    g_over = false;
    tlb_cpu_load(&g_tlb[1], NULL, 0);
    const bool too_early = __atomic_load_n(&g_over, __ATOMIC_ACQUIRE);
    serve_until_over();
    printf("a flush was over %s the processor had left\n", too_early ? "before" : "after");
    return too_early;
}

struct processor {
    pthread_t thread;
    unsigned index;
    uint64_t seed;
    unsigned long stale, uses;
};

static unsigned draw(struct processor *me, unsigned below)
{
    me->seed = me->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(me->seed >> 33) % below;
}

static void change_and_flush(struct processor *me, unsigned space)
{
    const uint64_t now = __atomic_add_fetch(&g_table[space], 1, __ATOMIC_SEQ_CST);
    const bool everything = draw(me, 16) == 0;
    const uint64_t size = draw(me, 2) ? PAGE : 100ull * PAGE;
    tlb_flush(t_cpu, everything ? NULL : &g_space[space], 0, size, wait_for_others);
    uint64_t before = __atomic_load_n(&g_flushed[space], __ATOMIC_SEQ_CST);
    while (before < now && !__atomic_compare_exchange_n(&g_flushed[space], &before, now, false,
                                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        continue;
}

static void use(struct processor *me)
{
    const uint64_t space = t_cr3 >> 12 & 0xff;
    if (!t_cpu->loaded)
        return;
    uint64_t *cached = &g_cached[me->index][t_cr3 & TLB_PCID_MASK];
    /* Interrupts are off here: what was flushed before this look must be gone or asked for; asked for, it is not over. */
    const uint64_t flushed = __atomic_load_n(&g_flushed[space], __ATOMIC_SEQ_CST);
    if (!*cached)
        *cached = __atomic_load_n(&g_table[space], __ATOMIC_SEQ_CST);
    me->stale += *cached < flushed;
    me->uses++;
}

static void *work(void *arg)
{
    struct processor *me = arg;
    t_cpu = &g_tlb[me->index];
    for (unsigned i = 0; i < ROUNDS; i++) {
        const unsigned space = draw(me, SPACES);
        switch (draw(me, 8)) {
        case 0:
            change_and_flush(me, space);
            break;
        case 1:
            tlb_cpu_load(t_cpu, NULL, 0);
            break;
        case 2:
        case 3:
            tlb_cpu_load(t_cpu, &g_space[space], (uint64_t)space << 12);
            break;
        default:
            use(me);
        }
        serve_self();
    }
    /* Nobody may wait for a thread that is gone. */
    __atomic_add_fetch(&g_finished, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&g_finished, __ATOMIC_SEQ_CST) < CPUS) {
        serve_self();
        sched_yield();
    }
    return NULL;
}

static int all_at_once(bool pcids)
{
    struct processor processors[CPUS] = {{0}};
    unsigned long stale = 0, uses = 0, loads = 0, kept = 0;
    g_doing = ALL_AT_ONCE;
    g_finished = 0;
    g_tlb_pcids = pcids;
    g_tlb_count = CPUS;
    memset(g_tlb, 0, sizeof(g_tlb));
    memset(g_cached, 0, sizeof(g_cached));
    for (unsigned i = 0; i < SPACES; i++) {
        tlb_space_init(&g_space[i]);
        g_table[i] = 1;
        g_flushed[i] = 0;
    }
    for (unsigned i = 0; i < CPUS; i++) {
        processors[i].index = processors[i].seed = i;
        if (pthread_create(&processors[i].thread, NULL, work, &processors[i]))
            return 2;
    }
    for (unsigned i = 0; i < CPUS; i++) {
        pthread_join(processors[i].thread, NULL);
        stale += processors[i].stale;
        uses += processors[i].uses;
        loads += g_tlb[i].loads;
        kept += g_tlb[i].loads_kept;
    }
    printf("%s PCIDs: %lu uses of translations, %lu stale; %lu loads of tables, %lu kept what was "
           "cached\n",
           pcids ? "with" : "without", uses, stale, loads, kept);
    return stale > 0 || (kept > 0) != pcids;
}

int main(void)
{
    g_tlb_count = 2;
    tlb_space_init(&g_space[0]);
    return asked_twice() || asked_while_leaving() || all_at_once(false) || all_at_once(true);
}
