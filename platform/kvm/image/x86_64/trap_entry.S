/*
 * trap_entry.S: every way into ring 0, and the way into the guest.
 *
 * GS belongs to the guest all the time, but for three instructions of syscall_entry; so nothing here depends on what an NMI or a
 * machine check interrupts. A trap from ring 3 builds its frame right in the guest's context: TSS.rsp0 points past
 * guest_regs.ss there. struct guest_regs has the order of the pushes (platform/guest_context.h).
 */
#include "platform/kvm/image/layout.h"
#include "platform/kvm/image/layout_asm.h"

    .text
    .macro PUSH_AFTER_RDI
    push %rsi
    push %rdx
    push %rcx
    push %rax
    push %r8
    push %r9
    push %r10
    push %r11
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    .endm
    .macro POP_REGISTERS
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rax
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    .endm

/* In ring 0: rip cs rflags rsp ss on the stack; without an error code one is added. */
    .macro STUB vector, has_error
    .balign 16
    .globl trap_stub_\vector
trap_stub_\vector:
    .if \has_error
    testb $3, 16(%rsp)
    jnz 1f
    .else
    testb $3, 8(%rsp)
    jnz 1f
    push $0
    .endif
    push $\vector
    jmp trap_from_kernel
1:  .if \has_error
    xchg %rdi, (%rsp)
    shl $16, %rdi
    or $\vector, %rdi
    .else
    push %rdi
    mov $\vector, %edi
    .endif
    jmp trap_from_guest
    .endm

    STUB 0, 0
    STUB 1, 0
    STUB 3, 0
    STUB 4, 0
    STUB 5, 0
    STUB 6, 0
    STUB 7, 0
    STUB 9, 0
    STUB 10, 1
    STUB 11, 1
    STUB 12, 1
    STUB 13, 1
    STUB 14, 1
    STUB 15, 0
    STUB 16, 0
    STUB 17, 1
    STUB 19, 0
    STUB 20, 0
    STUB 21, 1
    STUB 128, 0
    STUB 239, 0
    STUB 240, 0
    STUB 241, 0
    STUB 242, 0
    STUB 255, 0

/* On stacks of their own (IST), from anywhere: NMI, double fault, machine check. They return, if at all, to where they came from. */
    .macro STUB_IST vector, has_error
    .balign 16
    .globl trap_stub_\vector
trap_stub_\vector:
    .if !\has_error
    push $0
    .endif
    push $\vector
    jmp trap_from_kernel
    .endm
    STUB_IST 2, 0
    STUB_IST 8, 1
    STUB_IST 18, 0

    .type trap_from_kernel, @function
    .balign 16
trap_from_kernel:
    push %rdi
    PUSH_AFTER_RDI
    cld
    mov %rsp, %rdi
    push TRAP_FRAME_RIP(%rsp) /* a link for whoever asks who called */
    push %rbp
    mov %rsp, %rbp
    and $-16, %rsp /* for the call */
    call trap_kernel
    lea 16(%rbp), %rsp
    POP_REGISTERS
    add $16, %rsp
    iretq
    .size trap_from_kernel, . - trap_from_kernel

/*
 * The `syscall` instruction: rcx = guest's next rip, r11 = its flags, rsp = the guest's. Interrupts are off (FMASK).
 */
    .globl syscall_entry
    .type syscall_entry, @function
    .balign 4096 /* a page of its own kind: software KVM tells the instruction by a fault at exactly this address */
syscall_entry:
    swapgs
    mov %rsp, %gs:CPU_USER_SP
    mov %gs:CPU_FRAME_TOP, %rsp
    push $SELECTOR_USER_DATA
    push %gs:CPU_USER_SP
    swapgs
    push %r11
    push $SELECTOR_USER_CODE
    push %rcx
    push %rdi
    mov $VECTOR_SYSCALL, %edi
    .size syscall_entry, . - syscall_entry

/* rsp: in the guest's context, rdi pushed; rdi: error code << 16 | vector. Goes on as the return of kvm_guest_enter. */
    .type trap_from_guest, @function
trap_from_guest:
    PUSH_AFTER_RDI
    cld
    mov %rdi, %rax
    mov CONTEXT_KERNEL_SP(%rsp), %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
    .size trap_from_guest, . - trap_from_guest

/*
 * uint64_t kvm_guest_enter(struct kvm_context *ctx, unsigned mode): with interrupts off. Result: error code << 16 | vector, with
 * interrupts off again. mode ENTER_BY_SYSRET wants rcx == rip and r11 == rflags.
 */
    .globl kvm_guest_enter
    .type kvm_guest_enter, @function
    .balign 16
kvm_guest_enter:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, CONTEXT_KERNEL_SP(%rdi)
    mov %rdi, %rsp
    cmp $ENTER_BY_SYSRET, %esi
    je 1f
    POP_REGISTERS
    iretq
1:  POP_REGISTERS
    mov 24(%rsp), %rsp
    sysretq
    .size kvm_guest_enter, . - kvm_guest_enter

/* void thread_switch(struct thread *from, struct thread *to): called on the stack of `from`, returns on that of `to`. */
    .globl thread_switch
    .type thread_switch, @function
    .balign 16
thread_switch:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, THREAD_SAVED_SP(%rdi)
    .globl thread_switch_to
thread_switch_to: /* (unused, to): the first one of a processor leaves nothing behind */
    mov THREAD_SAVED_SP(%rsi), %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
    .size thread_switch, . - thread_switch
    .section .note.GNU-stack, "", @progbits
