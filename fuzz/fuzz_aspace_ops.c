/*
 * fuzz_aspace_ops.c: libFuzzer's side. Arguments of its own: --platform=NAME (default: linux_user),
 * --runner=PATH (default: aspace_runner beside the fuzzer). An input is handed to a runner in
 * another process; that one's counters are this one's coverage.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/aspace_channel.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libFuzzer takes what stands here as coverage. */
__attribute__((section("__libfuzzer_extra_counters"),
               used)) static uint8_t g_counters[CHANNEL_COUNTERS];

static const char *g_platform = "linux_user";
static char g_runner[4096];
static struct aspace_channel *g_channel;
static pid_t g_pid;

enum { PATIENCE_S = 20 };

static void give_up(const char *what)
{
    fprintf(stderr, "aspace_ops on %s: %s\n", g_platform, what);
    if (g_pid > 0)
        kill(g_pid, SIGKILL);
    abort();
}

/* Without an answer: one that found something ends right after it has said so. */
static void check_runner(void)
{
    int status;
    if (waitpid(g_pid, &status, WNOHANG) == g_pid &&
        __atomic_load_n(&g_channel->turn, __ATOMIC_ACQUIRE) != CHANNEL_FUZZER)
        give_up("the runner died");
}

/* Until the runner has answered. A runner that died or hangs is a finding. */
static void wait_for_turn(void)
{
    const struct timespec slice = {.tv_sec = 1};
    for (int i = 0; i < PATIENCE_S; i++) {
        uint32_t turn;
        while ((turn = __atomic_load_n(&g_channel->turn, __ATOMIC_ACQUIRE)) != CHANNEL_FUZZER) {
            long err = channel_futex(&g_channel->turn, 0 /* FUTEX_WAIT */, turn, &slice);
            check_runner();
            if (err == -ETIMEDOUT)
                break;
        }
        if (turn == CHANNEL_FUZZER)
            return;
    }
    give_up("the runner hangs");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *runner = NULL;
    for (int i = 1; i < *argc; i++) {
        if (strncmp((*argv)[i], "--platform=", 11) == 0)
            g_platform = (*argv)[i] + 11;
        if (strncmp((*argv)[i], "--runner=", 9) == 0)
            runner = (*argv)[i] + 9;
    }
    const char *slash = strrchr((*argv)[0], '/');
    if (runner)
        snprintf(g_runner, sizeof(g_runner), "%s", runner);
    else
        snprintf(g_runner, sizeof(g_runner), "%.*saspace_runner",
                 slash ? (int)(slash - (*argv)[0] + 1) : 0, (*argv)[0]);

    int fd = memfd_create("aspace_channel", 0);
    if (fd < 0 || ftruncate(fd, sizeof(*g_channel)) < 0)
        give_up("no memory for the channel");
    g_channel = mmap(NULL, sizeof(*g_channel), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (g_channel == MAP_FAILED)
        give_up("no memory for the channel");
    g_pid = fork();
    if (g_pid == 0) {
        if (dup2(fd, CHANNEL_FD) == CHANNEL_FD)
            execl(g_runner, "aspace_runner", g_platform, (char *)NULL);
        fprintf(stderr, "%s: %s\n", g_runner, strerror(errno));
        _exit(127);
    }
    close(fd);
    wait_for_turn();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > CHANNEL_INPUT_MAX)
        return -1;
    memcpy(g_channel->input, data, size);
    g_channel->size = (uint32_t)size;
    memset(g_channel->counters, 0, sizeof(g_channel->counters));
    channel_give(g_channel, CHANNEL_RUNNER);
    wait_for_turn();
    if (g_channel->failed)
        give_up(g_channel->text);
    memcpy(g_counters, g_channel->counters, sizeof(g_counters));
    return 0;
}
