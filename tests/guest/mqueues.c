/* POSIX message queues: names, attributes, order, waiting, limits of time, notification, descriptors. */
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"

static char name[64];

static long result(long r)
{
    return r < 0 ? -errno : r;
}

#define SHOW(what, expression)                                                                     \
    do {                                                                                           \
        long shown = result(expression);                                                           \
        printf("%s: %ld\n", what, shown);                                                          \
    } while (0)

static mqd_t make(long messages, long size, int flags)
{
    struct mq_attr attr = {.mq_maxmsg = messages, .mq_msgsize = size};
    mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL | flags, 0600, &attr);
    CHECK(q >= 0);
    return q;
}

static struct timespec in_ms(long ms)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static void names(void)
{
    struct mq_attr bad = {.mq_maxmsg = 0, .mq_msgsize = 10}, attr;
    char big[300];
    memset(big, 'x', sizeof(big));
    big[0] = '/';
    big[299] = '\0';
    SHOW("missing", mq_open(name, O_RDONLY));
    SHOW("no messages", mq_open(name, O_RDWR | O_CREAT, 0600, &bad));
    bad.mq_maxmsg = 70000;
    SHOW("too many messages", mq_open(name, O_RDWR | O_CREAT, 0600, &bad));
    SHOW("two components", mq_open("/a/b", O_RDWR | O_CREAT, 0600, NULL));
    SHOW("long name", mq_open(big, O_RDWR | O_CREAT, 0600, NULL));
    mqd_t q = mq_open(name, O_RDWR | O_CREAT, 0640, NULL);
    CHECK(q >= 0 && mq_getattr(q, &attr) == 0);
    printf("defaults: %ld %ld %ld %ld\n", attr.mq_flags, attr.mq_maxmsg, attr.mq_msgsize,
           attr.mq_curmsgs);
    SHOW("exclusive", mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL));
    mqd_t r = mq_open(name, O_RDONLY), w = mq_open(name, O_WRONLY | O_NONBLOCK);
    CHECK(r >= 0 && w >= 0);
    SHOW("send to a reader's", mq_send(r, "x", 1, 0));
    SHOW("receive from a writer's", mq_receive(w, big, 300, NULL));
    SHOW("close on exec", fcntl(r, F_GETFD));
    SHOW("flags", fcntl(w, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    SHOW("not a queue", mq_send(0, "x", 1, 0));
    SHOW("no descriptor", mq_send(99, "x", 1, 0));
    struct stat st;
    CHECK(fstat(q, &st) == 0);
    printf("mode %o size %ld\n", st.st_mode, (long)st.st_size);
    CHECK(mq_send(q, "hello", 5, 3) == 0);
    ssize_t n = read(q, big, sizeof(big) - 1);
    CHECK(n > 0);
    big[n] = '\0';
    printf("text: %s", big);
    SHOW("unlink", mq_unlink(name));
    SHOW("again", mq_unlink(name));
    SHOW("open after it", mq_open(name, O_RDONLY));
    char text[8192];
    unsigned priority = 9;
    SHOW("still there for those who have it", mq_receive(r, text, sizeof(text), &priority));
    printf("priority %u %.5s\n", priority, text);
    CHECK(mq_close(q) == 0 && mq_close(r) == 0 && mq_close(w) == 0);

    struct rlimit limit = {1000, 819200};
    CHECK(setrlimit(RLIMIT_MSGQUEUE, &limit) == 0);
    SHOW("beyond the limit", mq_open(name, O_RDWR | O_CREAT, 0600, NULL));
    limit.rlim_cur = 819200;
    CHECK(setrlimit(RLIMIT_MSGQUEUE, &limit) == 0);
}

static void order(void)
{
    mqd_t q = make(6, 16, 0);
    char text[17];
    unsigned priority;
    struct mq_attr attr;
    static const struct {
        const char *text;
        unsigned priority;
    } sent[] = {{"low", 1},         {"high", 30}, {"low again", 1},
                {"highest", 32767}, {"", 0},      {"high again", 30}};
    for (int i = 0; i < 6; i++)
        CHECK(mq_send(q, sent[i].text, strlen(sent[i].text), sent[i].priority) == 0);
    struct timespec past = {1, 0}, bad = {1, 2000000000}, soon = in_ms(30);
    SHOW("full, time over", mq_timedsend(q, "x", 1, 0, &past));
    SHOW("full, soon", mq_timedsend(q, "x", 1, 0, &soon));
    SHOW("bad time", mq_timedsend(q, "x", 1, 0, &bad));
    SHOW("priority", mq_send(q, "x", 1, 32768));
    SHOW("size", mq_send(q, "12345678901234567", 17, 0));
    SHOW("memory", mq_send(q, (char *)8, 3, 0));
    SHOW("room", mq_receive(q, text, 15, NULL));
    attr.mq_flags = O_NONBLOCK;
    struct mq_attr before;
    CHECK(mq_setattr(q, &attr, &before) == 0);
    printf("before %ld, %ld waiting\n", before.mq_flags, before.mq_curmsgs);
    attr.mq_flags = O_APPEND;
    SHOW("other flags", mq_setattr(q, &attr, NULL));
    SHOW("full, not blocking", mq_send(q, "x", 1, 0));
    struct pollfd p = {q, POLLIN | POLLOUT, 0};
    CHECK(poll(&p, 1, 0) == 1);
    printf("full %x\n", p.revents);
    for (int i = 0; i < 6; i++) {
        ssize_t n = mq_receive(q, text, 16, &priority);
        CHECK(n >= 0);
        text[n] = '\0';
        printf("%u '%s'\n", priority, text);
    }
    CHECK(poll(&p, 1, 0) == 1);
    printf("empty %x\n", p.revents);
    SHOW("empty, not blocking", mq_receive(q, text, 16, NULL));
    CHECK(mq_close(q) == 0 && mq_unlink(name) == 0);
}

static void on_signal(int sig)
{
    (void)sig;
}

struct receiver {
    mqd_t q;
    volatile int tid;
    long r;
    char text[16];
};

static void *receive(void *arg)
{
    struct receiver *r = arg;
    r->tid = gettid();
    r->r = result(mq_receive(r->q, r->text, sizeof(r->text), NULL));
    return NULL;
}

static void start(pthread_t *t, struct receiver *r, mqd_t q)
{
    *r = (struct receiver){.q = q};
    CHECK(pthread_create(t, NULL, receive, r) == 0);
    while (!r->tid)
        usleep(100);
    until_asleep(getpid(), r->tid);
}

static void waiting(void)
{
    mqd_t q = make(2, 16, 0);
    struct receiver r;
    pthread_t t;
    start(&t, &r, q);
    CHECK(mq_send(q, "woken", 6, 0) == 0 && pthread_join(t, NULL) == 0);
    printf("received %ld %s\n", r.r, r.text);

    struct sigaction act = {.sa_handler = on_signal};
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    start(&t, &r, q);
    CHECK(pthread_kill(t, SIGUSR1) == 0 && pthread_join(t, NULL) == 0);
    printf("interrupted %ld\n", r.r);
    act.sa_flags = SA_RESTART;
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    start(&t, &r, q);
    CHECK(pthread_kill(t, SIGUSR1) == 0);
    usleep(20000);
    CHECK(mq_send(q, "restarted", 10, 0) == 0 && pthread_join(t, NULL) == 0);
    printf("restarted %ld %s\n", r.r, r.text);

    /* Many senders, many receivers, in several processes: each message once. */
    fflush(stdout);
    for (int i = 0; i < 3; i++) {
        if (fork())
            continue;
        for (int k = 0; k < 200; k++)
            CHECK(mq_send(q, "m", 1, (unsigned)k % 3) == 0);
        _exit(0);
    }
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    for (int i = 0; i < 2; i++) {
        if (fork())
            continue;
        char text[16];
        for (int k = 0; k < 300; k++)
            CHECK(mq_receive(q, text, 16, NULL) == 1 && write(pipes[1], text, 1) == 1);
        _exit(0);
    }
    int status, sum = 0;
    for (int i = 0; i < 5; i++)
        CHECK(wait(&status) > 0 && status == 0);
    char got[1024];
    close(pipes[1]);
    for (ssize_t n; (n = read(pipes[0], got, sizeof(got))) > 0;)
        sum += (int)n;
    printf("received %d\n", sum);
    close(pipes[0]);
    CHECK(mq_close(q) == 0 && mq_unlink(name) == 0);
}

static volatile sig_atomic_t g_code, g_value, g_pid, g_told;

static void on_message(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    g_code = info->si_code;
    g_value = info->si_value.sival_int;
    g_pid = info->si_pid;
    g_told++;
}

static void notified(void)
{
    mqd_t q = make(4, 16, 0);
    char text[16];
    struct sigaction act = {.sa_sigaction = on_message, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
    event.sigev_value.sival_int = 77;
    CHECK(sigaction(SIGUSR2, &act, NULL) == 0);
    SHOW("wanted", mq_notify(q, &event));
    SHOW("twice", mq_notify(q, &event));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        SHOW("by another", mq_notify(q, &event));
        SHOW("not wanted by another", mq_notify(q, NULL));
        fflush(stdout);
        CHECK(mq_send(q, "1", 1, 0) == 0);
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    printf("told %d: code %d value %d by the child %d\n", g_told, g_code, g_value, g_pid == pid);
    CHECK(mq_send(q, "2", 1, 0) == 0);
    printf("once %d\n", g_told);
    SHOW("wanted again", mq_notify(q, &event));
    CHECK(mq_send(q, "3", 1, 0) == 0);
    printf("not empty %d\n", g_told);
    for (int i = 0; i < 3; i++)
        CHECK(mq_receive(q, text, 16, NULL) == 1);
    struct receiver r;
    pthread_t t;
    start(&t, &r, q);
    CHECK(mq_send(q, "4", 1, 0) == 0 && pthread_join(t, NULL) == 0);
    printf("somebody waited: %d\n", g_told);
    CHECK(mq_send(q, "5", 1, 0) == 0);
    printf("nobody waited: %d\n", g_told);
    CHECK(mq_receive(q, text, 16, NULL) == 1);
    SHOW("wanted", mq_notify(q, &event));
    SHOW("not wanted", mq_notify(q, NULL));
    CHECK(mq_send(q, "6", 1, 0) == 0);
    printf("given up: %d\n", g_told);
    CHECK(mq_receive(q, text, 16, NULL) == 1);
    event.sigev_signo = 65;
    SHOW("bad signal", mq_notify(q, &event));
    event.sigev_notify = 99;
    SHOW("bad kind", mq_notify(q, &event));
    event = (struct sigevent){.sigev_notify = SIGEV_NONE};
    SHOW("silently", mq_notify(q, &event));
    mqd_t again = dup(q);
    CHECK(again >= 0 && mq_close(again) == 0);
    SHOW("a close gave it up", mq_notify(q, &event));
    CHECK(mq_close(q) == 0 && mq_unlink(name) == 0);
}

static sem_t g_called;
static volatile int g_argument;

static void call(union sigval value)
{
    g_argument = value.sival_int;
    CHECK(sem_post(&g_called) == 0);
}

/* libc hears of it through a socket and starts a thread. */
static void notified_by_thread(void)
{
    mqd_t q = make(4, 16, 0);
    char text[16];
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = call};
    CHECK(sem_init(&g_called, 0, 0) == 0);
    for (int i = 1; i < 3; i++) {
        event.sigev_value.sival_int = 10 + i;
        SHOW("by a thread", mq_notify(q, &event));
        CHECK(mq_send(q, "x", 1, 0) == 0);
        while (sem_wait(&g_called) != 0)
            CHECK(errno == EINTR);
        printf("called with %d\n", g_argument);
        CHECK(mq_receive(q, text, 16, NULL) == 1);
    }
    CHECK(mq_close(q) == 0 && mq_unlink(name) == 0);
}

/* What is unlinked and still open counts for the limits; what cannot be handed out leaves no name. */
static void counted(void)
{
    struct rlimit few = {.rlim_cur = 100000, .rlim_max = 100000};
    struct mq_attr attr = {.mq_maxmsg = 10, .mq_msgsize = 1024};
    CHECK(setresuid(54321, 54321, 54321) == 0 && setrlimit(RLIMIT_MSGQUEUE, &few) == 0);
    int count = 0;
    for (; count < 20; count++) {
        mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
        if (q < 0)
            break;
        CHECK(mq_unlink(name) == 0);
    }
    printf("unlinked ones: %d, then %d\n", count, errno);
    CHECK(mq_close(3) == 0);
    SHOW("one closed", mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr));
    CHECK(mq_unlink(name) == 0 && mq_close(3) == 0);
    few = (struct rlimit){.rlim_cur = 3, .rlim_max = 1024};
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    SHOW("no descriptor", mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr));
    few.rlim_cur = 1024;
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    SHOW("no name either", mq_unlink(name));
}

int main(void)
{
    snprintf(name, sizeof(name), "/guest-mqueues-%d", (int)getpid());
    umask(022);
    names();
    order();
    waiting();
    notified();
    notified_by_thread();
    show_child("counted", counted);
    return 0;
}
