/*
 * flush_test.c: a processor is asked to drop its translations while it does so for somebody else. Who asked last may not go on before it
 * has done it again: the tables were changed after the first time. And one that is about to leave a space is asked all the same.
 *
 * mm_env.c over processors that are threads of the host: an interrupt is a flag, and writing CR3 is counted.
 */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

/* In place of the real one: nothing of it can be done in ring 3. */
#define PALIMPSEST_PLATFORM_KVM_IMAGE_MACHINE_H
#define RFLAGS_IF 0x200ull
static uint64_t interrupts_disable(void)
{
    return 0;
}
static void interrupts_restore(uint64_t flags)
{
    (void)flags;
}
static uint64_t read_cr3(void)
{
    return 0;
}
static void write_cr3(uint64_t value);
#include "platform/kvm/image/mm_env.c"

struct cpu g_cpu[KVM_CPU_MAX];
struct kvm_boot_info g_boot = {.cpu_count = 2};
static char g_space;
static unsigned g_drops;           /* by processor 1; atomic */
static unsigned g_sent;            /* interrupts to it; atomic */
static unsigned g_drops_when_over; /* when the second flush returned */
static bool g_over;                /* atomic */

void apic_send(unsigned cpu, uint8_t vector)
{
    if (cpu == 1 && vector == VECTOR_FLUSH)
        __atomic_add_fetch(&g_sent, 1, __ATOMIC_RELEASE);
}

static void wait_for(const unsigned *what, unsigned value)
{
    while (__atomic_load_n(what, __ATOMIC_ACQUIRE) < value)
        sched_yield();
}

static void *second_asker(void *unused)
{
    mm_flush((struct kvm_aspace *)(void *)&g_space, 0, 4096);
    g_drops_when_over = __atomic_load_n(&g_drops, __ATOMIC_ACQUIRE);
    __atomic_store_n(&g_over, true, __ATOMIC_RELEASE);
    return unused;
}

static pthread_t g_asker;

static enum { DROPPING, LEAVING } g_doing;

/*
 * Dropping: processor 1 has dropped its translations and has not said so yet: the second one asks. Leaving: the old tables are still
 * in use.
 */
static void write_cr3(uint64_t value)
{
    (void)value;
    if (__atomic_add_fetch(&g_drops, 1, __ATOMIC_RELEASE) > 1)
        return;
    if (pthread_create(&g_asker, NULL, second_asker, NULL))
        return;
    if (g_doing == DROPPING)
        wait_for(&g_sent, 2);
    while (g_doing == LEAVING && !__atomic_load_n(&g_over, __ATOMIC_ACQUIRE) &&
           !__atomic_load_n(&g_sent, __ATOMIC_ACQUIRE))
        sched_yield();
}

void kernel_map_load(void)
{
    write_cr3(0);
}

uint64_t kvm_aspace_root(const struct kvm_aspace *as)
{
    return (uint64_t)as;
}

static void *first_asker(void *unused)
{
    mm_flush((struct kvm_aspace *)(void *)&g_space, 0, 4096);
    return unused;
}

static void serve_until_over(void)
{
    while (!__atomic_load_n(&g_over, __ATOMIC_ACQUIRE)) {
        tlb_serve(&g_cpu[1]); /* the interrupt */
        sched_yield();
    }
    pthread_join(g_asker, NULL);
}

int main(void)
{
    pthread_t first;
    g_cpu[1].index = 1;
    g_cpu[1].loaded = g_cpu[1].loading = (struct kvm_aspace *)(void *)&g_space;
    if (pthread_create(&first, NULL, first_asker, NULL))
        return 2;
    wait_for(&g_sent, 1);
    tlb_serve(&g_cpu[1]);
    pthread_join(first, NULL);
    serve_until_over();
    printf("translations were dropped %u times before the second flush was over\n",
           g_drops_when_over);
    if (g_drops_when_over != 2)
        return 1;

    g_doing = LEAVING;
    g_drops = g_sent = 0;
    g_over = false;
    tlb_load(&g_cpu[1], NULL);
    const bool too_early = __atomic_load_n(&g_over, __ATOMIC_ACQUIRE);
    serve_until_over();
    printf("a flush was over %s the processor had left\n", too_early ? "before" : "after");
    return too_early;
}
