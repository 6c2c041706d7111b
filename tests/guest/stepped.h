/* What stepped.c and its tracer share. */
#ifndef PALIMPSEST_TESTS_STEPPED_H
#define PALIMPSEST_TESTS_STEPPED_H

#include <stdint.h>

/* In rax at a breakpoint of stepped.c; the text forms are for assembly. */
#define STEPPED_HELLO 0x57e99000  /* rbx: the words below */
#define STEPPED_BEGIN 0x57e99001  /* one system call follows */
#define STEPPED_CALLED 0x57e99002 /* the call is over */
#define STEPPED_END 0x57e99003    /* rbx: what was wrong, by bits; 0: nothing */
#define STEPPED_TEXT(value) STEPPED_TEXT_OF(value)
#define STEPPED_TEXT_OF(value) #value

struct shared_words {
    uint32_t
        wanted; /* raised by the tracer: send a signal. The target must have seen it when its turn ends */
    uint32_t sent;     /* by the sender, when it has */
    uint32_t stepping; /* a call that waits may wait: a signal will end it */
    uint32_t finish;
    uint32_t vectors; /* what the vector registers are: 0: SSE, 1: AVX, 2: AVX-512 and opmasks */
};

#endif
