/*
 * pty.h: pseudo-terminals. Semantics: pty(7), pts(4).
 */
#ifndef PALIMPSEST_SHIM_FS_PTY_H
#define PALIMPSEST_SHIM_FS_PTY_H

#include "shim/fs/tty.h"

struct inode;

/* Open /dev/ptmx: a new pair; f becomes its master. Errors: -ENOSPC, -ENOMEM. */
int pty_open_master(struct task *task, struct file *f);
/* Open the slave of a pair whose master is open. Errors: -EIO (master closed or locked), -ENXIO. */
int pty_open_slave(struct task *task, struct tty_session *tty, struct file *f);
/* Slave by the number in /dev/pts; NULL: not there. For device opens and directory listings. */
struct tty_session *pty_find(unsigned index);
#define PTY_MAX 64u

#endif
