/* A token consumed twice. */
#include "platform/address_space.h"

int double_destroy(struct platform *p);

int double_destroy(struct platform *p)
{
    int err = 0;
    struct aspace *as = aspace_create(p, &err);
    if (!as)
        return err;
    err = aspace_activate(p, NULL);
    if (err)
        aspace_destroy(p, as);
    aspace_destroy(p, as);
    return err;
}
