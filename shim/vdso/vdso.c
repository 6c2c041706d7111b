/*
 * vdso.c: the image (image.S) with the platform's addresses filled in, as one memory object that all programs map.
 */
#include "shim/vdso/vdso.h"

#include <linux/mman.h>

#include "platform/clock.h"
#include "platform/contract.h"
#include "platform/errno.h"
#include "shim/base/string.h"
#include "shim/mm.h"
#include "shim/shim.h"
#include "shim/vma.h"

extern const char vdso_image_start[], vdso_image_end[];
__asm__(".section .rodata\n.balign 8\n.globl vdso_image_start, vdso_image_end\n"
        "vdso_image_start:\n.incbin \"" VDSO_IMAGE "\"\nvdso_image_end:\n.text\n");

static struct memory_object *g_image; /* NULL: programs do without */
static uint64_t g_size;

/* In the order of vdso_entries. */
static const enum clock_guest_call k_entries[] = {CLOCK_GUEST_GETTIME, CLOCK_GUEST_GETTIMEOFDAY,
                                                  CLOCK_GUEST_TIME, CLOCK_GUEST_GETCPU};
#define ENTRY_COUNT (sizeof(k_entries) / sizeof(k_entries[0]))
static const char k_place[] = "palimpsest vdso entries go here.";
_Static_assert(sizeof(k_place) == ENTRY_COUNT * sizeof(uint64_t) + 1,
               "as many bytes as image.S keeps");

static uint64_t find_place(void)
{
    for (const char *at = vdso_image_start; at + sizeof(k_place) <= vdso_image_end; at += 8)
        if (memcmp(at, k_place, sizeof(k_place) - 1) == 0)
            return (uint64_t)(at - vdso_image_start);
    platform_panic("the vDSO image has no place for entries");
}

int vdso_init(void)
{
    int err = 0;
    uint64_t size = (uint64_t)(vdso_image_end - vdso_image_start), entries[ENTRY_COUNT];
    for (unsigned i = 0; i < ENTRY_COUNT; i++)
        entries[i] = clock_guest_entry(g_platform, k_entries[i]);
    struct memory_object *image = memory_object_create(g_platform, page_up(size), &err);
    if (!image)
        return err;
    struct mem_ref all = mem_shim((char *)(uintptr_t)vdso_image_start, size),
                   own = mem_shim(entries, sizeof(entries));
    if (memory_object_write(g_platform, image, 0, all) != (int64_t)size ||
        memory_object_write(g_platform, image, find_place(), own) != (int64_t)sizeof(entries)) {
        memory_object_put(g_platform, image);
        return -ENOMEM;
    }
    g_image = image;
    g_size = page_up(size);
    return 0;
}

int64_t vdso_map(struct mm *mm)
{
    if (!g_image)
        return 0;
    return mm_map_object(mm, 0, g_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, g_image, 0, VMA_VDSO);
}
