#include "tests/c_shims/pretended_platform.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "platform/clock.h"
#include "platform/contract.h"
#include "platform/guest_memory.h"
#include "platform/instance.h"
#include "platform/thread.h"
#include "shim/shim.h"

static char g_trace[65536];
static size_t g_trace_size;
static int g_memory_available = 1;
static struct shim_config g_pretended_config = {.trace = 1};

struct platform *g_platform;
const struct shim_config *g_config = &g_pretended_config;

const char *pretended_trace(void)
{
    g_trace[g_trace_size] = '\0';
    g_trace_size = 0;
    return g_trace;
}

void pretended_memory_available(int yes)
{
    g_memory_available = yes;
}

/* The kernel says what is reachable: copies fail as guest copies do instead of ending the test. */
size_t guest_copy_in(struct platform *p UNUSED, void *dst, struct guest_addr src, size_t size)
{
    struct iovec local = {dst, size}, remote = {(void *)(uintptr_t)src.raw, size};
    ssize_t done = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    return size - (done > 0 ? (size_t)done : 0);
}

size_t guest_copy_out(struct platform *p UNUSED, struct guest_addr dst, const void *src,
                      size_t size)
{
    struct iovec local = {(void *)(uintptr_t)src, size},
                 remote = {(void *)(uintptr_t)dst.raw, size};
    ssize_t done = process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
    return size - (done > 0 ? (size_t)done : 0);
}

size_t guest_zero(struct platform *p UNUSED, struct guest_addr dst, size_t size)
{
    memset((void *)dst.raw, 0, size);
    return 0;
}

int64_t guest_string_in(struct platform *p UNUSED, char *dst, struct guest_addr src, size_t size)
{
    size_t length = 0;
    for (; length < size; length++) {
        if (guest_copy_in(NULL, dst + length, guest_addr(src.raw + length), 1) != 0)
            return -EFAULT;
        if (!dst[length])
            break;
    }
    return (int64_t)length;
}

void *shim_memory_alloc(struct platform *p UNUSED, size_t size)
{
    void *memory = g_memory_available ? aligned_alloc(4096, size) : NULL;
    if (memory)
        memset(memory, 0, size);
    return memory;
}

void shim_memory_free(struct platform *p UNUSED, void *ptr, size_t size UNUSED)
{
    free(ptr);
}

struct thread *thread_current(struct platform *p UNUSED)
{
    return NULL;
}

int thread_wait(struct platform *p UNUSED, uint32_t *word UNUSED, uint32_t expected UNUSED,
                uint64_t deadline_ns UNUSED)
{
    sched_yield();
    return 0;
}

int thread_wake(struct platform *p UNUSED, uint32_t *word UNUSED, uint32_t count UNUSED)
{
    return 0;
}

void thread_unpark(struct platform *p UNUSED, struct thread *t UNUSED)
{
}

void instance_trace(struct platform *p UNUSED, const char *text, size_t size)
{
    if (g_trace_size + size < sizeof(g_trace)) {
        memcpy(g_trace + g_trace_size, text, size);
        g_trace_size += size;
    }
}

void instance_message(struct platform *p UNUSED, const char *text)
{
    fprintf(stderr, "%s\n", text);
}

void platform_panic(const char *message)
{
    fprintf(stderr, "%s\n", message);
    abort();
}

void platform_require_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: broken precondition: %s\n", file, line, condition);
    abort();
}
