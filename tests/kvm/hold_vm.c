/*
 * hold_vm.c: keeps one virtual machine with one processor until it is killed; says "held" when it has it.
 *
 * Linux patches its own text when the first machine of KVM comes and when the last goes (the static keys of preempt notifiers
 * in __schedule, and those of local APICs). QEMU before 8.1 may keep a translation of the int3 that stands there meanwhile, when
 * the other processor comes by at that moment: both then take that breakpoint for ever. So the emulated machine of nested.py has
 * one machine throughout.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
    if (vm < 0 || ioctl(vm, KVM_CREATE_IRQCHIP, 0) != 0 || ioctl(vm, KVM_CREATE_VCPU, 0) < 0) {
        perror("hold_vm");
        return 1;
    }
    puts("held");
    fflush(stdout);
    for (;;)
        pause();
}
