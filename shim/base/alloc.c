/*
 * alloc.c: size classes cut from small pieces of common regions; big blocks straight from the platform. Each block has a 16-byte
 * header, so that free needs no lookup and catches a double or wild free.
 *
 * Pieces are small so that what one fork or exit touches lies close together: a new process takes a page fault for each
 * 64 KiB of the heap that it visits.
 */
#include "shim/base/alloc.h"

#include <stdint.h>

#include "platform/contract.h"
#include "platform/guest_memory.h"
#include "platform/platform.h"
#include "shim/base/string.h"
#include "shim/shim.h"
#include "shim/sync.h"

#define REGION_SIZE (256u * 1024u)
#define PIECE_SIZE 4096u
#define SMALL_MAX 8192u
#define CLASS_COUNT 33u /* 16..128 by 16, then four a power of two up to SMALL_MAX */
#define CLASS_BIG 0xffffu
_Static_assert(SHIM_ALLOC_STAYS <= SMALL_MAX, "pieces of regions are never given back");

struct block {
    uint32_t magic;
    uint32_t class_index;
    uint64_t size;      /* usable bytes */
    struct block *next; /* free list; the first bytes of the payload */
};
#define HEADER_SIZE 16u
#define MAGIC_USED 0x0a110cedu
#define MAGIC_FREE 0xf9ee0000u
_Static_assert(offsetof(struct block, next) == HEADER_SIZE, "the payload starts after the header");

/* One lock and cache line a class: threads that allocate different things don't meet. */
static struct size_class {
    struct mutex lock;
    struct block *free;
    char *fresh; /* not yet cut */
    size_t fresh_left;
    uint64_t in_use; /* blocks; written under lock */
} __attribute__((aligned(64))) g_classes[CLASS_COUNT];
static uint64_t g_big_in_use; /* bytes; atomic */
static struct region {
    struct mutex lock; /* taken under a class's */
    char *fresh;
    size_t left;
} g_region;

static unsigned class_of(size_t size)
{
    if (size <= 128)
        return size ? (unsigned)(size - 1) / 16 : 0;
    unsigned log = 63u - (unsigned)__builtin_clzll(size - 1); /* 2^log < size <= 2^(log+1) */
    unsigned quarter = (unsigned)((size - 1) >> (log - 2)) & 3;
    return 8 + (log - 7) * 4 + quarter;
}

static size_t class_size(unsigned index)
{
    if (index < 8)
        return (index + 1) * 16;
    unsigned log = 7 + (index - 8) / 4, quarter = (index - 8) % 4;
    return ((size_t)1 << log) + (quarter + 1) * ((size_t)1 << (log - 2));
}

static void *block_payload(struct block *b)
{
    return (char *)b + HEADER_SIZE;
}

static struct block *payload_block(void *ptr)
{
    struct block *b = (struct block *)(void *)((char *)ptr - HEADER_SIZE);
    PLATFORM_REQUIRE(b->magic == MAGIC_USED);
    return b;
}

/* At least one block of `whole` bytes; *size: how much. */
static char *new_piece(size_t whole, size_t *size)
{
    char *piece = NULL;
    *size = whole > PIECE_SIZE / 2 ? 2 * whole : PIECE_SIZE;
    mutex_lock(&g_region.lock);
    if (g_region.left < *size) {
        char *region = shim_memory_alloc(g_platform, REGION_SIZE);
        if (region) {
            g_region.fresh = region;
            g_region.left = REGION_SIZE;
        }
    }
    if (g_region.left >= *size) {
        piece = g_region.fresh;
        g_region.fresh += *size;
        g_region.left -= *size;
    }
    mutex_unlock(&g_region.lock);
    return piece;
}

static void *alloc_big(size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t whole = (size + HEADER_SIZE + 4095) & ~(size_t)4095;
    struct block *b = shim_memory_alloc(g_platform, whole);
    if (!b)
        return NULL;
    b->magic = MAGIC_USED;
    b->class_index = CLASS_BIG;
    b->size = whole - HEADER_SIZE;
    __atomic_fetch_add(&g_big_in_use, b->size, __ATOMIC_RELAXED);
    return block_payload(b);
}

void *shim_alloc(size_t size)
{
    if (size > SMALL_MAX)
        return alloc_big(size);
    unsigned index = class_of(size);
    struct size_class *c = &g_classes[index];
    size_t usable = class_size(index);
    size_t whole = usable + HEADER_SIZE;

    mutex_lock(&c->lock);
    struct block *b = c->free;
    if (b) {
        PLATFORM_REQUIRE(b->magic == MAGIC_FREE);
        c->free = b->next;
    } else {
        if (c->fresh_left < whole) {
            size_t size_got;
            char *piece = new_piece(whole, &size_got);
            if (!piece) {
                mutex_unlock(&c->lock);
                return NULL;
            }
            c->fresh = piece;
            c->fresh_left = size_got;
        }
        b = (struct block *)(void *)c->fresh;
        c->fresh += whole;
        c->fresh_left -= whole;
    }
    __atomic_store_n(&c->in_use, c->in_use + 1, __ATOMIC_RELAXED);
    mutex_unlock(&c->lock);
    b->magic = MAGIC_USED;
    b->class_index = index;
    b->size = usable;
    return block_payload(b);
}

void *shim_zalloc(size_t size)
{
    void *p = shim_alloc(size);
    if (p)
        memset(p, 0, size);
    return p;
}

void shim_free(void *ptr)
{
    if (!ptr)
        return;
    struct block *b = payload_block(ptr);
    b->magic = MAGIC_FREE;
    if (b->class_index == CLASS_BIG) {
        __atomic_fetch_sub(&g_big_in_use, b->size, __ATOMIC_RELAXED);
        shim_memory_free(g_platform, b, b->size + HEADER_SIZE);
        return;
    }
    PLATFORM_REQUIRE(b->class_index < CLASS_COUNT);
    struct size_class *c = &g_classes[b->class_index];
    mutex_lock(&c->lock);
    b->next = c->free;
    c->free = b;
    __atomic_store_n(&c->in_use, c->in_use - 1, __ATOMIC_RELAXED);
    mutex_unlock(&c->lock);
}

void *shim_zalloc_line(size_t size)
{
    char *block = shim_zalloc(size + CACHE_LINE);
    if (!block)
        return NULL;
    /* Blocks are aligned to 16 bytes: there is room before it for where it comes from */
    void **p = (void **)(((uintptr_t)block + CACHE_LINE) & ~(uintptr_t)(CACHE_LINE - 1));
    p[-1] = block;
    return p;
}

void shim_free_line(void *ptr)
{
    if (ptr)
        shim_free(((void **)ptr)[-1]);
}

void *shim_realloc(void *ptr, size_t size)
{
    if (!ptr)
        return shim_alloc(size);
    struct block *b = payload_block(ptr);
    if (size <= b->size && (b->class_index != CLASS_BIG || size > b->size / 2))
        return ptr;
    void *fresh = shim_alloc(size);
    if (!fresh)
        return NULL;
    memcpy(fresh, ptr, size < b->size ? size : b->size);
    shim_free(ptr);
    return fresh;
}

char *shim_strndup(const char *s, size_t size)
{
    size_t length = str_nlength(s, size);
    char *copy = shim_alloc(length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, s, length);
    copy[length] = '\0';
    return copy;
}

char *shim_strdup(const char *s)
{
    return shim_strndup(s, SIZE_MAX);
}

size_t shim_alloc_in_use(void)
{
    uint64_t bytes = __atomic_load_n(&g_big_in_use, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < CLASS_COUNT; i++)
        bytes += __atomic_load_n(&g_classes[i].in_use, __ATOMIC_RELAXED) * class_size(i);
    return bytes;
}
