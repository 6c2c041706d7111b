/* Restartable sequences of the test's own, for rseq.c and membarrier.c: rseq(2). */
#ifndef PALIMPSEST_TESTS_GUEST_SEQUENCE_H
#define PALIMPSEST_TESTS_GUEST_SEQUENCE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIGNATURE 0x53053053
#define UNREGISTER 1
#define AREA_SIZE 32
/* Without preemption, signal or barrier a sequence ends by itself, after ten seconds or more. */
#define NEARLY_ENDLESS "20000000000"

struct area {
    volatile uint32_t cpu_id_start, cpu_id;
    volatile uint64_t rseq_cs;
    uint32_t flags, rest[3];
} __attribute__((aligned(32)));

struct descriptor {
    uint32_t version, flags;
    uint64_t start, size, abort;
} __attribute__((aligned(32)));

static inline long rseq(void *area, unsigned size, int flags, unsigned signature)
{
    return syscall(SYS_rseq, area, size, flags, signature);
}

/* glibc 2.35 and later register an area of each thread beside its thread pointer; other libraries none. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

static inline void give_back_area_of_libc(void)
{
    if (&__rseq_offset && &__rseq_size && __rseq_size > 0)
        rseq((char *)__builtin_thread_pointer() + __rseq_offset, AREA_SIZE, UNREGISTER, SIGNATURE);
}

/*
 * *counter of processor `cpu` += 1, if this thread runs there and is not disturbed between the load and the store, which lie some time
 * apart. Result: whether it did.
 */
static inline int sequence_add(struct area *area, uint32_t cpu, volatile uint64_t *counter)
{
    __asm__ goto("lea 6f(%%rip), %%rax\n\t"
                 "mov %%rax, 8(%[area])\n"
                 "3:\tcmp %[cpu], 4(%[area])\n\t"
                 "jne 5f\n\t"
                 "mov (%[counter]), %%rax\n\t"
                 "mov $100, %%ecx\n"
                 "7:\tdec %%ecx\n\t"
                 "jnz 7b\n\t"
                 "inc %%rax\n\t"
                 "mov %%rax, (%[counter])\n"
                 "4:\n\t"
                 ".pushsection .text.aborts, \"ax\", @progbits\n\t"
                 ".byte 0x0f, 0xb9, 0x3d\n\t"
                 ".long 0x53053053\n"
                 "5:\tjmp %l[aborted]\n\t"
                 ".popsection\n\t"
                 ".pushsection .data.sequences, \"aw\"\n\t"
                 ".balign 32\n"
                 "6:\t.long 0, 0\n\t"
                 ".quad 3b, 4b - 3b, 5b\n\t"
                 ".popsection\n\t"
                 :
                 : [area] "r"(area), [cpu] "r"(cpu), [counter] "r"(counter)
                 : "rax", "rcx", "memory", "cc"
                 : aborted);
    return 1;
aborted:
    return 0;
}

/* Runs and does nothing, until it is aborted (0) or is through (1). *begun is set within. */
static inline int sequence_spin(struct area *area, volatile int *begun)
{
    __asm__ goto("movabs $" NEARLY_ENDLESS ", %%rcx\n\t"
                 "lea 6f(%%rip), %%rax\n\t"
                 "mov %%rax, 8(%[area])\n"
                 "3:\tmovl $1, (%[begun])\n"
                 "7:\tdec %%rcx\n\t"
                 "jnz 7b\n"
                 "4:\n\t"
                 ".pushsection .text.aborts, \"ax\", @progbits\n\t"
                 ".byte 0x0f, 0xb9, 0x3d\n\t"
                 ".long 0x53053053\n"
                 "5:\tjmp %l[aborted]\n\t"
                 ".popsection\n\t"
                 ".pushsection .data.sequences, \"aw\"\n\t"
                 ".balign 32\n"
                 "6:\t.long 0, 0\n\t"
                 ".quad 3b, 4b - 3b, 5b\n\t"
                 ".popsection\n\t"
                 :
                 : [area] "r"(area), [begun] "r"(begun)
                 : "rax", "rcx", "memory", "cc"
                 : aborted);
    return 1;
aborted:
    return 0;
}

#endif
