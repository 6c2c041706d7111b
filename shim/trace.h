/*
 * trace.h: one line a system call, decoded as strace does. Called by syscall_dispatch when the configuration asks for it.
 */
#ifndef PALIMPSEST_SHIM_TRACE_H
#define PALIMPSEST_SHIM_TRACE_H

#include <stdint.h>

struct task;
struct syscall_args;

void trace_enter(struct task *task, uint64_t number, const struct syscall_args *args);
void trace_exit(struct task *task, uint64_t number, const struct syscall_args *args, long result);

#endif
