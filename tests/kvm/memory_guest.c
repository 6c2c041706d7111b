/*
 * memory_guest.c: a child takes all the memory there is and ends by it, as on Linux; its parent goes on, and so does the next child, for
 * what the first one had is free again. Arguments: how often; "calls": system calls take it, by what they write, and none of them may fail;
 * "beside": children after the first leave a little, which the parent then takes by system calls, and more, while they keep what they have.
 * Says "all memory was free again".
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define STEP (8 * MIB)
#define PAGE 4096u
#define LEFT 48 /* MiB, by a child in "beside", */
#define MORE 96 /* and what its parent takes then */

enum by { BY_TOUCHING, BY_CALLS };

/* Fresh memory, `size` bytes, all of it written. Exits with 3 if none can be promised, with another status if a call failed. */
static char *take(size_t size, enum by by)
{
    static int zeros = -1, ends[2];
    char *more = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (more == MAP_FAILED)
        _exit(errno == ENOMEM ? 3 : 4);
    if (by == BY_TOUCHING) {
        for (size_t i = 0; i < size; i += PAGE)
            more[i] = 1;
        return more;
    }
    if (zeros < 0 && ((zeros = open("/dev/zero", O_RDONLY)) < 0 || pipe(ends)))
        _exit(5);
    /* By zeros, through a pipe's lock, and by small answers. */
    for (size_t i = 0; i < size; i += 4 * PAGE) {
        if (read(zeros, more + i, 2 * PAGE) != 2 * PAGE)
            _exit(6);
        if (write(ends[1], "12345678", 8) != 8 || read(ends[0], more + i + 2 * PAGE, 8) != 8)
            _exit(7);
        if (sysinfo((struct sysinfo *)(void *)(more + i + 3 * PAGE)))
            _exit(8);
    }
    return more;
}

/* `taken` is shared with the parent: how many MiB; negative when no more than `most` (0: all) were wanted. */
static void child(volatile long *taken, enum by by, long most)
{
    while (most == 0 || *taken < most) {
        (void)take(STEP, by);
        *taken += (long)(STEP / MIB);
    }
    *taken = -*taken;
    for (;;)
        pause();
}

static long all_mib(void)
{
    struct sysinfo info;
    return sysinfo(&info) ? 0 : (long)(info.totalram * info.mem_unit / MIB);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 2;
    const char *how = argc > 2 ? argv[2] : "";
    enum by by = strcmp(how, "calls") == 0 ? BY_CALLS : BY_TOUCHING;
    const bool beside = strcmp(how, "beside") == 0;
    volatile long *taken =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (taken == MAP_FAILED)
        return 1;
    long first = 0;
    for (int i = 0; i < rounds; i++) {
        const long most = beside && i > 0 ? first - LEFT : 0;
        int status;
        *taken = 0;
        pid_t pid = fork(), ended = 0;
        if (pid < 0) {
            perror("fork");
            return 1;
        }
        if (pid == 0)
            child(taken, by, most);
        if (most) {
            /* It may end before it has as much as it should. */
            while (*taken >= 0 && (ended = waitpid(pid, &status, WNOHANG)) == 0)
                usleep(1000);
            munmap(take(MORE * MIB, BY_CALLS), MORE * MIB);
        }
        if (ended < 0 || (ended == 0 && waitpid(pid, &status, 0) != pid)) {
            perror("waitpid");
            return 1;
        }
        if (!(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) &&
            !(WIFEXITED(status) && WEXITSTATUS(status) == 3)) {
            printf("a child ended with %#x\n", (unsigned)status);
            return 1;
        }
        long got = labs(*taken);
        /* Who takes it fast has more than a limit before it is seen to. */
        if (i == 0)
            first = got < all_mib() ? got : all_mib();
        if (got < 16 || got < first * 3 / 4) {
            printf("%ld MiB, then %ld MiB\n", first, got);
            return 1;
        }
    }
    puts("all memory was free again");
    return 0;
}
