/*
 * patch_write.c: stubs, and how text is rewritten under threads that run it.
 */
#include "platform/linux_user/control.h"
#include "platform/linux_user/patch.h"

#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/mman.h>
#include <linux/time.h>

#define LOW_AREA (LU_GUEST_MIN - PATCH_AREA_SIZE)
#define HIGH_AREA LU_GUEST_END

bool patch_read(void *out, uint64_t address, size_t size)
{
    return lu_copy_fallible(out, (const void *)address, size) == 0;
}

static bool still_there(uint64_t address, const uint8_t *bytes, uint32_t size)
{
    uint8_t now[SITE_INSN_MAX + SITE_SYSCALL_SIZE];
    return size <= sizeof(now) && patch_read(now, address, size) &&
           __builtin_memcmp(now, bytes, size) == 0;
}

/* ---- writing ---- */

static long open_own_memory(void)
{
    if (lu_control(LU_CONTROL_NO_MEMORY_FILE))
        return -EACCES;
    return host_call(__NR_open, "/proc/self/mem", O_RDWR | 02000000 /* O_CLOEXEC */);
}

/*
 * Without a descriptor: what is known as text is readable and executable, and so are stubs. The host may have none left, which must not
 * keep a program from unmapping its text; nothing is patched in this way.
 */
static bool write_by_protection(uint64_t address, const void *bytes, size_t size)
{
    uint64_t start = address & ~4095ull, end = (address + size + 4095) & ~4095ull;
    if (host_call(__NR_mprotect, start, end - start, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
        return false;
    bool written = lu_copy_fallible((void *)address, bytes, size) == 0;
    host_call(__NR_mprotect, start, end - start, PROT_READ | PROT_EXEC);
    return written;
}

/* mem < 0: there was no descriptor for it. */
static bool write_text(long mem, uint64_t address, const void *bytes, size_t size)
{
    if (mem < 0)
        return write_by_protection(address, bytes, size);
    return host_call(__NR_pwrite64, mem, bytes, size, address) == (long)size;
}

/* As the processor sees it, whatever the guest may do there. */
static bool read_text(long mem, uint64_t address, void *bytes, size_t size)
{
    if (mem < 0)
        return patch_read(bytes, address, size);
    return host_call(__NR_pread64, mem, bytes, size, address) == (long)size;
}

/* Every carrier is registered with membarrier from birth: the zygote was. */
static void sync_cores(const struct lu_carrier *c)
{
    if (c->slot_count > 1)
        host_call(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
}

/*
 * Replace bytes of one instruction while other threads may run it: SDM vol. 3, 9.1.3 allows it behind a breakpoint and a serialising
 * step on every core. A thread that meets the breakpoint is sent back to the site by lu_patch_straggler.
 */
static bool rewrite(struct lu_patch *p, const struct lu_carrier *c, long mem, uint64_t site,
                    const uint8_t *bytes, size_t size)
{
    static const uint8_t breakpoint = 0xcc;
    if (lu_control(LU_CONTROL_NAIVE_WRITES)) {
        bool written = true;
        for (size_t i = 0; i < size && written; i++)
            written = write_text(mem, site + i, bytes + i, 1) &&
                      host_call(__NR_sched_yield) == 0; /* the worst moment to be preempted */
        return written;
    }
    __atomic_store_n(&p->rewriting, site, __ATOMIC_SEQ_CST);
    bool begun = write_text(mem, site, &breakpoint, 1);
    if (begun) {
        sync_cores(c);
        /* The page is ours now: what was written once can be written again, but perhaps the next page cannot. */
        bool tail = write_text(mem, site + 1, bytes + 1, size - 1);
        sync_cores(c);
        bool first = write_text(mem, site, bytes, 1);
        sync_cores(c);
        if (!tail || !first)
            platform_panic("linux_user: a system-call site was left half rewritten");
    }
    __atomic_store_n(&p->rewriting, 0, __ATOMIC_SEQ_CST);
    return begun;
}

static void put_jump(uint8_t out[SITE_JUMP_SIZE], uint64_t at, uint64_t to)
{
    int32_t distance = (int32_t)(int64_t)(to - (at + SITE_JUMP_SIZE));
    out[0] = 0xe9;
    __builtin_memcpy(out + 1, &distance, 4);
}

/* ---- stubs ---- */

static bool reaches(uint64_t base, uint64_t text)
{
    uint64_t low = base < text ? base : text, high = base < text ? text : base;
    return high - low < PATCH_REACH - PATCH_AREA_SIZE;
}

/* The lowest stub not taken, or PATCH_STUBS. */
static uint32_t free_stub(const struct patch_area *area)
{
    for (uint32_t word = 0; word < PATCH_STUBS / 64; word++)
        if (~area->taken[word])
            return word * 64 + (uint32_t)__builtin_ctzll(~area->taken[word]);
    return PATCH_STUBS;
}

static bool area_map(struct patch_area *area, uint64_t base, int flags)
{
    long at = host_call(__NR_mmap, base, PATCH_AREA_SIZE, PROT_READ | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
    if (at != (long)base) {
        if (at > 0)
            host_call(__NR_munmap, at,
                      PATCH_AREA_SIZE); /* a kernel that does not know MAP_FIXED_NOREPLACE */
        return false;
    }
    *area = (struct patch_area){.base = base};
    return true;
}

/*
 * An area with room that `text` reaches. New ones: beyond an end of the guest's range, where that is near, since nobody maps there; else
 * in a hole well below the text (what grows there, grows upwards: heaps), where a guest that wants the place gets it.
 */
static struct patch_area *area_near(struct lu_patch *p, uint64_t text)
{
    struct patch_area *unused = NULL;
    for (uint32_t i = 0; i < PATCH_AREAS; i++) {
        struct patch_area *area = &p->areas[i];
        if (!area->base)
            unused = area;
        else if (reaches(area->base, text) && free_stub(area) < PATCH_STUBS)
            return area;
    }
    if (!unused)
        return NULL;
    static const uint64_t ends[] = {LOW_AREA, HIGH_AREA};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        bool have = false;
        for (uint32_t other = 0; other < PATCH_AREAS; other++)
            have |= p->areas[other].base == ends[i];
        if (!have && reaches(ends[i], text))
            return area_map(unused, ends[i], MAP_FIXED) ? unused : NULL;
    }
    static const int64_t steps[] = {-(1 << 30), -(3 << 29), -(1 << 29), 3 << 29, 1 << 30};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        uint64_t base = (text + (uint64_t)steps[i]) & ~0xffffffull;
        if (base >= LU_GUEST_MIN && base < LU_GUEST_END - PATCH_AREA_SIZE && reaches(base, text) &&
            area_map(unused, base, MAP_FIXED_NOREPLACE))
            return unused;
    }
    return NULL;
}

/*
 * Write a stub: the moved instruction of `length` bytes is in stub->code already. Returns its address, 0 when the host refuses; it is
 * known to the signal handler before anything leads to it.
 */
static uint64_t stub_write(struct patch_area *area, long mem, struct patch_stub *stub,
                           uint64_t return_rip)
{
    uint32_t slot = free_stub(area);
    uint64_t at = area->base + slot * PATCH_STUB_SIZE;
    uint8_t *code = stub->code + stub->length;
    *code++ = 0x49;
    *code++ = 0xbb;
    __builtin_memcpy(code, &return_rip, 8);
    code += 8;
    *code++ = 0xff;
    *code++ = 0x25;
    int32_t distance = (int32_t)((const uint8_t *)&stub->entry - (code + 4));
    __builtin_memcpy(code, &distance, 4);
    code += 4;
    while (code < stub->code + sizeof(stub->code))
        *code++ = 0xcc;
    stub->entry = (uint64_t)lu_patched_entry;
    if (!write_text(mem, at, stub, sizeof(*stub)))
        return 0;
    area->taken[slot / 64] |= 1ull << (slot % 64);
    if (slot >= area->high)
        __atomic_store_n(&area->high, slot + 1, __ATOMIC_RELEASE);
    return at;
}
_Static_assert(SITE_INSN_MAX + PATCH_STUB_LOAD_SIZE + 6 <=
                   sizeof(((struct patch_stub *)NULL)->code),
               "a stub holds the longest instruction");

static void stub_drop(struct patch_area *area, uint64_t at)
{
    uint64_t slot = (at - area->base) / PATCH_STUB_SIZE;
    area->taken[slot / 64] &= ~(1ull << (slot % 64));
}

/* Is there a jump to a stub of ours at `at`? */
static bool leads_to_stub(const struct lu_patch *p, uint64_t at)
{
    uint8_t now[SITE_JUMP_SIZE];
    int32_t distance;
    if (!patch_read(now, at, sizeof(now)) || now[0] != 0xe9)
        return false;
    __builtin_memcpy(&distance, now + 1, 4);
    uint64_t to = at + SITE_JUMP_SIZE + (uint64_t)(int64_t)distance;
    for (uint32_t i = 0; i < PATCH_AREAS; i++)
        if (p->areas[i].base && to - p->areas[i].base < PATCH_AREA_SIZE)
            return true;
    return false;
}

/*
 * Is a byte of the padding at `place` part of a long jump already? Comparing it with the file does not tell: what a jump consists of may be
 * the bytes of a nop.
 */
static bool padding_taken(const struct lu_patch *p, uint64_t place)
{
    for (uint64_t at = place - (SITE_JUMP_SIZE - 1); at < place + SITE_JUMP_SIZE; at++)
        if (leads_to_stub(p, at))
            return true;
    return false;
}

/* ---- the two forms ---- */

static const uint8_t syscall_bytes[SITE_SYSCALL_SIZE] = {0x0f, 0x05};

static enum site_refusal apply_before(struct lu_patch *p, const struct lu_carrier *c, long mem,
                                      struct patch_text *text, uint64_t site,
                                      const struct patch_plan *plan)
{
    const struct site_insn *insn = &plan->insn;
    if (plan->before != SITE_FINE)
        return plan->before;
    uint64_t at = site - insn->length;
    if (leads_to_stub(p, at))
        return SITE_ALREADY;
    if (!still_there(at, plan->bytes, insn->length + SITE_SYSCALL_SIZE))
        return SITE_CHANGED;
    struct patch_area *area = area_near(p, at);
    if (!area)
        return SITE_NO_STUB;
    struct patch_stub stub = {.site = at, .length = insn->length};
    __builtin_memcpy(stub.original, plan->bytes, SITE_JUMP_SIZE);
    uint64_t stub_at = area->base + free_stub(area) * PATCH_STUB_SIZE;
    if (!site_move(insn, plan->bytes, at, stub_at, stub.code))
        return SITE_NO_STUB;
    if (!stub_write(area, mem, &stub, site + SITE_SYSCALL_SIZE))
        return SITE_HOST;
    uint8_t jump[SITE_JUMP_SIZE];
    put_jump(jump, at, stub_at);
    patch_text_set_apart(text, at, at + SITE_JUMP_SIZE);
    if (rewrite(p, c, mem, at, jump, sizeof(jump)))
        return SITE_FINE;
    stub_drop(area, stub_at);
    return SITE_HOST;
}

static enum site_refusal apply_padding(struct lu_patch *p, const struct lu_carrier *c, long mem,
                                       struct patch_text *text, uint64_t site,
                                       const struct patch_plan *plan, bool *taken)
{
    uint64_t place = site + (uint64_t)(int64_t)plan->padding;
    if (!plan->padding)
        return SITE_NO_ROOM;
    *taken = place < text->start || place + SITE_JUMP_SIZE > text->end ||
             !still_there(place, plan->padding_bytes, SITE_JUMP_SIZE) || padding_taken(p, place);
    if (*taken)
        return SITE_NO_ROOM;
    if (!still_there(site, syscall_bytes, SITE_SYSCALL_SIZE))
        return SITE_CHANGED;
    struct patch_area *area = area_near(p, place);
    if (!area)
        return SITE_NO_STUB;
    struct patch_stub stub = {.site = site, .padding = place};
    __builtin_memcpy(stub.original, syscall_bytes, SITE_SYSCALL_SIZE);
    __builtin_memcpy(stub.original + SITE_SYSCALL_SIZE, plan->padding_bytes, SITE_JUMP_SIZE);
    p->in_padding = true;
    uint64_t stub_at = stub_write(area, mem, &stub, site + SITE_SYSCALL_SIZE);
    if (!stub_at)
        return SITE_HOST;
    uint8_t jump[SITE_JUMP_SIZE],
        hop[SITE_SYSCALL_SIZE] = {0xeb, (uint8_t)(plan->padding - (int)SITE_SYSCALL_SIZE)};
    put_jump(jump, place, stub_at);
    patch_text_set_apart(text, site, site + SITE_SYSCALL_SIZE);
    patch_text_set_apart(text, place, place + SITE_JUMP_SIZE);
    if (write_text(mem, place, jump, sizeof(jump))) {
        sync_cores(c);
        if (rewrite(p, c, mem, site, hop, sizeof(hop)))
            return SITE_FINE;
    }
    stub_drop(area, stub_at);
    return SITE_HOST;
}

static enum site_refusal apply(struct lu_patch *p, const struct lu_carrier *c, long mem,
                               struct patch_text *text, uint64_t site,
                               const struct patch_plan *plan, enum patch_effort effort,
                               bool *padding, bool *taken)
{
    uint8_t now[SITE_SYSCALL_SIZE];
    if (!patch_read(now, site, sizeof(now)))
        return SITE_NOT_TEXT; /* unmapped since */
    if (now[0] == 0xeb)
        return SITE_ALREADY;
    enum site_refusal why = apply_before(p, c, mem, text, site, plan);
    if (why == SITE_FINE || why == SITE_NO_STUB || why == SITE_HOST ||
        (why == SITE_ALREADY && effort == PATCH_IF_NEW))
        return why;
    *padding = true;
    enum site_refusal second = apply_padding(p, c, mem, text, site, plan, taken);
    return second == SITE_NO_ROOM && plan->boundary != SITE_FINE ? plan->boundary : second;
}

enum site_refusal patch_apply(struct lu_patch *p, const struct lu_carrier *c,
                              const struct patch_text *planned_for, uint64_t site,
                              const struct patch_plan *plan, enum patch_effort effort,
                              bool *padding, bool *taken)
{
    struct patch_text *text = patch_text_find(p, site, site + SITE_SYSCALL_SIZE);
    *padding = *taken = false;
    if (!text)
        return SITE_NOT_TEXT;
    if (text->object != planned_for->object ||
        text->offset - text->start != planned_for->offset - planned_for->start)
        return SITE_CHANGED;
    long mem = open_own_memory();
    if (mem < 0)
        return SITE_HOST;
    enum site_refusal why = apply(p, c, mem, text, site, plan, effort, padding, taken);
    host_call(__NR_close, mem);
    return why;
}

/* ---- taking back ---- */

/* Does the site still lead to this stub? (Its page may have been replaced.) */
static bool in_place(long mem, const struct patch_stub *stub, uint64_t stub_at)
{
    uint8_t now[SITE_JUMP_SIZE], jump[SITE_JUMP_SIZE];
    uint64_t at = stub->padding ? stub->padding : stub->site;
    put_jump(jump, at, stub_at);
    if (!read_text(mem, at, now, sizeof(now)) || __builtin_memcmp(now, jump, sizeof(now)) != 0)
        return false;
    return !stub->padding ||
           (read_text(mem, stub->site, now, SITE_SYSCALL_SIZE) && now[0] == 0xeb &&
            stub->site + SITE_SYSCALL_SIZE + (uint64_t)(int64_t)(int8_t)now[1] == stub->padding);
}

static bool touches(const struct patch_stub *stub, uint64_t start, uint64_t end)
{
    uint64_t size = stub->padding ? SITE_SYSCALL_SIZE : stub->length + SITE_SYSCALL_SIZE;
    return (stub->site < end && start < stub->site + size) ||
           (stub->padding && stub->padding < end && start < stub->padding + SITE_JUMP_SIZE);
}

/* A thread that runs guest code of `c` and has not answered its latest sweep. NULL: none. */
static struct lu_worker *worker_to_sweep(struct lu_carrier *c)
{
    const struct lu_worker *self = lu_current()->worker;
    struct lu_worker *w;
    lu_lock(&c->lock);
    for (w = c->workers; w; w = w->next_of_carrier) {
        const struct thread *t = __atomic_load_n(&w->running, __ATOMIC_ACQUIRE);
        if (w != self && t && __atomic_load_n(&t->entry.in_guest, __ATOMIC_ACQUIRE) &&
            __atomic_load_n(&w->stub_sweep, __ATOMIC_ACQUIRE) != c->stub_sweep)
            break;
    }
    lu_unlock(&c->lock);
    return w;
}

/*
 * Return when no thread is in a stub that nothing leads to any more, or on the way into one. A thread is there only as guest code, so
 * each one that runs some is sent a kick, whose handler takes it back to its site (lu_patch_answer_sweep); again, while that comes
 * at a moment when the thread is in another handler of ours.
 */
static void sweep_stubs(struct lu_carrier *c)
{
    static const struct timespec again = {.tv_nsec = 1000000};
    struct lu_worker *w;
    if (c->slot_count == 1 || lu_control(LU_CONTROL_NO_STUB_SWEEP))
        return;
    __atomic_add_fetch(&c->stub_sweep, 1, __ATOMIC_SEQ_CST);
    while ((w = worker_to_sweep(c))) {
        uint32_t seen = __atomic_load_n(&w->stub_sweep, __ATOMIC_ACQUIRE);
        lu_kick(w);
        if (seen != c->stub_sweep)
            host_call(__NR_futex, &w->stub_sweep, FUTEX_WAIT, seen, &again);
    }
}

/* Take the stub's site back, unless something else is there by now. */
static void restore_site(struct lu_patch *p, const struct lu_carrier *c, long mem,
                         const struct patch_stub *stub, uint64_t stub_at)
{
    if (in_place(mem, stub, stub_at) &&
        !rewrite(p, c, mem, stub->site, stub->original,
                 stub->padding ? SITE_SYSCALL_SIZE : SITE_JUMP_SIZE))
        platform_panic("linux_user: a patched site cannot be taken back");
}

/* Nobody is in it: the stub can be used again, and its padding as well. */
static void stub_forget(struct lu_patch *p, struct patch_area *area, long mem,
                        const struct patch_stub *stub, uint64_t at)
{
    uint8_t now[SITE_JUMP_SIZE], jump[SITE_JUMP_SIZE];
    put_jump(jump, stub->padding, at);
    if (stub->padding && read_text(mem, stub->padding, now, sizeof(now)) &&
        __builtin_memcmp(now, jump, sizeof(now)) == 0)
        write_text(mem, stub->padding, stub->original + SITE_SYSCALL_SIZE, sizeof(jump));
    stub_drop(area, at);
    patch_site_restored(p, stub->site + stub->length);
}

static bool stub_in_range(const struct patch_area *area, uint32_t slot, uint64_t start,
                          uint64_t end, struct patch_stub *out)
{
    return (area->taken[slot / 64] >> (slot % 64) & 1) &&
           patch_read(out, area->base + slot * PATCH_STUB_SIZE, sizeof(*out)) &&
           touches(out, start, end);
}

static void restore_in(struct lu_patch *p, struct lu_carrier *c, struct patch_area *area,
                       uint64_t start, uint64_t end)
{
    struct patch_stub stub;
    bool found = false;
    long mem = -1;
    for (uint32_t slot = 0; slot < area->high; slot++) {
        if (!stub_in_range(area, slot, start, end, &stub))
            continue;
        if (!found && !lu_control(LU_CONTROL_NO_SECOND_FILE))
            mem = open_own_memory();
        found = true;
        restore_site(p, c, mem, &stub, area->base + slot * PATCH_STUB_SIZE);
    }
    if (!found)
        return;
    sweep_stubs(c);
    for (uint32_t slot = 0; slot < area->high; slot++)
        if (stub_in_range(area, slot, start, end, &stub))
            stub_forget(p, area, mem, &stub, area->base + slot * PATCH_STUB_SIZE);
    if (mem >= 0)
        host_call(__NR_close, mem);
}

void patch_restore_range(struct lu_patch *p, struct lu_carrier *c, uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < PATCH_AREAS; i++)
        if (p->areas[i].base)
            restore_in(p, c, &p->areas[i], start, end);
}

void patch_evict_area(struct lu_patch *p, struct lu_carrier *c, struct patch_area *area)
{
    restore_in(p, c, area, 0, UINT64_MAX);
    host_call(__NR_munmap, area->base, PATCH_AREA_SIZE);
    *area = (struct patch_area){.base = 0};
}
