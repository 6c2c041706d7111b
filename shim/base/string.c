#include "shim/base/string.h"

size_t str_length(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

size_t str_nlength(const char *s, size_t max)
{
    size_t n = 0;
    while (n < max && s[n])
        n++;
    return n;
}

int str_compare(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

bool str_equal(const char *a, const char *b)
{
    return str_compare(a, b) == 0;
}

bool str_starts_with(const char *s, const char *prefix)
{
    while (*prefix)
        if (*s++ != *prefix++)
            return false;
    return true;
}

size_t str_copy(char *dst, const char *src, size_t size)
{
    size_t length = str_length(src);
    size_t take = length < size ? length : size - 1;
    memcpy(dst, src, take);
    dst[take] = '\0';
    return length;
}

char *str_find(const char *s, char c)
{
    for (;; s++) {
        if (*s == c)
            return (char *)(uintptr_t)s;
        if (!*s)
            return NULL;
    }
}

char *str_find_last(const char *s, char c)
{
    const char *found = NULL;
    for (;; s++) {
        if (*s == c)
            found = s;
        if (!*s)
            return (char *)(uintptr_t)found;
    }
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

bool str_to_u64(const char *s, uint64_t *out)
{
    unsigned base = 10;
    uint64_t value = 0;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        s += 2;
    }
    if (!*s)
        return false;
    for (; *s; s++) {
        unsigned digit = (unsigned)digit_value(*s);
        if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *out = value;
    return true;
}

bool str_to_i64(const char *s, int64_t *out)
{
    uint64_t magnitude;
    bool negative = *s == '-';
    if (*s == '-' || *s == '+')
        s++;
    if (!str_to_u64(s, &magnitude) || magnitude > (uint64_t)INT64_MAX + negative)
        return false;
    *out = (int64_t)(negative ? 0 - magnitude : magnitude);
    return true;
}
