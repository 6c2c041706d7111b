/*
 * sandbox_test.c: what the filter of the VMM lets through, and what it stops: each act in a process of its own. --list prints the
 * list, as in the docs.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <linux/kvm.h>

#include "platform/annotations.h"
#include "platform/kvm/vmm/sandbox.h"

static pid_t g_parent;
static char g_page[4096] __attribute__((aligned(4096)));

static void execute(void)
{
    char *const argv[] = {(char *)(uintptr_t) "/bin/true", NULL};
    execve(argv[0], argv, argv + 1);
}

static void fork_child(void)
{
    if (syscall(SYS_fork) == 0)
        _exit(0);
}

static void clone_child(void)
{
    if (syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) == 0)
        _exit(0);
}

static void make_socket(void)
{
    socket(AF_INET, SOCK_STREAM, 0);
}

static void code_by_mmap(void)
{
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        return;
}

static void code_by_mprotect(void)
{
    mprotect(g_page, sizeof(g_page), PROT_READ | PROT_EXEC);
}

static void kill_parent(void)
{
    kill(g_parent, 0);
}

static void kill_init(void)
{
    kill(1, 0);
}

static void trace_me(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void type_into_terminal(void)
{
    ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static void another_machine(void)
{
    ioctl(STDIN_FILENO, KVM_CREATE_VM, 0);
}

static void change_identity(void)
{
    if (setuid(65534))
        return;
}

static void raise_limit(void)
{
    const struct rlimit limit = {64, 64};
    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
}

static void new_namespace(void)
{
    syscall(SYS_unshare, 0);
}

static void old_call_table(void)
{
    long result = 20; /* getpid there */
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
}

static void x32_call(void)
{
    syscall(0x40000000 | SYS_getpid);
}

static void *one(void *arg)
{
    return arg;
}

static void check(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    _exit(1);
}

/* What the VMM does all day. */
static void ordinary_work(void)
{
    pthread_t thread;
    void *result;
    char byte;
    check(pthread_create(&thread, NULL, one, g_page) == 0 && pthread_join(thread, &result) == 0 &&
              result == g_page,
          "a thread");
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    check(fd >= 0 && pread(fd, &byte, 1, 1) == 1 && byte == 'E' && close(fd) == 0, "a file");
    check(getrandom(g_page, 16, 0) == 16, "entropy");
    void *big = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(big != MAP_FAILED, "memory");
    check(madvise(big, 4096, MADV_DONTNEED) == 0 && munmap(big, 4096) == 0, "giving it back");
    check(raise(SIGURG) == 0, "a signal to itself");
    check(mprotect(g_page, sizeof(g_page), PROT_READ) == 0, "protection");
    check(ioctl(-1, KVM_RUN, 0) < 0 && errno == EBADF, "KVM_RUN");
    check(ioctl(-1, TCGETS, g_page) < 0 && errno == EBADF, "TCGETS");
    check(prctl(PR_SET_NAME, "vmm") == 0, "a name");
}

/* With the host's network. */
static void network_work(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    check(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0, "bind");
    check(listen(fd, 1) == 0 && getsockname(fd, (struct sockaddr *)&at, &size) == 0, "listen");
    check(accept4(fd, NULL, NULL, SOCK_CLOEXEC) < 0 && errno == EAGAIN, "accept4");
    int other = socket(AF_INET6, SOCK_DGRAM, 0);
    check(other >= 0 || errno == EAFNOSUPPORT, "a second family");
}

static void served_work(void)
{
    check(accept4(-1, NULL, NULL, SOCK_CLOEXEC) < 0 && errno == EBADF, "accept4");
    check(shutdown(-1, SHUT_RD) < 0 && errno == EBADF, "shutdown");
}

static void make_local_socket(void)
{
    close(socket(AF_UNIX, SOCK_STREAM, 0));
}

enum expected { LIVES, DIES };
static const struct {
    const char *name;
    void (*act)(void);
    enum expected expected;
    enum sandbox_sockets sockets;
} g_acts[] = {
    {"network", network_work, LIVES, SANDBOX_NETWORK},
    {"served ports", served_work, LIVES, SANDBOX_LISTENERS},
    {"served ports, ungranted", served_work, DIES, SANDBOX_NO_SOCKETS},
    {"a local socket beside the network", make_local_socket, DIES, SANDBOX_NETWORK},
    {"a socket beside served ports", make_socket, DIES, SANDBOX_LISTENERS},
    {"ordinary work", ordinary_work, LIVES, SANDBOX_NO_SOCKETS},
    {"execve", execute, DIES, SANDBOX_NO_SOCKETS},
    {"fork", fork_child, DIES, SANDBOX_NO_SOCKETS},
    {"clone of a process", clone_child, DIES, SANDBOX_NO_SOCKETS},
    {"socket", make_socket, DIES, SANDBOX_NO_SOCKETS},
    {"mmap of code", code_by_mmap, DIES, SANDBOX_NO_SOCKETS},
    {"mprotect to code", code_by_mprotect, DIES, SANDBOX_NO_SOCKETS},
    {"kill of the parent", kill_parent, DIES, SANDBOX_NO_SOCKETS},
    {"kill of init", kill_init, DIES, SANDBOX_NO_SOCKETS},
    {"ptrace", trace_me, DIES, SANDBOX_NO_SOCKETS},
    {"ioctl TIOCSTI", type_into_terminal, DIES, SANDBOX_NO_SOCKETS},
    {"ioctl KVM_CREATE_VM", another_machine, DIES, SANDBOX_NO_SOCKETS},
    {"setuid", change_identity, DIES, SANDBOX_NO_SOCKETS},
    {"prlimit64 with a new limit", raise_limit, DIES, SANDBOX_NO_SOCKETS},
    {"unshare", new_namespace, DIES, SANDBOX_NO_SOCKETS},
    {"int 0x80", old_call_table, DIES, SANDBOX_NO_SOCKETS},
    {"x32 call", x32_call, DIES, SANDBOX_NO_SOCKETS},
};

static int run(void (*act)(void), enum expected expected, enum sandbox_sockets sockets,
               const char *name)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        char why[256] = "";
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        if (vm_sandbox_enter(sockets, why, sizeof(why))) {
            fprintf(stderr, "%s\n", why);
            _exit(77);
        }
        act();
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        perror("fork");
        return 1;
    }
    /* SIGSEGV: int $0x80 where the kernel has no such table. */
    int stopped = WIFSIGNALED(status) && (WTERMSIG(status) == SIGSYS ||
                                          (act == old_call_table && WTERMSIG(status) == SIGSEGV));
    int lived = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (expected == DIES ? stopped : lived)
        return 0;
    printf("%s: %s, status %#x\n", name, expected == DIES ? "was not stopped" : "failed",
           (unsigned)status);
    return 1;
}

int main(int argc, char **argv)
{
    int failed = 0;
    if (argc > 1 && strcmp(argv[1], "--list") == 0) {
        vm_sandbox_print(stdout);
        return 0;
    }
    g_parent = getpid();
    for (size_t i = 0; i < sizeof(g_acts) / sizeof(g_acts[0]); i++)
        failed += run(g_acts[i].act, g_acts[i].expected, g_acts[i].sockets, g_acts[i].name);
    if (failed == 0)
        printf("all stopped\n");
    return failed != 0;
}
