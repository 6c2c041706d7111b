/*
 * sys_proc.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_PROC_H
#define PALIMPSEST_SHIM_SYS_PROC_H

#include "shim/syscall.h"

/* Tasks, processes, groups, sessions: clone.c, wait.c, sys_proc.c */
#define SHIM_SYSCALLS_TASKS(X)                                                                     \
    X(fork, 0, FULL, "")                                                                           \
    X(vfork, 0, FULL, "")                                                                          \
    X(clone, 5, PARTIAL, "no namespaces")                                                          \
    X(clone3, 2, PARTIAL, "no namespaces, no cgroups")                                             \
    X(pidfd_open, 2, PARTIAL, "no descriptors of threads, as before Linux 6.9")                    \
    X(pidfd_send_signal, 4, FULL, "")                                                              \
    X(pidfd_getfd, 3, FULL, "")                                                                    \
    X(exit, 1, FULL, "")                                                                           \
    X(exit_group, 1, FULL, "")                                                                     \
    X(wait4, 4, PARTIAL, "rusage has times only")                                                  \
    X(waitid, 5, PARTIAL, "rusage has times only")                                                 \
    X(getpid, 0, FULL, "")                                                                         \
    X(getppid, 0, FULL, "")                                                                        \
    X(gettid, 0, FULL, "")                                                                         \
    X(getpgid, 1, FULL, "")                                                                        \
    X(getpgrp, 0, FULL, "")                                                                        \
    X(setpgid, 2, FULL, "")                                                                        \
    X(getsid, 1, FULL, "")                                                                         \
    X(setsid, 0, FULL, "")                                                                         \
    X(set_tid_address, 1, FULL, "")                                                                \
    X(prctl, 5, PARTIAL, "no seccomp, no tracing, no core scheduling, no PR_SET_MM")               \
    X(arch_prctl, 2, PARTIAL, "FS and GS bases; no CPUID faulting")                                \
    X(uname, 1, FULL, "")                                                                          \
    X(sysinfo, 1, PARTIAL, "memory sizes are nominal; no load")                                    \
    X(getrusage, 2, PARTIAL, "times, and present memory for the most used")                        \
    X(getrlimit, 2, FULL, "")                                                                      \
    X(setrlimit, 2, PARTIAL, "RSS, LOCKS and RTTIME are told back; no core is written")            \
    X(prlimit64, 4, PARTIAL, "RSS, LOCKS and RTTIME are told back; no core is written")            \
    X(kcmp, 5, PARTIAL, "no KCMP_EPOLL_TFD")                                                       \
    X(personality, 1, PARTIAL, "ADDR_NO_RANDOMIZE acts; others are told back")                     \
    X(getrandom, 3, FULL, "")                                                                      \
    X(membarrier, 3, FULL, "")                                                                     \
    X(rseq, 4, PARTIAL, "an area that cannot be written is refused at once")                       \
    X(unshare, 1, PARTIAL, "files and fs state; no namespaces")                                    \
    X(vhangup, 0, PARTIAL, "the host's own terminal stays open to who has it open")                \
    X(sethostname, 2, FULL, "")

/* Identities and capabilities: creds.c */
#define SHIM_SYSCALLS_CREDS(X)                                                                     \
    X(getuid, 0, FULL, "")                                                                         \
    X(geteuid, 0, FULL, "")                                                                        \
    X(getgid, 0, FULL, "")                                                                         \
    X(getegid, 0, FULL, "")                                                                        \
    X(setuid, 1, FULL, "")                                                                         \
    X(setgid, 1, FULL, "")                                                                         \
    X(setreuid, 2, FULL, "")                                                                       \
    X(setregid, 2, FULL, "")                                                                       \
    X(setresuid, 3, FULL, "")                                                                      \
    X(setresgid, 3, FULL, "")                                                                      \
    X(getresuid, 3, FULL, "")                                                                      \
    X(getresgid, 3, FULL, "")                                                                      \
    X(setfsuid, 1, FULL, "")                                                                       \
    X(setfsgid, 1, FULL, "")                                                                       \
    X(getgroups, 2, FULL, "")                                                                      \
    X(setgroups, 2, PARTIAL, "at most 32 groups")                                                  \
    X(capget, 2, FULL, "")                                                                         \
    X(capset, 2, PARTIAL, "for all threads of the process; files carry none")

/* Scheduling: sys_sched.c */
#define SHIM_SYSCALLS_SCHED(X)                                                                     \
    X(sched_yield, 0, FULL, "")                                                                    \
    X(sched_getaffinity, 3, FULL, "")                                                              \
    X(sched_setaffinity, 3, PARTIAL, "told back; the host places threads")                         \
    X(sched_getscheduler, 1, FULL, "")                                                             \
    X(sched_setscheduler, 3, PARTIAL, "told back; the host schedules")                             \
    X(sched_getparam, 2, FULL, "")                                                                 \
    X(sched_setparam, 2, PARTIAL, "told back; the host schedules")                                 \
    X(sched_setattr, 3, PARTIAL, "told back; no SCHED_DEADLINE, clamps are ignored")               \
    X(sched_getattr, 4, FULL, "")                                                                  \
    X(sched_get_priority_max, 1, FULL, "")                                                         \
    X(sched_get_priority_min, 1, FULL, "")                                                         \
    X(sched_rr_get_interval, 2, PARTIAL, "a nominal 100 ms")                                       \
    X(getpriority, 2, FULL, "")                                                                    \
    X(setpriority, 3, PARTIAL, "told back; the host schedules")                                    \
    X(ioprio_get, 2, FULL, "")                                                                     \
    X(ioprio_set, 3, PARTIAL, "told back; the host schedules")                                     \
    X(getcpu, 3, PARTIAL, "one memory node")

#define SHIM_SYSCALLS_PROC(X)                                                                      \
    SHIM_SYSCALLS_TASKS(X)                                                                         \
    SHIM_SYSCALLS_CREDS(X)                                                                         \
    SHIM_SYSCALLS_SCHED(X)

SHIM_SYSCALLS_PROC(SYSCALL_PROTOTYPE)

#endif
