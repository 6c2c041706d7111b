/*
 * exec.c: from a path to a running program. Everything that can fail happens before the point of no
 * return, in a fresh space, while the old image is still whole; so a failed execve(2) leaves the
 * caller as it was.
 */
#include "shim/exec.h"

#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/personality.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "platform/guest_context.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/file.h"
#include "shim/fs/vfs.h"
#include "shim/mm_private.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/vdso/vdso.h"
#include "shim/vma.h"

#define PIE_BASE 0x555555554000ull /* Linux's, two thirds of its own range (ELF_ET_DYN_BASE) */
#define PIE_RANDOM_BITS 28u
#define BRK_RANDOM_BITS 13u
#define RFLAGS_START 0x202u
#define USER_CS 0x33u
#define USER_SS 0x2bu

_Static_assert(MEMORY_READ == PROT_READ && MEMORY_WRITE == PROT_WRITE && MEMORY_EXEC == PROT_EXEC,
               "segment protections go to mm_map as they are");

int exec_refuse(struct exec_image *image, int err, const char *fmt, ...)
{
    if (image->why_size > 0) {
        va_list args;
        va_start(args, fmt);
        shim_vsnprintf(image->why, image->why_size, fmt, args);
        va_end(args);
    }
    return err;
}

static int read_start(struct exec_image *image, struct exec_object *object)
{
    uint64_t offset = 0;
    object->start_size = 0;
    while (object->start_size < EXEC_START_SIZE) {
        int64_t n = file_read(
            image->task, object->file,
            mem_shim(object->start + object->start_size, EXEC_START_SIZE - object->start_size),
            &offset);
        if (n < 0)
            return exec_refuse(image, (int)n, "cannot be read");
        if (n == 0)
            break;
        object->start_size += (size_t)n;
    }
    return 0;
}

/* Exactly `size` bytes. -ENOEXEC: the file ends before. */
static int read_at(struct exec_image *image, struct exec_object *object, void *out, size_t size,
                   uint64_t offset)
{
    if (offset <= object->start_size && size <= object->start_size - offset) {
        memcpy(out, object->start + offset, size);
        return 0;
    }
    for (size_t done = 0; done < size;) {
        int64_t n = file_read(image->task, object->file, mem_shim((char *)out + done, size - done),
                              &offset);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return -ENOEXEC;
        done += (size_t)n;
    }
    return 0;
}

/* ---- scripts ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/*
 * Cut "#! interpreter argument" (execve(2): one argument, blanks inside it kept) in `line`, which
 * holds `size` bytes and room for a NUL. false: not a usable line.
 */
static bool cut_script_line(char *line, size_t size, char **interpreter, char **argument)
{
    char *end = line + 2, *limit = line + size;
    while (end < limit && *end != '\n' && *end != '\0')
        end++;
    bool whole = end < limit || size < EXEC_SCRIPT_LINE;
    if (!whole) /* the line goes on past what was read; Linux keeps a byte for NUL */
        end--;
    while (end > line + 2 && is_blank(end[-1]))
        end--;
    *end = '\0';
    char *name = line + 2;
    while (is_blank(*name))
        name++;
    char *stop = name;
    while (*stop && !is_blank(*stop))
        stop++;
    if (stop == name || (stop == end && !whole))
        return false;
    *argument = NULL;
    if (*stop) {
        *stop++ = '\0';
        while (is_blank(*stop))
            stop++;
        if (*stop)
            *argument = stop;
    }
    *interpreter = name;
    return true;
}

static int push_front(struct exec_image *image, const char *s)
{
    char *copy = shim_strdup(s);
    if (!copy)
        return -ENOMEM;
    image->front[image->front_count++] = copy;
    return 0;
}

static const char *open_reason(int err)
{
    switch (err) {
    case -ENOENT:
    case -ENOTDIR:
        return "not found";
    case -EACCES:
        return "may not be executed";
    case -ELOOP:
        return "lies behind too many symbolic links";
    default:
        return "cannot be opened";
    }
}

/* Replace the file by its interpreter; argv[0] becomes interpreter, argument, path of the script.
 */
static int enter_script(struct exec_image *image, char *line, size_t size)
{
    char *interpreter, *argument;
    if (!cut_script_line(line, size, &interpreter, &argument))
        return exec_refuse(image, -ENOEXEC, "script without an interpreter after #!");
    if (image->script_depth++ == EXEC_MAX_SCRIPTS)
        return exec_refuse(image, -ELOOP, "script interpreters are scripts, too many times over");
    int err = 0;
    if (image->front_count == 0)
        err = push_front(image, image->request->path);
    /* else the top is the script: the interpreter before */
    if (err == 0 && argument)
        err = push_front(image, argument);
    if (err == 0)
        err = push_front(image, interpreter);
    if (err < 0)
        return err;
    struct file *f = vfs_open_exec(image->task, AT_FDCWD, interpreter, 0, &err);
    if (!f)
        return exec_refuse(image, err, "script interpreter %s %s", interpreter, open_reason(err));
    file_put(image->program.file);
    image->program.file = f;
    return 0;
}

/* ---- ELF files ---- */

static int plan_elf(struct exec_image *image, struct exec_object *object)
{
    const char *reason = NULL;
    struct elf_headers headers;
    struct file_stat st;
    int err = file_stat(object->file, &st);
    if (err < 0)
        return err;
    if (object == &image->program) {
        if (mount_ignores_set_id(object->file))
            st.mode &= ~(uint32_t)(S_ISUID | S_ISGID);
        image->ids = process_exec_ids(image->task->process, &st);
    }
    err = elf_check_header(object->start, object->start_size, st.size, &headers, &reason);
    if (err < 0)
        return exec_refuse(image, err, "%s", reason);
    size_t headers_size = headers.count * 56ul;
    char *program_headers = shim_alloc(headers_size);
    if (!program_headers)
        return -ENOMEM;
    err = read_at(image, object, program_headers, headers_size, headers.offset);
    if (err == 0) {
        err = elf_make_plan(&headers, program_headers, st.size, g_platform->guest_end,
                            &object->plan, &reason);
        if (err < 0)
            exec_refuse(image, err, "%s", reason);
    }
    shim_free(program_headers);
    return err;
}

/* Scripts are followed until an ELF file is there; it becomes image->program. */
static int find_program(struct exec_image *image)
{
    struct exec_object *program = &image->program;
    for (;;) {
        int err = inode_want_execute(program->file->inode);
        if (err < 0)
            return exec_refuse(image, err, "is open for writing");
        /* mm_set_exe() asks once more, for as long as it runs. */
        inode_end_execute(program->file->inode);
        err = read_start(image, program);
        if (err < 0)
            return err;
        if (program->start_size < 2 || program->start[0] != '#' || program->start[1] != '!')
            return plan_elf(image, program);
        size_t line =
            program->start_size < EXEC_SCRIPT_LINE ? program->start_size : EXEC_SCRIPT_LINE;
        err = enter_script(image, program->start, line);
        if (err < 0)
            return err;
    }
}

static int find_interpreter(struct exec_image *image)
{
    const struct elf_plan *plan = &image->program.plan;
    if (plan->interpreter_size == 0)
        return 0;
    char *name = shim_alloc(plan->interpreter_size);
    if (!name)
        return -ENOMEM;
    const char *reason;
    int err =
        read_at(image, &image->program, name, plan->interpreter_size, plan->interpreter_offset);
    if (err == 0 && (err = elf_check_interpreter(name, plan->interpreter_size, &reason)) < 0)
        exec_refuse(image, err, "%s", reason);
    if (err == 0) {
        image->interpreter.file = vfs_open_exec(image->task, AT_FDCWD, name, 0, &err);
        if (!image->interpreter.file)
            exec_refuse(image, err, "interpreter %s %s", name, open_reason(err));
    }
    if (err == 0) {
        err = read_start(image, &image->interpreter);
        if (err == 0)
            err = plan_elf(image, &image->interpreter);
        if (err == -ENOEXEC) { /* execve(2): the interpreter was not in a recognized format */
            if (image->why_size > 0) {
                char why[96];
                str_copy(why, image->why, sizeof(why));
                exec_refuse(image, err, "interpreter %s: %s", name, why);
            }
            err = -ELIBBAD;
        }
    }
    shim_free(name);
    return err;
}

static int map_segment(struct exec_image *image, const struct exec_object *object,
                       const struct elf_segment *s)
{
    unsigned flags = MAP_PRIVATE | MAP_FIXED;
    int64_t at = 0;
    if (s->file_end > s->map_start)
        at = mm_map(image->mm, object->base + s->map_start, s->file_end - s->map_start, s->prot,
                    flags, object->file, s->file_offset, 0);
    if (at >= 0 && s->zero_start < s->file_end && s->prot & MEMORY_WRITE &&
        guest_zero(g_platform, guest_addr(object->base + s->zero_start),
                   s->file_end - s->zero_start))
        at = -ENOMEM;
    if (at >= 0 && s->map_end > s->file_end)
        at = mm_map(image->mm, object->base + s->file_end, s->map_end - s->file_end, s->prot,
                    flags | MAP_ANONYMOUS, NULL, 0, 0);
    if (at == -EPERM)
        return exec_refuse(image, -EPERM,
                           "needs addresses below %#llx, which this platform does not give",
                           (unsigned long long)g_platform->guest_min);
    return at < 0 ? exec_refuse(image, (int)at, "its memory cannot be mapped") : 0;
}

static int map_object(struct exec_image *image, const struct exec_object *object)
{
    for (unsigned i = 0; i < object->plan.segment_count; i++) {
        int err = map_segment(image, object, &object->plan.segments[i]);
        if (err < 0)
            return err;
    }
    return 0;
}

/*
 * Two thirds up, so that brk has room above the image; the mmap area grows down from the stack. Where Linux has it if there is room:
 * sanitizers know that place.
 */
static uint64_t program_base(const struct exec_image *image)
{
    const struct elf_plan *plan = &image->program.plan;
    if (plan->kind == ELF_FIXED)
        return 0;
    uint64_t room = (uint64_t)g_platform->page_size << PIE_RANDOM_BITS,
             third = g_platform->guest_end / 3;
    uint64_t base = PIE_BASE + room < g_platform->guest_end ? PIE_BASE : third * 2;
    base += exec_random_pages(image->random.program, PIE_RANDOM_BITS);
    return (base & ~(plan->align - 1)) - (plan->low & ~(plan->align - 1));
}

static int map_image(struct exec_image *image)
{
    const struct elf_plan *plan = &image->program.plan;
    struct mm *mm = image->mm;
    image->program.base = program_base(image);
    int err = map_object(image, &image->program);
    if (err < 0)
        return err;
    uint64_t base = image->program.base;
    mm->code_start = base + plan->code_start;
    mm->code_end = base + plan->code_end;
    mm->data_start = base + plan->data_start;
    mm->data_end = base + plan->data_end;
    mm->brk_start = mm->brk_end =
        base + plan->high + exec_random_pages(image->random.brk, BRK_RANDOM_BITS);

    if (!image->interpreter.file)
        return 0;
    plan = &image->interpreter.plan;
    if (plan->kind == ELF_MOVABLE) {
        uint64_t low = plan->low & ~(plan->align - 1);
        uint64_t at = mm_place(mm, plan->high - low, plan->align);
        if (at == VMA_NO_PLACE)
            return exec_refuse(image, -ENOMEM, "no room for its interpreter");
        image->interpreter.base = at - low;
    }
    return map_object(image, &image->interpreter);
}

/* ---- the switch ---- */

static void set_registers(struct exec_image *image)
{
    const struct exec_object *first =
        image->interpreter.file ? &image->interpreter : &image->program;
    struct guest_context *ctx = image->task->ctx;
    guest_context_reset_extended(g_platform, ctx);
    ctx->regs = (struct guest_regs){
        .rip = first->base + first->plan.entry,
        .rsp = image->stack_pointer,
        .rflags = RFLAGS_START,
        .cs = USER_CS,
        .ss = USER_SS,
    };
}

/* /proc/PID/exe of the new image, as a string of its own; NULL when memory is short. */
static char *describe_program(const struct exec_image *image)
{
    enum { SIZE = 4096 };
    char *path = shim_alloc(SIZE), *copy = NULL;
    if (path && file_describe(image->task, image->program.file, path, SIZE) >= 0)
        copy = shim_strdup(path);
    shim_free(path);
    return copy;
}

static void set_exe_path(struct process *process, char *path)
{
    mutex_lock(&process->info_lock);
    char *old = process->exe_path;
    process->exe_path = path;
    mutex_unlock(&process->info_lock);
    shim_free(old);
}

/* Past this nothing fails: the old image is gone. */
static void become_image(struct exec_image *image, char *exe_path)
{
    struct task *task = image->task;
    struct mm *old = task->mm;
    mutex_lock(&g_process_lock); /* /proc reads task->mm of others under it */
    task->mm = image->mm;
    mutex_unlock(&g_process_lock);
    image->mm = NULL;
    set_exe_path(task->process, exe_path);
    fd_close_on_exec(task);
    if (old) {
        if (__atomic_load_n(&old->users, __ATOMIC_ACQUIRE) == 1)
            stats_space_ends(old->as, task->process->pid, task->comm);
        mm_put(old, MM_DROP_OUTSIDE);
    }
    const char *slash = str_find_last(image->request->path, '/');
    process_did_exec(task, slash ? slash + 1 : image->request->path, &image->ids);
    set_registers(image);
}

/* Into a space that must be reached, however long the host makes us wait. */
static void return_to(const struct mm *mm)
{
    while (aspace_activate(g_platform, mm ? mm->as : NULL) < 0)
        thread_yield(g_platform);
}

/* The new space is active. An error leaves task->mm the old one. */
static int build_and_switch(struct exec_image *image)
{
    struct process *process = image->task->process;
    struct exec_random *random = &image->random;
    clock_entropy(g_platform, random, sizeof(*random));
    if (process->personality & ADDR_NO_RANDOMIZE && !image->ids.by_file)
        random->stack = random->jitter = random->mmap = random->program = random->brk = 0;
    image->mm->thp_disable = process->thp_disable;
    exec_place_stack(image);
    int err = map_image(image);
    if (err == 0) {
        int64_t vdso = vdso_map(image->mm);
        image->vdso = vdso < 0 ? 0 : (uint64_t)vdso;
        err = vdso < 0 ? exec_refuse(image, (int)vdso, "no room for the vDSO") : 0;
    }
    if (err == 0) {
        err = exec_build_stack(image);
        if (err < 0)
            exec_refuse(image, err, "no room for its arguments");
    }
    if (err < 0)
        return err;
    char *exe_path = describe_program(image);
    if (!exe_path)
        return -ENOMEM;
    err = process_kill_other_tasks(image->task);
    if (err < 0) {
        shim_free(exe_path);
        return err;
    }
    if (image->task->mm && task_must_release_mm(image->task)) {
        return_to(image->task->mm);
        task_release_mm(image->task);
        return_to(image->mm);
    }
    become_image(image, exe_path);
    return 0;
}

static int load(struct exec_image *image)
{
    int err = find_program(image);
    if (err == 0)
        err = find_interpreter(image);
    if (err < 0)
        return err;
    image->mm = mm_create(&err);
    if (!image->mm)
        return exec_refuse(image, err, "no address space to be had");
    err = mm_set_exe(image->mm, image->program.file);
    if (err < 0)
        exec_refuse(image, err, "is open for writing");
    else
        err = aspace_activate(g_platform, image->mm->as);
    if (err == 0) {
        err = build_and_switch(image);
        if (err < 0)
            return_to(image->task->mm);
    }
    if (image->mm)
        mm_put(image->mm, MM_DROP_OUTSIDE);
    return err;
}

int exec_load(struct task *task, const struct exec_request *req, char *why, size_t why_size)
{
    struct exec_image *image = shim_zalloc(sizeof(*image));
    if (!image)
        return -ENOMEM;
    image->task = task;
    image->request = req;
    image->why = why;
    image->why_size = why ? why_size : 0;
    if (image->why_size)
        why[0] = '\0';
    image->program.file = req->file;
    file_get(req->file);
    int err = load(image);
    if (why && why_size > 0 && err < 0 && why[0] == '\0')
        exec_refuse(image, err, "cannot be loaded (error %d)", -err);
    file_put(image->program.file);
    if (image->interpreter.file)
        file_put(image->interpreter.file);
    while (image->front_count > 0)
        shim_free(image->front[--image->front_count]);
    shim_free(image);
    return err;
}
