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

/* rdi: area, rsi: descriptor of an endless sequence at +4, of 2 bytes, whose abort address is at +13: a call with 77. */
CODE sequence
    mov %rsi, 8(%rdi)
1:  jmp 1b
    .byte 0x0f, 0xb9, 0x3d
    .long 0x53053053
    mov $77, %eax
    syscall
END sequence

/*
 * rdi: area, rsi: descriptor of the sequence from faulting_sequence_start to _end, rdx: nothing there yet. Waits for 128(%rdi), begins,
 * says so at 136(%rdi), touches (rdx), and writes 144(%rdi) as its last act: a call with 55; or, at the abort address, one with 77.
 */
CODE faulting_sequence
1:  pause
    cmpq $0, 128(%rdi)
    je 1b
    mov %rsi, 8(%rdi)
    .globl contract_guest_faulting_sequence_start, contract_guest_faulting_sequence_end_at, contract_guest_faulting_sequence_abort
contract_guest_faulting_sequence_start:
    movq $1, 136(%rdi)
    movq $1, (%rdx)
    movq $1, 144(%rdi)
contract_guest_faulting_sequence_end_at:
    mov $55, %eax
    syscall
    .byte 0x0f, 0xb9, 0x3d
    .long 0x53053053
contract_guest_faulting_sequence_abort:
    mov $77, %eax
    syscall
END faulting_sequence

/* rdi: as above. A call once the sequence has begun; goes on with a look whether it has ended: a call with that in rax. */
CODE watch_sequence
    movq $1, 128(%rdi)
1:  pause
    cmpq $0, 136(%rdi)
    je 1b
    syscall
    mov 144(%rdi), %rax
    syscall
END watch_sequence

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

/*
 * Known values in all general registers but rdi, rsp and in xmm0-14 (from 16 * 15 bytes at rdi), looked at for ever; ud2 when
 * one has changed. With a call: a system call a round, whose result is what rax was.
 */
    .macro KEEP_VALUES with_call
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
    movdqu 16*\n(%rdi), %xmm\n
    .endr
    mov $0x11111111, %eax
    mov $0x12121212, %ebx
    mov $0x13131313, %ecx
    mov $0x14141414, %edx
    mov $0x15151515, %esi
    mov $0x16161616, %ebp
    mov $0x17171717, %r8d
    mov $0x18181818, %r9d
    mov $0x19191919, %r10d
    mov $0x1a1a1a1a, %r11d
    mov $0x1b1b1b1b, %r12d
    mov $0x1c1c1c1c, %r13d
    mov $0x1d1d1d1d, %r14d
    mov $0x1e1e1e1e, %r15d
1:  cmp $0x11111111, %rax
    jne 2f
    cmp $0x12121212, %rbx
    jne 2f
    cmp $0x13131313, %rcx
    jne 2f
    cmp $0x14141414, %rdx
    jne 2f
    cmp $0x15151515, %rsi
    jne 2f
    cmp $0x16161616, %rbp
    jne 2f
    cmp $0x17171717, %r8
    jne 2f
    cmp $0x18181818, %r9
    jne 2f
    cmp $0x19191919, %r10
    jne 2f
    cmp $0x1a1a1a1a, %r11
    jne 2f
    cmp $0x1b1b1b1b, %r12
    jne 2f
    cmp $0x1c1c1c1c, %r13
    jne 2f
    cmp $0x1d1d1d1d, %r14
    jne 2f
    cmp $0x1e1e1e1e, %r15
    jne 2f
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
    movdqu 16*\n(%rdi), %xmm15
    pcmpeqb %xmm\n, %xmm15
    pmovmskb %xmm15, %ecx
    cmp $0xffff, %ecx
    jne 2f
    .endr
    mov %rax, (%rsp)
    cmp (%rsp), %rax
    jne 2f
    .if \with_call
    mov $0x11111111, %eax /* the number right before the call, as compilers do: platforms may patch that */
    syscall
    mov $0x1a1a1a1a, %r11d
    .endif
    mov $0x13131313, %ecx
    jmp 1b
2:  ud2
    .endm

CODE keep_values
    KEEP_VALUES 0
END keep_values

CODE keep_values_and_call
    KEEP_VALUES 1
END keep_values_and_call

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
