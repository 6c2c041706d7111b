/*
 * sys_mm.h: X(name, number of arguments, level, what a guest can notice)
 */
#ifndef PALIMPSEST_SHIM_SYS_MM_H
#define PALIMPSEST_SHIM_SYS_MM_H

#include "shim/syscall.h"

#define SHIM_SYSCALLS_MM(X)                                                                        \
    X(mmap, 6, PARTIAL, "MAP_HUGETLB finds no huge pages: ENOMEM")                                 \
    X(munmap, 2, FULL, "")                                                                         \
    X(mprotect, 3, FULL, "")                                                                       \
    X(pkey_mprotect, 4, PARTIAL, "as on a processor without protection keys: pkey must be -1")     \
    X(pkey_alloc, 2, PARTIAL, "as on a processor without protection keys: ENOSPC")                 \
    X(pkey_free, 1, PARTIAL, "as on a processor without protection keys: EINVAL")                  \
    X(brk, 1, FULL, "")                                                                            \
    X(mremap, 5, FULL, "")                                                                         \
    X(madvise, 3, PARTIAL,                                                                         \
      "hints about speed alone are ignored; no memory failures are simulated")                     \
    X(msync, 3, FULL, "")                                                                          \
    X(mincore, 3, FULL, "")                                                                        \
    X(mlock, 2, PARTIAL, "pages are brought in, but the host may still page them out")             \
    X(mlock2, 3, PARTIAL, "pages are brought in, but the host may still page them out")            \
    X(munlock, 2, FULL, "")                                                                        \
    X(mlockall, 1, PARTIAL, "pages are brought in, but the host may still page them out")          \
    X(munlockall, 0, FULL, "")                                                                     \
    X(remap_file_pages, 5, FULL, "")                                                               \
    X(process_vm_readv, 6, FULL, "")                                                               \
    X(process_vm_writev, 6, FULL, "")                                                              \
    X(set_mempolicy, 3, PARTIAL, "one node; nodes that are not there are not told back")           \
    X(get_mempolicy, 5, PARTIAL, "one node; nodes that are not there are not told back")           \
    X(mbind, 6, PARTIAL, "one node; of shared memory, each mapping has a policy of its own")       \
    X(set_mempolicy_home_node, 4, FULL, "")                                                        \
    X(migrate_pages, 4, FULL, "")                                                                  \
    X(move_pages, 6, PARTIAL, "one node; of the caller's own memory only")

SHIM_SYSCALLS_MM(SYSCALL_PROTOTYPE)

#endif
