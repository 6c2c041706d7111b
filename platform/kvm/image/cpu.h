/*
 * cpu.h: what belongs to one processor, one thread, one context. Private to the image.
 *
 * A thread's record lies at the top of its stack, so the stack pointer finds it: no segment register is the kernel's. Below each
 * stack is a hole of the same size.
 *
 * Everything marked (s) is guarded by g_sched.lock, which is held with interrupts off and across a switch of threads: the thread
 * that is switched to releases it.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_CPU_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/guest_context.h"
#include "platform/kvm/hypercall.h"
#include "platform/kvm/image/layout.h"
#include "platform/kvm/image/layout_asm.h"
#include "platform/thread.h"

struct kvm_aspace;

/* A guest's context; a trap from ring 3 builds its frame in base.regs. */
struct kvm_context {
    struct guest_context base;
    uint64_t kernel_sp; /* of the guest_run that is inside */
    struct kvm_context *next_free;
} __attribute__((aligned(16)));
_Static_assert(offsetof(struct kvm_context, kernel_sp) == CONTEXT_KERNEL_SP, "kernel_sp moved");
_Static_assert(offsetof(struct guest_regs, fs_base) % 16 == 0,
               "the processor aligns the stack of a trap to 16");

enum thread_state { THREAD_READY, THREAD_RUNNING, THREAD_PARKED, THREAD_WAITING, THREAD_DEAD };

struct cpu;

struct thread {
    uint64_t saved_sp;         /* while it runs nowhere */
    struct cpu *cpu;           /* that it runs on; its own view is right with interrupts off */
    struct kvm_aspace *aspace; /* NULL: none */
    /* Whose extended state is in this thread's registers; NULL: nobody's */
    struct kvm_context *live;
    /* Whose segment bases are in the processor, inside guest_run; NULL: those in memory are right */
    struct guest_regs *bases_live;
    thread_entry fn;
    void *arg;
    uint64_t stack_physical; /* of the lowest byte */
    /* Run time: all, in the guest, start of this stretch */
    uint64_t used_tsc, guest_tsc, since_tsc;
    uint64_t entered_tsc; /* start of this stretch in the guest; 0: it is not there. Atomic */
    uint32_t interrupt;   /* guest_interrupt: sticky */
    uint32_t in_guest;
    /* guest_sequence: area, 0: none; in which space; since it was last seen to, was the guest code of this thread disturbed? */
    uint64_t sequence;
    const struct kvm_aspace *sequence_space;
    uint32_t sequence_signature;
    bool disturbed;
    /* (s) */
    enum thread_state state;
    uint32_t token;       /* of unpark */
    const uint32_t *word; /* THREAD_WAITING: on what */
    uint64_t deadline_ns; /* THREAD_WAIT_FOREVER: none */
    bool timed_out;
    struct thread *next, *prev;             /* run queue, or the waiters of a word */
    struct thread *next_timed, *prev_timed; /* sleepers by deadline */
    struct thread *next_free;               /* free stacks */
    /* Last: the first to go when the stack above overflows */
    uint64_t canary;
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct thread, saved_sp) == THREAD_SAVED_SP, "saved_sp moved");

#define STACK_SLOT (2ull * THREAD_STACK_SIZE) /* hole, stack */

static inline struct thread *thread_of_stack(uint64_t address)
{
    return (struct thread *)((address & ~(STACK_SLOT - 1)) + STACK_SLOT) - 1;
}
static inline uint64_t stack_pointer(void)
{
    uint64_t sp;
    __asm__("mov %%rsp, %0" : "=r"(sp));
    return sp;
}
/* Requires: not on the boot stack. */
static inline struct thread *current(void)
{
    return thread_of_stack(stack_pointer());
}
static inline bool is_booting(void)
{
    uint64_t sp = stack_pointer();
    return sp < STACK_AREA || sp >= IMAGE_BASE;
}

struct tss { /* SDM vol. 3, 8.7; the I/O map lies past its end: no port for the guest */
    uint32_t reserved0;
    uint64_t rsp[3], reserved1, ist[7], reserved2;
    uint16_t reserved3, io_map;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "the I/O map's offset");

#define IST_STACK_SIZE 4096u
enum { IST_NMI = 1, IST_DOUBLE_FAULT, IST_MACHINE_CHECK, IST_COUNT = IST_MACHINE_CHECK };

struct cpu {
    /* Where syscall_entry builds its frame: past regs.ss of the context inside */
    uint64_t frame_top;
    uint64_t user_sp;
    unsigned index;
    struct thread *idle;
    struct kvm_context *frame_of; /* frame_top and tss.rsp0 are this one's */
    /* Whose extended state the registers hold, if `extended_thread` is current */
    struct kvm_context *extended;
    uint32_t idling;            /* (s) */
    uint32_t reschedule;        /* asked for by an interrupt */
    uint64_t timer_at;          /* tsc the timer is armed for; UINT64_MAX: it is not */
    uint64_t used_tsc;          /* of threads that ran here */
    struct kvm_request request; /* KVM_PORT_CALL */
    struct tss tss;
    uint64_t gdt[10];
    uint8_t ist_stack[IST_COUNT][IST_STACK_SIZE] __attribute__((aligned(16)));
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct cpu, frame_top) == CPU_FRAME_TOP &&
                   offsetof(struct cpu, user_sp) == CPU_USER_SP,
               "moved away from assembly");

extern struct cpu g_cpu[KVM_CPU_MAX];
/* Requires: interrupts off, or the answer may be another processor's by now. */
static inline struct cpu *this_cpu(void)
{
    return is_booting() ? &g_cpu[0] : current()->cpu;
}

/* Facts of the processor; cpu.c. Fixed after boot. */
struct cpu_features {
    bool xsave, fsgsbase, smep, smap, pcid, x2apic, tsc_deadline;
    bool syscall_by_fault; /* software KVM: see docs/design */
    bool guest_pages;      /* ring 3 can execute pages of the upper half that are marked for it */
    uint64_t xsave_mask;
    uint32_t xsave_size, mxcsr_mask;
};
extern struct cpu_features g_features;
void cpu_probe(void);
/* Descriptor tables, traps, system calls, local APIC of the calling processor. */
void cpu_setup(struct cpu *cpu);

/* What trap_kernel finds on its stack. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};
_Static_assert(offsetof(struct trap_frame, rip) == TRAP_FRAME_RIP, "moved away from assembly");
void trap_kernel(struct trap_frame *frame);
/* An interrupt, from wherever: with interrupts off. */
void trap_interrupt(uint64_t vector);

/* trap_entry.S */
uint64_t kvm_guest_enter(struct kvm_context *ctx, unsigned mode);
void thread_switch(struct thread *from, struct thread *to);
NO_RETURN void thread_switch_to(void *unused, struct thread *to);
extern const char syscall_entry[];

/* apic.c: the local APIC: interrupts between processors, and the timer. */
void apic_setup(void);
void apic_end_of_interrupt(void);
/* Interrupts off: an interrupt between its two writes could send as well. */
void apic_send(unsigned cpu, uint8_t vector);
/* Interrupt at this counter value, at once when it has passed; UINT64_MAX: never. Interrupts off. */
void apic_arm(struct cpu *cpu, uint64_t tsc);
/* The timer counts down without an interrupt, for who measures; then it is as after apic_setup() again. */
void apic_count_start(uint32_t count);
uint32_t apic_count_left(void);
void apic_count_end(void);

/* clock.c */
void clock_setup(void);
uint64_t clock_monotonic(void);
uint64_t clock_tsc_of(uint64_t monotonic_ns);
uint64_t clock_ns_of_ticks(uint64_t ticks);

/* mm_env.c: this processor leaves the space it has loaded for `as`, or for none (NULL). Interrupts off. */
void tlb_load(struct cpu *cpu, struct kvm_aspace *as);
/* Drop this processor's translations if somebody waits for it. Interrupts off. */
void tlb_serve(struct cpu *cpu);

/* thread.c */
/* The first thread of the instance, and the idle one of processor 0; does not return. Memory is set up. */
NO_RETURN void threads_start(thread_entry entry, void *arg);
NO_RETURN void threads_start_other(struct cpu *cpu); /* on the idle thread's stack */
/* Run somebody else if there is somebody. Interrupts off. */
void thread_reschedule(void);
/* The timer of this processor fired. Interrupts off. */
void thread_timer(void);
/* Before another thread's registers come in: keep this one's extended state. guest_run.c */
void context_save_live(struct thread *t);
/*
 * sequence.c: before the thread enters ring 3 again, in the space that it runs in. Interrupts off before and after.
 * Result: false: the area is bad, and forgotten.
 */
bool sequence_resume(struct thread *t, struct guest_regs *regs);

/* kernel_map.c: the kernel's half of every space. */
void kernel_map_setup(uint64_t *next_free); /* and loads it */
uint64_t kernel_map_root(void);
const uint64_t *kernel_map_half(void); /* entries 256 to 511 */
/* Map [virt, virt+size) of the stack area to physical memory. false: no memory for tables. */
bool kernel_map_stack(uint64_t virt, uint64_t physical, uint64_t size);

#endif
