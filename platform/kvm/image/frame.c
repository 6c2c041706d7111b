/*
 * frame.c: the allocator. One spin lock; a bitmap a block says which frames are free and which of those are known to be zero.
 *
 * Single frames come from blocks that are already broken into, so that whole blocks stay whole. Runs for the shim come from blocks
 * of their own. A block that is wholly free again goes back to the host, but for a few.
 *
 * Blocks that nobody has asked for yet are "fresh": not even their entries in the tables are written, so a big memory costs a small
 * instance nothing at its start.
 */
#include "platform/kvm/image/frame.h"

#include "platform/contract.h"
#include "platform/kvm/image/mm_env.h"

enum { WORDS = BLOCK_FRAMES / 64, NO_BLOCK = -1, DIRTY_BLOCKS_KEPT = 1 };

enum block_list {
    BLOCK_ABSENT,  /* no memory at all, or none free: on no list */
    BLOCK_WHOLE,   /* all of it free */
    BLOCK_SINGLES, /* broken into for single frames */
    BLOCK_RUNS,    /* broken into for runs */
    BLOCK_LISTS,
};

struct block {
    uint64_t free[WORDS];
    uint64_t zero[WORDS]; /* free and known to be zero */
    uint32_t free_count;
    uint32_t huge_refs; /* > 0: handed out whole */
    uint32_t list;      /* enum block_list it is on */
    uint32_t use;       /* BLOCK_SINGLES or BLOCK_RUNS while some of it is in use */
    int32_t next, prev;
};

char *g_phys_window;

static struct {
    struct mm_spinlock lock;
    struct frame *frames; /* by frame number */
    struct block *blocks;
    uint64_t frame_end; /* first number past the last frame */
    int32_t first[BLOCK_LISTS];
    unsigned dirty_whole; /* blocks on BLOCK_WHOLE that are not known to be zero */
    struct {
        int32_t first, next, end; /* whole blocks of a range; from `next` on they are fresh */
    } fresh[MM_RANGES_MAX];
    unsigned range_count;
    bool fresh_is_zero;
    uint64_t kinds[FRAME_KINDS];
    uint64_t total;
} g;

struct frame *frame_of(uint64_t phys)
{
    PLATFORM_REQUIRE(phys >> FRAME_SHIFT < g.frame_end);
    return &g.frames[phys >> FRAME_SHIFT];
}

static int32_t block_number(uint64_t phys)
{
    return (int32_t)(phys / BLOCK_SIZE);
}

static uint64_t block_address(int32_t number)
{
    return (uint64_t)number * BLOCK_SIZE;
}

/* Lists. Everything down to frame_alloc() is called with the lock held. */

static bool known_zero(const struct block *b)
{
    for (int i = 0; i < WORDS; i++)
        if (b->zero[i] != UINT64_MAX)
            return false;
    return true;
}

static void list_remove(int32_t number)
{
    struct block *b = &g.blocks[number];
    if (b->list == BLOCK_ABSENT)
        return;
    if (b->list == BLOCK_WHOLE && !known_zero(b))
        g.dirty_whole--;
    if (b->prev != NO_BLOCK)
        g.blocks[b->prev].next = b->next;
    else
        g.first[b->list] = b->next;
    if (b->next != NO_BLOCK)
        g.blocks[b->next].prev = b->prev;
    b->list = BLOCK_ABSENT;
}

static void list_add(int32_t number, enum block_list list)
{
    struct block *b = &g.blocks[number];
    b->list = list;
    b->prev = NO_BLOCK;
    b->next = g.first[list];
    if (b->next != NO_BLOCK)
        g.blocks[b->next].prev = number;
    g.first[list] = number;
    if (list == BLOCK_WHOLE && !known_zero(b))
        g.dirty_whole++;
}

/* Puts a block onto the list where it belongs after its bitmap changed. */
static void list_update(int32_t number)
{
    struct block *b = &g.blocks[number];
    enum block_list list = b->use;
    if (b->free_count == 0)
        list = BLOCK_ABSENT;
    else if (b->free_count == BLOCK_FRAMES)
        list = BLOCK_WHOLE;
    if (list == b->list)
        return;
    list_remove(number);
    if (list != BLOCK_ABSENT)
        list_add(number, list);
}

/* A fresh block becomes a whole one. */
static void open_block(unsigned range)
{
    int32_t number = g.fresh[range].next++;
    struct block *b = &g.blocks[number];
    for (int i = 0; i < WORDS; i++) {
        b->free[i] = UINT64_MAX;
        b->zero[i] = g.fresh_is_zero ? UINT64_MAX : 0;
    }
    b->free_count = BLOCK_FRAMES;
    b->use = BLOCK_SINGLES;
    list_add(number, BLOCK_WHOLE);
}

/* The first whole block, from among the fresh ones when no other is left; NO_BLOCK. */
static int32_t whole_block(void)
{
    for (unsigned i = 0; i < g.range_count && g.first[BLOCK_WHOLE] == NO_BLOCK; i++)
        if (g.fresh[i].next < g.fresh[i].end)
            open_block(i);
    return g.first[BLOCK_WHOLE];
}

static bool bit(const uint64_t *words, unsigned i)
{
    return words[i / 64] >> (i % 64) & 1;
}

/* The bits of [*first, end) in their word; moves *first on to the next one. */
static uint64_t next_mask(unsigned *first, unsigned end)
{
    const unsigned bits = end - *first < 64 - *first % 64 ? end - *first : 64 - *first % 64;
    const uint64_t mask = (bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1) << (*first % 64);
    *first += bits;
    return mask;
}

/* Takes frames [first, first + count) of a block; true: all were known to be zero. */
static bool take(int32_t number, unsigned first, unsigned count, enum frame_kind kind)
{
    struct block *b = &g.blocks[number];
    bool zero = true;
    list_remove(number);
    for (unsigned i = first; i < first + count;) {
        const unsigned word = i / 64;
        const uint64_t mask = next_mask(&i, first + count);
        PLATFORM_REQUIRE((b->free[word] & mask) == mask);
        zero = zero && (b->zero[word] & mask) == mask;
        b->free[word] &= ~mask;
        b->zero[word] &= ~mask;
    }
    b->free_count -= count;
    g.kinds[kind] += count;
    g.kinds[FRAME_FREE] -= count;
    list_update(number);
    return zero;
}

static void give(int32_t number, unsigned first, unsigned count, enum frame_kind kind)
{
    struct block *b = &g.blocks[number];
    const bool stays = b->list == b->use && b->free_count + count < BLOCK_FRAMES;
    if (!stays)
        list_remove(number);
    for (unsigned i = first; i < first + count;) {
        const unsigned word = i / 64;
        const uint64_t mask = next_mask(&i, first + count);
        PLATFORM_REQUIRE(!(b->free[word] & mask));
        b->free[word] |= mask;
    }
    b->free_count += count;
    g.kinds[kind] -= count;
    g.kinds[FRAME_FREE] += count;
    if (!stays)
        list_update(number);
}

/* Of a free frame. */
static void mark_zero(int32_t number, unsigned index)
{
    const bool whole = g.blocks[number].list == BLOCK_WHOLE;
    if (whole) /* the count of blocks that are not known to be zero */
        list_remove(number);
    g.blocks[number].zero[index / 64] |= UINT64_C(1) << (index % 64);
    if (whole)
        list_add(number, BLOCK_WHOLE);
}

/* First of `count` free frames in a row, or -1. */
static int find_run(const struct block *b, unsigned count)
{
    unsigned length = 0;
    for (unsigned i = 0; i < BLOCK_FRAMES; i++) {
        length = bit(b->free, i) ? length + 1 : 0;
        if (length == count)
            return (int)(i + 1 - count);
    }
    return -1;
}

/*
 * Whole blocks beyond those kept go back to the host. The lock is dropped over the call; the block is on no list then.
 */
static void discard_surplus(void)
{
    while (g.dirty_whole > DIRTY_BLOCKS_KEPT) {
        int32_t number = g.first[BLOCK_WHOLE];
        while (number != NO_BLOCK && known_zero(&g.blocks[number]))
            number = g.blocks[number].next;
        if (number == NO_BLOCK)
            return;
        struct block *b = &g.blocks[number];
        list_remove(number);
        g.kinds[FRAME_FREE] -= BLOCK_FRAMES;
        mm_spin_unlock(&g.lock);
        mm_memory_taken(block_address(number), BLOCK_SIZE);
        bool zeros = mm_discard(block_address(number), BLOCK_SIZE);
        mm_memory_released(block_address(number), BLOCK_SIZE);
        mm_spin_lock(&g.lock);
        if (zeros)
            for (int i = 0; i < WORDS; i++)
                b->zero[i] = UINT64_MAX;
        g.kinds[FRAME_FREE] += BLOCK_FRAMES;
        list_add(number, BLOCK_WHOLE);
        if (!zeros)
            return;
    }
}

/* take() of one frame. A block that neither becomes full nor was whole stays on its list. */
static bool take_one(int32_t number, unsigned index, enum frame_kind kind)
{
    struct block *b = &g.blocks[number];
    if (b->list == BLOCK_WHOLE || b->free_count == 1)
        return take(number, index, 1, kind);
    uint64_t *free = &b->free[index / 64], *zero = &b->zero[index / 64];
    const uint64_t mask = UINT64_C(1) << (index % 64);
    const bool was_zero = *zero & mask;
    *free &= ~mask;
    *zero &= ~mask;
    b->free_count--;
    g.kinds[kind]++;
    g.kinds[FRAME_FREE]--;
    return was_zero;
}

uint64_t frame_alloc(enum frame_kind kind, enum frame_fill fill)
{
    if (mm_allocation_fails())
        return FRAME_NONE;
    mm_spin_lock(&g.lock);
    int32_t number = g.first[BLOCK_SINGLES];
    if (number == NO_BLOCK)
        number = whole_block();
    if (number == NO_BLOCK)
        number = g.first[BLOCK_RUNS];
    if (number == NO_BLOCK) {
        mm_spin_unlock(&g.lock);
        return FRAME_NONE;
    }
    struct block *b = &g.blocks[number];
    unsigned word = 0;
    while (!b->free[word])
        word++;
    unsigned index = word * 64 + (unsigned)__builtin_ctzll(b->free[word]);
    if (b->list == BLOCK_WHOLE)
        b->use = BLOCK_SINGLES;
    bool zero = take_one(number, index, kind);
    mm_spin_unlock(&g.lock);

    uint64_t phys = block_address(number) + (uint64_t)index * FRAME_SIZE;
    mm_memory_taken(phys, FRAME_SIZE);
    if (fill == FRAME_ZEROED && !zero)
        mm_zero(phys, FRAME_SIZE);
    struct frame *f = frame_of(phys);
    PLATFORM_REQUIRE(f->kind == FRAME_FREE && f->refs == 0);
    f->kind = kind;
    f->pages = 0;
    __atomic_store_n(&f->refs, 1, __ATOMIC_RELEASE);
    return phys;
}

uint64_t frame_alloc_huge(void)
{
    if (mm_allocation_fails())
        return FRAME_NONE;
    mm_spin_lock(&g.lock);
    int32_t number = whole_block();
    if (number == NO_BLOCK) {
        mm_spin_unlock(&g.lock);
        return FRAME_NONE;
    }
    struct block *b = &g.blocks[number];
    bool zero = take(number, 0, BLOCK_FRAMES, FRAME_DATA);
    b->use = BLOCK_SINGLES;
    __atomic_store_n(&b->huge_refs, 1, __ATOMIC_RELEASE);
    mm_spin_unlock(&g.lock);

    uint64_t phys = block_address(number);
    mm_memory_taken(phys, BLOCK_SIZE);
    if (!zero)
        mm_zero(phys, BLOCK_SIZE);
    struct frame *f = frame_of(phys);
    for (unsigned i = 0; i < BLOCK_FRAMES; i++) {
        PLATFORM_REQUIRE(f[i].kind == FRAME_FREE && f[i].refs == 0);
        f[i].kind = FRAME_DATA;
        f[i].pages = 0;
    }
    return phys;
}

/* Under the lock: `count` frames of one kind and block, which have neither references nor a whole mapping over them. */
static void release_some(uint64_t phys, unsigned count)
{
    struct frame *f = frame_of(phys);
    enum frame_kind kind = f->kind;
    PLATFORM_REQUIRE(kind != FRAME_FREE);
    for (unsigned i = 0; i < count; i++) {
        PLATFORM_REQUIRE(f[i].kind == kind && f[i].refs == 0);
        f[i].kind = FRAME_FREE;
    }
    mm_memory_released(phys, (uint64_t)count * FRAME_SIZE);
    give(block_number(phys), phys / FRAME_SIZE % BLOCK_FRAMES, count, kind);
}

static void release(uint64_t phys)
{
    const enum frame_kind kind = frame_of(phys)->kind;
    const unsigned index = phys / FRAME_SIZE % BLOCK_FRAMES;
    release_some(phys, 1);
    if (kind == FRAME_TABLE) /* whoever drops a table has emptied it */
        mark_zero(block_number(phys), index);
}

void frame_get(uint64_t phys)
{
    struct frame *f = frame_of(phys);
    PLATFORM_REQUIRE(f->kind != FRAME_FREE);
    uint32_t before = __atomic_fetch_add(&f->refs, 1, __ATOMIC_RELAXED);
    PLATFORM_REQUIRE(before < UINT32_MAX / 2);
}

void frame_put(uint64_t phys)
{
    struct frame *f = frame_of(phys);
    struct block *b = &g.blocks[block_number(phys)];
    PLATFORM_REQUIRE(f->kind != FRAME_FREE && f->refs > 0);
    /*
     * While the block is mapped as a whole somewhere, a count of zero frees nothing, and whoever drops that mapping looks at the
     * counts: so there the count falls under the lock.
     */
    if (__atomic_load_n(&b->huge_refs, __ATOMIC_ACQUIRE) == 0) {
        if (__atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) > 0)
            return;
        mm_spin_lock(&g.lock);
        release(phys);
    } else {
        mm_spin_lock(&g.lock);
        if (__atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) == 0 && b->huge_refs == 0)
            release(phys);
    }
    discard_surplus();
    mm_spin_unlock(&g.lock);
}

void frame_get_huge(uint64_t phys)
{
    struct block *b = &g.blocks[block_number(phys)];
    PLATFORM_REQUIRE(phys % BLOCK_SIZE == 0 && b->huge_refs > 0);
    __atomic_add_fetch(&b->huge_refs, 1, __ATOMIC_RELAXED);
}

void frame_put_huge(uint64_t phys)
{
    struct block *b = &g.blocks[block_number(phys)];
    mm_spin_lock(&g.lock);
    PLATFORM_REQUIRE(phys % BLOCK_SIZE == 0 && b->huge_refs > 0);
    const bool last = __atomic_load_n(&b->huge_refs, __ATOMIC_ACQUIRE) == 1;
    /*
     * The count falls after the last look at the frames: until then frame_put() waits for the lock. With none left it would bring a
     * frame's count to zero without it, and both would release the frame.
     */
    const struct frame *f = frame_of(phys);
    for (unsigned i = 0; last && i < BLOCK_FRAMES;) {
        const unsigned first = i;
        while (i < BLOCK_FRAMES && __atomic_load_n(&f[i].refs, __ATOMIC_ACQUIRE) == 0)
            i++;
        if (i > first)
            release_some(phys + (uint64_t)first * FRAME_SIZE, i - first);
        else
            i++;
    }
    __atomic_sub_fetch(&b->huge_refs, 1, __ATOMIC_ACQ_REL);
    if (last)
        discard_surplus();
    mm_spin_unlock(&g.lock);
}

void frame_split_huge(uint64_t phys)
{
    for (unsigned i = 0; i < BLOCK_FRAMES; i++)
        frame_get(phys + (uint64_t)i * FRAME_SIZE);
    frame_put_huge(phys);
}

bool frame_is_sole(uint64_t phys)
{
    const struct block *b = &g.blocks[block_number(phys)];
    return __atomic_load_n(&b->huge_refs, __ATOMIC_ACQUIRE) == 0 &&
           __atomic_load_n(&frame_of(phys)->refs, __ATOMIC_ACQUIRE) == 1;
}

bool frame_huge_is_sole(uint64_t phys)
{
    const struct block *b = &g.blocks[block_number(phys)];
    if (__atomic_load_n(&b->huge_refs, __ATOMIC_ACQUIRE) != 1)
        return false;
    for (unsigned i = 0; i < BLOCK_FRAMES; i++)
        if (__atomic_load_n(&frame_of(phys + (uint64_t)i * FRAME_SIZE)->refs, __ATOMIC_ACQUIRE) > 0)
            return false;
    return true;
}

/* Runs */

/* Under the lock. First block of `count` whole ones in a row, or NO_BLOCK. */
static int32_t find_whole_blocks(size_t count)
{
    for (unsigned range = 0; range < g.range_count; range++) {
        size_t length = 0;
        int32_t i = g.fresh[range].first;
        for (; i < g.fresh[range].next; i++) {
            length = g.blocks[i].list == BLOCK_WHOLE ? length + 1 : 0;
            if (length == count)
                return (int32_t)(i + 1 - (int32_t)count);
        }
        if (length + (size_t)(g.fresh[range].end - i) < count)
            continue;
        for (; length < count; length++)
            open_block(range);
        return (int32_t)(g.fresh[range].next - (int32_t)count);
    }
    return NO_BLOCK;
}

/* Under the lock. Where in an open block a short run fits, as a frame number, or FRAME_NONE. */
static uint64_t find_short_run(size_t count)
{
    static const enum block_list order[] = {BLOCK_RUNS, BLOCK_WHOLE, BLOCK_SINGLES};
    for (int i = 0; i < 3; i++)
        for (int32_t number = order[i] == BLOCK_WHOLE ? whole_block() : g.first[order[i]];
             number != NO_BLOCK; number = g.blocks[number].next) {
            int first = find_run(&g.blocks[number], (unsigned)count);
            if (first >= 0)
                return (uint64_t)number * BLOCK_FRAMES + (unsigned)first;
        }
    return FRAME_NONE;
}

uint64_t frame_alloc_run(size_t count)
{
    bool zero = true;
    uint64_t start = FRAME_NONE;
    if (count == 0 || mm_allocation_fails())
        return FRAME_NONE;
    mm_spin_lock(&g.lock);
    if (count < BLOCK_FRAMES) {
        start = find_short_run(count);
    } else {
        int32_t first = find_whole_blocks((count + BLOCK_FRAMES - 1) / BLOCK_FRAMES);
        if (first != NO_BLOCK)
            start = (uint64_t)first * BLOCK_FRAMES;
    }
    if (start == FRAME_NONE) {
        mm_spin_unlock(&g.lock);
        return FRAME_NONE;
    }
    for (uint64_t at = start; at < start + count;) {
        int32_t number = (int32_t)(at / BLOCK_FRAMES);
        unsigned within = at % BLOCK_FRAMES, part = BLOCK_FRAMES - within;
        if (part > start + count - at)
            part = (unsigned)(start + count - at);
        if (g.blocks[number].list == BLOCK_WHOLE)
            g.blocks[number].use = BLOCK_RUNS;
        if (!take(number, within, part, FRAME_RUN))
            zero = false;
        at += part;
    }
    mm_spin_unlock(&g.lock);

    uint64_t phys = start << FRAME_SHIFT;
    mm_memory_taken(phys, count * FRAME_SIZE);
    if (!zero)
        mm_zero(phys, count * FRAME_SIZE);
    for (size_t i = 0; i < count; i++) {
        struct frame *f = frame_of(phys + i * FRAME_SIZE);
        PLATFORM_REQUIRE(f->kind == FRAME_FREE && f->refs == 0);
        f->kind = FRAME_RUN;
        f->refs = 1;
    }
    return phys;
}

void frame_free_run(uint64_t phys, size_t count)
{
    mm_spin_lock(&g.lock);
    for (size_t i = 0; i < count; i++) {
        struct frame *f = frame_of(phys + i * FRAME_SIZE);
        PLATFORM_REQUIRE(f->kind == FRAME_RUN && f->refs == 1);
        f->refs = 0;
    }
    for (uint64_t at = phys >> FRAME_SHIFT, end = at + count; at < end;) {
        const unsigned room = BLOCK_FRAMES - (unsigned)(at % BLOCK_FRAMES);
        const unsigned part = end - at < room ? (unsigned)(end - at) : room;
        release_some(at << FRAME_SHIFT, part);
        at += part;
    }
    discard_surplus();
    mm_spin_unlock(&g.lock);
}

/* Puts that wait */

void frame_put_later(struct frame_later *later, uint64_t phys)
{
    struct frame *f = frame_of(phys);
    PLATFORM_REQUIRE(f->kind == FRAME_DATA || f->kind == FRAME_FILE);
    if (f->pages++ > 0)
        return;
    f->link = later->first;
    later->first = (uint32_t)(phys >> FRAME_SHIFT);
}

void frame_put_now(struct frame_later *later)
{
    while (later->first) {
        uint64_t phys = (uint64_t)later->first << FRAME_SHIFT;
        struct frame *f = frame_of(phys);
        uint32_t count = f->pages;
        later->first = f->link;
        f->pages = 0;
        while (count-- > 0)
            frame_put(phys);
    }
}

/* Start */

/* Part of a block. */
static void add_frames(uint64_t start, uint64_t end, bool zeroed)
{
    if (start >= end)
        return;
    int32_t number = block_number(start);
    struct block *b = &g.blocks[number];
    list_remove(number);
    for (uint64_t at = start; at < end; at += FRAME_SIZE) {
        unsigned i = at / FRAME_SIZE % BLOCK_FRAMES;
        b->free[i / 64] |= UINT64_C(1) << (i % 64);
        if (zeroed)
            b->zero[i / 64] |= UINT64_C(1) << (i % 64);
        b->free_count++;
    }
    b->use = BLOCK_SINGLES;
    list_update(number);
}

static void add_range(uint64_t start, uint64_t end, bool zeroed)
{
    uint64_t first = (start + BLOCK_SIZE - 1) & ~(BLOCK_SIZE - 1), last = end & ~(BLOCK_SIZE - 1);
    g.kinds[FRAME_FREE] += (end - start) / FRAME_SIZE;
    g.total += (end - start) / FRAME_SIZE;
    mm_memory_released(start, end - start);
    if (first > last) { /* inside one block */
        add_frames(start, end, zeroed);
        return;
    }
    add_frames(start, first, zeroed);
    add_frames(last, end, zeroed);
    g.fresh[g.range_count].first = g.fresh[g.range_count].next = block_number(first);
    g.fresh[g.range_count].end = block_number(last);
    g.range_count++;
}

void frame_init(const struct mm_range *ranges, unsigned count, bool zeroed)
{
    PLATFORM_REQUIRE(count > 0 && count <= MM_RANGES_MAX && g.frames == NULL);
    const uint64_t end = ranges[count - 1].end & ~(uint64_t)(FRAME_SIZE - 1);
    g.frame_end = end / FRAME_SIZE;
    const uint64_t block_count = (end + BLOCK_SIZE - 1) / BLOCK_SIZE;
    const uint64_t frames_size = g.frame_end * sizeof(struct frame);
    const uint64_t tables_size = frames_size + block_count * sizeof(struct block);

    uint64_t tables = FRAME_NONE, tables_end = 0;
    for (unsigned i = 0; i < count && tables == FRAME_NONE; i++) {
        uint64_t start = (ranges[i].start + FRAME_SIZE - 1) & ~(uint64_t)(FRAME_SIZE - 1);
        if (start < ranges[i].end && ranges[i].end - start >= tables_size + FRAME_SIZE)
            tables = start;
    }
    PLATFORM_REQUIRE(tables != FRAME_NONE); /* memory too small to be managed */
    tables_end = (tables + tables_size + FRAME_SIZE - 1) & ~(uint64_t)(FRAME_SIZE - 1);
    if (!zeroed)
        mm_zero(tables, tables_end - tables);
    g.frames = phys_to_virt(tables);
    g.blocks = phys_to_virt(tables + frames_size);
    for (int i = 0; i < BLOCK_LISTS; i++)
        g.first[i] = NO_BLOCK;
    g.fresh_is_zero = zeroed;

    for (unsigned i = 0; i < count; i++) {
        uint64_t start = (ranges[i].start + FRAME_SIZE - 1) & ~(uint64_t)(FRAME_SIZE - 1);
        uint64_t range_end = ranges[i].end & ~(uint64_t)(FRAME_SIZE - 1);
        if (start == 0)
            start = FRAME_SIZE; /* number 0 ends lists */
        if (tables >= start && tables < range_end)
            start = tables_end; /* what lies below is at most a page */
        if (start < range_end)
            add_range(start, range_end, zeroed);
    }
}

uint64_t frame_count(enum frame_kind kind)
{
    mm_spin_lock(&g.lock);
    uint64_t count = g.kinds[kind];
    mm_spin_unlock(&g.lock);
    return count;
}

uint64_t frame_total(void)
{
    return g.total;
}
