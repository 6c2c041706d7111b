/*
 * host_socket.h: sockets of the host, as far as an embedder granted them: ports of the host's loopback that the instance serves
 * (platform_options.listeners), and, by choice, the host's network as a whole (platform_options.host_network).
 *
 * A socket is a struct host_file: host_file_get, host_file_close, host_file_poll and thread_park take it. No slot ever blocks:
 * -EAGAIN says that nothing can be done now. Families, types, options, flags and addresses are numbers and structs of the Linux
 * ABI. The platform passes options and their values on as they are, and some name memory or descriptors: which ones a guest may
 * set is for the caller to decide. All slots: any thread; take no shim lock.
 */
#ifndef PALIMPSEST_PLATFORM_HOST_SOCKET_H
#define PALIMPSEST_PLATFORM_HOST_SOCKET_H

#include "platform/host_file.h"

/* A struct sockaddr of any family. */
#define HOST_ADDRESS_MAX 128u
struct host_address {
    uint32_t size; /* bytes used; 0: none */
    unsigned char bytes[HOST_ADDRESS_MAX];
};

/* Bytes of one message lie in up to so many places. */
#define HOST_SOCKET_PARTS 16u

/* Bits of `flags`, as in send(2) and recv(2). Others are the caller's mistake. */
#define HOST_SOCKET_SEND_FLAGS (0x1u | 0x8000u) /* MSG_OOB, MSG_MORE */
/* MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_ERRQUEUE */
#define HOST_SOCKET_RECEIVE_FLAGS (0x1u | 0x2u | 0x20u | 0x2000u)

/*
 * One message. Control data is a sequence of struct cmsghdr in shim memory; some name descriptors of the host: which ones may go out is for
 * the caller to decide, and what comes in names none as long as nobody asked for such.
 */
struct host_message {
    const struct mem_ref *parts;
    unsigned count; /* of parts */
    unsigned
        flags; /* in: the request; out, of a received one: what it was (MSG_TRUNC, MSG_CTRUNC, MSG_OOB, ...) */
    struct host_address
        *address;  /* where to, NULL: the peer; or filled with who it is from, NULL: nobody asks */
    void *control; /* NULL: none */
    uint32_t control_size; /* bytes; of a received one: room in, used out */
};

enum host_socket_name { HOST_SOCKET_LOCAL, HOST_SOCKET_PEER };

struct host_socket_ops {
    /*
     * The listening socket granted as NAME when the instance was configured. Owner: caller, by host_file_close.
     * Errors: NULL, *err: -ENOENT.
     */
    struct host_file *(*published)(struct platform *p, const char *name, int *err);
    /* socket(2), where the host's network was granted. Errors: NULL, *err: -EACCES (not granted), -EAFNOSUPPORT, -EMFILE... */
    struct host_file *(*open)(struct platform *p, int family, int type, int protocol, int *err);
    /* The next connection, and who it is from. Errors: NULL, *err: -EAGAIN, -ECONNABORTED, -EMFILE... */
    struct host_file *(*accept)(struct platform *p, struct host_file *listener,
                                struct host_address *from, int *err);
    int (*bind)(struct platform *p, struct host_file *file, const struct host_address *to);
    int (*listen)(struct platform *p, struct host_file *file, int backlog);
    /* -EINPROGRESS: writable once it is decided, SO_ERROR says how. */
    int (*connect)(struct platform *p, struct host_file *file, const struct host_address *to);
    int (*shutdown)(struct platform *p, struct host_file *file, int how);
    int (*name)(struct platform *p, struct host_file *file, enum host_socket_name which,
                struct host_address *out);
    /* Result: bytes taken, or -EPIPE (no signal is raised), -EAGAIN, -EFAULT, -EMSGSIZE... */
    int64_t (*send)(struct platform *p, struct host_file *file, const struct host_message *m);
    /* Result: bytes, 0 at the end. */
    int64_t (*receive)(struct platform *p, struct host_file *file, struct host_message *m);
    /* value: shim memory; *size: room in, used out. */
    int (*get_option)(struct platform *p, struct host_file *file, int level, int option,
                      void *value, uint32_t *size);
    int (*set_option)(struct platform *p, struct host_file *file, int level, int option,
                      const void *value, uint32_t size);
    /* How many bytes wait to be read (FIONREAD) or to be sent (TIOCOUTQ); whether the urgent mark is next (SIOCATMARK). */
    int (*count)(struct platform *p, struct host_file *file, unsigned request, int *out);
    /*
     * What the host tells of its devices: netdevice(7). value: shim memory; a struct ifreq, filled in, or for SIOCGIFCONF room for
     * several. *size: its room in, used out. -EINVAL: not a question of these.
     */
    int (*device)(struct platform *p, struct host_file *file, unsigned request, void *value,
                  uint32_t *size);
};

MUST_USE struct host_file *host_socket_published(struct platform *p, const char *name, int *err);
MUST_USE struct host_file *host_socket_open(struct platform *p, int family, int type, int protocol,
                                            int *err);
MUST_USE struct host_file *host_socket_accept(struct platform *p, struct host_file *listener,
                                              struct host_address *from, int *err);
MUST_USE int host_socket_bind(struct platform *p, struct host_file *file,
                              const struct host_address *to);
MUST_USE int host_socket_listen(struct platform *p, struct host_file *file, int backlog);
MUST_USE int host_socket_connect(struct platform *p, struct host_file *file,
                                 const struct host_address *to);
int host_socket_shutdown(struct platform *p, struct host_file *file, int how);
MUST_USE int host_socket_name(struct platform *p, struct host_file *file,
                              enum host_socket_name which, struct host_address *out);
MUST_USE int64_t host_socket_send(struct platform *p, struct host_file *file,
                                  const struct host_message *m);
MUST_USE int64_t host_socket_receive(struct platform *p, struct host_file *file,
                                     struct host_message *m);
MUST_USE int host_socket_get_option(struct platform *p, struct host_file *file, int level,
                                    int option, void *value, uint32_t *size);
MUST_USE int host_socket_set_option(struct platform *p, struct host_file *file, int level,
                                    int option, const void *value, uint32_t size);
MUST_USE int host_socket_count(struct platform *p, struct host_file *file, unsigned request,
                               int *out);
MUST_USE int host_socket_device(struct platform *p, struct host_file *file, unsigned request,
                                void *value, uint32_t *size);

#endif
