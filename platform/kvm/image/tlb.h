/*
 * tlb.h: translations that processors keep.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_TLB_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_TLB_H

struct cpu;
struct kvm_aspace;

/* This processor leaves the space it has loaded for `as`, or for none (NULL). Interrupts off. */
void tlb_load(struct cpu *cpu, struct kvm_aspace *as);

/* Drop this processor's translations if somebody waits for it. Interrupts off. */
void tlb_serve(struct cpu *cpu);

#endif
