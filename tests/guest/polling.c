/* poll, select, nonblocking pipes, timeouts, clocks. */
#include <fcntl.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

static long long now(void)
{
    struct timespec t;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void look(const char *what, int n, int fd)
{
    unsigned long set[1024 / 64] = {0};
    struct timeval none = {0, 0};
    set[fd / 64] |= 1ul << (fd % 64);
    long r = select(n, (fd_set *)set, NULL, NULL, &none);
    printf("%s: %ld %s, bit %lu\n", what, r, r < 0 ? strerror(errno) : "",
           set[fd / 64] >> (fd % 64) & 1);
}

/* select looks at no number beyond the size of the table: 64, or the power of two that the highest number so far asked for. */
static void closed_ones(void)
{
    fflush(stdout);
    pid_t child = fork(); /* whose table is no larger than its open files need */
    if (child == 0) {
        for (int fd = 20; fd < 1024; fd++)
            close(fd);
        pid_t inner = fork();
        if (inner == 0) {
            look("closed", 1024, 40);
            look("last of the table", 1024, 63);
            look("beyond", 1024, 64);
            look("far beyond", 1024, 1023);
            look("below n only", 40, 40);
            CHECK(dup2(0, 200) == 200 && close(200) == 0);
            look("closed again", 1024, 200);
            look("last of the larger one", 1024, 255);
            look("beyond that", 1024, 256);
            fflush(stdout);
            _exit(0);
        }
        CHECK(inner > 0 && waitpid(inner, NULL, 0) == inner);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, NULL, 0) == child);
}

int main(void)
{
    closed_ones();
    int fds[2];
    char data[65536];
    CHECK(pipe2(fds, O_NONBLOCK) == 0);
    CHECK(read(fds[0], data, 1) == -1 && errno == EAGAIN);
    struct pollfd p[2] = {{.fd = fds[0], .events = POLLIN}, {.fd = fds[1], .events = POLLOUT}};
    CHECK(poll(p, 2, 0) == 1 && p[0].revents == 0 && p[1].revents == POLLOUT);
    long long start = now();
    CHECK(poll(p, 1, 30) == 0 && now() - start >= 29000000);
    ssize_t n, total = 0;
    memset(data, 'x', sizeof(data));
    while ((n = write(fds[1], data, 4096)) > 0)
        total += n;
    CHECK(errno == EAGAIN);
    printf("a pipe takes %zd bytes\n", total);
    CHECK(poll(p, 2, 0) == 1 && p[0].revents == POLLIN && p[1].revents == 0);
    while (read(fds[0], data, sizeof(data)) > 0)
        ;
    pid_t pid = fork();
    if (pid == 0) {
        usleep(30000);
        _exit(write(fds[1], "y", 1) == 1 ? 0 : 1);
    }
    CHECK(poll(p, 1, 60000) == 1 && p[0].revents == POLLIN && read(fds[0], data, 1) == 1 &&
          data[0] == 'y');
    CHECK(waitpid(pid, NULL, 0) == pid);
    close(fds[1]);
    CHECK(poll(p, 1, 60000) == 1 && (p[0].revents & POLLHUP) && read(fds[0], data, 1) == 0);
    p[0].fd = 999;
    CHECK(poll(p, 1, 0) == 1 && p[0].revents == POLLNVAL);
    printf("poll\n");
    CHECK(pipe(fds) == 0);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fds[0], &set);
    struct timeval tv = {0, 20000};
    start = now();
    CHECK(select(fds[0] + 1, &set, NULL, NULL, &tv) == 0 && now() - start >= 19000000 &&
          !FD_ISSET(fds[0], &set));
    CHECK(write(fds[1], "z", 1) == 1);
    FD_SET(fds[0], &set);
    CHECK(select(fds[0] + 1, &set, NULL, NULL, NULL) == 1 && FD_ISSET(fds[0], &set));
    printf("select\n");
    struct timespec t = {0, 20000000};
    start = now();
    CHECK(nanosleep(&t, NULL) == 0 && now() - start >= 20000000);
    CHECK(time(NULL) > 1700000000);
    CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
    printf("time\n");
    return 0;
}
