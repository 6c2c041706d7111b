/*
 * tty.h: terminals: the host's, as the console of the first session, and pseudo-terminals; job control over both.
 * Semantics: tty_ioctl(4), credentials(7), termios(3).
 */
#ifndef PALIMPSEST_SHIM_FS_TTY_H
#define PALIMPSEST_SHIM_FS_TTY_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/termios.h>

#include "platform/host_file.h"
#include "shim/fs/file.h"

struct process;
struct tty_driver;

/* A terminal as job control sees it. Embedded in the console and in each pty; outlives every process that points to it. */
struct tty_session {
    /* under g_process_lock */
    int sid;                    /* session it controls; 0: none */
    int pgid;                   /* foreground group; 0: none */
    struct termios locked_attr; /* bits and keys that nobody changes: TIOCSLCKTRMIOS */
    bool exclusive;             /* TIOCEXCL: nobody else opens it. Atomic */
    /* fixed */
    const struct tty_driver *driver;
    uint64_t rdev; /* makedev encoding of stat(2) */
};

/* What kinds of terminals do differently. Results: 0 or -errno; all may sleep. */
struct tty_driver {
    int (*get_attr)(struct tty_session *tty, struct termios *out);
    int (*set_attr)(struct task *task, struct tty_session *tty, enum host_tty_request how,
                    const struct termios *attr);
    int (*get_winsize)(struct tty_session *tty, struct winsize *out);
    int (*set_winsize)(struct tty_session *tty, const struct winsize *size);
    int (*flush)(struct tty_session *tty, int queue); /* TCIFLUSH, TCOFLUSH, TCIOFLUSH */
    int (*flow)(struct tty_session *tty,
                int what); /* TCOOFF, TCOON, TCIOFF, TCION; NULL: nothing happens */
    int (*type)(struct tty_session *tty, char key);         /* TIOCSTI; NULL: -EIO */
    int (*input_bytes)(struct tty_session *tty, int *out);  /* FIONREAD */
    int (*output_bytes)(struct tty_session *tty, int *out); /* TIOCOUTQ */
    /* The session's leader takes it along when it dies; those of a pty stay good in Linux. */
    bool hangs_up_with_leader;
    /* Files that are open now are dead. NULL: others of the host use them, they stay good. */
    void (*hang_up)(struct tty_session *tty);
};

/*
 * An open file for a standard stream that is a terminal. Takes over `host` on success only. The first such terminal becomes the
 * console. Errors: NULL, *err: -ENOTTY when it is none.
 */
struct file *tty_adopt_host(struct host_file *host, int *err);
/* Give a standard stream over the console the name /dev/console, so that ttyname(3) finds it. Other files stay as they are. */
void tty_name_console(struct task *task, struct file *f);
/* The first process leads the console's session, in the foreground. Nothing happens without a console. */
void tty_attach_first(struct process *process);

/* Foreground group of the console, for signals that the host's terminal makes; 0: no console or none. */
int tty_foreground_pgid(void);

/*
 * A session leader dies: SIGHUP to the foreground group, be it that of a terminal which hung up before; SIGCONT too, if the terminal
 * hangs up or did. The session loses it. Under g_process_lock.
 */
void tty_disassociate(struct process *leader);
/*
 * The terminal is gone: the session loses it. SIGHUP and SIGCONT to its leader; to the group that was in the foreground once the
 * leader dies. Under g_process_lock.
 */
void tty_hang_up(struct tty_session *tty);
/* vhangup(2) of the caller's terminal, if it has one. -EPERM. */
int tty_vhangup(struct task *task);
/* A leader without a terminal opened one without O_NOCTTY, for reading: it is the session's now. Takes g_process_lock. */
void tty_opened(struct task *task, struct tty_session *tty, uint32_t flags);

/*
 * May this task read from, write to or change `tty` now? 0: yes. -EIO: no, and no signal would help. -ERESTARTSYS: SIGTTIN or
 * SIGTTOU is on its way to the group.
 */
int tty_check_read(struct task *task, struct tty_session *tty);
int tty_check_write(struct task *task, struct tty_session *tty);
int tty_check_change(struct task *task, struct tty_session *tty);
/* A key of the terminal: `sig` to the foreground group. */
void tty_signal_foreground(struct tty_session *tty, int sig);

/* May this task open it: 0 or -EBUSY. */
int tty_check_open(const struct task *task, const struct tty_session *tty);
/* The requests that all terminals share. -ENOTTY: unknown, counted. */
int64_t tty_ioctl(struct task *task, struct tty_session *tty, unsigned request, uint64_t arg);

/* Device nodes: the console, and the controlling terminal (-ENXIO without). Fill f->ops, f->data. */
int console_open(struct task *task, struct file *f);
int tty_open_controlling(struct task *task, struct file *f);

#endif
