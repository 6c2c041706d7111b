/* Programs with set-user-ID and set-group-ID bits: what ids, AT_SECURE and rights execve gives them. */
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define NOBODY 65534
#define OTHER 4242

static int ambient;
static char dir[] = "/var/tmp/guest-exec-ids-XXXXXX", program[64], script[64];

static void show_ids(void)
{
    uid_t r, e, s;
    gid_t gr, ge, gs;
    CHECK(getresuid(&r, &e, &s) == 0 && getresgid(&gr, &ge, &gs) == 0);
    printf("  user %u %u %u group %u %u %u secure %lu aux %lu %lu dumpable %d reads it %d\n", r, e,
           s, gr, ge, gs, getauxval(AT_SECURE), getauxval(AT_EUID), getauxval(AT_EGID),
           prctl(PR_GET_DUMPABLE), open("/etc/shadow", O_RDONLY) >= 0);
    FILE *f = fopen("/proc/self/status", "r");
    char line[128];
    CHECK(f);
    while (fgets(line, sizeof(line), f))
        if (!strncmp(line, "CapPrm", 6) || !strncmp(line, "CapEff", 6) ||
            !strncmp(line, "CapAmb", 6))
            printf("  %.7s %llx\n", line, strtoull(line + 7, NULL, 16) & 0x3ff);
    fclose(f);
    int death = -1;
    CHECK(prctl(PR_GET_PDEATHSIG, &death) == 0);
    printf("  signal at the parent's death %d\n", death);
    fflush(stdout);
}

/* Keep one right beyond the change of user, and pass it on to programs. */
static void raise_ambient(void)
{
    struct {
        uint32_t version;
        int pid;
    } header = {0x20080522u, 0};
    struct {
        uint32_t effective, permitted, inheritable;
    } data[2] = {{1u << 5, 1u << 5, 1u << 5}};
    CHECK(syscall(SYS_capset, &header, data) == 0 &&
          prctl(47 /* PR_CAP_AMBIENT */, 2 /* raise */, 5 /* CAP_KILL */, 0, 0) == 0);
}

/* As user and group `id`, runs the program with `mode`, owned by `uid` and `gid`. */
static void run(const char *what, const char *path, mode_t mode, uid_t uid, gid_t gid, int no_new)
{
    printf("%s\n", what);
    fflush(stdout);
    CHECK(chown(path, uid, gid) == 0 && chmod(path, mode) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
              prctl(PR_SET_KEEPCAPS, ambient) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
        if (ambient)
            raise_ambient();
        CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
        if (no_new)
            CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        execl(path, path, "ids", (char *)NULL);
        printf("  not run: %d\n", errno);
        fflush(stdout);
        _exit(1);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("  status %x\n", status);
}

static void copy_self(void)
{
    char buffer[65536];
    ssize_t n;
    int from = open("/proc/self/exe", O_RDONLY), to = open(program, O_WRONLY | O_CREAT, 0755);
    CHECK(from >= 0 && to >= 0);
    while ((n = read(from, buffer, sizeof(buffer))) > 0)
        CHECK(write(to, buffer, (size_t)n) == n);
    close(from), close(to);
    to = open(script, O_WRONLY | O_CREAT, 0755);
    CHECK(dprintf(to, "#!%s ids\n", program) > 0);
    close(to);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    CHECK(stat(path, &st) == 0);
    return st.st_mode & 07777;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        show_ids();
        return 0;
    }
    (void)argv;
    CHECK(mkdtemp(dir) && chmod(dir, 0755) == 0);
    snprintf(program, sizeof(program), "%s/program", dir);
    snprintf(script, sizeof(script), "%s/script", dir);
    copy_self();
    run("plain", program, 0755, 0, 0, 0);
    run("set-user-ID root", program, 04755, 0, 0, 0);
    run("set-user-ID another", program, 04755, OTHER, OTHER, 0);
    run("set-group-ID", program, 02755, OTHER, OTHER, 0);
    run("both", program, 06755, OTHER, OTHER, 0);
    run("both, to oneself", program, 06755, NOBODY, NOBODY, 0);
    run("set-group-ID without execution by the group", program, 02745, OTHER, OTHER, 0);
    run("no new privileges", program, 06755, 0, 0, 1);
    run("not to be executed", program, 04700, 0, 0, 0);
    ambient = 1;
    run("plain, with a right that is passed on", program, 0755, 0, 0, 0);
    run("set-user-ID with it", program, 04755, OTHER, OTHER, 0);
    run("set-group-ID with it", program, 02755, OTHER, OTHER, 0);
    ambient = 0;
    CHECK(chmod(program, 0755) == 0);
    run("a script", script, 06755, OTHER, OTHER, 0);
    chmod(program, 06755);
    run("a script of such a program", script, 0755, 0, 0, 0);
    chmod(program, 06755);
    printf("changed owner: %o", mode_of(program));
    CHECK(chown(program, OTHER, OTHER) == 0);
    printf(" %o\n", mode_of(program));
    unlink(program), unlink(script), rmdir(dir);
    return 0;
}
