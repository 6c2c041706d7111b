/* SIGIO and F_SETSIG's signal: which event of which file sends it, to whom, and what it says. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "show.h"

#define TOLD 40 /* a real-time signal of both C libraries' programs */

static char g_buffer[65536];

static const char *code_name(int code)
{
    static const char *const names[] = {"", "IN", "OUT", "MSG", "ERR", "PRI", "HUP"};
    if (code == SI_KERNEL)
        return "SI_KERNEL";
    return code > 0 && code < 7 ? names[code] : "another";
}

/* The next signal of the two, blocked in all tests. */
static int take(siginfo_t *info, long seconds)
{
    struct timespec limit = {.tv_sec = seconds};
    sigset_t set;
    int sig;
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigaddset(&set, TOLD);
    do
        sig = sigtimedwait(&set, info, &limit);
    while (sig < 0 && errno == EINTR);
    return sig;
}

static void show(const char *what, const siginfo_t *info, int fd)
{
    printf("%s: %s %s", what, info->si_signo == TOLD ? "told" : "SIGIO", code_name(info->si_code));
    if (info->si_code != SI_KERNEL)
        printf(" band %lx fd %s", (long)info->si_band, info->si_fd == fd ? "as set" : "another");
    printf("\n");
}

/* One signal has come or will. */
static void one(const char *what, int fd)
{
    siginfo_t info;
    if (take(&info, 60) < 0)
        printf("%s: nothing came\n", what);
    else
        show(what, &info, fd);
}

/* All there are now, where they come before the call returns. */
static void all(const char *what, int fd)
{
    siginfo_t info;
    int n = 0;
    for (; take(&info, 0) > 0; n++)
        show(what, &info, fd);
    if (!n)
        printf("%s: none\n", what);
}

static void forget(void)
{
    siginfo_t info;
    while (take(&info, 0) > 0)
        ;
}

static void watch(int fd)
{
    CHECK(fcntl(fd, F_SETOWN, getpid()) == 0 && fcntl(fd, F_SETSIG, TOLD) == 0);
    CHECK(fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK) == 0);
}

static void pipes(void)
{
    int p[2];
    CHECK(pipe(p) == 0);
    watch(p[0]);
    CHECK(write(p[1], "ab", 2) == 2);
    all("write", p[0]);
    CHECK(write(p[1], "c", 1) == 1);
    all("second write", p[0]);
    CHECK(read(p[0], g_buffer, 10) == 3);
    all("own read", p[0]);
    CHECK(fcntl(p[0], F_SETFL, 0) == 0 && write(p[1], "d", 1) == 1);
    all("without O_ASYNC", p[0]);
    CHECK(fcntl(p[0], F_SETFL, O_ASYNC) == 0);
    all("O_ASYNC with data there", p[0]);
    close(p[1]);
    all("writer closed", p[0]);
    close(p[0]);

    CHECK(pipe(p) == 0);
    watch(p[1]);
    while (write(p[1], g_buffer, 4096) > 0)
        ;
    all("filling", p[1]);
    CHECK(read(p[0], g_buffer, 4096) == 4096);
    one("read of a full one", p[1]);
    forget();
    close(p[0]);
    all("reader closed", p[1]);
    close(p[1]);
    all("both closed", -1);
}

static void plain(void)
{
    int p[2];
    CHECK(pipe(p) == 0 && fcntl(p[0], F_SETFL, O_ASYNC) == 0);
    CHECK(write(p[1], "a", 1) == 1);
    all("no owner", p[0]);
    CHECK(fcntl(p[0], F_SETOWN, getpid()) == 0 && write(p[1], "a", 1) == 1);
    all("no signal set", p[0]);
    CHECK(fcntl(p[0], F_SETSIG, SIGIO) == 0 && write(p[1], "a", 1) == 1);
    all("SIGIO set", p[0]);
    int on = 0;
    CHECK(ioctl(p[0], FIOASYNC, &on) == 0 && !(fcntl(p[0], F_GETFL) & O_ASYNC));
    CHECK(write(p[1], "a", 1) == 1);
    all("FIOASYNC off", p[0]);
    int copy = dup(p[0]);
    on = 1;
    CHECK(ioctl(copy, FIOASYNC, &on) == 0 && fcntl(p[0], F_GETFL) & O_ASYNC);
    CHECK(write(p[1], "a", 1) == 1);
    all("by another descriptor", copy);
    close(copy);
    CHECK(write(p[1], "a", 1) == 1);
    all("which is closed", copy);
    close(p[0]);
    close(p[1]);
}

static void owners(void)
{
    int p[2], event = eventfd(0, 0), on = 1;
    struct f_owner_ex owner = {-1, -1};
    CHECK(pipe(p) == 0);
    SHOW(fcntl(p[0], F_GETOWN));
    SHOW(fcntl(p[0], F_GETSIG));
    SHOW(fcntl(p[0], F_GETOWN_EX, &owner));
    printf("type %d id %d\n", (int)owner.type, owner.pid);
    SHOW(fcntl(p[0], F_SETOWN, INT_MAX));
    SHOW(fcntl(p[0], F_SETOWN, -INT_MAX));
    SHOW(fcntl(p[0], F_SETOWN, INT_MIN));
    SHOW(fcntl(p[0], F_SETSIG, 65));
    SHOW(fcntl(p[0], F_SETSIG, -1));
    owner.type = 7;
    SHOW(fcntl(p[0], F_SETOWN_EX, &owner));
    owner.type = F_OWNER_PGRP;
    owner.pid = getpgrp();
    SHOW(fcntl(p[0], F_SETOWN_EX, &owner));
    printf("group %d\n", fcntl(p[0], F_GETOWN) == -getpgrp());
    owner.type = F_OWNER_TID;
    owner.pid = (int)syscall(SYS_gettid);
    SHOW(fcntl(p[0], F_SETOWN_EX, &owner));
    printf("thread %d\n", fcntl(p[0], F_GETOWN) == owner.pid);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    CHECK(child > 0 && fcntl(p[0], F_SETOWN, child) == 0 && waitpid(child, NULL, 0) == child);
    SHOW(fcntl(p[0], F_GETOWN));
    SHOW(fcntl(p[0], F_SETOWN, 0));
    SHOW(ioctl(event, FIOASYNC, &on));
    SHOW(fcntl(event, F_SETFL, O_ASYNC));
    printf("kept %d\n", (fcntl(event, F_GETFL) & O_ASYNC) != 0);
    close(event);
    close(p[0]);
    close(p[1]);
}

static void *thread_waits(void *arg)
{
    int *pipe_end = arg;
    struct f_owner_ex owner = {F_OWNER_TID, (int)syscall(SYS_gettid)};
    CHECK(fcntl(*pipe_end, F_SETOWN_EX, &owner) == 0);
    one("thread", *pipe_end);
    return NULL;
}

/* To one thread, to another process, to a group. */
static void targets(void)
{
    int p[2];
    pthread_t thread;
    CHECK(pipe(p) == 0);
    watch(p[0]);
    CHECK(pthread_create(&thread, NULL, thread_waits, &p[0]) == 0);
    while (fcntl(p[0], F_GETOWN) == getpid())
        usleep(1000);
    CHECK(write(p[1], "a", 1) == 1);
    CHECK(pthread_join(thread, NULL) == 0);
    all("not the process's", p[0]);

    int ready[2];
    CHECK(pipe(ready) == 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        CHECK(setpgid(0, 0) == 0 && fcntl(p[0], F_SETOWN, -getpid()) == 0);
        CHECK(write(ready[1], "r", 1) == 1);
        one("group", p[0]);
        fflush(stdout);
        _exit(0);
    }
    CHECK(child > 0 && read(ready[0], g_buffer, 1) == 1);
    CHECK(write(p[1], "b", 1) == 1);
    CHECK(waitpid(child, NULL, 0) == child);
    all("not of the group", p[0]);
    close(p[0]);
    close(p[1]);
    close(ready[0]);
    close(ready[1]);
}

static void local_sockets(int type)
{
    int s[2];
    printf("type %d\n", type);
    CHECK(socketpair(AF_UNIX, type, 0, s) == 0);
    watch(s[0]);
    CHECK(send(s[1], "ab", 2, 0) == 2);
    all("send", s[0]);
    CHECK(recv(s[0], g_buffer, 100, 0) == 2);
    all("own receive", s[0]);
    while (send(s[0], g_buffer, 4096, 0) > 0)
        ;
    all("filling", s[0]);
    while (recv(s[1], g_buffer, sizeof(g_buffer), MSG_DONTWAIT) > 0)
        ;
    all("room again", s[0]);
    CHECK(shutdown(s[1], SHUT_WR) == 0);
    all("shutdown of its writes", s[0]);
    close(s[1]);
    all("closed", s[0]);
    close(s[0]);
}

static void local_listener(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t size = sizeof(name);
    CHECK(bind(listener, (void *)&name, sizeof(sa_family_t)) == 0 && listen(listener, 5) == 0);
    CHECK(getsockname(listener, (void *)&name, &size) == 0);
    watch(listener);
    CHECK(connect(client, (void *)&name, size) == 0);
    all("connection", listener);
    int end = accept(listener, NULL, NULL);
    CHECK(end >= 0);
    all("accept", listener);
    close(end);
    close(client);
    close(listener);
}

static void inet(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(name);
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(listener, (void *)&name, size) == 0 && listen(listener, 5) == 0);
    CHECK(getsockname(listener, (void *)&name, &size) == 0);
    watch(listener);
    CHECK(connect(client, (void *)&name, size) == 0);
    one("connection", listener);
    forget();
    int end = accept(listener, NULL, NULL);
    CHECK(end >= 0);
    watch(end);
    CHECK(send(client, "ab", 2, 0) == 2);
    one("data", end);
    forget();
    CHECK(recv(end, g_buffer, 10, 0) == 2 && shutdown(client, SHUT_WR) == 0);
    one("its last", end);
    close(end);
    close(client);
    client = socket(AF_INET, SOCK_STREAM, 0);
    forget();
    close(listener);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    name.sin_port = 0;
    CHECK(bind(listener, (void *)&name, size) == 0 && listen(listener, 5) == 0);
    CHECK(getsockname(listener, (void *)&name, &size) == 0);
    forget();
    watch(client);
    CHECK(connect(client, (void *)&name, size) == 0 || errno == EINPROGRESS);
    one("connected", client);
    close(client);
    close(listener);
    forget();

    int to = socket(AF_INET, SOCK_DGRAM, 0), from = socket(AF_INET, SOCK_DGRAM, 0);
    name.sin_port = 0;
    CHECK(bind(to, (void *)&name, size) == 0 && getsockname(to, (void *)&name, &size) == 0);
    watch(to);
    CHECK(sendto(from, "x", 1, 0, (void *)&name, size) == 1);
    one("datagram", to);
    close(to);
    close(from);
}

static void terminals(void)
{
    struct termios mode;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    CHECK(slave >= 0 && tcgetattr(slave, &mode) == 0);
    mode.c_lflag &= ~(tcflag_t)ECHO;
    CHECK(tcsetattr(slave, TCSANOW, &mode) == 0);
    CHECK(fcntl(slave, F_SETFL, O_ASYNC) == 0);
    printf("owner by default: me %d\n", fcntl(slave, F_GETOWN) == getpid());
    watch(slave);
    CHECK(write(master, "half", 4) == 4 && write(master, " line\n", 6) == 6);
    one("line", slave);
    all("once", slave);
    CHECK(read(slave, g_buffer, 100) == 10);
    forget();
    mode.c_lflag &= ~(tcflag_t)ICANON;
    CHECK(tcsetattr(slave, TCSANOW, &mode) == 0);
    CHECK(write(master, "k", 1) == 1);
    one("key", slave);
    CHECK(fcntl(slave, F_SETFL, 0) == 0);
    forget();
    watch(master);
    CHECK(write(slave, "s", 1) == 1);
    one("output", master);
    close(slave);
    close(master);
    forget();
}

static void notifications(void)
{
    int fd = inotify_init(), made;
    char path[] = "/tmp/guest-async-XXXXXX";
    CHECK(fd >= 0 && mkdtemp(path) && inotify_add_watch(fd, path, IN_CREATE) > 0);
    watch(fd);
    CHECK(chdir(path) == 0);
    made = open("name", O_CREAT | O_WRONLY, 0600);
    CHECK(made >= 0);
    all("inotify", fd);
    CHECK(unlink("name") == 0 && chdir("/") == 0 && rmdir(path) == 0);
    close(made);
    close(fd);
}

static volatile sig_atomic_t g_handled;

static void handler(int sig, siginfo_t *info, void *context)
{
    (void)context;
    g_handled = sig == TOLD && info->si_code == POLL_IN ? 1 : 2;
}

/* A sleep that the signal ends. */
static void handled(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    int p[2];
    sigset_t none;
    CHECK(sigaction(TOLD, &action, NULL) == 0 && pipe(p) == 0);
    watch(p[0]);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        CHECK(getppid() == parent && write(p[1], "x", 1) == 1);
        _exit(0);
    }
    CHECK(child > 0);
    sigemptyset(&none);
    SHOW(sigsuspend(&none));
    printf("handled %d\n", (int)g_handled);
    CHECK(waitpid(child, NULL, 0) == child);
    close(p[0]);
    close(p[1]);
}

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {{"pipes", pipes},
                 {"plain", plain},
                 {"owners", owners},
                 {"targets", targets},
                 {"local_listener", local_listener},
                 {"inet", inet},
                 {"terminals", terminals},
                 {"notifications", notifications},
                 {"handled", handled}};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigaddset(&set, TOLD);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (int i = 0; i < 3; i++)
        local_sockets(types[i]);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        printf("-- %s\n", cases[i].name);
        cases[i].run();
        forget();
    }
    return 0;
}
