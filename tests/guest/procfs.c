/* /proc and /dev as programs use them: what a process reads of itself and of its children. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "entries.h"
#include "show.h"

static char g_text[65536];

static ssize_t slurp(const char *name)
{
    int fd = open(name, O_RDONLY);
    ssize_t n, total = 0;

    if (fd < 0)
        return -1;
    while ((n = read(fd, g_text + total, sizeof(g_text) - 1 - (size_t)total)) > 0)
        total += n;
    close(fd);
    g_text[total] = 0;
    return total;
}

/* The value of a "Name:\tvalue" line. */
static const char *field(const char *name)
{
    static char value[128];
    char *at = g_text;
    size_t length = strlen(name);

    while (at && strncmp(at, name, length) != 0) {
        at = strchr(at, '\n');
        if (at)
            at++;
    }
    if (!at)
        return "missing";
    snprintf(value, sizeof(value), "%.*s", (int)strcspn(at + length, "\n"), at + length);
    return value;
}

static void self(char **argv)
{
    char link[4096], name[64];
    ssize_t n;
    int x = 0x12345678, fd;

    n = readlink("/proc/self", link, sizeof(link));
    snprintf(name, sizeof(name), "%d", (int)getpid());
    printf("self %d\n", n == (ssize_t)strlen(name) && memcmp(link, name, (size_t)n) == 0);
    n = readlink("/proc/self/exe", link, sizeof(link) - 1);
    CHECK(n > 0);
    link[n] = 0;
    printf("exe %d\n", strcmp(strrchr(link, '/'), strrchr(argv[0], '/')) == 0);
    CHECK(slurp("/proc/self/cmdline") > 0);
    printf("cmdline %d\n", strcmp(g_text, argv[0]) == 0);
    CHECK(slurp("/proc/self/maps") > 0);
    int found = 0;
    for (char *line = strtok(g_text, "\n"); line; line = strtok(NULL, "\n")) {
        unsigned long start, end;
        char prot[5];
        CHECK(sscanf(line, "%lx-%lx %4s", &start, &end, prot) == 3);
        if ((uintptr_t)&x >= start && (uintptr_t)&x < end)
            printf("stack %s %d\n", prot, strstr(line, "[stack]") != NULL);
        if ((uintptr_t)self >= start && (uintptr_t)self < end)
            found = prot[2] == 'x' && strstr(line, strrchr(argv[0], '/')) != NULL;
    }
    printf("text %d\n", found);
    fd = open("/proc/self/mem", O_RDWR);
    int y = 0;
    CHECK(fd >= 0 && pread(fd, &y, sizeof(y), (off_t)(uintptr_t)&x) == sizeof(y) && y == x);
    y = 77;
    CHECK(pwrite(fd, &y, sizeof(y), (off_t)(uintptr_t)&x) == sizeof(y) &&
          *(volatile int *)&x == 77);
    SHOW(pread(fd, &y, sizeof(y), 16));
    close(fd);
    prctl(PR_SET_NAME, "renamed");
    SHOW(slurp("/proc/self/comm"));
    printf("%s", g_text);
    fd = open("/proc/self/comm", O_WRONLY);
    SHOW(write(fd, "again", 5));
    close(fd);
    prctl(PR_GET_NAME, name);
    printf("%s\n", name);
    setenv("X", "y", 1); /* environ shows the initial strings only */
    CHECK(slurp("/proc/self/environ") >= 0);
    CHECK(slurp("/proc/self/auxv") > 0 && g_text[0] != 0);
}

static void *thread(void *arg)
{
    CHECK(read(*(int *)arg, &(char){0}, 1) == 0);
    return NULL;
}

static void status(void)
{
    unsigned long long size, resident;
    char state;
    int pid, ppid, pgrp, session, p[2];
    pthread_t t;

    CHECK(pipe(p) == 0 && pthread_create(&t, NULL, thread, &p[0]) == 0);
    CHECK(slurp("/proc/self/status") > 0);
    printf("name %s\n", field("Name:\t"));
    printf("threads %s\n", field("Threads:\t"));
    printf("pid %d ppid %d\n", atoi(field("Pid:\t")) == getpid(),
           atoi(field("PPid:\t")) == getppid());
    printf("state %s\n", field("State:\t"));
    SHOW(entries("/proc/self/task"));
    close(p[1]);
    pthread_join(t, NULL);
    close(p[0]);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGUSR2, SIG_IGN);
    kill(getpid(), SIGUSR1);
    CHECK(slurp("/proc/self/status") > 0);
    printf("blocked %s\n", field("SigBlk:\t"));
    printf("pending %s\n", field("ShdPnd:\t"));
    printf("ignored usr2 %d\n", (int)(strtoull(field("SigIgn:\t"), NULL, 16) >> (SIGUSR2 - 1) & 1));
    CHECK(slurp("/proc/self/stat") > 0);
    CHECK(sscanf(strrchr(g_text, ')') + 2, "%c %d %d %d", &state, &ppid, &pgrp, &session) == 4);
    pid = atoi(g_text);
    printf("stat %c %d %d %d %d\n", state, pid == getpid(), ppid == getppid(), pgrp == getpgrp(),
           session == getsid(0));
    CHECK(slurp("/proc/self/statm") > 0 && sscanf(g_text, "%llu %llu", &size, &resident) == 2);
    printf("sizes %d\n", size > 0 && resident > 0 && resident <= size);
}

static void descriptors(void)
{
    char name[64], link[256], data[16] = {0};
    int p[2], fd, again;
    ssize_t n;
    struct stat a, b;

    CHECK(pipe(p) == 0);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", p[0]);
    n = readlink(name, link, sizeof(link));
    printf("pipe link %.6s\n", n > 0 ? link : "none");
    again = open(name, O_RDONLY | O_NONBLOCK);
    CHECK(again >= 0 && write(p[1], "via proc", 8) == 8);
    SHOW(read(again, data, 8));
    CHECK(fstat(p[0], &a) == 0 && stat(name, &b) == 0);
    printf("same pipe %d\n", a.st_ino == b.st_ino);
    close(again);
    fd = open("/tmp/guest-proc", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && write(fd, "contents", 8) == 8);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    unlink("/tmp/guest-proc");
    n = readlink(name, link, sizeof(link) - 1);
    link[n > 0 ? n : 0] = 0;
    printf("%s\n", link);
    again = open(name, O_RDONLY);
    SHOW(read(again, data, sizeof(data)));
    printf("%s\n", data);
    close(again);
    CHECK(lstat(name, &a) == 0);
    printf("link mode %o\n", a.st_mode);
    snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
    CHECK(slurp(name) > 0);
    printf("pos %s, flags %s\n", field("pos:\t"), field("flags:\t"));
    close(fd);
    SHOW(open(name, O_RDONLY));
    snprintf(name, sizeof(name), "/dev/fd/%d", p[0]);
    SHOW(access(name, F_OK));
    SHOW(open("/proc/self/fd/999", O_RDONLY));
    SHOW(open("/proc/self/fd/00", O_RDONLY));
    SHOW(open("/proc/self/nothing", O_RDONLY));
    SHOW(open("/proc/999999/stat", O_RDONLY));
    SHOW(mkdir("/proc/new", 0700));
    SHOW(unlink("/proc/self/stat"));
    close(p[0]);
    close(p[1]);
}

static void children(void)
{
    char name[64], link[64];
    int p[2];
    ssize_t n;

    CHECK(pipe(p) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(p[1]);
        CHECK(chdir("/usr") == 0);
        kill(getpid(), SIGSTOP);
        _exit(0);
    }
    close(p[0]);
    CHECK(waitpid(child, NULL, WUNTRACED) == child);
    snprintf(name, sizeof(name), "/proc/%d/cwd", child);
    n = readlink(name, link, sizeof(link));
    printf("cwd %.*s\n", (int)n, link);
    snprintf(name, sizeof(name), "/proc/%d/status", child);
    CHECK(slurp(name) > 0);
    printf("state %s, parent %d\n", field("State:\t"), atoi(field("PPid:\t")) == getpid());
    kill(child, SIGCONT);
    siginfo_t info;
    CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
    CHECK(slurp(name) > 0);
    printf("name %s\n", field("Name:\t"));
    printf("state %s\n", field("State:\t"));
    snprintf(name, sizeof(name), "/proc/%d/cmdline", child);
    SHOW(slurp(name));
    snprintf(name, sizeof(name), "/proc/%d/fd/0", child);
    SHOW(readlink(name, link, sizeof(link)));
    snprintf(name, sizeof(name), "/proc/%d/stat", child);
    int fd = open(name, O_RDONLY);
    waitpid(child, NULL, 0);
    SHOW(read(fd, link, 1));
    SHOW(access(name, F_OK));
    close(fd);
    close(p[1]);
}

static void devices(void)
{
    char data[64] = {1, 1, 1, 1};
    int fd = open("/dev/zero", O_RDWR);
    struct stat st;

    SHOW(read(fd, data, 4));
    printf("%d\n", data[0] | data[3]);
    SHOW(write(fd, data, 64));
    char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(map != MAP_FAILED && map[8191] == 0);
    map[0] = 1;
    CHECK(munmap(map, 8192) == 0);
    close(fd);
    fd = open("/dev/null", O_RDWR);
    SHOW(read(fd, data, 4));
    SHOW(write(fd, data, 64));
    SHOW(lseek(fd, 100, SEEK_SET));
    close(fd);
    fd = open("/dev/full", O_RDWR);
    SHOW(read(fd, data, 4));
    SHOW(write(fd, data, 4));
    close(fd);
    fd = open("/dev/urandom", O_RDONLY);
    memset(data, 0, sizeof(data));
    SHOW(read(fd, data, 64));
    int any = 0;
    for (int i = 0; i < 64; i++)
        any |= data[i];
    printf("random %d\n", any != 0);
    close(fd);
    CHECK(stat("/dev/null", &st) == 0);
    printf("null %o %x\n", st.st_mode, (unsigned)st.st_rdev);
    CHECK(slurp("/proc/sys/kernel/ostype") > 0);
    printf("%s", g_text);
    CHECK(slurp("/proc/meminfo") > 0 && atoll(field("MemTotal:")) > 0);
    CHECK(slurp("/proc/uptime") > 0 && atof(g_text) > 0);
    CHECK(slurp("/proc/mounts") > 0 && strstr(g_text, " /proc proc "));
    CHECK(slurp("/proc/sys/kernel/random/uuid") == 37);
}

/* Sums over all of smaps. */
static void rollup(void)
{
    static const char *const names[] = {
        "Rss:",           "Pss:",           "Shared_Clean:", "Shared_Dirty:",
        "Private_Clean:", "Private_Dirty:", "Referenced:",   "Anonymous:",
        "AnonHugePages:", "Swap:",          "Locked:"};
    unsigned long start = 0, end = 0;
    char rest[100] = "";

    CHECK(slurp("/proc/self/smaps_rollup") > 0);
    CHECK(sscanf(g_text, "%lx-%lx %99[^\n]", &start, &end, rest) == 3);
    printf("rollup %d %.25s %s\n", (uintptr_t)&start > start && (uintptr_t)&start < end, rest,
           strchr(rest, '[') ? strchr(rest, '[') : "unnamed");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        printf("%s %d\n", names[i], strstr(field(names[i]), " kB") != NULL);
    long long sum = 0;
    for (int i = 2; i < 6; i++)
        sum += atoll(field(names[i]));
    printf("sum %d\n", sum > 0 && sum == atoll(field("Rss:")));
}

int main(int argc, char **argv)
{
    (void)argc;
    setvbuf(stdout, NULL, _IONBF, 0);
    self(argv);
    status();
    rollup();
    descriptors();
    children();
    devices();
    return 0;
}
