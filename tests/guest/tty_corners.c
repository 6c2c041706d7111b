/* What a terminal makes of what is typed and written, when a read has enough, what is left when an end goes. */
#include "tty.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

static void ends_of_lines(void)
{
    set(0, 0, 0, ECHO);
    key(VEOL, ';');
    key(VEOL2, '|');
    type("a;b|c\n\004d\004e\n");
    show_read("by VEOL", g_slave);
    show_read("by VEOL2", g_slave);
    show_read("by newline", g_slave);
    show_read("by VEOF, empty", g_slave);
    show_read("by VEOF", g_slave);
    show_read("last", g_slave);
    set(0, 0, 0, IEXTEN);
    type("a b\027|\026\n");
    show_read("without IEXTEN", g_slave);
    set(0, 0, IEXTEN, 0);
    type("\026\004\026\026\n");
    show_read("quoted", g_slave);
}

static void type_mapped(tcflag_t iflag, const char *keys, const char *name)
{
    struct termios t;

    CHECK(tcgetattr(g_slave, &t) == 0);
    t.c_iflag = iflag;
    CHECK(tcsetattr(g_slave, TCSANOW, &t) == 0);
    type(keys);
    show_read(name, g_slave);
}

static void what_is_typed_is_mapped(void)
{
    set(0, 0, 0, ECHO);
    type_mapped(INLCR, "a\nb\004", "INLCR");
    type_mapped(IGNCR, "a\rb\n", "IGNCR");
    type_mapped(ISTRIP, "\341\342\n", "ISTRIP");
    type_mapped(IUCLC, "AbC\n", "IUCLC");
    type_mapped(PARMRK, "\377\376\n", "PARMRK");
    type_mapped(0, "\r\n", "nothing");
}

static void what_is_written_is_mapped(void)
{
    static const struct {
        const char *name;
        tcflag_t oflag;
    } ways[] = {
        {"none", 0},
        {"OPOST", OPOST},
        {"ONLCR", OPOST | ONLCR},
        {"OCRNL", OPOST | OCRNL},
        {"ONOCR", OPOST | ONOCR},
        {"ONLRET", OPOST | ONLRET | ONOCR},
        {"OLCUC", OPOST | OLCUC},
        {"XTABS", OPOST | TAB3},
        {"without OPOST", ONLCR | OLCUC},
    };

    set(0, 0, 0, ECHO);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        set(0, ways[i].oflag, 0, 0);
        CHECK(write(g_slave, "\r\rab\tc\nd\r\b\n.", 12) == 12);
        show_until(ways[i].name, g_master, '.');
        set(0, OPOST | ONLCR, 0, 0);
        CHECK(write(g_slave, "\n.", 2) == 2); /* to the first column */
        show_until("next", g_master, '.');
    }
}

static void minimum_and_time(void)
{
    char data[8];

    raw(0, 0);
    SHOW(read(g_slave, data, 8));
    type("abcdef");
    soon(g_slave, POLLIN);
    SHOW(read(g_slave, data, 0));
    SHOW(read(g_slave, data, 4) > 0);
    SHOW(tcflush(g_slave, TCIFLUSH));
    raw(0, 2);
    SHOW(read(g_slave, data, 8));
    raw(200, 0);
    type("xy");
    SHOW(read(g_slave, data, 2)); /* full before the minimum */
    CHECK(fcntl(g_slave, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
    SHOW(read(g_slave, data, 8));
    raw(1, 0);
    SHOW(read(g_slave, data, 8));
    raw(0, 0);
    SHOW(read(g_slave, data, 8));
    raw(0, 50);
    SHOW(read(g_slave, data, 8));
    SHOW(read(g_master, data, 0));
}

static void how_many_wait(void)
{
    int count = -1;

    set(0, 0, 0, ECHO);
    type("ab\ncd\nef");
    soon(g_slave, POLLIN);
    while (ioctl(g_slave, FIONREAD, &count) == 0 && count < 6)
        usleep(1000);
    printf("lines %d\n", count);
    raw(1, 0);
    do
        usleep(1000);
    while (ioctl(g_slave, FIONREAD, &count) == 0 && count < 8);
    printf("bytes %d\n", count);
    CHECK(write(g_slave, "12345", 5) == 5);
    soon(g_master, POLLIN);
    SHOW(ioctl(g_master, FIONREAD, &count));
    printf("of the master %d\n", count);
    SHOW(ioctl(g_slave, FIONREAD, (void *)8));
}

static void changes_and_what_is_unread(void)
{
    struct termios t;

    set(0, 0, 0, ECHO);
    CHECK(tcgetattr(g_slave, &t) == 0);
    type("one\n");
    soon(g_slave, POLLIN);
    SHOW(tcsetattr(g_slave, TCSADRAIN, &t));
    SHOW(now(g_slave) & POLLIN);
    SHOW(tcsetattr(g_slave, TCSAFLUSH, &t));
    SHOW(now(g_slave) & POLLIN);
    SHOW(tcsetattr(g_slave, 77, &t));
    SHOW(tcflush(g_slave, 77));
    SHOW(tcflow(g_slave, 77));
    SHOW(ioctl(g_slave, TCGETS, (void *)8));
    SHOW(ioctl(g_slave, TCSETS, (void *)8));
    SHOW(tcgetattr(g_master, &t));
    SHOW((t.c_lflag & ECHO) == 0);
    t.c_lflag |= ECHO;
    SHOW(tcsetattr(g_master, TCSANOW, &t));
    SHOW(tcgetattr(g_slave, &t));
    SHOW((t.c_lflag & ECHO) != 0);
}

static void packets_bring_state(void)
{
    int on = 1, value = -1;
    char data[16];

    set(0, 0, 0, ECHO);
    SHOW(ioctl(g_slave, TIOCPKT, &on));
    SHOW(ioctl(g_slave, TIOCGPKT, &value));
    SHOW(ioctl(g_master, TIOCPKT, &on));
    CHECK(write(g_slave, "abc", 3) == 3);
    soon(g_master, POLLIN);
    show_bytes("two of three", data, read(g_master, data, 3));
    show_bytes("the third", data, read(g_master, data, 3));
    CHECK(write(g_slave, "data", 4) == 4);
    soon(g_master, POLLIN);
    SHOW(tcflow(g_slave, TCOOFF));
    SHOW(tcflow(g_slave, TCOON));
    SHOW(now(g_master) & (POLLIN | POLLPRI));
    show_bytes("state first", data, read(g_master, data, 8));
    show_bytes("then data", data, read(g_master, data, 8));
    SHOW(ioctl(g_master, TIOCPKT, (void *)8));
}

/* ---- the ends ----------------------------------------------------------------------------------------------------- */

static void the_master_goes(void)
{
    struct termios t;
    int on = 1;
    char c;

    CHECK(ioctl(g_slave, TIOCSCTTY, 0) == 0);
    catch (SIGHUP);
    catch (SIGCONT);
    int tty = open("/dev/tty", O_RDWR);
    CHECK(tty >= 0);
    CHECK(write(g_slave, "unread", 6) == 6);
    close(g_master);
    printf("hang-up %d continue %d\n", comes(SIGHUP), comes(SIGCONT));
    SHOW(now(g_slave));
    SHOW(read(g_slave, &c, 1));
    SHOW(write(g_slave, &c, 1));
    SHOW(write(tty, &c, 1));
    SHOW(tcgetattr(g_slave, &t));
    SHOW(ioctl(g_slave, FIONREAD, &on));
    SHOW(ioctl(g_slave, TIOCSCTTY, 0));
    SHOW(fcntl(g_slave, F_GETFL) & O_ACCMODE);
    SHOW(ioctl(g_slave, FIONBIO, &on));
    SHOW(isatty(g_slave));
    SHOW(has_tty());
}

static void the_slave_goes(void)
{
    char data[16];
    int fd = dup(g_slave);

    set(0, OPOST, 0, ECHO);
    CHECK(write(g_slave, "last\n", 5) == 5);
    close(g_slave);
    SHOW(now(g_master) & (POLLHUP | POLLOUT));
    close(fd);
    SHOW(soon(g_master, POLLIN) & (POLLHUP | POLLIN));
    show_bytes("left behind", data, read(g_master, data, sizeof(data)));
    show_bytes("then", data, read(g_master, data, sizeof(data)));
    SHOW(write(g_master, "for the next\n", 13) > 0);
    g_slave = open(g_name, O_RDWR | O_NOCTTY);
    SHOW(g_slave >= 0);
    SHOW(now(g_master) & POLLHUP);
    CHECK(write(g_slave, "back.", 5) == 5);
    show_until("answer", g_master, '.');
    show_read("typed before", g_slave);
}

static void locks_and_names(void)
{
    int number = -1, lock = -1, on = 1;
    int m = open("/dev/ptmx", O_RDWR | O_NOCTTY);

    CHECK(m >= 0);
    SHOW(ioctl(m, TIOCGPTLCK, &lock));
    printf("locked %d\n", lock);
    SHOW(ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY) >= 0);
    SHOW(ioctl(m, TIOCSPTLCK, &(int){0}));
    SHOW(ioctl(m, TIOCGPTN, &number));
    SHOW(number >= 0);
    SHOW(ioctl(g_slave, TIOCGPTN, &number));
    SHOW(ioctl(g_slave, TIOCSPTLCK, &on));
    SHOW(ioctl(g_slave, TIOCGPTPEER, O_RDWR));
    SHOW(ioctl(m, TIOCSPTLCK, &on));
    SHOW(ioctl(m, TIOCSPTLCK, (void *)8));
    SHOW(lseek(g_slave, 0, SEEK_CUR));
    SHOW(pread(g_slave, &on, 1, 0));
    SHOW(ftruncate(g_slave, 0));
    close(m);
}

static void run(void)
{
    session("ends of lines", ends_of_lines);
    session("what is typed is mapped", what_is_typed_is_mapped);
    session("what is written is mapped", what_is_written_is_mapped);
    session("minimum and time", minimum_and_time);
    session("how many wait", how_many_wait);
    session("changes and what is unread", changes_and_what_is_unread);
    session("packets bring state", packets_bring_state);
    session("the master goes", the_master_goes);
    session("the slave goes", the_slave_goes);
    session("locks and names", locks_and_names);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    signal(SIGHUP, SIG_IGN);
    run();
    return 0;
}
