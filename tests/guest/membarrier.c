/*
 * membarrier.c: barriers that other threads pass without doing anything: which there are, who must register, who inherits that, and that
 * they order: a thread that only keeps the compiler from reordering is never seen doing things in another order.
 */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "guest.h"
#include "sequence.h"

#define ROUNDS 3000

/* linux/membarrier.h, which not every C library's search path has */
enum {
    MEMBARRIER_CMD_QUERY = 0,
    MEMBARRIER_CMD_GLOBAL = 1 << 0,
    MEMBARRIER_CMD_GLOBAL_EXPEDITED = 1 << 1,
    MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED = 1 << 2,
    MEMBARRIER_CMD_PRIVATE_EXPEDITED = 1 << 3,
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED = 1 << 4,
    MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE = 1 << 5,
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 1 << 6,
    MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ = 1 << 7,
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ = 1 << 8,
    MEMBARRIER_CMD_FLAG_CPU = 1 << 0,
};

static const struct {
    const char *name;
    int command, registration;
} g_kinds[] = {
    {"private", MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED},
    {"code", MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE,
     MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE},
    {"sequences", MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
     MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ},
    {"global", MEMBARRIER_CMD_GLOBAL_EXPEDITED, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED},
};
#define KINDS (sizeof(g_kinds) / sizeof(g_kinds[0]))

static long membarrier(int command, unsigned flags, int cpu)
{
    return syscall(SYS_membarrier, command, flags, cpu);
}

static int in_child(bool (*works)(int), int arg)
{
    int status = -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(works(arg));
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WEXITSTATUS(status);
}

static bool works(int command)
{
    return membarrier(command, 0, 0) == 0;
}

static void errnos(void)
{
    CHECK(membarrier(MEMBARRIER_CMD_QUERY, 1, 0) == -1 && errno == EINVAL);
    CHECK(membarrier(MEMBARRIER_CMD_GLOBAL, 1, 0) == -1 && errno == EINVAL);
    CHECK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_FLAG_CPU, 0) == -1 &&
          errno == EINVAL);
    CHECK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 2, 0) == -1 && errno == EINVAL);
    CHECK(membarrier(1 << 20, 0, 0) == -1 && errno == EINVAL);
    CHECK(membarrier(-1, 0, 0) == -1 && errno == EINVAL);
    CHECK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_GLOBAL, 0, 0) == -1 &&
          errno == EINVAL);
    printf("errnos as they should be\n");
}

static void registrations(char *self)
{
    long there = membarrier(MEMBARRIER_CMD_QUERY, 0, 0);
    printf("there is: %#lx\n", there & 0x1ff);
    CHECK(membarrier(MEMBARRIER_CMD_GLOBAL, 0, 0) == 0);
    for (size_t i = 0; i < KINDS; i++) {
        long before = membarrier(g_kinds[i].command, 0, 0);
        int why = before ? errno : 0;
        CHECK(membarrier(g_kinds[i].registration, 0, 0) == 0);
        CHECK(membarrier(g_kinds[i].registration, 0, 0) == 0);
        printf("%s: before %s, after %d, child of fork %d\n", g_kinds[i].name,
               why == EPERM ? "EPERM"
               : before     ? "refused"
                            : "0",
               works(g_kinds[i].command), in_child(works, g_kinds[i].command));
    }
    CHECK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, MEMBARRIER_CMD_FLAG_CPU, 0) == 0);
    CHECK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, MEMBARRIER_CMD_FLAG_CPU, 100000) == 0);
    fflush(stdout);
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        execl(self, self, "after exec", (char *)NULL);
        _exit(98);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    printf("after exec: %d\n", WEXITSTATUS(status));
}

/*
 * Each of two writes its own word, then reads the other's. One of them has no barrier of its own between, so a processor may let it
 * read first; the other's barrier must reach it: at least one of the two sees what the other wrote.
 */
static struct {
    volatile int x __attribute__((aligned(64)));
    volatile int y __attribute__((aligned(64)));
    int saw_y __attribute__((aligned(64)));
    int round __attribute__((aligned(64)));
    int done __attribute__((aligned(64)));
} g_two;

static void *fast_side(void *unused)
{
    for (int round = 1; round <= ROUNDS; round++) {
        while (__atomic_load_n(&g_two.round, __ATOMIC_ACQUIRE) < round)
            sched_yield();
        g_two.x = 1;
        __asm__ volatile("" : : : "memory");
        g_two.saw_y = g_two.y;
        __atomic_store_n(&g_two.done, round, __ATOMIC_RELEASE);
    }
    return unused;
}

static void ordering(int command, const char *name)
{
    pthread_t fast;
    int neither = 0;
    memset(&g_two, 0, sizeof(g_two));
    CHECK(pthread_create(&fast, NULL, fast_side, NULL) == 0);
    for (int round = 1; round <= ROUNDS; round++) {
        g_two.x = g_two.y = 0;
        __atomic_store_n(&g_two.round, round, __ATOMIC_RELEASE);
        for (volatile int wait = 0; wait < round % 200; wait++)
            ;
        g_two.y = 1;
        CHECK(membarrier(command, 0, 0) == 0);
        int saw_x = g_two.x;
        while (__atomic_load_n(&g_two.done, __ATOMIC_ACQUIRE) < round)
            sched_yield();
        neither += !saw_x && !g_two.saw_y;
    }
    CHECK(pthread_join(fast, NULL) == 0);
    printf("%s: %d rounds in which neither saw the other\n", name, neither);
}

static volatile int g_begun, g_through = -1;

static void *spin(void *unused)
{
    struct area area = {0};
    give_back_area_of_libc();
    CHECK(rseq(&area, AREA_SIZE, 0, SIGNATURE) == 0);
    int through = sequence_spin(&area, &g_begun);
    __atomic_store_n(&g_through, through, __ATOMIC_SEQ_CST);
    CHECK(rseq(&area, AREA_SIZE, UNREGISTER, SIGNATURE) == 0);
    return unused;
}

static void sequences(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, spin, NULL) == 0);
    while (!g_begun)
        sched_yield();
    while (__atomic_load_n(&g_through, __ATOMIC_SEQ_CST) < 0)
        CHECK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    printf("a sequence was %s\n", g_through ? "not ended" : "ended");
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == -1 && errno == EPERM ? 1 : 2;
    errnos();
    registrations(argv[0]);
    ordering(MEMBARRIER_CMD_PRIVATE_EXPEDITED, "private");
    ordering(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, "code");
    ordering(MEMBARRIER_CMD_GLOBAL_EXPEDITED, "global");
    sequences();
    return 0;
}
