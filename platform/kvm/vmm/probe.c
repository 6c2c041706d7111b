/*
 * probe.c: is there a KVM here that can run the image?
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "platform/kvm/vmm/vm.h"

static bool has_long_mode(int fd)
{
    const size_t max = 256;
    struct kvm_cpuid2 *list = calloc(1, sizeof(*list) + max * sizeof(list->entries[0]));
    if (!list)
        return false;
    list->nent = max;
    bool found = false;
    if (ioctl(fd, KVM_GET_SUPPORTED_CPUID, list) == 0)
        for (uint32_t i = 0; i < list->nent; i++)
            if (list->entries[i].function == 0x80000001u)
                found = list->entries[i].edx >> 29 & 1;
    free(list);
    return found;
}

static bool module_loaded(const char *name)
{
    char path[64];
    snprintf(path, sizeof(path), "/sys/module/%s", name);
    return access(path, F_OK) == 0;
}

static bool under_hypervisor(void)
{
    unsigned a = 1, b, c = 0, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c >> 31;
}

static void describe(struct kvm_host *host)
{
    const char *kind = "unknown kind";
    if (module_loaded("kvm_intel"))
        kind = "VT-x";
    else if (module_loaded("kvm_amd"))
        kind = "AMD-V";
    else if (module_loaded("kvm_pvm"))
        host->software = true;
    if (host->software)
        snprintf(host->how, sizeof(host->how),
                 "/dev/kvm without hardware support (kvm_pvm): correct, but slow");
    else
        snprintf(host->how, sizeof(host->how), "/dev/kvm by %s%s", kind,
                 under_hypervisor() ? ", nested" : "");
}

bool kvm_host_open(struct kvm_host *host, char *why, size_t size)
{
    static const struct {
        int number;
        const char *name;
    } needed[] = {
        {KVM_CAP_USER_MEMORY, "memory of the host process as guest memory"},
        {KVM_CAP_IRQCHIP, "an interrupt controller"},
        {KVM_CAP_SIGNAL_MSI, "interrupts by message"},
        {KVM_CAP_EXT_CPUID, "processor identification"},
        {KVM_CAP_MP_STATE, "starting several processors"},
        {KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
    };
    *host = (struct kvm_host){.fd = open("/dev/kvm", O_RDWR | O_CLOEXEC)};
    if (host->fd < 0) {
        if (errno == ENOENT)
            snprintf(why, size,
                     "there is no /dev/kvm: the kvm module is not loaded, or the machine has no "
                     "virtualization");
        else if (errno == EACCES || errno == EPERM)
            snprintf(
                why, size,
                "no permission to open /dev/kvm (membership in the group kvm gives it, usually)");
        else
            snprintf(why, size, "/dev/kvm: %s", strerror(errno));
        return false;
    }
    int version = ioctl(host->fd, KVM_GET_API_VERSION, 0);
    int run_size = ioctl(host->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    const char *missing = NULL;
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]) && !missing; i++)
        if (ioctl(host->fd, KVM_CHECK_EXTENSION, needed[i].number) <= 0)
            missing = needed[i].name;
    if (version != KVM_API_VERSION)
        snprintf(why, size, "/dev/kvm speaks version %d, not %d", version, KVM_API_VERSION);
    else if (missing)
        snprintf(why, size, "/dev/kvm lacks %s", missing);
    else if (run_size < (int)sizeof(struct kvm_run))
        snprintf(why, size, "/dev/kvm: no memory for a processor's state");
    else if (!has_long_mode(host->fd))
        snprintf(why, size, "/dev/kvm offers no 64-bit mode");
    else {
        host->run_size = (size_t)run_size;
        describe(host);
        return true;
    }
    close(host->fd);
    host->fd = -1;
    return false;
}
