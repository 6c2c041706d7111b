/*
 * hypercall.h: what the VMM and the ring-0 image say to each other. Both sides include it; nothing else crosses.
 *
 * The VMM starts each vCPU in 64-bit mode with the image's own boot tables; rdi holds the guest-physical address of a struct
 * kvm_boot_info. From then on the image asks by `out` of the guest-physical address (32 bits) of a struct kvm_request to one of
 * two ports: KVM_PORT_CALL is answered before the instruction ends, KVM_PORT_SUBMIT is answered later by an interrupt. The VMM
 * trusts nothing it reads there: it copies a request once and checks every field.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_HYPERCALL_H
#define PALIMPSEST_PLATFORM_KVM_HYPERCALL_H

#include <stdint.h>

#include "platform/host_socket.h"

/* Raised when a field or an operation changes its meaning. What is only added gets a KVM_HAVE_ bit. */
#define KVM_HYPERCALL_VERSION 2u

#define KVM_PORT_CALL 0x600
#define KVM_PORT_SUBMIT 0x604

/* The interrupt that says: some submitted request is done. */
#define KVM_VECTOR_DONE 0xf0

#define KVM_CPU_MAX 64u
#define KVM_MEMORY_RANGES 2u

/* Features of the VMM. Additive. */
#define KVM_HAVE_FILES (1ull << 0)
#define KVM_HAVE_SOCKETS (1ull << 2)
/* Ring 0 is emulated, and CPUID tells the host's truth there: use no extension */
#define KVM_SOFTWARE (1ull << 1)

struct kvm_memory_range {
    uint64_t start, size; /* guest-physical, page aligned */
};

#define KVM_BOOT_MAGIC 0x50534c50u
struct kvm_boot_info {
    uint32_t magic, version;
    uint64_t features; /* KVM_HAVE_* */
    uint32_t cpu_count;
    uint32_t tsc_khz;                                  /* 0: not known */
    struct kvm_memory_range memory[KVM_MEMORY_RANGES]; /* RAM; unused ones have size 0 */
    uint64_t free_start; /* what lies below in memory[0] is in use: image, this page, blob */
    uint64_t blob, blob_size;
    uint64_t shared, shared_size; /* memory that the embedder sees too (tests); size 0: none */
    uint64_t detailed_stats;
    /*
     * Raised by processor n with each interrupt it takes. The VMM interrupts each from time to time (KVM_VECTOR_DONE) and ends
     * a machine whose processor takes none for long. Written by the image, in this page.
     */
    uint64_t beat[KVM_CPU_MAX];
};

enum kvm_operation {
    KVM_OP_NONE,
    KVM_OP_MESSAGE,   /* buffer: one line for standard error, without newline */
    KVM_OP_TRACE,     /* buffer: to the trace sink */
    KVM_OP_EXIT,      /* a0: wait status; does not return */
    KVM_OP_PANIC,     /* buffer: last words; does not return */
    KVM_OP_START_CPU, /* a0: cpu, a1: rip, a2: rsp, a3: rdi */
    KVM_OP_CLOCK,     /* buffer: struct kvm_clock_reading */
    KVM_OP_ENTROPY,   /* buffer */
    KVM_OP_GIVE_BACK, /* buffer: page aligned; reads as zero from now on */
    KVM_OP_ZERO,      /* buffer */
    KVM_OP_COPY,      /* buffer: from; a0: guest-physical target */
    KVM_OP_EVENT,     /* submit: result: number of the next signal the host's user sent */
    KVM_OP_SUSPEND,   /* stop the host process until it is continued */
    /* A0: guest-physical address of a submitted request: it ends with -ECANCELED, if it has not
     * ended */
    KVM_OP_CANCEL,

    /* Files: a0 is a handle unless said. Names and data are in the buffer. Contracts: platform/host_file.h. */
    KVM_OP_FILE_GRANTED,  /* buffer: name. result: handle */
    KVM_OP_FILE_STANDARD, /* a0: 0, 1, 2. result: handle; a handle of its own each time */
    KVM_OP_FILE_OPEN,     /* a1: HOST_OPEN_*, a2: mode. result: handle */
    KVM_OP_FILE_REOPEN,   /* a1: HOST_OPEN_*. result: handle */
    KVM_OP_FILE_CLOSE,
    KVM_OP_FILE_STAT,    /* buffer: struct host_stat */
    KVM_OP_FILE_STAT_AT, /* buffer: name; a1: guest-physical address of a struct host_stat */
    KVM_OP_FILE_PREAD,   /* a1: offset, a2: KVM_NOWAIT */
    KVM_OP_FILE_PWRITE,
    KVM_OP_FILE_READ,
    KVM_OP_FILE_WRITE,
    KVM_OP_FILE_POLL,    /* a1: events. result: those that hold */
    KVM_OP_FILE_READDIR, /* a1: offset */
    KVM_OP_FILE_READLINK,
    KVM_OP_FILE_SETATTR, /* a1: HOST_SET_*; buffer: struct host_stat */
    KVM_OP_FILE_SYNC,
    KVM_OP_FILE_STATFS,   /* buffer: struct host_statfs */
    KVM_OP_FILE_MKDIR,    /* a1: mode */
    KVM_OP_FILE_SYMLINK,  /* buffer: name NUL target */
    KVM_OP_FILE_LINK,     /* a1: directory's handle */
    KVM_OP_FILE_UNLINK,   /* a1: 1: a directory */
    KVM_OP_FILE_RENAME,   /* a1: the other directory's handle, a2: flags; buffer: name NUL name */
    KVM_OP_FILE_MKNOD,    /* a1: mode, a2: rdev */
    KVM_OP_FILE_TTY,      /* a1: enum host_tty_request; buffer: its argument */
    KVM_OP_FILE_SEEK,     /* a1: offset, a2: whence. result: offset */
    KVM_OP_FILE_ALLOCATE, /* a1: offset, a2: size, a3: mode */
    KVM_OP_FILE_GET_XATTR, /* buffer: name; a1: guest-physical address of the value, a2: its size or 0 */
    KVM_OP_FILE_LIST_XATTR, /* buffer: for the names; none: their size is asked for */
    KVM_OP_FILE_SET_XATTR, /* buffer: name; a1, a2: value as above; a3: flags, or KVM_XATTR_REMOVE */
    KVM_OP_FILE_STAT_PATH, /* as KVM_OP_FILE_STAT_AT; buffer: path */
    KVM_OP_WAIT_FILES,     /* submit; buffer: struct kvm_wait_file[]. result: how many are ready */

    /* Sockets: a0 is a handle, as of files, unless said. Contracts: platform/host_socket.h. */
    KVM_OP_SOCKET_PUBLISHED,  /* buffer: name. result: handle */
    KVM_OP_SOCKET_OPEN,       /* a0: family, a1: type, a2: protocol. result: handle */
    KVM_OP_SOCKET_ACCEPT,     /* buffer: struct host_address, filled. result: handle */
    KVM_OP_SOCKET_BIND,       /* buffer: struct host_address */
    KVM_OP_SOCKET_LISTEN,     /* a1: backlog */
    KVM_OP_SOCKET_CONNECT,    /* buffer: struct host_address */
    KVM_OP_SOCKET_SHUTDOWN,   /* a1: how */
    KVM_OP_SOCKET_NAME,       /* a1: enum host_socket_name; buffer: struct host_address, filled */
    KVM_OP_SOCKET_SEND,       /* a1: guest-physical address of a struct kvm_socket_message */
    KVM_OP_SOCKET_RECEIVE,    /* likewise; it is filled */
    KVM_OP_SOCKET_GET_OPTION, /* a1: level << 32 | option; buffer: for the value. result: its size */
    KVM_OP_SOCKET_SET_OPTION, /* a1: likewise; buffer: the value */
    KVM_OP_SOCKET_COUNT,      /* a1: FIONREAD, TIOCOUTQ or SIOCATMARK. result: the number */
    KVM_OP_SOCKET_DEVICE, /* a1: a request of netdevice(7); buffer: what it takes, filled. result: bytes used */
    KVM_OP_COUNT,
};

#define KVM_XATTR_REMOVE (1ull << 32)

/* Do not wait for the disk: -EAGAIN says to submit the same request. */
#define KVM_NOWAIT 1u

enum kvm_request_state {
    KVM_REQUEST_IDLE,
    KVM_REQUEST_PENDING, /* submitted: the VMM's until DONE */
    KVM_REQUEST_DONE,    /* result is valid; the image's again */
};

struct kvm_request {
    uint32_t op;    /* enum kvm_operation */
    uint32_t state; /* enum kvm_request_state; the VMM stores DONE last */
    int64_t result; /* >= 0, or a negative errno */
    uint64_t a0, a1, a2, a3;
    uint64_t buffer, size; /* guest-physical; wholly inside one memory range */
};

struct kvm_clock_reading {
    uint64_t monotonic_ns, realtime_ns, boottime_ns; /* at one instant, */
    uint64_t tsc;                                    /* at which the vCPU's counter showed this */
};

struct kvm_wait_file {
    uint64_t handle;
    uint32_t events, ready;
};
#define KVM_WAIT_FILES_MAX 64u

#define KVM_SOCKET_CONTROL_MAX 512u
struct kvm_socket_message {
    uint32_t flags;
    uint32_t control_size;       /* of a received one: room in, used out */
    struct host_address address; /* size 0: none */
    uint32_t reserved;
    unsigned char control[KVM_SOCKET_CONTROL_MAX];
};
#define KVM_SOCKET_OPTION_MAX 1024u

/*
 * The largest buffer of one request, and the longest name with its NUL. KVM_OP_ZERO, COPY and GIVE_BACK have no limit but
 * memory.
 */
#define KVM_BUFFER_MAX (1u << 20)

#endif
