/* A part of a guest program that runs in a process of its own, because it changes what only that process should have changed. */
#ifndef PALIMPSEST_TESTS_GUEST_CHILD_H
#define PALIMPSEST_TESTS_GUEST_CHILD_H

#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

/* The wait status of a child that ran `run` and left with 0. */
static inline int in_child(void (*run)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        run();
        fflush(stdout);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static inline void show_child(const char *name, void (*run)(void))
{
    printf("-- %s\n", name);
    int status = in_child(run);
    if (status)
        printf("status %x\n", status);
}

#endif
