/*
 * kernel_map.c: the upper half of every space: all of memory (not executable), the image (text read-only), the stacks of threads,
 * the local APIC. Its top-level entries are made here once and never change, so spaces copy them.
 */
#include "platform/contract.h"
#include "platform/kvm/image/cpu.h"
#include "platform/kvm/image/guest_clock.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/machine.h"
#include "platform/kvm/image/kvm_image.h"
#include "platform/kvm/image/mm_env.h"

#define PTE_PRESENT 1ull
#define PTE_WRITABLE 2ull
#define PTE_USER 4ull
#define PTE_UNCACHED 0x18ull /* PCD, PWT */
#define PTE_ACCESSED                                                                               \
    0x20ull /* from the start: the processor never changes an entry that spaces compare (pt_fork) */
#define PTE_LARGE 0x80ull
#define PTE_GLOBAL 0x100ull
#define PTE_NO_EXEC (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull
#define PAGE 4096ull
#define LARGE_PAGE (2ull << 20)
#define APIC_PHYSICAL 0xfee00000ull

extern char g_image_start[], g_image_data[], g_image_end[];

static uint64_t g_root[512] __attribute__((aligned(4096)));
static uint64_t *g_next_free; /* while booting: physical address of the next free page */

/* Physical memory beyond the first GiB is not mapped yet while booting: tables come from below. */
static uint64_t *new_table(void)
{
    uint64_t *table;
    if (g_next_free) {
        table = phys_to_virt(*g_next_free);
        *g_next_free += PAGE;
        __builtin_memset(table, 0, PAGE);
        return table;
    }
    return NULL;
}

static uint64_t table_address(const uint64_t *table)
{
    return image_physical(table);
}

/* The table below entry `index`, made when there is none. */
static uint64_t *below(uint64_t *table, unsigned index, uint64_t *(*make)(void))
{
    if (!(table[index] & PTE_PRESENT)) {
        uint64_t *lower = make();
        if (!lower)
            return NULL;
        table[index] = table_address(lower) | PTE_PRESENT | PTE_WRITABLE | PTE_ACCESSED;
    }
    return phys_to_virt(table[index] & PTE_ADDRESS);
}

static unsigned index_at(uint64_t virt, unsigned level)
{
    return virt >> (12 + 9 * level) & 511;
}

static bool map_page(uint64_t virt, uint64_t physical, uint64_t bits, unsigned level,
                     uint64_t *(*make)(void))
{
    uint64_t *table = g_root;
    for (unsigned l = 3; l > level && table; l--) {
        uint64_t *entry = &table[index_at(virt, l)];
        table = below(table, index_at(virt, l), make);
        if (table)
            *entry |= bits & PTE_USER;
    }
    if (!table)
        return false;
    table[index_at(virt, level)] =
        physical | bits | PTE_PRESENT | PTE_GLOBAL | (level > 0 ? PTE_LARGE : 0);
    return true;
}

static void map_memory(uint64_t start, uint64_t size)
{
    uint64_t end = start + size;
    const uint64_t bits =
        PTE_WRITABLE | PTE_NO_EXEC | PTE_PRESENT | PTE_GLOBAL | PTE_ACCESSED | PTE_LARGE;
    uint64_t *table = NULL;
    /* One walk for each table: a big memory has many pages. */
    for (uint64_t at = start & ~(LARGE_PAGE - 1); at < end; at += LARGE_PAGE) {
        const uint64_t virt = DIRECT_MAP + at;
        if (!table || index_at(virt, 1) == 0)
            table =
                below(below(g_root, index_at(virt, 3), new_table), index_at(virt, 2), new_table);
        table[index_at(virt, 1)] = at | bits;
    }
}

/* What guests may read they may not write: the image writes it through the direct map. */
static uint64_t bits_of_image(uint64_t virt)
{
    if (virt >= (uint64_t)g_guest_text && virt < (uint64_t)g_image_data)
        return PTE_USER;
    if (virt >= (uint64_t)g_guest_data && virt < (uint64_t)g_guest_data_end)
        return PTE_USER | PTE_NO_EXEC;
    return virt < (uint64_t)g_image_data ? 0 : PTE_WRITABLE | PTE_NO_EXEC;
}

static void map_image(void)
{
    for (uint64_t virt = (uint64_t)g_image_start; virt < (uint64_t)g_image_end; virt += PAGE)
        map_page(virt, virt - IMAGE_BASE, bits_of_image(virt), 0, new_table);
}

void kernel_map_setup(uint64_t *next_free)
{
    g_next_free = next_free;
    for (unsigned i = 0; i < KVM_MEMORY_RANGES; i++)
        map_memory(g_boot.memory[i].start, g_boot.memory[i].size);
    if (g_boot.shared_size > 0)
        map_memory(g_boot.shared, g_boot.shared_size);
    map_image();
    map_page(DEVICE_AREA, APIC_PHYSICAL, PTE_WRITABLE | PTE_NO_EXEC | PTE_UNCACHED, 0, new_table);
    PLATFORM_REQUIRE(below(g_root, STACK_AREA_SLOT, new_table) != NULL);
    g_next_free = NULL;
    write_cr3(kernel_map_root());
}

uint64_t kernel_map_root(void)
{
    return image_physical(g_root);
}

const uint64_t *kernel_map_half(void)
{
    return g_root + 256;
}

static uint64_t *new_table_later(void)
{
    return kvm_page_alloc();
}

bool kernel_map_stack(uint64_t virt, uint64_t physical, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += PAGE)
        if (!map_page(virt + at, physical + at, PTE_WRITABLE | PTE_NO_EXEC, 0, new_table_later))
            return false; /* what was mapped stays so: nobody uses it, and the next attempt maps it again */
    return true;
}
