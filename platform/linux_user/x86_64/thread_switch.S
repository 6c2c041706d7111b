/*
 * thread_switch.S: threads of shim control change host threads; host calls that an interrupt can end.
 */
#include "platform/linux_user/x86_64/callee_saved.inc"

    .text

/*
 * void lu_thread_leave(uint64_t *saved_sp, void *stack, void (*fn)(void *, void *), void *arg0, void *arg1)
 *   Saves what the System V ABI keeps; fn runs on `stack`, after the last access to the old one.
 */
    .globl lu_thread_leave
    .type lu_thread_leave, @function
    .balign 16
lu_thread_leave:
    push_callee_saved
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    mov %rdx, %rax
    mov %rcx, %rdi
    mov %r8, %rsi
    xor %ebp, %ebp
    call *%rax
    ud2
    .size lu_thread_leave, . - lu_thread_leave

/* _Noreturn void lu_thread_resume(uint64_t saved_sp, long result): of the function that saved the stack pointer */
    .globl lu_thread_resume
    .type lu_thread_resume, @function
    .balign 16
lu_thread_resume:
    mov %rdi, %rsp
    mov %rsi, %rax
    pop_callee_saved
    ret
    .size lu_thread_resume, . - lu_thread_resume

/*
 * long lu_survivable(uint64_t *saved_sp, long (*fn)(void *), void *arg)
 *   fn(arg). While it runs, *saved_sp is where lu_thread_resume goes on as if it had returned.
 */
    .globl lu_survivable
    .type lu_survivable, @function
    .balign 16
lu_survivable:
    push_callee_saved
    push %rdi
    lea 8(%rsp), %rax
    mov %rax, (%rdi)
    mov %rdx, %rdi
    call *%rsi
    pop %rdi
    movq $0, (%rdi)
    pop_callee_saved
    ret
    .size lu_survivable, . - lu_survivable

/* _Noreturn void lu_call_on_stack(void *stack, void (*fn)(void *, void *), void *arg0, void *arg1) */
    .globl lu_call_on_stack
    .type lu_call_on_stack, @function
    .balign 16
lu_call_on_stack:
    mov %rdi, %rsp
    mov %rsi, %rax
    mov %rdx, %rdi
    mov %rcx, %rsi
    xor %ebp, %ebp
    call *%rax
    ud2
    .size lu_call_on_stack, . - lu_call_on_stack

/*
 * long lu_clone_call(unsigned long flags, void *stack, uint32_t *ptid, uint32_t *ctid, void (*fn)(void *), void *arg)
 *   The child never touches the caller's stack: without CLONE_VM it is shared memory that the parent goes on using.
 */
    .globl lu_clone_call
    .type lu_clone_call, @function
    .balign 16
lu_clone_call:
    sub $16, %rsi
    mov %r8, (%rsi)
    mov %r9, 8(%rsi)
    mov %rcx, %r10
    xor %r8d, %r8d
    mov $56, %eax
    syscall
    test %rax, %rax
    jz 1f
    ret
1:  xor %ebp, %ebp
    pop %rax
    pop %rdi
    call *%rax
    ud2
    .size lu_clone_call, . - lu_clone_call

/* long lu_interruptible_call(long nr, const long args[6], const uint32_t *word, uint32_t expected) */
    .globl lu_interruptible_call, lu_interruptible_start, lu_interruptible_syscall, lu_interruptible_eintr
    .type lu_interruptible_call, @function
    .balign 16
lu_interruptible_call:
    push %rbx
    mov %rdx, %rbx
    mov %ecx, %r11d
    mov %rdi, %rax
    mov %rsi, %rcx
    mov (%rcx), %rdi
    mov 8(%rcx), %rsi
    mov 16(%rcx), %rdx
    mov 24(%rcx), %r10
    mov 32(%rcx), %r8
    mov 40(%rcx), %r9
lu_interruptible_start:
    cmp %r11d, (%rbx)
    jne lu_interruptible_eintr
lu_interruptible_syscall:
    syscall
    pop %rbx
    ret
lu_interruptible_eintr:
    mov $-4, %rax
    pop %rbx
    ret
    .size lu_interruptible_call, . - lu_interruptible_call
    .section .note.GNU-stack, "", @progbits
