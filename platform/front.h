/*
 * front.h: how an embedder (pal, a test, a fuzzer) starts a platform. Host side: may use libc; the
 * shim never sees it.
 */
#ifndef PALIMPSEST_PLATFORM_FRONT_H
#define PALIMPSEST_PLATFORM_FRONT_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/platform.h"

/* A directory of the host that the instance may reach as host_file_granted(name). */
struct platform_grant {
    const char *name; /* "root", "mount0", ... */
    const char *path; /* host path of a directory (or a file, for a mount of one file) */
    bool writable;
};

/* A listening socket of the host that the instance may serve as host_socket_published(name). */
struct platform_listener {
    const char *name; /* "publish0", ... */
    int fd;           /* the embedder's, non-blocking; may be closed after run() */
};

struct platform_options {
    const struct platform_grant *grants;
    size_t grant_count;
    const struct platform_listener *listeners;
    size_t listener_count;
    bool host_network;     /* host_socket_open() works */
    const char *intercept; /* linux_user: "auto", "patch", "trap", "seccomp"; NULL: auto */
    int trace_fd;          /* sink of instance_trace; -1: none */
    uint64_t memory;       /* kvm: bytes of the machine's memory; 0: the platform chooses */
    unsigned cpus;         /* kvm: virtual processors; 0: the platform chooses */
    bool detailed_stats;   /* keep counters that cost time */
    bool forward_signals;  /* hand SIGINT, SIGTERM, ... of this process to the instance as events */
};

/*
 * First code of the shim (or of a test): runs as a thread of thread.h with no space active; ends in
 * instance_finish. `blob` is a copy, in shim memory, of what the embedder passed.
 */
typedef void (*platform_main)(struct platform *p, void *blob, size_t size);

struct platform_front {
    const char *name;
    /*
     * Can it run here? true; or false, and one line without newline in `why`: what is missing. When
     * true, `why` says how it will work ("system calls by syscall user dispatch").
     */
    bool (*probe)(char *why, size_t size);
    /*
     * Start an instance in this process and wait for its end. Result: 0 and *wait_status, or -errno
     * with one line in `why`. The calling process has one thread; afterwards nothing of the
     * instance is left. One instance at a time; once per process.
     */
    int (*run)(const struct platform_options *options, platform_main entry, const void *blob,
               size_t size, int *wait_status, char *why, size_t why_size);
    /*
     * For tests, called by any thread of the instance: from now on the Nth host call that can fail
     * (from 1), whichever thread makes it, fails once without having been made; 0: none any more.
     * Result: did the failure armed before happen?
     */
    bool (*fault_arm)(unsigned nth);
};

/* NULL-terminated list of the platforms built in, the default first. */
extern const struct platform_front *const g_platform_fronts[];

const struct platform_front *platform_front_find(const char *name);

#endif
