/*
 * intercept.c: how the guest's system calls reach us. Syscall user dispatch (per thread, so each host thread arms itself)
 * traps every system call made outside the runner's text; where the kernel lacks it, a seccomp filter by instruction pointer
 * (installed once, inherited) does the same. Either way SIGSYS arrives in fault.c.
 */
#include "platform/linux_user/lu.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_OFF 0
#define PR_SYS_DISPATCH_ON 1
#endif

bool lu_sud_available(void)
{
    /* Everything allowed, for a moment: only whether the kernel knows the call. */
    if (host_call(__NR_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 1, INT64_MAX, 0) !=
        0)
        return false;
    host_call(__NR_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0);
    return true;
}

int lu_intercept_arm_thread(void)
{
    if (g_lu.use_seccomp)
        return 0;
    return (int)host_call(__NR_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON,
                          g_lu.text_start, g_lu.text_end - g_lu.text_start, 0);
}

int lu_intercept_arm_process(void)
{
    if (!g_lu.use_seccomp)
        return 0;
    /* Allow when text_start <= ip < text_end; both lie in one 4 GiB span (checked by the caller's layout). */
    uint32_t ip_low = offsetof(struct seccomp_data, instruction_pointer), ip_high = ip_low + 4;
    uint32_t high = (uint32_t)(g_lu.text_start >> 32);
    if ((uint32_t)(g_lu.text_end >> 32) != high)
        return -EINVAL;
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip_high),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, high, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip_low),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)g_lu.text_start, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)g_lu.text_end, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog filter = {.len = sizeof(program) / sizeof(program[0]), .filter = program};
    long err = host_call(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (err == 0)
        err = host_call(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
    return (int)err;
}
