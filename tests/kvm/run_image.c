/*
 * run_image.c: run_image IMAGE [BLOB]: runs an image on /dev/kvm and ends with its exit status, 128 + signal, or 125. 77: this
 * machine has no KVM that could; standard error says why.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/kvm/vmm/kvm_front.h"
#include "platform/kvm/vmm/vm.h"

int main(int argc, char **argv)
{
    char why[256] = "";
    int wait_status = 0;
    struct stat st;
    struct kvm_host host;
    if (argc < 2)
        return 125;
    if (!kvm_host_open(&host, why, sizeof(why))) {
        fprintf(stderr, "SKIP: %s\n", why);
        return 77;
    }
    close(host.fd);
    int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        perror(argv[1]);
        return 125;
    }
    void *image = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    const char *blob = argc > 2 ? argv[2] : "";
    struct platform_options options = {.trace_fd = -1, .memory = 8u << 20, .cpus = 2};
    int err = kvm_run_image(image, (size_t)st.st_size, &options, blob, strlen(blob), &wait_status,
                            why, sizeof(why));
    if (err) {
        fprintf(stderr, "run_image: %s\n", why);
        return 125;
    }
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}
