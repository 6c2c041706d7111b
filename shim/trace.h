/*
 * trace.h: one line a system call, decoded as strace does. Called by syscall_dispatch when the configuration asks for it.
 */
#ifndef PALIMPSEST_SHIM_TRACE_H
#define PALIMPSEST_SHIM_TRACE_H

#include <stdint.h>

struct task;
struct syscall_args;
struct abi_siginfo;

/* Around a handler. What the call reads is decoded before it, what it writes after it; the line appears when the call is over, or at
 * once if it never returns. */
void trace_enter(struct task *task, uint64_t number, const struct syscall_args *args);
void trace_exit(struct task *task, uint64_t number, const struct syscall_args *args, long result);

/* A signal is delivered; a task ends with a status in wait4(2)'s format. Nothing happens unless the configuration asks for a trace. */
void trace_signal(struct task *task, const struct abi_siginfo *info);
void trace_end(struct task *task, int wait_status);

/* "read" for any number that the kernel's headers know; NULL otherwise. */
const char *syscall_name(uint64_t number);

#endif
