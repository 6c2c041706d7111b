/* A handler in the middle of each blocking call: which start again with SA_RESTART, which never, and what they answer otherwise. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"

/* linux/futex.h, which musl does not bring */
#define LONG 100 /* seconds: beyond what anything here takes */
#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAIT_BITSET_PRIVATE 137

static volatile int *g_count; /* shared with who sends the signals */
static int g_pipe[2], g_full[2], g_sockets[2], g_epoll, g_event, g_event_full, g_timer, g_signals,
    g_sem, g_queue, g_listener, g_lock, g_lock_name_fd;
static char g_name[32], g_fifo[64], g_buffer[65536];
static pid_t g_child;
static uint32_t g_word;
static struct sockaddr_un g_address;

static void note(int sig)
{
    (void)sig;
    (*g_count)++;
}

static long do_read(void)
{
    return read(g_pipe[0], g_buffer, 1);
}
static long do_readv(void)
{
    struct iovec v = {g_buffer, 1};
    return syscall(SYS_readv, g_pipe[0], &v, 1);
}
static long do_write(void)
{
    return write(g_full[1], g_buffer, 1);
}
static long do_recv(void)
{
    return recv(g_sockets[0], g_buffer, 1, 0);
}
static long do_recv_timeout(void)
{
    /* With SO_RCVTIMEO a receive is never restarted. */
    struct timeval t = {LONG, 0};
    int mine[2]; /* others' timeouts would be set as well */
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, mine) == 0);
    CHECK(setsockopt(mine[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0);
    return recv(mine[0], g_buffer, 1, 0);
}
static long do_send(void)
{
    return send(g_sockets[1], g_buffer, sizeof(g_buffer), 0);
}
static long do_accept(void)
{
    return accept(g_listener, NULL, NULL);
}
static long do_open_fifo(void)
{
    return open(g_fifo, O_RDONLY);
}
static long do_wait4(void)
{
    return waitpid(g_child, NULL, 0);
}
static long do_waitid(void)
{
    siginfo_t info;
    return waitid(P_PID, (id_t)g_child, &info, WEXITED);
}
static long do_flock(void)
{
    return flock(g_lock, LOCK_EX);
}
static long do_fcntl(void)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(g_lock_name_fd, F_SETLKW, &l);
}
static long do_futex(void)
{
    return syscall(SYS_futex, &g_word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}
static long do_futex_timeout(void)
{
    struct timespec t = {LONG, 0};
    return syscall(SYS_futex, &g_word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);
}
static long do_futex_bitset(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += LONG;
    return syscall(SYS_futex, &g_word, FUTEX_WAIT_BITSET_PRIVATE, 0, &t, NULL, UINT32_MAX);
}
static long do_sem(void)
{
    struct sembuf op = {0, -1, 0};
    return semop(g_sem, &op, 1);
}
static long do_semtimed(void)
{
    struct sembuf op = {0, -1, 0};
    struct timespec t = {LONG, 0};
    return syscall(SYS_semtimedop, g_sem, &op, 1, &t);
}
static long do_msgrcv(void)
{
    struct {
        long type;
        char text[8];
    } m;
    return msgrcv(g_queue, &m, sizeof(m.text), 5, 0);
}
static long do_msgsnd(void)
{
    struct {
        long type;
        char text[8192];
    } m = {.type = 7};
    while (msgsnd(g_queue, &m, sizeof(m.text), IPC_NOWAIT) == 0)
        continue;
    return msgsnd(g_queue, &m, sizeof(m.text), 0);
}
static long do_poll(void)
{
    struct pollfd p = {.fd = g_pipe[0], .events = POLLIN};
    return poll(&p, 1, LONG * 1000);
}
static long do_ppoll(void)
{
    struct pollfd p = {.fd = g_pipe[0], .events = POLLIN};
    struct timespec t = {LONG, 0};
    return ppoll(&p, 1, &t, NULL);
}
static long do_select(void)
{
    fd_set s;
    struct timeval t = {LONG, 0};
    FD_ZERO(&s);
    FD_SET(g_pipe[0], &s);
    return select(g_pipe[0] + 1, &s, NULL, NULL, &t);
}
static long do_pselect(void)
{
    fd_set s;
    struct timespec t = {LONG, 0};
    FD_ZERO(&s);
    FD_SET(g_pipe[0], &s);
    return pselect(g_pipe[0] + 1, &s, NULL, NULL, &t, NULL);
}
static long do_epoll(void)
{
    struct epoll_event e;
    return epoll_wait(g_epoll, &e, 1, LONG * 1000);
}
static long do_epoll_pwait2(void)
{
    struct epoll_event e;
    struct timespec t = {LONG, 0};
    return syscall(SYS_epoll_pwait2, g_epoll, &e, 1, &t, NULL, 0);
}
static long do_eventfd_read(void)
{
    return read(g_event, g_buffer, 8);
}
static long do_eventfd_write(void)
{
    uint64_t one = 1;
    return write(g_event_full, &one, 8);
}
static long do_timerfd(void)
{
    return read(g_timer, g_buffer, 8);
}
static long do_signalfd(void)
{
    return read(g_signals, g_buffer, 128);
}
static long do_sigtimedwait(void)
{
    sigset_t s;
    struct timespec t = {LONG, 0};
    sigemptyset(&s);
    sigaddset(&s, SIGUSR2);
    return syscall(SYS_rt_sigtimedwait, &s, NULL, &t, 8); /* musl's function tries again */
}
static long do_nanosleep(void)
{
    struct timespec t = {LONG, 0};
    return nanosleep(&t, NULL);
}
static long do_pause(void)
{
    return pause();
}
static long do_sigsuspend(void)
{
    sigset_t s;
    sigemptyset(&s);
    return sigsuspend(&s);
}

static const struct {
    const char *name;
    long (*call)(void);
} k_calls[] = {
    {"read of a pipe", do_read},
    {"readv of a pipe", do_readv},
    {"write to a full pipe", do_write},
    {"recv", do_recv},
    {"recv with a timeout", do_recv_timeout},
    {"send to a full socket", do_send},
    {"accept", do_accept},
    {"open of a fifo", do_open_fifo},
    {"wait4", do_wait4},
    {"waitid", do_waitid},
    {"flock", do_flock},
    {"fcntl F_SETLKW", do_fcntl},
    {"futex wait", do_futex},
    {"futex wait with a timeout", do_futex_timeout},
    {"futex wait bitset", do_futex_bitset},
    {"semop", do_sem},
    {"semtimedop", do_semtimed},
    {"msgrcv", do_msgrcv},
    {"msgsnd", do_msgsnd},
    {"poll", do_poll},
    {"ppoll", do_ppoll},
    {"select", do_select},
    {"pselect", do_pselect},
    {"epoll_wait", do_epoll},
    {"epoll_pwait2", do_epoll_pwait2},
    {"read of an eventfd", do_eventfd_read},
    {"write to a full eventfd", do_eventfd_write},
    {"read of a timerfd", do_timerfd},
    {"read of a signalfd", do_signalfd},
    {"sigtimedwait", do_sigtimedwait},
    {"nanosleep", do_nanosleep},
    {"pause", do_pause},
    {"sigsuspend", do_sigsuspend},
};

/* Whether the call is over; else it sleeps again, and did so for a while. */
static int is_over(int report, pid_t pid)
{
    struct pollfd p = {.fd = report, .events = POLLIN};
    for (int asleep = 0; asleep < 20;) {
        if (poll(&p, 1, 10) > 0)
            return 1;
        asleep = task_state(pid, pid) == 'S' ? asleep + 1 : 0;
    }
    return 0;
}

/* Each call in a child of its own, which the first signal interrupts. What goes on then is ended by one without SA_RESTART. */
static void try_call(unsigned i, int restart)
{
    int report[2], status;
    CHECK(pipe(report) == 0);
    g_count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(g_count != MAP_FAILED);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        struct sigaction action = {.sa_handler = note, .sa_flags = restart ? SA_RESTART : 0},
                         plain = {.sa_handler = note};
        sigaction(SIGUSR1, &action, NULL);
        sigaction(SIGALRM, &plain, NULL);
        g_child = fork();
        if (g_child == 0)
            for (;;)
                pause();
        CHECK(write(report[1], "r", 1) == 1);
        errno = 0;
        long r = k_calls[i].call();
        int error = errno;
        int32_t answer[3] = {(int32_t)(r < 0 ? -1 : 0), error, *g_count};
        CHECK(write(report[1], answer, sizeof(answer)) == sizeof(answer));
        kill(g_child, SIGKILL);
        _exit(0);
    }
    close(report[1]);
    char c;
    int32_t answer[3];
    CHECK(read(report[0], &c, 1) == 1);
    until_asleep(pid, pid);
    kill(pid, SIGUSR1);
    while (!*g_count)
        usleep(1000);
    if (!is_over(report[0], pid))
        kill(pid, SIGALRM);
    CHECK(read(report[0], answer, sizeof(answer)) == sizeof(answer));
    CHECK(waitpid(pid, &status, 0) == pid);
    close(report[0]);
    printf("%s%s: %d %s after %s\n", k_calls[i].name, restart ? ", SA_RESTART" : "", answer[0],
           answer[0] ? strerror(answer[1]) : "",
           answer[2] == 1   ? "the first signal"
           : answer[2] == 2 ? "the second"
                            : "none");
    fflush(stdout);
}

int main(void)
{
    CHECK(pipe(g_pipe) == 0 && pipe(g_full) == 0 &&
          socketpair(AF_UNIX, SOCK_STREAM, 0, g_sockets) == 0);
    CHECK(fcntl(g_full[1], F_SETFL, O_NONBLOCK) == 0);
    while (write(g_full[1], g_buffer, sizeof(g_buffer)) > 0)
        continue;
    CHECK(fcntl(g_full[1], F_SETFL, 0) == 0);
    int fill[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fill) == 0);
    while (send(g_sockets[1], g_buffer, sizeof(g_buffer), MSG_DONTWAIT) > 0)
        continue;
    CHECK(dup2(g_sockets[0], fill[0]) >= 0);
    int receive[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, receive) == 0);
    g_sockets[0] = receive[0];
    g_event = eventfd(0, 0);
    g_event_full = eventfd(0, EFD_NONBLOCK);
    uint64_t most = UINT64_MAX - 1;
    CHECK(write(g_event_full, &most, 8) == 8 && fcntl(g_event_full, F_SETFL, 0) == 0);
    g_timer = timerfd_create(CLOCK_MONOTONIC, 0);
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR2);
    sigprocmask(SIG_BLOCK, &s, NULL);
    g_signals = signalfd(-1, &s, 0);
    g_epoll = epoll_create1(0);
    g_sem = semget(IPC_PRIVATE, 1, 0600);
    g_queue = msgget(IPC_PRIVATE, 0600);
    CHECK(g_event >= 0 && g_timer >= 0 && g_signals >= 0 && g_epoll >= 0 && g_sem >= 0 &&
          g_queue >= 0);
    strcpy(g_name, "/tmp/guest-restart-XXXXXX");
    int fd = mkstemp(g_name);
    CHECK(fd >= 0);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    CHECK(flock(fd, LOCK_EX) == 0 && fcntl(fd, F_SETLK, &l) == 0);
    g_lock = open(g_name, O_RDWR);
    g_lock_name_fd = open(g_name, O_RDWR);
    CHECK(g_lock >= 0 && g_lock_name_fd >= 0);
    unlink(g_name);
    sprintf(g_fifo, "%s.fifo", g_name);
    CHECK(mkfifo(g_fifo, 0600) == 0);
    g_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    sprintf(g_address.sun_path, "%s.socket", g_name);
    g_listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(g_listener, (struct sockaddr *)&g_address, sizeof(g_address)) == 0 &&
          listen(g_listener, 5) == 0);

    /* All at once: those that go on are watched for a while. */
    for (int restart = 0; restart < 2; restart++) {
        int outputs[sizeof(k_calls) / sizeof(k_calls[0])];
        for (unsigned i = 0; i < sizeof(k_calls) / sizeof(k_calls[0]); i++) {
            int p[2];
            CHECK(pipe(p) == 0);
            fflush(stdout);
            pid_t pid = fork();
            CHECK(pid >= 0);
            if (pid == 0) {
                dup2(p[1], 1);
                close(p[0]);
                close(p[1]);
                try_call(i, restart);
                _exit(0);
            }
            close(p[1]);
            outputs[i] = p[0];
        }
        for (unsigned i = 0; i < sizeof(k_calls) / sizeof(k_calls[0]); i++) {
            char line[256];
            ssize_t n;
            while ((n = read(outputs[i], line, sizeof(line))) > 0)
                fwrite(line, 1, (size_t)n, stdout);
            close(outputs[i]);
        }
        while (wait(NULL) > 0)
            continue;
    }
    unlink(g_fifo);
    unlink(g_address.sun_path);
    semctl(g_sem, 0, IPC_RMID);
    msgctl(g_queue, IPC_RMID, NULL);
    return 0;
}
