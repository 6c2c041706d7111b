/*
 * hash.h: uthash over the shim's heap. Running out of memory in HASH_ADD leaves the element out: check with a HASH_FIND or
 * the element's hh.tbl, and report -ENOMEM.
 */
#ifndef PALIMPSEST_SHIM_BASE_HASH_H
#define PALIMPSEST_SHIM_BASE_HASH_H

#include "shim/base/alloc.h"
#include "shim/base/string.h"

#define uthash_malloc(size) shim_alloc(size)
#define uthash_free(ptr, size) shim_free(ptr)
#define uthash_strlen(s) str_length(s)
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#endif
