/*
 * shim.c: from the configuration to the first process, and what the host's user asks meanwhile.
 */
#include "shim/shim.h"

#include <linux/fcntl.h>
#include <linux/signal.h>

#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/instance.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/budget.h"
#include "shim/fs/file.h"
#include "shim/fs/stream.h"
#include "shim/fs/tty.h"
#include "shim/fs/vfs.h"
#include "shim/mm.h"
#include "shim/net/publish.h"
#include "shim/process.h"
#include "shim/process_internal.h"
#include "shim/syscall.h"
#include "shim/vdso/vdso.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PATH_MAX_SIZE 4096u
#define EXIT_USAGE 2

struct platform *g_platform;
const struct shim_config *g_config;

static const char *error_text(int err)
{
    switch (-err) {
    case ENOENT:
        return "no such file or directory";
    case ENOTDIR:
        return "not a directory";
    case EACCES:
        return "permission denied";
    case EISDIR:
        return "is a directory";
    case ELOOP:
        return "too many levels of symbolic links";
    case ENAMETOOLONG:
        return "file name too long";
    case ENOEXEC:
        return "cannot execute: not a program for this machine";
    case ENOMEM:
        return "out of memory";
    case EIO:
        return "input/output error";
    default:
        return "cannot execute";
    }
}

static NO_RETURN void give_up(int status, const char *subject, const char *why)
{
    char line[512];
    shim_snprintf(line, sizeof(line), "pal: %s: %s", subject, why);
    instance_message(g_platform, line);
    instance_finish(g_platform, status << 8);
}

/* A vector of the configuration as exec_load wants it. */
static char **copy_vector(uint32_t count, uint32_t offset)
{
    const uint32_t *strings = (const void *)shim_config_string(g_config, offset);
    char **vector = shim_zalloc((count + 1) * sizeof(*vector));
    if (!vector || !strings)
        return NULL;
    for (uint32_t i = 0; i < count; i++) {
        vector[i] = shim_strdup(shim_config_string(g_config, strings[i]));
        if (!vector[i])
            return NULL; /* the instance ends with this: nothing to undo */
    }
    return vector;
}

static void free_vector(char **vector)
{
    for (char **s = vector; *s; s++)
        shim_free(*s);
    shim_free(vector);
}

static const char *search_path(char **envp)
{
    for (; *envp; envp++)
        if (str_starts_with(*envp, "PATH="))
            return *envp + 5;
    return DEFAULT_PATH;
}

/* The program as a shell finds it. NULL: *err is why; -EACCES wins over -ENOENT. `found` gets its path. */
static struct file *find_program(struct task *task, const char *name, char **envp, char *found,
                                 int *err)
{
    if (str_find(name, '/')) {
        if (str_copy(found, name, PATH_MAX_SIZE) >= PATH_MAX_SIZE) {
            *err = -ENAMETOOLONG;
            return NULL;
        }
        return vfs_open_exec(task, AT_FDCWD, name, 0, err);
    }
    int worst = -ENOENT;
    const char *dir = search_path(envp);
    while (*name) {
        const char *colon = str_find(dir, ':');
        int length = colon ? (int)(colon - dir) : (int)str_length(dir);
        int size = length ? shim_snprintf(found, PATH_MAX_SIZE, "%.*s/%s", length, dir, name)
                          : shim_snprintf(found, PATH_MAX_SIZE, "%s", name);
        if (size < (int)PATH_MAX_SIZE) {
            struct file *file = vfs_open_exec(task, AT_FDCWD, found, 0, err);
            if (file)
                return file;
            if (*err != -ENOENT && *err != -ENOTDIR)
                worst = *err;
        }
        if (!colon)
            break;
        dir = colon + 1;
    }
    *err = worst;
    return NULL;
}

static void open_streams(struct task *task)
{
    for (int i = 0; i < 3; i++) {
        int err = 0;
        struct file *file = host_stream_file((enum host_standard_stream)i, &err);
        if (file) {
            tty_name_console(task, file);
            err = fd_install_in(task->files, file, i, FD_KEEP);
        }
        if (err < 0 && err != -EBADF) /* a closed stream is inherited as such */
            give_up(SHIM_EXIT_NOT_EXECUTABLE, "standard streams", error_text(err));
    }
}

static void enter_directory(struct task *task)
{
    const char *cwd = shim_config_string(g_config, g_config->cwd);
    struct path path;
    if (!cwd)
        return;
    int err = path_lookup(task, AT_FDCWD, cwd, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &path);
    if (err) {
        if (g_config->cwd_required)
            give_up(EXIT_USAGE, cwd, error_text(err));
        return;
    }
    fs_set_cwd(task->fs, &path);
    path_put(&path);
}

static void load_program(struct task *task)
{
    const char *name = shim_config_string(g_config, g_config->path);
    PLATFORM_REQUIRE(name); /* pal packs one always */
    char *found = shim_alloc(PATH_MAX_SIZE);
    char why[160] = "";
    int err = -ENOMEM;
    struct exec_args args = {.argc = g_config->argc, .envc = g_config->envc};

    args.argv = copy_vector(g_config->argc, g_config->argv);
    args.envp = copy_vector(g_config->envc, g_config->envp);
    if (!found || !args.argv || !args.envp)
        give_up(SHIM_EXIT_NOT_EXECUTABLE, name, error_text(err));
    struct file *file = find_program(task, name, args.envp, found, &err);
    if (!file) {
        bool missing = err == -ENOENT || err == -ENOTDIR;
        give_up(missing ? SHIM_EXIT_NOT_FOUND : SHIM_EXIT_NOT_EXECUTABLE, name, error_text(err));
    }
    struct exec_request req = {.path = found, .file = file, .args = args};
    err = exec_load(task, &req, why, sizeof(why));
    if (err)
        give_up(SHIM_EXIT_NOT_EXECUTABLE, name, why[0] ? why : error_text(err));
    file_put(file);
    free_vector(args.argv);
    free_vector(args.envp);
    shim_free(found);
}

/* Where a signal of the host's user goes. */
static void deliver_host_signal(int sig)
{
    struct abi_siginfo info = signal_info_kernel(sig);
    int foreground = tty_foreground_pgid();

    mutex_lock(&g_process_lock);
    struct process *first = process_find(FIRST_PID);
    if (!first) { /* it has ended; the instance is about to */
        mutex_unlock(&g_process_lock);
        return;
    }
    int pgid = foreground ? foreground : first->pgid;
    switch (sig) {
    case SIGINT:
    case SIGQUIT:
    case SIGTSTP:
    case SIGWINCH: /* what a terminal sends */
        (void)signal_send_pgrp(pgid, &info);
        break;
    case SIGCONT:
        (void)signal_send_pgrp(first->pgid, &info);
        break;
    default:
        (void)signal_send_process(first, &info);
        break;
    }
    mutex_unlock(&g_process_lock);
}

static void watch_events(void *arg)
{
    (void)arg;
    for (;;) {
        struct instance_event event;
        if (instance_next_event(g_platform, &event))
            continue;
        switch (event.kind) {
        case INSTANCE_EVENT_SIGNAL:
            deliver_host_signal(event.number);
            break;
        case INSTANCE_EVENT_SPACE_LOST:
            process_space_lost(event.aspace_id, event.number);
            break;
        }
    }
}

void shim_main(struct platform *p, void *blob, size_t size)
{
    char why[256] = "";
    int err = 0;
    struct thread *events;

    g_platform = p;
    g_config = blob;
    PLATFORM_REQUIRE(size >= sizeof(*g_config) && g_config->version == SHIM_CONFIG_VERSION);
    if (vfs_init(g_config, why, sizeof(why)))
        give_up(SHIM_EXIT_NOT_EXECUTABLE, "files", why);
    syscall_init();
    if (vdso_init())
        give_up(SHIM_EXIT_NOT_EXECUTABLE, "clocks", "no memory");
    struct task *task = process_create_first(&err);
    if (!task)
        give_up(SHIM_EXIT_NOT_EXECUTABLE, "first process", error_text(err));
    fs_set_umask(task->fs, g_config->umask);
    open_streams(task);
    tty_attach_first(task->process);
    enter_directory(task);
    load_program(task);
    err = thread_spawn(p, NULL, watch_events, NULL, &events);
    if (err)
        give_up(SHIM_EXIT_NOT_EXECUTABLE, "events", error_text(err));
    err = publish_start();
    if (err)
        give_up(SHIM_EXIT_NOT_EXECUTABLE, "--publish",
                err == -ENOENT ? "not on this platform" : error_text(err));
    err = budget_start();
    if (err)
        give_up(SHIM_EXIT_NOT_EXECUTABLE, "memory limit", error_text(err));
    task_loop(task);
}
