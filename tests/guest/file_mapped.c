/* Files in memory: read, write, truncate and shared mappings see the same bytes; private mappings
 * and children see what they should. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

static sigjmp_buf g_back;
static void on_fault(int signal)
{
    siglongjmp(g_back, signal);
}

static int touch(volatile char *p)
{
    int signal = sigsetjmp(g_back, 1);
    if (signal == 0)
        (void)*p;
    return signal;
}

static void run(const char *base)
{
    char dir[64], text[64];
    snprintf(dir, sizeof(dir), "%s/guest-mapped-XXXXXX", base);
    CHECK(mkdtemp(dir) && chdir(dir) == 0);
    int fd = open("f", O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0 && write(fd, "hello world", 11) == 11);
    char *shared = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *again = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    char *own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(shared != MAP_FAILED && again != MAP_FAILED && own != MAP_FAILED);
    CHECK(memcmp(shared, "hello world", 12) == 0);
    shared[0] = 'J';
    CHECK(again[0] == 'J' && pread(fd, text, 5, 0) == 5 && memcmp(text, "Jello", 5) == 0);
    CHECK(pwrite(fd, "W", 1, 6) == 1 && shared[6] == 'W' && again[6] == 'W');
    own[0] = 'p';
    CHECK(shared[0] == 'J' && pread(fd, text, 1, 0) == 1 && text[0] == 'J');
    printf("past the end: %d %d\n", touch(shared + 100), touch(shared + 4096));
    CHECK(pwrite(fd, "far", 3, 8192) == 3);
    printf("after growing: %d %d %d\n", touch(shared + 4096), touch(shared + 8192),
           touch(shared + 12288));
    CHECK(memcmp(shared + 8192, "far", 4) == 0);
    CHECK(ftruncate(fd, 5) == 0);
    printf("after shrinking: %d %d\n", touch(shared), touch(shared + 4096));
    CHECK(ftruncate(fd, 12) == 0 && memcmp(shared, "Jello\0\0\0\0\0\0\0", 12) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        shared[1] = 'E';
        own[1] = 'q';
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid && shared[1] == 'E' && own[1] != 'q' &&
          pread(fd, text, 2, 0) == 2 && text[1] == 'E');
    CHECK(close(fd) == 0 && unlink("f") == 0);
    shared[2] = '!';
    CHECK(again[2] == '!');
    int ro = open("g", O_RDWR | O_CREAT, 0600);
    CHECK(write(ro, "x", 1) == 1 && close(ro) == 0 && (ro = open("g", O_RDONLY)) >= 0);
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0) == MAP_FAILED);
    printf("write through a reader: %d\n", errno);
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, ro, 0) != MAP_FAILED);
    int dirfd = open(".", O_RDONLY);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, dirfd, 0) == MAP_FAILED);
    printf("a directory: %d\n", errno);
    CHECK(close(ro) == 0 && close(dirfd) == 0 && unlink("g") == 0 && chdir("/") == 0 &&
          rmdir(dir) == 0);
    CHECK(munmap(shared, 16384) == 0 && munmap(again, 4096) == 0 && munmap(own, 4096) == 0);
}

int main(void)
{
    signal(SIGBUS, on_fault);
    signal(SIGSEGV, on_fault);
    run("/tmp");
    run("/dev/shm");
    run("/var/tmp");
    return 0;
}
