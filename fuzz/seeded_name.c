/*
 * seeded_name.c: the VMM's files with one defect put in on purpose: a name may hold slashes, so it may lead out of a granted directory. Built
 * into a fuzzer of its own; the test of the fuzzer is that it finds this.
 */
#include <string.h>

static const char *strchr_but(const char *text, int c)
{
    return c == '/' ? NULL : (strchr)(text, c);
}
#define strchr(text, c) strchr_but(text, c)

#include "platform/kvm/vmm/files.c"
