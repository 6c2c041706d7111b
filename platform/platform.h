/*
 * platform.h: one platform, as the shim sees it: a pointer per provider, all of them required.
 *
 * A platform gives the shim address spaces, guest memory, guest execution, threads, time and the
 * host's files. It knows nothing of Linux processes, descriptors or signals. Reading order:
 * address_space.h, guest_memory.h, guest_context.h, thread.h, clock.h, host_file.h, host_socket.h,
 * instance.h;
 * README.md says what a platform promises as a whole.
 *
 * Errors, everywhere below this folder: 0 or a positive result, or a negative Linux errno
 * (platform/errno.h). Broken preconditions abort (contract.h). What a platform lacks comes from a
 * named provider in stock/.
 */
#ifndef PALIMPSEST_PLATFORM_PLATFORM_H
#define PALIMPSEST_PLATFORM_PLATFORM_H

#include <stdint.h>

#include "platform/annotations.h"

/*
 * Raised when a slot changes meaning or is added. A platform built against another version is
 * refused at start.
 */
#define PLATFORM_INTERFACE_VERSION 4u

/*
 * Additive facts about a platform that a person may ask for (`pal platforms`). They describe; the
 * shim does not branch on them. Contract tests use them to know which cases a platform offers.
 */
#define PLATFORM_FEATURE_FORK (1ull << 0)         /* aspace_fork works */
#define PLATFORM_FEATURE_GUEST (1ull << 1)        /* guest_run runs guest code */
#define PLATFORM_FEATURE_THREADS (1ull << 2)      /* thread_spawn works */
#define PLATFORM_FEATURE_HOST_FILES (1ull << 3)   /* host_file.h reaches a real host */
#define PLATFORM_FEATURE_HOST_SOCKETS (1ull << 4) /* host_socket.h reaches a network */

struct aspace_ops;
struct memory_ops;
struct guest_ops;
struct thread_ops;
struct clock_ops;
struct host_file_ops;
struct host_socket_ops;
struct instance_ops;

/*
 * Immutable after platform_check(). A platform embeds it as the first member of its own struct.
 * Usable from every thread.
 */
struct platform {
    uint32_t version;   /* PLATFORM_INTERFACE_VERSION the platform was built against */
    uint32_t page_size; /* bytes; 4096 for every x86-64 platform */
    uint64_t features;  /* PLATFORM_FEATURE_* */
    const char *name;   /* as in --platform=NAME */
    uint64_t guest_min; /* lowest guest address that may be mapped; page aligned */
    uint64_t guest_end; /* first address past the guest's range; page aligned */
    const struct aspace_ops *aspace;
    const struct memory_ops *memory;
    const struct guest_ops *guest;
    const struct thread_ops *thread;
    const struct clock_ops *clock;
    const struct host_file_ops *host_file;
    const struct host_socket_ops *host_socket;
    const struct instance_ops *instance;
};

/*
 * Aborts unless the version matches, every slot of every table is filled and the guest range is
 * sane; from then on panics go through `p`. Called once by the platform's front, before the first
 * code of the shim runs.
 */
void platform_check(struct platform *p);

#endif
