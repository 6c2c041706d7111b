/*
 * guest_run.c: contexts, extended state, and the way into the guest. The way out is fault.c.
 */
#include "platform/linux_user/lu.h"

#include <asm/prctl.h>
#include <linux/time.h>

/* After the FXSAVE area: xstate_bv, xcomp_bv, reserved. SDM vol. 1, 13.4 */
#define XSAVE_HEADER 512u
/* Needs permission from the host kernel, which guests are not given */
#define XFEATURE_AMX (3ull << 17)
#define XFEATURE_PKRU 9
#define PKRU_KEY0 3u /* access and write disabled */
/* CF PF AF ZF SF TF DF OF AC ID; never NT or IOPL: iretq would fault */
#define RFLAGS_GUEST 0x240dd5ull
#define RFLAGS_ALWAYS 0x202ull
#define RFLAGS_TF 0x100ull
#define USER_CS 0x33
#define USER_SS 0x2b

#define CONTEXT_SIZE 4096u

/* What guest_run of a thread without memory waits for the shim to hear of it, a millisecond each */
#define STRANDED_RUNS 1000u

static struct lu_pool g_contexts = {.size = CONTEXT_SIZE};

static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "a"(leaf), "c"(subleaf));
}

void lu_cpu_probe(void)
{
    uint32_t r[4];
    cpuid(1, 0, r);
    g_lu.has_xsave = (r[2] >> 27) & 1; /* OSXSAVE */
    g_lu.xsave_size = 512;
    g_lu.eager_pages = 1;
    g_lu.mxcsr_mask = 0xffbf;
    uint8_t image[512] __attribute__((aligned(64))) = {0};
    __asm__ volatile("fxsave64 %0" : "=m"(image));
    uint32_t mask;
    __builtin_memcpy(&mask, image + 28, 4);
    if (mask)
        g_lu.mxcsr_mask = mask;
    if (!g_lu.has_xsave)
        return;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    g_lu.xsave_mask = (low | (uint64_t)high << 32) & ~XFEATURE_AMX;
    g_lu.xsave_size = 576;
    for (uint32_t feature = 2; feature < 63; feature++) {
        if (!((g_lu.xsave_mask >> feature) & 1))
            continue;
        cpuid(0xd, feature, r);
        if (r[1] + r[0] > g_lu.xsave_size)
            g_lu.xsave_size = r[1] + r[0];
        if (feature == XFEATURE_PKRU)
            g_lu.pkru_offset = r[1];
    }
    g_lu.eager_pages = (g_lu.xsave_size + LU_HANDLER_FRAMES + 4095) / 4096;
    PLATFORM_REQUIRE(g_lu.xsave_size + sizeof(struct lu_context) + 64 <= CONTEXT_SIZE);
}

static void area_save(void *area)
{
    if (g_lu.has_xsave) {
        __builtin_memset((char *)area + XSAVE_HEADER, 0, 64);
        __asm__ volatile("xsave64 (%0)"
                         :
                         : "r"(area), "a"((uint32_t)g_lu.xsave_mask),
                           "d"((uint32_t)(g_lu.xsave_mask >> 32))
                         : "memory");
    } else {
        __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
    }
}

static void area_restore(const void *area)
{
    if (g_lu.has_xsave)
        __asm__ volatile("xrstor64 (%0)"
                         :
                         : "r"(area), "a"((uint32_t)g_lu.xsave_mask),
                           "d"((uint32_t)(g_lu.xsave_mask >> 32))
                         : "memory");
    else
        __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

/* Our memory has key 0, as the guest's own: what the guest denied itself, it gets back when it comes out. */
static void area_allow_key0(void *area)
{
    uint32_t pkru;
    if (!g_lu.pkru_offset)
        return;
    __builtin_memcpy(&pkru, (char *)area + g_lu.pkru_offset, sizeof(pkru));
    pkru &= ~PKRU_KEY0; /* when it is in its initial state, this is not looked at */
    __builtin_memcpy((char *)area + g_lu.pkru_offset, &pkru, sizeof(pkru));
}

void lu_extended_from_frame(void *fpstate)
{
    if (!fpstate)
        return;
    area_allow_key0(fpstate);
    area_restore(fpstate);
}

static void area_reset(void *area)
{
    __builtin_memset(area, 0, g_lu.xsave_size);
    uint16_t fcw = 0x37f;
    uint32_t mxcsr = 0x1f80;
    __builtin_memcpy(area, &fcw, 2);
    __builtin_memcpy((char *)area + 24, &mxcsr, 4);
    /* x87 and SSE as the fields above say, the rest in its initial state. */
    uint64_t features = 3;
    if (g_lu.has_xsave)
        __builtin_memcpy((char *)area + XSAVE_HEADER, &features, 8);
}

static struct guest_context *lu_guest_context_create(struct platform *p UNUSED, int *err)
{
    struct lu_context *ctx = lu_pool_get(&g_contexts);
    if (!ctx) {
        *err = -ENOMEM;
        return NULL;
    }
    ctx->mark = LU_MARK;
    ctx->base.extended = (void *)(((uint64_t)ctx->area + 63) & ~63ull);
    area_reset(ctx->base.extended);
    return &ctx->base;
}

static void lu_guest_context_destroy(struct platform *p UNUSED, struct guest_context *ctx)
{
    struct thread *t = lu_current();
    if (t->live_ctx == ctx)
        t->live_ctx = NULL;
    lu_pool_put(&g_contexts, ctx);
}

void lu_context_store(struct guest_context *ctx)
{
    area_save(ctx->extended);
}

static void lu_guest_context_copy(struct platform *p UNUSED, struct guest_context *dst,
                                  struct guest_context *src)
{
    struct thread *t = lu_current();
    if (t->live_ctx == dst)
        t->live_ctx = NULL;
    dst->regs = src->regs;
    if (t->live_ctx == src)
        area_save(dst->extended);
    else
        __builtin_memcpy(dst->extended, src->extended, g_lu.xsave_size);
}

static void lu_guest_context_reset_extended(struct platform *p UNUSED, struct guest_context *ctx)
{
    struct thread *t = lu_current();
    if (t->live_ctx == ctx)
        t->live_ctx = NULL;
    area_reset(ctx->extended);
}

static size_t lu_guest_extended_size(struct platform *p UNUSED)
{
    return g_lu.xsave_size;
}

static uint64_t lu_guest_extended_mask(struct platform *p UNUSED)
{
    return g_lu.has_xsave ? g_lu.xsave_mask : 0;
}

static void lu_guest_extended_save(struct platform *p UNUSED, struct guest_context *ctx, void *out)
{
    if (lu_current()->live_ctx == ctx)
        area_save(ctx->extended);
    __builtin_memcpy(out, ctx->extended, g_lu.xsave_size);
}

static int lu_guest_extended_load(struct platform *p UNUSED, struct guest_context *ctx,
                                  const void *in, size_t size)
{
    struct thread *t = lu_current();
    const uint8_t *image = in;
    uint32_t mxcsr;
    __builtin_memcpy(&mxcsr, image + 24, 4);
    if (mxcsr & ~g_lu.mxcsr_mask)
        return -EINVAL;
    uint64_t features = 3;
    if (size != 512) {
        if (size != g_lu.xsave_size)
            return -EINVAL;
        uint64_t header[8];
        __builtin_memcpy(header, image + XSAVE_HEADER, sizeof(header));
        if (header[0] & ~g_lu.xsave_mask)
            return -EINVAL;
        for (int i = 1; i < 8; i++)
            if (header[i] != 0)
                return -EINVAL; /* compacted, or reserved bits: xrstor would fault */
        features = header[0];
    }
    if (t->live_ctx == ctx)
        t->live_ctx = NULL;
    if (size == 512)
        area_reset(ctx->extended);
    __builtin_memcpy(ctx->extended, image, size);
    if (g_lu.has_xsave)
        __builtin_memcpy((char *)ctx->extended + XSAVE_HEADER, &features, 8);
    area_allow_key0(ctx->extended);
    return 0;
}

/* A base the processor would refuse becomes 0: the shim reports bad values to the guest before they get here. */
static uint64_t usable_base(uint64_t base)
{
    return (uint64_t)((int64_t)(base << 16) >> 16) == base ? base : 0;
}

/*
 * FS is the guest's. GS is the context's address while guest code runs, so that patched sites find their way; a guest that has a GS base
 * of its own gets it, is entered by iretq, and its space is never patched.
 */
static enum lu_enter_mode load_segment_bases(struct lu_context *ctx, struct lu_aspace *as)
{
    struct guest_regs *regs = &ctx->base.regs;
    uint64_t fs = usable_base(regs->fs_base), gs = usable_base(regs->gs_base), now;
    if (!g_lu.has_fsgsbase) {
        host_call(__NR_arch_prctl, ARCH_SET_FS, fs);
        host_call(__NR_arch_prctl, ARCH_SET_GS, gs);
        return LU_ENTER_BY_IRET;
    }
    enum lu_enter_mode mode = gs || (regs->rflags & RFLAGS_TF) ? LU_ENTER_BY_IRET : LU_ENTER_BY_GS;
    if (gs)
        lu_patch_refuse(as, as->carrier);
    else
        gs = (uint64_t)ctx;
    __asm__ volatile("wrfsbase %0" : : "r"(fs));
    ctx->loaded_fs = fs;
    ctx->gs_is_ours = gs == (uint64_t)ctx;
    __asm__("rdgsbase %0" : "=r"(now));
    if (now != gs)
        __asm__ volatile("wrgsbase %0" : : "r"(gs));
    return mode;
}

/* As the processor has them since this context came out, unless somebody changed them. */
static bool segment_bases_loaded(const struct lu_context *ctx)
{
    const struct guest_regs *regs = &ctx->base.regs;
    return regs->fs_base == ctx->loaded_fs && regs->gs_base == 0 && ctx->gs_is_ours &&
           !(regs->rflags & RFLAGS_TF);
}

static void interrupted(struct thread *t, struct guest_exit *exit)
{
    /* As late as a kernel, which looks at the area when it has to write there. The interrupt stays for the next run. */
    if (t->sequence_lost) {
        t->sequence_lost = false;
        *exit = (struct guest_exit){.reason = GUEST_FAULT, .fault = GUEST_FAULT_SEQUENCE};
        return;
    }
    __atomic_store_n(&t->entry.interrupt, 0, __ATOMIC_SEQ_CST);
}

/* The shim is about to hear of it, unless the space was no process's yet. */
static void run_stranded(struct thread *t, struct guest_exit *exit)
{
    static const struct timespec moment = {.tv_nsec = 1000000};
    *exit = (struct guest_exit){.reason = GUEST_INTERRUPT};
    if (++t->stranded_runs > STRANDED_RUNS)
        *exit = (struct guest_exit){.reason = GUEST_FAULT, .fault = GUEST_FAULT_SEQUENCE};
    __atomic_store_n(&t->entry.interrupt, 0, __ATOMIC_SEQ_CST);
    host_call(__NR_nanosleep, &moment, 0);
}

static void lu_guest_run(struct platform *p UNUSED, struct guest_context *base,
                         struct guest_exit *exit)
{
    struct thread *t = lu_current();
    struct lu_context *ctx = (struct lu_context *)base;
    PLATFORM_REQUIRE(t->canary == LU_STACK_CANARY && t->aspace != NULL);
    struct guest_regs *regs = &base->regs;
    enum lu_enter_mode mode = LU_ENTER_BY_GS;
    regs->rflags = (regs->rflags & RFLAGS_GUEST) | RFLAGS_ALWAYS;
    if (t->live_ctx != base) {
        if (lu_is_stranded(t)) {
            run_stranded(t, exit);
            return;
        }
        lu_save_live_context(t);
        area_restore(base->extended);
        t->live_ctx = base;
        mode = load_segment_bases(ctx, t->aspace);
    } else if (!segment_bases_loaded(ctx)) {
        mode = load_segment_bases(ctx, t->aspace);
    }
    if (__builtin_expect(t->sequence != t->worker->sequence, 0))
        lu_sequence_sync(t);
    regs->cs = USER_CS;
    regs->ss = USER_SS;
    exit->reason = GUEST_INTERRUPT;
    t->entry.ctx = base;
    t->entry.exit = exit;
    ctx->entry = &t->entry;
    int how = lu_guest_enter(regs, &t->entry, mode);
    if (how == LU_RUN_SYSCALL || how == LU_RUN_ANSWERED) {
        __asm__("rdfsbase %0" : "=r"(regs->fs_base));
        ctx->loaded_fs = regs->fs_base;
    }
    if (__builtin_expect(g_lu.detailed_stats, 0) && how == LU_RUN_SYSCALL)
        __atomic_add_fetch(&g_lu.calls_patched, 1, __ATOMIC_RELAXED);
    if (how == LU_RUN_SYSCALL)
        exit->reason = GUEST_SYSCALL;
    else if (exit->reason == GUEST_INTERRUPT)
        interrupted(t, exit);
    else if (exit->reason == GUEST_SYSCALL)
        lu_patch_consider(t->aspace, t->aspace->carrier, regs);
}

static void lu_guest_interrupt(struct platform *p UNUSED, struct thread *t)
{
    /*
     * One kick until the interrupt is seen: whoever finds the flag set relies on the one who set it. A flood of kicks would pile up
     * frames faster than the handler can leave the signal stack. A parked thread wakes and looks by itself.
     */
    bool pending = __atomic_exchange_n(&t->entry.interrupt, 1, __ATOMIC_SEQ_CST) != 0;
    if (lu_give_token(t) || pending)
        return;
    struct lu_worker *w = __atomic_load_n(&t->worker, __ATOMIC_ACQUIRE);
    /* Else it is on its way, and looks when it is there */
    if (__atomic_load_n(&w->running, __ATOMIC_SEQ_CST) == t)
        lu_kick(w);
}

const struct guest_ops lu_guest_ops = {
    .context_create = lu_guest_context_create,
    .context_destroy = lu_guest_context_destroy,
    .context_copy = lu_guest_context_copy,
    .context_reset_extended = lu_guest_context_reset_extended,
    .extended_size = lu_guest_extended_size,
    .extended_mask = lu_guest_extended_mask,
    .extended_save = lu_guest_extended_save,
    .extended_load = lu_guest_extended_load,
    .run = lu_guest_run,
    .interrupt = lu_guest_interrupt,
    .sequence = lu_guest_sequence,
    .barrier = lu_guest_barrier,
};
