/* A token given to a function that consumes something else. */
#include <stdlib.h>

#include "platform/address_space.h"

int wrong_destroy(struct platform *p);

int wrong_destroy(struct platform *p)
{
    int err = 0;
    struct aspace *as = aspace_create(p, &err);
    free(as);
    return err;
}
