/*
 * patch_text.c: the text a space has mapped, and what its files tell: bytes as they were before any patch, and by .eh_frame or
 * symbols where functions begin and end. Read from the file, not from guest memory, piece by piece: everything in it may be nonsense.
 */
#include "platform/linux_user/patch.h"

#include <elf.h>
#include <linux/mman.h>

#define EH_PCREL_SDATA4 0x1b
#define EH_UDATA4 0x03
#define EH_DATAREL_SDATA4 0x3b
#define BEFORE 4096u /* bytes of window before the syscall at most, when its function is as long */
#define ALWAYS 512u  /* at least, file permitting */
#define AFTER 512u
#define SEGMENTS_MAX 32u
#define SECTIONS_MAX 64u
#define FRAME_MAX (16u << 20) /* of .eh_frame read without an index */

/* ---- which text ---- */

void patch_text_add(struct lu_patch *p, const struct patch_text *text)
{
    if (p->text_count == PATCH_TEXTS)
        return;
    p->text[p->text_count++] = *text;
    lu_memory_ops.object_get(&g_lu.platform, text->object);
}

void patch_text_cut(struct lu_patch *p, uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < p->text_count; i++) {
        struct patch_text *t = &p->text[i];
        if (t->start >= end || start >= t->end)
            continue;
        t->written_start = t->written_end = 0; /* at worst the host is told again */
        struct patch_text above = *t;
        if (end < t->end) {
            above.offset += end - t->start;
            above.start = end;
            patch_text_add(p, &above);
        }
        if (t->start < start) {
            t->end = start;
            continue;
        }
        struct memory_object *object = t->object;
        *t = p->text[--p->text_count];
        lu_memory_ops.object_put(&g_lu.platform, object);
        i--; /* the one that moved here is still to be looked at */
    }
}

struct patch_text *patch_text_find(struct lu_patch *p, uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < p->text_count; i++)
        if (p->text[i].start <= start && end <= p->text[i].end)
            return &p->text[i];
    return NULL;
}

/*
 * Give the pages that will be written a mapping of their own. One written page makes all its
 * mapping private memory to the host, whose fork then copies each of its page-table entries; a
 * mapping that was never written is left for the child to fault in. Any flag that differs keeps the
 * host from joining them again; what is in a carrier's core dump matters to nobody.
 */
void patch_text_set_apart(struct patch_text *text, uint64_t start, uint64_t end)
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

/* ---- what its file says ---- */

/* The file's loadable segments and where its unwind information lies. */
struct elf_file {
    long fd;
    uint32_t count;
    struct {
        uint64_t vaddr, offset, size;
    } segments[SEGMENTS_MAX];
    uint64_t index_vaddr, index_size; /* .eh_frame_hdr, the sorted index; size 0: none */
    uint64_t frame_vaddr, frame_offset,
        frame_size; /* .eh_frame itself, looked for when there is no index */
};

static bool read_at(const struct elf_file *f, uint64_t offset, void *out, size_t size)
{
    return host_call(__NR_pread64, f->fd, out, size, offset) == (long)size;
}

static bool offset_of(const struct elf_file *f, uint64_t vaddr, uint64_t *offset)
{
    for (uint32_t i = 0; i < f->count; i++) {
        if (vaddr - f->segments[i].vaddr < f->segments[i].size) {
            *offset = f->segments[i].offset + (vaddr - f->segments[i].vaddr);
            return true;
        }
    }
    return false;
}

static bool read_vaddr(const struct elf_file *f, uint64_t vaddr, void *out, size_t size)
{
    uint64_t offset;
    return offset_of(f, vaddr, &offset) && read_at(f, offset, out, size);
}

/* Static programs have no index; only the section table tells where the records are. */
static void find_frame_section(struct elf_file *f, const Elf64_Ehdr *header)
{
    Elf64_Shdr names, section;
    char name[sizeof(".eh_frame")];
    if (header->e_shentsize != sizeof(section) || header->e_shoff == 0 ||
        !read_at(f, header->e_shoff + (uint64_t)header->e_shstrndx * sizeof(names), &names,
                 sizeof(names)))
        return;
    for (uint32_t i = 0; i < header->e_shnum && i < SECTIONS_MAX; i++) {
        if (!read_at(f, header->e_shoff + i * sizeof(section), &section, sizeof(section)))
            return;
        if ((section.sh_type != SHT_PROGBITS && section.sh_type != SHT_X86_64_UNWIND) ||
            !(section.sh_flags & SHF_ALLOC) ||
            !read_at(f, names.sh_offset + section.sh_name, name, sizeof(name)) ||
            __builtin_memcmp(name, ".eh_frame", sizeof(name)) != 0)
            continue;
        f->frame_vaddr = section.sh_addr;
        f->frame_offset = section.sh_offset;
        f->frame_size = section.sh_size;
        return;
    }
}

static bool elf_open(struct elf_file *f, long fd)
{
    Elf64_Ehdr header;
    f->fd = fd;
    f->count = 0;
    f->index_size = f->frame_size = 0;
    if (!read_at(f, 0, &header, sizeof(header)) ||
        __builtin_memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_phentsize != sizeof(Elf64_Phdr))
        return false;
    for (uint32_t i = 0; i < header.e_phnum && i < 64; i++) {
        Elf64_Phdr segment;
        if (!read_at(f, header.e_phoff + i * sizeof(segment), &segment, sizeof(segment)))
            return false;
        if (segment.p_type == PT_LOAD && f->count < SEGMENTS_MAX) {
            f->segments[f->count].vaddr = segment.p_vaddr;
            f->segments[f->count].offset = segment.p_offset;
            f->segments[f->count++].size = segment.p_filesz;
        } else if (segment.p_type == PT_GNU_EH_FRAME) {
            f->index_vaddr = segment.p_vaddr;
            f->index_size = segment.p_filesz;
        }
    }
    if (f->index_size == 0)
        find_frame_section(f, &header);
    return true;
}

/* LSB 5.0, 10.6: the header, then pairs of function start and record, sorted, relative to the header. */
struct eh_index {
    uint8_t version, frame_encoding, count_encoding, table_encoding;
    int32_t frame;
    uint32_t count;
};
struct eh_entry {
    int32_t function, record;
};

static bool entry_at(const struct elf_file *f, uint32_t i, struct eh_entry *out)
{
    return read_vaddr(f, f->index_vaddr + sizeof(struct eh_index) + (uint64_t)i * sizeof(*out), out,
                      sizeof(*out));
}

/* The function of an entry, if its record is of the kind that compilers write (8-byte prefix, then pc-relative start and size). */
static bool function_at(const struct elf_file *f, uint32_t i, uint64_t *start, uint64_t *end)
{
    struct eh_entry entry;
    struct {
        uint32_t length, cie;
        int32_t start;
        uint32_t size;
    } fde;
    if (!entry_at(f, i, &entry))
        return false;
    uint64_t record = f->index_vaddr + (uint64_t)(int64_t)entry.record;
    *start = f->index_vaddr + (uint64_t)(int64_t)entry.function;
    if (!read_vaddr(f, record, &fde, sizeof(fde)) || fde.length == UINT32_MAX)
        return false;
    *end = *start + fde.size;
    return record + 8 + (uint64_t)(int64_t)fde.start ==
           *start; /* else it is encoded in another way */
}

/* The functions around vaddr, at most SITE_FUNCTIONS_MAX, ascending, relative to vaddr. */
static uint32_t functions_near(const struct elf_file *f, uint64_t vaddr, struct site_function *out)
{
    struct eh_index index;
    if (f->index_size < sizeof(index) || !read_vaddr(f, f->index_vaddr, &index, sizeof(index)) ||
        index.version != 1 || index.count_encoding != EH_UDATA4 ||
        index.table_encoding != EH_DATAREL_SDATA4 || index.count == 0 ||
        index.count > (f->index_size - sizeof(index)) / sizeof(struct eh_entry))
        return 0;
    uint32_t low = 0, high = index.count; /* first entry past vaddr */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct eh_entry entry;
        if (!entry_at(f, middle, &entry))
            return 0;
        if (f->index_vaddr + (uint64_t)(int64_t)entry.function <= vaddr)
            low = middle + 1;
        else
            high = middle;
    }
    uint32_t first = low;
    uint64_t start, end;
    while (first > 0 && low - first < SITE_FUNCTIONS_MAX / 2) {
        if (!function_at(f, --first, &start, &end))
            return 0;
        if ((int64_t)(start - vaddr) < -(int64_t)ALWAYS)
            break;
    }
    uint32_t count = 0;
    for (uint32_t i = first; i < index.count && count < SITE_FUNCTIONS_MAX; i++) {
        if (!function_at(f, i, &start, &end))
            return 0;
        if ((int64_t)(start - vaddr) > (int64_t)AFTER)
            break;
        out[count].start = (int64_t)(start - vaddr);
        out[count++].end = (int64_t)(end - vaddr);
    }
    return count;
}

/* A window of the file that moves forward. */
struct frame_reader {
    const struct elf_file *file;
    uint8_t *buffer;
    uint64_t at, filled; /* the buffer's place in .eh_frame, bytes in it */
};

static bool frame_read(struct frame_reader *r, uint64_t at, void *out, size_t size)
{
    if (at < r->at || at + size > r->at + r->filled) {
        uint64_t left = r->file->frame_size - at;
        if (at > r->file->frame_size || left < size)
            return false;
        if (left > SITE_WINDOW_MAX)
            left = SITE_WINDOW_MAX;
        if (!read_at(r->file, r->file->frame_offset + at, r->buffer, left))
            return false;
        r->at = at;
        r->filled = left;
    }
    __builtin_memcpy(out, r->buffer + (at - r->at), size);
    return true;
}

/* Are functions of this common record given as compilers do it: "zR" (and perhaps S), no odd factors, pc-relative in 4 bytes? */
static bool common_record_plain(const struct elf_file *f, uint64_t at)
{
    uint8_t cie[20]; /* length, 0, version, augmentation ... */
    if (at > f->frame_size || !read_at(f, f->frame_offset + at, cie, sizeof(cie)) || cie[8] != 1 ||
        cie[9] != 'z' || cie[10] != 'R')
        return false;
    uint32_t i = 11;
    if (cie[i] == 'S')
        i++;
    /* NUL; factors of code and data, the return register and the size of what follows: one byte each below 128. */
    if (cie[i++] != 0 || ((cie[i] | cie[i + 1] | cie[i + 2] | cie[i + 3]) & 0x80))
        return false;
    return cie[i + 4] == EH_PCREL_SDATA4;
}

static uint32_t insert_sorted(struct site_function *out, uint32_t count, int64_t start, int64_t end)
{
    if (count == SITE_FUNCTIONS_MAX)
        return count;
    uint32_t at = count;
    for (; at > 0 && out[at - 1].start > start; at--)
        out[at] = out[at - 1];
    out[at] = (struct site_function){.start = start, .end = end};
    return count + 1;
}

/* The same without an index: all records are looked at. `buffer` holds SITE_WINDOW_MAX. */
static uint32_t functions_by_scan(const struct elf_file *f, uint64_t vaddr, uint8_t *buffer,
                                  struct site_function *out)
{
    struct frame_reader reader = {.file = f, .buffer = buffer};
    uint64_t common = UINT64_MAX;
    bool plain = false;
    uint32_t count = 0;
    if (f->frame_size > FRAME_MAX)
        return 0;
    for (uint64_t at = 0; at < f->frame_size;) {
        struct {
            uint32_t length, back;
            int32_t start;
            uint32_t size;
        } record;
        if (!frame_read(&reader, at, &record, sizeof(record)) || record.length == 0 ||
            record.length == UINT32_MAX)
            break;
        if (record.back != 0) {
            uint64_t its_common = at + 4 - record.back;
            if (its_common != common) {
                common = its_common;
                plain = common_record_plain(f, common);
            }
            int64_t start =
                (int64_t)(f->frame_vaddr + at + 8 + (uint64_t)(int64_t)record.start - vaddr);
            int64_t end = start + record.size;
            if (plain && start <= (int64_t)AFTER && end >= -(int64_t)ALWAYS)
                count = insert_sorted(out, count, start, end);
        }
        at += 4ull + record.length;
    }
    return count;
}

static bool knows_function_at(const struct site_function *functions, uint32_t count, int64_t at)
{
    for (uint32_t i = 0; i < count; i++)
        if (functions[i].start <= at && at < functions[i].end)
            return true;
    return false;
}

/* The symbol table, the full one if it was not stripped. */
static bool find_symbols(const struct elf_file *f, Elf64_Shdr *out)
{
    Elf64_Ehdr header;
    Elf64_Shdr section;
    bool found = false;
    if (!read_at(f, 0, &header, sizeof(header)) || header.e_shentsize != sizeof(section) ||
        header.e_shoff == 0)
        return false;
    for (uint32_t i = 0; i < header.e_shnum && i < SECTIONS_MAX; i++) {
        if (!read_at(f, header.e_shoff + i * sizeof(section), &section, sizeof(section)))
            break;
        if (section.sh_entsize == sizeof(Elf64_Sym) && section.sh_size <= FRAME_MAX &&
            (section.sh_type == SHT_SYMTAB || (section.sh_type == SHT_DYNSYM && !found))) {
            *out = section;
            found = true;
        }
    }
    return found;
}

/* For text without unwind information (musl's): what symbols tell, added to the `count` known ones. `buffer` holds SITE_WINDOW_MAX. */
static uint32_t functions_by_symbols(const struct elf_file *f, uint64_t vaddr, uint8_t *buffer,
                                     struct site_function *out, uint32_t count)
{
    Elf64_Shdr table;
    if (!find_symbols(f, &table))
        return count;
    const uint64_t piece = SITE_WINDOW_MAX / sizeof(Elf64_Sym) * sizeof(Elf64_Sym);
    for (uint64_t at = 0; at < table.sh_size; at += piece) {
        uint64_t size = table.sh_size - at < piece ? table.sh_size - at : piece;
        if (!read_at(f, table.sh_offset + at, buffer, size))
            break;
        for (uint64_t i = 0; i + sizeof(Elf64_Sym) <= size; i += sizeof(Elf64_Sym)) {
            Elf64_Sym symbol;
            __builtin_memcpy(&symbol, buffer + i, sizeof(symbol));
            int64_t start = (int64_t)(symbol.st_value - vaddr);
            if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF ||
                symbol.st_size == 0 || symbol.st_size > INT32_MAX || start > (int64_t)AFTER ||
                start + (int64_t)symbol.st_size < -(int64_t)ALWAYS)
                continue;
            if (!knows_function_at(out, count, start)) /* else an alias */
                count = insert_sorted(out, count, start, start + (int64_t)symbol.st_size);
        }
    }
    return count;
}

enum site_refusal patch_window(const struct patch_text *text, uint64_t site, uint8_t *bytes,
                               struct site_window *out, uint64_t *base)
{
    struct elf_file file;
    uint64_t offset = text->offset + (site - text->start), before = site - text->start,
             after = text->end - site;
    out->function_count = 0;
    out->bytes = bytes;
    uint64_t vaddr = 0;
    if (elf_open(&file, lu_object_fd(text->object)))
        for (uint32_t i = 0; i < file.count; i++)
            if (offset - file.segments[i].offset < file.segments[i].size)
                vaddr = file.segments[i].vaddr + (offset - file.segments[i].offset);
    if (vaddr && file.index_size > 0)
        out->function_count = functions_near(&file, vaddr, out->functions);
    else if (vaddr && file.frame_size > 0)
        out->function_count = functions_by_scan(&file, vaddr, bytes, out->functions);
    if (vaddr && !knows_function_at(out->functions, out->function_count, 0))
        out->function_count =
            functions_by_symbols(&file, vaddr, bytes, out->functions, out->function_count);
    /* As much before as the function is long, if that is bearable. */
    uint64_t wanted = ALWAYS;
    for (uint32_t i = 0; i < out->function_count; i++)
        if (out->functions[i].start <= 0 && out->functions[i].end > 0 &&
            out->functions[i].start > -(int64_t)BEFORE)
            wanted = (uint64_t)-out->functions[i].start > wanted
                         ? (uint64_t)-out->functions[i].start
                         : wanted;
    if (before > wanted)
        before = wanted;
    if (after > AFTER)
        after = AFTER;
    long got =
        host_call(__NR_pread64, lu_object_fd(text->object), bytes, before + after, offset - before);
    if (got < (long)(before + SITE_SYSCALL_SIZE))
        return SITE_NOT_READABLE;
    out->size = (uint32_t)got;
    out->syscall = (uint32_t)before;
    *base = out->address = site - before;
    for (uint32_t i = 0; i < out->function_count; i++) {
        out->functions[i].start += (int64_t)before;
        out->functions[i].end += (int64_t)before;
    }
    return SITE_FINE;
}
_Static_assert(BEFORE + AFTER <= SITE_WINDOW_MAX, "window fits");
