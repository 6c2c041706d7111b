/*
 * guest_memory.h: what is mapped in a guest's space, and how the shim reaches it.
 *
 * The shim keeps VMAs (Linux meaning); the platform maps, unmaps and protects ranges of memory
 * objects. A guest address is a type of its own and is never dereferenced: copies range-check first
 * and fail with -EFAULT.
 */
#ifndef PALIMPSEST_PLATFORM_GUEST_MEMORY_H
#define PALIMPSEST_PLATFORM_GUEST_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/annotations.h"

struct platform;
struct aspace;
struct host_file;

struct guest_addr {
    uint64_t raw;
};
static inline struct guest_addr guest_addr(uint64_t raw)
{
    return (struct guest_addr){raw};
}

/*
 * One stretch of memory that data moves to or from: the shim's own or the active guest space's.
 * Made by mem_shim() and mem_guest(); a call that takes one says which direction it moves.
 */
struct mem_ref {
    void *shim;              /* NULL: the guest side is meant */
    struct guest_addr guest; /* meaningful only when shim == NULL */
    size_t size;             /* bytes */
};
static inline struct mem_ref mem_shim(void *ptr, size_t size)
{
    return (struct mem_ref){.shim = ptr, .size = size};
}
static inline struct mem_ref mem_guest(struct guest_addr addr, size_t size)
{
    return (struct mem_ref){.guest = addr, .size = size};
}
/* The part of `m` that starts `skip` bytes in. Requires: skip <= m.size. */
static inline struct mem_ref mem_skip(struct mem_ref m, size_t skip)
{
    if (m.shim)
        m.shim = (char *)m.shim + skip;
    else
        m.guest.raw += skip;
    m.size -= skip;
    return m;
}
static inline struct mem_ref mem_first(struct mem_ref m, size_t size)
{
    if (m.size > size)
        m.size = size;
    return m;
}

/* Bits. */
enum memory_prot {
    MEMORY_NONE = 0,
    MEMORY_READ = 1,
    MEMORY_WRITE = 2,
    MEMORY_EXEC = 4,
};

enum memory_sharing {
    MEMORY_PRIVATE, /* writes stay in this space; copy-on-write against object and fork */
    MEMORY_SHARED,  /* writes reach the object and every space that maps it shared */
};

enum memory_advice {
    MEMORY_ADVICE_DONTNEED,      /* private: reads as the object or zero; shared: unmapped only */
    MEMORY_ADVICE_FREE,          /* contents may go at any time until written again */
    MEMORY_ADVICE_DONTFORK,      /* absent in children */
    MEMORY_ADVICE_DOFORK,        /* undoes DONTFORK */
    MEMORY_ADVICE_WIPEONFORK,    /* private anonymous only: zero in children */
    MEMORY_ADVICE_KEEPONFORK,    /* undoes WIPEONFORK */
    MEMORY_ADVICE_HUGEPAGE,      /* large pages welcome */
    MEMORY_ADVICE_NOHUGEPAGE,    /* no large pages here, whatever the platform's own policy */
    MEMORY_ADVICE_WILLNEED,      /* populate for reading if cheap */
    MEMORY_ADVICE_POPULATE_READ, /* every page is present afterwards */
    /* as POPULATE_READ, and may be written without a fault, as far as protection goes */
    MEMORY_ADVICE_POPULATE_WRITE,
};

/*
 * A memory object: zero-filled shared memory that grows and shrinks, or a view of a host file.
 * Reference-counted; lives while referenced or mapped.
 */
struct memory_object;
enum memory_seek { MEMORY_SEEK_DATA, MEMORY_SEEK_HOLE };

/*
 * A mapping to be made. addr, size, offset: page aligned; size > 0; the range within [guest_min,
 * guest_end).
 */
struct memory_map_request {
    struct guest_addr addr;
    uint64_t size;
    enum memory_sharing sharing;
    unsigned prot; /* MEMORY_* bits */
    struct memory_object
        *object; /* borrowed; NULL: zero-filled private memory (sharing must be MEMORY_PRIVATE) */
    uint64_t offset; /* into the object; may lie past its end: touching that is a GUEST_FAULT_BUS */
    bool no_huge;    /* the owner asked for small pages (prctl(PR_SET_THP_DISABLE)) */
};

/*
 * Asked on the copying thread, under no lock of the platform's, when a page of the guest's that a copy or an atomic is to reach needs memory and none is
 * left. asked: how often in a row for that page before. true: it is tried again; false: the copy ends there, as at a byte that cannot be reached.
 */
typedef bool (*memory_shortage)(unsigned asked);

/*
 * The slots. `as` must be active on the calling thread unless a slot says otherwise; every range is
 * page aligned and in the guest's range (checked by the entry points: an unaligned or foreign range
 * from the shim is a bug, not an errno). All are callable from any thread; none takes a shim lock.
 * Threads of the same space may run guest code meanwhile.
 */
struct memory_ops {
    /*
     * Replace whatever is mapped in the range. Errors: -ENOMEM; -EACCES (object does not allow
     * this); -ENODEV (object cannot be mapped). On error the range is as before or unmapped, never
     * half of each.
     */
    int (*map)(struct platform *p, const struct aspace *as, const struct memory_map_request *req);
    /* Unmap the range; holes are fine. Errors: -ENOMEM. */
    int (*unmap)(struct platform *p, const struct aspace *as, struct guest_addr addr,
                 uint64_t size);
    /* Change protection; the whole range is mapped. Errors: -ENOMEM, -EACCES. */
    int (*protect)(struct platform *p, const struct aspace *as, struct guest_addr addr,
                   uint64_t size, unsigned prot);
    /*
     * Move a mapped range, contents and all; the target is replaced; ranges do not overlap.
     * new_size >= old_size adds the tail of the same object (or zeros). from == to: grows in place;
     * what is added was free. Errors: -ENOMEM.
     */
    int (*move)(struct platform *p, const struct aspace *as, struct guest_addr from,
                uint64_t old_size, struct guest_addr to, uint64_t new_size);
    /* Errors: -EINVAL (advice does not fit the mapping), -ENOMEM; POPULATE: -EFAULT (a page past the end of its object, or
     * protected against such an access), what comes before it may be present. */
    int (*advise)(struct platform *p, const struct aspace *as, struct guest_addr addr,
                  uint64_t size, enum memory_advice advice);
    /*
     * mincore(2): one byte a page, bit 0 = present. vec has size/page_size bytes. Errors: -ENOMEM.
     */
    int (*resident)(struct platform *p, const struct aspace *as, struct guest_addr addr,
                    uint64_t size, unsigned char *vec);

    /*
     * Copies between the shim and the space active on the calling thread. Any address value is
     * allowed. Result: bytes NOT copied (0 = all done), as the prefix before the first unreachable
     * byte.
     */
    size_t (*copy_in)(struct platform *p, void *dst, struct guest_addr src, size_t size);
    size_t (*copy_out)(struct platform *p, struct guest_addr dst, const void *src, size_t size);
    size_t (*zero)(struct platform *p, struct guest_addr dst, size_t size);
    /*
     * Copy a NUL-terminated string of at most `size` bytes with its NUL. Result: length without the
     * NUL; `size` if no NUL was found in the first `size` bytes; -EFAULT.
     */
    int64_t (*string_in)(struct platform *p, char *dst, struct guest_addr src, size_t size);
    /*
     * Atomics on 4-byte aligned guest words (futexes, robust lists). *old receives the value seen.
     * Errors: -EFAULT.
     */
    int (*load32)(struct platform *p, struct guest_addr addr, uint32_t *value);
    int (*cmpxchg32)(struct platform *p, struct guest_addr addr, uint32_t expected,
                     uint32_t desired, uint32_t *old);

    /*
     * Copies from / to a space that need not be active here. Result: bytes NOT copied. Ignores
     * nothing: a read-only page stops a write.
     */
    size_t (*peek)(struct platform *p, const struct aspace *as, void *dst, struct guest_addr src,
                   size_t size);
    size_t (*poke)(struct platform *p, const struct aspace *as, struct guest_addr dst,
                   const void *src, size_t size);

    /*
     * Whom copies, atomics, and objects that are read ask when no memory is left; NULL: nobody, as at the start. While no copy runs.
     * Errors: -EOPNOTSUPP: that never happens here, the host ends processes itself.
     */
    int (*on_shortage)(struct platform *p, memory_shortage ask);

    /*
     * A zero-filled object of `size` bytes, shared by all who map it. Owner: caller, one reference.
     * Errors: NULL, *err: -ENOMEM, -ENFILE.
     */
    struct memory_object *(*object_create)(struct platform *p, uint64_t size, int *err);
    /*
     * A view of an open host file; keeps the file open. Owner: caller. Errors: NULL, *err: -ENOMEM,
     * -ENODEV, -EACCES.
     */
    struct memory_object *(*object_from_file)(struct platform *p, struct host_file *file, int *err);
    void (*object_get)(struct platform *p, struct memory_object *obj);
    void (*object_put)(struct platform *p, struct memory_object *obj);
    uint64_t (*object_size)(struct platform *p, struct memory_object *obj);
    /*
     * Grow (zeros) or shrink (pages past the end are gone everywhere). Errors: -ENOMEM, -EFBIG,
     * -EACCES.
     */
    int (*object_resize)(struct platform *p, struct memory_object *obj, uint64_t size);
    /* Free the storage of a range; it reads as zeros. Errors: -EOPNOTSUPP, -ENOMEM. */
    int (*object_punch)(struct platform *p, struct memory_object *obj, uint64_t offset,
                        uint64_t size);
    /*
     * The first offset from `offset` on whose bytes are stored, or which lies in a hole (the end of the object is one). A platform may
     * take everything for stored. Errors: -ENXIO: offset is at the end or beyond, or no data follows.
     */
    int64_t (*object_seek)(struct platform *p, struct memory_object *obj, uint64_t offset,
                           enum memory_seek what);
    /*
     * Move bytes between the object and `m`; stops at the object's end (never grows it). Result:
     * bytes moved, -EFAULT if the first byte of a guest range could not be reached, -EIO, -ENOMEM.
     * Coherent with shared mappings.
     */
    int64_t (*object_read)(struct platform *p, struct memory_object *obj, uint64_t offset,
                           struct mem_ref into);
    int64_t (*object_write)(struct platform *p, struct memory_object *obj, uint64_t offset,
                            struct mem_ref from);

    /*
     * Memory of the shim's own, page aligned, zeroed, visible to every thread. size: multiple of
     * the page size. NULL: none left.
     */
    void *(*shim_alloc)(struct platform *p, size_t size);
    void (*shim_free)(struct platform *p, void *ptr, size_t size);
};

MUST_USE int memory_map(struct platform *p, const struct aspace *as,
                        const struct memory_map_request *req);
MUST_USE int memory_unmap(struct platform *p, const struct aspace *as, struct guest_addr addr,
                          uint64_t size);
MUST_USE int memory_protect(struct platform *p, const struct aspace *as, struct guest_addr addr,
                            uint64_t size, unsigned prot);
MUST_USE int memory_move(struct platform *p, const struct aspace *as, struct guest_addr from,
                         uint64_t old_size, struct guest_addr to, uint64_t new_size);
MUST_USE int memory_advise(struct platform *p, const struct aspace *as, struct guest_addr addr,
                           uint64_t size, enum memory_advice advice);
MUST_USE int memory_resident(struct platform *p, const struct aspace *as, struct guest_addr addr,
                             uint64_t size, unsigned char *vec);
MUST_USE size_t guest_copy_in(struct platform *p, void *dst, struct guest_addr src, size_t size);
MUST_USE size_t guest_copy_out(struct platform *p, struct guest_addr dst, const void *src,
                               size_t size);
MUST_USE size_t guest_zero(struct platform *p, struct guest_addr dst, size_t size);
MUST_USE int64_t guest_string_in(struct platform *p, char *dst, struct guest_addr src, size_t size);
MUST_USE int guest_load32(struct platform *p, struct guest_addr addr, uint32_t *value);
MUST_USE int guest_cmpxchg32(struct platform *p, struct guest_addr addr, uint32_t expected,
                             uint32_t desired, uint32_t *old);
MUST_USE size_t aspace_peek(struct platform *p, const struct aspace *as, void *dst,
                            struct guest_addr src, size_t size);
MUST_USE size_t aspace_poke(struct platform *p, const struct aspace *as, struct guest_addr dst,
                            const void *src, size_t size);
MUST_USE int memory_on_shortage(struct platform *p, memory_shortage ask);
MUST_USE struct memory_object *memory_object_create(struct platform *p, uint64_t size, int *err);
MUST_USE struct memory_object *memory_object_from_file(struct platform *p, struct host_file *file,
                                                       int *err);
void memory_object_get(struct platform *p, struct memory_object *obj);
void memory_object_put(struct platform *p, struct memory_object *obj);
uint64_t memory_object_size(struct platform *p, struct memory_object *obj);
MUST_USE int memory_object_resize(struct platform *p, struct memory_object *obj, uint64_t size);
MUST_USE int memory_object_punch(struct platform *p, struct memory_object *obj, uint64_t offset,
                                 uint64_t size);
MUST_USE int64_t memory_object_seek(struct platform *p, struct memory_object *obj, uint64_t offset,
                                    enum memory_seek what);
MUST_USE int64_t memory_object_read(struct platform *p, struct memory_object *obj, uint64_t offset,
                                    struct mem_ref into);
MUST_USE int64_t memory_object_write(struct platform *p, struct memory_object *obj, uint64_t offset,
                                     struct mem_ref from);
MUST_USE void *shim_memory_alloc(struct platform *p, size_t size);
void shim_memory_free(struct platform *p, void *ptr, size_t size);

/* True when [addr, addr+size) lies in the guest's range; no overflow; size may be 0. */
bool guest_range_ok(const struct platform *p, struct guest_addr addr, uint64_t size);

#endif
