/*
 * async.h: signals for files with O_ASYNC: SIGIO, or F_SETSIG's, to whom F_SETOWN names, each time one may be read or written anew.
 */
#ifndef PALIMPSEST_SHIM_FS_ASYNC_H
#define PALIMPSEST_SHIM_FS_ASYNC_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/annotations.h"

struct file;
struct task;
struct async_watch;

/* F_SETOWN, F_SETSIG. Under g_process_lock; in every file. */
struct file_owner {
    int type;           /* F_OWNER_TID, PID, PGRP */
    int id;             /* 0: nobody */
    int signal;         /* 0: a plain SIGIO. Atomic: F_SETSIG and F_GETSIG take no lock */
    uint32_t uid, euid; /* of who set it: they say whom it may signal */
};
/* Files with O_ASYNC over one object, or over one direction of it; in the object, made as zeros. Under g_process_lock. */
struct async_list {
    struct async_watch *head;
};
#define ASYNC_LISTS_MAX 2 /* of one file */

/* si_code of what happened */
enum async_event {
    ASYNC_IN = 1,
    ASYNC_OUT,
    ASYNC_MESSAGE,
    ASYNC_ERROR,
    ASYNC_URGENT,
    ASYNC_HANG_UP
};

/*
 * Tell all on the list; costs one load where nobody is. Takes g_process_lock: call it where a signal may be sent, with the object
 * alive.
 */
void async_notify(struct async_list *list, enum async_event event);
/* A signal to an owner, as of urgent bytes; id 0: to nobody. Takes g_process_lock. */
void async_signal_owner(const struct file_owner *owner, int sig);
/* O_ASYNC comes or goes at descriptor `fd`. 0, also where the kind sends no signals; -ENOMEM. */
MUST_USE int async_set(struct file *f, int fd, bool on);
/* The file goes; before its release. */
void async_file_gone(struct file *f);

/* id 0: nobody. -ESRCH, -EINVAL (below 0). */
MUST_USE int async_set_owner(struct task *task, struct file *f, int type, int id);
/* An owner for O_ASYNC where a kind of file has a default; an owner that is there stays. */
void async_default_owner(struct task *task, struct file *f, int type, int id);
/* As told back: id 0 when it is gone. */
struct file_owner async_owner(struct file *f);

#endif
