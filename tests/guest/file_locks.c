/* Record locks, open-file-description locks and flock between processes and between descriptors of
 * one. */
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "guest.h"

static int set(int fd, int cmd, int type, off_t start, off_t length)
{
    struct flock fl = {
        .l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(fd, cmd, &fl) < 0 ? errno : 0;
}

static void query(int fd, const char *what, int type, off_t start, off_t length)
{
    struct flock fl = {
        .l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    int r = fcntl(fd, F_GETLK, &fl);
    printf("%s: %d type %d start %ld length %ld mine %d\n", what, r < 0 ? errno : 0, fl.l_type,
           (long)fl.l_start, (long)fl.l_len, fl.l_type == F_UNLCK ? -1 : fl.l_pid == getppid());
}

/* What another process sees. */
static void in_child_with(void (*body)(int), int fd)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        body(fd);
        fflush(stdout);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void look(int fd)
{
    query(fd, "write at 0", F_WRLCK, 0, 1);
    query(fd, "write at 15", F_WRLCK, 15, 1);
    query(fd, "read at 25", F_RDLCK, 25, 1);
    query(fd, "write to the end", F_WRLCK, 100, 0);
    query(fd, "write everywhere", F_WRLCK, 0, 0);
    printf("try %d %d %d\n", set(fd, F_SETLK, F_WRLCK, 15, 1), set(fd, F_SETLK, F_RDLCK, 25, 1),
           set(fd, F_SETLK, F_WRLCK, 25, 1));
}

static void try_flock(int fd)
{
    int own = open("lock", O_RDWR);
    printf("inherited %d own %d shared %d\n", flock(fd, LOCK_EX | LOCK_NB),
           flock(own, LOCK_EX | LOCK_NB) < 0 ? errno : 0,
           flock(own, LOCK_SH | LOCK_NB) < 0 ? errno : 0);
}

static void ignore(int signal)
{
    (void)signal;
}

int main(void)
{
    char dir[] = "/tmp/guest-locks-XXXXXX";
    CHECK(mkdtemp(dir) && chdir(dir) == 0);
    int fd = open("lock", O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && ftruncate(fd, 50) == 0);
    printf("%d %d\n", set(fd, F_SETLK, F_WRLCK, 10, 10), set(fd, F_SETLK, F_RDLCK, 20, 10));
    in_child_with(look, fd);
    printf("split %d\n", set(fd, F_SETLK, F_UNLCK, 14, 2));
    in_child_with(look, fd);
    printf("merge %d %d\n", set(fd, F_SETLK, F_RDLCK, 0, 0), set(fd, F_SETLK, F_UNLCK, 0, 12));
    in_child_with(look, fd);
    /* Closing any descriptor of the file drops what the process holds. */
    int other = open("lock", O_RDONLY);
    close(other);
    in_child_with(look, fd);
    int reader = open("lock", O_RDONLY), writer = open("lock", O_WRONLY);
    printf("modes %d %d %d\n", set(reader, F_SETLK, F_WRLCK, 0, 1),
           set(writer, F_SETLK, F_RDLCK, 0, 1), set(fd, F_SETLK, 7, 0, 1));
    printf("ranges %d %d %d\n", set(fd, F_SETLK, F_WRLCK, -1, 1), set(fd, F_SETLK, F_WRLCK, 10, -5),
           set(fd, F_SETLK, F_WRLCK, 3, -5));

    /* A waiter gets it when the holder ends. */
    int p[2], q[2];
    CHECK(pipe(p) == 0 && pipe(q) == 0);
    fflush(stdout);
    pid_t holder = fork();
    if (holder == 0) {
        int own = open("lock", O_RDWR);
        CHECK(set(own, F_SETLK, F_WRLCK, 30, 1) == 0 && write(p[1], "x", 1) == 1);
        CHECK(read(q[0], &(char){0}, 1) == 1);
        until_asleep(getppid(), getppid());
        _exit(0);
    }
    char c;
    CHECK(read(p[0], &c, 1) == 1);
    int busy = set(fd, F_SETLK, F_WRLCK, 30, 1);
    CHECK(write(q[1], "x", 1) == 1);
    printf("busy %d, waited %d\n", busy, set(fd, F_SETLKW, F_WRLCK, 30, 1));
    CHECK(waitpid(holder, NULL, 0) == holder);

    /* A signal ends the wait. */
    fflush(stdout);
    pid_t waiter = fork();
    if (waiter == 0) {
        struct sigaction sa = {.sa_handler = ignore};
        sigaction(SIGALRM, &sa, NULL);
        ualarm(50000, 50000);
        int own = open("lock", O_RDWR), result = set(own, F_SETLKW, F_WRLCK, 30, 1);
        ualarm(0, 0);
        printf("interrupted %d\n", result);
        fflush(stdout);
        _exit(0);
    }
    CHECK(waitpid(waiter, NULL, 0) == waiter);

    int a = open("lock", O_RDWR), b = open("lock", O_RDWR);
    printf("ofd %d %d %d\n", set(a, F_OFD_SETLK, F_WRLCK, 0, 5), set(b, F_OFD_SETLK, F_WRLCK, 0, 5),
           set(b, F_OFD_SETLK, F_WRLCK, 5, 5));
    close(a);
    printf("ofd %d\n", set(b, F_OFD_SETLK, F_WRLCK, 0, 5));
    close(b);

    printf("flock %d\n", flock(fd, LOCK_EX));
    in_child_with(try_flock, fd);
    printf("flock %d\n", flock(fd, LOCK_SH));
    in_child_with(try_flock, fd);
    printf("flock %d\n", flock(fd, LOCK_UN));
    in_child_with(try_flock, fd);
    printf("flock %d %d\n", flock(fd, 77) < 0 ? errno : 0, flock(99, LOCK_SH) < 0 ? errno : 0);
    CHECK(unlink("lock") == 0 && chdir("/") == 0 && rmdir(dir) == 0);
    return 0;
}
