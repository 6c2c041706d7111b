/*
 * patch.c: system calls without a trap. A site that trapped often enough is rewritten to jump to a stub, which enters lu_patched_entry;
 * site.h shows the two forms.
 *
 * Rewritten is only what was seen to trap, in text mapped private from a file and not writable since (no scanning, no JIT code). What
 * changes under a site (unmapping, a new mapping, other protection, dropped pages) takes the patch back first. Patched text and stubs
 * are private memory of the carrier: fork shares them copy-on-write.
 */
#include "platform/linux_user/patch.h"

#include <linux/futex.h>

#define PATCH_AT_TRAP                                                                              \
    16u /* a patch costs some thirty traps, and many sites are done with after eight */
#define PATCH_AGAIN_AT 64u /* a site that is jumped to past its patch: try the other form */
#define RT_SIGRETURN 15

static struct lu_pool g_patches = {.size = sizeof(struct lu_patch)};
static struct lu_pool g_families = {.size = sizeof(struct patch_family)};

static struct lu_patch *patch_make(void)
{
    struct lu_patch *p = lu_pool_get(&g_patches);
    struct patch_family *family = p ? lu_pool_get(&g_families) : NULL;
    if (family) {
        family->refs = 1;
        p->family = family;
    } else if (p) {
        lu_pool_put(&g_patches, p);
        p = NULL;
    }
    return p;
}

static void patch_drop(struct lu_patch *p)
{
    while (p->text_count > 0)
        lu_memory_ops.object_put(&g_lu.platform, p->text[--p->text_count].object);
    if (__atomic_sub_fetch(&p->family->refs, 1, __ATOMIC_ACQ_REL) == 0)
        lu_pool_put(&g_families, p->family);
    lu_pool_put(&g_patches, p);
}

/* ---- what is mapped ---- */

void lu_patch_text_mapped(struct lu_aspace *as, const struct memory_map_request *req)
{
    if (!g_lu.patching || as->patch_refused)
        return;
    if (!as->patch)
        as->patch = patch_make();
    struct lu_patch *p = as->patch;
    if (!p)
        return; /* trapping works without */
    struct patch_text text = {
        .start = req->addr.raw,
        .end = req->addr.raw + req->size,
        .offset = req->offset,
        .object = req->object,
        .identity = g_lu.detailed_stats ? lu_object_identity(req->object) : 0,
    };
    lu_lock(&p->lock);
    patch_text_add(p, &text);
    lu_unlock(&p->lock);
}

static bool overlaps(uint64_t start, uint64_t end, uint64_t from, uint64_t size)
{
    return start < from + size && from < end;
}

struct lu_patch *lu_patch_change_begin(struct lu_aspace *as)
{
    struct lu_patch *p = as->patch;
    if (p)
        lu_lock(&p->lock);
    return p;
}

void lu_patch_forget(struct lu_patch *p, struct lu_carrier *c, uint64_t start, uint64_t size)
{
    if (!p)
        return;
    bool known = false;
    uint64_t restored_end = start + size;
    for (uint32_t i = 0; i < p->text_count; i++) {
        const struct patch_text *text = &p->text[i];
        if (!overlaps(text->start, text->end, start, size))
            continue;
        known = true;
        /* What is left above the hole will be forgotten */
        if (p->text_count == PATCH_TEXTS && text->start < start && text->end > restored_end)
            restored_end = text->end;
    }
    for (uint32_t i = 0; i < PATCH_AREAS; i++) {
        struct patch_area *area = &p->areas[i];
        if (area->base && overlaps(area->base, area->base + PATCH_AREA_SIZE, start, size))
            patch_evict_area(p, c, area);
    }
    if (known) {
        patch_restore_range(p, c, start, restored_end);
        patch_text_cut(p, start, start + size);
    }
}

void lu_patch_forget_object(struct lu_patch *p, struct lu_carrier *c,
                            const struct memory_object *object)
{
    for (uint32_t i = 0; p && i < p->text_count; i++) {
        if (p->text[i].object != object)
            continue;
        lu_patch_forget(p, c, p->text[i].start, p->text[i].end - p->text[i].start);
        i = UINT32_MAX; /* the table has changed: from its start */
    }
}

void lu_patch_change_end(struct lu_patch *changed)
{
    if (changed)
        lu_unlock(&changed->lock);
}

/* ---- traps ---- */

/* The way of a site, the one with the fewest traps making place for a new one. */
static struct patch_hit *hit_of(struct patch_hit *hits, uint64_t site)
{
    struct patch_hit *set = &hits[(site ^ site >> 7 ^ site >> 13) % PATCH_SETS * PATCH_WAYS],
                     *least = set;
    for (uint32_t way = 0; way < PATCH_WAYS; way++) {
        if (set[way].site == site)
            return &set[way];
        if (set[way].traps < least->traps)
            least = &set[way];
    }
    *least = (struct patch_hit){.site = site};
    return least;
}

static uint32_t count_trap(struct patch_hit *hits, uint64_t site, uint64_t number)
{
    struct patch_hit *hit = hit_of(hits, site);
    hit->number = (uint32_t)number;
    return ++hit->traps;
}

static void settle(struct lu_patch *p, uint64_t site)
{
    struct patch_hit *hit = hit_of(p->family->hits, site);
    p->family->settled[hit - p->family->hits] = site;
}

void patch_site_restored(struct lu_patch *p, uint64_t site)
{
    struct patch_hit *hit = hit_of(p->family->hits, site);
    p->family->settled[hit - p->family->hits] = 0;
    *hit = *hit_of(p->hits, site) = (struct patch_hit){.site = site};
}

/* The text a site is in, with a reference of the caller's to its object. */
static bool borrow_text(struct lu_patch *p, uint64_t site, struct patch_text *out)
{
    lu_lock(&p->lock);
    const struct patch_text *text = patch_text_find(p, site, site + SITE_SYSCALL_SIZE);
    if (text) {
        *out = *text;
        lu_memory_ops.object_get(&g_lu.platform, out->object);
    }
    lu_unlock(&p->lock);
    return text != NULL;
}

/* p->lock is not held while the file is read: whoever unmaps, forks or exits would wait for it. */
static enum site_refusal patch_site(struct lu_aspace *as, const struct lu_carrier *c, uint64_t site,
                                    uint64_t number, enum patch_effort effort)
{
    struct lu_patch *p = as->patch;
    struct patch_text text;
    struct patch_plan plan;
    bool padding = false, taken;
    __atomic_add_fetch(&p->family->analyses, 1, __ATOMIC_RELAXED);
    bool known = borrow_text(p, site, &text);
    enum site_refusal why = !known                   ? SITE_NOT_TEXT
                            : number == RT_SIGRETURN ? SITE_TRAMPOLINE
                                                     : patch_plan(&text, site, &plan);
    const bool planned = why == SITE_FINE;
    do {
        taken = false;
        lu_lock(&p->lock);
        if (planned)
            why = as->patch_refused
                      ? SITE_GS
                      : patch_apply(p, c, &text, site, &plan, effort, &padding, &taken);
        if (!taken)
            patch_record_verdict(p, c, site, why, padding);
        lu_unlock(&p->lock);
        if (taken)
            patch_plan_next(&text, site, &plan);
    } while (taken);
    __atomic_sub_fetch(&p->family->analyses, 1, __ATOMIC_RELAXED);
    if (known)
        lu_memory_ops.object_put(&g_lu.platform, text.object);
    return why;
}

void lu_patch_consider(struct lu_aspace *as, const struct lu_carrier *c,
                       const struct guest_regs *regs)
{
    struct lu_patch *p = as->patch;
    uint64_t site = regs->rip - SITE_SYSCALL_SIZE;
    uint32_t traps = 0;
    if (p && !as->patch_refused) {
        count_trap(p->family->hits, site, regs->rax);
        traps = count_trap(p->hits, site, regs->rax);
    }
    if (g_lu.detailed_stats)
        patch_record_trap(p, site, regs->rax,
                          traps && traps <= PATCH_AT_TRAP ? PATCH_TRAP_NEW : PATCH_TRAP_SETTLED);
    if (traps != PATCH_AT_TRAP && traps != PATCH_AGAIN_AT)
        return;
    enum patch_effort effort = traps == PATCH_AT_TRAP ? PATCH_IF_NEW : PATCH_AGAIN;
    if (patch_site(as, c, site, regs->rax, effort) != SITE_FINE)
        settle(p, site);
}

void lu_patch_refuse(struct lu_aspace *as, struct lu_carrier *c)
{
    if (as->patch_refused)
        return;
    as->patch_refused = true;
    if (!as->patch)
        return;
    lu_lock(&as->patch->lock);
    patch_restore_range(as->patch, c, 0, UINT64_MAX);
    lu_unlock(&as->patch->lock);
}

/* ---- in the signal handler ---- */

static bool stub_at(const struct lu_patch *p, uint64_t address, struct patch_stub *out,
                    uint64_t *offset)
{
    for (uint32_t i = 0; i < PATCH_AREAS; i++) {
        const struct patch_area *area = &p->areas[i];
        uint64_t distance = address - area->base;
        if (area->base &&
            distance < __atomic_load_n(&area->high, __ATOMIC_ACQUIRE) * PATCH_STUB_SIZE) {
            *offset = distance % PATCH_STUB_SIZE;
            return patch_read(out, address - *offset, sizeof(*out));
        }
    }
    return false;
}

/* Where in a stub, or on the way into one, `rip` is; *original: the place in the guest's code that it stands for. */
static enum lu_stub_place stub_place(const struct lu_patch *p, uint64_t rip, uint64_t *original)
{
    struct patch_stub stub;
    uint64_t offset;
    *original = rip;
    if (!p)
        return LU_STUB_NONE;
    /* The moved instruction either has not begun or is done; the syscall itself has not happened. */
    if (stub_at(p, rip, &stub, &offset)) {
        *original = offset == 0 ? stub.site : stub.site + stub.length;
        if (offset == stub.length)
            return stub.length > 0 ? LU_STUB_BOUNDARY : LU_STUB_INSIDE;
        return offset == stub.length + PATCH_STUB_LOAD_SIZE ? LU_STUB_DOOR : LU_STUB_INSIDE;
    }
    uint8_t jump[SITE_JUMP_SIZE];
    int32_t distance;
    if (!p->in_padding || !patch_read(jump, rip, sizeof(jump)) || jump[0] != 0xe9)
        return LU_STUB_NONE;
    __builtin_memcpy(&distance, jump + 1, 4);
    if (!stub_at(p, rip + SITE_JUMP_SIZE + (uint64_t)(int64_t)distance, &stub, &offset) ||
        offset != 0 || stub.padding != rip)
        return LU_STUB_NONE;
    *original = stub.site;
    return LU_STUB_INSIDE;
}

uint64_t lu_patch_original_rip(const struct lu_aspace *as, uint64_t rip)
{
    uint64_t original;
    stub_place(as->patch, rip, &original);
    return original;
}

enum lu_stub_place lu_patch_stub_place(const struct lu_aspace *as, uint64_t rip)
{
    uint64_t original;
    return stub_place(as->patch, rip, &original);
}

uint64_t lu_patch_answer_sweep(struct lu_worker *w, uint64_t rip)
{
    uint32_t wanted = __atomic_load_n(&w->carrier->stub_sweep, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&w->stub_sweep, __ATOMIC_RELAXED) == wanted)
        return rip;
    rip = lu_patch_original_rip(w->running->aspace, rip);
    __atomic_store_n(&w->stub_sweep, wanted, __ATOMIC_RELEASE);
    host_call(__NR_futex, &w->stub_sweep, FUTEX_WAKE, 1);
    return rip;
}

bool lu_patch_straggler(const struct lu_aspace *as, uint64_t rip)
{
    const struct lu_patch *p = as->patch;
    if (!p)
        return false;
    if (__atomic_load_n(&p->rewriting, __ATOMIC_SEQ_CST) == rip - 1)
        return true;
    /* A breakpoint that is no more (cc; the other kind is cd 03) was ours. Before it the page may end, and with it what is mapped. */
    uint8_t now, before;
    if (!patch_read(&now, rip - 1, 1) || now == 0xcc)
        return false;
    return now != 0x03 || !patch_read(&before, rip - 2, 1) || before != 0xcd;
}

/* ---- fork ---- */

/* In the space's own carrier. */
static void patch_for_children(struct lu_aspace *as)
{
    struct lu_patch *p = as->patch;
    if (__atomic_load_n(&p->family->analyses, __ATOMIC_RELAXED) > 0)
        return; /* of a file that takes its time, perhaps: fork does not wait for it */
    for (uint32_t i = 0; i < PATCH_HITS; i++) {
        const struct patch_hit *hit = &p->family->hits[i];
        if (hit->traps < PATCH_AT_TRAP || p->family->settled[i] == hit->site)
            continue;
        p->family->settled[i] = hit->site;
        patch_site(as, as->carrier, hit->site, hit->number, PATCH_IF_NEW);
    }
}

int lu_patch_fork_begin(struct lu_aspace *parent, struct lu_patch **copy)
{
    *copy = NULL;
    if (!parent->patch)
        return 0;
    /* A child that did not know its stubs could not take them back. */
    *copy = lu_pool_get(&g_patches);
    if (!*copy)
        return -ENOMEM;
    if (!parent->patch_refused)
        patch_for_children(parent);
    lu_lock(&parent->patch->lock);
    return 0;
}

void lu_patch_fork_end(struct lu_aspace *parent, struct lu_aspace *child, struct lu_patch *copy)
{
    if (child) {
        child->patch_refused = parent->patch_refused;
        child->patch = copy;
    }
    if (!copy)
        return;
    if (child) {
        __builtin_memcpy(copy, parent->patch, sizeof(*copy));
        copy->lock.state = 0;
        for (uint32_t i = 0; i < copy->text_count; i++)
            lu_memory_ops.object_get(&g_lu.platform, copy->text[i].object);
        __atomic_add_fetch(&copy->family->refs, 1, __ATOMIC_RELAXED);
    }
    lu_unlock(&parent->patch->lock);
    if (!child)
        lu_pool_put(&g_patches, copy);
}

void lu_patch_destroy(struct lu_aspace *as)
{
    if (as->patch)
        patch_drop(as->patch);
    as->patch = NULL;
    as->patch_refused = false;
}
