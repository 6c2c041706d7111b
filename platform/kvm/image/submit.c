/*
 * submit.c: requests that the VMM answers later. A slot is the image's until submitted, the VMM's until its state is DONE, then
 * the image's again.
 */
#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/kvm/image/cpu.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/kvm_image.h"
#include "platform/kvm/image/machine.h"

#define SLOTS 1024u
#define RETRY_NS 1000000u

static struct kvm_request g_slot[SLOTS];
static struct thread *g_waiter[SLOTS]; /* atomic; NULL: the slot is free */
static uint32_t g_used[SLOTS];         /* atomic */
static uint32_t g_high;                /* no slot from here on was ever used; atomic */

struct kvm_request *submit_begin(const struct kvm_request *request, struct thread *waiter)
{
    for (uint32_t i = 0; i < SLOTS && g_has_vmm; i++) {
        if (__atomic_load_n(&g_used[i], __ATOMIC_RELAXED) ||
            __atomic_exchange_n(&g_used[i], 1, __ATOMIC_ACQUIRE))
            continue;
        uint32_t high = __atomic_load_n(&g_high, __ATOMIC_RELAXED);
        while (high <= i && !__atomic_compare_exchange_n(&g_high, &high, i + 1, true,
                                                         __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            continue;
        struct kvm_request *slot = &g_slot[i];
        *slot = *request;
        slot->state = KVM_REQUEST_PENDING;
        __atomic_store_n(&g_waiter[i], waiter, __ATOMIC_RELEASE);
        out32(KVM_PORT_SUBMIT, (uint32_t)image_physical(slot));
        return slot;
    }
    return NULL;
}

bool submit_done(const struct kvm_request *request)
{
    return __atomic_load_n(&request->state, __ATOMIC_ACQUIRE) == KVM_REQUEST_DONE;
}

int64_t submit_end(struct kvm_request *request)
{
    uint32_t i = (uint32_t)(request - g_slot);
    if (!submit_done(request)) {
        /* Being cancelled is no news: it must not end the caller's next park. */
        __atomic_store_n(&g_waiter[i], NULL, __ATOMIC_RELEASE);
        struct kvm_request cancel = {.op = KVM_OP_CANCEL, .a0 = image_physical(request)};
        image_call(&cancel);
    }
    /* A token that is somebody else's goes back: the caller parks again, or looks again. */
    bool foreign = false;
    while (!submit_done(request)) {
        kvm_thread_ops.park(&g_kvm_platform, clock_monotonic() + RETRY_NS, NULL, 0);
        foreign = true;
    }
    __atomic_store_n(&g_waiter[i], NULL, __ATOMIC_RELEASE);
    int64_t result = request->result;
    __atomic_store_n(&g_used[i], 0, __ATOMIC_RELEASE);
    if (foreign)
        kvm_thread_ops.unpark(&g_kvm_platform, current());
    return result;
}

int64_t image_submit(struct kvm_request *request)
{
    struct kvm_request *slot = submit_begin(request, current());
    if (!slot)
        return g_has_vmm ? -EAGAIN : -ENOSYS;
    bool parked = false;
    while (!submit_done(slot)) {
        kvm_thread_ops.park(&g_kvm_platform, THREAD_WAIT_FOREVER, NULL, 0);
        parked = true;
    }
    int64_t result = submit_end(slot);
    if (parked) /* whoever unparked us meanwhile meant the next park */
        kvm_thread_ops.unpark(&g_kvm_platform, current());
    return result;
}

void submit_interrupt(void)
{
    uint32_t high = __atomic_load_n(&g_high, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < high; i++) {
        struct thread *waiter = __atomic_load_n(&g_waiter[i], __ATOMIC_ACQUIRE);
        /*
         * submit_end() takes the name away, not we: meanwhile the slot may be another request's, even of the same thread, whose
         * answer is still to come. A token too many does no harm.
         */
        if (waiter && submit_done(&g_slot[i]))
            kvm_thread_ops.unpark(&g_kvm_platform, waiter);
    }
}
