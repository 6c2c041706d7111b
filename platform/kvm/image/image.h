/*
 * image.h: the ring-0 image as a whole, private to this folder.
 *
 * Boot order: machine (bare.c tells which), memory, cpu tables, threads, platform_check, then the program's platform_main on the
 * first thread.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_IMAGE_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "platform/annotations.h"
#include "platform/kvm/hypercall.h"

/* What the machine looks like, whoever started it. Fixed after boot. */
extern struct kvm_boot_info g_boot;
extern uint64_t g_has_vmm; /* 0: a bare machine (PVH): no host behind it */
extern uint64_t *g_beat;   /* boot_info.beat where the VMM sees it */

/* Where the VMM, or the loader, starts the image. Physical addresses. */
NO_RETURN void image_main(uint64_t boot_info);
NO_RETURN void image_main_pvh(uint64_t start_info);
/* A further processor starts, on the stack of its idle thread. */
NO_RETURN void image_main_other(void);
extern const char image_start_other[];

/* The program of this image: platform_main of front.h. Exactly one object of an image defines it. */
struct platform;
void image_program(struct platform *p, void *blob, size_t size);

/* Requests to the VMM that cannot block; hypercall.c. A buffer lies in the image, on a stack or in the direct map. */
int64_t image_call(struct kvm_request *request);
void image_message(const char *text);
NO_RETURN void image_exit(int wait_status);
/* Ends the machine with a line. `cpu`: the calling one. */
struct cpu;
NO_RETURN void image_panic(struct cpu *cpu, const char *text);
/* The physical address of `ptr` in the image, a stack or the direct map. */
uint64_t image_physical(const void *ptr);

/* A machine without VMM; bare.c. */
int64_t bare_call(struct kvm_request *request);
void bare_probe(uint64_t start_info);

#endif
