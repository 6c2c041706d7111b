/*
 * sandbox.h: the host calls that are left to a process once it runs a virtual machine: whoever breaks out of the guest into the VMM
 * can't leave it by the host's kernel. A file of its own knows no other part of the VMM.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_VMM_SANDBOX_H
#define PALIMPSEST_PLATFORM_KVM_VMM_SANDBOX_H

#include <stddef.h>
#include <stdio.h>

/* What was granted of the host's network. */
enum sandbox_sockets {
    SANDBOX_NO_SOCKETS,
    SANDBOX_LISTENERS, /* connections to ports that are served */
    SANDBOX_NETWORK,   /* sockets of its own */
};

/*
 * From now on, and for good, any other call than those on the list kills the process by SIGSYS. All its threads; children can't be
 * made. Call before the first instruction of a guest. 0, or -errno and one line in `why`: nothing is confined then.
 */
int vm_sandbox_enter(enum sandbox_sockets sockets, char *why, size_t size);

/* The list, as docs/kvm-sandbox.md shows it. */
void vm_sandbox_print(FILE *out);

#endif
