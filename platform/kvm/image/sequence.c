/*
 * sequence.c: restartable sequences. Interrupts and switches of threads only mark a thread; once, before it enters ring 3 again, its
 * area is seen to. What it takes nearly always, two numbers written and rseq_cs found to be 0, is done at the guest's own addresses with
 * interrupts off: whoever unmaps the page waits for this processor. A fault there, or a sequence, goes the long way.
 */
#include <linux/rseq.h>

#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/kvm/image/cpu.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/kvm_image.h"
#include "platform/kvm/image/machine.h"
#include "platform/platform.h"
#include "platform/stock/sequence.h"

_Static_assert(offsetof(struct rseq, cpu_id_start) == 0 && offsetof(struct rseq, cpu_id) == 4 &&
                   offsetof(struct rseq, rseq_cs) == 8,
               "the offsets below");

/* Result: all is done. Interrupts off, the space of the area is loaded. */
static bool update(uint64_t area, uint32_t cpu)
{
    const uint64_t numbers = cpu | (uint64_t)cpu << 32;
    uint64_t named = 1; /* as if there were a sequence, after a fault */
    if (g_features.smap)
        __asm__ volatile("stac" : : : "memory");
    __asm__ volatile("1: mov %[numbers], (%[area])\n\t"
                     "2: mov 8(%[area]), %[named]\n"
                     "3:\n\t"
                     ".pushsection image_fixups, \"a\"\n\t"
                     ".quad 1b, 3b, 2b, 3b\n\t"
                     ".popsection"
                     : [named] "+r"(named)
                     : [numbers] "r"(numbers), [area] "r"(area)
                     : "memory");
    if (g_features.smap)
        __asm__ volatile("clac" : : : "memory");
    return named == 0;
}

bool sequence_resume(struct thread *t, struct guest_regs *regs)
{
    /* In another space it stays marked until it is back */
    while (t->disturbed && t->sequence && t->sequence_space == t->aspace) {
        t->disturbed = false;
        const uint32_t cpu = t->cpu->index;
        if (update(t->sequence, cpu))
            return true;
        __asm__ volatile("sti" : : : "memory");
        bool fine = stock_sequence_resume(&g_kvm_platform, guest_addr(t->sequence),
                                          t->sequence_signature, cpu, regs);
        interrupts_disable(); /* if it was disturbed meanwhile, once more */
        if (!fine) {
            t->sequence = 0;
            return false;
        }
    }
    return true;
}

int kvm_guest_sequence(struct platform *p, struct guest_addr area, uint32_t signature)
{
    struct thread *t = current();
    uint32_t cpus[2];
    t->sequence = 0;
    if (!area.raw)
        return 0;
    if (guest_copy_in(p, cpus, area, sizeof(cpus)) || guest_copy_out(p, area, cpus, sizeof(cpus)))
        return -EFAULT;
    t->sequence = area.raw;
    t->sequence_space = t->aspace;
    t->sequence_signature = signature;
    t->disturbed = true; /* so that the next guest_run tells the processor */
    return 0;
}
