/* Requests to terminals that few programs know: struct termio, locked modes, the carrier flag, breaks, and those that a pseudo-terminal refuses. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>

#include "tty.h"

/* <asm/termbits.h> and <termios.h> do not go together. */
struct old_style {
    unsigned short iflag, oflag, cflag, lflag;
    unsigned char line, keys[8];
};
struct kernel_termios {
    uint32_t iflag, oflag, cflag, lflag;
    unsigned char line, keys[19];
};

static void show_old_style(const char *what, int fd)
{
    struct old_style t;

    memset(&t, 0xee, sizeof(t));
    SHOW(ioctl(fd, TCGETA, &t));
    printf("%s: %o %o %o %o line %d keys", what, t.iflag, t.oflag, t.cflag, t.lflag, t.line);
    for (int i = 0; i < 8; i++)
        printf(" %d", t.keys[i]);
    printf("\n");
}

static void show_modes(const char *what)
{
    struct kernel_termios t;

    CHECK(ioctl(g_slave, TCGETS, &t) == 0);
    printf("%s: %o %o %o %o line %d keys", what, t.iflag, t.oflag, t.cflag, t.lflag, t.line);
    for (int i = 0; i < 19; i++)
        printf(" %d", t.keys[i]);
    printf("\n");
}

static void old_style(void)
{
    struct old_style t;
    struct termios modes;
    int there = -1;

    show_old_style("slave", g_slave);
    show_old_style("master", g_master);
    CHECK(ioctl(g_slave, TCGETA, &t) == 0);
    t.iflag = 0xffff & (unsigned short)~IXON;
    t.oflag = 0;
    t.cflag = CS5 | PARENB | CLOCAL;
    t.lflag = 0xffff & (unsigned short)~(ECHO | ICANON);
    t.line = 7;
    for (int i = 0; i < 8; i++)
        t.keys[i] = (unsigned char)(i + 1);
    SHOW(ioctl(g_slave, TCSETA, &t));
    show_modes("set");
    show_old_style("set", g_master);
    /* The upper halves stay. */
    CHECK(tcgetattr(g_slave, &modes) == 0);
    modes.c_lflag |= IEXTEN | EXTPROC;
    modes.c_cflag |= CMSPAR;
    CHECK(tcsetattr(g_slave, TCSANOW, &modes) == 0);
    memset(&t, 0, sizeof(t));
    t.keys[VMIN] = 1;
    SHOW(ioctl(g_master, TCSETAW, &t));
    show_modes("by the master");
    type("lost");
    CHECK(soon(g_slave, POLLIN));
    SHOW(ioctl(g_slave, TCSETA, &t));
    SHOW(ioctl(g_slave, FIONREAD, &there));
    printf("%d\n", there);
    SHOW(ioctl(g_slave, TCSETAF, &t));
    SHOW(ioctl(g_slave, FIONREAD, &there));
    printf("%d\n", there);
    SHOW(ioctl(g_slave, TCGETA, NULL));
    SHOW(ioctl(g_slave, TCSETA, NULL));
    SHOW(ioctl(g_slave, TCSETAW, (void *)8));
    SHOW(ioctl(g_slave, TCSETAF, (void *)-8));
}

static void become_somebody(void)
{
    if (geteuid() == 0)
        CHECK(setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0);
}

static void lock_as_somebody(void)
{
    struct kernel_termios locked = {.iflag = 1};

    become_somebody();
    SHOW(ioctl(g_slave, TIOCSLCKTRMIOS, &locked));
    SHOW(ioctl(g_slave, TIOCSLCKTRMIOS, NULL));
    SHOW(ioctl(g_slave, TIOCGLCKTRMIOS, &locked));
    printf("%o\n", locked.iflag);
    SHOW(ioctl(g_slave, TIOCVHANGUP));
}

/* Needs a capability, which root has in a guest but not in every container: says nothing but what is wrong. */
static void lock_as_root(void)
{
    struct kernel_termios locked = {.iflag = ICRNL, .lflag = ECHO | ISIG, .keys = {[VINTR] = 9}};
    struct kernel_termios seen, t;
    int other;

    if (ioctl(g_slave, TIOCSLCKTRMIOS, &locked) < 0) {
        CHECK(errno == EPERM);
        return;
    }
    CHECK(ioctl(g_slave, TIOCSLCKTRMIOS, NULL) < 0 && errno == EFAULT);
    CHECK(ioctl(g_master, TIOCGLCKTRMIOS, &seen) == 0);
    CHECK(memcmp(&seen, &locked, sizeof(seen)) == 0);
    CHECK(ioctl(g_slave, TCGETS, &t) == 0);
    t.iflag ^= ICRNL | INLCR;
    t.lflag ^= ECHO | ISIG | ICANON;
    t.keys[VINTR] ^= 1;
    t.keys[VQUIT] ^= 1;
    CHECK(ioctl(g_slave, TCSETSW, &t) == 0);
    CHECK(ioctl(g_master, TCGETS, &seen) == 0);
    CHECK(seen.iflag == (t.iflag ^ ICRNL) && seen.lflag == (t.lflag ^ (ECHO | ISIG)));
    CHECK(seen.keys[VINTR] == (t.keys[VINTR] ^ 1) && seen.keys[VQUIT] == t.keys[VQUIT]);
    /* It ends with the terminal, and no other has it. */
    CHECK((other = posix_openpt(O_RDWR | O_NOCTTY)) >= 0);
    CHECK(ioctl(other, TIOCGLCKTRMIOS, &seen) == 0);
    CHECK(seen.iflag == 0 && seen.lflag == 0 && seen.keys[VINTR] == 0);
    close(other);
    memset(&locked, 0, sizeof(locked));
    CHECK(ioctl(g_master, TIOCSLCKTRMIOS, &locked) == 0);
    CHECK(ioctl(g_slave, TCSETS, &t) == 0);
    CHECK(ioctl(g_slave, TCGETS, &seen) == 0 && seen.lflag == t.lflag && seen.iflag == t.iflag);
}

static void locked_modes(void)
{
    struct kernel_termios locked;

    memset(&locked, 0xee, sizeof(locked));
    SHOW(ioctl(g_slave, TIOCGLCKTRMIOS, &locked));
    printf("%o %o %o %o %d %d\n", locked.iflag, locked.oflag, locked.cflag, locked.lflag,
           locked.line, locked.keys[3]);
    SHOW(ioctl(g_slave, TIOCGLCKTRMIOS, NULL));
    CHECK(in_child(lock_as_somebody) == 0);
    CHECK(in_child(lock_as_root) == 0);
}

static void carrier(void)
{
    int on = -1;

    SHOW(ioctl(g_slave, TIOCGSOFTCAR, &on));
    printf("%d\n", on);
    on = 5;
    SHOW(ioctl(g_master, TIOCSSOFTCAR, &on));
    show_modes("carrier");
    SHOW(ioctl(g_slave, TIOCGSOFTCAR, &on));
    printf("%d\n", on);
    on = 0;
    SHOW(ioctl(g_slave, TIOCSSOFTCAR, &on));
    SHOW(ioctl(g_master, TIOCGSOFTCAR, &on));
    printf("%d\n", on);
    SHOW(ioctl(g_slave, TIOCSSOFTCAR, NULL));
    SHOW(ioctl(g_slave, TIOCGSOFTCAR, NULL));
    SHOW(tcsendbreak(g_slave, 0));
    SHOW(ioctl(g_slave, TIOCSBRK));
    SHOW(ioctl(g_slave, TIOCCBRK));
    SHOW(ioctl(g_master, TIOCSBRK));
    SHOW(ioctl(g_slave, TCSBRKP, 1));
}

/* What only a serial line, a console or a master has. */
static void refused(void)
{
    int number = 0;
    char data[256] = {0};

    SHOW(ioctl(g_slave, TIOCMGET, &number));
    SHOW(ioctl(g_slave, TIOCMSET, &number));
    SHOW(ioctl(g_slave, TIOCMBIS, &number));
    SHOW(ioctl(g_slave, TIOCMIWAIT, 1));
    SHOW(ioctl(g_slave, TIOCGSERIAL, data));
    SHOW(ioctl(g_slave, TIOCGICOUNT, data));
    SHOW(ioctl(g_slave, TIOCGRS485, data));
    SHOW(ioctl(g_slave, 0x5432 /* TCGETX */, data));
    SHOW(ioctl(g_slave, TIOCPKT, &number));
    SHOW(ioctl(g_slave, TIOCGPTN, &number));
    SHOW(ioctl(g_slave, TIOCSPTLCK, &number));
    SHOW(ioctl(g_slave, TIOCGPKT, &number));
    SHOW(ioctl(g_slave, FIOQSIZE, data));
    SHOW(ioctl(g_slave, 0x4b44 /* KDGKBMODE */, &number));
    SHOW(ioctl(g_master, TIOCMGET, &number));
    number = 99;
    SHOW(ioctl(g_slave, TIOCSETD, &number));
    SHOW(ioctl(g_slave, TIOCSETD, NULL));
    number = 0;
    SHOW(ioctl(g_slave, TIOCSETD, &number));
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    signal(SIGHUP, SIG_IGN);
    session("old style", old_style);
    session("locked modes", locked_modes);
    session("carrier", carrier);
    session("refused", refused);
    return 0;
}
