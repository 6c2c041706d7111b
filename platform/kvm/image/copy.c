/*
 * copy.c: the shim's accesses to guest memory. Every page is found in the page tables and reached through the kernel's window, so a page that is
 * shared copy-on-write goes through the same fault as a guest's write, and no copy of ours faults. The space's mutex is held over each
 * page: whoever unmaps it waits.
 */
#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/kvm/image/frame.h"
#include "platform/kvm/image/kvm_aspace.h"
#include "platform/platform.h"

/* The guest's range is the platform's; ours ends below the first page no processor may run into (sysret). */
static bool reachable(uint64_t addr)
{
    return addr < PT_USER_END;
}

/* Under the mutex. The byte at addr through the window, good until the mutex is free; or NULL. */
static char *reach(struct kvm_aspace *as, uint64_t addr, unsigned access)
{
    if (!reachable(addr))
        return NULL;
    struct pt_leaf leaf = pt_find(&as->pt, addr);
    if (!(leaf.rights & access)) {
        if (kvm_aspace_fault_locked(as, addr, access) != MM_FAULT_RESOLVED)
            return NULL;
        leaf = pt_find(&as->pt, addr);
        if (!(leaf.rights & access))
            return NULL;
    }
    return phys_to_virt(leaf.phys);
}

enum direction { FROM_GUEST, TO_GUEST, ZERO_GUEST };

/* Result: bytes left. */
static size_t copy(struct kvm_aspace *as, uint64_t guest, char *shim, size_t size,
                   enum direction direction)
{
    const unsigned access = direction == FROM_GUEST ? MEMORY_READ : MEMORY_WRITE;
    while (as && size > 0) {
        size_t part = FRAME_SIZE - guest % FRAME_SIZE;
        if (part > size)
            part = size;
        mm_mutex_lock(&as->lock);
        char *bytes = reach(as, guest, access);
        if (bytes && direction == FROM_GUEST)
            __builtin_memcpy(shim, bytes, part);
        else if (bytes && direction == TO_GUEST)
            __builtin_memcpy(bytes, shim, part);
        else if (bytes)
            __builtin_memset(bytes, 0, part);
        mm_mutex_unlock(&as->lock);
        if (!bytes)
            break;
        guest += part;
        size -= part;
        if (direction != ZERO_GUEST)
            shim += part;
    }
    return size;
}

size_t kvm_memory_peek(struct platform *p UNUSED, const struct aspace *as, void *dst,
                       struct guest_addr src, size_t size)
{
    return copy(kvm_aspace_of(as), src.raw, dst, size, FROM_GUEST);
}

size_t kvm_memory_poke(struct platform *p UNUSED, const struct aspace *as, struct guest_addr dst,
                       const void *src, size_t size)
{
    return copy(kvm_aspace_of(as), dst.raw, (char *)(uintptr_t)src, size, TO_GUEST);
}

size_t kvm_memory_copy_in(struct platform *p UNUSED, void *dst, struct guest_addr src, size_t size)
{
    return copy(mm_active(), src.raw, dst, size, FROM_GUEST);
}

size_t kvm_memory_copy_out(struct platform *p UNUSED, struct guest_addr dst, const void *src,
                           size_t size)
{
    return copy(mm_active(), dst.raw, (char *)(uintptr_t)src, size, TO_GUEST);
}

size_t kvm_memory_zero(struct platform *p UNUSED, struct guest_addr dst, size_t size)
{
    return copy(mm_active(), dst.raw, NULL, size, ZERO_GUEST);
}

int64_t kvm_memory_string_in(struct platform *p UNUSED, char *dst, struct guest_addr src,
                             size_t size)
{
    struct kvm_aspace *as = mm_active();
    for (size_t done = 0; done < size;) {
        const uint64_t at = src.raw + done;
        size_t part = FRAME_SIZE - at % FRAME_SIZE, length = 0;
        if (part > size - done)
            part = size - done;
        if (!as)
            return -EFAULT;
        mm_mutex_lock(&as->lock);
        const char *bytes = reach(as, at, MEMORY_READ);
        while (bytes && length < part) {
            dst[done + length] = bytes[length];
            if (bytes[length++] == '\0') {
                mm_mutex_unlock(&as->lock);
                return (int64_t)(done + length - 1);
            }
        }
        mm_mutex_unlock(&as->lock);
        if (!bytes)
            return -EFAULT;
        done += part;
    }
    return (int64_t)size;
}

int kvm_memory_load32(struct platform *p UNUSED, struct guest_addr addr, uint32_t *value)
{
    struct kvm_aspace *as = mm_active();
    if (!as)
        return -EFAULT;
    mm_mutex_lock(&as->lock);
    const char *bytes = reach(as, addr.raw, MEMORY_READ);
    if (bytes)
        *value = __atomic_load_n((const uint32_t *)(const void *)bytes, __ATOMIC_SEQ_CST);
    mm_mutex_unlock(&as->lock);
    return bytes ? 0 : -EFAULT;
}

int kvm_memory_cmpxchg32(struct platform *p UNUSED, struct guest_addr addr, uint32_t expected,
                         uint32_t desired, uint32_t *old)
{
    struct kvm_aspace *as = mm_active();
    if (!as)
        return -EFAULT;
    mm_mutex_lock(&as->lock);
    char *bytes = reach(as, addr.raw, MEMORY_WRITE);
    if (bytes) {
        *old = expected;
        __atomic_compare_exchange_n((uint32_t *)(void *)bytes, old, desired, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    mm_mutex_unlock(&as->lock);
    return bytes ? 0 : -EFAULT;
}
