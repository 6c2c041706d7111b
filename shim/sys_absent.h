/*
 * sys_absent.h: X(name, why it is not there). They answer ENOSYS, as numbers that nobody knows do, and are counted.
 */
#ifndef PALIMPSEST_SHIM_SYS_ABSENT_H
#define PALIMPSEST_SHIM_SYS_ABSENT_H

#define SHIM_SYSCALLS_ABSENT(X)                                                                    \
    X(ptrace, "no tracing of guest processes")                                                     \
    X(seccomp, "no filters of calls; programs go on without")                                      \
    X(landlock_create_ruleset, "as a kernel without Landlock")                                     \
    X(landlock_add_rule, "as a kernel without Landlock")                                           \
    X(landlock_restrict_self, "as a kernel without Landlock")                                      \
    X(bpf, "no code of the guest's in the shim")                                                   \
    X(perf_event_open, "no counters of the machine's")                                             \
    X(userfaultfd, "as a kernel without it: no page faults are handed to guest threads")           \
    X(memfd_secret, "as a kernel without it")                                                      \
    X(process_madvise, "as a kernel before 5.10")                                                  \
    X(process_mrelease, "as a kernel before 5.15")                                                 \
    X(modify_ldt, "no 16-bit and 32-bit segments")                                                 \
    X(set_thread_area, "of 32-bit programs only")                                                  \
    X(get_thread_area, "of 32-bit programs only")                                                  \
    X(iopl, "no ports")                                                                            \
    X(ioperm, "no ports")                                                                          \
    X(setns, "no namespaces")                                                                      \
    X(io_setup, "no asynchronous I/O by the kernel; libc has its own")                             \
    X(io_destroy, "as io_setup")                                                                   \
    X(io_submit, "as io_setup")                                                                    \
    X(io_cancel, "as io_setup")                                                                    \
    X(io_getevents, "as io_setup")                                                                 \
    X(io_pgetevents, "as io_setup")                                                                \
    X(io_uring_setup, "as a kernel that has it switched off")                                      \
    X(io_uring_enter, "as io_uring_setup")                                                         \
    X(io_uring_register, "as io_uring_setup")                                                      \
    X(add_key, "no keyrings")                                                                      \
    X(request_key, "no keyrings")                                                                  \
    X(keyctl, "no keyrings")                                                                       \
    X(fanotify_init, "inotify is there")                                                           \
    X(fanotify_mark, "inotify is there")                                                           \
    X(open_by_handle_at, "name_to_handle_at gives no handles")                                     \
    X(open_tree, "mount(2) is there")                                                              \
    X(move_mount, "mount(2) is there")                                                             \
    X(fsopen, "mount(2) is there")                                                                 \
    X(fsconfig, "mount(2) is there")                                                               \
    X(fsmount, "mount(2) is there")                                                                \
    X(fspick, "mount(2) is there")                                                                 \
    X(mount_setattr, "mount(2) is there")                                                          \
    X(quotactl, "no quotas")                                                                       \
    X(quotactl_fd, "no quotas")                                                                    \
    X(acct, "no process accounting")                                                               \
    X(adjtimex, "the clock is the host's")                                                         \
    X(clock_adjtime, "the clock is the host's")                                                    \
    X(swapon, "no swap of the guest's")                                                            \
    X(swapoff, "no swap of the guest's")                                                           \
    X(reboot, "there is no machine to start again")                                                \
    X(kexec_load, "there is no kernel to replace")                                                 \
    X(kexec_file_load, "there is no kernel to replace")                                            \
    X(init_module, "no modules")                                                                   \
    X(finit_module, "no modules")                                                                  \
    X(delete_module, "no modules")                                                                 \
    X(syslog, "no log of a kernel's")                                                              \
    X(ustat, "replaced by statfs long ago")                                                        \
    X(sysfs, "replaced by /proc/filesystems long ago")                                             \
    X(lookup_dcookie, "gone from Linux")                                                           \
    X(uselib, "gone from Linux")                                                                   \
    X(_sysctl, "gone from Linux: /proc/sys")

#endif
