/* The result of a maker thrown away. */
#include "platform/address_space.h"

void ignored_token(struct platform *p);

void ignored_token(struct platform *p)
{
    int err = 0;
    aspace_create(p, &err);
}
