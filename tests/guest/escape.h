/* Shared by the programs that try to get out of a file tree, or to write one that is read-only (tests/programs/escapes.py). */
#ifndef PALIMPSEST_TESTS_ESCAPE_H
#define PALIMPSEST_TESTS_ESCAPE_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Every file outside starts with this. */
#define MARKER "outside-secret"

static int g_attempts, g_escapes;

static inline void told(const char *name, bool escaped, const char *detail)
{
    g_attempts++;
    g_escapes += escaped;
    printf("%-9s %s%s%s\n", escaped ? "ESCAPED" : "contained", name, *detail ? ": " : "", detail);
    fflush(stdout);
}

/* Whether `fd` (closed here; may be -1) reads as a file from outside. */
static inline bool reads_outside(int fd)
{
    char text[sizeof(MARKER)] = "";
    bool out = fd >= 0 && pread(fd, text, sizeof(MARKER) - 1, 0) == sizeof(MARKER) - 1 &&
               strcmp(text, MARKER) == 0;
    if (fd >= 0)
        close(fd);
    return out;
}

static inline void try_read(const char *name, int fd)
{
    int err = fd < 0 ? errno : 0;
    told(name, reads_outside(fd), err ? strerror(err) : "");
}

/* A call that must fail. */
static inline void must_fail(const char *name, long result)
{
    int err = errno;
    told(name, result >= 0, result < 0 ? strerror(err) : "");
}

/* In a process of its own, for what cannot be undone. */
static inline void in_child(const char *name, bool (*escapes)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(escapes() ? 1 : 0);
    int status = 0;
    bool waited = pid > 0 && waitpid(pid, &status, 0) == pid;
    bool escaped = !waited || (WIFEXITED(status) && WEXITSTATUS(status) != 0);
    told(name, escaped, waited && WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "");
}

static inline int finish(void)
{
    printf("attempts %d, escapes %d\n", g_attempts, g_escapes);
    return g_escapes != 0;
}

#endif
