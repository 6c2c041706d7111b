/*
 * alloc.h: the shim's heap, in memory that every thread of the instance sees. Any thread; takes only its own lock.
 */
#ifndef PALIMPSEST_SHIM_BASE_ALLOC_H
#define PALIMPSEST_SHIM_BASE_ALLOC_H

#include <stddef.h>

#include "platform/annotations.h"

/* 16-byte aligned; NULL when memory is short (callers report -ENOMEM). size 0 gives a unique pointer. */
MUST_USE void *shim_alloc(size_t size);
MUST_USE void *shim_zalloc(size_t size);
/* Like realloc: NULL leaves `ptr` as it was. */
MUST_USE void *shim_realloc(void *ptr, size_t size);
/*
 * NULL is allowed. A block of at most SHIM_ALLOC_STAYS bytes stays readable memory: who looks at it without a lock finds something else, and does not
 * fault.
 */
#define SHIM_ALLOC_STAYS 8192u
void shim_free(void *ptr);
/* What processors hand each other: objects that two of them write at once begin on one. */
#define CACHE_LINE 64u
/* Zeroed, and begins a cache line; given back by shim_free_line() alone, which takes NULL, too. */
MUST_USE void *shim_zalloc_line(size_t size);
void shim_free_line(void *ptr);
MUST_USE char *shim_strdup(const char *s);
MUST_USE char *shim_strndup(const char *s, size_t size);
/* Bytes in use now, for leak tests and /proc/meminfo. */
size_t shim_alloc_in_use(void);

#endif
