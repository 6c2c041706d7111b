/*
 * user.c: copies between the shim and the calling task's memory.
 */
#include <linux/limits.h>

#include "platform/errno.h"
#include "platform/guest_memory.h"
#include "shim/base/alloc.h"
#include "shim/mm.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/syscall.h"

/* What could not be reached may be a stack that has to grow: true, try again from there. */
static bool grew(uint64_t addr, bool write)
{
    const struct task *task = task_current();
    return task && task->mm && mm_grow_stack(task->mm, addr, write);
}

size_t user_copy_in(void *dst, struct guest_addr src, size_t size)
{
    size_t missed = guest_copy_in(g_platform, dst, src, size);
    while (missed && grew(src.raw + (size - missed), false)) {
        size_t done = size - missed;
        missed = guest_copy_in(g_platform, (char *)dst + done, guest_addr(src.raw + done), missed);
    }
    return missed;
}

size_t user_copy_out(struct guest_addr dst, const void *src, size_t size)
{
    size_t missed = guest_copy_out(g_platform, dst, src, size);
    while (missed && grew(dst.raw + (size - missed), true)) {
        size_t done = size - missed;
        missed = guest_copy_out(g_platform, guest_addr(dst.raw + done), (const char *)src + done,
                                missed);
    }
    return missed;
}

size_t user_zero(struct guest_addr dst, size_t size)
{
    size_t missed = guest_zero(g_platform, dst, size);
    while (missed && grew(dst.raw + (size - missed), true))
        missed = guest_zero(g_platform, guest_addr(dst.raw + (size - missed)), missed);
    return missed;
}

int user_read(void *dst, uint64_t src, size_t size)
{
    return user_copy_in(dst, guest_addr(src), size) ? -EFAULT : 0;
}

int user_write(uint64_t dst, const void *src, size_t size)
{
    return user_copy_out(guest_addr(dst), src, size) ? -EFAULT : 0;
}

char *user_string(uint64_t src, size_t max, int *err)
{
    char first[256]; /* most strings are short: one copy finds their length */
    size_t limit = max < sizeof(first) ? max : sizeof(first);
    int64_t length = guest_string_in(g_platform, first, guest_addr(src), limit);
    if (length < 0) {
        *err = (int)length;
        return NULL;
    }
    if ((size_t)length < limit) {
        char *copy = shim_strndup(first, (size_t)length);
        if (!copy)
            *err = -ENOMEM;
        return copy;
    }
    if (limit == max) {
        *err = -ENAMETOOLONG;
        return NULL;
    }
    for (size_t size = 4096;; size *= 4) {
        if (size > max)
            size = max;
        char *buffer = shim_alloc(size);
        if (!buffer) {
            *err = -ENOMEM;
            return NULL;
        }
        length = guest_string_in(g_platform, buffer, guest_addr(src), size);
        if (length >= 0 && (size_t)length < size)
            return buffer;
        shim_free(buffer);
        if (length < 0 || size == max) {
            *err = length < 0 ? (int)length : -ENAMETOOLONG;
            return NULL;
        }
    }
}

int user_name_read(struct user_name *name, uint64_t src)
{
    int64_t length = guest_string_in(g_platform, name->near, guest_addr(src), sizeof(name->near));
    int err = length < 0 ? (int)length : 0;
    name->text = name->near;
    if (length >= (int64_t)sizeof(name->near) && !(name->text = user_string(src, PATH_MAX, &err)))
        return err;
    return err;
}

void user_name_end(struct user_name *name)
{
    if (name->text != name->near)
        shim_free(name->text);
}
