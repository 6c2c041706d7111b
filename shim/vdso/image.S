/*
 * image.S: the guest's vDSO (vdso(7)), linked by image.lds into a shared object of one page that shim/vdso.c maps into every program.
 *
 * What the platform can do in user mode is a jump to its code; the addresses are in vdso_entries, 0 where there is none. The rest is
 * the system call, so both ways tell the same. Leaf code: it touches nothing but what a C function may, and no stack.
 */
#include <asm/unistd_64.h>

/* Clocks that every platform's code knows: REALTIME, MONOTONIC, MONOTONIC_RAW, both COARSE, BOOTTIME, TAI. */
#define CLOCKS 0x8f3
#define CLOCK_LIMIT 12

    .macro function name
    .globl __vdso_\name
    .weak \name
    .type __vdso_\name, @function
    .type \name, @function
    .balign 32
__vdso_\name:
\name:
    .cfi_startproc
    .endm

    .macro end name
    .cfi_endproc
    .size __vdso_\name, . - __vdso_\name
    .size \name, . - \name
    .endm

    .macro try_entry index
    mov vdso_entries + 8 * \index(%rip), %rax
    test %rax, %rax
    jz 1f
    jmp *%rax
    .endm

    .text
/* int clock_gettime(clockid_t, struct timespec *) */
    function clock_gettime
    cmp $CLOCK_LIMIT, %edi
    jae 1f
    mov $CLOCKS, %eax
    bt %edi, %eax
    jnc 1f
    try_entry 0
1:  mov $__NR_clock_gettime, %eax
    syscall
    ret
    end clock_gettime

/* int gettimeofday(struct timeval *, struct timezone *): the zone is the shim's */
    function gettimeofday
    test %rsi, %rsi
    jnz 1f
    try_entry 1
1:  mov $__NR_gettimeofday, %eax
    syscall
    ret
    end gettimeofday

/* time_t time(time_t *) */
    function time
    try_entry 2
1:  mov $__NR_time, %eax
    syscall
    ret
    end time

/* int getcpu(unsigned *cpu, unsigned *node, void *): nodes are the shim's */
    function getcpu
    test %rsi, %rsi
    jnz 1f
    try_entry 3
1:  mov $__NR_getcpu, %eax
    syscall
    ret
    end getcpu

/* int clock_getres(clockid_t, struct timespec *) */
    function clock_getres
    mov $__NR_clock_getres, %eax
    syscall
    ret
    end clock_getres

    .section .rodata, "a", @progbits
    .balign 8
    .globl vdso_entries
    .hidden vdso_entries
    .type vdso_entries, @object
vdso_entries:
    .ascii "palimpse" /* replaced by shim/vdso.c, which finds the place by this text */
    .ascii "st vdso "
    .ascii "entries "
    .ascii "go here."
    .size vdso_entries, . - vdso_entries

    .section .note.GNU-stack, "", @progbits
