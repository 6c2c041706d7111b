/*
 * shared.c: memory that every carrier sees at one address: heap pages, shim stacks, record pools.
 */
#include "platform/linux_user/lu.h"

#include <linux/futex.h>
#include <linux/mman.h>

#define PAGE 4096ull
#define HEAP_PAGES (4ull << 20) /* 16 GiB of addresses; pages come when touched */
#define STACK_COUNT 16384ull

static uint64_t g_page_map[HEAP_PAGES / 64]; /* bit set: in use; under g_page_lock */
static struct lu_lock g_page_lock;
static uint64_t g_page_hint;
static struct lu_lock g_stack_lock;
static struct thread *g_stack_free;
static uint64_t g_stack_fresh; /* stacks never used so far */

void lu_lock(struct lu_lock *l)
{
    uint32_t seen = 0;
    if (__atomic_compare_exchange_n(&l->state, &seen, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return;
    for (int spin = 0; spin < 100; spin++) {
        seen = 0;
        if (__atomic_load_n(&l->state, __ATOMIC_RELAXED) == 0 &&
            __atomic_compare_exchange_n(&l->state, &seen, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return;
        __builtin_ia32_pause();
    }
    while (__atomic_exchange_n(&l->state, 2, __ATOMIC_ACQUIRE) != 0)
        host_call(__NR_futex, &l->state, FUTEX_WAIT, 2, 0);
}

void lu_unlock(struct lu_lock *l)
{
    if (__atomic_exchange_n(&l->state, 0, __ATOMIC_RELEASE) == 2)
        host_call(__NR_futex, &l->state, FUTEX_WAKE, 1);
}

static char *map_region(uint64_t size, int sharing, uint64_t align)
{
    long at = host_call(__NR_mmap, 0, size + align, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1, 0);
    if (at < 0 && at > -4096)
        return NULL;
    uint64_t start = ((uint64_t)at + align - 1) & ~(align - 1);
    if (start > (uint64_t)at)
        host_call(__NR_munmap, at, start - (uint64_t)at);
    if ((uint64_t)at + align > start)
        host_call(__NR_munmap, start + size, (uint64_t)at + align - start);
    return (char *)start;
}

int lu_shared_init(void)
{
    g_lu.shared_base = map_region(HEAP_PAGES * PAGE, MAP_SHARED, 2u << 20);
    g_lu.stacks_base = map_region(STACK_COUNT * THREAD_STACK_SIZE, MAP_SHARED, THREAD_STACK_SIZE);
    g_lu.altstack_base =
        map_region((uint64_t)LU_ALTSTACK_SLOTS * LU_ALTSTACK_SIZE, MAP_PRIVATE, LU_ALTSTACK_SIZE);
    if (!g_lu.shared_base || !g_lu.stacks_base || !g_lu.altstack_base)
        return -ENOMEM;
    g_lu.shared_pages = HEAP_PAGES;
    long err = host_call(__NR_madvise, g_lu.altstack_base, (uint64_t)LU_ALTSTACK_SLOTS * LU_ALTSTACK_SIZE,
                         MADV_WIPEONFORK);
    return (int)err;
}

static bool page_used(uint64_t page)
{
    return (g_page_map[page / 64] >> (page % 64)) & 1;
}

static void pages_mark(uint64_t first, uint64_t count, bool used)
{
    for (uint64_t page = first; page < first + count; page++) {
        if (used)
            g_page_map[page / 64] |= 1ull << (page % 64);
        else
            g_page_map[page / 64] &= ~(1ull << (page % 64));
    }
}

/* First run of `count` free pages at or after `from`; HEAP_PAGES: none. */
static uint64_t pages_find(uint64_t from, uint64_t count)
{
    uint64_t run = 0;
    for (uint64_t page = from; page < HEAP_PAGES; page++) {
        if (run == 0 && page % 64 == 0 && g_page_map[page / 64] == UINT64_MAX) {
            page += 63;
            continue;
        }
        run = page_used(page) ? 0 : run + 1;
        if (run == count)
            return page + 1 - count;
    }
    return HEAP_PAGES;
}

void *lu_shared_pages_alloc(size_t size)
{
    uint64_t count = size / PAGE;
    if (lu_fault_hit())
        return NULL;
    lu_lock(&g_page_lock);
    uint64_t first = pages_find(g_page_hint, count);
    if (first == HEAP_PAGES)
        first = pages_find(0, count);
    if (first < HEAP_PAGES) {
        pages_mark(first, count, true);
        g_page_hint = first + count;
    }
    lu_unlock(&g_page_lock);
    return first < HEAP_PAGES ? g_lu.shared_base + first * PAGE : NULL;
}

void lu_shared_pages_free(void *ptr, size_t size)
{
    uint64_t first = (uint64_t)((char *)ptr - g_lu.shared_base) / PAGE;
    PLATFORM_REQUIRE(first + size / PAGE <= HEAP_PAGES && page_used(first));
    /* The storage goes back to the host, so the pages are zero when they are handed out again. */
    host_call(__NR_madvise, ptr, size, MADV_REMOVE);
    lu_lock(&g_page_lock);
    pages_mark(first, size / PAGE, false);
    if (first < g_page_hint)
        g_page_hint = first;
    lu_unlock(&g_page_lock);
}

struct thread *lu_stack_alloc(void)
{
    if (lu_fault_hit())
        return NULL;
    lu_lock(&g_stack_lock);
    struct thread *t = g_stack_free;
    if (t)
        g_stack_free = t->next;
    else if (g_stack_fresh < STACK_COUNT)
        t = (struct thread *)(g_lu.stacks_base + THREAD_STACK_SIZE * g_stack_fresh++);
    lu_unlock(&g_stack_lock);
    if (t) {
        *t = (struct thread){0};
        t->canary = LU_STACK_CANARY;
    }
    return t;
}

void lu_stack_free(struct thread *t)
{
    lu_lock(&g_stack_lock);
    t->next = g_stack_free;
    g_stack_free = t;
    lu_unlock(&g_stack_lock);
}

void *lu_pool_get(struct lu_pool *pool)
{
    if (lu_fault_hit())
        return NULL;
    lu_lock(&pool->lock);
    if (!pool->free) {
        char *page = lu_shared_pages_alloc(PAGE);
        for (size_t at = 0; page && at + pool->size <= PAGE; at += pool->size) {
            *(void **)(page + at) = pool->free;
            pool->free = page + at;
        }
    }
    void *record = pool->free;
    if (record)
        pool->free = *(void **)record;
    lu_unlock(&pool->lock);
    if (record)
        __builtin_memset(record, 0, pool->size);
    return record;
}

void lu_pool_put(struct lu_pool *pool, void *record)
{
    lu_lock(&pool->lock);
    *(void **)record = pool->free;
    pool->free = record;
    lu_unlock(&pool->lock);
}
