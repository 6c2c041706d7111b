/*
 * exec_stack.c: the first stack of a program, laid out as Linux's fs/binfmt_elf.c does (System V
 * ABI, x86-64 supplement, 3.4.1).
 *
 *   stack_top   8 zero bytes
 *               path of the program, environment strings, argument strings (lowest)
 *               "x86_64", 16 random bytes
 *               auxiliary vector, envp, argv
 *   rsp         argc; 16-byte aligned
 */
#include <asm/resource.h>
#include <linux/auxvec.h>
#include <linux/mman.h>

#include "platform/errno.h"
#include "platform/guest_context.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/exec.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/vma.h"

#define STACK_MARGIN (128 * 1024ull) /* mapped at once, as on Linux; the rest grows on demand */
#define MMAP_GAP_MIN (128ull << 20)  /* room for the stack above the mmap area, as on Linux */
#define STACK_RANDOM_BITS 16u
#define MMAP_RANDOM_BITS 16u
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif
#define SIGNAL_FRAME_FIXED                                                                         \
    944ull /* of a signal frame: all but the extended state, with padding                          \
            */
#define CLOCK_TICKS 100

static uint64_t stack_limit(const struct task *task)
{
    return __atomic_load_n(&task->process->rlimits[RLIMIT_STACK].cur, __ATOMIC_RELAXED);
}

uint64_t exec_string_limit(const struct task *task)
{
    uint64_t limit = stack_limit(task) / 4;
    if (limit > EXEC_MAX_STRINGS)
        limit = EXEC_MAX_STRINGS;
    return limit < EXEC_MIN_STRINGS ? EXEC_MIN_STRINGS : limit;
}

uint64_t exec_random_pages(uint64_t random, unsigned bits)
{
    uint64_t most = (g_platform->guest_end - g_platform->guest_min) / 64 / VMA_PAGE;
    return (random & ((1ull << bits) - 1)) % (most + 1) * VMA_PAGE;
}

void exec_place_stack(struct exec_image *image)
{
    struct mm *mm = image->mm;
    uint64_t range = g_platform->guest_end - g_platform->guest_min, gap = stack_limit(image->task);
    mm->stack_top = g_platform->guest_end - VMA_PAGE -
                    exec_random_pages(image->random.stack, STACK_RANDOM_BITS);
    if (gap < MMAP_GAP_MIN)
        gap = MMAP_GAP_MIN;
    if (gap > range / 6 * 5)
        gap = range / 6 * 5;
    if (gap > range / 2 && range < 16 * MMAP_GAP_MIN)
        gap = range / 2;
    mm->mmap_top =
        page_down(mm->stack_top - gap) - exec_random_pages(image->random.mmap, MMAP_RANDOM_BITS);
}

/* Everything that goes to the new stack, in a buffer of the shim's until it is complete. */
struct stack_block {
    char *bytes;
    uint64_t base, size; /* guest address of bytes[0] */
    uint64_t strings;    /* next string goes here */
    uint64_t table;      /* next word */
};

static void put_word(struct stack_block *b, uint64_t value)
{
    memcpy(b->bytes + (b->table - b->base), &value, sizeof(value));
    b->table += sizeof(value);
}

static uint64_t put_string(struct stack_block *b, const char *s)
{
    uint64_t at = b->strings;
    size_t size = str_length(s) + 1;
    memcpy(b->bytes + (at - b->base), s, size);
    b->strings += size;
    return at;
}

static void put_aux(struct exec_image *image, uint64_t type, uint64_t value)
{
    struct mm *mm = image->mm;
    if (mm->auxv_count + 2 <= sizeof(mm->auxv) / sizeof(mm->auxv[0])) {
        mm->auxv[mm->auxv_count++] = type;
        mm->auxv[mm->auxv_count++] = value;
    }
}

/* CPUID leaf 1, EDX: what Linux reports as AT_HWCAP. */
static uint32_t processor_features(void)
{
    uint32_t eax = 1, ebx, ecx = 0, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return edx;
}

/* AT_HWCAP2 hides FSGSBASE: segment bases change by
 * system call only. */
static void make_auxv(struct exec_image *image, uint64_t random_at, uint64_t platform_at,
                      uint64_t path_at)
{
    const struct process *process = image->task->process;
    const struct elf_plan *plan = &image->program.plan;
    uint64_t base = image->program.base;
    uint64_t frame = guest_extended_size(g_platform) + SIGNAL_FRAME_FIXED;
    image->mm->auxv_count = 0;
    if (image->vdso)
        put_aux(image, AT_SYSINFO_EHDR, image->vdso);
    put_aux(image, AT_MINSIGSTKSZ, (frame + 15) & ~15ull);
    put_aux(image, AT_HWCAP, processor_features());
    put_aux(image, AT_PAGESZ, VMA_PAGE);
    put_aux(image, AT_CLKTCK, CLOCK_TICKS);
    put_aux(image, AT_PHDR, plan->headers_addr ? base + plan->headers_addr : 0);
    put_aux(image, AT_PHENT, 56);
    put_aux(image, AT_PHNUM, plan->header_count);
    put_aux(image, AT_BASE, image->interpreter.file ? image->interpreter.base : 0);
    put_aux(image, AT_FLAGS, 0);
    put_aux(image, AT_ENTRY, base + plan->entry);
    put_aux(image, AT_UID, process->uid);
    put_aux(image, AT_EUID, image->ids.euid);
    put_aux(image, AT_GID, process->gid);
    put_aux(image, AT_EGID, image->ids.egid);
    put_aux(image, AT_SECURE, image->ids.secure);
    put_aux(image, AT_RANDOM, random_at);
    put_aux(image, AT_HWCAP2, 0);
    put_aux(image, AT_EXECFN, path_at);
    put_aux(image, AT_PLATFORM, platform_at);
    put_aux(image, AT_NULL, 0);
}

static uint64_t vector_size(char *const *v, unsigned count)
{
    uint64_t size = 0;
    for (unsigned i = 0; i < count; i++)
        size += str_length(v[i]) + 1;
    return size;
}

static int map_stack(struct exec_image *image, uint64_t needed)
{
    struct mm *mm = image->mm;
    uint64_t size = page_up(needed + STACK_MARGIN);
    if (size > mm->stack_top - g_platform->guest_min)
        return -ENOMEM;
    unsigned prot = PROT_READ | PROT_WRITE | (image->program.plan.executable_stack ? PROT_EXEC : 0);
    int64_t at = mm_map(mm, mm->stack_top - size, size, prot,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, NULL, 0,
                        VMA_STACK | VMA_GROWSDOWN | VMA_SMALL_PAGES);
    mm->stack_low = mm->stack_top - size;
    return at < 0 ? (int)at : 0;
}

static void fill(struct exec_image *image, struct stack_block *b, uint64_t random_at,
                 uint64_t platform_at)
{
    const struct exec_args *args = &image->request->args;
    struct mm *mm = image->mm;
    unsigned skip = image->front_count ? 1 : 0;
    if (skip > args->argc)
        skip = args->argc;
    memcpy(b->bytes + (random_at - b->base), image->random.at_random, 16);
    memcpy(b->bytes + (platform_at - b->base), "x86_64", 7);

    put_word(b, image->front_count + args->argc - skip);
    mm->arg_start = b->strings;
    for (unsigned i = image->front_count; i-- > 0;)
        put_word(b, put_string(b, image->front[i]));
    for (unsigned i = skip; i < args->argc; i++)
        put_word(b, put_string(b, args->argv[i]));
    put_word(b, 0);
    mm->arg_end = mm->env_start = b->strings;
    for (unsigned i = 0; i < args->envc; i++)
        put_word(b, put_string(b, args->envp[i]));
    put_word(b, 0);
    mm->env_end = b->strings;
    make_auxv(image, random_at, platform_at, put_string(b, image->request->path));
    for (unsigned i = 0; i < mm->auxv_count; i++)
        put_word(b, mm->auxv[i]);
}

int exec_build_stack(struct exec_image *image)
{
    const struct exec_args *args = &image->request->args;
    struct mm *mm = image->mm;
    uint64_t strings = vector_size(args->argv, args->argc) + vector_size(args->envp, args->envc) +
                       vector_size(image->front, image->front_count) +
                       str_length(image->request->path) + 1;
    uint64_t words = 1 + image->front_count + args->argc + 1 + args->envc + 1 +
                     sizeof(mm->auxv) / sizeof(mm->auxv[0]);
    if (strings + words * 8 > EXEC_MAX_STRINGS + STACK_MARGIN)
        return -E2BIG;
    /* Up to two pages, so that stacks of equal programs don't share cache sets. */
    uint64_t jitter = image->random.jitter & 0x1ff0;
    uint64_t top = mm->stack_top - 8 - jitter;
    struct stack_block b = {.strings = top - strings};
    uint64_t platform_at = (b.strings & ~15ull) - 16, random_at = platform_at - 16;
    b.base = b.table = (random_at - words * 8) & ~15ull;
    b.size = top - b.base;
    int err = map_stack(image, b.size + jitter + 8);
    if (err < 0)
        return err;
    b.bytes = shim_zalloc(b.size);
    if (!b.bytes)
        return -ENOMEM;
    fill(image, &b, random_at, platform_at);
    if (guest_copy_out(g_platform, guest_addr(b.base), b.bytes, b.size) != 0)
        err = -ENOMEM; /* mapped just now: only want of memory is left as a reason */
    shim_free(b.bytes);
    image->stack_pointer = b.base;
    return err;
}
