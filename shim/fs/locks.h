/*
 * locks.h: advisory locks on inodes: POSIX record locks (fcntl(2)), open-file-description locks,
 * flock(2).
 */
#ifndef PALIMPSEST_SHIM_FS_LOCKS_H
#define PALIMPSEST_SHIM_FS_LOCKS_H

#include <stdint.h>

#include "platform/annotations.h"

struct task;
struct file;
struct fd_table;
struct inode;

/* F_GETLK, F_SETLK, F_SETLKW and the F_OFD_ kinds; arg: guest address of struct flock. */
MUST_USE int locks_fcntl(struct task *task, struct file *f, int cmd, uint64_t arg);
/* flock(2): LOCK_SH, LOCK_EX, LOCK_UN, with LOCK_NB. */
MUST_USE int locks_flock(struct task *task, struct file *f, int operation);
/* A descriptor of f in `table` is closed: the POSIX locks of its process on the inode go
 * (fcntl(2)). */
void locks_close_posix(const struct fd_table *table, struct file *f);
/* The open file goes: its OFD and flock locks with it. */
void locks_release_file(struct file *f);
void locks_free(struct inode *inode);

#endif
