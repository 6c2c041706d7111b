/*
 * dentry.c: the name cache: one hash table and one LRU list under one lock.
 */
#include "shim/fs/dentry.h"

#include "platform/contract.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/hash.h"
#include "shim/fs/inotify.h"
#include "shim/fs/vfs.h"

#define BUCKETS 8192u
#define LRU_MAX 16384u
#define LRU_LOOK 64u /* entries that are passed over at one time */

struct mutex g_dcache_lock;
static struct dentry *g_buckets[BUCKETS];
static struct dentry *g_lru;
static unsigned g_lru_count;

uint32_t dentry_hash(const struct dentry *parent, const char *name, size_t length)
{
    /* Eight bytes at a time, each spread over the word by a multiplication and folded back, started from the parent's address. */
    const uint64_t odd = 0x9e3779b97f4a7c15ull;
    uint64_t h = ((uintptr_t)parent >> 4) ^ (uint64_t)length << 56, word;
    for (; length >= sizeof(word); name += sizeof(word), length -= sizeof(word)) {
        __builtin_memcpy(&word, name, sizeof(word));
        h = (h ^ word) * odd;
        h ^= h >> 32;
    }
    for (word = 0; length; length--)
        word = word << 8 | (unsigned char)name[length - 1];
    h = (h ^ word) * odd;
    return (uint32_t)(h ^ h >> 32);
}

static int set_name(struct dentry *d, const char *name, size_t length)
{
    char *to = d->inline_name;
    if (length >= DENTRY_INLINE_NAME) {
        to = shim_alloc(length + 1);
        if (!to)
            return -ENOMEM;
    }
    memmove(to, name, length);
    to[length] = '\0';
    d->name = to;
    d->name_length = (uint32_t)length;
    return 0;
}

struct dentry *dentry_create(struct dentry *parent, const char *name, size_t length,
                             struct inode *inode)
{
    struct dentry *d = shim_zalloc(sizeof(*d));
    if (!d)
        return NULL;
    if (set_name(d, name, length) != 0) {
        shim_free(d);
        return NULL;
    }
    d->refs = 1 | DENTRY_UNHASHED;
    d->inode = inode;
    d->parent = parent;
    if (parent)
        dentry_get(parent);
    return d;
}

/* Under the lock nobody makes it used; it may become unused at any time. */
static bool in_use(const struct dentry *d)
{
    return __atomic_load_n(&d->refs, __ATOMIC_ACQUIRE) & ~DENTRY_UNHASHED;
}

static void lru_add(struct dentry *d)
{
    if (d->on_lru)
        return;
    DL_APPEND2(g_lru, d, lru_prev, lru_next);
    __atomic_store_n(&d->on_lru, true, __ATOMIC_RELAXED);
    g_lru_count++;
}

static void lru_remove(struct dentry *d)
{
    if (!d->on_lru)
        return;
    DL_DELETE2(g_lru, d, lru_prev, lru_next);
    __atomic_store_n(&d->on_lru, false, __ATOMIC_RELAXED);
    g_lru_count--;
}

static void unhash(struct dentry *d)
{
    if (!d->hashed)
        return;
    struct dentry **link = &g_buckets[d->hash % BUCKETS];
    while (*link != d)
        link = &(*link)->chain;
    *link = d->chain;
    d->hashed = false;
    __atomic_fetch_or(&d->refs, DENTRY_UNHASHED, __ATOMIC_ACQ_REL);
}

static void hash(struct dentry *d)
{
    d->hash = dentry_hash(d->parent, d->name, d->name_length);
    struct dentry **head = &g_buckets[d->hash % BUCKETS];
    d->chain = *head;
    *head = d;
    d->hashed = true;
    __atomic_fetch_and(&d->refs, ~DENTRY_UNHASHED, __ATOMIC_ACQ_REL);
}

void dentry_get_locked(struct dentry *d)
{
    __atomic_fetch_add(&d->refs, 1, __ATOMIC_RELAXED);
}

void dentry_get(struct dentry *d)
{
    /* The caller has a reference, so this one is not the first. */
    uint32_t old = __atomic_fetch_add(&d->refs, 1, __ATOMIC_RELAXED);
    PLATFORM_REQUIRE(old & ~DENTRY_UNHASHED);
}

/* Under the lock. A dentry without users goes to the LRU list, or to the dead when nothing can find
 * it. */
static void put_locked(struct dentry *d, struct dentry **dead)
{
    if (__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) & ~DENTRY_UNHASHED)
        return;
    if (d->hashed) {
        lru_add(d);
    } else {
        d->dead_next = *dead;
        *dead = d;
    }
}

/* Under the lock: an unused one to be forgotten, not used lately if there are such; NULL: none near the end of the list. */
static struct dentry *least_used(void)
{
    for (unsigned i = 0; g_lru && i < LRU_LOOK; i++) {
        struct dentry *d = g_lru;
        lru_remove(d);
        if (!__atomic_exchange_n(&d->recent, false, __ATOMIC_RELAXED) && !in_use(d))
            return d;
        lru_add(d);
    }
    return NULL;
}

/* Under the lock: everything that must be freed, with the parents that thereby lose their last
 * user. */
static struct dentry *collect(struct dentry *dead, unsigned keep)
{
    struct dentry *all = NULL;
    for (;;) {
        if (!dead && g_lru_count > keep && (dead = least_used()) != NULL) {
            unhash(dead);
            dead->dead_next = NULL;
        }
        if (!dead)
            return all;
        struct dentry *d = dead;
        dead = d->dead_next;
        if (d->parent)
            put_locked(d->parent, &dead);
        d->dead_next = all;
        all = d;
    }
}

static void free_all(struct dentry *dead)
{
    while (dead) {
        struct dentry *d = dead;
        dead = d->dead_next;
        if (d->inode) {
            notify_gone(d->inode);
            inode_put(d->inode);
        }
        if (d->name != d->inline_name)
            shim_free(d->name);
        shim_free(d);
    }
}

void dentry_put(struct dentry *d)
{
    uint32_t refs = __atomic_load_n(&d->refs, __ATOMIC_RELAXED);
    if (!__atomic_load_n(&d->recent, __ATOMIC_RELAXED))
        __atomic_store_n(&d->recent, true, __ATOMIC_RELAXED);
    /* The last user of a hashed one may go like any other: whoever unhashes it under the lock makes this fail. */
    while ((refs & ~DENTRY_UNHASHED) > 1 ||
           (refs == 1 && __atomic_load_n(&d->on_lru, __ATOMIC_RELAXED)))
        if (__atomic_compare_exchange_n(&d->refs, &refs, refs - 1, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
            return;
    mutex_lock(&g_dcache_lock);
    struct dentry *dead = NULL;
    put_locked(d, &dead);
    dead = collect(dead, LRU_MAX);
    mutex_unlock(&g_dcache_lock);
    free_all(dead);
}

struct dentry *dentry_find_locked(struct dentry *parent, const char *name, size_t length,
                                  uint32_t h)
{
    for (struct dentry *d = g_buckets[h % BUCKETS]; d; d = d->chain)
        if (d->hash == h && d->parent == parent && d->name_length == length &&
            memcmp(d->name, name, length) == 0)
            return d;
    return NULL;
}

struct dentry *dentry_find(struct dentry *parent, const char *name, size_t length)
{
    uint32_t h = dentry_hash(parent, name, length);
    mutex_lock(&g_dcache_lock);
    struct dentry *d = dentry_find_locked(parent, name, length, h);
    if (d)
        dentry_get_locked(d);
    mutex_unlock(&g_dcache_lock);
    return d;
}

/* Under the lock. Takes it out of the table; an unused one is freed by the caller through *dead. */
static void drop_locked(struct dentry *d, struct dentry **dead)
{
    unhash(d);
    lru_remove(d);
    if (!in_use(d)) {
        d->dead_next = *dead;
        *dead = d;
    }
}

static void drop_name_locked(struct dentry *parent, const char *name, size_t length,
                             struct dentry *except, struct dentry **dead)
{
    struct dentry *old =
        dentry_find_locked(parent, name, length, dentry_hash(parent, name, length));
    if (old && old != except) {
        old->deleted = old->inode != NULL;
        drop_locked(old, dead);
    }
}

void dentry_add(struct dentry *d)
{
    struct dentry *dead = NULL;
    mutex_lock(&g_dcache_lock);
    drop_name_locked(d->parent, d->name, d->name_length, d, &dead);
    if (!d->hashed)
        hash(d);
    dead = collect(dead, LRU_MAX);
    mutex_unlock(&g_dcache_lock);
    free_all(dead);
}

void dentry_drop(struct dentry *d, enum dentry_drop_why why)
{
    mutex_lock(&g_dcache_lock);
    unhash(d);
    lru_remove(d); /* the caller's reference is not the last to go */
    if (why == DENTRY_DELETED)
        d->deleted = true;
    mutex_unlock(&g_dcache_lock);
}

int dentry_move(struct dentry *d, struct dentry *parent, const char *name, size_t length)
{
    char *spare = NULL;
    if (length >= DENTRY_INLINE_NAME && !(spare = shim_alloc(length + 1)))
        return -ENOMEM;
    struct dentry *dead = NULL;
    dentry_get(parent);
    mutex_lock(&g_dcache_lock);
    drop_name_locked(parent, name, length, d, &dead);
    unhash(d);
    char *old_name = d->name != d->inline_name ? d->name : NULL;
    d->name = spare ? spare : d->inline_name;
    memmove(d->name, name, length);
    d->name[length] = '\0';
    d->name_length = (uint32_t)length;
    struct dentry *old_parent = d->parent;
    d->parent = parent;
    hash(d);
    put_locked(old_parent, &dead);
    dead = collect(dead, LRU_MAX);
    mutex_unlock(&g_dcache_lock);
    free_all(dead);
    shim_free(old_name);
    return 0;
}

void dentry_exchange(struct dentry *a, struct dentry *b)
{
    mutex_lock(&g_dcache_lock);
    unhash(a);
    unhash(b);
    struct dentry *parent = a->parent;
    a->parent = b->parent;
    b->parent = parent;
    char inline_a[DENTRY_INLINE_NAME];
    memcpy(inline_a, a->inline_name, sizeof(inline_a));
    memcpy(a->inline_name, b->inline_name, sizeof(inline_a));
    memcpy(b->inline_name, inline_a, sizeof(inline_a));
    char *name_a = a->name == a->inline_name ? b->inline_name : a->name;
    a->name = b->name == b->inline_name ? a->inline_name : b->name;
    b->name = name_a;
    uint32_t length = a->name_length;
    a->name_length = b->name_length;
    b->name_length = length;
    hash(a);
    hash(b);
    mutex_unlock(&g_dcache_lock);
}

static bool is_below_locked(const struct dentry *d, const struct dentry *ancestor)
{
    while (d && d != ancestor)
        d = d->parent;
    return d != NULL;
}

/* Unused ones have no children, so parents come up in the next round. */
void dentry_forget_below(struct dentry *top)
{
    struct dentry *dead;
    do {
        dead = NULL;
        mutex_lock(&g_dcache_lock);
        struct dentry *d, *next;
        for (d = g_lru; d; d = next) {
            next = d->lru_next;
            if (d == top || in_use(d) || !is_below_locked(d, top))
                continue;
            drop_locked(d, &dead);
        }
        if (dead)
            dead = collect(dead, UINT32_MAX);
        mutex_unlock(&g_dcache_lock);
        free_all(dead);
    } while (dead);
}

bool dentry_is_below(struct dentry *d, struct dentry *ancestor)
{
    mutex_lock(&g_dcache_lock);
    while (d && d != ancestor)
        d = d->parent;
    mutex_unlock(&g_dcache_lock);
    return d != NULL;
}
