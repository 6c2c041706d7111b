/*
 * kvm_fork_bench.c: what fork costs against resident size: kvm_fork_bench library|kernel|loop MIB...
 *
 *    library   the page-table library of platform/kvm, built for the host. One program shares page tables; another, of the same source, is
 *              linked with kvm_fork_copying.c and copies them
 *    loop      a loop of so many million instructions, to see what a tick is
 *    kernel    fork(2) of whatever kernel this runs on, for a process with one resident region
 *
 * Pages of 4 KiB alone. A line for each size: MIB, then the best of several rounds in ticks of the processor's counter and in ns: fork alone;
 * fork and all until the child is gone (library: a first write and destroy; kernel: exit and wait4). Under QEMU with "-icount shift=0" a tick
 * is an instruction.
 */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "platform/kvm/image/kvm_aspace.h"
#include "tests/kvm_host/kvm_host.h"

enum { ROUNDS = 7 };
#define MIB (UINT64_C(1) << 20)
#define PAGE UINT64_C(4096)
#define REGION UINT64_C(0x40000000000)

struct sample {
    uint64_t ticks, ns;
};

static struct sample now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    _mm_lfence();
    return (struct sample){__rdtsc(), (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec};
}

static void keep_best(struct sample *best, struct sample from, struct sample to)
{
    if (to.ticks - from.ticks < best->ticks)
        best->ticks = to.ticks - from.ticks;
    if (to.ns - from.ns < best->ns)
        best->ns = to.ns - from.ns;
}

static void require(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "kvm_fork_bench: %s\n", what);
    exit(1);
}

static void write_to(const struct aspace *as, uint64_t addr)
{
    require(kvm_aspace_fault(kvm_aspace_of(as), addr, MEMORY_WRITE) == MM_FAULT_RESOLVED,
            "a write fault");
}

static void one_fork(const struct aspace *parent, struct sample best[2])
{
    int err;
    struct sample start = now();
    struct aspace *child = kvm_aspace_fork(&g_kvm_host, parent, &err);
    struct sample forked = now();
    require(child != NULL, "fork");
    write_to(child, REGION);
    kvm_aspace_destroy(&g_kvm_host, child);
    keep_best(&best[0], start, forked);
    keep_best(&best[1], start, now());
    write_to(parent, REGION); /* it has what it shared back, as after a child's execve */
}

static void measure_library(uint64_t mib, struct sample best[2])
{
    int err;
    struct aspace *parent = kvm_aspace_create(&g_kvm_host, &err);
    require(parent != NULL, "create");
    const struct memory_map_request request = {.addr = guest_addr(REGION),
                                               .size = mib * MIB,
                                               .prot = MEMORY_READ | MEMORY_WRITE,
                                               .no_huge = true};
    require(kvm_memory_ops.map(&g_kvm_host, parent, &request) == 0, "map");
    for (uint64_t at = 0; at < mib * MIB; at += PAGE)
        write_to(parent, REGION + at);
    for (int i = 0; i < ROUNDS; i++)
        one_fork(parent, best);
    kvm_aspace_destroy(&g_kvm_host, parent);
}

static void measure_kernel(uint64_t mib, struct sample best[2])
{
    char *region =
        mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(region != MAP_FAILED && madvise(region, mib * MIB, MADV_NOHUGEPAGE) == 0, "mmap");
    for (uint64_t at = 0; at < mib * MIB; at += PAGE)
        region[at] = 1;
    for (int i = 0; i < ROUNDS; i++) {
        struct sample start = now();
        pid_t pid = fork();
        struct sample forked = now();
        if (pid == 0)
            _exit(0);
        int status;
        require(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "fork");
        keep_best(&best[0], start, forked);
        keep_best(&best[1], start, now());
    }
    munmap(region, mib * MIB);
}

static void measure_loop(uint64_t millions, struct sample best[2])
{
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t count = millions * 500000;
        struct sample start = now();
        __asm__ volatile("1: dec %0; jnz 1b" : "+r"(count) : : "cc");
        keep_best(&best[0], start, now());
    }
    best[1] = best[0];
}

int main(int argc, char **argv)
{
    require(argc > 2, "library|kernel|loop MIB...");
    const int library = strcmp(argv[1], "library") == 0;
    if (library) {
        kvm_host_init(UINT64_C(2) << 30);
        kvm_host_thread_start();
    } else {
        /* So that a child waits until fork has returned here. Without the right to ask for it the best round decides. */
        const struct sched_param priority = {.sched_priority = 1};
        sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority);
    }
    for (int i = 2; i < argc; i++) {
        struct sample best[2] = {{UINT64_MAX, UINT64_MAX}, {UINT64_MAX, UINT64_MAX}};
        const unsigned long mib = strtoul(argv[i], NULL, 10);
        require(mib > 0 && mib <= 1024, "sizes are from 1 to 1024");
        if (library)
            measure_library(mib, best);
        else if (strcmp(argv[1], "loop") == 0)
            measure_loop(mib, best);
        else
            measure_kernel(mib, best);
        printf("%lu %lu %lu %lu %lu\n", mib, best[0].ticks, best[0].ns, best[1].ticks, best[1].ns);
        fflush(stdout);
    }
    return 0;
}
