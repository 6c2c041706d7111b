/*
 * layout_asm.h: offsets that assembly uses, asserted in cpu.h, and numbers of vectors. Read by C and assembly.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_LAYOUT_ASM_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_LAYOUT_ASM_H

#define CONTEXT_KERNEL_SP 200 /* struct kvm_context.kernel_sp */
#define CPU_FRAME_TOP 0       /* struct cpu: where a system call builds its frame, */
#define CPU_USER_SP 8         /* and room for the guest's stack pointer meanwhile */
#define THREAD_SAVED_SP 0     /* struct thread.saved_sp */
#define TRAP_FRAME_RIP 136    /* struct trap_frame.rip */

#define VECTOR_DIVIDE 0
#define VECTOR_DEBUG 1
#define VECTOR_NMI 2
#define VECTOR_BREAKPOINT 3
#define VECTOR_OVERFLOW 4
#define VECTOR_BOUND 5
#define VECTOR_ILLEGAL 6
#define VECTOR_DOUBLE_FAULT 8
#define VECTOR_STACK 12
#define VECTOR_GENERAL 13
#define VECTOR_PAGE 14
#define VECTOR_X87 16
#define VECTOR_ALIGNMENT 17
#define VECTOR_MACHINE_CHECK 18
#define VECTOR_SIMD 19
#define VECTOR_COMPAT 0x80
#define VECTOR_TIMER 0xef
#define VECTOR_DONE 0xf0 /* hypercall.h: KVM_VECTOR_DONE */
#define VECTOR_RESCHEDULE 0xf1
#define VECTOR_FLUSH 0xf2
#define VECTOR_SPURIOUS 0xff
#define VECTOR_SYSCALL 0x100 /* not of the IDT: how kvm_guest_enter names a system call */

#define ENTER_BY_IRET 0
#define ENTER_BY_SYSRET 1

#endif
