/* The child of a fork is lost; the parent is only borrowed. */
#include "platform/address_space.h"

int leak_of_fork(struct platform *p, const struct aspace *parent);

int leak_of_fork(struct platform *p, const struct aspace *parent)
{
    int err = 0;
    struct aspace *child = aspace_fork(p, parent, &err);
    if (!child)
        return err;
    return aspace_activate(p, child);
}
