/* Corners of /proc, one at a time: fields, links, texts that change with what they describe, and what cannot be done with them. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "entries.h"
#include "show.h"

static char g_text[1 << 22]; /* tables of the whole machine, too */
static char **g_argv;

static ssize_t slurp(const char *name)
{
    int fd = open(name, O_RDONLY);
    ssize_t n, total = 0;

    g_text[0] = 0;
    if (fd < 0)
        return -1;
    while ((n = read(fd, g_text + total, sizeof(g_text) - 1 - (size_t)total)) > 0)
        total += n;
    int err = errno;
    close(fd);
    errno = err;
    g_text[total] = 0;
    return n < 0 ? -1 : total;
}

static const char *path(const char *format, int number)
{
    static char names[4][64];
    static unsigned next;
    char *name = names[next++ % 4];
    snprintf(name, sizeof(names[0]), format, number);
    return name;
}

/* The rest of the line of the last slurp() that starts with `name`, blanks as one. */
static const char *field(const char *name)
{
    static char value[256];
    size_t length = strlen(name), n = 0;

    for (char *at = g_text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        if (strncmp(at, name, length) != 0)
            continue;
        for (at += length; *at == ' ' || *at == '\t'; at++)
            ;
        for (; *at && *at != '\n' && n < sizeof(value) - 1; at++)
            if ((*at != ' ' && *at != '\t') || value[n - 1] != ' ')
                value[n++] = *at == '\t' ? ' ' : *at;
        value[n] = 0;
        return value;
    }
    return "missing";
}

static void put(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
    printf("write \"%s\": %s\n", text, n < 0 ? strerror(errno) : n ? "all" : "nothing");
    if (fd >= 0)
        close(fd);
}

static void show_link(const char *what, const char *name)
{
    char link[256];
    ssize_t n = readlink(name, link, sizeof(link) - 1);

    if (n < 0) {
        printf("%s: %s\n", what, strerror(errno));
        return;
    }
    link[n] = 0;
    char *number = strstr(link, ":["); /* an inode's */
    if (number && number[2] >= '0' && number[2] <= '9')
        strcpy(number, ":[N]");
    printf("%s: %s\n", what, link);
}

static int forked(void)
{
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    return pid;
}

static void reap(pid_t pid)
{
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("child %x\n", status);
}

static void fields_of_stat(void)
{
    char old[16];
    int n = 0, parent = getppid();
    long value[64] = {0};

    CHECK(prctl(PR_GET_NAME, old) == 0 && prctl(PR_SET_NAME, "a) R (b 1") == 0);
    CHECK(slurp("/proc/self/stat") > 0);
    char *at = strchr(g_text, ' ') + 1, *end = strrchr(g_text, ')') + 1;
    printf("name %.*s\n", (int)(end - at), at);
    printf("state %c, ends in a line %d\n", end[1], g_text[strlen(g_text) - 1] == '\n');
    for (at = strtok(end + 2, " \n"); at; at = strtok(NULL, " \n"))
        value[4 + n++] = strtol(at, NULL, 10);
    printf("fields %d\n", n + 3);
    printf("parent %d group %d session %d\n", value[4] == parent, value[5] == getpgrp(),
           value[6] == getsid(0));
    printf("priority %ld nice %ld threads %ld\n", value[18], value[19], value[20]);
    printf("memory %d, limit %d\n", value[23] > 0, value[25] != 0);
    printf("exit signal %ld, policy %ld\n", value[38], value[41]);
    CHECK(setpriority(PRIO_PROCESS, 0, 5) == 0);
    pid_t pid = forked();
    if (pid == 0) {
        long mine = getpid();
        CHECK(slurp("/proc/self/stat") > 0 && strtol(g_text, NULL, 10) == mine);
        CHECK(sscanf(strrchr(g_text, ')') + 2, "%*c %ld", &value[4]) == 1);
        printf("parent %d, name kept %d\n", value[4] == getppid(),
               strstr(g_text, "(a) R (b 1)") != NULL);
        _exit((fflush(stdout), 0));
    }
    reap(pid);
    CHECK(slurp("/proc/self/stat") > 0);
    long nice_value = 0;
    at = strrchr(g_text, ')') + 2;
    for (int i = 3; i < 19; i++)
        at = strchr(at, ' ') + 1;
    nice_value = strtol(at, NULL, 10);
    printf("nice %ld\n", nice_value);
    CHECK(prctl(PR_SET_NAME, old) == 0);
}

static void lines_of_status(void)
{
    static const char *const names[] = {"Name:",
                                        "Umask:",
                                        "State:",
                                        "Tgid:",
                                        "Ngid:",
                                        "Pid:",
                                        "PPid:",
                                        "Uid:",
                                        "Gid:",
                                        "FDSize:",
                                        "Groups:",
                                        "VmPeak:",
                                        "VmSize:",
                                        "VmRSS:",
                                        "VmData:",
                                        "VmStk:",
                                        "VmExe:",
                                        "Threads:",
                                        "SigQ:",
                                        "SigPnd:",
                                        "ShdPnd:",
                                        "SigBlk:",
                                        "SigIgn:",
                                        "SigCgt:",
                                        "CapInh:",
                                        "CapPrm:",
                                        "CapEff:",
                                        "CapBnd:",
                                        "CapAmb:",
                                        "NoNewPrivs:",
                                        "voluntary_ctxt_switches:",
                                        "nonvoluntary_ctxt_switches:"};
    const char *last = g_text;
    mode_t mask = umask(0137);

    CHECK(slurp("/proc/self/status") > 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char line[64];
        snprintf(line, sizeof(line), "\n%s", names[i]);
        const char *at = i ? strstr(g_text, line) : strstr(g_text, names[i]);
        printf("%s %s\n", names[i], !at ? "missing" : at >= last ? "in order" : "out of order");
        last = at ? at : last;
    }
    printf("umask %s\n", field("Umask:"));
    printf("self %d %d, parent %d\n", atoi(field("Pid:")) == getpid(),
           atoi(field("Tgid:")) == getpid(), atoi(field("PPid:")) == getppid());
    printf("ambient %s\n", field("CapAmb:"));
    printf("new privileges refused %s\n", field("NoNewPrivs:"));
    umask(mask);
    pid_t pid = forked();
    if (pid == 0) {
        signal(SIGUSR1, SIG_IGN);
        signal(SIGUSR2, reap);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_SETMASK, &set, NULL);
        CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        raise(SIGTERM);
        kill(getpid(), SIGTERM);
        CHECK(slurp("/proc/self/status") > 0);
        printf("new privileges refused %s\n", field("NoNewPrivs:"));
        printf("own %s\n", field("SigPnd:"));
        printf("shared %s\n", field("ShdPnd:"));
        printf("blocked %s\n", field("SigBlk:"));
        printf("caught %d\n", (int)(strtoull(field("SigCgt:"), NULL, 16) >> (SIGUSR2 - 1) & 1));
        if (getuid() == 0) {
            CHECK(setgid(44) == 0 && setresuid(11, 22, 33) == 0);
            CHECK(slurp("/proc/thread-self/status") > 0);
            printf("uid %s\n", field("Uid:"));
            printf("gid %s\n", field("Gid:"));
        } else {
            printf("uid 11 22 33 22\ngid 44 44 44 44\n");
        }
        _exit((fflush(stdout), 0));
    }
    reap(pid);
}

static void links_of_descriptors(void)
{
    sigset_t set;
    int p[2], s[2], i, count = 0, fds[16];
    const char *what[16];

    sigemptyset(&set);
    CHECK(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0);
#define KEEP(name, fd) (what[count] = (name), fds[count++] = (fd))
    KEEP("pipe, reading", p[0]);
    KEEP("pipe, writing", p[1]);
    KEEP("socket", s[0]);
    KEEP("socket", s[1]);
    KEEP("eventfd", eventfd(0, 0));
    KEEP("epoll", epoll_create1(0));
    KEEP("timerfd", timerfd_create(CLOCK_MONOTONIC, 0));
    KEEP("signalfd", signalfd(-1, &set, 0));
    KEEP("inotify", inotify_init1(0));
    KEEP("memfd", memfd_create("named so", 0));
    KEEP("null", open("/dev/null", O_RDWR));
    KEEP("directory", open("/usr/../usr/./bin", O_RDONLY));
    KEEP("path", open("/etc/passwd", O_PATH));
    KEEP("unnamed", open("/dev/shm", O_TMPFILE | O_RDWR, 0600));
    KEEP("proc", open("/proc/sys/kernel/../kernel/ostype", O_RDONLY));
    for (i = 0; i < count; i++) {
        struct stat st;
        CHECK(fds[i] >= 0);
        if (strcmp(what[i], "unnamed") == 0) { /* a number is its name */
            char link[128] = "";
            CHECK(readlink(path("/proc/self/fd/%d", fds[i]), link, sizeof(link) - 1) > 0);
            printf("unnamed: %.10s, deleted %d\n", link, strstr(link, " (deleted)") != NULL);
        } else {
            show_link(what[i], path("/proc/self/fd/%d", fds[i]));
        }
        CHECK(lstat(path("/proc/self/fd/%d", fds[i]), &st) == 0);
        printf("  mode %o\n", st.st_mode);
    }
    SHOW(open(path("/proc/self/fd/%d", fds[2]), O_RDWR)); /* sockets cannot be opened again */
    SHOW(open(path("/proc/self/fd/%d", fds[4]), O_RDWR) >= 0 ? 0 : errno == ENXIO ? 1 : 2);
    SHOW(open(path("/proc/self/fd/%d", fds[11]), O_RDWR));
    for (i = 0; i < count; i++)
        close(fds[i]);
}

static void infos_of_descriptors(void)
{
    sigset_t set;
    struct itimerspec t = {.it_value = {1000, 0}, .it_interval = {5, 6}};
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 0x1234};
    uint64_t v = 10;
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

    CHECK(lseek(fd, 7, SEEK_SET) == 7 && slurp(path("/proc/self/fdinfo/%d", fd)) > 0);
    printf("pos %s\n", field("pos:"));
    printf("flags %s\n", field("flags:"));
    printf("mount is a number %d\n", atoi(field("mnt_id:")) > 0);
    close(fd);
    fd = eventfd(5, EFD_NONBLOCK);
    CHECK(write(fd, &v, 8) == 8 && slurp(path("/proc/self/fdinfo/%d", fd)) > 0);
    printf("flags %s\n", field("flags:"));
    printf("count %s\n", field("eventfd-count:"));
    int ep = epoll_create1(0);
    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) == 0);
    CHECK(slurp(path("/proc/self/fdinfo/%d", ep)) > 0);
    int target;
    unsigned events;
    unsigned long long data;
    CHECK(sscanf(field("tfd:"), "%d events: %x data: %llx", &target, &events, &data) == 3);
    printf("target %d events %x data %llx\n", target == fd, events, data);
    close(ep);
    close(fd);
    fd = timerfd_create(CLOCK_MONOTONIC, 0);
    CHECK(timerfd_settime(fd, 0, &t, NULL) == 0);
    CHECK(slurp(path("/proc/self/fdinfo/%d", fd)) > 0);
    printf("clock %s\n", field("clockid:"));
    printf("ticks %s\n", field("ticks:"));
    printf("interval %s\n", field("it_interval:"));
    close(fd);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    fd = signalfd(-1, &set, 0);
    CHECK(slurp(path("/proc/self/fdinfo/%d", fd)) > 0);
    printf("mask %s\n", field("sigmask:"));
    close(fd);
    fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    CHECK(slurp(path("/proc/self/fdinfo/%d", fd)) > 0);
    printf("process %d\n", atoi(field("Pid:")) == getpid());
    close(fd);
    fd = inotify_init1(0);
    CHECK(inotify_add_watch(fd, "/usr", IN_CREATE) == 1);
    CHECK(slurp(path("/proc/self/fdinfo/%d", fd)) > 0);
    printf("watch %.5s, mask %.11s\n", field("inotify"),
           strstr(g_text, "mask:") ? strstr(g_text, "mask:") : "none");
    close(fd);
    SHOW(slurp(path("/proc/self/fdinfo/%d", fd)));
}

/* The line of /proc/self/maps with `at` in it. */
static void show_map(const char *what, const void *at)
{
    CHECK(slurp("/proc/self/maps") > 0);
    for (char *line = strtok(g_text, "\n"); line; line = strtok(NULL, "\n")) {
        unsigned long start, end, offset, inode;
        char prot[5], device[16];
        int name = 0;
        CHECK(sscanf(line, "%lx-%lx %4s %lx %15s %lu %n", &start, &end, prot, &offset, device,
                     &inode, &name) >= 6);
        if ((uintptr_t)at < start || (uintptr_t)at >= end)
            continue;
        printf("%s: %s %lx, inode %d, name at %d: %s\n", what, prot, offset,
               inode != 0 || strncmp(line + name, "/dev/zero", 9) == 0, line[name] ? name : 0,
               line + name);
        return;
    }
    printf("%s: none\n", what);
}

static void names_of_maps(void)
{
    const size_t size = 16384;
    char name[] = "/dev/shm/guest proc\\XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0 && ftruncate(fd, 65536) == 0 && rename(name, "/dev/shm/guest proc\nmap") == 0);
    char *anonymous = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *file = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0x3000);
    char *copy = mmap(NULL, size, PROT_NONE, MAP_PRIVATE, fd, 0x4000);
    CHECK(anonymous != MAP_FAILED && shared != MAP_FAILED && file != MAP_FAILED &&
          copy != MAP_FAILED);
    show_map("anonymous", anonymous);
    show_map("shared", shared);
    show_map("file", file);
    show_map("copy", copy);
    CHECK(mprotect(copy + 4096, 4096, PROT_READ | PROT_EXEC) == 0);
    show_map("its second page", copy + 4096);
    show_map("its third page", copy + 8192);
    CHECK(unlink("/dev/shm/guest proc\nmap") == 0);
    show_map("deleted", file);
    close(fd);
    fd = memfd_create("of memory", 0);
    CHECK(ftruncate(fd, 65536) == 0);
    char *memory = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(memory != MAP_FAILED);
    show_map("memfd", memory);
    close(fd);
    CHECK(munmap(anonymous, size) == 0 && munmap(shared, size) == 0 && munmap(file, size) == 0 &&
          munmap(copy, size) == 0 && munmap(memory, size) == 0);
    show_map("unmapped", memory);
    show_map("nothing", (void *)8);
    int here;
    printf("stack %d\n", (show_map("stack", &here), 1));
    char *brk_end = (char *)syscall(SYS_brk, 0);
    CHECK((char *)syscall(SYS_brk, brk_end + 8192) == brk_end + 8192);
    show_map("heap", brk_end + 4095);
    CHECK((char *)syscall(SYS_brk, brk_end) == brk_end);
}

static void text_of_limits(void)
{
    struct rlimit files = {100, 200}, core = {0, RLIM_INFINITY}, time = {5000, 6000};

    pid_t pid = forked();
    if (pid == 0) {
        CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0 && setrlimit(RLIMIT_CPU, &time) == 0);
        if (setrlimit(RLIMIT_CORE, &core) != 0)
            core.rlim_max = 0;
        CHECK(slurp("/proc/self/limits") > 0);
        printf("%.*s\n", (int)strcspn(g_text, "\n"), g_text);
        printf("files %s\n", field("Max open files"));
        printf("time %s\n", field("Max cpu time"));
        int lines = 0;
        for (char *at = g_text; *at; at++)
            lines += *at == '\n';
        printf("lines %d\n", lines);
        _exit((fflush(stdout), 0));
    }
    reap(pid);
}

static void *rename_thread(void *arg)
{
    char name[16];
    put(path("/proc/self/task/%d/comm", (int)syscall(SYS_gettid)), "of a thread");
    CHECK(prctl(PR_GET_NAME, name) == 0);
    printf("thread: %s\n", name);
    CHECK(slurp("/proc/thread-self/comm") > 0);
    printf("thread: %s", g_text);
    return arg;
}

static void names_of_tasks(void)
{
    char old[16];
    pthread_t t;

    CHECK(prctl(PR_GET_NAME, old) == 0);
    put("/proc/self/comm", "a name of more than fifteen");
    SHOW(slurp("/proc/self/comm"));
    printf("%s", g_text);
    put("/proc/self/comm", "line\nand more");
    SHOW(slurp("/proc/self/comm"));
    printf("%s", g_text);
    CHECK(slurp("/proc/self/status") > 0);
    printf("one line: %s\n", field("Name:"));
    CHECK(pthread_create(&t, NULL, rename_thread, NULL) == 0 && pthread_join(t, NULL) == 0);
    CHECK(slurp("/proc/self/comm") > 0);
    printf("%s", g_text);
    pid_t parent = getpid(), pid = forked();
    if (pid == 0) { /* of another process nobody changes it */
        put(path("/proc/%d/comm", parent), "intruder");
        _exit((fflush(stdout), 0));
    }
    reap(pid);
    CHECK(slurp(path("/proc/%d/comm", parent)) > 0);
    printf("%s", g_text);
    put("/proc/self/comm", old);
}

static void scores_of_memory(void)
{
    CHECK(slurp("/proc/self/oom_score_adj") > 0);
    pid_t pid = forked();
    if (pid == 0) {
        put("/proc/self/oom_score_adj", "700\n");
        CHECK(slurp("/proc/self/oom_score_adj") > 0);
        printf("%s", g_text);
        put("/proc/self/oom_score_adj", "  900 ");
        put("/proc/self/oom_score_adj", "1001");
        put("/proc/self/oom_score_adj", "-1001");
        put("/proc/self/oom_score_adj", "much");
        put("/proc/self/oom_score_adj", "1x");
        CHECK(slurp("/proc/self/oom_score_adj") > 0);
        printf("%s", g_text);
        pid_t child = forked();
        if (child == 0) {
            CHECK(slurp("/proc/self/oom_score_adj") > 0);
            printf("inherited %s", g_text);
            _exit((fflush(stdout), 0));
        }
        reap(child);
        SHOW(slurp("/proc/self/oom_score") > 0);
        _exit((fflush(stdout), 0));
    }
    reap(pid);
}

static void command_lines(void)
{
    ssize_t n = slurp("/proc/self/cmdline");
    char *last = g_argv[0] + strlen(g_argv[0]) - 1, old = *last;

    printf("ends in zero %d\n", n > 0 && g_text[n - 1] == 0);
    *last = '!'; /* the memory that exec made is what is shown */
    CHECK(slurp("/proc/self/cmdline") == n);
    printf("changed %d\n", g_text[strlen(g_text) - 1] == '!');
    *last = old;
    pid_t pid = forked();
    if (pid == 0) {
        execle("/bin/sh", "a shell", "-c", "cat /proc/$$/cmdline | tr '\\0' '|'; echo", "", "x y",
               NULL, (char *[]){"PATH=/usr/bin:/bin", "EMPTY=", NULL});
        _exit(1);
    }
    reap(pid);
    pid = forked();
    if (pid == 0) {
        execle("/bin/sh", "sh", "-c", "tr '\\0' '|' </proc/$$/environ; echo", NULL,
               (char *[]){"PATH=/usr/bin:/bin", "EMPTY=", "ODD", NULL});
        _exit(1);
    }
    reap(pid);
}

static void memory_as_a_file(void)
{
    long page = 4096;
    char data[16] = "", *p = mmap(NULL, 3 * (size_t)page, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = open("/proc/self/mem", O_RDWR);

    CHECK(fd >= 0 && p != MAP_FAILED && munmap(p + page, (size_t)page) == 0);
    memcpy(p + page - 4, "tail", 4);
    SHOW(pread(fd, data, 16, (off_t)(uintptr_t)(p + page - 4)));
    printf("%s\n", data);
    SHOW(pread(fd, data, 4, (off_t)(uintptr_t)(p + page)));
    SHOW(pread(fd, data, 0, (off_t)(uintptr_t)(p + page)));
    SHOW(pwrite(fd, "over the end", 12, (off_t)(uintptr_t)(p + page - 4)));
    printf("%.4s\n", p + page - 4);
    SHOW(lseek(fd, (off_t)(uintptr_t)p, SEEK_SET) == (off_t)(uintptr_t)p);
    SHOW(write(fd, "first", 5));
    SHOW(write(fd, " second", 7));
    printf("%s\n", p);
    SHOW(lseek(fd, -12, SEEK_CUR) == (off_t)(uintptr_t)p);
    SHOW(read(fd, data, 5));
    SHOW(lseek(fd, 0, SEEK_END));
    CHECK(mprotect(p, (size_t)page, PROT_NONE) == 0);
    pid_t pid = forked();
    if (pid == 0) { /* it is the memory of who opened it */
        memcpy(p + 2 * page, "child's", 8);
        SHOW(pread(fd, data, 8, (off_t)(uintptr_t)(p + 2 * page)));
        printf("parent's %d\n", data[0] == 0);
        _exit((fflush(stdout), 0));
    }
    reap(pid);
    close(fd);
    munmap(p, (size_t)page);
    munmap(p + 2 * page, (size_t)page);
}

struct thread_place {
    int tid, go[2], up[2];
};

static void *stay(void *arg)
{
    struct thread_place *place = arg;
    place->tid = (int)syscall(SYS_gettid);
    CHECK(write(place->up[1], "x", 1) == 1);
    CHECK(read(place->go[0], &(char){0}, 1) == 0);
    return NULL;
}

static void directories_of_tasks(void)
{
    struct thread_place place;
    pthread_t t;
    char link[64], expected[64];
    struct stat a, b;

    CHECK(pipe(place.go) == 0 && pipe(place.up) == 0);
    while (entries("/proc/self/task") != 1) /* joined threads may be on their way out */
        usleep(1000);
    SHOW(entries("/proc/self/task"));
    CHECK(pthread_create(&t, NULL, stay, &place) == 0 && read(place.up[0], &(char){0}, 1) == 1);
    SHOW(entries("/proc/self/task"));
    CHECK(slurp(path("/proc/self/task/%d/status", place.tid)) > 0);
    printf("pid %d group %d\n", atoi(field("Pid:")) == place.tid, atoi(field("Tgid:")) == getpid());
    printf("threads %s\n", field("Threads:"));
    CHECK(slurp(path("/proc/%d/stat", place.tid)) > 0); /* found, if not listed */
    printf("by its number %d\n", atoi(g_text) == place.tid);
    SHOW(access(path("/proc/self/task/%d", getppid()), F_OK));
    SHOW(access(path("/proc/self/task/%d/task", place.tid), F_OK));
    ssize_t n = readlink("/proc/thread-self", link, sizeof(link));
    snprintf(expected, sizeof(expected), "%d/task/%d", getpid(), getpid());
    printf("thread-self %d\n",
           n == (ssize_t)strlen(expected) && memcmp(link, expected, (size_t)n) == 0);
    CHECK(stat("/proc/self/task", &a) == 0 && stat("/proc/self", &b) == 0);
    printf("mode %o %o\n", a.st_mode, b.st_mode);
    printf("links %d\n", (int)a.st_nlink); /* one for each thread and two */
    close(place.go[1]);
    CHECK(pthread_join(t, NULL) == 0);
    close(place.go[0]);
    close(place.up[0]);
    close(place.up[1]);
}

static void show_value(const char *name)
{
    ssize_t n = slurp(name);
    printf("%s: %s%s", name, n < 0 ? strerror(errno) : g_text, n < 0 ? "\n" : "");
}

static void values_of_the_system(void)
{
    struct utsname u;

    CHECK(uname(&u) == 0);
    show_value("/proc/sys/kernel/ostype");
    show_value("/proc/sys/kernel/ngroups_max");
    CHECK(slurp("/proc/sys/kernel/osrelease") > 0);
    printf("release %d\n", strcmp(strtok(g_text, "\n"), u.release) == 0);
    CHECK(slurp("/proc/sys/kernel/hostname") > 0);
    printf("name %d\n", strcmp(strtok(g_text, "\n"), u.nodename) == 0);
    CHECK(slurp("/proc/sys/kernel/version") > 0);
    printf("version %d\n", strcmp(strtok(g_text, "\n"), u.version) == 0);
    CHECK(slurp("/proc/version") > 0);
    printf("Linux %d\n", strncmp(g_text, "Linux version ", 14) == 0 &&
                             strncmp(g_text + 14, u.release, strlen(u.release)) == 0);
    CHECK(slurp("/proc/sys/kernel/pid_max") > 0);
    printf("processes %d\n", atoi(g_text) >= 300);
    CHECK(slurp("/proc/sys/fs/pipe-max-size") > 0);
    printf("pipes %d\n", atoi(g_text) >= 65536);
    CHECK(slurp("/proc/sys/fs/nr_open") > 0);
    printf("descriptors %d\n", atoi(g_text) >= 1024);
    CHECK(slurp("/proc/sys/kernel/cap_last_cap") > 0);
    printf("capabilities %d\n", atoi(g_text) >= 40);
    CHECK(slurp("/proc/sys/kernel/random/boot_id") == 37);
    char boot[64];
    strcpy(boot, g_text);
    CHECK(slurp("/proc/sys/kernel/random/boot_id") == 37 && strcmp(boot, g_text) == 0);
    CHECK(slurp("/proc/sys/kernel/random/uuid") == 37 && strcmp(boot, g_text) != 0);
    CHECK(slurp("/proc/loadavg") > 0);
    double one, five, fifteen;
    int running, all, last;
    printf("load %d\n",
           sscanf(g_text, "%lf %lf %lf %d/%d %d", &one, &five, &fifteen, &running, &all, &last));
    CHECK(slurp("/proc/filesystems") > 0);
    printf("tmpfs %d proc %d\n", strstr(g_text, "nodev\ttmpfs\n") != NULL,
           strstr(g_text, "nodev\tproc\n") != NULL);
    CHECK(slurp("/proc/self/statm") > 0);
    printf("statm %d\n", (int)strspn(g_text, "0123456789 ") == (int)strlen(g_text) - 1);
    SHOW(open("/proc/sys/kernel/none", O_RDONLY));
    SHOW(mkdir("/proc/sys/kernel/none", 0755) < 0);
    SHOW(rmdir("/proc/sys/kernel") < 0);
}

static void reads_in_parts(void)
{
    char whole[64], part[64] = "";
    int fd = open("/proc/sys/kernel/ostype", O_RDONLY);
    ssize_t n = 0;

    SHOW(read(fd, whole, sizeof(whole)));
    SHOW(read(fd, whole, sizeof(whole)));
    SHOW(lseek(fd, 2, SEEK_SET));
    close(fd);
    fd = open("/proc/self/comm", O_RDONLY);
    SHOW(slurp("/proc/self/comm") == (ssize_t)strlen(g_text));
    while (read(fd, part + n, 1) == 1)
        n++;
    printf("same %d\n", strcmp(part, g_text) == 0);
    SHOW(pread(fd, part, 4, 1));
    printf("same %d\n", memcmp(part, g_text + 1, 4) == 0);
    SHOW(pread(fd, part, 4, 1000));
    SHOW(lseek(fd, 1, SEEK_SET));
    SHOW(lseek(fd, 2, SEEK_CUR) == n + 2 || lseek(fd, 0, SEEK_CUR) == 3);
    SHOW(write(fd, "x", 1));
    SHOW(read(fd, (void *)8, 4));
    struct stat st;
    CHECK(fstat(fd, &st) == 0);
    printf("mode %o size %ld blocks %ld\n", st.st_mode, (long)st.st_size, (long)st.st_blocks);
    SHOW(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED);
    close(fd);
    SHOW(open("/proc/self/comm", O_RDONLY | O_DIRECTORY));
    SHOW(open("/proc/self/comm/x", O_RDONLY));
    SHOW(open("/proc/self/new", O_RDWR | O_CREAT, 0600));
    SHOW(link("/proc/self/comm", "/proc/self/comm2") < 0);
    SHOW(rename("/proc/self/comm", "/dev/shm/comm"));
    SHOW(readlink("/proc/self/comm", part, sizeof(part)));
}

static void places_of_a_process(void)
{
    char name[] = "/dev/shm/guest-proc-XXXXXX", link[64];
    int status_fd;

    CHECK(mkdtemp(name));
    pid_t pid = forked();
    if (pid == 0) {
        CHECK(chdir(name) == 0 && rename(name, "/dev/shm/guest-proc-gone") == 0);
        show_link("renamed", "/proc/self/cwd");
        CHECK(rmdir("/dev/shm/guest-proc-gone") == 0);
        show_link("removed", "/proc/self/cwd");
        SHOW(open("/proc/self/cwd/x", O_CREAT | O_RDWR, 0600));
        SHOW(access("/proc/self/cwd/.", F_OK));
        _exit((fflush(stdout), 0));
    }
    reap(pid);
    show_link("root", "/proc/self/root");
    SHOW(access("/proc/self/root/etc/passwd", R_OK));
    pid = forked();
    if (pid == 0)
        _exit(0);
    siginfo_t info;
    CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
    show_link("dead: exe", path("/proc/%d/exe", pid));
    show_link("dead: cwd", path("/proc/%d/cwd", pid));
    SHOW(slurp(path("/proc/%d/cmdline", pid)));
    status_fd = open(path("/proc/%d/status", pid), O_RDONLY);
    int dir = open(path("/proc/%d", pid), O_RDONLY | O_DIRECTORY);
    CHECK(status_fd >= 0 && dir >= 0);
    reap(pid);
    SHOW(read(status_fd, link, sizeof(link)));
    SHOW(openat(dir, "status", O_RDONLY));
    SHOW(faccessat(dir, "fd", F_OK, 0));
    close(status_fd);
    close(dir);
}

static void others_are_refused(void)
{
    if (getuid() != 0) { /* nobody else to be */
        printf("root only\n");
        return;
    }
    pid_t parent = getpid(), pid = forked();
    if (pid == 0) {
        CHECK(setgid(1234) == 0 && setuid(1234) == 0);
        SHOW(open(path("/proc/%d/mem", parent), O_RDONLY));
        SHOW(open(path("/proc/%d/environ", parent), O_RDONLY));
        SHOW(entries(path("/proc/%d/fd", parent)));
        show_link("exe", path("/proc/%d/exe", parent));
        show_link("root", path("/proc/%d/root", parent));
        SHOW(access(path("/proc/%d/cmdline", parent), R_OK));
        SHOW(access(path("/proc/%d/stat", parent), R_OK));
        SHOW(access(path("/proc/%d/comm", parent), W_OK));
        _exit((fflush(stdout), 0));
    }
    reap(pid);
}

static void tables_of_the_network(void)
{
    static const char *const names[] = {"tcp", "udp", "unix", "dev", "route"};
    int s[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    show_link("net", "/proc/net");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char name[64];
        snprintf(name, sizeof(name), "/proc/self/net/%s", names[i]);
        CHECK(slurp(name) > 0);
        g_text[strcspn(g_text, "\n")] = 0;
        printf("%s: %s\n", names[i], g_text);
    }
    struct stat st;
    CHECK(fstat(s[0], &st) == 0 && slurp("/proc/net/unix") > 0);
    char inode[32];
    snprintf(inode, sizeof(inode), " %lu\n", (unsigned long)st.st_ino);
    char *at = strstr(g_text, inode);
    CHECK(at);
    while (at > g_text && at[-1] != '\n')
        at--;
    unsigned protocol, flags, type, state;
    CHECK(sscanf(strchr(at, ':') + 1, "%*x %x %x %x %x", &protocol, &flags, &type, &state) == 4);
    printf("protocol %x flags %x type %x state %x\n", protocol, flags, type, state);
    close(s[0]);
    close(s[1]);
}

static void run(void)
{
    static void (*const cases[])(void) = {
        fields_of_stat, lines_of_status,     links_of_descriptors, infos_of_descriptors,
        names_of_maps,  text_of_limits,      names_of_tasks,       scores_of_memory,
        command_lines,  memory_as_a_file,    directories_of_tasks, values_of_the_system,
        reads_in_parts, places_of_a_process, others_are_refused,   tables_of_the_network};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        printf("case %d\n", (int)i);
        cases[i]();
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    g_argv = argv;
    run();
    return 0;
}
