/*
 * mode.h: S_IFMT and its relatives from the kernel's linux/stat.h, which hides them once any libc
 * header was seen (uthash brings some).
 */
#ifndef PALIMPSEST_SHIM_LINUX_ABI_MODE_H
#define PALIMPSEST_SHIM_LINUX_ABI_MODE_H

#pragma push_macro("__GLIBC__")
#undef __GLIBC__
#include <linux/stat.h>
#pragma pop_macro("__GLIBC__")

#endif
