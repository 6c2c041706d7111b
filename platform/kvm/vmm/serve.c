/*
 * serve.c: the trust boundary: what the image asks is read once, checked field by field, then done.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/kvm/vmm/vm.h"

static void write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t done = write(fd, text, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return;
        text += done;
        size -= (size_t)done;
    }
}

/* One line, whatever bytes the image chose. */
static void write_line(const char *prefix, const char *text, size_t size)
{
    char line[1024];
    size_t length = 0;
    for (; prefix[length]; length++)
        line[length] = prefix[length];
    for (size_t i = 0; i < size && length < sizeof(line) - 1; i++)
        line[length++] = text[i] == '\n' ? ' ' : text[i];
    line[length++] = '\n';
    write_all(STDERR_FILENO, line, length);
}

static int64_t fill_entropy(unsigned char *out, size_t size)
{
    while (size > 0) {
        ssize_t got = getrandom(out, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        out += got;
        size -= (size_t)got;
    }
    return 0;
}

/* What instance_finish may be told: an exit status, or a signal. */
static bool wait_status_ok(uint64_t status)
{
    return status <= 0xffff && (WIFEXITED((int)status) ||
                                (WIFSIGNALED((int)status) && WTERMSIG((int)status) <= SIGRTMAX));
}

static int64_t answer(struct vcpu *cpu, const struct kvm_request *request, void *buffer)
{
    struct vm *vm = cpu->vm;
    switch (request->op) {
    case KVM_OP_MESSAGE:
        write_line("", buffer, request->size);
        return 0;
    case KVM_OP_TRACE:
        if (vm->trace_fd >= 0)
            write_all(vm->trace_fd, buffer, request->size);
        return 0;
    case KVM_OP_EXIT:
        if (!wait_status_ok(request->a0))
            return -EINVAL;
        vm_end(vm, (int)request->a0);
        return 0;
    case KVM_OP_PANIC:
        write_line("pal: internal error: ", buffer, request->size);
        vm_end(vm, SIGABRT);
        return 0;
    case KVM_OP_ENTROPY:
        return fill_entropy(buffer, request->size);
    case KVM_OP_START_CPU:
        if (request->a0 == 0 || request->a0 >= vm->cpu_count)
            return -EINVAL;
        return vcpu_start_at(&vm->vcpu[request->a0], request->a1, request->a2, request->a3);
    default:
        return -ENOSYS;
    }
}

void serve_call(struct vcpu *cpu, uint32_t address)
{
    struct kvm_request *shared = vm_memory(cpu->vm, address, sizeof(*shared));
    if (!shared || address % sizeof(uint64_t) != 0) {
        vm_fail(cpu->vm, "the image made a request at %#x, where none can be", address);
        return;
    }
    const struct kvm_request request = *(volatile const struct kvm_request *)shared;
    void *buffer = NULL;
    int64_t result = 0;
    if (request.size > 0) {
        buffer = vm_memory(cpu->vm, request.buffer, request.size);
        if (!buffer || request.size > KVM_BUFFER_MAX)
            result = -EFAULT;
    }
    if (result == 0)
        result = answer(cpu, &request, buffer);
    shared->result = result;
}
