/*
 * later.h: requests that are answered later: by worker threads, by the thread that polls, or by a signal of the host's user.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_VMM_LATER_H
#define PALIMPSEST_PLATFORM_KVM_VMM_LATER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "platform/kvm/hypercall.h"

struct vm;
struct later_item;

#define LATER_WORKERS_MAX 16u
#define LATER_ITEMS_MAX 4096u

struct vm_later {
    pthread_mutex_t lock;
    pthread_cond_t work;
    /* under lock: */
    bool ending;
    struct later_item *queue, **queue_end;   /* for workers */
    struct later_item *waits;                /* KVM_OP_WAIT_FILES, */
    uint64_t waited_files, waited_files_end; /* of all of them; how many it will not be */
    struct later_item *event;                /* KVM_OP_EVENT: one */
    uint64_t signals;                        /* bit n-1: signal n came and nobody has asked yet */
    unsigned item_count, workers, idle_workers;
    pthread_t worker[LATER_WORKERS_MAX], poller;
    bool has_poller;
    int wake_fd; /* eventfd: the list of waits has changed */
};

int later_open(struct vm *vm);
/*
 * Ends its threads; what is not done stays undone. Once, or again without effect. Requires: VCPU_KICK_SIGNAL is caught by a handler
 * that does nothing.
 */
void later_close(struct vm *vm);
/*
 * Take on a request the image made at guest-physical `address`; `shared` is where that is here. Whatever happens, it will be answered once. buffer: as
 * checked by the caller.
 */
void later_submit(struct vm *vm, uint64_t address, const struct kvm_request *request, void *buffer);
/* The request submitted at `address` ends with -ECANCELED now, if it waits for something that may never come. */
int64_t later_cancel(struct vm *vm, uint64_t address);
/* The host's user sent a signal. */
void later_signal(struct vm *vm, int number);

#endif
