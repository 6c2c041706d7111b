/*
 * no_guest_clock.c: see no_guest_clock.h.
 */
#include "platform/stock/no_guest_clock.h"

uint64_t stock_no_guest_clock(struct platform *p UNUSED, enum clock_guest_call call UNUSED)
{
    return 0;
}
