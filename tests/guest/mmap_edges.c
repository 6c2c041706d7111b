/* mmap, munmap, mprotect, brk at their edges: flags, errnos, splits, populated pages, growing stacks, the end of files. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define PAGE 4096ul
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 3
#endif
#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif
#define FAILS(call, number) CHECK((errno = 0, (long)(call) == -1) && errno == (number))

static char *map(unsigned long pages, int prot, int flags)
{
    char *p = mmap(NULL, pages * PAGE, prot, flags, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

static sigjmp_buf g_back;
static siginfo_t g_fault;
static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    g_fault = *info;
    siglongjmp(g_back, sig);
}
/* The signal that touching an address gives; 0: none. */
static int touch(volatile char *p, int write)
{
    int sig = sigsetjmp(g_back, 1);
    if (sig == 0) {
        char c = *p;
        if (write)
            *p = c;
    }
    return sig;
}

static int resident(void *p)
{
    unsigned char v;
    CHECK(mincore(p, PAGE, &v) == 0);
    return v & 1;
}

/* Permissions of the mapping that holds p, from /proc/self/maps; "" when there is none. */
static const char *listed(const void *p)
{
    static char perms[8];
    char line[512];
    FILE *f = fopen("/proc/self/maps", "r");
    CHECK(f);
    perms[0] = '\0';
    while (fgets(line, sizeof(line), f)) {
        unsigned long start, end;
        char now[8];
        CHECK(sscanf(line, "%lx-%lx %7s", &start, &end, now) == 3);
        if ((unsigned long)p >= start && (unsigned long)p < end)
            strcpy(perms, now);
    }
    fclose(f);
    return perms;
}

static void errnos(void)
{
    int fd = open("/proc/self/exe", O_RDONLY), pipes[2];
    CHECK(fd >= 0 && pipe(pipes) == 0);
    FAILS(mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0), EINVAL);
    FAILS(mmap(NULL, PAGE, RW, 0, fd, 0), EINVAL);
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 1), EINVAL);
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0), EBADF);
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, pipes[0], 0), ENODEV);
    FAILS(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), EACCES);
    FAILS(mmap(NULL, -PAGE, RW, ANON, -1, 0), ENOMEM);
    FAILS(mmap(NULL, 1ul << 47, RW, ANON | MAP_NORESERVE, -1, 0), ENOMEM);
    FAILS(mmap((void *)(PAGE + 1), PAGE, RW, ANON | MAP_FIXED, -1, 0), EINVAL);
    FAILS(syscall(SYS_mmap, NULL, PAGE * 2, PROT_READ, MAP_PRIVATE, fd, -PAGE), EOVERFLOW);
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0), EINVAL);
    FAILS(munmap((void *)1, PAGE), EINVAL);
    FAILS(munmap(NULL, 0), EINVAL);
    FAILS(munmap((void *)PAGE, -PAGE), EINVAL);
    CHECK(munmap((void *)0x10000, PAGE) == 0); /* nothing there is fine */
    close(fd);
    close(pipes[0]);
    close(pipes[1]);
    printf("errnos of mmap and munmap\n");
}

static void validated(void)
{
    char name[] = "/tmp/guest-mmap-XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0 && unlink(name) == 0 && ftruncate(fd, PAGE) == 0);
    char *p = mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE, fd, 0);
    CHECK(p != MAP_FAILED);
    FAILS(mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0), EOPNOTSUPP);
    FAILS(mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | (1 << 22), fd, 0), EOPNOTSUPP);
    CHECK(mmap(NULL, PAGE, RW, MAP_SHARED | (1 << 22), fd, 0) !=
          MAP_FAILED); /* the old type ignores it */
    FAILS(mmap(NULL, 2ul << 20, RW, ANON | MAP_HUGETLB, -1, 0), ENOMEM);
    FAILS(mmap(NULL, 2ul << 20, RW, MAP_SHARED | MAP_HUGETLB, fd, 0), EINVAL);
    close(fd);
    printf("validated and huge\n");
}

static void fixed_places(void)
{
    char *p = map(8, RW, ANON);
    memset(p, 1, 8 * PAGE);
    FAILS(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
    FAILS(mmap(p - PAGE, 2 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
    CHECK(munmap(p + 2 * PAGE, PAGE) == 0);
    CHECK(mmap(p + 2 * PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == p + 2 * PAGE &&
          p[2 * PAGE] == 0);
    CHECK(mmap(p + 4 * PAGE, 2 * PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0) == p + 4 * PAGE &&
          p[4 * PAGE] == 0);
    CHECK(p[3 * PAGE] == 1 && p[6 * PAGE] == 1 && touch(p + 5 * PAGE, 1) == SIGSEGV);
    CHECK(munmap(p + 6 * PAGE, 2 * PAGE) == 0);
    char *hint = mmap(p + 6 * PAGE, 2 * PAGE, RW, ANON, -1, 0); /* a free hint is taken */
    CHECK(hint == p + 6 * PAGE && mmap(p, PAGE, RW, ANON, -1, 0) != p);
    char *low = mmap(NULL, PAGE, RW, ANON | MAP_32BIT, -1, 0);
    CHECK(low != MAP_FAILED && (unsigned long)low < 1ul << 31);
    CHECK(munmap(p, 8 * PAGE) == 0 && listed(p)[0] == '\0');
    printf("fixed places\n");
}

static void protection(void)
{
    char *p = map(5, RW, ANON);
    FAILS(syscall(SYS_mprotect, p + 1, PAGE, PROT_READ), EINVAL); /* musl rounds down */
    FAILS(mprotect(p, PAGE, 0x40), EINVAL);
    FAILS(mprotect(p, PAGE, PROT_GROWSDOWN | PROT_GROWSUP | PROT_READ), EINVAL);
    FAILS(mprotect(p, PAGE, PROT_GROWSDOWN | PROT_READ), EINVAL);
    CHECK(mprotect(p + PAGE, 0, PROT_NONE) == 0);
    CHECK(mprotect(p + PAGE, PAGE, PROT_READ) == 0 && mprotect(p + 3 * PAGE, PAGE, PROT_NONE) == 0);
    CHECK(strcmp(listed(p), "rw-p") == 0 && strcmp(listed(p + PAGE), "r--p") == 0);
    CHECK(strcmp(listed(p + 3 * PAGE), "---p") == 0 && strcmp(listed(p + 4 * PAGE), "rw-p") == 0);
    CHECK(touch(p + PAGE, 0) == 0 && touch(p + PAGE, 1) == SIGSEGV &&
          g_fault.si_code == SEGV_ACCERR && g_fault.si_addr == p + PAGE);
    CHECK(touch(p + 3 * PAGE, 0) == SIGSEGV && g_fault.si_code == SEGV_ACCERR);
    CHECK(munmap(p + 3 * PAGE, PAGE) == 0);
    CHECK(touch(p + 3 * PAGE + 7, 0) == SIGSEGV && g_fault.si_code == SEGV_MAPERR &&
          g_fault.si_addr == p + 3 * PAGE + 7);
    /* What lies before the hole is changed all the same. */
    FAILS(mprotect(p, 5 * PAGE, PROT_READ), ENOMEM);
    CHECK(touch(p, 1) == SIGSEGV && touch(p + 4 * PAGE, 1) == 0);
    FAILS(syscall(SYS_pkey_mprotect, p, PAGE, RW, 5), EINVAL);
    CHECK(syscall(SYS_pkey_mprotect, p, PAGE, RW, -1) == 0 && touch(p, 1) == 0);
    FAILS(syscall(SYS_pkey_alloc, 1, 0), EINVAL);
    FAILS(syscall(SYS_pkey_alloc, 0, 4), EINVAL);
    FAILS(syscall(SYS_pkey_free, 9), EINVAL);
    printf("protection\n");
}

static void end_of_file(void)
{
    char name[] = "/tmp/guest-mmap-XXXXXX", text[10];
    int fd = mkstemp(name);
    CHECK(fd >= 0 && unlink(name) == 0 && write(fd, "0123456789", 10) == 10);
    char *s = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0),
         *p = mmap(NULL, 3 * PAGE, RW, MAP_PRIVATE, fd, 0);
    CHECK(s != MAP_FAILED && p != MAP_FAILED && s[9] == '9' && s[10] == 0 && p[PAGE - 1] == 0);
    CHECK(touch(s + PAGE, 0) == SIGBUS && g_fault.si_code == BUS_ADRERR &&
          g_fault.si_addr == s + PAGE);
    CHECK(touch(p + PAGE, 1) == SIGBUS);
    s[10] = 'x'; /* past the end, in the last page: not part of the file */
    CHECK(pread(fd, text, 10, 5) == 5);
    CHECK(ftruncate(fd, 2 * PAGE) == 0 && touch(s + PAGE, 1) == 0 &&
          touch(s + 2 * PAGE, 0) == SIGBUS);
    p[0] = 'p';
    CHECK(ftruncate(fd, 0) == 0 && touch(s, 0) == SIGBUS && touch(p, 0) == SIGBUS);
    CHECK(ftruncate(fd, PAGE) == 0 && s[0] == 0 &&
          p[0] == 0); /* private copies went with the page */
    CHECK(pwrite(fd, "abc", 3, 0) == 3 && memcmp(s, "abc", 3) == 0);
    s[1] = 'B';
    CHECK(pread(fd, text, 3, 0) == 3 && memcmp(text, "aBc", 3) == 0);
    FAILS(read(fd, s + PAGE, 10), EFAULT); /* a copy past the end is no signal */
    close(fd);
    CHECK(s[1] == 'B');
    CHECK(munmap(s, 3 * PAGE) == 0 && munmap(p, 3 * PAGE) == 0);
    printf("the end of files\n");
}

static void populated(void)
{
    char *p = map(4, RW, ANON);
    CHECK(!resident(p) && !resident(p + 3 * PAGE));
    p[PAGE] = 1;
    CHECK(resident(p + PAGE) && !resident(p));
    char *q = map(4, RW, ANON | MAP_POPULATE);
    CHECK(resident(q) && resident(q + 3 * PAGE));
    char *none = map(1, PROT_NONE, ANON | MAP_POPULATE);
    CHECK(!resident(none));
    unsigned char v[4];
    FAILS(mincore(p + 1, PAGE, v), EINVAL);
    FAILS(mincore(p, 4 * PAGE, NULL), EFAULT);
    CHECK(munmap(none, PAGE) == 0);
    FAILS(mincore(none, PAGE, v), ENOMEM);
    printf("populated\n");
}

/* Reads by a system call below what the stack has reached: the kernel grows it, as it does for an ordinary touch. */
static void __attribute__((noinline)) deep_read(int fd)
{
    char buffer[600 * 1024];
    CHECK(read(fd, buffer, 16) == 16 && buffer[15] == 0);
}
static void growing(void)
{
    int zero = open("/dev/zero", O_RDONLY), pipes[2];
    CHECK(zero >= 0 && pipe(pipes) == 0);
    deep_read(zero);
    char *room = map(1024, PROT_NONE, ANON);
    char *top = room + 1023 * PAGE;
    CHECK(munmap(room, 1024 * PAGE) == 0);
    char *p = mmap(top, PAGE, RW, ANON | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
    CHECK(p == top);
    CHECK(touch(p - 1, 1) == 0 && touch(p - 40 * PAGE, 1) == 0);
    CHECK(read(zero, p - 60 * PAGE, 100) == 100);
    CHECK(write(pipes[1], "0123456789", 10) == 10 && read(pipes[0], p - 80 * PAGE, 10) == 10 &&
          p[-80 * (long)PAGE] == '0');
    CHECK(touch(p - 70 * PAGE, 0) == 0);
    close(zero);
    printf("growing down\n");
}

static void break_of_data(void)
{
    unsigned long start = syscall(SYS_brk, 0);
    CHECK((unsigned long)syscall(SYS_brk, start + 3) == start + 3);
    CHECK((unsigned long)syscall(SYS_brk, start + 10 * PAGE) == start + 10 * PAGE);
    char *last = (char *)start + 10 * PAGE - 1;
    *last = 5;
    CHECK((unsigned long)syscall(SYS_brk, start) == start &&
          (unsigned long)syscall(SYS_brk, start + 10 * PAGE) == start + 10 * PAGE);
    CHECK(*last == 0);
    /* In the way of the next step: refused, the old value is the answer. */
    unsigned long top = (start + 10 * PAGE + PAGE - 1) & -PAGE;
    CHECK(mmap((void *)(top + PAGE), PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) ==
          (void *)(top + PAGE));
    CHECK((unsigned long)syscall(SYS_brk, top + 5 * PAGE) == start + 10 * PAGE);
    CHECK((unsigned long)syscall(SYS_brk, start) == start);
    printf("brk\n");
}

static void limits(void)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit old, r;
        CHECK(getrlimit(RLIMIT_AS, &old) == 0);
        char *p = map(4, RW, ANON);
        r = (struct rlimit){PAGE, old.rlim_max};
        CHECK(setrlimit(RLIMIT_AS, &r) == 0);
        FAILS(mmap(NULL, PAGE, RW, ANON, -1, 0), ENOMEM);
        FAILS(mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE), ENOMEM);
        FAILS(mmap(p, 4 * PAGE, RW, ANON | MAP_FIXED, -1, 0),
              ENOMEM); /* though it replaces as much */
        CHECK(setrlimit(RLIMIT_AS, &old) == 0);

        CHECK(getrlimit(RLIMIT_DATA, &old) == 0);
        r = (struct rlimit){PAGE, old.rlim_max};
        CHECK(setrlimit(RLIMIT_DATA, &r) == 0);
        FAILS(mmap(NULL, PAGE, RW, ANON, -1, 0), ENOMEM);
        char *ro = mmap(NULL, PAGE, PROT_READ, ANON, -1, 0);
        CHECK(ro != MAP_FAILED &&
              mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
        FAILS(mprotect(ro, PAGE, RW), ENOMEM);
        unsigned long end = syscall(SYS_brk, 0);
        CHECK((unsigned long)syscall(SYS_brk, end + 16 * PAGE) == end);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    printf("limits\n");
}

static void remapped_pages(void)
{
    char name[] = "/tmp/guest-mmap-XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0 && unlink(name) == 0 && ftruncate(fd, 3 * PAGE) == 0);
    char *p = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);
    for (int i = 0; i < 3; i++)
        p[i * PAGE] = 'a' + i;
    CHECK(syscall(SYS_remap_file_pages, p, PAGE, 0, 2, 0) == 0 && p[0] == 'c' && p[PAGE] == 'b');
    FAILS(syscall(SYS_remap_file_pages, p, PAGE, PROT_READ, 2, 0), EINVAL);
    char *anon = map(1, RW, ANON);
    FAILS(syscall(SYS_remap_file_pages, anon, PAGE, 0, 0, 0), EINVAL);
    close(fd);
    /* Without a file: one by one backwards, then all at once over what are four mappings by now. */
    p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 4; i++)
        p[i * PAGE] = '0' + i;
    for (int i = 0; i < 4; i++)
        CHECK(syscall(SYS_remap_file_pages, p + i * PAGE, PAGE, 0, 3 - i, 0) == 0);
    CHECK(p[0] == '3' && p[PAGE] == '2' && p[2 * PAGE] == '1' && p[3 * PAGE] == '0');
    p[0] = 'x';
    CHECK(syscall(SYS_remap_file_pages, p, 4 * PAGE, 0, 0, 0) == 0);
    CHECK(p[0] == '0' && p[PAGE] == '1' && p[2 * PAGE] == '2' && p[3 * PAGE] == 'x');
    FAILS(syscall(SYS_remap_file_pages, p, 5 * PAGE, 0, 0, 0), EINVAL);
    FAILS(syscall(SYS_remap_file_pages, p, 0, 0, 0, 0), EINVAL);
    FAILS(syscall(SYS_remap_file_pages, p, PAGE, 0, ~0ul, 0), EINVAL);
    CHECK(mprotect(p + PAGE, PAGE, PROT_READ) == 0);
    FAILS(syscall(SYS_remap_file_pages, p, 2 * PAGE, 0, 0, 0), EINVAL);
    CHECK(munmap(p + 2 * PAGE, PAGE) == 0);
    FAILS(syscall(SYS_remap_file_pages, p + PAGE, 2 * PAGE, 0, 0, 0), EINVAL);
    printf("remap_file_pages\n");
}

static void many_pieces(void)
{
    enum { COUNT = 600 };
    char *p = map(COUNT, RW, ANON);
    memset(p, 7, COUNT * PAGE);
    for (int i = 0; i < COUNT; i += 2)
        CHECK(mprotect(p + i * PAGE, PAGE, PROT_READ) == 0);
    for (int i = 0; i < COUNT; i++)
        CHECK(p[i * PAGE] == 7 && touch(p + i * PAGE, 1) == (i % 2 ? 0 : SIGSEGV));
    for (int i = 1; i < COUNT; i += 2)
        CHECK(munmap(p + i * PAGE, PAGE) == 0);
    CHECK(mprotect(p, PAGE, RW) == 0 && touch(p, 1) == 0 && touch(p + PAGE, 0) == SIGSEGV);
    CHECK(munmap(p, COUNT * PAGE) == 0);
    printf("many pieces\n");
}

int main(void)
{
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSEGV, &act, NULL) == 0 && sigaction(SIGBUS, &act, NULL) == 0);
    errnos();
    validated();
    fixed_places();
    protection();
    end_of_file();
    populated();
    growing();
    break_of_data();
    limits();
    remapped_pages();
    many_pieces();
    return 0;
}
