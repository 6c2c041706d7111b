/*
 * kvm_front.h: for tests: run an image that is not the program's own.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_VMM_KVM_FRONT_H
#define PALIMPSEST_PLATFORM_KVM_VMM_KVM_FRONT_H

#include "platform/front.h"

/* As front.h's run(). `image`: an ELF file in memory. */
int kvm_run_image(const unsigned char *image, size_t image_size,
                  const struct platform_options *options, const void *blob, size_t size,
                  int *wait_status, char *why, size_t why_size);

#endif
