/*
 * processors.c: processors as tlb.c sees them, with a cache of translations by PCID and page (Intel SDM vol. 3, 4.10). What is cached goes only
 * when tlb.c says so. Whenever a processor could use something of it, that must be what the tables say, or less.
 */
#include <stdio.h>
#include <string.h>

#include "platform/contract.h"
#include "platform/kvm/image/kvm_aspace.h"
#include "platform/kvm/image/mm.h"
#include "platform/kvm/image/mm_env.h"
#include "tests/kvm_host/kvm_host.h"

enum { CACHED_MAX = 512 };
#define ROOT_MASK 0xffffffffff000ull

struct cached {
    uint64_t pcid, start, span, phys;
    bool writable, executable;
};
static struct processor {
    uint64_t cr3; /* without TLB_KEEP */
    unsigned count;
    struct cached cached[CACHED_MAX];
} g_processors[KVM_CPU_MAX];
static unsigned g_self;
static char g_text[200];

static uint64_t pcid_of(const struct processor *p)
{
    return p->cr3 & TLB_PCID_MASK;
}

/* Entries of this PCID, of one page or all. */
static void drop(struct processor *p, uint64_t pcid, bool all, uint64_t addr)
{
    unsigned left = 0;
    for (unsigned i = 0; i < p->count; i++) {
        const struct cached *c = &p->cached[i];
        if (c->pcid != pcid || !(all || addr - c->start < c->span))
            p->cached[left++] = *c;
    }
    p->count = left;
}

static void compare(const struct processor *p, const struct cached *c, uint64_t addr)
{
    const struct kvm_host_translation t = kvm_host_translate(p->cr3 & ROOT_MASK, addr);
    if (t.present && t.phys == c->phys + (addr - c->start) && (t.writable || !c->writable) &&
        (t.executable || !c->executable))
        return;
    snprintf(g_text, sizeof(g_text),
             "stale: processor %u, PCID %u, %#llx: cached %#llx%s, the tables say %#llx%s",
             (unsigned)(p - g_processors), (unsigned)c->pcid, (unsigned long long)addr,
             (unsigned long long)(c->phys + (addr - c->start)), c->writable ? " writable" : "",
             (unsigned long long)(t.present ? t.phys : 0), t.writable ? " writable" : "");
}

/* Everything that the processor may use now, against the tables. Of a huge page some places. */
static void check(const struct processor *p)
{
    for (unsigned i = 0; i < p->count && !g_text[0]; i++) {
        const struct cached *c = &p->cached[i];
        if (c->pcid != pcid_of(p))
            continue;
        const uint64_t step = c->span > 4096 ? c->span / 16 : c->span;
        for (uint64_t at = 0; at < c->span && !g_text[0]; at += step)
            compare(p, c, c->start + at);
    }
}

void tlb_machine_load(struct tlb_cpu *cpu, uint64_t cr3)
{
    struct processor *p = &g_processors[cpu - g_tlb];
    PLATFORM_REQUIRE(g_tlb_pcids || !(cr3 & (TLB_KEEP | TLB_PCID_MASK))); /* #GP, or other bits */
    p->cr3 = cr3 & ~TLB_KEEP;
    if (!(cr3 & TLB_KEEP))
        drop(p, pcid_of(p), true, 0);
    check(p);
}

void tlb_machine_drop(struct tlb_cpu *cpu, uint64_t addr)
{
    struct processor *p = &g_processors[cpu - g_tlb];
    drop(p, pcid_of(p), false, addr);
}

/* Taken at once. */
void tlb_machine_interrupt(struct tlb_cpu *cpu)
{
    tlb_cpu_serve(cpu);
}

static void serve_nobody(void)
{
}

void kvm_host_processors_start(unsigned count, bool pcids)
{
    PLATFORM_REQUIRE(count > 1 && count <= KVM_CPU_MAX);
    g_tlb_count = count;
    g_tlb_pcids = pcids;
}

void kvm_host_processors_flush(struct kvm_aspace *as, uint64_t start, uint64_t end)
{
    if (g_tlb_count > 1)
        tlb_flush(&g_tlb[g_self], as ? &as->tlb : NULL, start, end, serve_nobody);
}

void kvm_host_processors_load(struct kvm_aspace *as)
{
    if (g_tlb_count > 1)
        tlb_cpu_load(&g_tlb[g_self], as ? &as->tlb : NULL, as ? kvm_aspace_root(as) : 0);
}

void kvm_host_processor_set(unsigned number)
{
    g_self = number;
}

/* A copy of what the walk found, unless something is cached that grants as much. */
static bool cache(struct processor *p, uint64_t addr, bool write)
{
    for (unsigned i = 0; i < p->count; i++) {
        const struct cached *c = &p->cached[i];
        if (c->pcid == pcid_of(p) && addr - c->start < c->span && (c->writable || !write))
            return true;
    }
    drop(p, pcid_of(p), false, addr); /* as a fault does */
    const struct kvm_host_translation t = kvm_host_translate(p->cr3 & ROOT_MASK, addr);
    if (!t.present || (write && !t.writable))
        return false;
    const uint64_t offset = addr & (t.span - 1);
    if (p->count == CACHED_MAX)
        memmove(p->cached, p->cached + 1, --p->count * sizeof(p->cached[0]));
    p->cached[p->count++] = (struct cached){.pcid = pcid_of(p),
                                            .start = addr - offset,
                                            .span = t.span,
                                            .phys = t.phys - offset,
                                            .writable = t.writable,
                                            .executable = t.executable};
    return true;
}

bool kvm_host_processor_touch(uint64_t addr, bool write)
{
    struct processor *p = &g_processors[g_self];
    for (int tries = 0; tries < 3; tries++) {
        if (cache(p, addr, write))
            return true;
        if (kvm_aspace_fault(mm_active(), addr, write ? MEMORY_WRITE : MEMORY_READ) !=
            MM_FAULT_RESOLVED)
            return false;
    }
    snprintf(g_text, sizeof(g_text), "a fault at %#llx was resolved and came again",
             (unsigned long long)addr);
    return false;
}

const char *kvm_host_processors_check(void)
{
    for (unsigned i = 0; i < g_tlb_count; i++)
        check(&g_processors[i]);
    return g_text[0] ? g_text : NULL;
}
