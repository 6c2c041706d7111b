/*
 * kvm_host.c: the platform: the memory code's own providers, checked by the walker as they go; threads of the host; no guest code, no host files.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/address_space.h"
#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/front.h"
#include "platform/instance.h"
#include "platform/kvm/image/kvm_aspace.h"
#include "platform/kvm/image/mm.h"
#include "platform/stock/host_clock.h"
#include "platform/stock/no_guest.h"
#include "platform/stock/no_host_files.h"
#include "platform/stock/no_host_sockets.h"
#include "platform/thread.h"
#include "tests/kvm_host/kvm_host.h"

#define WINDOW_SIZE (UINT64_C(4) << 30)

static uint32_t g_spaces, g_objects;
static bool
    g_one_at_a_time; /* KVM_HOST_ONE_AT_A_TIME is set: of several threads only one does something */
static uint32_t g_finished;
static int g_wait_status;

/* Spaces and objects are counted, and what must hold after each fork and destroy is looked at. */

static bool quiet(void)
{
    return g_one_at_a_time || kvm_host_alone();
}

static void walk(void)
{
    const char *wrong = quiet() ? kvm_host_walk() : NULL;
    if (wrong)
        platform_panic(wrong);
}

static void nothing_left(void)
{
    const char *wrong = NULL;
    if (quiet() && __atomic_load_n(&g_spaces, __ATOMIC_ACQUIRE) == 0 &&
        __atomic_load_n(&g_objects, __ATOMIC_ACQUIRE) == 0)
        wrong = kvm_host_leaks();
    if (wrong)
        platform_panic(wrong);
}

static struct aspace *kvm_host_aspace_create(struct platform *p, int *err)
{
    struct aspace *as = kvm_aspace_create(p, err);
    if (as)
        __atomic_add_fetch(&g_spaces, 1, __ATOMIC_RELAXED);
    return as;
}

static struct aspace *kvm_host_aspace_fork(struct platform *p, const struct aspace *parent,
                                           int *err)
{
    struct aspace *as = kvm_aspace_fork(p, parent, err);
    if (as)
        __atomic_add_fetch(&g_spaces, 1, __ATOMIC_RELAXED);
    walk();
    return as;
}

static void kvm_host_aspace_destroy(struct platform *p, struct aspace *as)
{
    walk();
    kvm_aspace_destroy(p, as);
    __atomic_sub_fetch(&g_spaces, 1, __ATOMIC_ACQ_REL);
    walk();
    nothing_left();
}

#define kvm_host_aspace_activate kvm_aspace_activate
#define kvm_host_aspace_vacate kvm_aspace_vacate
#define kvm_host_aspace_stats kvm_aspace_stats
static const struct aspace_ops kvm_host_aspace_ops = ASPACE_OPS(kvm_host_aspace);

static struct memory_object *kvm_host_object_create(struct platform *p, uint64_t size, int *err)
{
    struct memory_object *obj = kvm_memory_ops.object_create(p, size, err);
    if (obj)
        __atomic_add_fetch(&g_objects, 1, __ATOMIC_RELAXED);
    return obj;
}

static void kvm_host_object_get(struct platform *p, struct memory_object *obj)
{
    __atomic_add_fetch(&g_objects, 1, __ATOMIC_RELAXED);
    kvm_memory_ops.object_get(p, obj);
}

static void kvm_host_object_put(struct platform *p, struct memory_object *obj)
{
    kvm_memory_ops.object_put(p, obj);
    __atomic_sub_fetch(&g_objects, 1, __ATOMIC_ACQ_REL);
    nothing_left();
}

static int kvm_host_object_resize(struct platform *p, struct memory_object *obj, uint64_t size)
{
    int err = kvm_memory_ops.object_resize(p, obj, size);
    walk();
    return err;
}

static struct memory_ops g_memory_ops;

/* The instance */

static int kvm_host_next_event(struct platform *p UNUSED, struct instance_event *out UNUSED)
{
    return -EINTR; /* nobody sends any */
}

static void kvm_host_suspend(struct platform *p UNUSED)
{
    raise(SIGSTOP);
}

static void write_line(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) < 0 || write(fd, "\n", 1) < 0)
        return;
}

/* The thread that called run() waits for this; whoever else still runs is gone with the process. */
static NO_RETURN void kvm_host_finish(struct platform *p, int wait_status)
{
    const char *wrong =
        wait_status == 0 && g_spaces == 0 && g_objects == 0 ? kvm_host_leaks() : NULL;
    if (wrong) {
        write_line(STDERR_FILENO, wrong);
        wait_status = 1 << 8;
    }
    g_wait_status = wait_status;
    __atomic_store_n(&g_finished, 1, __ATOMIC_RELEASE);
    kvm_host_thread_ops.wake(p, &g_finished, UINT32_MAX);
    for (;;)
        pause();
}

static void kvm_host_message(struct platform *p UNUSED, const char *text)
{
    write_line(STDERR_FILENO, text);
}

static void kvm_host_trace(struct platform *p UNUSED, const char *text UNUSED, size_t size UNUSED)
{
}

static NO_RETURN void kvm_host_panic(struct platform *p, const char *message)
{
    write_line(STDERR_FILENO, message);
    kvm_host_finish(p, SIGABRT);
}

static uint64_t kvm_host_memory_used(struct platform *p UNUSED, uint64_t enough UNUSED)
{
    struct mm_counts counts;
    mm_counts(&counts);
    return counts.frames_guest * 4096;
}

static const struct instance_ops kvm_host_instance_ops = {
    .next_event = kvm_host_next_event,
    .suspend = kvm_host_suspend,
    .finish = kvm_host_finish,
    .message = kvm_host_message,
    .trace = kvm_host_trace,
    .panic = kvm_host_panic,
    .memory_used = kvm_host_memory_used,
};

struct platform g_kvm_host = {
    .version = PLATFORM_INTERFACE_VERSION,
    .page_size = 4096,
    .features = PLATFORM_FEATURE_FORK | PLATFORM_FEATURE_THREADS,
    .name = "kvm_host",
    .guest_min = 0x10000,
    .guest_end = 0x7ffffffff000,
    .aspace = &kvm_host_aspace_ops,
    .memory = &g_memory_ops,
    .guest = &stock_no_guest_ops,
    .thread = &kvm_host_thread_ops,
    .clock = &stock_host_clock_ops,
    .host_file = &stock_no_host_files_ops,
    .host_socket = &stock_no_host_sockets_ops,
    .instance = &kvm_host_instance_ops,
};

static bool kvm_host_probe(char *why, size_t size)
{
    snprintf(why, size, "page tables over simulated memory, runs no guest code");
    return true;
}

struct start {
    platform_main entry;
    void *blob;
    size_t size;
};

static void first_thread(void *arg)
{
    struct start *start = arg;
    start->entry(&g_kvm_host, start->blob, start->size);
    platform_panic("platform_main returned");
}

static int kvm_host_run(const struct platform_options *options UNUSED, platform_main entry,
                        const void *blob, size_t size, int *wait_status, char *why, size_t why_size)
{
    struct start start = {.entry = entry, .size = size, .blob = malloc(size + 1)};
    struct thread *ignored;
    if (!start.blob) {
        snprintf(why, why_size, "out of memory");
        return -ENOMEM;
    }
    if (size > 0)
        memcpy(start.blob, blob, size);
    g_memory_ops = kvm_memory_ops;
    g_memory_ops.object_create = kvm_host_object_create;
    g_memory_ops.object_get = kvm_host_object_get;
    g_memory_ops.object_put = kvm_host_object_put;
    g_memory_ops.object_resize = kvm_host_object_resize;
    g_one_at_a_time = getenv("KVM_HOST_ONE_AT_A_TIME") != NULL;
    kvm_host_init(WINDOW_SIZE);
    kvm_host_thread_start();
    platform_check(&g_kvm_host);
    kvm_host_thread_ops.spawn(&g_kvm_host, NULL, first_thread, &start, &ignored);
    while (!__atomic_load_n(&g_finished, __ATOMIC_ACQUIRE))
        kvm_host_thread_ops.wait(&g_kvm_host, &g_finished, 0, THREAD_WAIT_FOREVER);
    *wait_status = g_wait_status;
    return 0;
}

const struct platform_front g_kvm_host_front = {
    .name = "kvm_host",
    .probe = kvm_host_probe,
    .run = kvm_host_run,
    .fault_arm = kvm_host_fault_arm,
};
