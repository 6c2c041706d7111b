/*
 * slow_text.c: a process makes frequent system calls in text of FILE, a copy of this program, while whoever runs the test lets nobody read FILE;
 * another process makes them in the program's own. One line of input before each step.
 *
 *     slow_text FILE
 */
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "mapped_text.h"

__asm__(".text\n.balign 4096\n.globl sites\nsites:\n"
        ".rept 16\n mov $110, %eax\n syscall\n ret\n .balign 64\n .endr\n .balign 4096\n");
extern uint8_t sites[];

static int call(const uint8_t *copy)
{
    int wrong = 0;
    long parent = getppid();
    for (int n = 0; n < 60; n++)
        for (int i = 0; i < 16; i++)
            wrong += ((long (*)(void))(uintptr_t)(copy + i * 64))() != parent;
    return wrong;
}

static void step(const char *done)
{
    char byte;
    printf("%s\n", done);
    fflush(stdout);
    CHECK(read(0, &byte, 1) == 1);
}

int main(int argc, char **argv)
{
    int status;
    CHECK(argc > 1);
    uint8_t *slow = map_text_of(argv[1], sites, 4096, NULL);
    step("mapped");
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        _exit(call(slow) != 0);
    step("begun");
    int wrong = call(sites);
    /* Its own children, too */
    pid_t other = fork();
    CHECK(other >= 0);
    if (other == 0)
        _exit(call(sites) != 0);
    CHECK(waitpid(other, &status, 0) == other);
    wrong += status != 0;
    step(wrong ? "wrong answers" : "others are done");
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("all are done, status %d\n", status);
    return 0;
}
