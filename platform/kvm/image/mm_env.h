/*
 * mm_env.h: what the memory code of the image (frame.c, pagetable.c, mapping.c, aspace.c, object.c...) asks of its surroundings.
 *
 * The same sources are compiled into the ring-0 image, where these functions work on real page tables, and into a library of the
 * host (platform/kvm/hosttest), where physical memory is a window of ordinary memory and no processor ever looks at a table.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_MM_ENV_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_MM_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/annotations.h"

struct host_file;
struct kvm_aspace;

/* Where physical address 0 is mapped: all of memory, writable, for the kernel alone. Set before frame_init(). */
extern char *g_phys_window;
static inline void *phys_to_virt(uint64_t phys)
{
    return g_phys_window + phys;
}
static inline uint64_t virt_to_phys(const void *virt)
{
    return (uint64_t)((const char *)virt - g_phys_window);
}

/*
 * Locks. A spin lock is held for some hundred instructions and never over anything that sleeps; while it is held the thread is
 * not moved to another processor nor preempted. No interrupt handler takes one. A mutex may be held over host I/O. Both are free
 * when zero.
 */
struct mm_spinlock {
    uint32_t word;
};
struct mm_mutex {
    uint32_t word;
};
void mm_spin_lock(struct mm_spinlock *lock);
void mm_spin_unlock(struct mm_spinlock *lock);
void mm_mutex_lock(struct mm_mutex *lock);
void mm_mutex_unlock(struct mm_mutex *lock);

/*
 * When this returns, no processor will use a translation of [start, end) in `as` (its lower-level entries included) that was
 * cached before the call; one that has left the space drops it when it loads it again (tlb.h). NULL: of every space. May wait for other
 * processors; called with no spin lock held.
 */
void mm_flush(struct kvm_aspace *as, uint64_t start, uint64_t end);

/* The space this thread is in, or NULL. */
struct kvm_aspace *mm_active(void);
/*
 * This thread is in `as` now (NULL: in none): load its root (kvm_aspace_root), now and whenever the thread runs again. The
 * counting of who is inside is done by the caller.
 */
void mm_set_active(struct kvm_aspace *as);

/* Bulk work on physical memory; sizes are multiples of a page. Where ring 0 is emulated, the VMM does it. */
void mm_zero(uint64_t phys, uint64_t size);
void mm_copy(uint64_t to, uint64_t from, uint64_t size);
/*
 * The contents of whole 2 MiB blocks are not needed any more: the host may have the memory back. They read as zeros afterwards.
 * false: nothing was done, the contents are as they were.
 */
bool mm_discard(uint64_t phys, uint64_t size);

/*
 * Frames were handed out, or are free again. For tools that watch accesses (AddressSanitizer); the image has nothing to do.
 */
void mm_memory_taken(uint64_t phys, uint64_t size);
void mm_memory_released(uint64_t phys, uint64_t size);

/* Host files behind memory objects. All may sleep. */
struct mm_file_info {
    uint64_t dev, ino; /* the same file by whatever handle */
    uint64_t size;
    bool readable, writable; /* by this handle */
    bool mappable;           /* a regular file */
};
int mm_file_info(struct host_file *file, struct mm_file_info *out);
void mm_file_get(struct host_file *file);
void mm_file_put(struct host_file *file);
/* One page at `offset`; what lies behind the end of the file reads as zeros. 0 or -errno. */
int mm_file_read(struct host_file *file, uint64_t offset, uint64_t phys);
/* `size` bytes of a page; never grows the file. 0 or -errno. */
int mm_file_write(struct host_file *file, uint64_t offset, uint64_t phys, uint64_t size);
int mm_file_resize(struct host_file *file, uint64_t size);

/* Tests fail an allocation of memory here: true once for each failure that is due. */
bool mm_allocation_fails(void);

#endif
