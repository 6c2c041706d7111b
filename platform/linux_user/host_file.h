/*
 * host_file.h: host files of linux_user, private to this folder: a descriptor of the table that all carriers share.
 */
#ifndef PALIMPSEST_LINUX_USER_HOST_FILE_H
#define PALIMPSEST_LINUX_USER_HOST_FILE_H

#include "platform/host_file.h"

struct host_file {
    uint32_t refs;
    int fd;
    bool standard;  /* one of the supervisor's own streams: never closed */
    bool read_only; /* below a grant that may not be written */
    bool is_tty, is_regular;
    uint64_t route_id; /* route.c's; 0: none yet */
};

/* /proc/self/fd/N names exactly the file that the handle names, so no lookup can be diverted. */
#define LU_FD_PATH 32
void lu_fd_path(char out[LU_FD_PATH], int fd);

/* The handle that owns `fd`, which is closed if there is none; a negative fd is the error. NULL and *err. */
struct host_file *lu_file_wrap(long fd, int *err);

/* read, write, pread or pwrite of `m`; guest addresses are range-checked, then reached by the host kernel: -EFAULT as it says. */
int64_t lu_transfer(long nr, int fd, struct mem_ref m, uint64_t offset);

#endif
