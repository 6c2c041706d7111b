/*
 * contract.h: what happens when a precondition is broken or a slot is not written yet.
 *
 * PLATFORM_REQUIRE is active in every build type: a broken precondition is a bug of the caller and is never reported
 * as an errno. platform_unimplemented() is for slots nobody has written yet; -ENOTSUP would be believed.
 */
#ifndef PALIMPSEST_PLATFORM_CONTRACT_H
#define PALIMPSEST_PLATFORM_CONTRACT_H

#include "platform/annotations.h"

/*
 * Where the last words go and how everything ends. Each platform defines it once: writes `message` (NUL-terminated,
 * without a newline) where a person sees it, ends every thread of the instance, does not return. Async-signal safe.
 */
NO_RETURN void platform_panic(const char *message);

NO_RETURN void platform_require_failed(const char *condition, const char *file, int line);
NO_RETURN void platform_unimplemented(const char *what);

#define PLATFORM_REQUIRE(cond)                                                                     \
    ((cond) ? (void)0 : platform_require_failed(#cond, __FILE__, __LINE__))

#endif
