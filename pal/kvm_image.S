/*
 * kvm_image.S: the image of platform kvm, in a section of this program's file that is not loaded (platform/kvm/vmm/front.c reads it there):
 * the carriers of linux_user map all that is loaded.
 */
    .section .kvm_image, "", @progbits
    .balign 4096
    .incbin KVM_IMAGE
    .section .note.GNU-stack, "", @progbits
