/*
 * boot.S: first instructions of the image.
 *   image_start      by the project's own VMM: 64-bit mode, boot tables loaded; rdi = struct kvm_boot_info (physical)
 *   image_start_pvh  by any loader that knows the PVH note: 32-bit protected mode without paging; ebx = struct hvm_start_info
 *                    (xen/include/public/arch-x86/hvm/start_info.h)
 */
#include "platform/kvm/image/layout.h"

#define PHYSICAL(symbol) ((symbol) - IMAGE_BASE)
#define PTE_TABLE 0x03 /* present, writable */
#define PTE_LARGE 0x83

    .section .note.Xen, "a", @note
    .long 4, 8, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .quad PHYSICAL(image_start_pvh)

    .section .boot.text, "ax"
    .code32
    .globl image_start_pvh
    .type image_start_pvh, @function
image_start_pvh:
    mov $PHYSICAL(g_boot_top_table), %eax
    mov %eax, %cr3
    mov $0xa0, %eax /* PAE, PGE */
    mov %eax, %cr4
    mov $0xc0000080, %ecx /* EFER */
    rdmsr
    or $0x901, %eax /* NXE, LME, SCE */
    wrmsr
    mov $0x80050033, %eax /* PG, AM, WP, NE, ET, MP, PE */
    mov %eax, %cr0
    lgdt PHYSICAL(1f)
    ljmp $SELECTOR_KERNEL_CODE, $PHYSICAL(2f)
    .balign 8
1:  .word g_boot_gdt_end - g_boot_gdt - 1
    .quad PHYSICAL(g_boot_gdt)
    .size image_start_pvh, . - image_start_pvh
    .balign 8
g_boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* 64-bit code */
    .quad 0x00cf93000000ffff /* data */
g_boot_gdt_end:


    .code64
2:  mov $SELECTOR_KERNEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $g_boot_stack + BOOT_STACK_SIZE, %rsp
    mov %ebx, %edi
    mov $image_main_pvh, %rax
    xor %ebp, %ebp
    call *%rax
    ud2

    .text
    .globl image_start
    .type image_start, @function
image_start:
    mov $g_boot_stack + BOOT_STACK_SIZE, %rsp
    xor %ebp, %ebp
    call image_main
    ud2
    .size image_start, . - image_start

/* Another processor: rdi = tables to load, rsp = a stack that they map. */
    .globl image_start_other
    .type image_start_other, @function
image_start_other:
    mov %rdi, %cr3
    xor %ebp, %ebp
    call image_main_other
    ud2
    .size image_start_other, . - image_start_other

    .section .data.boot, "aw" /* first in the data: the VMM loads CR3 with its start */
/* Physical 0 to 1 GiB at 0 (until the image has tables of its own), at DIRECT_MAP and at IMAGE_BASE. */
    .balign 4096
    .globl g_boot_top_table
g_boot_top_table:
    .quad PHYSICAL(g_boot_low_directories) + PTE_TABLE
    .fill DIRECT_MAP_SLOT - 1, 8, 0
    .quad PHYSICAL(g_boot_low_directories) + PTE_TABLE
    .fill 511 - DIRECT_MAP_SLOT - 1, 8, 0
    .quad PHYSICAL(g_boot_high_directories) + PTE_TABLE
g_boot_low_directories:
    .quad PHYSICAL(g_boot_directory) + PTE_TABLE
    .fill 511, 8, 0
g_boot_high_directories:
    .fill 510, 8, 0
    .quad PHYSICAL(g_boot_directory) + PTE_TABLE
    .quad 0
g_boot_directory:
    .set address, 0
    .rept 512
    .quad address + PTE_LARGE
    .set address, address + 0x200000
    .endr

    .section .bss
    .balign 4096
    .globl g_boot_stack
g_boot_stack:
    .fill BOOT_STACK_SIZE, 1, 0
    .section .note.GNU-stack, "", @progbits
