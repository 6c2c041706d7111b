/*
 * epoll.h: epoll(7). An epoll instance watches files; files do not know it but for the list in struct file.
 */
#ifndef PALIMPSEST_SHIM_FS_EPOLL_H
#define PALIMPSEST_SHIM_FS_EPOLL_H

#include <stdint.h>

#include <linux/eventpoll.h>

#include "shim/fs/file.h"

/* Owner: caller. */
struct file *epoll_create_file(int *err);
/* epoll_ctl(2); `file` is what fd names. event: unused for EPOLL_CTL_DEL. Errors: -EINVAL, -EEXIST, -ENOENT, -EPERM, -ELOOP, -ENOMEM. */
int epoll_control(struct task *task, struct file *ep, int op, int fd, struct file *file,
                  const struct epoll_event *event);
/* Events to the guest array at addr. Result: how many, 0 at the deadline, -ERESTARTSYS, -EFAULT, -EINVAL (no epoll file), -ENOMEM. */
int epoll_wait_events(struct task *task, struct file *ep, uint64_t addr, int max,
                      uint64_t deadline_ns);
/* The last reference to a watched file went; called by file_put before release. */
void epoll_file_gone(struct file *f);

#endif
