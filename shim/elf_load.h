/*
 * elf_load.h: what an ELF file asks to be mapped, decided from its bytes alone. No memory, no
 * files, no platform: the same code runs in the shim and in the fuzzer.
 */
#ifndef PALIMPSEST_SHIM_ELF_LOAD_H
#define PALIMPSEST_SHIM_ELF_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/annotations.h"

#define ELF_HEADER_SIZE 64u
#define ELF_MAX_SEGMENTS 32u
#define ELF_MAX_HEADERS_SIZE 65536u /* as Linux: program headers beyond that are refused */
#define ELF_MAX_INTERPRETER 4096u   /* with NUL */

enum elf_kind {
    ELF_FIXED,   /* ET_EXEC: addresses are final */
    ELF_MOVABLE, /* ET_DYN: addresses are relative to a base of the loader's choice */
};

/*
 * One PT_LOAD, in whole pages: map [map_start, file_end) from file_offset, [file_end, map_end) as
 * zeros, and clear [zero_start, file_end). Equal ends mean that there is no such part.
 */
struct elf_segment {
    uint64_t map_start, file_end, map_end;
    uint64_t file_offset;
    uint64_t zero_start;
    uint64_t data_end; /* exact end in memory */
    unsigned prot;     /* MEMORY_* */
};

struct elf_headers { /* from elf_check_header: where the program headers are */
    enum elf_kind kind;
    uint64_t entry, offset;
    uint16_t count;
};

struct elf_plan {
    enum elf_kind kind;
    uint64_t entry;
    uint64_t headers_addr; /* of the program headers in memory; 0: not loaded */
    uint16_t header_count;
    uint64_t low, high;                            /* page-aligned hull of all segments */
    uint64_t align;                                /* of the base; a power of two >= page size */
    uint64_t interpreter_offset, interpreter_size; /* size with NUL; 0: none */
    bool executable_stack;
    uint64_t code_start, code_end, data_start, data_end;
    unsigned segment_count;
    struct elf_segment segments[ELF_MAX_SEGMENTS];
};

/*
 * Look at the first `size` bytes of a file of `file_size` bytes. 0 and *out, or -ENOEXEC and a
 * sentence for people in *why (constant; both are set together).
 */
MUST_USE int elf_check_header(const void *bytes, size_t size, uint64_t file_size,
                              struct elf_headers *out, const char **why);
/*
 * Plan from the program headers (headers->count of them, at any alignment). limit: first address
 * past what a guest may use. Errors: -ENOEXEC, -EINVAL (bad segment), -ENOMEM (too big); *why is
 * then set. *out is complete or meaningless.
 */
MUST_USE int elf_make_plan(const struct elf_headers *headers, const void *program_headers,
                           uint64_t file_size, uint64_t limit, struct elf_plan *out,
                           const char **why);
/* The bytes of PT_INTERP as a path. 0 or -ENOEXEC with *why. */
MUST_USE int elf_check_interpreter(const char *bytes, size_t size, const char **why);

#endif
