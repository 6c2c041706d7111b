/* Holes, allocation, big offsets, vectors with flags, files without a name; in a tmpfs and on the root file system. */
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "show.h"

#ifndef FALLOC_FL_KEEP_SIZE /* linux/falloc.h, which musl's compiler does not see */
#define FALLOC_FL_KEEP_SIZE 1
#define FALLOC_FL_PUNCH_HOLE 2
#endif

static int fresh(const char *name)
{
    int fd = open(name, O_CREAT | O_TRUNC | O_RDWR, 0644);
    CHECK(fd >= 0);
    return fd;
}

static void show_map(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END), at = 0;
    printf("  size %lld:", (long long)size);
    while (at < size) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0) {
            CHECK(errno == ENXIO);
            break;
        }
        off_t hole = lseek(fd, data, SEEK_HOLE);
        CHECK(hole > data);
        printf(" %lld-%lld", (long long)data, (long long)hole);
        at = hole;
    }
    printf("\n");
}

static void holes(void)
{
    char block[4096];
    memset(block, 'x', sizeof(block));
    int fd = fresh("holes");
    SHOW(lseek(fd, 0, SEEK_DATA));
    SHOW(lseek(fd, 0, SEEK_HOLE));
    CHECK(write(fd, "abc", 3) == 3);
    SHOW(lseek(fd, 1, SEEK_DATA));
    SHOW(lseek(fd, 1, SEEK_HOLE));
    SHOW(lseek(fd, 3, SEEK_DATA));
    SHOW(lseek(fd, -1, SEEK_DATA));
    SHOW(lseek(fd, -1, SEEK_HOLE));
    SHOW(lseek(fd, 0, 5));
    /* small */
    CHECK(ftruncate(fd, 0) == 0 && ftruncate(fd, 32768) == 0);
    show_map(fd);
    CHECK(pwrite(fd, block, 4096, 8192) == 4096 && pwrite(fd, block, 100, 20000) == 100);
    show_map(fd);
    /* large */
    CHECK(ftruncate(fd, 8 << 20) == 0 && pwrite(fd, block, 4096, 4 << 20) == 4096);
    show_map(fd);
    CHECK(pwrite(fd, block, 4096, (6 << 20) + 4096) == 4096);
    show_map(fd);
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 << 20, 4096));
    show_map(fd);
    CHECK(pread(fd, block, 4096, 4 << 20) == 4096 && block[0] == 0 && block[4095] == 0);
    /* part of a page becomes zero, the rest stays */
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (6 << 20) + 4096 + 100, 200));
    CHECK(pread(fd, block, 4096, (6 << 20) + 4096) == 4096);
    printf("  %d %d %d %d\n", block[99], block[100], block[299], block[300]);
    show_map(fd);
    CHECK(ftruncate(fd, (6 << 20) + 4096 + 10) == 0);
    show_map(fd);
    /* through a mapping */
    CHECK(ftruncate(fd, 1 << 20) == 0);
    char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED);
    p[512 << 10] = 'm';
    CHECK(munmap(p, 1 << 20) == 0);
    show_map(fd);
    SHOW(lseek(fd, 3, SEEK_SET));
    SHOW(lseek(fd, 0, SEEK_CUR));
    CHECK(close(fd) == 0);
}

static void allocation(void)
{
    struct stat st;
    int fd = fresh("allocated");
    SHOW(fallocate(fd, 0, 0, 0));
    SHOW(fallocate(fd, 0, -1, 10));
    SHOW(fallocate(fd, 0, 10, -1));
    SHOW(fallocate(fd, 0, LLONG_MAX, 10));
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10));
    SHOW(fallocate(fd, 0, 100, 1000));
    CHECK(fstat(fd, &st) == 0);
    printf("size %ld\n", (long)st.st_size);
    SHOW(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100000));
    CHECK(fstat(fd, &st) == 0);
    printf("size %ld\n", (long)st.st_size);
    SHOW(posix_fallocate(fd, 0, 5000));
    CHECK(fstat(fd, &st) == 0);
    printf("size %ld\n", (long)st.st_size);
    int read_only = open("allocated", O_RDONLY), path = open("allocated", O_PATH),
        dir = open(".", O_RDONLY), p[2];
    CHECK(pipe(p) == 0);
    SHOW(fallocate(read_only, 0, 0, 10));
    SHOW(fallocate(path, 0, 0, 10));
    SHOW(fallocate(dir, 0, 0, 10));
    SHOW(fallocate(p[1], 0, 0, 10));
    close(read_only), close(path), close(dir), close(p[0]), close(p[1]), close(fd);
}

static void big(void)
{
    char text[8] = "";
    int fd = fresh("big");
    const off_t far = 5ll << 30;
    SHOW(pwrite(fd, "end", 3, far));
    SHOW(lseek(fd, 0, SEEK_END) == far + 3);
    SHOW(pread(fd, text, 8, far - 2));
    printf("  %d %d %.3s\n", text[0], text[1], text + 2);
    SHOW(lseek(fd, far - 1, SEEK_SET) == far - 1);
    SHOW(write(fd, "##", 2));
    SHOW(pread(fd, text, 8, far - 2));
    printf("  %.4s\n", text + 1);
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, far - 4096);
    CHECK(p != MAP_FAILED);
    printf("  %.4s\n", p + 4095);
    p[4097] = '!';
    SHOW(pread(fd, text, 3, far));
    printf("  %.3s\n", text);
    CHECK(munmap(p, 8192) == 0);
    show_map(fd);
    SHOW(ftruncate(fd, 1ll << 40));
    SHOW(lseek(fd, 0, SEEK_END) == 1ll << 40);
    SHOW(ftruncate(fd, 10));
    SHOW(pread(fd, text, 8, 5));
    struct iovec v[2] = {{text, 4}, {text + 4, 4}};
    SHOW(preadv(fd, v, 2, far));
    SHOW(lseek(fd, LLONG_MAX, SEEK_SET) >= -1);
    SHOW(lseek(fd, 1, SEEK_CUR) == -1 || 1);
    CHECK(close(fd) == 0 && unlink("big") == 0);
}

#ifndef RWF_APPEND
#define RWF_APPEND 0x10
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif
/* The system calls themselves: C libraries emulate some flags. */
static long preadv2_(int fd, struct iovec *v, int count, long offset, int flags)
{
    return syscall(SYS_preadv2, fd, v, count, offset, 0, flags);
}
static long pwritev2_(int fd, struct iovec *v, int count, long offset, int flags)
{
    return syscall(SYS_pwritev2, fd, v, count, offset, 0, flags);
}

static void vectors(void)
{
    char a[4] = "abc", b[4] = "def", c[16] = "";
    struct iovec out[2] = {{a, 3}, {b, 3}}, in[2] = {{c, 4}, {c + 4, 12}};
    int fd = fresh("vectors");
    SHOW(pwritev2_(fd, out, 2, 0, 0));
    SHOW(pwritev2_(fd, out, 2, -1, 0));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(preadv2_(fd, in, 2, 2, 0));
    printf("  %s\n", c);
    SHOW(preadv2_(fd, in, 2, 0, RWF_NOWAIT));
    SHOW(pwritev2_(fd, out, 1, 0, RWF_APPEND));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(lseek(fd, 1, SEEK_SET));
    SHOW(pwritev2_(fd, out, 1, -1, RWF_APPEND));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(pwritev2_(fd, out, 2, 0, 2 /* RWF_DSYNC */));
    SHOW(preadv2_(fd, in, 2, 0, 1 << 30));
    SHOW(pwritev2_(fd, out, 2, 0, 1 << 30));
    SHOW(preadv2_(fd, in, 2, -2, 0));
    SHOW(preadv2_(fd, in, 1025, 0, 0));
    SHOW(preadv2_(fd, NULL, 1, 0, 0));
    SHOW(preadv2_(fd, NULL, 0, 0, 0));
    int p[2];
    CHECK(pipe(p) == 0);
    SHOW(pwritev2_(p[1], out, 2, -1, 0));
    SHOW(pwritev2_(p[1], out, 2, 0, 0));
    SHOW(preadv2_(p[0], in, 2, -1, 0));
    close(p[0]), close(p[1]), close(fd);
}

static void nameless(void)
{
    struct stat st;
    char text[8] = "", path[64];
    int fd = open(".", O_TMPFILE | O_RDWR, 0640);
    CHECK(fd >= 0 && write(fd, "hidden", 6) == 6 && fstat(fd, &st) == 0);
    printf("nameless: links %d mode %o\n", (int)st.st_nlink, st.st_mode);
    SHOW(linkat(fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
    CHECK(fstat(fd, &st) == 0);
    printf("links %d\n", (int)st.st_nlink);
    int again = open("named", O_RDONLY);
    SHOW(read(again, text, 8));
    SHOW(unlink("named"));
    SHOW(linkat(fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
    close(again), close(fd);
    fd = open(".", O_TMPFILE | O_WRONLY, 0600);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    SHOW(linkat(AT_FDCWD, path, AT_FDCWD, "by-proc", AT_SYMLINK_FOLLOW));
    SHOW(unlink("by-proc"));
    close(fd);
    fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
    CHECK(fd >= 0);
    SHOW(linkat(fd, "", AT_FDCWD, "never", AT_EMPTY_PATH));
    close(fd);
    SHOW(open(".", O_TMPFILE | O_RDONLY, 0600));
    SHOW(open("holes", O_TMPFILE | O_RDWR, 0600));
    SHOW(open("none", O_TMPFILE | O_RDWR, 0600));
    SHOW(unlink("holes") | unlink("allocated") | unlink("vectors"));
}

static void copies(void)
{
    char text[32] = "";
    int a = fresh("a"), b = fresh("b");
    off_t from = 2, to = 10;
    CHECK(write(a, "0123456789", 10) == 10);
    SHOW(copy_file_range(a, &from, b, &to, 5, 0));
    printf("  %ld %ld\n", (long)from, (long)to);
    SHOW(pread(b, text, 32, 0));
    printf("  %d %.5s\n", text[9], text + 10);
    SHOW(copy_file_range(a, NULL, b, NULL, 5, 0));
    SHOW(lseek(a, 0, SEEK_SET));
    SHOW(copy_file_range(a, NULL, b, NULL, 100, 0));
    SHOW(lseek(b, 0, SEEK_CUR));
    SHOW(copy_file_range(a, NULL, a, NULL, 100, 0));
    from = 0, to = 5;
    SHOW(copy_file_range(a, &from, a, &to, 6, 0));
    SHOW(copy_file_range(a, &from, a, &to, 5, 0));
    SHOW(copy_file_range(a, &from, b, &to, 5, 1));
    from = 100;
    SHOW(copy_file_range(a, &from, b, &to, 5, 0));
    int read_only = open("a", O_RDONLY), append = open("b", O_WRONLY | O_APPEND),
        dir = open(".", O_RDONLY), p[2];
    CHECK(pipe(p) == 0);
    SHOW(copy_file_range(a, NULL, read_only, NULL, 5, 0));
    SHOW(copy_file_range(a, NULL, append, NULL, 5, 0));
    SHOW(copy_file_range(dir, NULL, b, NULL, 5, 0));
    SHOW(copy_file_range(p[0], NULL, b, NULL, 5, 0));
    from = 0;
    SHOW(sendfile(b, a, &from, 4));
    printf("  %ld\n", (long)from);
    SHOW(lseek(a, 3, SEEK_SET));
    SHOW(sendfile(p[1], a, NULL, 100));
    SHOW(lseek(a, 0, SEEK_CUR));
    SHOW(read(p[0], text, 32));
    from = -1;
    SHOW(sendfile(b, a, &from, 4));
    SHOW(sendfile(b, p[0], NULL, 4));
    SHOW(sendfile(append, a, NULL, 4));
    SHOW(sendfile(b, -1, NULL, 4));
    SHOW(sendfile(read_only, a, NULL, 4));
    close(a), close(b), close(read_only), close(append), close(dir), close(p[0]), close(p[1]);
    CHECK(unlink("a") == 0 && unlink("b") == 0);
}

static void run(const char *base)
{
    char dir[64];
    snprintf(dir, sizeof(dir), "%s/guest-data-XXXXXX", base);
    CHECK(mkdtemp(dir) && chdir(dir) == 0);
    umask(022);
    holes();
    allocation();
    big();
    vectors();
    nameless();
    copies();
    CHECK(chdir("/") == 0 && rmdir(dir) == 0);
}

int main(void)
{
    run("/tmp");
    run("/var/tmp");
    return 0;
}
