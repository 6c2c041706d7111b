/*
 * platforms.h: the platforms this program was built with, and the tables that people ask for.
 */
#ifndef PALIMPSEST_PAL_PLATFORMS_H
#define PALIMPSEST_PAL_PLATFORMS_H

#include <stdio.h>

/* `pal platforms`: one line each: name, whether it can run here, how or why not. */
void platforms_print(FILE *out);

/* `pal syscalls`: every call the shim knows. */
enum syscalls_format { SYSCALLS_TEXT, SYSCALLS_MARKDOWN };
void syscalls_print(FILE *out, enum syscalls_format format);

#endif
