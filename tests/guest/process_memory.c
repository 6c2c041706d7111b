/* Another process's memory (process_vm_readv, process_vm_writev), and files that are written and executed (ETXTBSY). */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define PAGE 4096ul
#define FAILS(call, number) CHECK((errno = 0, (long)(call) == -1) && errno == (number))

static pid_t sleeper(char *p)
{
    int fds[2];
    char c;
    CHECK(pipe(fds) == 0);
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        memset(p, 'c', 3 * PAGE);
        CHECK(mprotect(p + PAGE, PAGE, PROT_READ) == 0);
        CHECK(write(fds[1], "x", 1) == 1);
        for (;;)
            pause();
    }
    CHECK(read(fds[0], &c, 1) == 1);
    close(fds[0]);
    close(fds[1]);
    return pid;
}

static void other_memory(void)
{
    static char buffer[4 * PAGE];
    char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED && munmap(p + 3 * PAGE, PAGE) == 0);
    memset(p, 'p', 3 * PAGE);
    pid_t pid = sleeper(p);
    struct iovec local = {buffer, sizeof(buffer)}, remote = {p, 3 * PAGE};
    CHECK(process_vm_readv(pid, &local, 1, &remote, 1, 0) == 3 * PAGE && buffer[0] == 'c' &&
          buffer[3 * PAGE - 1] == 'c');
    CHECK(p[0] == 'p');
    /* Several pieces, of different cuts. */
    struct iovec ins[3] = {{buffer, 1}, {buffer + 100, 0}, {buffer + 200, 9}},
                 outs[2] = {{p + PAGE - 2, 4}, {p, 6}};
    memset(buffer, 0, sizeof(buffer));
    CHECK(process_vm_readv(pid, ins, 3, outs, 2, 0) == 10 && buffer[0] == 'c' && buffer[1] == 0 &&
          buffer[208] == 'c');
    /* Up to where it cannot be reached. */
    remote.iov_len = 4 * PAGE;
    CHECK(process_vm_readv(pid, &local, 1, &remote, 1, 0) == 3 * PAGE);
    remote.iov_base = p + 3 * PAGE;
    FAILS(process_vm_readv(pid, &local, 1, &remote, 1, 0), EFAULT);
    memset(buffer, 'w', sizeof(buffer));
    remote = (struct iovec){p, 2 * PAGE};
    CHECK(process_vm_writev(pid, &local, 1, &remote, 1, 0) ==
          PAGE); /* the second page is read-only there */
    remote = (struct iovec){p, 2 * PAGE};
    CHECK(process_vm_readv(pid, &local, 1, &remote, 1, 0) == 2 * PAGE && buffer[PAGE - 1] == 'w' &&
          buffer[PAGE] == 'c');
    FAILS(process_vm_readv(pid, &local, 1, &remote, 1, 1), EINVAL);
    FAILS(process_vm_readv(pid, &local, 1025, &remote, 1, 0), EINVAL);
    FAILS(process_vm_readv(pid, NULL, 1, &remote, 1, 0), EFAULT);
    CHECK(process_vm_readv(pid, &local, 0, &remote, 1, 0) == 0 &&
          process_vm_readv(pid, &local, 1, &remote, 0, 0) == 0);
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
    FAILS(process_vm_readv(pid, &local, 1, &remote, 1, 0), ESRCH);
    remote = (struct iovec){p, PAGE};
    CHECK(process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == PAGE && buffer[5] == 'p');
    printf("another process's memory\n");
    if (getuid() == 0) {
        pid = sleeper(p);
        pid_t nobody = fork();
        if (nobody == 0) {
            CHECK(setuid(4242) == 0);
            FAILS(process_vm_readv(pid, &local, 1, &remote, 1, 0), EPERM);
            _exit(0);
        }
        int status;
        CHECK(waitpid(nobody, &status, 0) == nobody && status == 0);
        CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
    }
    printf("permission\n");
}

static void copy_self(const char *to)
{
    static char buffer[65536];
    int in = open("/proc/self/exe", O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    ssize_t n;
    CHECK(in >= 0 && out >= 0);
    while ((n = read(in, buffer, sizeof(buffer))) > 0)
        CHECK(write(out, buffer, n) == n);
    CHECK(n == 0 && close(in) == 0 && close(out) == 0);
}

static void busy_text(void)
{
    char name[64], script[64];
    int fds[2];
    snprintf(name, sizeof(name), "/tmp/guest-busy-%d", getpid());
    snprintf(script, sizeof(script), "/tmp/guest-script-%d", getpid());
    copy_self(name);
    char *argv[] = {name, "wait", NULL};
    int fd = open(name, O_WRONLY);
    CHECK(fd >= 0);
    FAILS(execv(name, argv), ETXTBSY);
    close(fd);
    CHECK(pipe(fds) == 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 1);
        execv(name, argv);
        _exit(1);
    }
    char c;
    CHECK(read(fds[0], &c, 1) == 1); /* it runs */
    FAILS(open(name, O_WRONLY), ETXTBSY);
    FAILS(open(name, O_RDWR), ETXTBSY);
    FAILS(open(name, O_RDONLY | O_TRUNC), ETXTBSY);
    FAILS(truncate(name, 0), ETXTBSY);
    fd = open(name, O_RDONLY);
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
    fd = open(name, O_WRONLY);
    for (int i = 0; fd < 0 && i < 60000; i++) { /* memory goes a moment later than the process */
        usleep(1000);
        fd = open(name, O_WRONLY);
    }
    CHECK(fd >= 0 && close(fd) == 0 && unlink(name) == 0);
    fd = open(script, O_WRONLY | O_CREAT, 0755);
    CHECK(fd >= 0 && write(fd, "#!/bin/true\n", 12) == 12);
    char *script_argv[] = {script, NULL};
    FAILS(execv(script, script_argv), ETXTBSY);
    CHECK(close(fd) == 0 && unlink(script) == 0);
    printf("busy text\n");
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "wait") == 0) {
        CHECK(write(1, "x", 1) == 1);
        for (;;)
            pause();
    }
    other_memory();
    busy_text();
    return 0;
}
