/*
 * address_space.h: guest address spaces, as every platform provides them.
 *
 * A struct aspace is a linear token: made by aspace_create() or aspace_fork(), consumed by exactly
 * one aspace_destroy() (or thread_exit(), which destroys the space it leaves). A pointer to const
 * borrows it; a non-const pointer gives it away. Stale, doubly used and forged tokens abort in
 * every build (pool slot and generation); the analyzers of GCC and Clang see leaks, double destroys
 * and uses after destroy.
 *
 * Copy-on-write is below this line: no caller copies a guest page, or can tell when one was copied.
 * At fork a platform copies eagerly exactly its fault-handler set, every page that is touched
 * before a fault can be resolved; the rest is lazy.
 *
 *    create, fork --> IDLE <== first activate / last leave ==> ACTIVE    IDLE -- destroy --> gone
 */
#ifndef PALIMPSEST_PLATFORM_ADDRESS_SPACE_H
#define PALIMPSEST_PLATFORM_ADDRESS_SPACE_H

#include <stddef.h>
#include <stdint.h>

#include "platform/annotations.h"

struct platform;

/*
 * Opaque. A platform embeds it as the first member of its own struct; slots are never handed back
 * to an allocator, and the slot that has been free for longest is used first, so that a stale token
 * meets a dead slot and not somebody else's.
 */
struct aspace {
    uint32_t magic;      /* ASPACE_MAGIC while live; anything else is stale or forged */
    uint32_t generation; /* of the pool slot; raised by stamp and unstamp: odd while live */
    uint64_t id;         /* never reused within an instance; > 0 */
    const struct platform *owner;
};
#define ASPACE_MAGIC 0x50414c53u /* "SLAP" in memory order; set by aspace_stamp() */

/*
 * Counters of one space. A platform sets a bit in `known` for each counter it can give exactly and
 * leaves the others 0. All count 4 KiB pages but `faults` and `forks`.
 */
struct aspace_stats {
    uint64_t known;                 /* ASPACE_STAT_* */
    uint64_t forks;                 /* children made from this space */
    uint64_t faults;                /* page faults resolved below the interface */
    uint64_t pages_shared_at_fork;  /* private pages shared with the parent when this was forked */
    uint64_t pages_copied_eagerly;  /* fault-handler set made private for this space at its fork */
    uint64_t pages_copied_by_write; /* copies made because somebody wrote */
    uint64_t pages_reclaimed;       /* writable again without a copy: the sole owner was left */
    uint64_t table_pages_shared;    /* page-table pages shared with the parent at fork */
    uint64_t pages_resident;        /* private pages now present */
};
#define ASPACE_STAT_FORKS (1ull << 0)
#define ASPACE_STAT_FAULTS (1ull << 1)
#define ASPACE_STAT_SHARED_AT_FORK (1ull << 2)
#define ASPACE_STAT_COPIED_EAGERLY (1ull << 3)
#define ASPACE_STAT_COPIED_BY_WRITE (1ull << 4)
#define ASPACE_STAT_RECLAIMED (1ull << 5)
#define ASPACE_STAT_TABLES_SHARED (1ull << 6)
#define ASPACE_STAT_RESIDENT (1ull << 7)

struct aspace_ops {
    /*
     * Make an empty space.
     * Requires: nothing.
     * Owner:    the caller owns the token.
     * Errors:   NULL, and *err: -ENOMEM; -EAGAIN (host limit); -ENOTSUP (stock single_aspace: there
     *           is one space only).
     *           On success *err is not written.
     * Threads:  any; may block; takes no lock of the caller's.
     */
    struct aspace *(*create)(struct platform *p, int *err);

    /*
     * Make a child of `parent`: private pages as they stand at one instant between call and return,
     * shared mappings still shared, protections and advice (DONTFORK, WIPEONFORK) honoured.
     * Requires: `parent` is live and of this platform. It may be active on this and other threads,
     * which may write.
     * Owner:    the caller owns the child; `parent` stays the caller's.
     * Errors:   NULL, and *err: -ENOMEM; -EAGAIN (host process limit); -ENOTSUP (stock
     *           single_aspace). `parent` is then unchanged and nothing is left to undo. On
     *           success *err is not written.
     * Threads:  any; may block. Takes no shim lock, so the caller may hold its own.
     */
    struct aspace *(*fork)(struct platform *p, const struct aspace *parent, int *err);

    /*
     * This thread of control now works in `as`, like loading CR3: same C code, same stack, same
     * locals. NULL leaves the space this thread is in and enters none. Guest memory calls then act
     * on `as`.
     * Requires: `as` is NULL or live and of this platform; the caller is a thread of thread.h.
     * Owner:    borrowed; the space counts the caller as inside until it activates another or
     *           exits.
     * Errors:   -EAGAIN, -ENOMEM (no host thread could be had there): the thread is then where it
     *           was.
     * Threads:  any. Cheap when `as` is already active on this thread.
     */
    int (*activate)(struct platform *p, const struct aspace *as);

    /*
     * The caller is about to end by thread_exit() with the token of `as`, but first tells those who wait for the
     * process, which may count on what it had. A platform that runs out of memory of its own
     * (memory_ops.on_shortage) has that of the space back when this returns. Where a host has it, the exit may
     * give it back: whoever waits goes on sooner.
     * Requires: live; the caller is inside, and nobody else; afterwards `as` serves for thread_exit() alone, and
     *           the caller touches no guest memory.
     * Owner:    the token stays the caller's.
     * Errors:   cannot fail.
     * Threads:  the one inside.
     */
    void (*vacate)(struct platform *p, const struct aspace *as);

    /*
     * Consume the token and release its memory, at once or in the background.
     * Requires: live; no thread inside. "Still active" is a bug of the caller and aborts.
     * Owner:    the token is gone, whatever happens.
     * Errors:   cannot fail.
     * Threads:  any.
     */
    void (*destroy)(struct platform *p, struct aspace *as);

    /*
     * Copy the counters of a live space to *out.
     * Requires: live; out != NULL. Errors: cannot fail. Threads: any; may be slow (walks tables).
     */
    void (*stats)(struct platform *p, const struct aspace *as, struct aspace_stats *out);
};

/* Fills every slot from one prefix: a platform that lacks a function does not compile. */
#define ASPACE_OPS(impl)                                                                           \
    {                                                                                              \
        .create = impl##_create, .fork = impl##_fork, .activate = impl##_activate,                 \
        .vacate = impl##_vacate, .destroy = impl##_destroy, .stats = impl##_stats                  \
    }
_Static_assert(sizeof(struct aspace_ops) == 6 * sizeof(void (*)(void)),
               "new slot: extend ASPACE_OPS");

void aspace_destroy(struct platform *p, struct aspace *as) TAKES_TOKEN(2);
MAKES_TOKEN(aspace_destroy, 2) struct aspace *aspace_create(struct platform *p, int *err);
MAKES_TOKEN(aspace_destroy, 2)
struct aspace *aspace_fork(struct platform *p, const struct aspace *parent, int *err);
MUST_USE int aspace_activate(struct platform *p, const struct aspace *as);
void aspace_vacate(struct platform *p, const struct aspace *as);
void aspace_stats(struct platform *p, const struct aspace *as, struct aspace_stats *out);

/* A number for futex keys and logs; never reused in one instance. Requires: live. */
uint64_t aspace_id(const struct aspace *as);

/*
 * For platforms: make a pool slot a live token with a fresh id / make it stale. `as` is zeroed or
 * was unstamped before.
 */
void aspace_stamp(const struct platform *p, struct aspace *as);
void aspace_unstamp(struct aspace *as);

/* For platforms and entry points: aborts unless `as` is a live token of `p`. */
void aspace_require_live(const struct platform *p, const struct aspace *as);

#endif
