/*
 * segment_bases.c: a guest that gives GS a base of its own keeps it across system calls, signals, threads and fork, also when its call
 * sites had become hot before; whether it asks for it or sets it itself, by an instruction, to memory or to anything.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define ARCH_SET_GS 0x1001 /* arch_prctl(2); musl has no asm/prctl.h */
#define ARCH_GET_GS 0x1004

static uint64_t g_here[2] = {0x1111, 0x2222};

static uint64_t gs_word(void)
{
    uint64_t value;
    __asm__ volatile("movq %%gs:8, %0" : "=r"(value));
    return value;
}

static void hot_calls(void)
{
    for (int i = 0; i < 100; i++) {
        getppid();
        syscall(SYS_getuid);
    }
}

static void on_signal(int signo)
{
    (void)signo;
    printf("in the handler: %#lx\n", (unsigned long)gs_word());
}

static void *thread(void *arg)
{
    uint64_t mine[2] = {0, 0x3333};
    (void)arg;
    hot_calls();
    CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, mine) == 0);
    hot_calls();
    printf("thread: %#lx\n", (unsigned long)gs_word());
    return NULL;
}

/* ---- by instruction ---- */

#define OWN_SIZE 8192 /* the first half is memory, the second is not */
static sigjmp_buf g_no_instruction;

static void set_by_instruction(const void *base)
{
    __asm__ volatile("wrgsbase %0" : : "r"(base) : "memory");
}

static uint64_t by_instruction(void)
{
    uint64_t base;
    __asm__ volatile("rdgsbase %0" : "=r"(base));
    return base;
}

static void no_instruction(int signo)
{
    (void)signo;
    siglongjmp(g_no_instruction, 1);
}

static int has_instructions(void)
{
    uint64_t before = 0;
    volatile int has = 0;
    signal(SIGILL, no_instruction);
    if (sigsetjmp(g_no_instruction, 1) == 0) {
        __asm__ volatile("rdgsbase %0\n\twrgsbase %0" : "+r"(before));
        has = 1;
    }
    signal(SIGILL, SIG_DFL);
    return has;
}

/* Wrong answers of calls at hot sites, which is where somebody might rely on GS. */
static int wrong_answers(long parent, long user)
{
    int wrong = 0;
    for (int i = 0; i < 50; i++)
        wrong += getppid() != parent || syscall(SYS_getuid) != user;
    return wrong;
}

static volatile int g_finished;
static void *other_thread(void *arg)
{
    long *wrong = arg, parent = getppid(), user = (long)getuid();
    while (!g_finished)
        *wrong += wrong_answers(parent, user);
    return NULL;
}

/* In a process of its own: a base that leads to `at`, at a moment when all sites are hot. What is in [memory, + size) may not change. */
static void check_base(const char *what, const void *at, uint8_t *memory, size_t size)
{
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        long parent = getppid(), user = (long)getuid(), wrong_elsewhere = 0;
        pthread_t other;
        CHECK(pthread_create(&other, NULL, other_thread, &wrong_elsewhere) == 0);
        int wrong = wrong_answers(parent, user), changed = 0, lost = 0;
        for (int turn = 0; turn < 3; turn++) {
            set_by_instruction(at);
            wrong += wrong_answers(parent, user);
            lost += by_instruction() != (uint64_t)at;
        }
        set_by_instruction(NULL);
        wrong += wrong_answers(parent, user);
        g_finished = 1;
        CHECK(pthread_join(other, NULL) == 0);
        for (size_t i = 0; i < size; i++)
            changed += memory[i] != 0x5a;
        printf("by instruction, %s: wrong answers %d, in another thread %ld, bytes changed %d, "
               "base lost %d\n",
               what, wrong, wrong_elsewhere, changed, lost);
        fflush(stdout);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void check_instructions(void)
{
    if (!has_instructions()) {
        printf("no instructions for it\n");
        return;
    }
    uint8_t *own = mmap(NULL, OWN_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(own != MAP_FAILED && mprotect(own + OWN_SIZE / 2, OWN_SIZE / 2, PROT_NONE) == 0);
    memset(own, 0x5a, OWN_SIZE / 2);
    check_base("memory", own, own, OWN_SIZE / 2);
    /* What others may keep there lies in part, or altogether, behind the end. */
    for (int before = 64; before <= 256; before += 64)
        check_base("memory's end", own + OWN_SIZE / 2 - before, own, OWN_SIZE / 2);
    check_base("no memory", (void *)0x7000, own, OWN_SIZE / 2);
    check_base("the kernel's", (void *)0xffff800000000000, own, OWN_SIZE / 2);
    char path[] = "/tmp/segment_bases.XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    uint8_t *beyond = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(beyond != MAP_FAILED);
    check_base("behind a file's end", beyond, own, OWN_SIZE / 2);
    unlink(path);
    close(fd);
}

/* A null selector: with some processors the base becomes 0, with others it stays. */
static void check_selector(void)
{
    long parent = getppid(), user = (long)getuid();
    __asm__ volatile("mov %0, %%gs" : : "r"(0));
    printf("null selector: wrong answers %d\n", wrong_answers(parent, user));
}

int main(void)
{
    uint64_t base = 1;
    hot_calls();
    check_instructions();
    check_selector();
    CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &base) == 0);
    printf("at start: %lu\n", (unsigned long)base);
    hot_calls();
    CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, g_here) == 0);
    hot_calls();
    CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &base) == 0);
    printf("kept: %d, %#lx\n", base == (uint64_t)g_here, (unsigned long)gs_word());
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    pthread_t t;
    CHECK(pthread_create(&t, NULL, thread, NULL) == 0);
    CHECK(pthread_join(t, NULL) == 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        hot_calls();
        printf("child: %#lx\n", (unsigned long)gs_word());
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    hot_calls();
    printf("parent: %#lx\n", (unsigned long)gs_word());
    CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, 0) == 0);
    hot_calls();
    CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &base) == 0);
    printf("given back: %lu\n", (unsigned long)base);
    return 0;
}
