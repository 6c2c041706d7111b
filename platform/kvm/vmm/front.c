/*
 * front.c: the platform's side towards the embedder.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>

#include "platform/front.h"
#include "platform/kvm/vmm/kvm_front.h"
#include "platform/kvm/vmm/sandbox.h"
#include "platform/kvm/vmm/vm.h"

#define MEMORY_MIN (64ull << 20)

static bool kvm_probe(char *why, size_t size)
{
    struct kvm_host host;
    if (!g_kvm_image) {
        snprintf(why, size, "this program was built without an image for it");
        return false;
    }
    if (!kvm_host_open(&host, why, size))
        return false;
    close(host.fd);
    snprintf(why, size, "unfinished: the image runs no programs yet (would use %s)", host.how);
    return false;
}

int kvm_run_image(const unsigned char *image, size_t image_size,
                  const struct platform_options *options, const void *blob, size_t size,
                  int *wait_status, char *why, size_t why_size)
{
    struct vm_config config = {
        .image = image,
        .image_size = image_size,
        .memory_size = MEMORY_MIN,
        .cpu_count = 1,
        .blob = blob,
        .blob_size = size,
        .options = options,
    };
    struct vm *vm = malloc(sizeof(*vm));
    if (!vm)
        return -ENOMEM;
    int err = vm_create(vm, &config, why, why_size);
    if (err == 0) {
        err = vm_sandbox_enter(why, why_size);
        if (err == 0)
            err = vm_run(vm, wait_status, why, why_size);
        vm_destroy(vm);
    }
    free(vm);
    return err;
}

static int kvm_run(const struct platform_options *options, platform_main entry UNUSED,
                   const void *blob, size_t size, int *wait_status, char *why, size_t why_size)
{
    /* `entry` is an address in this program; the image was linked with the same function as its image_program. */
    return kvm_run_image(g_kvm_image, (size_t)(g_kvm_image_end - g_kvm_image), options, blob, size,
                         wait_status, why, why_size);
}

static bool kvm_fault_arm(unsigned nth UNUSED)
{
    return false; /* called inside the instance: the image has its own */
}

const struct platform_front g_kvm_front = {
    .name = "kvm",
    .probe = kvm_probe,
    .run = kvm_run,
    .fault_arm = kvm_fault_arm,
};
