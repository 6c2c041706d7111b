/*
 * vma.c: an AVL tree threaded by a list. Each node knows the largest hole in its subtree, so a free
 * place is found without walking VMAs.
 */
#include "shim/vma.h"

#include <linux/fcntl.h>

#include "platform/contract.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/budget.h"
#include "shim/base/string.h"
#include "shim/fs/vfs.h"
#include "shim/ipc.h"
#include "shim/shim.h"

struct vma_block {
    struct vma_block *next;
    struct vma vmas[];
};
#define VMA_BLOCK_COUNT 24u

/* ---- the tree ---- */

/* Where the hole below `v` ends: nothing is placed in the guard gap of a stack. */
static uint64_t hole_end(const struct vma *v)
{
    if (!(v->flags & VMA_GROWSDOWN))
        return v->start;
    return v->start > VMA_GUARD_GAP ? v->start - VMA_GUARD_GAP : 0;
}

static uint64_t hole_start(const struct vma *v)
{
    return v->prev ? v->prev->end : 0;
}

static uint64_t hole_size(const struct vma *v)
{
    uint64_t start = hole_start(v), end = hole_end(v);
    return end > start ? end - start : 0;
}

static int height(const struct vma *v)
{
    return v ? v->height : 0;
}

static void refresh(struct vma *v)
{
    int left = height(v->left), right = height(v->right);
    v->height = (left > right ? left : right) + 1;
    uint64_t gap = hole_size(v);
    if (v->left && v->left->max_gap > gap)
        gap = v->left->max_gap;
    if (v->right && v->right->max_gap > gap)
        gap = v->right->max_gap;
    v->max_gap = gap;
}

/* `with` takes the place of `v` below v's parent. */
static void replace_child(struct mm *mm, struct vma *v, struct vma *with)
{
    if (!v->parent)
        mm->root = with;
    else if (v->parent->left == v)
        v->parent->left = with;
    else
        v->parent->right = with;
    if (with)
        with->parent = v->parent;
}

static struct vma *rotate_left(struct mm *mm, struct vma *v)
{
    struct vma *top = v->right;
    replace_child(mm, v, top);
    v->right = top->left;
    if (v->right)
        v->right->parent = v;
    top->left = v;
    v->parent = top;
    refresh(v);
    refresh(top);
    return top;
}

static struct vma *rotate_right(struct mm *mm, struct vma *v)
{
    struct vma *top = v->left;
    replace_child(mm, v, top);
    v->left = top->right;
    if (v->left)
        v->left->parent = v;
    top->right = v;
    v->parent = top;
    refresh(v);
    refresh(top);
    return top;
}

/* Restore heights, balance and gaps from `v` to the root. */
static void rebalance(struct mm *mm, struct vma *v)
{
    for (; v; v = v->parent) {
        int lean = height(v->left) - height(v->right);
        if (lean > 1 && v->left) {
            if (height(v->left->left) < height(v->left->right))
                rotate_left(mm, v->left);
            v = rotate_right(mm, v);
        } else if (lean < -1 && v->right) {
            if (height(v->right->right) < height(v->right->left))
                rotate_right(mm, v->right);
            v = rotate_left(mm, v);
        } else {
            refresh(v);
        }
    }
}

/* ---- totals ---- */

bool vma_is_data(const struct vma *v)
{
    return v->sharing == MEMORY_PRIVATE && v->prot & MEMORY_WRITE && !(v->flags & VMA_GROWSDOWN);
}

bool vma_is_promised(const struct vma *v)
{
    return v->flags & VMA_PROMISED || vma_is_data(v) || (v->sharing == MEMORY_SHARED && !v->file);
}

static void add_to(struct vma_totals *t, const struct vma *v, uint64_t pages)
{
    t->pages += pages;
    t->data += vma_is_data(v) ? pages : 0;
    t->locked += v->flags & VMA_LOCKED ? pages : 0;
    t->promised += vma_is_promised(v) ? pages : 0;
}

/* `pages` more (or fewer: wrapped) of the kind that `v` is. */
static void count_pages(struct mm *mm, const struct vma *v, uint64_t pages)
{
    add_to(&mm->total, v, pages);
    if (vma_is_promised(v))
        budget_promise((int64_t)pages);
}

static uint64_t pages_of(const struct vma *v)
{
    return (v->end - v->start) / VMA_PAGE;
}

static void mark_promised(struct vma *v)
{
    if (v->sharing == MEMORY_PRIVATE && v->prot & MEMORY_WRITE)
        v->flags |= VMA_PROMISED;
}

/* The hole below `v` or below its successor changed. */
static void bounds_changed(struct mm *mm, struct vma *v)
{
    rebalance(mm, v);
    if (v->next)
        rebalance(mm, v->next);
}

static void tree_insert(struct mm *mm, struct vma *v)
{
    struct vma *parent = NULL, **link = &mm->root;
    v->prev = v->next = NULL;
    while (*link) {
        parent = *link;
        if (v->start < parent->start) {
            v->next = parent;
            link = &parent->left;
        } else {
            v->prev = parent;
            link = &parent->right;
        }
    }
    *link = v;
    v->parent = parent;
    v->left = v->right = NULL;
    if (v->prev)
        v->prev->next = v;
    else
        mm->vmas = v;
    if (v->next)
        v->next->prev = v;
    mm->vma_count++;
    count_pages(mm, v, pages_of(v));
    bounds_changed(mm, v);
}

static void tree_erase(struct mm *mm, struct vma *v)
{
    struct vma *from; /* the lowest node whose subtree changed */
    if (v->left && v->right) {
        struct vma *s = v->next; /* leftmost of the right subtree */
        from = s->parent == v ? s : s->parent;
        if (s->parent != v) {
            replace_child(mm, s, s->right);
            s->right = v->right;
            s->right->parent = s;
        }
        replace_child(mm, v, s);
        s->left = v->left;
        s->left->parent = s;
    } else {
        from = v->parent;
        replace_child(mm, v, v->left ? v->left : v->right);
    }
    if (v->prev)
        v->prev->next = v->next;
    else
        mm->vmas = v->next;
    if (v->next)
        v->next->prev = v->prev;
    mm->vma_count--;
    count_pages(mm, v, -pages_of(v));
    rebalance(mm, from);
    if (v->next)
        rebalance(mm, v->next);
}

/* ---- spares and references ---- */

static struct vma_block *add_block(struct mm *mm, unsigned count)
{
    struct vma_block *block = shim_alloc(sizeof(*block) + count * sizeof(struct vma));
    if (!block)
        return NULL;
    block->next = mm->blocks;
    mm->blocks = block;
    return block;
}

static void add_spares(struct mm *mm, struct vma *first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        first[i].next = mm->spare;
        mm->spare = &first[i];
    }
    mm->spare_count += count;
}

int vma_reserve(struct mm *mm, unsigned count)
{
    if (mm->vma_count + count > VMA_MAX_COUNT)
        return -ENOMEM;
    if (mm->spare_count >= count)
        return 0;
    struct vma_block *block = add_block(mm, VMA_BLOCK_COUNT);
    if (!block)
        return -ENOMEM;
    add_spares(mm, block->vmas, VMA_BLOCK_COUNT);
    return 0;
}

static struct vma *take_spare(struct mm *mm)
{
    struct vma *v = mm->spare;
    PLATFORM_REQUIRE(v != NULL);
    mm->spare = v->next;
    mm->spare_count--;
    return v;
}

bool vma_may_write(const struct vma *v)
{
    return v->sharing == MEMORY_SHARED && v->file && (v->file->flags & O_ACCMODE) == O_RDWR &&
           !(v->flags & VMA_SEALED);
}

void vma_count_writable(const struct vma *v, int change)
{
    if (v->file && v->file->inode && vma_may_write(v))
        __atomic_fetch_add(&v->file->inode->writable_maps, (uint32_t)change, __ATOMIC_SEQ_CST);
}

void vma_get_references(const struct vma *v)
{
    vma_count_writable(v, 1);
    if (v->object)
        memory_object_get(g_platform, v->object);
    if (v->file)
        file_get(v->file);
    if (v->flags & VMA_SHM)
        shm_attached(v->file);
}

void vma_put_references(const struct vma *v)
{
    vma_count_writable(v, -1);
    if (v->flags & VMA_SHM)
        shm_detached(v->file);
    if (v->object)
        memory_object_put(g_platform, v->object);
    if (v->file)
        file_put(v->file);
}

static void discard(struct mm *mm, struct vma *v)
{
    tree_erase(mm, v);
    if (v->file) {
        v->next = mm->removed;
        mm->removed = v;
        return;
    }
    vma_put_references(v);
    add_spares(mm, v, 1);
}

void vma_unlock(struct mm *mm)
{
    struct vma *removed = mm->removed;
    mm->removed = NULL;
    mutex_unlock(&mm->lock);
    while (removed) {
        struct vma *v = removed;
        removed = v->next;
        vma_put_references(v);
        mutex_lock(&mm->lock);
        add_spares(mm, v, 1);
        mutex_unlock(&mm->lock);
    }
}

/* ---- looking ---- */

struct vma *vma_above(const struct mm *mm, uint64_t addr)
{
    struct vma *best = NULL, *v = mm->root;
    while (v) {
        if (v->end > addr) {
            best = v;
            if (v->start <= addr)
                break;
            v = v->left;
        } else {
            v = v->right;
        }
    }
    return best;
}

struct vma *vma_last(const struct mm *mm)
{
    struct vma *v = mm->root;
    while (v && v->right)
        v = v->right;
    return v;
}

bool vma_range_free(const struct mm *mm, uint64_t start, uint64_t end)
{
    const struct vma *v = vma_above(mm, start);
    return !v || v->start >= end;
}

/* The highest place of `size` within the clipped hole; VMA_NO_PLACE. */
static uint64_t fit(uint64_t start, uint64_t end, uint64_t size, uint64_t low, uint64_t high)
{
    if (start < low)
        start = low;
    if (end > high)
        end = high;
    return end >= start && end - start >= size ? end - size : VMA_NO_PLACE;
}

/*
 * Subtrees that lie wholly within [low, high) and have a large enough hole always succeed, so only
 * the two paths along the limits are ever tried in vain.
 */
static uint64_t place_below(const struct vma *v, uint64_t size, uint64_t low, uint64_t high)
{
    if (!v || v->max_gap < size)
        return VMA_NO_PLACE;
    uint64_t place = VMA_NO_PLACE;
    if (v->end < high)
        place = place_below(v->right, size, low, high);
    if (place == VMA_NO_PLACE)
        place = fit(hole_start(v), hole_end(v), size, low, high);
    if (place == VMA_NO_PLACE && v->start > low)
        place = place_below(v->left, size, low, high);
    return place;
}

uint64_t vma_place_high(const struct mm *mm, uint64_t size, uint64_t low, uint64_t high)
{
    const struct vma *last = vma_last(mm);
    uint64_t place = fit(last ? last->end : 0, high, size, low, high);
    return place != VMA_NO_PLACE ? place : place_below(mm->root, size, low, high);
}

/* ---- changing ---- */

static bool same_kind(const struct vma *low, const struct vma *high)
{
    return low->prot == high->prot && low->sharing == high->sharing && low->flags == high->flags &&
           low->object == high->object && low->file == high->file &&
           (!low->object || low->offset + (low->end - low->start) == high->offset);
}

/* Cut `v` at `addr`, strictly inside it. Result: the upper part. */
static struct vma *cut(struct mm *mm, struct vma *v, uint64_t addr)
{
    struct vma *upper = take_spare(mm);
    *upper = *v;
    upper->start = addr;
    if (v->object)
        upper->offset += addr - v->start;
    vma_get_references(upper);
    count_pages(mm, v, -pages_of(upper));
    v->end = addr;
    tree_insert(mm, upper);
    return upper;
}

static struct vma *join_with_next(struct mm *mm, struct vma *v)
{
    struct vma *next = v->next;
    if (!next || v->end != next->start || !same_kind(v, next))
        return v;
    uint64_t end = next->end;
    discard(mm, next);
    count_pages(mm, v, (end - v->end) / VMA_PAGE);
    v->end = end;
    bounds_changed(mm, v);
    return v;
}

struct vma *vma_add(struct mm *mm, const struct vma *wanted)
{
    struct vma marked = *wanted, *model = &marked;
    mark_promised(model);
    struct vma *next = vma_above(mm, model->start);
    struct vma *prev = next ? next->prev : vma_last(mm);
    if (prev && prev->end == model->start && same_kind(prev, model)) {
        count_pages(mm, prev, pages_of(model));
        prev->end = model->end;
        bounds_changed(mm, prev);
        return join_with_next(mm, prev);
    }
    if (next && next->start == model->end && same_kind(model, next)) {
        count_pages(mm, next, pages_of(model));
        next->start = model->start;
        next->offset = model->offset;
        bounds_changed(mm, next);
        return next;
    }
    struct vma *v = take_spare(mm);
    *v = *model;
    vma_get_references(v);
    tree_insert(mm, v);
    return v;
}

void vma_remove_range(struct mm *mm, uint64_t start, uint64_t end)
{
    struct vma *v = vma_above(mm, start);
    if (v && v->start < start)
        v = cut(mm, v, start);
    while (v && v->start < end) {
        struct vma *next = v->next;
        if (v->end > end)
            next = cut(mm, v, end);
        discard(mm, v);
        v = next;
    }
}

void vma_change_range(struct mm *mm, uint64_t start, uint64_t end, unsigned prot, uint32_t set,
                      uint32_t clear)
{
    struct vma *v = vma_above(mm, start);
    while (v && v->start < end) {
        unsigned new_prot = prot == VMA_KEEP_PROT ? v->prot : prot;
        uint32_t new_flags = (v->flags & ~clear) | set;
        if (new_prot & MEMORY_WRITE && v->sharing == MEMORY_PRIVATE)
            new_flags |= VMA_PROMISED;
        if (v->prot != new_prot || v->flags != new_flags) {
            if (v->start < start)
                v = cut(mm, v, start);
            if (v->end > end)
                (void)cut(mm, v, end);
            count_pages(mm, v, -pages_of(v));
            v->prot = new_prot;
            v->flags = new_flags;
            count_pages(mm, v, pages_of(v));
            bounds_changed(mm, v); /* VMA_GROWSDOWN moves the end of the hole */
        }
        if (v->prev && v->prev->end == v->start && same_kind(v->prev, v))
            v = join_with_next(mm, v->prev);
        v = v->next;
    }
    if (v && v->prev)
        join_with_next(mm, v->prev);
}

void vma_grow_down(struct mm *mm, struct vma *v, uint64_t start)
{
    count_pages(mm, v, (v->start - start) / VMA_PAGE);
    if (v->object)
        v->offset -= v->start - start;
    v->start = start;
    bounds_changed(mm, v);
}

/* ---- as a whole ---- */

/* A perfectly balanced tree over an array that is already in order and linked. */
static struct vma *build(struct vma *first, unsigned count, struct vma *parent)
{
    if (count == 0)
        return NULL;
    struct vma *v = &first[count / 2];
    v->parent = parent;
    v->left = build(first, count / 2, v);
    v->right = build(v + 1, count - count / 2 - 1, v);
    refresh(v);
    return v;
}

int vma_copy_all(struct mm *child, const struct mm *parent)
{
    unsigned room = parent->vma_count + VMA_BLOCK_COUNT / 2;
    struct vma_block *block = add_block(child, room);
    if (!block)
        return -ENOMEM;
    unsigned count = 0;
    for (const struct vma *from = parent->vmas; from; from = from->next) {
        if (from->flags & VMA_DONTFORK)
            continue;
        struct vma *v = &block->vmas[count];
        *v = *from;
        v->flags &= ~VMA_LOCKED; /* mlock(2): not inherited */
        v->prev = count ? v - 1 : NULL;
        v->next = NULL;
        if (v->prev)
            v->prev->next = v;
        vma_get_references(v);
        add_to(&child->total, v, pages_of(v));
        count++;
    }
    child->vmas = count ? block->vmas : NULL;
    child->vma_count = count;
    child->root = build(block->vmas, count, NULL);
    budget_promise((int64_t)child->total.promised);
    add_spares(child, &block->vmas[count], room - count);
    return 0;
}

void vma_clear(struct mm *mm)
{
    for (struct vma *v = mm->vmas; v; v = v->next)
        vma_put_references(v);
    while (mm->blocks) {
        struct vma_block *block = mm->blocks;
        mm->blocks = block->next;
        shim_free(block);
    }
    mm->vmas = mm->root = mm->spare = NULL;
    mm->vma_count = mm->spare_count = 0;
    budget_promise(-(int64_t)mm->total.promised);
    mm->total = (struct vma_totals){0};
}

/* Result: height, or -1. *at walks the list along with the tree. */
static int check_subtree(const struct vma *v, const struct vma **at, struct vma_totals *total)
{
    if (!v)
        return 0;
    int left = check_subtree(v->left, at, total);
    if (left < 0 || *at != v || v->start >= v->end || (v->prev && v->prev->end > v->start))
        return -1;
    add_to(total, v, pages_of(v));
    *at = v->next;
    int right = check_subtree(v->right, at, total);
    if (right < 0 || left - right > 1 || right - left > 1)
        return -1;
    struct vma copy = *v;
    refresh(&copy);
    return copy.height == v->height && copy.max_gap == v->max_gap ? v->height : -1;
}

bool vma_check(const struct mm *mm)
{
    const struct vma *at = mm->vmas;
    struct vma_totals total = {0};
    return check_subtree(mm->root, &at, &total) >= 0 && !at &&
           memcmp(&total, &mm->total, sizeof(total)) == 0;
}
