/*
 * kvm_host.h: the memory code of platform/kvm as a library of the host: physical memory is a window of ordinary memory, threads are the
 * host's, and no guest code runs. As a platform (g_kvm_host_front) it passes the contract tests that need no guest code.
 */
#ifndef PALIMPSEST_TESTS_KVM_HOST_H
#define PALIMPSEST_TESTS_KVM_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

extern const struct platform_front g_kvm_host_front;
extern const struct thread_ops kvm_host_thread_ops;
extern struct platform g_kvm_host;

/* Makes the window, of `size` bytes in two ranges, and starts the memory code over it. Once. */
void kvm_host_init(uint64_t size);
uint64_t kvm_host_memory_end(void); /* physical; below it there is a hole */
bool kvm_host_fault_arm(unsigned nth);
/* How often mm_flush was called so far. */
uint64_t kvm_host_flushes(void);
/* `visit` is told of each frame, or row of them, that becomes free from now on, by whoever frees it and with the allocator's lock held. */
void kvm_host_at_release(void (*visit)(uint64_t phys));

/* Threads. The first one is the caller of start. */
void kvm_host_thread_start(void);
bool kvm_host_alone(void); /* only one spawned thread is there */
struct kvm_aspace;
struct kvm_aspace **kvm_host_active(void);

/*
 * Looks at every space's tables with code of its own (Intel SDM vol. 3, 4.5) and counts who points to what. NULL: all is well; else
 * what is not. The text is good until the next call. Requires: nobody changes anything meanwhile.
 */
const char *kvm_host_walk(void);
/* NULL, or which frames are still in use; for when there is no space and no object. */
const char *kvm_host_leaks(void);

/* What the tables translate for a processor in ring 3. */
struct kvm_host_translation {
    bool present, writable, executable;
    uint64_t phys;
    uint64_t span; /* of the page, or of the hole */
};
struct kvm_host_translation kvm_host_translate(uint64_t root, uint64_t addr);

/*
 * processors.c: from then on there are `count` processors with caches of translations, for who works with one thread. What this thread does
 * happens on processor 0, or the one set.
 */
void kvm_host_processors_start(unsigned count, bool pcids);
void kvm_host_processor_set(unsigned number);
/* As ring 3 there: by the cache, else by the tables, which then are cached, else by a fault. False: the fault is the guest's own. */
bool kvm_host_processor_touch(uint64_t addr, bool write);
/* NULL: nothing that a processor may use now is older than the tables; else what is, now or before. */
const char *kvm_host_processors_check(void);
/* For env.c. */
void kvm_host_processors_flush(struct kvm_aspace *as, uint64_t start, uint64_t end);
void kvm_host_processors_load(struct kvm_aspace *as);

/* A host file for mm_file_*: bytes in memory. */
struct kvm_host_file {
    uint64_t ino, size, capacity;
    unsigned char *bytes;
    bool readable, writable, fails;
    int refs;
    unsigned reads, writes;
    void (*during)(void); /* each of these, after the bytes were taken; NULL: nothing */
};

#ifdef __cplusplus
}
#endif

#endif
