/*
 * threads.c: thread.h over the host's threads. Only what the contract says; nothing here is quick.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "platform/address_space.h"
#include "platform/clock.h"
#include "platform/contract.h"
#include "platform/kvm/image/kvm_aspace.h"
#include "platform/kvm/image/mm.h"
#include "platform/platform.h"
#include "platform/thread.h"
#include "tests/kvm_host/kvm_host.h"

struct thread {
    struct kvm_aspace *active;
    uint32_t token; /* of park */
    thread_entry entry;
    void *arg;
    clockid_t clock;
};
static __thread struct thread *t_self;
static uint32_t g_running; /* threads that were spawned and have not exited */

bool kvm_host_alone(void)
{
    return __atomic_load_n(&g_running, __ATOMIC_ACQUIRE) == 1;
}

struct kvm_aspace **kvm_host_active(void)
{
    return &t_self->active;
}

static struct thread *make_thread(void)
{
    /* Never freed: a waker may hold it past its end (thread.h, unpark). */
    struct thread *t = calloc(1, sizeof(*t));
    if (!t)
        abort();
    return t;
}

void kvm_host_thread_start(void)
{
    t_self = make_thread();
    if (pthread_getcpuclockid(pthread_self(), &t_self->clock))
        abort();
}

static void *thread_main(void *arg)
{
    t_self = arg;
    if (pthread_getcpuclockid(pthread_self(), &t_self->clock))
        abort();
    t_self->entry(t_self->arg);
    platform_panic("kvm_host: a thread returned");
}

static int host_spawn(struct platform *p UNUSED, const struct aspace *as, thread_entry entry,
                      void *arg, struct thread **out)
{
    pthread_t ignored;
    pthread_attr_t attr;
    struct thread *t;
    if (mm_allocation_fails())
        return -EAGAIN;
    t = make_thread();
    t->entry = entry;
    t->arg = arg;
    t->active = as ? kvm_aspace_of(as) : NULL;
    if (as)
        kvm_aspace_adopt(t->active);
    *out = t;
    __atomic_add_fetch(&g_running, 1, __ATOMIC_RELAXED);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 1 << 20);
    int err = pthread_create(&ignored, &attr, thread_main, t);
    pthread_attr_destroy(&attr);
    if (err)
        abort();
    return 0;
}

static NO_RETURN void host_exit(struct platform *p, struct aspace *last)
{
    kvm_aspace_leave();
    if (last)
        p->aspace->destroy(p, last);
    __atomic_sub_fetch(&g_running, 1, __ATOMIC_RELEASE);
    pthread_exit(NULL);
}

static struct thread *host_current(struct platform *p UNUSED)
{
    return t_self;
}

/* -ETIMEDOUT at the deadline; the word must be looked at again in any other case. */
static int sleep_on(struct platform *p, uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    struct timespec left, *timeout = NULL;
    if (deadline_ns != THREAD_WAIT_FOREVER) {
        uint64_t now = p->clock->now(p, CLOCK_KIND_MONOTONIC);
        if (now >= deadline_ns)
            return -ETIMEDOUT;
        left.tv_sec = (time_t)((deadline_ns - now) / 1000000000);
        left.tv_nsec = (long)((deadline_ns - now) % 1000000000);
        timeout = &left;
    }
    if (syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout, NULL, 0) == 0)
        return 0;
    return errno == EINTR ? 0 : -errno;
}

static int host_park(struct platform *p, uint64_t deadline_ns,
                     struct thread_wait_file *files UNUSED, size_t count)
{
    PLATFORM_REQUIRE(count == 0);
    while (!__atomic_exchange_n(&t_self->token, 0, __ATOMIC_ACQUIRE))
        if (sleep_on(p, &t_self->token, 0, deadline_ns) == -ETIMEDOUT)
            return -ETIMEDOUT;
    return 0;
}

static int host_wake(struct platform *p UNUSED, uint32_t *word, uint32_t count)
{
    return (int)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count > 1 << 30 ? 1 << 30 : count,
                        NULL, NULL, 0);
}

static void host_unpark(struct platform *p, struct thread *t)
{
    __atomic_store_n(&t->token, 1, __ATOMIC_RELEASE);
    host_wake(p, &t->token, 1);
}

static int host_wait(struct platform *p, uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != expected)
        return -EAGAIN;
    return sleep_on(p, word, expected, deadline_ns);
}

static void host_yield(struct platform *p UNUSED)
{
    sched_yield();
}

static unsigned host_cpu_count(struct platform *p UNUSED)
{
    return (unsigned)sysconf(_SC_NPROCESSORS_CONF);
}

static unsigned host_cpu_current(struct platform *p UNUSED)
{
    int cpu = sched_getcpu();
    return cpu < 0 ? 0 : (unsigned)cpu;
}

static void host_cpu_time(struct platform *p UNUSED, struct thread *t, uint64_t *user_ns,
                          uint64_t *system_ns)
{
    struct timespec now = {0};
    clock_gettime(t ? t->clock : CLOCK_PROCESS_CPUTIME_ID, &now);
    *user_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    *system_ns = 0;
}

const struct thread_ops kvm_host_thread_ops = {
    .spawn = host_spawn,
    .exit = host_exit,
    .current = host_current,
    .park = host_park,
    .unpark = host_unpark,
    .wait = host_wait,
    .wake = host_wake,
    .yield = host_yield,
    .cpu_count = host_cpu_count,
    .cpu_current = host_cpu_current,
    .cpu_time = host_cpu_time,
};
