/*
 * front.c: a platform by its name. Host side.
 */
#include "platform/front.h"

#include <string.h>

const struct platform_front *platform_front_find(const char *name)
{
    for (size_t i = 0; g_platform_fronts[i]; i++)
        if (strcmp(g_platform_fronts[i]->name, name) == 0)
            return g_platform_fronts[i];
    return NULL;
}
