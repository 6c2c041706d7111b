/*
 * string.h: the few string routines the shim needs, freestanding, and formatted printing.
 */
#ifndef PALIMPSEST_SHIM_BASE_STRING_H
#define PALIMPSEST_SHIM_BASE_STRING_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h> /* memcpy, memmove, memset, memcmp only: base/mem.c has them */

#include "platform/annotations.h"

size_t str_length(const char *s);
size_t str_nlength(const char *s, size_t max);
bool str_equal(const char *a, const char *b);
bool str_starts_with(const char *s, const char *prefix);
int str_compare(const char *a, const char *b);
/* Copies at most size-1 bytes and always terminates (size > 0). Result: length of src; >= size means it was cut. */
size_t str_copy(char *dst, const char *src, size_t size);
char *str_find(const char *s, char c); /* NULL: not there */
char *str_find_last(const char *s, char c);
/* Decimal, or hexadecimal after 0x. false: not a number, trailing bytes, or overflow. */
bool str_to_u64(const char *s, uint64_t *out);
bool str_to_i64(const char *s, int64_t *out);

/* %d %i %u %x %X %o %c %s %p %% with flags 0 - + #, width and precision (also *), and hh h l ll z j. Result as snprintf. No floats. */
int shim_snprintf(char *out, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);
int shim_vsnprintf(char *out, size_t size, const char *fmt, va_list args) PRINTF_LIKE(3, 0);

/* A string that grows; for /proc files and trace lines. After a failed allocation `failed` is set and appends do nothing. */
struct str_buf {
    char *data; /* NUL-terminated once anything was appended; from shim_alloc */
    size_t length, capacity;
    bool failed;
};
void str_buf_append(struct str_buf *b, const char *data, size_t size);
void str_buf_printf(struct str_buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void str_buf_free(struct str_buf *b);

#endif
