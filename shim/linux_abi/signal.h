/*
 * Guest-visible signal structs, x86-64. Source: the kernel's asm/signal.h, asm-generic/siginfo.h, asm/sigcontext.h.
 */
#ifndef PALIMPSEST_SHIM_LINUX_ABI_SIGNAL_H
#define PALIMPSEST_SHIM_LINUX_ABI_SIGNAL_H

#include <stdint.h>

#include <linux/types.h>

struct abi_sigaction {
    uint64_t handler; /* SIG_DFL 0, SIG_IGN 1, or a guest address */
    uint64_t flags;
    uint64_t restorer;
    uint64_t mask;
};
_Static_assert(sizeof(struct abi_sigaction) == 32, "struct kernel_sigaction");

/* siginfo_t with integers for pointers. */
struct abi_siginfo {
    int32_t si_signo, si_errno, si_code, pad0;
    union {
        struct {
            int32_t pid;
            uint32_t uid;
            uint64_t value;
        } rt; /* kill, sigqueue, SI_TKILL, mesgq */
        struct {
            int32_t tid, overrun;
            uint64_t value;
        } timer;
        struct {
            int32_t pid;
            uint32_t uid;
            int32_t status, pad;
            int64_t utime, stime;
        } chld;
        struct {
            uint64_t addr;
            int16_t addr_lsb;
        } fault;
        struct {
            int64_t band;
            int32_t fd;
        } poll;
        uint8_t bytes[112];
    };
};
_Static_assert(sizeof(struct abi_siginfo) == 128, "siginfo_t");

struct abi_stack {
    uint64_t sp;
    int32_t flags, pad;
    uint64_t size;
};
_Static_assert(sizeof(struct abi_stack) == 24, "stack_t");

#endif
