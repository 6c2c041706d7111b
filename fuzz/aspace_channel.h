/*
 * aspace_channel.h: the memory through which the fuzzer (libFuzzer's process) hands inputs to a
 * runner (an instance of a platform in another process) and gets results back. Instances can't live
 * in libFuzzer's process: carriers and sanitizers do not mix.
 */
#ifndef PALIMPSEST_FUZZ_ASPACE_CHANNEL_H
#define PALIMPSEST_FUZZ_ASPACE_CHANNEL_H

#include <stdint.h>

enum { CHANNEL_INPUT_MAX = 1024, CHANNEL_COUNTERS = 8192, CHANNEL_FD = 3 };

enum channel_turn { /* whose move it is; futex word */
                    CHANNEL_STARTING,
                    CHANNEL_FUZZER,
                    CHANNEL_RUNNER,
};

struct aspace_channel {
    uint32_t turn;
    uint32_t size;
    uint8_t input[CHANNEL_INPUT_MAX];
    uint32_t failed; /* the platform and the model disagree; `text` says how */
    char text[256];
    uint8_t counters[CHANNEL_COUNTERS]; /* what was met, as libFuzzer's features */
};

/*
 * Hand over, and wait until it is our turn again. Both sides; a system call of the host, in
 * assembly.
 */
static inline long channel_futex(uint32_t *word, long op, uint32_t value, const void *timeout)
{
    register const void *r10 __asm__("r10") = timeout;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(202L /* futex */), "D"(word), "S"(op), "d"((long)value), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
}
static inline void channel_give(struct aspace_channel *c, enum channel_turn to)
{
    __atomic_store_n(&c->turn, to, __ATOMIC_RELEASE);
    channel_futex(&c->turn, 1 /* FUTEX_WAKE */, 2, 0);
}

#endif
