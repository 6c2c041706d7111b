/*
 * contract_guest.S: position-independent guest code, copied into guest memory by contract_load(). Arguments come in registers;
 * a system call instruction ends each piece.
 */
    .macro CODE name
    .globl contract_guest_\name
    .balign 16
contract_guest_\name:
    .endm
    .macro END name
    .globl contract_guest_\name\()_end
contract_guest_\name\()_end:
    .endm

    .section .rodata

CODE syscalls
1:  syscall
    jmp 1b
END syscalls

CODE spin
1:  jmp 1b
END spin

CODE read_memory
    mov (%rdi), %rax
    syscall
END read_memory

CODE write_memory
    mov %rsi, (%rdi)
    syscall
END write_memory

/* rcx counts; (rdi) is written before (rsi). */
CODE count_in_two_pages
1:  inc %rcx
    mov %rcx, (%rdi)
    mov %rcx, (%rsi)
    jmp 1b
END count_in_two_pages

/* rsi times: *(u32 *)rdi += 1, atomically. */
CODE count_atomically
1:  lock incl (%rdi)
    dec %rsi
    jnz 1b
    syscall
END count_atomically

/* Fills the 128 bytes below the stack pointer, makes a system call, sums them up again in rax. */
CODE red_zone
    mov $-16, %rbx
1:  mov %rbx, (%rsp, %rbx, 8)
    inc %rbx
    jnz 1b
    syscall
    xor %eax, %eax
    mov $-16, %rbx
2:  add (%rsp, %rbx, 8), %rax
    inc %rbx
    jnz 2b
    syscall
END red_zone

CODE segments
    mov %fs:0, %rax
    mov %gs:0, %rbx
    syscall
    mov %fs:8, %rax
    mov %gs:8, %rbx
    syscall
END segments

/* Vector and x87 state from rdi, rsi, and the control word at (rdx); system call; read back to rax, rbx, r8, r9. */
CODE vectors
    movq %rdi, %xmm0
    movq %rsi, %xmm15
    punpcklqdq %xmm0, %xmm0
    ldmxcsr (%rdx)
    fildl (%rdx)
    syscall
    .globl contract_guest_vectors_read
contract_guest_vectors_read:
    movq %xmm0, %rax
    movhlps %xmm0, %xmm1
    movq %xmm1, %r10
    movq %xmm15, %rbx
    stmxcsr 8(%rdx)
    mov 8(%rdx), %r8d
    fistpl 8(%rdx)
    mov 8(%rdx), %r9d
    syscall
END vectors

CODE wide_vectors
    vmovq %rdi, %xmm7
    vinsertf128 $1, %xmm7, %ymm7, %ymm7
    syscall
    vextractf128 $1, %ymm7, %xmm6
    vmovq %xmm6, %rax
    syscall
END wide_vectors

CODE privileged
    hlt
END privileged

CODE illegal
    ud2
END illegal

CODE divide
    xor %ecx, %ecx
    .globl contract_guest_divide_at
contract_guest_divide_at:
    div %rcx
END divide

CODE breakpoint
    int3
    syscall
END breakpoint

CODE nops
    nop
    nop
    syscall
END nops

CODE compat_call
    int $0x80
    syscall
END compat_call

    .section .note.GNU-stack, "", @progbits
