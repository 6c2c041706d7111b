/*
 * options.c: reads the command line by one table per command; every complaint is one line that names the culprit.
 */
#include "pal/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char k_help[] =
    "usage: pal COMMAND ...\n"
    "\n"
    "  pal run [OPTIONS] [--] PROGRAM [ARGUMENTS]   run an unmodified Linux x86-64 program in the "
    "library OS\n"
    "  pal platforms                                what this machine can run it on, and how\n"
    "  pal syscalls [--markdown]                    the system calls that programs get, and how "
    "completely\n"
    "  pal --help, pal --version\n"
    "\n"
    "`pal run --help` explains the options of run.\n";

static const char k_run_help[] =
    "usage: pal run [OPTIONS] [--] PROGRAM [ARGUMENTS]\n"
    "\n"
    "Runs PROGRAM, found through PATH if it has no slash. It sees the host's files; what it "
    "changes stays in memory\n"
    "and is gone afterwards, except below a mount that is rw. /tmp starts empty.\n"
    "\n"
    "  --platform NAME          one of `pal platforms`; the first that is available by default\n"
    "  --root DIR               its / is DIR instead of the host's\n"
    "  --overlay DIR            what it changes is kept in DIR/upper, as Linux's overlayfs has it, "
    "and seen again by\n"
    "                           the next run with this DIR; one run at a time\n"
    "  --mount SRC:DST[:ro|rw]  the host's SRC appears as DST; ro by default. May be repeated\n"
    "  --net HOW                loopback: its sockets reach each other and nothing else (the "
    "default); none: nothing at\n"
    "                           all; host: the host's network\n"
    "  --publish PORT[:GUEST]   the host's 127.0.0.1:PORT reaches its server on port GUEST, or "
    "PORT; with 0 for PORT a free\n"
    "                           one is taken, and told on standard error. May be repeated\n"
    "  --env K=V                sets a variable of its environment. May be repeated\n"
    "  --clear-env              starts from an empty environment instead of this one\n"
    "  --cwd DIR                its working directory; by default the current one if it exists "
    "inside, else /\n"
    "  --memory SIZE            what all its processes may hold together, K, M or G after the "
    "number; no limit by default\n"
    "  --pids N                 how many processes and threads it may have at once; 4096 by "
    "default\n"
    "  --trace[=FILE]           one line for each system call, to FILE or standard error\n"
    "  --stats                  counts of calls, faults, forks and copied pages on standard error "
    "at the end\n"
    "  --vcpus N                kvm: its virtual processors; by default those of the host, at most "
    "8\n"
    "  --intercept HOW          linux_user: auto, patch, trap (syscall user dispatch only) or "
    "seccomp\n"
    "  --help                   this text\n"
    "\n"
    "Exit status: the program's; 128+N, as a shell reports it, when signal N ended it (pal ends by "
    "that signal too);\n"
    "127 the program was not found; 126 it could not be executed; 125 pal itself failed; 2 a wrong "
    "option.\n";

const char *options_help(enum pal_command command)
{
    return command == PAL_RUN_HELP ? k_run_help : k_help;
}

static int fail(char *error, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int fail(char *error, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(error, size, fmt, args);
    va_end(args);
    return -1;
}

static int add_mount(struct pal_options *out, char *value, char *error, size_t size)
{
    char *target = strchr(value, ':');
    char *mode = target ? strchr(target + 1, ':') : NULL;
    bool writable = mode && strcmp(mode, ":rw") == 0;
    if (!target || target == value || target[1] != '/' ||
        (mode && !writable && strcmp(mode, ":ro") != 0))
        return fail(error, size, "--mount: '%s' is not SRC:DST[:ro|rw] with an absolute DST",
                    value);
    *target++ = '\0'; /* the word is ours to cut */
    if (mode)
        *mode = '\0';
    out->mounts[out->mount_count++] =
        (struct pal_mount){.source = value, .target = target, .writable = writable};
    return 0;
}

static int add_env(struct pal_options *out, const char *value, char *error, size_t size)
{
    const char *equals = strchr(value, '=');
    if (!equals || equals == value)
        return fail(error, size, "--env: '%s' is not NAME=VALUE", value);
    out->env[out->env_count++] = value;
    return 0;
}

#define MEMORY_MIN (16ull << 20) /* below, hardly a shell starts */
#define PIDS_MAX 4000000ull      /* as many as there are numbers */
#define VCPUS_MAX 64ull

/* Decimal digits; the rest of `value` goes to *rest. */
static bool parse_number(const char *value, unsigned long long *number, const char **rest)
{
    char *end;
    if (!value || value[0] < '0' || value[0] > '9')
        return false;
    errno = 0;
    *number = strtoull(value, &end, 10);
    *rest = end;
    return errno == 0;
}

static int parse_size(const char *value, unsigned long long *out, char *error, size_t size)
{
    static const char units[] = "KMGT";
    const char *rest, *unit;
    unsigned long long number;
    bool good = parse_number(value, &number, &rest);
    unsigned shift = 0;
    if (good && *rest && (unit = strchr(units, *rest & ~0x20)) && *unit) {
        shift = 10 * (unsigned)(unit - units + 1);
        rest++;
    }
    if (!good || *rest || number > (UINT64_MAX >> 1) >> shift)
        return fail(error, size, "--memory: '%s' is not a number of bytes, K, M, G or T", value);
    *out = number << shift;
    if (*out < MEMORY_MIN)
        return fail(error, size, "--memory: '%s' is less than 16M", value);
    return 0;
}

static int parse_count(const char *option, const char *value, unsigned long long most,
                       unsigned long long *out, char *error, size_t size)
{
    const char *rest;
    if (!parse_number(value, out, &rest) || *rest || *out < 1 || *out > most)
        return fail(error, size, "--%s: '%s' is not a number from 1 to %llu", option, value, most);
    return 0;
}

static int parse_net(const char *value, enum pal_net *out, char *error, size_t size)
{
    static const char *const names[] = {
        [PAL_NET_LOOPBACK] = "loopback", [PAL_NET_NONE] = "none", [PAL_NET_HOST] = "host"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(value, names[i]) == 0) {
            *out = (enum pal_net)i;
            return 0;
        }
    }
    return fail(error, size, "--net: '%s' is none of loopback, none, host", value);
}

#define PUBLISH_MAX 16u /* as many as anybody needs; each is a descriptor of the host */

static int add_publish(struct pal_options *out, const char *value, char *error, size_t size)
{
    unsigned long long host, guest;
    const char *rest;
    bool good = parse_number(value, &host, &rest) && host <= 65535;
    guest = host;
    if (good && *rest == ':')
        good = parse_number(rest + 1, &guest, &rest);
    if (!good || *rest || guest < 1 || guest > 65535)
        return fail(error, size, "--publish: '%s' is not PORT[:GUESTPORT] of 1 to 65535", value);
    if (out->publish_count == PUBLISH_MAX)
        return fail(error, size, "--publish: more than %u", PUBLISH_MAX);
    out->publishes[out->publish_count++] =
        (struct pal_publish){.host_port = (unsigned)host, .guest_port = (unsigned)guest};
    return 0;
}

enum argument { NO_ARGUMENT, ONE_ARGUMENT, OPTIONAL_ARGUMENT };
enum option_id {
    OPT_PLATFORM,
    OPT_ROOT,
    OPT_OVERLAY,
    OPT_MOUNT,
    OPT_NET,
    OPT_PUBLISH,
    OPT_ENV,
    OPT_CLEAR_ENV,
    OPT_CWD,
    OPT_MEMORY,
    OPT_PIDS,
    OPT_VCPUS,
    OPT_TRACE,
    OPT_STATS,
    OPT_INTERCEPT,
    OPT_HELP,
    OPT_MARKDOWN
};
struct option_spec {
    const char *name;
    enum option_id id;
    enum argument argument;
};
static const struct option_spec k_run_options[] = {
    {"platform", OPT_PLATFORM, ONE_ARGUMENT},  {"root", OPT_ROOT, ONE_ARGUMENT},
    {"mount", OPT_MOUNT, ONE_ARGUMENT},        {"net", OPT_NET, ONE_ARGUMENT},
    {"publish", OPT_PUBLISH, ONE_ARGUMENT},    {"env", OPT_ENV, ONE_ARGUMENT},
    {"clear-env", OPT_CLEAR_ENV, NO_ARGUMENT}, {"cwd", OPT_CWD, ONE_ARGUMENT},
    {"memory", OPT_MEMORY, ONE_ARGUMENT},      {"pids", OPT_PIDS, ONE_ARGUMENT},
    {"vcpus", OPT_VCPUS, ONE_ARGUMENT},        {"trace", OPT_TRACE, OPTIONAL_ARGUMENT},
    {"stats", OPT_STATS, NO_ARGUMENT},         {"intercept", OPT_INTERCEPT, ONE_ARGUMENT},
    {"overlay", OPT_OVERLAY, ONE_ARGUMENT},    {"help", OPT_HELP, NO_ARGUMENT},
};
static const struct option_spec k_syscalls_options[] = {
    {"markdown", OPT_MARKDOWN, NO_ARGUMENT},
    {"help", OPT_HELP, NO_ARGUMENT},
};
static const struct option_spec k_platforms_options[] = {
    {"help", OPT_HELP, NO_ARGUMENT},
};

static int apply(struct pal_options *out, enum option_id id, char *value, char *error, size_t size)
{
    char none[1] = "";
    char *given = value ? value : none; /* absent only where it is optional or not used */
    switch (id) {
    case OPT_PLATFORM:
        out->platform = given;
        break;
    case OPT_ROOT:
        out->root = given;
        break;
    case OPT_OVERLAY:
        out->overlay = given;
        break;
    case OPT_MOUNT:
        return add_mount(out, given, error, size);
    case OPT_NET:
        return parse_net(given, &out->net, error, size);
    case OPT_PUBLISH:
        return add_publish(out, given, error, size);
    case OPT_ENV:
        return add_env(out, given, error, size);
    case OPT_CLEAR_ENV:
        out->clear_env = true;
        break;
    case OPT_CWD:
        if (given[0] != '/')
            return fail(error, size, "--cwd: '%s' is not an absolute path", given);
        out->cwd = given;
        break;
    case OPT_MEMORY:
        return parse_size(value, &out->memory, error, size);
    case OPT_PIDS:
        return parse_count("pids", value, PIDS_MAX, &out->pids, error, size);
    case OPT_VCPUS:
        return parse_count("vcpus", value, VCPUS_MAX, &out->vcpus, error, size);
    case OPT_TRACE:
        out->trace = true;
        out->trace_file = value;
        break;
    case OPT_STATS:
        out->stats = true;
        break;
    case OPT_INTERCEPT:
        if (strcmp(given, "auto") != 0 && strcmp(given, "patch") != 0 &&
            strcmp(given, "trap") != 0 && strcmp(given, "seccomp") != 0)
            return fail(error, size, "--intercept: '%s' is none of auto, patch, trap, seccomp",
                        given);
        out->intercept = given;
        break;
    case OPT_HELP:
        out->command = out->command == PAL_RUN ? PAL_RUN_HELP : PAL_HELP;
        break;
    case OPT_MARKDOWN:
        out->markdown = true;
        break;
    }
    return 0;
}

/* Options of one command from argv[i] on. Result: index of the first word that is none, or -1. */
static int parse_options(int argc, char **argv, int i, const struct option_spec *specs,
                         size_t count, struct pal_options *out, char *error, size_t size)
{
    for (; i < argc; i++) {
        char *word = argv[i];
        if (word[0] != '-' || word[1] == '\0')
            return i;
        if (strcmp(word, "--") == 0)
            return i + 1;
        const struct option_spec *spec = NULL;
        char *value = strchr(word, '=');
        size_t length = value ? (size_t)(value - word) : strlen(word);
        for (size_t k = 0; k < count; k++)
            if (strlen(specs[k].name) + 2 == length && strncmp(word, "--", 2) == 0 &&
                strncmp(word + 2, specs[k].name, length - 2) == 0)
                spec = &specs[k];
        if (!spec && strcmp(word, "-h") == 0)
            spec = &specs[count - 1]; /* help stands last in every table */
        if (!spec)
            return fail(error, size, "unknown option '%.*s'", (int)length, word);
        if (value)
            value++;
        if (value && spec->argument == NO_ARGUMENT)
            return fail(error, size, "--%s takes no value", spec->name);
        if (!value && spec->argument == ONE_ARGUMENT) {
            if (++i == argc)
                return fail(error, size, "--%s needs a value", spec->name);
            value = argv[i];
        }
        if (value && value[0] == '\0')
            return fail(error, size, "--%s: the value is empty", spec->name);
        if (apply(out, spec->id, value, error, size) != 0)
            return -1;
        if (spec->id == OPT_HELP)
            return argc;
    }
    return i;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

int options_parse(int argc, char **argv, struct pal_options *out, char *error, size_t error_size)
{
    *out = (struct pal_options){.root = "/", .pids = PAL_DEFAULT_PIDS};
    /* No more of either than there are words. */
    out->mounts = calloc((size_t)argc + 1, sizeof(*out->mounts));
    out->env = calloc((size_t)argc + 1, sizeof(*out->env));
    out->publishes = calloc(PUBLISH_MAX, sizeof(*out->publishes));
    if (!out->mounts || !out->env || !out->publishes)
        abort();
    const char *command = argc > 1 ? argv[1] : "";
    const struct option_spec *specs = NULL;
    size_t spec_count = 0;
    if (strcmp(command, "run") == 0) {
        out->command = PAL_RUN;
        specs = k_run_options;
        spec_count = COUNT(k_run_options);
    } else if (strcmp(command, "platforms") == 0) {
        out->command = PAL_PLATFORMS;
        specs = k_platforms_options;
        spec_count = COUNT(k_platforms_options);
    } else if (strcmp(command, "syscalls") == 0) {
        out->command = PAL_SYSCALLS;
        specs = k_syscalls_options;
        spec_count = COUNT(k_syscalls_options);
    } else if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 ||
               strcmp(command, "help") == 0) {
        out->command = PAL_HELP;
        return 0;
    } else if (strcmp(command, "--version") == 0) {
        out->command = PAL_VERSION;
        return 0;
    } else if (command[0] == '\0') {
        return fail(error, error_size, "no command given");
    } else if (command[0] == '-') {
        return fail(error, error_size, "unknown option '%s'", command);
    } else {
        return fail(error, error_size, "unknown command '%s'", command);
    }

    int i = parse_options(argc, argv, 2, specs, spec_count, out, error, error_size);
    if (i < 0)
        return -1;
    if (out->command == PAL_RUN) {
        if (i >= argc)
            return fail(error, error_size, "run: no program given");
        if (out->publish_count && out->net != PAL_NET_LOOPBACK)
            return fail(error, error_size, "--publish works with --net=loopback only");
        out->program = argv + i;
        out->program_argc = argc - i;
    } else if (i < argc) {
        return fail(error, error_size, "%s: unexpected '%s'", command, argv[i]);
    }
    return 0;
}

void options_free(struct pal_options *options)
{
    free(options->mounts);
    free(options->env);
    free(options->publishes);
    options->mounts = NULL;
    options->env = NULL;
    options->publishes = NULL;
    options->mount_count = options->env_count = options->publish_count = 0;
}
