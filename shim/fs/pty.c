/*
 * Pseudo-terminals: not written yet, so no pair exists and none can be made.
 */
#include "shim/fs/pty.h"

#include "platform/errno.h"
#include "shim/stats.h"

int pty_open_master(struct task *task, struct file *f)
{
    (void)task, (void)f;
    stats_unsupported("open: /dev/ptmx");
    return -ENXIO;
}

int pty_open_slave(struct task *task, struct tty_session *tty, struct file *f)
{
    (void)task, (void)tty, (void)f;
    return -ENXIO;
}

struct tty_session *pty_find(unsigned index)
{
    (void)index;
    return NULL;
}
