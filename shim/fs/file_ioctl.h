/*
 * file_ioctl.h: the requests of ioctl(2) that every file system answers, or refuses in the same way: ioctl_fideduperange(2),
 * ioctl_ficlone(2), FIEMAP (Documentation/filesystems/fiemap.rst).
 */
#ifndef PALIMPSEST_SHIM_FS_FILE_IOCTL_H
#define PALIMPSEST_SHIM_FS_FILE_IOCTL_H

#include <stdint.h>

struct file;
struct task;

#define FILE_IOCTL_OTHER (-515) /* no errno: ask the kind of file */

/* 0 or -errno; FILE_IOCTL_OTHER: no such request. Takes f->pos_lock. */
long file_ioctl(struct task *task, struct file *f, unsigned request, uint64_t arg);

#endif
