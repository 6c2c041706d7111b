/*
 * no_guest.c: see no_guest.h.
 */
#include "platform/stock/no_guest.h"

#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/platform.h"
#include "platform/thread.h"

/* The image FXSAVE writes; offsets from SDM vol. 1, table 10-2. */
enum { FXSAVE_SIZE = 512, FXSAVE_FCW = 0, FXSAVE_MXCSR = 24 };
enum { FRESH_FCW = 0x37f, FRESH_MXCSR = 0x1f80, MXCSR_ALLOWED = 0xffff };

struct no_guest_context {
    struct guest_context base;
    unsigned char extended[FXSAVE_SIZE];
};
_Static_assert(offsetof(struct no_guest_context, base) == 0, "cast from struct guest_context");

static bool g_interrupted;

static struct no_guest_context *own(struct guest_context *ctx)
{
    return (struct no_guest_context *)ctx;
}

static void no_guest_context_reset_extended(struct platform *p UNUSED, struct guest_context *ctx)
{
    const uint16_t fcw = FRESH_FCW;
    const uint32_t mxcsr = FRESH_MXCSR;
    unsigned char *image = own(ctx)->extended;
    __builtin_memset(image, 0, FXSAVE_SIZE);
    __builtin_memcpy(image + FXSAVE_FCW, &fcw, sizeof(fcw));
    __builtin_memcpy(image + FXSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
}

static struct guest_context *no_guest_context_create(struct platform *p, int *err)
{
    struct no_guest_context *ctx = p->memory->shim_alloc(p, p->page_size);
    if (!ctx) {
        *err = -ENOMEM;
        return NULL;
    }
    ctx->base.extended = ctx->extended;
    no_guest_context_reset_extended(p, &ctx->base);
    return &ctx->base;
}

static void no_guest_context_destroy(struct platform *p, struct guest_context *ctx)
{
    p->memory->shim_free(p, own(ctx), p->page_size);
}

static void no_guest_context_copy(struct platform *p UNUSED, struct guest_context *dst,
                                  struct guest_context *src)
{
    dst->regs = src->regs;
    __builtin_memcpy(own(dst)->extended, own(src)->extended, FXSAVE_SIZE);
}

static size_t no_guest_extended_size(struct platform *p UNUSED)
{
    return FXSAVE_SIZE;
}

static uint64_t no_guest_extended_mask(struct platform *p UNUSED)
{
    return 0;
}

static void no_guest_extended_save(struct platform *p UNUSED, struct guest_context *ctx, void *out)
{
    __builtin_memcpy(out, own(ctx)->extended, FXSAVE_SIZE);
}

static int no_guest_extended_load(struct platform *p UNUSED, struct guest_context *ctx,
                                  const void *in, size_t size UNUSED)
{
    uint32_t mxcsr;
    __builtin_memcpy(&mxcsr, (const unsigned char *)in + FXSAVE_MXCSR, sizeof(mxcsr));
    if (mxcsr & ~(uint32_t)MXCSR_ALLOWED)
        return -EINVAL;
    __builtin_memcpy(own(ctx)->extended, in, FXSAVE_SIZE);
    return 0;
}

static void no_guest_run(struct platform *p UNUSED, struct guest_context *ctx UNUSED,
                         struct guest_exit *exit)
{
    exit->reason = g_interrupted ? GUEST_INTERRUPT : GUEST_END;
    g_interrupted = false;
}

static void no_guest_interrupt(struct platform *p, struct thread *t)
{
    g_interrupted = true;
    p->thread->unpark(p, t);
}

int stock_no_sequence(struct platform *p UNUSED, struct guest_addr area, uint32_t signature UNUSED)
{
    return area.raw ? -ENOTSUP : 0;
}

int stock_no_barrier(struct platform *p UNUSED, enum guest_barrier_kind kind UNUSED, int cpu UNUSED)
{
    return -ENOTSUP;
}

const struct guest_ops stock_no_guest_ops = {
    .context_create = no_guest_context_create,
    .context_destroy = no_guest_context_destroy,
    .context_copy = no_guest_context_copy,
    .context_reset_extended = no_guest_context_reset_extended,
    .extended_size = no_guest_extended_size,
    .extended_mask = no_guest_extended_mask,
    .extended_save = no_guest_extended_save,
    .extended_load = no_guest_extended_load,
    .run = no_guest_run,
    .interrupt = no_guest_interrupt,
    .sequence = stock_no_sequence,
    .barrier = stock_no_barrier,
};
