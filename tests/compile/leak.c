/* A token that nobody consumes on one path. */
#include "platform/address_space.h"

int leak(struct platform *p);

int leak(struct platform *p)
{
    int err = 0;
    struct aspace *as = aspace_create(p, &err);
    if (!as)
        return err;
    err = aspace_activate(p, as);
    if (err)
        return err;
    aspace_destroy(p, as);
    return 0;
}
