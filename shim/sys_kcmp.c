/*
 * sys_kcmp.c: kcmp(2): do two tasks share an object? Objects are ordered by where they are.
 */
#include <linux/kcmp.h>

#include "platform/errno.h"
#include "shim/fs/file.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/sys_proc.h"

/* Never dereferenced: it may be gone by the time it is compared. */
static const void *shared_object(const struct task *t, int type)
{
    switch (type) {
    case KCMP_VM:
        return t->mm;
    case KCMP_FILES:
        return t->files;
    case KCMP_FS:
        return t->fs;
    case KCMP_SIGHAND:
        return t->process->sighand;
    case KCMP_SYSVSEM:
        return t->sem_undo;
    default:
        return NULL; /* KCMP_IO: nobody has a context of its own */
    }
}

struct compared {
    struct task *task;
    struct fd_table *files; /* owned, of KCMP_FILE */
    const void *object;
};

/* Under g_process_lock. */
static int look_at(const struct task *self, int pid, int type, struct compared *out)
{
    out->task = task_find(pid);
    if (!out->task)
        return -ESRCH;
    if (!process_may_look_into(self->process, out->task->process))
        return -EPERM;
    out->object = shared_object(out->task, type);
    if (type == KCMP_FILE && out->task->files) {
        out->files = out->task->files;
        fd_table_get(out->files);
    }
    return 0;
}

/* The open file stands for the descriptor. */
static int find_file(struct task *task, struct compared *c, uint64_t fd)
{
    struct file *f = c->files && fd <= INT32_MAX ? fd_table_file(c->files, (int)fd) : NULL;
    c->object = f;
    if (f)
        file_put(f);
    if (c->files)
        fd_table_put(task, c->files);
    return f ? 0 : -EBADF;
}

/* kcmp(2) */
long sys_kcmp(struct task *task, const struct syscall_args *args)
{
    struct compared a = {0}, b = {0};
    int type = (int)args->a[2];

    mutex_lock(&g_process_lock);
    int err = look_at(task, (int)args->a[0], type, &a), other = 0;
    if (!err || err == -EPERM)
        other = look_at(task, (int)args->a[1], type, &b);
    mutex_unlock(&g_process_lock);
    if (other == -ESRCH || !err)
        err = other;
    if (type == KCMP_FILE) {
        other = find_file(task, &a, args->a[3]);
        int second = find_file(task, &b, args->a[4]);
        if (!err)
            err = other ? other : second;
    }
    if (err)
        return err;
    if (type == KCMP_EPOLL_TFD) {
        stats_unsupported("kcmp: KCMP_EPOLL_TFD");
        return -EOPNOTSUPP;
    }
    if (type < 0 || type >= KCMP_TYPES)
        return -EINVAL;
    return a.object == b.object ? 0 : (uintptr_t)a.object < (uintptr_t)b.object ? 1 : 2;
}
