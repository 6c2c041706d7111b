/*
 * env.c: platform/kvm/image/mm_env.h on a host.
 */
#include "platform/kvm/image/mm_env.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/contract.h"
#include "platform/kvm/image/mm.h"
#include "tests/kvm_host/kvm_host.h"

#if defined(__SANITIZE_ADDRESS__)
#define WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WATCHED 1
#endif
#endif
#ifdef WATCHED
#include <sanitizer/asan_interface.h>
#endif

static unsigned g_countdown;
static bool g_happened;
static uint64_t g_flushes;
static uint64_t g_memory_end;
static void (*g_at_release)(uint64_t phys);

static void lock(uint32_t *word)
{
    while (__atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void unlock(uint32_t *word)
{
    PLATFORM_REQUIRE(__atomic_exchange_n(word, 0, __ATOMIC_RELEASE) == 1);
}

void mm_spin_lock(struct mm_spinlock *l)
{
    lock(&l->word);
}

void mm_spin_unlock(struct mm_spinlock *l)
{
    unlock(&l->word);
}

void mm_mutex_lock(struct mm_mutex *l)
{
    lock(&l->word);
}

void mm_mutex_unlock(struct mm_mutex *l)
{
    unlock(&l->word);
}

void mm_flush(struct kvm_aspace *as, uint64_t start, uint64_t end)
{
    PLATFORM_REQUIRE(start < end);
    __atomic_add_fetch(&g_flushes, 1, __ATOMIC_RELAXED);
    kvm_host_processors_flush(as, start, end);
}

uint64_t kvm_host_flushes(void)
{
    return __atomic_load_n(&g_flushes, __ATOMIC_RELAXED);
}

struct kvm_aspace *mm_active(void)
{
    return *kvm_host_active();
}

void mm_set_active(struct kvm_aspace *as)
{
    *kvm_host_active() = as;
    kvm_host_processors_load(as);
}

void mm_zero(uint64_t phys, uint64_t size)
{
    memset(phys_to_virt(phys), 0, size);
}

void mm_copy(uint64_t to, uint64_t from, uint64_t size)
{
    memcpy(phys_to_virt(to), phys_to_virt(from), size);
}

bool mm_discard(uint64_t phys, uint64_t size)
{
    return madvise(phys_to_virt(phys), size, MADV_DONTNEED) == 0;
}

void mm_memory_taken(uint64_t phys UNUSED, uint64_t size UNUSED)
{
#ifdef WATCHED
    __asan_unpoison_memory_region(phys_to_virt(phys), size);
#endif
}

void kvm_host_at_release(void (*visit)(uint64_t phys))
{
    g_at_release = visit;
}

void mm_memory_released(uint64_t phys, uint64_t size UNUSED)
{
    if (g_at_release)
        g_at_release(phys);
#ifdef WATCHED
    __asan_poison_memory_region(phys_to_virt(phys), size);
#endif
}

bool mm_allocation_fails(void)
{
    if (g_countdown == 0 || --g_countdown > 0)
        return false;
    g_happened = true;
    return true;
}

bool kvm_host_fault_arm(unsigned nth)
{
    bool happened = g_happened;
    g_countdown = nth;
    g_happened = false;
    return happened;
}

/* Files */

static struct kvm_host_file *own(struct host_file *file)
{
    return (struct kvm_host_file *)(void *)file;
}

int mm_file_info(struct host_file *file, struct mm_file_info *out)
{
    const struct kvm_host_file *f = own(file);
    *out = (struct mm_file_info){.dev = 1,
                                 .ino = f->ino,
                                 .size = f->size,
                                 .readable = f->readable,
                                 .writable = f->writable,
                                 .mappable = true};
    return 0;
}

void mm_file_get(struct host_file *file)
{
    own(file)->refs++;
}

void mm_file_put(struct host_file *file)
{
    PLATFORM_REQUIRE(own(file)->refs-- > 0);
}

int mm_file_read(struct host_file *file, uint64_t offset, uint64_t phys)
{
    struct kvm_host_file *f = own(file);
    uint64_t size = offset < f->size ? f->size - offset : 0;
    if (f->fails)
        return -EIO;
    if (size > 4096)
        size = 4096;
    f->reads++;
    memset(phys_to_virt(phys), 0, 4096);
    if (size > 0)
        memcpy(phys_to_virt(phys), f->bytes + offset, size);
    if (f->during)
        f->during();
    return 0;
}

int mm_file_write(struct host_file *file, uint64_t offset, uint64_t phys, uint64_t size)
{
    struct kvm_host_file *f = own(file);
    PLATFORM_REQUIRE(f->writable && offset + size <= f->size);
    f->writes++;
    memcpy(f->bytes + offset, phys_to_virt(phys), size);
    if (f->during)
        f->during();
    return 0;
}

int mm_file_resize(struct host_file *file, uint64_t size)
{
    struct kvm_host_file *f = own(file);
    if (size > f->capacity)
        return -EFBIG;
    if (size > f->size)
        memset(f->bytes + f->size, 0, size - f->size);
    f->size = size;
    return 0;
}

/* Start: two ranges with a hole between them that is no memory, and ends that are not whole blocks. */
void kvm_host_init(uint64_t size)
{
    static const uint64_t kernel_half[MM_KERNEL_ENTRIES] = {[MM_KERNEL_ENTRIES - 1] = 0x1003};
    const uint64_t low = size / 2 + 0x5000, hole = UINT64_C(64) << 20;
    const struct mm_range ranges[] = {{0x1000, low}, {low + hole, size + hole - 0x3000}};
    g_phys_window = mmap(NULL, size + hole, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (g_phys_window == MAP_FAILED) {
        perror("kvm_host: window");
        abort();
    }
    /* Huge pages of the host's own would make the memory in use look larger than it is. */
    madvise(g_phys_window, size + hole, MADV_NOHUGEPAGE);
    g_memory_end = size + hole;
    mm_init(ranges, 2, true, kernel_half);
}

uint64_t kvm_host_memory_end(void)
{
    return g_memory_end;
}
