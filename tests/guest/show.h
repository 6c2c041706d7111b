/* A call as it stands in the source, what it gave, and why it failed. */
#ifndef PALIMPSEST_TESTS_GUEST_SHOW_H
#define PALIMPSEST_TESTS_GUEST_SHOW_H

#include "guest.h"

#define SHOW(expr)                                                                                 \
    do {                                                                                           \
        errno = 0;                                                                                 \
        long r_ = (long)(expr);                                                                    \
        printf("%s = %ld %s\n", #expr, r_, r_ < 0 ? strerror(errno) : "");                         \
    } while (0)

#endif
