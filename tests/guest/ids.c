/* Process ids, groups, sessions, orphans, limits, names: relations only, numbers differ. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

int main(void)
{
    int fds[2], status;
    pid_t me = getpid(), seen;
    CHECK(pipe(fds) == 0 && getpgid(0) == getpgrp() && getsid(0) > 0);
    pid_t child = fork();
    if (child == 0) {
        CHECK(getppid() == me && getpgrp() == getpgid(me) && getsid(0) == getsid(me));
        CHECK(setpgid(0, 0) == 0 && getpgrp() == getpid());
        CHECK(setsid() == -1 && errno == EPERM);
        pid_t parent = getpid(), grandchild = fork();
        if (grandchild == 0) {
            CHECK(setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid());
            while (getppid() == parent)
                usleep(1000);
            CHECK(getppid() != me);
            seen = getpid();
            _exit(write(fds[1], &seen, sizeof(seen)) == sizeof(seen) ? 0 : 1);
        }
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(read(fds[0], &seen, sizeof(seen)) == sizeof(seen) && seen != child && seen != me);
    CHECK(waitpid(seen, &status, 0) == -1 && errno == ECHILD);
    CHECK(kill(0x3fffffff, 0) == -1 && errno == ESRCH);
    CHECK(kill(me, 65) == -1 && errno == EINVAL);
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > 64);
    limit.rlim_cur = 20;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int fd, last = -1;
    while ((fd = dup(0)) >= 0)
        last = fd;
    CHECK(errno == EMFILE && last == 19);
    struct utsname name;
    CHECK(uname(&name) == 0 && strcmp(name.sysname, "Linux") == 0 &&
          strcmp(name.machine, "x86_64") == 0);
    char comm[16];
    CHECK(prctl(PR_SET_NAME, "renamed") == 0 && prctl(PR_GET_NAME, comm) == 0 &&
          strcmp(comm, "renamed") == 0);
    FILE *f;
    CHECK(close(19) == 0 && (f = fopen("/proc/self/comm", "r")) && fgets(comm, sizeof(comm), f));
    printf("comm %s", comm);
    printf("uid %d gid %d\n", (int)getuid(), (int)getgid());
    CHECK(setpriority(PRIO_PROCESS, 0, 0) ==
          0); /* natively it is what the tests were started with */
    printf("a priority of %d\n", getpriority(PRIO_PROCESS, 0));
    return 0;
}
