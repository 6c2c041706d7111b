/*
 * cpu.c: descriptor tables and control registers of each processor. SDM vol. 3, 2.5, 3.4, 6.14, 8.7.
 */
#include "platform/kvm/image/cpu.h"

#include "platform/contract.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/machine.h"

#define CR4_PCIDE (1ull << 17)
#define CR4_SMEP (1ull << 20)
#define CR4_SMAP (1ull << 21)
#define CR4_FSGSBASE (1ull << 16)
#define CR4_OSFXSR (3ull << 9) /* and OSXMMEXCPT */
#define CR4_OSXSAVE (1ull << 18)

#define GATE_INTERRUPT 0x8e00ull
#define GATE_FOR_GUEST 0x6000ull /* DPL 3 */

#define MXCSR_MASK_DEFAULT 0xffbfu
#define XSAVE_LEGACY_SIZE 576u

struct cpu g_cpu[KVM_CPU_MAX];
struct cpu_features g_features;

static uint64_t g_idt[256][2];

struct table_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

/* clang-format off */
#define STUBS(X) \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) \
    X(19) X(20) X(21) X(128) X(239) X(240) X(241) X(242) X(255)
/* clang-format on */
#define DECLARE(n) extern const char trap_stub_##n[];
STUBS(DECLARE)

static void set_gate(unsigned vector, const char *stub)
{
    uint64_t address = (uint64_t)stub, flags = GATE_INTERRUPT, ist = 0;
    if (vector == VECTOR_BREAKPOINT || vector == VECTOR_OVERFLOW || vector == VECTOR_COMPAT)
        flags |= GATE_FOR_GUEST;
    if (vector == VECTOR_NMI)
        ist = IST_NMI;
    else if (vector == VECTOR_DOUBLE_FAULT)
        ist = IST_DOUBLE_FAULT;
    else if (vector == VECTOR_MACHINE_CHECK)
        ist = IST_MACHINE_CHECK;
    g_idt[vector][0] = (address & 0xffff) | (uint64_t)SELECTOR_KERNEL_CODE << 16 | ist << 32 |
                       flags << 32 | (address >> 16 & 0xffff) << 48;
    g_idt[vector][1] = address >> 32;
}

static uint32_t extended_size(uint64_t mask)
{
    uint32_t size = XSAVE_LEGACY_SIZE, r[4];
    for (uint32_t feature = 2; feature < 63; feature++) {
        if (!(mask >> feature & 1))
            continue;
        cpuid(0xd, feature, r);
        if (r[0] + r[1] > size)
            size = r[0] + r[1];
    }
    return size;
}

void cpu_probe(void)
{
    uint32_t r[4], max;
    g_features.xsave_size = 512;
    g_features.mxcsr_mask = MXCSR_MASK_DEFAULT;
    if (g_boot.features & KVM_SOFTWARE)
        return;
    cpuid(0, 0, r);
    max = r[0];
    cpuid(1, 0, r);
    g_features.pcid = r[2] >> 17 & 1;
    g_features.x2apic = r[2] >> 21 & 1;
    g_features.tsc_deadline = r[2] >> 24 & 1;
    g_features.xsave = r[2] >> 26 & 1;
    if (max >= 7) {
        cpuid(7, 0, r);
        g_features.fsgsbase = r[1] & 1;
        g_features.smep = r[1] >> 7 & 1;
        g_features.smap = r[1] >> 20 & 1;
    }
    if (!g_features.xsave)
        return;
    cpuid(0xd, 0, r);
    /* What the VMM put into XCR0: xgetbv would tell, but not everywhere. */
    g_features.xsave_mask = (r[0] | (uint64_t)r[3] << 32) & 0xe7;
    g_features.xsave_size = extended_size(g_features.xsave_mask);
}

static void load_tables(struct cpu *cpu)
{
    uint64_t tss = (uint64_t)&cpu->tss;
    cpu->gdt[SELECTOR_KERNEL_CODE / 8] = 0x00af9b000000ffff;
    cpu->gdt[SELECTOR_KERNEL_DATA / 8] = 0x00cf93000000ffff;
    cpu->gdt[SELECTOR_USER_DATA / 8] = 0x00cff3000000ffff;
    cpu->gdt[SELECTOR_USER_CODE / 8] = 0x00affb000000ffff;
    cpu->gdt[SELECTOR_TSS / 8] = (sizeof(struct tss) - 1) | (tss & 0xffffff) << 16 | 0x89ull << 40 |
                                 (tss >> 24 & 0xff) << 56;
    cpu->gdt[SELECTOR_TSS / 8 + 1] = tss >> 32;
    /* Data that ring 3 may read: its limit is the number of the processor. */
    cpu->gdt[SELECTOR_CPU_NUMBER / 8] = 0x0040f10000000000 | cpu->index;
    cpu->tss.io_map = sizeof(struct tss);
    for (unsigned i = 0; i < IST_COUNT; i++)
        cpu->tss.ist[i] = (uint64_t)cpu->ist_stack[i] + IST_STACK_SIZE;
    const struct table_register gdt = {sizeof(cpu->gdt) - 1, (uint64_t)cpu->gdt};
    const struct table_register idt = {sizeof(g_idt) - 1, (uint64_t)g_idt};
    __asm__ volatile("lgdt %0; lidt %1" : : "m"(gdt), "m"(idt));
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss" : : "r"(SELECTOR_KERNEL_DATA));
    __asm__ volatile("mov %0, %%fs; mov %0, %%gs" : : "r"(0));
    __asm__ volatile("ltr %w0" : : "r"(SELECTOR_TSS));
}

void cpu_setup(struct cpu *cpu)
{
    cpu->index = (unsigned)(cpu - g_cpu);
    cpu->timer_at = UINT64_MAX;
    if (cpu->index == 0) {
#define SET(n) set_gate(n, trap_stub_##n);
        STUBS(SET)
    }
    load_tables(cpu);
    uint64_t cr4 = read_cr4() | CR4_OSFXSR;
    if (g_features.fsgsbase)
        cr4 |= CR4_FSGSBASE;
    if (g_features.smep)
        cr4 |= CR4_SMEP;
    if (g_features.smap)
        cr4 |= CR4_SMAP; /* only sequence.c ever goes through a guest's address */
    if (g_features.xsave)
        cr4 |= CR4_OSXSAVE;
    if (g_features.pcid)
        cr4 |= CR4_PCIDE; /* CR3 has the kernel's tables, with PCID 0, as this demands */
    write_cr4(cr4);
    if (g_features.xsave && !g_has_vmm)
        __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)g_features.xsave_mask), "d"(0));
    if (cpu->index == 0) {
        uint8_t image[512] __attribute__((aligned(16))) = {0};
        uint32_t mask;
        __asm__ volatile("fxsave64 %0" : "=m"(image));
        __builtin_memcpy(&mask, image + 28, 4);
        if (mask)
            g_features.mxcsr_mask = mask;
    }
    write_msr(MSR_STAR, (uint64_t)SELECTOR_KERNEL_CODE << 32 | (uint64_t)(SELECTOR_USER_CODE - 16)
                                                                   << 48);
    write_msr(MSR_LSTAR, (uint64_t)syscall_entry);
    write_msr(MSR_FMASK, RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_NT | RFLAGS_AC | RFLAGS_RF);
    write_msr(MSR_FS_BASE, 0);
    write_msr(MSR_GS_BASE, 0);
    write_msr(MSR_KERNEL_GS_BASE, (uint64_t)cpu);
    apic_setup();
}
