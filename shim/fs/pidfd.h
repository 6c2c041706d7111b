/*
 * pidfd.h: descriptors that name a process, pidfd_open(2). A descriptor and its process may outlive each other: a struct pid_ref stands
 * between them, one per process that has or had a descriptor.
 */
#ifndef PALIMPSEST_SHIM_FS_PIDFD_H
#define PALIMPSEST_SHIM_FS_PIDFD_H

#include <stdint.h>

#include "platform/annotations.h"

struct file;
struct pid_ref;
struct process;

/*
 * A descriptor of `process`, which is in the tree under g_process_lock (taken here when `pid` is to be looked up) or not yet in
 * it. Owner: caller. flags: O_NONBLOCK or 0. Errors: NULL, *err: -ENOMEM; by number also -ESRCH, -EINVAL (a thread, but no process).
 */
struct file *pidfd_create(struct process *process, uint32_t flags, int *err);
struct file *pidfd_create_for(int pid, uint32_t flags, int *err);

/* Under g_process_lock: the process, zombie or not; NULL: waited for. Requires: f is one. */
struct process *pidfd_process(const struct file *f);
MUST_USE int pidfd_check(const struct file *f); /* -EBADF: something else is open there */

/* Under g_process_lock: it became a zombie; it was waited for. NULL: nobody asked. */
void pid_ref_changed(struct pid_ref *ref);
void pid_ref_detach(struct pid_ref *ref);

#endif
