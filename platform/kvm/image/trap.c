/*
 * trap.c: interrupts, and faults of the image's own. Those of the guest are guest_run.c's.
 */
#include "platform/contract.h"
#include "platform/kvm/image/cpu.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/kvm_image.h"
#include "platform/kvm/image/machine.h"

#define CALLERS 8

/* The first fault's last words. Static: there may be hardly any stack. */
static struct {
    char text[960]; /* the VMM writes lines of 1024 */
    size_t length;
} g_words;

static void add(const char *text)
{
    while (*text && g_words.length < sizeof(g_words.text) - 1)
        g_words.text[g_words.length++] = *text++;
    g_words.text[g_words.length] = '\0';
}

static void add_hex(const char *name, uint64_t value)
{
    char digits[20] = "0x";
    unsigned at = 2;
    for (int shift = 60; shift >= 0; shift -= 4)
        if (value >> shift || shift == 0)
            digits[at++] = "0123456789abcdef"[value >> shift & 15];
    digits[at] = '\0';
    add(name);
    add(digits);
}

/* Which processor, whatever stack it is on; NULL: its registers are not ours. */
static struct cpu *cpu_of_registers(void)
{
    const uint64_t at = read_msr(MSR_KERNEL_GS_BASE) - (uint64_t)g_cpu;
    return at < sizeof(g_cpu) && at % sizeof(g_cpu[0]) == 0 ? &g_cpu[at / sizeof(g_cpu[0])] : NULL;
}

static bool is_in_stacks(uint64_t address)
{
    return address >= STACK_AREA && address < IMAGE_BASE;
}

/* A chain of frame pointers (-fno-omit-frame-pointer) says who called; trap_from_kernel has a link in it, too. */
static void add_callers(uint64_t frame)
{
    for (int i = 0; i < CALLERS && is_in_stacks(frame) && frame % 8 == 0; i++) {
        const uint64_t *link = (const uint64_t *)frame;
        add_hex(i ? " " : ", from ", link[1]);
        if (link[0] <= frame) /* the stack grows down */
            break;
        frame = link[0];
    }
}

static void add_registers(const struct trap_frame *frame)
{
    static const char *const names[] = {" r15 ", " r14 ", " r13 ", " r12 ", " rbp ",
                                        " rbx ", " r11 ", " r10 ", " r9 ",  " r8 ",
                                        " rax ", " rcx ", " rdx ", " rsi ", " rdi "};
    const uint64_t *values = &frame->r15;
    add(";");
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        add_hex(names[i], values[i]);
    add_hex(" rsp ", frame->rsp);
    add_hex(" flags ", frame->rflags);
    add_hex(" cr3 ", read_cr3());
}

/* What the record of the thread says in memory, which a register may contradict. */
static void add_thread(const struct trap_frame *frame)
{
    const struct cpu *cpu = cpu_of_registers();
    add_hex("; processor ", cpu ? cpu->index : UINT64_MAX);
    if (!is_in_stacks(frame->rsp)) {
        add(", on no thread's stack");
        return;
    }
    const struct thread *t = thread_of_stack(frame->rsp);
    add_hex(", thread ", (uint64_t)t);
    add_hex(" of processor ", t->cpu ? t->cpu->index : UINT64_MAX);
    add_hex(" in state ", t->state);
}

static NO_RETURN void stop(void)
{
    /* Not by a thread's record: it may be what is broken. */
    struct cpu *cpu = cpu_of_registers();
    image_panic(cpu ? cpu : &g_cpu[0], g_words.text);
}

/* Of a device or another processor. */
static bool is_interrupt(const struct trap_frame *frame)
{
    return frame->vector >= 0x20 && frame->vector != VECTOR_COMPAT;
}

static void tell_fault(const char *what, const struct trap_frame *frame, uint64_t address)
{
    add(what);
    add_hex(": vector ", frame->vector);
    add_hex(", error ", frame->error);
    add_hex(", at ", frame->rip);
    add_hex(", address ", address);
}

/*
 * A fault that nothing expects: a bug of the image's, or of the shim's. What is told reads memory that may be bad, the surest first; a
 * fault meanwhile ends the line, and one more the machine.
 */
static NO_RETURN void panic_with(const struct trap_frame *frame)
{
    static uint32_t faults;
    static const struct cpu *first;
    const uint64_t address = read_cr2();
    const bool overflow = frame->vector == VECTOR_DOUBLE_FAULT && is_in_stacks(address);
    const uint64_t shown = frame->vector == VECTOR_PAGE || overflow ? address : 0;
    const struct cpu *self = cpu_of_registers();
    const uint32_t before = __atomic_fetch_add(&faults, 1, __ATOMIC_SEQ_CST);
    if (before && self != __atomic_load_n(&first, __ATOMIC_SEQ_CST))
        for (;;)
            __asm__ volatile("cli; hlt"); /* the other one tells, and ends the machine */
    if (before == 1) {
        tell_fault(", and meanwhile", frame, shown);
        stop();
    }
    if (before > 1)
        machine_reset();
    __atomic_store_n(&first, self, __ATOMIC_SEQ_CST);
    tell_fault(overflow              ? "a stack overflowed"
               : is_interrupt(frame) ? "an interrupt came while they are off"
                                     : "fault in ring 0",
               frame, shown);
    add_registers(frame);
    add_thread(frame);
    if (!overflow)
        add_callers(frame->rbp);
    stop();
}

/* Instructions that may fault at a guest's address, and where they go on then. */
struct fixup {
    uint64_t at, then;
};
extern const struct fixup g_image_fixups[], g_image_fixups_end[]; /* image.ld */

static bool fix_up(struct trap_frame *frame)
{
    if (frame->vector != VECTOR_PAGE)
        return false;
    for (const struct fixup *fixup = g_image_fixups; fixup < g_image_fixups_end; fixup++) {
        if (fixup->at == frame->rip) {
            frame->rip = fixup->then;
            return true;
        }
    }
    return false;
}

void trap_interrupt(uint64_t vector)
{
    struct cpu *cpu = this_cpu();
    g_beat[cpu->index]++;
    switch (vector) {
    case VECTOR_TIMER:
        apic_end_of_interrupt();
        thread_timer();
        break;
    case VECTOR_DONE:
        apic_end_of_interrupt();
        submit_interrupt();
        break;
    case VECTOR_RESCHEDULE:
        apic_end_of_interrupt();
        cpu->reschedule = 1;
        break;
    case VECTOR_FLUSH:
        apic_end_of_interrupt();
        tlb_serve(cpu);
        break;
    default: /* VECTOR_SPURIOUS wants no end of interrupt */
        break;
    }
}

void trap_kernel(struct trap_frame *frame)
{
    if (frame->vector == VECTOR_NMI)
        panic_with(frame); /* only the VMM's watchdog sends one */
    if (fix_up(frame))
        return;
    if (!is_interrupt(frame) || !(frame->rflags & RFLAGS_IF))
        panic_with(frame);
    trap_interrupt(frame->vector);
    /* Whoever was interrupted held no spin lock: they keep interrupts off. */
    if (this_cpu()->reschedule)
        thread_reschedule();
}
