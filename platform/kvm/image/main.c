/*
 * main.c: from the first C code to the program.
 */
#include "platform/address_space.h"
#include "platform/contract.h"
#include "platform/guest_context.h"
#include "platform/guest_memory.h"
#include "platform/kvm/image/cpu.h"
#include "platform/kvm/image/guest_clock.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/kvm_image.h"
#include "platform/kvm/image/layout.h"
#include "platform/kvm/image/machine.h"
#include "platform/kvm/image/mm_env.h"
#include "platform/kvm/image/tlb.h"
#include "platform/stock/no_host_sockets.h"

#define LOWEST_GUEST_ADDRESS 0x10000ull
#define PROBE_STACK 2040u /* of the page with the probe's code */
/* The last page stays free: a `syscall` at its end would return to no canonical address */
#define HIGHEST_GUEST_ADDRESS 0x7ffffffff000ull

struct kvm_boot_info g_boot;
uint64_t g_has_vmm;
uint64_t *g_beat = g_boot.beat;

struct platform g_kvm_platform = {
    .version = PLATFORM_INTERFACE_VERSION,
    .page_size = 4096,
    .features = PLATFORM_FEATURE_FORK | PLATFORM_FEATURE_GUEST | PLATFORM_FEATURE_THREADS,
    .name = "kvm",
    .guest_min = LOWEST_GUEST_ADDRESS,
    .guest_end = HIGHEST_GUEST_ADDRESS,
    .aspace = &kvm_aspace_ops,
    .memory = &kvm_memory_ops,
    .guest = &kvm_guest_ops,
    .thread = &kvm_thread_ops,
    .clock = &kvm_clock_ops,
    .host_file = &kvm_host_file_ops,
    .host_socket = &stock_no_host_sockets_ops,
    .instance = &kvm_instance_ops,
};

void *kvm_page_alloc(void)
{
    return kvm_memory_ops.shim_alloc(&g_kvm_platform, g_kvm_platform.page_size);
}

static void give_memory(uint64_t free_start)
{
    struct mm_range ranges[KVM_MEMORY_RANGES];
    unsigned count = 0;
    for (unsigned i = 0; i < KVM_MEMORY_RANGES; i++) {
        uint64_t start = g_boot.memory[i].start, end = start + g_boot.memory[i].size;
        if (start < free_start)
            start = free_start;
        if (start < end)
            ranges[count++] = (struct mm_range){start, end};
    }
    mm_init(ranges, count, g_has_vmm, kernel_map_half());
}

/* Can a guest call code of the image? It returns to the `syscall` at the start of `page`. */
static void probe_guest_pages(struct guest_context *ctx, struct guest_addr page)
{
    struct guest_exit exit = {.reason = GUEST_END};
    g_features.guest_pages = true;
    ctx->regs.rip = guest_clock_entry(&g_kvm_platform, CLOCK_GUEST_TIME);
    ctx->regs.rdi = 0;
    ctx->regs.rsp = page.raw + PROBE_STACK;
    guest_run(&g_kvm_platform, ctx, &exit);
    g_features.guest_pages = exit.reason == GUEST_SYSCALL;
}

/*
 * How does a system call arrive? On software KVM as a page fault at syscall_entry; a guest that jumps there would look the same, so it
 * is not left to guests to show.
 */
static void probe_syscall(void)
{
    struct platform *p = &g_kvm_platform;
    static const uint8_t code[] = {0x0f, 0x05};
    const uint64_t back = LOWEST_GUEST_ADDRESS;
    const struct memory_map_request req = {.addr = guest_addr(LOWEST_GUEST_ADDRESS),
                                           .size = p->page_size,
                                           .sharing = MEMORY_PRIVATE,
                                           .prot = MEMORY_READ | MEMORY_WRITE};
    int err = 0;
    struct aspace *as = aspace_create(p, &err);
    struct guest_context *ctx = guest_context_create(p, &err);
    struct guest_exit exit = {.reason = GUEST_END};
    PLATFORM_REQUIRE(as && ctx && aspace_activate(p, as) == 0 && memory_map(p, as, &req) == 0);
    PLATFORM_REQUIRE(guest_copy_out(p, req.addr, code, sizeof(code)) == 0);
    PLATFORM_REQUIRE(
        guest_copy_out(p, guest_addr(req.addr.raw + PROBE_STACK), &back, sizeof(back)) == 0);
    PLATFORM_REQUIRE(memory_protect(p, as, req.addr, req.size, MEMORY_READ | MEMORY_EXEC) == 0);
    ctx->regs.rip = req.addr.raw;
    guest_run(p, ctx, &exit);
    if (exit.reason == GUEST_FAULT && exit.addr.raw == (uint64_t)syscall_entry)
        g_features.syscall_by_fault = true;
    else
        PLATFORM_REQUIRE(exit.reason == GUEST_SYSCALL);
    probe_guest_pages(ctx, req.addr);
    PLATFORM_REQUIRE(aspace_activate(p, NULL) == 0);
    guest_context_destroy(p, ctx);
    aspace_destroy(p, as);
}

static void start_other_processors(void)
{
    for (unsigned i = 1; i < g_boot.cpu_count; i++) {
        struct thread *idle = g_cpu[i].idle;
        idle->cpu = &g_cpu[i];
        struct kvm_request request = {.op = KVM_OP_START_CPU,
                                      .a0 = i,
                                      .a1 = (uint64_t)image_start_other,
                                      /* Above lies where it begins to be a thread */
                                      .a2 = ((uint64_t)idle - 4096) & ~15ull,
                                      .a3 = kernel_map_root()};
        PLATFORM_REQUIRE(image_call(&request) == 0);
    }
}

static void first_thread(void *arg UNUSED)
{
    platform_check(&g_kvm_platform);
    probe_syscall();
    start_other_processors();
    image_program(&g_kvm_platform, (void *)(DIRECT_MAP + g_boot.blob), g_boot.blob_size);
    platform_panic("the instance's main function returned instead of calling instance_finish");
}

static NO_RETURN void start(void)
{
    g_phys_window = (char *)DIRECT_MAP;
    platform_panic_through(&g_kvm_platform);
    uint64_t free_start = g_boot.free_start;
    cpu_probe();
    kernel_map_setup(&free_start);
    cpu_setup(&g_cpu[0]);
    g_tlb_count = g_boot.cpu_count;
    g_tlb_pcids = g_features.pcid;
    clock_setup();
    give_memory(free_start);
    threads_start(first_thread, NULL);
}

void image_main(uint64_t boot_info)
{
    struct kvm_boot_info *info = (void *)(DIRECT_MAP + boot_info);
    if (info->magic != KVM_BOOT_MAGIC || info->version != KVM_HYPERCALL_VERSION)
        __builtin_trap();
    g_boot = *info;
    g_beat = info->beat;
    g_has_vmm = 1;
    if (g_boot.features & KVM_HAVE_FILES)
        g_kvm_platform.features |= PLATFORM_FEATURE_HOST_FILES;
    if (g_boot.features & KVM_HAVE_SOCKETS) {
        g_kvm_platform.features |= PLATFORM_FEATURE_HOST_SOCKETS;
        g_kvm_platform.host_socket = &kvm_host_socket_ops;
    }
    start();
}

void image_main_pvh(uint64_t start_info)
{
    bare_probe(start_info);
    start();
}

void image_main_other(void)
{
    struct cpu *cpu = current()->cpu;
    cpu_setup(cpu);
    threads_start_other(cpu);
}
