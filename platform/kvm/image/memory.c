/*
 * memory.c: guest_memory.h: mapping, protection, advice; the table of all its slots.
 *
 * Each change prepares (all that needs memory), and then can't fail: so a failure leaves everything as it was.
 */
#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/kvm/image/frame.h"
#include "platform/kvm/image/kvm_aspace.h"
#include "platform/kvm/image/object.h"

static int prepare(struct kvm_aspace *as, uint64_t start, uint64_t end, struct pt_batch *batch)
{
    if (mapping_reserve(&as->maps) || pt_prepare(&as->pt, start, batch) ||
        pt_prepare(&as->pt, end, batch)) {
        pt_finish(&as->pt, batch);
        return -ENOMEM;
    }
    return 0;
}

/* Prepared. */
static void unmap(struct kvm_aspace *as, uint64_t start, uint64_t end, struct pt_batch *batch)
{
    pt_unmap(&as->pt, start, end, batch);
    mapping_remove(&as->maps, start, end);
}

static int kvm_memory_map(struct platform *p UNUSED, const struct aspace *token,
                          const struct memory_map_request *req)
{
    struct kvm_aspace *as = kvm_aspace_of(token);
    struct pt_batch batch = {0};
    const bool shared = req->sharing == MEMORY_SHARED;
    const struct mapping m = {
        .start = req->addr.raw,
        .end = req->addr.raw + req->size,
        .object = req->object,
        .offset = req->object ? req->offset : 0,
        .prot = (uint16_t)req->prot,
        .flags = (shared ? MAPPING_SHARED : 0) | (req->no_huge ? MAPPING_NO_HUGE : 0),
    };
    if (shared && req->object && (req->prot & MEMORY_WRITE) && !req->object->writable)
        return -EACCES;
    mm_mutex_lock(&as->lock);
    int err = prepare(as, m.start, m.end, &batch);
    if (!err) {
        unmap(as, m.start, m.end, &batch);
        mapping_insert(&as->maps, &m);
    }
    mm_mutex_unlock(&as->lock);
    return err;
}

static int kvm_memory_unmap(struct platform *p UNUSED, const struct aspace *token,
                            struct guest_addr addr, uint64_t size)
{
    struct kvm_aspace *as = kvm_aspace_of(token);
    struct pt_batch batch = {0};
    mm_mutex_lock(&as->lock);
    int err = prepare(as, addr.raw, addr.raw + size, &batch);
    if (!err)
        unmap(as, addr.raw, addr.raw + size, &batch);
    mm_mutex_unlock(&as->lock);
    return err;
}

static bool protect_allowed(const struct kvm_aspace *as, uint64_t start, uint64_t end,
                            unsigned prot)
{
    if (!(prot & MEMORY_WRITE))
        return true;
    for (const struct mapping *m = mapping_first(&as->maps, start); m && m->start < end;
         m = mapping_first(&as->maps, m->end))
        if ((m->flags & MAPPING_SHARED) && !m->object->writable)
            return false;
    return true;
}

static int kvm_memory_protect(struct platform *p UNUSED, const struct aspace *token,
                              struct guest_addr addr, uint64_t size, unsigned prot)
{
    struct kvm_aspace *as = kvm_aspace_of(token);
    const uint64_t start = addr.raw, end = addr.raw + size;
    struct pt_batch batch = {0};
    int err;
    mm_mutex_lock(&as->lock);
    if (!mapping_covers(&as->maps, start, end))
        err = -ENOMEM;
    else if (!protect_allowed(as, start, end, prot))
        err = -EACCES;
    else
        err = prepare(as, start, end, &batch);
    if (!err) {
        mapping_change(&as->maps, start, end, (int)prot, 0, 0);
        pt_limit(&as->pt, start, end, prot, &batch);
        pt_finish(&as->pt, &batch);
    }
    mm_mutex_unlock(&as->lock);
    return err;
}

/* Moving */

/*
 * Each range of the source, once more at the target. An insertion takes one spare frame at most, so what is left always suffices
 * to remove all of it again.
 */
static int insert_moved(struct kvm_aspace *as, uint64_t from, uint64_t to, uint64_t size)
{
    while (size > 0) {
        if (mapping_reserve(&as->maps))
            return -ENOMEM;
        struct mapping part = *mapping_first(&as->maps, from);
        uint64_t length = part.end - from < size ? part.end - from : size;
        part.offset += part.object ? from - part.start : 0;
        part.start = to;
        part.end = to + length;
        mapping_insert(&as->maps, &part);
        from += length;
        to += length;
        size -= length;
    }
    return 0;
}

static void move_pages(struct kvm_aspace *as, uint64_t from, uint64_t to, uint64_t size,
                       struct pt_batch *batch)
{
    for (uint64_t done = 0; done < size;) {
        const struct mapping *m = mapping_find(&as->maps, to + done);
        uint64_t length = m->end - (to + done) < size - done ? m->end - (to + done) : size - done;
        pt_move(&as->pt, from + done, to + done, length, m->prot, batch);
        done += length;
    }
}

/* What begins at `end` continues the range that ends, in the mapping's sense, at last; it comes to lie at [start, start + size). */
static int insert_tail(struct kvm_aspace *as, uint64_t last, uint64_t start, uint64_t size)
{
    struct mapping tail = *mapping_find(&as->maps, last - 1);
    if (size == 0)
        return 0;
    if (mapping_reserve(&as->maps))
        return -ENOMEM;
    tail.offset += tail.object ? last - tail.start : 0;
    tail.start = start;
    tail.end = start + size;
    mapping_insert(&as->maps, &tail);
    return 0;
}

/* The target goes first. A failure after that leaves it unmapped, and the source where it was: as mremap(2) on Linux. */
static int move(struct kvm_aspace *as, uint64_t from, uint64_t old_size, uint64_t to,
                uint64_t new_size)
{
    struct pt_batch batch = {0};
    const uint64_t kept = from == to ? old_size : 0;
    if (!mapping_covers(&as->maps, from, from + old_size))
        return -ENOMEM;
    if (new_size > kept) {
        if (prepare(as, to + kept, to + new_size, &batch))
            return -ENOMEM;
        unmap(as, to + kept, to + new_size, &batch);
    }
    if (from == to)
        return insert_tail(as, from + old_size, to + old_size, new_size - old_size);

    if (insert_tail(as, from + old_size, to + old_size, new_size - old_size) ||
        pt_prepare(&as->pt, from, &batch) || pt_prepare(&as->pt, from + old_size, &batch) ||
        pt_prepare(&as->pt, to, &batch) || pt_prepare(&as->pt, to + old_size, &batch) ||
        pt_prepare_move(&as->pt, from, to, old_size, &batch) ||
        insert_moved(as, from, to, old_size)) {
        pt_finish(&as->pt, &batch);
        mapping_remove(&as->maps, to, to + new_size);
        return -ENOMEM;
    }
    move_pages(as, from, to, old_size, &batch);
    mapping_remove(&as->maps, from, from + old_size);
    return 0;
}

static int kvm_memory_move(struct platform *p UNUSED, const struct aspace *token,
                           struct guest_addr from, uint64_t old_size, struct guest_addr to,
                           uint64_t new_size)
{
    struct kvm_aspace *as = kvm_aspace_of(token);
    mm_mutex_lock(&as->lock);
    int err = move(as, from.raw, old_size, to.raw, new_size);
    mm_mutex_unlock(&as->lock);
    return err;
}

/* Advice */

static int populate(struct kvm_aspace *as, uint64_t start, uint64_t end, unsigned access)
{
    for (uint64_t at = start; at < end;) {
        struct pt_leaf leaf = pt_find(&as->pt, at);
        if (!(leaf.rights & access)) {
            enum mm_fault fault = kvm_aspace_fault_locked(as, at, access);
            if (fault != MM_FAULT_RESOLVED)
                return fault == MM_FAULT_NO_MEMORY ? -ENOMEM : -EFAULT;
            leaf = pt_find(&as->pt, at);
        }
        const uint64_t span = leaf.level == 2 ? BLOCK_SIZE : FRAME_SIZE;
        at = (at & ~(span - 1)) + span;
    }
    return 0;
}

/* Only private anonymous memory may be freed lazily or wiped. */
static bool all_anonymous(const struct kvm_aspace *as, uint64_t start, uint64_t end)
{
    for (const struct mapping *m = mapping_first(&as->maps, start); m && m->start < end;
         m = mapping_first(&as->maps, m->end))
        if (m->object)
            return false;
    return true;
}

static int change_flags(struct kvm_aspace *as, uint64_t start, uint64_t end, unsigned set,
                        unsigned clear)
{
    if (mapping_reserve(&as->maps))
        return -ENOMEM;
    mapping_change(&as->maps, start, end, -1, set, clear);
    return 0;
}

static int drop_contents(struct kvm_aspace *as, uint64_t start, uint64_t end)
{
    struct pt_batch batch = {0};
    if (prepare(as, start, end, &batch))
        return -ENOMEM;
    pt_unmap(&as->pt, start, end, &batch);
    return 0;
}

static int advise(struct kvm_aspace *as, uint64_t start, uint64_t end, enum memory_advice advice)
{
    if (!mapping_covers(&as->maps, start, end))
        return -ENOMEM;
    switch (advice) {
    case MEMORY_ADVICE_FREE:
        if (!all_anonymous(as, start, end))
            return -EINVAL;
        return drop_contents(as, start, end);
    case MEMORY_ADVICE_DONTNEED:
        return drop_contents(as, start, end);
    case MEMORY_ADVICE_DONTFORK:
        return change_flags(as, start, end, MAPPING_DONTFORK, 0);
    case MEMORY_ADVICE_DOFORK:
        return change_flags(as, start, end, 0, MAPPING_DONTFORK);
    case MEMORY_ADVICE_WIPEONFORK:
        if (!all_anonymous(as, start, end))
            return -EINVAL;
        return change_flags(as, start, end, MAPPING_WIPEONFORK, 0);
    case MEMORY_ADVICE_KEEPONFORK:
        return change_flags(as, start, end, 0, MAPPING_WIPEONFORK);
    case MEMORY_ADVICE_HUGEPAGE:
        return change_flags(as, start, end, MAPPING_HUGE, MAPPING_NO_HUGE);
    case MEMORY_ADVICE_NOHUGEPAGE:
        return change_flags(as, start, end, MAPPING_NO_HUGE, MAPPING_HUGE);
    case MEMORY_ADVICE_WILLNEED:
        return 0;
    case MEMORY_ADVICE_POPULATE_READ:
        return populate(as, start, end, MEMORY_READ);
    case MEMORY_ADVICE_POPULATE_WRITE:
        return populate(as, start, end, MEMORY_WRITE);
    }
    return -EINVAL;
}

static int kvm_memory_advise(struct platform *p UNUSED, const struct aspace *token,
                             struct guest_addr addr, uint64_t size, enum memory_advice advice)
{
    struct kvm_aspace *as = kvm_aspace_of(token);
    mm_mutex_lock(&as->lock);
    int err = advise(as, addr.raw, addr.raw + size, advice);
    mm_mutex_unlock(&as->lock);
    return err;
}

static bool is_resident(const struct kvm_aspace *as, uint64_t addr)
{
    const struct mapping *m = mapping_find(&as->maps, addr);
    uint64_t phys;
    if (pt_find(&as->pt, addr).entry)
        return true;
    if (!m->object ||
        object_frame(m->object, (m->offset + (addr - m->start)) / FRAME_SIZE, OBJECT_LOOK, &phys))
        return false;
    frame_put(phys);
    return true;
}

static int kvm_memory_resident(struct platform *p UNUSED, const struct aspace *token,
                               struct guest_addr addr, uint64_t size, unsigned char *vec)
{
    struct kvm_aspace *as = kvm_aspace_of(token);
    int err = -ENOMEM;
    mm_mutex_lock(&as->lock);
    if (mapping_covers(&as->maps, addr.raw, addr.raw + size)) {
        for (uint64_t i = 0; i < size / FRAME_SIZE; i++)
            vec[i] = is_resident(as, addr.raw + i * FRAME_SIZE);
        err = 0;
    }
    mm_mutex_unlock(&as->lock);
    return err;
}

/* The shim's own memory */

static void *kvm_memory_shim_alloc(struct platform *p UNUSED, size_t size)
{
    uint64_t phys = frame_alloc_run(size / FRAME_SIZE);
    return phys == FRAME_NONE ? NULL : phys_to_virt(phys);
}

static void kvm_memory_shim_free(struct platform *p UNUSED, void *ptr, size_t size)
{
    frame_free_run(virt_to_phys(ptr), size / FRAME_SIZE);
}

const struct memory_ops kvm_memory_ops = {
    .map = kvm_memory_map,
    .unmap = kvm_memory_unmap,
    .protect = kvm_memory_protect,
    .move = kvm_memory_move,
    .advise = kvm_memory_advise,
    .resident = kvm_memory_resident,
    .copy_in = kvm_memory_copy_in,
    .copy_out = kvm_memory_copy_out,
    .zero = kvm_memory_zero,
    .string_in = kvm_memory_string_in,
    .load32 = kvm_memory_load32,
    .cmpxchg32 = kvm_memory_cmpxchg32,
    .peek = kvm_memory_peek,
    .poke = kvm_memory_poke,
    .on_shortage = kvm_memory_on_shortage,
    .object_create = kvm_memory_object_create,
    .object_from_file = kvm_memory_object_from_file,
    .object_get = kvm_memory_object_get,
    .object_put = kvm_memory_object_put,
    .object_size = kvm_memory_object_size,
    .object_resize = kvm_memory_object_resize,
    .object_punch = kvm_memory_object_punch,
    .object_seek = kvm_memory_object_seek,
    .object_read = kvm_memory_object_read,
    .object_write = kvm_memory_object_write,
    .shim_alloc = kvm_memory_shim_alloc,
    .shim_free = kvm_memory_shim_free,
};
