/*
 * pipe.h: pipes and fifos. Semantics: pipe(7), fifo(7). fifo_open() and fifo_release() are in vfs.h.
 */
#ifndef PALIMPSEST_SHIM_FS_PIPE_H
#define PALIMPSEST_SHIM_FS_PIPE_H

#include "shim/fs/file.h"

/* A new pipe: ends[0] reads, ends[1] writes. flags: O_NONBLOCK or 0. Owner: caller. Errors: -ENOMEM. */
int pipe_create(uint32_t flags, struct file *ends[2]);

/* F_GETPIPE_SZ, F_SETPIPE_SZ. Result: capacity in bytes; -EBADF (no pipe), -EBUSY, -EPERM, -EINVAL, -ENOMEM. */
int64_t pipe_get_size(struct file *f);
int64_t pipe_set_size(struct file *f, uint64_t size);

#define PIPE_SIZE_MAX (1u << 20) /* /proc/sys/fs/pipe-max-size */

#endif
