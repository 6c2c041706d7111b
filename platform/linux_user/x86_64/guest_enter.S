/*
 * guest_enter.S: from shim code into guest code and back.
 *
 *   int lu_guest_enter(struct guest_regs *regs, struct lu_thread_entry *entry, enum lu_enter_mode mode)
 *     in:    rdi = registers to load, iretq frame last; rsi = entry record; edx = mode
 *     out:   LU_RUN_INTERRUPTED at once; LU_RUN_LEFT after lu_guest_leave; LU_RUN_SYSCALL, LU_RUN_ANSWERED from lu_patched_entry
 *     keeps: the System V callee-saved registers, on the shim stack
 *
 * Between lu_enter_window_start and _end the guest's state is *regs, whatever the live registers hold: a signal that
 * arrives there leaves as if the guest had been interrupted before its next instruction. So neither way out needs RIP and RSP to be
 * loaded at once, but iretq does (SDM vol. 2, IRET), and it costs 100 ns more than a jump through GS.
 *
 * No barrier stands between the store to in_guest and the look at interrupt: who sets interrupt sends a signal unless the thread is
 * parked, and that finds the thread before the look, in the window, or in the guest.
 */
#include "platform/linux_user/x86_64/callee_saved.inc"
#include "platform/linux_user/x86_64/guest_frame.h"

    .text
/*
 * The flags in eax into the processor, which holds plain ones. Jumps to `other` when they are not plain: popfq costs 10 ns more.
 * Clobbers eax, ecx.
 */
    .macro load_flags other
    test $~LU_FLAGS_PLAIN, %eax
    jnz \other
    mov %eax, %ecx
    shr $11, %ecx
    mov %al, %ah
    add $0x7f, %cl                      /* overflows when OF was set */
    sahf                                /* the others; keeps OF. SDM vol. 2, SAHF */
    .endm

    .globl lu_guest_enter, lu_enter_window_start, lu_enter_window_end
    .type lu_guest_enter, @function
    .balign 16
lu_guest_enter:
    push_callee_saved
    mov %rsp, LU_ENTRY_RUN_SP(%rsi)
    movl $1, LU_ENTRY_IN_GUEST(%rsi)
lu_enter_window_start:
    cmpl $0, LU_ENTRY_INTERRUPT(%rsi)
    jne 1f
    test %edx, %edx
    jz 3f
    mov GUEST_RFLAGS(%rdi), %eax
    load_flags 4f
5:  mov %gs:GUEST_R15, %r15             /* mov keeps the flags */
    mov %gs:GUEST_R14, %r14
    mov %gs:GUEST_R13, %r13
    mov %gs:GUEST_R12, %r12
    mov %gs:GUEST_RBP, %rbp
    mov %gs:GUEST_RBX, %rbx
    mov %gs:GUEST_R11, %r11
    mov %gs:GUEST_R10, %r10
    mov %gs:GUEST_R9, %r9
    mov %gs:GUEST_R8, %r8
    mov %gs:GUEST_RAX, %rax
    mov %gs:GUEST_RCX, %rcx
    mov %gs:GUEST_RDX, %rdx
    mov %gs:GUEST_RSI, %rsi
    mov %gs:GUEST_RDI, %rdi
    mov %gs:GUEST_RSP, %rsp
    jmp *%gs:GUEST_RIP                  /* needs no register: the guest owns them all */
4:  lea GUEST_RFLAGS(%rdi), %rsp        /* signals have their own stack: rsp may point anywhere */
    popfq
    jmp 5b
3:  mov %rdi, %rsp
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
2:  pop_callee_saved
    ret
    .size lu_guest_leave, . - lu_guest_leave

/*
 * lu_patched_entry: a guest system call at a patched site. Not called by C.
 *   reached by: jmp from the site's stub (patch.c)
 *     in:    rax = number; rdi rsi rdx r10 r8 r9 = arguments; r11 = the guest's next rip; GS base = its context, unless the guest
 *            changed it by an instruction: then what is there has no mark, or faults, and the call arrives as if trapped
 *     stack: the guest's on entry, red zone live: not one push before the switch
 *     out:   back to the guest when its context's prompt call answered; else returns LU_RUN_SYSCALL from lu_guest_enter, registers
 *            stored; or LU_RUN_ANSWERED, rax with them, when an interrupt came meanwhile
 *     keeps: every guest register but rcx and r11, which the instruction clobbers as well (SDM vol. 2, SYSCALL)
 *
 * While a prompt call runs, rbx, rbp and r12-r15 are where the C compiler puts them, the flags are below run_sp, the rest is in the
 * context; so it is in the prompt window, too, whatever the live registers hold: it can be begun again, or left by
 * lu_prompt_interrupted.
 */
    .globl lu_patched_entry, lu_patched_known, lu_prompt_window_start, lu_prompt_window_end, lu_prompt_interrupted
    .type lu_patched_entry, @function
    .balign 64
lu_patched_entry:
    mov %gs:LU_CONTEXT_MARK, %rcx       /* rdgsbase takes ten times as long */
    lea -LU_MARK(%rcx), %rcx            /* no comparison: the flags are the guest's */
    jrcxz lu_patched_known
    ud2
lu_patched_known:
    mov %rsp, %gs:GUEST_RSP
    mov %r11, %gs:GUEST_RIP
    mov %rax, %gs:GUEST_RAX
    mov %rdi, %gs:GUEST_RDI
    mov %rsi, %gs:GUEST_RSI
    mov %rdx, %gs:GUEST_RDX
    mov %r10, %gs:GUEST_R10
    mov %r8, %gs:GUEST_R8
    mov %r9, %gs:GUEST_R9
    mov %gs:LU_CONTEXT_ENTRY, %r11
    mov LU_ENTRY_RUN_SP(%r11), %rsp
    pushfq
    movl $0, LU_ENTRY_IN_GUEST(%r11)
    mov LU_ENTRY_CTX(%r11), %rsi
    mov LU_CONTEXT_PROMPT(%rsi), %rcx
    testl $~LU_FLAGS_PLAIN, (%rsp)      /* the guest's DF, AC, NT are not ours */
    jnz 5f
    mov %eax, %eax
    cmp $LU_PROMPT_CALLS, %rax
    jae 6f
    test %rcx, %rcx
    jz 6f
    mov LU_CONTEXT_OWNER(%rsi), %rdi
    call *(%rcx,%rax,8)
    cmp $1, %rax                        /* overflows for GUEST_CALL_LEAVE alone */
    jo 6f
    mov %gs:LU_CONTEXT_ENTRY, %rcx
    mov %rax, %gs:GUEST_RAX
    movl $1, LU_ENTRY_IN_GUEST(%rcx)
lu_prompt_window_start:
    cmpl $0, LU_ENTRY_INTERRUPT(%rcx)
    jne lu_prompt_interrupted
    mov (%rsp), %eax
    mov %rax, %r11
    load_flags lu_prompt_interrupted    /* never: they were plain */
    mov %gs:GUEST_R9, %r9
    mov %gs:GUEST_R8, %r8
    mov %gs:GUEST_R10, %r10
    mov %gs:GUEST_RDX, %rdx
    mov %gs:GUEST_RSI, %rsi
    mov %gs:GUEST_RDI, %rdi
    mov %gs:GUEST_RAX, %rax
    mov %gs:GUEST_RIP, %rcx
    mov %gs:GUEST_RSP, %rsp
    jmp *%rcx
lu_prompt_window_end:

5:  pushq $LU_FLAGS_SHIM
    popfq
6:  mov $LU_RUN_SYSCALL, %edx
    jmp 7f
lu_prompt_interrupted:
    mov $LU_RUN_ANSWERED, %edx
7:  mov %gs:LU_CONTEXT_ENTRY, %rdi
    mov %r15, %gs:GUEST_R15
    mov %r14, %gs:GUEST_R14
    mov %r13, %gs:GUEST_R13
    mov %r12, %gs:GUEST_R12
    mov %rbp, %gs:GUEST_RBP
    mov %rbx, %gs:GUEST_RBX
    mov %gs:GUEST_RIP, %rax
    mov %rax, %gs:GUEST_RCX
    pop %rax
    mov %rax, %gs:GUEST_RFLAGS
    mov %rax, %gs:GUEST_R11
    movl $0, LU_ENTRY_IN_GUEST(%rdi)
    mov %edx, %eax
    jmp 2b
    .size lu_patched_entry, . - lu_patched_entry
    .section .note.GNU-stack, "", @progbits
