/*
 * budget.c: how much memory the guests have been promised, how much they use when that is too much, and who goes.
 */
#include "shim/budget.h"

#include <linux/signal.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "platform/guest_memory.h"
#include "platform/instance.h"
#include "platform/thread.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/mm.h"
#include "shim/process.h"
#include "shim/process_internal.h"
#include "shim/process_tree.h"
#include "shim/shim.h"
#include "shim/time_convert.h"

#define PAGE 4096u
#define MS 1000000ull
#define FILES_LEAVE 8u /* part of the limit that files cannot fill: no kill would give it back */
#define PAUSE_QUIET (250 * MS) /* the shim's heap grows without a promise */
#define PAUSE_LEAST (1 * MS)
#define PAUSE_MOST (100 * MS)
#define TOUCHED_PER_NS 8ull /* bytes: what two processors can fill */
#define DEATH_TAKES (2000 * MS)
#define ASKED_MOST 10000u /* a millisecond each at least: some deaths */
#define MEASURE_SHARE 10u /* measuring takes at most this part of the time */

static struct {
    uint64_t promised;      /* pages; atomic */
    uint64_t limit;         /* bytes; 0: none. Fixed once guests run */
    struct thread *watcher; /* atomic */
    /* When somebody was last killed since there was none left: monotonic ns, atomic; 0: never */
    uint64_t exhausted_at;
    int starving;      /* pid of whose copy found no memory, for the watcher; atomic; 0: nobody's */
    uint32_t never;    /* a word nobody wakes */
    struct mutex lock; /* a leaf, but for the platform: */
    uint64_t used;     /* bytes, as last measured, */
    uint64_t promised_then; /* and what was promised then */
} g_budget;

static uint64_t promised_bytes(void)
{
    return __atomic_load_n(&g_budget.promised, __ATOMIC_RELAXED) * PAGE + shim_alloc_in_use();
}

void budget_promise(int64_t pages)
{
    uint64_t now = __atomic_add_fetch(&g_budget.promised, (uint64_t)pages, __ATOMIC_RELAXED);
    if (!g_budget.limit || pages <= 0)
        return;
    uint64_t limit = g_budget.limit / PAGE;
    struct thread *watcher = __atomic_load_n(&g_budget.watcher, __ATOMIC_ACQUIRE);
    if (now > limit && now - (uint64_t)pages <= limit && watcher)
        thread_unpark(g_platform, watcher);
}

/* Bytes in use. Slow. */
static uint64_t measure(void)
{
    mutex_lock(&g_budget.lock);
    uint64_t heap = shim_alloc_in_use(), promised = promised_bytes();
    uint64_t enough = heap < g_budget.limit ? (g_budget.limit - heap) / 2 : 0;
    uint64_t used = heap + instance_memory_used(g_platform, enough);
    g_budget.used = used;
    g_budget.promised_then = promised;
    mutex_unlock(&g_budget.lock);
    return used;
}

/* Bytes in use at most, were each promise since the last look kept at once. */
static uint64_t assumed(void)
{
    mutex_lock(&g_budget.lock);
    uint64_t promised = promised_bytes();
    uint64_t fresh = promised > g_budget.promised_then ? promised - g_budget.promised_then : 0;
    uint64_t used = g_budget.used + fresh;
    mutex_unlock(&g_budget.lock);
    return used < promised ? used : promised;
}

bool budget_allows(uint64_t size)
{
    if (!g_budget.limit)
        return true;
    if (size > g_budget.limit)
        return false;
    uint64_t left = g_budget.limit - size;
    return promised_bytes() <= left || assumed() <= left || measure() <= left;
}

bool budget_allows_file(uint64_t size)
{
    return budget_allows(size + g_budget.limit / FILES_LEAVE);
}

/* ---- when promises are kept ---- */

struct victim {
    int pid;
    uint64_t pages;
};

/* The next process after `pid` that has memory; its mm is the caller's to put. NULL: none. */
static struct mm *next_mm(int *pid)
{
    struct mm *mm = NULL;
    struct process *best = NULL;
    mutex_lock(&g_process_lock);
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p))
        if (p->pid > *pid && p->pid != INIT_PID && !p->group_exiting && p->tasks && p->tasks->mm &&
            (!best || p->pid < best->pid))
            best = p;
    if (best) {
        mm = best->tasks->mm;
        mm_get(mm);
        *pid = best->pid;
    }
    mutex_unlock(&g_process_lock);
    return mm;
}

static struct victim find_biggest(void)
{
    struct victim biggest = {0}, v = {0};
    struct mm *mm;
    while ((mm = next_mm(&v.pid))) {
        v.pages = mm_resident_pages(mm);
        (void)mm_put(mm, MM_DROP_OUTSIDE);
        if (v.pages > biggest.pages)
            biggest = v;
    }
    return biggest;
}

/* Says so, unless it is on its way already. */
static void kill_victim(const struct victim *v, const char *because)
{
    char line[128], comm[16] = "";
    mutex_lock(&g_process_lock);
    struct process *p = process_find(v->pid);
    bool kill = p && p->tasks && !p->group_exiting;
    if (kill) {
        str_copy(comm, p->tasks->comm, sizeof(comm));
        process_start_exit(p, SIGKILL);
    }
    mutex_unlock(&g_process_lock);
    if (!kill)
        return;
    shim_snprintf(line, sizeof(line),
                  "pal: out of memory%s: killed process %d (%s), which held %llu MiB", because,
                  v->pid, comm, (unsigned long long)(v->pages * PAGE >> 20));
    instance_message(g_platform, line);
}

static void kill_biggest(void)
{
    struct victim v = find_biggest();
    if (!v.pid)
        return;
    kill_victim(&v, " (--memory)");
    /* It gives its memory back when all its threads have left: nobody else has to go for it. */
    uint64_t patience = deadline_after(DEATH_TAKES);
    do
        thread_park(g_platform, deadline_after(PAUSE_LEAST), NULL, 0);
    while (measure() > g_budget.limit && clock_now(g_platform, CLOCK_KIND_MONOTONIC) < patience);
}

/* None was left for process `pid`: the biggest goes, unless one is going. */
static void make_room(int pid)
{
    uint64_t now = clock_now(g_platform, CLOCK_KIND_MONOTONIC);
    uint64_t last = __atomic_load_n(&g_budget.exhausted_at, __ATOMIC_RELAXED);
    bool dying = last && now - last < DEATH_TAKES; /* what that one had is on its way back */
    if (!dying && __atomic_compare_exchange_n(&g_budget.exhausted_at, &last, now, false,
                                              __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        struct victim v = find_biggest();
        if (!v.pid) /* files and the shim have it all */
            v.pid = pid;
        kill_victim(&v, "");
    }
}

void budget_exhausted(struct task *task)
{
    make_room(task->process->pid);
    if (!task_interrupted(task))
        thread_park(g_platform, deadline_after(PAUSE_LEAST), NULL, 0);
}

bool budget_wait(unsigned asked)
{
    const struct task *task = task_current();
    if (!task || asked >= ASKED_MOST || __atomic_load_n(&task->exiting, __ATOMIC_RELAXED))
        return false;
    __atomic_store_n(&g_budget.starving, task->process->pid, __ATOMIC_RELEASE);
    struct thread *watcher = __atomic_load_n(&g_budget.watcher, __ATOMIC_ACQUIRE);
    if (watcher)
        thread_unpark(g_platform, watcher);
    /* No park: that would take a token that whoever called means to sleep for. */
    (void)thread_wait(g_platform, &g_budget.never, 0, deadline_after(PAUSE_LEAST));
    return true;
}

/* Result: nanoseconds until it must be looked again. */
static uint64_t enforce_limit(void)
{
    if (promised_bytes() <= g_budget.limit)
        return PAUSE_QUIET;
    uint64_t start = clock_now(g_platform, CLOCK_KIND_MONOTONIC), used = measure();
    uint64_t least = (clock_now(g_platform, CLOCK_KIND_MONOTONIC) - start) * MEASURE_SHARE;
    uint64_t pause = PAUSE_QUIET;
    if (least < PAUSE_LEAST)
        least = PAUSE_LEAST;
    if (used > g_budget.limit)
        kill_biggest();
    else
        pause = (g_budget.limit - used) / TOUCHED_PER_NS;
    pause = pause > PAUSE_MOST ? PAUSE_MOST : pause;
    return pause < least ? least : pause;
}

static void watch(void *arg)
{
    (void)arg;
    for (;;) {
        uint64_t deadline = THREAD_WAIT_FOREVER;
        int starving = __atomic_exchange_n(&g_budget.starving, 0, __ATOMIC_ACQUIRE);
        if (starving)
            make_room(starving);
        if (g_budget.limit)
            deadline = deadline_after(enforce_limit());
        thread_park(g_platform, deadline, NULL, 0);
    }
}

int budget_start(void)
{
    struct thread *watcher;
    bool runs_short = memory_on_shortage(g_platform, budget_wait) != -EOPNOTSUPP;
    if (!g_config->memory_limit && !runs_short)
        return 0;
    g_budget.limit = g_config->memory_limit;
    int err = thread_spawn(g_platform, NULL, watch, NULL, &watcher);
    if (err == 0)
        __atomic_store_n(&g_budget.watcher, watcher, __ATOMIC_RELEASE);
    return err;
}
