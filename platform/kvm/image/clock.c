/*
 * clock.c: time by the processor's counter, tied once to the host's clocks; entropy.
 */
#include "platform/clock.h"

#include "platform/contract.h"
#include "platform/kvm/image/cpu.h"
#include "platform/kvm/image/guest_clock.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/kvm_image.h"
#include "platform/kvm/image/machine.h"
#include "platform/kvm/image/mm_env.h"

#define CALIBRATION_NS 5000000u

static struct kvm_clock_reading g_base; /* tsc: when */
static uint64_t g_ns_per_tick;          /* 32.32 */
static uint64_t g_ticks_per_ns;         /* 32.32 */

static uint64_t scale(uint64_t value, uint64_t factor)
{
    return (uint64_t)((unsigned __int128)value * factor >> 32);
}

uint64_t clock_ns_of_ticks(uint64_t ticks)
{
    return scale(ticks, g_ns_per_tick);
}

/* A bare machine says nothing of its counter: compare it with the APIC's timer, which counts nanoseconds there. */
static uint32_t measure_khz(void)
{
    apic_count_start(UINT32_MAX);
    uint32_t start = apic_count_left();
    uint64_t from = read_tsc();
    while (start - apic_count_left() < CALIBRATION_NS)
        __builtin_ia32_pause();
    uint64_t ticks = read_tsc() - from;
    uint32_t ns = start - apic_count_left();
    apic_count_end();
    return (uint32_t)(ticks * 1000000 / ns);
}

void clock_setup(void)
{
    uint32_t khz = g_boot.tsc_khz;
    if (khz == 0)
        khz = measure_khz();
    PLATFORM_REQUIRE(khz > 0);
    g_ns_per_tick = (1000000ull << 32) / khz;
    g_ticks_per_ns = ((uint64_t)khz << 32) / 1000000;
    struct kvm_request request = {
        .op = KVM_OP_CLOCK, .buffer = image_physical(&g_base), .size = sizeof(g_base)};
    uint64_t before = read_tsc();
    if (image_call(&request) < 0) /* a bare machine: its time begins now, in 2026 */
        g_base = (struct kvm_clock_reading){
            .monotonic_ns = 1, .boottime_ns = 1, .realtime_ns = 1767225600ull * 1000000000};
    g_base.tsc = before + (read_tsc() - before) / 2;
    struct guest_clock *shown = phys_to_virt(image_physical(&g_guest_clock));
    *shown = (struct guest_clock){.tsc = g_base.tsc,
                                  .ns_per_tick = g_ns_per_tick,
                                  .monotonic_ns = g_base.monotonic_ns,
                                  .realtime_ns = g_base.realtime_ns,
                                  .boottime_ns = g_base.boottime_ns};
}

static uint64_t since_base(void)
{
    uint64_t now = read_tsc();
    /* Counters of processors may differ by a few ticks. */
    return now > g_base.tsc ? scale(now - g_base.tsc, g_ns_per_tick) : 0;
}

uint64_t clock_monotonic(void)
{
    return g_base.monotonic_ns + since_base();
}

uint64_t clock_tsc_of(uint64_t monotonic_ns)
{
    uint64_t ns = monotonic_ns > g_base.monotonic_ns ? monotonic_ns - g_base.monotonic_ns : 0;
    unsigned __int128 ticks = (unsigned __int128)ns * g_ticks_per_ns >> 32;
    return ticks > UINT64_MAX - 1 - g_base.tsc ? UINT64_MAX - 1 : g_base.tsc + (uint64_t)ticks + 1;
}

static uint64_t kvm_clock_now(struct platform *p UNUSED, enum clock_kind kind)
{
    switch (clock_kind_basic(kind)) {
    case CLOCK_KIND_REALTIME:
        return g_base.realtime_ns + since_base();
    case CLOCK_KIND_BOOTTIME:
        return g_base.boottime_ns + since_base();
    default:
        return clock_monotonic();
    }
}

/* A bare machine has no source but the processor's counter: good enough for tests, and nothing else runs there. */
static void weak_entropy(unsigned char *out, size_t size)
{
    static uint64_t state;
    for (size_t i = 0; i < size; i++) {
        uint64_t mixed =
            __atomic_add_fetch(&state, read_tsc() | 1, __ATOMIC_RELAXED) * 0x9e3779b97f4a7c15ull;
        out[i] = (unsigned char)(mixed >> 56 ^ mixed >> 33);
    }
}

static void kvm_clock_entropy(struct platform *p UNUSED, void *out, size_t size)
{
    unsigned char *at = out;
    while (size > 0) {
        size_t step = size < KVM_BUFFER_MAX ? size : KVM_BUFFER_MAX;
        struct kvm_request request = {
            .op = KVM_OP_ENTROPY, .buffer = image_physical(at), .size = step};
        int64_t result = image_call(&request);
        if (!g_has_vmm)
            weak_entropy(at, step);
        else
            PLATFORM_REQUIRE(result == 0);
        at += step;
        size -= step;
    }
}

const struct clock_ops kvm_clock_ops = {
    .now = kvm_clock_now, .entropy = kvm_clock_entropy, .guest_entry = guest_clock_entry};
