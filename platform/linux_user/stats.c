/*
 * stats.c: counters of a carrier, read from the host kernel's own accounting (proc(5): stat, smaps) when somebody asks.
 */
#include "platform/linux_user/lu.h"

#include <linux/fcntl.h>

#include "shim/base/string.h"

/* A file of /proc, line by line, in a buffer that fits a shim stack. */
struct line_reader {
    long fd;
    size_t start, end;
    char buffer[1024];
};

static bool reader_open(struct line_reader *r, const struct lu_carrier *c, const char *name)
{
    char path[64];
    shim_snprintf(path, sizeof(path), "/proc/%u/%s", c->tgid, name);
    r->fd = host_call(__NR_open, path, O_RDONLY | 02000000 /* O_CLOEXEC */);
    r->start = r->end = 0;
    return r->fd >= 0;
}

/* The next line, NUL-terminated and cut to the buffer; NULL at the end. */
static char *reader_next(struct line_reader *r)
{
    for (;;) {
        for (size_t at = r->start; at < r->end; at++) {
            if (r->buffer[at] != '\n')
                continue;
            char *line = r->buffer + r->start;
            r->buffer[at] = '\0';
            r->start = at + 1;
            return line;
        }
        if (r->start == 0 && r->end == sizeof(r->buffer)) {
            /* Cut: what follows looks like a line of its own and matches no key */
            r->buffer[r->end - 1] = '\n';
            continue;
        }
        __builtin_memmove(r->buffer, r->buffer + r->start, r->end - r->start);
        r->end -= r->start;
        r->start = 0;
        long got = host_call(__NR_read, r->fd, r->buffer + r->end, sizeof(r->buffer) - r->end);
        if (got <= 0)
            return NULL;
        r->end += (size_t)got;
    }
}

static uint64_t decimal_at(const char *text)
{
    uint64_t value = 0;
    while (*text == ' ')
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

/* Returns what follows the number. */
static const char *hex_at(const char *text, uint64_t *value)
{
    for (*value = 0;; text++) {
        if (*text >= '0' && *text <= '9')
            *value = *value * 16 + (uint64_t)(*text - '0');
        else if (*text >= 'a' && *text <= 'f')
            *value = *value * 16 + (uint64_t)(*text - 'a' + 10);
        else
            return text;
    }
}

/* "7f00-7f10 rw-p ...": the first line of a mapping's record. */
static bool mapping_line(const char *line, uint64_t *start, char *sharing)
{
    const char *at = hex_at(line, start);
    const char *blank = str_find(at, ' ');
    if (*at != '-' || !blank || str_length(blank) < 5)
        return false;
    *sharing = blank[4];
    return true;
}

bool lu_private_file_text(const struct lu_carrier *c, uint64_t address)
{
    struct line_reader reader;
    bool found = false;
    if (!reader_open(&reader, c, "maps"))
        return false;
    const char *line;
    while ((line = reader_next(&reader))) {
        uint64_t start, end;
        const char *at = hex_at(line, &start);
        if (*at != '-')
            continue; /* the rest of a line that was cut */
        at = hex_at(at + 1, &end);
        if (address < start || address >= end || str_length(at) < 6)
            continue;
        /* " r-xp offset device inode": the inode of anonymous memory is 0 */
        found = at[2] == '-' && at[4] == 'p' && decimal_at(field(at + 1, 3)) != 0;
        break;
    }
    host_call(__NR_close, reader.fd);
    return found;
}

struct private_pages {
    uint64_t present, shared_with_others;
};

/* Private pages of the guest's range: anonymous memory and written pages of private file mappings. */
static struct private_pages count_private(const struct lu_carrier *c)
{
    struct private_pages pages = {0, 0};
    struct line_reader reader;
    if (!reader_open(&reader, c, "smaps"))
        return pages;
    bool wanted = false;
    char *line;
    while ((line = reader_next(&reader))) {
        uint64_t start;
        char sharing;
        if (mapping_line(line, &start, &sharing))
            wanted = sharing == 'p' && start < LU_GUEST_END;
        else if (wanted && str_starts_with(line, "Anonymous:"))
            pages.present += decimal_at(line + 10) / 4;
        else if (wanted && str_starts_with(line, "Shared_Dirty:"))
            pages.shared_with_others += decimal_at(line + 13) / 4;
    }
    host_call(__NR_close, reader.fd);
    return pages;
}

uint64_t lu_count_private_pages(const struct lu_carrier *c)
{
    return count_private(c).present;
}

void lu_carrier_counters(const struct lu_carrier *c, struct aspace_stats *out)
{
    struct line_reader reader;
    if (reader_open(&reader, c, "stat")) {
        const char *line = reader_next(&reader);
        const char *comm_end = line ? str_find_last(line, ')') : NULL;
        /* Field 2 ends at ')'; minflt is field 10, majflt 12. */
        if (comm_end)
            out->faults = decimal_at(field(comm_end, 8)) + decimal_at(field(comm_end, 10));
        host_call(__NR_close, reader.fd);
    }
    struct private_pages pages = count_private(c);
    out->pages_resident = pages.present;
    /* Pages shared at fork that are shared no longer were copied here or by a relative. One whose relatives have all gone looks
     * the same without a copy, so the number is an upper bound then. */
    if (out->known & ASPACE_STAT_COPIED_BY_WRITE &&
        out->pages_shared_at_fork > pages.shared_with_others)
        out->pages_copied_by_write = out->pages_shared_at_fork - pages.shared_with_others;
}

/* Anonymous pages: all that is resident without what is shared with files and memfds (proc(5), statm). */
static uint64_t anonymous_pages(const struct lu_carrier *c)
{
    struct line_reader reader;
    uint64_t pages = 0;
    if (!reader_open(&reader, c, "statm"))
        return 0;
    const char *line = reader_next(&reader);
    if (line)
        pages = decimal_at(field(line, 1)) - decimal_at(field(line, 2));
    host_call(__NR_close, reader.fd);
    return pages;
}

/* The same with each page divided by how many carriers share it. Slow: the host walks the tables. */
static uint64_t anonymous_share(const struct lu_carrier *c)
{
    struct line_reader reader;
    uint64_t kib = 0;
    if (!reader_open(&reader, c, "smaps_rollup"))
        return 0;
    const char *line;
    while ((line = reader_next(&reader)))
        if (str_starts_with(line, "Pss_Anon:"))
            kib = decimal_at(line + 9);
    host_call(__NR_close, reader.fd);
    return kib * 1024;
}

static bool is_space(const struct lu_carrier *c)
{
    return __atomic_load_n(&c->state, __ATOMIC_ACQUIRE) == LU_CARRIER_LIVE &&
           __atomic_load_n(&c->aspace, __ATOMIC_RELAXED) && c->tgid != 0;
}

uint64_t lu_carriers_used(uint64_t enough)
{
    uint64_t bound = 0, used = 0;
    for (const struct lu_carrier *c = lu_carrier_first(); c; c = c->next_made)
        bound += is_space(c) ? anonymous_pages(c) * 4096 : 0;
    if (bound <= enough)
        return bound;
    for (const struct lu_carrier *c = lu_carrier_first(); c; c = c->next_made)
        used += is_space(c) ? anonymous_share(c) : 0;
    return used;
}
