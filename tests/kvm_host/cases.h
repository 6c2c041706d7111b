/*
 * cases.h: tests in C whose cases run in a process of their own each, so that none sees what another left behind.
 */
#ifndef PALIMPSEST_TESTS_KVM_HOST_CASES_H
#define PALIMPSEST_TESTS_KVM_HOST_CASES_H

#include <stddef.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ends the process that finds it untrue. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

struct test_case {
    const char *name;
    void (*run)(void);
};

/* `prepare`: before each case, here (may be NULL); `around`: in the case's process, calls what it is given. Result: main's. */
static inline int run_cases(const struct test_case *cases, size_t count, void (*prepare)(void),
                            void (*around)(void (*run)(void)))
{
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        int status = 0;
        if (prepare)
            prepare();
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) {
            around(cases[i].run);
            _exit(0);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
            printf("failed: %s (status %#x)\n", cases[i].name, (unsigned)status);
            failed++;
        }
    }
    printf("%zu cases, %d failed\n", count, failed);
    return failed != 0;
}

#endif
