/*
 * own_text.c: a program that compares its text in memory with its file. What may differ is what docs/caveats.md says: five bytes before a
 * system call that came often, or two at it and five in padding; nothing anywhere else. "exactly": nothing at all.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

extern const Elf64_Ehdr __ehdr_start;

__asm__(".text\n.type hot, @function\nhot:\n .rept 20\n mov $110, %eax\n syscall\n .endr\n ret\n"
        ".size hot, . - hot\n .balign 32\n"
        ".type hot_short, @function\nhot_short:\n mov %rdi, %rax\n syscall\n ret\n"
        ".size hot_short, . - hot_short\n .balign 32\n");
long hot(void);
long hot_short(long number);

/* Is there a syscall instruction of the file within reach of a change at `at`? */
static int call_near(const uint8_t *file, size_t size, size_t at)
{
    size_t from = at > 135 ? at - 135 : 0, to = at + 135 < size ? at + 135 : size;
    for (size_t i = from; i + 1 < to; i++)
        if (file[i] == 0x0f && file[i + 1] == 0x05)
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    int exactly = argc > 1 && strcmp(argv[1], "exactly") == 0, wrong = 0;
    long parent = getppid();
    for (int i = 0; i < 200; i++) {
        wrong += hot() != parent;
        wrong += hot_short(SYS_getppid) != parent;
    }
    int fd = open("/proc/self/exe", O_RDONLY);
    struct stat st;
    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    const uint8_t *file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(file != MAP_FAILED);
    const Elf64_Ehdr *header = &__ehdr_start;
    const uint8_t *base = (const uint8_t *)header;
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(base + header->e_phoff);
    uint64_t first = header->e_type == ET_EXEC ? (uint64_t)base : 0, changed = 0, elsewhere = 0;
    for (int i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type != PT_LOAD || !(segments[i].p_flags & PF_X))
            continue;
        const uint8_t *memory = base + (segments[i].p_vaddr - first),
                      *text = file + segments[i].p_offset;
        for (size_t at = 0; at < segments[i].p_filesz; at++) {
            if (memory[at] == text[at])
                continue;
            changed++;
            elsewhere += !call_near(text, segments[i].p_filesz, at);
        }
    }
    printf("wrong answers: %d, changed far from any call: %lu, too many: %d\n", wrong,
           (unsigned long)elsewhere, exactly ? changed > 0 : changed > 60 * 5);
    if (argc > 1 && strcmp(argv[1], "some") == 0)
        printf("some bytes changed: %d\n", changed > 0);
    return 0;
}
