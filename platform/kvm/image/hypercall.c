/*
 * hypercall.c: requests to the VMM.
 */
#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/kvm/image/cpu.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/layout.h"
#include "platform/kvm/image/machine.h"

uint64_t image_physical(const void *ptr)
{
    uint64_t address = (uint64_t)ptr;
    if (address >= IMAGE_BASE)
        return address - IMAGE_BASE;
    if (address >= STACK_AREA)
        return thread_of_stack(address)->stack_physical + address % THREAD_STACK_SIZE;
    PLATFORM_REQUIRE(address >= DIRECT_MAP);
    return address - DIRECT_MAP;
}

/* Interrupts off. */
static int64_t call_on(struct cpu *cpu, const struct kvm_request *request)
{
    struct kvm_request *slot = &cpu->request; /* the port takes 32 bits of address */
    *slot = *request;
    out32(KVM_PORT_CALL, (uint32_t)image_physical(slot));
    return slot->result;
}

int64_t image_call(struct kvm_request *request)
{
    if (!g_has_vmm)
        return bare_call(request);
    uint64_t flags = interrupts_disable();
    int64_t result = call_on(this_cpu(), request);
    interrupts_restore(flags);
    return result;
}

void image_panic(struct cpu *cpu, const char *text)
{
    interrupts_disable();
    struct kvm_request request = {.op = KVM_OP_PANIC, .buffer = image_physical(text)};
    while (text[request.size])
        request.size++;
    if (g_has_vmm)
        call_on(cpu, &request);
    else
        bare_call(&request);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void image_message(const char *text)
{
    struct kvm_request request = {.op = KVM_OP_MESSAGE, .buffer = image_physical(text)};
    while (text[request.size])
        request.size++;
    image_call(&request);
}

void image_exit(int wait_status)
{
    struct kvm_request request = {.op = KVM_OP_EXIT, .a0 = (uint32_t)wait_status};
    image_call(&request);
    for (;;)
        __asm__ volatile("cli; hlt");
}
