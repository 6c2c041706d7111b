/*
 * files.h: the host's files behind the numbers that the image knows them by. A trust boundary: any number, name or flag may come.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_VMM_FILES_H
#define PALIMPSEST_PLATFORM_KVM_VMM_FILES_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/front.h"
#include "platform/kvm/hypercall.h"

struct vm_file; /* one open file; reference-counted */

struct vm_files {
    const struct platform_grant *grants; /* borrowed */
    size_t grant_count;
    int *grant_fd;
    pthread_mutex_t lock;
    /* under lock: */
    struct vm_file **slot; /* by handle; NULL: free */
    size_t slot_count;
};

/* A handle for a host socket, which is closed when there is no room; or -errno. fd < 0: it is errno that says why. */
int64_t vm_files_add_socket(struct vm_files *files, int fd);
bool vm_file_is_socket(const struct vm_file *file);

/* 0, or -errno and one line in `why`. */
int vm_files_open(struct vm_files *files, const struct platform_options *options, char *why,
                  size_t size);
void vm_files_close(struct vm_files *files);

/* A reference to what `handle` names. NULL: nothing. */
struct vm_file *vm_file_get(struct vm_files *files, uint64_t handle);
void vm_file_put(struct vm_file *file);
int vm_file_fd(const struct vm_file *file);

/*
 * One KVM_OP_FILE_* request, fields as the image gave them. buffer: request->size bytes that the image can change meanwhile, or NULL;
 * second: what a1 points to, checked by the caller: the struct host_stat of KVM_OP_FILE_STAT_AT and _PATH, a2 bytes of an attribute. Result: as hypercall.h says. May block unless KVM_NOWAIT is in a2.
 */
int64_t vm_files_serve(struct vm_files *files, const struct kvm_request *request, void *buffer,
                       void *second);

#endif
