/* Processes and threads that make, move, link and remove the same names at once: nobody hangs,
 * nothing is left over or lost. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define WORKERS 4
#define ROUNDS 1500

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void path(char out[64], uint32_t r)
{
    static const char *const dirs[] = {".", "d0", "d1", "d0/sub", "d1/sub", "moving"};
    snprintf(out, 64, "%s/n%u", dirs[r % 6], r / 6 % 5);
}

static void one(uint32_t *state)
{
    char a[64], b[64], text[64];
    struct stat st;
    path(a, next(state));
    path(b, next(state));
    int fd;
    switch (next(state) % 14) {
    case 0:
        if ((fd = open(a, O_CREAT | O_RDWR, 0600)) >= 0) {
            (void)!write(fd, a, 10);
            close(fd);
        }
        break;
    case 1:
        unlink(a);
        break;
    case 2:
        rename(a, b);
        break;
    case 3:
        link(a, b);
        break;
    case 4:
        mkdir(a, 0700);
        break;
    case 5:
        rmdir(a);
        break;
    case 6:
        symlink(b, a);
        break;
    case 7:
        stat(a, &st);
        break;
    case 8:
        (void)!readlink(a, text, sizeof(text));
        break;
    case 9:
        rename(next(state) % 2 ? "d0/sub" : "moving", next(state) % 2 ? "d0/sub" : "moving");
        break;
    case 10:
        syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */);
        break;
    case 11:
        if ((fd = open(a, O_RDWR | O_APPEND)) >= 0) {
            flock(fd, LOCK_EX);
            (void)!write(fd, b, 8);
            if (next(state) % 8 == 0)
                (void)!ftruncate(fd, 5);
            close(fd);
        }
        break;
    case 12: {
        DIR *d = opendir(next(state) % 2 ? "d0" : ".");
        while (d && readdir(d))
            ;
        if (d)
            closedir(d);
        break;
    }
    default:
        if ((fd = open(a, O_RDWR)) >= 0) {
            char *m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
            if (m != MAP_FAILED)
                munmap(m, 4096);
            close(fd);
        }
    }
}

static void *work(void *arg)
{
    uint32_t state = (uint32_t)(uintptr_t)arg * 7919u + 1;
    for (int i = 0; i < ROUNDS; i++)
        one(&state);
    return NULL;
}

static void run(const char *base)
{
    char dir[64], command[96];
    snprintf(dir, sizeof(dir), "%s/guest-stress-XXXXXX", base);
    CHECK(mkdtemp(dir) && chdir(dir) == 0);
    CHECK(mkdir("d0", 0700) == 0 && mkdir("d1", 0700) == 0 && mkdir("d0/sub", 0700) == 0 &&
          mkdir("d1/sub", 0700) == 0);
    for (int i = 0; i < WORKERS; i++) {
        fflush(stdout);
        if (fork() == 0) {
            pthread_t thread;
            CHECK(pthread_create(&thread, NULL, work, (void *)(uintptr_t)(i + 100)) == 0);
            work((void *)(uintptr_t)i);
            CHECK(pthread_join(thread, NULL) == 0);
            _exit(0);
        }
    }
    int status, good = 0;
    while (wait(&status) > 0)
        good += status == 0;
    printf("%d workers ended well\n", good);
    CHECK(chdir("/") == 0);
    snprintf(command, sizeof(command), "rm -r %s", dir);
    printf("removed: %d\n", system(command));

    /* Counting: every append of a line survives. */
    CHECK(chdir(base) == 0);
    char lines[40];
    snprintf(lines, sizeof(lines), "guest-stress-lines-%d", (int)getpid());
    int fd = open(lines, O_CREAT | O_TRUNC | O_RDWR | O_APPEND, 0600);
    CHECK(fd >= 0);
    fflush(stdout);
    for (int i = 0; i < WORKERS; i++)
        if (fork() == 0) {
            for (int k = 0; k < 2000; k++)
                CHECK(write(fd, "0123456789abcde\n", 16) == 16);
            _exit(0);
        }
    while (wait(&status) > 0)
        ;
    struct stat st;
    CHECK(fstat(fd, &st) == 0);
    printf("%ld bytes\n", (long)st.st_size);
    CHECK(unlink(lines) == 0 && close(fd) == 0 && chdir("/") == 0);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        run(argv[1]);
        return 0;
    }
    run("/tmp");
    run("/var/tmp");
    return 0;
}
