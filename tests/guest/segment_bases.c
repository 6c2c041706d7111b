/*
 * segment_bases.c: a guest that gives GS a base of its own keeps it across system calls, signals, threads and fork, also when its call
 * sites had become hot before.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
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

int main(void)
{
    uint64_t base = 1;
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
