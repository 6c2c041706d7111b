/*
 * mapping.h: what is mapped in a space: ranges that do not overlap, in order of address, equal neighbours merged. Kept in frames of some
 * hundred ranges each under one directory, so a fork copies a frame for each hundred.
 *
 * All functions: under the space's mutex. Each range holds a reference to its object.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_MAPPING_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_MAPPING_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/annotations.h"

struct memory_object;

/* Bits of mapping.flags. */
enum mapping_flags {
    MAPPING_SHARED = 1,
    MAPPING_DONTFORK = 2,
    MAPPING_WIPEONFORK = 4,
    MAPPING_HUGE = 8,     /* large pages welcome, however small the range */
    MAPPING_NO_HUGE = 16, /* none */
};

struct mapping {
    uint64_t start, end;
    struct memory_object *object; /* NULL: zeros */
    uint64_t offset;              /* of `start` in the object */
    uint16_t prot;                /* MEMORY_* */
    uint16_t flags;
};

enum { MAPPING_SPARES = 4 };
struct mapping_list {
    uint64_t directory; /* a frame of addresses of chunks, or FRAME_NONE */
    uint32_t chunks;
    uint32_t spare_count;
    uint64_t spares[MAPPING_SPARES]; /* frames for edits that must not fail */
};

void mapping_init(struct mapping_list *list);
/* All ranges go, with the references they hold. */
void mapping_clear(struct mapping_list *list);
/* `to` was initialised and is empty. -ENOMEM: it still is. */
MUST_USE int mapping_copy(struct mapping_list *to, const struct mapping_list *from);

/* The first range that ends above addr, or NULL. It stays where it is until the next edit. */
const struct mapping *mapping_first(const struct mapping_list *list, uint64_t addr);
/* The range that holds addr, or NULL. */
const struct mapping *mapping_find(const struct mapping_list *list, uint64_t addr);
bool mapping_covers(const struct mapping_list *list, uint64_t start, uint64_t end); /* no hole */

/*
 * From now on one edit (below) needs no memory. -ENOMEM: no memory, or more ranges than the directory holds (some 25,000 at worst).
 */
MUST_USE int mapping_reserve(struct mapping_list *list);
/* Nothing is mapped in [start, end) any more. */
void mapping_remove(struct mapping_list *list, uint64_t start, uint64_t end);
/* Nothing is mapped in the new range. Takes a reference to the object. */
void mapping_insert(struct mapping_list *list, const struct mapping *mapping);
/* Every range in [start, end), cut at both ends, gets prot (unless < 0), and flags set and cleared. */
void mapping_change(struct mapping_list *list, uint64_t start, uint64_t end, int prot, unsigned set,
                    unsigned clear);

#endif
