/*
 * kvm_program.c: the program of the image that `pal` carries: the shim.
 */
#include "platform/kvm/image/image.h"
#include "shim/shim.h"

void image_program(struct platform *p, void *blob, size_t size)
{
    shim_main(p, blob, size);
}
