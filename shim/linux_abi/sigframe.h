/*
 * The frame on the guest's stack while a signal handler runs, x86-64. Source: the kernel's asm/ucontext.h,
 * asm/sigcontext.h, asm/sigframe.h.
 */
#ifndef PALIMPSEST_SHIM_LINUX_ABI_SIGFRAME_H
#define PALIMPSEST_SHIM_LINUX_ABI_SIGFRAME_H

#include "shim/linux_abi/signal.h"

#include <asm/sigcontext.h>

struct abi_ucontext {
    uint64_t flags; /* UC_* */
    uint64_t link;
    struct abi_stack stack;
    struct sigcontext_64 mcontext;
    uint64_t sigmask;
};
_Static_assert(sizeof(struct abi_ucontext) == 304, "struct ucontext");

#define ABI_UC_FP_XSTATE 1u
#define ABI_UC_SIGCONTEXT_SS 2u
#define ABI_UC_STRICT_RESTORE_SS 4u

struct abi_rt_sigframe {
    uint64_t pretcode; /* where the handler returns to: SA_RESTORER's address */
    struct abi_ucontext uc;
    struct abi_siginfo info;
};
_Static_assert(sizeof(struct abi_rt_sigframe) == 440, "struct rt_sigframe");

/* sw_reserved of the FXSAVE image: says whether, and how much, XSAVE state follows. */
#define ABI_FX_SW_OFFSET 464u
#define ABI_FX_SIZE 512u
_Static_assert(sizeof(struct _fpx_sw_bytes) == 48, "struct _fpx_sw_bytes");

#endif
