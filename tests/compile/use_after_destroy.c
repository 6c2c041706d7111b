/* A token borrowed after it was consumed. */
#include "platform/address_space.h"

int use_after_destroy(struct platform *p);

int use_after_destroy(struct platform *p)
{
    int err = 0;
    struct aspace *as = aspace_create(p, &err);
    if (!as)
        return err;
    aspace_destroy(p, as);
    return aspace_activate(p, as);
}
