/*
 * fuzz_elf_load.c: a file's bytes go through the checks and the planning of execve. Whatever comes
 * in, a plan that is given out must be one the loader can follow without another check.
 */
#include <stdlib.h>
#include <string.h>

#include "platform/annotations.h"
#include "platform/guest_memory.h"
#include "shim/elf_load.h"

#define LIMIT 0x7e0000000000ull
#define PAGE 4096ull

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

static void check_segment(const struct elf_segment *s, const struct elf_plan *plan,
                          size_t file_size)
{
    must(s->map_start % PAGE == 0 && s->file_end % PAGE == 0 && s->map_end % PAGE == 0);
    must(s->map_start <= s->file_end && s->file_end <= s->map_end && s->map_end <= LIMIT);
    must(s->map_start >= plan->low && s->map_end <= plan->high);
    must(s->zero_start >= s->map_start && s->zero_start <= s->file_end);
    must(s->file_end - s->zero_start < PAGE);
    must(s->prot <= (MEMORY_READ | MEMORY_WRITE | MEMORY_EXEC));
    if (s->file_end > s->map_start) {
        must(s->file_offset % PAGE == 0 && s->file_offset < file_size);
        must(s->file_end - s->map_start <= file_size - s->file_offset + PAGE);
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    /* The file is larger than its bytes here, so that headers can name segments a small input has
     * no room for. */
    uint64_t file_size = size + (size > 0 ? data[size - 1] : 0) * PAGE;
    struct elf_headers headers;
    const char *why = NULL;
    size_t first = size < 256 ? size : 256;
    int err = elf_check_header(data, first, file_size, &headers, &why);
    must((err < 0) == (why != NULL));
    if (err < 0 || headers.offset > size || headers.count * 56ull > size - headers.offset)
        return 0;
    char *copy = malloc(headers.count * 56ull); /* exact size: a read past it is seen */
    must(copy != NULL);
    memcpy(copy, data + headers.offset, headers.count * 56ull);
    struct elf_plan plan;
    err = elf_make_plan(&headers, copy, file_size, LIMIT, &plan, &why);
    free(copy);
    must((err < 0) == (why != NULL));
    if (err < 0)
        return 0;
    must(plan.segment_count > 0 && plan.segment_count <= ELF_MAX_SEGMENTS);
    must(plan.align >= PAGE && (plan.align & (plan.align - 1)) == 0);
    must(plan.low < plan.high || plan.segments[0].map_start == plan.segments[0].map_end);
    for (unsigned i = 0; i < plan.segment_count; i++)
        check_segment(&plan.segments[i], &plan, file_size);
    if (plan.interpreter_size) {
        must(plan.interpreter_size <= ELF_MAX_INTERPRETER);
        must(plan.interpreter_offset + plan.interpreter_size <= file_size);
        if (plan.interpreter_offset + plan.interpreter_size <= size)
            (void)!elf_check_interpreter((const char *)data + plan.interpreter_offset,
                                         plan.interpreter_size, &why);
    }
    return 0;
}
