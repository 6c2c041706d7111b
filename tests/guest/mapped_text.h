/*
 * mapped_text.h: a second mapping of part of the program's own text, from its file.
 */
#ifndef PALIMPSEST_GUEST_MAPPED_TEXT_H
#define PALIMPSEST_GUEST_MAPPED_TEXT_H

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

/*
 * Map `size` bytes of the text from `symbol` on, a page of it, private and executable; at `at` if that is not NULL. `file` is the program's or
 * a copy of it.
 */
static inline uint8_t *map_text_of(const char *file, const uint8_t *symbol, size_t size, void *at)
{
    extern const Elf64_Ehdr __ehdr_start;
    const Elf64_Ehdr *header = &__ehdr_start;
    const uint8_t *base = (const uint8_t *)header;
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(base + header->e_phoff);
    uint64_t first = header->e_type == ET_EXEC ? (uint64_t)base : 0, offset = 0;
    for (int i = 0; i < header->e_phnum; i++) {
        uint64_t start = (uint64_t)base + segments[i].p_vaddr - first;
        if (segments[i].p_type == PT_LOAD && (uint64_t)symbol - start < segments[i].p_filesz)
            offset = segments[i].p_offset + ((uint64_t)symbol - start);
    }
    int fd = open(file, O_RDONLY);
    CHECK(fd >= 0 && offset % 4096 == 0);
    uint8_t *copy = mmap(at, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | (at ? MAP_FIXED : 0), fd,
                         (off_t)offset);
    CHECK(copy != MAP_FAILED);
    close(fd);
    return copy;
}

static inline uint8_t *map_text(const uint8_t *symbol, size_t size, void *at)
{
    return map_text_of("/proc/self/exe", symbol, size, at);
}

#endif
