/*
 * linger_guest.c PORT: closes a connection whose peer takes nothing, with SO_LINGER; meanwhile another thread looks at the clock again and
 * again. Says that the close waited, and whether the other thread did, too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINGER_S = 16, GAP_S = 12 };

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int g_rounds, g_closed;
static double g_gap;

static void *look_at_the_clock(void *arg)
{
    const struct timespec rest = {0, 50000000};
    for (double last = now(); !__atomic_load_n(&g_closed, __ATOMIC_ACQUIRE);) {
        nanosleep(&rest, NULL);
        const double t = now();
        g_gap = t - last > g_gap ? t - last : g_gap;
        last = t;
        __atomic_add_fetch(&g_rounds, 1, __ATOMIC_RELEASE);
    }
    return arg;
}

int main(int argc, char **argv)
{
    static const char data[65536];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct linger linger = {.l_onoff = 1, .l_linger = LINGER_S};
    pthread_t other;
    if (argc < 2)
        return 2;
    to.sin_port = htons((uint16_t)atoi(argv[1]));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) != 0) {
        perror("the connection");
        return 1;
    }
    while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
        continue;
    if (errno != EAGAIN || pthread_create(&other, NULL, look_at_the_clock, NULL) != 0) {
        perror("the data");
        return 1;
    }
    while (__atomic_load_n(&g_rounds, __ATOMIC_ACQUIRE) == 0)
        usleep(1000);
    const double start = now();
    close(fd);
    const double waited = now() - start;
    __atomic_store_n(&g_closed, 1, __ATOMIC_RELEASE);
    pthread_join(other, NULL);
    if (waited < LINGER_S - 1 || g_gap > GAP_S)
        printf("the close took %.1f s; in between the other thread came by only every %.1f s\n",
               waited, g_gap);
    else
        puts("the close waited, the others did not");
    return 0;
}
