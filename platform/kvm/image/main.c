/*
 * main.c: from the first C code to the program.
 */
#include "platform/contract.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/layout.h"
#include "platform/kvm/image/machine.h"

struct kvm_boot_info g_boot;
uint64_t g_has_vmm;

static NO_RETURN void start(void)
{
    image_program(NULL, (void *)(DIRECT_MAP + g_boot.blob), g_boot.blob_size);
    image_exit(0);
}

void image_main(uint64_t boot_info)
{
    const struct kvm_boot_info *info = (const void *)(DIRECT_MAP + boot_info);
    if (info->magic != KVM_BOOT_MAGIC || info->version != KVM_HYPERCALL_VERSION)
        __builtin_trap();
    g_boot = *info;
    g_has_vmm = 1;
    start();
}

void image_main_pvh(uint64_t start_info)
{
    bare_probe(start_info);
    start();
}
