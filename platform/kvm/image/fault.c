/*
 * fault.c: page faults: zeros, pages of objects, copies of what is shared, rights that were taken lazily.
 */
#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/kvm/image/kvm_aspace.h"
#include "platform/kvm/image/object.h"

/* Smaller regions would pay for a huge page more than they gain: see docs/design/0004 for the measurement on linux_user. */
#define HUGE_FROM (UINT64_C(4) << 20)

/* Bits of an entry that shows a page of this mapping. */
static uint64_t entry_bits(const struct mapping *m)
{
    return (m->prot ? PTE_PRESENT : 0) | PTE_USER | (m->prot & MEMORY_EXEC ? 0 : PTE_NX);
}

/* A processor reads what it may write or execute. */
static bool allowed(const struct mapping *m, unsigned access)
{
    return access == MEMORY_READ ? m->prot != MEMORY_NONE : (m->prot & access) != 0;
}

static bool huge_fits(const struct mapping *m, uint64_t addr)
{
    const uint64_t start = addr & ~(BLOCK_SIZE - 1);
    if (m->object || (m->flags & MAPPING_NO_HUGE) || m->start > start ||
        m->end < start + BLOCK_SIZE)
        return false;
    return (m->flags & MAPPING_HUGE) || m->end - m->start >= HUGE_FROM;
}

struct fault {
    struct kvm_aspace *as;
    const struct mapping *m;
    uint64_t addr;
    unsigned access;
    struct pt_batch batch;
};

/* MM_FAULT_UNMAPPED: no huge page here, go on with a small one. */
static enum mm_fault fault_huge(struct fault *f)
{
    struct page_tables *pt = &f->as->pt;
    const uint64_t start = f->addr & ~(BLOCK_SIZE - 1);
    uint64_t *slot = pt_own(pt, f->addr, 2, &f->batch);
    if (!slot)
        return MM_FAULT_NO_MEMORY;
    const uint64_t e = *slot;
    if (!e) {
        if (f->access != MEMORY_WRITE || !huge_fits(f->m, f->addr))
            return MM_FAULT_UNMAPPED;
        uint64_t phys = frame_alloc_huge();
        if (phys == FRAME_NONE)
            return MM_FAULT_UNMAPPED;
        pt_set(pt, slot, 2, phys | entry_bits(f->m) | PTE_WRITE | PTE_HUGE);
        return MM_FAULT_RESOLVED;
    }
    /* Rights are given to all of it, so all of it must have them. */
    if (!(e & PTE_HUGE) || f->m->start > start || f->m->end < start + BLOCK_SIZE)
        return MM_FAULT_UNMAPPED;
    uint64_t to = (e & ~PTE_NX) | entry_bits(f->m);
    if (f->access == MEMORY_WRITE && !(e & PTE_WRITE)) {
        if (!frame_huge_is_sole(e & PTE_ADDRESS))
            return MM_FAULT_UNMAPPED; /* is split, and one page of it copied */
        f->batch.taken_back |= (e & PTE_COW) != 0;
        to = (to & ~PTE_COW) | PTE_WRITE;
    }
    pt_set(pt, slot, 2, to);
    return MM_FAULT_RESOLVED;
}

static enum mm_fault object_fault(int err)
{
    return err == -ENOMEM ? MM_FAULT_NO_MEMORY : MM_FAULT_BUS;
}

/* A new private page with the contents of `from`. */
static uint64_t copy_of(struct fault *f, uint64_t from)
{
    uint64_t copy = frame_alloc(FRAME_DATA, FRAME_ANY);
    if (copy != FRAME_NONE) {
        mm_copy(copy, from, FRAME_SIZE);
        f->as->stats.pages_copied_by_write++;
    }
    return copy;
}

/* Nothing is there yet. */
static enum mm_fault fault_new(struct fault *f, uint64_t *slot)
{
    const struct mapping *m = f->m;
    const bool writes = f->access == MEMORY_WRITE;
    uint64_t bits = entry_bits(m), phys;
    if (!m->object) {
        phys = writes ? frame_alloc(FRAME_DATA, FRAME_ZEROED) : g_zero_frame;
        if (phys == FRAME_NONE)
            return MM_FAULT_NO_MEMORY;
        pt_set(&f->as->pt, slot, 1, phys | bits | (writes ? PTE_WRITE : 0));
        return MM_FAULT_RESOLVED;
    }
    const bool shared = m->flags & MAPPING_SHARED;
    const uint64_t index = (m->offset + (f->addr - m->start)) / FRAME_SIZE;
    int err = object_frame(m->object, index, shared && writes ? OBJECT_WRITE : OBJECT_READ, &phys);
    if (err)
        return object_fault(err);
    if (shared) {
        /* A file's page is written for the first time by a fault, which marks it dirty. */
        if ((m->prot & MEMORY_WRITE) && (writes || !object_is_file(m->object)))
            bits |= PTE_WRITE;
    } else if (writes) {
        uint64_t copy = copy_of(f, phys);
        frame_put(phys);
        if (copy == FRAME_NONE)
            return MM_FAULT_NO_MEMORY;
        pt_set(&f->as->pt, slot, 1, copy | bits | PTE_WRITE);
        return MM_FAULT_RESOLVED;
    }
    pt_set(&f->as->pt, slot, 1, phys | bits | PTE_OBJECT);
    return MM_FAULT_RESOLVED;
}

/* A write to a page that is there and may not be written as it is. */
static enum mm_fault fault_write(struct fault *f, uint64_t *slot)
{
    const uint64_t e = *slot, phys = e & PTE_ADDRESS;
    const struct mapping *m = f->m;
    const uint64_t bits = entry_bits(m) | PTE_WRITE, page = f->addr & ~(uint64_t)(FRAME_SIZE - 1);
    if (m->flags & MAPPING_SHARED) {
        uint64_t same;
        int err = object_frame(m->object, (m->offset + (f->addr - m->start)) / FRAME_SIZE,
                               OBJECT_WRITE, &same);
        if (err)
            return object_fault(err);
        /* Another page than the one here, if the store shrank and grew meanwhile. */
        if (same != phys)
            pt_batch_flush(&f->batch, page, page + FRAME_SIZE);
        pt_set(&f->as->pt, slot, 1, same | bits | PTE_OBJECT);
        pt_batch_put(&f->batch, phys);
        return MM_FAULT_RESOLVED;
    }
    if (!(e & PTE_OBJECT) && phys != g_zero_frame && frame_is_sole(phys)) {
        f->batch.taken_back |= (e & PTE_COW) != 0;
        pt_set(&f->as->pt, slot, 1, phys | bits);
        return MM_FAULT_RESOLVED;
    }
    uint64_t copy = phys == g_zero_frame ? frame_alloc(FRAME_DATA, FRAME_ZEROED) : copy_of(f, phys);
    if (copy == FRAME_NONE)
        return MM_FAULT_NO_MEMORY;
    pt_set(&f->as->pt, slot, 1, copy | bits);
    pt_batch_flush(&f->batch, page, page + FRAME_SIZE);
    if (phys != g_zero_frame)
        pt_batch_put(&f->batch, phys);
    f->batch.taken_back = false;
    return MM_FAULT_RESOLVED;
}

/* `slot` is of a table that is this space's alone. */
static enum mm_fault fault_small(struct fault *f, uint64_t *slot)
{
    const uint64_t e = *slot;
    if (!e)
        return fault_new(f, slot);
    if (f->access == MEMORY_WRITE && !(e & PTE_WRITE))
        return fault_write(f, slot);
    /* Rights that came back, by the mapping or from a table above. */
    pt_set(&f->as->pt, slot, 1, (e & ~PTE_NX) | entry_bits(f->m));
    return MM_FAULT_RESOLVED;
}

/* Where the way to the entry is not this space's alone, or not there. */
static enum mm_fault fault_on_path(struct fault *f)
{
    if (pt_find(&f->as->pt, f->addr).rights & f->access)
        return MM_FAULT_RESOLVED;
    /* A huge page makes no difference to whom it is zero; a shared table above it does. */
    enum mm_fault result = f->m->object ? MM_FAULT_UNMAPPED : fault_huge(f);
    if (result != MM_FAULT_UNMAPPED)
        return result;
    uint64_t *slot = pt_own(&f->as->pt, f->addr, 1, &f->batch);
    return slot ? fault_small(f, slot) : MM_FAULT_NO_MEMORY;
}

enum mm_fault kvm_aspace_fault_locked(struct kvm_aspace *as, uint64_t addr, unsigned access)
{
    struct fault f;
    f.as = as;
    f.addr = addr;
    f.access = access;
    pt_batch_init(&f.batch);
    if (addr >= PT_USER_END)
        return MM_FAULT_UNMAPPED;
    f.m = mapping_find(&as->maps, addr);
    if (!f.m)
        return MM_FAULT_UNMAPPED;
    if (!allowed(f.m, access))
        return MM_FAULT_PROTECTION;
    as->stats.faults++;
    /* Somebody else may have been first, or the processor did not know yet: then the rights are there. */
    uint64_t *slot = pt_owned(&as->pt, addr);
    enum mm_fault result = !slot                         ? fault_on_path(&f)
                           : (pt_rights(*slot) & access) ? MM_FAULT_RESOLVED
                                                         : fault_small(&f, slot);
    if (f.batch.taken_back && result == MM_FAULT_RESOLVED && access == MEMORY_WRITE)
        as->stats.pages_reclaimed++;
    pt_finish(&as->pt, &f.batch);
    return result;
}

enum mm_fault kvm_aspace_fault(struct kvm_aspace *as, uint64_t addr, unsigned access)
{
    mm_mutex_lock(&as->lock);
    enum mm_fault result = kvm_aspace_fault_locked(as, addr, access);
    mm_mutex_unlock(&as->lock);
    return result;
}
