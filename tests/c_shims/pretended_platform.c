#include "tests/c_shims/pretended_platform.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int reachable(struct guest_addr addr)
{
    return addr.raw >= 4096 && addr.raw < 1ull << 47;
}

size_t guest_copy_in(struct platform *p UNUSED, void *dst, struct guest_addr src, size_t size)
{
    if (!reachable(src))
        return size;
    memcpy(dst, (const void *)(uintptr_t)src.raw, size);
    return 0;
}

size_t guest_copy_out(struct platform *p UNUSED, struct guest_addr dst, const void *src, size_t size)
{
    if (!reachable(dst))
        return size;
    memcpy((void *)(uintptr_t)dst.raw, src, size);
    return 0;
}

int64_t guest_string_in(struct platform *p UNUSED, char *dst, struct guest_addr src, size_t size)
{
    if (!reachable(src))
        return -EFAULT;
    const char *s = (const char *)(uintptr_t)src.raw;
    size_t length = strnlen(s, size);
    memcpy(dst, s, length < size ? length + 1 : size);
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

int thread_wait(struct platform *p UNUSED, uint32_t *word UNUSED, uint32_t expected UNUSED, uint64_t deadline_ns UNUSED)
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
