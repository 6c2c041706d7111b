/* execve, vfork, posix_spawn: arguments, environment, descriptors, masks; failures come back. */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

extern char **environ;

static int second(int argc, char **argv)
{
    sigset_t set;
    struct sigaction action;
    CHECK(argc == 5);
    int kept = atoi(argv[2]), closed = atoi(argv[3]);
    CHECK(fcntl(kept, F_GETFD) == 0);
    CHECK(fcntl(closed, F_GETFD) == -1 && errno == EBADF);
    CHECK(sigprocmask(SIG_SETMASK, NULL, &set) == 0 && sigismember(&set, SIGUSR1));
    CHECK(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    CHECK(sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
    CHECK(getpid() == atoi(argv[4]));
    printf("second program: %s, only variable %s\n", argv[1], environ[0]);
    return 12;
}

static void nothing(int sig)
{
    (void)sig;
}

static int status_of(pid_t pid)
{
    int status;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

static void fails(const char *path, int error)
{
    char *argv[] = {(char *)path, NULL};
    CHECK(execve(path, argv, environ) == -1);
    if (errno != error)
        printf("%s: errno %d, not %d\n", path, errno, error);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return second(argc, argv);
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    CHECK(length > 0);
    self[length] = '\0';

    fails("/no/such/program", ENOENT);
    fails("/etc", EACCES);
    fails("/etc/passwd", EACCES);
    fails("/etc/passwd/x", ENOTDIR);
    char name[] = "/tmp/guest-exec-XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0 && write(fd, "not a program", 13) == 13 && fchmod(fd, 0755) == 0 &&
          close(fd) == 0);
    fails(name, ENOEXEC);
    CHECK(unlink(name) == 0);
    printf("failures come back\n");

    int kept = open("/dev/null", O_RDONLY), closed = open("/dev/null", O_RDONLY | O_CLOEXEC);
    char words[3][16];
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGUSR2, nothing);
        signal(SIGHUP, SIG_IGN);
        sigprocmask(SIG_BLOCK, &set, NULL);
        snprintf(words[0], 16, "%d", kept);
        snprintf(words[1], 16, "%d", closed);
        snprintf(words[2], 16, "%d", (int)getpid());
        char *args[] = {self, "by execve", words[0], words[1], words[2], NULL},
             *vars[] = {"ONLY=1", NULL};
        execve(self, args, vars);
        _exit(97);
    }
    CHECK(WEXITSTATUS(status_of(pid)) == 12);

    volatile int changed = 0;
    pid = vfork();
    if (pid == 0) {
        changed = 1; /* same memory */
        execl("/bin/sh", "sh", "-c", "exit 9", (char *)NULL);
        _exit(97);
    }
    CHECK(changed == 1 && WEXITSTATUS(status_of(pid)) == 9);
    pid = vfork();
    if (pid == 0)
        _exit(8);
    CHECK(WEXITSTATUS(status_of(pid)) == 8);
    char *args[] = {"echo", "by posix_spawn", NULL};
    CHECK(posix_spawnp(&pid, "echo", NULL, NULL, args, environ) == 0);
    CHECK(status_of(pid) == 0);
    CHECK(posix_spawn(&pid, "/no/such", NULL, NULL, args, environ) == ENOENT);
    CHECK(system("exit 3") >> 8 == 3);

    CHECK((fd = open("/tmp/guest-script", O_WRONLY | O_CREAT | O_TRUNC, 0755)) >= 0);
    CHECK(write(fd, "#!/bin/sh -e\necho script \"$@\"\n", 30) == 30 && close(fd) == 0);
    pid = fork();
    if (pid == 0) {
        execl("/tmp/guest-script", "ignored", "a b", "c", (char *)NULL);
        _exit(97);
    }
    CHECK(status_of(pid) == 0 && unlink("/tmp/guest-script") == 0);
    return 0;
}
