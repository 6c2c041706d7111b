/*
 * seeded_reference.c: the page tables of platform/kvm with one defect put in on purpose: the copy of a table does not count its reference
 * to one frame in five. Built into a runner of its own; the test of the fuzzer is that it finds this.
 */
#include "platform/kvm/image/frame.h"

static void frame_get_but(uint64_t phys)
{
    if (phys / FRAME_SIZE % 5 != 0)
        frame_get(phys);
}
#define frame_get(phys) frame_get_but(phys)

#include "platform/kvm/image/pagetable.c"
