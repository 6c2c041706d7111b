/*
 * tlb.h: translations that processors keep: when one may keep those of a space it leaves, and who drops what after a change of tables.
 *
 * With PCIDs (Intel SDM vol. 3, 4.10) each processor keeps the translations of its last TLB_KEPT spaces, each under a number of its
 * own, and says for each up to which change of that space's tables it has dropped what was old. A flush counts a change, and interrupts
 * only processors that have the space loaded; the others compare when they load it again, and drop it all if they missed one.
 * Without PCIDs each load drops everything. Kernel pages are global and never change, so no flush is about them.
 *
 * The same code decides in the image and in the host library of tests/kvm_host, where processors and their caches are modelled.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_TLB_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_TLB_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/kvm/hypercall.h"

/* PCIDs 1 to this are given to spaces; 0 belongs to the kernel's tables, which have no user pages. */
enum { TLB_KEPT = 6 };

#define TLB_PCID_MASK 0xfffull
#define TLB_KEEP (1ull << 63) /* of a value for CR3: what is cached under its PCID stays */

/* Of a space. */
struct tlb_space {
    uint64_t id;      /* of no other space before or after; never 0 */
    uint64_t changes; /* atomic: flushes that were asked for */
};

struct tlb_kept {
    uint64_t id; /* whose translations this PCID names; 0: nobody's */
    /* All changes up to these, of that space and of all, were dropped here. 64 bits never wrap. */
    uint64_t changes, changes_of_all;
};

/* Of a processor. All but what is marked is its own affair, with interrupts off. */
struct tlb_cpu {
    /* Whose tables it walks, and is about to; NULL: the kernel's. Atomic: others look */
    struct tlb_space *loaded, *loading;
    /* Atomic: how often it was asked to drop its translations; up to which of these it has */
    uint32_t flush_wanted, flush_done;
    uint64_t cr3;          /* as it was loaded, without TLB_KEEP */
    struct tlb_kept *slot; /* of what is loaded; NULL: it has none */
    unsigned next;         /* slot to be given to another space */
    struct tlb_kept kept[TLB_KEPT];
    uint64_t loads, loads_kept; /* of tables of spaces; those that dropped nothing */
};

extern struct tlb_cpu g_tlb[KVM_CPU_MAX];
/* How many of them work, and whether they have PCIDs, which are then enabled. Fixed before the first space. */
extern unsigned g_tlb_count;
extern bool g_tlb_pcids;

void tlb_space_init(struct tlb_space *space);

/* This processor leaves the tables it has loaded for those of `space`, or the kernel's (NULL), at `root`. Interrupts off. */
void tlb_cpu_load(struct tlb_cpu *self, struct tlb_space *space, uint64_t root);

/* Has somebody asked this processor to drop its translations? Then it does, by tlb_cpu_serve. Interrupts off. */
bool tlb_cpu_is_asked(const struct tlb_cpu *self);
void tlb_cpu_serve(struct tlb_cpu *self);

/* As mm_flush. `serve` is called while others are waited for: to serve. Interrupts off. */
void tlb_flush(struct tlb_cpu *self, struct tlb_space *space, uint64_t start, uint64_t end,
               void (*serve)(void));

/* The machine's part: the instructions. `cpu` is the calling processor, but for the interrupt. */
void tlb_machine_load(struct tlb_cpu *cpu, uint64_t cr3);
void tlb_machine_drop(struct tlb_cpu *cpu, uint64_t addr); /* a page, of the PCID that is loaded */
void tlb_machine_interrupt(struct tlb_cpu *cpu);           /* have it call tlb_cpu_serve */

#endif
