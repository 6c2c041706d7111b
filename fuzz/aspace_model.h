/*
 * aspace_model.h: what address spaces hold, kept the simple way: every space has its own copy of
 * everything, and fork copies at once. It knows nothing of platforms and shares no code with them.
 */
#ifndef PALIMPSEST_FUZZ_ASPACE_MODEL_H
#define PALIMPSEST_FUZZ_ASPACE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MODEL_SPACES = 8,
    MODEL_PAGES = 16, /* of the window that is mapped into */
    MODEL_OBJECTS = 2,
    MODEL_OBJECT_PAGES = 8,
    MODEL_CELLS = 4, /* 8-byte cells of a page that are ever written; the rest stays zero */
    MODEL_PAGE_SIZE = 4096,
};
/* Where the cells lie: both edges of the page, so that accesses can cross into the next one. */
static const uint32_t g_model_cell_offset[MODEL_CELLS] = {0, 1000, 2048, MODEL_PAGE_SIZE - 8};

enum model_prot { MODEL_READ = 1, MODEL_WRITE = 2, MODEL_EXEC = 4 };
enum model_kind { MODEL_HOLE, MODEL_ANONYMOUS, MODEL_OBJECT_PRIVATE, MODEL_OBJECT_SHARED };

struct model_page {
    enum model_kind kind;
    unsigned prot;
    unsigned object, index; /* of an object */
    bool own;               /* private and written: `cells` count; else as the object or zero */
    bool dontfork, wipeonfork;
    uint64_t cells[MODEL_CELLS];
};

struct model_space {
    bool live;
    struct model_page pages[MODEL_PAGES];
};

struct model_object {
    unsigned pages; /* its size */
    uint64_t cells[MODEL_OBJECT_PAGES][MODEL_CELLS];
};

struct model {
    struct model_space spaces[MODEL_SPACES];
    struct model_object objects[MODEL_OBJECTS];
};

void model_reset(struct model *m);
void model_create(struct model *m, unsigned space);
void model_fork(struct model *m, unsigned parent, unsigned child);
void model_destroy(struct model *m, unsigned space);
void model_map(struct model *m, unsigned space, unsigned page, unsigned count, enum model_kind kind,
               unsigned prot, unsigned object, unsigned index);
void model_unmap(struct model *m, unsigned space, unsigned page, unsigned count);
void model_protect(struct model *m, unsigned space, unsigned page, unsigned count, unsigned prot);
/*
 * One page goes to `to`, where `count` pages are replaced; the tail is the object's next pages, or
 * zeros.
 */
void model_move(struct model *m, unsigned space, unsigned from, unsigned to, unsigned count);
void model_dontneed(struct model *m, unsigned space, unsigned page, unsigned count);
void model_object_resize(struct model *m, unsigned object, unsigned pages);
void model_object_punch(struct model *m, unsigned object, unsigned page, unsigned count);

bool model_all_mapped(const struct model *m, unsigned space, unsigned page, unsigned count);
bool model_can_read(const struct model *m, unsigned space, unsigned page);
bool model_can_write(const struct model *m, unsigned space, unsigned page);
uint64_t model_get(const struct model *m, unsigned space, unsigned page, unsigned cell);
void model_set(struct model *m, unsigned space, unsigned page, unsigned cell, uint64_t value);

#endif
