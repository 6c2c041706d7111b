/*
 * patch_record.c: what --stats says of system-call sites: how often each trapped, and what became of it.
 */
#include "platform/linux_user/patch.h"

#include <linux/fcntl.h>

#include "shim/base/string.h"

#define RECORDS 2048u
#define SHOWN 40u
#define NAME_SIZE 40u

struct site_record {
    uint64_t file, offset;             /* file 0: offset is an address */
    uint64_t traps_new, traps_settled; /* the first few at a site in each space; the rest */
    uint32_t number;
    uint32_t patched; /* spaces in which it was */
    uint8_t verdict;  /* enum site_refusal of the latest decision */
    bool decided, padding;
    char name[NAME_SIZE];
};

static struct {
    struct lu_lock lock;
    struct site_record *table;  /* open addressing; NULL until the first trap */
    uint64_t lost;              /* traps for which the table had no place */
    uint64_t patched_elsewhere; /* patches in what the host does not call a file's text: a bug */
} g_records;

static void name_file(char *out, const struct memory_object *object)
{
    char link[32], path[256];
    shim_snprintf(link, sizeof(link), "/proc/self/fd/%d", lu_object_fd(object));
    long length = host_call(__NR_readlink, link, path, sizeof(path) - 1);
    path[length < 0 ? 0 : length] = '\0';
    const char *slash = str_find_last(path, '/');
    str_copy(out, slash ? slash + 1 : path, NAME_SIZE);
}

/* Under g_records.lock. NULL: no place. */
static struct site_record *record_of(struct lu_patch *p, uint64_t site)
{
    if (!g_records.table)
        g_records.table =
            lu_shared_pages_alloc((RECORDS * sizeof(struct site_record) + 4095) & ~4095ull);
    if (!g_records.table)
        return NULL;
    const struct patch_text *text = p ? patch_text_find(p, site, site + SITE_SYSCALL_SIZE) : NULL;
    uint64_t file = text ? text->identity : 0,
             offset = text ? text->offset + (site - text->start) : site;
    uint64_t hash = (file ^ offset) * 0x9e3779b97f4a7c15ull >> 40;
    for (uint32_t tried = 0; tried < RECORDS; tried++) {
        struct site_record *record = &g_records.table[(hash + tried) % RECORDS];
        if (record->offset == offset && record->file == file)
            return record;
        if (record->offset)
            continue;
        record->file = file;
        record->offset = offset;
        if (text)
            name_file(record->name, text->object);
        return record;
    }
    return NULL;
}

void patch_record_trap(struct lu_patch *p, uint64_t site, uint64_t number, enum patch_trap kind)
{
    if (p)
        lu_lock(&p->lock); /* before the other: as in patch_record_verdict */
    lu_lock(&g_records.lock);
    struct site_record *record = record_of(p, site);
    if (!record) {
        g_records.lost++;
    } else {
        record->number = (uint32_t)number;
        if (kind == PATCH_TRAP_NEW)
            record->traps_new++;
        else
            record->traps_settled++;
    }
    lu_unlock(&g_records.lock);
    if (p)
        lu_unlock(&p->lock);
}

void patch_record_verdict(struct lu_patch *p, const struct lu_carrier *c, uint64_t site,
                          enum site_refusal verdict, bool padding)
{
    if (!g_lu.detailed_stats)
        return;
    bool elsewhere = verdict == SITE_FINE && !lu_private_file_text(c, site);
    lu_lock(&g_records.lock);
    g_records.patched_elsewhere += elsewhere;
    struct site_record *record = record_of(p, site);
    if (record && verdict != SITE_ALREADY) {
        record->decided = true;
        record->verdict = (uint8_t)verdict;
        record->padding = padding;
        record->patched += verdict == SITE_FINE;
    }
    lu_unlock(&g_records.lock);
}

static void say(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void say(const char *fmt, ...)
{
    char line[200];
    va_list args;
    va_start(args, fmt);
    shim_vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    lu_instance_ops.message(&g_lu.platform, line);
}

static void say_record(const struct site_record *r)
{
    const char *what = !r->file                  ? site_refusal_text(SITE_NOT_TEXT)
                       : !r->decided             ? "too few to patch"
                       : r->verdict != SITE_FINE ? site_refusal_text((enum site_refusal)r->verdict)
                       : r->padding              ? "patched by padding"
                                                 : "patched";
    say("  %10llu %10llu %8u  %-32s %s%s%llx call %u", (unsigned long long)r->traps_new,
        (unsigned long long)r->traps_settled, r->patched, what, r->name, r->file ? "+0x" : "0x",
        (unsigned long long)r->offset, r->number);
}

void lu_patch_report(void)
{
    lu_lock(&g_records.lock);
    struct site_record *table = g_records.table;
    uint64_t fresh = 0, settled = g_records.lost;
    uint32_t sites = 0, patched = 0, refused = 0, elsewhere = 0;
    for (uint32_t i = 0; table && i < RECORDS; i++) {
        fresh += table[i].traps_new;
        settled += table[i].traps_settled;
        sites += table[i].offset != 0;
        patched += table[i].patched > 0;
        refused += table[i].decided && table[i].patched == 0;
        elsewhere += table[i].offset != 0 && !table[i].file;
    }
    uint64_t trapped = fresh + settled;
    say("system calls that came out of guest_run: %llu by patched sites, "
        "%llu trapped: %llu at sites still new, %llu at others",
        (unsigned long long)g_lu.calls_patched, (unsigned long long)trapped,
        (unsigned long long)fresh, (unsigned long long)settled);
    say("sites that trapped: %u; %u patched, %u refused (%s)", sites, patched, refused,
        g_lu.patching ? "patching is on" : "patching is off");
    say("sites in generated code and other memory: %u trapped, %llu patched", elsewhere,
        (unsigned long long)g_records.patched_elsewhere);
    say("  %10s %10s %8s  %-32s %s", "new", "others", "patched", "last decision", "where");
    /* Most traps first: a selection per line needs no memory and runs once. */
    for (uint32_t line = 0; line < SHOWN && table; line++) {
        struct site_record *most = table;
        for (uint32_t i = 1; i < RECORDS; i++)
            if (table[i].traps_new + table[i].traps_settled > most->traps_new + most->traps_settled)
                most = &table[i];
        if (most->traps_new + most->traps_settled == 0)
            break;
        say_record(most);
        most->traps_new = most->traps_settled = 0;
    }
    lu_unlock(&g_records.lock);
}
