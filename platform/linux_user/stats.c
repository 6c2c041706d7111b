/*
 * stats.c: counters of a carrier, read from the host kernel's own accounting when somebody asks.
 */
#include "platform/linux_user/lu.h"

#include <linux/fcntl.h>

#include "shim/base/string.h"

/* Reads /proc/TGID/NAME into text; result: bytes, NUL-terminated. */
static size_t read_proc(const struct lu_carrier *c, const char *name, char *text, size_t size)
{
    char path[64];
    shim_snprintf(path, sizeof(path), "/proc/%u/%s", c->tgid, name);
    long fd = host_call(__NR_open, path, O_RDONLY | 02000000 /* O_CLOEXEC */);
    if (fd < 0)
        return 0;
    size_t length = 0;
    while (length < size - 1) {
        long got = host_call(__NR_read, fd, text + length, size - 1 - length);
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    text[length] = '\0';
    host_call(__NR_close, fd);
    return length;
}

static uint64_t number_at(const char *text)
{
    uint64_t value = 0;
    while (*text == ' ' || *text == '\t')
        text++;
    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (uint64_t)(*text - '0');
    return value;
}

/* The `index`-th blank-separated field after `text`. */
static const char *field(const char *text, int index)
{
    while (index-- > 0) {
        while (*text && *text != ' ')
            text++;
        while (*text == ' ')
            text++;
    }
    return text;
}

/* proc(5), statm: size resident shared ...; private pages are resident - shared (files and shared memory). */
uint64_t lu_count_private_pages(const struct lu_carrier *c)
{
    char text[128];
    if (read_proc(c, "statm", text, sizeof(text)) == 0)
        return 0;
    uint64_t resident = number_at(field(text, 1)), shared = number_at(field(text, 2));
    return resident > shared ? resident - shared : 0;
}

/* proc(5), smaps_rollup: the value in KiB of a line, in pages. */
static uint64_t rollup_pages(const char *text, const char *key)
{
    size_t length = str_length(key);
    for (const char *line = text; line && *line;) {
        if (str_starts_with(line, key))
            return number_at(line + length) / 4;
        line = str_find(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return 0;
}

void lu_carrier_counters(const struct lu_carrier *c, struct aspace_stats *out)
{
    static const char after_comm = ')';
    char text[2048];
    if (read_proc(c, "stat", text, sizeof(text)) > 0) {
        const char *end = str_find_last(text, after_comm);
        /* proc(5), stat: state is field 3; minflt 10, majflt 12. */
        if (end)
            out->faults = number_at(field(end, 8)) + number_at(field(end, 10));
    }
    if (read_proc(c, "smaps_rollup", text, sizeof(text)) == 0)
        return;
    out->pages_resident = rollup_pages(text, "Anonymous:");
    if (out->known & ASPACE_STAT_COPIED_BY_WRITE) {
        /* Of the pages shared at fork, those no longer shared: still Shared_Dirty ones are not copied. A page whose other owners went
         * away looks private without a copy, so this is an upper bound while relatives of the space have ended. */
        uint64_t still = rollup_pages(text, "Shared_Dirty:") + rollup_pages(text, "Shared_Clean:");
        out->pages_copied_by_write = out->pages_shared_at_fork > still ? out->pages_shared_at_fork - still : 0;
    }
}
