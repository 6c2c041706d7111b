/* System V message queues: order and types, flags, full queues, copies, removal under waiters, permissions. */
#include <signal.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif
#ifndef MSG_EXCEPT
#define MSG_EXCEPT 020000
#endif
#define FAILS(call, number) CHECK((errno = 0, (call) == -1) && errno == (number))

struct letter {
    long type;
    char text[8200];
};
static struct letter g_letter;

static int post(int id, long type, const char *text, int flags)
{
    struct letter l = {.type = type};
    strcpy(l.text, text);
    return msgsnd(id, &l, strlen(text), flags);
}
/* What arrives, as "type:text". */
static const char *fetch(int id, long type, int flags)
{
    static char out[8300];
    memset(&g_letter, 0, sizeof(g_letter));
    ssize_t n = msgrcv(id, &g_letter, sizeof(g_letter.text), type, flags);
    if (n < 0)
        snprintf(out, sizeof(out), "errno %d", errno);
    else
        snprintf(out, sizeof(out), "%ld:%.*s", g_letter.type, (int)n, g_letter.text);
    return out;
}
static struct msqid_ds state(int id)
{
    struct msqid_ds ds;
    CHECK(msgctl(id, IPC_STAT, &ds) == 0);
    return ds;
}
static int is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static pid_t start(void (*what)(int), int id)
{
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        what(id);
        _exit(0);
    }
    until_asleep(pid, pid);
    return pid;
}
static int status_of(pid_t pid)
{
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static void ids(key_t key)
{
    FAILS(msgget(key, 0600), ENOENT);
    int id = msgget(key, IPC_CREAT | 0620);
    CHECK(id >= 0 && msgget(key, 0) == id);
    FAILS(msgget(key, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    struct msqid_ds ds = state(id);
    CHECK(ds.msg_qnum == 0 && ds.msg_qbytes == 16384 && ds.msg_lspid == 0 &&
          (ds.msg_perm.mode & 0777) == 0620);
    CHECK(msgctl(id, IPC_RMID, NULL) == 0);
    FAILS(msgctl(id, IPC_RMID, NULL), EINVAL);
    FAILS(msgsnd(id, &g_letter, 1, 0), EINVAL);
    printf("ids\n");
}

static void order(int id)
{
    CHECK(post(id, 3, "three", 0) == 0 && post(id, 1, "one", 0) == 0 &&
          post(id, 2, "two", 0) == 0 && post(id, 1, "uno", 0) == 0 && post(id, 9, "nine", 0) == 0);
    CHECK(state(id).msg_qnum == 5 && state(id).msg_lspid == getpid());
    CHECK(is(fetch(id, 2, 0), "2:two"));
    CHECK(is(fetch(id, -3, 0), "1:one"));
    CHECK(is(fetch(id, 3, MSG_EXCEPT), "1:uno"));
    CHECK(is(fetch(id, 0, 0), "3:three"));
    FAILS(msgrcv(id, &g_letter, 100, 5, IPC_NOWAIT), ENOMSG);
    CHECK(is(fetch(id, -100, 0), "9:nine"));
    FAILS(msgrcv(id, &g_letter, 100, 0, IPC_NOWAIT), ENOMSG);
    CHECK(state(id).msg_qnum == 0 && state(id).msg_lrpid == getpid());
    printf("order and types\n");
}

static void sizes(int id)
{
    CHECK(post(id, 1, "a long message", 0) == 0);
    FAILS(msgrcv(id, &g_letter, 4, 0, 0), E2BIG);
    CHECK(msgrcv(id, &g_letter, 4, 0, MSG_NOERROR) == 4 && memcmp(g_letter.text, "a lo", 4) == 0);
    CHECK(state(id).msg_qnum == 0);
    g_letter.type = 1;
    FAILS(msgsnd(id, &g_letter, 8193, 0), EINVAL);
    CHECK(msgsnd(id, &g_letter, 8192, 0) == 0 && msgsnd(id, &g_letter, 8192, 0) == 0);
    FAILS(msgsnd(id, &g_letter, 1, IPC_NOWAIT), EAGAIN);
    CHECK(msgrcv(id, &g_letter, 8192, 0, 0) == 8192 && msgrcv(id, &g_letter, 8192, 0, 0) == 8192);
    CHECK(post(id, 1, "", 0) == 0 && msgrcv(id, &g_letter, 0, 0, 0) == 0);
    g_letter.type = 0;
    FAILS(msgsnd(id, &g_letter, 1, 0), EINVAL);
    g_letter.type = -1;
    FAILS(msgsnd(id, &g_letter, 1, 0), EINVAL);
    FAILS(msgsnd(id, NULL, 1, 0), EFAULT);
    FAILS(msgsnd(-1, &g_letter, 1, 0), EINVAL);
    printf("sizes\n");
}

static void copies(int id)
{
    CHECK(post(id, 5, "first", 0) == 0 && post(id, 6, "second", 0) == 0);
    const char *copy = fetch(id, 1, MSG_COPY | IPC_NOWAIT);
    if (!is(copy, "errno 38")) /* a kernel may be built without it */
        CHECK(is(copy, "6:second") && state(id).msg_qnum == 2);
    FAILS(msgrcv(id, &g_letter, 10, 0, MSG_COPY), EINVAL);
    FAILS(msgrcv(id, &g_letter, 10, 0, MSG_COPY | MSG_EXCEPT | IPC_NOWAIT), EINVAL);
    CHECK(is(fetch(id, 0, 0), "5:first") && is(fetch(id, 0, 0), "6:second"));
    printf("copies\n");
}

static void child_reads(int id)
{
    CHECK(is(fetch(id, 7, 0), "7:for you"));
}
static void child_writes(int id)
{
    CHECK(post(id, 1, "late", 0) == 0);
}
static void child_is_told(int id)
{
    FAILS(msgrcv(id, &g_letter, 10, 0, 0), EIDRM);
}
static void child_is_told_too(int id)
{
    g_letter.type = 1;
    while (msgsnd(id, &g_letter, 8192, 0) == 0)
        ;
    CHECK(errno == EIDRM);
}
static void waiting(int id)
{
    pid_t reader = start(child_reads, id);
    CHECK(post(id, 6, "not for you", 0) == 0 && post(id, 7, "for you", 0) == 0);
    CHECK(status_of(reader) == 0 && is(fetch(id, 0, 0), "6:not for you"));
    g_letter.type = 2;
    CHECK(msgsnd(id, &g_letter, 8192, 0) == 0 && msgsnd(id, &g_letter, 8192, 0) == 0);
    pid_t writer = start(child_writes, id);
    CHECK(msgrcv(id, &g_letter, 8192, 2, 0) == 8192 && status_of(writer) == 0);
    CHECK(is(fetch(id, 1, 0), "1:late") && msgrcv(id, &g_letter, 8192, 2, 0) == 8192);
    printf("waiting\n");
}

static void quota(int id)
{
    struct msqid_ds ds = state(id);
    ds.msg_qbytes = 10;
    CHECK(msgctl(id, IPC_SET, &ds) == 0 && state(id).msg_qbytes == 10);
    CHECK(post(id, 1, "12345678", 0) == 0);
    FAILS(post(id, 1, "123", IPC_NOWAIT), EAGAIN);
    pid_t writer = start(child_writes, id);
    ds.msg_qbytes = 16384;
    CHECK(msgctl(id, IPC_SET, &ds) == 0 && status_of(writer) == 0);
    CHECK(is(fetch(id, 0, 0), "1:12345678") && is(fetch(id, 0, 0), "1:late"));
    printf("quota\n");
}

static void ignore(int sig)
{
    (void)sig;
}
static void signals(int id)
{
    struct sigaction act = {.sa_handler = ignore, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGALRM, &act, NULL) == 0);
    ualarm(30000, 30000);
    FAILS(msgrcv(id, &g_letter, 10, 0, 0), EINTR); /* never restarted */
    ualarm(0, 0);
    printf("signals\n");
}

static void information(int id)
{
    struct msginfo info;
    CHECK(post(id, 1, "counted", 0) == 0);
    int highest, found = 0;
    do { /* others make and remove queues meanwhile */
        highest = msgctl(0, MSG_INFO, (struct msqid_ds *)&info);
        CHECK(highest >= 0 && info.msgpool >= 1 && info.msgmap >= 1 && info.msgtql >= 7);
    } while (msgctl(0, IPC_INFO, (struct msqid_ds *)&info) != highest);
    CHECK(info.msgmax == 8192 && info.msgmnb == 16384);
    for (int i = 0; i <= highest; i++) {
        struct msqid_ds ds;
        found += msgctl(i, MSG_STAT, &ds) == id && ds.msg_qnum == 1;
    }
    CHECK(found == 1 && is(fetch(id, 0, 0), "1:counted"));
    FAILS(msgctl(id, 999, NULL), EINVAL);
    printf("information\n");
}

static void removal(int id)
{
    pid_t reader = start(child_is_told, id), writer;
    int full = msgget(IPC_PRIVATE, 0600);
    writer = start(child_is_told_too, full);
    CHECK(msgctl(id, IPC_RMID, NULL) == 0 && status_of(reader) == 0);
    CHECK(msgctl(full, IPC_RMID, NULL) == 0 && status_of(writer) == 0);
    printf("removal\n");
}

int main(void)
{
    ids(0x52000000 + getpid());
    int id = msgget(IPC_PRIVATE, 0600);
    CHECK(id >= 0);
    order(id);
    sizes(id);
    copies(id);
    waiting(id);
    quota(id);
    signals(id);
    information(id);
    removal(id);
    return 0;
}
