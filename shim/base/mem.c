/*
 * mem.c: the memory routines that compilers call on their own. They replace libc's in every program that holds shim
 * code: libc's use vector registers, which hold the guest's values while the shim runs.
 */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t size);
void *memmove(void *dst, const void *src, size_t size);
void *memset(void *dst, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
int bcmp(const void *a, const void *b, size_t size); /* Clang's name for memcmp() == 0 */

void *memcpy(void *restrict dst, const void *restrict src, size_t size)
{
    void *d = dst;
    const void *s = src;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(size) : : "memory");
    return dst;
}

void *memmove(void *dst, const void *src, size_t size)
{
    if ((uintptr_t)dst - (uintptr_t)src >= size)
        return memcpy(dst, src, size);
    unsigned char *d = dst;
    const unsigned char *s = src;
    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t)) {
        uint64_t word;
        __builtin_memcpy(&word, s + size - sizeof(word), sizeof(word));
        __builtin_memcpy(d + size - sizeof(word), &word, sizeof(word));
    }
    while (size-- > 0)
        d[size] = s[size];
    return dst;
}

void *memset(void *dst, int byte, size_t size)
{
    void *d = dst;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(size) : "a"(byte) : "memory");
    return dst;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const unsigned char *x = a, *y = b;
    size_t i = 0;
    for (uint64_t v, w; i + sizeof(v) <= size; i += sizeof(v)) {
        __builtin_memcpy(&v, x + i, sizeof(v));
        __builtin_memcpy(&w, y + i, sizeof(w));
        if (v != w)
            break;
    }
    for (; i < size; i++)
        if (x[i] != y[i])
            return x[i] - y[i];
    return 0;
}

int bcmp(const void *a, const void *b, size_t size)
{
    return memcmp(a, b, size);
}
