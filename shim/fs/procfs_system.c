/*
 * /proc as far as it tells of the whole system: memory, processors, times, mounts, kernel parameters.
 */
#include "shim/fs/procfs.h"

#include <cpuid.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/fs/pipe.h"
#include "shim/ipc.h"
#include "shim/mm.h"
#include "shim/process_tree.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/system_info.h"

#define NS_PER_SEC 1000000000ull
#define NS_PER_TICK 10000000ull
#define LLU(x) ((unsigned long long)(x))

struct counts {
    unsigned processes, tasks, running;
    int last_pid;
};

static struct counts count_processes(void)
{
    struct counts c = {0};
    struct task *t;

    mutex_lock(&g_process_lock);
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p)) {
        c.processes++;
        if (p->pid > c.last_pid)
            c.last_pid = p->pid;
        DL_FOREACH(p->tasks, t)
        {
            c.tasks++;
            c.running += t->state == TASK_RUNNING;
        }
    }
    mutex_unlock(&g_process_lock);
    return c;
}

static int print_meminfo(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    struct system_memory m = system_memory();

    (void)task, (void)t;
    str_buf_printf(out,
                   "MemTotal:       %8llu kB\nMemFree:        %8llu kB\nMemAvailable:   %8llu kB\n",
                   LLU(m.total / 1024), LLU(m.free / 1024), LLU(m.free / 1024));
    str_buf_printf(
        out,
        "Buffers:               0 kB\nCached:                0 kB\nSwapCached:            0 kB\n"
        "Active:                0 kB\nInactive:              0 kB\nSwapTotal:             0 kB\n"
        "SwapFree:              0 kB\nDirty:                 0 kB\nWriteback:             0 kB\n");
    str_buf_printf(
        out,
        "AnonPages:      %8llu kB\nMapped:                0 kB\nShmem:                 0 kB\n"
        "Slab:           %8llu kB\nSReclaimable:          0 kB\nSUnreclaim:     %8llu kB\n",
        LLU((m.total - m.free) / 1024), LLU(shim_alloc_in_use() / 1024),
        LLU(shim_alloc_in_use() / 1024));
    str_buf_printf(
        out, "HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n");
    return 0;
}

/* ---- processors ------------------------------------------------------------------------------------------------- */

static const struct cpu_flag {
    unsigned leaf, reg, bit; /* reg: 0 eax, 1 ebx, 2 ecx, 3 edx */
    const char *name;
} g_cpu_flags[] = {
    {1, 3, 0, "fpu"},         {1, 3, 4, "tsc"},      {1, 3, 8, "cx8"},     {1, 3, 15, "cmov"},
    {1, 3, 19, "clflush"},    {1, 3, 23, "mmx"},     {1, 3, 24, "fxsr"},   {1, 3, 25, "sse"},
    {1, 3, 26, "sse2"},       {1, 3, 28, "ht"},      {1, 2, 0, "pni"},     {1, 2, 1, "pclmulqdq"},
    {1, 2, 9, "ssse3"},       {1, 2, 12, "fma"},     {1, 2, 13, "cx16"},   {1, 2, 19, "sse4_1"},
    {1, 2, 20, "sse4_2"},     {1, 2, 22, "movbe"},   {1, 2, 23, "popcnt"}, {1, 2, 25, "aes"},
    {1, 2, 26, "xsave"},      {1, 2, 28, "avx"},     {1, 2, 29, "f16c"},   {1, 2, 30, "rdrand"},
    {1, 2, 31, "hypervisor"}, {7, 1, 3, "bmi1"},     {7, 1, 5, "avx2"},    {7, 1, 8, "bmi2"},
    {7, 1, 9, "erms"},        {7, 1, 16, "avx512f"}, {7, 1, 18, "rdseed"}, {7, 1, 19, "adx"},
    {7, 1, 29, "sha_ni"},
};

static bool cpu_has(const struct cpu_flag *flag)
{
    unsigned r[4];

    return __get_cpuid_count(flag->leaf, 0, &r[0], &r[1], &r[2], &r[3]) &&
           (r[flag->reg] >> flag->bit & 1);
}

struct cpu_model {
    char vendor[13], name[49];
    unsigned family, model, stepping;
};

static struct cpu_model cpu_model(void)
{
    struct cpu_model m = {0};
    unsigned a, b, c, d;

    __cpuid(0, a, b, c, d);
    memcpy(m.vendor, &b, 4);
    memcpy(m.vendor + 4, &d, 4);
    memcpy(m.vendor + 8, &c, 4);
    __cpuid(1, a, b, c, d);
    m.stepping = a & 15;
    m.family = a >> 8 & 15;
    m.model = a >> 4 & 15;
    if (m.family == 6 || m.family == 15)
        m.model += (a >> 16 & 15) << 4;
    if (m.family == 15)
        m.family += a >> 20 & 255;
    for (unsigned i = 0; i < 3; i++) {
        unsigned r[4] = {0};
        __get_cpuid(0x80000002 + i, &r[0], &r[1], &r[2], &r[3]);
        memcpy(m.name + (size_t)i * 16, r, 16);
    }
    return m;
}

static int print_cpuinfo(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    unsigned count = thread_cpu_count(g_platform);
    struct cpu_model m = cpu_model();

    (void)task, (void)t;
    for (unsigned i = 0; i < count; i++) {
        str_buf_printf(out, "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\n",
                       i, m.vendor, m.family, m.model);
        str_buf_printf(out, "model name\t: %s\nstepping\t: %u\nphysical id\t: 0\nsiblings\t: %u\n",
                       m.name[0] ? m.name : "unknown", m.stepping, count);
        str_buf_printf(
            out, "core id\t\t: %u\ncpu cores\t: %u\napicid\t\t: %u\nfpu\t\t: yes\nflags\t\t:", i,
            count, i);
        for (size_t j = 0; j < sizeof(g_cpu_flags) / sizeof(g_cpu_flags[0]); j++)
            if (cpu_has(&g_cpu_flags[j]))
                str_buf_printf(out, " %s", g_cpu_flags[j].name);
        str_buf_printf(out, "\nclflush size\t: 64\ncache_alignment\t: 64\n"
                            "address sizes\t: 48 bits physical, 48 bits virtual\n\n");
    }
    return 0;
}

/* ---- time and load ---------------------------------------------------------------------------------------------- */

static int print_uptime(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    uint64_t up = system_uptime_ns(), user, system, busy, idle;

    (void)task, (void)t;
    thread_cpu_time(g_platform, NULL, &user, &system);
    busy = user + system;
    idle = up * thread_cpu_count(g_platform);
    idle = idle > busy ? idle - busy : 0;
    str_buf_printf(out, "%llu.%02llu %llu.%02llu\n", LLU(up / NS_PER_SEC),
                   LLU(up % NS_PER_SEC / NS_PER_TICK), LLU(idle / NS_PER_SEC),
                   LLU(idle % NS_PER_SEC / NS_PER_TICK));
    return 0;
}

static int print_loadavg(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    struct counts c = count_processes();

    (void)task, (void)t;
    str_buf_printf(out, "0.00 0.00 0.00 %u/%u %d\n", c.running, c.tasks, c.last_pid);
    return 0;
}

static int print_stat(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    uint64_t user, system, up = system_uptime_ns(), idle,
                           now = clock_now(g_platform, CLOCK_KIND_REALTIME);
    unsigned cpus = thread_cpu_count(g_platform);
    struct counts c = count_processes();

    (void)task, (void)t;
    thread_cpu_time(g_platform, NULL, &user, &system);
    idle = up * cpus > user + system ? up * cpus - user - system : 0;
    str_buf_printf(out, "cpu  %llu 0 %llu %llu 0 0 0 0 0 0\n", LLU(user / NS_PER_TICK),
                   LLU(system / NS_PER_TICK), LLU(idle / NS_PER_TICK));
    for (unsigned i = 0; i < cpus; i++) /* nobody counts by processor: an even share */
        str_buf_printf(out, "cpu%u %llu 0 %llu %llu 0 0 0 0 0 0\n", i,
                       LLU(user / NS_PER_TICK / cpus), LLU(system / NS_PER_TICK / cpus),
                       LLU(idle / NS_PER_TICK / cpus));
    str_buf_printf(out,
                   "intr 0\nctxt 0\nbtime %llu\nprocesses %llu\nprocs_running %u\nprocs_blocked 0\n"
                   "softirq 0 0 0 0 0 0 0 0 0 0 0\n",
                   LLU((now - up) / NS_PER_SEC),
                   LLU(g_stats.forks + g_stats.vforks + g_stats.threads + 1), c.running);
    return 0;
}

static int print_vmstat(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    struct system_memory m = system_memory();

    (void)task, (void)t;
    str_buf_printf(
        out, "nr_free_pages %llu\nnr_anon_pages %llu\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\n",
        LLU(m.free / 4096), LLU((m.total - m.free) / 4096));
    return 0;
}

/* ---- constants -------------------------------------------------------------------------------------------------- */

static int print_version(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task, (void)t;
    str_buf_printf(out, "Linux version %s (palimpsest) %s\n", SYSTEM_RELEASE, SYSTEM_VERSION);
    return 0;
}

static int print_hostname(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    char name[SYSTEM_NAME_SIZE];

    (void)task, (void)t;
    system_hostname(name);
    str_buf_printf(out, "%s\n", name);
    return 0;
}

static void print_random_uuid(struct str_buf *out)
{
    unsigned char b[16];

    clock_entropy(g_platform, b, sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40); /* RFC 4122: version 4, variant 1 */
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    for (int i = 0; i < 16; i++)
        str_buf_printf(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", b[i]);
    str_buf_printf(out, "\n");
}

static int print_uuid(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task, (void)t;
    print_random_uuid(out);
    return 0;
}

static int print_boot_id(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    static struct mutex lock;
    static struct str_buf id;

    (void)task, (void)t;
    mutex_lock(&lock);
    if (!id.length)
        print_random_uuid(&id);
    str_buf_append(out, id.data, id.length);
    mutex_unlock(&lock);
    return 0;
}

/* Parameters that never change, by name: each is unique in the tree below. */
static int print_parameter(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    static const struct {
        const char *name, *text;
    } table[] = {
        {"ostype", "Linux"},
        {"osrelease", SYSTEM_RELEASE},
        {"version", SYSTEM_VERSION},
        {"domainname", "(none)"},
        {"pid_max", "4194304"},
        {"threads-max", "31000"},
        {"ngroups_max", "65536"},
        {"cap_last_cap", "40"},
        {"overflowuid", "65534"},
        {"overflowgid", "65534"},
        {"randomize_va_space", "2"},
        {"core_pattern", "core"},
        {"core_uses_pid", "0"},
        {"sched_autogroup_enabled", "0"},
        {"shmmax", "18446744073692774399"},
        {"shmall", "18446744073692774399"},
        {"shmmni", "4096"},
        {"msgmax", "8192"},
        {"msgmnb", "16384"},
        {"msgmni", "32000"},
        {"sem", "32000\t1024000000\t500\t32000"},
        {"entropy_avail", "256"},
        {"poolsize", "256"},
        {"tainted", "0"},
        {"yama_scope", "0"},
        {"overcommit_memory", "0"},
        {"overcommit_ratio", "50"},
        {"max_map_count", "65530"},
        {"mmap_min_addr", "65536"},
        {"swappiness", "60"},
        {"file-max", "9223372036854775807"},
        {"file-nr", "0\t0\t9223372036854775807"},
        {"pipe-max-size", "1048576"},
        {"pipe-user-pages-soft", "16384"},
        {"nr_open", "1048576"},
        {"max_queued_events", "16384"}, /* shim/fs/inotify.h */
        {"max_user_instances", "128"},
        {"max_user_watches", "65536"},
        {"somaxconn", "4096"},
        {"max", "64"},
        {"nr", "0"},
        {"cmdline", "palimpsest"},
    };

    (void)task;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (str_equal(table[i].name, t->entry->name))
            str_buf_printf(out, "%s\n", table[i].text);
    return 0;
}

static int print_filesystems(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task, (void)t;
    str_buf_printf(out, "nodev\tproc\nnodev\ttmpfs\nnodev\tdevtmpfs\nnodev\toverlay\n");
    return 0;
}

static int print_shm(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task, (void)t;
    shm_print(out);
    return 0;
}

static int print_sem(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task, (void)t;
    sem_print(out);
    return 0;
}

static int print_msg(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task, (void)t;
    msg_print(out);
    return 0;
}

static int print_devices(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task, (void)t;
    str_buf_printf(
        out,
        "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\n"
        "Block devices:\n");
    return 0;
}

static int print_empty(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task, (void)t, (void)out;
    return 0;
}

static int self_readlink(struct task *task, const struct proc_target *t, char *out, size_t size)
{
    int n = shim_snprintf(out, size, "%d", task->process->pid);

    (void)t;
    return (size_t)n < size ? n : (int)size;
}

static int thread_self_readlink(struct task *task, const struct proc_target *t, char *out,
                                size_t size)
{
    int n = shim_snprintf(out, size, "%d/task/%d", task->process->pid, task->tid);

    (void)t;
    return (size_t)n < size ? n : (int)size;
}

static int mounts_readlink(struct task *task, const struct proc_target *t, char *out, size_t size)
{
    (void)task, (void)t;
    int n = shim_snprintf(out, size, "self/%s", t->entry->name);
    return (size_t)n < size ? n : (int)size;
}

/* ---- tables ----------------------------------------------------------------------------------------------------- */

static const struct proc_entry random_children[] = {
    PROC_TEXT("boot_id", print_boot_id),
    PROC_TEXT("entropy_avail", print_parameter),
    PROC_TEXT("poolsize", print_parameter),
    PROC_TEXT("uuid", print_uuid),
    {0},
};
static const struct proc_entry pty_children[] = {
    PROC_TEXT("max", print_parameter), PROC_TEXT("nr", print_parameter), {0}};
static const struct proc_entry kernel_children[] = {
    PROC_TEXT("cap_last_cap", print_parameter),
    PROC_TEXT("core_pattern", print_parameter),
    PROC_TEXT("core_uses_pid", print_parameter),
    PROC_TEXT("domainname", print_parameter),
    PROC_TEXT("hostname", print_hostname),
    PROC_TEXT("msgmax", print_parameter),
    PROC_TEXT("msgmnb", print_parameter),
    PROC_TEXT("msgmni", print_parameter),
    PROC_TEXT("ngroups_max", print_parameter),
    PROC_TEXT("osrelease", print_parameter),
    PROC_TEXT("ostype", print_parameter),
    PROC_TEXT("overflowgid", print_parameter),
    PROC_TEXT("overflowuid", print_parameter),
    PROC_TEXT("pid_max", print_parameter),
    PROC_DIR("pty", .children = pty_children),
    PROC_DIR("random", .children = random_children),
    PROC_TEXT("randomize_va_space", print_parameter),
    PROC_TEXT("sem", print_parameter),
    PROC_TEXT("shmall", print_parameter),
    PROC_TEXT("shmmax", print_parameter),
    PROC_TEXT("shmmni", print_parameter),
    PROC_TEXT("tainted", print_parameter),
    PROC_TEXT("threads-max", print_parameter),
    PROC_TEXT("version", print_parameter),
    {0},
};
static const struct proc_entry vm_children[] = {
    PROC_TEXT("max_map_count", print_parameter),     PROC_TEXT("mmap_min_addr", print_parameter),
    PROC_TEXT("overcommit_memory", print_parameter), PROC_TEXT("overcommit_ratio", print_parameter),
    PROC_TEXT("swappiness", print_parameter),        {0},
};
static const struct proc_entry inotify_children[] = {
    PROC_TEXT("max_queued_events", print_parameter),
    PROC_TEXT("max_user_instances", print_parameter),
    PROC_TEXT("max_user_watches", print_parameter),
    {0}};
static const struct proc_entry fs_children[] = {
    PROC_TEXT("file-max", print_parameter),
    PROC_TEXT("file-nr", print_parameter),
    PROC_DIR("inotify", .children = inotify_children),
    PROC_TEXT("nr_open", print_parameter),
    PROC_TEXT("overflowgid", print_parameter),
    PROC_TEXT("overflowuid", print_parameter),
    PROC_TEXT("pipe-max-size", print_parameter),
    PROC_TEXT("pipe-user-pages-soft", print_parameter),
    {0},
};
static const struct proc_entry core_children[] = {PROC_TEXT("somaxconn", print_parameter), {0}};
static const struct proc_entry net_children[] = {PROC_DIR("core", .children = core_children), {0}};
static const struct proc_entry sys_children[] = {PROC_DIR("fs", .children = fs_children),
                                                 PROC_DIR("kernel", .children = kernel_children),
                                                 PROC_DIR("net", .children = net_children),
                                                 PROC_DIR("vm", .children = vm_children),
                                                 {0}};

static const struct proc_entry sysvipc_children[] = {
    PROC_TEXT("msg", print_msg), PROC_TEXT("sem", print_sem), PROC_TEXT("shm", print_shm), {0}};

const struct proc_entry g_proc_root_children[] = {
    PROC_TEXT("cmdline", print_parameter),
    PROC_TEXT("cpuinfo", print_cpuinfo),
    PROC_TEXT("devices", print_devices),
    PROC_TEXT("diskstats", print_empty),
    PROC_TEXT("filesystems", print_filesystems),
    PROC_TEXT("interrupts", print_empty),
    PROC_TEXT("loadavg", print_loadavg),
    PROC_TEXT("meminfo", print_meminfo),
    PROC_TEXT("modules", print_empty),
    PROC_LINK("mounts", .readlink = mounts_readlink),
    PROC_LINK("net", .readlink = mounts_readlink),
    PROC_TEXT("partitions", print_empty),
    PROC_LINK("self", .readlink = self_readlink),
    PROC_TEXT("stat", print_stat),
    PROC_TEXT("swaps", print_empty),
    PROC_DIR("sys", .children = sys_children),
    PROC_DIR("sysvipc", .children = sysvipc_children),
    PROC_LINK("thread-self", .readlink = thread_self_readlink),
    PROC_TEXT("uptime", print_uptime),
    PROC_TEXT("version", print_version),
    PROC_TEXT("vmstat", print_vmstat),
    {0},
};
