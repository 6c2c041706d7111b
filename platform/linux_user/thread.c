/*
 * thread.c: threads of shim control: spawn, exit, park, wait.
 */
#include "platform/linux_user/lu.h"

#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/poll.h>
#include <linux/time.h>

#include "platform/linux_user/host_file.h"

#define PARK_FILES_MAX 256
#define PARK_FILES_LOOK_NS 10000000u

struct host_timespec {
    int64_t sec, nsec;
};

static struct host_timespec timespec_of(uint64_t ns)
{
    return (struct host_timespec){(int64_t)(ns / 1000000000u), (int64_t)(ns % 1000000000u)};
}

static uint64_t monotonic_ns(void)
{
    struct host_timespec now;
    host_call(__NR_clock_gettime, CLOCK_MONOTONIC, &now);
    return (uint64_t)now.sec * 1000000000u + (uint64_t)now.nsec;
}

static void first_code(void)
{
    struct thread *t = lu_current();
    t->fn(t->arg);
    platform_panic("a thread's entry returned instead of calling thread_exit");
}

static struct thread *thread_prepare(thread_entry entry, void *arg)
{
    struct thread *t = lu_stack_alloc();
    if (!t)
        return NULL;
    t->fn = entry;
    t->arg = arg;
    /* As lu_thread_leave would have left it: six registers and a return address, aligned as after a call. */
    uint64_t *sp = (uint64_t *)((uint64_t)t & ~15ull);
    *--sp = 0;
    *--sp = (uint64_t)first_code;
    sp -= 6;
    t->saved_sp = (uint64_t)sp;
    return t;
}

static int lu_spawn(struct platform *p UNUSED, const struct aspace *base, thread_entry entry,
                    void *arg, struct thread **out)
{
    struct lu_aspace *as = base ? (struct lu_aspace *)((uintptr_t)base) : NULL;
    struct thread *t = thread_prepare(entry, arg);
    if (!t)
        return -ENOMEM;
    t->aspace = as;
    int err = 0;
    if (as)
        __atomic_add_fetch(&as->inside, 1, __ATOMIC_SEQ_CST);
    struct lu_worker *w = lu_worker_acquire(as ? as->carrier : g_lu.zygote, &err);
    if (!w) {
        if (as)
            __atomic_sub_fetch(&as->inside, 1, __ATOMIC_SEQ_CST);
        lu_stack_free(t);
        return err;
    }
    t->worker = w;
    *out = t;
    lu_worker_post(w, t);
    return 0;
}

void lu_zygote_boot(struct lu_worker *leader, thread_entry entry, void *arg)
{
    struct thread *t = thread_prepare(entry, arg);
    struct lu_worker *w = lu_worker_alloc(leader->carrier);
    PLATFORM_REQUIRE(t && w && lu_worker_clone(w) > 0);
    t->worker = w;
    lu_worker_post(w, t);
}

/* On the park stack: nothing of the thread's own stack is touched once it is on the free list. */
static void exit_off_stack(void *thread, void *last)
{
    struct thread *t = thread;
    struct lu_worker *w = t->worker;
    struct lu_aspace *as = t->aspace;
    t->exited = 1;
    w->running = NULL;
    lu_stack_free(t);
    if (as)
        __atomic_sub_fetch(&as->inside, 1, __ATOMIC_SEQ_CST);
    if (last && lu_aspace_destroy_by(last, w))
        for (;;)
            host_call(__NR_exit_group, 0);
    lu_park_loop(w);
}

static NO_RETURN void lu_exit(struct platform *p UNUSED, struct aspace *last)
{
    struct thread *t = lu_current();
    PLATFORM_REQUIRE(t->canary == LU_STACK_CANARY);
    t->live_ctx = NULL;
    if (!last || last != &t->aspace->base) /* else the host thread ends with its carrier */
        lu_sequence_give_back(t->worker);
    lu_call_on_stack(lu_park_stack_top(t->worker), exit_off_stack, t, last);
}

static struct thread *lu_thread_current(struct platform *p UNUSED)
{
    return lu_current();
}

/* What a thread waits for. */
struct wait {
    uint32_t *word;
    uint32_t expected;
    uint64_t deadline_ns;
    struct thread_wait_file *files;
    size_t count;
};

static long wait_on_word(void *arg)
{
    const struct wait *w = arg;
    struct host_timespec until = timespec_of(w->deadline_ns);
    return host_call(__NR_futex, w->word, FUTEX_WAIT_BITSET, w->expected,
                     w->deadline_ns == THREAD_WAIT_FOREVER ? NULL : &until, 0,
                     FUTEX_BITSET_MATCH_ANY);
}

static long wait_on_files(void *arg)
{
    const struct wait *w = arg;
    struct thread_wait_file *files = w->files;
    size_t count = w->count;
    uint64_t deadline_ns = w->deadline_ns;
    struct pollfd pfds[PARK_FILES_MAX];
    bool cut = false;
    if (count > PARK_FILES_MAX) { /* the caller looks at the rest: let it do so soon */
        uint64_t soon = monotonic_ns() + PARK_FILES_LOOK_NS;
        count = PARK_FILES_MAX;
        cut = soon < deadline_ns;
        if (cut)
            deadline_ns = soon;
    }
    for (size_t i = 0; i < count; i++)
        pfds[i] = (struct pollfd){.fd = files[i].file->fd, .events = (short)files[i].events};
    struct host_timespec timeout = {0, 0};
    if (deadline_ns != THREAD_WAIT_FOREVER) {
        uint64_t now = monotonic_ns();
        timeout = timespec_of(deadline_ns > now ? deadline_ns - now : 0);
    }
    const long args[6] = {
        (long)pfds, (long)count, deadline_ns == THREAD_WAIT_FOREVER ? 0 : (long)&timeout, 0, 8, 0};
    long ready = lu_interruptible_call(__NR_ppoll, args, w->word, LU_PARK_POLL);
    if (ready == 0)
        return cut ? 0 : -ETIMEDOUT;
    for (size_t i = 0; i < count; i++)
        files[i].ready = ready > 0 ? (uint32_t)(uint16_t)pfds[i].revents : 0;
    return ready > 0 ? 1 : 0;
}

static int lu_park(struct platform *p UNUSED, uint64_t deadline_ns, struct thread_wait_file *files,
                   size_t count)
{
    struct thread *t = lu_current();
    uint32_t none = LU_PARK_NONE;
    uint32_t waiting = count > 0 ? LU_PARK_POLL : LU_PARK_FUTEX;
    int result = 0;
    if (__atomic_compare_exchange_n(&t->park, &none, waiting, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST)) {
        struct wait wait = {&t->park, waiting, deadline_ns, files, count};
        long woken = lu_survivable(&t->survive_sp, count > 0 ? wait_on_files : wait_on_word, &wait);
        result = woken == -ETIMEDOUT ? -ETIMEDOUT : woken > 0;
    }
    if (__atomic_exchange_n(&t->park, LU_PARK_NONE, __ATOMIC_SEQ_CST) == LU_PARK_TOKEN &&
        result < 0)
        result = 0;
    return result;
}

bool lu_give_token(struct thread *t)
{
    uint32_t before = __atomic_exchange_n(&t->park, LU_PARK_TOKEN, __ATOMIC_SEQ_CST);
    if (before == LU_PARK_FUTEX)
        host_call(__NR_futex, &t->park, FUTEX_WAKE, 1);
    else if (before == LU_PARK_POLL)
        lu_kick(__atomic_load_n(&t->worker, __ATOMIC_ACQUIRE));
    return before == LU_PARK_FUTEX || before == LU_PARK_POLL;
}

static void lu_unpark(struct platform *p UNUSED, struct thread *t)
{
    lu_give_token(t);
}

static int lu_wait(struct platform *p UNUSED, uint32_t *word, uint32_t expected,
                   uint64_t deadline_ns)
{
    struct wait wait = {word, expected, deadline_ns, NULL, 0};
    long woken;
    do /* a kick finds the thread here, too; what it says waits for the way to the guest */
        woken = lu_survivable(&lu_current()->survive_sp, wait_on_word, &wait);
    while (woken == -EINTR);
    return woken > 0 ? 0 : (int)woken;
}

static int lu_wake(struct platform *p UNUSED, uint32_t *word, uint32_t count)
{
    return (int)host_call(__NR_futex, word, FUTEX_WAKE, count > INT32_MAX ? INT32_MAX : count);
}

static void lu_yield(struct platform *p UNUSED)
{
    host_call(__NR_sched_yield);
}

static unsigned lu_cpu_count(struct platform *p UNUSED)
{
    return g_lu.cpu_count;
}

static unsigned lu_cpu_current(struct platform *p UNUSED)
{
    uint32_t cpu = 0;
    host_call(__NR_getcpu, &cpu, 0, 0);
    /* The host may have numbers beyond those we may run on */
    return cpu < g_lu.cpu_count ? cpu : 0;
}

static uint64_t host_cpu_clock(uint32_t id, int kind)
{
    /* The clock of a process or thread as the kernel encodes it: ~id << 3 | CPUCLOCK_SCHED | per-thread bit. */
    struct host_timespec used = {0, 0};
    int32_t clock = (int32_t)((~id << 3) | (uint32_t)kind);
    if (host_call(__NR_clock_gettime, clock, &used) < 0)
        return 0;
    return (uint64_t)used.sec * 1000000000u + (uint64_t)used.nsec;
}

static char *append_number(char *at, uint32_t value)
{
    char digits[10];
    int count = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while (value /= 10);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

static char *append_text(char *at, const char *text)
{
    while (*text)
        *at++ = *text++;
    return at;
}

/* Run time of a thread of another host process: its clock is open to threads of that process only, its schedstat to all. As fresh
 * as the host's last tick. */
static uint64_t host_run_time(uint32_t tgid, uint32_t tid)
{
    char path[64], text[64];
    char *at = append_number(append_text(path, "/proc/"), tgid);
    at = append_text(append_number(append_text(at, "/task/"), tid), "/schedstat");
    *at = '\0';
    long fd = host_call(__NR_open, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    long size = host_call(__NR_read, fd, text, sizeof(text));
    host_call(__NR_close, fd);
    uint64_t ns = 0;
    for (long i = 0; i < size && text[i] >= '0' && text[i] <= '9'; i++)
        ns = ns * 10 + (uint64_t)(text[i] - '0');
    return ns;
}

static void lu_cpu_time(struct platform *p UNUSED, struct thread *t, uint64_t *user_ns,
                        uint64_t *system_ns)
{
    if (t == lu_current()) {
        lu_thread_time_now(t, user_ns, system_ns);
    } else if (t) {
        /* Another thread's split is not to be had cheaply: what it used since it came to its worker counts as user time. */
        struct lu_worker *w = __atomic_load_n(&t->worker, __ATOMIC_ACQUIRE);
        uint32_t tgid = w->carrier->tgid, tid = w->tid ? w->tid : tgid;
        bool same = w->carrier == lu_current()->worker->carrier;
        uint64_t total = same ? host_cpu_clock(tid, 6) : host_run_time(tgid, tid);
        uint64_t before = w->user_ns + w->system_ns;
        *user_ns = t->cpu_user_ns + (total > before ? total - before : 0);
        *system_ns = t->cpu_system_ns;
    } else {
        *user_ns = g_lu.reaped_user_ns;
        *system_ns = g_lu.reaped_system_ns;
        for (struct lu_carrier *c = lu_carrier_first(); c; c = c->next_made)
            if (c->state == LU_CARRIER_LIVE && c->tgid)
                *user_ns += host_cpu_clock(c->tgid, 2);
    }
}

const struct thread_ops lu_thread_ops = {
    .spawn = lu_spawn,
    .exit = lu_exit,
    .current = lu_thread_current,
    .park = lu_park,
    .unpark = lu_unpark,
    .wait = lu_wait,
    .wake = lu_wake,
    .yield = lu_yield,
    .cpu_count = lu_cpu_count,
    .cpu_current = lu_cpu_current,
    .cpu_time = lu_cpu_time,
};
