/*
 * vcpu.c: one virtual processor: its first state, and the loop around KVM_RUN.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "platform/kvm/vmm/vm.h"

#define CR0_FOR_64_BIT 0x80050033ull /* PG, AM, WP, NE, ET, MP, PE. SDM vol. 3, 2.5 */
#define CR4_FOR_64_BIT 0x6a0ull      /* PAE, PGE, OSFXSR, OSXMMEXCPT */
#define CR4_OSXSAVE (1ull << 18)
#define EFER_FOR_64_BIT 0xd01ull /* NXE, LMA, LME, SCE */
#define CPUID_1_ECX_XSAVE (1u << 26)
#define CPUID_1_ECX_OSXSAVE (1u << 27)
#define CPUID_1_ECX_AVX (1u << 28 | 1u << 12 | 1u << 29) /* AVX, FMA, F16C */
#define CPUID_7_EBX_AVX2 (1u << 5)
#define CPUID_7_EBX_SMAP (1u << 20)
#define CPUID_7_EBX_AVX512 0xdc230000u /* F, DQ, IFMA, PF, ER, CD, BW, VL */
#define XFEATURES_WANTED 0xe7ull /* x87, SSE, AVX, AVX-512: what the image saves and restores */

/* What software KVM can't do in ring 0 is hidden from the image, and with it from the guest. */
static void mask_for_software(struct kvm_cpuid_entry2 *e)
{
    if (e->function == 1)
        e->ecx &= ~(CPUID_1_ECX_XSAVE | CPUID_1_ECX_OSXSAVE | CPUID_1_ECX_AVX);
    if (e->function == 7 && e->index == 0) {
        e->ebx &= ~(CPUID_7_EBX_AVX2 | CPUID_7_EBX_SMAP | CPUID_7_EBX_AVX512 | 1u /* FSGSBASE */);
        e->ecx = 0;
        e->edx = 0;
    }
    if (e->function == 7 && e->index > 0)
        e->eax = e->ebx = e->ecx = e->edx = 0;
    if (e->function == 0xd)
        e->eax = e->ebx = e->ecx = e->edx = 0;
}

static int set_identification(struct vcpu *cpu, uint64_t *xfeatures, bool *has_xsave)
{
    const size_t max = 256;
    struct kvm_cpuid2 *list = calloc(1, sizeof(*list) + max * sizeof(list->entries[0]));
    if (!list)
        return -ENOMEM;
    list->nent = max;
    int err = ioctl(cpu->vm->host.fd, KVM_GET_SUPPORTED_CPUID, list) < 0 ? -errno : 0;
    *has_xsave = false;
    for (uint32_t i = 0; err == 0 && i < list->nent; i++) {
        struct kvm_cpuid_entry2 *e = &list->entries[i];
        if (cpu->vm->host.software)
            mask_for_software(e);
        if (e->function == 1) {
            e->ebx = (e->ebx & 0x00ffffff) | cpu->index << 24;
            *has_xsave = e->ecx & CPUID_1_ECX_XSAVE;
        }
        if (e->function == 0xb || e->function == 0x1f)
            e->edx = cpu->index;
        if (e->function == 0xd && e->index == 0) {
            e->eax &= (uint32_t)XFEATURES_WANTED;
            *xfeatures = e->eax;
        }
    }
    if (err == 0 && ioctl(cpu->fd, KVM_SET_CPUID2, list) < 0)
        err = -errno;
    free(list);
    return err;
}

int vcpu_create(struct vcpu *cpu, struct vm *vm, unsigned index, char *why UNUSED,
                size_t size UNUSED)
{
    uint64_t xfeatures = 0;
    bool has_xsave = false;
    cpu->vm = vm;
    cpu->index = index;
    cpu->run = MAP_FAILED;
    cpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, index);
    if (cpu->fd < 0) {
        int err = -errno;
        cpu->run = NULL;
        return err;
    }
    cpu->run = mmap(NULL, vm->host.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
    if (cpu->run == MAP_FAILED) {
        cpu->run = NULL;
        return -errno;
    }
    int err = set_identification(cpu, &xfeatures, &has_xsave);
    if (err)
        return err;
    struct kvm_sregs sregs;
    if (ioctl(cpu->fd, KVM_GET_SREGS, &sregs) < 0)
        return -errno;
    struct kvm_segment code = {
        .limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
    struct kvm_segment data = {
        .limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = data;
    sregs.cr0 = CR0_FOR_64_BIT;
    sregs.cr4 = CR4_FOR_64_BIT | (has_xsave ? CR4_OSXSAVE : 0);
    sregs.efer = EFER_FOR_64_BIT;
    sregs.cr3 = 0; /* vcpu_start_at */
    if (ioctl(cpu->fd, KVM_SET_SREGS, &sregs) < 0)
        return -errno;
    if (has_xsave) {
        struct kvm_xcrs xcrs = {.nr_xcrs = 1,
                                .xcrs = {{.xcr = 0, .value = xfeatures & XFEATURES_WANTED}}};
        if (ioctl(cpu->fd, KVM_SET_XCRS, &xcrs) < 0)
            return -errno;
    }
    struct kvm_mp_state runnable = {.mp_state = KVM_MP_STATE_RUNNABLE};
    return ioctl(cpu->fd, KVM_SET_MP_STATE, &runnable) < 0 ? -errno : 0;
}

void vcpu_destroy(struct vcpu *cpu)
{
    if (cpu->run)
        munmap(cpu->run, cpu->vm->host.run_size);
    if (cpu->vm && cpu->fd >= 0)
        close(cpu->fd);
}

int vcpu_set_tables(struct vcpu *cpu, uint64_t cr3)
{
    struct kvm_sregs sregs;
    if (ioctl(cpu->fd, KVM_GET_SREGS, &sregs) < 0)
        return -errno;
    sregs.cr3 = cr3;
    return ioctl(cpu->fd, KVM_SET_SREGS, &sregs) < 0 ? -errno : 0;
}

int vcpu_start_at(struct vcpu *cpu, uint64_t rip, uint64_t rsp, uint64_t rdi)
{
    pthread_mutex_lock(&cpu->vm->lock);
    int err = cpu->started ? -EBUSY : 0;
    if (err == 0) {
        cpu->start_rip = rip;
        cpu->start_rsp = rsp;
        cpu->start_rdi = rdi;
        cpu->started = true;
        pthread_cond_broadcast(&cpu->vm->changed);
    }
    pthread_mutex_unlock(&cpu->vm->lock);
    return err;
}

static bool wait_for_start(struct vcpu *cpu)
{
    pthread_mutex_lock(&cpu->vm->lock);
    while (!cpu->started && !cpu->vm->ended)
        pthread_cond_wait(&cpu->vm->changed, &cpu->vm->lock);
    bool go = !cpu->vm->ended;
    pthread_mutex_unlock(&cpu->vm->lock);
    if (!go)
        return false;
    struct kvm_regs regs = {
        .rip = cpu->start_rip, .rsp = cpu->start_rsp, .rdi = cpu->start_rdi, .rflags = 2};
    if (ioctl(cpu->fd, KVM_SET_REGS, &regs) < 0) {
        vm_fail(cpu->vm, "processor %u: KVM_SET_REGS: %s", cpu->index, strerror(errno));
        return false;
    }
    return true;
}

static uint64_t current_rip(const struct vcpu *cpu)
{
    struct kvm_regs regs;
    return ioctl(cpu->fd, KVM_GET_REGS, &regs) == 0 ? regs.rip : 0;
}

static void serve_port(struct vcpu *cpu)
{
    struct kvm_run *run = cpu->run;
    uint32_t address;
    memcpy(&address, (const char *)run + run->io.data_offset, sizeof(address));
    bool word_out = run->io.direction == KVM_EXIT_IO_OUT && run->io.size == 4 && run->io.count == 1;
    __atomic_store_n(&cpu->serving, 1, __ATOMIC_RELEASE);
    if (word_out && run->io.port == KVM_PORT_CALL)
        serve_call(cpu, address);
    else if (word_out && run->io.port == KVM_PORT_SUBMIT)
        serve_submit(cpu, address);
    else
        vm_fail(cpu->vm, "the image used port %#x in a way that nobody serves (at %#llx)",
                run->io.port, (unsigned long long)current_rip(cpu));
    __atomic_store_n(&cpu->serving, 0, __ATOMIC_RELEASE);
}

/* One exit that is not an interruption. */
static void serve_exit(struct vcpu *cpu)
{
    struct kvm_run *run = cpu->run;
    if (run->exit_reason == KVM_EXIT_IO) {
        serve_port(cpu);
        return;
    }
    unsigned long long rip = current_rip(cpu);
    switch (run->exit_reason) {
    case KVM_EXIT_SHUTDOWN:
        vm_fail(cpu->vm, "processor %u: triple fault near %#llx", cpu->index, rip);
        break;
    case KVM_EXIT_MMIO:
        vm_fail(cpu->vm, "processor %u: access to %#llx, where no memory is (at %#llx)", cpu->index,
                (unsigned long long)run->mmio.phys_addr, rip);
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        vm_fail(cpu->vm, "processor %u: KVM could not go on at %#llx (internal error %u)",
                cpu->index, rip, run->internal.suberror);
        break;
    case KVM_EXIT_FAIL_ENTRY:
        vm_fail(cpu->vm, "processor %u: the hardware refused to run it (reason %#llx)", cpu->index,
                (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
        break;
    default:
        vm_fail(cpu->vm, "processor %u: unexpected exit %u at %#llx", cpu->index, run->exit_reason,
                rip);
        break;
    }
}

bool vcpu_is_running(struct vcpu *cpu)
{
    pthread_mutex_lock(&cpu->vm->lock);
    bool started = cpu->started;
    pthread_mutex_unlock(&cpu->vm->lock);
    return started && !__atomic_load_n(&cpu->serving, __ATOMIC_ACQUIRE);
}

void vcpu_answer_watchdog(struct vcpu *cpu)
{
    vcpu_describe(cpu);
    pthread_mutex_lock(&cpu->vm->lock);
    if (cpu->describing == VCPU_TO_DESCRIBE)
        __atomic_store_n(&cpu->describing, VCPU_DESCRIBED, __ATOMIC_RELEASE);
    while (!cpu->vm->ended && cpu->describing == VCPU_DESCRIBED)
        pthread_cond_wait(&cpu->vm->changed, &cpu->vm->lock);
    pthread_mutex_unlock(&cpu->vm->lock);
}

void *vcpu_main(void *arg)
{
    struct vcpu *cpu = arg;
    struct vm *vm = cpu->vm;
    bool go = wait_for_start(cpu);
    while (go) {
        int err = ioctl(cpu->fd, KVM_RUN, 0) < 0 ? errno : 0;
        if (__atomic_load_n(&cpu->describing, __ATOMIC_ACQUIRE) == VCPU_TO_DESCRIBE)
            vcpu_answer_watchdog(cpu);
        if (err == 0)
            serve_exit(cpu);
        else if (err != EINTR && err != EAGAIN)
            vm_fail(vm, "processor %u: KVM_RUN: %s at %#llx", cpu->index, strerror(err),
                    (unsigned long long)current_rip(cpu));
        cpu->run->immediate_exit = 0; /* whoever wants it out has said so before, or kicks again */
        pthread_mutex_lock(&vm->lock);
        go = !vm->ended;
        pthread_mutex_unlock(&vm->lock);
    }
    return NULL;
}
