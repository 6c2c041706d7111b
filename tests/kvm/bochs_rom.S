/*
 * bochs_rom.S: in place of a BIOS, in the last 8 KiB of the ROM: from the reset vector to the PVH entry of an image that lies in the same ROM,
 * at its start. under_bochs.py fills in `g_table` and what follows it.
 */
#define ROM_LOW 0xfe000 /* the last 128 KiB are also seen below 1 MiB */

    .text
    .globl _start
_start:
g_table:
    .long 0, 0, 0, 0, 0 /* the image: from, to, size, bytes of zeros behind it, entry */
    .org 0x20           /* struct hvm_start_info */
    .org 0x100          /* its memory map */
    .org 0x200          /* the command line */
    .org 0x1000
    .code32
protected:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    cld
    mov g_table, %esi
    mov g_table + 4, %edi
    mov g_table + 8, %ecx
    rep movsb
    mov g_table + 12, %ecx
    xor %eax, %eax
    rep stosb
    mov $ROM_LOW + 0x20, %ebx
    jmp *g_table + 16
    .code16
real:
    cli
    lgdtl %cs:gdt_register - _start + (ROM_LOW & 0xffff)
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $8, $protected
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
gdt_register:
    .word . - gdt - 1
    .long gdt
    .org 0x1ff0
    jmp real
    .org 0x2000
    .section .note.GNU-stack, "", @progbits
