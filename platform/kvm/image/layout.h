/*
 * layout.h: where the image and its tables lie; read by C and assembly. SDM vol. 3, 2 (registers), 3.4 (descriptors), 5 (paging).
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_LAYOUT_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_LAYOUT_H

#define IMAGE_BASE 0xffffffff80000000 /* physical 0; the top 2 GiB: -mcmodel=kernel */
#define IMAGE_PHYSICAL 0x200000       /* where the image is loaded */
#define DIRECT_MAP 0xffff800000000000 /* physical 0, all of memory, 2 MiB pages */
#define DIRECT_MAP_SLOT 256           /* of the top table */
#define STACK_AREA 0xffff900000000000 /* thread stacks, each with a hole below */
#define STACK_AREA_SLOT 288
#define DEVICE_AREA 0xffffffffc0000000 /* local APIC; 1 GiB above the image */

#define SELECTOR_KERNEL_CODE 0x08
#define SELECTOR_KERNEL_DATA 0x10
#define SELECTOR_USER_DATA 0x2b /* sysret: STAR[63:48] + 8 */
#define SELECTOR_USER_CODE 0x33 /* sysret: STAR[63:48] + 16 */
#define SELECTOR_TSS 0x38
#define SELECTOR_CPU_NUMBER 0x4b /* ring 3 asks for its limit */

#define BOOT_STACK_SIZE 16384

#endif
