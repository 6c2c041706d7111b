/* mremap in all modes: growing in place and by moving, shrinking, fixed targets, a second view, leaving the old range, across VMAs. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

#define PAGE 4096ul
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define FAILS(call, number) CHECK((errno = 0, (long)(call) == -1) && errno == (number))

static char *map(unsigned long pages, int prot, int flags)
{
    char *p = mmap(NULL, pages * PAGE, prot, flags, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}
static char *file(unsigned long pages, int flags, int *fd)
{
    char name[] = "/tmp/guest-mremap-XXXXXX";
    *fd = mkstemp(name);
    CHECK(*fd >= 0 && unlink(name) == 0 && ftruncate(*fd, pages * PAGE) == 0);
    for (unsigned long i = 0; i < pages; i++) {
        char c = 'a' + i;
        CHECK(pwrite(*fd, &c, 1, i * PAGE) == 1);
    }
    char *p = mmap(NULL, pages * PAGE, RW, flags, *fd, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

static sigjmp_buf g_back;
static void on_fault(int sig)
{
    siglongjmp(g_back, sig);
}
static int touch(volatile char *p)
{
    int sig = sigsetjmp(g_back, 1);
    if (sig == 0)
        *p = *p;
    return sig;
}

static void errnos(void)
{
    char *p = map(4, RW, ANON);
    FAILS(mremap(p + 1, PAGE, PAGE, 0), EINVAL);
    FAILS(mremap(p, PAGE, 0, 0), EINVAL);
    FAILS(mremap(p, PAGE, PAGE, 64), EINVAL);
    FAILS(mremap(p, PAGE, PAGE, MREMAP_FIXED, p + PAGE), EINVAL);
    FAILS(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 1), EINVAL);
    FAILS(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE), EINVAL);
    FAILS(mremap(p, 0, PAGE, MREMAP_MAYMOVE), EINVAL); /* private */
    FAILS(mremap(p, PAGE, PAGE, MREMAP_DONTUNMAP, NULL), EINVAL);
    FAILS(mremap(p, PAGE, 2 * PAGE, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, NULL), EINVAL);
    CHECK(munmap(p, 4 * PAGE) == 0);
    FAILS(mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
    p = map(4, RW, ANON);
    CHECK(mprotect(p + PAGE, PAGE, PROT_READ) == 0);
    FAILS(mremap(p, 3 * PAGE, 5 * PAGE, MREMAP_MAYMOVE),
          EFAULT); /* more than one mapping cannot grow */
    CHECK(munmap(p, 4 * PAGE) == 0);
    printf("errnos\n");
}

static void sizes(void)
{
    char *p = map(16, RW, ANON);
    for (int i = 0; i < 16; i++)
        p[i * PAGE] = i;
    CHECK(mremap(p, 16 * PAGE, 8 * PAGE, 0) == p && p[7 * PAGE] == 7 &&
          touch(p + 8 * PAGE) == SIGSEGV);
    CHECK(mremap(p, 8 * PAGE, 12 * PAGE, 0) == p && p[7 * PAGE] == 7 &&
          p[8 * PAGE] == 0); /* room is there */
    CHECK(mremap(p, 12 * PAGE - 5, 12 * PAGE - 7, 0) == p);
    char *block = mmap(p + 12 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0);
    CHECK(block == p + 12 * PAGE && mprotect(block, PAGE, PROT_READ) == 0);
    FAILS(mremap(p, 12 * PAGE, 13 * PAGE, 0), ENOMEM);
    char *q = mremap(p, 12 * PAGE, 300 * PAGE, MREMAP_MAYMOVE);
    CHECK(q != MAP_FAILED && q != p && q[7 * PAGE] == 7 && q[299 * PAGE] == 0 &&
          touch(p) == SIGSEGV);
    q[299 * PAGE] = 9;
    /* The middle, moved out: what is left are two pieces. */
    char *middle = mremap(q + PAGE, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
    CHECK(middle != MAP_FAILED && middle[0] == 1 && middle[PAGE] == 2 && middle[2 * PAGE] == 0);
    CHECK(touch(q + PAGE) == SIGSEGV && touch(q + 2 * PAGE) == SIGSEGV && q[0] == 0 &&
          q[3 * PAGE] == 3 && q[299 * PAGE] == 9);
    printf("sizes\n");
}

static void fixed(void)
{
    char *p = map(4, RW, ANON), *to = map(8, RW, ANON);
    memset(p, 3, 4 * PAGE);
    memset(to, 4, 8 * PAGE);
    CHECK(mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + 2 * PAGE) ==
          to + 2 * PAGE);
    CHECK(to[PAGE] == 4 && to[2 * PAGE] == 3 && to[5 * PAGE] == 3 && to[6 * PAGE] == 4 &&
          touch(p) == SIGSEGV);
    /* Shrinking and growing on the way. */
    CHECK(mremap(to, 4 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p && p[0] == 4 &&
          touch(to) == SIGSEGV && touch(to + PAGE) == SIGSEGV && to[4 * PAGE] == 3);
    CHECK(mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to && to[0] == 4 &&
          to[PAGE] == 0);
    CHECK(mprotect(to, PAGE, PROT_READ) == 0);
    char *ro = mremap(to, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p);
    CHECK(ro == p && touch(ro) == SIGSEGV && ro[0] == 4); /* protection moves with it */
    printf("fixed\n");
}

static void files(void)
{
    int fd;
    char *s = file(6, MAP_SHARED, &fd);
    CHECK(mremap(s, 6 * PAGE, 2 * PAGE, 0) == s);
    char *moved = mremap(s, 2 * PAGE, 6 * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && moved[0] == 'a' && moved[5 * PAGE] == 'f');
    char *part = mremap(moved + 2 * PAGE, PAGE, 3 * PAGE, MREMAP_MAYMOVE);
    CHECK(part != MAP_FAILED && part[0] == 'c' && part[2 * PAGE] == 'e' && moved[3 * PAGE] == 'd');
    part[2 * PAGE] = 'E';
    char c;
    CHECK(pread(fd, &c, 1, 4 * PAGE) == 1 && c == 'E');
    char *view = mremap(moved, 0, 2 * PAGE, MREMAP_MAYMOVE); /* a second view */
    CHECK(view != MAP_FAILED && view != moved && view[0] == 'a');
    view[0] = 'A';
    CHECK(moved[0] == 'A');
    char *beyond = mremap(part, 3 * PAGE, 6 * PAGE, MREMAP_MAYMOVE);
    CHECK(beyond != MAP_FAILED && beyond[3 * PAGE] == 'f' && touch(beyond + 4 * PAGE) == SIGBUS);
    close(fd);
    char *p = file(3, MAP_PRIVATE, &fd);
    p[PAGE] = 'X';
    p = mremap(p, 3 * PAGE, 40 * PAGE, MREMAP_MAYMOVE);
    CHECK(p != MAP_FAILED && p[0] == 'a' && p[PAGE] == 'X' && p[2 * PAGE] == 'c' &&
          touch(p + 3 * PAGE) == SIGBUS);
    CHECK(pread(fd, &c, 1, PAGE) == 1 && c == 'b');
    close(fd);
    char *anon = map(2, RW, MAP_SHARED | MAP_ANONYMOUS);
    anon[0] = 's';
    char *again = mremap(anon, 0, PAGE, MREMAP_MAYMOVE);
    CHECK(again != MAP_FAILED && again[0] == 's');
    again[0] = 't';
    CHECK(anon[0] == 't');
    printf("files and views\n");
}

static void left_behind(void)
{
    char *p = map(4, RW, ANON);
    memset(p, 5, 4 * PAGE);
    char *q = mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    CHECK(q != MAP_FAILED && q != p && q[0] == 5 && q[3 * PAGE] == 5 && p[0] == 0 &&
          p[3 * PAGE] == 0);
    p[0] = 6;
    CHECK(q[0] == 5);
    char *to = map(4, PROT_NONE, ANON);
    CHECK(mremap(q, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED, to) ==
          to);
    CHECK(to[PAGE] == 5 && q[PAGE] == 0 && q[2 * PAGE] == 5);
    int fd;
    char *s = file(2, MAP_SHARED, &fd);
    char *t = mremap(s, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    CHECK(t != MAP_FAILED && t[PAGE] == 'b' && s[PAGE] == 'b');
    t[PAGE] = 'z';
    CHECK(s[PAGE] == 'z');
    close(fd);
    char *f = file(2, MAP_PRIVATE, &fd);
    f[0] = 'x';
    char *g = mremap(f, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    CHECK(g != MAP_FAILED && g[0] == 'x' && g[PAGE] == 'b' && f[0] == 'a' && f[PAGE] == 'b');
    close(fd);
    printf("left behind\n");
}

static void heap_and_stack(void)
{
    /* realloc of large blocks is mremap. */
    char *p = malloc(1 << 20);
    CHECK(p);
    memset(p, 1, 1 << 20);
    for (int i = 0; i < 20; i++) {
        p = realloc(p, (1 << 20) + i * 300000);
        CHECK(p && p[0] == 1 && p[(1 << 20) - 1] == 1);
    }
    free(p);
    printf("realloc\n");
}

int main(void)
{
    struct sigaction act = {.sa_handler = on_fault};
    CHECK(sigaction(SIGSEGV, &act, NULL) == 0 && sigaction(SIGBUS, &act, NULL) == 0);
    errnos();
    sizes();
    fixed();
    files();
    left_behind();
    heap_and_stack();
    return 0;
}
