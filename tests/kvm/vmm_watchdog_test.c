/*
 * vmm_watchdog_test.c: what the watchdog makes of a processor that takes no interrupt: one that leaves the guest when it is kicked is told
 * of, one that the host's kernel holds goes on. A machine whose processors are threads that never were in a guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "platform/kvm/vmm/vm.h"
#include "tests/kvm_host/cases.h"

enum { PROCESSORS = 2, PATIENCE_S = 120, NONE = PROCESSORS };

static struct vm g_vm;
static unsigned g_held;
static uint32_t g_went_on; /* atomic: how often one came back from its answer */

static void on_kick(int signal)
{
    (void)signal;
}

static void sleep_ms(unsigned ms)
{
    const struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static void *be_a_processor(void *arg)
{
    struct vcpu *cpu = arg;
    for (;;) {
        if (cpu->index != g_held &&
            __atomic_load_n(&cpu->describing, __ATOMIC_ACQUIRE) == VCPU_TO_DESCRIBE) {
            vcpu_answer_watchdog(cpu);
            __atomic_fetch_add(&g_went_on, 1, __ATOMIC_RELEASE);
        }
        sleep_ms(1);
    }
    return NULL;
}

static void start(unsigned held)
{
    const struct sigaction kick = {.sa_handler = on_kick};
    alarm(PATIENCE_S);
    CHECK(sigaction(VCPU_KICK_SIGNAL, &kick, NULL) == 0);
    g_held = held;
    g_vm.host.fd = g_vm.fd = g_vm.trace_fd = -1;
    g_vm.cpu_count = PROCESSORS;
    pthread_mutex_init(&g_vm.lock, NULL);
    pthread_cond_init(&g_vm.changed, NULL);
    for (unsigned i = 0; i < PROCESSORS; i++) {
        struct vcpu *cpu = &g_vm.vcpu[i];
        *cpu = (struct vcpu){.vm = &g_vm, .index = i, .fd = -1, .started = true};
        cpu->run = calloc(1, sizeof(*cpu->run));
        CHECK(cpu->run && pthread_create(&cpu->thread, NULL, be_a_processor, cpu) == 0);
    }
}

static bool has_ended(void)
{
    pthread_mutex_lock(&g_vm.lock);
    bool ended = g_vm.ended;
    pthread_mutex_unlock(&g_vm.lock);
    return ended;
}

static void until_went_on(uint32_t count)
{
    while (__atomic_load_n(&g_went_on, __ATOMIC_ACQUIRE) < count)
        sleep_ms(1);
}

static void one_that_the_host_holds_goes_on(void)
{
    start(1);
    CHECK(!vm_call_out(&g_vm, 1));
    CHECK(!has_ended());
    until_went_on(1); /* the other one */
    CHECK(g_vm.vcpu[1].describing == VCPU_DESCRIBES_NOTHING);
}

static void all_that_came_out_go_on_when_told(void)
{
    start(NONE);
    for (uint32_t times = 1; times <= 3; times++) {
        CHECK(vm_call_out(&g_vm, 0));
        CHECK(!has_ended());
        vm_go_on(&g_vm);
        until_went_on(times * PROCESSORS);
    }
}

static void one_that_hangs_is_told_of(void)
{
    int ends[2];
    char said[1024] = "";
    start(NONE);
    CHECK(pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    CHECK(vm_call_out(&g_vm, 1));
    vm_report_hang(&g_vm, 1);
    CHECK(has_ended() && g_vm.wait_status == SIGABRT);
    CHECK(read(ends[0], said, sizeof(said) - 1) > 0);
    CHECK(strstr(said, "processor 1 hangs: no interrupt was taken for 10 s: processor 1 "));
    CHECK(strstr(said, "; processor 0 "));
    until_went_on(PROCESSORS);
}

static void a_held_one_is_named_beside_one_that_hangs(void)
{
    int ends[2];
    char said[1024] = "";
    start(0);
    CHECK(pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    CHECK(vm_call_out(&g_vm, 1));
    vm_report_hang(&g_vm, 1);
    CHECK(read(ends[0], said, sizeof(said) - 1) > 0);
    CHECK(strstr(said, "; processor 0 does not leave the host's KVM_RUN"));
}

static const struct test_case g_cases[] = {
    {"one that the host holds goes on", one_that_the_host_holds_goes_on},
    {"all that came out go on when told", all_that_came_out_go_on_when_told},
    {"one that hangs is told of", one_that_hangs_is_told_of},
    {"a held one is named beside one that hangs", a_held_one_is_named_beside_one_that_hangs},
};

static void run_case(void (*run)(void))
{
    run();
}

int main(void)
{
    return run_cases(g_cases, sizeof(g_cases) / sizeof(g_cases[0]), NULL, run_case);
}
