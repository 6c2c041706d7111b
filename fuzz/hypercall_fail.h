/* hypercall_fail.h: how the parts of fuzz_hypercall report what must not happen. */
#ifndef PALIMPSEST_FUZZ_HYPERCALL_FAIL_H
#define PALIMPSEST_FUZZ_HYPERCALL_FAIL_H

#include <stdbool.h>

#include "platform/annotations.h"

/* One line "hypercall: WHAT: DETAIL" to where standard error was, and the end. */
NO_RETURN void hypercall_fail(const char *what, const char *detail);
/* Is this the path of a granted directory? */
bool hypercall_is_grant(const char *path);

#endif
