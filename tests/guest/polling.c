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

int main(void)
{
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
    CHECK(poll(p, 1, 10000) == 1 && p[0].revents == POLLIN && read(fds[0], data, 1) == 1 &&
          data[0] == 'y');
    CHECK(waitpid(pid, NULL, 0) == pid);
    close(fds[1]);
    CHECK(poll(p, 1, 10000) == 1 && (p[0].revents & POLLHUP) && read(fds[0], data, 1) == 0);
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
