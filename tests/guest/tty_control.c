/* Whose terminal it becomes and stays, what the background may do, which keys signal whom. */
#include <sys/resource.h>

#include "tty.h"

/* In a group of its own, in the background of this session. */
static int in_background(void (*run)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(setpgid(0, 0) == 0);
        run();
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, WUNTRACED) == pid);
    if (WIFSTOPPED(status)) {
        int sig = WSTOPSIG(status);
        CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
        return sig;
    }
    return status ? -status : 0;
}

/* The same, with nobody left in the session who could continue it. */
static void (*g_orphan)(void);
static void make_orphan(void)
{
    int gate[2];
    CHECK(pipe(gate) == 0);
    if (fork() == 0) {
        char c;
        CHECK(setpgid(0, 0) == 0);
        close(gate[1]);
        CHECK(read(gate[0], &c, 1) == 0); /* its parent is gone */
        g_orphan();
        _exit(0);
    }
}

static void orphaned(void (*run)(void))
{
    int end[2];
    char c;

    CHECK(pipe(end) == 0);
    g_orphan = run;
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        make_orphan();
        _exit(0);
    }
    close(end[1]);
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(read(end[0], &c, 1) == 0); /* the orphan has ended, too */
    close(end[0]);
}

/* ---- whose terminal it is ----------------------------------------------------------------------------------------- */

static void open_as_member(void)
{
    int fd = open(g_name, O_RDWR);
    printf("a member opens it: %d, has one %d\n", fd >= 0, has_tty());
}

static void an_open_takes_it(void)
{
    SHOW(has_tty());
    SHOW(tcgetsid(g_slave));
    close(open(g_name, O_RDWR | O_NOCTTY));
    SHOW(has_tty());
    in_child(open_as_member);
    SHOW(has_tty());
    close(open(g_name, O_WRONLY)); /* who may only write gets no terminal to read from */
    SHOW(has_tty());
    close(open(g_name, O_RDONLY));
    SHOW(has_tty());
    SHOW(tcgetsid(g_slave) == getsid(0));
    SHOW(tcgetpgrp(g_slave) == getpgrp());
    SHOW(tcgetsid(g_master) == getsid(0));
}

static void the_first_stays(void)
{
    int master, slave;
    char name[sizeof(g_name)];

    SHOW(ioctl(g_slave, TIOCSCTTY, 0));
    SHOW(ioctl(g_slave, TIOCSCTTY, 0));
    fresh(&master, &slave, name);
    close(open(name, O_RDWR));
    SHOW(tcgetsid(slave));
    SHOW(ioctl(slave, TIOCSCTTY, 0));
    SHOW(ioctl(slave, TIOCSCTTY, 1));
    SHOW(tcgetpgrp(slave));
    SHOW(tcsetpgrp(slave, getpgrp()));
    SHOW(ioctl(slave, TIOCNOTTY));
    SHOW(has_tty());
}

static void by_member(void)
{
    SHOW(ioctl(g_slave, TIOCSCTTY, 0));
    SHOW(ioctl(g_slave, TIOCSCTTY, 1));
}

static void by_another_session(void)
{
    CHECK(setsid() == getpid());
    SHOW(ioctl(g_slave, TIOCSCTTY, 0));
    SHOW(tcgetsid(g_slave));
    SHOW(tcgetpgrp(g_slave));
    if (getuid() == 0) { /* by force */
        SHOW(ioctl(g_slave, TIOCSCTTY, 1));
        SHOW(has_tty());
        SHOW(tcgetsid(g_slave) == getpid());
    }
}

static void others_do_not_get_it(void)
{
    in_child(by_member);
    SHOW(ioctl(g_slave, TIOCSCTTY, 0));
    in_child(by_another_session);
    if (getuid() == 0) {
        SHOW(has_tty());
        SHOW(tcgetsid(g_slave));
    }
}

static void member_without(void)
{
    SHOW(has_tty());
    SHOW(ioctl(g_slave, TIOCNOTTY));
    SHOW(has_tty());
    SHOW(tcgetsid(g_slave));
    SHOW(ioctl(g_slave, TIOCNOTTY));
}

static void it_is_given_up(void)
{
    catch (SIGHUP);
    catch (SIGCONT);
    SHOW(ioctl(g_slave, TIOCNOTTY));
    SHOW(ioctl(g_slave, TIOCSCTTY, 0));
    in_child(member_without);
    SHOW(has_tty());
    SHOW(g_seen[SIGHUP]);
    SHOW(ioctl(g_slave, TIOCNOTTY));
    printf("hang-up %d continue %d\n", comes(SIGHUP), comes(SIGCONT));
    SHOW(has_tty());
    SHOW(write(g_slave, "still\n", 6));
    show_until("open", g_master, '\n');
    SHOW(ioctl(g_slave, TIOCSCTTY, 0));
    SHOW(tcgetpgrp(g_slave) == getpgrp());
}

static void survive_the_leader(int ready, int gone)
{
    char c;

    catch (SIGHUP);
    catch (SIGCONT);
    CHECK(write(ready, "r", 1) == 1);
    printf("hang-up %d\n", comes(SIGHUP));
    CHECK(read(gone, &c, 1) == 1); /* it was waited for */
    SHOW(g_seen[SIGCONT]);
    SHOW(has_tty());
    SHOW(tcgetsid(g_slave));
    SHOW(write(g_slave, "alive\n", 6));
    show_until("still open", g_master, '\n');
    type("typed\n");
    show_read("read", g_slave);
}

static void the_leader_ends(void)
{
    int ready[2], gone[2], end[2], status;
    char c;

    CHECK(pipe(ready) == 0 && pipe(gone) == 0 && pipe(end) == 0);
    set(0, 0, 0, ECHO);
    pid_t leader = fork();
    CHECK(leader >= 0);
    if (leader == 0) {
        CHECK(setsid() == getpid() && ioctl(g_slave, TIOCSCTTY, 0) == 0);
        if (fork() == 0) {
            survive_the_leader(ready[1], gone[0]);
            _exit(0);
        }
        CHECK(read(ready[0], &c, 1) == 1);
        _exit(0);
    }
    close(end[1]);
    CHECK(waitpid(leader, &status, 0) == leader);
    CHECK(write(gone[1], "g", 1) == 1);
    CHECK(read(end[0], &c, 1) == 0);
    SHOW(ioctl(g_slave, TIOCSCTTY, 0)); /* free again */
    SHOW(has_tty());
}

/* ---- foreground and background ------------------------------------------------------------------------------------ */

static void read_one(void)
{
    char c;
    SHOW(read(g_slave, &c, 1));
}

static void read_ignoring(void)
{
    signal(SIGTTIN, SIG_IGN);
    read_one();
}

static void block(int sig)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, sig);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
}

static void read_blocking(void)
{
    block(SIGTTIN);
    read_one();
}

static void read_catching(void)
{
    catch (SIGTTIN);
    read_one();
    SHOW(g_seen[SIGTTIN]);
}

static void the_background_reads(void)
{
    type("waiting\n");
    in_background(read_one);
    SHOW(ioctl(g_slave, TIOCSCTTY, 0));
    SHOW(in_background(read_one));
    SHOW(in_background(read_ignoring));
    SHOW(in_background(read_blocking));
    SHOW(in_background(read_catching));
    orphaned(read_one);
}

static void write_one(void)
{
    SHOW(write(g_slave, "w", 1));
}

static void write_ignoring(void)
{
    signal(SIGTTOU, SIG_IGN);
    write_one();
}

static void write_blocking(void)
{
    block(SIGTTOU);
    write_one();
}

static void the_background_writes(void)
{
    CHECK(ioctl(g_slave, TIOCSCTTY, 0) == 0);
    SHOW(in_background(write_one));
    set(0, 0, TOSTOP, ECHO);
    SHOW(in_background(write_one));
    SHOW(in_background(write_ignoring));
    SHOW(in_background(write_blocking));
    orphaned(write_one);
    SHOW(write(g_slave, ".", 1));
    show_until("written", g_master, '.');
}

static void change(void)
{
    struct termios t;

    SHOW(tcgetattr(g_slave, &t));
    SHOW(tcsetattr(g_slave, TCSANOW, &t));
}

static void change_ignoring(void)
{
    signal(SIGTTOU, SIG_IGN);
    change();
}

static void flush(void)
{
    SHOW(tcflush(g_slave, TCIFLUSH));
}

static void resize(void)
{
    struct winsize size = {7, 9, 0, 0};
    SHOW(ioctl(g_slave, TIOCSWINSZ, &size));
}

static void drain(void)
{
    SHOW(tcdrain(g_slave));
}

static void take_it(void)
{
    SHOW(tcsetpgrp(g_slave, getpgrp()));
}

static void the_background_changes(void)
{
    CHECK(ioctl(g_slave, TIOCSCTTY, 0) == 0);
    SHOW(in_background(change));
    SHOW(in_background(change_ignoring));
    SHOW(in_background(flush));
    SHOW(in_background(resize));
    SHOW(in_background(drain));
    SHOW(in_background(take_it));
    orphaned(change);
    orphaned(take_it);
}

static void groups_that_may_have_it(void)
{
    int status;
    pid_t other = fork();

    CHECK(other >= 0);
    if (other == 0) {
        CHECK(setsid() == getpid());
        pause();
    }
    SHOW(tcsetpgrp(g_slave, getpgrp()));
    CHECK(ioctl(g_slave, TIOCSCTTY, 0) == 0);
    while (getsid(other) != other)
        usleep(1000);
    SHOW(tcsetpgrp(g_slave, other));
    CHECK(kill(other, SIGKILL) == 0 && waitpid(other, &status, 0) == other);
    SHOW(tcsetpgrp(g_slave, other));
    SHOW(tcsetpgrp(g_slave, -5));
    SHOW(tcsetpgrp(g_master, getpgrp()));
    SHOW(tcgetpgrp(g_master) == getpgrp());
    SHOW(ioctl(g_slave, TIOCGPGRP, (void *)8));
    SHOW(ioctl(g_slave, TIOCSPGRP, (void *)8));
}

/* ---- keys and signals --------------------------------------------------------------------------------------------- */

static void keys_without_signals(void)
{
    CHECK(ioctl(g_slave, TIOCSCTTY, 0) == 0);
    catch (SIGINT);
    set(0, 0, 0, ISIG | ECHO);
    type("a\003\034\032b\n");
    show_read("as they are", g_slave);
    set(0, 0, ISIG, 0);
    key(VINTR, _POSIX_VDISABLE);
    type("a\003b\n");
    show_read("no such key", g_slave);
    key(VINTR, 'q');
    type("a\003q");
    printf("by another key %d\n", comes(SIGINT));
    type("kept\n");
    show_read("flushed", g_slave);
    set(0, 0, NOFLSH, 0);
    type("keptq");
    printf("again %d\n", comes(SIGINT));
    type(" all\n");
    show_read("not flushed", g_slave);
}

static void wait_for_a_key(void)
{
    CHECK(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) == 0);
    CHECK(tcsetpgrp(g_slave, getpgrp()) == 0);
    CHECK(write(g_slave, "!", 1) == 1);
    pause();
}

static void keys_stop_the_foreground(void)
{
    int status;

    signal(SIGTTOU, SIG_IGN);
    CHECK(ioctl(g_slave, TIOCSCTTY, 0) == 0);
    set(0, 0, 0, ECHO);
    for (const char *keys = "\032\034\003"; *keys; keys++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            CHECK(setpgid(0, 0) == 0);
            wait_for_a_key();
            _exit(0);
        }
        show_until("ready", g_master, '!');
        CHECK(write(g_master, keys, 1) == 1);
        CHECK(waitpid(pid, &status, WUNTRACED) == pid);
        printf("stopped %d, ended %d by %d\n", WIFSTOPPED(status), WIFSIGNALED(status),
               WIFSTOPPED(status) ? WSTOPSIG(status) : WTERMSIG(status));
        if (WIFSTOPPED(status))
            CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
    }
    SHOW(tcsetpgrp(g_slave, getpgrp()));
}

static void windows(void)
{
    struct winsize size = {10, 20, 30, 40};

    CHECK(ioctl(g_slave, TIOCSCTTY, 0) == 0);
    catch (SIGWINCH);
    SHOW(ioctl(g_master, TIOCSWINSZ, &size));
    printf("changed %d\n", comes(SIGWINCH));
    SHOW(ioctl(g_master, TIOCSWINSZ, &size));
    SHOW(ioctl(g_slave, TIOCSWINSZ, &size));
    printf("the same %d\n", (int)g_seen[SIGWINCH]);
    size.ws_xpixel++;
    SHOW(ioctl(g_slave, TIOCSWINSZ, &size));
    printf("a pixel %d\n", comes(SIGWINCH));
    SHOW(ioctl(g_master, TIOCGWINSZ, &size));
    printf("%d %d %d %d\n", size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel);
    SHOW(ioctl(g_slave, TIOCSWINSZ, (void *)8));
}

static void the_master_signals(void)
{
    CHECK(ioctl(g_slave, TIOCSCTTY, 0) == 0);
    catch (SIGINT);
    catch (SIGUSR1);
    SHOW(ioctl(g_master, TIOCSIG, SIGINT));
    printf("came %d\n", comes(SIGINT));
    SHOW(ioctl(g_master, TIOCSIG, SIGUSR1));
    SHOW(ioctl(g_master, TIOCSIG, 0));
    SHOW(ioctl(g_master, TIOCSIG, 99));
    SHOW(ioctl(g_slave, TIOCSIG, SIGINT));
}

static void run(void)
{
    session("an open takes it", an_open_takes_it);
    session("the first stays", the_first_stays);
    session("others do not get it", others_do_not_get_it);
    session("it is given up", it_is_given_up);
    session("the leader ends", the_leader_ends);
    session("the background reads", the_background_reads);
    session("the background writes", the_background_writes);
    session("the background changes", the_background_changes);
    session("groups that may have it", groups_that_may_have_it);
    session("keys without signals", keys_without_signals);
    session("keys stop the foreground", keys_stop_the_foreground);
    session("windows", windows);
    session("the master signals", the_master_signals);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    signal(SIGHUP, SIG_IGN);
    run();
    return 0;
}
