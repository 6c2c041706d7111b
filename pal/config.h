/*
 * config.h: packs what the command line asks for into the relocatable block that the shim starts from.
 */
#ifndef PALIMPSEST_PAL_CONFIG_H
#define PALIMPSEST_PAL_CONFIG_H

#include <stddef.h>

#include "pal/options.h"
#include "shim/shim.h"

/* What the host says and the command line doesn't. */
struct pal_host_facts {
    char *const *environ;
    const char *cwd; /* "/" when it cannot be found out */
    const char *hostname;
    unsigned umask;
};

/* One block, *size bytes. Owner: caller, by free(). Grants are named "root", "mount0", "mount1", ... in the order of the mounts; listeners
 * "publish0", ... */
struct shim_config *config_pack(const struct pal_options *options,
                                const struct pal_host_facts *host, size_t *size);

#endif
