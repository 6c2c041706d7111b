/*
 * mount(2) and umount2(2) as a program with CAP_SYS_ADMIN sees them, in a mount namespace of its own: natively the test makes one, under
 * pal every guest has one.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "show.h"

static char g_top[64];
/* Under pal: no other program is in this system, and what it says of its own memory is about us. */
static bool g_alone;

/* A path below the program's own directory; four at once. */
static const char *at(const char *name)
{
    static char texts[4][160];
    static int next;
    char *text = texts[next++ % 4];
    snprintf(text, sizeof(texts[0]), "%s/%s", g_top, name);
    return text;
}

static int put(const char *name, const char *text)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    int n = fd < 0 ? -1 : (int)write(fd, text, strlen(text));
    if (fd >= 0)
        close(fd);
    return n;
}

static void show_text(const char *name)
{
    char text[64] = "";
    int fd = open(at(name), O_RDONLY);
    if (fd < 0) {
        printf("%s: %s\n", name, strerror(errno));
        return;
    }
    CHECK(read(fd, text, sizeof(text) - 1) >= 0);
    close(fd);
    printf("%s: %s\n", name, text);
}

static int tmpfs(const char *name, const char *options)
{
    return mount("some", at(name), "tmpfs", 0, options);
}

static int bind_on(const char *from, const char *to, unsigned long flags)
{
    return mount(at(from), at(to), NULL, MS_BIND | flags, NULL);
}

/* Our mounts as /proc/self/mounts has them. What the file system below them is differs from machine to machine. */
static void show_mounts(void)
{
    char line[512];
    FILE *f = fopen("/proc/self/mounts", "r");
    CHECK(f);
    while (fgets(line, sizeof(line), f)) {
        char *place = strstr(line, g_top), *type, *options, *new_kernel;
        if (!place || place == line)
            continue;
        place = strtok(place + strlen(g_top), " ");
        type = strtok(NULL, " ");
        options = strtok(NULL, " ");
        if ((new_kernel = strstr(options, ",inode64")) != NULL)
            memmove(new_kernel, new_kernel + 8, strlen(new_kernel + 8) + 1);
        bool ours = strcmp(type, "tmpfs") == 0 || strcmp(type, "proc") == 0;
        printf("mounted: %s %s %s\n", place, ours ? type : "-", ours ? options : "-");
    }
    fclose(f);
}

static void binds(void)
{
    struct stat a, b;
    CHECK(mkdir(at("from"), 0755) == 0 && mkdir(at("from/sub"), 0755) == 0 &&
          mkdir(at("to"), 0755) == 0);
    CHECK(put("from/file", "in from") > 0 && put("to/hidden", "below") > 0);
    SHOW(bind_on("from", "to", 0));
    show_text("to/file");
    show_text("to/hidden");
    CHECK(stat(at("from"), &a) == 0 && stat(at("to"), &b) == 0);
    printf("the same directory: %d\n", a.st_dev == b.st_dev && a.st_ino == b.st_ino);
    CHECK(put("to/made", "through the mount") > 0);
    show_text("from/made");
    show_text("to/sub/../file");
    CHECK(stat(g_top, &a) == 0 && stat(at("to/.."), &b) == 0);
    printf("and up again: %d\n", a.st_ino == b.st_ino);
    SHOW(rmdir(at("to")));
    SHOW(rename(at("to"), at("other")));
    SHOW(rename(at("to/file"), at("from/renamed")));
    SHOW(link(at("to/file"), at("from/linked")));
    SHOW(umount(at("to")));
    show_text("to/hidden");
    SHOW(umount(at("to")));
    /* files, and what does not fit */
    CHECK(put("one", "first") > 0 && put("two", "second") > 0);
    SHOW(bind_on("one", "two", 0));
    show_text("two");
    SHOW(unlink(at("two")));
    SHOW(umount2(at("two"), 0));
    show_text("two");
    SHOW(bind_on("one", "to", 0));
    SHOW(bind_on("from", "two", 0));
    SHOW(bind_on("none", "to", 0));
    SHOW(bind_on("from", "none", 0));
    SHOW(mount(NULL, at("to"), NULL, MS_BIND, NULL));
    SHOW(mount("", at("to"), NULL, MS_BIND, NULL));
    SHOW(mount(NULL, NULL, NULL, MS_BIND, NULL));
    /* a directory on itself */
    SHOW(bind_on("from", "from", 0));
    show_text("from/file");
    show_mounts();
    SHOW(umount(at("from")));
}

static void read_only(void)
{
    struct statfs st;
    SHOW(bind_on("from", "to", MS_RDONLY)); /* the flag is not heeded with the bind */
    SHOW(put("to/before", "x"));
    SHOW(mount(NULL, at("to"), NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
    SHOW(put("to/after", "x"));
    SHOW(put("from/after", "x"));
    SHOW(unlink(at("to/after")));
    SHOW(mkdir(at("to/dir"), 0755));
    SHOW(chmod(at("to/file"), 0600));
    SHOW(utimensat(AT_FDCWD, at("to/file"), NULL, 0));
    SHOW(truncate(at("to/file"), 3));
    SHOW(access(at("to/file"), W_OK));
    SHOW(access(at("to/file"), R_OK));
    SHOW(rename(at("to/file"), at("to/file2")));
    SHOW(link(at("to/file"), at("to/file2")));
    CHECK(statfs(at("to"), &st) == 0);
    printf("flag: %d\n", (int)st.f_flags & 1);
    int fd = open(at("from/after"), O_WRONLY);
    SHOW(mount(NULL, at("to/sub"), NULL, MS_REMOUNT | MS_BIND, NULL));
    SHOW(mount(NULL, at("to"), NULL, MS_REMOUNT | MS_BIND, NULL));
    SHOW(put("to/after", "again"));
    close(fd);
    SHOW(umount(at("to")));
}

static void limited(void)
{
    static char page[4096];
    struct statfs fs;
    struct stat st;
    CHECK(mkdir(at("mem"), 0755) == 0);
    SHOW(tmpfs("mem", "size=64k,nr_inodes=5,mode=750,uid=7,gid=8"));
    CHECK(stat(at("mem"), &st) == 0);
    printf("%o %d %d\n", st.st_mode & 07777, (int)st.st_uid, (int)st.st_gid);
    CHECK(statfs(at("mem"), &fs) == 0);
    printf("%ld blocks of %ld, %ld free\n", (long)fs.f_blocks, (long)fs.f_bsize, (long)fs.f_bfree);
    int fd = open(at("mem/big"), O_RDWR | O_CREAT, 0644), written = 0;
    CHECK(fd >= 0);
    while (written < 100 && write(fd, page, sizeof(page)) == (int)sizeof(page))
        written++;
    printf("%d pages, then: %s\n", written, strerror(errno));
    CHECK(statfs(at("mem"), &fs) == 0);
    printf("%ld free\n", (long)fs.f_bfree);
    SHOW(pwrite(fd, page, 100, 0));
    SHOW(ftruncate(fd, 4096 * 10));
    SHOW(pwrite(fd, page, sizeof(page), 4096 * 10));
    CHECK(statfs(at("mem"), &fs) == 0);
    printf("%ld free\n", (long)fs.f_bfree);
    SHOW(put("mem/a", "a"));
    SHOW(put("mem/b", "b"));
    SHOW(put("mem/c", "c"));
    SHOW(put("mem/d", "d"));
    SHOW(unlink(at("mem/b")));
    SHOW(put("mem/d", "d"));
    SHOW(mount(NULL, at("mem"), NULL, MS_REMOUNT, "size=128k"));
    CHECK(statfs(at("mem"), &fs) == 0);
    printf("%ld blocks\n", (long)fs.f_blocks);
    SHOW(mount(NULL, at("mem"), NULL, MS_REMOUNT, "size=4k"));
    SHOW(mount(NULL, at("mem"), NULL, MS_REMOUNT | MS_RDONLY, NULL));
    show_mounts();
    SHOW(put("mem/a", "a"));
    SHOW(umount(at("mem")));
    close(fd);
    SHOW(umount(at("mem")));
    SHOW(tmpfs("mem", "size=many"));
    SHOW(tmpfs("mem", "nonsense=1"));
    SHOW(tmpfs("mem", "mode=9"));
    SHOW(mount("x", at("mem"), "no-such-fs", 0, NULL));
    SHOW(mount("x", at("mem"), NULL, 0, NULL));
    SHOW(tmpfs("one", NULL)); /* a file */
}

/* Linux may keep a page or two that a write brought in before it failed. */
static void show_used(const char *name, long pages)
{
    struct statfs fs;
    CHECK(statfs(at(name), &fs) == 0);
    long used = (long)(fs.f_blocks - fs.f_bfree);
    printf("%s: about %ld pages used: %d\n", name, pages, used >= pages && used <= pages + 3);
}

/* What a call could not write takes no room. */
static void failed_writes(void)
{
    enum { PAGE = 4096, PAGES = 256 };
    SHOW(tmpfs("mem", "size=1m"));
    char *good = mmap(NULL, (size_t)PAGE * (PAGES + 2), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(good != MAP_FAILED);
    char *bad = good + (size_t)PAGE * (PAGES + 1);
    CHECK(mprotect(bad, PAGE, PROT_NONE) == 0);
    int fd = open(at("mem/small"), O_RDWR | O_CREAT, 0644), faults = 0;
    CHECK(fd >= 0);
    for (int i = 0; i < PAGES + 44; i++)
        faults += write(fd, bad, PAGE) < 0 && errno == EFAULT;
    printf("%d faults\n", faults);
    show_used("mem", 0);
    SHOW(pwrite(fd, bad, PAGE, 100));
    SHOW(pwrite(fd, bad - PAGE, PAGE + 1, 0)); /* short */
    show_used("mem", 1);
    SHOW(pwrite(fd, bad, 100, PAGE - 100)); /* in the page it has */
    show_used("mem", 1);
    close(fd);
    /* one that is too large for the heap */
    fd = open(at("mem/large"), O_RDWR | O_CREAT, 0644);
    CHECK(fd >= 0);
    SHOW(write(fd, good, (size_t)PAGE * 32));
    for (int i = 0; i < PAGES; i++)
        CHECK(pwrite(fd, bad, PAGE, (off_t)PAGE * 32) == -1 && errno == EFAULT);
    show_used("mem", 33);
    SHOW(pwrite(fd, bad - PAGE * 4, PAGE * 5, (off_t)PAGE * 32)); /* short */
    show_used("mem", 37);
    SHOW(fallocate(fd, 0, 0, (off_t)PAGE * (PAGES + 1)));
    show_used("mem", 37);
    /* as far as there is room */
    long pages = pwrite(fd, good, (size_t)PAGE * (PAGES + 1), (off_t)PAGE * 36) / PAGE;
    printf("filled: %d\n", pages >= PAGES - 40 && pages <= PAGES - 36);
    show_used("mem", 256);
    SHOW(ftruncate(fd, 0));
    show_used("mem", 1);
    SHOW(unlink(at("mem/large")));
    SHOW(unlink(at("mem/small")));
    close(fd);
    show_used("mem", 0);
    SHOW(umount(at("mem")));
    CHECK(munmap(good, (size_t)PAGE * (PAGES + 2)) == 0);
}

static void *remount_often(void *size)
{
    char options[32], place[160];
    snprintf(place, sizeof(place), "%s/mem", g_top);
    for (long i = 0; i < 1500; i++) {
        snprintf(options, sizeof(options), "size=%luk",
                 (unsigned long)(uintptr_t)size + 4 * (i % 9));
        CHECK(mount(NULL, place, NULL, MS_REMOUNT, options) == 0);
    }
    return NULL;
}

/* Options that change while others change and read them. */
static void remounts_at_once(void)
{
    char line[512];
    long bad = 0;
    pthread_t threads[2];
    SHOW(tmpfs("mem", "size=1m"));
    for (uintptr_t i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, remount_often, (void *)(1000 + i * 100000)) == 0);
    for (int i = 0; i < 500; i++) {
        FILE *f = fopen("/proc/self/mounts", "r");
        CHECK(f);
        while (fgets(line, sizeof(line), f)) {
            char *place = strstr(line, g_top), *size = strstr(line, ",size="), *end;
            if (!place || strncmp(place + strlen(g_top), "/mem ", 5) != 0)
                continue;
            long kilobytes = size ? strtol(size + 6, &end, 10) : 0;
            bad += kilobytes < 1000 || kilobytes > 101032 || *end != 'k';
        }
        fclose(f);
    }
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    printf("options that nobody gave: %ld\n", bad);
    SHOW(umount(at("mem")));
}

static void ends(void)
{
    CHECK(tmpfs("mem", NULL) == 0 && put("mem/file", "kept") > 0 &&
          mkdir(at("mem/dir"), 0755) == 0);
    int fd = open(at("mem/file"), O_RDONLY);
    SHOW(umount(at("mem")));
    CHECK(close(fd) == 0 && chdir(at("mem/dir")) == 0);
    SHOW(umount(at("mem")));
    CHECK(chdir("/") == 0);
    int dir = open(at("mem"), O_RDONLY | O_DIRECTORY);
    fd = open(at("mem/file"), O_RDONLY);
    SHOW(umount2(at("mem"), MNT_DETACH));
    char text[8] = "";
    SHOW(read(fd, text, 4));
    printf("%s\n", text);
    int again = openat(dir, "file", O_RDONLY);
    printf("still reached: %d\n", again >= 0);
    show_text("mem/file");
    close(fd), close(dir), close(again);
    SHOW(umount2(at("mem"), MNT_DETACH));
    SHOW(umount2(at("mem"), 64));
    SHOW(umount2(at("none"), 0));
    CHECK(tmpfs("mem", NULL) == 0);
    SHOW(umount2(at("mem"), MNT_EXPIRE | MNT_DETACH));
    SHOW(umount2(at("mem"), MNT_EXPIRE));
    SHOW(umount2(at("mem"), MNT_EXPIRE));
    SHOW(umount2(at("mem"), MNT_EXPIRE));
    /* one above the other */
    CHECK(tmpfs("mem", NULL) == 0 && put("mem/file", "lower") > 0);
    CHECK(tmpfs("mem", NULL) == 0 && put("mem/file", "upper") > 0);
    show_text("mem/file");
    SHOW(umount(at("mem")));
    show_text("mem/file");
    SHOW(umount(at("mem")));
    show_text("mem/file");
    /* a link to it is followed, or not */
    CHECK(tmpfs("mem", NULL) == 0 && symlink(at("mem"), at("link")) == 0);
    SHOW(umount2(at("link"), UMOUNT_NOFOLLOW));
    SHOW(umount2(at("link"), 0));
    SHOW(unlink(at("link")));
}

/* This program, where it can be executed from. */
static void copy_self(const char *name)
{
    static char chunk[1 << 16];
    int from = open("/proc/self/exe", O_RDONLY);
    int to = open(at(name), O_WRONLY | O_CREAT | O_EXCL, 0755);
    ssize_t got;
    CHECK(from >= 0 && to >= 0);
    while ((got = read(from, chunk, sizeof(chunk))) > 0)
        CHECK(write(to, chunk, (size_t)got) == got);
    CHECK(got == 0 && close(from) == 0 && close(to) == 0);
}

/* Somebody who looks at a process may hold what it had for a moment longer. */
static int umount_soon(const char *name)
{
    int err;
    for (int i = 0; (err = umount(at(name))) != 0 && errno == EBUSY && i < 60000; i++)
        usleep(1000);
    return err;
}

/* What runs from a file system or has a file of it mapped keeps it, with no descriptor open. */
static void executed_and_mapped(void)
{
    int ready[2], go[2], status;
    char byte;
    CHECK(tmpfs("mem", NULL) == 0 && pipe(ready) == 0 && pipe(go) == 0);
    copy_self("mem/program");
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(go[0], 0);
        dup2(ready[1], 1);
        close(go[0]), close(go[1]), close(ready[0]), close(ready[1]);
        execl(at("mem/program"), "program", "stay", NULL);
        _exit(1);
    }
    close(go[0]), close(ready[1]);
    CHECK(read(ready[0], &byte, 1) == 1);
    SHOW(umount(at("mem")));
    close(go[1]), close(ready[0]);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    SHOW(umount_soon("mem"));
    CHECK(tmpfs("mem", NULL) == 0);
    int fd = open(at("mem/file"), O_RDWR | O_CREAT, 0644);
    CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED && close(fd) == 0);
    SHOW(umount(at("mem")));
    SHOW(mount(NULL, at("mem"), NULL, MS_REMOUNT | MS_RDONLY, NULL));
    strcpy(p, "written");
    show_text("mem/file");
    SHOW(munmap(p, 4096));
    SHOW(mount(NULL, at("mem"), NULL, MS_REMOUNT | MS_RDONLY, NULL));
    SHOW(umount_soon("mem"));
}

static void trees(void)
{
    CHECK(tmpfs("mem", NULL) == 0 && mkdir(at("mem/in"), 0755) == 0 &&
          tmpfs("mem/in", "mode=700") == 0);
    CHECK(put("mem/in/deep", "deep down") > 0);
    SHOW(umount(at("mem")));
    SHOW(bind_on("mem", "to", 0));
    show_text("to/in/deep");
    SHOW(umount(at("to")));
    SHOW(bind_on("mem", "to", MS_REC));
    show_text("to/in/deep");
    show_mounts();
    SHOW(umount(at("to")));
    SHOW(umount2(at("to"), MNT_DETACH));
    show_text("mem/in/deep");
    CHECK(mkdir(at("moved"), 0755) == 0);
    SHOW(mount(at("mem"), at("moved"), NULL, MS_MOVE, NULL));
    show_text("moved/in/deep");
    show_text("mem/in/deep");
    SHOW(mount(at("moved"), at("moved/in"), NULL, MS_MOVE, NULL));
    SHOW(mount(at("from"), at("to"), NULL, MS_MOVE, NULL));
    show_mounts();
    SHOW(mount(NULL, at("moved"), NULL, MS_PRIVATE | MS_REC, NULL));
    SHOW(mount(NULL, at("moved"), NULL, MS_PRIVATE | MS_SLAVE, NULL));
    SHOW(mount(NULL, at("moved/in/deep"), NULL, MS_PRIVATE, NULL));
    SHOW(rename(at("moved/in/deep"), at("moved/deep")));
    SHOW(link(at("moved/in/deep"), at("moved/deep")));
    SHOW(umount2(at("moved"), MNT_DETACH));
    SHOW(rmdir(at("moved")));
}

/* Mounts that hang on one that is younger than they are. */
static void moved_below_younger(void)
{
    CHECK(mkdir(at("old"), 0755) == 0 && mkdir(at("young"), 0755) == 0);
    CHECK(tmpfs("old", NULL) == 0 && mkdir(at("old/in"), 0755) == 0 && tmpfs("old/in", NULL) == 0);
    CHECK(put("old/file", "of the old one") > 0 && put("old/in/deep", "deep down") > 0);
    CHECK(tmpfs("young", NULL) == 0 && mkdir(at("young/x"), 0755) == 0);
    SHOW(mount(at("old"), at("young/x"), NULL, MS_MOVE, NULL));
    SHOW(umount2(at("young"), 0));
    show_text("young/x/file");
    SHOW(bind_on("young", "to", MS_REC));
    show_text("to/x/file");
    show_text("to/x/in/deep");
    SHOW(umount2(at("to"), MNT_DETACH));
    /* into a part of itself */
    CHECK(mkdir(at("young/y"), 0755) == 0);
    SHOW(bind_on("young", "young/y", MS_REC));
    show_text("young/y/x/in/deep");
    show_text("young/y/y/x/file");
    SHOW(umount2(at("young/y"), MNT_DETACH));
    /* the way down, one by one */
    SHOW(umount(at("young/x")));
    SHOW(umount(at("young/x/in")));
    SHOW(umount(at("young/x")));
    SHOW(umount(at("young")));
    SHOW(rmdir(at("old")));
    SHOW(rmdir(at("young")));
}

static void flags(void)
{
    int status;
    SHOW(mount("x", at("mem"), "tmpfs", MS_NOEXEC | MS_NODEV | MS_NOSUID, NULL));
    show_mounts();
    CHECK(put("mem/program", "#!/bin/sh\nexit 3\n") > 0 && chmod(at("mem/program"), 0755) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        execl(at("mem/program"), "program", NULL);
        _exit(errno);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("%s\n", strerror(WEXITSTATUS(status)));
    int fd = open(at("mem/program"), O_RDONLY);
    CHECK(fd >= 0);
    void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    printf("%s\n", p == MAP_FAILED ? strerror(errno) : "mapped");
    p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(p != MAP_FAILED);
    SHOW(mprotect(p, 4096, PROT_READ | PROT_EXEC));
    SHOW(munmap(p, 4096));
    close(fd);
    SHOW(access(at("mem/program"), X_OK));
    CHECK(mknod(at("mem/null"), S_IFCHR | 0666, makedev(1, 3)) == 0);
    SHOW(open(at("mem/null"), O_RDWR));
    SHOW(umount(at("mem")));
}

/* What the kernel keeps for itself, kB. */
static long kernel_memory(void)
{
    char line[128];
    long slab = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    CHECK(f);
    while (fgets(line, sizeof(line), f))
        sscanf(line, "Slab: %ld kB", &slab);
    fclose(f);
    return slab;
}

/* Nothing is left of a mount that fails, whatever makes it fail. */
static void failed_mounts(void)
{
    enum { TIMES = 2500 };
    long before = 0, failed = 0;
    for (int i = 0; i < TIMES; i++) {
        failed += tmpfs("mem", "size=1m,nonsense=1") == -1 && errno == EINVAL;
        failed += tmpfs("one", "size=1m,uid=1") == -1 && errno == ENOTDIR;
        failed += mount("proc", at("one"), "proc", 0, NULL) == -1 && errno == ENOTDIR;
        if (i == TIMES / 10)
            before = kernel_memory();
    }
    long grown = kernel_memory() - before;
    printf("%ld failed, much lost: %d\n", failed, g_alone && grown > 512);
    SHOW(tmpfs("mem", "size=1m"));
    SHOW(umount(at("mem")));
    SHOW(mount("proc", at("mem"), "proc", 0, NULL));
    SHOW(umount(at("mem")));
}

static void system_trees(void)
{
    struct stat st;
    SHOW(mount("proc", at("mem"), "proc", 0, NULL));
    printf("%d\n", stat(at("mem/self/status"), &st) == 0 && S_ISREG(st.st_mode));
    show_mounts();
    SHOW(umount(at("mem")));
    CHECK(tmpfs("mem", NULL) == 0 && mkdir(at("mem/proc"), 0755) == 0 &&
          mkdir(at("mem/b"), 0755) == 0);
    CHECK(mount("proc", at("mem/proc"), "proc", 0, NULL) == 0 && bind_on("from", "mem/b", 0) == 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        char line[512];
        CHECK(chroot(at("mem")) == 0 && chdir("/") == 0);
        FILE *f = fopen("/proc/self/mounts", "r");
        CHECK(f);
        while (fgets(line, sizeof(line), f)) {
            char *place;
            strtok(line, " ");
            place = strtok(NULL, " ");
            printf("inside: %s\n", place);
        }
        printf("%d %d\n", access("/b/file", R_OK), access("/b/../../from", F_OK));
        fflush(stdout);
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    SHOW(umount2(at("mem"), MNT_DETACH));
}

/* A tree is bound as a whole or not at all: where the system is ours alone until there is no room for more mounts in it. */
static void bound_whole(void)
{
    enum { BELOW = 40 };
    char name[32];
    CHECK(tmpfs("mem", NULL) == 0);
    for (int i = 0; i < BELOW; i++) {
        snprintf(name, sizeof(name), "mem/%d", i);
        CHECK(mkdir(at(name), 0755) == 0 && tmpfs(name, NULL) == 0);
    }
    int rounds = g_alone ? 100000 : 3;
    while (rounds-- > 0 && bind_on("mem", "to", MS_REC) == 0)
        CHECK(umount2(at("to"), MNT_DETACH) == 0);
    printf("a part is left: %d\n", access(at("to/0"), F_OK) == 0);
    SHOW(umount(at("to")));
    SHOW(umount2(at("mem"), MNT_DETACH));
}

static void without_rights(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(setgid(1000) == 0 && setuid(1000) == 0);
        SHOW(tmpfs("mem", NULL));
        SHOW(bind_on("from", "to", 0));
        SHOW(umount(at("mem")));
        SHOW(mount(NULL, at("mem"), NULL, MS_REMOUNT | MS_RDONLY, NULL));
        fflush(stdout);
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
}

int main(int argc, char **argv)
{
    char byte = 0;
    if (argc > 1 && strcmp(argv[1], "stay") == 0)
        return write(1, &byte, 1) == 1 && read(0, &byte, 1) == 0 ? 0 : 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    g_alone = getpid() == 2; /* the first after init */
    snprintf(g_top, sizeof(g_top), "/var/tmp/palimpsest-mounts.%d", (int)getpid());
    CHECK(mkdir(g_top, 0755) == 0);
    binds();
    read_only();
    limited();
    failed_writes();
    remounts_at_once();
    ends();
    executed_and_mapped();
    trees();
    moved_below_younger();
    flags();
    system_trees();
    failed_mounts();
    fflush(stdout);
    without_rights();
    bound_whole(); /* the last: there may be no room for more */
    show_mounts();
    char command[80];
    snprintf(command, sizeof(command), "rm -r %s", g_top);
    return system(command) == 0 ? 0 : 1;
}
