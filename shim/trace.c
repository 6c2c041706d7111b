/*
 * trace.c: builds trace lines. A line starts before its call, up to the first argument that the call writes, and is finished after it, so
 * that nothing is shown that the call has since overwritten (execve replaces the whole memory its arguments were in).
 */
#include "shim/trace.h"

#include <asm/signal.h>
#include <asm/stat.h>
#include <asm/unistd_64.h>
#include <linux/fcntl.h>
#include <linux/utsname.h>

#include "platform/instance.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/syscall.h"
#include "shim/trace_table.h"

#define BYTES_SHOWN 32  /* of buffers; strings that name files are shown whole */
#define VECTOR_SHOWN 32 /* elements of argv, iovec, pollfd */

static void show_quoted(struct str_buf *line, const char *data, size_t size)
{
    str_buf_append(line, "\"", 1);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)data[i];
        const char *escapes = "\nn\tt\rr\vv\ff\"\"\\\\";
        while (*escapes && (unsigned char)*escapes != c)
            escapes += 2;
        if (*escapes)
            str_buf_printf(line, "\\%c", escapes[1]);
        else if (c >= ' ' && c < 0x7f)
            str_buf_append(line, data + i, 1);
        else if (i + 1 < size && data[i + 1] >= '0' && data[i + 1] <= '9')
            str_buf_printf(line, "\\%03o", c); /* or the next digit would seem part of it */
        else
            str_buf_printf(line, "\\%o", c);
    }
    str_buf_append(line, "\"", 1);
}

static void show_address(struct str_buf *line, uint64_t addr)
{
    if (addr)
        str_buf_printf(line, "%#llx", (unsigned long long)addr);
    else
        str_buf_printf(line, "NULL");
}

static void show_string(struct str_buf *line, uint64_t addr)
{
    int err = 0;
    char *s = addr ? user_string(addr, 4096, &err) : NULL;
    if (s)
        show_quoted(line, s, str_length(s));
    else
        show_address(line, addr);
    shim_free(s);
}

static void show_bytes(struct str_buf *line, uint64_t addr, uint64_t size)
{
    char data[BYTES_SHOWN];
    size_t shown = size < sizeof(data) ? (size_t)size : sizeof(data);
    if (!addr || user_read(data, addr, shown) != 0) {
        show_address(line, addr);
        return;
    }
    show_quoted(line, data, shown);
    if (shown < size)
        str_buf_printf(line, "...");
}

static void show_strings(struct str_buf *line, uint64_t addr)
{
    if (!addr) {
        show_address(line, addr);
        return;
    }
    str_buf_append(line, "[", 1);
    for (unsigned i = 0;; i++) {
        uint64_t element;
        if (user_read(&element, addr + i * sizeof(element), sizeof(element)) != 0 || !element)
            break;
        if (i)
            str_buf_append(line, ", ", 2);
        if (i == VECTOR_SHOWN) {
            str_buf_printf(line, "...");
            break;
        }
        show_string(line, element);
    }
    str_buf_append(line, "]", 1);
}

static void show_vars(struct str_buf *line, uint64_t addr)
{
    unsigned count = 0;
    uint64_t element;
    show_address(line, addr);
    while (addr && count < 100000 &&
           user_read(&element, addr + count * sizeof(element), sizeof(element)) == 0 && element)
        count++;
    if (addr)
        str_buf_printf(line, " /* %u vars */", count);
}

static void show_names(struct str_buf *line, const struct trace_names *names, uint64_t value)
{
    const struct trace_name *n;
    if (names->style == TRACE_ENUM) {
        for (n = names->names; n->name; n++) {
            if (n->value == value) {
                str_buf_printf(line, "%s", n->name);
                return;
            }
        }
        if (value == 0 && names->zero)
            str_buf_printf(line, "%s", names->zero);
        else
            str_buf_printf(line, "%#llx", (unsigned long long)value);
        return;
    }
    const char *bar = "";
    if (names->mask && (value & names->mask) == 0 && names->zero) {
        str_buf_printf(line, "%s", names->zero);
        bar = "|";
    }
    uint64_t rest = value;
    for (n = names->names; n->name; n++) {
        bool in_mask = names->mask && (n->value & ~names->mask) == 0 && n->value;
        if (in_mask ? (rest & names->mask) != n->value
                    : (!n->value || (rest & n->value) != n->value))
            continue;
        str_buf_printf(line, "%s%s", bar, n->name);
        bar = "|";
        rest &= ~n->value;
    }
    if (rest)
        str_buf_printf(line, "%s%#llx", bar, (unsigned long long)rest);
    else if (!*bar)
        str_buf_printf(line, "%s", names->zero ? names->zero : "0");
}

static void show_signal(struct str_buf *line, uint64_t sig)
{
    const char *name = sig < 65 ? trace_signal_name((int)sig) : NULL;
    if (name)
        str_buf_printf(line, "%s", name);
    else if (sig >= 32 && sig <= 64)
        str_buf_printf(line, "SIGRT_%u", (unsigned)sig - 32);
    else
        str_buf_printf(line, "%lld", (long long)sig);
}

static void show_sigset_bits(struct str_buf *line, uint64_t bits)
{
    const char *space = "";
    /* strace's form for nearly full sets: ~[those that are missing] */
    bool all_but = __builtin_popcountll(bits) > 32;
    str_buf_printf(line, all_but ? "~[" : "[");
    for (int sig = 1; sig <= 64; sig++) {
        if (((bits >> (sig - 1)) & 1) == (all_but ? 1u : 0u))
            continue;
        const char *name = trace_signal_name(sig);
        if (name)
            str_buf_printf(line, "%s%s", space, name + 3);
        else
            str_buf_printf(line, "%sRT_%d", space, sig - 32);
        space = " ";
    }
    str_buf_append(line, "]", 1);
}

static void show_sigset(struct str_buf *line, uint64_t addr)
{
    uint64_t bits;
    if (!addr || user_read(&bits, addr, sizeof(bits)) != 0)
        show_address(line, addr);
    else
        show_sigset_bits(line, bits);
}

static void show_sigaction(struct str_buf *line, uint64_t addr)
{
    struct abi_sigaction action;
    if (!addr || user_read(&action, addr, sizeof(action)) != 0) {
        show_address(line, addr);
        return;
    }
    str_buf_printf(line, "{sa_handler=");
    if (action.handler <= 1)
        str_buf_printf(line, action.handler ? "SIG_IGN" : "SIG_DFL");
    else
        show_address(line, action.handler);
    str_buf_printf(line, ", sa_mask=");
    show_sigset_bits(line, action.mask);
    str_buf_printf(line, ", sa_flags=");
    static const struct trace_name names[] = {
        {SA_RESTORER, "SA_RESTORER"},   {SA_ONSTACK, "SA_ONSTACK"},     {SA_RESTART, "SA_RESTART"},
        {SA_NODEFER, "SA_NODEFER"},     {SA_RESETHAND, "SA_RESETHAND"}, {SA_SIGINFO, "SA_SIGINFO"},
        {SA_NOCLDSTOP, "SA_NOCLDSTOP"}, {SA_NOCLDWAIT, "SA_NOCLDWAIT"}, {0, NULL},
    };
    show_names(line, &(struct trace_names){names, TRACE_FLAGS, 0, NULL}, action.flags);
    str_buf_append(line, "}", 1);
}

/* Two 64-bit numbers, as timespec, timeval and rlimit are. */
static void show_pair(struct str_buf *line, uint64_t addr, const char *first, const char *second)
{
    int64_t pair[2];
    if (!addr || user_read(pair, addr, sizeof(pair)) != 0) {
        show_address(line, addr);
        return;
    }
    for (int i = 0; i < 2; i++) {
        str_buf_printf(line, "%s%s=", i ? ", " : "{", i ? second : first);
        if (first[0] == 'r' && pair[i] == -1)
            str_buf_printf(line, "RLIM64_INFINITY");
        else
            str_buf_printf(line, "%lld", (long long)pair[i]);
    }
    str_buf_append(line, "}", 1);
}

static void show_iov(struct str_buf *line, uint64_t addr, uint64_t count, uint64_t limit)
{
    if (!addr) {
        show_address(line, addr);
        return;
    }
    str_buf_append(line, "[", 1);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t iov[2];
        if (i == VECTOR_SHOWN || user_read(iov, addr + i * sizeof(iov), sizeof(iov)) != 0) {
            str_buf_printf(line, ", ...");
            break;
        }
        uint64_t size = iov[1] < limit ? iov[1] : limit;
        limit -= size;
        str_buf_printf(line, "%s{iov_base=", i ? ", " : "");
        show_bytes(line, iov[0], size);
        str_buf_printf(line, ", iov_len=%llu}", (unsigned long long)iov[1]);
    }
    str_buf_append(line, "]", 1);
}

static void show_pollfds(struct str_buf *line, uint64_t addr, uint64_t count)
{
    static const struct trace_name names[] = {{1, "POLLIN"},  {2, "POLLPRI"},  {4, "POLLOUT"},
                                              {8, "POLLERR"}, {16, "POLLHUP"}, {0, NULL}};
    str_buf_append(line, "[", 1);
    for (uint64_t i = 0; i < count; i++) {
        struct {
            int32_t fd;
            int16_t events, revents;
        } p;
        if (i == VECTOR_SHOWN || user_read(&p, addr + i * sizeof(p), sizeof(p)) != 0) {
            str_buf_printf(line, ", ...");
            break;
        }
        str_buf_printf(line, "%s{fd=%d, events=", i ? ", " : "", p.fd);
        show_names(line, &(struct trace_names){names, TRACE_FLAGS, 0, NULL}, (uint16_t)p.events);
        str_buf_append(line, "}", 1);
    }
    str_buf_append(line, "]", 1);
}

static void show_sockaddr(struct str_buf *line, uint64_t addr, uint64_t size)
{
    char data[112] = {0};
    if (size > sizeof(data))
        size = sizeof(data);
    if (!addr || size < 2 || user_read(data, addr, (size_t)size) != 0) {
        show_address(line, addr);
        return;
    }
    const unsigned char *b = (const unsigned char *)data;
    unsigned family = b[0] | (unsigned)b[1] << 8;
    str_buf_printf(line, "{sa_family=");
    show_names(line, &g_trace_names[T_AF], family);
    if (family == 1) {
        str_buf_printf(line, ", sun_path=");
        if (data[2] || size < 3)
            show_quoted(line, data + 2, str_nlength(data + 2, (size_t)size - 2));
        else {
            str_buf_append(line, "@", 1);
            show_quoted(line, data + 3, (size_t)size - 3);
        }
    } else if (family == 2) {
        str_buf_printf(line, ", sin_port=%u, sin_addr=%u.%u.%u.%u", b[2] << 8 | b[3], b[4], b[5],
                       b[6], b[7]);
    }
    str_buf_append(line, "}", 1);
}

static void show_wait_status(struct str_buf *line, int status)
{
    unsigned sig = (unsigned)status & 0x7f;
    if (sig == 0) {
        str_buf_printf(line, "{WIFEXITED(s) && WEXITSTATUS(s) == %d}", status >> 8 & 0xff);
    } else if (sig == 0x7f && status != 0xffff) {
        str_buf_printf(line, "{WIFSTOPPED(s) && WSTOPSIG(s) == ");
        show_signal(line, (unsigned)status >> 8 & 0xff);
        str_buf_append(line, "}", 1);
    } else if (status == 0xffff) {
        str_buf_printf(line, "{WIFCONTINUED(s)}");
    } else {
        str_buf_printf(line, "{WIFSIGNALED(s) && WTERMSIG(s) == ");
        show_signal(line, sig);
        str_buf_printf(line, status & 0x80 ? " && WCOREDUMP(s)}" : "}");
    }
}

static void show_stat(struct str_buf *line, uint64_t addr)
{
    static const char *const types[16] = {
        [1] = "S_IFIFO", [2] = "S_IFCHR",  [4] = "S_IFDIR",  [6] = "S_IFBLK",
        [8] = "S_IFREG", [10] = "S_IFLNK", [12] = "S_IFSOCK"};
    struct stat st;
    if (!addr || user_read(&st, addr, sizeof(st)) != 0) {
        show_address(line, addr);
        return;
    }
    const char *type = types[st.st_mode >> 12 & 0xf];
    str_buf_printf(line, "{st_mode=%s%s%#o, st_size=%lld, ...}", type ? type : "", type ? "|" : "",
                   st.st_mode & 07777, (long long)st.st_size);
}

static void show_uname(struct str_buf *line, uint64_t addr)
{
    struct new_utsname name;
    if (user_read(&name, addr, sizeof(name)) != 0) {
        show_address(line, addr);
        return;
    }
    str_buf_printf(line, "{sysname=\"%.64s\", nodename=\"%.64s\", ...}", name.sysname,
                   name.nodename);
}

/* The argument of fcntl(2) means what its command says. Result: false when the command has none. */
static bool show_fcntl_argument(struct str_buf *line, uint64_t command, uint64_t value,
                                const char *comma)
{
    if (command == F_GETFD || command == F_GETFL || command == F_GETOWN || command == F_GETSIG)
        return false;
    str_buf_printf(line, "%s", comma);
    if (command == F_SETFL)
        show_names(line, &g_trace_names[T_OPEN], value);
    else if (command == F_SETFD)
        str_buf_printf(line, value == FD_CLOEXEC ? "FD_CLOEXEC" : "%llu",
                       (unsigned long long)value);
    else if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        str_buf_printf(line, "%d", (int)value);
    else
        show_address(line, value);
    return true;
}

static void show_in(struct str_buf *line, enum trace_kind kind, const uint64_t *arg)
{
    uint64_t value = arg[0];
    switch (kind) {
    case T_INT:
        if ((value >> 32) == 0 || (value >> 32) == UINT32_MAX)
            str_buf_printf(line, "%d", (int)value); /* ints arrive with garbage or sign above */
        else
            str_buf_printf(line, "%lld", (long long)value);
        break;
    case T_UINT:
        str_buf_printf(line, "%llu", (unsigned long long)value);
        break;
    case T_OCTAL:
        str_buf_printf(line, "%#o", (unsigned)value);
        break;
    case T_FD:
        str_buf_printf(line, "%d", (int)value);
        break;
    case T_DIRFD:
        if ((int)value == AT_FDCWD)
            str_buf_printf(line, "AT_FDCWD");
        else
            str_buf_printf(line, "%d", (int)value);
        break;
    case T_PATH:
        show_string(line, value);
        break;
    case T_STRINGS:
        show_strings(line, value);
        break;
    case T_VARS:
        show_vars(line, value);
        break;
    case T_IN:
        show_bytes(line, value, arg[1]);
        break;
    case T_IOV_IN:
        show_iov(line, value, arg[1], UINT64_MAX);
        break;
    case T_SIGNAL:
        show_signal(line, value);
        break;
    case T_SIGSET:
        show_sigset(line, value);
        break;
    case T_SIGACTION:
        show_sigaction(line, value);
        break;
    case T_TIMESPEC:
        show_pair(line, value, "tv_sec", "tv_nsec");
        break;
    case T_TIMEVAL:
        show_pair(line, value, "tv_sec", "tv_usec");
        break;
    case T_RLIMIT:
        show_pair(line, value, "rlim_cur", "rlim_max");
        break;
    case T_POLLFDS:
        show_pollfds(line, value, arg[1]);
        break;
    case T_SOCKADDR:
        show_sockaddr(line, value, arg[1]);
        break;
    default:
        if (kind < T_KIND_COUNT_IN && g_trace_names[kind].names)
            show_names(line, &g_trace_names[kind], (uint32_t)value);
        else
            show_address(line, value);
        break;
    }
}

static void show_out(struct str_buf *line, enum trace_kind kind, const uint64_t *arg, long result)
{
    uint64_t value = arg[0];
    int ints[2];
    if (!value || (result < 0 && result > -4096)) {
        show_address(line, value);
        return;
    }
    switch (kind) {
    case T_OUT:
        show_bytes(line, value, (uint64_t)result);
        return;
    case T_OUT_STRING:
        show_string(line, value);
        return;
    case T_IOV_OUT:
        show_iov(line, value, arg[1], (uint64_t)result);
        return;
    case T_FD_PAIR:
        if (user_read(ints, value, sizeof(ints)) != 0)
            break;
        str_buf_printf(line, "[%d, %d]", ints[0], ints[1]);
        return;
    case T_INT_OUT:
    case T_WAIT_STATUS:
        if (user_read(ints, value, sizeof(ints[0])) != 0)
            break;
        str_buf_append(line, "[", 1);
        if (kind == T_WAIT_STATUS && result > 0)
            show_wait_status(line, ints[0]);
        else
            str_buf_printf(line, "%d", ints[0]);
        str_buf_append(line, "]", 1);
        return;
    case T_STAT:
        show_stat(line, value);
        return;
    case T_TIMESPEC_OUT:
        show_pair(line, value, "tv_sec", "tv_nsec");
        return;
    case T_TIMEVAL_OUT:
        show_pair(line, value, "tv_sec", "tv_usec");
        return;
    case T_RLIMIT_OUT:
        show_pair(line, value, "rlim_cur", "rlim_max");
        return;
    case T_SIGSET_OUT:
        show_sigset(line, value);
        return;
    case T_SIGACTION_OUT:
        show_sigaction(line, value);
        return;
    case T_UNAME:
        show_uname(line, value);
        return;
    default:
        break;
    }
    show_address(line, value);
}

enum trace_phase { BEFORE, AFTER };

/*
 * Arguments from `first` on; before the call only up to the first one that it writes. Result: index of the first argument not shown.
 */
static unsigned show_arguments(struct str_buf *line, uint64_t number, const uint64_t *a,
                               unsigned first, enum trace_phase phase, long result)
{
    const struct trace_call *call = trace_call_find(number);
    unsigned count =
        number < SYSCALL_COUNT && g_syscalls[number].handler ? g_syscalls[number].args : 6;
    for (unsigned i = first; i < 6; i++) {
        enum trace_kind kind = call ? call->kinds[i] : i < count ? T_HEX : T_END;
        const char *comma = i ? ", " : "";
        if (kind == T_END || (call && i >= count))
            return 6;
        /* A mode means something only when a file may be made. */
        if (kind == T_OCTAL && i > 0 && call->kinds[i - 1] == T_OPEN &&
            !(a[i - 1] & (O_CREAT | __O_TMPFILE)))
            return 6;
        if (i > 0 && call && call->kinds[i - 1] == T_FCNTL) {
            show_fcntl_argument(line, a[i - 1], a[i], comma);
            return 6;
        }
        if (kind >= T_OUT_FIRST && phase == BEFORE)
            return i;
        str_buf_printf(line, "%s", comma);
        if (kind >= T_OUT_FIRST)
            show_out(line, kind, a + i, result);
        else
            show_in(line, kind, a + i);
    }
    return 6;
}

static void show_result(struct str_buf *line, uint64_t number, long result)
{
    static const struct trace_name restarts[] = {
        {ERESTARTSYS, "ERESTARTSYS (To be restarted if SA_RESTART is set)"},
        {ERESTARTNOINTR, "ERESTARTNOINTR (To be restarted)"},
        {ERESTARTNOHAND, "ERESTARTNOHAND (To be restarted if no handler)"},
        {ERESTART_RESTARTBLOCK, "ERESTART_RESTARTBLOCK (Interrupted by signal)"},
    };
    const struct trace_call *call = trace_call_find(number);
    for (size_t i = 0; i < sizeof(restarts) / sizeof(restarts[0]); i++) {
        if (result == -(long)restarts[i].value) {
            str_buf_printf(line, " = ? %s\n", restarts[i].name);
            return;
        }
    }
    if (result < 0 && result > -4096) {
        const char *name = trace_errno_name((int)-result);
        if (name)
            str_buf_printf(line, " = -1 %s (%s)\n", name, trace_errno_text((int)-result));
        else
            str_buf_printf(line, " = -1 (errno %ld)\n", -result);
    } else if (call && call->result == TR_HEX) {
        str_buf_printf(line, " = %#lx\n", result);
    } else if (call && call->result == TR_OCTAL) {
        str_buf_printf(line, " = %#lo\n", result);
    } else {
        str_buf_printf(line, " = %ld\n", result);
    }
}

static void show_start(struct str_buf *line, const struct task *task, uint64_t number)
{
    const char *name = syscall_name(number);
    if (name)
        str_buf_printf(line, "[pid %d] %s(", task->tid, name);
    else
        str_buf_printf(line, "[pid %d] syscall_%#llx(", task->tid, (unsigned long long)number);
}

static void emit(struct str_buf *line)
{
    if (line->length && !line->failed)
        instance_trace(g_platform, line->data, line->length);
    str_buf_free(line);
}

void trace_enter(struct task *task, uint64_t number, const struct syscall_args *args)
{
    const struct trace_call *call = trace_call_find(number);
    struct str_buf line = {0};
    show_start(&line, task, number);
    task->trace_next = show_arguments(&line, number, args->a, 0, BEFORE, 0);
    shim_free(task->trace_line);
    task->trace_line = NULL;
    if (call && call->result == TR_NONE) {
        str_buf_printf(&line, ") = ?\n");
        emit(&line);
    } else {
        task->trace_line = line.data; /* the rest of the line follows in trace_exit */
    }
}

void trace_exit(struct task *task, uint64_t number, const struct syscall_args *args, long result)
{
    struct str_buf line = {0};
    if (result == SYSCALL_KEEP_REGS)
        result = (long)task->ctx->regs.rax;
    if (task->trace_line) {
        str_buf_append(&line, task->trace_line, str_length(task->trace_line));
        shim_free(task->trace_line);
        task->trace_line = NULL;
        show_arguments(&line, number, args->a, task->trace_next, AFTER, result);
    } else {
        show_start(&line, task, number); /* memory was short before */
    }
    str_buf_append(&line, ")", 1);
    show_result(&line, number, result);
    emit(&line);
}

void trace_signal(struct task *task, const struct abi_siginfo *info)
{
    static const char *const child_codes[] = {NULL,           "CLD_EXITED",  "CLD_KILLED",
                                              "CLD_DUMPED",   "CLD_TRAPPED", "CLD_STOPPED",
                                              "CLD_CONTINUED"};
    if (!g_config->trace)
        return;
    struct str_buf line = {0};
    int code = info->si_code;
    str_buf_printf(&line, "[pid %d] --- ", task->tid);
    show_signal(&line, (uint64_t)info->si_signo);
    str_buf_printf(&line, " {si_signo=");
    show_signal(&line, (uint64_t)info->si_signo);
    if (info->si_signo == SIGCHLD && code > 0 && code <= 6) {
        str_buf_printf(&line, ", si_code=%s, si_pid=%d, si_uid=%u, si_status=", child_codes[code],
                       info->chld.pid, info->chld.uid);
        if (code == 1)
            str_buf_printf(&line, "%d", info->chld.status);
        else
            show_signal(&line, (uint64_t)info->chld.status);
    } else if (code == 0 || code == -6 || code == -1) {
        str_buf_printf(&line, ", si_code=%s, si_pid=%d, si_uid=%u",
                       code == 0    ? "SI_USER"
                       : code == -1 ? "SI_QUEUE"
                                    : "SI_TKILL",
                       info->rt.pid, info->rt.uid);
    } else if (code == 0x80) {
        str_buf_printf(&line, ", si_code=SI_KERNEL");
    } else if (info->si_signo == SIGSEGV || info->si_signo == SIGBUS || info->si_signo == SIGILL ||
               info->si_signo == SIGFPE) {
        const char *name = info->si_signo != SIGSEGV ? NULL
                           : code == 1               ? "SEGV_MAPERR"
                           : code == 2               ? "SEGV_ACCERR"
                                                     : NULL;
        if (name)
            str_buf_printf(&line, ", si_code=%s, si_addr=", name);
        else
            str_buf_printf(&line, ", si_code=%d, si_addr=", code);
        show_address(&line, info->fault.addr);
    } else {
        str_buf_printf(&line, ", si_code=%d", code);
    }
    str_buf_printf(&line, "} ---\n");
    emit(&line);
}

void trace_end(struct task *task, int wait_status)
{
    shim_free(task->trace_line);
    task->trace_line = NULL;
    if (!g_config->trace)
        return;
    struct str_buf line = {0};
    str_buf_printf(&line, "[pid %d] +++ ", task->tid);
    if (wait_status & 0x7f) {
        str_buf_printf(&line, "killed by ");
        show_signal(&line, (uint64_t)wait_status & 0x7f);
        str_buf_printf(&line, wait_status & 0x80 ? " (core dumped) +++\n" : " +++\n");
    } else {
        str_buf_printf(&line, "exited with %d +++\n", wait_status >> 8 & 0xff);
    }
    emit(&line);
}
