/*
 * memory_guest.c: a child takes all the memory there is and ends by it, as on Linux; its parent goes on, and so does the next child, for
 * what the first one had is free again. Argument: how often. Says "all memory was free again".
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEP ((size_t)8 << 20)
#define PAGE 4096u

/* Does not return while there is memory. Its table is shared with the parent: how many MiB it got. */
static void take_all(volatile long *taken)
{
    for (;;) {
        char *more = mmap(NULL, STEP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (more == MAP_FAILED)
            _exit(errno == ENOMEM ? 3 : 4);
        for (size_t i = 0; i < STEP; i += PAGE)
            more[i] = 1;
        *taken += STEP >> 20;
    }
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 2;
    volatile long *taken =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (taken == MAP_FAILED)
        return 1;
    long first = 0;
    for (int i = 0; i < rounds; i++) {
        int status;
        *taken = 0;
        pid_t pid = fork();
        if (pid == 0)
            take_all(taken);
        if (pid < 0 || waitpid(pid, &status, 0) != pid) {
            perror("fork");
            return 1;
        }
        if (!(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) &&
            !(WIFEXITED(status) && WEXITSTATUS(status) == 3)) {
            printf("a child ended with %#x\n", (unsigned)status);
            return 1;
        }
        if (i == 0)
            first = *taken;
        if (*taken < 16 || *taken < first * 3 / 4) {
            printf("%ld MiB, then %ld MiB\n", first, *taken);
            return 1;
        }
    }
    puts("all memory was free again");
    return 0;
}
