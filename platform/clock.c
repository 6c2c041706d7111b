/*
 * clock.c: checked entry points of clock.h.
 */
#include "platform/clock.h"

#include "platform/contract.h"
#include "platform/platform.h"

uint64_t clock_now(struct platform *p, enum clock_kind kind)
{
    PLATFORM_REQUIRE(kind <= CLOCK_KIND_BOOTTIME);
    return p->clock->now(p, kind);
}

void clock_entropy(struct platform *p, void *out, size_t size)
{
    PLATFORM_REQUIRE(out != NULL || size == 0);
    p->clock->entropy(p, out, size);
}
