/*
 * fault.c: every host signal of a carrier comes here: a trapped system call, the guest's fault, a fault of a fallible copy, or a
 * kick. What it means follows from the interrupted RIP.
 *
 *   guest code            save registers from the frame, put the extended state back into the processor, leave for the shim stack
 *   entry window          the same, but the guest's registers are those in its context: the live ones are half loaded
 *   fallible copy         go on at the landing
 *   interruptible call    a kick before the syscall instruction moves on to its -EINTR exit
 *   prompt window         a kick moves on to the way out: the answered call is over, all registers are known
 *   door of a patched site  a fault or step: the guest may not touch our memory, or single-steps; its call arrives as if trapped
 *   vDSO, called by us    its fallback is a host call: made here
 *   other shim code       a kick is remembered (the flags were set by its sender); anything else is a bug of ours
 */
#include "platform/linux_user/control.h"
#include "platform/linux_user/lu.h"

#include <asm/sigcontext.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/ucontext.h>
#include <linux/audit.h>

#include "shim/base/string.h"

#define SYS_SECCOMP_CODE 1
#define SYS_USER_DISPATCH_CODE 2
#define SA_RESTORER_FLAG 0x04000000
/* SDM vol. 3, 6.3.1 */
#define TRAP_DEBUG 1
#define TRAP_BREAKPOINT 3

/* struct sigaction and ucontext as the kernel has them, with integers where its headers use pointers. */
struct kernel_sigaction {
    void *handler;
    uint64_t flags;
    void *restorer;
    uint64_t mask;
};
struct kernel_siginfo {
    int32_t signo, error, code, pad;
    union {
        uint64_t addr;
        struct {
            uint64_t call_addr;
            int32_t nr;
            uint32_t arch;
        } sys;
    };
};
struct kernel_context {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip,
        rflags;
    uint16_t cs, gs, fs, ss;
    uint64_t err, trapno, oldmask, cr2;
    void *fpstate;
};
struct kernel_ucontext {
    uint64_t flags;
    uint64_t link;
    uint64_t stack[3];
    struct kernel_context mc;
};
_Static_assert(sizeof(struct kernel_context) + 64 == sizeof(struct sigcontext),
               "sigcontext: eight reserved words follow");
_Static_assert(offsetof(struct kernel_ucontext, mc) == offsetof(struct ucontext, uc_mcontext),
               "ucontext");

void lu_signal_return(void);
__asm__(".text\n.globl lu_signal_return\n.type lu_signal_return, @function\n"
        "lu_signal_return:\n\tmov $15, %eax\n\tsyscall\n\tud2\n"); /* rt_sigreturn(2) */

static void save_registers(struct guest_regs *regs, const struct kernel_context *mc)
{
    regs->r15 = mc->r15;
    regs->r14 = mc->r14;
    regs->r13 = mc->r13;
    regs->r12 = mc->r12;
    regs->rbp = mc->rbp;
    regs->rbx = mc->rbx;
    regs->r11 = mc->r11;
    regs->r10 = mc->r10;
    regs->r9 = mc->r9;
    regs->r8 = mc->r8;
    regs->rax = mc->rax;
    regs->rcx = mc->rcx;
    regs->rdx = mc->rdx;
    regs->rsi = mc->rsi;
    regs->rdi = mc->rdi;
    regs->rip = mc->rip;
    regs->rflags = mc->rflags;
    regs->rsp = mc->rsp;
}

static void classify_segv(struct guest_exit *exit, const struct kernel_siginfo *info,
                          const struct kernel_context *mc)
{
    /* Without an address from the processor, trapno and cr2 may be of an earlier fault: vsyscall page */
    if (mc->trapno != 14 || info->code == SI_KERNEL) {
        exit->fault = GUEST_FAULT_GENERAL;
        exit->addr = guest_addr(0);
        return;
    }
    exit->fault = info->code == SEGV_MAPERR ? GUEST_FAULT_UNMAPPED : GUEST_FAULT_PROTECTION;
    exit->addr = guest_addr(mc->cr2);
}

static void classify(struct guest_exit *exit, const struct kernel_siginfo *info,
                     const struct kernel_context *mc)
{
    if (info->signo == LU_KICK_SIGNAL) {
        exit->reason = GUEST_INTERRUPT;
        return;
    }
    if (info->signo == SIGSYS && info->sys.arch == AUDIT_ARCH_X86_64) {
        exit->reason = GUEST_SYSCALL;
        return;
    }
    exit->reason = GUEST_FAULT;
    exit->error_code = mc->err;
    exit->trap_number = mc->trapno;
    exit->code = info->code;
    exit->addr = guest_addr(0);
    switch (info->signo) {
    case SIGSYS:
        exit->fault = GUEST_FAULT_COMPAT;
        break;
    case SIGSEGV:
        classify_segv(exit, info, mc);
        break;
    case SIGBUS:
        exit->fault = info->code == BUS_ADRALN ? GUEST_FAULT_ALIGNMENT : GUEST_FAULT_BUS;
        exit->addr = guest_addr(info->addr);
        break;
    case SIGFPE:
        exit->fault = mc->trapno == 0 ? GUEST_FAULT_DIVIDE : GUEST_FAULT_FP;
        exit->addr = guest_addr(mc->rip);
        break;
    case SIGTRAP:
        exit->fault = mc->trapno == 3 ? GUEST_FAULT_BREAKPOINT : GUEST_FAULT_STEP;
        exit->addr = guest_addr(mc->rip);
        break;
    default:
        exit->fault = GUEST_FAULT_ILLEGAL;
        exit->addr = guest_addr(mc->rip);
        break;
    }
}

static uint64_t fixup_of(uint64_t rip)
{
    for (const struct lu_fixup *f = __start_lu_fixups; f < __stop_lu_fixups; f++)
        if ((uint64_t)&f->insn + (uint64_t)(int64_t)f->insn == rip)
            return (uint64_t)&f->landing + (uint64_t)(int64_t)f->landing;
    return 0;
}

static NO_RETURN void shim_bug(const struct kernel_siginfo *info, const struct kernel_context *mc)
{
    char line[200];
    shim_snprintf(
        line, sizeof(line),
        "signal %d in shim code at text+0x%llx, address 0x%llx, stack 0x%llx, thread stack 0x%llx",
        info->signo, (unsigned long long)(mc->rip - g_lu.text_start), (unsigned long long)mc->cr2,
        (unsigned long long)mc->rsp,
        (unsigned long long)(mc->rsp & ~(uint64_t)(THREAD_STACK_SIZE - 1)));
    platform_panic(line);
}

/* What the guest's state is made of. */
enum left_at {
    LEFT_CODE,   /* the frame's registers */
    LEFT_WINDOW, /* its context: the live registers are half loaded */
    LEFT_DOOR,   /* the frame's registers, of a call that goes on at r11 */
};

static void leave_guest(struct thread *t, const struct kernel_siginfo *info,
                        const struct kernel_context *mc, enum left_at where)
{
    struct guest_context *ctx = t->entry.ctx;
    struct guest_exit *exit = t->entry.exit;
    classify(exit, info, mc);
    if (where == LEFT_DOOR) {
        save_registers(&ctx->regs, mc);
        ctx->regs.rip = ctx->regs.rcx = mc->r11;
        ctx->regs.r11 = mc->rflags;
        exit->reason = GUEST_SYSCALL;
    } else if (where == LEFT_CODE) {
        save_registers(&ctx->regs, mc);
        ctx->regs.rip = lu_patch_original_rip(t->aspace, mc->rip);
    } else if (exit->reason == GUEST_FAULT) {
        /* iretq refused the guest's own rip or rsp. */
        exit->fault = GUEST_FAULT_GENERAL;
        exit->addr = guest_addr(0);
    }
    if (g_lu.has_fsgsbase) {
        uint64_t gs;
        __asm__ volatile("rdfsbase %0\n\trdgsbase %1" : "=r"(ctx->regs.fs_base), "=r"(gs));
        struct lu_context *record = (struct lu_context *)ctx;
        record->loaded_fs = ctx->regs.fs_base;
        record->gs_is_ours = gs == (uint64_t)ctx;
        if (!record->gs_is_ours)
            ctx->regs.gs_base = gs; /* it set one by instruction */
    }
    lu_extended_from_frame(mc->fpstate);
    lu_guest_leave(&t->entry);
}

/*
 * A guest on its way from a patched site whose next instruction it may not execute: it denies itself key 0, has no GS base of ours (whatever
 * reading there brings), or single-steps. The moved instruction is done, r11 is where it goes on.
 */
static bool at_door(const struct thread *t, int signo, const struct kernel_context *mc)
{
    if (signo == SIGTRAP)
        return mc->trapno == TRAP_DEBUG && mc->rip == (uint64_t)lu_patched_entry;
    return (mc->rip >= (uint64_t)lu_patched_entry && mc->rip <= (uint64_t)lu_patched_known) ||
           (signo == SIGSEGV && lu_patch_stub_place(t->aspace, mc->rip) == LU_STUB_DOOR);
}

static void on_signal(int signo, struct kernel_siginfo *info, struct kernel_ucontext *uc)
{
    /* The guest's AC and NT are still set here: one would fault our accesses, the other our iretq. */
    __asm__ volatile("pushq $0x202\n\tpopfq" : : : "memory", "cc");
    struct lu_altstack_control *control = lu_altstack_control((uint64_t)__builtin_frame_address(0));
    struct lu_worker *w = control->worker;
    struct kernel_context *mc = &uc->mc;
    uint64_t rip = mc->rip;
    struct thread *t = w->running;
    bool in_guest = t && __atomic_load_n(&t->entry.in_guest, __ATOMIC_RELAXED);
    /* Called by us: the guest calls it, too */
    bool in_vdso = rip >= g_lu.vdso_start && rip < g_lu.vdso_end && !in_guest;
    bool ours = (rip >= g_lu.text_start && rip < g_lu.text_end) || in_vdso;
    bool in_window = rip >= (uint64_t)lu_enter_window_start && rip < (uint64_t)lu_enter_window_end;
    bool in_prompt_window =
        rip >= (uint64_t)lu_prompt_window_start && rip < (uint64_t)lu_prompt_window_end;
    in_window &= !lu_control(LU_CONTROL_NO_ENTER_WINDOW);
    in_prompt_window &= !lu_control(LU_CONTROL_NO_PROMPT_WINDOW);

    if (signo == SIGSEGV && info->code == SI_KERNEL && t && lu_sequence_went_bad(w)) {
        lu_sequence_give_back(w);
        t->sequence = 0;
        t->sequence_lost = true;
        /* Wherever it was, guest_run tells when it comes out */
        __atomic_store_n(&t->entry.interrupt, 1, __ATOMIC_SEQ_CST);
        signo = info->signo = LU_KICK_SIGNAL;
    }
    if (signo == LU_KICK_SIGNAL && w->carrier->spawn_requests)
        lu_serve_spawn_requests(w->carrier);
    if (signo == LU_KICK_SIGNAL && __atomic_load_n(&w->sequence_unwanted, __ATOMIC_SEQ_CST))
        lu_sequence_answer(w);
    if (signo == SIGSYS && in_vdso) {
        mc->rax = (uint64_t)host_call6(info->sys.nr, (long)mc->rdi, (long)mc->rsi, (long)mc->rdx,
                                       (long)mc->r10, (long)mc->r8, (long)mc->r9);
        return;
    }
    bool fault = signo != LU_KICK_SIGNAL && signo != SIGSYS && info->code > 0;
    if (fault && in_guest && !in_window && at_door(t, signo, mc))
        leave_guest(t, info, mc, LEFT_DOOR);
    if (!ours || in_window) {
        if (info->code <= 0 && signo != LU_KICK_SIGNAL && signo != SIGSYS)
            return; /* sent by somebody outside, not by the processor */
        if (!in_guest)
            shim_bug(info, mc); /* the shim jumped out of its own code */
        if (signo == SIGTRAP && !in_window && mc->trapno == TRAP_BREAKPOINT &&
            lu_patch_straggler(t->aspace, rip)) {
            mc->rip = rip - 1; /* the site is about to be a jump, or already is */
            return;
        }
        if (signo == SIGTRAP && !in_window && mc->trapno == TRAP_DEBUG &&
            lu_patch_stub_place(t->aspace, rip) >= LU_STUB_INSIDE &&
            lu_patch_stub_place(t->aspace, rip) != LU_STUB_BOUNDARY)
            return; /* a step between two instructions that are one to the guest */
        if (signo == LU_KICK_SIGNAL)
            mc->rip = lu_patch_answer_sweep(w, rip);
        if (signo == LU_KICK_SIGNAL && !__atomic_load_n(&t->entry.interrupt, __ATOMIC_SEQ_CST))
            return; /* only host threads were wanted, or the interrupt was seen already */
        leave_guest(t, info, mc, in_window ? LEFT_WINDOW : LEFT_CODE);
    }
    if (signo == LU_KICK_SIGNAL) {
        if (in_guest && in_prompt_window)
            lu_patch_answer_sweep(w, rip);
        if (t && in_prompt_window && __atomic_load_n(&t->entry.interrupt, __ATOMIC_SEQ_CST)) {
            mc->rip = (uint64_t)lu_prompt_interrupted;
            mc->rsp = t->entry.run_sp - 8;
        }
        if (rip >= (uint64_t)lu_interruptible_start && rip <= (uint64_t)lu_interruptible_syscall &&
            !lu_control(LU_CONTROL_NO_CALL_WINDOW))
            mc->rip = (uint64_t)lu_interruptible_eintr;
        return;
    }
    uint64_t landing = signo == SIGSEGV || signo == SIGBUS ? fixup_of(rip) : 0;
    if (landing)
        mc->rip = landing;
    else if (info->code > 0)
        shim_bug(info, mc);
}

int lu_signals_install(void)
{
    static const uint8_t caught[] = {SIGSYS, SIGSEGV, SIGBUS,        SIGFPE,
                                     SIGILL, SIGTRAP, LU_KICK_SIGNAL};
    /* Of the terminal and of dying readers: the supervisor or the failing call tells us. */
    static const uint8_t ignored[] = {SIGINT,  SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGHUP,
                                      SIGTERM, SIGPIPE, SIGUSR2, SIGALRM, SIGWINCH};
    struct kernel_sigaction act = {
        .handler = (void *)on_signal,
        .flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTORER_FLAG,
        .restorer = (void *)lu_signal_return,
    };
    struct kernel_sigaction ignore = {.handler = (void *)1};
    long err = 0;
    for (size_t i = 0; i < sizeof(caught) && err == 0; i++)
        err = host_call(__NR_rt_sigaction, caught[i], &act, 0, 8);
    for (size_t i = 0; i < sizeof(ignored) && err == 0; i++)
        err = host_call(__NR_rt_sigaction, ignored[i], &ignore, 0, 8);
    uint64_t none = 0;
    if (err == 0)
        err = host_call(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &none, 0, 8);
    return (int)err;
}

void lu_altstack_arm(struct lu_worker *w)
{
    char *slot = g_lu.altstack_base + (uint64_t)w->slot * LU_ALTSTACK_SIZE;
    struct lu_altstack_control *control = lu_altstack_control((uint64_t)slot);
    control->worker = w;
    for (uint32_t page = 1; page < g_lu.eager_pages; page++)
        *(volatile char *)((char *)control - page * 4096) = 0;
    struct {
        void *sp;
        int32_t flags, pad;
        uint64_t size;
    } stack = {.sp = slot, .size = LU_ALTSTACK_SIZE - sizeof(*control)};
    long err = host_call(__NR_sigaltstack, &stack, 0);
    PLATFORM_REQUIRE(err == 0);
    if (w == w->carrier->leader)
        __atomic_store_n(&w->carrier->leader_ready, 1, __ATOMIC_SEQ_CST);
}
