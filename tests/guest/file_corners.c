/* Corners of the calls on files and descriptors, one at a time, in a directory of memory and in one of the root's tree. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "show.h"

#define RENAME_NOREPLACE_ 1
#define RENAME_EXCHANGE_ 2

static int make(const char *name, const char *text)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) &&
          lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static void put(const char *name, const char *text)
{
    CHECK(close(make(name, text)) == 0);
}

static void print_file(const char *name)
{
    char text[256] = "";
    int fd = open(name, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    printf("%s: %s\n", name, n < 0 ? strerror(errno) : text);
    if (fd >= 0)
        close(fd);
}

static long rename2(const char *from, const char *to, unsigned flags)
{
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void rename_not_replacing(void)
{
    put("a", "a"), put("b", "b");
    SHOW(rename2("a", "b", RENAME_NOREPLACE_));
    SHOW(rename2("a", "c", RENAME_NOREPLACE_));
    SHOW(rename2("c", "c", RENAME_NOREPLACE_));
    SHOW(rename2("none", "b", RENAME_NOREPLACE_));
    print_file("b"), print_file("c");
}

static void rename_exchanging(void)
{
    put("a", "was a");
    CHECK(mkdir("d", 0755) == 0);
    put("d/in", "in d");
    SHOW(rename2("a", "d", RENAME_EXCHANGE_));
    print_file("d"), print_file("a/in");
    SHOW(rename2("a", "a/in", RENAME_EXCHANGE_));
    SHOW(rename2("a/in", "a", RENAME_EXCHANGE_));
    SHOW(rename2("a", "none", RENAME_EXCHANGE_));
    SHOW(rename2("a", "d", RENAME_EXCHANGE_ | RENAME_NOREPLACE_));
    SHOW(rename2("a", "d", 64));
}

static void rename_kinds(void)
{
    CHECK(mkdir("full", 0755) == 0 && mkdir("empty", 0755) == 0 && mkdir("empty2", 0755) == 0);
    put("full/x", "x"), put("f", "f");
    SHOW(rename("empty", "full"));
    SHOW(rename("full", "empty"));
    SHOW(rename("f", "empty2"));
    SHOW(rename("empty2", "f"));
    SHOW(rename("empty", "empty/sub"));
    SHOW(rename("f", "f/x"));
    SHOW(rename("f", "f2/"));
    SHOW(rename("empty", "trailing/"));
    SHOW(rename("trailing/x", "./x"));
    SHOW(rename(".", "dot"));
    SHOW(rename("empty2/..", "dots"));
    SHOW(rename("empty2", "."));
}

static void rename_links(void)
{
    struct stat st;
    put("one", "one");
    CHECK(link("one", "two") == 0);
    SHOW(rename("one", "two")); /* both names stay */
    CHECK(stat("one", &st) == 0);
    printf("links: %d\n", (int)st.st_nlink);
    SHOW(symlink("nowhere", "s"));
    SHOW(rename("s", "two"));
    SHOW(stat("two", &st));
    SHOW(lstat("two", &st));
}

static int is_root(void)
{
    if (geteuid() != 0)
        printf("root only\n");
    return geteuid() == 0;
}

static void setgid_directories(void)
{
    if (!is_root())
        return;
    struct stat st;
    CHECK(mkdir("g", 0755) == 0 && chown("g", -1, 12) == 0 && chmod("g", 02775) == 0);
    put("g/f", "f");
    CHECK(mkdir("g/d", 0700) == 0 && mkdir("g/d/e", 0711) == 0 && symlink("x", "g/l") == 0);
    const char *names[] = {"g", "g/f", "g/d", "g/d/e", "g/l"};
    for (int i = 0; i < 5; i++) {
        CHECK(lstat(names[i], &st) == 0);
        printf("%s %o %d\n", names[i], st.st_mode & 07777, (int)st.st_gid);
    }
}

static void sticky_directories(void)
{
    if (!is_root())
        return;
    CHECK(mkdir("t", 0755) == 0 && chmod("t", 01777) == 0);
    put("t/roots", "r");
    put("t/others", "o");
    CHECK(chown("t/others", 2000, 2000) == 0 && chmod("t/others", 0666) == 0 &&
          chmod("t/roots", 0666) == 0);
    CHECK(chmod(".", 0755) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(setgid(1000) == 0 && setuid(1000) == 0);
        put("t/mine", "m");
        SHOW(unlink("t/roots"));
        SHOW(rename("t/others", "t/taken"));
        SHOW(rename("t/mine", "t/others"));
        SHOW(link("t/roots", "t/linked"));
        SHOW(rename("t/mine", "t/mine2"));
        SHOW(unlink("t/mine2"));
        fflush(stdout);
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
}

static void set_id_bits(void)
{
    if (!is_root())
        return;
    struct stat st;
    int fd = make("p", "program");
    CHECK(fchmod(fd, 06755) == 0 && chown("p", 5, 5) == 0 && fstat(fd, &st) == 0);
    printf("after chown %o\n", st.st_mode & 07777);
    CHECK(fchmod(fd, 02644) == 0 && chown("p", 6, 6) == 0 && fstat(fd, &st) == 0);
    printf("not executable by the group %o\n", st.st_mode & 07777);
    close(fd);
}

static void timestamps(void)
{
    struct stat before, after;
    struct timespec old[2] = {{1000, 5}, {2000, 6}};
    int fd = make("f", "text");
    char c;
    CHECK(futimens(fd, old) == 0 && fstat(fd, &before) == 0);
    printf("%ld.%ld %ld.%ld\n", (long)before.st_atim.tv_sec, before.st_atim.tv_nsec,
           (long)before.st_mtim.tv_sec, before.st_mtim.tv_nsec);
    CHECK(chmod("f", 0600) == 0 && fstat(fd, &after) == 0);
    printf("chmod keeps mtime: %d\n", after.st_mtim.tv_sec == 2000);
    CHECK(pwrite(fd, "T", 1, 0) == 1 && fstat(fd, &after) == 0);
    printf("write changes it: %d\n", after.st_mtim.tv_sec != 2000);
    CHECK(futimens(fd, old) == 0 && ftruncate(fd, 2) == 0 && fstat(fd, &after) == 0);
    printf("truncate changes it: %d\n", after.st_mtim.tv_sec != 2000);
    CHECK(futimens(fd, old) == 0 && pread(fd, &c, 0, 0) == 0 && write(fd, "", 0) == 0 &&
          fstat(fd, &after) == 0);
    printf("nothing written: %d\n", after.st_mtim.tv_sec == 2000);
    struct timespec omit[2] = {{0, UTIME_OMIT}, {7, 8}}, bad[2] = {{0, 1000000000}, {0, 0}};
    SHOW(futimens(fd, omit));
    CHECK(fstat(fd, &after) == 0);
    printf("%ld\n", (long)after.st_mtim.tv_sec);
    SHOW(futimens(fd, bad));
    SHOW(utimensat(AT_FDCWD, "none", old, 0));
    SHOW(utimensat(AT_FDCWD, "f", old, 0x4000));
    close(fd);
}

static void directory_times(void)
{
    struct stat st;
    struct timespec old[2] = {{1000, 0}, {1000, 0}};
    CHECK(mkdir("d", 0755) == 0);
    const char *what[] = {"create", "write", "rename", "unlink", "mkdir", "rmdir"};
    for (int i = 0; i < 6; i++) {
        CHECK(utimensat(AT_FDCWD, "d", old, 0) == 0);
        if (i == 0)
            put("d/f", "");
        else if (i == 1)
            put("d/f", "more");
        else if (i == 2)
            CHECK(rename("d/f", "d/g") == 0);
        else if (i == 3)
            CHECK(unlink("d/g") == 0);
        else if (i == 4)
            CHECK(mkdir("d/sub", 0755) == 0);
        else
            CHECK(rmdir("d/sub") == 0);
        CHECK(stat("d", &st) == 0);
        printf("%s: %s\n", what[i], st.st_mtim.tv_sec == 1000 ? "same" : "changed");
    }
}

static void link_counts(void)
{
    struct stat st;
    put("f", "f");
    for (int i = 0; i < 5; i++) {
        char name[8];
        snprintf(name, sizeof(name), "l%d", i);
        CHECK(link("f", name) == 0);
    }
    CHECK(stat("f", &st) == 0);
    printf("%d\n", (int)st.st_nlink);
    int fd = open("f", O_RDONLY);
    CHECK(unlink("l0") == 0 && unlink("f") == 0 && rename("l1", "l2") == 0 && fstat(fd, &st) == 0);
    printf("%d\n", (int)st.st_nlink);
    SHOW(link(".", "here"));
    SHOW(link("none", "x"));
    SHOW(link("l3", "l4"));
    SHOW(linkat(AT_FDCWD, "l3", AT_FDCWD, "l9", 0x8000));
    close(fd);
}

static void directory_change_while_read(void)
{
    char name[16];
    int seen[64] = {0}, kept = 0, twice = 0;
    CHECK(mkdir("d", 0755) == 0);
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof(name), "d/%d", i);
        put(name, "");
    }
    DIR *dir = opendir("d");
    CHECK(dir);
    struct dirent *e;
    for (int n = 0; (e = readdir(dir)) != NULL; n++) {
        if (e->d_name[0] == '.')
            continue;
        if (n == 10) { /* every third goes while others are still to come */
            for (int i = 0; i < 60; i += 3) {
                snprintf(name, sizeof(name), "d/%d", i);
                CHECK(unlink(name) == 0);
            }
        }
        seen[atoi(e->d_name)]++;
    }
    closedir(dir);
    for (int i = 0; i < 60; i++) {
        twice += seen[i] > 1;
        kept += i % 3 && seen[i] == 1;
    }
    printf("%d of 40 that stayed, %d twice\n", kept, twice);
}

static void directory_positions(void)
{
    char name[16], first[32];
    CHECK(mkdir("d", 0755) == 0);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "d/%d", i);
        put(name, "");
    }
    DIR *dir = opendir("d");
    struct dirent *e = NULL;
    CHECK(dir);
    for (int i = 0; i < 7; i++)
        e = readdir(dir);
    CHECK(e);
    long at = telldir(dir);
    e = readdir(dir);
    CHECK(e);
    snprintf(first, sizeof(first), "%.30s", e->d_name);
    while (readdir(dir))
        ;
    seekdir(dir, at);
    e = readdir(dir);
    printf("the same again: %d\n", e && strcmp(first, e->d_name) == 0);
    rewinddir(dir);
    int count = 0;
    while (readdir(dir))
        count++;
    printf("%d\n", count);
    closedir(dir);
}

static void removed_directory(void)
{
    CHECK(mkdir("d", 0755) == 0);
    int fd = open("d", O_RDONLY | O_DIRECTORY);
    CHECK(rmdir("d") == 0);
    SHOW(openat(fd, "x", O_CREAT | O_RDWR, 0600));
    SHOW(mkdirat(fd, "x", 0700));
    SHOW(symlinkat("x", fd, "y"));
    SHOW(openat(fd, ".", O_RDONLY) >= 0);
    SHOW(fchdir(fd));
    char text[64];
    SHOW(syscall(SYS_getcwd, text, sizeof(text)));
    close(fd);
}

static void open_flags(void)
{
    put("f", "f");
    CHECK(mkdir("d", 0755) == 0 && symlink("f", "s") == 0 && symlink("none", "broken") == 0 &&
          symlink("loop", "loop") == 0);
    SHOW(open("f", O_CREAT | O_EXCL, 0600));
    SHOW(open("s", O_CREAT | O_EXCL, 0600));
    SHOW(open("broken", O_CREAT | O_EXCL, 0600));
    SHOW(open("s", O_NOFOLLOW));
    SHOW(open("loop", O_RDONLY));
    SHOW(open("d", O_WRONLY));
    SHOW(open("d", O_RDONLY | O_CREAT, 0600));
    SHOW(open("f", O_DIRECTORY));
    SHOW(open("f/", O_RDONLY));
    SHOW(open("new/", O_CREAT | O_RDWR, 0600));
    SHOW(open("", O_RDONLY));
    SHOW(close(open("broken", O_CREAT | O_WRONLY, 0600))); /* makes what it leads to */
    SHOW(access("none", F_OK));
    SHOW(open("d", O_TMPFILE | O_RDONLY, 0600));
    SHOW(open("f", O_TMPFILE | O_RDWR, 0600));
}

static void path_descriptors(void)
{
    char c;
    struct stat st;
    put("f", "f");
    int fd = open("f", O_PATH);
    SHOW(read(fd, &c, 1));
    SHOW(write(fd, "x", 1));
    SHOW(fchmod(fd, 0600));
    SHOW(ftruncate(fd, 0));
    SHOW(ioctl(fd, FIONREAD, &c));
    SHOW(lseek(fd, 0, SEEK_SET));
    SHOW(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
    SHOW(fstat(fd, &st));
    SHOW(flock(fd, LOCK_EX));
    SHOW(fcntl(fd, F_GETFL) & O_PATH);
    SHOW(close(fd));
}

static void nameless_files(void)
{
    struct stat st;
    char name[64];
    CHECK(mkdir("d", 0755) == 0);
    int fd = open("d", O_TMPFILE | O_RDWR, 0640);
    CHECK(fd >= 0 && write(fd, "nameless", 8) == 8 && fstat(fd, &st) == 0);
    printf("%d links, mode %o\n", (int)st.st_nlink, st.st_mode & 07777);
    SHOW(rmdir("d"));
    CHECK(mkdir("e", 0755) == 0);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    SHOW(linkat(AT_FDCWD, name, AT_FDCWD, "e/named", AT_SYMLINK_FOLLOW));
    print_file("e/named");
    close(fd);
    fd = open("e", O_TMPFILE | O_RDWR | O_EXCL, 0600);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    SHOW(linkat(AT_FDCWD, name, AT_FDCWD, "e/never", AT_SYMLINK_FOLLOW));
    close(fd);
}

/* pwritev2(2), preadv2(2): musl has no names for them. */
#define RWF_APPEND_ 16
static long write_vectors(int fd, const struct iovec *v, int count, long at, int flags)
{
    return syscall(SYS_pwritev2, fd, v, (long)count, at, 0L, flags);
}

static long read_vectors(int fd, const struct iovec *v, int count, long at, int flags)
{
    return syscall(SYS_preadv2, fd, v, (long)count, at, 0L, flags);
}

static void vectors(void)
{
    char a[4] = "", b[4] = "";
    struct iovec v[3] = {{(void *)"abc", 3}, {NULL, 0}, {(void *)"def", 3}},
                 r[2] = {{a, 3}, {b, 3}};
    int fd = make("f", "");
    SHOW(write_vectors(fd, v, 3, 0, 0));
    SHOW(read_vectors(fd, r, 2, 0, 0));
    printf("%s %s\n", a, b);
    SHOW(write_vectors(fd, v, 1, -1, 0));
    SHOW(write_vectors(fd, v, 1, 0, RWF_APPEND_));
    SHOW(read_vectors(fd, r, 1, -1, 0));
    SHOW(read_vectors(fd, r, 1, 0, 0x40000000));
    SHOW(preadv(fd, r, -1, 0));
    SHOW(preadv(fd, r, 1, -1));
    SHOW(writev(fd, v, IOV_MAX + 1));
    SHOW(lseek(fd, 0, SEEK_END));
    close(fd);
}

static void sparse_sizes(void)
{
    struct stat st;
    int fd = make("f", "");
    SHOW(ftruncate(fd, -1));
    SHOW(ftruncate(fd, 1 << 20));
    SHOW(pwrite(fd, "x", 1, (1 << 20) + 5));
    CHECK(fstat(fd, &st) == 0);
    printf("%ld\n", (long)st.st_size);
    char zeros[16], zero[16] = "";
    CHECK(pread(fd, zeros, 16, 5000) == 16);
    printf("zeros: %d\n", memcmp(zero, zeros, 16) == 0);
    SHOW(lseek(fd, -1, SEEK_SET));
    SHOW(lseek(fd, 0, 99));
    SHOW(lseek(fd, 1 << 21, SEEK_SET));
    SHOW(read(fd, zeros, 1));
    close(fd);
}

static void mapped_ends(void)
{
    int fd = make("f", "");
    CHECK(ftruncate(fd, 100) == 0);
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED);
    strcpy(p, "through the mapping");
    print_file("f");
    CHECK(pwrite(fd, "by write", 8, 0) == 8);
    printf("%.19s\n", p);
    p[200] = 'x'; /* beyond the end: no one's */
    CHECK(ftruncate(fd, 300) == 0);
    printf("after growing: %d\n", p[150]);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        p[4096] = 1;
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("a page past the end: signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    CHECK(ftruncate(fd, 8192) == 0);
    p[4096] = 1;
    printf("now there: %d\n", p[4096]);
    munmap(p, 8192), close(fd);
}

static void range_of_descriptors(void)
{
    int fds[6];
    for (int i = 0; i < 6; i++)
        fds[i] = fcntl(1, F_DUPFD, 100);
    printf("%d %d\n", fds[0], fds[5]);
    SHOW(syscall(SYS_close_range, 101u, 102u, 0u));
    SHOW(fcntl(101, F_GETFD));
    SHOW(fcntl(103, F_GETFD));
    SHOW(syscall(SYS_close_range, 103u, 104u, 4u));
    SHOW(fcntl(103, F_GETFD));
    SHOW(fcntl(105, F_GETFD));
    SHOW(syscall(SYS_close_range, 105u, 104u, 0u));
    SHOW(syscall(SYS_close_range, 100u, 110u, 64u));
    SHOW(syscall(SYS_close_range, 100u, ~0u, 0u));
    SHOW(fcntl(100, F_GETFD));
}

static void duplicates(void)
{
    int fd = make("f", "text");
    SHOW(dup2(fd, fd) == fd);
    SHOW(syscall(SYS_dup3, fd, fd, 0));
    SHOW(dup3(fd, 50, O_CLOEXEC));
    SHOW(fcntl(50, F_GETFD));
    SHOW(dup3(fd, 51, 1));
    SHOW(dup2(fd, 1 << 30));
    SHOW(dup2(999, 51));
    SHOW(fcntl(fd, F_DUPFD, 1 << 30));
    SHOW(lseek(50, 2, SEEK_SET));
    SHOW(lseek(fd, 0, SEEK_CUR)); /* one position */
    close(fd), close(50);
}

static void status_flags(void)
{
    int fd = make("f", "");
    SHOW(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK | O_WRONLY | O_CREAT));
    printf("%o\n", fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_CREAT));
    CHECK(write(fd, "one", 3) == 3 && lseek(fd, 0, SEEK_SET) == 0 && write(fd, "two", 3) == 3);
    print_file("f");
    SHOW(pwrite(fd, "X", 1, 0)); /* appends: pwrite(2), BUGS */
    print_file("f");
    close(fd);
}

static int lock_range(int fd, int command, int type, int start, int size)
{
    struct flock l = {.l_type = (short)type, .l_start = start, .l_len = size};
    return fcntl(fd, command, &l);
}

static void open_file_locks(void)
{
    put("f", "0123456789");
    int a = open("f", O_RDWR), b = open("f", O_RDWR);
    SHOW(lock_range(a, F_OFD_SETLK, F_WRLCK, 0, 5));
    SHOW(lock_range(b, F_OFD_SETLK, F_WRLCK, 4, 5));
    SHOW(lock_range(b, F_OFD_SETLK, F_WRLCK, 5, 5));
    SHOW(lock_range(b, F_SETLK, F_RDLCK, 0, 1)); /* of the process, which has none: in the way */
    struct flock l = {.l_type = F_WRLCK, .l_len = 1};
    SHOW(fcntl(b, F_OFD_GETLK, &l));
    printf("%d %d %d %d\n", l.l_type, (int)l.l_start, (int)l.l_len, (int)l.l_pid);
    int d = dup(a);
    close(a);
    SHOW(lock_range(b, F_OFD_SETLK, F_WRLCK, 0, 1)); /* still held through the other descriptor */
    close(d);
    SHOW(lock_range(b, F_OFD_SETLK, F_WRLCK, 0, 1));
    struct flock with_pid = {.l_type = F_RDLCK, .l_pid = 1};
    SHOW(fcntl(b, F_OFD_SETLK, &with_pid));
    close(b);
}

static void whole_file_locks(void)
{
    put("f", "");
    int a = open("f", O_RDONLY), b = open("f", O_RDONLY);
    SHOW(flock(a, LOCK_SH));
    SHOW(flock(b, LOCK_SH | LOCK_NB));
    SHOW(flock(b, LOCK_EX | LOCK_NB));
    SHOW(flock(a, LOCK_UN));
    SHOW(flock(b, LOCK_EX | LOCK_NB));
    SHOW(flock(a, LOCK_SH | LOCK_NB));
    SHOW(flock(a, 0));
    close(b);
    SHOW(flock(a, LOCK_EX | LOCK_NB));
    close(a);
}

static void copies(void)
{
    int from = make("from", "0123456789"), to = make("to", "abcdefghij");
    off_t in = 2, out = 8;
    SHOW(copy_file_range(from, &in, to, &out, 4, 0));
    printf("%d %d\n", (int)in, (int)out);
    print_file("to");
    SHOW(copy_file_range(from, NULL, to, NULL, 100, 0));
    SHOW(lseek(from, 0, SEEK_CUR));
    print_file("to");
    SHOW(copy_file_range(from, NULL, to, NULL, 100, 0));
    SHOW(copy_file_range(from, NULL, to, NULL, 1, 1));
    in = 0, out = 2;
    SHOW(copy_file_range(from, &in, from, &out, 4, 0)); /* overlapping */
    int read_only = open("to", O_RDONLY), directory = open(".", O_RDONLY);
    SHOW(copy_file_range(from, NULL, read_only, NULL, 1, 0));
    SHOW(copy_file_range(directory, NULL, to, NULL, 1, 0));
    close(from), close(to), close(read_only), close(directory);
}

static void names_too_long(void)
{
    char name[300], *path = malloc(5000);
    memset(name, 'n', sizeof(name));
    name[255] = '\0';
    SHOW(mkdir(name, 0755));
    SHOW(rmdir(name));
    name[255] = 'n', name[256] = '\0';
    SHOW(mkdir(name, 0755) < 0);
    CHECK(path);
    memset(path, '/', 5000);
    path[4094] = '.', path[4095] = '\0';
    SHOW(access(path, F_OK));
    path[4095] = '/', path[4096] = '\0';
    SHOW(access(path, F_OK) < 0);
    char target[4096];
    memset(target, 't', sizeof(target));
    target[4095] = '\0';
    SHOW(symlink(target, "s") < 0 && errno == ENAMETOOLONG ? 0 : 1);
    free(path);
}

static void removals(void)
{
    CHECK(mkdir("d", 0755) == 0 && symlink("d", "s") == 0);
    put("f", "");
    SHOW(unlink("d"));
    SHOW(rmdir("f"));
    SHOW(rmdir("s"));
    SHOW(rmdir("s/"));
    SHOW(unlinkat(AT_FDCWD, "d", 0));
    SHOW(unlinkat(AT_FDCWD, "f", AT_REMOVEDIR));
    SHOW(unlinkat(AT_FDCWD, "f", 1));
    SHOW(rmdir("d/."));
    SHOW(rmdir("d/.."));
    SHOW(unlink("f/"));
    SHOW(unlink("none"));
    SHOW(unlink("s"));
    SHOW(rmdir("d/"));
}

static void special_files(void)
{
    struct stat st;
    SHOW(mknod("fifo", S_IFIFO | 0644, 0));
    SHOW(mknod("fifo", S_IFIFO | 0644, 0));
    SHOW(mknod("plain", S_IFREG | 0640, 0));
    SHOW(mknod("none", S_IFDIR | 0755, 0));
    SHOW(mknod("zero", 0644, 0));
    CHECK(stat("zero", &st) == 0);
    printf("%o\n", st.st_mode);
    SHOW(mknod("socket", S_IFSOCK | 0600, 0));
    SHOW(open("socket", O_RDWR));
    int fd = open("fifo", O_RDONLY | O_NONBLOCK);
    SHOW(open("fifo", O_WRONLY | O_NONBLOCK) >= 0);
    close(fd);
    SHOW(truncate("fifo", 0));
    SHOW(lseek(open("fifo", O_RDWR), 0, SEEK_SET));
}

static void run(const char *place)
{
    static void (*const cases[])(void) = {rename_not_replacing,
                                          rename_exchanging,
                                          rename_kinds,
                                          rename_links,
                                          setgid_directories,
                                          sticky_directories,
                                          set_id_bits,
                                          timestamps,
                                          directory_times,
                                          link_counts,
                                          directory_change_while_read,
                                          directory_positions,
                                          removed_directory,
                                          open_flags,
                                          path_descriptors,
                                          nameless_files,
                                          vectors,
                                          sparse_sizes,
                                          mapped_ends,
                                          range_of_descriptors,
                                          duplicates,
                                          status_flags,
                                          open_file_locks,
                                          whole_file_locks,
                                          copies,
                                          names_too_long,
                                          removals,
                                          special_files};
    char top[64], command[96];
    snprintf(top, sizeof(top), "%s/guest-corners-XXXXXX", place);
    CHECK(mkdtemp(top) && chmod(top, 0755) == 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char dir[16];
        snprintf(dir, sizeof(dir), "%d", (int)i);
        printf("case %d\n", (int)i);
        CHECK(chdir(top) == 0 && mkdir(dir, 0755) == 0 && chdir(dir) == 0);
        cases[i]();
        fflush(stdout);
    }
    CHECK(chdir("/") == 0);
    snprintf(command, sizeof(command), "rm -r %s", top);
    CHECK(system(command) == 0);
}

int main(void)
{
    umask(022);
    run("/dev/shm");
    run("/var/tmp");
    return 0;
}
