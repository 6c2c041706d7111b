/*
 * elf_load.c: validate everything, then say what to map. Rules: elf(5) and Linux's fs/binfmt_elf.c;
 * where Linux lets a bad file die by SIGBUS later (segments past the end of the file), it is
 * refused here with a reason.
 */
#include "shim/elf_load.h"

#include <linux/elf.h>

#include "platform/errno.h"
#include "platform/guest_memory.h"
#include "shim/base/string.h"

#define PAGE 4096ull

static uint64_t page_floor(uint64_t value)
{
    return value & ~(PAGE - 1);
}

/* Requires: value <= UINT64_MAX - PAGE. */
static uint64_t page_ceiling(uint64_t value)
{
    return page_floor(value + PAGE - 1);
}

static const char *machine_reason(unsigned machine)
{
    switch (machine) {
    case EM_386:
        return "ELF for another machine (i386)";
    case EM_ARM:
        return "ELF for another machine (arm)";
    case EM_AARCH64:
        return "ELF for another machine (aarch64)";
    case EM_RISCV:
        return "ELF for another machine (riscv)";
    case EM_PPC64:
        return "ELF for another machine (ppc64)";
    case EM_PPC:
        return "ELF for another machine (ppc)";
    case EM_S390:
        return "ELF for another machine (s390)";
    case EM_MIPS:
        return "ELF for another machine (mips)";
    case EM_SPARCV9:
        return "ELF for another machine (sparc64)";
    case 258:
        return "ELF for another machine (loongarch)";
    default:
        return "ELF for another machine";
    }
}

static int refuse(int err, const char *reason, const char **why)
{
    *why = reason;
    return err;
}

int elf_check_header(const void *bytes, size_t size, uint64_t file_size, struct elf_headers *out,
                     const char **why)
{
    struct elf64_hdr h;
    _Static_assert(sizeof(h) == ELF_HEADER_SIZE, "ELF64 header");
    if (size < SELFMAG || memcmp(bytes, ELFMAG, SELFMAG) != 0)
        return refuse(-ENOEXEC, file_size == 0 ? "empty file" : "not an ELF file", why);
    if (size <= EI_CLASS)
        return refuse(-ENOEXEC, "truncated ELF file", why);
    if (((const unsigned char *)bytes)[EI_CLASS] == ELFCLASS32)
        return refuse(-ENOEXEC, "32-bit ELF", why);
    if (size < sizeof(h) || file_size < sizeof(h))
        return refuse(-ENOEXEC, "truncated ELF file", why);
    memcpy(&h, bytes, sizeof(h));
    if (h.e_ident[EI_CLASS] != ELFCLASS64)
        return refuse(-ENOEXEC, "ELF of an unknown class", why);
    if (h.e_ident[EI_DATA] != ELFDATA2LSB)
        return refuse(-ENOEXEC, "big-endian ELF", why);
    if (h.e_machine != EM_X86_64)
        return refuse(-ENOEXEC, machine_reason(h.e_machine), why);
    if (h.e_type != ET_EXEC && h.e_type != ET_DYN)
        return refuse(-ENOEXEC,
                      h.e_type == ET_REL    ? "an object file, not a program"
                      : h.e_type == ET_CORE ? "a core dump, not a program"
                                            : "ELF of an unknown type",
                      why);
    if (h.e_phentsize != sizeof(struct elf64_phdr))
        return refuse(-ENOEXEC, "ELF program headers of a wrong size", why);
    if (h.e_phnum == 0)
        return refuse(-ENOEXEC, "ELF file without program headers", why);
    uint64_t headers_size = (uint64_t)h.e_phnum * sizeof(struct elf64_phdr);
    if (headers_size > ELF_MAX_HEADERS_SIZE)
        return refuse(-ENOEXEC, "too many ELF program headers", why);
    if (h.e_phoff > file_size || headers_size > file_size - h.e_phoff)
        return refuse(-ENOEXEC, "ELF program headers lie outside of the file (truncated?)", why);
    *out = (struct elf_headers){
        .kind = h.e_type == ET_EXEC ? ELF_FIXED : ELF_MOVABLE,
        .entry = h.e_entry,
        .offset = h.e_phoff,
        .count = h.e_phnum,
    };
    return 0;
}

static unsigned segment_prot(uint32_t flags)
{
    return (flags & PF_R ? MEMORY_READ : 0) | (flags & PF_W ? MEMORY_WRITE : 0) |
           (flags & PF_X ? MEMORY_EXEC : 0);
}

static int add_segment(struct elf_plan *plan, const struct elf64_phdr *ph, uint64_t headers_offset,
                       uint64_t file_size, uint64_t limit, const char **why)
{
    if (ph->p_memsz == 0)
        return 0;
    if (ph->p_filesz > ph->p_memsz)
        return refuse(-EINVAL, "ELF segment has more bytes in the file than in memory", why);
    if (ph->p_memsz > limit || ph->p_vaddr > limit - ph->p_memsz)
        return refuse(-ENOMEM, "ELF segment is too big or lies outside of the guest's addresses",
                      why);
    if (ph->p_offset > file_size || ph->p_filesz > file_size - ph->p_offset)
        return refuse(-ENOEXEC, "truncated: ELF segment reaches past the end of the file", why);
    if (ph->p_filesz > 0 && (ph->p_offset - ph->p_vaddr) % PAGE)
        return refuse(-EINVAL, "ELF segment is not aligned to pages", why);
    if (plan->segment_count == ELF_MAX_SEGMENTS)
        return refuse(-ENOEXEC, "too many ELF segments", why);

    uint64_t start = ph->p_vaddr, file_end = start + ph->p_filesz, end = start + ph->p_memsz;
    struct elf_segment *s = &plan->segments[plan->segment_count];
    if (plan->segment_count > 0 && start < s[-1].data_end)
        return refuse(-ENOEXEC, "ELF segments overlap or are out of order", why);
    *s = (struct elf_segment){
        .map_start = page_floor(start),
        .file_end = ph->p_filesz ? page_ceiling(file_end) : page_floor(start),
        .map_end = page_ceiling(end),
        .file_offset = ph->p_filesz ? page_floor(ph->p_offset) : 0,
        .zero_start = file_end,
        .data_end = end,
        .prot = segment_prot(ph->p_flags),
    };
    if (ph->p_filesz == ph->p_memsz || ph->p_filesz == 0)
        s->zero_start = s->file_end;
    if (ph->p_filesz == 0 && plan->segment_count > 0 && s->map_start < s[-1].map_end) {
        /* zeros that begin in the previous segment's last page: that page is there already */
        s->map_start = s->file_end = s->zero_start = s[-1].map_end;
        if (s->map_end < s->map_start)
            s->map_end = s->map_start;
    }
    if (s->map_end > limit)
        return refuse(-ENOMEM, "ELF segment lies outside of the guest's addresses", why);
    plan->segment_count++;

    if (headers_offset >= ph->p_offset && headers_offset - ph->p_offset < ph->p_filesz)
        plan->headers_addr = headers_offset - ph->p_offset + start;
    if (plan->segment_count == 1)
        plan->low = s->map_start;
    plan->high = s->map_end;
    /* prctl(2), PR_SET_MM: code is what may be executed, data is the last of the rest. */
    if (ph->p_flags & PF_X) {
        if (plan->code_end == 0)
            plan->code_start = start;
        plan->code_end = file_end;
    } else {
        plan->data_start = start;
        plan->data_end = file_end;
    }
    if (ph->p_align > plan->align && (ph->p_align & (ph->p_align - 1)) == 0)
        plan->align = ph->p_align;
    return 0;
}

static int add_interpreter(struct elf_plan *plan, const struct elf64_phdr *ph, uint64_t file_size,
                           const char **why)
{
    if (plan->interpreter_size)
        return 0; /* the first one counts */
    if (ph->p_filesz < 2 || ph->p_filesz > ELF_MAX_INTERPRETER)
        return refuse(-ENOEXEC, "ELF interpreter name is empty or too long", why);
    if (ph->p_offset > file_size || ph->p_filesz > file_size - ph->p_offset)
        return refuse(-ENOEXEC, "truncated: ELF interpreter name lies outside of the file", why);
    plan->interpreter_offset = ph->p_offset;
    plan->interpreter_size = ph->p_filesz;
    return 0;
}

int elf_make_plan(const struct elf_headers *headers, const void *program_headers,
                  uint64_t file_size, uint64_t limit, struct elf_plan *out, const char **why)
{
    *out = (struct elf_plan){.kind = headers->kind,
                             .entry = headers->entry,
                             .header_count = headers->count,
                             .align = PAGE};
    limit = page_floor(limit);
    for (unsigned i = 0; i < headers->count; i++) {
        struct elf64_phdr ph;
        memcpy(&ph, (const char *)program_headers + i * sizeof(ph), sizeof(ph));
        int err = 0;
        switch (ph.p_type) {
        case PT_LOAD:
            err = add_segment(out, &ph, headers->offset, file_size, limit, why);
            break;
        case PT_INTERP:
            err = add_interpreter(out, &ph, file_size, why);
            break;
        case PT_GNU_STACK:
            out->executable_stack = ph.p_flags & PF_X;
            break;
        }
        if (err < 0)
            return err;
    }
    if (out->segment_count == 0)
        return refuse(-ENOEXEC, "ELF file with nothing to load", why);
    if (out->align > limit)
        return refuse(-ENOMEM, "ELF segments ask for an impossible alignment", why);
    return 0;
}

int elf_check_interpreter(const char *bytes, size_t size, const char **why)
{
    if (size < 2 || bytes[size - 1] != '\0' || bytes[0] == '\0')
        return refuse(-ENOEXEC, "ELF interpreter name is not a string", why);
    return 0;
}
