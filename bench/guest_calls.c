/*
 * guest_calls.c: what single system calls cost, as an ordinary program: the same binary runs natively and under pal, one measurement a
 * process. Prints the median in hundredths of a nanosecond per call, round trip or KiB, so that calls of a few nanoseconds can be compared.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNIMPLEMENTED 500 /* no call has this number */
/* linux/futex.h, which musl-gcc does not find */
#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAKE_PRIVATE 129
#define SAMPLES 40
#define PIECE 65536u

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

/* ---- calls: what() is called `calls` times a sample ---- */

static int g_fd;
static char g_buffer[PIECE];
static char g_path[PATH_MAX];

static void null_call(void)
{
    check(syscall(UNIMPLEMENTED) == -1 && errno == ENOSYS, "a number nobody has");
}

static void getppid_call(void)
{
    check(getppid() >= 0, "getppid");
}

static void clock_call(void)
{
    struct timespec t;
    check(clock_gettime(CLOCK_MONOTONIC, &t) == 0, "clock_gettime");
}

static void read_byte(void)
{
    check(read(g_fd, g_buffer, 1) == 1, "read");
}

static void seek_call(void)
{
    check(lseek(g_fd, 0, SEEK_CUR) >= 0, "lseek");
}

static void sigprocmask_call(void)
{
    sigset_t old;
    check(sigprocmask(SIG_BLOCK, NULL, &old) == 0, "sigprocmask");
}

static void futex_wake_nobody(void)
{
    static uint32_t word;
    check(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0, "futex");
}

static void read_page(void)
{
    check(pread(g_fd, g_buffer, 4096, 0) == 4096, "pread");
}

static void write_page(void)
{
    check(pwrite(g_fd, g_buffer, 4096, 0) == 4096, "pwrite");
}

static void open_close(void)
{
    int fd = open(g_path, O_RDONLY);
    check(fd >= 0 && close(fd) == 0, "open");
}

static void stat_call(void)
{
    struct stat st;
    check(stat(g_path, &st) == 0, "stat");
}

/* A file of one page in a file system in memory, natively as well. */
static void prepare_file(void)
{
    snprintf(g_path, sizeof(g_path), "/dev/shm/palimpsest-bench-%ld", (long)getpid());
    g_fd = open(g_path, O_RDWR | O_CREAT | O_EXCL, 0600);
    check(g_fd >= 0 && write(g_fd, g_buffer, 4096) == 4096, g_path);
}

static void prepare_host_file(void)
{
    snprintf(g_path, sizeof(g_path), "/etc/passwd"); /* the host's directory, under pal as well */
}

/* Of the host's tree: this program itself. */
static void prepare_host_data(void)
{
    g_fd = open("/proc/self/exe", O_RDONLY);
    check(g_fd >= 0, "/proc/self/exe");
}

/* In a directory of the host that pal may write. */
static void prepare_host_writable(void)
{
    snprintf(g_path, sizeof(g_path), "/var/tmp/palimpsest-bench-%ld", (long)getpid());
    g_fd = open(g_path, O_RDWR | O_CREAT | O_EXCL, 0600);
    check(g_fd >= 0 && write(g_fd, g_buffer, 4096) == 4096, g_path);
}

/* So many directories down there. */
static void prepare_below(int count)
{
    int length = snprintf(g_path, sizeof(g_path), "/var/tmp/palimpsest-bench-%ld", (long)getpid());
    check(mkdir(g_path, 0700) == 0, g_path);
    for (char name = 'a'; name < 'a' + count - 1; name++) {
        length += snprintf(g_path + length, sizeof(g_path) - (size_t)length, "/%c", name);
        check(mkdir(g_path, 0700) == 0, g_path);
    }
    snprintf(g_path + length, sizeof(g_path) - (size_t)length, "/file");
    int fd = open(g_path, O_RDWR | O_CREAT | O_EXCL, 0600);
    check(fd >= 0 && close(fd) == 0, g_path);
}

static void prepare_deep(void)
{
    prepare_below(5);
}

static void prepare_one_down(void)
{
    prepare_below(1);
}

/* What was made, up to the directory or file that is this process's. */
static void remove_made(void)
{
    char *own = strstr(g_path, "/palimpsest-bench-"), *end;
    if (!own)
        return;
    check(unlink(g_path) == 0, g_path);
    while ((end = strrchr(g_path, '/')) != own) {
        *end = '\0';
        check(rmdir(g_path) == 0, g_path);
    }
}

static void prepare_zero(void)
{
    g_fd = open("/dev/zero", O_RDWR);
    check(g_fd >= 0, "/dev/zero");
}

/* ---- round trips: to another process or thread and back ---- */

static int g_there[2], g_back[2];

static void echo_bytes(int from, int to)
{
    char byte;
    while (read(from, &byte, 1) == 1)
        check(write(to, &byte, 1) == 1, "write");
    _exit(0);
}

static void prepare_pipe(void)
{
    check(pipe(g_there) == 0 && pipe(g_back) == 0, "pipe");
    if (fork() == 0) {
        close(g_there[1]);
        echo_bytes(g_there[0], g_back[1]);
    }
    close(g_there[0]);
}

static void prepare_unix(void)
{
    int ends[2];
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
    if (fork() == 0) {
        close(ends[0]);
        echo_bytes(ends[1], ends[1]);
    }
    close(ends[1]);
    g_there[1] = g_back[0] = ends[0];
}

static void trip(void)
{
    char byte = 'x';
    check(write(g_there[1], &byte, 1) == 1 && read(g_back[0], &byte, 1) == 1, "trip");
}

static uint32_t g_ping, g_pong;

static void hand_over(uint32_t *word)
{
    __atomic_store_n(word, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void take_over(uint32_t *word)
{
    while (!__atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST))
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static void *futex_partner(void *arg)
{
    (void)arg;
    for (;;) {
        take_over(&g_ping);
        hand_over(&g_pong);
    }
    return NULL;
}

static void prepare_futex(void)
{
    pthread_t thread;
    check(pthread_create(&thread, NULL, futex_partner, NULL) == 0, "pthread_create");
}

static void futex_trip(void)
{
    hand_over(&g_ping);
    take_over(&g_pong);
}

static int g_epoll;

static void prepare_epoll(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    g_there[1] = eventfd(0, 0);
    g_back[0] = eventfd(0, 0);
    check(g_there[1] >= 0 && g_back[0] >= 0, "eventfd");
    g_epoll = epoll_create1(0);
    pid_t pid = fork();
    int watched = pid == 0 ? g_there[1] : g_back[0], other = pid == 0 ? g_back[0] : g_there[1];
    if (pid == 0)
        g_epoll = epoll_create1(0);
    check(epoll_ctl(g_epoll, EPOLL_CTL_ADD, watched, &event) == 0, "epoll_ctl");
    uint64_t value = 1;
    while (pid == 0) {
        check(epoll_wait(g_epoll, &event, 1, -1) == 1 && read(watched, &value, 8) == 8, "epoll");
        uint64_t last = value;
        check(write(other, &value, 8) == 8, "write");
        if (last > 1)
            _exit(0);
    }
}

static void epoll_trip(void)
{
    struct epoll_event event;
    uint64_t value = 1;
    check(write(g_there[1], &value, 8) == 8, "write");
    check(epoll_wait(g_epoll, &event, 1, -1) == 1 && read(g_back[0], &value, 8) == 8, "epoll");
}

static void finish_epoll(void)
{
    uint64_t value = 2;
    check(write(g_there[1], &value, 8) == 8, "write");
}

static void finish_trips(void)
{
    close(g_there[1]);
}

/* ---- bandwidth: a child swallows what comes; a call moves 64 KiB and counts as 64 ---- */

static void swallow(int from)
{
    while (read(from, g_buffer, sizeof(g_buffer)) > 0)
        ;
    _exit(0);
}

static void prepare_pipe_stream(void)
{
    check(pipe(g_there) == 0, "pipe");
    if (fork() == 0) {
        close(g_there[1]);
        swallow(g_there[0]);
    }
    close(g_there[0]);
}

static void prepare_unix_stream(void)
{
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, g_there) == 0, "socketpair");
    if (fork() == 0) {
        close(g_there[1]);
        swallow(g_there[0]);
    }
    close(g_there[0]);
}

static void push(void)
{
    for (size_t done = 0; done < sizeof(g_buffer);) {
        ssize_t n = write(g_there[1], g_buffer, sizeof(g_buffer) - done);
        check(n > 0, "write");
        done += (size_t)n;
    }
}

static const struct measurement {
    const char *name;
    void (*prepare)(void), (*what)(void), (*finish)(void);
    int calls, units;
} g_measurements[] = {
    {"null", NULL, null_call, NULL, 20000, 1},
    {"getppid", NULL, getppid_call, NULL, 20000, 1},
    {"clock", NULL, clock_call, NULL, 20000, 1},
    {"zero", prepare_zero, read_byte, NULL, 5000, 1},
    {"lseek", prepare_file, seek_call, NULL, 5000, 1},
    {"sigprocmask", NULL, sigprocmask_call, NULL, 5000, 1},
    {"futex-wake", NULL, futex_wake_nobody, NULL, 5000, 1},
    {"read-4k", prepare_file, read_page, NULL, 2000, 1},
    {"write-4k", prepare_file, write_page, NULL, 2000, 1},
    {"open", prepare_file, open_close, NULL, 1000, 1},
    {"stat", prepare_file, stat_call, NULL, 2000, 1},
    {"open-host", prepare_host_file, open_close, NULL, 500, 1},
    {"stat-host", prepare_host_file, stat_call, NULL, 1000, 1},
    {"read-host", prepare_host_data, read_page, NULL, 1000, 1},
    {"read-mount", prepare_host_writable, read_page, NULL, 1000, 1},
    {"write-mount", prepare_host_writable, write_page, NULL, 500, 1},
    {"open-mount", prepare_host_writable, open_close, NULL, 500, 1},
    {"stat-mount", prepare_host_writable, stat_call, NULL, 1000, 1},
    {"open-below", prepare_one_down, open_close, NULL, 500, 1},
    {"stat-below", prepare_one_down, stat_call, NULL, 1000, 1},
    {"open-deep", prepare_deep, open_close, NULL, 500, 1},
    {"stat-deep", prepare_deep, stat_call, NULL, 1000, 1},
    {"pipe", prepare_pipe, trip, finish_trips, 200, 1},
    {"unix", prepare_unix, trip, finish_trips, 200, 1},
    {"futex", prepare_futex, futex_trip, NULL, 200, 1},
    {"epoll", prepare_epoll, epoll_trip, finish_epoll, 200, 1},
    {"pipe-stream", prepare_pipe_stream, push, finish_trips, 50, PIECE / 1024},
    {"unix-stream", prepare_unix_stream, push, finish_trips, 50, PIECE / 1024},
};

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    const struct measurement *m = NULL;
    for (size_t i = 0; argc > 1 && i < sizeof(g_measurements) / sizeof(g_measurements[0]); i++)
        if (strcmp(g_measurements[i].name, argv[1]) == 0)
            m = &g_measurements[i];
    if (!m) {
        fprintf(stderr, "usage: guest_calls NAME [SAMPLES]\n");
        return 2;
    }
    int samples = argc > 2 ? atoi(argv[2]) : SAMPLES;
    if (samples < 1 || samples > SAMPLES)
        samples = SAMPLES;
    uint64_t took[SAMPLES];
    if (m->prepare)
        m->prepare();
    for (int i = -1; i < samples; i++) { /* the first one warms up: its call sites get patched */
        uint64_t start = now_ns();
        for (int c = 0; c < m->calls; c++)
            m->what();
        if (i >= 0)
            took[i] = (now_ns() - start) * 100 / (uint64_t)(m->calls * m->units);
    }
    qsort(took, (size_t)samples, sizeof(took[0]), compare);
    printf("%llu\n", (unsigned long long)took[samples / 2]);
    remove_made();
    if (m->finish) {
        m->finish();
        check(wait(NULL) > 0, "wait");
    }
    return 0;
}
