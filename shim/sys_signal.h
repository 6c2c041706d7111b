/*
 * sys_signal.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_SIGNAL_H
#define PALIMPSEST_SHIM_SYS_SIGNAL_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_SIGNAL(X)                                                                    \
    X(rt_sigaction, 4, FULL, "")                                                                   \
    X(rt_sigprocmask, 4, FULL, "")                                                                 \
    X(rt_sigreturn, 0, FULL, "")                                                                   \
    X(rt_sigpending, 2, FULL, "")                                                                  \
    X(rt_sigtimedwait, 4, FULL, "")                                                                \
    X(rt_sigqueueinfo, 3, FULL, "")                                                                \
    X(rt_tgsigqueueinfo, 4, FULL, "")                                                              \
    X(rt_sigsuspend, 2, FULL, "")                                                                  \
    X(sigaltstack, 2, FULL, "")                                                                    \
    X(pause, 0, FULL, "")                                                                          \
    X(kill, 2, FULL, "")                                                                           \
    X(tkill, 2, FULL, "")                                                                          \
    X(tgkill, 3, FULL, "")                                                                         \
    X(restart_syscall, 0, FULL, "")

SHIM_SYSCALLS_SIGNAL(SYSCALL_PROTOTYPE)

/* SS_ONSTACK, SS_DISABLE, SS_AUTODISARM as sigaltstack(2) reports them now. */
uint32_t signal_altstack_flags(const struct task *task);
struct abi_stack;
/* sigaltstack(2)'s checks and effect; sp: the guest's stack pointer. 0, -EPERM, -EINVAL, -ENOMEM. */
int signal_altstack_set(struct task *task, const struct abi_stack *stack, uint64_t sp);

#endif
