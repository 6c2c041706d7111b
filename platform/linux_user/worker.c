/*
 * worker.c: host threads and the hand-over of shim threads between them.
 *
 * Rules that keep it right: a thread leaves its shared stack before anybody is told that it may be resumed; nothing of a host
 * thread (its record, its tid) is kept across a hand-over; the arriving side lowers the count of the space that was left.
 */
#include "platform/linux_user/lu.h"

#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/time.h>
#include <linux/resource.h>
#include <asm/signal.h>

struct thread *lu_current(void)
{
    return lu_thread_of_stack((uint64_t)__builtin_frame_address(0));
}

void lu_kick(struct lu_worker *w)
{
    host_call(__NR_tgkill, w->carrier->tgid, w->tid, LU_KICK_SIGNAL);
}

static void host_thread_time(uint64_t *user_ns, uint64_t *system_ns)
{
    struct rusage usage;
    host_call(__NR_getrusage, 1 /* RUSAGE_THREAD */, &usage);
    *user_ns =
        (uint64_t)usage.ru_utime.tv_sec * 1000000000u + (uint64_t)usage.ru_utime.tv_usec * 1000u;
    *system_ns =
        (uint64_t)usage.ru_stime.tv_sec * 1000000000u + (uint64_t)usage.ru_stime.tv_usec * 1000u;
}

/* Processor time of the thread on its present worker, added to what it used before. */
void lu_thread_time_now(struct thread *t, uint64_t *user_ns, uint64_t *system_ns)
{
    uint64_t user, system;
    host_thread_time(&user, &system);
    *user_ns = t->cpu_user_ns + (user - t->worker->user_ns);
    *system_ns = t->cpu_system_ns + (system - t->worker->system_ns);
}

static void account_leaving(struct thread *t)
{
    uint64_t user, system;
    lu_thread_time_now(t, &user, &system);
    t->cpu_user_ns = user;
    t->cpu_system_ns = system;
}

void lu_worker_post(struct lu_worker *w, struct thread *t)
{
    w->incoming = t;
    if (__atomic_exchange_n(&w->job, LU_JOB_POSTED, __ATOMIC_SEQ_CST) == LU_JOB_SLEEPING)
        host_call(__NR_futex, &w->job, FUTEX_WAKE, 1);
}

/* On the park stack: wait for a thread and become it. */
static NO_RETURN void wait_for_job(struct lu_worker *w)
{
    uint32_t none = LU_JOB_NONE;
    if (__atomic_compare_exchange_n(&w->job, &none, LU_JOB_SLEEPING, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST)) {
        while (__atomic_load_n(&w->job, __ATOMIC_ACQUIRE) == LU_JOB_SLEEPING)
            host_call(__NR_futex, &w->job, FUTEX_WAIT, LU_JOB_SLEEPING, 0);
    }
    struct thread *t = w->incoming;
    /* A read comes first: the host then maps the pages around it in one fault */
    PLATFORM_REQUIRE(t->canary == LU_STACK_CANARY);
    __atomic_store_n(&w->job, LU_JOB_NONE, __ATOMIC_RELAXED);
    w->running = t;
    if (w->used)
        host_thread_time(&w->user_ns, &w->system_ns);
    w->used = true;
    __atomic_store_n(&t->worker, w, __ATOMIC_RELEASE);
    /* A rescued thread may have waited in a prompt call, whose way out finds its context by GS */
    if (t->resumed_with && g_lu.has_fsgsbase)
        __asm__ volatile("wrgsbase %0" : : "r"((uint64_t)t->entry.ctx));
    long result = t->resumed_with;
    t->resumed_with = 0;
    lu_thread_resume(t->saved_sp, result);
}

void lu_park_loop(struct lu_worker *w)
{
    struct lu_carrier *c = w->carrier;
    w->running = NULL;
    lu_lock(&c->lock);
    w->next_idle = c->idle;
    c->idle = w;
    lu_unlock(&c->lock);
    wait_for_job(w);
}

/* First code of every worker but the zygote's leader; it is reserved or on the idle list already. */
void lu_worker_start(struct lu_worker *w)
{
    lu_altstack_arm(w);
    if (lu_intercept_arm_thread() < 0)
        platform_panic("linux_user: a host thread could not arm system-call interception");
    if (w == w->carrier->leader)
        lu_serve_spawn_requests(w->carrier); /* of those who found it not ready */
    wait_for_job(w);
}

static void worker_start_arg(void *arg)
{
    lu_worker_start(arg);
}

long lu_worker_clone(struct lu_worker *w)
{
    unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                          CLONE_SYSVSEM | CLONE_PARENT_SETTID;
    return lu_clone_call(flags, lu_park_stack_top(w), &w->tid, NULL, worker_start_arg, w);
}

void lu_serve_spawn_requests(struct lu_carrier *c)
{
    struct lu_worker *w = __atomic_exchange_n(&c->spawn_requests, NULL, __ATOMIC_SEQ_CST);
    while (w) {
        struct lu_worker *next = w->next_spawn;
        long tid = lu_worker_clone(w);
        __atomic_store_n(&w->spawn_result, tid < 0 ? (int32_t)tid : 0, __ATOMIC_RELEASE);
        host_call(__NR_futex, &w->spawn_result, FUTEX_WAKE, 1);
        w = next;
    }
}

static int spawn_elsewhere(struct lu_carrier *c, struct lu_worker *w)
{
    w->spawn_result = 1;
    struct lu_worker *head = __atomic_load_n(&c->spawn_requests, __ATOMIC_RELAXED);
    do {
        w->next_spawn = head;
    } while (!__atomic_compare_exchange_n(&c->spawn_requests, &head, w, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED));
    /* A leader that is not ready looks at the requests when it is. */
    if (__atomic_load_n(&c->leader_ready, __ATOMIC_SEQ_CST))
        host_call(__NR_tgkill, c->tgid, c->tgid, LU_KICK_SIGNAL);
    while (__atomic_load_n(&w->spawn_result, __ATOMIC_ACQUIRE) == 1)
        host_call(__NR_futex, &w->spawn_result, FUTEX_WAIT, 1, 0);
    return w->spawn_result;
}

struct lu_worker *lu_worker_acquire(struct lu_carrier *c, int *err)
{
    *err = -EAGAIN;
    if (lu_fault_hit())
        return NULL;
    lu_lock(&c->lock);
    /* The supervisor looks at what is idle when it makes a dead carrier a lost one. */
    struct lu_worker *w =
        __atomic_load_n(&c->state, __ATOMIC_ACQUIRE) == LU_CARRIER_LIVE ? c->idle : NULL;
    if (w)
        c->idle = w->next_idle;
    lu_unlock(&c->lock);
    if (w)
        return w;
    w = lu_worker_alloc(c);
    if (!w)
        return NULL;
    long result = lu_current()->worker->carrier == c ? lu_worker_clone(w) : spawn_elsewhere(c, w);
    if (result < 0) {
        *err = (int)result;
        lu_worker_unalloc(w);
        return NULL;
    }
    return w;
}

void lu_save_live_context(struct thread *t)
{
    if (t->live_ctx) {
        lu_context_store(t->live_ctx);
        t->live_ctx = NULL;
    }
}

static void post_and_park(void *target, void *thread)
{
    struct thread *t = thread;
    struct lu_worker *from = t->worker;
    from->running = NULL;
    lu_worker_post(target, t);
    lu_park_loop(from);
}

static void post_and_stay_reserved(void *target, void *thread)
{
    struct thread *t = thread;
    struct lu_worker *from = t->worker;
    from->running = NULL;
    lu_worker_post(target, t);
    wait_for_job(from);
}

static void move_to(struct thread *t, struct lu_worker *target, void (*leave)(void *, void *))
{
    lu_save_live_context(t);
    lu_sequence_give_back(t->worker);
    account_leaving(t);
    lu_thread_leave(&t->saved_sp, lu_park_stack_top(t->worker), leave, target, t);
}

int lu_thread_move(struct lu_carrier *c)
{
    struct thread *t = lu_current();
    if (t->worker->carrier == c)
        return 0;
    int err = 0;
    struct lu_worker *target = lu_worker_acquire(c, &err);
    if (!target)
        return err;
    move_to(t, target, post_and_park);
    return 0;
}

int lu_thread_visit(struct lu_carrier *c, struct lu_worker **home)
{
    struct thread *t = lu_current();
    *home = NULL;
    if (t->worker->carrier == c)
        return 0;
    int err = 0;
    struct lu_worker *target = lu_worker_acquire(c, &err);
    if (!target)
        return err;
    *home = t->worker;
    move_to(t, target, post_and_stay_reserved);
    return 0;
}

void lu_thread_go_home(struct lu_worker *home)
{
    if (home)
        move_to(lu_current(), home, post_and_park);
}

void lu_threads_rescue(void)
{
    static const struct timespec moment = {.tv_nsec = 1000000};
    struct thread *t = __atomic_exchange_n(&g_lu.stranded, NULL, __ATOMIC_ACQ_REL);
    while (t) {
        struct thread *next = t->next;
        int err;
        struct lu_worker *w = lu_worker_acquire(g_lu.zygote, &err);
        if (!w) { /* those that were rescued before end soon */
            host_call(__NR_nanosleep, &moment, 0);
            continue;
        }
        lu_worker_post(w, t);
        t = next;
    }
}
