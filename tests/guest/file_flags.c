/* Descriptors and their flags: open modes, dup, fcntl, close-on-exec, ranges, vectors, copies
 * between files, memfd, sizes. */
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "show.h"

static char g_data[70000];

static void open_modes(void)
{
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644);
    SHOW(fcntl(fd, F_GETFL));
    SHOW(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK | O_RDONLY | O_CREAT));
    SHOW(fcntl(fd, F_GETFL));
    SHOW(write(fd, "0123456789", 10));
    SHOW(pwrite(fd, "AB", 2, 2)); /* appends, as Linux has it */
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(fcntl(fd, F_SETFL, 0));
    SHOW(close(fd));

    fd = open("f", O_PATH);
    struct stat st;
    SHOW(fcntl(fd, F_GETFL));
    SHOW(read(fd, g_data, 1));
    SHOW(write(fd, g_data, 1));
    SHOW(lseek(fd, 0, SEEK_SET));
    SHOW(fstat(fd, &st));
    SHOW(ftruncate(fd, 0));
    SHOW(fchmod(fd, 0600));
    SHOW(ioctl(fd, FIONREAD, &st));
    SHOW(fcntl(fd, F_SETFL, O_APPEND));
    SHOW(fsync(fd));
    SHOW(close(fd));

    fd = open("f", O_RDONLY | O_CLOEXEC);
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_SETFD, 0));
    SHOW(fcntl(fd, F_GETFD));
    SHOW(write(fd, "x", 1));
    SHOW(ftruncate(fd, 3));
    SHOW(fallocate(fd, 0, 0, 100));
    SHOW(fcntl(fd, 9999));
    SHOW(ioctl(fd, 0x5401 /* TCGETS */, g_data));
    int left = -1;
    SHOW(ioctl(fd, FIONREAD, &left));
    printf("left %d\n", left);
    SHOW(close(fd));
    SHOW(open("f", O_RDONLY | O_DIRECTORY));
    SHOW(open("f", O_CREAT | O_EXCL | O_RDWR, 0600));
    SHOW(open(".", O_RDWR));
    SHOW(open(".", O_TMPFILE | O_RDONLY, 0600));
    fd = open(".", O_TMPFILE | O_RDWR, 0640);
    SHOW(write(fd, "hidden", 6));
    CHECK(fstat(fd, &st) == 0);
    printf("nlink %lu mode %o\n", (unsigned long)st.st_nlink, st.st_mode);
    char name[64];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    SHOW(linkat(AT_FDCWD, name, AT_FDCWD, "shown", AT_SYMLINK_FOLLOW));
    SHOW(stat("shown", &st));
    printf("nlink %lu size %ld\n", (unsigned long)st.st_nlink, (long)st.st_size);
    SHOW(close(fd));
    SHOW(unlink("shown"));
}

static void numbers(void)
{
    int a = open("f", O_RDONLY), b;
    CHECK(a >= 0);
    SHOW((b = dup(a)) - a);
    SHOW(dup2(a, a) - a);
    SHOW(dup2(a, 100));
    SHOW(dup3(a, a, 0));
    SHOW(dup3(a, 101, O_CLOEXEC));
    SHOW(fcntl(101, F_GETFD));
    SHOW(dup3(a, 102, O_NONBLOCK));
    SHOW(dup2(a, -1));
    SHOW(dup2(a, 1 << 20));
    SHOW(dup2(999, 5));
    SHOW(fcntl(a, F_DUPFD, 100));
    SHOW(fcntl(a, F_DUPFD_CLOEXEC, 100));
    SHOW(fcntl(a, F_DUPFD, -1));
    SHOW(fcntl(103, F_GETFD));
    SHOW(syscall(SYS_close_range, 101, 102, 0));
    SHOW(fcntl(101, F_GETFD));
    SHOW(syscall(SYS_close_range, 100, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */));
    SHOW(fcntl(100, F_GETFD));
    SHOW(syscall(SYS_close_range, 5, 4, 0));
    SHOW(syscall(SYS_close_range, 100, ~0u, 0));
    SHOW(fcntl(100, F_GETFD));
    SHOW(close(b));
    SHOW(close(b));
    struct rlimit old, few = {40, 40};
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    few.rlim_max = old.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    int count = 0;
    while (dup(a) >= 0)
        count++;
    printf("ran out: %d\n", errno);
    SHOW(dup2(a, 40));
    SHOW(fcntl(a, F_DUPFD, 40));
    CHECK(count > 20 && count < 40);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    SHOW(syscall(SYS_close_range, a + 1, ~0u, 0));
    SHOW(close(a));
}

static void vectors(void)
{
    int fd = open("v", O_RDWR | O_CREAT | O_TRUNC, 0644);
    struct iovec v[3] = {
        {(void *)(unsigned long)"one", 3}, {NULL, 0}, {(void *)(unsigned long)"three", 5}};
    SHOW(writev(fd, v, 3));
    SHOW(pwritev(fd, v, 3, 100));
    SHOW(lseek(fd, 0, SEEK_CUR));
    struct iovec r[2] = {{g_data, 4}, {g_data + 10, 100}};
    SHOW(preadv(fd, r, 2, 0));
    SHOW(preadv(fd, r, 2, -1));
    SHOW(writev(fd, v, 1025));
    SHOW(writev(fd, v, -1));
    SHOW(writev(fd, v, 0));
    struct iovec bad[2] = {{g_data, 3}, {(void *)8, 5}};
    SHOW(writev(fd, bad, 2));
    struct iovec negative = {g_data, (size_t)-1};
    SHOW(writev(fd, &negative, 1));
    SHOW(write(fd, (void *)8, 5));
    SHOW(read(fd, g_data, (size_t)-1 / 2 + 1));
    SHOW(pread(fd, g_data, 10, -5));
    SHOW(lseek(fd, 10, SEEK_DATA));
    SHOW(lseek(fd, 100000, SEEK_DATA));
    SHOW(lseek(fd, 0, 77));
    int p[2];
    CHECK(pipe(p) == 0);
    SHOW(writev(p[1], v, 3));
    SHOW(readv(p[0], r, 2));
    SHOW(pread(p[0], g_data, 1, 0));
    SHOW(lseek(p[0], 0, SEEK_SET));
    SHOW(sendfile(p[1], fd, NULL, 10));
    off_t at = 0;
    SHOW(sendfile(p[1], fd, &at, 10));
    printf("at %ld\n", (long)at);
    SHOW(read(p[0], g_data, 100));
    SHOW(sendfile(fd, p[0], NULL, 10));
    close(p[0]);
    close(p[1]);
    int copy = open("copy", O_RDWR | O_CREAT | O_TRUNC, 0644);
    loff_t from = 0;
    SHOW(copy_file_range(fd, &from, copy, NULL, 1000, 0));
    SHOW(copy_file_range(fd, &from, copy, NULL, 1000, 0));
    SHOW(copy_file_range(fd, NULL, copy, NULL, 1000, 1));
    from = 0;
    SHOW(copy_file_range(fd, &from, fd, NULL, 1000000, 0));
    close(copy);
    close(fd);
    unlink("copy");
    unlink("v");
}

static void sizes(void)
{
    struct stat st;
    int fd = open("s", O_RDWR | O_CREAT | O_TRUNC, 0644);
    memset(g_data, 'x', sizeof(g_data));
    SHOW(write(fd, g_data, 1000));
    SHOW(ftruncate(fd, 10));
    SHOW(ftruncate(fd, 100));
    SHOW(pread(fd, g_data, 200, 0));
    int zeros = 0;
    for (int i = 0; i < 100; i++)
        zeros += g_data[i] == 0;
    printf("%d zeros\n", zeros);
    memset(g_data, 'y', sizeof(g_data));
    SHOW(pwrite(fd, g_data, sizeof(g_data),
                200000)); /* grows out of whatever small place it was in */
    SHOW(pread(fd, g_data, 200, 50));
    for (int i = zeros = 0; i < 200; i++)
        zeros += g_data[i] == 0;
    printf("%d zeros\n", zeros);
    SHOW(ftruncate(fd, 200005));
    SHOW(ftruncate(fd, 300000));
    SHOW(pread(fd, g_data, 100, 199998));
    for (int i = zeros = 0; i < 100; i++)
        zeros += g_data[i] == 0;
    printf("%d zeros\n", zeros);
    SHOW(fallocate(fd, 0, 299990, 20));
    SHOW(fallocate(fd, FALLOC_FL_KEEP_SIZE, 400000, 20));
    CHECK(fstat(fd, &st) == 0);
    printf("size %ld\n", (long)st.st_size);
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 200000, 3));
    SHOW(pread(fd, g_data, 8, 199998));
    for (int i = 0; i < 8; i++)
        printf(" %d", g_data[i]);
    printf("\n");
    SHOW(fallocate(fd, 0, -1, 20));
    SHOW(fallocate(fd, 0, 0, 0));
    SHOW(ftruncate(fd, -1));
    SHOW(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    SHOW(fsync(fd));
    SHOW(close(fd));
    SHOW(truncate("s", 5));
    SHOW(truncate(".", 5));
    SHOW(unlink("s"));
}

static void memory_file(void)
{
    int fd = memfd_create("name", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    CHECK(fd >= 0);
    SHOW(write(fd, "hello", 5));
    char name[64], link[64];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    SHOW(readlink(name, link, sizeof(link)));
    char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(m != MAP_FAILED && memcmp(m, "hello", 5) == 0);
    SHOW(fcntl(fd, F_GET_SEALS));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
    SHOW(ftruncate(fd, 2));
    SHOW(write(fd, "abc", 3));
    SHOW(pwrite(fd, "abcdef", 6, 2));
    CHECK(munmap(m, 4096) == 0);
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(pwrite(fd, "a", 1, 0));
    SHOW(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    SHOW(fcntl(fd, F_GET_SEALS));
    int plain = open("f", O_RDWR);
    SHOW(fcntl(plain, F_GET_SEALS) == -1 ? 0 : 0);
    close(plain);
    close(fd);
    SHOW(memfd_create("x", 0x8000));
}

static void across_exec(char **argv)
{
    int kept = open("f", O_RDONLY), closed = open("f", O_RDONLY | O_CLOEXEC);
    char a[16], b[16];
    snprintf(a, sizeof(a), "%d", kept);
    snprintf(b, sizeof(b), "%d", closed);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", argv[0], a, b, (char *)NULL);
        _exit(98);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("after exec: %d\n", status);
    close(kept);
    close(closed);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return (fcntl(atoi(argv[1]), F_GETFD) == 0 ? 0 : 1) |
               (fcntl(atoi(argv[2]), F_GETFD) == -1 ? 0 : 2);
    static const char *const bases[] = {"/tmp", "/dev/shm"};
    for (int i = 0; i < 2; i++) {
        char dir[64];
        snprintf(dir, sizeof(dir), "%s/guest-flags-XXXXXX", bases[i]);
        CHECK(mkdtemp(dir) && chdir(dir) == 0);
        umask(022);
        open_modes();
        numbers();
        vectors();
        sizes();
        memory_file();
        across_exec(argv);
        CHECK(unlink("f") == 0 && chdir("/") == 0 && rmdir(dir) == 0);
    }
    return 0;
}
