/*
 * tlb.h: translations that processors keep.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_TLB_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_TLB_H

struct cpu;

/* Drop this processor's translations if somebody waits for it. Interrupts off. */
void tlb_serve(struct cpu *cpu);

#endif
