/*
 * thread.h: threads of shim control, waiting and waking.
 *
 * A thread runs C code of the shim on a stack from one pool (THREAD_STACK_SIZE bytes, overflow
 * detected) and may enter guest code through guest_run. Its identity is struct thread; host threads
 * below it may change whenever it activates a space.
 */
#ifndef PALIMPSEST_PLATFORM_THREAD_H
#define PALIMPSEST_PLATFORM_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/annotations.h"

struct platform;
struct aspace;
struct thread;
struct host_file;

#define THREAD_STACK_SIZE (64u * 1024u)
#define THREAD_WAIT_FOREVER UINT64_MAX

typedef void (*thread_entry)(void *arg);

/* One host file a parked thread also waits for. */
struct thread_wait_file {
    struct host_file *file; /* borrowed */
    uint32_t events;        /* POLLIN | POLLOUT | POLLPRI wanted */
    uint32_t ready;         /* out: what is there, incl. POLLERR, POLLHUP */
};

struct thread_ops {
    /*
     * Start a thread that runs entry(arg), with `as` active (NULL: none). entry must end in
     * thread_exit. *out is set before the thread runs.
     * Errors: -EAGAIN (host limit), -ENOMEM, -ENOTSUP (stock single_thread): nothing was started.
     * Threads: any. Requires: `as` NULL or live.
     */
    int (*spawn)(struct platform *p, const struct aspace *as, thread_entry entry, void *arg,
                 struct thread **out);

    /*
     * End the calling thread: leaves its space and, if `last` is not NULL, then destroys it (the
     * token is consumed, whether or not it was the space being left). The struct thread is gone.
     * Requires: no other thread is inside `last`. Nobody uses the struct thread after this begins.
     */
    void (*exit)(struct platform *p, struct aspace *last) NO_RETURN;

    /* The calling thread. Cheap (no host call). */
    struct thread *(*current)(struct platform *p);

    /*
     * Sleep until unparked, interrupted, `deadline_ns` (clock_now() monotonic nanoseconds;
     * THREAD_WAIT_FOREVER: none) or one of `files` is ready. An unpark that came before counts; one
     * token, not a counter. May return early for no reason.
     * Result: 1 a file is ready (`ready` set), 0 unparked or interrupted or spurious, -ETIMEDOUT.
     */
    int (*park)(struct platform *p, uint64_t deadline_ns, struct thread_wait_file *files,
                size_t count);
    /*
     * Give `t` its token. A waker takes `t` from a queue under a lock and calls this without it, so
     * `t` may have exited meanwhile: then nothing happens, or a thread that began since wakes
     * early. Requires: t came from spawn or current.
     * Threads: any.
     */
    void (*unpark)(struct platform *p, struct thread *t);

    /*
     * Sleep while *word == expected. Result: 0 woken or spurious, -EAGAIN value differs,
     * -ETIMEDOUT. `word` is shim memory. Not ended by interrupts: for locks.
     */
    int (*wait)(struct platform *p, uint32_t *word, uint32_t expected, uint64_t deadline_ns);
    /* Wake up to `count` threads that wait on `word`. Result: how many. */
    int (*wake)(struct platform *p, uint32_t *word, uint32_t count);

    /* Let others run. */
    void (*yield)(struct platform *p);

    /* Hardware threads the guest may see; >= 1. Constant. */
    unsigned (*cpu_count)(struct platform *p);
    /* The hardware thread this runs on now, < cpu_count. */
    unsigned (*cpu_current)(struct platform *p);
    /*
     * Processor time used by `t`, or by the whole instance when t is NULL, in nanoseconds: user and
     * system as the host counts them.
     */
    void (*cpu_time)(struct platform *p, struct thread *t, uint64_t *user_ns, uint64_t *system_ns);
};

MUST_USE int thread_spawn(struct platform *p, const struct aspace *as, thread_entry entry,
                          void *arg, struct thread **out);
NO_RETURN void thread_exit(struct platform *p, struct aspace *last) TAKES_TOKEN(2);
struct thread *thread_current(struct platform *p);
int thread_park(struct platform *p, uint64_t deadline_ns, struct thread_wait_file *files,
                size_t count);
void thread_unpark(struct platform *p, struct thread *t);
int thread_wait(struct platform *p, uint32_t *word, uint32_t expected, uint64_t deadline_ns);
int thread_wake(struct platform *p, uint32_t *word, uint32_t count);
void thread_yield(struct platform *p);
unsigned thread_cpu_count(struct platform *p);
unsigned thread_cpu_current(struct platform *p);
void thread_cpu_time(struct platform *p, struct thread *t, uint64_t *user_ns, uint64_t *system_ns);

#endif
