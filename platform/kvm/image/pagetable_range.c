/*
 * pagetable_range.c: changes of ranges of page tables. Each goes over the range, flushes once, and only then drops what the entries held; a
 * doomed entry keeps its reference in between, so no list is needed. Tables between the edges are dropped or limited as a whole, by
 * their upper entry, whoever else holds them.
 */
#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/kvm/image/mm_env.h"
#include "platform/kvm/image/pagetable.h"
#include "platform/kvm/image/pagetable_inside.h"

int pt_prepare(struct page_tables *pt, uint64_t edge, struct pt_batch *batch)
{
    uint64_t table = pt->root;
    if (batch->count > PT_BATCH_MAX - PT_LEVELS)
        pt_finish(pt, batch);
    for (int level = PT_LEVELS; edge & (pt_span(level) - 1); level--) {
        uint64_t *slot = &pt_entries(table)[pt_index(edge, level)];
        if (!*slot)
            return 0;
        int err = *slot & PTE_HUGE ? pt_split(pt, slot, edge, batch)
                                   : pt_own_below(pt, slot, edge, level, batch);
        if (err)
            return err;
        table = *slot & PTE_ADDRESS;
    }
    return 0;
}

/* The part of [*at, end) under one entry of a table of `level`; moves *at on. True: all of that entry's span. */
struct part {
    uint64_t start, end;
    unsigned index;
    bool whole;
};
static struct part next_part(uint64_t *at, uint64_t end, int level)
{
    const uint64_t span = pt_span(level), first = *at & ~(span - 1);
    struct part part = {.start = *at, .end = first + span, .index = pt_index(*at, level)};
    if (part.end > end)
        part.end = end;
    part.whole = part.start == first && part.end == first + span;
    *at = part.end;
    return part;
}

/* Own pages and tables below an entry. Looks at the lowest tables' counts, not into them. */
static void count_below(struct page_tables *pt, uint64_t e, int level, uint64_t *pages,
                        uint64_t *tables)
{
    if (level == 1 || (level == 2 && (e & PTE_HUGE))) {
        *pages += !pt_is_own(e) ? 0 : level == 1 ? 1 : PT_ENTRIES;
        return;
    }
    *tables += 1;
    if (level == 2) {
        *pages += frame_of(e & PTE_ADDRESS)->pages;
        return;
    }
    const uint64_t *entries = pt_entries(e);
    for (int i = 0; i < PT_ENTRIES; i++)
        if (entries[i])
            count_below(pt, entries[i], level - 1, pages, tables);
    pt->touched += PT_ENTRIES;
}

void pt_recount(struct page_tables *pt)
{
    const uint64_t *entries = pt_entries(pt->root);
    pt->pages = 0;
    pt->tables = 1;
    for (int i = 0; i < PT_USER_ENTRIES; i++)
        if (entries[i])
            count_below(pt, entries[i], PT_LEVELS, &pt->pages, &pt->tables);
}

static uint64_t shared_below(struct page_tables *pt, uint64_t table, int level)
{
    const uint64_t *entries = pt_entries(table);
    uint64_t count = 0;
    for (int i = 0; i < (level == PT_LEVELS ? PT_USER_ENTRIES : PT_ENTRIES); i++) {
        const uint64_t e = entries[i];
        uint64_t pages = 0;
        if (!e || (e & PTE_HUGE))
            continue;
        if (!frame_is_sole(e & PTE_ADDRESS))
            count_below(pt, e, level, &pages, &count);
        else if (level > 2)
            count += shared_below(pt, e & PTE_ADDRESS, level - 1);
    }
    return count;
}

uint64_t pt_tables_shared(struct page_tables *pt)
{
    if (pt->tables_copied == 0)
        return pt->tables - 1;
    return shared_below(pt, pt->root, PT_LEVELS);
}

/* Unmapping */

struct walk {
    struct page_tables *pt;
    uint64_t limit;   /* pt_limit: the rights that stay, as bits of an entry */
    bool was_present; /* a processor may know something of what was changed */
};

/* Is there nothing but what is doomed outside entries [first, last]? Neighbours are the likeliest to be there, so they come first. */
static bool is_empty_around(const uint64_t *entries, unsigned first, unsigned last)
{
    for (unsigned i = last + 1; i < PT_ENTRIES; i++)
        if (entries[i] && !(entries[i] & PTE_DOOMED))
            return false;
    while (first-- > 0)
        if (entries[first] && !(entries[first] & PTE_DOOMED))
            return false;
    return true;
}

/* True: nothing is left in the table. */
static bool doom(struct walk *walk, uint64_t table, int level, uint64_t start, uint64_t end)
{
    uint64_t *entries = pt_entries(table);
    bool stays = false;
    for (uint64_t at = start; at < end;) {
        const struct part part = next_part(&at, end, level);
        uint64_t e = entries[part.index];
        if (!e)
            continue;
        if (!part.whole && !doom(walk, e & PTE_ADDRESS, level - 1, part.start, part.end)) {
            stays = true;
            continue;
        }
        walk->was_present |= e & PTE_PRESENT;
        pt_store(&entries[part.index], (e & ~PTE_PRESENT) | PTE_DOOMED);
    }
    return level < PT_LEVELS && !stays &&
           is_empty_around(entries, pt_index(start, level), pt_index(end - 1, level));
}

static void release_doomed(struct page_tables *pt, uint64_t table, int level, uint64_t start,
                           uint64_t end)
{
    uint64_t *entries = pt_entries(table);
    for (uint64_t at = start; at < end;) {
        const struct part part = next_part(&at, end, level);
        uint64_t *slot = &entries[part.index], e = *slot;
        pt->touched++;
        if (!e)
            continue;
        if (!(e & PTE_DOOMED)) {
            release_doomed(pt, e & PTE_ADDRESS, level - 1, part.start, part.end);
            continue;
        }
        if (level == 1) {
            pt_set(pt, slot, level, 0);
        } else {
            uint64_t pages = 0, tables = 0;
            count_below(pt, e, level, &pages, &tables);
            pt->pages -= pages;
            pt->tables -= tables;
            pt_store(slot, 0);
        }
        pt_put_entry(e, level, &pt->touched);
    }
}

void pt_unmap(struct page_tables *pt, uint64_t start, uint64_t end, struct pt_batch *batch)
{
    struct walk walk = {.pt = pt};
    doom(&walk, pt->root, PT_LEVELS, start, end);
    if (walk.was_present)
        pt_batch_flush(batch, start, end);
    pt_finish(pt, batch);
    release_doomed(pt, pt->root, PT_LEVELS, start, end);
}

/* Protection */

static void limit_table(struct walk *walk, uint64_t table, int level, uint64_t start, uint64_t end)
{
    uint64_t *entries = pt_entries(table);
    for (uint64_t at = start; at < end;) {
        const struct part part = next_part(&at, end, level);
        const uint64_t e = entries[part.index];
        walk->pt->touched++;
        if (!e)
            continue;
        if (!part.whole) {
            limit_table(walk, e & PTE_ADDRESS, level - 1, part.start, part.end);
            continue;
        }
        const uint64_t after = pt_limited(e, walk->limit, level);
        if (after == e)
            continue;
        walk->was_present |= e & PTE_PRESENT;
        pt_store(&entries[part.index], after);
    }
}

void pt_limit(struct page_tables *pt, uint64_t start, uint64_t end, unsigned prot,
              struct pt_batch *batch)
{
    struct walk walk = {.pt = pt};
    walk.limit = (prot ? PTE_PRESENT : 0) | (prot & MEMORY_WRITE ? PTE_WRITE : 0) |
                 (prot & MEMORY_EXEC ? 0 : PTE_NX);
    limit_table(&walk, pt->root, PT_LEVELS, start, end);
    if (walk.was_present)
        pt_batch_flush(batch, start, end);
}

/* Moving */

/*
 * The slot for addr in a table of `level`, or NULL when the way there is not; *span: how much is then missing at once.
 */
static uint64_t *slot_at(struct page_tables *pt, uint64_t addr, int level, uint64_t *span)
{
    uint64_t table = pt->root;
    for (int at = PT_LEVELS; at > level; at--) {
        uint64_t e = pt_entries(table)[pt_index(addr, at)];
        if (!e || (e & PTE_HUGE)) {
            *span = pt_span(at);
            return NULL;
        }
        table = e & PTE_ADDRESS;
    }
    *span = pt_span(level);
    return &pt_entries(table)[pt_index(addr, level)];
}

/* Whole tables and huge pages move by their upper entry where both places are aligned; else single entries. */
static int move_level(uint64_t from, uint64_t to, uint64_t left)
{
    return ((from | to) & (BLOCK_SIZE - 1)) == 0 && left >= BLOCK_SIZE ? 2 : 1;
}

/* How far from `from` to go on, at most to the end of what is `span` large there. */
static uint64_t step_over(uint64_t from, uint64_t span)
{
    return span - (from & (span - 1));
}

int pt_prepare_move(struct page_tables *pt, uint64_t from, uint64_t to, uint64_t size,
                    struct pt_batch *batch)
{
    for (uint64_t done = 0; done < size;) {
        uint64_t span;
        int level = move_level(from + done, to + done, size - done);
        const uint64_t *slot = slot_at(pt, from + done, level, &span);
        if (!slot && span > BLOCK_SIZE) {
            done += step_over(from + done, span);
            continue;
        }
        /* Missing below 2 MiB: nothing there, or a huge page that must be moved in pieces. */
        if ((slot && *slot) || (!slot && pt_find(pt, from + done).entry)) {
            if (!pt_own(pt, from + done, level, batch) || !pt_own(pt, to + done, level, batch))
                return -ENOMEM;
        }
        done += slot                             ? pt_span(level)
                : pt_find(pt, from + done).entry ? FRAME_SIZE
                                                 : step_over(from + done, span);
    }
    return 0;
}

void pt_move(struct page_tables *pt, uint64_t from, uint64_t to, uint64_t size, unsigned prot,
             struct pt_batch *batch)
{
    bool was_present = false;
    for (int pass = 0; pass < 2; pass++) {
        for (uint64_t done = 0; done < size;) {
            uint64_t span;
            int level = move_level(from + done, to + done, size - done);
            uint64_t *slot = slot_at(pt, from + done, level, &span), e = slot ? *slot : 0;
            uint64_t here = from + done, there = to + done;
            done += slot ? pt_span(level) : step_over(here, span);
            if (!e)
                continue;
            if (pass == 0) {
                was_present |= e & PTE_PRESENT;
                pt_store(slot, e & ~PTE_PRESENT);
                continue;
            }
            if (prot && !(e & PTE_LIMITED))
                e |= PTE_PRESENT;
            uint64_t *target = slot_at(pt, there, level, &span);
            PLATFORM_REQUIRE(target && !*target);
            if (level == 1) {
                pt_set(pt, slot, level, 0);
                pt_set(pt, target, level, e);
            } else {
                pt_store(slot, 0);
                pt_store(target, e);
            }
        }
        if (pass == 0 && was_present)
            pt_batch_flush(batch, from, from + size);
        if (pass == 0)
            pt_finish(pt, batch);
    }
}

/* Objects that shrink */

static bool drop_in_lowest(uint64_t table, uint64_t start, uint64_t end, enum pt_drop what,
                           struct frame_later *later)
{
    uint64_t *entries = pt_entries(table);
    struct mm_spinlock *lock = pt_table_lock(table);
    bool own = false;
    mm_spin_lock(lock);
    for (uint64_t at = start; at < end; at += FRAME_SIZE) {
        uint64_t *slot = &entries[pt_index(at, 1)], e = *slot;
        if (!e || (what == PT_DROP_OBJECT && !(e & PTE_OBJECT)))
            continue;
        pt_store(slot, 0);
        if (pt_is_own(e)) {
            frame_of(table)->pages--;
            own = true;
        }
        if ((e & PTE_ADDRESS) != g_zero_frame)
            frame_put_later(later, e & PTE_ADDRESS);
    }
    mm_spin_unlock(lock);
    return own;
}

static bool drop_in(struct page_tables *pt, uint64_t table, int level, uint64_t start, uint64_t end,
                    enum pt_drop what, struct frame_later *later)
{
    bool own = false;
    if (level == 1)
        return drop_in_lowest(table, start, end, what, later);
    for (uint64_t at = start; at < end;) {
        const struct part part = next_part(&at, end, level);
        const uint64_t e = pt_load(&pt_entries(table)[part.index]);
        pt->touched++;
        if (e && !(e & PTE_HUGE) &&
            drop_in(pt, e & PTE_ADDRESS, level - 1, part.start, part.end, what, later))
            own = true;
    }
    return own;
}

bool pt_drop_object(struct page_tables *pt, uint64_t start, uint64_t end, enum pt_drop what,
                    struct frame_later *later)
{
    return drop_in(pt, pt->root, PT_LEVELS, start, end, what, later);
}
