/*
 * pipe.h: pipes and fifos. Semantics: pipe(7), fifo(7). fifo_open() and fifo_release() are in vfs.h.
 */
#ifndef PALIMPSEST_SHIM_FS_PIPE_H
#define PALIMPSEST_SHIM_FS_PIPE_H

#include "platform/annotations.h"
#include "shim/fs/file.h"

/* A new pipe: ends[0] reads, ends[1] writes. flags: O_NONBLOCK or 0. Owner: caller. Errors: -ENOMEM. */
int pipe_create(uint32_t flags, struct file *ends[2]);

/* F_GETPIPE_SZ, F_SETPIPE_SZ. Result: capacity in bytes; -EBADF (no pipe), -EBUSY, -EPERM, -EINVAL, -ENOMEM. */
int64_t pipe_get_size(struct file *f);
int64_t pipe_set_size(struct file *f, uint64_t size);

/* For splice(2) and tee(2). O_NONBLOCK of the file makes PIPE_TRY of PIPE_SLEEP; then -EAGAIN where it would wait. */
enum pipe_wait { PIPE_TRY, PIPE_SLEEP };
enum pipe_want { PIPE_WANT_DATA, PIPE_WANT_ROOM };
bool pipe_is(const struct file *f);
bool pipe_same(const struct file *a, const struct file *b); /* ends of one pipe */
/* read(2), write(2) */
MUST_USE int64_t pipe_take(struct task *task, struct file *f, struct mem_ref into,
                           enum pipe_wait how);
MUST_USE int64_t pipe_give(struct task *task, struct file *f, struct mem_ref from,
                           enum pipe_wait how);
/* What was taken last was not wanted: it is the first to be read again. 0, -ENOMEM (lost). */
MUST_USE int pipe_put_back(struct file *f, const char *data, size_t size);
/* What was read for it and has no other place to go, beyond its size if need be. 0; -ENOMEM, -EPIPE (lost). */
MUST_USE int pipe_append(struct file *f, const char *data, size_t size);
/* Wait until something can be read or written. Result: how many bytes; 0: nothing to read ever again; -EPIPE with SIGPIPE. */
MUST_USE int64_t pipe_await(struct task *task, struct file *f, enum pipe_want want,
                            enum pipe_wait how);
/* Copy what can be read without taking it. Result: bytes. */
MUST_USE int64_t pipe_look(struct file *f, char *into, size_t size);

#define PIPE_SIZE_MAX (1u << 20) /* /proc/sys/fs/pipe-max-size */

#endif
