/* Parts of a guest program that run in a process of their own, and waiting for what others do instead of for time to pass. */
#ifndef PALIMPSEST_TESTS_GUEST_CHILD_H
#define PALIMPSEST_TESTS_GUEST_CHILD_H

#include <fcntl.h>
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

/* The letter for the state of a task of a process, as proc(5) has it; 'X': it is gone. */
static inline char task_state(pid_t pid, pid_t tid)
{
    char path[64], line[512];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, (int)tid);
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return 'X';
    ssize_t n = read(fd, line, sizeof(line) - 1);
    close(fd);
    if (n <= 0)
        return 'X';
    line[n] = '\0';
    return strrchr(line, ')')[2];
}

/* Returns once the task sleeps: in the call that is to be interrupted, if it does nothing else that may sleep before. */
static inline void until_asleep(pid_t pid, pid_t tid)
{
    for (int i = 0; i < 100000; i++) {
        char state = task_state(pid, tid);
        CHECK(state != 'X');
        if (state == 'S')
            return;
        usleep(1000);
    }
    CHECK(!"asleep");
}

#endif
