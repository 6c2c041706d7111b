/*
 * guest_enter.S: from shim code into guest code and back.
 *
 *   int lu_guest_enter(struct guest_regs *regs, struct lu_thread_entry *entry)
 *     in:    rdi = registers to load, iretq frame last; rsi = entry record
 *     out:   LU_RUN_INTERRUPTED at once, or LU_RUN_LEFT after lu_guest_leave
 *     keeps: the System V callee-saved registers, on the shim stack
 *
 * Between lu_enter_window_start and _end the guest's state is *regs, whatever the live registers hold: a signal that
 * arrives there leaves as if the guest had been interrupted before its next instruction. iretq loads RIP and RSP at once
 * (SDM vol. 2, IRET), so no instruction runs with half of the guest's state.
 */
#include "platform/linux_user/x86_64/guest_frame.h"

    .text
    .globl lu_guest_enter, lu_enter_window_start, lu_enter_window_end
    .type lu_guest_enter, @function
    .balign 16
lu_guest_enter:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, LU_ENTRY_RUN_SP(%rsi)
    mov $1, %eax
    xchg %eax, LU_ENTRY_IN_GUEST(%rsi)  /* full barrier: whoever sets interrupt sees this, or we see interrupt */
lu_enter_window_start:
    cmpl $0, LU_ENTRY_INTERRUPT(%rsi)
    jne 1f
    mov %rdi, %rsp
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
    iretq
lu_enter_window_end:
1:  movl $0, LU_ENTRY_IN_GUEST(%rsi)
    mov $LU_RUN_INTERRUPTED, %eax
    jmp 2f
    .size lu_guest_enter, . - lu_guest_enter

/* _Noreturn void lu_guest_leave(struct lu_thread_entry *entry): from the signal stack back to lu_guest_enter's caller. */
    .globl lu_guest_leave
    .type lu_guest_leave, @function
    .balign 16
lu_guest_leave:
    mov LU_ENTRY_RUN_SP(%rdi), %rsp     /* off the signal stack before anyone is told we left */
    movl $0, LU_ENTRY_IN_GUEST(%rdi)
    xor %eax, %eax
2:  pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
    .size lu_guest_leave, . - lu_guest_leave
    .section .note.GNU-stack, "", @progbits
