/*
 * instance.h: the whole run as one thing: how it ends, and what the host's user asks of it
 * meanwhile.
 */
#ifndef PALIMPSEST_PLATFORM_INSTANCE_H
#define PALIMPSEST_PLATFORM_INSTANCE_H

#include <stddef.h>
#include <stdint.h>

#include "platform/annotations.h"

struct platform;

enum instance_event_kind {
    /* The host user sent a signal: number is the Linux signal (SIGINT, SIGTSTP, SIGWINCH...). */
    INSTANCE_EVENT_SIGNAL,
    /*
     * The memory of a space is gone; aspace_id says which, number by what signal: SIGKILL (from outside) or SIGSEGV (what it gave
     * guest_sequence went bad). Its threads go on in the shim: guest_run of them ends at once with GUEST_INTERRUPT, parks end early, copies
     * reach nothing, no memory can be mapped. The token stays theirs, to be destroyed as any other.
     */
    INSTANCE_EVENT_SPACE_LOST,
};

struct instance_event {
    enum instance_event_kind kind;
    int number;
    uint64_t aspace_id;
};

struct instance_ops {
    /*
     * Sleep until something happens and store it. Threads: one at a time. Returns 0; -EINTR
     * spuriously.
     */
    int (*next_event)(struct platform *p, struct instance_event *out);
    /*
     * The guest's foreground job stopped with nobody inside to notice: stop the host process too,
     * until it is continued.
     */
    void (*suspend)(struct platform *p);
    /*
     * End everything with a status as wait4(2) encodes it. Threads other than the caller end
     * wherever they are.
     */
    void (*finish)(struct platform *p, int wait_status) NO_RETURN;
    /*
     * One line for the person at the terminal (standard error of the host). `text` without a
     * newline.
     */
    void (*message)(struct platform *p, const char *text);
    /*
     * Append to the trace sink named when the instance was configured (a file, or standard error).
     * Whole lines.
     */
    void (*trace)(struct platform *p, const char *text, size_t size);
    /*
     * A bug was found: write `message` (one line, no newline) where a person sees it and end every
     * thread of the instance, so that front.h's run() reports death by SIGABRT. Callable in any
     * state of the caller, also inside a signal handler.
     */
    void (*panic)(struct platform *p, const char *message) NO_RETURN;
    /*
     * Bytes of host memory that guests hold: private pages of all spaces, each counted once however many spaces
     * share it by copy-on-write, and the contents of memory objects that are not host files. A number up to
     * `enough` may be too high (an upper bound found cheaply). Threads: any, under any lock; may be slow.
     */
    uint64_t (*memory_used)(struct platform *p, uint64_t enough);
};

int instance_next_event(struct platform *p, struct instance_event *out);
void instance_suspend(struct platform *p);
NO_RETURN void instance_finish(struct platform *p, int wait_status);
void instance_message(struct platform *p, const char *text);
void instance_trace(struct platform *p, const char *text, size_t size);
uint64_t instance_memory_used(struct platform *p, uint64_t enough);

#endif
