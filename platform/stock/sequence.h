/*
 * sequence.h: restartable sequences (rseq(2)) for a platform that schedules guest threads itself: what its scheduler does when a
 * thread's guest code goes on.
 */
#ifndef PALIMPSEST_PLATFORM_STOCK_SEQUENCE_H
#define PALIMPSEST_PLATFORM_STOCK_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/guest_context.h"

/*
 * Before guest code of the calling thread goes on at regs->rip, in the space that is active, after it was interrupted: writes `cpu` to
 * its area and, if rip lies in the sequence that the area names, moves it to the abort address. Copies guest memory, so it may block.
 * Result: false: the area or the descriptor is bad.
 */
MUST_USE bool stock_sequence_resume(struct platform *p, struct guest_addr area, uint32_t signature,
                                    uint32_t cpu, struct guest_regs *regs);

#endif
