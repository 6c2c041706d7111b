/*
 * fronts.c: kvm_host is the only platform of the programs here.
 */
#include "platform/front.h"
#include "tests/kvm_host/kvm_host.h"

const struct platform_front *const g_platform_fronts[] = {&g_kvm_host_front, NULL};
