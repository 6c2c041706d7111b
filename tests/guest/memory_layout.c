/* What /proc/self/maps says after mappings were made, cut and joined; and errors of the calls. Addresses are relative to an arena. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "guest.h"

#define PAGE 4096ul
#define ARENA_PAGES 256ul
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

static char *arena;

enum lines { AS_THEY_ARE, JOINED };

/* Lines that touch the arena; equal neighbours joined where Linux's own reasons to keep them apart are not the point. */
static void show(const char *title, enum lines how)
{
    static char text[1 << 17];
    size_t size = 0;
    ssize_t n;
    int fd = open("/proc/self/maps", O_RDONLY);
    CHECK(fd >= 0);
    while ((n = read(fd, text + size, sizeof(text) - 1 - size)) > 0)
        size += (size_t)n;
    close(fd);
    text[size] = '\0';
    printf("%s:", title);
    unsigned long open_start = 0, open_end = 0;
    char open_prot[8] = "";
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        unsigned long start, end;
        char prot[8];
        CHECK(sscanf(line, "%lx-%lx %7s", &start, &end, prot) == 3);
        unsigned long low = (unsigned long)arena, high = low + ARENA_PAGES * PAGE;
        if (end <= low || start >= high)
            continue;
        start = start < low ? 0 : (start - low) / PAGE;
        end = end > high ? ARENA_PAGES : (end - low) / PAGE;
        if (how == JOINED && start == open_end && strcmp(prot, open_prot) == 0) {
            open_end = end;
            continue;
        }
        if (open_prot[0])
            printf(" %lu-%lu%s", open_start, open_end, open_prot);
        open_start = start;
        open_end = end;
        strcpy(open_prot, prot);
    }
    if (open_prot[0])
        printf(" %lu-%lu%s", open_start, open_end, open_prot);
    printf("\n");
}

static void fresh_arena(void)
{
    CHECK(mmap(arena, ARENA_PAGES * PAGE, PROT_NONE, ANON | MAP_FIXED | MAP_NORESERVE, -1, 0) ==
          arena);
    CHECK(munmap(arena, ARENA_PAGES * PAGE) == 0);
}

static char *at(unsigned long page)
{
    return arena + page * PAGE;
}

static void fixed(unsigned long page, unsigned long pages, int prot)
{
    CHECK(mmap(at(page), pages * PAGE, prot, ANON | MAP_FIXED, -1, 0) == at(page));
}

static long where(void *p)
{
    if (p == MAP_FAILED)
        return -errno;
    return (char *)p >= arena && (char *)p < arena + ARENA_PAGES * PAGE
               ? ((char *)p - arena) / (long)PAGE
               : 100000;
}

static void joining(void)
{
    const int rw = PROT_READ | PROT_WRITE;
    fresh_arena();
    fixed(10, 2, rw);
    fixed(12, 2, rw);
    fixed(8, 2, rw);
    show("three made one", AS_THEY_ARE);
    fixed(16, 2, rw);
    fixed(14, 2, rw);
    show("a hole closed", AS_THEY_ARE);
    CHECK(munmap(at(11), PAGE) == 0);
    show("cut in the middle", AS_THEY_ARE);
    CHECK(mprotect(at(13), 2 * PAGE, PROT_READ) == 0);
    show("protected in the middle", AS_THEY_ARE);
    CHECK(mprotect(at(13), 2 * PAGE, rw) == 0);
    show("and back", AS_THEY_ARE);
    CHECK(madvise(at(13), PAGE, MADV_DONTFORK) == 0);
    show("kept from fork", AS_THEY_ARE);
    CHECK(madvise(at(12), 4 * PAGE, MADV_DOFORK) == 0);
    show("given to fork", AS_THEY_ARE);
    CHECK(mlock(at(12), PAGE) == 0 && munlock(at(12), PAGE) == 0);
    show("locked and unlocked", AS_THEY_ARE);
    int fd = open("/proc/self/exe", O_RDONLY);
    CHECK(fd >= 0);
    for (unsigned long i = 0; i < 3; i++)
        CHECK(mmap(at(30 + i), PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, (off_t)(i * PAGE)) ==
              at(30 + i));
    CHECK(mmap(at(33), PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == at(33));
    show("a file in pieces", AS_THEY_ARE);
    CHECK(mprotect(at(31), PAGE, PROT_READ | PROT_WRITE) == 0);
    show("a private piece made writable", AS_THEY_ARE);
    close(fd);
    CHECK(mmap(at(40), 2 * PAGE, rw, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at(40));
    CHECK(mmap(at(42), 2 * PAGE, rw, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at(42));
    show("shared stays apart", AS_THEY_ARE);
}

static void moving(void)
{
    const int rw = PROT_READ | PROT_WRITE;
    fresh_arena();
    fixed(10, 8, rw);
    fixed(30, 8, PROT_READ);
    strcpy(at(10), "first");
    strcpy(at(17), "last");
    printf("fixed %ld\n",
           where(mremap(at(10), 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(50))));
    CHECK(strcmp(at(50), "first") == 0 && strcmp(at(57), "last") == 0);
    show("moved", AS_THEY_ARE);
    printf("grown %ld\n", where(mremap(at(50), 8 * PAGE, 20 * PAGE, 0)));
    CHECK(strcmp(at(50), "first") == 0 && at(69)[0] == 0);
    show("grown", AS_THEY_ARE);
    printf("cut %ld\n", where(mremap(at(50), 20 * PAGE, 8 * PAGE, 0)));
    printf("over another %ld\n",
           where(mremap(at(50), 8 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(32))));
    show("over another", AS_THEY_ARE);
    CHECK(strcmp(at(32), "first") == 0);
    fixed(60, 4, rw);
    fixed(64, 1, PROT_NONE);
    printf("no room %ld\n", where(mremap(at(60), 4 * PAGE, 5 * PAGE, 0)));
    char *elsewhere = mremap(at(60), 4 * PAGE, 300 * PAGE, MREMAP_MAYMOVE);
    printf("elsewhere %ld\n", where(elsewhere));
    CHECK(elsewhere[0] == 0 && elsewhere[300 * PAGE - 1] == 0 &&
          munmap(elsewhere, 300 * PAGE) == 0);
    show("gone elsewhere", AS_THEY_ARE);
    char *shared = mmap(at(100), 4 * PAGE, rw, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    CHECK(shared == at(100));
    strcpy(at(102), "twice");
    printf("twice %ld\n",
           where(mremap(at(101), 0, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(110))));
    CHECK(strcmp(at(111), "twice") == 0);
    at(111)[0] = 'T';
    CHECK(at(102)[0] == 'T');

    printf("errors %ld", where(mremap(at(10) + 1, PAGE, PAGE, 0)));
    printf(" %ld", where(mremap(at(100), PAGE, 0, 0)));
    printf(" %ld", where(mremap(at(5), PAGE, 2 * PAGE, MREMAP_MAYMOVE)));
    printf(" %ld", where(mremap(at(100), 8 * PAGE, 9 * PAGE, MREMAP_MAYMOVE)));
    printf(" %ld", where(mremap(at(100), PAGE, PAGE, MREMAP_FIXED, at(120))));
    printf(" %ld",
           where(mremap(at(100), 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(101))));
    printf(" %ld", where(mremap(at(100), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(120) + 1)));
    printf(" %ld", where(mremap(at(32), 0, PAGE, MREMAP_MAYMOVE)));
    printf(" %ld\n", where(mremap(at(100), PAGE, 1ul << 60, MREMAP_MAYMOVE)));
}

static int error_of(int result)
{
    return result < 0 ? -errno : result;
}

static void errors(void)
{
    const int rw = PROT_READ | PROT_WRITE;
    fresh_arena();
    fixed(10, 4, rw);
    fixed(16, 4, PROT_READ);
    printf("mprotect %d", error_of(mprotect(at(10) + 1, PAGE, rw)));
    printf(" %d", error_of(mprotect(at(10), 8 * PAGE, PROT_READ)));
    printf(" %d", error_of(mprotect(at(14), PAGE, rw)));
    printf(" %d", error_of(mprotect(at(10), 0, rw)));
    printf(" %d", error_of(mprotect(at(10), PAGE, 0x1000)));
    printf(" %d", error_of(mprotect(at(10), PAGE, PROT_READ | PROT_GROWSDOWN)));
    printf(" %d\n", error_of(mprotect(at(10), ~0ul, rw)));
    show("before the hole", AS_THEY_ARE);
    printf("munmap %d", error_of(munmap(at(10), 0)));
    printf(" %d", error_of(munmap(at(14), 2 * PAGE)));
    printf(" %d", error_of(munmap(at(10), 1ul << 50)));
    printf(" %d\n", error_of(munmap((void *)-PAGE, PAGE)));
    unsigned char seen[8];
    printf("mincore %d", error_of(mincore(at(10), 4 * PAGE, seen)));
    printf(" %d", error_of(mincore(at(10), 5 * PAGE, seen)));
    printf(" %d", error_of(mincore(at(10) + 1, PAGE, seen)));
    printf(" %d", error_of(mincore(at(10), PAGE, (void *)8)));
    CHECK(mprotect(at(10), 4 * PAGE, rw) == 0);
    at(11)[0] = 1;
    CHECK(mincore(at(10), 4 * PAGE, seen) == 0);
    printf(" %d%d\n", seen[1] & 1, seen[2] & 1);
    printf("madvise %d", error_of(madvise(at(10), PAGE, 77)));
    printf(" %d", error_of(madvise(at(10) + 1, PAGE, MADV_DONTNEED)));
    printf(" %d", error_of(madvise(at(10), 8 * PAGE, MADV_DONTNEED)));
    printf(" %d", error_of(madvise(at(10), 0, MADV_DONTNEED)));
    printf(" %d", error_of(madvise(at(10), PAGE, MADV_FREE)));
    printf(" %d", error_of(madvise(at(16), PAGE, MADV_POPULATE_READ)));
    printf(" %d", error_of(madvise(at(10), PAGE, MADV_POPULATE_WRITE)));
    printf(" %d", error_of(madvise(at(14), PAGE, MADV_POPULATE_READ)));
    CHECK(mmap(at(30), PAGE, rw, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at(30));
    printf(" %d", error_of(madvise(at(30), PAGE, MADV_FREE)));
    printf(" %d", error_of(madvise(at(30), PAGE, MADV_WIPEONFORK)));
    at(30)[5] = 5;
    printf(" %d", error_of(madvise(at(30), PAGE, MADV_REMOVE)));
    printf(" %d", at(30)[5]);
    printf(" %d\n", error_of(madvise(at(10), PAGE, MADV_REMOVE)));
    CHECK(mlock(at(10), PAGE) == 0);
    printf("locked %d", error_of(madvise(at(10), PAGE, MADV_DONTNEED)));
    printf(" %d", error_of(msync(at(10), PAGE, MS_INVALIDATE | MS_SYNC)));
    printf(" %d", error_of(munlock(at(10), 8 * PAGE)));
    printf(" %d", error_of(mlock(at(10), 8 * PAGE)));
    printf(" %d", error_of(munlockall()));
    printf(" %d", error_of(mlockall(0)));
    printf(" %d\n", error_of(mlockall(64)));
    printf("msync %d", error_of(msync(at(10), PAGE, MS_ASYNC)));
    printf(" %d", error_of(msync(at(10), PAGE, MS_ASYNC | MS_SYNC)));
    printf(" %d", error_of(msync(at(10) + 1, PAGE, MS_SYNC)));
    printf(" %d", error_of(msync(at(10), 8 * PAGE, MS_SYNC)));
    printf(" %d\n", error_of(msync(at(10), PAGE, 64)));
    int null = open("/dev/null", O_RDWR), dir = open("/", O_RDONLY),
        exe = open("/proc/self/exe", O_RDONLY);
    printf("mmap %ld", where(mmap(NULL, PAGE, rw, MAP_PRIVATE, null, 0)));
    printf(" %ld", where(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, dir, 0)));
    printf(" %ld", where(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, exe, 5)));
    printf(" %ld", where(mmap(NULL, PAGE, PROT_READ, 0, exe, 0)));
    printf(" %ld", where(mmap(NULL, 1ul << 50, PROT_READ, ANON, -1, 0)));
    printf(" %ld", where(mmap(at(10), PAGE, PROT_READ, ANON | MAP_FIXED_NOREPLACE, -1, 0)));
    printf(" %ld\n", where(mmap(NULL, PAGE, rw, MAP_SHARED_VALIDATE | (1 << 25), exe, 0)));
    char *ro = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, exe, 0);
    CHECK(ro != MAP_FAILED);
    printf("read-only file %d\n", error_of(mprotect(ro, PAGE, rw)));
    char *low = mmap(NULL, PAGE, rw, ANON | MAP_32BIT, -1, 0);
    CHECK(low != MAP_FAILED && (unsigned long)low < 1ul << 31);
    CHECK(mmap(at(80), PAGE, rw, ANON, -1, 0) == at(80)); /* a free hint is followed */
    close(null);
    close(dir);
    close(exe);
}

static void limits(void)
{
    struct rlimit old, tight = {.rlim_cur = 256ul << 20, .rlim_max = RLIM_INFINITY};
    CHECK(getrlimit(RLIMIT_AS, &old) == 0);
    tight.rlim_max = old.rlim_max;
    CHECK(setrlimit(RLIMIT_AS, &tight) == 0);
    printf("beyond RLIMIT_AS %ld\n", where(mmap(NULL, 512ul << 20, PROT_READ, ANON, -1, 0)));
    CHECK(setrlimit(RLIMIT_AS, &old) == 0);
}

static unsigned next(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void at_random(void)
{
    unsigned state = 42;
    fresh_arena();
    for (int i = 0; i < 2000; i++) {
        unsigned page = next(&state) % 200, pages = 1 + next(&state) % 40, prot = next(&state) % 8;
        switch (next(&state) % 5) {
        case 0:
        case 1:
            CHECK(mmap(at(page), pages * PAGE, (int)prot, ANON | MAP_FIXED, -1, 0) == at(page));
            break;
        case 2:
            CHECK(munmap(at(page), pages * PAGE) == 0);
            break;
        case 3:
            printf("%d ", error_of(mprotect(at(page), pages * PAGE, (int)prot)));
            break;
        case 4:
            printf("%d ", error_of(madvise(at(page), pages * PAGE,
                                           prot & 1 ? MADV_DONTNEED : MADV_DONTFORK)));
            break;
        }
        if (i % 40 == 0) {
            char title[32];
            snprintf(title, sizeof(title), "\nafter %d", i);
            show(title, JOINED);
        }
    }
}

int main(void)
{
    arena = mmap(NULL, (ARENA_PAGES + 2) * PAGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
    CHECK(arena != MAP_FAILED);
    arena += PAGE; /* the pages around it keep neighbours away */
    joining();
    moving();
    errors();
    limits();
    at_random();
    return 0;
}
