/*
 * pagetable.c: tables: making, sharing, copying, taking back. Ranges are in pagetable_range.c.
 */
#include "platform/kvm/image/pagetable.h"

#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/kvm/image/mm_env.h"
#include "platform/kvm/image/pagetable_inside.h"

uint64_t g_zero_frame;
static uint64_t g_kernel_half[MM_KERNEL_ENTRIES];

/*
 * Guards the entries of tables with several holders: by whoever copies one (some thousand instructions), and by pt_drop_object. One lock for
 * several tables, by frame number.
 */
enum { TABLE_LOCKS = 64 };
static struct mm_spinlock g_table_locks[TABLE_LOCKS];

struct mm_spinlock *pt_table_lock(uint64_t table)
{
    return &g_table_locks[(table >> FRAME_SHIFT) % TABLE_LOCKS];
}

void pt_init(const uint64_t kernel_half[MM_KERNEL_ENTRIES])
{
    __builtin_memcpy(g_kernel_half, kernel_half, sizeof(g_kernel_half));
    g_zero_frame = frame_alloc(FRAME_POOL, FRAME_ZEROED);
    PLATFORM_REQUIRE(g_zero_frame != FRAME_NONE);
}

int pt_create(struct page_tables *pt, struct kvm_aspace *space)
{
    *pt = (struct page_tables){
        .root = frame_alloc(FRAME_TABLE, FRAME_ZEROED), .space = space, .tables = 1};
    if (pt->root == FRAME_NONE)
        return -ENOMEM;
    __builtin_memcpy(pt_entries(pt->root) + PT_USER_ENTRIES, g_kernel_half, sizeof(g_kernel_half));
    return 0;
}

void pt_fork(struct page_tables *parent, struct page_tables *child)
{
    uint64_t *from = pt_entries(parent->root), *to = pt_entries(child->root);
    for (int i = 0; i < PT_USER_ENTRIES; i++) {
        uint64_t e = from[i];
        if (!e)
            continue;
        frame_get(e & PTE_ADDRESS);
        if (e & PTE_WRITE)
            e = (e & ~PTE_WRITE) | PTE_COW;
        pt_store(&from[i], e);
        to[i] = e;
    }
    /* The trap path lies in the kernel's half: nothing there is ever shared by copying, or read-only for it. */
    for (int i = PT_USER_ENTRIES; i < PT_ENTRIES; i++)
        PLATFORM_REQUIRE(from[i] == g_kernel_half[i - PT_USER_ENTRIES] && to[i] == from[i]);
    parent->touched += PT_ENTRIES;
    child->pages = parent->pages;
    child->tables = parent->tables;
}

/* References */

static void get_entry(uint64_t e, int level)
{
    if (level == 1 && (e & PTE_ADDRESS) == g_zero_frame)
        return;
    if (level == 2 && (e & PTE_HUGE))
        frame_get_huge(e & PTE_ADDRESS);
    else
        frame_get(e & PTE_ADDRESS);
}

/*
 * A holder less; the last one drops what is below. It empties the table by its own stores: a hypervisor that shadows page tables sees
 * those, but not the host's when the frame is zeroed or given back there, and would go on with the old entries when the frame
 * becomes a table again.
 */
static void put_table(uint64_t table, int level, uint64_t *touched)
{
    if (__atomic_load_n(&frame_of(table)->refs, __ATOMIC_ACQUIRE) == 1) {
        uint64_t *entries = pt_entries(table);
        for (int i = pt_next(entries, 0); i < PT_ENTRIES; i = pt_next(entries, i + 1)) {
            pt_put_entry(entries[i], level, touched);
            entries[i] = 0;
        }
        *touched += PT_ENTRIES;
        frame_put(table);
        return;
    }
    /* Counts fall from two to one under the lock only, so exactly one holder is left to find itself alone. */
    struct mm_spinlock *lock = pt_table_lock(table);
    mm_spin_lock(lock);
    bool last = __atomic_load_n(&frame_of(table)->refs, __ATOMIC_ACQUIRE) == 1;
    if (!last)
        frame_put(table);
    mm_spin_unlock(lock);
    if (last)
        put_table(table, level, touched);
}

void pt_put_entry(uint64_t e, int level, uint64_t *touched)
{
    if (level == 1) {
        if ((e & PTE_ADDRESS) != g_zero_frame)
            frame_put(e & PTE_ADDRESS);
    } else if (level == 2 && (e & PTE_HUGE)) {
        frame_put_huge(e & PTE_ADDRESS);
    } else {
        put_table(e & PTE_ADDRESS, level - 1, touched);
    }
}

void pt_destroy(struct page_tables *pt)
{
    uint64_t *entries = pt_entries(pt->root);
    for (int i = pt_next(entries, 0); i < PT_USER_ENTRIES; i = pt_next(entries, i + 1))
        pt_put_entry(entries[i], PT_LEVELS, &pt->touched);
    __builtin_memset(entries, 0, FRAME_SIZE); /* as in put_table */
    frame_put(pt->root);
    pt->root = FRAME_NONE;
}

/* Batches */

void pt_batch_flush(struct pt_batch *batch, uint64_t start, uint64_t end)
{
    if (batch->start >= batch->end) {
        batch->start = start;
        batch->end = end;
        return;
    }
    if (start < batch->start)
        batch->start = start;
    if (end > batch->end)
        batch->end = end;
}

static void batch_add(struct pt_batch *batch, uint64_t dead)
{
    PLATFORM_REQUIRE(batch->count < sizeof(batch->dead) / sizeof(*batch->dead));
    batch->dead[batch->count++] = dead;
}

void pt_batch_put(struct pt_batch *batch, uint64_t phys)
{
    batch_add(batch, phys & PTE_ADDRESS);
}

void pt_finish(struct page_tables *pt, struct pt_batch *batch)
{
    if (batch->start < batch->end)
        mm_flush(pt->space, batch->start, batch->end);
    for (unsigned i = 0; i < batch->count; i++) {
        int level = (int)(batch->dead[i] & ~PTE_ADDRESS);
        if (level == 0)
            frame_put(batch->dead[i]);
        else
            put_table(batch->dead[i] & PTE_ADDRESS, level, &pt->touched);
    }
    *batch = (struct pt_batch){.taken_back = batch->taken_back};
}

/* Looking */

struct pt_leaf pt_find(const struct page_tables *pt, uint64_t addr)
{
    struct pt_leaf leaf = {.rights = MEMORY_READ | MEMORY_WRITE | MEMORY_EXEC};
    uint64_t table = pt->root;
    for (int level = PT_LEVELS; level > 0; level--) {
        const uint64_t e = pt_load(&pt_entries(table)[pt_index(addr, level)]);
        if (!e)
            return (struct pt_leaf){0};
        leaf.rights &= pt_rights(e);
        if (level == 1 || (e & PTE_HUGE)) {
            leaf.entry = e;
            leaf.level = level;
            leaf.phys = (e & PTE_ADDRESS) | (addr & (pt_span(level) - 1));
            return leaf;
        }
        table = e & PTE_ADDRESS;
    }
    return leaf;
}

/* Owning */

uint64_t pt_limited(uint64_t e, uint64_t limit, int level)
{
    const bool loses = (e & PTE_PRESENT & ~limit) ||
                       (e & (PTE_WRITE | PTE_COW) && !(limit & PTE_WRITE)) || (~e & PTE_NX & limit);
    if (!(limit & PTE_WRITE))
        e &= ~(PTE_WRITE | PTE_COW); /* the mapping's rights say whether it comes back */
    e &= limit | ~PTE_PRESENT;
    e |= limit & PTE_NX;
    return loses && level > 1 && !(e & PTE_HUGE) ? e | PTE_LIMITED : e;
}

/*
 * A copy of a table that others hold too, for one holder, whose upper entry is `e`. Both keep what is below; neither may write to it.
 */
static void copy_table(uint64_t from, uint64_t to, uint64_t e, int level)
{
    uint64_t *source = pt_entries(from), *copy = pt_entries(to);
    for (int i = pt_next(source, 0); i < PT_ENTRIES; i = pt_next(source, i + 1)) {
        uint64_t entry = pt_load(&source[i]);
        if (!entry)
            continue;
        get_entry(entry, level);
        if (entry & PTE_WRITE && !(entry & PTE_OBJECT)) {
            entry = (entry & ~PTE_WRITE) | PTE_COW;
            pt_store(&source[i], entry);
        }
        copy[i] =
            e & PTE_LIMITED ? pt_limited(entry, e & PTE_COW ? e | PTE_WRITE : e, level) : entry;
    }
    frame_of(to)->pages = frame_of(from)->pages;
}

/* This space is the only holder of the table below `e`: what `e` withheld goes to the entries below it. */
static void push_limits(struct page_tables *pt, uint64_t e, int level)
{
    uint64_t *entries = pt_entries(e & PTE_ADDRESS);
    for (int i = 0; i < PT_ENTRIES; i++)
        if (entries[i])
            pt_store(&entries[i], pt_limited(entries[i], e & PTE_COW ? e | PTE_WRITE : e, level));
    pt->touched += PT_ENTRIES;
}

int pt_own_below(struct page_tables *pt, uint64_t *slot, uint64_t addr, int level,
                 struct pt_batch *batch)
{
    const uint64_t e = *slot, table = e & PTE_ADDRESS;
    const uint64_t start = addr & ~(pt_span(level) - 1);

    if ((e & PTE_WRITE) && !(e & PTE_LIMITED)) /* never given while somebody else holds it */
        return 0;
    struct mm_spinlock *lock = pt_table_lock(table);
    if (!frame_is_sole(table)) {
        uint64_t copy = frame_alloc(FRAME_TABLE, FRAME_ZEROED);
        if (copy == FRAME_NONE)
            return -ENOMEM;
        mm_spin_lock(lock);
        if (!frame_is_sole(table)) {
            copy_table(table, copy, e, level - 1);
            mm_spin_unlock(lock);
            pt->touched += PT_ENTRIES;
            pt->tables_copied++;
            pt_store(slot, copy | PTE_PRESENT | PTE_WRITE | PTE_USER);
            pt_batch_flush(batch, start, start + pt_span(level));
            batch_add(batch, table | (unsigned)(level - 1));
            return 0;
        }
        mm_spin_unlock(lock);
        frame_put(copy);
    }
    if (e & PTE_LIMITED)
        push_limits(pt, e, level - 1);
    if (e & PTE_COW)
        batch->taken_back = true;
    pt_store(slot, table | PTE_PRESENT | PTE_WRITE | PTE_USER);
    return 0;
}

int pt_split(struct page_tables *pt, uint64_t *slot, uint64_t addr, struct pt_batch *batch)
{
    const uint64_t e = *slot, start = addr & ~(BLOCK_SIZE - 1);
    uint64_t table = frame_alloc(FRAME_TABLE, FRAME_ANY);
    if (table == FRAME_NONE)
        return -ENOMEM;
    uint64_t *entries = pt_entries(table);
    for (uint64_t i = 0; i < PT_ENTRIES; i++)
        entries[i] = (e & ~PTE_HUGE) + i * FRAME_SIZE;
    frame_split_huge(e & PTE_ADDRESS);
    frame_of(table)->pages = PT_ENTRIES;
    pt->touched += PT_ENTRIES;
    pt->tables++;
    pt_store(slot, table | PTE_PRESENT | PTE_WRITE | PTE_USER);
    pt_batch_flush(batch, start, start + BLOCK_SIZE);
    return 0;
}

uint64_t *pt_own(struct page_tables *pt, uint64_t addr, int want, struct pt_batch *batch)
{
    uint64_t table = pt->root;
    if (batch->count > PT_BATCH_MAX - PT_LEVELS)
        pt_finish(pt, batch);
    for (int level = PT_LEVELS;; level--) {
        uint64_t *slot = &pt_entries(table)[pt_index(addr, level)];
        if (level == want)
            return slot;
        if (!*slot) {
            uint64_t fresh = frame_alloc(FRAME_TABLE, FRAME_ZEROED);
            if (fresh == FRAME_NONE)
                return NULL;
            pt->tables++;
            pt_store(slot, fresh | PTE_PRESENT | PTE_WRITE | PTE_USER);
        } else if (*slot & PTE_HUGE) {
            if (pt_split(pt, slot, addr, batch))
                return NULL;
        } else if (pt_own_below(pt, slot, addr, level, batch)) {
            return NULL;
        }
        table = *slot & PTE_ADDRESS;
    }
}

uint64_t *pt_owned(const struct page_tables *pt, uint64_t addr)
{
    uint64_t table = pt->root;
    for (int level = PT_LEVELS; level > 1; level--) {
        const uint64_t e = pt_entries(table)[pt_index(addr, level)];
        if ((e & (PTE_WRITE | PTE_LIMITED | PTE_HUGE)) != PTE_WRITE)
            return NULL;
        table = e & PTE_ADDRESS;
    }
    return &pt_entries(table)[pt_index(addr, 1)];
}

void pt_set(struct page_tables *pt, uint64_t *slot, int level, uint64_t entry)
{
    const uint64_t pages = level == 1 ? 1 : PT_ENTRIES;
    const uint64_t before = pt_is_own(*slot) ? pages : 0, after = pt_is_own(entry) ? pages : 0;
    pt->pages += after - before;
    if (level == 1)
        frame_of(virt_to_phys(slot) & PTE_ADDRESS)->pages += (uint32_t)(after - before);
    pt_store(slot, entry);
}
