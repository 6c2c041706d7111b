/*
 * object.c: stores, their trees of frames, and the views on them. Moving data is in object_data.c.
 */
#include "platform/kvm/image/object.h"

#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/kvm/image/frame.h"
#include "platform/kvm/image/kvm_aspace.h"
#include "platform/kvm/image/object_inside.h"

enum { FANOUT_BITS = 9, FANOUT = 1 << FANOUT_BITS };

static struct pool g_views = {.slot_size = 64};
static struct pool g_stores = {.slot_size = 128};
_Static_assert(sizeof(struct memory_object) <= 64 && sizeof(struct store) <= 128, "slots");

static struct {
    struct mm_mutex lock; /* of the list, `views` of its stores falling to 0, `writer` */
    struct store *first;
} g_files;

/* The tree */

static uint64_t *node_of(uint64_t frame)
{
    return phys_to_virt(frame & ~(uint64_t)(FRAME_SIZE - 1));
}

static uint64_t capacity(int height)
{
    return UINT64_C(1) << (FANOUT_BITS * height);
}

uint64_t *store_slot(const struct store *s, uint64_t index)
{
    if (s->root == FRAME_NONE || index >= capacity(s->height))
        return NULL;
    uint64_t frame = s->root;
    for (int level = s->height;; level--) {
        uint64_t *slot = &node_of(frame)[index >> (FANOUT_BITS * (level - 1)) & (FANOUT - 1)];
        if (level == 1)
            return slot;
        if (!*slot)
            return NULL;
        frame = *slot;
    }
}

/* As store_slot; makes what is missing. NULL: no memory. */
static uint64_t *make_slot(struct store *s, uint64_t index)
{
    while (s->root == FRAME_NONE || index >= capacity(s->height)) {
        uint64_t root = frame_alloc(FRAME_INDEX, FRAME_ZEROED);
        if (root == FRAME_NONE)
            return NULL;
        if (s->root != FRAME_NONE)
            node_of(root)[0] = s->root;
        s->root = root;
        s->height++;
    }
    uint64_t frame = s->root;
    for (int level = s->height;; level--) {
        uint64_t *slot = &node_of(frame)[index >> (FANOUT_BITS * (level - 1)) & (FANOUT - 1)];
        if (level == 1)
            return slot;
        if (!*slot) {
            uint64_t node = frame_alloc(FRAME_INDEX, FRAME_ZEROED);
            if (node == FRAME_NONE)
                return NULL;
            *slot = node;
        }
        frame = *slot;
    }
}

static uint64_t first_below(uint64_t frame, int level, uint64_t base, uint64_t first)
{
    const uint64_t *node = node_of(frame);
    const uint64_t span = capacity(level - 1);
    uint64_t found = UINT64_MAX;
    for (unsigned i = 0; i < FANOUT && found == UINT64_MAX; i++) {
        const uint64_t start = base + i * span;
        if (node[i] && start + span > first)
            found = level == 1 ? start : first_below(node[i], level - 1, start, first);
    }
    return found;
}

uint64_t store_first(const struct store *s, uint64_t first)
{
    return s->root == FRAME_NONE ? UINT64_MAX : first_below(s->root, s->height, 0, first);
}

/* Drops pages [first, end), and nodes that become empty. True: this node is. */
static bool cut_node(uint64_t frame, int level, uint64_t base, uint64_t first, uint64_t end)
{
    uint64_t *node = node_of(frame);
    const uint64_t span = capacity(level - 1);
    bool empty = true;
    for (unsigned i = 0; i < FANOUT; i++) {
        const uint64_t start = base + i * span;
        if (!node[i])
            continue;
        if (start + span > first && start < end &&
            (level == 1 || cut_node(node[i], level - 1, start, first, end))) {
            frame_put(node[i] & ~(uint64_t)(FRAME_SIZE - 1));
            node[i] = 0;
        }
        empty = empty && !node[i];
    }
    return empty;
}

void store_cut(struct store *s, uint64_t first, uint64_t end)
{
    if (s->root == FRAME_NONE || first >= end || !cut_node(s->root, s->height, 0, first, end))
        return;
    frame_put(s->root);
    s->root = FRAME_NONE;
    s->height = 0;
}

static int each_node(const struct store *s, uint64_t frame, int level, uint64_t base,
                     uint64_t first, uint64_t end, store_visit *visit)
{
    uint64_t *node = node_of(frame);
    const uint64_t span = capacity(level - 1);
    int err = 0;
    for (unsigned i = 0; i < FANOUT && !err; i++) {
        const uint64_t start = base + i * span;
        if (node[i] && start + span > first && start < end)
            err = level == 1 ? visit(s, start, &node[i])
                             : each_node(s, node[i], level - 1, start, first, end, visit);
    }
    return err;
}

int store_each(const struct store *s, uint64_t first, uint64_t end, store_visit *visit)
{
    return s->root == FRAME_NONE ? 0 : each_node(s, s->root, s->height, 0, first, end, visit);
}

int object_frame(struct memory_object *obj, uint64_t index, enum object_access access,
                 uint64_t *phys)
{
    struct store *s = obj->store;
    int err = 0;
    mm_mutex_lock(&s->lock);
    if (index >= (s->size + FRAME_SIZE - 1) / FRAME_SIZE) {
        err = -ERANGE;
        goto out;
    }
    uint64_t *slot = access == OBJECT_LOOK ? store_slot(s, index) : make_slot(s, index);
    if (!slot || (access == OBJECT_LOOK && !*slot)) {
        err = access == OBJECT_LOOK ? -ENOENT : -ENOMEM;
        goto out;
    }
    if (!*slot) {
        uint64_t frame =
            s->file ? frame_alloc(FRAME_FILE, FRAME_ANY) : frame_alloc(FRAME_DATA, FRAME_ZEROED);
        if (frame == FRAME_NONE) {
            err = -ENOMEM;
            goto out;
        }
        if (s->file && mm_file_read(s->file, index * FRAME_SIZE, frame)) {
            frame_put(frame);
            err = -EIO;
            goto out;
        }
        *slot = frame;
    }
    if (access == OBJECT_WRITE && s->file)
        *slot |= STORE_DIRTY;
    *phys = *slot & ~(uint64_t)(FRAME_SIZE - 1);
    frame_get(*phys);
out:
    mm_mutex_unlock(&s->lock);
    return err;
}

bool object_is_file(const struct memory_object *obj)
{
    return obj->store->file != NULL;
}

/* Views and stores */

static struct store *store_make(uint64_t size)
{
    struct store *s = pool_take(&g_stores);
    if (s)
        *s = (struct store){.views = 1, .size = size, .root = FRAME_NONE};
    return s;
}

static void store_free(struct store *s)
{
    store_cut(s, 0, UINT64_MAX);
    if (s->writer)
        mm_file_put(s->writer);
    if (s->file)
        mm_file_put(s->file);
    pool_give(&g_stores, s);
}

/* Over a file: the last view may race with somebody who finds the store in the list. */
void store_put(struct store *s)
{
    if (!s->file) {
        if (__atomic_sub_fetch(&s->views, 1, __ATOMIC_ACQ_REL) == 0)
            store_free(s);
        return;
    }
    mm_mutex_lock(&g_files.lock);
    bool last = __atomic_sub_fetch(&s->views, 1, __ATOMIC_ACQ_REL) == 0;
    if (last) {
        /* Written before the list forgets it: a new store would read the old pages. */
        store_write_back(s, 0, UINT64_MAX);
        struct store **at = &g_files.first;
        while (*at != s)
            at = (struct store **)(void *)&(*at)->link.next;
        *at = (struct store *)(void *)s->link.next;
    }
    mm_mutex_unlock(&g_files.lock);
    if (last)
        store_free(s);
}

struct store *store_find(uint64_t dev, uint64_t ino)
{
    mm_mutex_lock(&g_files.lock);
    struct store *s = g_files.first;
    while (s && (s->dev != dev || s->ino != ino))
        s = (struct store *)(void *)s->link.next;
    if (s)
        __atomic_add_fetch(&s->views, 1, __ATOMIC_RELAXED);
    mm_mutex_unlock(&g_files.lock);
    return s;
}

void mm_write_back_all(void)
{
    mm_mutex_lock(&g_files.lock);
    for (struct store *s = g_files.first; s; s = (struct store *)(void *)s->link.next)
        store_write_back(s, 0, UINT64_MAX);
    mm_mutex_unlock(&g_files.lock);
}

static struct memory_object *view_make(struct store *s, bool readable, bool writable)
{
    struct memory_object *obj = pool_take(&g_views);
    if (obj)
        *obj = (struct memory_object){
            .refs = 1, .readable = readable, .writable = writable, .store = s};
    return obj;
}

struct memory_object *kvm_memory_object_create(struct platform *p UNUSED, uint64_t size, int *err)
{
    struct store *s = store_make(size);
    struct memory_object *obj = s ? view_make(s, true, true) : NULL;
    if (!obj) {
        if (s)
            store_put(s);
        *err = -ENOMEM;
    }
    return obj;
}

/* The list's lock is held from looking to adding, so a file has one store. */
static struct store *store_over(struct host_file *file, const struct mm_file_info *info)
{
    mm_mutex_lock(&g_files.lock);
    struct store *s = g_files.first;
    while (s && (s->dev != info->dev || s->ino != info->ino))
        s = (struct store *)(void *)s->link.next;
    if (s) {
        __atomic_add_fetch(&s->views, 1, __ATOMIC_RELAXED);
    } else {
        s = store_make(info->size);
        if (s) {
            mm_file_get(file);
            s->file = file;
            s->dev = info->dev;
            s->ino = info->ino;
            s->link.next = (struct pool_link *)(void *)g_files.first;
            g_files.first = s;
        }
    }
    if (s && info->writable && !s->writer) {
        mm_file_get(file);
        s->writer = file;
    }
    mm_mutex_unlock(&g_files.lock);
    return s;
}

struct memory_object *kvm_memory_object_from_file(struct platform *p UNUSED, struct host_file *file,
                                                  int *err)
{
    struct mm_file_info info;
    *err = mm_file_info(file, &info);
    if (*err)
        return NULL;
    if (!info.mappable || !info.readable) {
        *err = info.mappable ? -EACCES : -ENODEV;
        return NULL;
    }
    struct store *s = store_over(file, &info);
    struct memory_object *obj = s ? view_make(s, info.readable, info.writable) : NULL;
    if (!obj) {
        if (s)
            store_put(s);
        *err = -ENOMEM;
    }
    return obj;
}

void kvm_memory_object_get(struct platform *p UNUSED, struct memory_object *obj)
{
    __atomic_add_fetch(&obj->refs, 1, __ATOMIC_RELAXED);
}

void kvm_memory_object_put(struct platform *p UNUSED, struct memory_object *obj)
{
    uint32_t left = __atomic_sub_fetch(&obj->refs, 1, __ATOMIC_ACQ_REL);
    PLATFORM_REQUIRE(left < UINT32_MAX / 2);
    if (left > 0)
        return;
    struct store *s = obj->store;
    pool_give(&g_views, obj);
    store_put(s);
}

void object_mapped(struct memory_object *obj)
{
    kvm_memory_object_get(NULL, obj);
    __atomic_add_fetch(&obj->store->mapped, 1, __ATOMIC_RELAXED);
}

void object_unmapped(struct memory_object *obj)
{
    __atomic_sub_fetch(&obj->store->mapped, 1, __ATOMIC_RELEASE);
    kvm_memory_object_put(NULL, obj);
}
