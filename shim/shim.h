/*
 * shim.h: the shim as a whole: where it starts and what it was told.
 */
#ifndef PALIMPSEST_SHIM_SHIM_H
#define PALIMPSEST_SHIM_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/platform.h"

extern struct platform *g_platform; /* set once by shim_main, before any other thread */

/*
 * What to run, as one relocatable block (the platform copies it into shim memory). Strings are offsets from the start of
 * the struct; 0: absent. Vectors are arrays of such offsets.
 */
#define SHIM_CONFIG_VERSION 4u
struct shim_config_mount {
    uint32_t grant;    /* name of the grant ("mount0") */
    uint32_t target;   /* absolute guest path */
    uint32_t writable; /* 0: read-only */
    uint32_t overlay;  /* 1: changes stay in memory above it (the root); 0: as the host has it */
};
/* What AF_INET and AF_INET6 reach. */
enum shim_net {
    SHIM_NET_LOOPBACK, /* each other, by a loopback of the shim's own */
    SHIM_NET_NONE,     /* nothing: as with the loopback down */
    SHIM_NET_HOST,     /* the host's network, by sockets of the host */
};
struct shim_config_publish {
    uint32_t grant; /* name of the listener ("publish0") */
    uint32_t guest_port;
};
struct shim_config {
    uint32_t version, size; /* of the whole block, bytes */
    uint32_t path;          /* program as typed; searched in PATH when it has no slash */
    uint32_t argc, argv;    /* argv: offset of uint32_t[argc] */
    uint32_t envc, envp;
    uint32_t cwd;
    /* 1: the user named it, a missing directory is an error; 0: fall back to / */
    uint32_t cwd_required;
    uint32_t mount_count, mounts; /* struct shim_config_mount[] */
    uint32_t hostname;
    uint32_t trace;         /* 1: one line a call through instance_trace */
    uint32_t stats;         /* 1: print counters at the end through instance_message */
    uint32_t root_writable; /* 1: no overlay over the root: changes go to the host directory */
    uint32_t overlay; /* grant for changes of the root to be kept in (fs/overlay.h); 0: in memory */
    uint32_t umask;
    uint32_t net;                      /* enum shim_net */
    uint32_t publish_count, publishes; /* struct shim_config_publish[] */
    uint32_t pid_limit;    /* processes and threads at once, zombies among them; 0: no limit */
    uint64_t memory_limit; /* bytes; 0: no limit; budget.h */
};
static inline const char *shim_config_string(const struct shim_config *c, uint32_t offset)
{
    return offset ? (const char *)c + offset : NULL;
}

/* Set once by shim_main; lives as long as the instance */
extern const struct shim_config *g_config;

/* The platform_main of `pal run`. blob: a struct shim_config. */
void shim_main(struct platform *p, void *blob, size_t size);

/*
 * How a run that never reached the guest ended: `pal` prints one line and exits with 126 or 127 as a shell would. Sent through
 * instance_message and instance_finish.
 */
#define SHIM_EXIT_NOT_EXECUTABLE 126
#define SHIM_EXIT_NOT_FOUND 127

#endif
