/*
 * aspace_runner.c: executes inputs of fuzz_aspace_ops in one instance of a platform, and compares
 * every byte it can see with the model. Usage: aspace_runner PLATFORM, with the channel at
 * descriptor CHANNEL_FD. Runs until killed.
 *
 * An input is a list of operations of four bytes: operation and thread, then three arguments. Every
 * byte means something.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "fuzz/aspace_channel.h"
#include "fuzz/aspace_exec.h"
#include "platform/front.h"

int main(int argc, char **argv)
{
    const struct platform_front *front = argc == 2 ? platform_front_find(argv[1]) : NULL;
    if (!front) {
        fprintf(stderr, "usage: aspace_runner PLATFORM\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct aspace_channel *channel =
        mmap(NULL, sizeof(*channel), PROT_READ | PROT_WRITE, MAP_SHARED, CHANNEL_FD, 0);
    if (channel == MAP_FAILED) {
        perror("aspace_runner: channel");
        return 2;
    }
    const struct platform_options options = {.trace_fd = -1};
    const struct aspace_exec_blob blob = {.front = front, .channel = channel};
    char why[256] = "";
    int status = 0;
    if (front->run(&options, aspace_exec_main, &blob, sizeof(blob), &status, why, sizeof(why))) {
        fprintf(stderr, "aspace_runner: %s: %s\n", front->name, why);
        return 2;
    }
    return status ? 1 : 0;
}
