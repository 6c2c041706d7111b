/*
 * kvm_image.h: the platform's tables, and how its parts reach each other. Private to the image.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_KVM_IMAGE_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_KVM_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/kvm/hypercall.h"
#include "platform/kvm/image/mm.h"
#include "platform/platform.h"

struct thread;
extern struct platform g_kvm_platform;
extern const struct guest_ops kvm_guest_ops;
extern const struct thread_ops kvm_thread_ops;
extern const struct clock_ops kvm_clock_ops;
extern const struct host_file_ops kvm_host_file_ops;
extern const struct host_socket_ops kvm_host_socket_ops;
extern const struct instance_ops kvm_instance_ops;

/* guest_ops.sequence; sequence.c */
int kvm_guest_sequence(struct platform *p, struct guest_addr area, uint32_t signature);

/* One page of the kernel's own, zeroed. NULL: none left. */
void *kvm_page_alloc(void);

/*
 * Requests that may take long; submit.c. The calling thread sleeps until the VMM has answered. `buffer` as in image_call().
 * -EAGAIN: too many at once.
 */
int64_t image_submit(struct kvm_request *request);
/* The same in two steps, for whoever waits for something else too. NULL: too many at once. */
struct kvm_request *submit_begin(const struct kvm_request *request, struct thread *waiter);
bool submit_done(const struct kvm_request *request);
int64_t submit_end(struct kvm_request *request); /* cancels what is not done, and waits for it */
/* The VMM says that some are done. In an interrupt. */
void submit_interrupt(void);

/* Tests fail a call that can fail, as front.h's fault_arm; instance.c. */
bool kvm_fault_arm(unsigned nth);
bool kvm_fault_due(void);

/* The VMM's number of a file; host_file.c. */
struct host_file;
uint64_t kvm_file_handle(const struct host_file *file);
/* Its close may take long (SO_LINGER): it will be done by a thread of the VMM's, not in the processor's place. */
void kvm_file_set_lingers(struct host_file *file);
uint64_t kvm_files_open(void); /* how many there are now */
/* HOST_OPEN_READ, HOST_OPEN_WRITE: what it was opened for. */
unsigned kvm_file_access(const struct host_file *file);
/* One KVM_OP_FILE_PREAD, PWRITE, READ or WRITE of physical memory. May sleep for the disk. */
int64_t kvm_file_transfer(struct host_file *file, uint32_t op, uint64_t offset, uint64_t physical,
                          uint64_t size);

#endif
