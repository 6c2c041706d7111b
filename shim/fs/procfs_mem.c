/*
 * What /proc/PID tells of memory: maps, mem, and the arguments, environment and auxiliary vector on the stack.
 */
#include "shim/fs/procfs.h"

#include <linux/stat.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/fs/namei.h"
#include "shim/fs/transfer.h"
#include "shim/mm.h"
#include "shim/shim.h"

#define PEEK_STEP 4096u
#define STRINGS_MAX (2u << 20) /* arguments and environment: as execve limits them by default */

int proc_print_maps(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    struct mm *mm;

    (void)task;
    if (!proc_get_mm(t, &mm))
        return 0;
    mm_print_maps(mm, out, false);
    proc_put_mm(mm);
    return 0;
}

int proc_print_smaps(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    struct mm *mm;

    (void)task;
    if (!proc_get_mm(t, &mm))
        return 0;
    mm_print_maps(mm, out, true);
    proc_put_mm(mm);
    return 0;
}

int proc_print_rollup(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    struct mm *mm;

    (void)task;
    if (!proc_get_mm(t, &mm))
        return -ESRCH;
    mm_print_rollup(mm, out);
    proc_put_mm(mm);
    return 0;
}

/* Append guest bytes [start, end) as far as they can be read. */
static int append_range(struct mm *mm, uint64_t start, uint64_t end, struct str_buf *out)
{
    char *buffer;

    if (end <= start)
        return 0;
    if (end - start > STRINGS_MAX)
        end = start + STRINGS_MAX;
    buffer = shim_alloc(PEEK_STEP);
    if (!buffer)
        return -ENOMEM;
    while (start < end) {
        size_t size = end - start < PEEK_STEP ? end - start : PEEK_STEP;
        size_t got = size - aspace_peek(g_platform, mm->as, buffer, guest_addr(start), size);
        str_buf_append(out, buffer, got);
        start += got;
        if (got < size)
            break;
    }
    shim_free(buffer);
    return 0;
}

/* What stands at [*start, *end), two fields of mm that prctl(PR_SET_MM) changes under its lock. */
static int print_range(const struct proc_target *t, size_t start_field, size_t end_field,
                       struct str_buf *out)
{
    struct mm *mm;

    if (!proc_get_mm(t, &mm))
        return 0;
    mutex_lock(&mm->lock);
    uint64_t start = *(const uint64_t *)((const char *)mm + start_field);
    uint64_t end = *(const uint64_t *)((const char *)mm + end_field);
    mutex_unlock(&mm->lock);
    int r = append_range(mm, start, end, out);
    proc_put_mm(mm);
    return r;
}

int proc_print_cmdline(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task;
    return print_range(t, offsetof(struct mm, arg_start), offsetof(struct mm, arg_end), out);
}

int proc_print_environ(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    (void)task;
    return print_range(t, offsetof(struct mm, env_start), offsetof(struct mm, env_end), out);
}

int proc_print_auxv(struct task *task, const struct proc_target *t, struct str_buf *out)
{
    struct mm *mm;

    (void)task;
    if (!proc_get_mm(t, &mm))
        return 0;
    str_buf_append(out, (const char *)mm->auxv, mm->auxv_count * sizeof(mm->auxv[0]));
    proc_put_mm(mm);
    return 0;
}

/* ---- mem -------------------------------------------------------------------------------------------------------- */

enum mem_direction { MEM_READ, MEM_WRITE };

static int64_t mem_transfer(struct file *f, struct mem_ref ref, uint64_t *offset,
                            enum mem_direction direction)
{
    char *buffer = shim_alloc(PEEK_STEP);
    size_t done = 0;
    struct mm *mm;

    if (!buffer)
        return -ENOMEM;
    if (!proc_get_mm(proc_file_target(f), &mm)) {
        shim_free(buffer);
        return 0;
    }
    while (done < ref.size) {
        struct mem_ref rest = mem_skip(ref, done);
        size_t size = rest.size < PEEK_STEP ? rest.size : PEEK_STEP, moved;
        struct guest_addr at = guest_addr(*offset);
        if (direction == MEM_READ) {
            moved = size - aspace_peek(g_platform, mm->as, buffer, at, size);
            moved = transfer_out(rest, buffer, moved);
        } else {
            moved = transfer_in(buffer, rest, size);
            moved -= aspace_poke(g_platform, mm->as, at, buffer, moved);
        }
        done += moved;
        *offset += moved;
        if (moved < size)
            break;
    }
    proc_put_mm(mm);
    shim_free(buffer);
    return done || !ref.size ? (int64_t)done : -EIO;
}

static int64_t mem_read(struct task *task, struct file *f, struct mem_ref into, uint64_t *offset)
{
    (void)task;
    return mem_transfer(f, into, offset, MEM_READ);
}

static int64_t mem_write(struct task *task, struct file *f, struct mem_ref from, uint64_t *offset)
{
    (void)task;
    return mem_transfer(f, from, offset, MEM_WRITE);
}

/* Addresses are offsets: SEEK_SET and SEEK_CUR only. */
static int64_t mem_seek(struct task *task, struct file *f, int64_t offset, int whence)
{
    (void)task;
    return whence == 0 || whence == 1 ? file_seek_in(f, offset, whence, 0) : -EINVAL;
}

const struct file_ops g_proc_mem_ops = {
    .kind = "proc", .read = mem_read, .write = mem_write, .seek = mem_seek};
