/*
 * sockets.h: the host's sockets for the image: ports that were granted to it, and the host's network where that was. Its handles are
 * those of files.h. A trust boundary: any number, address or option may come.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_VMM_SOCKETS_H
#define PALIMPSEST_PLATFORM_KVM_VMM_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/front.h"
#include "platform/kvm/hypercall.h"
#include "platform/kvm/vmm/files.h"

struct vm_sockets {
    const struct platform_listener *listeners; /* borrowed */
    size_t listener_count;
    int *listener_fd; /* ours */
    bool host_network;
};

/* 0 or -errno. */
int vm_sockets_open(struct vm_sockets *sockets, const struct platform_options *options);
void vm_sockets_close(struct vm_sockets *sockets);

/*
 * One KVM_OP_SOCKET_*, fields as the image gave them. buffer: request->size bytes that the image can change meanwhile, or NULL; message: of
 * SEND and RECEIVE, likewise. Neither need be aligned. Result: as hypercall.h says. Never blocks.
 */
int64_t vm_sockets_serve(const struct vm_sockets *sockets, struct vm_files *files,
                         const struct kvm_request *request, void *buffer,
                         struct kvm_socket_message *message);

#endif
