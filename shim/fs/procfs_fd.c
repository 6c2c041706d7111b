/*
 * /proc/PID/fd and fdinfo: descriptors as links to what they have open.
 */
#include <asm/fcntl.h>
#include <linux/stat.h>

#include "platform/errno.h"
#include "shim/base/string.h"
#include "shim/fs/procfs.h"
#include "shim/process.h"

struct fd_search {
    int wanted; /* exactly this, or the lowest >= */
    bool exact;
    int found;
    uint32_t flags;
    enum fd_flags fd_flags;
    struct file *file; /* owned when keep */
    bool keep;
};

static int fd_search_step(void *arg, int fd, struct file *f, enum fd_flags flags)
{
    struct fd_search *s = arg;

    if (fd < s->wanted)
        return 0;
    if (s->exact && fd != s->wanted)
        return 1;
    s->found = fd;
    s->flags = f->flags;
    s->fd_flags = flags;
    if (s->keep) {
        file_get(f);
        s->file = f;
    }
    return 1;
}

static bool fd_search(const struct proc_target *t, struct fd_search *s)
{
    struct fd_table *files;

    s->found = -1;
    if (!proc_get_files(t, &files))
        return false;
    fd_table_walk(files, fd_search_step, s);
    fd_table_put(task_current(), files);
    return s->found >= 0;
}

static bool parse_fd(const char *name, int *fd)
{
    uint64_t n;

    if ((name[0] == '0' && name[1]) || !str_to_u64(name, &n) || n > INT32_MAX)
        return false;
    *fd = (int)n;
    return true;
}

static bool fd_next(const struct proc_target *dir, uint64_t *offset, unsigned *name)
{
    struct fd_search s = {.wanted = (int)*offset};

    if (!fd_search(dir, &s))
        return false;
    *offset = (uint64_t)s.found + 1;
    *name = (unsigned)s.found;
    return true;
}

/* ---- fd/N ------------------------------------------------------------------------------------------------------- */

static int fd_readlink(struct task *task, const struct proc_target *t, char *out, size_t size)
{
    struct fd_search s = {.wanted = t->fd, .exact = true, .keep = true};
    int r;

    if (!fd_search(t, &s))
        return -ENOENT;
    r = file_describe(task, s.file, out, size);
    file_put(s.file);
    return r;
}

static int fd_follow(struct task *task, const struct proc_target *t, struct path *out)
{
    struct fd_search s = {.wanted = t->fd, .exact = true, .keep = true};
    int r;

    (void)task;
    if (!fd_search(t, &s))
        return -ENOENT;
    r = path_from_file(s.file, out);
    file_put(s.file);
    return r;
}

/* The permission bits say how the descriptor was opened (proc(5)); for O_PATH it was not. */
#define FD_LINK(bits)                                                                              \
    {                                                                                              \
        .name = "", .mode = S_IFLNK | (bits), .readlink = fd_readlink, .follow = fd_follow         \
    }
static const struct proc_entry fd_links[3] = {FD_LINK(0500), FD_LINK(0300), FD_LINK(0700)};
static const struct proc_entry path_link = FD_LINK(0);

static bool fd_lookup(const struct proc_target *dir, const char *name, struct proc_target *out)
{
    struct fd_search s = {.exact = true};

    if (!parse_fd(name, &s.wanted) || !fd_search(dir, &s))
        return false;
    *out = *dir;
    if (s.flags & O_PATH)
        out->entry = &path_link;
    else
        out->entry = &fd_links[(s.flags & O_ACCMODE) > O_RDWR ? O_RDWR : s.flags & O_ACCMODE];
    out->fd = s.wanted;
    return true;
}

const struct proc_dynamic g_proc_fd_dynamic = {fd_lookup, fd_next};

/* ---- fdinfo/N --------------------------------------------------------------------------------------------------- */

static int print_fdinfo(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    struct fd_search s = {.wanted = t->fd, .exact = true, .keep = true};
    uint64_t pos;

    (void)task;
    if (!fd_search(t, &s))
        return -ENOENT;
    pos = s.file->ops->seek ? s.file->pos : 0;
    str_buf_printf(out, "pos:\t%llu\nflags:\t0%o\nmnt_id:\t20\nino:\t%llu\n",
                   (unsigned long long)pos,
                   s.flags | (s.fd_flags == FD_CLOSE_ON_EXEC ? O_CLOEXEC : 0),
                   (unsigned long long)(s.file->inode ? s.file->inode->ino : s.file->id));
    if (s.file->ops->print_info)
        s.file->ops->print_info(s.file, out);
    file_put(s.file);
    return 0;
}

static const struct proc_entry fdinfo_entry = {
    .name = "", .mode = S_IFREG | 0444, .print = print_fdinfo};

static bool fdinfo_lookup(const struct proc_target *dir, const char *name, struct proc_target *out)
{
    struct fd_search s = {.exact = true};

    if (!parse_fd(name, &s.wanted) || !fd_search(dir, &s))
        return false;
    *out = *dir;
    out->entry = &fdinfo_entry;
    out->fd = s.wanted;
    return true;
}

const struct proc_dynamic g_proc_fdinfo_dynamic = {fdinfo_lookup, fd_next};
