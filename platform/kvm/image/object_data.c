/*
 * object_data.c: sizes and contents of memory objects.
 */
#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/kvm/image/frame.h"
#include "platform/kvm/image/kvm_aspace.h"
#include "platform/kvm/image/object.h"
#include "platform/kvm/image/object_inside.h"

uint64_t kvm_memory_object_size(struct platform *p UNUSED, struct memory_object *obj)
{
    mm_mutex_lock(&obj->store->lock);
    uint64_t size = obj->store->size;
    mm_mutex_unlock(&obj->store->lock);
    return size;
}

/* Bytes [from, to) of one page become zero, if it is there. */
static void clear_within(struct store *s, uint64_t from, uint64_t to)
{
    uint64_t *slot = from < to ? store_slot(s, from / FRAME_SIZE) : NULL;
    if (slot && *slot)
        __builtin_memset((char *)phys_to_virt(*slot & ~(uint64_t)(FRAME_SIZE - 1)) +
                             from % FRAME_SIZE,
                         0, to - from);
}

/* Under the lock: from now on the store ends at `size`. What is mapped past the end is the caller's affair. */
static void set_size(struct store *s, uint64_t size)
{
    if (size < s->size) {
        store_cut(s, (size + FRAME_SIZE - 1) / FRAME_SIZE, UINT64_MAX);
        clear_within(s, size, (size + FRAME_SIZE - 1) & ~(uint64_t)(FRAME_SIZE - 1));
    }
    s->size = size;
}

static void drop_mapped(struct store *s, uint64_t first, uint64_t end, enum pt_drop what)
{
    if (first < end && __atomic_load_n(&s->mapped, __ATOMIC_ACQUIRE) > 0)
        kvm_aspace_drop_object(s, first, end, what);
}

int kvm_memory_object_resize(struct platform *p UNUSED, struct memory_object *obj, uint64_t size)
{
    struct store *s = obj->store;
    if (size > INT64_MAX)
        return -EFBIG;
    if (!obj->writable)
        return -EACCES;
    mm_mutex_lock(&s->lock);
    int err = s->file ? mm_file_resize(s->writer, size) : 0;
    const bool shrinks = !err && size < s->size;
    if (!err)
        set_size(s, size);
    mm_mutex_unlock(&s->lock);
    if (shrinks)
        drop_mapped(s, (size + FRAME_SIZE - 1) / FRAME_SIZE, UINT64_MAX / FRAME_SIZE, PT_DROP_ALL);
    return err;
}

int kvm_memory_object_punch(struct platform *p UNUSED, struct memory_object *obj, uint64_t offset,
                            uint64_t size)
{
    struct store *s = obj->store;
    uint64_t end = offset + size;
    if (s->file)
        return -EOPNOTSUPP;
    const uint64_t first = (offset + FRAME_SIZE - 1) / FRAME_SIZE, last = end / FRAME_SIZE;
    mm_mutex_lock(&s->lock);
    if (first > last) {
        clear_within(s, offset, end);
    } else {
        clear_within(s, offset, first * FRAME_SIZE);
        store_cut(s, first, last);
        clear_within(s, last * FRAME_SIZE, end);
    }
    mm_mutex_unlock(&s->lock);
    drop_mapped(s, first, last, PT_DROP_OBJECT);
    return 0;
}

static uint64_t first_hole(const struct store *s, uint64_t index)
{
    const uint64_t *slot;
    while ((slot = store_slot(s, index)) && *slot)
        index++;
    return index;
}

/* A file's pages here say nothing about the file: all of it is data, and the host knows better. */
int64_t kvm_memory_object_seek(struct platform *p UNUSED, struct memory_object *obj,
                               uint64_t offset, enum memory_seek what)
{
    struct store *s = obj->store;
    int64_t found = -ENXIO;
    mm_mutex_lock(&s->lock);
    if (offset < s->size) {
        const uint64_t index = offset / FRAME_SIZE;
        uint64_t page;
        if (what == MEMORY_SEEK_DATA)
            page = s->file ? index : store_first(s, index);
        else
            page = s->file ? s->size / FRAME_SIZE + 1 : first_hole(s, index);
        const uint64_t end = s->size / FRAME_SIZE + 1; /* so that the product does not wrap */
        uint64_t at = page == index ? offset : (page < end ? page : end) * FRAME_SIZE;
        if (at < s->size)
            found = (int64_t)at;
        else if (what == MEMORY_SEEK_HOLE)
            found = (int64_t)s->size;
    }
    mm_mutex_unlock(&s->lock);
    return found;
}

/* Files */

static int write_dirty(const struct store *s, uint64_t index, uint64_t *slot)
{
    const uint64_t offset = index * FRAME_SIZE;
    if (!(*slot & STORE_DIRTY) || offset >= s->size)
        return 0;
    uint64_t size = s->size - offset < FRAME_SIZE ? s->size - offset : FRAME_SIZE;
    /* Before the page is taken: whoever may write to it now, and has gone by the end, may have written after that. */
    const bool still = __atomic_load_n(&s->mapped, __ATOMIC_ACQUIRE) == 0;
    int err = mm_file_write(s->writer, offset, *slot & ~(uint64_t)(FRAME_SIZE - 1), size);
    if (!err && still)
        *slot &= ~STORE_DIRTY;
    return 0;
}

static int read_again(const struct store *s, uint64_t index, uint64_t *slot)
{
    return mm_file_read(s->file, index * FRAME_SIZE, *slot & ~(uint64_t)(FRAME_SIZE - 1));
}

void store_write_back(struct store *s, uint64_t first, uint64_t end)
{
    mm_mutex_lock(&s->lock);
    if (s->writer)
        store_each(s, first, end, write_dirty);
    mm_mutex_unlock(&s->lock);
}

void mm_file_event(uint64_t dev, uint64_t ino, uint64_t offset, uint64_t size,
                   enum mm_file_event event)
{
    struct store *s = store_find(dev, ino);
    const uint64_t past = offset + size < offset ? UINT64_MAX : offset + size;
    const uint64_t first = offset / FRAME_SIZE, end = past / FRAME_SIZE + 1;
    struct mm_file_info info;
    bool shrinks = false;
    if (!s)
        return;
    if (event == MM_FILE_FLUSH) {
        store_write_back(s, first, end);
    } else {
        mm_mutex_lock(&s->lock);
        if (mm_file_info(s->file, &info) == 0) {
            shrinks = info.size < s->size;
            set_size(s, info.size);
        }
        /* A page the host can't read keeps its old bytes. */
        store_each(s, first, end, read_again);
        mm_mutex_unlock(&s->lock);
        if (shrinks)
            drop_mapped(s, (info.size + FRAME_SIZE - 1) / FRAME_SIZE, UINT64_MAX / FRAME_SIZE,
                        PT_DROP_ALL);
    }
    store_put(s);
}

/* Data by offset */

/*
 * Between a page of the object (FRAME_NONE, reading only: zeros) and `m`, which lies within that page's reach. Result: bytes not
 * moved.
 */
static size_t move_part(uint64_t phys, uint64_t within, struct mem_ref m, enum object_access access)
{
    char *bytes = phys == FRAME_NONE ? NULL : (char *)phys_to_virt(phys) + within;
    PLATFORM_REQUIRE(bytes || access != OBJECT_WRITE);
    if (m.shim) {
        if (access == OBJECT_WRITE)
            __builtin_memcpy(bytes, m.shim, m.size);
        else if (bytes)
            __builtin_memcpy(m.shim, bytes, m.size);
        else
            __builtin_memset(m.shim, 0, m.size);
        return 0;
    }
    if (access == OBJECT_WRITE)
        return kvm_memory_copy_in(NULL, bytes, m.guest, m.size);
    return bytes ? kvm_memory_copy_out(NULL, m.guest, bytes, m.size)
                 : kvm_memory_zero(NULL, m.guest, m.size);
}

static int64_t move_data(struct memory_object *obj, uint64_t offset, struct mem_ref m,
                         enum object_access access)
{
    const uint64_t size = kvm_memory_object_size(NULL, obj);
    int64_t moved = 0;
    if (offset >= size)
        return 0;
    m = mem_first(m, size - offset);
    while (m.size > 0) {
        const uint64_t at = offset + (uint64_t)moved;
        struct mem_ref part = mem_first(m, FRAME_SIZE - at % FRAME_SIZE);
        uint64_t phys = FRAME_NONE;
        /* Reading zeros takes no memory. */
        enum object_access how =
            access == OBJECT_READ && !object_is_file(obj) ? OBJECT_LOOK : access;
        int err = object_frame(obj, at / FRAME_SIZE, how, &phys);
        for (unsigned asked = 0;
             err == -ENOMEM && access == OBJECT_READ && kvm_memory_shortage(asked); asked++)
            err = object_frame(obj, at / FRAME_SIZE, how, &phys);
        if (err == -ERANGE) /* it shrank meanwhile */
            return moved;
        if (err && err != -ENOENT)
            return moved ? moved : err;
        size_t left = move_part(phys, at % FRAME_SIZE, part, access);
        if (phys != FRAME_NONE)
            frame_put(phys);
        moved += (int64_t)(part.size - left);
        if (left > 0)
            return moved ? moved : -EFAULT;
        m = mem_skip(m, part.size);
    }
    return moved;
}

int64_t kvm_memory_object_read(struct platform *p UNUSED, struct memory_object *obj,
                               uint64_t offset, struct mem_ref into)
{
    return move_data(obj, offset, into, OBJECT_READ);
}

int64_t kvm_memory_object_write(struct platform *p UNUSED, struct memory_object *obj,
                                uint64_t offset, struct mem_ref from)
{
    if (!obj->writable)
        return -EACCES;
    /* As a mapping does: a page that is written back between being looked up and being written to stays dirty. */
    object_mapped(obj);
    int64_t moved = move_data(obj, offset, from, OBJECT_WRITE);
    object_unmapped(obj);
    return moved;
}
