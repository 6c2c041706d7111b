/*
 * stats.c: keeps what has to outlive the spaces and calls it was counted in, and prints it at the end.
 */
#include "shim/stats.h"

#include "platform/address_space.h"
#include "platform/instance.h"
#include "shim/base/string.h"
#include "shim/shim.h"
#include "shim/sync.h"
#include "shim/syscall.h"
#include "shim/trace.h"

struct shim_stats g_stats;

#define FEATURES_MAX 128
#define SPACES_MAX 64 /* shown one by one; further ones count in the total only */

struct space_record {
    int pid;
    char comm[16];
    struct aspace_stats stats;
};

static struct {
    struct mutex lock; /* a leaf: nothing is taken under it */
    struct {
        const char *what;
        uint64_t count;
    } features[FEATURES_MAX];
    size_t feature_count;
    struct space_record spaces[SPACES_MAX];
    size_t space_count; /* ended so far; may exceed SPACES_MAX */
    struct aspace_stats total;
} g_kept;

void stats_unsupported(const char *what)
{
    mutex_lock(&g_kept.lock);
    size_t i = 0;
    while (i < g_kept.feature_count && !str_equal(g_kept.features[i].what, what))
        i++;
    if (i < FEATURES_MAX) {
        g_kept.features[i].what = what;
        g_kept.features[i].count++;
        if (i == g_kept.feature_count)
            g_kept.feature_count++;
    }
    mutex_unlock(&g_kept.lock);
}

void stats_space_ends(const struct aspace *as, int pid, const char *comm)
{
    if (!g_config->stats)
        return;
    struct aspace_stats s;
    aspace_stats(g_platform, as, &s);
    mutex_lock(&g_kept.lock);
    if (g_kept.space_count < SPACES_MAX) {
        struct space_record *record = &g_kept.spaces[g_kept.space_count];
        record->pid = pid;
        record->stats = s;
        str_copy(record->comm, comm, sizeof(record->comm));
    }
    g_kept.space_count++;
    g_kept.total.known |= s.known;
    g_kept.total.forks += s.forks;
    g_kept.total.faults += s.faults;
    g_kept.total.pages_shared_at_fork += s.pages_shared_at_fork;
    g_kept.total.pages_copied_eagerly += s.pages_copied_eagerly;
    g_kept.total.pages_copied_by_write += s.pages_copied_by_write;
    g_kept.total.pages_reclaimed += s.pages_reclaimed;
    g_kept.total.table_pages_shared += s.table_pages_shared;
    g_kept.total.pages_resident += s.pages_resident;
    mutex_unlock(&g_kept.lock);
}

static void say(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void say(const char *fmt, ...)
{
    char line[256];
    va_list args;
    va_start(args, fmt);
    shim_vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    instance_message(g_platform, line);
}

static const char *cell(char out[12], const struct aspace_stats *s, uint64_t bit, uint64_t value)
{
    if (s->known & bit)
        shim_snprintf(out, 12, "%llu", (unsigned long long)value);
    else
        str_copy(out, "-", 12); /* this platform can't tell */
    return out;
}

static void say_space(const char *pid, const char *comm, const struct aspace_stats *s)
{
    char c[8][12];
    say("  %6s %-15s %8s %8s %8s %8s %8s %9s %8s %9s", pid, comm,
        cell(c[0], s, ASPACE_STAT_FORKS, s->forks), cell(c[1], s, ASPACE_STAT_FAULTS, s->faults),
        cell(c[2], s, ASPACE_STAT_SHARED_AT_FORK, s->pages_shared_at_fork),
        cell(c[3], s, ASPACE_STAT_COPIED_EAGERLY, s->pages_copied_eagerly),
        cell(c[4], s, ASPACE_STAT_COPIED_BY_WRITE, s->pages_copied_by_write),
        cell(c[5], s, ASPACE_STAT_RECLAIMED, s->pages_reclaimed),
        cell(c[6], s, ASPACE_STAT_TABLES_SHARED, s->table_pages_shared),
        cell(c[7], s, ASPACE_STAT_RESIDENT, s->pages_resident));
}

static void say_calls(void)
{
    /* Other processes go on while this one's end is reported */
    static uint64_t calls[STATS_SYSCALL_MAX];
    uint64_t total = 0, least = UINT64_MAX;
    for (size_t i = 0; i < STATS_SYSCALL_MAX; i++)
        total += calls[i] = __atomic_load_n(&g_stats.calls[i], __ATOMIC_RELAXED);
    total += g_stats.calls_out_of_range;
    say("system calls: %llu, %llu of them run inside guest_run", (unsigned long long)total,
        (unsigned long long)g_stats.calls_prompt);
    /* Descending by count, ascending by number: a selection per line needs no memory and runs once. */
    for (size_t last = 0;;) {
        size_t best = STATS_SYSCALL_MAX;
        for (size_t i = 0; i < STATS_SYSCALL_MAX; i++) {
            uint64_t count = calls[i];
            bool later = count < least || (count == least && i > last);
            if (count && later && (best == STATS_SYSCALL_MAX || count > calls[best]))
                best = i;
        }
        if (best == STATS_SYSCALL_MAX)
            break;
        least = calls[best];
        last = best;
        const char *name = syscall_name(best);
        if (g_stats.unsupported[best])
            say("  %10llu %s: not supported (ENOSYS)", (unsigned long long)least,
                name ? name : "?");
        else
            say("  %10llu %s", (unsigned long long)least, name ? name : "?");
    }
    if (g_stats.calls_out_of_range)
        say("  %10llu numbers beyond the table: not supported (ENOSYS)",
            (unsigned long long)g_stats.calls_out_of_range);
}

void stats_print(void)
{
    say_calls();
    mutex_lock(&g_kept.lock);
    if (g_kept.feature_count)
        say("not supported parts of supported calls:");
    for (size_t i = 0; i < g_kept.feature_count; i++)
        say("  %10llu %s", (unsigned long long)g_kept.features[i].count, g_kept.features[i].what);

    say("processes: %llu forks, %llu vforks, %llu threads, %llu execs, %llu exits",
        (unsigned long long)g_stats.forks, (unsigned long long)g_stats.vforks,
        (unsigned long long)g_stats.threads, (unsigned long long)g_stats.execs,
        (unsigned long long)g_stats.exits);
    say("events: %llu faults delivered, %llu signals delivered, %llu interrupts",
        (unsigned long long)g_stats.faults_delivered, (unsigned long long)g_stats.signals_delivered,
        (unsigned long long)g_stats.interrupts);

    say("address spaces: %llu (counts of 4 KiB pages)", (unsigned long long)g_kept.space_count);
    say("  %6s %-15s %8s %8s %8s %8s %8s %9s %8s %9s", "pid", "program", "forks", "faults",
        "shared", "eager", "copied", "reclaimed", "tables", "resident");
    for (size_t i = 0; i < g_kept.space_count && i < SPACES_MAX; i++) {
        char pid[12];
        shim_snprintf(pid, sizeof(pid), "%d", g_kept.spaces[i].pid);
        say_space(pid, g_kept.spaces[i].comm, &g_kept.spaces[i].stats);
    }
    if (g_kept.space_count > SPACES_MAX)
        say("  ... and %llu more", (unsigned long long)(g_kept.space_count - SPACES_MAX));
    say_space("total", "", &g_kept.total);
    mutex_unlock(&g_kept.lock);
}
