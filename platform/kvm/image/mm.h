/*
 * mm.h: frames, page tables and address spaces, as the rest of the image sees them.
 *
 *    mm_env.h     what all of this needs from its surroundings
 *    frame.h      physical memory: frames of 4 KiB with reference counts, blocks of 2 MiB
 *    pagetable.h  4-level tables whose pages are shared copy-on-write
 *    mapping.h    what is mapped where in a space, in an ordered list
 *    object.h     memory objects: zeros that grow, pages of host files
 *    tlb.h        what processors cache of all this, and when they drop it
 *    kvm_aspace.h one space: all of the above under one mutex
 *
 * Locks, in order: the list of spaces, a space's mutex (fork: the child's, then the parent's), the list of files, a store's mutex; then the
 * spin locks: a table's, a pool's, the allocator's.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_MM_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_MM_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/address_space.h"
#include "platform/guest_memory.h"

struct kvm_aspace;

struct mm_range {
    uint64_t start, end; /* physical; rounded inwards to pages */
};

/*
 * Takes over all memory of `ranges` (ascending, disjoint; at most MM_RANGES_MAX), which is zero if `zeroed`. Keeps its own tables at the
 * start of the first range that has room. `kernel_half` is copied into entries 256 to 511 of every root, and never changes. EFER.NXE is on.
 * Requires: g_phys_window is set; called once, before anything else here.
 */
enum { MM_RANGES_MAX = 16, MM_KERNEL_ENTRIES = 256 };
void mm_init(const struct mm_range *ranges, unsigned count, bool zeroed,
             const uint64_t kernel_half[MM_KERNEL_ENTRIES]);

/* The providers of the platform. Copies use the kernel's window, not the guest's addresses, so no copy of theirs faults. */
extern const struct aspace_ops kvm_aspace_ops;
extern const struct memory_ops kvm_memory_ops;

/* For CR3. Constant over the space's life. */
uint64_t kvm_aspace_root(const struct kvm_aspace *as);

/*
 * A page fault at a user address, from ring 3 or from a copy in ring 0, while `as` is active.
 * access: MEMORY_READ, MEMORY_WRITE or MEMORY_EXEC. Takes the space's mutex and may sleep for the host.
 */
enum mm_fault {
    MM_FAULT_RESOLVED,   /* run the instruction again */
    MM_FAULT_UNMAPPED,   /* GUEST_FAULT_UNMAPPED */
    MM_FAULT_PROTECTION, /* GUEST_FAULT_PROTECTION */
    /* GUEST_FAULT_BUS: past the end of the object, or the host could not read its file */
    MM_FAULT_BUS,
    MM_FAULT_NO_MEMORY, /* GUEST_FAULT_NO_MEMORY: no frame was left */
};
enum mm_fault kvm_aspace_fault(struct kvm_aspace *as, uint64_t addr, unsigned access);

/*
 * Threads come and go: a thread that will begin in `as` counts as inside before it runs (mm_set_active is then the caller's affair); the
 * calling thread leaves its space, if any, and is in none.
 */
void kvm_aspace_adopt(const struct kvm_aspace *as);
void kvm_aspace_leave(void);

/*
 * A host file was written, truncated or is about to be read by other means than its pages in memory objects: pages of objects
 * over the file (dev, ino) in [offset, offset + size) are written back first (FLUSH), or read again afterwards (CHANGED). Cheap when there
 * is none.
 */
enum mm_file_event { MM_FILE_FLUSH, MM_FILE_CHANGED };
void mm_file_event(uint64_t dev, uint64_t ino, uint64_t offset, uint64_t size,
                   enum mm_file_event event);
/* At the end of the instance: every dirty page of every file is written back. */
void mm_write_back_all(void);

/* Counts for tests, benchmarks and --stats. Frames of 4 KiB. */
struct mm_counts {
    uint64_t frames_total, frames_free;
    /* Private pages and contents of objects that are no files (memory_used). */
    uint64_t frames_guest;
    /* Of tokens and objects: kept for the next ones, so they do not come back. */
    uint64_t frames_pool;
    uint64_t table_pages;    /* in use for page tables */
    uint64_t frames_file;    /* contents of host files */
    uint64_t frames_records; /* lists of mappings, indexes of objects */
};
void mm_counts(struct mm_counts *out);

#endif
