/*
 * route.h: the last directory of a path that is asked for often is kept open, with a watch of the host's on each directory on the way, so
 * that the path is one fstatat(2) and one look whether any of them moved (docs/design/0015). Threads: any.
 */
#ifndef PALIMPSEST_LINUX_USER_ROUTE_H
#define PALIMPSEST_LINUX_USER_ROUTE_H

#include <stdbool.h>

#include "platform/annotations.h"

struct host_file;
struct stat;

/*
 * What has the last of these names (at least two), a link itself. false: walk, and keep the answer to yourself: either there is no route,
 * which asking often changes, or it may lead elsewhere by now, or to nothing.
 */
MUST_USE bool lu_route_stat(struct host_file *dir, const char *path, struct stat *out);

#endif
