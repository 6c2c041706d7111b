/*
 * generated_code.c: code that a program writes itself is never changed by anybody else, however often its system calls come: made executable
 * after writing, writable all the time, seen through two mappings, or file text that was writable once. And it may be rewritten.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

#define HOT 300
typedef long (*routine)(void);

/* mov $number, %eax; syscall; ret: the form that is easiest to patch */
static const uint8_t calls[] = {0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0xc3};
/* mov $value, %eax; ret */
static const uint8_t returns[] = {0xb8, 0, 0, 0, 0, 0xc3};

static void put(uint8_t *at, const uint8_t *code, size_t size, uint32_t value)
{
    uint8_t whole[sizeof(calls)];
    memcpy(whole, code, size);
    memcpy(whole + 1, &value, sizeof(value));
    memcpy(at, whole, size);
}

static int run(uint8_t *at, long expected)
{
    int wrong = 0;
    for (int i = 0; i < HOT; i++)
        wrong += ((routine)(uintptr_t)at)() != expected;
    return wrong;
}

/* Bytes at `at` that are not those of `code` with `value`. */
static int changed(const uint8_t *at, const uint8_t *code, size_t size, uint32_t value)
{
    uint8_t whole[sizeof(calls)];
    put(whole, code, size, value);
    int bytes = 0;
    for (size_t i = 0; i < size; i++)
        bytes += at[i] != whole[i];
    return bytes;
}

static void *map(int prot, int flags, int fd)
{
    void *at = mmap(NULL, 4096, prot, flags, fd, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

/* Write code through `writable`, run it through `code`, again and again. before and after: how to get there from one to the other. */
static void rewrite_and_run(const char *what, uint8_t *writable, uint8_t *code, int protect)
{
    int wrong = 0, bytes = 0;
    long parent = getppid(), user = (long)getuid();
    for (int round = 0; round < 6; round++) {
        if (protect)
            CHECK(mprotect(writable, 4096, PROT_READ | PROT_WRITE) == 0);
        if (round % 3 == 2)
            put(writable, returns, sizeof(returns), 77);
        else
            put(writable, calls, sizeof(calls), round % 3 ? SYS_getuid : SYS_getppid);
        if (protect)
            CHECK(mprotect(writable, 4096, PROT_READ | PROT_EXEC) == 0);
        wrong += run(code, round % 3 == 2 ? 77 : round % 3 ? user : parent);
        bytes += round % 3 == 2
                     ? changed(code, returns, sizeof(returns), 77)
                     : changed(code, calls, sizeof(calls), round % 3 ? SYS_getuid : SYS_getppid);
    }
    printf("%s: wrong answers %d, changed bytes %d\n", what, wrong, bytes);
}

static uint8_t *file_text(int extra_prot, char *path)
{
    strcpy(path, "/var/tmp/generated_code.XXXXXX");
    int fd = mkstemp(path);
    CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
    uint8_t code[sizeof(calls)];
    put(code, calls, sizeof(calls), SYS_getppid);
    CHECK(pwrite(fd, code, sizeof(code), 0) == (ssize_t)sizeof(code));
    uint8_t *text = map(PROT_READ | PROT_EXEC | extra_prot, MAP_PRIVATE, fd);
    close(fd);
    return text;
}

int main(void)
{
    const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS, all = PROT_READ | PROT_WRITE | PROT_EXEC;
    char path[64];
    uint8_t *page = map(PROT_READ | PROT_WRITE, anonymous, -1);
    rewrite_and_run("made executable", page, page, 1);
    page = map(all, anonymous, -1);
    rewrite_and_run("writable and executable", page, page, 0);
    page = map(all, MAP_SHARED | MAP_ANONYMOUS, -1);
    rewrite_and_run("shared", page, page, 0);

    int fd = (int)syscall(SYS_memfd_create, "code", 0);
    CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
    uint8_t *writable = map(PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    rewrite_and_run("two mappings", writable, map(PROT_READ | PROT_EXEC, MAP_SHARED, fd), 0);

    /* The reader's view is private, but not written yet: it shows what the writer does. */
    fd = (int)syscall(SYS_memfd_create, "code", 0);
    CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
    writable = map(PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    rewrite_and_run("two mappings, one private", writable,
                    map(PROT_READ | PROT_EXEC, MAP_PRIVATE, fd), 0);

    /* The same, and the writer comes when the code is hot. */
    fd = (int)syscall(SYS_memfd_create, "code", 0);
    CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
    uint8_t first[sizeof(calls)];
    put(first, calls, sizeof(calls), SYS_getppid);
    CHECK(pwrite(fd, first, sizeof(first), 0) == (ssize_t)sizeof(first));
    page = map(PROT_READ | PROT_EXEC, MAP_PRIVATE, fd);
    printf("memory: wrong answers %d\n", run(page, getppid()));
    writable = map(PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    printf("as it was: changed bytes %d\n", changed(page, calls, sizeof(calls), SYS_getppid));

    page = file_text(PROT_WRITE, path);
    rewrite_and_run("private file, writable", page, page, 0);
    unlink(path);
    page = file_text(0, path);
    printf("private file: wrong answers %d\n", run(page, getppid()));
    rewrite_and_run("private file, writable later", page, page, 1);
    unlink(path);

    /* A mapping whose text was hot goes; what comes to its place is something else. */
    page = file_text(0, path);
    int wrong = run(page, getppid());
    CHECK(mmap(page, 4096, all, anonymous | MAP_FIXED, -1, 0) == page);
    put(page, calls, sizeof(calls), SYS_getuid);
    wrong += run(page, (long)getuid());
    printf("another in its place: wrong answers %d, changed bytes %d\n", wrong,
           changed(page, calls, sizeof(calls), SYS_getuid));
    unlink(path);
    return 0;
}
