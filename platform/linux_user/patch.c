/*
 * patch.c: system calls without a trap. A site that trapped often enough is rewritten to jump to a stub, which performs the
 * overwritten instruction and enters lu_patched_entry.
 *
 *   site:  b8 nr nr nr nr   mov $nr,%eax      becomes   e9 rel32      jmp stub
 *          0f 05            syscall                     0f 05         left in place: whoever jumps to it traps as before
 *
 * Rewritten is only what was seen to trap, with rax equal to the immediate, in text mapped private from a file and never writable since
 * (no scanning, no JIT code). Nothing at or after the `syscall` moves, so a restarted call, a debugger or a jump to it find it.
 * Stubs lie outside the guest's range, at both of its ends: code within 2 GiB of one can be patched. Patched text and stubs are private
 * memory of the carrier: fork shares them copy-on-write.
 */
#include "platform/linux_user/lu.h"

#include <linux/fcntl.h>
#include <linux/membarrier.h>
#include <linux/mman.h>

#define PATCH_AT_TRAP 8 /* a patch costs some ten traps */
#define SITE_SIZE 5u
#define STUB_SIZE 32u
#define AREA_SIZE 0x10000ull
#define STUBS_PER_AREA (AREA_SIZE / STUB_SIZE)
#define LOW_AREA (LU_GUEST_MIN - AREA_SIZE)
#define HIGH_AREA LU_GUEST_END
#define REACH 0x7fff0000ull
#define TEXT_RANGES 40
#define HIT_SLOTS 64

enum patch_area { AREA_LOW, AREA_HIGH, AREA_COUNT };

struct trap_count {
    uint64_t site;
    uint32_t traps, number; /* number: the call's, as it was in rax */
};

/* Patchable text, and the pages of it, from the first to the last, that were written: empty at first. */
struct patch_text {
    uint64_t start, end;
    uint64_t written_start, written_end;
};

/* What linux_user knows of one space's text; NULL until something patchable is mapped. */
struct lu_patch {
    struct lu_lock lock; /* also held across fork: a child must not inherit a half-written site */
    uint64_t patching;   /* atomic: site that holds int3 now; 0: none */
    uint32_t stubs[AREA_COUNT];
    bool mapped[AREA_COUNT];
    bool registered; /* with membarrier */
    uint32_t text_count;
    struct patch_text text[TEXT_RANGES]; /* under lock */
    struct trap_count hits[HIT_SLOTS]; /* traps in this space, by site; races lose a count */
    uint64_t tried;                    /* bit: slot of family->hits was dealt with at a fork */
    struct patch_family *family;       /* counted reference */
};

/*
 * Traps of a space and all its children since the last execve. A short-lived child traps too seldom to patch for itself; its parent
 * does, before the next fork, for the sites its children meet again and again.
 */
struct patch_family {
    uint32_t refs;
    struct trap_count hits[HIT_SLOTS];
};
static struct lu_pool g_patches = {.size = sizeof(struct lu_patch)};
static struct lu_pool g_families = {.size = sizeof(struct patch_family)};

struct stub {
    uint8_t insn[5];     /* the instruction of the site */
    uint8_t load_rcx[2]; /* 48 b9: movabs $return_rip,%rcx; rcx and r11 are lost in a system call anyway */
    uint8_t return_rip[8];
    uint8_t jump[6];     /* ff 25 03 00 00 00: jmp *entry */
    uint8_t pad[3];
    uint64_t entry;
};
_Static_assert(sizeof(struct stub) == STUB_SIZE, "jump reaches entry");

static uint64_t area_base(enum patch_area area)
{
    return area == AREA_LOW ? LOW_AREA : HIGH_AREA;
}

static uint64_t stub_site(const struct stub *s)
{
    uint64_t return_rip;
    __builtin_memcpy(&return_rip, s->return_rip, 8);
    return return_rip - 2 - SITE_SIZE;
}

/* Text may come and go at any time; only whole ranges are kept, so an overlap forgets a range altogether. */
void lu_patch_forget(struct lu_aspace *as, uint64_t start, uint64_t size)
{
    struct lu_patch *p = as->patch;
    if (!p)
        return;
    lu_lock(&p->lock);
    for (uint32_t i = 0; i < p->text_count;) {
        if (p->text[i].start < start + size && start < p->text[i].end)
            p->text[i] = p->text[--p->text_count];
        else
            i++;
    }
    lu_unlock(&p->lock);
}

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
    if (__atomic_sub_fetch(&p->family->refs, 1, __ATOMIC_ACQ_REL) == 0)
        lu_pool_put(&g_families, p->family);
    lu_pool_put(&g_patches, p);
}

void lu_patch_text_mapped(struct lu_aspace *as, uint64_t start, uint64_t size)
{
    if (!g_lu.patching || as->patch_refused)
        return;
    if (!as->patch)
        as->patch = patch_make();
    struct lu_patch *p = as->patch;
    if (!p)
        return; /* trapping works without */
    lu_lock(&p->lock);
    if (p->text_count < TEXT_RANGES) {
        p->text[p->text_count++] = (struct patch_text){.start = start, .end = start + size};
    }
    lu_unlock(&p->lock);
}

static bool read_text(void *out, uint64_t address, size_t size)
{
    return lu_copy_fallible(out, (const void *)address, size) == 0;
}

static void sync_cores(const struct lu_carrier *c)
{
    if (c->slot_count > 1)
        host_call(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
}

/* Replace the five bytes of a site while other threads may run it: SDM vol. 3, 9.1.3 allows it behind a breakpoint and a serialising
 * step on every core. A thread that meets the breakpoint is sent back to the site by lu_patch_straggler. */
static void rewrite_site(struct lu_patch *p, const struct lu_carrier *c, long mem, uint64_t site,
                         const uint8_t bytes[SITE_SIZE])
{
    static const uint8_t breakpoint = 0xcc;
    if (c->slot_count > 1 && !p->registered) {
        if (host_call(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) != 0)
            return;
        p->registered = true;
    }
    __atomic_store_n(&p->patching, site, __ATOMIC_SEQ_CST);
    bool written = host_call(__NR_pwrite64, mem, &breakpoint, 1, site) == 1;
    if (written) {
        sync_cores(c);
        /* The page is ours now: what was written once can be written again. */
        long tail = host_call(__NR_pwrite64, mem, bytes + 1, SITE_SIZE - 1, site + 1);
        sync_cores(c);
        long first = host_call(__NR_pwrite64, mem, bytes, 1, site);
        sync_cores(c);
        if (tail != SITE_SIZE - 1 || first != 1)
            platform_panic("linux_user: a system-call site was left half rewritten");
    }
    __atomic_store_n(&p->patching, 0, __ATOMIC_SEQ_CST);
}

static long open_own_memory(void)
{
    return host_call(__NR_open, "/proc/self/mem", O_RDWR | 02000000 /* O_CLOEXEC */);
}

static bool area_ready(struct lu_patch *p, enum patch_area area)
{
    if (!p->mapped[area])
        p->mapped[area] = host_call(__NR_mmap, area_base(area), AREA_SIZE, PROT_READ | PROT_EXEC,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) ==
                          (long)area_base(area);
    return p->mapped[area] && p->stubs[area] < STUBS_PER_AREA;
}

static struct patch_text *text_of(struct lu_patch *p, uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < p->text_count; i++)
        if (p->text[i].start < start && end <= p->text[i].end)
            return &p->text[i];
    return NULL;
}

/*
 * Give the pages that will be written a mapping of their own. One written page makes all its mapping private memory to the host, whose
 * fork then copies each of its page-table entries; a mapping that was never written is left for the child to fault in. Any flag that differs
 * keeps the host from joining them again; what is in a carrier's core dump matters to nobody.
 */
static void set_apart(struct patch_text *text, uint64_t start, uint64_t end)
{
    start &= ~4095ull;
    end = (end + 4095) & ~4095ull;
    if (text->written_start < text->written_end) {
        start = text->written_start < start ? text->written_start : start;
        end = text->written_end > end ? text->written_end : end;
        if (start == text->written_start && end == text->written_end)
            return;
    }
    text->written_start = start;
    text->written_end = end;
    host_call(__NR_madvise, start, end - start, MADV_DONTDUMP);
}

/*
 * Whether the five bytes before a syscall are one whole instruction that may run anywhere. Two forms are sure without decoding
 * from the function's start: mov $number,%eax, when the number is what rax held and no prefix byte stands before it; and the whole body of
 * glibc's syscall(3), which ends in mov 8(%rsp),%r9.
 */
static bool site_understood(uint64_t site, uint64_t number)
{
    static const uint8_t glibc_syscall[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca, 0x4d,
                                            0x89, 0xc2, 0x4d, 0x89, 0xc8, 0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05};
    uint8_t seen[sizeof(glibc_syscall)];
    const uint8_t *insn = seen + sizeof(seen) - 2 - SITE_SIZE;
    if (read_text(seen, site + SITE_SIZE + 2 - sizeof(seen), sizeof(seen)) &&
        __builtin_memcmp(seen, glibc_syscall, sizeof(seen)) == 0)
        return true;
    if (!read_text(seen + sizeof(seen) - 8, site - 1, 8))
        return false;
    uint32_t immediate;
    __builtin_memcpy(&immediate, insn + 1, 4);
    return insn[0] == 0xb8 && insn[5] == 0x0f && insn[6] == 0x05 && immediate == number && (insn[-1] & 0xf0) != 0x40;
}

/* Under p->lock, in the space's own carrier. */
static void patch_site(struct lu_patch *p, const struct lu_carrier *c, uint64_t site, uint64_t number)
{
    uint8_t insn[SITE_SIZE];
    struct patch_text *text = text_of(p, site, site + SITE_SIZE + 2);
    if (!text || !site_understood(site, number) || !read_text(insn, site, sizeof(insn)))
        return;
    enum patch_area area = site < REACH ? AREA_LOW : AREA_HIGH;
    if ((area == AREA_HIGH && LU_GUEST_END - site > REACH) || !area_ready(p, area))
        return;
    uint64_t at = area_base(area) + p->stubs[area] * STUB_SIZE, return_rip = site + 7;
    struct stub stub = {.load_rcx = {0x48, 0xb9},
                        .jump = {0xff, 0x25, 3, 0, 0, 0},
                        .pad = {0xcc, 0xcc, 0xcc},
                        .entry = (uint64_t)lu_patched_entry};
    __builtin_memcpy(stub.insn, insn, SITE_SIZE);
    __builtin_memcpy(stub.return_rip, &return_rip, 8);
    uint8_t jump[SITE_SIZE] = {0xe9};
    int32_t distance = (int32_t)(int64_t)(at - (site + SITE_SIZE));
    __builtin_memcpy(jump + 1, &distance, 4);
    long mem = open_own_memory();
    if (mem < 0)
        return;
    if (host_call(__NR_pwrite64, mem, &stub, sizeof(stub), at) == (long)sizeof(stub)) {
        p->stubs[area]++; /* before the site: an interrupted stub must be known */
        set_apart(text, site, site + SITE_SIZE);
        rewrite_site(p, c, mem, site, jump);
    }
    host_call(__NR_close, mem);
}

static uint32_t count_trap(struct trap_count *hits, uint64_t site, uint64_t number)
{
    struct trap_count *hit = &hits[(site ^ site >> 6 ^ site >> 12) % HIT_SLOTS];
    if (hit->site != site)
        *hit = (struct trap_count){.site = site, .number = (uint32_t)number};
    return ++hit->traps;
}

void lu_patch_consider(struct lu_aspace *as, const struct lu_carrier *c, const struct guest_regs *regs)
{
    struct lu_patch *p = as->patch;
    if (!p || as->patch_refused)
        return;
    uint64_t site = regs->rip - 2 - SITE_SIZE;
    count_trap(p->family->hits, site, regs->rax);
    if (count_trap(p->hits, site, regs->rax) != PATCH_AT_TRAP)
        return;
    lu_lock(&p->lock);
    patch_site(p, c, site, regs->rax);
    lu_unlock(&p->lock);
}

void lu_patch_refuse(struct lu_aspace *as, const struct lu_carrier *c)
{
    if (as->patch_refused)
        return;
    struct lu_patch *p = as->patch;
    as->patch_refused = true;
    if (!p)
        return;
    lu_lock(&p->lock);
    long mem = open_own_memory();
    if (mem < 0)
        platform_panic("linux_user: patched sites cannot be taken back: no /proc/self/mem");
    for (int area = 0; area < AREA_COUNT; area++) {
        const struct stub *stubs = (const struct stub *)area_base(area);
        for (uint32_t i = 0; i < p->stubs[area]; i++) {
            struct stub s;
            uint8_t now[SITE_SIZE];
            int32_t distance;
            if (!read_text(&s, (uint64_t)&stubs[i], sizeof(s)) || !read_text(now, stub_site(&s), sizeof(now)))
                continue; /* unmapped since */
            __builtin_memcpy(&distance, now + 1, 4);
            if (now[0] == 0xe9 && stub_site(&s) + SITE_SIZE + (uint64_t)(int64_t)distance == (uint64_t)&stubs[i])
                rewrite_site(p, c, mem, stub_site(&s), s.insn);
        }
    }
    host_call(__NR_close, mem);
    lu_unlock(&p->lock);
}

uint64_t lu_patch_original_rip(const struct lu_aspace *as, uint64_t rip)
{
    const struct lu_patch *p = as->patch;
    if (!p)
        return rip;
    for (int area = 0; area < AREA_COUNT; area++) {
        uint64_t offset = rip - area_base(area);
        struct stub s;
        if (offset < p->stubs[area] * STUB_SIZE &&
            read_text(&s, area_base(area) + offset / STUB_SIZE * STUB_SIZE, sizeof(s)))
            return stub_site(&s); /* nothing happened yet that the site would not do again */
    }
    return rip;
}

bool lu_patch_straggler(const struct lu_aspace *as, uint64_t rip)
{
    const struct lu_patch *p = as->patch;
    if (!p)
        return false;
    if (__atomic_load_n(&p->patching, __ATOMIC_SEQ_CST) == rip - 1)
        return true;
    uint8_t byte;
    return read_text(&byte, rip - 1, 1) && byte == 0xe9;
}

/* Under p->lock, in the space's own carrier. */
static void patch_for_children(struct lu_patch *p, const struct lu_carrier *c)
{
    for (uint32_t i = 0; i < HIT_SLOTS; i++) {
        const struct trap_count *hit = &p->family->hits[i];
        if (hit->traps < PATCH_AT_TRAP || (p->tried >> i & 1))
            continue;
        p->tried |= 1ull << i;
        patch_site(p, c, hit->site, hit->number);
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
    lu_lock(&parent->patch->lock);
    if (!parent->patch_refused)
        patch_for_children(parent->patch, parent->carrier);
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
