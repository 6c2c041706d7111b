/* Terminals that a privileged program hangs up: vhangup(2), TIOCVHANGUP. */
#include <fcntl.h>
#include <sys/syscall.h>

#include "tty.h"

static long hang_up(void)
{
    return syscall(SYS_vhangup);
}

static void show_dead(int fd)
{
    struct termios t;
    char c;
    pid_t pgid = getpgrp();

    printf("events %x\n", now(fd));
    SHOW(read(fd, &c, 1));
    SHOW(write(fd, "x", 1));
    SHOW(tcgetattr(fd, &t));
    SHOW(ioctl(fd, TIOCSPGRP, &pgid));
    SHOW(ioctl(fd, TIOCVHANGUP));
    SHOW(isatty(fd));
}

static void show_hang_up(int by_request)
{
    struct winsize size = {.ws_row = 7, .ws_col = 9};
    struct termios t;

    catch (SIGHUP);
    catch (SIGCONT);
    SHOW(ioctl(g_slave, TIOCSCTTY, 0));
    SHOW(ioctl(g_master, TIOCSWINSZ, &size));
    raw(1, 0);
    type("unread");
    soon(g_slave, POLLIN);
    if (by_request)
        SHOW(ioctl(g_slave, TIOCVHANGUP));
    else
        SHOW(hang_up());
    printf("hang-up %d continue %d\n", comes(SIGHUP), comes(SIGCONT));
    SHOW(has_tty());
    show_dead(g_slave);
    int again = open(g_name, O_RDWR | O_NOCTTY | O_NONBLOCK);
    SHOW(again >= 0);
    char c;
    SHOW(read(again, &c, 1));
    SHOW(tcgetattr(again, &t));
    printf("modes %x %x %x\n", t.c_iflag, t.c_oflag, t.c_lflag);
    SHOW(ioctl(again, TIOCGWINSZ, &size));
    printf("%d rows of %d\n", size.ws_row, size.ws_col);
    SHOW(write(again, "hello\n", 6));
    show_until("screen", g_master, '\n');
    close(g_slave);
    SHOW(write(again, "still\n", 6));
    show_until("screen", g_master, '\n');
    SHOW(ioctl(again, TIOCSCTTY, 0));
    SHOW(has_tty());
    close(again);
    printf("master %x\n", soon(g_master, POLLIN) & POLLHUP);
}

static void by_request(void)
{
    show_hang_up(1);
}

static void by_call(void)
{
    show_hang_up(0);
}

static void sleeper_is_woken(void)
{
    SHOW(ioctl(g_slave, TIOCSCTTY, 0));
    catch (SIGHUP);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        SHOW(read(g_slave, &c, 1));
        fflush(stdout);
        _exit(0);
    }
    until_asleep(pid, pid);
    SHOW(hang_up());
    CHECK(waitpid(pid, NULL, 0) == pid);
}

/* Signals come meanwhile. */
static void await(int fd)
{
    ssize_t got;
    char c;

    while ((got = read(fd, &c, 1)) < 0 && errno == EINTR)
        ;
    CHECK(got == 1);
}

static void foreground(int ready, int gone)
{
    catch (SIGHUP);
    catch (SIGCONT);
    CHECK(write(ready, "r", 1) == 1);
    await(gone); /* it hung up */
    printf("heard of it %d\n", g_seen[SIGHUP]);
    CHECK(write(ready, "r", 1) == 1);
    await(gone); /* the leader was waited for */
    printf("hang-up %d continue %d\n", comes(SIGHUP), comes(SIGCONT));
    SHOW(has_tty());
    fflush(stdout);
}

static int g_ready[2], g_told[2], g_gone[2];

static void leads(void)
{
    catch (SIGHUP);
    CHECK(ioctl(g_slave, TIOCSCTTY, 0) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(setpgid(0, 0) == 0);
        foreground(g_ready[1], g_gone[0]);
        _exit(0);
    }
    await(g_ready[0]);
    CHECK(tcsetpgrp(g_slave, pid) == 0);
    SHOW(hang_up());
    printf("leader hang-up %d\n", comes(SIGHUP));
    fflush(stdout);
    CHECK(write(g_gone[1], "h", 1) == 1);
    await(g_ready[0]);
}

static void the_foreground_hears_of_it_later(void)
{
    CHECK(pipe(g_ready) == 0 && pipe(g_told) == 0 && pipe(g_gone) == 0);
    session("leader", leads);
    close(g_told[1]); /* ends with the last of them */
    CHECK(write(g_gone[1], "g", 1) == 1);
    char c;
    SHOW(read(g_told[0], &c, 1));
}

static void those_who_may_not(void)
{
    SHOW(ioctl(g_slave, TIOCSCTTY, 0));
    CHECK(setuid(65534) == 0);
    SHOW(hang_up());
    SHOW(ioctl(g_slave, TIOCVHANGUP));
    SHOW(isatty(g_slave));
}

static void no_terminal(void)
{
    SHOW(has_tty());
    SHOW(hang_up());
    SHOW(isatty(g_slave));
}

int main(void)
{
    session("by request", by_request);
    session("by call", by_call);
    session("sleeper is woken", sleeper_is_woken);
    printf("-- the foreground hears of it later\n");
    the_foreground_hears_of_it_later();
    session("those who may not", those_who_may_not);
    session("no terminal", no_terminal);
    return 0;
}
