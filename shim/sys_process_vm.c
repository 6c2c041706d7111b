/*
 * sys_process_vm.c: process_vm_readv(2) and process_vm_writev(2): between the caller's memory and another process's, through a buffer.
 */
#include <linux/uio.h>

#include "platform/contract.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/mm.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/sys_mm.h"

#define VECTORS_MAX 1024u /* UIO_MAXIOV */
#define CHUNK (32u * 1024u)

/* A position in a list of ranges. */
struct cursor {
    const struct iovec *v;
    unsigned count;
    uint64_t done; /* within *v */
};

static uint64_t left_here(struct cursor *c)
{
    while (c->count > 0 && c->done == c->v->iov_len) {
        c->v++;
        c->count--;
        c->done = 0;
    }
    return c->count > 0 ? c->v->iov_len - c->done : 0;
}

static struct guest_addr address_here(const struct cursor *c)
{
    return guest_addr((uint64_t)(uintptr_t)c->v->iov_base + c->done);
}

enum direction { FROM_REMOTE, TO_REMOTE };

struct transfer {
    enum direction direction;
    const struct aspace *as; /* the other process's */
    struct cursor local, remote;
    char *buffer;
};

/* Up to `size` bytes. Result: bytes moved; fewer: one side could not be reached. */
static size_t move_chunk(const struct transfer *t, size_t size)
{
    struct guest_addr local = address_here(&t->local), remote = address_here(&t->remote);
    if (t->direction == FROM_REMOTE) {
        size_t got = size - aspace_peek(g_platform, t->as, t->buffer, remote, size);
        return got - guest_copy_out(g_platform, local, t->buffer, got);
    }
    size_t got = size - guest_copy_in(g_platform, t->buffer, local, size);
    return got - aspace_poke(g_platform, t->as, remote, t->buffer, got);
}

static int64_t move_all(struct transfer *t)
{
    int64_t total = 0;
    for (;;) {
        uint64_t size = left_here(&t->local), other = left_here(&t->remote);
        size = size < other ? size : other;
        size = size < CHUNK ? size : CHUNK;
        if (size == 0)
            return total;
        size_t moved = move_chunk(t, size);
        t->local.done += moved;
        t->remote.done += moved;
        total += (int64_t)moved;
        if (moved < size)
            return total > 0 ? total : -EFAULT;
    }
}

/* The memory of a process, one user more. NULL: -ESRCH, -EPERM. */
static struct mm *memory_of(struct task *task, int pid, int *err)
{
    struct mm *mm = NULL;
    mutex_lock(&g_process_lock);
    struct task *t = task_find(pid);
    *err = t && t->mm ? 0 : -ESRCH;
    if (*err == 0 && !process_may_look_into(task->process, t->process))
        *err = -EPERM;
    if (*err == 0) {
        mm = t->mm;
        mm_get(mm);
    }
    mutex_unlock(&g_process_lock);
    return mm;
}

static int read_vectors(struct iovec *out, uint64_t addr, uint64_t count, enum direction side)
{
    if (user_read(out, addr, count * sizeof(*out)))
        return -EFAULT;
    for (uint64_t i = 0; i < count; i++) {
        if ((int64_t)out[i].iov_len < 0)
            return -EINVAL;
        /* Linux checks the caller's own ranges at once, the other's when it comes to them. */
        if (side == TO_REMOTE && out[i].iov_len > 0 &&
            !guest_range_ok(g_platform, guest_addr((uint64_t)(uintptr_t)out[i].iov_base),
                            out[i].iov_len))
            return -EFAULT;
    }
    return 0;
}

static long transfer(struct task *task, const struct syscall_args *args, enum direction direction)
{
    uint64_t local_count = args->a[2], remote_count = args->a[4];
    if (args->a[5] != 0 || local_count > VECTORS_MAX || remote_count > VECTORS_MAX)
        return -EINVAL;
    size_t vectors = (local_count + remote_count) * sizeof(struct iovec);
    struct iovec *v = shim_alloc(vectors + CHUNK);
    if (!v)
        return -ENOMEM;
    struct transfer t = {.direction = direction,
                         .local = {.v = v, .count = (unsigned)local_count},
                         .remote = {.v = v + local_count, .count = (unsigned)remote_count},
                         .buffer = (char *)v + vectors};
    int err = read_vectors(v, args->a[1], local_count, TO_REMOTE);
    if (err == 0)
        err = read_vectors(v + local_count, args->a[3], remote_count, FROM_REMOTE);
    struct mm *mm = err == 0 ? memory_of(task, (int)args->a[0], &err) : NULL;
    int64_t result = err;
    if (mm) {
        t.as = mm->as;
        result = move_all(&t);
        struct aspace *none = mm_put(mm, MM_DROP_OUTSIDE);
        PLATFORM_REQUIRE(none == NULL);
    }
    shim_free(v);
    return result;
}

long sys_process_vm_readv(struct task *task, const struct syscall_args *args)
{
    return transfer(task, args, FROM_REMOTE);
}

long sys_process_vm_writev(struct task *task, const struct syscall_args *args)
{
    return transfer(task, args, TO_REMOTE);
}
