/*
 * instance.c: the end of the run, what the host's user wants meanwhile, lines for people; failures that tests ask for.
 */
#include "platform/instance.h"

#include "platform/errno.h"
#include "platform/kvm/image/cpu.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/kvm_image.h"
#include "platform/kvm/image/machine.h"

static int kvm_next_event(struct platform *p UNUSED, struct instance_event *out)
{
    struct kvm_request request = {.op = KVM_OP_EVENT};
    int64_t sig = image_submit(&request);
    if (sig == -ENOSYS) /* a bare machine: nobody will ever ask for anything */
        for (;;)
            kvm_thread_ops.park(p, THREAD_WAIT_FOREVER, NULL, 0);
    if (sig <= 0)
        return -EINTR;
    *out = (struct instance_event){.kind = INSTANCE_EVENT_SIGNAL, .number = (int)sig};
    return 0;
}

static void kvm_suspend(struct platform *p UNUSED)
{
    struct kvm_request request = {.op = KVM_OP_SUSPEND};
    image_call(&request);
}

static NO_RETURN void kvm_finish(struct platform *p UNUSED, int wait_status)
{
    mm_write_back_all();
    image_exit(wait_status);
}

static void kvm_message(struct platform *p UNUSED, const char *text)
{
    image_message(text);
}

static void kvm_trace(struct platform *p UNUSED, const char *text, size_t size)
{
    while (size > 0) {
        size_t step = size < KVM_BUFFER_MAX ? size : KVM_BUFFER_MAX;
        struct kvm_request request = {
            .op = KVM_OP_TRACE, .buffer = image_physical(text), .size = step};
        image_call(&request);
        text += step;
        size -= step;
    }
}

static NO_RETURN void kvm_panic(struct platform *p UNUSED, const char *message)
{
    interrupts_disable();
    image_panic(this_cpu(), message);
}

static uint64_t kvm_memory_used(struct platform *p, uint64_t enough UNUSED)
{
    struct mm_counts counts;
    mm_counts(&counts);
    return counts.frames_guest * p->page_size;
}

const struct instance_ops kvm_instance_ops = {
    .next_event = kvm_next_event,
    .suspend = kvm_suspend,
    .finish = kvm_finish,
    .message = kvm_message,
    .trace = kvm_trace,
    .panic = kvm_panic,
    .memory_used = kvm_memory_used,
};

static uint32_t g_fault_nth; /* atomic; 0: none */

bool kvm_fault_arm(unsigned nth)
{
    static uint32_t armed;
    bool fired = armed > 0 && __atomic_load_n(&g_fault_nth, __ATOMIC_SEQ_CST) == 0;
    armed = nth;
    __atomic_store_n(&g_fault_nth, nth, __ATOMIC_SEQ_CST);
    return fired;
}

bool kvm_fault_due(void)
{
    uint32_t left = __atomic_load_n(&g_fault_nth, __ATOMIC_SEQ_CST);
    while (left > 0)
        if (__atomic_compare_exchange_n(&g_fault_nth, &left, left - 1, true, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return left == 1;
    return false;
}
