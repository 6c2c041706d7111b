/* Modes, owners, times and numbers of files; who may do what; directories while they change. */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "show.h"

static void show(const char *name)
{
    struct stat st;
    if (lstat(name, &st) < 0)
        printf("%s: %d\n", name, errno);
    else
        printf("%s: %o %u %u nlink %lu rdev %lx\n", name, st.st_mode, st.st_uid, st.st_gid,
               S_ISDIR(st.st_mode) ? 0 : (unsigned long)st.st_nlink, (unsigned long)st.st_rdev);
}

static void modes(void)
{
    umask(027);
    CHECK(close(open("f", O_CREAT | O_WRONLY, 07777)) == 0 && mkdir("d", 07777) == 0);
    show("f");
    show("d");
    SHOW(chmod("f", 06755));
    show("f");
    SHOW(chown("f", 1000, 1001));
    show("f");
    SHOW(chown("f", -1, 1002));
    SHOW(lchown("f", 5, -1));
    show("f");
    SHOW(symlink("f", "s"));
    SHOW(lchown("s", 7, 8));
    show("s");
    show("f");
    SHOW(chmod("s", 0600));
    show("f");
    SHOW(fchmodat(AT_FDCWD, "s", 0644, 0));
    SHOW(mknod("null", S_IFCHR | 0666, 0x103));
    SHOW(mknod("block", S_IFBLK | 0660, 0x800));
    SHOW(mknod("pipe", S_IFIFO | 0660, 0));
    SHOW(mknod("socket", S_IFSOCK | 0660, 0));
    SHOW(mknod("dir", S_IFDIR | 0660, 0));
    show("null");
    show("block");
    show("pipe");
    show("socket");
    SHOW(open("socket", O_RDWR));
    SHOW(chown("d", -1, 1234));
    SHOW(chmod("d", 02775));
    CHECK(close(open("d/f", O_CREAT | O_WRONLY, 0666)) == 0 && mkdir("d/d", 0777) == 0);
    show("d/f");
    show("d/d");
    SHOW(unlink("d/f"));
    SHOW(rmdir("d/d"));
    SHOW(umask(0777777));
    SHOW(umask(022));
    struct stat a, b;
    CHECK(stat("f", &a) == 0 && link("f", "f2") == 0 && stat("f2", &b) == 0);
    printf("one inode %d, nlink %lu\n", a.st_ino == b.st_ino && a.st_dev == b.st_dev,
           (unsigned long)b.st_nlink);
    CHECK(rename("f2", "f3") == 0 && stat("f3", &b) == 0 && a.st_ino == b.st_ino);
    CHECK(rename("f3", "f") == 0);
    show("f3");
    CHECK(unlink("f3") == 0);
}

static void times(void)
{
    struct stat st;
    struct timespec ts[2] = {{1000, 1}, {2000, 999999999}};
    SHOW(utimensat(AT_FDCWD, "f", ts, 0));
    CHECK(stat("f", &st) == 0);
    printf("%ld.%ld %ld.%ld\n", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
           (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    ts[0].tv_nsec = UTIME_OMIT;
    ts[1].tv_sec = -5;
    SHOW(utimensat(AT_FDCWD, "f", ts, 0));
    CHECK(stat("f", &st) == 0);
    printf("%ld.%ld %ld.%ld\n", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
           (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    ts[1].tv_nsec = 1000000000;
    SHOW(utimensat(AT_FDCWD, "f", ts, 0));
    struct timeval tv[2] = {{10, 20}, {30, 40}};
    SHOW(utimes("f", tv));
    CHECK(stat("f", &st) == 0);
    printf("%ld.%ld %ld.%ld\n", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
           (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    int fd = open("f", O_RDWR);
    SHOW(futimens(fd, NULL));
    CHECK(fstat(fd, &st) == 0 && st.st_mtim.tv_sec > 1500000000);
    SHOW(futimens(fd, (ts[0].tv_nsec = ts[1].tv_nsec = 0, ts)));
    SHOW(write(fd, "x", 1));
    CHECK(fstat(fd, &st) == 0 && st.st_mtim.tv_sec > 1500000000);
    close(fd);
    CHECK(utimensat(AT_FDCWD, "d", ts, 0) == 0 &&
          close(open("d/new", O_CREAT | O_WRONLY, 0600)) == 0 && stat("d", &st) == 0);
    printf("directory changed: %d\n", st.st_mtim.tv_sec > 1500000000);
    CHECK(unlink("d/new") == 0);
    struct {
        uint32_t stx_mask, stx_blksize;
        uint64_t stx_attributes;
        uint32_t stx_nlink, stx_uid, stx_gid;
        uint16_t stx_mode, pad;
        uint64_t stx_ino, stx_size, rest[26];
    } sx; /* musl has no struct statx */
    SHOW(syscall(SYS_statx, AT_FDCWD, "f", 0, 0x7ff, &sx));
    printf("%o %llu %u\n", sx.stx_mode, (unsigned long long)sx.stx_size, sx.stx_nlink);
    SHOW(syscall(SYS_statx, AT_FDCWD, "", 0x1000 /* AT_EMPTY_PATH */, 0x7ff, &sx));
    SHOW(syscall(SYS_statx, AT_FDCWD, "f", 0x80000000, 0x7ff, &sx));
    SHOW(syscall(SYS_statx, AT_FDCWD, "f", 0, 0x80000000, &sx));
}

/* As a user who owns nothing here. */
static void as_nobody(void)
{
    CHECK(close(open("mine", O_CREAT | O_WRONLY, 0600)) == 0 &&
          close(open("open", O_CREAT | O_WRONLY, 0644)) == 0);
    CHECK(mkdir("closed", 0700) == 0 && mkdir("shared", 01777) == 0 &&
          chmod("shared", 01777) == 0 && mkdir("exec", 0711) == 0);
    CHECK(close(open("shared/mine", O_CREAT | O_WRONLY, 0666)) == 0 &&
          close(open("exec/x", O_CREAT | O_WRONLY, 0644)) == 0);
    CHECK(chmod(".", 0755) == 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(setgid(65534) == 0 && setuid(65534) == 0);
        SHOW(close(open("open", O_RDONLY)));
        SHOW(open("open", O_WRONLY));
        SHOW(open("mine", O_RDONLY));
        SHOW(access("mine", R_OK));
        SHOW(access("open", R_OK));
        SHOW(access("open", W_OK));
        SHOW(chdir("closed"));
        SHOW(access("closed/x", F_OK));
        SHOW(access("exec/x", F_OK));
        SHOW(open("exec", O_RDONLY));
        SHOW(open("new", O_CREAT | O_WRONLY, 0600));
        SHOW(mkdir("new", 0600));
        SHOW(unlink("open"));
        SHOW(rename("open", "other"));
        SHOW(unlink("shared/mine"));
        SHOW(rename("shared/mine", "shared/other"));
        SHOW(close(open("shared/own", O_CREAT | O_WRONLY, 0400)));
        SHOW(open("shared/own", O_WRONLY));
        SHOW(unlink("shared/own"));
        SHOW(chmod("open", 0777));
        SHOW(chown("open", 65534, -1));
        SHOW(truncate("open", 0));
        SHOW(utimes("open", NULL));
        SHOW(chroot("."));
        SHOW(mknod("shared/dev", S_IFCHR | 0600, 0x103));
        fflush(stdout);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(system("rm -r mine open closed shared exec") == 0);
}

static void big_directory(void)
{
    enum { COUNT = 3000 };
    char name[32];
    static char seen[COUNT];
    CHECK(mkdir("big", 0755) == 0 && chdir("big") == 0);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "entry-%d", i);
        CHECK(close(open(name, O_CREAT | O_WRONLY, 0600)) == 0);
    }
    memset(seen, 0, sizeof(seen));
    DIR *d = opendir(".");
    const struct dirent *e;
    int twice = 0, others = 0, removed = 0;
    CHECK(d);
    while ((e = readdir(d))) {
        int i;
        if (sscanf(e->d_name, "entry-%d", &i) != 1) {
            others++;
            continue;
        }
        twice += seen[i]++;
        if (i % 3 == 0) { /* removing while reading hides nothing else */
            CHECK(unlink(e->d_name) == 0);
            removed++;
        }
    }
    int missed = 0;
    for (int i = 0; i < COUNT; i++)
        missed += !seen[i];
    printf("others %d twice %d missed %d removed %d\n", others, twice, missed, removed);
    rewinddir(d);
    int left = 0;
    long middle = 0;
    char at_middle[64] = "";
    while ((e = readdir(d))) {
        if (++left == 1000)
            middle = telldir(d);
        if (left == 1001)
            strcpy(at_middle, e->d_name);
    }
    seekdir(d, middle);
    e = readdir(d);
    printf("left %d, seek finds it again: %d\n", left, e && strcmp(e->d_name, at_middle) == 0);
    closedir(d);
    char small[16];
    int fd = open(".", O_RDONLY);
    SHOW(syscall(SYS_getdents64, fd, small, sizeof(small)));
    SHOW(syscall(SYS_getdents64, fd, (void *)8, 4096));
    SHOW(read(fd, small, 1));
    SHOW(close(fd));
    fd = open("entry-1", O_RDONLY);
    SHOW(syscall(SYS_getdents64, fd, small, sizeof(small)));
    CHECK(close(fd) == 0 && chdir("..") == 0 && system("rm -r big") == 0);
}

static void gone_directory(void)
{
    char text[64];
    CHECK(mkdir("gone", 0755) == 0 && chdir("gone") == 0);
    int fd = open(".", O_RDONLY);
    CHECK(rmdir("../gone") == 0);
    SHOW(syscall(SYS_getcwd, text, sizeof(text)));
    SHOW(open("x", O_CREAT | O_WRONLY, 0600));
    SHOW(mkdir("x", 0600));
    SHOW(access(".", F_OK));
    SHOW(access("x", F_OK));
    SHOW(chdir(".."));
    SHOW(access("gone", F_OK));
    SHOW(syscall(SYS_getdents64, fd, text, sizeof(text)));
    struct stat st;
    SHOW(fstat(fd, &st));
    printf("nlink %lu\n", (unsigned long)st.st_nlink);
    SHOW(fchdir(fd));
    CHECK(close(fd) == 0 && chdir("..") == 0);
    struct statfs fs;
    SHOW(statfs(".", &fs));
    SHOW(statfs("none", &fs));
    SHOW(fstatfs(99, &fs));
    SHOW(syscall(SYS_getcwd, text, 1));
    SHOW(chroot("none"));
    CHECK(mkdir("jail", 0755) == 0 && close(open("jail/in", O_CREAT | O_WRONLY, 0600)) == 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        SHOW(chroot("jail"));
        SHOW(chdir("/"));
        SHOW(access("/in", F_OK));
        SHOW(access("/../../in", F_OK));
        SHOW(access("/tmp", F_OK));
        SHOW(syscall(SYS_getcwd, text, sizeof(text)));
        puts(text);
        fflush(stdout);
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid && system("rm -r jail") == 0);
}

int main(void)
{
    static const char *const bases[] = {"/tmp", "/var/tmp"};
    for (int i = 0; i < 2; i++) {
        char dir[64];
        snprintf(dir, sizeof(dir), "%s/guest-attr-XXXXXX", bases[i]);
        CHECK(mkdtemp(dir) && chdir(dir) == 0);
        modes();
        times();
        as_nobody();
        big_directory();
        chdir(dir);
        gone_directory();
        CHECK(chdir("/") == 0);
        char command[96];
        snprintf(command, sizeof(command), "rm -r %s", dir);
        CHECK(system(command) == 0);
    }
    return 0;
}
