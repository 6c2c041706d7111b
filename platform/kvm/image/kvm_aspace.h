/*
 * kvm_aspace.h: one address space: page tables, what is mapped, counters, under one mutex.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_KVM_ASPACE_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_KVM_ASPACE_H

#include "platform/address_space.h"
#include "platform/guest_memory.h"
#include "platform/kvm/image/mapping.h"
#include "platform/kvm/image/mm.h"
#include "platform/kvm/image/mm_env.h"
#include "platform/kvm/image/pagetable.h"
#include "platform/kvm/image/tlb.h"

struct store;

struct kvm_aspace {
    uint32_t inside; /* atomic: threads that are in it */
    struct tlb_space tlb;
    struct mm_mutex lock;
    /* under lock: */
    struct page_tables pt;
    struct mapping_list maps;
    struct aspace_stats stats; /* those that are counted as they happen */
    /* under the lock of the list of spaces: */
    struct kvm_aspace *next, *previous;
};

/* The mutable side of a token. Requires: `as` is one of ours. */
struct kvm_aspace *kvm_aspace_of(const struct aspace *as);

/* As kvm_aspace_fault, under the space's mutex. */
enum mm_fault kvm_aspace_fault_locked(struct kvm_aspace *as, uint64_t addr, unsigned access);

/* Pages [first, end) of a store are gone: every mapping of them is cleared (pt_drop_object). Takes the mutex of every space. */
void kvm_aspace_drop_object(const struct store *s, uint64_t first, uint64_t end, enum pt_drop what);

/* Every live space, with its lock held, for those who check. */
void kvm_aspace_each(void (*visit)(struct kvm_aspace *as, void *arg), void *arg);

/* address_space.h, one by one: for platforms that replace some of them. */
struct aspace *kvm_aspace_create(struct platform *p, int *err);
struct aspace *kvm_aspace_fork(struct platform *p, const struct aspace *parent, int *err);
int kvm_aspace_activate(struct platform *p, const struct aspace *as);
void kvm_aspace_vacate(struct platform *p, const struct aspace *as);
void kvm_aspace_destroy(struct platform *p, struct aspace *as);
void kvm_aspace_stats(struct platform *p, const struct aspace *as, struct aspace_stats *out);

/* guest_memory.h, copies; `p` is not looked at. */
size_t kvm_memory_copy_in(struct platform *p, void *dst, struct guest_addr src, size_t size);
size_t kvm_memory_copy_out(struct platform *p, struct guest_addr dst, const void *src, size_t size);
size_t kvm_memory_zero(struct platform *p, struct guest_addr dst, size_t size);
int64_t kvm_memory_string_in(struct platform *p, char *dst, struct guest_addr src, size_t size);
int kvm_memory_load32(struct platform *p, struct guest_addr addr, uint32_t *value);
int kvm_memory_cmpxchg32(struct platform *p, struct guest_addr addr, uint32_t expected,
                         uint32_t desired, uint32_t *old);
int kvm_memory_on_shortage(struct platform *p, memory_shortage ask);
/* The shim is asked: true, try again. No lock is held. */
bool kvm_memory_shortage(unsigned asked);
size_t kvm_memory_peek(struct platform *p, const struct aspace *as, void *dst,
                       struct guest_addr src, size_t size);
size_t kvm_memory_poke(struct platform *p, const struct aspace *as, struct guest_addr dst,
                       const void *src, size_t size);

#endif
