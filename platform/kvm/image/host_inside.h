/*
 * host_inside.h: shared by host_file.c and host_socket.c.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_HOST_INSIDE_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_HOST_INSIDE_H

#include <stdint.h>

#include "platform/host_file.h"
#include "platform/kvm/hypercall.h"

/* A buffer that the VMM reaches and the guest does not. NULL: no memory. */
#define HOST_BOUNCE_SIZE (64u * 1024u)
void *host_bounce_get(void);
void host_bounce_put(void *bounce);

/* A request that tests may fail. */
int64_t host_call(struct kvm_request request);
/* The same with a name, or two with a NUL between, as its buffer. */
int64_t host_call_with_names(struct kvm_request request, const char *first, const char *second);
/* The file with that number, which goes back when there is no memory; or NULL and *err, when it is -errno. access: HOST_OPEN_*. */
struct host_file *host_file_wrap(int64_t handle, unsigned access, int *err);
/* How many bytes of the guest's memory from `at` on are there to be written. */
size_t host_reachable(struct platform *p, struct guest_addr at, size_t size);

#endif
