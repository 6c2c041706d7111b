/*
 * sys_poll.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_POLL_H
#define PALIMPSEST_SHIM_SYS_POLL_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_POLL(X)                                                                      \
    X(pipe, 1, FULL, "")                                                                           \
    X(pipe2, 2, FULL, "")                                                                          \
    X(poll, 3, FULL, "")                                                                           \
    X(ppoll, 5, FULL, "")                                                                          \
    X(select, 5, FULL, "")                                                                         \
    X(pselect6, 6, FULL, "")                                                                       \
    X(epoll_create, 1, FULL, "")                                                                   \
    X(epoll_create1, 1, FULL, "")                                                                  \
    X(epoll_ctl, 4, PARTIAL, "EPOLLET over host files acts as level-triggered")                    \
    X(epoll_wait, 4, FULL, "")                                                                     \
    X(epoll_pwait, 6, FULL, "")                                                                    \
    X(epoll_pwait2, 6, FULL, "")                                                                   \
    X(eventfd, 1, FULL, "")                                                                        \
    X(eventfd2, 2, FULL, "")                                                                       \
    X(signalfd, 3, FULL, "")                                                                       \
    X(signalfd4, 4, FULL, "")                                                                      \
    X(timerfd_create, 2, FULL, "")                                                                 \
    X(timerfd_settime, 4, PARTIAL, "TFD_TIMER_CANCEL_ON_SET never cancels: the clock is not set")  \
    X(timerfd_gettime, 2, FULL, "")                                                                \
    X(inotify_init, 0, FULL, "")                                                                   \
    X(inotify_init1, 1, FULL, "")                                                                  \
    X(inotify_add_watch, 3, PARTIAL,                                                               \
      "what the host does in a mounted directory is not seen; nor writes through mappings, as in " \
      "Linux")                                                                                     \
    X(inotify_rm_watch, 2, FULL, "")

SHIM_SYSCALLS_POLL(SYSCALL_PROTOTYPE)

#endif
