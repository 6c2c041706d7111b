/*
 * report.c: where the processors are, for the message about one that takes no interrupt any more.
 *
 * KVM answers only a processor's own thread at once, so each is kicked out of the guest and describes itself. One that does not come
 * out is held by the host's kernel, which may take long to bring memory: that is not the image's fault, and no reason to end it.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "platform/kvm/image/layout.h"
#include "platform/kvm/vmm/vm.h"

#define PATIENCE_MS 2000u
#define CALLERS 8u
#define VECTORS_PER_WORD 32u
#define APIC_IN_SERVICE 0x100u /* SDM vol. 3, 11.4.1 */
#define APIC_REQUESTED 0x200u

struct words {
    char *at;
    size_t left;
};

static void add(struct words *w, const char *format, ...) PRINTF_LIKE(2, 3);
static void add(struct words *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(w->at, w->left, format, args);
    va_end(args);
    size_t taken = length < 0 ? 0 : (size_t)length < w->left ? (size_t)length : w->left - 1;
    w->at += taken;
    w->left -= taken;
}

/* The word at a ring-0 address of the image's. */
static bool word_at(struct vcpu *cpu, uint64_t address, uint64_t *word)
{
    struct kvm_translation t = {.linear_address = address};
    if (address % sizeof(*word) || ioctl(cpu->fd, KVM_TRANSLATE, &t) < 0 || !t.valid)
        return false;
    const void *at = vm_memory(cpu->vm, t.physical_address, sizeof(*word));
    if (at)
        memcpy(word, at, sizeof(*word));
    return at != NULL;
}

/* The image keeps frame pointers; its threads' stacks lie in one area. */
static void add_callers(struct words *w, struct vcpu *cpu, uint64_t frame)
{
    uint64_t caller;
    for (unsigned i = 0; i < CALLERS && frame >= STACK_AREA && frame < IMAGE_BASE; i++) {
        if (!word_at(cpu, frame + sizeof(caller), &caller) || !word_at(cpu, frame, &frame))
            break;
        add(w, "%s%#llx", i ? " " : ", from ", (unsigned long long)caller);
    }
}

/* The highest of the vectors that a row of APIC registers has set. */
static void add_highest(struct words *w, const struct kvm_lapic_state *apic, unsigned row,
                        const char *name)
{
    for (unsigned i = 256 / VECTORS_PER_WORD; i-- > 0;) {
        uint32_t bits;
        memcpy(&bits, apic->regs + row + i * 16, sizeof(bits));
        if (!bits)
            continue;
        add(w, ", %s %u", name, i * VECTORS_PER_WORD + 31 - (unsigned)__builtin_clz(bits));
        return;
    }
}

void vcpu_describe(struct vcpu *cpu)
{
    struct words w = {cpu->where, sizeof(cpu->where)};
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_lapic_state apic;
    if (ioctl(cpu->fd, KVM_GET_REGS, &regs) < 0 || ioctl(cpu->fd, KVM_GET_SREGS, &sregs) < 0) {
        add(&w, "somewhere");
        return;
    }
    add(&w, "in ring %u at %#llx, flags %#llx, cr2 %#llx, rcx %#llx", sregs.cs.selector & 3u,
        (unsigned long long)regs.rip, (unsigned long long)regs.rflags,
        (unsigned long long)sregs.cr2, (unsigned long long)regs.rcx);
    if (ioctl(cpu->fd, KVM_GET_LAPIC, &apic) == 0) {
        add_highest(&w, &apic, APIC_IN_SERVICE, "in interrupt");
        add_highest(&w, &apic, APIC_REQUESTED, "asked for interrupt");
    }
    if ((sregs.cs.selector & 3) == 0)
        add_callers(&w, cpu, regs.rbp);
}

static uint32_t description(struct vcpu *cpu)
{
    return __atomic_load_n(&cpu->describing, __ATOMIC_ACQUIRE);
}

static bool all_told(struct vm *vm)
{
    bool told = true;
    for (unsigned i = 0; i < vm->cpu_count; i++)
        told = told && description(&vm->vcpu[i]) != VCPU_TO_DESCRIBE;
    return told;
}

void vm_go_on(struct vm *vm)
{
    pthread_mutex_lock(&vm->lock);
    for (unsigned i = 0; i < vm->cpu_count; i++)
        __atomic_store_n(&vm->vcpu[i].describing, VCPU_DESCRIBES_NOTHING, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&vm->changed);
    pthread_mutex_unlock(&vm->lock);
}

bool vm_call_out(struct vm *vm, unsigned suspect)
{
    for (unsigned i = 0; i < vm->cpu_count; i++) {
        struct vcpu *cpu = &vm->vcpu[i];
        if (!vcpu_is_running(cpu))
            continue;
        __atomic_store_n(&cpu->describing, VCPU_TO_DESCRIBE, __ATOMIC_RELEASE);
        cpu->run->immediate_exit = 1;
        pthread_kill(cpu->thread, VCPU_KICK_SIGNAL);
    }
    const struct timespec step = {.tv_nsec = 10000000};
    for (unsigned waited = 0; waited < PATIENCE_MS && !all_told(vm); waited += 10)
        nanosleep(&step, NULL);
    if (description(&vm->vcpu[suspect]) == VCPU_DESCRIBED)
        return true;
    vm_go_on(vm);
    return false;
}

void vm_report_hang(struct vm *vm, unsigned hung)
{
    char text[VCPU_WHERE_SIZE * 2];
    struct words w = {text, sizeof(text)};
    /* The one in question first. */
    for (unsigned n = 0; n < vm->cpu_count; n++) {
        const unsigned i = (hung + n) % vm->cpu_count;
        struct vcpu *cpu = &vm->vcpu[i];
        const uint32_t told = description(cpu);
        add(&w, "%s%u %s", n ? "; processor " : "", i,
            told == VCPU_DESCRIBED     ? cpu->where
            : told == VCPU_TO_DESCRIBE ? "does not leave the host's KVM_RUN"
                                       : "is idle or in a request");
    }
    vm_fail(vm, "processor %u hangs: no interrupt was taken for %u s: processor %s", hung,
            WATCHDOG_ROUND_MS * WATCHDOG_ROUNDS / 1000, text);
}
