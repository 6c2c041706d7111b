/*
 * seeded_defect.c: linux_user's memory with one defect put in on purpose: private memory is mapped
 * shared, so what a child of fork writes reaches its parent. Built into a runner of its own; the
 * test of the fuzzer is that it finds this.
 */
#include <linux/mman.h>

#undef MAP_PRIVATE
#define MAP_PRIVATE MAP_SHARED

#include "platform/linux_user/memory.c"
