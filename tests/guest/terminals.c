/* Terminals, what ptys.c leaves out: flow control, packet mode, exclusive use, typed bytes, limits of a line, timed reads, speeds. */
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "show.h"

#ifndef TIOCGEXCL
#define TIOCGEXCL 0x80045440
#endif
#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif
#define TERMIOS2_GET 0x802c542au
#define PATIENCE_MS 20000

static int g_master, g_slave;

static void fresh(void)
{
    if (g_master) {
        close(g_slave);
        close(g_master);
    }
    CHECK(openpty(&g_master, &g_slave, NULL, NULL, NULL) == 0);
}

static void set(tcflag_t iflag_off, tcflag_t lflag_off, tcflag_t lflag_on)
{
    struct termios t;

    CHECK(tcgetattr(g_slave, &t) == 0);
    t.c_iflag &= ~iflag_off;
    t.c_lflag &= ~lflag_off;
    t.c_lflag |= lflag_on;
    CHECK(tcsetattr(g_slave, TCSANOW, &t) == 0);
}

static void type(const char *text)
{
    CHECK(write(g_master, text, strlen(text)) == (ssize_t)strlen(text));
}

static int soon(int fd, int events)
{
    struct pollfd p = {.fd = fd, .events = (short)events};
    return poll(&p, 1, PATIENCE_MS) == 1 ? p.revents & events : 0;
}

static int never(int fd, int events)
{
    struct pollfd p = {.fd = fd, .events = (short)events};
    return poll(&p, 1, 200) == 0;
}

/* All of `wanted` bytes, however they come. */
static void show_all(const char *what, int fd, size_t wanted)
{
    char data[256];
    size_t got = 0;

    while (got < wanted && soon(fd, POLLIN)) {
        ssize_t n = read(fd, data + got, sizeof(data) - got);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    printf("%s: ", what);
    for (size_t i = 0; i < got; i++)
        printf(data[i] >= 32 && data[i] < 127 ? "%c" : "\\%03o", (unsigned char)data[i]);
    printf(" (%zu)\n", got);
}

static void flow(void)
{
    fresh();
    set(0, ECHO, 0);
    type("\023");
    for (int i = 0; i < PATIENCE_MS && poll(&(struct pollfd){g_slave, POLLOUT, 0}, 1, 0) == 1; i++)
        usleep(1000); /* keys take effect in the background */
    SHOW(fcntl(g_slave, F_SETFL, O_RDWR | O_NONBLOCK));
    SHOW(write(g_slave, "stopped", 7));
    printf("nothing %d\n", never(g_master, POLLIN));
    type("\021");
    printf("writable %d\n", soon(g_slave, POLLOUT) != 0);
    SHOW(write(g_slave, "going", 5));
    show_all("going", g_master, 5);
    SHOW(tcflow(g_slave, TCOOFF));
    SHOW(write(g_slave, "held", 4));
    type("\021");
    SHOW(usleep(100000));
    SHOW(write(g_slave, "still held", 10));
    SHOW(tcflow(g_slave, TCOON));
    SHOW(write(g_slave, "free", 4));
    show_all("free", g_master, 4);
    SHOW(tcflow(g_slave, TCIOFF));
    show_all("stop key", g_master, 1);
    SHOW(tcflow(g_slave, TCION));
    show_all("start key", g_master, 1);
    SHOW(tcflow(g_slave, 17));
    set(IXON, 0, 0);
    type("a\023b\021c\n");
    show_all("no keys", g_slave, 6);
}

static void packet(const char *what)
{
    char c = 0x7f;

    printf("%s: ready %x", what, soon(g_master, POLLIN | POLLPRI));
    ssize_t n = read(g_master, &c, 1);
    printf(", %zd: %x\n", n, (unsigned char)c);
}

static void packets(void)
{
    struct termios t;
    int on = 1, off = 0, now = -1;
    char data[32];

    fresh();
    set(0, ECHO, 0);
    SHOW(ioctl(g_master, TIOCPKT, &on));
    SHOW(ioctl(g_master, TIOCGPKT, &now));
    printf("%d\n", now);
    CHECK(write(g_slave, "data", 4) == 4);
    printf("ready %x\n", soon(g_master, POLLIN | POLLPRI));
    ssize_t n = read(g_master, data, sizeof(data));
    printf("%zd: %x %.*s\n", n, (unsigned char)data[0], (int)n - 1, data + 1);
    SHOW(tcflush(g_slave, TCIFLUSH));
    packet("input flushed");
    SHOW(tcflush(g_slave, TCOFLUSH));
    packet("output flushed");
    SHOW(tcflush(g_slave, TCIOFLUSH));
    packet("both");
    SHOW(tcflow(g_slave, TCOOFF));
    packet("stopped");
    SHOW(tcflow(g_slave, TCOON));
    packet("started");
    CHECK(tcgetattr(g_slave, &t) == 0);
    t.c_iflag &= ~(tcflag_t)IXON;
    CHECK(tcsetattr(g_slave, TCSANOW, &t) == 0);
    packet("no flow keys");
    t.c_iflag |= IXON;
    CHECK(tcsetattr(g_slave, TCSANOW, &t) == 0);
    packet("flow keys");
    t.c_cc[VSTOP] = 1;
    CHECK(tcsetattr(g_slave, TCSANOW, &t) == 0);
    packet("other flow keys");
    printf("no more %d\n", never(g_master, POLLIN | POLLPRI));
    SHOW(ioctl(g_master, TIOCPKT, &off));
    SHOW(tcflush(g_slave, TCIFLUSH));
    printf("off %d\n", never(g_master, POLLIN | POLLPRI));
}

static void exclusive(void)
{
    int now = -1, status;
    char name[64];

    fresh();
    snprintf(name, sizeof(name), "%s", ptsname(g_master));
    SHOW(ioctl(g_slave, TIOCGEXCL, &now));
    printf("%d\n", now);
    SHOW(ioctl(g_slave, TIOCEXCL));
    SHOW(ioctl(g_slave, TIOCGEXCL, &now));
    printf("%d\n", now);
    if (getuid() == 0) {
        CHECK(chmod(name, 0666) == 0 || 1);
        if (fork() == 0) {
            CHECK(setresuid(12345, 12345, 12345) == 0);
            int fd = open(name, O_RDWR | O_NOCTTY);
            printf("another user: %s\n", fd < 0 ? strerror(errno) : "opens it");
            _exit(0);
        }
        wait(&status);
        int fd = open(name, O_RDWR | O_NOCTTY);
        printf("root %d\n", fd >= 0);
        close(fd);
    }
    SHOW(ioctl(g_slave, TIOCNXCL));
    int peer = ioctl(g_master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    printf("peer %d", peer >= 0);
    printf(", %d, flags %d\n", strcmp(ttyname(peer), name) == 0, fcntl(peer, F_GETFD));
    CHECK(write(peer, "by peer", 7) == 7);
    show_all("peer", g_master, 7);
    close(peer);
}

static void typed(void)
{
    int line = 0, bytes = -1;

    fresh();
    if (getuid() == 0) { /* others may or may not, as the kernel was built */
        for (const char *c = "typed\n"; *c; c++)
            CHECK(ioctl(g_slave, TIOCSTI, c) == 0);
        show_all("typed", g_slave, 6);
        show_all("echo", g_master, 7);
    }
    SHOW(ioctl(g_slave, TIOCOUTQ, &bytes));
    SHOW(ioctl(g_slave, TIOCGETD, &line));
    printf("%d\n", line);
    SHOW(ioctl(g_slave, TIOCSETD, &line));
    line = 9999;
    SHOW(ioctl(g_slave, TIOCSETD, &line));
    SHOW(tcdrain(g_slave));
    SHOW(tcsendbreak(g_slave, 0));
    SHOW(ioctl(g_slave, TIOCMGET, &line));
    SHOW(ioctl(g_slave, TIOCGWINSZ, (void *)8));
    SHOW(ioctl(g_slave, 0x54ff, &line));
}

/* A line of more than 4096 bytes: what is beyond is lost, its end is not. */
static void limits(void)
{
    static char many[6000], got[8192];
    size_t sent = 0;

    fresh();
    set(0, ECHO, 0);
    memset(many, 'x', sizeof(many));
    many[0] = 'F';
    many[5998] = 'L';
    many[5999] = '\n';
    CHECK(fcntl(g_master, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
    for (int i = 0; i < 10000 && sent < sizeof(many); i++) {
        ssize_t n =
            write(g_master, many + sent, sizeof(many) - sent < 500 ? sizeof(many) - sent : 500);
        if (n > 0)
            sent += (size_t)n;
        usleep(2000);
    }
    printf("sent %zu\n", sent);
    CHECK(soon(g_slave, POLLIN));
    ssize_t n = read(g_slave, got, sizeof(got));
    printf("line of %zd, first %c, ends %d\n", n, got[0], got[n - 1] == '\n');
    type("next\n");
    show_all("next", g_slave, 5);
}

static void timed(void)
{
    struct termios t;
    char data[16];
    int status;

    fresh();
    CHECK(tcgetattr(g_slave, &t) == 0);
    cfmakeraw(&t);
    t.c_cc[VMIN] = 5;
    t.c_cc[VTIME] = 3;
    CHECK(tcsetattr(g_slave, TCSANOW, &t) == 0);
    type("ab"); /* the time between bytes ends the read */
    SHOW(read(g_slave, data, sizeof(data)));
    if (fork() == 0) {
        usleep(400000); /* before the first byte no time runs */
        type("12345");
        _exit(0);
    }
    SHOW(read(g_slave, data, sizeof(data)));
    wait(&status);
    type("xyz");
    SHOW(read(g_slave, data, 2)); /* less than VMIN was asked for */
    SHOW(read(g_slave, data, 1));
    t.c_cc[VMIN] = 0;
    t.c_cc[VTIME] = 100;
    CHECK(tcsetattr(g_slave, TCSANOW, &t) == 0);
    if (fork() == 0) {
        usleep(50000);
        type("q");
        _exit(0);
    }
    SHOW(read(g_slave, data, sizeof(data)));
    wait(&status);
}

static void shown(void)
{
    fresh();
    type("\001\t\033[A\n");
    show_all("carets", g_master, 9);
    set(0, ECHOCTL, 0);
    type("\001\n");
    show_all("as they are", g_master, 3);
    set(0, ECHO, ECHONL);
    type("hidden\n");
    show_all("newline only", g_master, 2);
    set(0, ECHOE | ECHOKE, ECHO | ECHOCTL | ECHOK);
    type("ab\177\n");
    show_all("erase key itself", g_master, 6);
    type("ab\025\n");
    show_all("kill key itself", g_master, 8);
    set(ICRNL, 0, 0);
    type("cr\r\n");
    show_all("cr", g_master, 6);
}

static void speeds(void)
{
    uint32_t two[11] = {0};
    struct termios t;

    fresh();
    CHECK(tcgetattr(g_slave, &t) == 0);
    SHOW(cfgetospeed(&t) == B38400);
    cfsetispeed(&t, B115200);
    cfsetospeed(&t, B115200);
    t.c_cflag = (t.c_cflag & ~(tcflag_t)CSIZE) | CS7 | PARENB;
    SHOW(tcsetattr(g_slave, TCSANOW, &t));
    CHECK(tcgetattr(g_slave, &t) == 0);
    printf("speed %d, 8 bits %d, parity %d\n", cfgetospeed(&t) == B115200,
           (t.c_cflag & CSIZE) == CS8, (t.c_cflag & PARENB) != 0);
    SHOW(ioctl(g_slave, TERMIOS2_GET, two));
    printf("%u %u\n", two[9], two[10]);
}

/* A change of modes that waits for the output: what was written before is as the old modes had it, however late it is read. */
static void changed_behind_output(void)
{
    struct termios t;

    fresh();
    CHECK(tcgetattr(g_slave, &t) == 0);
    CHECK(write(g_slave, "old\n", 4) == 4);
    t.c_oflag &= ~(tcflag_t)OPOST;
    t.c_lflag &= ~(tcflag_t)ECHO;
    SHOW(tcsetattr(g_slave, TCSADRAIN, &t));
    CHECK(write(g_slave, "new\n", 4) == 4);
    usleep(50000);
    show_all("slow reader", g_master, 9);
    type("typed before\n");
    SHOW(tcsetattr(g_slave, TCSADRAIN, &t));
    printf("input kept %d\n", soon(g_slave, POLLIN));
    SHOW(tcsetattr(g_slave, TCSAFLUSH, &t));
    printf("input gone %d\n", never(g_slave, POLLIN));
}

#define LINES 200

/* Takes lines and hands on their numbers until an end of file. */
static void read_lines(int numbers)
{
    char line[64];
    ssize_t n;

    while ((n = read(g_slave, line, sizeof(line) - 1)) > 0) {
        line[n] = '\0';
        int number = -1;
        CHECK(sscanf(line, "line %d\n", &number) == 1 && line[n - 1] == '\n');
        CHECK(write(numbers, &number, sizeof(number)) == sizeof(number));
    }
    _exit(n == 0 ? 0 : 1);
}

/* Each line is for one of two readers, and whole. */
static void two_readers(void)
{
    int numbers[2], number, count = 0, status;
    char text[32], seen[LINES] = {0};
    pid_t reader[2];

    fresh();
    set(0, ECHO, ICANON);
    CHECK(pipe(numbers) == 0);
    for (int i = 0; i < 2; i++) {
        reader[i] = fork();
        CHECK(reader[i] >= 0);
        if (reader[i] == 0)
            read_lines(numbers[1]);
    }
    for (int i = 0; i < LINES; i++) {
        snprintf(text, sizeof(text), "line %d\n", i);
        type(text);
        while (i >= count + 50 && read(numbers[0], &number, sizeof(number)) == sizeof(number)) {
            seen[number]++;
            count++;
        }
    }
    for (; count < LINES && read(numbers[0], &number, sizeof(number)) == sizeof(number); count++)
        seen[number]++;
    for (int i = 0; i < LINES; i++)
        if (seen[i] != 1)
            printf("line %d came %d times\n", i, seen[i]);
    type("\4");
    type("\4");
    for (int i = 0; i < 2; i++) {
        CHECK(waitpid(reader[i], &status, 0) == reader[i]);
        printf("reader ended %x\n", status);
    }
    close(numbers[0]);
    close(numbers[1]);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    signal(SIGTTOU, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    flow();
    packets();
    exclusive();
    typed();
    limits();
    timed();
    shown();
    speeds();
    changed_behind_output();
    two_readers();
    return 0;
}
