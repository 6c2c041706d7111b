/*
 * faulty_image.c: an image that misbehaves in the way its blob names. What the VMM makes of it is the test.
 */
#include "platform/errno.h"
#include "platform/guest_memory.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/layout.h"
#include "platform/kvm/image/machine.h"

extern const char trap_stub_241[]; /* trap_entry.S: VECTOR_RESCHEDULE */

static struct kvm_request g_request;

static uint64_t g_size;
static const char *g_word;

static int asked_for(const char *word)
{
    uint64_t size = 0;
    while (word[size])
        size++;
    return size == g_size && __builtin_memcmp(g_word, word, size) == 0;
}

static int64_t request(struct kvm_request r)
{
    g_request = r;
    g_request.result = 77;
    out32(KVM_PORT_CALL, (uint32_t)image_physical(&g_request));
    return g_request.result;
}

static void expect(int64_t result, int64_t wanted, const char *what)
{
    if (result == wanted)
        return;
    image_message(what);
    image_exit(1 << 8);
}

/* Each is refused, and the image goes on. */
static void malformed_requests(void)
{
    const uint64_t here = image_physical(&g_request);
    const uint64_t end = g_boot.memory[0].start + g_boot.memory[0].size;
    expect(request((struct kvm_request){.op = KVM_OP_COUNT}), -ENOSYS,
           "an operation past the last");
    expect(request((struct kvm_request){.op = UINT32_MAX}), -ENOSYS, "no operation");
    expect(request((struct kvm_request){.op = KVM_OP_NONE}), -ENOSYS, "operation 0");
    expect(request((struct kvm_request){.op = KVM_OP_MESSAGE, .buffer = end, .size = 1}), -EFAULT,
           "past the memory");
    expect(request((struct kvm_request){.op = KVM_OP_MESSAGE, .buffer = end - 1, .size = 2}),
           -EFAULT, "across its end");
    expect(request((struct kvm_request){.op = KVM_OP_MESSAGE, .buffer = here, .size = UINT64_MAX}),
           -EFAULT, "huge size");
    expect(request((struct kvm_request){.op = KVM_OP_MESSAGE, .buffer = UINT64_MAX, .size = 2}),
           -EFAULT, "wrapping");
    expect(request(
               (struct kvm_request){.op = KVM_OP_ENTROPY, .buffer = 0, .size = KVM_BUFFER_MAX + 1}),
           -EFAULT, "too much");
    expect(request((struct kvm_request){.op = KVM_OP_EXIT, .a0 = 0x10000}), -EINVAL,
           "no wait status");
    expect(request((struct kvm_request){.op = KVM_OP_EXIT, .a0 = 0x7f}), -EINVAL,
           "stopped is no end");
    expect(request((struct kvm_request){.op = KVM_OP_START_CPU, .a0 = 0}), -EINVAL,
           "the first processor twice");
    expect(request((struct kvm_request){.op = KVM_OP_START_CPU, .a0 = UINT64_MAX}), -EINVAL,
           "a processor of nobody");
    image_message("all refused");
}

/* All memory there is: the last request is refused, what was taken can be used, and what is given back can be had again. */
static void take_all_memory(struct platform *p)
{
    const size_t step = 1u << 20;
    char **last = NULL;
    uint64_t taken = 0;
    for (char **at; (at = shim_memory_alloc(p, step)); last = at, taken += step)
        *at = (char *)last;
    expect(taken > 4 * step ? 0 : -ENOMEM, 0, "hardly any memory");
    while (last) {
        char **before = (char **)(void *)*last;
        shim_memory_free(p, last, step);
        last = before;
        taken -= step;
    }
    expect((int64_t)taken, 0, "some is lost");
    void *again = shim_memory_alloc(p, step);
    expect(again ? 0 : -ENOMEM, 0, "none came back");
    shim_memory_free(p, again, step);
    image_message("refused when all was taken");
}

void image_program(struct platform *p, void *blob, size_t size)
{
    g_word = blob;
    g_size = size;
    if (asked_for("malformed")) {
        malformed_requests();
        image_exit(0);
    }
    if (asked_for("exhaustion")) {
        take_all_memory(p);
        image_exit(0);
    }
    if (asked_for("loop"))
        __asm__ volatile("cli; 1: jmp 1b");
    if (asked_for("address"))
        out32(KVM_PORT_CALL, 0xfffffff8);
    if (asked_for("misaligned"))
        out32(KVM_PORT_CALL, (uint32_t)image_physical(&g_request) + 1);
    if (asked_for("port"))
        out32(KVM_PORT_CALL + 8, 0);
    if (asked_for("size"))
        out8(KVM_PORT_CALL, 0);
    if (asked_for("triple-fault"))
        machine_reset();
    if (asked_for("hole"))
        *(volatile uint32_t *)(DIRECT_MAP + g_boot.memory[0].start + g_boot.memory[0].size) = 1;
    /* As a processor would that takes it although they are off. */
    if (asked_for("interrupt"))
        __asm__ volatile(
            "mov %%rsp, %%rax; cli; push %0; push %%rax; pushfq; push %1; push %2; jmp *%2"
            :
            : "i"(SELECTOR_KERNEL_DATA), "i"(SELECTOR_KERNEL_CODE), "r"(trap_stub_241)
            : "rax", "memory");
    /* Whoever tells of the fault reads the stack by rbp, and there is none. */
    if (asked_for("registers"))
        __asm__ volatile("mov $0x1234, %%r12d; mov %0, %%rbp; mov %1, %%rsp; ud2"
                         :
                         : "r"(STACK_AREA + (1ull << 38)), "r"(g_boot.blob + DIRECT_MAP)
                         : "memory");
    image_message("still there");
    image_exit(0);
}
