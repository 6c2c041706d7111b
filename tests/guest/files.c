/* Files and directories in /tmp; positions shared over fork and dup; errors as the manual pages have them. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

int main(void)
{
    char dir[] = "/tmp/guest-files-XXXXXX", data[64];
    struct stat st;
    CHECK(mkdtemp(dir) && chdir(dir) == 0);
    int fd = open("a", O_RDWR | O_CREAT | O_EXCL, 0640);
    CHECK(fd >= 0 && open("a", O_RDWR | O_CREAT | O_EXCL, 0640) == -1 && errno == EEXIST);
    CHECK(write(fd, "0123456789", 10) == 10 && lseek(fd, 2, SEEK_SET) == 2);
    int other = dup(fd);
    CHECK(read(other, data, 3) == 3 && memcmp(data, "234", 3) == 0 && lseek(fd, 0, SEEK_CUR) == 5);
    pid_t pid = fork();
    if (pid == 0)
        _exit(read(fd, data, 1) == 1 && data[0] == '5' ? 0 : 1);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0 && lseek(fd, 0, SEEK_CUR) == 6);
    CHECK(pread(fd, data, 64, 8) == 2 && pread(fd, data, 1, 10) == 0 &&
          pwrite(fd, "ab", 2, 12) == 2);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 14 && (st.st_mode & 07777) == 0640 &&
          S_ISREG(st.st_mode) && st.st_nlink == 1);
    struct iovec iov[2] = {{data, 5}, {data + 5, 20}};
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && readv(fd, iov, 2) == 14 &&
          memcmp(data + 10, "\0\0ab", 4) == 0);
    CHECK(lseek(fd, -1, SEEK_SET) == -1 && errno == EINVAL);
    CHECK(lseek(fd, -4, SEEK_END) == 10);
    CHECK(ftruncate(fd, 5) == 0 && fstat(fd, &st) == 0 && st.st_size == 5);
    int append = open("a", O_WRONLY | O_APPEND);
    CHECK(write(append, "X", 1) == 1 && pread(fd, data, 6, 0) == 6 && data[5] == 'X');
    CHECK(read(append, data, 1) == -1 && errno == EBADF);
    printf("reading and writing\n");

    CHECK(link("a", "b") == 0 && stat("b", &st) == 0 && st.st_nlink == 2);
    CHECK(symlink("a", "s") == 0 && readlink("s", data, 64) == 1 && lstat("s", &st) == 0 &&
          S_ISLNK(st.st_mode));
    CHECK(symlink("loop", "loop") == 0 && open("loop", O_RDONLY) == -1 && errno == ELOOP);
    CHECK(mkdir("d", 0755) == 0 && mkdir("d", 0755) == -1 && errno == EEXIST);
    CHECK(rename("b", "d/c") == 0 && rename("d", "a") == -1 && errno == ENOTDIR);
    CHECK(rmdir("d") == -1 && errno == ENOTEMPTY && unlink("d") == -1 && errno == EISDIR);
    CHECK(open("d", O_WRONLY) == -1 && errno == EISDIR && open("a/x", O_RDONLY) == -1 &&
          errno == ENOTDIR);
    CHECK(access("nothing", F_OK) == -1 && errno == ENOENT);
    CHECK(chmod("a", 0444) == 0 && stat("a", &st) == 0 && (st.st_mode & 0777) == 0444);
    printf("names\n");

    DIR *d = opendir(".");
    const struct dirent *e;
    int names = 0;
    CHECK(d);
    while ((e = readdir(d)))
        names++;
    closedir(d);
    char cwd[128];
    CHECK(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, dir) == 0);
    CHECK(unlink("a") == 0 && read(other, data, 1) >= 0);
    CHECK(unlink("s") == 0 && unlink("loop") == 0 && unlink("d/c") == 0 && rmdir("d") == 0);
    CHECK(chdir("/") == 0 && rmdir(dir) == 0 && fstat(fd, &st) == 0 && st.st_nlink == 0);
    printf("%d names in the directory\n", names);

    for (int i = 0; i < 3; i++) {
        static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/urandom"};
        CHECK((fd = open(devices[i], O_RDWR)) >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode));
        ssize_t n = read(fd, data, 16);
        printf("%s: %zd read, %zd written\n", devices[i], n, write(fd, data, 16));
    }
    CHECK((fd = open("/dev/full", O_WRONLY)) >= 0 && write(fd, data, 1) == -1 && errno == ENOSPC);
    CHECK(read(-1, data, 1) == -1 && errno == EBADF && read(0x7fffffff, data, 1) == -1 &&
          errno == EBADF);
    CHECK((fd = open("/dev/zero", O_RDONLY)) >= 0 && read(fd, (void *)8, 100) == -1 &&
          errno == EFAULT);
    CHECK(open((const char *)8, O_RDONLY) == -1 && errno == EFAULT);
    printf("devices and bad arguments\n");
    return 0;
}
