#include "pal/terminal.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static const int k_crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};

static struct {
    int fd; /* -1: no standard stream is a terminal */
    pid_t pid;
    struct termios modes;
    struct sigaction before[sizeof(k_crashes) / sizeof(k_crashes[0])];
} g_saved = {.fd = -1};

static bool same(const struct termios *a, const struct termios *b)
{
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
           a->c_lflag == b->c_lflag && memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc)) == 0;
}

/* Also in a signal handler. */
static void put_back(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    struct termios now;

    if (g_saved.fd < 0 || tcgetattr(g_saved.fd, &now) != 0 || same(&now, &g_saved.modes))
        return;
    sigaction(SIGTTOU, &ignore, &before);
    tcsetattr(g_saved.fd, TCSANOW, &g_saved.modes);
    sigaction(SIGTTOU, &before, NULL);
}

/* A platform's processes that begin as copies of this one may still have this handler: their end is not the instance's. */
static void on_crash(int sig)
{
    if (getpid() == g_saved.pid)
        put_back();
    raise(sig); /* by default again: SA_RESETHAND */
}

void terminal_save(void)
{
    struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};

    for (int fd = 0; fd < 3 && g_saved.fd < 0; fd++)
        if (tcgetattr(fd, &g_saved.modes) == 0)
            g_saved.fd = fd;
    if (g_saved.fd < 0)
        return;
    g_saved.pid = getpid();
    for (size_t i = 0; i < sizeof(k_crashes) / sizeof(k_crashes[0]); i++)
        sigaction(k_crashes[i], &action, &g_saved.before[i]);
}

void terminal_restore(void)
{
    put_back();
    for (size_t i = 0; g_saved.fd >= 0 && i < sizeof(k_crashes) / sizeof(k_crashes[0]); i++)
        sigaction(k_crashes[i], &g_saved.before[i], NULL);
}
