/*
 * short_reads.c: short reads of small files while others write them, make them larger and smaller, and put them where mappings can show them:
 * what is read was written, or is zero, or is past the end. Never anything else.
 *
 *     short_reads [whole]     whole: nor parts of two writes (Linux itself does not promise that)
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define FILES 40
#define ROUNDS 300 /* for each file */
#define READERS 2
#define TOGETHER 100 /* bytes at the start */

static volatile int *g_stop; /* shared with the readers */
static char g_path[64];
static int g_whole;

static long wrong_bytes(const char *bytes, ssize_t count)
{
    long wrong = 0;
    for (ssize_t i = 0; i < count; i++)
        wrong += bytes[i] != 0 && (bytes[i] < 'a' || bytes[i] > 'z');
    /* What lies here was all written at once. */
    for (ssize_t i = 1; g_whole && i < count && i < TOGETHER; i++)
        wrong += bytes[i] != bytes[0];
    return wrong;
}

/* Short ones at the start, where heaps keep what they know of free memory, and anywhere; and some that are not short. */
static long read_on(unsigned seed)
{
    char bytes[2000];
    long wrong = 0;
    while (!*g_stop) {
        int fd = open(g_path, O_RDONLY);
        if (fd < 0)
            continue;
        for (int i = 0; i < 200 && !*g_stop; i++) {
            size_t size = i % 16 ? 1 + (size_t)rand_r(&seed) % 200 : sizeof(bytes);
            off_t at = i % 2 || g_whole ? 0 : rand_r(&seed) % 9000;
            ssize_t got = pread(fd, bytes, size, at);
            wrong += got < 0 || wrong_bytes(bytes, got) != 0;
        }
        close(fd);
    }
    return wrong;
}

static void *reading_thread(void *arg)
{
    *(long *)arg = read_on(7);
    return NULL;
}

static void write_file(int number)
{
    char bytes[5000]; /* with what is before: small enough to be read without a lock */
    int fd = open(g_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0);
    for (int round = 0; round < ROUNDS; round++) {
        size_t size = round % 3 ? TOGETHER + 37 * (size_t)round % 300 : sizeof(bytes);
        memset(bytes, 'a' + (number + round) % 26, size);
        CHECK(pwrite(fd, bytes, size, round % 5 ? 0 : 3000) == (ssize_t)size);
        if (round % 4 == 1)
            CHECK(ftruncate(fd, 0) == 0);
        if (round % 7 == 2)
            CHECK(ftruncate(fd, 7000 + round) == 0);
    }
    CHECK(ftruncate(fd, 100000) == 0 && pwrite(fd, bytes, TOGETHER, 0) == TOGETHER);
    char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(at != MAP_FAILED);
    at[2000] = 'z';
    CHECK(munmap(at, 4096) == 0 && ftruncate(fd, 50) == 0);
    close(fd);
    CHECK(unlink(g_path) == 0);
}

int main(int argc, char **argv)
{
    pid_t readers[READERS];
    pthread_t thread;
    long wrong_in_thread = 0;
    int wrong = 0;
    g_whole = argc > 1 && strcmp(argv[1], "whole") == 0;
    snprintf(g_path, sizeof(g_path), "/tmp/short_reads.%d", (int)getpid());
    g_stop = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(g_stop != MAP_FAILED);
    for (int i = 0; i < READERS; i++) {
        readers[i] = fork();
        CHECK(readers[i] >= 0);
        if (readers[i] == 0)
            _exit(read_on((unsigned)i) != 0);
    }
    CHECK(pthread_create(&thread, NULL, reading_thread, &wrong_in_thread) == 0);
    for (int i = 0; i < FILES; i++)
        write_file(i);
    *g_stop = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    for (int i = 0; i < READERS; i++) {
        int status;
        CHECK(waitpid(readers[i], &status, 0) == readers[i]);
        wrong += status != 0;
    }
    printf("readers that saw something else: %d\n", wrong + (wrong_in_thread != 0));
    return 0;
}
