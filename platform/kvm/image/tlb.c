/*
 * tlb.c: translations that processors keep; see tlb.h.
 */
#include "platform/kvm/image/tlb.h"

#include <stddef.h>

#define PAGE 4096ull
#define DROP_PAGES_MAX 32u /* beyond, dropping everything is cheaper */

struct tlb_cpu g_tlb[KVM_CPU_MAX];
unsigned g_tlb_count = 1;
bool g_tlb_pcids;

static uint64_t g_last_id;        /* atomic */
static uint64_t g_changes_of_all; /* atomic */

void tlb_space_init(struct tlb_space *space)
{
    *space = (struct tlb_space){.id = __atomic_add_fetch(&g_last_id, 1, __ATOMIC_RELAXED)};
}

/* The slot is as good as the tables are now, once what is cached under it was dropped: so this comes before. */
static void note_changes(struct tlb_kept *slot, const struct tlb_space *space)
{
    slot->changes = __atomic_load_n(&space->changes, __ATOMIC_ACQUIRE);
    slot->changes_of_all = __atomic_load_n(&g_changes_of_all, __ATOMIC_ACQUIRE);
}

/* The slot of a space, which may have been another's until now. Result: what it has cached is as good as the tables. */
static bool find_slot(struct tlb_cpu *self, const struct tlb_space *space)
{
    struct tlb_kept *slot = NULL;
    for (unsigned i = 0; i < TLB_KEPT && !slot; i++)
        if (self->kept[i].id == space->id)
            slot = &self->kept[i];
    const struct tlb_kept before = slot ? *slot : (struct tlb_kept){0};
    if (!slot) {
        slot = &self->kept[self->next];
        self->next = (self->next + 1) % TLB_KEPT;
    }
    slot->id = space->id;
    note_changes(slot, space);
    self->slot = slot;
    return before.id == slot->id && before.changes == slot->changes &&
           before.changes_of_all == slot->changes_of_all;
}

void tlb_cpu_load(struct tlb_cpu *self, struct tlb_space *space, uint64_t root)
{
    if (self->loaded == space)
        return;
    /*
     * The processor may walk the tables of both until CR3 is written, so tlb_flush finds it under both names. Changes are counted behind
     * this: one that is not counted yet comes from somebody who will find us.
     */
    __atomic_store_n(&self->loading, space, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint64_t keep = TLB_KEEP;
    self->cr3 = root;
    self->slot = NULL;
    if (space) {
        keep = g_tlb_pcids && find_slot(self, space) ? TLB_KEEP : 0;
        self->loads++;
        self->loads_kept += keep != 0;
    }
    if (self->slot)
        self->cr3 |= (uint64_t)(self->slot - self->kept) + 1;
    tlb_machine_load(self, g_tlb_pcids ? self->cr3 | keep : self->cr3);
    __atomic_store_n(&self->loaded, space, __ATOMIC_RELEASE);
}

/* All that is cached for what is loaded. */
static void drop_loaded(struct tlb_cpu *self)
{
    if (self->slot)
        note_changes(self->slot, self->loaded);
    tlb_machine_load(self, self->cr3);
}

bool tlb_cpu_is_asked(const struct tlb_cpu *self)
{
    return __atomic_load_n(&self->flush_wanted, __ATOMIC_ACQUIRE) != self->flush_done;
}

void tlb_cpu_serve(struct tlb_cpu *self)
{
    /* Who asks after this look waits for the next round. */
    const uint32_t wanted = __atomic_load_n(&self->flush_wanted, __ATOMIC_ACQUIRE);
    if (wanted == self->flush_done)
        return;
    drop_loaded(self);
    __atomic_store_n(&self->flush_done, wanted, __ATOMIC_RELEASE);
}

/* Tickets wrap around. */
static bool has_flushed(const struct tlb_cpu *cpu, uint32_t ticket)
{
    return (int32_t)(__atomic_load_n(&cpu->flush_done, __ATOMIC_ACQUIRE) - ticket) >= 0;
}

/* space NULL: any. */
static bool may_know(const struct tlb_cpu *cpu, const struct tlb_space *space)
{
    const struct tlb_space *loaded = __atomic_load_n(&cpu->loaded, __ATOMIC_SEQ_CST);
    const struct tlb_space *loading = __atomic_load_n(&cpu->loading, __ATOMIC_SEQ_CST);
    return space ? loaded == space || loading == space : loaded || loading;
}

/* `change` is the one that this is about; the slot has it if it had all before. */
static void drop_pages(struct tlb_cpu *self, const struct tlb_space *space, uint64_t change,
                       uint64_t start, uint64_t end)
{
    for (uint64_t at = start & ~(PAGE - 1); at < end; at += PAGE)
        tlb_machine_drop(self, at);
    if (!self->slot)
        return;
    uint64_t *seen = space ? &self->slot->changes : &self->slot->changes_of_all;
    if (*seen == change - 1)
        *seen = change;
}

void tlb_flush(struct tlb_cpu *self, struct tlb_space *space, uint64_t start, uint64_t end,
               void (*serve)(void))
{
    uint64_t waiting = 0;
    uint32_t ticket[KVM_CPU_MAX];
    /* Tables first, then the count, then who has them loaded */
    const uint64_t change =
        __atomic_add_fetch(space ? &space->changes : &g_changes_of_all, 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!space || self->loaded == space) {
        if (end - start > DROP_PAGES_MAX * PAGE)
            drop_loaded(self);
        else
            drop_pages(self, space, change, start, end);
    }
    for (unsigned i = 0; i < g_tlb_count; i++) {
        struct tlb_cpu *other = &g_tlb[i];
        if (other == self || !may_know(other, space))
            continue;
        ticket[i] = __atomic_add_fetch(&other->flush_wanted, 1, __ATOMIC_SEQ_CST);
        tlb_machine_interrupt(other);
        waiting |= 1ull << i;
    }
    for (unsigned i = 0; i < g_tlb_count; i++) {
        while (waiting >> i & 1 && !has_flushed(&g_tlb[i], ticket[i])) {
            serve();
            __builtin_ia32_pause();
        }
    }
}
