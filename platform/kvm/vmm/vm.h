/*
 * vm.h: the VMM: a host process that runs the ring-0 image on /dev/kvm and serves its requests. Private to this folder.
 *
 * Threads: the caller of front.h's run() waits for signals and for the end; one thread runs each vCPU. Whoever ends the machine
 * sets the outcome once (vm_end) and kicks everybody.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_VMM_VM_H
#define PALIMPSEST_PLATFORM_KVM_VMM_VM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/kvm.h>

#include "platform/annotations.h"
#include "platform/front.h"
#include "platform/kvm/hypercall.h"
#include "platform/kvm/vmm/files.h"
#include "platform/kvm/vmm/later.h"
#include "platform/kvm/vmm/sockets.h"

struct vm;

/* What KVM can do here; probe.c. */
struct kvm_host {
    int fd;          /* /dev/kvm; -1 */
    bool software;   /* kvm_pvm: ring 0 is emulated, extended state beyond SSE is hidden */
    size_t run_size; /* of struct kvm_run */
    char how[160];   /* "VT-x", ... */
};
/* false: one line in `why`; nothing is open. */
bool kvm_host_open(struct kvm_host *host, char *why, size_t size);

/*
 * NOTHING -- watchdog --> TO_DESCRIBE -- the processor's thread --> DESCRIBED, and in no guest until the end, or until the watchdog takes
 * it back, from either state (vm.changed).
 */
enum vcpu_describing { VCPU_DESCRIBES_NOTHING, VCPU_TO_DESCRIBE, VCPU_DESCRIBED };
#define VCPU_WHERE_SIZE 320u

struct vcpu {
    struct vm *vm;
    unsigned index;
    int fd;
    struct kvm_run *run;
    pthread_t thread;
    bool has_thread;
    uint32_t serving;            /* atomic: a request is being answered on this thread */
    uint32_t describing;         /* atomic: enum vcpu_describing */
    char where[VCPU_WHERE_SIZE]; /* once VCPU_DESCRIBED */
    /* under vm.lock: */
    bool started; /* the image may use it */
    uint64_t start_rip, start_rsp, start_rdi;
};

struct vm {
    struct kvm_host host;
    int fd;
    unsigned char *ram; /* all ranges, one after the other */
    uint64_t ram_size;
    struct kvm_memory_range
        range[KVM_MEMORY_RANGES + 1]; /* the last one is the shared memory of the embedder */
    unsigned char *range_at[KVM_MEMORY_RANGES + 1];
    unsigned cpu_count;
    struct vcpu vcpu[KVM_CPU_MAX];
    struct kvm_boot_info *boot_info; /* in guest memory: the image writes there too */
    int trace_fd;
    bool forward_signals;
    uint32_t suspend_requested; /* atomic */
    struct vm_files files;
    struct vm_sockets sockets;
    struct vm_later later;
    pthread_t watchdog;
    bool has_watchdog;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* started, ending */
    /* under lock: */
    bool ended;
    int wait_status;
};

struct vm_config {
    const unsigned char *image;
    size_t image_size;
    unsigned cpu_count;
    const void *blob;
    size_t blob_size;
    const struct platform_options *options;
};

/* All or nothing; -errno and one line in `why`. */
int vm_create(struct vm *vm, const struct vm_config *config, char *why, size_t size);
void vm_destroy(struct vm *vm);
/* Run until its end; *wait_status as of wait4. */
int vm_run(struct vm *vm, int *wait_status, char *why, size_t size);
/* The first call counts. Any thread. */
void vm_end(struct vm *vm, int wait_status);
/* The same with a line on standard error: something that must not happen did. */
void vm_fail(struct vm *vm, const char *format, ...) PRINTF_LIKE(2, 3);

/* Interrupt a processor with KVM_VECTOR_DONE. Any thread. */
void vm_interrupt(struct vm *vm, unsigned cpu);

/* Host pointer to [start, start+size) of guest-physical memory. NULL: not wholly inside one range. */
void *vm_memory(struct vm *vm, uint64_t start, uint64_t size);

/* vcpu.c */
int vcpu_create(struct vcpu *cpu, struct vm *vm, unsigned index, char *why, size_t size);
void vcpu_destroy(struct vcpu *cpu);
/* The tables it starts with: guest-physical address of the top one. */
int vcpu_set_tables(struct vcpu *cpu, uint64_t cr3);
void *vcpu_main(void *cpu);
/* Describe where it is, as the watchdog asked, and wait for what that makes of it. On its own thread. */
void vcpu_answer_watchdog(struct vcpu *cpu);
int vcpu_start_at(struct vcpu *cpu, uint64_t rip, uint64_t rsp, uint64_t rdi);
/* Started, and not in a request. */
bool vcpu_is_running(struct vcpu *cpu);
#define VCPU_KICK_SIGNAL SIGRTMIN

/* report.c */
/* Write where it is into cpu->where. On its own thread, out of KVM_RUN. */
void vcpu_describe(struct vcpu *cpu);
/*
 * All running processors leave the guest, and describe themselves. true: so has this one, and they wait for vm_go_on or the end. false: the
 * host's kernel holds it, and all go on. The watchdog's thread; may take seconds.
 */
bool vm_call_out(struct vm *vm, unsigned suspect);
void vm_go_on(struct vm *vm);
/* After vm_call_out: end the machine with a line that says where they are. */
void vm_report_hang(struct vm *vm, unsigned hung);

/* serve.c: a request the image made. `address` is what it wrote to the port. */
void serve_call(struct vcpu *cpu, uint32_t address);
void serve_submit(struct vcpu *cpu, uint32_t address);
/* One KVM_OP_FILE_*; may block. Any thread. */
int64_t serve_file(struct vm *vm, const struct kvm_request *request, void *buffer);

/* watchdog.c: ends the machine when a processor takes no interrupt for WATCHDOG_ROUNDS rounds. */
#define WATCHDOG_ROUND_MS 1000u
#define WATCHDOG_ROUNDS 10u
void *watchdog_main(void *vm);

#endif
