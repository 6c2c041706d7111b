/*
 * aspace_model.c: see aspace_model.h.
 */
#include "fuzz/aspace_model.h"

static void clear(void *memory, size_t size)
{
    __builtin_memset(memory, 0, size);
}

void model_reset(struct model *m)
{
    clear(m, sizeof(*m));
    for (unsigned i = 0; i < MODEL_OBJECTS; i++)
        m->objects[i].pages = MODEL_OBJECT_PAGES;
}

void model_create(struct model *m, unsigned space)
{
    clear(&m->spaces[space], sizeof(m->spaces[space]));
    m->spaces[space].live = true;
}

void model_destroy(struct model *m, unsigned space)
{
    m->spaces[space].live = false;
}

void model_fork(struct model *m, unsigned parent, unsigned child)
{
    m->spaces[child] = m->spaces[parent];
    for (unsigned i = 0; i < MODEL_PAGES; i++) {
        struct model_page *page = &m->spaces[child].pages[i];
        if (page->dontfork)
            clear(page, sizeof(*page));
        else if (page->wipeonfork)
            page->own = false;
    }
}

void model_map(struct model *m, unsigned space, unsigned page, unsigned count, enum model_kind kind,
               unsigned prot, unsigned object, unsigned index)
{
    for (unsigned i = 0; i < count; i++)
        m->spaces[space].pages[page + i] =
            (struct model_page){.kind = kind, .prot = prot, .object = object, .index = index + i};
}

void model_unmap(struct model *m, unsigned space, unsigned page, unsigned count)
{
    model_map(m, space, page, count, MODEL_HOLE, 0, 0, 0);
}

void model_protect(struct model *m, unsigned space, unsigned page, unsigned count, unsigned prot)
{
    for (unsigned i = 0; i < count; i++)
        m->spaces[space].pages[page + i].prot = prot;
}

void model_move(struct model *m, unsigned space, unsigned from, unsigned to, unsigned count)
{
    struct model_page moved = m->spaces[space].pages[from];
    clear(&m->spaces[space].pages[from], sizeof(moved));
    m->spaces[space].pages[to] = moved;
    for (unsigned i = 1; i < count; i++) {
        struct model_page tail = moved;
        tail.own = false;
        tail.index += i;
        m->spaces[space].pages[to + i] = tail;
    }
}

void model_dontneed(struct model *m, unsigned space, unsigned page, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        m->spaces[space].pages[page + i].own = false;
}

void model_object_resize(struct model *m, unsigned object, unsigned pages)
{
    for (unsigned i = pages; i < MODEL_OBJECT_PAGES; i++)
        clear(m->objects[object].cells[i], sizeof(m->objects[object].cells[i]));
    m->objects[object].pages = pages;
    for (unsigned space = 0; space < MODEL_SPACES; space++)
        for (unsigned i = 0; i < MODEL_PAGES; i++) {
            struct model_page *page = &m->spaces[space].pages[i];
            if (page->kind == MODEL_OBJECT_PRIVATE && page->object == object &&
                page->index >= pages)
                page->own = false;
        }
}

void model_object_punch(struct model *m, unsigned object, unsigned page, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        clear(m->objects[object].cells[page + i], sizeof(m->objects[object].cells[0]));
}

bool model_all_mapped(const struct model *m, unsigned space, unsigned page, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (m->spaces[space].pages[page + i].kind == MODEL_HOLE)
            return false;
    return true;
}

static bool reachable(const struct model *m, unsigned space, unsigned number, unsigned prot)
{
    if (number >= MODEL_PAGES)
        return false;
    const struct model_page *page = &m->spaces[space].pages[number];
    if (page->kind == MODEL_HOLE || !(page->prot & prot))
        return false;
    return page->kind == MODEL_ANONYMOUS || page->index < m->objects[page->object].pages;
}

bool model_can_read(const struct model *m, unsigned space, unsigned page)
{
    return reachable(m, space, page, MODEL_READ);
}

bool model_can_write(const struct model *m, unsigned space, unsigned page)
{
    return reachable(m, space, page, MODEL_WRITE);
}

uint64_t model_get(const struct model *m, unsigned space, unsigned number, unsigned cell)
{
    const struct model_page *page = &m->spaces[space].pages[number];
    if (page->own)
        return page->cells[cell];
    return page->kind == MODEL_ANONYMOUS ? 0 : m->objects[page->object].cells[page->index][cell];
}

void model_set(struct model *m, unsigned space, unsigned number, unsigned cell, uint64_t value)
{
    struct model_page *page = &m->spaces[space].pages[number];
    if (page->kind == MODEL_OBJECT_SHARED) {
        m->objects[page->object].cells[page->index][cell] = value;
        return;
    }
    if (!page->own)
        for (unsigned i = 0; i < MODEL_CELLS; i++)
            page->cells[i] = model_get(m, space, number, i);
    page->own = true;
    page->cells[cell] = value;
}
