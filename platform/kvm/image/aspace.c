/*
 * aspace.c: address_space.h: tokens, fork, and the list of all spaces.
 */
#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/kvm/image/frame.h"
#include "platform/kvm/image/kvm_aspace.h"
#include "platform/kvm/image/object.h"
#include "platform/kvm/image/pool.h"

/* A slot lives as long as the instance; `link` is the pool's while the token is not live. */
struct token {
    struct pool_link link;
    struct kvm_aspace *space;
    struct aspace base;
    struct kvm_aspace state;
};
enum { TOKEN_SIZE = 512 };
_Static_assert(sizeof(struct token) <= TOKEN_SIZE, "slot");
static struct pool g_tokens = {.slot_size = TOKEN_SIZE};

static struct {
    struct mm_mutex lock;
    struct kvm_aspace *first;
} g_spaces;

static struct token *token_of(struct aspace *as)
{
    return (struct token *)(void *)((char *)as - offsetof(struct token, base));
}

struct kvm_aspace *kvm_aspace_of(const struct aspace *as)
{
    const struct token *token =
        (const struct token *)(const void *)((const char *)as - offsetof(struct token, base));
    return token->space;
}

uint64_t kvm_aspace_root(const struct kvm_aspace *as)
{
    return as->pt.root;
}

void mm_init(const struct mm_range *ranges, unsigned count, bool zeroed,
             const uint64_t kernel_half[MM_KERNEL_ENTRIES])
{
    frame_init(ranges, count, zeroed);
    pt_init(kernel_half);
}

/* A space of no use yet, in the list of all, with its lock held: so nobody who walks the list meets a half-made one. */
static struct token *make_space(int *err)
{
    struct token *token = pool_take(&g_tokens);
    if (!token) {
        *err = -ENOMEM;
        return NULL;
    }
    struct kvm_aspace *as = token->space = &token->state;
    *as = (struct kvm_aspace){0};
    tlb_space_init(&as->tlb);
    mapping_init(&as->maps);
    if (pt_create(&as->pt, as)) {
        pool_give(&g_tokens, token);
        *err = -ENOMEM;
        return NULL;
    }
    mm_mutex_lock(&g_spaces.lock);
    mm_mutex_lock(&as->lock);
    as->next = g_spaces.first;
    if (as->next)
        as->next->previous = as;
    g_spaces.first = as;
    mm_mutex_unlock(&g_spaces.lock);
    return token;
}

/* Its lock is free, and nobody is inside. */
static void empty_space(struct token *token)
{
    struct kvm_aspace *as = token->space;
    PLATFORM_REQUIRE(__atomic_load_n(&as->inside, __ATOMIC_ACQUIRE) == 0);
    mm_mutex_lock(&g_spaces.lock);
    if (as->previous)
        as->previous->next = as->next;
    else
        g_spaces.first = as->next;
    if (as->next)
        as->next->previous = as->previous;
    mm_mutex_unlock(&g_spaces.lock);
    mm_flush(as, 0, PT_USER_END); /* a processor may know translations though it has left */
    pt_destroy(&as->pt);
    mapping_clear(&as->maps);
    token->space = NULL;
}

static void unmake_space(struct token *token)
{
    if (token->space) /* else its last thread did it */
        empty_space(token);
    pool_give(&g_tokens, token);
}

struct aspace *kvm_aspace_create(struct platform *p, int *err)
{
    struct token *token = make_space(err);
    if (!token)
        return NULL;
    mm_mutex_unlock(&token->space->lock);
    aspace_stamp(p, &token->base);
    return &token->base;
}

/* What advice keeps out of children. The child is not shown to anybody yet. */
static int leave_out(struct kvm_aspace *child)
{
    for (uint64_t at = 0;;) {
        const struct mapping *m = mapping_first(&child->maps, at);
        struct pt_batch batch = {0};
        if (!m)
            return 0;
        const uint64_t start = m->start, end = m->end;
        at = end;
        if (!(m->flags & (MAPPING_DONTFORK | MAPPING_WIPEONFORK)))
            continue;
        const bool absent = m->flags & MAPPING_DONTFORK;
        if ((absent && mapping_reserve(&child->maps)) || pt_prepare(&child->pt, start, &batch) ||
            pt_prepare(&child->pt, end, &batch)) {
            pt_finish(&child->pt, &batch);
            return -ENOMEM;
        }
        pt_unmap(&child->pt, start, end, &batch);
        if (absent)
            mapping_remove(&child->maps, start, end);
    }
}

struct aspace *kvm_aspace_fork(struct platform *p, const struct aspace *parent_token, int *err)
{
    struct kvm_aspace *parent = kvm_aspace_of(parent_token);
    struct token *token = make_space(err);
    if (!token)
        return NULL;
    struct kvm_aspace *child = token->space;
    mm_mutex_lock(&parent->lock);
    const bool copied = mapping_copy(&child->maps, &parent->maps) == 0;
    if (copied) {
        pt_fork(&parent->pt, &child->pt);
        /* The one instant: from here on writes of the parent fault, and wait for the lock. */
        mm_flush(parent, 0, PT_USER_END);
    }
    mm_mutex_unlock(&parent->lock);
    if (!copied || leave_out(child)) {
        *err = -ENOMEM;
        mm_mutex_unlock(&child->lock);
        unmake_space(token);
        return NULL;
    }
    child->stats.pages_shared_at_fork = child->pt.pages;
    child->stats.table_pages_shared = pt_tables_shared(&child->pt);
    mm_mutex_unlock(&child->lock);
    __atomic_add_fetch(&parent->stats.forks, 1, __ATOMIC_RELAXED);
    aspace_stamp(p, &token->base);
    return &token->base;
}

int kvm_aspace_activate(struct platform *p UNUSED, const struct aspace *as)
{
    struct kvm_aspace *to = as ? kvm_aspace_of(as) : NULL, *from = mm_active();
    if (to == from)
        return 0;
    if (to)
        __atomic_add_fetch(&to->inside, 1, __ATOMIC_RELAXED);
    mm_set_active(to);
    if (from)
        __atomic_sub_fetch(&from->inside, 1, __ATOMIC_RELEASE);
    return 0;
}

void kvm_aspace_adopt(const struct kvm_aspace *as)
{
    struct kvm_aspace *space = (struct kvm_aspace *)(uintptr_t)as;
    __atomic_add_fetch(&space->inside, 1, __ATOMIC_RELAXED);
}

void kvm_aspace_leave(void)
{
    (void)!kvm_aspace_activate(NULL, NULL);
}

void kvm_aspace_vacate(struct platform *p UNUSED, const struct aspace *as)
{
    kvm_aspace_leave();
    empty_space(token_of((struct aspace *)(uintptr_t)as));
}

void kvm_aspace_destroy(struct platform *p UNUSED, struct aspace *as)
{
    struct token *token = token_of(as);
    aspace_unstamp(as);
    unmake_space(token);
}

void kvm_aspace_stats(struct platform *p UNUSED, const struct aspace *as, struct aspace_stats *out)
{
    struct kvm_aspace *space = kvm_aspace_of(as);
    mm_mutex_lock(&space->lock);
    *out = space->stats;
    out->pages_resident = space->pt.pages;
    mm_mutex_unlock(&space->lock);
    out->known = ASPACE_STAT_FORKS | ASPACE_STAT_FAULTS | ASPACE_STAT_SHARED_AT_FORK |
                 ASPACE_STAT_COPIED_EAGERLY | ASPACE_STAT_COPIED_BY_WRITE | ASPACE_STAT_RECLAIMED |
                 ASPACE_STAT_TABLES_SHARED | ASPACE_STAT_RESIDENT;
}

const struct aspace_ops kvm_aspace_ops = ASPACE_OPS(kvm_aspace);

void kvm_aspace_each(void (*visit)(struct kvm_aspace *as, void *arg), void *arg)
{
    mm_mutex_lock(&g_spaces.lock);
    for (struct kvm_aspace *as = g_spaces.first; as; as = as->next) {
        mm_mutex_lock(&as->lock);
        visit(as, arg);
        mm_mutex_unlock(&as->lock);
    }
    mm_mutex_unlock(&g_spaces.lock);
}

/* Objects that lost pages */

static bool drop_in_space(struct kvm_aspace *as, const struct store *s, uint64_t first,
                          uint64_t end, enum pt_drop what, struct frame_later *later)
{
    bool own = false;
    for (const struct mapping *m = mapping_first(&as->maps, 0); m;
         m = mapping_first(&as->maps, m->end)) {
        if (!m->object || m->object->store != s)
            continue;
        const uint64_t from = m->offset / FRAME_SIZE, to = from + (m->end - m->start) / FRAME_SIZE;
        const uint64_t low = first > from ? first : from, high = end < to ? end : to;
        if (low < high && pt_drop_object(&as->pt, m->start + (low - from) * FRAME_SIZE,
                                         m->start + (high - from) * FRAME_SIZE, what, later))
            own = true;
    }
    return own;
}

/*
 * Tables that spaces share are changed once for all of them, so frames are dropped only when every space was seen and every processor
 * flushed.
 */
void kvm_aspace_drop_object(const struct store *s, uint64_t first, uint64_t end, enum pt_drop what)
{
    struct frame_later later = {0};
    bool own = false;
    mm_mutex_lock(&g_spaces.lock);
    for (struct kvm_aspace *as = g_spaces.first; as; as = as->next) {
        mm_mutex_lock(&as->lock);
        own |= drop_in_space(as, s, first, end, what, &later);
        mm_mutex_unlock(&as->lock);
    }
    for (struct kvm_aspace *as = own ? g_spaces.first : NULL; as; as = as->next) {
        mm_mutex_lock(&as->lock);
        pt_recount(&as->pt);
        mm_mutex_unlock(&as->lock);
    }
    if (later.first)
        mm_flush(NULL, 0, PT_USER_END);
    frame_put_now(&later);
    mm_mutex_unlock(&g_spaces.lock);
}

void mm_counts(struct mm_counts *out)
{
    *out = (struct mm_counts){
        .frames_total = frame_total(),
        .frames_free = frame_count(FRAME_FREE),
        .frames_guest = frame_count(FRAME_DATA),
        .frames_pool = frame_count(FRAME_POOL),
        .table_pages = frame_count(FRAME_TABLE),
        .frames_file = frame_count(FRAME_FILE),
        .frames_records = frame_count(FRAME_LIST) + frame_count(FRAME_INDEX),
    };
}
