/*
 * apic.c: the local APIC, by its registers in memory or by x2APIC. SDM vol. 3, 11. The timer counts nanoseconds: both KVM and
 * QEMU drive it at 1 GHz. Where the processor can, the time-stamp counter drives it instead.
 */
#include "platform/kvm/image/cpu.h"
#include "platform/kvm/image/machine.h"

#define REG_ID 0x20
#define REG_TPR 0x80
#define REG_EOI 0xb0
#define REG_SPURIOUS 0xf0
#define REG_ICR_LOW 0x300
#define REG_ICR_HIGH 0x310
#define REG_LVT_TIMER 0x320
#define REG_LVT_LINT0 0x350
#define REG_LVT_LINT1 0x360
#define REG_TIMER_COUNT 0x380
#define REG_TIMER_LEFT 0x390
#define REG_TIMER_DIVIDE 0x3e0

#define APIC_BASE_ENABLE 0x800u
#define APIC_BASE_X2 0x400u
#define SPURIOUS_ENABLE 0x100u
#define LVT_MASKED 0x10000u
#define LVT_TSC_DEADLINE 0x40000u
#define TIMER_DIVIDE_BY_1 0xbu
#define ICR_PENDING 0x1000u
#define X2APIC_MSR 0x800u

static void apic_write(uint32_t reg, uint32_t value)
{
    if (g_features.x2apic)
        write_msr(X2APIC_MSR + reg / 16, value);
    else
        *(volatile uint32_t *)(DEVICE_AREA + reg) = value;
}

static uint32_t apic_read(uint32_t reg)
{
    if (g_features.x2apic)
        return (uint32_t)read_msr(X2APIC_MSR + reg / 16);
    return *(volatile uint32_t *)(DEVICE_AREA + reg);
}

/* In the mode that has a count: writes of one are ignored in the other (SDM vol. 3, 11.5.4.1). */
void apic_count_start(uint32_t count)
{
    apic_write(REG_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
    apic_write(REG_TIMER_COUNT, count);
}

uint32_t apic_count_left(void)
{
    return apic_read(REG_TIMER_LEFT);
}

void apic_count_end(void)
{
    apic_write(REG_TIMER_COUNT, 0);
    apic_write(REG_LVT_TIMER, VECTOR_TIMER | (g_features.tsc_deadline ? LVT_TSC_DEADLINE : 0));
}

void apic_setup(void)
{
    uint64_t base = read_msr(MSR_APIC_BASE);
    write_msr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
    if (g_features.x2apic)
        write_msr(MSR_APIC_BASE, base | APIC_BASE_ENABLE | APIC_BASE_X2);
    apic_write(REG_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
    apic_write(REG_TPR, 0);
    apic_write(REG_LVT_LINT0, LVT_MASKED);
    apic_write(REG_LVT_LINT1, LVT_MASKED);
    apic_write(REG_TIMER_DIVIDE, TIMER_DIVIDE_BY_1);
    apic_count_end();
}

void apic_end_of_interrupt(void)
{
    apic_write(REG_EOI, 0);
}

/* APIC ids are the processors' numbers: the VMM gives them so. */
void apic_send(unsigned cpu, uint8_t vector)
{
    if (g_features.x2apic) {
        write_msr(X2APIC_MSR + REG_ICR_LOW / 16, (uint64_t)cpu << 32 | vector);
        return;
    }
    apic_write(REG_ICR_HIGH, cpu << 24);
    apic_write(REG_ICR_LOW, vector);
    while (*(volatile uint32_t *)(DEVICE_AREA + REG_ICR_LOW) & ICR_PENDING)
        __builtin_ia32_pause();
}

void apic_arm(struct cpu *cpu, uint64_t tsc)
{
    if (cpu->timer_at == tsc)
        return;
    cpu->timer_at = tsc;
    if (g_features.tsc_deadline) {
        write_msr(MSR_TSC_DEADLINE, tsc == UINT64_MAX ? 0 : tsc);
        return;
    }
    uint64_t now = read_tsc(), count = 0;
    if (tsc != UINT64_MAX)
        count = tsc > now ? clock_ns_of_ticks(tsc - now) + 1 : 1;
    /* Early: whoever it wakes looks again */
    apic_write(REG_TIMER_COUNT, count > UINT32_MAX ? UINT32_MAX : (uint32_t)count);
}
