/*
 * The <string.h> of freestanding code: what shim/base/mem.c defines and compilers call by themselves. The host's libc headers
 * would bring types that clash with the kernel's own (<linux/signal.h>).
 */
#ifndef PALIMPSEST_SHIM_BASE_INCLUDE_STRING_H
#define PALIMPSEST_SHIM_BASE_INCLUDE_STRING_H

#include <stddef.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t size);
void *memmove(void *dst, const void *src, size_t size);
void *memset(void *dst, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);

#endif
