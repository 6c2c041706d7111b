/*
 * stream.h: the host's standard streams as open files of the guest.
 */
#ifndef PALIMPSEST_SHIM_FS_STREAM_H
#define PALIMPSEST_SHIM_FS_STREAM_H

#include "platform/host_file.h"
#include "shim/fs/file.h"

/*
 * The stream as the first process inherits it: a pipe, socket, device, regular file or terminal of the host. The position of a
 * regular file is the host's, shared with whoever else holds it. Owner: caller. Errors: NULL, *err: -EBADF when the host
 * closed it, -ENOMEM.
 */
MUST_USE struct file *host_stream_file(enum host_standard_stream which, int *err);

/*
 * Blocking transfers over a host stream, as read(2) and write(2) wait: O_NONBLOCK in `f` says -EAGAIN; -ERESTARTSYS when
 * interrupted before the first byte.
 */
int64_t host_stream_read(struct task *task, struct file *f, struct host_file *host,
                         struct mem_ref into);
int64_t host_stream_write(struct task *task, struct file *f, struct host_file *host,
                          struct mem_ref from);

void host_stat_to_file(const struct host_stat *host, struct file_stat *out);

#endif
