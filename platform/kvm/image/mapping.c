/*
 * mapping.c: see mapping.h.
 */
#include "platform/kvm/image/mapping.h"

#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/kvm/image/frame.h"
#include "platform/kvm/image/mm_env.h"
#include "platform/kvm/image/object.h"

enum {
    CHUNK_MAPPINGS = (FRAME_SIZE - 8) / sizeof(struct mapping),
    CHUNKS_MAX = FRAME_SIZE / 8,
    INSERTIONS_MAX = 3, /* of one edit: two cuts and a new range */
};

struct chunk {
    uint64_t count;
    struct mapping at[CHUNK_MAPPINGS];
};
_Static_assert(sizeof(struct chunk) <= FRAME_SIZE, "a chunk is a frame");
_Static_assert(MAPPING_SPARES >= INSERTIONS_MAX + 1,
               "each insertion may need a chunk, and the first the directory");

struct place {
    uint32_t chunk;
    uint32_t index;
};

static uint64_t *directory(const struct mapping_list *list)
{
    return phys_to_virt(list->directory);
}

static struct chunk *chunk_at(const struct mapping_list *list, uint32_t number)
{
    return phys_to_virt(directory(list)[number]);
}

static struct mapping *mapping_at(const struct mapping_list *list, struct place place)
{
    return place.chunk < list->chunks ? &chunk_at(list, place.chunk)->at[place.index] : NULL;
}

static struct place after(const struct mapping_list *list, struct place place)
{
    if (++place.index >= chunk_at(list, place.chunk)->count)
        place = (struct place){.chunk = place.chunk + 1};
    return place;
}

void mapping_init(struct mapping_list *list)
{
    *list = (struct mapping_list){.directory = FRAME_NONE};
}

static void count_object(const struct mapping *m)
{
    if (m->object)
        object_mapped(m->object);
}

static void uncount_object(const struct mapping *m)
{
    if (m->object)
        object_unmapped(m->object);
}

void mapping_clear(struct mapping_list *list)
{
    for (uint32_t i = 0; i < list->chunks; i++) {
        const struct chunk *chunk = chunk_at(list, i);
        for (uint64_t j = 0; j < chunk->count; j++)
            uncount_object(&chunk->at[j]);
        frame_put(directory(list)[i]);
    }
    while (list->spare_count > 0)
        frame_put(list->spares[--list->spare_count]);
    if (list->directory != FRAME_NONE)
        frame_put(list->directory);
    mapping_init(list);
}

int mapping_copy(struct mapping_list *to, const struct mapping_list *from)
{
    if (from->chunks == 0)
        return 0;
    to->directory = frame_alloc(FRAME_LIST, FRAME_ANY);
    if (to->directory == FRAME_NONE)
        return -ENOMEM;
    for (; to->chunks < from->chunks; to->chunks++) {
        uint64_t frame = frame_alloc(FRAME_LIST, FRAME_ANY);
        if (frame == FRAME_NONE) {
            mapping_clear(to);
            return -ENOMEM;
        }
        const struct chunk *source = chunk_at(from, to->chunks);
        struct chunk *copy = phys_to_virt(frame);
        copy->count = source->count;
        __builtin_memcpy(copy->at, source->at, source->count * sizeof(source->at[0]));
        for (uint64_t i = 0; i < copy->count; i++)
            count_object(&copy->at[i]);
        directory(to)[to->chunks] = frame;
    }
    return 0;
}

/* The first range that ends above addr. */
static struct place find_place(const struct mapping_list *list, uint64_t addr)
{
    uint32_t low = 0, high = list->chunks;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct chunk *chunk = chunk_at(list, middle);
        if (chunk->at[chunk->count - 1].end > addr)
            high = middle;
        else
            low = middle + 1;
    }
    struct place place = {.chunk = low};
    if (low == list->chunks)
        return place;
    const struct chunk *chunk = chunk_at(list, low);
    uint32_t first = 0, last = (uint32_t)chunk->count - 1;
    while (first < last) {
        uint32_t middle = first + (last - first) / 2;
        if (chunk->at[middle].end > addr)
            last = middle;
        else
            first = middle + 1;
    }
    place.index = first;
    return place;
}

const struct mapping *mapping_first(const struct mapping_list *list, uint64_t addr)
{
    return mapping_at(list, find_place(list, addr));
}

const struct mapping *mapping_find(const struct mapping_list *list, uint64_t addr)
{
    const struct mapping *m = mapping_first(list, addr);
    return m && m->start <= addr ? m : NULL;
}

bool mapping_covers(const struct mapping_list *list, uint64_t start, uint64_t end)
{
    while (start < end) {
        const struct mapping *m = mapping_find(list, start);
        if (!m)
            return false;
        start = m->end;
    }
    return true;
}

/* Edits */

int mapping_reserve(struct mapping_list *list)
{
    if (list->chunks > CHUNKS_MAX - INSERTIONS_MAX)
        return -ENOMEM;
    while (list->spare_count < MAPPING_SPARES) {
        uint64_t frame = frame_alloc(FRAME_LIST, FRAME_ANY);
        if (frame == FRAME_NONE)
            return -ENOMEM;
        list->spares[list->spare_count++] = frame;
    }
    return 0;
}

static uint64_t spare(struct mapping_list *list)
{
    PLATFORM_REQUIRE(list->spare_count > 0);
    return list->spares[--list->spare_count];
}

/* An empty chunk before number `at`. */
static struct chunk *add_chunk(struct mapping_list *list, uint32_t at)
{
    if (list->directory == FRAME_NONE)
        list->directory = spare(list);
    uint64_t *chunks = directory(list), frame = spare(list);
    PLATFORM_REQUIRE(list->chunks < CHUNKS_MAX);
    __builtin_memmove(&chunks[at + 1], &chunks[at], (list->chunks - at) * sizeof(*chunks));
    chunks[at] = frame;
    list->chunks++;
    struct chunk *chunk = phys_to_virt(frame);
    chunk->count = 0;
    return chunk;
}

static void remove_at(struct mapping_list *list, struct place place)
{
    struct chunk *chunk = chunk_at(list, place.chunk);
    uncount_object(&chunk->at[place.index]);
    chunk->count--;
    __builtin_memmove(&chunk->at[place.index], &chunk->at[place.index + 1],
                      (chunk->count - place.index) * sizeof(chunk->at[0]));
    if (chunk->count > 0)
        return;
    uint64_t *chunks = directory(list), frame = chunks[place.chunk];
    list->chunks--;
    __builtin_memmove(&chunks[place.chunk], &chunks[place.chunk + 1],
                      (list->chunks - place.chunk) * sizeof(*chunks));
    if (list->spare_count < MAPPING_SPARES)
        list->spares[list->spare_count++] = frame;
    else
        frame_put(frame);
}

/* Where addresses grow, chunks stay full: a full last chunk is left alone. */
static void insert_at(struct mapping_list *list, struct place place, const struct mapping *m)
{
    struct chunk *chunk;
    if (place.chunk == list->chunks && place.chunk > 0) {
        place.chunk--;
        place.index = (uint32_t)chunk_at(list, place.chunk)->count;
    }
    if (list->chunks == 0) {
        chunk = add_chunk(list, 0);
    } else {
        chunk = chunk_at(list, place.chunk);
        if (chunk->count == CHUNK_MAPPINGS) {
            uint32_t keep = place.index == CHUNK_MAPPINGS ? CHUNK_MAPPINGS : CHUNK_MAPPINGS / 2;
            struct chunk *upper = add_chunk(list, place.chunk + 1);
            upper->count = CHUNK_MAPPINGS - keep;
            __builtin_memcpy(upper->at, &chunk->at[keep], upper->count * sizeof(chunk->at[0]));
            chunk->count = keep;
            if (place.index > keep || upper->count == 0) {
                place.index -= keep;
                chunk = upper;
            }
        }
    }
    __builtin_memmove(&chunk->at[place.index + 1], &chunk->at[place.index],
                      (chunk->count - place.index) * sizeof(chunk->at[0]));
    chunk->at[place.index] = *m;
    chunk->count++;
    count_object(m);
}

/* A range that begins before addr and ends after it becomes two. */
static void cut(struct mapping_list *list, uint64_t addr)
{
    struct place place = find_place(list, addr);
    struct mapping *m = mapping_at(list, place);
    if (!m || m->start >= addr)
        return;
    struct mapping upper = *m;
    upper.start = addr;
    upper.offset = m->object ? m->offset + (addr - m->start) : 0;
    m->end = addr;
    insert_at(list, find_place(list, addr), &upper);
}

static bool can_merge(const struct mapping *low, const struct mapping *high)
{
    return low->end == high->start && low->object == high->object && low->prot == high->prot &&
           low->flags == high->flags &&
           (!low->object || low->offset + (low->end - low->start) == high->offset);
}

static void merge(struct mapping_list *list, uint64_t addr)
{
    const struct mapping *low = addr > 0 ? mapping_find(list, addr - 1) : NULL;
    struct place place = find_place(list, addr);
    const struct mapping *high = mapping_at(list, place);
    if (!low || !high || low == high || !can_merge(low, high))
        return;
    const uint64_t end = high->end;
    remove_at(list, place);
    mapping_at(list, find_place(list, addr - 1))->end = end;
}

void mapping_remove(struct mapping_list *list, uint64_t start, uint64_t end)
{
    cut(list, start);
    cut(list, end);
    for (;;) {
        struct place place = find_place(list, start);
        const struct mapping *m = mapping_at(list, place);
        if (!m || m->start >= end)
            return;
        remove_at(list, place);
    }
}

void mapping_insert(struct mapping_list *list, const struct mapping *mapping)
{
    insert_at(list, find_place(list, mapping->start), mapping);
    merge(list, mapping->end);
    merge(list, mapping->start);
}

void mapping_change(struct mapping_list *list, uint64_t start, uint64_t end, int prot, unsigned set,
                    unsigned clear)
{
    cut(list, start);
    cut(list, end);
    for (struct place place = find_place(list, start); place.chunk < list->chunks;
         place = after(list, place)) {
        struct mapping *m = mapping_at(list, place);
        if (m->start >= end)
            break;
        if (prot >= 0)
            m->prot = (uint16_t)prot;
        m->flags = (uint16_t)((m->flags & ~clear) | set);
    }
    /* Neighbours, inner ones too, may have become equal. */
    merge(list, start);
    for (uint64_t at = start; at < end;) {
        const struct mapping *m = mapping_first(list, at);
        if (!m || m->end > end)
            break;
        at = m->end;
        merge(list, at);
    }
}
