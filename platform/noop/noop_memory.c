/*
 * noop_memory.c: simulated guest memory.
 *
 * A space is a hash of pages. A page shows the bytes of its object, zeros, or, once written through
 * a private mapping, a frame of its own. A platform with real memory replaces this file; what it
 * must be able to tell apart stays the same.
 */
#include "platform/noop/noop_memory.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "platform/address_space.h"
#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/platform.h"
#include "platform/stock/single_aspace.h"

enum { PAGE = 4096, PAGES_MAX = 1 << 20 };

struct frame {
    uint64_t index; /* of the page in its object; unused in a space */
    UT_hash_handle hh;
    unsigned char bytes[PAGE];
};

struct memory_object {
    unsigned refs; /* of the shim, and one for each page that shows it */
    uint64_t size;
    struct frame *frames; /* pages not present are zero */
};

struct page {
    uint64_t number; /* address / PAGE */
    unsigned prot;
    enum memory_sharing sharing;
    struct memory_object *object; /* NULL: zeros */
    uint64_t index;               /* which page of the object */
    struct frame *own;            /* private and written; NULL: as the object */
    UT_hash_handle hh;
};

static struct page *g_pages;
static unsigned g_fault_countdown;
static bool g_fault_happened;
static bool g_none_left; /* why reach() failed last */
static memory_shortage g_shortage;

bool noop_memory_fault_arm(unsigned nth)
{
    bool happened = g_fault_happened;
    g_fault_countdown = nth;
    g_fault_happened = false;
    return happened;
}

static void *allocate(size_t size)
{
    if (g_fault_countdown > 0 && --g_fault_countdown == 0) {
        g_fault_happened = true;
        return NULL;
    }
    return calloc(1, size);
}

/* Objects */

static struct frame *object_frame(struct memory_object *obj, uint64_t index)
{
    struct frame *frame;
    HASH_FIND(hh, obj->frames, &index, sizeof(index), frame);
    return frame;
}

static struct frame *object_frame_make(struct memory_object *obj, uint64_t index)
{
    struct frame *frame = object_frame(obj, index);
    if (frame)
        return frame;
    frame = allocate(sizeof(*frame));
    if (!frame)
        return NULL;
    frame->index = index;
    HASH_ADD(hh, obj->frames, index, sizeof(frame->index), frame);
    return frame;
}

static void object_drop_frame(struct memory_object *obj, struct frame *frame)
{
    /* The analyzer loses track of a hash's links. */
    HASH_DEL(obj->frames, frame); /* NOLINT(clang-analyzer-unix.Malloc) */
    free(frame);
}

static struct memory_object *noop_object_create(struct platform *p UNUSED, uint64_t size, int *err)
{
    struct memory_object *obj = allocate(sizeof(*obj));
    if (!obj) {
        *err = -ENOMEM;
        return NULL;
    }
    obj->refs = 1;
    obj->size = size;
    return obj;
}

static struct memory_object *noop_object_from_file(struct platform *p UNUSED,
                                                   struct host_file *file UNUSED, int *err UNUSED)
{
    platform_panic("noop: no handle of a host file exists");
}

static void noop_object_get(struct platform *p UNUSED, struct memory_object *obj)
{
    obj->refs++;
}

static void noop_object_put(struct platform *p UNUSED, struct memory_object *obj)
{
    struct frame *frame, *next;
    PLATFORM_REQUIRE(obj->refs > 0);
    if (--obj->refs > 0)
        return;
    HASH_ITER(hh, obj->frames, frame, next)
    object_drop_frame(obj, frame);
    free(obj);
}

static uint64_t noop_object_size(struct platform *p UNUSED, struct memory_object *obj)
{
    return obj->size;
}

/* Bytes [from, to) read as zeros from now on; storage of whole pages goes. */
static void object_clear(struct memory_object *obj, uint64_t from, uint64_t to)
{
    struct frame *frame, *next;
    HASH_ITER(hh, obj->frames, frame, next)
    {
        uint64_t start = frame->index * PAGE, end = start + PAGE;
        uint64_t first = from > start ? from : start, last = to < end ? to : end;
        if (first >= last)
            continue;
        if (first == start && last == end)
            object_drop_frame(obj, frame);
        else
            memset(frame->bytes + (first - start), 0, last - first);
    }
}

static int noop_object_resize(struct platform *p UNUSED, struct memory_object *obj, uint64_t size)
{
    struct page *page, *next;
    if (size > INT64_MAX)
        return -EFBIG;
    if (size < obj->size)
        object_clear(obj, size, UINT64_MAX);
    obj->size = size;
    /*
     * A page past the end is gone everywhere, private copies included: truncate(2) on Linux does
     * the same.
     */
    HASH_ITER(hh, g_pages, page, next)
    if (page->object == obj && page->own && page->index * PAGE >= size) {
        free(page->own);
        page->own = NULL;
    }
    return 0;
}

static int noop_object_punch(struct platform *p UNUSED, struct memory_object *obj, uint64_t offset,
                             uint64_t size)
{
    object_clear(obj, offset, offset + size);
    return 0;
}

static int64_t noop_object_seek(struct platform *p UNUSED, struct memory_object *obj,
                                uint64_t offset, enum memory_seek what)
{
    if (offset >= obj->size)
        return -ENXIO;
    return (int64_t)(what == MEMORY_SEEK_DATA ? offset : obj->size);
}

/* The space */

static struct page *page_at(uint64_t address)
{
    uint64_t number = address / PAGE;
    struct page *page;
    HASH_FIND(hh, g_pages, &number, sizeof(number), page);
    return page;
}

static void page_drop(struct platform *p, struct page *page)
{
    HASH_DEL(g_pages, page); /* NOLINT(clang-analyzer-unix.Malloc): as above */
    if (page->object)
        noop_object_put(p, page->object);
    free(page->own);
    free(page);
}

static void drop_range(struct platform *p, uint64_t start, uint64_t size)
{
    for (uint64_t at = start; at < start + size; at += PAGE) {
        struct page *page = page_at(at);
        if (page)
            page_drop(p, page);
    }
}

void noop_memory_clear(void)
{
    struct page *page, *next;
    HASH_ITER(hh, g_pages, page, next)
    page_drop(NULL, page);
}

uint64_t noop_memory_resident_pages(void)
{
    uint64_t count = 0;
    for (struct page *page = g_pages; page; page = page->hh.next)
        count += page->own != NULL;
    return count;
}

static bool all_mapped(uint64_t start, uint64_t size)
{
    for (uint64_t at = start; at < start + size; at += PAGE)
        if (!page_at(at))
            return false;
    return true;
}

static int noop_map(struct platform *p, const struct aspace *as UNUSED,
                    const struct memory_map_request *req)
{
    if (HASH_COUNT(g_pages) + req->size / PAGE > PAGES_MAX)
        return -ENOMEM;
    drop_range(p, req->addr.raw, req->size);
    for (uint64_t done = 0; done < req->size; done += PAGE) {
        struct page *page = allocate(sizeof(*page));
        if (!page) {
            drop_range(p, req->addr.raw, done + PAGE);
            return -ENOMEM;
        }
        page->number = (req->addr.raw + done) / PAGE;
        page->prot = req->prot;
        page->sharing = req->sharing;
        page->object = req->object;
        page->index = (req->offset + done) / PAGE;
        if (page->object)
            page->object->refs++;
        HASH_ADD(hh, g_pages, number, sizeof(page->number), page);
    }
    return 0;
}

static int noop_unmap(struct platform *p, const struct aspace *as UNUSED, struct guest_addr addr,
                      uint64_t size)
{
    drop_range(p, addr.raw, size);
    return 0;
}

static int noop_protect(struct platform *p UNUSED, const struct aspace *as UNUSED,
                        struct guest_addr addr, uint64_t size, unsigned prot)
{
    if (!all_mapped(addr.raw, size))
        return -ENOMEM;
    for (uint64_t at = addr.raw; at < addr.raw + size; at += PAGE)
        page_at(at)->prot = prot;
    return 0;
}

static int noop_move(struct platform *p, const struct aspace *as, struct guest_addr from,
                     uint64_t old_size, struct guest_addr to, uint64_t new_size)
{
    if (!all_mapped(from.raw, old_size))
        return -ENOMEM;
    const struct page *last = page_at(from.raw + old_size - PAGE);
    if (from.raw != to.raw)
        drop_range(p, to.raw, new_size);
    if (new_size > old_size) {
        struct memory_map_request tail = {
            .addr = guest_addr(to.raw + old_size),
            .size = new_size - old_size,
            .sharing = last->sharing,
            .prot = last->prot,
            .object = last->object,
            .offset = (last->index + 1) * PAGE,
        };
        int ret = noop_map(p, as, &tail);
        if (ret)
            return ret;
    }
    for (uint64_t done = 0; from.raw != to.raw && done < old_size; done += PAGE) {
        struct page *page = page_at(from.raw + done);
        HASH_DEL(g_pages, page);
        page->number = (to.raw + done) / PAGE;
        HASH_ADD(hh, g_pages, number, sizeof(page->number), page);
    }
    return 0;
}

static int noop_resident(struct platform *p UNUSED, const struct aspace *as UNUSED,
                         struct guest_addr addr, uint64_t size, unsigned char *vec)
{
    if (!all_mapped(addr.raw, size))
        return -ENOMEM;
    for (uint64_t i = 0; i < size / PAGE; i++) {
        const struct page *page = page_at(addr.raw + i * PAGE);
        vec[i] = page->own || (page->object && object_frame(page->object, page->index));
    }
    return 0;
}

/* Copies */

enum access { ACCESS_READ, ACCESS_WRITE };

/* The bytes behind one guest page, or NULL if it can't be reached so. */
static unsigned char *reach(uint64_t address, enum access access)
{
    static unsigned char zeros[PAGE];
    g_none_left = false;
    struct page *page = page_at(address);
    const unsigned needed = access == ACCESS_WRITE ? MEMORY_WRITE : MEMORY_READ;

    if (!page || !(page->prot & needed))
        return NULL;
    if (page->object && page->index * PAGE >= page->object->size)
        return NULL;
    if (page->own)
        return page->own->bytes;

    struct frame *below = NULL;
    if (page->object && access == ACCESS_WRITE && page->sharing == MEMORY_SHARED) {
        below = object_frame_make(page->object, page->index);
        g_none_left = !below;
        return below ? below->bytes : NULL;
    }
    if (page->object)
        below = object_frame(page->object, page->index);
    if (access == ACCESS_READ)
        return below ? below->bytes : zeros;

    page->own = allocate(sizeof(*page->own));
    g_none_left = !page->own;
    if (!page->own)
        return NULL;
    if (below)
        memcpy(page->own->bytes, below->bytes, PAGE);
    return page->own->bytes;
}

static int populate(uint64_t start, uint64_t size, enum memory_advice advice)
{
    const enum access access = advice == MEMORY_ADVICE_POPULATE_READ ? ACCESS_READ : ACCESS_WRITE;
    for (uint64_t at = start; at < start + size; at += PAGE)
        if (!reach(at, access))
            return -EFAULT;
    return 0;
}

static int noop_advise(struct platform *p UNUSED, const struct aspace *as UNUSED,
                       struct guest_addr addr, uint64_t size, enum memory_advice advice)
{
    const bool private_only = advice == MEMORY_ADVICE_FREE || advice == MEMORY_ADVICE_WIPEONFORK;
    if (!all_mapped(addr.raw, size))
        return -ENOMEM;
    for (uint64_t at = addr.raw; at < addr.raw + size; at += PAGE)
        if (private_only && page_at(at)->object)
            return -EINVAL;
    if (advice == MEMORY_ADVICE_DONTNEED || advice == MEMORY_ADVICE_FREE)
        for (uint64_t at = addr.raw; at < addr.raw + size; at += PAGE) {
            free(page_at(at)->own);
            page_at(at)->own = NULL;
        }
    if (advice >= MEMORY_ADVICE_POPULATE_READ)
        return populate(addr.raw, size, advice);
    /* The rest speaks of children and of large pages; there are none. */
    return 0;
}

/*
 * One loop for all copies: `shim` is written (READ), read (WRITE), or NULL for zeros (WRITE).
 * Result: bytes left.
 */
static size_t copy(struct platform *p, uint64_t guest, unsigned char *shim, size_t size,
                   enum access access)
{
    while (size > 0) {
        size_t within = guest % PAGE, part = PAGE - within;
        unsigned char *bytes;
        if (part > size)
            part = size;
        if (!guest_range_ok(p, guest_addr(guest), part))
            break;
        for (unsigned asked = 0; !(bytes = reach(guest, access)); asked++)
            if (!g_none_left || !g_shortage || !g_shortage(asked))
                return size;
        if (access == ACCESS_READ)
            memcpy(shim, bytes + within, part);
        else if (shim)
            memcpy(bytes + within, shim, part);
        else
            memset(bytes + within, 0, part);
        guest += part;
        size -= part;
        if (shim)
            shim += part;
    }
    return size;
}

static size_t noop_peek(struct platform *p, const struct aspace *as UNUSED, void *dst,
                        struct guest_addr src, size_t size)
{
    return copy(p, src.raw, dst, size, ACCESS_READ);
}

static size_t noop_poke(struct platform *p, const struct aspace *as UNUSED, struct guest_addr dst,
                        const void *src, size_t size)
{
    return copy(p, dst.raw, (unsigned char *)(uintptr_t)src, size, ACCESS_WRITE);
}

static size_t noop_copy_in(struct platform *p, void *dst, struct guest_addr src, size_t size)
{
    return stock_single_aspace_is_active() ? noop_peek(p, NULL, dst, src, size) : size;
}

static size_t noop_copy_out(struct platform *p, struct guest_addr dst, const void *src, size_t size)
{
    return stock_single_aspace_is_active() ? noop_poke(p, NULL, dst, src, size) : size;
}

static size_t noop_zero(struct platform *p, struct guest_addr dst, size_t size)
{
    return stock_single_aspace_is_active() ? copy(p, dst.raw, NULL, size, ACCESS_WRITE) : size;
}

static int noop_on_shortage(struct platform *p UNUSED, memory_shortage ask)
{
    g_shortage = ask;
    return 0;
}

static int64_t noop_string_in(struct platform *p, char *dst, struct guest_addr src, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (noop_copy_in(p, dst + i, guest_addr(src.raw + i), 1))
            return -EFAULT;
        if (dst[i] == '\0')
            return (int64_t)i;
    }
    return (int64_t)size;
}

static int noop_load32(struct platform *p, struct guest_addr addr, uint32_t *value)
{
    return noop_copy_in(p, value, addr, sizeof(*value)) ? -EFAULT : 0;
}

static int noop_cmpxchg32(struct platform *p, struct guest_addr addr, uint32_t expected,
                          uint32_t desired, uint32_t *old)
{
    uint32_t seen;
    if (noop_load32(p, addr, &seen))
        return -EFAULT;
    /*
     * The processor's instruction writes in either case, and so needs a writable page in either
     * case.
     */
    uint32_t stored = seen == expected ? desired : seen;
    if (noop_copy_out(p, addr, &stored, sizeof(stored)))
        return -EFAULT;
    *old = seen;
    return 0;
}

/* Objects by offset */

static int64_t object_move(struct platform *p, struct memory_object *obj, uint64_t offset,
                           struct mem_ref m, enum access object_access)
{
    int64_t moved = 0;
    if (offset >= obj->size)
        return 0;
    m = mem_first(m, obj->size - offset);
    while (m.size > 0) {
        uint64_t at = offset + (uint64_t)moved;
        struct mem_ref part = mem_first(m, PAGE - at % PAGE);
        struct frame *frame = object_access == ACCESS_WRITE ? object_frame_make(obj, at / PAGE)
                                                            : object_frame(obj, at / PAGE);
        unsigned char *bytes = frame ? frame->bytes + at % PAGE : NULL;
        size_t left = 0;

        if (!bytes && object_access == ACCESS_WRITE)
            return moved ? moved : -ENOMEM;
        if (object_access == ACCESS_WRITE && part.shim)
            memcpy(bytes, part.shim, part.size);
        else if (object_access == ACCESS_WRITE)
            left = noop_copy_in(p, bytes, part.guest, part.size);
        else if (part.shim)
            bytes ? memcpy(part.shim, bytes, part.size) : memset(part.shim, 0, part.size);
        else
            left = bytes ? noop_copy_out(p, part.guest, bytes, part.size)
                         : noop_zero(p, part.guest, part.size);
        moved += (int64_t)(part.size - left);
        if (left > 0)
            return moved ? moved : -EFAULT;
        m = mem_skip(m, part.size);
    }
    return moved;
}

static int64_t noop_object_read(struct platform *p, struct memory_object *obj, uint64_t offset,
                                struct mem_ref into)
{
    return object_move(p, obj, offset, into, ACCESS_READ);
}

static int64_t noop_object_write(struct platform *p, struct memory_object *obj, uint64_t offset,
                                 struct mem_ref from)
{
    return object_move(p, obj, offset, from, ACCESS_WRITE);
}

static void *noop_shim_alloc(struct platform *p UNUSED, size_t size)
{
    void *ptr;
    if (g_fault_countdown > 0 && --g_fault_countdown == 0) {
        g_fault_happened = true;
        return NULL;
    }
    if (posix_memalign(&ptr, PAGE, size))
        return NULL;
    return memset(ptr, 0, size);
}

static void noop_shim_free(struct platform *p UNUSED, void *ptr, size_t size UNUSED)
{
    free(ptr);
}

const struct memory_ops noop_memory_ops = {
    .on_shortage = noop_on_shortage,
    .map = noop_map,
    .unmap = noop_unmap,
    .protect = noop_protect,
    .move = noop_move,
    .advise = noop_advise,
    .resident = noop_resident,
    .copy_in = noop_copy_in,
    .copy_out = noop_copy_out,
    .zero = noop_zero,
    .string_in = noop_string_in,
    .load32 = noop_load32,
    .cmpxchg32 = noop_cmpxchg32,
    .peek = noop_peek,
    .poke = noop_poke,
    .object_create = noop_object_create,
    .object_from_file = noop_object_from_file,
    .object_get = noop_object_get,
    .object_put = noop_object_put,
    .object_size = noop_object_size,
    .object_resize = noop_object_resize,
    .object_punch = noop_object_punch,
    .object_seek = noop_object_seek,
    .object_read = noop_object_read,
    .object_write = noop_object_write,
    .shim_alloc = noop_shim_alloc,
    .shim_free = noop_shim_free,
};
