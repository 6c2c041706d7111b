/*
 * options.h: the command line of `pal`.
 */
#ifndef PALIMPSEST_PAL_OPTIONS_H
#define PALIMPSEST_PAL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* Exit statuses of pal's own. 126 and 127: shim/shim.h. All others are the program's. */
#define PAL_EXIT_USAGE 2    /* unknown option, bad value */
#define PAL_EXIT_FAILED 125 /* pal or the platform itself could not do it */

/* More than programs have, and a fork bomb is over before the host notices. */
#define PAL_DEFAULT_PIDS 4096

enum pal_command { PAL_RUN, PAL_PLATFORMS, PAL_SYSCALLS, PAL_HELP, PAL_RUN_HELP, PAL_VERSION };

struct pal_mount {
    const char *source; /* host path */
    const char *target; /* absolute guest path */
    bool writable;
};

enum pal_net { PAL_NET_LOOPBACK, PAL_NET_NONE, PAL_NET_HOST };

struct pal_publish {
    unsigned host_port; /* 0: any that is free */
    unsigned guest_port;
};

struct pal_options {
    enum pal_command command;
    const char *platform;      /* NULL: the default */
    const char *root;          /* host directory; "/" */
    const char *overlay;       /* host directory that keeps the changes; NULL: in memory */
    const char *cwd;           /* guest path; NULL: the current directory, or / */
    const char *intercept;     /* NULL: the platform chooses */
    unsigned long long memory; /* bytes; 0: no limit */
    unsigned long long pids;
    unsigned long long vcpus; /* 0: the platform chooses */
    bool trace;
    const char *trace_file; /* NULL: standard error */
    bool stats;
    bool clear_env;
    bool markdown;    /* syscalls: as docs/syscalls.md */
    const char **env; /* K=V in the order given */
    size_t env_count;
    struct pal_mount *mounts;
    size_t mount_count;
    enum pal_net net;
    struct pal_publish *publishes;
    size_t publish_count;
    char **program; /* argv of the guest, NULL-terminated; points into the caller's argv */
    int program_argc;
};

/*
 * Fill *out from the command line. Result: 0; or -1 with one line without newline in `error`. Either way options_free() releases
 * what *out owns; strings of argv are borrowed, and those of mounts are cut in two.
 */
int options_parse(int argc, char **argv, struct pal_options *out, char *error, size_t error_size);
void options_free(struct pal_options *options);

/* The text of --help. */
const char *options_help(enum pal_command command);

#endif
