/*
 * system_info.h: what the guest is told about the machine and the kernel: uname(2), sysinfo(2) and /proc agree.
 */
#ifndef PALIMPSEST_SHIM_SYSTEM_INFO_H
#define PALIMPSEST_SHIM_SYSTEM_INFO_H

#include <stdint.h>

#define SYSTEM_RELEASE "6.1.0-palimpsest"
#define SYSTEM_VERSION "#1 SMP PREEMPT_DYNAMIC Palimpsest 0.1.0"
#define SYSTEM_NAME_SIZE 65 /* __NEW_UTS_LEN + 1 */

void system_hostname(char out[SYSTEM_NAME_SIZE]);
int system_set_hostname(const char *name); /* -EINVAL: too long */

/* No interface tells how much memory the host grants: a fixed total, less what processes hold now. Bytes. */
struct system_memory {
    uint64_t total, free;
};
struct system_memory system_memory(void);

uint64_t system_uptime_ns(void); /* of this instance's machine: the boot-time clock */

#endif
