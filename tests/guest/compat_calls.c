/*
 * compat_calls.c: a program that tries 32-bit ways into the kernel. Not a differential test: with pal each attempt ends in a signal of the
 * program that tried, whatever the host's kernel offers, and nobody else notices.
 */
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

static void try(const char *what, void (*attempt)(void))
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        attempt();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status))
        printf("%s: signal %d\n", what, WTERMSIG(status));
    else
        printf("%s: status %d\n", what, WEXITSTATUS(status));
}

static void int80(void)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
}

static void int80_unknown(void)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(100000) : "memory");
}

static void sysenter(void)
{
    __asm__ volatile("mov %%rsp, %%rbp\n\tsysenter" : : "a"(20) : "memory", "rcx", "rdx");
}

static void other_interrupt(void)
{
    __asm__ volatile("int $0x81" : : : "memory");
}

/* In 32-bit code: a call, below 4 GiB. */
static void compat_code(void)
{
    static const uint8_t code[] = {0xb8, 20,   0,    0,
                                   0,    0xcd, 0x80, 0xf4}; /* mov $20, %eax; int $0x80; hlt */
    uint8_t *at = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(at == (uint8_t *)0x10000000);
    memcpy(at, code, sizeof(code));
    __asm__ volatile("push $0x23\n\tpush %0\n\tlretq" : : "r"((uint64_t)(uintptr_t)at) : "memory");
}

static void on_segv(int signo)
{
    (void)signo;
    _exit(7);
}

static void handled(void)
{
    signal(SIGSEGV, on_segv);
    int80();
}

int main(void)
{
    try("int 0x80", int80);
    try("int 0x80, unknown", int80_unknown);
    try("int 0x80, handled", handled);
    try("int 0x81", other_interrupt);
    try("sysenter", sysenter);
    try("32-bit code", compat_code);
    return 0;
}
