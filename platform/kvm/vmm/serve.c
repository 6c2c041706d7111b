/*
 * serve.c: the trust boundary: what the image asks is read once, checked field by field, then done.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "platform/host_file.h"
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

/* Zero pages: the host has the memory back. */
static int64_t give_back(void *memory, size_t size)
{
    if (((uintptr_t)memory | size) & 4095)
        return -EINVAL;
    return madvise(memory, size, MADV_DONTNEED) < 0 ? -errno : 0;
}

static int64_t read_clocks(struct kvm_clock_reading *out)
{
    struct timespec monotonic, realtime, boottime;
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    clock_gettime(CLOCK_REALTIME, &realtime);
    clock_gettime(CLOCK_BOOTTIME, &boottime);
    out->monotonic_ns = (uint64_t)monotonic.tv_sec * 1000000000 + (uint64_t)monotonic.tv_nsec;
    out->realtime_ns = (uint64_t)realtime.tv_sec * 1000000000 + (uint64_t)realtime.tv_nsec;
    out->boottime_ns = (uint64_t)boottime.tv_sec * 1000000000 + (uint64_t)boottime.tv_nsec;
    return 0;
}

int64_t serve_file(struct vm *vm, const struct kvm_request *request, void *buffer)
{
    void *second = NULL;
    if ((request->op == KVM_OP_FILE_STAT_AT || request->op == KVM_OP_FILE_STAT_PATH) &&
        request->a1 % sizeof(uint64_t) == 0)
        second = vm_memory(vm, request->a1, sizeof(struct host_stat));
    if (request->op == KVM_OP_FILE_GET_XATTR || request->op == KVM_OP_FILE_SET_XATTR) {
        if (request->a2 > KVM_BUFFER_MAX)
            return -EFAULT;
        second = request->a2 > 0 ? vm_memory(vm, request->a1, request->a2) : NULL;
        if (request->a2 > 0 && !second)
            return -EFAULT;
    }
    return vm_files_serve(&vm->files, request, buffer, second);
}

/* Sockets never block, so all of it is answered at once. */
static int64_t serve_socket(struct vm *vm, const struct kvm_request *request, void *buffer)
{
    struct kvm_socket_message *message = NULL;
    if (request->op == KVM_OP_SOCKET_SEND || request->op == KVM_OP_SOCKET_RECEIVE) {
        message = vm_memory(vm, request->a1, sizeof(*message));
        if (!message)
            return -EFAULT;
    }
    return vm_sockets_serve(&vm->sockets, &vm->files, request, buffer, message);
}

static int64_t answer(struct vcpu *cpu, const struct kvm_request *request, void *buffer)
{
    struct vm *vm = cpu->vm;
    void *target;
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
    case KVM_OP_CLOCK:
        return request->size == sizeof(struct kvm_clock_reading) ? read_clocks(buffer) : -EINVAL;
    case KVM_OP_ENTROPY:
        return fill_entropy(buffer, request->size);
    case KVM_OP_START_CPU:
        if (request->a0 == 0 || request->a0 >= vm->cpu_count)
            return -EINVAL;
        return vcpu_start_at(&vm->vcpu[request->a0], request->a1, request->a2, request->a3);
    case KVM_OP_GIVE_BACK:
        return buffer ? give_back(buffer, request->size) : -EINVAL;
    case KVM_OP_ZERO:
        if (buffer)
            memset(buffer, 0, request->size);
        return 0;
    case KVM_OP_COPY:
        target = request->size > 0 ? vm_memory(vm, request->a0, request->size) : NULL;
        if (!target)
            return -EFAULT;
        memmove(target, buffer, request->size);
        return 0;
    case KVM_OP_SUSPEND:
        __atomic_store_n(&vm->suspend_requested, 1, __ATOMIC_RELEASE);
        kill(getpid(), SIGURG);
        return 0;
    case KVM_OP_CANCEL:
        return later_cancel(vm, request->a0);
    default:
        if (request->op >= KVM_OP_SOCKET_PUBLISHED && request->op < KVM_OP_COUNT)
            return serve_socket(vm, request, buffer);
        if (request->op < KVM_OP_FILE_GRANTED || request->op >= KVM_OP_WAIT_FILES)
            return -ENOSYS;
        return serve_file(vm, request, buffer);
    }
}

/* Its buffer is a struct. */
static bool holds_words(uint32_t op)
{
    return op == KVM_OP_CLOCK || op == KVM_OP_FILE_STAT || op == KVM_OP_FILE_SETATTR ||
           op == KVM_OP_FILE_STATFS || op == KVM_OP_FILE_READDIR || op == KVM_OP_WAIT_FILES;
}

/* The request as it was at one moment, and its buffer. NULL: the machine has ended over it. */
static struct kvm_request *take(struct vcpu *cpu, uint32_t address, struct kvm_request *out,
                                void **buffer, int64_t *result)
{
    struct kvm_request *shared = vm_memory(cpu->vm, address, sizeof(*shared));
    if (!shared || address % sizeof(uint64_t) != 0) {
        vm_fail(cpu->vm, "the image made a request at %#x, where none can be", address);
        return NULL;
    }
    *out = *(volatile const struct kvm_request *)shared;
    *buffer = NULL;
    *result = 0;
    if (out->size > 0) {
        bool any_size =
            out->op == KVM_OP_ZERO || out->op == KVM_OP_COPY || out->op == KVM_OP_GIVE_BACK;
        *buffer = vm_memory(cpu->vm, out->buffer, out->size);
        if (!*buffer || (out->size > KVM_BUFFER_MAX && !any_size) ||
            (holds_words(out->op) && out->buffer % sizeof(uint64_t) != 0))
            *result = -EFAULT;
    }
    return shared;
}

void serve_call(struct vcpu *cpu, uint32_t address)
{
    struct kvm_request request;
    void *buffer;
    int64_t result;
    struct kvm_request *shared = take(cpu, address, &request, &buffer, &result);
    if (shared)
        shared->result = result ? result : answer(cpu, &request, buffer);
}

void serve_submit(struct vcpu *cpu, uint32_t address)
{
    struct kvm_request request;
    void *buffer;
    int64_t result;
    struct kvm_request *shared = take(cpu, address, &request, &buffer, &result);
    if (!shared)
        return;
    if (result) { /* the queue answers it: one way back for all */
        request.op = KVM_OP_NONE;
        buffer = NULL;
    }
    later_submit(cpu->vm, address, &request, buffer);
}
