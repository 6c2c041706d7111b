/* What inotify tells of every change, in its order; in a tmpfs and on the root file system. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

static char g_buffer[1 << 16] __attribute__((aligned(8)));

static void show_event(const struct inotify_event *e)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } bits[] = {{IN_ACCESS, "ACCESS"},
                {IN_MODIFY, "MODIFY"},
                {IN_ATTRIB, "ATTRIB"},
                {IN_CLOSE_WRITE, "CLOSE_WRITE"},
                {IN_CLOSE_NOWRITE, "CLOSE_NOWRITE"},
                {IN_OPEN, "OPEN"},
                {IN_MOVED_FROM, "MOVED_FROM"},
                {IN_MOVED_TO, "MOVED_TO"},
                {IN_CREATE, "CREATE"},
                {IN_DELETE, "DELETE"},
                {IN_DELETE_SELF, "DELETE_SELF"},
                {IN_MOVE_SELF, "MOVE_SELF"},
                {IN_IGNORED, "IGNORED"},
                {IN_Q_OVERFLOW, "Q_OVERFLOW"},
                {IN_ISDIR, "ISDIR"}};
    static uint32_t cookie;
    printf("   %d", e->wd);
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
        if (e->mask & bits[i].bit)
            printf(" %s", bits[i].name);
    printf(" len %u%s%s", e->len, e->len ? " " : "", e->len ? e->name : "");
    if (e->cookie) {
        printf(" cookie %s", e->cookie == cookie ? "same" : "new");
        cookie = e->cookie;
    }
    printf("\n");
}

/* All that is there now. */
static void drain(int fd, const char *what)
{
    int bytes = -1;
    CHECK(ioctl(fd, FIONREAD, &bytes) == 0);
    printf("%s: %d bytes\n", what, bytes);
    ssize_t n;
    while ((n = read(fd, g_buffer, sizeof(g_buffer))) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(g_buffer + at);
            show_event(e);
            at += (ssize_t)(sizeof(*e) + e->len);
        }
    CHECK(n == -1 && errno == EAGAIN);
}

static int make(const char *name, const char *text)
{
    int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
    return 0;
}

static void errors(int fd)
{
    char name[] = "f";
    make(name, "x");
#define SHOW(call)                                                                                 \
    do {                                                                                           \
        errno = 0;                                                                                 \
        int r_ = (call);                                                                           \
        printf("%s: %d %d\n", #call, r_ < 0 ? -1 : 0, errno);                                      \
    } while (0)
    SHOW(inotify_init1(1));
    SHOW(inotify_add_watch(fd, name, 0));
    SHOW(inotify_add_watch(fd, name, 1u << 28));
    SHOW(inotify_add_watch(fd, "none", IN_OPEN));
    SHOW(inotify_add_watch(fd, "", IN_OPEN));
    SHOW(inotify_add_watch(fd, name, IN_OPEN | IN_ONLYDIR));
    SHOW(inotify_add_watch(fd, name, IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE));
    SHOW(inotify_add_watch(0x7fffff, name, IN_OPEN));
    SHOW(inotify_add_watch(0, name, IN_OPEN));
    SHOW(inotify_add_watch(fd, NULL, IN_OPEN));
    SHOW(inotify_rm_watch(fd, 12345));
    SHOW(inotify_rm_watch(fd, -1));
    SHOW(inotify_rm_watch(0, 1));
    SHOW(lseek(fd, 0, SEEK_SET));
    SHOW(write(fd, "x", 1));
    int wd = inotify_add_watch(fd, name, IN_OPEN);
    CHECK(wd == inotify_add_watch(fd, name, IN_CLOSE));
    SHOW(inotify_add_watch(fd, name, IN_OPEN | IN_MASK_CREATE));
    CHECK(access(name, R_OK) == 0 && close(open(name, O_RDONLY)) == 0);
    drain(fd, "mask replaced");
    CHECK(wd == inotify_add_watch(fd, name, IN_OPEN | IN_MASK_ADD));
    CHECK(close(open(name, O_RDONLY)) == 0);
    SHOW(read(fd, g_buffer, 8));
    drain(fd, "mask added");
    CHECK(inotify_rm_watch(fd, wd) == 0);
    drain(fd, "removed");
    SHOW(inotify_rm_watch(fd, wd));
    CHECK(unlink(name) == 0);
}

static void files(int fd)
{
    CHECK(mkdir("d", 0755) == 0);
    make("d/a", "text");
    int dir = inotify_add_watch(fd, "d", IN_ALL_EVENTS),
        file = inotify_add_watch(fd, "d/a", IN_ALL_EVENTS);
    CHECK(dir > 0 && file > dir);
    char c;
    int f = open("d/a", O_RDWR);
    CHECK(f >= 0);
    drain(fd, "open");
    CHECK(read(f, &c, 1) == 1 && read(f, &c, 1) == 1 && write(f, "y", 1) == 1);
    drain(fd, "read, read, write");
    CHECK(pread(f, &c, 1, 100) == 0 && pread(f, &c, 0, 0) == 0);
    drain(fd, "read nothing");
    CHECK(ftruncate(f, 100) == 0 && fchmod(f, 0600) == 0 && fchown(f, 0, 0) == 0);
    drain(fd, "truncate, chmod, chown");
    CHECK(close(dup(f)) == 0);
    drain(fd, "dup and close");
    CHECK(close(f) == 0);
    drain(fd, "close");
    CHECK(close(open("d/a", O_WRONLY | O_TRUNC)) == 0);
    drain(fd, "open truncating");
    CHECK(close(open("d/a", O_PATH)) == 0);
    drain(fd, "a path handle");
    CHECK(truncate("d/a", 5) == 0 && chmod("d/a", 0644) == 0);
    drain(fd, "by name");
    struct timespec both[2] = {{1, 0}, {2, 0}}, access_only[2] = {{3, 0}, {0, UTIME_OMIT}},
                    change_only[2] = {{0, UTIME_OMIT}, {4, 0}};
    CHECK(utimensat(AT_FDCWD, "d/a", both, 0) == 0);
    drain(fd, "both times");
    CHECK(utimensat(AT_FDCWD, "d/a", access_only, 0) == 0);
    drain(fd, "access time");
    CHECK(utimensat(AT_FDCWD, "d/a", change_only, 0) == 0);
    drain(fd, "modification time");
    CHECK(link("d/a", "d/b") == 0);
    drain(fd, "link");
    CHECK(unlink("d/b") == 0);
    drain(fd, "unlink one of two");
    CHECK(rename("d/a", "d/c") == 0);
    drain(fd, "rename");
    make("d/e", "e");
    drain(fd, "make another");
    CHECK(rename("d/e", "d/c") == 0);
    drain(fd, "rename over the watched");
    file = inotify_add_watch(fd, "d/c", IN_ALL_EVENTS);
    f = open("d/c", O_RDONLY);
    CHECK(unlink("d/c") == 0);
    drain(fd, "unlink an open file");
    CHECK(read(f, &c, 1) == 1 && close(f) == 0);
    drain(fd, "its end");
    CHECK(mkfifo("d/fifo", 0600) == 0 && symlink("none", "d/link") == 0 &&
          close(open("d/fifo", O_RDWR)) == 0);
    drain(fd, "fifo and link");
    CHECK(unlink("d/fifo") == 0 && unlink("d/link") == 0);
    drain(fd, "gone again");
    CHECK(inotify_rm_watch(fd, dir) == 0);
    CHECK(rmdir("d") == 0);
    drain(fd, "end");
}

static void directories(int fd)
{
    CHECK(mkdir("p", 0755) == 0 && mkdir("q", 0755) == 0);
    int p = inotify_add_watch(fd, "p", IN_ALL_EVENTS),
        q = inotify_add_watch(fd, "q", IN_ALL_EVENTS | IN_ONLYDIR);
    CHECK(p > 0 && q > 0);
    CHECK(mkdir("p/s", 0700) == 0);
    int s = inotify_add_watch(fd, "p/s", IN_ALL_EVENTS);
    drain(fd, "mkdir");
    CHECK(rename("p/s", "q/t") == 0);
    drain(fd, "moved to another directory");
    make("q/t/file", "x");
    CHECK(unlink("q/t/file") == 0);
    drain(fd, "inside");
    CHECK(chmod("q/t", 0755) == 0 && rmdir("q/t") == 0);
    drain(fd, "rmdir");
    CHECK(inotify_rm_watch(fd, s) == -1);
    int d = open("p", O_RDONLY | O_DIRECTORY);
    CHECK(d >= 0);
    drain(fd, "open directory");
    CHECK(close(d) == 0);
    drain(fd, "close directory");
    CHECK(rename("p", "r") == 0);
    drain(fd, "its own name");
    CHECK(rmdir("r") == 0 && rmdir("q") == 0);
    drain(fd, "all gone");
    CHECK(inotify_rm_watch(fd, p) == -1 && inotify_rm_watch(fd, q) == -1);
}

static void options(int fd)
{
    make("once", "x");
    int w = inotify_add_watch(fd, "once", IN_OPEN | IN_CLOSE | IN_ONESHOT);
    CHECK(w > 0 && close(open("once", O_RDONLY)) == 0 && close(open("once", O_RDONLY)) == 0);
    drain(fd, "one shot");
    CHECK(symlink("once", "link") == 0);
    w = inotify_add_watch(fd, "link", IN_ALL_EVENTS | IN_DONT_FOLLOW);
    CHECK(w > 0 && close(open("link", O_RDONLY)) == 0);
    CHECK(unlink("link") == 0);
    drain(fd, "the link itself");
    CHECK(mkdir("x", 0755) == 0);
    int f = open("x/f", O_CREAT | O_RDWR, 0600);
    int with = inotify_add_watch(fd, "x", IN_ALL_EVENTS);
    CHECK(with > 0 && unlink("x/f") == 0 && write(f, "x", 1) == 1);
    drain(fd, "an unlinked child");
    CHECK(inotify_add_watch(fd, "x", IN_ALL_EVENTS | IN_EXCL_UNLINK) == with);
    CHECK(write(f, "x", 1) == 1 && close(f) == 0);
    drain(fd, "an unlinked child, excluded");
    /* Two instances and two watches of one file. */
    int other = inotify_init1(IN_NONBLOCK);
    CHECK(other >= 0 && inotify_add_watch(other, "once", IN_MODIFY) > 0 &&
          inotify_add_watch(fd, "once", IN_MODIFY) > 0);
    CHECK(truncate("once", 0) == 0);
    drain(other, "other");
    drain(fd, "first");
    CHECK(close(other) == 0);
    CHECK(unlink("once") == 0);
    drain(fd, "unlinked");
    char name[NAME_MAX + 1];
    for (int length = 13; length <= 17; length++) {
        memset(name, 'n', sizeof(name));
        char path[NAME_MAX + 3];
        name[length] = 0;
        snprintf(path, sizeof(path), "x/%s", name);
        make(path, "");
        CHECK(unlink(path) == 0);
    }
    drain(fd, "names");
    CHECK(rmdir("x") == 0);
    drain(fd, "end");
}

static void *later(void *arg)
{
    (void)arg;
    usleep(30000);
    make("late", "x");
    return NULL;
}

static void waiting(void)
{
    int fd = inotify_init();
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
    CHECK(fd >= 0 && inotify_add_watch(fd, ".", IN_CREATE) == 1);
    printf("poll %d\n", poll(&p, 1, 0));
    pthread_t t;
    CHECK(pthread_create(&t, NULL, later, NULL) == 0);
    printf("poll %d", poll(&p, 1, 60000));
    printf(" %x\n", p.revents);
    ssize_t n = read(fd, g_buffer, sizeof(g_buffer));
    printf("read %zd\n", n);
    CHECK(pthread_join(t, NULL) == 0 && unlink("late") == 0);
    CHECK(pthread_create(&t, NULL, later, NULL) == 0);
    n = read(fd, g_buffer, sizeof(g_buffer));
    printf("read %zd\n", n);
    CHECK(pthread_join(t, NULL) == 0);
    /* From another process, through an inherited descriptor. */
    pid_t pid = fork();
    if (pid == 0) {
        make("from-child", "x");
        _exit(0);
    }
    n = read(fd, g_buffer, sizeof(g_buffer));
    printf("read %zd %s\n", n, ((struct inotify_event *)(void *)g_buffer)->name);
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(unlink("late") == 0 && unlink("from-child") == 0 && close(fd) == 0);
}

/* More than the queue holds: the last event says so. */
static void overflow(void)
{
    int fd = inotify_init1(IN_NONBLOCK), max = 0;
    FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    CHECK(f && fscanf(f, "%d", &max) == 1 && fclose(f) == 0);
    make("o", "x");
    CHECK(inotify_add_watch(fd, "o", IN_OPEN | IN_CLOSE) == 1);
    for (int i = 0; i < max; i++)
        CHECK(close(open("o", O_RDONLY)) == 0);
    int count = 0, last = 0;
    ssize_t n;
    while ((n = read(fd, g_buffer, sizeof(g_buffer))) > 0)
        for (ssize_t at = 0; at < n; at += (ssize_t)sizeof(struct inotify_event), count++)
            last = ((struct inotify_event *)(void *)(g_buffer + at))->mask == IN_Q_OVERFLOW;
    printf("overflow: %d, last %d\n", count - max, last);
    CHECK(unlink("o") == 0 && close(fd) == 0);
}

static void run(const char *base)
{
    char dir[64];
    snprintf(dir, sizeof(dir), "%s/guest-inotify-XXXXXX", base);
    CHECK(mkdtemp(dir) && chdir(dir) == 0);
    umask(022);
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    CHECK(fd >= 0);
    errors(fd);
    files(fd);
    directories(fd);
    options(fd);
    CHECK(close(fd) == 0);
    waiting();
    overflow();
    CHECK(chdir("/") == 0 && rmdir(dir) == 0);
}

int main(void)
{
    run("/tmp");
    run("/var/tmp");
    return 0;
}
