/*
 * thread.c: checked entry points of thread.h.
 */
#include "platform/thread.h"

#include "platform/address_space.h"
#include "platform/contract.h"
#include "platform/platform.h"

int thread_spawn(struct platform *p, const struct aspace *as, thread_entry entry, void *arg,
                 struct thread **out)
{
    if (as)
        aspace_require_live(p, as);
    PLATFORM_REQUIRE(entry != NULL && out != NULL);
    return p->thread->spawn(p, as, entry, arg, out);
}

void thread_exit(struct platform *p, struct aspace *last)
{
    if (last)
        aspace_require_live(p, last);
    p->thread->exit(p, last);
    __builtin_unreachable();
}

struct thread *thread_current(struct platform *p)
{
    return p->thread->current(p);
}

int thread_park(struct platform *p, uint64_t deadline_ns, struct thread_wait_file *files,
                size_t count)
{
    PLATFORM_REQUIRE(files != NULL || count == 0);
    return p->thread->park(p, deadline_ns, files, count);
}

void thread_unpark(struct platform *p, struct thread *t)
{
    PLATFORM_REQUIRE(t != NULL);
    p->thread->unpark(p, t);
}

int thread_wait(struct platform *p, uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    PLATFORM_REQUIRE(word != NULL && (uintptr_t)word % sizeof(*word) == 0);
    return p->thread->wait(p, word, expected, deadline_ns);
}

int thread_wake(struct platform *p, uint32_t *word, uint32_t count)
{
    PLATFORM_REQUIRE(word != NULL && (uintptr_t)word % sizeof(*word) == 0);
    return p->thread->wake(p, word, count);
}

void thread_yield(struct platform *p)
{
    p->thread->yield(p);
}

unsigned thread_cpu_count(struct platform *p)
{
    return p->thread->cpu_count(p);
}

unsigned thread_cpu_current(struct platform *p)
{
    return p->thread->cpu_current(p);
}

void thread_cpu_time(struct platform *p, struct thread *t, uint64_t *user_ns, uint64_t *system_ns)
{
    PLATFORM_REQUIRE(user_ns != NULL && system_ns != NULL);
    p->thread->cpu_time(p, t, user_ns, system_ns);
}
