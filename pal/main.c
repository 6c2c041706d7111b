/*
 * main.c: `pal`: turns a command line into an instance, and the instance's end into an exit status.
 */
#include <errno.h>
#include <fcntl.h>
#include <arpa/inet.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pal/config.h"
#include "pal/options.h"
#include "pal/platforms.h"
#include "pal/terminal.h"
#include "platform/front.h"
#include "shim/shim.h"

static int usage(const char *message, enum pal_command command)
{
    fprintf(stderr, "pal: %s (see 'pal %s')\n", message,
            command == PAL_RUN ? "run --help" : "--help");
    return PAL_EXIT_USAGE;
}

/* 0, or what is wrong with it. */
static int directory_error(const char *path, int access_mode)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return errno;
    if (!S_ISDIR(st.st_mode))
        return ENOTDIR;
    return access(path, access_mode) == 0 ? 0 : errno;
}

/* What a grant names must exist now: one line instead of a guest that finds an empty world. */
static int check_host_paths(const struct pal_options *options)
{
    struct stat st;
    const char *bad = NULL, *option = "--root";
    int error = directory_error(options->root, X_OK);
    if (error) {
        bad = options->root;
    } else if (options->overlay && (error = directory_error(options->overlay, W_OK | X_OK))) {
        option = "--overlay";
        bad = options->overlay;
    }
    for (size_t i = 0; !bad && i < options->mount_count; i++) {
        if (stat(options->mounts[i].source, &st) != 0) {
            option = "--mount";
            bad = options->mounts[i].source;
            error = errno;
        }
    }
    if (!bad)
        return 0;
    fprintf(stderr, "pal: %s: '%s': %s (see 'pal run --help')\n", option, bad, strerror(error));
    return PAL_EXIT_USAGE;
}

/* End as the program ended. A shell, or whoever waits for pal, sees the same wait status. */
static int end_like(int wait_status)
{
    if (!WIFSIGNALED(wait_status))
        return WEXITSTATUS(wait_status);
    int sig = WTERMSIG(wait_status);
    /* The core that would be written is pal's, not the guest's. */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(sig, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(sig);
    /* real-time signals of libc's own, SIGCHLD, ...: those whose default does not end a process */
    return 128 + sig;
}

/* The first platform that can run here, or the one that was named. */
static const struct platform_front *choose_platform(const char *name, int *status)
{
    char why[256] = "";
    if (name) {
        const struct platform_front *front = platform_front_find(name);
        if (!front) {
            fprintf(stderr, "pal: --platform: there is no '%s' (see 'pal platforms')\n", name);
            *status = PAL_EXIT_USAGE;
            return NULL;
        }
        if (front->probe(why, sizeof(why)))
            return front;
        fprintf(stderr, "pal: %s cannot run here: %s\n", name, why);
    } else {
        for (size_t i = 0; g_platform_fronts[i]; i++)
            if (g_platform_fronts[i]->probe(why, sizeof(why)))
                return g_platform_fronts[i];
        fprintf(stderr, "pal: no platform can run here: %s (see 'pal platforms')\n", why);
    }
    *status = PAL_EXIT_FAILED;
    return NULL;
}

static struct shim_config *pack_config(const struct pal_options *options, size_t *size)
{
    static char cwd[PATH_MAX], hostname[HOST_NAME_MAX + 1];
    struct pal_host_facts host = {.environ = environ, .cwd = "/", .hostname = "palimpsest"};
    if (getcwd(cwd, sizeof(cwd)) && cwd[0] == '/')
        host.cwd = cwd;
    if (gethostname(hostname, sizeof(hostname) - 1) == 0)
        host.hostname = hostname;
    host.umask = umask(0);
    umask((mode_t)host.umask);
    return config_pack(options, &host, size);
}

/* A socket that listens at the host's loopback. Result: descriptor, or -1 with errno. */
static int listen_at(unsigned *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)*port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    *port = ntohs(at.sin_port);
    return fd;
}

/* All ports of --publish, taken now: one line instead of a guest that nobody reaches. */
static struct platform_listener *open_listeners(const struct pal_options *options)
{
    struct platform_listener *listeners = calloc(options->publish_count + 1, sizeof(*listeners));
    static char names[64][32];
    if (!listeners)
        abort();
    for (size_t i = 0; i < options->publish_count; i++) {
        unsigned port = options->publishes[i].host_port;
        snprintf(names[i], sizeof(names[i]), "publish%zu", i);
        listeners[i] = (struct platform_listener){.name = names[i], .fd = listen_at(&port)};
        if (listeners[i].fd < 0) {
            fprintf(stderr, "pal: --publish: port %u: %s\n", port, strerror(errno));
            free(listeners); /* what is open ends with pal */
            return NULL;
        }
        if (!options->publishes[i].host_port)
            fprintf(stderr, "pal: port %u is published as 127.0.0.1:%u\n",
                    options->publishes[i].guest_port, port);
    }
    return listeners;
}

#define OVERLAY_PATIENCE_MS 3000

/*
 * A directory of changes is one run's at a time: what one is at, another would clear from DIR/work. The lock ends with the last process
 * of the run; those of one that was killed may need a moment. A file system that has no locks is taken at its user's word.
 */
static int claim_overlay(const struct pal_options *options)
{
    if (!options->overlay)
        return 0;
    int fd = open(options->overlay, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "pal: --overlay: '%s': %s (see 'pal run --help')\n", options->overlay,
                strerror(errno));
        return PAL_EXIT_USAGE;
    }
    for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK; waited += 10) {
        if (waited >= OVERLAY_PATIENCE_MS) {
            fprintf(stderr, "pal: --overlay: '%s' is in use by another run\n", options->overlay);
            return PAL_EXIT_FAILED;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    }
    return 0; /* what is open ends with pal */
}

static int run(const struct pal_options *options)
{
    int status = check_host_paths(options);
    if (!status)
        status = claim_overlay(options);
    if (status)
        return status;
    const struct platform_front *front = choose_platform(options->platform, &status);
    if (!front)
        return status;

    int trace_fd = -1;
    if (options->trace && !options->trace_file) {
        trace_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    } else if (options->trace) {
        trace_fd =
            open(options->trace_file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
        if (trace_fd < 0) {
            fprintf(stderr, "pal: --trace: '%s': %s (see 'pal run --help')\n", options->trace_file,
                    strerror(errno));
            return PAL_EXIT_USAGE;
        }
    }

    struct platform_listener *listeners = open_listeners(options);
    if (!listeners)
        return PAL_EXIT_FAILED;
    size_t grant_count = options->mount_count + 1 + (options->overlay != NULL);
    struct platform_grant *grants = calloc(grant_count, sizeof(*grants));
    char(*names)[32] = calloc(grant_count, sizeof(*names));
    size_t size = 0;
    struct shim_config *config = pack_config(options, &size);
    if (!grants || !names)
        abort();
    grants[0] = (struct platform_grant){.name = "root", .path = options->root, .writable = false};
    if (options->overlay)
        grants[grant_count - 1] =
            (struct platform_grant){.name = "overlay", .path = options->overlay, .writable = true};
    for (size_t i = 1; i <= options->mount_count; i++) {
        snprintf(names[i], sizeof(names[i]), "mount%zu", i - 1);
        grants[i] = (struct platform_grant){.name = names[i],
                                            .path = options->mounts[i - 1].source,
                                            .writable = options->mounts[i - 1].writable};
    }

    struct platform_options platform_options = {
        .grants = grants,
        .grant_count = grant_count,
        .listeners = listeners,
        .listener_count = options->publish_count,
        .host_network = options->net == PAL_NET_HOST,
        .intercept = options->intercept,
        .memory = options->memory,
        .cpus = (unsigned)options->vcpus,
        .trace_fd = trace_fd,
        .detailed_stats = options->stats,
        .forward_signals = true,
    };
    char why[256] = "";
    int wait_status = 0;
    terminal_save();
    int err =
        front->run(&platform_options, shim_main, config, size, &wait_status, why, sizeof(why));
    terminal_restore();
    free(config);
    free(names);
    free(grants);
    free(listeners);
    if (err) {
        fprintf(stderr, "pal: %s: %s\n", front->name, why[0] ? why : strerror(-err));
        return PAL_EXIT_FAILED;
    }
    return end_like(wait_status);
}

int main(int argc, char **argv)
{
    struct pal_options options;
    char error[512];
    int status = 0;
    if (options_parse(argc, argv, &options, error, sizeof(error)) != 0) {
        status = usage(error, options.command);
    } else {
        switch (options.command) {
        case PAL_RUN:
            status = run(&options);
            break;
        case PAL_PLATFORMS:
            platforms_print(stdout);
            break;
        case PAL_SYSCALLS:
            syscalls_print(stdout, options.markdown ? SYSCALLS_MARKDOWN : SYSCALLS_TEXT);
            break;
        case PAL_HELP:
        case PAL_RUN_HELP:
            fputs(options_help(options.command), stdout);
            break;
        case PAL_VERSION:
            printf("pal " PALIMPSEST_VERSION "\n");
            break;
        }
        if (options.command != PAL_RUN && (fflush(stdout) != 0 || ferror(stdout))) {
            perror("pal: standard output");
            status = PAL_EXIT_FAILED;
        }
    }
    options_free(&options);
    return status;
}
