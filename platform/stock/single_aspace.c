/*
 * single_aspace.c: see single_aspace.h. For one thread: nothing here is locked.
 */
#include "platform/stock/single_aspace.h"

#include <stddef.h>

#include "platform/contract.h"
#include "platform/errno.h"

/*
 * One space at a time, but a pool of tokens: a stale one points to a dead slot until the pool has
 * gone round.
 */
enum { POOL_SIZE = 64 };
static struct aspace g_pool[POOL_SIZE];
static unsigned g_next;
static struct aspace *g_alive, *g_active;

struct aspace *stock_single_aspace_create(struct platform *p, int *err)
{
    if (g_alive) {
        *err = -ENOTSUP;
        return NULL;
    }
    g_alive = &g_pool[g_next];
    g_next = (g_next + 1) % POOL_SIZE;
    aspace_stamp(p, g_alive);
    return g_alive;
}

struct aspace *stock_single_aspace_fork(struct platform *p UNUSED,
                                        const struct aspace *parent UNUSED, int *err)
{
    *err = -ENOTSUP;
    return NULL;
}

int stock_single_aspace_activate(struct platform *p UNUSED, const struct aspace *as)
{
    g_active = as ? g_alive : NULL;
    return 0;
}

void stock_single_aspace_vacate(struct platform *p UNUSED, const struct aspace *as UNUSED)
{
}

void stock_single_aspace_destroy(struct platform *p UNUSED, struct aspace *as)
{
    PLATFORM_REQUIRE(as != g_active);
    aspace_unstamp(as);
    g_alive = NULL;
}

void stock_single_aspace_stats(struct platform *p UNUSED, const struct aspace *as UNUSED,
                               struct aspace_stats *out)
{
    *out = (struct aspace_stats){.known = ASPACE_STAT_FORKS};
}

int stock_single_aspace_is_active(void)
{
    return g_active != NULL;
}

const struct aspace_ops stock_single_aspace_ops = ASPACE_OPS(stock_single_aspace);
