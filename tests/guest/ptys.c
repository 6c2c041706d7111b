/* Pseudo-terminals: line discipline, job control, hang-up. A session of its own, so it needs no terminal to start with. */
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "show.h"

#define PATIENCE_MS 60000

static int g_master, g_slave;
static volatile sig_atomic_t g_last;

static void on_signal(int sig)
{
    g_last = sig;
}

/* The signal that comes, or 0 when none does for long. */
static int next_signal(void)
{
    for (int i = 0; i < PATIENCE_MS && !g_last; i++)
        usleep(1000);
    int sig = g_last;
    g_last = 0;
    return sig;
}

/* Linux hands what is typed to the line discipline in the background. */
static void type(const char *text)
{
    CHECK(write(g_master, text, strlen(text)) == (ssize_t)strlen(text));
    usleep(100000);
}

/* Until the line discipline has so many bytes to read. */
static void until_typed(int count)
{
    int n = -1;
    for (int i = 0; i < PATIENCE_MS && ioctl(g_slave, FIONREAD, &n) == 0 && n != count; i++)
        usleep(1000);
    CHECK(n == count);
}

static int comes(int fd, int milliseconds)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, milliseconds) == 1;
}

/* With control bytes made visible. */
static void show_bytes(const char *what, const char *data, ssize_t n)
{
    printf("%s: ", what);
    if (n < 0)
        printf("%s", strerror(errno));
    for (ssize_t i = 0; i < n; i++)
        printf(data[i] >= 32 && data[i] < 127 ? "%c" : "\\%03o", (unsigned char)data[i]);
    printf(" (%zd)\n", n);
}

/* What one read of `fd` gives, once there is something. */
static void show_read(const char *what, int fd, size_t size)
{
    char data[256];

    comes(fd, PATIENCE_MS);
    show_bytes(what, data, read(fd, data, size));
}

/* So many bytes, in however many reads. */
static void show_all(const char *what, int fd, ssize_t wanted)
{
    char data[256];
    ssize_t got = 0, n = 1;

    while (got < wanted && n > 0 && comes(fd, PATIENCE_MS)) {
        n = read(fd, data + got, sizeof(data) - (size_t)got);
        got += n > 0 ? n : 0;
    }
    show_bytes(what, data, got);
}

static void show_nothing(const char *what, int fd)
{
    if (comes(fd, 300))
        show_read(what, fd, 200);
    else
        printf("%s: nothing\n", what);
}

static int ready(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
    poll(&p, 1, 0);
    return p.revents;
}

static void canonical(void)
{
    type("one\ntwo\n");
    show_read("line", g_slave, 200);
    show_read("part", g_slave, 2);
    show_read("rest", g_slave, 200);
    show_all("echo", g_master, 10);
    type("abc\177\177d\nxy zz\027!\n\025gone\025kept\n");
    show_read("erased", g_slave, 200);
    show_read("word", g_slave, 200);
    show_read("killed", g_slave, 200);
    show_all("echo", g_master, 48);
    type("no end");
    show_nothing("unfinished", g_slave);
    type("\004");
    show_read("by eof", g_slave, 200);
    type("\004");
    show_read("eof", g_slave, 200);
    type("\026\003lit\r");
    show_read("literal", g_slave, 200);
    show_all("echo", g_master, 15);
    CHECK(write(g_slave, "out\n\ttab\n", 9) == 9);
    show_all("output", g_master, 11);
}

static void modes(void)
{
    struct termios t, old;

    CHECK(tcgetattr(g_slave, &old) == 0);
    printf("iflag %x oflag %x cflag %x lflag %x\n", old.c_iflag, old.c_oflag, old.c_cflag & ~CBAUD,
           old.c_lflag);
    t = old;
    t.c_lflag &= ~(tcflag_t)ECHO;
    CHECK(tcsetattr(g_slave, TCSANOW, &t) == 0);
    type("secret\n");
    show_read("no echo", g_slave, 200);
    show_nothing("nothing", g_master);
    cfmakeraw(&t);
    CHECK(tcsetattr(g_slave, TCSAFLUSH, &t) == 0);
    type("r\003\r\n\004");
    show_all("raw", g_slave, 5);
    CHECK(write(g_slave, "a\nb", 3) == 3);
    show_all("raw out", g_master, 3);
    t.c_cc[VMIN] = 4;
    CHECK(tcsetattr(g_slave, TCSANOW, &t) == 0);
    type("abc");
    SHOW(ready(g_slave));
    type("d");
    SHOW(ready(g_slave));
    show_all("four", g_slave, 4);
    t.c_cc[VMIN] = 0;
    CHECK(tcsetattr(g_slave, TCSANOW, &t) == 0);
    SHOW(read(g_slave, &t.c_line, 1));
    t.c_cc[VTIME] = 1;
    CHECK(tcsetattr(g_slave, TCSANOW, &t) == 0);
    SHOW(read(g_slave, &t.c_line, 1));
    type("kept");
    until_typed(4);
    CHECK(tcsetattr(g_slave, TCSANOW, &old) == 0);
    type(" on\n");
    show_read("after raw", g_slave, 200);
    type("flushed\n");
    until_typed(12); /* with what stands there already */
    SHOW(tcflush(g_slave, TCIFLUSH));
    show_nothing("flushed", g_slave);
    type("count\n");
    until_typed(6);
    show_read("counted", g_slave, 200);
    tcflush(g_slave, TCIOFLUSH);
    show_all("drained", g_master, 21);
}

static void jobs(void)
{
    int pgid, status;

    SHOW(tcgetpgrp(g_slave));
    SHOW(ioctl(g_slave, TIOCSCTTY, 0));
    printf("foreground is mine %d\n", tcgetpgrp(g_slave) == getpgrp());
    printf("session is mine %d\n", tcgetsid(g_slave) == getsid(0));
    signal(SIGINT, on_signal);
    signal(SIGQUIT, on_signal);
    signal(SIGWINCH, on_signal);
    type("lost\003");
    printf("signal %d\n", next_signal());
    show_nothing("flushed by it", g_slave);
    show_all("caret", g_master, 2);
    type("\034");
    printf("signal %d\n", next_signal());
    struct winsize size = {10, 20, 0, 0};
    SHOW(ioctl(g_master, TIOCSWINSZ, &size));
    printf("signal %d\n", next_signal());
    SHOW(ioctl(g_slave, TIOCGWINSZ, &size));
    printf("%dx%d\n", size.ws_row, size.ws_col);
    SHOW(tcsetpgrp(g_slave, 999999));
    SHOW(tcsetpgrp(g_slave, getppid()));
    pid_t child = fork();
    if (child == 0) {
        char c;
        setpgid(0, 0);
        signal(SIGTTIN, SIG_IGN);
        SHOW(read(g_slave, &c, 1));
        signal(SIGTTOU, SIG_IGN);
        SHOW(tcsetpgrp(g_slave, getpgrp()));
        SHOW(tcsetpgrp(g_slave, getppid()));
        signal(SIGTTIN, SIG_DFL);
        /* Stops; goes on with what was typed once it is in the foreground */
        SHOW(read(g_slave, &c, 1));
        printf("read %c\n", c);
        _exit(4);
    }
    CHECK(waitpid(child, &status, WUNTRACED) == child);
    printf("stopped %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status));
    SHOW(tcsetpgrp(g_slave, child));
    type("j\n");
    kill(child, SIGCONT);
    CHECK(waitpid(child, &status, 0) == child);
    printf("status %d\n", WEXITSTATUS(status));
    signal(SIGTTOU, SIG_IGN);
    SHOW(tcsetpgrp(g_slave, getpgrp()));
    SHOW(ioctl(g_master, TIOCGPGRP, &pgid));
    printf("foreground is mine %d\n", pgid == getpgrp());
    show_all("echo", g_master, 5);
}

static void hang_up(void)
{
    int fd, m, s, number;
    char c, name[64];
    struct stat st;

    signal(SIGHUP, on_signal);
    fd = open("/dev/tty", O_RDWR);
    printf("/dev/tty %d\n", fd >= 0);
    SHOW(write(fd, "tty\n", 4));
    show_all("by /dev/tty", g_master, 5);
    close(fd);
    g_last = 0;
    close(g_master);
    printf("signal %d\n", next_signal());
    SHOW(ready(g_slave));
    SHOW(read(g_slave, &c, 1));
    SHOW(write(g_slave, &c, 1));
    SHOW(tcgetpgrp(g_slave));
    SHOW(open("/dev/tty", O_RDWR));
    close(g_slave);

    m = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(m >= 0);
    SHOW(ready(m));
    SHOW(ioctl(m, TIOCGPTN, &number));
    snprintf(name, sizeof(name), "/dev/pts/%d", number);
    printf("ptsname %d\n", strcmp(ptsname(m), name) == 0);
    SHOW(open(name, O_RDWR | O_NOCTTY));
    SHOW(grantpt(m));
    SHOW(unlockpt(m));
    s = open(name, O_RDWR | O_NOCTTY);
    CHECK(s >= 0 && fstat(s, &st) == 0);
    printf("character device %d major %d, ttyname %d\n", S_ISCHR(st.st_mode),
           (int)(st.st_rdev >> 8), strcmp(ttyname(s), name) == 0);
    SHOW(open("/dev/tty", O_RDWR));
    SHOW(write(s, "last words", 10));
    close(s);
    SHOW(ready(m));
    show_all("before the end", m, 10);
    SHOW(read(m, &c, 1));
    SHOW(ready(m) & (POLLHUP | POLLIN));
    s = open(name, O_RDWR | O_NOCTTY);
    SHOW(ready(m) & (POLLHUP | POLLIN));
    CHECK(fstat(s, &st) == 0);
    close(s);
    close(m);
    struct timespec made = st.st_ctim; /* another one may have its number at once */
    SHOW(stat(name, &st) == 0 && st.st_ctim.tv_sec == made.tv_sec &&
         st.st_ctim.tv_nsec == made.tv_nsec);
}

int main(void)
{
    int status;

    setvbuf(stdout, NULL, _IONBF, 0);
    if (fork() == 0) { /* a leader of a new session, not of a group before */
        CHECK(setsid() == getpid());
        CHECK(openpty(&g_master, &g_slave, NULL, NULL, NULL) == 0);
        canonical();
        modes();
        jobs();
        hang_up();
        _exit(0);
    }
    wait(&status);
    printf("status %d\n", status);
    return 0;
}
