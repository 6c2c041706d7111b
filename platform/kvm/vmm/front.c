/*
 * front.c: the platform's side towards the embedder.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "platform/front.h"
#include "platform/kvm/vmm/kvm_front.h"
#include "platform/kvm/vmm/sandbox.h"
#include "platform/kvm/vmm/vm.h"

#define CPUS_DEFAULT_MAX 8

static unsigned default_cpus(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : online > CPUS_DEFAULT_MAX ? CPUS_DEFAULT_MAX : (unsigned)online;
}

/* The section of that name in an ELF file of ours. NULL: none. */
static const unsigned char *find_section(const unsigned char *file, size_t file_size,
                                         const char *name, size_t *size)
{
    const Elf64_Ehdr *header = (const void *)file;
    if (file_size < sizeof(*header) || header->e_shoff > file_size ||
        header->e_shnum * sizeof(Elf64_Shdr) > file_size - header->e_shoff ||
        header->e_shstrndx >= header->e_shnum)
        return NULL;
    const Elf64_Shdr *sections = (const void *)(file + header->e_shoff);
    const Elf64_Shdr *names = &sections[header->e_shstrndx];
    for (unsigned i = 0; i < header->e_shnum; i++) {
        const Elf64_Shdr *s = &sections[i];
        if (s->sh_type != SHT_PROGBITS || s->sh_offset > file_size ||
            s->sh_size > file_size - s->sh_offset || s->sh_name >= names->sh_size ||
            strcmp((const char *)file + names->sh_offset + s->sh_name, name) != 0)
            continue;
        *size = s->sh_size;
        return file + s->sh_offset;
    }
    return NULL;
}

/* The image that this program carries: an ELF file in a section that is not loaded. NULL: none. Mapped until the program ends. */
static const unsigned char *own_image(size_t *size)
{
    struct stat st;
    const unsigned char *image = NULL;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        st.st_size = 0;
    void *file =
        st.st_size > 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (file != MAP_FAILED) {
        image = find_section(file, (size_t)st.st_size, ".kvm_image", size);
        if (!image)
            munmap(file, (size_t)st.st_size);
    }
    if (fd >= 0)
        close(fd);
    return image;
}

static bool kvm_probe(char *why, size_t size)
{
    struct kvm_host host;
    size_t image_size;
    if (!own_image(&image_size)) {
        snprintf(why, size, "this program was built without an image for it");
        return false;
    }
    if (!kvm_host_open(&host, why, size))
        return false;
    close(host.fd);
    snprintf(why, size, "%s", host.how);
    return true;
}

int kvm_run_image(const unsigned char *image, size_t image_size,
                  const struct platform_options *options, const void *blob, size_t size,
                  int *wait_status, char *why, size_t why_size)
{
    struct vm_config config = {
        .image = image,
        .image_size = image_size,
        .cpu_count = options->cpus ? options->cpus : default_cpus(),
        .blob = blob,
        .blob_size = size,
        .options = options,
    };
    struct vm *vm = malloc(sizeof(*vm));
    if (!vm)
        return -ENOMEM;
    int err = vm_create(vm, &config, why, why_size);
    if (err == 0) {
        err = vm_sandbox_enter(options->host_network         ? SANDBOX_NETWORK
                               : options->listener_count > 0 ? SANDBOX_LISTENERS
                                                             : SANDBOX_NO_SOCKETS,
                               why, why_size);
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
    size_t image_size;
    const unsigned char *image = own_image(&image_size);
    if (!image)
        return -ENOEXEC;
    return kvm_run_image(image, image_size, options, blob, size, wait_status, why, why_size);
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
