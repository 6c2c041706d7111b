/*
 * watchdog.c: a processor that takes no interrupt any more would hang silently for ever.
 */
#include <time.h>

#include "platform/kvm/vmm/vm.h"

/* Rounds are counted, not time: a stopped host process comes back to a machine that lives. */
static bool wait_a_round(struct vm *vm)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WATCHDOG_ROUND_MS % 1000 * 1000000;
    until.tv_sec += WATCHDOG_ROUND_MS / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&vm->lock);
    while (!vm->ended && pthread_cond_timedwait(&vm->changed, &vm->lock, &until) == 0)
        continue;
    bool ended = vm->ended;
    pthread_mutex_unlock(&vm->lock);
    return !ended;
}

void *watchdog_main(void *arg)
{
    struct vm *vm = arg;
    uint64_t seen[KVM_CPU_MAX] = {0};
    unsigned silent[KVM_CPU_MAX] = {0};
    while (wait_a_round(vm)) {
        for (unsigned i = 0; i < vm->cpu_count; i++) {
            struct vcpu *cpu = &vm->vcpu[i];
            uint64_t beat = __atomic_load_n(&vm->boot_info->beat[i], __ATOMIC_RELAXED);
            silent[i] = beat == seen[i] && vcpu_is_running(cpu) ? silent[i] + 1 : 0;
            seen[i] = beat;
            if (silent[i] < WATCHDOG_ROUNDS) {
                vm_interrupt(vm, i);
                continue;
            }
            if (!vm_call_out(vm, i)) {
                silent[i] = 0;
            } else if (silent[i] == WATCHDOG_ROUNDS) {
                /* Held until just now? Interrupts come first when it enters the guest again. */
                vm_go_on(vm);
            } else {
                vm_report_hang(vm, i);
                return NULL;
            }
        }
    }
    return NULL;
}
