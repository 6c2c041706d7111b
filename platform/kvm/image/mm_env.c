/*
 * mm_env.c: what the memory code asks of the machine: locks, translations, bulk work, host files.
 */
#include "platform/kvm/image/mm_env.h"

#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/host_file.h"
#include "platform/kvm/image/cpu.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/kvm_aspace.h"
#include "platform/kvm/image/kvm_image.h"
#include "platform/kvm/image/machine.h"
#include "platform/kvm/image/tlb.h"

#include <linux/stat.h>

#define PAGE 4096ull
/* From this size on the VMM zeroes and copies: a hypercall is cheaper than emulated instructions. */
#define BULK_BY_VMM 2048u

/* Bit 0: held; bit 1: interrupts were on when it was taken. */
void mm_spin_lock(struct mm_spinlock *lock)
{
    uint64_t flags = interrupts_disable();
    uint32_t wanted = flags & RFLAGS_IF ? 3 : 1, seen = 0;
    while (!__atomic_compare_exchange_n(&lock->word, &seen, wanted, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED)) {
        if (!is_booting())
            tlb_serve(current()->cpu); /* its holder may wait for us */
        __builtin_ia32_pause();
        seen = 0;
    }
}

void mm_spin_unlock(struct mm_spinlock *lock)
{
    uint32_t held = lock->word;
    __atomic_store_n(&lock->word, 0, __ATOMIC_RELEASE);
    if (held & 2)
        __asm__ volatile("sti" : : : "memory");
}

/* 0 free, 1 held, 2 held and waited for. */
void mm_mutex_lock(struct mm_mutex *lock)
{
    uint32_t seen = 0;
    if (__atomic_compare_exchange_n(&lock->word, &seen, 1, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED))
        return;
    while (__atomic_exchange_n(&lock->word, 2, __ATOMIC_ACQUIRE) != 0)
        kvm_thread_ops.wait(&g_kvm_platform, &lock->word, 2, THREAD_WAIT_FOREVER);
}

void mm_mutex_unlock(struct mm_mutex *lock)
{
    if (__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE) == 2)
        kvm_thread_ops.wake(&g_kvm_platform, &lock->word, 1);
}

struct kvm_aspace *mm_active(void)
{
    return current()->aspace;
}

static struct tlb_cpu *tlb_of(const struct cpu *cpu)
{
    return &g_tlb[cpu->index];
}

void tlb_machine_load(struct tlb_cpu *cpu UNUSED, uint64_t cr3)
{
    write_cr3(cr3);
}

void tlb_machine_drop(struct tlb_cpu *cpu UNUSED, uint64_t addr)
{
    __asm__ volatile("invlpg (%0)" : : "r"(addr) : "memory");
}

void tlb_machine_interrupt(struct tlb_cpu *cpu)
{
    apic_send((unsigned)(cpu - g_tlb), VECTOR_FLUSH);
}

void tlb_load(struct cpu *cpu, struct kvm_aspace *as)
{
    tlb_cpu_load(tlb_of(cpu), as ? &as->tlb : NULL, as ? kvm_aspace_root(as) : kernel_map_root());
}

void mm_set_active(struct kvm_aspace *as)
{
    uint64_t flags = interrupts_disable();
    struct thread *t = current();
    t->aspace = as;
    tlb_load(t->cpu, as);
    interrupts_restore(flags);
}

void tlb_serve(struct cpu *cpu)
{
    if (!tlb_cpu_is_asked(tlb_of(cpu)))
        return;
    /* It may be a barrier, and meet a thread that resolves a fault of a restartable sequence. */
    if (!is_booting())
        current()->disturbed = true;
    tlb_cpu_serve(tlb_of(cpu));
}

static void serve_here(void)
{
    tlb_serve(this_cpu());
}

void mm_flush(struct kvm_aspace *as, uint64_t start, uint64_t end)
{
    uint64_t flags = interrupts_disable();
    tlb_flush(tlb_of(this_cpu()), as ? &as->tlb : NULL, start, end, serve_here);
    interrupts_restore(flags);
}

static bool bulk(uint32_t op, uint64_t from, uint64_t size, uint64_t to)
{
    if (!g_features.syscall_by_fault || size < BULK_BY_VMM)
        return false;
    struct kvm_request request = {.op = op, .a0 = to, .buffer = from, .size = size};
    return image_call(&request) == 0;
}

void mm_zero(uint64_t phys, uint64_t size)
{
    if (bulk(KVM_OP_ZERO, phys, size, 0))
        return;
    void *at = phys_to_virt(phys);
    uint64_t words = size / 8;
    __asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(0) : "memory");
}

void mm_copy(uint64_t to, uint64_t from, uint64_t size)
{
    if (bulk(KVM_OP_COPY, from, size, to))
        return;
    void *target = phys_to_virt(to), *source = phys_to_virt(from);
    uint64_t words = size / 8;
    __asm__ volatile("rep movsq" : "+D"(target), "+S"(source), "+c"(words) : : "memory");
}

bool mm_discard(uint64_t phys, uint64_t size)
{
    struct kvm_request request = {.op = KVM_OP_GIVE_BACK, .buffer = phys, .size = size};
    return image_call(&request) == 0;
}

void mm_memory_taken(uint64_t phys UNUSED, uint64_t size UNUSED)
{
}

void mm_memory_released(uint64_t phys UNUSED, uint64_t size UNUSED)
{
}

bool mm_allocation_fails(void)
{
    return kvm_fault_due();
}

int mm_file_info(struct host_file *file, struct mm_file_info *out)
{
    struct host_stat st;
    int err = kvm_host_file_ops.stat(&g_kvm_platform, file, &st);
    if (err)
        return err;
    unsigned access = kvm_file_access(file);
    *out = (struct mm_file_info){.dev = st.dev,
                                 .ino = st.ino,
                                 .size = st.size,
                                 .readable = access & HOST_OPEN_READ,
                                 .writable = access & HOST_OPEN_WRITE,
                                 .mappable = (st.mode & S_IFMT) == S_IFREG};
    return 0;
}

void mm_file_get(struct host_file *file)
{
    kvm_host_file_ops.get(&g_kvm_platform, file);
}

void mm_file_put(struct host_file *file)
{
    kvm_host_file_ops.close(&g_kvm_platform, file);
}

int mm_file_read(struct host_file *file, uint64_t offset, uint64_t phys)
{
    char *page = phys_to_virt(phys);
    uint64_t done = 0;
    while (done < PAGE) {
        int64_t got =
            kvm_file_transfer(file, KVM_OP_FILE_PREAD, offset + done, phys + done, PAGE - done);
        if (got < 0)
            return (int)got;
        if (got == 0)
            break;
        done += (uint64_t)got;
    }
    if (done < PAGE)
        __builtin_memset(page + done, 0, PAGE - done);
    return 0;
}

int mm_file_write(struct host_file *file, uint64_t offset, uint64_t phys, uint64_t size)
{
    uint64_t done = 0;
    while (done < size) {
        int64_t put =
            kvm_file_transfer(file, KVM_OP_FILE_PWRITE, offset + done, phys + done, size - done);
        if (put <= 0)
            return put < 0 ? (int)put : -EIO;
        done += (uint64_t)put;
    }
    return 0;
}

int mm_file_resize(struct host_file *file, uint64_t size)
{
    const struct host_stat attr = {.size = size};
    return kvm_host_file_ops.setattr(&g_kvm_platform, file, HOST_SET_SIZE, &attr);
}
