/*
 * trap.c: interrupts, and faults of the image's own. Those of the guest are guest_run.c's.
 */
#include "platform/contract.h"
#include "platform/kvm/image/cpu.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/kvm_image.h"
#include "platform/kvm/image/machine.h"
#include "platform/kvm/image/tlb.h"

struct words {
    char text[256];
    size_t length;
};

static void add(struct words *w, const char *text)
{
    while (*text && w->length < sizeof(w->text) - 1)
        w->text[w->length++] = *text++;
    w->text[w->length] = '\0';
}

static void add_hex(struct words *w, const char *name, uint64_t value)
{
    char digits[20] = "0x";
    unsigned at = 2;
    for (int shift = 60; shift >= 0; shift -= 4)
        if (value >> shift || shift == 0)
            digits[at++] = "0123456789abcdef"[value >> shift & 15];
    digits[at] = '\0';
    add(w, name);
    add(w, digits);
}

/* A fault that nothing expects: a bug of the image's, or of the shim's. */
static NO_RETURN void panic_with(const struct trap_frame *frame)
{
    struct words w = {.length = 0};
    uint64_t address = read_cr2();
    bool overflow =
        frame->vector == VECTOR_DOUBLE_FAULT && address >= STACK_AREA && address < IMAGE_BASE;
    add(&w, overflow ? "a stack overflowed" : "fault in ring 0");
    add_hex(&w, ": vector ", frame->vector);
    add_hex(&w, ", error ", frame->error);
    add_hex(&w, ", at ", frame->rip);
    add_hex(&w, ", address ", frame->vector == VECTOR_PAGE || overflow ? address : 0);
    /* A chain of frame pointers (-fno-omit-frame-pointer) says who called. */
    const uint64_t *link = (const uint64_t *)frame->rbp;
    for (int i = 0; i < 6 && !overflow && (uint64_t)link >= STACK_AREA &&
                    (uint64_t)link < IMAGE_BASE && (uint64_t)link % 8 == 0;
         i++, link = (const uint64_t *)link[0])
        add_hex(&w, i ? " " : ", from ", link[1]);
    platform_panic(w.text);
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
    if (frame->vector < 0x20 || frame->vector == VECTOR_COMPAT)
        panic_with(frame);
    trap_interrupt(frame->vector);
    /* Whoever was interrupted held no spin lock: they keep interrupts off. */
    if (this_cpu()->reschedule)
        thread_reschedule();
}
