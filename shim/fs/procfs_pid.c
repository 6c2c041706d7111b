/*
 * /proc/PID: what ps, top, bash and the C library look at.
 */
#include "shim/fs/procfs.h"

#include <asm/fcntl.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/oom.h>
#include <linux/stat.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/fs/tty.h"
#include "shim/mm.h"
#include "shim/shim.h"

#define NS_PER_TICK 10000000 /* USER_HZ is 100 */

/* What stat and status print, copied in one go. */
struct snapshot {
    int pid, tid, ppid, pgid, sid, tty_pgid, nice, threads, exit_signal, exit_code;
    uint64_t tty_rdev;
    char state, comm[16];
    uint32_t uid[4], gid[4], groups[32];
    unsigned group_count;
    bool no_new_privs;
    struct capabilities caps;
    uint64_t utime_ns, stime_ns, children_utime_ns, children_stime_ns, start_ns;
    uint64_t pending, shared_pending, blocked, ignored, caught;
    uint64_t rss_limit;
};

static bool char_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static const char *name_of(const struct process *p, const struct task *task)
{
    if (p->pid == 1)
        return "init";
    return task ? task->comm : p->exit_comm;
}

static char state_letter(const struct process *p, const struct task *task)
{
    if (p->state >= PROCESS_ZOMBIE || (!task && p->pid != 1))
        return 'Z';
    if (p->state == PROCESS_STOPPED)
        return 'T';
    return task && task->state == TASK_RUNNING ? 'R' : 'S';
}

static void snapshot_signals(struct snapshot *s, const struct process *p, const struct task *task)
{
    s->shared_pending = p->pending.set.bits;
    if (task) {
        s->pending = task->pending.set.bits;
        s->blocked = task->blocked.bits;
    }
    if (!p->sighand)
        return;
    for (int i = 0; i < 64; i++) {
        if (p->sighand->action[i].handler == 1)
            s->ignored |= 1ull << i;
        else if (p->sighand->action[i].handler)
            s->caught |= 1ull << i;
    }
}

/* As stat and status write a name: in one line. */
static void print_name(struct str_buf *out, const char *name)
{
    for (; *name; name++)
        if (*name == '\n' || *name == '\\')
            str_buf_append(out, *name == '\n' ? "\\n" : "\\\\", 2);
        else
            str_buf_append(out, name, 1);
}

/* 0 or -ESRCH. */
static int snapshot(const struct proc_target *t, struct snapshot *s)
{
    struct process *p;
    struct task *task;

    memset(s, 0, sizeof(*s));
    mutex_lock(&g_process_lock);
    p = proc_process(t);
    task = p ? proc_task(t) : NULL;
    if (!p || (t->tid && !task)) {
        mutex_unlock(&g_process_lock);
        return -ESRCH;
    }
    s->pid = p->pid;
    s->tid = t->tid ? t->tid : p->pid;
    s->ppid = p->parent ? p->parent->pid : 0;
    s->pgid = p->pgid;
    s->sid = p->sid;
    s->tty_pgid = p->tty ? p->tty->pgid : -1;
    s->tty_rdev = p->tty ? p->tty->rdev : 0;
    s->nice = p->nice;
    s->threads = (int)p->task_count;
    s->exit_signal = p->exit_signal;
    s->exit_code = p->exit_code;
    s->state = state_letter(p, task);
    str_copy(s->comm, name_of(p, task), sizeof(s->comm));
    uint32_t uid[4] = {p->uid, p->euid, p->suid, p->fsuid},
             gid[4] = {p->gid, p->egid, p->sgid, p->fsgid};
    memcpy(s->uid, uid, sizeof(uid));
    memcpy(s->gid, gid, sizeof(gid));
    memcpy(s->groups, p->groups, sizeof(s->groups));
    s->group_count = p->group_count;
    s->no_new_privs = p->no_new_privs;
    s->caps = p->caps;
    process_cpu_time(p, &s->utime_ns, &s->stime_ns);
    if (t->tid && task->thread)
        thread_cpu_time(g_platform, task->thread, &s->utime_ns, &s->stime_ns);
    s->children_utime_ns = p->children_utime_ns;
    s->children_stime_ns = p->children_stime_ns;
    s->start_ns = t->tid ? task->start_ns : p->start_ns;
    s->rss_limit = p->rlimits[5].cur;
    snapshot_signals(s, p, task);
    mutex_unlock(&g_process_lock);
    return 0;
}

/* Numbers of the memory; zero for a process that has none (zombies, init). */
struct memory_numbers {
    uint64_t pages, resident, locked, data, start_code, end_code, start_stack, start_data, end_data,
        start_brk, arg_start, arg_end, env_start, env_end;
};

static void memory_numbers(const struct proc_target *t, struct memory_numbers *n)
{
    struct mm *mm;

    memset(n, 0, sizeof(*n));
    if (!proc_get_mm(t, &mm))
        return;
    n->resident = mm_resident_pages(mm);
    mutex_lock(&mm->lock);
    n->pages = mm->total.pages;
    n->locked = mm->total.locked;
    n->data = mm->total.data;
    n->start_code = mm->code_start;
    n->end_code = mm->code_end;
    n->start_stack = mm->stack_top;
    n->start_data = mm->data_start;
    n->end_data = mm->data_end;
    n->start_brk = mm->brk_start;
    n->arg_start = mm->arg_start;
    n->arg_end = mm->arg_end;
    n->env_start = mm->env_start;
    n->env_end = mm->env_end;
    mutex_unlock(&mm->lock);
    proc_put_mm(mm);
}

#define LLU(x) ((unsigned long long)(x))

/* proc(5), /proc/pid/stat: 52 fields in one line. Those nobody counts here are 0. */
static int print_stat(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    struct snapshot s;
    struct memory_numbers m;
    int r = snapshot(t, &s);

    (void)task;
    if (r)
        return r;
    memory_numbers(t, &m);
    str_buf_printf(out, "%d (", s.tid);
    print_name(out, s.comm);
    str_buf_printf(out, ") %c %d %d %d %llu %d %u 0 0 0 0 ", s.state, s.ppid, s.pgid, s.sid,
                   LLU(s.tty_rdev), s.tty_pgid, 0x400000u);
    str_buf_printf(out, "%llu %llu %llu %llu %d %d %d 0 %llu ", LLU(s.utime_ns / NS_PER_TICK),
                   LLU(s.stime_ns / NS_PER_TICK), LLU(s.children_utime_ns / NS_PER_TICK),
                   LLU(s.children_stime_ns / NS_PER_TICK), 20 + s.nice, s.nice, s.threads,
                   LLU(s.start_ns / NS_PER_TICK));
    str_buf_printf(out, "%llu %llu %llu %llu %llu %llu 0 0 ", LLU(m.pages * 4096), LLU(m.resident),
                   LLU(s.rss_limit), LLU(m.start_code), LLU(m.end_code), LLU(m.start_stack));
    str_buf_printf(out, "%llu %llu %llu %llu 0 0 0 %d %u 0 0 0 0 0 ", LLU(s.pending & INT32_MAX),
                   LLU(s.blocked & INT32_MAX), LLU(s.ignored & INT32_MAX),
                   LLU(s.caught & INT32_MAX), s.exit_signal, thread_cpu_current(g_platform));
    str_buf_printf(out, "%llu %llu %llu %llu %llu %llu %llu %d\n", LLU(m.start_data),
                   LLU(m.end_data), LLU(m.start_brk), LLU(m.arg_start), LLU(m.arg_end),
                   LLU(m.env_start), LLU(m.env_end), s.exit_code);
    return 0;
}

static int print_statm(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    struct memory_numbers m;

    (void)task;
    memory_numbers(t, &m);
    str_buf_printf(out, "%llu %llu 0 %llu 0 %llu 0\n", LLU(m.pages), LLU(m.resident),
                   LLU((m.end_code - m.start_code + 4095) / 4096), LLU(m.pages));
    return 0;
}

static const char *state_word(char state)
{
    switch (state) {
    case 'R':
        return "R (running)";
    case 'T':
        return "T (stopped)";
    case 'Z':
        return "Z (zombie)";
    default:
        return "S (sleeping)";
    }
}

static uint32_t umask_of(const struct proc_target *t)
{
    struct fs_state *fs;
    uint32_t mask;

    if (!proc_get_fs(t, &fs))
        return 022;
    mask = fs_umask(fs);
    fs_state_put(fs);
    return mask;
}

static void print_memory_status(struct str_buf *out, const struct memory_numbers *m)
{
    unsigned long long size = LLU(m->pages * 4), resident = LLU(m->resident * 4);

    str_buf_printf(out,
                   "VmPeak:\t%8llu kB\nVmSize:\t%8llu kB\nVmLck:\t%8llu kB\nVmPin:\t       0 kB\n",
                   size, size, LLU(m->locked * 4));
    str_buf_printf(out, "VmHWM:\t%8llu kB\nVmRSS:\t%8llu kB\nRssAnon:\t%8llu kB\n", resident,
                   resident, resident);
    str_buf_printf(out, "RssFile:\t       0 kB\nRssShmem:\t       0 kB\nVmData:\t%8llu kB\n",
                   LLU(m->data * 4));
    str_buf_printf(
        out, "VmStk:\t     132 kB\nVmExe:\t%8llu kB\nVmLib:\t       0 kB\nVmPTE:\t       0 kB\n",
        LLU((m->end_code - m->start_code) / 1024));
    str_buf_printf(out, "VmSwap:\t       0 kB\n");
}

static int print_status(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    struct snapshot s;
    struct memory_numbers m;
    unsigned cpus = thread_cpu_count(g_platform);
    /* Root in its own world: all capabilities up to CAP_CHECKPOINT_RESTORE. */
    int r = snapshot(t, &s);

    (void)task;
    if (r)
        return r;
    str_buf_append(out, "Name:\t", 6);
    print_name(out, s.comm);
    str_buf_printf(out, "\nUmask:\t%04o\nState:\t%s\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\n",
                   umask_of(t), state_word(s.state), s.pid, s.tid, s.ppid);
    str_buf_printf(
        out, "TracerPid:\t0\nUid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t64\nGroups:\t",
        s.uid[0], s.uid[1], s.uid[2], s.uid[3], s.gid[0], s.gid[1], s.gid[2], s.gid[3]);
    for (unsigned i = 0; i < s.group_count; i++)
        str_buf_printf(out, "%u ", s.groups[i]);
    str_buf_printf(out, "\nNStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n", s.pid, s.tid,
                   s.pgid, s.sid);
    memory_numbers(t, &m);
    if (m.pages)
        print_memory_status(out, &m);
    str_buf_printf(out, "Threads:\t%d\nSigQ:\t0/31000\nSigPnd:\t%016llx\nShdPnd:\t%016llx\n",
                   s.threads, LLU(s.pending), LLU(s.shared_pending));
    str_buf_printf(out, "SigBlk:\t%016llx\nSigIgn:\t%016llx\nSigCgt:\t%016llx\n", LLU(s.blocked),
                   LLU(s.ignored), LLU(s.caught));
    str_buf_printf(out,
                   "CapInh:\t%016llx\nCapPrm:\t%016llx\nCapEff:\t%016llx\nCapBnd:\t%016llx\nCapAmb:"
                   "\t%016llx\n",
                   LLU(s.caps.inheritable), LLU(s.caps.permitted), LLU(s.caps.effective),
                   LLU(s.caps.bounding), LLU(s.caps.ambient));
    str_buf_printf(out, "NoNewPrivs:\t%d\nSeccomp:\t0\nSeccomp_filters:\t0\n", s.no_new_privs);
    str_buf_printf(out, "Cpus_allowed:\t%llx\nCpus_allowed_list:\t",
                   cpus >= 64 ? ~0ull : (1ull << cpus) - 1);
    str_buf_printf(out, cpus > 1 ? "0-%u\n" : "%u\n", cpus - 1);
    str_buf_printf(out, "Mems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t0\n"
                        "nonvoluntary_ctxt_switches:\t0\n");
    return 0;
}

static int print_comm(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    struct snapshot s;
    int r = snapshot(t, &s);

    (void)task;
    if (!r)
        str_buf_printf(out, "%s\n", s.comm);
    return r;
}

/* proc(5): a thread may name the threads of its own process. */
static int64_t write_comm(struct task *task, const struct proc_target *t, const char *text,
                          size_t size)
{
    struct task *target;
    int r = 0;

    (void)size;
    mutex_lock(&g_process_lock);
    target = proc_task(t);
    if (!target)
        r = -ESRCH;
    else if (target->process != task->process)
        r = -EINVAL;
    else
        str_copy(target->comm, text, sizeof(target->comm)); /* a line's end with it, as in Linux */
    mutex_unlock(&g_process_lock);
    return r;
}

static const struct limit_name {
    const char *name, *unit;
    unsigned index;
} g_limits[] = {
    {"Max cpu time", "seconds", 0},     {"Max file size", "bytes", 1},
    {"Max data size", "bytes", 2},      {"Max stack size", "bytes", 3},
    {"Max core file size", "bytes", 4}, {"Max resident set", "bytes", 5},
    {"Max processes", "processes", 6},  {"Max open files", "files", 7},
    {"Max locked memory", "bytes", 8},  {"Max address space", "bytes", 9},
    {"Max file locks", "locks", 10},    {"Max pending signals", "signals", 11},
    {"Max msgqueue size", "bytes", 12}, {"Max nice priority", "", 13},
    {"Max realtime priority", "", 14},  {"Max realtime timeout", "us", 15},
};

static void print_limit(struct str_buf *out, uint64_t value)
{
    if (value == UINT64_MAX)
        str_buf_printf(out, "%-20s ", "unlimited");
    else
        str_buf_printf(out, "%-20llu ", LLU(value));
}

static int print_limits(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    struct shim_rlimit limits[16];
    struct process *p;

    (void)task;
    mutex_lock(&g_process_lock);
    p = proc_process(t);
    if (p)
        memcpy(limits, p->rlimits, sizeof(limits));
    mutex_unlock(&g_process_lock);
    if (!p)
        return -ESRCH;
    str_buf_printf(out, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (size_t i = 0; i < sizeof(g_limits) / sizeof(g_limits[0]); i++) {
        str_buf_printf(out, "%-25s ", g_limits[i].name);
        print_limit(out, limits[g_limits[i].index].cur);
        print_limit(out, limits[g_limits[i].index].max);
        str_buf_printf(out, "%-10s\n", g_limits[i].unit);
    }
    return 0;
}

static int print_constant(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    static const struct {
        const char *name, *text;
    } table[] = {
        {"cgroup", "0::/\n"},
        {"uid_map", "         0          0 4294967295\n"},
        {"gid_map", "         0          0 4294967295\n"},
        {"setgroups", "allow\n"},
        {"oom_score", "0\n"},
        {"oom_adj", "0\n"},
        {"loginuid", "4294967295"},
        {"sessionid", "4294967295"},
        {"wchan", "0"},
        {"personality", "00000000\n"},
        {"io", "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\n"
               "cancelled_write_bytes: 0\n"},
        {"schedstat", "0 0 0\n"},
    };

    (void)task;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (str_equal(table[i].name, t->entry->name))
            str_buf_printf(out, "%s", table[i].text);
    return 0;
}

/* Kept and handed on to children, without effect: nothing here kills by score. */
static int print_oom_score_adj(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task;
    mutex_lock(&g_process_lock);
    const struct process *p = proc_process(t);
    int score = p ? p->oom_score_adj : 0;
    mutex_unlock(&g_process_lock);
    if (!p)
        return -ESRCH;
    str_buf_printf(out, "%d\n", score);
    return 0;
}

/* proc(5). Only CAP_SYS_RESOURCE makes a process less likely to go than who had it set it before. */
static int64_t write_oom_score_adj(struct task *task, const struct proc_target *t, const char *text,
                                   size_t size)
{
    char number[16];
    int64_t score;
    int r = 0;

    while (size && char_is_space(text[size - 1]))
        size--;
    for (; size && char_is_space(*text); text++)
        size--;
    if (size >= sizeof(number))
        return -EINVAL;
    memcpy(number, text, size);
    number[size] = 0;
    if (!str_to_i64(number, &score) || score < OOM_SCORE_ADJ_MIN || score > OOM_SCORE_ADJ_MAX)
        return -EINVAL;
    mutex_lock(&g_process_lock);
    struct process *p = proc_process(t);
    bool privileged = process_capable(task->process, CAP_SYS_RESOURCE);
    if (!p)
        r = -ESRCH;
    else if (score < p->oom_score_adj_min && !privileged)
        r = -EACCES;
    if (!r) {
        p->oom_score_adj = (int16_t)score;
        if (privileged)
            p->oom_score_adj_min = (int16_t)score;
    }
    mutex_unlock(&g_process_lock);
    return r;
}

/* ---- mounts ----------------------------------------------------------------------------------------------------- */

/* Blanks would end a field: as the kernel writes them, seq_path(). */
static void print_field(struct str_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == ' ' || *text == '\t' || *text == '\n' || *text == '\\')
            str_buf_printf(out, "\\%03o", (unsigned char)*text);
        else
            str_buf_append(out, text, 1);
    }
    str_buf_append(out, " ", 1);
}

static int emit_mount(void *arg, const struct mount_line *line)
{
    print_field(arg, line->source);
    print_field(arg, line->target);
    str_buf_printf(arg, "%s %s%s 0 0\n", line->type, line->options, line->super_options);
    return 0;
}

static int print_mounts(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)t;
    return mount_walk(emit_mount, task, out);
}

static int emit_mountinfo(void *arg, const struct mount_line *line)
{
    str_buf_printf(arg, "%u %u %u:%u ", line->id, line->parent, (unsigned)(line->dev >> 8) & 0xfff,
                   (unsigned)line->dev & 0xff);
    print_field(arg, line->root);
    print_field(arg, line->target);
    str_buf_printf(arg, "%s - %s ", line->options, line->type);
    print_field(arg, line->source);
    str_buf_printf(arg, "%.2s%s\n", line->options, line->super_options);
    return 0;
}

static int print_mountinfo(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)t;
    return mount_walk(emit_mountinfo, task, out);
}

/* ---- links ------------------------------------------------------------------------------------------------------ */

static char *exe_path(const struct proc_target *t)
{
    struct process *p;
    char *path = NULL;

    mutex_lock(&g_process_lock);
    p = proc_process(t);
    if (p && p->exe_path && p->state < PROCESS_ZOMBIE)
        path = shim_strdup(p->exe_path);
    mutex_unlock(&g_process_lock);
    return path;
}

static int exe_readlink(struct task *task, const struct proc_target *t, char *out, size_t size)
{
    char *path = exe_path(t);
    size_t length;

    (void)task;
    if (!path)
        return -ENOENT;
    length = str_length(path);
    if (length > size)
        length = size;
    memcpy(out, path, length);
    shim_free(path);
    return (int)length;
}

static int exe_follow(struct task *task, const struct proc_target *t, struct path *out)
{
    char *path = exe_path(t);
    int r;

    if (!path)
        return -ENOENT;
    r = path_lookup(task, AT_FDCWD, path, LOOKUP_FOLLOW, out);
    shim_free(path);
    return r;
}

static int place_follow(struct task *task, const struct proc_target *t, struct path *out)
{
    struct fs_state *fs;

    (void)task;
    if (!proc_get_fs(t, &fs))
        return -ENOENT;
    if (str_equal(t->entry->name, "cwd"))
        fs_get_cwd(fs, out);
    else
        fs_get_root(fs, out);
    fs_state_put(fs);
    return 0;
}

static int place_readlink(struct task *task, const struct proc_target *t, char *out, size_t size)
{
    struct path path;
    int r = place_follow(task, t, &path);

    if (r)
        return r;
    r = path_to_string(task, &path, out, size);
    path_put(&path);
    return r == -ENOENT ? (int)str_length(out) : r; /* removed, and the text says so */
}

static int ns_readlink(struct task *task, const struct proc_target *t, char *out, size_t size)
{
    (void)task;
    int n = shim_snprintf(out, size, "%s:[4026531840]", t->entry->name);
    return (size_t)n < size ? n : (int)size;
}

/* ---- tables ----------------------------------------------------------------------------------------------------- */

static const struct proc_entry ns_children[] = {
    PROC_LINK("cgroup", .readlink = ns_readlink), PROC_LINK("ipc", .readlink = ns_readlink),
    PROC_LINK("mnt", .readlink = ns_readlink),    PROC_LINK("net", .readlink = ns_readlink),
    PROC_LINK("pid", .readlink = ns_readlink),    PROC_LINK("user", .readlink = ns_readlink),
    PROC_LINK("uts", .readlink = ns_readlink),    {0},
};

#define PROC_COMMON_CHILDREN                                                                       \
    PROC_GUARDED_TEXT("auxv", 0400, proc_print_auxv), PROC_TEXT("cgroup", print_constant),         \
        PROC_TEXT("cmdline", proc_print_cmdline),                                                  \
        {.name = "comm", .mode = S_IFREG | 0644, .print = print_comm, .write = write_comm},        \
        PROC_LINK("cwd", .readlink = place_readlink, .follow = place_follow),                      \
        PROC_GUARDED_TEXT("environ", 0400, proc_print_environ),                                    \
        PROC_LINK("exe", .readlink = exe_readlink, .follow = exe_follow),                          \
        {.name = "fd", .mode = S_IFDIR | 0500, .dynamic = &g_proc_fd_dynamic},                     \
        PROC_DIR("fdinfo", .dynamic = &g_proc_fdinfo_dynamic),                                     \
        PROC_TEXT("gid_map", print_constant), PROC_TEXT("io", print_constant),                     \
        PROC_TEXT("limits", print_limits), PROC_TEXT("loginuid", print_constant),                  \
        PROC_GUARDED_TEXT("maps", 0444, proc_print_maps),                                          \
        {.name = "mem", .mode = S_IFREG | 0600, .file_ops = &g_proc_mem_ops, .guarded = true},     \
        PROC_TEXT("mountinfo", print_mountinfo), PROC_TEXT("mounts", print_mounts),                \
        PROC_DIR("net", .children = g_proc_net_children), PROC_DIR("ns", .children = ns_children), \
        PROC_TEXT("oom_adj", print_constant), PROC_TEXT("oom_score", print_constant),              \
        {.name = "oom_score_adj",                                                                  \
         .mode = S_IFREG | 0644,                                                                   \
         .print = print_oom_score_adj,                                                             \
         .write = write_oom_score_adj},                                                            \
        PROC_TEXT("personality", print_constant),                                                  \
        PROC_LINK("root", .readlink = place_readlink, .follow = place_follow),                     \
        PROC_TEXT("schedstat", print_constant), PROC_TEXT("sessionid", print_constant),            \
        PROC_TEXT("setgroups", print_constant),                                                    \
        PROC_GUARDED_TEXT("smaps", 0444, proc_print_smaps),                                        \
        PROC_GUARDED_TEXT("smaps_rollup", 0444, proc_print_rollup), PROC_TEXT("stat", print_stat), \
        PROC_TEXT("statm", print_statm), PROC_TEXT("status", print_status),                        \
        PROC_TEXT("uid_map", print_constant), PROC_TEXT("wchan", print_constant)

static const struct proc_entry task_children[] = {PROC_COMMON_CHILDREN, {0}};
static const struct proc_entry process_children[] = {
    PROC_COMMON_CHILDREN, PROC_DIR("task", .dynamic = &g_proc_task_dynamic), {0}};

const struct proc_entry g_proc_process = PROC_DIR("", .children = process_children);
static const struct proc_entry proc_thread = PROC_DIR("", .children = task_children);

/* ---- task/ ------------------------------------------------------------------------------------------------------ */

static bool task_lookup(const struct proc_target *dir, const char *name, struct proc_target *out)
{
    uint64_t tid;

    if (name[0] == '0' || !str_to_u64(name, &tid) || tid > INT32_MAX)
        return false;
    *out = *dir;
    out->entry = &proc_thread;
    out->tid = (int)tid;
    mutex_lock(&g_process_lock);
    bool found = proc_task(out) != NULL;
    mutex_unlock(&g_process_lock);
    return found;
}

static bool task_next(const struct proc_target *dir, uint64_t *offset, unsigned *name)
{
    int best = INT32_MAX;
    struct process *p;
    struct task *task;

    mutex_lock(&g_process_lock);
    p = proc_process(dir);
    if (p)
        DL_FOREACH(p->tasks, task)
    if ((uint64_t)task->tid > *offset && task->tid < best)
        best = task->tid;
    mutex_unlock(&g_process_lock);
    *offset = (uint64_t)best;
    *name = (unsigned)best;
    return best != INT32_MAX;
}

const struct proc_dynamic g_proc_task_dynamic = {task_lookup, task_next};
