/*
 * vmm_later_test.c: requests that are answered later, when the host's limits are small or its calls do not return: nobody waits for ever
 * who could be answered, and the end comes all the same. A machine without processors; each case runs in a process of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "platform/kvm/vmm/vm.h"
#include "tests/kvm_host/cases.h"

static void on_kick(int signal)
{
    (void)signal;
}

enum { MEMORY = 1 << 16, SLOT_SIZE = 4096, PATIENCE_S = 400 };

static _Alignas(4096) unsigned char g_memory[MEMORY];
static struct vm g_vm;

static struct kvm_request *slot(unsigned number)
{
    return (struct kvm_request *)(void *)(g_memory + number * SLOT_SIZE);
}

/* The request of that slot, with a buffer behind it. */
static void submit(unsigned number, struct kvm_request request, const void *data, size_t size)
{
    CHECK(sizeof(request) + size <= SLOT_SIZE);
    request.buffer = number * SLOT_SIZE + sizeof(request);
    request.size = size;
    request.state = KVM_REQUEST_PENDING;
    memcpy(slot(number) + 1, data, size);
    *slot(number) = request;
    serve_submit(&g_vm.vcpu[0], number * SLOT_SIZE);
}

static bool is_done(unsigned number)
{
    return __atomic_load_n(&slot(number)->state, __ATOMIC_ACQUIRE) == KVM_REQUEST_DONE;
}

static int64_t answer(unsigned number)
{
    while (!is_done(number)) /* alarm() ends it */
        poll(NULL, 0, 1);
    return slot(number)->result;
}

static uint64_t standard(unsigned which)
{
    struct kvm_request request = {.op = KVM_OP_FILE_STANDARD, .a0 = which};
    int64_t handle = vm_files_serve(&g_vm.files, &request, NULL, NULL);
    CHECK(handle >= 0);
    return (uint64_t)handle;
}

static void wait_for_files(unsigned number, uint64_t handle, unsigned count)
{
    struct kvm_wait_file list[KVM_WAIT_FILES_MAX];
    for (unsigned i = 0; i < count; i++)
        list[i] = (struct kvm_wait_file){.handle = handle, .events = POLLIN};
    submit(number, (struct kvm_request){.op = KVM_OP_WAIT_FILES}, list, count * sizeof(list[0]));
}

/* Cases */

static void more_is_waited_for_than_the_host_polls(void)
{
    int quiet[2], news[2];
    CHECK(pipe(quiet) == 0 && pipe(news) == 0 && write(news[1], "x", 1) == 1);
    CHECK(dup2(quiet[0], STDIN_FILENO) == STDIN_FILENO && dup2(news[0], STDOUT_FILENO) == 1);
    const uint64_t silent = standard(0), ready = standard(1);
    for (unsigned i = 0; i < 4; i++)
        wait_for_files(i, silent, KVM_WAIT_FILES_MAX);
    wait_for_files(4, ready, 1);
    CHECK(answer(4) == 1);
    CHECK(answer(3) == -EAGAIN);
    CHECK(!is_done(0) && later_cancel(&g_vm, 0) == 0 && answer(0) == -ECANCELED);
    wait_for_files(3, silent, KVM_WAIT_FILES_MAX); /* there is room again */
    poll(NULL, 0, 10);
    CHECK(!is_done(3));
}

/* Writes until the terminal takes no more, or a call does not return; then it is inside now. */
static void fill(uint64_t out, unsigned patience_ms)
{
    char text[3001];
    memset(text, 'x', sizeof(text));
    for (unsigned i = 0; i < 200; i++) {
        submit(0, (struct kvm_request){.op = KVM_OP_FILE_WRITE, .a0 = out}, text, sizeof(text));
        for (unsigned j = 0; j < patience_ms && !is_done(0); j++)
            poll(NULL, 0, 1);
        if (!is_done(0) || slot(0)->result == -EAGAIN)
            break;
    }
}

/* Standard output is one that nobody reads at the other end. */
static void make_terminal(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    CHECK(slave >= 0 && dup2(slave, STDOUT_FILENO) == STDOUT_FILENO);
}

static void a_terminal_never_keeps_a_call(void)
{
    make_terminal();
    fill(standard(1), 1000 * PATIENCE_S);
    CHECK(is_done(0) && slot(0)->result == -EAGAIN);
}

/* No description of our own is to be had, so a call waits; but not for longer than we live. */
static void a_worker_is_inside_a_call_at_the_end(void)
{
    make_terminal();
    while (dup(STDOUT_FILENO) >= 0)
        continue;
    fill(standard(1), 2000);
    CHECK(!is_done(0));
}

static const struct test_case g_cases[] = {
    {"more is waited for than the host polls", more_is_waited_for_than_the_host_polls},
    {"a terminal never keeps a call", a_terminal_never_keeps_a_call},
    {"a worker is inside a call at the end", a_worker_is_inside_a_call_at_the_end},
};

static void run_case(void (*run)(void))
{
    const struct rlimit few = {3 * KVM_WAIT_FILES_MAX + 10, 3 * KVM_WAIT_FILES_MAX + 10};
    const struct platform_options options = {.trace_fd = -1};
    const struct sigaction kick = {.sa_handler = on_kick};
    char why[256];
    alarm(PATIENCE_S);
    CHECK(sigaction(VCPU_KICK_SIGNAL, &kick, NULL) == 0);
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    g_vm.host.fd = g_vm.fd = g_vm.trace_fd = -1;
    g_vm.cpu_count = 1;
    g_vm.vcpu[0].vm = &g_vm;
    g_vm.vcpu[0].fd = -1;
    g_vm.range[0] = (struct kvm_memory_range){0, MEMORY};
    g_vm.range_at[0] = g_memory;
    pthread_mutex_init(&g_vm.lock, NULL);
    pthread_cond_init(&g_vm.changed, NULL);
    CHECK(later_open(&g_vm) == 0);
    CHECK(vm_files_open(&g_vm.files, &options, why, sizeof(why)) == 0);
    run();
    later_close(&g_vm);
    vm_files_close(&g_vm.files);
}

int main(void)
{
    return run_cases(g_cases, sizeof(g_cases) / sizeof(g_cases[0]), NULL, run_case);
}
