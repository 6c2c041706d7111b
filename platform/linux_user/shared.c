/*
 * shared.c: memory that every carrier sees at one address: heap pages, shim stacks, record pools.
 *
 * A forked carrier starts without page tables for shared memory and pays for each page it touches and for each 2 MiB and 1 GiB it touches
 * them in. So everything comes from one heap that fills from its upper end, next to the runner: what is used together lies together, and
 * the first 2 MiB of it are one huge page, mapped by one fault.
 */
#include "platform/linux_user/lu.h"

#include <linux/futex.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <linux/resource.h>

#define PAGE 4096ull
#define HEAP_PAGES (4ull << 20)          /* 16 GiB of addresses; pages come when touched */
#define HUGE_PAGES (LU_HUGE_PAGE / PAGE) /* as many of the heap's first pages are one huge page */
#define STACK_PAGES (THREAD_STACK_SIZE / PAGE)
/* From this size on freed memory goes back to the host; below, and in the huge page, it is zeroed in place. */
#define GIVE_BACK_FROM (256u << 10)

/* Bit set: in use. Page i counts from the heap's upper end. Under g_page_lock. */
static uint64_t *g_page_map;
static struct lu_lock g_page_lock;
static uint64_t g_page_hint;
static struct lu_lock g_stack_lock;
static struct thread *g_stack_free;

bool lu_try_lock(struct lu_lock *l)
{
    uint32_t seen = 0;
    return __atomic_compare_exchange_n(&l->state, &seen, 1, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

void lu_lock(struct lu_lock *l)
{
    if (lu_try_lock(l))
        return;
    for (int spin = 0; spin < 100; spin++) {
        if (__atomic_load_n(&l->state, __ATOMIC_RELAXED) == 0 && lu_try_lock(l))
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

static char *map_private(uint64_t size, uint64_t align)
{
    long at = host_call(__NR_mmap, 0, size + align, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at < 0 && at > -4096)
        return NULL;
    uint64_t start = ((uint64_t)at + align - 1) & ~(align - 1);
    if (start > (uint64_t)at)
        host_call(__NR_munmap, at, start - (uint64_t)at);
    if ((uint64_t)at + align > start)
        host_call(__NR_munmap, start + size, (uint64_t)at + align - start);
    return (char *)start;
}

/* A file, not MAP_ANONYMOUS: the host collapses only a file's shared pages into huge ones. -1: anonymous memory must do. */
static long memory_file(uint64_t size)
{
    struct rlimit64 limit;
    long err = host_call(__NR_prlimit64, 0, RLIMIT_FSIZE, NULL, &limit);
    if (err < 0 || limit.rlim_cur < size) /* or ftruncate is the death of us: SIGXFSZ */
        return -1;
    long fd = host_call(__NR_memfd_create, "palimpsest", MFD_CLOEXEC);
    if (fd >= 0 && host_call(__NR_ftruncate, fd, size) < 0) {
        host_call(__NR_close, fd);
        fd = -1;
    }
    return fd;
}

char *lu_shared_map(uint64_t size)
{
    char *at = map_private(size, LU_HUGE_PAGE); /* the place; what lies there is replaced */
    if (!at)
        return NULL;
    long fd = memory_file(size);
    long mapped =
        host_call(__NR_mmap, at, size, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_FIXED | MAP_NORESERVE | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
    if (fd >= 0)
        host_call(__NR_close, fd);
    return mapped < 0 && mapped > -4096 ? NULL : at;
}

void lu_shared_collapse(char *at)
{
    *(volatile char *)at = 0; /* of nothing at all the host makes no huge page */
    host_call(__NR_madvise, at, LU_HUGE_PAGE, MADV_COLLAPSE); /* a wish: Linux 6.1 */
}

int lu_shared_init(void)
{
    uint64_t altstacks = (uint64_t)LU_ALTSTACK_SLOTS * LU_ALTSTACK_SIZE, map_size = HEAP_PAGES / 8;
    /* The first slot's place is for the host's vDSO: one page of page tables holds both in a forked carrier. */
    char *arena = map_private(altstacks + LU_VDSO_ROOM, LU_HUGE_PAGE);
    g_lu.vdso_room = (uint64_t)arena;
    g_lu.altstack_base = arena ? arena + LU_VDSO_ROOM : NULL;
    g_lu.heap_base = lu_shared_map(HEAP_PAGES * PAGE);
    if (!g_lu.heap_base || !g_lu.altstack_base)
        return -ENOMEM;
    lu_shared_collapse(g_lu.heap_base + HEAP_PAGES * PAGE - LU_HUGE_PAGE);
    /* The map is the last thing of the heap, so that what children touch comes first. */
    g_page_map = (uint64_t *)g_lu.heap_base;
    for (uint64_t page = HEAP_PAGES - map_size / PAGE; page < HEAP_PAGES; page++)
        g_page_map[page / 64] |= 1ull << (page % 64);
    return (int)host_call(__NR_madvise, g_lu.altstack_base, altstacks, MADV_WIPEONFORK);
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

/* First run of `count` free pages at or after `from`, a multiple of `align`; HEAP_PAGES: none. */
static uint64_t pages_find(uint64_t from, uint64_t count, uint64_t align)
{
    uint64_t run = 0;
    for (uint64_t page = (from + align - 1) & ~(align - 1); page < HEAP_PAGES; page++) {
        if (run == 0 && page % align != 0)
            continue;
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

static char *pages_address(uint64_t first, uint64_t count)
{
    return g_lu.heap_base + (HEAP_PAGES - first - count) * PAGE;
}

static void *pages_alloc(uint64_t count, uint64_t align)
{
    if (lu_fault_hit())
        return NULL;
    lu_lock(&g_page_lock);
    uint64_t first = pages_find(g_page_hint, count, align);
    if (first == HEAP_PAGES)
        first = pages_find(0, count, align);
    if (first < HEAP_PAGES) {
        pages_mark(first, count, true);
        if (align == 1)
            g_page_hint = first + count;
    }
    lu_unlock(&g_page_lock);
    return first < HEAP_PAGES ? pages_address(first, count) : NULL;
}

void *lu_shared_pages_alloc(size_t size)
{
    return pages_alloc(size / PAGE, 1);
}

void lu_shared_pages_free(void *ptr, size_t size)
{
    uint64_t count = size / PAGE, from_base = (uint64_t)((char *)ptr - g_lu.heap_base) / PAGE;
    PLATFORM_REQUIRE(from_base + count <= HEAP_PAGES);
    uint64_t first = HEAP_PAGES - from_base - count;
    PLATFORM_REQUIRE(page_used(first));
    if (size >= GIVE_BACK_FROM && first >= HUGE_PAGES)
        host_call(__NR_madvise, ptr, size, MADV_REMOVE);
    else
        __builtin_memset(ptr, 0, size);
    lu_lock(&g_page_lock);
    pages_mark(first, count, false);
    if (first < g_page_hint)
        g_page_hint = first;
    lu_unlock(&g_page_lock);
}

struct thread *lu_stack_alloc(void)
{
    lu_lock(&g_stack_lock);
    struct thread *t = g_stack_free;
    if (t)
        g_stack_free = t->next;
    lu_unlock(&g_stack_lock);
    if (!t) {
        char *stack = pages_alloc(STACK_PAGES, STACK_PAGES);
        t = stack ? lu_thread_of_stack((uint64_t)stack) : NULL;
    }
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
        size_t span = (pool->size + PAGE - 1) & ~(size_t)(PAGE - 1);
        char *pages = lu_shared_pages_alloc(span);
        for (size_t at = 0; pages && at + pool->size <= span; at += pool->size) {
            *(void **)(pages + at) = pool->free;
            pool->free = pages + at;
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
