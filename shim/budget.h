/*
 * budget.h: the memory that all guests of the instance may use together (`pal run --memory`). docs/design has the reasoning.
 *
 * What guests were *promised* is an upper bound of what they use: pages of private memory that was ever writable, shared memory, files in
 * memory. While it is within the limit nothing is measured. Beyond it, use is measured by the platform; requests for more than
 * what is left are refused, and a process that takes too much by touching what it was promised is killed, the biggest first.
 */
#ifndef PALIMPSEST_SHIM_BUDGET_H
#define PALIMPSEST_SHIM_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

/* Pages (negative: fewer). Any lock may be held. */
void budget_promise(int64_t pages);
/* There is room for `size` bytes more. Any lock may be held; may be slow beyond the limit. */
bool budget_allows(uint64_t size);

#endif
