/*
 * pretended_platform.h: what the shim's sources need of a platform, done with libc in one ordinary process. "Guest" addresses are
 * addresses of this process.
 */
#ifndef PALIMPSEST_TESTS_PRETENDED_PLATFORM_H
#define PALIMPSEST_TESTS_PRETENDED_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

/* Everything instance_trace() got since the last call. Valid until then. */
const char *pretended_trace(void);
/* shim_memory_alloc answers NULL from now on (0) or again memory (1). */
void pretended_memory_available(int yes);

/* The trace of one call: entry, then `change` (may be NULL), then exit with `result`. */
const char *trace_line(uint64_t number, const uint64_t args[6], long result, void (*change)(void));
/* The trace of a signal with the fields of SIGCHLD, and of a task's end. */
const char *trace_line_sigchld(int code, int pid, int status);
const char *trace_line_end(int wait_status);

#endif
