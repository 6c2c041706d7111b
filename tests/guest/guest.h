/* Shared by the guest programs: plain C library code that prints what a program can observe. Output must not depend on pids or time. */
#ifndef PALIMPSEST_TESTS_GUEST_H
#define PALIMPSEST_TESTS_GUEST_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            printf("%s:%d: not true: %s (errno %d)\n", __FILE__, __LINE__, #cond, errno);          \
            fflush(stdout);                                                                        \
            _exit(99);                                                                             \
        }                                                                                          \
    } while (0)

#endif
