/* madvise, mlock and its relatives, msync: effects, errnos, limits. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

#define PAGE 4096ul
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif
#define FAILS(call, number) CHECK((errno = 0, (long)(call) == -1) && errno == (number))

static char *map(unsigned long pages, int prot, int flags)
{
    char *p = mmap(NULL, pages * PAGE, prot, flags, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}
static int memory_file(unsigned long pages)
{
    int fd = syscall(SYS_memfd_create, "advice", 0);
    CHECK(fd >= 0 && ftruncate(fd, pages * PAGE) == 0);
    return fd;
}
static unsigned resident(void *p, unsigned long pages)
{
    unsigned char v[64];
    unsigned count = 0;
    CHECK(pages <= 64 && mincore(p, pages * PAGE, v) == 0);
    for (unsigned long i = 0; i < pages; i++)
        count += v[i] & 1;
    return count;
}
static unsigned long locked_kb(void)
{
    char line[256];
    unsigned long kb = -1;
    FILE *f = fopen("/proc/self/status", "r");
    CHECK(f);
    while (fgets(line, sizeof(line), f))
        sscanf(line, "VmLck: %lu", &kb);
    fclose(f);
    return kb;
}

static void dontneed(void)
{
    char *p = map(4, RW, ANON);
    memset(p, 1, 4 * PAGE);
    CHECK(madvise(p + PAGE, 2 * PAGE, MADV_DONTNEED) == 0 && p[0] == 1 && p[PAGE] == 0 &&
          p[3 * PAGE] == 1);
    int fd = memory_file(2);
    char *s = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0),
         *c = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, 0);
    s[0] = 's';
    c[0] = 'c';
    CHECK(madvise(s, PAGE, MADV_DONTNEED) == 0 && s[0] == 's');
    CHECK(madvise(c, PAGE, MADV_DONTNEED) == 0 && c[0] == 's');
    CHECK(madvise(p, PAGE, MADV_FREE) == 0 && (p[0] == 0 || p[0] == 1));
    p[0] = 2;
    CHECK(p[0] == 2);
    FAILS(madvise(s, PAGE, MADV_FREE), EINVAL);
    close(fd);
    printf("dontneed, free\n");
}

static void removal(void)
{
    int fd = memory_file(4);
    char *s = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0),
         *ro = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    char *p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0), *anon = map(1, RW, ANON), c = 1;
    memset(s, 7, 4 * PAGE);
    CHECK(madvise(s + PAGE, 2 * PAGE, MADV_REMOVE) == 0 && s[PAGE] == 0 && s[0] == 7 &&
          s[3 * PAGE] == 7);
    CHECK(pread(fd, &c, 1, PAGE) == 1 && c == 0);
    CHECK(madvise(ro, PAGE, MADV_REMOVE) == 0 &&
          s[0] == 0); /* the file is open for writing: that counts */
    FAILS(madvise(p, PAGE, MADV_REMOVE), EACCES);
    FAILS(madvise(anon, PAGE, MADV_REMOVE), EINVAL);
    char *shared = map(2, RW, MAP_SHARED | MAP_ANONYMOUS);
    memset(shared, 3, 2 * PAGE);
    CHECK(madvise(shared, PAGE, MADV_REMOVE) == 0 && shared[0] == 0 && shared[PAGE] == 3);
    close(fd);
    printf("removal\n");
}

static void populate(void)
{
    char *p = map(8, RW, ANON);
    CHECK(resident(p, 8) == 0 && madvise(p, 4 * PAGE, MADV_POPULATE_WRITE) == 0 &&
          resident(p, 8) == 4);
    CHECK(madvise(p + 4 * PAGE, PAGE, MADV_POPULATE_READ) == 0 && resident(p, 8) >= 4);
    char *ro = map(2, PROT_READ, ANON), *none = map(2, PROT_NONE, ANON);
    CHECK(madvise(ro, PAGE, MADV_POPULATE_READ) == 0);
    FAILS(madvise(ro, PAGE, MADV_POPULATE_WRITE), EINVAL);
    FAILS(madvise(none, PAGE, MADV_POPULATE_READ), EINVAL);
    CHECK(munmap(p + 6 * PAGE, PAGE) == 0);
    FAILS(madvise(p, 8 * PAGE, MADV_POPULATE_WRITE), ENOMEM);
    CHECK(resident(p, 6) == 6);
    int fd = memory_file(2);
    char *s = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
    CHECK(madvise(s, 2 * PAGE, MADV_POPULATE_WRITE) == 0);
    FAILS(madvise(s, 4 * PAGE, MADV_POPULATE_READ), EFAULT); /* past the end */
    close(fd);
    printf("populate\n");
}

static void errnos(void)
{
    char *p = map(4, RW, ANON);
    FAILS(madvise(p + 1, PAGE, MADV_NORMAL), EINVAL);
    FAILS(madvise(p, PAGE, 9999), EINVAL);
    FAILS(madvise(p, -PAGE, MADV_NORMAL), EINVAL);
    CHECK(madvise(p, 0, MADV_DONTNEED) == 0);
    CHECK(munmap(p + PAGE, PAGE) == 0);
    p[2 * PAGE] = 5;
    FAILS(madvise(p, 4 * PAGE, MADV_DONTNEED), ENOMEM);
    CHECK(p[2 * PAGE] == 0); /* what is mapped was advised */
    const int hints[] = {MADV_NORMAL,   MADV_RANDOM,   MADV_SEQUENTIAL,
                         MADV_WILLNEED, MADV_DONTDUMP, MADV_DODUMP};
    for (unsigned i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
        CHECK(madvise(p + 2 * PAGE, PAGE, hints[i]) == 0);
    p[2 * PAGE] = 6;
    CHECK(madvise(p + 2 * PAGE, PAGE, MADV_COLD) == 0 &&
          madvise(p + 2 * PAGE, PAGE, MADV_PAGEOUT) == 0 && p[2 * PAGE] == 6);
    char *shared = map(1, RW, MAP_SHARED | MAP_ANONYMOUS);
    FAILS(madvise(shared, PAGE, MADV_WIPEONFORK), EINVAL);
    printf("errnos of madvise\n");
}

static char *g_wiped, *g_absent, *g_kept;
static void child_looks(void)
{
    unsigned char v;
    CHECK(g_wiped[0] == 0 && g_wiped[PAGE] == 1 && g_kept[0] == 1);
    CHECK(mincore(g_absent, PAGE, &v) == -1 && errno == ENOMEM);
    CHECK(mincore(g_absent + PAGE, PAGE, &v) == 0);
    g_wiped[0] = 9;
    pid_t pid = fork(); /* the advice is inherited */
    if (pid == 0)
        _exit(g_wiped[0]);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}
static void at_fork(void)
{
    g_wiped = map(2, RW, ANON);
    g_absent = map(2, RW, ANON);
    g_kept = map(1, RW, ANON);
    memset(g_wiped, 1, 2 * PAGE);
    g_kept[0] = 1;
    CHECK(madvise(g_wiped, PAGE, MADV_WIPEONFORK) == 0 &&
          madvise(g_absent, PAGE, MADV_DONTFORK) == 0);
    CHECK(madvise(g_kept, PAGE, MADV_WIPEONFORK) == 0 &&
          madvise(g_kept, PAGE, MADV_KEEPONFORK) == 0);
    CHECK(in_child(child_looks) == 0 && g_wiped[0] == 1);
    printf("advice at fork\n");
}

static void child_is_limited(void)
{
    struct rlimit r = {3 * PAGE, 3 * PAGE};
    char *p = map(8, RW, ANON);
    CHECK(setrlimit(RLIMIT_MEMLOCK, &r) == 0);
    CHECK(mlock(p, 8 * PAGE) == 0 && munlock(p, 8 * PAGE) == 0); /* root may */
    CHECK(setuid(4242) == 0);
    FAILS(mlock(p, 4 * PAGE), ENOMEM);
    CHECK(mlock(p, 2 * PAGE) == 0 && mlock(p + PAGE, 2 * PAGE) == 0);
    FAILS(mlock(p + 3 * PAGE, 1), ENOMEM);
    FAILS(mmap(NULL, PAGE, RW, ANON | MAP_LOCKED, -1, 0), EAGAIN);
    FAILS(mlockall(MCL_CURRENT), ENOMEM);
    FAILS(mremap(p, 3 * PAGE, 20 * PAGE, MREMAP_MAYMOVE), EAGAIN);
    CHECK(munlock(p, PAGE) == 0 && mlock(p + 3 * PAGE, 1) == 0);
    CHECK(munlockall() == 0);
    r = (struct rlimit){0, 0};
    CHECK(setrlimit(RLIMIT_MEMLOCK, &r) == 0);
    FAILS(mlock(p, PAGE), EPERM);
    FAILS(mlockall(MCL_FUTURE), EPERM);
    FAILS(syscall(SYS_mmap, NULL, PAGE, RW, ANON | MAP_LOCKED, -1, 0), EPERM);
}
static void child_inherits_nothing(void)
{
    CHECK(locked_kb() == 0);
}
static void child_locks_all(void)
{
    CHECK(mlockall(MCL_FUTURE) == 0);
    char *p = map(4, RW, ANON);
    /* What a C library maps meanwhile is locked as well. */
    CHECK(resident(p, 4) == 4 && locked_kb() >= 16 && locked_kb() < 100);
    FAILS(madvise(p, PAGE, MADV_DONTNEED), EINVAL);
    CHECK(mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0);
    char *q = map(4, RW, ANON);
    CHECK(resident(q, 4) == 0 && locked_kb() > 100);
    CHECK(munlockall() == 0 && locked_kb() == 0);
    q = map(4, RW, ANON);
    CHECK(resident(q, 4) == 0);
}
static void locking(void)
{
    char *p = map(6, RW, ANON), *none = map(1, PROT_NONE, ANON);
    CHECK(mlock(p + 1, PAGE) == 0 && resident(p, 6) == 2 && locked_kb() == 8);
    FAILS(madvise(p, PAGE, MADV_DONTNEED), EINVAL);
    FAILS(msync(p, PAGE, MS_INVALIDATE), EBUSY);
    CHECK(in_child(child_inherits_nothing) == 0);
    CHECK(munlock(p, 6 * PAGE) == 0 && locked_kb() == 0 && madvise(p, PAGE, MADV_DONTNEED) == 0);
    CHECK(syscall(SYS_mlock2, p + 3 * PAGE, PAGE, MLOCK_ONFAULT) == 0 &&
          resident(p + 3 * PAGE, 1) == 0 && locked_kb() == 4);
    FAILS(syscall(SYS_mlock2, p, PAGE, 2), EINVAL);
    CHECK(munmap(p + 3 * PAGE, PAGE) == 0 && locked_kb() == 0);
    FAILS(mlock(p, 6 * PAGE), ENOMEM); /* a hole: locked up to it */
    CHECK(locked_kb() == 12 && munlock(p, 3 * PAGE) == 0);
    FAILS(munlock(p, 6 * PAGE), ENOMEM);
    FAILS(mlock(none, PAGE), ENOMEM);
    CHECK(munlock(none, PAGE) == 0);
    FAILS(mlock(p, -PAGE), EINVAL);
    FAILS(mlockall(0), EINVAL);
    FAILS(mlockall(MCL_ONFAULT), EINVAL);
    FAILS(mlockall(64), EINVAL);
    char *l = mmap(NULL, 2 * PAGE, RW, ANON | MAP_LOCKED, -1, 0);
    CHECK(l != MAP_FAILED && resident(l, 2) == 2 && locked_kb() == 8 && munmap(l, 2 * PAGE) == 0);
    printf("locking\n");
    CHECK(in_child(child_locks_all) == 0);
    if (getuid() == 0)
        CHECK(in_child(child_is_limited) == 0);
    printf("locking all, limits\n");
}

static void syncing(void)
{
    char name[] = "/tmp/guest-msync-XXXXXX", text[4];
    int fd = mkstemp(name);
    CHECK(fd >= 0 && unlink(name) == 0 && ftruncate(fd, 2 * PAGE) == 0);
    char *s = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0), *anon = map(1, RW, ANON);
    memcpy(s, "sync", 4);
    CHECK(msync(s, 2 * PAGE, MS_SYNC) == 0 && pread(fd, text, 4, 0) == 4 &&
          memcmp(text, "sync", 4) == 0);
    CHECK(msync(s, PAGE, MS_ASYNC) == 0 && msync(s, PAGE, MS_ASYNC | MS_INVALIDATE) == 0 &&
          msync(anon, PAGE, MS_SYNC) == 0);
    FAILS(msync(s, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
    FAILS(msync(s, PAGE, 64), EINVAL);
    FAILS(msync(s + 1, PAGE, MS_SYNC), EINVAL);
    CHECK(munmap(s + PAGE, PAGE) == 0);
    FAILS(msync(s, 2 * PAGE, MS_SYNC), ENOMEM);
    close(fd);
    printf("syncing\n");
}

int main(void)
{
    dontneed();
    removal();
    populate();
    errnos();
    at_fork();
    locking();
    syncing();
    return 0;
}
