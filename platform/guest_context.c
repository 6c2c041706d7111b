/*
 * guest_context.c: checked entry points of guest_context.h.
 */
#include "platform/guest_context.h"

#include "platform/contract.h"
#include "platform/platform.h"

/*
 * What FXSAVE writes, and how it wants its operand aligned (as XSAVE does). SDM vol. 1, 10.5 and
 * 13.4.
 */
enum { LEGACY_STATE_SIZE = 512, STATE_ALIGN = 64 };
/* struct rseq of linux/rseq.h, and its alignment */
enum { SEQUENCE_AREA_SIZE = 32 };

struct guest_context *guest_context_create(struct platform *p, int *err)
{
    PLATFORM_REQUIRE(err != NULL);
    return p->guest->context_create(p, err);
}

void guest_context_destroy(struct platform *p, struct guest_context *ctx)
{
    PLATFORM_REQUIRE(ctx != NULL);
    p->guest->context_destroy(p, ctx);
}

void guest_context_copy(struct platform *p, struct guest_context *dst, struct guest_context *src)
{
    PLATFORM_REQUIRE(dst != NULL && src != NULL && dst != src);
    p->guest->context_copy(p, dst, src);
}

void guest_context_reset_extended(struct platform *p, struct guest_context *ctx)
{
    PLATFORM_REQUIRE(ctx != NULL);
    p->guest->context_reset_extended(p, ctx);
}

size_t guest_extended_size(struct platform *p)
{
    return p->guest->extended_size(p);
}

uint64_t guest_extended_mask(struct platform *p)
{
    return p->guest->extended_mask(p);
}

void guest_extended_save(struct platform *p, struct guest_context *ctx, void *out)
{
    PLATFORM_REQUIRE(ctx != NULL && out != NULL && (uintptr_t)out % STATE_ALIGN == 0);
    p->guest->extended_save(p, ctx, out);
}

int guest_extended_load(struct platform *p, struct guest_context *ctx, const void *in, size_t size)
{
    PLATFORM_REQUIRE(ctx != NULL && in != NULL && (uintptr_t)in % STATE_ALIGN == 0);
    PLATFORM_REQUIRE(size == LEGACY_STATE_SIZE || size == guest_extended_size(p));
    return p->guest->extended_load(p, ctx, in, size);
}

void guest_run(struct platform *p, struct guest_context *ctx, struct guest_exit *exit)
{
    PLATFORM_REQUIRE(ctx != NULL && exit != NULL);
    p->guest->run(p, ctx, exit);
}

void guest_interrupt(struct platform *p, struct thread *t)
{
    PLATFORM_REQUIRE(t != NULL);
    p->guest->interrupt(p, t);
}

int guest_sequence(struct platform *p, struct guest_addr area, uint32_t signature)
{
    PLATFORM_REQUIRE(area.raw % SEQUENCE_AREA_SIZE == 0);
    PLATFORM_REQUIRE(area.raw == 0 || guest_range_ok(p, area, SEQUENCE_AREA_SIZE));
    return p->guest->sequence(p, area, signature);
}

int guest_barrier(struct platform *p, enum guest_barrier_kind kind, int cpu)
{
    PLATFORM_REQUIRE(kind < GUEST_BARRIER_KINDS);
    return p->guest->barrier(p, kind, cpu);
}
