/*
 * Tries to change /ro, a read-only mount, by every call that changes files, and the host's files below the root, where everything may
 * succeed but only in memory. With the argument "control" it changes /ro where that is allowed: the starter must notice.
 */
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "escape.h"

#define FILE_ "/ro/file"
#ifndef FALLOC_FL_KEEP_SIZE
#define FALLOC_FL_KEEP_SIZE 1
#define FALLOC_FL_PUNCH_HOLE 2
#endif

static char g_by_fd[64],
    g_by_path_fd[64]; /* /proc/self/fd/N of a descriptor that reads, and of an O_PATH one */
static int g_fd, g_path, g_dir;

static void by_opening(void)
{
    must_fail("open to write", open(FILE_, O_WRONLY));
    must_fail("open to read and write", open(FILE_, O_RDWR));
    must_fail("open to append", open(FILE_, O_WRONLY | O_APPEND));
    must_fail("open to read, and truncate", open(FILE_, O_RDONLY | O_TRUNC));
    must_fail("create", open("/ro/new", O_CREAT | O_RDWR, 0644));
    must_fail("creat", creat("/ro/new", 0644));
    must_fail("openat to create", openat(g_dir, "new", O_CREAT | O_RDWR, 0644));
    must_fail("nameless file", open("/ro", O_TMPFILE | O_RDWR, 0644));
    must_fail("reopen by /proc/self/fd", open(g_by_fd, O_RDWR));
    must_fail("reopen an O_PATH descriptor", open(g_by_path_fd, O_RDWR));
    must_fail("reopen and truncate", open(g_by_fd, O_RDONLY | O_TRUNC));
    must_fail("reopen by /proc/self/task",
              openat(open("/proc/self/task/../fd", O_PATH), g_by_fd + 14, O_WRONLY));
    must_fail("reopen with an access mode of 3", write(open(FILE_, O_ACCMODE), "x", 1));
    must_fail("F_SETFL cannot add writing", (fcntl(g_fd, F_SETFL, O_RDWR), write(g_fd, "x", 1)));
    must_fail("through a symlink", open("/ro/link", O_WRONLY));
    must_fail("through a symlink in /rw",
              symlink(FILE_, "/rw/to-ro") == 0 ? open("/rw/to-ro", O_WRONLY) : -1);
}

static void by_descriptor(void)
{
    struct iovec v = {(void *)(uintptr_t) "x", 1};
    int rw = open("/rw/source", O_CREAT | O_RDWR, 0644), pipes[2];
    char text[8];
    if (rw < 0 || write(rw, "source", 6) != 6 || pipe(pipes) != 0 ||
        write(pipes[1], "pipe", 4) != 4)
        exit(99);
    must_fail("write", write(g_fd, "x", 1));
    must_fail("pwrite", pwrite(g_fd, "x", 1, 0));
    must_fail("writev", writev(g_fd, &v, 1));
    must_fail("pwritev2", syscall(SYS_pwritev2, g_fd, &v, 1, 0, 0, 0));
    must_fail("sendfile", sendfile(g_fd, rw, &(off_t){0}, 4));
    must_fail("copy_file_range",
              syscall(SYS_copy_file_range, rw, &(off_t){0}, g_fd, &(off_t){0}, 4, 0));
    must_fail("splice", splice(pipes[0], NULL, g_fd, &(off_t){0}, 4, 0));
    must_fail("ftruncate", ftruncate(g_fd, 0));
    must_fail("fallocate", fallocate(g_fd, 0, 0, 100000));
    must_fail("fallocate, punch",
              fallocate(g_fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 4096));
    must_fail("clone of ranges", ioctl(g_fd, FICLONE, rw));
    must_fail("file flags", ioctl(g_fd, FS_IOC_SETFLAGS, &(int){0x10 /* immutable */}));
    must_fail("freeze", ioctl(g_dir, FIFREEZE, 0));
    must_fail("write to an O_PATH descriptor", write(g_path, "x", 1));
    must_fail("ftruncate of an O_PATH descriptor", ftruncate(g_path, 0));
    must_fail("fallocate of a directory", fallocate(g_dir, 0, 0, 4096));
    told("the data is there", pread(g_fd, text, 4, 0) != 4 || memcmp(text, "read", 4) != 0, "");
    close(rw), close(pipes[0]), close(pipes[1]);
}

static void by_name(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/ro/socket"};
    must_fail("truncate", truncate(FILE_, 0));
    must_fail("truncate by /proc/self/fd", truncate(g_by_fd, 0));
    must_fail("truncate of an O_PATH descriptor", truncate(g_by_path_fd, 0));
    must_fail("unlink", unlink(FILE_));
    must_fail("unlinkat", unlinkat(g_dir, "file", 0));
    must_fail("rmdir", rmdir("/ro/empty"));
    must_fail("mkdir", mkdir("/ro/new", 0755));
    must_fail("mkdirat", mkdirat(g_dir, "new", 0755));
    must_fail("symlink", symlink("x", "/ro/new"));
    must_fail("fifo", mkfifo("/ro/new", 0600));
    must_fail("device", mknod("/ro/new", S_IFCHR | 0600, makedev(1, 3)));
    must_fail("whiteout", mknod("/ro/new", S_IFCHR, 0));
    must_fail("socket",
              bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof(address)));
    must_fail("rename within", rename(FILE_, "/ro/new"));
    must_fail("rename out", rename(FILE_, "/rw/stolen"));
    must_fail("rename out to memory", rename(FILE_, "/tmp/stolen"));
    must_fail("rename in", rename("/rw/source", "/ro/new"));
    must_fail("rename over", rename("/rw/source", FILE_));
    must_fail("exchange",
              syscall(SYS_renameat2, AT_FDCWD, "/rw/source", AT_FDCWD, FILE_, RENAME_EXCHANGE));
    must_fail("exchange within",
              syscall(SYS_renameat2, g_dir, "file", g_dir, "dir", RENAME_EXCHANGE));
    must_fail("whiteout by rename",
              syscall(SYS_renameat2, g_dir, "file", g_dir, "n", RENAME_WHITEOUT));
    must_fail("rename of the mount", rename("/ro", "/moved"));
    must_fail("rmdir of the mount", rmdir("/ro"));
    /* A hard link in /rw, on the same host file system, could be written. */
    must_fail("link out", link(FILE_, "/rw/hard"));
    must_fail("link in", link("/rw/source", "/ro/new"));
    must_fail("link of a descriptor", linkat(g_fd, "", AT_FDCWD, "/rw/hard", AT_EMPTY_PATH));
    must_fail("link of an O_PATH descriptor",
              linkat(g_path, "", AT_FDCWD, "/rw/hard", AT_EMPTY_PATH));
    must_fail("link by /proc/self/fd",
              linkat(AT_FDCWD, g_by_fd, AT_FDCWD, "/rw/hard", AT_SYMLINK_FOLLOW));
    must_fail("link of the root's file", link("/etc/file", "/rw/hard"));
    must_fail("link of a nameless file", linkat(open("/rw", O_TMPFILE | O_RDWR, 0600), "", AT_FDCWD,
                                                "/ro/new", AT_EMPTY_PATH));
}

static void by_attributes(void)
{
    struct timespec times[2] = {{1, 0}, {2, 0}};
    struct timeval old[2] = {{1, 0}, {2, 0}};
    must_fail("chmod", chmod(FILE_, 0777));
    must_fail("fchmod", fchmod(g_fd, 0777));
    must_fail("fchmodat by descriptor", fchmodat(g_dir, "file", 0777, 0));
    must_fail("chmod by /proc/self/fd", chmod(g_by_fd, 0777));
    must_fail("chmod of an O_PATH descriptor", chmod(g_by_path_fd, 0777));
    must_fail("fchmodat2", syscall(452, g_path, "", 0777, AT_EMPTY_PATH));
    must_fail("chown", chown(FILE_, 1, 1));
    must_fail("fchown", fchown(g_fd, 1, 1));
    must_fail("lchown of a symlink", lchown("/ro/link", 1, 1));
    must_fail("chown of an O_PATH descriptor", fchownat(g_path, "", 1, 1, AT_EMPTY_PATH));
    must_fail("chown by /proc/self/fd", chown(g_by_fd, 1, 1));
    must_fail("utimensat", utimensat(AT_FDCWD, FILE_, times, 0));
    must_fail("futimens", futimens(g_fd, times));
    must_fail("utimensat to now", utimensat(AT_FDCWD, FILE_, NULL, 0));
    must_fail("utimensat of an O_PATH descriptor", utimensat(g_path, "", times, AT_EMPTY_PATH));
    must_fail("utimensat by /proc/self/fd", utimensat(AT_FDCWD, g_by_path_fd, times, 0));
    must_fail("utimensat of a symlink",
              utimensat(AT_FDCWD, "/ro/link", times, AT_SYMLINK_NOFOLLOW));
    must_fail("utimes", utimes(FILE_, old));
    must_fail("futimesat", syscall(SYS_futimesat, g_dir, "file", old));
    must_fail("setxattr", setxattr(FILE_, "user.a", "x", 1, 0));
    must_fail("fsetxattr", fsetxattr(g_fd, "user.a", "x", 1, 0));
    must_fail("lsetxattr of a symlink", lsetxattr("/ro/link", "trusted.a", "x", 1, 0));
    must_fail("setxattr by /proc/self/fd", setxattr(g_by_path_fd, "user.a", "x", 1, 0));
    must_fail("removexattr", removexattr(FILE_, "user.kept"));
    must_fail("capabilities", setxattr("/ro/program", "security.capability",
                                       "\1\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, 0));
}

static void by_memory(void)
{
    char *shown = mmap(NULL, 4096, PROT_READ, MAP_SHARED, g_fd, 0);
    must_fail("writable shared mapping",
              mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, g_fd, 0) == MAP_FAILED ? -1 : 0);
    must_fail("mapping made writable", mprotect(shown, 4096, PROT_READ | PROT_WRITE));
    must_fail("a call that writes there", read(open("/dev/zero", O_RDONLY), shown, 16));
    struct iovec from = {(void *)(uintptr_t) "memory", 6}, to = {shown, 6};
    must_fail("process_vm_writev", process_vm_writev(getpid(), &from, 1, &to, 1, 0));
    int mem = open("/proc/self/mem", O_RDWR);
    must_fail("/proc/self/mem", pwrite(mem, "memory", 6, (off_t)(uintptr_t)shown));
    close(mem);
    /* A private mapping is written; the file is not. */
    char *own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, g_fd, 0);
    memcpy(own, "private", 7);
    told("private mapping", memcmp(shown, "read", 4) != 0, "");
    must_fail("msync of it into the file",
              memcmp(shown, own, 7) == 0 && msync(own, 4096, MS_SYNC) == 0 ? 0 : -1);
    munmap(own, 4096), munmap(shown, 4096);
}

static bool core_is_left(void)
{
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &all);
    if (chdir("/ro"))
        return true;
    abort();
}

static bool kernel_files_are_written(void)
{
    bool any = syscall(SYS_acct, FILE_) == 0;
    any |= syscall(SYS_swapon, FILE_, 0) == 0;
    any |= syscall(SYS_quotactl, 0x80000200u, "/ro", 0, FILE_) == 0;
    any |= syscall(SYS_mount, NULL, "/ro", NULL, MS_REMOUNT, NULL) == 0;
    struct {
        unsigned long long set, clear, propagation, userns;
    } attr = {.clear = 1 /* MOUNT_ATTR_RDONLY */};
    any |= syscall(442 /* mount_setattr */, AT_FDCWD, "/ro", 0, &attr, sizeof(attr)) == 0;
    return any;
}

/* A mount's flag is not what keeps the host's files from being written. */
static bool remounting_helps(void)
{
    mkdir("/rw/again", 0700);
    syscall(SYS_mount, NULL, "/ro", NULL, MS_REMOUNT | MS_BIND, NULL);
    bool any = open(FILE_, O_WRONLY) >= 0 || unlink(FILE_) == 0 || mkdir("/ro/made", 0700) == 0;
    if (syscall(SYS_mount, "/ro", "/rw/again", NULL, MS_BIND, NULL) == 0) {
        syscall(SYS_mount, NULL, "/rw/again", NULL, MS_REMOUNT | MS_BIND, NULL);
        any |= open("/rw/again/file", O_WRONLY) >= 0 || chmod("/rw/again/file", 0777) == 0 ||
               unlink("/rw/again/file") == 0 || mkdir("/rw/again/made", 0700) == 0 ||
               rename("/rw/again/file", "/rw/again/other") == 0 ||
               rename("/rw/again/file", "/rw/file") == 0;
        syscall(SYS_mount, "/rw/again", "/rw", NULL, MS_MOVE, NULL);
        any |= open("/rw/file", O_RDWR) >= 0;
    }
    syscall(SYS_umount2, "/ro", MNT_DETACH); /* what is below is the root's own */
    return any || open(FILE_, O_WRONLY) >= 0;
}

static bool as_somebody(void)
{
    return setgid(1000) || setuid(1000) || open(FILE_, O_WRONLY) >= 0 ||
           chmod("/ro/mine", 0777) == 0 || unlink("/ro/mine") == 0;
}

/* What may succeed, in memory. */
/* rename(2); or as mv(1) does it where a directory cannot be renamed (overlayfs). */
static int move_sub(void)
{
    if (rename("/etc/sub", "/sub") == 0)
        return 0;
    return errno != EXDEV || mkdir("/sub", 0755) || rename("/etc/sub/inner", "/sub/inner") ||
           rmdir("/etc/sub");
}

static void in_the_root(void)
{
    int fd = open("/etc/file", O_RDWR), dir = open("/etc", O_RDONLY | O_DIRECTORY);
    char text[32] = "";
    char *shown = mmap(NULL, 4096, PROT_READ, MAP_SHARED, open("/etc/mapped", O_RDONLY), 0);
    told("write", pwrite(fd, "WRITTEN", 7, 0) != 7, "");
    told("truncate", truncate("/etc/long", 10) != 0, "");
    told("punch", fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 8, 4096) != 0, "");
    int mapped = open("/etc/mapped", O_RDWR);
    char *own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mapped, 0);
    told("shared mapping",
         own == MAP_FAILED || (memcpy(own, "MAPPED", 6), msync(own, 4096, MS_SYNC) != 0), "");
    told("mapping of the lower file cannot be written",
         shown != MAP_FAILED && mprotect(shown, 4096, PROT_READ | PROT_WRITE) == 0 &&
             (memcpy(shown, "LOWER", 5), false),
         "");
    told("chmod, chown, times",
         chmod("/etc/file", 0777) || chown("/etc/file", 5, 5) || utimensat(dir, "file", NULL, 0) ||
             chmod("/etc", 0711),
         "");
    told("xattr", setxattr("/etc/file", "user.new", "x", 1, 0) != 0, "");
    told("link, rename, unlink",
         link("/etc/file", "/etc/hard") || rename("/etc/long", "/etc/renamed") ||
             unlink("/etc/gone"),
         "");
    told("write to the hard link", pwrite(open("/etc/hard", O_WRONLY), "HARD", 4, 0) != 4, "");
    told("rename a directory", move_sub() || pwrite(open("/sub/inner", O_RDWR), "SUB", 3, 0) != 3,
         "");
    told("replace a directory", mkdir("/etc/sub", 0700) || close(creat("/etc/sub/inner", 0600)),
         "");
    told("replace a symlink", unlink("/absolute") || symlink("x", "/absolute"), "");
    told("truncate by opening", pread(open("/etc/opened", O_RDONLY | O_TRUNC), text, 1, 0) != 0,
         "");
    told("nameless file",
         linkat(open("/etc", O_TMPFILE | O_RDWR, 0600), "", AT_FDCWD, "/etc/named",
                AT_EMPTY_PATH) != 0,
         "");
    close(fd), close(dir), close(mapped);
}

static int control(const char *what)
{
    if (strcmp(what, "data") == 0)
        return pwrite(open(FILE_, O_WRONLY), "R", 1, 0) != 1;
    if (strcmp(what, "mode") == 0)
        return chmod(FILE_, 0640);
    if (strcmp(what, "times") == 0)
        return utimensat(AT_FDCWD, FILE_, NULL, 0);
    if (strcmp(what, "name") == 0)
        return close(creat("/ro/new", 0600));
    if (strcmp(what, "link") == 0)
        return link(FILE_, "/ro/hard");
    if (strcmp(what, "xattr") == 0)
        return removexattr(FILE_, "user.kept");
    return 2;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "control") == 0)
        return control(argv[2]);
    g_fd = open(FILE_, O_RDONLY), g_path = open(FILE_, O_PATH),
    g_dir = open("/ro", O_RDONLY | O_DIRECTORY);
    if (g_fd < 0 || g_path < 0 || g_dir < 0)
        return 99;
    snprintf(g_by_fd, sizeof(g_by_fd), "/proc/self/fd/%d", g_fd);
    snprintf(g_by_path_fd, sizeof(g_by_path_fd), "/proc/self/fd/%d", g_path);
    by_opening();
    by_descriptor();
    by_name();
    by_attributes();
    by_memory();
    in_child("core file", core_is_left);
    in_child("files that the kernel writes", kernel_files_are_written);
    in_child("as another user", as_somebody);
    in_child("mounted once more", remounting_helps);
    printf("below the root:\n");
    in_the_root();
    return finish();
}
