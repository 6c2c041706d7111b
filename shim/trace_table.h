/*
 * trace_table.h: what the arguments of each call mean, for the trace. Private to trace*.c.
 */
#ifndef PALIMPSEST_SHIM_TRACE_TABLE_H
#define PALIMPSEST_SHIM_TRACE_TABLE_H

#include <stdint.h>

/* How one argument is shown. Kinds from TRACE_OUT_FIRST on are written by the call, so shown after it. */
enum trace_kind {
    T_END, /* no further argument */
    T_INT,
    T_UINT,
    T_HEX, /* address or opaque number; 0 is NULL */
    T_OCTAL,
    T_FD,
    T_DIRFD,
    T_PATH,    /* whole string */
    T_STRINGS, /* char *[] */
    T_VARS,    /* envp: address and count */
    T_IN,      /* bytes; the next argument is their number */
    T_IOV_IN,  /* struct iovec[]; the next argument is their number */
    T_SIGNAL,
    T_SIGSET, /* in */
    T_SIGACTION,
    T_TIMESPEC,
    T_TIMEVAL,
    T_POLLFDS, /* in; the next argument is their number */
    T_SOCKADDR,
    T_RLIMIT,
    /* flag words and enumerations: names in trace_names.c */
    T_OPEN,
    T_ACCESS,
    T_AT,
    T_PROT,
    T_MAP,
    T_MREMAP,
    T_MADVISE,
    T_CLONE,
    T_WAIT,
    T_SIGHOW,
    T_WHENCE,
    T_FUTEX,
    T_FCNTL,
    T_IOCTL,
    T_CLOCK,
    T_RESOURCE,
    T_ARCH_PRCTL,
    T_PRCTL,
    T_AF,
    T_SOCK,
    T_MSG,
    T_GRND,
    T_EPOLL_CTL,
    T_KIND_COUNT_IN,
    T_OUT_FIRST = T_KIND_COUNT_IN,
    T_OUT = T_OUT_FIRST, /* bytes; the result is their number */
    T_OUT_STRING,        /* NUL-terminated */
    T_IOV_OUT,
    T_FD_PAIR,
    T_WAIT_STATUS,
    T_STAT,
    T_TIMESPEC_OUT,
    T_TIMEVAL_OUT,
    T_RLIMIT_OUT,
    T_SIGSET_OUT,
    T_SIGACTION_OUT,
    T_UNAME,
    T_INT_OUT,
};

/* How the result is shown. */
enum trace_result { TR_INT, TR_HEX, TR_OCTAL, TR_NONE /* the call never returns */ };

struct trace_call {
    uint8_t kinds[6]; /* enum trace_kind */
    uint8_t result;   /* enum trace_result */
};
/* NULL: nothing is known about this call. */
const struct trace_call *trace_call_find(uint64_t number);

struct trace_name {
    uint64_t value;
    const char *name;
};
enum trace_names_style { TRACE_FLAGS, TRACE_ENUM };
struct trace_names {
    const struct trace_name *names; /* ends with a NULL name */
    enum trace_names_style style;
    /* Of the bits that are an enumeration inside a flag word (O_ACCMODE, the clone signal); 0:
     * none */
    uint64_t mask;
    const char *zero; /* what 0 is called; NULL: "0" */
};
/* For kinds T_OPEN to T_EPOLL_CTL; names NULL for others. */
extern const struct trace_names g_trace_names[T_KIND_COUNT_IN];

const char *trace_errno_name(int error); /* "ENOENT"; NULL: unknown */
const char *trace_errno_text(int error); /* "No such file or directory" */
const char *trace_signal_name(int sig);  /* "SIGCHLD"; NULL: real-time or unknown */

#endif
