/*
 * sandbox.c: see sandbox.h. The list is written once, here; docs/kvm-sandbox.md is generated from it.
 */
#include "platform/kvm/vmm/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <linux/sockios.h>
#include <termios.h>
#include <unistd.h>
#include <linux/kvm.h>

enum condition {
    ALWAYS,
    NO_EXEC,     /* the third argument has no PROT_EXEC */
    A_THREAD,    /* the first one has CLONE_THREAD: the kernel refuses what can't be a thread's */
    OWN_PROCESS, /* the first one is this process */
    THE_OPTION,  /* the first one is `value` */
    A_REQUEST,   /* the second one is `value` */
    ASKS_ONLY,   /* the third one is NULL */
    THE_LIMIT,   /* the second one is `value` */
    THE_FAMILY,  /* as THE_OPTION */
};

struct allowed {
    const char *name;
    const char *why;
    enum condition condition;
    uint32_t value;
};

#define REQUEST(request, why)                                                                      \
    {                                                                                              \
        "ioctl " #request, why, A_REQUEST, (uint32_t)(request)                                     \
    }

static const struct allowed g_allowed[] = {
    /* The machine */
    REQUEST(KVM_RUN, "run a processor"),
    REQUEST(KVM_SET_REGS, "where a processor starts"),
    REQUEST(KVM_GET_REGS, "where one was when something went wrong"),
    REQUEST(KVM_GET_SREGS, "the same"),
    REQUEST(KVM_GET_LAPIC, "the same: which interrupts it has not taken"),
    REQUEST(KVM_TRANSLATE, "the same: who called"),
    REQUEST(KVM_SIGNAL_MSI, "interrupt a processor"),
    /* Files below the granted directories, and the standard streams */
    {"openat", "", ALWAYS, 0},
    {"openat2", "a path to look at, below a granted directory and through no link", ALWAYS, 0},
    {"close", "", ALWAYS, 0},
    {"read", "", ALWAYS, 0},
    {"write", "", ALWAYS, 0},
    {"readv", "", ALWAYS, 0},
    {"writev", "", ALWAYS, 0},
    {"pread64", "", ALWAYS, 0},
    {"pwrite64", "", ALWAYS, 0},
    {"preadv2", "", ALWAYS, 0},
    {"pwritev2", "", ALWAYS, 0},
    {"lseek", "", ALWAYS, 0},
    {"fcntl", "duplicates of granted directories, flags", ALWAYS, 0},
    {"fstat", "", ALWAYS, 0},
    {"newfstatat", "", ALWAYS, 0},
    {"statx", "", ALWAYS, 0},
    {"fstatfs", "", ALWAYS, 0},
    {"getdents64", "", ALWAYS, 0},
    {"readlink", "", ALWAYS, 0},
    {"readlinkat", "", ALWAYS, 0},
    {"fsync", "", ALWAYS, 0},
    {"fdatasync", "", ALWAYS, 0},
    {"truncate", "of /proc/self/fd/N", ALWAYS, 0},
    {"ftruncate", "", ALWAYS, 0},
    {"fallocate", "", ALWAYS, 0},
    {"chmod", "of /proc/self/fd/N", ALWAYS, 0},
    {"fchmod", "", ALWAYS, 0},
    {"fchmodat", "", ALWAYS, 0},
    {"fchown", "", ALWAYS, 0},
    {"fchownat", "", ALWAYS, 0},
    {"utimensat", "", ALWAYS, 0},
    {"mkdirat", "", ALWAYS, 0},
    {"mknodat", "", ALWAYS, 0},
    {"symlinkat", "", ALWAYS, 0},
    {"linkat", "", ALWAYS, 0},
    {"unlinkat", "", ALWAYS, 0},
    {"renameat", "what the C library makes of renameat2 without flags", ALWAYS, 0},
    {"renameat2", "", ALWAYS, 0},
    {"getxattr", "of /proc/self/fd/N, as the next ones", ALWAYS, 0},
    {"listxattr", "", ALWAYS, 0},
    {"setxattr", "", ALWAYS, 0},
    {"removexattr", "", ALWAYS, 0},
    {"fgetxattr", "", ALWAYS, 0},
    {"flistxattr", "", ALWAYS, 0},
    {"fsetxattr", "", ALWAYS, 0},
    {"fremovexattr", "", ALWAYS, 0},
    {"poll", "", ALWAYS, 0},
    {"ppoll", "", ALWAYS, 0},
    REQUEST(TCGETS, "the terminal: nothing that types into it (TIOCSTI) or takes it over"),
    REQUEST(TCSETS, ""),
    REQUEST(TCSETSW, ""),
    REQUEST(TCSETSF, ""),
    REQUEST(TIOCGWINSZ, ""),
    REQUEST(TIOCSWINSZ, ""),
    REQUEST(TCFLSH, ""),
    REQUEST(FIONREAD, ""),
    /* Memory: of which nothing becomes code any more */
    {"mmap", "of which nothing becomes code any more", NO_EXEC, 0},
    {"mprotect", "", NO_EXEC, 0},
    {"munmap", "", ALWAYS, 0},
    {"mremap", "", ALWAYS, 0},
    {"madvise", "memory the guest gave back", ALWAYS, 0},
    {"brk", "", ALWAYS, 0},
    /* Threads, and their end */
    {"clone", "", A_THREAD, 0},
    {"set_robust_list", "", ALWAYS, 0},
    {"rseq", "", ALWAYS, 0},
    {"sched_yield", "", ALWAYS, 0},
    {"sched_getaffinity", "", ALWAYS, 0},
    {"futex", "", ALWAYS, 0},
    {"exit", "", ALWAYS, 0},
    {"exit_group", "", ALWAYS, 0},
    {"getpid", "", ALWAYS, 0},
    {"gettid", "", ALWAYS, 0},
    {"prlimit64", "", ASKS_ONLY, 0},
    {"prlimit64", "no core file of its own when it ends as the guest did", THE_LIMIT, RLIMIT_CORE},
    {"prctl", "names of threads", THE_OPTION, PR_SET_NAME},
    /* Signals, to this process alone */
    {"rt_sigaction", "", ALWAYS, 0},
    {"rt_sigprocmask", "", ALWAYS, 0},
    {"rt_sigpending", "", ALWAYS, 0},
    {"rt_sigtimedwait", "", ALWAYS, 0},
    {"rt_sigreturn", "", ALWAYS, 0},
    {"sigaltstack", "", ALWAYS, 0},
    {"restart_syscall", "", ALWAYS, 0},
    {"kill", "", OWN_PROCESS, 0},
    {"tgkill", "", OWN_PROCESS, 0},
    /* Time and entropy */
    {"clock_gettime", "", ALWAYS, 0},
    {"clock_getres", "", ALWAYS, 0},
    {"clock_nanosleep", "", ALWAYS, 0},
    {"nanosleep", "", ALWAYS, 0},
    {"gettimeofday", "", ALWAYS, 0},
    {"getrandom", "", ALWAYS, 0},
};

/* Sockets, where as much as this was granted. */
static const struct {
    enum sandbox_sockets from;
    struct allowed call;
} g_allowed_sockets[] = {
    {SANDBOX_LISTENERS, {"accept4", "", ALWAYS, 0}},
    {SANDBOX_LISTENERS, {"shutdown", "", ALWAYS, 0}},
    {SANDBOX_LISTENERS, {"getsockname", "", ALWAYS, 0}},
    {SANDBOX_LISTENERS, {"getpeername", "", ALWAYS, 0}},
    {SANDBOX_LISTENERS, {"sendmsg", "", ALWAYS, 0}},
    {SANDBOX_LISTENERS, {"recvmsg", "", ALWAYS, 0}},
    {SANDBOX_LISTENERS, {"getsockopt", "", ALWAYS, 0}},
    {SANDBOX_LISTENERS, {"setsockopt", "", ALWAYS, 0}},
    {SANDBOX_LISTENERS, REQUEST(TIOCOUTQ, "")},
    {SANDBOX_LISTENERS, REQUEST(SIOCATMARK, "")},
    {SANDBOX_NETWORK, {"socket AF_INET", "", THE_FAMILY, AF_INET}},
    {SANDBOX_NETWORK, {"socket AF_INET6", "", THE_FAMILY, AF_INET6}},
    {SANDBOX_NETWORK, {"socket AF_NETLINK", "", THE_FAMILY, AF_NETLINK}},
    {SANDBOX_NETWORK, {"bind", "", ALWAYS, 0}},
    {SANDBOX_NETWORK, {"listen", "", ALWAYS, 0}},
    {SANDBOX_NETWORK, {"connect", "", ALWAYS, 0}},
    {SANDBOX_NETWORK, REQUEST(SIOCGIFCONF, "")},
    {SANDBOX_NETWORK, REQUEST(SIOCGIFNAME, "")},
    {SANDBOX_NETWORK, REQUEST(SIOCGIFFLAGS, "")},
    {SANDBOX_NETWORK, REQUEST(SIOCGIFADDR, "")},
    {SANDBOX_NETWORK, REQUEST(SIOCGIFDSTADDR, "")},
    {SANDBOX_NETWORK, REQUEST(SIOCGIFBRDADDR, "")},
    {SANDBOX_NETWORK, REQUEST(SIOCGIFNETMASK, "")},
    {SANDBOX_NETWORK, REQUEST(SIOCGIFMETRIC, "")},
    {SANDBOX_NETWORK, REQUEST(SIOCGIFMTU, "")},
    {SANDBOX_NETWORK, REQUEST(SIOCGIFHWADDR, "")},
    {SANDBOX_NETWORK, REQUEST(SIOCGIFINDEX, "")},
    {SANDBOX_NETWORK, REQUEST(SIOCGIFTXQLEN, "")},
    {SANDBOX_NETWORK, REQUEST(SIOCGIFMAP, "")},
};

/* false: no condition. Arguments that the kernel takes as 32 bits are compared as such. */
static bool comparison(const struct allowed *a, struct scmp_arg_cmp *out)
{
    switch (a->condition) {
    case NO_EXEC:
        *out = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
        return true;
    case A_THREAD:
        *out = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD);
        return true;
    case OWN_PROCESS:
        *out = SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)getpid());
        return true;
    case THE_OPTION:
    case THE_FAMILY:
        *out = SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, a->value);
        return true;
    case A_REQUEST:
    case THE_LIMIT:
        *out = SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, a->value);
        return true;
    case ASKS_ONLY:
        *out = SCMP_A2(SCMP_CMP_EQ, 0, 0);
        return true;
    case ALWAYS:
        break;
    }
    return false;
}

static int allow(scmp_filter_ctx filter, const struct allowed *a)
{
    struct scmp_arg_cmp argument;
    char name[32];
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(a->name, " "), a->name);
    int call = seccomp_syscall_resolve_name(name);
    if (call == __NR_SCMP_ERROR)
        return -EINVAL;
    return comparison(a, &argument)
               ? seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &argument)
               : seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 0, NULL);
}

int vm_sandbox_enter(enum sandbox_sockets sockets, char *why, size_t size)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    const char *at = "a filter";
    int err = filter ? 0 : -ENOMEM;
    for (size_t i = 0; err == 0 && i < sizeof(g_allowed) / sizeof(g_allowed[0]); i++) {
        at = g_allowed[i].name;
        err = allow(filter, &g_allowed[i]);
    }
    for (size_t i = 0; err == 0 && i < sizeof(g_allowed_sockets) / sizeof(g_allowed_sockets[0]);
         i++) {
        at = g_allowed_sockets[i].call.name;
        if (g_allowed_sockets[i].from <= sockets)
            err = allow(filter, &g_allowed_sockets[i].call);
    }
    /* A filter can't see what clone3 points to; the C library then uses clone. */
    if (err == 0)
        err = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, NULL);
    if (err == 0)
        err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (err == 0)
        err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (err == 0) {
        at = "the kernel";
        err = seccomp_load(filter);
    }
    if (err)
        snprintf(why, size, "seccomp filter: %s: %s", at, strerror(-err));
    seccomp_release(filter);
    return err;
}

void vm_sandbox_print(FILE *out)
{
    static const char *const conditions[] = {
        [ALWAYS] = "",
        [NO_EXEC] = "without PROT_EXEC",
        [A_THREAD] = "with CLONE_THREAD",
        [OWN_PROCESS] = "to this process",
        [THE_OPTION] = "PR_SET_NAME",
        [A_REQUEST] = "",
        [ASKS_ONLY] = "no new limit",
        [THE_LIMIT] = "RLIMIT_CORE",
        [THE_FAMILY] = "",
    };
    static const char *const grants[] = {
        [SANDBOX_LISTENERS] = "with --publish or --net=host",
        [SANDBOX_NETWORK] = "with --net=host",
    };
    fprintf(out, "| call | only | what for |\n|---|---|---|\n");
    for (size_t i = 0; i < sizeof(g_allowed) / sizeof(g_allowed[0]); i++)
        fprintf(out, "| %s | %s | %s |\n", g_allowed[i].name, conditions[g_allowed[i].condition],
                g_allowed[i].why);
    for (size_t i = 0; i < sizeof(g_allowed_sockets) / sizeof(g_allowed_sockets[0]); i++)
        fprintf(out, "| %s | %s | %s |\n", g_allowed_sockets[i].call.name,
                grants[g_allowed_sockets[i].from], g_allowed_sockets[i].call.why);
}
