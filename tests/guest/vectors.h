/* vectors.h: what vector registers the processor has and the kernel keeps. */
#ifndef PALIMPSEST_TESTS_VECTORS_H
#define PALIMPSEST_TESTS_VECTORS_H

#include <cpuid.h>

enum { SSE, AVX, AVX512 }; /* AVX512: with opmasks of 64 bits (F and BW) */

static inline int vector_level(void)
{
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AVX))
        return SSE;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 6) != 6)
        return SSE;
    int wide = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX512F) && (b & bit_AVX512BW);
    return wide && (low & 0xe0) == 0xe0 ? AVX512 : AVX;
}

#endif
