/*
 * mm_maps.c: /proc/PID/maps and smaps, in the layout of Linux's fs/proc/task_mmu.c (tools parse the
 * columns).
 */
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/file.h"
#include "shim/mm_private.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/vma.h"

#define NAME_COLUMN 73

static unsigned dev_major(uint64_t dev)
{
    return (unsigned)(dev >> 8 & 0xfff) | (unsigned)(dev >> 32 & ~0xfffull);
}

static unsigned dev_minor(uint64_t dev)
{
    return (unsigned)(dev & 0xff) | (unsigned)(dev >> 12 & ~0xffull);
}

/* Where nothing else names it: "" for plain anonymous memory. */
static const char *name_without_file(const struct vma *v)
{
    if (v->flags & VMA_STACK)
        return "[stack]";
    if (v->flags & VMA_HEAP)
        return "[heap]";
    if (v->flags & VMA_VDSO)
        return "[vdso]";
    return v->sharing == MEMORY_SHARED ? "/dev/zero (deleted)" : "";
}

static void print_header(const struct vma *v, struct str_buf *out, char *path, size_t path_size)
{
    struct file_stat st = {0};
    const char *name = name_without_file(v);
    if (v->file) {
        int err = file_stat(v->file, &st);
        if (err < 0)
            st = (struct file_stat){0};
        path[0] = '\0';
        err = file_describe(task_current(), v->file, path, path_size);
        if (err >= 0)
            name = path;
    }
    size_t line = out->length;
    str_buf_printf(out, "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %llu ",
                   (unsigned long long)v->start, (unsigned long long)v->end,
                   v->prot & MEMORY_READ ? 'r' : '-', v->prot & MEMORY_WRITE ? 'w' : '-',
                   v->prot & MEMORY_EXEC ? 'x' : '-', v->sharing == MEMORY_SHARED ? 's' : 'p',
                   (unsigned long long)(v->object ? v->offset : 0), dev_major(st.dev),
                   dev_minor(st.dev), (unsigned long long)st.ino);
    if (*name) {
        while (!out->failed && out->length - line < NAME_COLUMN)
            str_buf_append(out, " ", 1);
        for (; *name; name++) {
            if (*name == '\n')
                str_buf_append(out, "\\012", 4);
            else
                str_buf_append(out, name, 1);
        }
    }
    str_buf_append(out, "\n", 1);
}

/* Pages present; 0 when the space is not this thread's. */
static uint64_t resident_in(const struct mm *mm, const struct vma *v)
{
    const struct task *task = task_current();
    if (!task || task->mm != mm)
        return 0;
    unsigned char vec[512];
    uint64_t count = 0;
    for (uint64_t at = v->start; at < v->end; at += sizeof(vec) * VMA_PAGE) {
        uint64_t pages = (v->end - at) / VMA_PAGE;
        if (pages > sizeof(vec))
            pages = sizeof(vec);
        if (memory_resident(g_platform, mm->as, guest_addr(at), pages * VMA_PAGE, vec) < 0)
            break;
        for (uint64_t i = 0; i < pages; i++)
            count += vec[i] & 1;
    }
    return count;
}

static void print_zeros(struct str_buf *out)
{
    static const char *const zero[] = {"AnonHugePages",  "ShmemPmdMapped",  "FilePmdMapped",
                                       "Shared_Hugetlb", "Private_Hugetlb", "Swap",
                                       "SwapPss"};
    for (size_t i = 0; i < sizeof(zero) / sizeof(zero[0]); i++)
        str_buf_printf(out, "%s:%*u kB\n", zero[i], (int)(23 - str_length(zero[i])), 0u);
}

static void print_details(const struct mm *mm, const struct vma *v, struct str_buf *out)
{
    unsigned long long rss = resident_in(mm, v) * 4, shared = v->sharing == MEMORY_SHARED ? rss : 0;
    str_buf_printf(out, "Size:           %8llu kB\n",
                   (unsigned long long)(v->end - v->start) / 1024);
    str_buf_printf(out, "KernelPageSize: %8u kB\nMMUPageSize:    %8u kB\n", 4u, 4u);
    str_buf_printf(out,
                   "Rss:            %8llu kB\nPss:            %8llu kB\nPss_Dirty:      %8llu kB\n",
                   rss, rss, rss - shared);
    str_buf_printf(out, "Shared_Clean:   %8llu kB\nShared_Dirty:   %8llu kB\n", shared, 0ull);
    str_buf_printf(out, "Private_Clean:  %8llu kB\nPrivate_Dirty:  %8llu kB\n", 0ull, rss - shared);
    str_buf_printf(out,
                   "Referenced:     %8llu kB\nAnonymous:      %8llu kB\nLazyFree:       %8u kB\n",
                   rss, v->object ? 0 : rss, 0u);
    print_zeros(out);
    str_buf_printf(out, "Locked:         %8llu kB\nTHPeligible:    %8u\n",
                   v->flags & VMA_LOCKED ? rss : 0, 0u);
    str_buf_printf(out, "VmFlags:%s%s%s%s mr mw me%s%s%s%s%s \n",
                   v->prot & MEMORY_READ ? " rd" : "", v->prot & MEMORY_WRITE ? " wr" : "",
                   v->prot & MEMORY_EXEC ? " ex" : "", v->sharing == MEMORY_SHARED ? " sh" : "",
                   v->flags & VMA_GROWSDOWN ? " gd" : "", v->flags & VMA_LOCKED ? " lo" : "",
                   v->flags & VMA_DONTFORK ? " dc" : "", v->flags & VMA_NORESERVE ? " nr" : "",
                   v->flags & VMA_WIPEONFORK ? " wf" : "");
}

enum { PATH_SIZE = 4096 };

void mm_print_maps(struct mm *mm, struct str_buf *out, bool full)
{
    char *path = shim_alloc(PATH_SIZE);
    if (!path) {
        out->failed = true;
        return;
    }
    mutex_lock(&mm->lock);
    for (const struct vma *v = mm->vmas; v; v = v->next) {
        print_header(v, out, path, PATH_SIZE);
        if (full)
            print_details(mm, v, out);
    }
    mutex_unlock(&mm->lock);
    shim_free(path);
}

void mm_print_rollup(struct mm *mm, struct str_buf *out)
{
    unsigned long long rss = 0, shared = 0, anonymous = 0, shared_memory = 0, locked = 0;
    unsigned long long start = 0, end = 0;
    mutex_lock(&mm->lock);
    if (mm->vmas)
        start = mm->vmas->start;
    for (const struct vma *v = mm->vmas; v; v = v->next) {
        unsigned long long size = resident_in(mm, v) * 4;
        rss += size;
        end = v->end;
        shared += v->sharing == MEMORY_SHARED ? size : 0;
        shared_memory += v->sharing == MEMORY_SHARED && !v->file ? size : 0;
        anonymous += v->object ? 0 : size;
        locked += v->flags & VMA_LOCKED ? size : 0;
    }
    mutex_unlock(&mm->lock);
    const struct {
        const char *name;
        unsigned long long size;
    } lines[] = {{"Rss", rss},
                 {"Pss", rss},
                 {"Pss_Dirty", rss - shared},
                 {"Pss_Anon", anonymous},
                 {"Pss_File", rss - anonymous - shared_memory},
                 {"Pss_Shmem", shared_memory},
                 {"Shared_Clean", shared},
                 {"Shared_Dirty", 0},
                 {"Private_Clean", 0},
                 {"Private_Dirty", rss - shared},
                 {"Referenced", rss},
                 {"Anonymous", anonymous},
                 {"LazyFree", 0}};
    size_t line = out->length;
    str_buf_printf(out, "%08llx-%08llx ---p 00000000 00:00 0 ", start, end);
    while (!out->failed && out->length - line < NAME_COLUMN)
        str_buf_append(out, " ", 1);
    str_buf_printf(out, "[rollup]\n");
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        str_buf_printf(out, "%s:%*llu kB\n", lines[i].name, (int)(23 - str_length(lines[i].name)),
                       lines[i].size);
    print_zeros(out);
    str_buf_printf(out, "Locked:         %8llu kB\n", locked);
}

uint64_t mm_resident_pages(struct mm *mm)
{
    struct aspace_stats stats;
    mutex_lock(&mm->lock);
    aspace_stats(g_platform, mm->as, &stats);
    uint64_t pages = stats.known & ASPACE_STAT_RESIDENT ? stats.pages_resident : mm->total.pages;
    mutex_unlock(&mm->lock);
    return pages;
}

bool mm_any_file(struct mm *mm, bool (*fn)(const struct file *f, const void *arg), const void *arg)
{
    mutex_lock(&mm->lock);
    bool found = mm->exe && fn(mm->exe, arg);
    for (const struct vma *v = mm->vmas; v && !found; v = v->next)
        found = v->file && fn(v->file, arg);
    mutex_unlock(&mm->lock);
    return found;
}
