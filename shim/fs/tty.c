/*
 * Job control, the requests every terminal answers, and the console: the terminal of the host.
 */
#include "shim/fs/tty.h"

#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/signal.h>
#include <linux/stat.h>

#include "platform/errno.h"
#include "shim/base/string.h"
#include "shim/fs/dentry.h"
#include "shim/fs/pty.h"
#include "shim/fs/stream.h"
#include "shim/fs/vfs.h"
#include "shim/process.h"
#include "shim/process_tree.h"
#include "shim/shim.h"
#include "shim/signal.h"
#include "shim/stats.h"
#include "shim/syscall.h"

/* /dev/console is 5:1 (Documentation/admin-guide/devices.txt). */
#define CONSOLE_RDEV 0x501u

/* ---- job control ------------------------------------------------------------------------------------------------ */

static bool signal_ignored_or_blocked(const struct task *task, int sig)
{
    return sigset_has(task->blocked, sig) || task->process->sighand->action[sig - 1].handler == 1;
}

/* Caller holds g_process_lock and found the task in the background. */
static int background_signal(struct task *task, int sig)
{
    struct abi_siginfo info = signal_info_kernel(sig);

    if (process_group_orphaned(task->process->pgid))
        return -EIO;
    signal_send_pgrp(task->process->pgid, &info);
    return -ERESTARTSYS;
}

static bool in_background(const struct task *task, const struct tty_session *tty)
{
    return task->process->tty == tty && tty->pgid && task->process->pgid != tty->pgid;
}

int tty_check_read(struct task *task, struct tty_session *tty)
{
    int r = 0;

    mutex_lock(&g_process_lock);
    if (in_background(task, tty))
        r = signal_ignored_or_blocked(task, SIGTTIN) ? -EIO : background_signal(task, SIGTTIN);
    mutex_unlock(&g_process_lock);
    return r;
}

int tty_check_change(struct task *task, struct tty_session *tty)
{
    int r = 0;

    mutex_lock(&g_process_lock);
    if (in_background(task, tty) && !signal_ignored_or_blocked(task, SIGTTOU))
        r = background_signal(task, SIGTTOU);
    mutex_unlock(&g_process_lock);
    return r;
}

int tty_check_write(struct task *task, struct tty_session *tty)
{
    struct termios attr;
    bool background;

    mutex_lock(&g_process_lock);
    background = in_background(task, tty);
    mutex_unlock(&g_process_lock);
    if (!background || tty->driver->get_attr(tty, &attr) || !(attr.c_lflag & TOSTOP))
        return 0;
    return tty_check_change(task, tty);
}

void tty_signal_foreground(struct tty_session *tty, int sig)
{
    struct abi_siginfo info = signal_info_kernel(sig);

    mutex_lock(&g_process_lock);
    if (tty->pgid)
        signal_send_pgrp(tty->pgid, &info);
    mutex_unlock(&g_process_lock);
}

static void session_loses_tty(struct tty_session *tty)
{
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p))
        if (p->tty == tty)
            p->tty = NULL;
    tty->sid = 0;
    tty->pgid = 0;
}

enum giving_up { ASKED_TO, DIES };

/* 0, or -ENOTTY when the terminal is another session's by now. */
static int leader_gives_up(struct process *leader, enum giving_up why)
{
    struct tty_session *tty = leader->tty;
    struct abi_siginfo hup = signal_info_kernel(SIGHUP), cont = signal_info_kernel(SIGCONT);

    if (!tty || tty->sid != leader->sid)
        return -ENOTTY;
    if (tty->pgid) {
        signal_send_pgrp(tty->pgid, &hup);
        if (why == ASKED_TO || tty->driver->hangs_up_with_leader)
            signal_send_pgrp(tty->pgid, &cont);
    }
    session_loses_tty(tty);
    return 0;
}

void tty_disassociate(struct process *leader)
{
    struct abi_siginfo hup = signal_info_kernel(SIGHUP), cont = signal_info_kernel(SIGCONT);

    if (leader->tty) {
        (void)leader_gives_up(leader, DIES);
    } else if (leader->tty_old_pgid) {
        signal_send_pgrp(leader->tty_old_pgid, &hup);
        signal_send_pgrp(leader->tty_old_pgid, &cont);
    }
}

void tty_hang_up(struct tty_session *tty)
{
    struct process *leader = tty->sid ? process_find(tty->sid) : NULL;

    if (leader && leader->state < PROCESS_ZOMBIE) {
        struct abi_siginfo hup = signal_info_kernel(SIGHUP), cont = signal_info_kernel(SIGCONT);
        leader->tty_old_pgid = tty->pgid;
        signal_send_process(leader, &hup);
        signal_send_process(leader, &cont);
    }
    session_loses_tty(tty);
}

static void vhangup(struct tty_session *tty)
{
    if (tty->driver->hang_up)
        tty->driver->hang_up(tty);
    mutex_lock(&g_process_lock);
    tty_hang_up(tty);
    mutex_unlock(&g_process_lock);
}

static struct tty_session *controlling_tty(struct task *task)
{
    mutex_lock(&g_process_lock);
    struct tty_session *tty = task->process->tty;
    mutex_unlock(&g_process_lock);
    return tty;
}

int tty_vhangup(struct task *task)
{
    if (!process_capable(task->process, CAP_SYS_TTY_CONFIG))
        return -EPERM;
    struct tty_session *tty = controlling_tty(task);
    if (tty)
        vhangup(tty);
    return 0;
}

/* Under g_process_lock: a leader gets a terminal. */
static void becomes_controlling(struct tty_session *tty, struct process *leader)
{
    tty->sid = leader->sid;
    tty->pgid = leader->pgid;
    leader->tty = tty;
    leader->tty_old_pgid = 0;
}

void tty_opened(struct task *task, struct tty_session *tty, uint32_t flags)
{
    struct process *p = task->process;

    if ((flags & (O_NOCTTY | O_PATH)) || (flags & O_ACCMODE) == O_WRONLY)
        return;
    mutex_lock(&g_process_lock);
    if (p->sid == p->pid && !p->tty && !tty->sid)
        becomes_controlling(tty, p);
    mutex_unlock(&g_process_lock);
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

static int tty_set_controlling(struct task *task, struct tty_session *tty, uint64_t arg)
{
    struct process *p = task->process;
    bool by_force = arg == 1 && process_capable(p, CAP_SYS_ADMIN);
    int r = 0;

    mutex_lock(&g_process_lock);
    if (p->sid == p->pid && tty->sid == p->sid && p->tty == tty) {
        /* already so */
    } else if (p->sid != p->pid || p->tty || (tty->sid && !by_force)) {
        r = -EPERM;
    } else {
        session_loses_tty(tty);
        becomes_controlling(tty, p);
    }
    mutex_unlock(&g_process_lock);
    return r;
}

static int tty_give_up(struct task *task, struct tty_session *tty)
{
    struct process *p = task->process;
    int r = 0;

    mutex_lock(&g_process_lock);
    if (p->tty != tty)
        r = -ENOTTY;
    else if (p->sid == p->pid)
        r = leader_gives_up(p, ASKED_TO);
    else
        p->tty = NULL;
    mutex_unlock(&g_process_lock);
    return r;
}

static int tty_get_ids(struct task *task, struct tty_session *tty, unsigned request, uint64_t arg)
{
    int id = 0, r = 0;

    mutex_lock(&g_process_lock);
    if (task->process->tty != tty || !tty->sid)
        r = -ENOTTY;
    else
        id = request == TIOCGSID ? tty->sid : tty->pgid;
    mutex_unlock(&g_process_lock);
    return r ? r : user_write(arg, &id, sizeof(id));
}

static int tty_set_pgrp(struct task *task, struct tty_session *tty, uint64_t arg)
{
    int pgid, r = user_read(&pgid, arg, sizeof(pgid));

    if (!r)
        r = tty_check_change(task, tty);
    if (r)
        return r == -EIO ? -ENOTTY : r;
    mutex_lock(&g_process_lock);
    if (task->process->tty != tty || tty->sid != task->process->sid) {
        r = -ENOTTY;
    } else if (pgid < 0) {
        r = -EINVAL;
    } else {
        r = -ESRCH;
        for (struct process *p = process_tree_first(); p; p = process_tree_next(p)) {
            if (p->pgid != pgid || p->state == PROCESS_REAPED)
                continue;
            r = p->sid == tty->sid ? 0 : -EPERM;
            break;
        }
        if (!r)
            tty->pgid = pgid;
    }
    mutex_unlock(&g_process_lock);
    return r;
}

static void tty_locked_attr(struct tty_session *tty, struct termios *out)
{
    mutex_lock(&g_process_lock);
    *out = tty->locked_attr;
    mutex_unlock(&g_process_lock);
}

static void keep_locked_bits(tcflag_t *flags, tcflag_t old, tcflag_t locked)
{
    *flags = (*flags & ~locked) | (old & locked);
}

/* What TIOCSLCKTRMIOS locked stays as it is: TIOCSLCKTRMIOS(2const). */
static int keep_locked(struct tty_session *tty, struct termios *attr)
{
    static const struct termios nothing;
    struct termios locked, old;
    int r;

    tty_locked_attr(tty, &locked);
    if (!memcmp(&locked, &nothing, sizeof(locked)))
        return 0;
    r = tty->driver->get_attr(tty, &old);
    if (r)
        return r;
    keep_locked_bits(&attr->c_iflag, old.c_iflag, locked.c_iflag);
    keep_locked_bits(&attr->c_oflag, old.c_oflag, locked.c_oflag);
    keep_locked_bits(&attr->c_cflag, old.c_cflag, locked.c_cflag);
    keep_locked_bits(&attr->c_lflag, old.c_lflag, locked.c_lflag);
    if (locked.c_line)
        attr->c_line = old.c_line;
    for (unsigned i = 0; i < NCCS; i++)
        if (locked.c_cc[i])
            attr->c_cc[i] = old.c_cc[i];
    return 0;
}

/* `request`: TCSETS, TCSETSW or TCSETSF. */
static int tty_set_attr(struct task *task, struct tty_session *tty, unsigned request,
                        struct termios *attr)
{
    static const enum host_tty_request how[] = {HOST_TTY_SET_ATTR, HOST_TTY_SET_ATTR_DRAIN,
                                                HOST_TTY_SET_ATTR_FLUSH};
    int r = tty_check_change(task, tty);

    if (!r)
        r = keep_locked(tty, attr);
    return r ? r : tty->driver->set_attr(task, tty, how[request - TCSETS], attr);
}

static int tty_read_attr(struct task *task, struct tty_session *tty, unsigned request, uint64_t arg)
{
    struct termios attr;
    int r = user_read(&attr, arg, sizeof(attr));

    return r ? r : tty_set_attr(task, tty, request, &attr);
}

/* System V's struct termio: the lower halves of the flags, and the first keys. */
static int tty_get_termio(struct tty_session *tty, uint64_t arg)
{
    struct termio old_style = {0};
    struct termios attr;
    int r = tty->driver->get_attr(tty, &attr);

    if (r)
        return r;
    old_style.c_iflag = (unsigned short)attr.c_iflag;
    old_style.c_oflag = (unsigned short)attr.c_oflag;
    old_style.c_cflag = (unsigned short)attr.c_cflag;
    old_style.c_lflag = (unsigned short)attr.c_lflag;
    old_style.c_line = attr.c_line;
    memcpy(old_style.c_cc, attr.c_cc, NCC);
    return user_write(arg, &old_style, sizeof(old_style));
}

static tcflag_t with_lower_half(tcflag_t flags, unsigned short lower)
{
    return (flags & 0xffff0000u) | lower;
}

static int tty_set_termio(struct task *task, struct tty_session *tty, unsigned request,
                          uint64_t arg)
{
    struct termio old_style;
    struct termios attr;
    int r = user_read(&old_style, arg, sizeof(old_style));

    if (!r)
        r = tty->driver->get_attr(tty, &attr);
    if (r)
        return r;
    attr.c_iflag = with_lower_half(attr.c_iflag, old_style.c_iflag);
    attr.c_oflag = with_lower_half(attr.c_oflag, old_style.c_oflag);
    attr.c_cflag = with_lower_half(attr.c_cflag, old_style.c_cflag);
    attr.c_lflag = with_lower_half(attr.c_lflag, old_style.c_lflag);
    attr.c_line = old_style.c_line;
    memcpy(attr.c_cc, old_style.c_cc, NCC);
    return tty_set_attr(task, tty, request - TCSETA + TCSETS, &attr);
}

static int tty_set_locked(struct task *task, struct tty_session *tty, uint64_t arg)
{
    struct termios locked;
    int r;

    if (!process_capable(task->process, CAP_SYS_ADMIN))
        return -EPERM;
    r = user_read(&locked, arg, sizeof(locked));
    if (r)
        return r;
    mutex_lock(&g_process_lock);
    tty->locked_attr = locked;
    mutex_unlock(&g_process_lock);
    return 0;
}

/* CLOCAL by itself. */
static int tty_set_soft_carrier(struct task *task, struct tty_session *tty, uint64_t arg)
{
    struct termios attr;
    int on, r = user_read(&on, arg, sizeof(on));

    if (!r)
        r = tty->driver->get_attr(tty, &attr);
    if (r)
        return r;
    attr.c_cflag = on ? attr.c_cflag | CLOCAL : attr.c_cflag & ~(tcflag_t)CLOCAL;
    return tty->driver->set_attr(task, tty, HOST_TTY_SET_ATTR, &attr);
}

static int tty_set_winsize(struct tty_session *tty, uint64_t arg)
{
    struct winsize size, old;
    int r = user_read(&size, arg, sizeof(size));

    if (!r)
        r = tty->driver->get_winsize(tty, &old);
    if (r || !memcmp(&size, &old, sizeof(size)))
        return r;
    r = tty->driver->set_winsize(tty, &size);
    if (!r)
        tty_signal_foreground(tty, SIGWINCH);
    return r;
}

int tty_check_open(const struct task *task, const struct tty_session *tty)
{
    return __atomic_load_n(&tty->exclusive, __ATOMIC_RELAXED) &&
                   !process_capable(task->process, CAP_SYS_ADMIN)
               ? -EBUSY
               : 0;
}

/* A byte as if it had been typed: into one's own terminal, or by a capability. */
static int tty_type(struct task *task, struct tty_session *tty, uint64_t arg)
{
    bool mine;
    char key;

    mutex_lock(&g_process_lock);
    mine = task->process->tty == tty;
    mutex_unlock(&g_process_lock);
    if (!mine && !process_capable(task->process, CAP_SYS_ADMIN))
        return -EPERM;
    int r = user_read(&key, arg, sizeof(key));
    return r ? r : tty->driver->type ? tty->driver->type(tty, key) : -EIO;
}

static int tty_flow(struct task *task, struct tty_session *tty, int what)
{
    int r = tty_check_change(task, tty);

    if (r)
        return r;
    if (what < TCOOFF || what > TCION)
        return -EINVAL;
    return tty->driver->flow ? tty->driver->flow(tty, what) : 0;
}

/* Bits a second of a CBAUD number: termios(3). */
static uint32_t speed_of(uint32_t cflag)
{
    static const uint32_t plain[] = {0,   50,   75,   110,  134,  150,  200,   300,
                                     600, 1200, 1800, 2400, 4800, 9600, 19200, 38400};
    static const uint32_t extra[] = {0,       57600,   115200,  230400,  460800,  500000,
                                     576000,  921600,  1000000, 1152000, 1500000, 2000000,
                                     2500000, 3000000, 3500000, 4000000};

    return cflag & CBAUDEX ? extra[cflag & CBAUD & 15] : plain[cflag & CBAUD & 15];
}

/* struct termios2 is a struct termios and two speeds, which mean nothing here. */
static int tty_get_attr2(struct tty_session *tty, uint64_t arg)
{
    struct termios2 two = {0};
    struct termios attr;
    int r = tty->driver->get_attr(tty, &attr);

    if (r)
        return r;
    memcpy(&two, &attr, sizeof(attr));
    two.c_ispeed = two.c_ospeed = speed_of(attr.c_cflag);
    return user_write(arg, &two, sizeof(two));
}

int64_t tty_ioctl(struct task *task, struct tty_session *tty, unsigned request, uint64_t arg)
{
    union {
        struct termios attr;
        struct winsize size;
        int number;
    } out;
    int r;

    switch (request) {
    case TCGETS:
        r = tty->driver->get_attr(tty, &out.attr);
        return r ? r : user_write(arg, &out.attr, sizeof(out.attr));
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
        return tty_read_attr(task, tty, request, arg);
    case TCGETA:
        return tty_get_termio(tty, arg);
    case TCSETA:
    case TCSETAW:
    case TCSETAF:
        return tty_set_termio(task, tty, request, arg);
    case TIOCGLCKTRMIOS:
        tty_locked_attr(tty, &out.attr);
        return user_write(arg, &out.attr, sizeof(out.attr));
    case TIOCSLCKTRMIOS:
        return tty_set_locked(task, tty, arg);
    case TIOCGSOFTCAR:
        r = tty->driver->get_attr(tty, &out.attr);
        if (r)
            return r;
        out.number = (out.attr.c_cflag & CLOCAL) != 0;
        return user_write(arg, &out.number, sizeof(out.number));
    case TIOCVHANGUP:
        if (!process_capable(task->process, CAP_SYS_ADMIN))
            return -EPERM;
        vhangup(tty);
        return 0;
    case TIOCSSOFTCAR:
        return tty_set_soft_carrier(task, tty, arg);
    case TCGETS2:
        return tty_get_attr2(tty, arg);
    case TCSETS2:
    case TCSETSW2:
    case TCSETSF2:
        return tty_read_attr(task, tty, request - TCSETS2 + TCSETS, arg);
    case TIOCGWINSZ:
        r = tty->driver->get_winsize(tty, &out.size);
        return r ? r : user_write(arg, &out.size, sizeof(out.size));
    case TIOCSWINSZ:
        return tty_set_winsize(tty, arg);
    case TCFLSH:
        r = tty_check_change(task, tty);
        return r ? r : tty->driver->flush(tty, (int)arg);
    case FIONREAD:
        r = tty->driver->input_bytes(tty, &out.number);
        return r ? r : user_write(arg, &out.number, sizeof(out.number));
    case TIOCOUTQ:
        r = tty->driver->output_bytes(tty, &out.number);
        return r ? r : user_write(arg, &out.number, sizeof(out.number));
    case TIOCGPGRP:
    case TIOCGSID:
        return tty_get_ids(task, tty, request, arg);
    case TIOCSPGRP:
        return tty_set_pgrp(task, tty, arg);
    case TIOCSCTTY:
        return tty_set_controlling(task, tty, arg);
    case TIOCGPTPEER:
        return -EIO; /* asked of no master */
    case TIOCNOTTY:
        return tty_give_up(task, tty);
    case TIOCSTI:
        return tty_type(task, tty, arg);
    case TCXONC:
        return tty_flow(task, tty, (int)arg);
    case TCSBRK: /* also tcdrain(3): output was handed on already; breaks need a serial line */
    case TCSBRKP:
    case TIOCSBRK:
    case TIOCCBRK:
        return tty_check_change(task, tty);
    case TIOCEXCL:
    case TIOCNXCL:
        __atomic_store_n(&tty->exclusive, request == TIOCEXCL, __ATOMIC_RELAXED);
        return 0;
    case TIOCGEXCL:
        out.number = __atomic_load_n(&tty->exclusive, __ATOMIC_RELAXED);
        return user_write(arg, &out.number, sizeof(out.number));
    case TIOCGDEV:
        out.number = (int)tty->rdev;
        return user_write(arg, &out.number, sizeof(out.number));
    case TIOCSETD:
        r = user_read(&out.number, arg, sizeof(out.number));
        return r ? r : out.number ? -EINVAL : 0;
    case TIOCGETD:
        out.number = 0; /* N_TTY */
        return user_write(arg, &out.number, sizeof(out.number));
    default:
        stats_unsupported("ioctl: terminal request");
        return -ENOTTY;
    }
}

/* ---- the console ------------------------------------------------------------------------------------------------ */

static struct console {
    struct tty_session tty;
    struct host_file *host; /* owned, for good; NULL: no standard stream is a terminal */
} g_console;

static struct host_file *console_host(struct tty_session *tty)
{
    return ((struct console *)tty)->host;
}

static int console_get_attr(struct tty_session *tty, struct termios *out)
{
    return host_file_tty(g_platform, console_host(tty), HOST_TTY_GET_ATTR, out);
}

static int console_set_attr(struct task *task, struct tty_session *tty, enum host_tty_request how,
                            const struct termios *attr)
{
    struct termios copy = *attr;

    (void)task;
    return host_file_tty(g_platform, console_host(tty), how, &copy);
}

static int console_get_winsize(struct tty_session *tty, struct winsize *out)
{
    return host_file_tty(g_platform, console_host(tty), HOST_TTY_GET_WINSIZE, out);
}

static int console_set_winsize(struct tty_session *tty, const struct winsize *size)
{
    struct winsize copy = *size;

    return host_file_tty(g_platform, console_host(tty), HOST_TTY_SET_WINSIZE, &copy);
}

static int console_flush(struct tty_session *tty, int queue)
{
    return host_file_tty(g_platform, console_host(tty), HOST_TTY_FLUSH, &queue);
}

static int console_input_bytes(struct tty_session *tty, int *out)
{
    return host_file_tty(g_platform, console_host(tty), HOST_TTY_INPUT_BYTES, out);
}

static int console_output_bytes(struct tty_session *tty, int *out)
{
    (void)tty;
    *out = 0;
    return 0;
}

static const struct tty_driver console_driver = {
    .get_attr = console_get_attr,
    .set_attr = console_set_attr,
    .get_winsize = console_get_winsize,
    .set_winsize = console_set_winsize,
    .flush = console_flush,
    .input_bytes = console_input_bytes,
    .output_bytes = console_output_bytes,
    .hangs_up_with_leader = true,
};

static int64_t console_read(struct task *task, struct file *f, struct mem_ref into,
                            uint64_t *offset)
{
    int r = tty_check_read(task, &g_console.tty);

    (void)offset;
    return r ? r : host_stream_read(task, f, f->data, into);
}

static int64_t console_write(struct task *task, struct file *f, struct mem_ref from,
                             uint64_t *offset)
{
    int r = tty_check_write(task, &g_console.tty);

    (void)offset;
    return r ? r : host_stream_write(task, f, f->data, from);
}

static uint32_t console_poll(struct task *task, struct file *f, struct poll_table *table)
{
    (void)task;
    if (table)
        poll_table_add_host(table, f->data, POLLIN | POLLOUT);
    return host_file_poll(g_platform, f->data, POLLIN | POLLOUT);
}

static int64_t console_ioctl(struct task *task, struct file *f, unsigned request, uint64_t arg)
{
    (void)f;
    return tty_ioctl(task, &g_console.tty, request, arg);
}

/* The same answers as for the node /dev/console, or ttyname(3) would not recognise it. */
static int console_stat(struct file *f, struct file_stat *out)
{
    struct host_stat host;
    int r = host_file_stat(g_platform, f->data, &host);

    if (r)
        return r;
    host_stat_to_file(&host, out);
    if (!f->inode) {
        out->rdev = CONSOLE_RDEV;
        return 0;
    }
    return inode_getattr(f->inode, out);
}

static void console_release(struct file *f)
{
    host_file_close(g_platform, f->data);
}

/* O_ASYNC is told back, but nobody is told of what the host has. */
static void console_async_lists(struct file *f, struct async_list *lists[ASYNC_LISTS_MAX])
{
    (void)f;
    (void)lists;
    stats_unsupported("O_ASYNC: pal's own terminal");
}

static const struct file_ops console_ops = {
    .kind = "tty",
    .read = console_read,
    .write = console_write,
    .poll = console_poll,
    .ioctl = console_ioctl,
    .stat = console_stat,
    .async_lists = console_async_lists,
    .release = console_release,
};

struct file *tty_adopt_host(struct host_file *host, int *err)
{
    struct termios attr;
    struct file *f;

    if (host_file_tty(g_platform, host, HOST_TTY_GET_ATTR, &attr)) {
        *err = -ENOTTY;
        return NULL;
    }
    f = file_create(&console_ops, O_RDWR, host, err);
    if (f && !g_console.host) {
        host_file_get(g_platform, host);
        g_console.host = host;
        g_console.tty.driver = &console_driver;
        g_console.tty.rdev = CONSOLE_RDEV;
    }
    return f;
}

void tty_name_console(struct task *task, struct file *f)
{
    struct host_stat mine, console;
    struct path path;

    if (f->ops != &console_ops || host_file_stat(g_platform, f->data, &mine) ||
        host_file_stat(g_platform, g_console.host, &console) || mine.rdev != console.rdev)
        return;
    if (path_lookup(task, AT_FDCWD, "/dev/console", 0, &path))
        return;
    f->mount = path.mount;
    f->dentry = path.dentry; /* the reference goes along */
    f->inode = path.dentry->inode;
    inode_get(f->inode);
}

void tty_attach_first(struct process *process)
{
    if (!g_console.host)
        return;
    mutex_lock(&g_process_lock);
    g_console.tty.sid = process->sid;
    g_console.tty.pgid = process->pgid;
    process->tty = &g_console.tty;
    mutex_unlock(&g_process_lock);
}

int tty_foreground_pgid(void)
{
    int pgid;

    mutex_lock(&g_process_lock);
    pgid = g_console.tty.pgid;
    mutex_unlock(&g_process_lock);
    return pgid;
}

int console_open(struct task *task, struct file *f)
{
    if (!g_console.host)
        return -ENXIO;
    host_file_get(g_platform, g_console.host);
    f->ops = &console_ops;
    f->data = g_console.host;
    tty_opened(task, &g_console.tty, f->flags);
    return 0;
}

int tty_open_controlling(struct task *task, struct file *f)
{
    struct tty_session *tty = controlling_tty(task);

    if (!tty)
        return -ENXIO;
    return tty == &g_console.tty ? console_open(task, f) : pty_open_slave(task, tty, f);
}
