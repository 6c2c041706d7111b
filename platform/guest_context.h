/*
 * guest_context.h: run guest code until it comes out, and say why it came out.
 *
 * struct guest_context is the ABI of a guest call and nothing else: registers, segment bases and,
 * behind calls, the extended state. What belongs to one entry (host stack to return to, pending
 * interrupts) is the platform's and lives with the thread. The extended state may stay in the
 * registers of the host thread that ran the context last: to go on in another thread, that one
 * copies it (context_copy) and the other runs the copy.
 */
#ifndef PALIMPSEST_PLATFORM_GUEST_CONTEXT_H
#define PALIMPSEST_PLATFORM_GUEST_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "platform/annotations.h"
#include "platform/guest_memory.h"

struct platform;
struct thread;

/*
 * The layout is pinned: assembly pops it from the top and ends with iretq on the last five. SDM
 * vol. 2, IRET.
 */
struct guest_regs {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t rip, cs, rflags, rsp, ss;
    uint64_t fs_base, gs_base;
};

/*
 * A system call that may be answered without coming out of guest_run. Runs on the calling thread's stack of shim control, in the
 * space that is active. Of `regs`, rax, rdi, rsi, rdx, r10, r8, r9, rip and rsp are stored; none may be changed, and neither the
 * context nor the active space. It may park.
 * Result: for the guest's rax; or GUEST_CALL_LEAVE: guest_run comes out with GUEST_SYSCALL and all registers stored, rax as it was.
 */
typedef long (*guest_prompt_call)(void *owner, const struct guest_regs *regs);
#define GUEST_CALL_LEAVE INT64_MIN
#define GUEST_PROMPT_CALLS 512u

struct guest_context {
    struct guest_regs regs;
    void *extended; /* the platform's: x87, SSE, AVX... state and where it now is */
    /*
     * The caller's, changed only by the thread that runs the context; not copied by context_copy. By number (the low half of rax),
     * GUEST_PROMPT_CALLS of them, none NULL; NULL: every call comes out. A platform may ignore it, for some calls or for all.
     */
    const guest_prompt_call *prompt;
    void *owner; /* their first argument */
};

enum guest_exit_reason {
    GUEST_SYSCALL,   /* regs.rax: number; rdi rsi rdx r10 r8 r9: arguments; rip is past it */
    GUEST_FAULT,     /* see struct guest_exit */
    GUEST_INTERRUPT, /* guest_interrupt() was called; seen once */
    GUEST_END,       /* this platform runs no guest code */
};

enum guest_fault_kind {
    GUEST_FAULT_UNMAPPED,   /* no mapping at addr (SEGV_MAPERR) */
    GUEST_FAULT_PROTECTION, /* mapped, but not for this access (SEGV_ACCERR) */
    GUEST_FAULT_GENERAL,    /* non-canonical address, privileged instruction...: addr is 0 */
    GUEST_FAULT_BUS,        /* past the end of a memory object */
    GUEST_FAULT_ALIGNMENT,  /* alignment check */
    GUEST_FAULT_ILLEGAL,    /* invalid opcode */
    GUEST_FAULT_DIVIDE,     /* integer division */
    GUEST_FAULT_OVERFLOW,   /* into, where it exists */
    GUEST_FAULT_FP,         /* x87 or SIMD exception: code says which si_code (FPE_*) */
    GUEST_FAULT_BREAKPOINT, /* int3; rip is past it */
    GUEST_FAULT_STEP,       /* debug trap: TF or hardware breakpoint */
    GUEST_FAULT_COMPAT,     /* a 32-bit system call (int 0x80); rip is past it */
    /* The area of the thread's sequences, or what it names, is bad; it has no area any more */
    GUEST_FAULT_SEQUENCE,
    /*
     * No memory was left for what addr is to show: nothing happened, the instruction may be run again when there is some. Platforms that
     * get their memory from a host which ends processes itself never say this (INSTANCE_EVENT_SPACE_LOST).
     */
    GUEST_FAULT_NO_MEMORY,
};

/* What guest_barrier() makes other threads pass. Each is a full memory barrier at least. */
enum guest_barrier_kind {
    GUEST_BARRIER_MEMORY,     /* threads of the active space */
    GUEST_BARRIER_CODE,       /* and they serialise their instruction streams */
    GUEST_BARRIER_SEQUENCES,  /* and abort the restartable sequences they are in */
    GUEST_BARRIER_EVERYWHERE, /* as MEMORY, threads of all spaces */
    GUEST_BARRIER_KINDS,
};

/* Filled by guest_run. Fields beyond `reason` are defined for the reasons named. */
struct guest_exit {
    enum guest_exit_reason reason;
    enum guest_fault_kind fault; /* GUEST_FAULT */
    struct guest_addr addr;      /* GUEST_FAULT: the address touched, else 0 */
    uint64_t error_code;         /* GUEST_FAULT: of the hardware (bit 1: write, 4: fetch), else 0 */
    int code;                    /* GUEST_FAULT_FP: FPE_* */
    uint64_t trap_number;        /* GUEST_FAULT: vector, for the guest's signal frame */
};

struct guest_ops {
    /*
     * A context with zero registers and the extended state of a fresh Linux process (FCW 0x37f,
     * MXCSR 0x1f80).
     * Errors: NULL and *err: -ENOMEM. Owner: caller, until context_destroy.
     */
    struct guest_context *(*context_create)(struct platform *p, int *err);
    void (*context_destroy)(struct platform *p, struct guest_context *ctx);
    /*
     * dst becomes a copy of src, registers and extended state. Requires: neither is running; src
     * was last run by the calling thread or by none since it was made.
     */
    void (*context_copy)(struct platform *p, struct guest_context *dst, struct guest_context *src);
    /* Extended state back to that of a fresh process (execve). Requires: as context_copy's src. */
    void (*context_reset_extended)(struct platform *p, struct guest_context *ctx);
    /*
     * Bytes of the extended state in the standard (non-compacted) XSAVE format; 512 without XSAVE.
     * Constant.
     */
    size_t (*extended_size)(struct platform *p);
    /* The XSAVE feature mask that goes into signal frames; 0 without XSAVE. Constant. */
    uint64_t (*extended_mask)(struct platform *p);
    /* Write extended_size() bytes to `out`, 64-byte aligned. Requires: as context_copy's src. */
    void (*extended_save)(struct platform *p, struct guest_context *ctx, void *out);
    /*
     * Take the state from `in`, `size` bytes, 64-byte aligned: 512 (FXSAVE) or extended_size().
     * Guest-controlled: validated.
     * Errors: -EINVAL (reserved bits): ctx unchanged.
     */
    int (*extended_load)(struct platform *p, struct guest_context *ctx, const void *in,
                         size_t size);

    /*
     * Enter guest code with ctx->regs in the space active on this thread; come back with the
     * registers stored and *exit set.
     * Requires: a space is active; ctx was last run by the calling thread, or by none since it was
     * made or copied to. rflags, cs, ss are sanitised by the platform; any other register value is
     * allowed (a bad rip comes back as a fault). Returns at once with GUEST_INTERRUPT when an
     * interrupt is pending for this thread.
     */
    void (*run)(struct platform *p, struct guest_context *ctx, struct guest_exit *exit);

    /*
     * Make `t` come out of its current guest_run, or out of its next one before it runs an
     * instruction, with GUEST_INTERRUPT; also ends its thread_park. Sticky until seen; several
     * calls may be seen as one.
     * Requires: t has not exited. Threads: any.
     */
    void (*interrupt)(struct platform *p, struct thread *t);

    /*
     * Restartable sequences of the calling thread, rseq(2): `area` (0: none any more) is a struct rseq of 32 bytes in the active space,
     * aligned to 32. Before guest code goes on after this thread was preempted or moved to another hardware thread, its cpu_id_start
     * and cpu_id say where it runs; if it was then inside the sequence that rseq_cs names, or came out of guest_run there for
     * anything but a system call, it goes on at the sequence's abort address, before which `signature` stands.
     * The area belongs to the thread: it holds while another space is active, but is looked at in this one only. A thread in a child
     * space of fork has none until it says so itself; saying the same as the thread that called fork is cheap.
     * Errors: -ENOTSUP (nothing changes); -EFAULT (the area cannot be written: the thread has none).
     * When it goes bad later, a guest_run of the thread ends with GUEST_FAULT_SEQUENCE, or the space ends (INSTANCE_EVENT_SPACE_LOST).
     */
    int (*sequence)(struct platform *p, struct guest_addr area, uint32_t signature);
    /*
     * Every thread that runs guest code meanwhile and is meant by `kind` has done what that says when this returns. `cpu` >= 0: of
     * GUEST_BARRIER_SEQUENCES, only what runs on that hardware thread.
     * Errors: -ENOTSUP (this kind is not to be had here, ever). May block for milliseconds. Threads: any that has a space.
     */
    int (*barrier)(struct platform *p, enum guest_barrier_kind kind, int cpu);
};

MUST_USE struct guest_context *guest_context_create(struct platform *p, int *err);
void guest_context_destroy(struct platform *p, struct guest_context *ctx);
void guest_context_copy(struct platform *p, struct guest_context *dst, struct guest_context *src);
void guest_context_reset_extended(struct platform *p, struct guest_context *ctx);
size_t guest_extended_size(struct platform *p);
uint64_t guest_extended_mask(struct platform *p);
void guest_extended_save(struct platform *p, struct guest_context *ctx, void *out);
MUST_USE int guest_extended_load(struct platform *p, struct guest_context *ctx, const void *in,
                                 size_t size);
void guest_run(struct platform *p, struct guest_context *ctx, struct guest_exit *exit);
void guest_interrupt(struct platform *p, struct thread *t);
MUST_USE int guest_sequence(struct platform *p, struct guest_addr area, uint32_t signature);
MUST_USE int guest_barrier(struct platform *p, enum guest_barrier_kind kind, int cpu);

#endif
