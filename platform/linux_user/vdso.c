/*
 * vdso.c: the host's vDSO, kept for guests and the shim. Its clocks run in user mode on data pages (vvar) that belong to it, so both
 * move together; the zygote puts them beside the signal stacks and every carrier inherits them. Its fallback is a host call: in
 * guest code that is a guest's system call like any other, in shim code fault.c makes it.
 */
#include <elf.h>

#include "platform/linux_user/lu.h"

#include <linux/mman.h>

#include "shim/base/string.h"

#define PIECES 4
static struct {
    uint64_t start, end;
} g_pieces[PIECES]; /* of the supervisor: vvar and its like, ascending, then the code */
static unsigned g_piece_count;
static uint64_t g_code; /* where its ELF header is there */

static uint64_t find_symbol(const Elf64_Sym *symbols, size_t count, const char *names,
                            const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (symbols[i].st_shndx != SHN_UNDEF && str_equal(names + symbols[i].st_name, name))
            return symbols[i].st_value;
    return 0;
}

void lu_vdso_find(uint64_t elf_header, bool processors_are_numbered_through)
{
    static const char *const names[LU_VDSO_ENTRIES] = {
        [CLOCK_GUEST_GETTIME] = "__vdso_clock_gettime",
        [CLOCK_GUEST_GETTIMEOFDAY] = "__vdso_gettimeofday",
        [CLOCK_GUEST_TIME] = "__vdso_time",
        [CLOCK_GUEST_GETCPU] = "__vdso_getcpu",
    };
    g_code = 0;
    g_piece_count = 0;
    if (!elf_header)
        return;
    const Elf64_Ehdr *elf = (const Elf64_Ehdr *)elf_header;
    const Elf64_Phdr *headers = (const Elf64_Phdr *)(elf_header + elf->e_phoff);
    const Elf64_Dyn *dynamic = NULL;
    uint64_t bias = elf_header, symbols = 0, strings = 0;
    for (int i = 0; i < elf->e_phnum; i++)
        if (headers[i].p_type == PT_LOAD)
            bias = elf_header + headers[i].p_offset - headers[i].p_vaddr;
    for (int i = 0; i < elf->e_phnum; i++)
        if (headers[i].p_type == PT_DYNAMIC)
            dynamic = (const Elf64_Dyn *)(bias + headers[i].p_vaddr);
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
        if (dynamic->d_tag == DT_SYMTAB)
            symbols = bias + dynamic->d_un.d_ptr;
        else if (dynamic->d_tag == DT_STRTAB)
            strings = bias + dynamic->d_un.d_ptr;
    }
    if (!symbols || strings <= symbols)
        return; /* linkers put the names right behind the symbols: no other place tells how many there are */
    g_code = elf_header;
    size_t count = (strings - symbols) / sizeof(Elf64_Sym);
    for (int i = 0; i < LU_VDSO_ENTRIES; i++) {
        uint64_t value =
            find_symbol((const Elf64_Sym *)symbols, count, (const char *)strings, names[i]);
        g_lu.vdso_entry[i] =
            value ? bias + value - elf_header : 0; /* relative until it has moved */
    }
    if (!processors_are_numbered_through)
        g_lu.vdso_entry[CLOCK_GUEST_GETCPU] = 0;
}

bool lu_vdso_note(uint64_t start, uint64_t end, const char *line)
{
    bool code = start == g_code;
    size_t length = str_length(line);
    while (length > 0 && line[length - 1] != ' ' && line[length - 1] != '\t')
        length--;
    const char *name = line + length;
    bool data = name[0] == '[' && name[1] == 'v' && name[2] == 'v'; /* [vvar], [vvar_vclock] */
    if (!g_code || !(code || data) || g_piece_count == PIECES)
        return false;
    g_pieces[g_piece_count].start = start;
    g_pieces[g_piece_count++].end = end;
    return true;
}

static bool move_piece(uint64_t start, uint64_t end)
{
    uint64_t to = g_lu.vdso_room + (start - g_pieces[0].start);
    if (to + (end - start) > g_lu.vdso_room + LU_VDSO_ROOM)
        return false;
    return host_call(__NR_mremap, start, end - start, end - start, MREMAP_MAYMOVE | MREMAP_FIXED,
                     to) == (long)to;
}

void lu_vdso_move(void)
{
    host_call(__NR_munmap, g_lu.vdso_room, LU_VDSO_ROOM);
    bool complete = false, moved = g_piece_count > 0;
    for (unsigned i = 0; i < g_piece_count; i++) {
        complete |= g_pieces[i].start == g_code;
        moved = moved && move_piece(g_pieces[i].start, g_pieces[i].end);
    }
    if (moved && complete) {
        g_lu.vdso_start = g_lu.vdso_room + (g_code - g_pieces[0].start);
        g_lu.vdso_end = g_lu.vdso_room + LU_VDSO_ROOM;
        for (int i = 0; i < LU_VDSO_ENTRIES; i++)
            if (g_lu.vdso_entry[i])
                g_lu.vdso_entry[i] += g_lu.vdso_start;
        return;
    }
    host_call(__NR_munmap, g_lu.vdso_room, LU_VDSO_ROOM);
    for (unsigned i = 0; i < g_piece_count; i++)
        host_call(__NR_munmap, g_pieces[i].start, g_pieces[i].end - g_pieces[i].start);
    for (int i = 0; i < LU_VDSO_ENTRIES; i++)
        g_lu.vdso_entry[i] = 0;
}
