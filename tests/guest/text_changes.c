/*
 * text_changes.c: text whose system calls came often gets another protection, in whole or in part, and is then compared with its file: whatever
 * was changed in it is to be gone, also where it could not be read meanwhile.
 *
 *     text_changes [some | descriptors]      some: says whether anything was changed before; descriptors: while there are none left
 */
#include <sys/syscall.h>

#include "mapped_text.h"

#define PAGES 3
#define SITES 8 /* of each page; functions of SITE_SIZE bytes */
#define SITE_SIZE 64
#define SIZE (PAGES * 4096)
#define MAPPINGS 70

/* Two kinds in turn; rdi = number. */
__asm__(".text\n.balign 4096\n.globl sites\nsites:\n"
        ".rept 3\n .rept 4\n"
        " mov $110, %eax\n syscall\n ret\n .balign 64\n"
        " mov %rdi, %rax\n syscall\n ret\n .balign 64\n"
        ".endr\n .balign 4096\n .endr\n");
extern uint8_t sites[];

static long g_parent;

static int call(const uint8_t *copy)
{
    int wrong = 0;
    for (int page = 0; page < PAGES; page++)
        for (int i = 0; i < SITES; i++)
            for (int n = 0; n < 24; n++) {
                const uint8_t *at = copy + page * 4096 + i * SITE_SIZE;
                wrong += ((long (*)(long))(uintptr_t)at)(SYS_getppid) != g_parent;
            }
    return wrong;
}

static int changed(const uint8_t *copy, int from, int to)
{
    int bytes = 0;
    for (int i = from * 4096; i < to * 4096; i++)
        bytes += copy[i] != sites[i];
    return bytes;
}

static void protect(uint8_t *copy, int from, int to, int prot)
{
    CHECK(mprotect(copy + from * 4096, (size_t)(to - from) * 4096, prot) == 0);
}

/*
 * Where jumps to the end of the address space are made of the same bytes as nops: whoever looks for room in padding by comparing bytes
 * takes part of such a jump for room.
 */
static void at_distances(void)
{
    static const uint8_t bytes[] = {0x1f, 0x00, 0x0f, 0x2e, 0x44, 0x66};
    int wrong = 0, moved = 0;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        uint64_t at = 0x7e0000000000 - ((uint64_t)bytes[i] << 24) - 0x800000;
        void *place = mmap((void *)at, SIZE, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (place != (void *)at) {
            moved++;
            continue;
        }
        uint8_t *copy = map_text(sites, SIZE, place);
        wrong += call(copy) + call(copy);
        CHECK(munmap(copy, SIZE) == 0);
    }
    printf("at distances: wrong answers %d, not there %d\n", wrong, moved > 1);
}

static void through(const char *what, int prot)
{
    const int all = PROT_READ | PROT_WRITE | PROT_EXEC;
    int wrong = 0, bytes = 0;
    for (int round = 0; round < 3; round++) {
        uint8_t *copy = map_text(sites, SIZE, NULL), *other = map_text(sites, SIZE, NULL);
        wrong += call(copy);
        protect(copy, 0, PAGES, prot);
        if (round == 1)
            protect(copy, 1, 2, PROT_NONE);
        protect(copy, 0, PAGES, all);
        bytes += changed(copy, 0, PAGES);
        /* What the first one's calls used is for these now. */
        wrong += call(other) + call(copy);
        CHECK(munmap(copy, SIZE) == 0 && munmap(other, SIZE) == 0);
    }
    printf("%s: wrong answers %d, changed bytes %d\n", what, wrong, bytes);
}

/* A page in the middle of one of many mappings. */
static void among_many(void)
{
    uint8_t *copies[MAPPINGS];
    int wrong = 0, bytes = 0;
    for (int i = 0; i < MAPPINGS; i++)
        copies[i] = map_text(sites, SIZE, NULL);
    for (int i = 0; i < MAPPINGS; i += 7)
        wrong += call(copies[i]);
    for (int i = 0; i < MAPPINGS; i += 7) {
        protect(copies[i], 1, 2, PROT_READ | PROT_WRITE | PROT_EXEC);
        wrong += call(copies[i]);
        protect(copies[i], 2, 3, PROT_READ | PROT_WRITE | PROT_EXEC);
        protect(copies[i], 0, 1, PROT_READ | PROT_WRITE | PROT_EXEC);
        bytes += changed(copies[i], 0, PAGES);
        wrong += call(copies[i]);
    }
    for (int i = 0; i < MAPPINGS; i++)
        CHECK(munmap(copies[i], SIZE) == 0);
    printf("among many mappings: wrong answers %d, changed bytes %d\n", wrong, bytes);
}

/* The host's limit on descriptors is to be far below 1024. */
static void without_descriptors(void)
{
    uint8_t *copies[4];
    int wrong = 0, bytes = 0;
    for (int i = 0; i < 4; i++) {
        copies[i] = map_text(sites, SIZE, NULL);
        wrong += call(copies[i]);
    }
    /* The host's limit is meant to be below the program's own; what is mapped has a file of the host's, if it has anything. */
    int fd, left = 1;
    while (left && (fd = memfd_create("hoard", 0)) >= 0)
        left = ftruncate(fd, 4096) == 0 &&
               mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED;
    printf("descriptors left: %d\n", left);
    protect(copies[0], 0, PAGES, PROT_READ | PROT_WRITE | PROT_EXEC);
    protect(copies[1], 1, 2, PROT_READ | PROT_WRITE | PROT_EXEC);
    bytes += changed(copies[0], 0, PAGES) + changed(copies[1], 1, 2);
    wrong += call(copies[0]) + call(copies[1]) + call(copies[2]);
    CHECK(munmap(copies[2], SIZE) == 0);
    CHECK(munmap(copies[3] + 4096, 4096) == 0);
    printf("without descriptors: wrong answers %d, changed bytes %d\n", wrong, bytes);
}

int main(int argc, char **argv)
{
    g_parent = getppid();
    if (argc > 1 && strcmp(argv[1], "some") == 0) {
        uint8_t *copy = map_text(sites, SIZE, NULL);
        int wrong = call(copy);
        printf("wrong answers %d, every page has changes: %d\n", wrong,
               changed(copy, 0, 1) && changed(copy, 1, 2) && changed(copy, 2, 3));
        return 0;
    }
    if (argc > 1) {
        without_descriptors();
        return 0;
    }
    through("read only", PROT_READ);
    through("executable only", PROT_EXEC);
    through("no access", PROT_NONE);
    through("read and write", PROT_READ | PROT_WRITE);
    among_many();
    at_distances();
    return 0;
}
