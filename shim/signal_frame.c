/*
 * signal_frame.c: frames of signal handlers, pushed and popped. Everything read back from a frame is the guest's to forge:
 * it can only ruin its own registers.
 */
#include <linux/signal.h>

#include "platform/errno.h"
#include "platform/guest_context.h"
#include "shim/linux_abi/sigframe.h"
#include "shim/process.h"
#include "shim/process_internal.h"
#include "shim/shim.h"
#include "shim/sys_signal.h"
#include "shim/syscall.h"

#define RED_ZONE 128u
#define FLAG_TF 0x100u
#define FLAG_DF 0x400u
#define FLAG_RF 0x10000u
/* What a sigreturn may change: AC OF DF TF SF ZF AF PF CF RF (the kernel's FIX_EFLAGS). */
#define FLAGS_RESTORED 0x50dd5u
#define USER_CS 0x33u
#define USER_DS 0x2bu

static bool on_altstack(const struct signal_altstack *a, uint64_t sp)
{
    return sp > a->sp && sp - a->sp <= a->size;
}

static bool enters_altstack(const struct task *task, const struct abi_sigaction *action,
                            uint64_t sp)
{
    const struct signal_altstack *a = &task->altstack;
    if (!(action->flags & SA_ONSTACK) || !a->size || (a->flags & SS_DISABLE))
        return false;
    return (a->flags & SS_AUTODISARM) || !on_altstack(a, sp);
}

uint32_t signal_altstack_flags(const struct task *task)
{
    const struct signal_altstack *a = &task->altstack;
    if (!a->size)
        return SS_DISABLE;
    if (!(a->flags & SS_AUTODISARM) && on_altstack(a, task->ctx->regs.rsp))
        return SS_ONSTACK;
    return a->flags & SS_AUTODISARM;
}

/* Extended state in a 64-byte aligned buffer from the heap; *base is what to free. */
static void *extended_buffer(size_t size, void **base)
{
    *base = shim_alloc(size + 64);
    return *base ? (void *)(((uintptr_t)*base + 63) & ~(uintptr_t)63) : NULL;
}

static int push_extended(struct task *task, uint64_t at)
{
    size_t size = guest_extended_size(g_platform);
    uint64_t mask = guest_extended_mask(g_platform);
    size_t whole = mask ? size + FP_XSTATE_MAGIC2_SIZE : size;
    void *base;
    unsigned char *buffer = extended_buffer(whole, &base);
    if (!buffer)
        return -ENOMEM;
    guest_extended_save(g_platform, task->ctx, buffer);
    struct _fpx_sw_bytes sw = {0};
    if (mask) {
        uint32_t magic2 = FP_XSTATE_MAGIC2;
        sw.magic1 = FP_XSTATE_MAGIC1;
        sw.extended_size = (uint32_t)whole;
        sw.xfeatures = mask;
        sw.xstate_size = (uint32_t)size;
        memcpy(buffer + size, &magic2, sizeof(magic2));
    }
    memcpy(buffer + ABI_FX_SW_OFFSET, &sw, sizeof(sw));
    int err = user_write(at, buffer, whole);
    shim_free(base);
    return err;
}

static void save_registers(const struct task *task, struct sigcontext_64 *sc)
{
    const struct guest_regs *r = &task->ctx->regs;
    sc->r8 = r->r8;
    sc->r9 = r->r9;
    sc->r10 = r->r10;
    sc->r11 = r->r11;
    sc->r12 = r->r12;
    sc->r13 = r->r13;
    sc->r14 = r->r14;
    sc->r15 = r->r15;
    sc->di = r->rdi;
    sc->si = r->rsi;
    sc->bp = r->rbp;
    sc->bx = r->rbx;
    sc->dx = r->rdx;
    sc->ax = r->rax;
    sc->cx = r->rcx;
    sc->sp = r->rsp;
    sc->ip = r->rip;
    sc->flags = r->rflags;
    sc->cs = USER_CS;
    sc->ss = USER_DS;
    sc->err = task->fault_error;
    sc->trapno = task->fault_trap;
    sc->cr2 = task->fault_address;
}

int signal_frame_push(struct task *task, const struct abi_sigaction *action,
                      const struct abi_siginfo *info, struct sigset saved)
{
    struct guest_regs *regs = &task->ctx->regs;
    struct abi_rt_sigframe frame = {.pretcode = action->restorer, .info = *info};
    size_t extended = guest_extended_size(g_platform);
    bool xsave = guest_extended_mask(g_platform) != 0;
    uint64_t sp = regs->rsp - RED_ZONE;

    if (!(action->flags & SA_RESTORER)) /* the only way back on x86-64 */
        return -EFAULT;
    bool nested =
        on_altstack(&task->altstack, regs->rsp) && !(task->altstack.flags & SS_AUTODISARM);
    bool entering = enters_altstack(task, action, regs->rsp);
    if (entering)
        sp = task->altstack.sp + task->altstack.size;
    uint64_t fpstate = (sp - extended - (xsave ? FP_XSTATE_MAGIC2_SIZE : 0)) & ~63ull;
    uint64_t at = ((fpstate - sizeof(frame)) & ~15ull) - 8;
    /* An alternate stack that is too small must not be left downwards. */
    if ((nested || entering) && !on_altstack(&task->altstack, at))
        return -EFAULT;

    frame.uc.flags =
        ABI_UC_SIGCONTEXT_SS | ABI_UC_STRICT_RESTORE_SS | (xsave ? ABI_UC_FP_XSTATE : 0);
    frame.uc.stack.sp = task->altstack.sp;
    frame.uc.stack.size = task->altstack.size;
    frame.uc.stack.flags = (int32_t)signal_altstack_flags(task);
    save_registers(task, &frame.uc.mcontext);
    frame.uc.mcontext.oldmask = saved.bits;
    frame.uc.mcontext.fpstate = fpstate;
    frame.uc.sigmask = saved.bits;
    if (push_extended(task, fpstate) || user_write(at, &frame, sizeof(frame)))
        return -EFAULT;
    if (task->altstack.flags & SS_AUTODISARM)
        task->altstack = (struct signal_altstack){.flags = SS_DISABLE};

    guest_context_reset_extended(g_platform, task->ctx);
    regs->rdi = (uint64_t)info->si_signo;
    regs->rsi = at + offsetof(struct abi_rt_sigframe, info);
    regs->rdx = at + offsetof(struct abi_rt_sigframe, uc);
    regs->rax = 0;
    regs->rip = action->handler;
    regs->rsp = at;
    regs->rflags &= ~(uint64_t)(FLAG_DF | FLAG_RF | FLAG_TF);
    return 0;
}

static int pop_extended(struct task *task, uint64_t at)
{
    size_t size = guest_extended_size(g_platform);
    struct _fpx_sw_bytes sw;
    void *base;

    if (!at) {
        guest_context_reset_extended(g_platform, task->ctx);
        return 0;
    }
    void *buffer = extended_buffer(size, &base);
    if (!buffer)
        return -ENOMEM;
    int err = user_read(buffer, at, ABI_FX_SIZE);
    if (!err) {
        uint32_t magic2 = 0;
        size_t use = ABI_FX_SIZE;
        memcpy(&sw, (char *)buffer + ABI_FX_SW_OFFSET, sizeof(sw));
        if (guest_extended_mask(g_platform) && sw.magic1 == FP_XSTATE_MAGIC1 &&
            sw.xstate_size == size && !user_read(&magic2, at + size, sizeof(magic2)) &&
            magic2 == FP_XSTATE_MAGIC2) {
            use = size;
            err = user_read(buffer, at, size);
        }
        if (!err)
            err = guest_extended_load(g_platform, task->ctx, buffer, use);
    }
    shim_free(base);
    return err;
}

static void restore_registers(struct task *task, const struct sigcontext_64 *sc)
{
    struct guest_regs *r = &task->ctx->regs;
    r->r8 = sc->r8;
    r->r9 = sc->r9;
    r->r10 = sc->r10;
    r->r11 = sc->r11;
    r->r12 = sc->r12;
    r->r13 = sc->r13;
    r->r14 = sc->r14;
    r->r15 = sc->r15;
    r->rdi = sc->di;
    r->rsi = sc->si;
    r->rbp = sc->bp;
    r->rbx = sc->bx;
    r->rdx = sc->dx;
    r->rax = sc->ax;
    r->rcx = sc->cx;
    r->rsp = sc->sp;
    r->rip = sc->ip;
    r->rflags = (r->rflags & ~(uint64_t)FLAGS_RESTORED) | (sc->flags & FLAGS_RESTORED);
}

/* rt_sigreturn(2) */
long sys_rt_sigreturn(struct task *task, const struct syscall_args *args)
{
    struct abi_rt_sigframe frame;
    (void)args;
    /* The handler's return popped pretcode. */
    if (user_read(&frame, task->ctx->regs.rsp - 8, sizeof(frame)) ||
        pop_extended(task, frame.uc.mcontext.fpstate)) {
        signal_force(task, SIGSEGV);
        return SYSCALL_KEEP_REGS;
    }
    restore_registers(task, &frame.uc.mcontext);
    signal_set_blocked(task, (struct sigset){frame.uc.sigmask});
    /* As the kernel: a bad stack in the frame is left out without a word. */
    (void)signal_altstack_set(task, &frame.uc.stack, task->ctx->regs.rsp);
    return SYSCALL_KEEP_REGS;
}
