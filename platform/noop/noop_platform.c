/*
 * noop_platform.c: the smallest whole platform. It runs no guest code, yet every slot is filled and
 * its contract tests pass; docs/porting.md starts from a copy of this folder.
 *
 * What a platform must say for itself is below: how it starts and ends, which provider fills which
 * table, and what it can do. A table of its own replaces a stock one when there is something to put
 * in. A slot that is not written yet calls platform_unimplemented("name: slot"): -ENOTSUP would be
 * believed.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/address_space.h"
#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/front.h"
#include "platform/instance.h"
#include "platform/noop/noop_memory.h"
#include "platform/stock/host_clock.h"
#include "platform/stock/no_guest.h"
#include "platform/stock/no_host_files.h"
#include "platform/stock/no_host_sockets.h"
#include "platform/stock/single_aspace.h"
#include "platform/stock/single_thread.h"

/* A platform's own struct begins with the one the shim sees; the rest is the platform's affair. */
struct noop_platform {
    struct platform base;
    int trace_fd;
    int wait_status;
    jmp_buf end;
};
_Static_assert(offsetof(struct noop_platform, base) == 0, "cast from struct platform");

static struct noop_platform *own(struct platform *p)
{
    return (struct noop_platform *)p;
}

/*
 * Address spaces: the stock provider has one and knows nothing of memory. So destroy is our own:
 * the token goes first, then what was mapped.
 */
static void noop_aspace_vacate(struct platform *p UNUSED, const struct aspace *as UNUSED)
{
    noop_memory_clear();
}

static void noop_aspace_destroy(struct platform *p, struct aspace *as)
{
    stock_single_aspace_destroy(p, as);
    noop_memory_clear();
}

/* A counter is either exact, with its bit in `known`, or left 0. */
static void noop_aspace_stats(struct platform *p, const struct aspace *as, struct aspace_stats *out)
{
    stock_single_aspace_stats(p, as, out);
    out->known |= ASPACE_STAT_RESIDENT;
    out->pages_resident = noop_memory_resident_pages();
}

#define noop_aspace_create stock_single_aspace_create
#define noop_aspace_fork stock_single_aspace_fork
#define noop_aspace_activate stock_single_aspace_activate
static const struct aspace_ops noop_aspace_ops = ASPACE_OPS(noop_aspace);

/* The instance: it ends by a jump back into run(), which is below it on the only stack. */

static int noop_next_event(struct platform *p UNUSED, struct instance_event *out UNUSED)
{
    return -EINTR; /* nobody sends any */
}

static void noop_suspend(struct platform *p UNUSED)
{
    raise(SIGSTOP);
}

static NO_RETURN void noop_finish(struct platform *p, int wait_status)
{
    own(p)->wait_status = wait_status;
    longjmp(own(p)->end, 1);
}

static void write_line(int fd, const char *text, size_t size)
{
    /* Nobody could be told if standard error were closed. */
    if (write(fd, text, size) < 0 || write(fd, "\n", 1) < 0)
        return;
}

static void noop_message(struct platform *p UNUSED, const char *text)
{
    write_line(STDERR_FILENO, text, strlen(text));
}

static void noop_trace(struct platform *p, const char *text, size_t size)
{
    if (own(p)->trace_fd >= 0 && write(own(p)->trace_fd, text, size) < 0)
        own(p)->trace_fd = -1;
}

static NO_RETURN void noop_panic(struct platform *p, const char *message)
{
    noop_message(p, message);
    noop_finish(p, SIGABRT);
}

static uint64_t noop_memory_used(struct platform *p, uint64_t enough)
{
    (void)p, (void)enough;
    return noop_memory_resident_pages() * 4096;
}

static const struct instance_ops noop_instance_ops = {
    .next_event = noop_next_event,
    .suspend = noop_suspend,
    .finish = noop_finish,
    .message = noop_message,
    .trace = noop_trace,
    .panic = noop_panic,
    .memory_used = noop_memory_used,
};

static struct noop_platform g_noop = {
    .base =
        {
            .version = PLATFORM_INTERFACE_VERSION,
            .page_size = 4096,
            .features = 0, /* each PLATFORM_FEATURE_* brings more contract tests to pass */
            .name = "noop",
            .guest_min = 0x10000,
            .guest_end = 0x7e0000000000,
            .aspace = &noop_aspace_ops,
            .memory = &noop_memory_ops,
            .guest = &stock_no_guest_ops,
            .thread = &stock_single_thread_ops,
            .clock = &stock_host_clock_ops,
            .host_file = &stock_no_host_files_ops,
            .host_socket = &stock_no_host_sockets_ops,
            .instance = &noop_instance_ops,
        },
};

/* The front: what pal, tests and fuzzers call from the host's side. */

static bool noop_probe(char *why, size_t size)
{
    snprintf(why, size, "simulated memory, runs no guest code");
    return true;
}

static int noop_run(const struct platform_options *options, platform_main entry, const void *blob,
                    size_t size, int *wait_status, char *why, size_t why_size)
{
    void *copy = malloc(size ? size : 1);
    if (!copy) {
        snprintf(why, why_size, "out of memory");
        return -ENOMEM;
    }
    if (size > 0)
        memcpy(copy, blob, size);
    g_noop.trace_fd = options->trace_fd;
    if (setjmp(g_noop.end) == 0) {
        platform_check(&g_noop.base);
        entry(&g_noop.base, copy, size);
        platform_panic("platform_main returned");
    }
    noop_memory_clear();
    free(copy);
    *wait_status = g_noop.wait_status;
    return 0;
}

const struct platform_front g_noop_front = {
    .name = "noop",
    .probe = noop_probe,
    .run = noop_run,
    .fault_arm = noop_memory_fault_arm,
};
