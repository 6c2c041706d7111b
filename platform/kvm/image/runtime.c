/*
 * runtime.c: what the compiler calls by itself and libgcc would have: built without regard for interrupts on the same stack (red
 * zone), that one is not linked.
 */
#include <stdint.h>

int __popcountdi2(int64_t value);

int __popcountdi2(int64_t value)
{
    uint64_t v = (uint64_t)value;
    v -= v >> 1 & 0x5555555555555555u;
    v = (v & 0x3333333333333333u) + (v >> 2 & 0x3333333333333333u);
    v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (int)(v * 0x0101010101010101u >> 56);
}
