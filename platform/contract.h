/*
 * contract.h: what happens when a precondition is broken or a slot is not written yet.
 *
 * PLATFORM_REQUIRE is active in every build type: a broken precondition is a bug of the caller and
 * is never reported as an errno. platform_unimplemented() is for slots nobody has written yet;
 * -ENOTSUP would be believed.
 */
#ifndef PALIMPSEST_PLATFORM_CONTRACT_H
#define PALIMPSEST_PLATFORM_CONTRACT_H

#include "platform/annotations.h"

/*
 * The last words, and the end of every thread of the instance: instance_ops.panic of the platform
 * that platform_check() saw. Before that, a trap instruction. `message` is one line without a
 * newline. Async-signal safe.
 */
NO_RETURN void platform_panic(const char *message);

struct platform;
/* For platform_check(): from now on panics go through `p`. */
void platform_panic_through(struct platform *p);

NO_RETURN void platform_require_failed(const char *condition, const char *file, int line);
NO_RETURN void platform_unimplemented(const char *what);

#define PLATFORM_REQUIRE(cond)                                                                     \
    ((cond) ? (void)0 : platform_require_failed(#cond, __FILE__, __LINE__))

#endif
