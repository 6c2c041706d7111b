/*
 * str_buf.c: a string that grows; see string.h.
 */
#include "shim/base/alloc.h"
#include "shim/base/string.h"

static bool str_buf_reserve(struct str_buf *b, size_t extra)
{
    if (b->failed)
        return false;
    size_t need = b->length + extra + 1;
    if (need <= b->capacity)
        return true;
    size_t capacity = b->capacity ? b->capacity * 2 : 128;
    if (capacity < need)
        capacity = need;
    char *data = shim_realloc(b->data, capacity);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

void str_buf_append(struct str_buf *b, const char *data, size_t size)
{
    if (!str_buf_reserve(b, size))
        return;
    memcpy(b->data + b->length, data, size);
    b->length += size;
    b->data[b->length] = '\0';
}

void str_buf_printf(struct str_buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = shim_vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    va_start(args, fmt);
    if (str_buf_reserve(b, (size_t)n)) {
        shim_vsnprintf(b->data + b->length, (size_t)n + 1, fmt, args);
        b->length += (size_t)n;
    }
    va_end(args);
}

void str_buf_free(struct str_buf *b)
{
    shim_free(b->data);
    *b = (struct str_buf){0};
}
