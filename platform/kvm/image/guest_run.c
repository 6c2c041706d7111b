/*
 * guest_run.c: contexts, extended state, into the guest and out of it.
 *
 * Ring 0 has no vector code, so the guest's extended state stays in the registers until another thread runs here. A trap from
 * ring 3 is the return of kvm_guest_enter().
 */
#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/guest_context.h"
#include "platform/kvm/image/cpu.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/kvm_image.h"
#include "platform/kvm/image/machine.h"
#include "platform/kvm/image/mm_env.h"
#include "platform/platform.h"

#define PAGE 4096u
#define RFLAGS_GUEST 0x240dd5ull /* CF PF AF ZF SF TF DF OF AC ID; never NT or IOPL */
#define USER_END (1ull << 47)
#define XSAVE_HEADER 512u
#define FXSAVE_MXCSR 24u

#define PF_PRESENT 1u /* SDM vol. 3, 4.7 */
#define PF_WRITE 2u
#define PF_FETCH 16u
#define PF_OF_SYSCALL 0x15u /* present, user, fetch */

static uint32_t g_pool_lock;
static struct kvm_context *g_free_contexts;

static void state_save(void *area)
{
    if (g_features.xsave) {
        __builtin_memset((char *)area + XSAVE_HEADER, 0, 64);
        __asm__ volatile("xsave64 (%0)"
                         :
                         : "r"(area), "a"((uint32_t)g_features.xsave_mask),
                           "d"((uint32_t)(g_features.xsave_mask >> 32))
                         : "memory");
    } else {
        __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
    }
}

static void state_restore(const void *area)
{
    if (g_features.xsave)
        __asm__ volatile("xrstor64 (%0)"
                         :
                         : "r"(area), "a"((uint32_t)g_features.xsave_mask),
                           "d"((uint32_t)(g_features.xsave_mask >> 32))
                         : "memory");
    else
        __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

static void state_reset(void *area)
{
    const uint16_t fcw = 0x37f;
    const uint32_t mxcsr = 0x1f80;
    const uint64_t features = 3;
    __builtin_memset(area, 0, g_features.xsave_size);
    __builtin_memcpy(area, &fcw, 2);
    __builtin_memcpy((char *)area + FXSAVE_MXCSR, &mxcsr, 4);
    if (g_features.xsave)
        __builtin_memcpy((char *)area + XSAVE_HEADER, &features, 8);
}

/*
 * The guest can set its bases itself where FSGSBASE lets it. While bases_live is set the registers hold them and those in memory are
 * old. Interrupts off.
 */
static void store_bases(struct thread *t)
{
    struct guest_regs *regs = t->bases_live;
    t->bases_live = NULL;
    if (!regs || !g_features.fsgsbase)
        return;
    __asm__ volatile("rdfsbase %0" : "=r"(regs->fs_base));
    __asm__ volatile("rdgsbase %0" : "=r"(regs->gs_base));
}

/* Whose state is in the registers of this processor, as this thread sees it: with interrupts off. */
void context_save_live(struct thread *t)
{
    store_bases(t);
    if (t->live) {
        state_save(t->live->base.extended);
        t->live = NULL;
    }
}

/* The context's memory holds its state from now on. */
static void settle(struct guest_context *ctx)
{
    uint64_t flags = interrupts_disable();
    struct thread *t = current();
    if ((struct guest_context *)t->live == ctx)
        context_save_live(t);
    interrupts_restore(flags);
}

static void forget(struct guest_context *ctx)
{
    uint64_t flags = interrupts_disable();
    struct thread *t = current();
    if ((struct guest_context *)t->live == ctx)
        t->live = NULL;
    interrupts_restore(flags);
}

static void pool_lock(void)
{
    while (__atomic_exchange_n(&g_pool_lock, 1, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
}

static void pool_unlock(void)
{
    __atomic_store_n(&g_pool_lock, 0, __ATOMIC_RELEASE);
}

static struct guest_context *kvm_context_create(struct platform *p UNUSED, int *err)
{
    uint64_t flags = interrupts_disable();
    pool_lock();
    struct kvm_context *ctx = g_free_contexts;
    if (ctx)
        g_free_contexts = ctx->next_free;
    pool_unlock();
    interrupts_restore(flags);
    if (!ctx)
        ctx = kvm_page_alloc();
    if (!ctx) {
        *err = -ENOMEM;
        return NULL;
    }
    __builtin_memset(ctx, 0, sizeof(*ctx));
    ctx->base.extended = (void *)(((uint64_t)(ctx + 1) + 63) & ~63ull);
    PLATFORM_REQUIRE((uint64_t)ctx->base.extended + g_features.xsave_size <= (uint64_t)ctx + PAGE);
    state_reset(ctx->base.extended);
    return &ctx->base;
}

static void kvm_context_destroy(struct platform *p UNUSED, struct guest_context *base)
{
    struct kvm_context *ctx = (struct kvm_context *)base;
    forget(base);
    uint64_t flags = interrupts_disable();
    pool_lock();
    ctx->next_free = g_free_contexts;
    g_free_contexts = ctx;
    pool_unlock();
    interrupts_restore(flags);
}

static void kvm_context_copy(struct platform *p UNUSED, struct guest_context *dst,
                             struct guest_context *src)
{
    forget(dst);
    settle(src);
    dst->regs = src->regs;
    __builtin_memcpy(dst->extended, src->extended, g_features.xsave_size);
}

static void kvm_context_reset_extended(struct platform *p UNUSED, struct guest_context *ctx)
{
    forget(ctx);
    state_reset(ctx->extended);
}

static size_t kvm_extended_size(struct platform *p UNUSED)
{
    return g_features.xsave_size;
}

static uint64_t kvm_extended_mask(struct platform *p UNUSED)
{
    return g_features.xsave_mask;
}

static void kvm_extended_save(struct platform *p UNUSED, struct guest_context *ctx, void *out)
{
    settle(ctx);
    __builtin_memcpy(out, ctx->extended, g_features.xsave_size);
}

static int kvm_extended_load(struct platform *p UNUSED, struct guest_context *ctx, const void *in,
                             size_t size)
{
    const uint8_t *image = in;
    uint32_t mxcsr;
    uint64_t features = 3;
    __builtin_memcpy(&mxcsr, image + FXSAVE_MXCSR, 4);
    if (mxcsr & ~g_features.mxcsr_mask)
        return -EINVAL;
    if (size != 512) {
        uint64_t header[8];
        if (size != g_features.xsave_size)
            return -EINVAL;
        __builtin_memcpy(header, image + XSAVE_HEADER, sizeof(header));
        if (header[0] & ~g_features.xsave_mask)
            return -EINVAL;
        for (int i = 1; i < 8; i++)
            if (header[i] != 0)
                return -EINVAL; /* compacted, or reserved: xrstor would fault */
        features = header[0];
    }
    forget(ctx);
    if (size == 512)
        state_reset(ctx->extended);
    __builtin_memcpy(ctx->extended, image, size);
    if (g_features.xsave)
        __builtin_memcpy((char *)ctx->extended + XSAVE_HEADER, &features, 8);
    return 0;
}

/* A base the processor would refuse becomes 0: the shim reports bad values to the guest before they get here. */
static uint64_t usable_base(uint64_t base)
{
    return base < USER_END ? base : 0;
}

static void load_bases(struct thread *t, struct guest_regs *regs)
{
    uint64_t fs = usable_base(regs->fs_base), gs = usable_base(regs->gs_base);
    t->bases_live = regs;
    if (g_features.fsgsbase) {
        __asm__ volatile("wrfsbase %0" : : "r"(fs));
        __asm__ volatile("wrgsbase %0" : : "r"(gs));
        return;
    }
    /* What was written last says nothing: a null selector that the guest loads clears a base, and leaves no trace. */
    write_msr(MSR_FS_BASE, fs);
    write_msr(MSR_GS_BASE, gs);
}

/* Code of the image that guests may run lies in the upper half; elsewhere there they fault. */
static bool is_canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static unsigned enter_mode(const struct guest_regs *regs)
{
    /* sysret wants what `syscall` left, and cannot set TF or RF exactly. */
    return !g_features.syscall_by_fault && regs->rcx == regs->rip && regs->r11 == regs->rflags &&
                   !(regs->rflags & RFLAGS_TF)
               ? ENTER_BY_SYSRET
               : ENTER_BY_IRET;
}

static bool general_fault(struct guest_exit *exit, uint64_t vector, uint64_t error,
                          enum guest_fault_kind kind)
{
    *exit = (struct guest_exit){
        .reason = GUEST_FAULT, .fault = kind, .error_code = error, .trap_number = vector};
    return true;
}

/* FPE_* of siginfo(2) by the first unmasked exception flag. SDM vol. 1, 8.5, 11.5.2. */
static int floating_code(uint32_t flags)
{
    if (flags & 1)
        return 7; /* FPE_FLTINV */
    if (flags & 4)
        return 3; /* FPE_FLTDIV */
    if (flags & 8)
        return 4; /* FPE_FLTOVF */
    if (flags & 0x12)
        return 5; /* FPE_FLTUND: underflow, denormal */
    if (flags & 0x20)
        return 6; /* FPE_FLTRES */
    return 14;    /* FPE_FLTUNK */
}

static bool floating_fault(struct guest_context *ctx, struct guest_exit *exit, uint64_t vector)
{
    settle(ctx);
    const uint8_t *area = ctx->extended;
    uint16_t fcw, fsw;
    uint32_t mxcsr;
    __builtin_memcpy(&fcw, area, 2);
    __builtin_memcpy(&fsw, area + 2, 2);
    __builtin_memcpy(&mxcsr, area + FXSAVE_MXCSR, 4);
    uint32_t flags =
        vector == VECTOR_X87 ? (uint32_t)(fsw & ~fcw) & 0x3f : mxcsr & ~(mxcsr >> 7) & 0x3f;
    *exit = (struct guest_exit){.reason = GUEST_FAULT,
                                .fault = GUEST_FAULT_FP,
                                .code = floating_code(flags),
                                .trap_number = vector};
    return true;
}

/* Did it come to something the caller must know? Interrupts on. */
static bool page_fault(struct thread *t, struct guest_exit *exit, uint64_t address, uint64_t error)
{
    static const enum guest_fault_kind kinds[] = {
        [MM_FAULT_UNMAPPED] = GUEST_FAULT_UNMAPPED,
        [MM_FAULT_PROTECTION] = GUEST_FAULT_PROTECTION,
        [MM_FAULT_BUS] = GUEST_FAULT_BUS,
        [MM_FAULT_NO_MEMORY] = GUEST_FAULT_NO_MEMORY,
    };
    unsigned access = error & PF_FETCH   ? MEMORY_EXEC
                      : error & PF_WRITE ? MEMORY_WRITE
                                         : MEMORY_READ;
    enum mm_fault result = MM_FAULT_UNMAPPED;
    if (address < USER_END)
        result = kvm_aspace_fault(t->aspace, address, access);
    if (result == MM_FAULT_RESOLVED)
        return false;
    *exit = (struct guest_exit){.reason = GUEST_FAULT,
                                .fault = kinds[result],
                                .addr = guest_addr(address),
                                .error_code = error,
                                .trap_number = VECTOR_PAGE};
    return true;
}

/* A system call: answered here if it is one that may be. Interrupts off before and after. true: *exit is filled. */
static bool handle_syscall(struct kvm_context *ctx, struct guest_exit *exit)
{
    struct guest_regs *regs = &ctx->base.regs;
    const guest_prompt_call *prompt = ctx->base.prompt;
    const uint32_t number = (uint32_t)regs->rax;
    if (prompt && number < GUEST_PROMPT_CALLS) {
        __asm__ volatile("sti" : : : "memory");
        long result = prompt[number](ctx->base.owner, regs);
        __asm__ volatile("cli" : : : "memory");
        if (result != GUEST_CALL_LEAVE) {
            regs->rax = (uint64_t)result;
            return false;
        }
    }
    exit->reason = GUEST_SYSCALL;
    return true;
}

/* On software KVM `int $0x80` is no instruction: it ends in an invalid opcode. */
static bool is_compat_call(const struct guest_regs *regs)
{
    uint8_t code[2];
    return g_features.syscall_by_fault &&
           guest_copy_in(&g_kvm_platform, code, guest_addr(regs->rip), sizeof(code)) == 0 &&
           code[0] == 0xcd && code[1] == VECTOR_COMPAT;
}

/* One trap out of the guest, interrupts off before and after. true: *exit is filled. */
static bool handle_trap(struct thread *t, struct kvm_context *ctx, struct guest_exit *exit,
                        uint64_t how)
{
    uint64_t vector = how & 0xffff, error = how >> 16;
    struct guest_regs *regs = &ctx->base.regs;
    if (vector == VECTOR_SYSCALL)
        return handle_syscall(ctx, exit);
    if (g_features
            .smap) /* only `syscall` clears the guest's AC, which lets ring 0 at the guest's pages */
        __asm__ volatile("clac" : : : "memory");
    uint64_t address = vector == VECTOR_PAGE ? read_cr2() : 0;
    if (vector >= 0x20 && vector != VECTOR_COMPAT) {
        trap_interrupt(vector);
        t->disturbed = true;
        if (t->cpu->reschedule)
            thread_reschedule();
        return false;
    }
    if (vector == VECTOR_PAGE && g_features.syscall_by_fault && error == PF_OF_SYSCALL &&
        address == (uint64_t)syscall_entry && regs->rip == address) {
        regs->rip = regs->rcx;
        regs->rflags = regs->r11;
        return handle_syscall(ctx, exit);
    }
    __asm__ volatile("sti" : : : "memory");
    bool out = true;
    switch (vector) {
    case VECTOR_PAGE:
        out = page_fault(t, exit, address, error);
        break;
    case VECTOR_DIVIDE:
        general_fault(exit, vector, error, GUEST_FAULT_DIVIDE);
        break;
    case VECTOR_DEBUG:
        general_fault(exit, vector, error, GUEST_FAULT_STEP);
        break;
    case VECTOR_BREAKPOINT:
        general_fault(exit, vector, error, GUEST_FAULT_BREAKPOINT);
        break;
    case VECTOR_OVERFLOW:
        general_fault(exit, vector, error, GUEST_FAULT_OVERFLOW);
        break;
    case VECTOR_ILLEGAL:
        if (is_compat_call(regs)) {
            regs->rip += 2;
            general_fault(exit, VECTOR_COMPAT, 0, GUEST_FAULT_COMPAT);
        } else {
            general_fault(exit, vector, error, GUEST_FAULT_ILLEGAL);
        }
        break;
    case VECTOR_ALIGNMENT:
        general_fault(exit, vector, error, GUEST_FAULT_ALIGNMENT);
        break;
    case VECTOR_X87:
    case VECTOR_SIMD:
        floating_fault(&ctx->base, exit, vector);
        break;
    case VECTOR_COMPAT:
        general_fault(exit, vector, error, GUEST_FAULT_COMPAT);
        break;
    default:
        general_fault(exit, vector, error, GUEST_FAULT_GENERAL);
        break;
    }
    interrupts_disable();
    return out;
}

/* Everything the processor must have before it goes to ring 3. Interrupts off. */
static void prepare(struct thread *t, struct kvm_context *ctx)
{
    struct cpu *cpu = t->cpu;
    if (cpu->frame_of != ctx) {
        cpu->frame_of = ctx;
        cpu->frame_top = (uint64_t)&ctx->base.regs.fs_base;
        cpu->tss.rsp[0] = cpu->frame_top;
    }
    if (t->live != ctx) {
        context_save_live(t);
        state_restore(ctx->base.extended);
        t->live = ctx;
    }
    if (!t->bases_live)
        load_bases(t, &ctx->base.regs);
}

/* Result: false: *exit is filled. Interrupts off before and after. */
static bool resume(struct thread *t, struct guest_regs *regs, struct guest_exit *exit)
{
    if (!t->disturbed || !t->sequence || sequence_resume(t, regs))
        return true;
    general_fault(exit, VECTOR_GENERAL, 0, GUEST_FAULT_SEQUENCE);
    return false;
}

static void kvm_guest_run(struct platform *p UNUSED, struct guest_context *base,
                          struct guest_exit *exit)
{
    struct thread *t = current();
    struct kvm_context *ctx = (struct kvm_context *)base;
    struct guest_regs *regs = &base->regs;
    PLATFORM_REQUIRE(t->aspace != NULL);
    regs->rflags = (regs->rflags & RFLAGS_GUEST) | RFLAGS_ALWAYS | RFLAGS_IF;
    regs->cs = SELECTOR_USER_CODE;
    regs->ss = SELECTOR_USER_DATA;
    uint64_t flags = interrupts_disable();
    for (;;) {
        if (__atomic_exchange_n(&t->interrupt, 0, __ATOMIC_SEQ_CST)) {
            t->disturbed = true;
            if (resume(t, regs, exit))
                exit->reason = GUEST_INTERRUPT;
            break;
        }
        if (!resume(t, regs, exit))
            break;
        if (!is_canonical(
                regs->rip)) { /* iretq itself would fault, and sysret in ring 0 (CVE-2012-0217) */
            general_fault(exit, VECTOR_GENERAL, 0, GUEST_FAULT_GENERAL);
            break;
        }
        prepare(t, ctx);
        uint64_t entered = read_tsc();
        __atomic_store_n(&t->entered_tsc, entered, __ATOMIC_RELAXED);
        __atomic_store_n(&t->in_guest, 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&t->interrupt, __ATOMIC_SEQ_CST)) {
            t->in_guest = 0;
            __atomic_store_n(&t->entered_tsc, 0, __ATOMIC_RELAXED);
            continue;
        }
        uint64_t how = kvm_guest_enter(ctx, enter_mode(regs));
        __atomic_store_n(&t->in_guest, 0, __ATOMIC_RELAXED);
        t->guest_tsc += read_tsc() - entered;
        __atomic_store_n(&t->entered_tsc, 0, __ATOMIC_RELEASE);
        if (handle_trap(t, ctx, exit, how)) {
            if (exit->reason == GUEST_FAULT) { /* a signal, as far as the guest can tell */
                t->disturbed = true;
                struct guest_exit bad;
                if (!resume(t, regs, &bad))
                    *exit = bad;
            }
            break;
        }
    }
    store_bases(t);
    interrupts_restore(flags);
}

static void kvm_guest_interrupt(struct platform *p, struct thread *t)
{
    bool pending = __atomic_exchange_n(&t->interrupt, 1, __ATOMIC_SEQ_CST) != 0;
    if (!pending && __atomic_load_n(&t->in_guest, __ATOMIC_SEQ_CST)) {
        /* Where it runs may change meanwhile: then it has looked at its flag since. */
        struct cpu *cpu = __atomic_load_n(&t->cpu, __ATOMIC_ACQUIRE);
        uint64_t flags = interrupts_disable();
        apic_send(cpu->index, VECTOR_RESCHEDULE);
        interrupts_restore(flags);
    }
    kvm_thread_ops.unpark(p, t);
}

/* Every processor that has the space loaded takes an interrupt: a barrier, serialising, and a disturbance. */
static int kvm_guest_barrier(struct platform *p UNUSED, enum guest_barrier_kind kind,
                             int cpu UNUSED)
{
    mm_flush(kind == GUEST_BARRIER_EVERYWHERE ? NULL : current()->aspace, 0, 1);
    return 0;
}

const struct guest_ops kvm_guest_ops = {
    .context_create = kvm_context_create,
    .context_destroy = kvm_context_destroy,
    .context_copy = kvm_context_copy,
    .context_reset_extended = kvm_context_reset_extended,
    .extended_size = kvm_extended_size,
    .extended_mask = kvm_extended_mask,
    .extended_save = kvm_extended_save,
    .extended_load = kvm_extended_load,
    .run = kvm_guest_run,
    .interrupt = kvm_guest_interrupt,
    .sequence = kvm_guest_sequence,
    .barrier = kvm_guest_barrier,
};
