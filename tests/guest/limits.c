/* setrlimit(2): processes of a user, processor time, address space, descriptors, sizes of files; who may change what. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

/* Nobody else's, no other test's either: their processes would count. */
#define USER 54399

static long result(long r)
{
    return r < 0 ? -errno : r;
}

static void limit(int which, rlim_t soft, rlim_t hard)
{
    struct rlimit r = {soft, hard};
    CHECK(setrlimit(which, &r) == 0);
}

static void *nothing(void *arg)
{
    return arg;
}

static void processes_of_a_user(void)
{
    pid_t pids[8];
    int count = 0;
    int gate[2];
    CHECK(pipe(gate) == 0 && setresgid(USER, USER, USER) == 0 && setresuid(USER, USER, USER) == 0);
    limit(RLIMIT_NPROC, 3, 5);
    for (; count < 8; count++) {
        pids[count] = fork();
        if (pids[count] < 0)
            break;
        if (pids[count] == 0) {
            char byte;
            close(gate[1]);
            _exit(read(gate[0], &byte, 1) == 0 ? 0 : 1);
        }
    }
    printf("children %d, then %s\n", count, count < 8 ? strerror(errno) : "no end");
    pthread_t t;
    printf("a thread: %s\n", strerror(pthread_create(&t, NULL, nothing, NULL)));
    close(gate[1]);
    for (int i = 0; i < count; i++) {
        siginfo_t info;
        CHECK(waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOWAIT) == 0);
    }
    printf("zombies count: %ld\n", result(fork()));
    for (int i = 0; i < count; i++)
        CHECK(waitpid(pids[i], NULL, 0) == pids[i]);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    printf("room again %d\n", pid > 0 && waitpid(pid, NULL, 0) == pid);
    struct rlimit r = {3, 6};
    printf("raise %ld\n", result(setrlimit(RLIMIT_NPROC, &r)));
    r.rlim_cur = 9;
    printf("soft above hard %ld\n", result(setrlimit(RLIMIT_NPROC, &r)));
    printf("of another user %ld\n", result(prlimit(getppid(), RLIMIT_NPROC, NULL, &r)));
}

static pid_t sleeper(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(setresuid(USER, USER, USER) == 0);
        pause();
    }
    CHECK(pid > 0);
    until_asleep(pid, pid);
    return pid;
}

static void end(pid_t pid)
{
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

/* In a child beside two processes of the user's: each time it stops there is one less. */
static void beside_two(void (*run)(void))
{
    pid_t others[2] = {sleeper(), sleeper()};
    int left = 2, status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        run();
        fflush(stdout);
        _exit(0);
    }
    CHECK(pid > 0);
    while (waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status)) {
        CHECK(left > 0);
        end(others[--left]);
        CHECK(kill(pid, SIGCONT) == 0);
    }
    printf("status %x\n", status);
    while (left > 0)
        end(others[--left]);
}

static void run_true(const char *when)
{
    char name[] = "true";
    char *const words[] = {name, NULL};
    printf("%s: ", when);
    fflush(stdout);
    execv("/bin/true", words);
    printf("%s\n", strerror(errno));
}

static void become_user(rlim_t processes)
{
    limit(RLIMIT_NPROC, processes, 5);
    CHECK(setresuid(USER, USER, USER) == 0);
}

/* execve(2), EAGAIN: a process that setuid made one too many, as long as it is. */
static void one_too_many(void)
{
    become_user(1);
    run_true("one too many");
    limit(RLIMIT_NPROC, 2, 5);
    run_true("still");
    limit(RLIMIT_NPROC, 3, 5);
    run_true("room by a limit");
}

static void at_the_limit(void)
{
    become_user(2);
    run_true("was not one too many");
}

static void lowered_afterwards(void)
{
    become_user(5);
    limit(RLIMIT_NPROC, 0, 5);
    run_true("lowered afterwards");
}

static void effective_only(void)
{
    limit(RLIMIT_NPROC, 0, 0);
    CHECK(setresuid(0, USER, USER) == 0);
    run_true("the real user is root");
}

static void room_again(void)
{
    become_user(1);
    raise(SIGSTOP);
    run_true("one less");
    raise(SIGSTOP);
    run_true("two less");
}

static void forgotten_by_fork(void)
{
    become_user(1);
    run_true("one too many");
    raise(SIGSTOP);
    raise(SIGSTOP);
    limit(RLIMIT_NPROC, 2, 5);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    CHECK(pid > 0 && waitpid(pid, NULL, 0) == pid);
    limit(RLIMIT_NPROC, 0, 5);
    run_true("room was seen by fork");
}

static void root_is_free(void)
{
    limit(RLIMIT_NPROC, 1, 1);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    printf("root forks %d\n", pid > 0 && waitpid(pid, NULL, 0) == pid);
}

static volatile sig_atomic_t told;

static void on_time_up(int sig)
{
    struct rlimit r;
    (void)sig;
    if (told++)
        return;
    getrlimit(RLIMIT_CPU, &r);
    printf("told; the limit was raised %d\n", r.rlim_cur > 1);
    fflush(stdout);
    limit(RLIMIT_CPU, 2, 2);
}

static void burn(void)
{
    signal(SIGXCPU, on_time_up);
    for (volatile unsigned long i = 0;; i++)
        ;
}

static void processor_time(void)
{
    limit(RLIMIT_CPU, 1,
          1000); /* time may pass in big steps: the end is near only for who was told */
    int status = in_child(burn);
    printf("ended by signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void space(void)
{
    limit(RLIMIT_AS, 256 << 20, RLIM_INFINITY);
    void *big = mmap(NULL, 300 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("too much %s\n", big == MAP_FAILED ? strerror(errno) : "mapped");
    void *some = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("some %s\n", some == MAP_FAILED ? strerror(errno) : "mapped");
    printf("grow %s\n", mremap(some, 1 << 20, 400 << 20, MREMAP_MAYMOVE) == MAP_FAILED
                            ? strerror(errno)
                            : "grown");
}

static void descriptors(void)
{
    limit(RLIMIT_NOFILE, 5, 6);
    long r[4];
    r[0] = result(dup(1));
    r[1] = result(dup(1));
    r[2] = result(dup(1));
    r[3] = result(dup2(1, 5));
    printf("dup %ld %ld %ld, dup2 %ld\n", r[0], r[1], r[2], r[3]);
    printf("from there on %ld\n", result(fcntl(1, F_DUPFD, 5)));
}

static void file_size(void)
{
    char path[] = "/tmp/guest-limits-XXXXXX", text[100] = "";
    int fd = mkstemp(path);
    CHECK(fd >= 0 && unlink(path) == 0);
    limit(RLIMIT_FSIZE, 150, RLIM_INFINITY);
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 3; i++) {
        long r = result(write(fd, text, sizeof(text)));
        printf("write %ld\n", r);
    }
    printf("truncate %ld\n", result(ftruncate(fd, 151)));
    printf("allocate %ld\n", result(fallocate(fd, 0, 149, 2)));
    printf("within %ld\n", result(fallocate(fd, 0, 100, 50)));
    printf("behind the end %ld\n", result(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 5000)));
    struct stat st;
    CHECK(fstat(fd, &st) == 0);
    printf("size %lld\n", (long long)st.st_size);
    signal(SIGXFSZ, SIG_DFL);
    sigset_t blocked, pending;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGXFSZ);
    CHECK(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
    long r = result(fallocate(fd, 0, 0, 5000));
    CHECK(sigpending(&pending) == 0);
    printf("allocate %ld, pending %d\n", r, sigismember(&pending, SIGXFSZ));
    signal(SIGXFSZ, SIG_IGN);
    CHECK(sigprocmask(SIG_UNBLOCK, &blocked, NULL) == 0);
    signal(SIGXFSZ, SIG_DFL);
    fflush(stdout);
    if (write(fd, text, 1) < 0)
        printf("not killed\n");
}

int main(void)
{
    printf("processes_of_a_user: status %x\n", in_child(processes_of_a_user));
    void (*const programs[])(void) = {one_too_many,   at_the_limit, lowered_afterwards,
                                      effective_only, room_again,   forgotten_by_fork};
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
        beside_two(programs[i]);
    printf("root_is_free: status %x\n", in_child(root_is_free));
    printf("processor_time: status %x\n", in_child(processor_time));
    printf("space: status %x\n", in_child(space));
    printf("descriptors: status %x\n", in_child(descriptors));
    printf("status %x\n", in_child(file_size) & 0x7f);
    return 0;
}
