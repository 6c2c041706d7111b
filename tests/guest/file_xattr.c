/* Extended attributes: every call, each prefix, as root and as another user; in a tmpfs and on the root file system. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "show.h"

static char g_value[70000];

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *name)
{
    char text[4096], *names[64];
    int count = 0;
    ssize_t n = llistxattr(name, text, sizeof(text));
    printf("  %s: %zd", name, n);
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(text + at) + 1)
        names[count++] = text + at;
    qsort(names, (size_t)count, sizeof(names[0]), by_name);
    for (int i = 0; i < count; i++)
        printf(" %s", names[i]);
    printf("\n");
}

static void as_somebody(void (*what)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(setgid(12345) == 0 && setuid(12345) == 0);
        what();
        fflush(stdout);
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
}

static void somebody(void)
{
    SHOW(getxattr("f", "user.a", g_value, 100));
    SHOW(setxattr("f", "user.n", "x", 1, 0));
    SHOW(getxattr("f", "trusted.t", g_value, 100));
    SHOW(setxattr("f", "trusted.t", "x", 1, 0));
    SHOW(setxattr("f", "security.s", "x", 1, 0));
    SHOW(removexattr("f", "user.a"));
    SHOW(getxattr("secret", "user.a", g_value, 100));
    SHOW(setxattr("open", "user.a", "x", 1, 0));
    SHOW(getxattr("open", "user.a", g_value, 100));
    SHOW(setxattr("sticky", "user.a", "x", 1, 0));
    list("f");
    list("secret");
}

static void run(const char *base)
{
    char dir[64];
    snprintf(dir, sizeof(dir), "%s/guest-xattr-XXXXXX", base);
    CHECK(mkdtemp(dir) && chdir(dir) == 0 && chmod(dir, 0755) == 0);
    umask(022);
    int fd = open("f", O_CREAT | O_RDWR, 0644), path = open("f", O_PATH);
    CHECK(fd >= 0 && path >= 0 && mkdir("d", 0755) == 0 && symlink("f", "l") == 0 &&
          symlink("none", "dangling") == 0);
    SHOW(getxattr("f", "user.a", g_value, 100));
    SHOW(setxattr("f", "user.a", "value", 5, 0));
    SHOW(getxattr("f", "user.a", g_value, 100));
    printf("  %.5s\n", g_value);
    SHOW(getxattr("f", "user.a", NULL, 0));
    SHOW(getxattr("f", "user.a", g_value, 3));
    SHOW(getxattr("f", "user.a", g_value, 5));
    SHOW(setxattr("f", "user.a", "new", 3, XATTR_CREATE));
    SHOW(setxattr("f", "user.b", "new", 3, XATTR_REPLACE));
    SHOW(setxattr("f", "user.b", "b", 1, XATTR_CREATE));
    SHOW(setxattr("f", "user.a", "longer than before", 18, XATTR_REPLACE));
    SHOW(fgetxattr(fd, "user.a", g_value, 100));
    SHOW(setxattr("f", "user.empty", "", 0, 0));
    SHOW(getxattr("f", "user.empty", g_value, 100));
    list("f");
    SHOW(listxattr("f", NULL, 0));
    SHOW(listxattr("f", g_value, 5));
    SHOW(flistxattr(fd, g_value, 100));
    SHOW(removexattr("f", "user.b"));
    SHOW(removexattr("f", "user.b"));
    list("f");
    /* prefixes */
    SHOW(setxattr("f", "trusted.t", "x", 1, 0));
    SHOW(setxattr("f", "security.s", "x", 1, 0));
    SHOW(setxattr("f", "nothing", "x", 1, 0));
    SHOW(setxattr("f", "other.name", "x", 1, 0));
    SHOW(setxattr("f", "user.", "x", 1, 0));
    SHOW(setxattr("f", "", "x", 1, 0));
    SHOW(getxattr("f", "nothing", g_value, 100));
    SHOW(removexattr("f", "nothing"));
    list("f");
    /* limits */
    char name[300];
    memset(name, 'n', sizeof(name));
    memcpy(name, "user.", 5);
    name[255] = 0;
    SHOW(setxattr("f", name, "x", 1, 0));
    SHOW(removexattr("f", name));
    name[255] = 'n';
    name[256] = 0;
    SHOW(setxattr("f", name, "x", 1, 0));
    SHOW(getxattr("f", name, g_value, 100));
    SHOW(setxattr("f", "user.big", g_value, 65537, 0));
    SHOW(setxattr("f", "user.a", "x", 1, 8));
    SHOW(setxattr("f", (char *)8, "x", 1, 0));
    SHOW(setxattr("f", "user.a", (char *)8, 1, 0));
    SHOW(getxattr("f", "user.empty", (char *)8, 100));
    SHOW(getxattr("f", "user.a", (char *)8, 100));
    SHOW(getxattr("none", "user.a", g_value, 100));
    SHOW(fgetxattr(-1, "user.a", g_value, 100));
    SHOW(fgetxattr(path, "user.a", g_value, 100));
    SHOW(fsetxattr(path, "user.a", g_value, 1, 0));
    /* kinds of files */
    SHOW(setxattr("d", "user.a", "x", 1, 0));
    SHOW(getxattr("l", "user.a", g_value, 100));
    SHOW(lgetxattr("l", "user.a", g_value, 100));
    SHOW(lsetxattr("l", "user.a", "x", 1, 0));
    SHOW(lsetxattr("l", "trusted.a", "x", 1, 0));
    SHOW(lgetxattr("l", "trusted.a", g_value, 100));
    SHOW(getxattr("dangling", "user.a", g_value, 100));
    SHOW(mkfifo("fifo", 0600));
    SHOW(setxattr("fifo", "user.a", "x", 1, 0));
    SHOW(getxattr("fifo", "user.a", g_value, 100));
    list("d");
    list("l");
    list("fifo");
    /* They belong to the file, not to its name or its data. */
    SHOW(link("f", "g") | unlink("f") | rename("g", "f") | ftruncate(fd, 0));
    SHOW(getxattr("f", "user.a", g_value, 100));
    struct stat before, after;
    CHECK(stat("f", &before) == 0 && usleep(20000) == 0 &&
          setxattr("f", "user.c", "x", 1, 0) == 0 && stat("f", &after) == 0);
    printf("ctime %s, mtime %s\n", before.st_ctim.tv_nsec == after.st_ctim.tv_nsec ? "same" : "new",
           before.st_mtim.tv_nsec == after.st_mtim.tv_nsec ? "same" : "new");
    /* others */
    CHECK(close(open("secret", O_CREAT, 0600)) == 0 &&
          setxattr("secret", "user.a", "x", 1, 0) == 0);
    int opened = open("open", O_CREAT, 0600);
    CHECK(opened >= 0 && fchmod(opened, 0666) == 0 && close(opened) == 0);
    CHECK(mkdir("sticky", 0700) == 0 && chmod("sticky", 01777) == 0);
    as_somebody(somebody);
    /* A name that fits none, a file that ends. */
    CHECK(unlink("f") == 0);
    SHOW(fgetxattr(fd, "user.a", g_value, 100));
    SHOW(fsetxattr(fd, "user.z", "x", 1, 0));
    close(fd), close(path);
    CHECK(unlink("l") == 0 && unlink("dangling") == 0 && unlink("fifo") == 0 &&
          unlink("secret") == 0 && unlink("open") == 0);
    CHECK(rmdir("d") == 0 && rmdir("sticky") == 0 && chdir("/") == 0 && rmdir(dir) == 0);
}

int main(void)
{
    run("/var/tmp");
    run("/tmp");
    int p[2];
    CHECK(pipe(p) == 0);
    SHOW(fgetxattr(p[0], "user.a", g_value, 100));
    SHOW(fsetxattr(p[0], "user.a", "x", 1, 0));
    SHOW(getxattr("/proc/self/status", "user.a", g_value, 100));
    return 0;
}
