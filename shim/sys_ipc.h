/*
 * sys_ipc.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_IPC_H
#define PALIMPSEST_SHIM_SYS_IPC_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_IPC(X)                                                                       \
    X(shmget, 3, PARTIAL, "SHM_HUGETLB finds no huge pages: ENOMEM")                               \
    X(shmat, 3, FULL, "")                                                                          \
    X(shmctl, 3, PARTIAL, "a locked segment may still be paged out by the host")                   \
    X(shmdt, 1, FULL, "")                                                                          \
    X(semget, 3, FULL, "")                                                                         \
    X(semop, 3, FULL, "")                                                                          \
    X(semctl, 4, FULL, "")                                                                         \
    X(semtimedop, 4, FULL, "")                                                                     \
    X(msgget, 2, FULL, "")                                                                         \
    X(msgsnd, 4, FULL, "")                                                                         \
    X(msgrcv, 5, FULL, "")                                                                         \
    X(msgctl, 3, FULL, "")                                                                         \
    X(mq_open, 4, PARTIAL, "no /dev/mqueue to list them")                                          \
    X(mq_unlink, 1, FULL, "")                                                                      \
    X(mq_timedsend, 5, FULL, "")                                                                   \
    X(mq_timedreceive, 5, FULL, "")                                                                \
    X(mq_notify, 2, FULL, "")                                                                      \
    X(mq_getsetattr, 3, FULL, "")

SHIM_SYSCALLS_IPC(SYSCALL_PROTOTYPE)

#endif
