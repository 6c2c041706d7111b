/* mmap and its relatives: private and shared, files, fixed addresses, moves, advice, protection, brk. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

static void *map(size_t size, int prot, int flags, int fd)
{
    void *p = mmap(NULL, size, prot, flags, fd, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

static int in_child(void (*what)(char *), char *arg)
{
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        what(arg);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static void touch(char *p)
{
    *(volatile char *)p = 9;
}
static void expect_zero(char *p)
{
    _exit(*(volatile char *)p == 0 ? 0 : 1);
}

int main(void)
{
    const int rw = PROT_READ | PROT_WRITE, private = MAP_PRIVATE | MAP_ANONYMOUS;
    char *p = map(3 * 4096, rw, private, -1);
    for (int i = 0; i < 3 * 4096; i++)
        CHECK(p[i] == 0);
    memset(p, 1, 3 * 4096);
    CHECK(munmap(p + 4096, 4096) == 0);
    CHECK(WTERMSIG(in_child(touch, p + 4096)) == 11);
    CHECK(in_child(touch, p) == 0 && p[0] == 1 && p[8192] == 1);
    CHECK(mprotect(p, 4096, PROT_NONE) == 0);
    CHECK(WTERMSIG(in_child(touch, p)) == 11);
    CHECK(mprotect(p, 3 * 4096, rw) == -1 && errno == ENOMEM);
    CHECK(mprotect(p, 4096, rw) == 0 && p[0] == 1);
    printf("unmap, protect\n");

    char *fixed = mmap(p + 4096, 4096, rw, private | MAP_FIXED, -1, 0);
    CHECK(fixed == p + 4096 && fixed[0] == 0);
    CHECK(mmap(p, 4096, rw, private | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED && errno == EEXIST);
    char *moved = mremap(p, 3 * 4096, 64 * 4096, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && moved[0] == 1 && moved[4096] == 0 && moved[8192] == 1 &&
          moved[63 * 4096] == 0);
    CHECK(mremap(moved, 64 * 4096, 4096, 0) == moved && moved[0] == 1);
    CHECK(WTERMSIG(in_child(touch, moved + 4096)) == 11);
    CHECK(madvise(moved, 4096, MADV_DONTNEED) == 0 && moved[0] == 0);
    printf("fixed, mremap, madvise\n");

    char *wiped = map(4096, rw, private, -1);
    wiped[0] = 7;
    CHECK(madvise(wiped, 4096, MADV_WIPEONFORK) == 0 && in_child(expect_zero, wiped) == 0 &&
          wiped[0] == 7);
    char *gone = map(4096, rw, private, -1);
    CHECK(madvise(gone, 4096, MADV_DONTFORK) == 0);
    CHECK(WTERMSIG(in_child(touch, gone)) == 11);
    touch(gone);
    char *shared = map(4096, rw, MAP_SHARED | MAP_ANONYMOUS, -1);
    CHECK(in_child(touch, shared) == 0 && shared[0] == 9);
    printf("advice for fork, shared memory\n");

    char name[] = "/tmp/guest-memory-XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0 && unlink(name) == 0);
    CHECK(ftruncate(fd, 2 * 4096) == 0);
    char *file = map(2 * 4096, rw, MAP_SHARED, fd), *copy = map(4096, rw, MAP_PRIVATE, fd);
    file[0] = 'a';
    char byte;
    CHECK(pread(fd, &byte, 1, 0) == 1 && byte == 'a');
    CHECK(pwrite(fd, "b", 1, 1) == 1 && file[1] == 'b' && copy[1] == 'b');
    copy[0] = 'c';
    CHECK(file[0] == 'a' && pread(fd, &byte, 1, 0) == 1 && byte == 'a');
    CHECK(in_child(touch, file + 1) == 0 && file[1] == 9);
    CHECK(ftruncate(fd, 4096) == 0);
    CHECK(WTERMSIG(in_child(touch, file + 4096)) == 7);
    printf("files\n");

    int self = open("/proc/self/exe", O_RDONLY);
    CHECK(self >= 0);
    char *elf = map(4096, PROT_READ, MAP_PRIVATE, self);
    CHECK(memcmp(elf, "\177ELF", 4) == 0);
    CHECK(mmap(NULL, 4096, rw, MAP_SHARED, self, 0) == MAP_FAILED && errno == EACCES);

    /* The call itself: musl's brk() refuses, and its allocator uses the real one. */
    char *top = (char *)(((unsigned long)syscall(SYS_brk, 0) + 4095) & ~4095ul);
    CHECK((char *)syscall(SYS_brk, top + 100000) == top + 100000);
    top[99999] = 3;
    CHECK((char *)syscall(SYS_brk, top) == top);
    CHECK((char *)syscall(SYS_brk, top + 100000) == top + 100000 && top[99999] == 0);
    CHECK((char *)syscall(SYS_brk, 1) == top + 100000);
    printf("brk\n");
    CHECK(mmap(NULL, 0, rw, private, -1, 0) == MAP_FAILED && errno == EINVAL);
    CHECK(mmap((void *)1, 4096, rw, private | MAP_FIXED, -1, 0) == MAP_FAILED && errno == EINVAL);
    CHECK(munmap((void *)1, 4096) == -1 && errno == EINVAL);
    CHECK(mmap(NULL, 4096, rw, MAP_PRIVATE, 999, 0) == MAP_FAILED && errno == EBADF);
    printf("bad arguments\n");
    return 0;
}
