/*
 * guest_copy.S: accesses to guest memory that may fault. A fault at an instruction named in lu_fixups goes on at its landing.
 */
    .macro FIXUP insn, landing
    .pushsection lu_fixups, "a"
    .balign 4
    .long \insn - ., \landing - .
    .popsection
    .endm

    .text
/* size_t lu_copy_fallible(void *dst, const void *src, size_t size): bytes not copied. rep movsb keeps rcx exact at a fault. */
    .globl lu_copy_fallible
    .type lu_copy_fallible, @function
    .balign 16
lu_copy_fallible:
    mov %rdx, %rcx
1:  rep movsb
2:  mov %rcx, %rax
    ret
    FIXUP 1b, 2b
    .size lu_copy_fallible, . - lu_copy_fallible

/* size_t lu_zero_fallible(void *dst, size_t size) */
    .globl lu_zero_fallible
    .type lu_zero_fallible, @function
    .balign 16
lu_zero_fallible:
    mov %rsi, %rcx
    xor %eax, %eax
3:  rep stosb
4:  mov %rcx, %rax
    ret
    FIXUP 3b, 4b
    .size lu_zero_fallible, . - lu_zero_fallible

/* int lu_load32_fallible(uint32_t *value, const void *addr) */
    .globl lu_load32_fallible
    .type lu_load32_fallible, @function
    .balign 16
lu_load32_fallible:
5:  mov (%rsi), %ecx
    mov %ecx, (%rdi)
    xor %eax, %eax
    ret
6:  mov $-14, %eax
    ret
    FIXUP 5b, 6b
    .size lu_load32_fallible, . - lu_load32_fallible

/* int lu_cmpxchg32_fallible(void *addr, uint32_t expected, uint32_t desired, uint32_t *old) */
    .globl lu_cmpxchg32_fallible
    .type lu_cmpxchg32_fallible, @function
    .balign 16
lu_cmpxchg32_fallible:
    mov %esi, %eax
    mov %rcx, %r8
7:  lock cmpxchg %edx, (%rdi)
    mov %eax, (%r8)
    xor %eax, %eax
    ret
8:  mov $-14, %eax
    ret
    FIXUP 7b, 8b
    .size lu_cmpxchg32_fallible, . - lu_cmpxchg32_fallible

/* int64_t lu_string_fallible(char *dst, const char *src, size_t size) */
    .globl lu_string_fallible
    .type lu_string_fallible, @function
    .balign 16
lu_string_fallible:
    xor %eax, %eax
    movabs $0x0101010101010101, %r8
    movabs $0x8080808080808080, %r9
13: lea 8(%rax), %rcx               /* eight bytes at a time while they fit and lie in one page */
    cmp %rdx, %rcx
    ja 9f
    lea (%rsi,%rax), %ecx
    and $0xfff, %ecx
    cmp $0xff8, %ecx
    ja 14f
10: mov (%rsi,%rax), %rcx
    mov %rcx, (%rdi,%rax)
    mov %rcx, %r10
    sub %r8, %rcx
    not %r10
    and %r10, %rcx
    and %r9, %rcx                   /* the lowest bit: in the first zero byte */
    jnz 15f
    add $8, %rax
    jmp 13b
15: bsf %rcx, %rcx
    shr $3, %ecx
    add %rcx, %rax
    ret
14: movzbl (%rsi,%rax), %ecx        /* across the border: byte by byte */
    mov %cl, (%rdi,%rax)
    test %cl, %cl
    jz 11f
    inc %rax
    jmp 13b
9:  cmp %rdx, %rax
    je 11f
16: movzbl (%rsi,%rax), %ecx
    mov %cl, (%rdi,%rax)
    test %cl, %cl
    jz 11f
    inc %rax
    jmp 9b
11: ret
12: mov $-14, %rax
    ret
    FIXUP 10b, 12b
    FIXUP 14b, 12b
    FIXUP 16b, 12b
    .size lu_string_fallible, . - lu_string_fallible
    .section .note.GNU-stack, "", @progbits
