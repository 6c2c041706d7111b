/*
 * trace_names.c: names of flags and numbers. Values come from the kernel's UAPI headers; the few that only libc's headers
 * have (sockets) stand here as numbers of the ABI.
 */
#include "shim/trace_table.h"

#include <stddef.h>

#include <asm/ioctls.h>
#include <asm/prctl.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/random.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/time.h>
#include <linux/wait.h>

#include "platform/errno.h"

#define N(flag)                                                                                    \
    {                                                                                              \
        (flag), #flag                                                                              \
    }

static const struct trace_name k_open[] = {
    N(O_WRONLY),  N(O_RDWR),    N(O_TMPFILE),   N(O_CREAT),     N(O_EXCL),
    N(O_NOCTTY),  N(O_TRUNC),   N(O_APPEND),    N(O_NONBLOCK),  N(O_SYNC),
    N(O_DSYNC),   N(O_DIRECT),  N(O_LARGEFILE), N(O_DIRECTORY), N(O_NOFOLLOW),
    N(O_NOATIME), N(O_CLOEXEC), N(O_PATH),      N(FASYNC),      {0, NULL},
};
static const struct trace_name k_access[] = {
    {4, "R_OK"},
    {2, "W_OK"},
    {1, "X_OK"},
    {0, NULL},
};
static const struct trace_name k_at[] = {
    N(AT_SYMLINK_NOFOLLOW), N(AT_REMOVEDIR),        N(AT_SYMLINK_FOLLOW),  N(AT_NO_AUTOMOUNT),
    N(AT_EMPTY_PATH),       N(AT_STATX_FORCE_SYNC), N(AT_STATX_DONT_SYNC), {0, NULL},
};
static const struct trace_name k_prot[] = {
    N(PROT_READ), N(PROT_WRITE), N(PROT_EXEC), N(PROT_GROWSDOWN), {0, NULL},
};
static const struct trace_name k_map[] = {
    N(MAP_SHARED_VALIDATE), N(MAP_SHARED),    N(MAP_PRIVATE), N(MAP_FIXED),
    N(MAP_ANONYMOUS),       N(MAP_GROWSDOWN), N(MAP_LOCKED),  N(MAP_NORESERVE),
    N(MAP_POPULATE),        N(MAP_STACK),     N(MAP_HUGETLB), N(MAP_FIXED_NOREPLACE),
    N(MAP_DENYWRITE),       {0, NULL},
};
static const struct trace_name k_mremap[] = {
    N(MREMAP_MAYMOVE),
    N(MREMAP_FIXED),
    N(MREMAP_DONTUNMAP),
    {0, NULL},
};
static const struct trace_name k_madvise[] = {
    N(MADV_RANDOM),     N(MADV_SEQUENTIAL), N(MADV_WILLNEED), N(MADV_DONTNEED), N(MADV_FREE),
    N(MADV_REMOVE),     N(MADV_DONTFORK),   N(MADV_DOFORK),   N(MADV_HUGEPAGE), N(MADV_NOHUGEPAGE),
    N(MADV_WIPEONFORK), N(MADV_KEEPONFORK), N(MADV_DONTDUMP), N(MADV_DODUMP),   {0, NULL},
};
static const struct trace_name k_clone[] = {
    N(CLONE_VM),
    N(CLONE_FS),
    N(CLONE_FILES),
    N(CLONE_SIGHAND),
    N(CLONE_PIDFD),
    N(CLONE_VFORK),
    N(CLONE_PARENT),
    N(CLONE_THREAD),
    N(CLONE_NEWNS),
    N(CLONE_SYSVSEM),
    N(CLONE_SETTLS),
    N(CLONE_PARENT_SETTID),
    N(CLONE_CHILD_CLEARTID),
    N(CLONE_DETACHED),
    N(CLONE_CHILD_SETTID),
    N(CLONE_NEWUSER),
    N(CLONE_NEWPID),
    N(CLONE_NEWNET),
    {9, "SIGKILL"},
    {10, "SIGUSR1"},
    {12, "SIGUSR2"},
    {15, "SIGTERM"},
    {17, "SIGCHLD"},
    {0, NULL},
};
static const struct trace_name k_wait[] = {
    N(WNOHANG), N(WUNTRACED), N(WEXITED),  N(WCONTINUED),
    N(WNOWAIT), N(__WALL),    N(__WCLONE), {0, NULL},
};
static const struct trace_name k_sighow[] = {
    {0, "SIG_BLOCK"},
    {1, "SIG_UNBLOCK"},
    {2, "SIG_SETMASK"},
    {0, NULL},
};
static const struct trace_name k_whence[] = {
    N(SEEK_SET), N(SEEK_CUR), N(SEEK_END), N(SEEK_DATA), N(SEEK_HOLE), {0, NULL},
};
static const struct trace_name k_futex[] = {
    N(FUTEX_WAIT),        N(FUTEX_WAKE),         N(FUTEX_REQUEUE),        N(FUTEX_CMP_REQUEUE),
    N(FUTEX_WAKE_OP),     N(FUTEX_LOCK_PI),      N(FUTEX_UNLOCK_PI),      N(FUTEX_WAIT_BITSET),
    N(FUTEX_WAKE_BITSET), N(FUTEX_PRIVATE_FLAG), N(FUTEX_CLOCK_REALTIME), {0, NULL},
};
static const struct trace_name k_fcntl[] = {
    N(F_DUPFD),     N(F_GETFD),     N(F_SETFD),         N(F_GETFL),      N(F_SETFL),
    N(F_GETLK),     N(F_SETLK),     N(F_SETLKW),        N(F_SETOWN),     N(F_GETOWN),
    N(F_SETSIG),    N(F_GETSIG),    N(F_DUPFD_CLOEXEC), N(F_SETPIPE_SZ), N(F_GETPIPE_SZ),
    N(F_ADD_SEALS), N(F_GET_SEALS), N(F_OFD_GETLK),     N(F_OFD_SETLK),  N(F_OFD_SETLKW),
    {0, NULL},
};
static const struct trace_name k_ioctl[] = {
    N(TCGETS),     N(TCSETS),      N(TCSETSW),   N(TCSETSF),   N(TIOCGPGRP), N(TIOCSPGRP),
    N(TIOCGWINSZ), N(TIOCSWINSZ),  N(TIOCSCTTY), N(TIOCNOTTY), N(TIOCGSID),  N(TIOCGPTN),
    N(TIOCSPTLCK), N(TIOCGPTPEER), N(TCSBRK),    N(TCFLSH),    N(TCXONC),    N(FIONREAD),
    N(FIONBIO),    N(FIOASYNC),    N(FIOCLEX),   N(FIONCLEX),  N(FICLONE),   {0, NULL},
};
static const struct trace_name k_clock[] = {
    N(CLOCK_REALTIME),
    N(CLOCK_MONOTONIC),
    N(CLOCK_PROCESS_CPUTIME_ID),
    N(CLOCK_THREAD_CPUTIME_ID),
    N(CLOCK_MONOTONIC_RAW),
    N(CLOCK_REALTIME_COARSE),
    N(CLOCK_MONOTONIC_COARSE),
    N(CLOCK_BOOTTIME),
    N(CLOCK_TAI),
    {0, NULL},
};
static const struct trace_name k_resource[] = {
    N(RLIMIT_CPU),      N(RLIMIT_FSIZE), N(RLIMIT_DATA),   N(RLIMIT_STACK),
    N(RLIMIT_CORE),     N(RLIMIT_RSS),   N(RLIMIT_NPROC),  N(RLIMIT_NOFILE),
    N(RLIMIT_MEMLOCK),  N(RLIMIT_AS),    N(RLIMIT_LOCKS),  N(RLIMIT_SIGPENDING),
    N(RLIMIT_MSGQUEUE), N(RLIMIT_NICE),  N(RLIMIT_RTPRIO), N(RLIMIT_RTTIME),
    {0, NULL},
};
static const struct trace_name k_arch_prctl[] = {
    N(ARCH_SET_GS),    N(ARCH_SET_FS),    N(ARCH_GET_FS), N(ARCH_GET_GS),
    N(ARCH_GET_CPUID), N(ARCH_SET_CPUID), {0, NULL},
};
static const struct trace_name k_prctl[] = {
    N(PR_SET_PDEATHSIG),
    N(PR_GET_PDEATHSIG),
    N(PR_GET_DUMPABLE),
    N(PR_SET_DUMPABLE),
    N(PR_SET_NAME),
    N(PR_GET_NAME),
    N(PR_SET_SECCOMP),
    N(PR_CAPBSET_READ),
    N(PR_SET_THP_DISABLE),
    N(PR_GET_THP_DISABLE),
    N(PR_SET_CHILD_SUBREAPER),
    N(PR_GET_CHILD_SUBREAPER),
    N(PR_SET_NO_NEW_PRIVS),
    N(PR_GET_NO_NEW_PRIVS),
    N(PR_SET_VMA),
    N(PR_SET_MM),
    {0, NULL},
};
static const struct trace_name k_af[] = {
    {0, "AF_UNSPEC"},   {1, "AF_UNIX"},    {2, "AF_INET"}, {10, "AF_INET6"},
    {16, "AF_NETLINK"}, {17, "AF_PACKET"}, {0, NULL},
};
static const struct trace_name k_sock[] = {
    {0x800, "SOCK_NONBLOCK"}, {0x80000, "SOCK_CLOEXEC"}, {1, "SOCK_STREAM"}, {2, "SOCK_DGRAM"},
    {3, "SOCK_RAW"},          {5, "SOCK_SEQPACKET"},     {0, NULL},
};
static const struct trace_name k_msg[] = {
    {0x1, "MSG_OOB"},
    {0x2, "MSG_PEEK"},
    {0x4, "MSG_DONTROUTE"},
    {0x20, "MSG_TRUNC"},
    {0x40, "MSG_DONTWAIT"},
    {0x100, "MSG_WAITALL"},
    {0x4000, "MSG_NOSIGNAL"},
    {0x8000, "MSG_MORE"},
    {0x40000000, "MSG_CMSG_CLOEXEC"},
    {0, NULL},
};
static const struct trace_name k_grnd[] = {
    N(GRND_NONBLOCK),
    N(GRND_RANDOM),
    N(GRND_INSECURE),
    {0, NULL},
};
static const struct trace_name k_epoll_ctl[] = {
    N(EPOLL_CTL_ADD),
    N(EPOLL_CTL_DEL),
    N(EPOLL_CTL_MOD),
    {0, NULL},
};

const struct trace_names g_trace_names[T_KIND_COUNT_IN] = {
    [T_OPEN] = {k_open, TRACE_FLAGS, O_ACCMODE, "O_RDONLY"},
    [T_ACCESS] = {k_access, TRACE_FLAGS, 0, "F_OK"},
    [T_AT] = {k_at, TRACE_FLAGS, 0, NULL},
    [T_PROT] = {k_prot, TRACE_FLAGS, 0, "PROT_NONE"},
    [T_MAP] = {k_map, TRACE_FLAGS, MAP_TYPE, NULL},
    [T_MREMAP] = {k_mremap, TRACE_FLAGS, 0, NULL},
    [T_MADVISE] = {k_madvise, TRACE_ENUM, 0, "MADV_NORMAL"},
    [T_CLONE] = {k_clone, TRACE_FLAGS, CSIGNAL, NULL},
    [T_WAIT] = {k_wait, TRACE_FLAGS, 0, NULL},
    [T_SIGHOW] = {k_sighow, TRACE_ENUM, 0, NULL},
    [T_WHENCE] = {k_whence, TRACE_ENUM, 0, NULL},
    [T_FUTEX] = {k_futex, TRACE_FLAGS, FUTEX_CMD_MASK, "FUTEX_WAIT"},
    [T_FCNTL] = {k_fcntl, TRACE_ENUM, 0, NULL},
    [T_IOCTL] = {k_ioctl, TRACE_ENUM, 0, NULL},
    [T_CLOCK] = {k_clock, TRACE_ENUM, 0, NULL},
    [T_RESOURCE] = {k_resource, TRACE_ENUM, 0, NULL},
    [T_ARCH_PRCTL] = {k_arch_prctl, TRACE_ENUM, 0, NULL},
    [T_PRCTL] = {k_prctl, TRACE_ENUM, 0, NULL},
    [T_AF] = {k_af, TRACE_ENUM, 0, NULL},
    [T_SOCK] = {k_sock, TRACE_FLAGS, 0xf, NULL},
    [T_MSG] = {k_msg, TRACE_FLAGS, 0, NULL},
    [T_GRND] = {k_grnd, TRACE_FLAGS, 0, NULL},
    [T_EPOLL_CTL] = {k_epoll_ctl, TRACE_ENUM, 0, NULL},
};

static const struct {
    const char *name, *text;
} k_errors[] = {
    [EPERM] = {"EPERM", "Operation not permitted"},
    [ENOENT] = {"ENOENT", "No such file or directory"},
    [ESRCH] = {"ESRCH", "No such process"},
    [EINTR] = {"EINTR", "Interrupted system call"},
    [EIO] = {"EIO", "Input/output error"},
    [ENXIO] = {"ENXIO", "No such device or address"},
    [E2BIG] = {"E2BIG", "Argument list too long"},
    [ENOEXEC] = {"ENOEXEC", "Exec format error"},
    [EBADF] = {"EBADF", "Bad file descriptor"},
    [ECHILD] = {"ECHILD", "No child processes"},
    [EAGAIN] = {"EAGAIN", "Resource temporarily unavailable"},
    [ENOMEM] = {"ENOMEM", "Cannot allocate memory"},
    [EACCES] = {"EACCES", "Permission denied"},
    [EFAULT] = {"EFAULT", "Bad address"},
    [ENOTBLK] = {"ENOTBLK", "Block device required"},
    [EBUSY] = {"EBUSY", "Device or resource busy"},
    [EEXIST] = {"EEXIST", "File exists"},
    [EXDEV] = {"EXDEV", "Invalid cross-device link"},
    [ENODEV] = {"ENODEV", "No such device"},
    [ENOTDIR] = {"ENOTDIR", "Not a directory"},
    [EISDIR] = {"EISDIR", "Is a directory"},
    [EINVAL] = {"EINVAL", "Invalid argument"},
    [ENFILE] = {"ENFILE", "Too many open files in system"},
    [EMFILE] = {"EMFILE", "Too many open files"},
    [ENOTTY] = {"ENOTTY", "Inappropriate ioctl for device"},
    [ETXTBSY] = {"ETXTBSY", "Text file busy"},
    [EFBIG] = {"EFBIG", "File too large"},
    [ENOSPC] = {"ENOSPC", "No space left on device"},
    [ESPIPE] = {"ESPIPE", "Illegal seek"},
    [EROFS] = {"EROFS", "Read-only file system"},
    [EMLINK] = {"EMLINK", "Too many links"},
    [EPIPE] = {"EPIPE", "Broken pipe"},
    [EDOM] = {"EDOM", "Numerical argument out of domain"},
    [ERANGE] = {"ERANGE", "Numerical result out of range"},
    [EDEADLK] = {"EDEADLK", "Resource deadlock avoided"},
    [ENAMETOOLONG] = {"ENAMETOOLONG", "File name too long"},
    [ENOLCK] = {"ENOLCK", "No locks available"},
    [ENOSYS] = {"ENOSYS", "Function not implemented"},
    [ENOTEMPTY] = {"ENOTEMPTY", "Directory not empty"},
    [ELOOP] = {"ELOOP", "Too many levels of symbolic links"},
    [ENOMSG] = {"ENOMSG", "No message of desired type"},
    [EIDRM] = {"EIDRM", "Identifier removed"},
    [ECHRNG] = {"ECHRNG", "Channel number out of range"},
    [EL2NSYNC] = {"EL2NSYNC", "Level 2 not synchronized"},
    [EL3HLT] = {"EL3HLT", "Level 3 halted"},
    [EL3RST] = {"EL3RST", "Level 3 reset"},
    [ELNRNG] = {"ELNRNG", "Link number out of range"},
    [EUNATCH] = {"EUNATCH", "Protocol driver not attached"},
    [ENOCSI] = {"ENOCSI", "No CSI structure available"},
    [EL2HLT] = {"EL2HLT", "Level 2 halted"},
    [EBADE] = {"EBADE", "Invalid exchange"},
    [EBADR] = {"EBADR", "Invalid request descriptor"},
    [EXFULL] = {"EXFULL", "Exchange full"},
    [ENOANO] = {"ENOANO", "No anode"},
    [EBADRQC] = {"EBADRQC", "Invalid request code"},
    [EBADSLT] = {"EBADSLT", "Invalid slot"},
    [EBFONT] = {"EBFONT", "Bad font file format"},
    [ENOSTR] = {"ENOSTR", "Device not a stream"},
    [ENODATA] = {"ENODATA", "No data available"},
    [ETIME] = {"ETIME", "Timer expired"},
    [ENOSR] = {"ENOSR", "Out of streams resources"},
    [ENONET] = {"ENONET", "Machine is not on the network"},
    [ENOPKG] = {"ENOPKG", "Package not installed"},
    [EREMOTE] = {"EREMOTE", "Object is remote"},
    [ENOLINK] = {"ENOLINK", "Link has been severed"},
    [EADV] = {"EADV", "Advertise error"},
    [ESRMNT] = {"ESRMNT", "Srmount error"},
    [ECOMM] = {"ECOMM", "Communication error on send"},
    [EPROTO] = {"EPROTO", "Protocol error"},
    [EMULTIHOP] = {"EMULTIHOP", "Multihop attempted"},
    [EDOTDOT] = {"EDOTDOT", "RFS specific error"},
    [EBADMSG] = {"EBADMSG", "Bad message"},
    [EOVERFLOW] = {"EOVERFLOW", "Value too large for defined data type"},
    [ENOTUNIQ] = {"ENOTUNIQ", "Name not unique on network"},
    [EBADFD] = {"EBADFD", "File descriptor in bad state"},
    [EREMCHG] = {"EREMCHG", "Remote address changed"},
    [ELIBACC] = {"ELIBACC", "Can not access a needed shared library"},
    [ELIBBAD] = {"ELIBBAD", "Accessing a corrupted shared library"},
    [ELIBSCN] = {"ELIBSCN", ".lib section in a.out corrupted"},
    [ELIBMAX] = {"ELIBMAX", "Attempting to link in too many shared libraries"},
    [ELIBEXEC] = {"ELIBEXEC", "Cannot exec a shared library directly"},
    [EILSEQ] = {"EILSEQ", "Invalid or incomplete multibyte or wide character"},
    [ERESTART] = {"ERESTART", "Interrupted system call should be restarted"},
    [ESTRPIPE] = {"ESTRPIPE", "Streams pipe error"},
    [EUSERS] = {"EUSERS", "Too many users"},
    [ENOTSOCK] = {"ENOTSOCK", "Socket operation on non-socket"},
    [EDESTADDRREQ] = {"EDESTADDRREQ", "Destination address required"},
    [EMSGSIZE] = {"EMSGSIZE", "Message too long"},
    [EPROTOTYPE] = {"EPROTOTYPE", "Protocol wrong type for socket"},
    [ENOPROTOOPT] = {"ENOPROTOOPT", "Protocol not available"},
    [EPROTONOSUPPORT] = {"EPROTONOSUPPORT", "Protocol not supported"},
    [ESOCKTNOSUPPORT] = {"ESOCKTNOSUPPORT", "Socket type not supported"},
    [EOPNOTSUPP] = {"EOPNOTSUPP", "Operation not supported"},
    [EPFNOSUPPORT] = {"EPFNOSUPPORT", "Protocol family not supported"},
    [EAFNOSUPPORT] = {"EAFNOSUPPORT", "Address family not supported by protocol"},
    [EADDRINUSE] = {"EADDRINUSE", "Address already in use"},
    [EADDRNOTAVAIL] = {"EADDRNOTAVAIL", "Cannot assign requested address"},
    [ENETDOWN] = {"ENETDOWN", "Network is down"},
    [ENETUNREACH] = {"ENETUNREACH", "Network is unreachable"},
    [ENETRESET] = {"ENETRESET", "Network dropped connection on reset"},
    [ECONNABORTED] = {"ECONNABORTED", "Software caused connection abort"},
    [ECONNRESET] = {"ECONNRESET", "Connection reset by peer"},
    [ENOBUFS] = {"ENOBUFS", "No buffer space available"},
    [EISCONN] = {"EISCONN", "Transport endpoint is already connected"},
    [ENOTCONN] = {"ENOTCONN", "Transport endpoint is not connected"},
    [ESHUTDOWN] = {"ESHUTDOWN", "Cannot send after transport endpoint shutdown"},
    [ETOOMANYREFS] = {"ETOOMANYREFS", "Too many references: cannot splice"},
    [ETIMEDOUT] = {"ETIMEDOUT", "Connection timed out"},
    [ECONNREFUSED] = {"ECONNREFUSED", "Connection refused"},
    [EHOSTDOWN] = {"EHOSTDOWN", "Host is down"},
    [EHOSTUNREACH] = {"EHOSTUNREACH", "No route to host"},
    [EALREADY] = {"EALREADY", "Operation already in progress"},
    [EINPROGRESS] = {"EINPROGRESS", "Operation now in progress"},
    [ESTALE] = {"ESTALE", "Stale file handle"},
    [EUCLEAN] = {"EUCLEAN", "Structure needs cleaning"},
    [ENOTNAM] = {"ENOTNAM", "Not a XENIX named type file"},
    [ENAVAIL] = {"ENAVAIL", "No XENIX semaphores available"},
    [EISNAM] = {"EISNAM", "Is a named type file"},
    [EREMOTEIO] = {"EREMOTEIO", "Remote I/O error"},
    [EDQUOT] = {"EDQUOT", "Disk quota exceeded"},
    [ENOMEDIUM] = {"ENOMEDIUM", "No medium found"},
    [EMEDIUMTYPE] = {"EMEDIUMTYPE", "Wrong medium type"},
    [ECANCELED] = {"ECANCELED", "Operation canceled"},
    [ENOKEY] = {"ENOKEY", "Required key not available"},
    [EKEYEXPIRED] = {"EKEYEXPIRED", "Key has expired"},
    [EKEYREVOKED] = {"EKEYREVOKED", "Key has been revoked"},
    [EKEYREJECTED] = {"EKEYREJECTED", "Key was rejected by service"},
    [EOWNERDEAD] = {"EOWNERDEAD", "Owner died"},
    [ENOTRECOVERABLE] = {"ENOTRECOVERABLE", "State not recoverable"},
    [ERFKILL] = {"ERFKILL", "Operation not possible due to RF-kill"},
};

const char *trace_errno_name(int error)
{
    return error > 0 && (size_t)error < sizeof(k_errors) / sizeof(k_errors[0])
               ? k_errors[error].name
               : NULL;
}

const char *trace_errno_text(int error)
{
    return trace_errno_name(error) ? k_errors[error].text : "";
}

static const char *const k_signals[] = {
    NULL,        "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",
    "SIGFPE",    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM",
    "SIGSTKFLT", "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
    "SIGXCPU",   "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS",
};

const char *trace_signal_name(int sig)
{
    return sig > 0 && (size_t)sig < sizeof(k_signals) / sizeof(k_signals[0]) ? k_signals[sig]
                                                                             : NULL;
}
