/*
 * The <assert.h> of freestanding code, which utlist includes: active in every build, as every other precondition.
 */
#ifndef PALIMPSEST_SHIM_BASE_INCLUDE_ASSERT_H
#define PALIMPSEST_SHIM_BASE_INCLUDE_ASSERT_H

#include "platform/contract.h"

#define assert(cond) PLATFORM_REQUIRE(cond)
#define static_assert _Static_assert

#endif
