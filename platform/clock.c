/*
 * clock.c: checked entry points of clock.h.
 */
#include "platform/clock.h"

#include "platform/contract.h"
#include "platform/platform.h"

uint64_t clock_now(struct platform *p, enum clock_kind kind)
{
    PLATFORM_REQUIRE(kind <= CLOCK_KIND_TAI);
    return p->clock->now(p, kind);
}

uint64_t clock_guest_entry(struct platform *p, enum clock_guest_call call)
{
    PLATFORM_REQUIRE(call <= CLOCK_GUEST_GETCPU);
    uint64_t entry = p->clock->guest_entry(p, call);
    PLATFORM_REQUIRE(entry == 0 || entry < p->guest_min || entry >= p->guest_end);
    return entry;
}

void clock_entropy(struct platform *p, void *out, size_t size)
{
    PLATFORM_REQUIRE(out != NULL || size == 0);
    p->clock->entropy(p, out, size);
}
