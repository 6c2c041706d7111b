/*
 * guest_frame.h: what C and assembly share about entering and leaving the guest.
 */
#ifndef PALIMPSEST_LINUX_USER_GUEST_FRAME_H
#define PALIMPSEST_LINUX_USER_GUEST_FRAME_H

#define LU_ENTRY_RUN_SP 0
#define LU_ENTRY_INTERRUPT 8
#define LU_ENTRY_IN_GUEST 12
#define LU_ENTRY_CTX 16

/* Offsets in struct guest_regs and struct lu_context; while guest code runs, the GS base is the context's address. */
#define GUEST_R15 0
#define GUEST_R14 8
#define GUEST_R13 16
#define GUEST_R12 24
#define GUEST_RBP 32
#define GUEST_RBX 40
#define GUEST_R11 48
#define GUEST_R10 56
#define GUEST_R9 64
#define GUEST_R8 72
#define GUEST_RAX 80
#define GUEST_RCX 88
#define GUEST_RDX 96
#define GUEST_RSI 104
#define GUEST_RDI 112
#define GUEST_RIP 120
#define GUEST_RFLAGS 136
#define GUEST_RSP 144
#define LU_CONTEXT_PROMPT 184
#define LU_CONTEXT_OWNER 192
#define LU_CONTEXT_ENTRY 200
#define LU_CONTEXT_MARK 208
#define LU_MARK                                                                                    \
    0x6d617269 /* what tells a context from memory of the guest's; fits a displacement */
#define LU_PROMPT_CALLS 512

/* CF PF AF ZF SF OF, IF and the bit that is always set: what the shim may run with, and what sahf and an addition can restore. */
#define LU_FLAGS_PLAIN 0xad7
#define LU_FLAGS_SHIM 0x202

#define LU_RUN_ANSWERED 3    /* a prompt call was answered, and an interrupt is pending */
#define LU_RUN_SYSCALL 2     /* the guest made a system call at a patched site */
#define LU_RUN_INTERRUPTED 1 /* lu_guest_enter found an interrupt pending */
#define LU_RUN_LEFT 0        /* the guest ran; the handler stored why it came out */

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/guest_context.h"

/* What belongs to one entry into the guest, not to the guest's registers. */
struct lu_thread_entry {
    uint64_t run_sp;    /* shim stack pointer to return to */
    uint32_t interrupt; /* sticky until guest_run reports it; atomic */
    /* 1 from before the interrupt test to the guest's exit; written by the thread itself */
    uint32_t in_guest;
    struct guest_context *ctx;
    struct guest_exit *exit;
};
_Static_assert(offsetof(struct lu_thread_entry, run_sp) == LU_ENTRY_RUN_SP, "run_sp moved");
_Static_assert(offsetof(struct lu_thread_entry, interrupt) == LU_ENTRY_INTERRUPT,
               "interrupt moved");
_Static_assert(offsetof(struct lu_thread_entry, in_guest) == LU_ENTRY_IN_GUEST, "in_guest moved");
_Static_assert(offsetof(struct lu_thread_entry, ctx) == LU_ENTRY_CTX, "ctx moved");
_Static_assert(offsetof(struct guest_context, prompt) == LU_CONTEXT_PROMPT &&
                   offsetof(struct guest_context, owner) == LU_CONTEXT_OWNER &&
                   LU_PROMPT_CALLS == GUEST_PROMPT_CALLS,
               "guest_enter.S calls through these");
_Static_assert(offsetof(struct guest_regs, rdi) == 14 * 8, "guest_enter.S pops in this order");
_Static_assert(offsetof(struct guest_regs, rip) == 15 * 8, "iretq frame follows the registers");
_Static_assert(offsetof(struct guest_regs, ss) == 19 * 8, "iretq frame is rip cs rflags rsp ss");
_Static_assert(offsetof(struct guest_regs, r11) == GUEST_R11 &&
                   offsetof(struct guest_regs, rax) == GUEST_RAX &&
                   offsetof(struct guest_regs, rdi) == GUEST_RDI &&
                   offsetof(struct guest_regs, rip) == GUEST_RIP &&
                   offsetof(struct guest_regs, rflags) == GUEST_RFLAGS &&
                   offsetof(struct guest_regs, rsp) == GUEST_RSP,
               "guest_enter.S uses these");

/* One page: the public part, the entry record of the thread that runs it, then the XSAVE area at a 64-byte boundary. */
struct lu_context {
    struct guest_context base;
    struct lu_thread_entry *entry;
    uint64_t mark; /* LU_MARK */
    /* Of the processor, while this context's extended state is live there: */
    uint64_t loaded_fs;
    bool gs_is_ours; /* the GS base is this record's address; false without FSGSBASE */
    uint8_t area[] __attribute__((aligned(64)));
};
_Static_assert(offsetof(struct lu_context, entry) == LU_CONTEXT_ENTRY,
               "guest_enter.S finds the entry record here");
_Static_assert(offsetof(struct lu_context, mark) == LU_CONTEXT_MARK, "guest_enter.S looks at it");

/* x86_64/guest_enter.S */
enum lu_enter_mode {
    LU_ENTER_BY_IRET, /* GS is the guest's own, or single-stepping */
    LU_ENTER_BY_GS,   /* the GS base is the context's address */
};
int lu_guest_enter(struct guest_regs *regs, struct lu_thread_entry *entry, enum lu_enter_mode mode);
_Noreturn void lu_guest_leave(struct lu_thread_entry *entry);
extern const char lu_enter_window_start[], lu_enter_window_end[];

/* x86_64/guest_enter.S: where stubs of patched sites jump to; not C functions. */
extern const char lu_patched_entry[], lu_patched_known[];
/* Here the answer of a prompt call is on its way: an interrupt moves on to lu_prompt_interrupted, at run_sp - 8. */
extern const char lu_prompt_window_start[], lu_prompt_window_end[], lu_prompt_interrupted[];

/* x86_64/thread_switch.S */
struct thread;
struct lu_worker;
/* Save the calling thread's registers on its stack, its stack pointer in *saved_sp; call fn(arg0, arg1) on `stack`. Returns when somebody
 * resumes the thread. */
void lu_thread_leave(uint64_t *saved_sp, void *stack, void (*fn)(void *, void *), void *arg0,
                     void *arg1);
/* `result` is what the function returns that saved it: lu_thread_leave's is not looked at. */
_Noreturn void lu_thread_resume(uint64_t saved_sp, long result);
/*
 * fn(arg), of which nothing matters but its result: should the host thread die in it, another goes on from *saved_sp. Until it returns
 * that is not 0. fn holds no lock.
 */
long lu_survivable(uint64_t *saved_sp, long (*fn)(void *), void *arg);
_Noreturn void lu_call_on_stack(void *stack, void (*fn)(void *, void *), void *arg0, void *arg1);
/* clone(2); the child starts on `stack` with fn(arg). Result in the parent: as the kernel's. */
long lu_clone_call(unsigned long flags, void *stack, uint32_t *parent_tid, uint32_t *child_tid,
                   void (*fn)(void *), void *arg);
/* A host call that is not begun, or ended, when *word != expected: then -EINTR. The kick handler knows its range. */
long lu_interruptible_call(long nr, const long args[6], const uint32_t *word, uint32_t expected);
extern const char lu_interruptible_start[], lu_interruptible_syscall[], lu_interruptible_eintr[];

/* x86_64/guest_copy.S: result: bytes not copied. */
size_t lu_copy_fallible(void *dst, const void *src, size_t size);
size_t lu_zero_fallible(void *dst, size_t size);
/* Result: 0, or -14 (EFAULT). */
int lu_load32_fallible(uint32_t *value, const void *addr);
int lu_cmpxchg32_fallible(void *addr, uint32_t expected, uint32_t desired, uint32_t *old);
/* Length without NUL, size when there is none, or -EFAULT. */
int64_t lu_string_fallible(char *dst, const char *src, size_t size);
/* Pairs: faulting instruction, where to go on. */
struct lu_fixup {
    int32_t insn, landing; /* relative to the field itself */
};
extern const struct lu_fixup __start_lu_fixups[], __stop_lu_fixups[];
#endif
#endif
