/*
 * For each number it reads: so many times fork + exit + wait, every 16th by way of a thread, every 64th with an execve; then it says
 * "done". Who feeds it can look at the host in between (tests/programs/growth.py). Without input it does argv[1] and ends.
 */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

static char *g_self;

static void *fork_once(void *arg)
{
    int i = *(int *)arg;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (i % 64 == 63)
            execl(g_self, g_self, "0", (char *)NULL);
        _exit(i & 0x3f ? i & 0x3f : 0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == (i % 64 == 63 ? 0 : i & 0x3f));
    return NULL;
}

static void rounds(int count)
{
    for (int i = 0; i < count; i++) {
        if (i % 16 == 15) {
            pthread_t thread;
            CHECK(pthread_create(&thread, NULL, fork_once, &i) == 0);
            CHECK(pthread_join(thread, NULL) == 0);
        } else {
            fork_once(&i);
        }
    }
}

int main(int argc, char **argv)
{
    CHECK(argc >= 1);
    g_self = argv[0];
    if (argc == 2) {
        rounds(atoi(argv[1]));
        return 0;
    }
    char line[32];
    while (fgets(line, sizeof(line), stdin)) {
        rounds(atoi(line));
        puts("done");
        fflush(stdout);
    }
    return 0;
}
