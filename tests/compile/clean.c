/* Every way to treat a token well: no analyzer may say anything. */
#include <stdint.h>

#include "platform/address_space.h"
#include "platform/thread.h"

int make_and_destroy(struct platform *p);
int fork_and_destroy_both(struct platform *p);
uint64_t borrow(struct platform *p, const struct aspace *as);
void give_to_exit(struct platform *p);

int make_and_destroy(struct platform *p)
{
    int err = 0;
    struct aspace *as = aspace_create(p, &err);
    if (!as)
        return err;
    err = aspace_activate(p, as);
    if (err == 0)
        err = aspace_activate(p, NULL);
    aspace_destroy(p, as);
    return err;
}

int fork_and_destroy_both(struct platform *p)
{
    int err = 0;
    struct aspace *parent = aspace_create(p, &err);
    if (!parent)
        return err;
    struct aspace *child = aspace_fork(p, parent, &err);
    if (child)
        aspace_destroy(p, child);
    aspace_destroy(p, parent);
    return child ? 0 : err;
}

uint64_t borrow(struct platform *p, const struct aspace *as)
{
    struct aspace_stats stats;
    aspace_stats(p, as, &stats);
    return aspace_id(as) + stats.forks;
}

void give_to_exit(struct platform *p)
{
    int err = 0;
    struct aspace *as = aspace_create(p, &err);
    thread_exit(p, as);
}
