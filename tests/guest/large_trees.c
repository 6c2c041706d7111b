/* A directory of 100,000 entries and files beyond 4 GiB; in the directories named. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

enum { ENTRIES = 100000 };
#define GIB (1ll << 30)

static unsigned char g_seen[ENTRIES];

struct record { /* getdents64(2) */
    unsigned long long ino;
    long long next;
    unsigned short size;
    unsigned char type;
    char name[];
};

static int number(const char *name)
{
    int n;
    return sscanf(name, "entry-%d", &n) == 1 && n >= 0 && n < ENTRIES ? n : -1;
}

/* Every name once, whatever happens to other names meanwhile. */
static void list(const char *what, int remove_every)
{
    int fd = open(".", O_RDONLY | O_DIRECTORY);
    _Alignas(8) char buffer[32768];
    long n, calls = 0, doubled = 0, missing = 0, wrong = 0;
    memset(g_seen, 0, sizeof(g_seen));
    while ((n = syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0) {
        calls++;
        for (long at = 0; at < n; at += ((struct record *)(buffer + at))->size) {
            struct record *r = (struct record *)(buffer + at);
            int i = number(r->name);
            if (i < 0)
                continue;
            doubled += g_seen[i];
            g_seen[i] = 1;
            wrong += r->type != DT_REG || r->ino == 0;
            if (remove_every && i % remove_every == 0)
                wrong += unlinkat(fd, r->name, 0) != 0;
        }
    }
    for (int i = 0; i < ENTRIES; i++)
        missing += !g_seen[i];
    printf("%s: ended with %ld, %s calls, %ld missing, %ld twice, %ld wrong\n", what, n,
           calls > 50 ? "many" : "few", missing, doubled, wrong);
    close(fd);
}

static void positions(void)
{
    DIR *dir = opendir(".");
    static long where[64];
    static char names[64][32];
    struct dirent *e;
    int kept = 0, count = 0, wrong = 0;
    CHECK(dir);
    while ((e = readdir(dir))) {
        if (count++ % 2000 == 0 && kept < 64) {
            /* The position of an entry is where the one before ends. */
            strcpy(names[kept], e->d_name);
            where[kept++] = e->d_off;
        }
    }
    for (int i = kept - 1; i >= 0; i--) {
        char next[2][32];
        for (int turn = 0; turn < 2; turn++) {
            seekdir(dir, where[i]);
            e = readdir(dir);
            strcpy(next[turn], e ? e->d_name : "");
        }
        wrong += strcmp(next[0], next[1]) != 0 || strcmp(next[0], names[i]) == 0;
    }
    rewinddir(dir);
    int again = 0;
    while (readdir(dir))
        again++;
    printf("positions: %d kept, %d wrong, %d and %d entries\n", kept, wrong, count, again);
    closedir(dir);
}

static void directory(void)
{
    char name[32];
    struct stat st;
    int bad = 0;
    CHECK(mkdir("many", 0755) == 0 && chdir("many") == 0);
    for (int i = 0; i < ENTRIES; i++) {
        snprintf(name, sizeof(name), "entry-%d", i * 7919 % ENTRIES);
        bad += mknod(name, S_IFREG | 0644, 0) != 0;
    }
    printf("made, %d failed\n", bad);
    list("listed", 0);
    positions();
    for (int i = 0; i < ENTRIES; i += 997) {
        snprintf(name, sizeof(name), "entry-%d", i);
        bad += stat(name, &st) != 0 || st.st_size != 0;
    }
    CHECK(rename("entry-5", "entry-x") == 0 && rename("entry-x", "entry-5") == 0);
    CHECK(open("entry-77", O_CREAT | O_EXCL | O_WRONLY, 0644) < 0 && errno == EEXIST);
    CHECK(rmdir("../many") < 0 && errno == ENOTEMPTY);
    list("removing every third", 3);
    errno = 0;
    CHECK(stat("entry-3", &st) < 0 && errno == ENOENT && stat("entry-4", &st) == 0);
    for (int i = 0; i < ENTRIES; i++) {
        snprintf(name, sizeof(name), "entry-%d", i);
        bad += i % 3 ? unlink(name) != 0 : unlink(name) == 0;
    }
    printf("removed, %d failed\n", bad);
    CHECK(chdir("..") == 0 && rmdir("many") == 0);
}

static void big_file(void)
{
    static const long long at[] = {0, 4 * GIB - 3, 4 * GIB + 4096, 9 * GIB + 5};
    char text[16] = "";
    struct stat st;
    int fd = open("big", O_CREAT | O_RDWR | O_EXCL, 0644);
    CHECK(fd >= 0);
    for (int i = 0; i < 4; i++)
        CHECK(pwrite(fd, "0123456789", 10, at[i]) == 10);
    CHECK(fstat(fd, &st) == 0);
    printf("size %lld, %s\n", (long long)st.st_size, st.st_blocks < 1000 ? "sparse" : "full");
    for (int i = 0; i < 4; i++) {
        ssize_t n = pread(fd, text, 12, at[i]);
        printf("at %lld: %zd %.10s %d\n", at[i], n, text, n == 12 ? text[10] : -1);
    }
    printf("seek: %lld", (long long)lseek(fd, -5, SEEK_END));
    printf(" %lld\n", (long long)lseek(fd, 5 * GIB, SEEK_SET));
    CHECK(write(fd, "here", 4) == 4 && lseek(fd, 0, SEEK_CUR) == 5 * GIB + 4);
    char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 5 * GIB);
    CHECK(map != MAP_FAILED);
    printf("mapped: %.4s\n", map);
    memcpy(map + 100, "by mapping", 10);
    CHECK(pread(fd, text, 10, 5 * GIB + 100) == 10);
    printf("read: %.10s\n", text);
    munmap(map, 8192);
    /* Copies and cuts beyond 4 GiB */
    off_t from = 4 * GIB + 4096, to = 7 * GIB;
    printf("copied %zd", copy_file_range(fd, &from, fd, &to, 10, 0));
    printf(", to %lld\n", (long long)to);
    CHECK(pread(fd, text, 10, 7 * GIB) == 10);
    printf("copy: %.10s\n", text);
    CHECK(ftruncate(fd, 6 * GIB + 1) == 0 && fstat(fd, &st) == 0);
    printf("cut: %lld, reads %zd\n", (long long)st.st_size, pread(fd, text, 10, 6 * GIB));
    CHECK(ftruncate(fd, 20 * GIB) == 0);
    printf("grown: %zd %d\n", pread(fd, text, 10, 9 * GIB + 5), text[0]);
    printf("data at %lld\n", (long long)lseek(fd, 0, SEEK_DATA));
    struct flock lock = {.l_type = F_WRLCK, .l_start = 8 * GIB, .l_len = 4 * GIB};
    CHECK(fcntl(fd, F_SETLK, &lock) == 0);
    printf("too far: %zd", pwrite(fd, "x", 1, -1));
    printf(" %d\n", errno);
    CHECK(close(fd) == 0 && unlink("big") == 0);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char dir[64];
        snprintf(dir, sizeof(dir), "%s/palimpsest-large-XXXXXX", argv[i]);
        CHECK(mkdtemp(dir) && chdir(dir) == 0);
        printf("in %s\n", argv[i]);
        directory();
        big_file();
        CHECK(chdir("/") == 0 && rmdir(dir) == 0);
        fflush(stdout);
    }
    return 0;
}
