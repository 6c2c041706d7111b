/*
 * guest_memory.c: checked entry points of guest_memory.h.
 */
#include "platform/guest_memory.h"

#include "platform/address_space.h"
#include "platform/contract.h"
#include "platform/platform.h"

static const unsigned g_all_prot = MEMORY_READ | MEMORY_WRITE | MEMORY_EXEC;

bool guest_range_ok(const struct platform *p, struct guest_addr addr, uint64_t size)
{
    return addr.raw >= p->guest_min && addr.raw <= p->guest_end && size <= p->guest_end - addr.raw;
}

static bool page_aligned(const struct platform *p, uint64_t number)
{
    return (number & (p->page_size - 1)) == 0;
}

static bool page_range_ok(const struct platform *p, struct guest_addr addr, uint64_t size)
{
    return size > 0 && page_aligned(p, addr.raw) && page_aligned(p, size) &&
           guest_range_ok(p, addr, size);
}

int memory_map(struct platform *p, const struct aspace *as, const struct memory_map_request *req)
{
    aspace_require_live(p, as);
    PLATFORM_REQUIRE(req != NULL);
    PLATFORM_REQUIRE(page_range_ok(p, req->addr, req->size));
    PLATFORM_REQUIRE((req->prot & ~g_all_prot) == 0);
    PLATFORM_REQUIRE(req->sharing == MEMORY_PRIVATE ||
                     (req->sharing == MEMORY_SHARED && req->object != NULL));
    PLATFORM_REQUIRE(page_aligned(p, req->offset) && req->offset + req->size >= req->offset);
    return p->memory->map(p, as, req);
}

int memory_unmap(struct platform *p, const struct aspace *as, struct guest_addr addr, uint64_t size)
{
    aspace_require_live(p, as);
    PLATFORM_REQUIRE(page_range_ok(p, addr, size));
    return p->memory->unmap(p, as, addr, size);
}

int memory_protect(struct platform *p, const struct aspace *as, struct guest_addr addr,
                   uint64_t size, unsigned prot)
{
    aspace_require_live(p, as);
    PLATFORM_REQUIRE(page_range_ok(p, addr, size));
    PLATFORM_REQUIRE((prot & ~g_all_prot) == 0);
    return p->memory->protect(p, as, addr, size, prot);
}

int memory_move(struct platform *p, const struct aspace *as, struct guest_addr from,
                uint64_t old_size, struct guest_addr to, uint64_t new_size)
{
    aspace_require_live(p, as);
    PLATFORM_REQUIRE(page_range_ok(p, from, old_size) && page_range_ok(p, to, new_size));
    PLATFORM_REQUIRE(new_size >= old_size);
    PLATFORM_REQUIRE(from.raw + old_size <= to.raw || to.raw + new_size <= from.raw ||
                     from.raw == to.raw);
    return p->memory->move(p, as, from, old_size, to, new_size);
}

int memory_advise(struct platform *p, const struct aspace *as, struct guest_addr addr,
                  uint64_t size, enum memory_advice advice)
{
    aspace_require_live(p, as);
    PLATFORM_REQUIRE(page_range_ok(p, addr, size));
    PLATFORM_REQUIRE(advice <= MEMORY_ADVICE_POPULATE_WRITE);
    return p->memory->advise(p, as, addr, size, advice);
}

int memory_resident(struct platform *p, const struct aspace *as, struct guest_addr addr,
                    uint64_t size, unsigned char *vec)
{
    aspace_require_live(p, as);
    PLATFORM_REQUIRE(page_range_ok(p, addr, size) && vec != NULL);
    return p->memory->resident(p, as, addr, size, vec);
}

size_t guest_copy_in(struct platform *p, void *dst, struct guest_addr src, size_t size)
{
    PLATFORM_REQUIRE(dst != NULL || size == 0);
    return p->memory->copy_in(p, dst, src, size);
}

size_t guest_copy_out(struct platform *p, struct guest_addr dst, const void *src, size_t size)
{
    PLATFORM_REQUIRE(src != NULL || size == 0);
    return p->memory->copy_out(p, dst, src, size);
}

size_t guest_zero(struct platform *p, struct guest_addr dst, size_t size)
{
    return p->memory->zero(p, dst, size);
}

int64_t guest_string_in(struct platform *p, char *dst, struct guest_addr src, size_t size)
{
    PLATFORM_REQUIRE(dst != NULL || size == 0);
    return p->memory->string_in(p, dst, src, size);
}

int guest_load32(struct platform *p, struct guest_addr addr, uint32_t *value)
{
    PLATFORM_REQUIRE(addr.raw % sizeof(*value) == 0 && value != NULL);
    return p->memory->load32(p, addr, value);
}

int guest_cmpxchg32(struct platform *p, struct guest_addr addr, uint32_t expected, uint32_t desired,
                    uint32_t *old)
{
    PLATFORM_REQUIRE(addr.raw % sizeof(*old) == 0 && old != NULL);
    return p->memory->cmpxchg32(p, addr, expected, desired, old);
}

size_t aspace_peek(struct platform *p, const struct aspace *as, void *dst, struct guest_addr src,
                   size_t size)
{
    aspace_require_live(p, as);
    PLATFORM_REQUIRE(dst != NULL || size == 0);
    return p->memory->peek(p, as, dst, src, size);
}

size_t aspace_poke(struct platform *p, const struct aspace *as, struct guest_addr dst,
                   const void *src, size_t size)
{
    aspace_require_live(p, as);
    PLATFORM_REQUIRE(src != NULL || size == 0);
    return p->memory->poke(p, as, dst, src, size);
}

int memory_on_shortage(struct platform *p, memory_shortage ask)
{
    return p->memory->on_shortage(p, ask);
}

struct memory_object *memory_object_create(struct platform *p, uint64_t size, int *err)
{
    PLATFORM_REQUIRE(err != NULL);
    return p->memory->object_create(p, size, err);
}

struct memory_object *memory_object_from_file(struct platform *p, struct host_file *file, int *err)
{
    PLATFORM_REQUIRE(file != NULL && err != NULL);
    return p->memory->object_from_file(p, file, err);
}

void memory_object_get(struct platform *p, struct memory_object *obj)
{
    PLATFORM_REQUIRE(obj != NULL);
    p->memory->object_get(p, obj);
}

void memory_object_put(struct platform *p, struct memory_object *obj)
{
    PLATFORM_REQUIRE(obj != NULL);
    p->memory->object_put(p, obj);
}

uint64_t memory_object_size(struct platform *p, struct memory_object *obj)
{
    PLATFORM_REQUIRE(obj != NULL);
    return p->memory->object_size(p, obj);
}

int memory_object_resize(struct platform *p, struct memory_object *obj, uint64_t size)
{
    PLATFORM_REQUIRE(obj != NULL);
    return p->memory->object_resize(p, obj, size);
}

int memory_object_punch(struct platform *p, struct memory_object *obj, uint64_t offset,
                        uint64_t size)
{
    PLATFORM_REQUIRE(obj != NULL && offset + size >= offset);
    return p->memory->object_punch(p, obj, offset, size);
}

int64_t memory_object_seek(struct platform *p, struct memory_object *obj, uint64_t offset,
                           enum memory_seek what)
{
    PLATFORM_REQUIRE(obj != NULL);
    return p->memory->object_seek(p, obj, offset, what);
}

int64_t memory_object_read(struct platform *p, struct memory_object *obj, uint64_t offset,
                           struct mem_ref into)
{
    PLATFORM_REQUIRE(obj != NULL);
    return p->memory->object_read(p, obj, offset, into);
}

int64_t memory_object_write(struct platform *p, struct memory_object *obj, uint64_t offset,
                            struct mem_ref from)
{
    PLATFORM_REQUIRE(obj != NULL);
    return p->memory->object_write(p, obj, offset, from);
}

void *shim_memory_alloc(struct platform *p, size_t size)
{
    PLATFORM_REQUIRE(size > 0 && page_aligned(p, size));
    return p->memory->shim_alloc(p, size);
}

void shim_memory_free(struct platform *p, void *ptr, size_t size)
{
    PLATFORM_REQUIRE(ptr != NULL && page_aligned(p, (uintptr_t)ptr));
    PLATFORM_REQUIRE(size > 0 && page_aligned(p, size));
    p->memory->shim_free(p, ptr, size);
}
