/*
 * copy.c: the shim's accesses to guest memory. Every page is found in the page tables and reached through the kernel's window, so a page that is
 * shared copy-on-write goes through the same fault as a guest's write, and no copy of ours faults. The space's mutex is held over each
 * page: whoever unmaps it waits. Where no frame is left, the shim is asked to make room, with no lock held.
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

/* Set while no copy runs. */
static memory_shortage g_shortage;

int kvm_memory_on_shortage(struct platform *p UNUSED, memory_shortage ask)
{
    g_shortage = ask;
    return 0;
}

bool kvm_memory_shortage(unsigned asked)
{
    return g_shortage && g_shortage(asked);
}

/* Under the mutex. The byte at addr through the window, good until the mutex is free; or NULL, and *fault says why. */
static char *reach_locked(struct kvm_aspace *as, uint64_t addr, unsigned access,
                          enum mm_fault *fault)
{
    struct pt_leaf leaf = pt_find(&as->pt, addr);
    if (!(leaf.rights & access)) {
        *fault = kvm_aspace_fault_locked(as, addr, access);
        if (*fault != MM_FAULT_RESOLVED)
            return NULL;
        leaf = pt_find(&as->pt, addr);
        if (!(leaf.rights & access))
            return NULL;
    }
    return phys_to_virt(leaf.phys);
}

/* Takes the mutex: the byte at addr through the window, good until the mutex is free. NULL: cannot be reached, the mutex is free. */
static char *reach(struct kvm_aspace *as, uint64_t addr, unsigned access)
{
    if (!as || !reachable(addr))
        return NULL;
    for (unsigned asked = 0;; asked++) {
        enum mm_fault fault = MM_FAULT_RESOLVED;
        mm_mutex_lock(&as->lock);
        char *bytes = reach_locked(as, addr, access, &fault);
        if (bytes)
            return bytes;
        mm_mutex_unlock(&as->lock);
        if (fault != MM_FAULT_NO_MEMORY || !kvm_memory_shortage(asked))
            return NULL;
    }
}

enum direction { FROM_GUEST, TO_GUEST, ZERO_GUEST };

/* Result: bytes left. */
static size_t copy(struct kvm_aspace *as, uint64_t guest, char *shim, size_t size,
                   enum direction direction)
{
    const unsigned access = direction == FROM_GUEST ? MEMORY_READ : MEMORY_WRITE;
    while (size > 0) {
        size_t part = FRAME_SIZE - guest % FRAME_SIZE;
        if (part > size)
            part = size;
        char *bytes = reach(as, guest, access);
        if (!bytes)
            break;
        if (direction == FROM_GUEST)
            __builtin_memcpy(shim, bytes, part);
        else if (direction == TO_GUEST)
            __builtin_memcpy(bytes, shim, part);
        else
            __builtin_memset(bytes, 0, part);
        mm_mutex_unlock(&as->lock);
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
        const char *bytes = reach(as, at, MEMORY_READ);
        if (!bytes)
            return -EFAULT;
        while (length < part) {
            dst[done + length] = bytes[length];
            if (bytes[length++] == '\0') {
                mm_mutex_unlock(&as->lock);
                return (int64_t)(done + length - 1);
            }
        }
        mm_mutex_unlock(&as->lock);
        done += part;
    }
    return (int64_t)size;
}

int kvm_memory_load32(struct platform *p UNUSED, struct guest_addr addr, uint32_t *value)
{
    struct kvm_aspace *as = mm_active();
    const char *bytes = reach(as, addr.raw, MEMORY_READ);
    if (!bytes)
        return -EFAULT;
    *value = __atomic_load_n((const uint32_t *)(const void *)bytes, __ATOMIC_SEQ_CST);
    mm_mutex_unlock(&as->lock);
    return 0;
}

int kvm_memory_cmpxchg32(struct platform *p UNUSED, struct guest_addr addr, uint32_t expected,
                         uint32_t desired, uint32_t *old)
{
    struct kvm_aspace *as = mm_active();
    char *bytes = reach(as, addr.raw, MEMORY_WRITE);
    if (!bytes)
        return -EFAULT;
    *old = expected;
    __atomic_compare_exchange_n((uint32_t *)(void *)bytes, old, desired, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    mm_mutex_unlock(&as->lock);
    return 0;
}
