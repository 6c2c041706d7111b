/*
 * sys_exec.c: execve(2), execveat(2): arguments out of the old image, then exec_load.
 */
#include "shim/sys_exec.h"

#include <linux/fcntl.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/exec.h"
#include "shim/fs/file.h"
#include "shim/fs/vfs.h"
#include "shim/shim.h"

#define PATH_LIMIT 4096u

static void free_vector(char **vector, unsigned count)
{
    for (unsigned i = 0; vector && i < count; i++)
        shim_free(vector[i]);
    shim_free(vector);
}

struct vector_copy {
    char **strings; /* NULL-terminated */
    unsigned count, capacity;
    uint64_t *budget; /* bytes left for strings and pointers of all vectors */
};

static int copy_one(struct vector_copy *copy, uint64_t guest)
{
    if (copy->count + 1 >= copy->capacity) {
        unsigned capacity = copy->capacity ? copy->capacity * 2 : 32;
        char **grown = shim_realloc(copy->strings, capacity * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        copy->strings = grown;
        copy->capacity = capacity;
    }
    int err = 0;
    char *s = user_string(guest, EXEC_MAX_STRING, &err);
    if (!s)
        return err == -ENAMETOOLONG ? -E2BIG : err;
    copy->strings[copy->count++] = s;
    copy->strings[copy->count] = NULL;
    uint64_t cost = str_length(s) + 1 + sizeof(uint64_t);
    if (cost > *copy->budget)
        return -E2BIG;
    *copy->budget -= cost;
    return 0;
}

/* A NULL-terminated vector of strings; a null vector counts as empty (execve(2), Linux). */
static int copy_vector(struct vector_copy *copy, uint64_t guest)
{
    copy->strings = shim_zalloc(32 * sizeof(*copy->strings));
    if (!copy->strings)
        return -ENOMEM;
    copy->capacity = 32;
    while (guest) {
        uint64_t pointers[32];
        size_t missed = guest_copy_in(g_platform, pointers, guest_addr(guest), sizeof(pointers));
        size_t have = (sizeof(pointers) - missed) / sizeof(pointers[0]);
        if (have == 0)
            return -EFAULT;
        for (size_t i = 0; i < have; i++) {
            if (pointers[i] == 0)
                return 0;
            int err = copy_one(copy, pointers[i]);
            if (err < 0)
                return err;
        }
        guest += have * sizeof(pointers[0]);
    }
    return 0;
}

static int copy_arguments(struct task *task, uint64_t argv, uint64_t envp, struct exec_args *out)
{
    uint64_t budget = exec_string_limit(task);
    struct vector_copy args = {.budget = &budget}, env = {.budget = &budget};
    int err = copy_vector(&args, argv);
    if (err == 0)
        err = copy_vector(&env, envp);
    if (err == 0 && args.count == 0) { /* as Linux since 5.18: argv[0] is always there */
        args.strings[0] = shim_strdup("");
        if (args.strings[0])
            args.count = 1;
        else
            err = -ENOMEM;
    }
    if (err < 0) {
        free_vector(args.strings, args.count);
        free_vector(env.strings, env.count);
        return err;
    }
    *out = (struct exec_args){
        .argv = args.strings, .envp = env.strings, .argc = args.count, .envc = env.count};
    return 0;
}

/* What AT_EXECFN and a script's interpreter get to see (execveat(2), /dev/fd/N). Owner: caller. */
static char *visible_path(int dirfd, const char *path)
{
    if (path[0] == '/' || dirfd == AT_FDCWD)
        return shim_strdup(path);
    size_t size = str_length(path) + 32;
    char *out = shim_alloc(size);
    if (out)
        shim_snprintf(out, size, path[0] ? "/dev/fd/%d/%s" : "/dev/fd/%d%s", dirfd, path);
    return out;
}

static long exec_file(struct task *task, struct file *file, const char *path, uint64_t argv,
                      uint64_t envp)
{
    struct exec_request request = {.path = path, .file = file};
    int err = copy_arguments(task, argv, envp, &request.args);
    if (err < 0)
        return err;
    err = exec_load(task, &request, NULL, 0);
    free_vector(request.args.argv, request.args.argc);
    free_vector(request.args.envp, request.args.envc);
    return err < 0 ? err : SYSCALL_KEEP_REGS;
}

static long exec_at(struct task *task, int dirfd, uint64_t guest_path, uint64_t argv, uint64_t envp,
                    unsigned flags)
{
    if (flags & ~(unsigned)(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    int err = 0;
    char *path = user_string(guest_path, PATH_LIMIT, &err);
    if (!path)
        return err;
    if (path[0] == '\0' && !(flags & AT_EMPTY_PATH)) {
        shim_free(path);
        return -ENOENT;
    }
    if (!process_may_exec(task->process)) {
        shim_free(path);
        return -EAGAIN;
    }
    long result;
    struct file *file = vfs_open_exec(task, dirfd, path, flags, &err);
    char *visible = visible_path(dirfd, path);
    if (!file)
        result = err;
    else if (!visible)
        result = -ENOMEM;
    else
        result = exec_file(task, file, visible, argv, envp);
    if (file)
        file_put(file);
    shim_free(visible);
    shim_free(path);
    return result;
}

long sys_execve(struct task *task, const struct syscall_args *args)
{
    return exec_at(task, AT_FDCWD, args->a[0], args->a[1], args->a[2], 0);
}

long sys_execveat(struct task *task, const struct syscall_args *args)
{
    return exec_at(task, (int)args->a[0], args->a[1], args->a[2], args->a[3], (unsigned)args->a[4]);
}
