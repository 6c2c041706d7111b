/*
 * single_thread.c: see single_thread.h.
 */
#include "platform/stock/single_thread.h"

#include "platform/address_space.h"
#include "platform/clock.h"
#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/host_file.h"
#include "platform/platform.h"

struct thread {
    bool unparked;
};
static struct thread g_thread;

static bool deadline_passed(struct platform *p, uint64_t deadline_ns)
{
    return deadline_ns != THREAD_WAIT_FOREVER &&
           p->clock->now(p, CLOCK_KIND_MONOTONIC) >= deadline_ns;
}

static int single_thread_spawn(struct platform *p UNUSED, const struct aspace *as UNUSED,
                               thread_entry entry UNUSED, void *arg UNUSED,
                               struct thread **out UNUSED)
{
    return -ENOTSUP;
}

static NO_RETURN void single_thread_exit(struct platform *p UNUSED, struct aspace *last UNUSED)
{
    /* Nobody would be left to call instance_finish(). */
    platform_panic("thread_exit by the only thread");
}

static struct thread *single_thread_current(struct platform *p UNUSED)
{
    return &g_thread;
}

static int single_thread_park(struct platform *p, uint64_t deadline_ns,
                              struct thread_wait_file *files, size_t count)
{
    int result = 0;
    for (size_t i = 0; i < count; i++) {
        files[i].ready = p->host_file->poll(p, files[i].file, files[i].events);
        if (files[i].ready)
            result = 1;
    }
    if (result == 0 && !g_thread.unparked && deadline_passed(p, deadline_ns))
        return -ETIMEDOUT;
    g_thread.unparked = false;
    return result;
}

static void single_thread_unpark(struct platform *p UNUSED, struct thread *t)
{
    t->unparked = true;
}

static int single_thread_wait(struct platform *p, uint32_t *word, uint32_t expected,
                              uint64_t deadline_ns)
{
    if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != expected)
        return -EAGAIN;
    return deadline_passed(p, deadline_ns) ? -ETIMEDOUT : 0;
}

static int single_thread_wake(struct platform *p UNUSED, uint32_t *word UNUSED,
                              uint32_t count UNUSED)
{
    return 0;
}

static void single_thread_yield(struct platform *p UNUSED)
{
}

static unsigned single_thread_cpu_count(struct platform *p UNUSED)
{
    return 1;
}

static unsigned single_thread_cpu_current(struct platform *p UNUSED)
{
    return 0;
}

static void single_thread_cpu_time(struct platform *p UNUSED, struct thread *t UNUSED,
                                   uint64_t *user_ns, uint64_t *system_ns)
{
    *user_ns = 0;
    *system_ns = 0;
}

const struct thread_ops stock_single_thread_ops = {
    .spawn = single_thread_spawn,
    .exit = single_thread_exit,
    .current = single_thread_current,
    .park = single_thread_park,
    .unpark = single_thread_unpark,
    .wait = single_thread_wait,
    .wake = single_thread_wake,
    .yield = single_thread_yield,
    .cpu_count = single_thread_cpu_count,
    .cpu_current = single_thread_cpu_current,
    .cpu_time = single_thread_cpu_time,
};
