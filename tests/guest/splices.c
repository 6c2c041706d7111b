/* splice, tee, vmsplice, and pipes of packets. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "show.h"

static char g_text[1 << 17];

static void show_left(int fd)
{
    int left = -1;
    CHECK(ioctl(fd, FIONREAD, &left) == 0);
    printf("  left %d\n", left);
}

static void files(const char *base)
{
    char name[64];
    int p[2];
    snprintf(name, sizeof(name), "%s/guest-splice-XXXXXX", base);
    int f = mkstemp(name);
    CHECK(f >= 0 && unlink(name) == 0 && pipe(p) == 0 && write(f, "0123456789", 10) == 10);
    off_t at = 2;
    SHOW(splice(f, &at, p[1], NULL, 4, 0));
    printf("  at %ld\n", (long)at);
    SHOW(lseek(f, 8, SEEK_SET));
    SHOW(splice(f, NULL, p[1], NULL, 100, 0));
    SHOW(lseek(f, 0, SEEK_CUR));
    SHOW(splice(f, NULL, p[1], NULL, 100, 0));
    show_left(p[0]);
    at = 20;
    SHOW(splice(p[0], NULL, f, &at, 3, 0));
    SHOW(splice(p[0], NULL, f, NULL, 100, 0));
    printf("  at %ld\n", (long)at);
    SHOW(pread(f, g_text, 100, 0));
    for (int i = 0; i < 23; i++)
        printf("%c", g_text[i] ? g_text[i] : '.');
    printf("\n");
    SHOW(splice(p[0], NULL, f, NULL, 100, SPLICE_F_NONBLOCK));
    SHOW(splice(p[0], &at, f, NULL, 100, 0));
    SHOW(splice(f, NULL, p[1], &at, 100, 0));
    SHOW(splice(f, NULL, f, NULL, 100, 0));
    SHOW(splice(p[0], NULL, p[1], NULL, 100, 0));
    SHOW(splice(p[1], NULL, f, NULL, 100, 0));
    SHOW(splice(f, NULL, p[0], NULL, 100, 0));
    SHOW(splice(f, NULL, p[1], NULL, 0, 0));
    SHOW(splice(f, NULL, p[1], NULL, 1, 0x100));
    SHOW(splice(-1, NULL, p[1], NULL, 1, 0));
    SHOW(splice(f, (off_t *)8, p[1], NULL, 1, 0));
    at = -1;
    SHOW(splice(f, &at, p[1], NULL, 1, 0));
    int append = fcntl(f, F_GETFL) | O_APPEND;
    CHECK(fcntl(f, F_SETFL, append) == 0 && write(p[1], "x", 1) == 1);
    SHOW(splice(p[0], NULL, f, NULL, 1, 0));
    show_left(p[0]);
    close(f), close(p[0]), close(p[1]);
}

static void sizes(void)
{
    int a[2], b[2];
    CHECK(pipe(a) == 0 && pipe(b) == 0);
    memset(g_text, 'z', sizeof(g_text));
    CHECK(write(a[1], g_text, 65536) == 65536);
    SHOW(splice(a[0], NULL, b[1], NULL, 100000, 0));
    show_left(a[0]);
    show_left(b[0]);
    SHOW(splice(a[0], NULL, b[1], NULL, 100, SPLICE_F_NONBLOCK));
    CHECK(write(a[1], "rest", 4) == 4);
    SHOW(splice(a[0], NULL, b[1], NULL, 100, SPLICE_F_NONBLOCK));
    show_left(a[0]);
    CHECK(read(b[0], g_text, 65536) == 65536);
    SHOW(splice(a[0], NULL, b[1], NULL, 100, 0));
    SHOW(tee(b[0], a[1], 2, 0));
    SHOW(tee(b[0], a[1], 100, 0));
    SHOW(read(a[0], g_text, 100));
    printf("  %.6s\n", g_text);
    SHOW(read(b[0], g_text, 100));
    SHOW(tee(b[0], a[1], 100, SPLICE_F_NONBLOCK));
    SHOW(tee(b[0], b[1], 100, 0));
    SHOW(tee(b[1], a[1], 100, 0));
    SHOW(tee(a[0], b[1], 0, 0));
    int null = open("/dev/null", O_RDWR);
    SHOW(tee(null, b[1], 100, 0));
    CHECK(write(a[1], "abc", 3) == 3);
    SHOW(splice(a[0], NULL, null, NULL, 100, 0));
    close(a[1]);
    SHOW(splice(a[0], NULL, b[1], NULL, 100, 0));
    SHOW(tee(a[0], b[1], 100, 0));
    close(b[0]);
    signal(SIGPIPE, SIG_IGN);
    CHECK(pipe(a) == 0 && write(a[1], "abc", 3) == 3);
    SHOW(splice(a[0], NULL, b[1], NULL, 100, 0));
    show_left(a[0]);
    close(a[0]), close(a[1]), close(b[1]), close(null);
}

static void *late_writer(void *arg)
{
    usleep(20000);
    CHECK(write(*(int *)arg, "late", 4) == 4);
    return NULL;
}

static void sockets_and_waits(void)
{
    int p[2], s[2];
    pthread_t t;
    CHECK(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK(write(s[0], "through", 7) == 7);
    SHOW(splice(s[1], NULL, p[1], NULL, 100, 0));
    SHOW(splice(p[0], NULL, s[1], NULL, 100, 0));
    SHOW(read(s[0], g_text, 100));
    printf("  %.7s\n", g_text);
    CHECK(pthread_create(&t, NULL, late_writer, &p[1]) == 0);
    SHOW(splice(p[0], NULL, s[1], NULL, 100, 0));
    CHECK(pthread_join(t, NULL) == 0);
    SHOW(read(s[0], g_text, 100));
    close(p[0]), close(p[1]), close(s[0]), close(s[1]);
}

static void vectors(void)
{
    int p[2];
    char a[] = "first ", b[] = "second";
    struct iovec out[2] = {{a, 6}, {b, 6}}, in[2] = {{g_text, 3}, {g_text + 100, 50}};
    CHECK(pipe(p) == 0);
    SHOW(vmsplice(p[1], out, 2, 0));
    show_left(p[0]);
    SHOW(vmsplice(p[0], in, 2, 0));
    printf("  %.3s|%.9s\n", g_text, g_text + 100);
    SHOW(vmsplice(p[0], in, 2, SPLICE_F_NONBLOCK));
    SHOW(vmsplice(p[1], out, 0, 0));
    SHOW(vmsplice(p[1], out, 2, 0x100));
    SHOW(vmsplice(0x7ffff, out, 2, 0));
    out[1].iov_base = (void *)8;
    out[0].iov_base = (void *)8;
    SHOW(vmsplice(p[1], out, 2, 0));
    close(p[0]), close(p[1]);
}

static void packets(void)
{
    int p[2];
    struct pollfd out;
    CHECK(pipe2(p, O_DIRECT | O_NONBLOCK) == 0);
    SHOW((fcntl(p[0], F_GETFL) & O_DIRECT) != 0);
    SHOW((fcntl(p[1], F_GETFL) & O_DIRECT) != 0);
    CHECK(write(p[1], "one", 3) == 3 && write(p[1], "second", 6) == 6 && write(p[1], "3", 1) == 1);
    show_left(p[0]);
    SHOW(read(p[0], g_text, 100));
    SHOW(read(p[0], g_text, 2));
    printf("  %.2s\n", g_text);
    SHOW(read(p[0], g_text, 100));
    SHOW(read(p[0], g_text, 100));
    SHOW(write(p[1], "", 0));
    SHOW(read(p[0], g_text, 100));
    /* Long ones are cut into pages. */
    SHOW(write(p[1], g_text, 10000));
    SHOW(read(p[0], g_text, 100000));
    SHOW(read(p[0], g_text, 100000));
    SHOW(read(p[0], g_text, 100000));
    SHOW(read(p[0], g_text, 100000));
    /* Each takes a place, however small. */
    int count = 0;
    while (write(p[1], "x", 1) == 1)
        count++;
    printf("%d fit: %s\n", count, strerror(errno));
    out = (struct pollfd){.fd = p[1], .events = POLLOUT};
    SHOW(poll(&out, 1, 0));
    SHOW(read(p[0], g_text, 100));
    SHOW(poll(&out, 1, 0));
    while (read(p[0], g_text, 100) == 1)
        ;
    /* Turned off and on while in use. */
    CHECK(write(p[1], "pack", 4) == 4 && fcntl(p[1], F_SETFL, O_NONBLOCK) == 0);
    CHECK(write(p[1], "plain", 5) == 5 && write(p[1], "more", 4) == 4 &&
          fcntl(p[1], F_SETFL, O_NONBLOCK | O_DIRECT) == 0);
    CHECK(write(p[1], "again", 5) == 5);
    SHOW(read(p[0], g_text, 100));
    SHOW(read(p[0], g_text, 7));
    SHOW(read(p[0], g_text, 2));
    SHOW(read(p[0], g_text, 100));
    close(p[0]), close(p[1]);
    CHECK(pipe2(p, O_DIRECT) == 0 && write(p[1], "last", 4) == 4);
    close(p[1]);
    SHOW(read(p[0], g_text, 1));
    SHOW(read(p[0], g_text, 1));
    close(p[0]);
    SHOW(pipe2(p, O_APPEND));
}

/* Data that a target does not take goes back, while a writer fills the place that it left. */
static void *fill(void *arg)
{
    uint32_t words[2048], next = 0;
    for (int i = 0; i < 512; i++) {
        for (int k = 0; k < 2048; k++)
            words[k] = next++;
        CHECK(write(*(int *)arg, words, sizeof(words)) == sizeof(words));
    }
    close(*(int *)arg);
    return NULL;
}

static void goes_back(void)
{
    int p[2], s[2], short_ones = 0;
    pthread_t writer;
    uint32_t words[5000], next = 0;
    size_t have = 0;
    CHECK(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 &&
          fcntl(s[0], F_SETFL, O_NONBLOCK) == 0 && pthread_create(&writer, NULL, fill, &p[1]) == 0);
    for (;;) {
        ssize_t n = splice(p[0], NULL, s[0], NULL, 65536, 0);
        if (n == 0)
            break;
        CHECK(n > 0 || errno == EAGAIN);
        short_ones += n < 0;
        if (n > 0 && n < 65536)
            continue;
        ssize_t got = read(s[1], (char *)words + have, sizeof(words) - have);
        CHECK(got > 0);
        have += (size_t)got;
        for (size_t i = 0; i < have / 4; i++)
            CHECK(words[i] == next++);
        memmove(words, (char *)words + have / 4 * 4, have % 4);
        have %= 4;
    }
    close(s[0]);
    for (ssize_t got; (got = read(s[1], (char *)words + have, sizeof(words) - have)) > 0;) {
        have += (size_t)got;
        for (size_t i = 0; i < have / 4; i++)
            CHECK(words[i] == next++);
        memmove(words, (char *)words + have / 4 * 4, have % 4);
        have %= 4;
    }
    CHECK(pthread_join(writer, NULL) == 0);
    printf("in order: %u, some refused: %d, size %d\n", next, short_ones > 0,
           fcntl(p[0], F_GETPIPE_SZ));
    close(p[0]), close(s[1]);
}

int main(void)
{
    files("/tmp");
    files("/var/tmp");
    sizes();
    sockets_and_waits();
    vectors();
    packets();
    goes_back();
    return 0;
}
