/*
 * process.c: the tables of processes and tasks, ids, groups, and who hears of whom.
 */
#include "shim/process.h"

#include <asm/resource.h>
#include <linux/capability.h>
#include <linux/signal.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/fs/file.h"
#include "shim/fs/pidfd.h"
#include "shim/fs/vfs.h"
#include "shim/process_internal.h"
#include "shim/process_tree.h"
#include "shim/shim.h"

#define PID_LIMIT 4194304 /* pid_max of 64-bit kernels */
#define FIRST_PID_AFTER_WRAP 300

struct mutex g_process_lock;
static struct process *g_processes;
static struct task *g_tasks;
static int g_last_id = INIT_PID;
static bool g_ids_wrapped, g_ids_claimed;

struct process *process_find(int pid)
{
    struct process *p;
    HASH_FIND_INT(g_processes, &pid, p);
    return p;
}

struct task *task_find(int tid)
{
    struct task *t;
    HASH_FIND_INT(g_tasks, &tid, t);
    return t;
}

static bool id_in_use(int id)
{
    if (process_find(id) || task_find(id))
        return true;
    if (!g_ids_wrapped && !g_ids_claimed)
        return false;
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p))
        if (p->pgid == id || p->sid == id)
            return true;
    return false;
}

int process_claim_id(int id)
{
    if (id >= PID_LIMIT)
        return -EINVAL;
    if (process_find(id) || task_find(id))
        return -EEXIST;
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p))
        if (p->pgid == id || p->sid == id)
            return -EEXIST;
    g_ids_claimed = true;
    return id;
}

int process_new_id(void)
{
    do {
        if (++g_last_id >= PID_LIMIT) {
            g_last_id = FIRST_PID_AFTER_WRAP;
            g_ids_wrapped = true;
        }
    } while (id_in_use(g_last_id));
    return g_last_id;
}

void process_set_parent(struct process *process, struct process *parent)
{
    process->parent = parent;
    __atomic_store_n(&process->ppid, parent ? parent->pid : 0, __ATOMIC_RELAXED);
}

void process_insert(struct process *process, struct process *parent)
{
    HASH_ADD_INT(g_processes, pid, process);
    process_set_parent(process, parent);
    if (parent)
        DL_APPEND2(parent->children, process, sibling_prev, sibling_next);
}

static unsigned g_zombies;

void process_counts_as_zombie(void)
{
    g_zombies++;
}

bool process_room_for_task(void)
{
    return g_config->pid_limit == 0 || HASH_COUNT(g_tasks) + g_zombies < g_config->pid_limit;
}

/* As RLIMIT_NPROC counts: threads, and zombies as one. */
static uint64_t tasks_of_user(uint32_t uid, const struct process *but)
{
    uint64_t count = 0;
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p))
        if (p != but && p->uid == uid)
            count += p->task_count ? p->task_count : 1;
    return count;
}

bool process_room_for_user(const struct process *process)
{
    uint64_t limit = process->rlimits[RLIMIT_NPROC].cur;
    if (limit == RLIM_INFINITY || process->uid == 0 || process_capable(process, CAP_SYS_RESOURCE) ||
        process_capable(process, CAP_SYS_ADMIN))
        return true;
    return tasks_of_user(process->uid, NULL) < limit;
}

void process_changed_user(struct process *process)
{
    process->became_one_too_many = process->uid != 0 && tasks_of_user(process->uid, process) >
                                                            process->rlimits[RLIMIT_NPROC].cur;
}

bool process_may_exec(struct process *process)
{
    mutex_lock(&g_process_lock);
    if (process->became_one_too_many &&
        tasks_of_user(process->uid, NULL) <= process->rlimits[RLIMIT_NPROC].cur)
        process->became_one_too_many = false;
    bool may = !process->became_one_too_many;
    mutex_unlock(&g_process_lock);
    return may;
}

void task_insert(struct task *task, struct process *process)
{
    task->process = process;
    HASH_ADD_INT(g_tasks, tid, task);
    DL_APPEND(process->tasks, task);
    process->task_count++;
}

void task_remove(struct task *task)
{
    struct process *process = task->process;
    HASH_DEL(g_tasks, task);
    DL_DELETE(process->tasks, task);
    process->task_count--;
}

void process_reap(struct process *process)
{
    struct process *parent = process->parent;
    HASH_DEL(g_processes, process);
    if (process->state == PROCESS_ZOMBIE)
        g_zombies--;
    if (parent) {
        DL_DELETE2(parent->children, process, sibling_prev, sibling_next);
        parent->children_utime_ns += process->utime_ns + process->children_utime_ns;
        parent->children_stime_ns += process->stime_ns + process->children_stime_ns;
    }
    process->state = PROCESS_REAPED;
    pid_ref_detach(process->pid_ref);
    process->pid_ref = NULL;
}

void process_free(struct process *process)
{
    shim_free(process->exe_path);
    shim_free(process);
}

void process_cpu_time(struct process *process, uint64_t *user_ns, uint64_t *system_ns)
{
    struct task *t;
    *user_ns = process->utime_ns;
    *system_ns = process->stime_ns;
    DL_FOREACH(process->tasks, t)
    {
        uint64_t user, system;
        if (!t->thread)
            continue;
        thread_cpu_time(g_platform, t->thread, &user, &system);
        *user_ns += user;
        *system_ns += system;
    }
}

bool process_group_orphaned(int pgid)
{
    if (pgid == FIRST_PID) /* whoever started the instance can continue it */
        return false;
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p)) {
        if (p->pgid != pgid || p->state >= PROCESS_ZOMBIE || !p->parent)
            continue;
        if (p->parent->pgid != pgid && p->parent->sid == p->sid)
            return false;
    }
    return true;
}

struct sighand *sighand_create(int *err)
{
    struct sighand *s = shim_zalloc(sizeof(*s));
    if (!s)
        *err = -ENOMEM;
    else
        s->refs = 1;
    return s;
}

void sighand_put(struct sighand *sighand)
{
    if (sighand && --sighand->refs == 0)
        shim_free(sighand);
}

static void default_limits(struct process *p)
{
    for (int i = 0; i < 16; i++)
        p->rlimits[i] = (struct shim_rlimit){UINT64_MAX, UINT64_MAX};
    p->rlimits[3] = (struct shim_rlimit){8u << 20, UINT64_MAX}; /* stack */
    p->rlimits[4] = (struct shim_rlimit){0, UINT64_MAX};        /* core: none is written */
    p->rlimits[6] = (struct shim_rlimit){31000, 31000};         /* processes */
    p->rlimits[7] = (struct shim_rlimit){1024, 1048576};        /* descriptors */
    p->rlimits[8] = (struct shim_rlimit){8u << 20, 8u << 20};   /* locked memory */
    p->rlimits[11] = (struct shim_rlimit){31000, 31000};        /* queued signals */
    p->rlimits[12] = (struct shim_rlimit){819200, 819200};      /* message queues */
    p->rlimits[13] = (struct shim_rlimit){0, 0};                /* nice */
    p->rlimits[14] = (struct shim_rlimit){0, 0};                /* real-time priority */
}

static struct process *bare_process(int pid, int *err)
{
    struct process *p = shim_zalloc(sizeof(*p));
    if (!p) {
        *err = -ENOMEM;
        return NULL;
    }
    p->sighand = sighand_create(err);
    if (!p->sighand) {
        shim_free(p);
        return NULL;
    }
    p->pid = p->pgid = p->sid = pid;
    p->exit_signal = SIGCHLD;
    p->dumpable = true;
    p->caps.effective = p->caps.permitted = p->caps.bounding = CAPABILITIES_ALL;
    p->start_ns = clock_now(g_platform, CLOCK_KIND_BOOTTIME);
    default_limits(p);
    return p;
}

struct task *process_create_first(int *err)
{
    struct process *init = bare_process(INIT_PID, err);
    struct process *first = init ? bare_process(FIRST_PID, err) : NULL;
    struct task *task = first ? task_create(err) : NULL;
    if (!task)
        return NULL; /* the instance ends with this: nothing to undo */
    task->files = fd_table_create(err);
    if (!task->files)
        return NULL;
    task->fs = fs_state_create(err);
    if (!task->fs)
        return NULL;
    mutex_lock(&g_process_lock);
    process_insert(init, NULL);
    process_insert(first, init);
    task->start_ns = first->start_ns;
    task->tid = g_last_id = FIRST_PID;
    task_insert(task, first);
    mutex_unlock(&g_process_lock);
    task->thread = thread_current(g_platform);
    return task;
}
