/* Cases of terminals: each in a session of its own, with a pty that is nobody's terminal yet. */
#ifndef PALIMPSEST_TESTS_GUEST_TTY_H
#define PALIMPSEST_TESTS_GUEST_TTY_H

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "child.h"
#include "show.h"

#define PATIENCE_MS 60000

static int g_master, g_slave;
static char g_name[64];
static volatile sig_atomic_t g_seen[65];
static void (*g_case)(void);

static inline void on_signal(int sig)
{
    g_seen[sig]++;
}

static inline void catch (int sig)
{
    struct sigaction action = {.sa_handler = on_signal};
    CHECK(sigaction(sig, &action, NULL) == 0);
}

/* Whether it comes, ever. */
static inline int comes(int sig)
{
    for (int i = 0; i < PATIENCE_MS && !g_seen[sig]; i++)
        usleep(1000);
    int seen = g_seen[sig];
    g_seen[sig] = 0;
    return seen;
}

static inline void fresh(int *master, int *slave, char *name)
{
    CHECK(openpty(master, slave, NULL, NULL, NULL) == 0);
    snprintf(name, sizeof(g_name), "%s", ptsname(*master));
}

static inline void in_session(void)
{
    CHECK(setsid() == getpid());
    fresh(&g_master, &g_slave, g_name);
    g_case();
}

static inline void session(const char *name, void (*run)(void))
{
    g_case = run;
    show_child(name, in_session);
}

static inline void set(tcflag_t iflag_on, tcflag_t oflag, tcflag_t lflag_on, tcflag_t lflag_off)
{
    struct termios t;

    CHECK(tcgetattr(g_slave, &t) == 0);
    t.c_iflag |= iflag_on;
    t.c_oflag = oflag;
    t.c_lflag = (t.c_lflag | lflag_on) & ~lflag_off;
    CHECK(tcsetattr(g_slave, TCSANOW, &t) == 0);
}

static inline void key(int which, cc_t value)
{
    struct termios t;

    CHECK(tcgetattr(g_slave, &t) == 0);
    t.c_cc[which] = value;
    CHECK(tcsetattr(g_slave, TCSANOW, &t) == 0);
}

static inline void raw(cc_t min, cc_t time)
{
    struct termios t;

    CHECK(tcgetattr(g_slave, &t) == 0);
    cfmakeraw(&t);
    t.c_cc[VMIN] = min;
    t.c_cc[VTIME] = time;
    CHECK(tcsetattr(g_slave, TCSANOW, &t) == 0);
}

static inline void type(const char *text)
{
    CHECK(write(g_master, text, strlen(text)) == (ssize_t)strlen(text));
}

static inline int soon(int fd, int events)
{
    struct pollfd p = {.fd = fd, .events = (short)events};
    return poll(&p, 1, PATIENCE_MS) == 1 ? p.revents : 0;
}

static inline int now(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI};
    poll(&p, 1, 0);
    return p.revents;
}

static inline void show_bytes(const char *what, const char *data, ssize_t size)
{
    printf("%s: ", what);
    for (ssize_t i = 0; i < size; i++)
        printf(data[i] >= 32 && data[i] < 127 ? "%c" : "\\%03o", (unsigned char)data[i]);
    printf(" (%zd%s%s)\n", size, size < 0 ? " " : "", size < 0 ? strerror(errno) : "");
}

/* One read, once there is something. */
static inline void show_read(const char *what, int fd)
{
    char data[256];

    soon(fd, POLLIN);
    show_bytes(what, data, read(fd, data, sizeof(data)));
}

/* All up to a mark, however it comes. */
static inline void show_until(const char *what, int fd, char mark)
{
    char data[256];
    size_t got = 0;

    while (got < sizeof(data) && soon(fd, POLLIN)) {
        ssize_t n = read(fd, data + got, 1);
        if (n <= 0 || data[got++] == mark)
            break;
    }
    show_bytes(what, data, (ssize_t)got);
}

static inline int has_tty(void)
{
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

#endif
