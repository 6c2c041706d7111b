/*
 * syscall.h: the table of system calls, dispatch and trace. Each family lists its calls once (SHIM_SYSCALLS_* in sys_*.h);
 * prototypes, dispatch, trace names and docs/syscalls.md come from that list.
 */
#ifndef PALIMPSEST_SHIM_SYSCALL_H
#define PALIMPSEST_SHIM_SYSCALL_H

#include <stdint.h>

#include <asm/unistd_64.h>

#include "platform/guest_context.h"
#include "platform/guest_memory.h"
#include "shim/process.h"

struct syscall_args {
    uint64_t a[6];
};
typedef long (*syscall_handler)(struct task *task, const struct syscall_args *args);

enum syscall_level {
    FULL,    /* as the man page says, as far as anybody noticed */
    PARTIAL, /* the note says what a guest can notice */
    NOOP,    /* accepted and without effect, harmlessly; the note says why */
    ABSENT,  /* ENOSYS, counted; the note says why */
};
/* A handler that wants registers to stay as they are (rt_sigreturn, execve) returns this. */
#define SYSCALL_KEEP_REGS INT64_MIN

struct syscall_entry {
    const char *name;
    syscall_handler handler;
    uint8_t args;
    enum syscall_level level;
    const char *note;
};
/* Since Linux 6.6; the headers of older systems lack it. */
#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif

#define SYSCALL_COUNT 512
/* Makes the prototypes of a family's handlers from its list. */
#define SYSCALL_PROTOTYPE(name, args, level, note)                                                 \
    long sys_##name(struct task *task, const struct syscall_args *sys_args);
extern const struct syscall_entry
    g_syscalls[SYSCALL_COUNT]; /* by number; handler NULL: absent, or unknown and without a name */

/* Run one call: count, trace, dispatch. The result goes to ctx->regs.rax unless SYSCALL_KEEP_REGS. */
void syscall_dispatch(struct task *task);
/* Calls may run inside guest_run: what a task's context gets as `prompt`. NULL: not in this instance. */
const guest_prompt_call *syscall_prompt_table(void);
/* Once, before the first task. */
void syscall_init(void);
/* -ERESTARTSYS and its like: for signal_work, not for the guest. */
static inline bool syscall_wants_restart(long result)
{
    return result >= -ERESTART_RESTARTBLOCK && result <= -ERESTARTSYS;
}

/* Copies between shim and the current task's memory; 0 or -EFAULT. */
/* Result: bytes not copied, as guest_copy_in and guest_copy_out; a stack that was not yet that deep grows. */
MUST_USE size_t user_copy_in(void *dst, struct guest_addr src, size_t size);
MUST_USE size_t user_copy_out(struct guest_addr dst, const void *src, size_t size);
MUST_USE size_t user_zero(struct guest_addr dst, size_t size);
MUST_USE int user_read(void *dst, uint64_t src, size_t size);
MUST_USE int user_write(uint64_t dst, const void *src, size_t size);
/* A NUL-terminated guest string into shim_alloc memory; at most max bytes with NUL. NULL and *err: -EFAULT, -ENAMETOOLONG, -ENOMEM. */
MUST_USE char *user_string(uint64_t src, size_t max, int *err);
/* A path name for the length of a call, as a rule without an allocation. Result: 0, or as user_string with PATH_MAX. */
#define USER_NAME_NEAR 160
struct user_name {
    char *text;
    char near[USER_NAME_NEAR];
};
MUST_USE int user_name_read(struct user_name *name, uint64_t src);
void user_name_end(struct user_name *name); /* after success only */

#endif
