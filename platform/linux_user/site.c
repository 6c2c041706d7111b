/*
 * site.c: instruction boundaries, instructions that may move, padding. Decoding is Zydis'.
 */
#include "platform/linux_user/site.h"

#include <stddef.h>

#include <Zydis/Decoder.h>

/* Where the short jump at a `syscall` can land, from its start. */
#define SHORT_BACK (-128 + 2)
#define SHORT_AHEAD (127 + 2)
#define FUNCTION_ALIGNMENT 16

const char *site_refusal_text(enum site_refusal why)
{
    static const char *const texts[SITE_REFUSAL_COUNT] = {
        [SITE_FINE] = "patched",
        [SITE_NOT_TEXT] = "not a file's unwritten text",
        [SITE_TRAMPOLINE] = "unwinders know its bytes",
        [SITE_NO_BOUNDARY] = "instruction boundaries unsure",
        [SITE_NO_ROOM] = "no room at it or in padding near",
        [SITE_NO_STUB] = "no stub within 2 GiB",
        [SITE_CHANGED] = "differs from its file",
        [SITE_NOT_READABLE] = "its file cannot be read",
        [SITE_HOST] = "the host protects text",
        [SITE_GS] = "the program uses GS",
        [SITE_ALREADY] = "jumped to past its patch",
    };
    return texts[why];
}

static bool bit(const uint8_t *bits, uint32_t at)
{
    return bits[at / 8] >> (at % 8) & 1;
}

static void set_bit(uint8_t *bits, uint32_t at)
{
    bits[at / 8] |= (uint8_t)(1u << (at % 8));
}

static bool decode(const struct site_window *w, uint32_t at, ZydisDecodedInstruction *out)
{
    ZydisDecoder decoder;
    return ZYAN_SUCCESS(
               ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) &&
           ZYAN_SUCCESS(
               ZydisDecoderDecodeInstruction(&decoder, NULL, w->bytes + at, w->size - at, out));
}

/* jmp, ret, ud2, hlt */
static bool never_goes_on(const ZydisDecodedInstruction *insn)
{
    uint8_t op = insn->opcode;
    if (insn->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return false;
    if (insn->opcode_map == ZYDIS_OPCODE_MAP_0F)
        return op == 0x0b;
    return insn->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
           (op == 0xe9 || op == 0xeb || op == 0xc2 || op == 0xc3 || op == 0xf4 ||
            (op == 0xff && insn->raw.modrm.reg == 4));
}

/* Note where an instruction leads: a direct branch in the window; not to what follows. */
static void note_flow(struct site_map *map, uint32_t at, const ZydisDecodedInstruction *insn)
{
    if (never_goes_on(insn))
        set_bit(map->ends, at);
    if (!insn->raw.imm[0].is_relative)
        return;
    int64_t to = (int64_t)at + insn->length + insn->raw.imm[0].value.s;
    if (to >= 0 && to < map->window->size)
        set_bit(map->targets, (uint32_t)to);
}

/* Follow the instructions from `at`, a start, to the window's end or to what is none. */
static uint32_t sweep(struct site_map *map, uint32_t at)
{
    const struct site_window *w = map->window;
    ZydisDecodedInstruction insn;
    while (at < w->size && !bit(map->starts, at) && decode(w, at, &insn)) {
        set_bit(map->starts, at);
        note_flow(map, at, &insn);
        at += insn.length;
    }
    return at;
}

/*
 * Where nothing tells a start, fifteen adjoining offsets are followed at once: no instruction is longer, so one of them is a start, and
 * the sequences of x86 fall together soon. Where all that are left have met, that is the true sequence.
 */
static bool converge(const struct site_window *w, uint32_t *from)
{
    uint32_t ways[SITE_INSN_MAX], count = w->size < SITE_INSN_MAX ? w->size : SITE_INSN_MAX;
    for (uint32_t i = 0; i < count; i++)
        ways[i] = i;
    while (count > 1) {
        uint32_t least = 0;
        for (uint32_t i = 1; i < count; i++)
            if (ways[i] < ways[least])
                least = i;
        ZydisDecodedInstruction insn;
        uint32_t next = decode(w, ways[least], &insn) ? ways[least] + insn.length : w->size;
        if (next >= w->size)
            next = 0; /* not code, or past the end: this way is out */
        for (uint32_t i = 0; i < count && next; i++)
            if (ways[i] == next)
                next = 0; /* joins another */
        ways[least] = next ? next : ways[--count];
    }
    *from = ways[0];
    return count == 1;
}

static const struct site_function *function_of(const struct site_window *w, uint32_t at)
{
    for (uint32_t i = 0; i < w->function_count; i++)
        if (w->functions[i].start <= at && at < w->functions[i].end)
            return &w->functions[i];
    return NULL;
}

enum site_refusal site_scan(const struct site_window *window, struct site_map *map)
{
    map->window = window;
    __builtin_memset(map->starts, 0, sizeof(map->starts));
    __builtin_memset(map->ends, 0, sizeof(map->ends));
    __builtin_memset(map->targets, 0, sizeof(map->targets));
    const struct site_function *f = function_of(window, window->syscall);
    bool known = true;
    if (f && f->start >= 0)
        map->sure_from = (uint32_t)f->start;
    else
        known = converge(window, &map->sure_from);
    if (!known || map->sure_from > window->syscall) {
        map->sure_from = window->size;
        known = false;
    } else {
        sweep(map, map->sure_from);
        known = bit(map->starts, window->syscall);
    }
    /* What the processor has executed is a start. */
    sweep(map, window->syscall);
    return known ? SITE_FINE : SITE_NO_BOUNDARY;
}

/* ---- moving ---- */

static bool legacy_may_move(const ZydisDecodedInstruction *insn)
{
    uint8_t op = insn->opcode, reg = insn->raw.modrm.reg;
    switch (insn->opcode_map) {
    case ZYDIS_OPCODE_MAP_DEFAULT:
        if (op < 0x40)
            return true; /* arithmetic */
        if (op >= 0xb0 && op <= 0xbf)
            return true; /* mov immediate */
        if (op >= 0x80 && op <= 0x8d)
            return op != 0x8c; /* arithmetic with immediate, test, xchg, mov, lea */
        if (op == 0xc6 || op == 0xc7 || op == 0xfe)
            return reg == 0; /* mov; inc */
        if (op == 0xff)
            return reg <= 1 || reg == 6; /* inc, dec, push */
        return op == 0x63 || op == 0x68 || op == 0x69 || op == 0x6b || op == 0x90 || op == 0xa8 ||
               op == 0xa9 || op == 0xc0 || op == 0xc1 || (op >= 0xd0 && op <= 0xd3) || op == 0xf6 ||
               op == 0xf7;
    case ZYDIS_OPCODE_MAP_0F:
        /* vector moves, nop, cmovcc, movzx and the like; nothing of system, segment or control-flow kind */
        return (op >= 0x10 && op <= 0x17) || op == 0x1f || op == 0x28 || op == 0x29 ||
               (op >= 0x40 && op <= 0x76) || op == 0x7e || op == 0x7f ||
               (op >= 0x90 && op <= 0x9f) || op == 0xa3 || op == 0xab || op == 0xaf || op == 0xb0 ||
               op == 0xb1 || op == 0xb3 || op == 0xb6 || op == 0xb7 || op == 0xba || op == 0xbe ||
               op == 0xbf || op == 0xc0 || op == 0xc1 || op == 0xd6 || op == 0xef;
    default:
        return false;
    }
}

/* The same effect wherever it stands, once a RIP-relative displacement is adjusted, and goes on to the next instruction. */
static bool may_move(const ZydisDecodedInstruction *insn)
{
    if (insn->raw.imm[0].is_relative)
        return false;
    for (uint32_t i = 0; i < insn->raw.prefix_count; i++)
        if (insn->raw.prefixes[i].value == 0x65)
            return false; /* GS is ours while the guest runs */
    if (insn->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return legacy_may_move(insn);
    return insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX ||
           insn->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;
}

static uint8_t rip_displacement(const ZydisDecodedInstruction *insn)
{
    bool relative = insn->raw.modrm.mod == 0 && insn->raw.modrm.rm == 5 &&
                    insn->raw.disp.size == 32 && insn->raw.modrm.offset;
    return relative ? insn->raw.disp.offset : 0;
}

enum site_refusal site_before(const struct site_map *map, struct site_insn *out)
{
    const struct site_window *w = map->window;
    if (map->sure_from >= w->syscall || !bit(map->starts, w->syscall))
        return SITE_NO_BOUNDARY;
    uint32_t at = w->syscall - 1;
    while (at > map->sure_from && !bit(map->starts, at))
        at--;
    ZydisDecodedInstruction insn;
    if (!bit(map->starts, at) || !decode(w, at, &insn) || at + insn.length != w->syscall)
        return SITE_NO_BOUNDARY;
    if (insn.length < SITE_JUMP_SIZE || !may_move(&insn))
        return SITE_NO_ROOM;
    for (uint32_t inside = at + 1; inside < w->syscall; inside++)
        if (bit(map->targets, inside))
            return SITE_NO_ROOM; /* somebody jumps over a prefix */
    *out = (struct site_insn){
        .at = at, .length = insn.length, .displacement = rip_displacement(&insn)};
    return SITE_FINE;
}

bool site_move(const struct site_insn *insn, const uint8_t *bytes, uint64_t old, uint64_t moved,
               uint8_t *out)
{
    __builtin_memcpy(out, bytes, insn->length);
    if (!insn->displacement)
        return true;
    int32_t displacement;
    __builtin_memcpy(&displacement, bytes + insn->displacement, 4);
    int64_t there = (int64_t)(old + (uint64_t)(int64_t)displacement - moved);
    displacement = (int32_t)there;
    __builtin_memcpy(out + insn->displacement, &displacement, 4);
    return displacement == there;
}

/* ---- padding ---- */

static uint32_t nop_length(const struct site_window *w, uint32_t at)
{
    ZydisDecodedInstruction insn;
    if (!decode(w, at, &insn) || insn.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return 0;
    for (uint32_t i = 0; i < insn.raw.prefix_count; i++) {
        uint8_t prefix = insn.raw.prefixes[i].value;
        if (prefix == 0xf2 || prefix == 0xf3 || (prefix & 0xf0) == 0x40)
            return 0; /* f3 90 is pause, 41 90 an exchange with r8 */
    }
    bool nop = (insn.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && insn.opcode == 0x90) ||
               (insn.opcode_map == ZYDIS_OPCODE_MAP_0F && insn.opcode == 0x1f);
    return nop ? insn.length : 0;
}

/* All of [from, to) is nops, breakpoints or zeros. */
static bool is_padding(const struct site_window *w, uint32_t from, uint32_t to)
{
    while (from < to) {
        uint32_t length = w->bytes[from] == 0xcc || w->bytes[from] == 0 ? 1 : nop_length(w, from);
        if (length == 0)
            return false;
        from += length;
    }
    return from == to;
}

/* A place inside the padding [start, end) that the short jump reaches and that nobody jumps into. */
static bool place_in(const struct site_map *map, int64_t start, int64_t end, uint32_t from,
                     uint32_t *at)
{
    const struct site_window *w = map->window;
    int64_t site = w->syscall, first = start > site + SHORT_BACK ? start : site + SHORT_BACK;
    if (first < (int64_t)from)
        first = from;
    for (; first + SITE_JUMP_SIZE <= end && first <= site + SHORT_AHEAD; first++) {
        bool hit = false;
        for (uint32_t i = 0; i < SITE_JUMP_SIZE; i++)
            hit |= bit(map->targets, (uint32_t)first + i);
        if (!hit) {
            *at = (uint32_t)first;
            return true;
        }
    }
    return false;
}

/* Between two functions that unwind information knows. */
static bool padding_by_functions(const struct site_map *map, uint32_t from, uint32_t *at)
{
    const struct site_window *w = map->window;
    for (uint32_t i = 1; i < w->function_count; i++) {
        int64_t start = w->functions[i - 1].end, end = w->functions[i].start;
        if (start < 0 || end > w->size || end - start < SITE_JUMP_SIZE || end - start > 256)
            continue;
        if (is_padding(w, (uint32_t)start, (uint32_t)end) && place_in(map, start, end, from, at))
            return true;
    }
    return false;
}

/*
 * Behind a known function, up to the boundary that the next one starts at; also when that one is not known. The function's own code ends before, so
 * that it does not matter what its last instruction is (often a call that never returns).
 */
static bool padding_behind_function(const struct site_map *map, uint32_t from, uint32_t *at)
{
    const struct site_window *w = map->window;
    for (uint32_t i = 0; i < w->function_count; i++) {
        int64_t start = w->functions[i].end;
        if (start < 0 || start >= w->size)
            continue;
        int64_t end = start + (int64_t)(-(w->address + (uint64_t)start) % FUNCTION_ALIGNMENT);
        if (end > w->size || (i + 1 < w->function_count && w->functions[i + 1].start < end))
            continue;
        if (is_padding(w, (uint32_t)start, (uint32_t)end) && place_in(map, start, end, from, at))
            return true;
    }
    return false;
}

/* Breakpoints in a row, each an instruction of the sequence: what linkers and Go's assembler fill gaps with. */
static bool padding_by_breakpoints(const struct site_map *map, uint32_t from, uint32_t *at)
{
    const struct site_window *w = map->window;
    uint32_t run = 0;
    for (uint32_t i = map->sure_from < w->syscall ? map->sure_from : w->syscall; i < w->size; i++) {
        run = w->bytes[i] == 0xcc && bit(map->starts, i) ? run + 1 : 0;
        if (run >= SITE_JUMP_SIZE && place_in(map, (int64_t)i + 1 - run, i + 1, from, at))
            return true;
    }
    return false;
}

/*
 * Where unwind information says nothing: nops after a jump or return, up to the boundary that functions start at. Not reached from above, and no
 * branch that was seen leads into them; compilers put a label behind the nops that align it, never before.
 */
static bool padding_by_flow(const struct site_map *map, uint32_t from, uint32_t *at)
{
    const struct site_window *w = map->window;
    uint32_t i = map->sure_from < w->syscall ? map->sure_from : w->syscall;
    ZydisDecodedInstruction insn;
    while (i < w->size) {
        if (!bit(map->starts, i) || !bit(map->ends, i) || !decode(w, i, &insn)) {
            i++;
            continue;
        }
        uint32_t start = i + insn.length, end = start, length;
        bool entered = false;
        while (end < w->size && bit(map->starts, end) && (length = nop_length(w, end)) > 0)
            end += length;
        for (uint32_t inside = start; inside < end; inside++)
            entered |= bit(map->targets, inside);
        if (!entered && (w->address + end) % FUNCTION_ALIGNMENT == 0 &&
            place_in(map, start, end, from, at))
            return true;
        i = end;
    }
    return false;
}

bool site_padding(const struct site_map *map, uint32_t from, uint32_t *at)
{
    return padding_by_functions(map, from, at) || padding_behind_function(map, from, at) ||
           padding_by_breakpoints(map, from, at) ||
           (!function_of(map->window, map->window->syscall) && padding_by_flow(map, from, at));
}
