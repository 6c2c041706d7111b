/* Pipes and fifos at their edges: sizes, atomic writes, errors, wake-ups. Prints results and errnos. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "show.h"

static volatile sig_atomic_t g_pipes;
static char *volatile g_nowhere = (char *)8;

static void on_pipe(int sig)
{
    (void)sig;
    g_pipes++;
}

static void on_alarm(int sig)
{
    (void)sig;
}

static int ready(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    poll(&p, 1, 0);
    return p.revents;
}

static void sizes(void)
{
    static char data[1 << 20];
    int p[2], available;

    CHECK(pipe(p) == 0);
    SHOW(fcntl(p[0], F_GETPIPE_SZ));
    SHOW(fcntl(p[1], F_SETPIPE_SZ, 5000));
    SHOW(fcntl(p[1], F_SETPIPE_SZ, 1));
    SHOW(fcntl(0, F_GETPIPE_SZ) >= -1);
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    SHOW(write(p[1], data, 4095));
    SHOW(write(p[1], data, 2));
    SHOW(ready(p[1], POLLOUT));
    SHOW(write(p[1], data, 1));
    SHOW(write(p[1], data, 1));
    SHOW(fcntl(p[1], F_SETPIPE_SZ, 8192));
    SHOW(ready(p[1], POLLOUT));
    SHOW(write(p[1], data, sizeof(data)));
    SHOW(fcntl(p[1], F_SETPIPE_SZ, 4096));
    SHOW(ioctl(p[0], FIONREAD, &available));
    printf("available %d\n", available);
    SHOW(read(p[0], data, 100));
    SHOW(ready(p[1], POLLOUT));
    SHOW(read(p[0], data, sizeof(data)));
    SHOW(ready(p[0], POLLIN));
    SHOW(fcntl(p[0], F_SETFL, O_NONBLOCK));
    SHOW(read(p[0], data, 1));
    SHOW(read(p[0], data, 0));
    SHOW(write(p[1], data, 0));
    SHOW(lseek(p[0], 0, SEEK_CUR));
    SHOW(pread(p[0], data, 1, 0));
    SHOW(write(p[0], data, 1));
    SHOW(read(p[1], data, 1));
    SHOW(ftruncate(p[1], 0));
    SHOW(fsync(p[1]));
    close(p[0]);
    close(p[1]);
}

static void ends(void)
{
    char c = 'x';
    int p[2];
    struct stat st[2];

    signal(SIGPIPE, on_pipe);
    CHECK(pipe2(p, O_CLOEXEC) == 0);
    SHOW(fcntl(p[0], F_GETFD));
    SHOW(fcntl(p[0], F_GETFL) & O_ACCMODE);
    SHOW(fcntl(p[1], F_GETFL) & O_ACCMODE);
    CHECK(fstat(p[0], &st[0]) == 0 && fstat(p[1], &st[1]) == 0);
    printf("same inode %d, fifo %d, mode %o\n", st[0].st_ino == st[1].st_ino,
           S_ISFIFO(st[0].st_mode), st[0].st_mode);
    SHOW(ready(p[1], POLLOUT));
    close(p[0]);
    SHOW(ready(p[1], POLLOUT));
    SHOW(write(p[1], &c, 1));
    printf("SIGPIPE %d\n", (int)g_pipes);
    close(p[1]);
    CHECK(pipe(p) == 0);
    SHOW(write(p[1], &c, 1));
    close(p[1]);
    SHOW(ready(p[0], POLLIN));
    SHOW(read(p[0], &c, 1));
    SHOW(ready(p[0], POLLIN));
    SHOW(read(p[0], &c, 1));
    close(p[0]);
    SHOW(pipe((int *)8));
    SHOW(pipe2(p, 0x10));
    CHECK(pipe(p) == 0);
    SHOW(write(p[1], g_nowhere, 10));
    SHOW(write(p[1], &c, 1));
    SHOW(read(p[0], g_nowhere, 10));
    SHOW(read(p[0], &c, 1));
    close(p[0]);
    close(p[1]);
}

static void vectors(void)
{
    char a[3] = "abc", b[4] = "defg", out[8] = {0};
    struct iovec w[2] = {{a, 3}, {b, 4}}, r[2] = {{out, 2}, {out + 2, 5}};
    int p[2];

    CHECK(pipe(p) == 0);
    SHOW(writev(p[1], w, 2));
    SHOW(readv(p[0], r, 2));
    printf("%s\n", out);
    close(p[0]);
    close(p[1]);
}

static void interrupted(void)
{
    struct sigaction act = {.sa_handler = on_alarm};
    static char data[200000];
    char c;
    int p[2];

    CHECK(pipe(p) == 0);
    sigaction(SIGALRM, &act, NULL);
    ualarm(30000, 30000);
    SHOW(read(p[0], &c, 1));
    ualarm(30000, 30000);
    SHOW(write(p[1], data, sizeof(data)));
    act.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &act, NULL);
    close(p[0]);
    close(p[1]);
    CHECK(pipe(p) == 0);
    if (fork() == 0) {
        usleep(100000);
        _exit(write(p[1], "r", 1) != 1);
    }
    ualarm(30000, 30000);
    SHOW(read(p[0], &c, 1));
    ualarm(0, 0);
    while (wait(NULL) < 0)
        CHECK(errno == EINTR);
    close(p[0]);
    close(p[1]);
}

static void fifos(void)
{
    char c = 'f', name[64];
    int r, w, status;

    snprintf(name, sizeof(name), "/tmp/guest-fifo-%d", (int)getpid());
    SHOW(mkfifo(name, 0600));
    SHOW(mkfifo(name, 0600));
    SHOW(open(name, O_WRONLY | O_NONBLOCK));
    r = open(name, O_RDONLY | O_NONBLOCK);
    CHECK(r >= 0);
    SHOW(ready(r, POLLIN));
    SHOW(read(r, &c, 1));
    w = open(name, O_WRONLY | O_NONBLOCK);
    CHECK(w >= 0);
    SHOW(read(r, &c, 1));
    SHOW(write(w, &c, 1));
    SHOW(ready(r, POLLIN));
    close(w);
    SHOW(ready(r, POLLIN));
    SHOW(read(r, &c, 1));
    SHOW(read(r, &c, 1));
    close(r);
    if (fork() == 0) {
        w = open(name, O_WRONLY); /* waits for the reader */
        _exit(write(w, "blocked", 7) != 7);
    }
    usleep(20000);
    r = open(name, O_RDONLY);
    char text[8] = {0};
    SHOW(read(r, text, 7));
    printf("%s\n", text);
    wait(&status);
    SHOW(status);
    close(r);
    r = open(name, O_RDWR);
    SHOW(write(r, "x", 1));
    SHOW(read(r, &c, 1));
    close(r);
    unlink(name);
}

static void ping_pong(void)
{
    int there[2], back[2], status, i;
    char c = 0;

    CHECK(pipe(there) == 0 && pipe(back) == 0);
    if (fork() == 0) {
        close(there[1]);
        while (read(there[0], &c, 1) == 1)
            if (write(back[1], &c, 1) != 1)
                _exit(1);
        _exit(0);
    }
    close(there[0]);
    for (i = 0; i < 5000; i++) {
        char sent = (char)i;
        CHECK(write(there[1], &sent, 1) == 1 && read(back[0], &c, 1) == 1 && c == sent);
    }
    close(there[1]);
    wait(&status);
    printf("ping pong %d, status %d\n", i, status);
}

/* Four writers of whole records of 1000 bytes: none is torn. */
static void atomic_records(void)
{
    static char record[1000];
    int p[2], torn = 0, count = 0;

    CHECK(pipe(p) == 0);
    for (int i = 0; i < 4; i++) {
        if (fork() == 0) {
            memset(record, 'a' + i, sizeof(record));
            for (int j = 0; j < 500; j++)
                if (write(p[1], record, sizeof(record)) != (ssize_t)sizeof(record))
                    _exit(1);
            _exit(0);
        }
    }
    close(p[1]);
    for (;;) {
        size_t have = 0;
        ssize_t n = 0;
        while (have < sizeof(record) && (n = read(p[0], record + have, sizeof(record) - have)) > 0)
            have += (size_t)n;
        if (have < sizeof(record))
            break;
        for (size_t k = 1; k < sizeof(record); k++)
            torn += record[k] != record[0];
        count++;
    }
    while (wait(NULL) > 0)
        ;
    printf("records %d, torn bytes %d\n", count, torn);
    close(p[0]);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    sizes();
    ends();
    vectors();
    interrupted();
    fifos();
    ping_pong();
    atomic_records();
    return 0;
}
